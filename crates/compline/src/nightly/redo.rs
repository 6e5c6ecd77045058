//! trend -> commit trends: for a night's day and every later one that its snapshot changes, and for any days again.

use super::history::{History, Span};
use super::recover::recover;
use super::{AggregatorReport, Shared, TrendReport};
use crate::memory;
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Lake, Partition};
use compline_transformer::{RECENT_COLUMNS, Recent, SNAPSHOT_COLUMNS, State, Trends, advance, recent_needed};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions read at once: enough to hide the way to S3.
const READ_AT_ONCE: usize = 16;

/// Which days are computed again, and whether what is not as it must be is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recompute {
    pub(crate) span: Span,
    /// Whether tables that are not as the snapshots say are written again, and what a stopped run left is made good.
    pub(crate) write: bool,
    pub(crate) now: DateTime<Utc>,
}

/// What became of days whose trends were computed again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recomputed {
    /// The days, in order.
    pub(crate) days: Vec<SnapshotDate>,
    /// Those whose tables were not as the snapshots say.
    pub(crate) differed: Vec<SnapshotDate>,
}

/// The days being gone through, and what is carried from one to the next.
struct Redo<'a> {
    lake: &'a Lake,
    id: &'a AggregatorId,
    /// The days that have a snapshot, and before them those that had one.
    dates: Vec<SnapshotDate>,
    statuses_from: Option<SnapshotDate>,
    /// The days that have a `pack_status`.
    statuses: BTreeSet<SnapshotDate>,
    state: Option<State>,
    /// Trend rows of days before the current one, as far as they are needed again.
    recent: BTreeMap<SnapshotDate, RecordBatch>,
}

/// Computes and commits the trends of the night's day, and of the later days that depend on it. `behind_from` is the day
/// from which a stopped run left trends behind; `snapshot` has [`SNAPSHOT_COLUMNS`].
pub(super) async fn trends(
    shared: &Shared<'_>,
    id: &AggregatorId,
    behind_from: Option<SnapshotDate>,
    snapshot: RecordBatch,
    report: &mut AggregatorReport,
) -> anyhow::Result<()> {
    let tonight = shared.night.date;
    let mut dates = shared.history.with_dropped(id);
    dates.insert(tonight);
    let from = behind_from.map_or(tonight, |earlier| earlier.min(tonight));
    let mut snapshot = Some(snapshot);
    let from = shared.history.first_to_redo(id, &dates, from)?;
    let only_tonight = behind_from.is_none() && from == tonight;
    let days: Vec<SnapshotDate> = dates.range(from..).copied().collect();
    let mut redo = Redo::new(shared.lake, id, dates, &shared.history);
    redo.state = redo.read_state(from).await?;
    for date in days {
        let rows = match snapshot.take_if(|_| date == tonight) {
            Some(rows) => rows,
            None => redo.snapshot(date).await?,
        };
        let trends = redo.advance(date, rows).await?;
        if date == tonight {
            report.trends = Some(TrendReport::of(&trends));
            // A snapshot that gives the trends that are there already changes no later day either.
            let was_there = shared.history.snapshots.get(id).is_some_and(|dates| dates.contains(&tonight));
            if was_there && only_tonight && redo.is_kept(date, &trends).await {
                return Ok(());
            }
        }
        report.bytes += redo.commit(date, trends).await?;
    }
    Ok(())
}

/// Computes the trends of days that have a snapshot, and of earlier days without which that cannot be done; `done` is told of
/// each day.
///
/// # Errors
/// A lake that does not answer. Whatever is behind then is noted in the lake, as it is for the days after the last.
pub(crate) async fn recompute(
    lake: &Lake,
    history: &History,
    id: &AggregatorId,
    Recompute { span, write, now }: Recompute,
    mut done: impl FnMut(SnapshotDate),
) -> anyhow::Result<Recomputed> {
    let dates = history.with_dropped(id);
    let behind_from = lake.redo_from(id).await?;
    if let Some(from) = behind_from.filter(|_| write) {
        // The marker goes once the trends are right, so what else it stands for is made good here.
        recover(lake, id, from, None, now).await?;
    }
    let Some(first) = history.days(id, span).next() else { return Ok(Recomputed::default()) };
    let first = behind_from.filter(|_| write).map_or(first, |behind| behind.min(first));
    let after = dates.iter().find(|date| span.to.is_some_and(|to| **date > to)).copied();

    let first = history.first_to_redo(id, &dates, first)?;
    let days: Vec<SnapshotDate> =
        dates.range(first..).copied().take_while(|date| span.to.is_none_or(|to| *date <= to)).collect();
    let mut redo = Redo::new(lake, id, dates, history);
    let mut recomputed = Recomputed::default();
    if write {
        lake.mark_redo(id, first).await?;
    }
    redo.state = redo.read_state(first).await?;
    for date in days {
        let rows = redo.snapshot(date).await?;
        let trends = redo.advance(date, rows).await?;
        if !redo.is_kept(date, &trends).await {
            recomputed.differed.push(date);
            if write {
                redo.commit(date, trends).await?;
            }
        }
        recomputed.days.push(date);
        done(date);
    }
    match after {
        _ if !write => {}
        // Later days were computed from what is now otherwise, or were behind before.
        Some(after) if !recomputed.differed.is_empty() || behind_from.is_some() => lake.mark_redo(id, after).await?,
        _ => lake.clear_redo(id).await?,
    }
    Ok(recomputed)
}

impl<'a> Redo<'a> {
    fn new(lake: &'a Lake, id: &'a AggregatorId, dates: BTreeSet<SnapshotDate>, history: &History) -> Self {
        let dates = dates.into_iter().collect();
        let statuses = history.statuses.get(id).cloned().unwrap_or_default();
        Self { lake, id, dates, statuses_from: history.statuses_from, statuses, state: None, recent: BTreeMap::new() }
    }

    /// Whether a day keeps a table.
    fn keeps(&self, table: Table, date: SnapshotDate) -> bool {
        // The last one stays, however old: the next night goes on from it. One that is there stays until it is dropped.
        table != Table::PackStatus
            || self.statuses_from.is_none_or(|from| date >= from)
            || self.dates.last() == Some(&date)
            || self.statuses.contains(&date)
    }

    fn partition(&self, table: Table, date: SnapshotDate) -> Partition {
        Partition { table, date, aggregator: self.id.clone() }
    }

    /// A partition that is known to be there.
    async fn read(
        &self,
        table: Table,
        date: SnapshotDate,
        columns: Option<&'static [&'static str]>,
    ) -> anyhow::Result<RecordBatch> {
        let partition = self.partition(table, date);
        match self.lake.read(&partition, columns).await? {
            Some(rows) => Ok(rows),
            None => bail!("{} was there and is gone: is something else changing the lake?", partition.key()),
        }
    }

    /// What of a day's snapshot trends are computed from.
    async fn snapshot(&self, date: SnapshotDate) -> anyhow::Result<RecordBatch> {
        self.read(Table::PackCompliance, date, Some(SNAPSHOT_COLUMNS)).await
    }

    /// The state that a day starts from: that of the snapshot before it, if there is one.
    async fn read_state(&self, from: SnapshotDate) -> anyhow::Result<Option<State>> {
        let Some(date) = self.dates.iter().copied().rfind(|date| *date < from) else { return Ok(None) };
        Ok(Some(State { date, pack_status: self.read(Table::PackStatus, date, None).await? }))
    }

    /// The trends of a day; its state and trend rows are then those of the days that follow.
    async fn advance(&mut self, date: SnapshotDate, rows: RecordBatch) -> anyhow::Result<Trends> {
        let recent = self.recent(date).await?;
        tracing::debug!(%date, recent = recent.len(), "read");
        let (id, state) = (self.id.clone(), self.state.take());
        let computed = tokio::task::spawn_blocking(move || advance(&id, date, state, rows, &recent));
        let trends = computed.await.context("computing the trends stopped")??;
        tracing::debug!(%date, "computed");
        memory::give_back();
        self.state = Some(State { date, pack_status: trends.pack_status.clone() });
        self.recent.insert(date, trends.compliance_trends.clone());
        Ok(trends)
    }

    /// The trend rows of the recent days; those that are not carried are read.
    async fn recent(&mut self, date: SnapshotDate) -> anyhow::Result<Vec<Recent>> {
        let needed = recent_needed(date, &self.dates);
        self.recent.retain(|date, _| needed.contains(date));
        let this = &*self;
        let reading = needed.iter().copied().filter(|date| !this.recent.contains_key(date)).map(async |date| {
            let rows = this.read(Table::ComplianceTrends, date, Some(RECENT_COLUMNS)).await?;
            anyhow::Ok((date, rows))
        });
        let read: Vec<_> = stream::iter(reading).buffer_unordered(READ_AT_ONCE).try_collect().await?;
        self.recent.extend(read);
        Ok(self.recent.iter().map(|(date, rows)| Recent { date: *date, compliance_trends: rows.clone() }).collect())
    }

    /// Whether the lake has these trends of a day. A file that cannot be read is none: it is written anew.
    async fn is_kept(&self, date: SnapshotDate, trends: &Trends) -> bool {
        for (table, rows) in tables(trends) {
            match self.lake.read(&self.partition(table, date), None).await {
                Ok(kept) if kept.as_ref() == Some(rows) => {}
                Ok(None) if !self.keeps(table, date) => {}
                Ok(_) => return false,
                Err(error) => {
                    tracing::warn!(%error, "writing it anew");
                    return false;
                }
            }
        }
        true
    }

    /// Commits the trends of a day, the state last: where it is, the others are.
    async fn commit(&self, date: SnapshotDate, trends: Trends) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for (table, rows) in tables(&trends) {
            if !self.keeps(table, date) {
                continue;
            }
            bytes += self.lake.commit(&self.partition(table, date), rows.clone()).await?.bytes;
        }
        Ok(bytes)
    }
}

fn tables(trends: &Trends) -> [(Table, &RecordBatch); 3] {
    [
        (Table::PackChanges, &trends.pack_changes),
        (Table::ComplianceTrends, &trends.compliance_trends),
        (Table::PackStatus, &trends.pack_status),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nightly::{Night, Outcome, Source, nightly};
    use crate::progress::Progress;
    use crate::settings::Settings;
    use compline_sink::LakeLocation;
    use proptest::prelude::*;
    use std::path::Path;

    /// A snapshot of a day of January: packs, each with a type or none.
    type Snapshot = (u32, BTreeMap<u8, Option<u8>>);

    fn snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
        let day = prop_oneof![1_u32..6, 6_u32..32];
        let packs = prop::collection::btree_map(0_u8..5, prop::option::of(0_u8..4), 0..5);
        prop::collection::vec((day, packs), 2..8)
    }

    fn settings(lake: &Path) -> Settings {
        let text = format!(
            "version = 1\n[lake]\nurl = {:?}\n[[aggregator]]\nid = \"org\"\nname = \"a\"\nregion = \"eu-west-1\"\n",
            lake.display().to_string()
        );
        Settings::parse("pipeline.toml", &text, None).expect("settings")
    }

    fn page(packs: &BTreeMap<u8, Option<u8>>) -> String {
        let types = ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA", "NEW"];
        let item = |(name, kind): (&u8, &Option<u8>)| {
            let compliance = kind.map(|kind| serde_json::json!({"ComplianceType": types[usize::from(kind)]}));
            serde_json::json!({"ConformancePackName": format!("pack-{name}"), "AccountId": "000000000001",
                "AwsRegion": "eu-west-1", "Compliance": compliance})
        };
        let items: Vec<_> = packs.iter().map(item).collect();
        serde_json::json!({"AggregateComplianceByConformancePacks": items}).to_string()
    }

    /// Imports the days in the order in which they are given.
    async fn lake_of(folder: &Path, days: impl IntoIterator<Item = &Snapshot>) -> Lake {
        let settings = settings(&folder.join("lake"));
        let lake = Lake::open(&LakeLocation::Folder(folder.join("lake")), settings.compression).await.expect("a lake");
        let file = folder.join("page.json");
        for (day, packs) in days {
            std::fs::write(&file, page(packs)).expect("written");
            let night = Night {
                settings: &settings,
                date: format!("2026-01-{day:02}").parse().expect("a date"),
                source: Source::Files {
                    files: vec![file.clone()],
                    files_are: compline_fetcher::FilesAre::Whole,
                    replace: true,
                },
                accept: true,
                fresh: false,
                wait: std::time::Duration::ZERO,
                started_at: Utc::now(),
                clock: Utc::now,
            };
            let report = nightly(&night, &lake, &Progress::hidden()).await.expect("a report");
            assert_eq!(report.aggregators[0].outcome, Outcome::Succeeded, "{report:?}");
        }
        lake
    }

    /// Every trend table of a lake, by its partition.
    async fn tables_of(lake: &Lake, id: &AggregatorId) -> BTreeMap<String, RecordBatch> {
        let mut tables = BTreeMap::new();
        for table in [Table::PackChanges, Table::ComplianceTrends, Table::PackStatus] {
            for date in lake.partitions(table).await.expect("listed").remove(id).unwrap_or_default() {
                let partition = Partition { table, date, aggregator: id.clone() };
                let rows = lake.read(&partition, None).await.expect("read").expect("there");
                tables.insert(partition.key(), rows);
            }
        }
        tables
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
        #[test]
        fn days_that_come_in_any_order_and_are_replaced_give_the_tables_of_days_that_came_once_and_in_order(
            history in snapshots()
        ) {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
            let id: AggregatorId = "org".parse().expect("an id");
            let last: BTreeMap<u32, &Snapshot> = history.iter().map(|snapshot| (snapshot.0, snapshot)).collect();
            runtime.block_on(async {
                let lake = lake_of(one.path(), &history).await;
                let in_order = lake_of(other.path(), last.into_values()).await;
                let tables = tables_of(&lake, &id).await;
                prop_assert_eq!(&tables, &tables_of(&in_order, &id).await);
                let days = History::read(&lake, None).await.expect("listed");
                let all = Recompute { span: Span::default(), write: true, now: Utc::now() };
                let again = recompute(&lake, &days, &id, all, |_| {}).await.expect("recomputed");
                prop_assert_eq!((again.differed.len(), again.days.len() * 3), (0, tables.len()));
                Ok(())
            })?;
        }
    }
}

//! trend -> commit trends, for the day and every later one that its snapshot changes.

use super::{AggregatorReport, Shared, TrendReport};
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::Partition;
use compline_transformer::{RECENT_COLUMNS, Recent, SNAPSHOT_COLUMNS, State, Trends, advance, recent_needed};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions read at once: enough to hide the way to S3.
const READ_AT_ONCE: usize = 16;

/// The days being gone through, and what is carried from one to the next.
struct Redo<'a> {
    shared: &'a Shared<'a>,
    id: &'a AggregatorId,
    dates: Vec<SnapshotDate>,
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
    let (tonight, dates) = (shared.night.date, shared.snapshot_dates(id));
    let from = first_to_redo(shared, id, &dates, behind_from.map_or(tonight, |earlier| earlier.min(tonight)));
    let mut snapshot = Some(snapshot);
    let mut redo = Redo { shared, id, dates: dates.into_iter().collect(), state: None, recent: BTreeMap::new() };
    redo.state = redo.read_state(from).await?;
    let days: Vec<SnapshotDate> = redo.dates.iter().copied().filter(|date| *date >= from).collect();
    for date in days {
        let rows = match snapshot.take_if(|_| date == tonight) {
            Some(rows) => rows,
            None => redo.read(Table::PackCompliance, date, Some(SNAPSHOT_COLUMNS)).await?,
        };
        let trends = redo.advance(date, rows).await?;
        if date == tonight {
            report.trends = Some(TrendReport::of(&trends));
            // A snapshot that gives the trends that are there already changes no later day either.
            let was_there = shared.history.snapshots.get(id).is_some_and(|dates| dates.contains(&tonight));
            if was_there && behind_from.is_none() && from == tonight && redo.is_kept(&trends).await? {
                return Ok(());
            }
        }
        report.bytes += redo.commit(date, trends).await?;
    }
    Ok(())
}

/// The first day whose trends must be computed: `from`, or an earlier one, as long as something that it is computed from is
/// not there.
fn first_to_redo(
    shared: &Shared<'_>,
    id: &AggregatorId,
    dates: &BTreeSet<SnapshotDate>,
    mut from: SnapshotDate,
) -> SnapshotDate {
    let none = BTreeSet::new();
    let (trends, statuses) =
        (shared.history.trends.get(id).unwrap_or(&none), shared.history.statuses.get(id).unwrap_or(&none));
    let all: Vec<SnapshotDate> = dates.iter().copied().collect();
    loop {
        let previous = dates.range(..from).next_back().filter(|date| !statuses.contains(date));
        let lacking = recent_needed(from, &all).into_iter().find(|date| !trends.contains(date));
        match previous.copied().into_iter().chain(lacking).min() {
            Some(earlier) => from = earlier,
            None => return from,
        }
    }
}

impl Redo<'_> {
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
        match self.shared.lake.read(&partition, columns).await? {
            Some(rows) => Ok(rows),
            None => bail!("{} was there and is gone: is something else changing the lake?", partition.key()),
        }
    }

    /// The state that a day starts from: that of the snapshot before it, if there is one.
    async fn read_state(&self, from: SnapshotDate) -> anyhow::Result<Option<State>> {
        let Some(date) = self.dates.iter().copied().rfind(|date| *date < from) else { return Ok(None) };
        Ok(Some(State { date, pack_status: self.read(Table::PackStatus, date, None).await? }))
    }

    /// The trends of a day; its state and trend rows are then those of the days that follow.
    async fn advance(&mut self, date: SnapshotDate, rows: RecordBatch) -> anyhow::Result<Trends> {
        let recent = self.recent(date).await?;
        let (id, state) = (self.id.clone(), self.state.take());
        let computed = tokio::task::spawn_blocking(move || advance(&id, date, state, rows, &recent));
        let trends = computed.await.context("computing the trends stopped")??;
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

    /// Whether the lake has these trends of the night's day.
    async fn is_kept(&self, trends: &Trends) -> anyhow::Result<bool> {
        for (table, rows) in tables(trends) {
            let kept = self.shared.lake.read(&self.partition(table, self.shared.night.date), None).await?;
            if kept.as_ref() != Some(rows) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Commits the trends of a day, the state last: where it is, the others are.
    async fn commit(&self, date: SnapshotDate, trends: Trends) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for (table, rows) in tables(&trends) {
            bytes += self.shared.lake.commit(&self.partition(table, date), rows.clone()).await?;
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

//! Holding a lake against what it must be, and repairing what can be worked out again.

mod day;

use crate::leases::Leases;
use crate::nightly::{History, Recompute, Span, recompute};
use crate::progress::Progress;
use chrono::{DateTime, TimeDelta, Utc};
use compline_model::{AggregatorId, SnapshotDate, SnapshotMonth, Table};
use compline_sink::{Lake, Month, Partition, Survey};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Days read at once: one is read while another is looked through.
const AT_ONCE: usize = 2;

/// What is no longer kept, as the settings say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptFrom {
    pub(crate) statuses: Option<SnapshotDate>,
    pub(crate) snapshots: Option<SnapshotDate>,
}

/// What was found in a lake.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) aggregators: Vec<Found>,
    pub(crate) survey: Survey,
}

/// What was found of an aggregator.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) aggregator: AggregatorId,
    /// Its days, in order.
    pub(crate) days: Vec<SnapshotDate>,
    pub(crate) files: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// What is not as it must be.
    pub(crate) wrong: Vec<String>,
    /// Calendar days without a snapshot, each run of them by its first and last.
    pub(crate) gaps: Vec<(SnapshotDate, SnapshotDate)>,
    /// Days that are held.
    pub(crate) held: Vec<SnapshotDate>,
}

impl Verified {
    /// How many things are wrong.
    pub(crate) fn wrong(&self) -> usize {
        let in_tables = self.survey.strangers.iter().filter(|stranger| stranger.in_a_table).count();
        self.aggregators.iter().map(|found| found.wrong.len()).sum::<usize>() + in_tables
    }
}

/// Verifies the days of these aggregators, or of every one that the lake has.
///
/// # Errors
/// A store that does not answer. What is wrong with a file is in what was found.
pub(crate) async fn verify(
    lake: &Lake,
    only: Option<&BTreeSet<AggregatorId>>,
    span: Span,
    (kept_from, now): (KeptFrom, DateTime<Utc>),
    progress: &Progress,
) -> anyhow::Result<Verified> {
    let survey = lake.survey(now).await?;
    let history = History::of(&survey, kept_from.statuses);
    let known: BTreeSet<AggregatorId> =
        survey.partitions.keys().map(|partition| partition.aggregator.clone()).collect();
    let mut aggregators = Vec::new();
    for id in known.iter().filter(|id| only.is_none_or(|only| only.contains(id))) {
        let verifying = Verifying { lake, survey: &survey, history: &history, id, span, kept_from, now };
        aggregators.push(verifying.aggregator(progress).await?);
    }
    Ok(Verified { aggregators, survey })
}

/// Repairs what can be worked out again: trend tables, and lines of the ledger that a stopped run did not come to.
///
/// # Errors
/// A lake that does not answer, or a snapshot that cannot be read.
pub(crate) async fn repair(
    lake: &Lake,
    verified: &Verified,
    leases: &Leases,
    (kept_from, now): (KeptFrom, DateTime<Utc>),
) -> anyhow::Result<()> {
    let history = History::of(&verified.survey, kept_from.statuses);
    for found in verified.aggregators.iter().filter(|found| !found.wrong.is_empty()) {
        let id = &found.aggregator;
        let work = async {
            // A snapshot that the ledger does not have is a stopped run's if that left its marker, and is not trusted otherwise.
            let everything = Recompute { span: Span::default(), write: true, now };
            let done = recompute(lake, &history, id, everything, |_| {}).await?;
            tracing::info!(aggregator = %id, days = done.days.len(), rewritten = done.differed.len(), "computed trends anew");
            anyhow::Ok(())
        };
        tokio::select! {
            done = work => done?,
            error = leases.lost(id) => return Err(error.into()),
        }
    }
    lake.remove_leftovers(&verified.survey).await?;
    Ok(())
}

/// An aggregator that is verified.
struct Verifying<'a> {
    lake: &'a Lake,
    survey: &'a Survey,
    history: &'a History,
    id: &'a AggregatorId,
    span: Span,
    kept_from: KeptFrom,
    now: DateTime<Utc>,
}

impl Verifying<'_> {
    async fn aggregator(&self, progress: &Progress) -> anyhow::Result<Found> {
        let Self { lake, survey, history, id, span, kept_from, .. } = *self;
        let mut tables: BTreeMap<SnapshotDate, BTreeMap<Table, u64>> = BTreeMap::new();
        for (partition, object) in &survey.partitions {
            if partition.aggregator == *id && span.has(partition.date) {
                tables.entry(partition.date).or_default().insert(partition.table, object.bytes);
            }
        }
        let days: Vec<SnapshotDate> = history.days(id, span).collect();
        let held = survey.held.iter().filter(|(held, date)| held == id && span.has(*date));
        let mut found = Found {
            aggregator: id.clone(),
            files: tables.values().map(|tables| tables.len() as u64).sum(),
            bytes: tables.values().flat_map(BTreeMap::values).sum(),
            rows: 0,
            wrong: Vec::new(),
            gaps: gaps(&days),
            held: held.map(|(_, date)| *date).collect(),
            days,
        };

        let bar = progress.steps(tables.len() as u64, "days");
        bar.set_message(id.to_string());
        let dropped = history.dropped(id);
        let each = tables.iter().map(async |(date, tables)| {
            let day = day::Day {
                lake,
                id,
                date: *date,
                status_is_dropped: kept_from.statuses.is_some_and(|from| *date < from),
                snapshot_is_dropped: dropped.contains(date) && kept_from.snapshots.is_some_and(|from| *date < from),
            };
            let day = day.verify(tables.keys().copied().collect()).await;
            bar.inc(1);
            day
        });
        let each: Vec<day::Verified> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
        bar.finish_and_clear();
        for day in each {
            found.rows += day.snapshot_rows;
            found.wrong.extend(day.wrong);
        }
        found.wrong.extend(self.trends(progress).await);
        found.wrong.extend(self.months().await);
        Ok(found)
    }

    /// What of the trend tables is not what the snapshots say.
    async fn trends(&self, progress: &Progress) -> Vec<String> {
        let Self { lake, history, id, span, now, .. } = *self;
        let mut wrong = Vec::new();
        match lake.redo_from(id).await {
            Ok(None) => {}
            Ok(Some(from)) => wrong.push(format!(
                "the trends from {from} on are behind their snapshots, since a run was stopped; the next run takes that up"
            )),
            Err(error) => wrong.push(error.to_string()),
        }
        let bar = progress.steps(history.days(id, span).count() as u64, "days computed again");
        bar.set_message(id.to_string());
        let differ = |date: &SnapshotDate| format!("the trend tables of {date} are not what the snapshots say");
        match recompute(lake, history, id, Recompute { span, write: false, now }, |_| bar.inc(1)).await {
            Ok(done) => wrong.extend(done.differed.iter().map(differ)),
            Err(error) => wrong.push(format!("what the trend tables must be cannot be computed: {error:#}")),
        }
        bar.finish_and_clear();
        wrong
    }

    /// What of the months is not what their days are.
    async fn months(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for month in self.survey.months.keys().filter(|month| month.aggregator == *self.id) {
            let days = days_of(self.survey, month);
            if !days.iter().any(|date| self.span.has(*date)) {
                continue;
            }
            if let Err(error) = self.lake.verify_month(month, &days).await {
                wrong.push(error.to_string());
            }
        }
        wrong
    }
}

/// The days of a month that have an object of their own.
pub(crate) fn days_of(survey: &Survey, month: &Month) -> BTreeSet<SnapshotDate> {
    let Month { table, aggregator, .. } = month;
    let of_month = |partition: &&Partition| {
        (partition.table, &partition.aggregator, SnapshotMonth::from(partition.date))
            == (*table, aggregator, month.month)
    };
    survey.partitions.keys().filter(of_month).map(|partition| partition.date).collect()
}

/// The calendar days between the first and the last that are not among them.
fn gaps(days: &[SnapshotDate]) -> Vec<(SnapshotDate, SnapshotDate)> {
    let next = |date: SnapshotDate| SnapshotDate::from(date.day() + TimeDelta::days(1));
    let between = days.windows(2).filter(|pair| next(pair[0]) != pair[1]);
    between.map(|pair| (next(pair[0]), pair[1].minus_days(1))).collect()
}

//! Holding a lake against what it must be, and repairing what can be worked out again.

mod day;

use crate::leases::Leases;
use crate::nightly::{History, Recompute, make_good, recompute};
use crate::progress::Progress;
use chrono::{DateTime, TimeDelta, Utc};
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Lake, Survey};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// Days read at once: one is read while another is looked through.
const AT_ONCE: usize = 2;

/// What is verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: Option<SnapshotDate>,
    pub(crate) to: Option<SnapshotDate>,
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

impl Span {
    fn has(self, date: SnapshotDate) -> bool {
        self.from.is_none_or(|from| date >= from) && self.to.is_none_or(|to| date <= to)
    }
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
    now: DateTime<Utc>,
    progress: &Progress,
) -> anyhow::Result<Verified> {
    let survey = lake.survey(now).await?;
    let history = History::of(&survey);
    let known: BTreeSet<AggregatorId> =
        survey.partitions.keys().map(|partition| partition.aggregator.clone()).collect();
    let mut aggregators = Vec::new();
    for id in known.iter().filter(|id| only.is_none_or(|only| only.contains(id))) {
        aggregators.push(aggregator(lake, &survey, &history, id, span, progress).await?);
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
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let history = History::of(&verified.survey);
    for found in verified.aggregators.iter().filter(|found| !found.wrong.is_empty()) {
        let id = &found.aggregator;
        let work = async {
            // A snapshot that the ledger does not have is a stopped run's if that left its marker, and is not trusted otherwise.
            if let Some(from) = lake.redo_from(id).await? {
                make_good(lake, id, history.days(id, (Some(from), None)), now).await?;
            }
            let everything = Recompute { span: (None, None), write: true };
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

async fn aggregator(
    lake: &Lake,
    survey: &Survey,
    history: &History,
    id: &AggregatorId,
    span: Span,
    progress: &Progress,
) -> anyhow::Result<Found> {
    let mut tables: BTreeMap<SnapshotDate, BTreeMap<Table, u64>> = BTreeMap::new();
    for (partition, bytes) in &survey.partitions {
        if partition.aggregator == *id && span.has(partition.date) {
            tables.entry(partition.date).or_default().insert(partition.table, *bytes);
        }
    }
    let days: Vec<SnapshotDate> = history.days(id, (span.from, span.to)).collect();
    let mut found = Found {
        aggregator: id.clone(),
        files: tables.values().map(|tables| tables.len() as u64).sum(),
        bytes: tables.values().flat_map(BTreeMap::values).sum(),
        rows: 0,
        wrong: Vec::new(),
        gaps: gaps(&days),
        held: survey.held.iter().filter(|(held, date)| held == id && span.has(*date)).map(|(_, date)| *date).collect(),
        days,
    };

    let bar = progress.steps(tables.len() as u64, "days");
    bar.set_message(id.to_string());
    let each = tables.iter().map(async |(date, tables)| {
        let day = day::Day { lake, id, date: *date }.verify(tables.keys().copied().collect()).await;
        bar.inc(1);
        day
    });
    let each: Vec<day::Verified> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
    bar.finish_and_clear();
    for day in each {
        found.rows += day.snapshot_rows;
        found.wrong.extend(day.wrong);
    }
    found.wrong.extend(trends(lake, history, id, span, progress).await);
    Ok(found)
}

/// What of the trend tables is not what the snapshots say.
async fn trends(lake: &Lake, history: &History, id: &AggregatorId, span: Span, progress: &Progress) -> Vec<String> {
    let mut wrong = Vec::new();
    match lake.redo_from(id).await {
        Ok(None) => {}
        Ok(Some(from)) => wrong.push(format!(
            "the trends from {from} on are behind their snapshots, since a run was stopped; the next run takes that up"
        )),
        Err(error) => wrong.push(error.to_string()),
    }
    let span = (span.from, span.to);
    let bar = progress.steps(history.days(id, span).count() as u64, "days computed again");
    bar.set_message(id.to_string());
    match recompute(lake, history, id, Recompute { span, write: false }, |_| bar.inc(1)).await {
        Ok(done) => wrong.extend(
            done.differed.iter().map(|date| format!("the trend tables of {date} are not what the snapshots say")),
        ),
        Err(error) => wrong.push(format!("what the trend tables must be cannot be computed: {error:#}")),
    }
    bar.finish_and_clear();
    wrong
}

/// The calendar days between the first and the last that are not among them.
fn gaps(days: &[SnapshotDate]) -> Vec<(SnapshotDate, SnapshotDate)> {
    let next = |date: SnapshotDate| SnapshotDate::from(date.day() + TimeDelta::days(1));
    let between = days.windows(2).filter(|pair| next(pair[0]) != pair[1]);
    between.map(|pair| (next(pair[0]), pair[1].minus_days(1))).collect()
}

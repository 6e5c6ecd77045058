//! Comparing a lake with what it must be, and repairing what can be computed again.

mod day;
mod documents;
mod months;
mod repair;

pub(crate) use repair::repair;

use crate::held::{Holding, held, hint};
use crate::history::{History, Span};
use crate::journal::{Completes, Journal, Pending, PendingDay};
use crate::ledger::Ledger;
use crate::population::Told;
use crate::progress::Progress;
use crate::session::Session;
use crate::settings::Settings;
use crate::trends::{Computed, Computing, Shared};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset, PART_ROWS, RowSource, RunId, SnapshotDate, SnapshotMonth, Table};
use compline_sink::{Inventory, Lake, Month, Object, Partition, READ_CONCURRENCY, TableFile};
use day::{Contents, Looked};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Days read at once: of one files are fetched while those of another are looked through.
const CONCURRENCY: usize = 2;

/// How often an aggregator is looked at that another run changes meanwhile.
const MAX_ATTEMPTS: u32 = 3;

/// What was found in a lake.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) aggregators: Vec<Found>,
    pub(crate) inventory: Inventory,
}

/// Something that is not as it must be.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The day that it is of, if it is of one.
    date: Option<SnapshotDate>,
    part: Part,
    /// Whether it is what a stopped run left, which the next session completes.
    is_left: bool,
    /// The day by which what trend tables must be cannot be computed, where that is the problem.
    unknown_by: Option<SnapshotDate>,
    pub(crate) what: String,
}

/// What a problem is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A day's snapshot, and what the ledger says of it: it is only written while the journal names the day.
    Snapshot,
    /// What is computed.
    Trends,
    /// What is held.
    Held,
    /// The ledger itself, a month: what no next run completes.
    Other,
}

impl Part {
    fn of(table: Table) -> Self {
        match table {
            Table::Runs => Self::Other,
            table if table.is_derived() => Self::Trends,
            _ => Self::Snapshot,
        }
    }
}

/// What was found of a dataset of an aggregator.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) aggregator: AggregatorId,
    pub(crate) dataset: &'static Dataset,
    /// Its days, in order.
    pub(crate) days: Vec<SnapshotDate>,
    pub(crate) files: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) problems: Vec<Problem>,
    /// What may only seem so, since another run is writing it, and which.
    pub(crate) in_progress: Vec<String>,
    /// Calendar days without a snapshot, each run of them by its first and last.
    pub(crate) gaps: Vec<(SnapshotDate, SnapshotDate)>,
    /// Days whose own files were dropped, since their months have them.
    pub(crate) dropped: Vec<SnapshotDate>,
    /// Days that are held.
    pub(crate) held: Vec<SnapshotDate>,
    /// Days whose ledger is gone, cannot be read, or is not what the documents of its rows are.
    wrong_ledgers: Vec<SnapshotDate>,
    /// Months that are not what their days are.
    wrong_months: BTreeSet<Month>,
    /// Computed tables of dropped days that are damaged or gone, and that their months have.
    in_months_alone: Vec<(Table, SnapshotDate)>,
    /// Days whose ledger can be read, and not each of its rows as a document that says the same.
    unlike_documents: BTreeSet<SnapshotDate>,
}

impl Problem {
    fn of(date: SnapshotDate, what: impl Into<String>) -> Self {
        Self::new(Some(date), Part::Other, what.into())
    }

    /// One of all that is computed.
    fn of_trends(what: String) -> Self {
        Self::new(None, Part::Trends, what)
    }

    fn new(date: Option<SnapshotDate>, part: Part, what: String) -> Self {
        Self { date, part, is_left: false, unknown_by: None, what }
    }

    /// The same, without what another problem says already of why.
    fn once(mut self, told: &[Self]) -> Self {
        let why = |told: &Self| Some((self.what.strip_suffix(&told.what).filter(|own| !own.is_empty())?, told.date?));
        if let Some((own, date)) = told.iter().find_map(why) {
            self.what = format!("{own}see the problem of {date}");
        }
        self
    }
}

impl Found {
    /// How many of the problems the next run completes: none of what no run of these settings collects.
    pub(crate) fn completed_by_next(&self, settings: &Settings) -> usize {
        let is_collected = settings.collects(&self.aggregator, self.dataset);
        self.problems.iter().filter(|problem| is_collected && problem.is_left).count()
    }
}

impl Verified {
    /// How many problems there are.
    pub(crate) fn problems(&self) -> usize {
        self.aggregators.iter().map(|found| found.problems.len()).sum::<usize>() + self.problems_of_none()
    }

    /// How many of them are of no aggregator.
    pub(crate) fn problems_of_none(&self) -> usize {
        let in_tables = self.inventory.unexpected.iter().filter(|object| object.in_a_table).count();
        // A lake that has nothing is another than the one that is meant.
        in_tables + usize::from(self.aggregators.is_empty())
    }
}

/// Verifies the days of these aggregators, or of every one that the lake has.
///
/// # Errors
/// A store that does not answer. What is wrong with a file is in what was found.
pub(crate) async fn verify(
    session: &Session<'_>,
    only: Option<&BTreeSet<AggregatorId>>,
    span: Span,
) -> anyhow::Result<Verified> {
    let first = session.lake.inventory((session.clock)()).await?;
    let inventory = &first;
    let known = inventory.aggregators();
    let ids: Vec<&AggregatorId> = known.iter().filter(|id| only.is_none_or(|only| only.contains(id))).collect();
    let datasets = |id| inventory.datasets(id).into_iter().map(move |dataset| (id, dataset));
    let passes = ids.into_iter().flat_map(datasets).map(|(id, dataset)| (id, dataset, weight(inventory, dataset, id)));
    let passes: Vec<(&AggregatorId, &Dataset, u32)> = passes.collect();
    let largest = passes.iter().map(|(_, _, weight)| *weight).max().unwrap_or_default();
    let most_chains = u32::try_from(workers()).unwrap_or(1);
    let room = largest.max(most_chains.saturating_mul(ROOM_OF_A_CHAIN));
    let memory = Semaphore::new(room as usize);
    let each = passes.into_iter().map(async |(id, dataset, weight)| {
        let chains = (room / weight).clamp(1, most_chains);
        let _permit = memory.acquire_many(weight * chains).await?;
        Box::pin(aggregator(session, inventory, (dataset, id), span, chains as usize)).await
    });
    let (mut aggregators, mut latest) = (Vec::new(), None::<Listed>);
    let mut each = Box::pin(stream::iter(each).buffered(workers()));
    while let Some((found, later)) = each.try_next().await? {
        aggregators.push(found);
        latest = latest.into_iter().chain(later).max_by_key(|listed| listed.at);
    }
    drop(each);
    Ok(Verified { aggregators, inventory: latest.map_or(first, |latest| latest.inventory) })
}

/// Aggregators verified at once, which depend on nothing of each other.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// What an aggregator takes of the memory, in KiB of its largest snapshot's file: together those that are verified at once take no
/// more than the largest one alone, or than small ones.
fn weight(inventory: &Inventory, dataset: &Dataset, id: &AggregatorId) -> u32 {
    let facts = inventory
        .partitions
        .iter()
        .filter(|(partition, _)| partition.aggregator == *id && partition.table == dataset.facts);
    let largest = facts.map(|(_, object)| object.bytes / 1024).max().unwrap_or_default();
    u32::try_from(largest).unwrap_or(u32::MAX).clamp(MIN_WEIGHT, MAX_WEIGHT)
}

/// What a small aggregator takes besides its rows, in KiB of a snapshot's file.
const MIN_WEIGHT: u32 = 64;

/// What a chain of days that nobody calls large takes, in the same: some 100,000 rows.
const ROOM_OF_A_CHAIN: u32 = 512;

/// Fewer days than these are no chain of their own: each reads a window of days before its first.
const CHAIN_DAYS: usize = 20;

/// As much as can be counted.
const MAX_WEIGHT: u32 = 1 << 28;

/// An inventory, and when it was made.
struct Listed {
    at: DateTime<Utc>,
    inventory: Inventory,
}

/// Verifies a dataset of an aggregator; gives the inventory as well that was made since, if another was.
async fn aggregator(
    session: &Session<'_>,
    inventory: &Inventory,
    (dataset, id): (&'static Dataset, &AggregatorId),
    span: Span,
    chains: usize,
) -> anyhow::Result<(Found, Option<Listed>)> {
    let (keep, today, lake) = (&session.settings.keep, session.today(), &session.lake.of(dataset));
    let (mut later, mut attempt): (Option<Listed>, u32) = (None, 0);
    loop {
        attempt += 1;
        let inventory = later.as_ref().map_or(inventory, |later| &later.inventory);
        let pending = Journal::peek(lake, id).await?;
        let history = History::of(lake, inventory, keep.statuses_from(dataset, today), &[id]).await?;
        let verifying = Verifying {
            lake,
            dataset,
            inventory,
            history: &history,
            id,
            span,
            chains,
            snapshots_from: keep.snapshots_from(today),
            pending: &pending,
            progress: &session.progress,
        };
        let mut found = verifying.aggregator().await?;
        for date in found.days.iter().filter(|date| **date > session.today_there()) {
            let what = format!(
                "{date} has not begun yet (UTC): it was committed by a clock that was ahead, and is of another day; move its objects \
                 away, those of _compline/ledger and _compline/runs as well, then `compline trends`"
            );
            found.problems.push(Problem::of(*date, what));
        }
        if found.problems.is_empty() {
            return Ok((found, later));
        }
        // What is wrong may be what another run has replaced since the inventory was made.
        let at = (session.clock)();
        let now = lake.inventory(at).await?;
        let changed = objects_of(&now, id) != objects_of(inventory, id) || Journal::peek(lake, id).await? != pending;
        later = Some(Listed { at, inventory: now });
        if changed && attempt < MAX_ATTEMPTS {
            continue;
        }
        set_apart(session, &mut found, &pending).await?;
        return Ok((found, later));
    }
}

/// The objects of an aggregator.
fn objects_of(inventory: &Inventory, id: &AggregatorId) -> BTreeMap<String, Object> {
    let days = inventory.partitions.iter().filter(|(partition, _)| partition.aggregator == *id);
    let days = days.map(|(partition, object)| (partition.key(), *object));
    let held = inventory.held.iter().filter(|(partition, _)| partition.aggregator == *id);
    let held = held.map(|(partition, object)| (format!("held {}", partition.key()), *object));
    let months = inventory.months.iter().filter(|(month, _)| month.aggregator == *id);
    days.chain(held).chain(months.map(|(month, object)| (month.key(), *object))).collect()
}

/// Sets apart the problems of days that another run is writing at this moment, and those that the next session puts right where a run was
/// stopped: what that run was changing is neither as it was nor as it will be, and nothing of it is damaged. Nothing else is set apart: what
/// no session puts right is told whoever was stopped.
async fn set_apart(session: &Session<'_>, found: &mut Found, before: &Pending) -> anyhow::Result<()> {
    let (id, lake) = (&found.aggregator, session.lake.of(found.dataset));
    let holder = session.other_holder(id).await?;
    // After that: an entry that is gone by then is of a run that came to its end.
    let after = &Journal::peek(&lake, id).await?;
    // What another run than the holder's left is not being written.
    let is_holder = |run_id: &RunId| holder.as_ref().is_some_and(|holder| run_id.to_string() == holder.run_id);
    if let Some(holder) = &holder {
        let is_written = |pending: &Pending, date: SnapshotDate| {
            pending.days.iter().any(|day| is_holder(&day.run_id) && day.date == date)
        };
        let is_behind = |pending: &Pending, date: Option<SnapshotDate>| {
            let is_from = pending.trends_from.is_some_and(|from| date.is_none_or(|date| date >= from));
            is_from && pending.runs.iter().any(is_holder)
        };
        let is_written = |problem: &Problem| match problem.date {
            Some(date) if is_written(before, date) || is_written(after, date) => true,
            date => problem.part == Part::Trends && (is_behind(before, date) || is_behind(after, date)),
        };
        for problem in found.problems.extract_if(.., |problem| is_written(problem)) {
            found.in_progress.push(format!("{} (being written by {holder})", problem.what));
        }
    }
    if before.is_of_newer || after.is_of_newer {
        found.problems.iter_mut().for_each(|problem| problem.is_left = false);
        return Ok(());
    }
    let mut completed: BTreeMap<SnapshotDate, Completes> = BTreeMap::new();
    for day in before.days.iter().filter(|day| after.days.contains(day) && !is_holder(&day.run_id)) {
        if !found.wrong_ledgers.contains(&day.date) {
            let done = day.completes(&lake, id).await?;
            let of_day = completed.entry(day.date).or_default();
            *of_day = Completes { snapshot: of_day.snapshot || done.snapshot, held: of_day.held || done.held };
        }
    }
    let is_completed = |problem: &Problem| {
        let of_day =
            problem.date.or(problem.unknown_by).and_then(|date| completed.get(&date)).copied().unwrap_or_default();
        match problem.part {
            Part::Snapshot | Part::Trends => of_day.snapshot,
            Part::Held => of_day.held,
            Part::Other => false,
        }
    };
    found.problems.retain(|problem| problem.is_left || !is_completed(problem));
    let waits = |date: SnapshotDate| [before, after].iter().all(|all| all.trends_from.is_some_and(|from| from <= date));
    for problem in found.problems.iter_mut().filter(|problem| problem.part == Part::Trends) {
        problem.is_left |= problem.date.is_some_and(waits);
    }
    Ok(())
}

/// What was found of trend tables.
struct VerifiedTrends {
    /// What of them is not what the snapshots say.
    problems: Vec<Problem>,
    /// The days whose trend tables are, each row and column of them, so that nobody need read them again.
    sound: BTreeSet<SnapshotDate>,
    /// What was found in the facts, as far as they were looked at whole.
    facts: BTreeMap<SnapshotDate, Contents>,
}

/// Days whose trend tables are compared with nothing.
struct Unknown {
    /// The first of them, where there is one.
    from: Option<SnapshotDate>,
    /// Whether that is all, and not every later day as well.
    is_one_day: bool,
    error: anyhow::Error,
}

impl Unknown {
    fn problem(&self) -> Problem {
        let days = match self.from {
            Some(date) if self.is_one_day => format!("the trend tables of {date}"),
            Some(date) => format!("the trend tables from {date} on"),
            None => "the trend tables".to_owned(),
        };
        // The error last, so that it is told once.
        let what = format!("what {days} must be cannot be computed: {:#}", self.error);
        Problem { unknown_by: self.from, ..Problem::of_trends(what) }
    }
}

/// An aggregator that is verified.
struct Verifying<'a> {
    lake: &'a Lake,
    dataset: &'static Dataset,
    inventory: &'a Inventory,
    history: &'a History,
    id: &'a AggregatorId,
    span: Span,
    /// How many chains of days may be computed at once.
    chains: usize,
    /// The first day whose snapshot is retained, as the settings say.
    snapshots_from: Option<SnapshotDate>,
    pending: &'a Pending,
    progress: &'a Progress,
}

impl Verifying<'_> {
    async fn aggregator(&self) -> anyhow::Result<Found> {
        let tables = self.tables();
        let mut found = self.listed(&tables);
        let mut ledgers = BTreeMap::new();
        let gone = self.ledgers_that_are_gone().await?;
        let read = self.ledgers(&tables).await;
        let corrected = self.documents(&read, &mut found).await?;
        let wrong_ledgers: BTreeSet<SnapshotDate> = corrected.keys().copied().collect();
        let trends = self.trends(&read, &corrected).await;
        for day in self.days(&tables, &gone, (read, trends.facts), corrected, &trends.sound).await? {
            found.rows += day.snapshot_rows;
            found.problems.extend(day.problems);
            for (table, what) in day.lost {
                self.lost(table, day.date, &what, &mut found).await?;
            }
            found.dropped.extend(day.is_dropped.then_some(day.date));
            found.wrong_ledgers.extend(day.ledger_is_damaged.then_some(day.date));
            ledgers.insert(day.date, day.ledger);
        }
        for (date, can_be_made) in gone {
            let how = match can_be_made {
                true => "`compline verify FILE --repair` makes it again",
                false => "restore it, and the day's other objects",
            };
            let what = format!("runs of {date} is not there, and the documents of its runs are: {how}");
            found.problems.push(Problem::of(date, what));
            found.wrong_ledgers.push(date);
        }
        found.gaps = gaps(&found.days.iter().chain(&found.dropped).copied().collect());
        let of_trends: Vec<Problem> = trends.problems.into_iter().map(|one| one.once(&found.problems)).collect();
        found.problems.extend(of_trends);
        self.months(&ledgers, &wrong_ledgers, &mut found).await?;
        let told = ledgers.iter().filter(|(_, ledger)| ledger.held().is_some()).map(|(date, _)| *date);
        for date in found.held.iter().copied().chain(told).collect::<BTreeSet<_>>() {
            // A ledger that is damaged is told already, and says nothing of what is held.
            if let Some(ledger) = ledgers.get(&date).filter(|ledger| !ledger.is_empty()) {
                found.problems.extend(self.held(date, ledger).await);
            }
        }
        Ok(found)
    }

    /// Tells a computed table of a dropped day that is damaged or gone.
    async fn lost(&self, table: Table, date: SnapshotDate, what: &str, found: &mut Found) -> anyhow::Result<()> {
        let month = Month { table, month: SnapshotMonth::from(date), aggregator: self.id.clone() };
        let is_in_month = self.lake.days_within(self.inventory, &month).await?.contains_key(&date);
        let how = match is_in_month {
            true => "`compline verify FILE --repair` takes it from its month's file",
            false => {
                "the day's snapshot was dropped, so that it cannot be computed again: restore an earlier version of the object"
            }
        };
        found.in_months_alone.extend(is_in_month.then_some((table, date)));
        found.problems.push(Problem::of(date, format!("{what}, and {how}")));
        Ok(())
    }

    /// Days of which there are documents of runs and no ledger, each with whether it can be made again.
    async fn ledgers_that_are_gone(&self) -> anyhow::Result<BTreeMap<SnapshotDate, bool>> {
        let Self { lake, inventory, history, id, span, .. } = *self;
        if self.dataset != &Dataset::PACKS {
            // Datasets share the ledger: it is told with that of packs.
            return Ok(BTreeMap::new());
        }
        let there = inventory.days(Table::Runs, id);
        let of_rows = inventory.ledgers.iter().filter(|(of, _)| of == id).map(|(_, date)| *date);
        // Versions before these wrote a report of each run alone, of all its aggregators.
        let first = there.first().copied().into_iter().chain(history.days(id, Span::default()).next()).min();
        let of_runs =
            inventory.runs.iter().map(|(date, _)| *date).filter(|date| first.is_some_and(|first| *date >= first));
        let mut gone = BTreeMap::new();
        for date in of_rows.chain(of_runs).collect::<BTreeSet<_>>() {
            if span.has(date) && !there.contains(&date) && !self.is_first_of_day(date).await? {
                let told = Ledger::is_told(lake, id, date, history.has_snapshot(id, date)).await?;
                gone.extend(told.map(|can_be_made| (date, can_be_made)));
            }
        }
        Ok(gone)
    }

    /// Whether only runs that are not done yet have changed a day, or begun to: of those the ledger lacks what a document says already.
    async fn is_first_of_day(&self, date: SnapshotDate) -> anyhow::Result<bool> {
        if !self.pending.has(date) {
            return Ok(false);
        }
        let noted = self.lake.noted_rows(self.id, date).await?;
        Ok(noted.iter().all(|run_id| self.is_of_pending(date, &run_id.to_string())))
    }

    /// Whether a run is at a day, or was stopped at it.
    fn is_of_pending(&self, date: SnapshotDate, run_id: &str) -> bool {
        self.pending.days.iter().any(|day| day.date == date && day.run_id.to_string() == run_id)
    }

    /// The tables of each day, with their sizes.
    fn tables(&self) -> BTreeMap<SnapshotDate, BTreeMap<Table, u64>> {
        let mut tables: BTreeMap<SnapshotDate, BTreeMap<Table, u64>> = BTreeMap::new();
        for (partition, object) in &self.inventory.partitions {
            let is_of = partition.table == Table::Runs || Dataset::of(partition.table) == Some(self.dataset);
            if partition.aggregator == *self.id && self.span.has(partition.date) && is_of {
                tables.entry(partition.date).or_default().insert(partition.table, object.bytes);
            }
        }
        tables
    }

    /// What the inventory alone says.
    fn listed(&self, tables: &BTreeMap<SnapshotDate, BTreeMap<Table, u64>>) -> Found {
        let Self { inventory, history, id, span, .. } = *self;
        let is_of = |held: &&Partition| held.aggregator == *id && Dataset::of(held.table) == Some(self.dataset);
        let held = inventory.held.keys().filter(is_of).filter(|held| span.has(held.date));
        let held: BTreeSet<SnapshotDate> = held.map(|held| held.date).collect();
        // The ledger is counted once.
        let counts = |table: &Table| *table != Table::Runs || self.dataset == &Dataset::PACKS;
        Found {
            aggregator: id.clone(),
            dataset: self.dataset,
            days: history.days(id, span).collect(),
            files: tables.values().map(|tables| tables.keys().filter(|table| counts(table)).count() as u64).sum(),
            rows: 0,
            bytes: tables.values().flatten().filter(|(table, _)| counts(table)).map(|(_, bytes)| bytes).sum(),
            problems: Vec::new(),
            in_progress: Vec::new(),
            gaps: Vec::new(),
            dropped: Vec::new(),
            held: held.into_iter().collect(),
            wrong_ledgers: Vec::new(),
            wrong_months: BTreeSet::new(),
            in_months_alone: Vec::new(),
            unlike_documents: BTreeSet::new(),
        }
    }

    /// Reads the ledgers, which the trends ask as well.
    async fn ledgers(&self, tables: &BTreeMap<SnapshotDate, BTreeMap<Table, u64>>) -> BTreeMap<SnapshotDate, Looked> {
        let there = tables.iter().filter(|(_, tables)| tables.contains_key(&Table::Runs)).map(|(date, _)| *date);
        let each = there.map(async |date| {
            let partition = Partition { table: Table::Runs, date, aggregator: self.id.clone() };
            (date, day::look(self.lake, self.dataset, &partition).await)
        });
        stream::iter(each).buffered(READ_CONCURRENCY).collect().await
    }

    /// Verifies the days, of whose ledgers and facts what was read already is given.
    async fn days(
        &self,
        tables: &BTreeMap<SnapshotDate, BTreeMap<Table, u64>>,
        gone: &BTreeMap<SnapshotDate, bool>,
        (mut ledgers, mut facts): (BTreeMap<SnapshotDate, Looked>, BTreeMap<SnapshotDate, Contents>),
        mut corrected: BTreeMap<SnapshotDate, Ledger>,
        sound: &BTreeSet<SnapshotDate>,
    ) -> anyhow::Result<Vec<day::Verified>> {
        let Self { lake, dataset, history, id, .. } = *self;
        let bar = self.progress.steps(tables.len() as u64, "days");
        bar.set_message(id.to_string());
        let dropped = history.dropped(id);
        // The datasets share the ledger, and of those that have a day or documents packs tell it.
        let is_told_of_packs = |date: &SnapshotDate| {
            let facts = Partition { table: Dataset::PACKS.facts, date: *date, aggregator: id.clone() };
            let has_some = self.inventory.partitions.contains_key(&facts);
            dataset != &Dataset::PACKS && (has_some || self.inventory.ledgers.contains(&(id.clone(), *date)))
        };
        let mut looked = |date: &SnapshotDate| {
            let ledger = ledgers.remove(date).map(|ledger| (Table::Runs, ledger));
            let facts = facts.remove(date).map(|facts| (dataset.facts, Ok(Some(facts))));
            ledger.into_iter().chain(facts).collect()
        };
        let mut parts = |date: &SnapshotDate| (looked(date), corrected.remove(date));
        let each =
            tables.iter().map(|(date, tables)| (date, tables, parts(date))).map(async |(date, tables, parts)| {
                let (looked, corrected) = parts;
                let day = day::Day {
                    lake,
                    dataset,
                    id,
                    date: *date,
                    trends_are_sound: sound.contains(date),
                    looked,
                    corrected,
                    ledger_is_told: gone.contains_key(date) || is_told_of_packs(date),
                    status_is_dropped: history.status_is_dropped(id, *date),
                    was_dropped_before_the_ledger_said_so: dropped.contains(date)
                        && self.snapshots_from.is_some_and(|from| *date < from),
                };
                let day = day.verify(tables).await;
                bar.inc(1);
                day
            });
        let each: Vec<day::Verified> = stream::iter(each).buffered(CONCURRENCY).try_collect().await?;
        bar.finish_and_clear();
        Ok(each)
    }

    /// What is wrong with what is held of a day: it is both files that the ledger says, or nobody can accept it.
    async fn held(&self, date: SnapshotDate, ledger: &Ledger) -> Option<Problem> {
        let why = match held(self.lake, self.id, date, ledger).await {
            Ok(Holding::Nothing | Holding::It(_)) => return None,
            Ok(Holding::Unsound(why)) => why,
            Err(error) => error.to_string(),
        };
        let what = format!("what is held of {date} cannot be accepted: {why}; {}", hint(self.dataset, self.id, date));
        Some(Problem::new(Some(date), Part::Held, what))
    }

    /// Computes the trend tables, and compares those that are there.
    async fn trends(
        &self,
        ledgers: &BTreeMap<SnapshotDate, Looked>,
        corrected: &BTreeMap<SnapshotDate, Ledger>,
    ) -> VerifiedTrends {
        let Self { lake, dataset, history, id, span, pending, .. } = *self;
        let mut problems = Vec::new();
        let next = "the next run, `compline trends`, or for an aggregator that the file no longer has `compline verify --repair` completes it";
        // Of no snapshot there are no trends.
        let has_days = |from: SnapshotDate| history.days(id, Span { from: Some(from), to: None }).next().is_some();
        if let Some(from) = pending.trends_from.filter(|from| has_days(*from)) {
            let from = if from == SnapshotDate::FIRST { "every day".to_owned() } else { format!("{from} on") };
            let what =
                format!("the trends from {from} are out of date, since a run was stopped or a file is damaged; {next}");
            problems.push(Problem { is_left: true, ..Problem::of_trends(what) });
        }
        for PendingDay { run_id, date, is_known, .. } in &pending.days {
            let next = if *is_known { next } else { "it is of a newer compline, which completes it: use that version" };
            let what = format!("run {run_id} was stopped while it changed what there is of {date}; {next}");
            problems.push(Problem { is_left: *is_known, ..Problem::of(*date, what) });
        }
        let bar = self.progress.steps(history.days(id, span).count() as u64, "days recomputed");
        bar.set_message(id.to_string());
        let told = ledgers.iter().filter_map(|(date, looked)| {
            let in_file = looked.as_ref().ok()?.as_ref()?.ledger()?;
            Some((*date, Told::of(corrected.get(date).unwrap_or(&in_file.ledger))?))
        });
        let facts: Arc<Mutex<BTreeMap<SnapshotDate, Contents>>> = Arc::default();
        let noted = Arc::clone(&facts);
        let look = move |date, file: TableFile| -> Box<dyn RowSource> {
            let count = file.row_count();
            // A large one is read a part at a time, and again with its day. So is one that does not decode, which is told of there.
            let whole = (count <= PART_ROWS).then(|| file.rows(0..count, None).ok()).flatten();
            let Some(rows) = whole else { return Box::new(file) };
            if let Ok(contents) = Contents::of(dataset, dataset.facts, &file, &rows) {
                noted.lock().unwrap_or_else(PoisonError::into_inner).insert(date, contents);
            }
            Box::new(rows)
        };
        let shared = &Shared { told: told.collect(), look: Arc::new(look) };
        let compute = async |span: Span| {
            let (mut computed, mut unknown) = (Computed::default(), Vec::new());
            let mut from = span.from;
            loop {
                let (span, mut rest) = (Span { from, ..span }, Computed::default());
                let on_day = |_| bar.inc(1);
                let computing =
                    Computing { lake, history, id, span, state_of: None, shared: Some(shared), on_day: &on_day };
                let done = Box::pin(computing.compute(None, None, &mut rest)).await;
                let last_done = rest.days.last().copied().filter(|last| span.has(*last));
                if !unknown.is_empty() {
                    // What is there to go on from was told of by the pass before.
                    [&mut rest.days, &mut rest.differed, &mut rest.facts_only]
                        .into_iter()
                        .for_each(|days| days.retain(|date| span.has(*date)));
                }
                // The days before one that cannot be computed are compared all the same.
                computed.add(rest);
                let Err(error) = done else { return (computed, unknown) };
                let first = last_done.map_or(from.unwrap_or(SnapshotDate::FIRST), SnapshotDate::next);
                let is_facts_only = |date: &&SnapshotDate| {
                    let told = shared.told.get(*date).and_then(|told| told.population.as_ref());
                    told.is_some_and(|population| population.facts_only)
                };
                let failed = history.with_lost(id).range(first..).find(|date| !is_facts_only(date)).copied();
                // So are those after it, if what they go on from is there.
                let is_the_first = unknown.is_empty() || last_done.is_some();
                let goes_on = failed.filter(|failed| {
                    is_the_first
                        && crate::journal::is_damage(&error)
                        && history.days(id, Span { from: Some(failed.next()), ..span }).next().is_some()
                        && [dataset.status, dataset.trends]
                            .iter()
                            .all(|table| history.computed(*table, id).contains(failed))
                });
                unknown.push(Unknown { from: failed, is_one_day: goes_on.is_some(), error });
                let Some(failed) = goes_on else { return (computed, unknown) };
                from = Some(failed.next());
            }
        };
        let is_sound = |(computed, unknown): &(Computed, Vec<Unknown>)| {
            unknown.is_empty() && computed.differed.is_empty() && computed.facts_only.is_empty()
        };
        // A chain begins with the state that is stored of the day before, and what that is, the chain before says. So what the first one
        // says that is not sound is right, and what those after it say may not be: their days are computed again, in one chain with its.
        let spans = chain_spans(&history.days(id, span).collect::<Vec<_>>(), span, self.chains);
        let mut chains = join_all(spans.iter().copied().map(compute)).await;
        let first_unsound = chains.iter().position(|computed| !is_sound(computed));
        if let Some(first) = first_unsound.filter(|first| first + 1 < chains.len()) {
            chains.truncate(first);
            chains.push(compute(Span { from: spans[first].from, ..span }).await);
        }
        bar.finish_and_clear();
        let mut sound = BTreeSet::new();
        for (computed, unknown) in chains {
            let differ = |date: &SnapshotDate| {
                let what = format!("the trend tables of {date} are not what the snapshots say");
                Problem::new(Some(*date), Part::Trends, what)
            };
            problems.extend(computed.differed.iter().map(differ));
            let needless =
                |date: &SnapshotDate| Problem::of(*date, format!("{date} is facts only, and has trend tables"));
            problems.extend(computed.facts_only.iter().map(needless));
            sound.extend(computed.days.iter().filter(|date| !computed.differed.contains(date)));
            problems.extend(unknown.iter().map(Unknown::problem));
        }
        let facts = mem::take(&mut *facts.lock().unwrap_or_else(PoisonError::into_inner));
        VerifiedTrends { problems, sound, facts }
    }
}

/// A span in as many parts as may be, each of [`CHAIN_DAYS`] at least of the days that it has.
fn chain_spans(days: &[SnapshotDate], span: Span, most: usize) -> Vec<Span> {
    let parts = (days.len() / CHAIN_DAYS).clamp(1, most.max(1));
    let mut firsts: Vec<Option<SnapshotDate>> =
        days.chunks(days.len().div_ceil(parts).max(1)).map(|part| part.first().copied()).collect();
    // The first part has what is before its first day as well, and the last what is after.
    match firsts.first_mut() {
        Some(first) => *first = span.from,
        None => firsts.push(span.from),
    }
    let ends =
        firsts.iter().skip(1).map(|next| next.map(|next| next.minus_days(1))).chain([span.to]).collect::<Vec<_>>();
    firsts.into_iter().zip(ends).map(|(from, to)| Span { from, to }).collect()
}

/// The calendar days between the first and the last that are not among them.
fn gaps(days: &BTreeSet<SnapshotDate>) -> Vec<(SnapshotDate, SnapshotDate)> {
    let pairs = days.iter().copied().zip(days.iter().copied().skip(1));
    pairs.filter(|(one, other)| one.next() != *other).map(|(one, other)| (one.next(), other.minus_days(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chains_have_each_day_once_and_are_long_enough_and_begin_and_end_as_all_of_them(
            count in 0_usize..1000,
            most in 0_usize..9,
            is_open in any::<bool>(),
        ) {
            let last: SnapshotDate = "2026-03-01".parse().expect("a date");
            // Every third day is a gap.
            let days: Vec<SnapshotDate> =
                (0..u32::try_from(count).expect("few")).rev().filter(|ago| ago % 3 > 0).map(|ago| last.minus_days(ago)).collect();
            let span = if is_open { Span::default() } else { Span { from: days.first().copied(), to: Some(last) } };
            let spans = chain_spans(&days, span, most);
            prop_assert!(!spans.is_empty() && spans.len() <= most.max(1));
            prop_assert_eq!((spans[0].from, spans[spans.len() - 1].to), (span.from, span.to));
            prop_assert!(days.iter().all(|day| spans.iter().filter(|span| span.has(*day)).count() == 1));
            let of = |span: &Span| days.iter().filter(|day| span.has(**day)).count();
            prop_assert!(spans.len() == 1 || spans.iter().all(|span| of(span) * 2 > CHAIN_DAYS), "{spans:?}");
        }
    }
}

//! What is retained for how long, and in which form: months compacted, and what the settings say is old enough dropped.
//!
//! A snapshot's own files are dropped only once its month's file is verified to have these very rows, by checksum: what was
//! visible stays visible, in another place.

mod own;
mod plan;

use crate::catalog::{Cataloguing, will_be_behind};
use crate::history::{History, Span};
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::progress::named;
use crate::proof::Proof;
use crate::session::Session;
use crate::summary::counted;
use crate::trends::{Computed, Computing};
use compline_model::{AggregatorId, Dataset, SnapshotDate, SnapshotMonth, Table};
use compline_sink::{Inventory, Lake, Month, MonthPlan, Object, Partition, SinkError};
use indicatif::HumanBytes;
use own::Old;
use plan::{Plan, old_statuses, plan};
use std::collections::{BTreeMap, BTreeSet};

/// What was done, or would be.
pub(crate) struct Maintained {
    pub(crate) lines: Vec<String>,
    /// Whether nothing was left as it is for a file that is damaged or trends that are out of date.
    pub(crate) is_complete: bool,
}

/// How far maintaining an aggregator came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Nothing,
    All,
    Part,
}

/// Says what would be done.
///
/// # Errors
/// A lake that does not answer.
pub(crate) async fn planned(session: &Session<'_>) -> anyhow::Result<Maintained> {
    let inventory = session.lake.inventory(session.started_at).await?;
    let (mut lines, mut nothing, mut is_complete) = (Vec::new(), true, true);
    for (id, dataset) in passes(session, &inventory) {
        let (lake, name) = (session.lake.of(dataset), named(id, dataset.name));
        let pending = Journal::peek(&lake, id).await?;
        let plan = match pending.trends_from {
            Some(from) => Plan::none(out_of_date(from)),
            None => plan(session, &lake, &inventory, id).await?,
        };
        nothing &= plan.is_empty();
        is_complete &= !plan.is_damaged && pending.trends_from.is_none();
        lines.extend(plan.notes.iter().map(|note| format!("{name}: {note}")));
        let compactions = plan.compact.iter();
        lines.extend(compactions.map(|one| {
            format!("{name}: would compact {} into {}", counted(one.all().count(), "day"), one.month.key())
        }));
        if let Some(date) = lacking_state(&inventory, dataset, id, &plan.drop) {
            lines.push(format!("{name}: would compute {}", state_of(dataset, date)));
        }
        lines.extend(drops(dataset, id, &plan, &plan.drop, &inventory, "would drop"));
        let old = Old::of(session, &inventory, Some((dataset, id))).await?;
        nothing &= old.is_empty();
        lines.extend(old.lines("would remove").into_iter().map(|line| format!("{name}: {line}")));
    }
    let old = Old::of(session, &inventory, None).await?;
    nothing &= old.is_empty();
    lines.extend(old.lines("would remove"));
    let last = match (nothing, is_complete) {
        (true, true) => "nothing to do",
        (true, false) => "nothing else to do",
        (false, _) => "dry run: nothing was changed, use --apply",
    };
    lines.push(last.to_owned());
    Ok(Maintained { lines, is_complete })
}

/// The aggregators of the settings, each with those of its datasets that there is something of. The ledger is maintained with packs, and
/// after what is dropped of others, which gives it rows.
fn passes<'a>(session: &'a Session<'_>, inventory: &Inventory) -> Vec<(&'a AggregatorId, &'static Dataset)> {
    let of = |id: &'a AggregatorId| inventory.datasets(id).into_iter().rev().map(move |dataset| (id, dataset));
    session.settings.ids().flat_map(of).collect()
}

/// Does it: first what adds, then what drops.
///
/// # Errors
/// A lake that does not answer, or a lease that was lost. What was done until then is logged.
pub(crate) async fn applied(session: &Session<'_>) -> anyhow::Result<Maintained> {
    session.check_date(session.today(), "S3", session.clock_offset())?;
    let (mut lines, mut nothing, mut is_complete) = (Vec::new(), true, true);
    will_be_behind(&session.lake, None).await;
    let inventory = session.lake.inventory(session.started_at).await?;
    for (id, dataset) in passes(session, &inventory) {
        let (done, told) = session.guarded(id, applied_for(session, dataset, id)).await?;
        nothing &= done == Progress::Nothing;
        is_complete &= done != Progress::Part;
        lines.extend(told);
    }
    // Reports of whole runs are of no one aggregator.
    let inventory = session.lake.inventory(session.started_at).await?;
    let old = Old::of(session, &inventory, None).await?;
    old.remove(&session.lake).await?;
    lines.extend(old.lines("removed"));
    if nothing && old.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    if let Some(cataloguing) = Cataloguing::open(session.settings).await? {
        match cataloguing.complete(&session.lake, session.today()).await {
            Ok(changes) => lines.extend(changes.iter().map(|change| format!("catalog: {change}"))),
            // What was done to the lake is done, and said.
            Err(error) => {
                is_complete = false;
                lines.push(format!("the catalog does not know of it: {error}; `compline catalog FILE` completes it"));
            }
        }
    }
    Ok(Maintained { lines, is_complete })
}

/// Does it for a dataset of an aggregator. Gives how far it came, and what was done.
async fn applied_for(
    session: &Session<'_>,
    dataset: &'static Dataset,
    id: &AggregatorId,
) -> anyhow::Result<(Progress, Vec<String>)> {
    let mut journal = session.journal(dataset, id).await?;
    if let Some(from) = journal.trends_from() {
        journal.finish(Some(from)).await?;
        return Ok((Progress::Part, vec![format!("{}: {}", named(id, dataset.name), out_of_date(from))]));
    }
    let lake = session.lake_of(id).of(dataset);
    // After the journal is completed, which may change what there is.
    let inventory = lake.inventory(session.started_at).await?;
    let plan = plan(session, &lake, &inventory, id).await?;
    let undone = journal.undone();
    let is_damaged = plan.is_damaged || !undone.is_empty();
    let mut applying = Applying { is_damaged, ..Applying::of(session, lake, id) };
    plan.notes.iter().chain(&undone).for_each(|what| applying.tell(what));
    let old = Old::of(session, &inventory, Some((dataset, id))).await?;
    old.reject(&mut journal, &applying.lake, &own::row(session), id).await?;
    old.remove(&applying.lake).await?;
    old.lines("removed").into_iter().for_each(|line| applying.tell(line));
    // Days that are dropped get a row in their ledger, so its months come after that.
    let is_of_ledger = |one: &MonthPlan| one.month.table == Table::Runs;
    let (of_ledger, others): (Vec<_>, Vec<_>) = plan.compact.iter().cloned().partition(is_of_ledger);
    applying.compact(&others).await?;
    let proven = applying.proven(&plan.drop).await?;
    let Some(inventory) = applying.with_state(inventory, &proven).await? else {
        journal.finish(None).await?;
        return Ok((Progress::Part, applying.lines));
    };
    let dropped = applying.drop_days(&mut journal, &proven).await?;
    // So do those of the states, if one was computed.
    let behind = match dropped.is_empty() && !old.rejects() && applying.stored_state.is_none() {
        true => of_ledger,
        false => months_behind(session, &applying.lake, id).await?,
    };
    applying.compact(&behind).await?;
    let drop_statuses = applying.drop_statuses(&inventory, &dropped).await?;
    let plan = Plan { drop_statuses, ..plan };
    applying.lines.extend(drops(dataset, id, &plan, &dropped, &inventory, "dropped"));
    journal.finish(None).await?;
    let done = match (applying.is_damaged, plan.is_empty() && old.is_empty()) {
        (true, _) => Progress::Part,
        (false, true) => Progress::Nothing,
        (false, false) => Progress::All,
    };
    Ok((done, applying.lines))
}

/// The months that are out of date for what was dropped or computed since they were looked at: those of the ledger and of states.
async fn months_behind(session: &Session<'_>, lake: &Lake, id: &AggregatorId) -> anyhow::Result<Vec<MonthPlan>> {
    let inventory = lake.inventory(session.started_at).await?;
    let mut plan = plan(session, lake, &inventory, id).await?;
    plan.compact.retain(|one| one.month.table == Table::Runs || one.month.table == lake.dataset().status);
    Ok(plan.compact)
}

/// Makes months again that are not what their days are, as far as these are there. Gives what was done, or why it was not.
///
/// # Errors
/// A lake that does not answer.
pub(crate) async fn make_again(
    session: &Session<'_>,
    dataset: &'static Dataset,
    id: &AggregatorId,
    months: &BTreeSet<Month>,
) -> anyhow::Result<Vec<String>> {
    let mut applying = Applying::of(session, session.lake_of(id).of(dataset), id);
    applying.make_again(months).await?;
    Ok(applying.lines)
}

/// A plan that is being applied.
struct Applying<'a> {
    session: &'a Session<'a>,
    id: &'a AggregatorId,
    lake: Lake,
    /// What is told of it.
    lines: Vec<String>,
    /// Whether something is left as it is for a file that is damaged.
    is_damaged: bool,
    /// The day whose state was computed, if one had to be.
    stored_state: Option<SnapshotDate>,
}

impl<'a> Applying<'a> {
    fn of(session: &'a Session<'a>, lake: Lake, id: &'a AggregatorId) -> Self {
        Self { session, id, lake, lines: Vec::new(), is_damaged: false, stored_state: None }
    }

    fn tell(&mut self, what: impl std::fmt::Display) {
        self.lines.push(format!("{}: {what}", named(self.id, self.lake.dataset().name)));
    }

    async fn compact(&mut self, months: &[MonthPlan]) -> anyhow::Result<()> {
        for compaction in months {
            let key = compaction.month.key();
            let (bytes, _) = match self.lake.compact(compaction).await {
                // It costs its own month, and not the others.
                Err(error) if error.is_damage() => {
                    self.tell(format_args!("{key} is left as it is: {error}"));
                    self.is_damaged = true;
                    continue;
                }
                done => done?,
            };
            let (days, bytes) = (counted(compaction.all().count(), "day"), HumanBytes(bytes));
            tracing::info!(aggregator = %self.id, month = key, "compacted");
            self.tell(format_args!("compacted {days} into {key}, {bytes} (verified)"));
        }
        Ok(())
    }

    async fn make_again(&mut self, months: &BTreeSet<Month>) -> anyhow::Result<()> {
        let inventory = self.lake.inventory(self.session.started_at).await?;
        let plan = plan::again(&self.lake, &inventory, self.id, months).await?;
        plan.notes.iter().for_each(|note| self.tell(note));
        self.compact(&plan.compact).await
    }

    /// Of days to be dropped, the oldest first, those up to one that may not be. A month that is damaged is made again, where each of its
    /// days has a file of its own.
    async fn proven(&mut self, dates: &[SnapshotDate]) -> anyhow::Result<Vec<SnapshotDate>> {
        if dates.is_empty() {
            return Ok(Vec::new());
        }
        let (lake, id) = (self.lake.clone(), self.id);
        let mut proof = Proof::open(&lake, id).await?;
        let (mut proven, mut made_again) = (Vec::new(), BTreeSet::new());
        for date in dates {
            // The row of a ledger that cannot be read could not say that the day was dropped.
            let ledger = Ledger::sound_or_none(&lake, id, *date).await?;
            while !proof.holds(*date, &ledger, false).await? {
                let wrong: BTreeSet<Month> = proof.wrong_months().difference(&made_again).cloned().collect();
                if wrong.is_empty() {
                    self.is_damaged = true;
                    self.tell(format_args!(
                        "snapshots from {date} on are retained: their months do not have these very files, the files are damaged, or the \
                         ledger does not say what was committed"
                    ));
                    return Ok(proven);
                }
                self.make_again(&wrong).await?;
                proof.forget(&wrong);
                made_again.extend(wrong);
            }
            proven.push(*date);
        }
        Ok(proven)
    }

    /// Makes sure of the state that the first snapshot goes on from which is left once these are dropped. Gives the inventory
    /// with it; nothing where it cannot be told, so that none may be dropped.
    async fn with_state(
        &mut self,
        inventory: Inventory,
        dropped: &[SnapshotDate],
    ) -> anyhow::Result<Option<Inventory>> {
        let Some(date) = lacking_state(&inventory, self.lake.dataset(), self.id, dropped) else {
            return Ok(Some(inventory));
        };
        if let Err(why) = store_state(self.session, &self.lake, &inventory, self.id, date).await? {
            self.tell(format_args!("snapshots up to {date} are retained: {why}"));
            return Ok(None);
        }
        let inventory = self.lake.inventory(self.session.started_at).await?;
        // A day that is facts only has none.
        if lacking_state(&inventory, self.lake.dataset(), self.id, dropped).is_none() {
            self.stored_state = Some(date);
            self.tell(format_args!("computed {}", state_of(self.lake.dataset(), date)));
        }
        Ok(Some(inventory))
    }

    async fn drop_days(&mut self, journal: &mut Journal, dates: &[SnapshotDate]) -> anyhow::Result<Vec<SnapshotDate>> {
        if dates.is_empty() || !self.may_remove().await {
            return Ok(Vec::new());
        }
        let session = self.session;
        let dropped = journal.drop_days(dates, &own::row(session)).await?;
        self.is_damaged |= dropped.len() < dates.len();
        Ok(dropped)
    }

    /// Whether objects of tables may be removed, before anything says that they are: tried on one that is not there.
    async fn may_remove(&mut self) -> bool {
        let none =
            Partition { table: self.lake.dataset().facts, date: SnapshotDate::FIRST, aggregator: self.id.clone() };
        match self.session.lake.remove(&[none]).await {
            Ok(()) => true,
            Err(error) => {
                self.is_damaged = true;
                self.tell(format_args!("nothing is dropped: {error}"));
                false
            }
        }
    }

    /// Drops what is old enough of the states. Which, is worked out once more, since fewer days may have been dropped than were
    /// planned, and more of their states be there.
    async fn drop_statuses(
        &mut self,
        inventory: &Inventory,
        dropped: &[SnapshotDate],
    ) -> anyhow::Result<Vec<(Partition, Object)>> {
        let session = self.session;
        let old =
            old_statuses(inventory, &session.settings.keep, (self.lake.dataset(), self.id), session.today(), dropped);
        let statuses = self.proven_statuses(inventory, old).await?;
        if statuses.is_empty() || !self.may_remove().await {
            return Ok(Vec::new());
        }
        if let Some((last, _)) = statuses.last() {
            // First, so that nobody takes them for lost.
            self.lake.note_retained_from(self.id, last.table, last.date.next()).await?;
        }
        let partitions: Vec<Partition> = statuses.iter().map(|(partition, _)| partition.clone()).collect();
        self.lake.remove(&partitions).await?;
        Ok(statuses)
    }

    /// Of states to be dropped, those that are in no month's file, or in one that has these very rows: what a month says, readers
    /// of it go on seeing.
    async fn proven_statuses(
        &mut self,
        inventory: &Inventory,
        statuses: Vec<(Partition, Object)>,
    ) -> anyhow::Result<Vec<(Partition, Object)>> {
        let month_of = |partition: &Partition| Month {
            table: partition.table,
            month: SnapshotMonth::from(partition.date),
            aggregator: partition.aggregator.clone(),
        };
        let months: BTreeSet<Month> = statuses.iter().map(|(partition, _)| month_of(partition)).collect();
        let there = self.lake.months(self.lake.dataset().status).await?;
        let months: BTreeSet<Month> = months.intersection(&there).cloned().collect();
        let mut wrong = self.wrong(inventory, &months).await?;
        if !wrong.months.is_empty() {
            self.make_again(&wrong.months.into_keys().collect()).await?;
            wrong = self.wrong(inventory, &months).await?;
        }
        for (month, error) in &wrong.months {
            self.is_damaged = true;
            let (table, what) = (month.table.name(), error.what());
            self.tell(format_args!("{table} of its days is retained: {what}; restore an earlier version of it"));
        }
        for (partition, error) in &wrong.days {
            self.is_damaged = true;
            self.tell(format_args!("{} of {} is retained: {error}", partition.table.name(), partition.date));
        }
        let is_proven = |partition: &Partition| {
            !wrong.months.contains_key(&month_of(partition)) && !wrong.days.contains_key(partition)
        };
        Ok(statuses.into_iter().filter(|(partition, _)| is_proven(partition)).collect())
    }

    /// The months that are damaged, or not as their days are, and the days of others that are damaged.
    async fn wrong(&self, inventory: &Inventory, months: &BTreeSet<Month>) -> anyhow::Result<Wrong> {
        let mut wrong = Wrong::default();
        for month in months {
            match self.lake.verify_month(month, &inventory.days_of(month), BTreeMap::new()).await {
                Err(error) if error.is_damage() => drop(wrong.months.insert(month.clone(), error)),
                verified => {
                    let partition = |date| Partition { table: month.table, date, aggregator: month.aggregator.clone() };
                    let damaged = verified?.damaged_days.into_iter();
                    wrong.days.extend(damaged.map(|(date, error)| (partition(date), error)));
                }
            }
        }
        Ok(wrong)
    }
}

/// What keeps states from being dropped, and how it is damaged.
#[derive(Default)]
struct Wrong {
    months: BTreeMap<Month, SinkError>,
    days: BTreeMap<Partition, SinkError>,
}

/// The last of the days to be dropped, if its state is not there: it was dropped before, as old enough by itself, and
/// the first snapshot that is left goes on from it.
fn lacking_state(
    inventory: &Inventory,
    dataset: &Dataset,
    id: &AggregatorId,
    dropped: &[SnapshotDate],
) -> Option<SnapshotDate> {
    let statuses = inventory.days(dataset.status, id);
    dropped.last().copied().filter(|last| !statuses.contains(last))
}

fn state_of(dataset: &Dataset, date: SnapshotDate) -> String {
    format!("{} of {date}, which the first snapshot that is left goes on from", dataset.status.name())
}

/// Computes the state of a day from the snapshots up to it, and stores it. Nothing else is changed. Gives why it cannot be told.
async fn store_state(
    session: &Session<'_>,
    lake: &Lake,
    inventory: &Inventory,
    id: &AggregatorId,
    date: SnapshotDate,
) -> anyhow::Result<Result<(), String>> {
    let dataset = lake.dataset();
    let statuses_from = session.settings.keep.statuses_from(dataset, session.today());
    let history = History::of(lake, inventory, statuses_from, &[id]).await?;
    let span = Span { from: Some(date), to: Some(date) };
    let computing =
        Computing { lake, history: &history, id, span, state_of: Some(date), shared: None, on_day: &|_| {} };
    let mut computed = Computed::default();
    match computing.compute(None, None, &mut computed).await {
        Err(error) if crate::journal::is_damage(&error) => return Ok(Err(format!("{error:#}"))),
        done => done?,
    }
    if let Some(differed) = computed.differed.first() {
        return Ok(Err(format!(
            "the trend tables of {differed} are not what the snapshots say; `compline trends` first"
        )));
    }
    // A day that is facts only has no state, and the next does not go on from it.
    if let Some(state) = computed.state {
        state.commit(lake, &Partition { table: dataset.status, date, aggregator: id.clone() }).await?;
    }
    Ok(Ok(()))
}

fn out_of_date(from: SnapshotDate) -> String {
    format!("left as it is: its trends from {from} on are out of date; `compline run` or `compline trends` first")
}

/// Lines of what is dropped.
fn drops(
    dataset: &Dataset,
    id: &AggregatorId,
    plan: &Plan,
    days: &[SnapshotDate],
    inventory: &Inventory,
    verb: &str,
) -> Vec<String> {
    let of_snapshot = |table: Table| {
        let partitions = days.iter().map(|date| Partition { table, date: *date, aggregator: id.clone() });
        partitions.filter_map(|day| inventory.partitions.get(&day).map(|object| (day.clone(), *object))).collect()
    };
    let mut tables: Vec<(Table, Vec<(Partition, Object)>)> =
        dataset.snapshot().into_iter().map(|table| (table, of_snapshot(table))).collect();
    tables.push((dataset.status, plan.drop_statuses.clone()));
    let line = |(table, partitions): &(Table, Vec<(Partition, Object)>)| {
        let ((first, _), (last, _)) = partitions.first().zip(partitions.last())?;
        let bytes = HumanBytes(partitions.iter().map(|(_, object)| object.bytes).sum());
        let (days, first, last) = (counted(partitions.len(), "day"), first.date, last.date);
        Some(format!("{}: {verb} {} of {days}, {first} to {last}, {bytes}", named(id, dataset.name), table.name()))
    };
    tables.iter().filter_map(line).collect()
}

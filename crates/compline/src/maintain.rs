//! What is retained for how long, and in which form: months compacted, and what the settings say is old enough dropped.
//!
//! A snapshot's own files are dropped only once its month's file is verified to have these very rows, by checksum: what was
//! visible stays visible, in another place.

use crate::catalog::Cataloguing;
use crate::history::{History, Span};
use crate::journal::Journal;
use crate::ledger::{Ledger, LedgerRow};
use crate::session::Session;
use crate::settings::KeepSettings;
use crate::summary::counted;
use crate::trends::Computing;
use crate::verify::days_of;
use compline_model::{AggregatorId, Dataset, SnapshotDate, SnapshotMonth, Table};
use compline_sink::{Inventory, Lake, Month, MonthDays, MonthPlan, Object, Partition, Place};
use indicatif::HumanBytes;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be done for an aggregator, in this order.
#[derive(Debug, Default)]
struct Plan {
    /// Months to be compacted, or compacted again.
    compact: Vec<MonthPlan>,
    /// Days whose own snapshot files are dropped, the oldest first.
    drop: Vec<SnapshotDate>,
    /// `pack_status` that is dropped, the oldest first.
    drop_statuses: Vec<(Partition, Object)>,
    /// What is left alone that one would expect to be done, and why.
    notes: Vec<String>,
    /// Whether that is for a month that is damaged.
    is_damaged: bool,
}

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
    let (mut lines, mut nothing) = (Vec::new(), true);
    for aggregator in &session.settings.aggregators {
        let id = &aggregator.address.id;
        let pending = Journal::peek(&session.lake, id).await?;
        let plan = match pending.trends_from {
            Some(from) => Plan::none(out_of_date(from)),
            None => plan(session, &inventory, id).await?,
        };
        nothing &= plan.is_empty();
        lines.extend(plan.notes.iter().map(|note| format!("{id}: {note}")));
        let compactions = plan.compact.iter();
        lines.extend(
            compactions.map(|one| {
                format!("{id}: would compact {} into {}", counted(one.all().count(), "day"), one.month.key())
            }),
        );
        if let Some(date) = lacking_state(&inventory, id, &plan.drop) {
            lines.push(format!("{id}: would compute {}", state_of(date)));
        }
        lines.extend(drops(id, &plan, &plan.drop, &inventory, "would drop"));
    }
    lines.push(if nothing { "nothing to do" } else { "dry run: nothing was changed, use --apply" }.to_owned());
    Ok(Maintained { lines, is_complete: true })
}

/// Does it: first what adds, then what drops.
///
/// # Errors
/// A lake that does not answer, or a lease that was lost. What was done until then is logged.
pub(crate) async fn applied(session: &Session<'_>) -> anyhow::Result<Maintained> {
    session.check_date(session.today(), "S3", session.clock_offset())?;
    let (mut lines, mut nothing, mut is_complete) = (Vec::new(), true, true);
    for aggregator in &session.settings.aggregators {
        let id = &aggregator.address.id;
        let (done, told) = session.guarded(id, applied_for(session, id)).await?;
        nothing &= done == Progress::Nothing;
        is_complete &= done != Progress::Part;
        lines.extend(told);
    }
    if nothing {
        lines.push("nothing to do".to_owned());
    }
    if let Some(cataloguing) = Cataloguing::open(session.settings).await? {
        let inventory = session.lake.inventory(session.started_at).await?;
        for change in cataloguing.differences(&session.lake, &inventory).await? {
            cataloguing.apply(&change).await?;
            lines.push(format!("catalog: {change}"));
        }
    }
    Ok(Maintained { lines, is_complete })
}

/// Does it for an aggregator. Gives how far it came, and what was done.
async fn applied_for(session: &Session<'_>, id: &AggregatorId) -> anyhow::Result<(Progress, Vec<String>)> {
    let mut journal = session.journal(id).await?;
    if let Some(from) = journal.trends_from() {
        journal.finish(Some(from)).await?;
        return Ok((Progress::Part, vec![format!("{id}: {}", out_of_date(from))]));
    }
    let undone = journal.undone();
    let lake = session.lake_of(id);
    // After the journal is completed, which may change what there is.
    let mut inventory = lake.inventory(session.started_at).await?;
    let plan = plan(session, &inventory, id).await?;
    let mut lines: Vec<String> = plan.notes.iter().map(|note| format!("{id}: {note}")).collect();
    lines.extend(undone.iter().map(|what| format!("{id}: {what}")));
    let mut is_damaged = plan.is_damaged || !undone.is_empty();
    for compaction in &plan.compact {
        let month = &compaction.month;
        let (bytes, _) = match lake.compact(compaction).await {
            // It costs its own month, and not the others.
            Err(error) if error.is_damage() => {
                lines.push(format!("{id}: {} is left as it is: {error}", month.key()));
                is_damaged = true;
                continue;
            }
            done => done?,
        };
        let (days, bytes) = (counted(compaction.all().count(), "day"), HumanBytes(bytes));
        tracing::info!(aggregator = %id, month = month.key(), "compacted");
        lines.push(format!("{id}: compacted {days} into {}, {bytes} (verified)", month.key()));
    }
    let (proven, unproven) = proven(&lake, id, &plan.drop).await?;
    if let Some(date) = unproven {
        is_damaged = true;
        lines.push(format!("{id}: snapshots from {date} on are retained: their months do not have these very files"));
    }
    if let Some(date) = lacking_state(&inventory, id, &proven) {
        if let Err(why) = store_state(session, &lake, &inventory, id, date).await? {
            lines.push(format!("{id}: snapshots up to {date} are retained: {why}"));
            return Ok((Progress::Part, lines));
        }
        inventory = lake.inventory(session.started_at).await?;
        // A day that is facts only has none.
        if lacking_state(&inventory, id, &proven).is_none() {
            lines.push(format!("{id}: computed {}", state_of(date)));
        }
    }
    let row = LedgerRow {
        run_id: session.run_id.to_string(),
        started_at: session.started_at,
        finished_at: (session.clock)(),
        command: session.command.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..LedgerRow::default()
    };
    let dropped = if proven.is_empty() { Vec::new() } else { journal.drop_days(&proven, &row).await? };
    is_damaged |= dropped.len() < proven.len();
    // Once more, since fewer days may have been dropped than were planned, and more of their states be there.
    let statuses = old_statuses(&inventory, &session.settings.keep, id, session.today(), &dropped);
    lake.remove(&statuses.iter().map(|(partition, _)| partition.clone()).collect::<Vec<_>>()).await?;
    let plan = Plan { drop_statuses: statuses, ..plan };
    lines.extend(drops(id, &plan, &dropped, &inventory, "dropped"));
    journal.finish(None).await?;
    let done = match (is_damaged, plan.is_empty()) {
        (true, _) => Progress::Part,
        (false, true) => Progress::Nothing,
        (false, false) => Progress::All,
    };
    Ok((done, lines))
}

/// The last of the days to be dropped, if its `pack_status` is not there: it was dropped before, as old enough by itself, and
/// the first snapshot that is left goes on from it.
fn lacking_state(inventory: &Inventory, id: &AggregatorId, dropped: &[SnapshotDate]) -> Option<SnapshotDate> {
    let statuses = dates(inventory, Dataset::PACKS.status, id);
    dropped.last().copied().filter(|last| !statuses.contains(last))
}

fn state_of(date: SnapshotDate) -> String {
    format!("{} of {date}, which the first snapshot that is left goes on from", Dataset::PACKS.status.name())
}

/// Computes the state of a day from the snapshots up to it, and stores it. Nothing else is changed. Gives why it cannot be told.
async fn store_state(
    session: &Session<'_>,
    lake: &Lake,
    inventory: &Inventory,
    id: &AggregatorId,
    date: SnapshotDate,
) -> anyhow::Result<Result<(), String>> {
    let dataset = &Dataset::PACKS;
    let history = History::of(lake, inventory, dataset, session.settings.keep.statuses_from(session.today())).await?;
    let span = Span { from: Some(date), to: Some(date) };
    let computing = Computing { lake, dataset, history: &history, id, span, state_of: Some(date), on_day: &|_| {} };
    let computed = match computing.compute(None, None).await {
        Err(error) if crate::journal::is_damage(&error) => return Ok(Err(format!("{error:#}"))),
        computed => computed?,
    };
    if let Some(differed) = computed.differed.first() {
        return Ok(Err(format!(
            "the trend tables of {differed} are not what the snapshots say; `compline trends` first"
        )));
    }
    // A day that is facts only has no state, and the next does not go on from it.
    if let Some(state) = computed.state {
        lake.commit(&Partition { table: dataset.status, date, aggregator: id.clone() }, state).await?;
    }
    Ok(Ok(()))
}

/// Of days to be dropped, the oldest first, those whose files are byte for byte the ones that were committed last and that a
/// verified month was made from; and the first that is not.
async fn proven(
    lake: &Lake,
    id: &AggregatorId,
    dates: &[SnapshotDate],
) -> anyhow::Result<(Vec<SnapshotDate>, Option<SnapshotDate>)> {
    let mut months = BTreeMap::new();
    let mut proven = Vec::new();
    if dates.is_empty() {
        return Ok((proven, None));
    }
    let inventory = lake.inventory(chrono::DateTime::UNIX_EPOCH).await?;
    for date in dates {
        let Some(ledger) = Ledger::sound(lake, id, *date).await? else {
            // Its row could not say that the day was dropped.
            return Ok((proven, Some(*date)));
        };
        for table in Dataset::PACKS.snapshot() {
            let month = Month { table, month: SnapshotMonth::from(*date), aggregator: id.clone() };
            if !inventory.months.contains_key(&month) {
                return Ok((proven, Some(*date)));
            }
            if !months.contains_key(&month) {
                match lake.verify_month(&month, &days_of(&inventory, &month)).await {
                    Ok(there) => drop(months.insert(month.clone(), there)),
                    Err(error) if error.is_damage() => {
                        tracing::warn!(%error, "nothing of this month is dropped");
                        return Ok((proven, Some(*date)));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let partition = Partition { table, date: *date, aggregator: id.clone() };
            let own = lake.sha256_of(&partition, Place::Table).await?;
            let is_committed = ledger.committed_sha256(table).is_none_or(|committed| own.as_ref() == Some(committed));
            let is_in_month = own.is_some() && own.as_ref() == months.get(&month).and_then(|there| there.get(date));
            if !is_committed || !is_in_month {
                return Ok((proven, Some(*date)));
            }
        }
        proven.push(*date);
    }
    Ok((proven, None))
}

fn out_of_date(from: SnapshotDate) -> String {
    format!("left as it is: its trends from {from} on are out of date; `compline run` or `compline trends` first")
}

/// Lines of what is dropped.
fn drops(id: &AggregatorId, plan: &Plan, days: &[SnapshotDate], inventory: &Inventory, verb: &str) -> Vec<String> {
    let of_snapshot = |table: Table| {
        let partitions = days.iter().map(|date| Partition { table, date: *date, aggregator: id.clone() });
        partitions.filter_map(|day| inventory.partitions.get(&day).map(|object| (day.clone(), *object))).collect()
    };
    let mut tables: Vec<(Table, Vec<(Partition, Object)>)> =
        Dataset::PACKS.snapshot().into_iter().map(|table| (table, of_snapshot(table))).collect();
    tables.push((Dataset::PACKS.status, plan.drop_statuses.clone()));
    let line = |(table, partitions): &(Table, Vec<(Partition, Object)>)| {
        let ((first, _), (last, _)) = partitions.first().zip(partitions.last())?;
        let bytes = HumanBytes(partitions.iter().map(|(_, object)| object.bytes).sum());
        let (days, first, last) = (counted(partitions.len(), "day"), first.date, last.date);
        Some(format!("{id}: {verb} {} of {days}, {first} to {last}, {bytes}", table.name()))
    };
    tables.iter().filter_map(line).collect()
}

/// Works out what is to be done for an aggregator.
async fn plan(session: &Session<'_>, inventory: &Inventory, id: &AggregatorId) -> anyhow::Result<Plan> {
    let (keep, today) = (&session.settings.keep, session.today());
    let mut plan = Plan::default();
    // The days that will be in a month's object once the plan is done.
    let mut in_months: BTreeMap<Table, BTreeSet<SnapshotDate>> = BTreeMap::new();
    let mut ledgers = Ledgers::default();
    for table in &keep.compact {
        for month in complete_months(inventory, *table, id, today) {
            let days = plan.month(&session.lake, inventory, month, &mut ledgers).await?;
            in_months.entry(*table).or_default().extend(days);
        }
    }
    plan.drops(inventory, keep, id, today, &in_months);
    plan.lost(&session.lake, inventory, id, &mut ledgers).await?;
    Ok(plan)
}

impl Plan {
    fn none(note: String) -> Self {
        Self { notes: vec![note], ..Self::default() }
    }

    /// Plans a month, if it is not there as it must be. Gives the days that its object will have.
    async fn month(
        &mut self,
        lake: &Lake,
        inventory: &Inventory,
        month: Month,
        ledgers: &mut Ledgers,
    ) -> anyhow::Result<BTreeSet<SnapshotDate>> {
        let days = days_of(inventory, &month);
        let object = inventory.months.get(&month);
        let there = match object {
            None => MonthDays::new(),
            Some(object) => match lake.days_of_month(&month, object.bytes).await {
                Err(error) if error.is_damage() => {
                    if let Some(lacking) = ledgers.committed_elsewhere(lake, inventory, &month, &days).await? {
                        self.notes.push(format!("left as it is, since {lacking} may be in no other file: {error}"));
                        self.is_damaged = true;
                        return Ok(BTreeSet::new());
                    }
                    tracing::warn!(%error, "compacting the month again: each of its days has a file of its own");
                    MonthDays::new()
                }
                there => there?,
            },
        };
        let in_month: BTreeSet<SnapshotDate> = there.keys().copied().collect();
        let only_in_month: BTreeSet<SnapshotDate> = in_month.difference(&days).copied().collect();
        let all: BTreeSet<SnapshotDate> = in_month.union(&days).copied().collect();
        let mut is_out_of_date = !days.is_subset(&in_month);
        let mut sha256s = BTreeMap::new();
        for date in &all {
            let day = Partition { table: month.table, date: *date, aggregator: month.aggregator.clone() };
            let modified = inventory.partitions.get(&day).map(|day| day.modified);
            is_out_of_date |= modified.zip(object).is_some_and(|(modified, object)| modified > object.modified);
            // The ledger knows it whatever the clocks of the stores say.
            let ledger = ledgers.of_day(lake, &day.aggregator, *date).await?;
            if let Some(sha256) = ledger.committed_sha256(month.table) {
                is_out_of_date |= days.contains(date) && there.get(date) != Some(sha256);
                sha256s.insert(*date, sha256.clone());
            }
        }
        if is_out_of_date {
            self.compact.push(MonthPlan { month, days, only_in_month, committed: sha256s });
        }
        Ok(all)
    }

    fn drops(
        &mut self,
        inventory: &Inventory,
        keep: &KeepSettings,
        id: &AggregatorId,
        today: SnapshotDate,
        in_months: &BTreeMap<Table, BTreeSet<SnapshotDate>>,
    ) {
        let dataset = &Dataset::PACKS;
        let snapshots = dates(inventory, dataset.facts, id);
        // The last snapshot stays, however old it is: the next one goes on from it.
        let old = |date: &SnapshotDate| {
            keep.snapshots_from(today).is_some_and(|from| *date < from)
                && snapshots.last().is_some_and(|last| date < last)
        };
        // A day that is held could not be accepted any more once its neighbours are gone.
        let held = inventory.held.keys().filter(|held| held.aggregator == *id).map(|held| held.date).min();
        // A day goes as a whole, and only once its month has each of its tables.
        let goes = |date: &SnapshotDate| {
            let in_month = |table: &Table| in_months.get(table).is_some_and(|days| days.contains(date));
            old(date) && dataset.snapshot().iter().all(in_month) && held.is_none_or(|held| *date < held)
        };
        // From the oldest on, without a gap: what is left begins with a day whose state before it is retained.
        self.drop = snapshots.iter().copied().take_while(goes).collect();
        if let Some(first) = snapshots.iter().find(|date| old(date) && !goes(date)) {
            let missing: Vec<&str> =
                dataset.snapshot().into_iter().filter(|table| !keep.compact.contains(table)).map(Table::name).collect();
            self.notes.push(if let Some(held) = held.filter(|held| first >= held) {
                format!("snapshots from {first} on are retained: {held} is held, so accept or reject that first")
            } else if missing.is_empty() {
                format!("snapshots from {first} on are retained until their month is compacted")
            } else {
                format!(
                    "snapshots from {first} on are retained: they are dropped only once their month has them, so add {} to \
                     maintain.compact",
                    missing.join(" and ")
                )
            });
        }
        self.drop_statuses = old_statuses(inventory, keep, id, today, &self.drop);
    }

    /// Notes months that do not have days whose own files were dropped: nothing else has them.
    async fn lost(
        &mut self,
        lake: &Lake,
        inventory: &Inventory,
        id: &AggregatorId,
        ledgers: &mut Ledgers,
    ) -> anyhow::Result<()> {
        for table in Dataset::PACKS.snapshot() {
            let own = dates(inventory, table, id);
            let mut without: BTreeMap<SnapshotMonth, Vec<SnapshotDate>> = BTreeMap::new();
            for date in dates(inventory, Table::Runs, id).difference(&own) {
                without.entry(SnapshotMonth::from(*date)).or_default().push(*date);
            }
            for (month, dates) in without {
                let month = Month { table, month, aggregator: id.clone() };
                let there = match inventory.months.get(&month) {
                    Some(object) => lake.days_of_month(&month, object.bytes).await.unwrap_or_default(),
                    None => MonthDays::new(),
                };
                for date in dates.into_iter().filter(|date| !there.contains_key(date)) {
                    if ledgers.of_day(lake, id, date).await?.is_dropped() {
                        let key = month.key();
                        self.notes.push(format!(
                            "{key} does not have {date}, which was dropped: restore an earlier version of it"
                        ));
                        self.is_damaged = true;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether there is nothing to do.
    fn is_empty(&self) -> bool {
        self.compact.is_empty() && self.drop.is_empty() && self.drop_statuses.is_empty()
    }
}

/// `pack_status` that is old enough to be dropped, the oldest first, once these snapshots are: not what the first snapshot that
/// is left, and the next one, go on from.
fn old_statuses(
    inventory: &Inventory,
    keep: &KeepSettings,
    id: &AggregatorId,
    today: SnapshotDate,
    dropped: &[SnapshotDate],
) -> Vec<(Partition, Object)> {
    let dataset = &Dataset::PACKS;
    let statuses = dates(inventory, dataset.status, id);
    let snapshots = dates(inventory, dataset.facts, id);
    let first_left = snapshots.iter().find(|date| !dropped.contains(date));
    let base = first_left.and_then(|first| statuses.range(..*first).next_back());
    let needed = [base, statuses.last()];
    let old = |date: &&SnapshotDate| keep.statuses_from(today).is_some_and(|from| **date < from);
    let partition = |date: &SnapshotDate| Partition { table: dataset.status, date: *date, aggregator: id.clone() };
    let old = statuses.iter().filter(old).filter(|date| !needed.contains(&Some(date))).map(partition);
    old.filter_map(|day| inventory.partitions.get(&day).map(|object| (day.clone(), *object))).collect()
}

/// The ledgers of days, each read once. One that is damaged says nothing.
#[derive(Default)]
struct Ledgers(BTreeMap<SnapshotDate, Ledger>);

impl Ledgers {
    async fn of_day(&mut self, lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<&Ledger> {
        Ok(match self.0.entry(date) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => unread.insert(Ledger::sound(lake, id, date).await?.unwrap_or_default()),
        })
    }

    /// A day of a month that was committed, or may have been, and has no file of its own.
    async fn committed_elsewhere(
        &mut self,
        lake: &Lake,
        inventory: &Inventory,
        month: &Month,
        days: &BTreeSet<SnapshotDate>,
    ) -> anyhow::Result<Option<SnapshotDate>> {
        let ledgers = days_of(inventory, &Month { table: Table::Runs, ..month.clone() });
        for date in ledgers.difference(days) {
            let ledger = self.of_day(lake, &month.aggregator, *date).await?;
            // A day that is facts only has no derived table anywhere.
            let has_none = |row: &LedgerRow| month.table.is_derived() && row.facts_only == Some(true);
            if ledger.rows().is_empty() || ledger.last_commit().is_some_and(|last| !has_none(last)) {
                return Ok(Some(*date));
            }
        }
        Ok(None)
    }
}

/// The days that a table has.
fn dates(inventory: &Inventory, table: Table, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
    let of = |partition: &&Partition| partition.table == table && partition.aggregator == *id;
    inventory.partitions.keys().filter(of).map(|partition| partition.date).collect()
}

/// The months of a table that are over, and of which there is a day.
fn complete_months(inventory: &Inventory, table: Table, id: &AggregatorId, today: SnapshotDate) -> Vec<Month> {
    let days = dates(inventory, table, id).into_iter().map(SnapshotMonth::from);
    let months: BTreeSet<SnapshotMonth> = days.collect();
    let months = months.into_iter().map(|month| Month { table, month, aggregator: id.clone() });
    // One that was made before its time, by a clock that was ahead, is made again as well.
    months.filter(|month| month.month.first_day_after() <= today || inventory.months.contains_key(month)).collect()
}

//! What is to be done for a dataset of an aggregator, worked out without changing anything.

use crate::ledger::Ledger;
use crate::session::Session;
use crate::settings::KeepSettings;
use compline_model::{AggregatorId, Dataset, SnapshotDate, SnapshotMonth, Table};
use compline_sink::{Inventory, Lake, Month, MonthDays, MonthPlan, Object, Partition, SinkErrorKind};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be done for an aggregator, in this order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Months to be compacted, or compacted again.
    pub(super) compact: Vec<MonthPlan>,
    /// Days whose own snapshot files are dropped, the oldest first.
    pub(super) drop: Vec<SnapshotDate>,
    /// States that are dropped, the oldest first.
    pub(super) drop_statuses: Vec<(Partition, Object)>,
    /// What is left alone that one would expect to be done, and why.
    pub(super) notes: Vec<String>,
    /// Whether that is for a month that is damaged.
    pub(super) is_damaged: bool,
}

/// Works out what is to be done for the lake's dataset of an aggregator; with packs for the ledger as well.
pub(super) async fn plan(
    session: &Session<'_>,
    lake: &Lake,
    inventory: &Inventory,
    id: &AggregatorId,
) -> anyhow::Result<Plan> {
    let (keep, today) = (&session.settings.keep, session.today());
    let mut plan = Plan::default();
    // The days that will be in a month's object once the plan is done.
    let mut in_months: BTreeMap<Table, BTreeSet<SnapshotDate>> = BTreeMap::new();
    let mut ledgers = Ledgers::default();
    // A month that lacks a day which is nowhere else is restored, and not written over, and no day goes into it.
    let lost = plan.lost(lake, inventory, id, &mut ledgers).await?;
    let dataset = lake.dataset();
    let ledger = (dataset == &Dataset::PACKS).then_some(Table::Runs);
    for table in dataset.tables().into_iter().chain(ledger) {
        let of_snapshot = dataset.snapshot().contains(&table);
        for month in months(inventory, table, id, today, keep.compact.contains(&table)) {
            if of_snapshot && lost.contains(&month.month) {
                continue;
            }
            let days = plan.month(lake, inventory, month, &mut ledgers, false).await?;
            in_months.entry(table).or_default().extend(days);
        }
    }
    plan.drops(inventory, keep, (dataset, id), today, &in_months);
    Ok(plan)
}

/// Works out how these months of an aggregator are made again, whatever the times of their objects say.
///
/// # Errors
/// A store that does not answer.
pub(super) async fn again(
    lake: &Lake,
    inventory: &Inventory,
    id: &AggregatorId,
    months: &BTreeSet<Month>,
) -> anyhow::Result<Plan> {
    let (mut plan, mut ledgers) = (Plan::default(), Ledgers::default());
    let lost = plan.lost(lake, inventory, id, &mut ledgers).await?;
    for month in months {
        let of_snapshot = lake.dataset().snapshot().contains(&month.table);
        if of_snapshot && lost.contains(&month.month) {
            continue;
        }
        if of_snapshot && let Some(date) = ledgers.unknown_in(lake, inventory, month).await? {
            let key = month.key();
            plan.notes.push(format!(
                "{key} is left as it is: the ledger of {date} does not say which file was committed, so that the month's may be it"
            ));
            continue;
        }
        plan.month(lake, inventory, month.clone(), &mut ledgers, true).await?;
    }
    Ok(plan)
}

impl Plan {
    pub(super) fn none(note: String) -> Self {
        Self { notes: vec![note], ..Self::default() }
    }

    /// Plans a month, if it is not there as it must be or is wrong for another reason. Gives the days that its object will have.
    async fn month(
        &mut self,
        lake: &Lake,
        inventory: &Inventory,
        month: Month,
        ledgers: &mut Ledgers,
        is_wrong: bool,
    ) -> anyhow::Result<BTreeSet<SnapshotDate>> {
        let days = inventory.days_of(&month);
        let object = inventory.months.get(&month);
        let there = match object {
            None => MonthDays::new(),
            Some(object) => match lake.days_of_month(&month, object.bytes).await {
                Err(error) if error.kind == SinkErrorKind::Misplaced => {
                    // Nothing else may have its days, of whichever month they are.
                    self.notes.push(format!("left as it is: {error}"));
                    self.is_damaged = true;
                    return Ok(BTreeSet::new());
                }
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
        let mut only_in_month: BTreeSet<SnapshotDate> = in_month.difference(&days).copied().collect();
        let mut is_out_of_date = is_wrong || !days.is_subset(&in_month);
        for date in only_in_month.clone() {
            // Of a day that is facts only by now there is nothing to be computed.
            if ledgers.of_day(lake, &month.aggregator, date).await?.has_no(month.table) {
                only_in_month.remove(&date);
                is_out_of_date = true;
            }
        }
        let all: BTreeSet<SnapshotDate> = only_in_month.union(&days).copied().collect();
        let (mut sha256s, mut rows) = (BTreeMap::new(), BTreeMap::new());
        for date in &all {
            let day = Partition { table: month.table, date: *date, aggregator: month.aggregator.clone() };
            let modified = inventory.partitions.get(&day).map(|day| day.modified);
            is_out_of_date |= modified.zip(object).is_some_and(|(modified, object)| modified > object.modified);
            // The ledger knows it whatever the clocks of the stores say.
            let ledger = ledgers.of_day(lake, &day.aggregator, *date).await?;
            let of_month = there.get(date).filter(|_| only_in_month.contains(date));
            rows.extend(of_month.and_then(|sha256| Some((*date, ledger.rows_in_month(month.table, sha256)?))));
            if let Some(sha256) = ledger.committed_sha256(month.table) {
                is_out_of_date |= days.contains(date) && there.get(date) != Some(sha256);
                sha256s.insert(*date, sha256.clone());
            }
        }
        if is_out_of_date {
            self.compact.push(MonthPlan { month, days, only_in_month, committed: sha256s, rows });
        }
        Ok(all)
    }

    fn drops(
        &mut self,
        inventory: &Inventory,
        keep: &KeepSettings,
        (dataset, id): (&Dataset, &AggregatorId),
        today: SnapshotDate,
        in_months: &BTreeMap<Table, BTreeSet<SnapshotDate>>,
    ) {
        let snapshots = inventory.days(dataset.facts, id);
        // The last snapshot stays, however old it is: the next one goes on from it.
        let old = |date: &SnapshotDate| {
            keep.snapshots_from(today).is_some_and(|from| *date < from)
                && snapshots.last().is_some_and(|last| date < last)
        };
        // A day that is held could not be accepted any more once its neighbours are gone.
        let held =
            inventory.held.keys().filter(|held| held.aggregator == *id && dataset.snapshot().contains(&held.table));
        let held = held.map(|held| held.date).min();
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
        self.drop_statuses = old_statuses(inventory, keep, (dataset, id), today, &self.drop);
    }

    /// Notes months that do not have days whose own files were dropped or are gone: nothing else has them. Gives them.
    async fn lost(
        &mut self,
        lake: &Lake,
        inventory: &Inventory,
        id: &AggregatorId,
        ledgers: &mut Ledgers,
    ) -> anyhow::Result<BTreeSet<SnapshotMonth>> {
        let mut lost = BTreeSet::new();
        for table in lake.dataset().snapshot() {
            let own = inventory.days(table, id);
            let mut without: BTreeMap<SnapshotMonth, Vec<SnapshotDate>> = BTreeMap::new();
            for date in inventory.days(Table::Runs, id).difference(&own) {
                without.entry(SnapshotMonth::from(*date)).or_default().push(*date);
            }
            for (month, dates) in without {
                let month = Month { table, month, aggregator: id.clone() };
                let there = match inventory.months.get(&month) {
                    Some(object) => match lake.days_of_month(&month, object.bytes).await {
                        // One that is damaged is told where it would be compacted.
                        Err(error) if error.is_damage() => continue,
                        days => days?,
                    },
                    None => MonthDays::new(),
                };
                for date in dates.into_iter().filter(|date| !there.contains_key(date)) {
                    let ledger = ledgers.of_day(lake, id, date).await?;
                    if ledger.last_commit().is_some() {
                        let key = month.key();
                        self.notes.push(match ledger.is_dropped() {
                            true => format!(
                                "{key} does not have {date}, which was dropped: restore an earlier version of it"
                            ),
                            false => {
                                let day = Partition { table, date, aggregator: id.clone() };
                                format!("{} is gone, and the ledger says that it was committed: restore it", day.key())
                            }
                        });
                        self.is_damaged = true;
                        lost.insert(month.month);
                        break;
                    }
                }
            }
        }
        Ok(lost)
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.compact.is_empty() && self.drop.is_empty() && self.drop_statuses.is_empty()
    }
}

/// States that are old enough to be dropped, the oldest first, once these snapshots are: not what the first snapshot that
/// is left, and the next one, go on from.
pub(super) fn old_statuses(
    inventory: &Inventory,
    keep: &KeepSettings,
    (dataset, id): (&Dataset, &AggregatorId),
    today: SnapshotDate,
    dropped: &[SnapshotDate],
) -> Vec<(Partition, Object)> {
    let statuses = inventory.days(dataset.status, id);
    let snapshots = inventory.days(dataset.facts, id);
    let first_left = snapshots.iter().find(|date| !dropped.contains(date));
    let base = first_left.and_then(|first| statuses.range(..*first).next_back());
    let needed = [base, statuses.last()];
    let old = |date: &&SnapshotDate| keep.statuses_from(dataset, today).is_some_and(|from| **date < from);
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
            Entry::Vacant(unread) => unread.insert(Ledger::sound_or_none(lake, id, date).await?),
        })
    }

    /// A day of a month of which the ledger, as that of an older version, does not say the SHA-256 of the file that was committed.
    async fn unknown_in(
        &mut self,
        lake: &Lake,
        inventory: &Inventory,
        month: &Month,
    ) -> anyhow::Result<Option<SnapshotDate>> {
        for date in inventory.days_of(month) {
            if self.of_day(lake, &month.aggregator, date).await?.committed_sha256(month.table).is_none() {
                return Ok(Some(date));
            }
        }
        Ok(None)
    }

    /// A day of a month that was committed, or may have been, and has no file of its own.
    async fn committed_elsewhere(
        &mut self,
        lake: &Lake,
        inventory: &Inventory,
        month: &Month,
        days: &BTreeSet<SnapshotDate>,
    ) -> anyhow::Result<Option<SnapshotDate>> {
        let ledgers = inventory.days_of(&Month { table: Table::Runs, ..month.clone() });
        for date in ledgers.difference(days) {
            let ledger = self.of_day(lake, &month.aggregator, *date).await?;
            let was_committed = ledger.last_commit().is_some() && !ledger.has_no(month.table);
            if ledger.is_empty() || was_committed {
                return Ok(Some(*date));
            }
        }
        Ok(None)
    }
}

/// The months of a table that are to be there: those that are there already, whoever had them made, and if the table is compacted
/// those that are over and of which there is a day.
fn months(
    inventory: &Inventory,
    table: Table,
    id: &AggregatorId,
    today: SnapshotDate,
    is_compacted: bool,
) -> BTreeSet<Month> {
    let days = inventory.days(table, id).into_iter().filter(|_| is_compacted).map(SnapshotMonth::from);
    let over = days.filter(|month| month.first_day_after() <= today);
    let over = over.map(|month| Month { table, month, aggregator: id.clone() });
    let there = inventory.months.keys().filter(|month| month.table == table && month.aggregator == *id).cloned();
    over.chain(there).collect()
}

//! What is kept for how long, and in which form: months put together, and what the settings say is old enough dropped.

use crate::settings::KeepSettings;
use crate::verify::days_of;
use compline_model::{AggregatorId, SnapshotDate, SnapshotMonth, Table};
use compline_sink::{Lake, Month, Object, Partition, SinkError, Survey};
use std::collections::{BTreeMap, BTreeSet};

/// The tables of a snapshot: what was collected, and cannot be worked out again.
const SNAPSHOT: [Table; 2] = [Table::PackCompliance, Table::SourceStatus];

/// What is to be done for an aggregator, in this order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Months to be made, or made again, each with its days.
    pub(crate) compact: Vec<(Month, BTreeSet<SnapshotDate>)>,
    /// What is dropped of each table, the oldest first.
    pub(crate) drop: BTreeMap<Table, Vec<(Partition, Object)>>,
    /// What is left alone that one would expect to be done, and why.
    pub(crate) notes: Vec<String>,
}

/// Works out what is to be done for an aggregator.
///
/// # Errors
/// A lake that does not answer, or a month's object that is damaged.
pub(crate) async fn plan(
    lake: &Lake,
    survey: &Survey,
    keep: &KeepSettings,
    id: &AggregatorId,
    today: SnapshotDate,
) -> Result<Plan, SinkError> {
    let mut plan = Plan::default();
    if let Some(from) = lake.redo_from(id).await? {
        plan.notes.push(format!(
            "left as it is: its trends from {from} on are behind; `compline run` or `compline trends` first"
        ));
        return Ok(plan);
    }
    // The days that will be in a month's object once the plan is done.
    let mut in_months: BTreeMap<Table, BTreeSet<SnapshotDate>> = BTreeMap::new();
    for table in &keep.compact {
        for month in complete_months(survey, *table, id, today) {
            let days = plan.month(lake, survey, month).await?;
            in_months.entry(*table).or_default().extend(days);
        }
    }
    plan.drops(survey, keep, id, today, &in_months);
    Ok(plan)
}

impl Plan {
    /// Plans a month, if it is not there as it must be. Gives the days that its object will have.
    async fn month(&mut self, lake: &Lake, survey: &Survey, month: Month) -> Result<BTreeSet<SnapshotDate>, SinkError> {
        let days = days_of(survey, &month);
        let Some(object) = survey.months.get(&month) else {
            self.compact.push((month, days.clone()));
            return Ok(days);
        };
        let there: BTreeSet<SnapshotDate> = lake.days_of_month(&month, object.bytes).await?.into_keys().collect();
        let is_newer = |date: &SnapshotDate| {
            let day = Partition { table: month.table, date: *date, aggregator: month.aggregator.clone() };
            survey.partitions.get(&day).is_some_and(|day| day.modified > object.modified)
        };
        if days.is_subset(&there) && !days.iter().any(is_newer) {
            return Ok(there);
        }
        if let Some(gone) = there.difference(&days).next() {
            let key = month.key();
            self.notes.push(format!("{key} is behind its days, and left as it is: it is all that there is of {gone}"));
            return Ok(there);
        }
        self.compact.push((month, days.clone()));
        Ok(days)
    }

    fn drops(
        &mut self,
        survey: &Survey,
        keep: &KeepSettings,
        id: &AggregatorId,
        today: SnapshotDate,
        in_months: &BTreeMap<Table, BTreeSet<SnapshotDate>>,
    ) {
        let snapshots = dates(survey, Table::PackCompliance, id);
        // The last snapshot stays, however old it is: the next night goes on from it.
        let old = |date: &SnapshotDate| {
            keep.snapshots_from(today).is_some_and(|from| *date < from)
                && snapshots.last().is_some_and(|last| date < last)
        };
        let kept_in_month = |table: &Table, date: &SnapshotDate| {
            !keep.compact.contains(table) || in_months.get(table).is_some_and(|days| days.contains(date))
        };
        // A day goes as a whole, and only when each of its tables may.
        let goes = |date: &SnapshotDate| old(date) && SNAPSHOT.iter().all(|table| kept_in_month(table, date));
        // From the oldest on, without a gap: what is left begins with a day whose state before it is kept.
        let dropped: BTreeSet<SnapshotDate> = snapshots.iter().copied().take_while(goes).collect();
        if let Some(first) = snapshots.iter().find(|date| old(date) && !goes(date)) {
            self.notes.push(format!("snapshots from {first} on are kept until their month is in one file"));
        }
        for table in SNAPSHOT {
            self.drop_of(survey, table, id, &dropped);
        }
        let first_kept = snapshots.iter().find(|date| !dropped.contains(date));
        let statuses = dates(survey, Table::PackStatus, id);
        // What the first snapshot that is kept, and the next night, go on from.
        let base = first_kept.and_then(|first| statuses.range(..*first).next_back());
        let needed = [base, statuses.last()];
        let old = |date: &&SnapshotDate| keep.statuses_from(today).is_some_and(|from| **date < from);
        let dropped = statuses.iter().filter(old).filter(|date| !needed.contains(&Some(date))).copied().collect();
        self.drop_of(survey, Table::PackStatus, id, &dropped);
    }

    fn drop_of(&mut self, survey: &Survey, table: Table, id: &AggregatorId, dates: &BTreeSet<SnapshotDate>) {
        let partition = |date: &SnapshotDate| Partition { table, date: *date, aggregator: id.clone() };
        let there =
            dates.iter().map(partition).filter_map(|day| survey.partitions.get(&day).map(|object| (day, *object)));
        let there: Vec<_> = there.collect();
        if !there.is_empty() {
            self.drop.insert(table, there);
        }
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.compact.is_empty() && self.drop.is_empty()
    }
}

/// The days that a table has.
fn dates(survey: &Survey, table: Table, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
    let of = |partition: &&Partition| partition.table == table && partition.aggregator == *id;
    survey.partitions.keys().filter(of).map(|partition| partition.date).collect()
}

/// The months of a table that are over, and of which there is a day.
fn complete_months(survey: &Survey, table: Table, id: &AggregatorId, today: SnapshotDate) -> Vec<Month> {
    let months: BTreeSet<SnapshotMonth> = dates(survey, table, id).into_iter().map(SnapshotMonth::from).collect();
    let over = months.into_iter().filter(|month| month.first_day_after() <= today);
    over.map(|month| Month { table, month, aggregator: id.clone() }).collect()
}

//! The days that a lake has.

use crate::ledger::Ledger;
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use compline_sink::{Inventory, Lake, Month, Partitions};
use std::collections::{BTreeMap, BTreeSet};

/// The days that a lake has of what trends are computed from, and of the trends themselves.
#[derive(Debug, Clone)]
pub(crate) struct History {
    snapshots: Partitions,
    trends: Partitions,
    statuses: Partitions,
    ledgers: Partitions,
    /// The last day of each aggregator that was dropped though a snapshot before it is there, as one that was restored.
    dropped_to: BTreeMap<AggregatorId, SnapshotDate>,
    /// Days that were committed and whose snapshot is gone, after the first snapshot that is there.
    lost: BTreeMap<AggregatorId, BTreeSet<SnapshotDate>>,
    /// The states of earlier days are not retained, as the settings say.
    statuses_from: Option<SnapshotDate>,
    /// The same, as it was noted when they were dropped, whose settings ever that were.
    noted: BTreeMap<AggregatorId, SnapshotDate>,
    /// The months that have states, where there is a state that was dropped.
    months_of_statuses: BTreeSet<Month>,
}

/// Days from one to another, both included; from the first or to the last unless given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) from: Option<SnapshotDate>,
    pub(crate) to: Option<SnapshotDate>,
}

impl Span {
    pub(crate) fn has(self, date: SnapshotDate) -> bool {
        self.from.is_none_or(|from| date >= from) && self.to.is_none_or(|to| date <= to)
    }
}

impl History {
    /// Lists them.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn read(
        lake: &Lake,
        dataset: &Dataset,
        statuses_from: Option<SnapshotDate>,
    ) -> anyhow::Result<Self> {
        let listed = Self {
            snapshots: lake.partitions(dataset.facts).await?,
            trends: lake.partitions(dataset.trends).await?,
            statuses: lake.partitions(dataset.status).await?,
            ledgers: lake.partitions(Table::Runs).await?,
            dropped_to: BTreeMap::new(),
            lost: BTreeMap::new(),
            statuses_from,
            noted: BTreeMap::new(),
            months_of_statuses: BTreeSet::new(),
        };
        listed.with_dropped_statuses(lake, dataset).await?.with_restored(lake, dataset).await
    }

    /// Looks for what is noted of states that were dropped, where one is missing.
    async fn with_dropped_statuses(mut self, lake: &Lake, dataset: &Dataset) -> anyhow::Result<Self> {
        let none = BTreeSet::new();
        let lacks = |id: &AggregatorId| !self.trends[id].is_subset(self.statuses.get(id).unwrap_or(&none));
        let lacking: Vec<AggregatorId> = self.trends.keys().filter(|id| lacks(id)).cloned().collect();
        if !lacking.is_empty() {
            self.months_of_statuses = lake.months(dataset.status).await?;
        }
        for id in lacking {
            let from = lake.retained_from(&id, dataset.status).await?;
            self.noted.extend(from.map(|from| (id, from)));
        }
        Ok(self)
    }

    /// Whether the state of a day may be missing, since it was dropped.
    pub(crate) fn status_is_dropped(&self, id: &AggregatorId, date: SnapshotDate) -> bool {
        self.statuses_from.max(self.noted.get(id).copied()).is_some_and(|from| date < from)
    }

    /// Whether the settings say that the state of a day is retained.
    pub(crate) fn retains_status(&self, date: SnapshotDate) -> bool {
        self.statuses_from.is_none_or(|from| date >= from)
    }

    /// Whether there is a file of the month that may have the state of a day.
    pub(crate) fn has_month_of_status(&self, dataset: &Dataset, id: &AggregatorId, date: SnapshotDate) -> bool {
        let month = Month { table: dataset.status, month: date.into(), aggregator: id.clone() };
        self.months_of_statuses.contains(&month)
    }

    /// Looks for days that have trends, come after a snapshot and have none: they were dropped before that was restored, or their
    /// snapshot is gone. There are none as long as nobody changes the lake by hand.
    async fn with_restored(mut self, lake: &Lake, dataset: &Dataset) -> anyhow::Result<Self> {
        let none = BTreeSet::new();
        for (id, snapshots) in &self.snapshots {
            let Some(first) = snapshots.first() else { continue };
            let trends = self.trends.get(id).unwrap_or(&none);
            for date in trends.range(first..).rev().filter(|date| !snapshots.contains(date)) {
                let ledger = Ledger::sound(lake, id, *date).await?.unwrap_or_default();
                if ledger.is_dropped() {
                    self.dropped_to.insert(id.clone(), *date);
                    break;
                }
                if ledger.last_commit().is_some() && !ledger.has_no(dataset.trends) {
                    self.lost.entry(id.clone()).or_default().insert(*date);
                }
            }
        }
        Ok(self)
    }

    /// Those of an inventory.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn of(
        lake: &Lake,
        inventory: &Inventory,
        dataset: &Dataset,
        statuses_from: Option<SnapshotDate>,
    ) -> anyhow::Result<Self> {
        let of = |table: Table| {
            let mut partitions = Partitions::new();
            for partition in inventory.partitions.keys().filter(|partition| partition.table == table) {
                partitions.entry(partition.aggregator.clone()).or_default().insert(partition.date);
            }
            partitions
        };
        let (snapshots, trends) = (of(dataset.facts), of(dataset.trends));
        let (statuses, ledgers) = (of(dataset.status), of(Table::Runs));
        let (dropped_to, lost, noted) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let months_of_statuses = BTreeSet::new();
        let listed =
            Self { snapshots, trends, statuses, ledgers, dropped_to, lost, statuses_from, noted, months_of_statuses };
        listed.with_dropped_statuses(lake, dataset).await?.with_restored(lake, dataset).await
    }

    /// The days of an aggregator's snapshots, from one to another, in order.
    pub(crate) fn days(&self, id: &AggregatorId, span: Span) -> impl Iterator<Item = SnapshotDate> {
        self.snapshots.get(id).into_iter().flatten().copied().filter(move |date| span.has(*date))
    }

    /// Whether a day has a snapshot.
    pub(crate) fn has_snapshot(&self, id: &AggregatorId, date: SnapshotDate) -> bool {
        self.snapshots.get(id).is_some_and(|dates| dates.contains(&date))
    }

    /// The days between two others that have a ledger, the latest first.
    pub(super) fn ledgers_between(
        &self,
        id: &AggregatorId,
        after: Option<SnapshotDate>,
        before: SnapshotDate,
    ) -> Vec<SnapshotDate> {
        let is_after = |date: &&SnapshotDate| after.is_none_or(|after| **date > after);
        let days = self.ledgers.get(id).into_iter().flat_map(|days| days.range(..before).rev());
        days.take_while(is_after).copied().collect()
    }

    /// The days that have a table that is computed.
    pub(super) fn computed(&self, table: Table, dataset: &Dataset, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let of = if table == dataset.status { &self.statuses } else { &self.trends };
        of.get(id).cloned().unwrap_or_default()
    }

    /// The days of an aggregator's snapshots, and those whose snapshot is gone.
    pub(crate) fn with_lost(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let mut dates = self.snapshots.get(id).cloned().unwrap_or_default();
        dates.extend(self.lost.get(id).into_iter().flatten());
        dates
    }

    /// The days of an aggregator's snapshots, those whose snapshot is gone, which are no gap, and before them those whose snapshots
    /// were dropped: what was computed from them is what is left, and the first snapshot goes on from it.
    pub(crate) fn with_dropped(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let mut dates = self.with_lost(id);
        dates.extend(self.dropped(id));
        dates
    }

    /// The days before the first snapshot that have trends. A snapshot that was restored among days that were dropped counts with
    /// them: nothing is there that its trends could be computed from.
    pub(crate) fn dropped(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let first = self.snapshots.get(id).and_then(BTreeSet::first);
        let (Some(first), Some(trends)) = (first, self.trends.get(id)) else { return BTreeSet::new() };
        match self.dropped_to.get(id) {
            Some(last) => trends.range(..=*last).copied().collect(),
            None => trends.range(..*first).copied().collect(),
        }
    }
}

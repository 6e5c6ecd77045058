//! The days that a lake has.

use crate::ledger::Ledger;
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table, WINDOWS};
use compline_sink::{Inventory, Lake, Month, Partitions, READ_CONCURRENCY, Version, Versions};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};

/// How far back what a day's trends say may come from: the day that the longest window is compared with is at most this old.
pub(crate) const TRENDS_REACH_DAYS: u32 = 2 * WINDOWS[WINDOWS.len() - 1];

/// The days that a lake has of what trends are computed from, and of the trends themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// Whether days before those that a night looks at were not listed.
    is_part: bool,
    snapshots: Partitions,
    trends: Partitions,
    /// Which objects those are, where they were listed for a night.
    versions: Versions,
    statuses: Partitions,
    ledgers: Partitions,
    /// The days of which there are documents of the ledger's rows, where those were listed: its file may be gone.
    documents: BTreeSet<(AggregatorId, SnapshotDate)>,
    /// The last day of each aggregator that was dropped though a snapshot before it is there, as one that was restored.
    dropped_to: BTreeMap<AggregatorId, SnapshotDate>,
    /// Days that were committed and whose snapshot is gone, after the first snapshot that is there.
    lost: BTreeMap<AggregatorId, BTreeSet<SnapshotDate>>,
    /// Days that were dropped and whose trends, which nothing computes again, are gone.
    without_trends: BTreeMap<AggregatorId, BTreeSet<SnapshotDate>>,
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
    /// Whether a day may be without it.
    pub(crate) fn is_part(self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    pub(crate) fn has(self, date: SnapshotDate) -> bool {
        self.from.is_none_or(|from| date >= from) && self.to.is_none_or(|to| date <= to)
    }
}

impl History {
    /// Lists them, and looks at those of these aggregators that were dropped.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn read(
        lake: &Lake,
        statuses_from: Option<SnapshotDate>,
        ids: &[&AggregatorId],
    ) -> anyhow::Result<Self> {
        Self::with_documents(lake, statuses_from, ids, BTreeSet::new()).await
    }

    /// The same for days to be computed again: with those of which documents alone tell, which are no gap either.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn to_recompute(
        lake: &Lake,
        statuses_from: Option<SnapshotDate>,
        id: &AggregatorId,
    ) -> anyhow::Result<Self> {
        Self::with_documents(lake, statuses_from, &[id], lake.noted_days().await?).await
    }

    async fn with_documents(
        lake: &Lake,
        statuses_from: Option<SnapshotDate>,
        ids: &[&AggregatorId],
        documents: BTreeSet<(AggregatorId, SnapshotDate)>,
    ) -> anyhow::Result<Self> {
        let dataset = lake.dataset();
        let listed = Self {
            documents,
            snapshots: lake.partitions(dataset.facts).await?,
            trends: lake.partitions(dataset.trends).await?,
            statuses: lake.partitions(dataset.status).await?,
            ledgers: lake.partitions(Table::Runs).await?,
            statuses_from,
            ..Self::default()
        };
        listed.completed(lake, ids).await
    }

    /// Those that a day's trends are computed from, and all later ones: as many lists as they take, however long the history is.
    /// Everything, where an aggregator has no day among them that it could be compared with.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn for_day(
        lake: &Lake,
        statuses_from: Option<SnapshotDate>,
        ids: &[&AggregatorId],
        date: SnapshotDate,
    ) -> anyhow::Result<Self> {
        let dataset = lake.dataset();
        let from = date.minus_days(TRENDS_REACH_DAYS);
        let (trends, versions) = lake.versions_since(dataset.trends, from).await?;
        let listed = Self {
            is_part: true,
            snapshots: lake.partitions_since(dataset.facts, from).await?,
            trends,
            versions,
            statuses: lake.partitions_since(dataset.status, from).await?,
            ledgers: lake.partitions_since(Table::Runs, from).await?,
            statuses_from,
            ..Self::default()
        };
        let has_one_before =
            |id: &AggregatorId| listed.snapshots.get(id).and_then(BTreeSet::first).is_some_and(|first| *first < date);
        if ids.iter().all(|id| has_one_before(id)) {
            return listed.completed(lake, ids).await;
        }
        let all = Self::read(lake, statuses_from, ids).await?;
        Ok(Self { versions: listed.versions, ..all })
    }

    /// Looks into the lake for what the lists alone do not say.
    async fn completed(self, lake: &Lake, ids: &[&AggregatorId]) -> anyhow::Result<Self> {
        let mut listed = self.with_dropped_statuses(lake).await?.with_restored(lake).await?;
        for id in ids {
            listed = listed.with_dropped_of(lake, id).await?;
        }
        Ok(listed)
    }

    /// The days of an aggregator that have a ledger, or had one.
    fn told(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let documents = self.documents.iter().filter(|(of, _)| of == id).map(|(_, date)| *date);
        self.ledgers.get(id).into_iter().flatten().copied().chain(documents).collect()
    }

    /// Looks for days of an aggregator that were dropped, or whose snapshot is gone, and whose trends are gone, as far back as its first
    /// snapshot may look at them: runs that failed and days that are facts only have none either, and the ledger tells them apart. One
    /// that cannot be read says nothing.
    async fn with_dropped_of(mut self, lake: &Lake, id: &AggregatorId) -> anyhow::Result<Self> {
        let dataset = lake.dataset();
        let first = self.snapshots.get(id).and_then(BTreeSet::first).copied();
        let (Some(first), told) = (first, self.told(id)) else { return Ok(self) };
        let none = BTreeSet::new();
        let trends = self.trends.get(id).unwrap_or(&none);
        let without = told.range(first.minus_days(TRENDS_REACH_DAYS)..first).filter(|date| !trends.contains(date));
        let each = without.map(async |date| -> anyhow::Result<Option<SnapshotDate>> {
            let ledger = match Ledger::sound(lake, id, *date).await {
                // As one in an archive class: it costs no run.
                Err(error) if crate::journal::is_unreadable(&error) => {
                    tracing::warn!(error = format!("{error:#}"), %date, "not known whether the day was dropped");
                    None
                }
                ledger => ledger?,
            };
            let had_some = |ledger: &Ledger| ledger.is_dropped() || ledger.last_commit().is_some();
            let is_gone = ledger.is_some_and(|ledger| had_some(&ledger) && !ledger.has_no(dataset.trends));
            Ok(is_gone.then_some(*date))
        });
        let gone: Vec<Option<SnapshotDate>> =
            stream::iter(each).buffer_unordered(READ_CONCURRENCY).try_collect().await?;
        let gone: BTreeSet<SnapshotDate> = gone.into_iter().flatten().collect();
        if !gone.is_empty() {
            self.without_trends.insert(id.clone(), gone);
        }
        Ok(self)
    }

    /// Looks for what is noted of states that were dropped, where one is missing.
    async fn with_dropped_statuses(mut self, lake: &Lake) -> anyhow::Result<Self> {
        let dataset = lake.dataset();
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

    /// Whether it is noted in the lake that the state of a day is not retained.
    pub(crate) fn status_is_noted(&self, id: &AggregatorId, date: SnapshotDate) -> bool {
        self.noted.get(id).is_some_and(|from| date < *from)
    }

    /// The first day whose state is retained, as the settings say.
    pub(crate) fn statuses_from(&self) -> Option<SnapshotDate> {
        self.statuses_from
    }

    /// Whether the settings say that the state of a day is retained.
    pub(crate) fn retains_status(&self, date: SnapshotDate) -> bool {
        self.statuses_from.is_none_or(|from| date >= from)
    }

    /// Whether there is a file of the month that may have the state of a day.
    pub(crate) fn has_month_of_status(&self, table: Table, id: &AggregatorId, date: SnapshotDate) -> bool {
        let month = Month { table, month: date.into(), aggregator: id.clone() };
        self.months_of_statuses.contains(&month)
    }

    /// Looks for days that have trends or a ledger, come after a snapshot and have none: they were dropped before that was restored, or
    /// their snapshot is gone. There are none as long as nobody changes the lake by hand, but those that are held or of which every run
    /// failed.
    async fn with_restored(mut self, lake: &Lake) -> anyhow::Result<Self> {
        let dataset = lake.dataset();
        let none = BTreeSet::new();
        for (id, snapshots) in &self.snapshots {
            let Some(first) = snapshots.first() else { continue };
            let mut dates = self.told(id);
            dates.extend(self.trends.get(id).unwrap_or(&none));
            let without = dates.range(first..).rev().filter(|date| !snapshots.contains(date));
            let each = without.map(async |date| anyhow::Ok((*date, Ledger::sound_or_none(lake, id, *date).await?)));
            let each: Vec<(SnapshotDate, Ledger)> = stream::iter(each).buffered(READ_CONCURRENCY).try_collect().await?;
            for (date, ledger) in each {
                if ledger.is_dropped() {
                    self.dropped_to.insert(id.clone(), date);
                    break;
                }
                if ledger.last_commit().is_some() && !ledger.has_no(dataset.trends) {
                    self.lost.entry(id.clone()).or_default().insert(date);
                }
            }
        }
        Ok(self)
    }

    /// Whether there may be days before those that are known.
    pub(crate) fn is_part(&self) -> bool {
        self.is_part
    }

    /// Which object the trends of a day are, where that is known.
    pub(crate) fn version_of_trends(&self, id: &AggregatorId, date: SnapshotDate) -> Option<&Version> {
        self.versions.get(id)?.get(&date)
    }

    /// Those of an inventory, in the same way.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn of(
        lake: &Lake,
        inventory: &Inventory,
        statuses_from: Option<SnapshotDate>,
        ids: &[&AggregatorId],
    ) -> anyhow::Result<Self> {
        let dataset = lake.dataset();
        let of = |table: Table| {
            let mut partitions = Partitions::new();
            for partition in inventory.partitions.keys().filter(|partition| partition.table == table) {
                partitions.entry(partition.aggregator.clone()).or_default().insert(partition.date);
            }
            partitions
        };
        let listed = Self {
            snapshots: of(dataset.facts),
            trends: of(dataset.trends),
            statuses: of(dataset.status),
            ledgers: of(Table::Runs),
            documents: inventory.ledgers.clone(),
            statuses_from,
            ..Self::default()
        };
        listed.completed(lake, ids).await
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

    /// The days from one on that have a ledger and no snapshot, in order.
    pub(crate) fn without_snapshot(&self, id: &AggregatorId, from: SnapshotDate) -> Vec<SnapshotDate> {
        let days = self.ledgers.get(id).into_iter().flat_map(|days| days.range(from..));
        days.filter(|date| !self.has_snapshot(id, **date)).copied().collect()
    }

    /// The days that have a table that is computed.
    pub(crate) fn computed(&self, table: Table, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let of = if Dataset::of(table).is_some_and(|dataset| dataset.status == table) {
            &self.statuses
        } else {
            &self.trends
        };
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

    /// The days before the first snapshot that have trends, or had. A snapshot that was restored among days that were dropped
    /// counts with them: nothing is there that its trends could be computed from.
    pub(crate) fn dropped(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let Some(first) = self.snapshots.get(id).and_then(BTreeSet::first) else { return BTreeSet::new() };
        let first_left = self.dropped_to.get(id).map_or(*first, |last| last.next());
        let with_trends = self.trends.get(id).into_iter().flat_map(|days| days.range(..first_left));
        with_trends.chain(self.without_trends.get(id).into_iter().flatten()).copied().collect()
    }
}

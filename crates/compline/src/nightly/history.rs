//! The days that a lake has, and from which one on trends must be computed again.

use anyhow::bail;
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Lake, Partitions, Survey};
use compline_transformer::recent_needed;
use std::collections::BTreeSet;

/// The days that the lake has of what trends are made from and of.
pub(crate) struct History {
    pub(super) snapshots: Partitions,
    trends: Partitions,
    pub(super) statuses: Partitions,
    /// `pack_status` of earlier days is not kept.
    pub(super) statuses_from: Option<SnapshotDate>,
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
    pub(crate) async fn read(lake: &Lake, statuses_from: Option<SnapshotDate>) -> anyhow::Result<Self> {
        Ok(Self {
            snapshots: lake.partitions(Table::PackCompliance).await?,
            trends: lake.partitions(Table::ComplianceTrends).await?,
            statuses: lake.partitions(Table::PackStatus).await?,
            statuses_from,
        })
    }

    /// Those of a survey.
    pub(crate) fn of(survey: &Survey, statuses_from: Option<SnapshotDate>) -> Self {
        let of = |table: Table| {
            let mut partitions = Partitions::new();
            for partition in survey.partitions.keys().filter(|partition| partition.table == table) {
                partitions.entry(partition.aggregator.clone()).or_default().insert(partition.date);
            }
            partitions
        };
        Self {
            snapshots: of(Table::PackCompliance),
            trends: of(Table::ComplianceTrends),
            statuses: of(Table::PackStatus),
            statuses_from,
        }
    }

    /// The days of an aggregator's snapshots, from one to another, in order.
    pub(crate) fn days(&self, id: &AggregatorId, span: Span) -> impl Iterator<Item = SnapshotDate> {
        self.snapshots.get(id).into_iter().flatten().copied().filter(move |date| span.has(*date))
    }

    /// The days of an aggregator's snapshots, and before them those whose snapshots are dropped: what was worked out of them
    /// is what is left, and the first snapshot goes on from it.
    pub(super) fn with_dropped(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let mut dates = self.snapshots.get(id).cloned().unwrap_or_default();
        let dropped = self.dropped(id);
        dates.extend(dropped);
        dates
    }

    /// The days before the first snapshot that have trends.
    pub(crate) fn dropped(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let first = self.snapshots.get(id).and_then(BTreeSet::first);
        let (Some(first), Some(trends)) = (first, self.trends.get(id)) else { return BTreeSet::new() };
        trends.range(..*first).copied().collect()
    }

    /// The first day whose trends must be computed: `from`, or an earlier one, as long as something that it is computed
    /// from is not there.
    pub(super) fn first_to_redo(
        &self,
        id: &AggregatorId,
        dates: &BTreeSet<SnapshotDate>,
        mut from: SnapshotDate,
    ) -> anyhow::Result<SnapshotDate> {
        let dropped = self.dropped(id);
        let none = BTreeSet::new();
        let (trends, statuses) = (self.trends.get(id).unwrap_or(&none), self.statuses.get(id).unwrap_or(&none));
        let all: Vec<SnapshotDate> = dates.iter().copied().collect();
        loop {
            let previous = dates.range(..from).next_back().filter(|date| !statuses.contains(date));
            let lacking = recent_needed(from, &all).into_iter().find(|date| !trends.contains(date));
            match previous.copied().into_iter().chain(lacking).min() {
                Some(earlier) if dropped.contains(&earlier) => bail!(
                    "the trends of {from} go on from pack_status and compliance_trends of {earlier}, which are not all there, \
                     and its snapshot is dropped; restore them"
                ),
                Some(earlier) => from = earlier,
                None => return Ok(from),
            }
        }
    }
}

//! Proof that a day's own snapshot files may go: its months have these very rows.

use crate::ledger::Ledger;
use compline_model::{AggregatorId, SnapshotDate, SnapshotMonth};
use compline_sink::{Inventory, Lake, Month, MonthDays, Partition, Place, VerifiedMonth};
use std::collections::{BTreeMap, BTreeSet};

/// The months of an aggregator's dataset, each verified once.
pub(crate) struct Proof<'a> {
    lake: &'a Lake,
    id: &'a AggregatorId,
    inventory: Inventory,
    /// The days that were compared, and are the same. Nothing for a month that is not there, is damaged, or not as its days are.
    months: BTreeMap<Month, Option<MonthDays>>,
}

impl<'a> Proof<'a> {
    /// Lists what there is.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn open(lake: &'a Lake, id: &'a AggregatorId) -> anyhow::Result<Self> {
        let inventory = lake.inventory(chrono::DateTime::UNIX_EPOCH).await?;
        Ok(Self { lake, id, inventory, months: BTreeMap::new() })
    }

    /// Whether the day's snapshot files are byte for byte the ones that were committed last, and verified months were made from
    /// them. Where a drop was stopped, those that are left are.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn holds(
        &mut self,
        date: SnapshotDate,
        ledger: &Ledger,
        was_stopped: bool,
    ) -> anyhow::Result<bool> {
        // Without the row of its commit nothing says what the day was.
        if ledger.last_commit().is_none() {
            return Ok(false);
        }
        for table in self.lake.dataset().snapshot() {
            let partition = Partition { table, date, aggregator: self.id.clone() };
            let Some(own) = self.lake.sha256_of(&partition, Place::Table).await? else {
                if was_stopped {
                    continue;
                }
                return Ok(false);
            };
            if ledger.committed_sha256(table).is_some_and(|committed| *committed != own) {
                return Ok(false);
            }
            let month = Month { table, month: SnapshotMonth::from(date), aggregator: self.id.clone() };
            if self.month(month).await?.and_then(|days| days.get(&date)) != Some(&own) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The months that were looked at and are damaged, or not as their days are.
    pub(crate) fn wrong_months(&self) -> BTreeSet<Month> {
        let is_wrong = |month: &&Month| self.inventory.months.contains_key(*month);
        self.months
            .iter()
            .filter(|(_, days)| days.is_none())
            .map(|(month, _)| month)
            .filter(is_wrong)
            .cloned()
            .collect()
    }

    /// Looks at these months anew when they are asked for next.
    pub(crate) fn forget(&mut self, months: &BTreeSet<Month>) {
        self.months.retain(|month, _| !months.contains(month));
    }

    /// The days of a month that it is proven to have, if it is there and as its days are.
    async fn month(&mut self, month: Month) -> anyhow::Result<Option<&MonthDays>> {
        if !self.months.contains_key(&month) {
            let days = match self.inventory.months.contains_key(&month) {
                false => None,
                true => match self.lake.verify_month(&month, &self.inventory.days_of(&month), BTreeMap::new()).await {
                    Ok(VerifiedMonth { mut days, damaged_days, .. }) => {
                        // It says nothing of those, and is right for the others.
                        days.retain(|date, _| !damaged_days.contains_key(date));
                        Some(days)
                    }
                    Err(error) if error.is_damage() => {
                        tracing::warn!(error = error.what(), "nothing of this month is dropped as it is");
                        None
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            self.months.insert(month.clone(), days);
        }
        Ok(self.months.get(&month).and_then(Option::as_ref))
    }
}

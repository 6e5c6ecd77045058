//! What Compline has for itself, and for how long: the archive's pages, the documents of runs, and days that are held.

use crate::journal::Journal;
use crate::ledger::{Ledger, LedgerRow};
use crate::session::Session;
use crate::summary::counted;
use chrono::TimeDelta;
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use compline_sink::{Inventory, Lake, OfDay, Partition};
use indicatif::HumanBytes;
use std::collections::BTreeSet;

/// What is old enough, of one aggregator or, of the reports of whole runs, of none.
#[derive(Debug)]
pub(super) struct Old {
    raw: Vec<OfDay>,
    documents: Vec<OfDay>,
    held: BTreeSet<SnapshotDate>,
}

impl Old {
    /// What is old by its day, without what may not go: documents of a day whose ledger cannot be read, which could not be made
    /// again then, and what was held only lately, as of an import of an old day.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(super) async fn of(
        session: &Session<'_>,
        inventory: &Inventory,
        of: Option<(&'static Dataset, &AggregatorId)>,
    ) -> anyhow::Result<Self> {
        let (id, dataset) = (of.map(|(_, id)| id), of.map_or(&Dataset::PACKS, |(dataset, _)| dataset));
        // Pages and documents of all datasets go with packs.
        let is_of_all = dataset == &Dataset::PACKS;
        let (lake, keep, today) = (&session.lake.of(dataset), &session.settings.keep, session.today());
        let is_old = |days: Option<u32>, date: SnapshotDate| days.is_some_and(|days| date < today.minus_days(days));
        let of = |objects: &[OfDay], days: Option<u32>| -> Vec<OfDay> {
            let old = objects.iter().filter(|one| is_of_all && one.aggregator.as_ref() == id && is_old(days, one.date));
            old.cloned().collect()
        };
        let is_held = |held: &&Partition| Some(&held.aggregator) == id && dataset.snapshot().contains(&held.table);
        let held = inventory.held.keys().filter(is_held).filter(|held| is_old(keep.held_days, held.date));
        let mut old = Self {
            raw: of(&inventory.raw, keep.raw_days),
            documents: of(&inventory.documents, keep.runs_days),
            held: held.map(|held| held.date).collect(),
        };
        let dates: BTreeSet<SnapshotDate> =
            old.documents.iter().map(|one| one.date).chain(old.held.iter().copied()).collect();
        let ids = match id {
            Some(id) => BTreeSet::from([id.clone()]),
            None => inventory.aggregators(),
        };
        for date in dates {
            for of in &ids {
                let days = inventory.days(Table::Runs, of);
                // A day before an aggregator's first has none.
                let has_one = id.is_some()
                    || inventory.ledgers.contains(&(of.clone(), date))
                    || days.first().is_some_and(|first| *first <= date);
                let file = match Ledger::in_file(lake, of, date).await {
                    Err(error) if crate::journal::is_damage(&error) => None,
                    file => file?,
                };
                let is_held = file.as_ref().is_some_and(Ledger::is_held_of_any);
                if is_held || (has_one && file.is_none()) {
                    old.documents.retain(|one| one.date != date);
                }
                let limit = session.started_at - TimeDelta::days(keep.held_days.unwrap_or_default().into());
                if file.is_none_or(|file| file.held().is_some_and(|held| held.finished_at > limit)) {
                    old.held.remove(&date);
                }
            }
        }
        Ok(old)
    }

    /// Whether something that is held is rejected.
    pub(super) fn rejects(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.documents.is_empty() && self.held.is_empty()
    }

    /// Lines of what is done, or would be.
    pub(super) fn lines(&self, would: &str) -> Vec<String> {
        let of = |objects: &[OfDay], what: &str| {
            let days: BTreeSet<SnapshotDate> = objects.iter().map(|one| one.date).collect();
            let bytes = HumanBytes(objects.iter().map(|one| one.bytes).sum());
            let (first, last) = days.first().zip(days.last())?;
            Some(format!("{would} {what} of {}, {first} to {last}, {bytes}", counted(days.len(), "day")))
        };
        let reject = if would == "removed" { "rejected" } else { "would reject" };
        let held = self.held.iter().map(|date| format!("{reject} what is held of {date}"));
        of(&self.raw, "archived pages")
            .into_iter()
            .chain(of(&self.documents, "documents of runs"))
            .chain(held)
            .collect()
    }

    /// Rejects what is held, as a person would.
    ///
    /// # Errors
    /// A store that does not take it.
    pub(super) async fn reject(
        &self,
        journal: &mut Journal,
        lake: &Lake,
        row: &LedgerRow,
        id: &AggregatorId,
    ) -> anyhow::Result<()> {
        for date in &self.held {
            let why = "it was held for longer than maintain.held_days says".to_owned();
            let mut row = LedgerRow { error: Some(why), ..row.clone() };
            journal.reject(*date, &mut row).await?;
            Ledger::write(lake, id, *date, row).await?;
        }
        Ok(())
    }

    /// Removes pages and documents.
    ///
    /// # Errors
    /// A store that does not remove them.
    pub(super) async fn remove(&self, lake: &Lake) -> anyhow::Result<()> {
        lake.remove_old(&self.raw).await?;
        Ok(lake.remove_old(&self.documents).await?)
    }
}

/// What the ledger says of a day that this session changes.
pub(super) fn row(session: &Session<'_>) -> LedgerRow {
    LedgerRow {
        run_id: session.run_id.to_string(),
        started_at: session.started_at,
        finished_at: (session.clock)(),
        command: session.command.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..LedgerRow::default()
    }
}

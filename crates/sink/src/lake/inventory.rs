//! Everything that is in a lake, each thing with what it is.

use super::reports::is_report;
use super::{Lake, Month, OF_DATASET, Partition};
use crate::store::{Listed, OWN, Unfinished};
use crate::{Layout, SinkError};
use chrono::{DateTime, TimeDelta, Utc};
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate, SnapshotMonth, Table};
use std::collections::{BTreeMap, BTreeSet};

/// What is in a lake.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The partitions.
    pub partitions: BTreeMap<Partition, Object>,
    /// The months.
    pub months: BTreeMap<Month, Object>,
    /// What is held.
    pub held: BTreeMap<Partition, Object>,
    /// Days that a run was writing when it was stopped, or is writing now: those with an entry in the journal.
    pub journals: BTreeSet<(AggregatorId, RunId)>,
    /// Documents of runs.
    pub runs: BTreeSet<(SnapshotDate, RunId)>,
    /// Days of which the rows of the ledger are there as documents.
    pub ledgers: BTreeSet<(AggregatorId, SnapshotDate)>,
    /// The archive's pages, by day and aggregator.
    pub raw: Vec<OfDay>,
    /// Documents of runs, of rows of the ledger, and marks of what others were told.
    pub documents: Vec<OfDay>,
    /// Objects that Compline did not put there.
    pub unexpected: Vec<Unexpected>,
    /// Objects of runs that were stopped, which no later one needs.
    pub orphaned: Vec<String>,
    /// What could not be looked for, and why.
    pub unseen: Option<SinkError>,
    /// The entries of journals, by dataset.
    entries: BTreeSet<(Option<String>, AggregatorId, RunId)>,
    unfinished: Vec<Unfinished>,
    keys: Vec<String>,
}

/// An object of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// Its size.
    pub bytes: u64,
    /// When it was put there.
    pub modified: DateTime<Utc>,
}

/// An object of Compline's own that is of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfDay {
    /// Its path below the lake.
    pub key: String,
    /// The day.
    pub date: SnapshotDate,
    /// The aggregator, if it is of one.
    pub aggregator: Option<AggregatorId>,
    /// Its size.
    pub bytes: u64,
}

/// An object that Compline did not put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// Its path below the lake.
    pub key: String,
    /// Whether it is in a table's folder, where readers take it for the table's.
    pub in_a_table: bool,
}

/// Compline's own objects, by the folder that they are in.
enum Own {
    Held(Partition),
    Run(SnapshotDate, RunId),
    /// A row of the ledger.
    Row(AggregatorId, SnapshotDate),
    /// A mark of what others were told.
    Notified(AggregatorId, SnapshotDate),
    /// Pages of the archive.
    Raw(AggregatorId, SnapshotDate),
    /// An entry of the journal, or a file staged beside one.
    Journal(AggregatorId, RunId, bool),
    /// A part of a collection that was stopped.
    Checkpoint,
    /// An object that `check` put there to see whether it may.
    Probe,
    /// Leases, markers of older versions, damaged files that were made again, recent days in one object, notes of what was dropped, verified or cataloged.
    InUse,
}

/// What a run has written for the next one of its day is of no use to one of a later day.
const CHECKPOINTS_SERVE: TimeDelta = TimeDelta::hours(48);

/// How long a probe of the lake takes at most.
const PROBES_SERVE: TimeDelta = TimeDelta::hours(1);

impl Lake {
    /// Lists everything.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn inventory(&self, now: DateTime<Utc>) -> Result<Inventory, SinkError> {
        let mut inventory = Inventory::default();
        for object in self.store.list("").await? {
            inventory.add(object, now);
        }
        match self.store.unfinished().await {
            Ok(unfinished) => {
                let names =
                    unfinished.iter().map(|one| format!("{} (begun {})", one.name, one.since.format("%F %T UTC")));
                inventory.orphaned.extend(names);
                inventory.unfinished = unfinished;
            }
            // A store that cannot tell, or may not.
            Err(error) => inventory.unseen = Some(error),
        }
        Ok(inventory)
    }

    /// Removes objects of Compline's own that are old enough.
    ///
    /// # Errors
    /// A store that does not remove them.
    pub async fn remove_old(&self, objects: &[OfDay]) -> Result<(), SinkError> {
        let keys: Vec<String> = objects.iter().map(|object| object.key.clone()).collect();
        self.store.delete(&keys).await
    }

    /// Removes what an inventory names as orphaned.
    ///
    /// # Errors
    /// A store that does not remove it.
    pub async fn remove_orphaned(&self, inventory: &Inventory) -> Result<(), SinkError> {
        self.store.delete(&inventory.keys).await?;
        for unfinished in &inventory.unfinished {
            self.store.discard(unfinished).await?;
        }
        Ok(())
    }
}

impl Inventory {
    /// The aggregators that there is anything of.
    pub fn aggregators(&self) -> BTreeSet<AggregatorId> {
        let tables = self.partitions.keys().chain(self.held.keys()).map(|partition| &partition.aggregator);
        let months = self.months.keys().map(|month| &month.aggregator);
        let journals = self.journals.iter().map(|(aggregator, _)| aggregator);
        let ledgers = self.ledgers.iter().map(|(aggregator, _)| aggregator);
        tables.chain(months).chain(journals).chain(ledgers).cloned().collect()
    }

    /// The datasets of an aggregator that there is anything of, and packs in any case.
    pub fn datasets(&self, aggregator: &AggregatorId) -> Vec<&'static Dataset> {
        let is_there = |dataset: &&Dataset| *dataset == &Dataset::PACKS || self.has(dataset, aggregator);
        Dataset::ALL.into_iter().filter(is_there).collect()
    }

    /// Whether there is anything of a dataset of an aggregator.
    fn has(&self, dataset: &Dataset, aggregator: &AggregatorId) -> bool {
        let is_of = |table: Table| dataset.tables().contains(&table);
        let mut partitions = self.partitions.keys().chain(self.held.keys());
        let name = (dataset != &Dataset::PACKS).then(|| dataset.name.to_owned());
        partitions.any(|partition| partition.aggregator == *aggregator && is_of(partition.table))
            || self.months.keys().any(|month| month.aggregator == *aggregator && is_of(month.table))
            || self.entries.iter().any(|(of, id, _)| *of == name && id == aggregator)
    }

    /// The days that a table has.
    pub fn days(&self, table: Table, aggregator: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let of = |partition: &&Partition| partition.table == table && partition.aggregator == *aggregator;
        self.partitions.keys().filter(of).map(|partition| partition.date).collect()
    }

    /// The days of a month that have an object of their own.
    pub fn days_of(&self, month: &Month) -> BTreeSet<SnapshotDate> {
        let mut days = self.days(month.table, &month.aggregator);
        days.retain(|date| SnapshotMonth::from(*date) == month.month);
        days
    }

    pub(super) fn add(&mut self, object: Listed, now: DateTime<Utc>) {
        let Listed { key, bytes, modified, .. } = object;
        let of_table = Table::ALL.into_iter().find(|table| folder(&key) == table.name());
        if let Some(partition) = of_table.and_then(|table| Partition::of_key(table, &key)) {
            self.partitions.insert(partition, Object { bytes, modified });
            return;
        }
        if let Some(month) = Month::of_key(&key) {
            self.months.insert(month, Object { bytes, modified });
            return;
        }
        if is_report(&key) {
            return;
        }
        let age = now - modified;
        match own(&key) {
            Some(Own::Journal(aggregator, run_id, true)) => {
                self.entries.insert(entry_of(&key, &aggregator, run_id));
                self.journals.insert((aggregator, run_id));
            }
            // The entry is written after the files that are staged for it and removed before them. It comes first in a list.
            Some(Own::Journal(aggregator, run_id, false)) => {
                let is_of_entry = self.entries.contains(&entry_of(&key, &aggregator, run_id));
                if !is_of_entry && age > CHECKPOINTS_SERVE {
                    self.leave(key);
                }
            }
            Some(Own::Held(partition)) => drop(self.held.insert(partition, Object { bytes, modified })),
            Some(Own::Run(date, run_id)) => {
                self.runs.insert((date, run_id));
                self.documents.push(OfDay { key, date, aggregator: None, bytes });
            }
            Some(Own::Raw(aggregator, date)) => {
                self.raw.push(OfDay { key, date, aggregator: Some(aggregator), bytes });
            }
            Some(Own::Row(aggregator, date)) => {
                self.ledgers.insert((aggregator.clone(), date));
                self.documents.push(OfDay { key, date, aggregator: Some(aggregator), bytes });
            }
            Some(Own::Notified(aggregator, date)) => {
                self.documents.push(OfDay { key, date, aggregator: Some(aggregator), bytes });
            }
            Some(Own::Checkpoint) if age > CHECKPOINTS_SERVE => self.leave(key),
            Some(Own::Probe) if age > PROBES_SERVE => self.leave(key),
            Some(Own::Checkpoint | Own::Probe | Own::InUse) => {}
            None => {
                let in_a_table = (of_table.is_some() || is_of_months(&key)) && !is_ignored(&key);
                self.unexpected.push(Unexpected { in_a_table, key });
            }
        }
    }

    fn leave(&mut self, key: String) {
        self.orphaned.push(key.clone());
        self.keys.push(key);
    }
}

/// Whether readers of tables pass an object over: markers that other tools leave, and names that begin like hidden ones.
fn is_ignored(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or_default();
    name.is_empty() || name.starts_with(['.', '_']) || name.ends_with("_$folder$")
}

/// Whether an object is in the folder of a table's months.
fn is_of_months(key: &str) -> bool {
    Table::ALL.into_iter().any(|table| Layout::Monthly.name(table) == folder(key))
}

fn folder(key: &str) -> &str {
    key.split_once('/').map_or("", |(folder, _)| folder)
}

/// The kinds of notes that there are of each dataset.
const HAVE_DATASETS: [&str; 5] = ["checkpoints", "journal", "ledger", "notified", "raw"];

/// The dataset whose notes a path below the folder of a kind is of, and the rest of it; nothing for those of packs.
fn of_dataset(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(OF_DATASET)?.split_once('/')
}

/// The entry that an object of a journal is of.
fn entry_of(key: &str, aggregator: &AggregatorId, run_id: RunId) -> (Option<String>, AggregatorId, RunId) {
    let dataset = key.strip_prefix(OWN).and_then(|rest| of_dataset(rest.split_once('/')?.1));
    (dataset.map(|(name, _)| name.to_owned()), aggregator.clone(), run_id)
}

/// What an object of Compline's own is; nothing if it is none.
fn own(key: &str) -> Option<Own> {
    let rest = key.strip_prefix(OWN)?;
    let (kind, rest) = rest.split_once('/')?;
    let rest = match of_dataset(rest) {
        // One that this version does not know.
        Some((name, _)) if !HAVE_DATASETS.contains(&kind) || Dataset::named(name).is_none() => return None,
        Some((_, rest)) => rest,
        None => rest,
    };
    match kind {
        "held" => {
            let table = Table::ALL.into_iter().find(|table| folder(rest) == table.name())?;
            Some(Own::Held(Partition::of_key(table, rest)?))
        }
        "runs" => {
            let (date, name) = rest.strip_prefix("snapshot_date=")?.split_once('/')?;
            Some(Own::Run(date.parse().ok()?, name.strip_suffix(".json")?.parse().ok()?))
        }
        "journal" => {
            let (aggregator, rest) = rest.strip_prefix("aggregator=")?.split_once('/')?;
            let (run_id, is_entry) = match rest.split_once('/') {
                Some((run_id, _)) => (run_id, false),
                None => (rest.strip_suffix(".json")?, true),
            };
            Some(Own::Journal(aggregator.parse().ok()?, run_id.parse().ok()?, is_entry))
        }
        "ledger" => {
            let (date, rest) = rest.strip_prefix("snapshot_date=")?.split_once('/')?;
            let (aggregator, name) = rest.strip_prefix("aggregator=")?.split_once('/')?;
            name.strip_suffix(".json")?.parse::<RunId>().ok()?;
            Some(Own::Row(aggregator.parse().ok()?, date.parse().ok()?))
        }
        "notified" => {
            let (date, rest) = rest.strip_prefix("snapshot_date=")?.split_once('/')?;
            let (aggregator, name) = rest.strip_prefix("aggregator=")?.split_once('/')?;
            let kind = name.strip_suffix(".json")?;
            let is_kind = !kind.is_empty() && kind.bytes().all(|letter| letter.is_ascii_lowercase());
            if is_kind { Some(Own::Notified(aggregator.parse().ok()?, date.parse().ok()?)) } else { None }
        }
        "checkpoints" => Some(Own::Checkpoint),
        "probe" => Some(Own::Probe),
        "raw" => {
            let (date, rest) = rest.strip_prefix("snapshot_date=")?.split_once('/')?;
            let (aggregator, _) = rest.strip_prefix("aggregator=")?.split_once('/')?;
            Some(Own::Raw(aggregator.parse().ok()?, date.parse().ok()?))
        }
        "cataloged" | "lease" | "redo" | "damaged" | "recent" | "retention" | "verified" => Some(Own::InUse),
        _ => None,
    }
}

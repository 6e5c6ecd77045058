//! The ledger as documents: what each run did, one JSON file a run, written once and never again; and each row of the ledger as
//! a file of its own, which a ledger that is damaged is made again from; and marks of what others were told of a day.

use super::{Inventory, Lake, Partition, sha256};
use crate::SinkError;
use crate::store::OWN;
use bytes::Bytes;
use chrono::DateTime;
use compline_model::{AggregatorId, RunId, SnapshotDate};
use std::collections::BTreeSet;

fn folder(date: SnapshotDate) -> String {
    format!("_compline/runs/snapshot_date={date}/")
}

fn key(date: SnapshotDate, run_id: RunId) -> String {
    format!("{}{run_id}.json", folder(date))
}

impl Lake {
    fn rows_folder(&self, aggregator: &AggregatorId, date: SnapshotDate) -> String {
        format!("{}snapshot_date={date}/aggregator={aggregator}/", self.notes("ledger"))
    }

    fn row_key(&self, aggregator: &AggregatorId, date: SnapshotDate, run_id: RunId) -> String {
        format!("{}{run_id}.json", self.rows_folder(aggregator, date))
    }

    fn mark_key(&self, aggregator: &AggregatorId, date: SnapshotDate, kind: &str) -> String {
        format!("{}snapshot_date={date}/aggregator={aggregator}/{kind}.json", self.notes("notified"))
    }

    /// Writes the document of a run.
    ///
    /// # Errors
    /// A store that does not take it, or another document of that run.
    pub async fn note_run(&self, date: SnapshotDate, run_id: RunId, document: Bytes) -> Result<(), SinkError> {
        let key = key(date, run_id);
        if self.store.put_new(&key, document).await? {
            return Ok(());
        }
        Err(SinkError::permanent(format!("write {key}"), "another document of this run is there"))
    }

    /// Marks that others are told something of an aggregator's day, by the kind of what they are told: lower-case letters. Whether
    /// they were not told before: of several at the same moment one is the first. The document must be no other run's.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn mark_notified(
        &self,
        aggregator: &AggregatorId,
        date: SnapshotDate,
        kind: &str,
        document: Bytes,
    ) -> Result<bool, SinkError> {
        self.store.put_new(&self.mark_key(aggregator, date, kind), document).await
    }

    /// The documents of a day's runs, in order of their ids.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn run_documents(&self, date: SnapshotDate) -> Result<Vec<Bytes>, SinkError> {
        self.documents(&folder(date)).await
    }

    /// Writes or replaces a row of a day's ledger as a document.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn note_row(
        &self,
        aggregator: &AggregatorId,
        date: SnapshotDate,
        run_id: RunId,
        document: Bytes,
    ) -> Result<(), SinkError> {
        self.put(&self.row_key(aggregator, date, run_id), document).await.map(drop)
    }

    /// The runs whose rows of a day's ledger are there as documents.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn noted_rows(&self, aggregator: &AggregatorId, date: SnapshotDate) -> Result<Vec<RunId>, SinkError> {
        let folder = self.rows_folder(aggregator, date);
        let listed = self.store.list(&folder).await?;
        let name = |key: &str| key.strip_prefix(&folder)?.strip_suffix(".json")?.parse().ok();
        Ok(listed.iter().filter_map(|object| name(&object.key)).collect())
    }

    /// The row of a run as a document, if it is there.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn row_document(
        &self,
        aggregator: &AggregatorId,
        date: SnapshotDate,
        run_id: RunId,
    ) -> Result<Option<Bytes>, SinkError> {
        self.store.get(&self.row_key(aggregator, date, run_id)).await
    }

    /// The days of each aggregator of which there are rows of the ledger as documents.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn noted_days(&self) -> Result<BTreeSet<(AggregatorId, SnapshotDate)>, SinkError> {
        let mut inventory = Inventory::default();
        for object in self.store.list(&format!("{OWN}ledger/")).await? {
            inventory.add(object, DateTime::UNIX_EPOCH);
        }
        Ok(inventory.ledgers)
    }

    async fn documents(&self, folder: &str) -> Result<Vec<Bytes>, SinkError> {
        let mut keys: Vec<String> = self.store.list(folder).await?.into_iter().map(|object| object.key).collect();
        keys.sort_unstable();
        let mut documents = Vec::with_capacity(keys.len());
        for key in keys {
            documents.extend(self.store.get(&key).await?);
        }
        Ok(documents)
    }

    /// Copies a partition's file, whatever its state is, to where it is in nobody's way: it is about to be made again.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn set_aside(&self, partition: &Partition) -> Result<(), SinkError> {
        let key = partition.key();
        match self.store.get(&key).await? {
            Some(file) => self.put(&format!("_compline/damaged/{}/{key}", sha256(&file)), file).await.map(drop),
            None => Ok(()),
        }
    }
}

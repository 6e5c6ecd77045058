//! The ledger as documents: what each run did, one JSON file a run, written once and never again.

use super::{Lake, Partition, sha256};
use crate::SinkError;
use bytes::Bytes;
use compline_model::{RunId, SnapshotDate};

fn folder(date: SnapshotDate) -> String {
    format!("_compline/runs/snapshot_date={date}/")
}

fn key(date: SnapshotDate, run_id: RunId) -> String {
    format!("{}{run_id}.json", folder(date))
}

impl Lake {
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

    /// The documents of a day's runs, in order of their ids.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn run_documents(&self, date: SnapshotDate) -> Result<Vec<Bytes>, SinkError> {
        let mut keys: Vec<String> =
            self.store.list(&folder(date)).await?.into_iter().map(|object| object.key).collect();
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

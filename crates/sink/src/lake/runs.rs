//! The ledger as documents: what each run did, one JSON file a run, written once and never again.

use super::Lake;
use crate::SinkError;
use bytes::Bytes;
use compline_model::{RunId, SnapshotDate};

fn key(date: SnapshotDate, run_id: RunId) -> String {
    format!("_compline/runs/snapshot_date={date}/{run_id}.json")
}

impl Lake {
    /// Keeps the document of a run.
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
}

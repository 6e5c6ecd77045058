//! Checkpoints: what a run has read so far, so that the next one resumes where it was stopped.
//!
//! An aggregator has those of one collection of each dataset at a time, in a folder of its own; a small object beside them says which, of
//! which day and plan. It is removed before they are, and written after those of another collection are gone, so a
//! checkpoint is never taken for one of another collection.

use super::Lake;
use crate::SinkError;
use bytes::Bytes;
use compline_model::{AggregatorId, RunId, SnapshotDate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One collection of a dataset of an aggregator's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The aggregator.
    pub aggregator: AggregatorId,
    /// The day.
    pub date: SnapshotDate,
    /// The run that began it.
    pub run_id: RunId,
    /// When that run began, in seconds since 1970.
    pub started_at: i64,
    /// Everything that decides what is collected, as text: another plan is another collection.
    pub plan: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    snapshot_date: String,
    run_id: String,
    started_at: i64,
    plan: String,
}

impl Lake {
    fn checkpoint_folder(&self, aggregator: &AggregatorId) -> String {
        format!("{}aggregator={aggregator}/", self.notes("checkpoints"))
    }

    fn collection_key(&self, aggregator: &AggregatorId) -> String {
        self.checkpoint_folder(aggregator) + "collection.json"
    }

    fn checkpoint_key(&self, collection: &Collection, name: &str) -> String {
        format!("{}{}/{name}", self.checkpoint_folder(&collection.aggregator), collection.run_id)
    }

    /// The collection of an aggregator that was not finished, if there is one that can be read.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn collection(&self, aggregator: &AggregatorId) -> Result<Option<Collection>, SinkError> {
        let Some(file) = self.store.get(&self.collection_key(aggregator)).await? else { return Ok(None) };
        let read = || {
            let Written { snapshot_date, run_id, started_at, plan } = serde_json::from_slice(&file).ok()?;
            let (date, run_id) = (snapshot_date.parse().ok()?, run_id.parse().ok()?);
            Some(Collection { aggregator: aggregator.clone(), date, run_id, started_at, plan })
        };
        // One that this version does not know is as good as none: it is collected again.
        Ok(read())
    }

    /// Begins a collection: what another left is removed.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn begin_collection(&self, collection: &Collection) -> Result<(), SinkError> {
        self.end_collection(&collection.aggregator).await?;
        let Collection { aggregator, date, run_id, started_at, plan } = collection;
        let written = Written {
            snapshot_date: date.to_string(),
            run_id: run_id.to_string(),
            started_at: *started_at,
            plan: plan.clone(),
        };
        let written =
            serde_json::to_vec(&written).map_err(|error| SinkError::permanent("write a checkpoint", error))?;
        self.store.put(&self.collection_key(aggregator), Bytes::from(written)).await
    }

    /// Removes everything of an aggregator's collection.
    ///
    /// # Errors
    /// A store that does not remove it.
    pub async fn end_collection(&self, aggregator: &AggregatorId) -> Result<(), SinkError> {
        self.store.delete(&[self.collection_key(aggregator)]).await?;
        let left = self.store.list(&self.checkpoint_folder(aggregator)).await?;
        let keys: Vec<String> = left.into_iter().map(|object| object.key).collect();
        self.store.delete(&keys).await
    }

    /// The names of a collection's checkpoints.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn checkpoints(&self, collection: &Collection) -> Result<BTreeSet<String>, SinkError> {
        let folder = self.checkpoint_key(collection, "");
        let listed = self.store.list(&folder).await?;
        Ok(listed.iter().filter_map(|object| object.key.strip_prefix(&folder)).map(str::to_owned).collect())
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn put_checkpoint(&self, collection: &Collection, name: &str, body: Bytes) -> Result<(), SinkError> {
        self.store.put(&self.checkpoint_key(collection, name), body).await
    }

    /// A checkpoint, if it is there.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn checkpoint(&self, collection: &Collection, name: &str) -> Result<Option<Bytes>, SinkError> {
        self.store.get(&self.checkpoint_key(collection, name)).await
    }

    /// Writes the pages of a collection as they came, to be retained. Gives where they are below the lake.
    ///
    /// # Errors
    /// A store that does not take them.
    pub async fn archive(&self, collection: &Collection, pages: Bytes) -> Result<String, SinkError> {
        let Collection { aggregator, date, run_id, .. } = collection;
        let key = format!("{}snapshot_date={date}/aggregator={aggregator}/{run_id}.jsonl.zst", self.notes("raw"));
        self.store.put(&key, pages).await?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn checkpoints_are_of_one_collection_and_gone_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        let aggregator: AggregatorId = "org".parse().expect("an id");
        assert_eq!(lake.collection(&aggregator).await.expect("read"), None);
        let collection = |run_id: &str, date: &str| Collection {
            aggregator: aggregator.clone(),
            date: date.parse().expect("a date"),
            run_id: run_id.parse().expect("a run id"),
            started_at: 7,
            plan: "everything".to_owned(),
        };
        let first = collection("01900000-0000-7000-8000-000000000000", "2026-01-02");
        let second = collection("01900000-0000-7000-8000-000000000001", "2026-01-03");
        lake.begin_collection(&first).await.expect("begun");
        lake.put_checkpoint(&first, "shard-1", Bytes::from_static(b"x")).await.expect("put");
        assert_eq!(lake.collection(&aggregator).await.expect("read").as_ref(), Some(&first));
        assert_eq!(lake.checkpoints(&first).await.expect("listed"), BTreeSet::from(["shard-1".to_owned()]));
        assert!(lake.checkpoints(&second).await.expect("listed").is_empty());
        lake.begin_collection(&second).await.expect("begun");
        assert_eq!(lake.checkpoint(&first, "shard-1").await.expect("read"), None);
        assert_eq!(lake.collection(&aggregator).await.expect("read").as_ref(), Some(&second));
        lake.end_collection(&aggregator).await.expect("ended");
        assert_eq!(lake.store.list("").await.expect("listed"), []);
    }
}

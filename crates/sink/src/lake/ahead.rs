//! Objects that are fetched while something else is done, so that nobody waits for each of them.

use crate::{Partition, SinkError};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;

type Fetch = JoinHandle<Result<Option<Bytes>, SinkError>>;

/// What is being fetched, or was and is not yet taken: of the call before the last one, and of the last one.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<[HashMap<String, Fetch>; 2]>);

impl Ahead {
    fn fetches(&self) -> MutexGuard<'_, [HashMap<String, Fetch>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, key: &str) -> Option<Fetch> {
        self.fetches().iter_mut().find_map(|fetches| fetches.remove(key))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.fetches().iter_mut().flat_map(HashMap::drain).for_each(|(_, fetch)| fetch.abort());
    }
}

impl super::Lake {
    /// The same lake for one who says what it will read next.
    pub fn reading_ahead(&self) -> Self {
        Self { ahead: Arc::default(), ..self.clone() }
    }

    /// Fetches the files of partitions, for whoever reads each of them next, once, in the lake that this is called of and its clones. What
    /// was fetched before the last call of this and not read is forgotten.
    pub fn read_ahead(&self, partitions: impl IntoIterator<Item = Partition>) {
        let fetch = |partition: Partition| {
            let (store, key) = (Arc::clone(&self.store), partition.key());
            let fetched = key.clone();
            (key, tokio::spawn(async move { store.get(&fetched).await }))
        };
        let mut fetches = self.ahead.fetches();
        let last = std::mem::replace(&mut fetches[1], partitions.into_iter().map(fetch).collect());
        let forgotten = std::mem::replace(&mut fetches[0], last);
        forgotten.into_values().for_each(|fetch| fetch.abort());
    }

    /// An object of a table, fetched now or ahead.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError> {
        match self.ahead.take(key) {
            Some(fetch) => fetch.await.unwrap_or_else(|error| Err(SinkError::permanent(format!("read {key}"), error))),
            None => self.store.get(key).await,
        }
    }

    /// What was fetched of an object is another now.
    pub(super) fn forget(&self, key: &str) {
        if let Some(fetch) = self.ahead.take(key) {
            fetch.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Lake;
    use super::*;
    use compline_model::Table;

    #[tokio::test]
    async fn what_was_read_ahead_is_read_once_and_never_after_it_was_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await.reading_ahead();
        let partition = |day: &str| Partition {
            table: Table::PackStatus,
            date: day.parse().expect("a date"),
            aggregator: "org".parse().expect("an id"),
        };
        let (one, other) = (partition("2026-03-01"), partition("2026-03-02"));
        let rows = arrow::array::RecordBatch::new_empty(Table::PackStatus.schema());
        lake.commit(&one, rows.clone()).await.expect("committed");
        let there = async |lake: &Lake, partition| lake.file(partition).await.expect("read").is_some();
        // Fetched as it is before it is removed by another.
        lake.read_ahead([one.clone(), other.clone()]);
        let is_fetched = || lake.ahead.fetches().iter().flat_map(HashMap::values).all(Fetch::is_finished);
        let fetched = async || {
            while !is_fetched() {
                tokio::task::yield_now().await;
            }
        };
        fetched().await;
        std::fs::remove_file(folder.path().join(one.key())).expect("removed");
        assert!(there(&lake, &one).await && !there(&lake, &one).await);
        // It was not there, and was put since.
        lake.commit(&other, rows).await.expect("committed");
        assert!(there(&lake, &other).await);
        lake.read_ahead([other.clone()]);
        fetched().await;
        lake.remove(std::slice::from_ref(&other)).await.expect("removed");
        assert!(!there(&lake, &other).await);
        // What nobody reads is kept until the call after the next.
        lake.read_ahead([one, other]);
        let kept = [2, 0].map(|_| {
            lake.read_ahead([]);
            lake.ahead.fetches().iter().map(HashMap::len).sum::<usize>()
        });
        assert_eq!(kept, [2, 0]);
    }
}

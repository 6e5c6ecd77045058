//! When an aggregator's days were last verified, and what came of it: for those who ask how the lake stands without reading it.

use super::Lake;
use crate::SinkError;
use chrono::{DateTime, Utc};
use compline_model::AggregatorId;
use serde::{Deserialize, Serialize};

/// The result of the last whole verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When it was done.
    pub verified_at: DateTime<Utc>,
    /// How many problems it found in the aggregator's days that no run completes.
    pub problems: u64,
}

fn key(aggregator: &AggregatorId) -> String {
    format!("_compline/verified/aggregator={aggregator}.json")
}

impl Lake {
    /// The last verification of an aggregator, if there was any. A document that is damaged says nothing.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn last_verification(&self, aggregator: &AggregatorId) -> Result<Option<Verification>, SinkError> {
        self.note(&key(aggregator)).await
    }

    /// Notes a verification. Whoever is done last is right.
    ///
    /// # Errors
    /// A store that does not take it, such as one that may only be read.
    pub async fn note_verification(
        &self,
        aggregator: &AggregatorId,
        verification: Verification,
    ) -> Result<(), SinkError> {
        self.put_note(&key(aggregator), &verification).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn the_last_verification_is_read_back_and_a_damaged_note_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        let id: AggregatorId = "org".parse().expect("an id");
        assert_eq!(lake.last_verification(&id).await.expect("read"), None);
        let verification = Verification { verified_at: DateTime::UNIX_EPOCH, problems: 3 };
        lake.note_verification(&id, verification).await.expect("written");
        assert_eq!(lake.last_verification(&id).await.expect("read"), Some(verification));
        assert_eq!(lake.inventory(Utc::now()).await.expect("listed").unexpected, []);
        lake.store.put(&key(&id), Bytes::from_static(b"{\"verified_at\": 3")).await.expect("put");
        assert_eq!(lake.last_verification(&id).await.expect("read"), None);
    }
}

//! The redo marker: from which day an aggregator's trend tables must be computed again.
//!
//! It is written before a snapshot is replaced and removed after the last trend table is, so a run that was killed in
//! between leaves a note for the next one, and no trend stays behind its snapshot.

use super::Lake;
use crate::SinkError;
use bytes::Bytes;
use compline_model::{AggregatorId, SnapshotDate};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    from: String,
}

fn key(aggregator: &AggregatorId) -> String {
    format!("_compline/redo/aggregator={aggregator}.json")
}

impl Lake {
    /// The day from which trends must be computed again, if a run was stopped before it was done with them.
    ///
    /// # Errors
    /// A store that does not answer, or a marker that is not one.
    pub async fn redo_from(&self, aggregator: &AggregatorId) -> Result<Option<SnapshotDate>, SinkError> {
        let key = key(aggregator);
        let Some(file) = self.store.get(&key).await? else { return Ok(None) };
        let failed = |reason: String| {
            SinkError::permanent(format!("read {key}"), reason)
                .hint(Some("remove it, and run the days again whose trends may be behind".to_owned()))
        };
        let marker: Marker = serde_json::from_slice(&file).map_err(|error| failed(error.to_string()))?;
        marker.from.parse().map(Some).map_err(|error: compline_model::InvalidDate| failed(error.to_string()))
    }

    /// Notes that trends from this day on are behind. An earlier note must be passed on by its own, earlier date.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn mark_redo(&self, aggregator: &AggregatorId, from: SnapshotDate) -> Result<(), SinkError> {
        let marker = serde_json::to_vec(&Marker { from: from.to_string() })
            .map_err(|error| SinkError::permanent("write a redo marker", error))?;
        self.store.put(&key(aggregator), Bytes::from(marker)).await
    }

    /// Notes that every trend table is up to its snapshot.
    ///
    /// # Errors
    /// A store that does not remove it.
    pub async fn clear_redo(&self, aggregator: &AggregatorId) -> Result<(), SinkError> {
        self.store.delete(&[key(aggregator)]).await
    }
}

#[cfg(test)]
mod tests {
    use crate::{Compression, Lake, LakeLocation};

    #[tokio::test]
    async fn a_marker_is_read_back_until_it_is_cleared() {
        let folder = tempfile::tempdir().expect("a folder");
        let location = LakeLocation::Folder(folder.path().to_owned());
        let lake = Lake::open(&location, Compression::Zstd).await.expect("a lake");
        let (aggregator, date) = ("org".parse().expect("an id"), "2026-01-02".parse().expect("a date"));
        assert_eq!(lake.redo_from(&aggregator).await.expect("read"), None);
        lake.mark_redo(&aggregator, date).await.expect("marked");
        assert_eq!(lake.redo_from(&aggregator).await.expect("read"), Some(date));
        lake.clear_redo(&aggregator).await.expect("cleared");
        lake.clear_redo(&aggregator).await.expect("cleared twice");
        assert_eq!(lake.redo_from(&aggregator).await.expect("read"), None);
    }
}

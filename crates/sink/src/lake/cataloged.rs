//! When a catalog was last found to be, or made, what the whole lake is: for some time after that a run need not look at all of it.

use super::Lake;
use crate::SinkError;
use compline_model::SnapshotDate;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Note {
    /// The snapshot date of the run that looked at all of it.
    snapshot_date: String,
}

/// Where the notes are.
const FOLDER: &str = "_compline/cataloged/";

fn key(catalog: &str) -> String {
    format!("{FOLDER}{catalog}.json")
}

impl Lake {
    /// The snapshot date of the run after which a catalog was what the lake is. The catalog has a name that may be one of a file. A
    /// document that is damaged says nothing.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn cataloged(&self, catalog: &str) -> Result<Option<SnapshotDate>, SinkError> {
        let note: Option<Note> = self.note(&key(catalog)).await?;
        Ok(note.and_then(|note| note.snapshot_date.parse().ok()))
    }

    /// Notes that a catalog is what the lake is.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn note_cataloged(&self, catalog: &str, date: SnapshotDate) -> Result<(), SinkError> {
        self.put_note(&key(catalog), &Note { snapshot_date: date.to_string() }).await
    }

    /// Takes the note of a catalog back, or those of every catalog.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn forget_cataloged(&self, catalog: Option<&str>) -> Result<(), SinkError> {
        let keys = match catalog {
            Some(catalog) => vec![key(catalog)],
            None => self.store.list(FOLDER).await?.into_iter().map(|note| note.key).collect(),
        };
        self.store.delete(&keys).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use chrono::Utc;

    #[tokio::test]
    async fn a_note_is_read_back_until_it_is_taken_back_and_a_damaged_one_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        assert_eq!(lake.cataloged("a").await.expect("read"), None);
        let date = "2026-03-01".parse().expect("a date");
        lake.note_cataloged("a", date).await.expect("written");
        assert_eq!(lake.cataloged("a").await.expect("read"), Some(date));
        assert_eq!(lake.cataloged("b").await.expect("read"), None);
        assert_eq!(lake.inventory(Utc::now()).await.expect("listed").unexpected, []);
        for damaged in ["{\"snapshot_date\": 3", "{\"snapshot_date\": \"yesterday\"}"] {
            lake.store.put(&key("a"), Bytes::from_static(damaged.as_bytes())).await.expect("put");
            assert_eq!(lake.cataloged("a").await.expect("read"), None, "{damaged}");
        }
        for catalog in ["a", "b"] {
            lake.note_cataloged(catalog, date).await.expect("written");
        }
        lake.forget_cataloged(Some("a")).await.expect("removed");
        assert_eq!(lake.cataloged("a").await.expect("read"), None);
        assert_eq!(lake.cataloged("b").await.expect("read"), Some(date));
        lake.forget_cataloged(None).await.expect("removed");
        assert_eq!(lake.cataloged("b").await.expect("read"), None);
        lake.forget_cataloged(None).await.expect("gone already");
    }
}

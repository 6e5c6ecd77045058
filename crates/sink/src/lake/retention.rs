//! From which day on a table that is computed is retained, so that whoever looks later, with whatever settings, can tell what was
//! dropped for its age from what is lost.

use super::Lake;
use crate::SinkError;
use compline_model::{AggregatorId, SnapshotDate, Table};
use std::collections::BTreeMap;

/// The first day that is retained, by the name of the table.
type Document = BTreeMap<String, String>;

fn key(aggregator: &AggregatorId) -> String {
    format!("_compline/retention/aggregator={aggregator}.json")
}

impl Lake {
    /// The first day of which a table is retained, if earlier ones were dropped. A document that is damaged says nothing.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn retained_from(
        &self,
        aggregator: &AggregatorId,
        table: Table,
    ) -> Result<Option<SnapshotDate>, SinkError> {
        let from = self.retention(aggregator).await?.remove(table.name());
        Ok(from.and_then(|from| from.parse().ok()))
    }

    /// Notes that a table's days before one are about to be dropped. What was noted of a later day stays.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn note_retained_from(
        &self,
        aggregator: &AggregatorId,
        table: Table,
        from: SnapshotDate,
    ) -> Result<(), SinkError> {
        let mut document = self.retention(aggregator).await?;
        let before = document.get(table.name()).and_then(|from| from.parse::<SnapshotDate>().ok());
        if before >= Some(from) {
            return Ok(());
        }
        document.insert(table.name().to_owned(), from.to_string());
        self.put_note(&key(aggregator), &document).await
    }

    async fn retention(&self, aggregator: &AggregatorId) -> Result<Document, SinkError> {
        Ok(self.note(&key(aggregator)).await?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn what_was_dropped_stays_noted_by_table_and_a_damaged_note_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::in_folder(folder.path()).await;
        let id: AggregatorId = "org".parse().expect("an id");
        let day = |day: &str| -> SnapshotDate { day.parse().expect("a date") };
        let (statuses, trends) = (Table::PackStatus, Table::ComplianceTrends);
        assert_eq!(lake.retained_from(&id, statuses).await.expect("read"), None);
        for noted in ["2026-02-01", "2026-01-01"] {
            lake.note_retained_from(&id, statuses, day(noted)).await.expect("written");
        }
        assert_eq!(lake.retained_from(&id, statuses).await.expect("read"), Some(day("2026-02-01")));
        assert_eq!(lake.retained_from(&id, trends).await.expect("read"), None);
        lake.store.put(&key(&id), Bytes::from_static(b"{\"pack_st")).await.expect("put");
        assert_eq!(lake.retained_from(&id, statuses).await.expect("read"), None);
        lake.note_retained_from(&id, statuses, day("2026-03-01")).await.expect("written");
        assert_eq!(lake.retained_from(&id, statuses).await.expect("read"), Some(day("2026-03-01")));
    }
}

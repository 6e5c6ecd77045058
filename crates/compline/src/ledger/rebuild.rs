//! Making a day's ledger again that is damaged, from the documents that its runs left in `_compline/runs`.

use super::{Ledger, LedgerRow};
use chrono::DateTime;
use compline_model::{AggregatorId, SnapshotDate};
use compline_sink::Lake;
use serde_json::Value;

impl Ledger {
    /// Writes the ledger of a day again, as the documents of its runs say it; the file that is there is set aside. Whether there
    /// was a document: where there is none, nothing is changed.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn rebuild(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<bool> {
        let documents = lake.run_documents(date).await?;
        let rows: Vec<LedgerRow> = documents.iter().filter_map(|document| row(document, id)).collect();
        if rows.is_empty() {
            return Ok(false);
        }
        let partition = Self::partition(id, date);
        lake.set_aside(&partition).await?;
        lake.commit(&partition, Self(rows).batch()?).await?;
        Ok(true)
    }
}

/// The row of an aggregator, of the report of a run. Nothing where the run did not concern it.
fn row(document: &[u8], id: &AggregatorId) -> Option<LedgerRow> {
    let report: Value = serde_json::from_slice(document).ok()?;
    let aggregators = report["aggregators"].as_array()?;
    let of_id = aggregators.iter().find(|one| one["aggregator"] == id.as_str())?;
    let mut row = of_id.as_object()?.clone();
    // What a report says with examples the ledger counts.
    for name in ["conflicts", "warnings", "unreconciled"] {
        let count = of_id[name]["count"].clone();
        row.insert(name.to_owned(), count);
    }
    for name in ["started_at", "finished_at"] {
        let time = DateTime::parse_from_rfc3339(report[name].as_str()?).ok()?;
        row.insert(name.to_owned(), time.timestamp_millis().into());
    }
    for name in ["run_id", "command", "version"] {
        row.insert(name.to_owned(), report[name].clone());
    }
    serde_json::from_value(Value::Object(row)).ok()
}

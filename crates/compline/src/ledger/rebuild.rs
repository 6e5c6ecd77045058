//! Making a day's ledger again that is damaged: from its rows as documents, and of versions before those from the documents that
//! its runs left in `_compline/runs`.

use super::{Ledger, LedgerRow, Outcome};
use chrono::DateTime;
use compline_model::{AggregatorId, SnapshotDate};
use compline_sink::Lake;
use serde_json::Value;
use std::collections::BTreeMap;

impl Ledger {
    /// Writes the ledger of a day again that is damaged; the file that is there is set aside. Whether that was done: where there
    /// is no document, or where they do not say that the day was dropped whose snapshot is not there, nothing is changed.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn rebuild(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        has_snapshot: bool,
    ) -> anyhow::Result<bool> {
        // Whatever was wrong when it was looked at last.
        if Self::sound(lake, id, date).await?.is_some() {
            return Ok(false);
        }
        let (of_runs, of_rows) = (lake.run_documents(date).await?, lake.row_documents(id, date).await?);
        let of_runs = of_runs.iter().filter_map(|document| of_run(document, id));
        let of_rows = of_rows.iter().filter_map(|document| serde_json::from_slice(document).ok());
        let mut rows: BTreeMap<String, LedgerRow> =
            of_runs.chain(of_rows).map(|row: LedgerRow| (row.run_id.clone(), row)).collect();
        // A row that did not get its number while the ledger could not be read is in the journal still, and gets it there.
        for entry in lake.journal(id).await? {
            let run_id = entry.run_id.to_string();
            if rows.get(&run_id).is_some_and(|row| row.outcome != Outcome::Failed && row.commit_number.is_none()) {
                rows.remove(&run_id);
            }
        }
        let ledger = Self(rows.into_values().collect());
        if ledger.0.is_empty() || (!has_snapshot && ledger.last_commit().is_some() && !ledger.is_dropped()) {
            return Ok(false);
        }
        let partition = Self::partition(id, date);
        lake.set_aside(&partition).await?;
        lake.commit(&partition, ledger.batch()?).await?;
        Ok(true)
    }
}

/// The row of an aggregator, of the report of a run. Nothing where the run did not concern it.
fn of_run(document: &[u8], id: &AggregatorId) -> Option<LedgerRow> {
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

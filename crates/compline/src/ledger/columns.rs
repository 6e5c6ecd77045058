//! The ledger as a partition of `runs`: its rows as columns, and back.

use super::{Ledger, LedgerRow, Outcome};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMillisecondArray,
};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use chrono::{DateTime, Utc};
use compline_model::{Dataset, Table};
use std::sync::Arc;

impl Ledger {
    /// The rows of a partition of `runs`, as they are of a dataset.
    pub(crate) fn of(dataset: &'static Dataset, batch: &RecordBatch) -> Self {
        Self::new(dataset, (0..batch.num_rows()).map(|row| Columns(batch).row(row)).collect())
    }

    /// The same as a partition of `runs`.
    pub(super) fn batch(&self) -> anyhow::Result<RecordBatch> {
        let rows: Vec<&LedgerRow> = self.rows.iter().chain(&self.others).collect();
        let text = |of: fn(&LedgerRow) -> Option<&str>| -> ArrayRef {
            Arc::new(rows.iter().map(|row| of(row)).collect::<StringViewArray>())
        };
        let time = |of: fn(&LedgerRow) -> DateTime<Utc>| -> ArrayRef {
            let times = rows.iter().map(|row| Some(of(row).timestamp_millis()));
            Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        };
        let small = |of: fn(&LedgerRow) -> u64| -> ArrayRef {
            Arc::new(rows.iter().map(|row| Some(i32::try_from(of(row)).unwrap_or(i32::MAX))).collect::<Int32Array>())
        };
        let large = |of: fn(&LedgerRow) -> Option<u64>| -> ArrayRef {
            let counts = rows.iter().map(|row| of(row).map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
            Arc::new(counts.collect::<Int64Array>())
        };
        let columns = vec![
            text(|row| Some(&row.run_id)),
            time(|row| row.started_at),
            time(|row| row.finished_at),
            text(|row| Some(row.outcome.name())),
            text(|row| row.error.as_deref()),
            text(|row| Some(&row.command)),
            small(|row| row.shards),
            small(|row| row.shards_resumed),
            small(|row| row.shard_restarts),
            large(|row| Some(row.calls)),
            large(|row| Some(row.retries)),
            large(|row| Some(row.throttles)),
            large(|row| Some(row.pages)),
            large(|row| Some(row.empty_pages)),
            large(|row| Some(row.rows)),
            large(|row| Some(row.left_out)),
            large(|row| Some(row.duplicates)),
            large(|row| Some(row.conflicts)),
            large(|row| Some(row.warnings)),
            large(|row| row.unreconciled),
            large(|row| Some(row.bytes)),
            text(|row| Some(&row.version)),
            text(|row| row.not_reconciled.as_deref()),
            text(|row| row.snapshot_sha256.as_deref()),
            text(|row| row.source_status_sha256.as_deref()),
            large(|row| row.commit_number),
            text(|row| row.population.as_deref()),
            Arc::new(rows.iter().map(|row| row.facts_only).collect::<BooleanArray>()),
            text(|row| row.caller.as_deref()),
            text(|row| row.dataset.as_deref()),
        ];
        let batch = RecordBatch::try_new(Table::Runs.schema(), columns)?;
        sorted(&batch)
    }
}

/// The rows in the order of the table's key.
fn sorted(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let column = |name: &&str| SortColumn { values: Arc::clone(&batch[*name]), options: None };
    let order = lexsort_to_indices(&Table::Runs.sort_key().iter().map(column).collect::<Vec<_>>(), None)?;
    let sorted = take_record_batch(batch, &order)?;
    Ok(concat_batches(&Table::Runs.schema(), [&sorted])?)
}

/// The columns of a partition of `runs`; those of later versions than its file are null.
struct Columns<'a>(&'a RecordBatch);

impl Columns<'_> {
    fn text(&self, name: &str, row: usize) -> Option<String> {
        let column = self.0[name].as_string_view();
        column.is_valid(row).then(|| column.value(row).to_owned())
    }

    fn small(&self, name: &str, row: usize) -> u64 {
        u64::try_from(self.0[name].as_primitive::<Int32Type>().value(row)).unwrap_or_default()
    }

    fn large(&self, name: &str, row: usize) -> Option<u64> {
        let column = self.0[name].as_primitive::<Int64Type>();
        column.is_valid(row).then(|| u64::try_from(column.value(row)).unwrap_or_default())
    }

    fn time(&self, name: &str, row: usize) -> DateTime<Utc> {
        let millis = self.0[name].as_primitive::<TimestampMillisecondType>().value(row);
        DateTime::from_timestamp_millis(millis).unwrap_or_default()
    }

    fn row(&self, row: usize) -> LedgerRow {
        let text = |name| self.text(name, row);
        let count = |name| self.large(name, row).unwrap_or_default();
        let facts_only = self.0["facts_only"].as_boolean();
        LedgerRow {
            run_id: text("run_id").unwrap_or_default(),
            started_at: self.time("started_at", row),
            finished_at: self.time("finished_at", row),
            outcome: Outcome::of(&text("outcome").unwrap_or_default()),
            error: text("error"),
            command: text("command").unwrap_or_default(),
            shards: self.small("shards", row),
            shards_resumed: self.small("shards_resumed", row),
            shard_restarts: self.small("shard_restarts", row),
            calls: count("calls"),
            retries: count("retries"),
            throttles: count("throttles"),
            pages: count("pages"),
            empty_pages: count("empty_pages"),
            rows: count("rows"),
            left_out: count("left_out"),
            duplicates: count("duplicates"),
            conflicts: count("conflicts"),
            warnings: count("warnings"),
            unreconciled: self.large("unreconciled", row),
            bytes: count("bytes"),
            version: text("version").unwrap_or_default(),
            not_reconciled: text("not_reconciled"),
            snapshot_sha256: text("snapshot_sha256"),
            source_status_sha256: text("source_status_sha256"),
            commit_number: self.large("commit_number", row),
            population: text("population"),
            facts_only: facts_only.is_valid(row).then(|| facts_only.value(row)),
            caller: text("caller"),
            dataset: text("dataset"),
        }
    }
}

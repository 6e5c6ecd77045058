//! The ledger: a line for every run of every aggregator, of those that failed too.

use super::{AggregatorReport, Outcome, Shared};
use anyhow::Context;
use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMillisecondArray,
};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Table};
use compline_sink::{Kept, Lake, Partition};
use std::sync::Arc;

impl Shared<'_> {
    /// Adds a line to the day's ledger, after those of earlier runs of the day.
    pub(super) async fn note_in_ledger(&self, id: &AggregatorId, report: &AggregatorReport) -> anyhow::Result<()> {
        let line = Line {
            run_id: &self.run_id.to_string(),
            started_at: self.night.started_at,
            finished_at: (self.night.clock)(),
            command: self.night.source.command(),
            report,
        };
        add(self.lake, &self.partition(Table::Runs, id), &line).await
    }
}

/// What a ledger says was committed last.
pub(crate) struct LastCommit {
    rows: i64,
    snapshot_sha256: Option<String>,
    source_status_sha256: Option<String>,
}

impl LastCommit {
    /// The last line of a ledger that committed a day, if one did.
    pub(crate) fn of(ledger: &RecordBatch) -> Option<Self> {
        let (outcomes, hashes) = (ledger["outcome"].as_string_view(), ledger["snapshot_sha256"].as_string_view());
        let rows = ledger["rows"].as_primitive::<Int64Type>();
        let committed =
            |row: &usize| outcomes.value(*row) == "succeeded" || hashes.is_valid(*row) || rows.value(*row) > 0;
        let row = (0..ledger.num_rows()).rev().find(committed)?;
        let text = |name: &str| {
            let column = ledger[name].as_string_view();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        Some(Self {
            rows: rows.value(row),
            snapshot_sha256: text("snapshot_sha256"),
            source_status_sha256: text("source_status_sha256"),
        })
    }

    /// Whether it is this snapshot.
    pub(crate) fn is_of(&self, snapshot: &Kept) -> bool {
        let same_file = self.snapshot_sha256.as_ref().is_none_or(|sha256| *sha256 == snapshot.sha256);
        i64::try_from(snapshot.rows.num_rows()) == Ok(self.rows) && same_file
    }

    /// Whether it is known that another `source_status` was committed than the one with this hash.
    pub(crate) fn source_status_differs(&self, sha256: Option<&str>) -> bool {
        self.source_status_sha256.as_deref().zip(sha256).is_some_and(|(committed, there)| committed != there)
    }
}

/// What a line says beside a report.
pub(super) struct Line<'a> {
    pub(super) run_id: &'a str,
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
    pub(super) command: &'a str,
    pub(super) report: &'a AggregatorReport,
}

pub(super) async fn add(lake: &Lake, partition: &Partition, line: &Line<'_>) -> anyhow::Result<()> {
    let line = line.row().context("cannot make a line of the ledger")?;
    let earlier = lake.read(partition, None).await?;
    let lines: Vec<RecordBatch> = earlier.into_iter().chain([line]).collect();
    let lines = concat_batches(&Table::Runs.schema(), &lines)?;
    // Of runs that waited for each other the first to begin need not be the first to end.
    let order =
        Table::Runs.sort_key().iter().map(|name| SortColumn { values: Arc::clone(&lines[*name]), options: None });
    let order = lexsort_to_indices(&order.collect::<Vec<_>>(), None)?;
    lake.commit(partition, take_record_batch(&lines, &order)?).await?;
    Ok(())
}

impl Line<'_> {
    fn row(&self) -> anyhow::Result<RecordBatch> {
        let report = self.report;
        let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringViewArray::from(vec![value])) };
        let time = |time: DateTime<Utc>| -> ArrayRef {
            Arc::new(TimestampMillisecondArray::from(vec![time.timestamp_millis()]).with_timezone("UTC"))
        };
        let small =
            |count: u64| -> ArrayRef { Arc::new(Int32Array::from(vec![i32::try_from(count).unwrap_or(i32::MAX)])) };
        let large =
            |count: u64| -> ArrayRef { Arc::new(Int64Array::from(vec![i64::try_from(count).unwrap_or(i64::MAX)])) };
        let outcome = match report.outcome {
            Outcome::Succeeded => "succeeded",
            Outcome::Held => "held",
            Outcome::Failed => "failed",
        };
        let unreconciled = report.unreconciled.as_ref().map(|found| i64::try_from(found.count).unwrap_or(i64::MAX));
        let columns = vec![
            text(Some(self.run_id)),
            time(self.started_at),
            time(self.finished_at),
            text(Some(outcome)),
            text(report.error.as_deref()),
            text(Some(self.command)),
            small(report.shards),
            small(report.shards_resumed),
            small(report.shard_restarts),
            large(report.calls),
            large(report.retries),
            large(report.throttles),
            large(report.pages),
            large(report.empty_pages),
            large(report.rows),
            large(report.left_out),
            large(report.duplicates),
            large(report.conflicts.count),
            large(report.warnings.count),
            Arc::new(Int64Array::from(vec![unreconciled])),
            large(report.bytes),
            text(Some(env!("CARGO_PKG_VERSION"))),
            text(report.not_reconciled.as_deref()),
            text(report.snapshot_sha256.as_deref()),
            text(report.source_status_sha256.as_deref()),
            Arc::new(Int64Array::from(vec![None])),
        ];
        Ok(RecordBatch::try_new(Table::Runs.schema(), columns)?)
    }
}

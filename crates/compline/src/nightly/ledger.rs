//! The ledger: a line for every run of every aggregator, of those that failed too.

use super::{AggregatorReport, Outcome, Shared, Source};
use anyhow::Context;
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMillisecondArray};
use arrow::compute::concat_batches;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Table};
use std::sync::Arc;

impl Shared<'_> {
    /// Adds a line to the day's ledger, after those of earlier runs of the day.
    pub(super) async fn note_in_ledger(&self, id: &AggregatorId, report: &AggregatorReport) -> anyhow::Result<()> {
        let partition = self.partition(Table::Runs, id);
        let line = self.line(report).context("cannot make a line of the ledger")?;
        let earlier = self.lake.read(&partition, None).await?;
        let lines: Vec<RecordBatch> = earlier.into_iter().chain([line]).collect();
        self.lake.commit(&partition, concat_batches(&Table::Runs.schema(), &lines)?).await?;
        Ok(())
    }

    fn line(&self, report: &AggregatorReport) -> anyhow::Result<RecordBatch> {
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
        let command = match self.night.source {
            Source::AwsConfig | Source::HeldAlone => "run",
            Source::Files { .. } => "import",
        };
        let unreconciled = report.unreconciled.as_ref().map(|found| i64::try_from(found.count).unwrap_or(i64::MAX));
        let columns = vec![
            text(Some(&self.run_id.to_string())),
            time(self.night.started_at),
            time((self.night.clock)()),
            text(Some(outcome)),
            text(report.error.as_deref()),
            text(Some(command)),
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
        ];
        Ok(RecordBatch::try_new(Table::Runs.schema(), columns)?)
    }
}

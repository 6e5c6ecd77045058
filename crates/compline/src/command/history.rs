//! `compline history`: the last nights, from the ledger.

use crate::arguments::HistoryArguments;
use crate::failure::{Ending, Failure};
use crate::print;
use crate::summary::plain_table;
use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Lake, Partition};
use indicatif::HumanCount;
use serde::Serialize;
use std::fmt::Write;

/// A run of an aggregator, as the ledger has it.
#[derive(Debug, Serialize)]
struct Run {
    snapshot_date: String,
    aggregator: String,
    run_id: String,
    /// RFC 3339.
    started_at: String,
    command: String,
    outcome: String,
    rows: i64,
    calls: i64,
    throttles: i64,
    seconds: f64,
    warnings: i64,
    conflicts: i64,
    unreconciled: Option<i64>,
    error: Option<String>,
}

pub(super) async fn history(arguments: &HistoryArguments) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;
    let ids = settings.aggregators.iter().map(|aggregator| &aggregator.address.id);
    let mut runs = last_runs(&lake, ids, arguments.nights).await.map_err(Failure::run)?;
    runs.sort_by(|one, other| (&one.snapshot_date, &one.started_at).cmp(&(&other.snapshot_date, &other.started_at)));
    print(&if arguments.json { lines(&runs)? } else { told(&runs) })?;
    Ok(Ending::Done)
}

/// The runs of the last days on which there was one.
async fn last_runs(
    lake: &Lake,
    aggregators: impl Iterator<Item = &AggregatorId>,
    nights: u32,
) -> anyhow::Result<Vec<Run>> {
    let ledger = lake.partitions(Table::Runs).await?;
    let mut runs = Vec::new();
    for aggregator in aggregators {
        let Some(dates) = ledger.get(aggregator) else { continue };
        for date in dates.iter().rev().take(nights as usize) {
            let partition = Partition { table: Table::Runs, date: *date, aggregator: aggregator.clone() };
            if let Some(lines) = lake.read(&partition, None).await? {
                runs.extend((0..lines.num_rows()).map(|row| Run::of(aggregator, *date, &lines, row)));
            }
        }
    }
    Ok(runs)
}

impl Run {
    fn of(aggregator: &AggregatorId, date: SnapshotDate, lines: &RecordBatch, row: usize) -> Self {
        let text = |name: &str| {
            let column = lines[name].as_string_view();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let count = |name: &str| {
            let column = lines[name].as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let time = |name: &str| lines[name].as_primitive::<TimestampMillisecondType>().value(row);
        let started: Option<DateTime<Utc>> = DateTime::from_timestamp_millis(time("started_at"));
        let required = |name: &str| text(name).unwrap_or_default();
        Self {
            snapshot_date: date.to_string(),
            aggregator: aggregator.to_string(),
            run_id: required("run_id"),
            started_at: started.unwrap_or_default().to_rfc3339(),
            command: required("command"),
            outcome: required("outcome"),
            rows: count("rows").unwrap_or_default(),
            calls: count("calls").unwrap_or_default(),
            throttles: count("throttles").unwrap_or_default(),
            seconds: (time("finished_at") - time("started_at")) as f64 / 1000.0,
            warnings: count("warnings").unwrap_or_default(),
            conflicts: count("conflicts").unwrap_or_default(),
            unreconciled: count("unreconciled"),
            error: text("error"),
        }
    }
}

fn lines(runs: &[Run]) -> Result<String, Failure> {
    let line = |run: &Run| serde_json::to_string(run).map(|line| line + "\n");
    let lines: Result<String, _> = runs.iter().map(line).collect();
    lines.context("cannot write the runs as JSON").map_err(Failure::Run)
}

fn told(runs: &[Run]) -> String {
    if runs.is_empty() {
        return "the ledger has no run of these aggregators\n".to_owned();
    }
    let mut table = plain_table(&[
        "night",
        "aggregator",
        "command",
        "outcome",
        "rows",
        "calls",
        "throttled",
        "seconds",
        "warnings",
    ]);
    let count = |count: i64| HumanCount(u64::try_from(count).unwrap_or_default()).to_string();
    for run in runs {
        table.add_row(vec![
            run.snapshot_date.clone(),
            run.aggregator.clone(),
            run.command.clone(),
            if run.outcome == "succeeded" { run.outcome.clone() } else { run.outcome.to_uppercase() },
            count(run.rows),
            count(run.calls),
            count(run.throttles),
            format!("{:.1}", run.seconds),
            count(run.warnings + run.conflicts + run.unreconciled.unwrap_or_default()),
        ]);
    }
    let mut text = format!("{table}\n");
    for run in runs {
        if let Some(error) = &run.error {
            let _ = writeln!(text, "{} {}: {error}", run.snapshot_date, run.aggregator);
        }
    }
    text
}

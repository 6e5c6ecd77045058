//! `compline history`: the last nights, from the ledger.

use crate::arguments::HistoryArguments;
use crate::failure::{Ending, Failure};
use crate::journal::is_damage;
use crate::ledger::{Ledger, LedgerRow, Outcome};
use crate::print;
use crate::progress::log_to_stderr;
use crate::session::{Access, Clock, Opening, Session, session};
use crate::summary::plain_table;
use anyhow::Context;
use compline_model::{AggregatorId, SnapshotDate, Table};
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
    outcome: Outcome,
    rows: u64,
    calls: u64,
    throttles: u64,
    seconds: f64,
    warnings: u64,
    conflicts: u64,
    unreconciled: Option<u64>,
    commit_number: Option<u64>,
    /// ARN of the caller identity, if STS was asked and said it.
    caller: Option<String>,
    error: Option<String>,
    /// Whether it set the day aside, and something became of that since.
    #[serde(skip)]
    is_decided: bool,
}

pub(super) async fn history(arguments: &HistoryArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_to_stderr("error");
    let settings = arguments.pipeline.settings()?;
    let (access, when_stopped) = (Access::Read, "nothing was changed");
    let opening = Opening { settings: &settings, command: "history", access, clock, progress, when_stopped };
    let ended = session(opening, async |session: &Session<'_>| last_runs(session, arguments.nights).await);
    ended.await?.then(|mut runs| {
        runs.sort_by(|one, other| {
            (&one.snapshot_date, &one.started_at).cmp(&(&other.snapshot_date, &other.started_at))
        });
        print(&if arguments.json { lines(&runs)? } else { told(&runs) })?;
        Ok(Ending::Done)
    })
}

/// The runs of the last days on which there was one.
async fn last_runs(session: &Session<'_>, nights: u32) -> anyhow::Result<Vec<Run>> {
    let mut ledgers = session.lake.partitions(Table::Runs).await?;
    // Of a day whose file is gone its rows are told as documents.
    for (aggregator, date) in session.lake.noted_days().await? {
        ledgers.entry(aggregator).or_default().insert(date);
    }
    let mut runs = Vec::new();
    for aggregator in session.settings.aggregators.iter().map(|aggregator| &aggregator.address.id) {
        let Some(dates) = ledgers.get(aggregator) else { continue };
        for date in dates.iter().rev().take(nights as usize) {
            let ledger = match Ledger::read(&session.lake, aggregator, *date).await {
                // The other days are told all the same.
                Err(error) if is_damage(&error) => {
                    tracing::error!(error = format!("{error:#}"), "a day of the ledger is left out");
                    continue;
                }
                ledger => ledger?,
            };
            let held = ledger.held();
            let is_decided = |row: &LedgerRow| row.outcome == Outcome::Held && held != Some(row);
            runs.extend(ledger.rows().iter().map(|row| Run::of(aggregator, *date, row, is_decided(row))));
        }
    }
    Ok(runs)
}

impl Run {
    fn of(aggregator: &AggregatorId, date: SnapshotDate, row: &LedgerRow, is_decided: bool) -> Self {
        let row = row.clone();
        Self {
            snapshot_date: date.to_string(),
            aggregator: aggregator.to_string(),
            run_id: row.run_id,
            started_at: row.started_at.to_rfc3339(),
            command: row.command,
            outcome: row.outcome,
            rows: row.rows,
            calls: row.calls,
            throttles: row.throttles,
            seconds: (row.finished_at - row.started_at).num_milliseconds() as f64 / 1000.0,
            warnings: row.warnings,
            conflicts: row.conflicts,
            unreconciled: row.unreconciled,
            commit_number: row.commit_number,
            caller: row.caller,
            error: row.error,
            is_decided,
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
    let mut table =
        plain_table(&["date", "aggregator", "command", "outcome", "rows", "calls", "throttled", "seconds", "warnings"]);
    let count = |count: u64| HumanCount(count).to_string();
    for run in runs {
        table.add_row(vec![
            run.snapshot_date.clone(),
            run.aggregator.clone(),
            run.command.clone(),
            match run.outcome {
                Outcome::Succeeded | Outcome::Rejected | Outcome::Dropped => run.outcome.name().to_owned(),
                Outcome::Held | Outcome::Failed => run.outcome.name().to_uppercase(),
            },
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
            // What was to be done about it is done.
            let error = if run.is_decided { "was held; a later run decided that" } else { error };
            let _ = writeln!(text, "{} {}: {error}", run.snapshot_date, run.aggregator);
        }
    }
    text
}

//! `compline history`: the last nights, from the ledger.

use crate::arguments::HistoryArguments;
use crate::failure::{Ending, Failure};
use crate::ledger::Outcome;
use crate::log::log_to_stderr;
use crate::output::{document, result};
use crate::past::{Run, last_runs};
use crate::progress::named;
use crate::session::{Clock, Opening, Session, session};
use crate::summary::plain_table;
use anyhow::Context;
use indicatif::HumanCount;
use std::fmt::Write;

pub(super) async fn history(arguments: &HistoryArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_to_stderr("error");
    let settings = arguments.pipeline.settings()?;
    let opening = Opening::to_read(&settings, "history", clock, progress);
    let ended = session(opening, async |session: &Session<'_>| last_runs(session, arguments.nights).await);
    ended.await?.then(|mut runs| {
        runs.sort_by(|one, other| {
            (&one.snapshot_date, &one.started_at).cmp(&(&other.snapshot_date, &other.started_at))
        });
        if arguments.json {
            document(&lines(&runs)?)?
        } else {
            result(&told(&runs))?
        }
        Ok(Ending::Done)
    })
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
    let mut table = plain_table(&["date", "aggregator", "command", "outcome", "rows", "calls", "seconds", "warnings"]);
    let count = |count: u64| HumanCount(count).to_string();
    for run in runs {
        table.add_row(vec![
            run.snapshot_date.clone(),
            named(&run.aggregator, run.dataset),
            run.command.clone(),
            match run.outcome {
                Outcome::Succeeded | Outcome::Rejected | Outcome::Dropped => run.outcome.name().to_owned(),
                Outcome::Held | Outcome::Failed => run.outcome.name().to_uppercase(),
            },
            count(run.rows),
            count(run.calls),
            format!("{:.1}", run.seconds),
            count(run.warnings + run.conflicts + run.unreconciled.unwrap_or_default()),
        ]);
    }
    let mut text = table.trim_fmt() + "\n";
    for run in runs {
        if let Some(error) = &run.error {
            // What was to be done about it is done.
            let error = if run.is_decided { "was held; a later run decided that" } else { error };
            let _ = writeln!(text, "{} {}: {error}", run.snapshot_date, named(&run.aggregator, run.dataset));
        }
    }
    text
}

//! `compline demo`: the nightly flow, once for every date of a month, against the simulator over HTTP.

mod closing;

use super::{day_of, organization};
use crate::arguments::DemoArguments;
use crate::failure::{Ending, Failure};
use crate::journal::Journal;
use crate::ledger::{Ledger, Outcome};
use crate::log::log_to_stderr;
use crate::nightly::{Report, RunRequest, Source, nightly};
use crate::output::done;
use crate::progress::Progress;
use crate::report;
use crate::session::{Access, Clock, Ended, Opening, Session, session};
use crate::settings::{ReportSettings, Settings, lake_name};
use anyhow::{Context, anyhow};
use compline_model::SnapshotDate;
use compline_simulator::{Faults, Simulator};
use compline_sink::{LakeLocation, ReportFile};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The demo is the pipeline that is shipped with it, at another port and lake.
const PIPELINE: &str = include_str!("../../../../pipelines/demo/pipeline.toml");

/// What a demo made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Demo {
    /// The folder of the lake.
    lake: String,
    /// The file with the report.
    report: String,
    /// The run of each day.
    runs: Vec<Report>,
}

pub(super) async fn demo(arguments: DemoArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_to_stderr("error");
    let (started, today) = (Instant::now(), day_of(clock()));
    let simulator = Simulator::start(0, organization(&arguments.organization), today, Faults::default())
        .await
        .context("cannot start the simulator on a free port")
        .map_err(Failure::Run)?;
    let other = arguments.lake.to_str().ok_or_else(|| Failure::Usage(anyhow!("--lake: its name is not UTF-8")))?;
    let mut settings = Settings::parse("the demo's pipeline", PIPELINE, Some(other)).map_err(Failure::Usage)?;
    if !matches!(settings.lake, LakeLocation::Folder(_)) {
        return Err(Failure::Usage(anyhow!("--lake {other}: a demo's lake is a folder")));
    }
    settings.report = Some(ReportSettings { is_published: true, days: arguments.days, account_names: None, url: None });
    settings.fetch.endpoint_url = Some(format!("{}/{{date}}", simulator.url()));

    match session(opening(&settings, Access::Read, clock), async |session| others(session).await).await? {
        Ended::Done(None) => {}
        Ended::Done(Some(what)) => return Err(Failure::Usage(anyhow!(what))),
        Ended::Stopped(signal, _) => return Ok(Ending::Stopped(signal)),
    }
    let dates: Vec<SnapshotDate> = (0..arguments.days).rev().map(|ago| today.minus_days(ago)).collect();
    let bar = progress.steps(dates.len() as u64, "days");
    let mut runs = Vec::with_capacity(dates.len());
    for date in dates {
        bar.set_message(date.to_string());
        let request = RunRequest {
            date,
            dataset: None,
            source: Source::AwsConfig,
            accept: true,
            ignore_checkpoints: true,
            notifying: None,
        };
        let opening = opening(&settings, Access::Write { wait: Duration::ZERO }, clock);
        let report = match session(opening, async |session| nightly(session, &request).await).await? {
            Ended::Done(report) => report,
            Ended::Stopped(signal, _) => return Ok(Ending::Stopped(signal)),
        };
        stop_on_failure(&report)?;
        runs.push(report);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let opening = opening(&settings, Access::Read, clock);
    let ended = session(opening, async |session: &Session<'_>| {
        Box::pin(report::publish(session, today)).await?;
        let file = arguments.lake.join(ReportFile::Latest.key());
        let closing = closing::closing(session.settings, &session.lake, &runs, started.elapsed()).await?;
        let words = format!("{closing}\nthe report is in {}: open it in a browser\n", file.display());
        let demo = Demo { lake: lake_name(&session.settings.lake), report: file.display().to_string(), runs };
        anyhow::Ok((demo, words))
    });
    ended.await?.then(|(demo, words)| {
        done(("demo", Ending::Done), arguments.json, &demo, || words);
        Ok(Ending::Done)
    })
}

/// What a lake has that no demo wrote, in words: made-up days would take the place of real ones.
async fn others(session: &Session<'_>) -> anyhow::Result<Option<String>> {
    let inventory = session.lake.inventory(session.started_at).await?;
    let days = inventory.partitions.keys().map(|partition| (&partition.aggregator, partition.date));
    for (id, date) in days.collect::<BTreeSet<_>>() {
        let ledger = Ledger::sound_or_none(&session.lake, id, date).await?;
        let is_of_demo = match ledger.rows().is_empty() {
            true => {
                // One that was stopped, which this one completes.
                let pending = Journal::peek(&session.lake, id).await?;
                let is_of_demo = pending.commands.iter().all(|command| command == session.command);
                is_of_demo && pending.has(date)
            }
            false => ledger.rows().iter().all(|row| row.command == session.command),
        };
        if !is_of_demo {
            let lake = lake_name(&session.settings.lake);
            return Ok(Some(format!(
                "{lake} has {date} of {id}, which no demo wrote, and the demo would write its made-up days there: give --lake a \
                 folder of its own"
            )));
        }
    }
    Ok(None)
}

fn opening(settings: &Settings, access: Access, clock: Clock) -> Opening<'_> {
    let (progress, when_stopped) = (Progress::hidden(), "run it again");
    Opening::of(settings, "demo", access, (clock, progress), when_stopped)
}

fn stop_on_failure(report: &Report) -> Result<(), Failure> {
    let failed = report.aggregators.iter().find(|aggregator| aggregator.outcome == Outcome::Failed);
    match failed.and_then(|aggregator| aggregator.error.as_ref()) {
        Some(error) => Err(Failure::Run(anyhow!("the run of {} failed: {error}", report.snapshot_date))),
        None => Ok(()),
    }
}

//! `compline demo`: the nightly flow, once for every date of a month, against the simulator over HTTP.

mod closing;

use super::{Clock, day_of, organization};
use crate::arguments::DemoArguments;
use crate::failure::{Ending, Failure};
use crate::nightly::{Night, Outcome, Report, Source, nightly};
use crate::progress::{Progress, log_to_stderr};
use crate::settings::Settings;
use crate::{print, signals};
use anyhow::{Context, anyhow};
use compline_model::SnapshotDate;
use compline_simulator::{Faults, Simulator};
use compline_sink::{Lake, LakeLocation};
use std::time::Instant;

/// The demo is the pipeline that is shipped with it, at another port and lake.
const PIPELINE: &str = include_str!("../../../../pipelines/demo/pipeline.toml");

pub(super) async fn demo(arguments: DemoArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = Progress::on_stderr();
    log_to_stderr(&progress, "error");
    tokio::select! {
        ended = month(&arguments, clock, &progress) => ended,
        signal = signals::received() => Ok(Ending::Stopped(signal)),
    }
}

async fn month(arguments: &DemoArguments, clock: Clock, progress: &Progress) -> Result<Ending, Failure> {
    let (started, today) = (Instant::now(), day_of(clock()));
    let simulator = Simulator::start(0, organization(&arguments.organization), today, Faults::default())
        .await
        .context("cannot start the simulator on a free port")
        .map_err(Failure::Run)?;
    let mut settings = Settings::parse("the demo's pipeline", PIPELINE, None).map_err(Failure::Run)?;
    settings.lake = LakeLocation::Folder(arguments.lake.clone());
    settings.fetch.endpoint_url = Some(format!("{}/{{date}}", simulator.url()));
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;

    let dates: Vec<SnapshotDate> = (0..arguments.days).rev().map(|ago| today.minus_days(ago)).collect();
    let bar = progress.steps(dates.len() as u64, "nights");
    let mut nights = Vec::with_capacity(dates.len());
    for date in dates {
        bar.set_message(date.to_string());
        let night = Night {
            settings: &settings,
            date,
            source: Source::AwsConfig,
            accept: true,
            fresh: true,
            wait: std::time::Duration::ZERO,
            started_at: clock(),
            clock,
        };
        let report = nightly(&night, &lake, &Progress::hidden()).await.map_err(Failure::Run)?;
        stop_on_failure(&report)?;
        nights.push(report);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let text = closing::closing(&settings, &lake, &nights, started.elapsed()).await.map_err(Failure::Run)?;
    print(&text)?;
    Ok(Ending::Done)
}

fn stop_on_failure(report: &Report) -> Result<(), Failure> {
    let failed = report.aggregators.iter().find(|aggregator| aggregator.outcome == Outcome::Failed);
    match failed.and_then(|aggregator| aggregator.error.as_ref()) {
        Some(error) => Err(Failure::Run(anyhow!("the night of {} failed: {error}", report.snapshot_date))),
        None => Ok(()),
    }
}

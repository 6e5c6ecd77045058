//! `compline run`.

use super::{Clock, day_of};
use crate::arguments::RunArguments;
use crate::failure::{Ending, Failure};
use crate::nightly::{Night, Report, Source, nightly};
use crate::progress::{Progress, log_to_stderr};
use crate::settings::{Settings, lake_name};
use crate::{print, signals, summary};
use anyhow::{Context, anyhow};
use compline_model::SnapshotDate;
use compline_sink::Lake;
use std::time::Duration;

/// How long a stopped run may take to clean up.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) async fn run(arguments: RunArguments, clock: Clock) -> Result<Ending, Failure> {
    let mut settings = Settings::read(&arguments.plan.file, arguments.plan.lake.as_deref()).map_err(Failure::Usage)?;
    settings.keep_only(&arguments.plan.only).map_err(Failure::Usage)?;
    // Read once: a run across midnight stays one day.
    let started_at = clock();
    let (date, source) = snapshot_date(&arguments, day_of(started_at), &settings)?;
    let RunArguments { accept, fresh, json, .. } = arguments;
    let night = Night { settings: &settings, date, source, accept, fresh, started_at, clock };
    perform(&night, json).await
}

/// Does a night, says what it did, and ends it when a signal says so.
pub(super) async fn perform(night: &Night<'_>, json: bool) -> Result<Ending, Failure> {
    let progress = Progress::on_stderr();
    // What the SDK warns of is in the error when it matters, and its dumps are not for an operator.
    log_to_stderr(&progress, "error,compline=info");
    log_endpoints(night.settings);
    let lake = Lake::open(&night.settings.lake, night.settings.compression).await.map_err(Failure::run)?;
    let report = tokio::select! {
        report = nightly(night, &lake, &progress) => report.map_err(Failure::Run)?,
        signal = signals::received() => {
            tracing::warn!("stopped: no partition is half written; run again to finish the day from where it was");
            let _ = tokio::time::timeout(SETTLE, lake.settle()).await;
            return Ok(Ending::Stopped(signal));
        }
    };
    print(&told(&report, json)?)?;
    Ok(report.ending())
}

/// The date of the snapshot, and where it comes from: of another day than today AWS Config does not know. A day that was
/// held may be accepted later.
fn snapshot_date(
    arguments: &RunArguments,
    today: SnapshotDate,
    settings: &Settings,
) -> Result<(SnapshotDate, Source), Failure> {
    let date = arguments.plan.date.unwrap_or(today);
    if date == today || settings.answers_any_date() {
        return Ok((date, Source::AwsConfig));
    }
    if arguments.accept {
        return Ok((date, Source::HeldAlone));
    }
    Err(Failure::Usage(anyhow!(
        "--date {date}: AWS Config only knows how things are now, and today is {today} (UTC); \
         a snapshot of another day would be wrong without saying so"
    )))
}

/// Says where calls go that do not go to AWS: AWS_ENDPOINT_URL moves more than its user may think.
fn log_endpoints(settings: &Settings) {
    let everything = std::env::var("AWS_ENDPOINT_URL").ok();
    let of = |setting: Option<&String>, variable: &str| {
        setting.cloned().or_else(|| std::env::var(variable).ok()).or_else(|| everything.clone())
    };
    let config = of(settings.fetch.endpoint_url.as_ref(), "AWS_ENDPOINT_URL_CONFIG_SERVICE");
    let (s3, lake) = match &settings.lake {
        compline_sink::LakeLocation::S3(s3) => {
            (of(s3.endpoint_url.as_ref(), "AWS_ENDPOINT_URL_S3"), lake_name(&settings.lake))
        }
        compline_sink::LakeLocation::Folder(_) => (None, lake_name(&settings.lake)),
    };
    let shown = |url: Option<String>| url.unwrap_or_else(|| "AWS".to_owned());
    tracing::info!(
        lake,
        config = shown(config),
        s3 = shown(s3),
        sts = shown(of(None, "AWS_ENDPOINT_URL_STS")),
        "endpoints"
    );
}

fn told(report: &Report, json: bool) -> Result<String, Failure> {
    if !json {
        return Ok(summary::summary(report));
    }
    let json = serde_json::to_string_pretty(report).context("cannot write the report as JSON").map_err(Failure::Run)?;
    Ok(json + "\n")
}

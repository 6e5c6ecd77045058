//! `compline run`.

use super::{Clock, day_of};
use crate::arguments::RunArguments;
use crate::failure::{Ending, Failure, Signal};
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
    let settings = arguments.pipeline.settings()?;
    // Read once: a run across midnight stays one day.
    let started_at = clock();
    let (date, source) = snapshot_date(&arguments, day_of(started_at), &settings)?;
    let RunArguments { accept, fresh, json, .. } = arguments;
    let wait = arguments.wait.or_none();
    let night = Night { settings: &settings, date, source, accept, fresh, wait, started_at, clock };
    perform(&night, json).await
}

/// Does a night, says what it did, and ends it when a signal says so.
pub(super) async fn perform(night: &Night<'_>, json: bool) -> Result<Ending, Failure> {
    let progress = Progress::on_stderr();
    // What the SDK warns of is in the error when it matters, and its dumps are not for an operator.
    log_to_stderr(&progress, "error,compline=info");
    night.settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    log_endpoints(night.settings);
    let lake = Lake::open(&night.settings.lake, night.settings.compression).await.map_err(Failure::run)?;
    let report = tokio::select! {
        report = nightly(night, &lake, &progress) => report,
        signal = signals::received() => {
            tracing::warn!("stopped: no partition is half written; run again to finish the day from where it was");
            return Ok(stopped(&lake, signal).await);
        }
    };
    lake.settle().await;
    let report = report.map_err(Failure::run)?;
    print(&told(&report, json)?)?;
    Ok(report.ending())
}

/// Ends work on a lake that a signal has stopped: what is being cleaned up has some seconds for it.
pub(super) async fn stopped(lake: &Lake, signal: Signal) -> Ending {
    let _ = tokio::time::timeout(SETTLE, lake.settle()).await;
    Ending::Stopped(signal)
}

/// The date of the snapshot, and where it comes from: of another day than today AWS Config does not know. A day that was
/// held may be accepted later.
fn snapshot_date(
    arguments: &RunArguments,
    today: SnapshotDate,
    settings: &Settings,
) -> Result<(SnapshotDate, Source), Failure> {
    let date = arguments.date.unwrap_or(today);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampMillisecondType;
    use chrono::{DateTime, Utc};
    use clap::Parser;
    use compline_model::{AggregatorId, Table};
    use compline_simulator::{Faults, Organization, OrganizationSpec, Simulator};
    use compline_sink::{Compression, LakeLocation, Partition};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A clock that midnight has passed when it is looked at again.
    fn around_midnight() -> DateTime<Utc> {
        static LOOKED_AT: AtomicBool = AtomicBool::new(false);
        let now =
            if LOOKED_AT.swap(true, Ordering::Relaxed) { "2026-03-02T00:00:05Z" } else { "2026-03-01T23:59:59.9Z" };
        now.parse().expect("a time")
    }

    #[tokio::test]
    async fn b61_a_run_across_midnight_is_of_the_day_on_which_it_began_and_says_when_it_ended() {
        let spec = OrganizationSpec { accounts: 10, ..OrganizationSpec::default() };
        let date: SnapshotDate = "2026-03-01".parse().expect("a date");
        let simulator =
            Simulator::start(0, Organization::new(spec), date, Faults::default()).await.expect("a simulator");
        let folder = tempfile::tempdir().expect("a folder");
        let (file, lake) = (folder.path().join("pipeline.toml"), folder.path().join("lake"));
        let text = format!(
            "version = 1\n[lake]\nurl = {:?}\n[[aggregator]]\nid = \"org\"\nname = \"org-aggregator\"\n\
             region = \"eu-west-1\"\n[fetch]\nendpoint_url = \"{}/{{date}}\"\n",
            lake.display().to_string(),
            simulator.url()
        );
        std::fs::write(&file, text).expect("written");
        let arguments = Arguments::parse_from(["compline", "run", &file.display().to_string()]);
        let ended = crate::command::perform(arguments.command, around_midnight).await;
        assert_eq!(ended.map_err(|failure| failure.to_string()), Ok(Ending::Done));

        let lake = Lake::open(&LakeLocation::Folder(lake), Compression::Zstd).await.expect("a lake");
        let aggregator: AggregatorId = "org".parse().expect("an id");
        for table in Table::ALL {
            let partitions = lake.partitions(table).await.expect("listed");
            assert_eq!(partitions[&aggregator], [date].into(), "{}", table.name());
        }
        let ledger = Partition { table: Table::Runs, date, aggregator };
        let ledger = lake.read(&ledger, None).await.expect("read").expect("a ledger");
        let time = |name: &str| ledger[name].as_primitive::<TimestampMillisecondType>().value(0);
        assert_eq!(time("finished_at") - time("started_at"), 5_100);
    }
}

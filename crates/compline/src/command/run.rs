//! `compline run`.

use super::day_of;
use crate::arguments::RunArguments;
use crate::failure::{Ending, Failure};
use crate::log::log_work;
use crate::nightly::{Notifying, Report, RunRequest, Source, nightly};
use crate::output::done;
use crate::progress::Progress;
use crate::report;
use crate::session::{Access, Clock, Ended, Opening, Session, session};
use crate::settings::{Settings, lake_name};
use crate::{metrics, summary};
use anyhow::{anyhow, bail};
use compline_model::{RunId, SnapshotDate};
use compline_notifier::Notifier;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) async fn run(arguments: RunArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let mut settings = arguments.pipeline.settings()?;
    // Before anything is opened: a date that can be of no use is wrong usage.
    let (date, _) = snapshot_date(&arguments, day_of(clock()), &settings).map_err(Failure::Usage)?;
    if let Some(deal) = arguments.shard {
        settings.keep_dealt(deal);
        if settings.aggregators.is_empty() {
            let nothing = || format!("no aggregator of the file falls to run {deal}: nothing to do\n");
            done(
                ("run", Ending::Done),
                arguments.json,
                &Report::of_none(&settings, ("run", RunId::new(clock())), date, clock()),
                nothing,
            );
            return Ok(Ending::Done);
        }
    }
    let notifying = if arguments.reject { None } else { notifying(&settings).await };
    let (wait, json) = (arguments.wait.or_none(), arguments.json);
    let RunArguments { accept, ignore_checkpoints, .. } = arguments;
    let dataset = arguments.dataset.map(|named| named.0);
    perform(&settings, ("run", date), Access::Write { wait }, (clock, progress), json, async |session| {
        // Once more, since midnight may have passed while another run was waited for.
        let (date, source) = snapshot_date(&arguments, session.today(), &settings)?;
        if source == Source::AwsConfig && !settings.answers_any_date() {
            session.check_date(date, "S3", session.clock_offset())?;
        }
        nightly(session, &RunRequest { date, dataset, source, accept, ignore_checkpoints, notifying }).await
    })
    .await
}

/// Who is notified. That nobody can be costs no day: it is in the log, and in what is recorded of each day.
async fn notifying(settings: &Settings) -> Option<Notifying> {
    let notify = settings.notify.as_ref()?;
    let notifier = async { anyhow::Ok(Notifier::open(notify.receivers()?).await?) }.await;
    let notifier = notifier.map_err(|error| format!("{error:#}"));
    if let Err(error) = &notifier {
        tracing::warn!(error, "nobody will be notified");
    }
    Some(Notifying { notifier, kinds: notify.kinds.clone() })
}

/// Does a run of a day in a session and says what it did.
pub(super) async fn perform(
    settings: &Settings,
    (command, date): (&'static str, SnapshotDate),
    access: Access,
    (clock, progress): (Clock, Progress),
    json: bool,
    work: impl AsyncFnOnce(&Session<'_>) -> anyhow::Result<Report>,
) -> Result<Ending, Failure> {
    log_endpoints(settings);
    let when_stopped = "no partition is half written; run again";
    let opening =
        Opening { ends_itself: true, ..Opening::of(settings, command, access, (clock, progress), when_stopped) };
    let (known, said) = (Mutex::new(None), AtomicBool::new(false));
    let say = |report: &Report| {
        if !said.swap(true, Relaxed) {
            done((command, report.ending()), json, report, || summary::summary(report));
        }
    };
    let ended = session(opening, async |session| {
        let report = Box::pin(work(session)).await?;
        *known.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        publish(session, &report, json, &say).await;
        Ok(report)
    });
    match ended.await? {
        Ended::Done(report) => {
            say(&report);
            Ok(report.ending())
        }
        Ended::Stopped(signal, run_id) => {
            let known = known.into_inner().unwrap_or_else(PoisonError::into_inner);
            let report = known.unwrap_or_else(|| Report::of_none(settings, (command, run_id), date, clock()));
            say(&Report { stopped_by: Some(signal), ..report });
            Ok(Ending::Stopped(signal))
        }
    }
}

/// Leaves what others read of a run. One that is stopped says first what it did: whoever stopped it waits no longer than it wants to.
async fn publish(session: &Session<'_>, report: &Report, json: bool, say: impl Fn(&Report)) {
    // First what others watch: a report takes longer.
    let mut metrics = Box::pin(metrics::publish(session, Some(report), json));
    if session.until_stopped((&mut metrics).map(anyhow::Ok)).await.is_ok() {
        return write_report(session, report).await;
    }
    say(&Report { stopped_by: session.stopped_by(), ..report.clone() });
    if tokio::time::timeout(METRICS_LIMIT, metrics).await.is_err() {
        tracing::warn!("metrics were not published within {} s", METRICS_LIMIT.as_secs());
    }
}

/// How long a run that is stopped may take for its metrics.
const METRICS_LIMIT: Duration = Duration::from_secs(5);

/// The report of the run's day, where it is wanted. That there is none costs no day: it is warned of.
async fn write_report(session: &Session<'_>, done: &Report) {
    let Ok(date) = done.snapshot_date.parse() else { return };
    let published = session.until_stopped(Box::pin(report::publish(session, date)));
    let published = AssertUnwindSafe(tokio::time::timeout(REPORT_LIMIT, published));
    let error = match published.catch_unwind().await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(error))) => format!("{error:#}"),
        Ok(Err(_)) => format!("it was not made within {} s", REPORT_LIMIT.as_secs()),
        Err(_) => "it stopped at something that it does not know, which was told".to_owned(),
    };
    tracing::warn!(error, %date, "no report; `compline report FILE` writes one at any time");
}

/// How long a run may take for its report: the names of 10,000 accounts are 500 calls of AWS Organizations.
const REPORT_LIMIT: Duration = Duration::from_secs(300);

/// The date of the snapshot, and where it comes from: of another day than today AWS Config does not know. A day that was
/// held may be accepted later.
fn snapshot_date(
    arguments: &RunArguments,
    today: SnapshotDate,
    settings: &Settings,
) -> anyhow::Result<(SnapshotDate, Source)> {
    let date = arguments.date.unwrap_or(today);
    if date > today {
        bail!("--date {date}: it is {today} (UTC), so nothing can be of that day yet");
    }
    if arguments.reject {
        return Ok((date, Source::Rejection));
    }
    if arguments.accept {
        return Ok((date, Source::HeldAlone));
    }
    if date == today || settings.answers_any_date() {
        return Ok((date, Source::AwsConfig));
    }
    Err(anyhow!(
        "--date {date}: AWS Config only knows how things are now, and today is {today} (UTC); \
         a snapshot of another day would be wrong without saying so"
    ))
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
    let shown = |url: Option<String>| url.map_or_else(|| "AWS".to_owned(), |url| without_secrets(&url));
    tracing::info!(
        lake,
        config = shown(config),
        s3 = shown(s3),
        sts = shown(of(None, "AWS_ENDPOINT_URL_STS")),
        "endpoints"
    );
}

/// An endpoint without what may be a secret of it: user name, password, query.
fn without_secrets(endpoint: &str) -> String {
    let Ok(mut url) = url::Url::parse(endpoint) else { return "no URL".to_owned() };
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if is_plain {
        return endpoint.to_owned();
    }
    // A URL that can have no user has none.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampMillisecondType;
    use chrono::{DateTime, Utc};
    use clap::Parser;
    use compline_model::{AggregatorId, Dataset, Table};
    use compline_simulator::{Faults, Organization, OrganizationSpec, Simulator};
    use compline_sink::{Compression, Lake, LakeLocation, Partition};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// How often the clock has been looked at by each test.
    static LOOKS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

    /// A clock that midnight passes after it has been looked at so often.
    fn around_midnight(test: usize, looks: u32) -> DateTime<Utc> {
        let is_before = LOOKS[test].fetch_add(1, Ordering::Relaxed) < looks;
        let now = if is_before { "2026-03-01T23:59:59.9Z" } else { "2026-03-02T00:00:05Z" };
        now.parse().expect("a time")
    }

    /// Runs with a clock, and gives the lake's ledger of the one day that it has.
    async fn ledger_of(clock: Clock, day: &str) -> arrow::array::RecordBatch {
        let spec = OrganizationSpec { accounts: 10, ..OrganizationSpec::default() };
        let date: SnapshotDate = day.parse().expect("a date");
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
        let ended = Box::pin(crate::command::perform(arguments.command, clock)).await;
        assert_eq!(ended.map_err(|failure| failure.to_string()), Ok(Ending::Done));

        let lake = Lake::open(&LakeLocation::Folder(lake), Compression::Zstd).await.expect("a lake");
        let aggregator: AggregatorId = "org".parse().expect("an id");
        for table in Dataset::PACKS.tables_and_ledger() {
            let partitions = lake.partitions(table).await.expect("listed");
            assert_eq!(partitions[&aggregator], [date].into(), "{}", table.name());
        }
        let ledger = Partition { table: Table::Runs, date, aggregator };
        lake.read(&ledger, None).await.expect("read").expect("a ledger")
    }

    #[test]
    fn an_endpoint_is_logged_without_user_password_and_query() {
        assert_eq!(without_secrets("http://127.0.0.1:1"), "http://127.0.0.1:1");
        assert_eq!(without_secrets("https://u:hunter2@host:8443/x?sig=hunter2#y"), "https://host:8443/x");
        assert_eq!(without_secrets("hunter2"), "no URL");
    }

    #[tokio::test]
    async fn b61_a_run_across_midnight_is_of_the_day_on_which_it_began_and_says_when_it_ended() {
        // The arguments, the request for the lease, the lease.
        let ledger = ledger_of(|| around_midnight(0, 3), "2026-03-01").await;
        let time = |name: &str| ledger[name].as_primitive::<TimestampMillisecondType>().value(0);
        assert_eq!(time("finished_at") - time("started_at"), 5_100);
    }

    #[tokio::test]
    async fn f08_a_run_for_whose_lease_midnight_was_waited_for_is_of_the_new_day() {
        let ledger = ledger_of(|| around_midnight(1, 2), "2026-03-02").await;
        let time = |name: &str| ledger[name].as_primitive::<TimestampMillisecondType>().value(0);
        assert_eq!(time("finished_at"), time("started_at"));
    }
}

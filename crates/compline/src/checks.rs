//! Trying what a run will need: who asks, each list of AWS Config, the lake, the catalog.

use crate::catalog::Cataloguing;
use crate::replace::replaceable;
use crate::report::AccountNames;
use crate::session::{check_clock, environment, open_lake};
use crate::settings::{AggregatorSettings, Settings, lake_name};
use crate::summary::counted;
use chrono::{DateTime, TimeDelta, Utc};
use compline_aws::{EnvironmentError, Identity};
use compline_fetcher::{Connector, FetchError, FetchOptions, Probe};
use compline_model::{Dataset, RunId, SnapshotDate};
use compline_notifier::Notifier;
use compline_sink::{Holder, Lake};
use futures::future::join_all;
use serde::Serialize;
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

/// Everything that was tried.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Checked {
    pub(crate) checks: Vec<Tried>,
}

/// One check, and its result.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Tried {
    /// What was tried.
    pub(crate) check: String,
    /// What was found, if it is as it must be.
    pub(crate) found: Option<String>,
    /// What is wrong, and what to do about it.
    pub(crate) error: Option<String>,
}

impl Tried {
    fn new(check: impl Into<String>, found: Result<String, String>) -> Self {
        let (found, error) = found.map_or_else(|error| (None, Some(error)), |found| (Some(found), None));
        Self { check: check.into(), found, error }
    }
}

/// A person waits for the answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Attempts of a call to AWS Config, throttled ones not counted: a connection may be cut once, and a host that nobody reaches is asked
/// for each list.
pub(crate) const MAX_ATTEMPTS: u32 = 2;

/// Calls a second to AWS Config at most: of the few that a person waits for, some would be throttled before the limit is known.
pub(crate) const CALM: f64 = 2.0;

/// Tries everything, each whatever became of the others. Tells what is tried before it is.
///
/// # Errors
/// An environment that AWS cannot be asked from.
pub(crate) async fn checks(
    settings: &Settings,
    now: DateTime<Utc>,
    trying: impl Fn(&'static str),
) -> Result<Vec<Tried>, EnvironmentError> {
    let options = settings.fetch_options(SnapshotDate::from(now.date_naive()));
    let patience = |limit: Duration| limit.min(PATIENCE);
    let options = FetchOptions {
        max_attempts: options.max_attempts.min(MAX_ATTEMPTS),
        max_requests_per_second: Some(options.max_requests_per_second.map_or(CALM, |most| most.min(CALM))),
        operation_timeout: patience(options.operation_timeout),
        attempt_timeout: patience(options.attempt_timeout),
        ..options
    };
    trying("AWS Config");
    let connector = Connector::new(environment(settings).await?, options);
    let aggregators = join_all(settings.aggregators.iter().map(|one| aggregator(one, settings, &connector))).await;
    trying("the lake");
    // Not in a session: a lake that cannot be opened is a result like the others.
    let opened = open_lake(settings).await;
    let lake = lake(settings, &opened, &Holder::here(RunId::new(now), "check", now)).await;
    trying("the catalog");
    let catalog = catalog(settings, opened.ok().as_ref()).await?;
    trying("notifications");
    let notify = notify(settings).await?;
    trying("files that are written");
    let files = metrics(settings).into_iter().chain(report(settings).await);
    Ok(aggregators.into_iter().flatten().chain(lake).chain(catalog).chain(notify).chain(files).collect())
}

fn tried<T, E: Error>(what: String, found: Result<T, E>, words: impl FnOnce(T) -> String) -> Tried {
    Tried::new(what, found.map(words).map_err(|error| error.to_string()))
}

/// The caller identity for an aggregator, and one page of each list.
async fn aggregator(aggregator: &AggregatorSettings, settings: &Settings, connector: &Connector) -> Vec<Tried> {
    let id = &aggregator.address.id;
    let mut all = Vec::new();
    if settings.identity() == Identity::DefaultChain {
        let found = connector.identity_for(&aggregator.address).await;
        let nobody = found.as_ref().is_err_and(FetchError::is_of_credentials);
        let of_account = match &found {
            Ok(arn) => aggregator.check_caller(arn),
            Err(_) => Ok(()),
        };
        all.push(tried(format!("{id}: caller identity"), found, |arn| arn));
        if let Err(other) = of_account {
            all.push(Tried::new(format!("{id}: expected_account"), Err(other)));
        }
        if nobody {
            return all;
        }
    }
    let client = connector.connect(aggregator.address.clone()).await;
    let counted = settings.reconciles(aggregator, &Dataset::PACKS).then_some(Probe::PackCounts);
    let rules = aggregator.datasets.contains(&&Dataset::RULES).then_some(Probe::Rules);
    for probe in [Probe::Aggregator, Probe::Sources, Probe::Packs].into_iter().chain(rules).chain(counted) {
        let found = client.try_page(probe).await;
        let words = |items: usize| match (probe, items) {
            (Probe::Aggregator, _) => "it is there".to_owned(),
            (_, items) => format!("{items} on the first page"),
        };
        all.push(tried(format!("{id}: {}", probe.operation()), found, words));
    }
    // Every answer says what time it is there, one that is an error as well.
    all.extend(
        client.clock_offset().filter(|_| !settings.answers_any_date()).map(|ahead| clock(id, "AWS Config", ahead)),
    );
    all
}

fn clock(of: impl std::fmt::Display, server: &str, ahead: TimeDelta) -> Tried {
    Tried::new(format!("{of}: clock"), check_clock(server, ahead).map(|()| format!("that of {server}")))
}

async fn lake(settings: &Settings, opened: &anyhow::Result<Lake>, holder: &Holder) -> Vec<Tried> {
    let name = lake_name(&settings.lake);
    match opened {
        Ok(lake) => {
            let steps = lake.probe(holder).await;
            let steps = steps.into_iter().map(|(step, found)| tried(format!("lake: {step}"), found, |()| name.clone()));
            let steps: Vec<Tried> = steps.collect();
            steps.into_iter().chain(lake.clock_offset().map(|ahead| clock("lake", "S3", ahead))).collect()
        }
        Err(error) => vec![Tried::new("lake: open", Err(format!("{error:#}")))],
    }
}

/// The catalog's database, and days that Athena does not show since `first_day` is set.
async fn catalog(settings: &Settings, lake: Option<&Lake>) -> Result<Vec<Tried>, EnvironmentError> {
    let Some(cataloguing) = Cataloguing::open(settings).await? else { return Ok(Vec::new()) };
    let words =
        |is_there| if is_there { "it is there" } else { "it is not there yet; the first run makes it" }.to_owned();
    let mut all = vec![tried("catalog: the database".to_owned(), cataloguing.has_database().await, words)];
    // A lake that cannot be listed has been told by then, and without a first day nothing is hidden.
    let days = match lake.filter(|_| cataloguing.has_first_day()) {
        Some(lake) => cataloguing.listed(lake).await.ok(),
        None => None,
    };
    if let Some(hidden) = days.and_then(|there| cataloguing.hidden_days(&there.days())) {
        all.push(Tried::new("catalog: first_day", Err(hidden)));
    }
    Ok(all)
}

/// Who is told of days. To find out whether they can be reached takes a message, which is not sent.
async fn notify(settings: &Settings) -> Result<Option<Tried>, EnvironmentError> {
    let Some(notify) = &settings.notify else { return Ok(None) };
    let found = match notify.receivers() {
        Ok(receivers) => {
            let names = Notifier::open(receivers).await?.names();
            Ok(format!("{}; nothing was sent", names.join(", ")))
        }
        Err(error) => Err(format!("{error:#}")),
    };
    Ok(Some(Tried::new("notify: configured", found)))
}

/// The folder of the text file, where a run would replace it.
fn metrics(settings: &Settings) -> Option<Tried> {
    let file = settings.metrics.textfile.as_ref()?;
    let found = replaceable(file).map(|()| file.display().to_string()).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => "; make its folder",
            ErrorKind::PermissionDenied => "; let this user write to its folder",
            _ => "",
        };
        format!("{}: {error}{hint}", file.display())
    });
    Some(Tried::new("metrics: textfile", found))
}

/// The names of accounts.
async fn report(settings: &Settings) -> Option<Tried> {
    let source = settings.report.as_ref()?.account_names.as_ref()?;
    let found = AccountNames::of_source(Some(source), settings).await;
    let found = found.map(|names| counted(names.count(), "account"));
    Some(Tried::new("report: account_names", found.map_err(|error| format!("{error:#}"))))
}

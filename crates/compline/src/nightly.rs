//! One run: session -> plan -> fetch -> flatten -> check -> journal -> commit snapshot -> trend -> commit trends -> catalog -> notify -> ledger.
//!
//! Aggregators go side by side and do not depend on each other: one that fails leaves its day as it was.

mod checkpoints;
mod collect;
mod day;
mod hold;
mod import;
mod notify;
mod report;

use crate::catalog::{Cataloguing, RECENT_DAYS, will_be_behind};
use crate::history::History;
use crate::journal::Journal;
use crate::session::Session;
use crate::settings::{AggregatorSettings, lake_name};
use anyhow::{Context, bail};
use bytes::Bytes;
use compline_aws::{Environment, Identity};
use compline_fetcher::{Connector, FilesAre};
use compline_model::{Dataset, SnapshotDate};
use futures::future::join_all;
use std::path::PathBuf;
use tokio::sync::Semaphore;

pub(crate) use notify::Notifying;
pub(crate) use report::{AggregatorReport, Found, Report, TrendReport};

/// What a run is to do.
#[derive(Debug)]
pub(crate) struct RunRequest {
    pub(crate) date: SnapshotDate,
    /// Where the day comes from.
    pub(crate) source: Source,
    /// Whether a day is committed however much it lost.
    pub(crate) accept: bool,
    /// Whether checkpoints of a stopped run are ignored.
    pub(crate) ignore_checkpoints: bool,
    /// Who is told what became of the day, if anybody.
    pub(crate) notifying: Option<Notifying>,
}

/// Where a day comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// AWS Config, as it is now.
    AwsConfig,
    /// Nowhere but from what is held.
    HeldAlone,
    /// Nowhere: what is held of it is removed.
    Rejection,
    /// Files. `replace` says that a day that is committed may be replaced.
    Files { files: Vec<PathBuf>, files_are: FilesAre, replace: bool },
}

impl Source {
    /// Whether only days that are held are touched.
    fn is_of_held(&self) -> bool {
        matches!(self, Self::HeldAlone | Self::Rejection)
    }
}

/// What every aggregator of a run shares.
struct Shared<'a> {
    session: &'a Session<'a>,
    request: &'a RunRequest,
    dataset: &'static Dataset,
    /// When reading must be done.
    deadline: tokio::time::Instant,
    cataloguing: Option<Cataloguing>,
    history: History,
    connector: Connector,
    /// One permit per request in flight, over all aggregators.
    permits: Semaphore,
    /// One permit: an aggregator's day is many times its size while it is checked and its trends are computed.
    computing: Semaphore,
}

/// Does the run. What fails for one aggregator is in its report.
///
/// # Errors
/// The lake does not answer, or this machine's clock is wrong, so nothing was asked of AWS Config.
pub(crate) async fn nightly(session: &Session<'_>, request: &RunRequest) -> anyhow::Result<Report> {
    let settings = session.settings;
    let (shared, concerned) = session.until_stopped(Box::pin(prepare(session, request))).await?;
    if concerned.is_empty() {
        bail!("nothing is held of {}; `compline history FILE` says what became of the day", request.date);
    }
    let each = concerned.into_iter().map(|(aggregator, journal)| shared.report(aggregator, journal));
    let aggregators = join_all(each).await;
    let mut report = Report {
        run_id: session.run_id.to_string(),
        command: session.command,
        version: env!("CARGO_PKG_VERSION"),
        started_at: session.started_at.to_rfc3339(),
        finished_at: (session.clock)().to_rfc3339(),
        snapshot_date: request.date.to_string(),
        lake: lake_name(&settings.lake),
        aggregators,
        stopped_by: None,
        not_noted: None,
    };
    // Of a stopped run the ledger has what is committed.
    if session.stopped_by().is_none() && report.aggregators.iter().any(|aggregator| aggregator.is_recorded) {
        let stored = session.until_stopped(store(&report, session, request.date)).await;
        report.not_noted = stored.err().map(|error| format!("{error:#}"));
    }
    Ok(report)
}

/// An aggregator of the settings, with its journal if that can be opened.
type Concerned<'a> = (&'a AggregatorSettings, anyhow::Result<Journal>);

/// What the aggregators of a run share, and those that it concerns.
async fn prepare<'a>(
    session: &'a Session<'a>,
    request: &'a RunRequest,
) -> anyhow::Result<(Shared<'a>, Vec<Concerned<'a>>)> {
    let settings = session.settings;
    let dataset = &Dataset::PACKS;
    // Whoever keeps a catalog of this lake, with this file or another, is to see days of long ago.
    if matches!(request.source, Source::Files { .. }) || request.date < session.today().minus_days(RECENT_DAYS) {
        will_be_behind(&session.lake, None).await;
    }
    let deadline = tokio::time::Instant::now() + settings.run_deadline;
    // First what stopped runs left is completed: that may add a day.
    let journals = settings.aggregators.iter().map(|aggregator| session.journal(&aggregator.address.id));
    let journals = join_all(journals).await;
    let ids: Vec<_> = settings.aggregators.iter().map(|aggregator| &aggregator.address.id).collect();
    let statuses_from = settings.keep.statuses_from(session.today());
    let history = History::for_day(&session.lake, dataset, statuses_from, &ids, request.date).await?;
    // Files and what is held need nobody's credentials.
    let identity = if request.source == Source::AwsConfig { settings.identity() } else { Identity::Simulated };
    let environment = Environment::load(identity).await?;
    let shared = Shared {
        session,
        request,
        dataset,
        deadline,
        cataloguing: Cataloguing::open(settings).await?,
        history,
        connector: Connector::new(environment, settings.fetch_options(request.date)),
        permits: Semaphore::new(settings.max_in_flight),
        computing: Semaphore::new(1),
    };
    let mut concerned = Vec::new();
    for (aggregator, journal) in settings.aggregators.iter().zip(journals) {
        if request.source.is_of_held() && !shared.has_held(&aggregator.address.id, &journal).await? {
            continue;
        }
        concerned.push((aggregator, journal));
    }
    Ok((shared, concerned))
}

/// Writes a run's report into the lake, beside the ledger.
async fn store(report: &Report, session: &Session<'_>, date: SnapshotDate) -> anyhow::Result<()> {
    let document = serde_json::to_vec_pretty(report).context("cannot write the report as JSON")?;
    Ok(session.lake.note_run(date, session.run_id, Bytes::from(document)).await?)
}

impl Shared<'_> {
    /// One aggregator's day, its failure included, and its row in the ledger.
    #[tracing::instrument(name = "aggregator", skip_all, fields(id = %aggregator.address.id))]
    async fn report(&self, aggregator: &AggregatorSettings, journal: anyhow::Result<Journal>) -> AggregatorReport {
        let bar = self.session.progress.aggregator(&aggregator.address.id);
        let report = Box::pin(day::report(self, aggregator, journal, &bar)).await;
        bar.finish();
        report.log();
        report
    }
}

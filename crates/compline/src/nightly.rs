//! One run: session -> plan -> fetch -> flatten -> check -> journal -> commit snapshot -> trend -> commit trends -> catalog -> notify -> ledger.
//!
//! Aggregators go side by side and do not depend on each other: one that fails leaves its day as it was. The datasets of one go one after
//! the other, packs first, each with a day of its own: what fails of one costs no day of another.

mod checkpoints;
mod collect;
mod day;
mod hold;
mod import;
mod notify;
mod report;
mod restore;
mod why;

use crate::catalog::{Cataloguing, RECENT_DAYS, will_be_behind};
use crate::failure::NotRecorded;
use crate::history::History;
use crate::journal::Journal;
use crate::session::Session;
use crate::settings::{AggregatorSettings, lake_name};
use anyhow::{Context, bail};
use bytes::Bytes;
use compline_aws::{Environment, Identity};
use compline_fetcher::{Connector, Discovery, FilesAre};
use compline_model::{AggregatorId, Dataset, SnapshotDate};
use compline_sink::Lake;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::PathBuf;
use tokio::sync::Semaphore;

pub(crate) use notify::Notifying;
pub(crate) use report::{AggregatorReport, Found, RegressedPack, RegressedReport, Report, TrendReport};

/// What a run is to do.
#[derive(Debug)]
pub(crate) struct RunRequest {
    pub(crate) date: SnapshotDate,
    /// The only dataset, where it is not all.
    pub(crate) dataset: Option<&'static Dataset>,
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
    /// Its month's files, where its own are damaged or gone.
    Month,
}

impl Source {
    /// Whether only days that are held are touched.
    fn is_of_held(&self) -> bool {
        matches!(self, Self::HeldAlone | Self::Rejection)
    }
}

/// What a run has once.
struct Run<'a> {
    session: &'a Session<'a>,
    request: &'a RunRequest,
    /// When reading must be done.
    deadline: tokio::time::Instant,
    cataloguing: Option<Cataloguing>,
    connector: Connector,
    /// One permit per request in flight, over all aggregators.
    permits: Semaphore,
    /// One permit: an aggregator's day is many times its size while it is checked and its trends are computed.
    computing: Semaphore,
}

/// What every aggregator of a run shares for a dataset.
struct Shared<'a> {
    run: &'a Run<'a>,
    dataset: &'static Dataset,
    /// The lake as it is of the dataset, without a lease.
    lake: Lake,
    history: History,
}

impl<'a> Deref for Shared<'a> {
    type Target = Run<'a>;

    fn deref(&self) -> &Run<'a> {
        self.run
    }
}

/// Does the run. What fails for one aggregator is in its report.
///
/// # Errors
/// The lake does not answer, or this machine's clock is wrong, so nothing was asked of AWS Config.
pub(crate) async fn nightly(session: &Session<'_>, request: &RunRequest) -> anyhow::Result<Report> {
    let settings = session.settings;
    let run = session.until_stopped(Box::pin(open(session, request))).await?;
    let days = session.until_stopped(Box::pin(run.days())).await?;
    if days.is_empty() && request.source == Source::AwsConfig {
        bail!("no aggregator of the file collects {}", request.dataset.map_or("packs", |dataset| dataset.name));
    }
    if days.is_empty() {
        let others = session.until_stopped(held_of_others(session, request.date)).await?;
        if !others.is_empty() {
            bail!(
                "nothing is held of {} of these aggregators, and something is of {}: is it in the pipeline file, and in --only?",
                request.date,
                others.join(", ")
            );
        }
        bail!("nothing is held of {}; `compline history FILE` says what became of the day", request.date);
    }
    let aggregators = run.reports(days).await;
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

/// The days of a dataset that a run concerns, and what they share.
struct Days<'a> {
    shared: Shared<'a>,
    /// Their aggregators, each with its journal if that can be opened.
    each: Vec<(&'a AggregatorSettings, anyhow::Result<Journal>)>,
}

/// What a run has once.
async fn open<'a>(session: &'a Session<'a>, request: &'a RunRequest) -> anyhow::Result<Run<'a>> {
    let settings = session.settings;
    // Whoever keeps a catalog of this lake, with this file or another, is to see days of long ago.
    if matches!(request.source, Source::Files { .. } | Source::Month)
        || request.date < session.today().minus_days(RECENT_DAYS)
    {
        will_be_behind(&session.lake, None).await;
    }
    let deadline = tokio::time::Instant::now() + settings.run_deadline;
    // Files and what is held need nobody's credentials.
    let identity = if request.source == Source::AwsConfig { settings.identity() } else { Identity::Simulated };
    let environment = Environment::load(identity).await?;
    Ok(Run {
        session,
        request,
        deadline,
        cataloguing: Cataloguing::open(settings).await?,
        connector: Connector::new(environment, settings.fetch_options(request.date)),
        permits: Semaphore::new(settings.max_in_flight),
        computing: Semaphore::new(1),
    })
}

/// The aggregators that something is held of on a day, which the settings do not name.
async fn held_of_others(session: &Session<'_>, date: SnapshotDate) -> anyhow::Result<Vec<String>> {
    let mut others = BTreeSet::new();
    for dataset in Dataset::ALL {
        let held = session.lake.held_partitions(dataset.facts).await?;
        let of_day = held.into_iter().filter(|(_, days)| days.contains(&date)).map(|(id, _)| id);
        others.extend(of_day.filter(|id| session.settings.ids().all(|own| own != id)));
    }
    Ok(others.into_iter().map(|id: AggregatorId| id.to_string()).collect())
}

/// Completes what stopped runs left of a dataset that this run does not collect. It costs no day of those that it does.
async fn complete(session: &Session<'_>, dataset: &'static Dataset, id: &AggregatorId) {
    let completed = async {
        let journal = session.journal(dataset, id).await?;
        let from = journal.trends_from();
        journal.finish(from).await
    };
    if let Err(error) = completed.await {
        let (aggregator, dataset) = (id.as_str(), dataset.name);
        tracing::warn!(aggregator, dataset, error = format!("{error:#}"), "what a stopped run left is not completed");
    }
}

/// Writes a run's report into the lake, beside the ledger.
async fn store(report: &Report, session: &Session<'_>, date: SnapshotDate) -> anyhow::Result<()> {
    let document = serde_json::to_vec_pretty(report).context("cannot write the report as JSON")?;
    Ok(session.lake.note_run(date, session.run_id, Bytes::from(document)).await?)
}

impl<'a> Run<'a> {
    /// The days that the run concerns, those of each dataset together.
    async fn days(&'a self) -> anyhow::Result<Vec<Days<'a>>> {
        let Self { session, request, .. } = *self;
        let (mut all, mut held) = (Vec::new(), BTreeSet::new());
        for dataset in Dataset::ALL {
            let (concerned, others): (Vec<_>, Vec<_>) =
                session.settings.aggregators.iter().partition(|one| request.is_of(one, dataset));
            // What a stopped run left of a dataset is completed by the next run, whatever that one collects.
            join_all(others.iter().map(|one| complete(session, dataset, &one.address.id))).await;
            let ids: Vec<&AggregatorId> = concerned.iter().map(|one| &one.address.id).collect();
            if ids.is_empty() {
                continue;
            }
            // First what stopped runs left is completed: that may add a day.
            let journals = join_all(ids.iter().map(|id| session.journal(dataset, id))).await;
            let statuses_from = session.settings.keep.statuses_from(dataset, session.today());
            let lake = session.lake.of(dataset);
            let history = History::for_day(&lake, statuses_from, &ids, request.date).await?;
            let mut days = Days { shared: Shared { run: self, dataset, lake, history }, each: Vec::new() };
            for (aggregator, journal) in concerned.into_iter().zip(journals) {
                let id = &aggregator.address.id;
                if request.source.is_of_held() {
                    if !days.shared.has_held(id, &journal).await? {
                        continue;
                    }
                    // What is right of one dataset says nothing of another.
                    if !held.insert(id) {
                        bail!(NotRecorded(format!(
                            "packs and rules of {id} are held of {}: give --dataset packs or --dataset rules",
                            request.date
                        )));
                    }
                }
                days.each.push((aggregator, journal));
            }
            if !days.each.is_empty() {
                all.push(days);
            }
        }
        Ok(all)
    }

    /// What became of the days, those of an aggregator together. One dataset of all aggregators comes after the other, so that no rules of
    /// one take the time of another's packs.
    async fn reports(&self, days: Vec<Days<'_>>) -> Vec<AggregatorReport> {
        let (mut reports, mut discoveries) = (Vec::new(), BTreeMap::new());
        for Days { shared, each } in days {
            let each = each.into_iter().map(|(aggregator, journal)| {
                let known = discoveries.remove(&aggregator.address.id);
                (aggregator, journal, known)
            });
            let each = each.collect::<Vec<_>>().into_iter().map(async |(aggregator, journal, known)| {
                let (report, discovery) = shared.report(aggregator, journal, known).await;
                (&aggregator.address.id, report, discovery)
            });
            for (id, report, discovery) in join_all(each).await {
                discoveries.extend(discovery.map(|discovery| (id, discovery)));
                reports.push(report);
            }
        }
        let ids = || self.session.settings.ids();
        reports.sort_by_key(|report: &AggregatorReport| ids().position(|id| id.as_str() == report.aggregator));
        reports
    }
}

impl RunRequest {
    /// Whether an aggregator's dataset is concerned. What is held is, also of one that the settings no longer name.
    fn is_of(&self, aggregator: &AggregatorSettings, dataset: &'static Dataset) -> bool {
        let is_collected = self.source != Source::AwsConfig || aggregator.datasets.contains(&dataset);
        match self.dataset {
            Some(only) => only == dataset && is_collected,
            None => self.source.is_of_held() || aggregator.datasets.contains(&dataset),
        }
    }
}

impl Shared<'_> {
    /// One aggregator's day of the dataset, its failure included, and its row in the ledger. Its sources are asked for once for all datasets.
    #[tracing::instrument(name = "aggregator", skip_all, fields(id = %aggregator.address.id, dataset = self.dataset.name))]
    async fn report(
        &self,
        aggregator: &AggregatorSettings,
        journal: anyhow::Result<Journal>,
        known: Option<Discovery>,
    ) -> (AggregatorReport, Option<Discovery>) {
        let bar = self.session.progress.aggregator(&aggregator.address.id, self.dataset);
        let (report, discovery) = Box::pin(day::report(self, aggregator, journal, &bar, known)).await;
        bar.finish();
        report.log();
        (report, discovery)
    }

    /// The lake as it is of the dataset, for the holder of an aggregator's lease.
    fn lake_of(&self, id: &AggregatorId) -> Lake {
        self.session.lake_of(id).of(self.dataset)
    }
}

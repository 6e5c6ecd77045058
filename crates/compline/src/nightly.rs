//! One night: lease -> plan -> fetch -> flatten -> check -> commit snapshot -> trend -> commit trends -> catalog -> ledger.
//!
//! Aggregators go side by side and do not depend on each other: one that fails leaves its day as it was.

mod checkpoints;
mod collect;
mod history;
mod hold;
mod import;
mod ledger;
mod recover;
mod redo;
mod report;

use crate::catalog::Cataloguing;
use crate::leases::Leases;
use crate::progress::Progress;
use crate::settings::{AggregatorSettings, Settings, lake_name};
use anyhow::{Context, bail};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use collect::{Collected, collect};
use compline_fetcher::Connector;
use compline_model::{AggregatorId, RunId, SnapshotDate, Table};
use compline_sink::{Holder, Lake, Partition};
use futures::future::join_all;
use import::import;
use recover::recover;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

pub(crate) use history::{History, Span};
pub(crate) use ledger::LastCommit;
pub(crate) use redo::{Recompute, Recomputed, recompute};
pub(crate) use report::{AggregatorReport, Found, Outcome, Report, TrendReport};

/// What a night is to do.
#[derive(Debug)]
pub(crate) struct Night<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) date: SnapshotDate,
    /// Where the day comes from.
    pub(crate) source: Source,
    /// Whether a day is committed however much it lost.
    pub(crate) accept: bool,
    /// Whether what a stopped run has read is left aside.
    pub(crate) fresh: bool,
    /// How long a run is waited for that is at work on the same aggregators.
    pub(crate) wait: Duration,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) clock: fn() -> DateTime<Utc>,
}

/// Where a day comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// AWS Config, as it is now.
    AwsConfig,
    /// Nowhere but from what is held: AWS Config does not know that date.
    HeldAlone,
    /// Files. `replace` says that a day that is kept may be replaced.
    Files { files: Vec<PathBuf>, replace: bool },
}

impl Source {
    /// The command that has it.
    pub(crate) fn command(&self) -> &'static str {
        match self {
            Self::AwsConfig | Self::HeldAlone => "run",
            Self::Files { .. } => "import",
        }
    }
}

/// What every aggregator of a night shares.
struct Shared<'a> {
    night: &'a Night<'a>,
    run_id: RunId,
    /// When reading must be done.
    deadline: tokio::time::Instant,
    lake: &'a Lake,
    leases: Leases,
    cataloguing: Option<Cataloguing>,
    history: History,
    connector: Connector,
    /// One permit per request in flight, over all aggregators.
    permits: Semaphore,
    /// One permit: an aggregator's day is many times its size while it is checked and its trends are computed.
    computing: Semaphore,
    progress: &'a Progress,
}

/// Does the night. What fails for one aggregator is in its report.
///
/// # Errors
/// The lake does not answer or may not be written, or another run is at work on it, so nothing was asked of AWS Config.
pub(crate) async fn nightly(night: &Night<'_>, lake: &Lake, progress: &Progress) -> anyhow::Result<Report> {
    let run_id = RunId::new(night.started_at);
    let ids = night.settings.aggregators.iter().map(|aggregator| &aggregator.address.id);
    let holder = Holder::here(run_id, night.source.command(), night.started_at);
    let leases = Leases::take(lake, ids, &holder, night.wait).await?;
    // Waiting for another run is not reading.
    let deadline = tokio::time::Instant::now() + night.settings.run_deadline;
    let today = SnapshotDate::from(night.started_at.date_naive());
    let history = History::read(lake, night.settings.keep.statuses_from(today)).await?;
    let connector = Connector::load(night.settings.identity(), night.settings.fetch_options(night.date)).await;
    let cataloguing = Cataloguing::open(night.settings).await;
    let permits = Semaphore::new(night.settings.max_in_flight);
    let computing = Semaphore::new(1);
    let shared =
        Shared { night, run_id, deadline, lake, leases, cataloguing, history, connector, permits, computing, progress };
    let aggregators = night.settings.aggregators.iter().map(|aggregator| shared.aggregator_night(aggregator));
    let aggregators = join_all(aggregators).await;
    shared.leases.release().await;
    let mut report = Report {
        run_id: run_id.to_string(),
        command: night.source.command(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: night.started_at.to_rfc3339(),
        finished_at: (night.clock)().to_rfc3339(),
        snapshot_date: night.date.to_string(),
        lake: lake_name(&night.settings.lake),
        aggregators,
        not_noted: None,
    };
    report.not_noted = note(&report, night.date, run_id, lake).await.err().map(|error| format!("{error:#}"));
    Ok(report)
}

/// Keeps a run's report in the lake, beside the ledger.
async fn note(report: &Report, date: SnapshotDate, run_id: RunId, lake: &Lake) -> anyhow::Result<()> {
    let document = serde_json::to_vec_pretty(report).context("cannot write the report as JSON")?;
    Ok(lake.note_run(date, run_id, Bytes::from(document)).await?)
}

impl Shared<'_> {
    /// One aggregator's night, its failure included, and its line in the ledger.
    #[tracing::instrument(name = "aggregator", skip_all, fields(id = %aggregator.address.id))]
    async fn aggregator_night(&self, aggregator: &AggregatorSettings) -> AggregatorReport {
        let started = Instant::now();
        let mut report = AggregatorReport::new(&aggregator.address.id);
        let bar = self.progress.aggregator(&aggregator.address.id);
        let lost = tokio::select! {
            () = self.kept_and_noted(aggregator, &bar, &mut report, started) => None,
            error = self.leases.lost(&aggregator.address.id) => Some(error),
        };
        if let Some(error) = lost {
            report.fail(&error.into());
        }
        bar.finish(&report);
        report
    }

    async fn kept_and_noted(
        &self,
        aggregator: &AggregatorSettings,
        bar: &crate::progress::Bar,
        report: &mut AggregatorReport,
        started: Instant,
    ) {
        if let Err(error) = self.snapshot_and_trends(aggregator, bar, report).await {
            report.fail(&error);
        }
        report.seconds = started.elapsed().as_secs_f64();
        let id = &aggregator.address.id;
        // Of a day that failed or is held the lake gets the ledger alone.
        let tables: &[Table] = if report.outcome == Outcome::Succeeded { &Table::ALL } else { &[Table::Runs] };
        if let Some(cataloguing) = &self.cataloguing
            && let Err(error) = cataloguing.add_day(self.lake, id, self.night.date, tables).await
        {
            report.note_not_in_catalog(&error);
        }
        if let Err(error) = self.note_in_ledger(id, report).await {
            report.fail(&error.context("the run is not in the ledger"));
        } else if report.outcome == Outcome::Succeeded
            && let Err(error) = self.lake.clear_redo(id).await
        {
            report.fail(&error.into());
        }
    }

    async fn snapshot_and_trends(
        &self,
        aggregator: &AggregatorSettings,
        bar: &crate::progress::Bar,
        report: &mut AggregatorReport,
    ) -> anyhow::Result<()> {
        let id = &aggregator.address.id;
        self.is_not_dropped(id)?;
        let collected = match &self.night.source {
            Source::Files { files, replace } => {
                self.may_replace(id, *replace)?;
                import(self, aggregator, files, report).await?
            }
            source => match self.accepted(id).await? {
                Some(held) => held,
                None if *source == Source::HeldAlone => {
                    bail!("nothing is held of {}, and AWS Config only knows now", self.night.date)
                }
                None => collect(self, aggregator, bar, report).await?,
            },
        };
        report.note_findings(&collected.snapshot);
        report.note_sources(&collected.source_status);
        if let Some(why) = self.held_for(id, &collected).await? {
            report.hold(why);
            return self.end_collection(id).await;
        }
        let Collected { snapshot, source_status } = collected;
        bar.stage("writing the snapshot and its trends");
        let _one_at_a_time = self.computing.acquire().await?;
        let behind_from = self.note_redo(id).await?;
        let (facts, sources) = (self.partition(Table::PackCompliance, id), self.partition(Table::SourceStatus, id));
        let rows = snapshot.rows();
        let (committed, source_committed) =
            self.lake.commit_snapshot((&facts, rows.clone()), (&sources, source_status)).await?;
        report.note_committed(source_committed, committed, rows.num_rows());
        redo::trends(self, id, behind_from, snapshot.into_trend_rows()?, report)
            .await
            .context("the snapshot is kept, but its trends are behind until the next run")?;
        if let Some(from) = behind_from {
            recover(self.lake, id, from, Some(self.night.date), (self.night.clock)()).await?;
        }
        self.release(id).await?;
        self.end_collection(id).await
    }

    /// Removes the checkpoints of a day that is kept or held. Those of AWS Config's today are not an import's to remove.
    async fn end_collection(&self, id: &AggregatorId) -> anyhow::Result<()> {
        match self.night.source {
            Source::AwsConfig => Ok(self.lake.end_collection(id).await?),
            Source::HeldAlone | Source::Files { .. } => Ok(()),
        }
    }

    /// A day among those whose snapshots were dropped would be compared with none of them, and later days with it.
    fn is_not_dropped(&self, id: &AggregatorId) -> anyhow::Result<()> {
        let (date, keep) = (self.night.date, &self.night.settings.keep);
        let today = SnapshotDate::from(self.night.started_at.date_naive());
        let is_old = keep.snapshots_from(today).is_some_and(|from| date < from);
        if is_old && self.history.dropped(id).last().is_some_and(|last| date <= *last) {
            bail!(
                "the snapshots of {date} and of days around it are dropped, as maintain.snapshot_days says, and it is not taken in"
            );
        }
        Ok(())
    }

    /// A day that is kept is not lost to an import by mistake.
    fn may_replace(&self, id: &AggregatorId, replace: bool) -> anyhow::Result<()> {
        let date = self.night.date;
        let kept = self.history.snapshots.get(id).is_some_and(|dates| dates.contains(&date));
        if kept && !replace {
            bail!("the lake has a snapshot of {date} already, and it is left as it was; --replace replaces it");
        }
        Ok(())
    }

    /// Notes in the lake that trends from this day on are behind, or from an earlier one if a run before was stopped. Gives
    /// that earlier day.
    async fn note_redo(&self, id: &AggregatorId) -> anyhow::Result<Option<SnapshotDate>> {
        let earlier = self.lake.redo_from(id).await?;
        let from = earlier.map_or(self.night.date, |earlier| earlier.min(self.night.date));
        self.lake.mark_redo(id, from).await?;
        Ok(earlier)
    }

    fn partition(&self, table: Table, id: &AggregatorId) -> Partition {
        Partition { table, date: self.night.date, aggregator: id.clone() }
    }

    /// The days that have a snapshot of an aggregator once this night's is kept.
    fn snapshot_dates(&self, id: &AggregatorId) -> BTreeSet<SnapshotDate> {
        let mut dates = self.history.snapshots.get(id).cloned().unwrap_or_default();
        dates.insert(self.night.date);
        dates
    }
}

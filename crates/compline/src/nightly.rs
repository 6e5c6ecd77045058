//! One night: plan -> fetch -> flatten -> check -> commit snapshot -> trend -> commit trends -> ledger.
//!
//! Aggregators go side by side and do not depend on each other: one that fails leaves its day as it was.

mod collect;
mod hold;
mod ledger;
mod redo;
mod report;

use crate::progress::Progress;
use crate::settings::{AggregatorSettings, Settings, lake_name};
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use collect::{Collected, collect};
use compline_fetcher::Connector;
use compline_model::{AggregatorId, RunId, SnapshotDate, Table};
use compline_sink::{Lake, Partition, Partitions};
use futures::future::join_all;
use std::collections::BTreeSet;
use std::time::Instant;
use tokio::sync::Semaphore;

pub(crate) use report::{AggregatorReport, Found, Outcome, Report, TrendReport};

/// What a night is to do.
#[derive(Debug)]
pub(crate) struct Night<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) date: SnapshotDate,
    /// Whether the source can say how things were on that date; otherwise only a day that is held can be committed.
    pub(crate) may_collect: bool,
    /// Whether a day is committed however much it lost.
    pub(crate) accept: bool,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) clock: fn() -> DateTime<Utc>,
}

/// What every aggregator of a night shares.
struct Shared<'a> {
    night: &'a Night<'a>,
    run_id: RunId,
    /// When reading must be done.
    deadline: tokio::time::Instant,
    lake: &'a Lake,
    history: History,
    connector: Connector,
    /// One permit per request in flight, over all aggregators.
    permits: Semaphore,
    progress: &'a Progress,
}

/// The days that the lake has of what trends are made from and of.
struct History {
    snapshots: Partitions,
    trends: Partitions,
    statuses: Partitions,
}

/// Does the night. What fails for one aggregator is in its report.
///
/// # Errors
/// The lake does not answer or may not be written, so nothing was asked of AWS Config.
pub(crate) async fn nightly(night: &Night<'_>, lake: &Lake, progress: &Progress) -> anyhow::Result<Report> {
    let run_id = RunId::new(night.started_at);
    let deadline = tokio::time::Instant::now() + night.settings.run_deadline;
    lake.prove_writable(&run_id.to_string()).await?;
    let history = History::read(lake).await?;
    let connector = Connector::load(night.settings.identity(), night.settings.fetch_options(night.date)).await;
    let permits = Semaphore::new(night.settings.max_in_flight);
    let shared = Shared { night, run_id, deadline, lake, history, connector, permits, progress };
    let aggregators = night.settings.aggregators.iter().map(|aggregator| shared.aggregator_night(aggregator));
    let aggregators = join_all(aggregators).await;
    Ok(Report {
        run_id: run_id.to_string(),
        snapshot_date: night.date.to_string(),
        lake: lake_name(&night.settings.lake),
        aggregators,
    })
}

impl History {
    async fn read(lake: &Lake) -> anyhow::Result<Self> {
        Ok(Self {
            snapshots: lake.partitions(Table::PackCompliance).await?,
            trends: lake.partitions(Table::ComplianceTrends).await?,
            statuses: lake.partitions(Table::PackStatus).await?,
        })
    }
}

impl Shared<'_> {
    /// One aggregator's night, its failure included, and its line in the ledger.
    #[tracing::instrument(name = "aggregator", skip_all, fields(id = %aggregator.address.id))]
    async fn aggregator_night(&self, aggregator: &AggregatorSettings) -> AggregatorReport {
        let started = Instant::now();
        let mut report = AggregatorReport::new(&aggregator.address.id);
        let bar = self.progress.aggregator(&aggregator.address.id);
        if let Err(error) = self.snapshot_and_trends(aggregator, &bar, &mut report).await {
            report.fail(&error);
        }
        report.seconds = started.elapsed().as_secs_f64();
        if let Err(error) = self.note_in_ledger(&aggregator.address.id, &report).await {
            report.fail(&error.context("the run is not in the ledger"));
        }
        bar.finish(&report);
        report
    }

    async fn snapshot_and_trends(
        &self,
        aggregator: &AggregatorSettings,
        bar: &crate::progress::Bar,
        report: &mut AggregatorReport,
    ) -> anyhow::Result<()> {
        let id = &aggregator.address.id;
        let collected = match self.accepted(id).await? {
            Some(held) => held,
            None if !self.night.may_collect => {
                bail!("nothing is held of {}, and AWS Config only knows now", self.night.date)
            }
            None => collect(self, aggregator, bar, report).await?,
        };
        report.note_findings(&collected.snapshot);
        if let Some(why) = self.held_for(id, &collected).await? {
            report.hold(why);
            return Ok(());
        }
        let Collected { snapshot, source_status } = collected;
        bar.stage("writing the snapshot and its trends");
        let behind_from = self.note_redo(id).await?;
        report.bytes += self.lake.commit(&self.partition(Table::SourceStatus, id), source_status).await?;
        report.bytes += self.lake.commit(&self.partition(Table::PackCompliance, id), snapshot.rows().clone()).await?;
        report.rows = snapshot.rows().num_rows() as u64;
        redo::trends(self, id, behind_from, &snapshot, report)
            .await
            .context("the snapshot is kept, but its trends are behind until the next run")?;
        self.lake.clear_redo(id).await?;
        self.release(id).await
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

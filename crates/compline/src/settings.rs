//! The pipeline file, read once into settings that cannot be wrong.

mod check;
mod problem;
mod wire;

use anyhow::Context;
pub(crate) use check::is_database;
use compline_fetcher::{AggregatorAddress, FanOut, FetchOptions, FilterLists, Identity};
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{CatalogLocation, Compression, LakeLocation, Partitioning};
use compline_transformer::Choice;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// A pipeline, validated.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) lake: LakeLocation,
    pub(crate) compression: Compression,
    pub(crate) aggregators: Vec<AggregatorSettings>,
    pub(crate) fetch: FetchOptions,
    pub(crate) max_in_flight: usize,
    /// How long after its begin a run may still read.
    pub(crate) run_deadline: Duration,
    /// How long a run that was stopped may be gone on with, from its begin.
    pub(crate) checkpoint_age: Duration,
    /// Whether pages are kept as they came.
    pub(crate) archive_raw: bool,
    /// What Athena is told of the lake, if anything.
    pub(crate) catalog: Option<CatalogSettings>,
    pub(crate) keep: KeepSettings,
    /// The share of rows, accounts or regions that a day may lose against the last one, 0 to 1.
    pub(crate) max_loss: f64,
    pub(crate) reconcile: Reconcile,
    /// The share of packs that may differ from AWS Config's own count, 0 to 1.
    pub(crate) reconcile_tolerance: f64,
}

/// `[catalog]`.
#[derive(Debug, Clone)]
pub(crate) struct CatalogSettings {
    pub(crate) location: CatalogLocation,
    pub(crate) partitioning: Partitioning,
}

/// `[maintain]`: what is kept for how long, and in which form.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeepSettings {
    /// After how many days `pack_status` is dropped, if at all.
    pub(crate) pack_status_days: Option<u32>,
    /// After how many days snapshots are dropped, if at all.
    pub(crate) snapshot_days: Option<u32>,
    /// The tables whose complete months get a file of their own.
    pub(crate) compact: BTreeSet<Table>,
}

impl KeepSettings {
    /// The first day whose `pack_status` is kept, if earlier ones are dropped.
    pub(crate) fn statuses_from(&self, today: SnapshotDate) -> Option<SnapshotDate> {
        self.pack_status_days.map(|days| today.minus_days(days))
    }

    /// The first day whose snapshot is kept, if earlier ones are dropped.
    pub(crate) fn snapshots_from(&self, today: SnapshotDate) -> Option<SnapshotDate> {
        self.snapshot_days.map(|days| today.minus_days(days))
    }
}

/// What becomes of a day whose packs are not as many as AWS Config counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reconcile {
    /// It is not asked.
    Off,
    /// The accounts that differ are named.
    #[default]
    Warn,
    /// The day fails.
    Fail,
}

/// One `[[aggregator]]`.
#[derive(Debug, Clone)]
pub(crate) struct AggregatorSettings {
    pub(crate) address: AggregatorAddress,
    pub(crate) filters: Vec<FilterLists>,
    pub(crate) fan_out: FanOut,
    /// Which rows are wanted of those that come.
    pub(crate) choice: Choice,
}

/// What in an endpoint URL stands for the date that is asked for: only a simulator answers for any date.
const DATE: &str = "{date}";

impl Settings {
    /// Reads a pipeline file. `lake` is another lake than the file's.
    ///
    /// # Errors
    /// The file cannot be read, or a value of it is not allowed: file, line, key, value and what is allowed.
    pub(crate) fn read(file: &Path, lake: Option<&str>) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the pipeline file {}", file.display()))?;
        Self::parse(&file.display().to_string(), &text, lake)
    }

    /// Reads the text of a pipeline file.
    pub(crate) fn parse(file: &str, text: &str, lake: Option<&str>) -> anyhow::Result<Self> {
        let source = problem::Source { file, text };
        let wire = wire::parse(&source)?;
        Ok(check::check(wire, &source, lake)?)
    }

    /// Keeps the aggregators with these ids; all if there are none.
    pub(crate) fn keep_only(&mut self, only: &[AggregatorId]) -> anyhow::Result<()> {
        let known: Vec<String> = self.aggregators.iter().map(|aggregator| aggregator.address.id.to_string()).collect();
        if let Some(unknown) = only.iter().find(|id| !known.contains(&id.to_string())) {
            anyhow::bail!("--only {unknown}: the pipeline has no such aggregator; it has {}", known.join(", "));
        }
        self.aggregators.retain(|aggregator| only.is_empty() || only.contains(&aggregator.address.id));
        Ok(())
    }

    /// Whether a day of the aggregator is held against AWS Config's own count: of a part of it there is no such count.
    pub(crate) fn reconciles(&self, aggregator: &AggregatorSettings) -> bool {
        let whole = aggregator.filters.is_empty() && aggregator.choice.is_everything();
        self.reconcile != Reconcile::Off && whole
    }

    /// Whether the source answers for any date, as the simulator does; AWS Config only knows now.
    pub(crate) fn answers_any_date(&self) -> bool {
        self.fetch.endpoint_url.as_ref().is_some_and(|url| url.contains(DATE))
    }

    /// How calls are made for a date.
    pub(crate) fn fetch_options(&self, date: SnapshotDate) -> FetchOptions {
        let endpoint_url = self.fetch.endpoint_url.as_ref().map(|url| url.replace(DATE, &date.to_string()));
        FetchOptions { endpoint_url, ..self.fetch.clone() }
    }

    /// Who signs the calls: a source that answers for any date is not AWS, and is shown no real key.
    pub(crate) fn identity(&self) -> Identity {
        if self.answers_any_date() { Identity::Simulated } else { Identity::DefaultChain }
    }
}

/// A lake as its URL or folder.
pub(crate) fn lake_name(location: &LakeLocation) -> String {
    match location {
        LakeLocation::Folder(path) => path.display().to_string(),
        LakeLocation::S3(s3) if s3.prefix.is_empty() => format!("s3://{}", s3.bucket),
        LakeLocation::S3(s3) => format!("s3://{}/{}", s3.bucket, s3.prefix),
    }
}

#[cfg(test)]
mod tests;

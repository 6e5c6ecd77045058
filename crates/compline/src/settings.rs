//! The pipeline file, read once into settings that cannot be wrong: text -> document -> pipeline -> settings.
//!
//! A `document` is the parsed text, which knows where everything is written. A `pipeline` has the shape of the file and is
//! deserialized into checked types: each text and number is held against what is allowed as it is read (`text`, `value`).
//! The rules that more than one key is part of are left for the last step.

mod aggregator;
mod catalog;
mod document;
mod lake;
mod notify;
mod pipeline;
mod report;
mod text;
mod value;

use crate::deal::Deal;
use anyhow::{Context, bail, ensure};
use compline_aws::Identity;
use compline_fetcher::{AggregatorAddress, FanOut, FetchOptions, FilterLists};
use compline_model::{AccountId, AggregatorId, Dataset, SnapshotDate, Table};
use compline_sink::{CatalogLocation, Compression, LakeLocation, Partitioning};
use compline_transformer::RowFilter;
use document::Document;
pub(crate) use document::Problem;
pub(crate) use notify::NotifySettings;
use pipeline::{Pipeline, check_version};
pub(crate) use report::REPORT_DAYS;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub(crate) use text::{DatasetName, is_database};

/// The largest pipeline file that is read, in bytes: some ten thousand aggregators.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The stack that a pipeline file is read with, in bytes. The parser takes 80 levels of tables with 80 names each: to read
/// and drop 6,400 levels took 8 to 16 MB in a debug build, and a main thread has 8.
const STACK_BYTES: usize = 64 << 20;

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
    /// How long after its begin a stopped run may be resumed from its checkpoints.
    pub(crate) checkpoint_age: Duration,
    /// Whether pages are stored as they came.
    pub(crate) archive_raw: bool,
    /// What Athena is told of the lake, if anything.
    pub(crate) catalog: Option<CatalogSettings>,
    pub(crate) keep: KeepSettings,
    pub(crate) metrics: MetricsSettings,
    /// The aggregators of the file, also those that are not wanted now, each with the datasets that are collected.
    pub(crate) all: Vec<(AggregatorId, Vec<&'static Dataset>)>,
    /// Who is told what became of a day, if anybody.
    pub(crate) notify: Option<NotifySettings>,
    /// The report that each run writes beside the tables, if it is wanted.
    pub(crate) report: Option<ReportSettings>,
    /// The share of rows, accounts or regions that a day may lose against the last one, 0 to 1.
    pub(crate) max_loss: f64,
    pub(crate) reconcile: Reconcile,
    /// The share of packs that may differ from AWS Config's own count, 0 to 1.
    pub(crate) reconcile_tolerance: f64,
    /// What is allowed in the file and hardly meant, each with file and line: for the log.
    pub(crate) warnings: Vec<String>,
}

/// `[catalog]`.
#[derive(Debug, Clone)]
pub(crate) struct CatalogSettings {
    pub(crate) location: CatalogLocation,
    pub(crate) partitioning: Partitioning,
}

/// `[metrics]`: where a command leaves what it measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetricsSettings {
    /// The file that Prometheus' node exporter reads, if any.
    pub(crate) textfile: Option<PathBuf>,
    /// The namespace of CloudWatch's embedded metric format on stdout, if it is wanted.
    pub(crate) emf_namespace: Option<String>,
}

/// What stands for AWS Organizations where names of accounts are from.
pub(crate) const ORGANIZATIONS: &str = "organizations";

/// Where the names of accounts are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamesSource {
    /// AWS Organizations, asked with the environment's credentials.
    Organizations,
    /// A CSV file.
    File(PathBuf),
}

impl NamesSource {
    pub(crate) fn from_text(text: &str) -> Self {
        if text == ORGANIZATIONS { Self::Organizations } else { Self::File(text.into()) }
    }
}

/// `[report]`: the report that each run writes beside the tables.
#[derive(Debug, Clone)]
pub(crate) struct ReportSettings {
    /// Whether runs write it: not beside another lake than the file's.
    pub(crate) is_published: bool,
    /// How many days back its histories go.
    pub(crate) days: u32,
    /// Where the names of accounts are from, if they are wanted.
    pub(crate) account_names: Option<NamesSource>,
    /// Where people read the reports, without a slash at its end: for links in notifications.
    pub(crate) url: Option<String>,
}

/// `[maintain]`: what is retained for how long, and in which form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeepSettings {
    /// After how many days `pack_status` is dropped, if at all.
    #[serde(deserialize_with = "catalog::days")]
    pub(crate) pack_status_days: Option<u32>,
    /// After how many days `rule_status` is dropped, if at all.
    #[serde(deserialize_with = "catalog::days")]
    pub(crate) rule_status_days: Option<u32>,
    /// After how many days snapshots are dropped, if at all.
    #[serde(deserialize_with = "catalog::days")]
    pub(crate) snapshot_days: Option<u32>,
    /// After how many days the archive's pages are removed, if at all.
    #[serde(deserialize_with = "catalog::days")]
    pub(crate) raw_days: Option<u32>,
    /// After how many days the documents of runs are removed, if at all.
    #[serde(deserialize_with = "catalog::days")]
    pub(crate) runs_days: Option<u32>,
    /// After how many days what is held is rejected, if at all.
    #[serde(deserialize_with = "catalog::days")]
    pub(crate) held_days: Option<u32>,
    /// The tables whose complete months get a file of their own.
    #[serde(deserialize_with = "value::one_or_many::<Table, _, _>")]
    pub(crate) compact: BTreeSet<Table>,
}

impl KeepSettings {
    /// The first day whose state of a dataset is retained, if earlier ones are dropped.
    pub(crate) fn statuses_from(&self, dataset: &Dataset, today: SnapshotDate) -> Option<SnapshotDate> {
        let days = if dataset == &Dataset::RULES { self.rule_status_days } else { self.pack_status_days };
        days.map(|days| today.minus_days(days))
    }

    /// The first day whose snapshot is retained, if earlier ones are dropped.
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
    /// The account whose identity asks; another one is nobody's that was meant.
    pub(crate) expected_account: Option<AccountId>,
    pub(crate) fan_out: FanOut,
    /// What is collected, in this order.
    pub(crate) datasets: Vec<&'static Dataset>,
    /// What is asked for of each dataset that there is.
    of_datasets: [DatasetSettings; 2],
}

/// What is asked for of a dataset.
#[derive(Debug, Clone)]
pub(crate) struct DatasetSettings {
    pub(crate) dataset: &'static Dataset,
    pub(crate) filters: Vec<FilterLists>,
    /// Which rows are wanted of those that come.
    pub(crate) row_filter: RowFilter,
}

impl DatasetSettings {
    /// Whether everything is asked for and wanted.
    pub(crate) fn is_everything(&self) -> bool {
        self.filters.is_empty() && self.row_filter.is_everything()
    }
}

impl AggregatorSettings {
    /// What is asked for of a dataset, collected or not.
    pub(crate) fn of(&self, dataset: &Dataset) -> &DatasetSettings {
        let [packs, rules] = &self.of_datasets;
        if dataset == rules.dataset { rules } else { packs }
    }

    /// Compares the ARN of the caller identity with the account that it must be of.
    ///
    /// # Errors
    /// It is of another one.
    pub(crate) fn check_caller(&self, caller: &str) -> Result<(), String> {
        let account = caller.split(':').nth(4).unwrap_or_default();
        match &self.expected_account {
            Some(expected) if expected.as_str() != account => Err(format!(
                "the caller identity is {caller}, and expected_account is {expected}: are the role, AWS_PROFILE and AWS_ROLE_ARN right, \
                 and is AWS_WEB_IDENTITY_TOKEN_FILE set beside the last? nothing was asked of AWS Config"
            )),
            _ => Ok(()),
        }
    }
}

/// What in an endpoint URL stands for the date that is asked for: only a simulator answers for any date.
const DATE: &str = "{date}";

impl Settings {
    /// Reads a pipeline file. `lake` is another lake than the file's.
    ///
    /// # Errors
    /// The file cannot be read, or a value of it is not allowed: file, line, key, value and what is allowed.
    pub(crate) fn read(file: &Path, lake: Option<&str>) -> anyhow::Result<Self> {
        let text = text_of(file).with_context(|| format!("cannot read the pipeline file {}", file.display()))?;
        Self::parse(&file.display().to_string(), &text, lake)
    }

    /// Reads the text of a pipeline file.
    ///
    /// # Errors
    /// A value of it is not allowed: file, line, key, value and what is allowed.
    pub(crate) fn parse(file: &str, text: &str, lake: Option<&str>) -> anyhow::Result<Self> {
        let read = || -> Result<Self, Problem> {
            let document = Document::parse(file, text)?;
            check_version(&document)?;
            document.read::<Pipeline>()?.settings(&document, lake)
        };
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("settings".to_owned()).stack_size(STACK_BYTES);
            let reader =
                builder.spawn_scoped(scope, read).context("cannot start a thread to read the pipeline file with")?;
            match reader.join() {
                Ok(settings) => Ok(settings?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Keeps the aggregators with the ids that an argument gives; all if there are none.
    ///
    /// # Errors
    /// The pipeline file has none with one of them.
    pub(crate) fn keep_only(&mut self, argument: &str, only: &[AggregatorId]) -> anyhow::Result<()> {
        let known: Vec<String> = self.aggregators.iter().map(|aggregator| aggregator.address.id.to_string()).collect();
        if let Some(unknown) = only.iter().find(|id| !known.contains(&id.to_string())) {
            anyhow::bail!("{argument} {unknown}: the pipeline has no such aggregator; it has {}", known.join(", "));
        }
        self.aggregators.retain(|aggregator| only.is_empty() || only.contains(&aggregator.address.id));
        Ok(())
    }

    /// The ids of the aggregators that are wanted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &AggregatorId> {
        self.aggregators.iter().map(|aggregator| &aggregator.address.id)
    }

    /// Whether a dataset of an aggregator of the file is collected.
    pub(crate) fn collects(&self, id: &AggregatorId, dataset: &'static Dataset) -> bool {
        self.all.iter().any(|(of, datasets)| of == id && datasets.contains(&dataset))
    }

    /// Keeps the aggregators that fall to one of several runs: none may. The others ask at the same time.
    pub(crate) fn keep_dealt(&mut self, deal: Deal) {
        self.fetch.runs_at_once = deal.count();
        self.aggregators.retain(|aggregator| deal.has(&aggregator.address.id));
    }

    /// Whether a day of an aggregator's dataset is held against AWS Config's own count: there is one of packs alone, and of a part of
    /// them there is none.
    pub(crate) fn reconciles(&self, aggregator: &AggregatorSettings, dataset: &Dataset) -> bool {
        dataset == &Dataset::PACKS && self.reconcile != Reconcile::Off && aggregator.of(dataset).is_everything()
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

    /// Whether the lake or its catalog is asked with the credentials of the environment.
    pub(crate) fn has_aws_lake(&self) -> bool {
        matches!(self.lake, LakeLocation::S3(_)) || self.catalog.is_some()
    }

    /// Who signs the calls: a source that answers for any date is not AWS, and is shown no real key.
    pub(crate) fn identity(&self) -> Identity {
        if self.answers_any_date() { Identity::Simulated } else { Identity::DefaultChain }
    }
}

/// The text of a file: of a plain one and of no more than is sensible, so that nothing hangs and nothing fills the memory.
fn text_of(file: &Path) -> anyhow::Result<String> {
    // Before it is opened, since to open a pipe waits for who writes into it.
    let metadata = std::fs::metadata(file)?;
    ensure!(!metadata.is_dir(), "it is a folder; give the path of the file in it");
    ensure!(metadata.is_file(), "it is no plain file but a pipe or a device; write the pipeline to a file first");
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "it has more than {MAX_FILE_BYTES} bytes; is it a pipeline file?");
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => bail!("it is not UTF-8 at byte {}; save it as UTF-8", error.utf8_error().valid_up_to()),
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

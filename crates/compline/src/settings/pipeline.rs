//! The pipeline file as a whole, and its small tables.

use super::aggregator::Aggregator;
use super::catalog::Catalog;
use super::document::{Document, Problem};
use super::lake::Lake;
use super::notify::Notify;
use super::report::Report;
use super::text::{EndpointUrl, Namespace, TextFile};
use super::value::{Percent, Rate, Section, Text, Whole};
use super::{AggregatorSettings, KeepSettings, MetricsSettings, Reconcile, Settings};
use compline_fetcher::FetchOptions;
use compline_model::AggregatorId;
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::de::DeValue;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pipeline {
    /// Checked before everything else: see [`check_version`].
    #[serde(rename = "version")]
    _version: i64,
    lake: Section<Lake>,
    #[serde(default)]
    aggregator: Vec<Section<Aggregator>>,
    #[serde(default)]
    fetch: Section<Fetch>,
    #[serde(default)]
    check: Section<Check>,
    #[serde(default)]
    archive: Section<Archive>,
    catalog: Option<Section<Catalog>>,
    #[serde(default)]
    maintain: Section<KeepSettings>,
    #[serde(default)]
    metrics: Section<Metrics>,
    notify: Option<Section<Notify>>,
    report: Option<Section<Report>>,
}

/// Of each number: the least, the largest, the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fetch {
    /// What AWS Config takes; 0 leaves it to AWS Config.
    page_size: Whole<0, 100, 100>,
    /// Each holds a page in memory.
    max_in_flight: Whole<1, 256, 8>,
    max_requests_per_second: Option<Rate>,
    /// What failed a hundred times will fail again.
    max_attempts: Whole<1, 100, 10>,
    /// A call waits its turn inside this while AWS Config throttles, so it is far longer than one attempt; a day is all that a
    /// run has.
    operation_timeout_secs: Whole<1, 86_400, 300>,
    attempt_timeout_secs: Whole<1, 86_400, 60>,
    /// A run that is not done in the morning is told as failed, and not found hanging by the next one.
    run_deadline_secs: Whole<1, 86_400, 36_000>,
    /// What was read longer ago and what is read now would be two states in one day; 0 never resumes.
    checkpoint_max_age_secs: Whole<0, 86_400, 43_200>,
    endpoint_url: Option<Text<EndpointUrl>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Check {
    /// 0 holds a day that lost anything, 100 holds none.
    max_loss_percent: Percent<20>,
    reconcile: Text<Reconcile>,
    /// Some packs change while a run is reading.
    reconcile_tolerance_percent: Percent<1>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Metrics {
    textfile: Option<Text<TextFile>>,
    emf_namespace: Option<Text<Namespace>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Archive {
    raw: bool,
}

/// Holds the version of a file against this one's, before anything else: what a newer version added would be unknown here.
pub(super) fn check_version(document: &Document<'_>) -> Result<(), Problem> {
    let Some(version) = document.get("version") else {
        return Err(document.problem("missing field `version`; this compline reads version = 1"));
    };
    match version.get_ref() {
        DeValue::Integer(number) if number.as_str() == "1" => Ok(()),
        _ => Err(document.not_allowed(&version.span(), "1; a newer version needs a newer compline")),
    }
}

impl Pipeline {
    /// The settings that the file makes, with its own lake or another.
    pub(super) fn settings(self, document: &Document<'_>, lake: Option<&str>) -> Result<Settings, Problem> {
        let mut warnings = Vec::new();
        let aggregators = aggregators(self.aggregator, document, &mut warnings)?;
        let compression = self.lake.0.compression.0;
        let is_of_file = lake.is_none();
        let lake = self.lake.0.location(document, lake)?;
        let ids: Vec<AggregatorId> = aggregators.iter().map(|aggregator| aggregator.address.id.clone()).collect();
        let all = aggregators.iter().map(|one| (one.address.id.clone(), one.datasets.clone())).collect();
        // Catalog, metrics, reports and who is notified are of the file's lake: a run on another must not move its tables there, nor speak for it.
        let catalog = self.catalog.filter(|_| is_of_file);
        let catalog = catalog.map(|catalog| catalog.0.settings(document, &lake, ids)).transpose()?;
        let notify = self.notify.map(|notify| notify.0.settings(document)).transpose()?.filter(|_| is_of_file);
        let report = self.report.map(|report| report.0.settings(is_of_file));
        self.maintain.0.warn(document, &mut warnings);
        let (fetch, check) = (self.fetch.0, self.check.0);
        Ok(Settings {
            lake,
            compression,
            aggregators,
            max_in_flight: fetch.max_in_flight.0 as usize,
            run_deadline: fetch.run_deadline_secs.seconds(),
            checkpoint_age: fetch.checkpoint_max_age_secs.seconds(),
            fetch: fetch.into(),
            archive_raw: self.archive.0.raw,
            catalog,
            keep: self.maintain.0,
            metrics: if is_of_file { self.metrics.0.into() } else { MetricsSettings::default() },
            all,
            notify,
            report,
            max_loss: check.max_loss_percent.0,
            reconcile: check.reconcile.0,
            reconcile_tolerance: check.reconcile_tolerance_percent.0,
            warnings,
        })
    }
}

impl From<Metrics> for MetricsSettings {
    fn from(metrics: Metrics) -> Self {
        Self {
            textfile: metrics.textfile.map(|file| file.0.0.into()),
            emf_namespace: metrics.emf_namespace.map(|namespace| namespace.0.0),
        }
    }
}

impl From<Fetch> for FetchOptions {
    fn from(fetch: Fetch) -> Self {
        Self {
            page_size: i32::try_from(fetch.page_size.0).ok().filter(|size| *size > 0),
            max_attempts: fetch.max_attempts.0,
            operation_timeout: fetch.operation_timeout_secs.seconds(),
            attempt_timeout: fetch.attempt_timeout_secs.seconds(),
            max_requests_per_second: fetch.max_requests_per_second.map(|rate| rate.0),
            runs_at_once: 1,
            endpoint_url: fetch.endpoint_url.map(|url| url.0.0),
        }
    }
}

fn aggregators(
    written: Vec<Section<Aggregator>>,
    document: &Document<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<AggregatorSettings>, Problem> {
    if written.is_empty() {
        return Err(document.problem("there is no [[aggregator]]; add one with id, name and region"));
    }
    let mut ids: BTreeSet<AggregatorId> = BTreeSet::new();
    for Section(aggregator) in &written {
        // Two would write the same partitions.
        if !ids.insert(aggregator.id.get_ref().0.clone()) {
            return Err(document.not_allowed(&aggregator.id.span(), "an id that no other aggregator has"));
        }
    }
    written.into_iter().map(|aggregator| aggregator.0.settings(document, warnings)).collect()
}

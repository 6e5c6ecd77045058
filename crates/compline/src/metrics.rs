//! What is measured of a lake and of a command's run, for those who watch it: to a text file for Prometheus, to stdout for
//! CloudWatch, by OTLP.
//!
//! All but the seconds of a run's stages is how the lake stands once the command is done, so that each command leaves the same,
//! whole, whichever aggregators it was about. What cannot be published fails nothing: it is warned of.

mod names;

use crate::ledger::{LedgerRow, Outcome};
use crate::log;
use crate::nightly::{AggregatorReport, Report};
use crate::output::done_document;
use crate::replace::replace;
use crate::session::Session;
use crate::settings::lake_name;
use crate::status::{Status, status};
use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset};
use compline_sink::Partition;
use compline_telemetry::{Metric, Otlp, Sample, embedded, prometheus};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// How many groups of packs, and of rules, have a series of their own, the largest: each costs those who store it.
const MAX_GROUPS: usize = 50;

/// What is told of a dataset's trends.
struct OfTrends {
    columns: &'static [&'static str],
    total: (Metric, &'static str),
    open: (Metric, &'static str),
    rate: (Metric, &'static str),
    group_rate: Metric,
    groups_omitted: Metric,
}

const OF_PACKS: OfTrends = OfTrends {
    columns: &[
        "dimension",
        "dimension_value",
        "packs_total",
        "pack_compliance_rate",
        "open_non_compliant_packs",
        "open_non_compliant_max_days",
        "mean_days_to_remediate_30d",
        "mean_days_to_remediate_90d",
    ],
    total: (names::PACKS, "packs_total"),
    open: (names::OPEN_PACKS, "open_non_compliant_packs"),
    rate: (names::PACK_RATE, "pack_compliance_rate"),
    group_rate: names::GROUP_RATE,
    groups_omitted: names::GROUPS_OMITTED,
};

const OF_RULES: OfTrends = OfTrends {
    columns: &[
        "dimension",
        "dimension_value",
        "rules_total",
        "rule_compliance_rate",
        "open_non_compliant_rules",
        "open_non_compliant_max_days",
        "mean_days_to_remediate_30d",
        "mean_days_to_remediate_90d",
    ],
    total: (names::RULES, "rules_total"),
    open: (names::OPEN_RULES, "open_non_compliant_rules"),
    rate: (names::RULE_RATE, "rule_compliance_rate"),
    group_rate: names::RULE_GROUP_RATE,
    groups_omitted: names::RULE_GROUPS_OMITTED,
};

/// Leaves what there is to measure wherever the settings and the environment want it. `report` is that of a run; where stdout has a
/// JSON document, what would be printed there goes to stderr.
pub(crate) async fn publish(session: &Session<'_>, report: Option<&Report>, has_json: bool) {
    let (wanted, otlp) = (&session.settings.metrics, log::receiver());
    if wanted.textfile.is_none() && wanted.emf_namespace.is_none() && otlp.is_none() {
        return;
    }
    if let Err(error) = published(session, report, otlp, has_json).await {
        tracing::warn!(error = format!("{error:#}"), "not every metric is where it is wanted");
    }
}

async fn published(
    session: &Session<'_>,
    report: Option<&Report>,
    otlp: Option<Otlp>,
    has_json: bool,
) -> anyhow::Result<()> {
    let settings = session.settings;
    // A file has those of the whole pipeline file, or `--only` would take the others out of it.
    let is_whole = settings.metrics.textfile.is_some();
    let is_wanted = |id: &AggregatorId| settings.ids().any(|wanted| wanted == id);
    let ids: Vec<&AggregatorId> =
        settings.all.iter().map(|(id, _)| id).filter(|id| is_whole || is_wanted(id)).collect();
    let now = (session.clock)();
    let (mut all, mut own, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    let mut statuses = match status(session, ids.iter().copied(), Duration::MAX).await {
        Ok(statuses) => statuses,
        Err(error) => {
            // What the run itself knows is published all the same.
            failures.push(format!("not known how the lake stands: {error:#}"));
            Vec::new()
        }
    };
    let of_each =
        |id| Dataset::ALL.into_iter().filter(move |dataset| settings.collects(id, dataset)).map(move |of| (id, of));
    for (id, dataset) in ids.into_iter().flat_map(of_each) {
        let is_it = |status: &Status| status.aggregator == id.as_str() && status.dataset == dataset.name;
        let status = statuses.iter().position(is_it).map(|at| statuses.swap_remove(at));
        let samples = of_aggregator(session, (id, dataset), status, report, now).await;
        if is_wanted(id) {
            own.extend(samples.iter().filter(|sample| is_told_by(sample.metric, report)).cloned());
        }
        all.extend(samples);
    }
    // A file without the state of the lake would look like a lake that was never written.
    if let Some(file) = settings.metrics.textfile.as_ref().filter(|_| failures.is_empty()) {
        failures.extend(write(file, &all).err().map(|error| format!("{error:#}")));
    }
    if let Some(namespace) = &settings.metrics.emf_namespace {
        // A series of its own for each build would be paid for, and say little.
        let samples: Vec<Sample> = own.iter().filter(|one| one.metric != names::BUILD_INFO).cloned().collect();
        let lines = embedded(&samples, namespace, now.timestamp_millis());
        let lines = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        match has_json {
            true => drop(std::io::stderr().write_all(lines.as_bytes())),
            false => done_document(&lines),
        }
    }
    if let Some(otlp) = otlp {
        failures.extend(otlp.send(own).await.err().map(|error| format!("cannot send metrics by OTLP: {error}")));
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// Whether a sample is published as of now: another command than a run must not say that a run succeeded.
fn is_told_by(metric: Metric, report: Option<&Report>) -> bool {
    let is_of_run = metric.name.starts_with("compline_run_") || metric.name.starts_with("compline_last_run_");
    !is_of_run || report.is_some_and(is_of_run_command)
}

/// Whether a report is of `run`: that a person imported a day is no sign that nights go well.
fn is_of_run_command(report: &Report) -> bool {
    report.command == "run"
}

fn write(file: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    let doing = || format!("cannot write the metrics to {}", file.display());
    replace(file, prometheus(samples).with_context(doing)?.as_bytes()).with_context(doing)
}

/// Collects the samples of a dataset of one aggregator.
struct Samples {
    labels: Vec<(&'static str, String)>,
    all: Vec<Sample>,
}

impl Samples {
    fn add(&mut self, metric: Metric, value: impl Into<f64>) {
        self.add_of(metric, &[], value);
    }

    fn add_of(&mut self, metric: Metric, more: &[(&'static str, &str)], value: impl Into<f64>) {
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let labels = self.labels.iter().cloned().chain(more).collect();
        let value = value.into();
        if value.is_finite() {
            self.all.push(Sample { metric, labels, value });
        }
    }
}

async fn of_aggregator(
    session: &Session<'_>,
    (id, dataset): (&AggregatorId, &'static Dataset),
    status: Option<Status>,
    report: Option<&Report>,
    now: DateTime<Utc>,
) -> Vec<Sample> {
    let mut labels = vec![("lake", lake_name(&session.settings.lake)), ("aggregator", id.to_string())];
    // Packs were the first: their series stay what they are.
    labels.extend((dataset != &Dataset::PACKS).then(|| ("dataset", dataset.name.to_owned())));
    let mut samples = Samples { labels, all: Vec::new() };
    let report = report.filter(|report| is_of_run_command(report));
    let own = report.and_then(|report| {
        report.aggregators.iter().find(|one| one.aggregator == id.as_str() && one.dataset == dataset.name)
    });
    match (own, status.as_ref().and_then(|status| status.last_run.as_ref())) {
        (Some(own), _) => of_report(&mut samples, own, now),
        (None, Some(row)) => of_row(&mut samples, row),
        (None, None) => {}
    }
    if let Some(status) = &status {
        of_status(&mut samples, status, now);
    }
    if let Some(date) = status.and_then(|status| status.snapshot_date) {
        let told = if dataset == &Dataset::PACKS { OF_PACKS } else { OF_RULES };
        let partition = Partition { table: dataset.trends, date, aggregator: id.clone() };
        match session.lake.read(&partition, Some(told.columns)).await {
            Ok(Some(trends)) => of_trends(&mut samples, &trends, dataset.group, &told),
            // Facts only, or trends that wait, which the status says.
            Ok(None) => {}
            Err(error) => tracing::warn!(aggregator = %id, %error, "no metrics of its trends"),
        }
    }
    let commit = env!("COMPLINE_BUILD").split(' ').next().unwrap_or_default();
    samples.add_of(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION")), ("commit", commit)], 1);
    samples.all
}

/// A count as a value: exact below 2^53.
fn number(count: impl TryInto<u64>) -> f64 {
    count.try_into().map_or(0.0, |count| count as f64)
}

fn seconds(moment: DateTime<Utc>) -> f64 {
    moment.timestamp_millis() as f64 / 1000.0
}

fn of_status(samples: &mut Samples, status: &Status, now: DateTime<Utc>) {
    // As the status has it: an old day that is accepted late says nothing of the days after it.
    if let Some(fresh_at) = status.fresh_at {
        samples.add(names::LAST_SUCCESS_TIMESTAMP, seconds(fresh_at));
        samples.add(names::LAST_SUCCESS_AGE, (seconds(now) - seconds(fresh_at)).max(0.0));
    }
    samples.add(names::HELD_DAYS, number(status.held.len()));
    samples.add(names::GAP_DAYS, number(status.gaps.len()));
    samples.add(names::TRENDS_BEHIND, u8::from(status.trends_from.is_some()));
    if let Some(sources) = status.sources {
        samples.add(names::SOURCES, number(sources));
        // Whatever else AWS may say one day makes no label of its own.
        let known = ["FAILED", "OUTDATED"];
        let of = |known: &str| status.stale_sources.get(known).copied().unwrap_or_default();
        let other = status.stale_sources.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let other: u64 = other.map(|(_, count)| count).sum();
        for (name, count) in [("FAILED", of("FAILED")), ("OUTDATED", of("OUTDATED")), ("OTHER", other)] {
            samples.add_of(names::STALE_SOURCES, &[("status", name)], number(count));
        }
    }
    if let Some(last) = status.last_verification {
        samples.add(names::LAST_VERIFY_TIMESTAMP, seconds(last.verified_at));
        samples.add(names::LAST_VERIFY_PROBLEMS, number(last.problems));
    }
}

/// What a run counted, in the order of [`RUN_COUNTS`].
type RunCounts = [u64; 7];

const RUN_COUNTS: [Metric; 7] = [
    names::RUN_ROWS,
    names::RUN_PAGES,
    names::RUN_CALLS,
    names::RUN_THROTTLES,
    names::RUN_RETRIES,
    names::RUN_BYTES,
    names::RUN_WARNINGS,
];

fn of_run(samples: &mut Samples, outcome: Outcome, ended_at: DateTime<Utc>, counts: RunCounts) {
    samples.add(names::LAST_RUN_SUCCESS, u8::from(outcome == Outcome::Succeeded));
    samples.add(names::LAST_RUN_TIMESTAMP, seconds(ended_at));
    for (metric, count) in RUN_COUNTS.into_iter().zip(counts) {
        samples.add(metric, number(count));
    }
}

/// The run that has just ended, also where it could not even be recorded in the ledger.
fn of_report(samples: &mut Samples, own: &AggregatorReport, now: DateTime<Utc>) {
    let warnings = own.warnings.count + own.conflicts.count;
    let counts = [own.rows, own.pages, own.calls, own.throttles, own.retries, own.bytes, warnings];
    of_run(samples, own.outcome, now, counts);
    samples.add(names::RUN_SECONDS, own.seconds);
    for (stage, seconds) in &own.stage_seconds {
        samples.add_of(names::RUN_STAGE_SECONDS, &[("stage", stage)], *seconds);
    }
}

/// A run as the ledger has it, which does not know how long each stage took.
fn of_row(samples: &mut Samples, row: &LedgerRow) {
    let warnings = row.warnings + row.conflicts;
    let counts = [row.rows, row.pages, row.calls, row.throttles, row.retries, row.bytes, warnings];
    of_run(samples, row.outcome, row.finished_at, counts);
    samples.add(names::RUN_SECONDS, (seconds(row.finished_at) - seconds(row.started_at)).max(0.0));
}

/// `group` is the dimension of its groups, and the label that they have.
fn of_trends(samples: &mut Samples, trends: &RecordBatch, group: &'static str, told: &OfTrends) {
    let (dimensions, values) = (trends["dimension"].as_string_view(), trends["dimension_value"].as_string_view());
    let whole = |name: &str, row: usize| f64::from(trends[name].as_primitive::<Int32Type>().value(row));
    let maybe = |name: &str, row: usize| {
        let column = &trends[name];
        match column.as_primitive_opt::<Float64Type>() {
            _ if column.is_null(row) => None,
            Some(column) => Some(column.value(row)),
            None => Some(whole(name, row)),
        }
    };
    let mut groups = BTreeMap::new();
    for row in 0..trends.num_rows() {
        match dimensions.value(row) {
            "aggregator" => {
                for (metric, name) in [told.total, told.open] {
                    samples.add(metric, whole(name, row));
                }
                for (metric, name) in [
                    told.rate,
                    (names::OPEN_DAYS_MAX, "open_non_compliant_max_days"),
                    (names::REMEDIATE_30D, "mean_days_to_remediate_30d"),
                    (names::REMEDIATE_90D, "mean_days_to_remediate_90d"),
                ] {
                    maybe(name, row).into_iter().for_each(|value| samples.add(metric, value));
                }
            }
            dimension if dimension == group => {
                let size = trends[told.total.1].as_primitive::<Int32Type>().value(row);
                groups.insert((-size, values.value(row)), maybe(told.rate.1, row));
            }
            _ => {}
        }
    }
    for ((_, value), rate) in groups.iter().take(MAX_GROUPS) {
        rate.iter().for_each(|rate| samples.add_of(told.group_rate, &[(group, value)], *rate));
    }
    samples.add(told.groups_omitted, number(groups.len().saturating_sub(MAX_GROUPS)));
}

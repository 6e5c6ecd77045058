//! What is measured of a lake and of a command's run, for those who watch it: to a text file for Prometheus, to stdout for
//! CloudWatch, by OTLP.
//!
//! All of it is how the lake stands once the command is done, so that each command leaves the same, whole, whichever aggregators
//! it was about. What cannot be told fails nothing: it is warned of.

mod names;

use crate::ledger::Outcome;
use crate::log;
use crate::nightly::{AggregatorReport, Report};
use crate::print_done;
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

/// How many groups of packs have a series of their own, the largest: each costs those who store it.
const MAX_GROUPS: usize = 50;

/// What is read of the trends.
const TREND_COLUMNS: &[&str] = &[
    "dimension",
    "dimension_value",
    "packs_total",
    "pack_compliance_rate",
    "open_non_compliant_packs",
    "open_non_compliant_max_days",
    "mean_days_to_remediate_30d",
    "mean_days_to_remediate_90d",
];

/// Leaves what there is to measure wherever the settings and the environment want it. `report` is that of a run.
pub(crate) async fn publish(session: &Session<'_>, report: Option<&Report>) {
    let (wanted, otlp) = (&session.settings.metrics, log::receiver());
    if wanted.textfile.is_none() && wanted.emf_namespace.is_none() && otlp.is_none() {
        return;
    }
    if let Err(error) = told(session, report, otlp).await {
        tracing::warn!(error = format!("{error:#}"), "not every metric is where it is wanted");
    }
}

async fn told(session: &Session<'_>, report: Option<&Report>, otlp: Option<Otlp>) -> anyhow::Result<()> {
    let settings = session.settings;
    let mut measured = Vec::new();
    // A file has those of the whole pipeline file, or `--only` would take the others out of it.
    let is_whole = settings.metrics.textfile.is_some();
    for id in &settings.all_ids {
        if is_whole || settings.ids().any(|wanted| wanted == id) {
            measured.push((id, of_aggregator(session, id, report).await?));
        }
    }
    let now = (session.clock)();
    let mut failures = Vec::new();
    if let Some(file) = &settings.metrics.textfile {
        let all: Vec<Sample> = measured.iter().flat_map(|(_, samples)| samples).cloned().collect();
        failures.extend(write(file, &all).err().map(|error| format!("{error:#}")));
    }
    measured.retain(|(id, _)| settings.ids().any(|wanted| wanted == *id));
    let mut own: Vec<Sample> = measured.into_iter().flat_map(|(_, samples)| samples).collect();
    if report.is_none() {
        // These are taken for what happened now: another command than a run must not say that a run succeeded.
        let is_of_run = |name: &str| name.starts_with("compline_run_") || name.starts_with("compline_last_run_");
        own.retain(|sample| !is_of_run(sample.metric.name));
    }
    if let Some(namespace) = &settings.metrics.emf_namespace {
        let lines = embedded(&own, namespace, now.timestamp_millis());
        print_done(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
    if let Some(otlp) = otlp {
        failures.extend(otlp.send(own).await.err().map(|error| format!("cannot send metrics by OTLP: {error}")));
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// Writes the file at once, readable by whoever reads it beside this program.
fn write(file: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    let doing = || format!("cannot write the metrics to {}", file.display());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = prometheus(samples).with_context(doing)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(<std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644));
    // A name that the node exporter does not read, until it is whole.
    let mut temporary = builder.prefix(".compline").suffix(".tmp").tempfile_in(folder).with_context(doing)?;
    temporary.write_all(text.as_bytes()).with_context(doing)?;
    temporary.persist(file).with_context(doing).map(drop)
}

/// Collects the samples of one aggregator.
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
    id: &AggregatorId,
    report: Option<&Report>,
) -> anyhow::Result<Vec<Sample>> {
    let labels = vec![("lake", lake_name(&session.settings.lake)), ("aggregator", id.to_string())];
    let mut samples = Samples { labels, all: Vec::new() };
    let status = status(session, [id].into_iter(), Duration::MAX).await?.remove(0);
    let own = report.and_then(|report| report.aggregators.iter().find(|one| one.aggregator == id.as_str()));
    of_status(&mut samples, &status, (session.clock)());
    of_run(&mut samples, &status, own, (session.clock)());
    if let Some(date) = status.snapshot_date {
        let partition = Partition { table: Dataset::PACKS.trends, date, aggregator: id.clone() };
        // Trends that are damaged, gone or not there yet are told by the status.
        if let Ok(Some(trends)) = session.lake.read(&partition, Some(TREND_COLUMNS)).await {
            of_trends(&mut samples, &trends);
        }
    }
    let commit = env!("COMPLINE_BUILD").split(' ').next().unwrap_or_default();
    samples.add_of(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION")), ("commit", commit)], 1);
    Ok(samples.all)
}

/// A count as a value: exact below 2^53.
fn number(count: impl TryInto<u64>) -> f64 {
    count.try_into().map_or(0.0, |count| count as f64)
}

fn seconds(moment: DateTime<Utc>) -> f64 {
    moment.timestamp_millis() as f64 / 1000.0
}

fn of_status(samples: &mut Samples, status: &Status, now: DateTime<Utc>) {
    if let Some(committed_at) = status.committed_at {
        samples.add(names::LAST_SUCCESS_TIMESTAMP, seconds(committed_at));
        samples.add(names::LAST_SUCCESS_AGE, (seconds(now) - seconds(committed_at)).max(0.0));
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

fn of_run(samples: &mut Samples, status: &Status, own: Option<&AggregatorReport>, now: DateTime<Utc>) {
    let last = status.last_run.as_ref();
    // A run that could not even note itself in the ledger has failed all the same.
    let outcome = own.map(|own| own.outcome).or(last.map(|row| row.outcome));
    let ended_at = own.map(|_| now).or(last.map(|row| row.finished_at));
    let Some((outcome, ended_at)) = outcome.zip(ended_at) else { return };
    let is_well = matches!(outcome, Outcome::Succeeded | Outcome::Rejected | Outcome::Dropped);
    samples.add(names::LAST_RUN_SUCCESS, u8::from(is_well));
    samples.add(names::LAST_RUN_TIMESTAMP, seconds(ended_at));
    if let Some(row) = last {
        for (metric, count) in [
            (names::RUN_ROWS, row.rows),
            (names::RUN_PAGES, row.pages),
            (names::RUN_CALLS, row.calls),
            (names::RUN_THROTTLES, row.throttles),
            (names::RUN_RETRIES, row.retries),
            (names::RUN_BYTES, row.bytes),
            (names::RUN_WARNINGS, row.warnings + row.conflicts),
        ] {
            samples.add(metric, number(count));
        }
        samples.add(names::RUN_SECONDS, (seconds(row.finished_at) - seconds(row.started_at)).max(0.0));
    }
    for (stage, seconds) in own.iter().flat_map(|own| &own.stage_seconds) {
        samples.add_of(names::RUN_STAGE_SECONDS, &[("stage", stage)], *seconds);
    }
}

fn of_trends(samples: &mut Samples, trends: &RecordBatch) {
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
                samples.add(names::PACKS, whole("packs_total", row));
                samples.add(names::OPEN_PACKS, whole("open_non_compliant_packs", row));
                for (metric, name) in [
                    (names::PACK_RATE, "pack_compliance_rate"),
                    (names::OPEN_DAYS_MAX, "open_non_compliant_max_days"),
                    (names::REMEDIATE_30D, "mean_days_to_remediate_30d"),
                    (names::REMEDIATE_90D, "mean_days_to_remediate_90d"),
                ] {
                    maybe(name, row).into_iter().for_each(|value| samples.add(metric, value));
                }
            }
            "pack_group" => {
                let size = trends["packs_total"].as_primitive::<Int32Type>().value(row);
                groups.insert((-size, values.value(row)), maybe("pack_compliance_rate", row));
            }
            _ => {}
        }
    }
    for ((_, group), rate) in groups.iter().take(MAX_GROUPS) {
        rate.iter().for_each(|rate| samples.add_of(names::GROUP_RATE, &[("pack_group", group)], *rate));
    }
    samples.add(names::GROUPS_OMITTED, number(groups.len().saturating_sub(MAX_GROUPS)));
}

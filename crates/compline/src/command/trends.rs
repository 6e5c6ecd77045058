//! `compline trends`.

use crate::arguments::TrendsArguments;
use crate::catalog::{completed, will_be_behind};
use crate::failure::{Ending, Failure};
use crate::log::log_work;
use crate::metrics;
use crate::output::done;
use crate::progress::named;
use crate::session::{Access, Clock, Opening, Session, session};
use crate::trends::{Computed, recompute};
use compline_model::{AggregatorId, Dataset, SnapshotDate};
use serde::Serialize;
use std::fmt::Write;

/// What became of the trends.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Recomputed {
    aggregators: Vec<RecomputedOf>,
    /// Why the catalog does not know of days, if it should.
    not_in_catalog: Option<String>,
}

/// What became of those of a dataset of an aggregator.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RecomputedOf {
    aggregator: String,
    /// What was collected: packs or rules.
    dataset: &'static str,
    /// How many days with a snapshot were looked at.
    days: usize,
    /// The first of them.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    first: Option<SnapshotDate>,
    /// The last of them.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    last: Option<SnapshotDate>,
    /// The days whose tables were not as the snapshots say, and were rewritten.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    recomputed: Vec<SnapshotDate>,
    /// The days that are facts only, and whose tables were removed.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    removed_facts_only: Vec<SnapshotDate>,
    /// What of earlier runs could not be completed.
    undone: Vec<String>,
    /// Why its trends could not be computed.
    error: Option<String>,
}

pub(super) async fn trends(arguments: &TrendsArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let settings = arguments.pipeline.settings()?;
    let span = arguments.span.checked()?;
    let access = Access::Write { wait: arguments.wait.or_none() };
    let when_stopped = "the next run completes the days that are left";
    let opening =
        Opening { expects_lake: true, ..Opening::of(&settings, "trends", access, (clock, progress), when_stopped) };
    let ended = session(opening, async |session: &Session<'_>| {
        will_be_behind(&session.lake, None).await;
        let mut aggregators = Vec::new();
        for (id, dataset) in passes(session).await? {
            let bar = session.progress.steps(0, "days");
            let on_day = |date| {
                bar.set_message(format!("{id} {date}"));
                bar.inc(1);
            };
            let computed = session.guarded(id, recompute(session, dataset, id, span, &on_day)).await;
            aggregators.push(RecomputedOf::new(id, dataset, computed));
            bar.finish_and_clear();
        }
        // Files that are there again after the catalog lost them, and days that were completed.
        let not_in_catalog = completed(session).await;
        Box::pin(metrics::publish(session, None, arguments.json)).await;
        anyhow::Ok(Recomputed { aggregators, not_in_catalog })
    });
    ended.await?.then(|recomputed| {
        let ending = recomputed.ending();
        done(("trends", ending), arguments.json, &recomputed, || recomputed.words());
        Ok(ending)
    })
}

/// The aggregators of the settings, each with those of its datasets that there is something of.
async fn passes<'a>(session: &'a Session<'_>) -> anyhow::Result<Vec<(&'a AggregatorId, &'static Dataset)>> {
    let mut passes = Vec::new();
    for id in session.settings.ids() {
        for dataset in Dataset::ALL {
            if dataset == &Dataset::PACKS || session.lake.of(dataset).has_some(id).await? {
                passes.push((id, dataset));
            }
        }
    }
    Ok(passes)
}

impl RecomputedOf {
    fn new(id: &AggregatorId, dataset: &'static Dataset, computed: anyhow::Result<Computed>) -> Self {
        let (aggregator, dataset) = (id.to_string(), dataset.name);
        match computed {
            Ok(Computed { days, differed, facts_only, undone, .. }) => Self {
                aggregator,
                dataset,
                days: days.len(),
                first: days.first().copied(),
                last: days.last().copied(),
                recomputed: differed,
                removed_facts_only: facts_only,
                undone,
                error: None,
            },
            Err(error) => Self { aggregator, dataset, error: Some(format!("{error:#}")), ..Self::default() },
        }
    }

    fn words(&self) -> String {
        let Self { days, first, last, recomputed, removed_facts_only, undone, error, .. } = self;
        let aggregator = named(&self.aggregator, self.dataset);
        if let Some(error) = error {
            return format!("{aggregator}: FAILED: {error}; the days that are done are done\n");
        }
        let removed = match removed_facts_only.len() {
            0 => String::new(),
            count => format!("; removed of days that are facts only: {count}"),
        };
        let mut text = match (first, last) {
            (Some(first), Some(last)) => {
                let right = days - recomputed.len();
                let rewritten =
                    if recomputed.is_empty() { String::new() } else { format!("; recomputed: {}", recomputed.len()) };
                format!(
                    "{aggregator}: {right} of {days} days were as their snapshots say, {first} to {last}{rewritten}{removed}\n"
                )
            }
            _ => format!("{aggregator}: no snapshot of those days{removed}\n"),
        };
        for what in undone {
            let _ = writeln!(text, "{aggregator}: {what}");
        }
        text
    }
}

impl Recomputed {
    fn ending(&self) -> Ending {
        let failed = self.aggregators.iter().filter(|one| one.error.is_some()).count();
        let is_undone = self.aggregators.iter().any(|one| !one.undone.is_empty()) || self.not_in_catalog.is_some();
        match failed {
            0 if is_undone => Ending::Partial,
            0 => Ending::Done,
            _ if failed == self.aggregators.len() => Ending::Failed,
            _ => Ending::Partial,
        }
    }

    fn words(&self) -> String {
        let waits = self.not_in_catalog.iter().map(|why| format!("{why}\n"));
        self.aggregators.iter().map(RecomputedOf::words).chain(waits).collect()
    }
}

//! `compline trends`.

use super::run::stopped;
use super::{Clock, day_of};
use crate::arguments::TrendsArguments;
use crate::failure::{Ending, Failure};
use crate::leases::Leases;
use crate::nightly::{History, Recompute, Recomputed, Span, recompute};
use crate::progress::{Progress, log_to_stderr};
use crate::settings::Settings;
use crate::{print, signals};
use chrono::{DateTime, Utc};
use compline_model::RunId;
use compline_sink::{Holder, Lake};

pub(super) async fn trends(arguments: &TrendsArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = Progress::on_stderr();
    log_to_stderr(&progress, "error,compline=info");
    let settings = arguments.pipeline.settings()?;
    let span = arguments.span.checked()?;
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;
    let now = clock();
    let holder = Holder::here(RunId::new(now), "trends", now);
    let ids = settings.aggregators.iter().map(|aggregator| &aggregator.address.id);
    let work = async {
        let leases = Leases::take(&lake, ids, &holder, arguments.wait.or_none()).await.map_err(Failure::run)?;
        let ended = every_aggregator(&settings, &lake, span, &progress, (&leases, now)).await;
        leases.release().await;
        ended
    };
    tokio::select! {
        ended = work => {
            lake.settle().await;
            ended
        }
        signal = signals::received() => {
            tracing::warn!("stopped: the next run takes up the days that are left");
            Ok(stopped(&lake, signal).await)
        }
    }
}

async fn every_aggregator(
    settings: &Settings,
    lake: &Lake,
    span: Span,
    progress: &Progress,
    (leases, now): (&Leases, DateTime<Utc>),
) -> Result<Ending, Failure> {
    let history = History::read(lake, settings.keep.statuses_from(day_of(now))).await.map_err(Failure::Run)?;
    let mut failed = 0;
    for aggregator in &settings.aggregators {
        let id = &aggregator.address.id;
        let bar = progress.steps(history.days(id, span).count() as u64, "days");
        let done = recompute(lake, &history, id, Recompute { span, write: true, now }, |date| {
            bar.set_message(format!("{id} {date}"));
            bar.inc(1);
        });
        let done = tokio::select! {
            done = done => done,
            error = leases.lost(id) => Err(error.into()),
        };
        let found = done.map_or_else(
            |error| {
                failed += 1;
                format!("FAILED: {error:#}; the next run takes up the days that are left")
            },
            |recomputed| words(&recomputed),
        );
        bar.finish_and_clear();
        print(&format!("{id}: {found}\n"))?;
    }
    Ok(match failed {
        0 => Ending::Done,
        _ if failed == settings.aggregators.len() => Ending::Failed,
        _ => Ending::Partial,
    })
}

fn words(recomputed: &Recomputed) -> String {
    let Recomputed { days, differed } = recomputed;
    let Some((first, last)) = days.first().zip(days.last()) else { return "no snapshot of those days".to_owned() };
    let (all, right) = (days.len(), days.len() - differed.len());
    let anew = if differed.is_empty() { String::new() } else { format!("; written anew: {}", differed.len()) };
    format!("{right} of {all} days were as their snapshots say, {first} to {last}{anew}")
}

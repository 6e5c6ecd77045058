//! `compline trends`.

use super::run::stopped;
use crate::arguments::TrendsArguments;
use crate::failure::{Ending, Failure};
use crate::nightly::{History, Recomputed, recompute};
use crate::progress::{Progress, log_to_stderr};
use crate::settings::Settings;
use crate::{print, signals};
use anyhow::anyhow;
use compline_model::SnapshotDate;
use compline_sink::Lake;

pub(super) async fn trends(arguments: &TrendsArguments) -> Result<Ending, Failure> {
    let progress = Progress::on_stderr();
    log_to_stderr(&progress, "error,compline=info");
    let settings = arguments.pipeline.settings()?;
    let (from, to) = (arguments.from, arguments.to);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Failure::Usage(anyhow!("--from {from} is after --to {to}")));
    }
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;
    tokio::select! {
        ended = every_aggregator(&settings, &lake, (from, to), &progress) => ended,
        signal = signals::received() => {
            tracing::warn!("stopped: the next run takes up the days that are left");
            Ok(stopped(&lake, signal).await)
        }
    }
}

async fn every_aggregator(
    settings: &Settings,
    lake: &Lake,
    span: (Option<SnapshotDate>, Option<SnapshotDate>),
    progress: &Progress,
) -> Result<Ending, Failure> {
    let history = History::read(lake).await.map_err(Failure::Run)?;
    let mut failed = 0;
    for aggregator in &settings.aggregators {
        let id = &aggregator.address.id;
        let bar = progress.steps(history.days(id, span).count() as u64, "days");
        let done = recompute(lake, &history, id, span, |date| {
            bar.set_message(format!("{id} {date}"));
            bar.inc(1);
        });
        let found = done.await.map_or_else(
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
    let Recomputed { days, rewritten } = recomputed;
    let Some((first, last)) = days.first().zip(days.last()) else { return "no snapshot of those days".to_owned() };
    let (all, right) = (days.len() as u64, days.len() as u64 - rewritten);
    let anew = if *rewritten > 0 { format!("; written anew: {rewritten}") } else { String::new() };
    format!("{right} of {all} days were as their snapshots say, {first} to {last}{anew}")
}

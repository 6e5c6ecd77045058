//! `compline trends`.

use crate::arguments::TrendsArguments;
use crate::catalog::completed;
use crate::failure::{Ending, Failure};
use crate::log::{self, log_work};
use crate::session::{Access, Clock, Opening, Session, session};
use crate::trends::{Computed, recompute};
use crate::{metrics, print_done};
use serde_json::json;

pub(super) async fn trends(arguments: &TrendsArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let settings = arguments.pipeline.settings()?;
    let span = arguments.span.checked()?;
    let access = Access::Write { wait: arguments.wait.or_none() };
    let when_stopped = "the next run completes the days that are left";
    let opening = Opening { settings: &settings, command: "trends", access, clock, progress, when_stopped };
    let ended = session(opening, async |session: &Session<'_>| {
        let mut done = Vec::new();
        for aggregator in &session.settings.aggregators {
            let id = &aggregator.address.id;
            let bar = session.progress.steps(0, "days");
            let on_day = |date| {
                bar.set_message(format!("{id} {date}"));
                bar.inc(1);
            };
            done.push((id.clone(), session.guarded(id, recompute(session, id, span, &on_day)).await));
            bar.finish_and_clear();
        }
        // Files that are there again after the catalog lost them, and days that were completed.
        let not_in_catalog = completed(session).await;
        Box::pin(metrics::publish(session, None, false)).await;
        anyhow::Ok((done, not_in_catalog))
    });
    ended.await?.then(|(done, not_in_catalog)| {
        let failed = done.iter().filter(|(_, done)| done.is_err()).count();
        let is_undone =
            |done: &anyhow::Result<Computed>| done.as_ref().is_ok_and(|computed| !computed.undone.is_empty());
        let undone = done.iter().any(|(_, done)| is_undone(done));
        let line = |(id, done): &(_, anyhow::Result<Computed>)| match done {
            Ok(computed) => {
                let undone = computed.undone.iter().map(|what| format!("{id}: {what}\n"));
                [format!("{id}: {}\n", words(computed))].into_iter().chain(undone).collect()
            }
            Err(error) => format!("{id}: FAILED: {error:#}; the next run completes the days that are left\n"),
        };
        let waits = not_in_catalog.iter().map(|why| format!("{why}\n"));
        let lines: Vec<String> = done.iter().map(line).chain(waits).collect();
        let ending = match failed {
            0 if undone || not_in_catalog.is_some() => Ending::Partial,
            0 => Ending::Done,
            _ if failed == done.len() => Ending::Failed,
            _ => Ending::Partial,
        };
        log::outcome("trends", ending, &json!({ "done": lines }));
        print_done(&lines.concat());
        Ok(ending)
    })
}

fn words(computed: &Computed) -> String {
    let Computed { days, differed, facts_only, .. } = computed;
    let removed = match facts_only.len() {
        0 => String::new(),
        count => format!("; removed of days that are facts only: {count}"),
    };
    let Some((first, last)) = days.first().zip(days.last()) else {
        return format!("no snapshot of those days{removed}");
    };
    let (all, right) = (days.len(), days.len() - differed.len());
    let rewritten = if differed.is_empty() { String::new() } else { format!("; recomputed: {}", differed.len()) };
    format!("{right} of {all} days were as their snapshots say, {first} to {last}{rewritten}{removed}")
}

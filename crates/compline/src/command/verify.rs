//! `compline verify`.

use super::run::stopped;
use super::{Clock, day_of};
use crate::arguments::VerifyArguments;
use crate::failure::{Ending, Failure};
use crate::leases::Leases;
use crate::nightly::Span;
use crate::progress::{Progress, log_to_stderr};
use crate::settings::Settings;
use crate::summary::counted;
use crate::verify::{Found, KeptFrom, Verified, repair, verify as verify_lake};
use crate::{print, signals};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, RunId};
use compline_sink::{Holder, Lake};
use indicatif::{HumanBytes, HumanCount};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Lines of each kind that are printed; the rest is counted.
const SHOWN: usize = 50;

pub(super) async fn verify(arguments: &VerifyArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = Progress::on_stderr();
    log_to_stderr(&progress, "error,compline=info");
    let settings = arguments.pipeline.settings()?;
    let span = arguments.span.checked()?;
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;
    let now = clock();
    let (keep, today) = (&settings.keep, day_of(now));
    let when = (KeptFrom { statuses: keep.statuses_from(today), snapshots: keep.snapshots_from(today) }, now);
    let only: BTreeSet<AggregatorId> = settings.aggregators.iter().map(|one| one.address.id.clone()).collect();
    let only = arguments.pipeline.is_partial().then_some(only);
    let ended = tokio::select! {
        verified = async {
            match arguments.repair {
                false => verify_lake(&lake, only.as_ref(), span, when, &progress).await,
                true => repaired(&settings, &lake, only.as_ref(), span, arguments, when, &progress).await,
            }
        } => verified,
        signal = signals::received() => return Ok(stopped(&lake, signal).await),
    };
    lake.settle().await;
    let verified = ended.map_err(Failure::run)?;
    print(&told(&verified))?;
    Ok(if verified.wrong() == 0 { Ending::Done } else { Ending::Failed })
}

/// What is found once what can be is repaired.
async fn repaired(
    settings: &Settings,
    lake: &Lake,
    only: Option<&BTreeSet<AggregatorId>>,
    span: Span,
    arguments: &VerifyArguments,
    when: (KeptFrom, DateTime<Utc>),
    progress: &Progress,
) -> anyhow::Result<Verified> {
    let (_, now) = when;
    let holder = Holder::here(RunId::new(now), "verify --repair", now);
    let mut ids: BTreeSet<AggregatorId> = settings.aggregators.iter().map(|one| one.address.id.clone()).collect();
    if only.is_none() {
        // Aggregators that the pipeline file no longer has are repaired as well.
        ids.extend(lake.survey(now).await?.partitions.into_keys().map(|partition| partition.aggregator));
    }
    let leases = Leases::take(lake, &ids, &holder, arguments.wait.or_none()).await?;
    let verified = verify_lake(lake, only, span, when, progress).await?;
    let done = repair(lake, &verified, &leases, when).await;
    leases.release().await;
    done?;
    verify_lake(lake, only, span, when, progress).await
}

fn told(verified: &Verified) -> String {
    let mut text = String::new();
    for found in &verified.aggregators {
        aggregator(&mut text, found);
    }
    let survey = &verified.survey;
    for (kind, in_a_table) in [("stranger in a table, which readers take for a part of it", true), ("stranger", false)]
    {
        let strangers = survey.strangers.iter().filter(|stranger| stranger.in_a_table == in_a_table);
        list(&mut text, kind, strangers.map(|stranger| stranger.key.escape_debug().to_string()));
    }
    list(&mut text, "left over; --repair removes it", survey.leftovers.iter().cloned());
    if let Some(error) = &survey.unseen {
        let _ = writeln!(text, "uploads that were never finished are not looked for: {error}");
    }
    let _ = match verified.wrong() {
        0 => writeln!(text, "everything is as it must be"),
        1 => writeln!(text, "1 thing is wrong"),
        wrong => writeln!(text, "{wrong} things are wrong"),
    };
    text
}

fn aggregator(text: &mut String, found: &Found) {
    let Found { aggregator, days, files, rows, bytes, .. } = found;
    let span = days.first().zip(days.last()).map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
    let (rows, bytes) = (HumanCount(*rows), HumanBytes(*bytes));
    let days = counted(days.len(), "day");
    let _ = writeln!(text, "{aggregator}: {days}{span}, {files} files, {rows} rows of facts, {bytes}");
    list(text, "  wrong", found.wrong.iter().cloned());
    let gaps = found
        .gaps
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") });
    list(text, "  no snapshot", gaps);
    list(text, "  held", found.held.iter().map(|date| format!("{date}, until it is accepted")));
}

fn list(text: &mut String, kind: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(text, "{kind}: {line}");
    }
    if lines.len() > SHOWN {
        let _ = writeln!(text, "{kind}: and {} more", lines.len() - SHOWN);
    }
}

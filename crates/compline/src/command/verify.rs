//! `compline verify`.

use crate::arguments::VerifyArguments;
use crate::catalog::{Cataloguing, days_of_inventory};
use crate::failure::{Ending, Failure};
use crate::log::{self, log_work};
use crate::session::{Access, Clock, Opening, Session, session};
use crate::summary::counted;
use crate::verify::{Found, Verified, repair, verify as verify_lake};
use crate::{metrics, print};
use compline_model::AggregatorId;
use compline_sink::Verification;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Lines of each kind that are printed; the rest is counted.
const MAX_SHOWN: usize = 50;

pub(super) async fn verify(arguments: &VerifyArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let settings = arguments.pipeline.settings()?;
    let span = arguments.span.checked()?;
    let only: BTreeSet<AggregatorId> = settings.aggregators.iter().map(|one| one.address.id.clone()).collect();
    let only = arguments.pipeline.is_partial().then_some(only);
    let wait = arguments.wait.or_none();
    let (command, access) = match (arguments.repair, &only) {
        (false, _) => ("verify", Access::Read),
        (true, Some(_)) => ("verify --repair", Access::Write { wait }),
        // Aggregators that the pipeline file no longer has are repaired as well.
        (true, None) => ("verify --repair", Access::WriteAll { wait }),
    };
    let when_stopped = "nothing is half written; run it again";
    let opening = Opening { settings: &settings, command, access, clock, progress, when_stopped };
    let ended = session(opening, async |session: &Session<'_>| {
        let mut verified = verify_lake(session, only.as_ref(), span).await?;
        let mut not_in_catalog = None;
        if arguments.repair {
            not_in_catalog = repair(session, &verified).await?;
            verified = verify_lake(session, only.as_ref(), span).await?;
        }
        if !span.is_part() {
            note(session, &verified).await;
        }
        Box::pin(metrics::publish(session, None, false)).await;
        let days = days_of_inventory(&verified.inventory);
        let hidden = Cataloguing::open(session.settings).await?.and_then(|cataloguing| cataloguing.hidden_days(&days));
        anyhow::Ok((
            verified,
            hidden.into_iter().chain(not_in_catalog.clone()).collect::<Vec<_>>(),
            not_in_catalog.is_some(),
        ))
    });
    ended.await?.then(|(verified, told_before, waits)| {
        print(&told_before.iter().map(|line| format!("{line}\n")).collect::<String>())?;
        print(&told(&verified))?;
        let problems = verified.problems();
        let ending = match problems {
            0 if waits => Ending::Partial,
            0 => Ending::Done,
            _ => Ending::Failed,
        };
        log::outcome(command, ending, &json!({ "problems": problems }));
        Ok(ending)
    })
}

/// Notes in the lake what came of it. Who verifies may have no right to write, and need not.
async fn note(session: &Session<'_>, verified: &Verified) {
    for found in &verified.aggregators {
        // What is of no aggregator is each one's problem.
        let problems = (found.problems.len() + verified.problems_of_none()) as u64;
        let verification = Verification { verified_at: (session.clock)(), problems };
        if let Err(error) = session.lake.note_verification(&found.aggregator, verification).await {
            tracing::warn!(%error, "not noted in the lake: `compline status` does not know of it");
            return;
        }
    }
}

fn told(verified: &Verified) -> String {
    let mut text = String::new();
    for found in &verified.aggregators {
        aggregator(&mut text, found);
    }
    let inventory = &verified.inventory;
    for (kind, in_a_table) in
        [("unexpected object in a table, which readers take for a part of it", true), ("unexpected object", false)]
    {
        let unexpected = inventory.unexpected.iter().filter(|object| object.in_a_table == in_a_table);
        list(&mut text, kind, unexpected.map(|object| object.key.escape_debug().to_string()));
    }
    list(&mut text, "orphaned; --repair removes it", inventory.orphaned.iter().cloned());
    if let Some(error) = &inventory.unseen {
        let _ = writeln!(text, "uploads that were never finished are not looked for: {error}");
    }
    if verified.aggregators.is_empty() {
        text.push_str("problem: there is no snapshot of any aggregator: is the lake's address right?\n");
    }
    let _ = match verified.problems() {
        0 => writeln!(text, "OK: no problems found"),
        1 => writeln!(text, "1 problem found"),
        problems => writeln!(text, "{problems} problems found"),
    };
    text
}

fn aggregator(text: &mut String, found: &Found) {
    let Found { aggregator, days, files, rows, bytes, .. } = found;
    let span = days.first().zip(days.last()).map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
    let (rows, bytes) = (HumanCount(*rows), HumanBytes(*bytes));
    let days = counted(days.len(), "day");
    let _ = writeln!(text, "{aggregator}: {days}{span}, {files} files, {rows} rows of facts, {bytes}");
    list(text, "  problem", found.problems.iter().map(|problem| problem.what.clone()));
    list(text, "  in progress", found.in_progress.iter().cloned());
    let gaps = found
        .gaps
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") });
    list(text, "  no snapshot", gaps);
    if let Some((first, last)) = found.dropped.first().zip(found.dropped.last()) {
        let _ = writeln!(
            text,
            "  dropped, in its month's file: {}, {first} to {last}",
            counted(found.dropped.len(), "day")
        );
    }
    list(text, "  held", found.held.iter().map(|date| format!("{date}, until it is accepted")));
}

fn list(text: &mut String, kind: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    for line in lines.iter().take(MAX_SHOWN) {
        let _ = writeln!(text, "{kind}: {line}");
    }
    if lines.len() > MAX_SHOWN {
        let _ = writeln!(text, "{kind}: and {} more", lines.len() - MAX_SHOWN);
    }
}

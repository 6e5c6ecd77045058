//! `compline verify`.

use crate::arguments::VerifyArguments;
use crate::catalog::{Cataloguing, days_of_inventory};
use crate::failure::{Ending, Failure};
use crate::log::{self, log_work};
use crate::metrics;
use crate::output::show;
use crate::progress::named;
use crate::session::{Access, Clock, Opening, Session, session};
use crate::settings::Settings;
use crate::summary::counted;
use crate::verify::{Found, Verified, repair, verify as verify_lake};
use compline_model::{AggregatorId, SnapshotDate};
use compline_sink::Verification as Noted;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
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
    let opening = Opening {
        expects_lake: arguments.repair,
        ..Opening::of(&settings, command, access, (clock, progress), when_stopped)
    };
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
        Box::pin(metrics::publish(session, None, arguments.json)).await;
        let days = days_of_inventory(&verified.inventory);
        let hidden = Cataloguing::open(session.settings).await?.and_then(|cataloguing| cataloguing.hidden_days(&days));
        anyhow::Ok((
            verified,
            hidden.into_iter().chain(not_in_catalog.clone()).collect::<Vec<_>>(),
            not_in_catalog.is_some(),
        ))
    });
    ended.await?.then(|(verified, catalog, waits)| {
        let found = Verification::of(&settings, &verified, catalog);
        let ending = match found.problems {
            0 if waits => Ending::Partial,
            0 => Ending::Done,
            _ => Ending::Failed,
        };
        log::outcome(command, ending, &json!({ "problems": found.problems }));
        show(arguments.json, &found, || found.words())?;
        Ok(ending)
    })
}

/// What was found.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Verification {
    /// How many problems there are, those of no aggregator among them.
    problems: usize,
    /// How many of them the next run completes.
    completed_by_next: usize,
    aggregators: Vec<VerifiedAggregator>,
    /// Objects that Compline did not put there.
    unexpected: Vec<UnexpectedObject>,
    /// Objects of runs that were stopped, which no later one needs.
    orphaned: Vec<String>,
    /// Why uploads that were never finished were not looked for.
    uploads_not_seen: Option<String>,
    /// What the catalog does not show.
    catalog: Vec<String>,
}

/// What was found of a dataset of an aggregator.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct VerifiedAggregator {
    aggregator: String,
    /// What was collected: packs or rules.
    dataset: &'static str,
    /// How many days have a snapshot.
    days: usize,
    /// The first of them.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    first: Option<SnapshotDate>,
    /// The last of them.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    last: Option<SnapshotDate>,
    files: u64,
    /// Rows of the snapshots.
    rows: u64,
    bytes: u64,
    /// In words.
    problems: Vec<String>,
    /// What may only seem to be a problem, since another run is writing it.
    in_progress: Vec<String>,
    /// Calendar days without a snapshot.
    gaps: Vec<Gap>,
    /// How many days have no files of their own, since their month's file has them.
    dropped: usize,
    /// The first of them.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    dropped_first: Option<SnapshotDate>,
    /// The last of them.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    dropped_last: Option<SnapshotDate>,
    /// Days that wait to be accepted or rejected.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    held: Vec<SnapshotDate>,
}

/// Days one after the other without a snapshot.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Gap {
    #[cfg_attr(test, schemars(with = "String"))]
    first: SnapshotDate,
    #[cfg_attr(test, schemars(with = "String"))]
    last: SnapshotDate,
}

/// An object that Compline did not put there.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UnexpectedObject {
    key: String,
    /// Whether readers take it for a part of a table.
    in_a_table: bool,
}

impl Verification {
    fn of(settings: &Settings, verified: &Verified, catalog: Vec<String>) -> Self {
        let inventory = &verified.inventory;
        let unexpected = inventory
            .unexpected
            .iter()
            .map(|object| UnexpectedObject { key: object.key.clone(), in_a_table: object.in_a_table });
        Self {
            problems: verified.problems(),
            completed_by_next: verified.aggregators.iter().map(|found| found.completed_by_next(settings)).sum(),
            aggregators: verified.aggregators.iter().map(VerifiedAggregator::of).collect(),
            unexpected: unexpected.collect(),
            orphaned: inventory.orphaned.clone(),
            uploads_not_seen: inventory.unseen.as_ref().map(ToString::to_string),
            catalog,
        }
    }

    fn words(&self) -> String {
        let mut text = self.catalog.iter().map(|line| format!("{line}\n")).collect::<String>();
        for found in &self.aggregators {
            found.write(&mut text);
        }
        for (kind, in_a_table) in
            [("unexpected object in a table, which readers take for a part of it", true), ("unexpected object", false)]
        {
            let unexpected = self.unexpected.iter().filter(|object| object.in_a_table == in_a_table);
            list(&mut text, kind, unexpected.map(|object| object.key.escape_debug().to_string()));
        }
        list(&mut text, "orphaned; --repair removes it", self.orphaned.iter().cloned());
        if let Some(error) = &self.uploads_not_seen {
            let _ = writeln!(text, "uploads that were never finished are not looked for: {error}");
        }
        if self.aggregators.is_empty() {
            text.push_str("problem: there is no snapshot of any aggregator: is the lake's address right?\n");
        }
        let _ = match self.problems {
            0 if self.aggregators.iter().all(|found| found.days == 0 && found.dropped == 0) => {
                writeln!(text, "no problems found, but there is no snapshot to verify")
            }
            0 => writeln!(text, "OK: no problems found"),
            problems => writeln!(text, "{} found", counted(problems, "problem")),
        };
        text
    }
}

impl VerifiedAggregator {
    fn of(found: &Found) -> Self {
        Self {
            aggregator: found.aggregator.to_string(),
            dataset: found.dataset.name,
            days: found.days.len(),
            first: found.days.first().copied(),
            last: found.days.last().copied(),
            files: found.files,
            rows: found.rows,
            bytes: found.bytes,
            problems: found.problems.iter().map(|problem| problem.what.clone()).collect(),
            in_progress: found.in_progress.clone(),
            gaps: found.gaps.iter().map(|(first, last)| Gap { first: *first, last: *last }).collect(),
            dropped: found.dropped.len(),
            dropped_first: found.dropped.first().copied(),
            dropped_last: found.dropped.last().copied(),
            held: found.held.clone(),
        }
    }

    fn write(&self, text: &mut String) {
        let Self { days, first, last, files, .. } = self;
        let aggregator = named(&self.aggregator, self.dataset);
        let span = first.zip(*last).map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
        let (rows, bytes, days) = (HumanCount(self.rows), HumanBytes(self.bytes), counted(*days, "day"));
        let _ = writeln!(text, "{aggregator}: {days}{span}, {files} files, {rows} rows of facts, {bytes}");
        list(text, "  problem", self.problems.iter().cloned());
        list(text, "  in progress", self.in_progress.iter().cloned());
        let gap =
            |Gap { first, last }: &Gap| if first == last { first.to_string() } else { format!("{first} to {last}") };
        list(text, "  no snapshot", self.gaps.iter().map(gap));
        if let Some((first, last)) = self.dropped_first.zip(self.dropped_last) {
            let dropped = counted(self.dropped, "day");
            let _ = writeln!(text, "  dropped, in its month's file: {dropped}, {first} to {last}");
        }
        list(text, "  held", self.held.iter().map(|date| format!("{date}, until it is accepted")));
    }
}

/// Notes in the lake what came of it. Who verifies may have no right to write, and need not.
async fn note(session: &Session<'_>, verified: &Verified) {
    let mut problems: BTreeMap<&AggregatorId, usize> = BTreeMap::new();
    for found in &verified.aggregators {
        // What the next run completes is no alert's matter, and would be one until somebody verifies again.
        *problems.entry(&found.aggregator).or_default() +=
            found.problems.len() - found.completed_by_next(session.settings);
    }
    for (id, of_aggregator) in problems {
        // What is of no aggregator is each one's problem.
        let problems = (of_aggregator + verified.problems_of_none()) as u64;
        let verification = Noted { verified_at: (session.clock)(), problems };
        if let Err(error) = session.lake.note_verification(id, verification).await {
            tracing::warn!(%error, "not noted in the lake: `compline status` does not know of it");
            return;
        }
    }
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

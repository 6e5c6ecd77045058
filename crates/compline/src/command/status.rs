//! `compline status`: how fresh the lake is.

use crate::arguments::StatusArguments;
use crate::failure::{Ending, Failure};
use crate::log::log_to_stderr;
use crate::output::show;
use crate::progress::named;
use crate::session::{Clock, Opening, Session, session};
use crate::status::{GAPS_DAYS, Status, status as status_of};
use crate::summary::{counted, plain_table};
use compline_sink::Verification;
use indicatif::HumanCount;
use std::fmt::Write;
use std::time::Duration;

pub(super) async fn status(arguments: &StatusArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_to_stderr("error");
    let settings = arguments.pipeline.settings()?;
    let opening = Opening::to_read(&settings, "status", clock, progress);
    let ended =
        session(opening, async |session: &Session<'_>| status_of(session, settings.ids(), arguments.max_age).await);
    ended.await?.then(|all| {
        show(arguments.json, &all, || told(&all, arguments.max_age))?;
        Ok(if all.iter().any(Status::is_alarm) { Ending::Failed } else { Ending::Done })
    })
}

fn told(all: &[Status], max_age: Duration) -> String {
    let mut table = plain_table(&["aggregator", "snapshot", "age", "rows", "held", "gaps", "stale", "verified"]);
    for one in all {
        table.add_row(vec![
            named(&one.aggregator, one.dataset),
            one.snapshot_date.map_or_else(|| "none".to_owned(), |date| date.to_string()),
            one.age_secs.map_or_else(|| "-".to_owned(), age),
            one.rows.map_or_else(|| "-".to_owned(), |rows| HumanCount(rows).to_string()),
            one.held.len().to_string(),
            one.gaps.len().to_string(),
            one.sources.map_or_else(|| "-".to_owned(), |_| one.stale_sources.values().sum::<u64>().to_string()),
            one.last_verification.map_or_else(|| "never".to_owned(), |last| last.verified_at.format("%F").to_string()),
        ]);
    }
    let mut text = table.trim_fmt() + "\n";
    let dates =
        |dates: &[compline_model::SnapshotDate]| dates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for one in all {
        let name = named(&one.aggregator, one.dataset);
        let mut say = |what: String| {
            let _ = writeln!(text, "{name}: {what}");
        };
        if one.is_too_old {
            let allowed = humantime::format_duration(max_age);
            say(match one.snapshot_date {
                Some(date) => format!(
                    "TOO OLD: the last snapshot is of {date}, and --max-age is {allowed}; `compline history FILE` says why"
                ),
                None => "TOO OLD: there is no snapshot".to_owned(),
            });
        }
        if !one.held.is_empty() {
            say(format!("HELD: {}; accept or reject them", dates(&one.held)));
        }
        if !one.gaps.is_empty() {
            say(format!(
                "{} without a snapshot in the last {GAPS_DAYS} days: {}",
                counted(one.gaps.len(), "day"),
                dates(&one.gaps)
            ));
        }
        if let Some(date) = one.snapshot_date.filter(|_| one.is_pending) {
            say(format!("{date} is not in the ledger yet: the next run completes that"));
        }
        if let Some(from) = one.trends_from {
            let from =
                if from == compline_model::SnapshotDate::FIRST { "every day".to_owned() } else { format!("{from} on") };
            say(format!(
                "the trends from {from} are out of date: the next run or `compline trends` completes them, or says what they wait for"
            ));
        }
        if let Some(Verification { verified_at, problems }) = one.last_verification.filter(|last| last.problems > 0) {
            let (found, on) = (counted(problems as usize, "problem"), verified_at.format("%F"));
            say(format!("{found} found when it was verified on {on}; `compline verify FILE` names them"));
        }
        one.unread.iter().for_each(|why| say(why.clone()));
    }
    text
}

/// An age in its two largest units.
fn age(seconds: i64) -> String {
    let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    if days > 0 { format!("{sign}{days}d {hours}h") } else { format!("{sign}{hours}h {minutes}m") }
}

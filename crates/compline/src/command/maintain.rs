//! `compline maintain`.

use crate::arguments::MaintainArguments;
use crate::failure::{Ending, Failure};
use crate::log::log_work;
use crate::maintain::{applied, planned};
use crate::session::{Access, Clock, Opening, session};
use crate::{metrics, output};
use serde::Serialize;

/// What was done, or would be.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Maintenance {
    /// Whether it was done; otherwise it was a dry run.
    applied: bool,
    /// Whether nothing was left as it is for a file that is damaged or trends that are out of date.
    complete: bool,
    /// What was done or would be, in words.
    done: Vec<String>,
}

pub(super) async fn maintain(arguments: &MaintainArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let settings = arguments.pipeline.settings()?;
    let access = if arguments.apply { Access::Write { wait: arguments.wait.or_none() } } else { Access::Read };
    let when_stopped = "what is done is done, and a second run does the rest";
    let opening =
        Opening { expects_lake: true, ..Opening::of(&settings, "maintain", access, (clock, progress), when_stopped) };
    let ended = session(opening, async |session| {
        if !arguments.apply {
            return planned(session).await;
        }
        let done = applied(session).await?;
        Box::pin(metrics::publish(session, None, arguments.json)).await;
        Ok(done)
    });
    ended.await?.then(|done| {
        let maintenance = Maintenance { applied: arguments.apply, complete: done.is_complete, done: done.lines };
        let words = || maintenance.done.iter().map(|line| format!("{line}\n")).collect::<String>();
        let ending = if maintenance.complete { Ending::Done } else { Ending::Partial };
        output::done(("maintain", ending), arguments.json, &maintenance, words);
        Ok(ending)
    })
}

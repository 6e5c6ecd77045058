//! `compline maintain`.

use crate::arguments::MaintainArguments;
use crate::failure::{Ending, Failure};
use crate::log::{self, log_work};
use crate::maintain::{applied, planned};
use crate::session::{Access, Clock, Opening, session};
use crate::{metrics, print, print_done};
use serde_json::json;

pub(super) async fn maintain(arguments: &MaintainArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let settings = arguments.pipeline.settings()?;
    let access = if arguments.apply { Access::Write { wait: arguments.wait.or_none() } } else { Access::Read };
    let when_stopped = "what is done is done, and a second run does the rest";
    let opening = Opening { settings: &settings, command: "maintain", access, clock, progress, when_stopped };
    let ended = session(opening, async |session| {
        if !arguments.apply {
            return planned(session).await;
        }
        let done = applied(session).await?;
        Box::pin(metrics::publish(session, None, false)).await;
        Ok(done)
    });
    ended.await?.then(|done| {
        let lines = done.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        if arguments.apply {
            print_done(&lines)
        } else {
            print(&lines)?
        }
        let ending = if done.is_complete { Ending::Done } else { Ending::Partial };
        log::outcome("maintain", ending, &json!({ "done": done.lines }));
        Ok(ending)
    })
}

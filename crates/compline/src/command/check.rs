//! `compline check`.

use crate::arguments::CheckArguments;
use crate::checks::{Checked, checks};
use crate::failure::{Ending, Failure};
use crate::log::log_to_stderr;
use crate::output::show;
use crate::session::Clock;

pub(super) async fn check(arguments: &CheckArguments, clock: Clock) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let bar = log_to_stderr("error,compline=warn").waiting("trying");
    let checks = checks(&settings, clock(), |what| bar.set_message(what)).await;
    bar.finish_and_clear();
    let checked = Checked { checks: checks? };
    show(arguments.json, &checked, || words(&checked))?;
    Ok(if checked.checks.iter().all(|tried| tried.error.is_none()) { Ending::Done } else { Ending::Failed })
}

/// A line for each thing that was tried. What went wrong has a line of its own, since it says what to do.
fn words(checked: &Checked) -> String {
    let width = checked.checks.iter().map(|tried| tried.check.chars().count()).max().unwrap_or_default();
    let lines = checked.checks.iter().map(|tried| match &tried.error {
        None => format!("✓ {:width$}  {}\n", tried.check, tried.found.as_deref().unwrap_or_default()),
        Some(error) => format!("✗ {}\n    {error}\n", tried.check),
    });
    lines.collect()
}

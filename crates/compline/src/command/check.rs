//! `compline check`.

use crate::arguments::PipelineArguments;
use crate::checks::{Tried, checks};
use crate::failure::{Ending, Failure};
use crate::print;
use crate::session::Clock;

pub(super) async fn check(arguments: &PipelineArguments, clock: Clock) -> Result<Ending, Failure> {
    let settings = arguments.settings()?;
    let tried = checks(&settings, clock()).await?;
    print(&told(&tried))?;
    Ok(if tried.iter().all(|tried| tried.found.is_ok()) { Ending::Done } else { Ending::Failed })
}

/// A line for each thing that was tried. What went wrong has a line of its own, since it says what to do.
fn told(tried: &[Tried]) -> String {
    let width = tried.iter().map(|tried| tried.what.chars().count()).max().unwrap_or_default();
    let line = |tried: &Tried| match &tried.found {
        Ok(found) => format!("✓ {:width$}  {found}\n", tried.what),
        Err(error) => format!("✗ {}\n    {error}\n", tried.what),
    };
    tried.iter().map(line).collect()
}

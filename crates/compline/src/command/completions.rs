//! `compline completions`.

use crate::arguments::{Arguments, CompletionsArguments};
use crate::failure::{Ending, Failure};
use crate::output::document;
use clap::CommandFactory;

pub(super) fn completions(arguments: &CompletionsArguments) -> Result<Ending, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "compline", &mut script);
    document(&String::from_utf8_lossy(&script))?;
    Ok(Ending::Done)
}

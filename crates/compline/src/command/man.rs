//! `compline man`.

use crate::arguments::{Arguments, ManArguments};
use crate::failure::{Ending, Failure};
use crate::output::{document, result};
use anyhow::Context;
use clap::CommandFactory;

pub(super) fn man(arguments: &ManArguments) -> Result<Ending, Failure> {
    let command = Arguments::command();
    let Some(folder) = &arguments.output_dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).context("cannot make the page").map_err(Failure::Run)?;
        document(&String::from_utf8_lossy(&page))?;
        return Ok(Ending::Done);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .with_context(|| format!("cannot write the pages to {}", folder.display()))
        .map_err(Failure::Run)?;
    result(&format!("the pages are in {}\n", folder.display()))?;
    Ok(Ending::Done)
}

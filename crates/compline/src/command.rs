//! The commands, one file each.

mod athena;
mod catalog;
mod check;
mod completions;
mod demo;
mod history;
mod import;
mod init;
mod maintain;
mod man;
mod plan;
mod report;
mod run;
mod schema;
#[cfg(test)]
mod schemas;
mod simulate;
mod status;
mod trends;
mod verify;

use crate::arguments::{Command, OrganizationArguments};
use crate::failure::{Ending, Failure};
use crate::session::Clock;
use crate::signals::{self, or_stopped};
use chrono::{DateTime, Utc};
use compline_model::SnapshotDate;
use compline_simulator::{Organization, OrganizationSpec};

pub(crate) async fn perform(command: Command, clock: Clock) -> Result<Ending, Failure> {
    // What does nothing but print ends as any program does.
    let prints = matches!(command, Command::Athena(_) | Command::Completions(_) | Command::Man(_) | Command::Schema(_));
    if !prints {
        signals::listen();
    }
    match command {
        Command::Athena(arguments) => Box::pin(athena::athena(&arguments, clock)).await,
        Command::Catalog(arguments) => Box::pin(catalog::catalog(&arguments, clock)).await,
        Command::Schema(arguments) => schema::schema(&arguments),
        Command::Check(arguments) => Box::pin(or_stopped(check::check(&arguments, clock))).await,
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => man::man(&arguments),
        Command::Init(arguments) => Box::pin(init::init(&arguments, clock)).await,
        Command::Demo(arguments) => Box::pin(demo::demo(arguments, clock)).await,
        Command::Import(arguments) => Box::pin(import::import(arguments, clock)).await,
        Command::Plan(arguments) => Box::pin(or_stopped(plan::plan(&arguments, clock))).await,
        Command::Report(arguments) => Box::pin(report::report(&arguments, clock)).await,
        Command::Run(arguments) => Box::pin(run::run(arguments, clock)).await,
        Command::Trends(arguments) => Box::pin(trends::trends(&arguments, clock)).await,
        Command::History(arguments) => Box::pin(history::history(&arguments, clock)).await,
        Command::Status(arguments) => Box::pin(status::status(&arguments, clock)).await,
        Command::Maintain(arguments) => Box::pin(maintain::maintain(&arguments, clock)).await,
        Command::Verify(arguments) => Box::pin(verify::verify(&arguments, clock)).await,
        Command::Simulate(arguments) => Box::pin(simulate::simulate(arguments, clock)).await,
    }
}

/// The UTC day of a moment.
fn day_of(moment: DateTime<Utc>) -> SnapshotDate {
    SnapshotDate::from(moment.date_naive())
}

fn organization(arguments: &OrganizationArguments) -> Organization {
    let &OrganizationArguments { accounts, regions, packs, seed } = arguments;
    Organization::new(OrganizationSpec { seed, accounts, regions, packs })
}

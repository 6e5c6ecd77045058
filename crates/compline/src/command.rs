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
        Command::Athena(arguments) => athena::athena(&arguments, clock).await,
        Command::Catalog(arguments) => catalog::catalog(&arguments, clock).await,
        Command::Schema(arguments) => schema::schema(&arguments),
        Command::Check(arguments) => or_stopped(check::check(&arguments, clock)).await,
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => man::man(&arguments),
        Command::Init(arguments) => init::init(&arguments, clock).await,
        Command::Demo(arguments) => demo::demo(arguments, clock).await,
        Command::Import(arguments) => import::import(arguments, clock).await,
        Command::Plan(arguments) => or_stopped(plan::plan(&arguments, clock)).await,
        Command::Report(arguments) => report::report(&arguments, clock).await,
        Command::Run(arguments) => run::run(arguments, clock).await,
        Command::Trends(arguments) => trends::trends(&arguments, clock).await,
        Command::History(arguments) => history::history(&arguments, clock).await,
        Command::Status(arguments) => status::status(&arguments, clock).await,
        Command::Maintain(arguments) => maintain::maintain(&arguments, clock).await,
        Command::Verify(arguments) => verify::verify(&arguments, clock).await,
        Command::Simulate(arguments) => simulate::simulate(arguments, clock).await,
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

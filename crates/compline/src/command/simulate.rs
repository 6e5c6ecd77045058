//! `compline simulate`.

use super::{day_of, organization};
use crate::arguments::SimulateArguments;
use crate::failure::{Ending, Failure};
use crate::log::log_to_stderr;
use crate::session::Clock;
use crate::{output, signals};
use anyhow::Context;
use compline_simulator::{Faults, Simulator};

pub(super) async fn simulate(arguments: SimulateArguments, clock: Clock) -> Result<Ending, Failure> {
    let faults = faults(&arguments)?;
    log_to_stderr("warn");
    let organization = organization(&arguments.organization);
    let date = arguments.date.unwrap_or_else(|| day_of(clock()));
    let aggregators: Vec<String> =
        organization.aggregators().iter().map(|facts| format!("{} in {}", facts.name, facts.region)).collect();
    let simulator = Simulator::start(arguments.port, organization, date, faults)
        .await
        .with_context(|| format!("cannot serve on port {}; choose another with --port", arguments.port))
        .map_err(Failure::Run)?;
    // Whoever starts it needs the address, however quiet it is to be.
    output::document(&format!("{}\nas of {date}: {}\n", simulator.url(), aggregators.join(", ")))?;
    let signal = signals::received().await;
    Ok(Ending::Stopped(signal))
}

/// The faults of the file and of the command line.
fn faults(arguments: &SimulateArguments) -> Result<Faults, Failure> {
    let mut text = String::new();
    if let Some(file) = &arguments.faults {
        let read =
            std::fs::read_to_string(file).with_context(|| format!("cannot read the faults in {}", file.display()));
        text = read.map_err(Failure::Usage)?;
    }
    for fault in &arguments.fault {
        text.push('\n');
        text.push_str(&line(fault));
    }
    Faults::parse(&text).context("cannot have these faults").map_err(Failure::Usage)
}

/// A fault of the command line as TOML, where a word needs quotes that a shell takes away.
fn line(fault: &str) -> String {
    match fault.split_once('=') {
        Some((name, word)) if is_name(word) => format!("{name}={word:?}"),
        _ => fault.to_owned(),
    }
}

/// Whether a value can be the name of an operation, and nothing that TOML knows.
fn is_name(value: &str) -> bool {
    value.starts_with(|first: char| first.is_ascii_uppercase()) && value.chars().all(|one| one.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_has_a_name_needs_no_quotes_of_its_own() {
        let faults = |fault: &str| Faults::parse(&line(fault)).expect("a fault");
        for given in ["denied_operation=ListPacks", "denied_operation=\"ListPacks\"", "denied_operation = 'ListPacks'"]
        {
            assert_eq!(faults(given).denied_operation, "ListPacks", "{given}");
        }
        assert_eq!(faults("throttle_per_second=2.5").throttle_per_second, 2.5);
        assert!(faults("rules_without_results=true").rules_without_results);
        assert!(
            Faults::parse(&line("no_such=Thing")).is_err_and(|error| error.to_string().contains("denied_operation"))
        );
    }
}

//! `compline`: arguments in, exit code out.

mod arguments;
mod athena;
mod catalog;
mod checks;
mod command;
mod deal;
mod failure;
mod held;
mod history;
mod journal;
mod leases;
mod ledger;
mod log;
mod maintain;
mod memory;
mod metrics;
#[cfg(test)]
#[path = "../../../tests/mutate.rs"]
mod mutate;
mod nightly;
mod output;
mod past;
mod plan;
mod population;
mod progress;
mod proof;
mod replace;
mod report;
mod session;
mod settings;
mod signals;
mod status;
mod summary;
mod threads;
mod trends;
mod verify;

use arguments::Arguments;
use clap::Parser;
use clap::error::{ContextKind, ContextValue};
use failure::{Ending, Failure};
use output::harmless;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // What a library panics at is one line like any other failure. Whoever reports it is asked for the rest by RUST_BACKTRACE.
        let backtrace = std::backtrace::Backtrace::capture();
        let more = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        log::failed(&format!("{}{more}", failure::words_of_panic(panic)), None, Failure::Panicked.exit_code());
    }));
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(failure) => return failed(&failure),
    };
    memory::bound(matches!(arguments.command, arguments::Command::Verify(_)));
    // The one place that reads the clock, beside the fetcher's time of arrival and the store's age of a lease or an upload.
    let clock = chrono::Utc::now;
    let perform = || {
        let runtime = threads::runtime(matches!(arguments.command, arguments::Command::Simulate(_)))?;
        let ended = runtime.block_on(async {
            let ended = Box::pin(command::perform(arguments.command, clock)).await;
            log::finish(matches!(ended, Ok(Ending::Stopped(_)))).await;
            ended
        });
        // A thread that still computes for a stopped run must not hold up its end.
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    };
    // The hook has said what it was; leases are released where the session is.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(perform)).unwrap_or(Err(Failure::Panicked));
    match ended {
        Ok(ending) => {
            output::say_unsaid(ending);
            ExitCode::from(ending.exit_code())
        }
        Err(failure) => failed(&failure),
    }
}

/// The arguments, and the format of the log that they or the environment ask for.
fn arguments() -> Result<Arguments, Failure> {
    let of_environment = log::format_of_environment();
    if let Ok(Some(format)) = of_environment {
        log::set_format(format);
    }
    let parsed = Arguments::try_parse().map_err(|mut error| {
        // No argument of ours begins with a hyphen: "use '-- -1'" leads nowhere.
        if let Some(ContextValue::StyledStrs(tips)) = error.get(ContextKind::Suggested) {
            let tips = tips.iter().filter(|tip| !tip.to_string().contains("-- ")).cloned().collect();
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
        error
    });
    let arguments = match parsed {
        // Not as clap says it: for machines, or with arguments that a terminal would obey.
        Err(error) if error.use_stderr() && (log::is_json() || harmless(&error.to_string()) != error.to_string()) => {
            let said = error.to_string();
            return Err(Failure::Usage(anyhow::anyhow!("{}", said.trim_start_matches("error: ").trim_end())));
        }
        parsed => parsed.unwrap_or_else(|error| error.exit()),
    };
    log::set_format(match arguments.log {
        Some(format) => format,
        None => of_environment?.unwrap_or_default(),
    });
    if arguments.quiet {
        output::be_quiet();
    }
    Ok(arguments)
}

/// Says why a command failed, and gives its exit code.
fn failed(failure: &Failure) -> ExitCode {
    if !matches!(failure, Failure::Panicked) {
        log::failed(&failure.to_string(), failure.shown(), failure.exit_code());
    }
    ExitCode::from(failure.exit_code())
}

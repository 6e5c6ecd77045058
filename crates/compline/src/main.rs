//! `compline`: arguments in, exit code out.

mod arguments;
mod catalog;
mod command;
mod failure;
mod history;
mod journal;
mod leases;
mod ledger;
mod maintain;
mod memory;
mod nightly;
mod population;
mod progress;
mod session;
mod settings;
mod signals;
mod summary;
mod trends;
mod verify;

use clap::Parser;
use failure::Failure;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    memory::bound();
    let arguments = arguments::Arguments::parse();
    // The one place that reads the clock, beside the fetcher's time of arrival and the store's age of a lease or an upload.
    let clock = chrono::Utc::now;
    let ended =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::run).and_then(|runtime| {
            let ended = runtime.block_on(command::perform(arguments.command, clock));
            // A thread that still computes for a stopped run must not hold up its end.
            runtime.shutdown_timeout(Duration::from_secs(1));
            ended
        });
    ExitCode::from(match ended {
        Ok(ending) => ending.exit_code(),
        Err(failure) => {
            // Where stderr is closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    })
}

/// Writes data to stdout. That its reader has gone away, as `head` does, is no failure of ours.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::run(anyhow::Error::new(error).context("cannot write to stdout")))
        }
        _ => Ok(()),
    }
}

//! The threads and files that a run needs, tried before anything is done: what a library starts of its own panics where it
//! cannot, and others then wait for it without end.

use crate::failure::Failure;
use anyhow::{Context, anyhow};
use std::fs::File;
use std::num::NonZero;
use std::sync::{Arc, RwLock};
use std::thread::{self, available_parallelism};
use tokio::runtime::{Builder, Runtime};

/// Threads beside those of the pools: some that read and write.
const MORE_THREADS: usize = 8;

/// Threads of a command that may wait, for a disk or a name's address, beside one for each processor: what takes the processor for long
/// has its turn in the sink's [`computed`]. Tokio's own bound is 512, and each thread keeps what it had: `verify` of 240 small days took
/// 190 MB with up to 40 of them, 160 with these, in the same time (debug build, two cores).
///
/// [`computed`]: compline_sink::computed
const WAITING_THREADS: usize = 6;

/// Files and connections open at once in a small run.
const FILES: usize = 64;

/// What Polars takes its number of threads from.
const POLARS_MAX_THREADS: &str = "POLARS_MAX_THREADS";
const MAX_THREADS: usize = 1024;

/// The runtime of the whole program. A command that asks has one thread for its connections and for what comes over them: to wake
/// another for each answer took a fifth of the time. What computes for long has threads of its own. A server has one for each
/// processor.
///
/// # Errors
/// A variable that Polars panics at, or limits of this process in which no run can be done.
pub(crate) fn runtime(is_server: bool) -> Result<Runtime, Failure> {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let cores = available_parallelism().map_or(1, NonZero::get);
    let of_polars = of_polars(variable(POLARS_MAX_THREADS), cores).map_err(Failure::Usage)?;
    let workers = if is_server { cores } else { 0 };
    // Polars has two pools.
    try_threads(workers + 2 * of_polars + MORE_THREADS).map_err(Failure::Run)?;
    try_files().map_err(Failure::Run)?;
    // As it is given, Tokio reads no variable, and panics at none.
    let runtime = match is_server {
        true => Builder::new_multi_thread().worker_threads(cores).enable_all().build(),
        false => Builder::new_current_thread().max_blocking_threads(cores + WAITING_THREADS).enable_all().build(),
    };
    runtime.context("cannot start threads").map_err(Failure::Run)
}

/// The size of each of Polars' pools.
fn of_polars(given: Option<String>, cores: usize) -> anyhow::Result<usize> {
    let Some(threads) = given else { return Ok(cores) };
    match threads.parse() {
        Ok(count @ 1..=MAX_THREADS) => Ok(count),
        _ => Err(anyhow!("{POLARS_MAX_THREADS} is {threads:?}: allowed is 1 to {MAX_THREADS}; set or unset it")),
    }
}

/// Starts so many threads at once, which end together.
fn try_threads(count: usize) -> anyhow::Result<()> {
    let mut started = Vec::with_capacity(count);
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write();
    let mut refused = None;
    for _ in 0..count {
        let gate = Arc::clone(&gate);
        match thread::Builder::new().stack_size(64 * 1024).spawn(move || drop(gate.read())) {
            Ok(thread) => started.push(thread),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    drop(closed);
    let could = started.len();
    started.into_iter().for_each(|thread| drop(thread.join()));
    match refused {
        None => Ok(()),
        Some(error) => Err(error).with_context(|| {
            format!(
                "cannot start more than {could} threads, and a run on this machine takes {count}: raise the limit (`ulimit -u`, \
                 TasksMax, the container's pids limit)"
            )
        }),
    }
}

/// Opens so many files at once.
#[cfg(unix)]
fn try_files() -> anyhow::Result<()> {
    /// EMFILE and ENFILE.
    const TOO_MANY: [i32; 2] = [24, 23];
    let mut open = Vec::with_capacity(FILES);
    for _ in 0..FILES {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) if error.raw_os_error().is_some_and(|code| TOO_MANY.contains(&code)) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot have more than {} files and connections open, and a run takes {FILES}: raise the limit (`ulimit -n`, \
                         LimitNOFILE)",
                        open.len()
                    )
                });
            }
            // Where there is none it says nothing of limits.
            Err(_) => break,
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn try_files() -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w2_a_number_of_threads_that_polars_panics_at_is_wrong_usage() {
        for wrong in ["0", "", "abc", "100000", "-1", "1.5"] {
            let error = of_polars(Some(wrong.to_owned()), 4).expect_err("an error").to_string();
            assert!(error.starts_with("POLARS_MAX_THREADS is "), "{error}");
        }
        assert_eq!(of_polars(None, 4).expect("the cores"), 4);
        assert_eq!(of_polars(Some("2".to_owned()), 4).expect("as given"), 2);
    }

    #[test]
    fn threads_that_can_be_started_are() {
        assert!(try_threads(20).is_ok() && try_files().is_ok());
    }
}

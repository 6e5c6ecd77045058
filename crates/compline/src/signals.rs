//! SIGINT and SIGTERM.

use crate::failure::{Ending, Failure, Signal};
use std::sync::Once;
use std::time::Duration;

/// For how long another signal is taken for the same one: who stops a group of processes may stop each of them as well.
const SAME: Duration = Duration::from_secs(1);

/// How long a program takes at most to end, and after another signal: what would hold it up longer, such as a reader of its stdout that
/// does not read, does not get to. Kubernetes, ECS and systemd give 30 s.
const LONGEST: Duration = Duration::from_secs(25);
const LONGEST_AGAIN: Duration = Duration::from_secs(3);

static LAST_RESORT: Once = Once::new();

/// Waits for a signal to end.
pub(crate) async fn received() -> Signal {
    // Once signals are waited for, they end nothing by themselves.
    LAST_RESORT.call_once(|| drop(tokio::spawn(end_at_last())));
    next().await
}

/// Waits for another signal than the one that has come.
pub(crate) async fn received_again() {
    tokio::time::sleep(SAME).await;
    next().await;
}

/// Does a command that has nothing to clean up until a signal comes.
///
/// # Errors
/// Those of the command.
pub(crate) async fn or_stopped(command: impl Future<Output = Result<Ending, Failure>>) -> Result<Ending, Failure> {
    tokio::select! {
        ended = command => ended,
        signal = received() => Ok(Ending::Stopped(signal)),
    }
}

async fn end_at_last() {
    let signal = next().await;
    tokio::select! {
        () = tokio::time::sleep(LONGEST) => {}
        () = async { received_again().await; tokio::time::sleep(LONGEST_AGAIN).await } => {}
    }
    std::process::exit(Ending::Stopped(signal).exit_code().into());
}

#[cfg(unix)]
async fn next() -> Signal {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => Signal::Interrupt,
        _ = terminate.recv() => Signal::Terminate,
    }
}

#[cfg(not(unix))]
async fn next() -> Signal {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Signal::Interrupt,
        Err(_) => std::future::pending().await,
    }
}

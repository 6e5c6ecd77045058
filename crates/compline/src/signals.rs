//! SIGINT and SIGTERM.

use crate::failure::{Ending, Failure, Signal};
use std::sync::{Once, OnceLock};
use std::time::Duration;

/// For how long another signal is taken for the same one: who stops a group of processes may stop each of them as well.
const SAME: Duration = Duration::from_secs(1);

/// How long a program takes at most to end, and after another signal: what would hold it up longer, such as a reader of its stdout that
/// does not read, does not get to. Kubernetes, ECS and systemd give 30 s.
const LONGEST: Duration = Duration::from_secs(25);
const LONGEST_AGAIN: Duration = Duration::from_secs(3);

static LAST_RESORT: Once = Once::new();

/// The first signal that came, whoever waited for one then.
static RECEIVED: OnceLock<Signal> = OnceLock::new();

/// A signal to end; at once the one that has come before. From this call on signals are noticed, and not only once it is waited for: what is
/// waited for beside it may have begun by then.
pub(crate) fn received() -> impl Future<Output = Signal> {
    // Once signals are waited for, they end nothing by themselves.
    LAST_RESORT.call_once(|| {
        // A thread of its own: those of the program may be what does not end.
        let last_resort = || -> std::io::Result<()> {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(end_at_last());
            Ok(())
        };
        let thread = std::thread::Builder::new().name("signals".to_owned());
        let _ = thread.spawn(last_resort);
    });
    let next = next();
    async {
        match RECEIVED.get() {
            Some(signal) => *signal,
            None => next.await,
        }
    }
}

/// Waits for another signal than the one that has come.
pub(crate) async fn received_again() {
    tokio::time::sleep(SAME).await;
    next().await;
}

/// Does a command that changes no table until a signal comes.
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
    let _ = RECEIVED.set(signal);
    tokio::select! {
        () = tokio::time::sleep(LONGEST) => {}
        () = async { received_again().await; tokio::time::sleep(LONGEST_AGAIN).await } => {}
    }
    std::process::exit(Ending::Stopped(signal).exit_code().into());
}

#[cfg(unix)]
fn next() -> impl Future<Output = Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
async fn next() -> Signal {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Signal::Interrupt,
        Err(_) => std::future::pending().await,
    }
}

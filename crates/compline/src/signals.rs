//! SIGINT and SIGTERM.

use crate::failure::{Ending, Failure, Signal};
use std::io;
use std::sync::{LazyLock, Once, mpsc};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// For how long another signal is taken for the same one: who stops a group of processes may stop each of them as well.
const SAME: Duration = Duration::from_secs(1);

/// How long a program takes at most to end, and after another signal: what would hold it up longer, such as a reader of its stdout that
/// does not read, does not get to. Kubernetes, ECS and systemd give 30 s.
const LONGEST: Duration = Duration::from_secs(25);
const LONGEST_AGAIN: Duration = Duration::from_secs(3);

/// What has come.
#[derive(Debug, Clone, Copy, Default)]
struct Came {
    first: Option<Signal>,
    /// Whether another has come that is not the same.
    again: bool,
}

static CAME: LazyLock<watch::Sender<Came>> = LazyLock::new(watch::Sender::default);
static LISTENING: Once = Once::new();

/// From now on a signal ends nothing by itself, and none is missed: it waits for whoever asks with [`received`]. If nobody does it ends the
/// program after a while.
pub(crate) fn listen() {
    LISTENING.call_once(|| {
        let (listening, is_listening) = mpsc::channel();
        // A thread of its own: those of the program may be what does not end.
        let of_thread = move || -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let signals = Signals::new()?;
                let _ = listening.send(());
                end_at_last(signals).await
            })
        };
        // Where it cannot be started a signal ends the program by itself, as it does any other.
        if std::thread::Builder::new().name("signals".to_owned()).spawn(of_thread).is_ok() {
            let _ = is_listening.recv();
        }
    });
}

/// Waits for a signal to end; gives at once the one that has come since [`listen`].
pub(crate) async fn received() -> Signal {
    match CAME.subscribe().wait_for(|came| came.first.is_some()).await.map(|came| came.first) {
        Ok(Some(signal)) => signal,
        _ => std::future::pending().await,
    }
}

/// Waits for another signal than the one that has come.
pub(crate) async fn received_again() {
    if CAME.subscribe().wait_for(|came| came.again).await.is_err() {
        std::future::pending().await
    }
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

/// Tells of each signal that comes, and ends the program if it has not ended long after the first.
async fn end_at_last(mut signals: Signals) -> io::Result<()> {
    let first = signals.next().await;
    let came_at = Instant::now();
    let mut end = came_at + LONGEST;
    CAME.send_modify(|came| came.first = Some(first));
    loop {
        tokio::select! {
            () = sleep_until(end) => std::process::exit(Ending::Stopped(first).exit_code().into()),
            _ = signals.next() => if came_at.elapsed() >= SAME {
                end = end.min(Instant::now() + LONGEST_AGAIN);
                CAME.send_modify(|came| came.again = true);
            }
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        /// A file that may not become so large. Once it is listened for, the write fails, which is told, and not the program.
        const SIGXFSZ: i32 = 25;
        let _ = signal(SignalKind::from_raw(SIGXFSZ));
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        let _ = tokio::signal::ctrl_c().await;
        Signal::Interrupt
    }
}

//! SIGINT and SIGTERM.

use crate::failure::Signal;

/// Waits for a signal to end.
#[cfg(unix)]
pub(crate) async fn received() -> Signal {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => Signal::Interrupt,
        _ = terminate.recv() => Signal::Terminate,
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn received() -> Signal {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Signal::Interrupt,
        Err(_) => std::future::pending().await,
    }
}

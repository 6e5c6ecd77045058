//! A lease: who may write an aggregator's days, one holder at a time.

use crate::SinkError;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug};

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run.
    pub run_id: String,
    /// What it does: run, import, trends, ...
    pub command: String,
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub process: u32,
    /// When it took the lease.
    pub since: DateTime<Utc>,
}

/// What became of asking for a lease.
#[derive(Debug)]
pub enum LeaseOutcome {
    /// It is held now, until it is released or dropped.
    Taken(Lease),
    /// Another has it.
    HeldBy(Holder),
}

/// A lease that is held. Dropping it releases it too, without waiting for that.
#[derive(Debug)]
pub struct Lease(pub(super) Box<dyn Held>);

/// What a store does for a lease.
#[async_trait]
pub(super) trait Held: Debug + Send + Sync {
    /// Ends when the lease is lost: another has taken it, or it could not be renewed in time.
    async fn lost(&self) -> SinkError;

    /// Lets another take it.
    async fn release(self: Box<Self>) -> Result<(), SinkError>;

    /// Ends as if its process were killed.
    #[cfg(test)]
    fn die(&mut self);
}

impl Lease {
    /// Ends when the lease is lost: another has taken it, or it could not be renewed in time. Nothing may be written then.
    pub async fn lost(&self) -> SinkError {
        self.0.lost().await
    }

    /// Lets another take it.
    ///
    /// # Errors
    /// A store that does not answer. On S3 the lease then ends by itself after a minute.
    pub async fn release(self) -> Result<(), SinkError> {
        self.0.release().await
    }
}

impl Holder {
    /// This process, from now on.
    pub fn here(run_id: impl fmt::Display, command: &str, now: DateTime<Utc>) -> Self {
        Self {
            run_id: run_id.to_string(),
            command: command.to_owned(),
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            process: std::process::id(),
            since: now,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_id, command, host, process, since } = self;
        let since = since.format("%Y-%m-%d %H:%M:%S UTC");
        write!(
            f,
            "`compline {}` on {} (process {process}, run {run_id})",
            command.escape_debug(),
            host.escape_debug()
        )?;
        write!(f, " since {since}")
    }
}

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
    /// When it acquired the lease, by its own clock: to be shown, and never to be compared.
    pub since: DateTime<Utc>,
}

/// What became of acquiring a lease.
#[derive(Debug)]
pub enum LeaseOutcome {
    /// It is held now, until it is released or dropped.
    Taken(Lease),
    /// Another has it.
    HeldBy(Holder),
}

/// A lease that is held. Dropping it releases it too, without waiting for that.
#[derive(Debug)]
pub struct Lease(Box<dyn Held>);

/// What a store does for a lease.
#[async_trait]
pub(super) trait Held: Debug + Send + Sync {
    /// Ends when the lease is lost: another has taken it over, or it could not be renewed in time.
    async fn lost(&self) -> SinkError;

    /// Proves by asking the store, and not by a clock, that the lease is still held.
    async fn confirm(&self) -> Result<(), SinkError>;

    /// Lets another acquire it at once; what another has acquired meanwhile stays. A second time does nothing.
    async fn release(&self) -> Result<(), SinkError>;

    /// Ends as if its process were killed.
    #[cfg(test)]
    fn die(&self);
}

impl Lease {
    pub(super) fn new(held: impl Held + 'static) -> Self {
        Self(Box::new(held))
    }

    /// Ends when the lease is lost: another has taken it over, or it could not be renewed in time. Nothing may be written then.
    pub async fn lost(&self) -> SinkError {
        self.0.lost().await
    }

    /// Proves that the lease is still held, also after this process was frozen for any time: a round trip to S3, a look at the
    /// lock file in a folder.
    ///
    /// # Errors
    /// The lease is lost or released, or the store did not answer for as long as a lease lasts. Nothing may be written then.
    pub async fn confirm(&self) -> Result<(), SinkError> {
        self.0.confirm().await
    }

    /// Lets another acquire it at once. A lease that another has taken over is left to it, and a second release does nothing.
    ///
    /// # Errors
    /// A store that does not answer. What was written stands; on S3 the lease then ends by itself within two minutes, so this
    /// is to be told and does not make a run fail.
    pub async fn release(&self) -> Result<(), SinkError> {
        self.0.release().await
    }

    #[cfg(test)]
    pub(super) fn die(&self) {
        self.0.die();
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

    /// Somebody whose lease does not say who it is: it is damaged, or no compline wrote it.
    pub(super) fn unknown(since: DateTime<Utc>) -> Self {
        Self { run_id: String::new(), command: String::new(), host: String::new(), process: 0, since }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run_id, command, host, process, since } = self;
        let since = since.format("%Y-%m-%d %H:%M:%S UTC");
        if run_id.is_empty() {
            return write!(f, "somebody unknown (what its lease says cannot be read) since {since}");
        }
        write!(
            f,
            "`compline {}` on {} (process {process}, run {run_id})",
            command.escape_debug(),
            host.escape_debug()
        )?;
        write!(f, " since {since}")
    }
}

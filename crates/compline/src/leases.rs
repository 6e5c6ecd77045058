//! One writer: a session holds the leases of its aggregators.

use compline_model::AggregatorId;
use compline_sink::{Holder, Lake, Lease, LeaseOutcome, SinkError};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a lease is asked for that another holds.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The leases of a session.
pub(crate) struct Leases(BTreeMap<AggregatorId, Arc<Lease>>);

/// Another run holds the lease of an aggregator.
#[derive(Debug)]
pub(crate) struct Busy {
    aggregator: AggregatorId,
    holder: Holder,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { aggregator, holder } = self;
        write!(
            f,
            "another run holds the lease of {aggregator}: {holder}; nothing was done, and --wait 10m waits for it"
        )
    }
}

impl Error for Busy {}

impl Leases {
    /// None: of a session that only reads.
    pub(crate) fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Acquires the leases of these aggregators, waiting so long for a run that holds one.
    ///
    /// # Errors
    /// [`Busy`], or a lake that cannot be written.
    pub(crate) async fn acquire(
        lake: &Lake,
        aggregators: BTreeSet<AggregatorId>,
        holder: &Holder,
        wait: Duration,
    ) -> anyhow::Result<Self> {
        let until = Instant::now() + wait;
        let mut acquired = BTreeMap::new();
        // In the order of their ids: of runs that are after the same ones, one gets them all.
        for aggregator in aggregators {
            let lease = acquire_one(lake, &aggregator, holder, until).await?;
            acquired.insert(aggregator, Arc::new(lease));
        }
        Ok(Self(acquired))
    }

    /// Ends when the lease of an aggregator is lost: nothing may be written then.
    pub(crate) async fn lost(&self, aggregator: &AggregatorId) -> SinkError {
        match self.0.get(aggregator) {
            Some(lease) => lease.lost().await,
            None => std::future::pending().await,
        }
    }

    /// The lake as the holder of an aggregator's lease may write it: each change confirms the lease first.
    pub(crate) fn fenced(&self, lake: &Lake, aggregator: &AggregatorId) -> Lake {
        self.0.get(aggregator).map_or_else(|| lake.clone(), |lease| lake.fenced(Arc::clone(lease)))
    }

    /// Whether the session holds the lease of an aggregator.
    pub(crate) fn has(&self, aggregator: &AggregatorId) -> bool {
        self.0.contains_key(aggregator)
    }

    /// Lets other runs acquire them.
    pub(crate) async fn release(self) {
        for lease in self.0.into_values() {
            if let Err(error) = lease.release().await {
                tracing::warn!(%error, "a lease could not be released; it ends by itself in a minute");
            }
        }
    }
}

async fn acquire_one(lake: &Lake, aggregator: &AggregatorId, holder: &Holder, until: Instant) -> anyhow::Result<Lease> {
    let mut told = false;
    loop {
        match lake.lease(aggregator, holder).await? {
            LeaseOutcome::Taken(lease) => return Ok(lease),
            LeaseOutcome::HeldBy(other) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Busy { aggregator: aggregator.clone(), holder: other }.into());
                }
                if !told {
                    tracing::info!(%aggregator, holder = %other, "waiting for another run");
                    told = true;
                }
                tokio::time::sleep(POLL_INTERVAL.min(left)).await;
            }
        }
    }
}

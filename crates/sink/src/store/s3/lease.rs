//! A lease as an object: acquired with a conditional put, renewed while its holder lives, and taken over from one that does not.
//!
//! No wall clock is trusted. Each renewal makes another version of the object, so a holder is alive if the version changes. It
//! is taken over once it has been the same for as long as a lease lasts by the monotonic clock of the one that watches. A
//! release writes a tombstone with a conditional put, and never removes anything: a conditional delete is ignored by many
//! stores, and would then remove the lease of another.

mod document;
mod held;

use super::S3;
use super::{Put, error::Doing};
use crate::store::lease::{Holder, Lease, LeaseOutcome};
use crate::store::{Condition, S3Location, Version};
use crate::{SinkError, SinkErrorKind};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::{Client, Config};
use chrono::{DateTime, TimeDelta, Utc};
use document::Document;
use held::ObjectLease;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How long a lease lasts that is not renewed: a holder that was killed is in the way for no longer than twice that.
pub(super) const LASTS: Duration = Duration::from_secs(60);

/// Of a lease's time, what one attempt of a call about it may take: a call that stalls must leave time for others.
const ATTEMPTS_PER_LEASE: u32 = 6;

/// The least that one attempt may take: a busy machine needs as long to send anything.
const MIN_ATTEMPT: Duration = Duration::from_secs(1);

/// Attempts of one such call. What fails beyond them is called again, as long as the lease lasts.
const MAX_CALL_ATTEMPTS: u32 = 3;

/// How often a lease is tried that another run acquires or releases between two of our requests.
const MAX_ACQUIRE_ATTEMPTS: u32 = 8;

/// Of a lease's time, how often it is looked at while it is watched.
const LOOKS_PER_LEASE: u32 = 12;

/// What a store knows of its leases. The clones are one.
#[derive(Debug, Clone)]
pub(super) struct Leasing {
    lasts: Duration,
    /// One that gives up in time.
    client: Client,
    /// Leases of others: which version was seen first when. `--wait` asks once a second, and each goes on from the one before.
    watched: Arc<Mutex<HashMap<String, (Version, Instant)>>>,
    /// Set once this store was seen to check the conditions of puts.
    proven: Arc<OnceCell<()>>,
}

/// A lease's object as it was seen.
struct Seen {
    document: Document,
    version: Version,
    /// By the server's own clock, if it told the time.
    age: Option<TimeDelta>,
}

/// What a lease that could not be acquired is found to be.
enum Standing {
    Gone,
    Released(Version),
    /// Its holder no longer renews it.
    Abandoned(Version, Holder),
    Held(Holder),
}

impl Leasing {
    pub(super) fn new(config: &Config, location: &S3Location, lasts: Duration) -> Self {
        let attempt = location.attempt_timeout.min(attempt(lasts));
        let config = config
            .to_builder()
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(attempt).build())
            .retry_config(RetryConfig::standard().with_max_attempts(location.max_attempts.min(MAX_CALL_ATTEMPTS)))
            .build();
        Self { lasts, client: Client::from_conf(config), watched: Arc::default(), proven: Arc::default() }
    }

    /// How long a version has been seen unchanged, to the moment at which it was asked for again.
    fn unchanged_for(&self, key: &str, version: &Version, asked: Instant) -> Duration {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match watched.get(key) {
            Some((seen, since)) if seen == version => asked.saturating_duration_since(*since),
            _ => {
                watched.insert(key.to_owned(), (version.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    fn forget(&self, key: &str) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// How long one attempt of a call may take about a lease that lasts so long.
fn attempt(lasts: Duration) -> Duration {
    (lasts / ATTEMPTS_PER_LEASE).max(MIN_ATTEMPT)
}

impl Seen {
    /// Whether it was written within a lease's time. The answer's date and the object's are of one server's clock, whose
    /// seconds are whole; one that contradicts itself is not believed.
    fn is_young(&self, lasts: Duration) -> bool {
        let lasts = TimeDelta::from_std(lasts).unwrap_or(TimeDelta::MAX);
        self.age.is_some_and(|age| age < lasts && -age < lasts)
    }
}

impl S3 {
    pub(super) async fn acquire(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError> {
        let store = self.with_lease_client();
        for _ in 0..MAX_ACQUIRE_ATTEMPTS {
            if let Some(lease) = store.acquire_if(key, holder, Condition::New).await? {
                return Ok(LeaseOutcome::Taken(lease));
            }
            let version = match store.standing(key).await? {
                Standing::Gone => continue,
                Standing::Held(holder) => return Ok(LeaseOutcome::HeldBy(holder)),
                Standing::Released(version) => version,
                Standing::Abandoned(version, from) => {
                    tracing::warn!(key, %from, "taking over a lease that its holder no longer renews");
                    version
                }
            };
            if let Some(lease) = store.acquire_if(key, holder, Condition::Unchanged(version)).await? {
                return Ok(LeaseOutcome::Taken(lease));
            }
        }
        let reason = "other runs acquired it and released it all the time";
        Err(self.doing("acquire the lease", key).failed(&reason).hint(Some("run again".to_owned())))
    }

    /// Who seems to hold a lease: it was written within a lease's time, or the server does not tell the time.
    pub(super) async fn holder_of(&self, key: &str) -> Result<Option<Holder>, SinkError> {
        let Some(seen) = self.with_lease_client().look(key).await? else { return Ok(None) };
        let is_held = !seen.document.released && (seen.age.is_none() || seen.is_young(self.leasing.lasts));
        Ok(is_held.then_some(seen.document.holder))
    }

    /// The same store with requests that give up in time.
    fn with_lease_client(&self) -> Self {
        Self { client: self.leasing.client.clone(), ..self.clone() }
    }

    async fn acquire_if(&self, key: &str, holder: &Holder, condition: Condition) -> Result<Option<Lease>, SinkError> {
        let (document, asked) = (Document::new(holder), Instant::now());
        let version = match self.put_at_once(key, document.to_json()?, &condition).await? {
            Put::Stored(version) => version,
            Put::Refused => return Ok(None),
        };
        self.leasing.forget(key);
        let lease = Lease::new(ObjectLease::start(self.clone(), key, document.clone(), version, asked));
        if let Err(error) = self.leasing.proven.get_or_try_init(|| self.prove_conditions(key, &document)).await {
            let _ = lease.release().await;
            return Err(error);
        }
        Ok(Some(lease))
    }

    /// Makes sure, on a lease that was just acquired, that this store checks conditions: on one that does not, two runs would
    /// both believe that they hold it. Nothing is changed where it does.
    async fn prove_conditions(&self, key: &str, document: &Document) -> Result<(), SinkError> {
        let unlike = document.next(false);
        for (name, condition) in
            [("If-None-Match", Condition::New), ("If-Match", Condition::Unchanged(Version::of_no_object()))]
        {
            if let Put::Stored(_) = self.put_once(key, unlike.to_json()?, &condition).await? {
                let Doing { verb, what, .. } = self.doing("acquire the lease", key);
                let reason = format!("this store ignores {name}, without which two runs cannot be kept apart");
                let hint = "use a store that has conditional puts, or a folder";
                return Err(SinkError::permanent(format!("{verb} {what}"), reason).hint(Some(hint.to_owned())));
            }
        }
        Ok(())
    }

    /// What becomes of a lease that was not acquired. One that is young by the server's own clock is held, which is known at
    /// once. An older one is watched until it changes, or has been the same for a lease's time.
    async fn standing(&self, key: &str) -> Result<Standing, SinkError> {
        let lasts = self.leasing.lasts;
        let mut first: Option<Version> = None;
        loop {
            let asked = Instant::now();
            let Some(seen) = self.look(key).await? else { return Ok(Standing::Gone) };
            if seen.document.released {
                return Ok(Standing::Released(seen.version));
            }
            let unchanged = self.leasing.unchanged_for(key, &seen.version, asked);
            if unchanged >= lasts {
                return Ok(Standing::Abandoned(seen.version, seen.document.holder));
            }
            if unchanged.is_zero() {
                self.watch_beside(key).await;
            }
            let is_renewed = first.as_ref().is_some_and(|first| *first != seen.version);
            if is_renewed || seen.is_young(lasts) {
                return Ok(Standing::Held(seen.document.holder));
            }
            if first.is_none() {
                tracing::info!(key, holder = %seen.document.holder, "watching whether an old lease is still renewed");
            }
            first = Some(seen.version);
            tokio::time::sleep((lasts - unchanged).min(lasts / LOOKS_PER_LEASE)).await;
        }
    }

    /// Begins to watch the other leases as well: a run that was killed has left all of its own, and who takes them over would
    /// watch one after the other for as long as each lasts. Nothing depends on it but time, so that what fails is left out.
    async fn watch_beside(&self, key: &str) {
        let (folder, _) = key.rsplit_once('/').unwrap_or_default();
        let Ok(beside) = self.objects(&format!("{folder}/"), "").await else { return };
        for other in beside.iter().filter(|other| other.key != key) {
            let asked = Instant::now();
            if let Ok(Some(version)) = self.head(&other.key).await {
                self.leasing.unchanged_for(&other.key, &version, asked);
            }
        }
    }

    async fn look(&self, key: &str) -> Result<Option<Seen>, SinkError> {
        let Some(there) = self.read_whole(key).await? else { return Ok(None) };
        let told = there.modified != DateTime::<Utc>::default();
        let age = self.clock.now().filter(|_| told).map(|now| now - there.modified);
        let document = Document::read(&there.body, there.modified);
        Ok(Some(Seen { document, version: there.version, age }))
    }
}

/// A lease that is not held any more.
fn lost(s3: &S3, key: &str, why: &str) -> SinkError {
    let Doing { what, .. } = s3.doing("renew", key);
    let hint = "another run may be writing what this one was to write; run again when it is done";
    SinkError::new(SinkErrorKind::Transient, format!("renew the lease {what}"), why).hint(Some(hint.to_owned()))
}

#[cfg(test)]
impl S3 {
    /// The same store with leases that last another time.
    pub(crate) fn with_leases_for(self, lasts: Duration) -> Self {
        Self { leasing: Leasing::new(self.client.config(), &self.location, lasts), ..self }
    }
}

//! A lease as an object: taken with a conditional put, renewed while its holder lives, and taken over from one that does not.

use super::error::Doing;
use super::{Condition, ETag, S3, clean_up};
use crate::store::lease::{Held, Holder, Lease, LeaseOutcome};
use crate::{SinkError, SinkErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a lease is good for that is not renewed: a holder that was killed is in the way for no longer.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(60);

/// How far the clocks of two machines may be apart that S3 still takes requests from.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(15);

/// How often a lease is asked for that changes hands all the time.
const ATTEMPTS: u32 = 8;

/// The lease's object.
#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    holder: Holder,
    expires_at: DateTime<Utc>,
}

/// A lease that is held.
#[derive(Debug)]
struct Object {
    note: Arc<Renewed>,
    /// The task that renews it, until it is told to end.
    renewing: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    /// Why it is lost, once it is.
    lost: watch::Receiver<Option<String>>,
}

/// What is renewed.
#[derive(Debug)]
struct Renewed {
    s3: S3,
    key: String,
    holder: Holder,
}

impl S3 {
    pub(super) async fn take(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError> {
        for _ in 0..ATTEMPTS {
            let asked = Instant::now();
            if let Some(etag) = self.put_note(key, holder, Condition::New).await? {
                return Ok(LeaseOutcome::Taken(self.held(key, holder, etag, asked)));
            }
            let Some((note, etag)) = self.note(key).await? else { continue };
            if !self.has_ended(key, &note, &etag).await? {
                return Ok(LeaseOutcome::HeldBy(note.holder));
            }
            let asked = Instant::now();
            if let Some(etag) = self.put_note(key, holder, Condition::Unchanged(&etag)).await? {
                tracing::warn!(key, from = %note.holder, "took over a lease that its holder no longer renews");
                return Ok(LeaseOutcome::Taken(self.held(key, holder, etag, asked)));
            }
        }
        Err(self
            .doing("take the lease", key)
            .failed(&"it changed hands all the time")
            .hint(Some("run again".to_owned())))
    }

    /// Whether the holder no longer renews its lease. Where its clock and ours could be why it seems so, that is watched.
    async fn has_ended(&self, key: &str, note: &Note, etag: &str) -> Result<bool, SinkError> {
        let over = Utc::now() - note.expires_at;
        if over < TimeDelta::zero() {
            return Ok(false);
        }
        if over < CLOCKS_DIFFER {
            tracing::info!(key, holder = %note.holder, "watching a lease that seems to have ended");
            tokio::time::sleep(self.lease_for).await;
            return Ok(self.note(key).await?.is_none_or(|(_, now)| now == etag));
        }
        Ok(true)
    }

    async fn put_note(&self, key: &str, holder: &Holder, condition: Condition<'_>) -> Result<Option<ETag>, SinkError> {
        let good_for = TimeDelta::from_std(self.lease_for).unwrap_or_default();
        let note = Note { holder: holder.clone(), expires_at: Utc::now() + good_for };
        let note = serde_json::to_vec_pretty(&note).map_err(|error| SinkError::permanent("write a lease", error))?;
        self.put_at_once(key, Bytes::from(note), condition).await
    }

    async fn note(&self, key: &str) -> Result<Option<(Note, ETag)>, SinkError> {
        let Some((body, etag)) = self.versioned(key).await? else { return Ok(None) };
        match serde_json::from_slice(&body) {
            Ok(note) => Ok(Some((note, etag))),
            Err(error) => {
                let hint = "if no compline is at work on this lake, remove it";
                let Doing { what, .. } = self.doing("read", key);
                Err(SinkError::permanent(format!("read the lease {what}"), error).hint(Some(hint.to_owned())))
            }
        }
    }

    fn held(&self, key: &str, holder: &Holder, etag: ETag, asked: Instant) -> Lease {
        let note = Arc::new(Renewed { s3: self.clone(), key: key.to_owned(), holder: holder.clone() });
        let (lose, lost) = watch::channel(None);
        let (end, ended) = watch::channel(false);
        let renew = Arc::clone(&note);
        let renewing = tokio::spawn(async move {
            if let Some(why) = renew.renew(etag, asked, ended).await {
                let _ = lose.send(Some(why));
            }
        });
        Lease(Box::new(Object { note, renewing: Some((end, renewing)), lost }))
    }
}

impl Renewed {
    /// Renews the lease until it is told to end; gives why it does so no longer, if it is lost.
    async fn renew(&self, mut etag: ETag, mut renewed: Instant, mut ended: watch::Receiver<bool>) -> Option<String> {
        let good_for = self.s3.lease_for;
        let why = loop {
            tokio::select! {
                () = tokio::time::sleep(good_for / 4) => {}
                _ = ended.changed() => return None,
            }
            let asked = Instant::now();
            // What does not answer in time is as good as lost: another may have it by then.
            let put = self.s3.put_note(&self.key, &self.holder, Condition::Unchanged(&etag));
            match tokio::time::timeout_at(renewed + good_for, put).await {
                Ok(Ok(Some(now))) => (etag, renewed) = (now, asked),
                Ok(Ok(None)) => break "another run has taken it".to_owned(),
                Ok(Err(error)) if renewed.elapsed() < good_for => {
                    tracing::warn!(%error, "a lease could not be renewed yet");
                }
                Ok(Err(error)) => break format!("it could not be renewed: {error}"),
                Err(_) => break "it could not be renewed in time".to_owned(),
            }
        };
        Some(why)
    }

    async fn remove(&self) -> Result<(), SinkError> {
        self.s3.remove(std::slice::from_ref(&self.key)).await
    }
}

impl Object {
    /// Ends renewing and removes the object, unless it is another's by now; nothing if that is done already.
    fn end(&mut self) -> Option<impl Future<Output = Result<(), SinkError>> + Send + 'static> {
        let (end, renewing) = self.renewing.take()?;
        let (note, lost) = (Arc::clone(&self.note), self.lost.clone());
        Some(async move {
            let _ = end.send(true);
            // A renewal under way is over before the object is removed, or it would come back.
            let _ = renewing.await;
            let is_lost = lost.borrow().is_some();
            if is_lost { Ok(()) } else { note.remove().await }
        })
    }
}

#[cfg(test)]
impl S3 {
    /// The same store with leases that are good for another time.
    pub(crate) fn with_leases_for(self, lease_for: Duration) -> Self {
        Self { lease_for, ..self }
    }
}

#[async_trait]
impl Held for Object {
    async fn lost(&self) -> SinkError {
        let mut lost = self.lost.clone();
        let why = match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the task that renews it has stopped".to_owned(),
        };
        let Doing { what, .. } = self.note.s3.doing("keep", &self.note.key);
        let hint = "another run may be at work on this aggregator; run again when it is done";
        SinkError::new(SinkErrorKind::Transient, format!("keep the lease {what}"), why).hint(Some(hint.to_owned()))
    }

    async fn release(mut self: Box<Self>) -> Result<(), SinkError> {
        match self.end() {
            Some(end) => end.await,
            None => Ok(()),
        }
    }

    #[cfg(test)]
    fn die(&mut self) {
        if let Some((end, renewing)) = self.renewing.take() {
            renewing.abort();
            std::mem::forget(end);
        }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let Some(end) = self.end() else { return };
        clean_up(&self.note.s3.cleanups, async move {
            if let Err(error) = end.await {
                tracing::warn!(%error, "a lease could not be released; it ends by itself in a minute");
            }
        });
    }
}

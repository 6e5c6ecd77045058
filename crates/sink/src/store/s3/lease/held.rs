//! A lease that is held: renewed, confirmed, and released in the end.

use super::{Document, Put, S3, attempt, lost};
use crate::store::lease::Held;
use crate::store::s3::clean_up;
use crate::store::{Condition, Version};
use crate::{SinkError, SinkErrorKind};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// Of a lease's time, how often it is renewed. Every renewal is another version in a bucket that retains versions.
const RENEWALS_PER_LEASE: u32 = 3;

/// Of a lease's time, how soon after a renewal, one that failed or came late, it is tried again.
const RETRIES_PER_LEASE: u32 = 12;

/// How long a release may take: its run is done, and a store that does not answer does not hold it up for longer.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a renewal is tried that meets another of this same lease, whose answer was lost.
const MAX_REPLACE_ATTEMPTS: u32 = 3;

/// A lease that is held.
#[derive(Debug)]
pub(super) struct ObjectLease {
    shared: Arc<Shared>,
    /// The task that renews it.
    renewing: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    /// With requests that give up in time.
    s3: S3,
    key: String,
    /// One request at a time changes the object.
    state: Mutex<State>,
    /// Why it is lost, once it is.
    lost: watch::Sender<Option<String>>,
    /// Whether it is released, or about to be.
    ended: AtomicBool,
}

/// The object as it was last put by this process.
#[derive(Debug)]
struct State {
    document: Document,
    version: Version,
    /// Before the request was sent that put it.
    renewed: Instant,
    /// A document whose put no answer came to, and when it was sent first: it may be there since.
    unanswered: Option<(Document, Instant)>,
}

/// What became of replacing the object.
enum Replaced {
    Ours,
    /// It is another's, or gone, and how so.
    Lost(String),
}

impl ObjectLease {
    pub(super) fn start(s3: S3, key: &str, document: Document, version: Version, asked: Instant) -> Self {
        let state = Mutex::new(State { document, version, renewed: asked, unanswered: None });
        let (lost, ended) = (watch::Sender::new(None), AtomicBool::new(false));
        let shared = Arc::new(Shared { s3, key: key.to_owned(), state, lost, ended });
        let renewing = tokio::spawn(Arc::clone(&shared).renew_until_lost()).abort_handle();
        Self { shared, renewing }
    }
}

impl Shared {
    fn lasts(&self) -> Duration {
        self.s3.leasing.lasts
    }

    async fn renew_until_lost(self: Arc<Self>) {
        let lasts = self.lasts();
        loop {
            let due = self.state.lock().await.renewed + lasts / RENEWALS_PER_LEASE;
            sleep_until(due.max(Instant::now() + lasts / RETRIES_PER_LEASE)).await;
            let renewed = self.state.lock().await.renewed;
            // A process that was frozen is late, and still asks: the condition says whether another has taken the lease over.
            let until = (renewed + lasts).max(Instant::now() + attempt(lasts));
            match timeout_at(until, self.replace(false)).await {
                Ok(Ok(Replaced::Ours)) => {}
                Ok(Ok(Replaced::Lost(why))) => return self.lose(why),
                Ok(Err(error)) if renewed.elapsed() < lasts => {
                    tracing::warn!(key = self.key, %error, "a lease could not be renewed yet");
                }
                Ok(Err(error)) => return self.lose(format!("it could not be renewed in time: {error}")),
                Err(_) => return self.lose("it could not be renewed in time: the store does not answer".to_owned()),
            }
        }
    }

    fn lose(&self, why: String) {
        self.lost.send_if_modified(|lost| match lost {
            Some(_) => false,
            None => lost.replace(why).is_none(),
        });
    }

    /// Puts the next document in the place of the last one, by which it is renewed or released.
    async fn replace(&self, released: bool) -> Result<Replaced, SinkError> {
        let mut state = self.state.lock().await;
        let mut refused = None;
        for _ in 0..MAX_REPLACE_ATTEMPTS {
            let (next, asked) = (state.document.next(released), Instant::now());
            let sent_first = match state.unanswered.take() {
                Some((document, at)) if document == next => at,
                _ => asked,
            };
            state.unanswered = Some((next.clone(), sent_first));
            let condition = Condition::Unchanged(state.version.clone());
            let body = next.to_json()?;
            // At once: what is there is looked at by the next one, in the time that is left.
            if let Put::Stored(version) = self.s3.put_once(&self.key, body, &condition).await? {
                *state = State { document: next, version, renewed: asked, unanswered: None };
                return Ok(Replaced::Ours);
            }
            let Some(seen) = self.s3.look(&self.key).await? else {
                return Ok(Replaced::Lost(
                    "its object was removed, so that another run may have acquired it".to_owned(),
                ));
            };
            if !seen.document.is_of(&state.document) {
                return Ok(Replaced::Lost(format!("another run has taken it over: {}", seen.document.holder)));
            }
            refused = condition.holds(Some(&seen.version)).then(|| self.s3.contradicts(&self.key, &condition));
            if refused.is_some() {
                continue;
            }
            // It is ours: an attempt landed whose answer was lost, of this renewal or of an earlier one.
            let is_this = seen.document == next;
            state.version = seen.version;
            state.document = seen.document;
            if is_this {
                (state.renewed, state.unanswered) = (sent_first, None);
                return Ok(Replaced::Ours);
            }
        }
        Err(refused.unwrap_or_else(|| lost(&self.s3, &self.key, "its object is replaced all the time")))
    }

    /// Proves that the lease is held. One that was renewed lately has most of its time left, so a look at the object does,
    /// which makes no version; another is renewed.
    async fn confirm_once(&self) -> Result<Replaced, SinkError> {
        {
            let state = self.state.lock().await;
            let is_fresh = state.renewed.elapsed() < self.lasts() / 2;
            if is_fresh && self.s3.head(&self.key).await?.as_ref() == Some(&state.version) {
                return Ok(Replaced::Ours);
            }
        }
        self.replace(false).await
    }

    /// Releases the lease unless that is done. It is worth trying also when the lease seems lost: the condition decides.
    async fn release(&self) -> Result<(), SinkError> {
        if self.ended.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let released = async {
            match self.replace(true).await {
                // Its answers may have been lost: then the next one meets it.
                Err(error) if error.kind == SinkErrorKind::Transient => self.replace(true).await,
                replaced => replaced,
            }
        };
        match timeout(RELEASE_TIMEOUT, released).await {
            Ok(Ok(Replaced::Ours)) => Ok(()),
            Ok(Ok(Replaced::Lost(why))) => {
                tracing::debug!(key = self.key, why, "nothing to release");
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.s3.doing("release the lease", &self.key).failed(&"the store does not answer")),
        }
    }
}

#[async_trait]
impl Held for ObjectLease {
    async fn lost(&self) -> SinkError {
        let mut why = self.shared.lost.subscribe();
        let why = match why.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the task that renews it has stopped".to_owned(),
        };
        lost(&self.shared.s3, &self.shared.key, &why)
    }

    async fn confirm(&self) -> Result<(), SinkError> {
        let Shared { s3, key, ended, lost: why, .. } = &*self.shared;
        let began = Instant::now();
        loop {
            if ended.load(Ordering::SeqCst) {
                return Err(lost(s3, key, "it was released"));
            }
            let known = why.borrow().clone();
            if let Some(why) = known {
                return Err(lost(s3, key, &why));
            }
            match self.shared.confirm_once().await {
                Ok(Replaced::Ours) => return Ok(()),
                Ok(Replaced::Lost(why)) => self.shared.lose(why),
                Err(error) if began.elapsed() > self.shared.lasts() => return Err(error),
                // What stays in the way for a moment does not fail a night.
                Err(error) => {
                    tracing::warn!(key, %error, "a lease could not be confirmed yet");
                    tokio::time::sleep(self.shared.lasts() / RETRIES_PER_LEASE).await;
                }
            }
        }
    }

    async fn release(&self) -> Result<(), SinkError> {
        // A renewal under way may land all the same: the release then meets it and goes on from it.
        self.renewing.abort();
        self.shared.release().await
    }

    #[cfg(test)]
    fn die(&self) {
        self.renewing.abort();
        self.shared.ended.store(true, Ordering::SeqCst);
    }
}

impl Drop for ObjectLease {
    fn drop(&mut self) {
        self.renewing.abort();
        if self.shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        clean_up(&self.shared.s3.cleanups, async move {
            if let Err(error) = shared.release().await {
                tracing::warn!(%error, "a lease could not be released; it ends by itself within two minutes");
            }
        });
    }
}

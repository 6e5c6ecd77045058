//! What goes over the wire, attempt by attempt: counted, and the last body kept for the strict parser.

use crate::pace::Pace;
use aws_sdk_config::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_config::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_config::error::BoxError;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// What one aggregator's client has sent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Requests sent, repeated ones included.
    pub calls: u64,
    /// Requests that repeated one that had failed.
    pub retries: u64,
    /// Requests answered with a throttling error.
    pub throttles: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    operations: AtomicU64,
    attempts: AtomicU64,
    throttles: AtomicU64,
    endpoint_logged: AtomicBool,
}

impl Counters {
    pub(crate) fn counts(&self) -> CallCounts {
        let (calls, operations) = (self.attempts.load(Relaxed), self.operations.load(Relaxed));
        CallCounts { calls, retries: calls.saturating_sub(operations), throttles: self.throttles.load(Relaxed) }
    }
}

/// Watches one call: an interceptor that counts its attempts, tells the pace how each went and keeps the last.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    counters: Arc<Counters>,
    pace: Pace,
    last: Arc<Mutex<Option<Attempt>>>,
}

/// One attempt: when it was sent, and what came of it.
#[derive(Debug)]
struct Attempt {
    sent_at: Instant,
    throttled: bool,
    body: Bytes,
}

impl Recorder {
    pub(crate) fn new(counters: &Arc<Counters>, pace: &Pace) -> Self {
        Self { counters: Arc::clone(counters), pace: pace.clone(), last: Arc::default() }
    }

    fn last(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the last answer; empty if there was none.
    pub(crate) fn body(&self) -> Bytes {
        self.last().as_ref().map(|attempt| attempt.body.clone()).unwrap_or_default()
    }
}

impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "Recorder"
    }

    fn read_before_attempt(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.counters.attempts.fetch_add(1, Relaxed);
        let before = self.last().replace(Attempt { sent_at: Instant::now(), throttled: false, body: Bytes::new() });
        match before {
            None => drop(self.counters.operations.fetch_add(1, Relaxed)),
            // A throttled call has waited for its turn; one that failed otherwise takes a turn from those that wait.
            Some(attempt) if !attempt.throttled => drop(self.pace.reserve()),
            Some(_) => {}
        }
        if !self.counters.endpoint_logged.swap(true, Relaxed) {
            tracing::debug!(service = "config", uri = context.request().uri(), "endpoint");
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(response) = context.response() else { return Ok(()) };
        let body = response.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default();
        let throttled = is_throttle(response.status().as_u16(), response.headers().get("x-amzn-errortype"), &body);
        if let Some(attempt) = self.last().as_mut() {
            (attempt.throttled, attempt.body) = (throttled, body);
            if throttled {
                self.counters.throttles.fetch_add(1, Relaxed);
            }
            self.pace.answered(attempt.sent_at, throttled);
        }
        Ok(())
    }
}

/// Whether an answer is a throttle: by status, or by the error's name in the header or the body.
fn is_throttle(status: u16, error_type: Option<&str>, body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(alias = "code")]
        __type: String,
    }
    if status == 429 {
        return true;
    }
    if status != 400 {
        return false;
    }
    let names_throttle = |name: &str| name.contains("Throttl") || name.contains("TooManyRequests");
    error_type.is_some_and(names_throttle)
        || serde_json::from_slice::<Body>(body).is_ok_and(|body| names_throttle(&body.__type))
}

//! What goes over the wire, attempt by attempt: counted, the server's clock noted, and the last body taken for the strict
//! parser. The SDK gets an empty one in its place: it would parse every row of every page as well, for nobody.

use aws_sdk_config::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef,
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_config::config::retry::RetryConfig;
use aws_sdk_config::config::timeout::TimeoutConfig;
use aws_sdk_config::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_config::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use compline_aws::OnceAWhile;
use compline_model::causes;
use compline_pace::Pace;
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
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
    throttling: OnceAWhile,
    /// The server's time less this machine's, when the last answer came.
    clock_offset: Mutex<Option<TimeDelta>>,
}

impl Counters {
    pub(crate) fn counts(&self) -> CallCounts {
        let (calls, operations) = (self.attempts.load(Relaxed), self.operations.load(Relaxed));
        CallCounts { calls, retries: calls.saturating_sub(operations), throttles: self.throttles.load(Relaxed) }
    }

    pub(crate) fn clock_offset(&self) -> Option<TimeDelta> {
        *self.clock_offset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_clock_offset(&self, offset: TimeDelta) {
        *self.clock_offset.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
    }
}

/// Watches one call: an interceptor that counts its attempts, tells the pace how each went and keeps the last.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    counters: Arc<Counters>,
    pace: Pace,
    last: Arc<Mutex<Option<Attempt>>>,
    /// The body of a 200, as far as it came.
    taken: Arc<Mutex<BytesMut>>,
}

/// One attempt: when it was sent, and what came of it.
#[derive(Debug)]
struct Attempt {
    sent_at: Instant,
    throttled: bool,
    answer: Answer,
}

/// What came of the attempts of a call so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tried {
    pub(crate) attempts: u32,
    /// How many of them were throttled, and what the last of these said.
    pub(crate) throttles: u32,
    pub(crate) status: u16,
    pub(crate) said: Bytes,
    pub(crate) request_id: Option<String>,
    /// How the last one failed, where it was not throttled, nor ended by the end of the call's own time.
    pub(crate) failed: Option<String>,
}

/// What came back of an attempt, as far as errors need it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// The HTTP status; 0 if there was no answer.
    pub(crate) status: u16,
    /// Where a redirection leads.
    pub(crate) location: Option<String>,
    pub(crate) body: Bytes,
    /// Whether the request was sent: before that credentials are asked for.
    pub(crate) is_sent: bool,
    /// Of this attempt and those before it.
    pub(crate) tried: Tried,
}

impl Recorder {
    pub(crate) fn new(counters: &Arc<Counters>, pace: &Pace) -> Self {
        Self { counters: Arc::clone(counters), pace: pace.clone(), last: Arc::default(), taken: Arc::default() }
    }

    fn taken(&self) -> MutexGuard<'_, BytesMut> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last answer; an empty one if there was none.
    pub(crate) fn answer(&self) -> Answer {
        self.last().as_ref().map(|attempt| attempt.answer.clone()).unwrap_or_default()
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
        let mut last = self.last();
        let before = last.take();
        match &before {
            None => drop(self.counters.operations.fetch_add(1, Relaxed)),
            // A throttled call has waited for its turn; one that failed otherwise takes a turn from those that wait.
            Some(attempt) if !attempt.throttled => drop(self.pace.reserve()),
            Some(_) => {}
        }
        let mut tried = before.map(|attempt| attempt.answer.tried).unwrap_or_default();
        tried.attempts += 1;
        let answer = Answer { tried, ..Answer::default() };
        *last = Some(Attempt { sent_at: Instant::now(), throttled: false, answer });
        drop(last);
        if !self.counters.endpoint_logged.swap(true, Relaxed) {
            tracing::debug!(service = "config", uri = context.request().uri(), "endpoint");
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(attempt) = self.last().as_mut() {
            attempt.answer.is_sent = true;
        }
        Ok(())
    }

    /// Notes the server's clock as soon as an answer begins. The SDK corrects its signatures by it and says nothing, but a
    /// snapshot date that follows from a wrong clock would be wrong all the same.
    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        if let Some(offset) = clock_offset(headers.get(REQUEST_ID), headers.get("date"), Utc::now()) {
            self.counters.note_clock_offset(offset);
        }
        Ok(())
    }

    /// Takes the body of a 200 as it comes. That of an error is the SDK's, which decides by it whether to try again.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.taken().clear();
        let response = context.response_mut();
        if response.status().as_u16() != OK {
            return Ok(());
        }
        let recorder = self.clone();
        let taking = response.take_body().map_frame(move |frame| {
            frame.map_data(|data| {
                recorder.taken().extend_from_slice(&data);
                Bytes::new()
            })
        });
        *response.body_mut() = SdkBody::from_body_1_x(taking);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut last = self.last();
        let Some(attempt) = last.as_mut() else { return Ok(()) };
        let error = context.output_or_error().and_then(Result::err);
        match context.response() {
            Some(response) => self.note_answer(attempt, response, error.is_some()),
            None => attempt.note_failure(error.map(|error| causes(error))),
        }
        bound_retries(config, attempt);
        Ok(())
    }
}

impl Recorder {
    /// Notes an answer, and tells the pace of it.
    fn note_answer(&self, attempt: &mut Attempt, response: &HttpResponse, is_error: bool) {
        let status = response.status().as_u16();
        let body = match status {
            // Of one that did not come whole there is nothing.
            OK if is_error => Bytes::new(),
            OK => self.taken().split().freeze(),
            _ => response.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default(),
        };
        attempt.throttled = is_throttle(response);
        let location = response.headers().get("location").map(str::to_owned);
        let tried = &mut attempt.answer.tried;
        if attempt.throttled {
            tried.throttles += 1;
            (tried.status, tried.said, tried.failed) = (status, body.clone(), None);
            tried.request_id = response.headers().get(REQUEST_ID).map(str::to_owned);
            self.counters.throttles.fetch_add(1, Relaxed);
            if self.counters.throttling.is_due() {
                let CallCounts { calls, throttles, .. } = self.counters.counts();
                tracing::info!(calls, throttles, "AWS Config throttles calls: asking more slowly");
            }
        } else if status >= 500 {
            tried.failed = Some(format!("HTTP {status}"));
        }
        (attempt.answer.status, attempt.answer.location, attempt.answer.body) = (status, location, body);
        self.pace.answered(attempt.sent_at, attempt.throttled);
    }
}

impl Attempt {
    /// Notes how an attempt failed that no answer came to.
    fn note_failure(&mut self, error: Option<String>) {
        if let Some(failed) = error.filter(|error| !error.contains(OF_THE_CALL)) {
            self.answer.tried.failed = Some(failed);
        }
    }
}

/// The status of an answer to what was asked.
const OK: u16 = 200;

/// The header of an answer's id at AWS.
const REQUEST_ID: &str = "x-amzn-requestid";

/// Bounds what the SDK does after an attempt. One that was throttled counts as none: it was not its turn, which is no failure, and beside
/// others who take most of a limit's turns a call may be throttled many times. It waits for its next turn as long as it may take in all.
/// After a failure the wait grows with the failures alone.
fn bound_retries(config: &mut ConfigBag, attempt: &Attempt) {
    let Some(retries) = config.load::<RetryConfig>().cloned() else { return };
    let may_take = config.load::<TimeoutConfig>().and_then(TimeoutConfig::operation_timeout).unwrap_or(Duration::MAX);
    let retries = if attempt.throttled {
        let attempts = retries.max_attempts().saturating_add(1);
        retries.with_max_attempts(attempts).with_max_backoff(may_take)
    } else {
        let Tried { attempts, throttles, .. } = attempt.answer.tried;
        let failures = attempts.saturating_sub(throttles);
        let grown = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        retries.with_max_backoff(grown.min(LONGEST_WAIT).min(may_take))
    };
    config.interceptor_state().store_put(retries);
}

/// How long the SDK waits after a first failure, at most, and after any: ten attempts are made within the five minutes of a call.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What the SDK says of the end of a call's own time, and not of an attempt's.
const OF_THE_CALL: &str = "all attempts including retries";

/// Whether an answer is a throttle: by status, or by the error's name in the header or the body.
pub(crate) fn is_throttle(response: &HttpResponse) -> bool {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(alias = "code")]
        __type: String,
    }
    let status = response.status().as_u16();
    // Those that the SDK takes for one (THROTTLING_ERRORS of aws-runtime), as far as AWS Config may give them.
    let names_throttle =
        |name: &str| ["Throttl", "TooManyRequests", "LimitExceeded", "SlowDown"].iter().any(|part| name.contains(part));
    let in_body = |body| serde_json::from_slice::<Body>(body).is_ok_and(|body| names_throttle(&body.__type));
    let named = || {
        response.headers().get("x-amzn-errortype").is_some_and(names_throttle)
            || response.body().bytes().is_some_and(in_body)
    };
    status == 429 || (status >= 400 && named())
}

/// The server's time less this machine's, as an answer's headers say it. What has no request id is not from AWS: a proxy that
/// refuses a call has a clock of its own.
fn clock_offset(request_id: Option<&str>, date: Option<&str>, now: DateTime<Utc>) -> Option<TimeDelta> {
    request_id?;
    let date = DateTime::parse_from_rfc2822(date?).ok()?;
    Some(date.to_utc() - now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f08_the_clock_is_compared_with_the_date_of_answers_that_are_from_aws() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T00:00:00Z").expect("a time").to_utc();
        let offset = |date| clock_offset(Some("an id"), Some(date), now).map(|offset| offset.num_seconds());
        assert_eq!(offset("Sun, 01 Mar 2026 00:00:05 GMT"), Some(5));
        assert_eq!(offset("Fri, 27 Feb 2026 22:00:00 GMT"), Some(-26 * 3600));
        for no_date in ["", "yesterday", "Sun, 99 Mar 2026 00:00:05 GMT"] {
            assert_eq!(offset(no_date), None, "{no_date}");
        }
        assert_eq!(clock_offset(Some("an id"), None, now), None);
        assert_eq!(clock_offset(None, Some("Sun, 01 Mar 2026 00:00:05 GMT"), now), None, "a proxy's clock");
    }
}

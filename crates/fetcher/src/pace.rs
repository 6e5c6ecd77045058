//! The pace of calls: as fast as AWS Config lets through, with few throttles.
//!
//! The limit of the API is not published, low, per account and region, and shared with others who ask; nor is it known how many calls it
//! lets through at once. The SDK's adaptive mode falls to seven tenths at every throttle and is back at the limit two seconds later:
//! against a limit of 10 a second a night takes 1.4 times as long as it must, and against 2 a second every fifth call is throttled. A
//! limiter with a fixed quota would need to be told the limit. What is measured between two throttles is the limit only if many calls
//! are let through at once: of one call at a time, a pace that is 3 % too fast is throttled at every second call. So the limit is not
//! measured. The pace is held where a small share of the calls is throttled, which is at the limit, whatever the rest is:
//!
//! 1. *Free*: calls are sent as they come, until [`TOO_MANY`] of the last [`WINDOW`] and [`FREE_SHARE`] of them are throttled.
//! 2. *Searching* begins with what was let through until then by its time, [`BURST_SECS`] more, and not under [`MIN_FIRST`]. Each
//!    call that is let through makes it faster by [`SEARCHING`]. The first throttle makes it [`FOUND`] of that.
//! 3. *Settled*: each throttle makes the pace slower by a step, [`STEP`] of it, in the beginning a larger one: [`FIRST_STEPS`] more,
//!    halved every [`STEPS_HALVED`] throttles. Each call that is let through makes it faster by so much of the step that both are even
//!    when [`SHARE`] of the calls are throttled.
//! 4. After [`ALONE_AFTER`] calls without a throttle it grows twice as fast with every [`ALONE_DOUBLES`], up to [`MAX_ALONE`] times:
//!    others may have left some of the limit.
//! 5. It grows only while calls wait for their turn: a pace that nobody waits for says nothing of the limit.
//! 6. Calls sent before the limit was first met, or found, say nothing of the pace that is now.
//! 7. After [`NOTHING_AFTER`] throttles one after another, and nothing between them, others use the limit up: everybody waits, at first
//!    [`FIRST_WAIT`] and twice as long each time, up to [`MAX_WAIT`], and the pace stays as it is.
//!
//! Its constants are those that did best over whole nights against some 400 limits: of 2 to 70 calls a second, 1 call to two seconds'
//! worth at once, latencies of 5 to 300 ms; alone, beside another caller, four processes at a time, and limits that change.

use aws_sdk_config::config::retry::ClassifyRetry;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{RetryAction, RetryClassifierPriority, RetryReason};
use aws_smithy_types::retry::ErrorKind;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many of the last calls say that there is a limit, how many throttles among them do, and which share of them. Some throttles say
/// nothing of the pace, such as those of a server that throttles one call in twenty whatever comes.
const WINDOW: usize = 16;
const TOO_MANY: usize = 3;
const FREE_SHARE: f64 = 0.2;

/// About how many seconds' worth of calls are let through at once.
const BURST_SECS: f64 = 0.4;

/// The slowest pace to begin with, in calls a second: a slow limit takes a few throttles to be found, a fast one many seconds.
const MIN_FIRST: f64 = 8.0;

/// The slowest pace: a limit that falls to nothing for a while must not stop a night for good.
const SLOWEST: f64 = 0.2;

/// The fastest: one without a bound would be of no use when the limit is met again.
const FASTEST: f64 = 1e6;

/// How much faster each call makes the pace while the limit is searched, and what is left of the pace at which it is met.
const SEARCHING: f64 = 0.08;
const FOUND: f64 = 0.8;

/// How much slower a throttle makes the pace, and how many times that it is more at first.
const STEP: f64 = 0.04;
const FIRST_STEPS: f64 = 4.0;
const STEPS_HALVED: f64 = 2.0;

/// The share of calls that is throttled at the pace that is held.
const SHARE: f64 = 0.05;

/// After how many calls without a throttle the pace grows faster.
const ALONE_AFTER: u32 = 16;
const ALONE_DOUBLES: f64 = 32.0;
const MAX_ALONE: f64 = 4.0;

/// After how many throttles one after another, and not of calls that were sent together, nothing is let through; and the first and the
/// longest wait for that. A call is tried [`crate::FetchOptions::max_attempts`] times: two minutes of nothing do not fail it.
const NOTHING_AFTER: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(4);
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What is known of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: calls are sent as they come.
    Free,
    /// That there is one.
    Searching,
    /// About where it is.
    Settled,
}

/// The pace of all calls with the same credentials in the same region.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Calls a second that the settings allow.
    most: f64,
    phase: Phase,
    /// Calls a second; of no meaning while the phase is free.
    rate: f64,
    /// When the next call may be sent, and whether the last one had to wait for its turn.
    next: Instant,
    has_waited: bool,
    /// While the phase is free: which of the last calls were throttled, when the first one was sent, and how many were let through.
    last: VecDeque<bool>,
    first_at: Option<Instant>,
    admitted: u32,
    /// Throttles since the phase is settled, and the calls let through since the last of them.
    throttles: u32,
    unthrottled: u32,
    /// Calls sent before this had their turn at another pace.
    changed_at: Instant,
    /// Throttles one after another, without those of calls that were sent before the last of them was answered.
    in_a_row: u32,
    row_at: Instant,
}

impl Pace {
    pub(crate) fn new(most: Option<f64>) -> Self {
        let (now, most) = (Instant::now(), most.unwrap_or(FASTEST));
        let state = State {
            most,
            phase: Phase::Free,
            rate: MIN_FIRST,
            next: now,
            has_waited: false,
            last: VecDeque::new(),
            first_at: None,
            admitted: 0,
            throttles: 0,
            unthrottled: 0,
            changed_at: now,
            in_a_row: 0,
            row_at: now,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call may be sent.
    pub(crate) async fn turn(&self) {
        let wait = self.reserve();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes the next turn; gives how long it is until then.
    pub(crate) fn reserve(&self) -> Duration {
        let (now, mut state) = (Instant::now(), self.state());
        let turn = state.next.max(now);
        state.has_waited = turn > now;
        state.next = turn + state.interval();
        turn - now
    }

    /// A call was answered: let through, whatever the answer is, or throttled.
    pub(crate) fn answered(&self, sent_at: Instant, throttled: bool) {
        self.state().answered(sent_at, throttled, Instant::now());
    }
}

impl State {
    fn interval(&self) -> Duration {
        let rate = if self.phase == Phase::Free { self.most } else { self.rate };
        if rate >= FASTEST { Duration::ZERO } else { Duration::from_secs_f64(1.0 / rate) }
    }

    fn answered(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        self.pause(sent_at, throttled, now);
        if sent_at < self.changed_at {
            self.admitted += u32::from(!throttled);
            return;
        }
        match self.phase {
            Phase::Free => self.look_for_limit(sent_at, throttled, now),
            Phase::Searching if throttled => self.enter(Phase::Settled, self.rate * FOUND, now),
            Phase::Searching => self.grow(SEARCHING),
            Phase::Settled => self.hold(throttled),
        }
    }

    /// Lets everybody wait where nothing is let through any more.
    fn pause(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        if !throttled {
            self.in_a_row = 0;
        } else if sent_at >= self.row_at {
            (self.in_a_row, self.row_at) = (self.in_a_row.saturating_add(1), now);
            if let Some(doubled) = self.in_a_row.checked_sub(NOTHING_AFTER) {
                let wait = FIRST_WAIT.saturating_mul(1 << doubled.min(16)).min(MAX_WAIT);
                self.next = self.next.max(now + wait);
            }
        }
    }

    fn look_for_limit(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        let first_at = *self.first_at.get_or_insert(sent_at);
        self.admitted = self.admitted.saturating_add(u32::from(!throttled));
        self.last.push_back(throttled);
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
        let throttles = self.last.iter().filter(|throttled| **throttled).count();
        if throttled && throttles >= TOO_MANY && throttles as f64 >= self.last.len() as f64 * FREE_SHARE {
            let let_through = f64::from(self.admitted) / (BURST_SECS + (now - first_at).as_secs_f64());
            self.enter(Phase::Searching, let_through.max(MIN_FIRST), now);
        }
    }

    fn enter(&mut self, phase: Phase, rate: f64, now: Instant) {
        (self.phase, self.rate) = (phase, rate.min(self.most).max(self.slowest()));
        self.changed_at = self.next.max(now);
        self.next = self.changed_at + self.interval();
    }

    fn slowest(&self) -> f64 {
        SLOWEST.min(self.most)
    }

    fn hold(&mut self, throttled: bool) {
        let more = FIRST_STEPS * 0.5_f64.powf(f64::from(self.throttles) / STEPS_HALVED);
        let step = STEP * (1.0 + more);
        if throttled {
            (self.throttles, self.unthrottled) = (self.throttles.saturating_add(1), 0);
            if self.in_a_row < NOTHING_AFTER {
                self.rate = (self.rate * (1.0 - step)).max(self.slowest());
            }
            return;
        }
        self.unthrottled = self.unthrottled.saturating_add(1);
        let alone = f64::from(self.unthrottled.saturating_sub(ALONE_AFTER)) / ALONE_DOUBLES;
        self.grow(step * SHARE / (1.0 - SHARE) * alone.exp2().min(MAX_ALONE));
    }

    fn grow(&mut self, by: f64) {
        if self.has_waited {
            self.rate = (self.rate * (1.0 + by)).min(self.most);
        }
    }
}

/// Gives a throttled call its turn to be sent again, in place of a wait that knows nothing of the others.
#[derive(Debug)]
pub(crate) struct InTurn(pub(crate) Pace);

impl ClassifyRetry for InTurn {
    fn classify_retry(&self, _: &InterceptorContext) -> RetryAction {
        RetryAction::NoActionIndicated
    }

    fn classify_retry_v2(&self, _: &InterceptorContext, previous: &RetryAction) -> RetryAction {
        let throttled = |kind: &ErrorKind| *kind == ErrorKind::ThrottlingError;
        match previous {
            RetryAction::RetryIndicated(RetryReason::RetryableError { kind, .. }) if throttled(kind) => {
                RetryAction::retryable_error_with_explicit_delay(*kind, self.0.reserve())
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "InTurn"
    }

    /// After all that say what a throttle is: one that runs before them has nothing to give a turn to.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

#[cfg(test)]
mod tests;

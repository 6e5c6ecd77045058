//! The pace of calls: as fast as AWS Config lets through, with few throttles.
//!
//! The limit of the API is not published, low, per account and region, and shared with others who ask; nor is it known how many calls it
//! lets through at once. The SDK's adaptive mode falls to seven tenths at every throttle and is back at the limit two seconds later:
//! against a limit of 10 a second a night takes 1.4 times as long as it must, and against 2 a second every fifth call is throttled. A
//! limiter with a fixed quota would need to be told the limit. What is let through between two throttles is the limit only if many calls
//! are let through at once: of one call at a time, a pace that is 3 % too fast is throttled at every second call. So the pace is held
//! where a small share of the calls is throttled, which is at the limit, whatever the rest is:
//!
//! 1. *Free*: calls are sent as they come, until [`TOO_MANY`] of the last [`WINDOW`] and [`FREE_SHARE`] of them are throttled.
//! 2. *Bound*: between two throttles nothing of the limit is left over, so that it is at most the calls let through between them, and one,
//!    by the time between them. A throttle brings the pace to [`MARGIN`] of that at once, if [`MAX_BETWEEN`] calls or fewer were between.
//! 3. *Searching* begins there, and not above [`MAX_FIRST`]. Each call that is let through makes the pace faster by [`SEARCHING`]. Each
//!    throttle makes it [`FOUND`] of that, and the first one after a call that was let through ends it.
//! 4. *Settled*: each throttle makes the pace slower by a step, [`STEP`] of it, in the beginning a larger one: [`FIRST_STEPS`] more,
//!    halved every [`STEPS_HALVED`] throttles. Each call that is let through makes it faster by so much of the step that both are even
//!    when [`SHARE`] of the calls are throttled; of a slow pace more, of a fast one less, which evens out the paces of several processes.
//! 5. After [`ALONE_AFTER`] calls without a throttle it grows twice as fast with every [`ALONE_DOUBLES`], up to [`MAX_ALONE`] times, and
//!    after [`ALONE_SECS`] without one by [`GROWTH_PER_SECOND`] a second: others may have left some of the limit.
//! 6. It grows only while calls wait for their turn: a pace that nobody waits for says nothing of the limit.
//! 7. Calls wait in one queue, so that a new pace is the next call's. Those sent before the limit was first met, or found, say nothing of
//!    the pace that is now.
//! 8. After [`NOTHING_AFTER`] throttles one after another everybody waits [`WAIT_FACTOR`] times as long as nothing was let through, up to
//!    [`MAX_WAIT`]; after [`USED_UP`] of that others use the limit up, and the pace stays what it was before.
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
use tokio::time::{Instant, sleep};

/// How many of the last calls say that there is a limit, how many throttles among them do, and which share of them. Some throttles say
/// nothing of the pace, such as those of a server that throttles one call in twenty whatever comes.
const WINDOW: usize = 16;
const TOO_MANY: usize = 3;
const FREE_SHARE: f64 = 0.2;

/// How many throttles back the bound is looked for, over how many calls at most, and how far above it the pace may be: of calls that
/// come one at a time, or not at all for a while, some of the limit is left over.
const BOUNDS: usize = 4;
const MAX_BETWEEN: u32 = 12;
const MARGIN: f64 = 1.75;

/// The fastest pace to begin with, in calls a second. A bound of throttles that came at once says little.
const MAX_FIRST: f64 = 128.0;

/// The slowest pace: a limit that falls to nothing for a while must not stop a night for good.
const SLOWEST: f64 = 0.2;

/// The fastest: one without a bound would be of no use when the limit is met again.
const FASTEST: f64 = 1e6;

/// How much faster each call makes the pace while the limit is searched, and what is left of the pace at which it is met.
const SEARCHING: f64 = 0.12;
const FOUND: f64 = 0.65;

/// How much slower a throttle makes the pace, and how many times that it is more at first.
const STEP: f64 = 0.065;
const FIRST_STEPS: f64 = 4.0;
const STEPS_HALVED: f64 = 1.25;

/// The share of calls that is throttled at the pace that is held, at [`EVEN_RATE`] calls a second; how many times that it is at most and at
/// least, for slower and faster ones.
const SHARE: f64 = 0.035;
const EVEN_RATE: f64 = 8.0;
const MAX_EVENING: f64 = 1.8;
const MIN_EVENING: f64 = 0.5;

/// After how many calls without a throttle the pace grows faster, and after how many seconds.
const ALONE_AFTER: u32 = 12;
const ALONE_DOUBLES: f64 = 28.0;
const MAX_ALONE: f64 = 3.5;
const ALONE_SECS: f64 = 15.0;
const GROWTH_PER_SECOND: f64 = 0.18;

/// The longest time that one call makes the pace faster for.
const LONGEST_GROWTH: Duration = Duration::from_secs(4);

/// After how many throttles one after another, and not of calls that were sent together, nothing is sent for a while: so many times as
/// long as nothing was let through, and at most so long. A call is tried [`crate::FetchOptions::max_attempts`] times: a minute of nothing
/// does not fail it.
const NOTHING_AFTER: u32 = 5;
const WAIT_FACTOR: u32 = 2;
const MAX_WAIT: Duration = Duration::from_secs(60);

/// After how long of nothing others use the limit up, whatever it is.
const USED_UP: Duration = Duration::from_secs(1);

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
    /// Who holds it has the next turn.
    queue: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct State {
    /// Calls a second that the settings allow.
    most: f64,
    phase: Phase,
    /// Calls a second; of no meaning while the phase is free.
    rate: f64,
    /// When the last call had its turn, and whether it had to wait for it. Nothing is sent before.
    turn_at: Option<Instant>,
    has_waited: bool,
    not_before: Instant,
    /// While the phase is free: which of the last calls were throttled.
    last: VecDeque<bool>,
    /// The last throttles: when each was answered, and how many calls had been let through by then.
    bounds: VecDeque<(Instant, u32)>,
    admitted: u32,
    /// Throttles since the phase is settled, the calls let through since the last of them, and when the pace last grew.
    throttles: u32,
    unthrottled: u32,
    grown_at: Instant,
    /// Calls sent before this had their turn at another pace.
    changed_at: Instant,
    /// The throttles since a call was last let through, without those of calls that were sent before the last of them was answered; when
    /// the first of them was, and the pace before them.
    row_began_at: Instant,
    in_a_row: u32,
    row_at: Instant,
    rate_before: f64,
}

impl Pace {
    pub(crate) fn new(most: Option<f64>) -> Self {
        let (now, most) = (Instant::now(), most.unwrap_or(FASTEST));
        let state = State {
            most,
            phase: Phase::Free,
            rate: most.min(MAX_FIRST),
            turn_at: None,
            has_waited: false,
            not_before: now,
            last: VecDeque::new(),
            bounds: VecDeque::new(),
            admitted: 0,
            throttles: 0,
            unthrottled: 0,
            grown_at: now,
            changed_at: now,
            row_began_at: now,
            in_a_row: 0,
            row_at: now,
            rate_before: most,
        };
        Self { state: Arc::new(Mutex::new(state)), queue: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call may be sent.
    pub(crate) async fn turn(&self) {
        let _first = self.queue.lock().await;
        let mut has_waited = false;
        loop {
            // The pace, or a call that is tried again, may have moved the turn meanwhile.
            let Some(wait) = self.state().take_turn(Instant::now(), has_waited) else { return };
            has_waited = true;
            sleep(wait).await;
        }
    }

    /// Takes the next turn, before those who wait for theirs; gives how long it is until then.
    pub(crate) fn reserve(&self) -> Duration {
        let (now, mut state) = (Instant::now(), self.state());
        let turn = state.next_turn(now);
        state.has_waited = turn > now;
        state.turn_at = Some(turn);
        turn - now
    }

    /// A call was answered: let through, whatever the answer is, or throttled.
    pub(crate) fn answered(&self, sent_at: Instant, throttled: bool) {
        self.state().answered(sent_at, throttled, Instant::now());
    }
}

impl State {
    /// Takes the turn, or gives how long it is until then.
    fn take_turn(&mut self, now: Instant, has_waited: bool) -> Option<Duration> {
        let turn = self.next_turn(now);
        if turn > now {
            return Some(turn - now);
        }
        (self.turn_at, self.has_waited) = (Some(now), has_waited);
        None
    }

    fn next_turn(&self, now: Instant) -> Instant {
        let after_last = self.turn_at.map_or(now, |turn| turn + self.interval());
        after_last.max(self.not_before).max(now)
    }

    fn interval(&self) -> Duration {
        let rate = if self.phase == Phase::Free { self.most } else { self.rate };
        if rate >= FASTEST { Duration::ZERO } else { Duration::from_secs_f64(1.0 / rate) }
    }

    fn answered(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        self.wait_for_others(sent_at, throttled, now);
        self.admitted = self.admitted.wrapping_add(u32::from(!throttled));
        if sent_at < self.changed_at {
            return;
        }
        let bound = if throttled { self.bound(now) } else { FASTEST };
        match self.phase {
            Phase::Free => self.look_for_limit(throttled, bound, now),
            Phase::Searching if throttled => {
                let is_found = self.in_a_row <= 1;
                let phase = if is_found { Phase::Settled } else { Phase::Searching };
                self.enter(phase, bound.min(self.rate * FOUND), now);
            }
            Phase::Searching => self.grow(SEARCHING * self.evening_out()),
            Phase::Settled => self.hold(throttled, bound, now),
        }
    }

    /// The fastest pace that the limit allows, by the last throttles and one now.
    fn bound(&mut self, now: Instant) -> f64 {
        let mut bound = FASTEST;
        for (at, admitted) in self.bounds.iter().rev() {
            let between = self.admitted.wrapping_sub(*admitted);
            if between > MAX_BETWEEN {
                break;
            }
            bound = bound.min(MARGIN * f64::from(between + 1) / (now - *at).as_secs_f64());
        }
        self.bounds.push_back((now, self.admitted));
        if self.bounds.len() > BOUNDS {
            self.bounds.pop_front();
        }
        bound
    }

    /// Lets everybody wait where nothing is let through any more.
    fn wait_for_others(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        if !throttled {
            self.in_a_row = 0;
        } else if sent_at >= self.row_at {
            if self.in_a_row == 0 {
                (self.row_began_at, self.rate_before) = (now, self.rate);
            }
            (self.in_a_row, self.row_at) = (self.in_a_row.saturating_add(1), now);
            if self.in_a_row >= NOTHING_AFTER {
                let wait = (now - self.row_began_at).saturating_mul(WAIT_FACTOR).min(MAX_WAIT);
                self.not_before = self.not_before.max(now + wait);
            }
        }
    }

    fn look_for_limit(&mut self, throttled: bool, bound: f64, now: Instant) {
        self.last.push_back(throttled);
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
        let throttles = self.last.iter().filter(|throttled| **throttled).count();
        if throttled && throttles >= TOO_MANY && throttles as f64 >= self.last.len() as f64 * FREE_SHARE {
            self.enter(Phase::Searching, bound.min(MAX_FIRST), now);
            // What came as it came left some of the limit over.
            self.bounds = [(now, self.admitted)].into();
        }
    }

    fn enter(&mut self, phase: Phase, rate: f64, now: Instant) {
        (self.phase, self.rate) = (phase, rate.min(self.most).max(self.slowest()));
        self.turn_at = Some(self.turn_at.map_or(now, |turn| turn.max(now)));
        // The calls that were being sent just now were sent at the pace before.
        self.changed_at = now + self.interval() / 2;
    }

    fn slowest(&self) -> f64 {
        SLOWEST.min(self.most)
    }

    fn hold(&mut self, throttled: bool, bound: f64, now: Instant) {
        let more = FIRST_STEPS * 0.5_f64.powf(f64::from(self.throttles) / STEPS_HALVED);
        let step = STEP * (1.0 + more);
        if throttled {
            (self.throttles, self.unthrottled) = (self.throttles.saturating_add(1), 0);
            let is_used_up = self.in_a_row >= NOTHING_AFTER && now - self.row_began_at >= USED_UP;
            let slower = if is_used_up { self.rate_before } else { bound.min(self.rate * (1.0 - step)) };
            self.rate = slower.max(self.slowest());
            return;
        }
        self.unthrottled = self.unthrottled.saturating_add(1);
        let share = SHARE * self.evening_out();
        let alone = f64::from(self.unthrottled.saturating_sub(ALONE_AFTER)) / ALONE_DOUBLES;
        let by_call = step * share / (1.0 - share) * alone.exp2().min(MAX_ALONE);
        let is_alone = self.bounds.back().is_some_and(|(at, _)| (now - *at).as_secs_f64() > ALONE_SECS);
        let since = (now - self.grown_at).min(LONGEST_GROWTH);
        let by_time = if is_alone { GROWTH_PER_SECOND * since.as_secs_f64() } else { 0.0 };
        self.grown_at = now;
        self.grow(by_call.max(by_time));
    }

    /// How many times the growth and the throttles of a pace in the middle this one has.
    fn evening_out(&self) -> f64 {
        (EVEN_RATE / self.rate).clamp(MIN_EVENING, MAX_EVENING)
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

//! The pace of calls: just under what AWS Config lets through.
//!
//! The limit of the API is not published, low, per account and region, and shared with others who ask. The SDK's adaptive
//! mode falls to seven tenths at every throttle and is back at the limit two seconds later: against a limit of 10 a second
//! a night takes 1.4 times as long as it must, and against 2 a second every fifth call is throttled. A limiter with a
//! fixed quota would need to be told the limit. So the limit is measured: at a throttle AWS Config's bucket is empty, so
//! what it let through between two throttles is just what it refills.

use aws_sdk_config::config::retry::ClassifyRetry;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{RetryAction, RetryReason};
use aws_smithy_types::retry::ErrorKind;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Calls a second once it is known that there is a limit: collectors of neighbouring calls ended up at 1 to 10.
const FIRST_GUESS: f64 = 5.0;

/// The slowest pace: a limit that falls to nothing for a while must not stop a night for good.
const SLOWEST: f64 = 0.2;

/// Calls let through between two throttles that make a measurement.
const ENOUGH: u32 = 6;

/// How far under a measured limit calls are sent.
const UNDER: f64 = 0.97;

/// What is left at least of a pace that is measured anew, and what is left of one that cannot be.
const EASED: f64 = 0.7;
const SLOWED: f64 = 0.5;

/// Turns that are left out when the pace is lowered: the bucket is empty, and gets some calls ahead.
const AHEAD: f64 = 2.0;

/// How much faster every call makes the pace once the limit is about known.
const PROBING: f64 = 0.0005;

/// Every so many calls since the pace was lowered, it grows twice as fast, up to [`MOST_PROBING`].
const PROBING_DOUBLES: u32 = 96;
const MOST_PROBING: f64 = 0.02;

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

impl Phase {
    /// How many of the last calls say whether the pace is too fast.
    fn window(self) -> usize {
        match self {
            Self::Free | Self::Searching => 16,
            Self::Settled => 64,
        }
    }

    /// How many throttles among so many calls are too many. Some throttles say nothing of the pace, such as those of a server
    /// that throttles one call in twenty whatever comes: slowing down for them would end in a night that never ends.
    fn too_many(self, throttled: usize, calls: usize) -> bool {
        match self {
            Self::Free => throttled >= 4 && throttled * 4 >= calls,
            Self::Searching => throttled >= 3 && throttled * 5 >= calls,
            Self::Settled => throttled >= 4 && throttled * 12 >= calls,
        }
    }
}

/// The pace of all calls with the same credentials in the same region.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Calls a second that the settings allow.
    most: Option<f64>,
    phase: Phase,
    /// Calls a second; of no meaning while the phase is free.
    rate: f64,
    /// When the next call may be sent.
    next: Instant,
    /// The last calls since the pace was lowered: when each was answered, and whether it was throttled.
    last: VecDeque<(Instant, bool)>,
    /// When the pace was lowered, and the calls let through since.
    empty_at: Instant,
    admitted: u32,
    /// Calls sent before this had their turn at a faster pace: how they go says nothing of the one that is now.
    lowered_at: Instant,
}

impl Pace {
    pub(crate) fn new(most: Option<f64>) -> Self {
        let (now, last) = (Instant::now(), VecDeque::new());
        let (phase, rate) = (Phase::Free, FIRST_GUESS);
        let state = State { most, phase, rate, next: now, last, empty_at: now, admitted: 0, lowered_at: now };
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
        let Some(interval) = state.interval() else { return Duration::ZERO };
        let turn = state.next.max(now);
        state.next = turn + interval;
        turn - now
    }

    /// A call was answered: let through, whatever the answer is, or throttled.
    pub(crate) fn answered(&self, sent_at: Instant, throttled: bool) {
        self.state().answered(sent_at, throttled, Instant::now());
    }
}

impl State {
    fn interval(&self) -> Option<Duration> {
        let found = (self.phase != Phase::Free).then_some(self.rate);
        let rate = found.into_iter().chain(self.most).reduce(f64::min)?;
        Some(Duration::from_secs_f64(1.0 / rate))
    }

    fn answered(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        self.admitted = self.admitted.saturating_add(u32::from(!throttled));
        if sent_at < self.lowered_at {
            return;
        }
        self.last.push_back((now, throttled));
        if self.last.len() > self.phase.window() {
            self.last.pop_front();
        }
        let throttles = self.last.iter().filter(|(_, throttled)| *throttled).count();
        if !throttled {
            self.grow();
        } else if self.phase.too_many(throttles, self.last.len()) {
            self.lower(now);
        }
    }

    /// Others may have left some of the limit, or the limit was found too low.
    fn grow(&mut self) {
        let growth = match self.phase {
            Phase::Free => return,
            Phase::Searching => 0.1,
            Phase::Settled => {
                let doubled = i32::try_from(self.admitted / PROBING_DOUBLES).unwrap_or(i32::MAX);
                (PROBING * 2_f64.powi(doubled)).min(MOST_PROBING)
            }
        };
        // A pace without a bound would be of no use when the limit is met again.
        self.rate = (self.rate * (1.0 + growth)).min(1e6);
    }

    fn lower(&mut self, now: Instant) {
        // At the first of these throttles the bucket was empty, at the last time the pace was lowered it was, and it is now.
        let since = self.last.iter().skip_while(|(_, throttled)| !throttled);
        let first = since.clone().map(|(at, _)| *at).next().unwrap_or(now);
        let let_through = since.filter(|(_, throttled)| !throttled).count() as u32;
        let rate = |count: u32, since: Instant| f64::from(count) / (now - since).as_secs_f64().max(1e-6);
        let measured = [(let_through, first), (self.admitted, self.empty_at)]
            .into_iter()
            .find(|(count, _)| *count >= ENOUGH)
            .map(|(count, since)| rate(count, since) * UNDER);
        (self.rate, self.phase) = match (self.phase, measured) {
            (Phase::Free, _) => (FIRST_GUESS, Phase::Searching),
            (Phase::Searching, Some(measured)) => (measured.min(self.rate), Phase::Settled),
            (Phase::Settled, Some(measured)) => (measured.clamp(self.rate * EASED, self.rate), Phase::Settled),
            (_, None) => (self.rate * SLOWED, Phase::Searching),
        };
        self.rate = self.rate.max(SLOWEST);
        self.last.clear();
        (self.admitted, self.empty_at) = (0, now);
        self.lowered_at = now.max(self.next);
        self.next = self.lowered_at + Duration::from_secs_f64(AHEAD / self.rate);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// AWS Config's bucket, in the time of the test.
    struct Bucket {
        tokens: f64,
        burst: f64,
        filled_at: Instant,
        /// Every so many calls, one is throttled whatever the rate; 0 for none.
        one_in: u32,
        calls: u32,
    }

    impl Bucket {
        fn lets_through(&mut self, per_second: f64) -> bool {
            let now = Instant::now();
            self.tokens = (self.tokens + (now - self.filled_at).as_secs_f64() * per_second).min(self.burst);
            self.filled_at = now;
            self.calls += 1;
            // In no order, so that no rhythm of calls avoids it.
            let by_chance =
                self.one_in > 0 && (self.calls.wrapping_mul(2_654_435_761) >> 8).is_multiple_of(self.one_in);
            let through = self.tokens >= 1.0 && !by_chance;
            self.tokens -= f64::from(u8::from(through));
            through
        }
    }

    /// Reads pages in eight shards at once; gives the throttles, and how long it took against how long it must.
    async fn read(
        (pages, one_in): (u32, u32),
        most: Option<f64>,
        burst: f64,
        per_second: fn(u32) -> f64,
    ) -> (u32, f64) {
        let pace = Pace::new(most);
        let bucket = Arc::new(Mutex::new(Bucket { tokens: burst, burst, filled_at: Instant::now(), one_in, calls: 0 }));
        let (read, throttles) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let started = Instant::now();
        let shards = (0..8).map(|shard| {
            let (pace, bucket, read, throttles) = (pace.clone(), bucket.clone(), read.clone(), throttles.clone());
            tokio::spawn(async move {
                while read.load(Relaxed) < pages {
                    pace.turn().await;
                    loop {
                        let sent_at = Instant::now();
                        let per_second = per_second(read.load(Relaxed));
                        let through = bucket.lock().expect("no panic").lets_through(per_second);
                        tokio::time::sleep(Duration::from_millis(15 + shard)).await;
                        if through {
                            pace.answered(sent_at, false);
                            break;
                        }
                        throttles.fetch_add(1, Relaxed);
                        pace.answered(sent_at, true);
                        tokio::time::sleep(pace.reserve()).await;
                    }
                    read.fetch_add(1, Relaxed);
                }
            })
        });
        all(shards.collect()).await;
        let must: f64 = (0..pages).map(|page| 1.0 / per_second(page)).sum();
        (throttles.load(Relaxed), started.elapsed().as_secs_f64() / must)
    }

    async fn all(tasks: Vec<tokio::task::JoinHandle<()>>) {
        for task in tasks {
            task.await.expect("no panic");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_is_found_and_kept_to_even_when_it_changes() {
        /// Its name, pages, burst, what it may take, and the limit at a page.
        type Limit = (&'static str, u32, f64, f64, fn(u32) -> f64);
        let limits: [Limit; 7] = [
            ("10 a second", 400, 10.0, 1.10, |_| 10.0),
            ("2 a second", 400, 10.0, 1.10, |_| 2.0),
            ("1 a second", 400, 10.0, 1.10, |_| 1.0),
            // Far from what is expected, and so found later.
            ("70 a second", 4_000, 10.0, 1.50, |_| 70.0),
            ("2 a second, 2 at once", 400, 2.0, 1.10, |_| 2.0),
            ("halved half way", 400, 10.0, 1.10, |page| if page < 200 { 10.0 } else { 5.0 }),
            ("twice as much half way", 1_000, 10.0, 1.15, |page| if page < 500 { 4.0 } else { 8.0 }),
        ];
        for (name, pages, burst, most, per_second) in limits {
            let (throttles, ratio) = read((pages, 0), None, burst, per_second).await;
            let throttled = f64::from(throttles) / f64::from(throttles + pages);
            assert!(ratio <= most && throttled < 0.10, "{name}: {ratio:.3}, {throttled:.3}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn throttles_that_have_nothing_to_do_with_the_pace_do_not_stop_a_night() {
        let seconds = |ratio: f64| ratio * 5_000.0 / 1e9;
        let (_, free) = read((5_000, 0), None, 1e9, |_| 1e9).await;
        for one_in in [100, 20] {
            let (_, ratio) = read((5_000, one_in), None, 1e9, |_| 1e9).await;
            assert!(seconds(ratio) < 5.0 * seconds(free), "{one_in}: {} s, {} s", seconds(ratio), seconds(free));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_back_without_a_throttle_and_the_settings_bound_is_kept_from_the_first_call() {
        let (throttles, ratio) = read((2_000, 0), None, 10.0, |_| 1e9).await;
        assert_eq!(throttles, 0);
        assert!(ratio * 2_000.0 / 1e9 < 10.0, "{ratio}");
        let (throttles, ratio) = read((200, 0), Some(4.0), 10.0, |_| 5.0).await;
        assert_eq!(throttles, 0);
        assert!((1.2..1.3).contains(&ratio), "{ratio}");
    }
}

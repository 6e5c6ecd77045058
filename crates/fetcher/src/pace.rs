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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Calls a second after the first throttle, before anything is measured: collectors of neighbouring calls ended up at 1 to 10.
const FIRST_GUESS: f64 = 5.0;

/// The slowest pace: a limit that falls to nothing for a while must not stop a night for good.
const SLOWEST: f64 = 0.2;

/// Calls let through between two throttles that make a measurement.
const ENOUGH: u32 = 8;

/// How far under a measured limit calls are sent.
const UNDER: f64 = 0.97;

/// What is left of the pace after a throttle that measures nothing.
const SLOWED: f64 = 0.8;

/// What is left at least of a pace that was long without a throttle.
const EASED: f64 = 0.92;

/// Turns that are left out after a throttle.
const AHEAD: f64 = 2.0;

/// How much faster every call makes the pace while the limit is looked for.
const SEARCHING: f64 = 0.1;

/// How much faster every call makes the pace once the limit is known: others may have left some of it.
const PROBING: f64 = 0.0005;

/// Every so many calls without a throttle, the pace grows twice as fast, up to [`MOST_PROBING`].
const PROBING_DOUBLES: u32 = 64;
const MOST_PROBING: f64 = 0.02;

/// The pace of all calls with the same credentials in the same region.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Calls a second that the settings allow.
    most: Option<f64>,
    /// Calls a second; nothing before the first throttle.
    rate: Option<f64>,
    /// Whether the rate is a guess, and not from a measurement.
    searching: bool,
    /// When the next call may be sent.
    next: Instant,
    /// When AWS Config's bucket was empty, and the calls let through since.
    empty_at: Instant,
    admitted: u32,
    /// Calls sent before this had their turn at a faster pace: that they are throttled says nothing of the one that is now.
    slowed_at: Instant,
}

impl Pace {
    pub(crate) fn new(most: Option<f64>) -> Self {
        let now = Instant::now();
        let state = State { most, rate: None, searching: true, next: now, empty_at: now, admitted: 0, slowed_at: now };
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

    /// A call was let through, whatever its answer.
    pub(crate) fn admitted(&self) {
        self.state().admitted();
    }

    /// A call was throttled.
    pub(crate) fn throttled(&self, sent_at: Instant) {
        self.state().throttled(sent_at, Instant::now());
    }
}

impl State {
    fn interval(&self) -> Option<Duration> {
        let rate = self.rate.into_iter().chain(self.most).reduce(f64::min)?;
        Some(Duration::from_secs_f64(1.0 / rate))
    }

    fn admitted(&mut self) {
        self.admitted = self.admitted.saturating_add(1);
        let Some(rate) = self.rate else { return };
        let doubled = 2_f64.powi(i32::try_from(self.admitted / PROBING_DOUBLES).unwrap_or(i32::MAX));
        let growth = if self.searching { SEARCHING } else { (PROBING * doubled).min(MOST_PROBING) };
        // A pace without a bound would be of no use when the limit is met again.
        self.rate = Some((rate * (1.0 + growth)).min(1e6));
    }

    fn throttled(&mut self, sent_at: Instant, now: Instant) {
        let measured = f64::from(self.admitted) / (now - self.empty_at).as_secs_f64().max(1e-6);
        let enough = self.admitted >= ENOUGH;
        let rate = match self.rate {
            // What came before the first throttle was the burst that AWS Config allows.
            None => FIRST_GUESS,
            Some(_) if enough && self.searching => measured * UNDER,
            // Where the bucket was full for a while, more was refilled than was measured.
            Some(rate) if enough => (measured * UNDER).max(rate * EASED),
            Some(rate) if sent_at >= self.slowed_at => rate * SLOWED,
            Some(_) => return,
        };
        self.searching = !enough || self.rate.is_none();
        if enough || self.rate.is_none() {
            (self.empty_at, self.admitted) = (now, 0);
        }
        let rate = rate.max(SLOWEST);
        self.rate = Some(rate);
        self.slowed_at = now.max(self.next);
        // The bucket is empty: it gets some calls ahead, so that not every second call finds it empty again.
        self.next = self.slowed_at + Duration::from_secs_f64(AHEAD / rate);
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
    }

    impl Bucket {
        fn lets_through(&mut self, per_second: f64) -> bool {
            let now = Instant::now();
            self.tokens = (self.tokens + (now - self.filled_at).as_secs_f64() * per_second).min(self.burst);
            self.filled_at = now;
            let through = self.tokens >= 1.0;
            self.tokens -= f64::from(u8::from(through));
            through
        }
    }

    /// Reads pages in eight shards at once; gives the throttles, and how long it took against how long it must.
    async fn read(pages: u32, most: Option<f64>, burst: f64, per_second: fn(u32) -> f64) -> (u32, f64) {
        let pace = Pace::new(most);
        let bucket = Arc::new(Mutex::new(Bucket { tokens: burst, burst, filled_at: Instant::now() }));
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
                            break;
                        }
                        throttles.fetch_add(1, Relaxed);
                        pace.throttled(sent_at);
                        tokio::time::sleep(pace.reserve()).await;
                    }
                    pace.admitted();
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
            ("70 a second", 4_000, 10.0, 1.40, |_| 70.0),
            ("2 a second, 2 at once", 400, 2.0, 1.10, |_| 2.0),
            ("halved half way", 400, 10.0, 1.10, |page| if page < 200 { 10.0 } else { 5.0 }),
            ("twice as much half way", 1_000, 10.0, 1.15, |page| if page < 500 { 4.0 } else { 8.0 }),
        ];
        for (name, pages, burst, most, per_second) in limits {
            let (throttles, ratio) = read(pages, None, burst, per_second).await;
            let throttled = f64::from(throttles) / f64::from(throttles + pages);
            assert!(ratio <= most && throttled < 0.10, "{name}: {ratio:.3}, {throttled:.3}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_back_without_a_throttle_and_the_settings_bound_is_kept_from_the_first_call() {
        let (throttles, ratio) = read(2_000, None, 10.0, |_| 1e9).await;
        assert_eq!(throttles, 0);
        assert!(ratio * 2_000.0 / 1e9 < 10.0, "{ratio}");
        let (throttles, ratio) = read(200, Some(4.0), 10.0, |_| 5.0).await;
        assert_eq!(throttles, 0);
        assert!((1.2..1.3).contains(&ratio), "{ratio}");
    }
}

//! Faults on demand.

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Which faults a simulator has. `0` switches one off; `every = n` hits each n-th call.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Calls per second that are let through; others get a ThrottlingException.
    pub throttle_per_second: f64,
    /// Calls that may come at once.
    pub throttle_burst: u32,
    /// After so many calls let through, half as many a second are.
    pub throttle_halves_after: u64,
    /// A ThrottlingException, whatever the rate is.
    pub throttle_every: u64,
    /// InternalFailure with HTTP 500.
    pub error_every: u64,
    /// A page without a row and with a token.
    pub empty_page_every: u64,
    /// A page token that is refused once, counted for each operation over its calls that have one.
    pub expired_token_every: u64,
    /// A page token that is refused, and once more when it is tried again, counted for each operation over its calls that have
    /// one.
    pub lost_token_every: u64,
    /// Calls that an access key may make before it expires.
    pub key_ends_after: u64,
    /// A page that gives the token it was asked with, counted for each operation over its calls that have one.
    pub repeated_token_every: u64,
    /// By how many the summary's counts of compliant packs are too high, in every group.
    pub summary_off_by: u32,
    /// How many groups the summary has at most, those that come first; 0 for all.
    pub summary_groups: u32,
    /// Config rules without results are listed, as INSUFFICIENT_DATA. AWS documents that they are not.
    pub rules_without_results: bool,
    /// An operation that the caller is not allowed, as by a policy without it: AccessDeniedException.
    pub denied_operation: String,
    /// How many sources the list of sources has at most; packs and rules of the others are listed as before.
    pub sources_named: u32,
    /// How long every answer takes to come.
    pub latency_millis: u64,
    /// An answer that stops half way and leaves the connection open.
    pub stall_every: u64,
    /// An answer that stops half way with the connection closed.
    pub cut_every: u64,
    /// An answer that is not JSON.
    pub malformed_every: u64,
    /// Seconds by which the `Date` of every answer is ahead of this machine's clock; negative for behind.
    pub clock_offset_secs: i64,
    /// Error codes come in the header `x-amzn-errortype` alone, and not in the body's `__type` as well.
    pub error_code_in_header_only: bool,
}

/// Faults with an unknown name or an invalid value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFaults(String);

impl Faults {
    /// Reads faults from TOML, such as `throttle_per_second = 10`.
    ///
    /// # Errors
    /// A key or value that is not one of these.
    pub fn parse(text: &str) -> Result<Self, InvalidFaults> {
        let faults: Self =
            toml::from_str(text).map_err(|error| InvalidFaults(error.to_string().trim_end().to_owned()))?;
        if !(faults.throttle_per_second.is_finite() && (0.0..=1e6).contains(&faults.throttle_per_second)) {
            return Err(InvalidFaults("throttle_per_second: allowed is 0 to 1000000".to_owned()));
        }
        Ok(faults)
    }
}

/// Faults, and how often each has fired.
#[derive(Debug)]
pub(crate) struct FaultState {
    pub(crate) faults: Faults,
    limiter: Option<DefaultDirectRateLimiter>,
    halved: Option<DefaultDirectRateLimiter>,
    arrived: AtomicU64,
    calls: AtomicU64,
    pages: AtomicU64,
    /// Tokens of each list, so that which list the n-th belongs to is not chance where several are read at a time.
    tokens: Mutex<HashMap<&'static str, u64>>,
    /// Tokens that are refused the next time.
    lost: Mutex<HashSet<String>>,
    /// Calls of each key.
    keys: Mutex<HashMap<String, u64>>,
    /// How often each fault has fired, by its name.
    fired: Mutex<BTreeMap<&'static str, u64>>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    Throttled,
    Failed,
    Stalled,
    Cut,
    Malformed,
}

/// What becomes of a page's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFate {
    Taken,
    Refused,
    Repeated,
}

impl FaultState {
    pub(crate) fn new(faults: Faults) -> Self {
        let rate = faults.throttle_per_second;
        Self {
            limiter: limiter(rate, faults.throttle_burst),
            halved: limiter(rate / 2.0, faults.throttle_burst),
            faults,
            arrived: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            tokens: Mutex::default(),
            lost: Mutex::default(),
            keys: Mutex::default(),
            fired: Mutex::default(),
        }
    }

    /// How often each fault has fired, by its name; one that never has is not there.
    pub(crate) fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.fired.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a fault has fired.
    pub(crate) fn note(&self, fault: &'static str) {
        *self.fired.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }

    pub(crate) fn call(&self) -> Fate {
        let after = self.faults.throttle_halves_after;
        let halved = after > 0 && self.calls.load(Ordering::Relaxed) >= after;
        let limiter = if halved { &self.halved } else { &self.limiter };
        if hits(self.faults.throttle_every, next(&self.arrived)) {
            self.note("throttle_every");
            return Fate::Throttled;
        }
        if limiter.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
            self.note("throttle_per_second");
            return Fate::Throttled;
        }
        let number = next(&self.calls);
        let faults = &self.faults;
        let fired = [
            ("error_every", faults.error_every, Fate::Failed),
            ("stall_every", faults.stall_every, Fate::Stalled),
            ("cut_every", faults.cut_every, Fate::Cut),
            ("malformed_every", faults.malformed_every, Fate::Malformed),
        ]
        .into_iter()
        .find(|(_, every, _)| hits(*every, number));
        let Some((name, _, fate)) = fired else { return Fate::Answered };
        self.note(name);
        fate
    }

    /// Whether a key has made more calls than it may.
    pub(crate) fn key_has_ended(&self, key: &str) -> bool {
        let most = self.faults.key_ends_after;
        if most == 0 {
            return false;
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = keys.entry(key.to_owned()).or_default();
        *calls += 1;
        let ended = *calls > most;
        if ended {
            self.note("key_ends_after");
        }
        ended
    }

    /// What becomes of a token of the list of this name.
    pub(crate) fn token(&self, list: &'static str, token: &str) -> TokenFate {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.remove(token) {
            return TokenFate::Refused;
        }
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = tokens.entry(list).or_default();
        *counted += 1;
        let number = *counted;
        if hits(self.faults.lost_token_every, number) {
            lost.insert(token.to_owned());
            self.note("lost_token_every");
            TokenFate::Refused
        } else if hits(self.faults.expired_token_every, number) {
            self.note("expired_token_every");
            TokenFate::Refused
        } else if hits(self.faults.repeated_token_every, number) {
            self.note("repeated_token_every");
            TokenFate::Repeated
        } else {
            TokenFate::Taken
        }
    }

    /// Whether a page that has rows comes without them.
    pub(crate) fn empty_page(&self) -> bool {
        let empty = hits(self.faults.empty_page_every, next(&self.pages));
        if empty {
            self.note("empty_page_every");
        }
        empty
    }
}

/// A bucket of tokens; nothing for a rate of 0.
fn limiter(per_second: f64, burst: u32) -> Option<DefaultDirectRateLimiter> {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let period = (per_second > 0.0).then(|| Duration::from_secs_f64(1.0 / per_second))?;
    Some(RateLimiter::direct(Quota::with_period(period)?.allow_burst(burst)))
}

fn next(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

fn hits(every: u64, number: u64) -> bool {
    every > 0 && number.is_multiple_of(every)
}

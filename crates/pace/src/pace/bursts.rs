//! Limits that let several calls through at once.

use super::one_by_one::Call;
use tokio::time::Instant;

/// How many calls are let through at once; and the slowest and the fastest limit, in calls a second, and by how much two of them differ.
const BURSTS: [f64; 6] = [2.0, 3.0, 6.0, 12.0, 35.0, 140.0];
const SLOWEST: f64 = 0.2;
const FASTEST: f64 = 400.0;
const STEP: f64 = 1.09;

/// How sharply a bucket that is nearly empty throttles.
const SHARPNESS: f64 = 5.0;
const EMPTY: f64 = 0.8;

/// How much of what is known becomes so little known as in the beginning with each call.
const CHANGES: f64 = 0.005;

/// A bucket, the calls that it would let through now, and how likely it is.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    likely: f64,
}

/// How likely each of these limits is, by Bayes' rule. What others ask makes a limit slower.
#[derive(Debug)]
pub(super) struct Bursts {
    buckets: Vec<Bucket>,
    last_at: Option<Instant>,
}

impl Bursts {
    pub(super) fn new() -> Self {
        let count = ((FASTEST / SLOWEST).ln() / STEP.ln()).ceil() as i32;
        let likely = 1.0 / (f64::from(count) * BURSTS.len() as f64);
        let bucket = |(burst, rate)| Bucket { per_second: SLOWEST * STEP.powi(rate), burst, level: burst, likely };
        let buckets = BURSTS.iter().flat_map(|burst| (0..count).map(move |rate| (*burst, rate))).map(bucket).collect();
        Self { buckets, last_at: None }
    }

    /// Takes note of a call. Gives how likely its answer was by what was known.
    pub(super) fn answered(&mut self, call: &Call) -> f64 {
        let gap = self.last_at.map_or(0.0, |last| call.sent_at.saturating_duration_since(last).as_secs_f64());
        self.last_at = self.last_at.max(Some(call.sent_at));
        let mut sum = 0.0;
        for bucket in &mut self.buckets {
            let level = (bucket.level + bucket.per_second * gap).min(bucket.burst);
            let through = 1.0 / (1.0 + (-SHARPNESS * (level - EMPTY)).exp());
            bucket.likely *= call.likely(through);
            bucket.level = if call.throttled { level.min(1.0) } else { (level - 1.0).max(0.0) };
            sum += bucket.likely;
        }
        let least = CHANGES / self.buckets.len() as f64;
        for bucket in &mut self.buckets {
            bucket.likely = bucket.likely / sum * (1.0 - CHANGES) + least;
        }
        sum
    }

    /// The limit in the middle of those that are likely, in calls a second.
    pub(super) fn per_second(&self) -> f64 {
        self.buckets.iter().map(|bucket| bucket.per_second.ln() * bucket.likely).sum::<f64>().exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_limit_is_known_by_what_it_lets_through() {
        for (per_second, burst) in [(2.0, 3.0), (10.0, 6.0), (70.0, 35.0)] {
            let (mut bursts, began) = (Bursts::new(), Instant::now());
            let (mut level, gap): (f64, f64) = (burst, 0.8 / per_second);
            for call in 0..200 {
                level = (level + gap * per_second).min(burst);
                let throttled = level < 1.0;
                level -= f64::from(u8::from(!throttled));
                let sent_at = began + Duration::from_secs_f64(gap * f64::from(call));
                bursts.answered(&Call { sent_at, throttled, secs: 0.05, is_late: false });
            }
            let known = bursts.per_second() / per_second;
            assert!((0.9..1.1).contains(&known), "{per_second} a second, {burst} at once: {known}");
        }
    }
}

//! Whether calls are let through one at a time.

use tokio::time::Instant;

/// How much longer than a pause after which a call was let through that of a throttle may be: answers take a little more or less time.
const ALIKE: f64 = 1.03;

/// How many throttles must say so, how many are counted, and how many of them one takes back that says otherwise.
const ENOUGH: u32 = 2;
const COUNTED: u32 = 3;
const TAKEN_BACK: u32 = 2;

/// The pauses before calls: seconds since the last one that was let through. Where one call is let through at a time, and nobody else
/// asks, a throttle comes after a shorter pause than any call that is let through. With more at once, or beside others, it soon comes after
/// a longer one as well.
#[derive(Debug)]
pub(super) struct Gaps {
    let_through_at: Option<Instant>,
    /// The shortest pause of a call that was let through, since the last throttle and before that.
    shortest: f64,
    shortest_before: f64,
    agreeing: u32,
}

impl Gaps {
    pub(super) fn new() -> Self {
        Self { let_through_at: None, shortest: f64::INFINITY, shortest_before: f64::INFINITY, agreeing: 0 }
    }

    pub(super) fn let_through(&mut self, sent_at: Instant) {
        if let Some(gap) = self.gap(sent_at) {
            self.shortest = self.shortest.min(gap);
        }
        self.let_through_at = self.let_through_at.max(Some(sent_at));
    }

    /// The first throttle after a call that was let through.
    pub(super) fn throttled(&mut self, sent_at: Instant) {
        let Some(gap) = self.gap(sent_at) else { return };
        self.agreeing = if gap <= self.shortest_before * ALIKE {
            (self.agreeing + 1).min(COUNTED)
        } else {
            self.agreeing.saturating_sub(TAKEN_BACK)
        };
        if self.shortest.is_finite() {
            self.shortest_before = std::mem::replace(&mut self.shortest, f64::INFINITY);
        }
    }

    pub(super) fn are_of_one_at_a_time(&self) -> bool {
        self.agreeing >= ENOUGH
    }

    fn gap(&self, sent_at: Instant) -> Option<f64> {
        let gap = sent_at.checked_duration_since(self.let_through_at?)?;
        (!gap.is_zero()).then_some(gap.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What is known after these pauses, each in milliseconds and with whether the call was throttled.
    fn after(pauses: &[(u64, bool)]) -> bool {
        let (mut gaps, mut let_through_at) = (Gaps::new(), Instant::now());
        gaps.let_through(let_through_at);
        for &(millis, throttled) in pauses {
            let sent_at = let_through_at + Duration::from_millis(millis);
            if throttled {
                gaps.throttled(sent_at);
            } else {
                gaps.let_through(sent_at);
                let_through_at = sent_at;
            }
        }
        gaps.are_of_one_at_a_time()
    }

    #[test]
    fn throttles_after_shorter_pauses_than_all_calls_that_are_let_through_are_of_one_call_at_a_time() {
        let run = |shortest: u64, throttled: u64| [(shortest + 20, false), (shortest, false), (throttled, true)];
        assert!(!after(&run(110, 100)), "one throttle says nothing");
        assert!(after(&[run(110, 100), run(105, 98)].concat()));
        assert!(after(&[run(110, 100), run(105, 112)].concat()), "answers take a little more or less time");
        assert!(!after(&[run(110, 100), run(105, 150)].concat()), "a shorter pause was long enough before");
        assert!(after(&[run(110, 100), run(105, 98), run(104, 98), run(104, 98)].concat()));
        assert!(
            !after(&[run(110, 100), run(105, 98), run(104, 200)].concat()),
            "one that says otherwise takes two back"
        );
        assert!(!after(&[]));
    }
}

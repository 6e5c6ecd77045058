//! Whether it is in vain to be slower.

use tokio::time::Instant;

/// Over how many calls the share of throttles is counted.
const WINDOW: u32 = 32;

/// The share that is too much, and the one that no longer is.
const TOO_MUCH: f64 = 0.18;
const NO_LONGER: f64 = 0.15;

/// How many windows of too much there are before a pace is held, and how much the pace is at least, of what the last of them let through.
const WINDOWS: u32 = 3;
const LEAST: f64 = 0.5;

/// How many times as fast as what is let through a pace is that is held: of its calls every second is throttled. And for how many windows
/// at most, since it may be what makes them so many.
const HELD: f64 = 2.0;
const LONGEST: u32 = 8;

/// The throttles of a settled pace. Beside others who take what few calls are let through at once, as many are throttled however slow the
/// pace is: of a bucket of one call that another caller empties three times of ten, a quarter is. To be slower for that would end in
/// a night of days. Such a pace is held, and let go once in a while, twice as long after each time that it was in vain.
#[derive(Debug)]
pub(super) struct InVain {
    began_at: Instant,
    calls: u32,
    throttles: u32,
    /// The windows of too much one after another, and the calls a second that the last of them let through.
    windows: u32,
    let_through: f64,
    /// For how many windows more the pace is held, and for how many it was at last.
    left: u32,
    held: u32,
}

impl InVain {
    pub(super) fn new(now: Instant) -> Self {
        Self { began_at: now, calls: 0, throttles: 0, windows: 0, let_through: 0.0, left: 0, held: 1 }
    }

    pub(super) fn holds(&self) -> bool {
        self.left > 0
    }

    /// The least pace.
    pub(super) fn least(&self) -> f64 {
        LEAST * self.let_through
    }

    /// Begins a window, since what is let through in this one is not what the limit allows: nobody waits for the pace, or nothing is sent.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.began_at, self.calls, self.throttles) = (now, 0, 0);
    }

    /// A call was answered. Gives the pace that is held from now on, if there is one.
    pub(super) fn answered(&mut self, throttled: bool, now: Instant) -> Option<f64> {
        self.calls += 1;
        self.throttles += u32::from(throttled);
        if self.calls < WINDOW {
            return None;
        }
        let (calls, throttles, secs) = (f64::from(self.calls), f64::from(self.throttles), now - self.began_at);
        let (share, let_through) = (throttles / calls, (calls - throttles) / secs.as_secs_f64().max(0.001));
        self.begin(now);
        if let_through == 0.0 {
            // Nothing is said of the pace.
        } else if share < if self.holds() { NO_LONGER } else { TOO_MUCH } {
            *self = Self::new(now);
        } else if self.holds() {
            self.left -= 1;
            (self.windows, self.let_through) = (1, let_through);
        } else {
            self.windows += 1;
            self.let_through = let_through;
            if self.windows >= WINDOWS {
                self.held = (self.held * 2).min(LONGEST);
                self.left = self.held;
            }
        }
        self.holds().then_some(HELD * self.let_through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Windows of these shares of throttles in percent, each call a second after the other; gives the paces that are held after each.
    fn after(shares: &[u32]) -> Vec<Option<f64>> {
        let mut now = Instant::now();
        let mut in_vain = InVain::new(now);
        let window = |share: &u32| {
            let mut held = None;
            for call in 0..WINDOW {
                now += Duration::from_secs(1);
                held = in_vain.answered(call * 100 < WINDOW * share, now);
            }
            held
        };
        shares.iter().map(window).collect()
    }

    #[test]
    fn a_pace_is_held_where_many_are_throttled_for_long_and_let_go_for_a_while_later_each_time() {
        // A quarter of the calls is throttled, three quarters of one a second are let through.
        let held = Some(1.5);
        assert_eq!(after(&[25, 25, 25, 25, 25, 25]), [None, None, held, held, None, None]);
        assert_eq!(after(&[25; 14])[6..], [held, held, held, held, None, None, held, held]);
    }

    #[test]
    fn few_throttles_or_nothing_but_throttles_hold_no_pace() {
        assert!(after(&[25, 25, 6, 25, 25]).iter().all(Option::is_none));
        assert!(after(&[100; 9]).iter().all(Option::is_none));
        assert_eq!(after(&[25, 25, 25, 6, 25, 25]), [None, None, Some(1.5), None, None, None]);
    }
}

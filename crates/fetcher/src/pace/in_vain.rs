//! Whether it is in vain to be slower.

/// Over how many calls the share of throttles is counted.
const WINDOW: u32 = 24;

/// The share that is too much, and the one that says that a pace is faster than the limit.
const TOO_MUCH: f64 = 0.16;
const TOO_FAST: f64 = 0.4;

/// How many windows of too much there are before being slower is tried to be in vain, one more after each time that it was not; and by
/// how many times the pace has fallen that is as good as one more window.
const WINDOWS: u32 = 3;
const FALLEN: f64 = 8.0;

/// How much faster each window is while a pace is tried, and one that was found to be no worse; and what is left of one that is too fast.
const TRIED: f64 = 2.0;
const FASTER: f64 = 1.03;
const SLOWER: f64 = 0.8;

/// How many windows one after another are too fast before the limit is taken for another one.
const GIVEN_UP: u32 = 3;

/// The throttles of a settled pace. Beside others who take what few calls are let through at once, no fewer are throttled however slow the
/// pace is, but more: of a bucket of one call that another caller empties three times of ten, a quarter is, but a tenth where each
/// call comes soon after the bucket has filled. To be slower for that would end in a night of days. So where many are throttled for
/// long, the pace is taken back to what it was before, and made faster while that is no worse.
#[derive(Debug)]
pub(super) struct InVain {
    calls: u32,
    throttles: u32,
    /// The pace of the first call of the window.
    rate: f64,
    /// How many windows of too much it takes.
    needed: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many windows of too much one after another, the first of which began with this pace.
    Slower { windows: u32, from: f64 },
    /// A faster pace is tried; this one is no worse than slower ones.
    Trying { good: f64, is_better: bool },
    /// It was in vain; so many windows one after another were too fast.
    Held { too_fast: u32 },
}

const BEGINNING: State = State::Slower { windows: 0, from: 0.0 };

impl InVain {
    pub(super) fn new() -> Self {
        Self { calls: 0, throttles: 0, rate: 0.0, needed: WINDOWS, state: BEGINNING }
    }

    /// Whether the pace is what is said here and nothing else.
    pub(super) fn holds(&self) -> bool {
        !matches!(self.state, State::Slower { .. })
    }

    /// Begins a window, since what is throttled in this one says nothing of the pace: nobody waits for it, or nothing is let through.
    pub(super) fn begin(&mut self) {
        (self.calls, self.throttles) = (0, 0);
    }

    /// A call was answered that was sent at this pace. Gives the one from now on, where it is held.
    pub(super) fn answered(&mut self, throttled: bool, rate: f64) -> Option<f64> {
        if self.calls == 0 {
            self.rate = rate;
        }
        self.calls += 1;
        self.throttles += u32::from(throttled);
        if self.calls < WINDOW {
            return None;
        }
        let share = f64::from(self.throttles) / f64::from(self.calls);
        self.begin();
        let (state, rate) = self.after_window(share, rate);
        self.state = state;
        rate
    }

    fn after_window(&mut self, share: f64, rate: f64) -> (State, Option<f64>) {
        match self.state {
            State::Slower { windows, from } if (TOO_MUCH..1.0).contains(&share) => {
                let (windows, from) = (windows + 1, if windows == 0 { self.rate } else { from });
                let evidence = f64::from(windows) + (from / rate).log(FALLEN).max(0.0);
                if evidence >= f64::from(self.needed) {
                    return (State::Trying { good: rate, is_better: false }, Some(from.max(rate)));
                }
                (State::Slower { windows, from }, None)
            }
            State::Slower { .. } => (BEGINNING, None),
            State::Trying { .. } if share < TOO_FAST => {
                (State::Trying { good: rate, is_better: true }, Some(rate * TRIED))
            }
            State::Trying { good, is_better: true } => (State::Held { too_fast: 0 }, Some(good)),
            State::Trying { good, is_better: false } => {
                self.needed += 1;
                (BEGINNING, Some(good))
            }
            State::Held { .. } if share < TOO_FAST => (State::Held { too_fast: 0 }, Some(rate * FASTER)),
            State::Held { too_fast } if too_fast + 1 < GIVEN_UP => {
                (State::Held { too_fast: too_fast + 1 }, Some(rate * SLOWER))
            }
            State::Held { .. } => (BEGINNING, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of these shares of throttles in percent, the first at a pace of 32, and each after one whose pace is not held at one that
    /// is so many times slower. Gives the paces that are held after each.
    fn after(slower: f64, shares: &[u32]) -> Vec<Option<f64>> {
        let (mut in_vain, mut rate) = (InVain::new(), 32.0);
        let window = |share: &u32| {
            let mut held = None;
            for call in 0..WINDOW {
                held = in_vain.answered(call * 100 < WINDOW * share, rate);
            }
            rate = held.unwrap_or(if in_vain.holds() { rate } else { rate / slower });
            held
        };
        shares.iter().map(window).collect()
    }

    #[test]
    fn a_pace_that_was_slower_in_vain_is_taken_back_and_made_faster_until_that_is_worse() {
        assert_eq!(after(2.0, &[30, 30, 30]), [None, None, Some(32.0)]);
        assert_eq!(after(2.0, &[30, 30, 30, 10, 30, 60])[3..], [Some(64.0), Some(128.0), Some(64.0)]);
        let held = after(2.0, &[30, 30, 30, 10, 60, 10, 10]);
        assert_eq!(held[4..], [Some(32.0), Some(32.0 * FASTER), Some(32.0 * FASTER * FASTER)]);
    }

    #[test]
    fn a_pace_that_fell_far_is_taken_back_sooner() {
        assert_eq!(after(8.0, &[30, 30]), [None, Some(32.0)]);
    }

    #[test]
    fn a_pace_that_was_too_fast_is_left_slower_and_it_takes_longer_until_it_is_taken_back_again() {
        let held = after(1.0, &[30, 30, 30, 60, 30, 30, 30, 30]);
        assert_eq!(held[2..], [Some(32.0), Some(32.0), None, None, None, Some(32.0)]);
        let held = after(2.0, &[30, 30, 30, 60]);
        assert_eq!(held[2..], [Some(32.0), Some(8.0)]);
    }

    #[test]
    fn a_held_pace_that_stays_too_fast_is_given_up() {
        let held = after(2.0, &[30, 30, 30, 10, 60, 60, 60, 60, 60, 60]);
        assert_eq!(held[4..8], [Some(32.0), Some(32.0 * SLOWER), Some(32.0 * SLOWER * SLOWER), None]);
    }

    #[test]
    fn few_throttles_or_nothing_but_throttles_hold_no_pace() {
        assert!(after(2.0, &[30, 30, 6, 30, 30, 6, 30]).iter().all(Option::is_none));
        assert!(after(2.0, &[100; 9]).iter().all(Option::is_none));
    }
}

//! Whether it is in vain to be slower.

/// Over how many calls the share of throttles is counted.
const WINDOW: u32 = 24;

/// The share that is too much. And the one that says that a pace is faster than the limit: at least, at most, and between these so much more
/// than there was at the slower pace, since of a bucket of one call that others empty half of the time half are throttled at any.
const TOO_MUCH: f64 = 0.16;
const TOO_FAST: f64 = 0.4;
const TOO_FAST_MOST: f64 = 0.65;
const MORE: f64 = 0.15;

/// How many windows of too much there are before being slower is tried to be in vain, one more after each time that it was not; and by
/// how many times the pace has fallen that is as good as one more window.
const WINDOWS: u32 = 3;
const FALLEN: f64 = 8.0;

/// How much faster each window is while a pace is tried, and one that was found to be no worse; and what is left of one that is too fast.
const TRIED: f64 = 2.0;
const FASTER: f64 = 1.03;
const BACK_OFF: f64 = 0.8;

/// How many windows one after another are too fast before the limit is taken for another one. And for how many a pace is held before it is
/// let go, since the others may have gone: at first, and at most, twice as many each time.
const GIVEN_UP: u32 = 3;
const SHORTEST: u32 = 8;
const LONGEST: u32 = 64;

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
    /// How many windows of too much it takes, and for how many a pace is held.
    needed: u32,
    held: u32,
    state: State,
    /// The share that says that a pace is faster than the limit.
    too_fast: f64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many windows of too much without one of less between them, the first of which began with this pace.
    Slower { windows: u32, from: f64 },
    /// A faster pace is tried; this one is no worse than slower ones.
    Trying { good: f64, is_better: bool },
    /// It was in vain; so many windows one after another were too fast, and for so many more the pace is held.
    Held { too_fast: u32, left: u32 },
}

const BEGINNING: State = State::Slower { windows: 0, from: 0.0 };

impl InVain {
    pub(super) fn new() -> Self {
        Self {
            calls: 0,
            throttles: 0,
            rate: 0.0,
            needed: WINDOWS,
            held: SHORTEST,
            state: BEGINNING,
            too_fast: TOO_FAST,
        }
    }

    /// Whether the pace is what is said here and nothing else.
    pub(super) fn holds(&self) -> bool {
        !matches!(self.state, State::Slower { .. })
    }

    /// Begins a window, since what is throttled in this one says nothing of the pace: nobody waits for it.
    pub(super) fn begin(&mut self) {
        (self.calls, self.throttles) = (0, 0);
    }

    /// Nothing was let through for a while. It says nothing of a pace that is made slower for throttles, and of one that is held that it is
    /// too fast. Gives the one from now on, where it is held.
    pub(super) fn nothing_let_through(&mut self, rate: f64) -> Option<f64> {
        self.begin();
        if !self.holds() {
            return None;
        }
        let (state, rate) = self.after_window(1.0, rate);
        self.state = state;
        rate
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
                    self.too_fast = (share + MORE).clamp(TOO_FAST, TOO_FAST_MOST);
                    return (State::Trying { good: rate, is_better: false }, Some(from.max(rate)));
                }
                (State::Slower { windows, from }, None)
            }
            State::Slower { .. } => (BEGINNING, None),
            State::Trying { .. } if share < self.too_fast => {
                (State::Trying { good: rate, is_better: true }, Some(rate * TRIED))
            }
            State::Trying { good, is_better: true } => {
                let left = self.held;
                self.held = (self.held * 2).min(LONGEST);
                (State::Held { too_fast: 0, left }, Some(good))
            }
            State::Trying { good, is_better: false } => {
                self.needed += 1;
                (BEGINNING, Some(good))
            }
            State::Held { left: 0, .. } => (BEGINNING, None),
            State::Held { left, .. } if share < self.too_fast => {
                (State::Held { too_fast: 0, left: left - 1 }, Some(rate * FASTER))
            }
            State::Held { too_fast, left } if too_fast + 1 < GIVEN_UP => {
                (State::Held { too_fast: too_fast + 1, left: left - 1 }, Some(rate * BACK_OFF))
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
        let held = after(2.0, &[30, 30, 30, 10, 60, 60, 60, 60]);
        assert_eq!(held[4..], [Some(32.0), Some(32.0 * BACK_OFF), Some(32.0 * BACK_OFF * BACK_OFF), None]);
    }

    #[test]
    fn a_held_pace_is_let_go_once_in_a_while_and_twice_as_long_after_each_time() {
        let windows: Vec<u32> = [30, 30, 30, 10, 60].into_iter().chain([10; 12]).chain([30, 30, 30, 10, 60]).collect();
        let held = after(2.0, &[windows, vec![10; 20]].concat());
        let lengths = held[5..].split(Option::is_none).map(<[_]>::len).filter(|length| *length > 1).collect::<Vec<_>>();
        assert_eq!(lengths, [8, 3 + 16]);
    }

    #[test]
    fn a_held_pace_at_which_nothing_is_let_through_is_too_fast_and_one_that_is_not_held_is_not_told_of() {
        let mut in_vain = InVain::new();
        assert_eq!(in_vain.nothing_let_through(4.0), None);
        in_vain.state = State::Held { too_fast: 0, left: 8 };
        assert_eq!(in_vain.nothing_let_through(4.0), Some(4.0 * BACK_OFF));
        in_vain.state = State::Trying { good: 1.0, is_better: false };
        assert_eq!(in_vain.nothing_let_through(4.0), Some(1.0));
        assert!(!in_vain.holds());
    }

    #[test]
    fn few_throttles_or_nothing_but_throttles_hold_no_pace() {
        assert!(after(2.0, &[30, 30, 6, 30, 30, 6, 30]).iter().all(Option::is_none));
        assert!(after(2.0, &[100; 9]).iter().all(Option::is_none));
    }
}

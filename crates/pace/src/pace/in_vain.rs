//! Whether it is in vain to be slower.

use super::window::Window;

/// Over how many calls throttles are counted, how many of them are few, and how many are too many.
const WINDOW: u32 = 16;
const FEW: u32 = 1;
const TOO_MANY: u32 = 3;

/// How much evidence it takes, and of one of several processes: each window with too many throttles is one, and takes one back with few;
/// and by how many times the pace has fallen since the first of them that is as good as one more.
const ENOUGH: f64 = 3.75;
const ENOUGH_OF_SEVERAL: f64 = 6.0;
const FALLEN: f64 = 8.0;

/// The throttles of a settled pace. Beside others who take what few calls are let through at once, no fewer are throttled however slow the
/// pace is, but more: of a bucket of one call that another caller empties three times of ten, a quarter is, but a tenth where each
/// call comes soon after the bucket has filled. To be slower for that would end in a night of days.
#[derive(Debug)]
pub(super) struct InVain {
    window: Window,
    /// The pace of its first call.
    rate: f64,
    /// The windows that say so, and the pace of the first of them.
    windows: u32,
    from: f64,
    enough: f64,
}

impl InVain {
    pub(super) fn new(of_several: bool) -> Self {
        let enough = if of_several { ENOUGH_OF_SEVERAL } else { ENOUGH };
        Self { window: Window::new(WINDOW), rate: 0.0, windows: 0, from: 0.0, enough }
    }

    /// Nothing of it counts any more.
    pub(super) fn forget(&mut self) {
        *self = Self { enough: self.enough, ..Self::new(false) };
    }

    /// Begins a window, since what is throttled in this one says nothing of the pace: nobody waits for it.
    pub(super) fn begin(&mut self) {
        self.window.begin();
    }

    /// A call was answered that was sent at this pace. Gives whether it was in vain.
    pub(super) fn answered(&mut self, throttled: bool, rate: f64) -> bool {
        if self.window.is_empty() {
            self.rate = rate;
        }
        let Some(throttles) = self.window.answered(throttled) else { return false };
        self.after_window(throttles);
        let evidence = f64::from(self.windows) + (self.from / rate).log(FALLEN).max(0.0);
        self.windows > 0 && evidence >= self.enough
    }

    fn after_window(&mut self, throttles: u32) {
        if self.windows == 0 {
            self.from = self.rate;
        }
        if throttles >= TOO_MANY {
            self.windows += 1;
        } else if throttles <= FEW {
            self.windows = self.windows.saturating_sub(1);
        } else {
            // Which says nothing, and that pace is long ago.
            self.from = self.from.min(self.rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of so many throttles, the first at a pace of 32, and each after it at one that is so many times slower. Gives after which
    /// of them it was in vain.
    fn after(slower: f64, windows: &[u32]) -> Option<usize> {
        let (mut in_vain, mut rate) = (InVain::new(false), 32.0);
        windows.iter().position(|throttles| {
            let is_in_vain = (0..WINDOW).any(|call| in_vain.answered(call < *throttles, rate));
            rate /= slower;
            is_in_vain
        })
    }

    #[test]
    fn many_throttles_for_long_say_that_it_was_in_vain_to_be_slower() {
        assert_eq!(after(1.0, &[4, 4, 4, 4]), Some(3));
        assert_eq!(after(8.0, &[4, 4, 4]), Some(2), "a pace that fell far");
        assert_eq!(after(1.0, &[4, 4, 2, 4, 4]), Some(4), "as good as nothing");
    }

    #[test]
    fn one_of_several_processes_needs_more_of_them() {
        let mut in_vain = InVain::new(true);
        let windows = (0..).position(|_| (0..WINDOW).any(|call| in_vain.answered(call < 4, 32.0)));
        assert_eq!(windows, Some(5));
        in_vain.forget();
        assert_eq!((in_vain.windows, in_vain.enough), (0, ENOUGH_OF_SEVERAL));
    }

    #[test]
    fn few_throttles_or_nothing_but_throttles_say_nothing() {
        assert_eq!(after(1.0, &[4, 4, 1, 4, 1, 4, 1, 4]), None);
        assert_eq!(after(2.0, &[2; 9]), None);
        assert_eq!(after(2.0, &[WINDOW; 9]), None);
    }

    #[test]
    fn a_window_of_calls_that_nobody_waits_for_is_not_counted() {
        let mut in_vain = InVain::new(false);
        for _ in 0..9 {
            for call in 1..WINDOW {
                assert!(!in_vain.answered(call % 2 == 0, 1.0));
            }
            in_vain.begin();
        }
        assert_eq!(in_vain.windows, 0);
    }
}

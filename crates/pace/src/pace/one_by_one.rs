//! Whether calls are let through one at a time.

use super::bursts::Bursts;
use super::pauses::Pauses;
use super::window::Window;
use std::collections::VecDeque;
use tokio::time::Instant;

/// How many calls are remembered before a limit is met: what was let through says as much.
const REMEMBERED: usize = 64;

/// Which odds say that calls are let through one at a time, and how much more once this was found not to be so; how often it may be found
/// so; to one of several processes, how much better than by their share throttles must be foretold as well; which odds say that it is not so,
/// and where they are not looked at any more; and the most. Each is the natural logarithm of how many times as likely one is as the other.
const SO: f64 = 2.0;
const SO_MORE: f64 = 5.0;
const FORETOLD_OF_SEVERAL: f64 = 4.0;
const MOST_FAILED: u32 = 2;
const NOT_SO: f64 = -2.0;
const NEVER: f64 = -6.0;
const MOST_ODDS: f64 = 12.0;

/// How many throttles one after another say something, before they say that others use the limit up: a pause that was learned from those
/// would be the longest there is.
const IN_A_ROW: u32 = 2;

/// Over how many calls throttles are counted, and how many are too many, unless they are foretold better than by their share alone: by which
/// odds, how much of these is left with each call, and between what they are. Of how many calls that share is, and what it is at first.
/// What the odds of one call at a time are put to then.
const WINDOW: u32 = 15;
const TOO_MANY: u32 = 6;
const FORETOLD: f64 = 2.0;
const FORETOLD_KEPT: f64 = 0.97;
const FORETOLD_LEAST: f64 = -6.0;
const FORETOLD_MOST: f64 = 8.0;
const OF_ONE: f64 = 0.05;
const SHARE_FIRST: f64 = 0.3;
const PUT_BACK: f64 = -2.5;

/// Which share of calls is answered otherwise than it should be, for whatever reason: the same for both explanations, since a difference
/// of it would add up over calls that say nothing.
const CHANCE: f64 = 0.03;

/// A call that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) sent_at: Instant,
    pub(super) throttled: bool,
    /// How long it took, in seconds, and whether that is far longer than most.
    pub(super) secs: f64,
    pub(super) is_late: bool,
}

impl Call {
    /// How likely its answer is where this share of such calls is let through.
    pub(super) fn likely(&self, through: f64) -> f64 {
        let through = CHANCE + (1.0 - 2.0 * CHANCE) * through;
        if self.throttled { 1.0 - through } else { through }
    }
}

/// Two explanations of what is throttled, and how much better one is than the other: one call at a time, with or without others who ask, or
/// several at once. The first has a pause that can be found; beside others a pace that only ever becomes slower with throttles does not
/// find it, since no fewer are throttled however slow it is.
#[derive(Debug)]
pub(super) struct OneByOne {
    /// The last calls before a limit was met.
    before: VecDeque<Call>,
    pauses: Pauses,
    bursts: Bursts,
    odds: f64,
    /// How often it was found not to be so after all.
    failed: u32,
    /// The calls that were sent after a pause that is known, and the throttles of the last of them.
    taken: u32,
    window: Window,
    /// The share of calls that are throttled, and how much better than by it they are foretold.
    share: f64,
    foretold: f64,
    of_several: bool,
}

impl OneByOne {
    pub(super) fn new(of_several: bool) -> Self {
        Self {
            before: VecDeque::new(),
            pauses: Pauses::new(),
            bursts: Bursts::new(),
            odds: 0.0,
            failed: 0,
            taken: 0,
            window: Window::new(WINDOW),
            share: SHARE_FIRST,
            foretold: 0.0,
            of_several,
        }
    }

    /// Takes note of a call before a limit is met.
    pub(super) fn remember(&mut self, call: Call) {
        if self.before.len() == REMEMBERED {
            self.before.pop_front();
        }
        self.before.push_back(call);
    }

    /// Takes note of a call, of how many throttles one after another it is the last, and of whether it was sent after such a pause.
    pub(super) fn answered(&mut self, call: Call, in_a_row: u32, is_taken: bool) {
        for before in std::mem::take(&mut self.before) {
            self.learn(&before, 0);
        }
        if self.odds <= NEVER {
            return;
        }
        self.taken += u32::from(is_taken);
        // While the pause is searched for many are throttled.
        let is_found = self.pauses.are_known() || self.taken > WINDOW;
        if is_taken && in_a_row <= IN_A_ROW && is_found {
            let throttles = self.window.answered(call.throttled);
            if throttles.is_some_and(|throttles| throttles >= TOO_MANY) && self.foretold < FORETOLD {
                self.odds = PUT_BACK;
            }
        }
        self.learn(&call, in_a_row);
    }

    fn learn(&mut self, call: &Call, in_a_row: u32) {
        if in_a_row > IN_A_ROW {
            self.pauses.rest();
            return;
        }
        let of_several = self.bursts.answered(call);
        let Some(of_one) = self.pauses.answered(call) else { return };
        let of_share = if call.throttled { self.share } else { 1.0 - self.share };
        self.foretold = self.foretold * FORETOLD_KEPT + (of_one / of_share.clamp(0.05, 0.95)).ln();
        self.foretold = self.foretold.clamp(FORETOLD_LEAST, FORETOLD_MOST);
        self.share += OF_ONE * (f64::from(u8::from(call.throttled)) - self.share);
        self.odds = (self.odds + (of_one / of_several).ln()).min(MOST_ODDS);
    }

    /// Whether calls are let through one at a time. To one of several processes throttles soon look like it whatever the limit is.
    pub(super) fn is_so(&self) -> bool {
        if self.of_several && self.foretold <= FORETOLD_OF_SEVERAL {
            return false;
        }
        self.failed < MOST_FAILED && self.odds > SO + SO_MORE * f64::from(self.failed)
    }

    pub(super) fn is_not_so(&self) -> bool {
        self.odds < NOT_SO
    }

    /// The pace is that of the pause from now on, by this or by what else is known. What is no more learned begins anew.
    pub(super) fn begin(&mut self) {
        if self.odds <= NEVER {
            (self.pauses, self.bursts) = (Pauses::new(), Bursts::new());
            (self.share, self.foretold) = (SHARE_FIRST, 0.0);
        }
        self.odds = self.odds.max(SO);
        self.window.begin();
        self.taken = 0;
    }

    /// It was not so. Gives the limit that is likely, in calls a second.
    pub(super) fn end(&mut self) -> f64 {
        self.failed += 1;
        self.bursts.per_second()
    }

    /// Nobody asked for a while.
    pub(super) fn rest(&mut self) {
        self.pauses.rest();
    }

    /// The pause before the next call, in seconds.
    pub(super) fn pause(&mut self, now: Instant) -> f64 {
        self.pauses.next(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Calls one after another, each so many seconds after the one before.
    struct Calls {
        one_by_one: OneByOne,
        at: Instant,
        level: f64,
    }

    impl Calls {
        fn new(burst: f64) -> Self {
            Self { one_by_one: OneByOne::new(false), at: Instant::now(), level: burst }
        }

        fn answered(&mut self, gap: f64, throttled: bool, in_a_row: u32, is_taken: bool) {
            self.at += Duration::from_secs_f64(gap);
            let call = Call { sent_at: self.at, throttled, secs: 0.05, is_late: false };
            self.one_by_one.answered(call, in_a_row, is_taken);
        }

        /// Makes calls to a limit of ten a second. Gives after how many of them it seems to let one through at a time.
        fn make(&mut self, calls: usize, burst: f64, gap: impl Fn(usize) -> f64) -> Option<usize> {
            (0..calls).position(|call| {
                self.level = (self.level + 10.0 * gap(call)).min(burst);
                let throttled = self.level < 1.0;
                self.level -= f64::from(u8::from(!throttled));
                self.answered(gap(call), throttled, u32::from(throttled), false);
                self.one_by_one.is_so()
            })
        }
    }

    /// Pauses around the limit's of a tenth of a second, as a pace that searches has them.
    fn around(call: usize) -> f64 {
        [0.13, 0.11, 0.09, 0.12, 0.105, 0.08, 0.1, 0.115][call % 8]
    }

    #[test]
    fn one_call_at_a_time_is_soon_told_from_several() {
        let so = Calls::new(1.0).make(40, 1.0, around);
        assert!(so.is_some(), "one at a time");
        for burst in [3.0, 10.0] {
            let mut calls = Calls::new(burst);
            assert_eq!(calls.make(200, burst, |call| around(call) * 0.8), None, "{burst} at once");
            assert!(calls.one_by_one.is_not_so(), "{burst} at once");
        }
    }

    #[test]
    fn what_was_let_through_before_a_limit_is_met_counts_and_no_more_of_it_is_remembered_than_says_something() {
        let mut calls = Calls::new(1.0);
        for _ in 0..1_000 {
            calls.at += Duration::from_millis(1);
            calls.one_by_one.remember(Call { sent_at: calls.at, throttled: false, secs: 0.05, is_late: false });
        }
        assert_eq!((calls.one_by_one.before.len(), calls.one_by_one.odds), (REMEMBERED, 0.0));
        calls.answered(0.001, true, 1, false);
        assert!(calls.one_by_one.is_not_so(), "so many in so short a time");
    }

    #[test]
    fn many_throttles_that_nothing_foretells_end_it_and_then_it_takes_more_to_begin() {
        let mut calls = Calls::new(1.0);
        calls.make(40, 1.0, around);
        calls.one_by_one.begin();
        assert!(!calls.one_by_one.is_not_so());
        let throttled = [true, false, false, true, false, true, true, false, true, false, false, true, true];
        let ended = (0..120).position(|call| {
            calls.answered(0.102, throttled[call * call % 13], 1, true);
            calls.one_by_one.is_not_so()
        });
        assert!(ended.is_some_and(|ended| ended < 80), "{ended:?}");
        assert!((1.0..20.0).contains(&calls.one_by_one.end()));
        calls.one_by_one.odds = SO + 1.0;
        assert!(!calls.one_by_one.is_so());
    }

    #[test]
    fn to_one_of_several_processes_throttles_must_be_foretold_as_well() {
        let mut calls = Calls::new(1.0);
        calls.make(40, 1.0, around);
        (calls.one_by_one.of_several, calls.one_by_one.foretold) = (true, FORETOLD_OF_SEVERAL);
        assert!(!calls.one_by_one.is_so());
        calls.one_by_one.foretold += 0.1;
        assert!(calls.one_by_one.is_so());
    }

    #[test]
    fn throttles_of_others_who_use_the_limit_up_change_no_odds() {
        let mut calls = Calls::new(1.0);
        calls.make(40, 1.0, around);
        calls.one_by_one.odds = 1.0;
        for in_a_row in IN_A_ROW + 1..40 {
            calls.answered(1.0, true, in_a_row, true);
        }
        assert_eq!(calls.one_by_one.odds, 1.0);
    }
}

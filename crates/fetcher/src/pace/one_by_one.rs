//! The pace where calls are let through one at a time.

use super::window::Window;
use tokio::time::Instant;

/// How much longer than its pause a call may come after the one before and still say something of the pace.
const LATER: f64 = 1.2;

/// How much faster two calls make the pace that are let through one after another: while the limit is searched, and at least; and after
/// how many of them it is as much again, growing with their number to the power [`RUN_POWER`].
const SEARCHING: f64 = 0.25;
const GROWTH: f64 = 0.0005;
const LONG_RUN: f64 = 20.0;
const RUN_POWER: i32 = 3;

/// How unlikely it must be that throttles without two such calls between them all come of others: a measure, and no chance, of which each
/// of them is what is not let through of a share. That is more with each two such calls and less with each throttle between them: what it
/// is at first, at least and at most, and how much one changes it.
const CHANCE: f64 = 0.01;
const THROUGH: f64 = 0.75;
const THROUGH_LEAST: f64 = 0.4;
const THROUGH_MOST: f64 = 0.95;
const LEARNED: f64 = 0.05;

/// What is left of the pace that was good, and how much slower one becomes that was not good since: twice as much each time, and at most.
const KEPT: f64 = 0.97;
const STEP: f64 = 0.03;
const MOST_STEP: f64 = 0.5;

/// Over how many calls throttles are counted; which share of them is too much: so much more than there was at slower paces, at least and at
/// most. And which share is many, and after how many times of that it is tried again whether others still ask.
const WINDOW: u32 = 24;
const MORE: f64 = 0.1;
const TOO_MANY_LEAST: f64 = 0.35;
const TOO_MANY_MOST: f64 = 0.65;
const MANY: f64 = 0.16;
const TRIED_AGAIN: u32 = 32;

/// Where one call is let through at a time, two of them one after another say that the pause between them is long enough, whoever else
/// asks, and one throttle says nothing: others may have come before. But where throttles come again and again and never two such calls, the
/// pause is too short. So the pace becomes faster with each two such calls, and slower where there are none.
#[derive(Debug)]
pub(super) struct OneByOne {
    /// When the last call was sent that was answered, and whether it was throttled.
    last: Option<(Instant, bool)>,
    searches: bool,
    /// The last pace that was good since it became slower, and the one that was before it did.
    good: Option<f64>,
    best: f64,
    /// How many calls came soon enough after another and were let through both since the pace last became slower; the throttles since
    /// the last of them; and how much others let through, by [`CHANCE`]'s measure.
    run: u32,
    throttles: i32,
    through: f64,
    step: f64,
    /// Calls sent before this had another pace.
    changed_at: Option<Instant>,
    window: Window,
    /// The share of throttles that is too much, and how many windows had many.
    too_many: f64,
    with_many: u32,
}

impl OneByOne {
    /// One that begins with this pace, in calls a second, where slower ones had this share of throttles.
    pub(super) fn new(rate: f64, share: f64) -> Self {
        Self {
            last: None,
            searches: true,
            good: None,
            best: rate,
            run: 0,
            throttles: 0,
            through: THROUGH,
            step: STEP,
            changed_at: None,
            window: Window::new(WINDOW),
            too_many: (share + MORE).clamp(TOO_MANY_LEAST, TOO_MANY_MOST),
            with_many: 0,
        }
    }

    /// Nobody asked for a while: what was found since may have changed.
    pub(super) fn rest(&mut self) {
        (self.last, self.searches) = (None, true);
        (self.throttles, self.run, self.with_many) = (0, 0, 0);
        self.window.begin();
    }

    /// A call was answered, of this pace. Gives the pace from now on, or nothing where it is to be found anew: more are throttled than
    /// before, so that it is not that one call is let through at a time, or many have been for long.
    pub(super) fn answered(
        &mut self,
        sent_at: Instant,
        throttled: bool,
        rate: f64,
        has_waited: bool,
        now: Instant,
    ) -> Option<f64> {
        let before = self.last.replace((sent_at, throttled));
        if has_waited && self.has_too_many(throttled) {
            return None;
        }
        let is_of_now = self.changed_at.is_none_or(|at| sent_at >= at);
        let gap = before.and_then(|(at, _)| sent_at.checked_duration_since(at)).filter(|gap| !gap.is_zero());
        let (Some((_, was_throttled)), Some(gap), true) = (before, gap, is_of_now) else { return Some(rate) };
        let of_gap = 1.0 / gap.as_secs_f64();
        if of_gap * LATER < rate {
            return Some(rate);
        }
        Some(match (was_throttled, throttled) {
            (false, false) => self.two_let_through(of_gap.min(rate), rate, has_waited),
            (true, false) => rate,
            (_, true) => self.throttled(rate, now),
        })
    }

    fn has_too_many(&mut self, throttled: bool) -> bool {
        let Some(throttles) = self.window.answered(throttled) else { return false };
        let share = f64::from(throttles) / f64::from(WINDOW);
        self.with_many += u32::from(share >= MANY);
        share >= self.too_many || self.with_many >= TRIED_AGAIN
    }

    fn two_let_through(&mut self, good: f64, rate: f64, has_waited: bool) -> f64 {
        self.through += LEARNED * (1.0 - self.through);
        self.through *= (1.0 - LEARNED).powi(self.throttles);
        (self.run, self.throttles, self.step, self.good) = (self.run + 1, 0, STEP, Some(good));
        // A pace that nobody waits for is not made faster.
        if !has_waited {
            return rate;
        }
        // What was good before is soon reached again, and gone beyond: it was not always the pace that made it slower.
        let by = if self.searches || rate < self.best {
            SEARCHING
        } else {
            (GROWTH * (1.0 + (f64::from(self.run) / LONG_RUN).powi(RUN_POWER))).min(SEARCHING)
        };
        rate.max(good * (1.0 + by))
    }

    fn throttled(&mut self, rate: f64, now: Instant) -> f64 {
        self.throttles += 1;
        let of_others = (1.0 - self.through.clamp(THROUGH_LEAST, THROUGH_MOST)).powi(self.throttles);
        if of_others >= CHANCE {
            return rate;
        }
        (self.searches, self.run, self.throttles, self.changed_at) = (false, 0, 0, Some(now));
        if let Some(good) = self.good.take() {
            self.best = rate.min(good) * KEPT;
            return self.best;
        }
        let slower = rate * (1.0 - self.step);
        self.step = (self.step * 2.0).min(MOST_STEP);
        slower
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Calls that come one pause after another, T where throttled, and each of which somebody waits for.
    struct Calls {
        one_by_one: OneByOne,
        at: Instant,
        rate: f64,
    }

    impl Calls {
        /// At a pace of 10, where slower ones had this share of throttles.
        fn new(share: f64) -> Self {
            Self { one_by_one: OneByOne::new(10.0, share), at: Instant::now(), rate: 10.0 }
        }

        /// One that knows about where the limit is.
        fn found() -> Self {
            let mut calls = Self::new(0.3);
            calls.one_by_one.searches = false;
            calls
        }

        /// Gives the pace after each; 0 where it is to be found anew.
        fn make(&mut self, calls: &str) -> Vec<f64> {
            let call = |call| {
                self.at += Duration::from_secs_f64(1.0 / self.rate);
                let paced = self.one_by_one.answered(self.at, call == 'T', self.rate, true, self.at);
                self.rate = paced.unwrap_or(self.rate);
                paced.unwrap_or(0.0)
            };
            calls.chars().map(call).collect()
        }
    }

    fn rounded(rates: &[f64]) -> Vec<f64> {
        rates.iter().map(|rate| (rate * 100.0).round() / 100.0).collect()
    }

    #[test]
    fn two_calls_let_through_one_after_another_make_the_pace_faster_and_throttles_of_others_do_not_make_it_slower() {
        let rates = Calls::new(0.3).make("..T.T..T..");
        assert_eq!(rounded(&rates), [10.0, 12.5, 12.5, 12.5, 12.5, 12.5, 15.63, 15.63, 15.63, 19.53]);
    }

    #[test]
    fn throttles_without_two_such_calls_make_it_slower_than_what_was_good_and_then_by_more_each_time() {
        let mut calls = Calls::new(0.6);
        let mut slower = rounded(&calls.make("..T.T.T.T.T.T.T.T.T.T.T.T.T"));
        slower.dedup();
        assert_eq!(slower, [10.0, 12.5, 9.7, 9.41, 8.84]);
        let again = rounded(&calls.make("......"));
        assert_eq!(again[1], 11.06, "what was good is soon reached again: {again:?}");
        assert!(again[5] < 11.2, "and from there it grows by little: {again:?}");
    }

    #[test]
    fn a_long_run_makes_a_pace_that_was_found_faster_by_more_and_more() {
        let rates = Calls::found().make(&".".repeat(120));
        assert!(rates[30] < 10.5 && rates[119] > 40.0, "{rates:?}");
    }

    #[test]
    fn where_few_come_before_two_throttles_are_enough() {
        let rates = Calls::found().make(&(".".repeat(60) + "T.T"));
        assert!(rates[62] < rates[61], "{rates:?}");
    }

    #[test]
    fn where_more_are_throttled_than_before_or_many_for_long_the_pace_is_to_be_found_anew() {
        let windows = |share: f64, window: &str, count: usize| {
            Calls::new(share).make(&window.repeat(count)).iter().position(|rate| *rate == 0.0)
        };
        let half = "..TT".repeat(6);
        assert_eq!(windows(0.25, &half, 3), Some(23));
        assert_eq!(windows(0.45, &half, 3), None);
        assert_eq!(windows(0.3, &"...T..".repeat(4), 40), Some(32 * 24 - 1));
        assert_eq!(windows(0.3, &".......T".repeat(3), 99), None, "an eighth is not many");
        assert_eq!(windows(0.3, &"T".repeat(24), 9), None, "others use the limit up");
    }

    #[test]
    fn a_pace_that_nobody_waits_for_is_not_made_faster_and_one_that_rested_is_searched_for() {
        let mut calls = Calls::found();
        for _ in 0..9 {
            calls.at += Duration::from_millis(100);
            assert_eq!(calls.one_by_one.answered(calls.at, false, 10.0, false, calls.at), Some(10.0));
        }
        assert!(calls.make("..")[1] < 10.1);
        calls.one_by_one.rest();
        assert!(calls.make("..")[1] > 12.0);
    }

    #[test]
    fn calls_that_come_later_than_their_pause_and_those_of_a_pace_before_say_nothing() {
        let mut calls = Calls::new(0.3);
        for call in 1..20 {
            calls.at += Duration::from_secs(1);
            let paced = calls.one_by_one.answered(calls.at, call % 3 == 0, 10.0, true, calls.at);
            assert_eq!(paced, Some(10.0));
        }
        calls.one_by_one.changed_at = Some(calls.at + Duration::from_millis(850));
        assert_eq!(calls.make("........"), [10.0; 8]);
        assert!(calls.make("..")[1] > 12.0);
    }
}

//! The pace where calls are let through one at a time.

use tokio::time::Instant;

/// How much longer than its pause a call may come after the one before and still say something of the pace.
const LATER: f64 = 1.2;

/// How much faster two calls make the pace that are let through one after another: while the limit is searched, and at least; and after
/// how many of them it is as much again, growing with their number to the power [`RUN_POWER`].
const SEARCHING: f64 = 0.25;
const GROWTH: f64 = 0.0005;
const LONG_RUN: f64 = 20.0;
const RUN_POWER: i32 = 3;

/// Of how few chances in all it is that throttles without two such calls between them come from others; the share of calls that others
/// let through at first, at least, at most, and how much of it one call changes.
const CHANCE: f64 = 0.01;
const THROUGH: f64 = 0.75;
const THROUGH_LEAST: f64 = 0.4;
const THROUGH_MOST: f64 = 0.95;
const LEARNED: f64 = 0.05;

/// What is left of the pace that was good, and how much slower one becomes that was not good since: twice as much each time, and at most.
const KEPT: f64 = 0.97;
const STEP: f64 = 0.03;
const MOST_STEP: f64 = 0.5;

/// Over how many calls it is asked whether too many are throttled: how many more than before, and at least and at most. And how many times
/// many are until it is tried again whether others still come before.
const WINDOW: u32 = 24;
const MORE: f64 = 0.1;
const TOO_MANY_LEAST: f64 = 0.35;
const TOO_MANY_MOST: f64 = 0.65;
const MANY: f64 = 0.16;
const TRIED_AGAIN: u32 = 32;

/// Where one call is let through at a time, two of them one after another say that the pause between them is long enough, whoever else
/// asks, and a throttle says nothing: others may have come before. But where throttles come again and again and never two such calls, the
/// pause is too short. So the pace becomes faster with each two such calls, and slower where there are none.
#[derive(Debug)]
pub(super) struct OneByOne {
    /// When the last call was sent that was answered, and whether it was throttled.
    last: Option<(Instant, bool)>,
    searches: bool,
    /// The fastest pace that is known to be good since it last became slower, and before.
    good: Option<f64>,
    best: f64,
    /// How many calls came soon enough after another and were let through both since the pace last became slower; the throttles since
    /// the last of them, and the share of calls that others leave.
    run: u32,
    throttles: i32,
    through: f64,
    step: f64,
    /// Calls sent before this had another pace.
    changed_at: Option<Instant>,
    /// The calls of the window and their throttles; the share of throttles that is too much, and how many windows had many.
    calls: u32,
    throttled: u32,
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
            calls: 0,
            throttled: 0,
            too_many: (share + MORE).clamp(TOO_MANY_LEAST, TOO_MANY_MOST),
            with_many: 0,
        }
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
        if !has_waited {
            // Whether a faster one is too fast is not known.
            self.searches = true;
        } else if self.has_too_many(throttled) {
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
        self.calls += 1;
        self.throttled += u32::from(throttled);
        if self.calls < WINDOW {
            return false;
        }
        let share = f64::from(self.throttled) / f64::from(self.calls);
        (self.calls, self.throttled) = (0, 0);
        self.with_many += u32::from(share >= MANY);
        share >= self.too_many || self.with_many >= TRIED_AGAIN
    }

    fn two_let_through(&mut self, good: f64, rate: f64, has_waited: bool) -> f64 {
        self.through += LEARNED * (1.0 - self.through);
        self.through *= (1.0 - LEARNED).powi(self.throttles);
        (self.run, self.throttles, self.step, self.good) = (self.run + 1, 0, STEP, Some(good));
        let by = if self.searches || rate < self.best {
            SEARCHING
        } else {
            (GROWTH * (1.0 + (f64::from(self.run) / LONG_RUN).powi(RUN_POWER))).min(SEARCHING)
        };
        // A pace that nobody waits for is not made faster.
        if has_waited { rate.max(good * (1.0 + by)) } else { rate }
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

    /// Calls that come one pause after another, T where throttled, and each of which somebody waits for. Gives the pace after each; 0 where it is to be found anew.
    fn after(one_by_one: &mut OneByOne, calls: &str) -> Vec<f64> {
        let (mut at, mut rate) = (Instant::now(), 10.0);
        let call = |call| {
            at += Duration::from_secs_f64(1.0 / rate);
            let paced = one_by_one.answered(at, call == 'T', rate, true, at);
            rate = paced.unwrap_or(rate);
            paced.unwrap_or(0.0)
        };
        calls.chars().map(call).collect()
    }

    fn rounded(rates: &[f64]) -> Vec<f64> {
        rates.iter().map(|rate| (rate * 100.0).round() / 100.0).collect()
    }

    #[test]
    fn two_calls_let_through_one_after_another_make_the_pace_faster_and_throttles_of_others_do_not_make_it_slower() {
        let rates = after(&mut OneByOne::new(10.0, 0.3), "..T.T..T..");
        assert_eq!(rounded(&rates), [10.0, 12.5, 12.5, 12.5, 12.5, 12.5, 15.63, 15.63, 15.63, 19.53]);
    }

    #[test]
    fn throttles_without_two_such_calls_between_them_make_it_slower_than_what_was_good_and_then_by_more_each_time() {
        let mut one_by_one = OneByOne::new(10.0, 0.6);
        let rates = after(&mut one_by_one, "..T.T.T.T.T.T.T.T.T.T.T.T.T");
        let mut slower = rounded(&rates);
        slower.dedup();
        assert_eq!(slower, [10.0, 12.5, 9.7, 9.41, 8.84]);
        assert!(!one_by_one.searches);
        assert!(rounded(&after(&mut one_by_one, "..."))[2] < 10.0 * 1.26, "found, it grows by little");
    }

    #[test]
    fn where_few_come_before_two_throttles_are_enough() {
        let mut one_by_one = OneByOne::new(10.0, 0.3);
        one_by_one.searches = false;
        let rates = after(&mut one_by_one, &(".".repeat(60) + "T.T"));
        assert!(rates[62] < rates[61], "{rates:?}");
    }

    #[test]
    fn where_more_are_throttled_than_before_or_many_for_long_the_pace_is_to_be_found_anew() {
        let windows = |share: f64, window: &str, count: usize| {
            after(&mut OneByOne::new(10.0, share), &window.repeat(count)).iter().position(|rate| *rate == 0.0)
        };
        let half = "..TT".repeat(6);
        assert_eq!(windows(0.25, &half, 3), Some(23));
        assert_eq!(windows(0.45, &half, 3), None);
        assert_eq!(windows(0.3, &"...T..".repeat(4), 40), Some(32 * 24 - 1));
        assert_eq!(windows(0.3, &".......T".repeat(3), 99), None, "an eighth is not many");
    }

    #[test]
    fn a_pace_that_nobody_waits_for_is_not_made_faster_and_searched_for_once_they_do() {
        let (mut one_by_one, mut at) = (OneByOne::new(10.0, 0.3), Instant::now());
        one_by_one.searches = false;
        for _ in 0..9 {
            at += Duration::from_millis(100);
            assert_eq!(one_by_one.answered(at, false, 10.0, false, at), Some(10.0));
        }
        assert!(after(&mut one_by_one, "..")[1] > 12.0);
    }

    #[test]
    fn calls_that_come_later_than_their_pause_and_those_of_a_pace_before_say_nothing() {
        let (mut one_by_one, began) = (OneByOne::new(10.0, 0.3), Instant::now());
        for call in 1..30 {
            let at = began + Duration::from_secs(call);
            assert_eq!(one_by_one.answered(at, call % 2 == 0 && call < 10, 10.0, true, at), Some(10.0));
        }
        one_by_one.changed_at = Some(began + Duration::from_secs(60));
        for call in 1..9 {
            let at = began + Duration::from_secs(30) + Duration::from_millis(100 * call);
            assert_eq!(one_by_one.answered(at, false, 10.0, true, at), Some(10.0));
        }
    }
}

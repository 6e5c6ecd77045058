//! The pause between two calls that a limit asks for which lets one call through at a time.

use super::one_by_one::Call;
use tokio::time::Instant;

/// The shortest and the longest pause, in seconds, and by how much two of them differ.
const SHORTEST: f64 = 0.003;
const LONGEST: f64 = 8.0;
const STEP: f64 = 1.02;

/// How many calls others make in a pause, in steps of [`OTHERS_STEP`], and how likely each is before anything is known.
const OTHERS: [(i32, f64); 5] = [(0, 0.35), (1, 0.2), (2, 0.2), (4, 0.15), (6, 0.1)];
const OTHERS_STEP: f64 = 0.22;

/// How wide the edge of a pause is: of how much answers differ in time, of the pause, and at least, in seconds.
const EDGE_OF_TIME: f64 = 0.7;
const EDGE_OF_PAUSE: f64 = 0.003;
const EDGE: f64 = 0.0001;

/// At how many ages of the call that others made before a throttle the next one is looked at.
const AGES: u32 = 3;

/// How much of what is known moves to the pauses beside it with each call, to any other number of calls of others, and to any limit.
const MOVES: f64 = 0.004;
const OTHERS_CHANGE: f64 = 0.01;
const CHANGES: f64 = 0.002;

/// How much the time of one answer counts in what they take and in how much they differ: no more than if it differed by so many times as
/// much, and of the first ones the shortest, since a connection and credentials are waited for there. How much they differ in the beginning.
const OF_ONE: f64 = 0.1;
const MOST_DIFFERENT: f64 = 4.0;
const FIRST: u32 = 8;
const DIFFERS_FIRST: f64 = 0.01;

/// Of which part of a pause times that differ make it unsure at most: most of it is of what the server does, and not of when a call comes.
const MOST_OF_TIME: f64 = 0.3;

/// Which share of what is known says that the limit's pause is no longer than the one between two calls; and how much longer that one is:
/// of itself, and of how much answers differ in time. Half is enough while nearly nothing is known, which is while the longest pause that is
/// likely is so many times the shortest.
const SURE: f64 = 0.95;
const MARGIN: f64 = 1.01;
const MARGIN_OF_TIME: f64 = 2.5;
const UNKNOWN: f64 = 3.0;

/// Every how many pauses a shorter one is tried, after a call that was let through: while the pauses that are likely are by so much apart,
/// by less, and by nearly nothing, or by what the times of answers make them. Which share says that it is long enough; but two of three
/// are shorter by so much: a limit that became faster, or a pause that bad luck alone speaks for, would be left in small steps.
const TRIED: f64 = 0.4;
const MUCH_SHORTER: [f64; 2] = [0.8, 0.55];
const FAR_APART: (f64, u32) = (1.5, 1);
const APART: (f64, u32) = (1.1, 3);
const NEAR_EVERY: u32 = 30;
const APART_OF_TIME: f64 = 3.0;

/// What is known of the pause: how likely each is, with each number of calls of others, by Bayes' rule. Two calls that are both let
/// through say that the pause between them is long enough, whoever else asks. A throttle says that it is too short, or that others came
/// before. Which of the two is learned from all of them together, and soon: some twenty calls find the pause within a few hundredths.
#[derive(Debug)]
pub(super) struct Pauses {
    secs: Vec<f64>,
    known: Vec<[f64; OTHERS.len()]>,
    last: Option<(Instant, bool)>,
    through_at: Option<Instant>,
    /// How long answers take, how much that differs, in seconds, and how many of the first ones there were.
    takes: f64,
    differs: f64,
    first: u32,
    /// By how much the pauses that are likely are apart.
    apart: f64,
    /// How many pauses were given since a shorter one was, how many were shorter, whether the last one was, and when the call was sent that
    /// came after it, until that or a later one was answered.
    since_tried: u32,
    tries: usize,
    is_given: bool,
    tried_at: Option<Instant>,
}

impl Pauses {
    pub(super) fn new() -> Self {
        let count = ((LONGEST / SHORTEST).ln() / STEP.ln()).ceil() as i32;
        let secs = (0..count).map(|pause| SHORTEST * STEP.powi(pause)).collect();
        let known = (0..count).map(|_| OTHERS.map(|(_, likely)| likely / f64::from(count))).collect();
        Self {
            secs,
            known,
            last: None,
            through_at: None,
            takes: 0.0,
            differs: 0.0,
            first: 0,
            apart: LONGEST / SHORTEST,
            since_tried: 0,
            tries: 0,
            is_given: false,
            tried_at: None,
        }
    }

    /// Nobody asked for a while: when calls were sent before says nothing of the next one.
    pub(super) fn rest(&mut self) {
        (self.last, self.through_at, self.tried_at, self.is_given) = (None, None, None, false);
    }

    /// Whether about the pause is known, and not only that there is one.
    pub(super) fn are_known(&self) -> bool {
        self.apart <= UNKNOWN
    }

    /// Takes note of a call. Gives how likely its answer was by what was known, if that says anything: not where it came at once with one
    /// that was throttled, was answered after one that was sent later, or came late, nor of the next one then.
    pub(super) fn answered(&mut self, call: &Call) -> Option<f64> {
        self.tried_at = self.tried_at.filter(|at| call.sent_at < *at);
        let (before, through_at) = (self.last, self.through_at);
        if !call.throttled {
            self.through_at = through_at.max(Some(call.sent_at));
        }
        if before.map(|(at, _)| at).max(through_at) > Some(call.sent_at) {
            return None;
        }
        if call.is_late {
            self.last = None;
            return None;
        }
        self.last = Some((call.sent_at, call.throttled));
        self.note_time(call.secs);
        let ((at, was_throttled), through_at) = (before?, through_at?);
        let gap = (call.sent_at - at).as_secs_f64();
        if gap == 0.0 && (call.throttled || was_throttled) {
            return None;
        }
        let since = (call.sent_at - through_at).as_secs_f64();
        Some(self.learn(call, gap, was_throttled, since))
    }

    fn note_time(&mut self, secs: f64) {
        if self.first < FIRST {
            self.first += 1;
            self.takes = if self.first == 1 { secs } else { self.takes.min(secs) };
            self.differs = self.takes * DIFFERS_FIRST;
            return;
        }
        let differs = (secs - self.takes).abs().min(MOST_DIFFERENT * self.differs.max(EDGE));
        self.takes += OF_ONE * differs.copysign(secs - self.takes);
        self.differs += OF_ONE * (differs - self.differs);
    }

    fn learn(&mut self, call: &Call, gap: f64, was_throttled: bool, since: f64) -> f64 {
        let mut sum = 0.0;
        for (pause, known) in self.secs.iter().zip(&mut self.known) {
            let of_time = (EDGE_OF_TIME * self.differs).min(MOST_OF_TIME * pause);
            let edge = of_time + EDGE_OF_PAUSE * pause + EDGE;
            let through = let_through(*pause, edge, gap, was_throttled, since);
            for (known, through) in known.iter_mut().zip(through) {
                *known *= call.likely(through);
                sum += *known;
            }
        }
        self.move_on(sum);
        sum
    }

    /// Limits and others may change: some of what is known is so no more. Makes all of it one again.
    fn move_on(&mut self, sum: f64) {
        let count = self.known.len();
        let mut below = self.known[0];
        for at in 0..count {
            let (now, above) = (self.known[at], self.known[(at + 1).min(count - 1)]);
            let all: f64 = now.iter().sum();
            for (others, (_, likely)) in OTHERS.iter().enumerate() {
                let near = (below[others] + above[others]) / 2.0;
                let moved = now[others] * (1.0 - MOVES) + near * MOVES;
                let moved = (moved * (1.0 - OTHERS_CHANGE) + OTHERS_CHANGE * all * likely) / sum;
                self.known[at][others] = moved * (1.0 - CHANGES) + CHANGES * likely / count as f64;
            }
            below = now;
        }
    }

    /// The pause before the next call, in seconds.
    pub(super) fn next(&mut self, now: Instant) -> f64 {
        let (low, middle, high) = (self.below(0.1), self.below(0.5), self.below(0.9));
        let apart = high / low;
        self.apart = apart;
        let by_time = (APART_OF_TIME * self.differs / middle).min(MOST_OF_TIME);
        let every = if apart <= APART.0 + by_time {
            NEAR_EVERY
        } else if apart <= FAR_APART.0 {
            APART.1
        } else {
            FAR_APART.1
        };
        self.since_tried += 1;
        if std::mem::take(&mut self.is_given) {
            self.tried_at = Some(now);
        }
        let was_through = self.last.is_some_and(|(_, was_throttled)| !was_throttled);
        if was_through && self.tried_at.is_none() && self.since_tried >= every {
            (self.since_tried, self.is_given) = (0, true);
            self.tries += 1;
            let much_shorter = MUCH_SHORTER.get(self.tries % (MUCH_SHORTER.len() + 1));
            return much_shorter.map_or_else(|| self.below(TRIED), |shorter| middle * shorter);
        }
        let pause = if apart > UNKNOWN { middle } else { self.below(SURE) };
        pause * MARGIN + (MARGIN_OF_TIME * self.differs).min(MOST_OF_TIME * pause)
    }

    /// The pause below which this share of what is known is.
    fn below(&self, share: f64) -> f64 {
        let mut sum = 0.0;
        for (pause, known) in self.secs.iter().zip(&self.known) {
            let known: f64 = known.iter().sum();
            if sum + known >= share {
                return pause * STEP.powf((share - sum) / known - 0.5);
            }
            sum += known;
        }
        LONGEST
    }
}

/// The share of calls that such a pause lets through, for each number of calls of others, that come so long after the call before and after
/// the last one that was let through.
fn let_through(pause: f64, edge: f64, gap: f64, was_throttled: bool, since: f64) -> [f64; OTHERS.len()] {
    let before = since - gap;
    if !was_throttled {
        return at_age(pause, edge, gap);
    }
    // Throttled so soon after ours that it was no call of others.
    if before < pause {
        return at_age(pause, edge, since);
    }
    let oldest = (before - pause).min(pause);
    let mut sum = [0.0; OTHERS.len()];
    for age in 0..AGES {
        let age = gap + oldest * (f64::from(age) + 0.5) / f64::from(AGES);
        for (sum, through) in sum.iter_mut().zip(at_age(pause, edge, age)) {
            *sum += through / f64::from(AGES);
        }
    }
    sum
}

/// The same, so long after the last call that anybody's was let through, as far as is known: others may have come since the pause ended.
fn at_age(pause: f64, edge: f64, age: f64) -> [f64; OTHERS.len()] {
    let over = (age - pause) / edge;
    if over < -30.0 {
        return [0.0; OTHERS.len()];
    }
    let is_over = 1.0 / (1.0 + (-over).exp());
    let waited = ((age - pause) / pause).max(0.0);
    let (of_pause, of_step) = ((-waited).exp(), (-waited * OTHERS_STEP).exp());
    OTHERS.map(|(steps, _)| {
        let others = f64::from(steps) * OTHERS_STEP;
        is_over * (1.0 + others * of_pause * of_step.powi(steps)) / (1.0 + others)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A limit that lets one call through at a time, and calls of others after each so many of its pauses.
    struct Limit {
        pauses: Pauses,
        began: Instant,
        at: f64,
        through_at: f64,
        others_at: f64,
        calls: u32,
        secs: fn(u32) -> f64,
    }

    impl Limit {
        fn new() -> Self {
            Self {
                pauses: Pauses::new(),
                began: Instant::now(),
                at: 0.0,
                through_at: -99.0,
                others_at: 0.0,
                calls: 0,
                secs: |_| 0.05,
            }
        }

        fn call(&self, throttled: bool) -> Call {
            let sent_at = self.began + Duration::from_secs_f64(self.at);
            Call { sent_at, throttled, secs: (self.secs)(self.calls), is_late: false }
        }

        /// Makes so many calls after the pauses that are given. Gives the longest of the last eight, and how many were throttled.
        fn make(&mut self, calls: u32, pause: f64, others: f64) -> (f64, u32) {
            let (mut last, mut throttles) = (Vec::new(), 0);
            for _ in 0..calls {
                let next = self.pauses.next(self.began + Duration::from_secs_f64(self.at));
                last.push(next);
                self.at += next;
                while self.others_at < self.at {
                    if self.others_at - self.through_at >= pause {
                        self.through_at = self.others_at;
                    }
                    self.others_at += others * pause;
                }
                let throttled = self.at - self.through_at < pause;
                if !throttled {
                    self.through_at = self.at;
                }
                throttles += u32::from(throttled);
                self.pauses.answered(&self.call(throttled));
                self.calls += 1;
            }
            (last[last.len() - 8..].iter().copied().fold(0.0, f64::max), throttles)
        }
    }

    #[test]
    fn some_calls_find_the_pause_within_a_few_hundredths_and_few_are_throttled() {
        for pause in [0.0143, 0.1, 0.5] {
            let mut limit = Limit::new();
            let (found, throttles) = limit.make(40, pause, 1e9);
            assert!((1.0..1.15).contains(&(found / pause)) && throttles < 16, "{pause}: {found}, {throttles}");
            let (found, throttles) = limit.make(200, pause, 1e9);
            assert!((1.0..1.05).contains(&(found / pause)) && throttles < 30, "{pause}: {found}, {throttles}");
        }
    }

    #[test]
    fn others_who_take_a_third_or_a_half_do_not_hide_the_pause() {
        for (pause, others) in [(0.0143, 3.1), (0.1, 3.1), (0.1, 2.1), (0.5, 2.1)] {
            let mut limit = Limit::new();
            limit.make(120, pause, others);
            let (found, throttles) = limit.make(200, pause, others);
            assert!((1.0..1.3).contains(&(found / pause)), "{pause} beside {others}: {found}");
            assert!(throttles < 60, "{pause} beside {others}: {throttles}");
        }
    }

    #[test]
    fn a_pause_that_becomes_shorter_or_longer_is_found_again() {
        for (first, then) in [(0.1, 0.2), (0.2, 0.1), (0.2, 0.15), (0.1, 0.02)] {
            let mut limit = Limit::new();
            limit.make(100, first, 1e9);
            let (found, _) = limit.make(200, then, 1e9);
            assert!((1.0..1.1).contains(&(found / then)), "{first} and then {then}: {found}");
        }
    }

    #[test]
    fn a_first_answer_that_waits_for_a_connection_and_answers_that_differ_do_not_hide_the_pause() {
        let times: [fn(u32) -> f64; 3] = [
            |call| if call == 0 { 5.0 } else { 0.05 },
            |call| if call % 9 == 0 { 1.0 } else { 0.05 },
            |call| 0.05 + 0.02 * f64::from(call % 11),
        ];
        for (at, secs) in times.into_iter().enumerate() {
            let mut limit = Limit { secs, ..Limit::new() };
            let (found, throttles) = limit.make(120, 0.1, 1e9);
            assert!((1.0..1.4).contains(&(found / 0.1)) && throttles < 30, "{at}: {found}, {throttles}");
        }
    }

    #[test]
    fn calls_that_came_at_once_before_another_or_late_say_nothing() {
        let mut limit = Limit::new();
        limit.make(20, 0.1, 1e9);
        limit.at += 0.1;
        assert!(limit.pauses.answered(&limit.call(false)).is_some());
        assert_eq!(limit.pauses.answered(&limit.call(true)), None, "at once");
        limit.at -= 0.01;
        assert_eq!(limit.pauses.answered(&limit.call(false)), None, "sent before the last one");
        limit.at += 0.11;
        assert_eq!(limit.pauses.answered(&Call { is_late: true, ..limit.call(false) }), None, "late");
        limit.at += 0.1;
        assert_eq!(limit.pauses.answered(&limit.call(false)), None, "after a late one");
        limit.at += 0.1;
        assert!(limit.pauses.answered(&limit.call(false)).is_some());
        limit.pauses.rest();
        limit.at += 600.0;
        assert_eq!(limit.pauses.answered(&limit.call(false)), None, "after a rest");
    }
}

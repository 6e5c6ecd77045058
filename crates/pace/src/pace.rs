//! The pace of calls: as fast as AWS Config lets through, with few throttles.
//!
//! The limit of the API is not published, low, per account and region, and shared with others who ask; nor is it known how many calls it
//! lets through at once. The SDK's adaptive mode falls to seven tenths at every throttle and is back at the limit two seconds later:
//! against a limit of 10 a second a night takes 1.4 times as long as it must, and against 2 a second every fifth call is throttled. A
//! limiter with a fixed quota would need to be told the limit. What is let through between two throttles is the limit only if many calls
//! are let through at once: of one call at a time, a pace that is 3 % too fast is throttled at every second call. So the pace is held
//! where a small share of the calls is throttled, which is at the limit, whatever the rest is:
//!
//! 1. *Free*: calls are sent as they come, until [`TOO_MANY`] of the last [`WINDOW`] and [`FREE_SHARE`] of them are throttled. While fewer
//!    than [`BEGINNING`] were let through, one and [`BEGINNING_SHARE`] of these are sent in the time that an answer takes: all lists of a
//!    night begin together, and would all be throttled by a low limit.
//! 2. *Bound*: between two throttles nothing of the limit is left over, so that it is at most the calls let through between them, and one,
//!    by the time between them. A throttle brings the pace to [`MARGIN`] of that at once, if [`MAX_BETWEEN`] calls or fewer were between.
//! 3. *Searching* begins there, and not above [`MAX_FIRST`]. Each call that is let through makes the pace faster by [`SEARCHING`]. Each
//!    throttle makes it [`LEAST_LEFT`] of that, but for the bound no less than [`KEPT`] of what was let through since a throttle
//!    [`SEARCHED`] calls or more ago; and the first one after a call that was let through ends it.
//! 4. *Settled*: each throttle makes the pace slower by [`STEP`], but after a run of many calls that were let through by less: a pace that
//!    is a tenth too fast is throttled at every tenth call ([`STEP_RUN`]). It is then no more than [`KEPT`] of the run's mean pace, and but
//!    for the bound no less than [`KEPT`] of what was let through since a throttle [`MEASURED`] calls or more ago, and than [`LEAST_LEFT`]
//!    of itself.
//! 5. Each call that is let through makes it faster by [`GROWTH`], in the beginning by [`FIRST_GROWTH`] times that more: half of it every
//!    [`GROWTH_HALVED`] throttles. A slow pace grows faster, a fast one more slowly ([`EVENING_POWER`]), which evens out several processes.
//! 6. After a run of [`LONG_RUN`] calls, fewer of a slow pace and more of a fast one, others may have left some of the limit: the pace
//!    grows with the run to the power [`RUN_POWER`]. Whatever it grows by, no call makes it faster by more than [`MAX_GROWTH`].
//! 7. A throttle of a call that took [`LATE`] times as long as most do, or was answered just after one that did, says nothing: the two came
//!    at once. But it does where fewer than [`LATE_AFTER`] calls were let through since the one before.
//! 8. It grows only while calls wait for their turn: a pace that nobody waits for says nothing of the limit. They wait in line ([`Line`]), so
//!    that a new pace is the next call's. Those sent before the limit was first met, or found, say nothing of the pace that is now, and
//!    throttles of those sent before the pace last became slower count [`SENT_BEFORE`].
//! 9. After [`NOTHING_AFTER`] throttles one after another everybody waits [`WAIT_FACTOR`] times as long as nothing was let through, up to
//!    [`MAX_WAIT`], and then no call waits longer than [`MAX_INTERVAL`] for the one before; after [`USED_UP`] of that others use the limit
//!    up, and a settled pace stays what it was before. After [`IDLE`] without a call no throttle before it counts.
//! 10. A throttled call has the next turn. Where calls seem to be let through one at a time ([`Gaps`]) every second one is throttled once
//!     the pace is above the limit: there it comes after [`EARLY`] of the pause.
//! 11. Once there is a limit, and until it is plain, two explanations of what is throttled are compared by Bayes' rule ([`OneByOne`]): that
//!     one call is let through at a time, with a pause between two that others may take ([`Pauses`](pauses::Pauses)), or several
//!     ([`Bursts`](bursts::Bursts)). Where the first is the better one, or where it was in vain to be slower ([`InVain`]), the pause is
//!     that which is known to be long enough, and shorter ones are tried now and then. Where it is no more, the pace is settled again at
//!     [`FOUND_ANEW`] of the limit that the second knows, or half of what it was. After [`MAX_HELD`], or [`HELD`] where others had it before,
//!     such a pace leaves [`LEFT`] to other processes, of which one that was [`STARVED`] is the first. Where other processes are known to
//!     ask, both have to be plainer: what they take they leave again once all are slower.
//!
//! Its constants are those that did best over whole nights against thousands of random limits: of 2 to 70 calls a second, 1 call to two
//! seconds' worth at once, latencies of 5 to 300 ms; alone, beside another caller, four processes at a time, and limits that change.

mod bursts;
mod gaps;
mod in_vain;
mod one_by_one;
mod pauses;
mod window;

use gaps::Gaps;
use in_vain::InVain;
use one_by_one::{Call, OneByOne};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How many of the last calls say that there is a limit, how many throttles among them do, and which share of them. Some throttles say
/// nothing of the pace, such as those of a server that throttles one call in thirty whatever comes.
const WINDOW: usize = 16;
const TOO_MANY: usize = 3;
const FREE_SHARE: f64 = 0.2;

/// How many calls are a night's beginning, and how many more are sent for each that was let through.
const BEGINNING: u32 = 16;
const BEGINNING_SHARE: f64 = 0.5;

/// The longest that an answer is taken to take then, in seconds: the first may wait for credentials and a connection.
const MAX_BEGINNING: f64 = 1.0;

/// How many throttles back the bound is looked for, over how many calls at most, and how far above it the pace may be: of calls that
/// come one at a time, or not at all for a while, some of the limit is left over.
const BOUNDS: usize = 8;
const MAX_BETWEEN: u32 = 15;
const MARGIN: f64 = 2.25;

/// The fastest pace to begin with, in calls a second. A bound of throttles that came at once says little.
const MAX_FIRST: f64 = 180.0;

/// The slowest pace: a limit that falls to nothing for a while must not stop a night for good.
const SLOWEST: f64 = 0.2;

/// The fastest: one without a bound would be of no use when the limit is met again.
const FASTEST: f64 = 1e6;

/// How much faster each call makes the pace while the limit is searched, at [`EVEN_RATE`] calls a second.
const SEARCHING: f64 = 0.12;

/// How much slower a throttle makes the pace; after a run of how many calls by only half of that; and how much of the pace is left.
const STEP: f64 = 0.15;
const STEP_RUN: f64 = 38.0;
const LEAST_LEFT: f64 = 0.43;

/// How much is kept of what was let through, over how many calls at least that is measured, and how many throttles back at most.
const KEPT: f64 = 0.97;
const MEASURED: u32 = 14;
const SEARCHED: u32 = 3;
const THROTTLES: usize = 16;

/// How much faster a call makes the pace at [`EVEN_RATE`] calls a second, how many times that it is more at first, and after how many
/// throttles half of this is left.
const GROWTH: f64 = 0.002;
const FIRST_GROWTH: f64 = 6.0;
const GROWTH_HALVED: f64 = 1.5;

/// How a slower pace grows faster and a faster one more slowly: by how many times it is slower than a pace in the middle, to this power.
const EVENING_POWER: f64 = 0.7;
const EVEN_RATE: f64 = 8.0;

/// After how many calls without a throttle the pace grows faster, at [`EVEN_RATE`] calls a second; the power of the run that it grows
/// with; and how much faster one call makes it at most.
const LONG_RUN: f64 = 44.0;
const RUN_POWER: i32 = 2;
const MAX_GROWTH: f64 = 0.45;

/// How many times as long as most a call takes that is late, and after how many that were let through a throttle of it says nothing.
/// Most are all but [`SLOWER`] of the calls, so that no more are late where times differ much: each that takes longer than most makes
/// their time longer by [`LONGER`], and each other one shorter by so much less.
const LATE: f64 = 1.5;
const LATE_AFTER: u32 = 2;
const SLOWER: f64 = 0.1;
const LONGER: f64 = 0.1;

/// How much a throttle counts of a call that was sent before the pace last became slower.
const SENT_BEFORE: f64 = 0.55;

/// How much of the pause between two calls is between a throttle and the same call again, of calls that are let through one at a time.
const EARLY: f64 = 0.6;

/// After how many throttles one after another, and not of calls that were sent together, nothing is sent for a while: so many times as
/// long as nothing was let through, and at most so long: beside others who take nearly all, a call is to be tried many times within
/// the time that a call may take.
const NOTHING_AFTER: u32 = 5;
const WAIT_FACTOR: u32 = 2;
const MAX_WAIT: Duration = Duration::from_secs(3);

/// How long one process has what is let through one call at a time: at most, and where others had it before. It is twice as long each time,
/// until others have it again. How long it leaves it to others then, which is longer than [`MAX_WAIT`]: whoever comes just as the pause ends
/// has every call, and others none. After how long without one a process asks more often, so that it is the next.
const MAX_HELD: Duration = Duration::from_secs(120);
const HELD: Duration = Duration::from_secs(15);
const LEFT: Duration = Duration::from_millis(3_200);
const STARVED: Duration = Duration::from_secs(60);

/// How long it is at most between two calls, and how long nothing is sent at most, where others use the limit up; and both once a process
/// is starved. However slow the pace had become: a call that is tried once in a quarter of a minute never comes while others leave it.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
const STARVED_WAIT: Duration = Duration::from_millis(300);

/// How much of the limit the pace begins with that is found anew, where calls seemed to be let through one at a time.
const FOUND_ANEW: f64 = 0.9;

/// After how long without a call, and how many turns that nobody took, the throttles before say nothing more: what nobody used is lost.
const IDLE: Duration = Duration::from_secs(2);
const IDLE_TURNS: u32 = 10;

/// After how long of nothing others use the limit up, whatever it is.
const USED_UP: Duration = Duration::from_secs(1);

/// What is known of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: calls are sent as they come.
    Free,
    /// That there is one.
    Searching,
    /// About where it is.
    Settled,
    /// That it seems to let one call through at a time, and others ask.
    OneByOne,
}

/// The pace of all calls with the same credentials in the same region.
#[derive(Debug, Clone)]
pub struct Pace {
    state: Arc<Mutex<State>>,
    /// Who is the next of each line.
    lines: [Arc<tokio::sync::Mutex<()>>; 2],
    /// Who holds it has the next turn: those who are next of their lines in turn.
    next: Arc<tokio::sync::Mutex<()>>,
}

/// Where a call waits for its turn. While calls wait in both lines, each has every second turn: a list that nothing divides would have one
/// turn in many beside as many shards, and go on alone when they are done, as slowly as its answers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// With the shards.
    Shards,
    /// With the other lists.
    Lists,
}

#[derive(Debug)]
struct State {
    /// Calls a second that the settings allow.
    most: f64,
    phase: Phase,
    /// Calls a second; of no meaning while the phase is free.
    rate: f64,
    /// When the last call had its turn, and whether it had to wait for it. Nothing is sent before.
    turn_at: Option<Instant>,
    has_waited: bool,
    not_before: Instant,
    /// While the phase is free: which of the last calls were throttled.
    last: VecDeque<bool>,
    /// The last throttles, whatever they say: when each was answered, and how many calls had been let through by then.
    throttles: VecDeque<(Instant, u32)>,
    admitted: u32,
    /// The throttles that made the pace slower, and when the last did; the run since then: its calls, how many seconds they take at the
    /// pace of each, and the pace of the first.
    steps: f64,
    stepped_at: Instant,
    run: u32,
    run_secs: f64,
    run_rate: f64,
    /// How many seconds most calls take at most, whether the last one was late, and the calls let through since the last throttle.
    most_secs: Option<f64>,
    was_late: bool,
    since_throttle: u32,
    /// The throttles of a settled pace, and whether calls are let through one at a time.
    in_vain: InVain,
    one_by_one: OneByOne,
    /// The pauses of a settled pace, and whether the call that was throttled just now is sent again early.
    gaps: Gaps,
    is_early: bool,
    /// Since when calls were let through without a pause that was left to other processes, and after how long the next one is.
    held_since: Instant,
    held: Duration,
    /// Calls sent before this had their turn at another pace.
    changed_at: Instant,
    /// The throttles since a call was last let through, without those of calls that were sent before the last of them was answered; when
    /// the first of them was, and the pace before them.
    row_began_at: Instant,
    in_a_row: u32,
    row_at: Instant,
    rate_before: f64,
}

impl Pace {
    /// Nothing is known of the limit yet; `most` is how many calls a second there may be, whatever it is, and `processes` how many ask at
    /// the same time with a pace like this one, this one included.
    pub fn new(most: Option<f64>, processes: u32) -> Self {
        let (now, most, of_several) = (Instant::now(), most.unwrap_or(FASTEST), processes > 1);
        let state = State {
            most,
            phase: Phase::Free,
            rate: most.min(MAX_FIRST),
            turn_at: None,
            has_waited: false,
            not_before: now,
            last: VecDeque::new(),
            throttles: VecDeque::new(),
            admitted: 0,
            steps: 0.0,
            stepped_at: now,
            run: 0,
            run_secs: 0.0,
            run_rate: most,
            most_secs: None,
            was_late: false,
            since_throttle: 0,
            in_vain: InVain::new(of_several),
            one_by_one: OneByOne::new(of_several),
            gaps: Gaps::new(),
            is_early: false,
            held_since: now,
            held: MAX_HELD,
            changed_at: now,
            row_began_at: now,
            in_a_row: 0,
            row_at: now,
            rate_before: most,
        };
        Self { state: Arc::new(Mutex::new(state)), lines: Default::default(), next: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call may be sent.
    pub async fn turn(&self, line: Line) {
        let _first = self.lines[line as usize].lock().await;
        let _next = self.next.lock().await;
        let mut has_waited = false;
        loop {
            // The pace, or a call that is tried again, may have moved the turn meanwhile.
            let Some(wait) = self.state().take_turn(Instant::now(), has_waited) else { return };
            has_waited = true;
            sleep(wait).await;
        }
    }

    /// Takes the next turn, before those who wait for theirs; gives how long it is until then.
    pub fn reserve(&self) -> Duration {
        let (now, mut state) = (Instant::now(), self.state());
        state.find_pause(now);
        let is_early = std::mem::take(&mut state.is_early);
        let in_turn = state.turn_after(1.0, now);
        let turn = if is_early { state.turn_after(EARLY, now) } else { in_turn };
        state.has_waited = in_turn > now;
        state.turn_at = Some(turn);
        turn - now
    }

    /// A call was answered: let through, whatever the answer is, or throttled.
    pub fn answered(&self, sent_at: Instant, throttled: bool) {
        self.state().answered(sent_at, throttled, Instant::now());
    }
}

impl State {
    /// Takes the turn, or gives how long it is until then.
    fn take_turn(&mut self, now: Instant, has_waited: bool) -> Option<Duration> {
        let turn = self.turn_after(1.0, now);
        if turn > now {
            return Some(turn - now);
        }
        if self.turn_at.is_some_and(|turn| turn + self.interval() * IDLE_TURNS + IDLE < now) {
            self.throttles.clear();
            self.in_vain.forget();
            self.one_by_one.rest();
        }
        (self.turn_at, self.has_waited) = (Some(now), has_waited);
        self.find_pause(now);
        None
    }

    /// Takes the pause before the next call from what is known of it, where calls are let through one at a time.
    fn find_pause(&mut self, now: Instant) {
        if self.phase == Phase::OneByOne {
            if now - self.held_since >= self.held {
                (self.held_since, self.not_before) = (now, self.not_before.max(now + LEFT));
                self.held = (self.held * 2).min(MAX_HELD);
            }
            let pause = self.one_by_one.pause(now);
            self.rate = self.allowed(1.0 / pause);
        }
    }

    /// The turn after so much of the pause between two calls, which is never less than the settings allow.
    fn turn_after(&self, of_interval: f64, now: Instant) -> Instant {
        let pause = self.interval().mul_f64(of_interval).max(pause_of(self.most));
        self.turn_at.map_or(now, |turn| turn + pause).max(self.not_before).max(now)
    }

    fn interval(&self) -> Duration {
        let rate = if self.phase == Phase::Free { self.most.min(self.beginning()) } else { self.rate };
        let rate = if self.in_a_row < NOTHING_AFTER { rate } else { rate.max(self.least_beside_others()) };
        pause_of(rate)
    }

    /// The slowest pace where others use the limit up.
    fn least_beside_others(&self) -> f64 {
        let most = if self.is_starved() { STARVED_WAIT } else { MAX_INTERVAL };
        self.most.min(1.0 / most.as_secs_f64())
    }

    fn is_starved(&self) -> bool {
        self.row_at - self.row_began_at >= STARVED
    }

    /// The fastest pace in the beginning.
    fn beginning(&self) -> f64 {
        let secs = self.most_secs.filter(|secs| *secs > 0.0 && self.admitted < BEGINNING);
        secs.map_or(FASTEST, |secs| (1.0 + BEGINNING_SHARE * f64::from(self.admitted)) / secs.min(MAX_BEGINNING))
    }

    fn answered(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        let secs = (now - sent_at).as_secs_f64();
        self.wait_for_others(sent_at, throttled, now);
        self.look_at_gap(sent_at, throttled);
        let came_at_once = self.came_at_once(secs, throttled);
        self.admitted = self.admitted.wrapping_add(u32::from(!throttled));
        self.look_one_by_one(Call { sent_at, throttled, secs, is_late: self.was_late }, now);
        if sent_at < self.changed_at {
            return;
        }
        if self.phase == Phase::Settled && !came_at_once && self.is_in_vain(throttled, now) {
            return;
        }
        match self.phase {
            Phase::Free => self.look_for_limit(throttled, now),
            Phase::Searching if throttled => {
                let is_found = self.in_a_row <= 1;
                let phase = if is_found { Phase::Settled } else { Phase::Searching };
                let (bound, let_through) = self.measure(SEARCHED, now);
                let least = self.rate.min(KEPT * let_through);
                self.enter(phase, bound.min((self.rate * LEAST_LEFT).max(least)), now);
            }
            // What is known of the pause says all.
            Phase::OneByOne => {}
            // A pace that nobody waits for says nothing of the limit.
            _ if !throttled && !self.has_waited => {}
            Phase::Searching => self.grow(SEARCHING * evening_out(self.rate)),
            Phase::Settled if throttled => {
                let (bound, let_through) = self.measure(MEASURED, now);
                if !came_at_once {
                    self.slow_down(sent_at, bound, let_through, now);
                }
            }
            Phase::Settled => self.speed_up(),
        }
    }

    /// Takes note of a settled pace's throttles. Gives whether it was in vain to be slower: then calls may be let through one at a time.
    fn is_in_vain(&mut self, throttled: bool, now: Instant) -> bool {
        if !self.has_waited {
            self.in_vain.begin();
            return false;
        }
        let is_in_vain = self.in_vain.answered(throttled, self.rate);
        if is_in_vain {
            self.begin_one_by_one(now);
        }
        is_in_vain
    }

    /// Takes note of a call, and of whether calls seem to be let through one at a time by now, or no more.
    fn look_one_by_one(&mut self, call: Call, now: Instant) {
        if self.phase == Phase::Free {
            self.one_by_one.remember(call);
            return;
        }
        let is_one_by_one = self.phase == Phase::OneByOne;
        self.one_by_one.answered(call, self.in_a_row, is_one_by_one && call.sent_at >= self.changed_at);
        if is_one_by_one && self.one_by_one.is_not_so() {
            let rate = (self.one_by_one.end() * FOUND_ANEW).max(self.rate / 2.0);
            self.change(Phase::Settled, rate, now);
            self.in_vain.forget();
            (self.gaps, self.steps) = (Gaps::new(), 0.0);
            self.throttles.clear();
        } else if call.throttled && matches!(self.phase, Phase::Searching | Phase::Settled) && self.one_by_one.is_so() {
            self.begin_one_by_one(now);
        }
    }

    fn begin_one_by_one(&mut self, now: Instant) {
        self.one_by_one.begin();
        self.change(Phase::OneByOne, self.rate, now);
        self.find_pause(now);
    }

    /// Takes this pace from now on.
    fn change(&mut self, phase: Phase, rate: f64, now: Instant) {
        (self.phase, self.rate) = (phase, self.allowed(rate));
        (self.run, self.run_secs, self.stepped_at) = (0, 0.0, now);
        // What was sent at the pace before says nothing of this one, and that pace is not gone back to.
        (self.changed_at, self.rate_before, self.is_early) = (now, self.rate, false);
    }

    /// Takes note of the pause before a call, and of whether it is sent again early.
    fn look_at_gap(&mut self, sent_at: Instant, throttled: bool) {
        self.is_early = false;
        if !throttled {
            self.gaps.let_through(sent_at);
        } else if self.phase == Phase::Settled && self.since_throttle > 0 {
            self.gaps.throttled(sent_at);
            let is_last = self.turn_at.is_some_and(|turn| sent_at >= turn);
            self.is_early = is_last && self.gaps.are_of_one_at_a_time();
        }
    }

    /// Takes note of how long a call took. Gives whether it is a throttle that says nothing of the pace, because the call came at once with
    /// another one.
    fn came_at_once(&mut self, secs: f64, throttled: bool) -> bool {
        let most = self.most_secs.unwrap_or(secs);
        let by = if secs > most { LONGER } else { -LONGER * SLOWER / (1.0 - SLOWER) };
        self.most_secs = Some(most * (1.0 + by));
        let is_late = secs > LATE * most;
        let was_late = std::mem::replace(&mut self.was_late, is_late);
        let since = self.since_throttle;
        self.since_throttle = if throttled { 0 } else { since.saturating_add(1) };
        throttled && (was_late || is_late) && since >= LATE_AFTER
    }

    /// The fastest pace that the limit allows, by the last throttles and one now, and the calls a second let through since one of them
    /// that so many calls or more were let through after.
    fn measure(&mut self, least_calls: u32, now: Instant) -> (f64, f64) {
        let since =
            |(at, admitted): &(Instant, u32)| (self.admitted.wrapping_sub(*admitted), (now - *at).as_secs_f64());
        let last = self.throttles.iter().rev().map(since);
        let near = last.clone().take(BOUNDS).take_while(|(calls, _)| *calls <= MAX_BETWEEN);
        let bound = near.map(|(calls, secs)| MARGIN * f64::from(calls + 1) / secs).fold(FASTEST, f64::min);
        let measured = last.clone().find(|(calls, _)| *calls >= least_calls);
        let let_through = measured.map_or(0.0, |(calls, secs)| f64::from(calls - 1) / secs);
        self.throttles.push_back((now, self.admitted));
        if self.throttles.len() > THROTTLES {
            self.throttles.pop_front();
        }
        (bound, let_through)
    }

    /// Lets everybody wait where nothing is let through any more.
    fn wait_for_others(&mut self, sent_at: Instant, throttled: bool, now: Instant) {
        if !throttled {
            self.in_a_row = 0;
        } else if sent_at >= self.row_at {
            if self.in_a_row == 0 {
                (self.row_began_at, self.rate_before) = (now, self.rate);
            }
            (self.in_a_row, self.row_at) = (self.in_a_row.saturating_add(1), now);
            if self.in_a_row >= NOTHING_AFTER {
                let most = if self.is_starved() { STARVED_WAIT } else { MAX_WAIT };
                (self.held_since, self.held) = (now, HELD);
                let wait = (now - self.row_began_at).saturating_mul(WAIT_FACTOR).min(most);
                self.not_before = self.not_before.max(now + wait);
            }
        }
    }

    fn look_for_limit(&mut self, throttled: bool, now: Instant) {
        self.last.push_back(throttled);
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
        let bound = if throttled { self.measure(MEASURED, now).0 } else { FASTEST };
        let throttles = self.last.iter().filter(|throttled| **throttled).count();
        if throttled && throttles >= TOO_MANY && throttles as f64 >= self.last.len() as f64 * FREE_SHARE {
            self.enter(Phase::Searching, bound.min(MAX_FIRST), now);
            // What came as it came left some of the limit over.
            self.throttles = [(now, self.admitted)].into();
        }
    }

    fn enter(&mut self, phase: Phase, rate: f64, now: Instant) {
        (self.phase, self.rate) = (phase, self.allowed(rate));
        self.turn_at = Some(self.turn_at.map_or(now, |turn| turn.max(now)));
        // The calls that were being sent just now were sent at the pace before.
        self.changed_at = now + self.interval() / 2;
        self.stepped_at = now;
        self.in_vain.forget();
    }

    /// The pace nearest to this one that the settings and [`SLOWEST`] allow.
    fn allowed(&self, rate: f64) -> f64 {
        rate.min(self.most).max(self.slowest())
    }

    fn slowest(&self) -> f64 {
        SLOWEST.min(self.most)
    }

    fn slow_down(&mut self, sent_at: Instant, bound: f64, let_through: f64, now: Instant) {
        let count = if sent_at < self.stepped_at { SENT_BEFORE } else { 1.0 };
        let run = f64::from(std::mem::take(&mut self.run));
        let mean = run / std::mem::take(&mut self.run_secs);
        (self.steps, self.stepped_at) = (self.steps + count, now);
        let slower = self.rate * (1.0 - count * STEP / (1.0 + run / STEP_RUN));
        let slower = if run > 0.0 { slower.min(KEPT * mean) } else { slower };
        let slower = slower.max(self.rate * LEAST_LEFT).max(self.rate.min(KEPT * let_through));
        let is_used_up = self.in_a_row >= NOTHING_AFTER && now - self.row_began_at >= USED_UP;
        if is_used_up {
            // While nothing was sent nothing could be let through.
            self.throttles.clear();
        }
        let slower = bound.min(slower);
        self.rate = if is_used_up { self.rate_before } else { slower }.max(self.slowest());
    }

    fn speed_up(&mut self) {
        if self.run == 0 {
            self.run_rate = self.rate;
        }
        self.run = self.run.saturating_add(1);
        self.run_secs += 1.0 / self.rate;
        let first = 1.0 + FIRST_GROWTH * 0.5_f64.powf(self.steps / GROWTH_HALVED);
        let long_run = LONG_RUN / evening_out(self.run_rate);
        let of_run = self.run_rate * (f64::from(self.run) / long_run).powi(RUN_POWER);
        self.grow(GROWTH * first * evening_out(self.rate) + (of_run / self.rate - 1.0).max(0.0));
    }

    fn grow(&mut self, by: f64) {
        self.rate = (self.rate * (1.0 + by.min(MAX_GROWTH))).min(self.most);
    }
}

/// The pause between two calls at a pace.
fn pause_of(rate: f64) -> Duration {
    if rate >= FASTEST { Duration::ZERO } else { Duration::from_secs_f64(1.0 / rate) }
}

/// How many times the growth of a pace in the middle another one has.
fn evening_out(rate: f64) -> f64 {
    (EVEN_RATE / rate).powf(EVENING_POWER)
}

#[cfg(test)]
mod tests;

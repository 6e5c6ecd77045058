//! Sequences from numbers, each done once, and the shortest that fails found.

use crate::catalog::{Glue, Moto};
use crate::dataset::Dataset;
use crate::lake::Seen;
use crate::operate::{After, begin, operate};
use crate::step::{Fault, File, Place, Sequence, sequences};
use crate::watch::{Excuse, Wrong, observe, wrongs};
use crate::world::World;
use crate::{clean, step::Filter};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::fmt::Write;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many sequences are tried in a folder unless `COMPLINE_MODEL_CASES` says so: a minute or two on two processors, with those
/// on S3 and with a catalog.
const CASES: u64 = 10;

/// Of so many sequences one is held against a clean lake at its end.
const COMPARED: u64 = 3;

/// How long a shorter sequence is looked for.
const SHRINKS_WITHIN: Duration = Duration::from_secs(90);

/// The number of the first sequence, unless `COMPLINE_MODEL_SEED` says so: always the same, so that a change is held against
/// sequences that held before it. Other numbers find what these do not.
const FIRST: u64 = 1;

/// Tries sequences from the number on that the environment says.
pub(crate) fn search(place: Place, dataset: Dataset, share: u64, moto: Option<&Arc<Moto>>) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("COMPLINE_MODEL_SEED");
    let first = first.unwrap_or(FIRST);
    let cases = number("COMPLINE_MODEL_CASES").unwrap_or(CASES).div_ceil(share);
    let goes_on = std::env::var_os("COMPLINE_MODEL_GO_ON").is_some();
    let (started, next, failed) = (Instant::now(), AtomicU64::new(first), Mutex::new(Vec::new()));
    eprintln!("{place:?}, {dataset:?}: {cases} sequences from COMPLINE_MODEL_SEED={first}");
    let work = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < first + cases
        {
            let Err(failure) = try_one((place, dataset), seed, moto, !goes_on) else { continue };
            eprintln!(
                "COMPLINE_MODEL_SEED={seed}, {place:?}, {dataset:?}: {}",
                failure.lines().next().unwrap_or_default()
            );
            failed.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
            if !goes_on {
                next.store(u64::MAX / 2, Ordering::Relaxed);
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    eprintln!("{place:?}, {dataset:?}: {cases} sequences in {:.0?}, {} failed", started.elapsed(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    if place == Place::S3 {
        crate::s3::assert_broken();
    }
}

/// Does the sequence of a number; gives what it breaks, of the shortest sequence if it is looked for.
fn try_one(
    (place, dataset): (Place, Dataset),
    seed: u64,
    moto: Option<&Arc<Moto>>,
    is_shortened: bool,
) -> Result<(), String> {
    let mut tree = sequence(place, dataset, seed);
    let Err(failure) = replay(place, &tree.current(), moto, is_compared(seed)) else { return Ok(()) };
    Err(if is_shortened { shortest(place, seed, moto, &mut tree, failure) } else { failure })
}

fn is_compared(seed: u64) -> bool {
    seed.is_multiple_of(COMPARED)
}

/// The sequence of a number.
fn sequence(place: Place, dataset: Dataset, seed: u64) -> impl ValueTree<Value = Sequence> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    sequences(place, dataset).new_tree(&mut runner).expect("a sequence")
}

/// The shortest sequence that fails, of one that does, with what it breaks.
fn shortest(
    place: Place,
    seed: u64,
    moto: Option<&Arc<Moto>>,
    tree: &mut impl ValueTree<Value = Sequence>,
    mut failure: String,
) -> String {
    let mut shortest = tree.current();
    let started = Instant::now();
    let mut goes_on = tree.simplify();
    while goes_on && started.elapsed() < SHRINKS_WITHIN {
        let sequence = tree.current();
        goes_on = match replay(place, &sequence, moto, is_compared(seed)) {
            Err(error) => {
                (shortest, failure) = (sequence, error);
                tree.simplify()
            }
            Ok(()) => tree.complicate(),
        };
    }
    format!("COMPLINE_MODEL_SEED={seed} COMPLINE_MODEL_CASES=1, {place:?}:\n{shortest:?}\n{failure}")
}

/// Does a sequence to a new lake.
///
/// # Errors
/// The rule that it breaks, and everything that was done and said.
pub(crate) fn replay(
    place: Place,
    sequence: &Sequence,
    moto: Option<&Arc<Moto>>,
    is_compared: bool,
) -> Result<(), String> {
    let glue = moto.map(|moto| Glue::new(moto, place));
    let mut world = World::new(place, sequence.dataset, glue);
    steps(&mut world, sequence, is_compared).map_err(|error| format!("{error}\nwhat was done:\n{}", world.log))
}

fn steps(world: &mut World, sequence: &Sequence, is_compared: bool) -> Result<(), String> {
    begin(world, sequence.start);
    let mut seen = world.see();
    if let Some(glue) = &mut world.glue {
        glue.begin(&seen);
    }
    for (number, step) in sequence.steps.iter().enumerate() {
        let _ = writeln!(world.log, "{step:?}");
        let after = operate(world, &seen, step, sequence.start)?;
        seen = world.see();
        observe(world, &seen, &after.may_drop);
        let wrongs = wrongs(world, &seen);
        hold(world, &seen, &after, &wrongs)?;
        if after.is_verified || number + 1 == sequence.steps.len() {
            seen = verify(world, &wrongs)?;
        }
    }
    if is_compared { compare(world, &seen) } else { Ok(()) }
}

/// Holds what is seen after a step against the model.
fn hold(world: &mut World, seen: &Seen, after: &After, wrongs: &[Wrong]) -> Result<(), String> {
    if let Some(wrong) = wrongs.iter().find(|wrong| wrong.excuse == Excuse::None) {
        return Err(wrong.what.clone());
    }
    after.stored.iter().try_for_each(|stored| stored.check(seen))?;
    if let Some((ids, said)) = &after.compacted {
        world.compacted(seen, ids, said, wrongs)?;
    }
    if let Some(glue) = &mut world.glue {
        glue.check(seen, &after.catalogued)?;
    }
    Ok(())
}

/// Asks `verify`: it accuses what is wrong, and nothing else. Gives what is seen then: it may have made good what was stopped.
fn verify(world: &mut World, before: &[Wrong]) -> Result<Seen, String> {
    let pipeline = world.pipeline(File::First);
    let ended = world.compline(&["verify", &pipeline], Fault::Nothing)?;
    let seen = world.see();
    observe(world, &seen, &[]);
    let wrongs = wrongs(world, &seen);
    let known: Vec<&Wrong> = wrongs.iter().filter(|wrong| wrong.excuse != Excuse::Allowed).collect();
    match ended.code {
        Some(0) if known.is_empty() => Ok(seen),
        Some(0) => Err(format!("`verify` finds nothing, and these are wrong: {known:?}")),
        // A lake without any aggregator is not said to be right.
        Some(1) if seen.days.is_empty() && ended.stdout.contains("no snapshot of any aggregator") => Ok(seen),
        Some(1) if !before.is_empty() || world.may_be_accused(&wrongs) => Ok(seen),
        Some(1) => Err(format!("`verify` accuses a sound lake: {}", ended.stdout)),
        code => Err(format!("`verify` ended with {code:?}: {}", ended.stderr)),
    }
}

/// Holds the trend tables against those of clean lakes, of the aggregators that can have one.
fn compare(world: &World, seen: &Seen) -> Result<(), String> {
    let model = &world.model;
    for id in model.ids() {
        let is_unsure = model.pending.contains(&id)
            || model.is_damaged(&id)
            || model.untold.contains(&id)
            || model.has_dropped(&id)
            || model.was_kept_shorter;
        let mut filters = model.days.iter().filter(|(key, _)| key.0 == id).map(|(_, day)| day.filter);
        let is_one_population = filters.all(|filter| filter.unwrap_or(Filter::Everything) == Filter::Everything);
        if !is_unsure && is_one_population {
            clean::compare(world, seen, &id)?;
        }
    }
    Ok(())
}

impl World {
    /// Whether `verify` may find something wrong that a reader does not see.
    fn may_be_accused(&self, wrongs: &[Wrong]) -> bool {
        let model = &self.model;
        let is_dropped_no_more = model
            .dropped
            .keys()
            .any(|(_, date)| self.settings.snapshots_before.is_none_or(|before| date.as_str() >= before));
        !wrongs.is_empty()
            || !model.pending.is_empty()
            || !model.pending_beside.is_empty()
            || !model.damaged.is_empty()
            || !model.damaged_months.is_empty()
            || !model.untold.is_empty()
            || is_dropped_no_more
            || (model.was_kept_shorter && !model.days.is_empty())
    }

    /// After `maintain` every month of the tables in `compact` is up to date, or it said of which it is not.
    fn compacted(&self, seen: &Seen, ids: &[&str], said: &str, wrongs: &[Wrong]) -> Result<(), String> {
        for table in self.settings.compact.tables() {
            for id in ids {
                for date in seen.dates(table, id) {
                    let (month, key) = (&date[..7], (id.to_string(), date[..7].to_owned()));
                    let name = format!("{table}_monthly of {id} in {month} is behind");
                    let is_there = seen.months.get(table).is_some_and(|months| months.contains_key(&key));
                    let is_behind =
                        wrongs.iter().any(|wrong| wrong.excuse == Excuse::Known && wrong.what.starts_with(&name));
                    let of_dataset = self.dataset.table(table).unwrap_or(table);
                    let is_said = said.contains(&format!("{of_dataset}_monthly/snapshot_month={month}"));
                    if !is_there || (is_behind && !is_said) {
                        return Err(format!("`maintain --apply` says that all is done, and {name} {date}: {said}"));
                    }
                }
            }
        }
        Ok(())
    }
}

//! Each step as commands, and what the model takes from how they end.

pub(crate) mod commit;
mod damage;
pub(crate) mod others;

use crate::dataset::Dataset;
use crate::lake::{RUNS, SOURCES, Seen};
use crate::model::Day;
use crate::step::{Fault, Filter, Start, Step};
use crate::world::{Ended, World, date};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a step leaves to be held against the lake that is seen after it.
#[derive(Default)]
pub(crate) struct After {
    /// The aggregators whose old snapshots it may have dropped.
    pub(crate) may_drop: Vec<&'static str>,
    /// Days that must be committed or held now, with what was collected, although something else is broken.
    pub(crate) stored: Vec<commit::Stored>,
    /// Whether every complete month of the tables in `compact` must be up to date, or what the command said of it.
    pub(crate) compacted: Option<(Vec<&'static str>, String)>,
    /// Whose every day the catalog must know.
    pub(crate) catalogued: Catalogued,
    /// Whether `verify` is asked now.
    pub(crate) is_verified: bool,
    /// How its command ended, if it had one.
    pub(crate) ended: Ended,
    /// What became of each day that it was to commit.
    pub(crate) outcomes: Vec<commit::Outcome>,
}

/// Whose days the catalog must know after a step.
#[derive(Default)]
pub(crate) enum Catalogued {
    #[default]
    Nobodys,
    /// Those of these aggregators, but for what was there before there was a catalog.
    Of(Vec<String>),
    All,
}

/// Makes the lake that a sequence begins with.
pub(crate) fn begin(world: &mut World, start: Start) {
    let Start::Golden(version) = start else { return };
    let from = PathBuf::from(format!("{}/../../tests/golden/lake_v{version}", env!("CARGO_MANIFEST_DIR")));
    for (name, path) in crate::lake::files(&from) {
        let to = world.lake().join(name);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        std::fs::copy(path, to).expect("copied");
    }
    take_in_golden(world);
}

/// Takes in the days of the golden lake that is there.
pub(crate) fn take_in_golden(world: &mut World) {
    let seen = world.see();
    let facts = seen.days.get(crate::lake::FACTS).cloned().unwrap_or_default();
    let days = if world.dataset == Dataset::Packs { 6 } else { 3 };
    assert_eq!(facts.len(), days, "a golden lake has three days, of packs of two aggregators and of rules of one");
    for (key, content) in facts {
        let rows = content.rows.expect("readable");
        let commits = seen.day(RUNS, &key).and_then(|runs| runs.rows.as_ref().ok()).map_or(0, |lines| lines.len());
        let sha256: BTreeSet<String> = [content.sha256].into();
        let may_be = vec![Some(crate::facts::facts_of(&rows))];
        world.model.days.insert(key, Day { may_be, filter: None, commits, sha256, is_counted: true });
    }
}

/// Does a step.
///
/// # Errors
/// What the program did that it must not.
pub(crate) fn operate(world: &mut World, seen: &Seen, step: &Step, start: Start) -> Result<After, String> {
    match step {
        Step::Import { who, day, packs, replace, accept, fault } => {
            commit::import(world, seen, *who, date(*day), packs, (*replace, *accept), *fault)
        }
        Step::Run { file, day, first, second, accept, fresh, fault } => {
            commit::run(world, seen, *file, date(*day), [first, second], (*accept, *fresh), *fault)
        }
        Step::Restore { who, nth, fault } => commit::restore(world, seen, (*who, *nth), *fault),
        Step::Reject { who, day, fault } => others::reject(world, *who, date(*day), with_days(world, *fault)),
        Step::TwoWaiters { day, first, second } => others::two_waiters(world, date(*day), first, second),
        Step::Trends { file, fault } => others::trends(world, *file, with_days(world, *fault)),
        Step::Repair { file, fault } => others::repair(world, *file, with_days(world, *fault)),
        Step::Maintain { file, fault } => others::maintain(world, *file, with_days(world, *fault)),
        Step::Catalog { file } => others::catalog(world, *file),
        Step::Keep { compact, snapshots_before, statuses_before } => {
            let settings = &mut world.settings;
            let (snapshots, statuses) = (snapshots_before.map(date), statuses_before.map(date));
            // No date is later than every other.
            let is_longer = |before: Option<&str>, now: Option<&str>| {
                before.is_some_and(|before| now.is_none_or(|now| now < before))
            };
            world.model.was_kept_shorter |=
                is_longer(settings.snapshots_before, snapshots) || is_longer(settings.statuses_before, statuses);
            (settings.compact, settings.snapshots_before, settings.statuses_before) = (*compact, snapshots, statuses);
            Ok(After::default())
        }
        Step::Choose(filter) => {
            world.settings.filter = *filter;
            if *filter == Filter::NonCompliant {
                // A population that depends on the answer has facts only, and what becomes of trends of before is not said.
                world.model.untold.insert("org".to_owned());
            }
            Ok(After::default())
        }
        Step::RetireOrAdd => {
            world.settings.has_two = !world.settings.has_two;
            Ok(After::default())
        }
        Step::Damage { who, nth, table, how } => {
            damage::day(world, (*who, *nth), *table, damage::told(*how, start));
            Ok(After { is_verified: true, ..After::default() })
        }
        Step::DamageMonth { nth, how } => {
            damage::month(world, seen, *nth, damage::told(*how, Start::Golden(1)));
            Ok(After { is_verified: true, ..After::default() })
        }
    }
}

/// The filter that an aggregator's day is collected with now.
fn filter_of(world: &World, id: &str) -> Filter {
    if id == "org" { world.settings.filter } else { Filter::Everything }
}

/// Whether a command may have failed because of what the test did while it worked.
fn is_fault(fault: Fault) -> bool {
    fault != Fault::Nothing
}

/// A fault that leaves it to the model which days are old: another clock would move that by a day.
fn with_days(world: &World, fault: Fault) -> Fault {
    let keeps_all = world.settings.snapshots_before.is_none() && world.settings.statuses_before.is_none();
    if matches!(fault, Fault::Clock(_)) && !keeps_all { Fault::Nothing } else { fault }
}

/// Takes in that a command of these aggregators came to its end: nothing of theirs is behind now, unless a file is damaged.
fn made_good<'a>(world: &mut World, ids: impl IntoIterator<Item = &'a str>) {
    for id in ids {
        if !world.model.is_damaged(id) {
            world.model.pending.remove(id);
            world.model.pending_beside.remove(id);
        }
    }
}

/// The tables that cannot be worked out again.
const NOT_DERIVED: [&str; 3] = [crate::lake::FACTS, SOURCES, RUNS];

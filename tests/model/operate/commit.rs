//! `run` and `import`: the commands that commit days.

use super::{After, Catalogued, filter_of, is_fault, made_good, with_days};
use crate::dataset::Dataset;
use crate::facts::{Facts, Packs, answer, loss};
use crate::lake::{FACTS, Key, SOURCES, STATUS, Seen};
use crate::step::{Fault, File, Filter, Who};
use crate::world::{Ended, World};
use serde_json::Value;
use std::collections::BTreeSet;

/// What the pipeline files allow a day to lose: the default.
const MAX_LOSS: f64 = 0.2;

/// What becomes of an aggregator's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Succeeded,
    Held,
    Failed,
}

/// What a command is to do with a day.
struct Intent {
    key: Key,
    /// What may be committed or held: the first, or another that was read before.
    may_be: Vec<Facts>,
    filter: Filter,
    command: &'static str,
    /// Whether a day that is there may be replaced.
    replaces: bool,
    accepts: bool,
    /// Whether it is to come from what is held, without a call.
    is_held: bool,
}

/// A day that must be stored, committed or held.
pub(crate) struct Stored {
    key: Key,
    may_be: Vec<Facts>,
}

impl Stored {
    /// Says what is lost, if it is.
    pub(crate) fn check(&self, seen: &Seen) -> Result<(), String> {
        let rows = seen.day(FACTS, &self.key).and_then(|content| content.rows.as_ref().ok());
        let is_committed = rows.is_some_and(|rows| self.may_be.contains(&crate::facts::facts_of(rows)));
        if is_committed || seen.held.contains(&self.key) {
            return Ok(());
        }
        Err(format!(
            "what was collected of {:?} is neither committed nor held, since another file is damaged",
            self.key
        ))
    }
}

pub(crate) fn import(
    world: &mut World,
    seen: &Seen,
    who: Who,
    date: &str,
    packs: &Packs,
    (replace, accept): (bool, bool),
    fault: Fault,
) -> Result<After, String> {
    let (id, file) = (who.id(), who.file());
    let document = answer(world.dataset, &packs.facts(world.dataset)).to_string();
    std::fs::write(world.folder.path().join("day.json"), document).expect("written");
    let pipeline = world.pipeline(file);
    let mut arguments = vec!["import", &pipeline, "--aggregator", id, "--date", date, "--json", "day.json"];
    arguments.extend(world.dataset.option());
    arguments.extend(replace.then_some("--replace"));
    arguments.extend(accept.then_some("--accept"));
    // Files come from nowhere but the disk.
    let fault = if fault == Fault::Source { Fault::Nothing } else { fault };
    if !world.ids(file).contains(&id) {
        let ended = world.compline(&arguments, Fault::Nothing)?;
        return match ended.code {
            Some(2) => Ok(After::default()),
            code => Err(format!("an import for an aggregator that the file does not have ended with {code:?}")),
        };
    }
    let filter = filter_of(world, id);
    // An imported day is of the population that a run would collect.
    let facts: Facts = packs.facts(world.dataset).into_iter().filter(|fact| is_wanted(filter, fact)).collect();
    let key = (id.to_owned(), date.to_owned());
    let intent = Intent {
        key,
        may_be: vec![facts],
        filter,
        command: "import",
        replaces: replace,
        accepts: accept,
        is_held: false,
    };
    perform(world, seen, &arguments, &[intent], fault)
}

/// Restores a day from its month: as it is in the model, or not at all.
pub(crate) fn restore(world: &mut World, seen: &Seen, (who, nth): (Who, u8), fault: Fault) -> Result<After, String> {
    let (id, pipeline) = (who.id(), world.pipeline(who.file()));
    let dates: Vec<String> = world.model.dates(id).into_iter().collect();
    let Some(date) = dates.get(usize::from(nth) % dates.len().max(1)) else { return Ok(After::default()) };
    let key = (id.to_owned(), date.clone());
    let known = world.model.facts(&key).cloned().zip(world.model.days[&key].filter);
    let Some((facts, filter)) = known else { return Ok(After::default()) };
    if !world.ids(who.file()).contains(&id) || world.model.pending.contains(id) {
        return Ok(After::default());
    }
    let mut arguments = vec!["import", &pipeline, "--aggregator", id, "--date", date, "--json", "--from-month"];
    arguments.extend(world.dataset.option());
    let fault = if fault == Fault::Source { Fault::Nothing } else { fault };
    let (may_be, command) = (vec![facts], RESTORE);
    let intent = Intent { key, may_be, filter, command, replaces: true, accepts: true, is_held: false };
    perform(world, seen, &arguments, &[intent], fault)
}

/// The command of a day that is restored.
const RESTORE: &str = "import --from-month";

pub(crate) fn run(
    world: &mut World,
    seen: &Seen,
    file: File,
    date: &str,
    packs: [&Packs; 2],
    (accept, fresh): (bool, bool),
    fault: Fault,
) -> Result<After, String> {
    let pipeline = world.pipeline(file);
    let mut arguments = vec!["run", &pipeline, "--date", date, "--json"];
    let mut intents = Vec::new();
    if accept {
        // Nothing but what is held is touched.
        arguments.push("--accept");
        intents.extend(world.ids(file).into_iter().filter_map(|id| accepted(world, (id.to_owned(), date.to_owned()))));
        if intents.is_empty() {
            let ended = world.compline(&arguments, with_days(world, fault))?;
            if ended.broke {
                world.model.pending.extend(world.ids(file).into_iter().map(str::to_owned));
                return Ok(After { is_verified: true, ..After::default() });
            }
            return match ended.code {
                Some(1 | 2) => Ok(After::default()),
                code => Err(format!("`run --accept` of a day that is not held ended with {code:?}")),
            };
        }
        return perform(world, seen, &arguments, &intents, fault);
    }
    for (id, packs) in world.ids(file).into_iter().zip(packs) {
        let facts = packs.facts(world.dataset);
        world.aws.say(id, date, facts.clone());
        intents.push(collected(world, (id.to_owned(), date.to_owned()), facts, fresh));
    }
    arguments.extend(fresh.then_some("--fresh"));
    perform(world, seen, &arguments, &intents, fault)
}

/// What a run collects of what AWS Config says, or has already.
fn collected(world: &World, key: Key, says: Facts, fresh: bool) -> Intent {
    let filter = filter_of(world, &key.0);
    let wanted = |facts: &Facts| -> Facts { facts.iter().filter(|fact| is_wanted(filter, fact)).cloned().collect() };
    let mut may_be = vec![wanted(&says)];
    if !fresh {
        may_be.extend(world.model.checkpoints.get(&key).into_iter().flatten().cloned());
    }
    Intent { key, may_be, filter, command: "run", replaces: true, accepts: false, is_held: false }
}

/// What is committed of what is held, if something is or may be.
fn accepted(world: &World, key: Key) -> Option<Intent> {
    let held = world.model.held.get(&key)?;
    let (may_be, filter) = (held.may_be.clone(), held.filter);
    Some(Intent { key, may_be, filter, command: "accept", replaces: true, accepts: true, is_held: !held.is_uncertain })
}

fn is_wanted(filter: Filter, fact: &crate::facts::Fact) -> bool {
    match filter {
        Filter::Everything => true,
        Filter::OneAccount => fact.key.0 == "000000000001",
        Filter::NonCompliant => fact.kind == "NON_COMPLIANT",
        Filter::WithoutPack3 => fact.key.2 != "pack-3",
    }
}

/// Runs the command, holds how it ended against what it may do, and takes that into the model.
fn perform(
    world: &mut World,
    seen: &Seen,
    arguments: &[&str],
    intents: &[Intent],
    fault: Fault,
) -> Result<After, String> {
    let fault = with_days(world, fault);
    let allowed: Vec<BTreeSet<Outcome>> = intents.iter().map(|intent| allowed(world, seen, intent, fault)).collect();
    let ended = world.compline(arguments, fault)?;
    let beside = world.model.pending_beside.clone();
    let mut after = After { is_verified: is_fault(fault), ..After::default() };
    let outcomes = match outcomes(world.dataset, &ended, intents) {
        Some(outcomes) => outcomes,
        None if ended.broke => {
            intents.iter().for_each(|intent| broken_off(world, intent));
            packs_beside(world, beside, intents, &ended)?;
            after.ended = ended;
            return Ok(after);
        }
        None if ended.code == Some(1) => vec![Outcome::Failed; intents.len()],
        None => return Err(format!("`{}` ended with {:?}", arguments.join(" "), ended.code)),
    };
    if !intents.iter().any(|intent| world.model.is_damaged(&intent.key.0)) {
        code_says_so(&ended, &outcomes)?;
    }
    after.outcomes.clone_from(&outcomes);
    for ((intent, allowed), outcome) in intents.iter().zip(allowed).zip(outcomes) {
        if !allowed.contains(&outcome) && !ended.broke {
            return Err(format!("`{}` {outcome:?} for {:?}, and may {allowed:?}", arguments.join(" "), intent.key));
        }
        take_in(world, intent, outcome, (&ended, fault), &allowed, &mut after);
    }
    // A day whose own file the test took away is refused without --replace where its month has it.
    let is_in_month = |key: &Key| {
        let month = (key.0.clone(), key.1[..7].to_owned());
        seen.months.get(FACTS).is_some_and(|months| months.contains_key(&month))
    };
    let is_refused = |key: &Key| intents.iter().any(|one| one.key == *key && !one.replaces) && is_in_month(key);
    after.stored.retain(|stored| !is_refused(&stored.key));
    packs_beside(world, beside, intents, &ended)?;
    if ended.code == Some(0) {
        after.catalogued = Catalogued::Of(intents.iter().map(|intent| intent.key.0.clone()).collect());
    }
    after.ended = ended;
    Ok(after)
}

/// What may become of a day.
fn allowed(world: &World, seen: &Seen, intent: &Intent, fault: Fault) -> BTreeSet<Outcome> {
    use Outcome::{Failed, Held, Succeeded};
    let (model, key) = (&world.model, &intent.key);
    let (id, date) = key;
    if intent.command == "accept" && !intent.is_held {
        // It may not be held at all.
        return [Failed, Succeeded].into();
    }
    if fault == Fault::Source && !intent.accepts {
        return [Failed].into();
    }
    if intent.command == RESTORE {
        let is_damaged = [FACTS, SOURCES].iter().any(|table| model.damaged.contains_key(&(*table, key.clone())));
        return if is_damaged { [Failed, Succeeded].into() } else { [Failed].into() };
    }
    let is_certain = model.facts(key).is_some();
    if !intent.replaces && is_certain && seen.day(FACTS, key).is_some() {
        return [Failed].into();
    }
    let is_refused = !intent.replaces && (model.days.contains_key(key) || model.dropped.contains_key(key));
    if model.is_damaged(id) || is_refused || matches!(fault, Fault::Clock(_)) || is_beside_dropped(world, seen, key) {
        return [Failed, Held, Succeeded].into();
    }
    let Some(last) = model.dates(id).range(..date.clone()).next_back().cloned().filter(|_| !intent.accepts) else {
        // A month may still have the day before, whose snapshot is dropped.
        let both = !intent.accepts && model.has_dropped(id);
        return if both { [Held, Succeeded].into() } else { [Succeeded].into() };
    };
    let before = (id.clone(), last);
    let is_another = model.days[&before].filter.unwrap_or(Filter::Everything) != intent.filter;
    let Some(facts) = model.facts(&before).filter(|_| !is_another && intent.filter != Filter::NonCompliant) else {
        return [Held, Succeeded].into();
    };
    let outcome = |now| if loss(facts, now) > MAX_LOSS { Held } else { Succeeded };
    intent.may_be.iter().map(outcome).collect()
}

/// Whether a day's trends go on from something of the days whose snapshots are dropped that may be gone.
fn is_beside_dropped(world: &World, seen: &Seen, (id, date): &Key) -> bool {
    if !world.model.has_dropped(id) {
        return false;
    }
    let last = world.model.dates(id).pop_last();
    let goes_on = last.is_some_and(|last| last < *date && seen.day(STATUS, &(id.clone(), last)).is_some());
    !goes_on
}

/// What the report says of each aggregator, if there is one.
fn outcomes(dataset: Dataset, ended: &Ended, intents: &[Intent]) -> Option<Vec<Outcome>> {
    let aggregators = reported(ended, dataset)?;
    let outcome = |intent: &Intent| {
        // Of one that has nothing held there is nothing to accept.
        let Some(of) = aggregators.iter().find(|one| one["aggregator"] == intent.key.0.as_str()) else {
            return (intent.command == "accept").then_some(Outcome::Failed);
        };
        match of["outcome"].as_str()? {
            "succeeded" => Some(Outcome::Succeeded),
            "held" => Some(Outcome::Held),
            _ => Some(Outcome::Failed),
        }
    };
    intents.iter().map(outcome).collect()
}

/// What the report says of each aggregator's dataset, if there is a report.
fn reported(ended: &Ended, dataset: Dataset) -> Option<Vec<Value>> {
    let report: Value = serde_json::from_str(&ended.stdout).ok()?;
    // A version that knows packs alone does not say so.
    let of = |one: &&Value| one["dataset"].as_str().unwrap_or(Dataset::Packs.name()) == dataset.name();
    Some(report["aggregators"].as_array()?.iter().filter(of).cloned().collect())
}

/// Whether the report says that something of an aggregator's day is left to the next session.
fn leaves_undone(dataset: Dataset, ended: &Ended, id: &str) -> bool {
    let aggregators = reported(ended, dataset).unwrap_or_default();
    aggregators.iter().any(|one| one["aggregator"] == id && one["undone"].as_array().is_some_and(|all| !all.is_empty()))
}

/// Takes in what became of the packs beside rules, of which nothing is held and nothing lost: a run alone touches them.
fn packs_beside(world: &mut World, before: BTreeSet<String>, intents: &[Intent], ended: &Ended) -> Result<(), String> {
    world.model.pending_beside = before;
    let runs = intents.iter().filter(|intent| intent.command == "run");
    let packs = reported(ended, Dataset::Packs).unwrap_or_default();
    for id in runs.filter(|_| world.dataset == Dataset::Rules).map(|intent| &intent.key.0) {
        let outcome = packs.iter().find(|one| one["aggregator"] == id.as_str()).map(|one| &one["outcome"]);
        if outcome.is_some_and(|outcome| outcome == "succeeded") && !leaves_undone(Dataset::Packs, ended, id) {
            world.model.pending_beside.remove(id);
        } else if ended.broke || world.model.is_damaged(id) {
            world.model.pending_beside.insert(id.clone());
        } else {
            return Err(format!("packs of {id} are {outcome:?} beside rules"));
        }
    }
    Ok(())
}

/// The exit code is what docs/running.md says for these outcomes.
fn code_says_so(ended: &Ended, outcomes: &[Outcome]) -> Result<(), String> {
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    let codes: &[i32] = match (count(Outcome::Failed), count(Outcome::Held)) {
        (0, 0) if ended.broke => &[0, 3],
        (0, 0) => &[0],
        (0, _) if ended.broke => &[3, 4],
        (0, _) => &[4],
        (failed, _) if failed == outcomes.len() => &[1],
        (_, 0) => &[3],
        _ => &[3, 4],
    };
    match ended.code {
        Some(code) if codes.contains(&code) => Ok(()),
        // The kill came between its last word and its end.
        None if ended.broke => Ok(()),
        // Committed and said, but for the trends of a day or the catalog.
        Some(3) if count(Outcome::Failed) > 0 => Ok(()),
        // A run before it was stopped while it held its day, and this one completed that.
        Some(3) if ended.stdout.contains("which was stopped, is held") => Ok(()),
        code => Err(format!("the exit code is {code:?} for {outcomes:?}")),
    }
}

/// A command that did not come to its end, or says no more than that it failed.
fn broken_off(world: &mut World, intent: &Intent) {
    if !intent.replaces && world.model.facts(&intent.key).is_some() {
        // It was not to touch the day, but had the lease.
        world.model.pending.insert(intent.key.0.clone());
        return;
    }
    world.model.maybe_commit(&intent.key, &intent.may_be, intent.filter);
    if !intent.accepts {
        world.model.hold(&intent.key, &intent.may_be, intent.filter, false);
    }
    if intent.command == "run" {
        world.model.broken_off.insert(intent.key.clone());
        world.model.checkpoints.entry(intent.key.clone()).or_default().extend(intent.may_be.iter().cloned());
    }
}

fn take_in(
    world: &mut World,
    intent: &Intent,
    outcome: Outcome,
    (ended, fault): (&Ended, Fault),
    allowed: &BTreeSet<Outcome>,
    after: &mut After,
) {
    let key = &intent.key;
    let is_collected = ["run", "import"].contains(&intent.command) && outcome == Outcome::Succeeded;
    if is_collected && !world.model.checkpoints.contains_key(key) {
        world.model.broken_off.remove(key);
    }
    if intent.command == "run" && outcome != Outcome::Failed {
        world.model.checkpoints.retain(|(id, _), _| *id != key.0);
    }
    match outcome {
        Outcome::Succeeded => {
            world.model.commit(key, intent.may_be.clone(), intent.filter);
            world.model.pending.insert(key.0.clone());
            // Where something of the day is left undone, the report says so.
            if !leaves_undone(world.dataset, ended, &key.0) {
                made_good(world, [key.0.as_str()]);
            }
        }
        Outcome::Held => world.model.hold(key, &intent.may_be, intent.filter, true),
        // Nothing was held after all.
        Outcome::Failed if intent.command == "accept" && !ended.broke && !world.model.is_damaged(&key.0) => {
            if !intent.is_held {
                world.model.held.remove(key);
            }
        }
        Outcome::Failed if intent.command == RESTORE && !ended.broke => {}
        // It was refused before anything was done.
        Outcome::Failed if fault == Fault::Source || allowed.iter().eq([&Outcome::Failed]) => {}
        Outcome::Failed => {
            broken_off(world, intent);
            if world.model.is_damaged(&key.0) && !ended.broke && !world.model.has_dropped(&key.0) {
                after.stored.push(Stored { key: key.clone(), may_be: intent.may_be.clone() });
            }
        }
    }
}

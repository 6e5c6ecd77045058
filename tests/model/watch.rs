//! What a reader sees, held against the model.

mod ledger;
mod months;

use crate::facts::{Facts, facts_of};
use crate::lake::{CHANGES, Content, DERIVED, FACTS, Key, Row, SOURCES, STATUS, Seen, TRENDS};
use crate::model::{Dropped, Model};
use crate::step::Filter;
use crate::trends::{Day, Expected, changes_of, expected, status_of, totals_of};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};

/// Something that a reader sees and that is not so.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) excuse: Excuse,
}

/// Why it may be so for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// It may not.
    None,
    /// The test did it, or a command said that it was not done. `verify` must say so.
    Known,
    /// It may be so, and `verify` need not say so.
    Allowed,
}

/// Takes in what was seen after a step: which of several rows a day really has, and what was dropped by a command that may.
pub(crate) fn observe(world: &mut World, seen: &Seen, may_drop: &[&str]) {
    forget_repaired(&mut world.model, seen);
    let (before, is_in_month) =
        (world.settings.snapshots_before, world.settings.compact.tables().any(|table| table == FACTS));
    let model = &mut world.model;
    let mut dropped = Vec::new();
    let lasts: BTreeMap<String, Option<String>> =
        model.ids().into_iter().map(|id| (id.clone(), model.dates(&id).pop_last())).collect();
    for (key, day) in &mut model.days {
        let is_pending = model.pending.contains(&key.0);
        let Some(content) = seen.day(FACTS, key) else {
            let may_go = may_drop.contains(&key.0.as_str())
                && before.is_some_and(|before| key.1.as_str() < before)
                && lasts.get(&key.0).is_some_and(|last| last.as_ref() > Some(&key.1));
            match day.may_be.last() {
                Some(Some(facts)) if may_go && day.may_be.len() == 1 => {
                    dropped.push((key.clone(), Dropped { facts: facts.clone(), filter: day.filter, is_in_month }));
                }
                _ if day.may_be.contains(&None) && !is_pending => day.may_be = vec![None],
                _ => {}
            }
            continue;
        };
        day.sha256.insert(content.sha256.clone());
        let Ok(rows) = &content.rows else { continue };
        let facts = Some(facts_of(rows));
        let Some(which) = day.may_be.iter().rposition(|may_be| *may_be == facts) else { continue };
        // What was stopped may still be brought to its end, but nothing goes back to what was before.
        day.may_be.drain(..which);
        if !is_pending {
            day.may_be.truncate(1);
        }
    }
    for (key, gone) in dropped {
        model.days.remove(&key);
        model.damaged.retain(|(_, damaged), _| *damaged != key);
        model.dropped.insert(key, gone);
    }
}

/// A file that is no longer what the test left there was written anew, and must be right.
fn forget_repaired(model: &mut Model, seen: &Seen) {
    let hash = |content: Option<&Content>| content.map(|content| content.sha256.clone());
    model.damaged.retain(|(table, key), left| hash(seen.day(table, key)) == *left);
    let month = |table: &str, key: &Key| seen.months.get(table).and_then(|months| months.get(key));
    model.damaged_months.retain(|(table, key), left| hash(month(table, key)) == *left);
}

/// Everything that is not as the model says.
pub(crate) fn wrongs(world: &World, seen: &Seen) -> Vec<Wrong> {
    let watch = Watch { world, model: &world.model, seen };
    let mut wrongs = watch.facts();
    wrongs.extend(watch.sources());
    wrongs.extend(watch.ledgers());
    for id in watch.model.ids() {
        wrongs.extend(watch.trends(&id));
    }
    wrongs.extend(watch.months());
    wrongs.extend(watch.held());
    wrongs.extend(seen.unexpected.iter().map(|name| Wrong::none(format!("{name} is an unexpected object"))));
    wrongs
}

impl Wrong {
    fn none(what: String) -> Self {
        Self { what, excuse: Excuse::None }
    }
}

/// A model and what was seen.
struct Watch<'a> {
    world: &'a World,
    model: &'a Model,
    seen: &'a Seen,
}

impl Watch<'_> {
    fn is_damaged(&self, table: &'static str, key: &Key) -> bool {
        self.model.damaged.contains_key(&(table, key.clone()))
    }

    fn excuse(is_known: bool) -> Excuse {
        if is_known { Excuse::Known } else { Excuse::None }
    }

    fn facts(&self) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        for (key, day) in &self.model.days {
            let excuse = Self::excuse(self.is_damaged(FACTS, key));
            let (id, date) = key;
            let what = match self.seen.day(FACTS, key).map(|content| &content.rows) {
                None if day.may_be.contains(&None) => continue,
                None => "is not there".to_owned(),
                Some(Err(error)) => format!("cannot be read: {error}"),
                Some(Ok(rows)) if day.may_be.contains(&Some(facts_of(rows))) => continue,
                Some(Ok(rows)) => format!("has {:?} in place of {:?}", facts_of(rows), day.may_be),
            };
            wrongs.push(Wrong { what: format!("the snapshot of {id} on {date} {what}"), excuse });
        }
        let there = self.seen.days.get(FACTS).into_iter().flat_map(BTreeMap::keys);
        for (id, date) in there.filter(|key| !self.model.days.contains_key(*key)) {
            wrongs.push(Wrong::none(format!("nobody committed a snapshot of {id} on {date}")));
        }
        wrongs
    }

    /// The sources of a day are there, and of the run that its facts are of, unless the day was resumed from what another had read.
    fn sources(&self) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        if self.world.dataset.table(SOURCES).is_none() {
            return wrongs;
        }
        let keys: BTreeSet<&Key> =
            [FACTS, SOURCES].iter().filter_map(|table| self.seen.days.get(*table)).flat_map(BTreeMap::keys).collect();
        for key in keys {
            let is_damaged = self.is_damaged(FACTS, key) || self.is_damaged(SOURCES, key);
            let excuse = Self::excuse(is_damaged || self.model.pending.contains(&key.0));
            let rows = |table| self.seen.day(table, key).map(|content| &content.rows);
            let what = match (rows(FACTS), rows(SOURCES)) {
                (Some(_), None) => "is not there".to_owned(),
                (None, Some(_)) => "is there without its facts".to_owned(),
                (_, Some(Err(error))) => format!("cannot be read: {error}"),
                (Some(Ok(facts)), Some(Ok(sources))) => match (run_ids(facts), run_ids(sources)) {
                    (facts, sources) if facts.is_empty() || sources.is_empty() || facts == sources => continue,
                    // Resumed from the checkpoints of an earlier run: its sources and the shards that it had not read, or the other way round.
                    (_, sources) if self.model.broken_off.contains(key) && sources.len() == 1 => continue,
                    (facts, sources) => format!("is of the run {sources:?}, and the facts of {facts:?}"),
                },
                _ => continue,
            };
            wrongs.push(Wrong { what: format!("source_status of {key:?} {what}"), excuse });
        }
        wrongs
    }

    /// What is held is what was held, and stays until it is accepted, rejected or overtaken.
    fn held(&self) -> Vec<Wrong> {
        let is_pending = |key: &Key| Self::excuse(self.model.pending.contains(&key.0));
        let nobody = self.seen.held.iter().filter(|key| !self.model.held.contains_key(*key));
        let nobody =
            nobody.map(|key| Wrong { what: format!("{key:?} is held, and nobody held it"), excuse: is_pending(key) });
        let sure = self.model.held.iter().filter(|(_, held)| !held.is_uncertain).map(|(key, _)| key);
        let gone = sure.filter(|key| !self.seen.held.contains(*key));
        let gone = gone.map(|key| Wrong { what: format!("{key:?} was held and is not"), excuse: is_pending(key) });
        nobody.chain(gone).collect()
    }

    /// What of an aggregator's trend tables is wrong.
    fn trends(&self, id: &str) -> Vec<Wrong> {
        let days = self.history(id);
        let of_id: Vec<_> = self.model.days.iter().filter(|(key, _)| key.0 == id).collect();
        if of_id.iter().any(|(_, day)| day.may_be.len() > 1) {
            return Vec::new();
        }
        let is_known = self.model.pending.contains(id) || self.model.is_damaged(id);
        let mut wrongs = self.trends_are(id, &expected(&days, false));
        if !wrongs.is_empty() && days.iter().any(|day| day.is_another_population) {
            let anew = self.trends_are(id, &expected(&days, true));
            if anew.len() < wrongs.len() {
                wrongs = anew;
            }
        }
        let excuse = |allowed: bool| match allowed || self.model.untold.contains(id) {
            true => Excuse::Allowed,
            false => Self::excuse(is_known),
        };
        wrongs.into_iter().map(|(what, allowed)| Wrong { what, excuse: excuse(allowed) }).collect()
    }

    /// The days of an aggregator that surely are or were there, in order.
    fn history(&self, id: &str) -> Vec<Day<'_>> {
        let mut all: BTreeMap<&str, (&Facts, Option<Filter>)> = BTreeMap::new();
        for (key, day) in self.model.days.iter().filter(|(key, _)| key.0 == id) {
            if let [Some(facts)] = day.may_be.as_slice() {
                all.insert(&key.1, (facts, day.filter));
            }
        }
        for (key, day) in self.model.dropped.iter().filter(|(key, _)| key.0 == id) {
            all.insert(&key.1, (&day.facts, day.filter));
        }
        let mut before = None;
        let day = |(date, (facts, filter)): (_, (_, Option<Filter>))| {
            let filter = filter.unwrap_or(Filter::Everything);
            let is_another_population = before.replace(filter).is_some_and(|before| before != filter);
            Day { date, facts, is_another_population }
        };
        all.into_iter().map(day).collect()
    }

    /// What is not as expected, and whether that may be.
    fn trends_are(&self, id: &str, expected: &BTreeMap<String, Expected>) -> Vec<(String, bool)> {
        let mut wrongs = Vec::new();
        for table in DERIVED {
            for date in self.seen.dates(table, id).iter().filter(|date| !expected.contains_key(*date)) {
                wrongs.push((format!("{table} of {id} on {date} is there without a snapshot"), false));
            }
        }
        for (date, expected) in expected {
            let key = (id.to_owned(), date.clone());
            for table in DERIVED {
                let what = match self.seen.day(table, &key).map(|content| &content.rows) {
                    None => "is not there".to_owned(),
                    Some(Err(error)) => format!("cannot be read: {error}"),
                    Some(Ok(rows)) => match says(table, rows, expected) {
                        None => continue,
                        Some(what) => what,
                    },
                };
                let is_gone = table == STATUS && self.seen.day(table, &key).is_none();
                if is_gone && self.may_lack_status(&key) {
                    continue;
                }
                wrongs.push((format!("{table} of {id} on {date} {what}"), is_gone && self.model.was_kept_shorter));
            }
        }
        wrongs
    }

    fn may_lack_status(&self, key: &Key) -> bool {
        let is_old = self.world.settings.statuses_before.is_some_and(|before| key.1.as_str() < before);
        is_old || self.model.dropped.contains_key(key)
    }
}

/// What a derived table says that is not as expected.
fn says(table: &str, rows: &[Row], expected: &Expected) -> Option<String> {
    let differs = |is: String, must: String| (is != must).then(|| format!("says {is} in place of {must}"));
    match table {
        CHANGES => differs(format!("{:?}", changes_of(rows)), format!("{:?}", expected.changes)),
        STATUS => differs(format!("{:?}", status_of(rows)), format!("{:?}", expected.status)),
        TRENDS => {
            // An aggregator without a pack has no row at all on its first day.
            let none = totals_of(rows).is_none() && expected.totals[0] == "0";
            if none { None } else { differs(format!("{:?}", totals_of(rows)), format!("{:?}", Some(&expected.totals))) }
        }
        _ => None,
    }
}

fn run_ids(rows: &[Row]) -> BTreeSet<&String> {
    rows.iter().filter_map(|row| row.get("run_id")).collect()
}

//! The model: which rows each aggregator's day has, and where the test itself made that uncertain.

use crate::facts::Facts;
use crate::lake::Key;
use crate::step::Filter;
use std::collections::{BTreeMap, BTreeSet};

/// What a lake must say.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The days that are committed, or may be.
    pub(crate) days: BTreeMap<Key, Day>,
    /// The days that are held, or may be.
    pub(crate) held: BTreeMap<Key, Held>,
    /// Days whose snapshots `maintain` dropped.
    pub(crate) dropped: BTreeMap<Key, Dropped>,
    /// What a run that was stopped may have left for the next one of its day.
    pub(crate) checkpoints: BTreeMap<Key, Vec<Facts>>,
    /// Days of which a run was broken off: what it had read of them may be in what a later one committed.
    pub(crate) broken_off: BTreeSet<Key>,
    /// Aggregators on which a command did not come to its end: the next one has something to make good.
    pub(crate) pending: BTreeSet<String>,
    /// The same of the packs that are collected beside rules, which no import of rules makes good.
    pub(crate) pending_beside: BTreeSet<String>,
    /// The files of days that the test damaged, by table, with what it left there.
    pub(crate) damaged: BTreeMap<(&'static str, Key), Option<String>>,
    /// The files of months that it damaged.
    pub(crate) damaged_months: BTreeMap<(&'static str, Key), Option<String>>,
    /// Aggregators whose trends the model cannot tell, such as those of one compliance type.
    pub(crate) untold: BTreeSet<String>,
    /// Whether a setting of `[maintain]` once made `pack_status` or snapshots old that no longer are.
    pub(crate) was_kept_shorter: bool,
}

/// A day.
#[derive(Debug, Clone)]
pub(crate) struct Day {
    /// What it may have, the older before the newer; nothing if it may not be there.
    pub(crate) may_be: Vec<Option<Facts>>,
    /// With which filter it was collected; not known of days that were there at first.
    pub(crate) filter: Option<Filter>,
    /// How many runs committed it.
    pub(crate) commits: usize,
    /// The hashes of the files that were seen in its place.
    pub(crate) sha256: BTreeSet<String>,
    /// Whether every commit of it was seen, so that the ledger can be counted.
    pub(crate) is_counted: bool,
}

/// A day that is held.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) may_be: Vec<Facts>,
    pub(crate) filter: Filter,
    /// Whether it may as well not be held.
    pub(crate) is_uncertain: bool,
}

/// A day whose snapshot is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) facts: Facts,
    pub(crate) filter: Option<Filter>,
    /// Whether its month has its facts, since the settings said so when it was dropped.
    pub(crate) is_in_month: bool,
}

impl Model {
    /// The rows of a day that is surely there.
    pub(crate) fn facts(&self, key: &Key) -> Option<&Facts> {
        match self.days.get(key)?.may_be.as_slice() {
            [Some(facts)] => Some(facts),
            _ => None,
        }
    }

    /// Whether a day may be there.
    pub(crate) fn may_have(&self, key: &Key) -> bool {
        self.days.get(key).is_some_and(|day| day.may_be.iter().any(Option::is_some))
    }

    /// The dates of an aggregator's days that may be there, in order.
    pub(crate) fn dates(&self, id: &str) -> BTreeSet<String> {
        let of = self.days.keys().filter(|key| key.0 == id && self.may_have(key));
        of.map(|key| key.1.clone()).collect()
    }

    pub(crate) fn is_damaged(&self, id: &str) -> bool {
        self.damaged.keys().any(|(_, key)| key.0 == id)
    }

    pub(crate) fn has_dropped(&self, id: &str) -> bool {
        self.dropped.keys().any(|key| key.0 == id)
    }

    /// The aggregators that have a day.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.days.keys().chain(self.dropped.keys()).map(|key| key.0.clone()).collect()
    }

    /// Takes in that a day is committed with one of these rows.
    pub(crate) fn commit(&mut self, key: &Key, may_be: Vec<Facts>, filter: Filter) {
        let day = self.days.entry(key.clone()).or_insert_with(Day::none);
        day.may_be = may_be.into_iter().map(Some).collect();
        day.filter = Some(filter);
        day.commits += 1;
        self.held.remove(key);
        if self.dropped.remove(key).is_some() {
            // Its neighbours' snapshots are gone, so what its trends must be is not known.
            self.untold.insert(key.0.clone());
        }
        if filter == Filter::NonCompliant {
            self.untold.insert(key.0.clone());
        }
    }

    /// Takes in that a day may be as it was, or have one of these rows now or once somebody makes it good.
    pub(crate) fn maybe_commit(&mut self, key: &Key, may_be: &[Facts], filter: Filter) {
        let day = self.days.entry(key.clone()).or_insert_with(Day::none);
        day.may_be.extend(may_be.iter().cloned().map(Some));
        day.is_counted = false;
        if day.filter != Some(filter) {
            self.untold.insert(key.0.clone());
        }
        day.filter = Some(filter);
        if let Some(held) = self.held.get_mut(key) {
            held.is_uncertain = true;
        }
        if self.has_dropped(&key.0) {
            self.untold.insert(key.0.clone());
        }
        self.pending.insert(key.0.clone());
    }

    /// Takes in that a day is held, or may be.
    pub(crate) fn hold(&mut self, key: &Key, may_be: &[Facts], filter: Filter, is_sure: bool) {
        let before = self.held.remove(key).filter(|_| !is_sure);
        let before = before.map_or_else(Vec::new, |held| held.may_be);
        let may_be = before.into_iter().chain(may_be.iter().cloned()).collect();
        self.held.insert(key.clone(), Held { may_be, filter, is_uncertain: !is_sure });
    }
}

impl Day {
    fn none() -> Self {
        Self { may_be: vec![None], filter: None, commits: 0, sha256: BTreeSet::new(), is_counted: true }
    }
}

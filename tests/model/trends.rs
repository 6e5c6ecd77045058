//! What the trend tables must say, worked out from the days alone: the plainest way that can be written down.
//!
//! It is not all of the tables: windows and rates are held against a clean lake (see `clean`).

use crate::facts::{Facts, PackKey, key_of};
use crate::lake::Row;
use std::collections::{BTreeMap, BTreeSet};

/// A day that is committed: its date, its rows, and which filter it was collected with.
pub(crate) struct Day<'a> {
    pub(crate) date: &'a str,
    pub(crate) facts: &'a Facts,
    /// Whether its population is another than that of the day before, so that its trends may begin anew.
    pub(crate) is_another_population: bool,
}

/// What a day's trend tables must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) changes: BTreeSet<Change>,
    pub(crate) status: BTreeSet<Status>,
    /// Packs: all, compliant, non-compliant, insufficient data, of another type; and the snapshot compared with.
    pub(crate) totals: [String; 6],
}

/// An event: the pack, what happened, from which type to which, against which snapshot.
pub(crate) type Change = (PackKey, String, String, String, String);

/// A pack: its type, status_since, first_seen_date, last_seen_date, is_present, change_count.
pub(crate) type Status = (PackKey, [String; 6]);

#[derive(Clone)]
struct Known {
    kind: String,
    since: String,
    first_seen: String,
    last_seen: String,
    present: bool,
    changes: u32,
}

/// What the trend tables of each day must say. With `anew` they begin anew where the population is another.
pub(crate) fn expected(days: &[Day<'_>], anew: bool) -> BTreeMap<String, Expected> {
    let (mut known, mut previous) = (BTreeMap::<PackKey, Known>::new(), None::<String>);
    let mut expected = BTreeMap::new();
    for day in days {
        if anew && day.is_another_population {
            (known, previous) = (BTreeMap::new(), None);
        }
        let changes = advance(&mut known, day, previous.as_deref());
        let status = known.iter().map(|(key, known)| (key.clone(), known.row())).collect();
        let totals = totals(day.facts, previous.as_deref());
        expected.insert(day.date.to_owned(), Expected { changes, status, totals });
        previous = Some(day.date.to_owned());
    }
    expected
}

/// Takes in a day; gives its events, of which the first day has none.
fn advance(known: &mut BTreeMap<PackKey, Known>, day: &Day<'_>, previous: Option<&str>) -> BTreeSet<Change> {
    let mut changes = BTreeSet::new();
    let mut event = |key: &PackKey, what: &str, from: &str, to: &str| {
        if let Some(previous) = previous {
            changes.insert((key.clone(), what.to_owned(), from.to_owned(), to.to_owned(), previous.to_owned()));
        }
    };
    let here: BTreeSet<&PackKey> = day.facts.iter().map(|fact| &fact.key).collect();
    for (key, gone) in known.iter_mut().filter(|(key, known)| known.present && !here.contains(key)) {
        event(key, "removed", &gone.kind, "-");
        gone.present = false;
    }
    for fact in day.facts {
        let date = || day.date.to_owned();
        let Some(pack) = known.get_mut(&fact.key) else {
            event(&fact.key, "added", "-", &fact.kind);
            let (since, first_seen, last_seen) = (date(), date(), date());
            let new = Known { kind: fact.kind.clone(), since, first_seen, last_seen, present: true, changes: 0 };
            known.insert(fact.key.clone(), new);
            continue;
        };
        if !pack.present {
            event(&fact.key, "reappeared", &pack.kind, &fact.kind);
            pack.since = date();
        } else if pack.kind != fact.kind {
            event(&fact.key, what_changed(&pack.kind, &fact.kind), &pack.kind, &fact.kind);
            pack.since = date();
            pack.changes += 1;
        }
        (pack.kind, pack.last_seen, pack.present) = (fact.kind.clone(), date(), true);
    }
    changes
}

fn what_changed(from: &str, to: &str) -> &'static str {
    match (from, to) {
        ("COMPLIANT", "NON_COMPLIANT") => "regressed",
        ("NON_COMPLIANT", "COMPLIANT") => "remediated",
        _ => "changed",
    }
}

impl Known {
    fn row(&self) -> [String; 6] {
        let Self { kind, since, first_seen, last_seen, present, changes } = self;
        [kind.clone(), since.clone(), first_seen.clone(), last_seen.clone(), present.to_string(), changes.to_string()]
    }
}

fn totals(facts: &Facts, previous: Option<&str>) -> [String; 6] {
    let of = |kind: &str| facts.iter().filter(|fact| fact.kind == kind).count();
    let known = [of("COMPLIANT"), of("NON_COMPLIANT"), of("INSUFFICIENT_DATA")];
    let unknown = facts.len() - known.iter().sum::<usize>();
    let [compliant, non_compliant, insufficient] = known.map(|count| count.to_string());
    let previous = previous.unwrap_or("-").to_owned();
    [facts.len().to_string(), compliant, non_compliant, insufficient, unknown.to_string(), previous]
}

/// The events that a day's `pack_changes` says.
pub(crate) fn changes_of(rows: &[Row]) -> BTreeSet<Change> {
    let text = |row: &Row, name: &str| row.get(name).cloned().unwrap_or_default();
    let change = |row: &Row| {
        let [what, from, to, previous] =
            ["change", "from_type", "to_type", "previous_snapshot_date"].map(|name| text(row, name));
        (key_of(row), what, from, to, previous)
    };
    rows.iter().map(change).collect()
}

/// The packs that a day's `pack_status` says.
pub(crate) fn status_of(rows: &[Row]) -> BTreeSet<Status> {
    const NAMES: [&str; 6] =
        ["compliance_type", "status_since", "first_seen_date", "last_seen_date", "is_present", "change_count"];
    let status = |row: &Row| (key_of(row), NAMES.map(|name| row.get(name).cloned().unwrap_or_default()));
    rows.iter().map(status).collect()
}

/// What a day's `compliance_trends` says of all packs of the aggregator.
pub(crate) fn totals_of(rows: &[Row]) -> Option<[String; 6]> {
    const NAMES: [&str; 6] = [
        "packs_total",
        "packs_compliant",
        "packs_non_compliant",
        "packs_insufficient_data",
        "packs_unknown",
        "previous_snapshot_date",
    ];
    let all = rows.iter().find(|row| row.get("dimension").is_some_and(|dimension| dimension == "aggregator"))?;
    Some(NAMES.map(|name| all.get(name).cloned().unwrap_or_default()))
}

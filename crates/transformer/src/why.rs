//! Which rules made packs regress, as far as the answers tell it.
//!
//! No answer of AWS Config joins a rule to its pack: a pack's rules have its id at the end of their names, and the pack's answer has no
//! id. Within an account and region the two are matched by what both count: compliant and noncompliant rules. Where the packs and the ids of
//! an account and region do not have the same counts, rules or packs are filtered, or were read at another moment, and nothing is told. Where
//! they do, a pack that regressed has the rules of the one id with its counts, if no other pack has them, and each of its noncompliant
//! rules turned so since the snapshot before, as the pack did.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Int32Type};
use compline_model::RuleName;
use std::collections::{BTreeMap, BTreeSet};

/// The columns of `pack_compliance` that are read.
pub const WHY_PACK_COLUMNS: &[&str] =
    &["account_id", "aws_region", "conformance_pack_name", "compliant_rule_count", "non_compliant_rule_count"];

/// The columns of `rule_compliance` that are read.
pub const WHY_RULE_COLUMNS: &[&str] = &["account_id", "aws_region", "conformance_pack_id", "compliance_type"];

/// A pack that regressed, and the rules of it that turned NON_COMPLIANT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regressed {
    /// Its account.
    pub account_id: String,
    /// Its region.
    pub aws_region: String,
    /// Its full name.
    pub conformance_pack_name: String,
    /// The groups of the rules, in order; nothing where they could not be told.
    pub rules: Option<Vec<String>>,
}

/// An account and region.
type Place = (String, String);

/// The packs of a day that regressed, and what is counted of packs and rules beside them.
#[derive(Debug, Default)]
pub struct Why {
    /// Days since 1970 of the snapshot that they are compared with.
    previous: Option<i32>,
    regressed: BTreeMap<Place, Vec<String>>,
    packs: BTreeMap<Place, Vec<Pack>>,
    ids: BTreeMap<Place, BTreeMap<String, Counts>>,
}

/// A pack of a place that has one which regressed.
#[derive(Debug)]
struct Pack {
    name: String,
    /// Its compliant and noncompliant rules; nothing where AWS Config did not say them.
    counts: Option<[i32; 2]>,
}

/// The rules of a pack's id.
#[derive(Debug, Default)]
struct Counts {
    compliant: i32,
    non_compliant: i32,
    /// The groups of those that turned NON_COMPLIANT.
    turned: Vec<String>,
}

impl Why {
    /// That of a day's rows of `pack_changes`.
    pub fn of(pack_changes: &RecordBatch) -> Self {
        let mut why = Self::default();
        let [changes, names] = ["change", "conformance_pack_name"].map(|name| text(pack_changes, name));
        for row in (0..pack_changes.num_rows()).filter(|row| changes(*row) == Some("regressed")) {
            let name = names(row).unwrap_or_default().to_owned();
            why.regressed.entry(place(pack_changes, row)).or_default().push(name);
        }
        let previous = pack_changes["previous_snapshot_date"].as_primitive::<Date32Type>();
        why.previous = previous.iter().flatten().next();
        why.packs = why.regressed.keys().map(|place| (place.clone(), Vec::new())).collect();
        why.ids = why.regressed.keys().map(|place| (place.clone(), BTreeMap::new())).collect();
        why
    }

    /// Whether no pack regressed.
    pub fn is_empty(&self) -> bool {
        self.regressed.is_empty()
    }

    /// Adds the day's rows of `pack_compliance`, at least the columns of [`WHY_PACK_COLUMNS`].
    pub fn add_packs(&mut self, rows: &RecordBatch) {
        let names = text(rows, "conformance_pack_name");
        let [compliant, non_compliant] =
            ["compliant_rule_count", "non_compliant_rule_count"].map(|name| rows[name].as_primitive::<Int32Type>());
        for_places(rows, &mut self.packs, |packs, row| {
            let is_said = compliant.is_valid(row) && non_compliant.is_valid(row);
            let counts = is_said.then(|| [compliant.value(row), non_compliant.value(row)]);
            packs.push(Pack { name: names(row).unwrap_or_default().to_owned(), counts });
        });
    }

    /// Counts rows of `rule_compliance`, at least the columns of [`WHY_RULE_COLUMNS`]. They may come in parts.
    pub fn add_rules(&mut self, rows: &RecordBatch) {
        let [ids, types] = ["conformance_pack_id", "compliance_type"].map(|name| text(rows, name));
        for_places(rows, &mut self.ids, |of_place, row| {
            let Some(id) = ids(row) else { return };
            if !of_place.contains_key(id) {
                of_place.insert(id.to_owned(), Counts::default());
            }
            let Some(counts) = of_place.get_mut(id) else { return };
            match types(row) {
                Some("COMPLIANT") => counts.compliant += 1,
                Some(NON_COMPLIANT) => counts.non_compliant += 1,
                _ => {}
            }
        });
    }

    /// The packs that regressed, of none of which the rules are told: of a day without trends.
    pub fn untold(self) -> Vec<Regressed> {
        let of_place = |((account_id, aws_region), names): (Place, Vec<String>)| {
            names.into_iter().map(move |conformance_pack_name| {
                let (account_id, aws_region) = (account_id.clone(), aws_region.clone());
                Regressed { account_id, aws_region, conformance_pack_name, rules: None }
            })
        };
        self.regressed.into_iter().flat_map(of_place).collect()
    }

    /// The packs that regressed, those with the most rules first, by the day's rows of `rule_changes`.
    pub fn told(mut self, rule_changes: &RecordBatch) -> Vec<Regressed> {
        let previous = rule_changes["previous_snapshot_date"].as_primitive::<Date32Type>();
        // Rules that are compared with another day do not say what turned since.
        let is_same_day = previous.iter().flatten().next() == self.previous;
        let [to_types, names] = ["to_type", "config_rule_name"].map(|name| text(rule_changes, name));
        for_places(rule_changes, &mut self.ids, |of_place, row| {
            let name = RuleName::of(names(row).unwrap_or_default());
            let counts = name.conformance_pack_id.and_then(|id| of_place.get_mut(id));
            if let Some(counts) = counts.filter(|_| is_same_day && to_types(row) == Some(NON_COMPLIANT)) {
                counts.turned.push(name.group.to_owned());
            }
        });
        let none = (Vec::new(), BTreeMap::new());
        let mut told = Vec::new();
        for (place, names) in self.regressed {
            let packs = self.packs.get(&place).unwrap_or(&none.0);
            let ids = self.ids.get(&place).unwrap_or(&none.1);
            for conformance_pack_name in names {
                let rules = matched(&conformance_pack_name, packs, ids).map(|counts| {
                    let groups: BTreeSet<String> = counts.turned.iter().cloned().collect();
                    groups.into_iter().collect()
                });
                let (account_id, aws_region) = place.clone();
                told.push(Regressed { account_id, aws_region, conformance_pack_name, rules });
            }
        }
        told.sort_by_key(|regressed| std::cmp::Reverse(regressed.rules.as_ref().map(Vec::len)));
        told
    }
}

/// The rules of a pack, where that can be told.
fn matched<'a>(name: &str, packs: &[Pack], ids: &'a BTreeMap<String, Counts>) -> Option<&'a Counts> {
    // One without a result has no rule in the list.
    let has_some = |counts: &[i32; 2]| *counts != [0, 0];
    let mut of_packs: Vec<[i32; 2]> = packs.iter().map(|pack| pack.counts).collect::<Option<_>>()?;
    of_packs.retain(has_some);
    let mut of_ids: Vec<[i32; 2]> = ids.values().map(Counts::both).filter(has_some).collect();
    of_packs.sort_unstable();
    of_ids.sort_unstable();
    let own = packs.iter().find(|pack| pack.name == name)?.counts?;
    let is_only = of_packs.iter().filter(|counts| **counts == own).count() == 1;
    let counts = ids.values().find(|counts| counts.both() == own).filter(|_| is_only && of_packs == of_ids)?;
    (usize::try_from(counts.non_compliant) == Ok(counts.turned.len())).then_some(counts)
}

impl Counts {
    fn both(&self) -> [i32; 2] {
        [self.compliant, self.non_compliant]
    }
}

const NON_COMPLIANT: &str = "NON_COMPLIANT";

fn text<'a>(rows: &'a RecordBatch, name: &str) -> impl Fn(usize) -> Option<&'a str> {
    let column = rows[name].as_string_view();
    move |row| column.is_valid(row).then(|| column.value(row))
}

fn place(rows: &RecordBatch, row: usize) -> Place {
    let value = |name: &str| rows[name].as_string_view().value(row).to_owned();
    (value("account_id"), value("aws_region"))
}

/// Does something for each row of a place that is known. Rows of a place follow each other, so that each is looked up once.
fn for_places<T>(rows: &RecordBatch, places: &mut BTreeMap<Place, T>, mut each: impl FnMut(&mut T, usize)) {
    let [accounts, regions] = ["account_id", "aws_region"].map(|name| rows[name].as_string_view());
    let mut row = 0;
    while row < rows.num_rows() {
        let (account, region) = (accounts.value(row), regions.value(row));
        let is_same = |row: &usize| accounts.value(*row) == account && regions.value(*row) == region;
        let end = (row..rows.num_rows()).find(|row| !is_same(row)).unwrap_or(rows.num_rows());
        if let Some(of_place) = places.get_mut(&place(rows, row)) {
            (row..end).for_each(|row| each(of_place, row));
        }
        row = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Date32Array, Int32Array, StringViewArray};
    use std::sync::Arc;

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(values.iter().map(|value| (!value.is_empty()).then_some(*value)).collect::<StringViewArray>())
    }

    fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .expect("rows")
    }

    /// Changes of packs or rules in one place, by the column of their names.
    fn changes(key: &str, of: &[(&str, &str, &str)], previous: i32) -> RecordBatch {
        let column = |at: fn(&(&'static str, &'static str, &'static str)) -> &'static str, of: &[_]| {
            of.iter().map(at).collect::<Vec<_>>()
        };
        let of: Vec<(&'static str, &'static str, &'static str)> =
            of.iter().map(|(a, b, c)| (leak(a), leak(b), leak(c))).collect();
        rows(vec![
            ("account_id", texts(&vec!["1"; of.len()])),
            ("aws_region", texts(&vec!["r"; of.len()])),
            (key, texts(&column(|one| one.0, &of))),
            ("change", texts(&column(|one| one.1, &of))),
            ("to_type", texts(&column(|one| one.2, &of))),
            ("previous_snapshot_date", Arc::new(Date32Array::from(vec![previous; of.len()]))),
        ])
    }

    fn leak(text: &str) -> &'static str {
        Box::leak(text.to_owned().into_boxed_str())
    }

    fn packs(of: &[(&str, i32, i32)]) -> RecordBatch {
        let count = |at: fn(&(&str, i32, i32)) -> i32| -> ArrayRef {
            Arc::new(Int32Array::from_iter_values(of.iter().map(at)))
        };
        rows(vec![
            ("account_id", texts(&vec!["1"; of.len()])),
            ("aws_region", texts(&vec!["r"; of.len()])),
            ("conformance_pack_name", texts(&of.iter().map(|one| one.0).collect::<Vec<_>>())),
            ("compliant_rule_count", count(|one| one.1)),
            ("non_compliant_rule_count", count(|one| one.2)),
        ])
    }

    fn rules(of: &[(&str, &str)]) -> RecordBatch {
        let (ids, types): (Vec<&str>, Vec<&str>) = of.iter().copied().unzip();
        rows(vec![
            ("account_id", texts(&vec!["1"; of.len()])),
            ("aws_region", texts(&vec!["r"; of.len()])),
            ("conformance_pack_id", texts(&ids)),
            ("compliance_type", texts(&types)),
        ])
    }

    const A: &str = "aaaaaaaaa";
    const B: &str = "bbbbbbbbb";
    const C: &str = "COMPLIANT";
    const N: &str = "NON_COMPLIANT";

    fn turned(rule: &str, id: &str) -> String {
        format!("{rule}-conformance-pack-{id}")
    }

    /// What is told of packs, all of which regressed, with the compliant and noncompliant rules of each.
    fn told(
        of: &[(&str, i32, i32)],
        of_rules: &[(&str, &str)],
        changed: &[(&str, &str, &str)],
        previous: i32,
    ) -> Vec<Option<Vec<String>>> {
        let regressed: Vec<_> = of.iter().map(|(name, _, _)| (*name, "regressed", N)).collect();
        let mut why = Why::of(&changes("conformance_pack_name", &regressed, 7));
        why.add_packs(&packs(of));
        let all = rules(of_rules);
        // In parts, as a large day comes.
        (0..all.num_rows()).for_each(|row| why.add_rules(&all.slice(row, 1)));
        let mut told = why.told(&changes("config_rule_name", changed, previous));
        told.sort_by(|a, b| a.conformance_pack_name.cmp(&b.conformance_pack_name));
        told.into_iter().map(|regressed| regressed.rules).collect()
    }

    #[test]
    fn the_rules_of_a_pack_are_told_where_one_id_alone_has_its_counts() {
        let of_rules = [(A, C), (A, N), (A, N), (B, C), (B, N), ("", N)];
        let names = [turned("ssh", A), turned("mfa", A), turned("log", B), "own".to_owned()];
        let changed: Vec<_> = names.iter().map(|name| (name.as_str(), "regressed", N)).collect();
        let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(told(&[("p", 1, 2), ("q", 1, 1)], &of_rules, &changed, 7), [list(&["mfa", "ssh"]), list(&["log"])]);
        // Counts that no id has: the rules were read at another moment than the packs.
        assert_eq!(told(&[("p", 1, 3)], &of_rules, &changed, 7), [None]);
        // Rules that are compared with another day.
        assert_eq!(told(&[("p", 1, 2)], &of_rules, &changed, 6), [None]);
        // One of them was noncompliant before, when the pack was compliant.
        assert_eq!(told(&[("p", 1, 2), ("q", 1, 1)], &of_rules, &changed[1..], 7)[0], None);
        // An id whose pack is not there, as of packs or rules that are filtered: it may be the pack's own.
        assert_eq!(told(&[("p", 1, 2)], &of_rules, &changed, 7), [None]);
    }

    #[test]
    fn packs_or_ids_with_the_same_counts_could_not_be_told() {
        let of_rules = [(A, C), (A, N), (B, C), (B, N)];
        let names = [turned("ssh", A), turned("log", B)];
        let changed: Vec<_> = names.iter().map(|name| (name.as_str(), "added", N)).collect();
        assert_eq!(told(&[("p", 1, 1), ("q", 1, 1)], &of_rules, &changed, 7), [None, None], "two of both");
        assert_eq!(told(&[("p", 1, 1)], &of_rules, &changed, 7), [None], "two ids");
        assert_eq!(told(&[("p", 1, 1), ("q", 1, 1)], &of_rules[..2], &changed[..1], 7), [None, None], "two packs");
    }

    #[test]
    fn a_pack_that_did_not_regress_may_have_the_id_as_well() {
        let regressed = changes("conformance_pack_name", &[("p", "regressed", N), ("r", "remediated", C)], 7);
        let name = turned("log", B);
        let of_day = |packs_of_day: &[(&str, i32, i32)]| {
            let mut why = Why::of(&regressed);
            why.add_packs(&packs(packs_of_day));
            why.add_rules(&rules(&[(A, C), (A, N), (B, C), (B, N), (B, C)]));
            why.told(&changes("config_rule_name", &[(&name, "regressed", N)], 7))
        };
        // Another pack was noncompliant before and is, and one of its rules turned for another: p has no rule that turned.
        let told = of_day(&[("p", 1, 1), ("q", 2, 1)]);
        assert_eq!((told.len(), told[0].conformance_pack_name.as_str(), &told[0].rules), (1, "p", &None));
        assert_eq!(of_day(&[("p", 2, 1), ("q", 1, 1)])[0].rules, Some(vec!["log".to_owned()]));
        // Counts that are missing may be any.
        let mut why = Why::of(&regressed);
        why.add_packs(&packs(&[("p", 2, 1)]));
        why.add_rules(&rules(&[(B, C), (B, N), (B, C)]));
        why.packs.values_mut().for_each(|packs| packs.push(Pack { name: "r".to_owned(), counts: None }));
        assert_eq!(why.told(&changes("config_rule_name", &[(&name, "regressed", N)], 7))[0].rules, None);
        assert!(Why::of(&changes("conformance_pack_name", &[("r", "remediated", C)], 7)).is_empty());
    }
}

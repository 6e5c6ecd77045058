//! What AWS Config says on a day: the packs that a sequence chooses, and the rows that a reader must see of them.

use crate::dataset::Dataset;
use crate::lake::Row;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The compliance types, by their number in [`Packs`]. The last is one that AWS may add some day; it comes without counts.
const TYPES: [&str; 4] = ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA", "NEW"];

/// The counts of compliant, non-compliant and all rules, by the number of the type.
const COUNTS: [Option<[i32; 3]>; 4] = [Some([4, 0, 4]), Some([1, 3, 4]), Some([0, 0, 4]), None];

pub(crate) const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "eu-central-1"];

pub(crate) const ACCOUNTS: [&str; 2] = ["000000000001", "000000000002"];

/// The packs of a day: the number of each pack that is there, with the number of its type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Packs(pub(crate) BTreeMap<u8, u8>);

/// The packs of a day, as a failing sequence prints them.
pub(crate) fn packs(of: &[(u8, u8)]) -> Packs {
    Packs(of.iter().copied().collect())
}

impl fmt::Debug for Packs {
    /// As Rust, so that a sequence that fails can be put into a test as it is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<(u8, u8)> = self.0.iter().map(|(pack, kind)| (*pack, *kind)).collect();
        write!(f, "packs(&{pairs:?})")
    }
}

impl Packs {
    pub(crate) fn facts(&self, dataset: Dataset) -> Facts {
        self.0.iter().map(|(pack, kind)| Fact::of(dataset, *pack, *kind)).collect()
    }
}

/// The rows of a day's snapshot.
pub(crate) type Facts = BTreeSet<Fact>;

/// What names a pack: account, region, name.
pub(crate) type PackKey = (String, String, String);

/// A row of `pack_compliance`: what AWS Config said of a pack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fact {
    pub(crate) key: PackKey,
    pub(crate) kind: String,
    counts: [String; 3],
}

impl Fact {
    fn of(dataset: Dataset, pack: u8, kind: u8) -> Self {
        let (account, region) = (ACCOUNTS[usize::from(pack % 2)], REGIONS[usize::from(pack % 3)]);
        // Of a rule no others are counted.
        let counts = COUNTS[usize::from(kind)].filter(|_| dataset == Dataset::Packs);
        let count = |which: usize| counts.map_or_else(|| "-".to_owned(), |counts| counts[which].to_string());
        Self {
            key: (account.to_owned(), region.to_owned(), format!("pack-{pack}")),
            kind: TYPES[usize::from(kind)].to_owned(),
            counts: [count(0), count(1), count(2)],
        }
    }

    pub(crate) fn of_row(row: &Row) -> Self {
        // A column of a later version is null.
        let text = |name: &str| row.get(name).cloned().unwrap_or_else(|| "-".to_owned());
        Self {
            key: key_of(row),
            kind: text("compliance_type"),
            counts: ["compliant_rule_count", "non_compliant_rule_count", "total_rule_count"].map(text),
        }
    }

    /// The item of AWS Config's answer that makes this row.
    fn item(&self, dataset: Dataset) -> Value {
        let (account, region, name) = &self.key;
        let mut compliance = serde_json::Map::new();
        if self.kind != "-" {
            compliance.insert("ComplianceType".to_owned(), self.kind.as_str().into());
        }
        let names = ["CompliantRuleCount", "NonCompliantRuleCount", "TotalRuleCount"];
        for (name, count) in names.into_iter().zip(&self.counts) {
            if let Ok(count) = count.parse::<i32>() {
                compliance.insert(name.to_owned(), count.into());
            }
        }
        json!({dataset.name_key(): name, "AccountId": account, "AwsRegion": region, "Compliance": compliance})
    }
}

pub(crate) fn key_of(row: &Row) -> PackKey {
    let text = |name: &str| row.get(name).cloned().unwrap_or_default();
    (text("account_id"), text("aws_region"), text("conformance_pack_name"))
}

/// The facts of a table's rows.
pub(crate) fn facts_of(rows: &[Row]) -> Facts {
    rows.iter().map(Fact::of_row).collect()
}

/// What a day lost against the one before it, as docs/promises.md says: the largest share of rows, accounts or regions that are gone.
pub(crate) fn loss(before: &Facts, now: &Facts) -> f64 {
    let share = |gone: usize, of: usize| if of == 0 { 0.0 } else { gone as f64 / of as f64 };
    let values = |facts: &Facts, which: fn(&PackKey) -> &String| -> BTreeSet<String> {
        facts.iter().map(|fact| which(&fact.key).clone()).collect()
    };
    let gone = |which: fn(&PackKey) -> &String| {
        let (before, now) = (values(before, which), values(now, which));
        share(before.difference(&now).count(), before.len())
    };
    share(before.len().saturating_sub(now.len()), before.len()).max(gone(|key| &key.0)).max(gone(|key| &key.1))
}

/// An answer of AWS Config, which is also what `aws configservice describe-aggregate-compliance-by-conformance-packs` prints.
pub(crate) fn answer(dataset: Dataset, facts: &Facts) -> Value {
    let items: Vec<Value> = facts.iter().map(|fact| fact.item(dataset)).collect();
    json!({dataset.rows_key(): items})
}

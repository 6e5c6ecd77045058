//! Which dataset a sequence is about.
//!
//! Sequences, the model and what is held against it speak of packs, which were the first. Rules are the same with other names: each of
//! their tables plays the part of one of the packs', and their rows are read with the packs' columns. Where they are collected packs are
//! too, the same ones each day, so that whatever becomes of a command is of the rules, or of a fault.

use crate::facts::{Facts, packs};
use crate::lake::{CHANGES, FACTS, RUNS, Row, STATUS, TABLES, TRENDS};
use crate::step::Filter;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dataset {
    Packs,
    /// Config rules, in a lake that has packs as well.
    Rules,
}

impl Dataset {
    /// Its name in settings, reports and the ledger.
    pub(crate) fn name(self) -> &'static str {
        if self == Self::Packs { "packs" } else { "rules" }
    }

    /// Its table that plays the part of one of the packs'; nothing for `source_status`, which packs alone have.
    pub(crate) fn table(self, part: &str) -> Option<&'static str> {
        let of_packs = TABLES.into_iter().find(|table| *table == part);
        match (self, part) {
            (Self::Packs, _) | (Self::Rules, RUNS) => of_packs,
            (Self::Rules, FACTS) => Some("rule_compliance"),
            (Self::Rules, CHANGES) => Some("rule_changes"),
            (Self::Rules, TRENDS) => Some("rule_trends"),
            (Self::Rules, STATUS) => Some("rule_status"),
            (Self::Rules, _) => None,
        }
    }

    /// The part that a table plays; nothing for one that is not of this dataset.
    pub(crate) fn part(self, table: &str) -> Option<&'static str> {
        self.parts().into_iter().find(|part| self.table(part) == Some(table))
    }

    /// The parts that it has a table for.
    pub(crate) fn parts(self) -> Vec<&'static str> {
        TABLES.into_iter().filter(|part| self.table(part).is_some()).collect()
    }

    /// Whether a table is of the packs that are collected beside it.
    pub(crate) fn is_beside(self, table: &str) -> bool {
        self == Self::Rules && TABLES.contains(&table) && self.part(table).is_none()
    }

    /// A row of a table with the packs' columns; nothing for one of the ledger that is of another dataset.
    pub(crate) fn row(self, row: Row) -> Option<Row> {
        if self == Self::Packs {
            return Some(row);
        }
        if row.get("dataset").is_some_and(|dataset| dataset != self.name()) {
            return None;
        }
        let named = |name: String| match name.as_str() {
            "config_rule_name" => "conformance_pack_name".to_owned(),
            "rule_group" => "pack_group".to_owned(),
            other => other.strip_prefix("rules_").map_or_else(|| name.clone(), |rest| format!("packs_{rest}")),
        };
        Some(row.into_iter().map(|(name, value)| (named(name), value)).collect())
    }

    /// The operation of AWS Config.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Packs => "DescribeAggregateComplianceByConformancePacks",
            Self::Rules => "DescribeAggregateComplianceByConfigRules",
        }
    }

    /// The key of its answer that has the rows.
    pub(crate) fn rows_key(self) -> &'static str {
        self.operation().trim_start_matches("Describe")
    }

    /// The key of its rows and filters that has the name.
    pub(crate) fn name_key(self) -> &'static str {
        if self == Self::Packs { "ConformancePackName" } else { "ConfigRuleName" }
    }

    /// The packs that AWS Config has on every day where a sequence is about rules.
    pub(crate) fn packs_beside() -> Facts {
        packs(&[(0, 0), (1, 1), (2, 2), (3, 0), (4, 1), (5, 3)]).facts(Self::Packs)
    }

    /// What an import of it says. Packs are imported without a word of it, as by versions that know no other dataset.
    pub(crate) fn option(self) -> &'static [&'static str] {
        if self == Self::Packs { &[] } else { &["--dataset", "rules"] }
    }

    /// The key of the settings that says how long its states are retained.
    pub(crate) fn status_days(self) -> &'static str {
        if self == Self::Packs { "pack_status_days" } else { "rule_status_days" }
    }

    /// What of an aggregator is asked for, as the pipeline file says it.
    pub(crate) fn asked(self, filter: Filter) -> String {
        let [kind, name] = match self {
            Self::Packs => ["compliance_type", "conformance_pack_name"],
            Self::Rules => ["rule_compliance_type", "config_rule_name"],
        };
        let filters = match filter {
            Filter::Everything | Filter::WithoutPack3 => String::new(),
            Filter::OneAccount => "[[aggregator.filter]]\naccount_id = \"000000000001\"\n".to_owned(),
            Filter::NonCompliant => format!("[[aggregator.filter]]\n{kind} = \"NON_COMPLIANT\"\n"),
        };
        let mut excluded = String::new();
        if filter == Filter::WithoutPack3 {
            excluded += &format!("{name} = \"pack-3\"\n");
        }
        if self == Self::Rules {
            // So that packs are of another population than those of a golden lake, and none is held against that.
            excluded += "pack_group = \"no-pack\"\n";
        }
        let exclude = if excluded.is_empty() { "" } else { "[aggregator.exclude]\n" };
        filters + exclude + &excluded
    }
}

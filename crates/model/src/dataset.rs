//! A dataset: one question to AWS Config, and the tables that its answers become.

use crate::{ComplianceType, Table};
use std::collections::BTreeSet;

/// What is collected by one operation of AWS Config: its keys, its tables and the part that each plays. Stages are written for a
/// dataset, so that another question is another value in [`Dataset::ALL`] and not a change in every stage.
#[derive(Debug, PartialEq, Eq)]
pub struct Dataset {
    /// What it is called in settings, messages and the ledger: what is counted, in the plural.
    pub name: &'static str,
    /// The operation that is asked.
    pub operation: &'static str,
    /// The column that names a row within its account and region.
    pub key: &'static str,
    /// The column that groups the same thing over accounts; also a dimension of the trends.
    pub group: &'static str,
    /// The compliance types that the operation filters by. An answer may have others.
    pub filter_types: &'static [ComplianceType],
    /// The compliance types that are counted beside COMPLIANT and NON_COMPLIANT, each in a column of its own; any other is unknown.
    pub other_types: &'static [&'static str],
    /// The answers, flattened: cannot be computed again.
    pub facts: Table,
    /// What was said of the sources of the answers, committed together with them; nothing where another dataset has it.
    pub sources: Option<Table>,
    /// The events of a day.
    pub changes: Table,
    /// Totals and rates of a day.
    pub trends: Table,
    /// The state that the next day starts from; the last table that is written of a day.
    pub status: Table,
}

impl Dataset {
    /// Compliance by conformance pack.
    pub const PACKS: Self = Self {
        name: "packs",
        operation: "DescribeAggregateComplianceByConformancePacks",
        key: "conformance_pack_name",
        group: "pack_group",
        filter_types: &ComplianceType::ALL,
        other_types: &["INSUFFICIENT_DATA"],
        facts: Table::PackCompliance,
        sources: Some(Table::SourceStatus),
        changes: Table::PackChanges,
        trends: Table::ComplianceTrends,
        status: Table::PackStatus,
    };

    /// Compliance by Config rule.
    pub const RULES: Self = Self {
        name: "rules",
        operation: "DescribeAggregateComplianceByConfigRules",
        key: "config_rule_name",
        group: "rule_group",
        filter_types: &[ComplianceType::Compliant, ComplianceType::NonCompliant],
        other_types: &["NOT_APPLICABLE", "INSUFFICIENT_DATA"],
        facts: Table::RuleCompliance,
        sources: None,
        changes: Table::RuleChanges,
        trends: Table::RuleTrends,
        status: Table::RuleStatus,
    };

    /// Every dataset, in the order in which those of an aggregator are collected.
    pub const ALL: [&'static Self; 2] = [&Self::PACKS, &Self::RULES];

    /// The dataset of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|dataset| dataset.name == name)
    }

    /// The dataset that a table is of; nothing for the ledger, which is of all.
    pub fn of(table: Table) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|dataset| dataset.tables().contains(&table))
    }

    /// Its tables, in the order in which they are written.
    pub fn tables(&self) -> Vec<Table> {
        self.snapshot().into_iter().chain(self.derived()).collect()
    }

    /// The same and the ledger: all that a day of it is in.
    pub fn tables_and_ledger(&self) -> Vec<Table> {
        self.tables().into_iter().chain([Table::Runs]).collect()
    }

    /// The compliance types that an answer may have (the service model: `ComplianceType` of a rule, `ConformancePackComplianceType` of
    /// a pack), and that are counted.
    pub fn compliance_types(&self) -> impl Iterator<Item = &'static str> {
        ["COMPLIANT", "NON_COMPLIANT"].into_iter().chain(self.other_types.iter().copied())
    }

    /// The tables of a snapshot: what was collected.
    pub fn snapshot(&self) -> Vec<Table> {
        [self.facts].into_iter().chain(self.sources).collect()
    }

    /// Whether a filter by these compliance types leaves nothing out. Of types that the operation does not filter by something always is.
    pub fn is_every_type(&self, types: &BTreeSet<ComplianceType>) -> bool {
        let is_filtered_by = |other: &&str| self.filter_types.iter().any(|kind| kind.as_str() == *other);
        self.other_types.iter().all(is_filtered_by) && self.filter_types.iter().all(|kind| types.contains(kind))
    }

    /// The tables that are computed from the snapshots, in the order in which they are written.
    pub const fn derived(&self) -> [Table; 3] {
        [self.changes, self.trends, self.status]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_but_the_ledger_is_of_one_dataset_and_plays_one_part_there() {
        let mut tables: Vec<Table> = Dataset::ALL.iter().flat_map(|dataset| dataset.tables()).collect();
        assert!(Dataset::ALL.iter().all(|dataset| dataset.derived().iter().all(|table| table.is_derived())));
        tables.push(Table::Runs);
        tables.sort_unstable();
        let mut all = Table::ALL.to_vec();
        all.sort_unstable();
        assert_eq!(tables, all);
        assert_eq!(
            Table::ALL.iter().filter(|table| Dataset::of(**table).is_none()).collect::<Vec<_>>(),
            [&Table::Runs]
        );
    }

    #[test]
    fn the_types_that_are_counted_of_packs_are_those_that_are_known() {
        let known: BTreeSet<&str> = ComplianceType::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(Dataset::PACKS.compliance_types().collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn facts_changes_and_states_have_the_columns_that_a_dataset_names() {
        for dataset in Dataset::ALL {
            for table in [dataset.facts, dataset.changes, dataset.status] {
                let has = |name| table.columns().iter().any(|column| column.name == name);
                assert!(has(dataset.key) && has(dataset.group), "{}", table.name());
                assert!(table.sort_key().contains(&dataset.key), "{}", table.name());
            }
            assert_eq!(Dataset::named(dataset.name), Some(dataset));
        }
    }
}

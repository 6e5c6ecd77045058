//! A dataset: one question to AWS Config, and the tables that its answers become.

use crate::Table;

/// What is collected by one operation of AWS Config: its tables and the part that each plays. Stages are written for a
/// dataset, so that another question is another value in [`Dataset::ALL`] and not a change in every stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dataset {
    /// What it is called in settings and messages.
    pub name: &'static str,
    /// The operation that is asked.
    pub operation: &'static str,
    /// The answers, flattened: cannot be computed again.
    pub facts: Table,
    /// What was said of the sources of the answers, committed together with them.
    pub sources: Table,
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
        facts: Table::PackCompliance,
        sources: Table::SourceStatus,
        changes: Table::PackChanges,
        trends: Table::ComplianceTrends,
        status: Table::PackStatus,
    };

    /// Every dataset.
    pub const ALL: [Self; 1] = [Self::PACKS];

    /// The dataset of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        const ALL: &[Dataset] = &Dataset::ALL;
        ALL.iter().find(|dataset| dataset.name == name)
    }

    /// The tables of a snapshot: what was collected.
    pub const fn snapshot(&self) -> [Table; 2] {
        [self.facts, self.sources]
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
        let mut tables: Vec<Table> =
            Dataset::ALL.iter().flat_map(|dataset| dataset.snapshot().into_iter().chain(dataset.derived())).collect();
        assert!(Dataset::ALL.iter().all(|dataset| dataset.derived().iter().all(|table| table.is_derived())));
        tables.push(Table::Runs);
        tables.sort_unstable();
        let mut all = Table::ALL.to_vec();
        all.sort_unstable();
        assert_eq!(tables, all);
    }
}

//! The tables: names, columns, sort keys. Nothing else in Compline defines a column.

mod columns;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::{Arc, LazyLock};

/// The version of the tables. Every file says which it was written by; a file of an older one lacks the columns that came
/// since, which are null then. A column is never taken away, and never gets another type.
pub const SCHEMA_VERSION: u32 = 5;

/// The windows of the trends, in calendar days that end on the snapshot date.
pub const WINDOWS: [u32; 3] = [7, 30, 90];

/// A table of the lake. Each is partitioned by `snapshot_date` and `aggregator`, which are not columns of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The fact: one row per pack, account and region, as the API said it.
    PackCompliance,
    /// What the aggregator says of each source account and region.
    SourceStatus,
    /// The events of the day, against the previous snapshot.
    PackChanges,
    /// One row per dimension and value: totals, rates, and how they moved.
    ComplianceTrends,
    /// Every pack ever seen, as of that day; also the state the next day starts from.
    PackStatus,
    /// One row per Config rule, account and region, as the API said it.
    RuleCompliance,
    /// The events of the day, of rules.
    RuleChanges,
    /// One row per dimension and value, of rules.
    RuleTrends,
    /// Every rule ever seen, as of that day.
    RuleStatus,
    /// The ledger: one row per run, aggregator and dataset.
    Runs,
}

/// One column: its name, type, whether it may be null, and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Lower case with underscores; the unit is in the name where there is one.
    pub name: &'static str,
    /// The type in Arrow, Parquet and Athena.
    pub column_type: ColumnType,
    /// Whether null is allowed.
    pub nullable: bool,
    /// What the values mean, in one sentence.
    pub doc: &'static str,
    /// The version of the tables that it came with. One that came later than the first may be null.
    pub since: u32,
}

/// The types a column may have: only what Athena, Spark, DuckDB and Polars all read the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text; a view in memory (what Polars takes without a copy), plain strings in files.
    Text,
    /// Counts.
    Int32,
    /// Sums.
    Int64,
    /// Rates in 0..1 and means.
    Float64,
    /// True or false.
    Boolean,
    /// A calendar day.
    Date,
    /// A moment, UTC, in milliseconds.
    Timestamp,
}

impl ColumnType {
    /// The Arrow type that holds it.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        }
    }
}

impl Table {
    /// Every table, in the order a night writes them.
    pub const ALL: [Self; 10] = [
        Self::PackCompliance,
        Self::SourceStatus,
        Self::PackChanges,
        Self::ComplianceTrends,
        Self::PackStatus,
        Self::RuleCompliance,
        Self::RuleChanges,
        Self::RuleTrends,
        Self::RuleStatus,
        Self::Runs,
    ];

    /// Its name in the lake and in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PackCompliance => "pack_compliance",
            Self::SourceStatus => "source_status",
            Self::PackChanges => "pack_changes",
            Self::ComplianceTrends => "compliance_trends",
            Self::PackStatus => "pack_status",
            Self::RuleCompliance => "rule_compliance",
            Self::RuleChanges => "rule_changes",
            Self::RuleTrends => "rule_trends",
            Self::RuleStatus => "rule_status",
            Self::Runs => "runs",
        }
    }

    /// What a row of it is, in one sentence.
    pub const fn doc(self) -> &'static str {
        match self {
            Self::PackCompliance => "one row per pack, account and region in the snapshot, as AWS Config said it",
            Self::SourceStatus => "one row per source account and region, as the aggregator said it",
            Self::PackChanges => "one row per event: what changed since the snapshot before",
            Self::ComplianceTrends => {
                "one row per dimension and value: totals, rates, and how they moved in 7, 30 and 90 days (a gap is not filled)"
            }
            Self::PackStatus => "one row per pack ever seen, as of that day (a pack that is gone stays for 400 days)",
            Self::RuleCompliance => {
                "one row per Config rule, account and region in the snapshot, as AWS Config said it"
            }
            Self::RuleChanges => "one row per event of a rule: what changed since the snapshot before",
            Self::RuleTrends => {
                "one row per dimension and value, of rules: totals, rates, and how they moved in 7, 30 and 90 days"
            }
            Self::RuleStatus => "one row per rule ever seen, as of that day (a rule that is gone stays for 400 days)",
            Self::Runs => {
                "one row per run, of those that failed too (commit_number is the order of what became of the day)"
            }
        }
    }

    /// Its columns, in order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::PackCompliance => columns::PACK_COMPLIANCE,
            Self::SourceStatus => columns::SOURCE_STATUS,
            Self::PackChanges => columns::PACK_CHANGES,
            Self::ComplianceTrends => columns::COMPLIANCE_TRENDS,
            Self::PackStatus => columns::PACK_STATUS,
            Self::RuleCompliance => columns::RULE_COMPLIANCE,
            Self::RuleChanges => columns::RULE_CHANGES,
            Self::RuleTrends => columns::RULE_TRENDS,
            Self::RuleStatus => columns::RULE_STATUS,
            Self::Runs => columns::RUNS,
        }
    }

    /// The columns its rows are sorted by, ascending; together they name a row.
    pub const fn sort_key(self) -> &'static [&'static str] {
        match self {
            Self::PackCompliance | Self::PackChanges | Self::PackStatus => {
                &["account_id", "aws_region", "conformance_pack_name"]
            }
            Self::SourceStatus => &["source_id", "aws_region", "source_type"],
            Self::RuleCompliance | Self::RuleChanges | Self::RuleStatus => {
                &["account_id", "aws_region", "config_rule_name"]
            }
            Self::ComplianceTrends | Self::RuleTrends => &["dimension", "dimension_value"],
            Self::Runs => &["started_at", "run_id", "dataset"],
        }
    }

    /// The columns that it had in a version of the tables, in order.
    ///
    /// ```
    /// use compline_model::{SCHEMA_VERSION, Table};
    ///
    /// let names = |version| Table::Runs.columns_of(version).map(|column| column.name).collect::<Vec<_>>();
    /// assert!(names(SCHEMA_VERSION).contains(&"caller") && !names(1).contains(&"caller"));
    /// ```
    pub fn columns_of(self, version: u32) -> impl Iterator<Item = &'static Column> {
        self.columns().iter().filter(move |column| column.since <= version)
    }

    /// Whether its rows are worked out from the snapshots, and can be again.
    pub const fn is_derived(self) -> bool {
        match self {
            Self::PackChanges | Self::ComplianceTrends | Self::PackStatus => true,
            Self::RuleChanges | Self::RuleTrends | Self::RuleStatus => true,
            Self::PackCompliance | Self::SourceStatus | Self::RuleCompliance | Self::Runs => false,
        }
    }

    /// Its Arrow schema.
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<Vec<SchemaRef>> =
            LazyLock::new(|| Table::ALL.iter().map(|table| schema_of(table.columns().iter())).collect());
        let position = Self::ALL.iter().position(|table| *table == self).unwrap_or_default();
        Arc::clone(&SCHEMAS[position])
    }
}

/// The Arrow schema of some columns.
pub fn schema_of<'a>(columns: impl Iterator<Item = &'a Column>) -> SchemaRef {
    let field = |column: &Column| Field::new(column.name, column.column_type.data_type(), column.nullable);
    Arc::new(Schema::new(columns.map(field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_sound_columns_and_a_sort_key_of_its_own() {
        for table in Table::ALL {
            let names: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
            let mut unique = names.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), names.len(), "{} names a column twice", table.name());
            for column in table.columns() {
                assert!(column.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
                // Glue takes no longer comment.
                assert!((1..=255).contains(&column.doc.len()), "{}.{}", table.name(), column.name);
                assert!(!["snapshot_date", "aggregator"].contains(&column.name), "partition columns are not in files");
                assert!((1..=SCHEMA_VERSION).contains(&column.since) && (column.since == 1 || column.nullable));
            }
            assert!(table.sort_key().iter().all(|key| names.contains(key)));
            assert_eq!(table.schema().fields().len(), names.len());
        }
    }
}

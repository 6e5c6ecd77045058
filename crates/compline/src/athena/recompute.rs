//! The trend tables again from the snapshots, as Athena computes them: the statements of a range of days, a month at a time, since one
//! writes no more than 100 partitions.

use compline_model::{AggregatorId, SnapshotDate, SnapshotMonth};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The statements, which say themselves what they take.
const TEMPLATE: &str = include_str!("recompute.sql");

/// How many statements come once, before those of each month.
const ONCE: usize = 2;

/// What is computed again, and from what.
pub(crate) struct Recomputing<'a> {
    /// The database of the lake's tables.
    pub(crate) database: &'a str,
    /// The database of those that are made.
    pub(crate) target: &'a str,
    /// The days of each aggregator.
    pub(crate) days: &'a BTreeMap<AggregatorId, BTreeSet<SnapshotDate>>,
    /// Whether snapshots may have been dropped, so that some are in their months alone.
    pub(crate) has_months: bool,
}

impl Recomputing<'_> {
    /// Every statement, in the order in which to run them.
    pub(crate) fn sql(&self) -> String {
        let Self { database, target, .. } = self;
        let code = |line: &&str| !line.trim_start().starts_with("--");
        let template = TEMPLATE.lines().filter(code).collect::<Vec<_>>().join("\n");
        let template = template.replace("{snapshots}", &self.snapshots()).replace("{in range}", &self.in_range());
        let template = template.replace("{database}", database).replace("{target}", target);
        let statements = super::statements(&template);
        let (once, monthly) = statements.split_at(ONCE.min(statements.len()));
        let mut text = format!(
            "-- The trend tables of compline again, from the snapshots, in tables {target}.*_recomputed. Run them in this order, the next after the one before.\n\
             -- The second statement has to list nothing: `compline verify` says what to do about a day that it lists. Where there_rows is null\n\
             -- the state of that day was dropped, from which the range goes on: begin with an earlier one.\n\
             -- To begin again, drop the tables {target}.*_recomputed, with their objects.\n"
        );
        for statement in once {
            let _ = writeln!(text, "\n{statement};");
        }
        let mut is_first = true;
        for (aggregator, days) in self.days {
            for (first, last) in months(days) {
                let _ = writeln!(text, "\n-- {aggregator}, {first} to {last}");
                for statement in monthly {
                    let statement = self.filled(statement, aggregator, (days, first, last), is_first);
                    let _ = writeln!(text, "{statement};");
                }
                is_first = false;
            }
        }
        text
    }

    /// The statement of an aggregator's month.
    fn filled(
        &self,
        statement: &str,
        aggregator: &AggregatorId,
        (days, first, last): (&BTreeSet<SnapshotDate>, SnapshotDate, SnapshotDate),
        is_first: bool,
    ) -> String {
        let Self { database, target, .. } = self;
        let start = days.first().copied().unwrap_or(first);
        let mut text = statement.to_owned();
        for table in ["pack_status", "pack_changes", "compliance_trends"] {
            let made = format!("{target}.{table}_recomputed");
            let into = match is_first {
                true => format!(
                    "CREATE TABLE {made} WITH (format = 'PARQUET', partitioned_by = ARRAY['snapshot_date', 'aggregator']) AS"
                ),
                false => format!("INSERT INTO {made}"),
            };
            let known = match is_first {
                true => format!("{database}.{table}"),
                false => format!(
                    "(SELECT * FROM {database}.{table} WHERE snapshot_date < DATE '{start}' UNION ALL SELECT * FROM {made})"
                ),
            };
            text = text.replace(&format!("{{into {table}}}"), &into).replace(&format!("{{known {table}}}"), &known);
        }
        text.replace("{aggregator}", aggregator.as_str())
            .replace("{first}", &first.to_string())
            .replace("{last}", &last.to_string())
    }

    /// The snapshots, those whose own files were dropped from their months.
    fn snapshots(&self) -> String {
        let Self { database, target, has_months, .. } = self;
        if !has_months {
            return format!("{database}.pack_compliance");
        }
        let columns = "account_id, aws_region, conformance_pack_name, pack_group, compliance_type, compliant_rule_count, \
                       non_compliant_rule_count, insufficient_data_rule_count, total_rule_count, snapshot_date, aggregator";
        format!(
            "(SELECT {columns} FROM {database}.pack_compliance UNION ALL SELECT {columns} FROM {database}.pack_compliance_monthly AS months \
             WHERE EXISTS (SELECT 1 FROM {target}.days_recomputed AS days \
             WHERE is_dropped AND days.aggregator = months.aggregator AND days.snapshot_date = months.snapshot_date) \
             AND (aggregator, snapshot_date) NOT IN (SELECT aggregator, snapshot_date FROM {database}.pack_compliance))"
        )
    }

    /// The days that are computed, as a condition.
    fn in_range(&self) -> String {
        let of_aggregator = |(aggregator, days): (&AggregatorId, &BTreeSet<SnapshotDate>)| {
            let (first, last) = (days.first()?, days.last()?);
            Some(format!("(aggregator = '{aggregator}' AND snapshot_date BETWEEN DATE '{first}' AND DATE '{last}')"))
        };
        self.days.iter().filter_map(of_aggregator).collect::<Vec<_>>().join(" OR ")
    }
}

/// The first and the last of the days of each month.
fn months(days: &BTreeSet<SnapshotDate>) -> BTreeSet<(SnapshotDate, SnapshotDate)> {
    let of_month = |date: &SnapshotDate| {
        let month = SnapshotMonth::from(*date);
        let mut days = days.range(month.first_day()..month.first_day_after());
        let first = days.next().copied().unwrap_or(*date);
        (first, days.next_back().copied().unwrap_or(first))
    };
    days.iter().map(of_month).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> SnapshotDate {
        text.parse().expect("a date")
    }

    #[test]
    fn every_month_has_its_statements_and_no_placeholder_is_left() {
        let of = |days: &[&str]| days.iter().map(|text| day(text)).collect::<BTreeSet<_>>();
        let days = BTreeMap::from([
            ("a".parse().expect("an id"), of(&["2025-12-30", "2026-01-01", "2026-01-31"])),
            ("b".parse().expect("an id"), of(&["2026-01-05"])),
        ]);
        for has_months in [false, true] {
            let text = Recomputing { database: "lake", target: "made", days: &days, has_months }.sql();
            assert!(!text.contains('{') && !text.contains('}'), "{text}");
            assert_eq!(text.matches(';').count(), ONCE + 3 * 3);
            assert_eq!(text.matches("CREATE TABLE made.pack_status_recomputed").count(), 1);
            assert_eq!(text.matches("INSERT INTO made.pack_status_recomputed").count(), 2);
            assert!(text.contains("BETWEEN DATE '2026-01-01' AND DATE '2026-01-31'"), "{text}");
            assert_eq!(text.contains("lake.pack_compliance_monthly"), has_months);
            let second = text.split(';').nth(1).expect("a second statement");
            assert_eq!(
                second
                    .matches("aggregator = 'b' AND snapshot_date BETWEEN DATE '2026-01-05' AND DATE '2026-01-05'")
                    .count(),
                3
            );
        }
    }
}

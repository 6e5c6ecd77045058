//! The views over the tables: the queries are in a file of SQL, which is shipped too, and the columns that they give here,
//! since the catalog must be told of them.

use compline_model::ColumnType::{Boolean, Date, Float64, Int32, Int64, Text};
use compline_model::{ColumnType, Table};
use compline_sink::{ViewColumn, ViewDefinition};

/// The views, in the database that they are shipped for.
const VIEWS: &str = include_str!("../../../../pipelines/nightly/athena/views.sql");
const SHIPPED: &str = "compline";

const AGGREGATOR: (&str, ColumnType) = ("aggregator", Text);
const SNAPSHOT_DATE: (&str, ColumnType) = ("snapshot_date", Date);
const KEYS: [(&str, ColumnType); 4] =
    [("account_id", Text), ("aws_region", Text), ("conformance_pack_name", Text), ("pack_group", Text)];
const RULE_KEYS: [(&str, ColumnType); 4] =
    [("account_id", Text), ("aws_region", Text), ("config_rule_name", Text), ("rule_group", Text)];

/// The views as SQL, in a database.
pub(crate) fn sql_of_views(database: &str) -> String {
    VIEWS.replace(&format!(" {SHIPPED}."), &format!(" {database}."))
}

/// The views, as a database of the catalog has them.
pub(crate) fn views(database: &str) -> Vec<ViewDefinition> {
    let sql = sql_of_views(database);
    let create = format!("CREATE OR REPLACE VIEW {database}.");
    let statements = sql.split(";\n").filter_map(|statement| {
        let (comment, rest) = statement.split_once(&create)?;
        let (name, query) = rest.split_once(" AS\n")?;
        // What stands before the view's own comment is the file's.
        let comment = comment.rsplit("\n\n").next()?.trim();
        let lines = comment.lines().map(|line| line.trim_start_matches("-- "));
        Some((name, lines.collect::<Vec<_>>().join(" "), query.trim()))
    });
    let view = |(name, comment, query): (&str, String, &str)| ViewDefinition {
        database: database.to_owned(),
        name: name.to_owned(),
        comment,
        sql: query.to_owned(),
        columns: columns(name).into_iter().map(|(name, column_type)| ViewColumn { name, column_type }).collect(),
    };
    statements.map(view).collect()
}

/// The columns that a view gives, in order; none of a view that is not known.
fn columns(view: &str) -> Vec<(&'static str, ColumnType)> {
    match view {
        "latest_snapshot" | "latest_rule_snapshot" => vec![AGGREGATOR, SNAPSHOT_DATE],
        "latest_posture" => {
            let of_table = Table::ComplianceTrends.columns().iter().map(|column| (column.name, column.column_type));
            of_table.chain([SNAPSHOT_DATE, AGGREGATOR]).collect()
        }
        "accounts_worst_first" => vec![
            AGGREGATOR,
            ("place", Int64),
            ("account_id", Text),
            ("pack_compliance_rate", Float64),
            ("pack_compliance_rate_change_30d", Float64),
            ("packs_non_compliant", Int32),
            ("packs_total", Int32),
            ("open_non_compliant_max_days", Int32),
            SNAPSHOT_DATE,
        ],
        "trend_weekly" => trend(("week", Date)),
        "trend_monthly" => trend(("month", Date)),
        "open_regressions" => {
            of_packs(&[("regressed_on", Date), ("days_open", Int32), ("change_count", Int32), SNAPSHOT_DATE])
        }
        "packs_vanished" => of_packs(&[
            ("last_compliance_type", Text),
            ("first_seen_date", Date),
            ("last_seen_date", Date),
            ("days_gone", Int64),
            SNAPSHOT_DATE,
        ]),
        "coverage" => vec![
            AGGREGATOR,
            ("day", Date),
            ("has_snapshot", Boolean),
            ("packs_total", Int64),
            ("sources", Int64),
            ("sources_succeeded", Int64),
            ("sources_outdated", Int64),
            ("sources_failed", Int64),
            ("is_dropped", Boolean),
        ],
        "time_to_remediate_monthly" => vec![
            AGGREGATOR,
            ("month", Date),
            ("remediations", Int64),
            ("mean_days_to_remediate", Float64),
            ("min_days_to_remediate", Int32),
            ("max_days_to_remediate", Int32),
        ],
        "rules_worst_first" => vec![
            AGGREGATOR,
            ("place", Int64),
            ("rule_group", Text),
            ("rule_compliance_rate", Float64),
            ("rule_compliance_rate_change_30d", Float64),
            ("rules_non_compliant", Int32),
            ("rules_total", Int32),
            ("open_non_compliant_max_days", Int32),
            SNAPSHOT_DATE,
        ],
        "rules_failing_longest" => of_rules(&[
            ("non_compliant_since", Date),
            ("days_non_compliant", Int32),
            ("change_count", Int32),
            SNAPSHOT_DATE,
        ]),
        "why_regressed" => of_packs(&[
            ("is_told", Boolean),
            ("conformance_pack_id", Text),
            ("config_rule_name", Text),
            ("rule_group", Text),
            ("rule_change", Text),
            ("from_type", Text),
            ("contributor_count", Int32),
            ("contributor_count_capped", Boolean),
            ("previous_snapshot_date", Date),
            SNAPSHOT_DATE,
        ]),
        _ => Vec::new(),
    }
}

fn trend(period: (&'static str, ColumnType)) -> Vec<(&'static str, ColumnType)> {
    vec![
        AGGREGATOR,
        ("dimension", Text),
        ("dimension_value", Text),
        period,
        ("days_observed", Int64),
        ("last_snapshot_date", Date),
        ("packs_total", Int32),
        ("packs_non_compliant", Int32),
        ("pack_compliance_rate", Float64),
        ("pack_compliance_rate_mean", Float64),
        ("rule_compliance_rate_mean", Float64),
        ("packs_added", Int64),
        ("packs_removed", Int64),
        ("packs_regressed", Int64),
        ("packs_remediated", Int64),
    ]
}

fn of_packs(more: &[(&'static str, ColumnType)]) -> Vec<(&'static str, ColumnType)> {
    [&[AGGREGATOR], &KEYS[..], more].concat()
}

fn of_rules(more: &[(&'static str, ColumnType)]) -> Vec<(&'static str, ColumnType)> {
    [&[AGGREGATOR], &RULE_KEYS[..], more].concat()
}

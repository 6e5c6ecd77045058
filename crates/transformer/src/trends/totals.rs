//! Totals, rates and events of the day, per dimension and value.

use super::{Day, date_lit, days_between, rate};
use compline_model::AggregatorId;
use polars::prelude::*;

/// What the packs of a part add to the totals, per dimension and value. A value has a row on a day if it has a pack then, or an
/// event; the aggregator has one on every day.
pub(super) fn of_part(moves: &LazyFrame, aggregator: &AggregatorId, day: Day) -> PolarsResult<LazyFrame> {
    let rows = moves.clone().filter(col("here").or(col("change").is_not_null()));
    let dimensions = [
        ("aggregator", lit(aggregator.as_str())),
        ("account", col("account_id")),
        ("region", col("aws_region")),
        ("pack_group", col("pack_group")),
    ];
    let of = |(dimension, value): (&str, Expr)| {
        let sums = rows.clone().group_by([value.alias("dimension_value")]).agg(sums(day));
        sums.with_columns([lit(dimension).alias("dimension")])
    };
    concat(dimensions.map(of), UnionArgs::default())
}

/// The rows of `compliance_trends` without what looks back over windows.
pub(super) fn totals(parts: Vec<LazyFrame>, day: Day) -> PolarsResult<LazyFrame> {
    let rows = concat(parts, UnionArgs::default())?.group_by([col("dimension"), col("dimension_value")]);
    Ok(rows.agg(sums_of_parts(day)).with_columns([
        day.previous().alias("previous_snapshot_date"),
        date_lit(day.population_since).alias("population_since"),
        rate(col("packs_compliant"), col("packs_non_compliant")).alias("pack_compliance_rate"),
        rate(col("rules_compliant"), col("rules_non_compliant")).alias("rule_compliance_rate"),
    ]))
}

/// What is counted of each day.
const COUNTS: [&str; 10] = [
    "packs_total",
    "packs_compliant",
    "packs_non_compliant",
    "packs_insufficient_data",
    "packs_unknown",
    "rules_compliant",
    "rules_non_compliant",
    "rules_insufficient_data",
    "rules_total",
    "open_non_compliant_packs",
];

/// What is counted of a day that has one before it: without, there is nothing to compare with, which is null and not 0.
const EVENTS: [(&str, DataType); 6] = [
    ("packs_added", DataType::Int32),
    ("packs_removed", DataType::Int32),
    ("packs_reappeared", DataType::Int32),
    ("packs_regressed", DataType::Int32),
    ("packs_remediated", DataType::Int32),
    ("remediation_days", DataType::Int64),
];

fn sums_of_parts(day: Day) -> Vec<Expr> {
    let open_days = || col(OPEN_DAYS).explode(ExplodeOptions { empty_as_null: false, keep_nulls: false });
    let mut sums: Vec<Expr> = COUNTS.into_iter().map(|name| col(name).sum()).collect();
    sums.extend(EVENTS.into_iter().map(|(name, dtype)| match day.previous {
        Some(_) => col(name).sum(),
        None => lit(NULL).cast(dtype).first().alias(name),
    }));
    sums.push(open_days().median().alias("open_non_compliant_median_days"));
    sums.push(open_days().max().alias("open_non_compliant_max_days"));
    sums
}

/// How many days each pack has been non-compliant that is so now: of parts no median could be told otherwise.
const OPEN_DAYS: &str = "open_days";

/// Of a part's packs the columns of [`COUNTS`] and [`EVENTS`], and [`OPEN_DAYS`].
fn sums(day: Day) -> Vec<Expr> {
    let here = || col("here");
    let is = |kind: &'static str| here().and(col("compliance_type").eq_missing(lit(kind)));
    let unknown = || {
        let known = ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA"];
        known.into_iter().fold(here(), |other, kind| other.and(is(kind).not()))
    };
    let packs = |condition: Expr| condition.cast(DataType::Int32).sum();
    let rules = |name: &str| col(name).cast(DataType::Int64).sum();
    let events = |change: &'static str| packs(col("change").eq_missing(lit(change)));
    let remediation_days = days_between(col("status_since"), day.today())
        .filter(col("change").eq_missing(lit("remediated")))
        .cast(DataType::Int64)
        .sum();
    vec![
        packs(here()).alias("packs_total"),
        packs(is("COMPLIANT")).alias("packs_compliant"),
        packs(is("NON_COMPLIANT")).alias("packs_non_compliant"),
        packs(is("INSUFFICIENT_DATA")).alias("packs_insufficient_data"),
        packs(unknown()).alias("packs_unknown"),
        rules("compliant_rule_count").alias("rules_compliant"),
        rules("non_compliant_rule_count").alias("rules_non_compliant"),
        rules("insufficient_data_rule_count").alias("rules_insufficient_data"),
        rules("total_rule_count").alias("rules_total"),
        events("added").alias("packs_added"),
        events("removed").alias("packs_removed"),
        events("reappeared").alias("packs_reappeared"),
        events("regressed").alias("packs_regressed"),
        events("remediated").alias("packs_remediated"),
        remediation_days.alias("remediation_days"),
        packs(is("NON_COMPLIANT")).alias("open_non_compliant_packs"),
        col("days_in_status_now").filter(is("NON_COMPLIANT")).implode(false).alias(OPEN_DAYS),
    ]
}

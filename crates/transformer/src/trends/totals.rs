//! Totals, rates and events of the day, per dimension and value.

use super::{Day, date_lit, days_between, rate};
use compline_model::AggregatorId;
use polars::prelude::*;

/// The rows of `compliance_trends` without what looks back over windows. A value has a row on a day if it has a pack then,
/// or an event; the aggregator has one on every day.
pub(super) fn totals(moves: &LazyFrame, aggregator: &AggregatorId, day: Day) -> PolarsResult<LazyFrame> {
    let rows = moves.clone().filter(col("here").or(col("change").is_not_null()));
    let dimensions = [
        ("aggregator", lit(aggregator.as_str())),
        ("account", col("account_id")),
        ("region", col("aws_region")),
        ("pack_group", col("pack_group")),
    ];
    let of = |(dimension, value): (&str, Expr)| {
        rows.clone().group_by([value.alias("dimension_value")]).agg(sums(day)).with_columns([
            lit(dimension).alias("dimension"),
            day.previous().alias("previous_snapshot_date"),
            date_lit(day.population_since).alias("population_since"),
        ])
    };
    Ok(concat(dimensions.map(of), UnionArgs::default())?.with_columns([
        rate(col("packs_compliant"), col("packs_non_compliant")).alias("pack_compliance_rate"),
        rate(col("rules_compliant"), col("rules_non_compliant")).alias("rule_compliance_rate"),
    ]))
}

fn sums(day: Day) -> Vec<Expr> {
    let here = || col("here");
    let is = |kind: &'static str| here().and(col("compliance_type").eq_missing(lit(kind)));
    let unknown = || {
        let known = ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA"];
        known.into_iter().fold(here(), |other, kind| other.and(is(kind).not()))
    };
    let packs = |condition: Expr| condition.cast(DataType::Int32).sum();
    let rules = |name: &str| col(name).cast(DataType::Int64).sum();
    // Without a previous snapshot there is nothing to count events against: null, not zero.
    let compared =
        |expr: Expr, dtype: DataType| if day.previous.is_some() { expr } else { lit(NULL).cast(dtype).first() };
    let events = |change: &'static str| compared(packs(col("change").eq_missing(lit(change))), DataType::Int32);
    let open_days = || col("days_in_status_now").filter(is("NON_COMPLIANT"));
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
        compared(remediation_days, DataType::Int64).alias("remediation_days"),
        packs(is("NON_COMPLIANT")).alias("open_non_compliant_packs"),
        open_days().median().alias("open_non_compliant_median_days"),
        open_days().max().alias("open_non_compliant_max_days"),
    ]
}

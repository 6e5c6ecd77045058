//! Totals, rates and events of the day, per dimension and value.

use super::{Day, date_lit, days_between, rate};
use compline_model::AggregatorId;
use polars::prelude::*;

/// What the packs or rules of a part add to the totals, per dimension and value. A value has a row on a day if it has one of them then, or
/// an event; the aggregator has one on every day.
pub(super) fn of_part(moves: &LazyFrame, aggregator: &AggregatorId, day: Day) -> PolarsResult<LazyFrame> {
    let rows = moves.clone().filter(col("here").or(col("change").is_not_null()));
    let group = day.measures.dataset.group;
    let dimensions = [
        ("aggregator", lit(aggregator.as_str())),
        ("account", col("account_id")),
        ("region", col("aws_region")),
        (group, col(group)),
    ];
    let of = |(dimension, value): (&str, Expr)| {
        let sums = rows.clone().group_by([value.alias("dimension_value")]).agg(sums(day));
        sums.with_columns([lit(dimension).alias("dimension")])
    };
    concat(dimensions.map(of), UnionArgs::default())
}

/// The rows of the trends without what looks back over windows.
pub(super) fn totals(parts: Vec<LazyFrame>, day: Day) -> PolarsResult<LazyFrame> {
    let rows = concat(parts, UnionArgs::default())?.group_by([col("dimension"), col("dimension_value")]);
    let mut columns =
        vec![day.previous().alias("previous_snapshot_date"), date_lit(day.population_since).alias("population_since")];
    columns.extend(day.measures.rates.iter().map(|name| {
        // `pack_compliance_rate` is of what begins with `packs_`.
        let of = name.trim_end_matches("_compliance_rate");
        rate(col(format!("{of}s_compliant")), col(format!("{of}s_non_compliant"))).alias(*name)
    }));
    Ok(rows.agg(sums_of_parts(day)).with_columns(columns))
}

/// What is counted of each day.
fn counts(day: Day) -> Vec<String> {
    let measures = day.measures;
    let types = measures.types().map(|(_, name)| name);
    let all = [measures.count("total"), measures.count("unknown"), measures.open()];
    types.chain(all).chain(measures.sums.iter().map(|(_, name)| (*name).to_owned())).collect()
}

/// The events that are counted of a day that has one before it: without, there is nothing to compare with, which is null and not 0.
const EVENTS: [&str; 5] = ["added", "removed", "reappeared", "regressed", "remediated"];

const REMEDIATION_DAYS: &str = "remediation_days";

fn sums_of_parts(day: Day) -> Vec<Expr> {
    let open_days = || col(OPEN_DAYS).explode(ExplodeOptions { empty_as_null: false, keep_nulls: false });
    let mut sums: Vec<Expr> = counts(day).into_iter().map(|name| col(name).sum()).collect();
    let events = EVENTS.map(|event| (day.measures.count(event), DataType::Int32));
    let events = events.into_iter().chain([(REMEDIATION_DAYS.to_owned(), DataType::Int64)]);
    sums.extend(events.map(|(name, dtype)| match day.previous {
        Some(_) => col(name).sum(),
        None => lit(NULL).cast(dtype).first().alias(name),
    }));
    sums.push(open_days().median().alias("open_non_compliant_median_days"));
    sums.push(open_days().max().alias("open_non_compliant_max_days"));
    sums
}

/// How many days each has been non-compliant that is so now: of parts no median could be told otherwise.
const OPEN_DAYS: &str = "open_days";

/// Of a part the columns of [`counts`] and [`EVENTS`], and [`OPEN_DAYS`].
fn sums(day: Day) -> Vec<Expr> {
    let measures = day.measures;
    let here = || col("here");
    let is = |kind: &'static str| here().and(col("compliance_type").eq_missing(lit(kind)));
    let unknown = measures.types().fold(here(), |other, (kind, _)| other.and(is(kind).not()));
    let count = |condition: Expr| condition.cast(DataType::Int32).sum();
    let remediation_days = days_between(col("status_since"), day.today())
        .filter(col("change").eq_missing(lit("remediated")))
        .cast(DataType::Int64)
        .sum();
    let mut sums = vec![
        count(here()).alias(measures.count("total")),
        count(unknown).alias(measures.count("unknown")),
        count(is("NON_COMPLIANT")).alias(measures.open()),
        remediation_days.alias(REMEDIATION_DAYS),
        col("days_in_status_now").filter(is("NON_COMPLIANT")).implode(false).alias(OPEN_DAYS),
    ];
    sums.extend(measures.types().map(|(kind, name)| count(is(kind)).alias(name)));
    sums.extend(measures.sums.iter().map(|(of, name)| col(*of).cast(DataType::Int64).sum().alias(*name)));
    sums.extend(EVENTS.map(|event| count(col("change").eq_missing(lit(event))).alias(measures.count(event))));
    sums
}

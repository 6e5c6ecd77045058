//! What moved between the previous snapshot and this one: the base of all three trend tables.

use super::{Day, SNAPSHOT_COLUMNS, days_between, sort_key};
use compline_model::Table;
use polars::prelude::*;

/// How many days a pack that is gone stays in `pack_status`.
const KEPT_DAYS: u32 = 400;

const KEY: [&str; 3] = ["account_id", "aws_region", "conformance_pack_name"];

/// One row per pack that is here or was known: the snapshot's columns, those of the state with the suffix `_before`,
/// `here`, `change`, and what the pack's status is now.
pub(super) fn moves(now: LazyFrame, before: LazyFrame, day: Day) -> LazyFrame {
    let key = KEY.map(col);
    let mut columns: Vec<Expr> = SNAPSHOT_COLUMNS.iter().map(|name| col(*name)).collect();
    columns.push(lit(true).alias("here"));
    let now = now.select(columns);
    let both = now.join(before, &key, &key, full_join());
    both.with_columns([
        col("here").fill_null(lit(false)),
        col("is_present").fill_null(lit(false)).alias("was_present"),
        col("first_seen_date").is_not_null().alias("was_known"),
        col("pack_group").fill_null(col("pack_group_before")),
    ])
    .with_columns([change(day).alias("change"), same_type().not().alias("other_type")])
    .with_columns(status(day))
}

fn full_join() -> JoinArgs {
    JoinArgs {
        how: JoinType::Full,
        coalesce: JoinCoalesce::CoalesceColumns,
        // Both sides are sorted by the key: what stays so is sorted in one go by a sort that takes runs as they are.
        maintain_order: MaintainOrderJoin::LeftRight,
        suffix: Some("_before".into()),
        ..JoinArgs::default()
    }
}

/// Whether the type is that of before; a missing type equals a missing type.
fn same_type() -> Expr {
    col("compliance_type").eq_missing(col("compliance_type_before"))
}

/// The event of this day, or null. The first snapshot of an aggregator has none: nothing is known of the time before.
fn change(day: Day) -> Expr {
    if day.previous.is_none() {
        return lit(NULL).cast(DataType::String);
    }
    let here = || col("here");
    let from_to = |from: &'static str, to: &'static str| {
        col("compliance_type_before").eq_missing(lit(from)).and(col("compliance_type").eq_missing(lit(to)))
    };
    when(here().and(col("was_known").not()))
        .then(lit("added"))
        .when(here().and(col("was_present").not()))
        .then(lit("reappeared"))
        .when(here().not().and(col("was_present")))
        .then(lit("removed"))
        .when(here().not().or(same_type()))
        .then(lit(NULL))
        .when(from_to("COMPLIANT", "NON_COMPLIANT"))
        .then(lit("regressed"))
        .when(from_to("NON_COMPLIANT", "COMPLIANT"))
        .then(lit("remediated"))
        .otherwise(lit("changed"))
}

/// The columns of the pack's status as of this day, with the suffix `_now`.
fn status(day: Day) -> [Expr; 4] {
    let here = || col("here");
    let begins = here().and(col("was_present").not().or(col("other_type")));
    let since = || when(begins.clone()).then(day.today()).otherwise(col("status_since"));
    let type_moved = here().and(col("was_present")).and(col("other_type"));
    [
        since().alias("status_since_now"),
        when(here())
            .then(days_between(since(), day.today()))
            .otherwise(col("days_in_status"))
            .alias("days_in_status_now"),
        when(here().and(col("was_known")).and(col("other_type")))
            .then(col("compliance_type_before"))
            .otherwise(col("previous_compliance_type"))
            .alias("previous_compliance_type_now"),
        (col("change_count").fill_null(lit(0)) + type_moved.cast(DataType::Int32)).alias("change_count_now"),
    ]
}

/// The rows of `pack_changes`.
pub(super) fn pack_changes(moves: LazyFrame, day: Day) -> LazyFrame {
    let days_before = when(col("change").eq(lit("reappeared")))
        .then(col("days_in_status"))
        .otherwise(days_between(col("status_since"), day.today()));
    moves.filter(col("change").is_not_null()).sort(sort_key(Table::PackChanges), SortMultipleOptions::default()).select(
        [
            col("account_id"),
            col("aws_region"),
            col("conformance_pack_name"),
            col("pack_group"),
            col("change"),
            col("compliance_type_before").alias("from_type"),
            col("compliance_type").alias("to_type"),
            days_before.alias("days_in_previous_status"),
            day.previous().alias("previous_snapshot_date"),
        ],
    )
}

/// The rows of `pack_status`.
pub(super) fn pack_status(moves: LazyFrame, day: Day) -> LazyFrame {
    let here = || col("here");
    let forgotten = super::date_lit(day.date.minus_days(KEPT_DAYS));
    moves
        .with_columns([
            when(here()).then(col("compliance_type")).otherwise(col("compliance_type_before")).alias("compliance_type"),
            when(here()).then(day.today()).otherwise(col("last_seen_date")).alias("last_seen_date"),
            col("first_seen_date").fill_null(day.today()),
        ])
        .filter(col("last_seen_date").gt_eq(forgotten))
        .sort(sort_key(Table::PackStatus), SortMultipleOptions::default().with_maintain_order(true))
        .select([
            col("account_id"),
            col("aws_region"),
            col("conformance_pack_name"),
            col("pack_group"),
            col("compliance_type"),
            col("previous_compliance_type_now").alias("previous_compliance_type"),
            col("status_since_now").alias("status_since"),
            col("days_in_status_now").alias("days_in_status"),
            col("first_seen_date"),
            col("last_seen_date"),
            here().alias("is_present"),
            col("change_count_now").alias("change_count"),
        ])
}

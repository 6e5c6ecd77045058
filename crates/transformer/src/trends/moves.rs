//! What moved between the previous snapshot and this one: the base of all three trend tables.

use super::{Day, days_between, sort_key};
use polars::prelude::*;

/// How many days what is gone stays in the status.
const KEPT_DAYS: u32 = 400;

/// One row per pack or rule that is here or was known: the snapshot's columns, those of the state with the suffix `_before`,
/// `here`, `change`, and what its status is now.
pub(super) fn moves(now: LazyFrame, before: LazyFrame, day: Day) -> LazyFrame {
    let (key, group) = (day.measures.key(), day.measures.dataset.group);
    let mut columns: Vec<Expr> = day.measures.snapshot.iter().map(|name| col(*name)).collect();
    columns.push(lit(true).alias("here"));
    let now = now.select(columns);
    let both = now.join(before, &key, &key, full_join());
    both.with_columns([
        col("here").fill_null(lit(false)),
        col("is_present").fill_null(lit(false)).alias("was_present"),
        col("first_seen_date").is_not_null().alias("was_known"),
        col(group).fill_null(col(format!("{group}_before"))),
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

/// The columns of the status as of this day, with the suffix `_now`.
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

/// The events of the day.
pub(super) fn changes(moves: LazyFrame, day: Day) -> LazyFrame {
    let days_before = when(col("change").eq(lit("reappeared")))
        .then(col("days_in_status"))
        .otherwise(days_between(col("status_since"), day.today()));
    let dataset = day.measures.dataset;
    let events = moves.filter(col("change").is_not_null());
    events.sort(sort_key(dataset.changes), SortMultipleOptions::default()).select([
        col("account_id"),
        col("aws_region"),
        col(dataset.key),
        col(dataset.group),
        col("change"),
        col("compliance_type_before").alias("from_type"),
        col("compliance_type").alias("to_type"),
        days_before.alias("days_in_previous_status"),
        day.previous().alias("previous_snapshot_date"),
    ])
}

/// The state of the next day.
pub(super) fn statuses(moves: LazyFrame, day: Day) -> LazyFrame {
    let here = || col("here");
    let dataset = day.measures.dataset;
    let forgotten = super::date_lit(day.date.minus_days(KEPT_DAYS));
    moves
        .with_columns([
            when(here()).then(col("compliance_type")).otherwise(col("compliance_type_before")).alias("compliance_type"),
            when(here()).then(day.today()).otherwise(col("last_seen_date")).alias("last_seen_date"),
            col("first_seen_date").fill_null(day.today()),
        ])
        .filter(col("last_seen_date").gt_eq(forgotten))
        .sort(sort_key(dataset.status), SortMultipleOptions::default().with_maintain_order(true))
        .select([
            col("account_id"),
            col("aws_region"),
            col(dataset.key),
            col(dataset.group),
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

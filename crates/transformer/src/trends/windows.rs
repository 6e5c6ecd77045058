//! What looks back: changes, means and remediations over 7, 30 and 90 calendar days that end on the day.

use super::{Day, Recent, TransformError, sort_key};
use crate::bridge::to_frame;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use compline_model::{SnapshotDate, WINDOWS};
use polars::prelude::*;
use std::iter::repeat_n;
use std::sync::Arc;

/// The windows over which remediations are counted.
const REMEDIATION_WINDOWS: [u32; 2] = [30, 90];

const VALUE: [&str; 2] = ["dimension", "dimension_value"];

/// Of the days that have a snapshot, those whose trend rows a day's trends are computed from, in order: every one in the
/// longest window, and the one that each window's change compares with.
pub fn recent_needed(date: SnapshotDate, snapshots: &[SnapshotDate]) -> Vec<SnapshotDate> {
    let longest = WINDOWS.into_iter().max().unwrap_or_default();
    let baselines: Vec<SnapshotDate> =
        WINDOWS.into_iter().filter_map(|window| baseline(date, window, snapshots)).collect();
    let mut needed: Vec<SnapshotDate> = snapshots
        .iter()
        .copied()
        .filter(|day| *day < date && (*day > date.minus_days(longest) || baselines.contains(day)))
        .collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// The last snapshot at or before `date - window` and after `date - 2 * window`.
fn baseline(date: SnapshotDate, window: u32, snapshots: &[SnapshotDate]) -> Option<SnapshotDate> {
    let (from, to) = (date.minus_days(2 * window), date.minus_days(window));
    snapshots.iter().copied().filter(|day| from < *day && *day <= to).max()
}

/// Adds the columns of every window to the day's totals, and puts the columns and rows in the table's order.
pub(super) fn with_windows(totals: DataFrame, recent: &[Recent], day: Day) -> Result<DataFrame, TransformError> {
    let Day { measures, date, .. } = day;
    let history = history(&totals, recent, day)?.lazy();
    let dates: Vec<SnapshotDate> = recent.iter().map(|day| day.date).collect();
    let mut rows = totals.lazy();
    for window in WINDOWS {
        let within = history.clone().filter(col("day").gt(lit(date.minus_days(window).days_since_epoch())));
        rows = left_join(rows, within.group_by(VALUE.map(col)).agg(means(window, day)));
        let baseline = baseline(date, window, &dates).map(SnapshotDate::days_since_epoch);
        let baseline = history.clone().filter(col("day").eq_missing(day_lit(baseline)));
        rows = left_join(rows, baseline.select(baselines(window, day)));
        let change = |rate: &&str| {
            (col(*rate) - col(format!("{rate}_baseline_{window}d"))).alias(format!("{rate}_change_{window}d"))
        };
        rows = rows.with_columns(measures.rates.iter().map(change).collect::<Vec<_>>());
    }
    for window in REMEDIATION_WINDOWS {
        let (count, days) = (format!("remediations_{window}d"), format!("remediation_days_{window}d"));
        let mean = format!("mean_days_to_remediate_{window}d");
        let some = col(&count).gt(lit(0));
        let per_pack = col(days).cast(DataType::Float64) / col(&count).cast(DataType::Float64);
        rows = rows.with_columns([when(some).then(per_pack).otherwise(lit(NULL)).alias(mean)]);
    }
    let table = measures.dataset.trends;
    let columns: Vec<Expr> = table.columns().iter().map(|column| col(column.name)).collect();
    let sorted = rows.sort(sort_key(table), SortMultipleOptions::default()).select(columns);
    sorted.collect().map_err(TransformError::polars("compute the windows of the trends"))
}

/// The recent days and this one, each row with its day as days since 1970: one frame, since every window looks at it, and a plan that has each
/// day six times takes longer to make than to run. The recent days are put together before Polars has them, which takes each column of each
/// day one by one.
fn history(totals: &DataFrame, recent: &[Recent], day: Day) -> Result<DataFrame, TransformError> {
    let doing = "put the recent days together";
    let columns = day.measures.recent;
    let schema = day.measures.dataset.trends.schema();
    let named = |name: &&str| schema.index_of(name);
    let named = columns.iter().map(named).collect::<Result<Vec<_>, _>>().map_err(TransformError::arrow(doing))?;
    let schema = Arc::new(schema.project(&named).map_err(TransformError::arrow(doing))?);
    let in_order = |rows: &RecordBatch| {
        let column = |name: &&str| rows.schema_ref().index_of(name).map(|at| Arc::clone(rows.column(at)));
        RecordBatch::try_new(Arc::clone(&schema), columns.iter().map(column).collect::<Result<_, _>>()?)
    };
    let days = recent.iter().map(|of| in_order(&of.trends)).collect::<Result<Vec<_>, _>>();
    let days = days.and_then(|days| concat_batches(&schema, &days)).map_err(TransformError::arrow(doing))?;
    let mut history = to_frame(&schema, &[days])?;
    let numbers = recent.iter().flat_map(|of| repeat_n(of.date.days_since_epoch(), of.trends.num_rows()));
    let numbers = Column::new("day".into(), numbers.collect::<Vec<i32>>());
    let add_this_day = |history: &mut DataFrame| -> PolarsResult<()> {
        history.with_column(numbers)?;
        let mut this = totals.select(columns.iter().copied())?;
        let number = Scalar::from(day.date.days_since_epoch());
        this.with_column(Column::new_scalar("day".into(), number, this.height()))?;
        history.vstack_mut_owned(this).map(drop)
    };
    add_this_day(&mut history).map_err(TransformError::polars(doing))?;
    Ok(history)
}

fn means(window: u32, day: Day) -> Vec<Expr> {
    let measures = day.measures;
    let mean = |rate: &&str| col(*rate).mean().alias(format!("{rate}_mean_{window}d"));
    let mut columns: Vec<Expr> = measures.rates.iter().map(mean).collect();
    columns.push(
        col(measures.count("total")).gt(lit(0)).cast(DataType::Int32).sum().alias(format!("days_observed_{window}d")),
    );
    if REMEDIATION_WINDOWS.contains(&window) {
        columns.push(
            col(measures.count("remediated")).cast(DataType::Int64).sum().alias(format!("remediations_{window}d")),
        );
        columns.push(col("remediation_days").sum().alias(format!("remediation_days_{window}d")));
    }
    columns
}

fn baselines(window: u32, day: Day) -> Vec<Expr> {
    let of = |rate: &&str| col(*rate).alias(format!("{rate}_baseline_{window}d"));
    VALUE.map(col).into_iter().chain(day.measures.rates.iter().map(of)).collect()
}

fn day_lit(day: Option<i32>) -> Expr {
    // No day is before the year 1000, so this one matches no row.
    lit(day.unwrap_or(i32::MIN))
}

fn left_join(rows: LazyFrame, other: LazyFrame) -> LazyFrame {
    rows.join(other, VALUE.map(col), VALUE.map(col), JoinArgs::new(JoinType::Left))
}

//! What looks back: changes, means and remediations over 7, 30 and 90 calendar days that end on the day.

use super::{Recent, TransformError, sort_key};
use crate::bridge::to_frame;
use compline_model::{SnapshotDate, Table, WINDOWS};
use polars::prelude::*;

/// The columns of `compliance_trends` that the recent days are read for.
pub const RECENT_COLUMNS: &[&str] = &[
    "dimension",
    "dimension_value",
    "packs_total",
    "pack_compliance_rate",
    "rule_compliance_rate",
    "packs_remediated",
    "remediation_days",
    "population_since",
];

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
pub(super) fn with_windows(
    totals: DataFrame,
    recent: &[Recent],
    date: SnapshotDate,
) -> Result<DataFrame, TransformError> {
    let history = history(&totals, recent, date)?.lazy();
    let dates: Vec<SnapshotDate> = recent.iter().map(|day| day.date).collect();
    let mut rows = totals.lazy();
    for window in WINDOWS {
        let within = history.clone().filter(col("day").gt(lit(date.minus_days(window).days_since_epoch())));
        rows = left_join(rows, within.group_by(VALUE.map(col)).agg(means(window)));
        let baseline = baseline(date, window, &dates).map(SnapshotDate::days_since_epoch);
        rows =
            left_join(rows, history.clone().filter(col("day").eq_missing(day_lit(baseline))).select(baselines(window)));
        rows = rows.with_columns(["pack_compliance_rate", "rule_compliance_rate"].map(|rate| {
            (col(rate) - col(format!("{rate}_baseline_{window}d"))).alias(format!("{rate}_change_{window}d"))
        }));
    }
    for window in REMEDIATION_WINDOWS {
        let (count, days) = (format!("remediations_{window}d"), format!("remediation_days_{window}d"));
        let mean = format!("mean_days_to_remediate_{window}d");
        let some = col(&count).gt(lit(0));
        let per_pack = col(days).cast(DataType::Float64) / col(&count).cast(DataType::Float64);
        rows = rows.with_columns([when(some).then(per_pack).otherwise(lit(NULL)).alias(mean)]);
    }
    let columns: Vec<Expr> = Table::ComplianceTrends.columns().iter().map(|column| col(column.name)).collect();
    let sorted = rows.sort(sort_key(Table::ComplianceTrends), SortMultipleOptions::default()).select(columns);
    sorted.collect().map_err(TransformError::polars("compute the windows of the trends"))
}

/// The recent days and this one, each row with its day as days since 1970: one frame, since every window looks at it, and a plan that has each
/// day six times takes longer to make than to run.
fn history(totals: &DataFrame, recent: &[Recent], date: SnapshotDate) -> Result<DataFrame, TransformError> {
    let add = |days: &mut DataFrame, rows: &DataFrame, day: SnapshotDate| -> PolarsResult<()> {
        let mut rows = rows.select(RECENT_COLUMNS.iter().copied())?;
        let day = Scalar::from(day.days_since_epoch());
        rows.with_column(Column::new_scalar("day".into(), day, rows.height()))?;
        days.vstack_mut_owned(rows).map(drop)
    };
    let failed = || TransformError::polars("put the recent days together");
    let mut days = DataFrame::empty();
    for Recent { date, compliance_trends: rows } in recent {
        let rows = to_frame(&rows.schema(), std::slice::from_ref(rows))?;
        add(&mut days, &rows, *date).map_err(failed())?;
    }
    add(&mut days, totals, date).map_err(failed())?;
    Ok(days)
}

fn means(window: u32) -> Vec<Expr> {
    let mut columns = vec![
        col("pack_compliance_rate").mean().alias(format!("pack_compliance_rate_mean_{window}d")),
        col("rule_compliance_rate").mean().alias(format!("rule_compliance_rate_mean_{window}d")),
        col("packs_total").gt(lit(0)).cast(DataType::Int32).sum().alias(format!("days_observed_{window}d")),
    ];
    if REMEDIATION_WINDOWS.contains(&window) {
        columns.push(col("packs_remediated").cast(DataType::Int64).sum().alias(format!("remediations_{window}d")));
        columns.push(col("remediation_days").sum().alias(format!("remediation_days_{window}d")));
    }
    columns
}

fn baselines(window: u32) -> [Expr; 4] {
    let of = |rate: &str| col(rate).alias(format!("{rate}_baseline_{window}d"));
    [col("dimension"), col("dimension_value"), of("pack_compliance_rate"), of("rule_compliance_rate")]
}

fn day_lit(day: Option<i32>) -> Expr {
    // No day is before the year 1000, so this one matches no row.
    lit(day.unwrap_or(i32::MIN))
}

fn left_join(rows: LazyFrame, other: LazyFrame) -> LazyFrame {
    rows.join(other, VALUE.map(col), VALUE.map(col), JoinArgs::new(JoinType::Left))
}

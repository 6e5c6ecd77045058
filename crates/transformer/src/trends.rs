//! One day's trends from the state of the day before, the day's snapshot, and the trend rows of the recent days.
//!
//! [`advance`] serves the nightly step and every recompute alike, so the two cannot differ. A day with no snapshot is never
//! passed in: a gap changes no state and nothing is interpolated.

mod measures;
mod moves;
mod parts;
mod totals;
mod windows;

use crate::bridge::{to_batch, to_frame};
use crate::{CheckedSnapshot, TransformError};
use arrow::array::{AsArray, RecordBatch, StringViewArray};
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use measures::Measures;
use polars::prelude::*;
use std::ops::Range;

pub use measures::{recent_columns, snapshot_columns};
pub use windows::recent_needed;

/// The rows that a day's trends are computed from.
#[derive(Debug)]
pub enum SnapshotRows {
    /// Those of a snapshot that has just been collected: columns are made of a part at a time.
    Checked(CheckedSnapshot),
    /// Those of a file, at least the columns of [`snapshot_columns`].
    Read(RecordBatch),
}

impl SnapshotRows {
    /// The account of each row.
    fn accounts(&self) -> Result<StringViewArray, TransformError> {
        const ACCOUNT: &str = "account_id";
        Ok(match self {
            Self::Checked(snapshot) => {
                snapshot.columns(0..snapshot.row_count(), &[ACCOUNT])?[ACCOUNT].as_string_view().clone()
            }
            Self::Read(rows) => rows[ACCOUNT].as_string_view().clone(),
        })
    }

    fn columns(&self, rows: Range<usize>, names: &[&str]) -> Result<RecordBatch, TransformError> {
        match self {
            Self::Checked(snapshot) => snapshot.columns(rows, names),
            Self::Read(all) => Ok(all.slice(rows.start, rows.len())),
        }
    }
}

/// The state that a day starts from: the dataset's status as of the previous snapshot.
#[derive(Debug, Clone)]
pub struct State {
    /// The date of that snapshot.
    pub date: SnapshotDate,
    /// The rows of its status table.
    pub status: RecordBatch,
}

/// The trend rows of one of the recent days, the columns of [`recent_columns`] in any order.
#[derive(Debug, Clone)]
pub struct Recent {
    /// The day.
    pub date: SnapshotDate,
    /// The rows of its trends table.
    pub trends: RecordBatch,
}

/// The trend tables of one aggregator's day.
#[derive(Debug, Clone, PartialEq)]
pub struct Trends {
    /// The events of the day.
    pub changes: RecordBatch,
    /// Totals and rates.
    pub trends: RecordBatch,
    /// The state of the next day.
    pub status: RecordBatch,
}

/// Which day, and since when the aggregator's population has been what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrendDay {
    /// The snapshot date.
    pub date: SnapshotDate,
    /// The first snapshot since the filters last changed; the day itself where there is none before it.
    pub population_since: SnapshotDate,
}

/// The trend tables of a dataset's day. `recent` holds the days that [`recent_needed`] names. What it takes by value it lets go as soon as
/// it can: each is as large as the day.
///
/// # Errors
/// None that an input can cause, since every batch has the schema of its table.
pub fn advance(
    dataset: &'static Dataset,
    aggregator: &AggregatorId,
    day: TrendDay,
    previous: Option<State>,
    snapshot: SnapshotRows,
    recent: &[Recent],
) -> Result<Trends, TransformError> {
    in_parts(parts::PART_ROWS, (dataset, aggregator), day, (previous, snapshot), recent)
}

/// The same in parts of about so many rows, which make no difference to what comes of them.
fn in_parts(
    part_rows: usize,
    (dataset, aggregator): (&'static Dataset, &AggregatorId),
    TrendDay { date, population_since }: TrendDay,
    (previous, snapshot): (Option<State>, SnapshotRows),
    recent: &[Recent],
) -> Result<Trends, TransformError> {
    let doing = "compute the trends";
    let Dataset { changes: changes_table, trends: trends_table, status: status_table, .. } = *dataset;
    let measures = Measures::of(dataset);
    let day = Day { measures, date, previous: previous.as_ref().map(|state| state.date), population_since };
    let before = previous.map_or_else(|| RecordBatch::new_empty(status_table.schema()), |state| state.status);
    let (mut changes, mut statuses, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let [now_ranges, before_ranges] =
        parts::parts(&snapshot.accounts()?, before["account_id"].as_string_view(), part_rows);
    // Each part is let go when it is done: the new state grows as the one before it shrinks.
    for (now, before) in now_ranges.into_iter().zip(parts::split(before, &before_ranges)?) {
        let now = snapshot.columns(now, measures.snapshot)?;
        let now = to_frame(&now.schema(), &[now])?;
        let before = to_frame(&before.schema(), &[before])?;
        // Collected once: the three tables and four dimensions all read it, and the join is the costly part.
        let moves = moves::moves(now.lazy(), before.lazy(), day).collect().map_err(TransformError::polars(doing))?;
        let of_part = moves::changes(moves.clone().lazy(), day).collect().map_err(TransformError::polars(doing))?;
        changes.push(to_batch(&changes_table.schema(), of_part)?);
        let of_part = totals::of_part(&moves.clone().lazy(), aggregator, day).and_then(LazyFrame::collect);
        parts.push(of_part.map_err(TransformError::polars(doing))?.lazy());
        let of_part = moves::statuses(moves.lazy(), day).collect().map_err(TransformError::polars(doing))?;
        statuses.push(to_batch(&status_table.schema(), of_part)?);
    }
    drop(snapshot);
    // Collected as well: the joins of the windows read it seven times, and would compute it each time.
    let totals = totals::totals(parts, day).and_then(LazyFrame::collect).map_err(TransformError::polars(doing))?;
    let trends = windows::with_windows(totals, recent, day)?;
    Ok(Trends {
        changes: parts::one_batch(&changes_table.schema(), changes)?,
        trends: to_batch(&trends_table.schema(), trends)?,
        status: parts::one_batch(&status_table.schema(), statuses)?,
    })
}

/// The day, what is measured of it, and the snapshot before it.
#[derive(Debug, Clone, Copy)]
struct Day {
    measures: &'static Measures,
    date: SnapshotDate,
    previous: Option<SnapshotDate>,
    population_since: SnapshotDate,
}

impl Day {
    fn today(self) -> Expr {
        date_lit(self.date)
    }

    /// The date of the previous snapshot, or null.
    fn previous(self) -> Expr {
        self.previous.map_or_else(|| lit(NULL).cast(DataType::Date), date_lit)
    }
}

fn sort_key(table: Table) -> Vec<PlSmallStr> {
    table.sort_key().iter().map(|name| PlSmallStr::from_static(name)).collect()
}

fn date_lit(date: SnapshotDate) -> Expr {
    lit(date.days_since_epoch()).cast(DataType::Date)
}

/// Whole days from one date column to another.
fn days_between(from: Expr, to: Expr) -> Expr {
    to.cast(DataType::Int32) - from.cast(DataType::Int32)
}

/// `part / whole`, or null where there is nothing to divide by or the API's counts make no rate of 0..1.
fn rate(part: Expr, other: Expr) -> Expr {
    let sound =
        part.clone().gt_eq(lit(0)).and(other.clone().gt_eq(lit(0))).and((part.clone() + other.clone()).gt(lit(0)));
    let part = part.cast(DataType::Float64);
    when(sound).then(part.clone() / (part + other.cast(DataType::Float64))).otherwise(lit(NULL))
}

#[cfg(test)]
mod tests;

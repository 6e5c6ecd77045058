//! One day's trends from the state of the day before, the day's snapshot, and the trend rows of the recent days.
//!
//! [`advance`] serves the nightly step and every recompute alike, so the two cannot differ. A day with no snapshot is never
//! passed in: a gap changes no state and nothing is interpolated.

mod measures;
mod moves;
mod parts;
mod threads;
mod totals;
mod windows;

use crate::TransformError;
use crate::bridge::{to_batch, to_frame, with_own_texts};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use compline_model::{AggregatorId, Dataset, PART_ROWS, RowError, RowSource, SnapshotDate, Table};
use measures::Measures;
use polars::prelude::*;
use std::iter;
use std::sync::Arc;
use threads::OnThisThread;

pub use measures::recent_columns;
pub use windows::recent_needed;

/// The state that a day starts from: the dataset's status as of the previous snapshot.
#[derive(Debug, Clone)]
pub struct State {
    /// The date of that snapshot.
    pub date: SnapshotDate,
    /// The rows of its status table.
    pub status: Arc<dyn RowSource>,
}

/// The trend rows of one of the recent days, the columns of [`recent_columns`] in any order.
#[derive(Debug, Clone)]
pub struct Recent {
    /// The day.
    pub date: SnapshotDate,
    /// The rows of its trends table.
    pub trends: RecordBatch,
}

/// What of the trend tables of one aggregator's day is smaller than the day.
#[derive(Debug, Clone, PartialEq)]
pub struct Trends {
    /// The events of the day.
    pub changes: RecordBatch,
    /// Totals and rates.
    pub trends: RecordBatch,
}

/// Takes the rows of a day's state as they are computed: all columns, in the order of the table, at least one part of them, which may be
/// empty.
pub type TakeStatus<'a> = dyn FnMut(RecordBatch) -> Result<(), RowError> + 'a;

/// Which day, and since when the aggregator's population has been what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrendDay {
    /// The snapshot date.
    pub date: SnapshotDate,
    /// The first snapshot since the filters last changed; the day itself where there is none before it.
    pub population_since: SnapshotDate,
}

/// A day of so few rows is computed sooner by one thread than several take to hand it to each other. Of the recent days, which are only
/// looked at, four times as many are few.
const TOO_FEW_FOR_THREADS: usize = 8 * 1024;

/// The trend tables of a dataset's day. `recent` holds the days that [`recent_needed`] names. The snapshot, the state before it and the
/// new state are as large as the day: no more of each is made at once than a part, which has the rows of one account at least.
///
/// # Errors
/// Rows that cannot be had, or are not taken; none else that an input can cause, since every batch has the schema of its table.
pub fn advance(
    dataset: &'static Dataset,
    aggregator: &AggregatorId,
    day: TrendDay,
    previous: Option<State>,
    snapshot: Box<dyn RowSource>,
    recent: &[Recent],
    status: &mut TakeStatus<'_>,
) -> Result<Trends, TransformError> {
    let before_rows = previous.as_ref().map_or(0, |state| state.status.row_count());
    let recent_rows: usize = recent.iter().map(|day| day.trends.num_rows()).sum();
    let is_small =
        snapshot.row_count().max(before_rows) <= TOO_FEW_FOR_THREADS && recent_rows <= 4 * TOO_FEW_FOR_THREADS;
    let _on_this_thread = is_small.then(OnThisThread::begin);
    in_parts(PART_ROWS, (dataset, aggregator), day, (previous, snapshot), recent, status)
}

/// The same in parts of about so many rows, which make no difference to what comes of them.
fn in_parts(
    part_rows: usize,
    (dataset, aggregator): (&'static Dataset, &AggregatorId),
    TrendDay { date, population_since }: TrendDay,
    (previous, snapshot): (Option<State>, Box<dyn RowSource>),
    recent: &[Recent],
    status: &mut TakeStatus<'_>,
) -> Result<Trends, TransformError> {
    let doing = "compute the trends";
    let Dataset { changes: changes_table, trends: trends_table, status: status_table, .. } = *dataset;
    let measures = Measures::of(dataset);
    let day = Day { measures, date, previous: previous.as_ref().map(|state| state.date), population_since };
    let before =
        previous.map_or_else(|| Arc::new(RecordBatch::new_empty(status_table.schema())) as _, |state| state.status);
    let (mut changes, mut parts) = (Vec::new(), Vec::new());
    let (now_rows, before_rows) = (snapshot.row_count(), before.row_count());
    let [now_ranges, before_ranges] = if now_rows.max(before_rows) <= part_rows {
        [now_rows, before_rows].map(|rows| iter::once(0..rows).collect())
    } else {
        let now_accounts = parts::accounts(&*snapshot).map_err(TransformError::Snapshot)?;
        let before_accounts = parts::accounts(&*before).map_err(TransformError::State)?;
        parts::parts(&now_accounts, &before_accounts, part_rows)
    };
    for (now, before_rows) in now_ranges.into_iter().zip(before_ranges) {
        let now = snapshot.rows(now, Some(measures.snapshot)).map_err(TransformError::Snapshot)?;
        let now = to_frame(&now.schema(), &[now])?;
        let before = before.rows(before_rows, None).map_err(TransformError::State)?;
        let before = to_frame(&before.schema(), &[before])?;
        // Collected once: the three tables and four dimensions all read it, and the join is the costly part.
        let moves = moves::moves(now.lazy(), before.lazy(), day).collect().map_err(TransformError::polars(doing))?;
        let of_part = moves::changes(moves.clone().lazy(), day).collect().map_err(TransformError::polars(doing))?;
        changes.push(with_own_texts(&to_batch(&changes_table.schema(), of_part)?)?);
        let of_part = totals::of_part(&moves.clone().lazy(), aggregator, day).and_then(LazyFrame::collect);
        parts.push(of_part.map_err(TransformError::polars(doing))?.lazy());
        let of_part = moves::statuses(moves.lazy(), day).collect().map_err(TransformError::polars(doing))?;
        status(to_batch(&status_table.schema(), of_part)?).map_err(TransformError::Status)?;
    }
    drop((snapshot, before));
    // Collected as well: the joins of the windows read it seven times, and would compute it each time.
    let totals = totals::totals(parts, day).and_then(LazyFrame::collect).map_err(TransformError::polars(doing))?;
    let trends = windows::with_windows(totals, recent, day)?;
    Ok(Trends {
        changes: concat_batches(&changes_table.schema(), &changes)
            .map_err(TransformError::arrow("put the events of a day together"))?,
        trends: to_batch(&trends_table.schema(), trends)?,
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

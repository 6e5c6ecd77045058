//! Pages to Arrow record batches, checks, and the trend tables, computed with Polars. No I/O, no clock.
//!
//! [`Flattener`] turns the pages of a shard into rows of a dataset's facts; [`check()`] makes one [`CheckedSnapshot`] of the
//! shards of an aggregator; [`advance`] goes from one day's state to the next.

use compline_model::RowError;

mod bridge;
mod check;
mod findings;
mod flatten;
mod loss;
mod reconcile;
mod row_filter;
mod source_status;
mod trends;
mod why;

pub use check::{CheckedSnapshot, check, checked_before};
pub use findings::{Findings, Named};
pub use flatten::{Flattener, ShardRows};
pub use loss::{Extent, Loss};
pub use reconcile::reconcile;
pub use row_filter::{InvalidPattern, Patterns, RowFilter};
pub use source_status::{SourceIndex, source_status, sources_by_status};
pub use trends::{Recent, State, TakeStatus, TrendDay, Trends, advance, recent_columns, recent_needed};

pub use why::{Regressed, WHY_PACK_COLUMNS, WHY_RULE_COLUMNS, Why};

/// A step over columns that failed, or rows that could not be had. Every input has the exact schema of its table, so the former is a defect
/// of Compline or a machine without memory.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// Arrow refused a step.
    #[error("cannot {doing}: {source}; please report it with this message")]
    Arrow {
        /// What was being done.
        doing: &'static str,
        /// What Arrow says.
        source: arrow::error::ArrowError,
    },
    /// Polars refused a step.
    #[error("cannot {doing}: {source}; please report it with this message")]
    Polars {
        /// What was being done.
        doing: &'static str,
        /// What Polars says.
        source: polars::error::PolarsError,
    },
    /// Rows of the snapshot cannot be had.
    #[error(transparent)]
    Snapshot(RowError),
    /// Rows of the state of the day before cannot be had.
    #[error(transparent)]
    State(RowError),
    /// Rows of the new state are not taken.
    #[error(transparent)]
    Status(RowError),
}

impl TransformError {
    pub(crate) fn arrow(doing: &'static str) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        move |source| Self::Arrow { doing, source }
    }

    pub(crate) fn polars(doing: &'static str) -> impl FnOnce(polars::error::PolarsError) -> Self {
        move |source| Self::Polars { doing, source }
    }
}

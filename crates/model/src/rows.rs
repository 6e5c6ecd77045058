//! Rows of a table that are had some at a time: of a large day there need not be all of them at once.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use std::error::Error;
use std::fmt::Debug;
use std::ops::Range;

/// Rows that are worked through at once: a few megabytes, and few enough times that starting each costs nothing.
pub const PART_ROWS: usize = 64 * 1024;

/// Rows of a table in the order of its key, wherever they are.
pub trait RowSource: Debug + Send + Sync {
    /// How many rows there are.
    fn row_count(&self) -> usize;

    /// Some of them: all columns, or the named ones, in the order of the table.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn rows(&self, range: Range<usize>, columns: Option<&[&str]>) -> Result<RecordBatch, RowError>;
}

/// Why rows cannot be had: an error of whoever has them.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RowError(Box<dyn Error + Send + Sync>);

impl RowError {
    /// That of an error.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    /// The error, if it is of this kind.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The same, by value.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn downcast<E: Error + 'static>(self) -> Result<E, Self> {
        self.0.downcast().map(|error| *error).map_err(Self)
    }
}

impl RowSource for RecordBatch {
    fn row_count(&self) -> usize {
        self.num_rows()
    }

    fn rows(&self, range: Range<usize>, columns: Option<&[&str]>) -> Result<RecordBatch, RowError> {
        let rows = self.slice(range.start, range.len());
        rows.project(&named_columns(&self.schema(), columns)).map_err(RowError::new)
    }
}

/// Where the named columns are in a schema, or all of them; a name that it does not have is passed over.
pub fn named_columns(schema: &Schema, names: Option<&[&str]>) -> Vec<usize> {
    let is_wanted = |at: &usize| names.is_none_or(|names| names.contains(&schema.field(*at).name().as_str()));
    (0..schema.fields().len()).filter(is_wanted).collect()
}

/// All of the rows one part of [`PART_ROWS`] after the other, none empty.
pub fn row_parts<'a>(
    rows: &'a dyn RowSource,
    columns: Option<&'a [&'a str]>,
) -> impl Iterator<Item = Result<RecordBatch, RowError>> + 'a {
    let count = rows.row_count();
    (0..count).step_by(PART_ROWS).map(move |first| rows.rows(first..count.min(first + PART_ROWS), columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int32Array};
    use arrow::datatypes::Int32Type;
    use std::sync::Arc;

    #[test]
    fn parts_have_each_row_once_in_order_and_the_named_columns() {
        for count in [0, 1, PART_ROWS, 2 * PART_ROWS + 1] {
            let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..i32::try_from(count).expect("few")));
            let rows = RecordBatch::try_from_iter([("a", numbers.clone()), ("b", numbers)]).expect("rows");
            let parts: Vec<RecordBatch> = row_parts(&rows, Some(&["b"])).map(|part| part.expect("rows")).collect();
            assert!(parts.iter().all(|part| part.num_columns() == 1 && (1..=PART_ROWS).contains(&part.num_rows())));
            let read: Vec<i32> =
                parts.iter().flat_map(|part| part["b"].as_primitive::<Int32Type>().values().to_vec()).collect();
            assert!(read.into_iter().eq(0..i32::try_from(count).expect("few")));
        }
    }
}

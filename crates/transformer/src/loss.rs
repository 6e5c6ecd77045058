//! What a snapshot has lost against the one before it.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use compline_model::{RowError, RowSource, row_parts};
use std::collections::HashSet;

/// What a loss is told from: of the facts, or of a state, which has what is gone as well.
const COLUMNS: &[&str] = &[ACCOUNT, REGION, IS_PRESENT];
const ACCOUNT: &str = "account_id";
const REGION: &str = "aws_region";
const IS_PRESENT: &str = "is_present";

/// Shares lost, 0 to 1 each: of the rows (net), of the accounts and of the regions that were there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loss {
    /// Rows fewer than before.
    pub rows: f64,
    /// Accounts that are gone.
    pub accounts: f64,
    /// Regions that are gone.
    pub regions: f64,
}

impl Loss {
    /// What `now` has lost against `before`.
    pub fn of(before: &Extent, now: &Extent) -> Self {
        let gone =
            |before: &HashSet<String>, now: &HashSet<String>| share(before.difference(now).count(), before.len());
        Self {
            rows: share(before.rows.saturating_sub(now.rows), before.rows),
            accounts: gone(&before.accounts, &now.accounts),
            regions: gone(&before.regions, &now.regions),
        }
    }

    /// The largest of the three.
    pub fn largest(self) -> f64 {
        self.rows.max(self.accounts).max(self.regions)
    }
}

/// How far a day goes: its rows, accounts and regions.
#[derive(Debug, Default)]
pub struct Extent {
    rows: usize,
    accounts: HashSet<String>,
    regions: HashSet<String>,
}

impl Extent {
    /// That of the facts of a day, or of its state.
    ///
    /// # Errors
    /// Rows that cannot be had.
    pub fn of(rows: &dyn RowSource) -> Result<Self, RowError> {
        let mut extent = Self::default();
        for rows in row_parts(rows, Some(COLUMNS)) {
            let mut rows = rows?;
            if let Some(is_present) = rows.column_by_name(IS_PRESENT) {
                rows = filter_record_batch(&rows, is_present.as_boolean()).map_err(RowError::new)?;
            }
            extent.rows += rows.num_rows();
            add(&rows, ACCOUNT, &mut extent.accounts);
            add(&rows, REGION, &mut extent.regions);
        }
        Ok(extent)
    }
}

fn add(rows: &RecordBatch, name: &str, values: &mut HashSet<String>) {
    let mut last = None;
    for value in rows[name].as_string_view().iter().flatten() {
        // Rows are sorted: most are like the one before, which costs less to see than to look up.
        if last != Some(value) && !values.contains(value) {
            values.insert(value.to_owned());
        }
        last = Some(value);
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringViewArray};
    use std::sync::Arc;

    fn extent(of: &[(&str, &str)]) -> Extent {
        let column = |values: Vec<&str>| -> ArrayRef { Arc::new(StringViewArray::from(values)) };
        let (accounts, regions) = of.iter().copied().unzip();
        let rows = RecordBatch::try_from_iter([(ACCOUNT, column(accounts)), (REGION, column(regions))]).expect("rows");
        Extent::of(&rows).expect("rows")
    }

    #[test]
    fn a_loss_is_told_by_rows_by_accounts_and_by_regions() {
        let before = extent(&[("1", "a"), ("1", "b"), ("2", "a"), ("2", "b")]);
        let loss = |now: &[(&str, &str)]| {
            let loss = Loss::of(&before, &extent(now));
            (loss.rows, loss.accounts, loss.regions)
        };
        assert_eq!(loss(&[("1", "a"), ("1", "b"), ("2", "a"), ("2", "b"), ("3", "c")]), (0.0, 0.0, 0.0));
        assert_eq!(loss(&[("1", "a"), ("2", "b")]), (0.5, 0.0, 0.0));
        assert_eq!(loss(&[("1", "a"), ("1", "b"), ("3", "a"), ("3", "b")]), (0.0, 0.5, 0.0), "others in their place");
        assert_eq!(loss(&[("1", "a"), ("2", "a"), ("3", "a"), ("4", "a")]), (0.0, 0.0, 0.5));
        assert_eq!(loss(&[]), (1.0, 1.0, 1.0));
        assert_eq!(Loss::of(&extent(&[]), &before), Loss::default(), "there was nothing to lose");
    }
}

//! What a snapshot has lost against the one before it.

use arrow::array::{AsArray, RecordBatch};
use std::collections::HashSet;

/// The columns of `pack_compliance` that a loss is told from.
pub const LOSS_COLUMNS: &[&str] = &["account_id", "aws_region"];

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
    /// What `now` has lost against `before`; both have at least [`LOSS_COLUMNS`].
    pub fn of(before: &RecordBatch, now: &RecordBatch) -> Self {
        let fewer = before.num_rows().saturating_sub(now.num_rows());
        let [accounts, regions] = ["account_id", "aws_region"].map(|name| {
            let (before, now) = (values(before, name), values(now, name));
            share(before.difference(&now).count(), before.len())
        });
        Self { rows: share(fewer, before.num_rows()), accounts, regions }
    }

    /// The largest of the three.
    pub fn largest(self) -> f64 {
        self.rows.max(self.accounts).max(self.regions)
    }
}

fn values<'a>(rows: &'a RecordBatch, name: &str) -> HashSet<&'a str> {
    let mut values = HashSet::new();
    let mut last = None;
    for value in rows[name].as_string_view().iter().flatten() {
        // Rows are sorted: most are like the one before, which costs less to see than to look up.
        if last != Some(value) {
            values.insert(value);
        }
        last = Some(value);
    }
    values
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringViewArray};
    use std::sync::Arc;

    fn rows(of: &[(&str, &str)]) -> RecordBatch {
        let column = |values: Vec<&str>| -> ArrayRef { Arc::new(StringViewArray::from(values)) };
        let (accounts, regions) = of.iter().copied().unzip();
        RecordBatch::try_from_iter([("account_id", column(accounts)), ("aws_region", column(regions))]).expect("rows")
    }

    #[test]
    fn a_loss_is_told_by_rows_by_accounts_and_by_regions() {
        let before = rows(&[("1", "a"), ("1", "b"), ("2", "a"), ("2", "b")]);
        let loss = |now: &[(&str, &str)]| {
            let loss = Loss::of(&before, &rows(now));
            (loss.rows, loss.accounts, loss.regions)
        };
        assert_eq!(loss(&[("1", "a"), ("1", "b"), ("2", "a"), ("2", "b"), ("3", "c")]), (0.0, 0.0, 0.0));
        assert_eq!(loss(&[("1", "a"), ("2", "b")]), (0.5, 0.0, 0.0));
        assert_eq!(loss(&[("1", "a"), ("1", "b"), ("3", "a"), ("3", "b")]), (0.0, 0.5, 0.0), "others in their place");
        assert_eq!(loss(&[("1", "a"), ("2", "a"), ("3", "a"), ("4", "a")]), (0.0, 0.0, 0.5));
        assert_eq!(loss(&[]), (1.0, 1.0, 1.0));
        assert_eq!(Loss::of(&rows(&[]), &before), Loss::default(), "there was nothing to lose");
    }
}

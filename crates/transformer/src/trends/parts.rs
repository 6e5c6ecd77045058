//! A day in parts of some accounts each: what is computed of a pack depends on no other pack, and so a large day need not be joined
//! with the state of the day before all at once.

use arrow::array::AsArray;
use compline_model::{RowError, RowSource, row_parts};
use std::ops::Range;

/// The accounts of rows in their order, and how many rows each has there.
pub(super) type Accounts = Vec<(String, usize)>;

/// The accounts of a day's rows.
pub(super) fn accounts(rows: &dyn RowSource) -> Result<Accounts, RowError> {
    const ACCOUNT: &str = "account_id";
    let mut accounts = Accounts::new();
    for rows in row_parts(rows, Some(&[ACCOUNT])) {
        for account in rows?[ACCOUNT].as_string_view().iter() {
            let account = account.unwrap_or_default();
            match accounts.last_mut() {
                Some((last, rows)) if last == account => *rows += 1,
                _ => accounts.push((account.to_owned(), 1)),
            }
        }
    }
    Ok(accounts)
}

/// Which rows of a snapshot, and which of the state before it, by the accounts of each, are a part: the same accounts, in their order. A part
/// has about so many rows of the longer of the two.
pub(super) fn parts(now: &Accounts, before: &Accounts, part_rows: usize) -> [Vec<Range<usize>>; 2] {
    let longer = if rows(now) >= rows(before) { now } else { before };
    let (mut bounds, mut row): (Vec<&str>, usize) = (Vec::new(), 0);
    for (account, rows) in longer {
        // Whether one of its rows is the first of a part.
        let is_bound = row.div_ceil(part_rows).max(1) * part_rows < row + rows;
        bounds.extend(is_bound.then_some(account.as_str()));
        row += rows;
    }
    // Files of Compline are sorted. Of one that is not, all rows are one part.
    if !(is_sorted(now) && is_sorted(before)) {
        bounds.clear();
    }
    [now, before].map(|accounts| ranges(accounts, &bounds))
}

fn rows(accounts: &Accounts) -> usize {
    accounts.iter().map(|(_, rows)| rows).sum()
}

fn is_sorted(accounts: &Accounts) -> bool {
    accounts.is_sorted_by(|(one, _), (next, _)| one < next)
}

/// The rows before the first bound, those from each bound to the next, and those from the last on.
fn ranges(accounts: &Accounts, bounds: &[&str]) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let (mut row, mut bounds) = (0, bounds.iter().peekable());
    for (account, rows) in accounts {
        while bounds.next_if(|bound| ***bound <= **account).is_some() {
            starts.push(row);
        }
        row += rows;
    }
    starts.extend(bounds.map(|_| row));
    let ends = starts.iter().copied().skip(1).chain([row]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{RecordBatch, StringViewArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn batch(of: &[u32]) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("account_id", DataType::Utf8View, false)]);
        let column: StringViewArray = of.iter().map(|account| Some(format!("{account:012}"))).collect();
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)]).expect("rows")
    }

    fn accounts_of(of: &[u32]) -> Accounts {
        accounts(&batch(of)).expect("rows")
    }

    proptest! {
        #[test]
        fn no_account_is_in_two_parts_and_together_they_are_what_there_was(
            mut now in prop::collection::vec(0_u32..20, 0..60),
            mut before in prop::collection::vec(0_u32..20, 0..60),
            part_rows in 1_usize..20,
        ) {
            now.sort_unstable();
            before.sort_unstable();
            let longest = now.len().max(before.len());
            let sides = [now, before];
            let ranges = parts(&accounts_of(&sides[0]), &accounts_of(&sides[1]), part_rows);
            prop_assert!(!ranges[0].is_empty() && ranges[0].len() == ranges[1].len());
            prop_assert!(ranges[0].len() <= longest.div_ceil(part_rows).max(1));
            for (side, ranges) in sides.iter().zip(&ranges) {
                prop_assert!(ranges.iter().cloned().flatten().eq(0..side.len()));
            }
            let values = |part: usize| [0, 1].map(|side| &sides[side][ranges[side][part].clone()]).concat();
            for part in 1..ranges[0].len() {
                let last = (0..part).flat_map(values).max();
                prop_assert!(last.is_none() || values(part).into_iter().min().is_none_or(|first| last < Some(first)));
            }
            // No part of the longer side is larger than one of its accounts makes it.
            let longer = usize::from(sides[0].len() < sides[1].len());
            for range in &ranges[longer] {
                let most = sides[longer][range.clone()].chunk_by(|a, b| a == b).map(<[u32]>::len).max();
                prop_assert!(range.len() < part_rows + most.unwrap_or_default().max(1), "{range:?}");
            }
        }
    }

    #[test]
    fn rows_that_are_not_sorted_are_one_part() {
        let (sorted, not) = (accounts_of(&[1, 2, 3, 4]), accounts_of(&[1, 3, 2, 4]));
        assert_eq!(parts(&sorted, &sorted, 1).map(|ranges| ranges.len()), [4, 4]);
        assert_eq!(parts(&sorted, &not, 1).map(|ranges| (ranges.len(), ranges[0].clone())), [(1, 0..4), (1, 0..4)]);
        let twice = accounts_of(&[1, 2, 1]);
        let ranges = parts(&twice, &sorted, 1).map(|ranges| (ranges.len(), ranges[0].clone()));
        assert_eq!(ranges, [(1, 0..3), (1, 0..4)]);
    }
}

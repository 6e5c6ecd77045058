//! A day in parts of some accounts each: what is computed of a pack depends on no other pack, and so a large day need not be joined
//! with the state of the day before all at once.

use crate::TransformError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use std::ops::Range;

/// Rows of a part, about: its joins then work on a few megabytes, and there are few enough that starting each costs nothing.
pub(super) const PART_ROWS: usize = 128 * 1024;

/// The rows of the snapshot and of the state before it, each part with the same accounts, in the order of the accounts.
pub(super) fn parts(now: &RecordBatch, before: &RecordBatch, part_rows: usize) -> Vec<(RecordBatch, RecordBatch)> {
    let accounts = [now, before].map(|rows| rows["account_id"].as_string_view());
    let longer = if now.num_rows() >= before.num_rows() { accounts[0] } else { accounts[1] };
    let mut bounds: Vec<&str> =
        (1..longer.len().div_ceil(part_rows)).map(|part| longer.value(part * part_rows)).collect();
    bounds.dedup();
    // Files of Compline are sorted. Of one that is not, all rows are one part.
    if !accounts.iter().all(|accounts| is_sorted(accounts)) {
        bounds.clear();
    }
    let (now_ranges, before_ranges) = (ranges(accounts[0], &bounds), ranges(accounts[1], &bounds));
    let slice = |rows: &RecordBatch, range: Range<usize>| rows.slice(range.start, range.len());
    now_ranges.into_iter().zip(before_ranges).map(|(a, b)| (slice(now, a), slice(before, b))).collect()
}

fn is_sorted(texts: &StringViewArray) -> bool {
    (1..texts.len()).all(|row| texts.value(row - 1) <= texts.value(row))
}

/// The rows before the first bound, those from each bound to the next, and those from the last on.
fn ranges(accounts: &StringViewArray, bounds: &[&str]) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    for bound in bounds {
        let (mut low, mut high) = (starts.last().copied().unwrap_or_default(), accounts.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if accounts.value(middle) < *bound { low = middle + 1 } else { high = middle }
        }
        starts.push(low);
    }
    let ends = starts.iter().copied().skip(1).chain([accounts.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// The parts' rows one after the other. Each part is let go as it is taken, a column at a time.
pub(super) fn one_batch(schema: &SchemaRef, parts: Vec<RecordBatch>) -> Result<RecordBatch, TransformError> {
    let doing = "put the parts of a day together";
    if let [only] = &parts[..] {
        return Ok(only.clone());
    }
    let mut parts: Vec<_> = parts.into_iter().map(|part| part.columns().to_vec().into_iter()).collect();
    let mut column = |_| -> Result<ArrayRef, TransformError> {
        let arrays: Vec<ArrayRef> = parts.iter_mut().filter_map(Iterator::next).collect();
        concat(&arrays.iter().map(|array| &**array).collect::<Vec<&dyn Array>>()).map_err(TransformError::arrow(doing))
    };
    let columns = (0..schema.fields().len()).map(&mut column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(TransformError::arrow(doing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn rows(accounts: &[u32]) -> RecordBatch {
        let accounts: StringViewArray = accounts.iter().map(|account| Some(format!("{account:012}"))).collect();
        let schema = Schema::new(vec![Field::new("account_id", DataType::Utf8View, false)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(accounts)]).expect("rows")
    }

    fn accounts(rows: &RecordBatch) -> Vec<String> {
        rows["account_id"].as_string_view().iter().flatten().map(str::to_owned).collect()
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
            let (now, before) = (rows(&now), rows(&before));
            let parts = parts(&now, &before, part_rows);
            prop_assert!(!parts.is_empty());
            for pair in parts.windows(2) {
                let last = |rows: &RecordBatch| accounts(rows).last().cloned();
                let first = |rows: &RecordBatch| accounts(rows).first().cloned();
                for one in [&pair[0].0, &pair[0].1] {
                    for other in [&pair[1].0, &pair[1].1] {
                        prop_assert!(last(one).is_none() || first(other).is_none_or(|first| last(one) < Some(first)));
                    }
                }
            }
            let (of_now, of_before): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            prop_assert_eq!(one_batch(&now.schema(), of_now).expect("rows"), now);
            prop_assert_eq!(one_batch(&before.schema(), of_before).expect("rows"), before);
        }
    }

    #[test]
    fn rows_that_are_not_sorted_are_one_part() {
        let (sorted, not) = (rows(&[1, 2, 3, 4]), rows(&[1, 3, 2, 4]));
        assert_eq!(parts(&sorted, &sorted, 1).len(), 4);
        assert_eq!(parts(&sorted, &not, 1), [(sorted, not)]);
    }
}

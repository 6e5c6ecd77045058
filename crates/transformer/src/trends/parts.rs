//! A day in parts of some accounts each: what is computed of a pack depends on no other pack, and so a large day need not be joined
//! with the state of the day before all at once.

use crate::TransformError;
use arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray, UInt64Array};
use arrow::compute::{concat, take};
use arrow::datatypes::SchemaRef;
use std::ops::Range;

/// Rows of a part, about: its joins then work on a few megabytes, and there are few enough that starting each costs nothing.
pub(super) const PART_ROWS: usize = 64 * 1024;

/// Which rows of a snapshot, and which of the state before it, by the account of each, are a part: the same accounts, in their order.
pub(super) fn parts(now: &StringViewArray, before: &StringViewArray, part_rows: usize) -> [Vec<Range<usize>>; 2] {
    let longer = if now.len() >= before.len() { now } else { before };
    let mut bounds: Vec<&str> =
        (1..longer.len().div_ceil(part_rows)).map(|part| longer.value(part * part_rows)).collect();
    bounds.dedup();
    // Files of Compline are sorted. Of one that is not, all rows are one part.
    if !(is_sorted(now) && is_sorted(before)) {
        bounds.clear();
    }
    [now, before].map(|accounts| ranges(accounts, &bounds))
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

/// The rows of these ranges, each with values of its own, a column at a time: when a range is let go, its values are. Long texts stay where
/// they are, shared.
pub(super) fn split(rows: RecordBatch, ranges: &[Range<usize>]) -> Result<Vec<RecordBatch>, TransformError> {
    let doing = "split a day into parts";
    if ranges.len() < 2 {
        return Ok(vec![rows]);
    }
    let (schema, columns, _) = rows.into_parts();
    let mut parts = vec![Vec::with_capacity(columns.len()); ranges.len()];
    for column in columns {
        for (part, range) in parts.iter_mut().zip(ranges) {
            let (first, end) = (range.start as u64, range.end as u64);
            let rows = UInt64Array::from_iter_values(first..end);
            part.push(take(&column, &rows, None).map_err(TransformError::arrow(doing))?);
        }
    }
    let batch = |columns| RecordBatch::try_new(schema.clone(), columns).map_err(TransformError::arrow(doing));
    parts.into_iter().map(batch).collect()
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
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Schema};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn rows(accounts: &[u32]) -> StringViewArray {
        accounts.iter().map(|account| Some(format!("{account:012}"))).collect()
    }

    fn batch(accounts: &StringViewArray, rows: &Range<usize>) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("account_id", DataType::Utf8View, false)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(accounts.slice(rows.start, rows.len()))]).expect("rows")
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
            let sides = [rows(&now), rows(&before)];
            let ranges = parts(&sides[0], &sides[1], part_rows);
            prop_assert!(!ranges[0].is_empty() && ranges[0].len() == ranges[1].len());
            let parts: Vec<[RecordBatch; 2]> = ranges[0]
                .iter()
                .zip(&ranges[1])
                .map(|(now, before)| [batch(&sides[0], now), batch(&sides[1], before)])
                .collect();
            let accounts = |rows: &RecordBatch| -> Vec<String> {
                rows["account_id"].as_string_view().iter().flatten().map(str::to_owned).collect()
            };
            for pair in parts.windows(2) {
                for (one, other) in pair[0].iter().flat_map(|one| pair[1].iter().map(move |other| (one, other))) {
                    let (last, first) = (accounts(one).last().cloned(), accounts(other).first().cloned());
                    prop_assert!(last.is_none() || first.is_none_or(|first| last < Some(first)));
                }
            }
            for (side, all) in sides.iter().enumerate() {
                let whole = batch(all, &(0..all.len()));
                let of_side: Vec<RecordBatch> = parts.iter().map(|part| part[side].clone()).collect();
                prop_assert_eq!(&split(whole.clone(), &ranges[side]).expect("parts"), &of_side);
                prop_assert_eq!(one_batch(&whole.schema(), of_side).expect("rows"), whole);
            }
        }
    }

    #[test]
    fn rows_that_are_not_sorted_are_one_part() {
        let (sorted, not) = (rows(&[1, 2, 3, 4]), rows(&[1, 3, 2, 4]));
        assert_eq!(parts(&sorted, &sorted, 1).map(|ranges| ranges.len()), [4, 4]);
        assert_eq!(parts(&sorted, &not, 1).map(|ranges| (ranges.len(), ranges[0].clone())), [(1, 0..4), (1, 0..4)]);
    }
}

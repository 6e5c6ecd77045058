//! A snapshot against AWS Config's own count of packs.

use crate::Named;
use arrow::array::{AsArray, RecordBatch};
use compline_model::{ComplianceType, PackCounts, RowError, RowSource, row_parts};
use std::collections::BTreeMap;
use std::mem;

/// The columns of a snapshot that are counted.
const COLUMNS: &[&str] = &["account_id", "compliance_type"];

/// The accounts whose packs are not as many as AWS Config counts them, if all of them together differ by more than
/// `tolerance`, a share of all packs counted: a pack may change while a night is reading.
///
/// # Errors
/// Rows that cannot be had.
pub fn reconcile(
    rows: &dyn RowSource,
    counted: &BTreeMap<String, PackCounts>,
    tolerance: f64,
) -> Result<Named, RowError> {
    let mut found = BTreeMap::new();
    for rows in row_parts(rows, Some(COLUMNS)) {
        count(&rows?, &mut found);
    }
    let none = PackCounts::default();
    let mut differing = Named::default();
    // As shares they need no more than a float has, and what a broken answer counts does not overflow one.
    let mut difference = 0.0;
    for account in found.keys().chain(counted.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (ours, theirs) = (found.get(account).unwrap_or(&none), counted.get(account).unwrap_or(&none));
        if ours != theirs {
            difference += ours.compliant.abs_diff(theirs.compliant) as f64;
            difference += ours.non_compliant.abs_diff(theirs.non_compliant) as f64;
            differing.add(|| {
                format!(
                    "{account}: {} compliant and {} non-compliant packs, AWS Config counts {} and {}",
                    ours.compliant, ours.non_compliant, theirs.compliant, theirs.non_compliant
                )
            });
        }
    }
    let all: f64 = counted.values().map(|counts| counts.compliant as f64 + counts.non_compliant as f64).sum();
    Ok(if difference <= tolerance * all.max(1.0) { Named::default() } else { differing })
}

/// Adds the packs of some rows to those of their accounts.
fn count(rows: &RecordBatch, counts: &mut BTreeMap<String, PackCounts>) {
    let (mut account, mut of_account) = ("", PackCounts::default());
    // Rows are sorted: those of an account follow each other, and are added as one.
    let mut add = |account: &str, of_account: &mut PackCounts| {
        let PackCounts { compliant, non_compliant } = mem::take(of_account);
        if compliant + non_compliant > 0 {
            let counts = counts.entry(account.to_owned()).or_default();
            counts.compliant += compliant;
            counts.non_compliant += non_compliant;
        }
    };
    let types = rows["compliance_type"].as_string_view().iter();
    for (of_row, kind) in rows["account_id"].as_string_view().iter().zip(types) {
        let Some(of_row) = of_row else { continue };
        if of_row != account {
            add(mem::replace(&mut account, of_row), &mut of_account);
        }
        match kind.and_then(ComplianceType::parse) {
            Some(ComplianceType::Compliant) => of_account.compliant += 1,
            Some(ComplianceType::NonCompliant) => of_account.non_compliant += 1,
            Some(ComplianceType::InsufficientData) | None => {}
        }
    }
    add(account, &mut of_account);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringViewArray};
    use std::sync::Arc;

    fn rows(of: &[(&str, Option<&str>)]) -> RecordBatch {
        let (accounts, types): (Vec<&str>, Vec<Option<&str>>) = of.iter().copied().unzip();
        let accounts: ArrayRef = Arc::new(StringViewArray::from(accounts));
        let types: ArrayRef = Arc::new(StringViewArray::from(types));
        RecordBatch::try_from_iter_with_nullable([("account_id", accounts, false), ("compliance_type", types, true)])
            .expect("rows")
    }

    fn counted(of: &[(&str, i64, i64)]) -> BTreeMap<String, PackCounts> {
        let counts = |&(account, compliant, non_compliant): &(&str, i64, i64)| {
            (account.to_owned(), PackCounts { compliant, non_compliant })
        };
        of.iter().map(counts).collect()
    }

    fn reconciled(rows: &RecordBatch, counted: &BTreeMap<String, PackCounts>, tolerance: f64) -> Named {
        reconcile(rows, counted, tolerance).expect("rows")
    }

    #[test]
    fn b27_accounts_that_differ_are_named_in_both_directions_beyond_the_tolerance() {
        let ours =
            [("1", Some("COMPLIANT")), ("1", Some("NON_COMPLIANT")), ("1", Some("INSUFFICIENT_DATA")), ("2", None)];
        assert_eq!(reconciled(&rows(&ours), &counted(&[("1", 1, 1)]), 0.0), Named::default());
        let found = reconciled(&rows(&ours), &counted(&[("1", 2, 1), ("3", 0, 4)]), 0.1);
        assert_eq!(
            found.first,
            [
                "1: 1 compliant and 1 non-compliant packs, AWS Config counts 2 and 1",
                "3: 0 compliant and 0 non-compliant packs, AWS Config counts 0 and 4",
            ]
        );
        assert_eq!(reconciled(&rows(&ours), &counted(&[("1", 2, 1), ("3", 0, 4)]), 0.8).count, 0, "5 of 7 differ");
        assert_eq!(reconciled(&rows(&ours), &counted(&[]), 0.0).count, 1, "one account that AWS Config does not count");
    }

    #[test]
    fn counts_at_the_ends_of_their_range_differ_and_do_not_overflow() {
        for (compliant, non_compliant) in [(i64::MAX, i64::MAX), (i64::MIN, i64::MIN), (i64::MAX, 1)] {
            let counted = counted(&[("1", compliant, non_compliant), ("2", compliant, non_compliant)]);
            assert_eq!(reconciled(&rows(&[("1", Some("COMPLIANT"))]), &counted, 0.01).count, 2, "{compliant}");
        }
    }
}

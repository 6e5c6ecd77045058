//! Rows that contradict themselves. They are kept as AWS Config said them: a day is not ours to correct.

use super::Answer;
use crate::Named;
use crate::flatten::Counts;
use arrow::array::{Array, AsArray, Int32Array, RecordBatch};
use arrow::datatypes::Int32Type;
use compline_model::ComplianceType;

/// Adds every answer that contradicts itself, by the name of its pack.
pub(super) fn find<'a, N: FnOnce() -> String>(answers: impl Iterator<Item = (Answer<'a>, N)>, warnings: &mut Named) {
    for (Answer { compliance_type, counts: Counts { compliant, non_compliant, total } }, name) in answers {
        if let Some(words) = contradiction(compliance_type, [compliant, non_compliant, total]) {
            warnings.add(|| format!("{}: {words}", name()));
        }
    }
}

/// The answers that rows of `pack_compliance` are.
pub(super) fn answers(rows: &RecordBatch) -> impl Iterator<Item = (Answer<'_>, impl FnOnce() -> String)> {
    let types = rows["compliance_type"].as_string_view();
    let [compliant, non_compliant, total] = ["compliant_rule_count", "non_compliant_rule_count", "total_rule_count"]
        .map(|name| rows[name].as_primitive::<Int32Type>());
    let value = |column: &Int32Array, row: usize| (!column.is_null(row)).then(|| column.value(row));
    (0..rows.num_rows()).map(move |row| {
        let compliance_type = (!types.is_null(row)).then(|| types.value(row));
        let [compliant, non_compliant, total] = [compliant, non_compliant, total].map(|column| value(column, row));
        (Answer { compliance_type, counts: Counts { compliant, non_compliant, total } }, move || pack_name(rows, row))
    })
}

/// The pack of a row, as it is named to people.
fn pack_name(rows: &RecordBatch, row: usize) -> String {
    let text = |name: &str| rows[name].as_string_view().value(row).escape_debug().to_string();
    format!("{} {} {}", text("account_id"), text("aws_region"), text("conformance_pack_name"))
}

fn contradiction(kind: Option<&str>, counts: [Option<i32>; 3]) -> Option<String> {
    let Some(kind) = kind else { return Some("no compliance type".to_owned()) };
    let Some(known) = ComplianceType::parse(kind) else {
        return Some(format!("compliance type {:?} is not known", kind.chars().take(80).collect::<String>()));
    };
    let [Some(compliant), Some(non_compliant), Some(total)] = counts else {
        return Some(format!("{known} without all of its counts"));
    };
    if compliant < 0 || non_compliant < 0 || total < 0 {
        return Some(format!("a negative count ({compliant} compliant, {non_compliant} non-compliant, {total} rules)"));
    }
    if i64::from(compliant) + i64::from(non_compliant) > i64::from(total) {
        return Some(format!("{compliant} compliant and {non_compliant} non-compliant of {total} rules"));
    }
    let fits = match known {
        ComplianceType::Compliant => non_compliant == 0 && (compliant > 0 || total == 0),
        ComplianceType::NonCompliant => non_compliant > 0,
        ComplianceType::InsufficientData => compliant == 0 && non_compliant == 0,
    };
    (!fits).then(|| format!("{known} with {compliant} compliant and {non_compliant} non-compliant of {total} rules"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compliant: i32, non_compliant: i32, total: i32) -> [Option<i32>; 3] {
        [Some(compliant), Some(non_compliant), Some(total)]
    }

    #[test]
    fn b20_sound_rows_pass_those_with_insufficient_data_beside_compliant_rules_too() {
        for (kind, counts) in [
            ("COMPLIANT", counts(3, 0, 10)),
            ("COMPLIANT", counts(0, 0, 0)),
            ("NON_COMPLIANT", counts(3, 1, 10)),
            ("INSUFFICIENT_DATA", counts(0, 0, 5)),
            ("INSUFFICIENT_DATA", counts(0, 0, 0)),
        ] {
            assert_eq!(contradiction(Some(kind), counts), None, "{kind} {counts:?}");
        }
    }

    #[test]
    fn b20_b21_b22_what_contradicts_itself_is_named() {
        for (kind, counts, words) in [
            (Some("COMPLIANT"), counts(3, 1, 4), "COMPLIANT with"),
            (Some("COMPLIANT"), counts(0, 0, 4), "COMPLIANT with"),
            (Some("NON_COMPLIANT"), counts(3, 0, 4), "NON_COMPLIANT with"),
            (Some("INSUFFICIENT_DATA"), counts(1, 0, 4), "INSUFFICIENT_DATA with"),
            (Some("COMPLIANT"), counts(3, 0, 2), "of 2 rules"),
            (Some("COMPLIANT"), counts(i32::MAX, i32::MAX, 2), "of 2 rules"),
            (Some("COMPLIANT"), counts(-1, 0, 2), "a negative count"),
            (Some("COMPLIANT"), [None; 3], "without all of its counts"),
            (None, [None; 3], "no compliance type"),
            (Some("compliant"), counts(1, 0, 1), "not known"),
            (Some(""), counts(1, 0, 1), "not known"),
        ] {
            let found = contradiction(kind, counts).unwrap_or_default();
            assert!(found.contains(words), "{kind:?} {counts:?}: {found:?}");
        }
    }
}

//! Rows that contradict themselves. They are kept as AWS Config said them: a day is not ours to correct.

use super::{Answer, Said};
use crate::Named;
use crate::flatten::{Contributors, Counts};
use arrow::array::{Array, AsArray, Int32Array, RecordBatch};
use arrow::datatypes::Int32Type;
use compline_model::{ComplianceType, Dataset};

/// Adds every answer that contradicts itself, by the name of its pack or rule.
pub(super) fn find<'a, N: FnOnce() -> String>(answers: impl Iterator<Item = (Answer<'a>, N)>, warnings: &mut Named) {
    for (Answer { compliance_type, said }, name) in answers {
        let found = match said {
            Said::Pack(counts) => of_pack(compliance_type, counts),
            Said::Rule(contributors) => of_rule(compliance_type, contributors),
        };
        if let Some(words) = found {
            warnings.add(|| format!("{}: {words}", name()));
        }
    }
}

/// The answers that rows of a dataset's facts are.
pub(super) fn answers<'a>(
    dataset: &'static Dataset,
    rows: &'a RecordBatch,
) -> impl Iterator<Item = (Answer<'a>, impl FnOnce() -> String)> {
    let types = rows["compliance_type"].as_string_view();
    let of_counts: &[&str] = match dataset == &Dataset::PACKS {
        true => &["compliant_rule_count", "non_compliant_rule_count", "total_rule_count"],
        false => &["contributor_count"],
    };
    let counts: Vec<&Int32Array> = of_counts.iter().map(|name| rows[*name].as_primitive::<Int32Type>()).collect();
    (0..rows.num_rows()).map(move |row| {
        let compliance_type = (!types.is_null(row)).then(|| types.value(row));
        let value = |column: &&Int32Array| (!column.is_null(row)).then(|| column.value(row));
        let said = match &counts[..] {
            [compliant, non_compliant, total] => {
                let [compliant, non_compliant, total] = [compliant, non_compliant, total].map(value);
                Said::Pack(Counts { compliant, non_compliant, total })
            }
            other => {
                let is_capped = rows["contributor_count_capped"].as_boolean();
                let is_capped = (!is_capped.is_null(row)).then(|| is_capped.value(row));
                Said::Rule(Contributors { count: other.first().and_then(value), is_capped })
            }
        };
        (Answer { compliance_type, said }, move || shown(dataset, rows, row))
    })
}

/// The pack or rule of a row, as it is named to people.
fn shown(dataset: &Dataset, rows: &RecordBatch, row: usize) -> String {
    let text = |name: &str| rows[name].as_string_view().value(row).escape_debug().to_string();
    format!("{} {} {}", text("account_id"), text("aws_region"), text(dataset.key))
}

fn of_rule(kind: Option<&str>, contributors: Contributors) -> Option<String> {
    if let Some(unknown) = unknown(&Dataset::RULES, kind) {
        return Some(unknown);
    }
    let count = contributors.count.filter(|count| *count < 0)?;
    Some(format!("a negative count ({count} contributors)"))
}

/// That an answer has no compliance type, or one that its dataset does not have.
fn unknown(dataset: &Dataset, kind: Option<&str>) -> Option<String> {
    match kind {
        None => Some("no compliance type".to_owned()),
        Some(kind) if dataset.compliance_types().any(|known| known == kind) => None,
        Some(kind) => Some(format!("compliance type {:?} is not known", kind.chars().take(80).collect::<String>())),
    }
}

fn of_pack(kind: Option<&str>, counts: Counts) -> Option<String> {
    let Some(known) = kind.and_then(ComplianceType::parse) else { return unknown(&Dataset::PACKS, kind) };
    let Counts { compliant: Some(compliant), non_compliant: Some(non_compliant), total: Some(total) } = counts else {
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

    fn counts(compliant: i32, non_compliant: i32, total: i32) -> Counts {
        Counts { compliant: Some(compliant), non_compliant: Some(non_compliant), total: Some(total) }
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
            assert_eq!(of_pack(Some(kind), counts), None, "{kind} {counts:?}");
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
            (
                Some("COMPLIANT"),
                Counts { compliant: None, non_compliant: None, total: None },
                "without all of its counts",
            ),
            (None, Counts { compliant: None, non_compliant: None, total: None }, "no compliance type"),
            (Some("compliant"), counts(1, 0, 1), "not known"),
            (Some(""), counts(1, 0, 1), "not known"),
        ] {
            let found = of_pack(kind, counts).unwrap_or_default();
            assert!(found.contains(words), "{kind:?} {counts:?}: {found:?}");
        }
    }
}

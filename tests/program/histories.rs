//! Histories small enough to check by hand: what was imported, the tables that came of it, and why the numbers are so.

use crate::support::reading::column;
use crate::support::{Scene, run};
use arrow::array::RecordBatch;
use compline_model::Table;
use std::fmt::Write;

const C: &str = "COMPLIANT";
const N: &str = "NON_COMPLIANT";

/// A pack of the day: its name, its type, and its compliant, non-compliant and total rules.
type Pack = (&'static str, &'static str, Option<[i32; 3]>);

struct History {
    name: &'static str,
    why: &'static str,
    days: Vec<(&'static str, Vec<Pack>)>,
}

fn histories() -> Vec<History> {
    let (good, bad) = (Some([4, 0, 4]), Some([1, 3, 4]));
    vec![
        History {
            name: "regressed_and_remediated",
            why: "Pack a is NON_COMPLIANT from 2 to 5 January: 5 - 2 = 3 days to remediate. Pack b stays open, and is in no mean of \
                  days to remediate; on 5 January it is 5 - 1 = 4 days old. On 1 January there is nothing to count events against: \
                  null, not 0. Pack rates are 1/2, 0/2, 1/2; their mean is over the three days that have a snapshot, 1/3.",
            days: vec![
                ("2026-01-01", vec![("a", C, good), ("b", N, bad)]),
                ("2026-01-02", vec![("a", N, bad), ("b", N, bad)]),
                ("2026-01-05", vec![("a", C, good), ("b", N, bad)]),
            ],
        },
        History {
            name: "gone_and_back",
            why: "Pack b is gone on 2 January: removed, not remediated. It is back on 4 January, NON_COMPLIANT as it was when it went: \
                  reappeared, which is no change of its type. Its status begins anew on 4 January, and it was first seen on 1 January. \
                  On 2 January its group has a row for the event, although it has no pack.",
            days: vec![
                ("2026-01-01", vec![("a", C, good), ("b", N, bad)]),
                ("2026-01-02", vec![("a", C, good)]),
                ("2026-01-04", vec![("a", C, good), ("b", N, bad)]),
            ],
        },
        History {
            name: "a_gap_in_a_window",
            why: "On 15 January the change over 7 days compares with the last snapshot 7 to 13 days before, that of 8 January: 1 - 1/2. \
                  That of 10 January is too near and that of 1 January too far. The mean over 7 days has 10 and 15 January in it, 2 days \
                  observed: (0 + 1) / 2. That over 30 days has all four: (1/2 + 1/2 + 0 + 1) / 4.",
            days: vec![
                ("2026-01-01", vec![("a", C, good), ("b", N, bad)]),
                ("2026-01-08", vec![("a", C, good), ("b", N, bad)]),
                ("2026-01-10", vec![("a", N, bad), ("b", N, bad)]),
                ("2026-01-15", vec![("a", C, good), ("b", C, good)]),
            ],
        },
        History {
            name: "nothing_to_divide_by",
            why: "Pack a has a type that nobody knows: it is unknown, and in no rate. Pack b could not be evaluated: its 4 rules are \
                  beside the rates too. So there is nothing to divide by and the rates are null. Pack c has no counts: they are null \
                  in its row and 0 in the sums, and it is compliant all the same: the pack rate of 2 January is 1/1, its rule rate null.",
            days: vec![
                ("2026-01-01", vec![("a", "SOMETHING_NEW", None), ("b", "INSUFFICIENT_DATA", Some([0, 0, 4]))]),
                (
                    "2026-01-02",
                    vec![("a", "SOMETHING_NEW", None), ("b", "INSUFFICIENT_DATA", Some([0, 0, 4])), ("c", C, None)],
                ),
            ],
        },
    ]
}

/// What of each table is shown: enough to follow a pack and a rate.
const SHOWN: [(Table, &[&str]); 3] = [
    (
        Table::PackChanges,
        &[
            "conformance_pack_name",
            "change",
            "from_type",
            "to_type",
            "days_in_previous_status",
            "previous_snapshot_date",
        ],
    ),
    (
        Table::PackStatus,
        &[
            "conformance_pack_name",
            "compliance_type",
            "previous_compliance_type",
            "status_since",
            "days_in_status",
            "first_seen_date",
            "last_seen_date",
            "is_present",
            "change_count",
        ],
    ),
    (
        Table::ComplianceTrends,
        &[
            "dimension",
            "dimension_value",
            "packs_total",
            "packs_compliant",
            "packs_non_compliant",
            "packs_unknown",
            "rules_compliant",
            "rules_non_compliant",
            "pack_compliance_rate",
            "rule_compliance_rate",
            "packs_removed",
            "packs_reappeared",
            "packs_regressed",
            "packs_remediated",
            "pack_compliance_rate_change_7d",
            "pack_compliance_rate_mean_7d",
            "days_observed_7d",
            "pack_compliance_rate_mean_30d",
            "days_observed_30d",
            "remediations_30d",
            "mean_days_to_remediate_30d",
            "open_non_compliant_packs",
            "open_non_compliant_max_days",
        ],
    ),
];

/// A line per column, so that a row is read downwards.
fn show(text: &mut String, table: Table, batch: &RecordBatch, names: &[&str]) {
    let _ = writeln!(text, "\n{}", table.name());
    // Of the dimensions these two tell it all: there is one account, and one region.
    let told = |row: &usize| {
        table != Table::ComplianceTrends
            || ["aggregator", "pack_group"].contains(&column(batch, "dimension")[*row].as_str())
    };
    let rows: Vec<usize> = (0..batch.num_rows()).filter(told).collect();
    for name in names.iter().filter(|_| !rows.is_empty()) {
        let values = column(batch, name);
        let shown: String = rows.iter().map(|row| format!("  {:18}", values[*row])).collect();
        let _ = writeln!(text, "  {name:32}{}", shown.trim_end());
    }
}

#[test]
fn each_history_that_can_be_checked_by_hand_has_the_golden_tables() {
    for history in histories() {
        let scene = Scene::new("");
        let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
        let mut text = history.why.to_owned();
        text.push('\n');
        for (day, packs) in history.days {
            let items: Vec<serde_json::Value> = packs
                .into_iter()
                .map(|(name, compliance_type, counts)| {
                    let mut compliance = serde_json::json!({"ComplianceType": compliance_type});
                    if let Some([compliant, non_compliant, total]) = counts {
                        compliance["CompliantRuleCount"] = compliant.into();
                        compliance["NonCompliantRuleCount"] = non_compliant.into();
                        compliance["TotalRuleCount"] = total.into();
                    }
                    serde_json::json!({"ConformancePackName": name, "AccountId": "000000000001", "AwsRegion": "eu-west-1",
                        "Compliance": compliance})
                })
                .collect();
            std::fs::write(scene.path("day.json"), serde_json::Value::from(items).to_string()).expect("written");
            let import = ["import", &pipeline, "--aggregator", "org", "--date", day, "--accept", "day.json"];
            let ended = run(scene.command(&import));
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let _ = writeln!(text, "\n{day}");
            for (table, names) in SHOWN {
                let batch = scene.read(&scene.lake(), table, "org", day).expect("a partition");
                show(&mut text, table, &batch, names);
            }
        }
        super::run::golden(&format!("history_{}", history.name), &text);
    }
}

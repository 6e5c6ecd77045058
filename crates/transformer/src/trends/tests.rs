use super::*;
use crate::{CheckedSnapshot, Flattener, RowFilter, SourceIndex, check};
use arrow::array::Array;
use arrow::util::display::array_value_to_string;
use chrono::DateTime;
use compline_model::{Answers, Compliance, PackAnswer, Page, RunId};
use proptest::prelude::*;
use std::collections::BTreeMap;

const C: &str = "COMPLIANT";
const N: &str = "NON_COMPLIANT";
const I: &str = "INSUFFICIENT_DATA";

fn date(text: &str) -> SnapshotDate {
    text.parse().expect("a date")
}

fn aggregator() -> AggregatorId {
    "org".parse().expect("an id")
}

/// A snapshot of packs in one account and region. A compliant pack has 4 compliant rules, a non-compliant one 1 of each,
/// any other 2 without data.
fn snapshot(packs: &[(&str, &str)]) -> CheckedSnapshot {
    let packs: Vec<_> = packs.iter().map(|&(name, kind)| ("000000000001", name, kind)).collect();
    snapshot_of(&packs)
}

/// The same in any account.
fn snapshot_of(packs: &[(&str, &str, &str)]) -> CheckedSnapshot {
    let answer = |&(account, name, kind): &(&str, &str, &str)| {
        let (compliant, non_compliant, total) = match kind {
            C => (4, 0, 4),
            N => (1, 1, 2),
            _ => (0, 0, 2),
        };
        PackAnswer {
            account_id: account.parse().expect("an account"),
            aws_region: "eu-west-1".into(),
            conformance_pack_name: name.into(),
            compliance: Some(Compliance {
                compliance_type: (!kind.is_empty()).then(|| kind.into()),
                compliant_rule_count: Some(compliant),
                non_compliant_rule_count: Some(non_compliant),
                total_rule_count: Some(total),
            }),
        }
    };
    let collected_at = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    let mut rows = Flattener::new(&Dataset::PACKS, RowFilter::default()).shard();
    rows.push(&Page {
        collected_at: Some(collected_at),
        run_id: RunId::new(collected_at),
        answers: Answers::Packs(packs.iter().map(answer).collect()),
    });
    check(&Dataset::PACKS, vec![rows], SourceIndex::default())
}

/// The trend tables of a day.
#[derive(Debug, PartialEq)]
struct Tables {
    changes: RecordBatch,
    trends: RecordBatch,
    status: RecordBatch,
}

/// Those of a day in parts of so many rows.
fn tables(
    part_rows: usize,
    day: TrendDay,
    previous: Option<State>,
    snapshot: impl RowSource + 'static,
    recent: &[Recent],
) -> Tables {
    let mut status = Vec::new();
    let mut take = |rows| {
        status.push(rows);
        Ok(())
    };
    let of = (&Dataset::PACKS, &aggregator());
    let trends = in_parts(part_rows, of, day, (previous, Box::new(snapshot)), recent, &mut take).expect("trends");
    let status = concat_batches(&Dataset::PACKS.status.schema(), &status).expect("rows");
    Tables { changes: trends.changes, trends: trends.trends, status }
}

fn state(date: SnapshotDate, tables: &Tables) -> State {
    State { date, status: Arc::new(tables.status.clone()) }
}

/// Every day's trends, each from the day before.
fn history(days: &[(&str, &[(&str, &str)])]) -> BTreeMap<SnapshotDate, Tables> {
    let mut done: BTreeMap<SnapshotDate, Tables> = BTreeMap::new();
    for (day, packs) in days {
        let day = date(day);
        let dates: Vec<SnapshotDate> = done.keys().copied().collect();
        let recent: Vec<Recent> = recent_needed(day, &dates)
            .into_iter()
            .map(|date| Recent { date, trends: done[&date].trends.clone() })
            .collect();
        let previous = done.last_key_value().map(|(date, tables)| state(*date, tables));
        let population_since = done.keys().next().copied().unwrap_or(day);
        let trend_day = TrendDay { date: day, population_since };
        done.insert(day, tables(PART_ROWS, trend_day, previous, snapshot(packs), &recent));
    }
    done
}

/// The named columns of every row, joined by blanks, null as `-`.
fn rows(batch: &RecordBatch, columns: &[&str]) -> Vec<String> {
    let shown = |name: &&str, row: usize| {
        let column = &batch[*name];
        if column.is_null(row) { "-".to_owned() } else { array_value_to_string(column, row).expect("a value") }
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|name| shown(name, row)).collect::<Vec<_>>().join(" ")).collect()
}

fn whole(trends: &Tables, columns: &[&str]) -> String {
    let row = rows(&trends.trends, columns);
    let dimension = rows(&trends.trends, &["dimension"]);
    dimension.iter().position(|name| name == "aggregator").map(|at| row[at].clone()).expect("the aggregator's row")
}

const STATUS: [&str; 9] = [
    "conformance_pack_name",
    "compliance_type",
    "previous_compliance_type",
    "status_since",
    "days_in_status",
    "first_seen_date",
    "last_seen_date",
    "is_present",
    "change_count",
];
const CHANGE: [&str; 6] =
    ["conformance_pack_name", "change", "from_type", "to_type", "days_in_previous_status", "previous_snapshot_date"];

#[test]
fn the_first_snapshot_has_a_status_for_every_pack_and_no_events() {
    let days = history(&[("2026-01-01", &[("a", C), ("b", N)])]);
    let first = &days[&date("2026-01-01")];
    assert_eq!(
        rows(&first.status, &STATUS),
        [
            "a COMPLIANT - 2026-01-01 0 2026-01-01 2026-01-01 true 0",
            "b NON_COMPLIANT - 2026-01-01 0 2026-01-01 2026-01-01 true 0",
        ]
    );
    assert_eq!(first.changes.num_rows(), 0);
    let events = ["previous_snapshot_date", "packs_added", "packs_regressed", "remediation_days", "remediations_30d"];
    assert_eq!(whole(first, &events), "- - - - 0");
}

#[test]
fn each_event_is_told_from_the_others_and_keeps_its_dates() {
    let days = history(&[
        ("2026-01-01", &[("gone", N), ("kept", C), ("other", I), ("reg", C), ("rem", N)]),
        ("2026-01-04", &[("kept", C), ("new", C), ("other", C), ("reg", N), ("rem", C)]),
        ("2026-01-05", &[("gone", C), ("kept", C), ("new", C), ("other", C), ("reg", N), ("rem", C)]),
    ]);
    let second = &days[&date("2026-01-04")];
    assert_eq!(
        rows(&second.changes, &CHANGE),
        [
            "gone removed NON_COMPLIANT - 3 2026-01-01",
            "new added - COMPLIANT - 2026-01-01",
            "other changed INSUFFICIENT_DATA COMPLIANT 3 2026-01-01",
            "reg regressed COMPLIANT NON_COMPLIANT 3 2026-01-01",
            "rem remediated NON_COMPLIANT COMPLIANT 3 2026-01-01",
        ]
    );
    assert_eq!(
        rows(&second.status, &STATUS),
        [
            "gone NON_COMPLIANT - 2026-01-01 0 2026-01-01 2026-01-01 false 0",
            "kept COMPLIANT - 2026-01-01 3 2026-01-01 2026-01-04 true 0",
            "new COMPLIANT - 2026-01-04 0 2026-01-04 2026-01-04 true 0",
            "other COMPLIANT INSUFFICIENT_DATA 2026-01-04 0 2026-01-01 2026-01-04 true 1",
            "reg NON_COMPLIANT COMPLIANT 2026-01-04 0 2026-01-01 2026-01-04 true 1",
            "rem COMPLIANT NON_COMPLIANT 2026-01-04 0 2026-01-01 2026-01-04 true 1",
        ]
    );
    let third = &days[&date("2026-01-05")];
    assert_eq!(rows(&third.changes, &CHANGE), ["gone reappeared NON_COMPLIANT COMPLIANT 0 2026-01-04"]);
    assert_eq!(
        rows(&third.status, &STATUS)[0],
        "gone COMPLIANT NON_COMPLIANT 2026-01-05 0 2026-01-01 2026-01-05 true 0"
    );
    let counts =
        ["packs_added", "packs_removed", "packs_reappeared", "packs_regressed", "packs_remediated", "remediation_days"];
    assert_eq!((whole(second, &counts), whole(third, &counts)), ("1 1 0 1 1 3".to_owned(), "0 0 1 0 0 0".to_owned()));
}

#[test]
fn b20_b22_b49_packs_and_rules_without_data_are_beside_the_rates_and_never_in_them() {
    let days = history(&[("2026-01-01", &[("a", C), ("b", N), ("c", I), ("d", "SOMETHING_NEW"), ("e", "")])]);
    let columns = [
        "packs_total",
        "packs_compliant",
        "packs_non_compliant",
        "packs_insufficient_data",
        "packs_unknown",
        "rules_compliant",
        "rules_non_compliant",
        "rules_insufficient_data",
        "rules_total",
        "pack_compliance_rate",
        "rule_compliance_rate",
    ];
    assert_eq!(whole(&days[&date("2026-01-01")], &columns), "5 1 1 1 2 5 1 6 12 0.5 0.8333333333333334");
    let nothing = history(&[("2026-01-01", &[("c", I)])]);
    let rates = ["pack_compliance_rate", "rule_compliance_rate", "pack_compliance_rate_mean_7d", "days_observed_7d"];
    assert_eq!(whole(&nothing[&date("2026-01-01")], &rates), "- - - 1");
}

#[test]
fn b48_b63_a_window_counts_calendar_days_and_a_gap_is_not_filled() {
    let half: &[(&str, &str)] = &[("a", C), ("b", N)];
    let all: &[(&str, &str)] = &[("a", C), ("b", C)];
    let days = history(&[("2026-01-01", half), ("2026-01-02", all), ("2026-01-09", half), ("2026-01-10", all)]);
    let columns =
        ["days_observed_7d", "pack_compliance_rate_mean_7d", "pack_compliance_rate_change_7d", "days_observed_30d"];
    assert_eq!(whole(&days[&date("2026-01-02")], &columns), "2 0.75 - 2");
    assert_eq!(whole(&days[&date("2026-01-09")], &columns), "1 0.5 -0.5 3");
    assert_eq!(whole(&days[&date("2026-01-10")], &columns), "2 0.75 0.0 4");
}

#[test]
fn time_to_remediate_counts_only_what_was_fixed_and_open_packs_have_their_age() {
    let days = history(&[
        ("2026-01-01", &[("a", N), ("b", N), ("c", C)]),
        ("2026-01-05", &[("a", C), ("b", N), ("c", N)]),
        ("2026-01-11", &[("a", C), ("b", N), ("c", C)]),
    ]);
    let columns = [
        "remediations_30d",
        "mean_days_to_remediate_30d",
        "open_non_compliant_packs",
        "open_non_compliant_median_days",
        "open_non_compliant_max_days",
    ];
    assert_eq!(whole(&days[&date("2026-01-01")], &columns), "0 - 2 0.0 0");
    assert_eq!(whole(&days[&date("2026-01-05")], &columns), "1 4.0 2 2.0 4");
    assert_eq!(whole(&days[&date("2026-01-11")], &columns), "2 5.0 1 10.0 10");
}

#[test]
fn b25_a_pack_that_is_gone_stays_for_400_days_and_its_value_has_a_row_on_the_day_it_went() {
    let days = history(&[
        ("2025-01-01", &[("a", C), ("b", C)]),
        ("2025-01-02", &[("a", C)]),
        ("2025-01-03", &[("a", C)]),
        ("2026-02-05", &[("a", C)]),
        ("2026-02-06", &[("a", C)]),
    ]);
    let known = |day: &str| rows(&days[&date(day)].status, &["conformance_pack_name", "is_present"]);
    assert_eq!(known("2025-01-02"), ["a true", "b false"]);
    assert_eq!(known("2026-02-05"), ["a true", "b false"]);
    assert_eq!(known("2026-02-06"), ["a true"]);
    let groups = |day: &str| {
        rows(&days[&date(day)].trends, &["dimension", "dimension_value", "packs_total", "days_observed_7d"])
            .into_iter()
            .filter(|row| row.starts_with("pack_group"))
            .collect::<Vec<_>>()
    };
    assert_eq!(groups("2025-01-02"), ["pack_group a 1 2", "pack_group b 0 1"]);
    assert_eq!(groups("2025-01-03"), ["pack_group a 1 3"]);
}

#[test]
fn an_empty_snapshot_removes_everything_and_the_next_brings_it_back() {
    let days = history(&[("2026-01-01", &[("a", N)]), ("2026-01-02", &[]), ("2026-01-03", &[("a", N)])]);
    assert_eq!(rows(&days[&date("2026-01-02")].changes, &CHANGE), ["a removed NON_COMPLIANT - 1 2026-01-01"]);
    assert_eq!(
        rows(&days[&date("2026-01-03")].changes, &CHANGE),
        ["a reappeared NON_COMPLIANT NON_COMPLIANT 0 2026-01-02"]
    );
    assert_eq!(
        rows(&days[&date("2026-01-03")].status, &STATUS),
        ["a NON_COMPLIANT - 2026-01-03 0 2026-01-01 2026-01-03 true 0"]
    );
}

#[test]
fn only_the_days_that_a_day_needs_are_read() {
    let start = date("2026-01-01").day();
    let snapshots: Vec<SnapshotDate> =
        (0..365).map(|day| SnapshotDate::from(start + chrono::Duration::days(day))).collect();
    let needed = recent_needed(date("2026-12-31"), &snapshots);
    assert_eq!(needed.len(), 90, "89 days of the longest window, and the day 90 days ago");
    let needed =
        |days: &[&str]| recent_needed(date("2026-12-31"), &days.iter().map(|day| date(day)).collect::<Vec<_>>());
    assert_eq!(needed(&["2026-01-01", "2026-07-05", "2026-12-31"]), [date("2026-07-05")], "179 days ago");
    assert_eq!(needed(&["2026-07-04", "2026-12-31"]), [], "180 days ago is too long ago");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_day_in_parts_as_it_was_collected_on_many_threads_is_the_day_whole_as_it_is_read_on_one(
        days in prop::collection::vec(prop::collection::btree_map((0_usize..5, 0_usize..3), 0_usize..5, 0..12), 1..5),
        part_rows in 1_usize..5,
    ) {
        let accounts = ["000000000001", "000000000002", "000000000300", "000000000301", "999999999999"];
        let (mut before, mut recent): (Option<State>, Vec<Recent>) = (None, Vec::new());
        for (number, packs) in (0..).zip(days) {
            let packs: Vec<(&str, &str, &str)> = packs
                .into_iter()
                .map(|((account, name), kind)| (accounts[account], ["a", "b", "c"][name], [C, N, I, "", "OTHER"][kind]))
                .collect();
            let date = date("2026-01-01").minus_days(100 - 3 * number);
            let day = TrendDay { date, population_since: date.minus_days(3 * number) };
            let checked = snapshot_of(&packs);
            let read = checked.rows(0..checked.row_count(), Some(Measures::of(&Dataset::PACKS).snapshot)).expect("rows");
            let whole = {
                let _on_this_thread = OnThisThread::begin();
                tables(usize::MAX, day, before.clone(), read, &recent)
            };
            let parts = tables(part_rows, day, before.clone(), checked, &recent);
            prop_assert_eq!(&whole, &parts, "{}", number);
            before = Some(state(date, &whole));
            recent.push(Recent { date, trends: whole.trends });
        }
    }
}

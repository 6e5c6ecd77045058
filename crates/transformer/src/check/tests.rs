use super::*;
use crate::{Flattener, RowFilter, SourceIndex};
use arrow::array::Array;
use chrono::{DateTime, Utc};
use compline_model::{Compliance, PackAnswer, Page, RunId, Table};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time")
}

fn pack(account: u32, name: &str, kind: &str, compliant: i32) -> PackAnswer {
    PackAnswer {
        account_id: format!("{account:012}").parse().expect("an account"),
        aws_region: "eu-west-1".into(),
        conformance_pack_name: name.into(),
        compliance: Some(Compliance {
            compliance_type: Some(kind.into()),
            compliant_rule_count: Some(compliant),
            non_compliant_rule_count: Some(0),
            total_rule_count: Some(compliant),
        }),
    }
}

/// Shards of pages; every page has the second it arrived.
fn checked(shards: Vec<Vec<(i64, Vec<PackAnswer>)>>) -> CheckedSnapshot {
    let flattener = Flattener::new(SourceIndex::default(), RowFilter::default());
    let shards = shards
        .into_iter()
        .map(|pages| {
            let mut rows = flattener.shard();
            for (second, packs) in pages {
                rows.push(&Page { collected_at: Some(at(second)), run_id: RunId::new(at(0)), packs });
            }
            rows
        })
        .collect();
    check(shards)
}

fn column(snapshot: &CheckedSnapshot, name: &str) -> Vec<String> {
    let column = &snapshot.batch(0..snapshot.row_count()).expect("rows")[name];
    (0..column.len()).map(|row| arrow::util::display::array_value_to_string(column, row).expect("a value")).collect()
}

#[test]
fn b07_equal_answers_are_dropped_and_counted_over_pages_and_shards() {
    let a = || pack(1, "a", "COMPLIANT", 1);
    let b = || pack(1, "b", "COMPLIANT", 1);
    let c = || pack(0, "c", "COMPLIANT", 1);
    let snapshot = checked(vec![vec![(0, vec![a(), b()]), (1, vec![b(), c()])], vec![(2, vec![a()])]]);
    assert_eq!(column(&snapshot, "conformance_pack_name"), ["c", "a", "b"]);
    assert_eq!((snapshot.findings().duplicates, snapshot.findings().conflicts.count), (2, 0));
}

#[test]
fn b07_of_answers_that_differ_the_later_is_kept_and_the_pack_is_named() {
    let late_first =
        vec![vec![(9, vec![pack(1, "a", "NON_COMPLIANT", 1)])], vec![(3, vec![pack(1, "a", "COMPLIANT", 2)])]];
    let snapshot = checked(late_first);
    assert_eq!(column(&snapshot, "compliance_type"), ["NON_COMPLIANT"]);
    let conflicts = &snapshot.findings().conflicts;
    assert_eq!((conflicts.count, snapshot.findings().duplicates), (1, 0));
    assert!(
        conflicts.first[0].starts_with("000000000001 eu-west-1 a: retained NON_COMPLIANT (1 "),
        "{}",
        conflicts.first[0]
    );

    let at_once = vec![vec![(3, vec![pack(1, "a", "COMPLIANT", 2)])], vec![(3, vec![pack(1, "a", "COMPLIANT", 1)])]];
    assert_eq!(column(&checked(at_once), "compliant_rule_count"), ["1"]);
}

#[test]
fn b38_no_rows_at_all_are_a_snapshot_with_the_full_schema() {
    for shards in [vec![], vec![vec![]], vec![vec![(0, vec![])]]] {
        let snapshot = checked(shards);
        assert_eq!(
            (snapshot.row_count(), snapshot.batch(0..0).expect("rows").schema()),
            (0, Table::PackCompliance.schema())
        );
    }
}

#[test]
fn shards_whose_pages_come_in_turns_and_one_that_is_restarted_are_the_rows_that_they_were() {
    let flattener = Flattener::new(SourceIndex::default(), RowFilter::default());
    let mut shards = [flattener.shard(), flattener.shard()];
    let page = |packs| Page { collected_at: Some(at(0)), run_id: RunId::new(at(0)), packs };
    shards[1].push(&page(vec![pack(9, "gone", "OTHER", 9)]));
    for account in (0..10_u32).flat_map(|account| [account, account + 10]) {
        let shard = usize::from(account >= 10);
        if account == 15 {
            shards[1].clear();
        }
        // From both ends, so that each shard names what the other has not named yet.
        let account = if account.is_multiple_of(2) { account } else { 19 - account };
        shards[shard].push(&page(vec![pack(account, "a", "COMPLIANT", 1), pack(account, "b", "NON_COMPLIANT", 2)]));
    }
    let snapshot = check(shards.into());
    let accounts: Vec<u32> = column(&snapshot, "account_id").iter().map(|id| id.parse().expect("a number")).collect();
    let of_first = [0, 18, 2, 16, 4, 14, 6, 12, 8, 10];
    let of_second = [4, 16, 2, 18, 0];
    let mut expected: Vec<u32> = of_first.into_iter().chain(of_second).collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(accounts, expected.iter().flat_map(|account| [*account; 2]).collect::<Vec<_>>());
    assert_eq!(column(&snapshot, "conformance_pack_name").concat(), "ab".repeat(expected.len()));
    assert_eq!(column(&snapshot, "compliant_rule_count").concat(), "12".repeat(expected.len()));
}

proptest! {
    #[test]
    fn a_snapshot_is_sorted_has_each_pack_once_and_loses_none(
        shards in prop::collection::vec(prop::collection::vec((0_u32..4, 0_usize..4, 0_i32..2, 0_i64..3), 0..12), 0..4),
    ) {
        let names = ["a", "a-b", "ab", "OrgConformsPack-a-12345678"];
        let mut latest: BTreeMap<(u32, &str), (i64, i32)> = BTreeMap::new();
        for (account, name, count, second) in shards.iter().flatten() {
            let kept = latest.entry((*account, names[*name])).or_insert((*second, *count));
            if *second >= kept.0 {
                *kept = (*second, *count);
            }
        }
        let total: usize = shards.iter().map(Vec::len).sum();
        let pages = |rows: &Vec<(u32, usize, i32, i64)>| {
            rows.iter().map(|&(account, name, count, second)| (second, vec![pack(account, names[name], "COMPLIANT", count)])).collect()
        };
        let snapshot = checked(shards.iter().map(pages).collect());
        let expected: Vec<(String, String, String)> = latest
            .iter()
            .map(|((account, name), (_, count))| (format!("{account:012}"), (*name).to_owned(), count.to_string()))
            .collect();
        let columns = ["account_id", "conformance_pack_name", "compliant_rule_count"].map(|name| column(&snapshot, name));
        let found: Vec<(String, String, String)> = (0..snapshot.row_count())
            .map(|row| (columns[0][row].clone(), columns[1][row].clone(), columns[2][row].clone()))
            .collect();
        prop_assert_eq!(&found, &expected);
        let findings = snapshot.findings();
        prop_assert_eq!(findings.duplicates + findings.conflicts.count, (total - expected.len()) as u64);
    }
}

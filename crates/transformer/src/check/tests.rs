use super::*;
use crate::{Flattener, RowFilter, SourceIndex};
use arrow::array::Array;
use chrono::{DateTime, Utc};
use compline_model::{Answers, Compliance, PackAnswer, Page, RuleAnswer, RuleCompliance, RunId, Table};
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
    let flattener = Flattener::new(&Dataset::PACKS, RowFilter::default());
    let shards = shards
        .into_iter()
        .map(|pages| {
            let mut rows = flattener.shard();
            for (second, packs) in pages {
                rows.push(&Page {
                    collected_at: Some(at(second)),
                    run_id: RunId::new(at(0)),
                    answers: Answers::Packs(packs),
                });
            }
            rows
        })
        .collect();
    check(&Dataset::PACKS, shards, SourceIndex::default())
}

fn column(snapshot: &CheckedSnapshot, name: &str) -> Vec<String> {
    let column = &snapshot.rows(0..snapshot.row_count(), None).expect("rows")[name];
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
            (snapshot.row_count(), snapshot.rows(0..0, None).expect("rows").schema()),
            (0, Table::PackCompliance.schema())
        );
    }
}

#[test]
fn shards_whose_pages_come_in_turns_and_one_that_is_restarted_are_the_rows_that_they_were() {
    let flattener = Flattener::new(&Dataset::PACKS, RowFilter::default());
    let mut shards = [flattener.shard(), flattener.shard()];
    let page = |packs| Page { collected_at: Some(at(0)), run_id: RunId::new(at(0)), answers: Answers::Packs(packs) };
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
    let snapshot = check(&Dataset::PACKS, shards.into(), SourceIndex::default());
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

fn rule(account: u32, name: &str, kind: &str, contributors: Option<i32>) -> RuleAnswer {
    RuleAnswer {
        account_id: format!("{account:012}").parse().expect("an account"),
        aws_region: "eu-west-1".into(),
        config_rule_name: name.into(),
        compliance: Some(RuleCompliance {
            compliance_type: (!kind.is_empty()).then(|| kind.into()),
            contributor_count: contributors,
            contributor_count_capped: contributors.map(|count| count == 100),
        }),
    }
}

fn checked_rules(pages: Vec<(i64, Vec<RuleAnswer>)>) -> CheckedSnapshot {
    let mut rows = Flattener::new(&Dataset::RULES, RowFilter::default()).shard();
    for (second, rules) in pages {
        let (collected_at, run_id) = (Some(at(second)), RunId::new(at(0)));
        rows.push(&Page { collected_at, run_id, answers: Answers::Rules(rules) });
    }
    check(&Dataset::RULES, vec![rows], SourceIndex::default())
}

#[test]
fn a_rule_has_its_group_the_id_of_its_pack_and_its_contributors_as_aws_config_said_them() {
    let rules = vec![
        rule(1, "restricted-ssh", "NOT_APPLICABLE", None),
        rule(1, "restricted-ssh-conformance-pack-ab12cd34e", "NON_COMPLIANT", Some(100)),
        rule(1, "x-conformance-pack-", "COMPLIANT", Some(0)),
        rule(1, "x-conformance-pack-ab12cd34e", "", Some(-1)),
        rule(0, "OrgConfigRule-tags-ab12cd34", "SOMETHING_NEW", Some(3)),
    ];
    let snapshot = checked_rules(vec![(0, rules)]);
    let names = [
        "OrgConfigRule-tags-ab12cd34",
        "restricted-ssh",
        "restricted-ssh-conformance-pack-ab12cd34e",
        "x-conformance-pack-",
        "x-conformance-pack-ab12cd34e",
    ];
    assert_eq!(column(&snapshot, "config_rule_name"), names);
    let groups = ["OrgConfigRule-tags", "restricted-ssh", "restricted-ssh", "x-conformance-pack-", "x"];
    assert_eq!(column(&snapshot, "rule_group"), groups);
    assert_eq!(column(&snapshot, "conformance_pack_id"), ["", "", "ab12cd34e", "", "ab12cd34e"]);
    assert_eq!(column(&snapshot, "contributor_count"), ["3", "", "100", "0", "-1"]);
    assert_eq!(column(&snapshot, "contributor_count_capped"), ["false", "", "true", "false", "false"]);
    let warnings = &snapshot.findings().warnings.first;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("SOMETHING_NEW") && warnings[1].ends_with("no compliance type"), "{warnings:?}");
    // What is held is read back, and says the same.
    let stored = snapshot.rows(0..snapshot.row_count(), None).expect("rows");
    let stored = checked_before(&Dataset::RULES, Arc::new(stored)).expect("rows");
    assert_eq!(stored.findings().warnings, snapshot.findings().warnings);
}

#[test]
fn b07_of_a_rule_that_was_answered_twice_the_later_answer_is_retained_and_it_is_named() {
    let name = "a-conformance-pack-ab12cd34e";
    let one = |kind, count| vec![rule(1, name, kind, Some(count))];
    let snapshot =
        checked_rules(vec![(5, one("NON_COMPLIANT", 100)), (0, one("COMPLIANT", 2)), (6, one("NON_COMPLIANT", 100))]);
    assert_eq!((column(&snapshot, "compliance_type"), snapshot.row_count()), (vec!["NON_COMPLIANT".to_owned()], 1));
    assert_eq!(snapshot.findings().duplicates, 1);
    let expected = format!(
        "000000000001 eu-west-1 {name}: retained NON_COMPLIANT (100 or more contributors), dropped COMPLIANT (2 contributors)"
    );
    assert_eq!(snapshot.findings().conflicts.first, [expected]);
}

proptest! {
    /// Names whose own part is the beginning of another's, before an id and without.
    #[test]
    fn rules_come_in_the_order_of_their_names_as_texts_however_these_are_held(
        names in prop::collection::vec("(a|ab|a-conformance-pack-|a-conformance-pack-b|-)(-conformance-pack-)?(aaaaaaaaa|bbbbbbbbb|b)?", 0..12),
    ) {
        let rules = names.iter().filter(|name| !name.is_empty()).map(|name| rule(1, name, "COMPLIANT", None)).collect();
        let snapshot = checked_rules(vec![(0, rules)]);
        let expected: std::collections::BTreeSet<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        prop_assert_eq!(column(&snapshot, "config_rule_name"), expected.iter().cloned().collect::<Vec<_>>());
        let groups: Vec<&str> = expected.iter().map(|name| compline_model::RuleName::of(name).group).collect();
        prop_assert_eq!(column(&snapshot, "rule_group"), groups);
    }
}

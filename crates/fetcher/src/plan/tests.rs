use super::*;

fn region(text: &str) -> Region {
    text.parse().expect("a region")
}

fn shown(shards: &[Shard]) -> Vec<String> {
    shards.iter().map(|shard| shard.filter.to_string()).collect()
}

#[test]
fn no_filter_is_one_request_for_everything() {
    let shards = plan_shards(&Dataset::PACKS, &[], FanOut::None, &BTreeSet::new(), &BTreeSet::new());
    assert_eq!(shown(&shards), ["everything"]);
}

#[test]
fn lists_are_a_cross_product_and_a_request_asked_twice_is_made_once() {
    let lists = FilterLists {
        aws_region: vec![region("eu-west-1"), region("us-east-1")],
        compliance_type: vec![ComplianceType::NonCompliant, ComplianceType::Compliant],
        ..FilterLists::default()
    };
    let again = FilterLists { aws_region: vec![region("eu-west-1")], ..lists.clone() };
    let shards = plan_shards(&Dataset::PACKS, &[lists, again], FanOut::None, &BTreeSet::new(), &BTreeSet::new());
    assert_eq!(
        shown(&shards),
        [
            "aws_region=eu-west-1 compliance_type=COMPLIANT",
            "aws_region=eu-west-1 compliance_type=NON_COMPLIANT",
            "aws_region=us-east-1 compliance_type=COMPLIANT",
            "aws_region=us-east-1 compliance_type=NON_COMPLIANT",
        ]
    );
    assert_eq!(shards.iter().map(|shard| shard.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

fn sizes(rows_by_region: Vec<u64>, regions: u64, accounts: Option<u64>) -> Sizes {
    Sizes { rows_by_region, regions, more_regions: 0, accounts, page: 100, by_region: true, by_account: true }
}

#[test]
fn auto_splits_by_region_or_by_account_where_that_is_read_sooner_and_takes_no_calls_for_nothing() {
    let choice = |rows_by_region: &[u64], accounts: u64| {
        let regions = rows_by_region.len() as u64;
        let rows_by_region = rows_by_region.to_vec();
        let accounts = Some(accounts);
        choose(&sizes(rows_by_region, regions, accounts), 8).expect("a choice")
    };
    assert_eq!(choice(&[25_000; 17], 5_000), FanOut::Region, "17 even regions, 85 packs an account");
    assert_eq!(choice(&[200_000], 200), FanOut::Account, "one region, large accounts");
    assert_eq!(choice(&[190_000, 5_000, 5_000], 100), FanOut::Account, "one region has nearly all");
    assert_eq!(choice(&[50_000], 10_000), FanOut::None, "by account each page would have 5 of 100 rows");
    assert_eq!(choice(&[40, 30, 20], 6), FanOut::None, "one page has it all");
    assert_eq!(choice(&[], 0), FanOut::None, "nothing is known");
    assert_eq!(choice(&[900, 900, 900, 900], 180), FanOut::Region);
}

#[test]
fn auto_chooses_without_the_number_of_accounts_where_they_would_not_be_read_much_sooner() {
    let choice = |rows_by_region: &[u64], accounts| {
        let (regions, rows_by_region) = (rows_by_region.len() as u64, rows_by_region.to_vec());
        choose(&sizes(rows_by_region, regions, accounts), 8)
    };
    let uneven: Vec<u64> = (0..17).map(|region| 2_294 + 37 * (region % 3)).collect();
    for (rows, chosen) in [
        (&[25_000_u64; 17][..], Some(FanOut::Region)),
        (&uneven, Some(FanOut::Region)),
        (&[40, 30, 20], Some(FanOut::None)),
        (&[200_000], None),
        (&[190_000, 5_000, 5_000], None),
    ] {
        assert_eq!(choice(rows, None), chosen, "{rows:?}");
    }
    // There may be more regions, each of which takes a call.
    let few = Sizes { more_regions: 26, ..sizes(vec![100; 4], 4, None) };
    assert_eq!(choose(&few, 8), None);
    assert_eq!(choose(&Sizes { more_regions: 0, ..few }, 8), Some(FanOut::Region));
}

#[test]
fn auto_takes_no_split_by_names_that_cannot_be_asked_for() {
    let sizes = Sizes {
        rows_by_region: vec![5_000; 4],
        regions: 4,
        more_regions: 0,
        accounts: Some(200),
        page: 100,
        by_region: false,
        by_account: true,
    };
    assert_eq!(choose(&sizes, 8), Some(FanOut::Account));
    assert_eq!(choose(&Sizes { by_region: true, by_account: false, ..sizes.clone() }, 8), Some(FanOut::Region));
    assert_eq!(choose(&Sizes { by_account: false, ..sizes }, 8), Some(FanOut::None));
}

#[test]
fn f03_a_place_that_is_asked_for_every_type_is_one_request_without_a_type() {
    use ComplianceType::{Compliant, InsufficientData, NonCompliant};
    let lists = |regions: &[&str], types: &[ComplianceType]| FilterLists {
        aws_region: regions.iter().map(|name| region(name)).collect(),
        compliance_type: types.to_vec(),
        ..FilterLists::default()
    };
    let (eu, us) = ("eu-west-1", "us-east-1");
    for (filters, requests) in [
        (vec![lists(&[eu], &ComplianceType::ALL)], vec!["aws_region=eu-west-1"]),
        (
            vec![lists(&[eu], &[NonCompliant]), lists(&[eu, us], &[Compliant, InsufficientData])],
            vec![
                "aws_region=eu-west-1",
                "aws_region=us-east-1 compliance_type=COMPLIANT",
                "aws_region=us-east-1 compliance_type=INSUFFICIENT_DATA",
            ],
        ),
        (vec![lists(&[eu], &[]), lists(&[eu], &[NonCompliant])], vec!["aws_region=eu-west-1"]),
    ] {
        let shards = plan_shards(&Dataset::PACKS, &filters, FanOut::None, &BTreeSet::new(), &BTreeSet::new());
        assert_eq!(shown(&shards), requests);
    }
}

proptest::proptest! {
    #[test]
    fn every_source_is_in_exactly_one_shard_of_any_split(
        sources in proptest::collection::btree_set((0_u32..30, 0_usize..6), 0..80)
    ) {
        let names = ["eu-west-1", "us-east-1", "ap-south-1", "eu-north-1", "us-gov-west-1", "cn-north-1"];
        let account = |number: u32| -> AccountId { format!("{number:012}").parse().expect("an account") };
        let regions = sources.iter().map(|(_, at)| region(names[*at])).collect();
        let accounts = sources.iter().map(|(number, _)| account(*number)).collect();
        for fan_out in [FanOut::None, FanOut::Region, FanOut::Account] {
            let shards = plan_shards(&Dataset::PACKS, &[], fan_out, &regions, &accounts);
            for (number, at) in &sources {
                let holds = |filter: &Filter| {
                    filter.aws_region.as_ref().is_none_or(|name| *name == region(names[*at]))
                        && filter.account_id.as_ref().is_none_or(|id| *id == account(*number))
                };
                proptest::prop_assert_eq!(shards.iter().filter(|shard| holds(&shard.filter)).count(), 1);
            }
        }
    }
}

#[test]
fn a_split_takes_the_files_values_and_asks_the_aggregator_only_for_what_the_file_leaves_open() {
    let listed = FilterLists { aws_region: vec![region("eu-west-1")], ..FilterLists::default() };
    let open = FilterLists { compliance_type: vec![ComplianceType::Compliant], ..FilterLists::default() };
    assert_eq!(split_needed(std::slice::from_ref(&listed), FanOut::Region), None);
    assert_eq!(split_needed(&[listed.clone(), open.clone()], FanOut::Region), Some(Split::Regions));
    assert_eq!(split_needed(std::slice::from_ref(&listed), FanOut::Account), Some(Split::Accounts));

    let sources = BTreeSet::from([region("eu-west-1"), region("us-east-1")]);
    let shards = plan_shards(&Dataset::PACKS, &[listed, open], FanOut::Region, &sources, &BTreeSet::new());
    assert_eq!(
        shown(&shards),
        ["aws_region=eu-west-1", "aws_region=us-east-1 compliance_type=COMPLIANT"],
        "what one request asks for is not asked for again"
    );
}

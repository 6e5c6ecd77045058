use super::*;
use crate::{FanOut, Filter, plan_shards};
use ComplianceType::{Compliant, InsufficientData, NonCompliant};
use compline_model::{AccountId, Compliance, Dataset, Region};
use proptest::prelude::*;

/// The last of each is in no filter.
const ACCOUNTS: [&str; 3] = ["000000000001", "000000000002", "000000000009"];
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-south-1"];
const PACKS: [&str; 3] = ["cis", "pci", "other"];
const KINDS: [Option<&str>; 5] =
    [Some("COMPLIANT"), Some("NON_COMPLIANT"), Some("INSUFFICIENT_DATA"), Some("SOMETHING_NEW"), None];

/// Some of the first two of a list.
fn some<T: std::str::FromStr + std::fmt::Debug + Clone + 'static>(
    list: [&'static str; 3],
) -> impl Strategy<Value = Vec<T>> {
    let values: Vec<T> = list[..2].iter().map(|text| text.parse().ok().expect("a name")).collect();
    prop::sample::subsequence(values, 0..=2)
}

fn filter() -> impl Strategy<Value = FilterLists> {
    let types = prop::sample::subsequence(ComplianceType::ALL.to_vec(), 0..=3);
    (some(ACCOUNTS), some(REGIONS), some(PACKS), types).prop_map(
        |(account_id, aws_region, conformance_pack_name, compliance_type)| FilterLists {
            account_id,
            aws_region,
            conformance_pack_name,
            compliance_type,
            config_rule_name: Vec::new(),
        },
    )
}

fn filters() -> impl Strategy<Value = Vec<FilterLists>> {
    prop::collection::vec(filter(), 0..5)
}

fn places() -> impl Iterator<Item = [&'static str; 3]> {
    ACCOUNTS
        .into_iter()
        .flat_map(|account| REGIONS.into_iter().flat_map(move |region| PACKS.map(|pack| [account, region, pack])))
}

fn pack([account, region, name]: [&str; 3], kind: Option<&str>) -> PackAnswer {
    PackAnswer {
        account_id: account.parse().expect("an account"),
        aws_region: region.into(),
        conformance_pack_name: name.into(),
        compliance: Some(Compliance { compliance_type: kind.map(Into::into), ..Compliance::default() }),
    }
}

/// Whether AWS Config would list a pack for a request.
fn lists(request: &Filter, [account, region, name]: [&str; 3], kind: Option<&str>) -> bool {
    request.account_id.as_ref().is_none_or(|id| id.as_str() == account)
        && request.aws_region.as_ref().is_none_or(|at| at.as_str() == region)
        && request.conformance_pack_name.as_ref().is_none_or(|of| of.as_str() == name)
        && request.compliance_type.is_none_or(|wanted| Some(wanted.as_str()) == kind)
}

/// The same filters in other pieces and another order, values given twice among them.
fn rewritten(filters: &[FilterLists], turn: usize) -> Vec<FilterLists> {
    let pieces = filters.iter().enumerate().flat_map(|(number, lists)| {
        let mut whole = lists.clone();
        whole.account_id.reverse();
        whole.compliance_type.reverse();
        whole.aws_region.extend(lists.aws_region.clone());
        if number % 2 == turn % 2 && lists.aws_region.len() == 2 {
            let [one, other] =
                [0, 1].map(|at| FilterLists { aws_region: vec![lists.aws_region[at].clone()], ..lists.clone() });
            return vec![one, whole, other];
        }
        vec![whole]
    });
    let mut pieces: Vec<FilterLists> = pieces.collect();
    let by = turn % pieces.len().max(1);
    pieces.rotate_left(by);
    pieces
}

proptest! {
    #[test]
    fn the_population_is_what_the_requests_of_the_plan_would_list(filters in filters(), fan_out in 0..3_usize) {
        let fan_out = [FanOut::None, FanOut::Region, FanOut::Account][fan_out];
        let regions: BTreeSet<Region> = REGIONS.iter().map(|name| name.parse().expect("a region")).collect();
        let accounts: BTreeSet<AccountId> = ACCOUNTS.iter().map(|id| id.parse().expect("an account")).collect();
        let shards = plan_shards(&Dataset::PACKS, &filters, fan_out, &regions, &accounts);
        let population = Population::of(&Dataset::PACKS, &filters);
        for place in places() {
            for kind in KINDS {
                let listed = shards.iter().any(|shard| lists(&shard.filter, place, kind));
                let has = population.has_pack(&pack(place, kind));
                // Where filters by pack and by region only together ask for all types, one that AWS adds is in none of them.
                let is_known = kind.and_then(ComplianceType::parse).is_some();
                prop_assert!(has == listed || (has && !is_known), "{:?} {:?}: {} {}", place, kind, has, listed);
            }
        }
    }

    #[test]
    fn f03_a_population_depends_on_the_answer_where_a_pack_can_leave_it_by_a_change_of_its_type(filters in filters()) {
        let population = Population::of(&Dataset::PACKS, &filters);
        let in_it = |place, kind: &ComplianceType| population.has_pack(&pack(place, Some(kind.as_str())));
        let leaves = |place| {
            ComplianceType::ALL.iter().any(|kind| in_it(place, kind)) && !ComplianceType::ALL.iter().all(|kind| in_it(place, kind))
        };
        prop_assert_eq!(population.depends_on_answer(), places().any(leaves));
    }

    #[test]
    fn filters_that_say_the_same_otherwise_have_the_same_text(filters in filters(), turn in 0..4_usize) {
        let (population, other) = (Population::of(&Dataset::PACKS, &filters), Population::of(&Dataset::PACKS, &rewritten(&filters, turn)));
        prop_assert_eq!(population.shown(), other.shown());
    }

    #[test]
    fn two_texts_are_equal_if_and_only_if_the_same_packs_are_asked_for(
        a in prop::collection::vec(filter(), 1..3),
        b in prop::collection::vec(filter(), 1..3)
    ) {
        let (a, b) = (Population::of(&Dataset::PACKS, &a), Population::of(&Dataset::PACKS, &b));
        let has = |of: &Population, place| KINDS.map(|kind| of.has_pack(&pack(place, kind)));
        let same = places().all(|place| has(&a, place) == has(&b, place));
        prop_assert_eq!(same, a.shown() == b.shown(), "{} | {}", a.shown(), b.shown());
    }
}

#[test]
fn the_text_of_filters_is_short_stable_and_empty_for_everything() {
    let lists = |regions: &[&str], types: &[ComplianceType]| FilterLists {
        aws_region: regions.iter().map(|name| name.parse().expect("a region")).collect(),
        compliance_type: types.to_vec(),
        ..FilterLists::default()
    };
    for (filters, text, depends) in [
        (vec![], "", false),
        (vec![lists(&[], &ComplianceType::ALL)], "", false),
        (vec![lists(&[], &[]), lists(&["eu-west-1"], &[NonCompliant])], "", false),
        (vec![lists(&[], &[NonCompliant])], "compliance_type=NON_COMPLIANT", true),
        (
            vec![lists(&["us-east-1"], &[Compliant]), lists(&["us-east-1", "eu-west-1"], &[])],
            "aws_region=eu-west-1,us-east-1",
            false,
        ),
        (
            vec![lists(&["us-east-1"], &[NonCompliant]), lists(&["us-east-1"], &[InsufficientData, Compliant])],
            "aws_region=us-east-1",
            false,
        ),
        (
            vec![lists(&["us-east-1"], &[NonCompliant]), lists(&["eu-west-1"], &[])],
            "aws_region=us-east-1 compliance_type=NON_COMPLIANT; aws_region=eu-west-1",
            true,
        ),
        (
            vec![lists(&[], &[NonCompliant]), lists(&["eu-west-1"], &[])],
            "aws_region=eu-west-1; aws_region=* compliance_type=NON_COMPLIANT",
            true,
        ),
    ] {
        let population = Population::of(&Dataset::PACKS, &filters);
        assert_eq!((population.shown().as_str(), population.depends_on_answer()), (text, depends));
    }
}

#[test]
fn names_with_commas_and_spaces_never_make_one_text_of_two_populations() {
    let text = |names: &[&str]| {
        let config_rule_name = names.iter().map(|name| name.parse().expect("a name")).collect();
        Population::of(&Dataset::RULES, &[FilterLists { config_rule_name, ..FilterLists::default() }]).shown()
    };
    let all = [&["a", "b"][..], &["a,b"], &["a b"], &["a compliance_type=NON_COMPLIANT"], &["a"], &["\"a\""]];
    let texts: std::collections::BTreeSet<String> = all.iter().map(|names| text(names)).collect();
    assert_eq!(texts.len(), all.len(), "{texts:?}");
    // Without quotes it stands for the values that are not named.
    assert_eq!(text(&["*"]), r#"config_rule_name="*""#);
}

//! The plan: which requests are made, and how each is split so that its parts can be read in parallel.

use compline_model::{AccountId, ComplianceType, PackName, Region};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One `[[aggregator.filter]]` table: an empty list means no restriction, a list means any of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterLists {
    /// Accounts wanted.
    pub account_id: Vec<AccountId>,
    /// Regions wanted.
    pub aws_region: Vec<Region>,
    /// Packs wanted, by exact name: the API knows no patterns.
    pub conformance_pack_name: Vec<PackName>,
    /// Compliance types wanted.
    pub compliance_type: Vec<ComplianceType>,
}

/// What one request asks for: the `Filters` block of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter {
    /// Exact account.
    pub account_id: Option<AccountId>,
    /// Exact region.
    pub aws_region: Option<Region>,
    /// Exact pack name.
    pub conformance_pack_name: Option<PackName>,
    /// Exact compliance type.
    pub compliance_type: Option<ComplianceType>,
}

/// How a request is split further, along one field of the filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FanOut {
    /// By region or by account, or not at all: whatever is read soonest, without many more calls.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// One shard per region.
    Region,
    /// One shard per account.
    Account,
    /// One shard per compliance type. A pack with a type this version does not know is in none of them.
    ComplianceType,
}

/// What a split needs and the file does not list, so that the aggregator must be asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The regions of the aggregator's sources.
    Regions,
    /// The accounts of the aggregator's sources.
    Accounts,
    /// One of the two, whichever is better.
    Either,
}

/// How large an aggregator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Packs of each region that has some.
    pub(crate) packs_by_region: Vec<u64>,
    pub(crate) regions: u64,
    pub(crate) accounts: u64,
    /// Rows of a page.
    pub(crate) page: u64,
}

/// A series of pages that is read on its own: one filter of one aggregator, and its place in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its place in the aggregator's plan, from 0.
    pub index: usize,
    /// What it asks for.
    pub filter: Filter,
}

impl fmt::Display for Filter {
    /// `everything`, or the fields that are set: `aws_region=eu-west-1 compliance_type=NON_COMPLIANT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = [
            self.account_id.as_ref().map(|value| format!("account_id={value}")),
            self.aws_region.as_ref().map(|value| format!("aws_region={value}")),
            self.conformance_pack_name.as_ref().map(|value| format!("conformance_pack_name={value}")),
            self.compliance_type.map(|value| format!("compliance_type={value}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if fields.is_empty() { f.write_str("everything") } else { f.write_str(&fields.join(" ")) }
    }
}

impl fmt::Display for FanOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Region => "region",
            Self::Account => "account",
            Self::ComplianceType => "compliance_type",
        })
    }
}

impl FromStr for FanOut {
    type Err = UnknownFanOut;

    fn from_str(text: &str) -> Result<Self, UnknownFanOut> {
        let all = [Self::Auto, Self::None, Self::Region, Self::Account, Self::ComplianceType];
        all.into_iter().find(|fan_out| fan_out.to_string() == text).ok_or(UnknownFanOut)
    }
}

/// A text that is no [`FanOut`].
#[derive(Debug, thiserror::Error)]
#[error("allowed is auto, none, region, account, compliance_type")]
pub struct UnknownFanOut;

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regions => "regions",
            Self::Accounts => "accounts",
            Self::Either => "regions or accounts",
        })
    }
}

/// What the aggregator must be asked before these filters can be split this way; nothing if the file says it all.
pub fn split_needed(filters: &[FilterLists], fan_out: FanOut) -> Option<Split> {
    let any_open = |open: fn(&FilterLists) -> bool| filters.is_empty() || filters.iter().any(open);
    match fan_out {
        FanOut::Auto if any_open(|lists| lists.aws_region.is_empty()) => Some(Split::Either),
        FanOut::Region if any_open(|lists| lists.aws_region.is_empty()) => Some(Split::Regions),
        FanOut::Account if any_open(|lists| lists.account_id.is_empty()) => Some(Split::Accounts),
        _ => None,
    }
}

/// The shards of one aggregator: the cross product of each filter's lists, split by `fan_out`, each request once.
///
/// No filter at all asks for everything. `regions` and `accounts` are those of the aggregator's sources; they are used
/// only where [`split_needed`] says so, and may be empty otherwise.
pub fn plan_shards(
    filters: &[FilterLists],
    fan_out: FanOut,
    regions: &BTreeSet<Region>,
    accounts: &BTreeSet<AccountId>,
) -> Vec<Shard> {
    let everything = [FilterLists::default()];
    let filters = if filters.is_empty() { &everything[..] } else { filters };
    let requests: BTreeSet<Filter> =
        filters.iter().flat_map(|lists| cross_product(&split(lists.clone(), fan_out, regions, accounts))).collect();
    requests.into_iter().enumerate().map(|(index, filter)| Shard { index, filter }).collect()
}

/// The split that an aggregator is read soonest by: the least calls that come one after the other, and of equals the least
/// calls. A split by account can take many more calls than there are full pages, and the rate limit counts calls: none that
/// takes half as many again is chosen.
pub(crate) fn choose(sizes: &Sizes, at_once: usize) -> FanOut {
    let page = sizes.page.max(1);
    // A shard that is empty is a call as well.
    let pages = |packs: u64| packs.div_ceil(page).max(1);
    let packs: u64 = sizes.packs_by_region.iter().sum();
    let whole = pages(packs);
    let empty_regions = sizes.regions.saturating_sub(sizes.packs_by_region.len() as u64);
    let by_region: u64 = sizes.packs_by_region.iter().copied().map(pages).sum::<u64>() + empty_regions;
    let largest_region = sizes.packs_by_region.iter().copied().max().map_or(1, pages);
    let of_account = pages(packs.checked_div(sizes.accounts).unwrap_or_default());
    let candidates = [
        (FanOut::None, whole, whole),
        (FanOut::Region, by_region, largest_region),
        (FanOut::Account, sizes.accounts * of_account, of_account),
    ];
    let most = whole + (whole / 2).max(at_once as u64);
    let rounds = |(_, calls, longest): &(FanOut, u64, u64)| (*longest).max(calls.div_ceil(at_once.max(1) as u64));
    let fits = candidates.iter().filter(|(_, calls, _)| (1..=most).contains(calls));
    fits.min_by_key(|candidate| (rounds(candidate), candidate.1)).map_or(FanOut::None, |(fan_out, _, _)| *fan_out)
}

/// Fills the list that `fan_out` splits along, where the file left it open.
fn split(
    mut lists: FilterLists,
    fan_out: FanOut,
    regions: &BTreeSet<Region>,
    accounts: &BTreeSet<AccountId>,
) -> FilterLists {
    match fan_out {
        FanOut::Region if lists.aws_region.is_empty() => lists.aws_region = regions.iter().cloned().collect(),
        FanOut::Account if lists.account_id.is_empty() => lists.account_id = accounts.iter().cloned().collect(),
        FanOut::ComplianceType if lists.compliance_type.is_empty() => {
            lists.compliance_type = ComplianceType::ALL.to_vec();
        }
        _ => {}
    }
    lists
}

fn cross_product(lists: &FilterLists) -> Vec<Filter> {
    let mut filters = Vec::new();
    for account_id in any_of(&lists.account_id) {
        for aws_region in any_of(&lists.aws_region) {
            for conformance_pack_name in any_of(&lists.conformance_pack_name) {
                for compliance_type in any_of(&lists.compliance_type) {
                    filters.push(Filter {
                        account_id: account_id.cloned(),
                        aws_region: aws_region.cloned(),
                        conformance_pack_name: conformance_pack_name.cloned(),
                        compliance_type: compliance_type.copied(),
                    });
                }
            }
        }
    }
    filters
}

/// Each value of a list, or no restriction once.
fn any_of<T>(list: &[T]) -> Vec<Option<&T>> {
    if list.is_empty() { vec![None] } else { list.iter().map(Some).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(text: &str) -> Region {
        text.parse().expect("a region")
    }

    fn shown(shards: &[Shard]) -> Vec<String> {
        shards.iter().map(|shard| shard.filter.to_string()).collect()
    }

    #[test]
    fn no_filter_is_one_request_for_everything() {
        let shards = plan_shards(&[], FanOut::None, &BTreeSet::new(), &BTreeSet::new());
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
        let shards = plan_shards(&[lists, again], FanOut::None, &BTreeSet::new(), &BTreeSet::new());
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

    #[test]
    fn auto_splits_by_region_or_by_account_where_that_is_read_sooner_and_takes_no_calls_for_nothing() {
        let choice = |packs_by_region: &[u64], accounts: u64| {
            let regions = packs_by_region.len() as u64;
            choose(&Sizes { packs_by_region: packs_by_region.to_vec(), regions, accounts, page: 100 }, 8)
        };
        assert_eq!(choice(&[25_000; 17], 5_000), FanOut::Region, "17 even regions, 85 packs an account");
        assert_eq!(choice(&[200_000], 200), FanOut::Account, "one region, large accounts");
        assert_eq!(choice(&[190_000, 5_000, 5_000], 100), FanOut::Account, "one region has nearly all");
        assert_eq!(choice(&[50_000], 10_000), FanOut::None, "by account each page would have 5 of 100 rows");
        assert_eq!(choice(&[40, 30, 20], 6), FanOut::None, "one page has it all");
        assert_eq!(choice(&[], 0), FanOut::None, "nothing is known");
        assert_eq!(choice(&[900, 900, 900, 900], 180), FanOut::Region);
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
                let shards = plan_shards(&[], fan_out, &regions, &accounts);
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
        assert_eq!(split_needed(&[], FanOut::ComplianceType), None);

        let sources = BTreeSet::from([region("eu-west-1"), region("us-east-1")]);
        let shards = plan_shards(&[listed, open], FanOut::Region, &sources, &BTreeSet::new());
        assert_eq!(
            shown(&shards),
            [
                "aws_region=eu-west-1",
                "aws_region=eu-west-1 compliance_type=COMPLIANT",
                "aws_region=us-east-1 compliance_type=COMPLIANT",
            ]
        );
    }
}

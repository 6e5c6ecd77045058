//! The plan: which requests are made, and how each is split so that its parts can be read in parallel.

use compline_model::{AccountId, ComplianceType, ConfigRuleName, Dataset, PackName, Region};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// One `[[aggregator.filter]]` table: an empty list means no restriction, a list means any of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterLists {
    /// Accounts wanted.
    pub account_id: Vec<AccountId>,
    /// Regions wanted.
    pub aws_region: Vec<Region>,
    /// Packs wanted, by exact name: the API knows no patterns. Of packs only.
    pub conformance_pack_name: Vec<PackName>,
    /// Rules wanted, by exact name. Of rules only.
    pub config_rule_name: Vec<ConfigRuleName>,
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
    /// Exact rule name.
    pub config_rule_name: Option<ConfigRuleName>,
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
}

/// What a split needs and the file does not list, so that AWS Config must be asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The regions that AWS Config names in any of its answers.
    Regions,
    /// The accounts that it names.
    Accounts,
    /// One of the two, whichever is better.
    Either,
}

/// How large an aggregator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Rows of each region that has some.
    pub(crate) rows_by_region: Vec<u64>,
    pub(crate) regions: u64,
    /// How many regions without a row there may be besides.
    pub(crate) more_regions: u64,
    /// Nothing where it is not known.
    pub(crate) accounts: Option<u64>,
    /// Rows of a page.
    pub(crate) page: u64,
    /// Whether every region can be asked for by its name.
    pub(crate) by_region: bool,
    /// Whether every account can be asked for by its id.
    pub(crate) by_account: bool,
}

/// A paged list that is read on its own: one filter of one aggregator, and its place in the plan.
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
            self.config_rule_name.as_ref().map(|value| format!("config_rule_name={value}")),
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
        })
    }
}

impl FromStr for FanOut {
    type Err = UnknownFanOut;

    fn from_str(text: &str) -> Result<Self, UnknownFanOut> {
        let all = [Self::Auto, Self::None, Self::Region, Self::Account];
        all.into_iter().find(|fan_out| fan_out.to_string() == text).ok_or(UnknownFanOut)
    }
}

/// A text that is no [`FanOut`].
#[derive(Debug, thiserror::Error)]
#[error("allowed is auto, none, region, account")]
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

/// The shards of one aggregator and dataset: the cross product of each filter's lists, split by `fan_out`, each request once. A place
/// that is asked for every compliance type that the operation filters by is asked for without a type.
///
/// No filter at all asks for everything. `regions` and `accounts` are those that AWS Config names; they are used
/// only where [`split_needed`] says so, and may be empty otherwise.
///
/// ```
/// use compline_fetcher::{FanOut, plan_shards};
/// use compline_model::Dataset;
/// use std::collections::BTreeSet;
///
/// let regions = BTreeSet::from(["eu-west-1".parse()?, "us-east-1".parse()?]);
/// let shards = plan_shards(&Dataset::PACKS, &[], FanOut::Region, &regions, &BTreeSet::new());
/// assert_eq!(shards.len(), 2, "one a region, and no filter asks for everything");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan_shards(
    dataset: &Dataset,
    filters: &[FilterLists],
    fan_out: FanOut,
    regions: &BTreeSet<Region>,
    accounts: &BTreeSet<AccountId>,
) -> Vec<Shard> {
    let everything = [FilterLists::default()];
    let filters = if filters.is_empty() { &everything[..] } else { filters };
    let requests: BTreeSet<Filter> =
        filters.iter().flat_map(|lists| cross_product(&split(lists.clone(), fan_out, regions, accounts))).collect();
    without_needless_types(dataset, requests)
        .into_iter()
        .enumerate()
        .map(|(index, filter)| Shard { index, filter })
        .collect()
}

/// One request without a type in place of those of one type each, or beside which one of a type asks for nothing more. A pack
/// whose type changes while the night reads would be in two of three shards, or in none, and a type that AWS adds in none.
fn without_needless_types(dataset: &Dataset, requests: BTreeSet<Filter>) -> BTreeSet<Filter> {
    let mut types: BTreeMap<Filter, BTreeSet<Option<ComplianceType>>> = BTreeMap::new();
    for request in requests {
        let kind = request.compliance_type;
        types.entry(Filter { compliance_type: None, ..request }).or_default().insert(kind);
    }
    let every = |types: &BTreeSet<Option<ComplianceType>>| {
        types.contains(&None) || dataset.is_every_type(&types.iter().flatten().copied().collect())
    };
    let requests = types.into_iter().flat_map(|(place, types)| {
        let types = if every(&types) { BTreeSet::from([None]) } else { types };
        types.into_iter().map(move |compliance_type| Filter { compliance_type, ..place.clone() }).collect::<Vec<_>>()
    });
    requests.collect()
}

/// The split that an aggregator is read soonest by: the least calls that come one after the other, and of equals the least
/// calls. A split by account can take many more calls than there are full pages, and the rate limit counts calls: none that
/// takes half as many again is chosen. Nothing where that number of accounts is not known by which they would be read sooner, by more than
/// a tenth.
pub(crate) fn choose(sizes: &Sizes, at_once: usize) -> Option<FanOut> {
    let page = sizes.page.max(1);
    // A shard that is empty is a call as well.
    let pages = |rows: u64| rows.div_ceil(page).max(1);
    let rows: u64 = sizes.rows_by_region.iter().sum();
    let whole = pages(rows);
    let empty_regions = sizes.regions.saturating_sub(sizes.rows_by_region.len() as u64);
    let by_region: u64 = sizes.rows_by_region.iter().copied().map(pages).sum::<u64>() + empty_regions;
    let largest_region = sizes.rows_by_region.iter().copied().max().map_or(1, pages);
    let most = whole + (whole / 2).max(at_once as u64);
    let accounts = sizes.accounts.unwrap_or_default();
    let of_account = pages(rows.checked_div(accounts).unwrap_or_default());
    let candidates = [
        (true, (FanOut::None, whole, whole)),
        (sizes.by_region && by_region + sizes.more_regions <= most, (FanOut::Region, by_region, largest_region)),
        (sizes.by_account, (FanOut::Account, accounts.saturating_mul(of_account), of_account)),
    ];
    let possible = candidates.into_iter().filter(|(possible, _)| *possible).map(|(_, candidate)| candidate);
    let at_once = at_once.max(1) as u64;
    let rounds = |(_, calls, longest): &(FanOut, u64, u64)| (*longest).max(calls.div_ceil(at_once));
    let fits = possible.filter(|(_, calls, _)| (1..=most).contains(calls));
    let best = fits.min_by_key(|candidate| (rounds(candidate), candidate.1));
    // However many accounts there are, they have no fewer pages.
    let least = whole.div_ceil(at_once);
    let is_best = |best: &(FanOut, u64, u64)| sizes.accounts.is_some() || rounds(best) <= least + least / 10 + 1;
    best.filter(is_best).map(|best| best.0)
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
        _ => {}
    }
    lists
}

fn cross_product(lists: &FilterLists) -> Vec<Filter> {
    let mut filters = Vec::new();
    for account_id in any_of(&lists.account_id) {
        for aws_region in any_of(&lists.aws_region) {
            let places =
                Filter { account_id: account_id.cloned(), aws_region: aws_region.cloned(), ..Filter::default() };
            for conformance_pack_name in any_of(&lists.conformance_pack_name) {
                for config_rule_name in any_of(&lists.config_rule_name) {
                    filters.extend(any_of(&lists.compliance_type).into_iter().map(|compliance_type| Filter {
                        conformance_pack_name: conformance_pack_name.cloned(),
                        config_rule_name: config_rule_name.cloned(),
                        compliance_type: compliance_type.copied(),
                        ..places.clone()
                    }));
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
mod tests;

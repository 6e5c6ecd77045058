//! The made-up organization: its accounts, regions, packs, rules and aggregators, and the compliance of each pack and rule on any
//! day.
//!
//! Everything follows from the seed and the day alone, with no state in between, so any day can be asked for at once.

mod chance;
mod life;
mod rules;

use chance::chance;
use compline_model::SnapshotDate;
use life::Life;
pub(crate) use life::{Kind, PackState};
use rules::PackRules;
pub(crate) use rules::{Rule, RuleSource};

/// How large the organization is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationSpec {
    /// Makes the organization: the same seed, the same organization.
    pub seed: u64,
    /// Accounts that ever are in it, at most 1,000,000.
    pub accounts: u32,
    /// Regions in use, at most 20.
    pub regions: u32,
    /// Conformance packs per account and region, at most 50.
    pub packs: u32,
}

impl Default for OrganizationSpec {
    fn default() -> Self {
        Self { seed: 1, accounts: 200, regions: 4, packs: 5 }
    }
}

/// What a caller has to know of an aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregatorFacts {
    /// Its name.
    pub name: &'static str,
    /// The region it is in.
    pub region: &'static str,
    /// The accounts it covers, from and to in thousandths of all.
    pub(crate) share: (u32, u32),
    /// Whether it covers an organization and not listed accounts.
    pub(crate) of_organization: bool,
}

/// The two aggregators: they overlap in the accounts from 60 % to 80 %.
const AGGREGATORS: [AggregatorFacts; 2] = [
    AggregatorFacts { name: "org-aggregator", region: "eu-west-1", share: (0, 800), of_organization: true },
    AggregatorFacts { name: "security-aggregator", region: "us-east-1", share: (600, 1000), of_organization: false },
];

const REGIONS: [&str; 20] = [
    "eu-west-1",
    "us-east-1",
    "eu-central-1",
    "ap-southeast-2",
    "us-west-2",
    "eu-north-1",
    "ap-northeast-1",
    "ca-central-1",
    "sa-east-1",
    "eu-west-2",
    "us-east-2",
    "ap-south-1",
    "eu-west-3",
    "ap-southeast-1",
    "us-west-1",
    "ap-northeast-2",
    "eu-south-1",
    "me-south-1",
    "af-south-1",
    "ap-east-1",
];

/// Pack names, and whether each is deployed by the organization. One only looks as if it were.
const PACKS: [(&str, bool); 6] = [
    ("cis-level1", true),
    ("nist-800-53", true),
    ("encryption-baseline", true),
    ("web-baseline1", false),
    ("pci-dss", true),
    ("OrgConformsPack-my-pack-prod", false),
];

/// The made-up organization.
#[derive(Debug, Clone)]
pub struct Organization {
    spec: OrganizationSpec,
    account_ids: Vec<String>,
    pack_rules: PackRules,
}

impl Organization {
    /// The organization of a specification; sizes out of range are brought into it.
    pub fn new(spec: OrganizationSpec) -> Self {
        let spec = OrganizationSpec {
            accounts: spec.accounts.clamp(1, 1_000_000),
            regions: spec.regions.clamp(1, 20),
            packs: spec.packs.clamp(1, 50),
            ..spec
        };
        let account_ids = (0..spec.accounts).map(|account| account_id(spec.seed, account)).collect();
        let pack_rules = PackRules::new(spec.seed, spec.packs);
        Self { spec, account_ids, pack_rules }
    }

    /// Its aggregators.
    pub fn aggregators(&self) -> &'static [AggregatorFacts] {
        &AGGREGATORS
    }

    pub(crate) fn aggregator(&self, name: &str, region: &str) -> Option<&'static AggregatorFacts> {
        AGGREGATORS.iter().find(|aggregator| aggregator.name == name && aggregator.region == region)
    }

    /// The positions of the accounts that an aggregator covers.
    pub(crate) fn covered(&self, aggregator: &AggregatorFacts) -> std::ops::Range<u32> {
        let at = |thousandths: u32| {
            u32::try_from(u64::from(self.spec.accounts) * u64::from(thousandths) / 1000).unwrap_or(u32::MAX)
        };
        at(aggregator.share.0)..at(aggregator.share.1)
    }

    pub(crate) fn account_id(&self, account: u32) -> &str {
        &self.account_ids[account as usize]
    }

    pub(crate) fn regions(&self) -> &'static [&'static str] {
        &REGIONS[..self.spec.regions as usize]
    }

    pub(crate) fn packs(&self) -> u32 {
        self.spec.packs
    }

    /// Whether the account is in the organization on a day. One in twenty joins and leaves.
    pub(crate) fn has_account(&self, account: u32, date: SnapshotDate) -> bool {
        let seed = self.spec.seed;
        let comes_and_goes = chance(&[seed, 1, u64::from(account)]).is_multiple_of(20);
        let cycle = 90 + chance(&[seed, 2, u64::from(account)]) % 90;
        !comes_and_goes || self.day_of_cycle(date, cycle, &[seed, 3, u64::from(account)]) >= cycle / 3
    }

    /// The state of a pack in an account and region on a day, if it is there.
    pub(crate) fn pack(&self, account: u32, region: u32, pack: u32, date: SnapshotDate) -> Option<PackState> {
        self.life(account, region, pack.into()).on(day(date))
    }

    fn life(&self, account: u32, region: u32, pack: u64) -> Life {
        Life { seed: self.spec.seed, account: account.into(), region: region.into(), pack }
    }

    /// The full name of a pack in an account. An organization pack's name ends differently in each account, and after each
    /// re-creation.
    pub(crate) fn pack_name(&self, account: u32, pack: u32, recreation: u32) -> String {
        let (name, of_organization) = match PACKS.get(pack as usize) {
            Some((name, of_organization)) => ((*name).to_owned(), *of_organization),
            None => (format!("team-pack-{pack}"), pack.is_multiple_of(2)),
        };
        if !of_organization {
            return name;
        }
        let ending = [4, account, pack, recreation].map(u64::from);
        let ending = chance::letters::<8>(&[&[self.spec.seed], &ending[..]].concat());
        format!("OrgConformsPack-{name}-{}", String::from_iter(ending))
    }

    /// Whether, and since how many hours, the source of an account and region is stale: one in fifty is outdated now and then,
    /// one in two hundred failed.
    pub(crate) fn source_fault(&self, account: u32, region: u32, date: SnapshotDate) -> Option<SourceFault> {
        let seed = self.spec.seed;
        let week = day(date) / 7;
        match chance(&[seed, 5, account.into(), region.into(), week]) % 200 {
            0 => Some(SourceFault::Failed),
            1..=4 => Some(SourceFault::Outdated),
            _ => None,
        }
    }

    fn day_of_cycle(&self, date: SnapshotDate, cycle: u64, of: &[u64]) -> u64 {
        (day(date) + chance(of)) % cycle
    }
}

/// What is wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceFault {
    Outdated,
    Failed,
}

/// A date as the number of days since 1970.
fn day(date: SnapshotDate) -> u64 {
    u64::try_from(date.days_since_epoch()).unwrap_or_default()
}

/// Twelve digits, unique per account; every tenth starts with zeros.
fn account_id(seed: u64, account: u32) -> String {
    let head = if account.is_multiple_of(10) { 0 } else { chance(&[seed, 6, u64::from(account)]) % 1_000_000 };
    // 7919 shares no factor with a million, so no two accounts get the same tail.
    format!("{head:06}{:06}", (u64::from(account) * 7919 + 13) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use compline_model::{AccountId, PackName};
    use std::collections::HashSet;

    fn date(text: &str) -> SnapshotDate {
        text.parse().expect("a date")
    }

    #[test]
    fn account_ids_are_unique_valid_and_some_start_with_zeros() {
        let organization = Organization::new(OrganizationSpec { accounts: 20_000, ..OrganizationSpec::default() });
        let ids: HashSet<&str> = organization.account_ids.iter().map(String::as_str).collect();
        assert_eq!(ids.len(), 20_000);
        assert!(ids.iter().all(|id| id.parse::<AccountId>().is_ok()));
        assert!(ids.iter().any(|id| id.starts_with("000000")));
    }

    #[test]
    fn every_pack_name_is_one_that_the_api_allows() {
        let organization = Organization::new(OrganizationSpec { packs: 50, ..OrganizationSpec::default() });
        for pack in 0..50 {
            let name = organization.pack_name(3, pack, 7);
            assert!(name.parse::<PackName>().is_ok(), "{name}");
        }
    }

    #[test]
    fn a_month_has_every_kind_of_event_and_the_same_seed_gives_the_same_month() {
        let organization = Organization::new(OrganizationSpec::default());
        let state = |day: u32| -> Vec<Option<PackState>> {
            let date = date("2026-11-30").minus_days(day);
            let packs = (0..200)
                .flat_map(|account| (0..4).flat_map(move |region| (0..5).map(move |pack| (account, region, pack))));
            packs
                .map(|(account, region, pack)| {
                    if organization.has_account(account, date) {
                        organization.pack(account, region, pack, date)
                    } else {
                        None
                    }
                })
                .collect()
        };
        let (mut regressed, mut remediated, mut came, mut went) = (0, 0, 0, 0);
        for day in 1..30 {
            for (before, now) in state(day).into_iter().zip(state(day - 1)) {
                match (before.map(|state| state.kind), now.map(|state| state.kind)) {
                    (Some(Kind::Compliant), Some(Kind::NonCompliant)) => regressed += 1,
                    (Some(Kind::NonCompliant), Some(Kind::Compliant)) => remediated += 1,
                    (None, Some(_)) => came += 1,
                    (Some(_), None) => went += 1,
                    _ => {}
                }
            }
        }
        assert!(regressed > 50 && remediated > 50 && came > 5 && went > 5, "{regressed} {remediated} {came} {went}");
        assert_eq!(state(3), state(3));
    }
}

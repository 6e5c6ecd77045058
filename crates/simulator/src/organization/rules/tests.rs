use super::*;
use crate::OrganizationSpec;
use std::collections::{BTreeMap, HashSet};

fn date(day: u32) -> SnapshotDate {
    "2026-11-30".parse::<SnapshotDate>().expect("a date").minus_days(120 - day)
}

/// Every pack of some accounts on a day, by account, region and pack.
fn packs(organization: &Organization, day: u32) -> BTreeMap<(u32, u16, u16), RuleSource> {
    let mut packs = BTreeMap::new();
    for (account, region, pack) in
        (0..25).flat_map(|account| (0..4).flat_map(move |region| (0..8).map(move |pack| (account, region, pack))))
    {
        if let Some(state) = organization.pack(account, region.into(), pack.into(), date(day)) {
            packs.insert((account, region, pack), RuleSource { account, region, pack: Some((pack, state)) });
        }
    }
    packs
}

fn state(source: &RuleSource) -> PackState {
    source.pack.expect("a pack").1
}

fn organization() -> Organization {
    Organization::new(OrganizationSpec { packs: 8, ..OrganizationSpec::default() })
}

fn base(name: &str) -> &str {
    name.split_once("-conformance-pack-").map_or(name, |(base, _)| base)
}

/// The id that all rules of a pack have in their names.
fn id(organization: &Organization, source: &RuleSource, day: u32) -> String {
    let rules = organization.rules(source, date(day));
    let ids: HashSet<&str> =
        rules.iter().filter_map(|rule| Some(rule.name.split_once("-conformance-pack-")?.1)).collect();
    assert!(ids.len() == 1 && rules.iter().all(|rule| rule.name.len() <= 128), "{rules:?}");
    ids.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_managed_rules_are_sorted_and_named_as_aws_names_them() {
    assert!(MANAGED_RULES.is_sorted_by(|before, after| before < after));
    // The rule whose identifier is INCOMING_SSH_DISABLED.
    assert!(MANAGED_RULES.contains(&"restricted-ssh") && !MANAGED_RULES.contains(&"incoming-ssh-disabled"));
    assert!(
        Organization::new(OrganizationSpec { packs: 50, ..OrganizationSpec::default() })
            .pack_rules
            .0
            .iter()
            .flatten()
            .any(|rule| *rule == "restricted-ssh")
    );
}

#[test]
fn a_packs_rules_are_as_its_counts_say() {
    let organization = organization();
    let mut seen = HashSet::new();
    for day in [0, 41, 120] {
        for source in packs(&organization, day).values() {
            let (state, rules) = (state(source), organization.rules(source, date(day)));
            let count = |kind: Kind| rules.iter().filter(|rule| rule.kind == kind).count();
            assert_eq!(count(Kind::Compliant), usize::from(state.compliant));
            assert_eq!(count(Kind::NonCompliant), usize::from(state.non_compliant));
            assert_eq!(rules.len(), usize::from(state.total));
            for kind in Kind::ALL {
                assert_eq!(organization.rule_count(source, |of| of == kind, date(day)), count(kind));
            }
            assert_eq!(organization.rule_count(source, |_| true, date(day)), rules.len());
            seen.extend(rules.iter().map(|rule| rule.kind));
        }
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn no_more_rules_change_in_a_day_than_the_packs_counts_do() {
    let organization = organization();
    let (mut unchanged, mut by_one, mut regressed) = (0, 0, 0);
    let mut before = packs(&organization, 0);
    for day in 1..=120 {
        let now = packs(&organization, day);
        for (place, source) in &now {
            let Some(earlier) = before.get(place) else { continue };
            let (old, new) = (organization.rules(earlier, date(day - 1)), organization.rules(source, date(day)));
            let changed: Vec<_> = old.iter().zip(&new).filter(|(old, new)| old.kind != new.kind).collect();
            let moved = |kind: Kind| usize::from(state(earlier).rules(kind).abs_diff(state(source).rules(kind)));
            let most = moved(Kind::NonCompliant) + moved(Kind::InsufficientData);
            assert!(changed.len() <= most, "{place:?} on day {day}: {} rules for {most}", changed.len());
            unchanged += usize::from(most == 0);
            by_one += usize::from(most == 1 && changed.len() == 1);
            if (state(earlier).kind, state(source).kind) == (Kind::Compliant, Kind::NonCompliant) {
                regressed += 1;
                let failed = changed.iter().filter(|(_, new)| new.kind == Kind::NonCompliant).count();
                assert_eq!(failed, usize::from(state(source).non_compliant), "{place:?} on day {day}");
            }
        }
        before = now;
    }
    assert!(unchanged > 10_000 && by_one > 100 && regressed > 100, "{unchanged} {by_one} {regressed}");
}

#[test]
fn a_pack_has_the_same_rules_everywhere_under_an_id_of_each_place() {
    let organization = organization();
    let (mut names, mut ids) = (BTreeMap::new(), HashSet::new());
    let packs = packs(&organization, 120);
    for (place, source) in &packs {
        let rules = organization.rules(source, date(120));
        let bases: Vec<String> = rules.iter().map(|rule| base(&rule.name).to_owned()).collect();
        assert!(bases.is_sorted() && bases.iter().collect::<HashSet<_>>().len() == bases.len(), "{bases:?}");
        assert_eq!(*names.entry(place.2).or_insert_with(|| bases.clone()), bases);
        let id = id(&organization, source, 120);
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), packs.len());
}

#[test]
fn a_rule_may_be_of_the_one_pack_whose_id_its_name_ends_in() {
    let organization = organization();
    let packs = packs(&organization, 120);
    for place in [(0, 0, 0), (13, 2, 5), (24, 3, 7)] {
        let name = organization.rules(&packs[&place], date(120)).remove(0).name;
        let of: Vec<_> = packs.iter().filter(|(_, source)| organization.may_have(source, &name, date(120))).collect();
        assert_eq!(of.iter().map(|(of, _)| **of).collect::<Vec<_>>(), [place]);
        for other in
            [base(&name), &name[..name.len() - 1], &format!("{name}a"), &name.replace("-conformance-pack-", "-")]
        {
            assert!(!packs.values().any(|source| organization.may_have(source, other, date(120))), "{other}");
        }
        let own = RuleSource { pack: None, ..packs[&place] };
        assert!(organization.may_have(&own, "required-tags", date(120)));
    }
}

#[test]
fn a_re_created_pack_has_another_id_and_the_same_rules() {
    let organization = organization();
    let (before, now) = (packs(&organization, 0), packs(&organization, 120));
    let recreated = now.iter().filter_map(|(place, source)| Some((before.get(place)?, source)));
    let recreated = recreated.filter(|(before, now)| state(before).recreation != state(now).recreation);
    let mut found = 0;
    for (before, now) in recreated {
        assert_ne!(id(&organization, before, 0), id(&organization, now, 120));
        let bases = |source: &RuleSource| -> Vec<String> {
            organization.rules(source, date(120)).iter().map(|rule| base(&rule.name).to_owned()).collect()
        };
        assert_eq!(bases(before), bases(now));
        found += 1;
    }
    assert!(found > 0);
}

#[test]
fn a_pack_that_comes_back_after_a_removal_has_another_id() {
    let organization = organization();
    // The day, re-creation and id of each pack when it was seen last.
    let mut last = BTreeMap::<_, (u32, u32, _)>::new();
    let (mut returned, mut retained) = (0, 0);
    for day in 0..=120 {
        for (place, source) in packs(&organization, day) {
            let deployed = source.pack.expect("a pack");
            let (recreation, id) = (deployed.1.recreation, organization.pack_id(&source, deployed, date(day)));
            if let Some((last_day, last_recreation, last_id)) = last.get(&place) {
                let is_another = *last_day + 1 < day || *last_recreation != recreation;
                assert_eq!(*last_id != id, is_another, "{place:?} on day {day}");
                returned += usize::from(*last_day + 1 < day);
                retained += usize::from(!is_another);
            }
            last.insert(place, (day, recreation, id));
        }
    }
    assert!(returned > 10 && retained > 10_000, "{returned} {retained}");
}

#[test]
fn a_noncompliant_rule_counts_its_resources_and_a_compliant_one_may() {
    let organization = organization();
    let mut compliant: BTreeMap<Option<bool>, usize> = BTreeMap::new();
    let (mut capped, mut counted, mut without) = (0, 0, 0);
    for source in packs(&organization, 120).values() {
        for rule in organization.rules(source, date(120)) {
            match (rule.kind, rule.contributors) {
                (Kind::InsufficientData, contributors) => {
                    assert_eq!(contributors, None);
                    without += 1;
                }
                (Kind::Compliant, contributors) => {
                    *compliant.entry(contributors.map(|contributors| contributors > 0)).or_default() += 1;
                }
                (Kind::NonCompliant, contributors) => {
                    let contributors = contributors.expect("a count");
                    assert!((1..=240).contains(&contributors));
                    capped += usize::from(contributors > 100);
                    counted += 1;
                }
            }
        }
        assert_eq!(organization.rules(source, date(120)), organization.rules(source, date(120)));
    }
    let all: usize = compliant.values().sum();
    let third = all * 30 / 100..all * 37 / 100;
    assert!(compliant.len() == 3 && compliant.values().all(|count| third.contains(count)), "{compliant:?}");
    // One rule in eight has up to 240, of which 140 are above 100: 7 in 100.
    assert!(
        (counted * 4 / 100..counted * 10 / 100).contains(&capped) && without > 100,
        "{capped} of {counted}, {without}"
    );
}

fn own_rules(organization: &Organization, account: u32, region: u16, day: u32) -> Vec<(String, Kind)> {
    let source = RuleSource { account, region, pack: None };
    let rules = organization.rules(&source, date(day));
    assert_eq!(rules.len(), organization.rule_count(&source, |_| true, date(day)));
    for kind in Kind::ALL {
        let count = rules.iter().filter(|rule| rule.kind == kind).count();
        assert_eq!(organization.rule_count(&source, |of| of == kind, date(day)), count);
    }
    rules.into_iter().map(|rule| (rule.name, rule.kind)).collect()
}

#[test]
fn rules_of_no_pack_differ_by_place() {
    let organization = organization();
    let places: Vec<(u32, u16)> = (0..60).flat_map(|account| [(account, 0), (account, 1)]).collect();
    let positions = |(account, region): (u32, u16)| -> Vec<bool> {
        let life = |rule: usize| organization.life(account, region.into(), OWN_LIVES + rule as u64);
        (0..OWN_RULES.len()).map(|rule| life(rule).has_own_rule()).collect()
    };
    let sets: HashSet<Vec<bool>> = places.iter().map(|place| positions(*place)).collect();
    assert!(sets.len() > 80, "{} sets in 120 places", sets.len());
    let total: usize =
        places.iter().map(|(account, region)| own_rules(&organization, *account, *region, 0).len()).sum();
    let mean = total as f64 / places.len() as f64;
    let half = OWN_RULES.len() as f64 / 2.0;
    assert!((half - 0.7..half + 0.7).contains(&mean), "{mean}");
}

#[test]
fn rules_of_no_pack_change_over_time() {
    let organization = organization();
    let kinds: HashSet<Kind> =
        (0..60).flat_map(|account| own_rules(&organization, account, 0, 0)).map(|(_, kind)| kind).collect();
    assert_eq!(kinds, HashSet::from(Kind::ALL));
    let rules = |account, day| own_rules(&organization, account, 0, day);
    let changed = |account: &u32| (1..=120).filter(|day| rules(*account, *day) != rules(*account, day - 1)).count();
    let changes: usize = (0..60).map(|account| changed(&account)).sum();
    assert!((60..60 * 60).contains(&changes), "{changes}");
}

#[test]
fn rules_of_an_organization_and_of_security_hub_end_differently_in_each_place() {
    let organization = organization();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (account, region) in (0..60).flat_map(|account| [(account, 0), (account, 1)]) {
        let (rules, later) =
            (own_rules(&organization, account, region, 0), own_rules(&organization, account, region, 60));
        assert!(rules.is_sorted_by(|(before, _), (after, _)| before < after), "{rules:?}");
        assert!(rules.iter().zip(&later).all(|((name, _), (later, _))| name == later) && rules.len() == later.len());
        for (name, _) in rules {
            *places.entry(name).or_default() += 1;
        }
    }
    let of = |start: &str, is_ending: fn(u8) -> bool| -> Vec<usize> {
        let ending = |name: &str| {
            name.strip_prefix(start).is_some_and(|ending| ending.len() == 8 && ending.bytes().all(is_ending))
        };
        places.iter().filter(|(name, _)| ending(name)).map(|(_, places)| *places).collect()
    };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    for found in [
        of("OrgConfigRule-restricted-ssh-", letter),
        of("OrgConfigRule-s3-bucket-versioning-enabled-", letter),
        of("securityhub-vpc-flow-logs-enabled-", digit),
    ] {
        assert!(found.len() > 40 && found.iter().all(|places| *places == 1), "{found:?}");
    }
    for same in
        ["OrgConfigRule-required-tags-prod", "securityhub-enabled", "audit-conformance-pack-changes", "required-tags"]
    {
        assert!(places[same] > 40, "{same}: {places:?}");
    }
}

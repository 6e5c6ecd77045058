use super::*;
use crate::OrganizationSpec;
use crate::organization::Kind;
use compline_model::SnapshotDate;
use std::collections::HashSet;

/// A rule as an answer has it: its account, region, name and compliance type.
type Text = (String, &'static str, String, Kind);

struct Asked {
    organization: Organization,
    day: Day,
}

impl Asked {
    fn new(spec: OrganizationSpec) -> Self {
        let organization = Organization::new(spec);
        let date: SnapshotDate = "2026-03-01".parse().expect("a date");
        let day = Day::new(&organization, date);
        Self { organization, day }
    }

    fn covered(&self) -> Range<u32> {
        self.organization.covered(&self.organization.aggregators()[0])
    }

    fn found(&self, query: &Query) -> RuleRows {
        RuleRows::new(&self.organization, &self.day, query, self.covered())
    }

    fn page(&self, found: &RuleRows, query: &Query, range: Range<usize>) -> Vec<Text> {
        let rows = found.rows(&self.organization, &self.day, query, range);
        let text = |row: RuleRow| {
            let account = self.organization.account_id(row.account).to_owned();
            (account, self.organization.regions()[usize::from(row.region)], row.rule.name, row.rule.kind)
        };
        rows.into_iter().map(text).collect()
    }

    fn all(&self, query: &Query) -> Vec<Text> {
        let found = self.found(query);
        self.page(&found, query, 0..found.len())
    }

    /// How many rules the accounts covered have: the counts of their packs, and the rules of no pack.
    fn total(&self) -> usize {
        let (organization, date) = (&self.organization, self.day.date);
        let here = self.covered().filter(|account| organization.has_account(*account, date));
        let in_place = |account: u32, region: u16| -> usize {
            let states =
                (0..organization.packs()).filter_map(|pack| organization.pack(account, region.into(), pack, date));
            let of_packs: usize = states.map(|state| usize::from(state.total)).sum();
            of_packs + organization.rules(&RuleSource { account, region, pack: None }, date).len()
        };
        here.flat_map(|account| (0..organization.regions().len() as u16).map(move |region| in_place(account, region)))
            .sum()
    }
}

fn everything() -> Query {
    Query {
        aggregator: "org-aggregator",
        account_id: None,
        region: None,
        name: None,
        kind: None,
        without_results: true,
    }
}

#[test]
fn pages_of_any_size_have_every_rule_once() {
    let asked = Asked::new(OrganizationSpec { accounts: 40, ..OrganizationSpec::default() });
    let found = asked.found(&everything());
    let total = asked.total();
    assert!(total > 10_000 && found.len() == total, "{total} {}", found.len());
    let all = asked.page(&found, &everything(), 0..total);
    let places: HashSet<_> = all.iter().map(|(account, region, name, _)| (account, region, name)).collect();
    assert_eq!((all.len(), places.len()), (total, total));
    for size in [1, 7, 100, 1_000] {
        let starts = (0..total).step_by(size).take(400);
        let pages = starts.map(|from| from..(from + size).min(total));
        let paged: Vec<_> = pages.flat_map(|range| asked.page(&found, &everything(), range)).collect();
        assert_eq!(paged.len(), total.min(400 * size), "{size}");
        assert_eq!(paged[..], all[..paged.len()], "{size}");
    }
    assert_eq!(asked.page(&found, &everything(), total..total), []);
}

#[test]
fn an_account_that_has_left_has_no_rules() {
    let asked = Asked::new(OrganizationSpec { accounts: 2_000, regions: 1, packs: 1, ..OrganizationSpec::default() });
    let (here, left): (Vec<u32>, Vec<u32>) =
        asked.covered().partition(|account| asked.organization.has_account(*account, asked.day.date));
    assert!(!left.is_empty());
    let found = asked.found(&everything());
    let rows = found.rows(&asked.organization, &asked.day, &everything(), 0..found.len());
    let accounts: HashSet<u32> = rows.iter().map(|row| row.account).collect();
    assert!(left.iter().all(|account| !accounts.contains(account)), "{left:?}");
    assert!(accounts.len() > 1_000 && accounts.iter().all(|account| here.contains(account)));
    for account in left.into_iter().take(10) {
        let account_id = Some(asked.organization.account_id(account).to_owned());
        assert_eq!(asked.all(&Query { account_id, ..everything() }), []);
    }
}

#[test]
fn a_query_has_the_rules_that_fit_it() {
    let asked = Asked::new(OrganizationSpec { accounts: 40, ..OrganizationSpec::default() });
    let all = asked.all(&everything());
    for example in all.iter().step_by(all.len() / 40) {
        let (account, region, name, kind) = example.clone();
        let queries = [
            Query { account_id: Some(account.clone()), ..everything() },
            Query { region: Some(region.to_owned()), kind: Some(kind), ..everything() },
            Query { name: Some(name.clone()), ..everything() },
            Query { without_results: false, ..everything() },
            Query { account_id: Some(account.clone()), without_results: false, ..everything() },
            Query { name: Some(name.clone()), without_results: false, ..everything() },
            Query { name: Some(name), account_id: Some(account), kind: Some(kind), ..everything() },
        ];
        for query in queries {
            let fits = |row: &&Text| {
                query.account_id.as_ref().is_none_or(|account| *account == row.0)
                    && query.region.as_ref().is_none_or(|region| region == row.1)
                    && query.name.as_ref().is_none_or(|name| *name == row.2)
                    && query.kind.is_none_or(|kind| kind == row.3)
                    && (query.without_results || query.kind.is_some() || row.3 != Kind::InsufficientData)
            };
            let expected: Vec<_> = all.iter().filter(fits).cloned().collect();
            assert_eq!(asked.all(&query), expected, "{query:?}");
        }
    }
}

#[test]
fn a_place_takes_16_bytes() {
    assert_eq!(size_of::<Place>() + size_of::<usize>(), 16);
}

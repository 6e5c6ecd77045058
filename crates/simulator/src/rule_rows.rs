//! Where the rules of a query are: how many each pack has, and not the rules themselves, of which there are some twenty times
//! as many as packs. A page makes its own.

use crate::organization::{Organization, Rule, RuleSource};
use crate::rows::{Day, Query};
use std::ops::Range;

/// The rules of a query, as where they come from; 20 bytes a pack.
#[derive(Debug, Default)]
pub(crate) struct RuleRows {
    places: Vec<Place>,
    /// How many rules there are up to and with each of the places.
    ends: Vec<usize>,
}

/// Where rules come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The pack of a row of the day.
    Pack(u32),
    /// No pack, in an account and region.
    Own { account: u32, region: u16 },
}

/// A rule, and where it is.
#[derive(Debug)]
pub(crate) struct RuleRow {
    pub(crate) account: u32,
    pub(crate) region: u16,
    pub(crate) rule: Rule,
}

impl Place {
    fn source(self, day: &Day) -> RuleSource {
        match self {
            Self::Own { account, region } => RuleSource { account, region, pack: None },
            Self::Pack(position) => {
                let row = &day.rows[position as usize];
                RuleSource { account: row.account, region: row.region, pack: Some((row.pack, row.state)) }
            }
        }
    }
}

impl RuleRows {
    /// The rules of a query that come from places, in their order.
    pub(crate) fn new(
        organization: &Organization,
        day: &Day,
        query: &Query,
        places: impl IntoIterator<Item = Place>,
    ) -> Self {
        let mut rows = Self::default();
        for place in places {
            let source = place.source(day);
            let count = match &query.name {
                None => organization.rule_count(&source, query.kind, day.date),
                Some(_) => wanted(organization, day, query, &source).count(),
            };
            if count > 0 {
                rows.places.push(place);
                rows.ends.push(rows.len() + count);
            }
        }
        rows
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    /// The rules at some positions of the query's.
    pub(crate) fn rows(
        &self,
        organization: &Organization,
        day: &Day,
        query: &Query,
        range: Range<usize>,
    ) -> Vec<RuleRow> {
        let first = self.ends.partition_point(|end| *end <= range.start);
        let start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        let sources = self.places[first..].iter().map(|place| place.source(day));
        let rows = sources.flat_map(|source| {
            wanted(organization, day, query, &source).map(move |rule| RuleRow {
                account: source.account,
                region: source.region,
                rule,
            })
        });
        rows.skip(range.start - start).take(range.len()).collect()
    }
}

/// The rules of a source that a query wants. A name that is looked for in a million packs is seldom in one: its ending tells.
fn wanted<'a>(
    organization: &Organization,
    day: &Day,
    query: &'a Query,
    source: &RuleSource,
) -> impl Iterator<Item = Rule> + use<'a> {
    let here = query.name.as_ref().is_none_or(|name| name.ends_with(&organization.rule_ending(source)));
    let rules = if here { organization.rules(source, day.date) } else { Vec::new() };
    rules.into_iter().filter(|rule| {
        query.kind.is_none_or(|kind| kind == rule.kind) && query.name.as_ref().is_none_or(|name| *name == rule.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OrganizationSpec;
    use crate::organization::Kind;
    use crate::rows::Days;
    use compline_model::SnapshotDate;
    use std::sync::Arc;

    struct Asked {
        organization: Organization,
        day: Arc<Day>,
    }

    impl Asked {
        fn new() -> Self {
            let organization = Organization::new(OrganizationSpec { accounts: 40, ..OrganizationSpec::default() });
            let date: SnapshotDate = "2026-03-01".parse().expect("a date");
            let day = Days::default().get(&organization, date);
            Self { organization, day }
        }

        fn rows(&self) -> Arc<RuleRows> {
            self.found(&everything())
        }

        fn found(&self, query: &Query) -> Arc<RuleRows> {
            let aggregator = &self.organization.aggregators()[0];
            self.day.find_rules(&self.organization, query, self.organization.covered(aggregator))
        }

        fn page(&self, query: &Query, range: Range<usize>) -> Vec<(String, &'static str, String, Kind)> {
            let rows = self.found(query).rows(&self.organization, &self.day, query, range);
            let text = |row: RuleRow| {
                let account = self.organization.account_id(row.account).to_owned();
                (account, self.organization.regions()[usize::from(row.region)], row.rule.name, row.rule.kind)
            };
            rows.into_iter().map(text).collect()
        }

        fn all(&self, query: &Query) -> Vec<(String, &'static str, String, Kind)> {
            self.page(query, 0..self.found(query).len())
        }
    }

    fn everything() -> Query {
        Query { aggregator: "org-aggregator", account_id: None, region: None, name: None, kind: None }
    }

    #[test]
    fn pages_of_any_size_have_every_rule_once() {
        let asked = Asked::new();
        let all = asked.all(&everything());
        let total = asked.rows().len();
        assert!(total > 10_000 && all.len() == total, "{total} {}", all.len());
        for size in [1, 7, 100, 1_000] {
            let starts = (0..total).step_by(size).take(400);
            let paged: Vec<_> =
                starts.flat_map(|from| asked.page(&everything(), from..(from + size).min(total))).collect();
            assert_eq!(paged[..], all[..paged.len()], "{size}");
        }
        assert_eq!(asked.page(&everything(), total..total), []);
    }

    #[test]
    fn a_query_has_the_rules_that_fit_it() {
        let asked = Asked::new();
        let all = asked.all(&everything());
        for example in all.iter().step_by(all.len() / 40) {
            let (account, region, name, kind) = example.clone();
            let queries = [
                Query { account_id: Some(account.clone()), ..everything() },
                Query { region: Some(region.to_owned()), kind: Some(kind), ..everything() },
                Query { name: Some(name.clone()), ..everything() },
                Query { name: Some(name), account_id: Some(account), kind: Some(kind), ..everything() },
            ];
            for query in queries {
                let fits = |row: &&(String, &str, String, Kind)| {
                    query.account_id.as_ref().is_none_or(|account| *account == row.0)
                        && query.region.as_ref().is_none_or(|region| region == row.1)
                        && query.name.as_ref().is_none_or(|name| *name == row.2)
                        && query.kind.is_none_or(|kind| kind == row.3)
                };
                let expected: Vec<_> = all.iter().filter(fits).cloned().collect();
                assert_eq!(asked.all(&query), expected, "{query:?}");
            }
        }
    }
}

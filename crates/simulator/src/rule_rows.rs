//! The rules of a query, as how many of them each pack has: there are some twenty times as many rules as packs, so that a page
//! makes its own.

use crate::organization::{Organization, Rule, RuleSource};
use crate::rows::{Day, Query};
use std::ops::Range;

/// The rules of a query, as where they come from: 16 bytes for each pack, and for each account and region.
#[derive(Debug, Default)]
pub(crate) struct RuleRows {
    places: Vec<Place>,
    /// How many rules come from each place and those before it.
    ends: Vec<usize>,
}

/// Where rules come from.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// A pack: the position of its row.
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
    /// The rules of a query, of an account and region after the other: first those of no pack, then those of each pack.
    pub(crate) fn new(organization: &Organization, day: &Day, query: &Query, covered: Range<u32>) -> Self {
        let mut rows = Self::default();
        for place in places(organization, day, query, covered) {
            let source = place.source(day);
            let count = match &query.name {
                None => organization.rule_count(&source, |kind| query.wants(kind), day.date),
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

/// Where rules of a query may come from.
fn places(organization: &Organization, day: &Day, query: &Query, covered: Range<u32>) -> impl Iterator<Item = Place> {
    let in_region = query.in_region(organization);
    let regions: Vec<u16> = (0..organization.regions().len() as u16).filter(|region| in_region(*region)).collect();
    let accounts = query.accounts(organization, covered);
    let here = accounts.filter(|account| organization.has_account(*account, day.date));
    here.flat_map(move |account| {
        let place = move |region: u16| {
            let packs = day.positions(account, region).map(Place::Pack);
            std::iter::once(Place::Own { account, region }).chain(packs)
        };
        regions.clone().into_iter().flat_map(place)
    })
}

/// The rules of a source that a query wants. A name that is looked for in a million packs is in one at most.
fn wanted<'a>(
    organization: &Organization,
    day: &Day,
    query: &'a Query,
    source: &RuleSource,
) -> impl Iterator<Item = Rule> + use<'a> {
    let here = query.name.as_ref().is_none_or(|name| organization.may_have(source, name, day.date));
    let rules = if here { organization.rules(source, day.date) } else { Vec::new() };
    rules.into_iter().filter(|rule| query.wants(rule.kind) && query.name.as_ref().is_none_or(|name| *name == rule.name))
}

#[cfg(test)]
mod tests;

//! The rows of a day, made once, and where the rows of a query are among them.

use crate::organization::{AggregatorFacts, Kind, Organization, PackState};
use crate::rule_rows::{Place, RuleRows};
use compline_model::SnapshotDate;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// How many days are kept: readers of one night ask for one day, and the demo goes on to the next.
const KEPT_DAYS: usize = 2;

/// How many queries of a day are kept, each 4 bytes a row for packs.
const KEPT_QUERIES: usize = 100_000;

/// One row, without its texts, so that a million take 20 MB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) account: u32,
    pub(crate) region: u16,
    pub(crate) pack: u16,
    pub(crate) state: PackState,
}

/// What rows are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Query {
    pub(crate) aggregator: &'static str,
    pub(crate) account_id: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<Kind>,
}

/// A day of the whole organization, sorted by account, region and pack.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) date: SnapshotDate,
    pub(crate) rows: Vec<Row>,
    /// Where each account's rows start; one more than there are accounts.
    starts: Vec<u32>,
    queries: Queries<Vec<u32>>,
    rule_queries: Queries<RuleRows>,
}

/// What queries of a day have found.
#[derive(Debug)]
struct Queries<T>(Mutex<HashMap<Query, Arc<T>>>);

/// The days kept.
#[derive(Debug, Default)]
pub(crate) struct Days(Mutex<VecDeque<(SnapshotDate, Arc<Day>)>>);

impl Days {
    /// The rows of a day, made now if they are not kept.
    pub(crate) fn get(&self, organization: &Organization, date: SnapshotDate) -> Arc<Day> {
        let mut days = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, day)) = days.iter().find(|(kept, _)| *kept == date) {
            return Arc::clone(day);
        }
        days.truncate(KEPT_DAYS - 1);
        let day = Arc::new(Day::new(organization, date));
        days.push_front((date, Arc::clone(&day)));
        day
    }
}

impl Day {
    fn new(organization: &Organization, date: SnapshotDate) -> Self {
        let mut rows = Vec::new();
        let mut starts = vec![0];
        let all = AggregatorFacts { name: "", region: "", share: (0, 1000), of_organization: true };
        for account in organization.covered(&all) {
            if organization.has_account(account, date) {
                add_account(&mut rows, organization, account, date);
            }
            starts.push(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        }
        Self { date, rows, starts, queries: Queries::default(), rule_queries: Queries::default() }
    }

    /// The positions of a query's rows.
    pub(crate) fn find(
        &self,
        organization: &Organization,
        query: &Query,
        covered: std::ops::Range<u32>,
    ) -> Arc<Vec<u32>> {
        self.queries.get(query, || self.scan(organization, query, covered))
    }

    /// Where the rules of a query are.
    pub(crate) fn find_rules(
        &self,
        organization: &Organization,
        query: &Query,
        covered: std::ops::Range<u32>,
    ) -> Arc<RuleRows> {
        self.rule_queries.get(query, || {
            let places = self.rule_places(organization, query, covered);
            RuleRows::new(organization, self, query, places)
        })
    }

    fn scan(&self, organization: &Organization, query: &Query, covered: std::ops::Range<u32>) -> Vec<u32> {
        let accounts = query.accounts(organization, covered);
        let positions = self.starts[accounts.start as usize]..self.starts[accounts.end as usize];
        let in_region = query.in_region(organization);
        let wanted = |position: &u32| {
            let row = &self.rows[*position as usize];
            in_region(row.region)
                && query.kind.is_none_or(|kind| kind == row.state.kind)
                && query.name.as_ref().is_none_or(|name| *name == row.pack_name(organization))
        };
        positions.filter(wanted).collect()
    }

    /// Where rules of a query may come from: in each account and region those of no pack, and then each pack.
    fn rule_places<'a>(
        &'a self,
        organization: &'a Organization,
        query: &Query,
        covered: std::ops::Range<u32>,
    ) -> impl Iterator<Item = Place> + use<'a> {
        let accounts = query.accounts(organization, covered);
        let in_region = query.in_region(organization);
        let regions: Vec<u16> = (0..organization.regions().len() as u16).filter(|region| in_region(*region)).collect();
        let here = accounts.filter(|account| organization.has_account(*account, self.date));
        here.flat_map(move |account| {
            let place = move |region: u16| {
                let packs = self.positions(account, region).map(Place::Pack);
                std::iter::once(Place::Own { account, region }).chain(packs)
            };
            regions.clone().into_iter().flat_map(place)
        })
    }

    /// The positions of the packs of an account and region.
    fn positions(&self, account: u32, region: u16) -> std::ops::Range<u32> {
        let (start, end) = (self.starts[account as usize], self.starts[account as usize + 1]);
        let rows = &self.rows[start as usize..end as usize];
        let from = rows.partition_point(|row| row.region < region) as u32;
        let to = rows.partition_point(|row| row.region <= region) as u32;
        start + from..start + to
    }
}

impl Query {
    /// The positions of the accounts that it is about, among those covered.
    fn accounts(&self, organization: &Organization, covered: std::ops::Range<u32>) -> std::ops::Range<u32> {
        match &self.account_id {
            None => covered,
            Some(id) => match covered.clone().find(|account| organization.account_id(*account) == id) {
                Some(account) => account..account + 1,
                None => 0..0,
            },
        }
    }

    /// Whether it is about the region of a position.
    fn in_region(&self, organization: &Organization) -> impl Fn(u16) -> bool + use<> {
        let wanted = self.region.as_ref().map(|name| organization.regions().iter().position(|region| region == name));
        move |region| wanted.is_none_or(|wanted| wanted == Some(usize::from(region)))
    }
}

impl<T> Queries<T> {
    /// What was found for a query, found now if it is not kept.
    fn get(&self, query: &Query, find: impl FnOnce() -> T) -> Arc<T> {
        let mut queries = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = queries.get(query) {
            return Arc::clone(found);
        }
        if queries.len() >= KEPT_QUERIES {
            queries.clear();
        }
        let found = Arc::new(find());
        queries.insert(query.clone(), Arc::clone(&found));
        found
    }
}

impl<T> Default for Queries<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl Row {
    pub(crate) fn pack_name(&self, organization: &Organization) -> String {
        organization.pack_name(self.account, self.pack.into(), self.state.recreation)
    }
}

fn add_account(rows: &mut Vec<Row>, organization: &Organization, account: u32, date: SnapshotDate) {
    for region in 0..organization.regions().len() as u16 {
        for pack in 0..organization.packs() as u16 {
            if let Some(state) = organization.pack(account, region.into(), pack.into(), date) {
                rows.push(Row { account, region, pack, state });
            }
        }
    }
}

//! The rows of a day, made once, and where the rows of a query are among them.

use crate::organization::{AggregatorFacts, Kind, Organization, PackState};
use compline_model::SnapshotDate;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// How many days are kept: readers of one night ask for one day, and the demo goes on to the next.
const KEPT_DAYS: usize = 2;

/// How many queries of a day are kept, each 4 bytes a row.
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
    pub(crate) pack_name: Option<String>,
    pub(crate) kind: Option<Kind>,
}

/// A day of the whole organization, sorted by account, region and pack.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) rows: Vec<Row>,
    /// Where each account's rows start; one more than there are accounts.
    starts: Vec<u32>,
    queries: Mutex<HashMap<Query, Arc<Vec<u32>>>>,
}

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
        Self { rows, starts, queries: Mutex::default() }
    }

    /// The positions of a query's rows.
    pub(crate) fn find(
        &self,
        organization: &Organization,
        query: &Query,
        covered: std::ops::Range<u32>,
    ) -> Arc<Vec<u32>> {
        let mut queries = self.queries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = queries.get(query) {
            return Arc::clone(found);
        }
        if queries.len() >= KEPT_QUERIES {
            queries.clear();
        }
        let found = Arc::new(self.scan(organization, query, covered));
        queries.insert(query.clone(), Arc::clone(&found));
        found
    }

    fn scan(&self, organization: &Organization, query: &Query, covered: std::ops::Range<u32>) -> Vec<u32> {
        let accounts = match &query.account_id {
            None => covered,
            Some(id) => match covered.clone().find(|account| organization.account_id(*account) == id) {
                Some(account) => account..account + 1,
                None => 0..0,
            },
        };
        let positions = self.starts[accounts.start as usize]..self.starts[accounts.end as usize];
        let region = query.region.as_ref().map(|name| organization.regions().iter().position(|region| region == name));
        let wanted = |position: &u32| {
            let row = &self.rows[*position as usize];
            region.is_none_or(|region| region == Some(usize::from(row.region)))
                && query.kind.is_none_or(|kind| kind == row.state.kind)
                && query.pack_name.as_ref().is_none_or(|name| *name == row.pack_name(organization))
        };
        positions.filter(wanted).collect()
    }
}

impl Row {
    pub(crate) fn pack_name(&self, organization: &Organization) -> String {
        organization.pack_name(self.account, self.pack.into(), self.state.made_anew)
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

//! The rows of a day, one for each pack in an account and region, and which of them a query is about.

use crate::organization::{AggregatorFacts, Kind, Organization, PackState};
use compline_model::SnapshotDate;
use std::ops::Range;

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
    /// Whether what has no results is listed, unless a compliance type is asked for.
    pub(crate) without_results: bool,
}

/// A day of the whole organization, sorted by account, region and pack.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) date: SnapshotDate,
    pub(crate) rows: Vec<Row>,
    /// Where each account's rows start; one more than there are accounts.
    starts: Vec<u32>,
}

impl Day {
    pub(crate) fn new(organization: &Organization, date: SnapshotDate) -> Self {
        let mut rows = Vec::new();
        let mut starts = vec![0];
        let all = AggregatorFacts { name: "", region: "", share: (0, 1000), of_organization: true };
        for account in organization.covered(&all) {
            if organization.has_account(account, date) {
                add_account(&mut rows, organization, account, date);
            }
            starts.push(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        }
        Self { date, rows, starts }
    }

    /// The positions of a query's rows.
    pub(crate) fn scan(&self, organization: &Organization, query: &Query, covered: Range<u32>) -> Vec<u32> {
        let accounts = query.accounts(organization, covered);
        let positions = self.starts[accounts.start as usize]..self.starts[accounts.end as usize];
        let in_region = query.in_region(organization);
        let wanted = |position: &u32| {
            let row = &self.rows[*position as usize];
            in_region(row.region)
                && query.wants(row.state.kind)
                && query.name.as_ref().is_none_or(|name| *name == row.pack_name(organization))
        };
        positions.filter(wanted).collect()
    }

    /// The positions of the packs of an account and region.
    pub(crate) fn positions(&self, account: u32, region: u16) -> Range<u32> {
        let (start, end) = (self.starts[account as usize], self.starts[account as usize + 1]);
        let rows = &self.rows[start as usize..end as usize];
        let from = rows.partition_point(|row| row.region < region) as u32;
        let to = rows.partition_point(|row| row.region <= region) as u32;
        start + from..start + to
    }
}

impl Query {
    /// The positions of the accounts that it is about, among those covered.
    pub(crate) fn accounts(&self, organization: &Organization, covered: Range<u32>) -> Range<u32> {
        match &self.account_id {
            None => covered,
            Some(id) => match covered.clone().find(|account| organization.account_id(*account) == id) {
                Some(account) => account..account + 1,
                None => 0..0,
            },
        }
    }

    /// Whether it is about a compliance type.
    pub(crate) fn wants(&self, kind: Kind) -> bool {
        self.kind.map_or(self.without_results || kind != Kind::InsufficientData, |wanted| wanted == kind)
    }

    /// Whether it is about the region of a position.
    pub(crate) fn in_region(&self, organization: &Organization) -> impl Fn(u16) -> bool + use<> {
        let wanted = self.region.as_ref().map(|name| organization.regions().iter().position(|region| region == name));
        move |region| wanted.is_none_or(|wanted| wanted == Some(usize::from(region)))
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

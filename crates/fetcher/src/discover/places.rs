//! The accounts and regions that AWS Config names in any of its answers.

use crate::error::Cause;
use crate::plan::Split;
use crate::wire::{Gathered, excerpt};
use compline_model::{AccountId, Region, SourceAnswer};
use std::collections::BTreeSet;

/// Accounts and regions, and names of none.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) regions: BTreeSet<Region>,
    pub(super) accounts: BTreeSet<AccountId>,
    /// Regions that have not the form of one: a shard cannot ask for them, and must not be left out without a word.
    pub(super) unknown_regions: BTreeSet<String>,
    pub(super) unknown_accounts: BTreeSet<String>,
}

impl Places {
    /// Adds what a source's status names. The organization itself is no account that has packs.
    pub(super) fn add_source(&mut self, status: &SourceAnswer) {
        if status.source_type != ORGANIZATION || status.source_id.parse::<AccountId>().is_ok() {
            self.add_account(&status.source_id);
        }
        if let Some(region) = &status.aws_region {
            self.add_region(region);
        }
    }

    /// Adds what an aggregator is set up to gather from.
    pub(super) fn add_gathered(&mut self, gathered: &Gathered) {
        for account in &gathered.account_ids {
            self.add_account(account);
        }
        for region in &gathered.aws_regions {
            self.add_region(region);
        }
    }

    /// Adds what AWS Config counts packs in; gives what of it is new.
    pub(super) fn add_counted<'a>(&mut self, split: Split, names: impl Iterator<Item = &'a String>) -> Vec<String> {
        let is_new = |name: &&String| match split {
            Split::Accounts => self.add_account(name),
            Split::Regions | Split::Either => self.add_region(name),
        };
        names.filter(is_new).map(|name| excerpt(name)).collect()
    }

    /// Adds an account; whether it is a new one.
    fn add_account(&mut self, name: &str) -> bool {
        match name.parse() {
            Ok(account) => self.accounts.insert(account),
            Err(_) => self.unknown_accounts.insert(name.to_owned()),
        }
    }

    /// Adds a region; whether it is a new one.
    fn add_region(&mut self, name: &str) -> bool {
        match name.parse() {
            Ok(region) => self.regions.insert(region),
            Err(_) => self.unknown_regions.insert(name.to_owned()),
        }
    }

    /// Why a split would not read everything: there is nothing to split by, or something that no request can name.
    pub(super) fn lack(&self, split: Split) -> Option<Cause> {
        let (none, unknown, what) = match split {
            Split::Accounts => (self.accounts.is_empty(), &self.unknown_accounts, "account"),
            Split::Regions | Split::Either => (self.regions.is_empty(), &self.unknown_regions, "region"),
        };
        if !unknown.is_empty() {
            let names = unknown.iter().take(MAX_NAMED).map(|name| excerpt(name)).collect();
            return Some(Cause::UnknownNames { what, names, count: unknown.len() });
        }
        none.then_some(Cause::NoSources)
    }

    /// Whether there is a name that no request can have.
    pub(super) fn lacks_name(&self, split: Split) -> bool {
        matches!(self.lack(split), Some(Cause::UnknownNames { .. }))
    }

    /// Says what is no name of a region or an account.
    pub(super) fn warn_of_unknown(&self) {
        for region in &self.unknown_regions {
            tracing::warn!(region = excerpt(region), "not a region's name: no split by region");
        }
        for account in &self.unknown_accounts {
            tracing::warn!(account = excerpt(account), "not an account id: no split by account");
        }
    }
}

/// Says what AWS Config counts packs in and none of the sources names.
pub(super) fn warn_of_unnamed(split: Split, unnamed: &[String]) {
    if !unnamed.is_empty() {
        let first = unnamed.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
        let count = unnamed.len();
        tracing::warn!(count, first, "AWS Config counts packs in {split} that none of the sources names");
    }
}

/// The type of a source that is an organization.
const ORGANIZATION: &str = "ORGANIZATION";

/// Names in an error; more help nobody.
const MAX_NAMED: usize = 5;

//! What the operations have in common that list compliance by account, region and name.

use super::{Context, List, Paging};
use crate::organization::Kind;
use crate::request::{ApiError, Fields};
use crate::rows::Query;
use crate::token;
use compline_model::AccountId;
use serde_json::{Value, json};
use std::ops::Range;

/// An operation that lists compliance by account, region and name.
pub(super) struct Listing {
    pub(super) list: List,
    /// The field of the name, in an item and in the filters.
    pub(super) name: &'static str,
    /// Which names the filter takes.
    pub(super) is_name: fn(&str) -> bool,
    /// Which compliance types the filter takes.
    pub(super) kinds: &'static [Kind],
}

impl Listing {
    /// What a request asks for, and the positions of the accounts of its aggregator; `without_results` says whether what has no
    /// results is listed.
    pub(super) fn query(
        &self,
        context: &Context<'_>,
        fields: &Fields,
        without_results: bool,
    ) -> Result<(Query, Range<u32>), ApiError> {
        let aggregator = context.aggregator(fields)?;
        let filters = fields.inner("Filters")?;
        let (account_id, region) = place(&filters)?;
        let kind = filters.text("ComplianceType", |text| self.kind(text).is_some())?;
        let name = filters.text(self.name, self.is_name)?;
        let kind = kind.and_then(|text| self.kind(&text));
        let query = Query { aggregator: aggregator.name, account_id, region, name, kind, without_results };
        Ok((query, context.organization.covered(aggregator)))
    }

    /// Which page of a query is asked for; a token is good for this operation, query and day.
    pub(super) fn paging(&self, context: &Context<'_>, fields: &Fields, query: &Query) -> Result<Paging, ApiError> {
        context.paging(fields, token::fingerprint(&(self.list.name, context.date, query)), self.list)
    }

    /// One item of the list.
    pub(super) fn item(
        &self,
        context: &Context<'_>,
        (account, region): (u32, u16),
        name: String,
        compliance: Value,
    ) -> Value {
        json!({
            self.name: name,
            "AccountId": context.organization.account_id(account),
            "AwsRegion": context.organization.regions()[usize::from(region)],
            "Compliance": compliance,
        })
    }

    fn kind(&self, text: &str) -> Option<Kind> {
        self.kinds.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// The filters that every operation with filters has: an account and a region.
pub(super) fn place(filters: &Fields) -> Result<(Option<String>, Option<String>), ApiError> {
    let account_id = filters.text("AccountId", |text| text.parse::<AccountId>().is_ok())?;
    let region = filters.text("AwsRegion", |text| matches!(text.len(), 1..=64))?;
    Ok((account_id, region))
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "COMPLIANT",
            Self::NonCompliant => "NON_COMPLIANT",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

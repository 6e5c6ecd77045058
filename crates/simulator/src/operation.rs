//! The five operations.

mod aggregators;
mod listing;
mod packs;
mod rules;
mod sources;
mod summary;

use crate::days::Days;
use crate::faults::{FaultState, TokenFate};
use crate::organization::{AggregatorFacts, Organization};
use crate::request::{ApiError, Fields};
use crate::token;
use compline_model::{AggregatorName, SnapshotDate};
use serde_json::{Map, Value};
use std::ops::Range;

/// The most rows that a page of most operations has.
const MAX_LIMIT: usize = 100;

/// A list that comes in pages.
#[derive(Debug, Clone, Copy)]
struct List {
    /// The field that has it.
    name: &'static str,
    /// The most rows that a page has, and how many it has where the request does not say.
    max_limit: usize,
}

/// Which page of a list is asked for.
#[derive(Debug)]
struct Paging {
    /// The field that has the list.
    list: &'static str,
    /// What the page's tokens belong to.
    fingerprint: u64,
    limit: usize,
    offset: usize,
    round: u64,
    /// The token that a fault has answered instead of the next.
    repeated: Option<String>,
}

/// What an operation answers from.
pub(crate) struct Context<'a> {
    pub(crate) organization: &'a Organization,
    pub(crate) days: &'a Days,
    pub(crate) faults: &'a FaultState,
    pub(crate) date: SnapshotDate,
    pub(crate) region: &'a str,
}

pub(crate) fn answer(context: &Context<'_>, operation: &str, fields: &Fields) -> Result<Value, ApiError> {
    if !operation.is_empty() && operation == context.faults.faults.denied_operation {
        context.faults.note("denied_operation");
        let message = format!("User is not authorized to perform: config:{operation}");
        return Err(ApiError { code: "AccessDeniedException", status: 400, message });
    }
    match operation {
        "DescribeAggregateComplianceByConfigRules" => rules::answer(context, fields),
        "DescribeAggregateComplianceByConformancePacks" => packs::answer(context, fields),
        "DescribeConfigurationAggregators" => aggregators::answer(context, fields),
        "DescribeConfigurationAggregatorSourcesStatus" => sources::answer(context, fields),
        "GetAggregateConformancePackComplianceSummary" => summary::answer(context, fields),
        _ => Err(ApiError::new("UnknownOperationException", "no such operation")),
    }
}

impl Context<'_> {
    /// The aggregator that a request names, in the region that it was signed for.
    fn aggregator(&self, fields: &Fields) -> Result<&'static AggregatorFacts, ApiError> {
        let name = fields
            .text("ConfigurationAggregatorName", |text| text.parse::<AggregatorName>().is_ok())?
            .ok_or_else(|| ApiError::validation("1 validation error detected: Value null at 'configurationAggregatorName' failed to satisfy constraint: Member must not be null"))?;
        let unknown = || {
            ApiError::new(
                "NoSuchConfigurationAggregatorException",
                "The configuration aggregator does not exist. Check the configuration aggregator name and try again.",
            )
        };
        self.organization.aggregator(&name, self.region).ok_or_else(unknown)
    }

    /// What a request says of its page. It is checked before anything is looked for, so that a bad limit or token costs no scan of
    /// the organization.
    fn paging(&self, fields: &Fields, fingerprint: u64, list: List) -> Result<Paging, ApiError> {
        let limit = fields.limit(list.max_limit)?;
        let mut paging = Paging { list: list.name, fingerprint, limit, offset: 0, round: 0, repeated: None };
        let Some(token) = fields.token()? else { return Ok(paging) };
        (paging.offset, paging.round) = token::open(fingerprint, &token).ok_or_else(refused_token)?;
        match self.faults.token(list.name, &token) {
            TokenFate::Taken => {}
            TokenFate::Refused => return Err(refused_token()),
            TokenFate::Repeated => paging.repeated = Some(token),
        }
        Ok(paging)
    }

    /// Cuts a list short where the fault of this name says how many items it has at most; 0 for all.
    fn cut<T>(&self, fault: &'static str, most: u32, list: &mut Vec<T>) {
        let most = most as usize;
        if most > 0 && most < list.len() {
            self.faults.note(fault);
            list.truncate(most);
        }
    }

    /// One page of `total` items: those at the positions that `items` is asked for, and the token of the next page.
    fn page(&self, paging: Paging, total: usize, items: impl FnOnce(Range<usize>) -> Vec<Value>) -> Map<String, Value> {
        let from = paging.offset.min(total);
        // Where no rows are left an empty page is no fault, and is not counted as one.
        let empty = from < total && self.faults.empty_page();
        let to = if empty { from } else { (from + paging.limit).min(total) };
        let round = paging.round + u64::from(empty);
        let next = (to < total).then(|| token::make(paging.fingerprint, to, round));
        let mut page = Map::new();
        page.insert(paging.list.to_owned(), Value::Array(items(from..to)));
        if let Some(token) = paging.repeated.or(next) {
            page.insert("NextToken".to_owned(), Value::String(token));
        }
        page
    }
}

fn refused_token() -> ApiError {
    ApiError::new(
        "InvalidNextTokenException",
        "The specified next token is not valid. Specify the nextToken string that was returned in the previous response to get the next page of results.",
    )
}

#[cfg(test)]
mod tests;

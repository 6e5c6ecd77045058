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

/// The most rows a page of most operations.
const MAX_LIMIT: usize = 100;

/// A list that comes in pages.
#[derive(Debug, Clone, Copy)]
struct List {
    /// The field that has it.
    name: &'static str,
    /// The most rows a page, and as many as come if none are asked for.
    max_limit: usize,
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

    /// One page of `total` items: their positions, put into `list` by `items`, and the token of the next.
    fn page(
        &self,
        fields: &Fields,
        fingerprint: u64,
        total: usize,
        list: List,
        items: impl FnOnce(std::ops::Range<usize>) -> Vec<Value>,
    ) -> Result<Map<String, Value>, ApiError> {
        let limit = fields.limit(list.max_limit)?;
        let refused = || {
            ApiError::new(
                "InvalidNextTokenException",
                "The specified next token is not valid. Specify the nextToken string that was returned in the previous response to get the next page of results.",
            )
        };
        let (mut offset, mut round, mut repeated) = (0, 0, None);
        if let Some(token) = fields.token() {
            (offset, round) = token::open(fingerprint, token).ok_or_else(refused)?;
            match self.faults.token(token) {
                TokenFate::Taken => {}
                TokenFate::Refused => return Err(refused()),
                TokenFate::Repeated => repeated = Some(token.to_owned()),
            }
        }
        let from = offset.min(total);
        // An end of nothing is no empty page: the fault is counted only where rows are withheld.
        let empty = from < total && self.faults.empty_page();
        let to = if empty { from } else { (from + limit).min(total) };
        let next = (to < total).then(|| token::make(fingerprint, to, if empty { round + 1 } else { round }));
        let mut page = Map::new();
        page.insert(list.name.to_owned(), Value::Array(items(from..to)));
        if let Some(token) = repeated.or(next) {
            page.insert("NextToken".to_owned(), Value::String(token));
        }
        Ok(page)
    }
}

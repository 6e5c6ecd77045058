//! The SDK adapter: one method per operation of AWS Config, each one call with the SDK's retries and nothing else.

use crate::error::{CallContext, Cause, FetchError, from_sdk};
use crate::pace::Pace;
use crate::paging::Paging;
use crate::recorder::{CallCounts, Counters, Recorder};
use crate::wire::{WirePage, excerpt, parse_page};
use crate::{AggregatorAddress, Filter};
use aws_sdk_config::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_config::types::{
    AggregateConformancePackComplianceFilters, AggregateConformancePackComplianceSummary,
    AggregateConformancePackComplianceSummaryGroupKey, AggregatedSourceStatus, ConformancePackComplianceType,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::error::Error;
use std::sync::Arc;

/// Asks one aggregator. Cheap to clone; clones share connections, pace and counts.
#[derive(Debug, Clone)]
pub struct AggregatorClient {
    client: aws_sdk_config::Client,
    pace: Pace,
    address: Arc<AggregatorAddress>,
    page_size: Option<i32>,
    counters: Arc<Counters>,
}

/// The operation that lists sources.
pub(crate) const SOURCES: &str = "DescribeConfigurationAggregatorSourcesStatus";

/// The operation that counts packs.
pub(crate) const PACK_COUNTS: &str = "GetAggregateConformancePackComplianceSummary";

/// What came of asking for a page.
pub(crate) enum Asked<T> {
    /// The page.
    Answered(T),
    /// AWS Config no longer knows the token; only a fresh start helps.
    TokenRefused,
}

/// One page of a list.
pub(crate) struct ListPage<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_token: Option<String>,
}

impl AggregatorClient {
    pub(crate) fn new(
        (client, pace): (aws_sdk_config::Client, Pace),
        address: AggregatorAddress,
        page_size: Option<i32>,
    ) -> Self {
        Self { client, pace, address: Arc::new(address), page_size, counters: Arc::default() }
    }

    /// What this client and its clones have sent so far.
    pub fn counts(&self) -> CallCounts {
        self.counters.counts()
    }

    /// One page of `DescribeAggregateComplianceByConformancePacks`. `part` says which shard and page, for the error.
    pub(crate) async fn compliance_page(
        &self,
        filter: &Filter,
        token: Option<&str>,
        part: &str,
    ) -> Result<Asked<WirePage>, FetchError> {
        let operation = "DescribeAggregateComplianceByConformancePacks";
        let recorder = Recorder::new(&self.counters, &self.pace);
        self.pace.turn().await;
        let sent = self
            .client
            .describe_aggregate_compliance_by_conformance_packs()
            .configuration_aggregator_name(self.address.name.as_str())
            .set_filters(filters(filter))
            .set_limit(self.page_size)
            .set_next_token(token.map(str::to_owned))
            .customize()
            .interceptor(recorder.clone())
            .send()
            .await;
        if let Err(error) = &sent
            && token_refused(error, token)
        {
            return Ok(Asked::TokenRefused);
        }
        let body = recorder.body();
        let parsed = parse_page(&body);
        let start = || excerpt(&String::from_utf8_lossy(&body[..body.len().min(800)]));
        match (sent, parsed) {
            (Ok(_), Ok(page)) => Ok(Asked::Answered(page)),
            (Ok(_), Err(error)) => Err(FetchError::permanent(self.doing(operation, part), Cause::Body(error, start()))),
            (Err(error), parsed) => Err(self.error(operation, part, &error, parsed.err())),
        }
    }

    /// One page of `DescribeConfigurationAggregatorSourcesStatus`.
    pub(crate) async fn sources_page(
        &self,
        token: Option<&str>,
        part: &str,
    ) -> Result<Asked<ListPage<AggregatedSourceStatus>>, FetchError> {
        let operation = SOURCES;
        let recorder = Recorder::new(&self.counters, &self.pace);
        self.pace.turn().await;
        let sent = self
            .client
            .describe_configuration_aggregator_sources_status()
            .configuration_aggregator_name(self.address.name.as_str())
            .set_limit(self.page_size)
            .set_next_token(token.map(str::to_owned))
            .customize()
            .interceptor(recorder)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                let missing = || FetchError::transient(self.doing(operation, part), Cause::MissingList);
                let items = answer.aggregated_source_status_list.ok_or_else(missing)?;
                Ok(Asked::Answered(ListPage { items, next_token: answer.next_token }))
            }
            Err(error) if token_refused(&error, token) => Ok(Asked::TokenRefused),
            Err(error) => Err(self.error(operation, part, &error, None)),
        }
    }

    /// One page of `GetAggregateConformancePackComplianceSummary` by account.
    pub(crate) async fn pack_counts_page(
        &self,
        token: Option<&str>,
        part: &str,
    ) -> Result<Asked<ListPage<AggregateConformancePackComplianceSummary>>, FetchError> {
        let operation = PACK_COUNTS;
        let recorder = Recorder::new(&self.counters, &self.pace);
        self.pace.turn().await;
        let sent = self
            .client
            .get_aggregate_conformance_pack_compliance_summary()
            .configuration_aggregator_name(self.address.name.as_str())
            .group_by_key(AggregateConformancePackComplianceSummaryGroupKey::AccountId)
            .set_limit(self.page_size)
            .set_next_token(token.map(str::to_owned))
            .customize()
            .interceptor(recorder)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                let missing = || FetchError::transient(self.doing(operation, part), Cause::MissingList);
                let items = answer.aggregate_conformance_pack_compliance_summaries.ok_or_else(missing)?;
                Ok(Asked::Answered(ListPage { items, next_token: answer.next_token }))
            }
            Err(error) if token_refused(&error, token) => Ok(Asked::TokenRefused),
            Err(error) => Err(self.error(operation, part, &error, None)),
        }
    }

    /// Every item of a list, over all its pages: whole, or an error.
    pub(crate) async fn every_item<T>(
        &self,
        operation: &'static str,
        ask: impl AsyncFn(Option<&str>, &str) -> Result<Asked<ListPage<T>>, FetchError>,
    ) -> Result<Vec<T>, FetchError> {
        let mut paging = Paging::default();
        let mut items = Vec::new();
        while !paging.finished {
            let part = format!(", page {}", paging.page + 1);
            let failed = |cause| FetchError::transient(self.doing(operation, &part), cause);
            match ask(paging.token.as_deref(), &part).await? {
                Asked::Answered(page) => {
                    items.extend(page.items);
                    paging.answered(page.next_token).map_err(|_| failed(Cause::RepeatedToken))?;
                }
                Asked::TokenRefused => {
                    items.clear();
                    paging.refused().map_err(|_| failed(Cause::RefusedTooOften))?;
                }
            }
        }
        Ok(items)
    }

    /// What is being done, to what: the start of every error.
    pub(crate) fn doing(&self, operation: &str, part: &str) -> String {
        let AggregatorAddress { id, name, region, .. } = &*self.address;
        format!("{operation} of aggregator {id} ({name} in {region}){part}")
    }

    fn error<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        operation: &'static str,
        part: &str,
        error: &SdkError<E, HttpResponse>,
        body_error: Option<crate::wire::BodyError>,
    ) -> FetchError {
        let context = CallContext { operation, region: self.address.region.as_str() };
        from_sdk(error, self.doing(operation, part), &context, body_error)
    }
}

/// Whether AWS Config refused the page token: never so for a first page, which has none.
fn token_refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, token: Option<&str>) -> bool {
    token.is_some() && error.code() == Some("InvalidNextTokenException")
}

fn filters(filter: &Filter) -> Option<AggregateConformancePackComplianceFilters> {
    let Filter { account_id, aws_region, conformance_pack_name, compliance_type } = filter;
    if filter == &Filter::default() {
        return None; // an empty block is not the same as none to every server
    }
    let text = |value: Option<&str>| value.map(str::to_owned);
    Some(
        AggregateConformancePackComplianceFilters::builder()
            .set_account_id(text(account_id.as_ref().map(|id| id.as_str())))
            .set_aws_region(text(aws_region.as_ref().map(|region| region.as_str())))
            .set_conformance_pack_name(text(conformance_pack_name.as_ref().map(|name| name.as_str())))
            .set_compliance_type(compliance_type.map(|kind| ConformancePackComplianceType::from(kind.as_str())))
            .build(),
    )
}

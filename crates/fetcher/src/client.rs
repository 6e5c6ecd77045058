//! The SDK adapter: one method per operation of AWS Config, each one call with the SDK's retries and nothing else.

use crate::connect::Connection;
use crate::error::{CallContext, FetchError, from_sdk};
use crate::recorder::{Answer, CallCounts, Counters, Recorder};
use crate::wire::{
    BodyError, Gathered, ListPage, parse_aggregators, parse_counts, parse_packs, parse_rules, parse_sources,
};
use crate::{AggregatorAddress, Filter};
use aws_sdk_config::Client;
use aws_sdk_config::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_config::types::{
    AggregateConformancePackComplianceFilters, AggregateConformancePackComplianceSummaryGroupKey,
    ComplianceType as SdkComplianceType, ConfigRuleComplianceFilters, ConformancePackComplianceType,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use chrono::TimeDelta;
use compline_model::{AggregatorId, Dataset, PackAnswer, PackCounts, RuleAnswer, SourceAnswer};
use compline_pace::Line;
use std::error::Error;
use std::sync::Arc;

/// Asks one aggregator. Cheap to clone; clones share connections, pace and counts.
#[derive(Debug, Clone)]
pub struct AggregatorClient {
    connection: Arc<Connection>,
    address: Arc<AggregatorAddress>,
    page_size: Option<i32>,
    counters: Arc<Counters>,
}

/// The operation that lists packs.
pub(crate) const PACKS: &str = Dataset::PACKS.operation;

/// The operation that lists rules.
pub(crate) const RULES: &str = Dataset::RULES.operation;

/// Rows of a page of a dataset at most, where those of packs are as many as given, or as many as AWS Config allows: 100 packs, and of
/// rules 1,000.
pub fn page_rows(dataset: &Dataset, of_packs: Option<i32>) -> i32 {
    of_packs.unwrap_or(100).saturating_mul(if dataset == &Dataset::RULES { 10 } else { 1 })
}

/// The operation that lists sources.
pub(crate) const SOURCES: &str = "DescribeConfigurationAggregatorSourcesStatus";

/// The operation that counts packs.
pub(crate) const PACK_COUNTS: &str = "GetAggregateConformancePackComplianceSummary";

/// The operation that lists aggregators.
pub(crate) const AGGREGATORS: &str = "DescribeConfigurationAggregators";

/// One call: what is asked, and of what page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    /// Which shard and page, for the error.
    pub(crate) part: &'a str,
    /// The page's token; nothing for the first page.
    pub(crate) token: Option<&'a str>,
}

/// What came of asking for a page.
pub(crate) enum Asked<T> {
    /// The page, and the body it came in.
    Answered(ListPage<T>, Bytes),
    /// AWS Config does not know the token.
    TokenRefused,
}

/// What an SDK call gives.
type Sent<O, E> = Result<O, SdkError<E, HttpResponse>>;

impl AggregatorClient {
    pub(crate) fn new(connection: Arc<Connection>, address: AggregatorAddress, page_size: Option<i32>) -> Self {
        Self { connection, address: Arc::new(address), page_size, counters: Arc::default() }
    }

    /// What this client and its clones have sent so far.
    pub fn counts(&self) -> CallCounts {
        self.counters.counts()
    }

    /// How far this machine's clock is behind AWS Config's: the server's time less the local time when the last answer came,
    /// to about a second; nothing before the first answer. It is negative for a clock that is fast.
    pub fn clock_offset(&self) -> Option<TimeDelta> {
        self.counters.clock_offset()
    }

    /// The aggregator's id.
    pub fn id(&self) -> &AggregatorId {
        &self.address.id
    }

    /// Rows of a page of a dataset at most.
    pub(crate) fn page_rows(&self, dataset: &Dataset) -> u64 {
        u64::try_from(page_rows(dataset, self.page_size)).unwrap_or_default()
    }

    /// The aggregator.
    pub(crate) fn address(&self) -> &AggregatorAddress {
        &self.address
    }

    /// One page of `DescribeAggregateComplianceByConformancePacks`.
    pub(crate) async fn packs_page(&self, filter: &Filter, call: Call<'_>) -> Result<Asked<PackAnswer>, FetchError> {
        let send = async |client: Client, recorder| {
            let request = client.describe_aggregate_compliance_by_conformance_packs();
            request
                .configuration_aggregator_name(self.address.name.as_str())
                .set_filters(pack_filters(filter))
                .set_limit(self.page_size)
                .set_next_token(call.token.map(str::to_owned))
                .customize()
                .interceptor(recorder)
                .send()
                .await
        };
        self.ask(call, send, parse_packs).await
    }

    /// One page of `DescribeAggregateComplianceByConfigRules`.
    pub(crate) async fn rules_page(&self, filter: &Filter, call: Call<'_>) -> Result<Asked<RuleAnswer>, FetchError> {
        let send = async |client: Client, recorder| {
            let request = client.describe_aggregate_compliance_by_config_rules();
            request
                .configuration_aggregator_name(self.address.name.as_str())
                .set_filters(rule_filters(filter))
                .set_limit(self.page_size.map(|size| page_rows(&Dataset::RULES, Some(size))))
                .set_next_token(call.token.map(str::to_owned))
                .customize()
                .interceptor(recorder)
                .send()
                .await
        };
        self.ask(call, send, parse_rules).await
    }

    /// One page of `DescribeConfigurationAggregatorSourcesStatus`.
    pub(crate) async fn sources_page(&self, call: Call<'_>) -> Result<Asked<SourceAnswer>, FetchError> {
        let send = async |client: Client, recorder| {
            let request = client.describe_configuration_aggregator_sources_status();
            request
                .configuration_aggregator_name(self.address.name.as_str())
                .set_limit(self.page_size)
                .set_next_token(call.token.map(str::to_owned))
                .customize()
                .interceptor(recorder)
                .send()
                .await
        };
        self.ask(call, send, parse_sources).await
    }

    /// One page of `GetAggregateConformancePackComplianceSummary`.
    pub(crate) async fn pack_counts_page(
        &self,
        by: &AggregateConformancePackComplianceSummaryGroupKey,
        call: Call<'_>,
    ) -> Result<Asked<(String, PackCounts)>, FetchError> {
        let send = async |client: Client, recorder| {
            let request = client.get_aggregate_conformance_pack_compliance_summary();
            request
                .configuration_aggregator_name(self.address.name.as_str())
                .group_by_key(by.clone())
                .set_limit(self.page_size)
                .set_next_token(call.token.map(str::to_owned))
                .customize()
                .interceptor(recorder)
                .send()
                .await
        };
        self.ask(call, send, parse_counts).await
    }

    /// What the aggregator is set up to gather from: the one of its name in `DescribeConfigurationAggregators`.
    pub(crate) async fn gathered_page(&self, call: Call<'_>) -> Result<Asked<Gathered>, FetchError> {
        let send = async |client: Client, recorder| {
            let request = client.describe_configuration_aggregators();
            request
                .configuration_aggregator_names(self.address.name.as_str())
                .set_next_token(call.token.map(str::to_owned))
                .customize()
                .interceptor(recorder)
                .send()
                .await
        };
        self.ask(call, send, parse_aggregators).await
    }

    /// One call; asked once more with new credentials when those it had have ended.
    async fn ask<O, E, T>(
        &self,
        call: Call<'_>,
        send: impl AsyncFn(Client, Recorder) -> Sent<O, E>,
        parse: fn(&[u8]) -> Result<ListPage<T>, BodyError>,
    ) -> Result<Asked<T>, FetchError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let line = if [PACKS, RULES].contains(&call.operation) { Line::Shards } else { Line::Lists };
        let (mut renewed, mut cut) = (false, 0);
        loop {
            self.connection.pace().turn(line).await;
            let (client, generation) = self.connection.client();
            let recorder = Recorder::new(&self.counters, self.connection.pace());
            let sent = send(client, recorder.clone()).await;
            let answer = recorder.answer();
            match (sent, parse(&answer.body)) {
                (Ok(_), Ok(page)) => return Ok(Asked::Answered(page, answer.body)),
                // Whoever is in between says of such a body that it is whole.
                (_, Err(error)) if error.is_cut && answer.status == 200 && cut < MAX_CUT_BODIES => {
                    cut += 1;
                    tracing::info!(operation = call.operation, cut, "the answer is cut: asking again");
                }
                (Ok(_), Err(error)) => return Err(self.not_understood(call, error, &answer)),
                (Err(error), _) if token_refused(&error, call.token) => return Ok(Asked::TokenRefused),
                (Err(error), _) if !renewed && credentials_ended(&error) => {
                    renewed = true;
                    self.connection.renew(generation).await;
                }
                (Err(error), parsed) => return Err(self.error(call, &error, parsed.err(), &answer)),
            }
        }
    }

    /// What is being done, to what: the start of every error.
    pub(crate) fn doing(&self, operation: &str, part: &str) -> String {
        let AggregatorAddress { id, name, region, .. } = &*self.address;
        format!("{operation} of aggregator {id} ({name} in {region}){part}")
    }

    fn not_understood(&self, call: Call<'_>, error: BodyError, answer: &Answer) -> FetchError {
        FetchError::of_body(self.doing(call.operation, call.part), error, answer)
    }

    fn error<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        call: Call<'_>,
        error: &SdkError<E, HttpResponse>,
        body_error: Option<BodyError>,
        answer: &Answer,
    ) -> FetchError {
        let context = CallContext { operation: call.operation, region: self.address.region.as_str() };
        from_sdk(error, self.doing(call.operation, call.part), &context, (body_error, answer))
    }
}

/// How often an answer that is cut is asked for again.
const MAX_CUT_BODIES: u32 = 3;

/// Whether AWS Config refused the page token: never so for a first page, which has none.
fn token_refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, token: Option<&str>) -> bool {
    token.is_some() && error.code() == Some("InvalidNextTokenException")
}

/// Whether the credentials of a call were good once (case B10).
fn credentials_ended<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(error.code(), Some("ExpiredTokenException" | "ExpiredToken"))
}

fn pack_filters(filter: &Filter) -> Option<AggregateConformancePackComplianceFilters> {
    let Filter { account_id, aws_region, conformance_pack_name, compliance_type, .. } = filter;
    if filter == &Filter::default() {
        return None; // an empty block is not the same as none to every server
    }
    Some(
        AggregateConformancePackComplianceFilters::builder()
            .set_account_id(text(account_id.as_ref().map(|id| id.as_str())))
            .set_aws_region(text(aws_region.as_ref().map(|region| region.as_str())))
            .set_conformance_pack_name(text(conformance_pack_name.as_ref().map(|name| name.as_str())))
            .set_compliance_type(compliance_type.map(|kind| ConformancePackComplianceType::from(kind.as_str())))
            .build(),
    )
}

fn rule_filters(filter: &Filter) -> Option<ConfigRuleComplianceFilters> {
    let Filter { account_id, aws_region, config_rule_name, compliance_type, .. } = filter;
    if filter == &Filter::default() {
        return None;
    }
    Some(
        ConfigRuleComplianceFilters::builder()
            .set_account_id(text(account_id.as_ref().map(|id| id.as_str())))
            .set_aws_region(text(aws_region.as_ref().map(|region| region.as_str())))
            .set_config_rule_name(text(config_rule_name.as_ref().map(|name| name.as_str())))
            .set_compliance_type(compliance_type.map(|kind| SdkComplianceType::from(kind.as_str())))
            .build(),
    )
}

fn text(value: Option<&str>) -> Option<String> {
    value.map(str::to_owned)
}

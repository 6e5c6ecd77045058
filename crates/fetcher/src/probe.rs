//! Probing a configuration before the first run: the caller identity, and one page of every list that a run reads.

use crate::client::{AGGREGATORS, Asked, Call, PACK_COUNTS, PACKS, RULES, SOURCES};
use crate::connect::Connector;
use crate::error::{CallContext, FetchError, from_sdk};
use crate::recorder::Answer;
use crate::{AggregatorAddress, AggregatorClient, Filter};
use aws_sdk_config::types::AggregateConformancePackComplianceSummaryGroupKey as GroupKey;
use compline_model::Region;

/// A list that a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The aggregator itself.
    Aggregator,
    /// Its sources.
    Sources,
    /// Its packs.
    Packs,
    /// Its rules.
    Rules,
    /// AWS Config's own count of packs.
    PackCounts,
}

impl Probe {
    /// The operation of AWS Config.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Aggregator => AGGREGATORS,
            Self::Sources => SOURCES,
            Self::Packs => PACKS,
            Self::Rules => RULES,
            Self::PackCounts => PACK_COUNTS,
        }
    }
}

impl AggregatorClient {
    /// Reads the first page of a list; gives how many items are on it.
    ///
    /// # Errors
    /// Whatever a run would meet there.
    pub async fn try_page(&self, probe: Probe) -> Result<usize, FetchError> {
        let call = Call { operation: probe.operation(), part: "", token: None };
        Ok(match probe {
            Probe::Aggregator => items(self.gathered_page(call).await?),
            Probe::Sources => items(self.sources_page(call).await?),
            Probe::Packs => items(self.packs_page(&Filter::default(), call).await?),
            Probe::Rules => items(self.rules_page(&Filter::default(), call).await?),
            Probe::PackCounts => items(self.pack_counts_page(&GroupKey::AccountId, call).await?),
        })
    }
}

fn items<T>(asked: Asked<T>) -> usize {
    match asked {
        Asked::Answered(page, _) => page.items.len(),
        // Never of a first page.
        Asked::TokenRefused => 0,
    }
}

impl Connector {
    /// The caller identity for an aggregator: the ARN that STS gives, of its role if it has one. STS is asked once for
    /// each role and region.
    ///
    /// # Errors
    /// No credentials, a role that cannot be assumed, or an STS that does not answer.
    pub async fn identity_for(&self, address: &AggregatorAddress) -> Result<String, FetchError> {
        let caller = self.caller(address).await;
        caller.identity.get_or_try_init(|| self.ask_identity(address)).await.cloned()
    }

    async fn ask_identity(&self, address: &AggregatorAddress) -> Result<String, FetchError> {
        let error = match self.ask_sts(address).await {
            // A region that is off for the account answers as to a key that it does not know.
            Err(error) if error.is_of_unknown_key() => error,
            answer => return answer,
        };
        let region = first_of_partition(&address.region);
        let there = AggregatorAddress { region, ..address.clone() };
        if there.region == address.region || self.ask_sts(&there).await.is_err() {
            return Err(error);
        }
        Err(error.of_region())
    }

    async fn ask_sts(&self, address: &AggregatorAddress) -> Result<String, FetchError> {
        let client = self.sts(address).await;
        let sent = client.get_caller_identity().send().await;
        let doing = match &address.role {
            Some(role) => format!("sts:GetCallerIdentity as {} for aggregator {}", role.arn, address.id),
            None => format!("sts:GetCallerIdentity for aggregator {}", address.id),
        };
        let context = CallContext { operation: "GetCallerIdentity", region: address.region.as_str() };
        let answer = sent.map_err(|error| from_sdk(&error, doing, &context, (None, &Answer::default())))?;
        Ok(answer.arn.unwrap_or_else(|| "an identity without an ARN".to_owned()))
    }
}

/// A region that is on for every account of the AWS partition that a region is in.
fn first_of_partition(region: &Region) -> Region {
    let of = [
        ("cn-", "cn-north-1"),
        ("us-gov-", "us-gov-west-1"),
        ("us-iso-", "us-iso-east-1"),
        ("us-isob-", "us-isob-east-1"),
    ];
    let own = of.into_iter().find(|(start, _)| region.as_str().starts_with(start));
    let first = own.map_or("us-east-1", |(_, first)| first);
    first.parse().unwrap_or_else(|_| region.clone())
}

//! The aggregators that there are, for whoever sets a pipeline up.

use crate::client::AGGREGATORS;
use crate::connect::Connector;
use crate::error::{CallContext, Cause, FetchError, from_sdk};
use crate::paging::Paging;
use crate::recorder::Answer;
use crate::wire::excerpt;
use compline_model::{AggregatorName, Region};

/// An aggregator as AWS Config describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAggregator {
    /// Its name.
    pub name: AggregatorName,
    /// Whether it gathers from the whole organization.
    pub of_organization: bool,
    /// The accounts that it is set up to gather from, where they are named.
    pub accounts: usize,
    /// The regions that it is set up to gather from; none where it is all of them.
    pub regions: Vec<String>,
}

impl Connector {
    /// The aggregators of a region, in the order of their names.
    ///
    /// # Errors
    /// Those of a call: no credentials, no right, no answer.
    pub async fn aggregators(&self, region: &Region) -> Result<Vec<FoundAggregator>, FetchError> {
        let client = self.client_of(region).await;
        let (mut paging, mut found) = (Paging::default(), Vec::new());
        while !paging.finished {
            let context = CallContext { operation: AGGREGATORS, region: region.as_str() };
            let doing = || format!("{AGGREGATORS} in {region}");
            let page = client.describe_configuration_aggregators().set_next_token(paging.token.clone()).send().await;
            let page = page.map_err(|error| from_sdk(&error, doing(), &context, (None, &Answer::default())))?;
            let next = page.next_token().map(str::to_owned);
            paging.answered(next).map_err(|_| FetchError::transient(doing(), Cause::RepeatedToken))?;
            for one in page.configuration_aggregators() {
                let name = one.configuration_aggregator_name().unwrap_or_default();
                // AWS's own rule for such a name; another could not be asked for.
                let Ok(name) = name.parse() else {
                    tracing::warn!(%region, name = excerpt(name), "left out: not the name of an aggregator");
                    continue;
                };
                let of_accounts = one.account_aggregation_sources();
                let of_organization = one.organization_aggregation_source();
                let regions = of_accounts.iter().flat_map(|source| source.aws_regions());
                let regions = regions.chain(of_organization.into_iter().flat_map(|source| source.aws_regions()));
                let mut regions: Vec<String> = regions.cloned().collect();
                regions.sort_unstable();
                regions.dedup();
                found.push(FoundAggregator {
                    name,
                    of_organization: of_organization.is_some(),
                    accounts: of_accounts.iter().map(|source| source.account_ids().len()).sum(),
                    regions,
                });
            }
        }
        found.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        Ok(found)
    }
}

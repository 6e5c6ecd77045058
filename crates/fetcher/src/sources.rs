//! What an aggregator gathers from: its source accounts and regions, and how fresh each is.

use crate::client::SOURCES;
use crate::error::{Cause, FetchError};
use crate::{AggregatorClient, Split};
use chrono::{DateTime, Utc};
use compline_model::{AccountId, Region, SourceAnswer};
use std::collections::BTreeSet;

/// Every source of an aggregator, as `DescribeConfigurationAggregatorSourcesStatus` lists them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sources {
    /// One per source and region, in the API's order.
    pub statuses: Vec<SourceAnswer>,
    /// The accounts among them.
    pub accounts: BTreeSet<AccountId>,
    /// Their regions.
    pub regions: BTreeSet<Region>,
}

impl Sources {
    fn of(statuses: Vec<SourceAnswer>) -> Self {
        let accounts = statuses.iter().filter_map(|status| status.source_id.parse().ok()).collect();
        let regions = statuses.iter().filter_map(|status| status.aws_region.as_ref()?.parse().ok()).collect();
        Self { statuses, accounts, regions }
    }
}

impl AggregatorClient {
    /// Asks for the status of every source, all pages of it. `needed` is what the plan must be able to split by.
    ///
    /// # Errors
    /// Whatever keeps the list from being whole, or a list that has nothing of what is needed.
    pub async fn sources(&self, needed: Option<Split>) -> Result<Sources, FetchError> {
        let statuses = self.every_item(SOURCES, async |token, part| self.sources_page(token, part).await).await?;
        let sources = Sources::of(statuses.into_iter().map(answer).collect());
        let lacking = match needed {
            Some(Split::Regions) => sources.regions.is_empty(),
            Some(Split::Accounts) => sources.accounts.is_empty(),
            None => false,
        };
        if lacking {
            let doing = self.doing(SOURCES, "");
            return Err(FetchError::permanent(doing, Cause::NoSources));
        }
        Ok(sources)
    }
}

fn answer(status: aws_sdk_config::types::AggregatedSourceStatus) -> SourceAnswer {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    SourceAnswer {
        source_type: text(status.source_type.as_ref().map(|kind| kind.as_str())),
        status: text(status.last_update_status.as_ref().map(|status| status.as_str())),
        source_id: status.source_id.unwrap_or_default(),
        aws_region: status.aws_region,
        last_update_time: status.last_update_time.and_then(moment),
        error_code: status.last_error_code,
        error_message: status.last_error_message,
    }
}

fn moment(time: aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    time.to_millis().ok().and_then(DateTime::from_timestamp_millis)
}

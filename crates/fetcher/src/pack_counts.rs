//! AWS Config's own count of packs, to plan by and to hold a snapshot against.

use crate::AggregatorClient;
use crate::client::PACK_COUNTS;
use crate::error::FetchError;
use crate::paged_list::PagedList;
use aws_sdk_config::types::AggregateConformancePackComplianceSummaryGroupKey as GroupKey;
use compline_model::{PackCounts, RunId};
use std::collections::BTreeMap;

impl AggregatorClient {
    /// How many packs of each account AWS Config counts, all pages of it, by account id.
    ///
    /// # Errors
    /// Whatever keeps the list from being whole.
    pub async fn pack_counts(&self, run_id: RunId) -> Result<BTreeMap<String, PackCounts>, FetchError> {
        self.counted(&GroupKey::AccountId, run_id).await
    }

    /// The same by region.
    pub(crate) async fn pack_counts_by_region(
        &self,
        run_id: RunId,
    ) -> Result<BTreeMap<String, PackCounts>, FetchError> {
        self.counted(&GroupKey::AwsRegion, run_id).await
    }

    async fn counted(&self, by: &GroupKey, run_id: RunId) -> Result<BTreeMap<String, PackCounts>, FetchError> {
        let mut list = PagedList::new(self.clone(), PACK_COUNTS, run_id);
        let (groups, _) = list.every_item(async |call| self.pack_counts_page(by, call).await).await?;
        Ok(groups.into_iter().collect())
    }
}

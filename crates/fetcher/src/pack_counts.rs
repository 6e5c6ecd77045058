//! AWS Config's own count of packs, to hold a snapshot against.

use crate::AggregatorClient;
use crate::client::PACK_COUNTS;
use crate::error::FetchError;
use compline_model::PackCounts;
use std::collections::BTreeMap;

impl AggregatorClient {
    /// How many packs of each account AWS Config counts, all pages of it, by account id.
    ///
    /// # Errors
    /// Whatever keeps the list from being whole.
    pub async fn pack_counts(&self) -> Result<BTreeMap<String, PackCounts>, FetchError> {
        let groups = self.every_item(PACK_COUNTS, async |token, part| self.pack_counts_page(token, part).await).await?;
        let counts = groups.into_iter().map(|group| {
            let counts = group.compliance_summary.map(|summary| PackCounts {
                compliant: summary.compliant_conformance_pack_count.into(),
                non_compliant: summary.non_compliant_conformance_pack_count.into(),
            });
            (group.group_name.unwrap_or_default(), counts.unwrap_or_default())
        });
        Ok(counts.collect())
    }
}

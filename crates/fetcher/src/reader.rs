//! Reads one shard, page by page.

use crate::client::Asked;
use crate::error::{Cause, FetchError};
use crate::paging::Paging;
use crate::{AggregatorClient, Shard};
use chrono::Utc;
use compline_model::Page;

/// One step of reading a shard.
#[derive(Debug)]
pub enum ShardStep {
    /// The next page.
    Page(Page),
    /// The page token was refused: what this shard gave so far is void, and it begins again.
    Restarted,
}

/// What reading a shard took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardTally {
    /// Pages read, those of a voided start included.
    pub pages: u64,
    /// Pages without a row.
    pub empty_pages: u64,
    /// How often the shard began again.
    pub restarts: u32,
}

/// Reads one shard. Ask for steps until there is none; only then is the shard whole.
#[derive(Debug)]
pub struct ShardReader {
    client: AggregatorClient,
    shard: Shard,
    paging: Paging,
    tally: ShardTally,
}

impl ShardReader {
    /// A reader at the first page.
    pub fn new(client: AggregatorClient, shard: Shard) -> Self {
        Self { client, shard, paging: Paging::default(), tally: ShardTally::default() }
    }

    /// What reading took so far.
    pub fn tally(&self) -> ShardTally {
        self.tally
    }

    /// The next step, or nothing after the last page.
    ///
    /// # Errors
    /// Whatever keeps the shard from being read whole; it must then not be used in part.
    pub async fn next(&mut self) -> Result<Option<ShardStep>, FetchError> {
        if self.paging.finished {
            return Ok(None);
        }
        let part = self.part();
        let asked = self.client.compliance_page(&self.shard.filter, self.paging.token.as_deref(), &part).await?;
        let Asked::Answered(page) = asked else {
            return self.restart(&part).map(|()| Some(ShardStep::Restarted));
        };
        self.paging.answered(page.next_token).map_err(|_| self.failed(&part, Cause::RepeatedToken))?;
        self.tally.pages += 1;
        self.tally.empty_pages += u64::from(page.packs.is_empty());
        // The clock is read where the answer arrives: the time a row was true is a fact of the wire.
        Ok(Some(ShardStep::Page(Page { collected_at: Utc::now(), packs: page.packs })))
    }

    fn restart(&mut self, part: &str) -> Result<(), FetchError> {
        self.paging.refused().map_err(|_| self.failed(part, Cause::RefusedTooOften))?;
        self.tally.restarts += 1;
        tracing::warn!(
            shard = self.shard.index,
            restarts = self.tally.restarts,
            "page token refused, shard begins again"
        );
        Ok(())
    }

    fn part(&self) -> String {
        format!(", shard {} ({}), page {}", self.shard.index + 1, self.shard.filter, self.paging.page + 1)
    }

    fn failed(&self, part: &str, cause: Cause) -> FetchError {
        let doing = self.client.doing("DescribeAggregateComplianceByConformancePacks", part);
        FetchError::transient(doing, cause)
    }
}

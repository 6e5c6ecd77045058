//! Reads one shard, page by page.

use crate::error::FetchError;
use crate::paged_list::{PagedList, Step};
use crate::{AggregatorClient, Shard};
use bytes::Bytes;
use compline_model::{Answers, Dataset, Page, RunId};

/// One step of reading a shard.
#[derive(Debug)]
pub enum ShardStep {
    /// The next page.
    Page(Page),
    /// The page token was refused: the shard is restarted, and what it gave so far is void.
    Restarted,
}

/// What reading a shard took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardTally {
    /// Pages read, those before a restart included.
    pub pages: u64,
    /// Pages without a row.
    pub empty_pages: u64,
    /// How often the shard was restarted.
    pub restarts: u32,
}

/// Reads one shard. Ask for steps until there is none; only then is the shard whole.
#[derive(Debug)]
pub struct ShardReader {
    client: AggregatorClient,
    dataset: &'static Dataset,
    shard: Shard,
    run_id: RunId,
    list: PagedList,
    tally: ShardTally,
}

impl ShardReader {
    /// A reader at the first page.
    pub fn new(client: AggregatorClient, dataset: &'static Dataset, shard: Shard, run_id: RunId) -> Self {
        let label = format!(", shard {} ({})", shard.index + 1, shard.filter);
        let list = PagedList::new(client.clone(), dataset.operation, run_id).of_shard(shard.index + 1, label);
        Self { client, dataset, shard, run_id, list, tally: ShardTally::default() }
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
        let (client, filter) = (&self.client, &self.shard.filter);
        if self.dataset == &Dataset::RULES {
            let step = self.list.next(async |call| client.rules_page(filter, call).await).await?;
            return Ok(step.map(|step| self.step(step, Answers::Rules)));
        }
        let step = self.list.next(async |call| client.packs_page(filter, call).await).await?;
        Ok(step.map(|step| self.step(step, Answers::Packs)))
    }

    fn step<T>(&mut self, step: Step<T>, answers: fn(Vec<T>) -> Answers) -> ShardStep {
        match step {
            Step::Page(items, arrived) => {
                self.tally.pages += 1;
                self.tally.empty_pages += u64::from(items.is_empty());
                ShardStep::Page(Page { collected_at: Some(arrived), run_id: self.run_id, answers: answers(items) })
            }
            Step::Restarted => {
                self.tally.restarts += 1;
                ShardStep::Restarted
            }
        }
    }

    /// The shard's pages as they came, for a checkpoint; read back by [`crate::read_shard`].
    ///
    /// # Errors
    /// None but for a machine without memory.
    pub fn lines(self) -> Result<Bytes, FetchError> {
        self.list.lines()
    }
}

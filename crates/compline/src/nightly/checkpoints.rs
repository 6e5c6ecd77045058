//! Resuming from checkpoints: what a stopped run read whole is in the lake and is not asked for again.

use super::Shared;
use super::collect::PAGES_UNTIL_GIVEN_BACK;
use crate::memory;
use crate::settings::AggregatorSettings;
use anyhow::Context;
use bytes::Bytes;
use compline_fetcher::{AggregatorClient, Discovery, Shard, Wanted, read_shard};
use compline_sink::{Collection, Lake, computed};
use compline_transformer::ShardRows;
use std::collections::BTreeSet;

/// The checkpoints of one aggregator's collection.
pub(super) struct Checkpoints<'a> {
    shared: &'a Shared<'a>,
    lake: Lake,
    collection: Collection,
    done: BTreeSet<String>,
}

/// The name of the checkpoint of the sources and the plan.
const SOURCES: &str = "sources.jsonl.zst";

fn shard_name(shard: &Shard) -> String {
    format!("shard-{:06}.jsonl.zst", shard.index + 1)
}

impl<'a> Checkpoints<'a> {
    /// Those of a run of this day and plan that was stopped not long ago, or none yet.
    pub(super) async fn open(shared: &'a Shared<'a>, aggregator: &AggregatorSettings) -> anyhow::Result<Self> {
        let (request, session) = (shared.request, shared.session);
        let lake = shared.lake_of(&aggregator.address.id);
        let new = Collection {
            aggregator: aggregator.address.id.clone(),
            date: request.date,
            run_id: session.run_id,
            started_at: session.started_at.timestamp(),
            plan: plan(shared, aggregator),
        };
        let left = lake.collection(&new.aggregator).await?;
        let age = left.as_ref().map(|left| new.started_at.saturating_sub(left.started_at));
        let young =
            age.is_some_and(|age| u64::try_from(age).is_ok_and(|age| age < session.settings.checkpoint_age.as_secs()));
        if let Some(left) =
            left.filter(|left| young && !request.ignore_checkpoints && (left.date, &left.plan) == (new.date, &new.plan))
        {
            let done = lake.checkpoints(&left).await?;
            tracing::info!(run_id = %left.run_id, checkpoints = done.len(), "resuming from checkpoints");
            return Ok(Self { shared, lake, collection: left, done });
        }
        lake.begin_collection(&new).await?;
        Ok(Self { shared, lake, collection: new, done: BTreeSet::new() })
    }

    /// The sources and the plan: from their checkpoint, or asked for, as far as they are not known, and checkpointed. Gives their lines as well.
    pub(super) async fn discovery(
        &self,
        client: &AggregatorClient,
        aggregator: &AggregatorSettings,
        known: Option<&Discovery>,
    ) -> anyhow::Result<(Discovery, Bytes)> {
        let dataset = self.shared.dataset;
        let filters = &aggregator.of(dataset).filters;
        if let Some(lines) = self.stored(SOURCES).await? {
            match Discovery::read(SOURCES, lines.clone(), dataset, filters) {
                Ok(discovery) => return Ok((discovery, lines)),
                Err(error) => tracing::warn!(%error, "a checkpoint is damaged: asking AWS Config again"),
            }
        }
        let _permit = self.shared.permits.acquire().await?;
        let wanted = Wanted {
            dataset,
            known,
            filters,
            fan_out: aggregator.fan_out,
            at_once: self.shared.session.settings.max_in_flight,
            date: self.shared.request.date,
            run_id: self.shared.session.run_id,
        };
        let (discovery, lines) = client.discover(wanted).await?;
        self.lake.put_checkpoint(&self.collection, SOURCES, lines.clone()).await?;
        Ok((discovery, lines))
    }

    /// The rows of a shard, of which there are none yet, and its lines, if it was read whole.
    pub(super) async fn shard(&self, shard: &Shard, mut rows: ShardRows) -> anyhow::Result<(ShardRows, Option<Bytes>)> {
        let name = shard_name(shard);
        let Some(lines) = self.stored(&name).await? else { return Ok((rows, None)) };
        let (dataset, index, of_pages) = (self.shared.dataset, shard.index, lines.clone());
        let reading = computed(move || {
            let mut pages = 0_u64;
            let read = read_shard(&name, dataset, index, of_pages, |page| {
                rows.push(&page);
                pages += 1;
                if pages.is_multiple_of(PAGES_UNTIL_GIVEN_BACK) {
                    memory::give_back();
                }
            });
            if read.is_err() {
                rows.clear();
            }
            (rows, read)
        });
        let (rows, read) = reading.await.context("reading stopped")?;
        if let Err(error) = read {
            tracing::warn!(%error, "a checkpoint is damaged: reading its shard again");
            return Ok((rows, None));
        }
        Ok((rows, Some(lines)))
    }

    /// Writes the checkpoint of a shard that was read whole.
    pub(super) async fn put(&self, shard: &Shard, lines: Bytes) -> anyhow::Result<()> {
        Ok(self.lake.put_checkpoint(&self.collection, &shard_name(shard), lines).await?)
    }

    /// Archives all pages as they came.
    pub(super) async fn archive(&self, lines: Vec<Bytes>) -> anyhow::Result<()> {
        let key = self.lake.archive(&self.collection, Bytes::from(lines.concat())).await?;
        tracing::info!(key, "archived the pages as they came");
        Ok(())
    }

    async fn stored(&self, name: &str) -> anyhow::Result<Option<Bytes>> {
        if !self.done.contains(name) {
            return Ok(None);
        }
        match self.lake.checkpoint(&self.collection, name).await {
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "a checkpoint is damaged: asking AWS Config again");
                Ok(None)
            }
            stored => Ok(stored?),
        }
    }
}

/// Everything that decides what is collected: with another, checkpoints are of no use. Who asks is not in it but for the
/// role, since nobody else's answer would be taken for this one's.
fn plan(shared: &Shared<'_>, aggregator: &AggregatorSettings) -> String {
    let AggregatorSettings { address, fan_out, .. } = aggregator;
    let filters = &aggregator.of(shared.dataset).filters;
    let role = address.role.as_ref().map(|role| &role.arn);
    let options = shared.session.settings.fetch_options(shared.request.date);
    let endpoint = options.endpoint_url.unwrap_or_else(|| "AWS".to_owned());
    let version = env!("CARGO_PKG_VERSION");
    format!("{} in {} as {role:?} at {endpoint}, {fan_out}, {filters:?}, {version}", address.name, address.region)
}

//! Going on where a run that was stopped was: what it read whole is in the lake and is not asked for again.

use super::Shared;
use crate::settings::AggregatorSettings;
use anyhow::Context;
use bytes::Bytes;
use compline_fetcher::{AggregatorClient, Discovery, Shard, Wanted, read_shard};
use compline_model::Page;
use compline_sink::Collection;
use std::collections::BTreeSet;

/// The checkpoints of one aggregator's collection.
pub(super) struct Checkpoints<'a> {
    shared: &'a Shared<'a>,
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
        let night = shared.night;
        let new = Collection {
            aggregator: aggregator.address.id.clone(),
            date: night.date,
            run_id: shared.run_id,
            started_at: night.started_at.timestamp(),
            plan: plan(shared, aggregator),
        };
        let left = shared.lake.collection(&new.aggregator).await?;
        let age = left.as_ref().map(|left| new.started_at.saturating_sub(left.started_at));
        let young =
            age.is_some_and(|age| u64::try_from(age).is_ok_and(|age| age < night.settings.checkpoint_age.as_secs()));
        if let Some(left) =
            left.filter(|left| young && !night.fresh && (left.date, &left.plan) == (new.date, &new.plan))
        {
            let done = shared.lake.checkpoints(&left).await?;
            tracing::info!(run_id = %left.run_id, checkpoints = done.len(), "going on where a stopped run was");
            return Ok(Self { shared, collection: left, done });
        }
        shared.lake.begin_collection(&new).await?;
        Ok(Self { shared, collection: new, done: BTreeSet::new() })
    }

    /// The sources and the plan: as they were kept, or asked for and kept. Gives their lines as well.
    pub(super) async fn discovery(
        &self,
        client: &AggregatorClient,
        aggregator: &AggregatorSettings,
    ) -> anyhow::Result<(Discovery, Bytes)> {
        if let Some(lines) = self.kept(SOURCES).await? {
            return Ok((Discovery::read(SOURCES, lines.clone(), &aggregator.filters)?, lines));
        }
        let _permit = self.shared.permits.acquire().await?;
        let wanted = Wanted {
            filters: &aggregator.filters,
            fan_out: aggregator.fan_out,
            at_once: self.shared.night.settings.max_in_flight,
            date: self.shared.night.date,
            run_id: self.shared.run_id,
        };
        let (discovery, lines) = client.discover(wanted).await?;
        self.shared.lake.put_checkpoint(&self.collection, SOURCES, lines.clone()).await?;
        Ok((discovery, lines))
    }

    /// The pages of a shard and their lines, if it was read whole.
    pub(super) async fn shard(&self, shard: &Shard) -> anyhow::Result<Option<(Vec<Page>, Bytes)>> {
        let name = shard_name(shard);
        let Some(lines) = self.kept(&name).await? else { return Ok(None) };
        let of_pages = lines.clone();
        let pages =
            tokio::task::spawn_blocking(move || read_shard(&name, of_pages)).await.context("reading stopped")?;
        Ok(Some((pages?, lines)))
    }

    /// Keeps a shard that was read whole.
    pub(super) async fn keep(&self, shard: &Shard, lines: Bytes) -> anyhow::Result<()> {
        Ok(self.shared.lake.put_checkpoint(&self.collection, &shard_name(shard), lines).await?)
    }

    /// Keeps all pages as they came, for good.
    pub(super) async fn archive(&self, lines: Vec<Bytes>) -> anyhow::Result<()> {
        let key = self.shared.lake.archive(&self.collection, Bytes::from(lines.concat())).await?;
        tracing::info!(key, "the pages are kept as they came");
        Ok(())
    }

    async fn kept(&self, name: &str) -> anyhow::Result<Option<Bytes>> {
        if !self.done.contains(name) {
            return Ok(None);
        }
        Ok(self.shared.lake.checkpoint(&self.collection, name).await?)
    }
}

/// Everything that decides what is collected: with another, checkpoints are of no use. Who asks is not in it but for the
/// role, since nobody else's answer would be taken for this one's.
fn plan(shared: &Shared<'_>, aggregator: &AggregatorSettings) -> String {
    let AggregatorSettings { address, filters, fan_out, .. } = aggregator;
    let role = address.role.as_ref().map(|role| &role.arn);
    let options = shared.night.settings.fetch_options(shared.night.date);
    let endpoint = options.endpoint_url.unwrap_or_else(|| "AWS".to_owned());
    let version = env!("CARGO_PKG_VERSION");
    format!("{} in {} as {role:?} at {endpoint}, {fan_out}, {filters:?}, {version}", address.name, address.region)
}

//! Resuming from checkpoints: what a stopped run read whole is in the lake and is not asked for again.

use super::Shared;
use super::collect::PAGES_UNTIL_GIVEN_BACK;
use crate::memory;
use crate::settings::AggregatorSettings;
use anyhow::Context;
use bytes::Bytes;
use compline_fetcher::{AggregatorClient, Shard, ShardPlan, Sources, Wanted, read_shard};
use compline_sink::{Collection, Lake, computed};
use compline_transformer::ShardRows;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The checkpoints of one aggregator's collection.
pub(super) struct Checkpoints<'a> {
    shared: &'a Shared<'a>,
    lake: Lake,
    collection: Collection,
    done: BTreeSet<String>,
}

/// What a stopped run had of the plan, and, where that is whole, of the sources with the lines of both.
type Left = (Option<ShardPlan>, Option<(Sources, Bytes)>);

/// The name of the checkpoint of the plan before the sources are there.
const PLAN: &str = "plan.jsonl.zst";

/// The name of that of the sources and the whole plan.
const SOURCES: &str = "sources.jsonl.zst";

/// The name of the checkpoint of a shard: its number, and what it asks for, so that it is not taken for another's whatever becomes of the plan.
fn shard_name(shard: &Shard) -> String {
    let hash = Sha256::digest(shard.filter.to_string());
    let start: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("shard-{:06}-{start}.jsonl.zst", shard.index + 1)
}

impl<'a> Checkpoints<'a> {
    /// Those of a run of this day and plan that was stopped not long ago, or none yet; and what that run had of the plan and the sources.
    pub(super) async fn open(shared: &'a Shared<'a>, aggregator: &AggregatorSettings) -> anyhow::Result<(Self, Left)> {
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
            let resumed = Self { shared, lake, collection: left, done };
            let left = resumed.read_plan().await?;
            return Ok((resumed, left));
        }
        lake.begin_collection(&new).await?;
        Ok((Self { shared, lake, collection: new, done: BTreeSet::new() }, (None, None)))
    }

    /// What the stopped run had of the plan and the sources. Where the sources are damaged there is nothing: the plan beside them is not
    /// the one that the last shards were read by.
    async fn read_plan(&self) -> anyhow::Result<Left> {
        let Some(name) = [SOURCES, PLAN].into_iter().find(|name| self.done.contains(*name)) else {
            return Ok((None, None));
        };
        let Some(lines) = self.stored(name).await? else { return Ok((None, None)) };
        let of = (&self.collection.aggregator, self.shared.dataset, self.collection.date);
        match ShardPlan::read(name, lines.clone(), of) {
            Ok((plan, sources)) if sources.is_some() == (name == SOURCES) => {
                return Ok((Some(plan), sources.map(|sources| (sources, lines))));
            }
            Ok(_) => tracing::warn!(name, "a checkpoint is damaged: asking AWS Config again"),
            Err(error) => tracing::warn!(%error, "a checkpoint is damaged: asking AWS Config again"),
        }
        Ok((None, None))
    }

    /// The plan as far as it needs no sources, checkpointed: that of the stopped run, and, unless it is whole, behind it what AWS Config
    /// names by now.
    pub(super) async fn plan(
        &self,
        client: &AggregatorClient,
        wanted: Wanted<'_>,
        (left, is_whole): (Option<ShardPlan>, bool),
        known: Option<&ShardPlan>,
    ) -> anyhow::Result<ShardPlan> {
        let left = match left {
            Some(left) if is_whole => return Ok(left),
            left => left,
        };
        let before = left.as_ref().map_or(0, |left| left.shards.len());
        let plan = client.plan(wanted, left, known, &self.shared.permits).await?;
        if plan.shards.len() > before && plan.is_lasting() {
            self.lake.put_checkpoint(&self.collection, PLAN, client.plan_lines(&plan, wanted, None)?).await?;
        }
        Ok(plan)
    }

    /// The whole plan, checkpointed with the sources, unless the stopped run had both. Gives their lines as well.
    pub(super) async fn whole_plan(
        &self,
        client: &AggregatorClient,
        wanted: Wanted<'_>,
        plan: ShardPlan,
        (sources, left): (&Sources, Option<Bytes>),
    ) -> anyhow::Result<(ShardPlan, Bytes)> {
        if let Some(lines) = left {
            return Ok((plan, lines));
        }
        let plan = client.plan_rest(plan, wanted, sources)?;
        let lines = client.plan_lines(&plan, wanted, Some(sources))?;
        if plan.is_lasting() {
            self.lake.put_checkpoint(&self.collection, SOURCES, lines.clone()).await?;
        }
        Ok((plan, lines))
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

/// How checkpoints are numbered and written: those of another version of Compline may have others.
const FORMAT: u32 = 2;

/// Everything that decides what is collected: with another, checkpoints are of no use. Who asks is not in it but for the
/// role, since nobody else's answer would be taken for this one's.
fn plan(shared: &Shared<'_>, aggregator: &AggregatorSettings) -> String {
    let AggregatorSettings { address, fan_out, .. } = aggregator;
    let filters = &aggregator.of(shared.dataset).filters;
    let role = address.role.as_ref().map(|role| &role.arn);
    let options = shared.session.settings.fetch_options(shared.request.date);
    let endpoint = options.endpoint_url.unwrap_or_else(|| "AWS".to_owned());
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{} in {} as {role:?} at {endpoint}, {fan_out}, {filters:?}, {version}, {FORMAT}",
        address.name, address.region
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use compline_fetcher::Filter;

    #[test]
    fn the_checkpoint_of_a_shard_has_another_name_for_another_number_or_request() {
        let of = |index, region: &str| {
            let aws_region = Some(region.parse().expect("a region"));
            shard_name(&Shard { index, filter: Filter { aws_region, ..Filter::default() } })
        };
        let names = BTreeSet::from([of(0, "eu-west-1"), of(1, "eu-west-1"), of(0, "us-east-1")]);
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(of(0, "eu-west-1"), of(0, "eu-west-1"));
    }
}

//! plan -> fetch -> flatten -> check, for one aggregator.

use super::{AggregatorReport, Shared};
use crate::progress::Bar;
use crate::settings::{AggregatorSettings, Reconcile};
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use compline_fetcher::{AggregatorClient, Shard, ShardReader, ShardStep, ShardTally, plan_shards, split_needed};
use compline_transformer::{CheckedSnapshot, Flattener, SourceIndex, check, reconcile, source_status};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout_at;

/// What an aggregator said, whole.
pub(super) struct Collected {
    pub(super) snapshot: CheckedSnapshot,
    /// Rows of `source_status`.
    pub(super) source_status: RecordBatch,
}

/// One shard, read whole.
struct ShardBatch {
    index: usize,
    rows: RecordBatch,
    tally: ShardTally,
}

/// Collects an aggregator's day. The first shard that fails ends the others: a day is kept whole or not at all.
pub(super) async fn collect(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    bar: &Bar,
    report: &mut AggregatorReport,
) -> anyhow::Result<Collected> {
    let client = shared.connector.connect(aggregator.address.clone()).await;
    let collected = timeout_at(shared.deadline, read_all(shared, aggregator, &client, bar, report)).await;
    report.note_calls(client.counts());
    collected.unwrap_or_else(|_| {
        let allowed = shared.night.settings.run_deadline.as_secs();
        bail!("reading was not done {allowed} s after the run began; see fetch.run_deadline_secs, or read faster with fan_out")
    })
}

async fn read_all(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    client: &AggregatorClient,
    bar: &Bar,
    report: &mut AggregatorReport,
) -> anyhow::Result<Collected> {
    bar.stage("asking for its sources");
    let needed = split_needed(&aggregator.filters, aggregator.fan_out);
    let sources = {
        let _permit = shared.permits.acquire().await?;
        client.sources(needed).await?
    };
    let source_status = source_status(&sources.statuses, (shared.night.clock)(), shared.run_id)?;
    let shards = plan_shards(&aggregator.filters, aggregator.fan_out, &sources.regions, &sources.accounts);
    report.shards = shards.len() as u64;
    bar.shards(shards.len());

    let flattener = Flattener::new(shared.run_id, SourceIndex::new(&sources.statuses));
    let reading = shards.into_iter().map(|shard| read_shard(shared, client, shard, &flattener, bar));
    let at_once = shared.night.settings.max_in_flight;
    let mut batches: Vec<ShardBatch> = stream::iter(reading).buffer_unordered(at_once).try_collect().await?;
    batches.sort_unstable_by_key(|batch| batch.index);
    batches.iter().for_each(|batch| report.note_shard(batch.tally));
    let rows: Vec<RecordBatch> = batches.into_iter().map(|batch| batch.rows).collect();
    let snapshot = tokio::task::spawn_blocking(move || check(rows)).await.context("checking stopped")??;
    if shared.night.settings.reconciles(aggregator) {
        reconciled(shared, client, &snapshot, bar, report).await?;
    }
    Ok(Collected { snapshot, source_status })
}

/// Holds the snapshot of a whole aggregator against AWS Config's own count.
async fn reconciled(
    shared: &Shared<'_>,
    client: &AggregatorClient,
    snapshot: &CheckedSnapshot,
    bar: &Bar,
    report: &mut AggregatorReport,
) -> anyhow::Result<()> {
    let settings = shared.night.settings;
    bar.stage("reconciling with AWS Config's own count");
    let counted = {
        let _permit = shared.permits.acquire().await?;
        client.pack_counts().await
    };
    let counted = match counted {
        Ok(counted) => counted,
        Err(error) if settings.reconcile == Reconcile::Warn => {
            report.note_not_reconciled(&error);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let differing = reconcile(snapshot.rows(), &counted, settings.reconcile_tolerance);
    if settings.reconcile == Reconcile::Fail && differing.count > 0 {
        let first = differing.first.join("; ");
        bail!(
            "{} accounts are not as AWS Config counts them, and check.reconcile is \"fail\": {first}",
            differing.count
        );
    }
    report.note_reconciled(&differing);
    Ok(())
}

async fn read_shard(
    shared: &Shared<'_>,
    client: &AggregatorClient,
    shard: Shard,
    flattener: &Flattener,
    bar: &Bar,
) -> anyhow::Result<ShardBatch> {
    let _permit = shared.permits.acquire().await?;
    let index = shard.index;
    let mut rows = flattener.shard();
    let mut reader = ShardReader::new(client.clone(), shard);
    while let Some(step) = reader.next().await? {
        match step {
            ShardStep::Page(page) => {
                rows.push(&page);
                bar.page(page.packs.len());
            }
            ShardStep::Restarted => rows.clear(),
        }
    }
    bar.shard_done();
    Ok(ShardBatch { index, rows: rows.finish()?, tally: reader.tally() })
}

//! plan -> fetch -> flatten -> check, for one aggregator.

use super::checkpoints::Checkpoints;
use super::{AggregatorReport, Shared};
use crate::memory;
use crate::progress::Bar;
use crate::settings::{AggregatorSettings, Reconcile};
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use bytes::Bytes;
use compline_fetcher::{AggregatorClient, Shard, ShardReader, ShardStep, ShardTally};
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
    left_out: u64,
    /// What reading it took; nothing if a stopped run had read it.
    tally: Option<ShardTally>,
    /// Its pages as they came, where they are to be kept for good.
    lines: Option<Bytes>,
}

/// What the shards of an aggregator share.
struct Reading<'a> {
    shared: &'a Shared<'a>,
    client: &'a AggregatorClient,
    checkpoints: Checkpoints<'a>,
    flattener: Flattener,
    bar: &'a Bar,
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
        bail!(
            "reading was not done {allowed} s after the run began; what was read whole is kept for the next run of the \
             day; see fetch.run_deadline_secs"
        )
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
    let checkpoints = Checkpoints::open(shared, aggregator).await?;
    let (discovery, lines) = checkpoints.discovery(client, aggregator).await?;
    let source_status = source_status(&discovery.statuses, discovery.collected_at, discovery.run_id)?;
    report.shards = discovery.shards.len() as u64;
    bar.shards(discovery.shards.len());

    let flattener = Flattener::new(SourceIndex::new(&discovery.statuses), aggregator.choice.clone());
    let reading = Reading { shared, client, checkpoints, flattener, bar };
    let at_once = shared.night.settings.max_in_flight;
    let shards = discovery.shards.into_iter().map(|shard| reading.shard(shard));
    let mut batches: Vec<ShardBatch> = stream::iter(shards).buffer_unordered(at_once).try_collect().await?;
    batches.sort_unstable_by_key(|batch| batch.index);
    batches.iter().for_each(|batch| report.note_shard(batch.tally, batch.left_out));
    if shared.night.settings.archive_raw {
        let lines = [lines].into_iter().chain(batches.iter_mut().filter_map(|batch| batch.lines.take()));
        reading.checkpoints.archive(lines.collect()).await?;
    }
    let rows: Vec<RecordBatch> = batches.into_iter().map(|batch| batch.rows).collect();
    let snapshot = {
        let _one_at_a_time = shared.computing.acquire().await?;
        memory::give_back();
        let snapshot = tokio::task::spawn_blocking(move || check(rows)).await.context("checking stopped")??;
        memory::give_back();
        snapshot
    };
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
        client.pack_counts(shared.run_id).await
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
        // What was read is not right, so the next run must not go on from it.
        shared.lake.end_collection(client.id()).await?;
        let first = differing.first.join("; ");
        bail!(
            "{} accounts are not as AWS Config counts them, and check.reconcile is \"fail\": {first}",
            differing.count
        );
    }
    report.note_reconciled(&differing);
    Ok(())
}

impl Reading<'_> {
    /// A shard: as a stopped run read it, or read and kept.
    async fn shard(&self, shard: Shard) -> anyhow::Result<ShardBatch> {
        let _permit = self.shared.permits.acquire().await?;
        let (index, mut rows) = (shard.index, self.flattener.shard());
        let (tally, lines) = match self.checkpoints.shard(&shard).await? {
            Some((pages, lines)) => {
                pages.iter().for_each(|page| rows.push(page));
                (None, lines)
            }
            None => {
                let mut reader = ShardReader::new(self.client.clone(), shard.clone(), self.shared.run_id);
                while let Some(step) = reader.next().await? {
                    match step {
                        ShardStep::Page(page) => {
                            rows.push(&page);
                            self.bar.page(page.packs.len());
                        }
                        ShardStep::Restarted => rows.clear(),
                    }
                }
                let tally = reader.tally();
                let lines = reader.lines()?;
                self.checkpoints.keep(&shard, lines.clone()).await?;
                (Some(tally), lines)
            }
        };
        self.bar.shard_done();
        let lines = self.shared.night.settings.archive_raw.then_some(lines);
        Ok(ShardBatch { index, left_out: rows.left_out(), rows: rows.finish()?, tally, lines })
    }
}

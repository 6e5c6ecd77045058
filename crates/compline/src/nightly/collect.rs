//! plan -> fetch -> flatten -> check, for one aggregator.

use super::Shared;
use super::checkpoints::Checkpoints;
use crate::ledger::LedgerRow;
use crate::log::SPANS;
use crate::memory;
use crate::population::Population;
use crate::progress::Bar;
use crate::settings::{AggregatorSettings, Reconcile};
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use bytes::Bytes;
use compline_fetcher::{
    AggregatorClient, CallCounts, CountedPacks, Discovery, FetchError, Probe, Shard, ShardPlan, ShardReader, ShardStep,
    ShardTally, Wanted,
};
use compline_sink::computed;
use compline_transformer::{
    CheckedSnapshot, Flattener, Named, ShardRows, SourceIndex, check, reconcile, source_status,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::cell::Cell;
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio::time::{timeout, timeout_at};
use tokio::try_join;

/// What an aggregator said, whole.
pub(super) struct Collected {
    pub(super) snapshot: CheckedSnapshot,
    /// Rows of `source_status`.
    pub(super) source_status: RecordBatch,
    /// Which packs or rules were asked for, where the settings may say otherwise by now.
    pub(super) population: Option<Population>,
}

/// What reading a day took, and what was found while it was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) shards: u64,
    pub(super) shards_resumed: u64,
    pub(super) shard_restarts: u64,
    pub(super) calls: CallCounts,
    pub(super) pages: u64,
    pub(super) empty_pages: u64,
    /// Rows that came and are not wanted.
    pub(super) left_out: u64,
    /// Accounts that are not as AWS Config counts them; nothing if it was not asked.
    pub(super) unreconciled: Option<Named>,
    /// Accounts or regions that AWS Config counts packs in and that none of its sources names.
    pub(super) unnamed: Vec<String>,
    /// ARN of the caller identity, if STS was asked and said it.
    pub(super) caller: Option<String>,
    /// Why AWS Config's count could not be had.
    pub(super) not_reconciled: Option<String>,
    /// What the aggregator said of its sources: for this day, or until it was asked for this one for that of the dataset before.
    pub(super) discovery: Option<Discovery>,
}

impl Reading {
    /// Puts it into the row of the ledger.
    pub(super) fn fill(&self, row: &mut LedgerRow) {
        row.shards = self.shards;
        row.shards_resumed = self.shards_resumed;
        row.shard_restarts = self.shard_restarts;
        (row.calls, row.retries, row.throttles) = (self.calls.calls, self.calls.retries, self.calls.throttles);
        (row.pages, row.empty_pages, row.left_out) = (self.pages, self.empty_pages, self.left_out);
        row.unreconciled = self.unreconciled.as_ref().map(|found| found.count);
        row.not_reconciled.clone_from(&self.not_reconciled);
        row.caller.clone_from(&self.caller);
    }

    /// Adds a shard: what reading it took, or nothing if a stopped run had read it.
    fn add(&mut self, tally: Option<ShardTally>, left_out: u64) {
        self.left_out += left_out;
        let Some(tally) = tally else {
            self.shards_resumed += 1;
            return;
        };
        self.pages += tally.pages;
        self.empty_pages += tally.empty_pages;
        self.shard_restarts += u64::from(tally.restarts);
    }
}

/// One shard, read whole.
struct ShardBatch {
    index: usize,
    rows: ShardRows,
    /// What reading it took; nothing if a stopped run had read it.
    tally: Option<ShardTally>,
    /// Its pages as they came, where they are to be archived.
    lines: Option<Bytes>,
}

/// What the shards of an aggregator share.
struct ShardReading<'a> {
    shared: &'a Shared<'a>,
    client: &'a AggregatorClient,
    checkpoints: Checkpoints<'a>,
    flattener: Flattener,
    bar: &'a Bar,
}

/// Collects an aggregator's day. The first shard that fails ends the others: a day is committed whole or not at all.
pub(super) async fn collect(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    bar: &Bar,
    reading: &mut Reading,
) -> anyhow::Result<Collected> {
    let client = shared.connector.connect(aggregator.address.clone()).await;
    // Here as well, so that the calls until a signal are counted.
    let known = reading.discovery.take();
    let reading_all =
        shared.session.until_stopped(Box::pin(read_all(shared, aggregator, &client, bar, (reading, known))));
    let collected = timeout_at(shared.deadline, reading_all).await;
    reading.calls = client.counts();
    if let Some(known) = &reading.discovery {
        reading.unnamed.clone_from(&known.plan.unnamed);
    }
    collected.unwrap_or_else(|_| {
        let allowed = shared.session.settings.run_deadline.as_secs();
        bail!(
            "reading was not done {allowed} s after the run began; the next run of the day resumes from the checkpoints; see \
             fetch.run_deadline_secs"
        )
    })
}

async fn read_all(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    client: &AggregatorClient,
    bar: &Bar,
    (reading, known): (&mut Reading, Option<Discovery>),
) -> anyhow::Result<Collected> {
    reading.caller = caller(shared, aggregator).await?;
    check_clock(shared, client).await?;
    bar.stage("asking for its sources");
    let settings = shared.session.settings;
    let (checkpoints, (left_plan, left_sources)) = Checkpoints::open(shared, aggregator).await?;
    let of_dataset = aggregator.of(shared.dataset);
    let wanted = Wanted {
        dataset: shared.dataset,
        filters: &of_dataset.filters,
        fan_out: aggregator.fan_out,
        at_once: settings.max_in_flight,
        date: shared.request.date,
        run_id: shared.session.run_id,
    };
    let flattener = Flattener::new(shared.dataset, of_dataset.row_filter.clone());
    let shards = ShardReading { shared, client, checkpoints, flattener, bar };

    // Each of these lists comes page after page, as late as its answers do: one after the other they would leave most turns of the pace to
    // nobody. So shards are read beside the sources, and those that the sources alone name behind them.
    let planned: SetOnce<ShardPlan> = SetOnce::new();
    let (count, discovery) = (Cell::from_mut(&mut reading.shards), &mut reading.discovery);
    let (known_plan, known_sources) = known.map(|known| (known.plan, known.sources)).unzip();
    let count_shards = |plan: &ShardPlan| {
        count.set(plan.shards.len() as u64);
        bar.shards(plan.shards.len());
    };
    let left_plan = (left_plan, left_sources.is_some());
    let are_known = Cell::new(false);
    // Each in a box: together they are too large for the stack of a thread.
    let of_sources = Box::pin(async {
        let (sources, lines) = match (left_sources, known_sources) {
            (Some((sources, lines)), _) => (sources, Some(lines)),
            (None, Some(known)) => (known, None),
            (None, None) => (Box::pin(client.sources(wanted.run_id, &shared.permits)).await?, None),
        };
        are_known.set(true);
        let plan = planned.wait().await.clone();
        let before = plan.shards.len();
        let (plan, lines) = shards.checkpoints.whole_plan(client, wanted, plan, (&sources, lines)).await?;
        if plan.shards.len() > before {
            count_shards(&plan);
        }
        let Discovery { plan, sources } = discovery.insert(Discovery { plan, sources });
        anyhow::Ok((&*sources, lines, Box::pin(shards.all(&plan.shards[before..])).await?))
    });
    let of_plan = Box::pin(async {
        let plan = Box::pin(shards.checkpoints.plan(client, wanted, left_plan, known_plan.as_ref())).await?;
        if !plan.shards.is_empty() {
            count_shards(&plan);
        }
        let counted_before = plan.counted_by_account();
        let _ = planned.set(plan);
        let first = &planned.wait().await.shards;
        let counted = Box::pin(counted(shared, aggregator, client, counted_before));
        let read = try_join!(Box::pin(shards.all(first)), counted)?;
        if !are_known.get() {
            // The bar says that all shards are done.
            bar.stage("reading the list of its sources");
        }
        anyhow::Ok(read)
    });
    let ((sources, lines, rest), (mut batches, counted)) = try_join!(of_sources, of_plan)?;
    bar.stage("checking what came");
    batches.extend(rest);
    let source_status = source_status(&sources.statuses, sources.collected_at, sources.run_id)?;
    let source_index = SourceIndex::new(&sources.statuses);
    batches.sort_unstable_by_key(|batch| batch.index);
    batches.iter().for_each(|batch| reading.add(batch.tally, batch.rows.left_out()));
    if settings.archive_raw {
        let lines = [lines].into_iter().chain(batches.iter_mut().filter_map(|batch| batch.lines.take()));
        shards.checkpoints.archive(lines.collect()).await?;
    }
    let rows: Vec<ShardRows> = batches.into_iter().map(|batch| batch.rows).collect();
    let snapshot = {
        let _one_at_a_time = shared.computing.acquire().await?;
        memory::give_back();
        let dataset = shared.dataset;
        let snapshot = computed(move || check(dataset, rows, source_index)).await.context("checking stopped")?;
        memory::give_back();
        snapshot
    };
    if let Some(counted) = counted {
        bar.stage("reconciling with AWS Config's own count");
        let (unreconciled, failed) = reconciled(shared, client, &snapshot, counted).await?;
        reading.unreconciled = unreconciled;
        reading.not_reconciled = failed.map(|error| error.to_string());
    }
    Ok(Collected { snapshot, source_status, population: None })
}

/// The longest that STS is waited for where nothing depends on what it says.
const CALLER_WAIT: Duration = Duration::from_secs(10);

/// The caller identity, for the ledger. Where the settings say of which account it must be, another's ends the day:
/// variables that are half set make it another's.
///
/// # Errors
/// It is of another account than expected, or STS does not say.
async fn caller(shared: &Shared<'_>, aggregator: &AggregatorSettings) -> anyhow::Result<Option<String>> {
    let settings = shared.session.settings;
    let asked = shared.connector.identity_for(&aggregator.address);
    if aggregator.expected_account.is_some() && !settings.answers_any_date() {
        let caller = asked.await?;
        aggregator.check_caller(&caller).map_err(anyhow::Error::msg)?;
        tracing::info!(caller, "caller identity");
        return Ok(Some(caller));
    }
    // Another endpoint of AWS Config may well have no STS beside it, and who asked there is told where it is expected.
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_elsewhere = settings.fetch.endpoint_url.is_some() || is_set("AWS_ENDPOINT_URL_CONFIG_SERVICE");
    if is_elsewhere && !is_set("AWS_ENDPOINT_URL_STS") {
        return Ok(None);
    }
    let why = match timeout(CALLER_WAIT, asked).await {
        Ok(Ok(caller)) => {
            tracing::info!(caller, "caller identity");
            return Ok(Some(caller));
        }
        // AWS Config would say no more than that it does not know the key.
        Ok(Err(error)) if error.is_of_region() => return Err(error.into()),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("STS did not answer within {} s", CALLER_WAIT.as_secs()),
    };
    tracing::warn!(why, "the caller identity is not known, and not in the ledger");
    Ok(None)
}

/// Compares this machine's date with that of AWS Config, before anything is written. Where the lake's server has said already
/// what day it is, nothing is asked for that; an answer that is an error says it as well.
async fn check_clock(shared: &Shared<'_>, client: &AggregatorClient) -> anyhow::Result<()> {
    let session = shared.session;
    if session.settings.answers_any_date() {
        return Ok(());
    }
    if session.clock_offset().is_none() {
        let _ = client.try_page(Probe::Aggregator).await;
    }
    session.check_date(shared.request.date, "AWS Config", client.clock_offset())
}

/// AWS Config's own count of a whole aggregator by account, or why there is none: that of the plan, where it needed one, or asked for.
/// Nothing where the day is not held against it.
async fn counted(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    client: &AggregatorClient,
    of_plan: Option<Result<CountedPacks, FetchError>>,
) -> anyhow::Result<Option<Result<CountedPacks, FetchError>>> {
    if !shared.session.settings.reconciles(aggregator, shared.dataset) {
        return Ok(None);
    }
    if of_plan.is_some() {
        return Ok(of_plan);
    }
    let _permit = shared.permits.acquire().await?;
    Ok(Some(client.pack_counts(shared.session.run_id).await))
}

/// Compares the snapshot of a whole aggregator with AWS Config's own count: gives the accounts that differ, or why there is no
/// count.
async fn reconciled(
    shared: &Shared<'_>,
    client: &AggregatorClient,
    snapshot: &CheckedSnapshot,
    counted: Result<CountedPacks, FetchError>,
) -> anyhow::Result<(Option<Named>, Option<FetchError>)> {
    let settings = shared.session.settings;
    let counted = match counted {
        Ok(counted) => counted,
        Err(error) if settings.reconcile == Reconcile::Warn => return Ok((None, Some(error))),
        Err(error) => return Err(error.into()),
    };
    let (snapshot, tolerance) = (snapshot.clone(), settings.reconcile_tolerance);
    // Off the thread that renews the lease.
    let compared = computed(move || reconcile(&snapshot, &counted, tolerance));
    let differing = compared.await.context("reconciling stopped")??;
    if settings.reconcile == Reconcile::Fail && differing.count > 0 {
        // What was read is not right, so the next run must not resume from it.
        shared.lake_of(client.id()).end_collection(client.id()).await?;
        let first = differing.first.join("; ");
        bail!(
            "{} accounts are not as AWS Config counts them, and check.reconcile is \"fail\": {first}",
            differing.count
        );
    }
    Ok((Some(differing), None))
}

/// After how many pages of a shard what they took is given back: rows and lines that grow leave much between them that is free.
pub(super) const PAGES_UNTIL_GIVEN_BACK: u64 = 100;

impl ShardReading<'_> {
    /// Shards, as many of them side by side as there may be.
    async fn all(&self, shards: &[Shard]) -> anyhow::Result<Vec<ShardBatch>> {
        let at_once = self.shared.session.settings.max_in_flight;
        stream::iter(shards.iter().map(|shard| self.shard(shard.clone()))).buffer_unordered(at_once).try_collect().await
    }

    /// A shard: from its checkpoint, or read and checkpointed.
    #[tracing::instrument(target = SPANS, name = "shard", skip_all, fields(id = shard.index + 1, filter = %shard.filter))]
    async fn shard(&self, shard: Shard) -> anyhow::Result<ShardBatch> {
        let _permit = self.shared.permits.acquire().await?;
        let index = shard.index;
        let (mut rows, lines) = self.checkpoints.shard(&shard, self.flattener.shard()).await?;
        let (tally, lines) = match lines {
            Some(lines) => (None, lines),
            None => {
                let mut reader = ShardReader::new(
                    self.client.clone(),
                    self.shared.dataset,
                    shard.clone(),
                    self.shared.session.run_id,
                );
                while let Some(step) = reader.next().await? {
                    match step {
                        ShardStep::Page(page) => {
                            rows.push(&page);
                            if reader.tally().pages.is_multiple_of(PAGES_UNTIL_GIVEN_BACK) {
                                // Off the thread that renews the lease.
                                tokio::task::spawn_blocking(memory::give_back).await?;
                            }
                            self.bar.page(page.answers.len(), self.client.counts());
                        }
                        ShardStep::Restarted => rows.clear(),
                    }
                }
                let tally = reader.tally();
                let lines = reader.lines()?;
                self.checkpoints.put(&shard, lines.clone()).await?;
                (Some(tally), lines)
            }
        };
        self.bar.shard_done();
        let lines = self.shared.session.settings.archive_raw.then_some(lines);
        Ok(ShardBatch { index, rows: rows.finish(), tally, lines })
    }
}

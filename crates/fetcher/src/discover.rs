//! What an aggregator gathers from, and the shards that follow.
//!
//! The list of sources is a sixth of a night's calls, page after page, so that shards do not wait for it: they are planned by what
//! AWS Config counts and what the aggregator is set up for, and those that the sources alone name come after them.

mod places;

use crate::client::{AGGREGATORS, PACK_COUNTS, SOURCES};
use crate::dump::{Archive, DumpError, Dumped, FileReader};
use crate::error::{Cause, FetchError};
use crate::lines::{ArchiveHead, Lines, VERSION};
use crate::paged_list::PagedList;
use crate::plan::{Sizes, Split, UnknownFanOut, choose, plan_shards, split_needed};
use crate::{AggregatorClient, FanOut, Filter, FilterLists, Shard};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset, PackCounts, RunId, SnapshotDate, SourceAnswer};
use places::Places;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::try_join;

/// What is to be planned.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What is to be collected.
    pub dataset: &'static Dataset,
    /// The requests; none for everything.
    pub filters: &'a [FilterLists],
    /// How they are split.
    pub fan_out: FanOut,
    /// How many shards are read at once.
    pub at_once: usize,
    /// The day that is collected.
    pub date: SnapshotDate,
    /// The run that collects it.
    pub run_id: RunId,
}

/// What an aggregator says of its sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    /// The status of every source, in the API's order.
    pub statuses: Vec<SourceAnswer>,
    /// When the last page of the statuses arrived.
    pub collected_at: DateTime<Utc>,
    /// The run that asked.
    pub run_id: RunId,
    /// The pages as they came.
    lines: Bytes,
}

/// What an aggregator said of itself, from which the shards of its other datasets are planned as well.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// The whole plan of a dataset.
    pub plan: ShardPlan,
    /// The sources.
    pub sources: Sources,
}

/// The shards of an aggregator, as far as they are planned by now: those of [`AggregatorClient::plan`], behind which come those of
/// [`AggregatorClient::plan_rest`].
#[derive(Debug, Clone, Default)]
pub struct ShardPlan {
    /// The shards.
    pub shards: Vec<Shard>,
    /// Accounts or regions that AWS Config counts packs in and that none of its sources names, as far as the plan asked for that count;
    /// none before the sources are known.
    pub unnamed: Vec<String>,
    /// How the requests are split, never [`FanOut::Auto`]; nothing where only the sources say it.
    fan_out: Option<FanOut>,
    /// Whether a count failed that the split goes by, so that a later run should not go on with it.
    is_makeshift: bool,
    /// What the aggregator is set up to gather from; nothing where it was not asked for that.
    gathered: Option<Places>,
    counts: Counts,
}

/// How many packs AWS Config counts in each place.
pub type CountedPacks = BTreeMap<String, PackCounts>;

/// AWS Config's counts of packs, or why they are not at hand, as far as the plan needs them.
#[derive(Debug, Clone, Default)]
struct Counts {
    by_region: Option<Result<CountedPacks, FetchError>>,
    by_account: Option<Result<CountedPacks, FetchError>>,
}

impl ShardPlan {
    /// Whether another run may go on with it: not where a count failed that it should go by.
    pub fn is_lasting(&self) -> bool {
        !self.is_makeshift
    }

    /// How the requests are split, never [`FanOut::Auto`]; nothing where only the sources say it.
    pub fn fan_out(&self) -> Option<FanOut> {
        self.fan_out
    }

    /// AWS Config's count of packs by account, or why it is not at hand; nothing where the plan did not ask for it.
    pub fn counted_by_account(&self) -> Option<Result<CountedPacks, FetchError>> {
        self.counts.by_account.clone()
    }

    /// Adds the shards of the requests that ask for more than those that are planned, behind them.
    fn add(&mut self, requests: Vec<Shard>) {
        let planned: BTreeSet<Filter> = self.shards.iter().map(|shard| shard.filter.clone()).collect();
        let is_planned = |filter: &Filter| {
            planned.contains(filter) || planned.contains(&Filter { compliance_type: None, ..filter.clone() })
        };
        for Shard { filter, .. } in requests.into_iter().filter(|shard| !is_planned(&shard.filter)) {
            self.shards.push(Shard { index: self.shards.len(), filter });
        }
    }
}

impl Counts {
    fn of(&self, split: Split) -> Option<&Result<CountedPacks, FetchError>> {
        match split {
            Split::Accounts => self.by_account.as_ref(),
            Split::Regions | Split::Either => self.by_region.as_ref(),
        }
    }
}

impl AggregatorClient {
    /// Asks for the status of every source. Takes a permit for the list.
    ///
    /// # Errors
    /// Whatever keeps the list from being whole.
    pub async fn sources(&self, run_id: RunId, permits: &Semaphore) -> Result<Sources, FetchError> {
        let _permit = permit(permits).await;
        let mut list = PagedList::new(self.clone(), SOURCES, run_id);
        let (statuses, collected_at) = list.every_item(async |call| self.sources_page(call).await).await?;
        Ok(Sources { statuses, collected_at, run_id, lines: list.lines()? })
    }

    /// Asks for what the plan needs beside the sources, and plans as many shards as that says: for a split, those of every account or
    /// region that AWS Config counts packs in or that the aggregator is set up to gather from. They come behind those of the plan that a
    /// stopped run left. What the plan of another dataset has asked for is not asked for again. Takes a permit for each list.
    ///
    /// # Errors
    /// Whatever keeps a list from being whole, or a name that no request can have.
    pub async fn plan(
        &self,
        wanted: Wanted<'_>,
        left: Option<ShardPlan>,
        known: Option<&ShardPlan>,
        permits: &Semaphore,
    ) -> Result<ShardPlan, FetchError> {
        let left = left.unwrap_or_default();
        let needed = split_needed(wanted.filters, left.fan_out.unwrap_or(wanted.fan_out));
        let by_region = matches!(needed, Some(Split::Regions | Split::Either));
        let by_account = needed == Some(Split::Accounts);
        let (known, known_gathered) =
            known.map(|known| (known.counts.clone(), known.gathered.clone())).unwrap_or_default();
        let count = |is_needed, known: Option<Result<_, _>>| (is_needed, known.filter(Result::is_ok));
        // Each list in a box: all of them together are too large for the stack of a thread.
        let of_regions = Box::pin(self.pack_counts_by_region(wanted.run_id));
        let by_region = asked(permits, count(by_region, known.by_region), of_regions);
        let of_accounts = Box::pin(self.pack_counts(wanted.run_id));
        let by_account = asked(permits, count(by_account, known.by_account.clone()), of_accounts);
        let gathered = (needed.is_some(), known_gathered.map(Ok));
        let gathered = async { asked(permits, gathered, Box::pin(self.gathered(wanted.run_id))).await.transpose() };
        let (by_region, by_account, gathered) =
            try_join!(async { Ok(by_region.await) }, async { Ok(by_account.await) }, gathered)?;
        let plan = ShardPlan { gathered, counts: Counts { by_region, by_account }, ..left };
        let mut plan = self.extended(plan, wanted, None)?;
        // The number of accounts may say it, here or once the sources are there. With filters, sizes say nothing.
        if plan.fan_out.is_none() && wanted.filters.is_empty() {
            let by_account = count(true, known.by_account);
            let of_accounts = Box::pin(self.pack_counts(wanted.run_id));
            plan.counts.by_account = asked(permits, by_account, of_accounts).await;
            plan = self.extended(plan, wanted, None)?;
        }
        Ok(plan)
    }

    /// Adds the shards of what the sources alone name.
    ///
    /// # Errors
    /// Nothing to split by, a name that no request can have, or no count for a split that needs it.
    pub fn plan_rest(&self, plan: ShardPlan, wanted: Wanted<'_>, sources: &Sources) -> Result<ShardPlan, FetchError> {
        self.extended(plan, wanted, Some(&sources.statuses))
    }

    /// The lines of the plan, and of the sources where they are there: what a checkpoint is made of, read back by
    /// [`ShardPlan::read`].
    ///
    /// # Errors
    /// None but for a machine without memory.
    pub fn plan_lines(
        &self,
        plan: &ShardPlan,
        wanted: Wanted<'_>,
        sources: Option<&Sources>,
    ) -> Result<Bytes, FetchError> {
        let failed = |error: std::io::Error| {
            FetchError::transient(self.doing(SOURCES, ""), Cause::NotRecorded(error.to_string()))
        };
        let head = ArchiveHead {
            version: VERSION,
            aggregator: self.address().id.to_string(),
            snapshot_date: wanted.date.to_string(),
            run_id: wanted.run_id.to_string(),
            dataset: (wanted.dataset != &Dataset::PACKS).then(|| wanted.dataset.name.to_owned()),
            fan_out: plan.fan_out.unwrap_or(wanted.fan_out).to_string(),
            shards: plan.shards.len(),
            unnamed: plan.unnamed.clone(),
            requests: plan.shards.iter().map(|shard| (&shard.filter).into()).collect(),
            regions: Vec::new(),
            accounts: Vec::new(),
        };
        let mut lines = Lines::new().map_err(failed)?;
        lines.push_head(head).map_err(failed)?;
        let head = lines.finish().map_err(failed)?;
        let sources = sources.map_or(&[][..], |sources| &sources.lines);
        Ok(Bytes::from([&head, sources].concat()))
    }

    /// What the aggregator is set up to gather from: a source that was never heard of yet is in no status.
    async fn gathered(&self, run_id: RunId) -> Result<Places, FetchError> {
        let mut list = PagedList::new(self.clone(), AGGREGATORS, run_id);
        let (all, _) = list.every_item(async |call| self.gathered_page(call).await).await?;
        let mut places = Places::default();
        all.iter().for_each(|gathered| places.add_gathered(gathered));
        Ok(places)
    }

    /// The plan with what is known by now: of the sources nothing yet, or the status of each.
    fn extended(
        &self,
        mut plan: ShardPlan,
        wanted: Wanted<'_>,
        statuses: Option<&[SourceAnswer]>,
    ) -> Result<ShardPlan, FetchError> {
        let mut named = plan.gathered.clone().unwrap_or_default();
        statuses.into_iter().flatten().for_each(|status| named.add_source(status));
        let mut places = named.clone();
        for split in [Split::Regions, Split::Accounts] {
            // An account of an organization is in no status before its first update, and not in what the aggregator is set up for.
            let Some(Ok(counted)) = plan.counts.of(split) else { continue };
            let unnamed = places.add_counted(split, counted.keys());
            if statuses.is_some() {
                places::warn_of_unnamed(split, &unnamed);
                plan.unnamed.extend(unnamed);
            }
        }
        let Some(mut fan_out) =
            plan.fan_out.or_else(|| self.chosen(wanted, (plan.gathered.as_ref(), &plan.counts), &places, statuses))
        else {
            return Ok(plan);
        };
        if let Some(split) = split_needed(wanted.filters, fan_out)
            && let Some(Err(error)) = plan.counts.of(split)
        {
            match (error.is_denied(), wanted.fan_out) {
                // Where this identity may not ask for the count, the other names must do.
                (true, _) if statuses.is_none() => {}
                (true, _) => {
                    tracing::warn!(%error, "AWS Config's count of packs is not at hand: planning {split} without it");
                }
                // A stopped run has begun to read them.
                (false, FanOut::Auto) if !plan.shards.is_empty() => {
                    if statuses.is_some() {
                        tracing::warn!(%error, "AWS Config's count of packs is not at hand: {split} are those of the stopped run, and of the sources");
                    }
                }
                (false, FanOut::Auto) => {
                    tracing::warn!(%error, "AWS Config's count of packs is not at hand: no split by {split}");
                    fan_out = FanOut::None;
                }
                (false, _) => return Err(error.clone()),
            }
        }
        let is_chosen = plan.fan_out.is_none() && wanted.fan_out == FanOut::Auto;
        plan.is_makeshift |= is_chosen && (has_failed(&plan.counts.by_region) || has_failed(&plan.counts.by_account));
        plan.fan_out = Some(fan_out);
        let shards = |fan_out| plan_shards(wanted.dataset, wanted.filters, fan_out, &places.regions, &places.accounts);
        let split = split_needed(wanted.filters, fan_out);
        match split.and_then(|split| places.lack(split)) {
            None => plan.add(shards(fan_out)),
            // The sources may yet name some, and those of a stopped run's plan are planned.
            Some(Cause::NoSources) if statuses.is_none() || !plan.shards.is_empty() => {}
            // What no shard can ask for is read whole, unless the split was asked for.
            Some(_) if wanted.fan_out == FanOut::Auto => {
                places.warn_of_unknown();
                plan.fan_out = Some(FanOut::None);
                plan.add(shards(FanOut::None));
            }
            Some(cause) => {
                let is_of = |places: &Places| split.is_some_and(|split| places.lacks_name(split));
                let operation = match (&plan.gathered, statuses) {
                    (Some(gathered), _) if is_of(gathered) => AGGREGATORS,
                    (_, Some(_)) if is_of(&named) || matches!(cause, Cause::NoSources) => SOURCES,
                    _ => PACK_COUNTS,
                };
                return Err(FetchError::permanent(self.doing(operation, ""), cause));
            }
        }
        Ok(plan)
    }

    /// The split that reads an aggregator soonest; nothing where only its sources can say it. AWS Config's count of packs says how
    /// large each region is; where it cannot be had, the number of its sources does.
    fn chosen(
        &self,
        wanted: Wanted<'_>,
        (gathered, counts): (Option<&Places>, &Counts),
        places: &Places,
        statuses: Option<&[SourceAnswer]>,
    ) -> Option<FanOut> {
        if wanted.fan_out != FanOut::Auto {
            return Some(wanted.fan_out);
        }
        if split_needed(wanted.filters, FanOut::Auto).is_none() {
            return Some(FanOut::Region);
        }
        if !wanted.filters.is_empty() {
            return match places.lack(Split::Regions) {
                None => Some(FanOut::Region),
                Some(Cause::NoSources) if statuses.is_none() => None,
                Some(_) => {
                    places.warn_of_unknown();
                    Some(FanOut::None)
                }
            };
        }
        let of_pack = rows_of_pack(wanted.dataset);
        let mut by_region: BTreeMap<&str, u64> = BTreeMap::new();
        match (&counts.by_region, statuses) {
            (Some(Ok(counted)), _) => {
                let packs = |of: &PackCounts| of.compliant.saturating_add(of.non_compliant);
                let rows = |of| u64::try_from(packs(of)).unwrap_or_default().saturating_mul(of_pack);
                by_region.extend(counted.iter().map(|(region, of)| (region.as_str(), rows(of))));
            }
            (_, None) => return None,
            (_, Some(statuses)) => {
                if let Some(Err(error)) = &counts.by_region {
                    tracing::info!(%error, "planning by the number of sources alone");
                }
                for region in statuses.iter().filter_map(|status| status.aws_region.as_deref()) {
                    *by_region.entry(region).or_default() += TYPICAL_PACKS * of_pack;
                }
            }
        }
        let knows_accounts = statuses.is_some() || matches!(counts.by_account, Some(Ok(_)));
        let rows_by_region: Vec<u64> = by_region.into_values().collect();
        let is_one_page = rows_by_region.iter().sum::<u64>() <= self.page_rows(wanted.dataset);
        let regions = places.regions.len() as u64;
        let are_all = statuses.is_some() || gathered.is_some_and(|gathered| !gathered.regions.is_empty());
        let sizes = Sizes {
            rows_by_region,
            regions,
            // Regions without a pack are in no count, and each takes a call.
            more_regions: if are_all { 0 } else { MANY_REGIONS.saturating_sub(regions) },
            accounts: knows_accounts.then_some(places.accounts.len() as u64),
            page: self.page_rows(wanted.dataset),
            by_region: places.unknown_regions.is_empty() && !has_failed(&counts.by_region),
            by_account: places.unknown_accounts.is_empty() && !has_failed(&counts.by_account),
        };
        let chosen = choose(&sizes, wanted.at_once);
        if statuses.is_some() {
            places.warn_of_unknown();
            return chosen.or(Some(FanOut::None));
        }
        // Of accounts without a pack there may be many more, and of regions fewer.
        chosen.filter(|chosen| *chosen == FanOut::Region || *chosen == FanOut::None && is_one_page)
    }
}

/// What a list says: as it is known, or once there is a permit for it; nothing if it is not needed.
async fn asked<T>(
    permits: &Semaphore,
    (is_needed, known): (bool, Option<T>),
    list: impl Future<Output = T>,
) -> Option<T> {
    if !is_needed || known.is_some() {
        return known.filter(|_| is_needed);
    }
    let _permit = permit(permits).await;
    Some(list.await)
}

/// A permit for a list. The semaphore is closed nowhere.
async fn permit(permits: &Semaphore) -> Option<SemaphorePermit<'_>> {
    permits.acquire().await.ok()
}

/// Whether a count was asked for and failed, and not because this identity may not ask for it.
fn has_failed(count: &Option<Result<CountedPacks, FetchError>>) -> bool {
    matches!(count, Some(Err(error)) if !error.is_denied())
}

/// Regions of an aggregator, where nothing says how many: AWS has some more.
const MANY_REGIONS: u64 = 30;

/// Packs in an account and region, where nothing says how many.
const TYPICAL_PACKS: u64 = 5;

/// Rows of a dataset for each pack, about: nothing counts the rules of an aggregator.
fn rows_of_pack(dataset: &Dataset) -> u64 {
    if dataset == &Dataset::RULES { 10 } else { 1 }
}

impl ShardPlan {
    /// Reads back what [`AggregatorClient::plan_lines`] gave of an aggregator's dataset and day: the plan, and the sources if they are
    /// there. `name` is the file's, for the error.
    ///
    /// # Errors
    /// Lines that are not those.
    pub fn read(
        name: &str,
        lines: Bytes,
        (aggregator, dataset, date): (&AggregatorId, &'static Dataset, SnapshotDate),
    ) -> Result<(Self, Option<Sources>), DumpError> {
        let source_lines = after_first_frame(&lines);
        let mut file = FileReader::of_checkpoint(name, lines)?;
        let Some(Dumped::Archive(archive)) = file.next_part()? else {
            return Err(file.error("", "unexpected line: the first one of a plan says what it is of"));
        };
        let Archive { aggregator: of, dataset: of_dataset, snapshot_date: of_date, .. } = &archive;
        if (of, *of_dataset, *of_date) != (aggregator, dataset, date) {
            let reason = format!("it is of {} of {of} on {of_date}", of_dataset.name);
            return Err(file.error("compline", &reason));
        }
        let fan_out = archive
            .fan_out
            .parse()
            .map_err(|error: UnknownFanOut| file.error("compline.fan_out", &error.to_string()))?;
        if fan_out == FanOut::Auto {
            return Err(file.error("compline.fan_out", "it is not decided"));
        }
        let unnamed = archive.unnamed;
        let requests = archive.requests.into_iter().map(Filter::try_from).collect::<Result<Vec<_>, _>>();
        let requests = requests.map_err(|error| file.error("compline.requests", &error.to_string()))?;
        if requests.len() != archive.shards {
            let reason = format!("it has {} requests and {} shards", requests.len(), archive.shards);
            return Err(file.error("compline.requests", &reason));
        }
        let mut sources: Option<Sources> = None;
        while let Some(dumped) = file.next_part()? {
            let Dumped::Sources(page) = dumped else {
                return Err(file.error("", "unexpected page: not one of sources"));
            };
            let mut statuses = sources.map_or_else(Vec::new, |sources| sources.statuses);
            statuses.extend(page.statuses);
            let (collected_at, run_id, lines) = (page.collected_at, page.run_id, source_lines.clone());
            sources = Some(Sources { statuses, collected_at, run_id, lines });
        }
        file.is_of_shard(0)?;
        let shards = (0..).zip(requests).map(|(index, filter)| Shard { index, filter }).collect();
        Ok((Self { shards, unnamed, fan_out: Some(fan_out), ..Self::default() }, sources))
    }
}

/// The lines after those of the plan, which are a zstd frame of their own.
fn after_first_frame(lines: &Bytes) -> Bytes {
    let frame = zstd::zstd_safe::find_frame_compressed_size(lines).unwrap_or(lines.len());
    lines.slice(frame.min(lines.len())..)
}

#[cfg(test)]
mod tests;

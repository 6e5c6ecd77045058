//! What an aggregator gathers from, and the shards that follow.

use crate::client::{AGGREGATORS, SOURCES};
use crate::dump::{DumpError, Dumped, FileReader};
use crate::error::{Cause, FetchError};
use crate::lines::{ArchiveHead, Lines, VERSION};
use crate::plan::{Sizes, Split, choose, plan_shards, split_needed};
use crate::series::Series;
use crate::{AggregatorClient, FanOut, FilterLists, Shard};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::{AccountId, Region, RunId, SnapshotDate, SourceAnswer};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be planned.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
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

/// An aggregator's sources, and the plan of its shards.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// The status of every source, in the API's order.
    pub statuses: Vec<SourceAnswer>,
    /// When the last page of the statuses arrived.
    pub collected_at: DateTime<Utc>,
    /// The run that asked.
    pub run_id: RunId,
    /// How the requests are split; never [`FanOut::Auto`].
    pub fan_out: FanOut,
    /// The shards.
    pub shards: Vec<Shard>,
}

/// The accounts and regions that AWS Config names in any of its answers.
#[derive(Debug, Default)]
struct Places {
    regions: BTreeSet<Region>,
    accounts: BTreeSet<AccountId>,
}

impl Places {
    fn add(&mut self, account: &str, region: Option<&str>) {
        self.accounts.extend(account.parse());
        self.regions.extend(region.and_then(|region| region.parse().ok()));
    }
}

impl AggregatorClient {
    /// Asks what the aggregator gathers from, as far as the plan needs it, and plans its shards: for a split, every account
    /// or region that AWS Config names anywhere gets a shard. Gives the lines to keep as well, read back by
    /// [`Discovery::read`].
    ///
    /// # Errors
    /// Whatever keeps a list from being whole, or a list that has nothing of what is needed.
    pub async fn discover(&self, wanted: Wanted<'_>) -> Result<(Discovery, Bytes), FetchError> {
        let run_id = wanted.run_id;
        let mut series = Series::new(self.clone(), SOURCES, run_id);
        let (statuses, collected_at) = series.every_item(async |call| self.sources_page(call).await).await?;
        let mut places = Places::default();
        for status in &statuses {
            places.add(&status.source_id, status.aws_region.as_deref());
        }
        let needed = split_needed(wanted.filters, wanted.fan_out);
        if needed.is_some() {
            self.add_gathered(&mut places, run_id).await?;
        }
        let fan_out = match wanted.fan_out {
            FanOut::Auto => self.chosen(wanted, &statuses, &mut places).await,
            other => other,
        };
        let lacking = match split_needed(wanted.filters, fan_out) {
            Some(Split::Accounts) => places.accounts.is_empty(),
            Some(_) => places.regions.is_empty(),
            None => false,
        };
        if lacking {
            return Err(FetchError::permanent(self.doing(SOURCES, ""), Cause::NoSources));
        }
        let shards = plan_shards(wanted.filters, fan_out, &places.regions, &places.accounts);
        let lines = self.kept(wanted, fan_out, &shards, places, series)?;
        Ok((Discovery { statuses, collected_at, run_id, fan_out, shards }, lines))
    }

    /// Adds what the aggregator is set up to gather from: a source that was never heard of yet is in no status.
    async fn add_gathered(&self, places: &mut Places, run_id: RunId) -> Result<(), FetchError> {
        let mut series = Series::new(self.clone(), AGGREGATORS, run_id);
        let (aggregators, _) = series.every_item(async |call| self.gathered_page(call).await).await?;
        for gathered in aggregators {
            places.accounts.extend(gathered.account_ids.iter().filter_map(|account| account.parse().ok()));
            places.regions.extend(gathered.aws_regions.iter().filter_map(|region| region.parse().ok()));
        }
        Ok(())
    }

    /// The split that reads an aggregator soonest. AWS Config's count of packs says how large each region is; where it
    /// cannot be had, the number of its sources does.
    async fn chosen(&self, wanted: Wanted<'_>, statuses: &[SourceAnswer], places: &mut Places) -> FanOut {
        if !wanted.filters.is_empty() {
            return if places.regions.is_empty() { FanOut::None } else { FanOut::Region };
        }
        let mut by_region: BTreeMap<String, u64> = BTreeMap::new();
        match self.pack_counts_by_region(wanted.run_id).await {
            Ok(counts) => {
                places.regions.extend(counts.keys().filter_map(|region| region.parse().ok()));
                let packs = |count: i64| u64::try_from(count).unwrap_or_default();
                by_region
                    .extend(counts.into_iter().map(|(region, of)| (region, packs(of.compliant + of.non_compliant))));
            }
            Err(error) => {
                tracing::info!(%error, "planning by the number of sources alone");
                for region in statuses.iter().filter_map(|status| status.aws_region.clone()) {
                    *by_region.entry(region).or_default() += USUAL_PACKS;
                }
            }
        }
        let sizes = Sizes {
            packs_by_region: by_region.into_values().collect(),
            regions: places.regions.len() as u64,
            accounts: places.accounts.len() as u64,
            page: self.page_rows(),
        };
        choose(&sizes, wanted.at_once)
    }

    fn kept(
        &self,
        wanted: Wanted<'_>,
        fan_out: FanOut,
        shards: &[Shard],
        places: Places,
        series: Series,
    ) -> Result<Bytes, FetchError> {
        let failed =
            |error: std::io::Error| FetchError::transient(self.doing(SOURCES, ""), Cause::NotKept(error.to_string()));
        let head = ArchiveHead {
            version: VERSION,
            aggregator: self.address().id.to_string(),
            snapshot_date: wanted.date.to_string(),
            run_id: wanted.run_id.to_string(),
            fan_out: fan_out.to_string(),
            shards: shards.len(),
            regions: places.regions.iter().map(ToString::to_string).collect(),
            accounts: match fan_out {
                FanOut::Account => places.accounts.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            },
        };
        let mut lines = Lines::new().map_err(failed)?;
        lines.push_head(head).map_err(failed)?;
        let head = lines.finish().map_err(failed)?;
        Ok(Bytes::from([head, series.lines()?].concat()))
    }
}

/// Packs in an account and region, where nothing says how many.
const USUAL_PACKS: u64 = 5;

impl Discovery {
    /// Reads back what [`AggregatorClient::discover`] gave, with the same filters. `name` is the file's, for the error.
    ///
    /// # Errors
    /// Lines that are not those.
    pub fn read(name: &str, lines: Bytes, filters: &[FilterLists]) -> Result<Self, DumpError> {
        let mut file = FileReader::of_checkpoint(name, lines)?;
        let Some(Dumped::Archive(archive)) = file.next_part()? else {
            return Err(file.error("", "it does not say what it is"));
        };
        let fan_out = archive.fan_out.parse().map_err(|_| file.error("fan_out", "it is none that is known"))?;
        let regions = archive.regions.iter().filter_map(|region| region.parse().ok()).collect();
        let accounts = archive.accounts.iter().filter_map(|account| account.parse().ok()).collect();
        let shards = plan_shards(filters, fan_out, &regions, &accounts);
        let (mut statuses, mut collected_at, mut run_id) = (Vec::new(), DateTime::UNIX_EPOCH, archive.run_id);
        while let Some(dumped) = file.next_part()? {
            let Dumped::Sources(page) = dumped else { return Err(file.error("", "it is no page of sources")) };
            statuses.extend(page.statuses);
            (collected_at, run_id) = (page.collected_at, page.run_id);
        }
        Ok(Self { statuses, collected_at, run_id, fan_out, shards })
    }
}

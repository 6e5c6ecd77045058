//! What an aggregator gathers from, and the shards that follow.

use crate::client::{AGGREGATORS, SOURCES};
use crate::dump::{DumpError, Dumped, FileReader};
use crate::error::{Cause, FetchError};
use crate::lines::{ArchiveHead, Lines, VERSION};
use crate::paged_list::PagedList;
use crate::plan::{Sizes, Split, UnknownFanOut, choose, plan_shards, split_needed};
use crate::wire::excerpt;
use crate::{AggregatorClient, FanOut, FilterLists, Shard};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::{AccountId, Dataset, InvalidName, Region, RunId, SnapshotDate, SourceAnswer};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What is to be planned.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What is to be collected.
    pub dataset: &'static Dataset,
    /// The sources, where they have been asked for: those of the aggregator's other dataset of the same day.
    pub known: Option<&'a Discovery>,
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
    /// Accounts or regions that AWS Config counts packs in and that none of its sources names; nothing where it was not asked
    /// for that count, or a stopped run had.
    pub unnamed: Vec<String>,
    /// The lines of the statuses.
    source_lines: Bytes,
}

/// The accounts and regions that AWS Config names in any of its answers.
#[derive(Debug, Default)]
struct Places {
    regions: BTreeSet<Region>,
    accounts: BTreeSet<AccountId>,
    /// Regions that have not the form of one: a shard cannot ask for them, and must not be left out without a word.
    unknown_regions: BTreeSet<String>,
    unknown_accounts: BTreeSet<String>,
    /// Whether AWS Config's count of packs by region is among them.
    regions_are_counted: bool,
    /// What that count names and no source does.
    unnamed: Vec<String>,
}

impl Places {
    /// Adds what a source's status names. The organization itself is no account that has packs.
    fn add(&mut self, status: &SourceAnswer) {
        if status.source_type != ORGANIZATION || status.source_id.parse::<AccountId>().is_ok() {
            self.add_account(&status.source_id);
        }
        if let Some(region) = &status.aws_region {
            self.add_region(region);
        }
    }

    /// Adds an account; whether it is a new one.
    fn add_account(&mut self, name: &str) -> bool {
        match name.parse() {
            Ok(account) => self.accounts.insert(account),
            Err(_) => self.unknown_accounts.insert(name.to_owned()),
        }
    }

    /// Adds a region; whether it is a new one.
    fn add_region(&mut self, name: &str) -> bool {
        match name.parse() {
            Ok(region) => self.regions.insert(region),
            Err(_) => self.unknown_regions.insert(name.to_owned()),
        }
    }

    /// Adds what AWS Config counts packs in, and says what of it none of the sources names.
    fn add_counted<'a>(&mut self, split: Split, names: impl Iterator<Item = &'a String>) {
        let is_new = |name: &&String| match split {
            Split::Accounts => self.add_account(name),
            Split::Regions | Split::Either => self.add_region(name),
        };
        let new: Vec<String> = names.filter(is_new).map(|name| excerpt(name)).collect();
        if !new.is_empty() {
            let first = new.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
            tracing::warn!(
                count = new.len(),
                first,
                "AWS Config counts packs in {split} that none of the sources names"
            );
            self.unnamed.extend(new);
        }
    }

    /// Why a split would not read everything: there is nothing to split by, or something that no request can name.
    fn lack(&self, split: Split) -> Option<Cause> {
        let (none, unknown, what) = match split {
            Split::Accounts => (self.accounts.is_empty(), &self.unknown_accounts, "account"),
            Split::Regions | Split::Either => (self.regions.is_empty(), &self.unknown_regions, "region"),
        };
        if !unknown.is_empty() {
            let names = unknown.iter().take(MAX_NAMED).map(|name| excerpt(name)).collect();
            return Some(Cause::UnknownNames { what, names, count: unknown.len() });
        }
        none.then_some(Cause::NoSources)
    }
}

/// The type of a source that is an organization.
const ORGANIZATION: &str = "ORGANIZATION";

/// Names in an error; more help nobody.
const MAX_NAMED: usize = 5;

impl AggregatorClient {
    /// Asks what the aggregator gathers from, as far as the plan needs it, and plans its shards: for a split, every account
    /// or region that AWS Config names anywhere gets a shard. Gives the lines of a checkpoint as well, read back by
    /// [`Discovery::read`].
    ///
    /// # Errors
    /// Whatever keeps a list from being whole, or a list that has nothing of what is needed.
    pub async fn discover(&self, wanted: Wanted<'_>) -> Result<(Discovery, Bytes), FetchError> {
        let run_id = wanted.run_id;
        let (statuses, collected_at, source_lines) = match wanted.known {
            Some(known) => (known.statuses.clone(), known.collected_at, known.source_lines.clone()),
            None => {
                let mut list = PagedList::new(self.clone(), SOURCES, run_id);
                let (statuses, collected_at) = list.every_item(async |call| self.sources_page(call).await).await?;
                (statuses, collected_at, list.lines()?)
            }
        };
        let mut places = Places::default();
        for status in &statuses {
            places.add(status);
        }
        let needed = split_needed(wanted.filters, wanted.fan_out);
        if needed.is_some() {
            self.add_gathered(&mut places, run_id).await?;
        }
        let mut fan_out = match wanted.fan_out {
            FanOut::Auto => self.chosen(wanted, &statuses, &mut places).await,
            other => other,
        };
        let mut split = split_needed(wanted.filters, fan_out);
        if let Some(split) = split {
            self.add_counted(&mut places, split, run_id).await?;
        }
        // What the count names and no shard can ask for is read whole, unless the split was asked for.
        if wanted.fan_out == FanOut::Auto && split.is_some_and(|split| places.lack(split).is_some()) {
            (fan_out, split) = (FanOut::None, None);
        }
        if let Some(cause) = split.and_then(|split| places.lack(split)) {
            return Err(FetchError::permanent(self.doing(SOURCES, ""), cause));
        }
        let shards = plan_shards(wanted.dataset, wanted.filters, fan_out, &places.regions, &places.accounts);
        let unnamed = std::mem::take(&mut places.unnamed);
        let lines = self.lines(wanted, fan_out, &shards, places, &source_lines)?;
        let run_id = wanted.known.map_or(run_id, |known| known.run_id);
        Ok((Discovery { statuses, collected_at, run_id, fan_out, shards, unnamed, source_lines }, lines))
    }

    /// Adds what the aggregator is set up to gather from: a source that was never heard of yet is in no status.
    async fn add_gathered(&self, places: &mut Places, run_id: RunId) -> Result<(), FetchError> {
        let mut list = PagedList::new(self.clone(), AGGREGATORS, run_id);
        let (aggregators, _) = list.every_item(async |call| self.gathered_page(call).await).await?;
        for gathered in aggregators {
            for account in &gathered.account_ids {
                places.add_account(account);
            }
            for region in &gathered.aws_regions {
                places.add_region(region);
            }
        }
        Ok(())
    }

    /// Adds what AWS Config counts packs in: an account of an organization is in no status before its first update, and not in
    /// what the aggregator is set up for. Where this identity may not ask for the count, the other names must do.
    async fn add_counted(&self, places: &mut Places, split: Split, run_id: RunId) -> Result<(), FetchError> {
        let counted = match split {
            Split::Accounts => self.pack_counts(run_id).await,
            Split::Regions | Split::Either if places.regions_are_counted => return Ok(()),
            Split::Regions | Split::Either => self.pack_counts_by_region(run_id).await,
        };
        let counted = match counted {
            Ok(counted) => counted,
            Err(error) if error.is_denied() => {
                tracing::warn!(%error, "AWS Config's count of packs is not at hand: planning {split} by their sources alone");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        places.add_counted(split, counted.keys());
        Ok(())
    }

    /// The split that reads an aggregator soonest. AWS Config's count of packs says how large each region is; where it
    /// cannot be had, the number of its sources does.
    async fn chosen(&self, wanted: Wanted<'_>, statuses: &[SourceAnswer], places: &mut Places) -> FanOut {
        if !wanted.filters.is_empty() {
            return if places.lack(Split::Regions).is_none() { FanOut::Region } else { FanOut::None };
        }
        let mut by_region: BTreeMap<String, u64> = BTreeMap::new();
        match self.pack_counts_by_region(wanted.run_id).await {
            Ok(counts) => {
                places.add_counted(Split::Regions, counts.keys());
                places.regions_are_counted = true;
                let of_pack = rows_of_pack(wanted.dataset);
                let packs = |count: i64| u64::try_from(count).unwrap_or_default().saturating_mul(of_pack);
                by_region.extend(
                    counts
                        .into_iter()
                        .map(|(region, of)| (region, packs(of.compliant.saturating_add(of.non_compliant)))),
                );
            }
            Err(error) => {
                tracing::info!(%error, "planning by the number of sources alone");
                for region in statuses.iter().filter_map(|status| status.aws_region.clone()) {
                    *by_region.entry(region).or_default() += TYPICAL_PACKS * rows_of_pack(wanted.dataset);
                }
            }
        }
        let sizes = Sizes {
            rows_by_region: by_region.into_values().collect(),
            regions: places.regions.len() as u64,
            accounts: places.accounts.len() as u64,
            page: self.page_rows(wanted.dataset),
            by_region: places.unknown_regions.is_empty(),
            by_account: places.unknown_accounts.is_empty(),
        };
        for region in &places.unknown_regions {
            tracing::warn!(region = excerpt(region), "not a region's name: no split by region");
        }
        for account in &places.unknown_accounts {
            tracing::warn!(account = excerpt(account), "not an account id: no split by account");
        }
        choose(&sizes, wanted.at_once)
    }

    /// The lines of the plan and of the sources, for a checkpoint.
    fn lines(
        &self,
        wanted: Wanted<'_>,
        fan_out: FanOut,
        shards: &[Shard],
        places: Places,
        source_lines: &[u8],
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
        Ok(Bytes::from([&head, source_lines].concat()))
    }
}

/// Packs in an account and region, where nothing says how many.
const TYPICAL_PACKS: u64 = 5;

/// Rows of a dataset for each pack, about: nothing counts the rules of an aggregator.
fn rows_of_pack(dataset: &Dataset) -> u64 {
    if dataset == &Dataset::RULES { 10 } else { 1 }
}

impl Discovery {
    /// Reads back what [`AggregatorClient::discover`] gave, with the same filters. `name` is the file's, for the error.
    ///
    /// # Errors
    /// Lines that are not those.
    pub fn read(
        name: &str,
        lines: Bytes,
        dataset: &'static Dataset,
        filters: &[FilterLists],
    ) -> Result<Self, DumpError> {
        let source_lines = after_first_frame(&lines);
        let mut file = FileReader::of_checkpoint(name, lines)?;
        let archive = match file.next_part()? {
            Some(Dumped::Archive(archive)) if archive.dataset == dataset => archive,
            Some(Dumped::Archive(_)) => {
                return Err(file.error("compline.dataset", &format!("it is not of {}", dataset.name)));
            }
            _ => return Err(file.error("", "unexpected line: the first one of a plan says what it is of")),
        };
        let fan_out = archive
            .fan_out
            .parse()
            .map_err(|error: UnknownFanOut| file.error("compline.fan_out", &error.to_string()))?;
        let regions = names(&archive.regions).map_err(|error| file.error("compline.regions", &error.to_string()))?;
        let accounts = names(&archive.accounts).map_err(|error| file.error("compline.accounts", &error.to_string()))?;
        let shards = plan_shards(dataset, filters, fan_out, &regions, &accounts);
        if shards.len() != archive.shards {
            // The checkpoints of its shards would be taken for those of others.
            let reason =
                format!("it has {} shards and the plan has {}; run again with --fresh", archive.shards, shards.len());
            return Err(file.error("compline.shards", &reason));
        }
        let (mut statuses, mut collected_at, mut run_id) = (Vec::new(), DateTime::UNIX_EPOCH, archive.run_id);
        while let Some(dumped) = file.next_part()? {
            let Dumped::Sources(page) = dumped else {
                return Err(file.error("", "unexpected page: not one of sources"));
            };
            statuses.extend(page.statuses);
            (collected_at, run_id) = (page.collected_at, page.run_id);
        }
        file.is_of_shard(0)?;
        Ok(Self { statuses, collected_at, run_id, fan_out, shards, unnamed: Vec::new(), source_lines })
    }
}

/// The lines after those of the plan, which are a zstd frame of their own.
fn after_first_frame(lines: &Bytes) -> Bytes {
    let frame = zstd::zstd_safe::find_frame_compressed_size(lines).unwrap_or(lines.len());
    lines.slice(frame.min(lines.len())..)
}

/// Names as they were written; one that cannot be read must not be left out.
fn names<T: FromStr<Err = InvalidName> + Ord>(texts: &[String]) -> Result<BTreeSet<T>, InvalidName> {
    texts.iter().map(|text| text.parse()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(source_id: &str, source_type: &str, region: Option<&str>) -> SourceAnswer {
        SourceAnswer {
            source_id: source_id.to_owned(),
            source_type: source_type.to_owned(),
            aws_region: region.map(str::to_owned),
            status: "SUCCEEDED".to_owned(),
            last_update_time: None,
            error_code: None,
            error_message: None,
        }
    }

    fn lack(statuses: &[SourceAnswer], split: Split) -> Option<String> {
        let mut places = Places::default();
        statuses.iter().for_each(|status| places.add(status));
        Some(FetchError::permanent("planning".to_owned(), places.lack(split)?).to_string())
    }

    #[test]
    fn f10_a_name_that_no_shard_can_ask_for_is_named_and_not_left_out() {
        let good = status("000000000001", "ACCOUNT", Some("eu-west-1"));
        let organization = status("o-abc1234567", ORGANIZATION, None);
        assert_eq!(lack(&[good.clone(), organization], Split::Accounts), None, "an organization has no packs itself");

        let odd_region = [good.clone(), status("000000000002", "ACCOUNT", Some("mars"))];
        assert_eq!(lack(&odd_region, Split::Accounts), None);
        let error = lack(&odd_region, Split::Regions).expect("an error");
        assert!(error.contains("names mars, which is not the name of an AWS region"), "{error}");

        let odd_account = [good, status("12", "ACCOUNT", Some("eu-west-1"))];
        assert_eq!(lack(&odd_account, Split::Regions), None);
        let error = lack(&odd_account, Split::Accounts).expect("an error");
        assert!(error.contains("names 12, which is not the name of an account"), "{error}");
        let many: Vec<_> = (0..9).map(|number| status(&number.to_string(), "ACCOUNT", None)).collect();
        let error = lack(&many, Split::Accounts).expect("an error");
        assert!(error.contains("names 0, 1, 2, 3, 4 and 4 more, "), "{error}");
    }
}

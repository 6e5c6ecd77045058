//! What a run would do.

use crate::population::Population;
use crate::settings::{AggregatorSettings, Settings, lake_name};
use compline_fetcher::{Connector, FanOut, FilterLists, Shard, Split, Wanted, page_rows, plan_shards, split_needed};
use compline_model::{Dataset, RunId, SnapshotDate};
use compline_sink::Partition;
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use tokio::sync::Semaphore;
use tokio::try_join;

/// What a run of a day would read and write.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Plan {
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) snapshot_date: SnapshotDate,
    pub(crate) lake: String,
    pub(crate) aggregators: Vec<AggregatorPlan>,
}

/// What it would read and write of a dataset of an aggregator.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AggregatorPlan {
    /// Its id in the pipeline file.
    pub(crate) aggregator: String,
    /// What is collected: packs or rules.
    #[cfg_attr(test, schemars(with = "String"))]
    #[serde(serialize_with = "by_name")]
    pub(crate) dataset: &'static Dataset,
    /// Its name in AWS Config.
    pub(crate) name: String,
    pub(crate) region: String,
    /// ARN of the role that asks, if one is assumed.
    pub(crate) role: Option<String>,
    /// How it is read; none if the aggregator was asked and did not answer.
    pub(crate) reading: Option<Reading>,
    /// Why the aggregator could not be asked.
    pub(crate) error: Option<String>,
    /// Whether which packs or rules are asked for depends on their compliance type, so that there are no trends.
    pub(crate) facts_only: bool,
    /// The partitions that are written, as keys in the lake.
    pub(crate) writes: Vec<String>,
}

/// How an aggregator is read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Reading {
    /// The shards, as filters. Where the split waits for the aggregator's answer they are those before it.
    pub(crate) shards: Vec<String>,
    /// `none`, `region` or `account`, where the aggregator was asked.
    pub(crate) split_by: Option<String>,
    /// The aggregator's sources, where it was asked.
    pub(crate) sources: Option<usize>,
    /// The calls that are needed at least, where the aggregator was not asked.
    pub(crate) min_calls: Option<usize>,
    /// The rows of a page at most.
    pub(crate) page_size: u32,
    /// Whether AWS Config's own count is asked for too.
    pub(crate) reconciles: bool,
    /// What the split waits for.
    #[serde(skip)]
    pub(crate) open_split: Option<Split>,
}

/// What a run of a day would read and write. With a connector each aggregator is asked how it would be split.
pub(crate) async fn plan(
    settings: &Settings,
    date: SnapshotDate,
    run_id: RunId,
    connector: Option<&Connector>,
) -> Plan {
    let mut aggregators = Vec::new();
    let of = |aggregator: &'_ AggregatorSettings| aggregator.datasets.clone();
    for (aggregator, dataset) in
        settings.aggregators.iter().flat_map(|one| of(one).into_iter().map(move |dataset| (one, dataset)))
    {
        let address = &aggregator.address;
        let reading = match connector {
            None => Ok(planned(aggregator, dataset, settings)),
            Some(connector) => discovered(aggregator, dataset, settings, (connector, run_id, date)).await,
        };
        let (reading, error) = match reading {
            Ok(reading) => (Some(reading), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let facts_only = Population::of(aggregator.of(dataset)).facts_only;
        let tables = dataset.tables_and_ledger().into_iter().filter(|table| !facts_only || !table.is_derived());
        let partition = |table| Partition { table, date, aggregator: address.id.clone() };
        aggregators.push(AggregatorPlan {
            aggregator: address.id.to_string(),
            dataset,
            name: address.name.to_string(),
            region: address.region.to_string(),
            role: address.role.as_ref().map(|role| role.arn.clone()),
            reading,
            error,
            facts_only,
            writes: tables.map(|table| partition(table).key()).collect(),
        });
    }
    Plan { snapshot_date: date, lake: lake_name(&settings.lake), aggregators }
}

/// What a run would read, as far as the file says it.
fn planned(aggregator: &AggregatorSettings, dataset: &'static Dataset, settings: &Settings) -> Reading {
    let filters = &aggregator.of(dataset).filters;
    let open_split = split_needed(filters, aggregator.fan_out);
    // Where the file leaves the split open, one shard stands for each of what the aggregator will name.
    let shards = plan_shards(dataset, filters, aggregator.fan_out, &BTreeSet::new(), &BTreeSet::new());
    let shards = if open_split.is_some() && shards.is_empty() { open_shards(dataset, filters) } else { shards };
    let asks_sources = dataset == &Dataset::PACKS;
    let reconciles = settings.reconciles(aggregator, dataset);
    Reading {
        // The sources are asked for once for all datasets.
        min_calls: Some(
            shards.len()
                + usize::from(asks_sources)
                + usize::from(reconciles)
                + usize::from(asks_sources && open_split.is_some()),
        ),
        shards: shown(&shards),
        split_by: None,
        sources: None,
        page_size: page_size(dataset, settings),
        reconciles,
        open_split,
    }
}

/// What a run would read now, as the aggregator says.
async fn discovered(
    aggregator: &AggregatorSettings,
    dataset: &'static Dataset,
    settings: &Settings,
    (connector, run_id, date): (&Connector, RunId, SnapshotDate),
) -> Result<Reading, compline_fetcher::FetchError> {
    let client = connector.connect(aggregator.address.clone()).await;
    let (filters, fan_out, at_once) = (&aggregator.of(dataset).filters, aggregator.fan_out, settings.max_in_flight);
    let wanted = Wanted { dataset, filters, fan_out, at_once, date, run_id };
    let permits = Semaphore::new(at_once);
    let (sources, plan) = try_join!(client.sources(run_id, &permits), client.plan(wanted, None, None, &permits))?;
    let plan = client.plan_rest(plan, wanted, &sources)?;
    Ok(Reading {
        shards: shown(&plan.shards),
        split_by: plan.fan_out().map(|fan_out| fan_out.to_string()),
        sources: Some(sources.statuses.len()),
        min_calls: None,
        page_size: page_size(dataset, settings),
        reconciles: settings.reconciles(aggregator, dataset),
        open_split: None,
    })
}

fn page_size(dataset: &Dataset, settings: &Settings) -> u32 {
    page_rows(dataset, settings.fetch.page_size).unsigned_abs()
}

fn by_name<S: Serializer>(dataset: &Dataset, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dataset.name)
}

fn shown(shards: &[Shard]) -> Vec<String> {
    shards.iter().map(|shard| shard.filter.to_string()).collect()
}

/// The shards before they are split.
fn open_shards(dataset: &Dataset, filters: &[FilterLists]) -> Vec<Shard> {
    plan_shards(dataset, filters, FanOut::None, &BTreeSet::new(), &BTreeSet::new())
}

//! What a run would do, in words.

use crate::failure::Ending;
use crate::population::Population;
use crate::settings::{AggregatorSettings, Settings, lake_name};
use compline_fetcher::{Connector, FanOut, Shard, Split, Wanted, plan_shards, split_needed};
use compline_model::{RunId, SnapshotDate, Table};
use compline_sink::Partition;
use std::collections::BTreeSet;
use std::fmt::Write;

/// What a run of a day would read and write. With a connector each aggregator is asked how it would be split: one that cannot
/// be asked says so, and makes it fail.
pub(crate) async fn words(
    settings: &Settings,
    date: SnapshotDate,
    run_id: RunId,
    connector: Option<&Connector>,
) -> (String, Ending) {
    let mut text = format!("snapshot {date} to {}\n", lake_name(&settings.lake));
    let mut ending = Ending::Done;
    for aggregator in &settings.aggregators {
        let address = &aggregator.address;
        let role = address.role.as_ref().map_or_else(String::new, |role| format!(", as {}", role.arn));
        let _ = writeln!(text, "\naggregator {} ({} in {}{role})", address.id, address.name, address.region);
        match connector {
            None => text.push_str(&planned(aggregator, settings)),
            Some(connector) => match discovered(aggregator, settings, connector, run_id, date).await {
                Ok(found) => text.push_str(&found),
                Err(error) => {
                    let _ = writeln!(text, "  cannot be asked: {error}");
                    ending = Ending::Failed;
                }
            },
        }
        let population = Population::of(aggregator);
        if population.facts_only {
            text.push_str(
                "  facts only: which packs are asked for depends on their compliance type, so there are no trends\n",
            );
        }
        for table in Table::ALL.into_iter().filter(|table| !population.facts_only || !table.is_derived()) {
            let partition = Partition { table, date, aggregator: address.id.clone() };
            let _ = writeln!(text, "  writes {}", partition.key());
        }
    }
    (text, ending)
}

/// What a run would read, as far as the file says it.
fn planned(aggregator: &AggregatorSettings, settings: &Settings) -> String {
    let mut text = String::new();
    let split = split_needed(&aggregator.filters, aggregator.fan_out);
    // Where the file leaves the split open, one shard stands for each of what the aggregator will name.
    let shards = plan_shards(&aggregator.filters, aggregator.fan_out, &BTreeSet::new(), &BTreeSet::new());
    let shards = if split.is_some() && shards.is_empty() { open_shards(aggregator) } else { shards };
    write_shards(&mut text, &shards);
    let page = settings.fetch.page_size.unwrap_or(100);
    let counted = settings.reconciles(aggregator);
    let beside = if counted { "its sources and for AWS Config's own count" } else { "its sources" };
    let at_least = shards.len() + 1 + usize::from(counted) + usize::from(split.is_some());
    let _ = match split {
        None => writeln!(
            text,
            "  at least {at_least} calls, those for {beside} among them; one page has {page} rows at most"
        ),
        Some(Split::Either) => writeln!(
            text,
            "  split by region or by account, as it is read soonest: run asks the aggregator first, and so does --discover\n  \
             at least {at_least} calls, those for {beside} among them; one page has {page} rows at most"
        ),
        Some(split) => {
            let each = if split == Split::Regions { "region" } else { "account" };
            writeln!(
                text,
                "  each split by {each}: run asks the aggregator for the {split} of its sources first, and so does --discover\n  \
                 at least {at_least} calls, those for {beside} among them, and one more for every further {each}; \
                 one page has {page} rows at most"
            )
        }
    };
    text
}

/// What a run would read now, as the aggregator says.
async fn discovered(
    aggregator: &AggregatorSettings,
    settings: &Settings,
    connector: &Connector,
    run_id: RunId,
    date: SnapshotDate,
) -> Result<String, compline_fetcher::FetchError> {
    let client = connector.connect(aggregator.address.clone()).await;
    let (filters, at_once) = (&aggregator.filters, settings.max_in_flight);
    let wanted = Wanted { filters, fan_out: aggregator.fan_out, at_once, date, run_id };
    let (discovery, _) = client.discover(wanted).await?;
    let mut text = format!("  {} sources, split by {}\n", discovery.statuses.len(), discovery.fan_out);
    write_shards(&mut text, &discovery.shards);
    Ok(text)
}

fn write_shards(text: &mut String, shards: &[Shard]) {
    for shard in shards {
        let _ = writeln!(text, "  shard {}: {}", shard.index + 1, shard.filter);
    }
}

/// The shards before they are split.
fn open_shards(aggregator: &AggregatorSettings) -> Vec<Shard> {
    plan_shards(&aggregator.filters, FanOut::None, &BTreeSet::new(), &BTreeSet::new())
}

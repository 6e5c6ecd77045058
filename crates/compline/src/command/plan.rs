//! `compline plan`.

use super::{Clock, day_of};
use crate::arguments::PlanArguments;
use crate::failure::{Ending, Failure};
use crate::print;
use crate::settings::{AggregatorSettings, Settings, lake_name};
use compline_fetcher::{FanOut, Shard, Split, plan_shards, split_needed};
use compline_model::{SnapshotDate, Table};
use compline_sink::Partition;
use std::collections::BTreeSet;
use std::fmt::Write;

pub(super) fn plan(arguments: &PlanArguments, clock: Clock) -> Result<Ending, Failure> {
    let mut settings = Settings::read(&arguments.file, arguments.lake.as_deref()).map_err(Failure::Usage)?;
    settings.keep_only(&arguments.only).map_err(Failure::Usage)?;
    let date = arguments.date.unwrap_or_else(|| day_of(clock()));
    let mut text = format!("snapshot {date} to {}\n", lake_name(&settings.lake));
    for aggregator in &settings.aggregators {
        text.push_str(&planned(aggregator, &settings, date));
    }
    print(&text)?;
    Ok(Ending::Done)
}

fn planned(aggregator: &AggregatorSettings, settings: &Settings, date: SnapshotDate) -> String {
    let address = &aggregator.address;
    let role = address.role.as_ref().map_or_else(String::new, |role| format!(", as {}", role.arn));
    let mut text = format!("\naggregator {} ({} in {}{role})\n", address.id, address.name, address.region);
    let split = split_needed(&aggregator.filters, aggregator.fan_out);
    // Where the file leaves the split open, one shard stands for each of what the aggregator will name.
    let shards = plan_shards(&aggregator.filters, aggregator.fan_out, &BTreeSet::new(), &BTreeSet::new());
    let shards = if split.is_some() && shards.is_empty() { open_shards(aggregator) } else { shards };
    for shard in &shards {
        let _ = writeln!(text, "  shard {}: {}", shard.index + 1, shard.filter);
    }
    let page = settings.fetch.page_size.unwrap_or(100);
    let counted = settings.reconciles(aggregator);
    let at_least = shards.len() + 1 + usize::from(counted);
    let beside = if counted { "its sources and for AWS Config's own count" } else { "its sources" };
    match split {
        Some(split) => {
            let each = if split == Split::Regions { "region" } else { "account" };
            let _ =
                writeln!(text, "  each split by {each}: run asks the aggregator for the {split} of its sources first");
            let _ = writeln!(
                text,
                "  at least {at_least} calls, those for {beside} among them, and one more for every further {each}; one page has {page} rows at most"
            );
        }
        None => {
            let _ = writeln!(
                text,
                "  at least {at_least} calls, those for {beside} among them; one page has {page} rows at most"
            );
        }
    }
    if aggregator.fan_out == FanOut::ComplianceType {
        text.push_str(
            "  asks for these three compliance types only: a pack of a type that AWS adds later is not seen\n",
        );
    }
    for table in Table::ALL {
        let partition = Partition { table, date, aggregator: address.id.clone() };
        let _ = writeln!(text, "  writes {}", partition.key());
    }
    text
}

/// The shards before they are split.
fn open_shards(aggregator: &AggregatorSettings) -> Vec<Shard> {
    plan_shards(&aggregator.filters, FanOut::None, &BTreeSet::new(), &BTreeSet::new())
}

//! `compline plan`.

use super::day_of;
use crate::arguments::PlanArguments;
use crate::failure::{Ending, Failure};
use crate::output::show;
use crate::plan::{AggregatorPlan, Plan, Reading, plan as plan_of};
use crate::progress::named;
use crate::session::{Clock, environment};
use anyhow::anyhow;
use compline_fetcher::{Connector, Split};
use compline_model::{Dataset, RunId};
use std::fmt::Write;

pub(super) async fn plan(arguments: &PlanArguments, clock: Clock) -> Result<Ending, Failure> {
    let PlanArguments { pipeline, date, discover, json } = arguments;
    let settings = pipeline.settings()?;
    let now = clock();
    let today = day_of(now);
    let date = date.unwrap_or(today);
    if date > today {
        let what = anyhow!("--date {date}: it is {today} (UTC), so nothing can be of that day yet");
        return Err(Failure::Usage(what));
    }
    let connector = match discover {
        true => Some(Connector::new(environment(&settings).await?, settings.fetch_options(date))),
        false => None,
    };
    let plan = plan_of(&settings, date, RunId::new(now), connector.as_ref()).await;
    show(*json, &plan, || words(&plan))?;
    Ok(if plan.aggregators.iter().all(|one| one.error.is_none()) { Ending::Done } else { Ending::Failed })
}

fn words(plan: &Plan) -> String {
    let mut text = format!("snapshot {} to {}\n", plan.snapshot_date, plan.lake);
    for one in &plan.aggregators {
        let AggregatorPlan { aggregator, dataset, name, region, role, reading, error, facts_only, writes } = one;
        let role = role.as_ref().map_or_else(String::new, |role| format!(", as {role}"));
        let _ = writeln!(text, "\naggregator {} ({name} in {region}{role})", named(aggregator, dataset.name));
        if let Some(reading) = reading {
            text.push_str(&words_of_reading(dataset, reading));
        }
        if let Some(error) = error {
            let _ = writeln!(text, "  FAILED: cannot be asked: {error}");
        }
        if *facts_only {
            let what = dataset.name;
            let _ = writeln!(
                text,
                "  facts only: which {what} are asked for depends on their compliance type,\n  so there are no trends"
            );
        }
        for key in writes {
            let _ = writeln!(text, "  writes {key}");
        }
    }
    text
}

fn words_of_reading(dataset: &Dataset, reading: &Reading) -> String {
    let mut text = String::new();
    if let (Some(sources), Some(split_by)) = (reading.sources, &reading.split_by) {
        let _ = writeln!(text, "  {sources} sources, split by {split_by}");
    }
    for (at, filter) in reading.shards.iter().enumerate() {
        let _ = writeln!(text, "  shard {}: {filter}", at + 1);
    }
    let each = match reading.open_split {
        None => None,
        Some(Split::Either) => {
            text.push_str("  split by region or by account, as it is read soonest:\n  ");
            text.push_str("run asks the aggregator first, and so does --discover\n");
            None
        }
        Some(split) => {
            let each = if split == Split::Regions { "region" } else { "account" };
            let _ = writeln!(
                text,
                "  each split by {each}: run asks AWS Config for the {split} first, and\n  so does --discover"
            );
            Some(each)
        }
    };
    if let Some(min_calls) = reading.min_calls {
        let beside = if reading.reconciles { "its sources and for AWS Config's own count" } else { "its sources" };
        let more = each.map_or_else(String::new, |each| format!(",\n  and one more for every further {each}"));
        let _ = match dataset == &Dataset::PACKS {
            true => writeln!(text, "  at least {min_calls} calls, those for {beside} among them{more}"),
            false => writeln!(text, "  at least {min_calls} calls{more}"),
        };
        let _ = writeln!(text, "  one page has {} rows at most", reading.page_size);
    }
    text
}

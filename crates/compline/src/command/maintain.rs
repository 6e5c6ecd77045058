//! `compline maintain`.

use super::run::stopped;
use super::{Clock, day_of};
use crate::arguments::MaintainArguments;
use crate::catalog::Cataloguing;
use crate::failure::{Ending, Failure};
use crate::leases::Leases;
use crate::maintain::{Plan, plan};
use crate::progress::{Progress, log_to_stderr};
use crate::settings::Settings;
use crate::summary::counted;
use crate::{print, signals};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, RunId};
use compline_sink::{Holder, Lake, Partition};
use indicatif::HumanBytes;

pub(super) async fn maintain(arguments: &MaintainArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = Progress::on_stderr();
    log_to_stderr(&progress, "error,compline=info");
    let settings = arguments.pipeline.settings()?;
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;
    let now = clock();
    let ended = tokio::select! {
        ended = async {
            if arguments.apply { applied(&settings, &lake, arguments, now).await } else { told(&settings, &lake, now).await }
        } => ended,
        signal = signals::received() => {
            tracing::warn!("stopped: what is done is done, and a second run does the rest");
            return Ok(stopped(&lake, signal).await);
        }
    };
    lake.settle().await;
    ended.map_err(Failure::run)
}

/// Says what would be done.
async fn told(settings: &Settings, lake: &Lake, now: DateTime<Utc>) -> anyhow::Result<Ending> {
    let survey = lake.survey(now).await?;
    let mut nothing = true;
    for aggregator in &settings.aggregators {
        let id = &aggregator.address.id;
        let plan = plan(lake, &survey, &settings.keep, id, day_of(now)).await?;
        nothing &= plan.is_empty();
        notes(id, &plan)?;
        for (month, days) in &plan.compact {
            say(&format!("{id}: would put {} into {}", counted(days.len(), "day"), month.key()))?;
        }
        drops(id, &plan, "would drop")?;
    }
    say(if nothing { "nothing is to be done" } else { "nothing was changed: --apply does it" })?;
    Ok(Ending::Done)
}

/// Does it: first what adds, then what drops.
async fn applied(
    settings: &Settings,
    lake: &Lake,
    arguments: &MaintainArguments,
    now: DateTime<Utc>,
) -> anyhow::Result<Ending> {
    let holder = Holder::here(RunId::new(now), "maintain", now);
    let ids = settings.aggregators.iter().map(|aggregator| &aggregator.address.id);
    let leases = Leases::take(lake, ids, &holder, arguments.wait.or_none()).await?;
    let done = each(settings, lake, &leases, now).await;
    leases.release().await;
    done?;
    if let Some(cataloguing) = Cataloguing::open(settings).await {
        for change in cataloguing.differences(lake, &lake.survey(now).await?).await? {
            cataloguing.apply(&change).await?;
            say(&format!("catalog: {change}"))?;
        }
    }
    Ok(Ending::Done)
}

async fn each(settings: &Settings, lake: &Lake, leases: &Leases, now: DateTime<Utc>) -> anyhow::Result<()> {
    let survey = lake.survey(now).await?;
    let mut nothing = true;
    for aggregator in &settings.aggregators {
        let id = &aggregator.address.id;
        let work = async {
            let plan = plan(lake, &survey, &settings.keep, id, day_of(now)).await?;
            notes(id, &plan)?;
            for (month, days) in &plan.compact {
                let bytes = HumanBytes(lake.compact(month, days).await?);
                let days = counted(days.len(), "day");
                say(&format!("{id}: put {days} into {}, {bytes}, the same row for row", month.key()))?;
            }
            // By day and not by table: a run that is stopped here leaves whole days.
            let mut partitions: Vec<Partition> = plan.drop.values().flatten().map(|(day, _)| day.clone()).collect();
            partitions.sort_by_key(|partition| (partition.date, partition.table));
            lake.remove(&partitions).await?;
            drops(id, &plan, "dropped")?;
            anyhow::Ok(plan.is_empty())
        };
        nothing &= tokio::select! {
            done = work => done?,
            error = leases.lost(id) => return Err(error.into()),
        };
    }
    if nothing {
        say("nothing is to be done")?;
    }
    Ok(())
}

fn notes(id: &AggregatorId, plan: &Plan) -> anyhow::Result<()> {
    plan.notes.iter().try_for_each(|note| say(&format!("{id}: {note}")))
}

fn drops(id: &AggregatorId, plan: &Plan, verb: &str) -> anyhow::Result<()> {
    for (table, partitions) in &plan.drop {
        let Some(((first, _), (last, _))) = partitions.first().zip(partitions.last()) else { continue };
        let bytes = HumanBytes(partitions.iter().map(|(_, object)| object.bytes).sum());
        let (days, first, last) = (counted(partitions.len(), "day"), first.date, last.date);
        say(&format!("{id}: {verb} {} of {days}, {first} to {last}, {bytes}", table.name()))?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    print(&format!("{line}\n")).map_err(|failure| anyhow::anyhow!("{failure}"))
}

//! `compline athena`.

use crate::arguments::AthenaArguments;
use crate::athena::{Recomputing, sql, written};
use crate::catalog::Listed;
use crate::failure::{Ending, Failure};
use crate::history::Span;
use crate::log::log_to_stderr;
use crate::output::{document, result};
use crate::session::{Clock, Ended, Opening, Session, session};
use crate::settings::{Settings, is_database, lake_name};
use anyhow::{Context, anyhow};
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use compline_sink::{LakeDays, LakeLocation, Partitioning};
use std::collections::{BTreeMap, BTreeSet};

/// The database, unless one is named.
const DATABASE: &str = "compline";

pub(super) async fn athena(arguments: &AthenaArguments, clock: Clock) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let of_catalog = settings.catalog.as_ref().map(|catalog| catalog.location.database.as_str());
    let database = arguments.database.as_deref().or(of_catalog).unwrap_or(DATABASE);
    check_database("--database", database)?;
    let LakeLocation::S3(_) = &settings.lake else {
        return Err(Failure::Usage(anyhow!(
            "the lake is the folder {}, and Athena reads S3 alone; give --lake s3://bucket/prefix",
            lake_name(&settings.lake)
        )));
    };
    let span = arguments.span.checked()?;
    if arguments.recompute {
        return recompute(arguments, &settings, database, span, clock).await;
    }
    if span.is_part() {
        return Err(Failure::Usage(anyhow!(
            "--from and --to are of --recompute; --first-day is the first day of the tables"
        )));
    }
    let days = match arguments.offline {
        true => LakeDays::default(),
        false => match listed(&settings, clock).await? {
            Ended::Done(days) => days,
            Ended::Stopped(signal, _) => return Ok(Ending::Stopped(signal)),
        },
    };
    let text = sql(&settings, database, &projected(&settings, arguments), arguments.offline, &days);
    told(arguments, &text)
}

fn told(arguments: &AthenaArguments, text: &str) -> Result<Ending, Failure> {
    match &arguments.output_dir {
        Some(folder) => result(&written(text, folder).map_err(Failure::Run)?)?,
        None => document(text)?,
    }
    Ok(Ending::Done)
}

/// The statements that compute the trend tables again.
async fn recompute(
    arguments: &AthenaArguments,
    settings: &Settings,
    database: &str,
    span: Span,
    clock: Clock,
) -> Result<Ending, Failure> {
    let target = arguments.into.as_deref().unwrap_or(database);
    check_database("--into", target)?;
    let opening = Opening::to_read(settings, "athena", clock, log_to_stderr("error"));
    let ended = session(opening, async |session: &Session<'_>| {
        // Of days whose snapshots were dropped there is the ledger.
        let ledgers =
            session.lake.partitions(Table::Runs).await.context("the lake is listed for the days to compute")?;
        let own = |(id, days): (AggregatorId, BTreeSet<SnapshotDate>)| {
            let days: BTreeSet<SnapshotDate> = days.into_iter().filter(|date| span.has(*date)).collect();
            (settings.ids().any(|own| *own == id) && !days.is_empty()).then_some((id, days))
        };
        let months = session.lake.months(Dataset::PACKS.facts).await.context("the lake is listed for its months")?;
        anyhow::Ok((ledgers.into_iter().filter_map(own).collect::<BTreeMap<_, _>>(), !months.is_empty()))
    });
    let (days, has_months) = match ended.await? {
        Ended::Done(found) => found,
        Ended::Stopped(signal, _) => return Ok(Ending::Stopped(signal)),
    };
    if days.is_empty() {
        return Err(Failure::Run(anyhow!("the lake has no day of these aggregators in this range")));
    }
    told(arguments, &Recomputing { database, target, days: &days, has_months }.sql())
}

fn check_database(option: &str, name: &str) -> Result<(), Failure> {
    if is_database(name) {
        return Ok(());
    }
    let allowed = "allowed is a lower-case letter, then lower-case letters, digits and underscores";
    Err(Failure::Usage(anyhow!("{option} {name:?}: {allowed}")))
}

/// What the lake has: days and aggregators that the file does not name are to be seen too.
async fn listed(settings: &Settings, clock: Clock) -> Result<Ended<LakeDays>, Failure> {
    let opening = Opening::to_read(settings, "athena", clock, log_to_stderr("error"));
    let ended = session(opening, async |session: &Session<'_>| {
        let listed = Listed::of(&session.lake, &BTreeSet::new(), None).await.map(|there| there.days());
        listed.context("the lake is listed for its first day and its aggregators; --offline leaves it out")
    });
    ended.await
}

/// The partitions are projected, whatever those of `[catalog]` are: a statement cannot name a partition that is yet to come.
fn projected(settings: &Settings, arguments: &AthenaArguments) -> Partitioning {
    let of_file = settings.catalog.as_ref().and_then(|catalog| catalog.partitioning.first_day());
    Partitioning::Projected {
        first_day: arguments.first_day.or(of_file),
        aggregators: settings.aggregators.iter().map(|one| one.address.id.clone()).collect(),
    }
}

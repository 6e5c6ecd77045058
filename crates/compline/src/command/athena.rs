//! `compline athena`.

use crate::arguments::AthenaArguments;
use crate::athena::{sql, written};
use crate::catalog::Listed;
use crate::failure::{Ending, Failure};
use crate::log::log_to_stderr;
use crate::output::{document, result};
use crate::session::{Clock, Ended, Opening, Session, session};
use crate::settings::{Settings, is_database, lake_name};
use anyhow::{Context, anyhow};
use compline_sink::{LakeDays, LakeLocation, Partitioning};
use std::collections::BTreeSet;

/// The database, unless one is named.
const DATABASE: &str = "compline";

pub(super) async fn athena(arguments: &AthenaArguments, clock: Clock) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let of_catalog = settings.catalog.as_ref().map(|catalog| catalog.location.database.as_str());
    let database = arguments.database.as_deref().or(of_catalog).unwrap_or(DATABASE);
    if !is_database(database) {
        let allowed = "allowed is a lower-case letter, then lower-case letters, digits and underscores";
        return Err(Failure::Usage(anyhow!("--database {database:?}: {allowed}")));
    }
    let LakeLocation::S3(_) = &settings.lake else {
        return Err(Failure::Usage(anyhow!(
            "the lake is the folder {}, and Athena reads S3 alone; give --lake s3://bucket/prefix",
            lake_name(&settings.lake)
        )));
    };
    let days = match arguments.offline {
        true => LakeDays::default(),
        false => match listed(&settings, clock).await? {
            Ended::Done(days) => days,
            Ended::Stopped(signal, _) => return Ok(Ending::Stopped(signal)),
        },
    };
    let text = sql(&settings, database, &projected(&settings, arguments), arguments.offline, &days);
    match &arguments.output_dir {
        Some(folder) => result(&written(&text, folder).map_err(Failure::Run)?)?,
        None => document(&text)?,
    }
    Ok(Ending::Done)
}

/// What the lake has: days and aggregators that the file does not name are to be seen too.
async fn listed(settings: &Settings, clock: Clock) -> Result<Ended<LakeDays>, Failure> {
    let opening = Opening::to_read(settings, "athena", clock, log_to_stderr("error"));
    let ended = session(opening, async |session: &Session<'_>| {
        let listed = Listed::of(&session.lake, &BTreeSet::new()).await.map(|there| there.days());
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

//! `compline catalog`: the tables and views of the lake in the Glue catalog.

use crate::arguments::CatalogArguments;
use crate::catalog::Cataloguing;
use crate::failure::{Ending, Failure};
use crate::log::log_work;
use crate::session::{Access, Clock, Opening, Session, session};
use crate::{print, print_done};
use anyhow::anyhow;
use compline_sink::Change;

pub(super) async fn catalog(arguments: &CatalogArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let settings = arguments.pipeline.settings()?;
    let Some(cataloguing) = Cataloguing::open(&settings).await? else {
        let what =
            "the pipeline file has no [catalog], or --lake names another lake; add [catalog] with database = \"NAME\"";
        return Err(Failure::Usage(anyhow!(what)));
    };
    let when_stopped = "what is changed is changed, and a second run does the rest";
    let access = Access::Read;
    let opening = Opening { settings: &settings, command: "catalog", access, clock, progress, when_stopped };
    let ended = session(opening, async |session: &Session<'_>| {
        let there = cataloguing.listed(&session.lake).await?;
        let changes = cataloguing.differences(&session.lake, &there).await?;
        let mut lines = Vec::new();
        for change in &changes {
            if !arguments.dry_run {
                cataloguing.apply(change).await?;
            }
            let would = if arguments.dry_run && change.changes_the_catalog() { "would " } else { "" };
            lines.push(format!("{would}{change}\n"));
        }
        lines.extend(cataloguing.hidden_days(&there.days()).map(|hidden| format!("{hidden}\n")));
        if !changes.iter().any(Change::changes_the_catalog) {
            lines.push("the catalog is up to date\n".to_owned());
        }
        anyhow::Ok(lines)
    });
    ended.await?.then(|lines| {
        if arguments.dry_run {
            print(&lines.concat())?;
        } else {
            print_done(&lines.concat());
        }
        Ok(Ending::Done)
    })
}

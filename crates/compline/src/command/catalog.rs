//! `compline catalog`: the tables and views of the lake in the Glue catalog.

use crate::arguments::CatalogArguments;
use crate::catalog::{Cataloguing, will_be_behind};
use crate::failure::{Ending, Failure};
use crate::log::log_work;
use crate::output;
use crate::session::{Access, Clock, Opening, Session, session};
use anyhow::anyhow;
use compline_sink::Change;
use serde::Serialize;

/// What was out of date in the catalog.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct CatalogChanges {
    /// Whether it was changed; otherwise it was a dry run.
    applied: bool,
    /// What was changed or would be, in words.
    changes: Vec<String>,
    /// What differs and is left to those who changed it, in words.
    left: Vec<String>,
    /// Which days of the lake the catalog does not show, in words.
    hidden_days: Option<String>,
}

impl CatalogChanges {
    fn words(&self) -> String {
        let would = if self.applied { "" } else { "would " };
        let changes = self.changes.iter().map(|change| format!("{would}{change}\n"));
        let others = self.left.iter().chain(&self.hidden_days).map(|line| format!("{line}\n"));
        let mut text: String = changes.chain(others).collect();
        if self.changes.is_empty() {
            text.push_str("the catalog is up to date\n");
        }
        text
    }
}

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
    let opening = Opening::of(&settings, "catalog", access, (clock, progress), when_stopped);
    let ended = session(opening, async |session: &Session<'_>| {
        if !arguments.dry_run {
            will_be_behind(&session.lake, None).await;
        }
        let there = cataloguing.listed(&session.lake).await?;
        let changes = cataloguing.differences(&session.lake, &there).await?;
        if !arguments.dry_run {
            cataloguing.apply_all(&changes).await?;
        }
        let (made, left): (Vec<&Change>, Vec<&Change>) =
            changes.iter().partition(|change| change.changes_the_catalog());
        let lines = |changes: Vec<&Change>| changes.into_iter().map(ToString::to_string).collect();
        anyhow::Ok(CatalogChanges {
            applied: !arguments.dry_run,
            changes: lines(made),
            left: lines(left),
            hidden_days: cataloguing.hidden_days(&there.days()),
        })
    });
    ended.await?.then(|changes| {
        output::done(("catalog", Ending::Done), arguments.json, &changes, || changes.words());
        Ok(Ending::Done)
    })
}

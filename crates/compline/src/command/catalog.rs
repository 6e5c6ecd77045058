//! `compline catalog`: the tables and views of the lake in the Glue catalog.

use crate::arguments::CatalogArguments;
use crate::catalog::{Cataloguing, days_of_survey};
use crate::failure::{Ending, Failure};
use crate::print;
use anyhow::anyhow;
use chrono::{DateTime, Utc};
use compline_sink::{Change, Lake};

pub(super) async fn catalog(arguments: &CatalogArguments, clock: fn() -> DateTime<Utc>) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let Some(cataloguing) = Cataloguing::open(&settings).await else {
        let what =
            "the pipeline file has no [catalog], or --lake names another lake; add [catalog] with database = \"NAME\"";
        return Err(Failure::Usage(anyhow!(what)));
    };
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;
    let survey = lake.survey(clock()).await.map_err(Failure::run)?;
    let changes = cataloguing.differences(&lake, &survey).await.map_err(Failure::run)?;
    let is_up_to_date = !changes.iter().any(Change::changes_the_catalog);
    for change in changes {
        if !arguments.dry_run {
            cataloguing.apply(&change).await.map_err(Failure::run)?;
        }
        let would = if arguments.dry_run && change.changes_the_catalog() { "would " } else { "" };
        print(&format!("{would}{change}\n"))?;
    }
    if let Some(hidden) = cataloguing.hidden_days(&days_of_survey(&survey)) {
        print(&format!("{hidden}\n"))?;
    }
    if is_up_to_date {
        print("the catalog is up to date\n")?;
    }
    Ok(Ending::Done)
}

//! `compline catalog`: the tables of the lake in the Glue catalog.

use crate::arguments::CatalogArguments;
use crate::catalog::Cataloguing;
use crate::failure::{Ending, Failure};
use crate::print;
use anyhow::anyhow;
use chrono::{DateTime, Utc};
use compline_sink::Lake;

pub(super) async fn catalog(arguments: &CatalogArguments, clock: fn() -> DateTime<Utc>) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let Some(cataloguing) = Cataloguing::open(&settings).await else {
        let what =
            "the pipeline file has no [catalog], or --lake names another lake; add [catalog] with database = \"NAME\"";
        return Err(Failure::Usage(anyhow!(what)));
    };
    let lake = Lake::open(&settings.lake, settings.compression).await.map_err(Failure::run)?;
    let survey = lake.survey(clock()).await.map_err(Failure::run)?;
    let changes = cataloguing.differences(&survey).await.map_err(Failure::run)?;
    if changes.is_empty() {
        print("the catalog is as it must be\n")?;
    }
    for change in changes {
        if !arguments.dry_run {
            cataloguing.apply(&change).await.map_err(Failure::run)?;
        }
        let would = if arguments.dry_run { "would " } else { "" };
        print(&format!("{would}{change}\n"))?;
    }
    Ok(Ending::Done)
}

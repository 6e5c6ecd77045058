//! `compline athena`: the tables and views of a lake, as Athena takes them.

use crate::arguments::AthenaArguments;
use crate::catalog::tables;
use crate::failure::{Ending, Failure};
use crate::print;
use crate::settings::{FIRST_DAY, is_database, lake_name};
use anyhow::anyhow;
use compline_model::AggregatorId;
use compline_sink::{CatalogColumn, LakeLocation, Partitioning, TableDefinition};
use std::fmt::Write;

/// The views, in the database that they are shipped for.
const VIEWS: &str = include_str!("../../../../pipelines/nightly/athena/views.sql");
const SHIPPED: &str = "compline";

pub(super) fn athena(arguments: &AthenaArguments) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let of_catalog = settings.catalog.as_ref().map(|catalog| catalog.location.database.as_str());
    let database = arguments.database.as_deref().or(of_catalog).unwrap_or(SHIPPED);
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
    let first_day = match arguments.first_day {
        Some(day) => day,
        None => FIRST_DAY.parse().map_err(Failure::run)?,
    };
    let aggregators: Vec<AggregatorId> = settings.aggregators.iter().map(|one| one.address.id.clone()).collect();
    let partitioning = match settings.catalog.as_ref().map(|catalog| &catalog.partitioning) {
        Some(of_file @ Partitioning::Projected { .. }) if arguments.first_day.is_none() => of_file.clone(),
        _ => Partitioning::Projected { first_day, aggregators },
    };
    let mut text = format!(
        "-- Compline's tables, for Athena: run a statement at a time. Partitions are projected, so that none needs to be \
         added.\n-- After a change of the pipeline's aggregators drop the tables, which leaves the lake as it is, and run \
         these again.\n\nCREATE DATABASE IF NOT EXISTS `{database}`;\n",
    );
    tables(&settings, &partitioning).values().for_each(|table| statement(&mut text, database, table));
    print(&format!("{text}\n{}", views(database)))?;
    Ok(Ending::Done)
}

/// The views, in another database.
fn views(database: &str) -> String {
    VIEWS.replace(&format!(" {SHIPPED}."), &format!(" {database}."))
}

fn statement(text: &mut String, database: &str, table: &TableDefinition) {
    let TableDefinition { name, comment, columns, partition_keys, location, parameters } = table;
    let column = |CatalogColumn { name, hive_type, comment }: &CatalogColumn| {
        format!("    `{name}` {hive_type} COMMENT {}", quoted(comment))
    };
    let key = |CatalogColumn { name, hive_type, .. }: &CatalogColumn| format!("`{name}` {hive_type}");
    let properties = parameters.iter().map(|(name, value)| format!("    {} = {}", quoted(name), quoted(value)));
    let _ = writeln!(
        text,
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{name}` (\n{}\n)\nCOMMENT {}\n\
         PARTITIONED BY ({})\nSTORED AS PARQUET\nLOCATION {}\nTBLPROPERTIES (\n{}\n);",
        columns.iter().map(column).collect::<Vec<_>>().join(",\n"),
        quoted(comment),
        partition_keys.iter().map(key).collect::<Vec<_>>().join(", "),
        quoted(location),
        properties.collect::<Vec<_>>().join(",\n")
    );
}

/// A text in the SQL of Hive, which Athena takes tables in.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

//! `compline athena`: the tables and views of a lake, as Athena takes them.

use crate::arguments::AthenaArguments;
use crate::catalog::{Listed, Tables, sql_of_views, tables};
use crate::failure::{Ending, Failure};
use crate::print;
use crate::progress::log_to_stderr;
use crate::session::{Access, Clock, Ended, Opening, Session, session};
use crate::settings::{Settings, is_database, lake_name};
use anyhow::{Context, anyhow};
use compline_sink::{CatalogColumn, LakeDays, LakeLocation, Layout, Partitioning, TableDefinition};
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

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
            Ended::Stopped(signal) => return Ok(Ending::Stopped(signal)),
        },
    };
    let tables = tables(&lake_name(&settings.lake), &settings.keep.compact, &projected(&settings, arguments), &days);
    let mut text = heading(&settings, arguments);
    let _ = writeln!(text, "\nCREATE DATABASE IF NOT EXISTS `{database}`;");
    tables.values().for_each(|table| statement(&mut text, database, table));
    months(&mut text, database, &tables);
    let text = format!("{text}\n{}", sql_of_views(database));
    match &arguments.output_dir {
        Some(folder) => print(&written(&text, folder).map_err(Failure::Run)?)?,
        None => print(&text)?,
    }
    Ok(Ending::Done)
}

/// Writes each statement to a file of its own, and says which. No text or comment has a semicolon in it.
fn written(text: &str, folder: &Path) -> anyhow::Result<String> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut told = String::new();
    for (at, statement) in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()).enumerate() {
        let path = folder.join(format!("{:02}_{}.sql", at + 1, name_of(statement)));
        std::fs::write(&path, format!("{statement}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        let _ = writeln!(told, "{}", path.display());
    }
    Ok(told)
}

/// What a statement makes: the last part of the first name in it.
fn name_of(statement: &str) -> String {
    let code = statement.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
    let of_name = |word: &str| !word.chars().next().is_some_and(|letter| letter.is_ascii_uppercase());
    let name = code.split_whitespace().find(|word| of_name(word)).unwrap_or("statement");
    let name = name.rsplit('.').next().unwrap_or(name);
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

/// What the lake has: days and aggregators that the file does not name are to be seen too.
async fn listed(settings: &Settings, clock: Clock) -> Result<Ended<LakeDays>, Failure> {
    let (progress, when_stopped) = (log_to_stderr("error"), "nothing was changed");
    let opening = Opening { settings, command: "athena", access: Access::Read, clock, progress, when_stopped };
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

fn heading(settings: &Settings, arguments: &AthenaArguments) -> String {
    let from = if arguments.offline {
        format!(
            "The aggregators are those of the pipeline file alone, and {}: the lake was not listed (--offline).",
            match projected(settings, arguments).first_day() {
                Some(day) => format!("the first day is {day}"),
                None => "days begin in 2020".to_owned(),
            }
        )
    } else {
        "The aggregators are those of the pipeline file and those that the lake has.".to_owned()
    };
    format!(
        "-- Compline's tables, for Athena: run a statement at a time. Partitions are projected, so that none needs to be \
         added.\n-- {from}\n-- After a change of the aggregators, or an import of days before the first, drop the tables, \
         which leaves the lake as it\n-- is, and run these again.\n"
    )
}

fn statement(text: &mut String, database: &str, table: &TableDefinition) {
    let TableDefinition { name, comment, columns, partition_keys, location, .. } = table;
    let column = |CatalogColumn { name, hive_type, comment }: &CatalogColumn| {
        format!("    `{name}` {hive_type} COMMENT {}", quoted(comment))
    };
    let key = |CatalogColumn { name, hive_type, .. }: &CatalogColumn| format!("`{name}` {hive_type}");
    let properties = table.parameters(&HashMap::new());
    let properties = properties.iter().map(|(name, value)| format!("    {} = {}", quoted(name), quoted(value)));
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

/// Finds the months that there are: they are registered, and `compline maintain` makes one now and then.
fn months(text: &mut String, database: &str, tables: &Tables) {
    let monthly = tables.iter().filter(|((_, layout), _)| *layout == Layout::Monthly).map(|(_, table)| table);
    for (at, table) in monthly.enumerate() {
        if at == 0 {
            text.push_str("\n-- The months that there are, to be run again after each `compline maintain --apply`.\n");
        }
        let _ = writeln!(text, "MSCK REPAIR TABLE `{database}`.`{}`;", table.name);
    }
}

/// A text in the SQL of Hive, which Athena takes tables in.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

//! The tables and views of a lake, as Athena takes them: SQL.

mod recompute;

use crate::catalog::{Tables, sql_of_views, tables};
use crate::settings::{Settings, lake_name};
use anyhow::Context;
use compline_sink::{CatalogColumn, LakeDays, Layout, Partitioning, TableDefinition};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

pub(crate) use recompute::Recomputing;

/// The statements that make the tables and views of the settings' lake, whose days these are, in a database. `offline` says
/// that the lake was not listed.
pub(crate) fn sql(
    settings: &Settings,
    database: &str,
    partitioning: &Partitioning,
    offline: bool,
    days: &LakeDays,
) -> String {
    let tables = tables(&lake_name(&settings.lake), &settings.keep.compact, partitioning, days);
    let mut text = heading(partitioning, offline);
    let _ = writeln!(text, "\nCREATE DATABASE IF NOT EXISTS `{database}`;");
    tables.values().for_each(|table| statement(&mut text, database, table));
    months(&mut text, database, &tables);
    format!("{text}\n{}", sql_of_views(database))
}

/// The statements of a text. No text or comment in it has a semicolon.
fn statements(text: &str) -> Vec<&str> {
    text.split(';').map(str::trim).filter(|statement| !statement.is_empty()).collect()
}

/// Writes each statement to a file of its own, and says which.
pub(crate) fn written(text: &str, folder: &Path) -> anyhow::Result<String> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut told = String::new();
    let statements = statements(text);
    // By name they are in order.
    let digits = statements.len().to_string().len().max(2);
    for (at, statement) in statements.into_iter().enumerate() {
        let path = folder.join(format!("{:0digits$}_{}.sql", at + 1, name_of(statement)));
        std::fs::write(&path, format!("{statement}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        let _ = writeln!(told, "{}", path.display());
    }
    Ok(told)
}

/// What a statement makes: the last part of the first name in it.
fn name_of(statement: &str) -> String {
    let code = statement.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
    if code.starts_with("SELECT") {
        return "has_to_list_nothing".to_owned();
    }
    let of_name = |word: &str| !word.chars().next().is_some_and(|letter| letter.is_ascii_uppercase());
    let name = code.split_whitespace().find(|word| of_name(word)).unwrap_or("statement");
    let name = name.rsplit('.').next().unwrap_or(name);
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()
}

fn heading(partitioning: &Partitioning, offline: bool) -> String {
    let from = if offline {
        format!(
            "The aggregators are those of the pipeline file alone, and {}: the lake was not listed (--offline).",
            match partitioning.first_day() {
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

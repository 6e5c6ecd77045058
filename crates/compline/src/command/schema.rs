//! `compline schema`: what every table and column means.

use crate::arguments::SchemaArguments;
use crate::failure::{Ending, Failure};
use crate::print;
use anyhow::anyhow;
use compline_model::{ColumnType, Table};
use std::fmt::Write;

pub(super) fn schema(arguments: &SchemaArguments) -> Result<Ending, Failure> {
    let wanted = |table: &Table| arguments.table.as_deref().is_none_or(|name| name == table.name());
    let tables: Vec<Table> = Table::ALL.into_iter().filter(wanted).collect();
    if tables.is_empty() {
        let known = Table::ALL.map(Table::name).join(", ");
        return Err(Failure::Usage(anyhow!("there is no such table; there are {known}")));
    }
    let mut text = String::new();
    for (number, table) in tables.into_iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        describe(&mut text, table);
    }
    print(&text)?;
    Ok(Ending::Done)
}

fn describe(text: &mut String, table: Table) {
    let _ = writeln!(text, "{}: {}", table.name(), table.doc());
    let partitions = [
        ("snapshot_date", ColumnType::Date, "UTC day on which the run that collected it began"),
        ("aggregator", ColumnType::Text, "id of the aggregator in the pipeline file"),
    ];
    let of_files = table.columns().iter().map(|column| {
        let null = if column.nullable { ", may be null" } else { "" };
        (column.name, column.column_type, null, column.doc)
    });
    let all: Vec<_> = partitions
        .into_iter()
        .map(|(name, column_type, doc)| (name, column_type, ", partition", doc))
        .chain(of_files)
        .collect();
    let width = all.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    for (name, column_type, remark, doc) in all {
        let kind = format!("{}{remark}", type_name(column_type));
        let _ = writeln!(text, "  {name:width$}  {kind:24}  {doc}");
    }
    let _ = writeln!(text, "  sorted by {}, which name a row", table.sort_key().join(", "));
}

const fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "text",
        ColumnType::Int32 => "int32",
        ColumnType::Int64 => "int64",
        ColumnType::Float64 => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp (UTC, ms)",
    }
}

//! `compline schema`: what every table and column means.

use crate::arguments::SchemaArguments;
use crate::failure::{Ending, Failure};
use crate::output::show;
use anyhow::anyhow;
use compline_model::{ColumnType, SCHEMA_VERSION, Table};
use serde::Serialize;
use std::fmt::Write;

/// The tables, as the program writes them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Tables {
    /// The version that is written.
    version: u32,
    tables: Vec<TableSchema>,
}

/// A table.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TableSchema {
    name: &'static str,
    /// What a row is.
    doc: &'static str,
    /// Its columns, those that are partitions first.
    columns: Vec<ColumnSchema>,
    /// The columns that its files are sorted by, and that name a row within a partition.
    sort_key: Vec<&'static str>,
}

/// A column of a table.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ColumnSchema {
    name: &'static str,
    /// `text`, `int32`, `int64`, `double`, `boolean`, `date`, `timestamp (UTC, ms)`.
    #[serde(rename = "type")]
    type_name: &'static str,
    nullable: bool,
    /// Whether it is a partition: in the path, and not in the files.
    partition: bool,
    /// What its values mean.
    doc: &'static str,
}

pub(super) fn schema(arguments: &SchemaArguments) -> Result<Ending, Failure> {
    let wanted = |table: &Table| arguments.table.as_deref().is_none_or(|name| name == table.name());
    let tables: Vec<TableSchema> = Table::ALL.into_iter().filter(wanted).map(TableSchema::of).collect();
    if tables.is_empty() {
        let known = Table::ALL.map(Table::name).join(", ");
        return Err(Failure::Usage(anyhow!("there is no such table; there are {known}")));
    }
    let tables = Tables { version: SCHEMA_VERSION, tables };
    show(arguments.json, &tables, || tables.tables.iter().map(TableSchema::words).collect::<Vec<_>>().join("\n"))?;
    Ok(Ending::Done)
}

impl TableSchema {
    fn of(table: Table) -> Self {
        let partitions = [
            ("snapshot_date", ColumnType::Date, "UTC day on which the run that collected it began"),
            ("aggregator", ColumnType::Text, "id of the aggregator in the pipeline file"),
        ];
        let partitions = partitions.into_iter().map(|(name, column_type, doc)| ColumnSchema {
            name,
            type_name: type_name(column_type),
            nullable: false,
            partition: true,
            doc,
        });
        let of_files = table.columns().iter().map(|column| ColumnSchema {
            name: column.name,
            type_name: type_name(column.column_type),
            nullable: column.nullable,
            partition: false,
            doc: column.doc,
        });
        Self {
            name: table.name(),
            doc: table.doc(),
            columns: partitions.chain(of_files).collect(),
            sort_key: table.sort_key().to_vec(),
        }
    }

    fn words(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.doc);
        let width = self.columns.iter().map(|column| column.name.len()).max().unwrap_or_default();
        for ColumnSchema { name, type_name, nullable, partition, doc } in &self.columns {
            let remark = match (partition, nullable) {
                (true, _) => ", partition",
                (_, true) => ", may be null",
                _ => "",
            };
            let kind = format!("{type_name}{remark}");
            let _ = writeln!(text, "  {name:width$}  {kind:24}  {doc}");
        }
        let _ = writeln!(text, "  sorted by {}, which name a row", self.sort_key.join(", "));
        text
    }
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

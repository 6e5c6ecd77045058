//! `compline athena`: the tables and views of a lake, as Athena takes them.

use crate::arguments::AthenaArguments;
use crate::failure::{Ending, Failure};
use crate::print;
use crate::settings::{Settings, lake_name};
use anyhow::anyhow;
use compline_model::{ColumnType, SnapshotDate, Table};
use compline_sink::LakeLocation;
use std::fmt::Write;

/// The views, in the database that they are shipped for.
const VIEWS: &str = include_str!("../../../../pipelines/nightly/athena/views.sql");
const SHIPPED: &str = "compline";

pub(super) fn athena(arguments: &AthenaArguments) -> Result<Ending, Failure> {
    let settings = arguments.pipeline.settings()?;
    let database = &arguments.database;
    if !is_name(database) {
        let allowed = "allowed is a lower-case letter, then lower-case letters, digits and underscores";
        return Err(Failure::Usage(anyhow!("--database {database:?}: {allowed}")));
    }
    let LakeLocation::S3(_) = &settings.lake else {
        return Err(Failure::Usage(anyhow!(
            "the lake is the folder {}, and Athena reads S3 alone; give --lake s3://bucket/prefix",
            lake_name(&settings.lake)
        )));
    };
    print(&format!("{}\n{}", Tables::of(&settings, arguments).statements(), views(database)))?;
    Ok(Ending::Done)
}

fn is_name(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= 255 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(letters)
}

/// The views, in another database.
fn views(database: &str) -> String {
    VIEWS.replace(&format!(" {SHIPPED}."), &format!(" {database}."))
}

/// What the statements of all tables share.
struct Tables<'a> {
    database: &'a str,
    lake: String,
    first_day: SnapshotDate,
    aggregators: String,
}

impl<'a> Tables<'a> {
    fn of(settings: &Settings, arguments: &'a AthenaArguments) -> Self {
        let ids: Vec<&str> = settings.aggregators.iter().map(|one| one.address.id.as_str()).collect();
        let AthenaArguments { database, first_day, .. } = arguments;
        Self { database, lake: lake_name(&settings.lake), first_day: *first_day, aggregators: ids.join(",") }
    }

    fn statements(&self) -> String {
        let mut text = format!(
            "-- Compline's tables, for Athena: run a statement at a time. Partitions are projected, so that none needs to be \
             added.\n-- After a change of the pipeline's aggregators drop the tables, which leaves the lake as it is, and run \
             these again.\n\nCREATE DATABASE IF NOT EXISTS `{}`;\n",
            self.database
        );
        Table::ALL.into_iter().for_each(|table| self.statement(&mut text, table));
        text
    }

    fn statement(&self, text: &mut String, table: Table) {
        let Self { database, lake, first_day, aggregators } = self;
        let (name, location) = (table.name(), format!("{lake}/{}/", table.name()));
        let columns = table.columns().iter().map(|column| {
            format!("    `{}` {} COMMENT {}", column.name, athena_type(column.column_type), quoted(column.doc))
        });
        let properties = [
            ("projection.enabled", "true".to_owned()),
            ("projection.snapshot_date.type", "date".to_owned()),
            ("projection.snapshot_date.format", "yyyy-MM-dd".to_owned()),
            ("projection.snapshot_date.range", format!("{first_day},NOW")),
            ("projection.aggregator.type", "enum".to_owned()),
            ("projection.aggregator.values", aggregators.clone()),
            (
                "storage.location.template",
                format!("{location}snapshot_date=${{snapshot_date}}/aggregator=${{aggregator}}/"),
            ),
        ];
        let properties = properties.iter().map(|(name, value)| format!("    '{name}' = {}", quoted(value)));
        let _ = writeln!(
            text,
            "\nCREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{name}` (\n{}\n)\nCOMMENT {}\n\
             PARTITIONED BY (`snapshot_date` date, `aggregator` string)\nSTORED AS PARQUET\nLOCATION {}\n\
             TBLPROPERTIES (\n{}\n);",
            columns.collect::<Vec<_>>().join(",\n"),
            quoted(table.doc()),
            quoted(&location),
            properties.collect::<Vec<_>>().join(",\n")
        );
    }
}

const fn athena_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "string",
        ColumnType::Int32 => "int",
        ColumnType::Int64 => "bigint",
        ColumnType::Float64 => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp",
    }
}

/// A text in the SQL of Hive, which Athena takes tables in.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

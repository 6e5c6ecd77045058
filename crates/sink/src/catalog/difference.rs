//! What is in the catalog held against what must be, and the two put together: what others added stays.

use super::definition::{CatalogColumn, INPUT_FORMAT, OUTPUT_FORMAT, SERDE, TableDefinition};
use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table, TableInput};
use std::collections::HashMap;

/// What the catalog says of a table of files on S3 in Parquet, whatever its partitions.
const ALWAYS: [(&str, &str); 2] = [("EXTERNAL", "TRUE"), ("classification", "parquet")];

/// What differs, in words; nothing if the table is as it must be.
pub(super) fn of(definition: &TableDefinition, there: &Table) -> Vec<String> {
    let files = there.storage_descriptor();
    let serde = files.and_then(|files| files.serde_info()).and_then(SerDeInfo::serialization_library);
    let texts = [
        ("comment", there.description(), definition.comment.as_str()),
        ("location", files.and_then(StorageDescriptor::location), &definition.location),
        ("input format", files.and_then(StorageDescriptor::input_format), INPUT_FORMAT),
        ("output format", files.and_then(StorageDescriptor::output_format), OUTPUT_FORMAT),
        ("serde", serde, SERDE),
        ("type", there.table_type(), "EXTERNAL_TABLE"),
    ];
    let mut differs: Vec<String> = texts
        .iter()
        .filter(|(_, there, wanted)| *there != Some(*wanted))
        .map(|(what, ..)| (*what).to_owned())
        .collect();
    let columns = files.map(StorageDescriptor::columns).unwrap_or_default();
    differs.extend(of_columns("column", &definition.columns, columns));
    if definition.partition_keys.len() != there.partition_keys().len() {
        differs.push("partition keys".to_owned());
    }
    differs.extend(of_columns("partition key", &definition.partition_keys, there.partition_keys()));
    let parameters = there.parameters();
    let is_there = |name: &str| parameters.and_then(|all| all.get(name)).map(String::as_str);
    let wanted = wanted_parameters(definition);
    let mut names: Vec<&String> =
        wanted.iter().filter(|(name, value)| is_there(name) != Some(value)).map(|(name, _)| name).collect();
    names.sort_unstable();
    differs.extend(names.into_iter().cloned());
    differs
}

fn of_columns(kind: &str, wanted: &[CatalogColumn], there: &[Column]) -> Vec<String> {
    let differs = |column: &CatalogColumn| {
        let found = there.iter().find(|found| found.name() == column.name);
        let what = match found {
            None => "is not there",
            Some(found) if found.r#type() != Some(column.hive_type) => "has another type",
            Some(found) if found.comment() != Some(column.comment) => "has another comment",
            Some(_) => return None,
        };
        Some(format!("{kind} {} {what}", column.name))
    };
    wanted.iter().filter_map(differs).collect()
}

/// A table that is not there.
pub(super) fn created(definition: &TableDefinition) -> Result<TableInput, BuildError> {
    TableInput::builder()
        .name(&definition.name)
        .description(&definition.comment)
        .table_type("EXTERNAL_TABLE")
        .set_parameters(Some(wanted_parameters(definition)))
        .set_partition_keys(Some(columns(&definition.partition_keys)?))
        .storage_descriptor(files(definition, &definition.location))
        .build()
}

/// A table that is there, with what must be otherwise; what others added to it stays.
pub(super) fn merged(definition: &TableDefinition, there: &Table) -> Result<TableInput, BuildError> {
    let mut parameters = there.parameters().cloned().unwrap_or_default();
    parameters.extend(wanted_parameters(definition));
    let mut files = files(definition, &definition.location);
    if let Some(old) = there.storage_descriptor() {
        let ours = |column: &&Column| definition.columns.iter().any(|own| own.name == column.name());
        let others = old.columns().iter().filter(|column| !ours(column)).cloned();
        files.columns.get_or_insert_default().extend(others);
        files.parameters.clone_from(&old.parameters);
    }
    TableInput::builder()
        .name(&definition.name)
        .description(&definition.comment)
        .set_owner(there.owner.clone())
        .retention(there.retention)
        .table_type("EXTERNAL_TABLE")
        .set_parameters(Some(parameters))
        .set_partition_keys(Some(columns(&definition.partition_keys)?))
        .storage_descriptor(files)
        .build()
}

fn wanted_parameters(definition: &TableDefinition) -> HashMap<String, String> {
    let always = ALWAYS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    always.chain(definition.parameters.clone()).collect()
}

/// The files of a table, or of one partition of it.
pub(super) fn files(definition: &TableDefinition, location: &str) -> StorageDescriptor {
    let serde = SerDeInfo::builder().serialization_library(SERDE).parameters("serialization.format", "1").build();
    StorageDescriptor::builder()
        // A name is all that a column must have, and ours do.
        .set_columns(columns(&definition.columns).ok())
        .location(location)
        .input_format(INPUT_FORMAT)
        .output_format(OUTPUT_FORMAT)
        .serde_info(serde)
        .build()
}

fn columns(columns: &[CatalogColumn]) -> Result<Vec<Column>, BuildError> {
    let column = |column: &CatalogColumn| {
        Column::builder().name(column.name).r#type(column.hive_type).comment(column.comment).build()
    };
    columns.iter().map(column).collect()
}

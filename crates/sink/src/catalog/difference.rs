//! What is in the catalog compared with what must be, and the two put together: what others added stays.

use super::definition::{CatalogColumn, INPUT_FORMAT, OUTPUT_FORMAT, SERDE, TableDefinition};
use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table, TableInput};
use std::collections::HashMap;

/// What the catalog says of a table of files on S3 in Parquet, whatever its partitions.
const ALWAYS: [(&str, &str); 2] = [("EXTERNAL", "TRUE"), ("classification", "parquet")];

/// What differs, in words; nothing if the table is up to date.
pub(super) fn of(definition: &TableDefinition, there: &Table) -> Vec<String> {
    let files = there.storage_descriptor();
    let texts = [
        ("comment", there.description(), definition.comment.as_str()),
        ("location", files.and_then(StorageDescriptor::location), &definition.location),
        ("type", there.table_type(), "EXTERNAL_TABLE"),
    ];
    let mut differs: Vec<String> =
        texts.iter().filter(|(_, there, wanted)| *there != Some(*wanted)).map(|(what, ..)| what.to_string()).collect();
    differs.extend(of_formats(files));
    let columns = files.map(StorageDescriptor::columns).unwrap_or_default();
    differs.extend(of_columns("column", &definition.columns, columns, true));
    if definition.partition_keys.len() != there.partition_keys().len() {
        differs.push("partition keys".to_owned());
    }
    differs.extend(of_columns("partition key", &definition.partition_keys, there.partition_keys(), true));
    differs.extend(of_parameters(definition, &parameters_of(there)));
    differs
}

fn of_formats(files: Option<&StorageDescriptor>) -> impl Iterator<Item = String> {
    let serde = files.and_then(|files| files.serde_info()).and_then(SerDeInfo::serialization_library);
    let texts = [
        ("input format", files.and_then(StorageDescriptor::input_format), INPUT_FORMAT),
        ("output format", files.and_then(StorageDescriptor::output_format), OUTPUT_FORMAT),
        ("serde", serde, SERDE),
    ];
    texts.into_iter().filter(|(_, there, wanted)| *there != Some(*wanted)).map(|(what, ..)| what.to_owned())
}

fn of_columns(kind: &str, wanted: &[CatalogColumn], there: &[Column], with_comments: bool) -> Vec<String> {
    let differs = |column: &CatalogColumn| {
        let found = there.iter().find(|found| found.name() == column.name);
        let what = match found {
            None => "is missing",
            Some(found) if found.r#type() != Some(column.hive_type) => "has another type",
            Some(found) if with_comments && found.comment() != Some(column.comment) => "has another comment",
            Some(_) => return None,
        };
        Some(format!("{kind} {} {what}", column.name))
    };
    wanted.iter().filter_map(differs).collect()
}

/// Parameters that are missing, have another value, or are of a projection that the table has no more.
fn of_parameters(definition: &TableDefinition, there: &HashMap<String, String>) -> Vec<String> {
    let wanted = wanted_parameters(definition, there);
    let missing = wanted.iter().filter(|(name, value)| there.get(*name) != Some(value)).map(|(name, _)| name);
    let outdated = there.keys().filter(|name| is_of_projection(name) && !wanted.contains_key(*name));
    let mut names: Vec<String> = missing.chain(outdated).cloned().collect();
    names.sort_unstable();
    names
}

/// Whether a parameter says to Athena how partitions are projected: all of these are ours.
fn is_of_projection(name: &str) -> bool {
    name.starts_with("projection.") || name == "storage.location.template"
}

/// What differs of a partition from what it must be at its place, in words.
pub(super) fn of_partition(
    definition: &TableDefinition,
    location: &str,
    files: Option<&StorageDescriptor>,
) -> Vec<String> {
    let there = files.and_then(StorageDescriptor::location).unwrap_or_default();
    let mut differs = Vec::new();
    if there.trim_end_matches('/') != location.trim_end_matches('/') {
        differs.push(format!("location {there:?}"));
    }
    differs.extend(of_formats(files));
    // Engines show the comments of the table; a partition's say nothing to anybody.
    let columns = files.map(StorageDescriptor::columns).unwrap_or_default();
    differs.extend(of_columns("column", &definition.columns, columns, false));
    differs
}

/// A table that is missing.
pub(super) fn created(definition: &TableDefinition) -> Result<TableInput, BuildError> {
    TableInput::builder()
        .name(&definition.name)
        .description(&definition.comment)
        .table_type("EXTERNAL_TABLE")
        .set_parameters(Some(wanted_parameters(definition, &HashMap::new())))
        .set_partition_keys(Some(columns(&definition.partition_keys)?))
        .storage_descriptor(files(definition, &definition.location, None))
        .build()
}

/// A table that is there, made up to date; what others added to it stays.
pub(super) fn merged(definition: &TableDefinition, there: &Table) -> Result<TableInput, BuildError> {
    let mut parameters = parameters_of(there);
    let wanted = wanted_parameters(definition, &parameters);
    parameters.retain(|name, _| !is_of_projection(name));
    parameters.extend(wanted);
    TableInput::builder()
        .name(&definition.name)
        .description(&definition.comment)
        .set_owner(there.owner.clone())
        .retention(there.retention)
        .table_type("EXTERNAL_TABLE")
        .set_parameters(Some(parameters))
        .set_partition_keys(Some(columns(&definition.partition_keys)?))
        .storage_descriptor(files(definition, &definition.location, there.storage_descriptor()))
        .build()
}

/// The parameters that a table or a view has.
pub(super) fn parameters_of(there: &Table) -> HashMap<String, String> {
    there.parameters().cloned().unwrap_or_default()
}

fn wanted_parameters(definition: &TableDefinition, there: &HashMap<String, String>) -> HashMap<String, String> {
    let always = ALWAYS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    always.chain(definition.parameters(there)).collect()
}

/// The files of a table, or of one partition of it, with what others added to those that are there.
pub(super) fn files(
    definition: &TableDefinition,
    location: &str,
    there: Option<&StorageDescriptor>,
) -> StorageDescriptor {
    let serde = SerDeInfo::builder().serialization_library(SERDE).parameters("serialization.format", "1").build();
    let ours = |column: &&Column| definition.columns.iter().any(|own| own.name == column.name());
    let others = there.map(StorageDescriptor::columns).unwrap_or_default().iter().filter(|column| !ours(column));
    // A name is all that a column must have, and ours do.
    let own = columns(&definition.columns).unwrap_or_default();
    StorageDescriptor::builder()
        .set_columns(Some(own.into_iter().chain(others.cloned()).collect()))
        .set_parameters(there.and_then(|there| there.parameters.clone()))
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

//! Views, in the form that Athena and Trino read from the Glue catalog: a virtual view whose text is an encoded document.
//!
//! A view that others replaced is left to them. What tells it from an older one of ours is a parameter with the checksum
//! of the text: nobody else writes it, and it no longer fits once the text is changed.

use super::definition::hive_type;
use super::difference::parameters_of;
use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table, TableInput};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use compline_model::ColumnType;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What Athena calls the catalog that is Glue. A Trino that is to read the views has Glue under this name.
const GLUE: &str = "awsdatacatalog";

const CHECKSUM: &str = "compline.view_sha256";

const TABLE_TYPE: &str = "VIRTUAL_VIEW";

/// What Athena and Trino know a view of theirs by.
const FLAGS: [(&str, &str); 2] = [("presto_view", "true"), ("comment", "Presto View")];

/// A view, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewDefinition {
    /// The database that it is in.
    pub database: String,
    /// Its name.
    pub name: String,
    /// What a row of it is.
    pub comment: String,
    /// Its query, in Trino's SQL.
    pub sql: String,
    /// The columns that the query gives, in order.
    pub columns: Vec<ViewColumn>,
}

/// A column of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
}

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    original_sql: &'a str,
    catalog: &'a str,
    schema: &'a str,
    columns: Vec<DocumentColumn<'a>>,
    comment: &'a str,
    run_as_invoker: bool,
}

#[derive(Serialize)]
struct DocumentColumn<'a> {
    name: &'a str,
    r#type: &'a str,
}

/// A view that is there, compared with its definition.
pub(super) enum Found {
    UpToDate,
    /// What differs, in words.
    OutOfDate(String),
    /// Somebody else's, and why.
    Foreign(&'static str),
}

impl ViewDefinition {
    /// Compares it with what the catalog has under its name.
    pub(super) fn compare(&self, there: &Table) -> Found {
        if there.table_type() != Some(TABLE_TYPE) {
            return Found::Foreign("it is no view");
        }
        let text = there.view_original_text().unwrap_or_default();
        let parameters = parameters_of(there);
        if text != self.text() {
            let is_ours = parameters.get(CHECKSUM).is_some_and(|checksum| *checksum == checksum_of(text));
            return if is_ours { Found::OutOfDate("query".to_owned()) } else { Found::Foreign("others changed it") };
        }
        let columns = there.storage_descriptor().map(StorageDescriptor::columns).unwrap_or_default();
        let columns = columns.iter().map(|column| (column.name(), column.r#type().unwrap_or_default()));
        let wanted = self.columns.iter().map(|column| (column.name, hive_type(column.column_type)));
        if !columns.eq(wanted) {
            return Found::OutOfDate("columns".to_owned());
        }
        match self.parameters().into_iter().find(|(name, value)| parameters.get(*name) != Some(value)) {
            Some((name, _)) => Found::OutOfDate(name.to_owned()),
            None => Found::UpToDate,
        }
    }

    /// As Glue takes it. What others added to the parameters of the one that is there stays.
    pub(super) fn input(&self, there: Option<&Table>) -> Result<TableInput, BuildError> {
        let mut parameters = there.map(parameters_of).unwrap_or_default();
        parameters.extend(self.parameters().map(|(name, value)| (name.to_owned(), value)));
        let column =
            |column: &ViewColumn| Column::builder().name(column.name).r#type(hive_type(column.column_type)).build();
        let columns = self.columns.iter().map(column).collect::<Result<_, _>>()?;
        // A view has no files, but what reads the catalog expects their description. Its own comment is in the document:
        // Trino takes a description for the comment that makes it a view, and without that one sees a materialized view.
        let files = StorageDescriptor::builder().set_columns(Some(columns)).location("");
        TableInput::builder()
            .name(&self.name)
            .set_owner(there.and_then(|there| there.owner.clone()))
            .table_type(TABLE_TYPE)
            .set_parameters(Some(parameters))
            .set_partition_keys(Some(Vec::new()))
            .storage_descriptor(files.serde_info(SerDeInfo::builder().build()).build())
            .view_original_text(self.text())
            .view_expanded_text("/* Presto View */")
            .build()
    }

    fn parameters(&self) -> [(&'static str, String); 3] {
        let [view, comment] = FLAGS.map(|(name, value)| (name, value.to_owned()));
        [view, comment, (CHECKSUM, checksum_of(&self.text()))]
    }

    /// The text of the view, which is the same for the same definition.
    fn text(&self) -> String {
        let column = |column: &ViewColumn| DocumentColumn { name: column.name, r#type: trino_type(column.column_type) };
        let document = Document {
            original_sql: &self.sql,
            catalog: GLUE,
            schema: &self.database,
            columns: self.columns.iter().map(column).collect(),
            comment: &self.comment,
            // Nobody in particular owns it, and who asks must be allowed to read the tables.
            run_as_invoker: true,
        };
        // Texts alone, which JSON always takes.
        let document = serde_json::to_vec(&document).unwrap_or_default();
        format!("/* Presto View: {} */", BASE64_STANDARD.encode(document))
    }
}

fn checksum_of(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text))
}

/// A type, as Trino calls it.
const fn trino_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "varchar",
        ColumnType::Int32 => "integer",
        ColumnType::Int64 => "bigint",
        ColumnType::Float64 => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp(3)",
    }
}

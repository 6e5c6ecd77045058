//! The Glue catalog: what Athena knows of the lake.
//!
//! What is there is compared with what must be, and only what differs is changed. Nothing is ever dropped: what others added
//! to a table stays.

mod definition;
mod difference;

use crate::{SinkError, SinkErrorKind};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_glue::Client;
use aws_sdk_glue::config::http::HttpResponse;
use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::timeout::TimeoutConfig;
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_glue::operation::RequestId;
use aws_sdk_glue::types::{DatabaseInput, PartitionInput, Table as GlueTable};
use compline_model::causes;
pub use definition::{CatalogColumn, Layout, Partitioning, TableDefinition};
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What Glue takes in one request.
const PARTITIONS_PER_REQUEST: usize = 100;

/// The longest one attempt may take: every call is small.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_ATTEMPTS: u32 = 5;

/// Where a catalog is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogLocation {
    /// The database that has the tables.
    pub database: String,
    /// Its region, if not that of the environment.
    pub region: Option<String>,
    /// Where Glue is, if not at AWS.
    pub endpoint_url: Option<String>,
}

/// A database of the Glue catalog. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    client: Client,
    database: String,
}

/// Something that is not in the catalog as it must be.
#[derive(Debug, Clone)]
pub enum Change {
    /// The database is not there.
    CreateDatabase,
    /// A table is not there.
    CreateTable(TableDefinition),
    /// A table is there, and is not as it must be.
    UpdateTable {
        /// What it must be.
        definition: TableDefinition,
        /// What differs, in words.
        differs: Vec<String>,
        /// What is there.
        there: Box<GlueTable>,
    },
    /// Partitions of a table are not there, each by its values.
    AddPartitions(TableDefinition, Vec<Vec<String>>),
}

impl Catalog {
    /// Opens a database with the credentials of the environment; nothing is called yet.
    pub async fn open(location: &CatalogLocation) -> Self {
        let shared = aws_config::defaults(BehaviorVersion::latest()).load().await;
        let mut config = aws_sdk_glue::config::Builder::from(&shared)
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build());
        if let Some(region) = &location.region {
            config = config.region(Region::new(region.clone()));
        }
        if let Some(url) = &location.endpoint_url {
            config = config.endpoint_url(url);
        }
        Self { client: Client::from_conf(config.build()), database: location.database.clone() }
    }

    /// What of the database and these tables is not as it must be, in the order in which it must be done.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub async fn differences(&self, definitions: &[TableDefinition]) -> Result<Vec<Change>, SinkError> {
        if !self.has_database().await? {
            let tables = definitions.iter().cloned().map(Change::CreateTable);
            return Ok([Change::CreateDatabase].into_iter().chain(tables).collect());
        }
        let mut changes = Vec::new();
        for definition in definitions {
            match self.table(&definition.name).await? {
                None => changes.push(Change::CreateTable(definition.clone())),
                Some(there) => {
                    let differs = difference::of(definition, &there);
                    if !differs.is_empty() {
                        let (definition, there) = (definition.clone(), Box::new(there));
                        changes.push(Change::UpdateTable { definition, differs, there });
                    }
                }
            }
        }
        Ok(changes)
    }

    /// Those of these partitions that a table does not have, each by its values.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub async fn missing_partitions(
        &self,
        definition: &TableDefinition,
        mut wanted: BTreeSet<Vec<String>>,
    ) -> Result<Option<Change>, SinkError> {
        if self.table(&definition.name).await?.is_some() {
            let request = self.client.get_partitions().database_name(&self.database).table_name(&definition.name);
            let mut pages = request.exclude_column_schema(true).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| self.failed("read the partitions of", &definition.name, &error))?;
                for partition in page.partitions() {
                    wanted.remove(partition.values());
                }
            }
        }
        let missing: Vec<Vec<String>> = wanted.into_iter().collect();
        Ok((!missing.is_empty()).then(|| Change::AddPartitions(definition.clone(), missing)))
    }

    /// Makes a change. That somebody else has made it meanwhile is no error.
    ///
    /// # Errors
    /// A catalog that does not take it.
    pub async fn apply(&self, change: &Change) -> Result<(), SinkError> {
        match change {
            Change::CreateDatabase => self.create_database().await,
            Change::CreateTable(definition) => self.create_table(definition).await,
            Change::UpdateTable { definition, there, .. } => {
                let input =
                    difference::merged(definition, there).map_err(|error| self.wrong(&definition.name, error))?;
                let request = self.client.update_table().database_name(&self.database).table_input(input);
                let sent = request.send().await;
                sent.map(drop).map_err(|error| self.failed("update the table", &definition.name, &error))
            }
            Change::AddPartitions(definition, partitions) => {
                for some in partitions.chunks(PARTITIONS_PER_REQUEST) {
                    self.add_partitions(definition, some).await?;
                }
                Ok(())
            }
        }
    }

    /// Whether the database is there.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub async fn has_database(&self) -> Result<bool, SinkError> {
        match self.client.get_database().name(&self.database).send().await {
            Ok(_) => Ok(true),
            Err(error) if code_of(&error) == Some("EntityNotFoundException") => Ok(false),
            Err(error) => Err(self.failed("read the database", "", &error)),
        }
    }

    async fn table(&self, name: &str) -> Result<Option<GlueTable>, SinkError> {
        match self.client.get_table().database_name(&self.database).name(name).send().await {
            Ok(answer) => Ok(answer.table),
            Err(error) if code_of(&error) == Some("EntityNotFoundException") => Ok(None),
            Err(error) => Err(self.failed("read the table", name, &error)),
        }
    }

    async fn create_database(&self) -> Result<(), SinkError> {
        let input = DatabaseInput::builder()
            .name(&self.database)
            .description("AWS conformance-pack compliance, kept by Compline");
        let input = input.build().map_err(|error| self.wrong("", error))?;
        match self.client.create_database().database_input(input).send().await {
            Err(error) if code_of(&error) != Some("AlreadyExistsException") => {
                Err(self.failed("create the database", "", &error))
            }
            _ => Ok(()),
        }
    }

    async fn create_table(&self, definition: &TableDefinition) -> Result<(), SinkError> {
        let input = difference::created(definition).map_err(|error| self.wrong(&definition.name, error))?;
        match self.client.create_table().database_name(&self.database).table_input(input).send().await {
            Err(error) if code_of(&error) != Some("AlreadyExistsException") => {
                Err(self.failed("create the table", &definition.name, &error))
            }
            _ => Ok(()),
        }
    }

    async fn add_partitions(&self, definition: &TableDefinition, some: &[Vec<String>]) -> Result<(), SinkError> {
        let input = |values: &Vec<String>| {
            let files = difference::files(definition, &definition.partition_location(values));
            PartitionInput::builder().set_values(Some(values.clone())).storage_descriptor(files).build()
        };
        let request = self.client.batch_create_partition().database_name(&self.database).table_name(&definition.name);
        let sent = request.set_partition_input_list(Some(some.iter().map(input).collect())).send().await;
        let answer = sent.map_err(|error| self.failed("add partitions to", &definition.name, &error))?;
        let refused = answer.errors().iter().find_map(|error| {
            let detail = error.error_detail()?;
            (detail.error_code() != Some("AlreadyExistsException")).then_some((error.partition_values(), detail))
        });
        let Some((values, detail)) = refused else { return Ok(()) };
        let (code, message) =
            (detail.error_code().unwrap_or("no code"), detail.error_message().unwrap_or("no message"));
        let doing = format!("add the partition {} to {}.{}", values.join("/"), self.database, definition.name);
        Err(SinkError::permanent(doing, format!("{code}: {message}")))
    }

    fn wrong(&self, table: &str, error: impl fmt::Display) -> SinkError {
        SinkError::permanent(format!("describe {}", self.place(table)), error)
    }

    fn place(&self, table: &str) -> String {
        if table.is_empty() { self.database.clone() } else { format!("{}.{table}", self.database) }
    }

    fn failed<E>(&self, doing: &str, table: &str, error: &SdkError<E, HttpResponse>) -> SinkError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let doing = format!("{doing} {} of the Glue catalog", self.place(table));
        let SdkError::ServiceError(service) = error else {
            let hint = "is the network up, and catalog.region or catalog.endpoint_url right?";
            return SinkError::new(SinkErrorKind::Transient, doing, causes(error)).hint(Some(hint.to_owned()));
        };
        let status = service.raw().status().as_u16();
        let code = service.err().code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
        let message: String = service.err().message().unwrap_or("no message").chars().take(200).collect();
        let reason = format!("{code}: {message} (request id {})", error.request_id().unwrap_or("none"));
        let kind = if status >= 500 { SinkErrorKind::Transient } else { SinkErrorKind::Permanent };
        let hint = match code.as_str() {
            "AccessDeniedException" => {
                "allow what pipelines/nightly/iam-policy.json has under KeepTheCatalog, or grant it in Lake Formation"
            }
            "ExpiredTokenException" => "the credentials have ended: sign in again",
            "ConcurrentModificationException" => "something else changes the table; run again",
            _ => return SinkError::new(kind, doing, reason),
        };
        SinkError::new(kind, doing, reason).hint(Some(hint.to_owned()))
    }
}

fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error()?.code()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDatabase => write!(f, "create the database"),
            Self::CreateTable(definition) => write!(f, "create the table {}", definition.name),
            Self::UpdateTable { definition, differs, .. } => {
                write!(f, "update the table {}: {}", definition.name, differs.join(", "))
            }
            Self::AddPartitions(definition, partitions) => {
                let first = partitions.first().map(|values| values.join("/")).unwrap_or_default();
                let plural = if partitions.len() == 1 { "" } else { "s" };
                write!(f, "add {} partition{plural} to {}, {first} first", partitions.len(), definition.name)
            }
        }
    }
}

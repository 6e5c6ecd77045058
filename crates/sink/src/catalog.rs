//! The Glue catalog: what Athena knows of the lake.
//!
//! What is there is compared with what must be, and only what differs is changed. What others added to a table stays, and
//! nothing is dropped but registered partitions whose objects are gone. An update names the version that was read, so that
//! of two pipelines that change one table at once neither takes back what the other did.

mod change;
mod definition;
mod difference;
mod partitions;
mod projection;
mod view;

use crate::{SinkError, SinkErrorKind};
use aws_config::Region;
use aws_sdk_glue::Client;
use aws_sdk_glue::config::http::HttpResponse;
use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::timeout::TimeoutConfig;
use aws_sdk_glue::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_glue::operation::RequestId;
use aws_sdk_glue::types::{Database, DatabaseInput, Table as GlueTable, TableInput};
pub use change::Change;
use compline_aws::{Environment, EnvironmentError, FailedAttempts, Identity, unexplained};
use compline_model::causes;
pub use definition::{CatalogColumn, Layout, TableDefinition};
pub use partitions::{PartitionDifferences, PartitionValues};
pub use projection::{LakeDays, Partitioning, Projection};
use std::error::Error;
use std::fmt;
use std::time::Duration;
use view::Found;
pub use view::{ViewColumn, ViewDefinition};

/// The longest one attempt may take: every call is small.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts per call, which the SDK makes.
const MAX_ATTEMPTS: u32 = 5;

/// How often an update is tried when another writer was first each time. A night has a handful of pipelines at most.
const MAX_UPDATES: usize = 5;

/// What Glue answers when a table is no longer of the version that the update names.
const LOST_UPDATE: [&str; 2] = ["ConcurrentModificationException", "VersionMismatchException"];

/// What to do where the answer is not one of Glue.
const NOT_GLUE: &str = "this is not Glue's own answer: a proxy or a firewall may answer in its place, or catalog.endpoint_url (or \
    AWS_ENDPOINT_URL) is another server's";

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
    endpoint_url: Option<String>,
}

impl Catalog {
    /// Opens a database with the credentials of the environment; nothing is called yet.
    ///
    /// # Errors
    /// An environment that AWS cannot be asked from.
    pub async fn open(location: &CatalogLocation) -> Result<Self, EnvironmentError> {
        let environment = Environment::load(Identity::DefaultChain).await?;
        let mut config = aws_sdk_glue::config::Builder::from(environment.shared())
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .interceptor(FailedAttempts::of("Glue"))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build());
        if let Some(region) = &location.region {
            config = config.region(Region::new(region.clone()));
        }
        if let Some(url) = &location.endpoint_url {
            // Variants of AWS's own endpoints, which would be an error beside another one.
            config = config.endpoint_url(url).use_fips(false).use_dual_stack(false);
        }
        let (database, endpoint_url) = (location.database.clone(), location.endpoint_url.clone());
        Ok(Self { client: Client::from_conf(config.build()), database, endpoint_url })
    }

    /// The database, where it is asked for: the region of the settings or the environment, and the URL of the settings.
    pub fn name(&self) -> String {
        let region = self.client.config().region();
        format!("{} in {region:?} at {:?}", self.database, self.endpoint_url)
    }

    /// What of the database, these tables and these views is out of date, in the order in which it must be changed.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub async fn differences(
        &self,
        tables: &[TableDefinition],
        views: &[ViewDefinition],
    ) -> Result<Vec<Change>, SinkError> {
        if !self.has_database().await? {
            let tables = tables.iter().cloned().map(Change::CreateTable);
            let views = views.iter().cloned().map(Change::CreateView);
            return Ok([Change::CreateDatabase].into_iter().chain(tables).chain(views).collect());
        }
        let mut changes = Vec::new();
        for definition in tables {
            let there = self.table(&definition.name).await?;
            changes.extend(difference_of_table(definition, there));
        }
        for definition in views {
            let there = self.table(&definition.name).await?;
            changes.extend(difference_of_view(definition, there));
        }
        Ok(changes)
    }

    /// Makes a change. That somebody else has made it meanwhile is no error.
    ///
    /// # Errors
    /// A catalog that does not take it.
    pub async fn apply(&self, change: &Change) -> Result<(), SinkError> {
        match change {
            Change::CreateDatabase => self.create_database().await,
            Change::CreateTable(definition) => self.create(&definition.name, difference::created(definition)).await,
            Change::UpdateTable { definition, there, .. } => {
                let input = |there: &GlueTable| {
                    let differs = !difference::of(definition, there).is_empty();
                    differs.then(|| difference::merged(definition, there))
                };
                self.update(&definition.name, there, input).await
            }
            Change::CreateView(definition) => self.create(&definition.name, definition.input(None)).await,
            Change::UpdateView { definition, there, .. } => {
                let input = |there: &GlueTable| {
                    let is_ours = matches!(definition.compare(there), Found::OutOfDate(_));
                    is_ours.then(|| definition.input(Some(there)))
                };
                self.update(&definition.name, there, input).await
            }
            Change::LeaveView { .. } => Ok(()),
            Change::AddPartitions(definition, partitions) => self.add_partitions(definition, partitions).await,
            Change::UpdatePartitions(definition, partitions) => self.update_partitions(definition, partitions).await,
            Change::RemovePartitions(definition, partitions) => self.remove_partitions(definition, partitions).await,
        }
    }

    /// Whether the database is there.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub async fn has_database(&self) -> Result<bool, SinkError> {
        Ok(self.database().await?.is_some())
    }

    /// The id of the catalog that has the database, that of its account, as Glue says it; nothing where it does not, or there is no
    /// database.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub async fn id(&self) -> Result<Option<String>, SinkError> {
        Ok(self.database().await?.and_then(|database| database.catalog_id))
    }

    async fn database(&self) -> Result<Option<Database>, SinkError> {
        match self.client.get_database().name(&self.database).send().await {
            Ok(answer) if answer.database.is_some() => Ok(answer.database),
            Ok(_) => Err(self.says_nothing("read the database", "")),
            Err(error) if code_of(&error) == Some("EntityNotFoundException") => Ok(None),
            Err(error) => Err(self.failed("read the database", "", &error)),
        }
    }

    async fn table(&self, name: &str) -> Result<Option<GlueTable>, SinkError> {
        match self.client.get_table().database_name(&self.database).name(name).send().await {
            Ok(answer) if answer.table.is_some() => Ok(answer.table),
            Ok(_) => Err(self.says_nothing("read the table", name)),
            Err(error) if code_of(&error) == Some("EntityNotFoundException") => Ok(None),
            Err(error) => Err(self.failed("read the table", name, &error)),
        }
    }

    async fn create_database(&self) -> Result<(), SinkError> {
        let input = DatabaseInput::builder()
            .name(&self.database)
            .description("AWS conformance-pack compliance, recorded by Compline");
        let input = input.build().map_err(|error| self.wrong("", error))?;
        match self.client.create_database().database_input(input).send().await {
            Err(error) if code_of(&error) != Some("AlreadyExistsException") => {
                Err(self.failed("create the database", "", &error))
            }
            _ => Ok(()),
        }
    }

    /// Makes a table or a view.
    async fn create(&self, name: &str, input: Result<TableInput, BuildError>) -> Result<(), SinkError> {
        let input = input.map_err(|error| self.wrong(name, error))?;
        match self.client.create_table().database_name(&self.database).table_input(input).send().await {
            Err(error) if code_of(&error) != Some("AlreadyExistsException") => {
                Err(self.failed("create the table", name, &error))
            }
            _ => Ok(()),
        }
    }

    /// Updates a table or a view of the version that was read. If another writer was first, what is there now is read and
    /// compared again: `input` gives nothing once nothing differs.
    async fn update(
        &self,
        name: &str,
        there: &GlueTable,
        input: impl Fn(&GlueTable) -> Option<Result<TableInput, BuildError>>,
    ) -> Result<(), SinkError> {
        let mut there = there.clone();
        for attempt in 1.. {
            let Some(input) = input(&there) else { break };
            let input = input.map_err(|error| self.wrong(name, error))?;
            let request = self.client.update_table().database_name(&self.database).table_input(input);
            let Err(error) = request.set_version_id(there.version_id.clone()).send().await else { break };
            let is_lost = code_of(&error).is_some_and(|code| LOST_UPDATE.contains(&code));
            if !is_lost || attempt == MAX_UPDATES {
                return Err(self.failed("update the table", name, &error));
            }
            tracing::debug!(table = name, attempt, "another writer updated the table first");
            there = self.table(name).await?.ok_or_else(|| {
                let doing = format!("update the table {} of the Glue catalog", self.place(name));
                SinkError::new(SinkErrorKind::Transient, doing, "it was there and is gone; run again")
            })?;
        }
        Ok(())
    }

    /// An answer in which nothing is: it does not mean that there is nothing.
    fn says_nothing(&self, doing: &str, table: &str) -> SinkError {
        let doing = format!("{doing} {} of the Glue catalog", self.place(table));
        SinkError::permanent(doing, "the answer, HTTP 200, does not have it").hint(Some(NOT_GLUE.to_owned()))
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
            let reason = causes(error);
            let hint = compline_aws::connection_hint(&reason)
                .unwrap_or("is the network up, and catalog.region or catalog.endpoint_url right?");
            return SinkError::new(SinkErrorKind::Transient, doing, reason).hint(Some(hint.to_owned()));
        };
        let status = service.raw().status().as_u16();
        let code = service.err().code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
        let message: String = service.err().message().unwrap_or_default().chars().take(200).collect();
        let kind = if status >= 500 { SinkErrorKind::Transient } else { SinkErrorKind::Permanent };
        if service.err().code().is_none() {
            let raw = service.raw();
            let reason = unexplained(status, raw.headers().get("location"), raw.body().bytes());
            return SinkError::new(kind, doing, reason).hint(Some(NOT_GLUE.to_owned()));
        }
        let reason = format!("{code}: {message} (request id {})", error.request_id().unwrap_or("none"));
        let hint = match code.as_str() {
            "AccessDeniedException" => {
                "allow what pipelines/nightly/iam-policy.json has under UpdateTheCatalog, or grant it in Lake Formation"
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

fn difference_of_table(definition: &TableDefinition, there: Option<GlueTable>) -> Option<Change> {
    let Some(there) = there else { return Some(Change::CreateTable(definition.clone())) };
    let differs = difference::of(definition, &there);
    let (definition, there) = (definition.clone(), Box::new(there));
    (!differs.is_empty()).then_some(Change::UpdateTable { definition, differs, there })
}

fn difference_of_view(definition: &ViewDefinition, there: Option<GlueTable>) -> Option<Change> {
    let Some(there) = there else { return Some(Change::CreateView(definition.clone())) };
    match definition.compare(&there) {
        Found::UpToDate => None,
        Found::OutOfDate(differs) => {
            Some(Change::UpdateView { definition: definition.clone(), differs, there: Box::new(there) })
        }
        Found::Foreign(why) => Some(Change::LeaveView { name: definition.name.clone(), why }),
    }
}

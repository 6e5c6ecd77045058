//! Telling the Glue catalog of the lake: after each night, and by `compline catalog`.

use crate::settings::{CatalogSettings, Settings, lake_name};
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Catalog, Change, Inventory, Layout, Partition, Partitioning, SinkError, TableDefinition};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::OnceCell;

/// The catalog of a pipeline, and what its tables must be.
pub(crate) struct Cataloguing {
    catalog: Catalog,
    is_registered: bool,
    /// The tables by what they are of.
    tables: BTreeMap<(Table, Layout), TableDefinition>,
    /// Whether the tables are known to be as they must be.
    tables_are_right: OnceCell<()>,
}

impl Cataloguing {
    /// The one of a pipeline, if it has one.
    pub(crate) async fn open(settings: &Settings) -> Option<Self> {
        let CatalogSettings { location, partitioning } = settings.catalog.as_ref()?;
        Some(Self {
            catalog: Catalog::open(location).await,
            is_registered: *partitioning == Partitioning::Registered,
            tables: tables(settings, partitioning),
            tables_are_right: OnceCell::new(),
        })
    }

    /// Makes the tables what they must be, once, and adds a day's partitions where they are named one by one.
    pub(crate) async fn add_day(&self, id: &AggregatorId, date: SnapshotDate) -> Result<(), SinkError> {
        self.tables_are_right.get_or_try_init(|| self.make_tables_right()).await?;
        if !self.is_registered {
            return Ok(());
        }
        for table in Table::ALL {
            if let Some(definition) = self.tables.get(&(table, Layout::Daily)) {
                let values = vec![date.to_string(), id.to_string()];
                self.catalog.apply(&Change::AddPartitions(definition.clone(), vec![values])).await?;
            }
        }
        Ok(())
    }

    async fn make_tables_right(&self) -> Result<(), SinkError> {
        for change in self.differences_of_tables().await? {
            tracing::info!(%change, "catalog");
            self.catalog.apply(&change).await?;
        }
        Ok(())
    }

    async fn differences_of_tables(&self) -> Result<Vec<Change>, SinkError> {
        let tables: Vec<TableDefinition> = self.tables.values().cloned().collect();
        self.catalog.differences(&tables).await
    }

    /// Everything that is not in the catalog as it must be for a lake.
    pub(crate) async fn differences(&self, inventory: &Inventory) -> Result<Vec<Change>, SinkError> {
        let mut changes = self.differences_of_tables().await?;
        if !self.is_registered {
            return Ok(changes);
        }
        let database_is_there = !changes.iter().any(|change| matches!(change, Change::CreateDatabase));
        for ((table, layout), definition) in &self.tables {
            let wanted = partitions(inventory, *table, *layout);
            if database_is_there {
                changes.extend(self.catalog.missing_partitions(definition, wanted).await?);
            } else if !wanted.is_empty() {
                changes.push(Change::AddPartitions(definition.clone(), wanted.into_iter().collect()));
            }
        }
        Ok(changes)
    }

    /// Makes a change.
    pub(crate) async fn apply(&self, change: &Change) -> Result<(), SinkError> {
        self.catalog.apply(change).await
    }

    /// Asks for the database; says whether it is there.
    pub(crate) async fn has_database(&self) -> Result<bool, SinkError> {
        self.catalog.has_database().await
    }
}

/// The tables of a pipeline's lake, as Athena is told of them.
pub(crate) fn tables(settings: &Settings, partitioning: &Partitioning) -> BTreeMap<(Table, Layout), TableDefinition> {
    let lake = lake_name(&settings.lake);
    let daily = Table::ALL.into_iter().map(|table| (table, Layout::Daily));
    let monthly = settings.keep.compact.iter().map(|table| (*table, Layout::Monthly));
    let definition = |(table, layout)| ((table, layout), TableDefinition::new(table, layout, &lake, partitioning));
    daily.chain(monthly).map(definition).collect()
}

/// The partitions that a table has in the lake, each by its values.
fn partitions(inventory: &Inventory, table: Table, layout: Layout) -> BTreeSet<Vec<String>> {
    match layout {
        Layout::Daily => {
            let of_table = inventory.partitions.keys().filter(|partition| partition.table == table);
            of_table.map(|Partition { date, aggregator, .. }| vec![date.to_string(), aggregator.to_string()]).collect()
        }
        Layout::Monthly => {
            let of_table = inventory.months.keys().filter(|month| month.table == table);
            of_table.map(|month| vec![month.month.to_string(), month.aggregator.to_string()]).collect()
        }
    }
}

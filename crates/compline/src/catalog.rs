//! Telling the Glue catalog of the lake: after each run, and by `compline catalog`.

mod views;

use crate::session::Session;
use crate::settings::{CatalogSettings, Settings, lake_name};
use compline_aws::EnvironmentError;
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{
    Catalog, Change, Inventory, Lake, LakeDays, Layout, Month, PartitionValues, Partitioning, Partitions, SinkError,
    TableDefinition, ViewDefinition,
};
use futures::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::OnceCell;
pub(crate) use views::{sql_of_views, views};

/// The tables of a lake, by what they are of.
pub(crate) type Tables = BTreeMap<(Table, Layout), TableDefinition>;

/// The catalog of a pipeline, and what its tables must be.
pub(crate) struct Cataloguing {
    catalog: Catalog,
    partitioning: Partitioning,
    /// The lake's URL.
    lake: String,
    /// The tables whose months have a table of their own.
    compacted: BTreeSet<Table>,
    views: Vec<ViewDefinition>,
    /// The tables, once they are known to be up to date.
    up_to_date: OnceCell<Tables>,
}

impl Cataloguing {
    /// The one of a pipeline, if it has one. Nothing is called yet.
    ///
    /// # Errors
    /// An environment that AWS cannot be asked from.
    pub(crate) async fn open(settings: &Settings) -> Result<Option<Self>, EnvironmentError> {
        let Some(CatalogSettings { location, partitioning }) = settings.catalog.as_ref() else { return Ok(None) };
        Ok(Some(Self {
            catalog: Catalog::open(location).await?,
            partitioning: partitioning.clone(),
            lake: lake_name(&settings.lake),
            compacted: settings.keep.compact.clone(),
            views: views(&location.database),
            up_to_date: OnceCell::new(),
        }))
    }

    /// Brings the tables and views up to date, once, and names the partitions of these tables of a day where partitions are
    /// registered. To be called when they are in the lake, or are about to be: of a day that failed or is held, that is its
    /// ledger. Warns of days that the tables do not show.
    ///
    /// # Errors
    /// A lake or a catalog that does not answer, or a catalog that does not take it.
    pub(crate) async fn add_day(
        &self,
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        tables: &[Table],
    ) -> Result<(), SinkError> {
        let definitions = self.up_to_date.get_or_try_init(|| self.bring_up_to_date(lake, id, date)).await?;
        for table in tables {
            let Some(definition) = definitions.get(&(*table, Layout::Daily)) else { continue };
            if definition.is_registered() {
                let values = vec![date.to_string(), id.to_string()];
                self.catalog.apply(&Change::AddPartitions(definition.clone(), vec![values])).await?;
            }
        }
        Ok(())
    }

    /// The same for days that were completed for runs which were stopped: each table of theirs that the lake has by now.
    ///
    /// # Errors
    /// Those of [`Cataloguing::add_day`].
    pub(crate) async fn add_completed(
        &self,
        lake: &Lake,
        id: &AggregatorId,
        dates: &[SnapshotDate],
    ) -> Result<(), SinkError> {
        if dates.is_empty() {
            return Ok(());
        }
        let there = try_join_all(Table::ALL.map(|table| lake.partitions(table))).await?;
        for date in dates {
            let has_day =
                |(_, partitions): &(Table, &Partitions)| partitions.get(id).is_some_and(|days| days.contains(date));
            let tables: Vec<Table> =
                Table::ALL.into_iter().zip(&there).filter(has_day).map(|(table, _)| table).collect();
            self.add_day(lake, id, *date, &tables).await?;
        }
        Ok(())
    }

    /// Everything, as `compline catalog` does it, with the day of a run whose ledger may be yet to be written: whatever an earlier
    /// run could not name, another file named otherwise, or the lake's move left behind.
    async fn bring_up_to_date(&self, lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> Result<Tables, SinkError> {
        let there = self.listed(lake).await?;
        let mut days = there.days();
        days.days.insert(date);
        days.aggregators.insert(id.clone());
        if let Some(hidden) = self.hidden_days(&days) {
            tracing::warn!("catalog: {hidden}");
        }
        let tables = self.tables(&days);
        for change in self.differences_from(lake, &there, &tables).await? {
            tracing::info!(%change, "catalog");
            self.catalog.apply(&change).await?;
        }
        Ok(tables)
    }

    /// What is in a lake, as far as the catalog is told of it.
    ///
    /// # Errors
    /// A lake that does not answer.
    pub(crate) async fn listed(&self, lake: &Lake) -> Result<Listed, SinkError> {
        Listed::of(lake, &self.compacted).await
    }

    /// Makes the catalog what the lake is. Gives what was changed.
    ///
    /// # Errors
    /// A lake or a catalog that does not answer, or a catalog that does not take it.
    pub(crate) async fn complete(&self, lake: &Lake) -> Result<Vec<Change>, SinkError> {
        let changes = self.differences(lake, &self.listed(lake).await?).await?;
        for change in &changes {
            self.catalog.apply(change).await?;
        }
        Ok(changes)
    }

    /// Everything in the catalog that is out of date with a lake, in the order in which it must be changed.
    ///
    /// # Errors
    /// A lake or a catalog that does not answer.
    pub(crate) async fn differences(&self, lake: &Lake, there: &Listed) -> Result<Vec<Change>, SinkError> {
        self.differences_from(lake, there, &self.tables(&there.days())).await
    }

    async fn differences_from(&self, lake: &Lake, there: &Listed, tables: &Tables) -> Result<Vec<Change>, SinkError> {
        let mut changes = self.differences_of_definitions(tables).await?;
        let has_database = !changes.iter().any(|change| matches!(change, Change::CreateDatabase));
        for ((table, layout), definition) in tables.iter().filter(|(_, definition)| definition.is_registered()) {
            let of_lake = there.values(*table, *layout);
            if !has_database {
                let all: Vec<PartitionValues> = of_lake.into_iter().collect();
                changes.extend((!all.is_empty()).then(|| Change::AddPartitions(definition.clone(), all)));
                continue;
            }
            let mut found = self.catalog.partition_differences(definition, of_lake).await?;
            if !found.gone.is_empty() {
                // A run names its ledger before it writes it.
                if *table == Table::Runs {
                    found.gone = without_leased(lake, found.gone).await?;
                }
                // A run may have put and named them since the lake was listed: an object comes before its partition.
                let now = self.listed(lake).await?.values(*table, *layout);
                found.gone.retain(|values| !now.contains(values));
            }
            changes.extend(found.changes(definition));
        }
        Ok(changes)
    }

    /// Makes a change.
    ///
    /// # Errors
    /// A catalog that does not take it.
    pub(crate) async fn apply(&self, change: &Change) -> Result<(), SinkError> {
        self.catalog.apply(change).await
    }

    /// Asks for the database; says whether it is there.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub(crate) async fn has_database(&self) -> Result<bool, SinkError> {
        self.catalog.has_database().await
    }

    /// What Athena does not show of a lake since `first_day` is set, in words.
    pub(crate) fn hidden_days(&self, lake: &LakeDays) -> Option<String> {
        let first_day = self.partitioning.first_day()?;
        let mut hidden = lake.days.range(..first_day);
        let (first, last) = (hidden.next()?, hidden.next_back());
        let (count, days) = (lake.days.range(..first_day).count(), if last.is_some() { "days" } else { "day" });
        let span = last.map_or_else(|| first.to_string(), |last| format!("{first} to {last}"));
        Some(format!(
            "Athena shows none of {count} {days} of the lake, {span}: catalog.first_day is {first_day}; set it to {first} or \
             take it out"
        ))
    }

    async fn differences_of_definitions(&self, tables: &Tables) -> Result<Vec<Change>, SinkError> {
        let tables: Vec<TableDefinition> = tables.values().cloned().collect();
        self.catalog.differences(&tables, &self.views).await
    }

    fn tables(&self, days: &LakeDays) -> Tables {
        tables(&self.lake, &self.compacted, &self.partitioning, days)
    }
}

/// Makes the catalog of a pipeline, if it has one, what the lake is by now. Gives why it could not, in words.
pub(crate) async fn completed(session: &Session<'_>) -> Option<String> {
    let words = |error: &dyn std::fmt::Display| {
        format!("the catalog does not know of it: {error}; `compline catalog FILE` completes it")
    };
    let cataloguing = match Cataloguing::open(session.settings).await {
        Ok(cataloguing) => cataloguing?,
        Err(error) => return Some(words(&error)),
    };
    let done = cataloguing.complete(&session.lake).await;
    done.iter().flatten().for_each(|change| tracing::info!(%change, "catalog"));
    done.err().map(|error| words(&error))
}

/// Of partitions, each by its day and aggregator, those of aggregators whose lease nobody holds.
async fn without_leased(
    lake: &Lake,
    values: BTreeSet<PartitionValues>,
) -> Result<BTreeSet<PartitionValues>, SinkError> {
    let mut others = BTreeSet::new();
    for values in values {
        let holder = match values.last().and_then(|id| id.parse::<AggregatorId>().ok()) {
            Some(id) => lake.lease_holder(&id).await?,
            None => None,
        };
        others.extend(holder.is_none().then_some(values));
    }
    Ok(others)
}

/// The tables of a lake with these days, as Athena is told of them.
pub(crate) fn tables(lake: &str, compacted: &BTreeSet<Table>, partitioning: &Partitioning, days: &LakeDays) -> Tables {
    let projection = partitioning.projection(days);
    let daily = Table::ALL.into_iter().map(|table| (table, Layout::Daily));
    let monthly = compacted.iter().map(|table| (*table, Layout::Monthly));
    let definition =
        |(table, layout)| ((table, layout), TableDefinition::new(table, layout, lake, projection.as_ref()));
    daily.chain(monthly).map(definition).collect()
}

/// What is in a lake, as far as a catalog is told of it.
#[derive(Debug)]
pub(crate) struct Listed {
    partitions: BTreeMap<Table, Partitions>,
    months: BTreeSet<Month>,
}

impl Listed {
    /// Lists the tables, and the months of those that have any.
    ///
    /// # Errors
    /// A lake that does not answer.
    pub(crate) async fn of(lake: &Lake, compacted: &BTreeSet<Table>) -> Result<Self, SinkError> {
        let partitions = try_join_all(Table::ALL.map(|table| lake.partitions(table))).await?;
        let months = try_join_all(compacted.iter().map(|table| lake.months(*table))).await?;
        Ok(Self {
            partitions: Table::ALL.into_iter().zip(partitions).collect(),
            months: months.into_iter().flatten().collect(),
        })
    }

    /// The days and aggregators.
    pub(crate) fn days(&self) -> LakeDays {
        let mut found = LakeDays::default();
        for (aggregator, days) in self.partitions.values().flatten() {
            found.aggregators.insert(aggregator.clone());
            found.days.extend(days);
        }
        found
    }

    /// The partitions that a table has, each by its values.
    fn values(&self, table: Table, layout: Layout) -> BTreeSet<PartitionValues> {
        match layout {
            Layout::Daily => {
                let of_table = self.partitions.get(&table).into_iter().flatten();
                of_table
                    .flat_map(|(aggregator, days)| {
                        days.iter().map(|date| vec![date.to_string(), aggregator.to_string()])
                    })
                    .collect()
            }
            Layout::Monthly => {
                let of_table = self.months.iter().filter(|month| month.table == table);
                of_table
                    .map(|Month { month, aggregator, .. }| vec![month.to_string(), aggregator.to_string()])
                    .collect()
            }
        }
    }
}

/// The days and aggregators of a lake that has been listed.
pub(crate) fn days_of_inventory(inventory: &Inventory) -> LakeDays {
    LakeDays {
        days: inventory.partitions.keys().map(|partition| partition.date).collect(),
        aggregators: inventory.partitions.keys().map(|partition| partition.aggregator.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;

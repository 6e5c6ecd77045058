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
use std::hash::{DefaultHasher, Hash, Hasher};
use tokio::sync::OnceCell;
pub(crate) use views::{sql_of_views, views};

/// The tables of a lake, by what they are of.
pub(crate) type Tables = BTreeMap<(Table, Layout), TableDefinition>;

/// How many days before its own a run looks at where the catalog was what the lake is not long ago: what a run could not name yesterday,
/// or in the weeks before, it names.
pub(crate) const RECENT_DAYS: u32 = 180;

/// How long that is, in days: then a run looks at all of it again, and finds the days of years ago that came otherwise.
const WHOLE_EVERY_DAYS: i64 = 30;

/// The catalog of a pipeline, and what its tables must be.
pub(crate) struct Cataloguing {
    catalog: Catalog,
    partitioning: Partitioning,
    /// The lake's URL.
    lake: String,
    /// The tables whose months have a table of their own.
    compacted: BTreeSet<Table>,
    views: Vec<ViewDefinition>,
    /// The name by which the lake notes that the catalog is what the lake is, once the catalog has said whose it is.
    note: OnceCell<String>,
    /// The tables, once they are known to be up to date, and the day from which on the lake was looked at for that, if not all of it was.
    up_to_date: OnceCell<(Tables, Option<SnapshotDate>)>,
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
            note: OnceCell::new(),
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
        let (definitions, _) = self.up_to_date.get_or_try_init(|| self.bring_up_to_date(lake, id, date)).await?;
        for table in tables {
            let Some(definition) = definitions.get(&(*table, Layout::Daily)) else { continue };
            if definition.is_registered() {
                let values = vec![date.to_string(), id.to_string()];
                self.catalog.apply(&Change::AddPartitions(definition.clone(), vec![values])).await?;
            }
        }
        Ok(())
    }

    /// The same for other days that a run changed, such as those that it completed for runs which were stopped: each table of theirs that
    /// the lake has by now. To be called after [`Cataloguing::add_day`].
    ///
    /// # Errors
    /// Those of [`Cataloguing::add_day`].
    pub(crate) async fn add_others(
        &self,
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        dates: &[SnapshotDate],
    ) -> Result<(), SinkError> {
        let (Some(first), Some((definitions, since))) = (dates.iter().min(), self.up_to_date.get()) else {
            return Ok(());
        };
        if since.is_some_and(|since| *first < since) {
            return self.complete(lake, date).await.map(drop);
        }
        for table in Table::ALL {
            let registered = definitions.get(&(table, Layout::Daily)).filter(|definition| definition.is_registered());
            let Some(definition) = registered else { continue };
            let there = lake.partitions_since(table, *first).await?.remove(id).unwrap_or_default();
            let of_lake = dates.iter().filter(|date| there.contains(date));
            let of_lake = of_lake.map(|date| vec![date.to_string(), id.to_string()]).collect();
            let mut found = self.catalog.partition_differences(definition, of_lake, Some(*first)).await?;
            // Of this aggregator and these days alone, one after the other, which is no time to look at what others do.
            found.gone.clear();
            self.apply_all(&found.changes(definition).collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    /// Everything, as `compline catalog` does it, with the day of a run whose ledger may be yet to be written: whatever an earlier
    /// run could not name, another file named otherwise, or the lake's move left behind. Where all of it was so not long ago, and the
    /// tables still are as they must be, only the last days are looked at: what a night costs does not grow with the history.
    async fn bring_up_to_date(
        &self,
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
    ) -> Result<(Tables, Option<SnapshotDate>), SinkError> {
        let with_day = |there: &Listed| {
            let mut days = there.days();
            days.days.insert(date);
            days.aggregators.insert(id.clone());
            days
        };
        // Days that a set first day hides may be long ago.
        if !self.has_first_day() && self.was_whole(lake, date).await? {
            let there = Listed::of(lake, &self.compacted, Some(date.minus_days(RECENT_DAYS))).await?;
            let mut days = with_day(&there);
            // An older one than the tables begin with, which another file's import made, makes them differ.
            days.days.extend(try_join_all(Table::ALL.map(|table| lake.first_day(table))).await?.into_iter().flatten());
            let tables = self.tables(&days);
            let changes = self.differences_of_definitions(&tables).await?;
            if !changes.iter().any(Change::is_of_tables) {
                let changes = self.with_partitions(lake, &there, &tables, changes).await?;
                self.apply_all(&changes).await?;
                return Ok((tables, there.since));
            }
        }
        will_be_behind(lake, Some(self.note().await?)).await;
        let there = self.listed(lake).await?;
        let days = with_day(&there);
        if let Some(hidden) = self.hidden_days(&days) {
            tracing::warn!("catalog: {hidden}");
        }
        let tables = self.tables(&days);
        let changes = self.differences_from(lake, &there, &tables).await?;
        self.change_whole(lake, &changes, date).await?;
        Ok((tables, None))
    }

    /// Makes the changes that a look at the whole lake found, and notes that.
    async fn change_whole(&self, lake: &Lake, changes: &[Change], date: SnapshotDate) -> Result<(), SinkError> {
        // Of tables that are changed, partitions may be left that are not, and nothing of the tables would tell another file's run.
        if changes.iter().any(|change| change.is_of_tables() || matches!(change, Change::RemovePartitions(..))) {
            will_be_behind(lake, None).await;
        }
        self.apply_all(changes).await?;
        if let Err(error) = lake.note_cataloged(self.note().await?, date).await {
            tracing::warn!(%error, "the next run looks at the whole catalog again");
        }
        Ok(())
    }

    /// The name of the lake's note of this catalog: another one for another account's, another database, and tables that are to be otherwise.
    async fn note(&self) -> Result<&str, SinkError> {
        let name = async || {
            let mut hasher = DefaultHasher::new();
            (self.catalog.name(), self.catalog.id().await?).hash(&mut hasher);
            for definition in self.tables(&LakeDays::default()).values() {
                let TableDefinition { name, comment, columns, partition_keys, location, .. } = definition;
                format!("{name} {comment} {columns:?} {partition_keys:?} {location}").hash(&mut hasher);
                definition.is_registered().hash(&mut hasher);
            }
            Ok(format!("{:016x}", hasher.finish()))
        };
        self.note.get_or_try_init(name).await.map(String::as_str)
    }

    /// Whether the whole catalog was what the lake is not long before a day.
    async fn was_whole(&self, lake: &Lake, date: SnapshotDate) -> Result<bool, SinkError> {
        // One of a later day may be of a machine whose clock was years ahead.
        let noted = lake.cataloged(self.note().await?).await?.filter(|noted| *noted <= date);
        Ok(noted.is_some_and(|noted| (date.day() - noted.day()).num_days() < WHOLE_EVERY_DAYS))
    }

    /// Makes changes.
    ///
    /// # Errors
    /// A catalog that does not take them.
    pub(crate) async fn apply_all(&self, changes: &[Change]) -> Result<(), SinkError> {
        for change in changes {
            tracing::info!(%change, "catalog");
            self.catalog.apply(change).await?;
        }
        Ok(())
    }

    /// What is in a lake, as far as the catalog is told of it.
    ///
    /// # Errors
    /// A lake that does not answer.
    pub(crate) async fn listed(&self, lake: &Lake) -> Result<Listed, SinkError> {
        Listed::of(lake, &self.compacted, None).await
    }

    /// Makes the catalog what the lake is, on a day. Gives what was changed.
    ///
    /// # Errors
    /// A lake or a catalog that does not answer, or a catalog that does not take it.
    pub(crate) async fn complete(&self, lake: &Lake, today: SnapshotDate) -> Result<Vec<Change>, SinkError> {
        will_be_behind(lake, Some(self.note().await?)).await;
        let changes = self.differences(lake, &self.listed(lake).await?).await?;
        self.change_whole(lake, &changes, today).await?;
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
        let changes = self.differences_of_definitions(tables).await?;
        self.with_partitions(lake, there, tables, changes).await
    }

    /// Adds what differs of the registered partitions of tables to what differs of the tables.
    async fn with_partitions(
        &self,
        lake: &Lake,
        there: &Listed,
        tables: &Tables,
        mut changes: Vec<Change>,
    ) -> Result<Vec<Change>, SinkError> {
        let has_database = !changes.iter().any(|change| matches!(change, Change::CreateDatabase));
        for ((table, layout), definition) in tables.iter().filter(|(_, definition)| definition.is_registered()) {
            let of_lake = there.values(*table, *layout);
            if !has_database {
                let all: Vec<PartitionValues> = of_lake.into_iter().collect();
                changes.extend((!all.is_empty()).then(|| Change::AddPartitions(definition.clone(), all)));
                continue;
            }
            let mut found = self.catalog.partition_differences(definition, of_lake, there.since).await?;
            if !found.gone.is_empty() {
                // A run names its ledger before it writes it.
                if *table == Table::Runs {
                    found.gone = without_leased(lake, found.gone).await?;
                }
                // A run may have put and named them since the lake was listed: an object comes before its partition.
                let now = Listed::of(lake, &self.compacted, there.since).await?.values(*table, *layout);
                found.gone.retain(|values| !now.contains(values));
            }
            changes.extend(found.changes(definition));
        }
        Ok(changes)
    }

    /// Asks for the database; says whether it is there.
    ///
    /// # Errors
    /// A catalog that does not answer.
    pub(crate) async fn has_database(&self) -> Result<bool, SinkError> {
        self.catalog.has_database().await
    }

    /// Whether days may be hidden.
    pub(crate) fn has_first_day(&self) -> bool {
        self.partitioning.first_day().is_some()
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

/// Has the next run look at all of a catalog, or of every catalog of the lake: to be called before other days than those of the last weeks
/// are made or removed, or tables of the catalog changed. Then whoever is stopped halfway, or whose catalog does not answer, leaves
/// nothing hidden for longer.
pub(crate) async fn will_be_behind(lake: &Lake, note: Option<&str>) {
    if let Err(error) = lake.forget_cataloged(note).await {
        // Who may only read the lake may still bring the catalog up to date.
        tracing::warn!(%error, "should this be stopped halfway, run `compline catalog`");
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
    cataloguing.complete(&session.lake, session.today()).await.err().map(|error| words(&error))
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
    /// The day from which on days are listed, if not all of them are. Months are all listed.
    since: Option<SnapshotDate>,
    partitions: BTreeMap<Table, Partitions>,
    months: BTreeSet<Month>,
}

impl Listed {
    /// Lists the tables, whole or from one day on, and the months of those that have any.
    ///
    /// # Errors
    /// A lake that does not answer.
    pub(crate) async fn of(
        lake: &Lake,
        compacted: &BTreeSet<Table>,
        since: Option<SnapshotDate>,
    ) -> Result<Self, SinkError> {
        let list = async |table| match since {
            Some(since) => lake.partitions_since(table, since).await,
            None => lake.partitions(table).await,
        };
        let partitions = try_join_all(Table::ALL.map(list)).await?;
        let months = try_join_all(compacted.iter().map(|table| lake.months(*table))).await?;
        Ok(Self {
            since,
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

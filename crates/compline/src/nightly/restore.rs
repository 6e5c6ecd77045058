//! Restoring a day whose own files are damaged or gone: from the files of its month, as the ledger says that it was committed last.

use super::Shared;
use super::collect::Collected;
use crate::ledger::{InFile, Ledger, LedgerRow};
use crate::population::Population;
use crate::settings::AggregatorSettings;
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use compline_model::{AggregatorId, RowSource, SnapshotDate, SnapshotMonth, Table, row_parts};
use compline_sink::{Inventory, Lake, Month, Partition, SinkError, TableFile, computed};
use compline_transformer::checked_before;
use std::sync::Arc;

/// The rows of a table, and where they are from.
enum Rows {
    /// The day's own file, which is the one that was committed.
    Own(TableFile),
    /// The month's file.
    OfMonth(RecordBatch),
}

/// The day as it was committed last. A file of its own that is sound is taken before its month's.
///
/// # Errors
/// Nothing to be restored; no file that has the facts as they were committed, or a store that does not answer.
pub(super) async fn restore(shared: &Shared<'_>, aggregator: &AggregatorSettings) -> anyhow::Result<Collected> {
    let (id, asked) = (&aggregator.address.id, aggregator.of(shared.dataset));
    let (lake, dataset, date) = (&shared.lake, shared.dataset, shared.request.date);
    let ledger = sound_ledger(lake, id, date).await?;
    let Some(last) = ledger.last_commit() else {
        bail!("the ledger has no run that committed {date}, so that there is nothing to restore");
    };
    if ledger.held().is_some() {
        bail!("{date} is held besides, and what is held would be gone: accept or reject it first");
    }
    let inventory = lake.inventory(shared.session.started_at).await?;
    let committed = Committed { lake, id, ledger: &ledger, last, inventory: &inventory, shared };
    let Some(facts) = committed.rows(dataset.facts).await? else {
        bail!("{}, so that it cannot be restored from there", committed.lacks(dataset.facts));
    };
    let sources = match dataset.sources {
        Some(table) => committed.rows(table).await?,
        None => None,
    };
    if matches!(facts, Rows::Own(_)) && (dataset.sources.is_none() || matches!(sources, Some(Rows::Own(_)))) {
        bail!("the files of {date} are those that the ledger says were committed, so that there is nothing to restore");
    }
    let source_status = match (sources, dataset.sources) {
        (Some(rows), _) => rows.all()?,
        (None, Some(table)) if matches!(facts, Rows::Own(_)) || committed.is_there(table) => bail!(
            "{}: restore {} of {date} itself, or move it away and the day is restored without",
            committed.lacks(table),
            table.name()
        ),
        (None, Some(table)) => {
            tracing::warn!("{}: the day is restored without", committed.lacks(table));
            RecordBatch::new_empty(table.schema())
        }
        (None, None) => RecordBatch::new_empty(Table::SourceStatus.schema()),
    };
    let population = match Population::of_row(last) {
        Some(population) => population,
        // Trends would begin again at a day of today's filters among those of others.
        None if asked.is_everything() => Population::of(asked),
        None => bail!(
            "the ledger of {date}, of an older version, does not say with which filters it was collected, and the aggregator has filters \
             by now: restore an earlier version of the object, or import the day from files"
        ),
    };
    let facts: Arc<dyn RowSource> = match facts {
        Rows::Own(file) => Arc::new(file),
        Rows::OfMonth(rows) => Arc::new(rows),
    };
    let snapshot = computed(move || checked_before(dataset, facts)).await.context("checking stopped")??;
    tracing::info!(run = last.run_id, "restoring the day that this run committed");
    Ok(Collected { snapshot, source_status, population: Some(population) })
}

/// The ledger of a day, which nothing else denies: an earlier version of it would have another commit for the last.
async fn sound_ledger(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Ledger> {
    let Some(file) = InFile::read(lake, id, date).await.context("the ledger says which file was committed")? else {
        let there = lake.noted_rows(id, date).await?;
        if there.is_empty() {
            return Ok(Ledger::none(lake.dataset()));
        }
        bail!("the ledger of {date} is gone: `compline verify FILE --repair` makes it again, or restore it");
    };
    let compared = file.of_all(lake, id, date).await?;
    if compared.is_file_wrong() || !compared.are_read {
        bail!(
            "the ledger of {date} is not what the documents of its runs say: `compline verify FILE --repair` makes it right first"
        );
    }
    Ok(compared.ledger)
}

/// What was committed of a day.
struct Committed<'a> {
    shared: &'a Shared<'a>,
    lake: &'a Lake,
    id: &'a AggregatorId,
    ledger: &'a Ledger,
    last: &'a LedgerRow,
    inventory: &'a Inventory,
}

impl Committed<'_> {
    /// The rows of a table as they were committed; nothing where no file has them.
    async fn rows(&self, table: Table) -> anyhow::Result<Option<Rows>> {
        let Self { lake, ledger, last, inventory, shared, .. } = *self;
        let (date, committed) = (shared.request.date, ledger.committed_sha256(table));
        let partition = Partition { table, date, aggregator: self.id.clone() };
        match self.own(&partition).await {
            Ok(Some(file)) => return Ok(Some(Rows::Own(file))),
            Ok(None) => {}
            Err(error) if error.is_damage() => tracing::info!(%error, "looking for it in its month"),
            Err(error) => return Err(error.into()),
        }
        let month = self.month(table);
        let days = lake.days_within(inventory, &month).await?;
        let is_it = |there: &String| match committed {
            Some(committed) => committed == there,
            // Ledgers of older versions have no checksum: what was committed once is that.
            None => ledger.rows().iter().filter(|row| row.is_commit()).count() == 1,
        };
        if !days.get(&date).is_some_and(is_it) {
            return Ok(None);
        }
        let rows = lake.day_in_month(&month, date).await?;
        let is_whole = |rows: &RecordBatch| table != shared.dataset.facts || rows.num_rows() as u64 == last.rows;
        Ok(rows.filter(is_whole).map(Rows::OfMonth))
    }

    /// The day's own file, if it is the one that was committed and all of it can be read.
    async fn own(&self, partition: &Partition) -> Result<Option<TableFile>, SinkError> {
        let committed = self.ledger.committed_sha256(partition.table).map(String::as_str);
        let Some(file) = self.lake.committed(partition, committed).await? else { return Ok(None) };
        let look = |file: &TableFile| row_parts(file, None).try_for_each(|rows| rows.map(drop));
        file.clone().look_through(look).await?;
        Ok(Some(file))
    }

    /// Whether a table has an object of the day, whatever it is.
    fn is_there(&self, table: Table) -> bool {
        let partition = Partition { table, date: self.shared.request.date, aggregator: self.id.clone() };
        self.inventory.partitions.contains_key(&partition)
    }

    fn month(&self, table: Table) -> Month {
        Month { table, month: SnapshotMonth::from(self.shared.request.date), aggregator: self.id.clone() }
    }

    /// That no file has the rows of a table.
    fn lacks(&self, table: Table) -> String {
        let (key, date) = (self.month(table).key(), self.shared.request.date);
        format!("{key} is not there, is damaged, or does not have {date} as the ledger says it was committed last")
    }
}

impl Rows {
    fn all(self) -> anyhow::Result<RecordBatch> {
        match self {
            Self::Own(file) => Ok(file.rows(0..file.row_count(), None)?),
            Self::OfMonth(rows) => Ok(rows),
        }
    }
}

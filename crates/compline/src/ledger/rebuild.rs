//! Making a day's ledger again that is damaged: from its rows as documents, and of versions before those from the documents that
//! its runs left in `_compline/runs`.

use super::{Ledger, LedgerRow, Outcome};
use anyhow::Context;
use bytes::Bytes;
use chrono::DateTime;
use compline_model::{AggregatorId, Dataset, RowError, RowSource, RunId, SnapshotDate};
use compline_sink::{Lake, TableFile};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A ledger as its file says it.
#[derive(Debug)]
pub(crate) struct InFile {
    pub(crate) ledger: Ledger,
    /// Whether the file is known to be as it was written.
    pub(crate) has_checksum: bool,
}

/// Where documents of a day's rows do not say what its ledger does.
#[derive(Debug, Default)]
pub(crate) struct Unlike {
    /// Runs whose documents do not say a row of theirs.
    pub(crate) unread: Vec<RunId>,
    /// Runs of which they say another row.
    pub(crate) other: Vec<RunId>,
    /// Runs that changed the day, as they say, and of which the ledger has no row.
    pub(crate) lacking: Vec<RunId>,
}

impl InFile {
    /// The same of a day, if there is one that can be read.
    ///
    /// # Errors
    /// A store that does not answer.
    async fn sound(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Option<Self>> {
        let dataset = lake.dataset();
        let read = match lake.file(&Ledger::partition(id, date)).await {
            Ok(None) => return Ok(None),
            Ok(Some(file)) => file.look_through(move |file| Self::of(dataset, file)).await,
            Err(error) => Err(error),
        };
        match read {
            Err(error) if error.is_damage() => Ok(None),
            read => Ok(Some(read?)),
        }
    }

    /// What a file of `runs` says of a dataset.
    ///
    /// # Errors
    /// Rows that do not decode.
    pub(crate) fn of(dataset: &'static Dataset, file: &TableFile) -> Result<Self, RowError> {
        let rows = file.rows(0..file.row_count(), None)?;
        Ok(Self { ledger: Ledger::of(dataset, &rows), has_checksum: file.has_checksum() })
    }

    /// Whether it is the file that is wrong: it lacks a row, as an earlier version of it does, or another program wrote it.
    pub(crate) fn is_wrong(&self, unlike: &Unlike) -> bool {
        !unlike.lacking.is_empty() || !(self.has_checksum || unlike.other.is_empty())
    }

    /// What documents say, and of the file what they do not say, or all where it is as it was written.
    pub(crate) fn corrected(&self, documents: Ledger, unlike: &Unlike) -> Ledger {
        let unread: BTreeSet<String> = unlike.unread.iter().map(RunId::to_string).collect();
        let Ledger { dataset, mut rows, mut others } = documents;
        let is_kept = |row: &&LedgerRow| self.has_checksum || unread.contains(&row.run_id);
        for row in self.ledger.rows.iter().filter(is_kept) {
            rows.retain(|told| told.run_id != row.run_id);
            rows.push(row.clone());
        }
        for row in self.ledger.others.iter().filter(|_| self.has_checksum) {
            others.retain(|told| (&told.run_id, &told.dataset) != (&row.run_id, &row.dataset));
            others.push(row.clone());
        }
        Ledger { dataset, rows, others }
    }
}

/// A ledger as documents say it.
pub(crate) struct OfDocuments {
    pub(crate) ledger: Ledger,
    /// Whether every row can be read, and its last change is written down as one: the report of a run alone says nothing of what
    /// `maintain` dropped later.
    is_sure: bool,
}

impl Ledger {
    /// The rows that there are as documents, those of other datasets beside them.
    pub(crate) async fn of_documents(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
    ) -> anyhow::Result<OfDocuments> {
        let of_runs = lake.run_documents(date).await?;
        let mut told = OfDocuments { ledger: Self::none(lake.dataset()), is_sure: true };
        for dataset in Dataset::ALL {
            let OfDocuments { ledger, is_sure } = Self::of_dataset(&lake.of(dataset), id, date, &of_runs).await?;
            let rows = if dataset == lake.dataset() { &mut told.ledger.rows } else { &mut told.ledger.others };
            rows.extend(ledger.rows);
            told.is_sure &= is_sure;
        }
        Ok(told)
    }

    async fn of_dataset(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        of_runs: &[Bytes],
    ) -> anyhow::Result<OfDocuments> {
        let noted = lake.noted_rows(id, date).await?;
        let of_runs = of_runs.iter().filter_map(|document| of_run(document, lake.dataset(), id));
        let mut of_rows = Vec::with_capacity(noted.len());
        for run_id in &noted {
            let document = lake.row_document(id, date, *run_id).await?;
            let of_document = document.and_then(|document| row(&document, id, date, *run_id));
            // One of another dataset is in the place of it.
            of_rows.extend(of_document.filter(|row| row.is_of(lake.dataset())));
        }
        let are_read = of_rows.len() == noted.len();
        if !are_read {
            tracing::warn!(%date, "a document of the ledger's rows, below _compline/ledger, cannot be read");
        }
        let written: BTreeSet<String> = of_rows.iter().map(|row| row.run_id.clone()).collect();
        let mut rows: BTreeMap<String, LedgerRow> =
            of_runs.chain(of_rows).map(|row| (row.run_id.clone(), row)).collect();
        // A row that did not get its number while the ledger could not be read is in the journal still, and gets it there.
        for entry in lake.journal(id).await? {
            let run_id = entry.run_id.to_string();
            if rows.get(&run_id).is_some_and(|row| row.outcome != Outcome::Failed && row.commit_number.is_none()) {
                rows.remove(&run_id);
            }
        }
        let ledger = Self::new(lake.dataset(), rows.into_values().collect());
        let is_sure = are_read && ledger.last_change().is_none_or(|last| written.contains(&last.run_id));
        Ok(OfDocuments { ledger, is_sure })
    }

    /// Whether documents tell of runs of a day, and then whether its ledger can be made again from them.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn is_told(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        has_snapshot: bool,
    ) -> anyhow::Result<Option<bool>> {
        let OfDocuments { ledger, is_sure } = Self::of_documents(lake, id, date).await?;
        Ok((!ledger.is_empty()).then_some(has_snapshot || is_sure))
    }

    /// Where the documents of a day's rows do not say what the day's ledger does.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn against_documents(
        &self,
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
    ) -> anyhow::Result<Unlike> {
        let mut unlike = Unlike::default();
        for run_id in lake.noted_rows(id, date).await? {
            let Some(document) = lake.row_document(id, date, run_id).await? else { continue };
            let Some(told) = row(&document, id, date, run_id).filter(|row| row.is_of(self.dataset)) else {
                unlike.unread.push(run_id);
                continue;
            };
            match self.rows.iter().find(|own| own.run_id == told.run_id) {
                Some(own) if *own == told || *own == self.as_in_file(told.clone())? => {}
                Some(_) => unlike.other.push(run_id),
                None if told.is_commit() || told.outcome != Outcome::Failed => unlike.lacking.push(run_id),
                // It was stopped between the two, and changed nothing.
                None => {}
            }
        }
        Ok(unlike)
    }

    /// A row as the table has it, whose numbers are smaller than those of a document.
    fn as_in_file(&self, row: LedgerRow) -> anyhow::Result<LedgerRow> {
        let file = Self::new(self.dataset, vec![row.clone()]).batch()?;
        Ok(Self::of(self.dataset, &file).rows.pop().unwrap_or(row))
    }

    /// Writes the documents of a day's rows again that do not say theirs, from a ledger that can be read.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn write_documents(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<()> {
        let Some(file) = InFile::sound(lake, id, date).await? else { return Ok(()) };
        let Unlike { unread, other, .. } = file.ledger.against_documents(lake, id, date).await?;
        for run_id in unread.into_iter().chain(other.into_iter().filter(|_| file.has_checksum)) {
            let own = file.ledger.rows().iter().find(|row| row.run_id == run_id.to_string());
            if let Some(row) = own {
                lake.note_row(id, date, run_id, document(id, date, row)?).await?;
            }
        }
        Ok(())
    }

    /// Writes the ledger of a day again that is damaged, gone or not what documents say; a file that is there is set aside. Gives whether it is known to
    /// have every row, or nothing if it was not done: there is no document, or they may not say that the day was dropped whose
    /// snapshot is not there.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn rebuild(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        has_snapshot: bool,
    ) -> anyhow::Result<Option<bool>> {
        let partition = Self::partition(id, date);
        let OfDocuments { mut ledger, is_sure } = Self::of_documents(lake, id, date).await?;
        if ledger.is_empty() || !(has_snapshot || is_sure) {
            return Ok(None);
        }
        if let Some(file) = InFile::sound(lake, id, date).await? {
            // Whatever was wrong when it was looked at last.
            let unlike = file.ledger.against_documents(lake, id, date).await?;
            if !file.is_wrong(&unlike) {
                return Ok(None);
            }
            ledger = file.corrected(ledger, &unlike);
        }
        lake.set_aside(&partition).await?;
        lake.commit(&partition, ledger.batch()?).await?;
        Ok(Some(is_sure))
    }
}

/// A row as a document, which says whose it is, so that it is damage in another's place.
pub(super) fn document(id: &AggregatorId, date: SnapshotDate, row: &LedgerRow) -> anyhow::Result<Bytes> {
    let mut value = serde_json::to_value(row).context("cannot write the row as JSON")?;
    value["aggregator"] = id.as_str().into();
    value["snapshot_date"] = date.to_string().into();
    Ok(Bytes::from(serde_json::to_vec_pretty(&value).context("cannot write the row as JSON")?))
}

/// The row that a document says, if it is that of this run.
pub(super) fn row(document: &[u8], id: &AggregatorId, date: SnapshotDate, run_id: RunId) -> Option<LedgerRow> {
    let value: Value = serde_json::from_slice(document).ok()?;
    let is_its_own = value["aggregator"] == id.as_str() && value["snapshot_date"] == date.to_string();
    let row: LedgerRow = serde_json::from_value(value).ok()?;
    (is_its_own && row.run_id == run_id.to_string()).then_some(row)
}

/// The row of an aggregator's dataset, of the report of a run. Nothing where the run did not concern it.
pub(super) fn of_run(document: &[u8], dataset: &Dataset, id: &AggregatorId) -> Option<LedgerRow> {
    let report: Value = serde_json::from_slice(document).ok()?;
    let aggregators = report["aggregators"].as_array()?;
    let is_of = |one: &&Value| one["dataset"].as_str().unwrap_or(Dataset::PACKS.name) == dataset.name;
    let of_id = aggregators.iter().filter(is_of).find(|one| one["aggregator"] == id.as_str())?;
    if of_id["is_recorded"] == false {
        return None;
    }
    let mut row = of_id.as_object()?.clone();
    // What a report says with examples the ledger counts.
    for name in ["conflicts", "warnings", "unreconciled"] {
        let count = of_id[name]["count"].clone();
        row.insert(name.to_owned(), count);
    }
    for name in ["started_at", "finished_at"] {
        let time = DateTime::parse_from_rfc3339(report[name].as_str()?).ok()?;
        row.insert(name.to_owned(), time.timestamp_millis().into());
    }
    for name in ["run_id", "command", "version"] {
        row.insert(name.to_owned(), report[name].clone());
    }
    serde_json::from_value(Value::Object(row)).ok()
}

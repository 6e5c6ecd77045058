//! Making a day's ledger again that is damaged: from its rows as documents, and of versions before those from the documents that
//! its runs left in `_compline/runs`.

use super::compare::documents;
use super::{InFile, Ledger, LedgerRow, Outcome};
use anyhow::{Context, bail};
use bytes::Bytes;
use chrono::DateTime;
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate};
use compline_sink::{Lake, Partition, Place};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a ledger that was to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rebuilt {
    /// It has every row.
    Whole,
    /// It may lack what was committed last.
    Part,
    /// It is as it was: nothing is wrong with it, or not any more.
    NothingWrong,
    /// It is as it was: there is no document, or they may not say that the day was dropped whose snapshot is not there.
    NotTold,
}

/// A ledger as documents say it.
pub(crate) struct OfDocuments {
    pub(crate) ledger: Ledger,
    /// The datasets of which not every row can be read, or whose last change is not written down as one: the report of a run alone says
    /// nothing of what `maintain` dropped later.
    unsure: Vec<&'static Dataset>,
}

impl Ledger {
    /// The rows that there are as documents, those of other datasets beside them.
    pub(crate) async fn of_documents(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
    ) -> anyhow::Result<OfDocuments> {
        let of_runs = lake.run_documents(date).await?;
        let mut told = OfDocuments { ledger: Self::none(lake.dataset()), unsure: Vec::new() };
        for dataset in Dataset::ALL {
            let OfDocuments { ledger, unsure } = Self::of_dataset(&lake.of(dataset), id, date, &of_runs).await?;
            let rows = if dataset == lake.dataset() { &mut told.ledger.rows } else { &mut told.ledger.others };
            rows.extend(ledger.rows);
            told.unsure.extend(unsure);
        }
        Ok(told)
    }

    async fn of_dataset(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        of_runs: &[Bytes],
    ) -> anyhow::Result<OfDocuments> {
        let documents = documents(lake, id, date).await?;
        let of_runs = of_runs.iter().filter_map(|document| of_run(document, lake.dataset(), id));
        let are_read = documents.values().all(Option::is_some);
        if !are_read {
            tracing::warn!(%date, "a document of the ledger's rows, below _compline/ledger, cannot be read");
        }
        let mut rows: BTreeMap<String, LedgerRow> =
            documents.into_iter().filter_map(|(run_id, row)| Some((run_id, row?))).collect();
        let written: BTreeSet<String> = rows.keys().cloned().collect();
        let facts = Partition { table: lake.dataset().facts, date, aggregator: id.clone() };
        let mut snapshot = None;
        for told in of_runs {
            let Some(own) = rows.get(&told.run_id) else {
                rows.insert(told.run_id.clone(), told);
                continue;
            };
            let are_same = own.outcome == told.outcome && own.snapshot_sha256 == told.snapshot_sha256;
            if are_same || told.snapshot_sha256.is_none() {
                continue;
            }
            // A document is damaged that denies what is there and the report tells of.
            if snapshot.is_none() {
                snapshot = Some(lake.sha256_of(&facts, Place::Table).await?);
            }
            if told.is_commit() && snapshot.as_ref().is_some_and(|there| *there == told.snapshot_sha256) {
                rows.insert(told.run_id.clone(), told);
            }
        }
        // A row that did not get its number while the ledger could not be read is in the journal still, and gets it there.
        for entry in lake.journal(id).await? {
            let run_id = entry.run_id.to_string();
            if rows.get(&run_id).is_some_and(|row| row.outcome != Outcome::Failed && row.commit_number.is_none()) {
                rows.remove(&run_id);
            }
        }
        let ledger = Self::new(lake.dataset(), rows.into_values().collect());
        let is_sure = are_read && ledger.last_change().is_none_or(|last| written.contains(&last.run_id));
        Ok(OfDocuments { ledger, unsure: if is_sure { Vec::new() } else { vec![lake.dataset()] } })
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
        let OfDocuments { ledger, unsure } = Self::of_documents(lake, id, date).await?;
        Ok((!ledger.is_empty()).then_some(has_snapshot || unsure.is_empty()))
    }

    /// What a ledger that is gone is made again as, for the row of a run to be added. Of a run that changed nothing the documents must say
    /// enough, as they must for [`Ledger::rebuild`]: what they lack would be denied by a ledger that is there.
    ///
    /// # Errors
    /// A store that does not answer, or documents that do not say enough.
    pub(super) async fn made_again_for(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        row: &LedgerRow,
    ) -> anyhow::Result<Self> {
        let OfDocuments { ledger, unsure } = Self::of_documents(lake, id, date).await?;
        for dataset in unsure {
            let has_rows = ledger.rows.iter().chain(&ledger.others).any(|row| row.is_of(dataset));
            let is_change = row.is_of(dataset) && (row.is_commit() || row.outcome == Outcome::Dropped);
            if has_rows && !is_change {
                let there = lake.partitions_from(dataset.facts, date, date).await?;
                if there.get(id).is_none_or(|days| !days.contains(&date)) {
                    bail!(
                        "the ledger of {date} is gone, and the documents of its runs do not say enough to make it again: restore it"
                    );
                }
            }
        }
        Ok(ledger)
    }

    /// Writes the ledger of a day again that is damaged, gone or not what is right of it; a file that is there is set aside. The day has its
    /// own snapshot, or its month has it, or neither.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn rebuild(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        has_snapshot: bool,
        is_in_month: bool,
    ) -> anyhow::Result<Rebuilt> {
        let (ledger, is_sure) = match InFile::sound(lake, id, date).await? {
            Some(file) => {
                // Whatever was wrong when it was looked at last.
                let compared = file.of_all(lake, id, date).await?;
                if !compared.is_file_wrong() {
                    return Ok(Rebuilt::NothingWrong);
                }
                (compared.ledger, compared.are_read)
            }
            None => {
                let OfDocuments { ledger, unsure } = Self::of_documents(lake, id, date).await?;
                (ledger, unsure.is_empty())
            }
        };
        // What only a month has was dropped, of which the document is gone.
        let lacks_drop = !has_snapshot && is_in_month && ledger.last_change().is_some_and(LedgerRow::is_commit);
        if ledger.is_empty() || !(has_snapshot || is_sure) || lacks_drop {
            return Ok(Rebuilt::NotTold);
        }
        for of_dataset in ledger.of_each() {
            of_dataset.note(&lake.of(of_dataset.dataset()), id, date, None).await?;
        }
        let partition = Self::partition(id, date);
        lake.set_aside(&partition).await?;
        lake.commit(&partition, ledger.batch()?).await?;
        Ok(if is_sure { Rebuilt::Whole } else { Rebuilt::Part })
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
    serde_json::from_value(Value::Object(fields_of_run(document, dataset, id)?)).ok()
}

/// The fields of it that the report says.
pub(super) fn fields_of_run(document: &[u8], dataset: &Dataset, id: &AggregatorId) -> Option<Map<String, Value>> {
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
    Some(row)
}

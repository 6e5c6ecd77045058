//! A day's ledger held against the documents of its rows. A file that has its checksum is as it was written, so that a document is
//! wrong that says another row. One without may be another program's, and so may a document be damaged, which has no checksum: what
//! is right is then what the report of the run says, or the snapshot that is there.

use super::rebuild::{self, fields_of_run, of_run, row};
use super::{Ledger, LedgerRow, Outcome};
use arrow::array::{AsArray, RecordBatch};
use compline_model::{AggregatorId, Dataset, RowError, RowSource, RunId, SnapshotDate};
use compline_sink::{Lake, Partition, Place, SinkError, TableFile};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A ledger as its file says it.
#[derive(Debug)]
pub(crate) struct InFile {
    pub(crate) ledger: Ledger,
    /// Whether the file is known to be as it was written.
    pub(crate) has_checksum: bool,
    /// The runs of all its rows, in its order.
    runs: Vec<String>,
}

/// How a row of the ledger and its document are unlike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unlike {
    /// The document cannot be read.
    Unread,
    /// The document says another row, and the ledger is right.
    Document,
    /// There is no document.
    NoDocument,
    /// The row is wrong, and the document is right.
    Row,
    /// The run changed the day, as its document says, and the ledger has no row of it.
    Lacking,
    /// Nothing but the ledger tells of the run, and it is wrong: so are other rows, or the snapshot is another's.
    Invented,
    /// The ledger has another row of the run besides.
    Twice,
    /// Nothing says whether the row or the document is right.
    Unknown,
    /// Nothing says whether the row is right, of which there is no document.
    UnknownRun,
    /// The document tells of a commit that neither the ledger, nor the snapshot, nor a report does.
    Unproven,
}

/// What was found of a day's ledger.
#[derive(Debug)]
pub(crate) struct Compared {
    /// How runs are unlike, by their ids.
    pub(crate) unlike: BTreeMap<String, Unlike>,
    /// What is right of both. Where nothing says what is, it is what the file says.
    pub(crate) ledger: Ledger,
    /// Whether every document can be read of which the file has no row, and none is made up for by a report.
    pub(crate) are_read: bool,
    /// Whether the rows are in their order.
    is_in_order: bool,
}

impl Compared {
    /// Whether the file is wrong, and not a document alone.
    pub(crate) fn is_file_wrong(&self) -> bool {
        let is_of_file =
            |unlike: &Unlike| matches!(unlike, Unlike::Row | Unlike::Lacking | Unlike::Invented | Unlike::Twice);
        !self.is_in_order || self.unlike.values().any(is_of_file)
    }
}

impl InFile {
    /// That of a day, if there is one.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is damaged.
    pub(crate) async fn read(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> Result<Option<Self>, SinkError> {
        let dataset = lake.dataset();
        match lake.file(&Ledger::partition(id, date)).await? {
            Some(file) => file.look_through(move |file| Self::of(dataset, file)).await.map(Some),
            None => Ok(None),
        }
    }

    /// That of a day, if there is one that can be read.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn sound(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> Result<Option<Self>, SinkError> {
        match Self::read(lake, id, date).await {
            Err(error) if error.is_damage() => Ok(None),
            file => file,
        }
    }

    /// What a file of `runs` says of a dataset.
    ///
    /// # Errors
    /// Rows that do not decode.
    pub(crate) fn of(dataset: &'static Dataset, file: &TableFile) -> Result<Self, RowError> {
        let rows = file.rows(0..file.row_count(), None)?;
        let ledger = Ledger::of(dataset, &rows);
        Ok(Self { ledger, has_checksum: file.has_checksum(), runs: runs(&rows) })
    }

    /// Whether its rows are in the order of the table's key.
    fn is_in_order(&self) -> anyhow::Result<bool> {
        let sorted = runs(&self.ledger.batch()?);
        Ok(self.runs == sorted)
    }

    /// Compares the rows of every dataset with their documents.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn of_all(&self, lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Compared> {
        let (mut all, mut rows) = (BTreeMap::new(), Vec::new());
        let mut are_all_read = true;
        for dataset in Dataset::ALL {
            let own = self.ledger.rows.iter().chain(&self.ledger.others).cloned().collect();
            let ledger = Ledger::new(dataset, own);
            let file = Self { ledger, has_checksum: self.has_checksum, runs: self.runs.clone() };
            let Compared { unlike, ledger, are_read, .. } = file.against_documents(&lake.of(dataset), id, date).await?;
            all.extend(unlike.into_iter().map(|(run_id, unlike)| (format!("{} {run_id}", dataset.name), unlike)));
            rows.extend(ledger.rows);
            are_all_read &= are_read;
        }
        let ledger = Ledger::new(self.ledger.dataset, rows);
        Ok(Compared { unlike: all, ledger, are_read: are_all_read, is_in_order: self.is_in_order()? })
    }

    /// Compares the rows of the dataset with their documents, and where none committed the day with the reports of runs as well.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn against_documents(
        &self,
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
    ) -> anyhow::Result<Compared> {
        let dataset = self.ledger.dataset;
        let mut documents = documents(lake, id, date).await?;
        let (mut unlike, has_documents) = (BTreeMap::new(), !documents.is_empty());
        let told_last = Ledger::new(dataset, documents.values().flatten().cloned().collect()).last_commit().cloned();
        let (mut rows, mut doubted, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for own in &self.ledger.rows {
            let run_id = &own.run_id;
            if !seen.insert(run_id) {
                // It is as wrong as the row before it, or as right.
                unlike.insert(run_id.clone(), Unlike::Twice);
                continue;
            }
            let how = match documents.remove(run_id) {
                Some(None) => Some(Unlike::Unread),
                Some(Some(told)) if *own == told || *own == as_in_file(told.clone())? => None,
                Some(Some(_)) if self.has_checksum => Some(Unlike::Document),
                // Where there is no document at all, old ones were removed, or a version wrote none, which gave a run any name.
                None if !has_documents || run_id.parse::<RunId>().is_err() => None,
                None if self.has_checksum => Some(Unlike::NoDocument),
                told => {
                    doubted.push((own, told.flatten()));
                    continue;
                }
            };
            unlike.extend(how.map(|how| (run_id.clone(), how)));
            rows.push(own.clone());
        }
        let (mut are_read, mut lacking) = (true, Vec::new());
        for (run_id, told) in documents {
            let Some(told) = told else {
                are_read = false;
                unlike.insert(run_id, Unlike::Unread);
                continue;
            };
            lacking.push(told);
        }
        if !rows.iter().chain(&lacking).chain(doubted.iter().map(|(own, _)| *own)).any(LedgerRow::is_commit) {
            let reports = lake.run_documents(date).await?;
            let of_reports = reports.iter().filter_map(|report| of_run(report, dataset, id));
            for told in of_reports.filter(LedgerRow::is_commit) {
                are_read = false;
                unlike.insert(told.run_id.clone(), Unlike::Lacking);
                rows.push(told);
            }
        }
        if !(doubted.is_empty() && lacking.is_empty()) {
            let witness = Witness::of(lake, id, date, told_last).await?;
            for told in lacking {
                if told.is_commit() && !witness.can_have_committed(&told, &self.ledger) {
                    unlike.insert(told.run_id, Unlike::Unproven);
                    continue;
                }
                // A run that was stopped between the two changed nothing.
                if told.is_commit() || told.outcome != Outcome::Failed {
                    unlike.insert(told.run_id.clone(), Unlike::Lacking);
                }
                rows.push(told);
            }
            rows.extend(witness.judged(doubted, &self.ledger, &mut unlike)?);
        }
        let ledger = Ledger { dataset, rows, others: self.ledger.others.clone() };
        Ok(Compared { unlike, ledger, are_read, is_in_order: self.is_in_order()? })
    }
}

/// The documents of a day's rows of the lake's dataset by their runs, each with its row if it can be read.
pub(super) async fn documents(
    lake: &Lake,
    id: &AggregatorId,
    date: SnapshotDate,
) -> anyhow::Result<BTreeMap<String, Option<LedgerRow>>> {
    let mut documents = BTreeMap::new();
    for run_id in lake.noted_rows(id, date).await? {
        if let Some(document) = lake.row_document(id, date, run_id).await? {
            let told = row(&document, id, date, run_id).filter(|row| row.is_of(lake.dataset()));
            documents.insert(run_id.to_string(), told);
        }
    }
    Ok(documents)
}

/// What tells of a day's runs besides its ledger and the documents of that.
struct Witness {
    /// The fields of the reports of runs.
    reports: Vec<Map<String, Value>>,
    /// SHA-256 of the snapshot that is there.
    snapshot: Option<String>,
    /// The run that committed the day last, as documents say it.
    told_last: Option<LedgerRow>,
}

impl Witness {
    async fn of(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        told_last: Option<LedgerRow>,
    ) -> anyhow::Result<Self> {
        let reports = lake.run_documents(date).await?;
        let facts = Partition { table: lake.dataset().facts, date, aggregator: id.clone() };
        Ok(Self {
            reports: reports.iter().filter_map(|report| fields_of_run(report, lake.dataset(), id)).collect(),
            snapshot: lake.sha256_of(&facts, Place::Table).await?,
            told_last,
        })
    }

    fn report(&self, run_id: &str) -> Option<&Map<String, Value>> {
        self.reports.iter().find(|report| report["run_id"] == run_id)
    }

    /// Whether a commit that a document tells of and the ledger does not can have been: not one of another snapshot than the one that is
    /// there and that the ledger says was committed last, if no report tells of it.
    fn can_have_committed(&self, told: &LedgerRow, ledger: &Ledger) -> bool {
        let is_there = |row: &LedgerRow| self.snapshot.is_some() && row.snapshot_sha256 == self.snapshot;
        self.report(&told.run_id).is_some() || is_there(told) || !ledger.last_commit().is_some_and(is_there)
    }

    /// What is right of rows of a file without a checksum that are not as their documents say, or have none. How they are unlike is added.
    fn judged(
        &self,
        doubted: Vec<(&LedgerRow, Option<LedgerRow>)>,
        ledger: &Ledger,
        unlike: &mut BTreeMap<String, Unlike>,
    ) -> anyhow::Result<Vec<LedgerRow>> {
        let verdicts = doubted.iter().map(|(own, told)| self.is_right(own, told.as_ref(), ledger));
        let verdicts = verdicts.collect::<anyhow::Result<Vec<Option<bool>>>>()?;
        // Of a file that is wrong, what nothing speaks for is not kept.
        let is_wrong = verdicts.contains(&Some(false)) || unlike.values().any(|how| *how == Unlike::Lacking);
        let mut right = Vec::new();
        for ((own, told), verdict) in doubted.into_iter().zip(verdicts) {
            let is_unknown_to_all = told.is_none() && self.report(&own.run_id).is_none();
            let otherwise = (is_wrong && (told.is_some() || is_unknown_to_all)).then_some(false);
            let how = match (verdict.or(otherwise), &told) {
                (Some(true), Some(_)) => Unlike::Document,
                (Some(true), None) => Unlike::NoDocument,
                (Some(false), Some(_)) => Unlike::Row,
                (Some(false), None) => Unlike::Invented,
                (None, Some(_)) => Unlike::Unknown,
                (None, None) => Unlike::UnknownRun,
            };
            unlike.insert(own.run_id.clone(), how);
            right.extend(if matches!(how, Unlike::Row | Unlike::Invented) { told } else { Some(own.clone()) });
        }
        Ok(right)
    }

    /// Whether a row of a ledger is right where its document says another, or there is none; nothing where that cannot be told.
    fn is_right(&self, own: &LedgerRow, told: Option<&LedgerRow>, ledger: &Ledger) -> anyhow::Result<Option<bool>> {
        let fields = |row: &LedgerRow| serde_json::to_value(row);
        let (in_file, in_document) = (fields(own)?, told.map(fields).transpose()?);
        if let (Some(report), Value::Object(in_file)) = (self.report(&own.run_id), &in_file) {
            // The end of a whole run is not that of one aggregator's.
            let names = in_file.keys().filter(|name| *name != "finished_at");
            let doubted: Vec<&String> = match &in_document {
                Some(told) => names.filter(|name| in_file[*name] != told[*name]).collect(),
                None => names.filter(|name| report.contains_key(*name)).collect(),
            };
            let is_that = |row: &dyn Fn(&str) -> Value| {
                !doubted.is_empty() && doubted.iter().all(|name| report.get(*name) == Some(&row(name)))
            };
            if is_that(&|name| in_file[name].clone()) {
                return Ok(Some(true));
            }
            match &in_document {
                // The report says another row, and not all of it.
                None => return Ok(None),
                Some(told) if is_that(&|name| told[name].clone()) => return Ok(Some(false)),
                Some(_) => {}
            }
        }
        let Some(snapshot) = &self.snapshot else { return Ok(None) };
        let is_there = |row: &LedgerRow| row.snapshot_sha256.as_ref() == Some(snapshot);
        let is_last = ledger.last_commit().is_some_and(|last| last.run_id == own.run_id);
        Ok(match (told, &self.told_last) {
            (Some(told), _) if is_there(own) != is_there(told) => Some(is_there(own)),
            // That it is the snapshot's says nothing for the rest of a row.
            (None, Some(last)) if is_last && is_there(last) && !is_there(own) => Some(false),
            _ => None,
        })
    }
}

fn runs(rows: &RecordBatch) -> Vec<String> {
    rows["run_id"].as_string_view().iter().flatten().map(str::to_owned).collect()
}

/// A row as the table has it, whose numbers are smaller than those of a document.
fn as_in_file(row: LedgerRow) -> anyhow::Result<LedgerRow> {
    let file = Ledger { dataset: &Dataset::PACKS, rows: vec![row.clone()], others: Vec::new() }.batch()?;
    let Ledger { rows, others, .. } = Ledger::of(&Dataset::PACKS, &file);
    Ok(rows.into_iter().chain(others).next().unwrap_or(row))
}

impl Ledger {
    /// Writes the documents of a day's rows again that do not say theirs, from a ledger that can be read.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn write_documents(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<()> {
        let Some(file) = InFile::sound(lake, id, date).await? else { return Ok(()) };
        let compared = file.against_documents(lake, id, date).await?;
        for row in compared.ledger.rows() {
            let how = compared.unlike.get(&row.run_id);
            if let (Some(Unlike::Unread | Unlike::Document | Unlike::NoDocument), Ok(run_id)) =
                (how, row.run_id.parse())
            {
                lake.note_row(id, date, run_id, rebuild::document(id, date, row)?).await?;
            }
        }
        Ok(())
    }
}

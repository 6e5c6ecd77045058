//! A lake as a reader sees it: files and their rows, read with arrow and parquet alone and none of Compline's own code.

use crate::dataset::Dataset;
use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const FACTS: &str = "pack_compliance";
pub(crate) const SOURCES: &str = "source_status";
pub(crate) const CHANGES: &str = "pack_changes";
pub(crate) const TRENDS: &str = "compliance_trends";
pub(crate) const STATUS: &str = "pack_status";
pub(crate) const RUNS: &str = "runs";

pub(crate) const TABLES: [&str; 6] = [FACTS, SOURCES, CHANGES, TRENDS, STATUS, RUNS];

/// The tables that are worked out from the snapshots.
pub(crate) const DERIVED: [&str; 3] = [CHANGES, TRENDS, STATUS];

/// A row, each value as text, `-` for null.
pub(crate) type Row = BTreeMap<String, String>;

/// An aggregator and a day.
pub(crate) type Key = (String, String);

/// A file of a table.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) sha256: String,
    /// Its rows, or why it cannot be read.
    pub(crate) rows: Result<Arc<Vec<Row>>, String>,
}

/// Everything that is in a lake.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Of each table the file of each day.
    pub(crate) days: BTreeMap<&'static str, BTreeMap<Key, Content>>,
    /// Of each table the file of each month.
    pub(crate) months: BTreeMap<&'static str, BTreeMap<Key, Content>>,
    /// Days that are held.
    pub(crate) held: BTreeSet<Key>,
    /// Files in a table's folder that are not of the table.
    pub(crate) unexpected: Vec<String>,
}

/// Reads what a lake has of a dataset again and again, each content once while it is there.
pub(crate) struct Reader {
    dataset: Dataset,
    known: HashMap<Vec<u8>, Content>,
}

impl Reader {
    pub(crate) fn of(dataset: Dataset) -> Self {
        Self { dataset, known: HashMap::new() }
    }

    /// Reads the lake in a folder.
    pub(crate) fn read(&mut self, lake: &Path) -> Seen {
        let mut seen = Seen::default();
        let mut before = std::mem::take(&mut self.known);
        for (name, path) in files(lake) {
            // What an in-process S3 server writes beside its objects is its own.
            if !name.split('/').any(|part| part.starts_with('.')) {
                self.file(&mut before, &mut seen, &name, &path);
            }
        }
        seen
    }

    fn file(&mut self, before: &mut HashMap<Vec<u8>, Content>, seen: &mut Seen, name: &str, path: &Path) {
        let parts: Vec<&str> = name.split('/').collect();
        if let ["_compline", "held", table, day, aggregator, "data.parquet"] = parts[..]
            && self.dataset.part(table) == Some(FACTS)
            && let Some(key) = key(aggregator, day, "snapshot_date=")
        {
            seen.held.insert(key);
        }
        if parts[0].starts_with('_') {
            return;
        }
        let (table, of_month) = (parts[0], parts[0].strip_suffix("_monthly"));
        if self.dataset.is_beside(of_month.unwrap_or(table)) {
            return;
        }
        let daily = self.dataset.part(table);
        let monthly = of_month.and_then(|table| self.dataset.part(table));
        let place = match (&parts[1..], daily, monthly) {
            ([day, aggregator, "data.parquet"], Some(table), _) => {
                key(aggregator, day, "snapshot_date=").map(|key| (&mut seen.days, table, key))
            }
            ([month, aggregator, "data.parquet"], _, Some(table)) => {
                key(aggregator, month, "snapshot_month=").map(|key| (&mut seen.months, table, key))
            }
            _ => None,
        };
        let Some((tables, table, key)) = place else {
            seen.unexpected.push(name.to_owned());
            return;
        };
        if let Ok(bytes) = std::fs::read(path) {
            let known = before.remove_entry(&bytes);
            let content = match known {
                Some((bytes, content)) => self.known.entry(bytes).or_insert(content).clone(),
                None => self.known.entry(bytes).or_insert_with_key(|bytes| content(self.dataset, bytes)).clone(),
            };
            tables.entry(table).or_default().insert(key, content);
        }
    }
}

fn key(aggregator: &str, date: &str, prefix: &str) -> Option<Key> {
    Some((aggregator.strip_prefix("aggregator=")?.to_owned(), date.strip_prefix(prefix)?.to_owned()))
}

fn content(dataset: Dataset, bytes: &[u8]) -> Content {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let rows = rows(bytes).map(|rows| rows.into_iter().filter_map(|row| dataset.row(row)).collect());
    Content { sha256, rows: rows.map(Arc::new) }
}

fn rows(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes));
    let reader = reader.and_then(ParquetRecordBatchReaderBuilder::build).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for batch in reader {
        rows.extend(of_batch(&batch.map_err(|error| error.to_string())?));
    }
    Ok(rows)
}

fn of_batch(batch: &RecordBatch) -> Vec<Row> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        // Times as milliseconds: to show them as UTC would take a table of time zones.
        let column = match column.data_type() {
            DataType::Timestamp(_, _) => cast(column, &DataType::Int64).expect("milliseconds"),
            _ => Arc::clone(column),
        };
        for (position, row) in rows.iter_mut().enumerate() {
            let value = if column.is_null(position) {
                "-".to_owned()
            } else {
                array_value_to_string(&column, position).expect("a value")
            };
            row.insert(field.name().clone(), value);
        }
    }
    rows
}

/// Every file below a folder, by its path below it. What a command takes away meanwhile is not there.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(inner) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).expect("below").display().to_string(), path);
            }
        }
    }
    found
}

impl Seen {
    pub(crate) fn day(&self, table: &str, key: &Key) -> Option<&Content> {
        self.days.get(table)?.get(key)
    }

    /// The days of an aggregator that a table has.
    pub(crate) fn dates(&self, table: &str, id: &str) -> BTreeSet<String> {
        let keys = self.days.get(table).into_iter().flat_map(BTreeMap::keys);
        keys.filter(|key| key.0 == id).map(|key| key.1.clone()).collect()
    }
}

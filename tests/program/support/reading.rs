//! Reading a lake back, as rows of text.

use crate::support::{Scene, date};
use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use compline_model::{Dataset, Table};
use compline_sink::{Compression, Lake, LakeLocation, Partition};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Columns that tell one run from another.
const OF_THE_RUN: [&str; 2] = ["collected_at", "run_id"];

impl Scene {
    pub(crate) fn lake(&self) -> Lake {
        self.lake_at("lake")
    }

    /// The lake in another folder.
    pub(crate) fn lake_at(&self, name: &str) -> Lake {
        let location = LakeLocation::Folder(self.path(name));
        self.runtime.block_on(Lake::open(&location, Compression::Zstd)).expect("a lake")
    }

    /// Makes a lake of objects that were elsewhere.
    pub(crate) fn put_lake(&self, name: &str, objects: &BTreeMap<String, Vec<u8>>) {
        for (key, body) in objects {
            let path = self.path(name).join(key);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, body).expect("written");
        }
    }

    /// The rows of a partition, if it is there.
    pub(crate) fn read(&self, lake: &Lake, table: Table, aggregator: &str, day: &str) -> Option<RecordBatch> {
        let partition = Partition { table, date: date(day), aggregator: aggregator.parse().expect("an id") };
        self.runtime.block_on(lake.read(&partition, None)).expect("whole, or not there")
    }

    /// The rows of a partition, each as text, without the columns that tell one run from another.
    pub(crate) fn rows(&self, table: Table, aggregator: &str, day: &str) -> Vec<String> {
        let batch = self.read(&self.lake(), table, aggregator, day).expect("a partition");
        texts(&batch)
    }
}

/// The file of a day of `org`, in the lake that scenes write.
pub(crate) fn file(scene: &Scene, table: Table, day: &str) -> PathBuf {
    scene.path("lake").join(table.name()).join(format!("snapshot_date={day}/aggregator=org/data.parquet"))
}

pub(crate) fn texts(batch: &RecordBatch) -> Vec<String> {
    let columns = || batch.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let shown: Vec<String> = columns().into_iter().filter(|name| !OF_THE_RUN.contains(&name.as_str())).collect();
    let columns: Vec<Vec<String>> = shown.iter().map(|name| column(batch, name)).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column[row].as_str()).collect::<Vec<_>>().join("|"))
        .collect()
}

/// A column's values as text, `-` for null.
pub(crate) fn column(batch: &RecordBatch, name: &str) -> Vec<String> {
    // Times are shown as milliseconds: to show them as UTC would take a table of time zones.
    let column = match batch[name].data_type() {
        DataType::Timestamp(_, _) => cast(&batch[name], &DataType::Int64).expect("milliseconds"),
        _ => Arc::clone(&batch[name]),
    };
    let value = |row| if column.is_null(row) { Ok("-".to_owned()) } else { array_value_to_string(&column, row) };
    (0..batch.num_rows()).map(|row| value(row).expect("a value")).collect()
}

/// Every file below a folder, by its path below it. What a run that is at work takes away meanwhile is not there.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in there(std::fs::read_dir(inner)).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(content) = there(std::fs::read(&path)) {
                files.insert(path.strip_prefix(folder).expect("below").display().to_string(), content);
            }
        }
    }
    files
}

fn there<T>(read: std::io::Result<T>) -> Option<T> {
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        read => Some(read.expect("readable")),
    }
}

/// Of files, those of tables that have nothing of the run in them: byte for byte the same for the same days.
pub(crate) fn of_trends(files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let trend = |name: &str| {
        let tables = Dataset::ALL.into_iter().flat_map(Dataset::derived);
        tables.map(|table| format!("{}/", table.name())).any(|table| name.starts_with(&table))
    };
    files.into_iter().filter(|(name, _)| trend(name)).collect()
}

//! The Parquet file of a partition in memory, whose rows are decoded as they are asked for.

use crate::SinkError;
use crate::checksum::{check, has_checksum};
use crate::error::plain;
use crate::lake::{blocking, sha256};
use crate::parquet_file::{PARTITION, TABLE, VERSION};
use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use compline_model::{RowError, RowSource, SCHEMA_VERSION, Table, named_columns, schema_of};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A partition's file as it is there, some ten bytes a row. Its footer has been read; what is damaged behind it shows when its rows are
/// asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TableFile {
    table: Table,
    /// Where it is, for errors.
    key: String,
    file: Bytes,
    metadata: ArrowReaderMetadata,
    version: u32,
}

impl TableFile {
    /// `key` is where it is: a file of another day or aggregator than its path says is damage.
    pub(crate) fn open(table: Table, file: Bytes, key: &str) -> Result<Self, SinkError> {
        let damaged = |reason: &dyn fmt::Display| damaged(table, key, reason);
        let footer =
            guarded(|| ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| error.to_string()));
        let footer = footer.map_err(|error| damaged(&error))?;
        check_places(&footer, file.len()).map_err(|error| damaged(&error))?;
        let version = version(table.name(), &footer).map_err(|reason| damaged(&reason))?;
        if version > SCHEMA_VERSION {
            return Err(SinkError::of_newer(key, version));
        }
        // After the version: of one of a newer version nothing else is known.
        check(&file).map_err(|reason| damaged(&reason))?;
        check_folder(&footer, key).map_err(|reason| damaged(&reason))?;
        let options = ArrowReaderOptions::new().with_schema(schema_of(table.columns_of(version)));
        let metadata = ArrowReaderMetadata::try_new(Arc::new(footer), options).map_err(|error| damaged(&error))?;
        Ok(Self { table, key: key.to_owned(), file, metadata, version })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.file
    }

    /// SHA-256 of it, in hexadecimal.
    pub fn sha256(&self) -> String {
        sha256(&self.file)
    }

    /// Whether it has a checksum of itself, so that it is what Compline wrote: files of older versions and other programs have none.
    pub fn has_checksum(&self) -> bool {
        has_checksum(&self.file)
    }

    /// Whether it has every column of its table, and not only those of an older version.
    pub fn is_of_this_version(&self) -> bool {
        self.version == SCHEMA_VERSION
    }

    /// Does something with its rows where that does not hold up the network.
    ///
    /// # Errors
    /// Rows that cannot be had.
    pub async fn look_through<T: Send + 'static>(
        self,
        look: impl FnOnce(&Self) -> Result<T, RowError> + Send + 'static,
    ) -> Result<T, SinkError> {
        blocking("decode", move || look(&self).map_err(of_rows)).await
    }

    /// Some of its rows, all columns or the named ones; columns that came after its version are null.
    pub(crate) fn decode(&self, range: Range<usize>, columns: Option<&[&str]>) -> Result<RecordBatch, SinkError> {
        let damaged = |reason: &dyn fmt::Display| damaged(self.table, &self.key, reason);
        let schema = self.table.schema();
        let schema = schema.project(&named_columns(&schema, columns)).map(Arc::new).map_err(|error| damaged(&error))?;
        let (mut rows, mut first) = (Vec::new(), 0);
        for index in 0..self.metadata.metadata().num_row_groups() {
            let end = first + rows_of_group(&self.metadata, index);
            let (from, to) = (range.start.max(first), range.end.min(end));
            if from < to {
                let group = row_group(&self.file, &self.metadata, index, columns).map_err(|reason| damaged(&reason))?;
                let group = with_later_columns(&group, &schema).map_err(|error| damaged(&error))?;
                rows.push(group.slice(from - first, to - from));
            }
            first = end;
        }
        concat_batches(&schema, &rows).map_err(|error| damaged(&error))
    }
}

impl RowSource for TableFile {
    fn row_count(&self) -> usize {
        usize::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    fn rows(&self, range: Range<usize>, columns: Option<&[&str]>) -> Result<RecordBatch, RowError> {
        self.decode(range, columns).map_err(RowError::new)
    }
}

/// A row group of a file, all columns or the named ones.
///
/// Row groups are read one at a time and each of them whole: over several, Parquet's reader takes what one column lacks in a damaged group
/// from the next one, and gives rows that have values of others. And one column after the other: of all that are read at once it holds
/// a decompressor, 160 KB, and a page.
pub(crate) fn row_group(
    file: &Bytes,
    metadata: &ArrowReaderMetadata,
    index: usize,
    columns: Option<&[&str]>,
) -> Result<RecordBatch, String> {
    let failed =
        |error: &dyn fmt::Display| format!("row group {} does not decode: {}", index + 1, plain(&error.to_string()));
    let count = rows_of_group(metadata, index);
    let named = named_columns(metadata.schema(), columns);
    let values = |at: &usize| {
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
        let mask = ProjectionMask::roots(reader.parquet_schema(), [*at]);
        // In one batch, which need not be put together.
        let reader = reader.with_row_groups(vec![index]).with_batch_size(count.max(1)).with_projection(mask);
        let batches = || reader.build().and_then(|batches| Ok(batches.collect::<Result<Vec<_>, _>>()?));
        let batches = guarded(|| batches().map_err(|error| error.to_string())).map_err(|error| failed(&error))?;
        match &batches[..] {
            [rows] if rows.num_rows() == count => Ok(Arc::clone(rows.column(0))),
            _ => Err(format!("row group {} does not have the {count} rows that the footer says", index + 1)),
        }
    };
    let values = named.iter().map(values).collect::<Result<_, String>>()?;
    let schema = metadata.schema().project(&named).map(Arc::new).map_err(|error| failed(&error))?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(schema, values, &options).map_err(|error| failed(&error))
}

fn rows_of_group(metadata: &ArrowReaderMetadata, index: usize) -> usize {
    usize::try_from(metadata.metadata().row_group(index).num_rows()).unwrap_or_default()
}

/// All rows of a file, all columns or the named ones.
pub(crate) fn decode(table: Table, file: Bytes, columns: Option<&[&str]>, key: &str) -> Result<RecordBatch, SinkError> {
    let file = TableFile::open(table, file, key)?;
    file.decode(0..file.row_count(), columns)
}

/// Why rows cannot be had, as far as a file says it.
pub(crate) fn of_rows(error: RowError) -> SinkError {
    error.downcast().unwrap_or_else(|error| SinkError::permanent("look through the rows of a file", error))
}

fn damaged(table: Table, key: &str, reason: &dyn fmt::Display) -> SinkError {
    SinkError::damaged(format!("read {key}"), reason).hint(Some(restore_hint(table).to_owned()))
}

/// Whether a file is in the folder that its footer says, which those of older versions do not.
pub(crate) fn check_folder(footer: &ParquetMetaData, key: &str) -> Result<(), String> {
    match said(footer, PARTITION).filter(|own| !key.contains(&format!("/{own}/"))) {
        Some(other) => Err(format!("it is of {other}")),
        None => Ok(()),
    }
}

/// Whether the columns that a footer tells of are in the file: the reader panics at some that are not, and believes others.
pub(crate) fn check_places(footer: &ParquetMetaData, file_bytes: usize) -> Result<(), String> {
    let mut rows = 0_i64;
    for group in footer.row_groups() {
        rows =
            rows.checked_add(group.num_rows()).filter(|_| group.num_rows() >= 0).ok_or("it has less than no rows")?;
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
            let end = start.checked_add(column.compressed_size()).and_then(|end| usize::try_from(end).ok());
            let is_inside = start >= 0 && column.compressed_size() >= 0 && end.is_some_and(|end| end <= file_bytes);
            if !is_inside || column.num_values() < 0 || column.uncompressed_size() < 0 {
                return Err(format!("its footer says that {} is where it cannot be", column.column_path().string()));
            }
        }
    }
    let said = footer.file_metadata().num_rows();
    if rows == said { Ok(()) } else { Err(format!("its footer says {said} rows, and its parts have {rows}")) }
}

/// Does something with a file that may be damaged in ways at which the reader of Parquet panics: that is damage like any other, and
/// costs no more than the day.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    read.unwrap_or_else(|_| Err("reading it panicked".to_owned()))
}

/// What to do about a damaged file: never to remove the only copy of what cannot be computed again.
pub(crate) const fn restore_hint(table: Table) -> &'static str {
    match table {
        table if table.is_derived() => {
            "the file is damaged or not of Compline: `compline verify FILE --repair` computes it again from the snapshots"
        }
        Table::Runs => {
            "the file is damaged or not of Compline: restore an earlier version of the object, or `compline verify FILE --repair` \
             makes it again from _compline/runs"
        }
        Table::RuleCompliance => {
            "the file is damaged or not of Compline: restore an earlier version of the object, or `compline import --dataset rules \
             --replace` the day's pages from _compline/raw/dataset=rules, or with --from-month from its month's file; until then leave \
             it where it is"
        }
        _ => {
            "the file is damaged or not of Compline: restore an earlier version of the object, or `compline import --replace` \
             the day's pages from _compline/raw, or `import --from-month` from its month's file; until then leave it where it is"
        }
    }
}

/// The version that a file says it is of.
pub(crate) fn version(table: &str, footer: &ParquetMetaData) -> Result<u32, String> {
    match (said(footer, TABLE), said(footer, VERSION)) {
        (Some(name), _) if name != table => Err(format!("it is of the table {name}")),
        (Some(_), Some(version)) => version.parse().map_err(|_| format!("its version is {version:?}, which is none")),
        _ => Err("its footer does not say which version of which table it is of".to_owned()),
    }
}

/// What a file says of itself.
fn said<'a>(footer: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let values = footer.file_metadata().key_value_metadata()?;
    values.iter().find(|value| value.key == key)?.value.as_deref()
}

/// The same rows with every column of the schema: one that the file does not have is null.
pub(crate) fn with_later_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    let columns = schema.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

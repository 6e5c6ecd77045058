//! One record batch as one Parquet file, in the form that Athena reads, and back.

use crate::{Layout, Partition, SinkError};
use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use compline_model::{SCHEMA_VERSION, Table, schema_of};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;

/// How the pages of a file are compressed: only what Athena reads (case B35).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Small and fast; the default.
    #[default]
    Zstd,
    /// The widest read.
    Snappy,
    /// For readers that know nothing newer.
    Gzip,
    /// Not at all.
    None,
}

/// What a file says of itself in its footer.
const TABLE: &str = "compline.table";
const VERSION: &str = "compline.schema_version";
/// Of a day's file, so that it is not taken for another's in whose place it is put.
const PARTITION: &str = "compline.partition";

/// Rows per row group, some hundred kilobytes: a reader that looks for one account skips all but one or two of them, and each
/// is still large enough for its dictionaries to pay.
const ROW_GROUP_ROWS: usize = 32 * 1024;

/// How the values of a column are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Each by its number in a dictionary.
    Dictionary,
    /// As they are.
    Plain,
}

/// Columns for which the usual way, a dictionary and hard compression, is not the smallest one. Names and times repeat in a
/// rhythm, that of an account's regions, which the numbers of a dictionary hide from the compression since they are not whole
/// bytes; numbers of very few bits are pressed no smaller by trying hard. Only what every reader knows, so neither differences
/// (Spark before 3.3 reads none) nor bytes that are split (Athena does not say that it reads them). tests/readers/test_files.py holds the sizes.
const OTHERWISE: [(&str, Written, Effort); 11] = [
    ("account_id", Written::Plain, Effort::Hard),
    ("conformance_pack_name", Written::Plain, Effort::Hard),
    ("config_rule_name", Written::Plain, Effort::Hard),
    ("conformance_pack_id", Written::Plain, Effort::Hard),
    ("total_rule_count", Written::Plain, Effort::Hard),
    ("collected_at", Written::Plain, Effort::Light),
    ("source_updated_at", Written::Plain, Effort::Hard),
    ("last_update_time", Written::Plain, Effort::Hard),
    ("compliance_type", Written::Dictionary, Effort::Light),
    ("non_compliant_rule_count", Written::Dictionary, Effort::Light),
    ("insufficient_data_rule_count", Written::Dictionary, Effort::Light),
];

/// How hard the compression tries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    Light,
    Hard,
}

impl Compression {
    fn codec(self, effort: Effort) -> Codec {
        let level = match effort {
            Effort::Light => 1,
            Effort::Hard => 9,
        };
        match self {
            Self::Zstd => Codec::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()),
            Self::Snappy => Codec::SNAPPY,
            Self::Gzip => Codec::GZIP(GzipLevel::default()),
            Self::None => Codec::UNCOMPRESSED,
        }
    }
}

/// Where the rows of a file come from, a row group at a time: of a large day there need not be all columns at once.
pub trait RowSource: Send + Sync {
    /// How many rows there are.
    fn row_count(&self) -> usize;

    /// Some of them.
    ///
    /// # Errors
    /// Why they cannot be had, in words.
    fn rows(&self, range: Range<usize>) -> Result<RecordBatch, String>;
}

impl RowSource for RecordBatch {
    fn row_count(&self) -> usize {
        self.num_rows()
    }

    fn rows(&self, range: Range<usize>) -> Result<RecordBatch, String> {
        Ok(self.slice(range.start, range.len()))
    }
}

/// The file of a partition's rows, which must have the table's schema and be sorted by its key. Its footer has been read back.
pub(crate) fn encode(
    partition: &Partition,
    rows: &dyn RowSource,
    compression: Compression,
) -> Result<Bytes, SinkError> {
    let table = partition.table;
    let failed = |reason: &dyn std::fmt::Display| {
        SinkError::permanent(format!("write rows of {} as Parquet", table.name()), reason)
    };
    // The Arrow schema is left out: it would say "view" of text columns, which are plain strings to every reader.
    let options = ArrowWriterOptions::new()
        .with_properties(properties(table, Some(partition), compression))
        .with_skip_arrow_metadata(true);
    let writer =
        ArrowWriter::try_new_with_options(Vec::new(), table.schema(), options).map_err(|error| failed(&error))?;
    let file = Bytes::from(written(table, writer, rows).map_err(|error| failed(&error))?);
    let footer = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| failed(&error))?;
    let written = footer.file_metadata().num_rows();
    if usize::try_from(written) != Ok(rows.row_count()) {
        return Err(failed(&format!("the footer names {written} rows instead of {}", rows.row_count())));
    }
    Ok(file)
}

/// Writes the rows, a row group on each processor.
fn written(table: Table, writer: ArrowWriter<Vec<u8>>, rows: &dyn RowSource) -> parquet::errors::Result<Vec<u8>> {
    let (mut writer, factory) = writer.into_serialized_writer()?;
    let groups: Vec<usize> = (0..rows.row_count().div_ceil(ROW_GROUP_ROWS)).collect();
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    for groups in groups.chunks(at_once) {
        let encoded: Vec<_> = std::thread::scope(|scope| {
            let group = |index: &usize| {
                let (index, start) = (*index, *index * ROW_GROUP_ROWS);
                let range = start..rows.row_count().min(start + ROW_GROUP_ROWS);
                let factory = &factory;
                scope.spawn(move || {
                    let rows = rows.rows(range).map_err(ParquetError::General)?;
                    row_group(factory, index, &of_table(table, rows)?)
                })
            };
            let running: Vec<_> = groups.iter().map(group).collect();
            let panicked = |_| Err(ParquetError::General("encoding a row group stopped".to_owned()));
            running.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        for columns in encoded {
            let mut group = writer.next_row_group()?;
            for column in columns? {
                column.append_to_row_group(&mut group)?;
            }
            group.close()?;
        }
    }
    writer.into_inner()
}

/// Rows that have the table's schema.
fn of_table(table: Table, rows: RecordBatch) -> parquet::errors::Result<RecordBatch> {
    match rows.schema() == table.schema() {
        true => Ok(rows),
        false => Err(ParquetError::General("they do not have its schema; please report it".to_owned())),
    }
}

fn row_group(
    factory: &ArrowRowGroupWriterFactory,
    index: usize,
    rows: &RecordBatch,
) -> parquet::errors::Result<Vec<ArrowColumnChunk>> {
    let columns = factory.create_column_writers(index)?;
    let schema = rows.schema();
    let each = columns.into_iter().zip(schema.fields().iter().zip(rows.columns()));
    // Each is closed at once: what its compression works with is some megabytes.
    let written = each.map(|(mut column, (field, values))| {
        for leaf in compute_leaves(field, values)? {
            column.write(&leaf)?;
        }
        column.close()
    });
    written.collect()
}

/// How the file of a partition is written, or of a table's month: there the snapshot date comes before the columns, and before
/// the key.
pub(crate) fn properties(table: Table, partition: Option<&Partition>, compression: Compression) -> WriterProperties {
    let column = |name: &&str| table.columns().iter().position(|column| column.name == *name);
    let key = table.sort_key().iter().filter_map(column);
    let (layout, first, ahead) = match partition {
        Some(_) => (Layout::Daily, None, 0),
        None => (Layout::Monthly, Some(0), 1),
    };
    let mut said = vec![
        KeyValue::new(TABLE.to_owned(), layout.name(table)),
        KeyValue::new(VERSION.to_owned(), SCHEMA_VERSION.to_string()),
    ];
    said.extend(partition.map(|partition| KeyValue::new(PARTITION.to_owned(), partition.folder())));
    let sorted = first.into_iter().chain(key.map(|index| index + ahead)).map(|index| SortingColumn {
        column_idx: i32::try_from(index).unwrap_or_default(),
        descending: false,
        nulls_first: true,
    });
    let mut properties = WriterProperties::builder();
    for (name, written, effort) in OTHERWISE {
        let column = ColumnPath::from(name);
        properties = properties
            .set_column_compression(column.clone(), compression.codec(effort))
            .set_column_dictionary_enabled(column.clone(), written == Written::Dictionary);
    }
    properties
        .set_compression(compression.codec(Effort::Hard))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // A row group is about a page of each column, so an index of pages says nothing that its statistics do not.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_data_page_row_count_limit(ROW_GROUP_ROWS)
        .set_sorting_columns(Some(sorted.collect()))
        // In the form that Java's readers parse: of another they may leave the statistics aside.
        .set_created_by(
            concat!("compline version ", env!("CARGO_PKG_VERSION"), " (build ", env!("CARGO_PKG_VERSION"), ")")
                .to_owned(),
        )
        .set_key_value_metadata(Some(said))
        .build()
}

/// The rows of a file, all columns or the named ones; columns that came after its version are null. `key` is where it is: a file
/// of another day or aggregator than its path says is damage.
pub(crate) fn decode(table: Table, file: Bytes, columns: Option<&[&str]>, key: &str) -> Result<RecordBatch, SinkError> {
    let damaged = |reason: &dyn std::fmt::Display| {
        SinkError::damaged(format!("read {key}"), reason).hint(Some(restore_hint(table).to_owned()))
    };
    let footer = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| error.to_string()));
    let footer = footer.map_err(|error| damaged(&error))?;
    check_places(&footer, file.len()).map_err(|error| damaged(&error))?;
    let version = version(table.name(), &footer).map_err(|reason| damaged(&reason))?;
    if version > SCHEMA_VERSION {
        return Err(SinkError::of_newer(key, version));
    }
    // Files of older versions do not say it.
    if let Some(other) = said(&footer, PARTITION).filter(|own| !key.contains(&format!("/{own}/"))) {
        return Err(damaged(&format!("it is of {other}")));
    }
    let options = ArrowReaderOptions::new().with_schema(schema_of(table.columns_of(version)));
    let metadata = ArrowReaderMetadata::try_new(Arc::new(footer), options).map_err(|error| damaged(&error))?;
    // In one batch, which need not be put together.
    let rows = usize::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or_default();
    let mut reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(rows.max(1));
    let mut schema = table.schema();
    if let Some(names) = columns {
        let mask = ProjectionMask::columns(reader.parquet_schema(), names.iter().copied());
        reader = reader.with_projection(mask);
        schema = projected(&schema, names);
    }
    let batches = || reader.build().and_then(|batches| Ok(batches.collect::<Result<Vec<_>, _>>()?));
    let batches = guarded(|| batches().map_err(|error| error.to_string())).map_err(|error| damaged(&error))?;
    let batches: Result<Vec<_>, _> = batches.iter().map(|batch| with_later_columns(batch, &schema)).collect();
    batches.and_then(|batches| concat_batches(&schema, &batches)).map_err(|error| damaged(&error))
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
             --replace` the day's pages from _compline/raw/dataset=rules, or take its rows from the month's file; until then leave it \
             where it is"
        }
        _ => {
            "the file is damaged or not of Compline: restore an earlier version of the object, or `compline import --replace` \
             the day's pages from _compline/raw, or take its rows from the month's file; until then leave it where it is"
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

/// The schema with only the named columns, in its own order.
fn projected(schema: &SchemaRef, names: &[&str]) -> SchemaRef {
    let fields: Vec<_> =
        schema.fields().iter().filter(|field| names.contains(&field.name().as_str())).cloned().collect();
    Arc::new(arrow::datatypes::Schema::new(fields))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(crate) mod tests;

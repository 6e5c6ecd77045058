//! The rows of a partition as one Parquet file, in the form that Athena reads.

use crate::checksum::{CHECKSUM, ZEROS, seal};
use crate::table_file::TableFile;
use crate::{Layout, Partition, SinkError};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use compline_model::{RowSource, SCHEMA_VERSION, Table};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZero;

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
pub(crate) const TABLE: &str = "compline.table";
pub(crate) const VERSION: &str = "compline.schema_version";
/// Of a day's file, so that it is not taken for another's in whose place it is put.
pub(crate) const PARTITION: &str = "compline.partition";

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

/// The file of a partition's rows, which must have the table's schema and be sorted by its key. Its footer has been read back.
pub(crate) fn encode(
    partition: &Partition,
    rows: &dyn RowSource,
    compression: Compression,
) -> Result<TableFile, SinkError> {
    let mut writer = TableWriter::new(partition, compression)?;
    let starts: Vec<usize> = (0..rows.row_count()).step_by(ROW_GROUP_ROWS).collect();
    for starts in starts.chunks(at_once()) {
        let group = |start: &usize| {
            let range = *start..rows.row_count().min(start + ROW_GROUP_ROWS);
            move || rows.rows(range, None).map_err(|error| ParquetError::General(error.to_string()))
        };
        writer.append(starts.iter().map(group).collect())?;
    }
    writer.finish()
}

/// Row groups that are encoded, and files that are decoded, at the same time.
pub(crate) fn at_once() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The same of rows that come part by part: however many processors there are, few rows wait.
fn pushed_at_once() -> usize {
    at_once().min(4)
}

/// Writes the file of a partition as its rows come, which must have the table's schema and be sorted by its key.
pub struct TableWriter {
    partition: Partition,
    writer: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
    /// Rows that are not enough yet for the row groups that are encoded at once.
    waiting: VecDeque<RecordBatch>,
    groups: usize,
    rows: usize,
}

impl fmt::Debug for TableWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TableWriter").field("partition", &self.partition).field("rows", &self.rows).finish()
    }
}

impl TableWriter {
    pub(crate) fn new(partition: &Partition, compression: Compression) -> Result<Self, SinkError> {
        let table = partition.table;
        // The Arrow schema is left out: it would say "view" of text columns, which are plain strings to every reader.
        let options = ArrowWriterOptions::new()
            .with_properties(properties(table, Layout::Daily, partition.folder(), compression))
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), table.schema(), options)
            .and_then(ArrowWriter::into_serialized_writer);
        let (writer, factory) = writer.map_err(|error| failed(table, &error))?;
        let waiting = VecDeque::new();
        Ok(Self { partition: partition.clone(), writer, factory, waiting, groups: 0, rows: 0 })
    }

    /// Adds rows, which come after those that were added.
    ///
    /// # Errors
    /// Rows that are not those of the table.
    pub fn push(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.waiting.push_back(rows);
        while self.waiting.iter().map(RecordBatch::num_rows).sum::<usize>() >= pushed_at_once() * ROW_GROUP_ROWS {
            self.append_waiting()?;
        }
        Ok(())
    }

    /// The file, whose footer has been read back.
    ///
    /// # Errors
    /// Rows that are not those of the table.
    pub fn finish(mut self) -> Result<TableFile, SinkError> {
        self.waiting.retain(|rows| rows.num_rows() > 0);
        while !self.waiting.is_empty() {
            self.append_waiting()?;
        }
        let table = self.partition.table;
        let file = seal(self.writer.into_inner().map_err(|error| failed(table, &error))?);
        // What is wrong with it is wrong with none that is in the lake.
        let file =
            TableFile::open(table, Bytes::from(file), &self.partition.key()).map_err(|error| failed(table, &error))?;
        match file.row_count() == self.rows {
            true => Ok(file),
            false => {
                Err(failed(table, &format!("the footer names {} rows instead of {}", file.row_count(), self.rows)))
            }
        }
    }

    /// Appends some row groups of rows that wait.
    fn append_waiting(&mut self) -> Result<(), SinkError> {
        let schema = self.partition.table.schema();
        let groups: Vec<Vec<RecordBatch>> = (0..pushed_at_once()).map(|_| self.next_group()).collect();
        let whole = |rows: Vec<RecordBatch>| {
            let schema = schema.clone();
            move || Ok(concat_batches(&schema, &rows)?)
        };
        self.append(groups.into_iter().filter(|rows| !rows.is_empty()).map(whole).collect())
    }

    /// The first of the rows that wait, as many as a row group has.
    fn next_group(&mut self) -> Vec<RecordBatch> {
        let (mut group, mut lacking) = (Vec::new(), ROW_GROUP_ROWS);
        while lacking > 0
            && let Some(rows) = self.waiting.pop_front()
        {
            let taken = rows.num_rows().min(lacking);
            if taken < rows.num_rows() {
                self.waiting.push_front(rows.slice(taken, rows.num_rows() - taken));
            }
            group.push(rows.slice(0, taken));
            lacking -= taken;
        }
        group
    }

    /// Appends row groups, each made and encoded by a thread of its own.
    fn append<G: FnOnce() -> parquet::errors::Result<RecordBatch> + Send>(
        &mut self,
        groups: Vec<G>,
    ) -> Result<(), SinkError> {
        let (table, factory, first) = (self.partition.table, &self.factory, self.groups);
        let encoded: Vec<parquet::errors::Result<_>> = std::thread::scope(|scope| {
            let group =
                |(index, rows): (usize, G)| scope.spawn(move || row_group(factory, index, &of_table(table, rows()?)?));
            let running: Vec<_> = (first..).zip(groups).map(group).collect();
            let panicked = |_| Err(ParquetError::General("encoding a row group stopped".to_owned()));
            running.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        for columns in encoded {
            let (columns, rows) = columns.map_err(|error| failed(table, &error))?;
            let appended = self.writer.next_row_group().and_then(|mut group| {
                columns.into_iter().try_for_each(|column| column.append_to_row_group(&mut group))?;
                group.close()
            });
            appended.map_err(|error| failed(table, &error))?;
            (self.groups, self.rows) = (self.groups + 1, self.rows + rows);
        }
        Ok(())
    }
}

fn failed(table: Table, reason: &dyn fmt::Display) -> SinkError {
    SinkError::permanent(format!("write rows of {} as Parquet", table.name()), reason)
}

/// Rows that have the table's schema.
fn of_table(table: Table, rows: RecordBatch) -> parquet::errors::Result<RecordBatch> {
    match rows.schema() == table.schema() {
        true => Ok(rows),
        false => Err(ParquetError::General("they do not have its schema; please report it".to_owned())),
    }
}

/// The columns of a row group, and how many rows it has.
fn row_group(
    factory: &ArrowRowGroupWriterFactory,
    index: usize,
    rows: &RecordBatch,
) -> parquet::errors::Result<(Vec<ArrowColumnChunk>, usize)> {
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
    Ok((written.collect::<Result<_, _>>()?, rows.num_rows()))
}

/// How a file of a table is written that lies in this folder below its table's. In one of a month the snapshot date comes before the
/// columns, and before the key.
pub(crate) fn properties(table: Table, layout: Layout, folder: String, compression: Compression) -> WriterProperties {
    let column = |name: &&str| table.columns().iter().position(|column| column.name == *name);
    let key = table.sort_key().iter().filter_map(column);
    let (first, ahead) = match layout {
        Layout::Daily => (None, 0),
        Layout::Monthly => (Some(0), 1),
    };
    let said = vec![
        KeyValue::new(TABLE.to_owned(), layout.name(table)),
        KeyValue::new(VERSION.to_owned(), SCHEMA_VERSION.to_string()),
        KeyValue::new(PARTITION.to_owned(), folder),
        KeyValue::new(CHECKSUM.to_owned(), ZEROS.to_owned()),
    ];
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

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(crate) mod tests;

//! A month of a table as one Parquet file: its days one after the other, each row with its snapshot date.

use crate::checksum::{check, seal};
use crate::parquet_file::{Compression, properties};
use crate::table_file::{check_folder, check_places, guarded, of_rows, row_group, version, with_later_columns};
use crate::{Layout, Month, SinkError, SinkErrorKind};
use arrow::array::{Array, AsArray, Date32Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use bytes::Bytes;
use compline_model::{RowSource, SCHEMA_VERSION, SnapshotDate, SnapshotMonth, Table, row_parts, schema_of};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a file says in its footer of the days that are in it.
const DAYS: &str = "compline.days";

/// What is read of a file at first to find its footer, and nearly always all that it takes.
const FOOTER_GUESS: u64 = 64 * 1024;

/// The days of a month's file, and SHA-256 of the file that each was made from.
pub type MonthDays = BTreeMap<SnapshotDate, String>;

fn schema(table: Table, version: u32) -> SchemaRef {
    let date = Arc::new(Field::new("snapshot_date", DataType::Date32, false));
    let columns = schema_of(table.columns_of(version));
    Arc::new(Schema::new([date].into_iter().chain(columns.fields().iter().cloned()).collect::<Vec<_>>()))
}

fn name(table: Table) -> String {
    Layout::Monthly.name(table)
}

/// The rows of a day's own file, or how that is damaged.
pub(crate) type Own = Result<Box<dyn RowSource>, SinkError>;

/// What the next rows of a month's file are, beside a day's own.
#[derive(Debug)]
pub(crate) enum Next {
    /// The same, each of them and nothing else.
    Same,
    /// Others, or fewer.
    Other,
    /// So many of the day, which has none of its own, or a file that is damaged.
    NotCompared { rows: usize, why: Option<SinkError> },
}

/// Makes a month's file, day after day.
pub(crate) struct MonthWriter {
    table: Table,
    writer: ArrowWriter<Vec<u8>>,
    days: BTreeMap<String, String>,
}

impl MonthWriter {
    pub(crate) fn new(month: &Month, compression: Compression) -> Result<Self, SinkError> {
        let table = month.table;
        let properties = properties(table, Layout::Monthly, month.folder(), compression);
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema(table, SCHEMA_VERSION), options);
        Ok(Self { table, writer: writer.map_err(|error| failed(table, &error))?, days: BTreeMap::new() })
    }

    /// Adds a day, which comes after those that were added, part by part.
    pub(crate) fn push(&mut self, date: SnapshotDate, day: &dyn RowSource, sha256: String) -> Result<(), SinkError> {
        for rows in row_parts(day, None) {
            let rows = rows.map_err(of_rows)?;
            let dates = Arc::new(Date32Array::from_value(date.days_since_epoch(), rows.num_rows()));
            let columns = [dates as Arc<dyn Array>].into_iter().chain(rows.columns().iter().cloned()).collect();
            let rows = RecordBatch::try_new(schema(self.table, SCHEMA_VERSION), columns);
            let rows = rows.map_err(|error| failed(self.table, &error))?;
            self.writer.write(&rows).map_err(|error| failed(self.table, &error))?;
        }
        self.days.insert(date.to_string(), sha256);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Bytes, SinkError> {
        let days = serde_json::to_string(&self.days).map_err(|error| failed(self.table, &error))?;
        self.writer.append_key_value_metadata(KeyValue::new(DAYS.to_owned(), days));
        self.writer.into_inner().map(|file| Bytes::from(seal(file))).map_err(|error| failed(self.table, &error))
    }
}

fn failed(table: Table, reason: &dyn fmt::Display) -> SinkError {
    SinkError::permanent(format!("write a month of {} as Parquet", table.name()), reason)
}

/// Reads a month's file, day after day.
pub(crate) struct MonthReader {
    table: Table,
    key: String,
    file: Bytes,
    metadata: ArrowReaderMetadata,
    /// The row groups that were not read yet.
    groups: Range<usize>,
    /// Rows that were read and not asked for yet.
    rest: Option<RecordBatch>,
    pub(crate) days: MonthDays,
    /// The days that [`MonthReader::skip_to`] has not come to yet, the last first.
    ahead: Vec<SnapshotDate>,
}

impl MonthReader {
    pub(crate) fn open(table: Table, file: Bytes, key: &str) -> Result<Self, SinkError> {
        let damaged = |reason: &dyn fmt::Display| damaged(key, reason);
        let footer =
            guarded(|| ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| error.to_string()));
        let footer = footer.map_err(|error| damaged(&error))?;
        check_places(&footer, file.len()).map_err(|error| damaged(&error))?;
        let version = version(&name(table), &footer).map_err(|reason| damaged(&reason))?;
        if version > SCHEMA_VERSION {
            return Err(SinkError::of_newer(key, version));
        }
        check(&file).map_err(|reason| damaged(&reason))?;
        let days = days(table, &footer, key)?;
        let options = ArrowReaderOptions::new().with_schema(schema(table, version));
        let metadata = ArrowReaderMetadata::try_new(Arc::new(footer), options).map_err(|error| damaged(&error))?;
        let groups = 0..metadata.metadata().num_row_groups();
        let ahead = days.keys().rev().copied().collect();
        Ok(Self { table, key: key.to_owned(), file, metadata, groups, rest: None, days, ahead })
    }

    /// Reads past the rows of a day, and compares them with the day's own, if it has some.
    pub(crate) fn next_is(&mut self, date: SnapshotDate, own: Option<Own>) -> Result<Next, SinkError> {
        let own = match own {
            Some(Ok(own)) => own,
            not_there => return Ok(Next::NotCompared { rows: self.pass(date)?, why: not_there.and_then(Result::err) }),
        };
        let mut passed = 0;
        for rows in row_parts(&*own, None) {
            let rows = match rows.map_err(of_rows) {
                Err(error) if error.is_damage() => {
                    return Ok(Next::NotCompared { rows: passed + self.pass(date)?, why: Some(error) });
                }
                rows => rows?,
            };
            let Some(next) = self.take(rows.num_rows())? else { return Ok(Next::Other) };
            passed += rows.num_rows();
            let of_day = next["snapshot_date"].as_primitive::<Date32Type>().iter();
            let same_day = of_day.into_iter().all(|day| day == Some(date.days_since_epoch()));
            let next = with_later_columns(&next, &rows.schema()).map_err(|error| damaged(&self.key, &error))?;
            if !same_day || next != rows {
                return Ok(Next::Other);
            }
        }
        Ok(Next::Same)
    }

    /// The rows of a day, past those of the days before it; nothing if it is not ahead.
    pub(crate) fn skip_to(&mut self, date: SnapshotDate) -> Result<Option<RecordBatch>, SinkError> {
        while let Some(next) = self.ahead.pop() {
            if next == date {
                return self.take_day(next).map(Some);
            }
            self.pass(next)?;
        }
        Ok(None)
    }

    /// Reads past the rows of a day; gives how many there are.
    pub(crate) fn pass(&mut self, date: SnapshotDate) -> Result<usize, SinkError> {
        let mut rows = 0;
        self.parts_of(date, |part| rows += part.num_rows())?;
        Ok(rows)
    }

    /// The rows of a day, without the column that says so.
    pub(crate) fn take_day(&mut self, date: SnapshotDate) -> Result<RecordBatch, SinkError> {
        let mut parts = Vec::new();
        self.parts_of(date, |part| parts.push(part))?;
        let rows =
            parts.iter().map(|batch| with_later_columns(batch, &self.table.schema())).collect::<Result<Vec<_>, _>>();
        let rows = rows.and_then(|rows| concat_batches(&self.table.schema(), &rows));
        rows.map_err(|error| damaged(&self.key, &error))
    }

    /// The next rows, as far as they are of a day, a part at a time.
    fn parts_of(&mut self, date: SnapshotDate, mut take: impl FnMut(RecordBatch)) -> Result<(), SinkError> {
        while let Some(batch) = self.next_batch()? {
            let dates = batch["snapshot_date"].as_primitive::<Date32Type>().values();
            let end = dates.iter().position(|day| *day != date.days_since_epoch()).unwrap_or(batch.num_rows());
            take(batch.slice(0, end));
            if end < batch.num_rows() {
                self.rest = Some(batch.slice(end, batch.num_rows() - end));
                break;
            }
        }
        Ok(())
    }

    /// Whether every row was asked for.
    pub(crate) fn is_at_its_end(&mut self) -> Result<bool, SinkError> {
        Ok(self.next_batch()?.is_none_or(|batch| batch.num_rows() == 0))
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SinkError> {
        if let Some(batch) = self.rest.take() {
            return Ok(Some(batch));
        }
        let next = self.groups.next().map(|index| row_group(&self.file, &self.metadata, index, None));
        next.transpose().map_err(|error| damaged(&self.key, &error))
    }

    /// The next so many rows; nothing if there are not so many.
    fn take(&mut self, count: usize) -> Result<Option<RecordBatch>, SinkError> {
        let mut parts = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let Some(batch) = self.next_batch()? else { return Ok(None) };
            let taken = missing.min(batch.num_rows());
            parts.push(batch.slice(0, taken));
            missing -= taken;
            if taken < batch.num_rows() {
                self.rest = Some(batch.slice(taken, batch.num_rows() - taken));
            }
        }
        let schema = parts.first().map_or_else(|| schema(self.table, SCHEMA_VERSION), RecordBatch::schema);
        concat_batches(&schema, &parts).map(Some).map_err(|error| damaged(&self.key, &error))
    }
}

fn damaged(key: &str, reason: &dyn fmt::Display) -> SinkError {
    let hint = "the file is damaged or not of Compline: restore an earlier version of the object; where every day of the month has a \
                file of its own, `compline verify FILE --repair` makes it again";
    SinkError::damaged(format!("read {key}"), reason).hint(Some(hint.to_owned()))
}

/// What the footer says of the days.
fn days(table: Table, footer: &ParquetMetaData, key: &str) -> Result<MonthDays, SinkError> {
    let damaged = |reason: &dyn fmt::Display| damaged(key, reason);
    version(&name(table), footer).map_err(|reason| damaged(&reason))?;
    check_folder(footer, key).map_err(|reason| misplaced(key, reason))?;
    let values = footer.file_metadata().key_value_metadata();
    let said = values.and_then(|values| values.iter().find(|value| value.key == DAYS)?.value.as_deref());
    let said = said.ok_or("its footer does not say which days it has").map_err(|reason| damaged(&reason))?;
    let said: BTreeMap<String, String> = serde_json::from_str(said).map_err(|error| damaged(&error))?;
    let days = said.into_iter().map(|(date, sha256)| {
        let date: SnapshotDate = date.parse().map_err(|_| damaged(&format!("{date:?} is no day")))?;
        Ok((date, sha256))
    });
    let days: MonthDays = days.collect::<Result<_, SinkError>>()?;
    // Files of older versions say nothing else of where they belong.
    let is_of_month = |date: &SnapshotDate| key.contains(&format!("/snapshot_month={}/", SnapshotMonth::from(*date)));
    match days.keys().find(|date| !is_of_month(date)) {
        Some(date) => Err(misplaced(key, format!("it has {date}, which is of another month"))),
        None => Ok(days),
    }
}

fn misplaced(key: &str, reason: String) -> SinkError {
    let hint =
        "move it to where it belongs, or remove it if that has one already; then `compline verify FILE --repair`";
    SinkError::new(SinkErrorKind::Misplaced, format!("read {key}"), reason).hint(Some(hint.to_owned()))
}

/// How much of a file's end has its footer, to be asked for next.
pub(crate) enum Footer {
    Days(MonthDays),
    Needs(u64),
}

/// The days of a month's file, from its last bytes.
pub(crate) fn days_in(table: Table, end: &Bytes, file_bytes: u64, key: &str) -> Result<Footer, SinkError> {
    let mut reader = ParquetMetaDataReader::new();
    let parsed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reader.try_parse_sized(end, file_bytes)));
    match parsed.unwrap_or_else(|_| Err(ParquetError::General("reading it panicked".to_owned()))) {
        Err(ParquetError::NeedMoreData(bytes)) if (bytes as u64) > end.len() as u64 => Ok(Footer::Needs(bytes as u64)),
        Err(error) => Err(damaged(key, &error)),
        Ok(()) => {
            let footer = reader.finish().map_err(|error| damaged(key, &error))?;
            days(table, &footer, key).map(Footer::Days)
        }
    }
}

/// How much of a file's end is read first.
pub(crate) fn first_guess(file_bytes: u64) -> u64 {
    FOOTER_GUESS.min(file_bytes)
}

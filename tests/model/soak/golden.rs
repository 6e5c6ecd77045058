//! The golden lake of the first version of the tables, some days earlier: the lake that an older Compline left.

use crate::operate::take_in_golden;
use crate::world::World;
use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use arrow::compute::unary;
use arrow::datatypes::DataType;
use bytes::Bytes;
use chrono::{Days, NaiveDate};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use std::path::PathBuf;
use std::sync::Arc;

/// The last day of the golden lakes.
const LAST: &str = "2026-03-03";

/// Puts it into an empty lake, so many days earlier; gives its last day. Its ledger has no checksums, so that nothing but dates tells one
/// day from another.
pub(super) fn put(world: &mut World, days: u32) -> NaiveDate {
    let from = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/lake_v1"));
    for (name, path) in crate::lake::files(&from) {
        let (before, rest) = name.split_once("snapshot_date=").expect("a day's file");
        let date: NaiveDate = rest[..10].parse().expect("a date");
        let to = world.lake().join(format!("{before}snapshot_date={}{}", earlier(date, days), &rest[10..]));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        std::fs::write(to, moved(&std::fs::read(path).expect("read"), days)).expect("written");
    }
    take_in_golden(world);
    earlier(LAST.parse().expect("a date"), days)
}

fn earlier(date: NaiveDate, days: u32) -> NaiveDate {
    date - Days::new(days.into())
}

/// A file with every date in it so many days earlier, and what it says of itself as it was.
fn moved(file: &[u8], days: u32) -> Vec<u8> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).expect("a file");
    let said = reader.metadata().file_metadata().clone();
    let said_of_itself = said.key_value_metadata().cloned().unwrap_or_default();
    let said_of_itself = said_of_itself.into_iter().filter(|one| one.key != "ARROW:schema").collect();
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(said_of_itself))
        .set_sorting_columns(reader.metadata().row_groups().first().and_then(|group| group.sorting_columns().cloned()))
        .build();
    let schema = Arc::clone(reader.schema());
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties)).expect("a writer");
    for batch in reader.build().expect("a reader") {
        let batch = batch.expect("rows");
        let columns = batch.columns().iter().map(|column| earlier_column(column, days)).collect();
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).expect("rows")).expect("written");
    }
    writer.into_inner().expect("written")
}

fn earlier_column(column: &ArrayRef, days: u32) -> ArrayRef {
    if column.data_type() != &DataType::Date32 {
        return Arc::clone(column);
    }
    let dates = column.as_any().downcast_ref::<Date32Array>().expect("dates");
    let moved: Date32Array = unary(dates, |date| date - i32::try_from(days).expect("a few"));
    Arc::new(moved)
}

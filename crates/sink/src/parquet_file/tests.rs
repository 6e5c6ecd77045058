use super::{encode as encode_file, *};
use crate::Month;
use crate::month_file::{MonthReader, MonthWriter, Next};
use crate::table_file::decode;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringViewArray,
    TimestampMillisecondArray,
};
use compline_model::ColumnType;
use parquet::basic::{ConvertedType, Encoding, Type};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use proptest::prelude::*;
use std::sync::Arc;

/// Where a file of that day is.
const KEY: &str = "pack_status/snapshot_date=2026-01-01/aggregator=org/data.parquet";

/// The month of that day.
pub(crate) fn month_of(table: Table) -> Month {
    Month { table, month: "2026-01".parse().expect("a month"), aggregator: "org".parse().expect("an id") }
}

fn day(table: Table) -> Partition {
    let aggregator = "org".parse().expect("an id");
    Partition { table, date: "2026-01-01".parse().expect("a date"), aggregator }
}

/// The file of a partition's rows.
pub(crate) fn encode(partition: &Partition, rows: &RecordBatch, compression: Compression) -> Result<Bytes, SinkError> {
    encode_file(partition, rows, compression).map(|file| file.bytes().clone())
}

/// Made-up rows of a table: keys count up, every third value that may be null is.
pub(crate) fn rows(table: Table, count: usize) -> RecordBatch {
    let columns = table.columns().iter().map(|column| -> ArrayRef {
        let some = |row: usize| !(column.nullable && row.is_multiple_of(3));
        let numbers = (0..count).map(|row| some(row).then_some(row as i32));
        match column.column_type {
            ColumnType::Text => Arc::new(numbers.map(|n| n.map(|n| format!("{n:012}"))).collect::<StringViewArray>()),
            ColumnType::Int32 => Arc::new(numbers.collect::<Int32Array>()),
            ColumnType::Int64 => Arc::new(numbers.map(|n| n.map(i64::from)).collect::<Int64Array>()),
            ColumnType::Float64 => Arc::new(numbers.map(|n| n.map(f64::from)).collect::<Float64Array>()),
            ColumnType::Boolean => Arc::new(numbers.map(|n| n.map(|n| n % 2 == 0)).collect::<BooleanArray>()),
            ColumnType::Date => Arc::new(numbers.collect::<Date32Array>()),
            ColumnType::Timestamp => {
                Arc::new(numbers.map(|n| n.map(i64::from)).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
            }
        }
    });
    RecordBatch::try_new(table.schema(), columns.collect()).expect("rows")
}

#[test]
fn b38_every_table_reads_back_as_it_was_written_in_every_compression_even_without_a_row() {
    for table in Table::ALL {
        for compression in [Compression::Zstd, Compression::Snappy, Compression::Gzip, Compression::None] {
            for count in [0, 1, 100] {
                let rows = rows(table, count);
                let file = encode(&day(table), &rows, compression).expect("a file");
                assert_eq!(decode(table, file, None, KEY).expect("rows"), rows, "{table:?} {compression:?}");
            }
        }
    }
}

#[test]
fn row_groups_that_are_written_at_once_are_read_in_order() {
    let rows = rows(Table::PackStatus, 3 * ROW_GROUP_ROWS + 1);
    let file = encode(&day(Table::PackStatus), &rows, Compression::Zstd).expect("encoded");
    let footer = ParquetMetaDataReader::new().parse_and_finish(&file).expect("a footer");
    let groups: Vec<i64> = footer.row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [ROW_GROUP_ROWS as i64, ROW_GROUP_ROWS as i64, ROW_GROUP_ROWS as i64, 1]);
    assert_eq!(decode(Table::PackStatus, file, None, KEY).expect("read"), rows);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn a_file_of_rows_that_come_in_parts_is_the_file_of_all_of_them_and_any_of_its_rows_are_read_alone(
        parts in prop::collection::vec(prop_oneof![Just(0), Just(1), 1..2 * ROW_GROUP_ROWS, Just(2 * ROW_GROUP_ROWS)], 0..5),
        (from, to) in (0.0..1.0, 0.0..1.0),
    ) {
        let (table, count) = (Table::SourceStatus, parts.iter().sum());
        let rows = rows(table, count);
        let mut writer = TableWriter::new(&day(table), Compression::Snappy).expect("a writer");
        let mut first = 0;
        for part in parts {
            writer.push(rows.slice(first, part)).expect("pushed");
            first += part;
        }
        let file = writer.finish().expect("a file");
        prop_assert_eq!(file.bytes(), &encode(&day(table), &rows, Compression::Snappy).expect("a file"));
        let [from, to] = [from, to].map(|share: f64| (share * count as f64) as usize);
        let range = from.min(to)..from.max(to);
        prop_assert_eq!(file.decode(range.clone(), None).expect("read"), rows.slice(range.start, range.len()));
        let one = file.decode(range.clone(), Some(&["aws_region", "none"])).expect("read");
        prop_assert_eq!((one.num_columns(), one.num_rows()), (1, range.len()));
    }
}

/// A number of Parquet's headers, as it is written there.
fn header_number(number: usize) -> Vec<u8> {
    let (mut rest, mut bytes) = (2 * number, Vec::new());
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A file whose first row group has a value less in each column in turn, as the header of its data page says, with the column's name.
fn short_of_a_value(whole: &Bytes) -> Vec<(String, Bytes)> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(whole).expect("a footer");
    // From where the header says how many values there are.
    let header = |values| [&[0x2c, 0x15][..], &header_number(values)].concat();
    let damaged = |column: &ColumnChunkMetaData| {
        let (start, said) = (column.data_page_offset() as usize, header(ROW_GROUP_ROWS));
        let at = whole[start..start + 64].windows(said.len()).position(|bytes| bytes == said).expect("a page header");
        let mut damaged = whole.to_vec();
        damaged[start + at..start + at + said.len()].copy_from_slice(&header(ROW_GROUP_ROWS - 1));
        (column.column_path().string(), Bytes::from(seal(damaged)))
    };
    footer.row_group(0).columns().iter().map(damaged).collect()
}

#[test]
fn b33_a_column_that_lacks_a_value_in_one_row_group_is_damage_and_takes_none_of_the_next_one() {
    let (table, count) = (Table::PackStatus, 2 * ROW_GROUP_ROWS);
    let rows = rows(table, count);
    let whole = encode(&day(table), &rows, Compression::Zstd).expect("a file");
    for (name, damaged) in short_of_a_value(&whole) {
        let file = TableFile::open(table, damaged, KEY).expect("a footer");
        for range in [0..ROW_GROUP_ROWS + 100, 100..count - 100, 0..count, 0..ROW_GROUP_ROWS] {
            let read = file.decode(range.clone(), None).map(|rows| rows.num_rows());
            assert!(read.as_ref().is_err_and(SinkError::is_damage), "{name} {range:?} {read:?}");
        }
        let next = ROW_GROUP_ROWS..count;
        assert_eq!(file.decode(next.clone(), None).expect("sound"), rows.slice(next.start, next.len()), "{name}");
    }
}

#[test]
fn b33_a_column_that_lacks_a_value_in_one_row_group_of_a_month_is_damage_of_the_days_that_are_read() {
    let (table, days) = (Table::PackStatus, ["2026-01-01", "2026-01-02"].map(|day| day.parse().expect("a date")));
    let mut month = MonthWriter::new(&month_of(table), Compression::Zstd).expect("a writer");
    for day in days {
        month.push(day, &rows(table, ROW_GROUP_ROWS + 100), "0".repeat(64)).expect("written");
    }
    for (name, damaged) in short_of_a_value(&month.finish().expect("a file")) {
        let mut reader = MonthReader::open(table, damaged, &month_of(table).key()).expect("a footer");
        let read = reader.skip_to(days[0]).map(|rows| rows.map(|rows| rows.num_rows()));
        assert!(read.as_ref().is_err_and(SinkError::is_damage), "{name} {read:?}");
    }
}

#[test]
fn a_month_is_made_of_and_compared_with_the_files_of_large_days_part_by_part() {
    let (table, date) = (Table::PackStatus, "2026-01-01".parse().expect("a date"));
    let rows = rows(table, ROW_GROUP_ROWS + 100);
    let file = |rows: &RecordBatch| {
        let file = encode(&day(table), rows, Compression::Zstd).expect("a file");
        TableFile::open(table, file, KEY).expect("a footer")
    };
    let mut month = MonthWriter::new(&month_of(table), Compression::Zstd).expect("a writer");
    month.push(date, &file(&rows), "0".repeat(64)).expect("written");
    let month = month.finish().expect("a file");
    let reader = || MonthReader::open(table, month.clone(), &month_of(table).key()).expect("a footer");
    assert!(reader().take_day(date).expect("rows") == rows);
    let last = rows.num_rows() - 1;
    let twice = concat_batches(&rows.schema(), [&rows.slice(0, last), &rows.slice(0, 1)]).expect("rows");
    for (other, is_same) in [(rows.clone(), true), (rows.slice(0, last), true), (twice, false)] {
        let mut reader = reader();
        let next = reader.next_is(date, Some(Ok(Box::new(file(&other))))).expect("rows");
        assert!(matches!((&next, is_same), (Next::Same, true) | (Next::Other, false)), "{next:?}");
        assert!(!is_same || reader.is_at_its_end().expect("rows") == (other.num_rows() > last));
    }
    for (name, damaged) in short_of_a_value(&encode(&day(table), &rows, Compression::Zstd).expect("a file")) {
        let damaged = TableFile::open(table, damaged, KEY).expect("a footer");
        let mut reader = reader();
        let next = reader.next_is(date, Some(Ok(Box::new(damaged)))).expect("the month is sound");
        let Next::NotCompared { rows: passed, why: Some(why) } = next else { panic!("{name} {next:?}") };
        assert!(passed == rows.num_rows() && why.is_damage(), "{name} {why}");
        assert!(reader.is_at_its_end().expect("rows"));
    }
}

#[test]
fn b30_b31_b32_a_file_has_only_types_that_athena_reads() {
    for table in Table::ALL {
        let file = encode(&day(table), &rows(table, 3), Compression::Zstd).expect("a file");
        let footer = ParquetMetaDataReader::new().parse_and_finish(&file).expect("a footer");
        for (column, field) in table.columns().iter().zip(footer.file_metadata().schema_descr().columns()) {
            let expected = match column.column_type {
                ColumnType::Text => (Type::BYTE_ARRAY, ConvertedType::UTF8),
                ColumnType::Int32 => (Type::INT32, ConvertedType::NONE),
                ColumnType::Int64 => (Type::INT64, ConvertedType::NONE),
                ColumnType::Float64 => (Type::DOUBLE, ConvertedType::NONE),
                ColumnType::Boolean => (Type::BOOLEAN, ConvertedType::NONE),
                ColumnType::Date => (Type::INT32, ConvertedType::DATE),
                ColumnType::Timestamp => (Type::INT64, ConvertedType::TIMESTAMP_MILLIS),
            };
            assert_eq!((field.physical_type(), field.converted_type()), expected, "{}.{}", table.name(), column.name);
        }
    }
}

#[test]
fn a_large_file_has_row_groups_with_statistics_sort_order_and_the_encodings_that_are_smallest() {
    let table = Table::PackCompliance;
    let file = encode(&day(table), &rows(table, ROW_GROUP_ROWS + 1), Compression::Zstd).expect("a file");
    let footer = ParquetMetaDataReader::new().parse_and_finish(&file).expect("a footer");
    assert_eq!(footer.num_row_groups(), 2);
    for group in footer.row_groups() {
        let sorted = group.sorting_columns().expect("sorting columns");
        assert_eq!(sorted.iter().map(|column| column.column_idx).collect::<Vec<_>>(), [0, 1, 2]);
        for column in group.columns() {
            let name = column.column_path().string();
            assert!(column.statistics().is_some_and(|statistics| statistics.min_bytes_opt().is_some()), "{name}");
            let written = OTHERWISE
                .iter()
                .find(|(other, ..)| *other == name)
                .map_or(Written::Dictionary, |(_, written, _)| *written);
            let has_dictionary = column.dictionary_page_offset().is_some();
            assert_eq!(has_dictionary, written == Written::Dictionary && name != "is_organization_pack", "{name}");
            // F13: what readers of some years ago know as well.
            let old = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
            assert!(column.encodings().all(|encoding| old.contains(&encoding)), "{name}");
        }
    }
    let created_by = footer.file_metadata().created_by().expect("a writer");
    assert!(created_by.starts_with("compline version 0.") && created_by.ends_with(')'), "{created_by}");
    for (name, ..) in OTHERWISE {
        let is_there = |table: Table| table.columns().iter().any(|column| column.name == name);
        assert!(Table::ALL.into_iter().any(is_there), "{name}");
    }
}

/// A file of a table as a writer of another version would have left it.
fn of_version(table: Table, version: u32, rows: &RecordBatch) -> Bytes {
    let said = vec![
        KeyValue::new(TABLE.to_owned(), table.name().to_owned()),
        KeyValue::new(VERSION.to_owned(), version.to_string()),
    ];
    let properties = WriterProperties::builder().set_key_value_metadata(Some(said)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).expect("a writer");
    writer.write(rows).expect("written");
    Bytes::from(writer.into_inner().expect("a file"))
}

#[test]
fn b44_a_file_of_an_older_version_has_null_in_the_columns_that_came_since() {
    let table = Table::Runs;
    let names: Vec<_> = table.columns_of(1).map(|column| column.name).collect();
    assert!(names.len() < table.columns().len());
    let all = rows(table, 5);
    let indices: Vec<usize> = (0..names.len()).collect();
    let file = of_version(table, 1, &all.project(&indices).expect("columns"));
    let read = decode(table, file.clone(), None, "x").expect("rows");
    assert_eq!((read.schema(), read.num_rows()), (table.schema(), 5));
    for (index, column) in table.columns().iter().enumerate() {
        match column.since {
            1 => assert_eq!(read.column(index), all.column(index), "{}", column.name),
            _ => assert_eq!(read.column(index).null_count(), 5, "{}", column.name),
        }
    }
    let one = decode(table, file, Some(&["snapshot_sha256", "run_id"]), "x").expect("rows");
    assert_eq!((one.num_columns(), one["snapshot_sha256"].null_count()), (2, 5));
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_says_what_to_use() {
    let file = of_version(Table::Runs, SCHEMA_VERSION + 1, &rows(Table::Runs, 2));
    let told = decode(Table::Runs, file, None, "runs/x").expect_err("an error").to_string();
    assert!(told.starts_with("cannot read runs/x: a newer compline wrote it: its tables are of version "), "{told}");
    assert!(told.ends_with("use that newer version"), "{told}");
}

#[test]
fn b42_b45_a_file_whose_columns_are_not_those_of_its_version_is_an_error() {
    let (table, all) = (Table::Runs, rows(Table::Runs, 2));
    let without_one = all.project(&(1..all.num_columns()).collect::<Vec<_>>()).expect("columns");
    let retyped = rows(Table::PackChanges, 2);
    for wrong in [without_one, retyped] {
        let told =
            decode(table, of_version(table, SCHEMA_VERSION, &wrong), None, "x").expect_err("an error").to_string();
        assert!(told.contains("cannot read x: ") && told.contains("damaged or not of Compline"), "{told}");
    }
}

#[test]
fn named_columns_alone_are_read_in_the_tables_order() {
    let table = Table::ComplianceTrends;
    let file = encode(&day(table), &rows(table, 5), Compression::Zstd).expect("a file");
    let read = decode(table, file, Some(&["packs_total", "dimension"]), KEY).expect("rows");
    let names: Vec<_> = read.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!((names, read.num_rows()), (vec!["dimension".to_owned(), "packs_total".to_owned()], 5));
}

#[test]
fn b33_a_file_that_is_cut_empty_or_of_another_table_or_day_is_an_error_that_names_it() {
    let table = Table::PackStatus;
    let file = encode(&day(table), &rows(table, 5), Compression::Zstd).expect("a file");
    let other = encode(&day(Table::PackChanges), &rows(Table::PackChanges, 5), Compression::Zstd).expect("a file");
    for bad in [file.slice(..file.len() - 20), Bytes::new(), Bytes::from_static(b"PAR1"), other] {
        let error = decode(table, bad, None, KEY).expect_err("an error");
        assert!(error.is_damage() && error.to_string().starts_with(&format!("cannot read {KEY}: ")), "{error}");
    }
    for (own, other) in [("2026-01-01", "2026-01-02"), ("=org", "=org2")] {
        let error = decode(table, file.clone(), None, &KEY.replace(own, other)).expect_err("an error");
        assert!(error.is_damage(), "{error}");
        assert!(error.to_string().contains(": it is of snapshot_date=2026-01-01/aggregator=org; "), "{error}");
    }
}

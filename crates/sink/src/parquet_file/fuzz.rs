//! Damaged files: each is an error or the rows of something else, none a panic, and none takes memory that its size does not explain.

use super::Compression;
use super::tests::{encode, month_of, rows};
use crate::Partition;
use crate::checksum::seal;
use crate::month_file::{Footer, MonthReader, MonthWriter, Next, days_in, first_guess};
use crate::mutate::{Edit, edited, edits, ends};
use crate::table_file::decode;
use bytes::Bytes;
use compline_model::{SnapshotDate, Table};
use parquet::file::metadata::ParquetMetaDataReader;
use proptest::prelude::*;

const KEY: &str = "pack_status/snapshot_date=2026-01-01/aggregator=org/data.parquet";

/// What a footer is made of, and what a file says of itself.
const PIECES: &[&str] =
    &["PAR1", "compline.days", "compline.schema_version", "2026-01-01", "{\"", "\u{0}", "\u{7f}\u{7f}\u{7f}"];

fn first() -> SnapshotDate {
    "2026-01-01".parse().expect("a date")
}

/// Edits of a file, or of its footer alone, which has nearly all that a reader believes; with the checksum of what they make.
fn damaged(file: &[u8], in_footer: bool, edits: &[Edit]) -> Bytes {
    if !in_footer {
        return Bytes::from(seal(edited(file, edits)));
    }
    let length = file[file.len() - 8..file.len() - 4].try_into().map(u32::from_le_bytes).expect("four bytes") as usize;
    let (data, end) = file.split_at(file.len() - 8 - length);
    let footer = edited(&end[..length], edits);
    let said = u32::try_from(footer.len()).expect("a small footer").to_le_bytes();
    Bytes::from(seal([data, &footer, &said, b"PAR1"].concat()))
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![Compression::Zstd, Compression::Snappy, Compression::Gzip, Compression::None])
}

proptest! {
    #[test]
    fn fuzz_no_damage_to_a_days_file_makes_reading_it_panic_or_take_all_memory(
        table in prop::sample::select(Table::ALL.to_vec()),
        compression in compressions(),
        (in_footer, edits) in (any::<bool>(), edits(PIECES)),
    ) {
        let partition = Partition { table, date: first(), aggregator: "org".parse().expect("an id") };
        let file = encode(&partition, &rows(table, 40), compression).expect("a file");
        let damaged = damaged(&file, in_footer, &edits);
        let _ = ends(|| decode(table, damaged.clone(), None, KEY).map(|rows| rows.num_rows()))?;
        let _ = ends(|| decode(table, damaged, Some(&["run_id", "pack_group"]), KEY).map(|rows| rows.num_rows()))?;
    }

    #[test]
    fn fuzz_no_damage_to_a_months_file_makes_reading_it_panic_or_never_end(
        table in prop::sample::select(Table::ALL.to_vec()),
        compression in compressions(),
        (in_footer, edits) in (any::<bool>(), edits(PIECES)),
    ) {
        let second: SnapshotDate = "2026-01-02".parse().expect("a date");
        let mut month = MonthWriter::new(&month_of(table), compression).expect("a writer");
        for day in [first(), second] {
            month.push(day, &rows(table, 20), "0".repeat(64)).expect("written");
        }
        let damaged = damaged(&month.finish().expect("a file"), in_footer, &edits);
        let end = damaged.slice(damaged.len() - first_guess(damaged.len() as u64) as usize..);
        let needed = ends(|| days_in(table, &end, damaged.len() as u64, &month_of(table).key()))?;
        if let Ok(Footer::Needs(bytes)) = needed {
            prop_assert!(bytes > end.len() as u64, "the same bytes would be asked for again");
        }
        let _ = ends(|| -> Result<_, crate::SinkError> {
            let mut reader = MonthReader::open(table, damaged.clone(), &month_of(table).key())?;
            let of_second = reader.skip_to(second)?;
            let mut reader = MonthReader::open(table, damaged.clone(), &month_of(table).key())?;
            let is_first = reader.next_is(first(), Some(Ok(Box::new(rows(table, 20)))))?;
            let rest = reader.take_day(second)?;
            Ok((of_second.is_some(), matches!(is_first, Next::Same), rest.num_rows(), reader.is_at_its_end()?))
        })?;
    }
}

#[test]
fn no_byte_of_a_footer_that_is_another_or_one_too_many_makes_reading_the_file_panic() {
    let partition = Partition { table: Table::SourceStatus, date: first(), aggregator: "org".parse().expect("an id") };
    let file = encode(&partition, &rows(Table::SourceStatus, 3), Compression::Gzip).expect("a file");
    let length = file[file.len() - 8..file.len() - 4].try_into().map(u32::from_le_bytes).expect("four bytes");
    let key = KEY.replace("pack_status", "source_status");
    let mut refused = 0;
    for at in 0..length as usize {
        for insert in [false, true] {
            let start = file.len() - 8 - length as usize;
            let mut footer = file[start..start + length as usize].to_vec();
            // A zigzag number that is odd is negative.
            if insert {
                footer.insert(at, 0x13)
            } else {
                footer[at] ^= 0xff
            }
            let said = u32::try_from(footer.len()).expect("a small footer").to_le_bytes();
            let damaged = Bytes::from(seal([&file[..start], &footer, &said, b"PAR1"].concat()));
            refused += usize::from(decode(Table::SourceStatus, damaged, None, &key).is_err());
        }
    }
    assert!(refused > length as usize, "{refused} of {length} twice are refused");
}

#[test]
fn what_is_damaged_in_the_footer_is_a_whole_file_otherwise() {
    let partition = Partition { table: Table::PackStatus, date: first(), aggregator: "org".parse().expect("an id") };
    let file = encode(&partition, &rows(Table::PackStatus, 3), Compression::Zstd).expect("a file");
    let same = damaged(&file, true, &[]);
    assert_eq!(same, file);
    assert!(ParquetMetaDataReader::new().parse_and_finish(&same).is_ok());
}

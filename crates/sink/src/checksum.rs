//! The checksum that a Parquet file has of itself, in its footer: pages have none, and a bit that flips in one often makes other values
//! of the same length, which every reader takes for the truth.
//!
//! It is the CRC-32 of the whole file with zeros in its own place. Files of older versions have none.

use crc32fast::Hasher;

/// What a file says it by.
pub(crate) const CHECKSUM: &str = "compline.crc32";

/// What is there until the file is whole.
pub(crate) const ZEROS: &str = "00000000";

/// What is between the two in the footer, which is of Thrift's compact protocol: that a text comes, and how long it is.
const BETWEEN: [u8; 2] = [0x18, ZEROS.len() as u8];

/// Puts the checksum of a file that has just been written in its place.
pub(crate) fn seal(mut file: Vec<u8>) -> Vec<u8> {
    if let Some(at) = place(&file) {
        file[at..at + ZEROS.len()].copy_from_slice(ZEROS.as_bytes());
        let checksum = format!("{:08x}", of_zeroed(&file, at));
        file[at..at + ZEROS.len()].copy_from_slice(checksum.as_bytes());
    }
    file
}

/// Whether a file says a checksum.
pub(crate) fn has_checksum(file: &[u8]) -> bool {
    place(file).is_some()
}

/// Whether a file has the checksum that it says, if it says one.
pub(crate) fn check(file: &[u8]) -> Result<(), String> {
    let Some(at) = place(file) else {
        return match has_name_but_for_one_byte(file) {
            true => {
                Err("it is not as it was written: a bit flipped in the name of its checksum (compline.crc32)"
                    .to_owned())
            }
            false => Ok(()),
        };
    };
    let checksum = format!("{:08x}", of_zeroed(file, at));
    match checksum.as_bytes() == &file[at..at + ZEROS.len()] {
        true => Ok(()),
        false => {
            let why = "its CRC-32 is not the one in its footer (compline.crc32): a bit flipped, or another program wrote it anew";
            Err(format!("it is not as it was written: {why}"))
        }
    }
}

/// The checksum of a file in which there are zeros at a place.
fn of_zeroed(file: &[u8], at: usize) -> u32 {
    let mut hasher = Hasher::new();
    for part in [&file[..at], ZEROS.as_bytes(), &file[at + ZEROS.len()..]] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Where a file has it: the last place of its name, since what comes after the footer's texts is short and ours.
fn place(file: &[u8]) -> Option<usize> {
    let (start, length) = footer(file)?;
    let name = name();
    let at = file[start..length].windows(name.len()).rposition(|bytes| bytes == name)? + start + name.len();
    (at + ZEROS.len() <= length).then_some(at)
}

/// Whether a file has its name with another byte in it: without its name a file would be one of an older version, which have none.
fn has_name_but_for_one_byte(file: &[u8]) -> bool {
    let Some((start, length)) = footer(file) else { return false };
    let name = name();
    let others = |bytes: &[u8]| bytes.iter().zip(&name).filter(|(byte, own)| byte != own).count();
    file[start..length].windows(name.len()).any(|bytes| others(bytes) == 1)
}

/// Where the footer begins and ends.
fn footer(file: &[u8]) -> Option<(usize, usize)> {
    let end = file.len().checked_sub(8)?;
    let said = file[end..end + 4].try_into().map(u32::from_le_bytes).ok()?;
    Some((end.saturating_sub(said as usize), end))
}

/// Its name as it is in the footer, up to the checksum.
fn name() -> Vec<u8> {
    [CHECKSUM.as_bytes(), &BETWEEN].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compression;
    use crate::Partition;
    use crate::month_file::{MonthReader, MonthWriter};
    use crate::parquet_file::tests::{encode, month_of, rows};
    use crate::table_file::decode;
    use compline_model::Table;

    const KEY: &str = "pack_status/snapshot_date=2026-01-01/aggregator=org/data.parquet";

    #[test]
    fn b33_no_file_of_a_day_or_a_month_is_read_of_which_a_bit_is_another() {
        let table = Table::PackStatus;
        let date = "2026-01-01".parse().expect("a date");
        let partition = Partition { table, date, aggregator: "org".parse().expect("an id") };
        let day = encode(&partition, &rows(table, 40), Compression::None).expect("a file").to_vec();
        let mut month = MonthWriter::new(&month_of(table), Compression::None).expect("a writer");
        month.push(date, &rows(table, 40), "0".repeat(64)).expect("written");
        let month = month.finish().expect("a file").to_vec();
        let read_day = |file: Vec<u8>| decode(table, file.into(), None, KEY).map(|rows| rows.num_rows());
        let read_month = |file: Vec<u8>| {
            MonthReader::open(table, file.into(), &month_of(table).key())?.take_day(date).map(|rows| rows.num_rows())
        };
        for is_month in [false, true] {
            let whole = if is_month { &month } else { &day };
            let read = |file: Vec<u8>| if is_month { read_month(file) } else { read_day(file) };
            assert_eq!(read(whole.clone()).expect("whole"), 40);
            let own = place(whole).expect("a checksum");
            for bit in 0..whole.len() * 8 {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                // That of the version makes it a newer one.
                assert!(read(damaged).is_err(), "bit {bit} of {}", whole.len() * 8);
            }
            let mut unsealed = whole.clone();
            unsealed[own..own + ZEROS.len()].copy_from_slice(ZEROS.as_bytes());
            assert!(read(unsealed.clone()).is_err_and(|error| error.is_damage()));
            assert!(seal(unsealed) == *whole);
        }
    }
}

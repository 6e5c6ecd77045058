//! The state of a day as it is computed: one batch of a day that is one part, and of a larger one its file, which is a tenth as large.

use super::is_same;
use crate::memory;
use arrow::array::RecordBatch;
use bytes::Bytes;
use compline_model::{RowError, RowSource, row_parts};
use compline_sink::{Committed, Lake, Partition, Place, SinkError, TableFile, TableWriter};
use std::mem;
use std::sync::Arc;

/// The rows of a day's status table.
#[derive(Debug, Clone)]
pub(crate) enum Status {
    /// Those of a day that is one part.
    Whole(RecordBatch),
    /// The file that they make.
    File(TableFile),
}

impl Status {
    /// The same, for the next day to go on from.
    pub(super) fn rows(&self) -> Arc<dyn RowSource> {
        match self {
            Self::Whole(rows) => Arc::new(rows.clone()),
            Self::File(file) => Arc::new(file.clone()),
        }
    }

    /// Whether a stored file has these rows.
    ///
    /// # Errors
    /// A file that is damaged.
    pub(super) fn is_in(&self, partition: &Partition, stored: &TableFile) -> Result<bool, RowError> {
        let rows: &dyn RowSource = match self {
            Self::File(file) if file.bytes() == stored.bytes() => return Ok(true),
            Self::File(file) => file,
            Self::Whole(rows) => rows,
        };
        if rows.row_count() != stored.row_count() {
            return Ok(false);
        }
        for (rows, stored_rows) in row_parts(rows, None).zip(row_parts(stored, None)) {
            let (rows, stored_rows) = (rows?, stored_rows?);
            let is_same = match stored.is_of_this_version() {
                true => stored_rows == rows,
                // In parts that would be forgiven which is null in some of them.
                false => is_same(partition.table, &stored_rows, &rows),
            };
            if !is_same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replaces the partition by them.
    ///
    /// # Errors
    /// The partition is then as it was, unless the error says that it is not as it was put.
    pub(crate) async fn commit(&self, lake: &Lake, partition: &Partition) -> Result<Committed, SinkError> {
        match self {
            Self::Whole(rows) => lake.commit(partition, rows.clone()).await,
            Self::File(file) => lake.commit_file(partition, Place::Table, Bytes::clone(file.bytes())).await,
        }
    }
}

/// Takes the rows of a state part by part.
#[derive(Debug)]
pub(super) struct Taking {
    lake: Lake,
    partition: Partition,
    /// The file that the lake has: as long as it has the same rows, no other is made.
    stored: Option<TableFile>,
    taken: Taken,
}

#[derive(Debug, Default)]
enum Taken {
    #[default]
    Nothing,
    One(RecordBatch),
    More(Parts),
}

/// The rows of more than one part.
#[derive(Debug)]
enum Parts {
    /// The first so many rows of the file that the lake has.
    Stored(TableFile, usize),
    Written(Box<TableWriter>),
}

impl Taking {
    pub(super) fn new(lake: &Lake, partition: Partition, stored: Option<TableFile>) -> Self {
        // One of an older version lacks columns, which the next day goes on from.
        let stored = stored.filter(TableFile::is_of_this_version);
        Self { lake: lake.clone(), partition, stored, taken: Taken::Nothing }
    }

    /// Takes the next rows.
    ///
    /// # Errors
    /// A lake's file that is read no more, which was read before; rows that are not those of the table.
    pub(super) fn take(&mut self, rows: RecordBatch) -> Result<(), RowError> {
        let parts = match mem::take(&mut self.taken) {
            Taken::Nothing => {
                self.taken = Taken::One(rows);
                return Ok(());
            }
            Taken::One(first) => {
                let begun = match self.stored.take() {
                    Some(file) => Parts::Stored(file, 0),
                    None => Parts::Written(self.writer()?),
                };
                self.add(begun, first)?
            }
            Taken::More(parts) => parts,
        };
        self.taken = Taken::More(self.add(parts, rows)?);
        memory::give_back();
        Ok(())
    }

    fn add(&self, parts: Parts, rows: RecordBatch) -> Result<Parts, RowError> {
        let mut writer = match parts {
            Parts::Stored(file, first) => {
                let end = first + rows.num_rows();
                // One that cannot be read on is another.
                if end <= file.row_count() && file.rows(first..end, None).is_ok_and(|next| next == rows) {
                    return Ok(Parts::Stored(file, end));
                }
                self.beginning(&file, first)?
            }
            Parts::Written(writer) => writer,
        };
        writer.push(rows).map_err(RowError::new)?;
        Ok(Parts::Written(writer))
    }

    fn writer(&self) -> Result<Box<TableWriter>, RowError> {
        self.lake.writer(&self.partition).map(Box::new).map_err(RowError::new)
    }

    /// A file that begins with the first rows of another.
    fn beginning(&self, file: &TableFile, count: usize) -> Result<Box<TableWriter>, RowError> {
        let mut writer = self.writer()?;
        for rows in row_parts(&First { file, count }, None) {
            writer.push(rows?).map_err(RowError::new)?;
        }
        Ok(writer)
    }

    /// All rows that were taken.
    ///
    /// # Errors
    /// As those of [`Taking::take`].
    pub(super) fn finish(mut self) -> Result<Status, RowError> {
        let finished = |writer: Box<TableWriter>| writer.finish().map(Status::File).map_err(RowError::new);
        match mem::take(&mut self.taken) {
            Taken::Nothing => Ok(Status::Whole(RecordBatch::new_empty(self.partition.table.schema()))),
            Taken::One(rows) => Ok(Status::Whole(rows)),
            Taken::More(Parts::Stored(file, count)) if count == file.row_count() => Ok(Status::File(file)),
            Taken::More(Parts::Stored(file, count)) => finished(self.beginning(&file, count)?),
            Taken::More(Parts::Written(writer)) => finished(writer),
        }
    }
}

/// The first rows of a file.
#[derive(Debug)]
struct First<'a> {
    file: &'a TableFile,
    count: usize,
}

impl RowSource for First<'_> {
    fn row_count(&self) -> usize {
        self.count
    }

    fn rows(&self, range: std::ops::Range<usize>, columns: Option<&[&str]>) -> Result<RecordBatch, RowError> {
        self.file.rows(range, columns)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use arrow::array::{ArrayRef, BooleanArray, Date32Array, Int32Array, StringViewArray};
    use compline_model::{ColumnType, Table};
    use compline_sink::{Compression, LakeLocation};
    use proptest::prelude::*;

    /// Rows of a state, whose numbers say which.
    pub(crate) fn rows(numbers: impl Iterator<Item = i32> + Clone) -> RecordBatch {
        let column = |kind| -> ArrayRef {
            let numbers = numbers.clone();
            match kind {
                ColumnType::Text => Arc::new(numbers.map(|n| Some(format!("{n:012}"))).collect::<StringViewArray>()),
                ColumnType::Boolean => Arc::new(numbers.map(|n| Some(n % 2 == 0)).collect::<BooleanArray>()),
                ColumnType::Date => Arc::new(numbers.map(Some).collect::<Date32Array>()),
                _ => Arc::new(numbers.collect::<Int32Array>()),
            }
        };
        let columns = Table::PackStatus.columns().iter().map(|of| column(of.column_type)).collect();
        RecordBatch::try_new(Table::PackStatus.schema(), columns).expect("rows")
    }

    /// What the lake has of the day before it is computed.
    #[derive(Debug, Clone, Copy)]
    enum There {
        Nothing,
        Same,
        /// One row is another.
        Other(usize),
        Shorter(usize),
        Longer(usize),
        /// A byte of its rows is another, in a file of an older version, which has no checksum.
        Damaged(usize),
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn a_state_taken_in_parts_is_the_file_of_all_of_its_rows_whatever_the_lake_has(
            parts in prop::collection::vec(0_usize..40, 1..6),
            there in prop_oneof![
                Just(There::Nothing),
                Just(There::Same),
                (0_usize..200).prop_map(There::Other),
                (1_usize..200).prop_map(There::Shorter),
                (1_usize..200).prop_map(There::Longer),
                (0_usize..4000).prop_map(There::Damaged),
            ],
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let folder = tempfile::tempdir().expect("a folder");
                let lake = Lake::open(&LakeLocation::Folder(folder.path().into()), Compression::Zstd).await.expect("a lake");
                let aggregator = "org".parse().expect("an id");
                let date = "2026-01-02".parse().expect("a date");
                let partition = Partition { table: Table::PackStatus, date, aggregator };
                let count = parts.iter().sum::<usize>();
                let numbers = 0..i32::try_from(count).expect("few");
                let all = rows(numbers.clone());
                let whole = lake.encode(&partition, all.clone()).await.expect("a file");
                let of_lake = match there {
                    There::Nothing | There::Damaged(_) => None,
                    There::Same => Some(all.clone()),
                    There::Other(at) => Some(rows(numbers.clone().map(|n| if n as usize == at { -1 } else { n }))),
                    There::Shorter(by) => Some(all.slice(0, count.saturating_sub(by))),
                    There::Longer(by) => Some(rows(0..numbers.end + by as i32)),
                };
                if let Some(of_lake) = of_lake {
                    lake.commit(&partition, of_lake).await.expect("committed");
                }
                if let There::Damaged(at) = there {
                    let mut file = whole.to_vec();
                    let name = b"compline.crc32";
                    let of_checksum = file.windows(name.len()).rposition(|bytes| bytes == name).expect("a checksum");
                    // By another name a file has none, unless the name is another by a flipped bit.
                    file[of_checksum..of_checksum + 2].copy_from_slice(b"xx");
                    // Behind the magic bytes, and before the footer.
                    let length = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().expect("four bytes"));
                    let rows_end = file.len() - 8 - length as usize;
                    if rows_end > 4 {
                        file[4 + at % (rows_end - 4)] ^= 0x55;
                    }
                    lake.commit_file(&partition, Place::Table, file.into()).await.expect("committed");
                }
                let stored = lake.file(&partition).await.expect("a file");
                let mut taking = Taking::new(&lake, partition.clone(), stored.clone());
                let mut first = 0;
                for part in &parts {
                    taking.take(all.slice(first, *part)).expect("taken");
                    first += part;
                }
                let status = taking.finish().expect("a state");
                let read = status.rows();
                assert_eq!(read.rows(0..read.row_count(), None).expect("rows"), all);
                // A byte that is another may make no row another.
                let is_same =
                    stored.as_ref().is_some_and(|file| file.rows(0..file.row_count(), None).is_ok_and(|rows| rows == all));
                let is_whole = |file: &TableFile| file.bytes() == &whole || (is_same && matches!(there, There::Damaged(_)));
                match &status {
                    Status::Whole(_) => assert_eq!(parts.len(), 1),
                    Status::File(file) => assert!(is_whole(file)),
                }
                if let Some(stored) = stored {
                    assert_eq!(status.is_in(&partition, &stored).unwrap_or_default(), is_same);
                }
                status.commit(&lake, &partition).await.expect("committed");
                assert!(is_whole(&lake.file(&partition).await.expect("a file").expect("there")));
            });
        }
    }
}

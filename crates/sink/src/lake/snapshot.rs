//! Files of partitions as bytes: encoded once, staged in the journal, and put in place: into its table, or
//! aside until a person accepts it.

use super::{Committed, Lake, Partition, Stored, blocking, sha256};
use crate::parquet_file::encode;
use crate::table_file::{decode, of_rows};
use crate::{SinkError, TableFile, TableWriter};
use bytes::Bytes;
use compline_model::{RowSource, row_parts};

/// Where a snapshot's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In its table, where readers see it.
    Table,
    /// Aside, until it is accepted or rejected.
    Held,
}

impl Place {
    /// The folder below the lake that its files are in, each by its path in the tables.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Table => "",
            Self::Held => "_compline/held/",
        }
    }

    /// The path of a partition's file below the lake.
    pub(super) fn key(self, partition: &Partition) -> String {
        format!("{}{}", self.folder(), partition.key())
    }
}

impl Lake {
    /// The file of a partition's rows, as it would be committed.
    ///
    /// # Errors
    /// Rows that are not those of the table.
    pub async fn encode(&self, partition: &Partition, rows: impl RowSource + 'static) -> Result<Bytes, SinkError> {
        let (partition, compression) = (partition.clone(), self.compression);
        blocking("encode", move || Ok(encode(&partition, &rows, compression)?.bytes().clone())).await
    }

    /// What makes the file of a partition of rows as they come.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn writer(&self, partition: &Partition) -> Result<TableWriter, SinkError> {
        TableWriter::new(partition, self.compression)
    }

    /// Replaces a partition by a file that is encoded, at once and whole, and makes sure that it is there as it was put.
    ///
    /// # Errors
    /// The partition is then as it was, unless the error says that it is not as it was put.
    pub async fn commit_file(&self, partition: &Partition, place: Place, file: Bytes) -> Result<Committed, SinkError> {
        self.put(&place.key(partition), file).await
    }

    /// SHA-256 of a partition's file as it is there, whole or not; nothing if it is not there.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn sha256_of(&self, partition: &Partition, place: Place) -> Result<Option<String>, SinkError> {
        Ok(self.store.get(&place.key(partition)).await?.map(|file| sha256(&file)))
    }

    /// A partition with what its file is, all columns or the named ones; nothing if it is not there.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is not whole.
    pub async fn stored(
        &self,
        partition: &Partition,
        place: Place,
        columns: Option<&'static [&'static str]>,
    ) -> Result<Option<Stored>, SinkError> {
        let (table, key) = (partition.table, place.key(partition));
        let Some(file) = self.store.get(&key).await? else { return Ok(None) };
        let read = move || Ok(Stored { sha256: sha256(&file), rows: decode(table, file, columns, &key)? });
        blocking("decode", read).await.map(Some)
    }

    /// The snapshot's file as it was committed: one with this SHA-256. Where none is known, as of lakes of older versions, any sound file is
    /// taken.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is not one of the table, is gone, or is another than the one that was committed.
    pub async fn committed(&self, partition: &Partition, hash: Option<&str>) -> Result<Option<TableFile>, SinkError> {
        let (file, key) = (self.file(partition).await?, partition.key());
        match (file, hash.map(str::to_owned)) {
            (file, None) => Ok(file),
            (Some(file), Some(hash)) => Ok(Some(file_as_committed(key, file, Some(hash)).await?.0)),
            (None, Some(hash)) => Err(lost(
                &key,
                format!("it is gone, and the ledger says that it was committed, with the SHA-256 {hash}"),
            )),
        }
    }

    /// Removes what is held of partitions.
    ///
    /// # Errors
    /// A store that does not remove it.
    pub async fn remove_held(&self, partitions: &[Partition]) -> Result<(), SinkError> {
        self.store.delete(&partitions.iter().map(|partition| Place::Held.key(partition)).collect::<Vec<_>>()).await
    }
}

/// A file, with its SHA-256, if it is the one that was committed, as far as that is known.
pub(super) async fn file_as_committed(
    key: String,
    file: TableFile,
    committed: Option<String>,
) -> Result<(TableFile, String), SinkError> {
    let compare = move || {
        let sha256 = file.sha256();
        if let Err(other) = as_committed(&key, committed.as_deref(), &sha256) {
            // Of one that is damaged that is said.
            row_parts(&file, None).try_for_each(|rows| rows.map(drop)).map_err(of_rows)?;
            return Err(other);
        }
        Ok((file, sha256))
    };
    blocking("compare", compare).await
}

/// Compares the file that is there with the one that was committed, as far as that is known.
pub(super) fn as_committed(key: &str, committed: Option<&str>, there: &str) -> Result<(), SinkError> {
    let Some(committed) = committed.filter(|committed| *committed != there) else { return Ok(()) };
    let reason =
        format!("it is not the file that was committed: its SHA-256 is {there}, and the ledger says {committed}");
    Err(lost(key, reason))
}

/// That of a snapshot whose file is another or gone.
fn lost(key: &str, reason: String) -> SinkError {
    let hint = "restore the file that was committed (an earlier version of the object, or a copy); a day of which there is an \
                archive can be imported again with --replace";
    SinkError::damaged(format!("read {key}"), reason).hint(Some(hint.to_owned()))
}

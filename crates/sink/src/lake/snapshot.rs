//! Files of partitions as bytes: encoded once, staged in the journal, and put in place.

use super::{Committed, Lake, Partition, blocking, sha256};
use crate::SinkError;
use crate::parquet_file::encode;
use arrow::array::RecordBatch;
use bytes::Bytes;
use compline_model::Table;

impl Lake {
    /// The file of a table's rows, as it would be committed.
    ///
    /// # Errors
    /// Rows that are not those of the table.
    pub async fn encode(&self, table: Table, rows: RecordBatch) -> Result<Bytes, SinkError> {
        let compression = self.compression;
        blocking("encode", move || encode(table, &rows, compression)).await
    }

    /// Replaces a partition by a file that is encoded, at once and whole, and makes sure that it is there as it was put.
    ///
    /// # Errors
    /// The partition is then as it was, unless the error says that it is not as it was put.
    pub async fn commit_file(&self, partition: &Partition, file: Bytes) -> Result<Committed, SinkError> {
        self.put(&partition.key(), file).await
    }

    /// SHA-256 of a partition's file as it is there, whole or not; nothing if it is not there.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn sha256_of(&self, partition: &Partition) -> Result<Option<String>, SinkError> {
        Ok(self.store.get(&partition.key()).await?.map(|file| sha256(&file)))
    }
}

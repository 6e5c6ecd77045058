//! Days that are held: collected whole, and not committed until somebody says that they are right.

use super::{Lake, Partition};
use crate::SinkError;
use arrow::array::RecordBatch;

fn key(partition: &Partition) -> String {
    format!("_compline/held/{}", partition.key())
}

impl Lake {
    /// Writes what a partition would be where no reader of the tables sees it.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn hold(&self, partition: &Partition, rows: RecordBatch) -> Result<(), SinkError> {
        self.write(partition.table, &key(partition), rows).await.map(drop)
    }

    /// What is held of a partition, if anything is.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is not whole.
    pub async fn held(&self, partition: &Partition) -> Result<Option<RecordBatch>, SinkError> {
        self.read_key(partition.table, key(partition), None).await
    }

    /// Drops what is held of a partition.
    ///
    /// # Errors
    /// A store that does not remove it.
    pub async fn release(&self, partition: &Partition) -> Result<(), SinkError> {
        self.store.delete(&[key(partition)]).await
    }
}

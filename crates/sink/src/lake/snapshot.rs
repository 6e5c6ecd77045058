//! A snapshot: the facts of a day and what was said of their sources, which belong together.

use super::{Committed, Lake, Partition, blocking};
use crate::SinkError;
use crate::parquet_file::encode;
use arrow::array::RecordBatch;
use bytes::Bytes;

impl Lake {
    /// Replaces a day's facts and its sources. Gives what was written of each, the facts first.
    ///
    /// # Errors
    /// Both are then as they were, unless the store no longer takes even that: the error says so.
    pub async fn commit_snapshot(
        &self,
        (facts, rows): (&Partition, RecordBatch),
        (sources, source_rows): (&Partition, RecordBatch),
    ) -> Result<(Committed, Committed), SinkError> {
        let (compression, table, source_table) = (self.compression, facts.table, sources.table);
        let encoded = blocking("encode", move || {
            Ok((encode(table, &rows, compression)?, encode(source_table, &source_rows, compression)?))
        });
        let (file, source_file) = encoded.await?;
        let before = self.store.get(&sources.key()).await?;
        let source_committed = self.put(&sources.key(), source_file).await?;
        match self.put(&facts.key(), file).await {
            Ok(committed) => Ok((committed, source_committed)),
            Err(error) => match self.put_back(sources, before).await {
                Ok(()) => Err(error),
                Err(back) => Err(error.and_also(&back)),
            },
        }
    }

    async fn put_back(&self, partition: &Partition, before: Option<Bytes>) -> Result<(), SinkError> {
        match before {
            Some(file) => self.store.put(&partition.key(), file).await,
            None => self.store.delete(&[partition.key()]).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parquet_file::tests::rows;
    use crate::{Compression, LakeLocation};
    use compline_model::Table;

    #[cfg(unix)]
    #[tokio::test]
    async fn facts_that_cannot_be_put_leave_the_sources_as_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let location = LakeLocation::Folder(folder.path().to_owned());
        let lake = Lake::open(&location, Compression::Zstd).await.expect("a lake");
        let partition = |table| Partition {
            table,
            date: "2026-01-02".parse().expect("a date"),
            aggregator: "org".parse().expect("an id"),
        };
        let (facts, sources) = (partition(Table::PackCompliance), partition(Table::SourceStatus));
        let of = |table, count| rows(table, count);
        // A file is where the folder of the facts must be.
        std::fs::write(folder.path().join("pack_compliance"), "").expect("written");
        let commit = async |count| {
            let (rows, source_rows) = (of(facts.table, count), of(sources.table, count));
            lake.commit_snapshot((&facts, rows), (&sources, source_rows)).await
        };
        let told = commit(3).await.expect_err("an error").to_string();
        assert!(told.starts_with("cannot write ") && told.contains("/pack_compliance/"), "{told}");
        assert_eq!(lake.read(&sources, None).await.expect("read"), None, "there was none");

        std::fs::remove_file(folder.path().join("pack_compliance")).expect("removed");
        commit(4).await.expect("committed");
        std::fs::rename(folder.path().join("pack_compliance"), folder.path().join("kept")).expect("moved");
        std::fs::write(folder.path().join("pack_compliance"), "").expect("written");
        commit(5).await.expect_err("an error");
        assert_eq!(lake.read(&sources, None).await.expect("read"), Some(of(sources.table, 4)));
    }
}

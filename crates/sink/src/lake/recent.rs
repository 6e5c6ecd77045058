//! Days of a table that are read together every night, in one object: where they have an object each a night would ask for 90.
//!
//! It is a copy and never the record. With each day is noted which object it was read from, as the store tells it apart from
//! any other, and whoever uses a day compares that with what the table's list says now. So a day that was replaced, computed
//! again or restored since is read from its own file, whoever did it, and nobody has to keep this up to date.

use super::{Lake, blocking};
use crate::table_file::guarded;
use crate::{SinkError, Version};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use compline_model::{AggregatorId, SCHEMA_VERSION, SnapshotDate, Table};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A day as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentDay {
    /// The object that it was read from.
    pub version: Version,
    /// Its rows, some of the table's columns.
    pub rows: RecordBatch,
}

/// Days of one table and aggregator, with the same columns.
pub type RecentDays = BTreeMap<SnapshotDate, RecentDay>;

/// What the footer says: of which days the rows are, one after the other.
const DAYS: &str = "compline.recent";

/// A day in the footer.
#[derive(Serialize, Deserialize)]
struct Noted {
    date: String,
    version: Version,
    rows: usize,
}

/// Length of the SHA-256 of the rest, which is what an object begins with: nothing else would show that a byte of it is another.
const HASH_BYTES: usize = 32;

fn key(table: Table, aggregator: &AggregatorId) -> String {
    format!("_compline/recent/aggregator={aggregator}/{}-{SCHEMA_VERSION}", table.name())
}

impl Lake {
    /// The days that are there together, with these columns; none where they have others, or are damaged.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn recent_days(
        &self,
        table: Table,
        aggregator: &AggregatorId,
        columns: &'static [&'static str],
    ) -> Result<RecentDays, SinkError> {
        let key = key(table, aggregator);
        let Some(object) = self.store.get(&key).await? else { return Ok(RecentDays::new()) };
        let read = move || Ok(decode(&object, &schema(table, columns)));
        let days = blocking("decode", read).await?;
        Ok(days.unwrap_or_else(|reason| {
            tracing::info!(key, reason, "recent days cannot be read together: reading each");
            RecentDays::new()
        }))
    }

    /// Writes days together, in place of those that were.
    ///
    /// # Errors
    /// A store that does not take them; rows that do not have the columns.
    pub async fn put_recent_days(
        &self,
        table: Table,
        aggregator: &AggregatorId,
        columns: &'static [&'static str],
        days: RecentDays,
    ) -> Result<(), SinkError> {
        let object = blocking("encode", move || {
            encode(&days, &schema(table, columns))
                .map_err(|error| SinkError::permanent("write recent days together", error))
        });
        let object = object.await?;
        self.store.put(&key(table, aggregator), object).await
    }
}

fn schema(table: Table, columns: &[&str]) -> SchemaRef {
    let all = table.schema();
    let fields = all.fields().iter().filter(|field| columns.contains(&field.name().as_str())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn encode(days: &RecentDays, schema: &SchemaRef) -> Result<Bytes, ParquetError> {
    let noted = |(date, day): (&SnapshotDate, &RecentDay)| Noted {
        date: date.to_string(),
        version: day.version.clone(),
        rows: day.rows.num_rows(),
    };
    let noted = serde_json::to_string(&days.iter().map(noted).collect::<Vec<_>>());
    let noted = noted.map_err(|error| ParquetError::External(Box::new(error)))?;
    let properties = WriterProperties::builder()
        .set_compression(Codec::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![KeyValue::new(DAYS.to_owned(), noted)]))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    // Columns are written by their places, and would be read by their names.
    if let Some((date, _)) = days.iter().find(|(_, day)| day.rows.schema().fields() != schema.fields()) {
        return Err(ParquetError::General(format!("the rows of {date} have other columns")));
    }
    let mut writer = ArrowWriter::try_new_with_options(vec![0; HASH_BYTES], Arc::clone(schema), options)?;
    for day in days.values() {
        writer.write(&day.rows)?;
    }
    let mut object = writer.into_inner()?;
    let hash = Sha256::digest(&object[HASH_BYTES..]);
    object[..HASH_BYTES].copy_from_slice(&hash);
    Ok(Bytes::from(object))
}

fn decode(object: &Bytes, schema: &SchemaRef) -> Result<RecentDays, String> {
    if object.len() < HASH_BYTES || Sha256::digest(&object[HASH_BYTES..])[..] != object[..HASH_BYTES] {
        return Err("it is damaged".to_owned());
    }
    let file = object.slice(HASH_BYTES..);
    let text = |error: ParquetError| error.to_string();
    let footer = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(text)?;
    let said = footer.file_metadata().key_value_metadata().into_iter().flatten();
    let said = said.filter(|value| value.key == DAYS).find_map(|value| value.value.as_deref());
    let noted: Vec<Noted> = serde_json::from_str(said.ok_or("it names no days")?).map_err(|error| error.to_string())?;
    let rows = usize::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
    if noted.iter().map(|day| day.rows).sum::<usize>() != rows {
        return Err("it has other rows than its days".to_owned());
    }
    let options = ArrowReaderOptions::new().with_schema(Arc::clone(schema));
    let metadata = ArrowReaderMetadata::try_new(Arc::new(footer), options).map_err(text)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(rows.max(1));
    let batches = guarded(|| {
        let batches = reader.build().and_then(|batches| Ok(batches.collect::<Result<Vec<_>, _>>()?));
        batches.map_err(text)
    })?;
    let all = concat_batches(schema, &batches).map_err(|error| error.to_string())?;
    let mut start = 0;
    let mut days = RecentDays::new();
    for Noted { date, version, rows } in noted {
        let date = date.parse().map_err(|_| format!("{date:?} is no day"))?;
        days.insert(date, RecentDay { version, rows: all.slice(start, rows) });
        start += rows;
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;
    use crate::parquet_file::tests::rows;

    const TABLE: Table = Table::ComplianceTrends;
    const COLUMNS: &[&str] = &["dimension", "dimension_value", "packs_total", "pack_compliance_rate"];

    fn day(text: &str) -> SnapshotDate {
        text.parse().expect("a date")
    }

    async fn lake(folder: &tempfile::TempDir) -> Lake {
        Lake::in_folder(folder.path()).await
    }

    /// Days of which each has another number of rows, one of them none.
    fn days() -> RecentDays {
        let indices: Vec<usize> = COLUMNS.iter().map(|name| TABLE.schema().index_of(name).expect("a column")).collect();
        (0..5_usize)
            .map(|at| {
                let rows = rows(TABLE, at * 3).project(&indices).expect("columns");
                let version = serde_json::from_str(&format!("\"\\\"tag {at}\\\"\"")).expect("a version");
                (day(&format!("2026-01-0{}", at + 1)), RecentDay { version, rows })
            })
            .collect()
    }

    #[tokio::test]
    async fn days_that_are_written_together_are_read_as_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let (lake, id) = (lake(&folder).await, "org".parse().expect("an id"));
        assert!(lake.recent_days(TABLE, &id, COLUMNS).await.expect("read").is_empty());
        lake.put_recent_days(TABLE, &id, COLUMNS, days()).await.expect("written");
        assert_eq!(lake.recent_days(TABLE, &id, COLUMNS).await.expect("read"), days());
        let fewer = lake.recent_days(TABLE, &id, &["dimension", "rule_compliance_rate"]).await.expect("read");
        assert!(fewer.is_empty(), "other columns are asked for than there are");
    }

    #[tokio::test]
    async fn no_byte_of_them_can_be_another_without_being_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (lake, id) = (lake(&folder).await, "org".parse().expect("an id"));
        lake.put_recent_days(TABLE, &id, COLUMNS, days()).await.expect("written");
        let sound = lake.store.get(&key(TABLE, &id)).await.expect("read").expect("an object");
        for at in (0..sound.len()).step_by(7) {
            let mut damaged = sound.to_vec();
            damaged[at] ^= 0x10;
            assert!(decode(&Bytes::from(damaged), &schema(TABLE, COLUMNS)).is_err(), "byte {at}");
        }
        for length in [0, 5, HASH_BYTES, sound.len() - 1] {
            lake.store.put(&key(TABLE, &id), sound.slice(..length)).await.expect("written");
            assert!(lake.recent_days(TABLE, &id, COLUMNS).await.expect("read").is_empty(), "{length} bytes");
        }
    }

    #[tokio::test]
    async fn a_day_that_is_replaced_is_another_version_and_lists_begin_where_they_are_asked_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = lake(&folder).await;
        let partition =
            |date: &str| Partition { table: TABLE, date: day(date), aggregator: "org".parse().expect("an id") };
        for date in ["2025-12-31", "2026-01-01", "2026-02-01"] {
            lake.commit(&partition(date), rows(TABLE, 3)).await.expect("committed");
        }
        let (days, before) = lake.versions_since(TABLE, day("2026-01-01")).await.expect("listed");
        let id = "org".parse().expect("an id");
        assert_eq!(days[&id], [day("2026-01-01"), day("2026-02-01")].into());
        assert_eq!(before[&id].keys().copied().collect::<std::collections::BTreeSet<_>>(), days[&id]);
        lake.commit(&partition("2026-02-01"), rows(TABLE, 3)).await.expect("committed");
        let (_, after) = lake.versions_since(TABLE, day("2026-01-01")).await.expect("listed");
        assert_eq!(before[&id][&day("2026-01-01")], after[&id][&day("2026-01-01")]);
        assert_ne!(before[&id][&day("2026-02-01")], after[&id][&day("2026-02-01")]);
    }
}

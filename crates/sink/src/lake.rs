//! The lake: where each partition is, how it is replaced, and which there are.

mod ahead;
mod cataloged;
mod checkpoints;
mod inventory;
mod journal;
mod months;
mod recent;
mod reports;
mod retention;
mod runs;
mod snapshot;
mod verified;

use crate::parquet_file::at_once;
use crate::store::{self, Condition, Fenced, OWN, Store};
use crate::table_file::{TableFile, decode};
use crate::{Compression, Holder, LakeLocation, Layout, Lease, LeaseOutcome, SinkError, SinkErrorKind, Version};
use ahead::Ahead;
pub use checkpoints::Collection;
pub use inventory::{Inventory, Object, OfDay, Unexpected};
pub use journal::JournalEntry;
pub use months::{Month, MonthPlan, VerifiedMonth};
pub use recent::{RecentDay, RecentDays};
pub use reports::{ReportFile, SeenReport};
pub use snapshot::Place;
pub use verified::Verification;

use arrow::array::RecordBatch;
use bytes::Bytes;
use chrono::TimeDelta;
use compline_model::{AggregatorId, Dataset, SnapshotDate, SnapshotMonth, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// One object of a table: an aggregator's day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// The table.
    pub table: Table,
    /// The day.
    pub date: SnapshotDate,
    /// The aggregator.
    pub aggregator: AggregatorId,
}

/// What was written of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The size of its file.
    pub bytes: u64,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

/// A partition as it is there.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its rows, as far as they were asked for.
    pub rows: RecordBatch,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

/// Objects that are read at once: enough to hide the way to S3.
pub const READ_CONCURRENCY: usize = 16;

/// The days that a table has, per aggregator.
pub type Partitions = BTreeMap<AggregatorId, BTreeSet<SnapshotDate>>;

/// The days that a table has, per aggregator, and which object each of them is, as far as the store says it.
pub type Versions = BTreeMap<AggregatorId, BTreeMap<SnapshotDate, Version>>;

/// The tables, on S3 or in a folder, and beside them what is noted of one dataset: its journal, its checkpoints, its rows of the ledger.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lake {
    store: Arc<dyn Store>,
    dataset: &'static Dataset,
    compression: Compression,
    ahead: Arc<Ahead>,
}

/// What the folder of a dataset's notes begins with. Packs have none: they were the first, and what is noted of them is where it was.
const OF_DATASET: &str = "dataset=";

impl Partition {
    /// Its path below the lake, in Hive's form, which Athena, Spark and DuckDB all know.
    ///
    /// ```
    /// use compline_model::Table;
    /// use compline_sink::Partition;
    ///
    /// let day = Partition { table: Table::PackCompliance, date: "2026-03-01".parse()?, aggregator: "org".parse()? };
    /// assert_eq!(day.key(), "pack_compliance/snapshot_date=2026-03-01/aggregator=org/data.parquet");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(&self) -> String {
        format!("{}/{}/data.parquet", self.table.name(), self.folder())
    }

    /// Its folder in its table's.
    pub(crate) fn folder(&self) -> String {
        format!("snapshot_date={}/aggregator={}", self.date, self.aggregator)
    }

    /// Those of a day in each of some tables.
    pub fn of_tables(tables: &[Table], date: SnapshotDate, aggregator: &AggregatorId) -> Vec<Self> {
        tables.iter().map(|table| Self { table: *table, date, aggregator: aggregator.clone() }).collect()
    }

    /// Reads a path below a table's folder; nothing if it is not one of ours.
    fn of_key(table: Table, key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(table.name())?.strip_prefix('/')?.split('/');
        let date = parts.next()?.strip_prefix("snapshot_date=")?.parse().ok()?;
        let aggregator = parts.next()?.strip_prefix("aggregator=")?.parse().ok()?;
        (parts.next() == Some("data.parquet") && parts.next().is_none()).then_some(Self { table, date, aggregator })
    }
}

impl Lake {
    /// Opens a lake. A folder is made by what is written into it; on S3 nothing is called yet.
    ///
    /// # Errors
    /// A file is in the way of the folder; S3 cannot be asked from this environment.
    pub async fn open(location: &LakeLocation, compression: Compression) -> Result<Self, SinkError> {
        Ok(Self { store: store::open(location).await?, dataset: &Dataset::PACKS, compression, ahead: Arc::default() })
    }

    /// The same lake with what is noted of another dataset. It opens with that of packs, which were the first.
    pub fn of(&self, dataset: &'static Dataset) -> Self {
        Self { dataset, ..self.clone() }
    }

    /// The dataset whose notes are read and written.
    pub fn dataset(&self) -> &'static Dataset {
        self.dataset
    }

    /// The folder of what is noted of the dataset, of one kind.
    fn notes(&self, kind: &str) -> String {
        match self.dataset == &Dataset::PACKS {
            true => format!("{OWN}{kind}/"),
            false => format!("{OWN}{kind}/{OF_DATASET}{}/", self.dataset.name),
        }
    }

    /// Acquires the lease that one run at a time has on an aggregator's days, unless another has it. That also proves, before
    /// hours of reading, that the lake may be written, and that its store checks the conditions of puts.
    ///
    /// A lease on S3 that was written within the last minute is another's, which is known at once. An older one is watched,
    /// within this call and over several of them, until it is renewed or has not been for a minute.
    ///
    /// # Errors
    /// A store that does not answer, does not take it, or has no conditional puts.
    pub async fn lease(&self, aggregator: &AggregatorId, holder: &Holder) -> Result<LeaseOutcome, SinkError> {
        self.store.lease(&lease_key(aggregator), holder).await
    }

    /// Who seems to hold the lease of an aggregator, which may be this very process; nothing is acquired.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn lease_holder(&self, aggregator: &AggregatorId) -> Result<Option<Holder>, SinkError> {
        self.store.lease_holder(&lease_key(aggregator)).await
    }

    /// The same lake for the holder of a lease: every change confirms the lease first, and replaces only what was there before
    /// that. So a process that was frozen, and whose lease another run has taken over, cannot replace what that run has committed.
    pub fn fenced(&self, lease: Arc<Lease>) -> Self {
        Self { store: Arc::new(Fenced::new(Arc::clone(&self.store), lease)), ..self.clone() }
    }

    /// The store's time less this machine's when the store last answered, to about a second; nothing for a folder, or before
    /// any answer.
    pub fn clock_offset(&self) -> Option<TimeDelta> {
        self.store.clock_offset()
    }

    /// Tries each thing that a night does in the lake on a small object outside the tables; gives how each went, up to the
    /// first put that fails.
    pub async fn probe(&self, holder: &Holder) -> Vec<(&'static str, Result<(), SinkError>)> {
        let key = format!("_compline/probe/{}", holder.run_id);
        let body = Bytes::from_static(b"compline");
        let put = self.store.put(&key, body.clone()).await;
        if put.is_err() {
            return vec![("put", put)];
        }
        let mut steps = vec![("put", put), ("get", self.try_get(&key, &body).await)];
        // The probe is there, and as it is: a store that puts another one all the same cannot keep two runs apart.
        for (step, header, condition) in [
            ("conditional put: If-None-Match", "If-None-Match", Condition::New),
            ("conditional put: If-Match", "If-Match", Condition::Unchanged(Version::of_no_object())),
        ] {
            steps.push((step, self.try_condition(&key, header, condition).await));
        }
        let lease = lease_beside(&key);
        // Without conditions there is none, which has been told by then.
        if steps[2..].iter().all(|(_, tried)| tried.is_ok()) {
            steps.push(("lease: acquire, confirm, release", self.try_lease(&lease, holder).await));
        }
        steps.push(("list", self.try_list(&key).await));
        steps.push(self.try_conditional_delete(&key).await);
        let deleted = self.store.delete(&[next_to(&key), lease, key]).await;
        // An own object is emptied where deletes are denied; one of a table, which is not there, tells whether they are.
        let of_a_table =
            format!("{}/snapshot_date=0001-01-01/aggregator=none/data.parquet", Table::PackCompliance.name());
        steps.push(match (&deleted, self.store.delete(&[of_a_table]).await) {
            (Ok(()), Err(_)) => {
                ("delete: denied, so that own objects are emptied and `maintain` drops nothing", deleted)
            }
            _ => ("delete", deleted),
        });
        steps
    }

    async fn try_get(&self, key: &str, body: &Bytes) -> Result<(), SinkError> {
        match self.store.get(key).await? {
            Some(read) if read == *body => Ok(()),
            _ => Err(SinkError::permanent(format!("read {key}"), "it is not what was just put there")),
        }
    }

    async fn try_list(&self, key: &str) -> Result<(), SinkError> {
        let listed = self.store.list("_compline/probe/").await?;
        if listed.iter().any(|object| object.key == key) {
            return Ok(());
        }
        Err(SinkError::permanent(format!("list {key}"), "it was just put there and is not listed"))
    }

    /// Puts another probe under a condition that does not hold, and then one under the same kind of condition that does.
    async fn try_condition(&self, key: &str, header: &str, condition: Condition) -> Result<(), SinkError> {
        let told = |error: SinkError| error.and_known(&format!("a put without {header} has just worked"));
        if self.store.put_if(key, Bytes::from_static(b"another"), condition.clone()).await.map_err(told)? {
            let reason = format!("this store ignores {header}, which a lease needs to keep two runs apart");
            let hint = "no run works here: use a store that has conditional puts, or a folder";
            return Err(
                SinkError::permanent(format!("replace {key} under a condition"), reason).hint(Some(hint.to_owned()))
            );
        }
        let (key, holds, why) = match condition {
            Condition::New => (next_to(key), Condition::New, "though there is no such object"),
            _ => {
                let seen = self.store.version(key).await?;
                (key.to_owned(), Condition::since(seen), "with the very entity tag that it gave")
            }
        };
        if self.store.put_if(&key, Bytes::from_static(b"the next"), holds).await.map_err(told)? {
            return Ok(());
        }
        let reason = format!("this store refuses {header} {why}");
        Err(SinkError::permanent(format!("put {key} under a condition"), reason))
    }

    /// What every run begins and ends with, on a lease that no run asks for.
    async fn try_lease(&self, key: &str, holder: &Holder) -> Result<(), SinkError> {
        match self.store.lease(key, holder).await? {
            LeaseOutcome::Taken(lease) => {
                lease.confirm().await?;
                lease.release().await
            }
            LeaseOutcome::HeldBy(other) => {
                let reason = format!("{other} holds it, though nobody else knows of it");
                Err(SinkError::permanent(format!("acquire the lease {key}"), reason))
            }
        }
    }

    /// A lease needs no conditional delete: it only makes the removal of an old day safer, so that a store may lack it.
    async fn try_conditional_delete(&self, key: &str) -> (&'static str, Result<(), SinkError>) {
        let ignored = "conditional delete: not known here, and not needed";
        match self.store.delete_if(key, &Version::of_no_object()).await {
            Ok(true) => (ignored, Ok(())),
            Ok(false) => ("conditional delete: If-Match", Ok(())),
            Err(error) => ("conditional delete: If-Match", Err(error)),
        }
    }

    /// Replaces a partition, at once and whole, and makes sure that it is there as it was put.
    ///
    /// # Errors
    /// The partition is then as it was, unless the error says that it is not as it was put.
    pub async fn commit(&self, partition: &Partition, rows: RecordBatch) -> Result<Committed, SinkError> {
        let file = self.encode(partition, rows).await?;
        self.commit_file(partition, Place::Table, file).await
    }

    /// Removes partitions.
    ///
    /// # Errors
    /// A store that does not remove it.
    pub async fn remove(&self, partitions: &[Partition]) -> Result<(), SinkError> {
        let keys: Vec<String> = partitions.iter().map(Partition::key).collect();
        keys.iter().for_each(|key| self.forget(key));
        self.store.delete(&keys).await
    }

    /// The rows of a partition, all columns or the named ones; nothing if it is not there.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is not whole.
    pub async fn read(
        &self,
        partition: &Partition,
        columns: Option<&'static [&'static str]>,
    ) -> Result<Option<RecordBatch>, SinkError> {
        self.read_key(partition.table, partition.key(), columns).await
    }

    /// Puts a file, and makes sure that it is there as it was put. One that is not is put again: readers see it.
    async fn put(&self, key: &str, file: Bytes) -> Result<Committed, SinkError> {
        self.forget(key);
        for attempt in 1.. {
            self.store.put(key, file.clone()).await?;
            match self.store.confirm(key, &file).await {
                Err(error) if attempt < MAX_PUTS && error.kind == SinkErrorKind::Transient => {
                    tracing::warn!(key, %error, "a put is not confirmed: putting it again");
                }
                confirmed => {
                    confirmed?;
                    break;
                }
            }
        }
        let committed = Committed { bytes: file.len() as u64, sha256: sha256(&file) };
        tracing::debug!(key, bytes = committed.bytes, "committed");
        Ok(committed)
    }

    /// What a small document notes, for whoever looks later. One that is damaged says nothing.
    async fn note<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, SinkError> {
        let file = self.store.get(key).await?;
        Ok(file.and_then(|file| serde_json::from_slice(&file).ok()))
    }

    async fn put_note(&self, key: &str, note: &impl Serialize) -> Result<(), SinkError> {
        let document = serde_json::to_vec_pretty(note)
            .map_err(|error| SinkError::permanent(format!("write {key}"), error.to_string()))?;
        self.put(key, Bytes::from(document)).await.map(drop)
    }

    async fn read_key(
        &self,
        table: Table,
        key: String,
        columns: Option<&'static [&'static str]>,
    ) -> Result<Option<RecordBatch>, SinkError> {
        let Some(file) = self.get(&key).await? else { return Ok(None) };
        blocking("decode", move || decode(table, file, columns, &key)).await.map(Some)
    }

    /// The file of a partition, whose rows are decoded as they are asked for; nothing if it is not there.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is not one of the table.
    pub async fn file(&self, partition: &Partition) -> Result<Option<TableFile>, SinkError> {
        self.file_in(partition, Place::Table).await
    }

    /// The same of a partition in its table, or of what is held of it.
    ///
    /// # Errors
    /// Those of [`Lake::file`].
    pub async fn file_in(&self, partition: &Partition, place: Place) -> Result<Option<TableFile>, SinkError> {
        let (table, key) = (partition.table, place.key(partition));
        let Some(file) = self.get(&key).await? else { return Ok(None) };
        blocking("decode", move || TableFile::open(table, file, &key)).await.map(Some)
    }

    /// Whether there is anything of a lake but leases: otherwise it was never written, or is another place than the one that is meant.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn is_there(&self) -> Result<bool, SinkError> {
        // Not the first of all objects: on a store that denies deletes that may be one of ours which was emptied.
        let tables = Table::ALL.into_iter().flat_map(|table| [Layout::Daily, Layout::Monthly].map(|of| of.name(table)));
        let own =
            ["ledger", "journal", "runs", "held", "checkpoints", "raw"].map(|folder| format!("_compline/{folder}"));
        for folder in tables.chain(own) {
            if self.store.first(&format!("{folder}/")).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The days that a table has. Objects that are not partitions of ours are left alone and not named.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn partitions(&self, table: Table) -> Result<Partitions, SinkError> {
        self.partitions_below(Place::Table, table, "").await
    }

    /// The days that a table has from one day on: as many lists as those days take, however long the history before them is.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn partitions_since(&self, table: Table, from: SnapshotDate) -> Result<Partitions, SinkError> {
        Ok(by_aggregator(self.objects_since(table, from).await?.map(|(partition, _)| partition)))
    }

    /// The same, with which object each of them is.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn versions_since(&self, table: Table, from: SnapshotDate) -> Result<(Partitions, Versions), SinkError> {
        let mut versions = Versions::new();
        let listed: Vec<_> = self.objects_since(table, from).await?.collect();
        for (Partition { date, aggregator, .. }, version) in &listed {
            let of_aggregator = versions.entry(aggregator.clone()).or_default();
            of_aggregator.extend(version.clone().map(|version| (*date, version)));
        }
        Ok((by_aggregator(listed.into_iter().map(|(partition, _)| partition)), versions))
    }

    async fn objects_since(
        &self,
        table: Table,
        from: SnapshotDate,
    ) -> Result<impl Iterator<Item = (Partition, Option<Version>)>, SinkError> {
        let folder = format!("{}/", table.name());
        let listed = self.store.list_after(&folder, &format!("{folder}snapshot_date={from}")).await?;
        Ok(listed.into_iter().filter_map(move |object| Some((Partition::of_key(table, &object.key)?, object.version))))
    }

    /// The days that a table has in the months from one day's to another's: a few lists, however long the history is.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn partitions_from(
        &self,
        table: Table,
        from: SnapshotDate,
        to: SnapshotDate,
    ) -> Result<Partitions, SinkError> {
        let mut partitions = Partitions::new();
        let mut month = SnapshotMonth::from(from);
        while month.first_day() <= to {
            let of_month = self.partitions_below(Place::Table, table, &format!("snapshot_date={month}-")).await?;
            for (aggregator, dates) in of_month {
                partitions.entry(aggregator).or_default().extend(dates);
            }
            month = month.first_day_after().into();
        }
        Ok(partitions)
    }

    /// Whether there is a day of the dataset of an aggregator, or an entry in its journal.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn has_some(&self, aggregator: &AggregatorId) -> Result<bool, SinkError> {
        Ok(!self.journal(aggregator).await?.is_empty()
            || self.partitions(self.dataset.facts).await?.contains_key(aggregator))
    }

    /// The first day that a table has, in one call to S3; nothing where another object comes before it.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn first_day(&self, table: Table) -> Result<Option<SnapshotDate>, SinkError> {
        let first = self.store.first(&format!("{}/", table.name())).await?;
        Ok(first.and_then(|object| Partition::of_key(table, &object.key)).map(|partition| partition.date))
    }

    /// The days of which something is held of a table.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn held_partitions(&self, table: Table) -> Result<Partitions, SinkError> {
        self.partitions_below(Place::Held, table, "").await
    }

    /// The partitions of a table, at a place, whose paths start like this.
    async fn partitions_below(&self, place: Place, table: Table, start: &str) -> Result<Partitions, SinkError> {
        let folder = place.folder();
        let listed = self.store.list(&format!("{folder}{}/{start}", table.name())).await?;
        let of_object = |key: &str| Partition::of_key(table, key.strip_prefix(folder)?);
        Ok(by_aggregator(listed.iter().filter_map(|object| of_object(&object.key))))
    }

    /// The months that a table has.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn months(&self, table: Table) -> Result<BTreeSet<Month>, SinkError> {
        let listed = self.store.list(&format!("{}/", crate::Layout::Monthly.name(table))).await?;
        Ok(listed.iter().filter_map(|object| Month::of_key(&object.key)).collect())
    }

    /// The archive class that a partition's file is in, if it is in one: it cannot be read before it is restored.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn archive_class(&self, partition: &Partition) -> Result<Option<String>, SinkError> {
        self.store.archive_class(&partition.key()).await
    }

    /// Waits for what is still being cleaned up, such as uploads given up half way.
    pub async fn settle(&self) {
        self.store.settle().await;
    }
}

/// The days of some partitions.
fn by_aggregator(partitions: impl Iterator<Item = Partition>) -> Partitions {
    let mut days = Partitions::new();
    for Partition { date, aggregator, .. } in partitions {
        days.entry(aggregator).or_default().insert(date);
    }
    days
}

/// How often a file is put that is not there as it was put.
const MAX_PUTS: u32 = 3;

fn lease_key(aggregator: &AggregatorId) -> String {
    format!("_compline/lease/aggregator={aggregator}.json")
}

pub(crate) fn sha256(file: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(file).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What of the work that takes the processor is done at once: more would be no sooner done, and each column of a file that is decoded takes
/// 160 KB for it, besides what it gives.
static CONCURRENCY: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(at_once()));

/// Runs work that takes the processor for long where it does not hold up the network: on another thread, in its turn, of which there are
/// as many as processors. Whoever holds others of these that nobody polls must not wait for one: they may have every turn.
///
/// # Errors
/// The work panicked, or the runtime is ending.
pub async fn computed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // It is never closed. The turn ends with the work, also where nobody waits for that any more.
    let turn = CONCURRENCY.acquire().await;
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    tokio::task::spawn_blocking(work).await
}

/// The same for work on a file.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    match computed(work).await {
        Ok(result) => result,
        Err(error) => Err(SinkError::permanent(format!("{doing} a Parquet file"), error)),
    }
}

/// Another probe beside one.
fn next_to(probe: &str) -> String {
    format!("{probe}-next")
}

fn lease_beside(probe: &str) -> String {
    format!("{probe}-lease.json")
}

#[cfg(test)]
impl Lake {
    /// A lake in a folder of a test.
    pub(crate) async fn in_folder(folder: &std::path::Path) -> Self {
        Self::open(&LakeLocation::Folder(folder.to_owned()), Compression::Zstd).await.expect("a lake")
    }

    /// A lake on a store of a test.
    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
        Self { store, dataset: &Dataset::PACKS, compression: Compression::Zstd, ahead: Arc::default() }
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parquet_file::tests::rows;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    fn partition(date: &str, aggregator: &str) -> Partition {
        Partition {
            table: Table::PackCompliance,
            date: date.parse().expect("a date"),
            aggregator: aggregator.parse().expect("an id"),
        }
    }

    async fn lake(folder: &tempfile::TempDir) -> Lake {
        Lake::in_folder(&folder.path().join("lake")).await
    }

    #[tokio::test]
    async fn a_partition_is_one_object_that_a_second_commit_replaces() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = lake(&folder).await;
        let partition = partition("2026-01-02", "org");
        lake.commit(&partition, rows(partition.table, 9)).await.expect("committed");
        lake.commit(&partition, rows(partition.table, 4)).await.expect("committed");
        assert_eq!(lake.read(&partition, None).await.expect("read"), Some(rows(partition.table, 4)));
        let files = lake.store.list("").await.expect("listed");
        let files: Vec<_> = files.iter().map(|file| file.key.as_str()).collect();
        assert_eq!(files, ["pack_compliance/snapshot_date=2026-01-02/aggregator=org/data.parquet"]);
    }

    #[tokio::test]
    async fn b47_a_lake_that_is_empty_has_no_partitions_and_reads_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = lake(&folder).await;
        assert_eq!(lake.partitions(Table::PackCompliance).await.expect("listed"), Partitions::new());
        assert_eq!(lake.read(&partition("2026-01-02", "org"), None).await.expect("read"), None);
    }

    #[tokio::test]
    async fn unexpected_objects_in_the_tree_are_not_taken_for_partitions() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = lake(&folder).await;
        for key in [
            "pack_compliance/snapshot_date=2026-01-02/aggregator=org/data.parquet",
            "pack_compliance/snapshot_date=2026-01-02/aggregator=org/copy.parquet",
            "pack_compliance/snapshot_date=2026-1-2/aggregator=org/data.parquet",
            "pack_compliance/snapshot_date=2026-01-03/aggregator=Org/data.parquet",
            "pack_compliance/snapshot_date=2026-01-04/aggregator=org/old/data.parquet",
            "pack_compliance/notes.txt",
            "pack_compliance_monthly/snapshot_date=2026-01-05/aggregator=org/data.parquet",
        ] {
            lake.store.put(key, Bytes::from_static(b"x")).await.expect("put");
        }
        let found = lake.partitions(Table::PackCompliance).await.expect("listed");
        let expected = partition("2026-01-02", "org");
        assert_eq!(found, Partitions::from([(expected.aggregator, BTreeSet::from([expected.date]))]));
    }

    #[tokio::test]
    async fn no_more_work_is_done_at_once_than_there_are_processors_also_where_nobody_waits_for_it_any_more() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            blocking("decode", move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                std::thread::sleep(Duration::from_millis(30));
                now.fetch_sub(1, SeqCst);
                Ok(())
            })
        };
        for _ in 0..2 * at_once() {
            let given_up = tokio::time::timeout(Duration::from_millis(5), work()).await;
            assert!(given_up.is_err(), "the work takes longer");
        }
        futures::future::join_all((0..4 * at_once()).map(|_| work())).await;
        let most = most.load(SeqCst);
        assert!((1..=at_once()).contains(&most), "{most}");
    }
}

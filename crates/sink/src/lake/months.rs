//! Months: a table's days of a month in one object, for scans over years. The days' own objects stay as they are.

use super::snapshot::{as_committed, file_as_committed};
use super::{Inventory, Lake, Partition, blocking};
use crate::month_file::{Footer, MonthDays, MonthReader, MonthWriter, Next, days_in, first_guess};
use crate::{Layout, SinkError, SinkErrorKind};
use arrow::array::RecordBatch;
use bytes::Bytes;
use compline_model::{AggregatorId, RowSource, SnapshotDate, SnapshotMonth, Table};
use std::collections::{BTreeMap, BTreeSet};

/// An aggregator's month of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// The table.
    pub table: Table,
    /// The month.
    pub month: SnapshotMonth,
    /// The aggregator.
    pub aggregator: AggregatorId,
}

/// What a month's object is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthPlan {
    /// The month.
    pub month: Month,
    /// Days that have an object of their own.
    pub days: BTreeSet<SnapshotDate>,
    /// Days that only the month's present object has.
    pub only_in_month: BTreeSet<SnapshotDate>,
    /// SHA-256 of the files that were committed, as far as the ledger says it. Another file is not taken for a day's.
    pub committed: BTreeMap<SnapshotDate, String>,
    /// How many rows were committed of the days that only the month's present object has, as far as the ledger says it.
    pub rows: BTreeMap<SnapshotDate, u64>,
}

impl MonthPlan {
    /// Every day, in order.
    pub fn all(&self) -> impl Iterator<Item = SnapshotDate> {
        self.days.union(&self.only_in_month).copied()
    }
}

impl Month {
    /// Its path below the lake.
    pub fn key(&self) -> String {
        format!("{}/{}/data.parquet", Layout::Monthly.name(self.table), self.folder())
    }

    /// Its folder in its table's.
    pub(crate) fn folder(&self) -> String {
        format!("snapshot_month={}/aggregator={}", self.month, self.aggregator)
    }

    /// Reads a path; nothing if it is not one of ours.
    pub(super) fn of_key(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let folder = parts.next()?;
        let table = Table::ALL.into_iter().find(|table| Layout::Monthly.name(*table) == folder)?;
        let month = parts.next()?.strip_prefix("snapshot_month=")?.parse().ok()?;
        let aggregator = parts.next()?.strip_prefix("aggregator=")?.parse().ok()?;
        (parts.next() == Some("data.parquet") && parts.next().is_none()).then_some(Self { table, month, aggregator })
    }

    fn day(&self, date: SnapshotDate) -> Partition {
        Partition { table: self.table, date, aggregator: self.aggregator.clone() }
    }
}

impl Lake {
    /// The days that a month's object has, which is so many bytes. Reads its end alone.
    ///
    /// # Errors
    /// A store that does not answer, or an object that is damaged or gone.
    pub async fn days_of_month(&self, month: &Month, bytes: u64) -> Result<MonthDays, SinkError> {
        let key = month.key();
        let mut length = first_guess(bytes);
        loop {
            let Some(end) = self.store.get_range(&key, bytes - length..bytes).await? else {
                return Err(gone(&key));
            };
            match days_in(month.table, &end, bytes, &key)? {
                Footer::Days(days) => return Ok(days),
                Footer::Needs(more) => length = more.min(bytes),
            }
        }
    }

    /// The rows of a day in a month's object; nothing where there is no object, or none that has the day and can be read.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn day_in_month(&self, month: &Month, date: SnapshotDate) -> Result<Option<RecordBatch>, SinkError> {
        let key = month.key();
        let Some(file) = self.store.get(&key).await? else { return Ok(None) };
        let table = month.table;
        let read = blocking("decode", move || MonthReader::open(table, file, &key)?.skip_to(date));
        match read.await {
            Err(error) if error.is_damage() => Ok(None),
            read => read,
        }
    }

    /// The days that can be had from a month's object: none where there is no object, or one that is damaged.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn days_within(&self, inventory: &Inventory, month: &Month) -> Result<MonthDays, SinkError> {
        let Some(object) = inventory.months.get(month) else { return Ok(MonthDays::new()) };
        match self.days_of_month(month, object.bytes).await {
            Err(error) if error.is_damage() => Ok(MonthDays::new()),
            days => days,
        }
    }

    /// Makes a month's object: of the days that have an object of their own, and of those that only the month's present object
    /// has. It is compared with its sources row for row before it is put in place. Gives its size, and the days that it has.
    ///
    /// # Errors
    /// A store that does not answer, a day or a month that is damaged, gone or another than the one that was committed, or rows
    /// that are not the same. Nothing is put then.
    pub async fn compact(&self, plan: &MonthPlan) -> Result<(u64, MonthDays), SinkError> {
        let mut sources = Sources::open(self, plan).await?;
        let mut writer = MonthWriter::new(&plan.month, self.compression)?;
        for date in plan.all() {
            let Source { rows, sha256 } = sources.day(date).await?;
            writer = blocking("encode", move || writer.push(date, &*rows, sha256).map(|()| writer)).await?;
        }
        let file = blocking("encode", move || writer.finish()).await?;
        let sources = Sources::open(self, plan).await?;
        let days = self.compare(&plan.month, file.clone(), sources).await?.whole()?;
        Ok((self.put(&plan.month.key(), file).await?.bytes, days))
    }

    /// Compares a month's object row for row with those of its days that have an object of their own, and one that is not another than
    /// was committed, by SHA-256 as far as that is given.
    ///
    /// # Errors
    /// A store that does not answer, a month that is damaged, or rows that are not the same.
    pub async fn verify_month(
        &self,
        month: &Month,
        days: &BTreeSet<SnapshotDate>,
        committed: BTreeMap<SnapshotDate, String>,
    ) -> Result<VerifiedMonth, SinkError> {
        let (days, only_in_month) = (days.clone(), BTreeSet::new());
        let plan = MonthPlan { month: month.clone(), days, only_in_month, committed, rows: BTreeMap::new() };
        let sources = Sources::open(self, &plan).await?;
        match self.store.get(&month.key()).await? {
            Some(file) => self.compare(month, file, sources).await,
            None => Err(gone(&month.key())),
        }
    }

    /// How many rows a month's object has of each day; nothing of one that is damaged or gone.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn rows_in_month(&self, month: &Month) -> Result<BTreeMap<SnapshotDate, usize>, SinkError> {
        let Some(file) = self.store.get(&month.key()).await? else { return Ok(BTreeMap::new()) };
        let (table, key) = (month.table, month.key());
        let count = move || {
            let mut reader = MonthReader::open(table, file, &key)?;
            let dates: Vec<SnapshotDate> = reader.days.keys().copied().collect();
            dates.into_iter().map(|date| Ok((date, reader.pass(date)?))).collect()
        };
        match blocking("decode", count).await {
            Err(error) if error.is_damage() => Ok(BTreeMap::new()),
            counted => counted,
        }
    }

    async fn compare(&self, month: &Month, file: Bytes, mut sources: Sources<'_>) -> Result<VerifiedMonth, SinkError> {
        let (table, key) = (month.table, month.key());
        let mut reader = open(table, file, key.clone()).await?;
        let differs = |what: String| {
            let hint = "`compline verify FILE --repair` makes it again from its days";
            Err(SinkError::damaged(format!("compare {key} with its days"), what).hint(Some(hint.to_owned())))
        };
        let (in_file, mut rows_of_others, mut damaged_days) = (reader.days.clone(), BTreeMap::new(), BTreeMap::new());
        if let Some(missing) = sources.plan.all().find(|date| !in_file.contains_key(date)) {
            return differs(format!("{missing} is not in it"));
        }
        for date in in_file.keys().copied() {
            let own = match sources.has(date) {
                true => match sources.day(date).await {
                    Err(error) if error.is_damage() => Some(Err(error)),
                    source => Some(Ok(source?.rows)),
                },
                false => None,
            };
            let next;
            (reader, next) = blocking("decode", move || reader.next_is(date, own).map(|next| (reader, next))).await?;
            match next {
                Next::Same => {}
                Next::Other => return differs(format!("the rows of {date} are not the same")),
                // A day that is damaged says nothing of the month, which may have its only good copy.
                Next::NotCompared { rows, why } => {
                    rows_of_others.insert(date, rows);
                    damaged_days.extend(why.map(|error| (date, error)));
                }
            }
        }
        let (_, at_its_end) = blocking("decode", move || reader.is_at_its_end().map(|end| (reader, end))).await?;
        if at_its_end {
            Ok(VerifiedMonth { days: in_file, rows_of_others, damaged_days })
        } else {
            differs("it has more rows than its days".to_owned())
        }
    }
}

/// What a month's object has that was compared with its days.
#[derive(Debug)]
pub struct VerifiedMonth {
    /// Its days, each with the SHA-256 of the file that it was made from.
    pub days: MonthDays,
    /// Of those that have no object of their own, or a damaged one, with which nothing was compared: how many rows it has.
    pub rows_of_others: BTreeMap<SnapshotDate, usize>,
    /// Those whose own objects are damaged or others than were committed, and how.
    pub damaged_days: BTreeMap<SnapshotDate, SinkError>,
}

impl VerifiedMonth {
    /// Its days, where each that has an object of its own was compared.
    ///
    /// # Errors
    /// An object of a day that is damaged.
    fn whole(mut self) -> Result<MonthDays, SinkError> {
        match self.damaged_days.pop_first() {
            Some((_, error)) => Err(error),
            None => Ok(self.days),
        }
    }
}

/// A day that goes into a month.
struct Source {
    rows: Box<dyn RowSource>,
    /// SHA-256 of the file that it has, or had.
    sha256: String,
}

/// Where the days of a month come from, in order of their dates.
struct Sources<'a> {
    lake: &'a Lake,
    plan: &'a MonthPlan,
    /// The month's present object, where it is the only one that has some of the days.
    present: Option<MonthReader>,
}

impl<'a> Sources<'a> {
    async fn open(lake: &'a Lake, plan: &'a MonthPlan) -> Result<Self, SinkError> {
        let mut present = None;
        let month = &plan.month;
        if !plan.only_in_month.is_empty() {
            let key = month.key();
            let file = lake.store.get(&key).await?.ok_or_else(|| gone(&key))?;
            present = Some(open(month.table, file, key).await?);
        }
        Ok(Self { lake, plan, present })
    }

    fn has(&self, date: SnapshotDate) -> bool {
        self.plan.days.contains(&date) || self.plan.only_in_month.contains(&date)
    }

    /// The rows of a day, which comes after those that were asked for.
    async fn day(&mut self, date: SnapshotDate) -> Result<Source, SinkError> {
        let month = &self.plan.month;
        let committed = self.plan.committed.get(&date).map(String::as_str);
        if self.plan.days.contains(&date) {
            let partition = month.day(date);
            let key = partition.key();
            let file = self.lake.file(&partition).await?.ok_or_else(|| gone(&key))?;
            let (file, sha256) = file_as_committed(key, file, committed.map(str::to_owned)).await?;
            return Ok(Source { rows: Box::new(file), sha256 });
        }
        let Some(mut reader) = self.present.take() else { return Err(gone(&month.key())) };
        let sha256 = reader.days.get(&date).cloned().unwrap_or_default();
        as_committed(&format!("{} of {date}", month.key()), committed, &sha256)?;
        let (reader, rows) = blocking("decode", move || reader.skip_to(date).map(|rows| (reader, rows))).await?;
        self.present = Some(reader);
        let gone = || SinkError::permanent("read a month", format!("{date} is not in it any more"));
        let (rows, key) = (rows.ok_or_else(gone)?, month.key());
        if let Some(committed) = self.plan.rows.get(&date).filter(|committed| **committed != rows.num_rows() as u64) {
            let what = format!("it has {} rows of {date}, and the ledger says {committed}", rows.num_rows());
            return Err(SinkError::damaged(format!("read {key}"), what)
                .hint(Some("nothing else has that day: restore an earlier version of the object".to_owned())));
        }
        Ok(Source { rows: Box::new(rows), sha256 })
    }
}

/// Opens a month, off the thread that waits: its checksum is of the whole file.
async fn open(table: Table, file: Bytes, key: String) -> Result<MonthReader, SinkError> {
    blocking("decode", move || MonthReader::open(table, file, &key)).await
}

fn gone(key: &str) -> SinkError {
    SinkError::new(SinkErrorKind::Transient, format!("read {key}"), "it was there and is gone")
}

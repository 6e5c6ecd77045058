//! Months: a table's days of a month in one object, for scans over years. The days' own objects stay as they are.

use super::{Kept, Lake, Partition, blocking};
use crate::month_file::{Footer, MonthDays, MonthReader, MonthWriter, days_in, first_guess};
use crate::{Layout, SinkError, SinkErrorKind};
use bytes::Bytes;
use compline_model::{AggregatorId, SnapshotDate, SnapshotMonth, Table};
use std::collections::BTreeSet;

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

impl Month {
    /// Its path below the lake.
    pub fn key(&self) -> String {
        let Self { table, month, aggregator } = self;
        format!("{}/snapshot_month={month}/aggregator={aggregator}/data.parquet", Layout::Monthly.name(*table))
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
                return Err(SinkError::new(
                    SinkErrorKind::Transient,
                    format!("read {key}"),
                    "it was there and is gone",
                ));
            };
            match days_in(month.table, &end, bytes, &key)? {
                Footer::Days(days) => return Ok(days),
                Footer::Needs(more) => length = more.min(bytes),
            }
        }
    }

    /// Makes a month's object of these days. It is held against them row for row before it is put in place. Gives its size.
    ///
    /// # Errors
    /// A store that does not answer, a day that is damaged or gone, or rows that are not the same. Nothing is put then.
    pub async fn compact(&self, month: &Month, days: &BTreeSet<SnapshotDate>) -> Result<u64, SinkError> {
        let (table, compression) = (month.table, self.compression);
        let mut writer = MonthWriter::new(table, compression)?;
        for date in days {
            let Kept { rows, sha256 } = self.day_of(month, *date).await?;
            let date = *date;
            writer = blocking("encode", move || writer.push(date, &rows, sha256).map(|()| writer)).await?;
        }
        let file = blocking("encode", move || writer.finish()).await?;
        self.hold_against_days(month, file.clone(), days).await?;
        Ok(self.put(&month.key(), file).await?.bytes)
    }

    /// Holds a month's object row for row against those of its days that have an object of their own.
    ///
    /// # Errors
    /// A store that does not answer, an object that is damaged, or rows that are not the same.
    pub async fn verify_month(&self, month: &Month, days: &BTreeSet<SnapshotDate>) -> Result<(), SinkError> {
        let key = month.key();
        match self.store.get(&key).await? {
            Some(file) => self.hold_against_days(month, file, days).await,
            None => Err(SinkError::new(SinkErrorKind::Transient, format!("read {key}"), "it was there and is gone")),
        }
    }

    async fn day_of(&self, month: &Month, date: SnapshotDate) -> Result<Kept, SinkError> {
        let partition = month.day(date);
        let gone = || {
            SinkError::new(SinkErrorKind::Transient, format!("read {}", partition.key()), "it was there and is gone")
        };
        self.kept(&partition).await?.ok_or_else(gone)
    }

    async fn hold_against_days(
        &self,
        month: &Month,
        file: Bytes,
        there: &BTreeSet<SnapshotDate>,
    ) -> Result<(), SinkError> {
        let (table, key) = (month.table, month.key());
        let mut reader = MonthReader::open(table, file, &key)?;
        let differs = |what: String| {
            let hint = "`compline maintain --apply` makes it again from its days";
            Err(SinkError::permanent(format!("take {} for its days", month.key()), what).hint(Some(hint.to_owned())))
        };
        let in_file: BTreeSet<SnapshotDate> = reader.days.keys().copied().collect();
        if let Some(missing) = there.difference(&in_file).next() {
            return differs(format!("{missing} is not in it"));
        }
        for date in in_file {
            let same;
            if there.contains(&date) {
                let kept = self.day_of(month, date).await?;
                (reader, same) = blocking("decode", move || {
                    let same = reader.next_is(date, &kept.rows)?;
                    Ok((reader, same))
                })
                .await?;
            } else {
                (reader, same) = blocking("decode", move || reader.skip(date).map(|()| (reader, true))).await?;
            }
            if !same {
                return differs(format!("the rows of {date} are not the same"));
            }
        }
        let (_, at_its_end) = blocking("decode", move || reader.is_at_its_end().map(|end| (reader, end))).await?;
        if at_its_end { Ok(()) } else { differs("it has more rows than its days".to_owned()) }
    }
}

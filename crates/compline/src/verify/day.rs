//! One aggregator's day: its files, and what they say of each other.

use crate::nightly::LastCommit;
use arrow::array::{AsArray, RecordBatch, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::Int32Type;
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Kept, Lake, Partition};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The day that is verified.
pub(super) struct Day<'a> {
    pub(super) lake: &'a Lake,
    pub(super) id: &'a AggregatorId,
    pub(super) date: SnapshotDate,
    /// Whether the settings say that such a day's `pack_status` is no longer kept.
    pub(super) status_is_dropped: bool,
    /// Whether they say so of its snapshot, and it is of before the first that is there.
    pub(super) snapshot_is_dropped: bool,
}

/// What was found.
#[derive(Default)]
pub(super) struct Verified {
    pub(super) snapshot_rows: u64,
    pub(super) wrong: Vec<String>,
}

/// What one file says that others must agree with.
#[derive(Default)]
struct Said {
    snapshot: Option<Kept>,
    source_status_sha256: Option<String>,
    present: Option<usize>,
    packs_total: Option<i32>,
    ledger: Option<RecordBatch>,
}

impl Day<'_> {
    /// Reads the day's files, of the tables that have one.
    pub(super) async fn verify(&self, tables: BTreeSet<Table>) -> anyhow::Result<Verified> {
        let mut found = Verified::default();
        self.completeness(&tables, &mut found);
        let mut said = Said::default();
        for table in tables {
            let partition = Partition { table, date: self.date, aggregator: self.id.clone() };
            match self.lake.kept(&partition).await {
                Ok(Some(kept)) => {
                    let key = partition.key();
                    let (kept, order) = tokio::task::spawn_blocking(move || {
                        let order = disorder(table, &kept.rows);
                        (kept, order)
                    })
                    .await?;
                    found.wrong.extend(order.map(|what| format!("{key}: {what}")));
                    said.note(table, kept);
                }
                Ok(None) => found.wrong.push(format!("{} was there and is gone", partition.key())),
                Err(error) => found.wrong.push(error.to_string()),
            }
        }
        found.snapshot_rows = said.snapshot.as_ref().map_or(0, |snapshot| snapshot.rows.num_rows() as u64);
        self.agreement(&said, &mut found);
        Ok(found)
    }

    /// A day has every table, or it has none but the ledger.
    fn completeness(&self, tables: &BTreeSet<Table>, found: &mut Verified) {
        let date = self.date;
        if tables.contains(&Table::PackCompliance) {
            let may_be_gone = |table: &Table| *table == Table::PackStatus && self.status_is_dropped;
            let missing = Table::ALL.into_iter().filter(|table| !tables.contains(table) && !may_be_gone(table));
            found.wrong.extend(missing.map(|table| format!("{} of {date} is not there", table.name())));
            return;
        }
        let orphans = tables.iter().filter(|table| **table != Table::Runs && !self.snapshot_is_dropped);
        let words =
            |table: &Table| format!("{} of {date} is there, and its snapshot in pack_compliance is not", table.name());
        found.wrong.extend(orphans.map(words));
    }

    fn agreement(&self, said: &Said, found: &mut Verified) {
        let date = self.date;
        let Some(snapshot) = &said.snapshot else { return };
        let rows = snapshot.rows.num_rows();
        if let Some(present) = said.present.filter(|present| *present != rows) {
            found
                .wrong
                .push(format!("pack_status of {date} has {present} packs that are present, and the snapshot {rows}"));
        }
        if let Some(total) = said.packs_total.filter(|total| usize::try_from(*total) != Ok(rows)) {
            found.wrong.push(format!("compliance_trends of {date} counts {total} packs, and the snapshot has {rows}"));
        }
        let Some(ledger) = &said.ledger else { return };
        match LastCommit::of(ledger) {
            None => found.wrong.push(format!("the ledger of {date} has no run that committed its snapshot")),
            Some(line) if !line.is_of(snapshot) => {
                found.wrong.push(format!("the snapshot of {date} is not the one that the ledger says was committed"));
            }
            Some(line) if line.source_status_differs(said.source_status_sha256.as_deref()) => {
                found.wrong.push(format!("source_status of {date} is not the one that the ledger says was committed"));
            }
            Some(_) => {}
        }
    }
}

impl Said {
    fn note(&mut self, table: Table, kept: Kept) {
        let rows = &kept.rows;
        match table {
            Table::PackCompliance => self.snapshot = Some(kept),
            Table::SourceStatus => self.source_status_sha256 = Some(kept.sha256),
            Table::PackStatus => self.present = Some(rows["is_present"].as_boolean().true_count()),
            Table::ComplianceTrends => {
                let of_all = rows["dimension"].as_string_view().iter().position(|name| name == Some("aggregator"));
                self.packs_total = of_all.map(|row| rows["packs_total"].as_primitive::<Int32Type>().value(row));
            }
            Table::Runs => self.ledger = Some(kept.rows),
            Table::PackChanges => {}
        }
    }
}

/// What is wrong with the order of a table's rows: they are sorted by its key, which names a row.
fn disorder(table: Table, rows: &RecordBatch) -> Option<String> {
    let compare = |name: &&str| {
        let column = &rows[*name];
        make_comparator(column.as_ref(), column.as_ref(), SortOptions::default())
    };
    let comparators: Vec<_> = match table.sort_key().iter().map(compare).collect() {
        Ok(comparators) => comparators,
        Err(error) => return Some(format!("its rows cannot be compared: {error}")),
    };
    let order = |row: usize| comparators.iter().map(|compare| compare(row - 1, row)).find(|order| order.is_ne());
    (1..rows.num_rows()).find_map(|row| match order(row) {
        Some(Ordering::Less) => None,
        Some(_) => Some(format!("row {} comes before the one above it in the table's order", row + 1)),
        None => Some(format!("rows {row} and {} have the same key", row + 1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, StringViewArray};
    use arrow::compute::{concat_batches, take_record_batch};
    use std::sync::Arc;

    fn rows(keys: &[(&str, &str)]) -> RecordBatch {
        let column = |values: Vec<&str>| Arc::new(StringViewArray::from(values)) as Arc<dyn Array>;
        let (dimensions, values) = keys.iter().copied().unzip();
        RecordBatch::try_from_iter([("dimension", column(dimensions)), ("dimension_value", column(values))])
            .expect("rows")
    }

    #[test]
    fn rows_out_of_order_and_keys_that_come_twice_are_told_by_their_row() {
        let sorted = rows(&[("account", "1"), ("account", "2"), ("region", "1")]);
        let table = Table::ComplianceTrends;
        assert_eq!(disorder(table, &sorted), None);
        assert_eq!(disorder(table, &sorted.slice(0, 0)), None);
        let order =
            |order: Vec<u32>| take_record_batch(&sorted, &arrow::array::UInt32Array::from(order)).expect("rows");
        assert_eq!(
            disorder(table, &order(vec![0, 2, 1])).as_deref(),
            Some("row 3 comes before the one above it in the table's order")
        );
        let twice = concat_batches(&sorted.schema(), [&sorted.slice(0, 2), &sorted.slice(1, 1)]).expect("rows");
        assert_eq!(disorder(table, &twice).as_deref(), Some("rows 2 and 3 have the same key"));
    }
}

//! One aggregator's day: its files, and what they say of each other.

use super::{Part, Problem};
use crate::ledger::{InFile, Ledger};
use arrow::array::{AsArray, RecordBatch, make_comparator};
use arrow::compute::{SortOptions, concat_batches};
use arrow::datatypes::Int32Type;
use compline_model::{AggregatorId, Dataset, RowError, RowSource, SnapshotDate, Table, row_parts};
use compline_sink::{Lake, Partition, SinkError, TableFile};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

/// Why nothing makes a ledger again.
const NOT_TOLD: &str = "the documents of its runs in _compline/ledger and _compline/runs are damaged or gone, so that it cannot be \
    made again from them";

/// The most bytes of a day's files that are fetched together.
const TOGETHER: u64 = 8 << 20;

/// The day that is verified.
pub(super) struct Day<'a> {
    pub(super) lake: &'a Lake,
    pub(super) dataset: &'static Dataset,
    pub(super) id: &'a AggregatorId,
    pub(super) date: SnapshotDate,
    /// Whether its trend tables were compared with what they must be, and are that.
    pub(super) trends_are_sound: bool,
    /// Whether such a day's state is no longer retained.
    pub(super) status_is_dropped: bool,
    /// What was found in files that were read already, each at a moment of its own.
    pub(super) looked: BTreeMap<Table, Looked>,
    /// What documents say its ledger is, where its file does not say that.
    pub(super) corrected: Option<Ledger>,
    /// Whether that its ledger is gone is told already.
    pub(super) ledger_is_told: bool,
    /// Whether a version whose ledger did not say so may have dropped the snapshot, as the settings have it.
    pub(super) was_dropped_before_the_ledger_said_so: bool,
}

/// What was found in a file, or nothing where there is none.
pub(super) type Looked = Result<Option<Contents>, SinkError>;

/// What was found.
pub(super) struct Verified {
    pub(super) date: SnapshotDate,
    pub(super) snapshot_rows: u64,
    pub(super) problems: Vec<Problem>,
    pub(super) is_dropped: bool,
    /// Computed tables of a dropped day that are damaged or gone, each with what is wrong: nothing computes them again.
    pub(super) lost: Vec<(Table, String)>,
    pub(super) ledger: Ledger,
    /// Whether there is a ledger that is damaged.
    pub(super) ledger_is_damaged: bool,
}

/// What the files say that they must agree on.
#[derive(Default)]
struct Said {
    /// Its rows, and SHA-256 of its file.
    snapshot: Option<(usize, String)>,
    source_status_sha256: Option<String>,
    present: Option<usize>,
    total: Option<i32>,
    ledger: Option<InFile>,
}

impl Day<'_> {
    /// Verifies the day, whose tables have files of so many bytes each.
    pub(super) async fn verify(mut self, files: &BTreeMap<Table, u64>) -> anyhow::Result<Verified> {
        let looked = mem::take(&mut self.looked);
        let is_of_two_moments = !looked.is_empty();
        let verified = self.with(looked, files).await?;
        if (verified.problems.is_empty() && verified.lost.is_empty()) || !is_of_two_moments {
            return Ok(verified);
        }
        // Another run may have replaced the day since: what is of one moment says whether it is wrong.
        self.with(BTreeMap::new(), files).await
    }

    /// Reads the day's files, but for those that were looked at.
    async fn with(
        &self,
        mut looked: BTreeMap<Table, Looked>,
        files: &BTreeMap<Table, u64>,
    ) -> anyhow::Result<Verified> {
        let tables: BTreeSet<Table> = files.keys().copied().collect();
        let mut problems: Vec<(Part, String)> = Vec::new();
        let (mut said, mut unread) = (Said::default(), Vec::new());
        // The ledger is shared: what is wrong with it is told with packs.
        let is_told = |table: Table| table != Table::Runs || self.dataset == &Dataset::PACKS;
        let mut ledger_is_damaged = false;
        let unsettled = |table: &&Table| !(self.trends_are_sound && table.is_derived());
        let unsettled: Vec<Table> = tables.iter().filter(unsettled).copied().collect();
        // Together, unless they are so large that the way to them is the least of it.
        let unread_yet = unsettled.iter().filter(|table| !looked.contains_key(table));
        let bytes: u64 = unread_yet.clone().filter_map(|table| files.get(table)).sum();
        let (id, date) = (self.id, self.date);
        let partition = |table: Table| Partition { table, date, aggregator: id.clone() };
        let lake = self.lake.reading_ahead();
        if bytes <= TOGETHER {
            lake.read_ahead(unread_yet.map(|table| partition(*table)));
        }
        for table in unsettled {
            let partition = partition(table);
            let found = match looked.remove(&table) {
                Some(found) => found,
                None => look(&lake, self.dataset, &partition).await,
            };
            match found {
                Ok(Some(contents)) => {
                    let key = partition.key();
                    let order = contents.disorder.as_ref().filter(|_| is_told(table));
                    ledger_is_damaged |= table == Table::Runs && order.is_some();
                    let how = match table {
                        Table::Runs => "; `compline verify FILE --repair` writes it again in order",
                        _ if table.is_derived() => "; `compline verify FILE --repair` computes it again",
                        _ => "",
                    };
                    problems.extend(order.map(|what| (Part::of(table), format!("{key}: {what}{how}"))));
                    said.note(self.dataset, table, contents);
                }
                Ok(None) if !is_told(table) => {}
                Ok(None) => problems.push((Part::of(table), format!("{} was there and is gone", partition.key()))),
                Err(_) if !is_told(table) => {}
                Err(error) => {
                    // One of a newer version, or that cannot be read for the moment, is not to be made again.
                    ledger_is_damaged |= table == Table::Runs && error.is_damage();
                    unread.push((table, error));
                }
            }
        }
        let ledger_is_read = said.ledger.is_some();
        let ledger = self.corrected.clone().or(said.ledger.take().map(|file| file.ledger));
        let ledger = ledger.unwrap_or_else(|| Ledger::none(self.dataset));
        // One that was dropped and is there again was restored. Where the ledger does not say so, a day whose snapshot is there in part was
        // not: it goes as a whole.
        let is_there = |table: &Table| tables.contains(table);
        let is_taken_for_dropped = self.was_dropped_before_the_ledger_said_so
            && ledger.is_of_older_version()
            && !self.dataset.snapshot().iter().any(is_there);
        let is_dropped = !is_there(&self.dataset.facts) && (ledger.is_dropped() || is_taken_for_dropped);
        let mut lost = if is_dropped { self.lost(&tables, &ledger) } else { Vec::new() };
        for (table, error) in unread {
            if is_dropped && table.is_derived() && error.is_damage() {
                lost.push((table, error.hint(None).to_string()));
                continue;
            }
            let hint = match error.is_damage() {
                true if table == Table::Runs && !self.ledger_can_be_made(&tables).await? => Some(NOT_TOLD),
                _ => None,
            };
            let error = match hint {
                Some(why) => error.hint(Some(format!("{why}: restore an earlier version of the object"))),
                None => error,
            };
            problems.push((Part::of(table), error.to_string()));
        }
        problems.extend(self.completeness(&tables, ledger_is_read.then_some(&ledger), is_dropped));
        problems.extend(self.agreement(&said, ledger_is_read.then_some(&ledger)));
        Ok(Verified {
            date: self.date,
            snapshot_rows: said.snapshot.as_ref().map_or(0, |(rows, _)| *rows as u64),
            problems: problems.into_iter().map(|(part, what)| Problem::new(Some(self.date), part, what)).collect(),
            is_dropped,
            lost,
            ledger,
            ledger_is_damaged,
        })
    }

    /// Whether `--repair` can make the ledger again.
    async fn ledger_can_be_made(&self, tables: &BTreeSet<Table>) -> anyhow::Result<bool> {
        let has_facts = tables.contains(&self.dataset.facts);
        Ok(Ledger::is_told(self.lake, self.id, self.date, has_facts).await?.unwrap_or_default())
    }

    /// A day has every table, or it has none but the ledger.
    fn completeness(&self, tables: &BTreeSet<Table>, ledger: Option<&Ledger>, is_dropped: bool) -> Vec<(Part, String)> {
        let (date, facts) = (self.date, self.dataset.facts);
        let has_facts = tables.contains(&facts);
        let last = ledger.and_then(Ledger::last_commit);
        if has_facts {
            // Whether a day has trends is not known where its ledger cannot be read.
            let facts_only = last.map_or(ledger.is_none(), |row| row.facts_only.unwrap_or_default());
            let may_be_missing = |table: &Table| {
                (*table == self.dataset.status && self.status_is_dropped)
                    || (facts_only && table.is_derived())
                    || (*table == Table::Runs && self.ledger_is_told)
            };
            let all = self.dataset.tables_and_ledger().into_iter();
            let missing = all.filter(|table| !tables.contains(table) && !may_be_missing(table));
            // The first run of a day writes its ledger after its snapshot.
            let part = |table| if table == Table::Runs { Part::Snapshot } else { Part::of(table) };
            let words = |table: Table| (part(table), format!("{} of {date} is not there", table.name()));
            return missing.map(words).collect();
        }
        if is_dropped {
            return Vec::new();
        }
        if let Some(last) = last {
            let what = format!(
                "{} of {date} is not there, and the ledger says that run {} committed it: restore it",
                facts.name(),
                last.run_id
            );
            return vec![(Part::Snapshot, what)];
        }
        let orphans: Vec<&str> =
            tables.iter().filter(|table| **table != Table::Runs).map(|table| table.name()).collect();
        match &orphans[..] {
            [] => Vec::new(),
            names => {
                let (names, are) = (names.join(", "), if names.len() == 1 { "is" } else { "are" });
                vec![(
                    Part::Snapshot,
                    format!("{names} of {date} {are} there, and its snapshot in {} is not", facts.name()),
                )]
            }
        }
    }

    /// What is computed, was retained when the day was dropped, and is not there.
    fn lost(&self, tables: &BTreeSet<Table>, ledger: &Ledger) -> Vec<(Table, String)> {
        let facts_only = ledger.last_commit().is_some_and(|row| row.facts_only.unwrap_or_default());
        let is_lost = |table: &Table| {
            let is_retained = *table != self.dataset.status || !self.status_is_dropped;
            table.is_derived() && !facts_only && is_retained && !tables.contains(table)
        };
        let words = |table: Table| (table, format!("{} of {} is not there", table.name(), self.date));
        self.dataset.tables().into_iter().filter(is_lost).map(words).collect()
    }

    fn agreement(&self, said: &Said, ledger: Option<&Ledger>) -> Vec<(Part, String)> {
        let date = self.date;
        let mut found = Vec::new();
        let Some((rows, sha256)) = &said.snapshot else { return found };
        let rows = *rows;
        if let Some(present) = said.present.filter(|present| *present != rows) {
            let (status, items) = (self.dataset.status.name(), self.dataset.name);
            let what = format!("{status} of {date} has {present} {items} that are present, and the snapshot {rows}");
            found.push((Part::Trends, what));
        }
        if let Some(total) = said.total.filter(|total| usize::try_from(*total) != Ok(rows)) {
            let (trends, items) = (self.dataset.trends.name(), self.dataset.name);
            found.push((
                Part::Trends,
                format!("{trends} of {date} counts {total} {items}, and the snapshot has {rows}"),
            ));
        }
        let Some(ledger) = ledger else { return found };
        let other_sources = |own: &String| said.source_status_sha256.as_ref().is_some_and(|there| there != own);
        match ledger.last_commit() {
            None => {
                found.push((Part::Snapshot, format!("the ledger of {date} has no run that committed its snapshot")))
            }
            Some(last) if !last.committed(rows, sha256) => {
                found.push((
                    Part::Snapshot,
                    format!("the snapshot of {date} is not the one that the ledger says was committed"),
                ));
            }
            Some(last) if last.source_status_sha256.as_ref().is_some_and(other_sources) => {
                let what = format!("source_status of {date} is not the one that the ledger says was committed");
                found.push((Part::Snapshot, what));
            }
            Some(_) => {}
        }
        found
    }
}

impl Said {
    fn note(&mut self, dataset: &'static Dataset, table: Table, contents: Contents) {
        if table == dataset.facts {
            self.snapshot = Some((contents.rows, contents.sha256));
        } else if Some(table) == dataset.sources {
            self.source_status_sha256 = Some(contents.sha256);
        } else if table == dataset.status {
            self.present = Some(contents.present);
        } else if table == dataset.trends {
            self.total = contents.total;
        } else if table == Table::Runs {
            self.ledger = contents.ledger;
        }
    }
}

/// Looks through a file.
pub(super) async fn look(lake: &Lake, dataset: &'static Dataset, partition: &Partition) -> Looked {
    let table = partition.table;
    let Some(file) = lake.file(partition).await? else { return Ok(None) };
    file.look_through(move |file| Contents::of(dataset, table, file, file)).await.map(Some)
}

/// What a file says, all of which was read.
#[derive(Default)]
pub(super) struct Contents {
    rows: usize,
    /// Of a snapshot's files.
    sha256: String,
    /// What is wrong with the order of its rows.
    disorder: Option<String>,
    /// Of a state, how many are present.
    present: usize,
    /// Of trends, how many there are of the aggregator.
    total: Option<i32>,
    ledger: Option<InFile>,
}

impl Contents {
    /// Looks at every column of every row of a file, of a large one a part at a time.
    pub(super) fn of(
        dataset: &'static Dataset,
        table: Table,
        file: &TableFile,
        rows: &dyn RowSource,
    ) -> Result<Self, RowError> {
        let mut contents = Self { rows: rows.row_count(), ..Self::default() };
        if dataset.snapshot().contains(&table) {
            contents.sha256 = file.sha256();
        }
        let (mut first, mut last): (usize, Option<RecordBatch>) = (0, None);
        for part in row_parts(rows, None) {
            let rows = part?;
            if table == dataset.status {
                contents.present += rows["is_present"].as_boolean().true_count();
            } else if table == dataset.trends && contents.total.is_none() {
                let total = format!("{}_total", dataset.name);
                let of_all = rows["dimension"].as_string_view().iter().position(|name| name == Some("aggregator"));
                contents.total = of_all.map(|row| rows[total.as_str()].as_primitive::<Int32Type>().value(row));
            }
            // With the row before the part, which is that of the last one.
            let from = first - usize::from(last.is_some());
            let with_last: Vec<&RecordBatch> = last.iter().chain([&rows]).collect();
            let with_last = concat_batches(&rows.schema(), with_last).map_err(RowError::new)?;
            if contents.disorder.is_none() {
                contents.disorder = disorder(table, from, &with_last);
            }
            first += rows.num_rows();
            last = Some(rows.slice(rows.num_rows() - 1, 1));
        }
        if table == Table::Runs {
            contents.ledger = Some(InFile::of(dataset, file)?);
        }
        Ok(contents)
    }

    pub(super) fn ledger(&self) -> Option<&InFile> {
        self.ledger.as_ref()
    }
}

/// What is wrong with the order of a table's rows, which come after so many others: they are sorted by its key, which names a row.
fn disorder(table: Table, from: usize, rows: &RecordBatch) -> Option<String> {
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
        Some(_) => Some(format!("row {} comes before the one above it in the table's order", from + row + 1)),
        None => Some(format!("rows {} and {} have the same key", from + row, from + row + 1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trends::{imported, made_up_rows};
    use arrow::array::{Array, StringViewArray};
    use arrow::compute::take_record_batch;
    use compline_model::PART_ROWS;
    use compline_sink::{Compression, LakeLocation, Place};
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
        assert_eq!(disorder(table, 0, &sorted), None);
        assert_eq!(disorder(table, 0, &sorted.slice(0, 0)), None);
        let order =
            |order: Vec<u32>| take_record_batch(&sorted, &arrow::array::UInt32Array::from(order)).expect("rows");
        assert_eq!(
            disorder(table, 0, &order(vec![0, 2, 1])).as_deref(),
            Some("row 3 comes before the one above it in the table's order")
        );
        let twice = concat_batches(&sorted.schema(), [&sorted.slice(0, 2), &sorted.slice(1, 1)]).expect("rows");
        assert_eq!(disorder(table, 10, &twice).as_deref(), Some("rows 12 and 13 have the same key"));
    }

    #[tokio::test]
    async fn a_day_that_is_replaced_after_its_ledger_was_read_is_told_as_it_is_by_now() {
        let (folder, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let id: AggregatorId = "org".parse().expect("an id");
        let date: SnapshotDate = "2026-01-02".parse().expect("a date");
        let lake = imported(folder.path(), &[(1, 3), (2, 3)]).await.of(&Dataset::PACKS);
        let runs = Partition { table: Table::Runs, date, aggregator: id.clone() };
        let day = |ledger: Option<Contents>| Day {
            lake: &lake,
            dataset: &Dataset::PACKS,
            id: &id,
            date,
            trends_are_sound: false,
            status_is_dropped: false,
            looked: ledger.map(|ledger| (Table::Runs, Ok(Some(ledger)))).into_iter().collect(),
            corrected: None,
            ledger_is_told: false,
            was_dropped_before_the_ledger_said_so: false,
        };
        let files: BTreeMap<Table, u64> =
            Dataset::PACKS.tables_and_ledger().into_iter().map(|table| (table, 1000)).collect();
        let ledger = look(&lake, &Dataset::PACKS, &runs).await.expect("read");
        imported(folder.path(), &[(2, 4)]).await;
        let verified = day(ledger).verify(&files).await.expect("verified");
        let told: Vec<&str> = verified.problems.iter().map(|problem| problem.what.as_str()).collect();
        assert_eq!((told, verified.snapshot_rows), (Vec::new(), 4));
        // What is wrong is told whenever its ledger was read.
        let facts = Partition { table: Table::PackCompliance, ..runs.clone() };
        let other = imported(elsewhere.path(), &[(2, 5)]).await.of(&Dataset::PACKS);
        let file = other.file(&facts).await.expect("read").expect("there");
        lake.commit_file(&facts, Place::Table, file.bytes().clone()).await.expect("committed");
        for ledger in [None, look(&lake, &Dataset::PACKS, &runs).await.expect("read")] {
            let verified = day(ledger).verify(&files).await.expect("verified");
            assert!(
                verified.problems.iter().any(|problem| problem.what.contains("is not the one that the ledger says"))
            );
        }
    }

    #[tokio::test]
    async fn rows_out_of_order_between_two_parts_of_a_large_file_are_told() {
        let table = Table::PackStatus;
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(&LakeLocation::Folder(folder.path().into()), Compression::Snappy).await.expect("a lake");
        let date = "2026-01-02".parse().expect("a date");
        let partition = Partition { table, date, aggregator: "org".parse().expect("an id") };
        for swapped in [None, Some(PART_ROWS), Some(2 * PART_ROWS), Some(PART_ROWS + 1)] {
            let mut numbers: Vec<i32> = (0..=2 * i32::try_from(PART_ROWS).expect("few")).collect();
            swapped.inspect(|row| numbers.swap(row - 1, *row));
            let rows = made_up_rows(numbers.iter().copied());
            lake.commit(&partition, rows).await.expect("committed");
            let told = look(&lake, &Dataset::PACKS, &partition).await.expect("read").expect("there");
            assert_eq!((told.rows, told.present), (2 * PART_ROWS + 1, PART_ROWS + 1));
            let expected =
                swapped.map(|row| format!("row {} comes before the one above it in the table's order", row + 1));
            assert_eq!(told.disorder, expected, "{swapped:?}");
        }
    }
}

//! The ledger: a row for every run of every aggregator, of those that failed too, in the table `runs`.
//!
//! A day's rows are in order of when their runs began; what was committed last is told by `commit_number`, which counts what
//! became of the day (committed, held, rejected, dropped) and owes nothing to any clock.

mod columns;
mod compare;
mod rebuild;

pub(crate) use compare::{Compared, InFile, Unlike};
pub(crate) use rebuild::Rebuilt;

use anyhow::Context;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate, Table};
use compline_sink::{Lake, Partition, Place};
use serde::{Deserialize, Serialize};

/// What a run did for an aggregator's day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Outcome {
    /// The snapshot is committed.
    Succeeded,
    /// Collected, and set aside until a person accepts it.
    Held,
    /// The day is as it was.
    #[default]
    Failed,
    /// What was held of the day was removed, since a person said that it is wrong.
    Rejected,
    /// The snapshot's own files were removed, since its month's file has them.
    Dropped,
}

/// A row of the ledger: a run and what it did for one aggregator's day. The fields are the columns of `runs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LedgerRow {
    pub(crate) run_id: String,
    #[serde(with = "millis")]
    pub(crate) started_at: DateTime<Utc>,
    #[serde(with = "millis")]
    pub(crate) finished_at: DateTime<Utc>,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<String>,
    pub(crate) command: String,
    pub(crate) shards: u64,
    pub(crate) shards_resumed: u64,
    pub(crate) shard_restarts: u64,
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    pub(crate) throttles: u64,
    pub(crate) pages: u64,
    pub(crate) empty_pages: u64,
    pub(crate) rows: u64,
    pub(crate) left_out: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: u64,
    pub(crate) warnings: u64,
    pub(crate) unreconciled: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) version: String,
    pub(crate) not_reconciled: Option<String>,
    pub(crate) snapshot_sha256: Option<String>,
    pub(crate) source_status_sha256: Option<String>,
    pub(crate) commit_number: Option<u64>,
    pub(crate) population: Option<String>,
    pub(crate) facts_only: Option<bool>,
    pub(crate) caller: Option<String>,
    /// Nothing in rows of versions that knew packs alone.
    pub(crate) dataset: Option<String>,
}

/// A time in a document, in milliseconds since 1970 as the table has it.
mod millis {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.timestamp_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let millis = i64::deserialize(deserializer)?;
        DateTime::from_timestamp_millis(millis).ok_or_else(|| serde::de::Error::custom("a time that there cannot be"))
    }
}

/// The ledger of one aggregator's day, as it is of one dataset.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ledger {
    dataset: &'static Dataset,
    rows: Vec<LedgerRow>,
    /// Those of other datasets, which share the file.
    others: Vec<LedgerRow>,
}

impl LedgerRow {
    /// Whether it is of a dataset.
    pub(crate) fn is_of(&self, dataset: &Dataset) -> bool {
        self.dataset.as_deref().unwrap_or(Dataset::PACKS.name) == dataset.name
    }

    /// Whether the run replaced the day's snapshot. Rows of versions before `commit_number` say so by what they wrote.
    pub(crate) fn is_commit(&self) -> bool {
        match self.outcome {
            Outcome::Succeeded => true,
            Outcome::Held | Outcome::Rejected | Outcome::Dropped => false,
            // A run whose trends failed had replaced the snapshot.
            Outcome::Failed => self.commit_number.is_some() || self.snapshot_sha256.is_some() || self.rows > 0,
        }
    }

    /// The order of changes to a day: rows of older versions come first, in order of their ends.
    fn change_order(&self) -> (Option<u64>, DateTime<Utc>) {
        (self.commit_number, self.finished_at)
    }

    /// Whether the run committed a snapshot of this many rows with this SHA-256, as far as the row says it.
    pub(crate) fn committed(&self, rows: usize, sha256: &str) -> bool {
        u64::try_from(rows) == Ok(self.rows) && self.snapshot_sha256.as_deref().is_none_or(|own| own == sha256)
    }
}

impl Ledger {
    fn partition(id: &AggregatorId, date: SnapshotDate) -> Partition {
        Partition { table: Table::Runs, date, aggregator: id.clone() }
    }

    /// One without rows.
    pub(crate) fn none(dataset: &'static Dataset) -> Self {
        Self { dataset, rows: Vec::new(), others: Vec::new() }
    }

    /// Of all rows of a day those of a dataset, with the others beside them.
    pub(crate) fn new(dataset: &'static Dataset, rows: Vec<LedgerRow>) -> Self {
        let (rows, others) = rows.into_iter().partition(|row| row.is_of(dataset));
        Self { dataset, rows, others }
    }

    /// The ledger of a day, of the lake's dataset, without rows where there is none. Where its file is gone it is what the documents of its runs say.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is damaged.
    pub(crate) async fn read(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Self> {
        match Self::in_file(lake, id, date).await? {
            Some(ledger) => Ok(ledger),
            None => Ok(Self::of_documents(lake, id, date).await?.ledger),
        }
    }

    /// What its file says, if it is there: what readers of the table see.
    ///
    /// # Errors
    /// A store that does not answer, or a file that is damaged.
    pub(crate) async fn in_file(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Option<Self>> {
        Ok(lake.read(&Self::partition(id, date), None).await?.map(|rows| Self::of(lake.dataset(), &rows)))
    }

    /// The same without the row of a run.
    pub(crate) fn without(mut self, run_id: &str) -> Self {
        self.rows.retain(|row| row.run_id != run_id);
        self
    }

    /// The ledger of a day, where a damaged file costs no more than what it says: nothing then.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn sound(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Option<Self>> {
        match lake.read(&Self::partition(id, date), None).await {
            Err(error) if error.is_damage() => Ok(None),
            rows => match rows? {
                Some(rows) => Ok(Some(Self::of(lake.dataset(), &rows))),
                None => Ok(Some(Self::of_documents(lake, id, date).await?.ledger)),
            },
        }
    }

    /// The same, and without rows where its file is damaged.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn sound_or_none(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Self> {
        Ok(Self::sound(lake, id, date).await?.unwrap_or_else(|| Self::none(lake.dataset())))
    }

    /// Adds a row to a day's ledger, or replaces the one of its run.
    ///
    /// # Errors
    /// A store that does not take it, or a ledger that is damaged: it is left as it is.
    pub(crate) async fn write(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        row: LedgerRow,
    ) -> anyhow::Result<()> {
        let ledger = match InFile::read(lake, id, date).await? {
            // What another program wrote there is not to be taken for ours from then on.
            Some(file) if !file.has_checksum => file.of_all(lake, id, date).await?.ledger,
            Some(file) => file.ledger,
            None => Self::made_again_for(lake, id, date, &row).await?,
        };
        let mut ledger = ledger.without(&row.run_id);
        let mut row = LedgerRow { dataset: Some(ledger.dataset.name.to_owned()), ..row };
        if row.commit_number.is_none() && row.outcome != Outcome::Failed {
            // It was not known while the ledger could not be read.
            row.commit_number = Some(ledger.next_number());
        }
        let own = row.run_id.clone();
        ledger.rows.push(row);
        // First, so that a ledger that is made again from these lacks none: also none of versions that did not write them down.
        ledger.note(lake, id, date, Some(&own)).await?;
        let rows = ledger.batch().context("cannot make the rows of the ledger")?;
        lake.commit(&Self::partition(id, date), rows).await?;
        Ok(())
    }

    /// Writes the rows of the dataset as documents of which there is none, and that of a run in any case.
    async fn note(&self, lake: &Lake, id: &AggregatorId, date: SnapshotDate, run: Option<&str>) -> anyhow::Result<()> {
        let noted = lake.noted_rows(id, date).await?;
        for row in &self.rows {
            if let Ok(run_id) = row.run_id.parse::<RunId>()
                && (run == Some(&row.run_id) || !noted.contains(&run_id))
            {
                lake.note_row(id, date, run_id, rebuild::document(id, date, row)?).await?;
            }
        }
        Ok(())
    }

    /// Whether there is no row, of any dataset.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.others.is_empty()
    }

    /// The dataset that it is of.
    pub(crate) fn dataset(&self) -> &'static Dataset {
        self.dataset
    }

    /// Those of the dataset.
    pub(crate) fn rows(&self) -> &[LedgerRow] {
        &self.rows
    }

    /// The run that changed the day's snapshot last, if one did: it committed it, or dropped it.
    pub(crate) fn last_change(&self) -> Option<&LedgerRow> {
        let changes = self.rows.iter().filter(|row| row.is_commit() || row.outcome == Outcome::Dropped);
        changes.max_by_key(|row| row.change_order())
    }

    /// The run that committed the day last, in order of commits.
    pub(crate) fn last_commit(&self) -> Option<&LedgerRow> {
        self.rows.iter().filter(|row| row.is_commit()).max_by_key(|row| row.change_order())
    }

    /// The run that set the day aside last, if one did and no later one committed, dropped or rejected it.
    pub(crate) fn held(&self) -> Option<&LedgerRow> {
        let is_of_day = |row: &&LedgerRow| row.outcome != Outcome::Failed || row.is_commit();
        let last = self.rows.iter().filter(is_of_day).max_by_key(|row| row.change_order());
        last.filter(|row| row.outcome == Outcome::Held)
    }

    /// The same for each dataset that has a row.
    pub(crate) fn of_each(&self) -> Vec<Self> {
        let all = || self.rows.iter().chain(&self.others).cloned().collect();
        let of = Dataset::ALL.into_iter().map(|dataset| Self::new(dataset, all()));
        of.filter(|ledger| !ledger.rows.is_empty()).collect()
    }

    /// Whether a run of any dataset set the day aside, and no later one of it decided.
    pub(crate) fn is_held_of_any(&self) -> bool {
        self.of_each().iter().any(|ledger| ledger.held().is_some())
    }

    /// SHA-256 of the file of a table that was committed last, as far as the ledger says it.
    pub(crate) fn committed_sha256(&self, table: Table) -> Option<&String> {
        let last = self.last_commit()?;
        if table == self.dataset.facts {
            last.snapshot_sha256.as_ref()
        } else if Some(table) == self.dataset.sources {
            last.source_status_sha256.as_ref()
        } else {
            None
        }
    }

    /// How many rows a month has to have of the day that it says it was made from the file with this SHA-256; nothing where that is not
    /// known, since the ledger says so of facts alone and of what was committed last.
    pub(crate) fn rows_in_month(&self, table: Table, sha256: &String) -> Option<u64> {
        let is_it =
            table == self.dataset.facts && self.committed_sha256(table).is_none_or(|committed| committed == sha256);
        self.last_commit().filter(|_| is_it).map(|last| last.rows)
    }

    /// Whether the day has no such table since it is facts only: one that is computed is nowhere then.
    pub(crate) fn has_no(&self, table: Table) -> bool {
        table.is_derived() && self.last_commit().is_some_and(|last| last.facts_only == Some(true))
    }

    /// Whether the last commit is of a version whose ledger does not say what was dropped since.
    pub(crate) fn is_of_older_version(&self) -> bool {
        self.last_commit().is_none_or(|row| row.commit_number.is_none())
    }

    /// Whether the day's own files were dropped, and it was not committed again since.
    pub(crate) fn is_dropped(&self) -> bool {
        self.last_change().is_some_and(|row| row.outcome == Outcome::Dropped)
    }

    /// The number of the last change to the day's snapshot, 0 before the first. Rows of older versions count as one each.
    pub(crate) fn last_number(&self) -> u64 {
        let numbered = self.rows.iter().filter_map(|row| row.commit_number).max();
        numbered.unwrap_or_else(|| self.rows.iter().filter(|row| row.is_commit()).count() as u64)
    }

    /// The number of the next change. What a damaged document says is the last that there can be stays the last.
    pub(crate) fn next_number(&self) -> u64 {
        self.last_number().saturating_add(1)
    }
}

impl Outcome {
    /// Its name in the ledger.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Dropped => "dropped",
        }
    }

    /// Where a snapshot of which this becomes is put; nothing where none is.
    pub(crate) const fn place(self) -> Option<Place> {
        match self {
            Self::Succeeded => Some(Place::Table),
            Self::Held => Some(Place::Held),
            Self::Failed | Self::Rejected | Self::Dropped => None,
        }
    }

    fn of(name: &str) -> Self {
        let all = [Self::Succeeded, Self::Held, Self::Rejected, Self::Dropped];
        all.into_iter().find(|outcome| outcome.name() == name).unwrap_or_default()
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(run: &str, started: i64, number: Option<u64>, outcome: Outcome) -> LedgerRow {
        LedgerRow {
            run_id: run.to_owned(),
            started_at: DateTime::from_timestamp(started, 0).expect("a time"),
            finished_at: DateTime::from_timestamp(started + 60, 0).expect("a time"),
            outcome,
            commit_number: number,
            snapshot_sha256: (outcome == Outcome::Succeeded).then(|| run.to_owned()),
            ..LedgerRow::default()
        }
    }

    fn of(rows: Vec<LedgerRow>) -> Ledger {
        Ledger::new(&Dataset::PACKS, rows)
    }

    #[test]
    fn f08b_the_last_commit_is_the_last_that_committed_whenever_the_runs_began() {
        let ledger = of(vec![
            row("waited", 10, Some(3), Outcome::Succeeded),
            row("fast clock", 90_000, Some(1), Outcome::Succeeded),
            row("second", 20, Some(2), Outcome::Succeeded),
            row("failed", 99_000, None, Outcome::Failed),
        ]);
        assert_eq!(ledger.last_commit().map(|row| row.run_id.as_str()), Some("waited"));
        assert_eq!(ledger.last_number(), 3);
    }

    #[test]
    fn rows_of_older_versions_come_before_numbered_ones_and_in_order_of_their_ends() {
        let mut slow = row("slow", 10, None, Outcome::Succeeded);
        slow.finished_at = DateTime::from_timestamp(900, 0).expect("a time");
        let ledger = of(vec![slow.clone(), row("quick", 20, None, Outcome::Succeeded)]);
        assert_eq!(ledger.last_commit().map(|row| row.run_id.as_str()), Some("slow"));
        assert_eq!(ledger.last_number(), 2, "so that the next is not taken for one of them");
        let ledger = of(vec![row("new", 1, Some(3), Outcome::Succeeded), slow]);
        assert_eq!(ledger.last_commit().map(|row| row.run_id.as_str()), Some("new"));
    }

    #[test]
    fn a_day_that_was_dropped_is_so_until_it_is_committed_again() {
        let (committed, dropped) = (row("a", 1, Some(1), Outcome::Succeeded), row("b", 2, Some(2), Outcome::Dropped));
        let again = row("c", 3, Some(3), Outcome::Succeeded);
        assert!(of(vec![committed.clone(), dropped.clone()]).is_dropped());
        assert!(!of(vec![committed, dropped, again]).is_dropped());
        assert!(!of(Vec::new()).is_dropped());
    }

    fn any_row() -> impl Strategy<Value = LedgerRow> {
        let text = || prop::option::of("[a-zé'\"\\\\ ]{0,12}");
        let outcome = prop::sample::select(vec![
            Outcome::Succeeded,
            Outcome::Held,
            Outcome::Failed,
            Outcome::Rejected,
            Outcome::Dropped,
        ]);
        (
            ("[a-f0-9]{4}", 0_i64..4_000_000_000_000, 0_i64..4_000_000_000_000, outcome),
            (text(), text(), text(), text(), prop::option::of(any::<bool>()), text()),
            prop::collection::vec(0_u64..1_000_000, 16),
            (prop::option::of(0_u64..9), prop::option::of(0_u64..9)),
        )
            .prop_map(|((run_id, started, finished, outcome), texts, counts, (unreconciled, number))| {
                let time = |millis| DateTime::from_timestamp_millis(millis).expect("a time");
                let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, ..] = counts[..] else { unreachable!("16 of them") };
                LedgerRow {
                    run_id,
                    started_at: time(started),
                    finished_at: time(finished),
                    outcome,
                    error: texts.0,
                    command: "run".to_owned(),
                    shards: a,
                    shards_resumed: b,
                    shard_restarts: c,
                    calls: d,
                    retries: e,
                    throttles: f,
                    pages: g,
                    empty_pages: h,
                    rows: i,
                    left_out: j,
                    duplicates: k,
                    conflicts: l,
                    warnings: m,
                    unreconciled,
                    bytes: n,
                    version: "0".to_owned(),
                    not_reconciled: texts.1,
                    snapshot_sha256: texts.2,
                    source_status_sha256: None,
                    commit_number: number,
                    population: texts.3,
                    facts_only: texts.4,
                    caller: texts.5,
                    dataset: None,
                }
            })
    }

    proptest! {
        #[test]
        fn a_row_reads_back_from_the_table_and_from_the_journal_as_it_was_written(row in any_row()) {
            let batch = of(vec![row.clone()]).batch().expect("rows");
            prop_assert_eq!(Ledger::of(&Dataset::PACKS, &batch), of(vec![row.clone()]));
            let document = serde_json::to_vec(&row).expect("JSON");
            prop_assert_eq!(serde_json::from_slice::<LedgerRow>(&document).expect("a row"), row);
        }
    }
}

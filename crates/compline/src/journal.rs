//! The journal of an aggregator: what a run intends is written down before its first change, and what a stopped run left is
//! rolled forward by the next session, with the true run in the ledger.
//!
//! A snapshot is two objects, facts and sources, and its trends are more: no store replaces them at once. So both files are
//! staged first, then an entry says which run puts them, with which checksums and which row of the ledger, and from which day
//! trends are out of date until it is done. From there on the day *is* going to be committed: whoever acquires the lease next
//! puts what is missing, also when nobody runs that day again. Before there is an entry, nothing was changed.

mod adopt;
mod replay;

pub(crate) use replay::Completes;

use crate::failure::NotRecorded;
use crate::ledger::{Ledger, LedgerRow, Outcome};
use anyhow::Context;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate, Table};
use compline_sink::{Lake, Partition, Place, SinkError, SinkErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The form of an entry. A newer one is refused, and nothing is changed.
const VERSION: u32 = 2;

/// What an entry says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    version: u32,
    command: String,
    /// The snapshot that is replaced or set aside, until it and its row of the ledger are there.
    snapshot: Option<Intent>,
    /// Days whose own files are removed, since their months have them.
    drops: Vec<Drop>,
    /// The first day whose trends are out of date.
    trends_from: Option<String>,
}

/// What is about to become of a day, as its row says: a snapshot that is put into its tables, or aside where it is held; or what
/// is held that is removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Intent {
    /// By name; earlier versions knew packs alone.
    #[serde(default = "packs")]
    dataset: String,
    snapshot_date: String,
    facts_sha256: String,
    sources_sha256: String,
    /// What the ledger says once that is done.
    row: LedgerRow,
}

/// A day whose own files are about to be removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Drop {
    #[serde(default = "packs")]
    dataset: String,
    snapshot_date: String,
    row: LedgerRow,
}

fn packs() -> String {
    Dataset::PACKS.name.to_owned()
}

/// Whether what an entry names is the journal's own dataset.
///
/// # Errors
/// It is another's, as one of a newer version's: nothing may be changed.
fn is_of(own: &Dataset, name: &str) -> anyhow::Result<()> {
    let other = || {
        NotRecorded(format!(
            "the journal of {} names the dataset {name:?}, of a newer compline: use that version",
            own.name
        ))
    };
    (own.name == name).then_some(()).ok_or_else(other).map_err(Into::into)
}

/// The files of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFiles {
    pub(crate) facts: Bytes,
    /// Nothing where another dataset has what was said of the sources.
    pub(crate) sources: Option<Bytes>,
}

/// The journal of one aggregator's dataset, as a session has it.
pub(crate) struct Journal {
    lake: Lake,
    id: AggregatorId,
    run_id: RunId,
    document: Document,
    /// Whether this run's own entry is there.
    is_written: bool,
    trends_from: Option<SnapshotDate>,
    /// Entries of earlier runs that are done, or say no more than what this run's entry says.
    absorbed: Vec<RunId>,
    /// Days whose snapshots earlier runs intended, and that are in place now.
    completed: Vec<SnapshotDate>,
    /// Days that an earlier run could not be rolled forward on, with its run, its commit number, and why.
    blocked: Vec<Blocked>,
    /// What is to be told of earlier runs that are done with, in words.
    told: Vec<String>,
}

/// A snapshot of an earlier run that could not be put yet.
#[derive(Debug)]
struct Blocked {
    run_id: RunId,
    date: SnapshotDate,
    number: u64,
    outcome: Outcome,
    why: String,
}

impl Journal {
    /// Opens the journal of the lake's dataset and rolls forward what earlier runs left in it.
    ///
    /// # Errors
    /// A store that does not answer, or an entry of a newer version.
    pub(crate) async fn open(
        lake: Lake,
        id: AggregatorId,
        run_id: RunId,
        command: &str,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let document = Document { version: VERSION, command: command.to_owned(), ..Document::default() };
        let mut journal = Self {
            lake,
            id,
            run_id,
            document,
            is_written: false,
            trends_from: None,
            absorbed: Vec::new(),
            completed: Vec::new(),
            blocked: Vec::new(),
            told: Vec::new(),
        };
        journal.take_old_marker(now).await?;
        for entry in journal.lake.journal(&journal.id).await? {
            journal.replay(&entry, now).await?;
        }
        Ok(journal)
    }

    /// What the journal says without changing anything: the first day whose trends are out of date, and what stopped runs left.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn peek(lake: &Lake, id: &AggregatorId) -> anyhow::Result<Pending> {
        let mut pending = Pending::default();
        if let Some(from) = lake.old_marker(id).await? {
            pending.add_trends(from.unwrap_or(FIRST_DAY));
        }
        for entry in lake.journal(id).await? {
            pending.runs.push(entry.run_id);
            let Some(document) = replay::read(&entry) else {
                pending.add_trends(FIRST_DAY);
                continue;
            };
            pending.commands.insert(document.command.clone());
            if let Some(from) = document.trends_from.and_then(|from| from.parse().ok()) {
                pending.add_trends(from);
            }
            let (run_id, is_known) = (entry.run_id, document.version <= VERSION);
            pending.is_of_newer |= !is_known;
            let day = |date: &str, intent| Some(PendingDay { run_id, date: date.parse().ok()?, is_known, intent });
            pending.days.extend(document.drops.iter().filter_map(|drop| day(&drop.snapshot_date, None)));
            pending.days.extend(document.snapshot.and_then(|intent| day(&intent.snapshot_date.clone(), Some(intent))));
        }
        Ok(pending)
    }

    /// Completes the ledger of a day that was made again: of versions whose runs did not write each row down, the row of one that
    /// the journal completed may be missing.
    ///
    /// # Errors
    /// A store that does not answer, or a file of the day that is damaged.
    pub(crate) async fn adopt(
        lake: &Lake,
        id: &AggregatorId,
        date: SnapshotDate,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        adopt::day(lake, id, date, adopt::Mix::Stopped, now).await
    }

    /// The first day whose trends earlier runs left out of date.
    pub(crate) fn trends_from(&self) -> Option<SnapshotDate> {
        self.trends_from
    }

    /// The days that were completed for earlier runs, which the catalog may not know of.
    pub(crate) fn completed(&self) -> &[SnapshotDate] {
        &self.completed
    }

    /// Whether this run has an entry, which the next session completes if this one does not.
    pub(crate) fn has_entry(&self) -> bool {
        self.is_written
    }

    /// What of earlier runs could not be rolled forward or ended otherwise than in a commit, in words.
    pub(crate) fn undone(&self) -> Vec<String> {
        let words = |blocked: &Blocked| {
            let Blocked { run_id, date, why, .. } = blocked;
            format!("a stopped run could not be completed yet: the snapshot of {date} by run {run_id}: {why}")
        };
        self.blocked.iter().map(words).chain(self.told.iter().cloned()).collect()
    }

    /// Notes that this run is about to replace a day's snapshot, and replaces it. From here on the day is committed, by this
    /// run or by the next session. `row` is what the ledger will say; its number and checksums are filled in here.
    ///
    /// # Errors
    /// A store that does not take it. If the entry was written, the error says that the next session completes it.
    pub(crate) async fn commit_snapshot(
        &mut self,
        date: SnapshotDate,
        files: SnapshotFiles,
        row: &mut LedgerRow,
    ) -> anyhow::Result<()> {
        row.outcome = Outcome::Succeeded;
        self.add_trends(date);
        self.put_snapshot(date, files, row).await
    }

    /// The same for a day that is set aside until a person accepts or rejects it: the tables are as they were.
    ///
    /// # Errors
    /// Those of [`Journal::commit_snapshot`].
    pub(crate) async fn hold_snapshot(
        &mut self,
        date: SnapshotDate,
        files: SnapshotFiles,
        row: &mut LedgerRow,
    ) -> anyhow::Result<()> {
        row.outcome = Outcome::Held;
        self.put_snapshot(date, files, row).await
    }

    /// Notes that this run is about to remove what is held of a day, and removes it.
    ///
    /// # Errors
    /// Those of [`Journal::commit_snapshot`].
    pub(crate) async fn reject(&mut self, date: SnapshotDate, row: &mut LedgerRow) -> anyhow::Result<()> {
        row.outcome = Outcome::Rejected;
        self.intend(date, [String::new(), String::new()], row).await?;
        let removed = self.lake.remove_held(&self.snapshot_of(date)).await;
        removed.context("it is in the journal that what is held is removed; the next session on this lake does it")
    }

    /// Whether an earlier run intended to set this day aside and could not yet.
    pub(crate) fn has_blocked_hold(&self, date: SnapshotDate) -> bool {
        self.blocked.iter().any(|blocked| blocked.date == date && blocked.outcome == Outcome::Held)
    }

    async fn put_snapshot(
        &mut self,
        date: SnapshotDate,
        files: SnapshotFiles,
        row: &mut LedgerRow,
    ) -> anyhow::Result<()> {
        let dataset = self.lake.dataset();
        let place = row.outcome.place().unwrap_or(Place::Table);
        let of_facts = self.partition(dataset.facts, date);
        let of_sources = dataset.sources.map(|table| self.partition(table, date)).zip(files.sources);
        let staged_facts = self.lake.stage(self.run_id, &of_facts, place, files.facts.clone()).await?;
        row.snapshot_sha256 = Some(staged_facts.sha256.clone());
        row.bytes = staged_facts.bytes;
        if let Some((partition, file)) = &of_sources {
            let staged = self.lake.stage(self.run_id, partition, place, file.clone()).await?;
            row.source_status_sha256 = Some(staged.sha256);
            row.bytes += staged.bytes;
        }
        let sources_sha256 = row.source_status_sha256.clone().unwrap_or_default();
        self.intend(date, [staged_facts.sha256, sources_sha256], row).await?;

        // The facts last: where they are, the sources are.
        let put = async {
            if let Some((partition, file)) = of_sources {
                self.lake.commit_file(&partition, place, file).await?;
            }
            self.lake.commit_file(&of_facts, place, files.facts).await?;
            anyhow::Ok(())
        };
        put.await
            .context("the snapshot is in the journal and not yet in place; the next session on this lake completes it")
    }

    /// Writes the entry that says what is about to become of a day.
    async fn intend(
        &mut self,
        date: SnapshotDate,
        [facts_sha256, sources_sha256]: [String; 2],
        row: &mut LedgerRow,
    ) -> anyhow::Result<()> {
        row.commit_number = self.next_number(date).await?;
        let (dataset, snapshot_date, row) = (self.lake.dataset().name.to_owned(), date.to_string(), row.clone());
        let outcome = row.outcome;
        self.document.snapshot = Some(Intent { dataset, snapshot_date, facts_sha256, sources_sha256, row });
        self.write().await?;
        // What another run intended for this day is overtaken by what this one does; but a commit by another commit alone.
        let is_overtaken = |blocked: &mut Blocked| {
            blocked.date == date && (outcome == Outcome::Succeeded || blocked.outcome != Outcome::Succeeded)
        };
        for overtaken in self.blocked.extract_if(.., is_overtaken) {
            self.absorbed.push(overtaken.run_id);
        }
        self.absorb().await
    }

    /// Notes that the trends from a day on are about to be replaced.
    ///
    /// # Errors
    /// A store that does not take it.
    pub(crate) async fn begin_trends(&mut self, from: SnapshotDate) -> anyhow::Result<()> {
        if self.is_written && self.trends_from.is_some_and(|earlier| earlier <= from) {
            return Ok(());
        }
        self.add_trends(from);
        self.write().await?;
        self.absorb().await
    }

    /// Removes this run's entry: everything that it says is done. Where trends are still out of date, `trends_from` on, the
    /// entry stays and says that.
    ///
    /// # Errors
    /// A store that does not take it.
    pub(crate) async fn finish(mut self, trends_from: Option<SnapshotDate>) -> anyhow::Result<()> {
        if trends_from.is_some() {
            self.trends_from = trends_from;
            self.document = Document { snapshot: None, drops: Vec::new(), ..self.document };
            self.write().await?;
            self.absorb().await?;
            return Ok(self.lake.remove_staged(&self.id, self.run_id).await?);
        }
        // The own entry first: it says all that those say which it has absorbed.
        if self.is_written {
            self.lake.remove_journal(&self.id, self.run_id).await?;
        }
        self.absorb().await
    }

    /// Removes the own files of days, which their months have, and says so in the ledger. `row` is what it says of each. Gives
    /// the days that were dropped: none if the ledger of one cannot be read, since what is left must begin with one day.
    ///
    /// # Errors
    /// A store that does not take it.
    pub(crate) async fn drop_days(
        &mut self,
        dates: &[SnapshotDate],
        row: &LedgerRow,
    ) -> anyhow::Result<Vec<SnapshotDate>> {
        let (mut drops, mut dropped) = (Vec::with_capacity(dates.len()), Vec::with_capacity(dates.len()));
        for date in dates {
            let Some(number) = self.next_number(*date).await? else { return Ok(Vec::new()) };
            let row = LedgerRow { commit_number: Some(number), outcome: Outcome::Dropped, ..row.clone() };
            let dataset = self.lake.dataset().name.to_owned();
            drops.push(Drop { dataset, snapshot_date: date.to_string(), row });
            dropped.push(*date);
        }
        self.document.drops.clone_from(&drops);
        self.write().await?;
        for drop in &drops {
            self.drop_day(drop).await?;
        }
        self.document.drops = Vec::new();
        Ok(dropped)
    }

    async fn drop_day(&self, drop: &Drop) -> anyhow::Result<()> {
        let date = drop.snapshot_date.parse()?;
        Ledger::write(&self.lake, &self.id, date, drop.row.clone()).await?;
        Ok(self.lake.remove(&self.snapshot_of(date)).await?)
    }

    fn snapshot_of(&self, date: SnapshotDate) -> Vec<Partition> {
        Partition::of_tables(&self.lake.dataset().snapshot(), date, &self.id)
    }

    /// The number of the next change to a day's snapshot.
    ///
    /// # Errors
    /// A ledger that cannot be read for the moment. One that is damaged has no number that can be known: see `roll_forward`.
    async fn next_number(&self, date: SnapshotDate) -> anyhow::Result<Option<u64>> {
        let intended = self.blocked.iter().filter(|blocked| blocked.date == date).map(|blocked| blocked.number).max();
        match Ledger::read(&self.lake, &self.id, date).await {
            Ok(ledger) => Ok(Some(ledger.last_number().max(intended.unwrap_or_default()).saturating_add(1))),
            // It does not stop a commit: the row waits in the journal, and gets its number there.
            Err(error) if is_unreadable(&error) => {
                tracing::warn!(error = format!("{error:#}"), %date, "the ledger cannot be read: its row will wait in the journal");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn partition(&self, table: Table, date: SnapshotDate) -> Partition {
        Partition { table, date, aggregator: self.id.clone() }
    }

    fn add_trends(&mut self, from: SnapshotDate) {
        self.trends_from = Some(self.trends_from.map_or(from, |earlier| earlier.min(from)));
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        self.document.trends_from = self.trends_from.map(|from| from.to_string());
        let document = serde_json::to_vec_pretty(&self.document).context("cannot write the journal as JSON")?;
        self.lake.put_journal(&self.id, self.run_id, Bytes::from(document)).await?;
        self.is_written = true;
        Ok(())
    }

    /// Removes entries whose content this run's entry has, or that are done.
    async fn absorb(&mut self) -> anyhow::Result<()> {
        for run_id in std::mem::take(&mut self.absorbed) {
            self.lake.remove_journal(&self.id, run_id).await?;
        }
        Ok(())
    }
}

/// A day of which something is being put or removed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PendingDay {
    pub(crate) run_id: RunId,
    pub(crate) date: SnapshotDate,
    /// Whether this version can complete it.
    pub(crate) is_known: bool,
    /// What becomes of its snapshot; nothing where that is dropped.
    intent: Option<Intent>,
}

/// What a journal says, to those who only look.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pending {
    /// The first day whose trends are out of date.
    pub(crate) trends_from: Option<SnapshotDate>,
    /// Days of which something is being put or removed.
    pub(crate) days: Vec<PendingDay>,
    /// The runs that wrote entries.
    pub(crate) runs: Vec<RunId>,
    /// Whether an entry is of a newer version, before which this one completes nothing.
    pub(crate) is_of_newer: bool,
    /// The commands that they were of, as far as that can be read.
    pub(crate) commands: BTreeSet<String>,
}

impl Pending {
    /// Whether something of a day is being put or removed.
    pub(crate) fn has(&self, date: SnapshotDate) -> bool {
        self.days.iter().any(|day| day.date == date)
    }

    fn add_trends(&mut self, from: SnapshotDate) {
        self.trends_from = Some(self.trends_from.map_or(from, |earlier| earlier.min(from)));
    }
}

/// Before every day of every lake, for work whose first day is not known.
const FIRST_DAY: SnapshotDate = SnapshotDate::FIRST;

/// Whether an error says that a file is there and cannot be read, now or later, whatever the store does.
pub(crate) fn is_unreadable(error: &anyhow::Error) -> bool {
    of_lake(error).any(|error| error.kind != SinkErrorKind::Transient)
}

/// Whether an error is that of a file which is not whole, or not the one that it must be.
pub(crate) fn is_damage(error: &anyhow::Error) -> bool {
    of_lake(error).any(SinkError::is_damage)
}

/// What of an error the lake said.
fn of_lake(error: &anyhow::Error) -> impl Iterator<Item = &SinkError> {
    error.chain().filter_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod fuzz;

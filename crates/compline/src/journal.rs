//! The journal of an aggregator: what a run intends is written down before its first change, and what a stopped run left is
//! rolled forward by the next session, with the true run in the ledger.
//!
//! A snapshot is two objects, facts and sources, and its trends are more: no store replaces them at once. So both files are
//! staged first, then an entry says which run puts them, with which checksums and which row of the ledger, and from which day
//! trends are out of date until it is done. From there on the day *is* going to be committed: whoever acquires the lease next
//! puts what is missing, also when nobody runs that day again. Before there is an entry, nothing was changed.

mod adopt;

use crate::ledger::{Ledger, LedgerRow, Outcome};
use anyhow::Context;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate, Table};
use compline_sink::{Lake, Partition, Place, SinkErrorKind};
use serde::{Deserialize, Serialize};

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

/// A snapshot that is about to be put: into its tables, or aside where its row says that it is held.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Intent {
    snapshot_date: String,
    facts_sha256: String,
    sources_sha256: String,
    /// What the ledger says once both are there.
    row: LedgerRow,
}

impl Intent {
    fn place(&self) -> Place {
        match self.row.outcome {
            Outcome::Held => Place::Held,
            _ => Place::Table,
        }
    }
}

/// A day whose own files are about to be removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Drop {
    snapshot_date: String,
    row: LedgerRow,
}

/// The two files of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFiles {
    pub(crate) facts: Bytes,
    pub(crate) sources: Bytes,
}

/// The journal of one aggregator, as a session has it.
pub(crate) struct Journal {
    lake: Lake,
    id: AggregatorId,
    run_id: RunId,
    document: Document,
    /// Whether this run's own entry is there.
    is_written: bool,
    trends_from: Option<SnapshotDate>,
    /// Entries of earlier runs that say no more than that trends are out of date.
    absorbed: Vec<RunId>,
    /// Days whose snapshots earlier runs intended, and that are in place now.
    completed: Vec<SnapshotDate>,
    /// Days that an earlier run could not be rolled forward on, with its run, its commit number, and why.
    blocked: Vec<Blocked>,
}

/// A snapshot of an earlier run that could not be put yet.
#[derive(Debug)]
struct Blocked {
    run_id: RunId,
    date: SnapshotDate,
    number: u64,
    why: String,
}

impl Journal {
    /// Opens the journal and rolls forward what earlier runs left in it.
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
        let (absorbed, completed, blocked) = (Vec::new(), Vec::new(), Vec::new());
        let mut journal =
            Self { lake, id, run_id, document, is_written: false, trends_from: None, absorbed, completed, blocked };
        journal.take_old_marker(now).await?;
        for entry in journal.lake.journal(&journal.id).await? {
            journal.replay(entry.run_id, &entry.document, now).await?;
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
            match serde_json::from_slice::<Document>(&entry.document) {
                Ok(document) => {
                    let snapshot = document.snapshot.as_ref().map(|intent| &intent.snapshot_date);
                    let days = snapshot.into_iter().chain(document.drops.iter().map(|drop| &drop.snapshot_date));
                    pending.days.extend(days.filter_map(|day| day.parse::<SnapshotDate>().ok()));
                    document
                        .trends_from
                        .and_then(|from| from.parse().ok())
                        .into_iter()
                        .for_each(|from| pending.add_trends(from));
                }
                Err(_) => pending.add_trends(FIRST_DAY),
            }
        }
        Ok(pending)
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

    /// What of earlier runs could not be rolled forward, in words.
    pub(crate) fn blocked(&self) -> Option<String> {
        let words =
            |blocked: &Blocked| format!("the snapshot of {} by run {}: {}", blocked.date, blocked.run_id, blocked.why);
        let all: Vec<String> = self.blocked.iter().map(words).collect();
        (!all.is_empty()).then(|| format!("a stopped run could not be completed yet: {}", all.join("; ")))
    }

    /// Notes that this run is about to replace a day's snapshot, and replaces it. From here on the day is committed, by this
    /// run or by the next session. `row` is what the ledger will say; its number and checksums are filled in here.
    ///
    /// # Errors
    /// A store that does not take it. If the entry was written, the error says that the next session completes it.
    pub(crate) async fn commit_snapshot(
        &mut self,
        dataset: &Dataset,
        date: SnapshotDate,
        files: SnapshotFiles,
        row: &mut LedgerRow,
    ) -> anyhow::Result<()> {
        row.outcome = Outcome::Succeeded;
        self.add_trends(date);
        self.put_snapshot(dataset, date, files, row).await
    }

    /// The same for a day that is set aside until a person accepts or rejects it: the tables are as they were.
    ///
    /// # Errors
    /// Those of [`Journal::commit_snapshot`].
    pub(crate) async fn hold_snapshot(
        &mut self,
        dataset: &Dataset,
        date: SnapshotDate,
        files: SnapshotFiles,
        row: &mut LedgerRow,
    ) -> anyhow::Result<()> {
        row.outcome = Outcome::Held;
        self.put_snapshot(dataset, date, files, row).await
    }

    async fn put_snapshot(
        &mut self,
        dataset: &Dataset,
        date: SnapshotDate,
        files: SnapshotFiles,
        row: &mut LedgerRow,
    ) -> anyhow::Result<()> {
        let SnapshotFiles { facts, sources } = files;
        let place = if row.outcome == Outcome::Held { Place::Held } else { Place::Table };
        let (of_facts, of_sources) = (self.partition(dataset.facts, date), self.partition(dataset.sources, date));
        let staged_facts = self.lake.stage(self.run_id, &of_facts, place, facts.clone()).await?;
        let staged_sources = self.lake.stage(self.run_id, &of_sources, place, sources.clone()).await?;
        row.commit_number = self.next_number(date).await?;
        row.snapshot_sha256 = Some(staged_facts.sha256.clone());
        row.source_status_sha256 = Some(staged_sources.sha256.clone());
        row.bytes = staged_facts.bytes + staged_sources.bytes;
        self.document.snapshot = Some(Intent {
            snapshot_date: date.to_string(),
            facts_sha256: staged_facts.sha256,
            sources_sha256: staged_sources.sha256,
            row: row.clone(),
        });
        self.write().await?;
        if place == Place::Table {
            // What another run intended for this day is overtaken by what this one does.
            for overtaken in self.blocked.extract_if(.., |blocked| blocked.date == date) {
                self.absorbed.push(overtaken.run_id);
            }
        }
        self.absorb().await?;

        // The facts last: where they are, the sources are.
        let put = async {
            self.lake.commit_file(&of_sources, place, sources).await?;
            self.lake.commit_file(&of_facts, place, facts).await?;
            anyhow::Ok(())
        };
        put.await
            .context("the snapshot is in the journal and not yet in place; the next session on this lake completes it")
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
            drops.push(Drop { snapshot_date: date.to_string(), row });
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

    /// Completes a drop that a stopped run began: where the ledger says that the day was dropped, its files go. Where it does not
    /// yet, the day stays, and the next `maintain` proves again that its month has it.
    async fn finish_drop(&self, drop: &Drop) -> anyhow::Result<()> {
        let date = drop.snapshot_date.parse()?;
        match Ledger::read(&self.lake, &self.id, date).await {
            Ok(ledger) if ledger.last_change().is_some_and(|last| last.run_id == drop.row.run_id) => {
                Ok(self.lake.remove(&self.snapshot_of(date)).await?)
            }
            Ok(_) => Ok(()),
            // A damaged ledger costs its own day: the files stay.
            Err(error) if is_damage(&error) => {
                tracing::warn!(error = format!("{error:#}"), %date, "the day is not dropped");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn snapshot_of(&self, date: SnapshotDate) -> Vec<Partition> {
        Dataset::ALL.iter().flat_map(Dataset::snapshot).map(|table| self.partition(table, date)).collect()
    }

    /// The number of the next change to a day's snapshot.
    ///
    /// # Errors
    /// A ledger that cannot be read for the moment. One that is damaged has no number that can be known: see `roll_forward`.
    async fn next_number(&self, date: SnapshotDate) -> anyhow::Result<Option<u64>> {
        let intended = self.blocked.iter().filter(|blocked| blocked.date == date).map(|blocked| blocked.number).max();
        match Ledger::read(&self.lake, &self.id, date).await {
            Ok(ledger) => Ok(Some(ledger.last_number().max(intended.unwrap_or_default()) + 1)),
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

    /// Takes over the marker that versions before the journal left.
    async fn take_old_marker(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Some(from) = self.lake.old_marker(&self.id).await? else { return Ok(()) };
        let from = from.unwrap_or(FIRST_DAY);
        tracing::warn!(aggregator = %self.id, %from, "a run of an older version was stopped: completing what it left");
        adopt::adopt(&self.lake, &self.id, from, adopt::Mix::Stopped, now).await?;
        self.begin_trends(from).await?;
        Ok(self.lake.remove_old_marker(&self.id).await?)
    }

    /// Rolls an entry of an earlier run forward.
    async fn replay(&mut self, run_id: RunId, document: &Bytes, now: DateTime<Utc>) -> anyhow::Result<()> {
        if run_id == self.run_id {
            return Ok(());
        }
        let document: Document = match serde_json::from_slice(document) {
            Ok(document) => document,
            Err(error) => return self.replay_damaged(run_id, &error, now).await,
        };
        if document.version > VERSION {
            anyhow::bail!(
                "the journal of {} has an entry of a newer compline (run {run_id}): use that version; nothing was changed",
                self.id
            );
        }
        tracing::warn!(aggregator = %self.id, %run_id, command = document.command, "completing what a stopped run left");
        if let Some(from) = &document.trends_from {
            self.add_trends(from.parse().unwrap_or(FIRST_DAY));
        }
        for drop in &document.drops {
            self.finish_drop(drop).await?;
            self.completed.extend(drop.snapshot_date.parse::<SnapshotDate>());
        }
        if let Some(intent) = &document.snapshot {
            let date = intent.snapshot_date.parse()?;
            if !self.is_rolled_forward(run_id, date, intent, now).await {
                return Ok(());
            }
        }
        self.absorbed.push(run_id);
        Ok(())
    }

    /// Rolls forward what an entry said that cannot be read: the files beside it say by their paths what they were to become.
    /// What cannot be told from them is left where it is, and every day is looked through.
    async fn replay_damaged(
        &mut self,
        run_id: RunId,
        error: &serde_json::Error,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        tracing::warn!(aggregator = %self.id, %run_id, %error, "an entry of the journal is damaged: going by the files beside it");
        self.add_trends(FIRST_DAY);
        let staged = self.lake.all_staged(&self.id, run_id).await?;
        let intents = adopt::intents(run_id, &staged, now);
        let is_all = staged.len() == 2 * intents.len();
        for (date, intent) in intents {
            if !self.is_rolled_forward(run_id, date, &intent, now).await {
                return Ok(());
            }
        }
        adopt::adopt(&self.lake, &self.id, FIRST_DAY, adopt::Mix::Unknown, now).await?;
        // Its trends are this run's to complete, before the entry goes.
        self.write().await?;
        if is_all {
            self.absorbed.push(run_id)
        } else {
            self.lake.remove_entry(&self.id, run_id).await?
        }
        Ok(())
    }

    /// Rolls a snapshot forward; one that cannot be for now blocks nothing but its own day.
    async fn is_rolled_forward(
        &mut self,
        run_id: RunId,
        date: SnapshotDate,
        intent: &Intent,
        now: DateTime<Utc>,
    ) -> bool {
        let Err(error) = self.roll_forward(run_id, date, intent, now).await else { return true };
        tracing::error!(error = format!("{error:#}"), %run_id, %date, "a stopped run cannot be completed yet");
        let number = intent.row.commit_number.unwrap_or_default();
        self.blocked.push(Blocked { run_id, date, number, why: format!("{error:#}") });
        false
    }

    /// Puts what is missing of a snapshot that a run intended, and its row into the ledger.
    async fn roll_forward(
        &mut self,
        run_id: RunId,
        date: SnapshotDate,
        intent: &Intent,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let ledger = Ledger::read(&self.lake, &self.id, date).await?;
        let own = ledger.rows().iter().find(|row| row.run_id == intent.row.run_id);
        if own.is_some_and(|row| row.outcome == intent.row.outcome) {
            // In the catalog it may not be yet.
            self.completed.push(date);
            return Ok(());
        }
        let (dataset, place) = (&Dataset::PACKS, intent.place());
        let facts = self.lake.sha256_of(&self.partition(dataset.facts, date), place).await?;
        // Where its facts are in place it is the last commit, whatever number it could give itself without its ledger.
        let is_in_place = facts.as_ref() == Some(&intent.facts_sha256);
        let is_overtaken = intent.row.commit_number.is_some_and(|number| ledger.last_number() >= number);
        if !is_in_place && is_overtaken {
            let error = "stopped before its snapshot was in place, and overtaken by a later run of the day".to_owned();
            let row = LedgerRow { outcome: Outcome::Failed, error: Some(error), ..intent.row.clone() };
            let row =
                LedgerRow { commit_number: None, snapshot_sha256: None, source_status_sha256: None, rows: 0, ..row };
            return Ledger::write(&self.lake, &self.id, date, row).await;
        }
        // Both files are at hand before one is put: otherwise the day would have the sources of another run than its facts.
        let mut missing = Vec::new();
        let sources = self.lake.sha256_of(&self.partition(dataset.sources, date), place).await?;
        for (table, sha256, there) in
            [(dataset.sources, &intent.sources_sha256, sources), (dataset.facts, &intent.facts_sha256, facts)]
        {
            if there.as_ref() == Some(sha256) {
                continue;
            }
            let partition = self.partition(table, date);
            let staged = self.lake.staged(run_id, &partition, place, sha256).await?;
            let staged = staged.with_context(|| {
                format!(
                    "the file of {} that it staged in _compline/journal is gone or damaged; run {date} again if it is today, \
                     or restore the object",
                    table.name()
                )
            })?;
            missing.push((partition, staged));
        }
        for (partition, staged) in missing {
            self.lake.commit_file(&partition, place, staged).await?;
        }
        if place == Place::Table {
            // What was held of the day before that is of the past.
            self.lake.remove_held(&self.snapshot_of(date)).await?;
        }
        let note =
            format!("the run was stopped; completed from the journal by run {} at {}", self.run_id, now.to_rfc3339());
        let error = intent.row.error.iter().cloned().chain([note]).collect::<Vec<_>>().join("; ");
        let number = Some(intent.row.commit_number.unwrap_or_default().max(ledger.last_number() + 1));
        let row = LedgerRow { finished_at: now, error: Some(error), commit_number: number, ..intent.row.clone() };
        Ledger::write(&self.lake, &self.id, date, row).await?;
        self.completed.push(date);
        Ok(())
    }
}

/// What a journal says, to those who only look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The first day whose trends are out of date.
    pub(crate) trends_from: Option<SnapshotDate>,
    /// Days whose snapshot is being replaced or dropped.
    pub(crate) days: Vec<SnapshotDate>,
    /// The runs that wrote entries.
    pub(crate) runs: Vec<RunId>,
}

impl Pending {
    fn add_trends(&mut self, from: SnapshotDate) {
        self.trends_from = Some(self.trends_from.map_or(from, |earlier| earlier.min(from)));
    }

    /// Whether a day's tables may be written at this moment, or were when a run was stopped.
    pub(crate) fn has(&self, date: SnapshotDate) -> bool {
        self.days.contains(&date) || self.trends_from.is_some_and(|from| date >= from)
    }
}

/// Before every day of every lake, for work whose first day is not known.
const FIRST_DAY: SnapshotDate = SnapshotDate::FIRST;

/// Whether an error says that a file is there and cannot be read, now or later, whatever the store does.
fn is_unreadable(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<compline_sink::SinkError>().is_some_and(|error| error.kind != SinkErrorKind::Transient)
    })
}

/// Whether an error is that of a file which is not whole.
pub(crate) fn is_damage(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<compline_sink::SinkError>().is_some_and(compline_sink::SinkError::is_damage))
}

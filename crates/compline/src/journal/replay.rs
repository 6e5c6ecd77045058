//! Replaying the entries of earlier runs: what a stopped run intended is rolled forward, with its true run in the ledger.

use super::{
    Blocked, Document, Drop, FIRST_DAY, Intent, Journal, PendingDay, VERSION, adopt, is_damage, is_unreadable,
};
use crate::failure::NotRecorded;
use crate::ledger::{Ledger, LedgerRow, Outcome};
use crate::proof::Proof;
use anyhow::bail;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, RunId, SnapshotDate};
use compline_sink::{JournalEntry, Lake, Partition, Place};

/// What became of what a stopped run intended.
enum Rolled {
    /// It is as the run intended, or a later run has overtaken it.
    Done,
    /// It cannot be: what was staged for it is not there any more. The ledger says so.
    Lost(String),
}

impl Journal {
    /// Takes over the marker that versions before the journal left.
    pub(super) async fn take_old_marker(&mut self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Some(from) = self.lake.old_marker(&self.id).await? else { return Ok(()) };
        let from = from.unwrap_or(FIRST_DAY);
        tracing::warn!(aggregator = %self.id, %from, "a run of an older version was stopped: completing what it left");
        adopt::adopt(&self.lake, &self.id, from, adopt::Mix::Stopped, now).await?;
        self.begin_trends(from).await?;
        Ok(self.lake.remove_old_marker(&self.id).await?)
    }

    /// Rolls an entry of an earlier run forward.
    pub(super) async fn replay(&mut self, entry: &JournalEntry, now: DateTime<Utc>) -> anyhow::Result<()> {
        let run_id = entry.run_id;
        if run_id == self.run_id {
            return Ok(());
        }
        let Some(document) = read(entry) else {
            let told = format!(
                "the journal's entry of run {run_id} and its copy are damaged: what that run did is told by the files alone, and its \
                 trends are computed again"
            );
            tracing::warn!(aggregator = %self.id, told, "not everything can be completed");
            self.told.push(told);
            adopt::adopt(&self.lake, &self.id, FIRST_DAY, adopt::Mix::Unknown, now).await?;
            self.add_trends(FIRST_DAY);
            self.absorbed.push(run_id);
            return Ok(());
        };
        if document.version > VERSION {
            bail!(NotRecorded(format!(
                "the journal of {} has an entry of a newer compline (run {run_id}): use that version; nothing was changed",
                self.id
            )));
        }
        let named = document.snapshot.iter().map(|intent| &intent.dataset);
        named
            .chain(document.drops.iter().map(|drop| &drop.dataset))
            .try_for_each(|name| super::is_of(self.lake.dataset(), name))?;
        tracing::warn!(aggregator = %self.id, %run_id, command = document.command, "completing what a stopped run left");
        if let Some(from) = &document.trends_from {
            self.add_trends(from.parse().unwrap_or(FIRST_DAY));
        }
        // Days that stay where they are stop nothing.
        let left = self.finish_drops(&document.drops).await;
        let is_left = !left.is_empty();
        self.told.extend(left);
        if let Some(intent) = &document.snapshot {
            let date = intent.snapshot_date.parse()?;
            match self.roll_forward(run_id, date, intent, now).await {
                Ok(Rolled::Done) => {}
                Ok(Rolled::Lost(what)) => self.told.push(what),
                // It blocks nothing but its own day.
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), %run_id, %date, "a stopped run cannot be completed yet");
                    let (number, outcome) = (intent.row.commit_number.unwrap_or_default(), intent.row.outcome);
                    self.blocked.push(Blocked { run_id, date, number, outcome, why: format!("{error:#}") });
                    return Ok(());
                }
            }
        }
        if !is_left {
            self.absorbed.push(run_id);
        }
        Ok(())
    }

    /// Completes drops that a stopped run began. Gives which files stay that should not, in words: they stop nothing.
    async fn finish_drops(&mut self, drops: &[Drop]) -> Vec<String> {
        if drops.is_empty() {
            return Vec::new();
        }
        let (lake, id) = (self.lake.clone(), self.id.clone());
        let mut proof = match Proof::open(&lake, &id).await {
            Ok(proof) => proof,
            Err(error) => return vec![format!("the files of days that were dropped stay: {error:#}")],
        };
        let mut left = Vec::new();
        for drop in drops {
            match finish_drop(&lake, &id, drop, &mut proof).await {
                Ok(()) => self.completed.extend(drop.snapshot_date.parse::<SnapshotDate>()),
                Err(error) => {
                    left.push(format!("the files of {}, which was dropped, stay: {error:#}", drop.snapshot_date));
                }
            }
        }
        left
    }

    /// Does what is missing of what a run intended with a day, and puts its row into the ledger.
    async fn roll_forward(
        &mut self,
        run_id: RunId,
        date: SnapshotDate,
        intent: &Intent,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Rolled> {
        let stopped = Stopped { journal: self, run_id, date, intent };
        // Of its row there may be a document already, and the file is what readers see.
        let file = Ledger::in_file(&self.lake, &self.id, date).await?;
        let file = file.unwrap_or_else(|| Ledger::none(self.lake.dataset()));
        if file.rows().iter().any(|row| intent.is_done_by(row)) {
            // In the catalog it may not be yet.
            self.completed.push(date);
            return Ok(Rolled::Done);
        }
        let ledger = Ledger::read(&self.lake, &self.id, date).await?.without(&intent.row.run_id);
        let is_overtaken = intent.is_overtaken(&ledger);
        let is_in_place = match intent.place() {
            Some(place) => stopped.has_facts(place).await?,
            None => false,
        };
        // Where its facts are in place it is the last commit, whatever number it could give itself without its ledger.
        if is_overtaken && !is_in_place {
            stopped
                .note_failed("stopped before its snapshot was in place, and overtaken by a later run of the day")
                .await?;
            return Ok(Rolled::Done);
        }
        let number = intent.row.commit_number.filter(|_| !is_overtaken).unwrap_or(ledger.next_number());
        let held = self.snapshot_of(date);
        match intent.place() {
            Some(place) => {
                if let Some(lost) = stopped.put(place).await? {
                    return Ok(lost);
                }
            }
            None => self.lake.remove_held(&held).await?,
        }
        // What was held before the commit is of the past.
        let is_committed = intent.row.outcome == Outcome::Succeeded;
        if is_committed && ledger.held().is_none_or(|held| held.commit_number < Some(number)) {
            self.lake.remove_held(&held).await?;
        }
        stopped.note_completed(number, now).await?;
        self.completed.push(date);
        if intent.row.outcome == Outcome::Held {
            let why = intent.row.error.as_deref().unwrap_or_default();
            self.told.push(format!("run {run_id} of {date}, which was stopped, is {why}"));
        }
        Ok(Rolled::Done)
    }
}

/// What a stopped run intended with a day, about to be completed.
struct Stopped<'a> {
    /// Whose lake it is completed in, by its run.
    journal: &'a Journal,
    run_id: RunId,
    date: SnapshotDate,
    intent: &'a Intent,
}

impl Stopped<'_> {
    /// Puts what is not in place yet, the facts last. Gives what became of it where that is not to be had any more.
    async fn put(&self, place: Place) -> anyhow::Result<Option<Rolled>> {
        let Self { journal, run_id, date, .. } = *self;
        let dataset = journal.lake.dataset();
        let missing = self.intent.missing(&journal.lake, &journal.id, (run_id, date), place);
        let table = match missing.await? {
            Ok(missing) => {
                for (partition, file) in missing {
                    journal.lake.commit_file(&partition, place, file).await?;
                }
                return Ok(None);
            }
            Err(table) => table,
        };
        let why = format!("stopped, and cannot be completed: the file of {table} that it staged is gone or damaged");
        self.note_failed(&why).await?;
        let facts = journal.partition(dataset.facts, date);
        if place == Place::Table && journal.lake.sha256_of(&facts, place).await?.is_none() {
            // Of a day that never was.
            let sources: Vec<Partition> =
                dataset.sources.map(|table| journal.partition(table, date)).into_iter().collect();
            journal.lake.remove(&sources).await?;
        }
        Ok(Some(Rolled::Lost(format!("run {run_id} of {date} was {why}; the day is as it was"))))
    }

    async fn note_completed(&self, number: u64, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Self { journal, date, intent, .. } = *self;
        let by = journal.run_id;
        let note = format!("the run was stopped; completed from the journal by run {by} at {}", now.to_rfc3339());
        let error = intent.row.error.iter().cloned().chain([note]).collect::<Vec<_>>().join("; ");
        let row = LedgerRow { finished_at: now, error: Some(error), commit_number: Some(number), ..intent.row.clone() };
        Ledger::write(&journal.lake, &journal.id, date, row).await
    }

    async fn note_failed(&self, why: &str) -> anyhow::Result<()> {
        let Self { journal, date, intent, .. } = *self;
        let row = LedgerRow {
            outcome: Outcome::Failed,
            error: Some(why.to_owned()),
            commit_number: None,
            snapshot_sha256: None,
            source_status_sha256: None,
            rows: 0,
            ..intent.row.clone()
        };
        Ledger::write(&journal.lake, &journal.id, date, row).await
    }

    async fn has_facts(&self, place: Place) -> anyhow::Result<bool> {
        let facts = self.journal.partition(self.journal.lake.dataset().facts, self.date);
        let there = self.journal.lake.sha256_of(&facts, place).await?;
        Ok(there.as_ref() == Some(&self.intent.facts_sha256))
    }
}

/// What of a day the next session makes what a run intended, whatever is there now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Completes {
    /// The snapshot in its tables.
    pub(crate) snapshot: bool,
    /// What is held, or that nothing is.
    pub(crate) held: bool,
}

impl PendingDay {
    /// What the next session completes of the day.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn completes(&self, lake: &Lake, id: &AggregatorId) -> anyhow::Result<Completes> {
        let Some(intent) = self.intent.as_ref().filter(|_| self.is_known) else { return Ok(Completes::default()) };
        match intent.completes(lake, id, (self.run_id, self.date)).await {
            Err(error) if is_unreadable(&error) => Ok(Completes::default()),
            completes => completes,
        }
    }
}

impl Intent {
    /// Whether this is the row of its run, once all of it is done.
    fn is_done_by(&self, row: &LedgerRow) -> bool {
        row.run_id == self.row.run_id && row.outcome == self.row.outcome && row.commit_number.is_some()
    }

    /// What the next session completes of it.
    async fn completes(&self, lake: &Lake, id: &AggregatorId, of: (RunId, SnapshotDate)) -> anyhow::Result<Completes> {
        let ledger = Ledger::in_file(lake, id, of.1).await?.unwrap_or_else(|| Ledger::none(lake.dataset()));
        // With its row in the ledger it is done, and with a later one it is not done any more: see `roll_forward`.
        if ledger.rows().iter().any(|row| self.is_done_by(row)) || self.is_overtaken(&ledger) {
            return Ok(Completes::default());
        }
        Ok(match self.place() {
            Some(place) => {
                let is_there = self.missing(lake, id, of, place).await?.is_ok();
                Completes { snapshot: is_there && place == Place::Table, held: is_there }
            }
            None => Completes { snapshot: false, held: true },
        })
    }

    /// The staged files of what is not in place yet, the facts last; or the table whose file is not there to be put. Both are at
    /// hand before one is put: otherwise the day would have the sources of another run than its facts.
    async fn missing(
        &self,
        lake: &Lake,
        id: &AggregatorId,
        (run_id, date): (RunId, SnapshotDate),
        place: Place,
    ) -> anyhow::Result<Result<Vec<(Partition, Bytes)>, &'static str>> {
        let dataset = lake.dataset();
        let mut missing = Vec::new();
        let sources = dataset.sources.map(|table| (table, &self.sources_sha256));
        for (table, sha256) in sources.into_iter().chain([(dataset.facts, &self.facts_sha256)]) {
            let partition = Partition { table, date, aggregator: id.clone() };
            if lake.sha256_of(&partition, place).await?.as_ref() == Some(sha256) {
                continue;
            }
            match lake.staged(run_id, &partition, place, sha256).await? {
                Some(file) => missing.push((partition, file)),
                None => return Ok(Err(table.name())),
            }
        }
        Ok(Ok(missing))
    }

    /// Where its files are put; nothing where it removes what is held.
    pub(super) fn place(&self) -> Option<Place> {
        self.row.outcome.place()
    }

    /// Whether a later run has done something with the day that ends this. What is held does not end a commit.
    fn is_overtaken(&self, ledger: &Ledger) -> bool {
        let Some(number) = self.row.commit_number else { return false };
        match self.row.outcome {
            Outcome::Succeeded => ledger.last_change().and_then(|last| last.commit_number) >= Some(number),
            _ => ledger.last_number() >= number,
        }
    }
}

/// Completes a drop that a stopped run began: where the ledger says that the day was dropped, its files go, if it can still be
/// proven that its months have them. Where it does not yet, the day stays, and the next `maintain` proves it again.
async fn finish_drop(lake: &Lake, id: &AggregatorId, drop: &Drop, proof: &mut Proof<'_>) -> anyhow::Result<()> {
    let date = drop.snapshot_date.parse()?;
    let ledger = match Ledger::in_file(lake, id, date).await {
        // A damaged ledger costs its own day: the files stay.
        Err(error) if is_damage(&error) => {
            tracing::warn!(error = format!("{error:#}"), %date, "the day is not dropped");
            return Ok(());
        }
        ledger => ledger?.unwrap_or_else(|| Ledger::none(lake.dataset())),
    };
    if ledger.last_change().is_none_or(|last| last.run_id != drop.row.run_id) {
        return Ok(());
    }
    if !proof.holds(date, &ledger, true).await? {
        bail!(
            "its months do not have these very files: restore what `compline verify` names, or where it names nothing else \
             `compline maintain FILE --apply` makes them again"
        );
    }
    Ok(lake.remove(&Partition::of_tables(&lake.dataset().snapshot(), date, id)).await?)
}

/// What an entry says, or its copy where it is damaged.
pub(super) fn read(entry: &JournalEntry) -> Option<Document> {
    let documents = [Some(&entry.document), entry.copy.as_ref()];
    let of = |document: &Bytes| serde_json::from_slice(document).ok().filter(Document::is_told);
    documents.into_iter().flatten().find_map(of)
}

impl Document {
    /// Whether it says of which days it is. Of a newer version nothing is known.
    fn is_told(&self) -> bool {
        let dates = self.snapshot.iter().map(|intent| &intent.snapshot_date);
        let mut dates = dates.chain(self.drops.iter().map(|drop| &drop.snapshot_date));
        self.version > VERSION || dates.all(|date| date.parse::<SnapshotDate>().is_ok())
    }
}

//! Computing the trends of days: one function for a run's day and the later ones that it changes, for `compline trends`, and
//! for `compline verify`, which only compares.

mod chain;
mod status;
#[cfg(test)]
mod tests;

use crate::history::{History, Span};
use crate::journal::Journal;
use crate::population::{Population, Told};
use crate::session::Session;
use arrow::array::{Array, RecordBatch};
use chain::Chain;
use chain::NeedsAllDays;
pub(crate) use chain::population_since;
use compline_model::{AggregatorId, Dataset, RowSource, SnapshotDate, Table};
use compline_sink::{Lake, SinkError, TableFile};
use compline_transformer::{CheckedSnapshot, Trends};
pub(crate) use status::Status;
#[cfg(test)]
pub(crate) use status::tests::rows as made_up_rows;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
#[cfg(test)]
pub(crate) use tests::imported;

/// Which days are computed, and what becomes of them.
pub(crate) struct Computing<'a> {
    /// Whose dataset's days they are.
    pub(crate) lake: &'a Lake,
    pub(crate) history: &'a History,
    pub(crate) id: &'a AggregatorId,
    /// The days that have a snapshot, and earlier ones without which they cannot be computed.
    pub(crate) span: Span,
    /// A day whose state is given back.
    pub(crate) state_of: Option<SnapshotDate>,
    /// Where files are read for something else as well.
    pub(crate) shared: Option<&'a Shared>,
    /// Told of each day when it is done.
    pub(crate) on_day: &'a (dyn Fn(SnapshotDate) + Sync),
}

/// What else than the trends reads the files that they are computed from, so that each is read once.
pub(crate) struct Shared {
    /// What the ledger says of days, as far as it was read before.
    pub(crate) told: BTreeMap<SnapshotDate, Told>,
    /// Is given the files of facts.
    pub(crate) look: Arc<Look>,
}

/// Looks at the file of a day's facts, as it was committed, and gives its rows.
pub(crate) type Look = dyn Fn(SnapshotDate, TableFile) -> Box<dyn RowSource> + Send + Sync;

/// A snapshot that has just been committed, so that it need not be read.
pub(crate) struct Tonight {
    pub(crate) date: SnapshotDate,
    /// The snapshot, until it is used.
    pub(crate) snapshot: Option<CheckedSnapshot>,
    pub(crate) population: Population,
    /// SHA-256 of its file, which the ledger does not say yet.
    pub(crate) snapshot_sha256: Option<String>,
    /// Whether nothing but this day is out of date: then the later days are not computed if its trends are those that were
    /// there before.
    pub(crate) is_all: bool,
}

/// What became of days whose trends were computed.
#[derive(Debug, Default)]
pub(crate) struct Computed {
    /// The days that have trends, in order.
    pub(crate) days: Vec<SnapshotDate>,
    /// Those whose tables were not as the snapshots say.
    pub(crate) differed: Vec<SnapshotDate>,
    /// Days that are facts only and had trend tables.
    pub(crate) facts_only: Vec<SnapshotDate>,
    /// What of earlier runs could not be completed, in words.
    pub(crate) undone: Vec<String>,
    /// The state after the day that it was asked for.
    pub(crate) state: Option<Status>,
    /// The trends of the snapshot that has just been committed.
    pub(crate) tonight: Option<Trends>,
    pub(crate) bytes: u64,
}

impl Computed {
    /// Adds what became of later days.
    pub(crate) fn add(&mut self, later: Self) {
        self.days.extend(later.days);
        self.differed.extend(later.differed);
        self.facts_only.extend(later.facts_only);
        self.undone.extend(later.undone);
        self.state = later.state.or(self.state.take());
        self.tonight = later.tonight.or(self.tonight.take());
        self.bytes += later.bytes;
    }
}

/// Computes the trends of the days of an aggregator's dataset from the snapshots and writes what differs, under the journal: for as long as
/// later days may be out of date, that is noted in the lake.
///
/// # Errors
/// A lake that does not answer, or a snapshot that cannot be read.
pub(crate) async fn recompute(
    session: &Session<'_>,
    dataset: &'static Dataset,
    id: &AggregatorId,
    span: Span,
    on_day: &(dyn Fn(SnapshotDate) + Sync),
) -> anyhow::Result<Computed> {
    let mut journal = session.journal(dataset, id).await?;
    let undone = journal.undone();
    // After the journal is completed, which may add a day.
    let statuses_from = session.settings.keep.statuses_from(dataset, session.today());
    let lake = &session.lake_of(id).of(dataset);
    let history = History::to_recompute(lake, statuses_from, id).await?;
    let was_pending = journal.trends_from();
    let Some(first) = history.days(id, span).next() else {
        // Of no snapshot there are no trends that could be out of date.
        let is_empty = history.days(id, Span::default()).next().is_none();
        journal.finish(was_pending.filter(|_| !is_empty)).await?;
        return Ok(Computed { undone, ..Computed::default() });
    };
    let from = was_pending.map_or(first, |pending| pending.min(first));
    let after = history.days(id, Span::default()).find(|date| span.to.is_some_and(|to| *date > to));
    let span = Span { from: Some(from), to: span.to };
    let computing = Computing { lake, history: &history, id, span, state_of: None, shared: None, on_day };
    let mut computed = Computed { undone, ..Computed::default() };
    if let Err(error) = computing.compute(None, Some(&mut journal), &mut computed).await {
        // The days that were done are as they must be by now: what is noted as out of date begins after them. Where it was no damage the
        // store, or a lease that was lost, is why nothing more is written.
        let done = computed.days.last();
        let next = done.and_then(|done| history.days(id, Span { from: Some(done.next()), to: None }).next());
        let is_noted = crate::journal::is_damage(&error) && journal.trends_from().is_some();
        if let Some(next) = next.filter(|_| is_noted)
            && let Err(unnoted) = journal.finish(Some(next)).await
        {
            tracing::warn!(error = format!("{unnoted:#}"), "it is not noted how far the trends were computed");
        }
        return Err(error);
    }
    // Later days were computed from what is now otherwise, or were out of date before.
    let is_behind = was_pending.is_some() || !computed.differed.is_empty() || !computed.facts_only.is_empty();
    journal.finish(after.filter(|_| is_behind)).await?;
    Ok(computed)
}

impl Computing<'_> {
    /// Computes the days, and where there is a journal writes the tables that are not as the snapshots say. The journal says from
    /// which day on trends are out of date before the first of them is replaced. What became of the days is added to `computed`.
    ///
    /// # Errors
    /// A lake that does not answer, or a snapshot that cannot be read: the days before it are computed all the same. A table that is
    /// computed and cannot be read is computed again, with the days that it takes.
    pub(crate) async fn compute(
        &self,
        tonight: Option<Tonight>,
        journal: Option<&mut Journal>,
        computed: &mut Computed,
    ) -> anyhow::Result<()> {
        self.compute_without(BTreeSet::new(), tonight, journal, computed).await
    }

    /// The same without files that are known to be damaged.
    async fn compute_without(
        &self,
        mut lacking: BTreeSet<(Table, SnapshotDate)>,
        mut tonight: Option<Tonight>,
        mut journal: Option<&mut Journal>,
        computed: &mut Computed,
    ) -> anyhow::Result<()> {
        loop {
            let mut chain =
                Chain::new(self, &lacking, tonight.as_ref().map(|tonight| tonight.date), journal.as_deref());
            let mut of_chain = Computed::default();
            let done = self.days(&mut chain, &mut tonight, journal.as_deref_mut(), &mut of_chain).await;
            if done.as_ref().is_err_and(|error| error.is::<NeedsAllDays>()) {
                let ids = [self.id];
                let history = History::read(self.lake, self.history.statuses_from(), &ids).await?;
                let computing = Computing { history: &history, ..*self };
                return Box::pin(computing.compute_without(lacking, tonight, journal, computed)).await;
            }
            // Each time another file, so this ends.
            if let Err(error) = &done
                && let Some(file) = chain.damaged.take()
                && lacking.insert(file)
            {
                // Without a journal nothing is changed.
                let what = match journal {
                    Some(_) => "computing it again from the snapshots",
                    None => "computing from the snapshots what it must be, to compare",
                };
                tracing::warn!(error = format!("{error:#}"), "{what}");
                continue;
            }
            computed.add(of_chain);
            return done;
        }
    }

    async fn days(
        &self,
        chain: &mut Chain<'_>,
        tonight: &mut Option<Tonight>,
        mut journal: Option<&mut Journal>,
        computed: &mut Computed,
    ) -> anyhow::Result<()> {
        let Some(first) = chain.first_day(self.span, tonight.as_ref()).await? else { return Ok(()) };
        let last = self.span.to;
        let dates = chain.days_from(first).into_iter().take_while(|date| last.is_none_or(|last| *date <= last));
        let mut dates = dates.peekable();
        // Of a night's days most is at hand, or never looked at.
        let reads_ahead = tonight.is_none();
        while let Some(date) = dates.next() {
            if reads_ahead {
                chain.read_ahead(date, dates.peek().copied());
            }
            let is_tonight = tonight.as_ref().is_some_and(|tonight| tonight.date == date);
            let is_all = tonight.as_ref().is_some_and(|tonight| tonight.is_all);
            let taken = if is_tonight { tonight.as_mut() } else { None };
            let Some(day) = chain.day(date, taken).await? else {
                if chain.has_trends(date) {
                    computed.facts_only.push(date);
                    if let Some(journal) = &mut journal {
                        journal.begin_trends(date).await?;
                        chain.remove_trends(date).await?;
                    }
                }
                continue;
            };
            let is_stored = chain.is_stored(date, &day).await?;
            if !is_stored {
                computed.differed.push(date);
            }
            if let Some(journal) = journal.as_mut().filter(|_| !is_stored) {
                journal.begin_trends(date).await?;
                computed.bytes += chain.commit(date, &day).await?;
            }
            if self.state_of == Some(date) {
                computed.state = Some(day.status.clone());
            }
            computed.days.push(date);
            (self.on_day)(date);
            if is_tonight {
                chain.write_together(date).await;
                computed.tonight = Some(day.trends);
                // A snapshot that gives the trends that were there changes no later day either.
                if is_all && is_stored && first == date {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Whether a table that is stored is the one that was computed. A column that came with a later version of the tables than the
/// file's is not compared.
fn is_same(table: Table, stored: &RecordBatch, computed: &RecordBatch) -> bool {
    stored.num_rows() == computed.num_rows()
        && table.columns().iter().zip(stored.columns().iter().zip(computed.columns())).all(
            |(column, (stored, computed))| {
                stored == computed || (column.since > 1 && stored.null_count() == stored.len())
            },
        )
}

/// What a stored file is, or that it is damaged.
fn damage<T>(read: Result<T, SinkError>) -> Result<Option<T>, SinkError> {
    match read {
        Err(error) if error.is_damage() => Ok(None),
        read => read.map(Some),
    }
}

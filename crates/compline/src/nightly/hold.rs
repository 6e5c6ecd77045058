//! Holding a day that lost much against the last one: it may be true, or half of an organization may be missing without a
//! word. It is set aside, and a person decides with `run --accept`.

use super::collect::Collected;
use super::{Shared, Source};
use crate::held::{Held, Holding, held, hint, option};
use crate::history::History;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::population::{Population, Told, is_comparable};
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Partition, TableFile, computed};
use compline_transformer::{Extent, Loss, checked_before};
use std::sync::Arc;

/// What a day is compared with.
struct Comparable {
    last: Option<(SnapshotDate, Extent)>,
    /// Why a later one cannot be read.
    unread: Option<String>,
    /// Whether earlier days would not say otherwise.
    is_known: bool,
}

impl Shared<'_> {
    /// What is held of this run's day, when the run accepts it: what the ledger says was held, and nothing else.
    pub(super) async fn accepted(&self, id: &AggregatorId) -> anyhow::Result<Option<Collected>> {
        let (lake, date) = (&self.lake, self.request.date);
        let ledger = Ledger::read(lake, id, date).await?;
        let Held { row, facts, sources } = match held(lake, id, date, &ledger).await? {
            Holding::Nothing => return Ok(None),
            Holding::It(held) => *held,
            Holding::Unsound(why) => bail!(
                "what is held of {date} is not committed: {why}; restore it, or {}, and if it is today run again",
                hint(self.dataset, id, date)
            ),
        };
        tracing::info!(held_by = row.run_id, "committing the day that was held");
        let population = Population::of_row(&row);
        let dataset = self.dataset;
        let checked = move |facts: &TableFile| checked_before(dataset, Arc::new(facts.clone()));
        let snapshot = facts.look_through(checked).await?;
        let source_status =
            sources.map_or_else(|| RecordBatch::new_empty(Table::SourceStatus.schema()), |sources| sources.rows);
        Ok(Some(Collected { snapshot, source_status, population }))
    }

    /// Whether something is held of the day, whatever its state is.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(super) async fn has_held(&self, id: &AggregatorId, journal: &anyhow::Result<Journal>) -> anyhow::Result<bool> {
        let (lake, date) = (&self.lake, self.request.date);
        // What the journal fails with is told of the aggregator.
        let Ok(journal) = journal else { return Ok(true) };
        let ledger = Ledger::sound_or_none(lake, id, date).await?;
        let holding = held(lake, id, date, &ledger).await?;
        Ok(!matches!(holding, Holding::Nothing) || journal.has_blocked_hold(date))
    }

    /// Why a day is to be held: it lost more than the settings allow against the last snapshot of the same population before
    /// it. And why it could not be compared if it could not: a damaged file costs its own day, and not this one.
    pub(super) async fn held_for(
        &self,
        id: &AggregatorId,
        population: &Population,
        collected: &Collected,
    ) -> anyhow::Result<(Option<String>, Option<String>)> {
        // What a population by compliance type loses may have been fixed, and a day that is restored was committed as it is.
        if self.request.accept || population.facts_only || self.request.source == Source::Month {
            return Ok((None, None));
        }
        let Comparable { last: before, unread, .. } = self.last_comparable(id, population).await?;
        let unread = unread.map(|error| {
            let compared = before.as_ref().map_or_else(|| "none".to_owned(), |(date, _)| format!("that of {date}"));
            format!("the snapshot before is damaged or gone, so that losses were compared with {compared}: {error}")
        });
        let Some((last, before)) = before else { return Ok((None, unread)) };
        let snapshot = collected.snapshot.clone();
        // Off the thread that renews the lease.
        let compared = computed(move || Extent::of(&snapshot).map(|now| Loss::of(&before, &now)));
        let (loss, allowed) = (compared.await.context("comparing stopped")??, self.session.settings.max_loss);
        if loss.largest() <= allowed {
            return Ok((None, unread));
        }
        let date = self.request.date;
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let why = format!(
            "held, not committed: against {last} it lost {} of the rows, {} of the accounts, {} of the regions, and \
             check.max_loss_percent allows {}; if that is right, `compline run FILE --only {id} --date {date}{} --accept` commits it, and if not, --reject removes it",
            percent(loss.rows),
            percent(loss.accounts),
            percent(loss.regions),
            percent(allowed),
            option(self.dataset)
        );
        Ok((Some(why), unread))
    }

    /// The last snapshot before the day that can be read, if it is of the same population; and why a later one cannot be read.
    async fn last_comparable(&self, id: &AggregatorId, population: &Population) -> anyhow::Result<Comparable> {
        let found = self.last_comparable_in(&self.history, id, population).await?;
        if found.is_known || !self.history.is_part() {
            return Ok(found);
        }
        // None of the days that were listed can be read. A loss shows against an earlier one as well.
        let statuses_from = self.history.statuses_from();
        let all = History::read(&self.lake, statuses_from, &[id]).await?;
        self.last_comparable_in(&all, id, population).await
    }

    async fn last_comparable_in(
        &self,
        history: &History,
        id: &AggregatorId,
        population: &Population,
    ) -> anyhow::Result<Comparable> {
        let mut unread = None;
        let dropped = history.dropped(id);
        for date in history.with_dropped(id).range(..self.request.date).rev().copied() {
            let Some(theirs) = Told::of_day(&self.lake, id, date).await? else {
                // Whether the day before was of the same filters is not known.
                unread.get_or_insert_with(|| format!("the ledger of {date}, in runs, is damaged or gone"));
                continue;
            };
            if !is_comparable(theirs.population.as_ref(), Some(population)) {
                return Ok(Comparable { last: None, unread, is_known: true });
            }
            let partition = |table| Partition { table, date, aggregator: id.clone() };
            // Of a day whose snapshot was dropped its state has the packs, where that was not dropped too.
            let file = match dropped.contains(&date) && !history.has_snapshot(id, date) {
                true => self.lake.file(&partition(self.dataset.status)).await,
                false => {
                    let committed = theirs.snapshot_sha256.as_deref();
                    self.lake.committed(&partition(self.dataset.facts), committed).await
                }
            };
            let extent = match file {
                Ok(Some(file)) => file.look_through(|file| Extent::of(file)).await.map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            match extent {
                Ok(Some(extent)) => return Ok(Comparable { last: Some((date, extent)), unread, is_known: true }),
                Ok(None) => {}
                Err(error) if error.is_damage() => {
                    unread.get_or_insert_with(|| error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Comparable { last: None, unread, is_known: false })
    }

    /// Removes what was held of a day that is committed now.
    pub(super) async fn remove_held(&self, id: &AggregatorId) -> anyhow::Result<()> {
        let files = Partition::of_tables(&self.dataset.snapshot(), self.request.date, id);
        Ok(self.lake_of(id).remove_held(&files).await?)
    }
}

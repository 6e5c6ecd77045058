//! Holding a day that lost much against the last one: it may be true, or half of an organization may be missing without a
//! word. It is set aside, and a person decides with `run --accept`.

use super::Shared;
use super::collect::Collected;
use crate::history::Span;
use crate::ledger::Ledger;
use crate::population::{Population, Told, is_comparable};
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Partition, Place, SinkError, Stored};
use compline_transformer::{LOSS_COLUMNS, Loss, check};

impl Shared<'_> {
    /// What is held of this run's day, when the run accepts it: what the ledger says was held, and nothing else.
    pub(super) async fn accepted(&self, id: &AggregatorId) -> anyhow::Result<Option<Collected>> {
        if !self.night.accept {
            return Ok(None);
        }
        let lake = &self.session.lake;
        let (facts, sources) = (self.held(id, self.dataset.facts).await, self.held(id, self.dataset.sources).await);
        let (facts, sources) = match (facts, sources) {
            (Ok(None), Ok(None)) => return Ok(None),
            (Ok(Some(facts)), Ok(Some(sources))) => (facts, sources),
            (Err(error), _) | (_, Err(error)) => return Err(error).context(self.not_accepted(id)),
            _ => bail!("{}: one of its two files is gone", self.not_accepted(id)),
        };
        let ledger = Ledger::read(lake, id, self.night.date).await?;
        let Some(row) = ledger.held() else {
            bail!(
                "{}: the ledger has no run that held it, or one that committed or rejected it since",
                self.not_accepted(id)
            )
        };
        // Ledgers of older versions have no checksums of what was held.
        let is_other = |own: &Option<String>, there: &str| own.as_ref().is_some_and(|own| own != there);
        if is_other(&row.snapshot_sha256, &facts.sha256) || is_other(&row.source_status_sha256, &sources.sha256) {
            bail!("{}: it is not what run {} held, by the checksums in the ledger", self.not_accepted(id), row.run_id);
        }
        tracing::info!(held_by = row.run_id, "committing the day that was held");
        let population = Population::of_row(row);
        let snapshot =
            tokio::task::spawn_blocking(move || check(vec![facts.rows])).await.context("checking stopped")??;
        Ok(Some(Collected { snapshot, source_status: sources.rows, population }))
    }

    fn not_accepted(&self, id: &AggregatorId) -> String {
        let date = self.night.date;
        format!(
            "what is held of {date} is not committed (`compline run FILE --only {id} --date {date} --reject` removes it; if it \
             is today, run again without --accept)"
        )
    }

    async fn held(&self, id: &AggregatorId, table: Table) -> Result<Option<Stored>, SinkError> {
        let partition = Partition { table, date: self.night.date, aggregator: id.clone() };
        self.session.lake.stored(&partition, Place::Held, None).await
    }

    /// Removes what is held of the day, whatever its state is.
    ///
    /// # Errors
    /// Nothing is held, or a store that does not answer.
    pub(super) async fn reject(&self, id: &AggregatorId) -> anyhow::Result<()> {
        let lake = self.session.lake_of(id);
        let files = self.held_partitions(id);
        let mut is_held = false;
        for file in &files {
            is_held |= lake.sha256_of(file, Place::Held).await?.is_some();
        }
        if !is_held {
            bail!("nothing is held of {}", self.night.date);
        }
        Ok(lake.remove_held(&files).await?)
    }

    /// Why a day is to be held: it lost more than the settings allow against the last snapshot of the same population before
    /// it. And why it could not be compared if it could not: a damaged file costs its own day, and not this one.
    pub(super) async fn held_for(
        &self,
        id: &AggregatorId,
        population: &Population,
        collected: &Collected,
    ) -> anyhow::Result<(Option<String>, Option<String>)> {
        // What a population by compliance type loses may have been fixed.
        if self.night.accept || population.facts_only {
            return Ok((None, None));
        }
        let (before, unread) = self.last_comparable(id, population).await?;
        let unread = unread.map(|error| {
            let compared = before.as_ref().map_or_else(|| "none".to_owned(), |(date, _)| format!("that of {date}"));
            format!("the snapshot before is damaged, so that losses were compared with {compared}: {error}")
        });
        let Some((last, before)) = before else { return Ok((None, unread)) };
        let rows = collected.snapshot.rows();
        let (loss, allowed) = (Loss::of(&before, rows), self.session.settings.max_loss);
        if loss.largest() <= allowed {
            return Ok((None, unread));
        }
        let date = self.night.date;
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let why = format!(
            "held, not committed: against {last} it lost {} of the rows, {} of the accounts, {} of the regions, and \
             check.max_loss_percent allows {}; if that is right, `compline run FILE --only {id} --date {date} --accept` commits it, and if not, --reject removes it",
            percent(loss.rows),
            percent(loss.accounts),
            percent(loss.regions),
            percent(allowed)
        );
        Ok((Some(why), unread))
    }

    /// The last snapshot before the day that can be read, if it is of the same population; and why a later one cannot be read.
    async fn last_comparable(
        &self,
        id: &AggregatorId,
        population: &Population,
    ) -> anyhow::Result<(Option<(SnapshotDate, RecordBatch)>, Option<String>)> {
        let mut unread = None;
        let before: Vec<SnapshotDate> =
            self.history.days(id, Span::default()).filter(|date| *date < self.night.date).collect();
        for date in before.into_iter().rev() {
            let theirs = Told::of_day(&self.session.lake, id, date).await?;
            if !is_comparable(theirs.population.as_ref(), Some(population)) {
                break;
            }
            let partition = Partition { table: self.dataset.facts, date, aggregator: id.clone() };
            let committed = theirs.snapshot_sha256.as_deref();
            match self.session.lake.committed(&partition, committed, Some(LOSS_COLUMNS)).await {
                Ok(Some(rows)) => return Ok((Some((date, rows)), unread)),
                Ok(None) => {}
                Err(error) if error.is_damage() => {
                    unread.get_or_insert_with(|| error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((None, unread))
    }

    /// Removes what was held of a day that is committed now.
    pub(super) async fn remove_held(&self, id: &AggregatorId) -> anyhow::Result<()> {
        Ok(self.session.lake_of(id).remove_held(&self.held_partitions(id)).await?)
    }

    fn held_partitions(&self, id: &AggregatorId) -> Vec<Partition> {
        let partition = |table| Partition { table, date: self.night.date, aggregator: id.clone() };
        self.dataset.snapshot().into_iter().map(partition).collect()
    }
}

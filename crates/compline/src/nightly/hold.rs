//! Holding a day that lost much against the last one: it may be true, or half of an organization may be missing without a
//! word. It is set aside, and a person decides with `run --accept`.

use super::Shared;
use super::collect::Collected;
use crate::history::Span;
use crate::population::{Population, is_comparable};
use anyhow::Context;
use arrow::array::RecordBatch;
use compline_model::{AggregatorId, SnapshotDate};
use compline_sink::Partition;
use compline_transformer::{LOSS_COLUMNS, Loss, check};

impl Shared<'_> {
    /// What is held of this run's day, when the run accepts it.
    pub(super) async fn accepted(&self, id: &AggregatorId) -> anyhow::Result<Option<Collected>> {
        if !self.night.accept {
            return Ok(None);
        }
        let (lake, (facts, sources)) = (&self.session.lake, self.held_partitions(id));
        let (Some(rows), Some(source_status)) = (lake.held(&facts).await?, lake.held(&sources).await?) else {
            return Ok(None);
        };
        tracing::info!("committing the day that was held");
        let snapshot = tokio::task::spawn_blocking(move || check(vec![rows])).await.context("checking stopped")??;
        Ok(Some(Collected { snapshot, source_status }))
    }

    /// Holds a day that lost more than the settings allow against the last snapshot of the same population before it. Gives why,
    /// and why it could not be compared if it could not: a damaged file costs its own day, and not this one.
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
        let (lake, (facts, sources)) = (self.session.lake_of(id), self.held_partitions(id));
        // The facts last: where they are held, the sources are.
        lake.hold(&sources, collected.source_status.clone()).await?;
        lake.hold(&facts, rows.clone()).await?;
        let date = self.night.date;
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let why = format!(
            "held, not committed: against {last} it lost {} of the rows, {} of the accounts, {} of the regions, and \
             check.max_loss_percent allows {}; if that is right, `compline run FILE --only {id} --date {date} --accept` commits it",
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
            let theirs = Population::of_day(&self.session.lake, id, date).await?;
            if !is_comparable(theirs.as_ref(), Some(population)) {
                break;
            }
            let partition = Partition { table: self.dataset.facts, date, aggregator: id.clone() };
            match self.session.lake.read(&partition, Some(LOSS_COLUMNS)).await {
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

    /// Drops what was held of a day that is committed now.
    pub(super) async fn release(&self, id: &AggregatorId) -> anyhow::Result<()> {
        let (lake, (facts, sources)) = (self.session.lake_of(id), self.held_partitions(id));
        lake.release(&facts).await?;
        Ok(lake.release(&sources).await?)
    }

    fn held_partitions(&self, id: &AggregatorId) -> (Partition, Partition) {
        let partition = |table| Partition { table, date: self.night.date, aggregator: id.clone() };
        (partition(self.dataset.facts), partition(self.dataset.sources))
    }
}

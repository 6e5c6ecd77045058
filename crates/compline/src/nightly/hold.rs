//! Holding a day that lost much against the last one: it may be true, or half of an organization may be missing without a
//! word. It is kept aside, and a person decides with `run --accept`.

use super::{Collected, Shared};
use anyhow::Context;
use compline_model::{AggregatorId, Table};
use compline_sink::Partition;
use compline_transformer::{LOSS_COLUMNS, Loss, check};

impl Shared<'_> {
    /// What was held of this night's day, when the run accepts it.
    pub(super) async fn accepted(&self, id: &AggregatorId) -> anyhow::Result<Option<Collected>> {
        if !self.night.accept {
            return Ok(None);
        }
        let (facts, sources) = self.held_partitions(id);
        let (Some(rows), Some(source_status)) = (self.lake.held(&facts).await?, self.lake.held(&sources).await?) else {
            return Ok(None);
        };
        tracing::info!("committing the day that was held");
        let snapshot = tokio::task::spawn_blocking(move || check(vec![rows])).await.context("checking stopped")??;
        Ok(Some(Collected { snapshot, source_status }))
    }

    /// Holds a day that lost more than the settings allow against the last snapshot before it; says why.
    pub(super) async fn held_for(&self, id: &AggregatorId, collected: &Collected) -> anyhow::Result<Option<String>> {
        let dates = self.snapshot_dates(id);
        let Some(last) = dates.range(..self.night.date).next_back().copied().filter(|_| !self.night.accept) else {
            return Ok(None);
        };
        let before = Partition { table: Table::PackCompliance, date: last, aggregator: id.clone() };
        let Some(before) = self.lake.read(&before, Some(LOSS_COLUMNS)).await? else { return Ok(None) };
        let rows = collected.snapshot.rows();
        let (loss, allowed) = (Loss::of(&before, rows), self.night.settings.max_loss);
        if loss.largest() <= allowed {
            return Ok(None);
        }
        let (facts, sources) = self.held_partitions(id);
        // The facts last: where they are held, the sources are.
        self.lake.hold(&sources, collected.source_status.clone()).await?;
        self.lake.hold(&facts, rows.clone()).await?;
        let date = self.night.date;
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        Ok(Some(format!(
            "held, not committed: against {last} it lost {} of the rows, {} of the accounts, {} of the regions, and \
             check.max_loss_percent allows {}; if that is right, `compline run FILE --only {id} --date {date} --accept` commits it",
            percent(loss.rows),
            percent(loss.accounts),
            percent(loss.regions),
            percent(allowed)
        )))
    }

    /// Drops what was held of a day that is committed now.
    pub(super) async fn release(&self, id: &AggregatorId) -> anyhow::Result<()> {
        let (facts, sources) = self.held_partitions(id);
        self.lake.release(&facts).await?;
        Ok(self.lake.release(&sources).await?)
    }

    fn held_partitions(&self, id: &AggregatorId) -> (Partition, Partition) {
        (self.partition(Table::PackCompliance, id), self.partition(Table::SourceStatus, id))
    }
}

//! The population of a snapshot: which packs were asked for. Two snapshots are only compared if it is the same, and a
//! population that depends on the answer, as one by compliance type does, is compared with nothing: a pack that was fixed
//! would look removed.

use crate::ledger::{Ledger, LedgerRow};
use crate::settings::AggregatorSettings;
use compline_model::{AggregatorId, SnapshotDate};
use compline_sink::Lake;

/// Which packs a snapshot was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Population {
    /// The filters, include and exclude, in one spelling.
    pub(crate) text: String,
    /// Whether it depends on the answer, so that the day is facts only and has no trends.
    pub(crate) facts_only: bool,
}

impl Population {
    /// That of an aggregator, as the settings say it.
    pub(crate) fn of(aggregator: &AggregatorSettings) -> Self {
        let asked = compline_fetcher::Population::of(&aggregator.filters);
        let rows = aggregator.choice.shown();
        let parts: Vec<String> = [asked.shown(), rows.to_owned()].into_iter().filter(|part| !part.is_empty()).collect();
        let text = if parts.is_empty() { "everything".to_owned() } else { parts.join("; ") };
        Self { text, facts_only: asked.depends_on_answer() }
    }

    fn of_row(row: &LedgerRow) -> Option<Self> {
        Some(Self { text: row.population.clone()?, facts_only: row.facts_only.unwrap_or_default() })
    }

    /// That of a day, as its ledger says it; nothing where that is of an older version, or cannot be read: it is then taken
    /// for the same as that of the days around it.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn of_day(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Option<Self>> {
        match Ledger::read(lake, id, date).await {
            Ok(ledger) => Ok(ledger.last_commit().and_then(Self::of_row)),
            Err(error) if crate::journal::is_damage(&error) => {
                tracing::warn!(error = format!("{error:#}"), %date, "taking the filters of the day for those of the days around it");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether snapshots of these populations may be compared.
pub(crate) fn is_comparable(before: Option<&Population>, now: Option<&Population>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => before == now && !now.facts_only,
        (Some(one), None) | (None, Some(one)) => !one.facts_only,
        (None, None) => true,
    }
}

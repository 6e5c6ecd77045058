//! The population of a snapshot: which packs or rules were asked for. Two snapshots are only compared if it is the same, and a
//! population that depends on the answer, as one by compliance type does, is compared with nothing: a pack that was fixed
//! would look removed.

use crate::ledger::{Ledger, LedgerRow};
use crate::settings::DatasetSettings;
use compline_model::{AggregatorId, SnapshotDate};
use compline_sink::Lake;

/// Which packs or rules a snapshot was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Population {
    /// The filters, include and exclude, in one spelling.
    pub(crate) text: String,
    /// Whether it depends on the answer, so that the day is facts only and has no trends.
    pub(crate) facts_only: bool,
}

impl Population {
    /// That of an aggregator's dataset, as the settings say it.
    pub(crate) fn of(settings: &DatasetSettings) -> Self {
        let asked = compline_fetcher::Population::of(settings.dataset, &settings.filters);
        let rows = settings.row_filter.shown();
        let parts: Vec<String> = [asked.shown(), rows.to_owned()].into_iter().filter(|part| !part.is_empty()).collect();
        let text = if parts.is_empty() { "everything".to_owned() } else { parts.join("; ") };
        Self { text, facts_only: asked.depends_on_answer() }
    }

    /// That of a run, as its row of the ledger says it; nothing where that is of an older version.
    pub(crate) fn of_row(row: &LedgerRow) -> Option<Self> {
        Some(Self { text: row.population.clone()?, facts_only: row.facts_only.unwrap_or_default() })
    }
}

/// What the ledger says of the snapshot that was committed last of a day.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Nothing where the ledger is of an older version.
    pub(crate) population: Option<Population>,
    /// Nothing in the same cases: any sound file is then taken for it.
    pub(crate) snapshot_sha256: Option<String>,
}

impl Told {
    /// That of a day; nothing where the ledger is damaged or gone, so that the day is to be taken for one like those around it.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn of_day(lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<Option<Self>> {
        match Ledger::read(lake, id, date).await {
            Ok(ledger) => Ok(Self::of(&ledger)),
            Err(error) if crate::journal::is_damage(&error) => {
                tracing::warn!(error = format!("{error:#}"), %date, "taking the filters of the day for those of the days around it");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// That of a day's ledger; nothing where there is none, since somebody removed it.
    pub(crate) fn of(ledger: &Ledger) -> Option<Self> {
        if ledger.rows().is_empty() {
            return None;
        }
        let Some(last) = ledger.last_commit() else { return Some(Self::default()) };
        Some(Self { population: Population::of_row(last), snapshot_sha256: last.snapshot_sha256.clone() })
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

//! What the ledger says of the last runs.

use crate::journal::is_damage;
use crate::ledger::{Ledger, LedgerRow, Outcome};
use crate::session::Session;
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use serde::Serialize;

/// A run of an aggregator, as the ledger has it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Run {
    pub(crate) snapshot_date: String,
    pub(crate) aggregator: String,
    /// What was collected: packs or rules.
    pub(crate) dataset: &'static str,
    pub(crate) run_id: String,
    /// RFC 3339.
    pub(crate) started_at: String,
    pub(crate) command: String,
    pub(crate) outcome: Outcome,
    pub(crate) rows: u64,
    pub(crate) calls: u64,
    pub(crate) throttles: u64,
    pub(crate) seconds: f64,
    pub(crate) warnings: u64,
    pub(crate) conflicts: u64,
    pub(crate) unreconciled: Option<u64>,
    pub(crate) commit_number: Option<u64>,
    /// ARN of the caller identity, if STS was asked and said it.
    pub(crate) caller: Option<String>,
    pub(crate) error: Option<String>,
    /// Whether it set the day aside, and something became of that since.
    #[serde(skip)]
    pub(crate) is_decided: bool,
}

/// The runs of the last days on which there was one.
pub(crate) async fn last_runs(session: &Session<'_>, nights: u32) -> anyhow::Result<Vec<Run>> {
    let mut ledgers = session.lake.partitions(Table::Runs).await?;
    // Of a day whose file is gone its rows are told as documents.
    for (aggregator, date) in session.lake.noted_days().await? {
        ledgers.entry(aggregator).or_default().insert(date);
    }
    let mut runs = Vec::new();
    for aggregator in session.settings.aggregators.iter().map(|aggregator| &aggregator.address.id) {
        let Some(dates) = ledgers.get(aggregator) else { continue };
        for date in dates.iter().rev().take(nights as usize) {
            let ledger = match Ledger::read(&session.lake, aggregator, *date).await {
                // The other days are told all the same.
                Err(error) if is_damage(&error) => {
                    tracing::error!(error = format!("{error:#}"), "a day of the ledger is left out");
                    continue;
                }
                ledger => ledger?,
            };
            for ledger in ledger.of_each() {
                let (held, dataset) = (ledger.held(), ledger.dataset());
                let is_decided = |row: &LedgerRow| row.outcome == Outcome::Held && held != Some(row);
                let of_row = |row: &LedgerRow| Run::of(aggregator, (dataset, *date), row, is_decided(row));
                runs.extend(ledger.rows().iter().map(of_row));
            }
        }
    }
    Ok(runs)
}

impl Run {
    fn of(
        aggregator: &AggregatorId,
        (dataset, date): (&'static Dataset, SnapshotDate),
        row: &LedgerRow,
        is_decided: bool,
    ) -> Self {
        let row = row.clone();
        Self {
            snapshot_date: date.to_string(),
            aggregator: aggregator.to_string(),
            dataset: dataset.name,
            run_id: row.run_id,
            started_at: row.started_at.to_rfc3339(),
            command: row.command,
            outcome: row.outcome,
            rows: row.rows,
            calls: row.calls,
            throttles: row.throttles,
            seconds: (row.finished_at - row.started_at).num_milliseconds() as f64 / 1000.0,
            warnings: row.warnings,
            conflicts: row.conflicts,
            unreconciled: row.unreconciled,
            commit_number: row.commit_number,
            caller: row.caller,
            error: row.error,
            is_decided,
        }
    }
}

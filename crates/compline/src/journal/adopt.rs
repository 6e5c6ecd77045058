//! Days of stopped runs that left no entry which says what they did: of versions before the journal, or whose entry is
//! damaged.
//!
//! Such a run was killed between the first change of a day and its row in the ledger. The rows of a snapshot name the run that
//! collected them, so the ledger gets that run; nothing is made up. Sources without a snapshot, and without a commit in the
//! ledger, are of a day that was never committed.

use crate::ledger::{Ledger, LedgerRow, Outcome};
use arrow::array::AsArray;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate};
use compline_sink::{Lake, Partition};

/// Completes the ledger of the days from one on.
///
/// # Errors
/// A lake that does not answer. A file that is damaged costs its own day: it is logged, and the others go on.
pub(super) async fn adopt(
    lake: &Lake,
    id: &AggregatorId,
    from: SnapshotDate,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let dates = lake.partitions(Dataset::PACKS.sources).await?.remove(id).unwrap_or_default();
    for date in dates.range(from..).copied() {
        match day(lake, id, date, now).await {
            Err(error) if super::is_damage(&error) => {
                tracing::warn!(error = format!("{error:#}"), %date, "the day is left as it is");
            }
            done => done?,
        }
    }
    Ok(())
}

async fn day(lake: &Lake, id: &AggregatorId, date: SnapshotDate, now: DateTime<Utc>) -> anyhow::Result<()> {
    let dataset = &Dataset::PACKS;
    let partition = |table| Partition { table, date, aggregator: id.clone() };
    let ledger = Ledger::read(lake, id, date).await?;
    let sources = lake.sha256_of(&partition(dataset.sources)).await?;
    let Some(facts) = lake.stored(&partition(dataset.facts)).await? else {
        if ledger.last_commit().is_none() {
            tracing::warn!(%date, "removed the source_status of a day whose run was stopped before its snapshot");
            lake.remove(&[partition(dataset.sources)]).await?;
        }
        return Ok(());
    };
    let rows = facts.rows.num_rows();
    let is_told = ledger.last_commit().is_some_and(|last| {
        let same_sources = last.source_status_sha256.as_ref().is_none_or(|own| Some(own) == sources.as_ref());
        last.committed(rows, &facts.sha256) && same_sources
    });
    if is_told {
        return Ok(());
    }
    let run_id = facts.rows["run_id"].as_string_view().iter().flatten().next().map(str::to_owned);
    let Some(run_id) = run_id.and_then(|run_id| run_id.parse::<RunId>().ok()) else {
        tracing::warn!(%date, "the ledger does not have the run that committed this snapshot, which has no row that names it");
        return Ok(());
    };
    let error = "the run was stopped before its row of the ledger; rows and checksums are those of the files";
    let known = ledger.rows().iter().find(|row| row.run_id == run_id.to_string()).cloned();
    let base = known.unwrap_or_else(|| LedgerRow {
        run_id: run_id.to_string(),
        started_at: run_id.started_at().unwrap_or(now),
        command: "run".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..LedgerRow::default()
    });
    let row = LedgerRow {
        finished_at: now,
        outcome: Outcome::Succeeded,
        error: Some(error.to_owned()),
        rows: rows as u64,
        snapshot_sha256: Some(facts.sha256),
        source_status_sha256: sources,
        commit_number: Some(ledger.last_number() + 1),
        ..base
    };
    Ledger::write(lake, id, date, row).await
}

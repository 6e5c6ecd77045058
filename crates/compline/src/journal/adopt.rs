//! Days of stopped runs that left no entry which says what they did: of versions before the journal, or whose entry is
//! damaged.
//!
//! Such a run was killed between the first change of a day and its row in the ledger. The rows of a snapshot name the run that
//! collected them, so the ledger gets that run; nothing is made up. Sources without a snapshot, and without a commit in the
//! ledger, are of a day that was never committed.

use crate::ledger::{Ledger, LedgerRow, Outcome};
use arrow::array::{AsArray, RecordBatch};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, RunId, SnapshotDate};
use compline_sink::{Lake, Partition, Place};

/// How the sources of a day came to be another run's than its facts, which are as the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mix {
    /// A version before the journal was killed between the two, as its marker says: the ledger gets a row of what is there.
    Stopped,
    /// Nobody knows: `verify` says so.
    Unknown,
}

/// Completes the ledger of the days from one on.
///
/// # Errors
/// A lake that does not answer. A file that is damaged costs its own day: it is logged, and the others go on.
pub(super) async fn adopt(
    lake: &Lake,
    id: &AggregatorId,
    from: SnapshotDate,
    mix: Mix,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    // The sources come before the facts, where there are any.
    let dataset = lake.dataset();
    let first = dataset.sources.unwrap_or(dataset.facts);
    let dates = lake.partitions(first).await?.remove(id).unwrap_or_default();
    for date in dates.range(from..).copied() {
        match day(lake, id, date, mix, now).await {
            Err(error) if super::is_damage(&error) => {
                tracing::warn!(error = format!("{error:#}"), %date, "the day is left as it is");
            }
            done => done?,
        }
    }
    Ok(())
}

/// Completes the ledger of one day.
///
/// # Errors
/// A lake that does not answer, or a file that is damaged.
pub(super) async fn day(
    lake: &Lake,
    id: &AggregatorId,
    date: SnapshotDate,
    mix: Mix,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let dataset = lake.dataset();
    let partition = |table| Partition { table, date, aggregator: id.clone() };
    let ledger = Ledger::read(lake, id, date).await?;
    let last = ledger.last_commit();
    let sources = match dataset.sources {
        Some(table) => lake.sha256_of(&partition(table), Place::Table).await?,
        None => None,
    };
    let Some(facts) = lake.stored(&partition(dataset.facts), Place::Table, None).await? else {
        if let (None, Some(table)) = (last, dataset.sources) {
            tracing::warn!(%date, "removed the source_status of a day whose run was stopped before its snapshot");
            lake.remove(&[partition(table)]).await?;
        }
        return Ok(());
    };
    let rows = facts.rows.num_rows();
    let of_last = last.and_then(|last| last.source_status_sha256.as_ref());
    let has_its_sources = of_last.is_none() || of_last == sources.as_ref();
    if last.is_some_and(|last| last.committed(rows, &facts.sha256)) && (has_its_sources || mix == Mix::Unknown) {
        return Ok(());
    }
    if of_last.is_some() && has_its_sources {
        tracing::warn!(%date, "the snapshot is not the one that the ledger says was committed, and its source_status is: `compline verify`");
        return Ok(());
    }
    let Some(run_id) = last_run(&facts.rows) else {
        tracing::warn!(%date, "the ledger does not have the run that committed this snapshot, which has no row that names it");
        return Ok(());
    };
    let known = ledger.rows().iter().find(|row| row.run_id == run_id.to_string()).cloned();
    // Its commit is in the ledger, so it was not stopped before that: this is an earlier snapshot of the day.
    if mix == Mix::Unknown && known.as_ref().is_some_and(LedgerRow::is_commit) {
        tracing::warn!(%date, "the snapshot is not the one that the ledger says was committed last: `compline verify`");
        return Ok(());
    }
    let error = "the run was stopped before its row of the ledger; rows and checksums are those of the files";
    let row = LedgerRow {
        finished_at: now,
        outcome: Outcome::Succeeded,
        error: Some(error.to_owned()),
        rows: rows as u64,
        snapshot_sha256: Some(facts.sha256),
        source_status_sha256: sources,
        commit_number: Some(ledger.next_number()),
        ..known.unwrap_or_else(|| LedgerRow {
            run_id: run_id.to_string(),
            started_at: run_id.started_at().unwrap_or(now),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..LedgerRow::default()
        })
    };
    Ledger::write(lake, id, date, row).await
}

/// The run that committed a snapshot: the last that its rows name. Those of checkpoints name the run before.
fn last_run(rows: &RecordBatch) -> Option<RunId> {
    rows["run_id"].as_string_view().iter().flatten().max()?.parse().ok()
}

//! Making good what a run left that was killed between its first commit of a day and its line in the ledger.
//!
//! Its redo marker is there, and says from which day on. Every snapshot gets into the ledger, a `source_status` that is of
//! another run than its snapshot is said to be, and one whose snapshot never came is removed: that day was not kept.

use super::AggregatorReport;
use super::ledger::{LastCommit, Line, add};
use arrow::array::AsArray;
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, RunId, SnapshotDate, Table};
use compline_sink::{Kept, Lake, Partition};

/// Makes good the days from one on, but for one that is about to be replaced.
///
/// # Errors
/// A lake that does not answer, or a file that is damaged.
pub(super) async fn recover(
    lake: &Lake,
    id: &AggregatorId,
    from: SnapshotDate,
    except: Option<SnapshotDate>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let dates = lake.partitions(Table::SourceStatus).await?.remove(id).unwrap_or_default();
    for date in dates.range(from..).copied().filter(|date| Some(*date) != except) {
        let partition = |table| Partition { table, date, aggregator: id.clone() };
        match lake.kept(&partition(Table::PackCompliance)).await? {
            Some(snapshot) => {
                let sources = lake.kept(&partition(Table::SourceStatus)).await?;
                note(lake, id, date, &snapshot, sources.as_ref(), now).await?;
            }
            None => {
                tracing::warn!(%date, "removed the source_status of a day whose run was stopped before its snapshot");
                lake.remove(&[partition(Table::SourceStatus)]).await?;
            }
        }
    }
    Ok(())
}

/// Adds a line to a day's ledger, unless the last one that committed it says what is there.
async fn note(
    lake: &Lake,
    id: &AggregatorId,
    date: SnapshotDate,
    snapshot: &Kept,
    sources: Option<&Kept>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let ledger = Partition { table: Table::Runs, date, aggregator: id.clone() };
    let committed = lake.read(&ledger, None).await?.and_then(|lines| LastCommit::of(&lines));
    let sources = sources.map(|sources| sources.sha256.clone());
    let is_noted =
        committed.is_some_and(|line| line.is_of(snapshot) && !line.source_status_differs(sources.as_deref()));
    if is_noted {
        return Ok(());
    }
    let run_id = snapshot.rows["run_id"].as_string_view().iter().flatten().next();
    let run_id = run_id.map_or_else(|| RunId::new(now).to_string(), str::to_owned);
    let mut report = AggregatorReport::new(id);
    report.rows = snapshot.rows.num_rows() as u64;
    report.snapshot_sha256 = Some(snapshot.sha256.clone());
    report.source_status_sha256 = sources;
    let what = "a run of this day was stopped before it was in the ledger; noted later. The run_id of source_status and of \
                pack_compliance says of which run each is";
    report.error = Some(what.to_owned());
    let line = Line { run_id: &run_id, started_at: now, finished_at: now, command: "run", report: &report };
    add(lake, &ledger, &line).await
}

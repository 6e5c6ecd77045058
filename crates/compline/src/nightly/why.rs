//! Why packs regressed: the rules of the same day that turned NON_COMPLIANT, as far as the answers join them.

use super::Shared;
use anyhow::Context;
use arrow::array::RecordBatch;
use compline_model::{AggregatorId, Dataset, Table, row_parts};
use compline_sink::{Partition, SinkError, computed};
use compline_transformer::{CheckedSnapshot, WHY_PACK_COLUMNS, WHY_RULE_COLUMNS, Why};

/// What is known of the packs that regressed on the day before its rules' trends are computed; nothing where no pack did, or of another
/// dataset than rules. The packs' day is committed before, by this run or an earlier one.
pub(super) async fn begin(shared: &Shared<'_>, id: &AggregatorId, snapshot: &CheckedSnapshot) -> Option<Why> {
    if shared.dataset != &Dataset::RULES {
        return None;
    }
    let counted = counted(shared, id, snapshot).await;
    counted.unwrap_or_else(|error| {
        // It costs no day: the views say it later.
        tracing::warn!(error = format!("{error:#}"), "which rules made packs regress is not told");
        None
    })
}

async fn counted(shared: &Shared<'_>, id: &AggregatorId, snapshot: &CheckedSnapshot) -> anyhow::Result<Option<Why>> {
    let Some(changes) = read(shared, id, Table::PackChanges, None).await? else { return Ok(None) };
    let mut why = Why::of(&changes);
    if why.is_empty() {
        return Ok(None);
    }
    let Some(packs) = read(shared, id, Table::PackCompliance, Some(WHY_PACK_COLUMNS)).await? else { return Ok(None) };
    let snapshot = snapshot.clone();
    // Off the thread that renews the lease.
    let counting = computed(move || {
        why.add_packs(&packs);
        for rows in row_parts(&snapshot, Some(WHY_RULE_COLUMNS)) {
            why.add_rules(&rows?);
        }
        anyhow::Ok(why)
    });
    counting.await.context("counting stopped")?.map(Some)
}

async fn read(
    shared: &Shared<'_>,
    id: &AggregatorId,
    table: Table,
    columns: Option<&'static [&'static str]>,
) -> Result<Option<RecordBatch>, SinkError> {
    let partition = Partition { table, date: shared.request.date, aggregator: id.clone() };
    shared.lake.read(&partition, columns).await
}

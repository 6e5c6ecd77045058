//! Repairing what can be computed again, or made again from what is there.

use super::{Found, Verified};
use crate::catalog::{completed, will_be_behind};
use crate::failure::NeedsDropped;
use crate::history::Span;
use crate::journal::Journal;
use crate::ledger::{InFile, Ledger, Rebuilt};
use crate::maintain::make_again;
use crate::session::Session;
use crate::trends::recompute;
use compline_model::{AggregatorId, Dataset, SnapshotDate, SnapshotMonth, Table};
use compline_sink::{Lake, Month, Partition};
use std::collections::BTreeSet;

/// Repairs what can be computed again, and removes orphaned objects. Gives why the catalog does not know of it, if it should.
///
/// # Errors
/// A clock that is another day's, by which what is in use would seem orphaned; a lake that does not answer, or a snapshot that cannot be read.
pub(crate) async fn repair(session: &Session<'_>, verified: &Verified) -> anyhow::Result<Option<String>> {
    session.check_date(session.today(), "S3", session.clock_offset())?;
    will_be_behind(&session.lake, None).await;
    for found in verified.aggregators.iter().filter(|found| !found.problems.is_empty()) {
        let id = &found.aggregator;
        if !session.may_write(id) {
            tracing::warn!(aggregator = %id, "not repaired: it came into the lake after this began; run it again");
            continue;
        }
        let done = session.guarded(id, aggregator(session, verified, found)).await;
        // What cannot be repaired is told of by the next look, and the others are repaired.
        unless_in_the_way(found, done)?;
    }
    session.lake.remove_orphaned(&verified.inventory).await?;
    Ok(completed(session).await)
}

/// Repairs what there is of an aggregator.
async fn aggregator(session: &Session<'_>, verified: &Verified, found: &Found) -> anyhow::Result<()> {
    let (id, dataset) = (&found.aggregator, found.dataset);
    let lake = session.lake_of(id).of(dataset);
    for date in &found.wrong_ledgers {
        unless_in_the_way(found, rebuild(session, verified, found, *date).await)?;
    }
    // Of a ledger that was made again the documents may be damaged as well.
    for date in found.unlike_documents.iter().chain(&found.wrong_ledgers).copied().collect::<BTreeSet<_>>() {
        unless_in_the_way(found, Ledger::write_documents(&lake, id, date).await)?;
    }
    let pending = Journal::peek(&lake, id).await?;
    for (table, date) in &found.in_months_alone {
        // What is computed of a day may be another than its month has.
        if pending.trends_from.is_none_or(|from| *date < from) {
            unless_in_the_way(found, from_month(&lake, found, *table, *date).await)?;
        }
    }
    let done = unless_in_the_way(found, recompute(session, dataset, id, Span::default(), &|_| {}).await)?;
    // After what they are made of; those of what is computed only where that could be.
    let mut months = found.wrong_months.clone();
    let is_of = |table| Dataset::of(table).is_none_or(|of| of == dataset);
    let of_id = verified.inventory.months.keys().filter(|month| month.aggregator == *id && is_of(month.table));
    if !found.wrong_ledgers.is_empty() {
        months.extend(of_id.clone().filter(|month| month.table == Table::Runs).cloned());
    }
    match &done {
        None => months.retain(|month| !month.table.is_derived()),
        Some(done) if !(done.differed.is_empty() && done.facts_only.is_empty()) => {
            months.extend(of_id.filter(|month| month.table.is_derived()).cloned());
        }
        Some(_) => {}
    }
    // A month may have what a ledger lacks that is wrong still.
    let wrong = months_of_wrong_ledgers(verified, &lake, id).await?;
    months.retain(|month| month.table != Table::Runs || !wrong.contains(&month.month));
    for line in make_again(session, dataset, id, &months).await? {
        tracing::info!("{line}");
    }
    if let Some(done) = done {
        done.undone.iter().for_each(|what| tracing::warn!(aggregator = %id, what, "not everything can be completed"));
        tracing::info!(aggregator = %id, days = done.days.len(), rewritten = done.differed.len(), "recomputed trends");
    }
    Ok(())
}

/// Puts a computed table of a dropped day in its place again, of which its month has the rows.
async fn from_month(lake: &Lake, found: &Found, table: Table, date: SnapshotDate) -> anyhow::Result<()> {
    let id = &found.aggregator;
    let month = Month { table, month: SnapshotMonth::from(date), aggregator: id.clone() };
    let rows = if found.wrong_months.contains(&month) { None } else { lake.day_in_month(&month, date).await? };
    let Some(rows) = rows else {
        tracing::warn!(aggregator = %id, month = month.key(), %date, "not taken from the month's file, which is wrong: restore that");
        return Ok(());
    };
    let partition = Partition { table, date, aggregator: id.clone() };
    lake.commit(&partition, rows).await?;
    tracing::info!(aggregator = %id, key = partition.key(), "taken from its month's file");
    Ok(())
}

/// What was done; nothing, which is logged, where something that it needs is damaged or gone, or cannot be written.
fn unless_in_the_way<T>(found: &Found, done: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match done {
        Err(error) if crate::journal::is_unreadable(&error) || error.is::<NeedsDropped>() => {
            tracing::warn!(aggregator = %found.aggregator, error = format!("{error:#}"), "not repaired");
            Ok(None)
        }
        done => done.map(Some),
    }
}

/// Of the ledgers of an aggregator that were wrong the months of those that still are.
async fn months_of_wrong_ledgers(
    verified: &Verified,
    lake: &Lake,
    id: &AggregatorId,
) -> anyhow::Result<BTreeSet<SnapshotMonth>> {
    let mut wrong = BTreeSet::new();
    let of_id = verified.aggregators.iter().filter(|found| found.aggregator == *id);
    for date in of_id.flat_map(|found| &found.wrong_ledgers) {
        let is_right = match InFile::sound(lake, id, *date).await? {
            Some(file) => !file.of_all(lake, id, *date).await?.is_file_wrong(),
            None => false,
        };
        wrong.extend((!is_right).then_some(SnapshotMonth::from(*date)));
    }
    Ok(wrong)
}

/// Makes the ledger of a day again.
async fn rebuild(session: &Session<'_>, verified: &Verified, found: &Found, date: SnapshotDate) -> anyhow::Result<()> {
    let id = &found.aggregator;
    let lake = session.lake_of(id).of(found.dataset);
    let month = Month { table: found.dataset.facts, month: SnapshotMonth::from(date), aggregator: id.clone() };
    let is_in_month = lake.days_within(&verified.inventory, &month).await?.contains_key(&date);
    match Ledger::rebuild(&lake, id, date, found.days.contains(&date), is_in_month).await? {
        Rebuilt::NothingWrong => {}
        Rebuilt::NotTold => {
            tracing::warn!(aggregator = %id, %date, "the ledger is not made again: the documents of its runs do not say enough; restore it");
        }
        Rebuilt::Whole => tracing::info!(aggregator = %id, %date, "made the ledger again from its rows"),
        Rebuilt::Part => {
            match Journal::adopt(&lake, id, date, (session.clock)()).await {
                Err(error) if crate::journal::is_damage(&error) => {}
                done => done?,
            }
            tracing::info!(aggregator = %id, %date, "made the ledger again from the documents of its runs");
        }
    }
    Ok(())
}

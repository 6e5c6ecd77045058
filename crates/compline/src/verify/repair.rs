//! Repairing what can be computed again, or made again from what is there.

use super::{Found, Verified};
use crate::catalog::completed;
use crate::failure::NeedsDropped;
use crate::history::Span;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::maintain::make_again;
use crate::session::Session;
use crate::trends::recompute;
use compline_model::SnapshotDate;

/// Repairs what can be computed again, and removes orphaned objects. Gives why the catalog does not know of it, if it should.
///
/// # Errors
/// A clock that is another day's, by which what is in use would seem orphaned; a lake that does not answer, or a snapshot that cannot be read.
pub(crate) async fn repair(session: &Session<'_>, verified: &Verified) -> anyhow::Result<Option<String>> {
    session.check_date(session.today(), "S3", session.clock_offset())?;
    for found in verified.aggregators.iter().filter(|found| !found.problems.is_empty()) {
        let id = &found.aggregator;
        if !session.may_write(id) {
            tracing::warn!(aggregator = %id, "not repaired: it came into the lake after this began; run it again");
            continue;
        }
        for date in &found.damaged_ledgers {
            session.guarded(id, rebuild(session, found, *date)).await?;
        }
        for date in &found.unread_documents {
            let lake = session.lake_of(id);
            session.guarded(id, Ledger::write_documents(&lake, id, *date)).await?;
        }
        let done = match session.guarded(id, recompute(session, id, Span::default(), &|_| {})).await {
            // What cannot be repaired is told of by the next look, and the others are repaired.
            Err(error) if crate::journal::is_damage(&error) || error.is::<NeedsDropped>() => {
                tracing::warn!(aggregator = %id, error = format!("{error:#}"), "not repaired");
                continue;
            }
            done => done?,
        };
        // After what they are made of.
        for line in session.guarded(id, make_again(session, id, &found.wrong_months)).await? {
            tracing::info!("{line}");
        }
        done.undone.iter().for_each(|what| tracing::warn!(aggregator = %id, what, "not everything can be completed"));
        tracing::info!(aggregator = %id, days = done.days.len(), rewritten = done.differed.len(), "recomputed trends");
    }
    session.lake.remove_orphaned(&verified.inventory).await?;
    Ok(completed(session).await)
}

/// Makes the ledger of a day again.
async fn rebuild(session: &Session<'_>, found: &Found, date: SnapshotDate) -> anyhow::Result<()> {
    let (lake, id) = (session.lake_of(&found.aggregator), &found.aggregator);
    let Some(is_whole) = Ledger::rebuild(&lake, id, date, found.days.contains(&date)).await? else {
        tracing::warn!(aggregator = %id, %date, "the ledger is not made again: the documents of its runs do not say enough; restore it");
        return Ok(());
    };
    if is_whole {
        tracing::info!(aggregator = %id, %date, "made the ledger again from its rows");
        return Ok(());
    }
    match Journal::adopt(&lake, id, date, (session.clock)()).await {
        Err(error) if crate::journal::is_damage(&error) => {}
        done => done?,
    }
    tracing::info!(aggregator = %id, %date, "made the ledger again from the documents of its runs");
    Ok(())
}

//! What is held of a day: collected whole, and set aside until a person accepts or rejects it.

use crate::ledger::{Ledger, LedgerRow};
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use compline_sink::{Lake, Partition, Place, SinkError, Stored};

/// A day that is held, as the ledger says that a run held it.
pub(crate) struct Held {
    /// The run that held it.
    pub(crate) row: LedgerRow,
    pub(crate) facts: Stored,
    /// Nothing of a dataset that has none.
    pub(crate) sources: Option<Stored>,
}

/// Whether something is held of a day, and can be accepted.
pub(crate) enum Holding {
    Nothing,
    It(Box<Held>),
    /// Nobody can accept it, and why.
    Unsound(String),
}

/// What is held of a day of the lake's dataset.
///
/// # Errors
/// A store that does not answer.
pub(crate) async fn held(
    lake: &Lake,
    id: &AggregatorId,
    date: SnapshotDate,
    ledger: &Ledger,
) -> Result<Holding, SinkError> {
    let file = async |table: Table| match read(lake, table, id, date).await {
        Err(error) if error.kind != compline_sink::SinkErrorKind::Transient => Ok(Err(error.what())),
        read => read.map(Ok),
    };
    let dataset = lake.dataset();
    let facts = file(dataset.facts).await?;
    let sources = match dataset.sources {
        Some(table) => file(table).await?,
        None => Ok(None),
    };
    let row = ledger.held();
    let (facts, sources) = match (facts, sources) {
        (Ok(None), Ok(None)) if row.is_none() => return Ok(Holding::Nothing),
        (Ok(Some(facts)), Ok(sources)) if sources.is_some() == dataset.sources.is_some() => (facts, sources),
        (Ok(None), Ok(None)) => return Ok(unsound("its files are gone")),
        (Err(error), _) | (_, Err(error)) => return Ok(unsound(&error)),
        _ => return Ok(unsound("one of its two files is gone")),
    };
    let Some(row) = row else {
        return Ok(unsound("the ledger has no run that held it, or one that committed or rejected it since"));
    };
    // Ledgers of older versions have no checksums of what was held.
    let is_other = |own: &Option<String>, there: &str| own.as_ref().is_some_and(|own| own != there);
    let has_other_sources = sources.as_ref().is_some_and(|there| is_other(&row.source_status_sha256, &there.sha256));
    if is_other(&row.snapshot_sha256, &facts.sha256) || has_other_sources {
        return Ok(unsound(&format!("it is not what run {} held, by the checksums in the ledger", row.run_id)));
    }
    Ok(Holding::It(Box::new(Held { row: row.clone(), facts, sources })))
}

fn unsound(why: &str) -> Holding {
    Holding::Unsound(why.to_owned())
}

async fn read(lake: &Lake, table: Table, id: &AggregatorId, date: SnapshotDate) -> Result<Option<Stored>, SinkError> {
    lake.stored(&Partition { table, date, aggregator: id.clone() }, Place::Held, None).await
}

/// What to do about something that is held and cannot be accepted.
pub(crate) fn hint(dataset: &Dataset, id: &AggregatorId, date: SnapshotDate) -> String {
    format!("`compline run FILE --only {id} --date {date}{} --reject` removes it", option(dataset))
}

/// What tells a command of which dataset it is, where that is not packs.
pub(crate) fn option(dataset: &Dataset) -> String {
    if dataset == &Dataset::PACKS { String::new() } else { format!(" --dataset {}", dataset.name) }
}

//! What is held of a day: collected whole, and set aside until a person accepts or rejects it.

use crate::ledger::{Ledger, LedgerRow};
use compline_model::{AggregatorId, Dataset, SnapshotDate, row_parts};
use compline_sink::{Lake, Partition, Place, SinkError, SinkErrorKind, Stored, TableFile};

/// A day that is held, as the ledger says that a run held it.
pub(crate) struct Held {
    /// The run that held it.
    pub(crate) row: LedgerRow,
    /// All of its rows were read once.
    pub(crate) facts: TableFile,
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
    let dataset = lake.dataset();
    let partition = |table| Partition { table, date, aggregator: id.clone() };
    let facts = or_why(facts(lake, &partition(dataset.facts)).await)?;
    let sources = match dataset.sources {
        Some(table) => or_why(lake.stored(&partition(table), Place::Held, None).await)?,
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
    let (facts, sha256) = facts;
    if is_other(&row.snapshot_sha256, &sha256) || has_other_sources {
        return Ok(unsound(&format!("it is not what run {} held, by the checksums in the ledger", row.run_id)));
    }
    Ok(Holding::It(Box::new(Held { row: row.clone(), facts, sources })))
}

fn unsound(why: &str) -> Holding {
    Holding::Unsound(why.to_owned())
}

/// The file of the facts, and its checksum, if it can be read: a part at a time, since a day may be large.
async fn facts(lake: &Lake, partition: &Partition) -> Result<Option<(TableFile, String)>, SinkError> {
    let Some(file) = lake.file_in(partition, Place::Held).await? else { return Ok(None) };
    let look = |file: &TableFile| row_parts(file, None).try_for_each(|rows| rows.map(drop)).map(|()| file.sha256());
    let sha256 = file.clone().look_through(look).await?;
    Ok(Some((file, sha256)))
}

/// What is there, or why it cannot be accepted.
///
/// # Errors
/// A store that does not answer.
fn or_why<T>(read: Result<T, SinkError>) -> Result<Result<T, String>, SinkError> {
    match read {
        Err(error) if error.kind != SinkErrorKind::Transient => Ok(Err(error.what())),
        read => read.map(Ok),
    }
}

/// What to do about something that is held and cannot be accepted.
pub(crate) fn hint(dataset: &Dataset, id: &AggregatorId, date: SnapshotDate) -> String {
    format!("`compline run FILE --only {id} --date {date}{} --reject` removes it", option(dataset))
}

/// What tells a command of which dataset it is, where that is not packs.
pub(crate) fn option(dataset: &Dataset) -> String {
    if dataset == &Dataset::PACKS { String::new() } else { format!(" --dataset {}", dataset.name) }
}

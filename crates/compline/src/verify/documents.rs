//! Ledgers, held against the documents of their rows.

use super::day::Looked;
use super::{Found, Problem, Verifying};
use crate::ledger::{Compared, InFile, Ledger, Unlike};
use compline_model::SnapshotDate;
use compline_sink::{Partition, READ_CONCURRENCY};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;

impl Verifying<'_> {
    /// Compares the ledgers with the documents of their rows, which are to replace one that is damaged. Gives what is right of those
    /// whose files are wrong.
    pub(super) async fn documents(
        &self,
        ledgers: &BTreeMap<SnapshotDate, Looked>,
        found: &mut Found,
    ) -> anyhow::Result<BTreeMap<SnapshotDate, Ledger>> {
        let Self { lake, inventory, history, id, .. } = *self;
        let read = ledgers.iter().filter_map(|(date, looked)| Some((*date, looked.as_ref().ok()?.as_ref()?.ledger()?)));
        let facts = |date| Partition { table: self.dataset.facts, date, aggregator: id.clone() };
        let noted = read.filter(|(date, file)| {
            let lacks_commit = || file.ledger.last_commit().is_none();
            inventory.ledgers.contains(&(id.clone(), *date))
                || (lacks_commit() && inventory.partitions.contains_key(&facts(*date)))
        });
        let each = noted.map(async |(date, file)| {
            Ok::<_, anyhow::Error>((date, file, file.against_documents(lake, id, date).await?))
        });
        let each: Vec<(SnapshotDate, &InFile, Compared)> =
            stream::iter(each).buffered(READ_CONCURRENCY).try_collect().await?;
        let mut corrected = BTreeMap::new();
        for (date, file, mut compared) in each {
            // What a run was stopped at, or is at, is told as that.
            let is_settled = |run_id: &str| !self.is_of_pending(date, run_id);
            compared.unlike.retain(|run_id, _| is_settled(run_id));
            let of_documents = compared.unlike.iter().filter_map(|(run_id, how)| of_document(file, run_id, *how, date));
            found.problems.extend(of_documents);
            let is_written = |unlike: &Unlike| matches!(unlike, Unlike::Unread | Unlike::Document | Unlike::NoDocument);
            if compared.unlike.values().any(is_written) {
                found.unlike_documents.insert(date);
            }
            if compared.is_file_wrong() {
                let how = match Ledger::is_told(lake, id, date, history.has_snapshot(id, date)).await? {
                    Some(true) => "`compline verify FILE --repair` makes it again from the documents",
                    _ => "restore another version of the object",
                };
                // That its rows are out of order is told with the day.
                let why = of_file(&compared).map(|what| Problem::of(date, format!("runs of {date} {what}; {how}")));
                found.problems.extend(why);
                found.wrong_ledgers.push(date);
                corrected.insert(date, compared.ledger);
            }
        }
        Ok(corrected)
    }
}

/// What is wrong with a document, or with a row of which nothing says whether it is right.
fn of_document(file: &InFile, run_id: &str, how: Unlike, date: SnapshotDate) -> Option<Problem> {
    let document = format!("the document of run {run_id} of {date} in _compline/ledger");
    let is_written = "`compline verify FILE --repair` writes it again from the ledger";
    let has_run = file.ledger.rows().iter().any(|row| row.run_id == run_id);
    let what = match how {
        Unlike::Unread if has_run => format!("{document} cannot be read: {is_written}"),
        Unlike::Unread => format!(
            "{document} cannot be read, and the ledger has no such run: restore an earlier version of it, or of the ledger"
        ),
        Unlike::Document => format!("{document} does not say what the ledger does: {is_written}"),
        Unlike::NoDocument => format!("{document} is not there: {is_written}"),
        Unlike::Unknown => format!(
            "{document} does not say what the ledger does, and nothing says which of them is right: restore an earlier version of \
             the one that is wrong"
        ),
        Unlike::UnknownRun => format!(
            "{document} is not there, and nothing else says that the ledger, which another program may have written, is right about \
             that run: restore the document, or an earlier version of the ledger"
        ),
        Unlike::Unproven => format!(
            "{document} says that it committed the day, and neither the ledger nor the snapshot nor a report of the run does: if \
             another program wrote it, move it away"
        ),
        Unlike::Row | Unlike::Lacking | Unlike::Invented | Unlike::Twice => return None,
    };
    Some(Problem::of(date, what))
}

/// What is wrong with a file, besides the order of its rows.
fn of_file(compared: &Compared) -> Option<String> {
    let wrong = [Unlike::Lacking, Unlike::Row, Unlike::Invented, Unlike::Twice];
    let (run_id, how) = wrong.into_iter().find_map(|how| compared.unlike.iter().find(|(_, own)| **own == how))?;
    Some(match how {
        Unlike::Lacking => format!(
            "lacks run {run_id}, which changed the day as its document in _compline says: an earlier version of the object was \
             restored, or another program wrote it"
        ),
        Unlike::Row => {
            format!("does not say of run {run_id} what its document in _compline/ledger does: another program wrote it")
        }
        Unlike::Twice => format!("has run {run_id} twice: another program wrote it"),
        _ => format!("has run {run_id}, of which nothing else tells: another program wrote it"),
    })
}

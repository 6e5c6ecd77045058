//! Telling others what became of a day: of each kind once, however often the day is run and wherever a run is stopped.
//!
//! The mark that others are told is put before they are. A run that is stopped between the two has told nobody, and no other will:
//! at most once is what a person who is woken by it needs, and the ledger and `compline status` say the rest.

use super::day::Day;
use super::{RunRequest, Shared, Source};
use crate::ledger::Outcome;
use crate::settings::{Settings, lake_name};
use crate::summary::counted;
use arrow::array::{AsArray, RecordBatch};
use bytes::Bytes;
use compline_model::{AggregatorId, Dataset, SnapshotDate};
use compline_notifier::{Kind, Message, Notifier, Pack, Packs, Rules};
use compline_transformer::{Regressed, Trends};
use serde_json::json;
use std::collections::BTreeSet;

/// How many packs of each change are named.
const MAX_NAMED: usize = 20;

/// The changes whose packs are named, and that alone are news.
const NEWS: [&str; 2] = ["regressed", "remediated"];

/// Who is told of which kinds.
#[derive(Debug)]
pub(crate) struct Notifying {
    /// Or why there is none.
    pub(crate) notifier: Result<Notifier, String>,
    pub(crate) kinds: BTreeSet<Kind>,
}

/// The packs of a day's changes that are named.
pub(super) fn news(dataset: &Dataset, trends: &Trends) -> Vec<Packs> {
    // Of rules there are thousands: they are told where they say why a pack regressed.
    let is_of_packs = dataset == &Dataset::PACKS;
    NEWS.into_iter().filter(|_| is_of_packs).map(|change| packs(change, &trends.changes)).collect()
}

/// The packs that regressed, with the rules that say why.
pub(super) fn why_regressed(regressed: &[Regressed]) -> Packs {
    let pack = |one: &Regressed| Pack {
        account_id: one.account_id.clone(),
        aws_region: one.aws_region.clone(),
        conformance_pack_name: one.conformance_pack_name.clone(),
        rules: one.rules.clone().map_or(Rules::NotTold, Rules::Are),
    };
    let first = regressed.iter().take(MAX_NAMED).map(pack).collect();
    Packs { change: "regressed", count: regressed.len() as u64, first }
}

fn packs(change: &'static str, rows: &RecordBatch) -> Packs {
    let column = |name: &str| rows[name].as_string_view();
    let changes = column("change").iter().enumerate().filter(|(_, found)| *found == Some(change));
    let of: Vec<usize> = changes.map(|(row, _)| row).collect();
    let pack = |row: &usize| Pack {
        account_id: column("account_id").value(*row).to_owned(),
        aws_region: column("aws_region").value(*row).to_owned(),
        conformance_pack_name: column("conformance_pack_name").value(*row).to_owned(),
        rules: Rules::NotAsked,
    };
    Packs { change, count: of.len() as u64, first: of.iter().take(MAX_NAMED).map(pack).collect() }
}

/// Tells what there is to be told of a day, which is committed, held or failed by now. What goes wrong is in the day, and nothing
/// else of it changes.
pub(super) async fn notify(shared: &Shared<'_>, id: &AggregatorId, day: &mut Day) {
    let Some(notifying) = notifying(shared.request) else { return };
    let news = day.news.iter().any(|packs| packs.count > 0);
    let kinds: &[(Kind, bool)] = match day.row.outcome {
        Outcome::Succeeded => &[(Kind::Changes, news), (Kind::Undone, !day.undone.is_empty())],
        Outcome::Held => &[(Kind::Held, true)],
        Outcome::Failed => &[(Kind::Failed, true)],
        Outcome::Rejected | Outcome::Dropped => &[],
    };
    for kind in kinds.iter().filter(|(kind, is_so)| *is_so && notifying.kinds.contains(kind)).map(|(kind, _)| *kind) {
        let errors = notify_of(shared, notifying, id, kind, day).await;
        for error in &errors {
            tracing::warn!(kind = kind.as_str(), error, "not notified");
        }
        day.not_notified.extend(errors.into_iter().map(|error| format!("not notified: {}: {error}", kind.as_str())));
    }
}

/// Only a run that asks AWS Config, or accepts what one collected, is told of: a person is there of any other.
fn notifying(request: &RunRequest) -> Option<&Notifying> {
    let is_told = matches!(request.source, Source::AwsConfig | Source::HeldAlone);
    request.notifying.as_ref().filter(|_| is_told)
}

/// Tells of one kind, unless it was told before. Gives what went wrong.
async fn notify_of(
    shared: &Shared<'_>,
    notifying: &Notifying,
    id: &AggregatorId,
    kind: Kind,
    day: &Day,
) -> Vec<String> {
    let (session, date) = (shared.session, shared.request.date);
    // Without a mark: the next run of the day may know whom to ask.
    let notifier = match &notifying.notifier {
        Ok(notifier) => notifier,
        Err(error) => return vec![error.clone()],
    };
    // The run's id makes it no other's: a store that lost its answer to a put tells them apart by that.
    let mark = json!({
        "run_id": session.run_id.to_string(),
        "at": (session.clock)().to_rfc3339(),
        "receivers": notifier.names(),
    });
    let marked = shared.lake_of(id).mark_notified(id, date, kind.as_str(), Bytes::from(mark.to_string())).await;
    match marked {
        Ok(true) => notifier.send(&message(shared, id, kind, day)).await,
        Ok(false) => {
            tracing::info!(kind = kind.as_str(), "told before, and not again");
            Vec::new()
        }
        // Without it another run would tell it again.
        Err(error) => vec![format!("the mark that it is told once could not be put: {error}")],
    }
}

fn message(shared: &Shared<'_>, id: &AggregatorId, kind: Kind, day: &Day) -> Message {
    let date = shared.request.date;
    let (title, reason) = match kind {
        Kind::Changes if shared.dataset == &Dataset::RULES => (format!("why {}", title_of(&day.news)), None),
        Kind::Changes => (title_of(&day.news), None),
        Kind::Held => ("held, not committed".to_owned(), Some(held(id, date, day))),
        Kind::Failed => ("failed, and the day is as it was".to_owned(), day.error()),
        Kind::Undone => ("committed, but not everything is done".to_owned(), Some(day.undone.join("; "))),
    };
    let is_of_changes = kind == Kind::Changes;
    // Rules change by the thousand, and are told as far as they say why.
    let is_of_packs = shared.dataset == &Dataset::PACKS;
    let changes = day.trends.as_ref().filter(|_| is_of_changes && is_of_packs).map(|trends| trends.changes.clone());
    Message {
        kind,
        date,
        aggregator: id.clone(),
        dataset: shared.dataset.name,
        run_id: shared.session.run_id,
        lake: lake_name(&shared.session.settings.lake),
        title,
        reason,
        changes: changes.unwrap_or_default(),
        packs: if is_of_changes { day.news.clone() } else { Vec::new() },
        report_url: report_url(shared.session.settings, date),
    }
}

/// Where the report of a day is read, once the run is done.
fn report_url(settings: &Settings, date: SnapshotDate) -> Option<String> {
    let url = settings.report.as_ref()?.url.as_ref()?;
    Some(format!("{url}/{date}.html"))
}

fn title_of(news: &[Packs]) -> String {
    let parts = news.iter().filter(|packs| packs.count > 0);
    let parts: Vec<String> = parts.map(|packs| format!("{} {}", packs.count, packs.change)).collect();
    let all: u64 = news.iter().map(|packs| packs.count).sum();
    format!("{}: {}", counted(usize::try_from(all).unwrap_or(usize::MAX), "pack"), parts.join(", "))
}

/// Why the day is held, and what to do.
fn held(id: &AggregatorId, date: SnapshotDate, day: &Day) -> String {
    day.error().unwrap_or_else(|| format!("`compline history FILE --only {id}` says why {date} is held"))
}

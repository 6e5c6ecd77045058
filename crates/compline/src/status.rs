//! How fresh a lake is: of each aggregator its last snapshot, and what waits for a person or for the next run. A few lists and
//! files are read, however long the history is.

use crate::journal::{Journal, is_damage};
use crate::ledger::{Ledger, LedgerRow};
use crate::session::Session;
use chrono::{DateTime, TimeDelta, Utc};
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use compline_sink::{Lake, Partition, Partitions, Verification};
use compline_transformer::sources_by_status;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How far back gaps are looked for, in days.
pub(crate) const GAPS_DAYS: u32 = 30;

/// That a committed snapshot is gone, and what to do.
pub(crate) fn missing(date: SnapshotDate) -> String {
    format!(
        "the snapshot of {date} is committed and is not in the lake: restore the object (`compline verify FILE` names it), or \
         `compline import` the day, with --from-month or from its archive"
    )
}

/// That a table which is computed lacks a day though nothing says why, and what to do.
pub(crate) fn missing_computed(table: Table, date: SnapshotDate) -> String {
    format!("{} of {date} is not in the lake: `compline verify FILE --repair` recomputes it", table.name())
}

/// That a table of a committed day is gone which every snapshot has, and what to do.
pub(crate) fn missing_table(table: Table, date: SnapshotDate) -> String {
    format!("{} of {date} is not in the lake: restore the object (`compline verify FILE` names it)", table.name())
}

/// How far two clocks may be apart.
const MAX_AHEAD: TimeDelta = TimeDelta::minutes(15);

fn end_of(date: SnapshotDate) -> DateTime<Utc> {
    date.next().day().and_time(chrono::NaiveTime::MIN).and_utc()
}

/// How a dataset of an aggregator stands.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Status {
    pub(crate) aggregator: String,
    /// What is collected: packs or rules.
    pub(crate) dataset: &'static str,
    /// Whether its last snapshot is older than allowed, or there is none.
    pub(crate) is_too_old: bool,
    /// The last day that has a snapshot.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) snapshot_date: Option<SnapshotDate>,
    /// When that was committed; none if the ledger does not say so yet.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) committed_at: Option<DateTime<Utc>>,
    /// Seconds since then, or since the end of its day if it was committed later.
    pub(crate) age_secs: Option<i64>,
    pub(crate) rows: Option<u64>,
    /// Days that wait for a person.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(crate) held: Vec<SnapshotDate>,
    /// Days before today without a snapshot, of the last 30, after the first day that there is.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(crate) gaps: Vec<SnapshotDate>,
    /// Sources of the last snapshot, if it has a list of them.
    pub(crate) sources: Option<u64>,
    /// Those whose status is not SUCCEEDED, by their status.
    pub(crate) stale_sources: BTreeMap<String, u64>,
    /// The first day whose trends are out of date.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(crate) trends_from: Option<SnapshotDate>,
    /// When its days were last verified, and how many problems were found that no run completes.
    #[cfg_attr(test, schemars(with = "Option<VerificationSchema>"))]
    pub(crate) last_verification: Option<Verification>,
    /// What cannot be read, in words.
    pub(crate) unread: Vec<String>,
    /// Whether what a stopped run left is completed by the next one.
    #[serde(skip)]
    pub(crate) is_pending: bool,
    /// What its age counts from: when the last snapshot was committed, or the end of its day if that was later.
    #[serde(skip)]
    pub(crate) fresh_at: Option<DateTime<Utc>>,
    /// The last `run` of the newest day whose ledger has one.
    #[serde(skip)]
    pub(crate) last_run: Option<LedgerRow>,
}

/// What `last_verification` looks like.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "for the schema alone")]
struct VerificationSchema {
    /// When it was done.
    verified_at: String,
    /// How many problems it found in the aggregator's days that no run completes.
    problems: u64,
}

impl Status {
    /// Whether a person has to look.
    pub(crate) fn is_alarm(&self) -> bool {
        self.is_too_old || !self.held.is_empty() || !self.unread.is_empty()
    }
}

/// The days of the tables that are looked at.
struct Days {
    facts: Partitions,
    ledgers: Partitions,
    trends: Partitions,
    held: Partitions,
    /// The first day that was looked for.
    from: SnapshotDate,
    /// All days of the snapshots and of the ledgers, listed where it matters.
    all: OnceCell<(Partitions, Partitions)>,
}

/// How each of these aggregators stands.
///
/// # Errors
/// A store that does not answer.
pub(crate) async fn status<'a>(
    session: &Session<'_>,
    ids: impl Iterator<Item = &'a AggregatorId>,
    max_age: Duration,
) -> anyhow::Result<Vec<Status>> {
    let ids: Vec<&AggregatorId> = ids.collect();
    let mut all = Vec::new();
    for dataset in Dataset::ALL {
        let lake = session.lake.of(dataset);
        let held = lake.held_partitions(dataset.facts).await?;
        let mut concerned = Vec::new();
        for id in &ids {
            let is_concerned =
                session.settings.collects(id, dataset) || held.contains_key(*id) || is_pending(&lake, id).await?;
            concerned.extend(is_concerned.then_some(*id));
        }
        if !concerned.is_empty() {
            all.extend(of_dataset(session, &lake, held, &concerned, max_age).await?);
        }
    }
    // Those of an aggregator together, in the order in which these were given.
    all.sort_by_key(|status| ids.iter().position(|id| id.as_str() == status.aggregator));
    Ok(all)
}

/// Whether something of a dataset that is no longer collected waits for another command.
async fn is_pending(lake: &Lake, id: &AggregatorId) -> anyhow::Result<bool> {
    let pending = Journal::peek(lake, id).await?;
    Ok(pending.trends_from.is_some() || !pending.runs.is_empty())
}

/// How each of these aggregators stands, of the lake's dataset.
async fn of_dataset(
    session: &Session<'_>,
    lake: &Lake,
    held: Partitions,
    ids: &[&AggregatorId],
    max_age: Duration,
) -> anyhow::Result<Vec<Status>> {
    let (today, dataset) = (session.today(), lake.dataset());
    let from = today.minus_days(GAPS_DAYS);
    let days = Days {
        facts: lake.partitions_from(dataset.facts, from, today).await?,
        ledgers: lake.partitions_from(Table::Runs, from, today).await?,
        trends: lake.partitions_from(dataset.trends, from, today).await?,
        held,
        from,
        all: OnceCell::new(),
    };
    let mut all = Vec::new();
    for id in ids {
        all.push(of_aggregator(session, (lake, &days), id, max_age).await?);
    }
    Ok(all)
}

async fn of_aggregator(
    session: &Session<'_>,
    (lake, days): (&Lake, &Days),
    id: &AggregatorId,
    max_age: Duration,
) -> anyhow::Result<Status> {
    let (today, dataset) = (session.today(), lake.dataset());
    let none = BTreeSet::new();
    let mut facts = days.facts.get(id).unwrap_or(&none).clone();
    let mut ledgers = days.ledgers.get(id).unwrap_or(&none).clone();
    // Whether there is an earlier day is only asked where it matters.
    if facts.first().is_none_or(|first| *first > days.from) {
        let list = async || anyhow::Ok((lake.partitions(dataset.facts).await?, lake.partitions(Table::Runs).await?));
        let (all_facts, all_ledgers) = days.all.get_or_try_init(list).await?;
        facts = all_facts.get(id).cloned().unwrap_or_default();
        ledgers = all_ledgers.get(id).cloned().unwrap_or_default();
    }
    // After the lists: a day that has come since is in them, or in the journal, or there when it is looked for.
    let pending = Journal::peek(lake, id).await?;
    let mut status = Status {
        aggregator: id.to_string(),
        dataset: dataset.name,
        is_too_old: true,
        gaps: gaps(&facts, days.from, today),
        trends_from: pending.trends_from,
        last_verification: lake.last_verification(id).await?,
        ..Status::default()
    };
    // Days that are held as their ledgers say, back to the last one that is committed.
    let mut told_held = Vec::new();
    for date in ledgers.iter().rev().copied() {
        // Of a dataset that was never committed every ledger would be read, which another's days have.
        if facts.is_empty() && date < days.from {
            break;
        }
        let ledger = ledger(lake, id, date, &mut status.unread).await?;
        if status.last_run.is_none() {
            status.last_run =
                ledger.as_ref().and_then(|ledger| ledger.rows().iter().rfind(|row| row.command == "run")).cloned();
        }
        if ledger.as_ref().is_some_and(|ledger| ledger.held().is_some()) {
            told_held.push(date);
        }
        match ledger.as_ref().and_then(Ledger::last_commit) {
            Some(row) => {
                status.note_commit(date, row, session.started_at, max_age);
                let is_dropped = ledger.as_ref().is_some_and(Ledger::is_dropped);
                let has_trends = days.trends.get(id).is_some_and(|days| days.contains(&date));
                let has_none = ledger.as_ref().is_some_and(|ledger| ledger.has_no(dataset.trends));
                let waits = status.trends_from.is_some_and(|from| from <= date);
                if !is_dropped && !facts.contains(&date) && !is_there(lake, dataset.facts, id, date).await? {
                    status.unread.push(missing(date));
                } else if !is_dropped
                    && !has_trends
                    && !has_none
                    && !waits
                    && !is_there(lake, dataset.trends, id, date).await?
                {
                    status.unread.push(missing_computed(dataset.trends, date));
                }
                break;
            }
            // Nights that failed, and days that are held: it may go on so for long.
            None if status.unread.is_empty() => {}
            None => break,
        }
    }
    // Committed, and a full disk or a kill came before the ledger.
    if let Some(date) = facts.last().filter(|last| status.snapshot_date.is_none_or(|date| date < **last)) {
        status.note_unrecorded(*date, session.started_at, max_age);
        // An entry that cannot be read may be of any day.
        status.is_pending = pending.has(*date) || pending.trends_from == Some(SnapshotDate::FIRST);
        if !status.is_pending && !ledgers.contains(date) && !is_there(lake, Table::Runs, id, *date).await? {
            status.unread.push(format!(
                "the ledger of {date}, in runs, is not in the lake: `compline verify FILE --repair` makes it again"
            ));
        }
    }
    if let Some(date) = status.snapshot_date {
        status.note_sources(lake, id, date).await?;
    }
    let mut held = days.held.get(id).unwrap_or(&none).clone();
    if told_held.iter().any(|date| !held.contains(date)) {
        // One that was held since they were listed is there now.
        held.extend(lake.held_partitions(dataset.facts).await?.remove(id).unwrap_or_default());
    }
    for date in held.iter().copied().chain(told_held).collect::<BTreeSet<_>>() {
        // It may have been accepted or rejected since its ledger was read.
        if ledger(lake, id, date, &mut status.unread).await?.is_none_or(|ledger| ledger.held().is_none()) {
            continue;
        }
        if !held.contains(&date) {
            // A run may be at that, or have been stopped at it.
            if pending.has(date) || Journal::peek(lake, id).await?.has(date) {
                continue;
            }
            status.unread.push(format!(
                "{date} is held, and its file in _compline/held/{} is not in the lake: `compline verify FILE` says what to do",
                dataset.facts.name()
            ));
        }
        status.held.push(date);
    }
    Ok(status)
}

impl Status {
    fn note_commit(&mut self, date: SnapshotDate, row: &LedgerRow, now: DateTime<Utc>, max_age: Duration) {
        // A day that was committed again later says no more of the days after it.
        self.note_age(row.finished_at.min(end_of(date)), now, max_age);
        self.snapshot_date = Some(date);
        self.committed_at = Some(row.finished_at);
        self.rows = Some(row.rows);
    }

    /// A day that is there and has no row in the ledger yet.
    fn note_unrecorded(&mut self, date: SnapshotDate, now: DateTime<Utc>, max_age: Duration) {
        // Nobody knows when it was committed: at the latest now.
        self.note_age(now.min(end_of(date)), now, max_age);
        (self.snapshot_date, self.committed_at, self.rows) = (Some(date), None, None);
    }

    fn note_age(&mut self, fresh_at: DateTime<Utc>, now: DateTime<Utc>, max_age: Duration) {
        let age = now - fresh_at;
        if age < -MAX_AHEAD {
            let clock = now.format("%F %T");
            self.unread.push(format!(
                "the last snapshot was committed at {}, and by this machine's clock it is {clock} (UTC): set the clock, since no age is right by it",
                fresh_at.format("%F %T")
            ));
        }
        self.fresh_at = Some(fresh_at);
        let allowed = TimeDelta::from_std(max_age).unwrap_or(TimeDelta::MAX);
        self.is_too_old = age > allowed;
        self.age_secs = Some(age.num_seconds());
    }

    /// How many sources a day has, and how many of them have each status but SUCCEEDED.
    async fn note_sources(&mut self, lake: &Lake, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<()> {
        let Some(table) = lake.dataset().sources else { return Ok(()) };
        let partition = Partition { table, date, aggregator: id.clone() };
        let rows = match lake.read(&partition, Some(&["status"])).await {
            Err(error) if error.is_damage() => {
                self.unread.push(error.to_string());
                return Ok(());
            }
            rows => rows?,
        };
        if rows.is_none() && !is_there(lake, partition.table, id, date).await? {
            self.unread.push(missing_table(partition.table, date));
        }
        // An imported day has none: of whom it is not known nothing is said.
        if let Some(rows) = rows.filter(|rows| rows.num_rows() > 0) {
            self.sources = Some(rows.num_rows() as u64);
            self.stale_sources = sources_by_status(&rows);
            self.stale_sources.remove("SUCCEEDED");
        }
        Ok(())
    }
}

/// Whether a table has a day, which it may have since it was listed.
///
/// # Errors
/// A store that does not answer.
pub(crate) async fn is_there(lake: &Lake, table: Table, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<bool> {
    let of_month = lake.partitions_from(table, date, date).await?;
    Ok(of_month.get(id).is_some_and(|days| days.contains(&date)))
}

/// The ledger of a day; nothing, which is noted, where it is damaged.
async fn ledger(
    lake: &Lake,
    id: &AggregatorId,
    date: SnapshotDate,
    unread: &mut Vec<String>,
) -> anyhow::Result<Option<Ledger>> {
    match Ledger::read(lake, id, date).await {
        Err(error) if is_damage(&error) => {
            unread.push(format!("{error:#}"));
            Ok(None)
        }
        ledger => ledger.map(Some),
    }
}

/// The days from one to the day before today that are not there, after the first that is.
pub(crate) fn gaps(there: &BTreeSet<SnapshotDate>, from: SnapshotDate, today: SnapshotDate) -> Vec<SnapshotDate> {
    let Some(first) = there.first() else { return Vec::new() };
    let mut gaps = Vec::new();
    let mut date = from.max(*first);
    while date < today {
        if !there.contains(&date) {
            gaps.push(date);
        }
        date = date.next();
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_the_future_is_no_fresh_one_but_a_wrong_clock() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let alarm = |age: TimeDelta| {
            let mut status = Status::default();
            status.note_age(now - age, now, Duration::from_secs(26 * 3600));
            (status.is_alarm(), status.unread.join(" "))
        };
        assert!(!alarm(TimeDelta::hours(25)).0 && alarm(TimeDelta::hours(27)).0);
        assert!(!alarm(-TimeDelta::minutes(10)).0, "two clocks are never the same");
        let (is_alarm, why) = alarm(-TimeDelta::days(7));
        assert!(is_alarm && why.contains("set the clock"), "{why}");
    }
}

//! One aggregator's day: from where it comes to its row in the ledger.

use super::collect::{Collected, Reading, collect};
use super::import::import;
use super::notify::{news, notify, why_regressed};
use super::report::{AggregatorReport, DayFindings};
use super::restore::restore;
use super::{Shared, Source, TrendReport, why};
use crate::catalog::will_be_behind;
use crate::failure::{NotRecorded, Stopped};
use crate::history::Span;
use crate::journal::{Journal, SnapshotFiles};
use crate::ledger::{Ledger, LedgerRow, Outcome};
use crate::log::SPANS;
use crate::population::{Population, Told};
use crate::progress::Bar;
use crate::settings::AggregatorSettings;
use crate::trends::{Computed, Computing, Tonight};
use anyhow::{Context, bail};
use compline_fetcher::Discovery;
use compline_model::{AggregatorId, Dataset, RowSource, SnapshotDate, SnapshotMonth, Table};
use compline_notifier::Packs;
use compline_sink::{Month, Partition};
use compline_transformer::{Regressed, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Instant;
use tracing::Instrument;

/// What became of a day, as far as it came.
pub(super) struct Day {
    /// What the ledger says.
    pub(super) row: LedgerRow,
    /// What reading took and found.
    pub(super) reading: Reading,
    pub(super) findings: Option<DayFindings>,
    pub(super) trends: Option<TrendReport>,
    /// Packs that regressed, as the rules of the same day say why; nothing of packs themselves.
    pub(super) regressed: Option<Vec<Regressed>>,
    /// What of its changes others are told.
    pub(super) news: Vec<Packs>,
    /// Who was not told of what, and why.
    pub(super) not_notified: Vec<String>,
    /// What is left undone of a day that is committed, or of the ledger, in words.
    pub(super) undone: Vec<String>,
    /// Why the catalog does not know of the day, if it should.
    pub(super) not_in_catalog: Option<String>,
    /// Other days whose trends were computed, which the catalog may not know of.
    recomputed: Vec<SnapshotDate>,
    pub(super) seconds: f64,
    /// How long each stage took.
    pub(super) stage_seconds: BTreeMap<&'static str, f64>,
    /// Whether the ledger gets a row of this run: not where the date itself is known to be wrong, and of a run that was stopped before it
    /// wrote its row the next session may write it.
    pub(super) is_recorded: bool,
    in_ledger: bool,
    /// Whether a change of the day was begun.
    is_committing: bool,
    /// Whether everybody is told who is to be.
    has_told: bool,
    /// Whether the next run goes on from checkpoints.
    resumes: bool,
    /// Whether a signal ended it.
    pub(super) is_stopped: bool,
}

/// The day of an aggregator, whatever becomes of it; and what the aggregator said of its sources, of which as much as is known is not asked
/// again.
pub(super) async fn report(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    journal: anyhow::Result<Journal>,
    bar: &Bar,
    known: Option<Discovery>,
) -> (AggregatorReport, Option<Discovery>) {
    let started = Instant::now();
    let mut day = Day {
        row: row(shared, aggregator),
        reading: Reading { discovery: known, ..Reading::default() },
        findings: None,
        trends: None,
        regressed: None,
        news: Vec::new(),
        not_notified: Vec::new(),
        undone: Vec::new(),
        not_in_catalog: None,
        recomputed: Vec::new(),
        seconds: 0.0,
        stage_seconds: BTreeMap::new(),
        is_recorded: true,
        in_ledger: false,
        is_committing: false,
        has_told: shared.request.notifying.is_none(),
        resumes: shared.request.source == Source::AwsConfig,
        is_stopped: false,
    };
    let id = &aggregator.address.id;
    let work = shared.session.guarded(id, Box::pin(run(shared, aggregator, journal, bar, &mut day)));
    if let Err(error) = shared.session.until_stopped(work).await {
        day.fail(&error);
    }
    day.seconds = started.elapsed().as_secs_f64();
    let discovery = day.reading.discovery.take();
    (AggregatorReport::of(id, shared.dataset, day), discovery)
}

/// Does a stage of a day; gives how many seconds it took as well.
async fn timed<T, W: Future<Output = T>>(stage: &'static str, work: Pin<Box<W>>) -> (f64, T) {
    let started = Instant::now();
    let span = tracing::info_span!(target: SPANS, "stage", id = stage, "otel.name" = stage);
    let done = work.instrument(span).await;
    (started.elapsed().as_secs_f64(), done)
}

/// What the ledger says of every run, whatever it does.
fn row(shared: &Shared<'_>, aggregator: &AggregatorSettings) -> LedgerRow {
    let population = Population::of(aggregator.of(shared.dataset));
    LedgerRow {
        run_id: shared.session.run_id.to_string(),
        // Of rules the day begins when that of packs is done.
        started_at: match shared.dataset == &Dataset::PACKS {
            true => shared.session.started_at,
            false => (shared.session.clock)(),
        },
        command: shared.session.command.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        outcome: Outcome::Failed,
        facts_only: Some(population.facts_only),
        population: Some(population.text),
        dataset: Some(shared.dataset.name.to_owned()),
        ..LedgerRow::default()
    }
}

async fn run(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    journal: anyhow::Result<Journal>,
    bar: &Bar,
    day: &mut Day,
) -> anyhow::Result<()> {
    let id = &aggregator.address.id;
    let mut journal = match journal {
        Ok(journal) => journal,
        Err(error) => {
            // Nothing was changed, and the ledger says why unless it is of a newer version.
            day.fail(&error);
            if day.is_recorded {
                notify(shared, id, day).await;
                day.row.finished_at = (shared.session.clock)();
                let row = LedgerRow { error: day.error(), ..day.row.clone() };
                Ledger::write(&shared.lake_of(id), id, shared.request.date, row).await?;
            }
            return Ok(());
        }
    };
    day.undone.extend(journal.undone());
    let pending = match Box::pin(snapshot(shared, aggregator, bar, &mut journal, day)).await {
        Ok(pending) => pending,
        Err(error) => {
            day.fail(&error);
            journal.trends_from()
        }
    };
    if !day.is_recorded {
        return Ok(());
    }
    let (seconds, ()) = timed("catalog", Box::pin(catalog(shared, id, journal.completed(), day))).await;
    day.stage_seconds.insert("catalog", seconds);
    let (seconds, ()) = timed("notify", Box::pin(notify(shared, id, day))).await;
    day.stage_seconds.insert("notify", seconds);
    day.has_told = true;
    day.row.finished_at = (shared.session.clock)();
    let row = LedgerRow { error: day.error(), ..day.row.clone() };
    let written = Ledger::write(&shared.lake_of(id), id, shared.request.date, row).await;
    day.in_ledger = written.is_ok();
    match written {
        // Of a day that failed there may be an entry in the journal: the next session completes it.
        Ok(()) if day.row.outcome == Outcome::Failed => Ok(()),
        Ok(()) => journal.finish(pending).await,
        Err(error) => {
            let error = error.context("the run is not in the ledger yet");
            let next = if journal.has_entry() { "; the next session on this lake writes it" } else { "" };
            day.undone.push(format!("{error:#}{next}"));
            notify(shared, id, day).await;
            Ok(())
        }
    }
}

/// Collects the day, and commits or holds it. Gives the first day whose trends are still out of date after that.
async fn snapshot(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    bar: &Bar,
    journal: &mut Journal,
    day: &mut Day,
) -> anyhow::Result<Option<SnapshotDate>> {
    let id = &aggregator.address.id;
    if shared.request.source == Source::Rejection {
        let mut planned = day.row.clone();
        day.is_committing = true;
        journal.reject(shared.request.date, &mut planned).await?;
        day.row = planned;
        return Ok(journal.trends_from());
    }
    let obtained = obtain(shared, aggregator, bar, &mut day.reading);
    let (seconds, collected) = timed("collect", Box::pin(obtained)).await;
    day.stage_seconds.insert("collect", seconds);
    day.reading.fill(&mut day.row);
    let collected = collected?;
    if collected.snapshot.row_count() == 0 && shared.request.source == Source::AwsConfig {
        // Each next night equals it, so that no check of losses would ever say so.
        tracing::warn!(
            aggregator = %id,
            dataset = shared.dataset.name,
            "the answer has no row: are the aggregator's filter, include and exclude right, and are its sources authorized?"
        );
    }
    let findings = DayFindings::of(shared.dataset, &collected);
    findings.fill(&mut day.row);
    day.findings = Some(findings);
    // What is held is of the filters that it was collected with, whatever the settings say by now.
    let population = collected.population.clone().unwrap_or_else(|| Population::of(aggregator.of(shared.dataset)));
    (day.row.population, day.row.facts_only) = (Some(population.text.clone()), Some(population.facts_only));
    let (seconds, held) = timed("check", Box::pin(shared.held_for(id, &population, &collected))).await;
    day.stage_seconds.insert("check", seconds);
    let (held, unchecked) = held?;
    day.undone.extend(unchecked);
    bar.stage("writing the snapshot and its trends");
    let _one_at_a_time = shared.computing.acquire().await?;
    match held {
        Some(why) => hold(shared, id, journal, collected, why, day).await,
        None => Box::pin(commit(shared, id, journal, collected, population, day)).await,
    }
}

/// The files of what was collected.
async fn files(shared: &Shared<'_>, id: &AggregatorId, collected: &Collected) -> anyhow::Result<SnapshotFiles> {
    let lake = shared.lake_of(id);
    let partition = |table| Partition { table, date: shared.request.date, aggregator: id.clone() };
    let facts = lake.encode(&partition(shared.dataset.facts), collected.snapshot.clone()).await?;
    let sources = match shared.dataset.sources {
        Some(table) => Some(lake.encode(&partition(table), collected.source_status.clone()).await?),
        None => None,
    };
    Ok(SnapshotFiles { facts, sources })
}

/// What the ledger is to say of a day that was collected.
fn planned(shared: &Shared<'_>, day: &Day, collected: &Collected) -> LedgerRow {
    let rows = collected.snapshot.row_count() as u64;
    LedgerRow { finished_at: (shared.session.clock)(), rows, ..day.row.clone() }
}

/// Sets the day aside. Gives the first day whose trends were out of date before.
async fn hold(
    shared: &Shared<'_>,
    id: &AggregatorId,
    journal: &mut Journal,
    collected: Collected,
    why: String,
    day: &mut Day,
) -> anyhow::Result<Option<SnapshotDate>> {
    let mut row = LedgerRow { error: Some(why), ..planned(shared, day, &collected) };
    let files = files(shared, id, &collected).await?;
    day.is_committing = true;
    journal.hold_snapshot(shared.request.date, files, &mut row).await?;
    day.row = row;
    shared.end_collection(id).await?;
    Ok(journal.trends_from())
}

/// Commits the day and computes the trends that it changes. Gives the first day whose trends are still out of date.
async fn commit(
    shared: &Shared<'_>,
    id: &AggregatorId,
    journal: &mut Journal,
    collected: Collected,
    population: Population,
    day: &mut Day,
) -> anyhow::Result<Option<SnapshotDate>> {
    let date = shared.request.date;
    let was_pending = journal.trends_from();
    // Where it cannot be told, later days are computed.
    let before = Told::of_day(&shared.lake, id, date).await.ok().flatten();
    let mut row = planned(shared, day, &collected);
    let committing = async {
        let files = files(shared, id, &collected).await?;
        day.is_committing = true;
        journal.commit_snapshot(date, files, &mut row).await
    };
    let (seconds, committed) = timed("commit", Box::pin(committing)).await;
    day.stage_seconds.insert("commit", seconds);
    committed?;
    day.row = row;
    let why = why::begin(shared, id, &collected.snapshot).await;
    // Later days are compared with it or not by its population, which its tables need not show.
    let is_same = before.is_some_and(|before| before.population.is_none_or(|before| before == population));
    let tonight = Tonight {
        date,
        snapshot: Some(collected.snapshot),
        snapshot_sha256: day.row.snapshot_sha256.clone(),
        // Where there was no snapshot before, later days have been computed without it.
        is_all: was_pending.is_none() && shared.history.has_snapshot(id, date) && is_same,
        population,
    };
    let (seconds, pending) = timed("trends", Box::pin(trends(shared, id, journal, (tonight, why), day))).await;
    day.stage_seconds.insert("trends", seconds);
    for done in [shared.remove_held(id).await, shared.end_collection(id).await] {
        if let Err(error) = done {
            day.fail(&error);
        }
    }
    Ok(pending)
}

/// Computes the trends of the day and of those that it changes. They never undo the day: where they cannot be computed, they
/// wait, which is said.
async fn trends(
    shared: &Shared<'_>,
    id: &AggregatorId,
    journal: &mut Journal,
    (tonight, why): (Tonight, Option<Why>),
    day: &mut Day,
) -> Option<SnapshotDate> {
    let from = journal.trends_from();
    let computing = Computing {
        lake: &shared.lake_of(id),
        history: &shared.history,
        id,
        span: Span { from, to: None },
        state_of: None,
        shared: None,
        on_day: &|_| {},
    };
    let mut computed = Computed::default();
    match Box::pin(computing.compute(Some(tonight), Some(&mut *journal), &mut computed)).await {
        Ok(()) => {
            day.trends = computed.tonight.as_ref().map(|trends| TrendReport::of(shared.dataset, trends));
            day.regressed = why.map(|why| match &computed.tonight {
                Some(trends) => why.told(&trends.changes),
                None => why.untold(),
            });
            day.news = match &day.regressed {
                // That nothing is known of them is no news.
                Some(regressed) if regressed.iter().all(|one| one.rules.is_none()) => Vec::new(),
                Some(regressed) => vec![why_regressed(regressed)],
                None => computed.tonight.as_ref().map(|trends| news(shared.dataset, trends)).unwrap_or_default(),
            };
            day.row.bytes += computed.bytes;
            let days = computed.days.into_iter().chain(computed.facts_only);
            day.recomputed = days.filter(|date| *date != shared.request.date).collect();
            None
        }
        Err(error) => {
            // An entry that cannot be read is of any day: of the first one.
            let first = shared.history.days(id, Span::default()).next().filter(|_| !shared.history.is_part());
            let from = from.unwrap_or(shared.request.date);
            let from = first.map_or(from, |first| from.max(first));
            day.undone.push(format!("the snapshot is committed, and the trends from {from} on wait: {error:#}"));
            journal.trends_from()
        }
    }
}

/// Where the day comes from: files, its month, what is held, or AWS Config.
async fn obtain(
    shared: &Shared<'_>,
    aggregator: &AggregatorSettings,
    bar: &Bar,
    reading: &mut Reading,
) -> anyhow::Result<Collected> {
    let id = &aggregator.address.id;
    refuse_dropped(shared, id).await?;
    match &shared.request.source {
        Source::Files { files, files_are, replace } => {
            refuse_replacing(shared, id, *replace).await?;
            import(shared, aggregator, (files, *files_are), reading).await
        }
        Source::Month => restore(shared, aggregator).await,
        Source::Rejection => bail!("a day that is rejected is not collected"),
        Source::HeldAlone => match shared.accepted(id).await? {
            Some(held) => Ok(held),
            None => bail!(NotRecorded(format!("nothing is held of {}", shared.request.date))),
        },
        Source::AwsConfig => {
            warn_of_archived(shared, id).await;
            collect(shared, aggregator, bar, reading).await
        }
    }
}

/// Says, before hours of reading, that files of the day before are in an archive class: what is collected is committed, and its
/// trends will wait for them.
async fn warn_of_archived(shared: &Shared<'_>, id: &AggregatorId) {
    let (dataset, date) = (shared.dataset, shared.request.date);
    let Some(before) = shared.history.days(id, Span::default()).take_while(|day| *day < date).last() else { return };
    for table in [dataset.facts, dataset.trends, dataset.status] {
        let partition = Partition { table, date: before, aggregator: id.clone() };
        // A store that does not answer is told where it matters.
        if let Ok(Some(class)) = shared.lake.archive_class(&partition).await {
            let key = partition.key();
            tracing::warn!(
                key,
                class,
                "in an archive class: restore it (`aws s3api restore-object`), or tonight's trends will wait for it"
            );
        }
    }
}

/// A day among those whose snapshots were dropped would be compared with none of them, and later days with it.
async fn refuse_dropped(shared: &Shared<'_>, id: &AggregatorId) -> anyhow::Result<()> {
    let date = shared.request.date;
    let is_old = |day: SnapshotDate| {
        shared.session.settings.keep.snapshots_from(shared.session.today()).is_some_and(|from| day < from)
    };
    let dropped = shared.history.dropped(id);
    let without = shared.history.without_snapshot(id, date).into_iter().chain(dropped.range(date..).copied());
    for other in without.collect::<BTreeSet<_>>() {
        // Before the ledger said so, the settings alone told a day that was dropped from one that is lost.
        let ledger = match dropped.contains(&other) {
            true => Ledger::read(&shared.lake, id, other).await?,
            false => Ledger::sound_or_none(&shared.lake, id, other).await?,
        };
        if other == date && ledger.is_dropped() && is_lost(shared, id).await? {
            // Its month does not have it any more, so this is the only place where it would be.
            return Ok(());
        }
        let is_of_before = ledger.is_of_older_version() && dropped.contains(&other) && is_old(other);
        if ledger.is_dropped() || is_of_before {
            bail!(
                "the snapshot of {other} was dropped, as maintain.snapshot_days says, so that a day at or before it cannot be compared \
                 with the days around it: {date} is not taken in. What was committed of the days that were dropped is in their months' \
                 files"
            );
        }
    }
    Ok(())
}

/// Whether no month's file has the day.
async fn is_lost(shared: &Shared<'_>, id: &AggregatorId) -> anyhow::Result<bool> {
    let (lake, date) = (&shared.lake, shared.request.date);
    let month = Month { table: shared.dataset.facts, month: SnapshotMonth::from(date), aggregator: id.clone() };
    let inventory = lake.inventory(shared.session.started_at).await?;
    Ok(!lake.days_within(&inventory, &month).await?.contains_key(&date))
}

/// A day that is committed is not lost to an import by mistake.
async fn refuse_replacing(shared: &Shared<'_>, id: &AggregatorId, replace: bool) -> anyhow::Result<()> {
    let date = shared.request.date;
    if replace {
        return Ok(());
    }
    if shared.history.has_snapshot(id, date) {
        bail!("the lake has a snapshot of {date} already, and it is left as it was; --replace replaces it");
    }
    if !is_lost(shared, id).await? {
        bail!(
            "the lake has a snapshot of {date} already, in its month's file alone, and it is left as it was; --replace replaces it"
        );
    }
    Ok(())
}

/// Tells the catalog of the day: of one that is not committed there is the ledger alone.
async fn catalog(shared: &Shared<'_>, id: &AggregatorId, completed: &[SnapshotDate], day: &mut Day) {
    let Some(cataloguing) = &shared.cataloguing else { return };
    // Of a day that failed or is held the lake gets the ledger alone, and of one that is facts only no trend tables.
    let is_committed = day.row.outcome == Outcome::Succeeded;
    let facts_only = day.row.facts_only.unwrap_or_default();
    let tables: Vec<Table> = shared
        .dataset
        .tables_and_ledger()
        .into_iter()
        .filter(|table| *table == Table::Runs || (is_committed && !(facts_only && table.is_derived())))
        .collect();
    let lake = &shared.lake;
    let added = match cataloguing.add_day(lake, id, shared.request.date, &tables).await {
        Ok(()) => cataloguing.add_others(lake, id, shared.request.date, &[completed, &day.recomputed].concat()).await,
        failed => failed,
    };
    if let Err(error) = added {
        will_be_behind(lake, None).await;
        day.undone.push(format!("the catalog does not know of the day: {error}; `compline catalog FILE` completes it"));
        day.not_in_catalog = Some(error.to_string());
    }
}

impl Day {
    /// The day is as it was.
    fn fail(&mut self, error: &anyhow::Error) {
        if let Some(stopped) = error.downcast_ref::<Stopped>() {
            let why = self.when_stopped(stopped);
            if self.row.outcome != Outcome::Failed && !self.has_told {
                self.not_notified.push(format!("{stopped} before everybody was notified of the day"));
            }
            (self.is_stopped, self.is_recorded) = (self.row.error.is_none(), self.in_ledger);
            match &self.row.error {
                None if self.row.outcome == Outcome::Failed => (self.row.rows, self.row.error) = (0, Some(why)),
                _ => self.undone.push(why),
            }
            return;
        }
        let why = format!("{error:#}");
        if self.row.outcome != Outcome::Failed {
            // It is committed or held: what failed came after.
            self.undone.push(why);
            return;
        }
        self.is_recorded = !error.is::<NotRecorded>();
        self.row.rows = 0;
        self.row.error.get_or_insert(why);
    }

    /// How far it came until a signal.
    fn when_stopped(&self, stopped: &Stopped) -> String {
        let is_changed = self.row.outcome != Outcome::Failed;
        if is_changed {
            let by = if self.row.command == "run" { "" } else { ", or `compline trends`," };
            return format!("{stopped} before everything was done: the next run{by} completes it");
        }
        if self.is_committing {
            return format!(
                "{stopped} while the lake was changed: the next run completes that or leaves the day as it was"
            );
        }
        let next = if self.resumes { ", and the next run of it resumes from the checkpoints" } else { "" };
        format!("{stopped}; the day is as it was{next}")
    }

    /// Why it failed or is held, what is left undone, and who was not told of it.
    pub(super) fn error(&self) -> Option<String> {
        let all = self.row.error.iter().chain(&self.undone).chain(&self.not_notified);
        let all: Vec<&str> = all.map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Shared<'_> {
    /// Removes the checkpoints of a day that is committed or held. Those of AWS Config's today are not an import's to remove.
    pub(super) async fn end_collection(&self, id: &AggregatorId) -> anyhow::Result<()> {
        match self.request.source {
            Source::AwsConfig => {
                self.lake_of(id).end_collection(id).await.context("cannot remove checkpoints that are done with")
            }
            Source::HeldAlone | Source::Rejection | Source::Files { .. } | Source::Month => Ok(()),
        }
    }
}

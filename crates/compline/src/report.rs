//! The figures of a report, read from the lake: a few lists, the trends of the period, and what the last snapshot has.

mod names;
mod publish;
mod rows;
mod rules;

use crate::journal::{Journal, is_damage};
use crate::ledger::Ledger;
use crate::session::Session;
use crate::settings::lake_name;
use crate::status::{gaps, is_there, missing, missing_computed, missing_table};
use crate::trends::population_since;
use arrow::array::RecordBatch;
use compline_model::{AggregatorId, Dataset, SnapshotDate, Table};
use compline_report::{AggregatorFigures, FIGURES_VERSION, Figures, Listed};
use compline_sink::{Lake, Partition, Partitions, READ_CONCURRENCY};
use futures::{StreamExt, TryStreamExt, stream};
pub(crate) use names::AccountNames;
pub(crate) use publish::publish;
use std::collections::BTreeSet;
use std::pin::pin;

/// How far back remediated packs are listed, in days.
const REMEDIATED_DAYS: u32 = 30;

/// Which report.
#[derive(Debug)]
pub(crate) struct ReportRequest<'a> {
    /// The day that it is about.
    pub(crate) date: SnapshotDate,
    /// How many days back its histories go.
    pub(crate) days: u32,
    /// What accounts are called.
    pub(crate) names: &'a AccountNames,
    /// Why that is not known, though it is wanted.
    pub(crate) without_names: Option<&'a str>,
    /// Whether it has every aggregator of the lake, or those of the settings alone.
    pub(crate) is_whole: bool,
}

impl ReportRequest<'_> {
    /// The first day of the period.
    fn from(&self) -> SnapshotDate {
        self.date.minus_days(self.days - 1)
    }
}

/// The days of the tables that are looked at: all, since whether there was one before the period tells a gap from a lake that began later.
pub(crate) struct Listing {
    facts: Partitions,
    /// Those, and those whose snapshots may be dropped by now.
    snapshots: Partitions,
    trends: Partitions,
    ledgers: Partitions,
    held: Partitions,
}

impl Listing {
    /// Those of a lake.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn of(lake: &Lake) -> anyhow::Result<Self> {
        let dataset = &Dataset::PACKS;
        let facts = lake.partitions(dataset.facts).await?;
        let mut snapshots = facts.clone();
        let trends = lake.partitions(dataset.trends).await?;
        // Snapshots may be dropped, and their trends stay.
        for (id, dates) in &trends {
            snapshots.entry(id.clone()).or_default().extend(dates);
        }
        let ledgers = lake.partitions(Table::Runs).await?;
        Ok(Self { facts, snapshots, trends, ledgers, held: lake.held_partitions(dataset.facts).await? })
    }

    /// The last day of which the lake has anything: a snapshot, one that is held, or a run that failed.
    fn last_day(&self) -> Option<SnapshotDate> {
        let days = [&self.facts, &self.held, &self.ledgers];
        days.into_iter().flat_map(|days| days.values()).filter_map(|dates| dates.last()).max().copied()
    }
}

/// The figures of a report.
///
/// # Errors
/// A store that does not answer. What is damaged is named in the figures.
pub(crate) async fn figures(
    session: &Session<'_>,
    request: &ReportRequest<'_>,
    listed: &Listing,
) -> anyhow::Result<Figures> {
    let ReportRequest { date, days, is_whole, .. } = *request;
    let mut ids: BTreeSet<AggregatorId> = session.settings.ids().cloned().collect();
    if is_whole {
        ids.extend(listed.snapshots.keys().chain(listed.held.keys()).cloned());
    }
    let mut aggregators = Vec::new();
    for id in ids {
        aggregators.push(of_aggregator(session, request, listed, &id).await?);
    }
    let is_named = |figures: &AggregatorFigures| figures.accounts.iter().any(|account| account.name.is_some());
    let accounts = aggregators.iter().map(|figures| figures.accounts.len()).sum::<usize>();
    let count = request.names.count();
    let named_nobody = count > 0 && accounts > 0 && !aggregators.iter().any(is_named);
    let without_names = request
        .without_names
        .map(str::to_owned)
        .or_else(|| named_nobody.then(|| format!("none of the {count} names is of an account that has packs")));
    Ok(Figures {
        version: FIGURES_VERSION,
        program: format!("compline {}", env!("CARGO_PKG_VERSION")),
        lake: lake_name(&session.settings.lake),
        date,
        days,
        from: request.from(),
        without_names,
        made_at: (session.clock)(),
        aggregators,
    })
}

/// Reads of one aggregator; what is damaged is noted and left out.
struct Reader<'a> {
    session: &'a Session<'a>,
    id: &'a AggregatorId,
    unread: Vec<String>,
}

impl Reader<'_> {
    async fn rows(
        &mut self,
        table: Table,
        date: SnapshotDate,
        columns: &'static [&'static str],
    ) -> anyhow::Result<Option<RecordBatch>> {
        let mut found = None;
        self.each_day(table, &[date], columns, |_, rows| found = rows).await?;
        Ok(found)
    }

    /// Gives the rows of days, in their order and each before the next is there; nothing for a day without the table. Those of a damaged
    /// file are noted and not given.
    async fn each_day(
        &mut self,
        table: Table,
        dates: &[SnapshotDate],
        columns: &'static [&'static str],
        mut take: impl FnMut(SnapshotDate, Option<RecordBatch>),
    ) -> anyhow::Result<()> {
        let reads = dates.iter().map(async |date| {
            let partition = Partition { table, date: *date, aggregator: self.id.clone() };
            match self.session.lake.read(&partition, Some(columns)).await {
                Err(error) if error.is_damage() => anyhow::Ok((*date, Err(error.to_string()))),
                rows => Ok((*date, Ok(rows?))),
            }
        });
        let mut read = pin!(stream::iter(reads).buffered(READ_CONCURRENCY));
        while let Some((date, rows)) = read.try_next().await? {
            match rows {
                Ok(rows) => take(date, rows),
                Err(error) => self.unread.push(error),
            }
        }
        Ok(())
    }

    /// The ledger of a day; nothing where it is damaged, which is noted.
    async fn ledger(&mut self, date: SnapshotDate) -> anyhow::Result<Option<Ledger>> {
        match Ledger::read(&self.session.lake, self.id, date).await {
            Err(error) if is_damage(&error) => {
                self.unread.push(format!("{error:#}"));
                Ok(None)
            }
            ledger => ledger.map(Some),
        }
    }
}

async fn of_aggregator(
    session: &Session<'_>,
    request: &ReportRequest<'_>,
    listed: &Listing,
    id: &AggregatorId,
) -> anyhow::Result<AggregatorFigures> {
    let (date, from) = (request.date, request.from());
    let dataset = &Dataset::PACKS;
    let mut reader = Reader { session, id, unread: Vec::new() };
    let none = BTreeSet::new();
    let days = listed.snapshots.get(id).unwrap_or(&none);
    let mut held = Vec::new();
    for date in listed.held.get(id).unwrap_or(&none).range(..=date) {
        if reader.ledger(*date).await?.is_some_and(|ledger| ledger.held().is_some()) {
            held.push(*date);
        }
    }
    let trends = listed.trends.get(id).unwrap_or(&none);
    let last = days.range(..=date).next_back().copied();
    let of_period = days.range(from.min(date)..=date).filter(|day| Some(**day) != last && !trends.contains(day));
    let out_of_date = Journal::peek(&session.lake, id).await?.trends_from;
    // An entry that cannot be read is of any day.
    let out_of_date = out_of_date.map(|from| from.max(days.first().copied().unwrap_or(from)));
    let mut figures = AggregatorFigures {
        aggregator: id.to_string(),
        snapshot_date: last,
        days_old: last.map(|last| days_between(last, date)),
        is_facts_only: false,
        held,
        gaps: gaps(days, from, date),
        without_trends: of_period.copied().collect(),
        population_since: None,
        trends_out_of_date_from: out_of_date.filter(|from| last.is_some_and(|last| *from <= last)),
        unread: Vec::new(),
        total: None,
        regions: Vec::new(),
        pack_groups: Vec::new(),
        accounts: Vec::new(),
        heat_map: None,
        rules: None,
        regressed: None,
        open_regressions: None,
        remediated: None,
        remediated_from: None,
        remediated_not_seen: Vec::new(),
        sources: None,
    };
    if let Some(last) = last {
        let ledger = reader.ledger(last).await?;
        figures.is_facts_only = ledger.as_ref().is_some_and(|ledger| ledger.has_no(dataset.trends));
        let is_there = of_trends(&mut figures, &mut reader, request, trends, last).await?;
        let is_explained = figures.is_facts_only || ledger.is_none() || figures.trends_out_of_date_from.is_some();
        if !is_there && !is_explained {
            reader.unread.push(missing_computed(dataset.trends, last));
        }
        of_changes(&mut figures, &mut reader, request, (days, trends), last).await?;
        rules::of_rules(&mut figures, &mut reader, ledger.as_ref(), last).await?;
        let unread = reader.unread.len();
        if let Some(states) = reader.rows(dataset.status, last, rows::STATE_COLUMNS).await? {
            let order: Vec<&str> = figures.accounts.iter().map(|line| line.value.as_str()).collect();
            // In the order of their rates, which the trends have.
            figures.heat_map = figures.total.is_some().then(|| rows::heat_map(&states, &order, request.names));
            figures.open_regressions = Some(rows::open_regressions(&states, request.names));
        } else if is_there && !is_explained && reader.unread.len() == unread && days.last() == Some(&last) {
            // That of an earlier day may have been dropped.
            reader.unread.push(missing_computed(dataset.status, last));
        }
        let unread = reader.unread.len();
        let table = Table::SourceStatus;
        let sources = reader.rows(table, last, rows::SOURCE_COLUMNS).await?;
        let is_dropped = ledger.as_ref().is_some_and(Ledger::is_dropped);
        if sources.is_none() && reader.unread.len() == unread && !is_dropped {
            reader.unread.push(missing_table(table, last));
        }
        // An imported day has none: of whom it is not known nothing is said.
        figures.sources =
            sources.filter(|sources| sources.num_rows() > 0).map(|sources| rows::sources(&sources, request.names));
    }
    for date in lost(&reader, listed, id, (from.min(last.unwrap_or(from)), date)).await? {
        reader.unread.push(missing(date));
    }
    figures.unread = reader.unread;
    Ok(figures)
}

/// Days from one to another that were committed and whose snapshots are gone, though nobody dropped them.
async fn lost(
    reader: &Reader<'_>,
    listed: &Listing,
    id: &AggregatorId,
    (from, to): (SnapshotDate, SnapshotDate),
) -> anyhow::Result<Vec<SnapshotDate>> {
    let (lake, none) = (&reader.session.lake, BTreeSet::new());
    let (facts, ledgers) = (listed.facts.get(id).unwrap_or(&none), listed.ledgers.get(id).unwrap_or(&none));
    // Those before the first that is there were dropped as a whole, or `verify` tells of them.
    let first = facts.first().copied().unwrap_or(from).max(from);
    let without = ledgers.iter().filter(|date| (first..=to).contains(date) && !facts.contains(date));
    let reads = without.copied().map(async |date| {
        // A damaged ledger says nothing of it.
        let ledger = Ledger::sound(lake, id, date).await?;
        let is_committed = ledger.is_some_and(|ledger| ledger.last_commit().is_some() && !ledger.is_dropped());
        let is_lost = is_committed && !is_there(lake, Dataset::PACKS.facts, id, date).await?;
        anyhow::Ok(is_lost.then_some(date))
    });
    let lost: Vec<_> = stream::iter(reads).buffered(READ_CONCURRENCY).try_collect().await?;
    Ok(lost.into_iter().flatten().collect())
}

/// How the dimensions stand, and how they did in the period; gives whether the day's trends are there, damaged or not.
async fn of_trends(
    figures: &mut AggregatorFigures,
    reader: &mut Reader<'_>,
    request: &ReportRequest<'_>,
    days: &BTreeSet<SnapshotDate>,
    last: SnapshotDate,
) -> anyhow::Result<bool> {
    let from = request.from();
    let table = Dataset::PACKS.trends;
    let unread = reader.unread.len();
    let Some(trends) = reader.rows(table, last, rows::TREND_COLUMNS).await? else {
        return Ok(reader.unread.len() > unread);
    };
    figures.population_since = population_since(&trends);
    let mut lines = rows::Lines::new(&trends, request.names);
    let dates: Vec<SnapshotDate> = days.range(from.min(last)..=last).copied().filter(|date| *date >= from).collect();
    let add = |date, rows: Option<RecordBatch>| {
        rows.iter().for_each(|rows| lines.add_day(days_between(from, date), date, rows));
    };
    reader.each_day(table, &dates, rows::HISTORY_COLUMNS, add).await?;
    lines.into(figures);
    Ok(true)
}

/// What regressed with the last snapshot, and what was remediated in the days before.
async fn of_changes(
    figures: &mut AggregatorFigures,
    reader: &mut Reader<'_>,
    request: &ReportRequest<'_>,
    (snapshots, days): (&BTreeSet<SnapshotDate>, &BTreeSet<SnapshotDate>),
    last: SnapshotDate,
) -> anyhow::Result<()> {
    if figures.is_facts_only {
        return Ok(());
    }
    let from = last.minus_days(REMEDIATED_DAYS - 1);
    let from = figures.population_since.map_or(from, |since| since.max(from).min(last));
    let mut dates = days.clone();
    // Where its trends are gone its changes may be there.
    dates.insert(last);
    let dates: Vec<SnapshotDate> = dates.range(from..=last).rev().copied().collect();
    let (mut missing, mut seen) = (Vec::new(), BTreeSet::new());
    let mut remediated = Listed { count: 0, first: Vec::new() };
    let add = |date, rows: Option<RecordBatch>| {
        let Some(rows) = rows else { return missing.push(date) };
        seen.insert(date);
        if date == last {
            let regressed = figures.regressed.insert(Listed { count: 0, first: Vec::new() });
            rows::add_changes(regressed, &rows, "regressed", date, request.names);
        }
        rows::add_changes(&mut remediated, &rows, "remediated", date, request.names);
    };
    let table = Dataset::PACKS.changes;
    reader.each_day(table, &dates, rows::CHANGE_COLUMNS, add).await?;
    // Without its trends nobody knows which days have the same packs, and whether the day was compared with one.
    match figures.total {
        Some(_) => {
            (figures.remediated, figures.remediated_from) = (Some(remediated), Some(from));
            figures.remediated_not_seen =
                snapshots.range(from..=last).filter(|date| !seen.contains(date)).copied().collect();
        }
        None => figures.regressed = figures.regressed.take().filter(|regressed| regressed.count > 0),
    }
    let lost = missing.into_iter().filter(|date| days.contains(date));
    reader.unread.extend(lost.map(|date| missing_computed(table, date)));
    Ok(())
}

fn days_between(from: SnapshotDate, to: SnapshotDate) -> u32 {
    u32::try_from((to.day() - from.day()).num_days()).unwrap_or_default()
}

//! The days of an aggregator one after the other, and what is carried from one to the next.

use super::status::{Status, Taking};
use super::{Computing, Look, Tonight, damage, is_same};
use crate::failure::NeedsDropped;
use crate::history::{History, Span, TRENDS_REACH_DAYS};
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::memory;
use crate::population::{Population, Told, is_comparable};
use anyhow::{Context, bail};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Date32Type;
use chrono::{NaiveDate, TimeDelta};
use compline_model::{AggregatorId, Dataset, RowSource, SnapshotDate, Table};
use compline_sink::{Lake, Month, Partition, READ_CONCURRENCY, RecentDay, RecentDays, SinkError, TableFile, computed};
use compline_transformer::{
    CheckedSnapshot, Recent, State, TransformError, TrendDay, Trends, advance, recent_columns, recent_needed,
};
use futures::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The days being gone through, and what is carried.
pub(super) struct Chain<'a> {
    lake: Lake,
    dataset: &'static Dataset,
    history: &'a History,
    id: &'a AggregatorId,
    /// The days that have a snapshot, and before them those that had one.
    dates: BTreeSet<SnapshotDate>,
    /// Those of them that had one.
    dropped: BTreeSet<SnapshotDate>,
    /// What the ledger says of days, as far as it was read.
    told: BTreeMap<SnapshotDate, Told>,
    /// The days of which that was read before the chain began.
    told_before: BTreeSet<SnapshotDate>,
    /// Looks at the facts as well.
    look: Option<&'a Arc<Look>>,
    /// The days that have each of the tables that days are computed from.
    statuses: BTreeSet<SnapshotDate>,
    trends: BTreeSet<SnapshotDate>,
    /// The earliest day of which a table could not be read.
    earliest_lacking: Option<SnapshotDate>,
    /// Whether what is computed is written, and not only compared.
    is_writing: bool,
    /// Whether a day is another than it was, so that the states of later ones may be too that are in a month's file alone.
    is_changed: bool,
    /// Tables of days that were dropped, from their months' files: their own are gone or damaged, and nothing computes them again.
    from_months: BTreeMap<(Table, SnapshotDate), RecordBatch>,
    /// The day up to which it was noted that states are not retained.
    noted_from: Option<SnapshotDate>,
    /// What the day before left.
    before: Option<Before>,
    /// Trend rows of days before the current one, as far as they are needed again.
    recent: BTreeMap<SnapshotDate, RecordBatch>,
    /// The days that one object has together, as far as it was read.
    together: Option<RecentDays>,
    /// The days that were computed.
    computed: BTreeSet<SnapshotDate>,
    /// Whether the day before was one part.
    days_are_small: bool,
    /// The day that is fetched while the one before is computed.
    read_ahead_of: Option<SnapshotDate>,
    /// A table that is computed and could not be read.
    pub(super) damaged: Option<(Table, SnapshotDate)>,
}

/// The trend tables of a day.
pub(super) struct DayTrends {
    pub(super) trends: Trends,
    pub(super) status: Status,
    stored: StoredState,
}

/// The facts of a day.
enum Facts {
    Tonight(CheckedSnapshot),
    File(TableFile, Option<Arc<Look>>),
}

/// What the lake has of a day's state.
#[derive(Clone)]
enum StoredState {
    /// It was not listed, and nobody looked.
    Unread,
    Absent,
    Damaged,
    There(TableFile),
}

/// Days were not listed that are needed.
#[derive(Debug, thiserror::Error)]
#[error("days are needed that were not listed")]
pub(super) struct NeedsAllDays;

/// What a day starts from.
struct Before {
    population: Option<Population>,
    /// Nothing after a day that is facts only.
    state: Option<(State, Option<SnapshotDate>)>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(
        computing: &Computing<'a>,
        lacking: &BTreeSet<(Table, SnapshotDate)>,
        tonight: Option<SnapshotDate>,
        journal: Option<&Journal>,
    ) -> Self {
        let Computing { history, id, shared, .. } = *computing;
        let lake = computing.lake.reading_ahead();
        let dataset = lake.dataset();
        let mut dates = history.with_dropped(id);
        dates.extend(tonight);
        let has = |table: Table| {
            let mut days = history.computed(table, id);
            days.retain(|date| !lacking.contains(&(table, *date)));
            days
        };
        Self {
            lake,
            dataset,
            id,
            dates,
            dropped: history.dropped(id),
            history,
            told: shared.map(|shared| shared.told.clone()).unwrap_or_default(),
            told_before: shared.map(|shared| shared.told.keys().copied().collect()).unwrap_or_default(),
            look: shared.map(|shared| &shared.look),
            statuses: has(dataset.status),
            trends: has(dataset.trends),
            earliest_lacking: lacking.iter().map(|(_, date)| *date).min(),
            is_writing: journal.is_some(),
            is_changed: journal.is_some_and(|journal| journal.trends_from().is_some()),
            from_months: BTreeMap::new(),
            noted_from: None,
            before: None,
            recent: BTreeMap::new(),
            together: None,
            computed: BTreeSet::new(),
            days_are_small: false,
            read_ahead_of: None,
            damaged: None,
        }
    }

    pub(super) fn days_from(&self, first: SnapshotDate) -> Vec<SnapshotDate> {
        self.dates.range(first..).copied().filter(|date| !self.dropped.contains(date)).collect()
    }

    pub(super) fn has_trends(&self, date: SnapshotDate) -> bool {
        self.trends.contains(&date) || self.statuses.contains(&date)
    }

    /// The first day that must be computed: the first of the span, or an earlier one, as long as something that it is computed
    /// from is not there. What that day starts from is read.
    pub(super) async fn first_day(
        &mut self,
        span: Span,
        tonight: Option<&Tonight>,
    ) -> anyhow::Result<Option<SnapshotDate>> {
        if self.history.is_part() && self.earliest_lacking.is_some() {
            bail!(NeedsAllDays);
        }
        self.look_into_months().await?;
        let in_span = |date: &&SnapshotDate| !self.dropped.contains(date) && span.has(**date);
        let Some(mut first) = self.dates.iter().find(in_span).copied() else { return Ok(None) };
        if let Some(earlier) = self.earliest_lacking.filter(|earlier| self.dates.contains(earlier)) {
            // Where its month does not have it, whoever goes on from it says so.
            first = if self.dropped.contains(&earlier) { first } else { first.min(earlier) };
        }
        loop {
            let known = tonight.filter(|tonight| tonight.date == first);
            if self.history.is_part() && known.is_none() {
                bail!(NeedsAllDays);
            }
            match self.lacking(first, known.map(|tonight| tonight.population.clone())).await? {
                Some(earlier) if self.dropped.contains(&earlier) => bail!(self.needs_dropped(first, earlier)),
                Some(earlier) => first = earlier,
                None => return Ok(Some(first)),
            }
        }
    }

    /// Looks for what is not there of days that were dropped: the state of the last of them, and their trends.
    async fn look_into_months(&mut self) -> anyhow::Result<()> {
        let (status, trends) = (self.dataset.status, self.dataset.trends);
        let state = self.dropped.last().filter(|last| !self.statuses.contains(last)).map(|last| (status, *last));
        let first = self.dates.iter().find(|date| !self.dropped.contains(date));
        let reach = first.map_or(SnapshotDate::FIRST, |first| first.minus_days(TRENDS_REACH_DAYS));
        let lost = self.dropped.range(reach..).filter(|date| !self.trends.contains(date)).map(|date| (trends, *date));
        for (table, date) in state.into_iter().chain(lost).collect::<Vec<_>>() {
            let month = Month { table, month: date.into(), aggregator: self.id.clone() };
            let Some(rows) = self.lake.day_in_month(&month, date).await? else { continue };
            tracing::warn!(%date, table = table.name(), "its own file is gone or damaged: going on from its month's");
            self.from_months.insert((table, date), rows);
            if table == status {
                self.statuses.insert(date)
            } else {
                self.trends.insert(date)
            };
        }
        Ok(())
    }

    fn needs_dropped(&self, date: SnapshotDate, earlier: SnapshotDate) -> NeedsDropped {
        let (status, trends) = (self.dataset.status.name(), self.dataset.trends.name());
        NeedsDropped(format!(
            "the trends of {date} go on from {status} and {trends} of {earlier}, which are not all there, and its snapshot was \
             dropped or is gone; restore them"
        ))
    }

    /// An earlier day that must be computed first, if something that a day is computed from is not there. Otherwise what the day
    /// starts from is read.
    async fn lacking(&mut self, date: SnapshotDate, known: Option<Population>) -> anyhow::Result<Option<SnapshotDate>> {
        self.before = None;
        let previous = self.dates.range(..date).next_back().copied();
        let is_first = previous.is_none_or(|previous| self.dropped.contains(&previous));
        if is_first && let Some(population) = self.dropped_without_trends(previous, date).await? {
            self.before = Some(Before { population: Some(population), state: None });
            return Ok(None);
        }
        let Some(previous) = previous else { return Ok(None) };
        let population = self.told(previous).await?.population;
        let now = match known {
            Some(known) => Some(known),
            None => self.told(date).await?.population,
        };
        if !is_comparable(population.as_ref(), now.as_ref()) {
            self.before = Some(Before { population, state: None });
            return Ok(None);
        }
        if !self.statuses.contains(&previous) {
            return Ok(Some(previous));
        }
        if !self.trends.contains(&previous) {
            return Ok(Some(previous));
        }
        let since = self.population_since(previous).await?;
        if self.history.is_part() && since.is_none() {
            bail!(NeedsAllDays);
        }
        let in_population = self.comparable_dates(since);
        let lacking = recent_needed(date, &in_population).into_iter().find(|date| !self.trends.contains(date));
        if lacking.is_some() {
            return Ok(lacking);
        }
        let state = State { date: previous, status: self.state(previous).await? };
        self.before = Some(Before { population, state: Some((state, since)) });
        Ok(None)
    }

    /// The population of the last day before the first snapshot, where that day was dropped and is facts only: it has no trends
    /// that would tell of it. One that had trends is an error, since they are gone.
    async fn dropped_without_trends(
        &self,
        after: Option<SnapshotDate>,
        first: SnapshotDate,
    ) -> anyhow::Result<Option<Population>> {
        for date in self.history.ledgers_between(self.id, after, first) {
            let Some(ledger) = Ledger::sound(&self.lake, self.id, date).await? else { continue };
            if ledger.is_dropped() {
                if !ledger.has_no(self.dataset.trends) {
                    bail!(self.needs_dropped(first, date));
                }
                return Ok(ledger.last_commit().and_then(Population::of_row));
            }
        }
        Ok(None)
    }

    /// What the ledger says of a day. Where it is damaged the day is taken for one of the filters of the day before.
    async fn told(&mut self, date: SnapshotDate) -> anyhow::Result<Told> {
        let mut asked = Vec::new();
        let (mut found, mut is_told) = (Told::default(), false);
        for date in self.dates.range(..=date).rev().copied().collect::<Vec<_>>() {
            if let Some(told) = self.told.get(&date) {
                (found, is_told) = (told.clone(), true);
                break;
            }
            asked.push(date);
            if let Some(told) = Told::of_day(&self.lake, self.id, date).await? {
                self.told.insert(date, told.clone());
                asked.pop();
                (found, is_told) = (told, true);
                break;
            }
        }
        if !is_told && self.history.is_part() {
            // None of the days that were listed is told of: earlier ones may be.
            bail!(NeedsAllDays);
        }
        // Of a day whose ledger cannot be read any sound file is taken.
        let unread = Told { population: found.population.clone(), snapshot_sha256: None };
        let is_read = asked.is_empty();
        self.told.extend(asked.into_iter().map(|date| (date, unread.clone())));
        Ok(if is_read { found } else { unread })
    }

    /// Since when the population of a day is what it is, as its trends say; nothing for files of older versions.
    async fn population_since(&mut self, date: SnapshotDate) -> anyhow::Result<Option<SnapshotDate>> {
        if !self.recent.contains_key(&date) {
            let rows = self.read(self.dataset.trends, date, Some(recent_columns(self.dataset))).await?;
            self.recent.insert(date, rows);
        }
        Ok(self.recent.get(&date).and_then(population_since))
    }

    /// The days whose trends may be looked at: those of the same population.
    fn comparable_dates(&self, since: Option<SnapshotDate>) -> Vec<SnapshotDate> {
        self.dates.range(since.unwrap_or(SnapshotDate::FIRST)..).copied().collect()
    }

    fn partition(&self, table: Table, date: SnapshotDate) -> Partition {
        Partition { table, date, aggregator: self.id.clone() }
    }

    /// A partition that is known to be there.
    async fn read(
        &mut self,
        table: Table,
        date: SnapshotDate,
        columns: Option<&'static [&'static str]>,
    ) -> anyhow::Result<RecordBatch> {
        if let Some(rows) = self.from_months.get(&(table, date)) {
            return Ok(rows.clone());
        }
        let partition = self.partition(table, date);
        let read = self.lake.read(&partition, columns).await;
        self.note_damage(table, date, read.as_ref().err());
        present(&partition, read?)
    }

    /// The state of a day, which is known to be there.
    async fn state(&mut self, date: SnapshotDate) -> anyhow::Result<Arc<dyn RowSource>> {
        let table = self.dataset.status;
        if let Some(rows) = self.from_months.get(&(table, date)) {
            return Ok(Arc::new(rows.clone()));
        }
        let partition = self.partition(table, date);
        let file = self.lake.file(&partition).await;
        self.note_damage(table, date, file.as_ref().err());
        Ok(Arc::new(present(&partition, file?)?))
    }

    fn note_damage(&mut self, table: Table, date: SnapshotDate, error: Option<&SinkError>) {
        if table.is_derived() && error.is_some_and(SinkError::is_damage) {
            self.damaged = Some((table, date));
        }
    }

    /// Why a day is not computed: of rows that cannot be had that is what their file's error says. Where it is the day's state that is
    /// damaged, or that of the day before, that is noted.
    fn failed(&mut self, error: TransformError, date: SnapshotDate, before: Option<SnapshotDate>) -> anyhow::Error {
        let (rows, state) = match error {
            TransformError::State(rows) => (rows, before),
            TransformError::Status(rows) => (rows, Some(date)),
            TransformError::Snapshot(rows) => (rows, None),
            other => return other.into(),
        };
        match rows.downcast::<SinkError>() {
            Ok(error) => {
                if let Some(state) = state {
                    self.note_damage(self.dataset.status, state, Some(&error));
                }
                error.into()
            }
            Err(other) => other.into(),
        }
    }

    /// Fetches what is looked at of a day, and while it is computed that of the next one: where days are small, the way to S3 is most of
    /// what they take.
    pub(super) fn read_ahead(&mut self, date: SnapshotDate, next: Option<SnapshotDate>) {
        let next = next.filter(|_| self.days_are_small);
        let is_read = self.read_ahead_of == Some(date);
        self.read_ahead_of = next;
        let is_facts_only = |population: &Option<Population>| population.as_ref().is_some_and(|one| one.facts_only);
        for date in [Some(date).filter(|_| !is_read), next].into_iter().flatten() {
            let Dataset { facts, changes, trends, status, .. } = *self.dataset;
            // Of a day that is not told of yet: as the one before it is.
            let has_no_trends = match self.told.get(&date) {
                Some(told) => is_facts_only(&told.population),
                None => self.before.as_ref().is_some_and(|before| is_facts_only(&before.population)),
            };
            let facts = (!has_no_trends).then_some(facts);
            let ledger = (!self.told.contains_key(&date)).then_some(Table::Runs);
            let has_trends = self.trends.contains(&date).then_some([changes, trends]);
            let has_status = self.statuses.contains(&date).then_some(status);
            let tables = facts.into_iter().chain(ledger).chain(has_trends.into_iter().flatten()).chain(has_status);
            self.lake.read_ahead(tables.map(|table| self.partition(table, date)));
        }
    }

    /// The trends of a day, which are then what the next one starts from; nothing of a day that is facts only.
    pub(super) async fn day(
        &mut self,
        date: SnapshotDate,
        tonight: Option<&mut Tonight>,
    ) -> anyhow::Result<Option<DayTrends>> {
        let Told { population, snapshot_sha256 } = match &tonight {
            Some(tonight) => {
                Told { population: Some(tonight.population.clone()), snapshot_sha256: tonight.snapshot_sha256.clone() }
            }
            None => self.told(date).await?,
        };
        if population.as_ref().is_some_and(|population| population.facts_only) {
            self.before = Some(Before { population, state: None });
            return Ok(None);
        }
        let facts = match tonight.and_then(|tonight| tonight.snapshot.take()) {
            Some(snapshot) => Facts::Tonight(snapshot),
            // Not tonight's, or used up by an attempt that met a damaged file.
            None => {
                let partition = self.partition(self.dataset.facts, date);
                let file = match self.lake.committed(&partition, snapshot_sha256.as_deref()).await {
                    // Another run may have replaced the day since its ledger was read.
                    Err(error) if error.is_damage() && self.told_before.remove(&date) => {
                        self.told.remove(&date);
                        return Box::pin(self.day(date, None)).await;
                    }
                    read => present(&partition, read?)?,
                };
                Facts::File(file, self.look.cloned())
            }
        };
        let before = self.before.take();
        let comparable =
            before.as_ref().is_none_or(|before| is_comparable(before.population.as_ref(), population.as_ref()));
        let (state, since) = match before.and_then(|before| before.state).filter(|_| comparable) {
            // Where files of older versions do not say it, it is the first day that there is.
            Some((state, since)) => (Some(state), since.or(self.dates.first().copied())),
            None => (None, Some(date)),
        };
        let trend_day = TrendDay { date, population_since: since.unwrap_or(date) };
        let recent = if state.is_some() { self.recent(trend_day).await? } else { Vec::new() };
        let partition = self.partition(self.dataset.status, date);
        let stored = match self.statuses.contains(&date) {
            true => self.stored_state(&partition).await?,
            false => StoredState::Unread,
        };
        let there = match &stored {
            StoredState::There(file) => Some(file.clone()),
            _ => None,
        };
        let (id, dataset, before) = (self.id.clone(), self.dataset, state.as_ref().map(|state| state.date));
        let mut taking = Taking::new(&self.lake, partition, there);
        let computing = move || {
            let snapshot: Box<dyn RowSource> = match facts {
                Facts::Tonight(snapshot) => Box::new(snapshot),
                Facts::File(file, Some(look)) => look(date, file),
                Facts::File(file, None) => Box::new(file),
            };
            let mut take = |rows| taking.take(rows);
            let trends = advance(dataset, &id, trend_day, state, snapshot, &recent, &mut take)?;
            Ok((trends, taking.finish().map_err(TransformError::Status)?))
        };
        let done = computed(computing).await.context("computing the trends stopped")?;
        let (trends, status) = done.map_err(|error| self.failed(error, date, before))?;
        tracing::debug!(%date, "computed");
        self.days_are_small = matches!(status, Status::Whole(_));
        if !self.days_are_small {
            memory::give_back();
        }
        let state = State { date, status: status.rows() };
        self.before = Some(Before { population, state: Some((state, Some(trend_day.population_since))) });
        self.recent.insert(date, only_recent(dataset, &trends.trends)?);
        self.computed.insert(date);
        Ok(Some(DayTrends { trends, status, stored }))
    }

    /// The trend rows of the recent days; those that are not carried are read.
    async fn recent(&mut self, day: TrendDay) -> anyhow::Result<Vec<Recent>> {
        let needed = recent_needed(day.date, &self.comparable_dates(Some(day.population_since)));
        self.recent.retain(|date, _| needed.contains(date));
        let table = self.dataset.trends;
        for date in &needed {
            if let Some(rows) = self.from_months.get(&(table, *date)) {
                self.recent.insert(*date, only_recent(self.dataset, rows)?);
            }
        }
        let lacks = |this: &Self| needed.iter().copied().filter(|date| !this.recent.contains_key(date)).collect();
        let missing: Vec<SnapshotDate> = lacks(self);
        if self.is_writing && missing.len() > 1 {
            self.read_together(&missing).await;
        }
        let missing: Vec<SnapshotDate> = lacks(self);
        let this = &*self;
        let reading = missing.into_iter().map(async |date| {
            let partition = this.partition(table, date);
            (date, this.lake.read(&partition, Some(recent_columns(this.dataset))).await)
        });
        let read: Vec<_> = stream::iter(reading).buffer_unordered(READ_CONCURRENCY).collect().await;
        for (date, rows) in read {
            self.note_damage(table, date, rows.as_ref().err());
            if rows.as_ref().is_ok_and(Option::is_none) {
                self.damaged = Some((table, date));
            }
            let rows = present(&self.partition(table, date), rows?)?;
            self.recent.insert(date, rows);
        }
        Ok(self.recent.iter().map(|(date, rows)| Recent { date: *date, trends: rows.clone() }).collect())
    }

    /// Takes what days there are together in one object, as far as each is still the object in its table.
    async fn read_together(&mut self, missing: &[SnapshotDate]) {
        if self.together.is_none() {
            let days = self.lake.recent_days(self.dataset.trends, self.id, recent_columns(self.dataset)).await;
            // It is a copy: the days are there by themselves.
            self.together = Some(days.unwrap_or_else(|error| {
                tracing::warn!(%error, "recent days cannot be read together: reading each");
                RecentDays::new()
            }));
        }
        let is_current =
            |date: SnapshotDate, day: &RecentDay| self.history.version_of_trends(self.id, date) == Some(&day.version);
        let days = self.together.iter().flatten();
        let current = days.filter(|(date, day)| missing.contains(date) && is_current(**date, day));
        self.recent.extend(current.map(|(date, day)| (*date, day.rows.clone())).collect::<Vec<_>>());
    }

    /// Writes the days before the last one together, for the next night. A store that does not take them costs that night some calls.
    pub(super) async fn write_together(&self, before: SnapshotDate) {
        let Some(stored) = self.together.as_ref().filter(|_| self.dates.last() == Some(&before)) else { return };
        // The list that says which object each day is was made before those that were computed now.
        if self.computed.iter().any(|date| *date != before) {
            return;
        }
        let day = |(date, rows): (&SnapshotDate, &RecordBatch)| {
            let version = self.history.version_of_trends(self.id, *date)?.clone();
            Some((*date, RecentDay { version, rows: rows.clone() }))
        };
        let days: RecentDays = self.recent.range(..before).filter_map(day).collect();
        let is_same = days.len() == stored.len()
            && days.iter().all(|(date, day)| stored.get(date).is_some_and(|stored| stored.version == day.version));
        if is_same || days.is_empty() {
            return;
        }
        let table = self.dataset.trends;
        if let Err(error) = self.lake.put_recent_days(table, self.id, recent_columns(self.dataset), days).await {
            tracing::warn!(%error, "recent days are not written together: the next run reads each");
        }
    }

    /// Whether a day has a table.
    fn retains(&self, table: Table, date: SnapshotDate) -> bool {
        let in_month = || self.history.has_month_of_status(self.dataset.status, self.id, date);
        // The last one stays, however old: the next day goes on from it. One that is there stays until it is dropped. One that is
        // in its month's file alone is written again, so that the month is made again from it.
        table != self.dataset.status
            || self.dates.last() == Some(&date)
            || self.statuses.contains(&date)
            || match self.is_writing {
                true => self.history.retains_status(date) || (self.is_changed && in_month()),
                false => !self.history.status_is_dropped(self.id, date),
            }
    }

    /// Whether the lake has these trends of a day. A file that is damaged is not them.
    ///
    /// # Errors
    /// A store that does not answer, or a file of a newer version, which must not be replaced.
    pub(super) async fn is_stored(&self, date: SnapshotDate, day: &DayTrends) -> anyhow::Result<bool> {
        for (table, rows) in self.tables(&day.trends) {
            match damage(self.lake.read(&self.partition(table, date), None).await)? {
                Some(Some(stored)) if is_same(table, &stored, rows) => {}
                _ => return Ok(false),
            }
        }
        let partition = self.partition(self.dataset.status, date);
        let stored = match &day.stored {
            StoredState::Unread => self.stored_state(&partition).await?,
            known => known.clone(),
        };
        let stored = match stored {
            StoredState::There(file) => file,
            StoredState::Absent => return Ok(!self.retains(self.dataset.status, date)),
            StoredState::Damaged | StoredState::Unread => return Ok(false),
        };
        let status = day.status.clone();
        let compared = stored.look_through(move |stored| status.is_in(&partition, stored)).await;
        Ok(damage(compared)?.unwrap_or_default())
    }

    async fn stored_state(&self, partition: &Partition) -> anyhow::Result<StoredState> {
        Ok(match damage(self.lake.file(partition).await)? {
            Some(Some(file)) => StoredState::There(file),
            Some(None) => StoredState::Absent,
            None => StoredState::Damaged,
        })
    }

    /// Commits the trends of a day, the state last: where it is, the others are. Gives the bytes written.
    pub(super) async fn commit(&mut self, date: SnapshotDate, day: &DayTrends) -> anyhow::Result<u64> {
        let mut bytes = 0;
        self.is_changed = true;
        let status = self.dataset.status;
        if !self.retains(status, date) && !self.history.status_is_noted(self.id, date) && self.noted_from <= Some(date)
        {
            // First, so that nobody takes it for lost, with whatever settings.
            let from = self.history.statuses_from().unwrap_or(date.next()).max(date.next());
            self.lake.note_retained_from(self.id, status, from).await?;
            self.noted_from = Some(from);
        }
        for (table, rows) in self.tables(&day.trends) {
            bytes += self.lake.commit(&self.partition(table, date), rows.clone()).await?.bytes;
        }
        if self.retains(status, date) {
            bytes += day.status.commit(&self.lake, &self.partition(status, date)).await?.bytes;
        }
        self.trends.insert(date);
        Ok(bytes)
    }

    /// Removes the trend tables of a day.
    pub(super) async fn remove_trends(&self, date: SnapshotDate) -> anyhow::Result<()> {
        let partitions = self.dataset.derived().map(|table| self.partition(table, date));
        Ok(self.lake.remove(&partitions).await?)
    }

    /// Those but the state.
    fn tables<'t>(&self, trends: &'t Trends) -> [(Table, &'t RecordBatch); 2] {
        let Dataset { changes, trends: rates, .. } = *self.dataset;
        [(changes, &trends.changes), (rates, &trends.trends)]
    }
}

fn present<T>(partition: &Partition, rows: Option<T>) -> anyhow::Result<T> {
    rows.with_context(|| format!("{} was there and is gone: is something else changing the lake?", partition.key()))
}

/// The columns of trend rows that later days look at.
fn only_recent(dataset: &Dataset, rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
    Ok(rows.rows(0..rows.num_rows(), Some(recent_columns(dataset)))?)
}

/// What trend rows say of their population's first day, the same in every row; nothing where they are of older versions.
pub(crate) fn population_since(rows: &RecordBatch) -> Option<SnapshotDate> {
    let days = rows["population_since"].as_primitive::<Date32Type>().iter().flatten().next()?;
    NaiveDate::default().checked_add_signed(TimeDelta::days(days.into())).map(SnapshotDate::from)
}

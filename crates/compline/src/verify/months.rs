//! Months, held against their days and the ledger.

use super::{Found, Part, Problem, Verifying};
use crate::ledger::Ledger;
use compline_model::{Dataset, SnapshotDate, Table};
use compline_sink::{Month, MonthDays, Partition, VerifiedMonth};
use std::collections::{BTreeMap, BTreeSet};

impl Verifying<'_> {
    /// Whether the months of a table are verified with the dataset: those of the ledger are with packs.
    fn is_of(&self, table: Table) -> bool {
        Dataset::of(table).unwrap_or(&Dataset::PACKS) == self.dataset
    }

    /// The days that only a month of facts has, and not as many rows of them as the ledger says. Of a day that was committed again since
    /// that says nothing.
    fn other_counts(
        &self,
        month: &Month,
        (rows, there): (&BTreeMap<SnapshotDate, usize>, &MonthDays),
        ledgers: &BTreeMap<SnapshotDate, Ledger>,
    ) -> Vec<Problem> {
        let other = |(date, rows): (&SnapshotDate, &usize)| {
            let ledger = ledgers.get(date)?;
            let committed = ledger.rows_in_month(month.table, there.get(date)?)?;
            let what = format!(
                "{} has {rows} rows of {date}, and the ledger says that {committed} were committed: restore an earlier version of it",
                month.key()
            );
            (self.span.has(*date) && *rows as u64 != committed).then(|| Problem::of(*date, what))
        };
        rows.iter().filter_map(other).collect()
    }

    /// What of the months is not what their days are, or what the ledger says of days whose own files were dropped.
    pub(super) async fn months(
        &self,
        ledgers: &BTreeMap<SnapshotDate, Ledger>,
        wrong_ledgers: &BTreeSet<SnapshotDate>,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let problems = &mut found.problems;
        let mut in_months: BTreeMap<Table, BTreeSet<SnapshotDate>> = BTreeMap::new();
        for month in
            self.inventory.months.keys().filter(|month| month.aggregator == *self.id && self.is_of(month.table))
        {
            let mut days = self.inventory.days_of(month);
            if month.table == Table::Runs {
                // A ledger that is wrong is told with its day.
                days.retain(|date| !wrong_ledgers.contains(date));
            }
            let committed = |date: &SnapshotDate| {
                let sha256 = ledgers.get(date)?.committed_sha256(month.table)?;
                Some((*date, sha256.clone()))
            };
            let committed = days.iter().filter_map(committed).collect();
            let (there, rows_of_others, damaged) = match self.lake.verify_month(month, &days, committed).await {
                Ok(VerifiedMonth { days, rows_of_others, damaged_days }) => {
                    // The others are told with their days.
                    let unseen = damaged_days.iter().filter(|(date, _)| !self.span.has(**date));
                    problems.extend(unseen.map(|(date, error)| Problem::of(*date, error.to_string())));
                    (days, rows_of_others, damaged_days)
                }
                Err(error) => {
                    problems.push(Problem::new(days.last().copied(), Part::Other, error.to_string()));
                    found.wrong_months.insert(month.clone());
                    // A day of it that differs says nothing of those that only it has; where its end cannot be read they are lost.
                    let there = self.lake.days_within(self.inventory, month).await?;
                    let mut rows = match there.keys().all(|date| days.contains(date)) {
                        true => BTreeMap::new(),
                        false => self.lake.rows_in_month(month).await?,
                    };
                    rows.retain(|date, _| !days.contains(date));
                    (there, rows, BTreeMap::new())
                }
            };
            problems.extend(self.other_counts(month, (&rows_of_others, &there), ledgers));
            in_months.entry(month.table).or_default().extend(there.keys());
            if month.table == self.dataset.facts {
                let has_ledger = |date: SnapshotDate| {
                    let own = Partition { table: Table::Runs, date, aggregator: self.id.clone() };
                    self.inventory.partitions.contains_key(&own)
                };
                // One that cannot be read says nothing, and is told with packs.
                let has_commit = |date: SnapshotDate| {
                    let is_read = |ledger: &&Ledger| self.dataset == &Dataset::PACKS || !ledger.is_empty();
                    ledgers.get(&date).filter(is_read).is_none_or(|ledger| ledger.last_commit().is_some())
                };
                // One that the documents of its runs tell of is told already.
                let lacks = |date: &&SnapshotDate| {
                    let is_told = found.wrong_ledgers.contains(*date);
                    self.span.has(**date) && !is_told && !(has_ledger(**date) && has_commit(**date))
                };
                let gone = there.keys().filter(lacks).map(|date| {
                    let what = match has_ledger(*date) {
                        false => "is not there: restore it",
                        true => "has no run that committed it: restore an earlier version of the object",
                    };
                    Problem::of(*date, format!("runs of {date}, which {} has, {what}", month.key()))
                });
                problems.extend(gone);
            }
            for (date, sha256) in there.iter().filter(|(date, _)| self.span.has(**date)) {
                let ledger = ledgers.get(date);
                if ledger.is_some_and(|ledger| ledger.has_no(month.table)) {
                    let key = month.key();
                    let what = format!(
                        "{key} has {date}, which is facts only; `compline verify FILE --repair` makes it again"
                    );
                    problems.push(Problem::of(*date, what));
                    found.wrong_months.insert(month.clone());
                    continue;
                }
                let committed = ledger.and_then(|ledger| ledger.committed_sha256(month.table));
                if committed.is_some_and(|committed| committed != sha256) {
                    found.wrong_months.insert(month.clone());
                    let how = match (days.contains(date), damaged.contains_key(date)) {
                        (true, false) => "`compline verify FILE --repair` makes it again",
                        (true, true) => "its own file is damaged: restore that, then `compline verify FILE --repair`",
                        (false, _) => "its own file is gone: restore that, then `compline maintain FILE --apply`",
                    };
                    let what =
                        format!("{} does not have {date} as the ledger says it was committed last; {how}", month.key());
                    problems.push(Problem::of(*date, what));
                }
            }
        }
        for date in &found.dropped {
            for table in self.dataset.snapshot() {
                if !in_months.get(&table).is_some_and(|days| days.contains(date)) {
                    let what = format!(
                        "{} of {date} was dropped, and its month's file does not have it: restore an earlier version of that",
                        table.name()
                    );
                    problems.push(Problem::of(*date, what));
                }
            }
        }
        Ok(())
    }
}

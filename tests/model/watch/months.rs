//! A month's file has the rows of its days, and the rows of the days that are dropped for ever.

use super::{Excuse, Watch, Wrong};
use crate::facts::facts_of;
use crate::lake::{Content, FACTS, Key, Row};
use std::collections::BTreeMap;

impl Watch<'_> {
    pub(super) fn months(&self) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        for (table, months) in &self.seen.months {
            for (key, content) in months {
                wrongs.extend(self.month(table, key, content));
            }
        }
        wrongs.extend(self.dropped());
        wrongs
    }

    fn month(&self, table: &'static str, key: &Key, content: &Content) -> Vec<Wrong> {
        let (id, month) = key;
        let name = format!("{table}_monthly of {id} in {month}");
        let rows = match &content.rows {
            Ok(rows) => rows,
            Err(error) => {
                let excuse = Self::excuse(self.model.damaged_months.contains_key(&(table, key.clone())));
                return vec![Wrong { what: format!("{name} cannot be read: {error}"), excuse }];
            }
        };
        let by_day = by_day(rows);
        let mut wrongs = Vec::new();
        for date in self.seen.dates(table, id).into_iter().filter(|date| date.starts_with(month.as_str())) {
            let day = self.seen.day(table, &(id.clone(), date.clone())).map(|content| &content.rows);
            let Some(Ok(day)) = day else { continue };
            let of_day = by_day.get(&date).cloned().unwrap_or_default();
            let what = format!("{name} is behind {date}");
            if of_day != day.iter().map(bare).collect::<Vec<_>>() {
                // A day that was run again leaves its month behind until `maintain` runs, and `verify` says so.
                wrongs.push(Wrong { what, excuse: Excuse::Known });
            } else if day.is_empty() {
                // Whether the file knows of a day without rows cannot be seen in its rows.
                wrongs.push(Wrong { what, excuse: Excuse::Allowed });
            }
        }
        if table == FACTS {
            let never = by_day.keys().map(|date| (id.clone(), date.clone()));
            let never = never.filter(|key| !self.model.may_have(key) && !self.model.dropped.contains_key(key));
            wrongs.extend(never.map(|(_, date)| Wrong::none(format!("{name} has {date}, which nobody committed"))));
        }
        wrongs
    }

    /// The days whose rows are in their month alone.
    fn dropped(&self) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        for ((id, date), dropped) in self.model.dropped.iter().filter(|(_, dropped)| dropped.is_in_month) {
            let month = (id.clone(), date[..7].to_owned());
            let content = self.seen.months.get(FACTS).and_then(|months| months.get(&month));
            let rows = content.and_then(|content| content.rows.as_ref().ok());
            let there: Vec<Row> = rows.map(|rows| by_day(rows).remove(date).unwrap_or_default()).unwrap_or_default();
            if facts_of(&there) != dropped.facts {
                wrongs.push(Wrong::none(format!(
                    "the rows of {id} on {date} are lost: its snapshot is dropped, and its month has {:?} in place of {:?}",
                    facts_of(&there),
                    dropped.facts
                )));
            }
        }
        wrongs
    }
}

/// A month's rows by their day, without the date.
fn by_day(rows: &[Row]) -> BTreeMap<String, Vec<Row>> {
    let mut by_day: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        let date = row.get("snapshot_date").cloned().unwrap_or_default();
        by_day.entry(date).or_default().push(bare(row));
    }
    by_day
}

/// A row without its date and without nulls: a file of an older version lacks the columns that are null in the month.
fn bare(row: &Row) -> Row {
    row.iter()
        .filter(|(name, value)| *name != "snapshot_date" && *value != "-")
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

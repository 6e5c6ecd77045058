//! The ledger has a line for every commit and none that is invented, and the last one says what is there.

use super::{Watch, Wrong};
use crate::lake::{Content, FACTS, Key, RUNS, Row, SOURCES};
use crate::model::Day;

impl Watch<'_> {
    pub(super) fn ledgers(&self) -> Vec<Wrong> {
        let days = self.model.days.iter().filter(|(key, _)| self.model.facts(key).is_some());
        days.flat_map(|(key, day)| self.ledger(key, day)).collect()
    }

    fn ledger(&self, key: &Key, day: &Day) -> Vec<Wrong> {
        let is_damaged = [FACTS, SOURCES, RUNS].iter().any(|table| self.is_damaged(table, key));
        let excuse = Self::excuse(is_damaged || self.model.pending.contains(&key.0));
        let wrong = |what: String| Wrong { what: format!("the ledger of {key:?} {what}"), excuse };
        let lines = match self.seen.day(RUNS, key).map(|content| &content.rows) {
            None => return vec![wrong("is not there".to_owned())],
            Some(Err(error)) => return vec![wrong(format!("cannot be read: {error}"))],
            Some(Ok(lines)) => lines,
        };
        let commits = commits(lines);
        let mut wrongs = Vec::new();
        for (table, column) in [(FACTS, "snapshot_sha256"), (SOURCES, "source_status_sha256")] {
            let last = commits.last().and_then(|line| text(line, column));
            let there: Option<&Content> = self.seen.day(table, key);
            if let (Some(last), Some(there)) = (last, there)
                && *last != there.sha256
            {
                wrongs.push(wrong(format!("says last that {table} is {last}, and it is {}", there.sha256)));
            }
        }
        if day.is_counted && commits.len() != day.commits {
            wrongs.push(wrong(format!("has {} commits, and there were {}", commits.len(), day.commits)));
        }
        let invented = |line: &&&Row| text(line, "snapshot_sha256").is_some_and(|sha256| !day.sha256.contains(sha256));
        if let Some(line) = commits.iter().find(invented).filter(|_| day.is_counted) {
            wrongs.push(wrong(format!("has a line of a file that was never there: {line:?}")));
        }
        wrongs
    }
}

/// The lines that committed a snapshot, in the order in which they did.
fn commits(lines: &[Row]) -> Vec<&Row> {
    let is_commit = |line: &&Row| {
        let outcome = text(line, "outcome").map_or("", String::as_str);
        // A line of a day that was dropped says what was there, and of one that is held what is aside: they commit nothing.
        outcome == "succeeded"
            || (outcome == "failed"
                && (text(line, "snapshot_sha256").is_some() || text(line, "rows").is_some_and(|rows| rows != "0")))
    };
    let mut commits: Vec<&Row> = lines.iter().filter(is_commit).collect();
    // Lines of before the column came have none, and are older. Where nobody has one the order is that of the lines.
    commits.sort_by_key(|line| text(line, "commit_number").and_then(|number| number.parse::<i64>().ok()));
    commits
}

fn text<'a>(line: &'a Row, column: &str) -> Option<&'a String> {
    line.get(column).filter(|value| *value != "-")
}

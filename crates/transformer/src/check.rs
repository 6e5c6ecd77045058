//! The shards of an aggregator's day to one snapshot: sorted, each pack once, contradictions named.

mod columns;
mod contradiction;

use crate::flatten::{Counts, Texts};
use crate::{Findings, SNAPSHOT_COLUMNS, ShardRows, TransformError};
use arrow::array::{AsArray, RecordBatch};
use std::collections::HashMap;

/// One aggregator's day, as it may be committed: sorted by key, no key twice.
#[derive(Debug, Clone)]
pub struct CheckedSnapshot {
    rows: RecordBatch,
    findings: Findings,
}

impl CheckedSnapshot {
    /// The rows of `pack_compliance`.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The columns that trends are computed from. The others, half of the day, are let go.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn into_trend_rows(self) -> Result<RecordBatch, TransformError> {
        let schema = self.rows.schema();
        let columns = SNAPSHOT_COLUMNS.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>();
        columns.and_then(|columns| self.rows.project(&columns)).map_err(TransformError::arrow("prepare the trends"))
    }

    /// What was found.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}

/// Makes one snapshot of the shards' rows, in the order of the plan.
///
/// A pack that was answered twice is kept once: an equal answer is dropped and counted; of answers that differ the one
/// that arrived later is kept, and the pack is named.
///
/// # Errors
/// None that an input can cause, short of 2^32 rows.
pub fn check(shards: Vec<ShardRows>) -> Result<CheckedSnapshot, TransformError> {
    let mut findings = Findings::default();
    let keys = Keys::of(&shards);
    let kept = once_each(&shards, &keys, &mut findings);
    let rows =
        columns::columns(&shards, &keys, &kept).map_err(TransformError::arrow("make the rows of pack_compliance"))?;
    Ok(found(rows, findings))
}

/// A snapshot that was checked before, and whose rows are as they were then.
pub fn checked_before(rows: RecordBatch) -> CheckedSnapshot {
    found(rows, Findings::default())
}

fn found(rows: RecordBatch, mut findings: Findings) -> CheckedSnapshot {
    contradiction::find(&rows, &mut findings.warnings);
    CheckedSnapshot { rows, findings }
}

/// Where a row is: its shard, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    shard: u32,
    row: u32,
}

/// A row's key, each text by where it comes in the order of all texts of its column, and its place in the order of the plan.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Keyed {
    key: [u32; 3],
    place: Place,
}

/// The places of the rows to keep, in the order of the keys.
fn once_each(shards: &[ShardRows], keys: &Keys<'_>, findings: &mut Findings) -> Vec<Place> {
    let ranks = [&keys.accounts, &keys.regions, &keys.names];
    let mut rows = Vec::with_capacity(shards.iter().map(|shard| shard.rows.len()).sum());
    for (number, shard) in (0..).zip(shards) {
        let [accounts, regions, names] = ranks.map(|ranks| &ranks.of_shards[number as usize]);
        rows.extend((0..).zip(&shard.rows).map(|(row, of)| Keyed {
            key: [accounts[of.account as usize], regions[of.region as usize], names[of.name as usize]],
            place: Place { shard: number, row },
        }));
    }
    // Shards come sorted or nearly so, and this sort goes by such runs.
    rows.sort();
    let mut kept: Vec<Place> = Vec::with_capacity(rows.len());
    let mut last = None;
    for Keyed { key, place } in rows {
        match kept.last_mut() {
            Some(before) if last == Some(key) => *before = later(shards, *before, place, findings),
            _ => kept.push(place),
        }
        last = Some(key);
    }
    kept
}

/// The texts of the columns that a row is known by.
struct Keys<'a> {
    accounts: Ranks<'a>,
    regions: Ranks<'a>,
    names: Ranks<'a>,
}

impl<'a> Keys<'a> {
    fn of(shards: &'a [ShardRows]) -> Self {
        Self {
            accounts: Ranks::of(shards, |shard| &shard.accounts),
            regions: Ranks::of(shards, |shard| &shard.regions),
            names: Ranks::of(shards, |shard| &shard.names),
        }
    }
}

/// Where each text of a column comes in the order of all of them.
struct Ranks<'a> {
    /// The texts, in order.
    texts: Vec<&'a str>,
    /// Of each shard the places of its texts, by their numbers.
    of_shards: Vec<Vec<u32>>,
}

impl<'a> Ranks<'a> {
    fn of(shards: &'a [ShardRows], texts: impl Fn(&'a ShardRows) -> &'a Texts) -> Self {
        let mut all: Vec<&str> = shards.iter().flat_map(|shard| texts(shard).all()).collect();
        all.sort_unstable();
        all.dedup();
        let ranks: HashMap<&str, u32> = all.iter().copied().zip(0..).collect();
        let of_shards = shards.iter().map(|shard| texts(shard).all().map(|text| ranks[text]).collect());
        Self { of_shards: of_shards.collect(), texts: all }
    }
}

/// What AWS Config said of a pack.
#[derive(PartialEq)]
struct Answer<'a> {
    compliance_type: Option<&'a str>,
    counts: Counts,
}

impl<'a> Answer<'a> {
    fn at(shards: &'a [ShardRows], place: Place) -> Self {
        let shard = &shards[place.shard as usize];
        let row = &shard.rows[place.row as usize];
        Self { compliance_type: row.compliance_type().map(|number| shard.types.get(number)), counts: row.counts() }
    }

    fn words(&self) -> String {
        let kind = self.compliance_type.unwrap_or("no type").escape_debug();
        let Counts { compliant, non_compliant, total } = self.counts;
        let [compliant, non_compliant, total] = [compliant, non_compliant, total]
            .map(|count| count.map_or_else(|| "?".to_owned(), |count| count.to_string()));
        format!("{kind} ({compliant} compliant, {non_compliant} non-compliant, {total} rules)")
    }
}

/// Which of two answers for one pack is kept: the later one, and of two at once the one later in the plan.
fn later(shards: &[ShardRows], before: Place, place: Place, findings: &mut Findings) -> Place {
    let (a, b) = (Answer::at(shards, before), Answer::at(shards, place));
    let collected_at = |place: Place| shards[place.shard as usize].page(place.row as usize).collected_at;
    let b_is_later = collected_at(place) >= collected_at(before);
    if a == b {
        findings.duplicates += 1;
    } else {
        let (kept, dropped) = if b_is_later { (&b, &a) } else { (&a, &b) };
        findings.conflicts.add(|| {
            let shard = &shards[place.shard as usize];
            let row = &shard.rows[place.row as usize];
            let [account, region, name] =
                [shard.accounts.get(row.account), shard.regions.get(row.region), shard.names.get(row.name)]
                    .map(str::escape_debug);
            format!("{account} {region} {name}: retained {}, dropped {}", kept.words(), dropped.words())
        });
    }
    if b_is_later { place } else { before }
}

/// The pack of a row, as it is named to people.
fn pack_name(batch: &RecordBatch, row: usize) -> String {
    let text = |name: &str| batch[name].as_string_view().value(row).escape_debug().to_string();
    format!("{} {} {}", text("account_id"), text("aws_region"), text("conformance_pack_name"))
}

#[cfg(test)]
mod tests;

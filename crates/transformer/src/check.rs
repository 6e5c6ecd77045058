//! The shards of an aggregator's day to one snapshot: sorted, each pack once, contradictions named.

mod columns;
mod contradiction;

use crate::flatten::{Counts, Row, Texts};
use crate::{Findings, SNAPSHOT_COLUMNS, ShardRows, TransformError};
use arrow::array::{RecordBatch, StringViewArray};
use compline_model::Table;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// One aggregator's day, as it may be committed: sorted by key, no key twice. Its rows stay as small as they came, and become columns
/// where they are asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CheckedSnapshot {
    rows: Rows,
    findings: Findings,
}

#[derive(Debug, Clone)]
enum Rows {
    /// Of the shards.
    Kept(Arc<Kept>),
    /// As they were read from a file.
    Stored(RecordBatch),
}

impl CheckedSnapshot {
    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        match &self.rows {
            Rows::Kept(kept) => kept.places.len(),
            Rows::Stored(rows) => rows.num_rows(),
        }
    }

    /// Some of the rows, all columns of `pack_compliance`.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn batch(&self, rows: Range<usize>) -> Result<RecordBatch, TransformError> {
        self.batch_of(rows, None)
    }

    /// All rows, the named columns in the order of the table.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn columns(&self, names: &[&str]) -> Result<RecordBatch, TransformError> {
        self.batch_of(0..self.row_count(), Some(names))
    }

    /// The columns that trends are computed from. The rest is let go.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn into_trend_rows(self) -> Result<RecordBatch, TransformError> {
        self.columns(SNAPSHOT_COLUMNS)
    }

    fn batch_of(&self, rows: Range<usize>, names: Option<&[&str]>) -> Result<RecordBatch, TransformError> {
        let schema = Table::PackCompliance.schema();
        let is_wanted = |name: &str| names.is_none_or(|names| names.contains(&name));
        let wanted: Vec<usize> = (0..schema.fields().len()).filter(|at| is_wanted(schema.field(*at).name())).collect();
        let batch = match &self.rows {
            Rows::Kept(kept) => schema.project(&wanted).and_then(|schema| kept.columns(rows, Arc::new(schema))),
            Rows::Stored(stored) => stored.slice(rows.start, rows.len()).project(&wanted),
        };
        batch.map_err(TransformError::arrow("make the rows of pack_compliance"))
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
pub fn check(shards: Vec<ShardRows>) -> CheckedSnapshot {
    let mut findings = Findings::default();
    let [accounts, regions, names, types] = [
        Ranks::of(&shards, |shard| &shard.accounts),
        Ranks::of(&shards, |shard| &shard.regions),
        Ranks::of(&shards, |shard| &shard.names),
        Ranks::of(&shards, |shard| &shard.types),
    ];
    let places = once_each(&shards, [&accounts, &regions, &names], &mut findings);
    let kept = Kept { shards, accounts, regions, names, types, places };
    contradiction::find(kept.answers(), &mut findings.warnings);
    CheckedSnapshot { rows: Rows::Kept(Arc::new(kept)), findings }
}

/// A snapshot that was checked before, and whose rows are as they were then.
pub fn checked_before(rows: RecordBatch) -> CheckedSnapshot {
    let mut findings = Findings::default();
    contradiction::find(contradiction::answers(&rows), &mut findings.warnings);
    CheckedSnapshot { rows: Rows::Stored(rows), findings }
}

/// The rows of the shards that are kept, in the order of the keys.
#[derive(Debug)]
struct Kept {
    shards: Vec<ShardRows>,
    accounts: Ranks,
    regions: Ranks,
    names: Ranks,
    types: Ranks,
    places: Vec<Place>,
}

impl Kept {
    fn shard(&self, place: Place) -> &ShardRows {
        &self.shards[place.shard as usize]
    }

    fn row(&self, place: Place) -> &Row {
        &self.shard(place).rows[place.row as usize]
    }

    /// What AWS Config said of each row.
    fn answers(&self) -> impl Iterator<Item = (Answer<'_>, impl FnOnce() -> String)> {
        self.places
            .iter()
            .map(|place| (Answer::at(&self.shards, *place), || pack_name(self.shard(*place), self.row(*place))))
    }
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
fn once_each(shards: &[ShardRows], ranks: [&Ranks; 3], findings: &mut Findings) -> Vec<Place> {
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

/// Where each text of a column comes in the order of all of them.
#[derive(Debug)]
struct Ranks {
    /// The texts, in order.
    texts: StringViewArray,
    /// Of each shard the places of its texts, by their numbers.
    of_shards: Vec<Vec<u32>>,
}

impl Ranks {
    fn of(shards: &[ShardRows], texts: impl Fn(&ShardRows) -> &Texts) -> Self {
        let mut all: Vec<&str> = shards.iter().flat_map(|shard| texts(shard).all()).collect();
        all.sort_unstable();
        all.dedup();
        let ranks: HashMap<&str, u32> = all.iter().copied().zip(0..).collect();
        let of_shards = shards.iter().map(|shard| texts(shard).all().map(|text| ranks[text]).collect());
        Self { of_shards: of_shards.collect(), texts: StringViewArray::from_iter_values(&all) }
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
            let name = pack_name(shard, &shard.rows[place.row as usize]);
            format!("{name}: retained {}, dropped {}", kept.words(), dropped.words())
        });
    }
    if b_is_later { place } else { before }
}

/// The pack of a row, as it is named to people.
fn pack_name(shard: &ShardRows, row: &Row) -> String {
    let [account, region, name] =
        [shard.accounts.get(row.account), shard.regions.get(row.region), shard.names.get(row.name)]
            .map(str::escape_debug);
    format!("{account} {region} {name}")
}

#[cfg(test)]
mod tests;

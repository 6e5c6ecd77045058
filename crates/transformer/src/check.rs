//! The shards of an aggregator's day to one snapshot: sorted, each pack once, contradictions named.

mod columns;
mod contradiction;

use crate::flatten::{Counts, Row, Texts};
use crate::{Findings, ShardRows, SourceIndex, TransformError};
use arrow::array::{RecordBatch, StringViewArray};
use compline_model::{Table, pack_group};
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

    /// Some of the rows, the named columns in the order of the table.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn columns(&self, rows: Range<usize>, names: &[&str]) -> Result<RecordBatch, TransformError> {
        self.batch_of(rows, Some(names))
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

/// Makes one snapshot of the shards' rows, in the order of the plan. All are of one flattener.
///
/// A pack that was answered twice is kept once: an equal answer is dropped and counted; of answers that differ the one
/// that arrived later is kept, and the pack is named.
pub fn check(shards: Vec<ShardRows>) -> CheckedSnapshot {
    debug_assert!(shards.iter().all(|shard| shard.is_beside(&shards[0])), "shards of two days");
    let mut findings = Findings::default();
    let (sources, names) = shards.first().map(ShardRows::take_names).unwrap_or_default();
    let [accounts, regions, packs, types] =
        [names.accounts, names.regions, names.packs, names.types].map(|texts| Ranked::of(&texts));
    let groups = packs.texts.iter().map(|name| name.map(pack_group)).collect();
    let mut kept = Kept { shards, sources, accounts, regions, packs, groups, types, places: Vec::new() };
    kept.places = kept.once_each(&mut findings);
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
    sources: Arc<SourceIndex>,
    accounts: Ranked,
    regions: Ranked,
    packs: Ranked,
    /// The group of each pack, in the order of their names.
    groups: StringViewArray,
    types: Ranked,
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
        self.places.iter().map(|place| (self.answer(*place), || self.pack_name(*place)))
    }

    fn answer(&self, place: Place) -> Answer<'_> {
        let row = self.row(place);
        Answer { compliance_type: row.compliance_type().map(|number| self.types.get(number)), counts: row.counts() }
    }

    /// The pack of a row, as it is named to people.
    fn pack_name(&self, place: Place) -> String {
        let row = self.row(place);
        let [account, region, name] =
            [self.accounts.get(row.account), self.regions.get(row.region), self.packs.get(row.name)]
                .map(str::escape_debug);
        format!("{account} {region} {name}")
    }

    /// The places of the rows to keep, in the order of the keys.
    fn once_each(&self, findings: &mut Findings) -> Vec<Place> {
        let mut rows = Vec::with_capacity(self.shards.iter().map(|shard| shard.rows.len()).sum());
        for (number, shard) in (0..).zip(&self.shards) {
            rows.extend((0..).zip(&shard.rows).map(|(row, of)| Keyed {
                key: [self.accounts.rank(of.account), self.regions.rank(of.region), self.packs.rank(of.name)],
                place: Place { shard: number, row },
            }));
        }
        // Shards come sorted or nearly so, and this sort goes by such runs.
        rows.sort();
        let mut kept: Vec<Place> = Vec::with_capacity(rows.len());
        let mut last = None;
        for Keyed { key, place } in rows {
            match kept.last_mut() {
                Some(before) if last == Some(key) => *before = self.later(*before, place, findings),
                _ => kept.push(place),
            }
            last = Some(key);
        }
        kept
    }

    /// Which of two answers for one pack is kept: the later one, and of two at once the one later in the plan.
    fn later(&self, before: Place, place: Place, findings: &mut Findings) -> Place {
        let (a, b) = (self.answer(before), self.answer(place));
        let collected_at = |place: Place| self.shard(place).page(place.row as usize).collected_at;
        let b_is_later = collected_at(place) >= collected_at(before);
        if a == b {
            findings.duplicates += 1;
        } else {
            let (kept, dropped) = if b_is_later { (&b, &a) } else { (&a, &b) };
            findings
                .conflicts
                .add(|| format!("{}: retained {}, dropped {}", self.pack_name(place), kept.words(), dropped.words()));
        }
        if b_is_later { place } else { before }
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

/// The texts of a column in order, and where each comes in it, by its number.
#[derive(Debug)]
struct Ranked {
    texts: StringViewArray,
    ranks: Vec<u32>,
}

impl Ranked {
    fn of(texts: &Texts) -> Self {
        let mut in_order: Vec<(&str, usize)> = texts.all().zip(0..).collect();
        in_order.sort_unstable();
        let mut ranks = vec![0; in_order.len()];
        for (rank, (_, number)) in (0..).zip(&in_order) {
            ranks[*number] = rank;
        }
        Self { texts: StringViewArray::from_iter_values(in_order.iter().map(|(text, _)| text)), ranks }
    }

    fn rank(&self, number: u32) -> u32 {
        self.ranks[number as usize]
    }

    /// The text of a number.
    fn get(&self, number: u32) -> &str {
        self.texts.value(self.rank(number) as usize)
    }
}

/// What AWS Config said of a pack.
#[derive(PartialEq)]
struct Answer<'a> {
    compliance_type: Option<&'a str>,
    counts: Counts,
}

impl Answer<'_> {
    fn words(&self) -> String {
        let kind = self.compliance_type.unwrap_or("no type").escape_debug();
        let Counts { compliant, non_compliant, total } = self.counts;
        let [compliant, non_compliant, total] = [compliant, non_compliant, total]
            .map(|count| count.map_or_else(|| "?".to_owned(), |count| count.to_string()));
        format!("{kind} ({compliant} compliant, {non_compliant} non-compliant, {total} rules)")
    }
}

#[cfg(test)]
mod tests;

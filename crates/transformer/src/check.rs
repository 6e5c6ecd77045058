//! The shards of an aggregator's day to one snapshot: sorted, each pack or rule once, contradictions named.

mod columns;
mod contradiction;

use crate::flatten::{Contributors, Counts, Row, Texts};
use crate::{Findings, ShardRows, SourceIndex, TransformError};
use arrow::array::{Array, RecordBatch, StringViewArray};
use compline_model::{Dataset, RowError, RowSource, RuleName, named_columns, pack_group, row_parts};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// One aggregator's day, as it may be committed: sorted by key, no key twice. Its rows stay as small as they came, and become columns
/// where they are asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CheckedSnapshot {
    dataset: &'static Dataset,
    rows: Rows,
    findings: Findings,
}

#[derive(Debug, Clone)]
enum Rows {
    /// Of the shards.
    Kept(Arc<Kept>),
    /// As they are stored.
    Stored(Arc<dyn RowSource>),
}

impl CheckedSnapshot {
    /// What was found.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}

impl RowSource for CheckedSnapshot {
    fn row_count(&self) -> usize {
        match &self.rows {
            Rows::Kept(kept) => kept.places.len(),
            Rows::Stored(stored) => stored.row_count(),
        }
    }

    fn rows(&self, range: Range<usize>, columns: Option<&[&str]>) -> Result<RecordBatch, RowError> {
        let kept = match &self.rows {
            Rows::Kept(kept) => kept,
            Rows::Stored(stored) => return stored.rows(range, columns),
        };
        let schema = self.dataset.facts.schema();
        let wanted = named_columns(&schema, columns);
        let batch = schema.project(&wanted).and_then(|schema| kept.columns(range, Arc::new(schema)));
        batch.map_err(TransformError::arrow("make the rows of a snapshot")).map_err(RowError::new)
    }
}

/// Makes one snapshot of the shards' rows, in the order of the plan, each marked with the status of its source. All are of one flattener,
/// of the dataset.
///
/// A pack or rule that was answered twice is kept once: an equal answer is dropped and counted; of answers that differ the one
/// that arrived later is kept, and it is named.
pub fn check(dataset: &'static Dataset, shards: Vec<ShardRows>, sources: SourceIndex) -> CheckedSnapshot {
    debug_assert!(shards.iter().all(|shard| shard.dataset() == dataset), "shards of another dataset");
    debug_assert!(shards.iter().all(|shard| shard.is_beside(&shards[0])), "shards of two days");
    let mut findings = Findings::default();
    let names = shards.first().map(ShardRows::take_names).unwrap_or_default();
    let [accounts, regions, names, pack_ids, types] =
        [names.accounts, names.regions, names.names, names.pack_ids, names.types].map(|texts| Ranked::of(&texts));
    let groups = groups(dataset, &names.texts);
    let places = Vec::new();
    let mut kept = Kept { dataset, shards, sources, accounts, regions, names, groups, pack_ids, types, places };
    kept.places = kept.once_each(&mut findings);
    contradiction::find(kept.answers(), &mut findings.warnings);
    CheckedSnapshot { dataset, rows: Rows::Kept(Arc::new(kept)), findings }
}

/// A snapshot of a dataset that was checked before, and whose rows are as they were then.
///
/// # Errors
/// Rows that cannot be had.
pub fn checked_before(dataset: &'static Dataset, stored: Arc<dyn RowSource>) -> Result<CheckedSnapshot, RowError> {
    let mut findings = Findings::default();
    for rows in row_parts(&*stored, None) {
        contradiction::find(contradiction::answers(dataset, &rows?), &mut findings.warnings);
    }
    Ok(CheckedSnapshot { dataset, rows: Rows::Stored(stored), findings })
}

/// The group of each name, in their order; and once more where the name has the id of a pack behind it.
fn groups(dataset: &Dataset, names: &StringViewArray) -> StringViewArray {
    if dataset == &Dataset::PACKS {
        return names.iter().map(|name| name.map(pack_group)).collect();
    }
    let alone = names.iter().map(|name| name.map(|name| Cow::Borrowed(RuleName::of(name).group)));
    let with_id = names.iter().map(|name| {
        // Any id does.
        name.map(|name| Cow::Owned(RuleName::of(&format!("{name}{}", "0".repeat(9))).group.to_owned()))
    });
    alone.chain(with_id).collect()
}

/// The rows of the shards that are kept, in the order of the keys.
#[derive(Debug)]
struct Kept {
    dataset: &'static Dataset,
    shards: Vec<ShardRows>,
    sources: SourceIndex,
    accounts: Ranked,
    regions: Ranked,
    /// Names of packs, or of rules without the id of a pack at their end.
    names: Ranked,
    /// The group of each, in the order of their names; of rules followed by those of the same names before the id of a pack.
    groups: StringViewArray,
    pack_ids: Ranked,
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
        self.places.iter().map(|place| (self.answer(*place), || self.shown(*place)))
    }

    fn answer(&self, place: Place) -> Answer<'_> {
        let row = self.row(place);
        let said = match self.dataset == &Dataset::PACKS {
            true => Said::Pack(row.counts()),
            false => Said::Rule(row.contributors()),
        };
        Answer { compliance_type: row.compliance_type().map(|number| self.types.get(number)), said }
    }

    /// The name of a row: what it has of its own, and the id of a pack behind it.
    fn name(&self, row: &Row) -> [&str; 2] {
        [self.names.get(row.name), row.pack_id().map_or("", |id| self.pack_ids.get(id))]
    }

    /// The pack or rule of a row, as it is named to people.
    fn shown(&self, place: Place) -> String {
        let row = self.row(place);
        let name = self.name(row).concat();
        let [account, region, name] =
            [self.accounts.get(row.account), self.regions.get(row.region), &name].map(str::escape_debug);
        format!("{account} {region} {name}")
    }

    /// Where the key of a row comes in the order of all.
    fn key(&self, row: &Row) -> [u32; 4] {
        let id = row.pack_id().map_or(0, |id| self.pack_ids.rank(id).saturating_add(1));
        [self.accounts.rank(row.account), self.regions.rank(row.region), self.names.rank(row.name), id]
    }

    /// Whether names come in the order of what they have of their own, and then in that of the ids behind it. They do unless one that has
    /// an id behind it is the beginning of another, which then comes between its ids.
    fn is_ordered_by_parts(&self, rows: &[Keyed]) -> bool {
        let texts = &self.names.texts;
        let begins_next =
            (0..texts.len()).map(|at| at + 1 < texts.len() && texts.value(at + 1).starts_with(texts.value(at)));
        let begins_next: Vec<bool> = begins_next.collect();
        !rows.iter().any(|Keyed { key: [_, _, name, id], .. }| *id > 0 && begins_next[*name as usize])
    }

    /// The order of two rows by their keys as texts.
    fn by_text(&self, a: &Keyed, b: &Keyed) -> Ordering {
        let places = a.key[..2].cmp(&b.key[..2]);
        let names = || {
            let [a, b] = [a, b].map(|keyed| self.name(self.row(keyed.place)).map(str::bytes).into_iter().flatten());
            a.cmp(b)
        };
        places.then_with(names).then(a.place.cmp(&b.place))
    }

    /// The places of the rows to keep, in the order of the keys.
    fn once_each(&self, findings: &mut Findings) -> Vec<Place> {
        let mut rows = Vec::with_capacity(self.shards.iter().map(|shard| shard.rows.len()).sum());
        for (number, shard) in (0..).zip(&self.shards) {
            rows.extend(
                (0..)
                    .zip(&shard.rows)
                    .map(|(row, of)| Keyed { key: self.key(of), place: Place { shard: number, row } }),
            );
        }
        // Shards come sorted or nearly so, and this sort goes by such runs.
        match self.is_ordered_by_parts(&rows) {
            true => rows.sort(),
            false => rows.sort_by(|a, b| self.by_text(a, b)),
        }
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

    /// Which of two answers for one pack or rule is kept: the later one, and of two at once the one later in the plan.
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
                .add(|| format!("{}: retained {}, dropped {}", self.shown(place), kept.words(), dropped.words()));
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
    key: [u32; 4],
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

/// What AWS Config said of a pack or rule.
#[derive(PartialEq)]
struct Answer<'a> {
    compliance_type: Option<&'a str>,
    said: Said,
}

/// What it said beside the type.
#[derive(PartialEq)]
enum Said {
    Pack(Counts),
    Rule(Contributors),
}

impl Answer<'_> {
    fn words(&self) -> String {
        let kind = self.compliance_type.unwrap_or("no type").escape_debug();
        let number = |count: Option<i32>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        match self.said {
            Said::Pack(Counts { compliant, non_compliant, total }) => {
                let [compliant, non_compliant, total] = [compliant, non_compliant, total].map(number);
                format!("{kind} ({compliant} compliant, {non_compliant} non-compliant, {total} rules)")
            }
            Said::Rule(Contributors { count, is_capped }) => {
                let more = if is_capped == Some(true) { " or more" } else { "" };
                format!("{kind} ({}{more} contributors)", number(count))
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The shards of an aggregator's day to one snapshot: sorted, each pack once, contradictions named.

mod contradiction;

use crate::{Findings, SNAPSHOT_COLUMNS, TransformError};
use arrow::array::{Array, AsArray, Int32Array, RecordBatch, StringViewArray, TimestampMillisecondArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int32Type, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use compline_model::Table;

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
pub fn check(shards: Vec<RecordBatch>) -> Result<CheckedSnapshot, TransformError> {
    let mut findings = Findings::default();
    let rows = sorted(&shards, &mut findings).map_err(TransformError::arrow("check the rows of pack_compliance"))?;
    contradiction::find(&rows, &mut findings.warnings);
    Ok(CheckedSnapshot { rows, findings })
}

/// The rows to keep, by key. Of the day there are the shards and this, and no third copy.
fn sorted(shards: &[RecordBatch], findings: &mut Findings) -> Result<RecordBatch, ArrowError> {
    if shards.is_empty() {
        return Ok(RecordBatch::new_empty(Table::PackCompliance.schema()));
    }
    let answers = Answers::of(shards);
    let kept = once_each(&answers, &key_rows(shards)?, findings);
    let places: Vec<(usize, usize)> = kept.into_iter().map(|position| answers.place(position)).collect();
    interleave_record_batch(&shards.iter().collect::<Vec<_>>(), &places)
}

/// The sort keys of all shards' rows, in a form that compares as bytes.
fn key_rows(shards: &[RecordBatch]) -> Result<Rows, ArrowError> {
    let (schema, key) = (Table::PackCompliance.schema(), Table::PackCompliance.sort_key());
    let fields = key.iter().map(|name| Ok(SortField::new(schema.field_with_name(name)?.data_type().clone())));
    let converter = RowConverter::new(fields.collect::<Result<_, ArrowError>>()?)?;
    let mut keys = converter.empty_rows(0, 0);
    for shard in shards {
        let columns: Vec<_> = key.iter().filter_map(|name| shard.column_by_name(name).cloned()).collect();
        converter.append(&mut keys, &columns)?;
    }
    Ok(keys)
}

/// The positions to keep, in the order of the keys.
fn once_each(answers: &Answers<'_>, keys: &Rows, findings: &mut Findings) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(keys.num_rows()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)).then(a.cmp(b)));
    let mut kept: Vec<u32> = Vec::with_capacity(order.len());
    for position in order {
        match kept.last_mut() {
            Some(before) if keys.row(*before as usize) == keys.row(position as usize) => {
                *before = answers.later(*before, position, findings);
            }
            _ => kept.push(position),
        }
    }
    kept
}

/// The rows of all shards, by their position in the order of the plan.
struct Answers<'a> {
    shards: Vec<Columns<'a>>,
    /// The position of each shard's first row.
    starts: Vec<u32>,
}

/// The columns that say whether two answers for a pack are the same, and which came later.
struct Columns<'a> {
    all: &'a RecordBatch,
    compliance_type: &'a StringViewArray,
    counts: [&'a Int32Array; 3],
    collected_at: &'a TimestampMillisecondArray,
}

impl<'a> Answers<'a> {
    fn of(shards: &'a [RecordBatch]) -> Self {
        let rows = |shard: &RecordBatch| u32::try_from(shard.num_rows()).unwrap_or(u32::MAX);
        let starts = shards.iter().scan(0_u32, |next, shard| {
            let start = *next;
            *next = next.saturating_add(rows(shard));
            Some(start)
        });
        Self { starts: starts.collect(), shards: shards.iter().map(Columns::of).collect() }
    }

    /// The shard of a position, and the row there.
    fn place(&self, position: u32) -> (usize, usize) {
        let shard = self.starts.partition_point(|start| *start <= position) - 1;
        (shard, (position - self.starts[shard]) as usize)
    }

    fn answer(&self, position: u32) -> Answer<'_> {
        let (shard, row) = self.place(position);
        let Columns { all, compliance_type, counts, collected_at } = &self.shards[shard];
        Answer {
            all,
            row,
            compliance_type: compliance_type.is_valid(row).then(|| compliance_type.value(row)),
            counts: counts.map(|counts| counts.is_valid(row).then(|| counts.value(row))),
            collected_at: collected_at.is_valid(row).then(|| collected_at.value(row)),
        }
    }

    /// Which of two answers for one pack is kept: the later one, and of two at once the one later in the plan.
    fn later(&self, before: u32, position: u32, findings: &mut Findings) -> u32 {
        let (a, b) = (self.answer(before), self.answer(position));
        let b_is_later = b.collected_at >= a.collected_at;
        if (a.compliance_type, a.counts) == (b.compliance_type, b.counts) {
            findings.duplicates += 1;
        } else {
            let (kept, dropped) = if b_is_later { (&b, &a) } else { (&a, &b) };
            findings.conflicts.add(|| {
                format!("{}: retained {}, dropped {}", pack_name(kept.all, kept.row), kept.words(), dropped.words())
            });
        }
        if b_is_later { position } else { before }
    }
}

impl<'a> Columns<'a> {
    fn of(all: &'a RecordBatch) -> Self {
        Self {
            all,
            compliance_type: all["compliance_type"].as_string_view(),
            counts: ["compliant_rule_count", "non_compliant_rule_count", "total_rule_count"]
                .map(|name| all[name].as_primitive::<Int32Type>()),
            collected_at: all["collected_at"].as_primitive::<TimestampMillisecondType>(),
        }
    }
}

/// What AWS Config said of a pack.
struct Answer<'a> {
    all: &'a RecordBatch,
    row: usize,
    compliance_type: Option<&'a str>,
    counts: [Option<i32>; 3],
    collected_at: Option<i64>,
}

impl Answer<'_> {
    fn words(&self) -> String {
        let kind = self.compliance_type.unwrap_or("no type").escape_debug();
        let [compliant, non_compliant, total] =
            self.counts.map(|count| count.map_or_else(|| "?".to_owned(), |count| count.to_string()));
        format!("{kind} ({compliant} compliant, {non_compliant} non-compliant, {total} rules)")
    }
}

/// The pack of a row, as it is named to people.
fn pack_name(batch: &RecordBatch, row: usize) -> String {
    let text = |name: &str| batch[name].as_string_view().value(row).escape_debug().to_string();
    format!("{} {} {}", text("account_id"), text("aws_region"), text("conformance_pack_name"))
}

#[cfg(test)]
mod tests;

//! The shards of an aggregator's day to one snapshot: sorted, each pack once, contradictions named.

mod contradiction;

use crate::{Findings, TransformError};
use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Int32Type, TimestampMillisecondType};
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
    let doing = "check the rows of pack_compliance";
    let all = concat_batches(&Table::PackCompliance.schema(), &shards).map_err(TransformError::arrow(doing))?;
    // Each step is a copy of the day: the one before goes as soon as it can.
    drop(shards);
    let keys = key_rows(&all).map_err(TransformError::arrow(doing))?;
    let mut findings = Findings::default();
    let kept = once_each(&all, &keys, &mut findings);
    drop(keys);
    let rows = take_record_batch(&all, &UInt32Array::from(kept)).map_err(TransformError::arrow(doing))?;
    contradiction::find(&rows, &mut findings.warnings);
    Ok(CheckedSnapshot { rows, findings })
}

/// The sort keys in a form that compares as bytes.
fn key_rows(batch: &RecordBatch) -> Result<Rows, arrow::error::ArrowError> {
    let columns: Vec<_> =
        Table::PackCompliance.sort_key().iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    RowConverter::new(fields)?.convert_columns(&columns)
}

/// The positions to keep, in the order of the keys.
fn once_each(all: &RecordBatch, keys: &Rows, findings: &mut Findings) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(all.num_rows()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)).then(a.cmp(b)));
    let answers = Answers::of(all);
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

/// The columns that say whether two answers for a pack are the same, and which came later.
struct Answers<'a> {
    all: &'a RecordBatch,
    compliance_type: &'a arrow::array::StringViewArray,
    counts: [&'a arrow::array::Int32Array; 3],
    collected_at: &'a arrow::array::TimestampMillisecondArray,
}

impl<'a> Answers<'a> {
    fn of(all: &'a RecordBatch) -> Self {
        Self {
            all,
            compliance_type: all["compliance_type"].as_string_view(),
            counts: ["compliant_rule_count", "non_compliant_rule_count", "total_rule_count"]
                .map(|name| all[name].as_primitive::<Int32Type>()),
            collected_at: all["collected_at"].as_primitive::<TimestampMillisecondType>(),
        }
    }

    /// Which of two answers for one pack is kept: the later one, and of two at once the one later in the plan.
    fn later(&self, before: u32, position: u32, findings: &mut Findings) -> u32 {
        let (a, b) = (before as usize, position as usize);
        let time = |row: usize| self.collected_at.is_valid(row).then(|| self.collected_at.value(row));
        let kept = if time(b) >= time(a) { position } else { before };
        if self.equal(a, b) {
            findings.duplicates += 1;
        } else {
            let dropped = if kept == position { a } else { b };
            findings.conflicts.add(|| {
                let (kept, dropped) = (self.words(kept as usize), self.words(dropped));
                format!("{}: kept {kept}, dropped {dropped}", pack_name(self.all, a))
            });
        }
        kept
    }

    fn equal(&self, a: usize, b: usize) -> bool {
        let same_count = |counts: &arrow::array::Int32Array| {
            counts.is_null(a) == counts.is_null(b) && (counts.is_null(a) || counts.value(a) == counts.value(b))
        };
        let types = self.compliance_type;
        types.is_null(a) == types.is_null(b)
            && (types.is_null(a) || types.value(a) == types.value(b))
            && self.counts.into_iter().all(same_count)
    }

    fn words(&self, row: usize) -> String {
        let kind = if self.compliance_type.is_null(row) { "no type" } else { self.compliance_type.value(row) };
        let [compliant, non_compliant, total] =
            self.counts.map(|counts| if counts.is_null(row) { "?".to_owned() } else { counts.value(row).to_string() });
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

//! What a night did, for the summary, the ledger and `--json`.

use crate::failure::Ending;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type};
use compline_fetcher::{CallCounts, FetchError, ShardTally};
use compline_model::AggregatorId;
use compline_sink::{Committed, SinkError};
use compline_transformer::{CheckedSnapshot, Named, Trends};
use serde::Serialize;
use std::collections::BTreeMap;

/// A night.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) run_id: String,
    pub(crate) command: &'static str,
    pub(crate) version: &'static str,
    /// RFC 3339.
    pub(crate) started_at: String,
    /// RFC 3339.
    pub(crate) finished_at: String,
    pub(crate) snapshot_date: String,
    pub(crate) lake: String,
    pub(crate) aggregators: Vec<AggregatorReport>,
    /// Why this report is not in the lake as well.
    pub(crate) not_noted: Option<String>,
}

/// Whether an aggregator's day is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Succeeded,
    /// Collected, and kept aside until a person accepts it.
    Held,
    Failed,
}

/// One aggregator's night.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AggregatorReport {
    pub(crate) aggregator: String,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<String>,
    pub(crate) shards: u64,
    /// Shards that a stopped run had read.
    pub(crate) shards_resumed: u64,
    pub(crate) shard_restarts: u64,
    pub(crate) calls: u64,
    pub(crate) retries: u64,
    pub(crate) throttles: u64,
    pub(crate) pages: u64,
    pub(crate) empty_pages: u64,
    pub(crate) rows: u64,
    /// Rows that came and are not wanted.
    pub(crate) left_out: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: Found,
    pub(crate) warnings: Found,
    /// Accounts that are not as AWS Config counts them; nothing if it was not asked.
    pub(crate) unreconciled: Option<Found>,
    /// Why AWS Config's count could not be had.
    pub(crate) not_reconciled: Option<String>,
    /// How many sources have each status.
    pub(crate) sources: BTreeMap<String, u64>,
    /// Why the catalog does not know of the day, if it should.
    pub(crate) not_in_catalog: Option<String>,
    pub(crate) bytes: u64,
    /// Of the file that was committed to pack_compliance.
    pub(crate) snapshot_sha256: Option<String>,
    pub(crate) source_status_sha256: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) trends: Option<TrendReport>,
}

/// Findings of one kind: how many, and the first of them.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Found {
    pub(crate) count: u64,
    pub(crate) first: Vec<String>,
}

/// The day's trends in short.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct TrendReport {
    pub(crate) packs: i32,
    pub(crate) pack_compliance_rate: Option<f64>,
    pub(crate) pack_compliance_rate_change_7d: Option<f64>,
    /// How often each kind of event happened.
    pub(crate) changes: BTreeMap<String, u64>,
}

impl Report {
    pub(crate) fn ending(&self) -> Ending {
        let count = |outcome| self.aggregators.iter().filter(|aggregator| aggregator.outcome == outcome).count();
        let failed = count(Outcome::Failed);
        let not_in_catalog = self.aggregators.iter().any(|aggregator| aggregator.not_in_catalog.is_some());
        match failed {
            0 if self.not_noted.is_some() || not_in_catalog => Ending::Partial,
            0 if count(Outcome::Held) > 0 => Ending::Held,
            0 => Ending::Done,
            _ if failed == self.aggregators.len() => Ending::Failed,
            _ => Ending::Partial,
        }
    }
}

impl AggregatorReport {
    pub(super) fn new(aggregator: &AggregatorId) -> Self {
        Self {
            aggregator: aggregator.to_string(),
            outcome: Outcome::Succeeded,
            error: None,
            shards: 0,
            shards_resumed: 0,
            shard_restarts: 0,
            calls: 0,
            retries: 0,
            throttles: 0,
            pages: 0,
            empty_pages: 0,
            rows: 0,
            left_out: 0,
            duplicates: 0,
            conflicts: Found::default(),
            warnings: Found::default(),
            unreconciled: None,
            not_reconciled: None,
            sources: BTreeMap::new(),
            not_in_catalog: None,
            bytes: 0,
            snapshot_sha256: None,
            source_status_sha256: None,
            seconds: 0.0,
            trends: None,
        }
    }

    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        self.outcome = Outcome::Failed;
        self.error.get_or_insert_with(|| format!("{error:#}"));
    }

    pub(super) fn hold(&mut self, why: String) {
        self.outcome = Outcome::Held;
        self.error = Some(why);
    }

    pub(super) fn note_calls(&mut self, counts: CallCounts) {
        self.calls = counts.calls;
        self.retries = counts.retries;
        self.throttles = counts.throttles;
    }

    pub(super) fn note_shard(&mut self, tally: Option<ShardTally>, left_out: u64) {
        self.left_out += left_out;
        let Some(tally) = tally else {
            self.shards_resumed += 1;
            return;
        };
        self.pages += tally.pages;
        self.empty_pages += tally.empty_pages;
        self.shard_restarts += u64::from(tally.restarts);
    }

    pub(super) fn note_findings(&mut self, snapshot: &CheckedSnapshot) {
        let findings = snapshot.findings();
        self.duplicates = findings.duplicates;
        self.conflicts = Found::of(&findings.conflicts);
        self.warnings = Found::of(&findings.warnings);
    }

    /// Counts the rows of `source_status`.
    pub(super) fn note_sources(&mut self, source_status: &RecordBatch) {
        for status in source_status["status"].as_string_view().iter().flatten() {
            *self.sources.entry(status.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn note_committed(&mut self, source_status: Committed, snapshot: Committed, rows: usize) {
        self.bytes += source_status.bytes + snapshot.bytes;
        self.source_status_sha256 = Some(source_status.sha256);
        self.snapshot_sha256 = Some(snapshot.sha256);
        self.rows = rows as u64;
    }

    pub(super) fn note_not_in_catalog(&mut self, error: &SinkError) {
        self.not_in_catalog = Some(error.to_string());
        let what = format!(
            "the day is kept, but the catalog does not know of it: {error}; `compline catalog FILE` makes it good"
        );
        self.error.get_or_insert(what);
    }

    pub(super) fn note_reconciled(&mut self, differing: &Named) {
        self.unreconciled = Some(Found::of(differing));
    }

    pub(super) fn note_not_reconciled(&mut self, error: &FetchError) {
        self.not_reconciled = Some(error.to_string());
    }
}

impl Found {
    fn of(named: &Named) -> Self {
        Self { count: named.count, first: named.first.clone() }
    }
}

impl TrendReport {
    pub(super) fn of(trends: &Trends) -> Self {
        let mut changes = BTreeMap::new();
        for change in trends.pack_changes["change"].as_string_view().iter().flatten() {
            *changes.entry(change.to_owned()).or_default() += 1;
        }
        let rows = &trends.compliance_trends;
        let Some(row) = rows["dimension"].as_string_view().iter().position(|name| name == Some("aggregator")) else {
            return Self { changes, ..Self::default() };
        };
        Self {
            packs: rows["packs_total"].as_primitive::<Int32Type>().value(row),
            pack_compliance_rate: rate(rows, "pack_compliance_rate", row),
            pack_compliance_rate_change_7d: rate(rows, "pack_compliance_rate_change_7d", row),
            changes,
        }
    }
}

fn rate(rows: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let column = rows[name].as_primitive::<Float64Type>();
    (!column.is_null(row)).then(|| column.value(row))
}

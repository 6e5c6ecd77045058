//! What a run did, for its summary and `--json`: put together once, at its end.

use super::collect::Collected;
use super::day::Day;
use crate::failure::{Ending, Signal};
use crate::ledger::{LedgerRow, Outcome};
use crate::settings::{Settings, lake_name};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type};
use chrono::{DateTime, Utc};
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate};
use compline_transformer::{Named, Regressed, Trends, sources_by_status};
use serde::Serialize;
use std::collections::BTreeMap;

/// A run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// The signal that ended it before everything was done, if one did.
    pub(crate) stopped_by: Option<Signal>,
    /// Why this report is not in the lake as well.
    pub(crate) not_noted: Option<String>,
}

/// What a run did for one aggregator.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AggregatorReport {
    pub(crate) aggregator: String,
    /// What was collected: packs or rules.
    pub(crate) dataset: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<String>,
    /// ARN of the caller identity, if STS was asked and said it.
    pub(crate) caller: Option<String>,
    /// Which packs or rules were asked for.
    pub(crate) population: Option<String>,
    /// Whether that depends on the compliance type, so that there are no trends.
    pub(crate) facts_only: bool,
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
    /// Rows that came and that the pipeline file does not want.
    pub(crate) left_out: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: Found,
    pub(crate) warnings: Found,
    /// Accounts that are not as AWS Config counts them; nothing if it was not asked.
    pub(crate) unreconciled: Option<Found>,
    /// Why AWS Config's count could not be had.
    pub(crate) not_reconciled: Option<String>,
    /// How many sources have each status; of rules nothing, since those of packs are theirs.
    pub(crate) sources: BTreeMap<String, u64>,
    /// Accounts or regions that AWS Config counts packs in and that none of its sources names: `source_status` lacks them.
    pub(crate) unnamed: Found,
    /// What is left undone of a day that is committed, or of what an earlier run left.
    pub(crate) undone: Vec<String>,
    /// Why the catalog does not know of the day, if it should.
    pub(crate) not_in_catalog: Option<String>,
    /// Who was not told of what, and why.
    pub(crate) not_notified: Vec<String>,
    pub(crate) bytes: u64,
    /// Order of the changes to the day's snapshot; nothing if it was not changed.
    pub(crate) commit_number: Option<u64>,
    /// Of the file that was committed to pack_compliance or rule_compliance.
    pub(crate) snapshot_sha256: Option<String>,
    pub(crate) source_status_sha256: Option<String>,
    pub(crate) seconds: f64,
    /// Of the stages that were begun: collect, check, commit, trends, catalog, notify.
    pub(crate) stage_seconds: BTreeMap<&'static str, f64>,
    pub(crate) trends: Option<TrendReport>,
    /// Packs of the day that regressed, and which of these rules turned NON_COMPLIANT; nothing of packs themselves.
    pub(crate) regressed: Option<RegressedReport>,
    /// Whether the ledger has it; said where it has not.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub(super) is_recorded: bool,
    #[serde(skip)]
    pub(crate) is_stopped: bool,
}

/// How many names of one kind a report says.
const MAX_NAMED: usize = 20;

/// Findings of one kind: how many, and the first of them.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Found {
    pub(crate) count: u64,
    pub(crate) first: Vec<String>,
}

/// Packs that regressed, and why.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RegressedReport {
    /// How many.
    pub(crate) packs: usize,
    /// Of how many the rules could not be told: nothing in the answers of AWS Config joins a rule to its pack but their counts.
    pub(crate) not_told: usize,
    /// The first 20 of them, those with the most rules first.
    pub(crate) worst: Vec<RegressedPack>,
}

/// A pack that regressed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RegressedPack {
    pub(crate) account_id: String,
    pub(crate) aws_region: String,
    pub(crate) conformance_pack_name: String,
    /// The groups of its rules that turned NON_COMPLIANT; nothing where they could not be told.
    pub(crate) rule_groups: Option<Vec<String>>,
}

impl RegressedReport {
    fn of(regressed: &[Regressed]) -> Self {
        let pack = |one: &Regressed| RegressedPack {
            account_id: one.account_id.clone(),
            aws_region: one.aws_region.clone(),
            conformance_pack_name: one.conformance_pack_name.clone(),
            rule_groups: one.rules.clone(),
        };
        Self {
            packs: regressed.len(),
            not_told: regressed.iter().filter(|one| one.rules.is_none()).count(),
            worst: regressed.iter().take(MAX_NAMED).map(pack).collect(),
        }
    }
}

/// The day's trends in short.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TrendReport {
    /// Nothing of rules.
    pub(crate) packs: Option<i32>,
    pub(crate) pack_compliance_rate: Option<f64>,
    pub(crate) pack_compliance_rate_change_7d: Option<f64>,
    /// Config rules; of packs nothing.
    pub(crate) rules: Option<i32>,
    /// Of Config rules, or the sums of the packs' rules.
    pub(crate) rule_compliance_rate: Option<f64>,
    pub(crate) rule_compliance_rate_change_7d: Option<f64>,
    /// How often each kind of event happened.
    pub(crate) changes: BTreeMap<String, u64>,
}

impl Report {
    /// That of a run to which no aggregator falls, or that came to none.
    pub(crate) fn of_none(
        settings: &Settings,
        (command, run_id): (&'static str, RunId),
        date: SnapshotDate,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            run_id: run_id.to_string(),
            command,
            version: env!("CARGO_PKG_VERSION"),
            started_at: now.to_rfc3339(),
            finished_at: now.to_rfc3339(),
            snapshot_date: date.to_string(),
            lake: lake_name(&settings.lake),
            aggregators: Vec::new(),
            stopped_by: None,
            not_noted: None,
        }
    }

    pub(crate) fn ending(&self) -> Ending {
        if let Some(signal) = self.stopped_by {
            return Ending::Stopped(signal);
        }
        let count = |outcome| self.aggregators.iter().filter(|aggregator| aggregator.outcome == outcome).count();
        let failed = count(Outcome::Failed);
        let undone =
            self.not_noted.is_some() || self.aggregators.iter().any(|aggregator| !aggregator.undone.is_empty());
        // A day that is held waits for a person, whatever else there is that another run may complete.
        if count(Outcome::Held) > 0 {
            return Ending::Held;
        }
        match failed {
            0 if undone => Ending::Partial,
            0 => Ending::Done,
            _ if failed == self.aggregators.len() => Ending::Failed,
            _ => Ending::Partial,
        }
    }
}

impl AggregatorReport {
    /// What became of an aggregator's day.
    pub(super) fn of(aggregator: &AggregatorId, dataset: &'static Dataset, day: Day) -> Self {
        let error = day.error();
        let Day { row, reading, findings, trends, undone, not_in_catalog, not_notified, seconds, .. } = day;
        let Day { stage_seconds, is_recorded, is_stopped, regressed, .. } = day;
        let findings = findings.unwrap_or_default();
        Self {
            aggregator: aggregator.to_string(),
            dataset: dataset.name,
            outcome: row.outcome,
            error,
            caller: row.caller,
            population: row.population,
            facts_only: row.facts_only.unwrap_or_default(),
            shards: row.shards,
            shards_resumed: row.shards_resumed,
            shard_restarts: row.shard_restarts,
            calls: row.calls,
            retries: row.retries,
            throttles: row.throttles,
            pages: row.pages,
            empty_pages: row.empty_pages,
            rows: row.rows,
            left_out: row.left_out,
            duplicates: row.duplicates,
            conflicts: findings.conflicts,
            warnings: findings.warnings,
            unreconciled: reading.unreconciled.as_ref().map(Found::of),
            not_reconciled: row.not_reconciled,
            sources: findings.sources,
            unnamed: Found::of_names(&reading.unnamed),
            undone,
            not_in_catalog,
            not_notified,
            bytes: row.bytes,
            commit_number: row.commit_number,
            snapshot_sha256: row.snapshot_sha256,
            source_status_sha256: row.source_status_sha256,
            seconds,
            stage_seconds,
            trends,
            regressed: regressed.as_deref().map(RegressedReport::of),
            is_recorded,
            is_stopped,
        }
    }

    /// Logs how it ended.
    pub(super) fn log(&self) {
        let error = self.error.as_deref().unwrap_or_default();
        match self.outcome {
            Outcome::Failed if self.is_stopped => tracing::warn!(why = error, "stopped"),
            Outcome::Failed => tracing::error!(error, "failed"),
            Outcome::Held => tracing::warn!(why = error, "held"),
            Outcome::Rejected => tracing::info!("rejected: removed what was held"),
            Outcome::Succeeded | Outcome::Dropped => {
                let Self { rows, pages, empty_pages, calls, throttles, .. } = self;
                tracing::info!(rows, pages, empty_pages, calls, throttles, "committed");
                self.undone.iter().for_each(|what| tracing::warn!(what, "not everything is done"));
            }
        }
    }
}

/// What checking a day found.
#[derive(Debug, Default)]
pub(super) struct DayFindings {
    duplicates: u64,
    conflicts: Found,
    warnings: Found,
    /// How many sources have each status.
    sources: BTreeMap<String, u64>,
}

impl DayFindings {
    pub(super) fn of(dataset: &Dataset, collected: &Collected) -> Self {
        let findings = collected.snapshot.findings();
        Self {
            duplicates: findings.duplicates,
            conflicts: Found::of(&findings.conflicts),
            warnings: Found::of(&findings.warnings),
            // Those of another dataset are told with it.
            sources: dataset.sources.map(|_| sources_by_status(&collected.source_status)).unwrap_or_default(),
        }
    }

    /// Puts the counts into the row of the ledger.
    pub(super) fn fill(&self, row: &mut LedgerRow) {
        (row.duplicates, row.conflicts, row.warnings) = (self.duplicates, self.conflicts.count, self.warnings.count);
    }
}

impl Found {
    fn of(named: &Named) -> Self {
        Self { count: named.count, first: named.first.clone() }
    }

    fn of_names(names: &[String]) -> Self {
        Self { count: names.len() as u64, first: names.iter().take(MAX_NAMED).cloned().collect() }
    }
}

impl TrendReport {
    pub(super) fn of(dataset: &Dataset, trends: &Trends) -> Self {
        let mut changes = BTreeMap::new();
        for change in trends.changes["change"].as_string_view().iter().flatten() {
            *changes.entry(change.to_owned()).or_default() += 1;
        }
        let rows = &trends.trends;
        let Some(row) = rows["dimension"].as_string_view().iter().position(|name| name == Some("aggregator")) else {
            return Self { changes, ..Self::default() };
        };
        Self {
            packs: (dataset == &Dataset::PACKS).then(|| count(rows, "packs_total", row)),
            pack_compliance_rate: rate(rows, "pack_compliance_rate", row),
            pack_compliance_rate_change_7d: rate(rows, "pack_compliance_rate_change_7d", row),
            rules: (dataset == &Dataset::RULES).then(|| count(rows, "rules_total", row)),
            rule_compliance_rate: rate(rows, "rule_compliance_rate", row),
            rule_compliance_rate_change_7d: rate(rows, "rule_compliance_rate_change_7d", row),
            changes,
        }
    }
}

fn count(rows: &RecordBatch, name: &str, row: usize) -> i32 {
    rows[name].as_primitive::<Int32Type>().value(row)
}

/// Nothing where there is none, or the dataset has no such rate.
fn rate(rows: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let column = rows.column_by_name(name)?.as_primitive::<Float64Type>();
    (!column.is_null(row)).then(|| column.value(row))
}

//! What a run did, as a person reads it.

use crate::ledger::Outcome;
use crate::nightly::{AggregatorReport, Found, RegressedPack, RegressedReport, Report};
use crate::progress::named;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use compline_model::Dataset;
use indicatif::{HumanBytes, HumanCount};
use std::fmt::Write;

/// The summary of a run.
pub(crate) fn summary(report: &Report) -> String {
    let mut text = format!("snapshot {} in {}\n\n", report.snapshot_date, report.lake);
    if let Some(signal) = report.stopped_by {
        let _ = writeln!(text, "stopped by {signal}\n");
    }
    let mut table =
        plain_table(&["aggregator", "outcome", "rows", "compliant", "7 days", "changes", "calls", "seconds"]);
    for aggregator in &report.aggregators {
        table.add_row(row(aggregator));
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    for aggregator in &report.aggregators {
        text.push_str(&findings(aggregator));
    }
    if let Some(why) = &report.not_noted {
        let _ = writeln!(text, "what is committed is committed, but the document of this run is not written: {why}");
    }
    text
}

/// How wide a table is at most, in columns: what each terminal has.
const WIDTH: u16 = 80;

/// A table without lines, its numbers to the right.
pub(crate) fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    // What does not fit is wrapped: an id may have 64 characters.
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header.to_vec());
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at + 1 < header.len() { 2 } else { 0 }));
        if at > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// So many of something.
pub(crate) fn counted(count: impl TryInto<u64>, what: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

/// A rate as a percentage; `-` where there is none.
pub(crate) fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| compline_report::percent(Some(rate)).replace('%', " %"))
}

/// A change of a rate in percentage points.
pub(crate) fn points(change: Option<f64>) -> String {
    change.map_or_else(|| "-".to_owned(), |change| compline_report::points(Some(change)).replace('\u{2212}', "-"))
}

fn row(report: &AggregatorReport) -> Vec<String> {
    let trends = report.trends.clone().unwrap_or_default();
    let (rate, change) = match report.dataset == Dataset::RULES.name {
        true => (trends.rule_compliance_rate, trends.rule_compliance_rate_change_7d),
        false => (trends.pack_compliance_rate, trends.pack_compliance_rate_change_7d),
    };
    let outcome = match report.outcome {
        Outcome::Succeeded => "committed",
        Outcome::Rejected => "rejected",
        Outcome::Dropped => "dropped",
        Outcome::Held => "HELD",
        Outcome::Failed if report.is_stopped => "STOPPED",
        Outcome::Failed => "FAILED",
    };
    vec![
        named(&report.aggregator, report.dataset),
        outcome.to_owned(),
        HumanCount(report.rows).to_string(),
        percent(rate),
        points(change),
        HumanCount(trends.changes.values().sum()).to_string(),
        HumanCount(report.calls).to_string(),
        format!("{:.1}", report.seconds),
    ]
}

/// How many packs and rules of each are named that are why.
const MAX_WORST: usize = 5;

/// Why packs regressed: the worst of them, and of how many it could not be told.
fn why(name: &str, regressed: &RegressedReport) -> String {
    let mut text = String::new();
    let RegressedReport { packs, not_told, worst } = regressed;
    let _ = writeln!(text, "{name}: why {} regressed", counted(*packs, "pack"));
    let told = worst.iter().filter_map(|pack| Some((pack, pack.rule_groups.as_ref()?)));
    let told: Vec<_> = told.take(MAX_WORST).collect();
    for (RegressedPack { account_id, aws_region, conformance_pack_name, .. }, rules) in &told {
        let named: Vec<String> = rules.iter().take(MAX_WORST).map(|rule| rule.escape_debug().to_string()).collect();
        let more = rules.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let [region, pack] = [aws_region, conformance_pack_name].map(|text| text.escape_debug());
        let _ = writeln!(text, "  {account_id} {region} {pack}: {}{more}", named.join(", "));
    }
    let more = packs - not_told - told.len();
    if more > 0 {
        let _ = writeln!(text, "  and {more} more, see the view why_regressed");
    }
    if *not_told > 0 {
        let _ = writeln!(
            text,
            "  of {} it could not be told: the answers do not join rules to packs, or rules are left out by filters or compared with another day",
            counted(*not_told, "pack")
        );
    }
    text
}

/// What an auditor must know of the day beside its rows.
fn findings(report: &AggregatorReport) -> String {
    let mut text = String::new();
    let name = named(&report.aggregator, report.dataset);
    if let Some(trends) = report.trends.as_ref().filter(|trends| !trends.changes.is_empty()) {
        let changes: Vec<String> =
            trends.changes.iter().map(|(change, count)| format!("{} {change}", HumanCount(*count))).collect();
        let _ = writeln!(text, "{name}: {}", changes.join(", "));
    }
    if let Some(regressed) = &report.regressed {
        text.push_str(&why(&name, regressed));
    }
    if report.facts_only {
        let _ = writeln!(
            text,
            "{name}: facts only: its filter by compliance type makes a population that depends on the answer, so there are no trends"
        );
    }
    if report.outcome == Outcome::Rejected {
        let _ = writeln!(text, "{name}: what was held is removed, and the day is as it was");
    }
    if report.bytes > 0 {
        let _ = writeln!(text, "{name}: {} written", HumanBytes(report.bytes));
    }
    if report.throttles > 0 {
        let _ =
            writeln!(text, "{name}: {} of {} calls throttled", HumanCount(report.throttles), HumanCount(report.calls));
    }
    if report.empty_pages > 0 {
        let _ = writeln!(text, "{name}: {}", counted(report.empty_pages, "empty page"));
    }
    if report.shard_restarts > 0 {
        let _ = writeln!(text, "{name}: {} restarted", counted(report.shard_restarts, "shard"));
    }
    if report.shards_resumed > 0 {
        let AggregatorReport { shards_resumed, shards, .. } = report;
        let _ = writeln!(text, "{name}: {shards_resumed} of {shards} shards resumed from checkpoints");
    }
    let behind: Vec<String> = report
        .sources
        .iter()
        .filter(|(status, _)| *status != "SUCCEEDED")
        .map(|(status, count)| format!("{} {}", HumanCount(*count), status.escape_debug()))
        .collect();
    if !behind.is_empty() {
        let all: u64 = report.sources.values().sum();
        let behind = behind.join(", ");
        let _ = writeln!(text, "{name}: stale sources: {behind} of {}, see source_status", HumanCount(all));
    }
    if report.left_out > 0 {
        let _ = writeln!(text, "{name}: {} rows are left out, as the pipeline file says", HumanCount(report.left_out));
    }
    if report.duplicates > 0 {
        let _ = writeln!(text, "{name}: {} duplicate rows dropped", HumanCount(report.duplicates));
    }
    if let Some(why) = &report.not_reconciled {
        let _ = writeln!(text, "{name}: not reconciled with AWS Config's own count: {why}");
    }
    let none = Found::default();
    for (found, what) in [
        (report.unreconciled.as_ref().unwrap_or(&none), "accounts are not as AWS Config itself counts them"),
        (
            &report.unnamed,
            "accounts or regions have packs and none of AWS Config's sources names them: source_status lacks them",
        ),
        (&report.conflicts, "conflicting duplicates, the later answer is committed"),
        (&report.warnings, "inconsistent rows, committed as AWS Config said them"),
    ] {
        if found.count > 0 {
            let _ = writeln!(text, "{name}: {} {what}", HumanCount(found.count));
            for words in &found.first {
                let _ = writeln!(text, "  {words}");
            }
            let more = found.count - found.first.len() as u64;
            if more > 0 {
                let _ = writeln!(text, "  and {} more", HumanCount(more));
            }
        }
    }
    if let Some(error) = &report.error {
        let _ = writeln!(text, "{name}: {error}");
    }
    text
}

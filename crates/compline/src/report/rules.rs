//! What the report says of Config rules: those that fail most, and which made packs regress.

use super::Reader;
use super::rows::Rows;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::status::{is_there, missing, missing_computed, missing_table};
use arrow::array::{AsArray, RecordBatch};
use compline_model::{Dataset, SnapshotDate, Table};
use compline_report::{AggregatorFigures, Change, Listed, MAX_LISTED, RuleFigures, RuleGroup};
use compline_transformer::{WHY_PACK_COLUMNS, WHY_RULE_COLUMNS, Why};
use std::collections::HashMap;

const TREND_COLUMNS: &[&str] = &[
    "dimension",
    "dimension_value",
    "rules_total",
    "rules_compliant",
    "rules_non_compliant",
    "rule_compliance_rate",
    "rule_compliance_rate_change_30d",
    "rules_regressed",
    "open_non_compliant_max_days",
];

/// Of packs as well.
const CHANGE_COLUMNS: [&[&str]; 2] = [
    &["account_id", "aws_region", "conformance_pack_name", "change", "to_type", "previous_snapshot_date"],
    &["account_id", "aws_region", "config_rule_name", "change", "to_type", "previous_snapshot_date"],
];

/// Rules of a day that a report looks through: of more of them a view says which made packs regress, and a report does not take the
/// memory of a night.
const MAX_RULES: i32 = 3_000_000;

/// Adds what there is of rules on the day of the last snapshot; nothing where none were collected.
pub(super) async fn of_rules(
    figures: &mut AggregatorFigures,
    reader: &mut Reader<'_>,
    ledger: Option<&Ledger>,
    last: SnapshotDate,
) -> anyhow::Result<()> {
    let unread = reader.unread.len();
    let Some(trends) = reader.rows(Dataset::RULES.trends, last, TREND_COLUMNS).await? else {
        if let Some(ledger) = ledger.filter(|_| reader.unread.len() == unread) {
            reader.unread.extend(why_none(reader, ledger, last).await?);
        }
        return Ok(());
    };
    let rules = rule_figures(&trends);
    let all = rules.rules;
    figures.rules = Some(rules);
    let Some(regressed) = figures.regressed.as_mut().filter(|regressed| regressed.count > 0) else { return Ok(()) };
    if all > MAX_RULES {
        reader.unread.push(format!(
            "which of {all} rules made packs regress: of more than {MAX_RULES} the view why_regressed says it"
        ));
        return Ok(());
    }
    let mut read = async |table, columns| reader.rows(table, last, columns).await;
    let [of_packs, of_rules] = CHANGE_COLUMNS;
    let (Some(changes), Some(rule_changes), Some(packs), Some(facts)) = (
        read(Table::PackChanges, of_packs).await?,
        read(Table::RuleChanges, of_rules).await?,
        read(Table::PackCompliance, WHY_PACK_COLUMNS).await?,
        read(Table::RuleCompliance, WHY_RULE_COLUMNS).await?,
    ) else {
        // What is gone is told where it is looked for.
        return Ok(());
    };
    let mut why = Why::of(&changes);
    why.add_packs(&packs);
    why.add_rules(&facts);
    let told: HashMap<[String; 3], Option<Vec<String>>> = why
        .told(&rule_changes)
        .into_iter()
        .map(|one| ([one.account_id, one.aws_region, one.conformance_pack_name], one.rules))
        .collect();
    let key =
        |change: &Change| [change.account_id.clone(), change.aws_region.clone(), change.conformance_pack_name.clone()];
    for change in &mut regressed.first {
        change.rule_groups = told.get(&key(change)).cloned().flatten();
    }
    Ok(())
}

/// Why a day has no trends of rules, if it should.
async fn why_none(reader: &Reader<'_>, ledger: &Ledger, date: SnapshotDate) -> anyhow::Result<Option<String>> {
    let (dataset, id) = (&Dataset::RULES, reader.id);
    let lake = reader.session.lake.of(dataset);
    let pending = Journal::peek(&lake, id).await?;
    if pending.has(date) {
        return Ok(Some(format!(
            "a run was stopped while it changed the rules of {date}: the next run, or `compline trends FILE`, completes it"
        )));
    }
    // There is no row where none were to be collected, or where the run was stopped before.
    let Some(of_rules) = ledger.of_each().into_iter().find(|one| one.dataset() == dataset) else { return Ok(None) };
    if of_rules.has_no(dataset.trends) {
        return Ok(None);
    }
    if of_rules.last_commit().is_none() {
        return Ok(Some(format!("no rules of {date} are committed: `compline history FILE` says why")));
    }
    let of = |what: String| Some(format!("of rules, {what}"));
    if of_rules.is_dropped() {
        return Ok(of(missing_table(dataset.trends, date)));
    }
    if !is_there(&lake, dataset.facts, id, date).await? {
        return Ok(of(missing(date)));
    }
    Ok(of(match pending.trends_from.filter(|from| *from <= date) {
        Some(from) => format!(
            "the trends from {from} on are out of date: `compline trends FILE` computes them, or says what they wait for"
        ),
        None => missing_computed(dataset.trends, date),
    }))
}

fn rule_figures(trends: &RecordBatch) -> RuleFigures {
    let rows = Rows(trends);
    let count = |name: &str, row: usize| rows.count(name, row).unwrap_or_default();
    let rate = |name: &str, row: usize| rows.real(name, row);
    let dimensions = trends["dimension"].as_string_view();
    let of = |dimension: &'static str| {
        (0..trends.num_rows()).filter(move |row| dimensions.value(*row) == dimension).collect::<Vec<_>>()
    };
    let mut groups: Vec<usize> =
        of(Dataset::RULES.group).into_iter().filter(|row| count("rules_total", *row) > 0).collect();
    groups.sort_by_key(|row| std::cmp::Reverse(count("rules_non_compliant", *row)));
    let group = |row: &usize| RuleGroup {
        rule_group: rows.text("dimension_value", *row).to_owned(),
        rules: count("rules_total", *row),
        compliant: count("rules_compliant", *row),
        non_compliant: count("rules_non_compliant", *row),
        rule_rate: rate("rule_compliance_rate", *row),
        rule_rate_change_30d: rate("rule_compliance_rate_change_30d", *row),
        regressed: rows.count("rules_regressed", *row),
        open_max_days: rows.count("open_non_compliant_max_days", *row),
    };
    let whole = of("aggregator").first().copied();
    RuleFigures {
        rules: whole.map_or(0, |row| count("rules_total", row)),
        rule_rate: whole.and_then(|row| rate("rule_compliance_rate", row)),
        groups: Listed { count: groups.len() as u64, first: groups.iter().take(MAX_LISTED).map(group).collect() },
    }
}

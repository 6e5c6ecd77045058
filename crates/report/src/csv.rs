//! The figures as CSV: a row for every value of every dimension.

use crate::ReportError;
use crate::figures::{AggregatorFigures, Figures, Line, RuleGroup};
use crate::text::is_unseen;
use ::csv::Writer;

const COLUMNS: usize = 31;

const HEADER: [&str; COLUMNS] = [
    "aggregator",
    "snapshot_date",
    "dimension",
    "dimension_value",
    "account_name",
    "packs_total",
    "packs_compliant",
    "packs_non_compliant",
    "packs_insufficient_data",
    "packs_unknown",
    "pack_compliance_rate",
    "rule_compliance_rate",
    "pack_compliance_rate_change_7d",
    "pack_compliance_rate_change_30d",
    "pack_compliance_rate_change_90d",
    "previous_snapshot_date",
    "packs_added",
    "packs_removed",
    "packs_reappeared",
    "packs_regressed",
    "packs_remediated",
    "open_non_compliant_median_days",
    "open_non_compliant_max_days",
    "remediations_30d",
    "mean_days_to_remediate_30d",
    "mean_days_to_remediate_90d",
    // Of rules alone.
    "rules_total",
    "rules_compliant",
    "rules_non_compliant",
    "rule_compliance_rate_change_30d",
    "rules_regressed",
];

pub(crate) fn csv(figures: &Figures) -> Result<String, ReportError> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for aggregator in &figures.aggregators {
        if aggregator.total.is_none() {
            // That there is nothing to say of it is said.
            let mut empty = [const { String::new() }; COLUMNS];
            empty[0].clone_from(&aggregator.aggregator);
            empty[1] = shown(aggregator.snapshot_date);
            empty[2] = "aggregator".to_owned();
            empty[3].clone_from(&aggregator.aggregator);
            writer.write_record(empty)?;
        }
        for (dimension, lines) in [
            ("aggregator", aggregator.total.as_slice()),
            ("region", &aggregator.regions),
            ("pack_group", &aggregator.pack_groups),
            ("account", &aggregator.accounts),
        ] {
            for line in lines {
                writer.write_record(row(aggregator, dimension, line))?;
            }
        }
        for group in aggregator.rules.iter().flat_map(|rules| &rules.groups.first) {
            writer.write_record(rule_row(aggregator, group))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| ::csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn row(of: &AggregatorFigures, dimension: &str, line: &Line) -> [String; COLUMNS] {
    [
        of.aggregator.clone(),
        shown(of.snapshot_date),
        dimension.to_owned(),
        inert(&line.value),
        line.name.as_deref().map(inert).unwrap_or_default(),
        line.packs.to_string(),
        line.compliant.to_string(),
        line.non_compliant.to_string(),
        line.insufficient_data.to_string(),
        line.unknown.to_string(),
        shown(line.pack_rate),
        shown(line.rule_rate),
        shown(line.pack_rate_change_7d),
        shown(line.pack_rate_change_30d),
        shown(line.pack_rate_change_90d),
        shown(line.previous_snapshot_date),
        shown(line.added),
        shown(line.removed),
        shown(line.reappeared),
        shown(line.regressed),
        shown(line.remediated),
        shown(line.open_median_days),
        shown(line.open_max_days),
        line.remediations_30d.to_string(),
        shown(line.mean_days_to_remediate_30d),
        shown(line.mean_days_to_remediate_90d),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]
}

/// That of the same rule over accounts and regions, without what is of packs.
fn rule_row(of: &AggregatorFigures, group: &RuleGroup) -> [String; COLUMNS] {
    let value = |column: &str| match column {
        "aggregator" => of.aggregator.clone(),
        "snapshot_date" => shown(of.snapshot_date),
        "dimension" => "rule_group".to_owned(),
        "dimension_value" => inert(&group.rule_group),
        "rule_compliance_rate" => shown(group.rule_rate),
        "open_non_compliant_max_days" => shown(group.open_max_days),
        "rules_total" => group.rules.to_string(),
        "rules_compliant" => group.compliant.to_string(),
        "rules_non_compliant" => group.non_compliant.to_string(),
        "rule_compliance_rate_change_30d" => shown(group.rule_rate_change_30d),
        "rules_regressed" => shown(group.regressed),
        _ => String::new(),
    };
    HEADER.map(value)
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Text that a spreadsheet takes for no formula (OWASP, CSV injection).
fn inert(text: &str) -> String {
    let text: String = text.chars().map(|letter| if is_unseen(letter) { ' ' } else { letter }).collect();
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@']);
    if is_formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_formula_is_text() {
        assert_eq!(inert("=HYPERLINK(\"http://x\")"), "'=HYPERLINK(\"http://x\")");
        assert_eq!(["web", "000000000001"].map(inert), ["web", "000000000001"]);
    }
}

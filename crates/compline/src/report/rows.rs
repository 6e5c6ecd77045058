//! From rows of the tables to figures.

use super::AccountNames;
use crate::trends::population_since;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use chrono::{DateTime, TimeDelta};
use compline_model::{ComplianceType, SnapshotDate};
use compline_report::{
    AggregatorFigures, Change, HeatCell, HeatMap, HeatRow, Line, Listed, MAX_HEAT_ACCOUNTS, MAX_HEAT_GROUPS,
    MAX_HISTORIES, MAX_LISTED, OpenPack, Point, Sources, StaleSource,
};
use compline_transformer::sources_by_status;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) const TREND_COLUMNS: &[&str] = &[
    "dimension",
    "dimension_value",
    "packs_total",
    "packs_compliant",
    "packs_non_compliant",
    "packs_insufficient_data",
    "packs_unknown",
    "pack_compliance_rate",
    "rule_compliance_rate",
    "population_since",
    "previous_snapshot_date",
    "packs_added",
    "packs_removed",
    "packs_reappeared",
    "packs_regressed",
    "packs_remediated",
    "pack_compliance_rate_change_7d",
    "pack_compliance_rate_change_30d",
    "pack_compliance_rate_change_90d",
    "remediations_30d",
    "mean_days_to_remediate_30d",
    "mean_days_to_remediate_90d",
    "open_non_compliant_median_days",
    "open_non_compliant_max_days",
];

pub(super) const HISTORY_COLUMNS: &[&str] = &[
    "dimension",
    "dimension_value",
    "packs_total",
    "pack_compliance_rate",
    "rule_compliance_rate",
    "population_since",
];

pub(super) const CHANGE_COLUMNS: &[&str] =
    &["account_id", "aws_region", "conformance_pack_name", "pack_group", "change", "days_in_previous_status"];

pub(super) const STATE_COLUMNS: &[&str] = &[
    "account_id",
    "aws_region",
    "conformance_pack_name",
    "pack_group",
    "compliance_type",
    "previous_compliance_type",
    "status_since",
    "days_in_status",
    "is_present",
];

pub(super) const SOURCE_COLUMNS: &[&str] =
    &["source_id", "source_type", "aws_region", "status", "last_update_time", "error_code", "error_message"];

/// Rows of a table, by column and row.
pub(super) struct Rows<'a>(pub(super) &'a RecordBatch);

impl Rows<'_> {
    pub(super) fn text(&self, column: &str, row: usize) -> &str {
        self.0[column].as_string_view().value(row)
    }

    fn maybe_text(&self, column: &str, row: usize) -> Option<String> {
        let column = self.0[column].as_string_view();
        (!column.is_null(row)).then(|| column.value(row).to_owned())
    }

    pub(super) fn count(&self, column: &str, row: usize) -> Option<i32> {
        let column = self.0[column].as_primitive::<Int32Type>();
        (!column.is_null(row)).then(|| column.value(row))
    }

    pub(super) fn real(&self, column: &str, row: usize) -> Option<f64> {
        let column = self.0[column].as_primitive::<Float64Type>();
        (!column.is_null(row)).then(|| column.value(row))
    }

    fn date(&self, column: &str, row: usize) -> Option<SnapshotDate> {
        let column = self.0[column].as_primitive::<Date32Type>();
        let days = (!column.is_null(row)).then(|| TimeDelta::days(column.value(row).into()))?;
        DateTime::UNIX_EPOCH.date_naive().checked_add_signed(days).map(SnapshotDate::from)
    }
}

/// A name of a dimension and its value, which have a history.
type Key = (&'static str, String);

/// The dimensions that have a history.
fn with_history(dimension: &str) -> Option<&'static str> {
    ["aggregator", "region", "pack_group"].into_iter().find(|name| *name == dimension)
}

/// The lines of a day, and their histories as they are added.
pub(super) struct Lines {
    lines: BTreeMap<Key, Line>,
    accounts: Vec<Line>,
    /// The pack groups that have a history: those with the most packs.
    largest: HashSet<String>,
}

impl Lines {
    pub(super) fn new(trends: &RecordBatch, names: &AccountNames) -> Self {
        let rows = Rows(trends);
        let mut lines = Self { lines: BTreeMap::new(), accounts: Vec::new(), largest: HashSet::new() };
        for row in 0..trends.num_rows() {
            let line = line(&rows, row);
            match rows.text("dimension", row) {
                // It is gone since the previous snapshot, which the whole says.
                dimension if line.packs == 0 && dimension != "aggregator" => {}
                "account" => {
                    lines.accounts.push(Line { name: names.of(&line.value), ..line });
                }
                dimension => {
                    let key = with_history(dimension).map(|dimension| (dimension, line.value.clone()));
                    lines.lines.extend(key.map(|key| (key, line)));
                }
            }
        }
        let groups =
            lines.lines.values().zip(lines.lines.keys()).filter(|(_, (dimension, _))| *dimension == "pack_group");
        let mut groups: Vec<(i32, &String)> = groups.map(|(line, (_, group))| (line.packs, group)).collect();
        groups.sort_by_key(|(packs, group)| (Reverse(*packs), *group));
        lines.largest = groups.into_iter().take(MAX_HISTORIES).map(|(_, group)| group.clone()).collect();
        lines
    }

    /// Adds a day, which must be later than the one before, to the histories of the values that there are on the last.
    pub(super) fn add_day(&mut self, day: u32, date: SnapshotDate, trends: &RecordBatch) {
        let rows = Rows(trends);
        let since = population_since(trends);
        for row in 0..trends.num_rows() {
            let Some(dimension) = with_history(rows.text("dimension", row)) else { continue };
            let value = rows.text("dimension_value", row);
            if dimension == "pack_group" && !self.largest.contains(value) {
                continue;
            }
            let key = (dimension, value.to_owned());
            if let Some(line) = self.lines.get_mut(&key) {
                let filters_changed_on =
                    since.filter(|since| line.history.last().is_some_and(|before| before.date < *since));
                line.history.push(Point {
                    day,
                    date,
                    pack_rate: rows.real("pack_compliance_rate", row),
                    rule_rate: rows.real("rule_compliance_rate", row),
                    packs: rows.count("packs_total", row).unwrap_or_default(),
                    filters_changed_on,
                });
            }
        }
    }

    pub(super) fn into(self, figures: &mut AggregatorFigures) {
        for ((dimension, _), line) in self.lines {
            match dimension {
                "aggregator" => figures.total = Some(line),
                "region" => figures.regions.push(line),
                _ => figures.pack_groups.push(line),
            }
        }
        for lines in [&mut figures.regions, &mut figures.pack_groups] {
            lines.sort_by(|one, other| other.packs.cmp(&one.packs).then_with(|| one.value.cmp(&other.value)));
        }
        figures.accounts = self.accounts;
        // Whose rate has no denominator is at the end.
        figures.accounts.sort_by(|one, other| {
            let rate = |line: &Line| line.pack_rate.unwrap_or(f64::INFINITY);
            rate(one)
                .total_cmp(&rate(other))
                .then_with(|| other.non_compliant.cmp(&one.non_compliant))
                .then_with(|| one.value.cmp(&other.value))
        });
    }
}

fn line(rows: &Rows<'_>, row: usize) -> Line {
    let count = |column: &str| rows.count(column, row);
    let whole = |column: &str| count(column).unwrap_or_default();
    let real = |column: &str| rows.real(column, row);
    Line {
        value: rows.text("dimension_value", row).to_owned(),
        name: None,
        packs: whole("packs_total"),
        compliant: whole("packs_compliant"),
        non_compliant: whole("packs_non_compliant"),
        insufficient_data: whole("packs_insufficient_data"),
        unknown: whole("packs_unknown"),
        pack_rate: real("pack_compliance_rate"),
        rule_rate: real("rule_compliance_rate"),
        pack_rate_change_7d: real("pack_compliance_rate_change_7d"),
        pack_rate_change_30d: real("pack_compliance_rate_change_30d"),
        pack_rate_change_90d: real("pack_compliance_rate_change_90d"),
        previous_snapshot_date: rows.date("previous_snapshot_date", row),
        added: count("packs_added"),
        removed: count("packs_removed"),
        reappeared: count("packs_reappeared"),
        regressed: count("packs_regressed"),
        remediated: count("packs_remediated"),
        open_median_days: real("open_non_compliant_median_days"),
        open_max_days: count("open_non_compliant_max_days"),
        remediations_30d: rows.0["remediations_30d"].as_primitive::<Int64Type>().value(row),
        mean_days_to_remediate_30d: real("mean_days_to_remediate_30d"),
        mean_days_to_remediate_90d: real("mean_days_to_remediate_90d"),
        history: Vec::new(),
    }
}

/// Adds the packs of a day that changed in one way.
pub(super) fn add_changes(
    listed: &mut Listed<Change>,
    changes: &RecordBatch,
    change: &str,
    date: SnapshotDate,
    names: &AccountNames,
) {
    let rows = Rows(changes);
    for row in (0..changes.num_rows()).filter(|row| rows.text("change", *row) == change) {
        listed.count += 1;
        if listed.first.len() < MAX_LISTED {
            listed.first.push(Change {
                account_id: rows.text("account_id", row).to_owned(),
                account_name: names.of(rows.text("account_id", row)),
                aws_region: rows.text("aws_region", row).to_owned(),
                conformance_pack_name: rows.text("conformance_pack_name", row).to_owned(),
                pack_group: rows.text("pack_group", row).to_owned(),
                date,
                days_in_previous_status: rows.count("days_in_previous_status", row),
                rule_groups: None,
            });
        }
    }
}

fn is_present(states: &RecordBatch, row: usize) -> bool {
    states["is_present"].as_boolean().value(row)
}

fn is_of_type(rows: &Rows<'_>, column: &str, row: usize, wanted: ComplianceType) -> bool {
    let column = rows.0[column].as_string_view();
    !column.is_null(row) && column.value(row) == wanted.as_str()
}

/// The packs that are NON_COMPLIANT and were COMPLIANT in the status before, the longest first.
pub(super) fn open_regressions(states: &RecordBatch, names: &AccountNames) -> Listed<OpenPack> {
    let rows = Rows(states);
    let is_open = |row: &usize| {
        is_present(states, *row)
            && is_of_type(&rows, "compliance_type", *row, ComplianceType::NonCompliant)
            && is_of_type(&rows, "previous_compliance_type", *row, ComplianceType::Compliant)
    };
    let mut open: Vec<usize> = (0..states.num_rows()).filter(is_open).collect();
    // The rows are in the order of their keys, and a stable sort leaves those of one age so.
    open.sort_by_key(|row| Reverse(rows.count("days_in_status", *row)));
    let pack = |row: &usize| {
        let row = *row;
        Some(OpenPack {
            account_id: rows.text("account_id", row).to_owned(),
            account_name: names.of(rows.text("account_id", row)),
            aws_region: rows.text("aws_region", row).to_owned(),
            conformance_pack_name: rows.text("conformance_pack_name", row).to_owned(),
            pack_group: rows.text("pack_group", row).to_owned(),
            status_since: rows.date("status_since", row)?,
            age_days: rows.count("days_in_status", row).unwrap_or_default(),
        })
    };
    Listed { count: open.len() as u64, first: open.iter().take(MAX_LISTED).filter_map(pack).collect() }
}

/// The rates of the first accounts, in an order, by the largest pack groups.
pub(super) fn heat_map(states: &RecordBatch, order: &[&str], names: &AccountNames) -> HeatMap {
    let rows = Rows(states);
    let present: Vec<usize> = (0..states.num_rows()).filter(|row| is_present(states, *row)).collect();
    let mut sizes: HashMap<&str, u64> = HashMap::new();
    for row in &present {
        *sizes.entry(rows.text("pack_group", *row)).or_default() += 1;
    }
    let mut groups: Vec<(&str, u64)> = sizes.into_iter().collect();
    groups.sort_by_key(|(group, size)| (Reverse(*size), *group));
    let omitted = groups.len().saturating_sub(MAX_HEAT_GROUPS) as u64;
    groups.truncate(MAX_HEAT_GROUPS);
    let columns: HashMap<&str, usize> = groups.iter().enumerate().map(|(at, (group, _))| (*group, at)).collect();
    let mut cells: HashMap<&str, Vec<Option<HeatCell>>> =
        order.iter().take(MAX_HEAT_ACCOUNTS).map(|account| (*account, vec![None; groups.len()])).collect();
    for row in present {
        let of_account = cells.get_mut(rows.text("account_id", row));
        let column = columns.get(rows.text("pack_group", row));
        let Some((of_account, column)) = of_account.zip(column) else { continue };
        let cell = of_account[*column].get_or_insert_default();
        cell.packs += 1;
        cell.compliant += u32::from(is_of_type(&rows, "compliance_type", row, ComplianceType::Compliant));
        cell.non_compliant += u32::from(is_of_type(&rows, "compliance_type", row, ComplianceType::NonCompliant));
        let decided = cell.compliant + cell.non_compliant;
        cell.pack_rate = (decided > 0).then(|| f64::from(cell.compliant) / f64::from(decided));
    }
    let mut row = |account: &&str| HeatRow {
        account_id: (*account).to_owned(),
        name: names.of(account),
        cells: cells.get_mut(*account).map(std::mem::take).unwrap_or_default(),
    };
    HeatMap {
        pack_groups: groups.iter().map(|(group, _)| (*group).to_owned()).collect(),
        pack_groups_omitted: omitted,
        accounts: order.iter().take(MAX_HEAT_ACCOUNTS).map(&mut row).collect(),
        accounts_omitted: order.len().saturating_sub(MAX_HEAT_ACCOUNTS) as u64,
    }
}

/// What an aggregator says of its sources.
pub(super) fn sources(sources: &RecordBatch, names: &AccountNames) -> Sources {
    let rows = Rows(sources);
    let by_status = sources_by_status(sources);
    let stale: Vec<usize> = (0..sources.num_rows()).filter(|row| rows.text("status", *row) != "SUCCEEDED").collect();
    let source = |row: &usize| {
        let row = *row;
        let updated = rows.0["last_update_time"].as_primitive::<TimestampMillisecondType>();
        StaleSource {
            source_id: rows.text("source_id", row).to_owned(),
            account_name: names.of(rows.text("source_id", row)),
            aws_region: rows.maybe_text("aws_region", row),
            status: rows.text("status", row).to_owned(),
            last_update_time: (!updated.is_null(row))
                .then(|| DateTime::from_timestamp_millis(updated.value(row)))
                .flatten(),
            error_code: rows.maybe_text("error_code", row),
            error_message: rows.maybe_text("error_message", row),
        }
    };
    Sources {
        count: sources.num_rows() as u64,
        succeeded: by_status.get("SUCCEEDED").copied().unwrap_or_default(),
        stale: Listed { count: stale.len() as u64, first: stale.iter().take(MAX_LISTED).map(source).collect() },
    }
}

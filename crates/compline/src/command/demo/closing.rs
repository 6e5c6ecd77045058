//! The demo's last words: where the data is, how it went, who regressed, and what to ask next. All of it is read back from
//! the lake.

use crate::nightly::Report;
use crate::settings::{Settings, lake_name};
use crate::summary::{percent, plain_table, points};
use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type};
use compline_model::{AggregatorId, SnapshotDate, Table};
use compline_sink::{Lake, Partition};
use indicatif::{HumanBytes, HumanCount};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// How many days of trend are shown.
const DAYS: usize = 7;

/// How many of those who regressed are shown.
const WORST: usize = 5;

pub(super) async fn closing(
    settings: &Settings,
    lake: &Lake,
    nights: &[Report],
    took: Duration,
) -> anyhow::Result<String> {
    let all = || nights.iter().flat_map(|night| &night.aggregators);
    let (rows, calls): (u64, u64) = (all().map(|night| night.rows).sum(), all().map(|night| night.calls).sum());
    let bytes: u64 = all().map(|night| night.bytes).sum();
    let name = lake_name(&settings.lake);
    let mut text = format!(
        "{} days of a made-up organization, {} rows from {} calls, in {:.0} s\n",
        nights.len(),
        HumanCount(rows),
        HumanCount(calls),
        took.as_secs_f64()
    );
    let _ = writeln!(
        text,
        "the lake is in {name}, {} written: a folder per table, day and aggregator\n",
        HumanBytes(bytes)
    );
    let dates: Vec<SnapshotDate> =
        nights.iter().rev().take(DAYS).rev().filter_map(|night| night.snapshot_date.parse().ok()).collect();
    for aggregator in &settings.aggregators {
        text.push_str(&trend(lake, &aggregator.address.id, &dates).await?);
    }
    text.push_str(&regressed(settings, lake, &dates).await?);
    let _ = write!(text, "{}", next_query(&name));
    Ok(text)
}

/// The last days of an aggregator as a table.
async fn trend(lake: &Lake, id: &AggregatorId, dates: &[SnapshotDate]) -> anyhow::Result<String> {
    let mut table = plain_table(&["day", "packs", "compliant", "7 days", "regressed", "remediated", "open days"]);
    for date in dates {
        let rows = read(lake, Table::ComplianceTrends, id, *date).await?;
        let dimension = rows["dimension"].as_string_view();
        if let Some(row) = dimension.iter().position(|name| name == Some("aggregator")) {
            table.add_row(trend_row(&rows, row, *date));
        }
    }
    Ok(format!("{id}\n{}\n\n", table.trim_fmt()))
}

fn trend_row(rows: &RecordBatch, row: usize, date: SnapshotDate) -> Vec<String> {
    let count = |name: &str| {
        let column = rows[name].as_primitive::<Int32Type>();
        if column.is_null(row) {
            "-".to_owned()
        } else {
            HumanCount(column.value(row).unsigned_abs().into()).to_string()
        }
    };
    let real = |name: &str| {
        let column = rows[name].as_primitive::<Float64Type>();
        (!column.is_null(row)).then(|| column.value(row))
    };
    vec![
        date.to_string(),
        count("packs_total"),
        percent(real("pack_compliance_rate")),
        points(real("pack_compliance_rate_change_7d")),
        count("packs_regressed"),
        count("packs_remediated"),
        real("open_non_compliant_median_days").map_or_else(|| "-".to_owned(), |days| format!("{days:.0}")),
    ]
}

/// Which account, region and pack group regressed most in the days shown.
async fn regressed(settings: &Settings, lake: &Lake, dates: &[SnapshotDate]) -> anyhow::Result<String> {
    let mut counts: BTreeMap<(String, String, String), u32> = BTreeMap::new();
    for aggregator in &settings.aggregators {
        for date in dates {
            let rows = read(lake, Table::PackChanges, &aggregator.address.id, *date).await?;
            let text = |name: &str| rows[name].as_string_view().clone();
            let (change, group, region) = (text("change"), text("pack_group"), text("aws_region"));
            for row in (0..rows.num_rows()).filter(|row| change.value(*row) == "regressed") {
                let key =
                    (aggregator.address.id.to_string(), group.value(row).to_owned(), region.value(row).to_owned());
                *counts.entry(key).or_default() += 1;
            }
        }
    }
    if counts.is_empty() {
        return Ok(String::new());
    }
    let mut worst: Vec<_> = counts.into_iter().collect();
    worst.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = plain_table(&["who regressed", "region", "aggregator", "times in these days"]);
    for ((aggregator, group, region), count) in worst.into_iter().take(WORST) {
        table.add_row([group, region, aggregator, count.to_string()]);
    }
    Ok(table.trim_fmt() + "\n\n")
}

async fn read(lake: &Lake, table: Table, id: &AggregatorId, date: SnapshotDate) -> anyhow::Result<RecordBatch> {
    let partition = Partition { table, date, aggregator: id.clone() };
    lake.read(&partition, None).await?.with_context(|| format!("{} is not in the lake", partition.key()))
}

fn next_query(lake: &str) -> String {
    // The path lands in SQL text, and in a pattern there.
    let mut path = String::new();
    for letter in lake.chars() {
        match letter {
            '\'' => path.push_str("''"),
            '*' | '?' | '[' => path.extend(['[', letter, ']']),
            letter => path.push(letter),
        }
    }
    format!(
        "ask next, with DuckDB:\n  \
         SELECT account_id, pack_group, days_in_status\n  \
         FROM read_parquet('{path}/pack_status/*/*/*.parquet', hive_partitioning = true)\n  \
         WHERE aggregator = 'org' AND is_present AND compliance_type = 'NON_COMPLIANT'\n    \
         AND snapshot_date = (SELECT snapshot_date FROM read_parquet('{path}/pack_status/*/*/*.parquet', hive_partitioning = true)\n      \
         ORDER BY snapshot_date DESC LIMIT 1)\n  \
         ORDER BY days_in_status DESC LIMIT 10;\n"
    )
}

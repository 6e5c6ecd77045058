//! What a report says, before it has a form.
//!
//! It is also what `--format json` prints: fields are added, and none is renamed or taken away within a version.

use chrono::{DateTime, Utc};
use compline_model::SnapshotDate;
use serde::Serialize;

/// The version of the document that `--format json` prints.
pub const FIGURES_VERSION: u32 = 1;

/// A report.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Figures {
    /// [`FIGURES_VERSION`].
    pub version: u32,
    /// Name and version of the program.
    pub program: String,
    /// The lake, as the pipeline file names it.
    pub lake: String,
    /// The day that it is about.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub date: SnapshotDate,
    /// How many days back histories go, `date` included.
    pub days: u32,
    /// The first of those days.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub from: SnapshotDate,
    /// Why accounts have no names, though they are wanted.
    pub without_names: Option<String>,
    /// When it was made.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub made_at: DateTime<Utc>,
    /// One for each aggregator that the lake or the pipeline file has, in order of their ids.
    pub aggregators: Vec<AggregatorFigures>,
}

/// What there is to say of an aggregator.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AggregatorFigures {
    /// Its id.
    pub aggregator: String,
    /// The last day at or before the report's that has a snapshot; all that follows is of this day.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub snapshot_date: Option<SnapshotDate>,
    /// Days from that day to the report's.
    pub days_old: Option<u32>,
    /// Whether the day is facts only: its packs depend on their compliance type, and it has no trends.
    pub is_facts_only: bool,
    /// Days up to the report's, in order, that wait to be accepted or rejected, however old they are.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub held: Vec<SnapshotDate>,
    /// Days of the period before the report's, in order, without a snapshot, after the first that there is. Held days are among them.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub gaps: Vec<SnapshotDate>,
    /// Days of the period, in order, that have a snapshot and no trends, but for `snapshot_date`: facts only, or their trends wait or are
    /// missing.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub without_trends: Vec<SnapshotDate>,
    /// The first day whose trends are out of date, if that is not after `snapshot_date`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub trends_out_of_date_from: Option<SnapshotDate>,
    /// The first day of the filters that the snapshot was collected with; None where its trends do not say it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub population_since: Option<SnapshotDate>,
    /// What could not be read, in words.
    pub unread: Vec<String>,
    /// The whole aggregator. None where there is no snapshot or it has no trends.
    pub total: Option<Line>,
    /// Of each region that has packs, the most packs first.
    pub regions: Vec<Line>,
    /// Of each pack group that has packs, the most packs first; [`MAX_HISTORIES`] of them have a history.
    pub pack_groups: Vec<Line>,
    /// Of each account that has packs, the worst first: by pack rate, then by non-compliant packs. They have no history.
    pub accounts: Vec<Line>,
    /// Rates of accounts by pack group; None where the states or the trends of the day are not there.
    pub heat_map: Option<HeatMap>,
    /// What there is of Config rules on the same day; None where they were not collected.
    pub rules: Option<RuleFigures>,
    /// Packs that regressed since the previous snapshot; None where the changes of the day are not there, and where there are none and no
    /// trends to say whether there was such a snapshot.
    pub regressed: Option<Listed<Change>>,
    /// Packs that are NON_COMPLIANT and were COMPLIANT in the status before, the longest first; None where the states of the day are not
    /// there.
    pub open_regressions: Option<Listed<OpenPack>>,
    /// Packs remediated from `remediated_from` to the snapshot, the last first; None where the trends of the day are not there.
    pub remediated: Option<Listed<Change>>,
    /// The first of the 30 days that end with the snapshot, or the first of its filters if that is later.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub remediated_from: Option<SnapshotDate>,
    /// Days from `remediated_from` on, in order, that have a snapshot and whose changes are not there: who was remediated on them is not
    /// in the list.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub remediated_not_seen: Vec<SnapshotDate>,
    /// What the aggregator says of its sources; None where that day has no such list, as an imported one.
    pub sources: Option<Sources>,
}

/// Some of many.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Listed<T> {
    /// How many there are.
    pub count: u64,
    /// The first of them, [`MAX_LISTED`] at most.
    pub first: Vec<T>,
}

/// How many of a list a report names.
pub const MAX_LISTED: usize = 1000;

/// How many pack groups have a history: outside an organization every pack is a group of its own.
pub const MAX_HISTORIES: usize = 100;

/// How a dimension's value stands.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Line {
    /// Aggregator id, region, pack group or account id.
    pub value: String,
    /// The account's name, if it is known.
    pub name: Option<String>,
    /// All packs.
    pub packs: i32,
    /// Those that are COMPLIANT.
    pub compliant: i32,
    /// Those that are NON_COMPLIANT.
    pub non_compliant: i32,
    /// Those that are INSUFFICIENT_DATA.
    pub insufficient_data: i32,
    /// Those with another compliance type, or none.
    pub unknown: i32,
    /// Compliant / (compliant + non-compliant) packs, 0..1.
    pub pack_rate: Option<f64>,
    /// Sum of compliant / sum of compliant and non-compliant rules, 0..1.
    pub rule_rate: Option<f64>,
    /// Change of the pack rate over 7 days, in 0..1.
    pub pack_rate_change_7d: Option<f64>,
    /// Change of the pack rate over 30 days.
    pub pack_rate_change_30d: Option<f64>,
    /// Change of the pack rate over 90 days.
    pub pack_rate_change_90d: Option<f64>,
    /// The snapshot that the next five are counted against; None where no earlier one is of the same packs.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub previous_snapshot_date: Option<SnapshotDate>,
    /// Packs never seen before.
    pub added: Option<i32>,
    /// Packs that are gone.
    pub removed: Option<i32>,
    /// Packs that came back.
    pub reappeared: Option<i32>,
    /// Packs that went from COMPLIANT to NON_COMPLIANT.
    pub regressed: Option<i32>,
    /// Packs that went from NON_COMPLIANT to COMPLIANT.
    pub remediated: Option<i32>,
    /// Median of the days that NON_COMPLIANT packs have been so.
    pub open_median_days: Option<f64>,
    /// Maximum of those days.
    pub open_max_days: Option<i32>,
    /// Packs remediated in 30 days.
    pub remediations_30d: i64,
    /// Mean days those had been NON_COMPLIANT.
    pub mean_days_to_remediate_30d: Option<f64>,
    /// Mean days of those of 90 days.
    pub mean_days_to_remediate_90d: Option<f64>,
    /// Its days in the period that have trends, in order.
    pub history: Vec<Point>,
}

/// A day of a history.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Point {
    /// Days since the first day of the period: 0 is [`Figures::from`].
    pub day: u32,
    /// The day.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub date: SnapshotDate,
    /// The pack rate, None where it has no denominator.
    pub pack_rate: Option<f64>,
    /// The rule rate.
    pub rule_rate: Option<f64>,
    /// All packs.
    pub packs: i32,
    /// The day on which the filters changed, if they did since the point before: these are other packs.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub filters_changed_on: Option<SnapshotDate>,
}

/// Pack rates of accounts by pack group.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeatMap {
    /// The groups, the most packs first, [`MAX_HEAT_GROUPS`] at most.
    pub pack_groups: Vec<String>,
    /// Groups that have no column.
    pub pack_groups_omitted: u64,
    /// The accounts, in the order of [`AggregatorFigures::accounts`], [`MAX_HEAT_ACCOUNTS`] at most.
    pub accounts: Vec<HeatRow>,
    /// Accounts that have no row.
    pub accounts_omitted: u64,
}

/// Columns of a heat map.
pub const MAX_HEAT_GROUPS: usize = 12;

/// Rows of a heat map.
pub const MAX_HEAT_ACCOUNTS: usize = 100;

/// A row of a heat map.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeatRow {
    /// The account.
    pub account_id: String,
    /// Its name, if it is known.
    pub name: Option<String>,
    /// One for each group; None where the account has no pack of it.
    pub cells: Vec<Option<HeatCell>>,
}

/// The packs of a group in an account.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeatCell {
    /// All.
    pub packs: u32,
    /// Those that are COMPLIANT.
    pub compliant: u32,
    /// Those that are NON_COMPLIANT.
    pub non_compliant: u32,
    /// The pack rate, None where all are neither.
    pub pack_rate: Option<f64>,
}

/// A pack's change.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// The account.
    pub account_id: String,
    /// Its name, if it is known.
    pub account_name: Option<String>,
    /// The region.
    pub aws_region: String,
    /// The pack.
    pub conformance_pack_name: String,
    /// Its group.
    pub pack_group: String,
    /// The day on which it was seen.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub date: SnapshotDate,
    /// Days in the compliance type before: of a remediated pack its time to remediate.
    pub days_in_previous_status: Option<i32>,
    /// Of a pack that regressed, the groups of its rules that turned NON_COMPLIANT; None where they could not be told, and of any other.
    pub rule_groups: Option<Vec<String>>,
}

/// How Config rules stand.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleFigures {
    /// All of them.
    pub rules: i32,
    /// Compliant / (compliant + non-compliant) rules, 0..1.
    pub rule_rate: Option<f64>,
    /// The same rule over accounts and regions, those with the most NON_COMPLIANT ones first.
    pub groups: Listed<RuleGroup>,
}

/// The same rule over accounts and regions.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleGroup {
    /// Its name without the ending that its pack, its organization or Security Hub gave it.
    pub rule_group: String,
    /// How many there are.
    pub rules: i32,
    /// Those that are COMPLIANT.
    pub compliant: i32,
    /// Those that are NON_COMPLIANT.
    pub non_compliant: i32,
    /// Compliant / (compliant + non-compliant), 0..1.
    pub rule_rate: Option<f64>,
    /// Change of that over 30 days.
    pub rule_rate_change_30d: Option<f64>,
    /// Those that went from COMPLIANT to NON_COMPLIANT since the previous snapshot.
    pub regressed: Option<i32>,
    /// The most days that one has been NON_COMPLIANT.
    pub open_max_days: Option<i32>,
}

/// A pack that is NON_COMPLIANT and was COMPLIANT in the status before.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenPack {
    /// The account.
    pub account_id: String,
    /// Its name, if it is known.
    pub account_name: Option<String>,
    /// The region.
    pub aws_region: String,
    /// The pack.
    pub conformance_pack_name: String,
    /// Its group.
    pub pack_group: String,
    /// The first snapshot that had it NON_COMPLIANT.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub status_since: SnapshotDate,
    /// Days since then.
    pub age_days: i32,
}

/// What an aggregator says of its sources, an account and region each.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sources {
    /// All.
    pub count: u64,
    /// Those that are SUCCEEDED.
    pub succeeded: u64,
    /// The others: FAILED, OUTDATED, or what else AWS Config says.
    pub stale: Listed<StaleSource>,
}

/// A source whose data is older than the snapshot, or missing.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StaleSource {
    /// Source account, or the organization's id.
    pub source_id: String,
    /// The account's name, if it is known.
    pub account_name: Option<String>,
    /// Source region.
    pub aws_region: Option<String>,
    /// FAILED or OUTDATED.
    pub status: String,
    /// When the aggregator last heard from it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub last_update_time: Option<DateTime<Utc>>,
    /// Why the last update failed.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
}

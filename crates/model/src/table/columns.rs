//! The columns of each table, each with its meaning: the one place where a column is defined.

use super::Column;
use super::ColumnType::{Boolean, Date, Float64, Int32, Int64, Text, Timestamp};

const fn required(name: &'static str, column_type: super::ColumnType, doc: &'static str) -> Column {
    Column { name, column_type, nullable: false, doc, since: 1 }
}

const fn optional(name: &'static str, column_type: super::ColumnType, doc: &'static str) -> Column {
    Column { name, column_type, nullable: true, doc, since: 1 }
}

/// A column that came with a later version of the tables: files of an older one do not have it.
const fn later(since: u32, name: &'static str, column_type: super::ColumnType, doc: &'static str) -> Column {
    Column { name, column_type, nullable: true, doc, since }
}

const ACCOUNT_ID: Column = required("account_id", Text, "AWS account, 12 digits as text");
const AWS_REGION: Column = required("aws_region", Text, "AWS region");
const PACK_NAME: Column = required("conformance_pack_name", Text, "full name of the conformance pack");
const PACK_GROUP: Column =
    required("pack_group", Text, "name shared by the copies of an organization pack, else the pack's own name");

pub(super) const PACK_COMPLIANCE: &[Column] = &[
    ACCOUNT_ID,
    AWS_REGION,
    PACK_NAME,
    PACK_GROUP,
    required("is_organization_pack", Boolean, "whether the name is that of an organization pack"),
    optional(
        "compliance_type",
        Text,
        "as AWS Config said it: COMPLIANT, NON_COMPLIANT, INSUFFICIENT_DATA or another text, null if it said none",
    ),
    optional("compliant_rule_count", Int32, "rules that are compliant, as AWS Config said it"),
    optional("non_compliant_rule_count", Int32, "rules that are not compliant, as AWS Config said it"),
    optional(
        "insufficient_data_rule_count",
        Int32,
        "rules that could not be evaluated: total less compliant less non-compliant",
    ),
    optional("total_rule_count", Int32, "all rules of the pack, as AWS Config said it"),
    optional(
        "rule_compliance_rate",
        Float64,
        "compliant / (compliant + non-compliant) rules, 0..1 (null if there are none)",
    ),
    optional(
        "source_status",
        Text,
        "what the aggregator says of this account and region: SUCCEEDED, FAILED or OUTDATED",
    ),
    optional("source_updated_at", Timestamp, "when the aggregator last heard from this account and region"),
    optional(
        "collected_at",
        Timestamp,
        "when the answer with this row arrived, null for imported files that do not say",
    ),
    required("run_id", Text, "the run that collected it"),
];

pub(super) const SOURCE_STATUS: &[Column] = &[
    required("source_id", Text, "source account, or the organization's id"),
    required("source_type", Text, "ACCOUNT or ORGANIZATION"),
    optional("aws_region", Text, "source region"),
    required("status", Text, "SUCCEEDED, FAILED or OUTDATED, as AWS Config said it"),
    optional("last_update_time", Timestamp, "when the aggregator last heard from the source"),
    optional("error_code", Text, "why the last update failed"),
    optional("error_message", Text, "why the last update failed, in words"),
    required("collected_at", Timestamp, "when the answer with this row arrived"),
    required("run_id", Text, "the run that collected it"),
];

pub(super) const PACK_CHANGES: &[Column] = &[
    ACCOUNT_ID,
    AWS_REGION,
    PACK_NAME,
    PACK_GROUP,
    required(
        "change",
        Text,
        "added, removed, reappeared, regressed, remediated or changed, since the previous snapshot",
    ),
    optional("from_type", Text, "compliance type before: for reappeared the last one known, null for added"),
    optional("to_type", Text, "compliance type now, null for removed"),
    optional(
        "days_in_previous_status",
        Int32,
        "days from the start of the status before to this day, or for reappeared to the day it was last seen",
    ),
    required("previous_snapshot_date", Date, "the snapshot this day is compared with"),
];

pub(super) const PACK_STATUS: &[Column] = &[
    ACCOUNT_ID,
    AWS_REGION,
    PACK_NAME,
    PACK_GROUP,
    optional("compliance_type", Text, "compliance type when last seen"),
    optional("previous_compliance_type", Text, "the other compliance type it had before this one"),
    required("status_since", Date, "first snapshot of the unbroken time in this compliance type"),
    required("days_in_status", Int32, "days from status_since to this day, or to the day it was last seen"),
    required("first_seen_date", Date, "first snapshot that had the pack"),
    required("last_seen_date", Date, "last snapshot that had the pack"),
    required("is_present", Boolean, "whether this day's snapshot has the pack"),
    required("change_count", Int32, "how often its compliance type changed from one snapshot to the next"),
];

pub(super) const COMPLIANCE_TRENDS: &[Column] = &[
    required("dimension", Text, "aggregator, account, region or pack_group"),
    required("dimension_value", Text, "which one"),
    required("packs_total", Int32, "packs in the snapshot"),
    required("packs_compliant", Int32, "packs that are COMPLIANT"),
    required("packs_non_compliant", Int32, "packs that are NON_COMPLIANT"),
    required("packs_insufficient_data", Int32, "packs that are INSUFFICIENT_DATA"),
    required("packs_unknown", Int32, "packs with another compliance type, or none"),
    required("rules_compliant", Int64, "sum of compliant rules"),
    required("rules_non_compliant", Int64, "sum of non-compliant rules"),
    required("rules_insufficient_data", Int64, "sum of rules that could not be evaluated"),
    required("rules_total", Int64, "sum of all rules"),
    optional(
        "pack_compliance_rate",
        Float64,
        "compliant / (compliant + non-compliant) packs, 0..1 (null if there are none)",
    ),
    optional(
        "rule_compliance_rate",
        Float64,
        "sum of compliant / sum of compliant and non-compliant rules, 0..1 (null if there are none)",
    ),
    optional("previous_snapshot_date", Date, "the snapshot the events are counted against, null on the first day"),
    optional("packs_added", Int32, "packs never seen before, null on the first day"),
    optional("packs_removed", Int32, "packs that are gone, null on the first day"),
    optional("packs_reappeared", Int32, "packs that came back, null on the first day"),
    optional("packs_regressed", Int32, "packs that went from COMPLIANT to NON_COMPLIANT, null on the first day"),
    optional("packs_remediated", Int32, "packs that went from NON_COMPLIANT to COMPLIANT, null on the first day"),
    optional(
        "remediation_days",
        Int64,
        "sum of the days that this day's remediated packs had been NON_COMPLIANT, null on the first day",
    ),
    optional("pack_compliance_rate_change_7d", Float64, "pack rate less that of the last snapshot 7 to 13 days ago"),
    optional("rule_compliance_rate_change_7d", Float64, "rule rate less that of the last snapshot 7 to 13 days ago"),
    optional("pack_compliance_rate_mean_7d", Float64, "mean of the pack rates of the snapshots in 7 days"),
    optional("rule_compliance_rate_mean_7d", Float64, "mean of the rule rates of the snapshots in 7 days"),
    required("days_observed_7d", Int32, "snapshots in the 7 calendar days that end on this day and have packs here"),
    optional("pack_compliance_rate_change_30d", Float64, "pack rate less that of the last snapshot 30 to 59 days ago"),
    optional("rule_compliance_rate_change_30d", Float64, "rule rate less that of the last snapshot 30 to 59 days ago"),
    optional("pack_compliance_rate_mean_30d", Float64, "mean of the pack rates of the snapshots in 30 days"),
    optional("rule_compliance_rate_mean_30d", Float64, "mean of the rule rates of the snapshots in 30 days"),
    required("days_observed_30d", Int32, "snapshots in the 30 calendar days that end on this day and have packs here"),
    optional("pack_compliance_rate_change_90d", Float64, "pack rate less that of the last snapshot 90 to 179 days ago"),
    optional("rule_compliance_rate_change_90d", Float64, "rule rate less that of the last snapshot 90 to 179 days ago"),
    optional("pack_compliance_rate_mean_90d", Float64, "mean of the pack rates of the snapshots in 90 days"),
    optional("rule_compliance_rate_mean_90d", Float64, "mean of the rule rates of the snapshots in 90 days"),
    required("days_observed_90d", Int32, "snapshots in the 90 calendar days that end on this day and have packs here"),
    required("remediations_30d", Int64, "packs remediated in 30 days"),
    optional(
        "mean_days_to_remediate_30d",
        Float64,
        "mean days those packs had been NON_COMPLIANT (open ones are not in it)",
    ),
    required("remediations_90d", Int64, "packs remediated in 90 days"),
    optional(
        "mean_days_to_remediate_90d",
        Float64,
        "mean days those packs had been NON_COMPLIANT (open ones are not in it)",
    ),
    required("open_non_compliant_packs", Int32, "packs that are NON_COMPLIANT now"),
    optional("open_non_compliant_median_days", Float64, "median of the days they have been so"),
    optional("open_non_compliant_max_days", Int32, "maximum of the days they have been so"),
    later(
        3,
        "population_since",
        Date,
        "first snapshot since the aggregator's filters, include or exclude last changed: trends look back no further",
    ),
];

const RULE_NAME: Column = required("config_rule_name", Text, "full name of the Config rule");
const RULE_GROUP: Column = required(
    "rule_group",
    Text,
    "the rule's name without the ending that its pack, its organization or Security Hub gave it",
);

pub(super) const RULE_COMPLIANCE: &[Column] = &[
    ACCOUNT_ID,
    AWS_REGION,
    RULE_NAME,
    RULE_GROUP,
    optional(
        "conformance_pack_id",
        Text,
        "what a pack's rules have at the end of their names, one in each account and region, null for a rule of no pack",
    ),
    optional(
        "compliance_type",
        Text,
        "as AWS Config said it: COMPLIANT, NON_COMPLIANT, NOT_APPLICABLE, INSUFFICIENT_DATA or another text, null if it said none",
    ),
    optional(
        "contributor_count",
        Int32,
        "resources that are why it is compliant or not, as far as AWS Config counts them",
    ),
    optional("contributor_count_capped", Boolean, "whether there are more of them than it counts"),
    optional(
        "source_status",
        Text,
        "what the aggregator says of this account and region: SUCCEEDED, FAILED or OUTDATED",
    ),
    optional("source_updated_at", Timestamp, "when the aggregator last heard from this account and region"),
    optional(
        "collected_at",
        Timestamp,
        "when the answer with this row arrived, null for imported files that do not say",
    ),
    required("run_id", Text, "the run that collected it"),
];

pub(super) const RULE_CHANGES: &[Column] = &[
    ACCOUNT_ID,
    AWS_REGION,
    RULE_NAME,
    RULE_GROUP,
    required(
        "change",
        Text,
        "added, removed, reappeared, regressed, remediated or changed, since the previous snapshot",
    ),
    optional("from_type", Text, "compliance type before: for reappeared the last one known, null for added"),
    optional("to_type", Text, "compliance type now, null for removed"),
    optional(
        "days_in_previous_status",
        Int32,
        "days from the start of the status before to this day, or for reappeared to the day it was last seen",
    ),
    required("previous_snapshot_date", Date, "the snapshot this day is compared with"),
];

pub(super) const RULE_STATUS: &[Column] = &[
    ACCOUNT_ID,
    AWS_REGION,
    RULE_NAME,
    RULE_GROUP,
    optional("compliance_type", Text, "compliance type when last seen"),
    optional("previous_compliance_type", Text, "the other compliance type it had before this one"),
    required("status_since", Date, "first snapshot of the unbroken time in this compliance type"),
    required("days_in_status", Int32, "days from status_since to this day, or to the day it was last seen"),
    required("first_seen_date", Date, "first snapshot that had the rule"),
    required("last_seen_date", Date, "last snapshot that had the rule"),
    required("is_present", Boolean, "whether this day's snapshot has the rule"),
    required("change_count", Int32, "how often its compliance type changed from one snapshot to the next"),
];

pub(super) const RULE_TRENDS: &[Column] = &[
    required("dimension", Text, "aggregator, account, region or rule_group"),
    required("dimension_value", Text, "which one"),
    required("rules_total", Int32, "rules in the snapshot"),
    required("rules_compliant", Int32, "rules that are COMPLIANT"),
    required("rules_non_compliant", Int32, "rules that are NON_COMPLIANT"),
    required("rules_not_applicable", Int32, "rules that are NOT_APPLICABLE"),
    required("rules_insufficient_data", Int32, "rules that are INSUFFICIENT_DATA"),
    required("rules_unknown", Int32, "rules with another compliance type, or none"),
    optional(
        "rule_compliance_rate",
        Float64,
        "compliant / (compliant + non-compliant) rules, 0..1 (null if there are none)",
    ),
    optional("previous_snapshot_date", Date, "the snapshot the events are counted against, null on the first day"),
    optional("rules_added", Int32, "rules never seen before, null on the first day"),
    optional("rules_removed", Int32, "rules that are gone, null on the first day"),
    optional("rules_reappeared", Int32, "rules that came back, null on the first day"),
    optional("rules_regressed", Int32, "rules that went from COMPLIANT to NON_COMPLIANT, null on the first day"),
    optional("rules_remediated", Int32, "rules that went from NON_COMPLIANT to COMPLIANT, null on the first day"),
    optional(
        "remediation_days",
        Int64,
        "sum of the days that this day's remediated rules had been NON_COMPLIANT, null on the first day",
    ),
    optional("rule_compliance_rate_change_7d", Float64, "rate less that of the last snapshot 7 to 13 days ago"),
    optional("rule_compliance_rate_mean_7d", Float64, "mean of the rates of the snapshots in 7 days"),
    required("days_observed_7d", Int32, "snapshots in the 7 calendar days that end on this day and have rules here"),
    optional("rule_compliance_rate_change_30d", Float64, "rate less that of the last snapshot 30 to 59 days ago"),
    optional("rule_compliance_rate_mean_30d", Float64, "mean of the rates of the snapshots in 30 days"),
    required("days_observed_30d", Int32, "snapshots in the 30 calendar days that end on this day and have rules here"),
    optional("rule_compliance_rate_change_90d", Float64, "rate less that of the last snapshot 90 to 179 days ago"),
    optional("rule_compliance_rate_mean_90d", Float64, "mean of the rates of the snapshots in 90 days"),
    required("days_observed_90d", Int32, "snapshots in the 90 calendar days that end on this day and have rules here"),
    required("remediations_30d", Int64, "rules remediated in 30 days"),
    optional(
        "mean_days_to_remediate_30d",
        Float64,
        "mean days those rules had been NON_COMPLIANT (open ones are not in it)",
    ),
    required("remediations_90d", Int64, "rules remediated in 90 days"),
    optional(
        "mean_days_to_remediate_90d",
        Float64,
        "mean days those rules had been NON_COMPLIANT (open ones are not in it)",
    ),
    required("open_non_compliant_rules", Int32, "rules that are NON_COMPLIANT now"),
    optional("open_non_compliant_median_days", Float64, "median of the days they have been so"),
    optional("open_non_compliant_max_days", Int32, "maximum of the days they have been so"),
    required(
        "population_since",
        Date,
        "first snapshot since the aggregator's filters, include or exclude last changed: trends look back no further",
    ),
];

pub(super) const RUNS: &[Column] = &[
    required("run_id", Text, "the run"),
    required("started_at", Timestamp, "when the run started"),
    required("finished_at", Timestamp, "when the run was done with this aggregator"),
    required("outcome", Text, "succeeded, held, rejected, failed, or dropped: moved to its month's file by maintain"),
    optional("error", Text, "why it failed, or is held, or what was left undone"),
    required("command", Text, "run, import or maintain"),
    required("shards", Int32, "shards of the plan"),
    required("shards_resumed", Int32, "shards of the plan that a stopped run had read"),
    required(
        "shard_restarts",
        Int32,
        "shards read again from their first page, since AWS Config refused their page token",
    ),
    required("calls", Int64, "requests sent to AWS Config, repeated ones included"),
    required("retries", Int64, "requests that repeated one that had failed"),
    required("throttles", Int64, "requests answered with a throttling error"),
    required("pages", Int64, "pages read"),
    required("empty_pages", Int64, "pages without a row"),
    required("rows", Int64, "rows committed to pack_compliance or rule_compliance, or held"),
    required("left_out", Int64, "rows that came and that the pipeline file does not want"),
    required("duplicates", Int64, "rows dropped because an equal one was there"),
    required("conflicts", Int64, "rows dropped because a later answer for the same pack or rule differs"),
    required("warnings", Int64, "rows whose numbers or type contradict each other, stored as AWS Config said them"),
    optional(
        "unreconciled",
        Int64,
        "accounts whose packs are not as many as AWS Config counts them, null if not asked",
    ),
    required("bytes", Int64, "bytes written, the ledger's own not counted"),
    required("version", Text, "version of Compline"),
    later(2, "not_reconciled", Text, "why AWS Config's own count could not be had, null if it was, or was not asked"),
    later(
        2,
        "snapshot_sha256",
        Text,
        "SHA-256 of the file that was committed to pack_compliance or rule_compliance, or is held, in hexadecimal",
    ),
    later(
        2,
        "source_status_sha256",
        Text,
        "SHA-256 of the file that was committed to source_status, or is held, in hexadecimal",
    ),
    later(
        3,
        "commit_number",
        Int64,
        "order of what became of this day, 1 for the first: committed, held, rejected or dropped (null if the run changed nothing)",
    ),
    later(
        3,
        "population",
        Text,
        "which packs or rules were asked for: the filters, include and exclude of the pipeline file",
    ),
    later(3, "facts_only", Boolean, "whether the population depends on the compliance type, so that it has no trends"),
    later(
        4,
        "caller",
        Text,
        "ARN of the caller identity that asked AWS Config, null if STS was not asked or did not say",
    ),
    later(5, "dataset", Text, "what was collected: packs or rules (null, of versions that knew no other, is packs)"),
];

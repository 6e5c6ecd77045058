//! The metrics. Alert rules and dashboards go by these names: one that is gone is a change to tell.

use compline_telemetry::{Metric, Unit};

const fn metric(name: &'static str, help: &'static str, unit: Unit) -> Metric {
    Metric { name, help, unit }
}

pub(super) const LAST_RUN_TIMESTAMP: Metric =
    metric("compline_last_run_timestamp_seconds", "When the last run ended, since 1970", Unit::Seconds);
pub(super) const LAST_RUN_SUCCESS: Metric = metric(
    "compline_last_run_success",
    "Whether the last run committed its day: 1, or 0 if it failed or is held",
    Unit::Count,
);
pub(super) const LAST_SUCCESS_TIMESTAMP: Metric = metric(
    "compline_last_success_timestamp_seconds",
    "When the last snapshot was committed, or the end of its day if that was later, since 1970",
    Unit::Seconds,
);
pub(super) const LAST_SUCCESS_AGE: Metric =
    metric("compline_last_success_age_seconds", "How long ago that was when this was written", Unit::Seconds);
pub(super) const HELD_DAYS: Metric =
    metric("compline_held_days", "Days that are held until a person decides", Unit::Count);
pub(super) const GAP_DAYS: Metric =
    metric("compline_gap_days", "Days without a snapshot of the last 30, today not counted", Unit::Count);
pub(super) const SOURCES: Metric =
    metric("compline_sources", "Source accounts and regions of the last snapshot", Unit::Count);
pub(super) const STALE_SOURCES: Metric =
    metric("compline_stale_sources", "Sources of the last snapshot by status other than SUCCEEDED", Unit::Count);
pub(super) const TRENDS_BEHIND: Metric =
    metric("compline_trends_behind", "Whether trend tables are out of date: 1 or 0", Unit::Count);
pub(super) const LAST_VERIFY_TIMESTAMP: Metric =
    metric("compline_last_verify_timestamp_seconds", "When the lake was last verified, since 1970", Unit::Seconds);
pub(super) const LAST_VERIFY_PROBLEMS: Metric = metric(
    "compline_last_verify_problems",
    "Problems of the last verification but what the next run completes",
    Unit::Count,
);
pub(super) const RUN_ROWS: Metric =
    metric("compline_run_rows", "Packs, or rules, that the last run collected", Unit::Count);
pub(super) const RUN_PAGES: Metric = metric("compline_run_pages", "Pages that the last run read", Unit::Count);
pub(super) const RUN_CALLS: Metric =
    metric("compline_run_calls", "Requests that the last run sent to AWS Config, repeated ones included", Unit::Count);
pub(super) const RUN_THROTTLES: Metric =
    metric("compline_run_throttles", "Requests of the last run that AWS Config throttled", Unit::Count);
pub(super) const RUN_RETRIES: Metric =
    metric("compline_run_retries", "Requests of the last run that repeated one that had failed", Unit::Count);
pub(super) const RUN_BYTES: Metric = metric("compline_run_bytes", "Bytes that the last run wrote", Unit::Bytes);
pub(super) const RUN_WARNINGS: Metric =
    metric("compline_run_warnings", "Inconsistent rows and conflicting duplicates of the last run", Unit::Count);
pub(super) const RUN_SECONDS: Metric = metric("compline_run_seconds", "How long the last run took", Unit::Seconds);
pub(super) const RUN_STAGE_SECONDS: Metric =
    metric("compline_run_stage_seconds", "How long each stage of the last run took", Unit::Seconds);
pub(super) const PACKS: Metric = metric("compline_packs", "Packs of the last snapshot", Unit::Count);
pub(super) const PACK_RATE: Metric =
    metric("compline_pack_compliance_rate", "Compliant packs of compliant and non-compliant ones, 0 to 1", Unit::Ratio);
pub(super) const GROUP_RATE: Metric =
    metric("compline_pack_group_compliance_rate", "The same of each group of packs, of the 50 largest", Unit::Ratio);
pub(super) const GROUPS_OMITTED: Metric =
    metric("compline_pack_groups_omitted", "Groups of packs without a series of their own", Unit::Count);
pub(super) const OPEN_PACKS: Metric =
    metric("compline_open_non_compliant_packs", "Packs that are NON_COMPLIANT", Unit::Count);
pub(super) const RULES: Metric = metric("compline_rules", "Config rules of the last snapshot of rules", Unit::Count);
pub(super) const RULE_RATE: Metric =
    metric("compline_rule_compliance_rate", "Compliant rules of compliant and non-compliant ones, 0 to 1", Unit::Ratio);
pub(super) const RULE_GROUP_RATE: Metric =
    metric("compline_rule_group_compliance_rate", "The same of each group of rules, of the 50 largest", Unit::Ratio);
pub(super) const RULE_GROUPS_OMITTED: Metric =
    metric("compline_rule_groups_omitted", "Groups of rules without a series of their own", Unit::Count);
pub(super) const OPEN_RULES: Metric =
    metric("compline_open_non_compliant_rules", "Rules that are NON_COMPLIANT", Unit::Count);
pub(super) const OPEN_DAYS_MAX: Metric =
    metric("compline_open_non_compliant_days_max", "The longest that one of them has been so", Unit::Days);
pub(super) const REMEDIATE_30D: Metric =
    metric("compline_mean_days_to_remediate_30d", "Mean time to remediate of 30 days", Unit::Days);
pub(super) const REMEDIATE_90D: Metric =
    metric("compline_mean_days_to_remediate_90d", "Mean time to remediate of 90 days", Unit::Days);
pub(super) const BUILD_INFO: Metric = metric("compline_build_info", "Which build wrote this: always 1", Unit::Count);

//! The pipeline file as it is written.

use super::problem::{Problem, Source};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Spanned, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pipeline {
    pub(super) version: Spanned<i64>,
    pub(super) lake: Lake,
    #[serde(default)]
    pub(super) aggregator: Vec<Aggregator>,
    #[serde(default)]
    pub(super) fetch: Fetch,
    #[serde(default)]
    pub(super) check: Check,
    #[serde(default)]
    pub(super) archive: Archive,
    pub(super) catalog: Option<Catalog>,
    #[serde(default)]
    pub(super) maintain: Maintain,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lake {
    pub(super) url: Spanned<String>,
    pub(super) compression: Option<Spanned<String>>,
    pub(super) region: Option<Spanned<String>>,
    pub(super) endpoint_url: Option<Spanned<String>>,
    pub(super) path_style: Option<Spanned<bool>>,
    pub(super) encryption: Option<Spanned<String>>,
    pub(super) kms_key_id: Option<Spanned<String>>,
    pub(super) bucket_key: Option<Spanned<bool>>,
    pub(super) acl: Option<Spanned<String>>,
    pub(super) expected_bucket_owner: Option<Spanned<String>>,
    pub(super) storage_class: Option<Spanned<String>>,
    pub(super) tags: Option<Spanned<BTreeMap<String, String>>>,
    pub(super) checksums: Option<Spanned<String>>,
    pub(super) attempt_timeout_secs: Option<Spanned<i64>>,
    pub(super) max_attempts: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Aggregator {
    pub(super) id: Spanned<String>,
    pub(super) name: Spanned<String>,
    pub(super) region: Spanned<String>,
    pub(super) fan_out: Option<Spanned<String>>,
    pub(super) role_arn: Option<Spanned<String>>,
    pub(super) external_id: Option<Spanned<String>>,
    pub(super) role_session_name: Option<Spanned<String>>,
    pub(super) role_duration_secs: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) filter: Vec<Filter>,
    #[serde(default)]
    pub(super) include: Patterns,
    #[serde(default)]
    pub(super) exclude: Patterns,
}

/// Every field is a value or a list of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    pub(super) account_id: Option<Spanned<Value>>,
    pub(super) aws_region: Option<Spanned<Value>>,
    pub(super) conformance_pack_name: Option<Spanned<Value>>,
    pub(super) compliance_type: Option<Spanned<Value>>,
}

/// Every field is a pattern or a list of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patterns {
    pub(super) conformance_pack_name: Option<Spanned<Value>>,
    pub(super) pack_group: Option<Spanned<Value>>,
    pub(super) account_id: Option<Spanned<Value>>,
    pub(super) aws_region: Option<Spanned<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalog {
    pub(super) database: Spanned<String>,
    pub(super) partitions: Option<Spanned<String>>,
    pub(super) first_day: Option<Spanned<String>>,
    pub(super) region: Option<Spanned<String>>,
    pub(super) endpoint_url: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Maintain {
    pub(super) pack_status_days: Option<Spanned<i64>>,
    pub(super) snapshot_days: Option<Spanned<i64>>,
    pub(super) compact: Option<Spanned<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Archive {
    pub(super) raw: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetch {
    pub(super) page_size: Option<Spanned<i64>>,
    pub(super) max_in_flight: Option<Spanned<i64>>,
    pub(super) max_requests_per_second: Option<Spanned<Value>>,
    pub(super) max_attempts: Option<Spanned<i64>>,
    pub(super) operation_timeout_secs: Option<Spanned<i64>>,
    pub(super) attempt_timeout_secs: Option<Spanned<i64>>,
    pub(super) run_deadline_secs: Option<Spanned<i64>>,
    pub(super) checkpoint_max_age_secs: Option<Spanned<i64>>,
    pub(super) endpoint_url: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub(super) max_loss_percent: Option<Spanned<i64>>,
    pub(super) reconcile: Option<Spanned<String>>,
    pub(super) reconcile_tolerance_percent: Option<Spanned<i64>>,
}

pub(super) fn parse(source: &Source<'_>) -> Result<Pipeline, Problem> {
    toml::from_str(source.text).map_err(|error| {
        let message = error.message().trim().replace('\n', " ");
        match error.span() {
            Some(span) => {
                let line = source.line_at(&span);
                source.problem(Some(span), format!("{line}: {message}"))
            }
            None => source.problem(None, message),
        }
    })
}

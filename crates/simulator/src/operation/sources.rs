//! `DescribeConfigurationAggregatorSourcesStatus`.

use super::{Context, List, MAX_LIMIT};
use crate::organization::SourceFault;
use crate::request::{ApiError, Fields};
use crate::token;
use serde_json::{Value, json};

const STATUSES: [&str; 3] = ["SUCCEEDED", "FAILED", "OUTDATED"];

pub(super) fn answer(context: &Context<'_>, fields: &Fields) -> Result<Value, ApiError> {
    let aggregator = context.aggregator(fields)?;
    let wanted = wanted(fields)?;
    let fingerprint = token::fingerprint(&("sources", context.date, aggregator.name, &wanted));
    let list = List { name: "AggregatedSourceStatusList", max_limit: MAX_LIMIT };
    let paging = context.paging(fields, fingerprint, list)?;
    let organization = context.organization;
    let mut found = Vec::new();
    for account in organization.covered(aggregator).filter(|account| organization.has_account(*account, context.date)) {
        for region in 0..organization.regions().len() as u32 {
            let status = || name(organization.source_fault(account, region, context.date));
            if wanted.is_empty() || wanted.iter().any(|wanted| wanted == status()) {
                found.push((account, region));
            }
        }
    }
    context.cut("sources_named", context.faults.faults.sources_named, &mut found);
    let page =
        context.page(paging, found.len(), |range| found[range].iter().map(|source| item(context, *source)).collect());
    Ok(page.into())
}

fn wanted(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let Some(value) = fields.value("UpdateStatus") else { return Ok(Vec::new()) };
    let texts: Vec<String> = value
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    match texts.iter().find(|text| !STATUSES.contains(&text.as_str())) {
        Some(text) => {
            Err(ApiError::validation(format!("Value '{text}' at 'updateStatus' failed to satisfy constraint")))
        }
        None => Ok(texts),
    }
}

fn name(fault: Option<SourceFault>) -> &'static str {
    match fault {
        None => "SUCCEEDED",
        Some(SourceFault::Failed) => "FAILED",
        Some(SourceFault::Outdated) => "OUTDATED",
    }
}

fn item(context: &Context<'_>, (account, region): (u32, u32)) -> Value {
    let fault = context.organization.source_fault(account, region, context.date);
    const HOUR: i64 = 3_600;
    // Sources are heard of in the small hours of the day, stale ones some days before.
    let midnight = i64::from(context.date.days_since_epoch()) * 24 * HOUR;
    let age = if fault.is_some() { 72 * HOUR } else { 0 };
    let mut item = json!({
        "SourceId": context.organization.account_id(account),
        "SourceType": "ACCOUNT",
        "AwsRegion": context.organization.regions()[region as usize],
        "LastUpdateStatus": name(fault),
        "LastUpdateTime": midnight - age + i64::from((account * 7 + region * 13) % 7_200),
    });
    if fault == Some(SourceFault::Failed) {
        item["LastErrorCode"] = "AccessDenied".into();
        item["LastErrorMessage"] = "The aggregator is not authorized to collect data from this source".into();
    }
    item
}

//! `GetAggregateConformancePackComplianceSummary`.

use super::listing::place;
use super::{Context, List, MAX_LIMIT};
use crate::organization::Kind;
use crate::request::{ApiError, Fields};
use crate::rows::Query;
use crate::token;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn answer(context: &Context<'_>, fields: &Fields) -> Result<Value, ApiError> {
    let aggregator = context.aggregator(fields)?;
    let (account_id, region) = place(&fields.inner("Filters")?)?;
    let group_by = fields.text("GroupByKey", |text| ["ACCOUNT_ID", "AWS_REGION"].contains(&text))?;
    let query =
        Query { aggregator: aggregator.name, account_id, region, name: None, kind: None, without_results: true };
    let fingerprint = token::fingerprint(&(context.date, &query, &group_by));
    let list = List { name: "AggregateConformancePackComplianceSummaries", max_limit: MAX_LIMIT };
    let paging = context.paging(fields, fingerprint, list)?;
    let organization = context.organization;
    let cached = context.days.get(organization, context.date);
    let mut groups: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for position in cached.packs(organization, &query, organization.covered(aggregator)).iter() {
        let row = &cached.day.rows[*position as usize];
        let group = match group_by.as_deref() {
            Some("ACCOUNT_ID") => organization.account_id(row.account),
            Some(_) => organization.regions()[usize::from(row.region)],
            None => "",
        };
        let (compliant, non_compliant) = groups.entry(group).or_insert((context.faults.faults.summary_off_by, 0));
        match row.state.kind {
            Kind::Compliant => *compliant += 1,
            Kind::NonCompliant => *non_compliant += 1,
            Kind::InsufficientData => {}
        }
    }
    if context.faults.faults.summary_off_by > 0 && !groups.is_empty() {
        context.faults.note("summary_off_by");
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    context.cut("summary_groups", context.faults.faults.summary_groups, &mut groups);
    let mut page = context.page(paging, groups.len(), |range| groups[range].iter().map(item).collect());
    if let Some(key) = group_by {
        page.insert("GroupByKey".to_owned(), key.into());
    }
    Ok(page.into())
}

fn item((name, (compliant, non_compliant)): &(&str, (u32, u32))) -> Value {
    let counts = json!({
        "CompliantConformancePackCount": compliant,
        "NonCompliantConformancePackCount": non_compliant,
    });
    if name.is_empty() {
        json!({ "ComplianceSummary": counts })
    } else {
        json!({ "ComplianceSummary": counts, "GroupName": name })
    }
}

//! `DescribeAggregateComplianceByConformancePacks`.

use super::listing::Listing;
use super::{Context, List, MAX_LIMIT};
use crate::organization::Kind;
use crate::request::{ApiError, Fields};
use crate::rows::Row;
use compline_model::PackName;
use serde_json::{Value, json};

const LISTING: Listing = Listing {
    list: List { name: "AggregateComplianceByConformancePacks", max_limit: MAX_LIMIT },
    name: "ConformancePackName",
    is_name: |text| text.parse::<PackName>().is_ok(),
    kinds: &Kind::ALL,
};

pub(super) fn answer(context: &Context<'_>, fields: &Fields) -> Result<Value, ApiError> {
    let (query, covered) = LISTING.query(context, fields, true)?;
    let paging = LISTING.paging(context, fields, &query)?;
    let cached = context.days.get(context.organization, context.date);
    let found = cached.packs(context.organization, &query, covered);
    let page = context.page(paging, found.len(), |range| {
        found[range].iter().map(|position| item(context, &cached.day.rows[*position as usize])).collect()
    });
    Ok(page.into())
}

fn item(context: &Context<'_>, row: &Row) -> Value {
    let compliance = json!({
        "ComplianceType": row.state.kind.as_str(),
        "CompliantRuleCount": row.state.compliant,
        "NonCompliantRuleCount": row.state.non_compliant,
        "TotalRuleCount": row.state.total,
    });
    LISTING.item(context, (row.account, row.region), row.pack_name(context.organization), compliance)
}

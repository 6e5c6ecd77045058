//! `DescribeAggregateComplianceByConformancePacks`.

use super::{Context, place};
use crate::organization::Kind;
use crate::request::{ApiError, Fields};
use crate::rows::{Query, Row};
use crate::token;
use compline_model::PackName;
use serde_json::{Value, json};

pub(super) fn answer(context: &Context<'_>, fields: &Fields) -> Result<Value, ApiError> {
    let aggregator = context.aggregator(fields)?;
    let filters = fields.inner("Filters");
    let (account_id, region) = place(&filters)?;
    let kind = filters.text("ComplianceType", |text| Kind::parse(text).is_some())?;
    let query = Query {
        aggregator: aggregator.name,
        account_id,
        region,
        pack_name: filters.text("ConformancePackName", |text| text.parse::<PackName>().is_ok())?,
        kind: kind.as_deref().and_then(Kind::parse),
    };
    let day = context.days.get(context.organization, context.date);
    let found = day.find(context.organization, &query, context.organization.covered(aggregator));
    let fingerprint = token::fingerprint(&(context.date, &query));
    let list = "AggregateComplianceByConformancePacks";
    let page = context.page(fields, fingerprint, found.len(), list, |range| {
        found[range].iter().map(|position| item(context, &day.rows[*position as usize])).collect()
    })?;
    Ok(page.into())
}

fn item(context: &Context<'_>, row: &Row) -> Value {
    json!({
        "ConformancePackName": row.pack_name(context.organization),
        "AccountId": context.organization.account_id(row.account),
        "AwsRegion": context.organization.regions()[usize::from(row.region)],
        "Compliance": {
            "ComplianceType": row.state.kind.as_str(),
            "CompliantRuleCount": row.state.compliant,
            "NonCompliantRuleCount": row.state.non_compliant,
            "TotalRuleCount": row.state.total,
        },
    })
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "COMPLIANT",
            Self::NonCompliant => "NON_COMPLIANT",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Compliant, Self::NonCompliant, Self::InsufficientData].into_iter().find(|kind| kind.as_str() == text)
    }
}

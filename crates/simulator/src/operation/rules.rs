//! `DescribeAggregateComplianceByConfigRules`.
//!
//! Documented by AWS: the fields and their limits; that a page may be empty and carry a token; that the filter supports no
//! other compliance types than COMPLIANT and NON_COMPLIANT, and an answer no NOT_APPLICABLE; that a count of contributors is
//! capped; that rules without results are not listed. The last is at odds with INSUFFICIENT_DATA, which an answer may have:
//! here a pack's rules are listed with it, so that they add up to the pack's counts, and rules of no pack are left out.
//!
//! Not documented for this operation: how the name of a pack's rule ends, which is as in accounts; at which count the cap is,
//! and the error of a compliance type that the filter does not support, which are assumed.

use super::listing::Listing;
use super::{Context, List};
use crate::organization::Kind;
use crate::request::{ApiError, Fields};
use crate::rule_rows::RuleRow;
use serde_json::{Value, json};

const LISTING: Listing = Listing {
    list: List { name: "AggregateComplianceByConfigRules", max_limit: 1_000 },
    name: "ConfigRuleName",
    is_name,
    kinds: &[Kind::Compliant, Kind::NonCompliant],
};

/// Where contributors are no longer counted. AWS documents that there is a cap, and 25 for the rules of
/// `GetComplianceSummaryByConfigRule`.
const MAX_CONTRIBUTORS: u16 = 25;

pub(super) fn answer(context: &Context<'_>, fields: &Fields) -> Result<Value, ApiError> {
    let (query, covered) = LISTING.query(context, fields)?;
    let paging = LISTING.paging(context, fields, &query)?;
    let cached = context.days.get(context.organization, context.date);
    let found = cached.rules(context.organization, &query, covered);
    let page = context.page(paging, found.len(), |range| {
        found.rows(context.organization, &cached.day, &query, range).into_iter().map(|row| item(context, row)).collect()
    });
    Ok(page.into())
}

/// The pattern `.*\S.*`, whose dot is no line terminator.
fn is_name(text: &str) -> bool {
    let ends_line = |character: char| matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    matches!(text.chars().count(), 1..=128) && !text.trim().is_empty() && !text.contains(ends_line)
}

/// A rule without a result has no contributors, as in AWS's examples of `DescribeComplianceByConfigRule`.
fn item(context: &Context<'_>, row: RuleRow) -> Value {
    let mut compliance = json!({ "ComplianceType": row.rule.kind.as_str() });
    if row.rule.kind != Kind::InsufficientData {
        compliance["ComplianceContributorCount"] = json!({
            "CappedCount": row.rule.resources.min(MAX_CONTRIBUTORS),
            "CapExceeded": row.rule.resources > MAX_CONTRIBUTORS,
        });
    }
    LISTING.item(context, (row.account, row.region), row.rule.name, compliance)
}

//! `DescribeAggregateComplianceByConfigRules`.
//!
//! Documented by AWS: the fields and their limits; that a page may be empty and carry a token; that rules without compliance
//! results are not listed, so that a pack's rules add up to its counts of compliant and noncompliant rules, and not to its total;
//! that the filter supports no other compliance types than COMPLIANT and NON_COMPLIANT, and an answer no NOT_APPLICABLE; that the
//! fields of an item are optional. The fault `rules_without_results` lists rules without results too, as INSUFFICIENT_DATA.
//!
//! Not documented for this operation, and assumed:
//! - A pack's rules are named as in their account, `<rule>-conformance-pack-<id>`.
//! - `ComplianceContributorCount` is there for every noncompliant rule. Of the compliant rules one third has it, one third has 0, one
//!   third lacks it; and so does a rule without results.
//! - Contributors are counted up to 100. AWS documents a maximum of 25 for rules and 100 for resources in `ComplianceSummary`, and
//!   the contributors to a rule are resources.
//! - A compliance type that the filter does not support is a ValidationException.

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

/// Up to how many contributors are counted.
const MAX_CONTRIBUTORS: u16 = 100;

pub(super) fn answer(context: &Context<'_>, fields: &Fields) -> Result<Value, ApiError> {
    let without_results = context.faults.faults.rules_without_results;
    let (query, covered) = LISTING.query(context, fields, without_results)?;
    let paging = LISTING.paging(context, fields, &query)?;
    let cached = context.days.get(context.organization, context.date);
    let found = cached.rules(context.organization, &query, covered);
    let page = context.page(paging, found.len(), |range| {
        let rows = found.rows(context.organization, &cached.day, &query, range);
        if rows.iter().any(|row| row.rule.kind == Kind::InsufficientData) {
            context.faults.note("rules_without_results");
        }
        rows.into_iter().map(|row| item(context, row)).collect()
    });
    Ok(page.into())
}

/// The pattern `.*\S.*`, whose dot is no line terminator.
fn is_name(text: &str) -> bool {
    let ends_line = |character: char| matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    matches!(text.chars().count(), 1..=128) && !text.trim().is_empty() && !text.contains(ends_line)
}

fn item(context: &Context<'_>, row: RuleRow) -> Value {
    let mut compliance = json!({ "ComplianceType": row.rule.kind.as_str() });
    if let Some(contributors) = row.rule.contributors {
        compliance["ComplianceContributorCount"] = json!({
            "CappedCount": contributors.min(MAX_CONTRIBUTORS),
            "CapExceeded": contributors > MAX_CONTRIBUTORS,
        });
    }
    LISTING.item(context, (row.account, row.region), row.rule.name, compliance)
}

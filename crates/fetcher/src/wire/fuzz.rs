//! Answers that a broken proxy or a newer AWS might send: each is a page, or an error of one short line.

use super::{BodyError, parse_aggregators, parse_counts, parse_packs, parse_sources};
use crate::mutate::{edited, edits_of_json, ends};
use proptest::prelude::*;

const ANSWERS: [&str; 4] = [
    r#"{"AggregateComplianceByConformancePacks":[{"ConformancePackName":"OrgConformsPack-a-1","AccountId":"000000000001","AwsRegion":"eu-west-1",
        "Compliance":{"ComplianceType":"COMPLIANT","CompliantRuleCount":3,"NonCompliantRuleCount":0,"TotalRuleCount":3}}],"NextToken":"t"}"#,
    r#"{"AggregatedSourceStatusList":[{"SourceId":"000000000001","SourceType":"ACCOUNT","AwsRegion":"eu-west-1","LastUpdateStatus":"FAILED",
        "LastUpdateTime":1767225600.123,"LastErrorCode":"AccessDenied","LastErrorMessage":"no"}]}"#,
    r#"{"AggregateConformancePackComplianceSummaries":[{"GroupName":"000000000001","ComplianceSummary":{"CompliantConformancePackCount":3,
        "NonCompliantConformancePackCount":9}}],"GroupByKey":"ACCOUNT_ID","NextToken":null}"#,
    r#"{"ConfigurationAggregators":[{"ConfigurationAggregatorName":"a","AccountAggregationSources":[{"AccountIds":["000000000001"],
        "AllAwsRegions":false,"AwsRegions":["eu-west-1"]}],"OrganizationAggregationSource":{"RoleArn":"arn","AwsRegions":["us-east-1"]}}]}"#,
];

/// What JSON is put together of, and what is not JSON.
const PIECES: &[&str] = &[
    "-",
    "1e400",
    "9223372036854775807",
    "\"\\ud800\"",
    "\\u0000",
    "\u{feff}",
    "\u{202e}",
    "NextToken",
    "\"AccountId\":",
    "\"Compliance\":{}",
    "<html>",
    "é",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
];

fn is_short(error: BodyError) -> Result<(), TestCaseError> {
    let shown = format!("{}: {}", error.field, error.reason);
    prop_assert!(shown.chars().count() < 2_000 && !error.reason.contains(char::is_control), "{shown:?}");
    Ok(())
}

proptest! {
    #[test]
    fn fuzz_no_answer_makes_its_parser_panic_and_each_error_is_short(
        answer in prop::sample::select(ANSWERS.to_vec()),
        edits in edits_of_json(PIECES),
    ) {
        let body = edited(answer.as_bytes(), &edits);
        let found = ends(|| {
            [
                parse_packs(&body).map(|page| page.items.len()),
                parse_sources(&body).map(|page| page.items.len()),
                parse_counts(&body).map(|page| page.items.len()),
                parse_aggregators(&body).map(|page| page.items.len()),
            ]
        })?;
        found.into_iter().filter_map(Result::err).try_for_each(is_short)?;
    }
}

#[test]
fn a_field_of_another_name_is_shown_short_and_without_what_a_terminal_obeys() {
    for name in ["x".repeat(5_000), "\\u001b[31m".to_owned()] {
        let body = format!("{{\"AggregateComplianceByConformancePacks\":[],\"{name}\":[}}");
        let error = parse_packs(body.as_bytes()).map(|page| page.items).expect_err("an error");
        assert!(error.field.chars().count() <= 201 && !error.field.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn an_answer_that_is_nested_without_end_is_refused() {
    for deep in ["[", "{\"a\":", "{\"AggregateComplianceByConformancePacks\":[", "{\"NextToken\":["] {
        let body = deep.repeat(200_000);
        assert!(parse_packs(body.as_bytes()).is_err(), "{deep}");
    }
}

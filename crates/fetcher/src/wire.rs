//! A page as it is on the wire, parsed strictly.
//!
//! The SDK's own types turn a missing count into 0 and name no field when a value is wrong, so a page is parsed from the
//! body itself: the SDK signs, sends and retries, and this says what came.

use compline_model::{AccountId, Compliance, PackAnswer};
use serde::Deserialize;

/// A body that is not a page: where in it, and why. The excerpt is cut short and holds no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyError {
    /// Path of the field, such as `AggregateComplianceByConformancePacks[1].Compliance.TotalRuleCount`; empty for the whole.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// One parsed page and the token of the next.
#[derive(Debug)]
pub(crate) struct WirePage {
    pub(crate) packs: Vec<PackAnswer>,
    pub(crate) next_token: Option<String>,
}

const LIST: &str = "AggregateComplianceByConformancePacks";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawPage {
    aggregate_compliance_by_conformance_packs: Option<Vec<RawPack>>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawPack {
    conformance_pack_name: Option<String>,
    account_id: Option<String>,
    aws_region: Option<String>,
    compliance: Option<RawCompliance>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawCompliance {
    compliance_type: Option<String>,
    compliant_rule_count: Option<i32>,
    non_compliant_rule_count: Option<i32>,
    total_rule_count: Option<i32>,
}

/// Parses a page; a list that is missing or null is an error, since it is not an empty list.
pub(crate) fn parse_page(body: &[u8]) -> Result<WirePage, BodyError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let page: RawPage = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let reason = excerpt(&error.inner().to_string());
        BodyError { field: if path == "." { String::new() } else { path }, reason }
    })?;
    json.end().map_err(|error| BodyError { field: String::new(), reason: error.to_string() })?;
    let Some(list) = page.aggregate_compliance_by_conformance_packs else {
        return Err(BodyError { field: LIST.to_owned(), reason: "the list is missing".to_owned() });
    };
    let packs = list.into_iter().enumerate().map(pack).collect::<Result<_, _>>()?;
    Ok(WirePage { packs, next_token: page.next_token })
}

fn pack((position, raw): (usize, RawPack)) -> Result<PackAnswer, BodyError> {
    let at = |field: &str| format!("{LIST}[{position}].{field}");
    let key = |value: Option<String>, field: &str| {
        let missing = || BodyError { field: at(field), reason: "the value is missing or empty".to_owned() };
        value.filter(|text| !text.is_empty()).ok_or_else(missing)
    };
    let account_id: AccountId =
        key(raw.account_id, "AccountId")?.parse().map_err(|error: compline_model::InvalidName| BodyError {
            field: at("AccountId"),
            reason: error.to_string(),
        })?;
    Ok(PackAnswer {
        account_id,
        aws_region: key(raw.aws_region, "AwsRegion")?,
        conformance_pack_name: key(raw.conformance_pack_name, "ConformancePackName")?,
        compliance: raw.compliance.map(|raw| Compliance {
            compliance_type: raw.compliance_type,
            compliant_rule_count: raw.compliant_rule_count,
            non_compliant_rule_count: raw.non_compliant_rule_count,
            total_rule_count: raw.total_rule_count,
        }),
    })
}

/// At most 200 characters of a text from outside, control characters escaped.
pub(crate) fn excerpt(text: &str) -> String {
    let cut: String = text.chars().take(200).collect::<String>().escape_debug().collect();
    if text.chars().nth(200).is_some() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> BodyError {
        match parse_page(body.as_bytes()) {
            Ok(_) => panic!("taken for a page: {body}"),
            Err(error) => error,
        }
    }

    fn one(pack: &str) -> String {
        let good = r#"{"ConformancePackName":"p","AccountId":"000000000001","AwsRegion":"eu-west-1"}"#;
        format!(r#"{{"{LIST}":[{good},{pack},{good}]}}"#)
    }

    #[test]
    fn b06_a_missing_list_is_an_error_and_an_empty_list_is_a_page() {
        for body in
            ["", "{}", r#"{"AggregateComplianceByConformancePacks":null}"#, "<html>Sign in</html>", "[]", "null"]
        {
            error(body);
        }
        let page = parse_page(br#"{"AggregateComplianceByConformancePacks":[]}"#).expect("a page");
        assert!(page.packs.is_empty());
    }

    #[test]
    fn b23_one_wrong_value_is_named_with_its_place() {
        for count in [r#""3""#, "3.0", "1e2", "2147483648", "true"] {
            let pack = format!(
                r#"{{"ConformancePackName":"p","AccountId":"000000000001","AwsRegion":"r","Compliance":{{"TotalRuleCount":{count}}}}}"#
            );
            let error = error(&one(&pack));
            assert_eq!(error.field, format!("{LIST}[1].Compliance.TotalRuleCount"), "{count}");
        }
        let number = error(&one(r#"{"ConformancePackName":"p","AccountId":111111111111,"AwsRegion":"r"}"#));
        assert_eq!(number.field, format!("{LIST}[1].AccountId"));
        assert_eq!(error(&one("null")).field, format!("{LIST}[1]"));
        assert_eq!(error(&one("{}")).field, format!("{LIST}[1].AccountId"));
        let cut = one("{}");
        error(&cut[..cut.len() - 5]);
        error(r#"{"AggregateComplianceByConformancePacks":[]} trailing"#);
    }

    #[test]
    fn b21_what_is_missing_stays_missing() {
        let pack = |compliance: &str| {
            let body = one(&format!(
                r#"{{"ConformancePackName":"p","AccountId":"000000000001","AwsRegion":"r"{compliance}}}"#
            ));
            parse_page(body.as_bytes()).expect("a page").packs.remove(1).compliance
        };
        assert_eq!(pack(""), None);
        assert_eq!(pack(r#","Compliance":null"#), None);
        assert_eq!(pack(r#","Compliance":{}"#), Some(Compliance::default()));
        let nulls = pack(r#","Compliance":{"ComplianceType":"COMPLIANT","CompliantRuleCount":null}"#);
        assert_eq!(nulls, Some(Compliance { compliance_type: Some("COMPLIANT".to_owned()), ..Compliance::default() }));
    }
}

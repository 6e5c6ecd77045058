//! Answers as they are on the wire, parsed strictly.
//!
//! The SDK's own types turn a missing count into 0 and name no field when a value is wrong, so an answer is parsed from the
//! body itself: the SDK signs, sends and retries, and this says what came.

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use compline_model::{
    AccountId, Compliance, InvalidName, PackAnswer, PackCounts, RuleAnswer, RuleCompliance, SourceAnswer,
};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use std::fmt;
use std::marker::PhantomData;

/// A body that is not an answer: where in it, and why. The reason is cut short and holds no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyError {
    /// Path of the field, such as `AggregateComplianceByConformancePacks[1].Compliance.TotalRuleCount`; empty for the whole.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) reason: String,
    /// Whether the body ends before its JSON does: the rest may come the next time.
    pub(crate) is_cut: bool,
}

/// One page of a list and the token of the next.
#[derive(Debug)]
pub(crate) struct ListPage<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_token: Option<String>,
}

/// An aggregator, as far as it says what it gathers from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gathered {
    pub(crate) account_ids: Vec<String>,
    pub(crate) aws_regions: Vec<String>,
}

pub(crate) const PACKS: &str = "AggregateComplianceByConformancePacks";
pub(crate) const RULES: &str = "AggregateComplianceByConfigRules";
pub(crate) const SOURCES: &str = "AggregatedSourceStatusList";
const COUNTS: &str = "AggregateConformancePackComplianceSummaries";
const AGGREGATORS: &str = "ConfigurationAggregators";

/// A JSON object. A struct of serde takes a list of its values in place of one, and such a list is no answer.
#[derive(Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Visitor(PhantomData))
    }
}

/// A short text. It is parsed without a piece of memory of its own, which the million texts of a night would each ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ShortText(pub(crate) CompactString);

impl<'de> Deserialize<'de> for ShortText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ShortText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ShortText, E> {
                Ok(ShortText(text.into()))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl AsRef<str> for ShortText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The answer of any of the five operations: each has one of the lists.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RawAnswer {
    aggregate_compliance_by_conformance_packs: Option<Vec<Object<RawPack>>>,
    aggregate_compliance_by_config_rules: Option<Vec<Object<RawRule>>>,
    aggregated_source_status_list: Option<Vec<Object<RawSource>>>,
    aggregate_conformance_pack_compliance_summaries: Option<Vec<Object<RawCounts>>>,
    configuration_aggregators: Option<Vec<Object<RawAggregator>>>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RawPack {
    pub(crate) conformance_pack_name: Option<ShortText>,
    pub(crate) account_id: Option<ShortText>,
    pub(crate) aws_region: Option<ShortText>,
    pub(crate) compliance: Option<Object<RawCompliance>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RawRule {
    pub(crate) config_rule_name: Option<ShortText>,
    pub(crate) account_id: Option<ShortText>,
    pub(crate) aws_region: Option<ShortText>,
    pub(crate) compliance: Option<Object<RawCompliance>>,
}

/// That of a pack or of a rule: they have no field in common but the type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RawCompliance {
    compliance_type: Option<ShortText>,
    compliant_rule_count: Option<i32>,
    non_compliant_rule_count: Option<i32>,
    total_rule_count: Option<i32>,
    compliance_contributor_count: Option<Object<RawContributors>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContributors {
    capped_count: Option<i32>,
    cap_exceeded: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSource {
    source_id: Option<String>,
    source_type: Option<String>,
    aws_region: Option<String>,
    last_update_status: Option<String>,
    /// Seconds since 1970.
    last_update_time: Option<f64>,
    last_error_code: Option<String>,
    last_error_message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawCounts {
    group_name: Option<String>,
    compliance_summary: Option<Object<RawSummary>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSummary {
    compliant_conformance_pack_count: Option<i64>,
    non_compliant_conformance_pack_count: Option<i64>,
}

/// Every block may be absent, and is at times (case B27).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawAggregator {
    account_aggregation_sources: Option<Vec<Object<RawAccounts>>>,
    organization_aggregation_source: Option<Object<RawOrganization>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawAccounts {
    account_ids: Option<Vec<String>>,
    aws_regions: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawOrganization {
    aws_regions: Option<Vec<String>>,
}

/// Parses a page of packs; a list that is missing or null is an error, since it is not an empty list.
pub(crate) fn parse_packs(body: &[u8]) -> Result<ListPage<PackAnswer>, BodyError> {
    raw(body)?.packs()
}

/// Parses a page of rules; a list that is missing or null is an error as well.
pub(crate) fn parse_rules(body: &[u8]) -> Result<ListPage<RuleAnswer>, BodyError> {
    raw(body)?.rules()
}

/// Parses a page of sources.
pub(crate) fn parse_sources(body: &[u8]) -> Result<ListPage<SourceAnswer>, BodyError> {
    raw(body)?.sources()
}

/// Parses a page of pack counts, each with the name of its group.
pub(crate) fn parse_counts(body: &[u8]) -> Result<ListPage<(String, PackCounts)>, BodyError> {
    let answer = raw(body)?;
    let list = answer.aggregate_conformance_pack_compliance_summaries.ok_or_else(|| missing_list(COUNTS))?;
    let counts = |(position, Object(raw)): (usize, Object<RawCounts>)| {
        // A group without a name would be counted as an account that is called nothing.
        let name = required(raw.group_name, || format!("{COUNTS}[{position}].GroupName"))?;
        let summary = raw.compliance_summary.map(|Object(summary)| summary);
        let count = |of: fn(&RawSummary) -> Option<i64>| summary.as_ref().and_then(of).unwrap_or_default();
        let counts = PackCounts {
            compliant: count(|summary| summary.compliant_conformance_pack_count),
            non_compliant: count(|summary| summary.non_compliant_conformance_pack_count),
        };
        Ok((name, counts))
    };
    let items = list.into_iter().enumerate().map(counts).collect::<Result<_, _>>()?;
    Ok(ListPage { items, next_token: answer.next_token })
}

/// Parses a page of aggregators.
pub(crate) fn parse_aggregators(body: &[u8]) -> Result<ListPage<Gathered>, BodyError> {
    let answer = raw(body)?;
    let list = answer.configuration_aggregators.ok_or_else(|| missing_list(AGGREGATORS))?;
    let gathered = |Object(raw): Object<RawAggregator>| {
        let mut gathered = Gathered::default();
        for Object(accounts) in raw.account_aggregation_sources.into_iter().flatten() {
            gathered.account_ids.extend(accounts.account_ids.into_iter().flatten());
            gathered.aws_regions.extend(accounts.aws_regions.into_iter().flatten());
        }
        let organization = raw.organization_aggregation_source.and_then(|Object(source)| source.aws_regions);
        gathered.aws_regions.extend(organization.into_iter().flatten());
        gathered
    };
    Ok(ListPage { items: list.into_iter().map(gathered).collect(), next_token: answer.next_token })
}

fn raw(body: &[u8]) -> Result<RawAnswer, BodyError> {
    // To note where in the body each value is takes as long as to parse it, and only an error tells it.
    let text = std::str::from_utf8(body).ok();
    match text.and_then(|text| serde_json::from_str(text).ok()) {
        Some(Object(answer)) => Ok(answer),
        None => raw_with_places(body),
    }
}

fn raw_with_places(body: &[u8]) -> Result<RawAnswer, BodyError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let Object(answer) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // A body that is empty is none, and not the beginning of one.
        let is_cut = error.inner().is_eof() && !body.is_empty();
        let reason = excerpt(&error.inner().to_string());
        // The names in it are of the body, too.
        BodyError { field: if path == "." { String::new() } else { excerpt(&path) }, reason, is_cut }
    })?;
    json.end().map_err(|error| BodyError { field: String::new(), reason: error.to_string(), is_cut: false })?;
    Ok(answer)
}

fn missing_list(list: &str) -> BodyError {
    BodyError { field: list.to_owned(), reason: "the list is missing".to_owned(), is_cut: false }
}

impl RawAnswer {
    pub(crate) fn packs(self) -> Result<ListPage<PackAnswer>, BodyError> {
        let list = self.aggregate_compliance_by_conformance_packs.ok_or_else(|| missing_list(PACKS))?;
        Ok(ListPage { items: packs_of(list, "")?, next_token: self.next_token })
    }

    pub(crate) fn rules(self) -> Result<ListPage<RuleAnswer>, BodyError> {
        let list = self.aggregate_compliance_by_config_rules.ok_or_else(|| missing_list(RULES))?;
        Ok(ListPage { items: rules_of(list, "")?, next_token: self.next_token })
    }

    pub(crate) fn sources(self) -> Result<ListPage<SourceAnswer>, BodyError> {
        let list = self.aggregated_source_status_list.ok_or_else(|| missing_list(SOURCES))?;
        let at = |(position, Object(raw)): (usize, Object<RawSource>)| raw.checked(&format!("{SOURCES}[{position}]."));
        let items = list.into_iter().enumerate().map(at).collect::<Result<_, _>>()?;
        Ok(ListPage { items, next_token: self.next_token })
    }
}

/// The packs of a list. `at` is where the answer is that has it, for the error.
pub(crate) fn packs_of(list: Vec<Object<RawPack>>, at: &str) -> Result<Vec<PackAnswer>, BodyError> {
    let checked =
        |(position, Object(raw)): (usize, Object<RawPack>)| raw.checked(|| format!("{at}{PACKS}[{position}]."));
    list.into_iter().enumerate().map(checked).collect()
}

/// The same of rules.
pub(crate) fn rules_of(list: Vec<Object<RawRule>>, at: &str) -> Result<Vec<RuleAnswer>, BodyError> {
    let checked =
        |(position, Object(raw)): (usize, Object<RawRule>)| raw.checked(|| format!("{at}{RULES}[{position}]."));
    list.into_iter().enumerate().map(checked).collect()
}

impl RawPack {
    /// The pack, if its keys are there. `at` is where it is, for the error.
    pub(crate) fn checked(self, at: impl Fn() -> String) -> Result<PackAnswer, BodyError> {
        Ok(PackAnswer {
            account_id: account_id(self.account_id, &at)?,
            aws_region: required(self.aws_region, || at() + "AwsRegion")?.0,
            conformance_pack_name: required(self.conformance_pack_name, || at() + "ConformancePackName")?.0,
            compliance: self.compliance.map(|Object(raw)| Compliance {
                compliance_type: raw.compliance_type.map(|ShortText(text)| text),
                compliant_rule_count: raw.compliant_rule_count,
                non_compliant_rule_count: raw.non_compliant_rule_count,
                total_rule_count: raw.total_rule_count,
            }),
        })
    }
}

impl RawRule {
    /// The rule, if its keys are there. `at` is where it is, for the error.
    pub(crate) fn checked(self, at: impl Fn() -> String) -> Result<RuleAnswer, BodyError> {
        Ok(RuleAnswer {
            account_id: account_id(self.account_id, &at)?,
            aws_region: required(self.aws_region, || at() + "AwsRegion")?.0,
            config_rule_name: required(self.config_rule_name, || at() + "ConfigRuleName")?.0,
            compliance: self.compliance.map(|Object(raw)| {
                let contributors = raw.compliance_contributor_count.map(|Object(contributors)| contributors);
                RuleCompliance {
                    compliance_type: raw.compliance_type.map(|ShortText(text)| text),
                    contributor_count: contributors.as_ref().and_then(|contributors| contributors.capped_count),
                    contributor_count_capped: contributors.and_then(|contributors| contributors.cap_exceeded),
                }
            }),
        })
    }
}

/// An account id that must be there. `at` is where its item is, for the error.
fn account_id(value: Option<ShortText>, at: &impl Fn() -> String) -> Result<AccountId, BodyError> {
    let invalid = |error: InvalidName| BodyError {
        field: at() + "AccountId",
        reason: excerpt(&error.to_string()),
        is_cut: false,
    };
    required(value, || at() + "AccountId")?.0.parse().map_err(invalid)
}

impl RawSource {
    /// The source, if its id, type and status are there: an empty text in their place would be a source that is called
    /// nothing, in a state that nobody knows. `at` is where it is, for the error.
    fn checked(self, at: &str) -> Result<SourceAnswer, BodyError> {
        let needed = |value: Option<String>, field: &str| required(value, || format!("{at}{field}"));
        Ok(SourceAnswer {
            source_id: needed(self.source_id, "SourceId")?,
            source_type: needed(self.source_type, "SourceType")?,
            aws_region: self.aws_region,
            status: needed(self.last_update_status, "LastUpdateStatus")?,
            last_update_time: self.last_update_time.and_then(moment),
            error_code: self.last_error_code,
            error_message: self.last_error_message,
        })
    }
}

/// A text that must be there; `field` is its path, for the error.
fn required<T: AsRef<str>>(value: Option<T>, field: impl FnOnce() -> String) -> Result<T, BodyError> {
    let missing = || BodyError { field: field(), reason: "the value is missing or empty".to_owned(), is_cut: false };
    value.filter(|text| !text.as_ref().is_empty()).ok_or_else(missing)
}

/// A time given in seconds since 1970, to the millisecond.
fn moment(seconds: f64) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "a time out of range is no time")]
    DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64)
}

/// At most 200 characters of a text from outside, control characters escaped: it is shown in a line of a log.
pub(crate) fn excerpt(text: &str) -> String {
    let shown = |letter: char| match letter.is_control() {
        true => letter.escape_debug().to_string(),
        false => letter.to_string(),
    };
    let cut: String = text.chars().take(200).map(shown).collect();
    if text.chars().nth(200).is_some() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> BodyError {
        match parse_packs(body.as_bytes()) {
            Ok(_) => panic!("taken for a page: {body}"),
            Err(error) => error,
        }
    }

    fn one(pack: &str) -> String {
        let good = r#"{"ConformancePackName":"p","AccountId":"000000000001","AwsRegion":"eu-west-1"}"#;
        format!(r#"{{"{PACKS}":[{good},{pack},{good}]}}"#)
    }

    #[test]
    fn b06_a_missing_list_is_an_error_and_an_empty_list_is_a_page() {
        for body in
            ["", "{}", r#"{"AggregateComplianceByConformancePacks":null}"#, "<html>Sign in</html>", "[]", "null"]
        {
            error(body);
        }
        let page = parse_packs(br#"{"AggregateComplianceByConformancePacks":[]}"#).expect("a page");
        assert!(page.items.is_empty());
    }

    #[test]
    fn b23_one_wrong_value_is_named_with_its_place() {
        for count in [r#""3""#, "3.0", "1e2", "2147483648", "true"] {
            let pack = format!(
                r#"{{"ConformancePackName":"p","AccountId":"000000000001","AwsRegion":"r","Compliance":{{"TotalRuleCount":{count}}}}}"#
            );
            let error = error(&one(&pack));
            assert_eq!(error.field, format!("{PACKS}[1].Compliance.TotalRuleCount"), "{count}");
        }
        let number = error(&one(r#"{"ConformancePackName":"p","AccountId":111111111111,"AwsRegion":"r"}"#));
        assert_eq!(number.field, format!("{PACKS}[1].AccountId"));
        for value in ["null", r#"["p","000000000001","r",{}]"#, r#""p""#] {
            assert_eq!(error(&one(value)).field, format!("{PACKS}[1]"), "{value}");
        }
        let listed = r#"{"ConformancePackName":"p","AccountId":"000000000001","AwsRegion":"r","Compliance":["COMPLIANT",1,0,1]}"#;
        assert_eq!(error(&one(listed)).field, format!("{PACKS}[1].Compliance"));
        error("[[],null,null,null,null]");
        assert_eq!(error(&one("{}")).field, format!("{PACKS}[1].AccountId"));
        let cut = one("{}");
        error(&cut[..cut.len() - 5]);
        error(r#"{"AggregateComplianceByConformancePacks":[]} trailing"#);
    }

    #[test]
    fn a_source_or_a_count_without_its_name_or_status_is_an_unexpected_page_that_names_the_field() {
        let whole = r#"{"SourceId":"000000000001","SourceType":"ACCOUNT","LastUpdateStatus":"SUCCEEDED"}"#;
        let page = |source: &str| format!(r#"{{"{SOURCES}":[{whole},{source}]}}"#);
        assert_eq!(parse_sources(page(whole).as_bytes()).expect("a page").items.len(), 2);
        for field in ["SourceId", "SourceType", "LastUpdateStatus"] {
            let other = |part: &&str| !part.contains(field);
            let parts = whole.trim_matches(['{', '}']).split(',');
            let absent = format!("{{{}}}", parts.clone().filter(other).collect::<Vec<_>>().join(","));
            let [null, empty] = ["null", r#""""#].map(|value| {
                let of =
                    |part: &str| if part.contains(field) { format!(r#""{field}":{value}"#) } else { part.to_owned() };
                format!("{{{}}}", parts.clone().map(of).collect::<Vec<_>>().join(","))
            });
            for source in [absent, null, empty] {
                let error = parse_sources(page(&source).as_bytes()).expect_err("an unexpected page");
                assert_eq!(error.field, format!("{SOURCES}[1].{field}"), "{source}");
            }
        }
        let counts = format!(r#"{{"{COUNTS}":[{{"ComplianceSummary":{{"CompliantConformancePackCount":3}}}}]}}"#);
        let error = parse_counts(counts.as_bytes()).expect_err("an unexpected page");
        assert_eq!(error.field, format!("{COUNTS}[0].GroupName"));
    }

    #[test]
    fn b21_what_is_missing_stays_missing() {
        let pack = |compliance: &str| {
            let body = one(&format!(
                r#"{{"ConformancePackName":"p","AccountId":"000000000001","AwsRegion":"r"{compliance}}}"#
            ));
            parse_packs(body.as_bytes()).expect("a page").items.remove(1).compliance
        };
        assert_eq!(pack(""), None);
        assert_eq!(pack(r#","Compliance":null"#), None);
        assert_eq!(pack(r#","Compliance":{}"#), Some(Compliance::default()));
        let nulls = pack(r#","Compliance":{"ComplianceType":"COMPLIANT","CompliantRuleCount":null}"#);
        assert_eq!(nulls, Some(Compliance { compliance_type: Some("COMPLIANT".into()), ..Compliance::default() }));
    }
}

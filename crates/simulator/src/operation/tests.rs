use super::*;
use crate::Faults;
use crate::OrganizationSpec;
use serde_json::json;

const RULES: &str = "DescribeAggregateComplianceByConfigRules";
const PACKS: &str = "DescribeAggregateComplianceByConformancePacks";
const SOURCES: &str = "DescribeConfigurationAggregatorSourcesStatus";
const SUMMARY: &str = "GetAggregateConformancePackComplianceSummary";
const AGGREGATORS: &str = "DescribeConfigurationAggregators";

struct Asked {
    organization: Organization,
    days: Days,
    faults: FaultState,
}

impl Asked {
    fn new(faults: &str) -> Self {
        Self {
            organization: Organization::new(OrganizationSpec { accounts: 40, ..OrganizationSpec::default() }),
            days: Days::default(),
            faults: FaultState::new(Faults::parse(faults).expect("faults")),
        }
    }

    /// The answer of an operation of org-aggregator to further fields, or the code of its error.
    fn ask(&self, operation: &str, further: Value) -> Result<Value, &'static str> {
        let mut fields = json!({ "ConfigurationAggregatorName": "org-aggregator" });
        if operation == AGGREGATORS {
            fields = json!({});
        }
        for (name, value) in further.as_object().expect("fields") {
            fields[name] = value.clone();
        }
        let context = Context {
            organization: &self.organization,
            days: &self.days,
            faults: &self.faults,
            date: "2026-03-01".parse().expect("a date"),
            region: "eu-west-1",
        };
        let fields = Fields::parse(fields.to_string().as_bytes()).expect("fields");
        answer(&context, operation, &fields).map_err(|error| error.code)
    }

    /// The token of the second page.
    fn token(&self, operation: &str, further: Value) -> Value {
        let page = self.ask(operation, further).expect("a page");
        assert!(page["NextToken"].is_string(), "{page}");
        page["NextToken"].clone()
    }
}

#[test]
fn a_bad_limit_token_or_filter_is_refused_before_a_day_is_made() {
    let asked = Asked::new("");
    for operation in [RULES, PACKS, SUMMARY] {
        for (code, fields) in [
            ("InvalidLimitException", json!({ "Limit": 1_001 })),
            ("InvalidLimitException", json!({ "Limit": -1 })),
            ("InvalidNextTokenException", json!({ "NextToken": "made-up" })),
            ("ValidationException", json!({ "Filters": { "AccountId": "1" } })),
        ] {
            assert_eq!(asked.ask(operation, fields), Err(code), "{operation}");
        }
    }
    assert!(asked.days.is_empty());
    assert!(asked.ask(RULES, json!({ "Limit": 1 })).is_ok() && !asked.days.is_empty());
}

#[test]
fn a_field_of_another_type_is_a_serialization_exception_of_every_operation() {
    let asked = Asked::new("");
    for operation in [RULES, PACKS, SOURCES, SUMMARY, AGGREGATORS] {
        for token in [json!(1), json!({}), json!(["token"])] {
            let answer = asked.ask(operation, json!({ "NextToken": token }));
            assert_eq!(answer, Err("SerializationException"), "{operation}");
        }
    }
    for operation in [RULES, PACKS, SUMMARY] {
        for filters in [json!("text"), json!([]), json!(1)] {
            let answer = asked.ask(operation, json!({ "Filters": filters }));
            assert_eq!(answer, Err("SerializationException"), "{operation}");
        }
    }
}

#[test]
fn a_name_with_a_line_terminator_is_refused() {
    let asked = Asked::new("");
    for name in ["a\n", "\na", "a\nb", "a\rb", "a\u{2028}b"] {
        for (operation, fields) in [
            (RULES, json!({ "Filters": { "ConfigRuleName": name } })),
            (PACKS, json!({ "Filters": { "ConformancePackName": name } })),
            (SOURCES, json!({ "ConfigurationAggregatorName": name })),
        ] {
            assert_eq!(asked.ask(operation, fields), Err("ValidationException"), "{operation} {name:?}");
        }
    }
    for name in ["Root account has MFA", " a", "a\tb", "é"] {
        assert!(asked.ask(RULES, json!({ "Filters": { "ConfigRuleName": name } })).is_ok(), "{name:?}");
    }
}

#[test]
fn a_token_is_good_for_its_own_operation_and_query_only() {
    let asked = Asked::new("");
    let filtered = json!({ "Limit": 1, "Filters": { "AwsRegion": "eu-west-1" } });
    let with = |mut fields: Value, token: &Value| {
        fields["NextToken"] = token.clone();
        fields
    };
    for (operation, other) in [(RULES, PACKS), (PACKS, RULES)] {
        let token = asked.token(operation, json!({ "Limit": 1 }));
        let of_filter = asked.token(operation, filtered.clone());
        assert!(asked.ask(operation, with(json!({ "Limit": 7 }), &token)).is_ok());
        assert!(asked.ask(operation, with(filtered.clone(), &of_filter)).is_ok());
        for (operation, fields) in [
            (other, with(json!({}), &token)),
            (operation, with(filtered.clone(), &token)),
            (operation, with(json!({}), &of_filter)),
            (operation, with(json!({ "Filters": { "AwsRegion": "us-east-1" } }), &of_filter)),
        ] {
            assert_eq!(asked.ask(operation, fields.clone()), Err("InvalidNextTokenException"), "{operation} {fields}");
        }
    }
}

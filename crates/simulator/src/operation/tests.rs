use super::*;
use crate::{Faults, OrganizationSpec};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

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
        Self::of(OrganizationSpec { accounts: 40, ..OrganizationSpec::default() }, faults)
    }

    fn of(spec: OrganizationSpec, faults: &str) -> Self {
        Self {
            organization: Organization::new(spec),
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

    /// Every item of a list.
    fn all(&self, operation: &str, list: &str) -> Vec<Value> {
        let (mut items, mut further) = (Vec::new(), json!({}));
        loop {
            let mut page = self.ask(operation, further).expect("a page");
            items.append(page[list].as_array_mut().expect("a list"));
            let token = page["NextToken"].take();
            if token.is_null() {
                return items;
            }
            further = json!({ "NextToken": token });
        }
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

/// An account and region.
type Place = (String, String);

/// How many rules are compliant, noncompliant and without results.
type Counts = (u64, u64, u64);

/// How many packs of each account and region have which counts.
type Packs = BTreeMap<(Place, Counts), usize>;

fn place(item: &Value) -> Place {
    let text = |name: &str| item[name].as_str().expect("a text").to_owned();
    (text("AccountId"), text("AwsRegion"))
}

/// The packs, by their counts; those of no count are left out.
fn counted_packs(asked: &Asked, with_results_only: bool) -> Packs {
    let mut packs = Packs::new();
    for item in asked.all(PACKS, "AggregateComplianceByConformancePacks") {
        let count = |name: &str| item["Compliance"][name].as_u64().expect("a count");
        let (compliant, non_compliant) = (count("CompliantRuleCount"), count("NonCompliantRuleCount"));
        let without = count("TotalRuleCount") - compliant - non_compliant;
        let counts = (compliant, non_compliant, if with_results_only { 0 } else { without });
        if counts != (0, 0, 0) {
            *packs.entry((place(&item), counts)).or_default() += 1;
        }
    }
    packs
}

/// The packs, by the rules whose names end in the same id.
fn packs_of_rules(asked: &Asked) -> Packs {
    let mut ids: BTreeMap<(Place, String), Counts> = BTreeMap::new();
    for item in asked.all(RULES, "AggregateComplianceByConfigRules") {
        let name = item["ConfigRuleName"].as_str().expect("a name");
        let Some((_, id)) = name.split_once("-conformance-pack-").filter(|(_, id)| id.len() == 9) else { continue };
        let counts = ids.entry((place(&item), id.to_owned())).or_default();
        match item["Compliance"]["ComplianceType"].as_str() {
            Some("COMPLIANT") => counts.0 += 1,
            Some("NON_COMPLIANT") => counts.1 += 1,
            Some("INSUFFICIENT_DATA") => counts.2 += 1,
            other => panic!("{other:?}"),
        }
    }
    let mut packs = Packs::new();
    for ((place, _), counts) in ids {
        *packs.entry((place, counts)).or_default() += 1;
    }
    packs
}

#[test]
fn rules_with_results_add_up_to_the_compliant_and_noncompliant_rules_of_the_packs() {
    let asked = Asked::new("");
    let packs = packs_of_rules(&asked);
    assert!(packs.len() > 100 && packs == counted_packs(&asked, true));
    assert_ne!(packs, counted_packs(&asked, false));
    assert_eq!(asked.faults.fired().get("rules_without_results"), None);
}

#[test]
fn rules_without_results_add_up_to_the_totals_of_the_packs() {
    let asked = Asked::new("rules_without_results = true");
    let packs = packs_of_rules(&asked);
    assert!(packs.len() > 100 && packs == counted_packs(&asked, false));
    assert!(asked.faults.fired().contains_key("rules_without_results"));
}

#[test]
fn rules_of_no_pack_without_results_are_listed_on_demand_only() {
    let own = |faults: &str| -> (usize, usize) {
        let spec = OrganizationSpec { packs: 1, ..OrganizationSpec::default() };
        let rules = Asked::of(spec, faults).all(RULES, "AggregateComplianceByConfigRules");
        let of_no_pack =
            |rule: &&Value| rule["ConfigRuleName"].as_str().is_some_and(|name| !name.contains("-conformance-pack-"));
        let without = |rule: &&Value| rule["Compliance"] == json!({ "ComplianceType": "INSUFFICIENT_DATA" });
        let own: Vec<&Value> = rules.iter().filter(of_no_pack).collect();
        (own.len(), own.into_iter().filter(without).count())
    };
    let (by_default, without_by_default) = own("");
    let (on_demand, without) = own("rules_without_results = true");
    assert!(
        without > 0 && without_by_default == 0 && on_demand == by_default + without,
        "{by_default} {on_demand} {without}"
    );
}

#[test]
fn contributors_are_counted_up_to_100() {
    let mut counts = BTreeSet::new();
    for item in Asked::new("").all(RULES, "AggregateComplianceByConfigRules") {
        let count = &item["Compliance"]["ComplianceContributorCount"];
        let non_compliant = item["Compliance"]["ComplianceType"] == "NON_COMPLIANT";
        if count.is_null() {
            assert!(!non_compliant, "{item}");
            continue;
        }
        let (capped, exceeded) =
            (count["CappedCount"].as_u64().expect("a count"), count["CapExceeded"].as_bool().expect("a truth"));
        assert!(capped <= 100 && (!exceeded || capped == 100) && (capped > 0 || !non_compliant), "{item}");
        counts.insert((capped, exceeded));
    }
    assert!([(0, false), (1, false), (100, true)].iter().all(|count| counts.contains(count)), "{counts:?}");
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

#[test]
fn tokens_are_counted_for_each_operation_by_itself() {
    let asked = Asked::new("expired_token_every = 2");
    let [rules, packs] = [RULES, PACKS].map(|operation| {
        let token = asked.token(operation, json!({ "Limit": 1 }));
        move |asked: &Asked| asked.ask(operation, json!({ "Limit": 1, "NextToken": token.clone() })).map(drop)
    });
    assert_eq!((rules(&asked), packs(&asked)), (Ok(()), Ok(())), "the first of each");
    let refused = Err("InvalidNextTokenException");
    assert_eq!((rules(&asked), packs(&asked)), (refused, refused), "and the second of each");
}

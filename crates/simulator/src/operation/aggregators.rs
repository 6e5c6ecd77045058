//! `DescribeConfigurationAggregators`.

use super::{Context, List, MAX_LIMIT};
use crate::organization::AggregatorFacts;
use crate::request::{ApiError, Fields};
use crate::token;
use serde_json::{Value, json};

pub(super) fn answer(context: &Context<'_>, fields: &Fields) -> Result<Value, ApiError> {
    let names: Option<Vec<&str>> = fields.value("ConfigurationAggregatorNames").map(|names| {
        names.as_array().map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    });
    if names.as_ref().is_some_and(|names| names.len() > 10) {
        return Err(ApiError::validation(
            "1 validation error detected: Value at 'configurationAggregatorNames' failed to satisfy constraint: Member must have length less than or equal to 10",
        ));
    }
    let here = context.organization.aggregators().iter().filter(|aggregator| aggregator.region == context.region);
    let wanted = |aggregator: &&AggregatorFacts| {
        names.as_ref().is_none_or(|names| names.is_empty() || names.contains(&aggregator.name))
    };
    let found: Vec<&AggregatorFacts> = here.filter(wanted).collect();
    let exists = |name: &&str| found.iter().any(|aggregator| aggregator.name == *name);
    if names.as_ref().is_some_and(|names| !names.iter().all(exists)) {
        return Err(ApiError::new(
            "NoSuchConfigurationAggregatorException",
            "The configuration aggregator does not exist.",
        ));
    }
    let fingerprint = token::fingerprint(&("aggregators", context.region, &names));
    let list = List { name: "ConfigurationAggregators", max_limit: MAX_LIMIT };
    let paging = context.paging(fields, fingerprint, list)?;
    let page = context
        .page(paging, found.len(), |range| found[range].iter().map(|aggregator| item(context, aggregator)).collect());
    Ok(page.into())
}

/// The block of the sources that it does not have is left out, as AWS does.
fn item(context: &Context<'_>, aggregator: &AggregatorFacts) -> Value {
    let owner = context.organization.account_id(0);
    let partition = match aggregator.region.split('-').next() {
        Some("cn") => "aws-cn",
        _ => "aws",
    };
    let arn = |service: &str, rest: &str| format!("arn:{partition}:{service}:{rest}");
    let regions = context.organization.regions();
    let mut item = json!({
        "ConfigurationAggregatorName": aggregator.name,
        "ConfigurationAggregatorArn":
            arn("config", &format!("{}:{owner}:config-aggregator/config-aggregator-{}", aggregator.region, aggregator.name)),
        "CreationTime": 1_600_000_000,
        "LastUpdatedTime": 1_600_000_000,
    });
    if aggregator.of_organization {
        item["OrganizationAggregationSource"] =
            json!({ "RoleArn": arn("iam", &format!(":{owner}:role/config-aggregator")), "AllAwsRegions": true });
    } else {
        let accounts: Vec<&str> =
            context.organization.covered(aggregator).map(|account| context.organization.account_id(account)).collect();
        item["AccountAggregationSources"] = json!([{ "AccountIds": accounts, "AwsRegions": regions }]);
    }
    item
}

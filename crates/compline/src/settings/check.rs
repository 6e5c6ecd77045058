//! From what is written to settings.

mod catalog;
mod lake;

use super::problem::{Problem, Source};
use super::wire::{Aggregator, Fetch, Filter, Patterns, Pipeline};
use super::{AggregatorSettings, Reconcile, Settings};
pub(crate) use catalog::is_database;
use catalog::{check_catalog, check_maintain};
use compline_fetcher::{AggregatorAddress, FanOut, FetchOptions, FilterLists, Role};
use compline_model::{AccountId, ComplianceType, InvalidName};
use compline_transformer::Choice;
use lake::{check_compression, check_lake};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use toml::{Spanned, Value};

const ENDPOINT: &str = "a URL that starts with https:// or http://";

pub(super) fn check(wire: Pipeline, source: &Source<'_>, lake: Option<&str>) -> Result<Settings, Problem> {
    if *wire.version.get_ref() != 1 {
        let allowed = "1; a newer version needs a newer compline";
        return Err(source.value(wire.version.span(), "version", wire.version.get_ref(), allowed));
    }
    if wire.aggregator.is_empty() {
        return Err(source.problem(None, "there is no [[aggregator]]; add one with id, name and region"));
    }
    let mut ids = BTreeSet::new();
    let mut aggregators = Vec::new();
    for aggregator in wire.aggregator {
        let id = aggregator.id.clone();
        if !ids.insert(id.get_ref().clone()) {
            return Err(source.value(
                id.span(),
                "id",
                format!("{:?}", id.get_ref()),
                "an id that no other aggregator has",
            ));
        }
        aggregators.push(check_aggregator(aggregator, source)?);
    }
    let compression = check_compression(wire.lake.compression.as_ref(), source)?;
    let is_of_file = lake.is_none();
    let lake = check_lake(wire.lake, source, lake)?;
    let ids = aggregators.iter().map(|aggregator: &AggregatorSettings| aggregator.address.id.clone()).collect();
    // The catalog is that of the file's lake: a run on another must not move its tables there.
    let catalog = check_catalog(wire.catalog.filter(|_| is_of_file), source, &lake, ids)?;
    // A night that is not done in the morning is told as failed, and not found hanging by the next one.
    let run_deadline = number(source, "run_deadline_secs", wire.fetch.run_deadline_secs.clone(), 36_000, 1..=86_400)?;
    // What was read longer ago and what is read now would be two states in one day.
    let checkpoint_age = wire.fetch.checkpoint_max_age_secs.clone();
    let checkpoint_age = number(source, "checkpoint_max_age_secs", checkpoint_age, 43_200, 0..=86_400)?;
    let (fetch, max_in_flight) = check_fetch(wire.fetch, source)?;
    let percent = |key, value, default| Ok(f64::from(number(source, key, value, default, 0..=100)?) / 100.0);
    let check = wire.check;
    Ok(Settings {
        lake,
        compression,
        aggregators,
        fetch,
        max_in_flight,
        run_deadline: seconds(run_deadline),
        checkpoint_age: seconds(checkpoint_age),
        archive_raw: wire.archive.raw.unwrap_or_default(),
        catalog,
        keep: check_maintain(wire.maintain, source)?,
        max_loss: percent("max_loss_percent", check.max_loss_percent, 20)?,
        reconcile: check_reconcile(check.reconcile.as_ref(), source)?,
        reconcile_tolerance: percent("reconcile_tolerance_percent", check.reconcile_tolerance_percent, 1)?,
    })
}

fn check_reconcile(wire: Option<&Spanned<String>>, source: &Source<'_>) -> Result<Reconcile, Problem> {
    let Some(value) = wire else { return Ok(Reconcile::default()) };
    match value.get_ref().as_str() {
        "off" => Ok(Reconcile::Off),
        "warn" => Ok(Reconcile::Warn),
        "fail" => Ok(Reconcile::Fail),
        other => Err(source.value(value.span(), "reconcile", format!("{other:?}"), "off, warn, fail")),
    }
}

fn check_aggregator(wire: Aggregator, source: &Source<'_>) -> Result<AggregatorSettings, Problem> {
    let role = match (&wire.role_arn, &wire.external_id) {
        (Some(arn), external_id) => Some(Role {
            arn: check_role(source, arn)?,
            external_id: external_id.as_ref().map(|id| id.get_ref().clone()),
            session_name: check_session_name(wire.role_session_name.as_ref(), source)?,
            // What STS allows; a role that is assumed by a role gets an hour at most, which is the default.
            duration: seconds(number(
                source,
                "role_duration_secs",
                wire.role_duration_secs.clone(),
                3600,
                900..=43_200,
            )?),
        }),
        (None, Some(id)) => return Err(source.problem(Some(id.span()), "external_id is for a role: set role_arn too")),
        (None, None) => {
            let spans = [
                wire.role_session_name.as_ref().map(Spanned::span),
                wire.role_duration_secs.as_ref().map(Spanned::span),
            ];
            if let Some(span) = spans.into_iter().flatten().next() {
                let what = "role_session_name and role_duration_secs are for a role: set role_arn too";
                return Err(source.problem(Some(span), what));
            }
            None
        }
    };
    let address = AggregatorAddress {
        id: name(source, "id", &wire.id)?,
        name: name(source, "name", &wire.name)?,
        region: name(source, "region", &wire.region)?,
        role,
    };
    let filters = wire.filter.iter().map(|filter| check_filter(filter, source)).collect::<Result<_, _>>()?;
    let (include, exclude) = (check_patterns(&wire.include, source)?, check_patterns(&wire.exclude, source)?);
    // Each pattern is known to be one; all of them together can only be too many.
    let choice =
        Choice::new(&include, &exclude).map_err(|error| source.problem(Some(wire.id.span()), error.to_string()))?;
    Ok(AggregatorSettings { address, filters, fan_out: check_fan_out(wire.fan_out.as_ref(), source)?, choice })
}

fn check_patterns(wire: &Patterns, source: &Source<'_>) -> Result<compline_transformer::Patterns, Problem> {
    let pattern = |text: &str| match Choice::check(text) {
        Ok(()) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err("a pattern: * for any text, ? for any character, [ab] for one of them, {a,b} for either"),
    };
    Ok(compline_transformer::Patterns {
        conformance_pack_name: list(source, "conformance_pack_name", wire.conformance_pack_name.as_ref(), pattern)?,
        pack_group: list(source, "pack_group", wire.pack_group.as_ref(), pattern)?,
        account_id: list(source, "account_id", wire.account_id.as_ref(), pattern)?,
        aws_region: list(source, "aws_region", wire.aws_region.as_ref(), pattern)?,
    })
}

/// What STS allows a session to be called.
fn check_session_name(wire: Option<&Spanned<String>>, source: &Source<'_>) -> Result<String, Problem> {
    let Some(value) = wire else { return Ok("compline".to_owned()) };
    let text = value.get_ref();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_=,.@-".contains(c);
    if matches!(text.len(), 2..=64) && text.chars().all(allowed) {
        return Ok(text.clone());
    }
    Err(source.value(value.span(), "role_session_name", format!("{text:?}"), "2 to 64 letters, digits and _=,.@-"))
}

fn check_fan_out(wire: Option<&Spanned<String>>, source: &Source<'_>) -> Result<FanOut, Problem> {
    let Some(value) = wire else { return Ok(FanOut::default()) };
    let text = value.get_ref();
    text.parse().map_err(|_| {
        source.value(value.span(), "fan_out", format!("{text:?}"), "auto, none, region, account, compliance_type")
    })
}

/// `arn:<AWS partition>:iam::<account>:role/<name>`, of any AWS partition.
fn check_role(source: &Source<'_>, arn: &Spanned<String>) -> Result<String, Problem> {
    let parts: Vec<&str> = arn.get_ref().splitn(6, ':').collect();
    let sound = matches!(parts[..], ["arn", partition, "iam", "", account, role]
        if partition.starts_with("aws") && account.parse::<AccountId>().is_ok() && role.len() > 5 && role.starts_with("role/"));
    if sound {
        return Ok(arn.get_ref().clone());
    }
    let allowed = "a role's ARN, arn:PARTITION:iam::ACCOUNT:role/NAME";
    Err(source.value(arn.span(), "role_arn", format!("{:?}", arn.get_ref()), allowed))
}

fn check_filter(wire: &Filter, source: &Source<'_>) -> Result<FilterLists, Problem> {
    let kind = |text: &str| ComplianceType::parse(text).ok_or("COMPLIANT, NON_COMPLIANT, INSUFFICIENT_DATA");
    Ok(FilterLists {
        account_id: list(source, "account_id", wire.account_id.as_ref(), parse_name)?,
        aws_region: list(source, "aws_region", wire.aws_region.as_ref(), parse_name)?,
        conformance_pack_name: list(source, "conformance_pack_name", wire.conformance_pack_name.as_ref(), parse_name)?,
        compliance_type: list(source, "compliance_type", wire.compliance_type.as_ref(), kind)?,
    })
}

fn check_fetch(wire: Fetch, source: &Source<'_>) -> Result<(FetchOptions, usize), Problem> {
    let page_size = number(source, "page_size", wire.page_size, 100, 0..=100)?;
    let max_in_flight = number(source, "max_in_flight", wire.max_in_flight, 8, 1..=256)?;
    let options = FetchOptions {
        page_size: i32::try_from(page_size).ok().filter(|size| *size > 0),
        max_attempts: number(source, "max_attempts", wire.max_attempts, 10, 1..=100)?,
        // A call waits its turn inside this while AWS Config throttles, so it is far longer than one attempt.
        operation_timeout: seconds(number(
            source,
            "operation_timeout_secs",
            wire.operation_timeout_secs,
            300,
            1..=86_400,
        )?),
        attempt_timeout: seconds(number(source, "attempt_timeout_secs", wire.attempt_timeout_secs, 60, 1..=86_400)?),
        max_requests_per_second: check_rate(source, wire.max_requests_per_second.as_ref())?,
        endpoint_url: wire.endpoint_url.as_ref().map(|url| check_endpoint(source, url)).transpose()?,
    };
    Ok((options, max_in_flight as usize))
}

/// Calls a second, whole or not.
fn check_rate(source: &Source<'_>, value: Option<&Spanned<Value>>) -> Result<Option<f64>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let rate = match value.get_ref() {
        Value::Integer(number) => i32::try_from(*number).map_or(f64::NAN, f64::from),
        Value::Float(number) => *number,
        _ => f64::NAN,
    };
    if (0.1..=1000.0).contains(&rate) {
        return Ok(Some(rate));
    }
    let allowed = "0.1 to 1000; leave the key out to let compline find the limit";
    Err(source.value(value.span(), "max_requests_per_second", shown(value.get_ref()), allowed))
}

/// A whole number within a range, or the default.
fn number(
    source: &Source<'_>,
    key: &str,
    value: Option<Spanned<i64>>,
    default: u32,
    range: RangeInclusive<u32>,
) -> Result<u32, Problem> {
    let Some(value) = value else { return Ok(default) };
    match u32::try_from(*value.get_ref()) {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let allowed = format!("{} to {}", range.start(), range.end());
            Err(source.value(value.span(), key, value.get_ref(), &allowed))
        }
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

fn check_endpoint(source: &Source<'_>, url: &Spanned<String>) -> Result<String, Problem> {
    let text = url.get_ref();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let sound = rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@')
    });
    if sound { Ok(text.clone()) } else { Err(source.value(url.span(), "endpoint_url", format!("{text:?}"), ENDPOINT)) }
}

fn name<T: FromStr<Err = InvalidName>>(source: &Source<'_>, key: &str, value: &Spanned<String>) -> Result<T, Problem> {
    let text = value.get_ref();
    text.parse().map_err(|error: InvalidName| source.value(value.span(), key, format!("{text:?}"), error.allowed))
}

fn parse_name<T: FromStr<Err = InvalidName>>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|error: InvalidName| error.allowed)
}

/// A value or a list of values, each parsed.
fn list<T>(
    source: &Source<'_>,
    key: &str,
    wire: Option<&Spanned<Value>>,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Problem> {
    let Some(wire) = wire else { return Ok(Vec::new()) };
    let values = match wire.get_ref() {
        Value::Array(values) if values.is_empty() => {
            return Err(source.value(wire.span(), key, "[]", "a value or a list of values; leave the key out for all"));
        }
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    };
    let one = |value: &Value| match value.as_str() {
        Some(text) => parse(text).map_err(|allowed| source.value(wire.span(), key, format!("{text:?}"), allowed)),
        None => Err(source.value(wire.span(), key, shown(value), "text in quotes, so that leading zeros stay")),
    };
    values.into_iter().map(one).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        other => other.type_str().to_owned(),
    }
}

impl Problem {
    /// A problem with an argument of the command line.
    pub(super) fn of_argument(argument: &str, what: &str) -> Self {
        let source = Source { file: argument, text: "" };
        source.problem(None, what)
    }
}

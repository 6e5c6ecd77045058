//! What Athena is told of the lake, and what is kept of it for how long.

use super::{check_endpoint, list, name, number};
use crate::settings::problem::{Problem, Source};
use crate::settings::wire::{Catalog, Maintain};
use crate::settings::{CatalogSettings, KeepSettings};
use compline_model::{AggregatorId, Region, SnapshotDate, Table};
use compline_sink::{CatalogLocation, LakeLocation, Partitioning};
use std::ops::RangeInclusive;
use toml::Spanned;

/// A state is needed that long: packs that are gone stay in it for 400 days, and windows of 90 days look back 180.
const DAYS: RangeInclusive<u32> = 1..=36_500;

const DATABASE: &str = "a lower-case letter, then lower-case letters, digits and underscores";

/// Whether a text is the name of a database or a table in Athena.
pub(crate) fn is_database(text: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= 255 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(letters)
}

pub(super) fn check_catalog(
    wire: Option<Catalog>,
    source: &Source<'_>,
    lake: &LakeLocation,
    aggregators: Vec<AggregatorId>,
) -> Result<Option<CatalogSettings>, Problem> {
    let Some(wire) = wire else { return Ok(None) };
    let database = &wire.database;
    if !is_database(database.get_ref()) {
        return Err(source.value(database.span(), "database", format!("{:?}", database.get_ref()), DATABASE));
    }
    let LakeLocation::S3(s3) = lake else {
        return Err(
            source.problem(Some(database.span()), "a [catalog] is for a lake on s3://: Athena reads nothing else")
        );
    };
    let region = wire.region.as_ref().map(|region| name::<Region>(source, "region", region)).transpose()?;
    Ok(Some(CatalogSettings {
        location: CatalogLocation {
            database: database.get_ref().clone(),
            region: region.map(|region| region.to_string()).or_else(|| s3.region.clone()),
            endpoint_url: wire.endpoint_url.as_ref().map(|url| check_endpoint(source, url)).transpose()?,
        },
        partitioning: check_partitioning(&wire, source, aggregators)?,
    }))
}

fn check_partitioning(
    wire: &Catalog,
    source: &Source<'_>,
    aggregators: Vec<AggregatorId>,
) -> Result<Partitioning, Problem> {
    let allowed = "YYYY-MM-DD, a day of the calendar";
    let day = |day: &Spanned<String>| {
        let wrong = |_| source.value(day.span(), "first_day", format!("{:?}", day.get_ref()), allowed);
        day.get_ref().parse::<SnapshotDate>().map_err(wrong)
    };
    let first_day = wire.first_day.as_ref().map(day).transpose()?;
    match wire.partitions.as_ref().map(|value| (value.get_ref().as_str(), value)) {
        None | Some(("projection", _)) => Ok(Partitioning::Projected { first_day, aggregators }),
        Some(("registered", _)) if wire.first_day.is_some() => {
            let span = wire.first_day.as_ref().map(Spanned::span);
            Err(source.problem(span, "first_day is for partitions = \"projection\" or \"both\""))
        }
        Some(("registered", _)) => Ok(Partitioning::Registered),
        Some(("both", _)) => Ok(Partitioning::Both { first_day, aggregators }),
        Some((other, value)) => {
            Err(source.value(value.span(), "partitions", format!("{other:?}"), "projection, registered, both"))
        }
    }
}

pub(super) fn check_maintain(wire: Maintain, source: &Source<'_>) -> Result<KeepSettings, Problem> {
    let days = |key, value: Option<Spanned<i64>>| match value {
        None => Ok(None),
        value => number(source, key, value, 1, DAYS).map(Some),
    };
    let known = Table::ALL.map(Table::name).join(", ");
    let table = |text: &str| Table::ALL.into_iter().find(|table| table.name() == text).ok_or("the name of a table");
    let compact = list(source, "compact", wire.compact.as_ref(), table).map_err(|problem| match &wire.compact {
        Some(value) if problem.to_string().ends_with("the name of a table") => {
            source.value(value.span(), "compact", "[ ... ]", &format!("tables: {known}"))
        }
        _ => problem,
    })?;
    Ok(KeepSettings {
        pack_status_days: days("pack_status_days", wire.pack_status_days)?,
        snapshot_days: days("snapshot_days", wire.snapshot_days)?,
        compact: compact.into_iter().collect(),
    })
}

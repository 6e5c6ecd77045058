//! `[catalog]` and `[maintain]`: what Athena is told of the lake, and what of it is retained for how long.

use super::document::{Document, Problem};
use super::text::{Database, EndpointUrl, Partitions};
use super::value::{Text, Whole};
use super::{CatalogSettings, KeepSettings};
use compline_model::{AggregatorId, Region, SnapshotDate, WINDOWS};
use compline_sink::{CatalogLocation, LakeLocation, Partitioning};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalog {
    database: Spanned<Text<Database>>,
    #[serde(default)]
    partitions: Text<Partitions>,
    first_day: Option<Spanned<Text<SnapshotDate>>>,
    region: Option<Text<Region>>,
    endpoint_url: Option<Text<EndpointUrl>>,
}

impl Catalog {
    pub(super) fn settings(
        self,
        document: &Document<'_>,
        lake: &LakeLocation,
        aggregators: Vec<AggregatorId>,
    ) -> Result<CatalogSettings, Problem> {
        let LakeLocation::S3(s3) = lake else {
            let what = "a [catalog] is for a lake on s3://: Athena reads nothing else";
            return Err(document.problem_at(&self.database.span(), what));
        };
        let partitioning = self.partitioning(document, aggregators)?;
        let location = CatalogLocation {
            database: self.database.into_inner().0.0,
            region: self.region.map(|region| region.0.to_string()).or_else(|| s3.region.clone()),
            endpoint_url: self.endpoint_url.map(|url| url.0.0),
        };
        Ok(CatalogSettings { location, partitioning })
    }

    fn partitioning(&self, document: &Document<'_>, aggregators: Vec<AggregatorId>) -> Result<Partitioning, Problem> {
        let first_day = self.first_day.as_ref().map(|day| day.get_ref().0);
        match (self.partitions.0, &self.first_day) {
            (Partitions::Registered, None) => Ok(Partitioning::Registered),
            (Partitions::Registered, Some(day)) => {
                let what = "first_day is for partitions = \"projection\" or \"both\"";
                Err(document.problem_at(&day.span(), what))
            }
            (Partitions::Projection, _) => Ok(Partitioning::Projected { first_day, aggregators }),
            (Partitions::Both, _) => Ok(Partitioning::Both { first_day, aggregators }),
        }
    }
}

impl KeepSettings {
    /// Warns of what is dropped before trends are done with it.
    pub(super) fn warn(&self, document: &Document<'_>, warnings: &mut Vec<String>) {
        // What a window is compared with is at most as old again as the window is long.
        let needed = 2 * WINDOWS.into_iter().max().unwrap_or_default();
        let Some(days) = self.snapshot_days.filter(|days| *days < needed) else { return };
        let mut keys = document.keys_of("maintain").into_iter();
        let Some((_, span)) = keys.find(|(key, _)| *key == "snapshot_days") else { return };
        warnings.push(format!(
            "{}: snapshot_days = {days} is less than the {needed} days that trends look back: what is dropped can neither be \
             collected again nor recomputed",
            document.place(span.start)
        ));
    }
}

/// Reads after how many days something is dropped. The last state always stays, so that one day is enough; no rule of
/// retention asks for more than a hundred years.
pub(super) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Whole::<1, 36_500, 1>::deserialize(deserializer).map(|days| Some(days.0))
}

//! `[[aggregator]]`: who is asked, and what for.

use super::AggregatorSettings;
use super::document::{Document, Problem};
use super::text::{ExternalId, Pattern, RoleArn, SessionName, WrittenFanOut};
use super::value::{Section, Text, Whole, one_or_many};
use compline_fetcher::{AggregatorAddress, FanOut, FilterLists, Role};
use compline_model::{AccountId, AggregatorId, AggregatorName, ComplianceType, PackName, Region};
use compline_transformer::{Patterns, RowFilter};
use serde::{Deserialize, Deserializer};
use std::ops::Range;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Aggregator {
    pub(super) id: Spanned<Text<AggregatorId>>,
    name: Text<AggregatorName>,
    region: Text<Region>,
    expected_account: Option<Text<AccountId>>,
    fan_out: Option<Spanned<Text<WrittenFanOut>>>,
    role_arn: Option<Text<RoleArn>>,
    external_id: Option<Spanned<Text<ExternalId>>>,
    role_session_name: Option<Spanned<Text<SessionName>>>,
    /// What STS allows; a role that is assumed by a role gets an hour at most, which is the default.
    role_duration_secs: Option<Spanned<Whole<900, 43_200, 3600>>>,
    #[serde(default)]
    filter: Vec<Section<Filter>>,
    #[serde(default)]
    include: Section<RowPatterns>,
    #[serde(default)]
    exclude: Section<RowPatterns>,
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Filter(#[serde(with = "FilterFields")] FilterLists);

#[derive(Deserialize)]
#[serde(remote = "FilterLists", deny_unknown_fields)]
struct FilterFields {
    #[serde(default, deserialize_with = "one_or_many::<AccountId, _, _>")]
    account_id: Vec<AccountId>,
    #[serde(default, deserialize_with = "one_or_many::<Region, _, _>")]
    aws_region: Vec<Region>,
    #[serde(default, deserialize_with = "one_or_many::<PackName, _, _>")]
    conformance_pack_name: Vec<PackName>,
    #[serde(default, deserialize_with = "one_or_many::<ComplianceType, _, _>")]
    compliance_type: Vec<ComplianceType>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct RowPatterns(#[serde(with = "PatternFields")] Patterns);

#[derive(Deserialize)]
#[serde(remote = "Patterns", deny_unknown_fields)]
struct PatternFields {
    #[serde(default, deserialize_with = "patterns")]
    conformance_pack_name: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    pack_group: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    account_id: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    aws_region: Vec<String>,
}

fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let patterns: Vec<Pattern> = one_or_many(deserializer)?;
    Ok(patterns.into_iter().map(|pattern| pattern.0).collect())
}

impl Aggregator {
    /// The settings, and what they warn of.
    pub(super) fn settings(
        self,
        document: &Document<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<AggregatorSettings, Problem> {
        let fan_out = self.fan_out(document, warnings);
        // Each pattern is one; all of them together can only be too many.
        let row_filter = RowFilter::new(&self.include.0.0, &self.exclude.0.0)
            .map_err(|error| document.problem_at(&self.id.span(), error))?;
        let role = match &self.role_arn {
            Some(arn) => Some(self.role(arn.0.0.clone())),
            None => self.no_role(document)?,
        };
        let filters = self.filter.into_iter().map(|filter| filter.0.0).collect();
        let expected_account = self.expected_account.map(|account| account.0);
        let (id, name, region) = (self.id.into_inner().0, self.name.0, self.region.0);
        let address = AggregatorAddress { id, name, region, role };
        Ok(AggregatorSettings { address, expected_account, filters, fan_out, row_filter })
    }

    fn fan_out(&self, document: &Document<'_>, warnings: &mut Vec<String>) -> FanOut {
        let Some(written) = &self.fan_out else { return FanOut::default() };
        match written.get_ref().0 {
            WrittenFanOut::Known(fan_out) => fan_out,
            WrittenFanOut::ByComplianceType => {
                warnings.push(format!(
                    "{}: fan_out = \"compliance_type\" is read as \"auto\": a pack whose type changes while shards are read \
                     would be in two of them or in none; remove the key",
                    document.place(written.span().start)
                ));
                FanOut::Auto
            }
        }
    }

    fn role(&self, arn: String) -> Role {
        let session_name = self.role_session_name.as_ref().map(|name| name.get_ref().0.0.clone());
        Role {
            arn,
            external_id: self.external_id.as_ref().map(|id| id.get_ref().0.0.clone()),
            session_name: session_name.unwrap_or_else(|| "compline".to_owned()),
            duration: self.role_duration_secs.as_ref().map(|count| *count.get_ref()).unwrap_or_default().seconds(),
        }
    }

    /// Nothing that is said of a role may be left when there is none: its ARN was forgotten.
    fn no_role(&self, document: &Document<'_>) -> Result<Option<Role>, Problem> {
        let of_role: [(&str, Option<Range<usize>>); 3] = [
            ("external_id", self.external_id.as_ref().map(Spanned::span)),
            ("role_session_name", self.role_session_name.as_ref().map(Spanned::span)),
            ("role_duration_secs", self.role_duration_secs.as_ref().map(Spanned::span)),
        ];
        match of_role.into_iter().find_map(|(key, span)| Some((key, span?))) {
            Some((key, span)) => Err(document.problem_at(&span, format!("{key} is for a role: set role_arn too"))),
            None => Ok(None),
        }
    }
}

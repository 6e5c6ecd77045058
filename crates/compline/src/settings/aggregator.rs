//! `[[aggregator]]`: who is asked, and what for.

use super::document::{Document, Problem};
use super::text::{DatasetName, ExternalId, Pattern, RoleArn, RuleType, SessionName, WrittenFanOut};
use super::value::{Section, Text, Whole, one_or_many};
use super::{AggregatorSettings, DatasetSettings};
use compline_fetcher::{AggregatorAddress, FanOut, FilterLists, Role};
use compline_model::{
    AccountId, AggregatorId, AggregatorName, ComplianceType, ConfigRuleName, Dataset, PackName, Region,
};
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
    datasets: Option<Spanned<Datasets>>,
    #[serde(default)]
    filter: Vec<Section<Filter>>,
    #[serde(default)]
    include: Section<RowPatterns>,
    #[serde(default)]
    exclude: Section<RowPatterns>,
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Datasets {
    #[serde(deserialize_with = "one_or_many::<DatasetName, _, _>")]
    names: Vec<DatasetName>,
}

/// One `[[aggregator.filter]]`: its accounts and regions are asked for of each dataset, and what is left is of one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(default, deserialize_with = "one_or_many::<AccountId, _, _>")]
    account_id: Vec<AccountId>,
    #[serde(default, deserialize_with = "one_or_many::<Region, _, _>")]
    aws_region: Vec<Region>,
    #[serde(default, deserialize_with = "one_or_many::<PackName, _, _>")]
    conformance_pack_name: Vec<PackName>,
    #[serde(default, deserialize_with = "one_or_many::<ComplianceType, _, _>")]
    compliance_type: Vec<ComplianceType>,
    #[serde(default, deserialize_with = "one_or_many::<ConfigRuleName, _, _>")]
    config_rule_name: Vec<ConfigRuleName>,
    #[serde(default, deserialize_with = "one_or_many::<RuleType, _, _>")]
    rule_compliance_type: Vec<RuleType>,
}

/// `[aggregator.include]` and `[aggregator.exclude]`, in the same way.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowPatterns {
    #[serde(default, deserialize_with = "patterns")]
    conformance_pack_name: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    pack_group: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    config_rule_name: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    rule_group: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    account_id: Vec<String>,
    #[serde(default, deserialize_with = "patterns")]
    aws_region: Vec<String>,
}

fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let patterns: Vec<Pattern> = one_or_many(deserializer)?;
    Ok(patterns.into_iter().map(|pattern| pattern.0).collect())
}

impl Filter {
    fn of(&self, dataset: &Dataset) -> FilterLists {
        let places = FilterLists {
            account_id: self.account_id.clone(),
            aws_region: self.aws_region.clone(),
            ..FilterLists::default()
        };
        if dataset == &Dataset::RULES {
            let (config_rule_name, types) = (self.config_rule_name.clone(), &self.rule_compliance_type);
            return FilterLists {
                config_rule_name,
                compliance_type: types.iter().map(|kind| kind.0).collect(),
                ..places
            };
        }
        let (conformance_pack_name, compliance_type) =
            (self.conformance_pack_name.clone(), self.compliance_type.clone());
        FilterLists { conformance_pack_name, compliance_type, ..places }
    }
}

impl RowPatterns {
    fn of(&self, dataset: &Dataset) -> Patterns {
        let (name, group) = match dataset == &Dataset::RULES {
            true => (&self.config_rule_name, &self.rule_group),
            false => (&self.conformance_pack_name, &self.pack_group),
        };
        let (name, group) = (name.clone(), group.clone());
        Patterns { name, group, account_id: self.account_id.clone(), aws_region: self.aws_region.clone() }
    }
}

impl Aggregator {
    /// The settings, and what they warn of.
    pub(super) fn settings(
        self,
        document: &Document<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<AggregatorSettings, Problem> {
        let fan_out = self.fan_out(document, warnings);
        let of = |dataset| self.of_dataset(dataset, document);
        let of_datasets = [of(&Dataset::PACKS)?, of(&Dataset::RULES)?];
        let datasets = self.datasets(document)?;
        if !datasets.contains(&&Dataset::RULES) && self.has_keys_of_rules() {
            warnings.push(format!(
                "{}: config_rule_name, rule_compliance_type and rule_group are of rules, which are not among its datasets",
                document.place(self.id.span().start)
            ));
        }
        let role = match &self.role_arn {
            Some(arn) => Some(self.role(arn.0.0.clone())),
            None => self.no_role(document)?,
        };
        let expected_account = self.expected_account.map(|account| account.0);
        let (id, name, region) = (self.id.into_inner().0, self.name.0, self.region.0);
        let address = AggregatorAddress { id, name, region, role };
        Ok(AggregatorSettings { address, expected_account, fan_out, datasets, of_datasets })
    }

    /// Whether something is said that is of rules alone.
    fn has_keys_of_rules(&self) -> bool {
        let is_of_filter =
            |one: &Section<Filter>| !(one.0.config_rule_name.is_empty() && one.0.rule_compliance_type.is_empty());
        let is_of_rows = |rows: &RowPatterns| !(rows.config_rule_name.is_empty() && rows.rule_group.is_empty());
        self.filter.iter().any(is_of_filter) || is_of_rows(&self.include.0) || is_of_rows(&self.exclude.0)
    }

    /// What is asked for of a dataset.
    fn of_dataset(&self, dataset: &'static Dataset, document: &Document<'_>) -> Result<DatasetSettings, Problem> {
        let filters: Vec<FilterLists> = self.filter.iter().map(|filter| filter.0.of(dataset)).collect();
        // One that says nothing of this dataset, as one of another's names, asks for all of it.
        let is_everything = filters.contains(&FilterLists::default());
        let filters = if is_everything { Vec::new() } else { filters };
        // Each pattern is one; all of them together can only be too many.
        let row_filter = RowFilter::new(dataset, &self.include.0.of(dataset), &self.exclude.0.of(dataset))
            .map_err(|error| document.problem_at(&self.id.span(), error))?;
        Ok(DatasetSettings { dataset, filters, row_filter })
    }

    /// The datasets that are collected, in the order of all. Packs are always: the rules say why those are as they are.
    fn datasets(&self, document: &Document<'_>) -> Result<Vec<&'static Dataset>, Problem> {
        let Some(written) = &self.datasets else { return Ok(vec![&Dataset::PACKS]) };
        let has = |dataset: &&Dataset| written.get_ref().names.iter().any(|named| named.0 == *dataset);
        if !has(&&Dataset::PACKS) {
            return Err(document.not_allowed(&written.span(), "\"packs\", or [\"packs\", \"rules\"]"));
        }
        Ok(Dataset::ALL.into_iter().filter(has).collect())
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

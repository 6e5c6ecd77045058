//! Which packs or rules the filters of an aggregator ask for, and whether that depends on the answer.
//!
//! Trends compare the packs of one day with those of the day before. A filter by account, region or pack asks for the same
//! packs on both; one by compliance type does not, since a pack that was fixed is no longer asked for and looks removed.

use crate::FilterLists;
use compline_model::{ComplianceType, Dataset, PackAnswer, RuleAnswer, quoted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The packs that all filters of an aggregator ask for together. Equal for filters that ask for the same, however they are
/// written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    dataset: &'static Dataset,
    asked: Arc<Asked>,
}

/// What is asked for of the packs of a place, as far as the place is known: a tree by account, region and pack name. It is
/// reduced as it is made (a field that makes no difference is left out), so that there is one tree for each population.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    /// Some types only; none where nothing is asked for.
    Types(BTreeSet<ComplianceType>),
    /// Every pack, whatever its type, also one that AWS adds later.
    EveryType,
    /// Another answer for some values of a field than for the others.
    ByValue { field: Field, named: BTreeMap<Box<str>, Arc<Asked>>, others: Arc<Asked> },
}

/// The fields that a pack or rule cannot change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Account,
    Region,
    Name,
}

impl Population {
    /// What these filters of a dataset ask for; none asks for everything.
    pub fn of(dataset: &'static Dataset, filters: &[FilterLists]) -> Self {
        let everything = [FilterLists::default()];
        let filters = if filters.is_empty() { &everything[..] } else { filters };
        Self { asked: asked(dataset, &filters.iter().collect::<Vec<_>>(), Some(Field::Account)), dataset }
    }

    /// Whether a pack can come or go because its compliance changed. It cannot where every place that is asked for is asked
    /// for all types that the operation filters by, or without a type, by whichever filters.
    pub fn depends_on_answer(&self) -> bool {
        self.asked.depends_on_answer()
    }

    /// A text that is the same for filters that ask for the same, in whatever order and pieces; empty for everything. It is
    /// stable: it may be stored and compared with that of a later run. `*` stands for the values that are not named.
    pub fn shown(&self) -> String {
        let mut parts = Vec::new();
        self.asked.show(self.dataset, &[], &mut parts);
        parts.join("; ")
    }

    /// Whether the filters ask for a pack as it was answered.
    pub fn has_pack(&self, pack: &PackAnswer) -> bool {
        let kind = pack.compliance.as_ref().and_then(|compliance| compliance.compliance_type.as_deref());
        self.has([pack.account_id.as_str(), &pack.aws_region, &pack.conformance_pack_name], kind)
    }

    /// The same of a rule.
    pub fn has_rule(&self, rule: &RuleAnswer) -> bool {
        let kind = rule.compliance.as_ref().and_then(|compliance| compliance.compliance_type.as_deref());
        self.has([rule.account_id.as_str(), &rule.aws_region, &rule.config_rule_name], kind)
    }

    /// The same by account, region and name.
    fn has(&self, key: [&str; 3], kind: Option<&str>) -> bool {
        let mut asked = &*self.asked;
        loop {
            match asked {
                Asked::ByValue { field, named, others } => asked = named.get(field.of(key)).unwrap_or(others),
                Asked::EveryType => return true,
                Asked::Types(types) => {
                    return kind.and_then(ComplianceType::parse).is_some_and(|kind| types.contains(&kind));
                }
            }
        }
    }
}

/// What filters that all ask for a place ask for of it, from a field on.
fn asked(dataset: &Dataset, filters: &[&FilterLists], field: Option<Field>) -> Arc<Asked> {
    let Some(field) = field else { return Arc::new(types(dataset, filters)) };
    let lists: Vec<BTreeSet<&str>> = filters.iter().map(|filter| field.list(filter)).collect();
    // Values that the same filters ask for have the same answer: of a thousand accounts it is looked for once.
    let mut answers: BTreeMap<Vec<usize>, Arc<Asked>> = BTreeMap::new();
    let mut answer = |value: Option<&str>| {
        let fits = |list: &BTreeSet<&str>| list.is_empty() || value.is_some_and(|value| list.contains(value));
        let fitting: Vec<usize> = (0..filters.len()).filter(|index| fits(&lists[*index])).collect();
        let below = |fitting: &[usize]| {
            asked(dataset, &fitting.iter().map(|index| filters[*index]).collect::<Vec<_>>(), field.next())
        };
        Arc::clone(answers.entry(fitting).or_insert_with_key(|fitting| below(fitting)))
    };
    let others = answer(None);
    let values: BTreeSet<&str> = lists.iter().flatten().copied().collect();
    let named = values.into_iter().map(|value| (Box::from(value), answer(Some(value))));
    let named: BTreeMap<Box<str>, Arc<Asked>> = named.filter(|(_, asked)| *asked != others).collect();
    if named.is_empty() { others } else { Arc::new(Asked::ByValue { field, named, others }) }
}

/// The types that some filters ask for together.
fn types(dataset: &Dataset, filters: &[&FilterLists]) -> Asked {
    let types: BTreeSet<ComplianceType> = filters.iter().flat_map(|filter| filter.compliance_type.clone()).collect();
    let open = filters.iter().any(|filter| filter.compliance_type.is_empty());
    if open || dataset.is_every_type(&types) { Asked::EveryType } else { Asked::Types(types) }
}

impl Asked {
    fn depends_on_answer(&self) -> bool {
        match self {
            Self::EveryType => false,
            Self::Types(types) => !types.is_empty(),
            Self::ByValue { named, others, .. } => {
                others.depends_on_answer() || named.values().any(|asked| asked.depends_on_answer())
            }
        }
    }

    /// Adds a part of the text for each of the places that are asked for. `place` is what is said of it so far.
    fn show(&self, dataset: &Dataset, place: &[String], parts: &mut Vec<String>) {
        match self {
            Self::EveryType => parts.push(place.join(" ")),
            Self::Types(types) if types.is_empty() => {}
            Self::Types(types) => {
                let types: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
                parts.push([place, &[format!("compliance_type={}", types.join(","))]].concat().join(" "));
            }
            Self::ByValue { field, named, others } => {
                let mut values: BTreeMap<&Self, Vec<&str>> = BTreeMap::new();
                named.iter().for_each(|(value, asked)| values.entry(asked).or_default().push(value));
                // Of names some have commas and spaces, and one may be `*`.
                let shown = |values: Vec<&str>| values.into_iter().map(|value| quoted(value, "")).collect::<Vec<_>>();
                let named = values.into_iter().map(|(asked, values)| (asked, shown(values)));
                for (asked, values) in named.chain([(&**others, vec!["*".to_owned()])]) {
                    let place = [place, &[format!("{}={}", field.name(dataset), values.join(","))]].concat();
                    asked.show(dataset, &place, parts);
                }
            }
        }
    }
}

impl Field {
    fn next(self) -> Option<Self> {
        match self {
            Self::Account => Some(Self::Region),
            Self::Region => Some(Self::Name),
            Self::Name => None,
        }
    }

    fn name(self, dataset: &Dataset) -> &'static str {
        match self {
            Self::Account => "account_id",
            Self::Region => "aws_region",
            Self::Name => dataset.key,
        }
    }

    /// The values that a filter lists; none for any value.
    fn list(self, filter: &FilterLists) -> BTreeSet<&str> {
        match self {
            Self::Account => filter.account_id.iter().map(|id| id.as_str()).collect(),
            Self::Region => filter.aws_region.iter().map(|region| region.as_str()).collect(),
            Self::Name => {
                let packs = filter.conformance_pack_name.iter().map(|name| name.as_str());
                packs.chain(filter.config_rule_name.iter().map(|name| name.as_str())).collect()
            }
        }
    }

    fn of(self, [account_id, aws_region, name]: [&str; 3]) -> &str {
        match self {
            Self::Account => account_id,
            Self::Region => aws_region,
            Self::Name => name,
        }
    }
}

#[cfg(test)]
mod tests;

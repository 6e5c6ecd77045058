//! Which rows are wanted, where the exact-match filters of the API cannot say it.

use compline_model::{Dataset, PackAnswer, RuleAnswer, RuleName, pack_group, quoted};
use globset::{Glob, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;

/// Patterns of what is included, or of what is excluded: a list that is empty says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Of full names, of packs or of rules.
    pub name: Vec<String>,
    /// Of their groups.
    pub group: Vec<String>,
    /// Of account ids.
    pub account_id: Vec<String>,
    /// Of regions.
    pub aws_region: Vec<String>,
}

/// Rows that are included in every field that has patterns, and excluded in none.
#[derive(Debug, Clone, Default)]
pub struct RowFilter {
    include: Sets,
    exclude: Sets,
    shown: String,
}

#[derive(Debug, Clone, Default)]
struct Sets {
    name: GlobSet,
    group: GlobSet,
    account_id: GlobSet,
    aws_region: GlobSet,
}

/// A text that is no pattern: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

impl RowFilter {
    /// The filter of a dataset that these patterns make. `*` is any text, `?` any character, `[ab]` one of them, `{a,b}` either.
    ///
    /// # Errors
    /// A text that is no pattern.
    pub fn new(dataset: &Dataset, include: &Patterns, exclude: &Patterns) -> Result<Self, InvalidPattern> {
        // The order of patterns makes no difference, so it must not make another text.
        let (include, exclude) = (include.sorted(), exclude.sorted());
        let include = include.without_any();
        let shown = [("include", include.shown(dataset)), ("exclude", exclude.shown(dataset))];
        let shown =
            shown.iter().filter(|(_, fields)| !fields.is_empty()).map(|(name, fields)| format!("{name} {fields}"));
        let shown = shown.collect::<Vec<_>>().join("; ");
        Ok(Self { include: Sets::new(&include)?, exclude: Sets::new(&exclude)?, shown })
    }

    /// Whether a text is a pattern.
    ///
    /// # Errors
    /// It is none.
    pub fn check(pattern: &str) -> Result<(), InvalidPattern> {
        globs(&[pattern.to_owned()]).map(drop)
    }

    /// Whether every row is wanted.
    pub fn is_everything(&self) -> bool {
        self.shown.is_empty()
    }

    /// What tells this filter from another: the same text for the same patterns in another order, or given twice; empty for
    /// everything.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn wants_pack(&self, pack: &PackAnswer) -> bool {
        let name = pack.conformance_pack_name.as_str();
        self.is_everything() || self.wants([name, pack_group(name), pack.account_id.as_str(), &pack.aws_region])
    }

    pub(crate) fn wants_rule(&self, rule: &RuleAnswer) -> bool {
        let name = rule.config_rule_name.as_str();
        let group = RuleName::of(name).group;
        self.is_everything() || self.wants([name, group, rule.account_id.as_str(), &rule.aws_region])
    }

    fn wants(&self, values: [&str; 4]) -> bool {
        let included = |(set, value): (&GlobSet, &str)| set.is_empty() || set.is_match(value);
        let excluded = |(set, value): (&GlobSet, &str)| set.is_match(value);
        self.include.all().into_iter().zip(values).all(included)
            && !self.exclude.all().into_iter().zip(values).any(excluded)
    }
}

impl Patterns {
    /// Each pattern once, in order.
    fn sorted(&self) -> Self {
        let sorted = |patterns: &[String]| patterns.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        Self {
            name: sorted(&self.name),
            group: sorted(&self.group),
            account_id: sorted(&self.account_id),
            aws_region: sorted(&self.aws_region),
        }
    }
}

impl Patterns {
    fn fields(&self, dataset: &Dataset) -> [(&'static str, &Vec<String>); 4] {
        [
            ("account_id", &self.account_id),
            ("aws_region", &self.aws_region),
            (dataset.key, &self.name),
            (dataset.group, &self.group),
        ]
    }

    /// The same, where a field that includes any text says nothing.
    fn without_any(mut self) -> Self {
        let Self { name, group, account_id, aws_region } = &mut self;
        for patterns in [name, group, account_id, aws_region] {
            if patterns.iter().any(|pattern| pattern.chars().all(|letter| letter == '*')) {
                patterns.clear();
            }
        }
        self
    }

    /// The fields that have patterns, as `aws_region=eu-*,us-east-1`. A pattern that has more in it than names and wildcards is
    /// quoted, so that two filters never have the same text.
    fn shown(&self, dataset: &Dataset) -> String {
        let list = |patterns: &Vec<String>| patterns.iter().map(|one| quoted(one, "*?")).collect::<Vec<_>>().join(",");
        let named = self.fields(dataset).into_iter().filter(|(_, patterns)| !patterns.is_empty());
        named.map(|(name, patterns)| format!("{name}={}", list(patterns))).collect::<Vec<_>>().join(" ")
    }
}

impl Sets {
    fn new(patterns: &Patterns) -> Result<Self, InvalidPattern> {
        Ok(Self {
            name: globs(&patterns.name)?,
            group: globs(&patterns.group)?,
            account_id: globs(&patterns.account_id)?,
            aws_region: globs(&patterns.aws_region)?,
        })
    }

    fn all(&self) -> [&GlobSet; 4] {
        [&self.name, &self.group, &self.account_id, &self.aws_region]
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, InvalidPattern> {
    let failed = |error: globset::Error| InvalidPattern(error.kind().to_string());
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(failed)?);
    }
    set.build().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(account: &str, region: &str, name: &str) -> PackAnswer {
        PackAnswer {
            account_id: account.parse().expect("an account"),
            aws_region: region.into(),
            conformance_pack_name: name.into(),
            compliance: None,
        }
    }

    fn list(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
    }

    proptest::proptest! {
        #[test]
        fn the_text_of_a_filter_is_the_same_in_any_order_of_its_patterns_and_another_for_others(
            patterns in proptest::collection::vec("[a-c*]{1,2}", 0..5),
            others in proptest::collection::vec("[a-c*]{1,2}", 0..5),
        ) {
            let shown = |include: &[String], exclude: &[String]| {
                let of = |patterns: &[String]| Patterns { aws_region: patterns.to_vec(), ..Patterns::default() };
                RowFilter::new(&Dataset::PACKS, &of(include), &of(exclude)).expect("patterns").shown().to_owned()
            };
            let reversed: Vec<String> = patterns.iter().rev().chain(patterns.first()).cloned().collect();
            proptest::prop_assert_eq!(shown(&patterns, &others), shown(&reversed, &others));
            // What includes any text says nothing.
            let any = |patterns: &[String]| patterns.iter().any(|pattern| pattern.chars().all(|letter| letter == '*'));
            let set = |patterns: &[String]| match any(patterns) {
                true => BTreeSet::new(),
                false => patterns.iter().cloned().collect::<BTreeSet<_>>(),
            };
            proptest::prop_assert_eq!(shown(&patterns, &others).is_empty(), set(&patterns).is_empty() && others.is_empty());
            proptest::prop_assert_eq!(shown(&patterns, &[]) == shown(&others, &[]), set(&patterns) == set(&others));
            proptest::prop_assert_eq!(shown(&patterns, &[]) == shown(&[], &others), set(&patterns).is_empty() && others.is_empty());
        }
    }

    #[test]
    fn the_text_of_a_filter_is_one_that_a_person_reads_and_no_two_filters_share() {
        let shown = |include: Patterns, exclude: Patterns| {
            RowFilter::new(&Dataset::PACKS, &include, &exclude).expect("patterns").shown().to_owned()
        };
        let regions = |patterns: &[&str]| Patterns { aws_region: list(patterns), ..Patterns::default() };
        let include = Patterns { account_id: list(&["1111*"]), ..regions(&["us-east-1", "eu-*"]) };
        assert_eq!(
            shown(include, Patterns { group: list(&["cis*"]), ..Patterns::default() }),
            "include account_id=1111* aws_region=eu-*,us-east-1; exclude pack_group=cis*"
        );
        assert_eq!(shown(regions(&["*", "eu-*"]), Patterns::default()), "", "any region");
        assert_ne!(shown(regions(&["a,b"]), Patterns::default()), shown(regions(&["a", "b"]), Patterns::default()));
        assert_eq!(shown(regions(&["{a,b}"]), Patterns::default()), "include aws_region=\"{a,b}\"");
    }

    #[test]
    fn a_row_is_wanted_if_every_field_includes_it_and_none_excludes_it() {
        let include =
            Patterns { group: list(&["cis-*", "pci-dss"]), aws_region: list(&["eu-*"]), ..Patterns::default() };
        let exclude = Patterns { account_id: list(&["0000*"]), name: list(&["*-ab12cd34"]), ..Patterns::default() };
        let row_filter = RowFilter::new(&Dataset::PACKS, &include, &exclude).expect("patterns");
        let wants = |account: &str, region: &str, name: &str| row_filter.wants_pack(&pack(account, region, name));
        assert!(wants("111111111111", "eu-west-1", "OrgConformsPack-cis-level1-zz99yy88"));
        assert!(wants("111111111111", "eu-west-1", "pci-dss"));
        assert!(!wants("111111111111", "eu-west-1", "nist-800-53"), "another group");
        assert!(!wants("111111111111", "us-east-1", "pci-dss"), "another region");
        assert!(!wants("000011111111", "eu-west-1", "pci-dss"), "an account that is excluded");
        assert!(!wants("111111111111", "eu-west-1", "OrgConformsPack-cis-level1-ab12cd34"), "a name that is excluded");
        assert!(
            RowFilter::default().wants_pack(&pack("000011111111", "us-east-1", "x"))
                && RowFilter::default().is_everything()
        );
        assert!(RowFilter::check("a[").is_err() && RowFilter::check("a*").is_ok());
    }
}

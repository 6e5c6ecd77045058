//! Which rows are wanted, where the exact-match filters of the API cannot say it.

use compline_model::{PackAnswer, pack_group};
use globset::{Glob, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;

/// Patterns of what is included, or of what is excluded: a list that is empty says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Of full pack names.
    pub conformance_pack_name: Vec<String>,
    /// Of pack groups.
    pub pack_group: Vec<String>,
    /// Of account ids.
    pub account_id: Vec<String>,
    /// Of regions.
    pub aws_region: Vec<String>,
}

/// Rows that are included in every field that has patterns, and excluded in none.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    include: Sets,
    exclude: Sets,
    shown: String,
}

#[derive(Debug, Clone, Default)]
struct Sets {
    conformance_pack_name: GlobSet,
    pack_group: GlobSet,
    account_id: GlobSet,
    aws_region: GlobSet,
}

/// A text that is no pattern: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

impl Choice {
    /// The choice that these patterns make. `*` is any text, `?` any character, `[ab]` one of them, `{a,b}` either.
    ///
    /// # Errors
    /// A text that is no pattern.
    pub fn new(include: &Patterns, exclude: &Patterns) -> Result<Self, InvalidPattern> {
        // The order of patterns makes no difference, so it must not make another text.
        let (include, exclude) = (include.sorted(), exclude.sorted());
        let everything = include == Patterns::default() && exclude == Patterns::default();
        let shown = if everything { String::new() } else { format!("include {include:?}, exclude {exclude:?}") };
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

    pub(crate) fn wants(&self, pack: &PackAnswer) -> bool {
        if self.is_everything() {
            return true;
        }
        let name = pack.conformance_pack_name.as_str();
        let values = [name, pack_group(name), pack.account_id.as_str(), &pack.aws_region];
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
            conformance_pack_name: sorted(&self.conformance_pack_name),
            pack_group: sorted(&self.pack_group),
            account_id: sorted(&self.account_id),
            aws_region: sorted(&self.aws_region),
        }
    }
}

impl Sets {
    fn new(patterns: &Patterns) -> Result<Self, InvalidPattern> {
        Ok(Self {
            conformance_pack_name: globs(&patterns.conformance_pack_name)?,
            pack_group: globs(&patterns.pack_group)?,
            account_id: globs(&patterns.account_id)?,
            aws_region: globs(&patterns.aws_region)?,
        })
    }

    fn all(&self) -> [&GlobSet; 4] {
        [&self.conformance_pack_name, &self.pack_group, &self.account_id, &self.aws_region]
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
            aws_region: region.to_owned(),
            conformance_pack_name: name.to_owned(),
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
                Choice::new(&of(include), &of(exclude)).expect("patterns").shown().to_owned()
            };
            let reversed: Vec<String> = patterns.iter().rev().chain(patterns.first()).cloned().collect();
            proptest::prop_assert_eq!(shown(&patterns, &others), shown(&reversed, &others));
            proptest::prop_assert_eq!(shown(&patterns, &others).is_empty(), patterns.is_empty() && others.is_empty());
            let set = |patterns: &[String]| patterns.iter().cloned().collect::<BTreeSet<_>>();
            let same = set(&patterns) == set(&others);
            proptest::prop_assert_eq!(shown(&patterns, &[]) == shown(&others, &[]), same);
            proptest::prop_assert_eq!(shown(&patterns, &[]) == shown(&[], &others), patterns.is_empty() && others.is_empty());
        }
    }

    #[test]
    fn a_row_is_wanted_if_every_field_includes_it_and_none_excludes_it() {
        let include =
            Patterns { pack_group: list(&["cis-*", "pci-dss"]), aws_region: list(&["eu-*"]), ..Patterns::default() };
        let exclude = Patterns {
            account_id: list(&["0000*"]),
            conformance_pack_name: list(&["*-ab12cd34"]),
            ..Patterns::default()
        };
        let choice = Choice::new(&include, &exclude).expect("patterns");
        let wants = |account: &str, region: &str, name: &str| choice.wants(&pack(account, region, name));
        assert!(wants("111111111111", "eu-west-1", "OrgConformsPack-cis-level1-zz99yy88"));
        assert!(wants("111111111111", "eu-west-1", "pci-dss"));
        assert!(!wants("111111111111", "eu-west-1", "nist-800-53"), "another group");
        assert!(!wants("111111111111", "us-east-1", "pci-dss"), "another region");
        assert!(!wants("000011111111", "eu-west-1", "pci-dss"), "an account that is excluded");
        assert!(!wants("111111111111", "eu-west-1", "OrgConformsPack-cis-level1-ab12cd34"), "a name that is excluded");
        assert!(Choice::default().wants(&pack("000011111111", "us-east-1", "x")) && Choice::default().is_everything());
        assert!(Choice::check("a[").is_err() && Choice::check("a*").is_ok());
    }
}

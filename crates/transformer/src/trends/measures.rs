//! What trends measure of each dataset: the columns that they read and compute, where those are not the same for all.

use compline_model::Dataset;
use polars::prelude::*;

/// What is measured of a dataset.
#[derive(Debug)]
pub(crate) struct Measures {
    pub(crate) dataset: &'static Dataset,
    /// The columns of its facts that trends are computed from.
    pub(crate) snapshot: &'static [&'static str],
    /// The columns of its trends that the recent days are read for.
    pub(crate) recent: &'static [&'static str],
    /// Its rates, of which changes and means are told.
    pub(super) rates: &'static [&'static str],
    /// Sums of columns of the facts, and what each is called.
    pub(super) sums: &'static [(&'static str, &'static str)],
}

static PACKS: Measures = Measures {
    dataset: &Dataset::PACKS,
    snapshot: &[
        "account_id",
        "aws_region",
        "conformance_pack_name",
        "pack_group",
        "compliance_type",
        "compliant_rule_count",
        "non_compliant_rule_count",
        "insufficient_data_rule_count",
        "total_rule_count",
    ],
    recent: &[
        "dimension",
        "dimension_value",
        "packs_total",
        "pack_compliance_rate",
        "rule_compliance_rate",
        "packs_remediated",
        "remediation_days",
        "population_since",
    ],
    rates: &["pack_compliance_rate", "rule_compliance_rate"],
    sums: &[
        ("compliant_rule_count", "rules_compliant"),
        ("non_compliant_rule_count", "rules_non_compliant"),
        ("insufficient_data_rule_count", "rules_insufficient_data"),
        ("total_rule_count", "rules_total"),
    ],
};

static RULES: Measures = Measures {
    dataset: &Dataset::RULES,
    snapshot: &["account_id", "aws_region", "config_rule_name", "rule_group", "compliance_type"],
    recent: &[
        "dimension",
        "dimension_value",
        "rules_total",
        "rule_compliance_rate",
        "rules_remediated",
        "remediation_days",
        "population_since",
    ],
    rates: &["rule_compliance_rate"],
    sums: &[],
};

impl Measures {
    pub(crate) fn of(dataset: &Dataset) -> &'static Self {
        if dataset == &Dataset::RULES { &RULES } else { &PACKS }
    }

    /// The columns that name a row.
    pub(super) fn key(&self) -> [Expr; 3] {
        ["account_id", "aws_region", self.dataset.key].map(col)
    }

    /// A column that counts the items, such as `packs_total`.
    pub(super) fn count(&self, what: &str) -> String {
        format!("{}_{what}", self.dataset.name)
    }

    /// The column of those that have been noncompliant and are so.
    pub(super) fn open(&self) -> String {
        format!("open_non_compliant_{}", self.dataset.name)
    }

    /// The compliance types that are counted, each with what its column is called.
    pub(super) fn types(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.dataset.compliance_types().map(|kind| (kind, self.count(&kind.to_ascii_lowercase())))
    }
}

/// The columns of a dataset's trends that the recent days are read for.
pub fn recent_columns(dataset: &Dataset) -> &'static [&'static str] {
    Measures::of(dataset).recent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_are_columns_of_the_datasets_tables() {
        for dataset in Dataset::ALL {
            let measures = Measures::of(dataset);
            assert_eq!(measures.dataset, dataset);
            let has =
                |table: compline_model::Table, name: &str| table.columns().iter().any(|column| column.name == name);
            assert!(measures.snapshot.iter().all(|name| has(dataset.facts, name)));
            assert!(measures.sums.iter().all(|(of, name)| has(dataset.facts, of) && has(dataset.trends, name)));
            assert!(measures.recent.iter().chain(measures.rates).all(|name| has(dataset.trends, name)));
            assert!(measures.types().all(|(_, name)| has(dataset.trends, &name)));
        }
    }
}

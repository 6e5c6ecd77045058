//! What AWS Config answered, parsed: the seam between reading it and making tables of it.

use crate::{AccountId, Dataset, RunId};
use chrono::{DateTime, Utc};
use compact_str::CompactString;

/// One page of a dataset's operation, in the order the API gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// When the answer arrived; not known of files that do not say.
    pub collected_at: Option<DateTime<Utc>>,
    /// The run that collected it.
    pub run_id: RunId,
    /// What is on it; a page may be empty and not be the last.
    pub answers: Answers,
}

/// What is on a page, by the operation that was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// Of `DescribeAggregateComplianceByConformancePacks`.
    Packs(Vec<PackAnswer>),
    /// Of `DescribeAggregateComplianceByConfigRules`.
    Rules(Vec<RuleAnswer>),
}

impl Answers {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Packs(packs) => packs.len(),
            Self::Rules(rules) => rules.len(),
        }
    }

    /// Whether the page is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dataset that they are of.
    pub fn dataset(&self) -> &'static Dataset {
        match self {
            Self::Packs(_) => &Dataset::PACKS,
            Self::Rules(_) => &Dataset::RULES,
        }
    }
}

/// What the API said of one conformance pack in one account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackAnswer {
    /// The account the pack is in.
    pub account_id: AccountId,
    /// The region the pack is in, as given.
    pub aws_region: CompactString,
    /// The pack's full name, as given.
    pub conformance_pack_name: CompactString,
    /// Its compliance, if the answer had any.
    pub compliance: Option<Compliance>,
}

/// The `Compliance` block of an answer. Nothing in it is sure to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compliance {
    /// The text given, known or not.
    pub compliance_type: Option<CompactString>,
    /// Rules of the pack that are compliant.
    pub compliant_rule_count: Option<i32>,
    /// Rules of the pack that are not compliant.
    pub non_compliant_rule_count: Option<i32>,
    /// All rules of the pack, those with insufficient data included.
    pub total_rule_count: Option<i32>,
}

/// What the API said of one Config rule in one account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAnswer {
    /// The account the rule is in.
    pub account_id: AccountId,
    /// The region the rule is in, as given.
    pub aws_region: CompactString,
    /// The rule's full name, as given.
    pub config_rule_name: CompactString,
    /// Its compliance, if the answer had any.
    pub compliance: Option<RuleCompliance>,
}

/// The `Compliance` block of a rule's answer. Nothing in it is sure to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleCompliance {
    /// The text given, known or not.
    pub compliance_type: Option<CompactString>,
    /// Resources that are why the rule is compliant or not, as far as AWS Config counts them.
    pub contributor_count: Option<i32>,
    /// Whether there are more of them than it counts.
    pub contributor_count_capped: Option<bool>,
}

/// What `DescribeConfigurationAggregatorSourcesStatus` said of one source in one region.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceAnswer {
    /// The account id, or the organization's id for the organization itself.
    pub source_id: String,
    /// `ACCOUNT` or `ORGANIZATION`.
    pub source_type: String,
    /// The region; absent for some organization-wide answers.
    pub aws_region: Option<String>,
    /// `SUCCEEDED`, `FAILED` or `OUTDATED`, as given.
    pub status: String,
    /// When the aggregator last heard from the source.
    pub last_update_time: Option<DateTime<Utc>>,
    /// Why the last update failed.
    pub error_code: Option<String>,
    /// Why the last update failed, in words.
    pub error_message: Option<String>,
}

/// What `GetAggregateConformancePackComplianceSummary` counted in one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackCounts {
    /// Packs that are COMPLIANT.
    pub compliant: i64,
    /// Packs that are NON_COMPLIANT.
    pub non_compliant: i64,
}

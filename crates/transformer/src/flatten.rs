//! Pages to rows of `pack_compliance`.

use crate::{RowFilter, SourceIndex, TransformError};
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, RecordBatch, StringViewBuilder, TimestampMillisecondBuilder,
};
use compline_model::{Compliance, PackAnswer, Page, Table, pack_group};
use std::sync::Arc;

/// What every row of one aggregator's day shares.
#[derive(Debug, Clone)]
pub struct Flattener {
    sources: Arc<SourceIndex>,
    row_filter: Arc<RowFilter>,
}

impl Flattener {
    /// Rows are marked with the status of their source; those that are not wanted are left out and counted.
    pub fn new(sources: SourceIndex, row_filter: RowFilter) -> Self {
        Self { sources: Arc::new(sources), row_filter: Arc::new(row_filter) }
    }

    /// The rows of one shard, none yet.
    pub fn shard(&self) -> ShardRows {
        ShardRows { flattener: self.clone(), columns: Columns::default(), left_out: 0 }
    }
}

/// The rows of one shard so far.
#[derive(Debug)]
pub struct ShardRows {
    flattener: Flattener,
    columns: Columns,
    left_out: u64,
}

#[derive(Debug)]
struct Columns {
    account_id: StringViewBuilder,
    aws_region: StringViewBuilder,
    conformance_pack_name: StringViewBuilder,
    pack_group: StringViewBuilder,
    is_organization_pack: BooleanBuilder,
    compliance_type: StringViewBuilder,
    compliant: Int32Builder,
    non_compliant: Int32Builder,
    insufficient_data: Int32Builder,
    total: Int32Builder,
    rate: Float64Builder,
    source_status: StringViewBuilder,
    source_updated_at: TimestampMillisecondBuilder,
    collected_at: TimestampMillisecondBuilder,
    run_id: StringViewBuilder,
}

impl Default for Columns {
    fn default() -> Self {
        // The same few hundred names come a million times: each is kept once.
        let names = || StringViewBuilder::new().with_deduplicate_strings();
        Self {
            account_id: names(),
            aws_region: names(),
            conformance_pack_name: names(),
            pack_group: names(),
            is_organization_pack: BooleanBuilder::new(),
            compliance_type: names(),
            compliant: Int32Builder::new(),
            non_compliant: Int32Builder::new(),
            insufficient_data: Int32Builder::new(),
            total: Int32Builder::new(),
            rate: Float64Builder::new(),
            source_status: names(),
            source_updated_at: TimestampMillisecondBuilder::new(),
            collected_at: TimestampMillisecondBuilder::new(),
            run_id: names(),
        }
    }
}

impl ShardRows {
    /// Adds the rows of a page.
    pub fn push(&mut self, page: &Page) {
        let collected_at = page.collected_at.map(|time| time.timestamp_millis());
        let run_id = page.run_id.to_string();
        for pack in &page.packs {
            if !self.flattener.row_filter.wants(pack) {
                self.left_out += 1;
                continue;
            }
            self.columns.push(pack, &self.flattener.sources);
            self.columns.collected_at.append_option(collected_at);
            self.columns.run_id.append_value(&run_id);
        }
    }

    /// Drops every row: the shard begins again.
    pub fn clear(&mut self) {
        self.columns = Columns::default();
        self.left_out = 0;
    }

    /// The rows that are not wanted, so far.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The rows as a batch of `pack_compliance`, in the order they came.
    ///
    /// # Errors
    /// None that an input can cause.
    pub fn finish(self) -> Result<RecordBatch, TransformError> {
        self.columns.finish()
    }
}

impl Columns {
    fn push(&mut self, pack: &PackAnswer, sources: &SourceIndex) {
        let (account_id, group) = (pack.account_id.as_str(), pack_group(&pack.conformance_pack_name));
        self.account_id.append_value(account_id);
        self.aws_region.append_value(&pack.aws_region);
        self.conformance_pack_name.append_value(&pack.conformance_pack_name);
        self.pack_group.append_value(group);
        self.is_organization_pack.append_value(group.len() != pack.conformance_pack_name.len());
        self.push_compliance(pack.compliance.as_ref());
        let source = sources.get(account_id, &pack.aws_region);
        self.source_status.append_option(source.map(|source| &source.status));
        self.source_updated_at.append_option(source.and_then(|source| source.updated_at));
    }

    fn push_compliance(&mut self, compliance: Option<&Compliance>) {
        let counts = Counts::of(compliance);
        self.compliance_type.append_option(compliance.and_then(|compliance| compliance.compliance_type.as_deref()));
        self.compliant.append_option(counts.compliant);
        self.non_compliant.append_option(counts.non_compliant);
        self.insufficient_data.append_option(counts.insufficient_data());
        self.total.append_option(counts.total);
        self.rate.append_option(counts.rate());
    }

    fn finish(mut self) -> Result<RecordBatch, TransformError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.account_id.finish()),
            Arc::new(self.aws_region.finish()),
            Arc::new(self.conformance_pack_name.finish()),
            Arc::new(self.pack_group.finish()),
            Arc::new(self.is_organization_pack.finish()),
            Arc::new(self.compliance_type.finish()),
            Arc::new(self.compliant.finish()),
            Arc::new(self.non_compliant.finish()),
            Arc::new(self.insufficient_data.finish()),
            Arc::new(self.total.finish()),
            Arc::new(self.rate.finish()),
            Arc::new(self.source_status.finish()),
            Arc::new(self.source_updated_at.finish().with_timezone("UTC")),
            Arc::new(self.collected_at.finish().with_timezone("UTC")),
            Arc::new(self.run_id.finish()),
        ];
        RecordBatch::try_new(Table::PackCompliance.schema(), columns)
            .map_err(TransformError::arrow("make the rows of pack_compliance"))
    }
}

/// The three counts that AWS Config gives, each of which may be missing.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    compliant: Option<i32>,
    non_compliant: Option<i32>,
    total: Option<i32>,
}

impl Counts {
    fn of(compliance: Option<&Compliance>) -> Self {
        compliance.map_or_else(Self::default, |compliance| Self {
            compliant: compliance.compliant_rule_count,
            non_compliant: compliance.non_compliant_rule_count,
            total: compliance.total_rule_count,
        })
    }

    /// Total less compliant less non-compliant, negative where the counts contradict each other.
    fn insufficient_data(self) -> Option<i32> {
        self.total?.checked_sub(self.compliant?)?.checked_sub(self.non_compliant?)
    }

    fn rate(self) -> Option<f64> {
        let (compliant, non_compliant) = (self.compliant?, self.non_compliant?);
        if compliant < 0 || non_compliant < 0 || (compliant == 0 && non_compliant == 0) {
            return None;
        }
        Some(f64::from(compliant) / (f64::from(compliant) + f64::from(non_compliant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compliant: i32, non_compliant: i32, total: i32) -> Counts {
        Counts { compliant: Some(compliant), non_compliant: Some(non_compliant), total: Some(total) }
    }

    #[test]
    fn b20_what_could_not_be_evaluated_is_a_count_of_its_own_and_not_in_the_rate() {
        assert_eq!((counts(3, 0, 10).insufficient_data(), counts(3, 0, 10).rate()), (Some(7), Some(1.0)));
        assert_eq!((counts(0, 0, 5).insufficient_data(), counts(0, 0, 5).rate()), (Some(5), None));
        assert_eq!((counts(3, 1, 2).insufficient_data(), counts(3, 1, 2).rate()), (Some(-2), Some(0.75)));
    }

    #[test]
    fn b49_no_count_makes_a_rate_outside_0_to_1_or_an_overflow() {
        for (compliant, non_compliant) in [(-1, 3), (3, -1), (i32::MIN, i32::MIN), (0, 0)] {
            assert_eq!(counts(compliant, non_compliant, 5).rate(), None);
        }
        assert_eq!(counts(i32::MAX, i32::MAX, 0).rate(), Some(0.5));
        assert_eq!(counts(i32::MAX, i32::MAX, i32::MIN).insufficient_data(), None);
    }

    #[test]
    fn b21_missing_counts_give_null_and_not_zero() {
        let missing = Counts { compliant: None, ..counts(0, 1, 1) };
        assert_eq!((missing.insufficient_data(), missing.rate()), (None, None));
    }
}

//! The rows that are kept as columns of the dataset's facts.

use super::{Kept, Place, Ranked};
use crate::flatten::Row;
use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int32Array, RecordBatch, RecordBatchOptions, StringViewArray,
    StringViewBuilder, TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use compline_model::RunId;
use std::ops::Range;
use std::sync::Arc;

impl Kept {
    /// Columns of some of the rows, those of the schema. Each text is there once, and its rows point to it.
    pub(super) fn columns(&self, rows: Range<usize>, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
        let of = Columns { kept: self, places: &self.places[rows] };
        let columns = schema.fields().iter().map(|field| of.column(field.name())).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(of.places.len()));
        RecordBatch::try_new_with_options(schema, columns, &options)
    }
}

/// Rows that become columns.
struct Columns<'a> {
    kept: &'a Kept,
    places: &'a [Place],
}

impl Columns<'_> {
    fn column(&self, name: &str) -> Result<ArrayRef, ArrowError> {
        let Kept { accounts, regions, names, groups, pack_ids, types, .. } = self.kept;
        match name {
            "account_id" => take(&accounts.texts, &self.numbers(accounts, |row| Some(row.account)), None),
            "aws_region" => take(&regions.texts, &self.numbers(regions, |row| Some(row.region)), None),
            "conformance_pack_name" => self.of_names(&names.texts),
            "pack_group" => self.of_names(groups),
            "config_rule_name" => Ok(self.rule_names()),
            "rule_group" => self.rule_groups(),
            "conformance_pack_id" => take(&pack_ids.texts, &self.numbers(pack_ids, Row::pack_id), None),
            "contributor_count" => Ok(self.counts(|row| row.contributors().count)),
            "contributor_count_capped" => {
                Ok(Arc::new(self.rows().map(|row| row.contributors().is_capped).collect::<BooleanArray>()))
            }
            "is_organization_pack" => Ok(Arc::new(self.is_of_organization())),
            "compliance_type" => take(&types.texts, &self.numbers(types, Row::compliance_type), None),
            "compliant_rule_count" => Ok(self.counts(|row| row.counts().compliant)),
            "non_compliant_rule_count" => Ok(self.counts(|row| row.counts().non_compliant)),
            "insufficient_data_rule_count" => Ok(self.counts(|row| row.counts().insufficient_data())),
            "total_rule_count" => Ok(self.counts(|row| row.counts().total)),
            "rule_compliance_rate" => {
                Ok(Arc::new(self.rows().map(|row| row.counts().rate()).collect::<Float64Array>()))
            }
            "source_status" => self.source_status(),
            "source_updated_at" => Ok(self.source_updated_at()),
            "collected_at" => Ok(self.times(|place| self.kept.shard(place).page(place.row as usize).collected_at)),
            "run_id" => self.run_id(),
            other => Err(ArrowError::SchemaError(format!("no answer has {other}"))),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.places.iter().map(|place| self.kept.row(*place))
    }

    /// Of each row where its text comes in the order of all.
    fn numbers(&self, ranks: &Ranked, number: fn(&Row) -> Option<u32>) -> UInt32Array {
        self.rows().map(|row| number(row).map(|number| ranks.rank(number))).collect()
    }

    /// Of each row what there is of its name, by the order of names.
    fn of_names(&self, values: &dyn Array) -> Result<ArrayRef, ArrowError> {
        take(values, &self.numbers(&self.kept.names, |row| Some(row.name)), None)
    }

    /// Nearly each is another one, as the id of its pack is.
    fn rule_names(&self) -> ArrayRef {
        let mut names = StringViewBuilder::with_capacity(self.places.len());
        let mut whole = String::new();
        for row in self.rows() {
            whole.clear();
            whole.extend(self.kept.name(row));
            names.append_value(&whole);
        }
        Arc::new(names.finish())
    }

    fn rule_groups(&self) -> Result<ArrayRef, ArrowError> {
        let Kept { names, groups, .. } = self.kept;
        // Those of names before an id come after all others.
        let alone = u32::try_from(names.texts.len()).unwrap_or(u32::MAX);
        let group = |row: &Row| names.rank(row.name) + if row.pack_id().is_some() { alone } else { 0 };
        take(groups, &self.rows().map(|row| Some(group(row))).collect::<UInt32Array>(), None)
    }

    /// Of each row whether its pack's name is one that AWS gives to packs of an organization.
    fn is_of_organization(&self) -> BooleanArray {
        let Kept { names, groups, .. } = self.kept;
        let is_longer = |row: &Row| {
            let rank = names.rank(row.name) as usize;
            Some(names.texts.value(rank).len() != groups.value(rank).len())
        };
        self.rows().map(is_longer).collect()
    }

    fn counts(&self, of: fn(&Row) -> Option<i32>) -> ArrayRef {
        Arc::new(self.rows().map(of).collect::<Int32Array>())
    }

    fn times(&self, of: impl FnMut(Place) -> Option<i64>) -> ArrayRef {
        Arc::new(self.places.iter().copied().map(of).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    }

    /// What is known of each row's source. Rows of an account and region follow each other, so that each is looked up once.
    fn of_sources<T: Copy>(
        &self,
        mut of: impl FnMut(&crate::source_status::SourceState) -> Option<T>,
    ) -> impl FnMut(Place) -> Option<T> {
        let mut last = (None, None);
        move |place| {
            let Kept { sources, accounts, regions, .. } = self.kept;
            let row = self.kept.row(place);
            let source = (row.account, row.region);
            if last.0 != Some(source) {
                let state = sources.get(accounts.get(row.account), regions.get(row.region));
                last = (Some(source), state.and_then(&mut of));
            }
            last.1
        }
    }

    fn source_status(&self) -> Result<ArrayRef, ArrowError> {
        let mut statuses: Vec<String> = Vec::new();
        let of_rows = self.of_sources(|state| Some(position(&mut statuses, &state.status)));
        let of_rows: UInt32Array = self.places.iter().copied().map(of_rows).collect();
        take(&StringViewArray::from_iter_values(statuses), &of_rows, None)
    }

    fn source_updated_at(&self) -> ArrayRef {
        self.times(self.of_sources(|state| state.updated_at))
    }

    fn run_id(&self) -> Result<ArrayRef, ArrowError> {
        let mut runs: Vec<RunId> = Vec::new();
        let run = |place: &Place| {
            let page = self.kept.shard(*place).page(place.row as usize);
            Some(position(&mut runs, &page.run_id))
        };
        let of_rows: UInt32Array = self.places.iter().map(run).collect();
        let runs: StringViewArray = runs.iter().map(|run_id| Some(run_id.to_string())).collect();
        take(&runs, &of_rows, None)
    }
}

/// The position of a value among the few that there are, where it is added if it is new.
fn position<T: PartialEq + Clone>(values: &mut Vec<T>, value: &T) -> u32 {
    let at = values.iter().position(|other| other == value).unwrap_or_else(|| {
        values.push(value.clone());
        values.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}

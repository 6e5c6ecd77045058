//! What the aggregator says of its sources: as a table, and to be looked up by a row's account and region.

use crate::TransformError;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray, TimestampMillisecondArray};
use chrono::{DateTime, Utc};
use compline_model::{RunId, SourceAnswer, Table};
use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::sync::Arc;

/// The status of a source by account and region.
#[derive(Debug, Default)]
pub struct SourceIndex {
    by_account: HashMap<String, HashMap<String, SourceState>>,
}

/// What is known of one source.
#[derive(Debug, Clone)]
pub(crate) struct SourceState {
    pub(crate) status: String,
    /// Milliseconds since 1970.
    pub(crate) updated_at: Option<i64>,
}

/// How many sources have each status: of rows of `source_status`, or of that column alone.
pub fn sources_by_status(rows: &RecordBatch) -> BTreeMap<String, u64> {
    let mut sources = BTreeMap::new();
    for status in rows["status"].as_string_view().iter().flatten() {
        *sources.entry(status.to_owned()).or_default() += 1;
    }
    sources
}

impl SourceIndex {
    /// Indexes the answers; where a source is listed twice, the later listing counts.
    pub fn new(answers: &[SourceAnswer]) -> Self {
        let mut by_account: HashMap<String, HashMap<String, SourceState>> = HashMap::new();
        for answer in answers {
            let Some(region) = &answer.aws_region else { continue };
            let updated_at = answer.last_update_time.map(|time| time.timestamp_millis());
            let state = SourceState { status: answer.status.clone(), updated_at };
            by_account.entry(answer.source_id.clone()).or_default().insert(region.clone(), state);
        }
        Self { by_account }
    }

    pub(crate) fn get(&self, account_id: &str, aws_region: &str) -> Option<&SourceState> {
        self.by_account.get(account_id)?.get(aws_region)
    }
}

/// The rows of `source_status`, sorted by key, each source and region once.
///
/// # Errors
/// None that an input can cause.
pub fn source_status(
    answers: &[SourceAnswer],
    collected_at: DateTime<Utc>,
    run_id: RunId,
) -> Result<RecordBatch, TransformError> {
    let rows = once_each(answers);
    let text = |of: fn(&SourceAnswer) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row)).collect::<StringViewArray>())
    };
    let time = |of: &dyn Fn(&SourceAnswer) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row)).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    };
    let columns = vec![
        text(|row| Some(&row.source_id)),
        text(|row| Some(&row.source_type)),
        text(|row| row.aws_region.as_deref()),
        text(|row| Some(&row.status)),
        time(&|row| row.last_update_time.map(|time| time.timestamp_millis())),
        text(|row| row.error_code.as_deref()),
        text(|row| row.error_message.as_deref()),
        time(&|_| Some(collected_at.timestamp_millis())),
        Arc::new(StringViewArray::from_iter_values(iter::repeat_n(run_id.to_string(), rows.len()))),
    ];
    RecordBatch::try_new(Table::SourceStatus.schema(), columns)
        .map_err(TransformError::arrow("make the rows of source_status"))
}

/// The answers in the order of their keys; where a source is listed twice, the later listing counts.
fn once_each(answers: &[SourceAnswer]) -> Vec<&SourceAnswer> {
    fn key(answer: &SourceAnswer) -> (&str, Option<&str>, &str) {
        (&answer.source_id, answer.aws_region.as_deref(), &answer.source_type)
    }
    let mut rows: Vec<&SourceAnswer> = answers.iter().rev().collect();
    // A stable sort: of equal keys the one that was listed last comes first.
    rows.sort_by(|a, b| key(a).cmp(&key(b)));
    rows.dedup_by(|a, b| key(a) == key(b));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_source_that_is_listed_twice_the_later_listing_counts_and_rows_are_in_the_order_of_their_keys() {
        let answer = |id: &str, region: &str, status: &str| SourceAnswer {
            source_id: id.to_owned(),
            source_type: "ACCOUNT".to_owned(),
            aws_region: Some(region.to_owned()),
            status: status.to_owned(),
            last_update_time: None,
            error_code: None,
            error_message: None,
        };
        let answers = [
            answer("2", "a", "FAILED"),
            answer("1", "b", "FAILED"),
            answer("1", "a", "OUTDATED"),
            answer("2", "a", "SUCCEEDED"),
        ];
        let rows = source_status(&answers, DateTime::UNIX_EPOCH, RunId::new(DateTime::UNIX_EPOCH)).expect("rows");
        let column = |name: &str| rows[name].as_string_view().iter().flatten().collect::<Vec<_>>();
        assert_eq!((column("source_id"), column("aws_region")), (vec!["1", "1", "2"], vec!["a", "b", "a"]));
        assert_eq!(column("status"), ["OUTDATED", "FAILED", "SUCCEEDED"]);
    }
}

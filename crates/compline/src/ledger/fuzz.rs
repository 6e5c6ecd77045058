//! Documents of runs and of rows that are damaged: each is a row that the table can have, or none.

use super::{Ledger, LedgerRow, Outcome, rebuild};
use crate::mutate::{edited, edits_of_json, ends};
use chrono::DateTime;
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate};
use proptest::prelude::*;

const PIECES: &[&str] = &[
    "9223372036854775807",
    "-9223372036854775808",
    "8210298412799999",
    "succeeded",
    "dropped",
    "9999-12-31",
    "\"commit_number\":18446744073709551615,",
];

const REPORT: &str = r#"{"run_id":"01900000-0000-7000-8000-000000000001","command":"run","version":"0.1.0",
    "started_at":"2026-01-02T03:00:00.123456789+00:00","finished_at":"2026-01-02T03:05:00Z","aggregators":[{"aggregator":"org",
    "outcome":"succeeded","is_recorded":true,"error":null,"rows":3,"commit_number":1,"conflicts":{"count":0,"first":[]},
    "warnings":{"count":0,"first":[]},"unreconciled":null,"snapshot_sha256":"00"}]}"#;

proptest! {
    #[test]
    fn fuzz_no_damaged_document_is_a_row_that_the_ledger_cannot_have(edits in edits_of_json(PIECES)) {
        let id: AggregatorId = "org".parse().expect("an id");
        let date: SnapshotDate = "2026-01-02".parse().expect("a date");
        let run_id: RunId = "01900000-0000-7000-8000-000000000001".parse().expect("a run id");
        let row = LedgerRow {
            run_id: run_id.to_string(),
            started_at: DateTime::UNIX_EPOCH,
            finished_at: DateTime::UNIX_EPOCH,
            outcome: Outcome::Succeeded,
            commit_number: Some(1),
            ..LedgerRow::default()
        };
        let document = rebuild::document(&id, date, &row).expect("JSON");
        prop_assert_eq!(rebuild::row(&document, &id, date, run_id), Some(row));
        prop_assert!(rebuild::of_run(REPORT.as_bytes(), &Dataset::PACKS, &id).is_some());
        ends(|| {
            let rows = [
                rebuild::row(&edited(&document, &edits), &id, date, run_id),
                rebuild::of_run(&edited(REPORT.as_bytes(), &edits), &Dataset::PACKS, &id),
            ];
            let ledger = Ledger::new(&Dataset::PACKS, rows.into_iter().flatten().collect());
            let batch = ledger.batch().expect("a table takes every row");
            let read = Ledger::of(&Dataset::PACKS, &batch);
            for ledger in [&ledger, &read] {
                assert!(ledger.next_number() >= ledger.last_number());
                let _ = (ledger.last_commit(), ledger.held(), ledger.is_dropped(), ledger.is_of_older_version());
            }
            assert_eq!(read.rows().len(), ledger.rows().len());
        })?;
    }
}

//! Entries that are damaged: the next session opens the journal all the same, and what it cannot complete is told and gone.

use super::{Document, Drop, Intent, Journal, VERSION};
use crate::failure::NotRecorded;
use crate::ledger::{LedgerRow, Outcome};
use crate::mutate::{edited, edits_of_json, ends};
use bytes::Bytes;
use chrono::DateTime;
use compline_model::{AggregatorId, RunId};
use compline_sink::{Compression, Lake, LakeLocation};
use proptest::prelude::*;

const PIECES: &[&str] =
    &["9999-12-31", "0000-00-00", "held", "rejected", "dropped", "\"trends_from\":\"x\",", "\"version\":1,"];

fn run(number: u8) -> RunId {
    format!("01900000-0000-7000-8000-00000000000{number}").parse().expect("a run id")
}

fn entry(outcome: Outcome) -> Document {
    let row = |outcome| LedgerRow {
        run_id: run(1).to_string(),
        outcome,
        commit_number: Some(1),
        snapshot_sha256: Some("0".repeat(64)),
        ..LedgerRow::default()
    };
    let dataset = super::packs();
    let intent = Intent {
        dataset: dataset.clone(),
        snapshot_date: "2026-01-02".to_owned(),
        facts_sha256: "0".repeat(64),
        sources_sha256: "1".repeat(64),
        row: row(outcome),
    };
    let drop = Drop { dataset, snapshot_date: "2025-01-02".to_owned(), row: row(Outcome::Dropped) };
    Document {
        version: VERSION,
        command: "run".to_owned(),
        snapshot: Some(intent),
        drops: vec![drop],
        trends_from: Some("2026-01-02".to_owned()),
    }
}

/// Opens the journal of a lake in which an earlier run left this.
fn open(left: Bytes) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let location = LakeLocation::Folder(folder.path().to_owned());
        let lake = Lake::open(&location, Compression::Zstd).await.expect("a lake");
        let id: AggregatorId = "org".parse().expect("an id");
        lake.put_journal(&id, run(1), left).await.expect("written");
        Journal::open(lake, id, run(2), "run", DateTime::UNIX_EPOCH).await.map(drop)
    })
}

#[test]
fn an_entry_of_a_day_that_is_no_date_is_damaged_and_stops_no_session() {
    let whole = entry(Outcome::Succeeded);
    for wrong in ["2026-13-02", "", "2026-1-2"] {
        let mut document = whole.clone();
        document.snapshot.as_mut().expect("a snapshot").snapshot_date = wrong.to_owned();
        let opened = open(Bytes::from(serde_json::to_vec(&document).expect("JSON")));
        assert!(opened.is_ok(), "{wrong:?}: {opened:?}");
        document.version = VERSION + 1;
        let newer = open(Bytes::from(serde_json::to_vec(&document).expect("JSON"))).expect_err("of a newer version");
        assert!(newer.downcast_ref::<NotRecorded>().is_some(), "{newer:#}");
    }
}

proptest! {
    #[test]
    fn fuzz_no_damaged_entry_stops_the_next_session_unless_it_says_that_it_is_of_a_newer_version(
        outcome in prop::sample::select(vec![Outcome::Succeeded, Outcome::Held, Outcome::Rejected, Outcome::Failed]),
        edits in edits_of_json(PIECES),
    ) {
        let document = serde_json::to_vec(&entry(outcome)).expect("JSON");
        let damaged = Bytes::from(edited(&document, &edits));
        let opened = ends(|| open(damaged.clone()))?;
        if let Err(error) = opened {
            let is_newer = error.downcast_ref::<NotRecorded>().is_some_and(|error| error.0.contains("newer"));
            prop_assert!(is_newer, "{error:#}: {}", String::from_utf8_lossy(&damaged));
        }
    }
}

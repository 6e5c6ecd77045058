//! Files that are cut, damaged, or made to be unpacked for ever: each is an error that names the file.

use super::{Dump, FilesAre, read_shard};
use crate::lines::{ArchiveHead, Lines, PageHead, VERSION};
use crate::mutate::{edited, edits_of_json, ends};
use bytes::Bytes;
use chrono::DateTime;
use compline_model::{Dataset, RunId};
use proptest::prelude::*;
use std::io::Write;

const PIECES: &[&str] = &[
    "\"\\ud800\"",
    "\u{feff}",
    "\n",
    "\r\n",
    "NextToken",
    "\"compline\":",
    "\"answer\":",
    "\"value\":",
    "\"Count\":9",
    "[[[[[[[[[[[[[[[[[[[[",
    "{\"value\":[{\"Value\":",
];

fn run_id() -> RunId {
    "01900000-0000-7000-8000-000000000000".parse().expect("a run id")
}

fn answer() -> String {
    let item = |name: &str| {
        format!(
            r#"{{"ConformancePackName":"{name}","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{{"ComplianceType":"COMPLIANT"}}}}"#
        )
    };
    format!(r#"{{"AggregateComplianceByConformancePacks":[{},{}]}}"#, item("a"), item("b"))
}

/// An archive, compressed as Compline leaves it.
fn archive() -> Bytes {
    let mut lines = Lines::new().expect("lines");
    let head = ArchiveHead {
        version: VERSION,
        aggregator: "org".to_owned(),
        snapshot_date: "2026-01-01".to_owned(),
        run_id: run_id().to_string(),
        dataset: None,
        fan_out: "none".to_owned(),
        shards: 1,
        requests: Vec::new(),
        unnamed: Vec::new(),
        regions: Vec::new(),
        accounts: Vec::new(),
    };
    lines.push_head(head).expect("a line");
    let page = |operation, place| PageHead::new(operation, place, DateTime::UNIX_EPOCH, run_id());
    lines.push(page(crate::client::SOURCES, (0, 1)), br#"{"AggregatedSourceStatusList":[]}"#).expect("a line");
    lines.push(page(crate::client::PACKS, (1, 1)), answer().as_bytes()).expect("a line");
    lines.finish().expect("lines")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("compressed")
}

/// Files as they come.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let text = answer();
    let lines = zstd::decode_all(&archive()[..]).expect("lines");
    let listed = format!("{{\"value\":[[{text}],{text}],\"Count\":2}}\n{text}");
    prop::sample::select(vec![
        text.clone().into_bytes(),
        listed.into_bytes(),
        lines,
        archive().to_vec(),
        gzip(text.as_bytes()),
        zstd::encode_all(text.as_bytes(), 1).expect("compressed"),
    ])
}

proptest! {
    #[test]
    fn fuzz_no_damage_to_an_imported_file_makes_reading_it_panic_or_never_end(
        file in files(),
        edits in edits_of_json(PIECES),
        one_list in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("day.json");
        let damaged = edited(&file, &edits);
        std::fs::write(&path, &damaged).expect("written");
        let are = if one_list { FilesAre::PagesOfOneList } else { FilesAre::Whole };
        let found = ends(|| {
            let mut dump = Dump::new(vec![path.clone()], are, run_id());
            loop {
                match dump.next_part() {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => return Some(error.to_string()),
                }
            }
        })?;
        if let Some(error) = found {
            prop_assert!(error.starts_with(&format!("cannot read {}", path.display())), "{error:?}");
            prop_assert!(error.len() < 4_000 && !error.contains(char::is_control), "{error:?}");
        }
        let _ = ends(|| read_shard("shard", &Dataset::PACKS, 0, Bytes::from(damaged), drop))?;
    }
}

#[test]
fn lines_of_another_shard_are_no_checkpoint_and_lines_without_the_first_of_their_archive_are_no_day() {
    let page = |operation, place| PageHead::new(operation, place, DateTime::UNIX_EPOCH, run_id());
    let mut lines = Lines::new().expect("lines");
    lines.push(page(crate::client::PACKS, (2, 1)), answer().as_bytes()).expect("a line");
    let lines = lines.finish().expect("lines");
    let mut pages = 0;
    read_shard("shard", &Dataset::PACKS, 1, lines.clone(), |_| pages += 1).expect("its own");
    assert_eq!(pages, 1);
    let error = read_shard("shard", &Dataset::PACKS, 0, lines.clone(), drop).expect_err("another's").to_string();
    assert!(error.contains("it is of shard 2, and not of shard 1"), "{error}");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("archive.jsonl.zst");
    let read = |content: &[u8]| {
        std::fs::write(&path, content).expect("written");
        let mut dump = Dump::new(vec![path.clone()], FilesAre::Whole, run_id());
        std::iter::from_fn(|| dump.next_part().transpose()).collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(read(&archive()).expect("whole").len(), 3);
    let error = read(&lines).expect_err("no first line").to_string();
    assert!(error.contains("the first line of the archive"), "{error}");
}

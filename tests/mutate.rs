//! Bytes that were right before something damaged them, for the fuzz tests beside each reader.
//!
//! They run with every test run, 256 cases each. `PROPTEST_CASES=100000 cargo test --workspace fuzz` runs more, and a failing
//! case is printed as short as it gets.

use proptest::prelude::*;
use proptest::sample::Index;
use std::time::{Duration, Instant};

/// How long one case may take: each takes milliseconds, and a busy machine some more.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// The most memory that a test process may have taken by the end of a case: all tests of a crate, which run at once, take a fraction.
const PEAK_KIB: u64 = 1024 * 1024;

/// One thing that happens to bytes.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Flip(Index, u8),
    Put(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A part comes so many times more.
    Repeat(Index, usize, usize),
    Cut(Index),
}

/// What JSON is put together of, and what is no JSON.
const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "\\ud800",
    "\u{0}",
];

/// Some edits of JSON; `pieces` are what this document has beyond any other.
pub(crate) fn edits_of_json(pieces: &[&'static str]) -> impl Strategy<Value = Vec<Edit>> + use<> {
    edits([JSON, pieces].concat())
}

/// Some edits; `pieces` are what text is put together of.
pub(crate) fn edits(pieces: impl Into<Vec<&'static str>>) -> impl Strategy<Value = Vec<Edit>> {
    let pieces = pieces.into();
    // Numbers at the ends of their ranges, as they are in binary files, are where sums overflow.
    let edge = prop::sample::select(vec![
        vec![0_u8; 4],
        vec![0xff; 4],
        vec![0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0xfe; 9],
    ]);
    let at = || any::<Index>();
    let edit = prop_oneof![
        4 => (at(), 1..=255_u8).prop_map(|(at, bits)| Edit::Flip(at, bits)),
        2 => (at(), edge).prop_map(|(at, bytes)| Edit::Put(at, bytes)),
        4 => (at(), prop::sample::select(pieces)).prop_map(|(at, piece)| Edit::Insert(at, piece.as_bytes().to_vec())),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (at(), 1..40_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (at(), 1..40_usize, 1..300_usize).prop_map(|(at, count, times)| Edit::Repeat(at, count, times)),
        1 => at().prop_map(Edit::Cut),
    ];
    prop::collection::vec(edit, 1..6)
}

/// The bytes after the edits.
pub(crate) fn edited(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in edits {
        let place = |at: &Index| at.index(bytes.len().max(1)).min(bytes.len());
        match edit {
            Edit::Flip(at, bits) => {
                let place = place(at);
                bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= bits);
            }
            Edit::Put(at, new) => {
                let place = place(at);
                bytes.iter_mut().skip(place).zip(new).for_each(|(byte, new)| *byte = *new);
            }
            Edit::Insert(at, new) => {
                let place = place(at);
                bytes.splice(place..place, new.iter().copied());
            }
            Edit::Remove(at, count) => {
                let place = place(at);
                bytes.drain(place..(place + count).min(bytes.len()));
            }
            Edit::Repeat(at, count, times) => {
                let place = place(at);
                let part = bytes[place..(place + count).min(bytes.len())].repeat(*times);
                bytes.splice(place..place, part);
            }
            Edit::Cut(at) => {
                let place = place(at);
                bytes.truncate(place);
            }
        }
    }
    bytes
}

/// Reads something damaged: whatever comes of it, it comes soon, and without taking all memory.
pub(crate) fn ends<T>(read: impl FnOnce() -> T) -> Result<T, TestCaseError> {
    let started = Instant::now();
    let found = read();
    prop_assert!(started.elapsed() < ENDS_WITHIN, "it took {:?}", started.elapsed());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    prop_assert!(peak < PEAK_KIB, "{peak} KiB of memory were taken");
    Ok(found)
}

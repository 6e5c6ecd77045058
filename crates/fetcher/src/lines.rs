//! Pages as they came, one JSON document a line: what a checkpoint and an archive are made of.
//!
//! A line is `{"compline": {...}, "answer": {...}}`: what is known of the page, and the body as AWS Config sent it. The
//! lines of each series of pages are compressed by themselves, so that an archive is its checkpoints one after the other, each of
//! them some zstd frames.

use crate::Filter;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use compline_model::{ComplianceType, InvalidName, RunId};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::str::FromStr;
use zstd::bulk::Compressor;

/// The version of the lines.
pub(crate) const VERSION: u32 = 1;

/// Fast: a night waits for the network, and pages of the same few names shrink to a twentieth anyway.
const LEVEL: i32 = 1;

/// What is known of a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Head {
    /// The first line of an archive: there is no answer on it.
    Archive(ArchiveHead),
    /// A page.
    Page(PageHead),
}

/// What was planned, so that it is known whether all of it is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ArchiveHead {
    pub(crate) version: u32,
    pub(crate) aggregator: String,
    pub(crate) snapshot_date: String,
    pub(crate) run_id: String,
    /// Nothing for packs, which were the only one when archives began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<String>,
    pub(crate) fan_out: String,
    pub(crate) shards: usize,
    /// What each shard asks for; nothing in archives of older versions.
    #[serde(default)]
    pub(crate) requests: Vec<Request>,
    /// What AWS Config counts packs in and no source names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unnamed: Vec<String>,
    /// Older versions want both, and need nothing in them to import the archive.
    #[serde(default)]
    pub(crate) regions: Vec<String>,
    #[serde(default)]
    pub(crate) accounts: Vec<String>,
}

/// The `Filters` block of a request, as it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conformance_pack_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_rule_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance_type: Option<String>,
}

impl From<&Filter> for Request {
    fn from(filter: &Filter) -> Self {
        let Filter { account_id, aws_region, conformance_pack_name, config_rule_name, compliance_type } = filter;
        Self {
            account_id: account_id.as_ref().map(ToString::to_string),
            aws_region: aws_region.as_ref().map(ToString::to_string),
            conformance_pack_name: conformance_pack_name.as_ref().map(ToString::to_string),
            config_rule_name: config_rule_name.as_ref().map(ToString::to_string),
            compliance_type: compliance_type.as_ref().map(ToString::to_string),
        }
    }
}

impl TryFrom<Request> for Filter {
    type Error = InvalidName;

    fn try_from(request: Request) -> Result<Self, InvalidName> {
        fn name<T: FromStr<Err = InvalidName>>(text: Option<String>) -> Result<Option<T>, InvalidName> {
            text.map(|text| text.parse()).transpose()
        }
        let Request { account_id, aws_region, conformance_pack_name, config_rule_name, compliance_type } = request;
        let compliance_type = compliance_type.map(|text| {
            let allowed = "COMPLIANT, NON_COMPLIANT or INSUFFICIENT_DATA";
            let invalid = || InvalidName { what: "a compliance type", value: text.chars().take(80).collect(), allowed };
            ComplianceType::parse(&text).ok_or_else(invalid)
        });
        Ok(Self {
            account_id: name(account_id)?,
            aws_region: name(aws_region)?,
            conformance_pack_name: name(conformance_pack_name)?,
            config_rule_name: name(config_rule_name)?,
            compliance_type: compliance_type.transpose()?,
        })
    }
}

/// Where a page was, and when and by whom it was collected.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PageHead {
    pub(crate) operation: String,
    /// From 1; 0 for the sources.
    pub(crate) shard: usize,
    /// From 1.
    pub(crate) page: u32,
    pub(crate) collected_at: String,
    pub(crate) run_id: String,
}

/// Bytes of a frame before they are compressed, about. Compressed whole it takes half the time that a stream takes, which copies what
/// comes into a window of its own; smaller ones shrink less.
const FRAME_BYTES: usize = 512 * 1024;

/// Lines being compressed.
pub(crate) struct Lines {
    compressor: Compressor<'static>,
    frames: Vec<u8>,
    /// What is to be the next frame.
    pending: Vec<u8>,
}

impl Lines {
    pub(crate) fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        // A bit that flips on a disk may make another name of a name, which nothing else would tell.
        compressor.include_checksum(true)?;
        Ok(Self { compressor, frames: Vec::new(), pending: Vec::new() })
    }

    /// Adds a page.
    pub(crate) fn push(&mut self, head: PageHead, answer: &[u8]) -> io::Result<()> {
        write!(self.pending, "{{\"compline\":{},\"answer\":", serde_json::to_string(&Head::Page(head))?)?;
        // Outside of texts, where JSON does not allow them, line ends mean nothing.
        if answer.contains(&b'\n') || answer.contains(&b'\r') {
            self.pending.extend(answer.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
        } else {
            self.pending.extend_from_slice(answer);
        }
        self.end_line()
    }

    /// Adds the first line of an archive.
    pub(crate) fn push_head(&mut self, head: ArchiveHead) -> io::Result<()> {
        write!(self.pending, "{{\"compline\":{}", serde_json::to_string(&Head::Archive(head))?)?;
        self.end_line()
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.pending.extend_from_slice(b"}\n");
        if self.pending.len() < FRAME_BYTES { Ok(()) } else { self.compress() }
    }

    fn compress(&mut self) -> io::Result<()> {
        self.frames.extend_from_slice(&self.compressor.compress(&self.pending)?);
        self.pending.clear();
        Ok(())
    }

    /// The lines, compressed.
    pub(crate) fn finish(mut self) -> io::Result<Bytes> {
        self.compress()?;
        self.frames.shrink_to_fit();
        Ok(Bytes::from(self.frames))
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl PageHead {
    pub(crate) fn new(
        operation: &str,
        (shard, page): (usize, u32),
        collected_at: DateTime<Utc>,
        run_id: RunId,
    ) -> Self {
        Self {
            operation: operation.to_owned(),
            shard,
            page,
            collected_at: collected_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            run_id: run_id.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_more_than_a_frame_are_read_back_as_they_were_and_one_that_fills_a_frame_as_well() {
        let run_id = RunId::new(DateTime::UNIX_EPOCH);
        let head = |page| PageHead::new("Operation", (1, page), DateTime::UNIX_EPOCH, run_id);
        for bytes in [FRAME_BYTES / 3, FRAME_BYTES, 2 * FRAME_BYTES] {
            let answers: Vec<String> = (0..5).map(|page| format!("\"{}\"", page.to_string().repeat(bytes))).collect();
            let mut lines = Lines::new().expect("a compressor");
            for (page, answer) in (1..).zip(&answers) {
                lines.push(head(page), answer.as_bytes()).expect("pushed");
            }
            let read = zstd::decode_all(&lines.finish().expect("compressed")[..]).expect("read back");
            let read = String::from_utf8(read).expect("a text");
            let expected = (1..).zip(&answers).map(|(page, answer)| {
                let head = serde_json::to_string(&Head::Page(head(page))).expect("a head");
                format!("{{\"compline\":{head},\"answer\":{answer}}}\n")
            });
            assert!(read == expected.collect::<String>(), "{bytes}");
        }
    }
    #[test]
    fn a_bit_that_flips_anywhere_in_lines_is_an_error_when_they_are_read() {
        let head = PageHead::new("Operation", (1, 1), DateTime::UNIX_EPOCH, RunId::new(DateTime::UNIX_EPOCH));
        let mut lines = Lines::new().expect("a compressor");
        let names: Vec<String> = (0..40).map(|number| format!("\"OrgConformsPack-nist-800-53-{number}\"")).collect();
        lines.push(head, format!("[{}]", names.join(",")).as_bytes()).expect("pushed");
        let whole = lines.finish().expect("compressed");
        let read = zstd::decode_all(&whole[..]).expect("read back");
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // One that says nothing, such as that of a flag which is ignored, changes nothing.
            assert!(zstd::decode_all(&flipped[..]).map_or(true, |other| other == read), "bit {bit}");
        }
    }
}

//! The text of a file, and the documents in it.

use crate::lines::Head;
use crate::wire::{Object, RawAnswer, RawCompliance, RawPack};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The text of a file as the parser gets it: lines are counted, and a byte-order mark before a document is blank. Tools that
/// write one put it before each document, and files are put together of several.
pub(super) struct Text {
    inner: Box<dyn BufRead + Send>,
    lines: Arc<AtomicU64>,
    place: Place,
}

/// Where in a text a byte is.
#[derive(Debug, Default)]
struct Place {
    /// How many objects and lists are open.
    depth: u32,
    in_text: bool,
    escaped: bool,
    /// Bytes of a byte-order mark so far.
    mark: usize,
}

/// A byte-order mark in UTF-8.
const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Text {
    pub(super) fn of(inner: Box<dyn BufRead + Send>, lines: Arc<AtomicU64>) -> Self {
        Self { inner, lines, place: Place::default() }
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let ends = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        self.lines.fetch_add(ends as u64, Relaxed);
        buffer[..read].iter_mut().try_for_each(|byte| self.place.pass(byte))?;
        Ok(read)
    }
}

impl Place {
    /// Goes past a byte, and makes it a blank if it is of a byte-order mark between documents.
    fn pass(&mut self, byte: &mut u8) -> io::Result<()> {
        if self.mark > 0 || (*byte == MARK[0] && self.depth == 0 && !self.in_text) {
            if *byte != MARK[self.mark] {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a byte-order mark is damaged"));
            }
            self.mark = (self.mark + 1) % MARK.len();
            *byte = b' ';
            return Ok(());
        }
        match *byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth = self.depth.saturating_add(1),
            b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }
}

/// A document of a file, of any kind.
#[derive(Default, Deserialize)]
pub(super) struct RawDocument {
    pub(super) compline: Option<Object<Head>>,
    pub(super) answer: Option<Object<RawAnswer>>,
    #[serde(rename = "AggregateComplianceByConformancePacks")]
    pub(super) packs: Option<Vec<Object<RawPack>>>,
    #[serde(rename = "NextToken")]
    pub(super) next_token: Option<String>,
    #[serde(rename = "ConformancePackName")]
    pub(super) conformance_pack_name: Option<String>,
    #[serde(rename = "AccountId")]
    pub(super) account_id: Option<String>,
    #[serde(rename = "AwsRegion")]
    pub(super) aws_region: Option<String>,
    #[serde(rename = "Compliance")]
    pub(super) compliance: Option<Object<RawCompliance>>,
    /// PowerShell's `ConvertTo-Json` puts a list into an object, with its length beside it.
    #[serde(rename = "value", alias = "Value")]
    pub(super) value: Option<Documents>,
    #[serde(rename = "Count")]
    pub(super) count: Option<u64>,
}

/// A document, or a list of them, or a list of lists as `jq -s` makes of several files.
pub(super) enum Documents {
    One(Box<RawDocument>),
    List(Vec<Documents>),
}

impl<'de> Deserialize<'de> for Documents {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Documents;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer of AWS Config, or a list of them")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Documents, A::Error> {
                let document = RawDocument::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Documents::One(Box::new(document)))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Documents, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Documents::List)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The text of a file: gzip and zstd, which say so by their first bytes, are undone.
pub(super) fn text_of(raw: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let (start, raw) = peek(raw)?;
    let text: Box<dyn BufRead + Send> = match start[..] {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(raw))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(raw)?)),
        _ => return utf8(&start, raw),
    };
    let (start, text) = peek(text)?;
    utf8(&start, text)
}

/// Refuses UTF-16 and UTF-32, with a byte-order mark or without: in UTF-8 no JSON has a zero byte.
fn utf8(start: &[u8], text: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    if matches!(start, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) || start.contains(&0) {
        return Err(io::Error::other("it is UTF-16 or UTF-32, as `>` of PowerShell writes it; save it as UTF-8"));
    }
    Ok(text)
}

/// The first four bytes, or all there are, and a reader that still has them. A pipe may give them one by one.
fn peek(mut from: Box<dyn BufRead + Send>) -> io::Result<(Vec<u8>, Box<dyn BufRead + Send>)> {
    let mut start = Vec::new();
    from.by_ref().take(4).read_to_end(&mut start)?;
    Ok((start.clone(), Box::new(Cursor::new(start).chain(from))))
}

//! The text of a file, and the documents in it.

use crate::lines::Head;
use crate::wire::{Object, RawAnswer, RawCompliance, RawPack, RawRule, ShortText};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
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
    /// Bytes of a text, a number or blanks so far.
    value_bytes: u32,
}

/// No name, message or token of AWS is as long; what is longer is damaged, or made to take all memory.
const MAX_VALUE_BYTES: u32 = 1024 * 1024;

/// How many times its size a compressed file may have as text, from so many bytes of text on. JSON of packs or rules has 20 times, and the same
/// one again and again 100 times.
const MAX_RATIO: u64 = 400;
const RATIO_FROM_BYTES: u64 = 8 * 1024 * 1024;

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
        let ends_value = match *byte {
            b'"' => !self.escaped,
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\n' => !self.in_text,
            _ => false,
        };
        self.value_bytes = if ends_value { 0 } else { self.value_bytes.saturating_add(1) };
        if self.value_bytes > MAX_VALUE_BYTES {
            let reason =
                format!("a value has more than {MAX_VALUE_BYTES} bytes, which none of AWS has: the file is damaged");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
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
    #[serde(rename = "AggregateComplianceByConfigRules")]
    pub(super) rules: Option<Vec<Object<RawRule>>>,
    #[serde(rename = "NextToken")]
    pub(super) next_token: Option<String>,
    #[serde(rename = "ConformancePackName")]
    pub(super) conformance_pack_name: Option<ShortText>,
    #[serde(rename = "ConfigRuleName")]
    pub(super) config_rule_name: Option<ShortText>,
    #[serde(rename = "AccountId")]
    pub(super) account_id: Option<ShortText>,
    #[serde(rename = "AwsRegion")]
    pub(super) aws_region: Option<ShortText>,
    #[serde(rename = "Compliance")]
    pub(super) compliance: Option<Object<RawCompliance>>,
    /// PowerShell's `ConvertTo-Json` puts a list into an object, with its length beside it.
    #[serde(rename = "value", alias = "Value")]
    pub(super) value: Option<Documents>,
    #[serde(rename = "Count")]
    pub(super) count: Option<u64>,
}

impl RawDocument {
    fn is_nothing(&self) -> bool {
        let Self { compline, answer, packs, rules, conformance_pack_name, config_rule_name, account_id, value, .. } =
            self;
        let texts = [conformance_pack_name, config_rule_name, account_id];
        compline.is_none()
            && answer.is_none()
            && packs.is_none()
            && rules.is_none()
            && value.is_none()
            && texts.iter().all(|text| text.is_none())
    }
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

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Documents, A::Error> {
                let mut documents = Vec::new();
                while let Some(document) = list.next_element::<Documents>()? {
                    // At once, since a list may have millions that are nothing and take a hundred times their text.
                    if matches!(&document, Documents::One(document) if document.is_nothing()) {
                        return Err(serde::de::Error::custom(
                            "neither an answer of describe-aggregate-compliance-by-conformance-packs or -by-config-rules nor an item of one",
                        ));
                    }
                    documents.push(document);
                }
                Ok(Documents::List(documents))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The text of a file: gzip and zstd, which say so by their first bytes, are undone.
pub(super) fn text_of(raw: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let (start, raw) = peek(raw)?;
    let packed = Arc::new(AtomicU64::new(0));
    let text: Box<dyn Read + Send> = match start[..] {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(counted(raw, &packed))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(counted(raw, &packed))?),
        _ => return utf8(&start, raw),
    };
    let text: Box<dyn BufRead + Send> = Box::new(BufReader::new(Unpacked { inner: text, packed, bytes: 0 }));
    let (start, text) = peek(text)?;
    utf8(&start, text)
}

/// Counts the bytes that are read.
fn counted(inner: Box<dyn BufRead + Send>, bytes: &Arc<AtomicU64>) -> BufReader<Counted> {
    BufReader::new(Counted { inner, bytes: Arc::clone(bytes) })
}

struct Counted {
    inner: Box<dyn BufRead + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

/// The text of a compressed file, as long as its size explains it.
struct Unpacked {
    inner: Box<dyn Read + Send>,
    packed: Arc<AtomicU64>,
    bytes: u64,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        if self.bytes > RATIO_FROM_BYTES && self.bytes / MAX_RATIO > self.packed.load(Relaxed) {
            let reason = format!(
                "it unpacks to more than {MAX_RATIO} times its size: it is no list of AWS Config; unpack it to import it"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(read)
    }
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

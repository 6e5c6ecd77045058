//! The text of a file, and the documents in it.

use crate::lines::Head;
use crate::wire::{Object, RawAnswer, RawCompliance, RawPack};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts lines.
pub(super) struct Counted {
    pub(super) inner: Box<dyn BufRead + Send>,
    pub(super) lines: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let ends = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        self.lines.fetch_add(ends as u64, Relaxed);
        Ok(read)
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
}

/// A document, or a list of them.
pub(super) struct Documents {
    pub(super) list: bool,
    pub(super) documents: Vec<RawDocument>,
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
                Ok(Documents { list: false, documents: vec![document] })
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Documents, A::Error> {
                let documents: Vec<Object<_>> = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                let documents = documents.into_iter().map(|Object(document)| document).collect();
                Ok(Documents { list: true, documents })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Undoes gzip and zstd, which say so by their first bytes.
pub(super) fn decompressed(mut raw: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let start = raw.fill_buf()?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(raw))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(raw)?)),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            return Err(io::Error::other("it is UTF-16, as PowerShell writes it; save it as UTF-8"));
        }
        [0xef, 0xbb, 0xbf, ..] => {
            raw.consume(3);
            raw
        }
        _ => raw,
    })
}

//! Getting objects: whole, in part, and compared with what was put.

use super::S3;
use super::delete::is_emptied;
use super::error::{Doing, from_sdk, status_of};
use super::list::moment;
use super::whole::is_whole;
use crate::SinkError;
use crate::store::Version;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStreamError;
use aws_sdk_s3::types::ChecksumMode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::causes;
use std::ops::Range;

/// How often a body that breaks off is asked for. The SDK's own attempts end where a body begins.
pub(super) const BODY_ATTEMPTS: u32 = 4;

/// Classes whose objects cannot be read at once.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// An object as it was read.
pub(super) struct Read {
    pub(super) body: Bytes,
    pub(super) version: Version,
    /// When it was put there, by the server's clock.
    pub(super) modified: DateTime<Utc>,
}

/// Whether the document of an error came to its end.
fn is_whole_error<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error.raw_response().and_then(|response| response.body().bytes()).is_some_and(is_whole)
}

/// A body that broke off, or that is not the one whose checksum came with it: then it is not what was put, however often it is
/// asked for. The SDK has no public type for that.
fn broken(doing: Doing, error: &ByteStreamError) -> SinkError {
    let reason = causes(error);
    if reason.contains("checksum mismatch") { doing.damaged(&reason) } else { doing.failed(&reason) }
}

impl S3 {
    /// An object, or nothing if there is none.
    pub(super) async fn read_whole(&self, key: &str) -> Result<Option<Read>, SinkError> {
        self.read(key, None).await
    }

    /// The version of an object, or nothing if there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<Version>, SinkError> {
        Ok(self.look_at(key).await?.map(|head| Version(head.e_tag.unwrap_or_default())))
    }

    /// The archive class that an object is in, unless it is restored for now.
    pub(super) async fn archived_in(&self, key: &str) -> Result<Option<String>, SinkError> {
        let Some(head) = self.look_at(key).await? else { return Ok(None) };
        let is_restored = head.restore().is_some_and(|restore| restore.contains("ongoing-request=\"false\""));
        let class = head.storage_class().map(|class| class.as_str().to_owned());
        // One of Intelligent-Tiering's own tiers is said beside the class.
        let tier = head.archive_status().map(|status| status.as_str().to_owned());
        let archived = tier.or(class.filter(|class| ARCHIVES.contains(&class.as_str())));
        Ok(archived.filter(|_| !is_restored))
    }

    /// What S3 says of an object, or nothing if there is none. An answer without an ETag says nothing: it is asked for again.
    async fn look_at(&self, key: &str) -> Result<Option<HeadObjectOutput>, SinkError> {
        for _ in 0..BODY_ATTEMPTS {
            let request = self.client.head_object().bucket(&self.location.bucket).key(self.full(key));
            let request = request
                .set_checksum_mode((!self.location.checksums_when_required).then_some(ChecksumMode::Enabled))
                .set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
            match request.send().await {
                Err(error) if status_of(&error) == Some(404) => return Ok(None),
                Err(error) => return Err(from_sdk(&error, self.doing("look at", key))),
                Ok(head) if head.e_tag().is_some_and(|etag| !etag.is_empty()) => return Ok(Some(head)),
                Ok(_) => tracing::debug!(key, "an answer without an ETag, asking again"),
            }
        }
        Err(self.doing("look at", key).failed(&"the answer has no ETag"))
    }

    /// Some bytes of an object, as far as it has them.
    pub(super) async fn part(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        if range.is_empty() {
            return Ok(Some(Bytes::new()));
        }
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        Ok(self.read(key, Some(header)).await?.map(|read| read.body))
    }

    async fn read(&self, key: &str, range: Option<String>) -> Result<Option<Read>, SinkError> {
        let mut attempt = 1;
        loop {
            let request = self.client.get_object().bucket(&self.location.bucket).key(self.full(key));
            let request =
                request.set_range(range.clone()).set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
            let answer = match request.send().await {
                Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
                // One that breaks off does not say what it is that is not there.
                Err(error) if status_of(&error) == Some(404) && !is_whole_error(&error) && attempt < BODY_ATTEMPTS => {
                    attempt += 1;
                    continue;
                }
                // The object ends before the range begins.
                Err(error) if range.is_some() && status_of(&error) == Some(416) => {
                    let version = Version::of_no_object();
                    let read = Read { body: Bytes::new(), version, modified: DateTime::default() };
                    return Ok(Some(read).filter(|_| !is_emptied(key, 0)));
                }
                sent => sent.map_err(|error| from_sdk(&error, self.doing("read", key)))?,
            };
            match self.body(key, answer).await {
                Err(error) if attempt < BODY_ATTEMPTS => {
                    tracing::debug!(%error, attempt, "reading it again");
                    attempt += 1;
                }
                read => return Ok(Some(read?).filter(|read| !is_emptied(key, read.body.len() as u64))),
            }
        }
    }

    async fn body(&self, key: &str, answer: GetObjectOutput) -> Result<Read, SinkError> {
        let (length, modified) = (answer.content_length(), moment(answer.last_modified()));
        let version = match answer.e_tag() {
            Some(etag) if !etag.is_empty() => Version(etag.to_owned()),
            _ => return Err(self.doing("read", key).failed(&"the answer has no ETag")),
        };
        let body = answer.body.collect().await.map_err(|error| broken(self.doing("read", key), &error))?.into_bytes();
        if length.is_some_and(|length| usize::try_from(length) != Ok(body.len())) {
            return Err(self.doing("read", key).failed(&format!("only {} bytes came", body.len())));
        }
        Ok(Read { body, version, modified })
    }

    /// Whether an object is as it was put: by its size and the checksum that S3 stored, or else byte for byte.
    pub(super) async fn compare(&self, key: &str, body: &Bytes) -> Result<(), SinkError> {
        let wrong = |what: String| {
            let hint = "something else writes to this lake, or the store is not sound; run again";
            Err(self.doing("confirm", key).failed(&what).hint(Some(hint.to_owned())))
        };
        let Some(head) = self.look_at(key).await? else { return wrong("it is not there".to_owned()) };
        let size = head.content_length().unwrap_or_default();
        if usize::try_from(size) != Ok(body.len()) {
            return wrong(format!("{} bytes were put and {size} are there", body.len()));
        }
        if head.checksum_crc32().is_some_and(|stored| stored == self.checksum(body)) {
            return Ok(());
        }
        // A store that has no checksum, or another one.
        match self.read_whole(key).await? {
            Some(there) if there.body == body => Ok(()),
            Some(_) => wrong("other bytes are there than were put".to_owned()),
            None => wrong("it is not there".to_owned()),
        }
    }

    /// The CRC-32 of an object as S3 says it: of one that was put in parts it is that of the parts' own.
    fn checksum(&self, body: &Bytes) -> String {
        if body.len() <= self.location.part_bytes {
            return STANDARD.encode(crc32fast::hash(body).to_be_bytes());
        }
        let parts = body.chunks(self.location.part_bytes);
        let of_parts: Vec<u8> = parts.clone().flat_map(|part| crc32fast::hash(part).to_be_bytes()).collect();
        format!("{}-{}", STANDARD.encode(crc32fast::hash(&of_parts).to_be_bytes()), parts.len())
    }
}

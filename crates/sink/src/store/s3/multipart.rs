//! A large object in parts. An upload that is not completed is aborted, on an error and when the run is stopped alike:
//! otherwise its parts would be stored, and paid for, unseen.

use super::error::{Doing, from_sdk, status_of};
use super::{Cleanups, MAX_PUT_ATTEMPTS, S3, clean_up, stored_as};
use crate::SinkError;
use crate::store::Condition;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use std::sync::Arc;

#[cfg(test)]
impl S3 {
    /// An upload whose process ends after its begin.
    pub(crate) async fn begin_and_forget(&self, key: &str) {
        std::mem::forget(self.begin(key).await.expect("begun"));
    }
}

/// An upload under way; aborts it when dropped before it is complete.
struct Upload {
    client: aws_sdk_s3::Client,
    bucket: String,
    key: String,
    id: String,
    complete: bool,
    owner: Option<String>,
    cleanups: Cleanups,
}

impl S3 {
    /// Puts an object in parts if the condition holds when they are put together. Whether it is there now.
    pub(super) async fn put_in_parts(&self, key: &str, body: Bytes, condition: &Condition) -> Result<bool, SinkError> {
        let mut upload = self.begin(key).await?;
        let mut parts = Vec::new();
        let mut rest = body.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(self.location.part_bytes));
            parts.push(self.send_part(&upload, key, parts.len() + 1, part).await?);
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let is_there = self.complete(&upload, key, &parts, condition, &body).await?;
        upload.complete = is_there;
        Ok(is_there)
    }

    async fn send_part(
        &self,
        upload: &Upload,
        key: &str,
        number: usize,
        part: Bytes,
    ) -> Result<CompletedPart, SinkError> {
        let number = i32::try_from(number).map_err(|error| self.doing("write", key).failed(&error))?;
        for _ in 0..MAX_PUT_ATTEMPTS {
            let request = self.client.upload_part().bucket(&upload.bucket).key(&upload.key).upload_id(&upload.id);
            let request = request
                .part_number(number)
                .set_expected_bucket_owner(upload.owner.clone())
                .body(ByteStream::from(part.clone()));
            let sent = request.send().await.map_err(|error| from_sdk(&error, self.doing("write", key)))?;
            let Some(etag) = sent.e_tag().filter(|etag| !etag.is_empty()) else { continue };
            let checksum = sent.checksum_crc32().map(str::to_owned);
            let part = CompletedPart::builder().part_number(number).e_tag(etag).set_checksum_crc32(checksum);
            return Ok(part.build());
        }
        Err(self.doing("write", key).failed(&"the answer does not say that a part is stored: it has no ETag"))
    }

    /// Puts the parts together. An answer that does not say that this was done is not taken for one that says it was not: the
    /// same is asked again, and what is there then is compared.
    async fn complete(
        &self,
        upload: &Upload,
        key: &str,
        parts: &CompletedMultipartUpload,
        condition: &Condition,
        body: &Bytes,
    ) -> Result<bool, SinkError> {
        let mut failed = None;
        for _ in 0..MAX_PUT_ATTEMPTS {
            let request =
                self.client.complete_multipart_upload().bucket(&upload.bucket).key(&upload.key).upload_id(&upload.id);
            let request = request.multipart_upload(parts.clone()).set_expected_bucket_owner(upload.owner.clone());
            let request = match condition {
                Condition::None => request,
                Condition::New => request.if_none_match("*"),
                Condition::Unchanged(version) => request.if_match(&version.0),
            };
            let error = match request.send().await {
                Ok(answer) if answer.e_tag().is_some_and(|etag| !etag.is_empty()) => return Ok(true),
                Ok(_) => {
                    self.doing("complete", key).failed(&"the answer does not say that it is stored: it has no ETag")
                }
                Err(error) => match status_of(&error) {
                    // A body that is none.
                    Some(200..300) => from_sdk(&error, self.doing("complete", key)),
                    // The answer to an earlier attempt may have been lost: then the object is there, and the upload no longer,
                    // which servers say in ways of their own.
                    _ if self.compare(key, body).await.is_ok() => return Ok(true),
                    // What was in the way is gone by now, or never was.
                    Some(412) if condition.holds(self.head(key).await?.as_ref()) => self.contradicts(key, condition),
                    Some(412) => return Ok(false),
                    Some(404) if is_gone(condition, &error) => return Ok(false),
                    _ => return Err(self.put_failed(&error, key, condition)),
                },
            };
            failed = Some(error);
        }
        // It may have landed all the same, and readers see it.
        match (self.compare(key, body).await, failed) {
            (Err(_), Some(error)) => Err(error),
            _ => Ok(true),
        }
    }

    async fn begin(&self, key: &str) -> Result<Upload, SinkError> {
        let begun = stored_as!(self.client.create_multipart_upload(), self, key)
            .send()
            .await
            .map_err(|error| from_sdk(&error, self.doing("write", key)))?;
        let id = begun.upload_id().ok_or_else(|| self.doing("write", key).failed(&"the answer names no upload"))?;
        Ok(Upload {
            client: self.client.clone(),
            bucket: self.location.bucket.clone(),
            key: self.full(key),
            id: id.to_owned(),
            complete: false,
            owner: self.location.expected_bucket_owner.clone(),
            cleanups: Arc::clone(&self.cleanups),
        })
    }
}

/// Whether the object that was to be replaced is gone, and not the upload.
fn is_gone<E: ProvideErrorMetadata>(condition: &Condition, error: &SdkError<E, HttpResponse>) -> bool {
    let is_of_object = error.as_service_error().and_then(|error| error.code()) == Some("NoSuchKey");
    matches!(condition, Condition::Unchanged(_)) && is_of_object
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key).upload_id(&self.id);
        let request = request.set_expected_bucket_owner(self.owner.clone());
        let what = format!("s3://{}/{}", self.bucket, self.key);
        let abort = async move {
            match request.send().await {
                Ok(_) => tracing::debug!(object = what, "gave up an upload"),
                Err(error) => {
                    let error = from_sdk(&error, Doing { verb: "abort the upload of", what, host: None });
                    tracing::warn!(%error, "parts of an upload may be left; compline verify --repair removes them after a day");
                }
            }
        };
        clean_up(&self.cleanups, abort);
    }
}

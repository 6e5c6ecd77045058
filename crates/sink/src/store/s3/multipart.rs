//! A large object in parts. An upload that is not completed is aborted, on an error and when the run is stopped alike:
//! otherwise its parts would be kept, and paid for, unseen.

use super::error::{Doing, from_sdk, status_of};
use super::{Cleanups, S3, clean_up, kept_as};
use crate::SinkError;
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
    pub(super) async fn put_in_parts(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        let mut upload = self.begin(key).await?;
        let mut parts = Vec::new();
        let mut rest = body.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(self.location.part_bytes));
            let number = i32::try_from(parts.len() + 1).map_err(|error| self.doing("write", key).failed(&error))?;
            let sent = self
                .client
                .upload_part()
                .bucket(&upload.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .part_number(number)
                .set_expected_bucket_owner(upload.owner.clone())
                .body(ByteStream::from(part))
                .send()
                .await
                .map_err(|error| from_sdk(&error, self.doing("write", key)))?;
            let Some(etag) = sent.e_tag().filter(|etag| !etag.is_empty()) else {
                return Err(self
                    .doing("write", key)
                    .failed(&"the answer does not say that a part is kept: it has no ETag"));
            };
            let checksum = sent.checksum_crc32().map(str::to_owned);
            let part = CompletedPart::builder().part_number(number).e_tag(etag).set_checksum_crc32(checksum);
            parts.push(part.build());
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&upload.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .multipart_upload(parts)
            .set_expected_bucket_owner(upload.owner.clone())
            .send()
            .await;
        let completed = match completed {
            // The answer to an earlier attempt may have been lost: then the object is there, and the upload no longer, which
            // servers say in ways of their own.
            Err(error)
                if status_of(&error).is_some_and(|status| (400..500).contains(&status))
                    && self.compare(key, &body).await.is_ok() =>
            {
                upload.complete = true;
                return Ok(());
            }
            completed => completed.map_err(|error| from_sdk(&error, self.doing("complete", key)))?,
        };
        if completed.e_tag().is_none_or(str::is_empty) {
            return Err(self.doing("complete", key).failed(&"the answer does not say that it is kept: it has no ETag"));
        }
        upload.complete = true;
        Ok(())
    }

    async fn begin(&self, key: &str) -> Result<Upload, SinkError> {
        let begun = kept_as!(self.client.create_multipart_upload(), self, key)
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
                    let error = from_sdk(&error, Doing { verb: "abort the upload of", what });
                    tracing::warn!(%error, "parts of an upload may be left; compline verify --repair removes them after a day");
                }
            }
        };
        clean_up(&self.cleanups, abort);
    }
}

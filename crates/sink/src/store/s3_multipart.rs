//! A large object in parts. An upload that is not completed is aborted, on an error and when the run is stopped alike:
//! otherwise its parts would be kept, and paid for, unseen.

use super::s3::S3;
use super::s3_error::from_sdk;
use crate::SinkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// An upload under way; aborts it when dropped before it is complete.
struct Upload {
    client: aws_sdk_s3::Client,
    bucket: String,
    key: String,
    id: String,
    complete: bool,
    cleanups: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl S3 {
    pub(super) async fn put_in_parts(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        let mut upload = self.begin(key).await?;
        let mut parts = Vec::new();
        let mut rest = body;
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
                .body(ByteStream::from(part))
                .send()
                .await
                .map_err(|error| from_sdk(&error, self.doing("write", key)))?;
            let checksum = sent.checksum_crc32().map(str::to_owned);
            let etag = sent.e_tag().map(str::to_owned);
            parts.push(
                CompletedPart::builder().part_number(number).set_e_tag(etag).set_checksum_crc32(checksum).build(),
            );
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        self.client
            .complete_multipart_upload()
            .bucket(&upload.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .multipart_upload(parts)
            .send()
            .await
            .map_err(|error| from_sdk(&error, self.doing("complete", key)))?;
        upload.complete = true;
        Ok(())
    }

    async fn begin(&self, key: &str) -> Result<Upload, SinkError> {
        let (encryption, kms_key_id) = self.encryption();
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&self.location.bucket)
            .key(self.full(key))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key_id)
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
        let what = format!("s3://{}/{}", self.bucket, self.key);
        let abort = async move {
            match request.send().await {
                Ok(_) => tracing::debug!(object = what, "gave up an upload"),
                Err(error) => {
                    let error = from_sdk(&error, super::s3_error::Doing { verb: "abort the upload of", what });
                    tracing::warn!(%error, "parts of an upload may be left; a lifecycle rule for incomplete uploads removes them");
                }
            }
        };
        if let (Ok(runtime), Ok(mut cleanups)) = (tokio::runtime::Handle::try_current(), self.cleanups.lock()) {
            cleanups.push(runtime.spawn(abort));
        }
    }
}

//! What is there: objects, and uploads that nobody finished.

use super::S3;
use super::error::from_sdk;
use crate::SinkError;
use crate::store::{Listed, Unfinished};
use aws_sdk_s3::types::Object;
use chrono::{DateTime, TimeDelta, Utc};

/// An upload in parts that began so long ago is nobody's any more: a night's largest file is sent in minutes.
const ABANDONED_AFTER: TimeDelta = TimeDelta::hours(24);

impl S3 {
    /// The objects below a prefix, sorted by key.
    pub(super) async fn objects(&self, prefix: &str) -> Result<Vec<Listed>, SinkError> {
        let mut objects = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.location.bucket).prefix(self.full(prefix));
            let request = request
                .set_continuation_token(token.take())
                .set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
            let page = request.send().await.map_err(|error| from_sdk(&error, self.doing("list", prefix)))?;
            objects.extend(page.contents().iter().filter_map(|object| self.listed(object)));
            match (page.is_truncated(), page.next_continuation_token()) {
                (Some(true), Some(next)) if !next.is_empty() => token = Some(next.to_owned()),
                (Some(true), _) => {
                    return Err(self.doing("list", prefix).failed(&"the list is cut and does not say how to go on"));
                }
                _ => break,
            }
        }
        objects.sort_unstable_by(|one: &Listed, other| one.key.cmp(&other.key));
        Ok(objects)
    }

    fn listed(&self, object: &Object) -> Option<Listed> {
        Some(Listed {
            key: self.below(object.key()?)?,
            bytes: object.size().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
            modified: moment(object.last_modified()),
        })
    }

    /// Uploads in parts that were begun long ago and are neither complete nor given up.
    pub(super) async fn uploads(&self) -> Result<Vec<Unfinished>, SinkError> {
        let mut uploads = Vec::new();
        let (mut after_key, mut after_id): (Option<String>, Option<String>) = (None, None);
        loop {
            let request = self.client.list_multipart_uploads().bucket(&self.location.bucket).prefix(self.full(""));
            let request = request
                .set_key_marker(after_key.take())
                .set_upload_id_marker(after_id.take())
                .set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
            let page = request.send().await.map_err(|error| from_sdk(&error, self.doing("list uploads to", "")))?;
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                let Some(name) = self.below(key) else { continue };
                uploads.push(Unfinished { name, id: id.to_owned(), since: moment(upload.initiated()) });
            }
            match (page.is_truncated(), page.next_key_marker()) {
                (Some(true), Some(next)) if !next.is_empty() => {
                    after_key = Some(next.to_owned());
                    after_id = page.next_upload_id_marker().map(str::to_owned);
                }
                _ => break,
            }
        }
        uploads.retain(|upload| Utc::now() - upload.since > ABANDONED_AFTER);
        Ok(uploads)
    }

    /// Gives an upload up.
    pub(super) async fn abort(&self, upload: &Unfinished) -> Result<(), SinkError> {
        let request = self.client.abort_multipart_upload().bucket(&self.location.bucket).key(self.full(&upload.name));
        let request =
            request.upload_id(&upload.id).set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
        match request.send().await {
            Err(error) if !error.as_service_error().is_some_and(|error| error.is_no_such_upload()) => {
                Err(from_sdk(&error, self.doing("abort the upload of", &upload.name)))
            }
            _ => Ok(()),
        }
    }
}

fn moment(time: Option<&aws_sdk_s3::primitives::DateTime>) -> DateTime<Utc> {
    time.and_then(|time| DateTime::from_timestamp(time.secs(), time.subsec_nanos())).unwrap_or_default()
}

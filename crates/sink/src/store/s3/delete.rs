//! Removing objects, many in a request; S3 answers for each key.
//!
//! Where a policy denies deletes, as of a write-once bucket, an object of Compline's own is emptied instead: one without a byte
//! counts as none there. An object of a table stays, and that is an error.

use super::Put;
use super::S3;
use super::error::{from_sdk, status_of};
use crate::SinkError;
use crate::store::{Condition, OWN, Version};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{Delete, Error, ObjectIdentifier};
use bytes::Bytes;
use futures::TryFutureExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// What S3 takes in one request.
const KEYS_PER_REQUEST: usize = 1000;

/// How often the removal of keys is tried that S3 could not remove for the moment.
const MAX_ATTEMPTS: u32 = 4;

/// Whether an object is one that was emptied since it could not be removed. Leases have tombstones of their own.
pub(super) fn is_emptied(key: &str, bytes: u64) -> bool {
    bytes == 0 && key.strip_prefix(OWN).is_some_and(|rest| !rest.starts_with("lease/"))
}

impl S3 {
    pub(super) async fn remove(&self, keys: &[String]) -> Result<(), SinkError> {
        for keys in keys.chunks(KEYS_PER_REQUEST) {
            self.remove_some(keys).await?;
        }
        Ok(())
    }

    /// Removes an object if it is still this one. A store that does not know such a request removes it anyway.
    pub(super) async fn remove_unchanged(&self, key: &str, version: &Version) -> Result<bool, SinkError> {
        let request = self.client.delete_object().bucket(&self.location.bucket).key(self.full(key));
        let request = request.set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
        match request.if_match(&version.0).send().await {
            Ok(_) => Ok(true),
            Err(error) => match status_of(&error) {
                Some(404) => Ok(true),
                // It may be gone since an earlier attempt whose answer was lost.
                Some(412) => Ok(self.head(key).await?.is_none()),
                Some(501) => self.remove(&[key.to_owned()]).await.map(|()| true),
                Some(403) if is_denied(error.code()) && key.starts_with(OWN) => {
                    self.empty(key, &Condition::Unchanged(version.clone())).await
                }
                _ => Err(from_sdk(&error, self.doing("remove", key))),
            },
        }
    }

    /// Empties an object of Compline's own, if the condition holds. Whether it is as good as gone.
    async fn empty(&self, key: &str, condition: &Condition) -> Result<bool, SinkError> {
        tracing::debug!(key, "deletes are denied here: emptying it instead");
        match self.put_once(key, Bytes::new(), condition).await? {
            Put::Stored(_) => Ok(true),
            Put::Refused => Ok(self.head(key).await?.is_none()),
        }
    }

    async fn remove_one(&self, key: &str) -> Result<(), SinkError> {
        let request = self.client.delete_object().bucket(&self.location.bucket).key(self.full(key));
        match request.set_expected_bucket_owner(self.location.expected_bucket_owner.clone()).send().await {
            Err(error) if status_of(&error) == Some(404) => Ok(()),
            Err(error) if is_denied(error.code()) && key.starts_with(OWN) => {
                self.empty(key, &Condition::None).await.map(drop)
            }
            sent => sent.map(drop).map_err(|error| from_sdk(&error, self.doing("remove", key))),
        }
    }

    async fn remove_some(&self, keys: &[String]) -> Result<(), SinkError> {
        let mut left: Vec<String> = keys.iter().map(|key| self.full(key)).collect();
        for attempt in 1.. {
            let Some(refused) = self.remove_once(&keys[0], &left).await? else {
                for key in keys {
                    self.remove_one(key).await?;
                }
                return Ok(());
            };
            let Some(first) = refused.first() else { return Ok(()) };
            let passing =
                |error: &Error| matches!(error.code(), Some("InternalError" | "SlowDown" | "ServiceUnavailable"));
            let may_be_emptied = |error: &Error| {
                is_denied(error.code())
                    && error.key().and_then(|key| self.below(key)).is_some_and(|key| key.starts_with(OWN))
            };
            if refused.iter().all(may_be_emptied) {
                for key in refused.iter().filter_map(|error| self.below(error.key()?)) {
                    self.empty(&key, &Condition::None).await?;
                }
                return Ok(());
            }
            if attempt == MAX_ATTEMPTS || !refused.iter().all(passing) {
                let (code, message) = (first.code().unwrap_or("no code"), first.message().unwrap_or("no message"));
                let reason = format!("{} of {} objects stay: {code}: {message}", refused.len(), keys.len());
                let key = first.key().and_then(|key| self.below(key)).unwrap_or_default();
                return Err(self.doing("remove", &key).refused(code, &reason));
            }
            left = refused.iter().filter_map(|error| error.key().map(str::to_owned)).collect();
            tokio::time::sleep(std::time::Duration::from_millis(200) * 2_u32.pow(attempt)).await;
        }
        Ok(())
    }

    /// One request; gives what S3 says of the keys that it did not remove. Nothing where the store does not know such a request
    /// or denies it whole, and nothing is removed.
    async fn remove_once(&self, first: &str, full: &[String]) -> Result<Option<Vec<Error>>, SinkError> {
        let failed = |error: &dyn std::fmt::Display| self.doing("remove", first).failed(error);
        let object = |key: &String| ObjectIdentifier::builder().key(key).build();
        let objects: Vec<_> = full.iter().map(object).collect::<Result<_, _>>().map_err(|error| failed(&error))?;
        let delete =
            Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(|error| failed(&error))?;
        let is_unknown = AtomicBool::new(false);
        let request = self.client.delete_objects().bucket(&self.location.bucket).delete(delete);
        let request = request.set_expected_bucket_owner(self.location.expected_bucket_owner.clone());
        let send = |whole| {
            let sending = request.clone().customize().interceptor(whole).send();
            sending.inspect_err(|error| {
                let is_refused = matches!(status_of(error), Some(405 | 501)) || is_denied(error.code());
                is_unknown.store(is_refused, Ordering::Relaxed);
            })
        };
        let mut answer = match self.whole(|| self.doing("remove", first), send).await {
            Err(_) if is_unknown.load(Ordering::Relaxed) => return Ok(None),
            answer => answer?,
        };
        let mut errors = answer.errors.take().unwrap_or_default();
        errors.retain(|error| error.code() != Some("NoSuchKey"));
        Ok(Some(errors))
    }
}

/// Whether a code says that the right is missing.
fn is_denied(code: Option<&str>) -> bool {
    matches!(code, Some("AccessDenied" | "AllAccessDisabled"))
}

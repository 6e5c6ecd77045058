//! Removing objects, many in a request; S3 answers for each key.

use super::S3;
use super::error::{from_sdk, status_of};
use crate::SinkError;
use crate::store::Version;
use aws_sdk_s3::types::{Delete, Error, ObjectIdentifier};

/// What S3 takes in one request.
const KEYS_PER_REQUEST: usize = 1000;

/// How often the removal of keys is tried that S3 could not remove for the moment.
const MAX_ATTEMPTS: u32 = 4;

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
                _ => Err(from_sdk(&error, self.doing("remove", key))),
            },
        }
    }

    async fn remove_some(&self, keys: &[String]) -> Result<(), SinkError> {
        let mut left: Vec<String> = keys.iter().map(|key| self.full(key)).collect();
        for attempt in 1.. {
            let refused = self.remove_once(&keys[0], &left).await?;
            let Some(first) = refused.first() else { return Ok(()) };
            let passing =
                |error: &Error| matches!(error.code(), Some("InternalError" | "SlowDown" | "ServiceUnavailable"));
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

    /// One request; gives what S3 says of the keys that it did not remove.
    async fn remove_once(&self, first: &str, full: &[String]) -> Result<Vec<Error>, SinkError> {
        let failed = |error: &dyn std::fmt::Display| self.doing("remove", first).failed(error);
        let object = |key: &String| ObjectIdentifier::builder().key(key).build();
        let objects: Vec<_> = full.iter().map(object).collect::<Result<_, _>>().map_err(|error| failed(&error))?;
        let delete =
            Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(|error| failed(&error))?;
        let request = self.client.delete_objects().bucket(&self.location.bucket).delete(delete);
        let sent = request.set_expected_bucket_owner(self.location.expected_bucket_owner.clone()).send().await;
        let mut answer = sent.map_err(|error| from_sdk(&error, self.doing("remove", first)))?;
        let mut errors = answer.errors.take().unwrap_or_default();
        errors.retain(|error| error.code() != Some("NoSuchKey"));
        Ok(errors)
    }
}

//! Objects on S3.

mod delete;
mod error;
mod lease;
mod list;
mod location;
mod multipart;
mod read;

use super::{Holder, LeaseOutcome, Listed, Store, Unfinished};
use crate::SinkError;
use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use error::{Doing, from_sdk, status_of};
pub use location::{Encryption, S3Location};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

#[derive(Debug, Clone)]
pub(crate) struct S3 {
    client: Client,
    location: S3Location,
    /// How long a lease is good for that is not renewed.
    lease_for: Duration,
    /// Uploads that are being given up, leases that are being released.
    cleanups: Cleanups,
}

/// What goes on after its owner is gone.
type Cleanups = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// What a put is conditional on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    None,
    /// There is no such object.
    New,
    /// The object is still the one with this entity tag.
    Unchanged(&'a str),
}

/// The entity tag of an object: another one, another object.
type ETag = String;

/// S3 answers 409 to a conditional put that met another one: the answer to asking again is a clear one.
#[derive(Debug)]
struct AgainAfterConflict;

impl ClassifyRetry for AgainAfterConflict {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(response) if response.status().as_u16() == 409 => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "AgainAfterConflict"
    }
}

/// How an object is kept, said alike in both requests that make one; the SDK has no type for what they share.
macro_rules! kept_as {
    ($request:expr, $store:expr, $key:expr) => {{
        let (location, encryption) = (&$store.location, $store.location.encryption());
        // A class and tags are for what is kept for years, and not for what is gone by morning.
        let lasting = !$key.starts_with($crate::store::OWN);
        $request
            .bucket(&location.bucket)
            .key($store.full($key))
            .set_expected_bucket_owner(location.expected_bucket_owner.clone())
            .set_acl(location.acl.as_deref().map(Into::into))
            .set_storage_class(location.storage_class.as_deref().filter(|_| lasting).map(Into::into))
            .set_tagging(location.tagging().filter(|_| lasting))
            .set_server_side_encryption(encryption.algorithm)
            .set_ssekms_key_id(encryption.kms_key_id)
            .set_bucket_key_enabled(encryption.bucket_key)
    }};
}
use kept_as;

impl S3 {
    /// As the environment and the profile files say.
    pub(crate) async fn open(location: &S3Location) -> Self {
        Self::new(&aws_config::defaults(BehaviorVersion::latest()).load().await, location)
    }

    pub(crate) fn new(shared: &SdkConfig, location: &S3Location) -> Self {
        let mut config = aws_sdk_s3::config::Builder::from(shared)
            // A bucket with dots in its name fits no certificate of *.s3.amazonaws.com.
            .force_path_style(location.path_style || location.bucket.contains('.'))
            .retry_config(RetryConfig::standard().with_max_attempts(location.max_attempts))
            .retry_classifier(AgainAfterConflict)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(location.attempt_timeout).build());
        if let Some(region) = &location.region {
            config = config.region(aws_config::Region::new(region.clone()));
        }
        if let Some(url) = &location.endpoint_url {
            config = config.endpoint_url(url);
        }
        if location.checksums_when_required {
            config = config
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        Self {
            client: Client::from_conf(config.build()),
            location: location.clone(),
            lease_for: lease::GOOD_FOR,
            cleanups: Arc::default(),
        }
    }

    /// The key in the bucket.
    fn full(&self, key: &str) -> String {
        if self.location.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.location.prefix) }
    }

    /// The key below the lake of one in the bucket.
    fn below(&self, full: &str) -> Option<String> {
        if self.location.prefix.is_empty() {
            return Some(full.to_owned());
        }
        full.strip_prefix(&self.location.prefix)?.strip_prefix('/').map(str::to_owned)
    }

    fn doing(&self, verb: &'static str, key: &str) -> Doing {
        Doing { verb, what: format!("s3://{}/{}", self.location.bucket, self.full(key)) }
    }

    /// Puts an object in one request, unless the condition does not hold: then nothing.
    async fn put_at_once(&self, key: &str, body: Bytes, condition: Condition<'_>) -> Result<Option<ETag>, SinkError> {
        let request = kept_as!(self.client.put_object(), self, key).body(ByteStream::from(body.clone()));
        let request = match condition {
            Condition::None => request,
            Condition::New => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        match request.send().await {
            Ok(answer) => match answer.e_tag() {
                Some(etag) if !etag.is_empty() => Ok(Some(etag.to_owned())),
                _ => Err(self.doing("write", key).failed(&"the answer does not say that it is kept: it has no ETag")),
            },
            // The answer to an earlier attempt may have been lost, and then the object that is in the way is ours.
            Err(error) if condition != Condition::None && status_of(&error) == Some(412) => {
                Ok(self.versioned(key).await?.filter(|(there, _)| *there == body).map(|(_, etag)| etag))
            }
            // That which was to be unchanged is gone.
            Err(error) if matches!(condition, Condition::Unchanged(_)) && status_of(&error) == Some(404) => Ok(None),
            Err(error) => Err(from_sdk(&error, self.doing("write", key))),
        }
    }
}

/// Does something that nobody waits for but [`Store::settle`].
fn clean_up(cleanups: &Cleanups, work: impl Future<Output = ()> + Send + 'static) {
    if let (Ok(runtime), Ok(mut cleanups)) = (tokio::runtime::Handle::try_current(), cleanups.lock()) {
        cleanups.push(runtime.spawn(work));
    }
}

#[async_trait]
impl Store for S3 {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        if body.len() > self.location.part_bytes {
            return self.put_in_parts(key, body).await;
        }
        self.put_at_once(key, body, Condition::None).await.map(drop)
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<bool, SinkError> {
        Ok(self.put_at_once(key, body, Condition::New).await?.is_some())
    }

    async fn confirm(&self, key: &str, body: &Bytes) -> Result<(), SinkError> {
        self.compare(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError> {
        Ok(self.versioned(key).await?.map(|(body, _)| body))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.part(key, range).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, SinkError> {
        self.objects(prefix).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), SinkError> {
        self.remove(keys).await
    }

    async fn lease(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError> {
        self.take(key, holder).await
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, SinkError> {
        self.uploads().await
    }

    async fn discard(&self, unfinished: &Unfinished) -> Result<(), SinkError> {
        self.abort(unfinished).await
    }

    async fn settle(&self) {
        let cleanups = self.cleanups.lock().map(|mut cleanups| std::mem::take(&mut *cleanups)).unwrap_or_default();
        for cleanup in cleanups {
            // Each logs its own failure.
            let _ = cleanup.await;
        }
    }
}

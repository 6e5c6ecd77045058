//! Objects on S3.

mod clock;
mod delete;
mod error;
mod lease;
mod list;
mod location;
mod multipart;
mod read;
mod retry;
mod whole;

use super::{Condition, Holder, LeaseOutcome, Listed, Store, Unfinished, Version};
use crate::{SinkError, SinkErrorKind};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use chrono::TimeDelta;
use clock::ServerClock;
use compline_aws::{Environment, FailedAttempts, Identity};
use error::{Doing, status_of};
use lease::Leasing;
pub use location::{Encryption, S3Location};
use retry::AgainAfterThese;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

#[derive(Debug, Clone)]
pub(crate) struct S3 {
    client: Client,
    location: S3Location,
    leasing: Leasing,
    clock: ServerClock,
    /// Uploads that are being given up, leases that are being released.
    cleanups: Cleanups,
}

/// What goes on after its owner is gone.
type Cleanups = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// How often a put is tried whose answer does not say that the object is stored.
const MAX_PUT_ATTEMPTS: u32 = 3;

/// What S3 answers to a put.
enum Put {
    /// This object is there now.
    Stored(Version),
    /// The condition does not hold.
    Refused,
}

/// What is there after a put that was not done by its answer.
enum Found {
    /// The object that was put.
    Ours(Version),
    /// One for which the condition does not hold, or none where one had to be. While that stays the put cannot come to be.
    Other,
    /// What the condition asks for: nothing says that the put will not come to be.
    AsBefore,
}

/// How an object is stored, said alike in both requests that make one; the SDK has no type for what they share.
macro_rules! stored_as {
    ($request:expr, $store:expr, $key:expr) => {{
        let (location, encryption) = (&$store.location, $store.location.encryption());
        // A class and tags are for what is retained for years, and not for what is gone by morning.
        let lasting = !$key.starts_with($crate::store::OWN);
        $request
            .bucket(&location.bucket)
            .key($store.full($key))
            .set_expected_bucket_owner(location.expected_bucket_owner.clone())
            .set_acl(location.acl.as_deref().map(Into::into))
            // What a browser shows must say so; of any other the store's own guess is as good.
            .set_content_type($key.ends_with(".html").then(|| "text/html; charset=utf-8".to_owned()))
            .set_storage_class(location.storage_class.as_deref().filter(|_| lasting).map(Into::into))
            .set_tagging(location.tagging().filter(|_| lasting))
            .set_server_side_encryption(encryption.algorithm)
            .set_ssekms_key_id(encryption.kms_key_id)
            .set_bucket_key_enabled(encryption.bucket_key)
    }};
}
use stored_as;

impl S3 {
    /// As the environment and the profile files say.
    pub(crate) async fn open(location: &S3Location) -> Result<Self, SinkError> {
        let environment = Environment::load(Identity::DefaultChain).await;
        let failed = |error| SinkError::permanent(format!("ask S3 for the bucket {}", location.bucket), error);
        Ok(Self::new(environment.map_err(failed)?.shared(), location))
    }

    pub(crate) fn new(shared: &SdkConfig, location: &S3Location) -> Self {
        let clock = ServerClock::default();
        let mut config = aws_sdk_s3::config::Builder::from(shared)
            // A bucket with dots in its name fits no certificate of *.s3.amazonaws.com.
            .force_path_style(location.path_style || location.bucket.contains('.'))
            .retry_config(RetryConfig::standard().with_max_attempts(location.max_attempts))
            .retry_classifier(AgainAfterThese)
            .interceptor(clock.clone())
            .interceptor(FailedAttempts::of("S3"))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(location.attempt_timeout).build());
        if let Some(region) = &location.region {
            config = config.region(aws_config::Region::new(region.clone()));
        }
        if let Some(url) = &location.endpoint_url {
            // Variants of AWS's own endpoints, which would be an error beside another one.
            config = config.endpoint_url(url).use_fips(false).use_dual_stack(false);
        }
        if location.checksums_when_required {
            config = config
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        let config = config.build();
        Self {
            leasing: Leasing::new(&config, location, lease::LASTS),
            client: Client::from_conf(config),
            location: location.clone(),
            clock,
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
        let S3Location { bucket, endpoint_url, path_style, .. } = &self.location;
        let endpoint = endpoint_url.as_deref().filter(|_| !path_style && !bucket.contains('.'));
        let host = endpoint.and_then(|url| url.split_once("://")).map(|(_, host)| format!("{bucket}.{host}"));
        Doing { verb, what: format!("s3://{bucket}/{}", self.full(key)), host }
    }

    /// Puts an object in one request if the condition holds. What no answer says is told by what is there now: what readers see is
    /// not told as a failure, what another has put not as one of the network, and what nobody has put not as another's.
    async fn put_at_once(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Put, SinkError> {
        for _ in 0..MAX_PUT_ATTEMPTS {
            let failed = match self.put_once(key, body.clone(), condition).await {
                Ok(Put::Refused) => None,
                // A server that refuses a large body before it has come closes the connection, and its answer is lost with it.
                Err(error) if error.kind == SinkErrorKind::Transient => Some(error),
                put => return put,
            };
            let found = self.found(key, &body, condition).await;
            if let (Ok(Found::Ours(_) | Found::Other), Some(error)) = (&found, &failed) {
                let is_there = matches!(found, Ok(Found::Ours(_)));
                tracing::warn!(key, %error, is_there, "no answer says that a put was done, and what is there tells it");
            }
            match (found, failed) {
                (Ok(Found::Ours(version)), _) => return Ok(Put::Stored(version)),
                (Ok(Found::Other), _) => return Ok(Put::Refused),
                (_, Some(error)) | (Err(error), None) => return Err(error),
                // What was in the way is gone by now.
                (Ok(Found::AsBefore), None) => {}
            }
        }
        Err(self.contradicts(key, condition))
    }

    /// A store that refuses a condition with nothing in its way.
    fn contradicts(&self, key: &str, condition: &Condition) -> SinkError {
        let (header, there) = match condition {
            Condition::Unchanged(_) => ("If-Match", "the object has the very entity tag that it gave"),
            Condition::None | Condition::New => ("If-None-Match", "there is no such object"),
        };
        let Doing { verb, what, .. } = self.doing("write", key);
        let reason = format!("this store refuses {header} though {there}");
        let hint =
            "a lease, and with it every run, needs conditional puts that work: use a store that has them, or a folder";
        SinkError::permanent(format!("{verb} {what}"), reason).hint(Some(hint.to_owned()))
    }

    /// What is there after a put that was refused, or whose answers were lost.
    async fn found(&self, key: &str, body: &Bytes, condition: &Condition) -> Result<Found, SinkError> {
        let mut there = self.read_whole(key).await?;
        let mut version = there.as_ref().map(|there| there.version.clone());
        if there.is_none() {
            version = self.head(key).await?;
            // An own object that was emptied reads as if it were not there, and another may have come just now.
            if version.is_some() {
                there = self.read_whole(key).await?;
            }
        }
        Ok(match there {
            Some(there) if there.body == *body => Found::Ours(there.version),
            _ if condition.holds(version.as_ref()) => Found::AsBefore,
            _ => Found::Other,
        })
    }

    async fn put_once(&self, key: &str, body: Bytes, condition: &Condition) -> Result<Put, SinkError> {
        for _ in 0..MAX_PUT_ATTEMPTS {
            let request = stored_as!(self.client.put_object(), self, key).body(ByteStream::from(body.clone()));
            let request = match condition {
                Condition::None => request,
                Condition::New => request.if_none_match("*"),
                Condition::Unchanged(version) => request.if_match(&version.0),
            };
            match request.send().await {
                Ok(answer) => match answer.e_tag() {
                    Some(etag) if !etag.is_empty() => return Ok(Put::Stored(Version(etag.to_owned()))),
                    _ => tracing::debug!(key, "a put was answered without an ETag"),
                },
                Err(error) if is_refused(condition, status_of(&error)) => return Ok(Put::Refused),
                Err(error) => return Err(self.put_failed(&error, key, condition)),
            }
        }
        Err(self.doing("write", key).failed(&"the answer does not say that it is stored: it has no ETag"))
    }
}

/// Whether an answer says that the condition does not hold.
fn is_refused(condition: &Condition, status: Option<u16>) -> bool {
    match condition {
        Condition::None => false,
        Condition::New => status == Some(412),
        // That which was to be unchanged is another, or is gone.
        Condition::Unchanged(_) => matches!(status, Some(404 | 412)),
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
    async fn put_if(&self, key: &str, body: Bytes, condition: Condition) -> Result<bool, SinkError> {
        if body.len() > self.location.part_bytes {
            return self.put_in_parts(key, body, &condition).await;
        }
        Ok(matches!(self.put_at_once(key, body, &condition).await?, Put::Stored(_)))
    }

    async fn version(&self, key: &str) -> Result<Option<Version>, SinkError> {
        self.head(key).await
    }

    async fn archive_class(&self, key: &str) -> Result<Option<String>, SinkError> {
        self.archived_in(key).await
    }

    async fn delete_if(&self, key: &str, version: &Version) -> Result<bool, SinkError> {
        self.remove_unchanged(key, version).await
    }

    async fn confirm(&self, key: &str, body: &Bytes) -> Result<(), SinkError> {
        self.compare(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError> {
        Ok(self.read_whole(key).await?.map(|there| there.body))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.part(key, range).await
    }

    async fn list_after(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, SinkError> {
        self.objects(prefix, after).await
    }

    async fn first(&self, prefix: &str) -> Result<Option<Listed>, SinkError> {
        self.first_object(prefix).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), SinkError> {
        self.remove(keys).await
    }

    async fn lease(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError> {
        self.acquire(key, holder).await
    }

    async fn lease_holder(&self, key: &str) -> Result<Option<Holder>, SinkError> {
        self.holder_of(key).await
    }

    fn clock_offset(&self) -> Option<TimeDelta> {
        self.clock.offset()
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

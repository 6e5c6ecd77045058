//! Objects on S3.

use super::s3_error::{Doing, from_sdk};
use super::{S3Location, Store};
use crate::SinkError;
use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Attempts per call; S3 asks its users to slow down now and then.
const MAX_ATTEMPTS: u32 = 6;

/// The longest one attempt may take, a part of 64 MiB at 1 MB a second included.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Debug)]
pub(crate) struct S3 {
    pub(super) client: Client,
    pub(super) location: S3Location,
    /// Uploads that are being given up.
    pub(super) cleanups: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl S3 {
    /// As the environment and the profile files say.
    pub(crate) async fn open(location: &S3Location) -> Self {
        Self::new(&aws_config::defaults(BehaviorVersion::latest()).load().await, location)
    }

    pub(crate) fn new(shared: &SdkConfig, location: &S3Location) -> Self {
        let mut config = aws_sdk_s3::config::Builder::from(shared)
            // A bucket with dots in its name fits no certificate of *.s3.amazonaws.com.
            .force_path_style(location.path_style || location.bucket.contains('.'))
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build());
        if let Some(region) = &location.region {
            config = config.region(aws_config::Region::new(region.clone()));
        }
        if let Some(url) = &location.endpoint_url {
            config = config.endpoint_url(url);
        }
        Self { client: Client::from_conf(config.build()), location: location.clone(), cleanups: Arc::default() }
    }

    /// The key in the bucket.
    pub(super) fn full(&self, key: &str) -> String {
        if self.location.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.location.prefix) }
    }

    pub(super) fn doing(&self, verb: &'static str, key: &str) -> Doing {
        Doing { verb, what: format!("s3://{}/{}", self.location.bucket, self.full(key)) }
    }

    pub(super) fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        let key = self.location.kms_key_id.clone();
        (key.as_ref().map(|_| ServerSideEncryption::AwsKms), key)
    }

    async fn put_at_once(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        let (encryption, kms_key_id) = self.encryption();
        self.client
            .put_object()
            .bucket(&self.location.bucket)
            .key(self.full(key))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key_id)
            .body(ByteStream::from(body))
            .send()
            .await
            .map(drop)
            .map_err(|error| from_sdk(&error, self.doing("write", key)))
    }
}

#[async_trait]
impl Store for S3 {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        if body.len() > self.location.part_bytes {
            self.put_in_parts(key, body).await
        } else {
            self.put_at_once(key, body).await
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError> {
        let sent = self.client.get_object().bucket(&self.location.bucket).key(self.full(key)).send().await;
        let answer = match sent {
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            sent => sent.map_err(|error| from_sdk(&error, self.doing("read", key)))?,
        };
        let length = answer.content_length();
        let body = answer.body.collect().await.map_err(|error| self.doing("read", key).failed(&error))?.into_bytes();
        if length.is_some_and(|length| usize::try_from(length) != Ok(body.len())) {
            return Err(self.doing("read", key).failed(&format!("only {} bytes came", body.len())));
        }
        Ok(Some(body))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError> {
        let full = self.full(prefix);
        let skip = full.len() - prefix.len();
        let mut keys = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_objects_v2().bucket(&self.location.bucket).prefix(&full);
            let sent = request.set_continuation_token(token.take()).send().await;
            let page = sent.map_err(|error| from_sdk(&error, self.doing("list", prefix)))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key()?.get(skip..)).map(str::to_owned));
            match (page.is_truncated(), page.next_continuation_token()) {
                (Some(true), Some(next)) if !next.is_empty() => token = Some(next.to_owned()),
                (Some(true), _) => {
                    return Err(self.doing("list", prefix).failed(&"the list is cut and does not say how to go on"));
                }
                _ => break,
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        let sent = self.client.delete_object().bucket(&self.location.bucket).key(self.full(key)).send().await;
        sent.map(drop).map_err(|error| from_sdk(&error, self.doing("remove", key)))
    }

    async fn settle(&self) {
        let cleanups = self.cleanups.lock().map(|mut cleanups| std::mem::take(&mut *cleanups)).unwrap_or_default();
        for cleanup in cleanups {
            // Each logs its own failure.
            let _ = cleanup.await;
        }
    }
}

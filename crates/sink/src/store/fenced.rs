//! A store for the holder of a lease: what a put or a delete would replace is looked at, then the lease is confirmed, then
//! it is replaced if it is still that. So a process that was frozen at any point, and whose lease another has taken over
//! meanwhile, replaces nothing that the other has committed: either the lease is not confirmed, or the condition does not hold.

use super::{Condition, Holder, Lease, LeaseOutcome, Listed, Store, Unfinished, Version};
use crate::{SinkError, SinkErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt, stream};
use std::ops::Range;
use std::sync::Arc;

/// How many objects are looked at or removed at once; S3 has no request that does it for many.
const CONCURRENCY: usize = 16;

/// How many objects are removed after one confirmation: so many are gone within seconds.
const KEYS_PER_CONFIRMATION: usize = 256;

/// A store whose changes are confirmed by a lease.
#[derive(Debug)]
pub(crate) struct Fenced {
    inner: Arc<dyn Store>,
    lease: Arc<Lease>,
}

impl Fenced {
    pub(crate) fn new(inner: Arc<dyn Store>, lease: Arc<Lease>) -> Self {
        Self { inner, lease }
    }

    async fn delete_some(&self, keys: &[String]) -> Result<(), SinkError> {
        let seen = stream::iter(keys.iter().cloned()).map(async |key| {
            let version = self.inner.version(&key).await?;
            Ok::<_, SinkError>(version.map(|version| (key, version)))
        });
        let seen: Vec<_> = seen.buffered(CONCURRENCY).try_collect().await?;
        let there: Vec<(String, Version)> = seen.into_iter().flatten().collect();
        if there.is_empty() {
            return Ok(());
        }
        self.lease.confirm().await?;
        let removed =
            stream::iter(there).map(async |(key, version)| match self.inner.delete_if(&key, &version).await? {
                true => Ok(()),
                false => Err(replaced("remove", &key)),
            });
        removed.buffer_unordered(CONCURRENCY).try_collect().await
    }
}

/// Why a condition does not hold although the lease was confirmed: the lease was lost just after that.
fn replaced(doing: &str, key: &str) -> SinkError {
    let hint = "the lease was lost while this process stood still; run again when the other run is done";
    SinkError::new(SinkErrorKind::Transient, format!("{doing} {key}"), "another run has replaced it at this moment")
        .hint(Some(hint.to_owned()))
}

#[async_trait]
impl Store for Fenced {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        let seen = self.inner.version(key).await?;
        self.lease.confirm().await?;
        match self.inner.put_if(key, body, Condition::since(seen)).await? {
            true => Ok(()),
            false => Err(replaced("write", key)),
        }
    }

    async fn put_if(&self, key: &str, body: Bytes, condition: Condition) -> Result<bool, SinkError> {
        if condition == Condition::None {
            return self.put(key, body).await.map(|()| true);
        }
        self.lease.confirm().await?;
        self.inner.put_if(key, body, condition).await
    }

    async fn version(&self, key: &str) -> Result<Option<Version>, SinkError> {
        self.inner.version(key).await
    }

    async fn archive_class(&self, key: &str) -> Result<Option<String>, SinkError> {
        self.inner.archive_class(key).await
    }

    async fn delete_if(&self, key: &str, version: &Version) -> Result<bool, SinkError> {
        self.lease.confirm().await?;
        self.inner.delete_if(key, version).await
    }

    async fn confirm(&self, key: &str, body: &Bytes) -> Result<(), SinkError> {
        self.inner.confirm(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.inner.get_range(key, range).await
    }

    async fn list_after(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, SinkError> {
        self.inner.list_after(prefix, after).await
    }

    async fn first(&self, prefix: &str) -> Result<Option<Listed>, SinkError> {
        self.inner.first(prefix).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), SinkError> {
        for keys in keys.chunks(KEYS_PER_CONFIRMATION) {
            self.delete_some(keys).await?;
        }
        Ok(())
    }

    async fn lease(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError> {
        self.inner.lease(key, holder).await
    }

    async fn lease_holder(&self, key: &str) -> Result<Option<Holder>, SinkError> {
        self.inner.lease_holder(key).await
    }

    fn clock_offset(&self) -> Option<TimeDelta> {
        self.inner.clock_offset()
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, SinkError> {
        self.inner.unfinished().await
    }

    async fn discard(&self, unfinished: &Unfinished) -> Result<(), SinkError> {
        self.lease.confirm().await?;
        self.inner.discard(unfinished).await
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }
}

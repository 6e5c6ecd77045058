//! Whole objects by key: what S3 and a folder both can do.

mod fenced;
mod folder;
mod lease;
mod s3;

use crate::SinkError;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
pub(crate) use fenced::Fenced;
pub use lease::{Holder, Lease, LeaseOutcome};
pub use s3::{Encryption, S3Location};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a run has one")]
pub enum LakeLocation {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket.
    S3(S3Location),
}

/// What Compline stores for itself: readers of the tables skip a name that starts with an underscore.
pub(crate) const OWN: &str = "_compline/";

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) modified: DateTime<Utc>,
    /// Which object it is; nothing if its store's list does not say.
    pub(crate) version: Option<Version>,
}

/// Something that a writer which was stopped left behind, and that is no object: a file half written, an upload in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// What it would have become, or its own name where that is not known.
    pub(crate) name: String,
    /// What its store knows it by.
    pub(crate) id: String,
    pub(crate) since: DateTime<Utc>,
}

/// Which object is stored under a key, as its store tells it apart from every other that was there before: S3's entity tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version(String);

/// What a put is conditional on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing: another object may be replaced.
    None,
    /// There is no such object.
    New,
    /// The object is still this one.
    Unchanged(Version),
}

impl Condition {
    /// That nothing has changed since this version, or none, was seen.
    pub(crate) fn since(seen: Option<Version>) -> Self {
        seen.map_or(Self::New, Self::Unchanged)
    }

    /// Whether it holds where this version is there, or nothing.
    pub(crate) fn holds(&self, there: Option<&Version>) -> bool {
        match self {
            Self::None => true,
            Self::New => there.is_none(),
            Self::Unchanged(seen) => there == Some(seen),
        }
    }
}

impl Version {
    /// One that no object ever has, to find out what a store does when a condition does not hold.
    pub(crate) fn of_no_object() -> Self {
        Self("\"00000000000000000000000000000000\"".to_owned())
    }
}

/// Whole objects by key. A key has forward slashes and no `..`; every part of it is a validated name.
#[async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    /// Puts an object in place, whole or not at all, over one that may be there.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), SinkError> {
        self.put_if(key, body, Condition::None).await.map(drop)
    }

    /// Puts an object in place if there is none. Whether it is there now: it is not if there is another. Of several at the
    /// same moment one succeeds.
    async fn put_new(&self, key: &str, body: Bytes) -> Result<bool, SinkError> {
        self.put_if(key, body, Condition::New).await
    }

    /// Conditional put: puts an object in place, whole or not at all, if the condition holds. Whether it is there now. It is
    /// also where an earlier attempt landed whose answer was lost, so that the condition holds no longer.
    async fn put_if(&self, key: &str, body: Bytes, condition: Condition) -> Result<bool, SinkError>;

    /// Which object is there, if one is.
    async fn version(&self, key: &str) -> Result<Option<Version>, SinkError>;

    /// The archive class that an object is in, if its store has such classes and it is in one and not restored.
    async fn archive_class(&self, _key: &str) -> Result<Option<String>, SinkError> {
        Ok(None)
    }

    /// Conditional delete: removes an object if it is still this one. Whether there is none now. Where the store ignores the
    /// condition, any object is removed.
    async fn delete_if(&self, key: &str, version: &Version) -> Result<bool, SinkError>;

    /// Makes sure that an object is there as it was put, byte for byte, by its size and its checksum if the store kept one.
    async fn confirm(&self, key: &str, body: &Bytes) -> Result<(), SinkError>;

    /// The object, or nothing if there is none.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError>;

    /// Some bytes of an object, or nothing if there is none. What is beyond its end is left out.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError>;

    /// The objects whose keys start with a prefix, sorted. What is being put is not among them.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, SinkError> {
        self.list_after(prefix, "").await
    }

    /// The same, of the keys that come after one in the order of their bytes: what is before costs no call.
    async fn list_after(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, SinkError>;

    /// The first of the objects whose keys start with a prefix.
    async fn first(&self, prefix: &str) -> Result<Option<Listed>, SinkError> {
        Ok(self.list(prefix).await?.into_iter().next())
    }

    /// Removes objects; that there is none is not an error.
    async fn delete(&self, keys: &[String]) -> Result<(), SinkError>;

    /// Acquires the lease of this key, which one holder has at a time, unless another has it. Takes it over from a holder
    /// that no longer renews it, which can take as long as a lease lasts.
    async fn lease(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError>;

    /// Who seems to hold the lease of this key, which may be this process itself. Nothing is acquired.
    async fn lease_holder(&self, key: &str) -> Result<Option<Holder>, SinkError>;

    /// The store's time less this machine's when the store last answered; nothing where there is no other clock, or no answer yet.
    fn clock_offset(&self) -> Option<TimeDelta>;

    /// What writers that were stopped have left. What is being written now is not among it.
    async fn unfinished(&self) -> Result<Vec<Unfinished>, SinkError>;

    /// Removes it.
    async fn discard(&self, unfinished: &Unfinished) -> Result<(), SinkError>;

    /// Waits for what is still being cleaned up.
    async fn settle(&self);
}

pub(crate) async fn open(location: &LakeLocation) -> Result<Arc<dyn Store>, SinkError> {
    Ok(match location {
        LakeLocation::Folder(path) => Arc::new(folder::Folder::open(path)?),
        LakeLocation::S3(location) => Arc::new(s3::S3::open(location).await?),
    })
}

#[cfg(test)]
mod tests;

//! Whole objects by key: what S3 and a folder both can do.

mod folder;
mod lease;
mod s3;

use crate::SinkError;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
pub use lease::{Holder, Lease, LeaseOutcome};
pub use s3::{Encryption, S3Location};
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

/// What Compline keeps for itself: readers of the tables skip a name that starts with an underscore.
pub(crate) const OWN: &str = "_compline/";

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) modified: DateTime<Utc>,
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

/// Whole objects by key. A key has forward slashes and no `..`; every part of it is a validated name.
#[async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    /// Puts an object in place, whole or not at all, over one that may be there.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), SinkError>;

    /// Puts an object in place if there is none. Whether it is there now: it is not if there is another. Of several at the
    /// same moment one succeeds.
    async fn put_new(&self, key: &str, body: Bytes) -> Result<bool, SinkError>;

    /// Makes sure that an object is there as it was put, byte for byte, by its size and its checksum if the store kept one.
    async fn confirm(&self, key: &str, body: &Bytes) -> Result<(), SinkError>;

    /// The object, or nothing if there is none.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError>;

    /// Some bytes of an object, or nothing if there is none. What is beyond its end is left out.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError>;

    /// The objects whose keys start with a prefix, sorted. What is being put is not among them.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, SinkError>;

    /// Removes objects; that there is none is not an error.
    async fn delete(&self, keys: &[String]) -> Result<(), SinkError>;

    /// Takes the lease of this key, which one holder has at a time, unless another has it.
    async fn lease(&self, key: &str, holder: &Holder) -> Result<LeaseOutcome, SinkError>;

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
        LakeLocation::S3(location) => Arc::new(s3::S3::open(location).await),
    })
}

#[cfg(test)]
mod tests;

//! Whole objects by key: what S3 and a folder both can do.

mod folder;
mod s3;
mod s3_error;
mod s3_multipart;

use crate::SinkError;
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeLocation {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket.
    S3(S3Location),
}

/// A place on S3, or on a server that speaks its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What comes before every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The bucket's region, if not that of the environment.
    pub region: Option<String>,
    /// Where S3 is, if not at AWS. Moves S3 alone.
    pub endpoint_url: Option<String>,
    /// Whether the bucket is named in the path and not in the host name.
    pub path_style: bool,
    /// The KMS key that objects are encrypted with; nothing for the bucket's own setting.
    pub kms_key_id: Option<String>,
    /// Objects larger than this are sent in parts of this size. S3 wants at least 5 MiB.
    pub part_bytes: usize,
}

impl S3Location {
    /// The part size to use unless there is a reason for another: a night is rarely larger, and one put is simplest.
    pub const PART_BYTES: usize = 64 * 1024 * 1024;
}

/// Whole objects by key. A key has forward slashes and no `..`; every part of it is a validated name.
#[async_trait]
pub(crate) trait Store: Debug + Send + Sync {
    /// Puts an object in place, whole or not at all, over one that may be there.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), SinkError>;

    /// The object, or nothing if there is none.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, SinkError>;

    /// The keys that start with a prefix, sorted. What is being put is not among them.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError>;

    /// Removes an object; that there is none is not an error.
    async fn delete(&self, key: &str) -> Result<(), SinkError>;

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

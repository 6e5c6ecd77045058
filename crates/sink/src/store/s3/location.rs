//! Where on S3 a lake is, and how its objects are kept.

use aws_sdk_s3::types::ServerSideEncryption;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// A place on S3, or on a server that speaks its protocol, and how objects are kept there.
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
    /// What objects are encrypted with; nothing for the bucket's own setting.
    pub encryption: Option<Encryption>,
    /// Who may read objects, one of [`S3Location::ACLS`]; nothing for the bucket's own setting.
    pub acl: Option<String>,
    /// The account that the bucket must belong to, so that nothing is given to another's bucket.
    pub expected_bucket_owner: Option<String>,
    /// One of [`S3Location::STORAGE_CLASSES`], for the tables' files.
    pub storage_class: Option<String>,
    /// Tags of the tables' files.
    pub tags: BTreeMap<String, String>,
    /// Whether requests carry a checksum only where S3 asks for one: other servers may not know the newer ones.
    pub checksums_when_required: bool,
    /// The longest one attempt may take.
    pub attempt_timeout: Duration,
    /// Attempts per call; S3 asks its users to slow down now and then.
    pub max_attempts: u32,
    /// Objects larger than this are sent in parts of this size. S3 wants at least 5 MiB.
    pub part_bytes: usize,
}

/// What objects are encrypted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// SSE-S3: keys of S3's own.
    SseS3,
    /// SSE-KMS.
    SseKms {
        /// The key's id, ARN or alias; nothing for the one that AWS keeps for S3.
        key_id: Option<String>,
        /// Whether the bucket gets a key of its own from it, which asks KMS far less often; nothing for the bucket's setting.
        bucket_key: Option<bool>,
    },
}

/// The same, as requests say it.
#[derive(Default)]
pub(super) struct EncryptionHeaders {
    pub(super) algorithm: Option<ServerSideEncryption>,
    pub(super) kms_key_id: Option<String>,
    pub(super) bucket_key: Option<bool>,
}

impl S3Location {
    /// Who may read objects, as S3 calls it.
    pub const ACLS: [&str; 3] = ["private", "bucket-owner-read", "bucket-owner-full-control"];

    /// Storage classes that Athena reads at once.
    pub const STORAGE_CLASSES: [&str; 5] =
        ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"];

    /// The part size to use unless there is a reason for another: a night is rarely larger, and one put is simplest.
    pub const PART_BYTES: usize = 64 * 1024 * 1024;

    /// A place with nothing set.
    pub fn new(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
            region: None,
            endpoint_url: None,
            path_style: false,
            encryption: None,
            acl: None,
            expected_bucket_owner: None,
            storage_class: None,
            tags: BTreeMap::new(),
            checksums_when_required: false,
            // A part of 64 MiB at 1 MB a second included.
            attempt_timeout: Duration::from_secs(90),
            max_attempts: 6,
            part_bytes: Self::PART_BYTES,
        }
    }

    pub(super) fn encryption(&self) -> EncryptionHeaders {
        match &self.encryption {
            None => EncryptionHeaders::default(),
            Some(Encryption::SseS3) => {
                EncryptionHeaders { algorithm: Some(ServerSideEncryption::Aes256), ..EncryptionHeaders::default() }
            }
            Some(Encryption::SseKms { key_id, bucket_key }) => EncryptionHeaders {
                algorithm: Some(ServerSideEncryption::AwsKms),
                kms_key_id: key_id.clone(),
                bucket_key: *bucket_key,
            },
        }
    }

    /// The tags as a query string, the form of the header.
    pub(super) fn tagging(&self) -> Option<String> {
        let pairs: Vec<String> =
            self.tags.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }
}

/// A text in a query string.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}

//! `[lake]`: where the lake is, and how its objects are stored.

use super::document::{Document, Problem};
use super::text::{Acl, Checksums, EncryptionKind, EndpointUrl, KmsKey, StorageClass};
use super::value::{FromText, Text, Whole};
use compline_model::{AccountId, Region};
use compline_sink::{Compression, Encryption, LakeLocation, S3Location};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// What S3 takes.
const MAX_TAGS: usize = 10;

/// What says something of a lake in a folder too.
const OF_ANY_LAKE: [&str; 2] = ["url", "compression"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lake {
    url: Text<LakeLocation>,
    #[serde(default)]
    pub(super) compression: Text<Compression>,
    region: Option<Text<Region>>,
    endpoint_url: Option<Text<EndpointUrl>>,
    #[serde(default)]
    path_style: bool,
    encryption: Option<Text<EncryptionKind>>,
    kms_key_id: Option<Spanned<Text<KmsKey>>>,
    bucket_key: Option<Spanned<bool>>,
    acl: Option<Text<Acl>>,
    expected_bucket_owner: Option<Text<AccountId>>,
    storage_class: Option<Text<StorageClass>>,
    #[serde(default)]
    tags: Tags,
    checksums: Option<Text<Checksums>>,
    /// A second is enough for a small object nearby; a part of 64 MiB takes no hour on any line that a night can use.
    #[serde(default)]
    attempt_timeout_secs: Whole<1, 3600, 90>,
    /// S3 asks to slow down now and then; what failed a hundred times will fail again.
    #[serde(default)]
    max_attempts: Whole<1, 100, 6>,
}

/// Tags of the tables' files, as S3 allows them.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
struct Tags(BTreeMap<String, String>);

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = &'static str;

    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        let is_char = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        let is_text = |text: &str, max: usize| text.chars().count() <= max && text.chars().all(is_char);
        let is_key = |key: &str| !key.is_empty() && !key.to_lowercase().starts_with("aws:") && is_text(key, 128);
        if tags.len() <= MAX_TAGS && tags.iter().all(|(key, value)| is_key(key) && is_text(value, 256)) {
            return Ok(Self(tags));
        }
        Err("allowed is at most 10 tags, of letters, digits, spaces and _.:/=+-@, whose keys do not begin with aws:")
    }
}

impl Lake {
    /// The lake, or another one that the command line names.
    pub(super) fn location(self, document: &Document<'_>, other: Option<&str>) -> Result<LakeLocation, Problem> {
        let encryption = self.encryption(document)?;
        let location = match other {
            None => self.url.0,
            Some(other) => LakeLocation::from_text(other).ok_or_else(|| {
                Problem::of_argument("--lake", &format!("{other:?}: allowed is {}", LakeLocation::allowed()))
            })?,
        };
        let LakeLocation::S3(place) = location else {
            let of_s3 = document.keys_of("lake").into_iter().find(|(key, _)| !OF_ANY_LAKE.contains(key));
            return match of_s3 {
                Some((key, span)) if other.is_none() => {
                    Err(document.problem_at(&span, format!("{key} is for a lake on s3://")))
                }
                // With --lake the file's S3 settings wait for the next run without it.
                _ => Ok(location),
            };
        };
        Ok(LakeLocation::S3(S3Location {
            region: self.region.map(|region| region.0.to_string()),
            endpoint_url: self.endpoint_url.map(|url| url.0.0),
            path_style: self.path_style,
            encryption,
            acl: self.acl.map(|acl| acl.0.0),
            expected_bucket_owner: self.expected_bucket_owner.map(|owner| owner.0.to_string()),
            storage_class: self.storage_class.map(|class| class.0.0),
            tags: self.tags.0,
            checksums_when_required: self.checksums.is_some_and(|checksums| checksums.0 == Checksums::WhenRequired),
            attempt_timeout: self.attempt_timeout_secs.seconds(),
            max_attempts: self.max_attempts.0,
            ..place
        }))
    }

    fn encryption(&self, document: &Document<'_>) -> Result<Option<Encryption>, Problem> {
        let kind = self.encryption.as_ref().map(|kind| kind.0);
        let kms = Encryption::SseKms {
            key_id: self.kms_key_id.as_ref().map(|key| key.get_ref().0.0.clone()),
            bucket_key: self.bucket_key.as_ref().map(|on| *on.get_ref()),
        };
        match (kind, &self.kms_key_id, &self.bucket_key) {
            (None, None, None) => Ok(None),
            (Some(EncryptionKind::Aes256), None, None) => Ok(Some(Encryption::SseS3)),
            // A key says enough.
            (Some(EncryptionKind::Kms), _, _) | (None, Some(_), _) => Ok(Some(kms)),
            (Some(EncryptionKind::Aes256), Some(key), _) => {
                Err(document.problem_at(&key.span(), "kms_key_id is for encryption = \"aws:kms\""))
            }
            (_, None, Some(on)) => Err(document.problem_at(&on.span(), "bucket_key is for encryption = \"aws:kms\"")),
        }
    }
}

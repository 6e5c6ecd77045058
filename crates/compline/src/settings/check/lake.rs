//! Where the lake is, and how it is kept.

use super::{check_endpoint, name, number, seconds};
use crate::settings::problem::{Problem, Source};
use crate::settings::wire::Lake;
use compline_model::{AccountId, Region};
use compline_sink::{Compression, Encryption, LakeLocation, S3Location};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;

const LAKE_URL: &str = "s3://bucket/prefix, or a folder";

/// What S3 takes.
const MOST_TAGS: usize = 10;

pub(super) fn check_lake(wire: Lake, source: &Source<'_>, other: Option<&str>) -> Result<LakeLocation, Problem> {
    let url = &wire.url;
    let of_file = location(url.get_ref())
        .map_err(|_| source.value(url.span(), "url", format!("{:?}", url.get_ref()), LAKE_URL))?;
    let place = match other {
        None => of_file,
        Some(other) => location(other).map_err(|what| Problem::of_argument("--lake", &what))?,
    };
    let s3_only = first_of_s3(&wire);
    let (bucket, prefix) = match &place {
        LakeLocation::S3(s3) => (s3.bucket.clone(), s3.prefix.clone()),
        LakeLocation::Folder(_) => (String::new(), String::new()),
    };
    let s3 = check_s3(wire, source, S3Location::new(bucket, prefix))?;
    match (place, s3_only) {
        (LakeLocation::S3(_), _) => Ok(LakeLocation::S3(s3)),
        // With --lake the file's S3 settings wait for the next run without it.
        (LakeLocation::Folder(_), Some((key, span))) if other.is_none() => {
            Err(source.problem(Some(span), format!("{key} is for a lake on s3://")))
        }
        (folder, _) => Ok(folder),
    }
}

/// The place of a lake URL.
fn location(url: &str) -> Result<LakeLocation, String> {
    let wrong = || format!("{url:?}: allowed is {LAKE_URL}");
    let Some(rest) = url.strip_prefix("s3://") else {
        let folder = !url.is_empty() && !url.contains("://");
        return if folder { Ok(LakeLocation::Folder(PathBuf::from(url))) } else { Err(wrong()) };
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let bucket_char = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let sound_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    let sound = matches!(bucket.len(), 3..=63) && bucket.bytes().all(bucket_char);
    if !sound || !(prefix.is_empty() || prefix.split('/').all(sound_part)) {
        return Err(wrong());
    }
    Ok(LakeLocation::S3(S3Location::new(bucket, prefix)))
}

/// The first setting, in the order of the file, that says something of S3.
fn first_of_s3(wire: &Lake) -> Option<(&'static str, Range<usize>)> {
    let text = |key, value: &Option<Spanned<String>>| value.as_ref().map(|value| (key, value.span()));
    let number = |key, value: &Option<Spanned<i64>>| value.as_ref().map(|value| (key, value.span()));
    let flag = |key, value: &Option<Spanned<bool>>| value.as_ref().map(|value| (key, value.span()));
    [
        text("region", &wire.region),
        text("endpoint_url", &wire.endpoint_url),
        flag("path_style", &wire.path_style),
        text("encryption", &wire.encryption),
        text("kms_key_id", &wire.kms_key_id),
        flag("bucket_key", &wire.bucket_key),
        text("acl", &wire.acl),
        text("expected_bucket_owner", &wire.expected_bucket_owner),
        text("storage_class", &wire.storage_class),
        wire.tags.as_ref().map(|tags| ("tags", tags.span())),
        text("checksums", &wire.checksums),
        number("attempt_timeout_secs", &wire.attempt_timeout_secs),
        number("max_attempts", &wire.max_attempts),
    ]
    .into_iter()
    .flatten()
    .min_by_key(|(_, span)| span.start)
}

fn check_s3(wire: Lake, source: &Source<'_>, place: S3Location) -> Result<S3Location, Problem> {
    let encryption = check_encryption(&wire, source)?;
    let region = wire.region.as_ref().map(|region| name::<Region>(source, "region", region)).transpose()?;
    let owner = wire.expected_bucket_owner.as_ref();
    let owner = owner.map(|owner| name::<AccountId>(source, "expected_bucket_owner", owner)).transpose()?;
    let checksums = one_of(source, "checksums", wire.checksums.as_ref(), &["when_supported", "when_required"])?;
    Ok(S3Location {
        region: region.map(|region| region.to_string()),
        endpoint_url: wire.endpoint_url.as_ref().map(|url| check_endpoint(source, url)).transpose()?,
        path_style: wire.path_style.is_some_and(Spanned::into_inner),
        encryption,
        acl: one_of(source, "acl", wire.acl.as_ref(), &S3Location::ACLS)?,
        expected_bucket_owner: owner.map(|owner| owner.to_string()),
        storage_class: one_of(source, "storage_class", wire.storage_class.as_ref(), &S3Location::STORAGE_CLASSES)?,
        tags: wire.tags.map_or_else(|| Ok(BTreeMap::new()), |tags| check_tags(source, tags))?,
        checksums_when_required: checksums.as_deref() == Some("when_required"),
        attempt_timeout: seconds(number(source, "attempt_timeout_secs", wire.attempt_timeout_secs, 90, 1..=3600)?),
        max_attempts: number(source, "max_attempts", wire.max_attempts, 6, 1..=100)?,
        ..place
    })
}

fn check_encryption(wire: &Lake, source: &Source<'_>) -> Result<Option<Encryption>, Problem> {
    let algorithm = one_of(source, "encryption", wire.encryption.as_ref(), &["AES256", "aws:kms"])?;
    let kms = Encryption::SseKms {
        key_id: wire.kms_key_id.as_ref().map(|key| key.get_ref().clone()),
        bucket_key: wire.bucket_key.as_ref().map(|on| *on.get_ref()),
    };
    let of_kms = [wire.kms_key_id.as_ref().map(Spanned::span), wire.bucket_key.as_ref().map(Spanned::span)];
    let of_kms = of_kms.into_iter().flatten().next();
    match (algorithm.as_deref(), of_kms) {
        (Some("AES256"), Some(span)) => {
            Err(source.problem(Some(span), "kms_key_id and bucket_key are for encryption = \"aws:kms\""))
        }
        (Some("AES256"), None) => Ok(Some(Encryption::SseS3)),
        (Some(_), _) => Ok(Some(kms)),
        // A key says enough.
        (None, Some(_)) if wire.kms_key_id.is_some() => Ok(Some(kms)),
        (None, Some(span)) => Err(source.problem(Some(span), "bucket_key is for encryption = \"aws:kms\"")),
        (None, None) => Ok(None),
    }
}

fn check_tags(
    source: &Source<'_>,
    tags: Spanned<BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, Problem> {
    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    let sound = |text: &str, longest: usize| text.chars().count() <= longest && text.chars().all(allowed);
    let all_sound = tags.get_ref().iter().all(|(key, value)| {
        !key.is_empty() && !key.to_lowercase().starts_with("aws:") && sound(key, 128) && sound(value, 256)
    });
    if all_sound && tags.get_ref().len() <= MOST_TAGS {
        return Ok(tags.into_inner());
    }
    let allowed = "at most 10 tags, of letters, digits, spaces and _.:/=+-@, whose keys do not begin with aws:";
    Err(source.value(tags.span(), "tags", "{ ... }", allowed))
}

pub(super) fn check_compression(wire: Option<&Spanned<String>>, source: &Source<'_>) -> Result<Compression, Problem> {
    let Some(value) = wire else { return Ok(Compression::default()) };
    match value.get_ref().as_str() {
        "zstd" => Ok(Compression::Zstd),
        "snappy" => Ok(Compression::Snappy),
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        other => Err(source.value(
            value.span(),
            "compression",
            format!("{other:?}"),
            "zstd, snappy, gzip, none: what Athena reads",
        )),
    }
}

/// One of some texts.
fn one_of(
    source: &Source<'_>,
    key: &str,
    value: Option<&Spanned<String>>,
    allowed: &[&str],
) -> Result<Option<String>, Problem> {
    let Some(value) = value else { return Ok(None) };
    if allowed.contains(&value.get_ref().as_str()) {
        return Ok(Some(value.get_ref().clone()));
    }
    Err(source.value(value.span(), key, format!("{:?}", value.get_ref()), &allowed.join(", ")))
}

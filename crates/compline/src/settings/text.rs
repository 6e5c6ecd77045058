//! What the texts of a pipeline file are: each type with what is allowed and its check.

use super::value::FromText;
use super::{ORGANIZATIONS, Reconcile};
use compline_fetcher::FanOut;
use compline_model::{
    AccountId, AggregatorId, AggregatorName, ComplianceType, ConfigRuleName, Dataset, InvalidName, PackName, Region,
    SnapshotDate, Table,
};
use compline_notifier::{Kind, WebhookFormat};
use compline_sink::{Compression, LakeLocation, S3Location};
use compline_transformer::RowFilter;
use std::path::PathBuf;
use std::str::FromStr;

/// What would be read as something else in a lake's prefix: by Athena's projection (`$`, braces), as a pattern by Hadoop,
/// DuckDB and others (`*?[]{}`), as an escape by Hive (`%`), as the end of a URL (`#`), by SQL (quotes and backslashes).
const NOT_IN_PREFIX: &[char] = &['$', '{', '}', '*', '?', '[', ']', '#', '%', '"', '\'', '`', '\\'];

/// What begins a URL and no folder.
const SCHEMES: &[&str] = &["file", "gs", "hdfs", "http", "https", "s3", "s3a", "s3n"];

/// Reads the names of the model.
macro_rules! names {
    ($($name:ident),*) => {$(
        impl FromText for $name {
            fn allowed() -> String {
                // No name is empty.
                "".parse::<Self>().err().map(|error: InvalidName| error.allowed.to_owned()).unwrap_or_default()
            }

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

names!(AccountId, AggregatorId, AggregatorName, ConfigRuleName, PackName, Region);

/// Defines a text that only its check tells from others.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $allowed:expr, $is_allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(super) struct $name(pub(super) String);

        impl FromText for $name {
            fn allowed() -> String {
                $allowed
            }

            fn from_text(text: &str) -> Option<Self> {
                let is_allowed: fn(&str) -> bool = $is_allowed;
                is_allowed(text).then(|| Self(text.to_owned()))
            }
        }
    };
}

text! {
    /// `arn:<AWS partition>:iam::<account>:role/<name>`, of any AWS partition.
    RoleArn, "a role's ARN, arn:PARTITION:iam::ACCOUNT:role/NAME".to_owned(), is_role
}

text! {
    /// What a session is called in CloudTrail.
    SessionName, "2 to 64 letters, digits and _=,.@-".to_owned(), |text| is_of(text, 2, 64, "_=,.@-")
}

text! {
    /// What the trust policy of a role may ask for.
    ExternalId, "2 to 1224 letters, digits and _+=,.@:/-".to_owned(), |text| is_of(text, 2, 1224, "_+=,.@:/-")
}

text! {
    /// The id, ARN or alias of a key.
    KmsKey, "the id, ARN or alias of a KMS key".to_owned(), |text| is_of(text, 1, 2048, "_-:/")
}

text! {
    /// Another server than that of AWS. What is before an `@` would be a password, in a file and in logs, as may be a query, which no
    /// server of AWS has.
    EndpointUrl, "a URL that starts with https:// or http://, without a user name and a query".to_owned(), |text| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['@', '?', '#']);
        let is_http = text.starts_with("https://") || text.starts_with("http://");
        is_plain && is_http && url::Url::parse(text).is_ok_and(|url| url.has_host())
    }
}

text! {
    /// A pattern, for what a filter cannot say.
    Pattern, "a pattern: * for any text, ? for any character, [ab] for one of them, {a,b} for either".to_owned(),
    |text| !text.is_empty() && !text.contains(char::is_control) && RowFilter::check(text).is_ok()
}

text! {
    /// Who may read objects.
    Acl, S3Location::ACLS.join(", "), |text| S3Location::ACLS.contains(&text)
}

text! {
    /// What storing an object costs, and reading it.
    StorageClass, S3Location::STORAGE_CLASSES.join(", "), |text| S3Location::STORAGE_CLASSES.contains(&text)
}

text! {
    /// The node exporter's textfile collector reads no other files.
    TextFile, "the path of a file that ends with .prom".to_owned(), |text| {
        !text.contains(char::is_control) && text.ends_with(".prom") && !text.ends_with("/.prom") && text != ".prom"
    }
}

text! {
    /// Where names of accounts are from: AWS Organizations, or a file as its console exports them.
    NamesFrom, format!("{ORGANIZATIONS:?}, or the path of a file that ends with .csv"), |text| {
        text == ORGANIZATIONS || (!text.contains(char::is_control) && text.len() > 4 && text.ends_with(".csv"))
    }
}

text! {
    /// Where reports are read. What is told of it is told unescaped.
    ReportsUrl, "a URL that starts with https:// or http:// and has letters, digits and -._~:/% alone".to_owned(), |text| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/%".contains(&byte));
        let is_http = text.starts_with("https://") || text.starts_with("http://");
        is_plain && is_http && url::Url::parse(text).is_ok_and(|url| url.has_host())
    }
}

text! {
    /// A namespace of CloudWatch's metrics.
    Namespace, "1 to 255 letters, digits and _./#:-, and none of AWS's own, which begin with AWS/".to_owned(), |text| {
        is_of(text, 1, 255, "_./#:-") && !text.starts_with("AWS/") && !text.starts_with(':')
    }
}

text! {
    /// A database of the Glue catalog.
    Database, "a lower-case letter, then lower-case letters, digits and underscores, at most 255".to_owned(), is_database
}

/// Defines a text that is one of a few.
macro_rules! one_of {
    ($type:ty, $allowed:literal, $($text:literal => $value:expr),*) => {
        impl FromText for $type {
            fn allowed() -> String {
                $allowed.to_owned()
            }

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($text => Some($value),)*
                    _ => None,
                }
            }
        }
    };
}

/// `[lake] encryption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EncryptionKind {
    Aes256,
    Kms,
}

/// `[lake] checksums`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksums {
    WhenSupported,
    WhenRequired,
}

/// `[catalog] partitions`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Partitions {
    #[default]
    Projection,
    Registered,
    Both,
}

/// `fan_out`, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrittenFanOut {
    Known(FanOut),
    /// By compliance type, which older versions did.
    ByComplianceType,
}

one_of!(EncryptionKind, "AES256, aws:kms", "AES256" => Self::Aes256, "aws:kms" => Self::Kms);
one_of!(
    Checksums, "when_supported, when_required",
    "when_supported" => Self::WhenSupported, "when_required" => Self::WhenRequired
);
one_of!(
    Partitions, "projection, registered, both",
    "projection" => Self::Projection, "registered" => Self::Registered, "both" => Self::Both
);
one_of!(Reconcile, "off, warn, fail", "off" => Self::Off, "warn" => Self::Warn, "fail" => Self::Fail);
one_of!(
    Compression, "zstd, snappy, gzip, none: what Athena reads",
    "zstd" => Self::Zstd, "snappy" => Self::Snappy, "gzip" => Self::Gzip, "none" => Self::None
);
one_of!(
    WrittenFanOut, "auto, none, region, account",
    "auto" => Self::Known(FanOut::Auto), "none" => Self::Known(FanOut::None), "region" => Self::Known(FanOut::Region),
    "account" => Self::Known(FanOut::Account), "compliance_type" => Self::ByComplianceType
);

one_of!(
    WebhookFormat, "json, slack, mattermost, teams",
    "json" => Self::Json, "slack" => Self::Slack, "mattermost" => Self::Mattermost, "teams" => Self::Teams
);

impl FromText for Kind {
    fn allowed() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl FromText for ComplianceType {
    fn allowed() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

/// A compliance type that AWS Config filters rules by.
#[derive(Debug, Clone, Copy)]
pub(super) struct RuleType(pub(super) ComplianceType);

impl FromText for RuleType {
    fn allowed() -> String {
        Dataset::RULES.filter_types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn from_text(text: &str) -> Option<Self> {
        Dataset::RULES.filter_types.iter().find(|kind| kind.as_str() == text).map(|kind| Self(*kind))
    }
}

/// A dataset, by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatasetName(pub(crate) &'static Dataset);

impl FromText for DatasetName {
    fn allowed() -> String {
        Dataset::ALL.map(|dataset| dataset.name).join(", ")
    }

    fn from_text(text: &str) -> Option<Self> {
        Dataset::named(text).map(Self)
    }
}

impl FromStr for DatasetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_text(text).ok_or_else(|| format!("allowed is {}", Self::allowed()))
    }
}

impl FromText for Table {
    fn allowed() -> String {
        format!("tables: {}", Self::ALL.map(Self::name).join(", "))
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == text)
    }
}

impl FromText for SnapshotDate {
    fn allowed() -> String {
        "YYYY-MM-DD, a day of the calendar".to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromText for LakeLocation {
    fn allowed() -> String {
        "s3://bucket/prefix, or a folder; the bucket of 3 to 63 lower-case letters, digits, - and .; the prefix without \
         $ { } [ ] * ? # %, quotes and backslashes, which Athena and Hive take for something else"
            .to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix("s3://") else {
            // `s3:/bucket`, `S3:bucket` and `file:/x` are URLs that somebody mistyped, and no folder that somebody means.
            let is_url = text.contains("://")
                || text
                    .split_once(':')
                    .is_some_and(|(scheme, _)| SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()));
            let is_folder = !text.trim().is_empty() && !is_url && !text.contains(char::is_control);
            return is_folder.then(|| Self::Folder(PathBuf::from(text)));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_allowed = is_bucket(bucket) && (prefix.is_empty() || prefix.split('/').all(is_part_of_prefix));
        is_allowed.then(|| Self::S3(S3Location::new(bucket, prefix)))
    }
}

fn is_bucket(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    matches!(text.len(), 3..=63)
        && text.starts_with(is_end)
        && text.ends_with(is_end)
        && text.chars().all(|c| is_end(c) || c == '-' || c == '.')
}

fn is_part_of_prefix(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
        && part.trim() == part
        && !part.contains(char::is_control)
        && !part.contains(NOT_IN_PREFIX)
}

/// Whether a text is the name of a database or a table in Athena.
pub(crate) fn is_database(text: &str) -> bool {
    let is_next = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= 255 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(is_next)
}

fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    // A path of at most 512 characters, then a name of at most 64.
    let is_name = |role: &str| matches!(role.len(), 6..=581) && role.starts_with("role/");
    let is_name = |role: &str| is_name(role) && role.chars().all(|c| c.is_ascii_graphic());
    matches!(parts[..], ["arn", partition, "iam", "", account, role]
        if partition.starts_with("aws") && is_of(partition, 3, 32, "-") && account.parse::<AccountId>().is_ok() && is_name(role))
}

/// Whether a text is of letters, digits and some other characters, with a length between two others.
fn is_of(text: &str, min: usize, max: usize, others: &str) -> bool {
    (min..=max).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

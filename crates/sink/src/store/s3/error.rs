//! What S3 said, told so that an operator can act on it.

use super::S3;
use crate::store::Condition;
use crate::{SinkError, SinkErrorKind};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use compline_aws::{credentials_hint, limit_hint, unexplained};
use compline_model::causes;
use std::error::Error;
use std::fmt;

/// What was being done, to what.
pub(super) struct Doing {
    pub(super) verb: &'static str,
    pub(super) what: String,
    /// The host that is asked, where it is an endpoint's name with the bucket before it.
    pub(super) host: Option<String>,
}

impl Doing {
    /// An error that may pass.
    pub(super) fn failed(self, reason: &dyn fmt::Display) -> SinkError {
        SinkError::new(SinkErrorKind::Transient, format!("{} {}", self.verb, self.what), reason)
    }

    /// An object that is not what was put.
    pub(super) fn damaged(self, reason: &dyn fmt::Display) -> SinkError {
        let hint = "restore an earlier version of the object";
        SinkError::damaged(format!("{} {}", self.verb, self.what), reason).hint(Some(hint.to_owned()))
    }

    /// What S3 says of one object in an answer about many.
    pub(super) fn refused(self, code: &str, reason: &str) -> SinkError {
        let hint = hint(code, 200, None, self.verb);
        SinkError::permanent(format!("{} {}", self.verb, self.what), reason).hint(hint)
    }
}

/// The HTTP status of an answer that is an error.
pub(super) fn status_of<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

pub(super) fn from_sdk<E>(error: &SdkError<E, HttpResponse>, doing: Doing) -> SinkError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let doing_words = format!("{} {}", doing.verb, doing.what);
    let SdkError::ServiceError(service) = error else {
        let reason = causes(error);
        let hint = if let Some(hint) = limit_hint(&reason) {
            hint
        } else if reason.contains("credential") {
            credentials_hint(&reason)
        } else if reason.contains("region") {
            "set lake.region or AWS_REGION"
        } else if reason.contains("timeout") {
            "is the network slow, or lake.attempt_timeout_secs too short?"
        } else {
            compline_aws::connection_hint(&reason).unwrap_or("is the network up, and lake.endpoint_url right?")
        };
        // A server behind a name of its own rarely has one for each bucket.
        let hint = match &doing.host {
            Some(host) if reason.contains("dns error") => {
                format!("the host {host} was tried: if the server knows no hosts by bucket, set lake.path_style = true")
            }
            _ => hint.to_owned(),
        };
        return SinkError::new(SinkErrorKind::Transient, doing_words, reason).hint(Some(hint));
    };
    let status = service.raw().status().as_u16();
    // Asked as often as the settings allow, these may pass all the same: too many requests, another one for the object.
    let may_pass = match service.err().code() {
        None | Some("ConditionalRequestConflict" | "OperationAborted") if status == 409 => true,
        _ => status >= 500 || status == 429,
    };
    let code = service.err().code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
    let kind = if may_pass { SinkErrorKind::Transient } else { SinkErrorKind::Permanent };
    // Who is refused what on which resource stands at the end of S3's sentence.
    let message: String = service.err().message().unwrap_or_default().chars().take(600).collect();
    let raw = service.raw();
    let request_id = error.request_id().unwrap_or("none");
    let reason = if message.is_empty() {
        let body = raw.body().bytes();
        let unexplained = unexplained(status, raw.headers().get("location"), body);
        // A body is another's that is neither empty, as where there is no room for one, nor S3's own.
        if body.is_some_and(|body| !body.is_empty() && !body.windows(6).any(|start| start == b"<Error")) {
            return SinkError::new(kind, doing_words, unexplained).hint(Some(NOT_S3.to_owned()));
        }
        match service.err().code() {
            Some(code) => format!("{code}, {unexplained} (request id {request_id})"),
            None => format!("{unexplained} (request id {request_id})"),
        }
    } else {
        format!("{code}: {message} (request id {request_id})")
    };
    let region = service.raw().headers().get("x-amz-bucket-region").map(str::to_owned);
    let region = region.or_else(|| region_in(service.raw().body().bytes()?));
    let hint = hint_of_message(&code, &message).map(str::to_owned).or_else(|| hint(&code, status, region, doing.verb));
    SinkError::new(kind, doing_words, reason).hint(hint)
}

/// What to do where the answer is not one of S3.
const NOT_S3: &str = "this is not S3's own answer: a proxy or a firewall may answer in its place, or lake.endpoint_url (or \
    AWS_ENDPOINT_URL) is another server's";

impl S3 {
    /// A put that failed. A server that does not know conditional requests says the same as one that does not know checksums.
    pub(super) fn put_failed<E>(&self, error: &SdkError<E, HttpResponse>, key: &str, condition: &Condition) -> SinkError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let mut failed = from_sdk(error, self.doing("write", key));
        if *condition == Condition::None || status_of(error) != Some(501) {
            return failed;
        }
        let hint = "a lease, and with it every run, needs conditional puts (If-None-Match and If-Match): use a store that \
                    has them, or a folder; `compline check` says which is missing. If puts without a condition fail as \
                    well, set lake.checksums = \"when_required\"";
        // What a server does not know, it does not know later either.
        failed.kind = SinkErrorKind::Permanent;
        failed.hint(Some(hint.to_owned()))
    }
}

/// The region that an error's XML names.
fn region_in(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (region, _) = body.split_once("<Region>")?.1.split_once("</Region>")?;
    let sound = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    sound.then(|| region.to_owned())
}

/// What to do where S3's own sentence says more than its code.
fn hint_of_message(code: &str, message: &str) -> Option<&'static str> {
    let says = |words: &str| message.contains(words);
    match code {
        "AccessDenied" if says("kms:") => Some(
            "allow kms:GenerateDataKey and kms:Decrypt on the key of the lake to this identity, as pipelines/nightly/iam-policy.json has \
             it under UseTheKeyOfTheLake, and in the key's own policy where it is of another account",
        ),
        "AccessDenied" if says("explicit deny") => Some(
            "a policy refuses it whatever else allows it: the bucket's may want lake.encryption or lake.kms_key_id, lake.acl, or \
             requests from a VPC endpoint",
        ),
        "InvalidRequest" if says("Content-MD5") || says("checksum") => Some(
            "the bucket wants a checksum with each put (as with Object Lock): leave lake.checksums at when_supported",
        ),
        "InvalidObjectState" => Some(
            "the object is in an archive class: restore it (`aws s3api restore-object`) and run again; lifecycle rules must leave the \
             tables in a class that is read at once",
        ),
        "InvalidAccessKeyId" => Some(
            "this S3 does not know the access key id: is it of this endpoint and AWS partition, and is the region, if it is an opt-in \
             one, switched on for the account?",
        ),
        _ => None,
    }
}

fn hint(code: &str, status: u16, region: Option<String>, verb: &str) -> Option<String> {
    let region = region.map_or_else(|| "another region".to_owned(), |region| format!("{region:?}"));
    Some(match (code, status) {
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _) | (_, 301) => {
            format!("the bucket is in {region}: set lake.region")
        }
        ("NoSuchBucket", _) => "make the bucket, or set lake.url".to_owned(),
        ("AccessDenied" | "AllAccessDisabled", _) | (_, 403)
            if !code.contains("Signature") && !code.contains("Time") =>
        {
            let action = match verb {
                // Without the right to list, S3 does not say of an object that it is not there.
                "read" | "look at" => "s3:GetObject, and s3:ListBucket on the bucket,",
                "list" => "s3:ListBucket",
                "list uploads to" => "s3:ListBucketMultipartUploads",
                "remove" => "s3:DeleteObject",
                _ => "s3:PutObject and s3:AbortMultipartUpload",
            };
            format!(
                "allow {action} on the lake to this identity (and its KMS key, if it has one); if lake.expected_bucket_owner is \
                 set, is it right?"
            )
        }
        ("ExpiredToken" | "TokenRefreshRequired", _) => "the credentials have ended: sign in again".to_owned(),
        ("SignatureDoesNotMatch" | "RequestTimeTooSkewed", _) => "is this machine's clock right?".to_owned(),
        ("AccessControlListNotSupported", _) => "this bucket takes no ACL: leave lake.acl out".to_owned(),
        ("SlowDown" | "ServiceUnavailable" | "InternalError", _) | (_, 429) => {
            "S3 was asked as often as lake.max_attempts allows (for a lease three times at most); run again later"
                .to_owned()
        }
        ("ConditionalRequestConflict" | "OperationAborted" | "HTTP 409", _) => {
            "S3 has another request for the same object under way each time: is another run at work? run again"
                .to_owned()
        }
        ("NotImplemented", _) | (_, 501) => {
            "if this server does not know the checksums that S3 clients send, set lake.checksums = \"when_required\""
                .to_owned()
        }
        ("XMinioStorageFull" | "QuotaExceeded", _) | (_, 507) => "the server's storage is full: make room".to_owned(),
        (_, 502..=504) => "the server, or a proxy before it, is in trouble: run again later".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w7_f15_the_hint_fits_what_s3_said() {
        let denied = "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: kms:GenerateDataKey on resource: k because";
        for (code, message, hint) in [
            ("AccessDenied", denied, Some("kms:GenerateDataKey and kms:Decrypt")),
            (
                "AccessDenied",
                "x is not authorized to perform: s3:PutObject with an explicit deny in a resource-based policy",
                Some("lake.encryption"),
            ),
            ("AccessDenied", "Access Denied", None),
            (
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock",
                Some("lake.checksums"),
            ),
            ("InvalidObjectState", "The operation is not valid for the object's storage class", Some("restore-object")),
            ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", Some("opt-in")),
        ] {
            let found = hint_of_message(code, message);
            assert_eq!(found.is_some(), hint.is_some(), "{code}: {message}");
            assert!(found.is_none_or(|found| found.contains(hint.unwrap_or_default())), "{code}: {message}");
        }
    }

    #[test]
    fn a_server_that_is_full_or_in_trouble_is_told_apart() {
        let hint = |code, status| hint(code, status, None, "write").unwrap_or_default();
        for (code, status) in [("HTTP 507", 507), ("XMinioStorageFull", 507), ("QuotaExceeded", 400)] {
            assert!(hint(code, status).contains("make room"), "{code}");
        }
        assert!(hint("HTTP 502", 502).contains("run again later"));
        assert!(hint("SlowDown", 503).contains("lake.max_attempts"));
        assert_eq!(hint("HTTP 500", 500), "");
    }
}

//! What S3 said, told so that an operator can act on it.

use crate::{SinkError, SinkErrorKind};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use compline_model::causes;
use std::error::Error;
use std::fmt;

/// What was being done, to what.
pub(super) struct Doing {
    pub(super) verb: &'static str,
    pub(super) what: String,
}

impl Doing {
    /// An error that may pass.
    pub(super) fn failed(self, reason: &dyn fmt::Display) -> SinkError {
        SinkError::new(SinkErrorKind::Transient, format!("{} {}", self.verb, self.what), reason)
    }
}

pub(super) fn from_sdk<E>(error: &SdkError<E, HttpResponse>, doing: Doing) -> SinkError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let doing_words = format!("{} {}", doing.verb, doing.what);
    let SdkError::ServiceError(service) = error else {
        let reason = causes(error);
        let hint = if reason.contains("credential") {
            "sign in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        } else if reason.contains("region") {
            "set lake.region or AWS_REGION"
        } else {
            "is the network up, and lake.endpoint_url right?"
        };
        return SinkError::new(SinkErrorKind::Transient, doing_words, reason).hint(Some(hint.to_owned()));
    };
    let status = service.raw().status().as_u16();
    let code = service.err().code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
    let message: String = service.err().message().unwrap_or("no message").chars().take(200).collect();
    let reason = format!("{code}: {message} (request id {})", error.request_id().unwrap_or("none"));
    let kind = if status >= 500 { SinkErrorKind::Transient } else { SinkErrorKind::Permanent };
    let region = service.raw().headers().get("x-amz-bucket-region").map(str::to_owned);
    SinkError::new(kind, doing_words, reason).hint(hint(&code, status, region, doing.verb))
}

fn hint(code: &str, status: u16, region: Option<String>, verb: &str) -> Option<String> {
    let region = region.map_or_else(|| "another region".to_owned(), |region| format!("{region:?}"));
    Some(match (code, status) {
        ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) | (_, 301) => {
            format!("the bucket is in {region}: set lake.region")
        }
        ("NoSuchBucket", _) => "make the bucket, or set lake.url".to_owned(),
        ("AccessDenied" | "AllAccessDisabled", _) => {
            let action = match verb {
                "read" => "s3:GetObject",
                "list" => "s3:ListBucket",
                "remove" => "s3:DeleteObject",
                _ => "s3:PutObject and s3:AbortMultipartUpload",
            };
            format!("allow {action} on the lake to this identity (and its KMS key, if it has one)")
        }
        ("ExpiredToken" | "TokenRefreshRequired", _) => "the credentials have ended: sign in again".to_owned(),
        ("SignatureDoesNotMatch" | "RequestTimeTooSkewed", _) => "is this machine's clock right?".to_owned(),
        ("NotImplemented", _) => {
            "if this server does not know the checksums that S3 clients send, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required".to_owned()
        }
        _ => return None,
    })
}

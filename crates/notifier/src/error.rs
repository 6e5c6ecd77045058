//! What went wrong with a call to SNS or EventBridge, in words.

use aws_sdk_sns::config::http::HttpResponse;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use compline_aws::{connection_hint, credentials_hint, limit_hint, unexplained};
use compline_model::causes;
use std::error::Error;

/// How much of a service's message is told, in characters.
pub(crate) const MAX_MESSAGE: usize = 200;

/// Why a call failed. `right` is what IAM must allow for it.
pub(crate) fn words<E>(error: &SdkError<E, HttpResponse>, right: &str) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let SdkError::ServiceError(service) = error else {
        let reason = causes(error);
        let is_of_credentials = reason.to_lowercase().contains("credentials");
        let hint = match is_of_credentials {
            true => Some(credentials_hint(&reason)),
            false => connection_hint(&reason).or_else(|| limit_hint(&reason)),
        };
        return hint.map_or_else(|| reason.clone(), |hint| format!("{reason}; {hint}"));
    };
    let Some(code) = service.err().code() else {
        let raw = service.raw();
        return unexplained(raw.status().as_u16(), raw.headers().get("location"), raw.body().bytes());
    };
    let message: String = service.err().message().unwrap_or_default().chars().take(MAX_MESSAGE).collect();
    let hint = match code {
        "AuthorizationError" | "AccessDenied" | "AccessDeniedException" | "NotAuthorizedForSourceException" => {
            format!("; allow {right}, as pipelines/nightly/iam-policy.json does, and KMS where the receiver has a key")
        }
        "NotFound" | "ResourceNotFoundException" => "; is the ARN right?".to_owned(),
        "ExpiredToken" | "ExpiredTokenException" => "; the credentials have ended: sign in again".to_owned(),
        _ => String::new(),
    };
    format!("{code}: {message}{hint}")
}

//! What is tried again beyond what the SDK tries again by itself.

use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};

/// Answers after which the same request may well succeed.
#[derive(Debug)]
pub(super) struct AgainAfterThese;

/// S3's names for a request whose body did not arrive as it was sent.
const BROKEN_ON_THE_WAY: [&str; 3] = ["BadDigest", "IncompleteBody", "RequestTimeout"];

impl ClassifyRetry for AgainAfterThese {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else { return RetryAction::NoActionIndicated };
        match response.status().as_u16() {
            // A conditional put met another one: the answer to asking again is a clear one.
            409 => RetryAction::transient_error(),
            // Other servers say so what S3 says with a 503.
            429 => RetryAction::throttling_error(),
            400 if response.body().bytes().is_some_and(is_broken_on_the_way) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "AgainAfterThese"
    }
}

fn is_broken_on_the_way(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    code.is_some_and(|(code, _)| BROKEN_ON_THE_WAY.contains(&code.trim()))
}

//! What tells the SDK when a throttled call is sent again.

use crate::recorder::is_throttle;
use aws_sdk_config::config::retry::ClassifyRetry;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{RetryAction, RetryClassifierPriority};
use aws_smithy_types::retry::ErrorKind;
use compline_pace::Pace;

/// Gives a throttled call its turn to be sent again, in place of a wait that knows nothing of the others. What is a throttle is said where
/// the pace is told of it: the SDK takes a 429 without a name of AWS for an error that stays.
#[derive(Debug)]
pub(crate) struct InTurn(pub(crate) Pace);

impl ClassifyRetry for InTurn {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        if !context.response().is_some_and(is_throttle) {
            return RetryAction::NoActionIndicated;
        }
        RetryAction::retryable_error_with_explicit_delay(ErrorKind::ThrottlingError, self.0.reserve())
    }

    fn name(&self) -> &'static str {
        "InTurn"
    }

    /// After all others, whose waits it replaces.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

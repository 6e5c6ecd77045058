//! Telling of attempts that fail while the SDK tries again: minutes of silence look like a hang.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use compline_model::causes;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often something is told that goes on.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Statuses of servers in trouble, which the SDK tries again.
const TRIED_AGAIN: [u16; 4] = [500, 502, 503, 504];

/// Says when something that happens again and again is to be told: at first, and then once in a while. Cheap to clone; the
/// clones are one.
#[derive(Debug, Clone, Default)]
pub struct OnceAWhile(Arc<Mutex<Option<Instant>>>);

impl OnceAWhile {
    /// Whether it is to be told now, which it then was.
    pub fn is_due(&self) -> bool {
        let mut told_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told_at.is_none_or(|at| at.elapsed() >= TELL_INTERVAL);
        if is_due {
            *told_at = Some(Instant::now());
        }
        is_due
    }
}

/// Warns of attempts without an answer, or with one of a server in trouble: of the first, and then once in a while. Cheap to
/// clone; the clones are one.
#[derive(Debug, Clone)]
pub struct FailedAttempts {
    service: &'static str,
    told: OnceAWhile,
}

impl FailedAttempts {
    /// One for the clients of a service, by the name that it is told by.
    pub fn of(service: &'static str) -> Self {
        Self { service, told: OnceAWhile::default() }
    }
}

impl Intercept for FailedAttempts {
    fn name(&self) -> &'static str {
        "FailedAttempts"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = context.response().map(|response| response.status().as_u16());
        // No response is also what there is of a call that nobody could sign.
        let error = context.output_or_error().and_then(Result::err);
        let is_lost = || error.is_some_and(|error| error.is_connector_error() || error.is_timeout_error());
        if !status.map_or_else(is_lost, |status| TRIED_AGAIN.contains(&status)) || !self.told.is_due() {
            return Ok(());
        }
        let service = self.service;
        match status {
            Some(status) => tracing::warn!(status, "{service} answers with an error; it may be tried again"),
            None => {
                let reason = error.map(|error| causes(error));
                tracing::warn!(reason, "{service} is not reached; it may be tried again");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f19_failed_attempts_are_told_once_and_then_only_after_a_while() {
        let told = FailedAttempts::of("S3").told;
        assert!(told.is_due());
        assert!(!told.clone().is_due());
        let earlier = Instant::now().checked_sub(TELL_INTERVAL);
        *told.0.lock().expect("no panic") = earlier;
        assert_eq!(told.is_due(), earlier.is_some());
    }
}

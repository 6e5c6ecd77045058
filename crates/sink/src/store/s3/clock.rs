//! The server's clock, as its answers tell it.

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Notes the `Date` of every answer, also of one that is an error. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerClock(Arc<Mutex<Option<Told>>>);

/// What the last answer told.
#[derive(Debug, Clone, Copy)]
struct Told {
    date: DateTime<Utc>,
    /// The server's time less this machine's.
    offset: TimeDelta,
    at: Instant,
}

impl ServerClock {
    /// The server's time less this machine's when it last answered, to about a second.
    pub(super) fn offset(&self) -> Option<TimeDelta> {
        self.told().map(|told| told.offset)
    }

    /// The server's time now: what it told last and what this machine's monotonic clock has counted since.
    pub(super) fn now(&self) -> Option<DateTime<Utc>> {
        let told = self.told()?;
        told.date.checked_add_signed(TimeDelta::from_std(told.at.elapsed()).ok()?)
    }

    fn told(&self) -> Option<Told> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, date: &str) {
        // A date that is none, as a proxy may send, tells nothing.
        let Ok(date) = DateTime::parse_from_rfc2822(date).map(|date| date.to_utc()) else { return };
        let told = Told { date, offset: date - Utc::now(), at: Instant::now() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.note(date);
        }
        Ok(())
    }
}

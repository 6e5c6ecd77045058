use crate::InvalidName;
use chrono::{DateTime, Utc};
use std::fmt;
use uuid::{NoContext, Timestamp, Uuid};

/// Names one run of Compline: a UUID of version 7, so run ids sort by the time their run started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// A new id for a run that started at the given time.
    pub fn new(started_at: DateTime<Utc>) -> Self {
        let seconds = u64::try_from(started_at.timestamp()).unwrap_or_default();
        Self(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, started_at.timestamp_subsec_nanos())))
    }
}

impl RunId {
    /// When the run started by its own clock, in milliseconds; nothing for an id of another kind.
    pub fn started_at(self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }
}

impl std::str::FromStr for RunId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |_| InvalidName {
            what: "a run id",
            value: text.chars().take(80).collect(),
            allowed: "a UUID, as compline made it",
        };
        text.parse().map(Self).map_err(invalid)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

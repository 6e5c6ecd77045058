use chrono::{Datelike, Days, NaiveDate};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The UTC day that a snapshot stands for, `YYYY-MM-DD` between the years 1000 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotDate(NaiveDate);

/// As its text, `YYYY-MM-DD`.
impl Serialize for SnapshotDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is not a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a date: allowed is YYYY-MM-DD, a day of the calendar")]
pub struct InvalidDate(String);

impl SnapshotDate {
    /// The first day that there can be.
    pub const FIRST: Self = match NaiveDate::from_ymd_opt(1000, 1, 1) {
        Some(day) => Self(day),
        None => Self(NaiveDate::MIN),
    };

    /// The day itself.
    pub const fn day(self) -> NaiveDate {
        self.0
    }

    /// Days since 1970-01-01, what an Arrow `Date32` holds.
    pub fn days_since_epoch(self) -> i32 {
        self.0.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
    }

    /// The day `days` days before this one (the first possible day where there is none).
    pub fn minus_days(self, days: u32) -> Self {
        Self(self.0.checked_sub_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MIN))
    }

    /// The day after this one (the last possible day where there is none).
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.succ_opt().unwrap_or(NaiveDate::MAX))
    }
}

impl From<NaiveDate> for SnapshotDate {
    fn from(day: NaiveDate) -> Self {
        Self(day)
    }
}

impl FromStr for SnapshotDate {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let invalid = || InvalidDate(text.chars().take(80).collect());
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| invalid())?;
        // chrono takes 2026-1-5 and +2026-01-05 as well, which would give one day two names.
        if text.len() == 10 && day.year() >= 1000 && day.to_string() == text {
            return Ok(Self(day));
        }
        Err(invalid())
    }
}

impl fmt::Display for SnapshotDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_date_has_one_spelling() {
        for bad in
            ["2026-1-5", "2026-02-30", "20260101", "2026-01-01T00:00:00Z", " 2026-01-01", "+2026-01-01", "today", ""]
        {
            assert!(bad.parse::<SnapshotDate>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_date_reads_back_as_it_was_written_and_days_count(days in -300_000_i64..2_900_000) {
            let epoch = NaiveDate::default();
            let date = SnapshotDate::from(epoch + chrono::Duration::days(days));
            prop_assert_eq!(i64::from(date.days_since_epoch()), days);
            prop_assert_eq!(date.to_string().parse::<SnapshotDate>(), Ok(date));
            prop_assert_eq!(date.minus_days(7).days_since_epoch(), date.days_since_epoch() - 7);
        }
    }
}

use crate::{InvalidDate, SnapshotDate};
use chrono::{Datelike, Months, NaiveDate};
use std::fmt;
use std::str::FromStr;

/// The month of a snapshot date, `YYYY-MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotMonth(NaiveDate);

impl SnapshotMonth {
    /// Its first day.
    pub fn first_day(self) -> SnapshotDate {
        SnapshotDate::from(self.0)
    }

    /// The first day after it.
    pub fn first_day_after(self) -> SnapshotDate {
        SnapshotDate::from(self.0.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX))
    }
}

impl From<SnapshotDate> for SnapshotMonth {
    fn from(date: SnapshotDate) -> Self {
        Self(date.day().with_day(1).unwrap_or(date.day()))
    }
}

impl FromStr for SnapshotMonth {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        Ok(format!("{text}-01").parse::<SnapshotDate>()?.into())
    }
}

impl fmt::Display for SnapshotMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_one_name_and_a_first_day_and_one_after_it() {
        let month: SnapshotMonth = "2026-12".parse().expect("a month");
        assert_eq!(month.to_string(), "2026-12");
        assert_eq!(
            (month.first_day().to_string(), month.first_day_after().to_string()),
            ("2026-12-01".into(), "2027-01-01".into())
        );
        assert_eq!(SnapshotMonth::from("2026-12-31".parse::<SnapshotDate>().expect("a date")), month);
        for wrong in ["2026-1", "2026-13", "2026", "2026-01-01", ""] {
            assert!(wrong.parse::<SnapshotMonth>().is_err(), "{wrong}");
        }
    }
}

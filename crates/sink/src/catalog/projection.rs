//! Projected partitions: Athena works out their places from a first day and a list of aggregators, and nothing is added
//! after a run. A day before the first, or an aggregator that is not listed, is invisible without an error; so the lists
//! only ever grow.

use compline_model::{AggregatorId, SnapshotDate};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const AGGREGATORS: &str = "projection.aggregator.values";
const DAYS: &str = "projection.snapshot_date.range";

/// Where the days of a projection begin unless the lake says better: no conformance pack is older. A table that begins here
/// says nothing of its first day, so that it gets the lake's: a query looks for every projected partition, one request each.
const EARLIEST: &str = "2020-01-01";

/// How the partitions of the tables are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitioning {
    /// Athena works them out. Engines that do not know projection find none.
    Projected {
        /// The first day that a table has, if it is not to be the lake's.
        first_day: Option<SnapshotDate>,
        /// The aggregators of the pipeline.
        aggregators: Vec<AggregatorId>,
    },
    /// Each is named in the catalog, which every engine understands.
    Registered,
    /// Both: Athena works them out, and every other engine finds them in the catalog.
    Both {
        /// The first day that Athena sees, if it is not to be the lake's.
        first_day: Option<SnapshotDate>,
        /// The aggregators of the pipeline.
        aggregators: Vec<AggregatorId>,
    },
}

/// What a lake has, as far as a projection must name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeDays {
    /// Every day of which any table has a file.
    pub days: BTreeSet<SnapshotDate>,
    /// Every aggregator of which any table has a file.
    pub aggregators: BTreeSet<AggregatorId>,
}

/// The partitions that Athena works out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    first_day: FirstDay,
    aggregators: BTreeSet<String>,
    /// Whether the partitions are named in the catalog as well.
    pub(super) is_registered_too: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstDay {
    /// That of the pipeline file, whatever the lake has.
    Set(SnapshotDate),
    /// That of the lake, if it has any.
    OfLake(Option<SnapshotDate>),
}

impl Partitioning {
    /// The projection for a lake, if there is one: of the pipeline's aggregators and those that the lake has.
    pub fn projection(&self, lake: &LakeDays) -> Option<Projection> {
        let (Self::Projected { aggregators, .. } | Self::Both { aggregators, .. }) = self else { return None };
        let all = aggregators.iter().chain(&lake.aggregators);
        Some(Projection {
            first_day: self.first_day().map_or(FirstDay::OfLake(lake.days.first().copied()), FirstDay::Set),
            aggregators: all.map(ToString::to_string).collect(),
            is_registered_too: matches!(self, Self::Both { .. }),
        })
    }

    /// The first day that the pipeline file sets.
    pub fn first_day(&self) -> Option<SnapshotDate> {
        match self {
            Self::Projected { first_day, .. } | Self::Both { first_day, .. } => *first_day,
            Self::Registered => None,
        }
    }
}

impl Projection {
    /// The parameters of a table at a location, in view of those that are there.
    pub(super) fn parameters(&self, location: &str, there: &HashMap<String, String>) -> BTreeMap<String, String> {
        let of_days = [
            ("type", "date".to_owned()),
            ("format", "yyyy-MM-dd".to_owned()),
            ("range", format!("{},NOW", self.first(there))),
            ("interval", "1".to_owned()),
            ("interval.unit", "DAYS".to_owned()),
        ];
        let of_days = of_days.map(|(name, value)| (format!("projection.snapshot_date.{name}"), value));
        let template = format!("{location}snapshot_date=${{snapshot_date}}/aggregator=${{aggregator}}/");
        let others = [
            ("projection.enabled".to_owned(), "true".to_owned()),
            ("projection.aggregator.type".to_owned(), "enum".to_owned()),
            (AGGREGATORS.to_owned(), self.values(there)),
            ("storage.location.template".to_owned(), template),
        ];
        of_days.into_iter().chain(others).collect()
    }

    /// The first day: the earlier one of the lake's and the table's. Two runs may have seen the lake at different moments,
    /// and the one that has seen less must not take from the other.
    fn first(&self, there: &HashMap<String, String>) -> String {
        let of_lake = match self.first_day {
            FirstDay::Set(day) => return day.to_string(),
            FirstDay::OfLake(day) => day,
        };
        let of_table = there.get(DAYS).and_then(|range| range.split(',').next()).map(str::trim);
        let of_table = of_table.filter(|day| *day != EARLIEST).and_then(|day| day.parse::<SnapshotDate>().ok());
        of_lake.into_iter().chain(of_table).min().map_or_else(|| EARLIEST.to_owned(), |day| day.to_string())
    }

    /// The aggregators that the table lists, in its order, then those that it lacks.
    fn values(&self, there: &HashMap<String, String>) -> String {
        let listed = there.get(AGGREGATORS).map(String::as_str).unwrap_or_default();
        let mut values: Vec<&str> = Vec::new();
        for value in listed.split(',').map(str::trim).chain(self.aggregators.iter().map(String::as_str)) {
            if !value.is_empty() && !values.contains(&value) {
                values.push(value);
            }
        }
        values.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projection(first_day: Option<&str>, aggregators: &[&str], days: &[&str], of_lake: &[&str]) -> Projection {
        let partitioning = Partitioning::Projected {
            first_day: first_day.map(|day| day.parse().expect("a date")),
            aggregators: aggregators.iter().map(|id| id.parse().expect("an id")).collect(),
        };
        let lake = LakeDays {
            days: days.iter().map(|day| day.parse().expect("a date")).collect(),
            aggregators: of_lake.iter().map(|id| id.parse().expect("an id")).collect(),
        };
        partitioning.projection(&lake).expect("a projection")
    }

    fn table(range: &str, values: &str) -> HashMap<String, String> {
        [(DAYS.to_owned(), range.to_owned()), (AGGREGATORS.to_owned(), values.to_owned())].into()
    }

    #[test]
    fn f02_aggregators_are_those_of_the_table_the_lake_and_the_file_and_none_is_taken_away() {
        let projection = projection(None, &["org"], &[], &["gov", "org"]);
        for (listed, expected) in [
            ("", "gov,org"),
            ("org", "org,gov"),
            ("retired,org", "retired,org,gov"),
            // Nothing differs, so that no version of the table is made.
            ("org,gov", "org,gov"),
            (" org , gov,,org", "org,gov"),
        ] {
            assert_eq!(projection.values(&table("", listed)), expected, "{listed:?}");
        }
    }

    #[test]
    fn f21_days_begin_with_the_earlier_one_of_the_lake_and_the_table_unless_the_file_says_otherwise() {
        let of_lake = projection(None, &["org"], &["2026-02-03", "2026-02-01"], &[]);
        let empty = projection(None, &["org"], &[], &[]);
        let set = projection(Some("2026-02-02"), &["org"], &["2026-02-01"], &[]);
        for (range, lake, without, fixed) in [
            ("", "2026-02-01", EARLIEST, "2026-02-02"),
            // What tables began with before the lake was asked.
            ("2020-01-01,NOW", "2026-02-01", EARLIEST, "2026-02-02"),
            ("2026-01-31,NOW", "2026-01-31", "2026-01-31", "2026-02-02"),
            ("2026-03-01,NOW", "2026-02-01", "2026-03-01", "2026-02-02"),
            ("NOW-3YEARS,NOW", "2026-02-01", EARLIEST, "2026-02-02"),
        ] {
            let there = table(range, "");
            assert_eq!(
                [of_lake.first(&there), empty.first(&there), set.first(&there)],
                [lake, without, fixed],
                "{range:?}"
            );
        }
    }
}

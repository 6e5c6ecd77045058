//! What quiet nights cost: as much in an old lake as in a younger one.

use crate::s3::Usage;
use crate::step::File;
use std::collections::BTreeMap;
use std::fmt;

/// How much more a night of the last quarter may take than one of the second.
const MAX_GROWTH: f64 = 1.2;

/// What a night reads of each of the days that the windows of its trends look back on, which are 90: until there are as many, a night
/// reads more than the one before.
const TRENDS: &str = "GET compliance_trends";
const WINDOW_DAYS: u32 = 90;

/// Files and sockets that a night may have open at once: as many as it reads in parallel, and some.
const MAX_OPEN: usize = 48;

/// The aggregators of the first pipeline file.
const AGGREGATORS: u32 = 2;

/// Quiet nights, by their number, of the first pipeline file: the same two aggregators, and about as many packs.
#[derive(Default)]
pub(super) struct Costs(BTreeMap<u32, Usage>);

/// What of a night is held against other nights.
type Measure = (&'static str, fn(&Usage) -> f64);

impl Costs {
    pub(super) fn add(&mut self, number: u32, file: File, usage: Usage) {
        if file == File::First {
            self.0.insert(number, usage);
        }
    }

    /// Whether the nights of the last quarter took no more than those of the second.
    pub(super) fn hold(&self, nights: u32) -> Result<(), String> {
        if let Some((number, usage)) = self.0.iter().find(|(_, usage)| trends_of(usage) > AGGREGATORS * WINDOW_DAYS) {
            return Err(format!("night {number} reads {} files of trends", trends_of(usage)));
        }
        if let Some((number, usage)) = self.0.iter().find(|(_, usage)| usage.open_files > MAX_OPEN) {
            return Err(format!("night {number} has {} files and sockets open", usage.open_files));
        }
        let mut measures: Vec<Measure> = vec![
            ("calls to S3 but for the trends of 90 days", |usage| f64::from(usage.total() - trends_of(usage))),
            ("KiB of memory", |usage| usage.peak_kib as f64),
        ];
        if nights / 4 >= WINDOW_DAYS {
            measures.push(("calls to S3", |usage| f64::from(usage.total())));
        }
        for (what, measure) in measures {
            let [before, now] = [self.median(nights / 4, measure)?, self.median(nights - nights / 4, measure)?];
            if now > before * MAX_GROWTH {
                return Err(format!("a night took {before} {what}, and takes {now} now:\n{self}"));
            }
        }
        Ok(())
    }

    /// The median of the quarter that begins with a night.
    fn median(&self, first: u32, measure: fn(&Usage) -> f64) -> Result<f64, String> {
        let length = self.0.keys().next_back().map_or(0, |last| last.div_ceil(4));
        let mut values: Vec<f64> =
            self.0.range(first..first + length.max(1)).map(|(_, usage)| measure(usage)).collect();
        values.sort_by(f64::total_cmp);
        values
            .get(values.len() / 2)
            .copied()
            .ok_or_else(|| format!("no quiet night in the quarter after night {first}"))
    }
}

fn trends_of(usage: &Usage) -> u32 {
    usage.calls.get(TRENDS).copied().unwrap_or_default()
}

impl fmt::Display for Costs {
    /// Some of the nights: the calls of the first and the last by what is called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = [self.0.keys().next(), self.0.keys().next_back()];
        for (number, usage) in &self.0 {
            let Usage { peak_kib, open_files, calls } = usage;
            let (total, trends) = (usage.total(), trends_of(usage));
            write!(f, "night {number}: {total} calls, {trends} for trends, {peak_kib} KiB, {open_files} open")?;
            if ends.contains(&Some(number)) { writeln!(f, ": {calls:?}")? } else { writeln!(f)? }
        }
        Ok(())
    }
}

#[test]
fn a_night_that_costs_more_than_those_before_is_found() {
    let usage = |others: u32, trends: u32, peak_kib: u64, open_files: usize| {
        let calls = [("GET runs".to_owned(), others), (TRENDS.to_owned(), trends)].into();
        Usage { calls, peak_kib, open_files }
    };
    let of = |night: &dyn Fn(u32) -> Usage, nights: u32| {
        Costs((0..nights).map(|number| (number, night(number))).collect()).hold(nights)
    };
    assert_eq!(of(&|number| usage(100, 2 * number.min(90), 1000, 30), 40), Ok(()));
    assert_eq!(of(&|number| usage(100, 2 * number.min(90), 1000, 30), 365), Ok(()));
    assert!(of(&|number| usage(100 + 2 * number, 0, 1000, 30), 40).is_err(), "more calls");
    assert!(of(&|number| usage(100, 2 * number, 1000, 30), 365).is_err(), "more trends than those of 90 days");
    assert!(of(&|number| usage(100, 0, 1000 + 20 * u64::from(number), 30), 40).is_err(), "more memory");
    assert!(of(&|number| usage(100, 0, 1000, 20 + number as usize), 40).is_err(), "more open files");
}

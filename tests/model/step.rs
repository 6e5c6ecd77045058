//! What can be done to a lake, as plain values: a sequence of them is printed as Rust, shrunk, and replayed.

use crate::dataset::Dataset;
use crate::facts::{Packs, packs};
use proptest::prelude::*;

/// The days of the sequences, by their number: of three months that are over, the last ones those of the golden lakes.
pub(crate) const DAYS: [&str; 9] = [
    "2026-01-02",
    "2026-01-05",
    "2026-01-31",
    "2026-02-01",
    "2026-02-14",
    "2026-02-28",
    "2026-03-01",
    "2026-03-03",
    "2026-03-04",
];

/// What is done to one lake, from its beginning.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    pub(crate) dataset: Dataset,
    pub(crate) start: Start,
    pub(crate) steps: Vec<Step>,
}

/// What is in the lake at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Empty,
    /// What a version of the tables left.
    Golden(u32),
}

/// Where the lake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Folder,
    S3,
    /// On S3, with a Glue catalog whose partitions are projected.
    Projected,
    /// On S3, with a Glue catalog whose partitions are registered.
    Registered,
}

/// A pipeline file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    /// That of the aggregators `org` and, unless it is retired, `two`.
    First,
    /// That of the aggregator `gov`, on the same lake.
    Second,
}

/// An aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Org,
    Two,
    Gov,
}

/// Which of what AWS Config has the first file's `org` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Everything,
    OneAccount,
    NonCompliant,
    WithoutPack3,
}

/// One thing that is done.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Import {
        who: Who,
        day: u8,
        packs: Packs,
        replace: bool,
        accept: bool,
        fault: Fault,
    },
    Run {
        file: File,
        day: u8,
        first: Packs,
        second: Packs,
        accept: bool,
        fresh: bool,
        fault: Fault,
    },
    /// What is held of a day is rejected.
    Reject {
        who: Who,
        day: u8,
        fault: Fault,
    },
    /// A run of the second file that stalls, and two imports of the same day that wait for it.
    TwoWaiters {
        day: u8,
        first: Packs,
        second: Packs,
    },
    Trends {
        file: File,
        fault: Fault,
    },
    Repair {
        file: File,
        fault: Fault,
    },
    Maintain {
        file: File,
        fault: Fault,
    },
    Catalog {
        file: File,
    },
    /// `[maintain]`: which tables get months, and before which day snapshots and `pack_status` are old.
    Keep {
        compact: Compact,
        snapshots_before: Option<u8>,
        statuses_before: Option<u8>,
    },
    Choose(Filter),
    /// The first file loses its aggregator `two`, or gets it back.
    RetireOrAdd,
    /// A file of one of the aggregator's days, counted from the first.
    Damage {
        who: Who,
        nth: u8,
        table: u8,
        how: Harm,
    },
    DamageMonth {
        nth: u8,
        how: Harm,
    },
    /// One of the aggregator's days, counted from the first, is restored from its month.
    Restore {
        who: Who,
        nth: u8,
        fault: Fault,
    },
}

/// The tables whose complete months get a file of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compact {
    Nothing,
    Facts,
    Snapshots,
    Everything,
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    Cut,
    Emptied,
    Garbage,
    AnotherDays,
    Deleted,
}

/// What goes wrong while a command works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// The clock is so many minutes off.
    Clock(i16),
    /// AWS Config answers no call.
    Source,
    /// At this put or delete on S3, from 1. In a folder a kill comes after so many 25th parts of a second, and the other
    /// faults are not there.
    Call(u8, Broken),
}

/// What becomes of a call to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It is answered with an error and not done, and so are its retries.
    Refused,
    /// It is done, and its answer does not arrive.
    AnswerLost,
    /// The command is killed before it is done.
    KilledBefore,
    /// The command is killed once it is done.
    KilledAfter,
}

/// A fault comes at one of so many calls to S3: about as many as a command on one day makes for a dataset.
const CALLS: u8 = 14;

/// What a sequence has most of: a fault that takes several steps of one kind is not found by chance among all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    Everything,
    /// Days that are run again, months, and days that get old.
    Retention,
    /// Damaged files, and the days that come after.
    Damage,
}

pub(crate) fn sequences(place: Place, dataset: Dataset) -> impl Strategy<Value = Sequence> {
    let of = |focus, lengths| prop::collection::vec(Mix { place, dataset, focus }.steps(), lengths);
    let steps = prop_oneof![
        2 => of(Focus::Everything, 3..=8),
        1 => of(Focus::Retention, 6..=12),
        1 => of(Focus::Damage, 3..=7),
    ];
    // The first version of the tables that has rules is the fifth.
    let golden = if dataset == Dataset::Packs { [1, 2] } else { [5, 5] }.map(Start::Golden);
    let start = prop_oneof![8 => Just(Start::Empty), 1 => Just(golden[0]), 1 => Just(golden[1])];
    (start, steps).prop_map(move |(start, steps)| Sequence { dataset, start, steps })
}

/// Of what there is how much.
#[derive(Debug, Clone, Copy)]
struct Mix {
    place: Place,
    dataset: Dataset,
    focus: Focus,
}

impl Mix {
    fn steps(self) -> impl Strategy<Value = Step> {
        let [imports, maintains, keeps, damages] = match self.focus {
            Focus::Everything => [12, 4, 3, 4],
            Focus::Retention => [15, 12, 9, 1],
            Focus::Damage => [20, 2, 1, 10],
        };
        // Without a catalog nothing is done; but no weight may be 0.
        let catalog = if self.has_catalog() { 3 } else { 1 };
        prop_oneof![
            imports => self.import(),
            5 => self.run(),
            1 => (self.whos(), days(), self.faults()).prop_map(|(who, day, fault)| Step::Reject { who, day, fault }),
            1 => two_waiters(),
            2 => (self.files(), self.faults()).prop_map(|(file, fault)| Step::Trends { file, fault }),
            2 => (self.files(), self.faults()).prop_map(|(file, fault)| Step::Repair { file, fault }),
            maintains => (self.files(), self.faults()).prop_map(|(file, fault)| Step::Maintain { file, fault }),
            catalog => self.files().prop_map(|file| Step::Catalog { file }),
            keeps => keep(),
            1 => filters().prop_map(Step::Choose),
            1 => Just(Step::RetireOrAdd),
            damages => self.damage(),
            1 => (0..8_u8, harms()).prop_map(|(nth, how)| Step::DamageMonth { nth, how }),
            2 => (self.whos(), 0..4_u8, self.faults()).prop_map(|(who, nth, fault)| Step::Restore { who, nth, fault }),
        ]
    }

    /// How often a day is accepted however much it lost: a damaged day is in the way of those that are not.
    fn accepts(self) -> impl Strategy<Value = bool> {
        let share = match self.focus {
            Focus::Everything => 0.5,
            Focus::Retention => 0.9,
            Focus::Damage => 0.2,
        };
        prop::bool::weighted(share)
    }

    fn import(self) -> impl Strategy<Value = Step> {
        (self.whos(), days(), some_packs(), prop::bool::weighted(0.7), self.accepts(), self.faults()).prop_map(
            |(who, day, packs, replace, accept, fault)| Step::Import { who, day, packs, replace, accept, fault },
        )
    }

    fn run(self) -> impl Strategy<Value = Step> {
        let flags = (self.accepts(), prop::bool::weighted(0.5));
        // Calls of packs come before those of rules.
        let calls = if self.dataset == Dataset::Packs { CALLS } else { 2 * CALLS };
        (self.files(), days(), some_packs(), some_packs(), flags, self.faults_at(calls)).prop_map(
            |(file, day, first, second, (accept, fresh), fault)| Step::Run {
                file,
                day,
                first,
                second,
                accept,
                fresh,
                fault,
            },
        )
    }

    fn damage(self) -> impl Strategy<Value = Step> {
        let table = prop_oneof![2 => Just(0), 3 => 1..6_u8];
        (self.whos(), 0..4_u8, table, harms()).prop_map(|(who, nth, table, how)| Step::Damage { who, nth, table, how })
    }

    /// Mostly one aggregator, so that steps meet; where there is a catalog the second pipeline file's as often.
    fn whos(self) -> impl Strategy<Value = Who> {
        prop_oneof![6 => Just(Who::Org), 1 => Just(Who::Two), self.of_second_file() => Just(Who::Gov)]
    }

    fn files(self) -> impl Strategy<Value = File> {
        prop_oneof![6 => Just(File::First), self.of_second_file() => Just(File::Second)]
    }

    fn of_second_file(self) -> u32 {
        if self.has_catalog() { 4 } else { 1 }
    }

    fn has_catalog(self) -> bool {
        matches!(self.place, Place::Projected | Place::Registered)
    }

    fn faults(self) -> impl Strategy<Value = Fault> {
        self.faults_at(CALLS)
    }

    /// A fault at one of so many calls, or another.
    fn faults_at(self, calls: u8) -> impl Strategy<Value = Fault> {
        let none = if self.focus == Focus::Everything { 12 } else { 60 };
        let broken = prop_oneof![
            Just(Broken::Refused),
            Just(Broken::AnswerLost),
            Just(Broken::KilledBefore),
            Just(Broken::KilledAfter)
        ];
        let clock = prop_oneof![Just(90_i16), Just(-90), Just(26 * 60), Just(-26 * 60)];
        prop_oneof![
            none => Just(Fault::Nothing),
            1 => clock.prop_map(Fault::Clock),
            1 => Just(Fault::Source),
            4 => (1..=calls, broken).prop_map(|(number, broken)| Fault::Call(number, broken)),
        ]
    }
}

fn two_waiters() -> impl Strategy<Value = Step> {
    (days(), some_packs(), some_packs()).prop_map(|(day, first, second)| Step::TwoWaiters { day, first, second })
}

fn keep() -> impl Strategy<Value = Step> {
    let compact = prop_oneof![
        1 => Just(Compact::Nothing),
        1 => Just(Compact::Facts),
        4 => Just(Compact::Snapshots),
        2 => Just(Compact::Everything),
    ];
    let snapshots_before = prop_oneof![1 => Just(None), 3 => days().prop_map(Some)];
    (compact, snapshots_before, prop::option::of(days())).prop_map(|(compact, snapshots_before, statuses_before)| {
        Step::Keep { compact, snapshots_before, statuses_before }
    })
}

fn some_packs() -> impl Strategy<Value = Packs> {
    prop::collection::btree_map(0..6_u8, 0..4_u8, 0..=5).prop_map(|of| packs(&of.into_iter().collect::<Vec<_>>()))
}

fn days() -> impl Strategy<Value = u8> {
    // Mostly few days, so that they meet.
    prop_oneof![3 => 0..4_u8, 2 => 0..DAYS.len() as u8]
}

fn filters() -> impl Strategy<Value = Filter> {
    prop_oneof![
        Just(Filter::Everything),
        Just(Filter::OneAccount),
        Just(Filter::NonCompliant),
        Just(Filter::WithoutPack3)
    ]
}

fn harms() -> impl Strategy<Value = Harm> {
    prop_oneof![Just(Harm::Cut), Just(Harm::Emptied), Just(Harm::Garbage), Just(Harm::AnotherDays), Just(Harm::Deleted)]
}

impl Who {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Two => "two",
            Self::Gov => "gov",
        }
    }

    pub(crate) fn file(self) -> File {
        match self {
            Self::Org | Self::Two => File::First,
            Self::Gov => File::Second,
        }
    }
}

//! Sequences that once broke a rule, each as it was found and then made as short as it gets.
//!
//! A failing search prints its sequence as Rust: it goes here, with a name that says what must hold.

use crate::catalog::Moto;
use crate::dataset::Dataset;
use crate::facts::packs;
use crate::search::replay;
use crate::step::{Broken, Compact, DAYS, Fault, File, Harm, Place, Sequence, Start, Step, Who};
use chrono::Datelike;
use std::sync::Arc;

/// What must hold of a sequence that once broke a rule.
#[track_caller]
fn holds(place: Place, start: Start, steps: Vec<Step>, moto: Option<&Arc<Moto>>, rule: &str) {
    let found =
        replay(place, &Sequence { dataset: Dataset::Packs, start, steps }, moto, true).err().unwrap_or_default();
    assert!(found.is_empty(), "{rule}: {found}");
}

fn import(who: Who, day: u8, of: &[(u8, u8)]) -> Step {
    import_with(who, day, of, Fault::Nothing)
}

fn import_with(who: Who, day: u8, of: &[(u8, u8)], fault: Fault) -> Step {
    assert!(usize::from(day) < DAYS.len());
    Step::Import { who, day, packs: packs(of), replace: true, accept: true, fault }
}

fn keep(compact: Compact, snapshots_before: Option<u8>) -> Step {
    Step::Keep { compact, snapshots_before, statuses_before: None }
}

const MAINTAIN: Step = Step::Maintain { file: File::First, fault: Fault::Nothing };

#[test]
fn f01_a_day_that_was_run_again_is_not_dropped_while_its_month_has_its_old_rows() {
    let steps = vec![
        import(Who::Org, 0, &[(0, 0)]),
        import(Who::Org, 1, &[(0, 0)]),
        import(Who::Org, 4, &[(0, 0)]),
        keep(Compact::Snapshots, Some(1)),
        MAINTAIN,
        import(Who::Org, 1, &[(0, 1)]),
        keep(Compact::Snapshots, Some(2)),
        MAINTAIN,
    ];
    holds(Place::Folder, Start::Empty, steps, None, "are lost: its snapshot is dropped");
}

#[test]
fn f02_another_pipelines_aggregator_stays_in_the_projection() {
    let moto = Moto::start();
    let steps = vec![import(Who::Org, 0, &[(0, 0)]), import(Who::Gov, 0, &[(0, 0)])];
    holds(Place::Projected, Start::Empty, steps, Some(&moto), "a reader of the catalog does not see it");
}

#[test]
fn f02_an_aggregator_that_left_the_file_stays_in_the_projection() {
    let moto = Moto::start();
    let steps = vec![import(Who::Two, 0, &[(0, 0)]), Step::RetireOrAdd, import(Who::Org, 0, &[(0, 0)])];
    holds(Place::Projected, Start::Empty, steps, Some(&moto), "a reader of the catalog does not see it");
}

#[test]
fn f05_a_day_after_one_whose_file_is_damaged_is_committed_or_held() {
    for how in [Harm::Cut, Harm::Emptied, Harm::Garbage] {
        let damage = Step::Damage { who: Who::Org, nth: 0, table: 0, how };
        // A day that is accepted is not held against the one before it.
        let (accept, replace, fault) = (false, false, Fault::Nothing);
        let next = Step::Import { who: Who::Org, day: 1, packs: packs(&[(0, 0)]), replace, accept, fault };
        let steps = vec![import(Who::Org, 0, &[(0, 0)]), damage, next];
        holds(Place::Folder, Start::Empty, steps, None, "is neither committed nor held");
    }
}

#[test]
fn f08b_a_day_that_a_fast_clock_committed_first_is_that_of_the_second_commit() {
    let steps = vec![import_with(Who::Org, 0, &[(0, 0)], Fault::Clock(90)), import(Who::Org, 0, &[(0, 1)])];
    holds(Place::Folder, Start::Empty, steps, None, "says last that pack_compliance is");
}

/// Puts and deletes that a replaced day takes, and some more.
const CALLS: u8 = 14;

#[test]
fn a_day_whose_replacement_is_broken_off_at_any_call_is_the_old_or_the_new_one_and_is_made_good() {
    let faults = [Broken::Refused, Broken::KilledBefore, Broken::AnswerLost, Broken::KilledAfter];
    let each: Vec<(u8, Broken)> =
        (1..=CALLS).flat_map(|number| faults.iter().map(move |broken| (number, *broken))).collect();
    // A ninth of them on each day: each second call, in another way than the one before; all where many sequences are asked for.
    let all = std::env::var_os("COMPLINE_MODEL_CASES").is_some();
    let day = chrono::Utc::now().num_days_from_ce();
    let some = each.iter().skip(day.unsigned_abs() as usize % 9).step_by(9);
    for (number, broken) in if all { each.clone() } else { some.copied().collect() } {
        let steps = vec![
            import(Who::Org, 0, &[(0, 0), (1, 1)]),
            import(Who::Org, 1, &[(0, 1), (1, 1)]),
            import_with(Who::Org, 0, &[(0, 1), (2, 0)], Fault::Call(number, broken)),
            import(Who::Org, 2, &[(0, 0), (2, 1)]),
        ];
        let found = replay(Place::S3, &Sequence { dataset: Dataset::Packs, start: Start::Empty, steps }, None, true);
        assert_eq!(found, Ok(()), "{broken:?} at call {number}");
    }
}

#[test]
fn a_day_that_is_resumed_from_the_checkpoint_of_its_sources_is_as_collected() {
    // The kill comes before or after the sources of one aggregator or its only shard are there.
    for number in 1..8 {
        let run = |fault| Step::Run {
            file: File::First,
            day: 1,
            first: packs(&[(0, 0)]),
            second: packs(&[(1, 0)]),
            accept: false,
            fresh: false,
            fault,
        };
        let steps = vec![run(Fault::Call(number, Broken::KilledBefore)), run(Fault::Nothing)];
        holds(Place::S3, Start::Empty, steps, None, "is of the run");
    }
}

#[test]
fn a_day_that_is_restored_from_its_month_is_as_it_was_committed_last_and_is_made_good_where_that_is_broken_off() {
    let restore = |fault| Step::Restore { who: Who::Org, nth: 0, fault };
    let damage = |how| Step::Damage { who: Who::Org, nth: 0, table: 0, how };
    let compacted = || {
        vec![
            import(Who::Org, 0, &[(0, 0), (1, 1)]),
            import(Who::Org, 1, &[(0, 1), (1, 1)]),
            import(Who::Org, 4, &[(0, 1), (1, 1)]),
            keep(Compact::Snapshots, None),
            MAINTAIN,
        ]
    };
    let rule = "of the day";
    for how in [Harm::Cut, Harm::AnotherDays, Harm::Deleted] {
        let steps = [compacted(), vec![damage(how), restore(Fault::Nothing), import(Who::Org, 5, &[(0, 0)])]].concat();
        holds(Place::Folder, Start::Empty, steps, None, rule);
    }
    // Its month has another commit of it.
    let again = import(Who::Org, 0, &[(0, 1)]);
    let steps = [compacted(), vec![again, damage(Harm::Cut), restore(Fault::Nothing)]].concat();
    holds(Place::Folder, Start::Empty, steps, None, rule);
    for (number, broken) in
        [(2, Broken::KilledAfter), (4, Broken::Refused), (5, Broken::KilledBefore), (7, Broken::AnswerLost)]
    {
        let fault = Fault::Call(number, broken);
        let steps = [compacted(), vec![damage(Harm::Cut), restore(fault), import(Who::Org, 5, &[(0, 0)])]].concat();
        holds(Place::S3, Start::Empty, steps, None, rule);
    }
}

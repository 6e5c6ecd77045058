//! Files of a lake that are damaged one at a time, and what the next runs do: a damaged file costs its own day, not the next.

use crate::support::reading::{column, file, files, of_trends};
use crate::support::{Ended, Scene, pack_tables, run, turns};
use crate::verify::is_sound;
use compline_model::Table;

/// Days in order, the last two of which are run after the damage.
pub(crate) const DAYS: [&str; 5] = ["2026-02-24", "2026-02-25", "2026-02-26", "2026-02-27", "2026-02-28"];

/// A lake of the first three days.
pub(crate) fn three_days() -> (Scene, String) {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "");
    DAYS[..3].iter().for_each(|day| drop(scene.night(&pipeline, day)));
    (scene, pipeline.display().to_string())
}

fn key(table: Table, day: &str) -> String {
    format!("{}/snapshot_date={day}/aggregator=org/data.parquet", table.name())
}

pub(crate) fn night(scene: &Scene, pipeline: &str, day: &str) -> Ended {
    run(scene.command(&["run", pipeline, "--date", day]))
}

/// The ways in which a file is damaged.
fn damages(whole: &[u8], of_other_table: &[u8], of_other_day: &[u8]) -> [(&'static str, Vec<u8>); 5] {
    [
        ("cut", whole[..whole.len() - 3].to_vec()),
        ("emptied", Vec::new()),
        ("garbage", b"PAR1 this is no file of ours PAR1".to_vec()),
        ("another table's", of_other_table.to_vec()),
        ("another day's", of_other_day.to_vec()),
    ]
}

#[test]
fn f05_whatever_table_of_yesterday_is_damaged_the_next_two_days_are_committed_and_what_waits_is_said() {
    let (scene, pipeline) = three_days();
    let sound = files(&scene.path("lake"));
    let mut has_turn = turns();
    for table in pack_tables() {
        let path = file(&scene, table, DAYS[2]);
        let whole = std::fs::read(&path).expect("read");
        let other =
            std::fs::read(file(&scene, if table == Table::Runs { Table::PackStatus } else { Table::Runs }, DAYS[2]));
        let of_other_day = std::fs::read(file(&scene, table, DAYS[1])).expect("read");
        for (how, bytes) in damages(&whole, &other.expect("read"), &of_other_day) {
            if !has_turn() {
                continue;
            }
            let what = format!("{} {how}", table.name());
            std::fs::write(&path, &bytes).expect("written");
            for day in &DAYS[3..] {
                let ended = night(&scene, &pipeline, day);
                let says_so = ended.code == Some(3) && ended.stdout.contains(table.name());
                assert!(ended.code == Some(0) || says_so, "{what}: {ended:?}");
                assert!(ended.stderr.matches("computing it again").count() <= 1, "{what}: {ended:?}");
                // Facts that are damaged are said: the loss could not be compared with them.
                assert!(table != Table::PackCompliance || says_so || *day == DAYS[4], "{what}: {ended:?}");
                assert!(!scene.rows(Table::PackCompliance, "org", day).is_empty(), "{what}: {day}");
                let ledger = scene.rows(Table::Runs, "org", day);
                assert!(ledger.len() == 1 && ledger[0].contains("|succeeded|"), "{what}: {ledger:?}");
            }
            // Nobody removed the only copy of what cannot be computed again.
            if !table.is_derived() {
                assert_eq!(std::fs::read(&path).expect("still there"), bytes, "{what}");
            }
            std::fs::write(&path, &whole).expect("restored");
            let ended = run(scene.command(&["trends", &pipeline]));
            assert_eq!(ended.code, Some(0), "{what}: {ended:?}");
            is_sound(&scene, &pipeline, &[]);
            std::fs::remove_dir_all(scene.path("lake")).expect("removed");
            scene.put_lake("lake", &sound);
        }
    }
}

#[test]
fn f05_trends_that_need_a_damaged_snapshot_wait_and_the_hint_never_says_to_remove_it() {
    let (scene, pipeline) = three_days();
    let (facts, status) = (file(&scene, Table::PackCompliance, DAYS[2]), file(&scene, Table::PackStatus, DAYS[2]));
    let whole = std::fs::read(&facts).expect("read");
    std::fs::write(&facts, &whole[..whole.len() - 3]).expect("cut");
    std::fs::write(&status, b"").expect("emptied");
    let ended = night(&scene, &pipeline, DAYS[3]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for words in [
        "the snapshot is committed, and the trends from 2026-02-2",
        "restore an earlier version of the object",
        "compline import",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {ended:?}");
    }
    assert!(!ended.stdout.contains("remove it"), "{ended:?}");
    assert!(scene.rows(Table::Runs, "org", DAYS[3])[0].contains("trends from"), "the ledger says so");
    assert_eq!(night(&scene, &pipeline, DAYS[4]).code, Some(3));
    let verified = run(scene.command(&["verify", &pipeline]));
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert!(verified.stdout.contains("are out of date"), "{verified:?}");
    // Why is said once, with the file.
    let key = key(Table::PackCompliance, DAYS[2]);
    assert_eq!(verified.stdout.matches(&format!("cannot read {key}")).count(), 1, "{verified:?}");
    let see = format!("what the trend tables of {0} must be cannot be computed: see the problem of {0}", DAYS[2]);
    assert!(verified.stdout.contains(&see), "{verified:?}");

    std::fs::write(&facts, whole).expect("restored");
    assert_eq!(run(scene.command(&["trends", &pipeline])).code, Some(0));
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_night_after_a_day_whose_tables_are_all_gone_is_committed_and_its_trends_wait_for_that_day() {
    let (scene, pipeline) = three_days();
    let tables = pack_tables().into_iter().filter(|table| *table != Table::Runs);
    let gone: Vec<_> = tables.map(|table| file(&scene, table, DAYS[2])).collect();
    let gone: Vec<_> = gone.into_iter().map(|path| (std::fs::read(&path).expect("read"), path)).collect();
    gone.iter().for_each(|(_, path)| std::fs::remove_file(path).expect("removed"));
    let ended = night(&scene, &pipeline, DAYS[3]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains(&format!("the trends from {} on wait", DAYS[3])), "{ended:?}");
    assert!(!scene.rows(Table::PackCompliance, "org", DAYS[3]).is_empty());
    gone.iter().for_each(|(bytes, path)| std::fs::write(path, bytes).expect("restored"));
    assert_eq!(run(scene.command(&["trends", &pipeline])).code, Some(0));
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn f05_a_checkpoint_that_is_damaged_is_read_again_and_a_held_day_that_is_damaged_is_said() {
    let (scene, pipeline) = three_days();
    let tiny = Scene::of_accounts(4);
    let lake = format!("url = {:?}", scene.path("lake").display().to_string());
    let other = tiny.write_pipeline(&lake, "").display().to_string();
    let held = run(tiny.command(&["run", &other, "--only", "org", "--date", DAYS[3]]));
    assert_eq!(held.code, Some(4), "{held:?}");
    let path = scene
        .path("lake/_compline/held")
        .join(format!("pack_compliance/snapshot_date={}/aggregator=org/data.parquet", DAYS[3]));
    std::fs::write(&path, b"x").expect("written");
    let accepted = run(tiny.command(&["run", &other, "--only", "org", "--date", DAYS[3], "--accept"]));
    assert_eq!(accepted.code, Some(1), "{accepted:?}");
    assert!(accepted.stdout.contains("_compline/held/pack_compliance"), "{accepted:?}");
    // It does not stand in the way of a run that collects the day.
    assert_eq!(night(&scene, &pipeline, DAYS[3]).code, Some(0));
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_snapshot_in_whose_place_is_another_sound_file_of_its_day_is_treated_as_damaged() {
    let (scene, pipeline) = three_days();
    // The same day of a run before: sound, and not what was committed last.
    let (facts, sources) = (file(&scene, Table::PackCompliance, DAYS[1]), file(&scene, Table::SourceStatus, DAYS[1]));
    let before = [std::fs::read(&facts).expect("read"), std::fs::read(&sources).expect("read")];
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(0));
    let sound = files(&scene.path("lake"));
    std::fs::write(&facts, &before[0]).expect("written");
    std::fs::write(&sources, &before[1]).expect("written");
    let swapped = files(&scene.path("lake"));

    let ended = run(scene.command(&["trends", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("it is not the file that was committed: its SHA-256 is "), "{ended:?}");
    assert_eq!(of_trends(files(&scene.path("lake"))), of_trends(swapped.clone()), "the good tables are left");
    let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("not repaired"), "{ended:?}");
    assert_eq!(of_trends(files(&scene.path("lake"))), of_trends(swapped));
    // The next days are committed all the same.
    assert_eq!(night(&scene, &pipeline, DAYS[3]).code, Some(0), "it goes on from the state of the day before");
    // It is not put into a month, and so not dropped.
    let maintain = "[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]\nsnapshot_days = 1";
    let maintained = scene.org_pipeline("lake", "", maintain).display().to_string();
    let ended = run(scene.command(&["maintain", &maintained, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(!scene.path("lake/pack_compliance_monthly").exists() && facts.exists(), "{ended:?}");
    std::fs::write(&facts, &sound[&key(Table::PackCompliance, DAYS[1])]).expect("restored");
    std::fs::write(&sources, &sound[&key(Table::SourceStatus, DAYS[1])]).expect("restored");
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_run_whose_journal_entry_is_damaged_is_completed_by_its_copy_and_what_cannot_be_is_said_once() {
    for (how, is_completed) in [("the entry", true), ("the entry and its copy", false), ("a staged file", false)] {
        let (scene, pipeline) = three_days();
        // Something is in the way of the facts.
        let in_the_way = scene.path("lake/pack_compliance").join(format!("snapshot_date={}", DAYS[3]));
        std::fs::write(&in_the_way, "").expect("written");
        let ended = run(scene.command(&["run", &pipeline, "--date", DAYS[3], "--json"]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        std::fs::remove_file(in_the_way).expect("removed");
        let journal = scene.path("lake/_compline/journal/aggregator=org");
        let run_id = report["run_id"].as_str().expect("an id");
        let damaged = match how {
            "a staged file" => vec![journal.join(run_id).join("commit").join(key(Table::PackCompliance, DAYS[3]))],
            "the entry" => vec![journal.join(format!("{run_id}.json"))],
            _ => vec![journal.join(format!("{run_id}.json")), journal.join(run_id).join("entry.json")],
        };
        damaged.iter().for_each(|path| std::fs::write(path, "{").expect("damaged"));

        let ended = night(&scene, &pipeline, DAYS[4]);
        assert_eq!(ended.code, Some(if is_completed { 0 } else { 3 }), "{how}: {ended:?}");
        assert!(is_completed || ended.stdout.contains(run_id), "{how}: {ended:?}");
        let ledger = scene.read(&scene.lake(), Table::Runs, "org", DAYS[3]).expect("a ledger");
        assert_eq!(column(&ledger, "run_id"), [run_id], "{how}");
        assert_eq!(column(&ledger, "outcome"), [if is_completed { "succeeded" } else { "failed" }], "{how}");
        // It is said once, and stands in nobody's way.
        assert_eq!(night(&scene, &pipeline, DAYS[4]).code, Some(0), "{how}");
        assert_eq!(files(&journal).len(), 0, "{how}");
        is_sound(&scene, &pipeline, &[]);
    }
}

#[test]
fn f05_a_journal_entry_or_an_old_marker_that_is_damaged_is_made_good_by_looking_at_every_day() {
    for key in [
        "_compline/journal/aggregator=org/01900000-0000-7000-8000-000000000000.json",
        "_compline/redo/aggregator=org.json",
    ] {
        for content in [&b""[..], b"{\"fr", b"[]", b"{\"from\":\"yesterday\"}"] {
            let (scene, pipeline) = three_days();
            let path = scene.path("lake").join(key);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(&path, content).expect("written");
            // Of an entry that says nothing it is told once that it was there.
            let first = if key.contains("journal") && serde_json::from_slice::<serde_json::Value>(content).is_err() {
                3
            } else {
                0
            };
            assert_eq!(night(&scene, &pipeline, DAYS[3]).code, Some(first), "{key} {content:?}");
            assert_eq!(night(&scene, &pipeline, DAYS[3]).code, Some(0), "{key} {content:?}");
            is_sound(&scene, &pipeline, &[]);
            assert!(!path.exists(), "{key} {content:?}");
        }
    }
}

#[test]
fn f05_a_snapshot_that_is_gone_is_no_gap_and_what_needs_it_says_so() {
    let (scene, pipeline) = three_days();
    let path = file(&scene, Table::PackCompliance, DAYS[2]);
    let whole = std::fs::read(&path).expect("read");
    // As it would be with that day.
    let right = three_days();
    assert_eq!(night(&right.0, &right.1, DAYS[3]).code, Some(0));
    std::fs::remove_file(&path).expect("removed");
    // What was computed of the day is there, and the next goes on from that.
    let ended = night(&scene, &pipeline, DAYS[3]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("the snapshot before is damaged or gone"), "{ended:?}");
    for table in [Table::PackChanges, Table::ComplianceTrends, Table::PackStatus] {
        assert_eq!(scene.rows(table, "org", DAYS[3]), right.0.rows(table, "org", DAYS[3]), "{}", table.name());
    }
    let before = of_trends(files(&scene.path("lake")));
    let ended = run(scene.command(&["trends", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("it is gone, and the ledger says that it was committed"), "{ended:?}");
    assert!(ended.stdout.contains("restore the file that was committed"), "{ended:?}");
    assert_eq!(of_trends(files(&scene.path("lake"))), before, "no later day is computed without it");
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("is gone, and the ledger says that it was committed: restore it"), "{ended:?}");
    // Restored, all is well.
    std::fs::write(&path, whole).expect("restored");
    is_sound(&scene, &pipeline, &[]);
}

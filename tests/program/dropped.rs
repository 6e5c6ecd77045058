//! Days whose own snapshot files were dropped: what is left of them is nowhere else, and nothing goes on from what is lost.

use crate::maintain::{DAYS, age_of, import_one, kept, maintain, month_file, tables};
use crate::support::reading::{files, of_trends};
use crate::support::{Ended, Scene, run};
use crate::verify::{is_sound, noted_problems};
use compline_model::Table;
use std::path::PathBuf;

const COMPACT: &str = "compact = [\"pack_compliance\", \"source_status\"]";

/// Lines of `[maintain]` by which the first five days are dropped, and two stay.
fn drops_five() -> String {
    format!("{COMPACT}\nsnapshot_days = {}", age_of(DAYS[5]))
}

/// A lake whose first five days were dropped.
fn dropped() -> (Scene, String) {
    let (scene, pipeline) = kept(&drops_five());
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("dropped pack_compliance of 5 days, 2026-01-02 to 2026-02-14"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
    (scene, pipeline)
}

fn of_day(scene: &Scene, table: &str, day: &str) -> PathBuf {
    scene.path("lake").join(format!("{table}/snapshot_date={day}/aggregator=org/data.parquet"))
}

fn command(scene: &Scene, arguments: &[&str]) -> Ended {
    run(scene.command(arguments))
}

#[test]
fn a_trend_table_of_a_dropped_day_that_is_lost_is_told_and_no_later_day_is_computed_without_it() {
    for (table, day) in [("compliance_trends", DAYS[4]), ("compliance_trends", DAYS[0]), ("pack_status", DAYS[4])] {
        let (scene, pipeline) = dropped();
        let lost = of_day(&scene, table, day);
        let whole = std::fs::read(&lost).expect("read");
        std::fs::remove_file(&lost).expect("removed");
        let before = of_trends(tables(&scene));
        for arguments in [vec!["verify", &pipeline], vec!["verify", &pipeline, "--repair"]] {
            let ended = command(&scene, &arguments);
            assert_eq!(ended.code, Some(1), "{table} of {day}: {ended:?}");
            let said = format!("{table} of {day} is not there, and the day's snapshot was dropped");
            assert!(ended.stdout.contains(&said), "{ended:?}");
        }
        let ended = command(&scene, &["trends", &pipeline]);
        assert!(ended.code == Some(1) && ended.stdout.contains("restore them"), "{ended:?}");
        assert_eq!(of_trends(tables(&scene)), before, "{table} of {day}: nothing is computed from the gap");
        std::fs::write(&lost, whole).expect("restored");
        let ended = command(&scene, &["trends", &pipeline]);
        assert!(ended.stdout.contains("2 of 2 days were as their snapshots say"), "{ended:?}");
        is_sound(&scene, &pipeline, &[]);
    }
}

#[test]
fn what_is_lost_of_a_dropped_day_is_taken_from_its_month_where_that_has_it() {
    let all = COMPACT.replace("[", "[\"compliance_trends\", \"pack_status\", ");
    let (scene, pipeline) = kept(&drops_five().replace(COMPACT, &all));
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
    let before = of_trends(tables(&scene));
    for (table, day) in [("compliance_trends", DAYS[4]), ("compliance_trends", DAYS[0]), ("pack_status", DAYS[4])] {
        let lost = of_day(&scene, table, day);
        let whole = std::fs::read(&lost).expect("read");
        for damaged in [None, Some(&whole[..9])] {
            match damaged {
                None => std::fs::remove_file(&lost).expect("removed"),
                Some(part) => std::fs::write(&lost, part).expect("cut"),
            }
            let ended = command(&scene, &["trends", &pipeline]);
            assert_eq!(ended.code, Some(0), "{table} of {day}: {ended:?}");
            assert!(ended.stdout.contains("2 of 2 days were as their snapshots say"), "{ended:?}");
            // It is told for as long as it is not there.
            let ended = command(&scene, &["verify", &pipeline]);
            assert_eq!(ended.code, Some(1), "{table} of {day}: {ended:?}");
            assert!(ended.stdout.contains("takes it from its month's file"), "{table} of {day}: {ended:?}");
        }
        is_sound(&scene, &pipeline, &["--repair"]);
        assert!(std::fs::read(&lost).expect("there again") == whole, "{table} of {day}");
    }
    assert_eq!(of_trends(tables(&scene)), before);
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_table_of_a_dropped_day_that_is_damaged_or_gone_is_not_said_to_be_computed_again() {
    let (scene, pipeline) = dropped();
    std::fs::remove_file(of_day(&scene, "pack_changes", DAYS[1])).expect("removed");
    let state = of_day(&scene, "pack_status", DAYS[2]);
    let whole = std::fs::read(&state).expect("read");
    std::fs::write(&state, &whole[..whole.len() - 3]).expect("cut");
    let ended = command(&scene, &["verify", &pipeline]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("pack_changes of 2026-01-05 is not there"), "{ended:?}");
    assert!(ended.stdout.contains("restore an earlier version of the object"), "{ended:?}");
    assert!(!ended.stdout.contains("computes it again") && ended.stdout.contains("2 problems found"), "{ended:?}");
}

#[test]
fn what_one_aggregator_has_lost_does_not_stop_the_repair_of_another() {
    let lines = format!("fan_out = \"region\"\n[maintain]\n{}", drops_five());
    let scene = Scene::new("");
    let pipeline = scene.pipeline("");
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let maintained = lines.split_once('\n').map(|(_, rest)| rest).expect("lines");
    std::fs::write(&pipeline, format!("{text}\n{maintained}\n")).expect("written");
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    let pipeline = pipeline.display().to_string();
    maintain(&scene, &pipeline, &["--apply"]);
    std::fs::remove_file(of_day(&scene, "pack_status", DAYS[4])).expect("removed");
    let other = scene.path("lake/pack_changes/snapshot_date=2026-02-28/aggregator=security/data.parquet");
    let whole = std::fs::read(&other).expect("read");
    std::fs::remove_file(&other).expect("removed");
    let ended = command(&scene, &["verify", &pipeline, "--repair"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("pack_status of 2026-02-14 is not there"), "{ended:?}");
    assert_eq!(std::fs::read(&other).expect("computed again"), whole);
}

#[test]
fn a_drop_that_was_stopped_is_finished_only_where_the_month_still_has_the_day() {
    let (scene, pipeline) = kept(&drops_five());
    // What a kill leaves between the ledger's row and the removal: the files are put back, and the entry with them.
    let own = files(&scene.path("lake"));
    maintain(&scene, &pipeline, &["--apply"]);
    let ledger = scene.read(&scene.lake(), Table::Runs, "org", DAYS[3]).expect("a ledger");
    let run_id = crate::support::reading::column(&ledger, "run_id").pop().expect("the drop");
    for table in ["pack_compliance", "source_status"] {
        let name = format!("{table}/snapshot_date={}/aggregator=org/data.parquet", DAYS[3]);
        let path = scene.path("lake").join(&name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, &own[&name]).expect("put back");
    }
    let document = files(&scene.path("lake/_compline/ledger"));
    let row = document.iter().find(|(name, _)| name.contains(DAYS[3]) && name.contains(&run_id)).expect("a row").1;
    let entry = format!(
        "{{\"version\":1,\"command\":\"maintain\",\"drops\":[{{\"dataset\":\"packs\",\"snapshot_date\":\"{}\",\"row\":{}}}]}}",
        DAYS[3],
        String::from_utf8_lossy(row)
    );
    let journal = scene.path("lake/_compline/journal/aggregator=org");
    std::fs::create_dir_all(&journal).expect("made");
    std::fs::write(journal.join(format!("{run_id}.json")), entry).expect("written");
    let month = month_file(&scene, "pack_compliance", "2026-02");
    let whole = std::fs::read(&month).expect("read");
    std::fs::write(&month, &whole[..whole.len() - 3]).expect("cut");

    let ended = import_one(&scene, &pipeline, "2026-03-02", &["--accept"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("the files of 2026-02-01, which was dropped, stay"), "{ended:?}");
    assert!(of_day(&scene, "pack_compliance", DAYS[3]).exists(), "the only copy");
    // What the run that was stopped at the day is not the reason of is told, and no run completes it.
    let ended = command(&scene, &["verify", &pipeline]);
    assert!(ended.stdout.contains("cannot read pack_compliance_monthly/snapshot_month=2026-02"), "{ended:?}");
    assert!(noted_problems(&scene, &pipeline) > 0);
    std::fs::write(&month, whole).expect("restored");
    let ended = import_one(&scene, &pipeline, "2026-03-03", &["--accept"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!of_day(&scene, "pack_compliance", DAYS[3]).exists(), "dropped at last");
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_run_that_changes_nothing_does_not_deny_with_its_row_that_a_day_was_dropped() {
    let (scene, pipeline) = dropped();
    let ledger = of_day(&scene, "runs", DAYS[1]);
    let whole = std::fs::read(&ledger).expect("read");
    std::fs::remove_file(&ledger).expect("removed");
    std::fs::remove_dir_all(scene.path(&format!("lake/_compline/ledger/snapshot_date={}", DAYS[1]))).expect("removed");
    // What is left, the report of its night, says nothing of that: `--repair` does not make it again from there.
    assert_eq!(command(&scene, &["verify", &pipeline, "--repair"]).code, Some(1));
    let ended = import_one(&scene, &pipeline, DAYS[1], &["--replace"]);
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:?}");
    assert!(!ledger.exists(), "{ended:?}");
    std::fs::write(&ledger, whole).expect("restored");
    is_sound(&scene, &pipeline, &["--repair"]);
}

#[test]
fn a_day_whose_ledger_is_gone_is_not_dropped() {
    let (scene, pipeline) = kept(&drops_five());
    std::fs::remove_file(of_day(&scene, "runs", DAYS[1])).expect("removed");
    for folder in ["ledger", "runs"] {
        std::fs::remove_dir_all(scene.path("lake/_compline").join(folder)).expect("removed");
    }
    let ended = command(&scene, &["maintain", &pipeline, "--apply"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("org: snapshots from 2026-01-05 on are retained"), "{ended:?}");
    assert!(of_day(&scene, "pack_compliance", DAYS[1]).exists());
    assert_eq!(command(&scene, &["verify", &pipeline]).code, Some(1));
}

#[test]
fn no_day_comes_before_a_dropped_one_that_is_facts_only() {
    let scene = Scene::new("");
    let (lines, failing) = (drops_five(), "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"");
    let file = |filter: &str| scene.org_pipeline("lake", filter, &format!("[maintain]\n{lines}"));
    scene.night(&file(failing), DAYS[1]);
    let pipeline = file("");
    scene.night(&pipeline, DAYS[6]);
    let pipeline = pipeline.display().to_string();
    maintain(&scene, &pipeline, &["--apply"]);
    let before = tables(&scene);
    let ended = import_one(&scene, &pipeline, DAYS[0], &["--accept"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("the snapshot of 2026-01-05 was dropped"), "{ended:?}");
    let trends = |tables| of_trends(tables);
    assert_eq!(trends(tables(&scene)), trends(before));
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_day_is_held_for_what_it_lost_against_one_whose_snapshot_was_dropped() {
    let (scene, pipeline) = dropped();
    let ended = import_one(&scene, &pipeline, DAYS[5], &["--replace"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains("against 2026-02-14 it lost"), "{ended:?}");
}

#[test]
fn states_that_are_in_a_month_are_dropped_only_once_it_has_them_as_they_are_by_now() {
    let (scene, pipeline) = kept("compact = [\"pack_status\"]\npack_status_days = 5");
    maintain(&scene, &pipeline, &["--apply"]);
    let ended = import_one(&scene, &pipeline, DAYS[0], &["--replace", "--accept"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Another file does not compact them, and has them dropped.
    let other = scene.org_pipeline("lake", "", "[maintain]\npack_status_days = 5").display().to_string();
    let ended = maintain(&scene, &other, &["--apply"]);
    assert!(ended.stdout.contains("compacted 3 days into pack_status_monthly/snapshot_month=2026-01"), "{ended:?}");
    assert!(ended.stdout.contains("dropped pack_status of"), "{ended:?}");
    let month = month_file(&scene, "pack_status", "2026-01");
    let named = crate::maintain::rows_of_month(&month);
    assert_eq!(named.iter().filter(|name| *name == "one").count(), 3, "in each state of January");
    is_sound(&scene, &other, &[]);
}

#[test]
fn verify_repair_makes_a_month_again_that_is_wrong_however_new_it_seems() {
    let (scene, pipeline) = kept("compact = [\"pack_changes\", \"pack_status\"]");
    maintain(&scene, &pipeline, &["--apply"]);
    let month = month_file(&scene, "pack_changes", "2026-01");
    let old = std::fs::read(&month).expect("read");
    assert_eq!(import_one(&scene, &pipeline, DAYS[1], &["--replace", "--accept"]).code, Some(0));
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
    let good = std::fs::read(&month).expect("read");
    // An earlier version is restored, whose object is newer than its days.
    std::fs::write(&month, old).expect("restored");
    // Nobody's any more: it left the file, or the file compacts nothing.
    let none = scene.org_pipeline("lake", "", "").display().to_string();
    assert_eq!(command(&scene, &["verify", &none]).code, Some(1));
    let ended = command(&scene, &["verify", &none, "--repair"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(std::fs::read(&month).expect("read"), good);
}

#[test]
fn a_month_loses_its_only_day_where_that_is_facts_only_by_now() {
    let lines = "[maintain]\ncompact = [\"pack_changes\", \"compliance_trends\"]";
    let scene = Scene::new("");
    let plain = scene.org_pipeline("lake", "", lines);
    [DAYS[0], DAYS[4]].iter().for_each(|day| drop(scene.night(&plain, day)));
    maintain(&scene, &plain.display().to_string(), &["--apply"]);
    let failing = scene.org_pipeline("lake", "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"", lines);
    scene.night(&failing, DAYS[0]);
    let failing = failing.display().to_string();
    assert_eq!(command(&scene, &["verify", &failing]).code, Some(1));
    maintain(&scene, &failing, &["--apply"]);
    is_sound(&scene, &failing, &[]);
    assert_eq!(maintain(&scene, &failing, &["--apply"]).stdout, "nothing to do\n");
}

#[test]
fn a_document_of_the_ledger_that_is_damaged_is_told_and_written_again_while_the_ledger_is_sound() {
    let (scene, pipeline) = kept("");
    let folder = scene.path("lake/_compline/ledger").join(format!("snapshot_date={}/aggregator=org", DAYS[2]));
    let name = files(&folder).into_keys().next().expect("a document");
    let whole = std::fs::read(folder.join(&name)).expect("read");
    for damaged in ["", "x", "{}"] {
        std::fs::write(folder.join(&name), damaged).expect("damaged");
        let ended = command(&scene, &["verify", &pipeline]);
        assert_eq!(ended.code, Some(1), "{damaged:?}: {ended:?}");
        assert!(ended.stdout.contains("in _compline/ledger cannot be read"), "{ended:?}");
        let ended = command(&scene, &["verify", &pipeline, "--repair"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(std::fs::read(folder.join(&name)).expect("read"), whole);
    }
}

#[test]
fn a_state_that_was_too_old_to_be_written_is_not_taken_for_lost_by_another_file() {
    let scene = Scene::new("");
    let young = scene.org_pipeline("lake", "", "[maintain]\npack_status_days = 5").display().to_string();
    for day in [DAYS[6], DAYS[0]] {
        assert_eq!(import_one(&scene, &young, day, &["--accept"]).code, Some(0));
    }
    assert!(!of_day(&scene, "pack_status", DAYS[0]).exists());
    is_sound(&scene, &young, &[]);
    let plain = scene.org_pipeline("lake", "", "").display().to_string();
    is_sound(&scene, &plain, &[]);
    assert_eq!(command(&scene, &["trends", &plain]).code, Some(0));
    is_sound(&scene, &plain, &[]);
}

#[test]
fn the_month_of_states_has_one_that_was_computed_before_a_drop() {
    let scene = Scene::new("");
    let lines = format!(
        "[maintain]\ncompact = [\"pack_compliance\", \"source_status\", \"pack_status\"]\npack_status_days = 5\nsnapshot_days = {}",
        age_of(DAYS[6])
    );
    let pipeline = scene.org_pipeline("lake", "", &lines).display().to_string();
    for day in [DAYS[6], DAYS[5], DAYS[4]] {
        assert_eq!(import_one(&scene, &pipeline, day, &["--accept"]).code, Some(0));
    }
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("computed pack_status of 2026-02-28"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
    assert_eq!(maintain(&scene, &pipeline, &["--apply"]).stdout, "nothing to do\n");
}

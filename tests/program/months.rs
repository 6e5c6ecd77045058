//! Months of tables that are computed, and of the ledger: they are what their days are by now.

use crate::maintain::{DAYS, import_one, kept, maintain, month_file};
use crate::support::reading::{column, file};
use crate::support::{Ended, Scene, run};
use crate::verify::is_sound;
use compline_model::Table;
use std::path::Path;

/// A column of a month's file.
fn of_month(path: &Path, name: &str) -> Vec<String> {
    let file = bytes::Bytes::from(std::fs::read(path).expect("read"));
    let batches = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1024).expect("Parquet");
    batches.flat_map(|batch| column(&batch.expect("rows"), name)).collect()
}

/// Replaces a day by a snapshot of one pack.
fn replace(scene: &Scene, pipeline: &str, day: &str) -> Ended {
    let ended = import_one(scene, pipeline, day, &["--accept", "--replace"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

#[test]
fn f01_a_month_of_states_whose_own_files_were_dropped_follows_a_day_that_is_replaced() {
    let (scene, pipeline) = kept("compact = [\"pack_status\"]\npack_status_days = 5");
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
    let month = month_file(&scene, "pack_status", "2026-01");
    assert!(!of_month(&month, "conformance_pack_name").contains(&"one".to_owned()));
    replace(&scene, &pipeline, DAYS[0]);
    let behind = run(scene.command(&["verify", &pipeline]));
    assert_eq!(behind.code, Some(1), "{behind:?}");
    assert!(behind.stdout.contains("`compline verify FILE --repair` makes it again"), "{behind:?}");
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
    // The pack is in every state from there on: three days of January, though only one has it present.
    let named = of_month(&month, "conformance_pack_name").iter().filter(|name| *name == "one").count();
    assert_eq!(named, 3);
    assert_eq!(maintain(&scene, &pipeline, &["--apply"]).stdout, "nothing to do\n");
}

#[test]
fn f01_a_month_of_trends_loses_a_day_that_is_facts_only_by_now() {
    let maintained = "[maintain]\ncompact = [\"compliance_trends\", \"pack_changes\"]";
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "", maintained).display().to_string();
    DAYS.iter().for_each(|day| drop(scene.night(Path::new(&pipeline), day)));
    maintain(&scene, &pipeline, &["--apply"]);
    let failing = scene.org_pipeline("lake", "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"", maintained);
    scene.night(&failing, DAYS[1]);
    let failing = failing.display().to_string();
    let behind = run(scene.command(&["verify", &failing]));
    assert_eq!(behind.code, Some(1), "{behind:?}");
    assert!(behind.stdout.contains("has 2026-01-05, which is facts only"), "{behind:?}");
    maintain(&scene, &failing, &["--apply"]);
    is_sound(&scene, &failing, &[]);
    let days = of_month(&month_file(&scene, "compliance_trends", "2026-01"), "snapshot_date");
    assert!(!days.is_empty() && !days.contains(&DAYS[1].to_owned()), "{days:?}");
}

#[test]
fn the_month_of_a_ledger_has_the_rows_of_days_that_are_dropped_with_it() {
    let (scene, pipeline) = kept("compact = [\"pack_compliance\", \"source_status\", \"runs\"]\nsnapshot_days = 5");
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("org: dropped pack_compliance of 6 days"), "{ended:?}");
    let outcomes = of_month(&month_file(&scene, "runs", "2026-01"), "outcome");
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "dropped").count(), 3, "{outcomes:?}");
    is_sound(&scene, &pipeline, &[]);
    assert_eq!(maintain(&scene, &pipeline, &["--apply"]).stdout, "nothing to do\n");
}

#[test]
fn a_month_that_lacks_a_dropped_day_is_not_written_over_and_takes_no_day_until_it_is_restored() {
    let (scene, pipeline) = kept("compact = [\"pack_compliance\", \"source_status\"]\nsnapshot_days = 5");
    maintain(&scene, &pipeline, &["--apply"]);
    let month = month_file(&scene, "pack_compliance", "2026-02");
    let whole = std::fs::read(&month).expect("read");
    std::fs::remove_file(&month).expect("removed");
    // A day that is filled in, of the month that is lost.
    let plain = scene.org_pipeline("lake", "", "").display().to_string();
    assert_eq!(run(scene.command(&["verify", &plain])).code, Some(1));
    let january = month_file(&scene, "pack_compliance", "2026-01");
    let before = std::fs::read(&january).expect("read");
    let pipeline = scene
        .org_pipeline("lake", "", "[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]\nsnapshot_days = 5")
        .display()
        .to_string();
    replace(&scene, &pipeline, DAYS[5]);
    for _ in 0..2 {
        let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stdout.contains("does not have 2026-02-01, which was dropped: restore"), "{ended:?}");
        assert!(!month.exists(), "{ended:?}");
        let own = scene.path("lake/pack_compliance/snapshot_date=2026-02-28/aggregator=org/data.parquet");
        assert!(own.exists(), "nothing else has it: {ended:?}");
    }
    std::fs::write(&month, whole).expect("restored");
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("compacted 3 days into pack_compliance_monthly/snapshot_month=2026-02"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
    assert!(of_month(&month, "conformance_pack_name").contains(&"one".to_owned()));
    assert_eq!(std::fs::read(&january).expect("read"), before);
}

#[test]
fn a_day_that_is_damaged_is_told_once_and_its_month_that_has_it_is_not_called_wrong() {
    let (scene, pipeline) = kept("compact = [\"pack_compliance\", \"runs\"]");
    maintain(&scene, &pipeline, &["--apply"]);
    for table in [Table::PackCompliance, Table::Runs] {
        let path = file(&scene, table, DAYS[1]);
        let whole = std::fs::read(&path).expect("read");
        let mut flipped = whole.clone();
        flipped[whole.len() / 3] ^= 1;
        std::fs::write(&path, flipped).expect("written");
        for arguments in [&[][..], &["--from", DAYS[2]]] {
            let ended = run(scene.command(&[&["verify", &pipeline], arguments].concat()));
            assert_eq!(ended.code, Some(1), "{ended:?}");
            let tells = |what: &str| ended.stdout.lines().filter(|line| line.contains(what)).count();
            let key = format!("{}/snapshot_date={}/", table.name(), DAYS[1]);
            assert_eq!((tells(&key), tells("_monthly/")), (1, 0), "{arguments:?}: {ended:?}");
        }
        std::fs::write(&path, whole).expect("written");
    }
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn days_before_one_that_is_damaged_are_dropped_and_its_month_is_not_called_wrong() {
    let compact = "compact = [\"pack_compliance\", \"source_status\"]";
    let (scene, pipeline) = kept(compact);
    maintain(&scene, &pipeline, &["--apply"]);
    let path = file(&scene, Table::PackCompliance, DAYS[2]);
    let whole = std::fs::read(&path).expect("read");
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    std::fs::write(&path, flipped).expect("written");
    let drops = format!("[maintain]\nsnapshot_days = 5\n{compact}");
    let pipeline = scene.org_pipeline("lake", "", &drops).display().to_string();
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("org: dropped pack_compliance of 2 days, 2026-01-02 to 2026-01-05, "), "{ended:?}");
    assert!(ended.stdout.contains("snapshots from 2026-01-31 on are retained: "), "{ended:?}");
    assert!(!ended.stdout.contains("compacted 3 days"), "{ended:?}");
    std::fs::write(&path, whole).expect("restored");
    maintain(&scene, &pipeline, &["--apply"]);
    assert!(!path.exists());
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_day_that_is_damaged_beside_a_month_of_states_is_retained_and_the_others_are_dropped() {
    let (scene, pipeline) = kept("compact = [\"pack_status\"]");
    maintain(&scene, &pipeline, &["--apply"]);
    let path = file(&scene, Table::PackStatus, DAYS[1]);
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let pipeline = scene
        .org_pipeline("lake", "", "[maintain]\npack_status_days = 1\ncompact = [\"pack_status\"]")
        .display()
        .to_string();
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("pack_status of 2026-01-05 is retained: "), "{ended:?}");
    assert!(path.exists() && !file(&scene, Table::PackStatus, DAYS[0]).exists(), "{ended:?}");
}

#[test]
fn a_month_that_is_anothers_is_told_and_nothing_of_it_gets_into_another() {
    let compact = "compact = [\"pack_compliance\", \"source_status\"]";
    for is_dropped in [false, true] {
        let (scene, pipeline) = kept(compact);
        maintain(&scene, &pipeline, &["--apply"]);
        let drops = format!("[maintain]\nsnapshot_days = 5\n{compact}");
        let pipeline = match is_dropped {
            true => scene.org_pipeline("lake", "", &drops).display().to_string(),
            false => pipeline,
        };
        maintain(&scene, &pipeline, &["--apply"]);
        let months = ["2026-01", "2026-02"].map(|month| month_file(&scene, "pack_compliance", month));
        let whole = months.clone().map(|path| std::fs::read(path).expect("read"));
        // Swapped, the one over the other, and in a month that has none of its own.
        let nowhere = month_file(&scene, "pack_compliance", "2025-12");
        std::fs::create_dir_all(nowhere.parent().expect("a folder")).expect("a folder");
        let swapped = [(&months[0], &whole[1]), (&months[1], &whole[0])];
        for wrong in [&swapped[..], &swapped[..1], &[(&nowhere, &whole[0])]] {
            wrong.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("written"));
            let ended = run(scene.command(&["verify", &pipeline]));
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stdout.contains("it is of snapshot_month=2026-0"), "{ended:?}");
            let repaired = run(scene.command(&["verify", &pipeline, "--repair"]));
            let maintained = run(scene.command(&["maintain", &pipeline, "--apply"]));
            assert_eq!((repaired.code, maintained.code), (Some(1), Some(3)), "{repaired:?} {maintained:?}");
            // It may be the only one that has its days, wherever it lies.
            for (path, bytes) in wrong {
                assert!(std::fs::read(path).expect("read") == **bytes, "{}: {repaired:?}", path.display());
            }
            for (path, bytes) in months.iter().zip(&whole) {
                let is_wrong = wrong.iter().any(|(other, _)| *other == path);
                assert!(is_wrong || std::fs::read(path).expect("read") == *bytes, "{}: {repaired:?}", path.display());
                std::fs::write(path, bytes).expect("restored");
            }
            let _ = std::fs::remove_file(&nowhere);
        }
        is_sound(&scene, &pipeline, &[]);
    }
}

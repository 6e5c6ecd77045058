//! `compline trends`: the trend tables again from the snapshots.

use crate::support::reading::{file, files, of_trends};
use crate::support::{Ended, Scene, run};
use compline_model::Table;

/// A gap, and a day more than a week after the first.
const DAYS: [&str; 5] = ["2026-02-20", "2026-02-21", "2026-02-24", "2026-02-28", "2026-03-01"];

fn kept() -> (Scene, String) {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("");
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    (scene, pipeline.display().to_string())
}

fn recompute(scene: &Scene, pipeline: &str, arguments: &[&str]) -> Ended {
    let ended = run(scene.command(&[&["trends", pipeline, "--only", "org"], arguments].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

#[test]
fn what_nights_made_is_what_the_snapshots_say_and_what_was_spoiled_is_made_again() {
    let (scene, pipeline) = kept();
    let before = files(&scene.path("lake"));
    let ended = recompute(&scene, &pipeline, &[]);
    assert_eq!(ended.stdout, "org: 5 of 5 days were as their snapshots say, 2026-02-20 to 2026-03-01\n");
    assert_eq!(files(&scene.path("lake")), before, "nothing is written where nothing differs");

    // Another day's state, a file that is cut, one that is gone: on days 2, 4 and 5.
    std::fs::copy(file(&scene, Table::PackStatus, DAYS[0]), file(&scene, Table::PackStatus, DAYS[1])).expect("copied");
    let cut = std::fs::read(file(&scene, Table::ComplianceTrends, DAYS[3])).expect("read");
    std::fs::write(file(&scene, Table::ComplianceTrends, DAYS[3]), &cut[..cut.len() - 9]).expect("written");
    std::fs::remove_file(file(&scene, Table::PackChanges, DAYS[4])).expect("removed");
    let ended = recompute(&scene, &pipeline, &[]);
    assert!(
        ended.stdout.contains("org: 2 of 5 days were as their snapshots say, 2026-02-20 to 2026-03-01; recomputed: 3"),
        "{ended:?}"
    );
    assert_eq!(files(&scene.path("lake")), before);
}

#[test]
fn some_days_alone_are_computed_and_later_ones_follow_with_the_next_run() {
    let (scene, pipeline) = kept();
    let before = of_trends(files(&scene.path("lake")));
    let spoiled = |day: &str| {
        std::fs::copy(file(&scene, Table::ComplianceTrends, DAYS[0]), file(&scene, Table::ComplianceTrends, day))
            .expect("copied");
    };
    spoiled(DAYS[2]);
    spoiled(DAYS[4]);
    let ended = recompute(&scene, &pipeline, &["--from", "2026-02-22", "--to", "2026-02-27"]);
    assert!(
        ended.stdout.contains("org: 0 of 1 days were as their snapshots say, 2026-02-24 to 2026-02-24; recomputed: 1"),
        "{ended:?}"
    );
    assert_ne!(of_trends(files(&scene.path("lake"))), before, "a later day is as it was");
    // Whatever was computed from what is now otherwise is taken up by the next run, of whatever day.
    scene.night(&scene.pipeline(""), DAYS[3]);
    assert_eq!(of_trends(files(&scene.path("lake"))), before);
}

#[test]
fn days_without_a_snapshot_are_said_to_have_none() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    // There is something of a lake, and no day.
    std::fs::create_dir_all(scene.path("lake/_compline/runs")).expect("made");
    std::fs::write(scene.path("lake/_compline/runs/one"), "").expect("written");
    let ended = recompute(&scene, &pipeline, &["--from", "2026-02-22"]);
    assert_eq!(ended.stdout, "org: no snapshot of those days\n");
    let wrong = run(scene.command(&["trends", &pipeline, "--from", "2026-02-22", "--to", "2026-02-21"]));
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("--from 2026-02-22 is after --to 2026-02-21"), "{wrong:?}");
}

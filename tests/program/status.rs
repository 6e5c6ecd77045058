//! `compline status`: how fresh a lake is, for a health check.

use crate::support::{Ended, Scene, run};
use chrono::{Days, NaiveDate, Utc};
use std::path::PathBuf;

fn day(ago: u64) -> String {
    let today: NaiveDate = Utc::now().date_naive();
    today.checked_sub_days(Days::new(ago)).expect("a day").to_string()
}

fn status(scene: &Scene, pipeline: &str, more: &[&str]) -> Ended {
    run(scene.command(&[&["status", pipeline], more].concat()))
}

/// What it says as JSON of the one aggregator.
fn json(scene: &Scene, pipeline: &str) -> serde_json::Value {
    let ended = status(scene, pipeline, &["--json"]);
    serde_json::from_str::<serde_json::Value>(&ended.stdout).expect("JSON")[0].clone()
}

/// A lake that has these days, so many days ago.
fn lake(days: &[u64]) -> (Scene, PathBuf) {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "");
    days.iter().for_each(|ago| drop(scene.night(&pipeline, &day(*ago))));
    (scene, pipeline)
}

#[test]
fn a_fresh_lake_is_said_to_be_so_with_its_gaps_and_its_stale_sources() {
    let (scene, pipeline) = lake(&[5, 4, 1, 0]);
    let pipeline = pipeline.display().to_string();
    let ended = status(&scene, &pipeline, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = format!("org: 2 days without a snapshot in the last 30 days: {}, {}", day(3), day(2));
    assert!(ended.stdout.contains(&said), "{ended:?}");
    let found = json(&scene, &pipeline);
    assert_eq!(found["snapshot_date"], day(0));
    assert_eq!(found["gaps"], serde_json::json!([day(3), day(2)]));
    assert_eq!((&found["is_too_old"], &found["held"]), (&false.into(), &serde_json::json!([])));
    assert!(found["age_secs"].as_i64().expect("seconds") < 3600 && found["rows"].as_u64() > Some(10), "{found}");
    assert!(found["stale_sources"].is_object() && found["trends_from"].is_null(), "{found}");
}

#[test]
fn a_lake_that_nobody_feeds_any_more_is_too_old_and_one_without_a_snapshot_as_well() {
    let (scene, pipeline) = lake(&[40, 39]);
    let path = pipeline.display().to_string();
    let ended = status(&scene, &path, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains(&format!("org: TOO OLD: the last snapshot is of {}", day(39))), "{ended:?}");
    assert_eq!(status(&scene, &path, &["--max-age", "60d"]).code, Some(0));
    // The day is as old as it was, though it is committed again now.
    scene.night(&pipeline, &day(39));
    assert_eq!(status(&scene, &path, &[]).code, Some(1));
    assert_eq!(json(&scene, &path)["gaps"].as_array().map(Vec::len), Some(30));

    let (scene, pipeline) = lake(&[]);
    let ended = status(&scene, &pipeline.display().to_string(), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("org: TOO OLD: there is no snapshot"), "{ended:?}");
    assert_eq!(status(&scene, &pipeline.display().to_string(), &["--max-age", "soon"]).code, Some(2));
}

#[test]
fn a_held_day_and_a_damaged_file_are_alarms_and_a_night_that_failed_is_not_by_itself() {
    let (scene, pipeline) = lake(&[2, 1]);
    let small = Scene::of_accounts(2);
    let text = std::fs::read_to_string(small.org_pipeline("lake", "", "")).expect("read");
    let own = format!("{:?}", small.path("lake").display().to_string());
    let theirs = format!("{:?}", scene.path("lake").display().to_string());
    std::fs::write(small.path("small.toml"), text.replace(&own, &theirs)).expect("written");
    assert_eq!(run(small.command(&["run", "small.toml", "--date", &day(0)])).code, Some(4));
    let path = pipeline.display().to_string();
    let ended = status(&scene, &path, &["--max-age", "60h"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains(&format!("org: HELD: {}", day(0))), "{ended:?}");
    assert_eq!(json(&scene, &path)["held"], serde_json::json!([day(0)]));
    assert_eq!(run(scene.command(&["run", &path, "--date", &day(0), "--reject"])).code, Some(0));
    let ended = status(&scene, &path, &["--max-age", "60h"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(json(&scene, &path)["snapshot_date"], day(1), "the last that was committed");

    let ledger = scene.path("lake/runs").join(format!("snapshot_date={}/aggregator=org/data.parquet", day(1)));
    std::fs::write(&ledger, "x").expect("damaged");
    let ended = status(&scene, &path, &["--max-age", "60h"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("verify FILE --repair"), "{ended:?}");
}

#[test]
fn a_day_that_is_committed_and_not_in_the_ledger_yet_is_the_last_one() {
    let (scene, pipeline) = lake(&[1]);
    let pipeline = pipeline.display().to_string();
    // As a full disk does: the snapshot is put, and its row in the ledger is not.
    let in_the_way = scene.path(&format!("lake/runs/snapshot_date={}", day(0)));
    std::fs::write(&in_the_way, "").expect("written");
    assert_eq!(run(scene.command(&["run", &pipeline, "--date", &day(0)])).code, Some(3));
    std::fs::remove_file(&in_the_way).expect("removed");
    let ended = status(&scene, &pipeline, &[]);
    assert!(
        ended.code == Some(0) && ended.stdout.contains(&format!("org: {} is not in the ledger yet", day(0))),
        "{ended:?}"
    );
    let found = json(&scene, &pipeline);
    assert!(found["snapshot_date"] == day(0) && found["committed_at"].is_null() && found["rows"].is_null(), "{found}");

    // One that no stopped run is to write, somebody has removed.
    assert_eq!(run(scene.command(&["trends", &pipeline])).code, Some(0));
    assert_eq!(status(&scene, &pipeline, &[]).code, Some(0));
    std::fs::remove_dir_all(scene.path(&format!("lake/runs/snapshot_date={}", day(0)))).expect("removed");
    let ended = status(&scene, &pipeline, &[]);
    let said = format!("org: the ledger of {}, in runs, is not in the lake: `compline verify FILE --repair`", day(0));
    assert!(ended.code == Some(1) && ended.stdout.contains(&said), "{ended:?}");
    assert!(!ended.stdout.contains("not in the ledger yet"), "{ended:?}");
    assert_eq!(run(scene.command(&["verify", &pipeline, "--repair"])).code, Some(0));
    assert_eq!(status(&scene, &pipeline, &[]).code, Some(0));
    std::fs::remove_dir_all(scene.path(&format!("lake/source_status/snapshot_date={}", day(0)))).expect("removed");
    let ended = status(&scene, &pipeline, &[]);
    let said = format!("org: source_status of {} is not in the lake", day(0));
    assert!(ended.code == Some(1) && ended.stdout.contains(&said), "{ended:?}");
}

#[test]
fn a_committed_snapshot_that_is_gone_is_an_alarm_of_status_and_told_by_the_report() {
    let (scene, pipeline) = lake(&[1, 0]);
    let pipeline = pipeline.display().to_string();
    std::fs::remove_dir_all(scene.path(&format!("lake/pack_compliance/snapshot_date={}", day(0)))).expect("removed");
    let said = format!("the snapshot of {} is committed and is not in the lake", day(0));
    let ended = status(&scene, &pipeline, &[]);
    assert!(ended.code == Some(1) && ended.stdout.contains(&said), "{ended:?}");
    let ended = run(scene.command(&["report", &pipeline, "--format", "markdown"]));
    assert!(ended.stdout.contains(&said.replace('_', "\\_")), "{ended:?}");
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let ended = run(scene.command(&["report", &pipeline, "-o", &pipeline]));
    assert!(ended.code == Some(2) && ended.stderr.contains("that is the pipeline file"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&pipeline).expect("read"), text);
}

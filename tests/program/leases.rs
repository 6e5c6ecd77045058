//! One writer: runs at the same moment on the same lake.

use crate::support::moto::Moto;
use crate::support::reading::{files, of_trends};
use crate::support::{Ended, Scene, finish, rounds, run, signal, start, wait_until};
use compline_model::Table;
use compline_simulator::OrganizationSpec;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const DAY: &str = "2026-03-01";

/// An organization so small that a night is over at once.
fn tiny() -> Scene {
    Scene::of(OrganizationSpec { accounts: 3, regions: 1, packs: 2, ..OrganizationSpec::default() }, "")
}

fn night(scene: &Scene, pipeline: &Path, more: &[&str]) -> Command {
    let file = pipeline.display().to_string();
    let arguments = [&["run", &file, "--date", DAY], more].concat();
    let mut command = scene.command(&arguments);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

/// Two nights started at the same moment.
fn two(scene: &Scene, pipeline: &Path, more: &[&str]) -> [Ended; 2] {
    [start(night(scene, pipeline, more)), start(night(scene, pipeline, more))].map(finish)
}

fn left(ended: &Ended) -> bool {
    ended.code == Some(5) && ended.stderr.contains("another run holds the lease of org: `compline run` on ")
}

/// One works and the other leaves, or both work, one after the other.
fn one_works(ended: &[Ended; 2]) -> bool {
    ended.iter().any(|ended| ended.code == Some(0)) && ended.iter().all(|ended| ended.code == Some(0) || left(ended))
}

/// Every object below a prefix of the bucket, by its key below it.
fn objects(moto: &Moto, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let list = moto.request("GET", &format!("/bucket?list-type=2&prefix={prefix}"));
    let list = String::from_utf8(list).expect("UTF-8");
    let keys = list.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
    keys.map(|(key, _)| {
        let body = moto.request("GET", &format!("/bucket/{key}"));
        (key.strip_prefix(prefix).expect("below").to_owned(), body)
    })
    .collect()
}

/// A lake with one night, as it is right.
fn right() -> Scene {
    let scene = tiny();
    scene.night(&scene.pipeline(""), DAY);
    scene
}

#[test]
fn of_two_nights_at_the_same_moment_one_works_and_one_leaves_time_after_time() {
    let (scene, right) = (tiny(), right());
    let pipeline = scene.pipeline("");
    let (mut runs, rounds) = (0, rounds(10));
    for round in 0..rounds {
        let ended = two(&scene, &pipeline, &[]);
        assert!(one_works(&ended), "round {round}: {ended:?}");
        runs += ended.iter().filter(|ended| ended.code == Some(0)).count();
        assert_eq!(of_trends(files(&scene.path("lake"))), of_trends(files(&right.path("lake"))), "round {round}");
        assert_eq!(scene.rows(Table::PackCompliance, "org", DAY), right.rows(Table::PackCompliance, "org", DAY));
    }
    assert!(runs < 2 * rounds as usize, "they never met");
    // No line of the ledger is lost or doubled, and no lease is left.
    assert_eq!(scene.rows(Table::Runs, "org", DAY).len(), runs);
    let names = files(&scene.path("lake"));
    assert!(names.keys().all(|name| !name.contains("lease") && !name.contains("tmp")), "{:?}", names.keys());
}

#[test]
fn of_two_nights_at_the_same_moment_on_s3_one_works_and_one_leaves_time_after_time() {
    let (scene, right, moto) = (tiny(), right(), Moto::start());
    let lake = format!(
        "url = \"s3://bucket/a\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\npath_style = true",
        moto.url()
    );
    let pipeline = scene.write_pipeline(&lake, "");
    let (mut runs, rounds) = (0, rounds(10));
    for round in 0..rounds {
        let ended = two(&scene, &pipeline, &[]);
        assert!(one_works(&ended), "round {round}: {ended:?}");
        runs += ended.iter().filter(|ended| ended.code == Some(0)).count();
    }
    assert!(runs < 2 * rounds as usize, "they never met");
    let lake = objects(&moto, "a/");
    assert_eq!(of_trends(lake.clone()), of_trends(files(&right.path("lake"))));
    // A lease on S3 is released by a tombstone, so that nobody's is ever removed.
    let leases = lake.iter().filter(|(name, _)| name.contains("/lease/"));
    let released: Vec<bool> = leases.map(|(_, body)| is_released(body)).collect();
    assert_eq!(released, [true, true]);
    scene.put_lake("copy", &lake);
    let ledger = scene.read(&scene.lake_at("copy"), Table::Runs, "org", DAY).expect("a ledger");
    assert_eq!(ledger.num_rows(), runs);
}

fn is_released(lease: &[u8]) -> bool {
    let lease: serde_json::Value = serde_json::from_slice(lease).expect("JSON");
    lease["released"] == true
}

#[cfg(unix)]
#[test]
fn f07_a_run_that_is_frozen_while_another_takes_its_lease_over_changes_nothing_when_it_wakes() {
    let spec = OrganizationSpec { accounts: 3, regions: 1, packs: 2, ..OrganizationSpec::default() };
    let (scene, moto) = (Scene::of(spec, "latency_millis = 1500"), Moto::start());
    let lake = format!(
        "url = \"s3://bucket/a\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\npath_style = true",
        moto.url()
    );
    let pipeline = scene.write_pipeline(&lake, "");
    let frozen = start(night(&scene, &pipeline, &[]));
    wait_until("the first has its leases", || {
        let list = moto.request("GET", "/bucket?list-type=2&prefix=a/_compline/lease/aggregator=security");
        String::from_utf8_lossy(&list).contains("<Key>")
    });
    signal(frozen.id(), "-STOP");
    let at_once = run(night(&scene, &pipeline, &[]));
    assert_eq!(at_once.code, Some(5), "a lease is young for a minute: {at_once:?}");
    let next = run(night(&scene, &pipeline, &["--wait", "5m"]));
    assert_eq!(next.code, Some(0), "{next:?}");
    assert!(next.stderr.contains("taking over a lease that its holder no longer renews"), "{next:?}");
    let committed = objects(&moto, "a/");
    signal(frozen.id(), "-CONT");
    let woken = finish(frozen);
    assert_eq!(woken.code, Some(1), "{woken:?}");
    assert!(woken.stderr.contains("another run has taken it over"), "{woken:?}");
    let after = objects(&moto, "a/");
    let changed: Vec<_> = committed.iter().filter(|(key, body)| after.get(*key) != Some(body)).collect();
    assert!(changed.is_empty(), "{:?}", changed.iter().map(|(key, _)| key).collect::<Vec<_>>());
}

#[test]
fn two_nights_at_the_same_moment_that_wait_both_work_one_after_the_other() {
    let scene = tiny();
    let pipeline = scene.pipeline("");
    for _ in 0..5 {
        let ended = two(&scene, &pipeline, &["--wait", "1m"]);
        assert!(ended.iter().all(|ended| ended.code == Some(0)), "{ended:?}");
    }
    assert_eq!(scene.rows(Table::Runs, "org", DAY).len(), 10);
}

#[test]
fn a_second_run_says_at_once_who_is_at_work_since_when_and_on_what() {
    let scene = Scene::new("stall_every = 3");
    let pipeline = scene.pipeline("");
    let first = start(night(&scene, &pipeline, &[]));
    wait_until("the first has its leases", || scene.path("lake/_compline/lease/aggregator=security.json").exists());
    let arguments: [&[&str]; 3] = [&["run"], &["trends"], &["run", "--only", "security"]];
    for words in arguments {
        let mut command = scene.command(words);
        command.arg(&pipeline);
        if words[0] == "run" {
            command.args(["--date", DAY]);
        }
        let ended = run(command);
        assert_eq!(ended.code, Some(5), "{ended:?}");
        let process = format!("(process {}, run ", first.id());
        assert!(ended.stderr.contains(&process) && ended.stderr.contains(" since 20"), "{ended:?}");
        assert!(ended.stderr.contains("nothing was done") && ended.stdout.is_empty(), "{ended:?}");
    }
    let waited = run(night(&scene, &pipeline, &["--wait", "1s"]));
    assert_eq!(waited.code, Some(5), "{waited:?}");
    assert!(waited.stderr.contains("waiting for another run"), "{waited:?}");
    signal(first.id(), "-TERM");
    assert_eq!(finish(first).code, Some(143));
    assert!(!scene.path("lake/_compline/lease/aggregator=org.json").exists(), "it is released at the end");
}

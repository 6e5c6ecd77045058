//! Runs that are ended by force, at any moment.

use crate::support::reading::{files, of_trends, texts};
use crate::support::{Scene, finish, has_ended, rounds, run, signal, start, wait_until};
use crate::verify::is_sound;
use compline_model::Table;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAYS: [&str; 2] = ["2026-02-28", "2026-03-01"];

/// How many runs are killed in the middle of a change.
const HALVES: u32 = 4;

/// Whether the journal has an entry.
fn has_entry(scene: &Scene) -> bool {
    let folder = scene.path("lake/_compline/journal");
    folder.exists() && files(&folder).keys().any(|name| name.ends_with(".json") && !name.ends_with("/entry.json"))
}

/// Every partition that is in the lake can be read whole.
fn every_partition_is_whole(scene: &Scene) {
    let lake = scene.lake();
    for table in Table::ALL {
        for (aggregator, dates) in scene.runtime.block_on(lake.partitions(table)).expect("listed") {
            for date in dates {
                scene.read(&lake, table, aggregator.as_str(), &date.to_string());
            }
        }
    }
}

#[test]
fn killed_at_any_moment_a_rerun_gives_the_right_lake_and_no_reader_sees_half_a_day() {
    killed_at_any_moment(Scene::pipeline);
}

#[test]
fn killed_at_any_moment_with_rules_beside_packs_a_rerun_gives_the_right_lake() {
    killed_at_any_moment(Scene::pipeline_with_rules);
}

fn killed_at_any_moment(pipeline_of: fn(&Scene, &str) -> PathBuf) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").subsec_nanos();
    eprintln!("seed {seed}");
    let right = Scene::new("");
    let pipeline = pipeline_of(&right, "");
    let started = Instant::now();
    DAYS.iter().for_each(|day| drop(right.night(&pipeline, day)));
    let night = started.elapsed() / 2;

    let scene = Scene::new("");
    let pipeline = pipeline_of(&scene, "");
    scene.night(&pipeline, DAYS[0]);
    let mut moment = u64::from(seed);
    for day in [DAYS[1], DAYS[0]].into_iter().cycle().take(rounds(8) as usize) {
        let child = start(scene.command(&["run", &pipeline.display().to_string(), "--date", day]));
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(night.mul_f64((moment >> 33) as f64 / f64::from(1_u32 << 31)));
        signal(child.id(), "-9");
        finish(child);
        every_partition_is_whole(&scene);
    }
    // Moments by chance seldom meet a change that is half made: some are aimed at one.
    let mut halves = 0;
    for day in [DAYS[1], DAYS[0]].into_iter().cycle().take(40) {
        let child = start(scene.command(&["run", &pipeline.display().to_string(), "--date", day]));
        wait_until("an entry, or the end", || has_entry(&scene) || has_ended(child.id()));
        signal(child.id(), "-9");
        finish(child);
        halves += u32::from(has_entry(&scene));
        every_partition_is_whole(&scene);
        if halves == HALVES {
            break;
        }
    }
    assert_eq!(halves, HALVES, "runs that were killed in the middle of a change");
    // One rerun, of the last day: what the others left behind is made good as well.
    scene.night(&pipeline, DAYS[1]);
    is_sound(&scene, &pipeline.display().to_string(), &[]);
    assert_eq!(of_trends(files(&scene.path("lake"))), of_trends(files(&right.path("lake"))));
    for day in DAYS {
        for aggregator in ["org", "security"] {
            for table in [Table::PackCompliance, Table::RuleCompliance] {
                let rows = |scene: &Scene| scene.read(&scene.lake(), table, aggregator, day).map(|rows| texts(&rows));
                assert_eq!(rows(&scene), rows(&right));
            }
        }
    }
}

#[test]
fn a_replaced_day_whose_trends_could_not_be_written_gets_them_with_the_next_night() {
    let (right, scene, other) = (Scene::new(""), Scene::new(""), Scene::of_seed(2));
    let pipeline = right.pipeline("");
    DAYS.iter().for_each(|day| drop(right.night(&pipeline, day)));

    // The first day is committed as another organization was, and then replaced, but its trends cannot be written.
    let lake = format!("url = {:?}", scene.path("lake").display().to_string());
    other.night(&other.write_pipeline(&lake, ""), DAYS[0]);
    let in_the_way = scene.path("lake/pack_changes").join(format!("snapshot_date={}", DAYS[0]));
    std::fs::remove_dir_all(&in_the_way).expect("removed");
    std::fs::write(&in_the_way, "").expect("written");
    let pipeline = scene.pipeline("");
    let ended = run(scene.command(&["run", &pipeline.display().to_string(), "--date", DAYS[0]]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let waits = format!("the snapshot is committed, and the trends from {} on wait", DAYS[0]);
    assert!(ended.stdout.contains(&waits), "{ended:?}");
    std::fs::remove_file(&in_the_way).expect("removed");

    scene.night(&pipeline, DAYS[1]);
    assert_eq!(of_trends(files(&scene.path("lake"))), of_trends(files(&right.path("lake"))));
}

#[test]
fn b64_sigterm_and_sigint_end_within_seconds_and_leave_no_temporary_file() {
    for (name, code) in [("-TERM", 143), ("-INT", 130)] {
        let scene = Scene::new("stall_every = 7");
        let pipeline = scene.pipeline("page_size = 10").display().to_string();
        let child = start(scene.command(&["run", &pipeline, "--date", DAYS[0]]));
        wait_until("the run has begun", || scene.path("lake/_compline/lease").exists());
        std::thread::sleep(Duration::from_millis(300));
        let asked = Instant::now();
        signal(child.id(), name);
        let ended = finish(child);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        assert!(ended.stderr.contains("run again"), "{ended:?}");
        let left = files(&scene.path("lake"));
        assert!(left.keys().all(|name| !name.starts_with("_compline/tmp")), "{:?}", left.keys());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn b33_a_full_disk_fails_the_run_and_leaves_the_day_as_it_was() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    scene.night(&scene.pipeline(""), DAYS[0]);
    let of_day = || -> BTreeMap<String, Vec<u8>> {
        let tables = files(&scene.path("lake")).into_iter();
        tables.filter(|(name, _)| !name.starts_with("_compline/") && !name.starts_with("runs/")).collect()
    };
    let before = of_day();
    // A limit on the size of files stands for a disk with no room: the write fails half way, and its signal does not end the program.
    let binary = env!("CARGO_BIN_EXE_compline");
    let mut limited = Command::new("bash");
    limited
        .args(["-c", "ulimit -f 8; exec \"$@\"", "bash", binary, "run", &pipeline, "--date", DAYS[0], "--only", "org"])
        .current_dir(scene.folder.path());
    let ended = run(limited);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("cannot write") && ended.stdout.contains("File too large"), "{ended:?}");
    assert!(of_day() == before, "facts and sources are as they were");
    assert!(files(&scene.path("lake")).keys().all(|name| !name.starts_with("_compline/tmp")));
}

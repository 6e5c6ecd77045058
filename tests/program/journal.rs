//! What a run that was stopped left in the journal, and the order of commits.

use crate::maintain::import_one;
use crate::support::reading::{column, file, files};
use crate::support::{Scene, finish, run, start, wait_until};
use crate::verify::{is_sound, noted_problems};
use compline_model::Table;
use std::path::{Path, PathBuf};

const DAYS: [&str; 3] = ["2026-02-24", "2026-02-25", "2026-02-26"];

/// A file in place of the folder of a table's day, so that it cannot be written.
fn block(scene: &Scene, table: Table, day: &str) -> PathBuf {
    let path = scene.path("lake").join(table.name()).join(format!("snapshot_date={day}"));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, "").expect("written");
    path
}

#[test]
fn f06_a_snapshot_of_which_one_file_could_not_be_put_is_completed_by_the_next_session_as_the_run_that_it_was() {
    for table in [Table::SourceStatus, Table::PackCompliance, Table::Runs] {
        let scene = Scene::of_accounts(12);
        let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
        scene.night(std::path::Path::new(&pipeline), DAYS[0]);
        let in_the_way = block(&scene, table, DAYS[1]);
        let ended = run(scene.command(&["run", &pipeline, "--date", DAYS[1], "--json"]));
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert!(matches!(ended.code, Some(1 | 3)), "{} {ended:?}", table.name());
        let told = report["aggregators"][0]["error"].as_str().expect("an error").to_owned();
        assert!(told.contains("the next session on this lake"), "{told}");
        std::fs::remove_file(in_the_way).expect("removed");

        // Nobody runs that day again: the next day's session completes it.
        scene.night(std::path::Path::new(&pipeline), DAYS[2]);
        is_sound(&scene, &pipeline, &[]);
        let ledger = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
        assert_eq!(column(&ledger, "run_id"), [report["run_id"].as_str().expect("an id")], "{}", table.name());
        assert_eq!(column(&ledger, "outcome"), ["succeeded"]);
        let facts = scene.read(&scene.lake(), Table::PackCompliance, "org", DAYS[1]).expect("facts");
        assert!(column(&facts, "run_id").iter().all(|id| Some(id.as_str()) == report["run_id"].as_str()));
        let left = files(&scene.path("lake"));
        assert!(left.keys().all(|name| !name.starts_with("_compline/journal")), "{:?}", left.keys());
    }
}

#[test]
fn a_snapshot_that_waits_in_the_journal_does_not_replace_one_that_was_committed_since() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    scene.night(std::path::Path::new(&pipeline), DAYS[0]);
    let in_the_way = block(&scene, Table::PackCompliance, DAYS[1]);
    assert_eq!(run(scene.command(&["run", &pipeline, "--date", DAYS[1]])).code, Some(1));
    let journal: Vec<(String, Vec<u8>)> =
        files(&scene.path("lake")).into_iter().filter(|(name, _)| name.starts_with("_compline/journal")).collect();
    assert_eq!(journal.len(), 4, "an entry, its copy and two files");
    std::fs::remove_file(in_the_way).expect("removed");
    scene.night(std::path::Path::new(&pipeline), DAYS[1]);
    let committed = std::fs::read(file(&scene, Table::PackCompliance, DAYS[1])).expect("read");
    // As if the first run's entry had been seen by nobody until now.
    scene.put_lake("lake", &journal.into_iter().collect());
    scene.night(std::path::Path::new(&pipeline), DAYS[2]);
    assert_eq!(std::fs::read(file(&scene, Table::PackCompliance, DAYS[1])).expect("read"), committed);
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_day_that_a_stopped_run_left_half_changed_is_no_damage_and_no_alert() {
    for is_replaced in [false, true] {
        let scene = Scene::of_accounts(12);
        let metrics = format!("[metrics]\ntextfile = {:?}", scene.path("m.prom").display().to_string());
        let pipeline = scene.org_pipeline("lake", "", &metrics).display().to_string();
        scene.night(std::path::Path::new(&pipeline), DAYS[0]);
        let ledger = file(&scene, Table::Runs, DAYS[1]);
        let before = is_replaced.then(|| {
            scene.night(std::path::Path::new(&pipeline), DAYS[1]);
            let before = std::fs::read(&ledger).expect("read");
            std::fs::remove_dir_all(ledger.parent().and_then(|folder| folder.parent()).expect("a folder"))
                .expect("gone");
            before
        });
        let facts = file(&scene, Table::PackCompliance, DAYS[1]);
        let facts_before = std::fs::read(&facts).ok();
        let in_the_way = block(&scene, Table::Runs, DAYS[1]);
        let ended = run(scene.command(&["run", &pipeline, "--date", DAYS[1]]));
        assert!(matches!(ended.code, Some(1 | 3)), "{ended:?}");
        assert_ne!(std::fs::read(&facts).ok(), facts_before, "the snapshot is replaced, and the ledger is not");
        std::fs::remove_file(in_the_way).expect("removed");
        if let Some(before) = before {
            std::fs::create_dir_all(ledger.parent().expect("a folder")).expect("made");
            std::fs::write(&ledger, before).expect("written");
        }

        let verified = run(scene.command(&["verify", &pipeline]));
        assert_eq!(verified.code, Some(1), "{verified:?}");
        let problems: Vec<&str> =
            verified.stdout.lines().filter_map(|line| line.split_once("problem: ")).map(|(_, what)| what).collect();
        let stopped = problems
            .iter()
            .filter(|what| what.contains(&format!("was stopped while it changed what there is of {}", DAYS[1])));
        assert_eq!(stopped.count(), 1, "{verified:?}");
        let others = problems
            .iter()
            .filter(|what| !what.contains("was stopped while it changed") && !what.contains("are out of date"));
        assert_eq!(others.count(), 0, "{verified:?}");
        // The next run completes it, so that nobody is alerted until somebody verifies again.
        let written = std::fs::read_to_string(scene.path("m.prom")).expect("metrics");
        let noted = written.lines().find(|line| line.starts_with("compline_last_verify_problems{")).expect("noted");
        assert!(noted.ends_with(" 0.0") || noted.ends_with(" 0"), "{noted}");
        let found: serde_json::Value =
            serde_json::from_str(&run(scene.command(&["verify", &pipeline, "--json"])).stdout).expect("JSON");
        assert_eq!(found["completed_by_next"], found["problems"], "{found}");
        // A file that no longer collects the aggregator has no run that does.
        let text = std::fs::read_to_string(&pipeline).expect("read");
        std::fs::write(&pipeline, text.replace("\"org\"", "\"other\"")).expect("written");
        run(scene.command(&["verify", &pipeline]));
        std::fs::write(&pipeline, text).expect("written");
        assert!(noted_problems(&scene, &pipeline) > 0);
        // What no run puts right is told whoever was stopped: another day, and this one where what was staged is gone.
        let facts_of_other = file(&scene, Table::PackCompliance, DAYS[0]);
        let names_it = |path: &Path| {
            let whole = std::fs::read(path).expect("read");
            std::fs::write(path, b"damaged").expect("written");
            let verified = run(scene.command(&["verify", &pipeline]));
            std::fs::write(path, whole).expect("restored");
            let day = path.parent().and_then(Path::parent).and_then(Path::file_name).expect("a day").to_string_lossy();
            verified.stdout.contains(&format!("cannot read pack_compliance/{day}"))
                && noted_problems(&scene, &pipeline) > 0
        };
        assert!(names_it(&facts_of_other));
        assert!(!names_it(&facts), "the next run replaces it");
        let journal = scene.path("lake/_compline/journal/aggregator=org");
        let staged: Vec<PathBuf> = files(&journal)
            .into_keys()
            .filter(|name| name.ends_with(".parquet"))
            .map(|name| journal.join(name))
            .collect();
        assert!(!staged.is_empty());
        staged.iter().for_each(|path| std::fs::remove_file(path).expect("removed"));
        assert!(names_it(&facts), "nothing is there to replace it with");
        scene.night(std::path::Path::new(&pipeline), DAYS[2]);
        is_sound(&scene, &pipeline, &[]);
    }
}

#[test]
fn a_hold_that_the_next_run_completes_is_no_alert_and_nobody_is_told_to_reject_it() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    DAYS[..2].iter().for_each(|day| drop(scene.night(Path::new(&pipeline), day)));
    // It is held, and its row cannot be put.
    let ledger = file(&scene, Table::Runs, DAYS[1]);
    let before = std::fs::read(&ledger).expect("read");
    std::fs::remove_dir_all(ledger.parent().and_then(Path::parent).expect("a day")).expect("removed");
    let in_the_way = block(&scene, Table::Runs, DAYS[1]);
    let ended = import_one(&scene, &pipeline, DAYS[1], &["--replace"]);
    assert!(ended.stdout.contains("held"), "{ended:?}");
    std::fs::remove_file(in_the_way).expect("removed");
    std::fs::create_dir_all(ledger.parent().expect("a folder")).expect("made");
    std::fs::write(&ledger, before).expect("written");
    let verified = run(scene.command(&["verify", &pipeline]));
    assert!(verified.code == Some(1) && !verified.stdout.contains("--reject"), "{verified:?}");
    assert_eq!(noted_problems(&scene, &pipeline), 0, "{verified:?}");
    // The facts that are committed are not what that run changes.
    let facts = file(&scene, Table::PackCompliance, DAYS[1]);
    let whole = std::fs::read(&facts).expect("read");
    std::fs::write(&facts, b"damaged").expect("written");
    let verified = run(scene.command(&["verify", &pipeline]));
    assert!(verified.stdout.contains("cannot read pack_compliance"), "{verified:?}");
    assert!(noted_problems(&scene, &pipeline) > 0);
    std::fs::write(&facts, whole).expect("restored");
    // The next run says that it is held.
    let ended = run(scene.command(&["run", &pipeline, "--date", DAYS[2]]));
    assert!(ended.code == Some(3) && ended.stdout.contains("--accept"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
    let status = run(scene.command(&["status", &pipeline])).stdout;
    assert!(status.contains(DAYS[1]) && status.contains("HELD"), "{status}");
}

#[test]
fn trend_tables_that_the_next_run_computes_are_no_alert_of_whichever_day_they_are() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    DAYS.iter().for_each(|day| drop(scene.night(Path::new(&pipeline), day)));
    // The trends of a day that is replaced cannot be put, so that those of the day after it are not what the snapshots say either.
    let trends = file(&scene, Table::ComplianceTrends, DAYS[1]);
    std::fs::remove_dir_all(trends.parent().and_then(Path::parent).expect("a day")).expect("removed");
    let in_the_way = block(&scene, Table::ComplianceTrends, DAYS[1]);
    let ended = import_one(&scene, &pipeline, DAYS[1], &["--replace", "--accept"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    std::fs::remove_file(in_the_way).expect("removed");
    let verified = run(scene.command(&["verify", &pipeline]));
    assert_eq!(verified.code, Some(1), "{verified:?}");
    assert!(verified.stdout.contains(&format!("the trend tables of {} are not what", DAYS[2])), "{verified:?}");
    assert_eq!(noted_problems(&scene, &pipeline), 0, "{verified:?}");
    // Those of a day before are computed by no run.
    let before = file(&scene, Table::ComplianceTrends, DAYS[0]);
    let whole = std::fs::read(&before).expect("read");
    std::fs::write(&before, b"damaged").expect("written");
    run(scene.command(&["verify", &pipeline]));
    assert!(noted_problems(&scene, &pipeline) > 0);
    std::fs::write(&before, whole).expect("restored");
    scene.night(Path::new(&pipeline), "2026-02-27");
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn f08b_two_waiters_leave_a_lake_in_which_the_last_commit_is_the_one_that_is_there() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    let run_and_wait = || start(scene.command(&["run", &pipeline, "--date", DAYS[0], "--wait", "1m"]));
    // The later ones get the lease in any order.
    let runs: Vec<_> = (0..4).map(|_| run_and_wait()).collect();
    runs.into_iter().for_each(|child| assert_eq!(finish(child).code, Some(0)));
    is_sound(&scene, &pipeline, &[]);
    let ledger = scene.read(&scene.lake(), Table::Runs, "org", DAYS[0]).expect("a ledger");
    let mut numbers = column(&ledger, "commit_number");
    numbers.sort_unstable();
    assert_eq!(numbers, ["1", "2", "3", "4"]);
}

#[test]
fn f11_a_date_in_the_future_is_refused_and_leaves_nothing() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    for arguments in [&["--date", "2999-01-01"][..], &["--date", "2999-01-01", "--accept"]] {
        let ended = run(scene.command(&[&["run", &pipeline], arguments].concat()));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("nothing can be of that day yet"), "{ended:?}");
    }
    assert!(!scene.path("lake").exists());
}

#[test]
fn f11_a_held_day_is_told_by_the_exit_code_whatever_else_failed() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    scene.night(std::path::Path::new(&pipeline), DAYS[0]);
    // org loses nearly all, and security cannot write its facts.
    let tiny = Scene::of_accounts(4);
    let lake = format!("url = {:?}", scene.path("lake").display().to_string());
    let other = tiny.write_pipeline(&lake, "").display().to_string();
    let text = std::fs::read_to_string(&other).expect("read").replace("security-aggregator", "no-such-aggregator");
    std::fs::write(&other, text).expect("written");
    let ended = run(tiny.command(&["run", &other, "--date", DAYS[1]]));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains("HELD") && ended.stdout.contains("FAILED"), "{ended:?}");
}

#[test]
fn f09_verify_beside_a_run_does_not_call_a_day_wrong_that_is_being_replaced() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    scene.night(std::path::Path::new(&pipeline), DAYS[0]);
    // A run that reads slowly: its lease is held, and nothing is changed yet.
    let slow =
        Scene::of(compline_simulator::OrganizationSpec { accounts: 12, ..Default::default() }, "stall_every = 2");
    let lake = format!("url = {:?}", scene.path("lake").display().to_string());
    let other = slow.write_pipeline(&lake, "").display().to_string();
    let child = start(slow.command(&["run", &other, "--only", "org", "--date", DAYS[0]]));
    wait_until("it holds the lease", || scene.path("lake/_compline/lease/aggregator=org.json").exists());
    is_sound(&scene, &pipeline, &[]);
    // What it is writing at this moment is set apart.
    let lease = std::fs::read_to_string(scene.path("lake/_compline/lease/aggregator=org.json")).expect("read");
    let lease: serde_json::Value = serde_json::from_str(&lease).expect("JSON");
    let run_id = lease["run_id"].as_str().expect("an id");
    let entry = format!("{{\"version\":1,\"command\":\"run\",\"trends_from\":\"{}\"}}", DAYS[0]);
    let path = scene.path("lake/_compline/journal/aggregator=org").join(format!("{run_id}.json"));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, entry).expect("written");
    std::fs::remove_file(file(&scene, Table::PackStatus, DAYS[0])).expect("removed");
    let said = is_sound(&scene, &pipeline, &[]);
    assert!(said.contains("  in progress: "), "{said}");
    crate::support::signal(child.id(), "-KILL");
    finish(child);
    // Its holder is gone: now it is a stopped run's.
    let ended = run(scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(run(scene.command(&["verify", &pipeline, "--repair"])).code, Some(0));
}

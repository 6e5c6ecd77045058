//! `compline verify` and `compline history`: a lake held against what it must be.

use crate::support::reading::{file, files, of_trends};
use crate::support::{Ended, Scene, date, pack_tables, run, signal, start, turns, wait_until};
use compline_model::{Dataset, Table};
use compline_sink::Partition;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A gap of two days, and one of one.
const DAYS: [&str; 4] = ["2026-02-24", "2026-02-25", "2026-02-28", "2026-03-02"];

fn kept() -> (Scene, String) {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("");
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    (scene, pipeline.display().to_string())
}

pub(crate) fn verify(scene: &Scene, pipeline: &str, arguments: &[&str]) -> Ended {
    run(scene.command(&[&["verify", pipeline], arguments].concat()))
}

/// How many problems the last `verify` noted that the next run does not complete.
pub(crate) fn noted_problems(scene: &Scene, pipeline: &str) -> u64 {
    let ended = run(scene.command(&["status", pipeline, "--json"]));
    let status: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    status[0]["last_verification"]["problems"].as_u64().expect("it was verified")
}

/// No problem is found.
#[track_caller]
pub(crate) fn is_sound(scene: &Scene, pipeline: &str, arguments: &[&str]) -> String {
    let ended = verify(scene, pipeline, arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with("OK: no problems found\n"), "{ended:?}");
    ended.stdout
}

/// The lines that say what is wrong.
#[track_caller]
fn wrong(scene: &Scene, pipeline: &str, arguments: &[&str]) -> Vec<String> {
    let ended = verify(scene, pipeline, arguments);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.stdout.lines().filter_map(|line| line.trim().strip_prefix("problem: ")).map(str::to_owned).collect()
}

fn cut(path: &Path) {
    let whole = std::fs::read(path).expect("read");
    std::fs::write(path, &whole[..whole.len() - 20]).expect("written");
}

/// Files without what a verification records of itself.
fn but_verified(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files.retain(|name, _| !name.starts_with("_compline/verified/"));
    files
}

#[test]
fn a_lake_whose_only_night_failed_has_no_problem_and_is_not_said_to_be_ok() {
    let scene = Scene::new("malformed_every = 1");
    let pipeline = scene.pipeline("");
    let failed = run(scene.command(&["run", &pipeline.display().to_string(), "--date", DAYS[0]]));
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let ended = verify(&scene, &pipeline.display().to_string(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with("no problems found, but there is no snapshot to verify\n"), "{ended:?}");
    assert!(!ended.stdout.contains("OK"), "{ended:?}");
}

#[test]
fn a_lake_that_is_as_it_must_be_is_said_to_be_and_days_nobody_ran_are_listed() {
    let (scene, pipeline) = kept();
    let before = files(&scene.path("lake"));
    let said = is_sound(&scene, &pipeline, &[]);
    for line in [
        "org: 4 days, 2026-02-24 to 2026-03-02, 24 files, ",
        "  no snapshot: 2026-02-26 to 2026-02-27\n  no snapshot: 2026-03-01\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let said = is_sound(&scene, &pipeline, &["--only", "security", "--from", "2026-02-25", "--to", "2026-02-28"]);
    assert!(said.starts_with("security: 2 days, 2026-02-25 to 2026-02-28, 12 files, "), "{said}");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(but_verified(files(&scene.path("lake"))), before, "nothing is written where nothing is wrong");
}

#[test]
fn b33_each_table_that_is_cut_gone_or_another_days_is_wrong_and_trend_tables_are_repaired() {
    let (scene, pipeline) = kept();
    let before = files(&scene.path("lake"));
    let mut has_turn = turns();
    for table in pack_tables() {
        let path = file(&scene, table, DAYS[2]);
        let good = std::fs::read(&path).expect("read");
        let spoil: [(&str, &dyn Fn()); 3] = [
            ("cut", &|| cut(&path)),
            ("gone", &|| std::fs::remove_file(&path).expect("removed")),
            ("another's", &|| assert!(std::fs::copy(file(&scene, table, DAYS[0]), &path).is_ok())),
        ];
        for (how, spoil) in spoil {
            if !has_turn() {
                continue;
            }
            spoil();
            if std::fs::read(&path).is_ok_and(|now| now == good) {
                continue;
            }
            let found = wrong(&scene, &pipeline, &["--only", "org"]);
            let names_it =
                |line: &String| line.contains(DAYS[2]) && (line.contains(table.name()) || line.contains("trend"));
            let said = table == Table::Runs || table == Table::PackCompliance || found.iter().any(names_it);
            assert!(said && !found.is_empty(), "{} {how}: {found:?}", table.name());
            let ended = verify(&scene, &pipeline, &["--only", "org", "--repair"]);
            if table.is_derived() {
                assert_eq!(ended.code, Some(0), "{} {how}: {ended:?}", table.name());
                assert_eq!(of_trends(files(&scene.path("lake"))), of_trends(before.clone()), "{} {how}", table.name());
            } else if table == Table::Runs {
                // What a run did is in its document as well.
                assert_eq!(ended.code, Some(0), "{} {how}: {ended:?}", table.name());
            } else {
                assert_eq!(ended.code, Some(1), "{} {how}: {ended:?}", table.name());
                assert!(std::fs::read(&path).ok().as_ref() != Some(&good), "it is never touched");
            }
            std::fs::write(&path, &good).expect("written");
            run(scene.command(&["trends", &pipeline]));
        }
    }
}

/// Long enough for several chains of days, which go on from what is stored.
#[test]
fn the_days_of_a_long_history_that_are_wrong_are_told_and_no_others_wherever_they_are() {
    const LONG: usize = 41;
    let scene = Scene::new("");
    let demo = ["demo", "--lake", "lake", "--accounts", "3", "--regions", "1", "--packs", "1"];
    let ended = run(scene.command(&[&demo[..], &["--days", &LONG.to_string()]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    is_sound(&scene, &pipeline, &["--only", "org"]);
    let days: Vec<String> = files(&scene.path("lake/pack_status"))
        .into_keys()
        .filter_map(|key| {
            Some(key.strip_suffix("/aggregator=org/data.parquet")?.strip_prefix("snapshot_date=")?.to_owned())
        })
        .collect();
    assert_eq!(days.len(), LONG);
    let lake = scene.lake();
    // In the middle the state of a day is what the next chain begins with, where there are two of the same length.
    let (middle, late) = ((Table::PackStatus, LONG.div_ceil(2) - 1), (Table::ComplianceTrends, LONG - 2));
    let mut has_turn = turns();
    for damaged in [&[middle, late][..], &[middle], &[late]] {
        if !has_turn() {
            continue;
        }
        let mut good = Vec::new();
        for (table, at) in damaged {
            let (day, path) = (&days[*at], file(&scene, *table, &days[*at]));
            good.push((path.clone(), std::fs::read(&path).expect("a file")));
            let rows = scene.read(&lake, *table, "org", day).expect("rows");
            let partition = Partition { table: *table, date: date(day), aggregator: "org".parse().expect("an id") };
            let other = lake.encode(&partition, rows.slice(1, rows.num_rows() - 1));
            std::fs::write(&path, scene.runtime.block_on(other).expect("a file")).expect("written");
        }
        let found = wrong(&scene, &pipeline, &["--only", "org"]);
        let of_trends: Vec<&String> =
            found.iter().filter(|line| line.contains("are not what the snapshots say")).collect();
        let said =
            |(_, at): &(Table, usize)| format!("the trend tables of {} are not what the snapshots say", days[*at]);
        assert_eq!(of_trends, damaged.iter().map(said).collect::<Vec<_>>().iter().collect::<Vec<_>>(), "{found:?}");
        is_sound(&scene, &pipeline, &["--only", "org", "--repair"]);
        for (path, good) in good {
            assert_eq!(std::fs::read(&path).expect("a file"), good, "{}", path.display());
        }
    }
}

#[test]
fn a_day_all_of_whose_files_are_gone_is_no_gap_as_long_as_its_runs_are_told_and_no_later_day_is_written_as_if() {
    // With the ledger, and without.
    for (at, tables) in [(0, pack_tables()), (1, pack_tables()), (1, Dataset::PACKS.tables().into_iter().collect())] {
        let (scene, pipeline) = kept();
        let paths: Vec<PathBuf> = tables.iter().map(|table| file(&scene, *table, DAYS[at])).collect();
        let gone: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("read")).collect();
        paths.iter().for_each(|path| std::fs::remove_file(path).expect("removed"));
        let later = || -> Vec<Vec<u8>> {
            let tables = Dataset::PACKS.derived();
            let files = DAYS[at + 1..].iter().flat_map(|day| tables.map(|table| file(&scene, table, day)));
            files.map(|path| std::fs::read(path).expect("read")).collect()
        };
        let before = later();
        for command in [&["verify"][..], &["verify", "--repair"], &["trends"]] {
            let ended = run(scene.command(&[command, &[&pipeline]].concat()));
            assert_ne!(ended.code, Some(0), "{command:?}: {ended:?}");
            assert!(ended.stdout.contains(DAYS[at]) || ended.stderr.contains(DAYS[at]), "{command:?}: {ended:?}");
            assert!(!ended.stdout.contains("are not what the snapshots say"), "{command:?}: {ended:?}");
            assert!(later() == before, "{command:?} of {} days changed later ones", tables.len());
        }
        paths.iter().zip(gone).for_each(|(path, bytes)| std::fs::write(path, bytes).expect("restored"));
        is_sound(&scene, &pipeline, &["--repair"]);
        assert!(later() == before);
    }
}

#[test]
fn trends_before_and_after_a_snapshot_that_cannot_be_read_are_compared_and_those_before_are_repaired() {
    let (scene, pipeline) = kept();
    let lake = scene.lake();
    let facts = file(&scene, Table::PackCompliance, DAYS[2]);
    let whole = std::fs::read(&facts).expect("read");
    std::fs::write(&facts, &whole[1..]).expect("written");
    let trends = [DAYS[1], DAYS[3]].map(|day| (day, file(&scene, Table::ComplianceTrends, day)));
    let good = trends.clone().map(|(_, path)| std::fs::read(path).expect("read"));
    for (day, path) in &trends {
        let rows = scene.read(&lake, Table::ComplianceTrends, "org", day).expect("rows");
        let aggregator = "org".parse().expect("an id");
        let partition = Partition { table: Table::ComplianceTrends, date: date(day), aggregator };
        let other = lake.encode(&partition, rows.slice(1, rows.num_rows() - 1));
        std::fs::write(path, scene.runtime.block_on(other).expect("a file")).expect("written");
    }
    let differ = |day: &str| format!("the trend tables of {day} are not what the snapshots say");
    let unknown = format!("what the trend tables of {} must be cannot be computed: ", DAYS[2]);
    let found = wrong(&scene, &pipeline, &[]);
    for day in [DAYS[1], DAYS[3]] {
        assert_eq!(found.iter().filter(|found| **found == differ(day)).count(), 1, "{found:?}");
    }
    // So it is where there is nothing to go on from: the days before are computed once more for those after.
    let other = std::fs::read(&trends[0].1).expect("read");
    std::fs::write(&trends[0].1, &other[1..]).expect("written");
    let found = wrong(&scene, &pipeline, &[]);
    assert_eq!(found.iter().filter(|found| **found == differ(DAYS[1])).count(), 1, "{found:?}");
    std::fs::write(&trends[0].1, other).expect("written");
    let found = wrong(&scene, &pipeline, &[]);
    assert_eq!(found.iter().filter(|found| found.starts_with(&unknown)).count(), 1, "{found:?}");
    // What goes on from the day that is damaged waits for it, and nothing else does.
    assert_eq!(run(scene.command(&["verify", "--repair", &pipeline])).code, Some(1));
    assert_eq!(std::fs::read(&trends[0].1).expect("read"), good[0]);
    let found = wrong(&scene, &pipeline, &[]);
    assert!(!found.contains(&differ(DAYS[1])) && found.contains(&differ(DAYS[3])), "{found:?}");
    let behind = format!("the trends from {} on are out of date", DAYS[2]);
    assert!(found.iter().any(|found| found.starts_with(&behind)), "{found:?}");
    // Where its state is gone as well, nothing later is compared.
    let state = file(&scene, Table::PackStatus, DAYS[2]);
    let of_state = std::fs::read(&state).expect("read");
    std::fs::remove_file(&state).expect("removed");
    let found = wrong(&scene, &pipeline, &[]);
    let unknown = format!("what the trend tables from {} on must be cannot be computed: ", DAYS[2]);
    assert!(found.iter().any(|found| found.starts_with(&unknown)), "{found:?}");
    std::fs::write(&state, of_state).expect("restored");
    std::fs::write(&facts, whole).expect("restored");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert!(trends.into_iter().zip(good).all(|((_, path), good)| std::fs::read(path).expect("read") == good));
}

#[test]
fn a_snapshot_that_is_not_the_one_that_was_committed_is_wrong_even_if_it_has_as_many_rows() {
    let (scene, pipeline) = kept();
    let other = Scene::of_seed(2);
    other.night(&other.pipeline(""), DAYS[1]);
    std::fs::copy(file(&other, Table::PackCompliance, DAYS[1]), file(&scene, Table::PackCompliance, DAYS[1]))
        .expect("copied");
    run(scene.command(&["trends", &pipeline]));
    let found = wrong(&scene, &pipeline, &[]);
    let line = format!("the snapshot of {} is not the one that the ledger says was committed", DAYS[1]);
    assert!(found.contains(&line), "{found:?}");

    // The sources of the run before, beside the facts of the last.
    let sources = file(&scene, Table::SourceStatus, DAYS[3]);
    let before = std::fs::read(&sources).expect("read");
    scene.night(Path::new(&pipeline), DAYS[3]);
    std::fs::write(&sources, before).expect("written");
    let found = wrong(&scene, &pipeline, &["--from", DAYS[3]]);
    let line = format!("source_status of {} is not the one that the ledger says was committed", DAYS[3]);
    assert_eq!(found, [line]);
}

#[test]
fn unexpected_and_orphaned_objects_are_listed_and_only_orphaned_ones_are_removed() {
    let (scene, pipeline) = kept();
    let put = |key: &str| {
        let path = scene.path("lake").join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, "x").expect("written");
        path
    };
    let readme = put("README.txt");
    let half_written = put("_compline/tmp/put-abc");
    let said = is_sound(&scene, &pipeline, &[]);
    assert!(said.contains("\nunexpected object: README.txt\n"), "{said}");
    assert!(said.contains("\norphaned; --repair removes it: _compline/tmp/put-abc (begun 20"), "{said}");
    let said = is_sound(&scene, &pipeline, &["--repair"]);
    assert!(!said.contains("orphaned") && !half_written.exists() && readme.exists(), "{said}");

    let copy = put("pack_status/snapshot_date=2026-02-24/aggregator=org/copy.parquet");
    let ended = verify(&scene, &pipeline, &["--repair"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let line = "unexpected object in a table, which readers take for a part of it: \
                pack_status/snapshot_date=2026-02-24/aggregator=org/copy.parquet\n";
    assert!(ended.stdout.contains(line) && ended.stdout.ends_with("1 problem found\n"), "{ended:?}");
    assert!(copy.exists(), "what nobody here put there is nobody's here to remove");
}

#[test]
fn a_file_of_a_newer_compline_is_refused_and_left_as_it_is() {
    let (scene, pipeline) = kept();
    let path = file(&scene, Table::PackStatus, DAYS[3]);
    let bytes = std::fs::read(&path).expect("read");
    // The footer says the version as plain text.
    let at = find(&bytes, b"compline.schema_version").expect("its key");
    let version = u8::try_from(compline_model::SCHEMA_VERSION).expect("one digit");
    let digit = at + bytes[at..].iter().position(|byte| *byte == b'0' + version).expect("its value");
    let mut newer = bytes.clone();
    newer[digit] = b'9';
    std::fs::write(&path, &newer).expect("written");
    let found = wrong(&scene, &pipeline, &["--from", DAYS[3]]);
    assert!(found[0].contains("a newer compline wrote it: its tables are of version 9"), "{found:?}");
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-03-03"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("a newer compline wrote it"), "{ended:?}");
    assert_eq!(std::fs::read(&path).expect("read"), newer);
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

#[test]
fn the_marker_of_a_stopped_run_of_an_older_version_is_taken_over_with_the_run_that_it_was() {
    let (scene, pipeline) = kept();
    // As a run of an older version would have left it: the day is committed, the marker is there, and the row is not, nor any
    // document of it.
    let forget = || {
        for folder in ["ledger", "runs"] {
            let _ = std::fs::remove_dir_all(scene.path("lake/_compline").join(folder));
        }
    };
    forget();
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[3])).expect("removed");
    let marker = scene.path("lake/_compline/redo/aggregator=org.json");
    std::fs::create_dir_all(marker.parent().expect("a folder")).expect("made");
    std::fs::write(&marker, format!("{{\"from\":\"{}\"}}", DAYS[3])).expect("written");
    let found = wrong(&scene, &pipeline, &["--only", "org"]);
    assert!(found.iter().any(|line| line.contains("runs of 2026-03-02 is not there")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("the trends from 2026-03-02 on are out of date")), "{found:?}");
    scene.night(Path::new(&pipeline), "2026-03-03");
    is_sound(&scene, &pipeline, &[]);
    let line = scene.rows(Table::Runs, "org", DAYS[3]).remove(0);
    assert!(line.contains("the run was stopped before its row of the ledger"), "{line}");

    // Killed before that: a day that is replaced has the sources of another run, and one that is new has nothing else.
    let (facts, ledger) = (file(&scene, Table::PackCompliance, DAYS[2]), file(&scene, Table::Runs, DAYS[2]));
    let before = [&facts, &ledger].map(|path| (path, std::fs::read(path).expect("read")));
    scene.night(Path::new(&pipeline), DAYS[2]);
    forget();
    before.into_iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("written"));
    let orphan = file(&scene, Table::SourceStatus, "2026-03-04");
    std::fs::create_dir_all(orphan.parent().expect("a folder")).expect("made");
    std::fs::copy(file(&scene, Table::SourceStatus, DAYS[0]), &orphan).expect("copied");
    std::fs::write(&marker, format!("{{\"from\":\"{}\"}}", DAYS[2])).expect("written");
    let found = wrong(&scene, &pipeline, &["--only", "org"]);
    for what in [
        "source_status of 2026-02-28 is not the one that the ledger says was committed",
        "source_status of 2026-03-04 is there, and its snapshot in pack_compliance is not",
        "the trends from 2026-02-28 on are out of date",
    ] {
        assert!(found.iter().any(|line| line.starts_with(what)), "{what}: {found:?}");
    }
    is_sound(&scene, &pipeline, &["--repair"]);
    let lines = scene.rows(Table::Runs, "org", DAYS[2]);
    assert!(lines.len() == 1 && lines[0].contains("the run was stopped before its row of the ledger"), "{lines:?}");
    assert!(!orphan.exists());

    // `trends` takes it over as well.
    forget();
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[2])).expect("removed");
    std::fs::write(&marker, format!("{{\"from\":\"{}\"}}", DAYS[2])).expect("written");
    assert_eq!(run(scene.command(&["trends", &pipeline])).code, Some(0));
    is_sound(&scene, &pipeline, &[]);

    // Without a marker nobody knows who put the snapshot there.
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[1])).expect("removed");
    let found = wrong(&scene, &pipeline, &["--repair"]);
    assert_eq!(found, ["runs of 2026-02-25 is not there"]);
}

#[test]
fn a_lake_with_nothing_in_it_is_not_said_to_be_right() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    let ended = run(scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("there is no snapshot of any aggregator: is the lake's address right?"), "{ended:?}");
    let ended = run(scene.command(&["history", &pipeline]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "the ledger has no run of these aggregators\n"));
}

/// The lake that a version of the tables has left, as it lies in `tests/golden`.
fn golden(scene: &Scene, version: u32) {
    let from = PathBuf::from(format!("{}/../../tests/golden/lake_v{version}", env!("CARGO_MANIFEST_DIR")));
    let objects: BTreeMap<String, Vec<u8>> = files(&from);
    assert!(objects.len() >= 36, "{} files", objects.len());
    scene.put_lake("lake", &objects);
}

#[test]
fn b44_a_lake_of_each_version_is_read_verified_and_gone_on_with() {
    for version in 1..=compline_model::SCHEMA_VERSION {
        let scene = Scene::new("");
        golden(&scene, version);
        let tables = Table::ALL.map(|table| format!("{:?}", table.name())).join(", ");
        let pipeline = scene.pipeline(&format!("[check]\nmax_loss_percent = 100\n[maintain]\ncompact = [{tables}]"));
        let before = files(&scene.path("lake"));
        let said = is_sound(&scene, &pipeline.display().to_string(), &[]);
        assert!(said.contains("org: 3 days, 2026-02-28 to 2026-03-03, 18 files, 108 rows of facts"), "{said}");
        let ended = run(scene.command(&["trends", &pipeline.display().to_string()]));
        assert!(ended.stdout.contains("org: 3 of 3 days were as their snapshots say"), "{ended:?}");
        assert_eq!(but_verified(files(&scene.path("lake"))), before, "nothing of it is written again");
        let ended = run(scene.command(&["history", &pipeline.display().to_string()]));
        // Since version 5 with rules of the first aggregator.
        let runs = if version < 5 { 6 } else { 9 };
        assert_eq!(ended.stdout.matches("succeeded").count(), runs, "{ended:?}");
        // The next night, and one of a day that has a line of that version in its ledger.
        for day in ["2026-03-04", "2026-03-03"] {
            let arguments = ["run", &pipeline.display().to_string(), "--date", day];
            let ended = run(scene.command(&arguments));
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        assert_eq!(scene.rows(Table::Runs, "org", "2026-03-03").len(), if version < 5 { 2 } else { 3 });
        let ended = run(scene.command(&["maintain", &pipeline.display().to_string(), "--apply"]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        is_sound(&scene, &pipeline.display().to_string(), &[]);
    }
}

#[test]
fn a_day_of_an_older_version_in_which_a_bit_flipped_does_not_make_its_month_wrong() {
    let scene = Scene::new("");
    golden(&scene, 5);
    let pipeline = scene.pipeline("").display().to_string();
    let path = file(&scene, Table::PackCompliance, "2026-03-01");
    let whole = std::fs::read(&path).expect("read");
    for tenth in 1..8 {
        let mut flipped = whole.clone();
        flipped[whole.len() * tenth / 10] ^= 16;
        std::fs::write(&path, flipped).expect("written");
        let found = wrong(&scene, &pipeline, &[]);
        assert!(found.iter().any(|found| found.contains("2026-03-01")), "{tenth}: {found:?}");
        assert!(!found.iter().any(|found| found.contains("_monthly/")), "{tenth}: {found:?}");
    }
}

#[test]
fn a_month_of_an_older_version_that_is_anothers_is_told_though_it_does_not_say_where_it_belongs() {
    let scene = Scene::new("");
    golden(&scene, 5);
    let pipeline = scene.pipeline("").display().to_string();
    let month = |month: &str| {
        scene.path("lake").join(format!("pack_compliance_monthly/snapshot_month={month}/aggregator=org/data.parquet"))
    };
    let (from, to) = (month("2026-02"), month("2026-04"));
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    std::fs::copy(from, to).expect("copied");
    let found = wrong(&scene, &pipeline, &[]);
    assert!(found.len() == 1 && found[0].contains("it has 2026-02-28, which is of another month"), "{found:?}");
}

#[test]
fn history_says_what_the_last_nights_did_and_the_document_of_each_run_says_the_same() {
    let (scene, pipeline) = kept();
    let faulty = Scene::new("malformed_every = 12");
    let lake = format!("url = {:?}", scene.path("lake").display().to_string());
    let bad = faulty.write_pipeline(&lake, "page_size = 10");
    assert_eq!(run(faulty.command(&["run", &bad.display().to_string(), "--date", "2026-03-03"])).code, Some(1));
    let ended = run(scene.command(&["history", &pipeline, "--nights", "2"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["date", "aggregator", "command", "outcome", "rows", "calls", "seconds", "warnings"]);
    let starts: Vec<_> = lines[1..5].iter().map(|line| line[..4].to_vec()).collect();
    let expected = [
        ["2026-03-02", "org", "run", "succeeded"],
        ["2026-03-02", "security", "run", "succeeded"],
        ["2026-03-03", "org", "run", "FAILED"],
        ["2026-03-03", "security", "run", "FAILED"],
    ];
    assert_eq!(starts, expected);
    assert!(ended.stdout.contains("2026-03-03 org: ") && ended.stdout.contains("Sign in"), "{ended:?}");

    let ended = run(scene.command(&["history", &pipeline, "--nights", "9", "--json"]));
    let runs: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(runs.len(), 10);
    for run in &runs {
        let text = |name: &str| run[name].as_str().expect("a text").to_owned();
        let document = format!("_compline/runs/snapshot_date={}/{}.json", text("snapshot_date"), text("run_id"));
        let document = std::fs::read(scene.path("lake").join(document)).expect("a document");
        let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
        let aggregators = document["aggregators"].as_array().expect("aggregators");
        let same = aggregators.iter().find(|one| one["aggregator"] == run["aggregator"]).expect("the aggregator");
        for name in ["outcome", "rows", "calls", "throttles", "error"] {
            assert_eq!(same[name], run[name], "{name}");
        }
        assert_eq!(document["run_id"], run["run_id"]);
    }
}

#[test]
fn a_run_that_is_at_work_is_not_repaired_under_its_hands() {
    let scene = Scene::new("stall_every = 3");
    let pipeline = scene.pipeline("").display().to_string();
    let mut first = start(scene.command(&["run", &pipeline, "--date", DAYS[0]]));
    wait_until("it has its leases", || scene.path("lake/_compline/lease/aggregator=security.json").exists());
    let ended = verify(&scene, &pipeline, &["--repair"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    signal(first.id(), "-KILL");
    first.wait().expect("its end");
    // Nobody holds the lock any more; and there is no day yet.
    let ended = verify(&scene, &pipeline, &["--repair"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("there is no snapshot of any aggregator"), "{ended:?}");
}

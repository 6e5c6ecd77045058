//! `compline maintain`: months put together, old things dropped, and a lake that stays what it must be.

use crate::support::reading::files;
use crate::support::{Ended, Scene, run};
use crate::verify::is_sound;
use compline_model::Table;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) const DAYS: [&str; 7] =
    ["2026-01-02", "2026-01-05", "2026-01-31", "2026-02-01", "2026-02-14", "2026-02-28", "2026-03-01"];

/// A lake of these days, and a pipeline with these lines in `[maintain]`.
pub(crate) fn kept(maintain: &str) -> (Scene, String) {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "", &format!("[maintain]\n{maintain}"));
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    (scene, pipeline.display().to_string())
}

pub(crate) fn maintain(scene: &Scene, pipeline: &str, arguments: &[&str]) -> Ended {
    let ended = run(scene.command(&[&["maintain", pipeline], arguments].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

/// Imports a day of one pack.
pub(crate) fn import_one(scene: &Scene, pipeline: &str, day: &str, more: &[&str]) -> Ended {
    let one = r#"{"ConformancePackName":"one","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{"ComplianceType":"COMPLIANT"}}"#;
    std::fs::write(scene.path("one.json"), one).expect("written");
    let import = ["import", pipeline, "--aggregator", "org", "--date", day, "one.json"];
    run(scene.command(&[&import, more].concat()))
}

/// How many days ago a day was.
pub(crate) fn age_of(day: &str) -> i64 {
    (chrono::Utc::now().date_naive() - day.parse::<chrono::NaiveDate>().expect("a day")).num_days()
}

/// The files of the tables, without Compline's own.
pub(crate) fn tables(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    files(&scene.path("lake")).into_iter().filter(|(name, _)| !name.starts_with("_compline")).collect()
}

pub(crate) fn month_file(scene: &Scene, table: &str, month: &str) -> PathBuf {
    scene.path("lake").join(format!("{table}_monthly/snapshot_month={month}/aggregator=org/data.parquet"))
}

#[test]
fn without_apply_it_says_what_it_would_do_and_changes_nothing() {
    let (scene, pipeline) =
        kept("compact = [\"pack_compliance\", \"source_status\"]\npack_status_days = 30\nsnapshot_days = 100");
    let before = files(&scene.path("lake"));
    let ended = maintain(&scene, &pipeline, &[]);
    for line in [
        "org: would compact 3 days into pack_compliance_monthly/snapshot_month=2026-01/aggregator=org/data.parquet\n",
        "org: would compact 3 days into pack_compliance_monthly/snapshot_month=2026-02/aggregator=org/data.parquet\n",
        // By today's clock all of them are old; the last snapshot and the state before it stay.
        "org: would drop pack_compliance of 6 days, 2026-01-02 to 2026-02-28, ",
        "org: would drop source_status of 6 days, 2026-01-02 to 2026-02-28, ",
        "org: would drop pack_status of 5 days, 2026-01-02 to 2026-02-14, ",
        "dry run: nothing was changed, use --apply\n",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {ended:?}");
    }
    assert_eq!(files(&scene.path("lake")), before);
    let (scene, pipeline) = kept("");
    assert_eq!(maintain(&scene, &pipeline, &[]).stdout, "nothing to do\n");
    assert_eq!(maintain(&scene, &pipeline, &["--apply"]).stdout, "nothing to do\n");
}

#[test]
fn complete_months_get_a_file_each_with_the_rows_of_their_days_and_the_days_stay() {
    let tables_of = Table::ALL.map(|table| format!("{:?}", table.name())).join(", ");
    let (scene, pipeline) = kept(&format!("compact = [{tables_of}]"));
    let before = tables(&scene);
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert_eq!(ended.stdout.matches(" (verified)").count(), 3 * 6, "by today's clock March is over as well");
    let after = tables(&scene);
    assert!(before.iter().all(|(name, content)| after.get(name) == Some(content)), "the days stay as they were");
    assert_eq!(after.len(), before.len() + 18);
    is_sound(&scene, &pipeline, &[]);
    assert_eq!(maintain(&scene, &pipeline, &["--apply"]).stdout, "nothing to do\n");

    // A day that is replaced, and one that is filled in, make their months again.
    scene.night(Path::new(&pipeline), DAYS[1]);
    scene.night(Path::new(&pipeline), "2026-02-03");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert!(ended.stdout.contains("with its days: the rows of 2026-01-05 are not the same; "), "{ended:?}");
    assert!(ended.stdout.contains("with its days: 2026-02-03 is not in it; "), "{ended:?}");
    let ended = maintain(&scene, &pipeline, &["--apply", "--only", "org"]);
    let again = |month: &str, days: &str| {
        let days = if days == "1" { "1 day".to_owned() } else { format!("{days} days") };
        ended.stdout.contains(&format!("compacted {days} into pack_compliance_monthly/snapshot_month={month}/"))
    };
    assert!(again("2026-01", "3") && again("2026-02", "4") && !again("2026-03", "1"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_month_that_is_damaged_or_not_what_its_days_are_is_found() {
    let (scene, pipeline) = kept("compact = \"compliance_trends\"");
    maintain(&scene, &pipeline, &["--apply"]);
    let path = month_file(&scene, "compliance_trends", "2026-01");
    let good = std::fs::read(&path).expect("read");
    let other = std::fs::read(month_file(&scene, "compliance_trends", "2026-02")).expect("read");
    for (bad, what) in
        [(&good[..good.len() - 20], "damaged or not of Compline"), (&other[..], "it is of snapshot_month=2026-02")]
    {
        std::fs::write(&path, bad).expect("written");
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stdout.contains("compliance_trends_monthly/snapshot_month=2026-01") && ended.stdout.contains(what),
            "{ended:?}"
        );
    }
    std::fs::remove_file(&path).expect("removed");
    maintain(&scene, &pipeline, &["--apply"]);
    assert_eq!(std::fs::read(&path).expect("read"), good);
}

#[test]
fn old_states_are_dropped_but_never_what_the_next_night_goes_on_from() {
    let (scene, pipeline) = kept("pack_status_days = 5");
    let before = tables(&scene);
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.starts_with("org: dropped pack_status of 6 days, 2026-01-02 to 2026-02-28, "), "{ended:?}");
    let after = tables(&scene);
    let gone: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    assert!(gone.len() == 6 && gone.iter().all(|name| name.starts_with("pack_status/")), "{gone:?}");
    is_sound(&scene, &pipeline, &[]);

    // The next night, and a day that is replaced before all of them: the same tables as without dropping.
    let (whole, whole_pipeline) = kept("");
    for (scene, pipeline) in [(&scene, &pipeline), (&whole, &whole_pipeline)] {
        scene.night(Path::new(pipeline), "2026-03-02");
        scene.night(Path::new(pipeline), DAYS[0]);
        scene.night(Path::new(pipeline), "2026-01-20");
    }
    for table in [Table::PackChanges, Table::ComplianceTrends] {
        for day in DAYS.into_iter().chain(["2026-01-20", "2026-03-02"]) {
            assert_eq!(scene.rows(table, "org", day), whole.rows(table, "org", day), "{} {day}", table.name());
        }
    }
    is_sound(&scene, &pipeline, &[]);
    assert!(
        !scene.path("lake/pack_status/snapshot_date=2026-01-20/aggregator=org/data.parquet").exists(),
        "it is not retained"
    );
}

#[test]
fn what_was_dropped_is_known_to_a_pipeline_file_that_says_nothing_of_it_and_what_is_lost_is_told() {
    let (scene, pipeline) = kept("pack_status_days = 5");
    maintain(&scene, &pipeline, &["--apply"]);
    let other = scene.org_pipeline("lake", "", "").display().to_string();
    is_sound(&scene, &other, &[]);
    for day in ["2026-03-02", "2026-03-03"] {
        scene.night(Path::new(&other), day);
    }
    let last = scene.path("lake/pack_status/snapshot_date=2026-03-02/aggregator=org/data.parquet");
    std::fs::remove_file(last).expect("removed");
    let ended = run(scene.command(&["verify", &other]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("problem: pack_status of 2026-03-02 is not there\n"), "{ended:?}");
    assert!(ended.stdout.ends_with("2 problems found\n"), "its trend tables too: {ended:?}");
    // They can be computed again: with a file that retains them they are.
    let ended = run(scene.command(&["trends", &other]));
    assert!(ended.stdout.starts_with("org: 2 of 9 days were as their snapshots say"), "{ended:?}");
    let states = files(&scene.path("lake/pack_status"));
    assert_eq!(states.len(), 9);
    is_sound(&scene, &other, &[]);
}

#[test]
fn snapshots_are_dropped_only_when_told_after_their_months_are_verified_and_trends_go_on() {
    let (scene, pipeline) =
        kept("snapshot_days = 5\npack_status_days = 5\ncompact = [\"pack_compliance\", \"source_status\"]");
    let before = tables(&scene);
    let trends = scene.rows(Table::ComplianceTrends, "org", DAYS[6]);
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("org: dropped pack_compliance of 6 days, 2026-01-02 to 2026-02-28, "), "{ended:?}");
    assert!(ended.stdout.contains("org: dropped source_status of 6 days, "), "{ended:?}");
    assert!(
        ended.stdout.contains("org: dropped pack_status of 5 days, 2026-01-02 to 2026-02-14, "),
        "the last of them is the base"
    );
    is_sound(&scene, &pipeline, &[]);
    // Nothing is lost: the days that were dropped, put back, are what the months have.
    let dropped: BTreeMap<_, _> = before.into_iter().filter(|(name, _)| !tables(&scene).contains_key(name)).collect();
    let copy = scene.path("copy");
    std::fs::rename(scene.path("lake"), &copy).expect("moved");
    scene.put_lake("lake", &files(&copy));
    scene.put_lake("lake", &dropped);
    is_sound(&scene, &pipeline, &[]);
    std::fs::remove_dir_all(scene.path("lake")).expect("removed");
    std::fs::rename(copy, scene.path("lake")).expect("moved back");
    // The day that is left, and the next, are compared with the state of a day whose snapshot is gone.
    let again = run(scene.command(&["trends", &pipeline]));
    assert_eq!(again.stdout, "org: 1 of 1 days were as their snapshots say, 2026-03-01 to 2026-03-01\n");
    assert_eq!(scene.rows(Table::ComplianceTrends, "org", DAYS[6]), trends);
    scene.night(Path::new(&pipeline), "2026-03-02");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert!(ended.stdout.contains("/data.parquet with its days: 2026-03-02 is not in it"), "{ended:?}");
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-02-10"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("the snapshot of 2026-02-14 was dropped, as maintain.snapshot_days says"),
        "{ended:?}"
    );
    is_sound(&scene, &pipeline, &[]);
    // Without that state the trends cannot be computed again, and that is said.
    std::fs::remove_file(scene.path("lake/pack_status/snapshot_date=2026-03-01/aggregator=org/data.parquet"))
        .expect("removed");
    let ended = run(scene.command(&["trends", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("2026-03-01")
            && ended.stdout.contains("its snapshot was dropped or is gone; restore them"),
        "{ended:?}"
    );
}

#[test]
fn the_state_that_snapshots_go_on_from_is_computed_before_they_are_dropped_if_it_was_dropped_before() {
    let (scene, _) = kept("");
    let with = |maintain: &str| {
        let maintain = format!("[maintain]\npack_status_days = 5\n{maintain}");
        scene.org_pipeline("lake", "", &maintain).display().to_string()
    };
    maintain(&scene, &with(""), &["--apply"]);
    let states = || tables(&scene).into_keys().filter(|name| name.starts_with("pack_status/")).collect::<Vec<_>>();
    assert_eq!(states().len(), 1, "that of the last day alone");

    let pipeline = with("snapshot_days = 5\ncompact = [\"pack_compliance\", \"source_status\"]");
    let line = "pack_status of 2026-02-28, which the first snapshot that is left goes on from\n";
    let before = tables(&scene);
    let ended = maintain(&scene, &pipeline, &[]);
    assert!(ended.stdout.contains(&format!("org: would compute {line}")), "{ended:?}");
    assert_eq!(tables(&scene), before);
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains(&format!("org: computed {line}")), "{ended:?}");
    assert!(ended.stdout.contains("org: dropped pack_compliance of 6 days, 2026-01-02 to 2026-02-28, "), "{ended:?}");
    assert_eq!(states().len(), 2, "{:?}", states());
    is_sound(&scene, &pipeline, &[]);
    let again = run(scene.command(&["trends", &pipeline]));
    assert_eq!(again.stdout, "org: 1 of 1 days were as their snapshots say, 2026-03-01 to 2026-03-01\n");

    // The next night is the same as on a lake of which nothing was dropped.
    let (whole, whole_pipeline) = kept("");
    scene.night(Path::new(&pipeline), "2026-03-02");
    whole.night(Path::new(&whole_pipeline), "2026-03-02");
    for table in [Table::PackChanges, Table::ComplianceTrends, Table::PackStatus] {
        for day in [DAYS[6], "2026-03-02"] {
            assert_eq!(scene.rows(table, "org", day), whole.rows(table, "org", day), "{} {day}", table.name());
        }
    }
    // The state that they went on from is old, and only dropped with the snapshot after it.
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_month_that_is_damaged_is_made_again_from_its_days_unless_one_of_them_is_nowhere_else() {
    let (scene, pipeline) = kept("compact = [\"pack_compliance\", \"source_status\"]");
    maintain(&scene, &pipeline, &["--apply"]);
    let month = month_file(&scene, "pack_compliance", "2026-01");
    let whole = std::fs::read(&month).expect("read");
    std::fs::write(&month, &whole[..whole.len() - 3]).expect("cut");
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(
        ended.stdout.contains("compacted 3 days into pack_compliance_monthly/snapshot_month=2026-01/"),
        "{ended:?}"
    );
    assert_eq!(std::fs::read(&month).expect("read"), whole);
    is_sound(&scene, &pipeline, &[]);

    // Now a day of it was dropped.
    let age = chrono::Utc::now().date_naive() - DAYS[1].parse::<chrono::NaiveDate>().expect("a day");
    let drops =
        format!("[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]\nsnapshot_days = {}", age.num_days());
    let pipeline = scene.org_pipeline("lake", "", &drops).display().to_string();
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("dropped pack_compliance of 1 day, 2026-01-02 to 2026-01-02"), "{ended:?}");
    std::fs::write(&month, &whole[..whole.len() - 3]).expect("cut");
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("org: left as it is, since 2026-01-02 may be in no other file: "), "{ended:?}");
    assert_eq!(std::fs::read(&month).expect("read").len(), whole.len() - 3, "the only copy is left where it is");
    // A day of the month that is another file than was committed does not make its dropped days lost.
    std::fs::write(&month, whole).expect("restored");
    let facts =
        |day: &str| scene.path("lake/pack_compliance").join(format!("snapshot_date={day}/aggregator=org/data.parquet"));
    std::fs::copy(facts(DAYS[2]), facts(DAYS[1])).expect("copied");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert!(ended.code == Some(1) && !ended.stdout.contains("does not have it"), "{ended:?}");
}

#[test]
fn a_day_that_was_dropped_can_be_imported_again_where_its_month_is_lost() {
    let scene = Scene::new("");
    let maintain_lines = "[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]";
    let plain = scene.org_pipeline("lake", "", maintain_lines).display().to_string();
    let import = |day: &str| {
        let pack = |number: u32, kind: &str| {
            format!(
                r#"{{"ConformancePackName":"p{number}","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{{"ComplianceType":"{kind}"}}}}"#
            )
        };
        let kind = if day == DAYS[1] { "NON_COMPLIANT" } else { "COMPLIANT" };
        let list =
            format!(r#"{{"AggregateComplianceByConformancePacks":[{},{}]}}"#, pack(1, kind), pack(2, "COMPLIANT"));
        std::fs::write(scene.path("day.json"), list).expect("written");
        let import = ["import", &plain, "--aggregator", "org", "--date", day, "--accept", "--replace", "day.json"];
        run(scene.command(&import))
    };
    DAYS[..5].iter().for_each(|day| assert_eq!(import(day).code, Some(0)));
    let drops = scene.org_pipeline("lake", "", &format!("{maintain_lines}\nsnapshot_days = {}", age_of(DAYS[3])));
    let drops = drops.display().to_string();
    let ended = maintain(&scene, &drops, &["--apply"]);
    assert!(ended.stdout.contains("dropped pack_compliance of 3 days, 2026-01-02 to 2026-01-31"), "{ended:?}");
    is_sound(&scene, &drops, &[]);
    let trends = |scene: &Scene| crate::support::reading::of_trends(tables(scene));
    let before = trends(&scene);
    // While its month has it, nobody can bring another.
    assert_eq!(import(DAYS[1]).code, Some(1));

    for table in ["pack_compliance", "source_status"] {
        std::fs::remove_file(month_file(&scene, table, "2026-01")).expect("removed");
    }
    let ended = run(scene.command(&["maintain", &drops, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        ended.stdout.contains("/snapshot_month=2026-01/aggregator=org/data.parquet does not have 2026-01-02"),
        "{ended:?}"
    );
    for day in [DAYS[1], DAYS[0], DAYS[2]] {
        let ended = import(day);
        assert_eq!(ended.code, Some(0), "{day}: {ended:?}");
        assert_eq!(trends(&scene), before, "{day}: what was computed of it is still so");
    }
    let again = run(scene.command(&["trends", &drops]));
    assert_eq!(again.code, Some(0), "{again:?}");
    let ended = maintain(&scene, &drops, &["--apply"]);
    assert!(ended.stdout.contains("dropped pack_compliance of 3 days, 2026-01-02 to 2026-01-31"), "{ended:?}");
    is_sound(&scene, &drops, &[]);
    assert_eq!(trends(&scene), before);
}

#[test]
fn a_lake_whose_trends_are_out_of_date_is_left_as_it_is() {
    let (scene, pipeline) = kept("snapshot_days = 5");
    std::fs::create_dir_all(scene.path("lake/_compline/redo")).expect("made");
    std::fs::write(scene.path("lake/_compline/redo/aggregator=org.json"), "{\"from\":\"2026-01-05\"}")
        .expect("written");
    let before = tables(&scene);
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("org: left as it is: its trends from 2026-01-05 on are out of date"), "{ended:?}");
    assert_eq!(tables(&scene), before);
}

#[test]
fn f01_a_month_that_is_out_of_date_is_made_again_before_anything_is_dropped_and_verify_holds_it_against_the_ledger() {
    let scene = Scene::new("");
    let pipeline = |snapshot_days: u32| {
        let maintain =
            format!("[maintain]\nsnapshot_days = {snapshot_days}\ncompact = [\"pack_compliance\", \"source_status\"]");
        scene.org_pipeline("lake", "", &maintain).display().to_string()
    };
    let import = |day: &str, name: &str, more: &[&str]| {
        let pack = format!(
            r#"{{"ConformancePackName":"{name}","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{{"ComplianceType":"COMPLIANT"}}}}"#
        );
        std::fs::write(scene.path("one.json"), pack).expect("written");
        let command = ["import", &pipeline(1), "--aggregator", "org", "--date", day, "one.json", "--accept"];
        let ended = run(scene.command(&[&command, more].concat()));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    let days_of = |days: i64| u32::try_from(days).expect("some days ago");
    import("2026-01-05", "first", &[]);
    import("2026-01-06", "old", &[]);
    import("2026-03-01", "last", &[]);
    // Only the first day is old: it is dropped, and its month has it.
    let first_alone = pipeline(days_of(age_of("2026-01-06")));
    let ended = maintain(&scene, &first_alone, &["--apply"]);
    assert!(ended.stdout.contains("org: dropped pack_compliance of 1 day, 2026-01-05 to 2026-01-05"), "{ended:?}");
    is_sound(&scene, &first_alone, &[]);
    import("2026-01-06", "new", &["--replace"]);
    let behind = run(scene.command(&["verify", &first_alone]));
    assert!(behind.stdout.contains("the rows of 2026-01-06 are not the same"), "{behind:?}");

    // Now the second day is old as well: its month is made again, of it and of what only the old month has.
    let both = pipeline(days_of(age_of("2026-01-06")) - 1);
    let ended = maintain(&scene, &both, &["--apply"]);
    assert!(
        ended.stdout.contains("org: compacted 2 days into pack_compliance_monthly/snapshot_month=2026-01/"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("org: dropped pack_compliance of 1 day, 2026-01-06 to 2026-01-06"), "{ended:?}");
    is_sound(&scene, &both, &[]);
    let month = month_file(&scene, "pack_compliance", "2026-01");
    let good = std::fs::read(&month).expect("read");
    for (name, is_there) in [("first", true), ("new", true), ("old", false)] {
        assert_eq!(rows_of_month(&month).iter().any(|pack| pack == name), is_there, "{name}");
    }
    let ledger = scene.rows(Table::Runs, "org", "2026-01-06");
    assert!(ledger.len() == 3 && ledger[2].contains("|dropped|"), "{ledger:?}");

    // A month of older rows is found where the day's own file is gone as well.
    let other = Scene::new("");
    std::fs::rename(scene.path("lake"), other.path("lake")).expect("moved");
    scene.put_lake("lake", &files(&other.path("lake")));
    let old = scene.path("lake/pack_compliance_monthly");
    import("2026-02-02", "february", &[]);
    maintain(&scene, &pipeline(days_of(age_of("2026-02-02"))), &["--apply"]);
    std::fs::copy(old.join("snapshot_month=2026-02/aggregator=org/data.parquet"), &month).expect("copied");
    let ended = run(scene.command(&["verify", &both]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("was dropped, and its month's file does not have it"), "{ended:?}");
    std::fs::write(&month, good).expect("restored");
    is_sound(&scene, &both, &[]);
}

/// The names of the packs in a month's file.
pub(crate) fn rows_of_month(path: &Path) -> Vec<String> {
    let file = bytes::Bytes::from(std::fs::read(path).expect("read"));
    let batches = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1024).expect("Parquet");
    batches.flat_map(|batch| crate::support::reading::column(&batch.expect("rows"), "conformance_pack_name")).collect()
}

#[test]
fn f01_nothing_is_dropped_whose_month_does_not_have_these_very_files() {
    let (scene, pipeline) = kept("snapshot_days = 5");
    let before = tables(&scene);
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("so add pack_compliance and source_status to maintain.compact"), "{ended:?}");
    assert_eq!(tables(&scene), before);

    // A day's file that is damaged is not dropped for what its month has.
    let (scene, pipeline) = kept("snapshot_days = 5\ncompact = [\"pack_compliance\", \"source_status\"]");
    let none = scene.org_pipeline("lake", "", "[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]");
    maintain(&scene, &none.display().to_string(), &["--apply"]);
    let facts = scene.path("lake/pack_compliance/snapshot_date=2026-01-05/aggregator=org/data.parquet");
    let whole = std::fs::read(&facts).expect("read");
    std::fs::write(&facts, &whole[..whole.len() - 3]).expect("cut");
    let pipeline_of_drops = scene.org_pipeline(
        "lake",
        "",
        "[maintain]\nsnapshot_days = 5\ncompact = [\"pack_compliance\", \"source_status\"]",
    );
    assert_eq!(pipeline, pipeline_of_drops.display().to_string());
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(facts.exists(), "{ended:?}");
    assert!(ended.stdout.contains("org: snapshots from 2026-01-05 on are retained"), "{ended:?}");
}

#[test]
fn a_month_in_which_a_bit_flipped_is_made_again_before_its_days_are_dropped() {
    let compact = "compact = [\"pack_compliance\", \"source_status\"]";
    let (scene, pipeline) = kept(compact);
    maintain(&scene, &pipeline, &["--apply"]);
    let flip = |month: &Path| {
        let whole = std::fs::read(month).expect("read");
        let mut flipped = whole.clone();
        flipped[whole.len() / 3] ^= 1;
        std::fs::write(month, &flipped).expect("written");
        (whole, flipped)
    };
    let (month, later) =
        (month_file(&scene, "pack_compliance", "2026-01"), month_file(&scene, "source_status", "2026-02"));
    let ((whole, flipped), (whole_later, _)) = (flip(&month), flip(&later));
    let drops = format!("[maintain]\nsnapshot_days = 5\n{compact}");
    let pipeline = scene.org_pipeline("lake", "", &drops).display().to_string();
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    for made in ["pack_compliance_monthly/snapshot_month=2026-01/", "source_status_monthly/snapshot_month=2026-02/"] {
        assert!(ended.stdout.contains(&format!("org: compacted 3 days into {made}")), "{ended:?}");
    }
    assert!(ended.stdout.contains("org: dropped pack_compliance of 6 days, 2026-01-02 to 2026-02-28, "), "{ended:?}");
    let is_whole = |month: &Path, whole: &[u8]| std::fs::read(month).expect("read") == whole;
    assert!(is_whole(&month, &whole) && is_whole(&later, &whole_later), "they are not made again as they were");
    is_sound(&scene, &pipeline, &[]);

    // Once it is the only one that has its days it is left as it is, and nothing says that all is done.
    std::fs::write(&month, &flipped).expect("written");
    let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
    assert!(ended.code == Some(1) && ended.stdout.contains("pack_compliance_monthly"), "{ended:?}");
    assert!(std::fs::read(&month).expect("read") == flipped, "the only copy is written over");
}

#[test]
fn a_month_of_states_in_which_a_bit_flipped_is_made_again_before_its_days_are_dropped() {
    let (scene, pipeline) = kept("compact = [\"pack_status\"]");
    maintain(&scene, &pipeline, &["--apply"]);
    let month = month_file(&scene, "pack_status", "2026-01");
    let whole = std::fs::read(&month).expect("read");
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    std::fs::write(&month, &flipped).expect("written");
    let drops = "[maintain]\ncompact = [\"pack_status\"]\npack_status_days = 5";
    let pipeline = scene.org_pipeline("lake", "", drops).display().to_string();
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    let made = "org: compacted 3 days into pack_status_monthly/snapshot_month=2026-01/";
    assert!(ended.stdout.contains(made), "{ended:?}");
    assert!(ended.stdout.contains("org: dropped pack_status of 6 days, 2026-01-02 to 2026-02-28, "), "{ended:?}");
    assert!(std::fs::read(&month).expect("read") == whole, "it is not made again as it was");
    is_sound(&scene, &pipeline, &[]);
}

//! `compline maintain`: months put together, old things dropped, and a lake that stays what it must be.

use crate::reading::files;
use crate::support::{Ended, Scene, run};
use crate::verified::is_sound;
use compline_model::Table;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DAYS: [&str; 7] =
    ["2026-01-02", "2026-01-05", "2026-01-31", "2026-02-01", "2026-02-14", "2026-02-28", "2026-03-01"];

/// A lake of these days, and a pipeline with these lines in `[maintain]`.
fn kept(maintain: &str) -> (Scene, String) {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "", &format!("[maintain]\n{maintain}"));
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    (scene, pipeline.display().to_string())
}

fn maintain(scene: &Scene, pipeline: &str, arguments: &[&str]) -> Ended {
    let ended = run(scene.command(&[&["maintain", pipeline], arguments].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

/// The files of the tables, without Compline's own.
fn tables(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    files(&scene.path("lake")).into_iter().filter(|(name, _)| !name.starts_with("_compline")).collect()
}

fn month_file(scene: &Scene, table: &str, month: &str) -> PathBuf {
    scene.path("lake").join(format!("{table}_monthly/snapshot_month={month}/aggregator=org/data.parquet"))
}

#[test]
fn without_apply_it_says_what_it_would_do_and_changes_nothing() {
    let (scene, pipeline) = kept("compact = [\"pack_compliance\"]\npack_status_days = 30\nsnapshot_days = 100");
    let before = files(&scene.path("lake"));
    let ended = maintain(&scene, &pipeline, &[]);
    for line in [
        "org: would put 3 days into pack_compliance_monthly/snapshot_month=2026-01/aggregator=org/data.parquet\n",
        "org: would put 3 days into pack_compliance_monthly/snapshot_month=2026-02/aggregator=org/data.parquet\n",
        // By today's clock all of them are old; the last snapshot and the state before it stay.
        "org: would drop pack_compliance of 6 days, 2026-01-02 to 2026-02-28, ",
        "org: would drop source_status of 6 days, 2026-01-02 to 2026-02-28, ",
        "org: would drop pack_status of 5 days, 2026-01-02 to 2026-02-14, ",
        "nothing was changed: --apply does it\n",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {ended:?}");
    }
    assert_eq!(files(&scene.path("lake")), before);
    let (scene, pipeline) = kept("");
    assert_eq!(maintain(&scene, &pipeline, &[]).stdout, "nothing is to be done\n");
    assert_eq!(maintain(&scene, &pipeline, &["--apply"]).stdout, "nothing is to be done\n");
}

#[test]
fn complete_months_get_a_file_each_with_the_rows_of_their_days_and_the_days_stay() {
    let tables_of = Table::ALL.map(|table| format!("{:?}", table.name())).join(", ");
    let (scene, pipeline) = kept(&format!("compact = [{tables_of}]"));
    let before = tables(&scene);
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert_eq!(ended.stdout.matches(", the same row for row").count(), 3 * 6, "by today's clock March is over as well");
    let after = tables(&scene);
    assert!(before.iter().all(|(name, content)| after.get(name) == Some(content)), "the days stay as they were");
    assert_eq!(after.len(), before.len() + 18);
    is_sound(&scene, &pipeline, &[]);
    assert_eq!(maintain(&scene, &pipeline, &["--apply"]).stdout, "nothing is to be done\n");

    // A day that is replaced, and one that is filled in, make their months again.
    scene.night(Path::new(&pipeline), DAYS[1]);
    scene.night(Path::new(&pipeline), "2026-02-03");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert!(ended.stdout.contains("for its days: the rows of 2026-01-05 are not the same; "), "{ended:?}");
    assert!(ended.stdout.contains("for its days: 2026-02-03 is not in it; "), "{ended:?}");
    let ended = maintain(&scene, &pipeline, &["--apply", "--only", "org"]);
    let again = |month: &str, days: &str| {
        let days = if days == "1" { "1 day".to_owned() } else { format!("{days} days") };
        ended.stdout.contains(&format!("put {days} into pack_compliance_monthly/snapshot_month={month}/"))
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
        [(&good[..good.len() - 20], "damaged or not of Compline"), (&other[..], "2026-01-02 is not in it")]
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
        "it is not kept"
    );
}

#[test]
fn snapshots_are_dropped_only_when_told_after_their_months_are_kept_and_trends_go_on() {
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
    assert!(ended.stdout.contains("/data.parquet for its days: 2026-03-02 is not in it"), "{ended:?}");
    maintain(&scene, &pipeline, &["--apply"]);
    is_sound(&scene, &pipeline, &[]);
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-02-10"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("the snapshots of 2026-02-10 and of days around it are dropped"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
    // Without that state the trends cannot be computed again, and that is said.
    std::fs::remove_file(scene.path("lake/pack_status/snapshot_date=2026-03-01/aggregator=org/data.parquet"))
        .expect("removed");
    let ended = run(scene.command(&["trends", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("2026-03-01") && ended.stdout.contains("its snapshot is dropped; restore them"),
        "{ended:?}"
    );
}

#[test]
fn a_lake_whose_trends_are_behind_is_left_as_it_is() {
    let (scene, pipeline) = kept("snapshot_days = 5");
    std::fs::write(scene.path("lake/_compline/redo/aggregator=org.json"), "{\"from\":\"2026-01-05\"}")
        .expect("written");
    let before = tables(&scene);
    let ended = maintain(&scene, &pipeline, &["--apply"]);
    assert!(ended.stdout.contains("org: left as it is: its trends from 2026-01-05 on are behind"), "{ended:?}");
    assert_eq!(tables(&scene), before);
}

//! Which packs were asked for: days are compared only with days of the same filters, and days whose filters depend on the
//! answer with none.

use crate::support::reading::{column, files};
use crate::support::{Ended, Scene, run};
use crate::verify::is_sound;
use compline_model::Table;

const DAYS: [&str; 4] = ["2026-02-24", "2026-02-25", "2026-02-26", "2026-02-27"];

fn night(scene: &Scene, lines: &str, day: &str) -> Ended {
    let pipeline = scene.org_pipeline("lake", lines, "").display().to_string();
    run(scene.command(&["run", &pipeline, "--date", day]))
}

#[test]
fn f03_a_filter_by_compliance_type_gives_facts_sources_and_a_ledger_and_nothing_that_compares_days() {
    let scene = Scene::new("");
    let filter = "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"";
    for day in DAYS {
        let ended = night(&scene, filter, day);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("facts only"), "{ended:?}");
    }
    let names = files(&scene.path("lake"));
    let tables = |table: &str| names.keys().filter(|name| name.starts_with(table)).count();
    assert_eq!([tables("pack_compliance/"), tables("source_status/"), tables("runs/")], [4, 4, 4]);
    assert_eq!([tables("pack_changes/"), tables("compliance_trends/"), tables("pack_status/")], [0, 0, 0]);
    let pipeline = scene.org_pipeline("lake", filter, "").display().to_string();
    is_sound(&scene, &pipeline, &[]);
    assert_eq!(run(scene.command(&["trends", &pipeline])).code, Some(0));
    let plan = run(scene.command(&["plan", &pipeline]));
    assert!(plan.stdout.contains("facts only"), "{plan:?}");
    assert!(!plan.stdout.contains("writes pack_status"), "{plan:?}");

    // Filters that together ask for all three types are an ordinary population.
    let all = "[[aggregator.filter]]\ncompliance_type = [\"NON_COMPLIANT\", \"COMPLIANT\"]\n\
               [[aggregator.filter]]\ncompliance_type = \"INSUFFICIENT_DATA\"";
    let other = Scene::new("");
    let ended = night(&other, all, DAYS[0]);
    assert!(ended.code == Some(0) && !ended.stdout.contains("facts only"), "{ended:?}");
    assert!(!other.rows(Table::PackStatus, "org", DAYS[0]).is_empty());
}

#[test]
fn f03_trends_begin_anew_after_a_day_whose_ledger_is_lost_and_one_of_long_ago_with_other_filters() {
    let scene = Scene::new("");
    let of_region = "[[aggregator.filter]]\naws_region = \"eu-west-1\"";
    // The last day is more than 180 days after the first one, and fewer after the second.
    let (first, second, last) = (DAYS[0], "2026-08-01", "2026-11-20");
    for day in [first, second] {
        assert_eq!(night(&scene, of_region, day).code, Some(0));
    }
    for (name, _) in files(&scene.path("lake")) {
        if name.contains(second) && (name.starts_with("runs/") || name.starts_with("_compline/")) {
            std::fs::remove_file(scene.path("lake").join(name)).expect("removed");
        }
    }
    let ended = night(&scene, "", last);
    assert!(ended.stdout.contains("committed"), "{ended:?}");
    let trends = scene.read(&scene.lake(), Table::ComplianceTrends, "org", last).expect("trends");
    assert!(column(&trends, "population_since").iter().all(|value| value == last), "{ended:?}");
}

#[test]
fn f03_trends_begin_anew_where_the_filters_change_and_say_so_in_place_of_packs_that_were_removed() {
    let scene = Scene::new("");
    assert_eq!(night(&scene, "", DAYS[0]).code, Some(0));
    let of_region = "[[aggregator.filter]]\naws_region = \"eu-west-1\"";
    let ended = night(&scene, of_region, DAYS[1]);
    assert_eq!(ended.code, Some(0), "it is not held for what it was not asked for: {ended:?}");
    assert_eq!(night(&scene, of_region, DAYS[2]).code, Some(0));
    assert!(scene.rows(Table::PackChanges, "org", DAYS[1]).is_empty());
    for (day, since, previous) in
        [(DAYS[0], DAYS[0], None), (DAYS[1], DAYS[1], None), (DAYS[2], DAYS[1], Some(DAYS[1]))]
    {
        let trends = scene.read(&scene.lake(), Table::ComplianceTrends, "org", day).expect("trends");
        assert!(column(&trends, "population_since").iter().all(|value| value == since), "{day}");
        let expected = previous.unwrap_or("-");
        assert!(column(&trends, "previous_snapshot_date").iter().all(|value| value == expected), "{day}");
    }
    let ledger = scene.rows(Table::Runs, "org", DAYS[1]);
    assert!(ledger[0].contains("aws_region"), "{ledger:?}");
    let pipeline = scene.org_pipeline("lake", of_region, "").display().to_string();
    is_sound(&scene, &pipeline, &[]);

    // The same day with another filter: its trends, and those of later days, follow; and none are left of a day that has none.
    assert_eq!(night(&scene, "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"", DAYS[1]).code, Some(0));
    is_sound(&scene, &pipeline, &[]);
    assert!(
        !scene.path("lake/pack_status").join(format!("snapshot_date={}/aggregator=org/data.parquet", DAYS[1])).exists()
    );
    let trends = scene.read(&scene.lake(), Table::ComplianceTrends, "org", DAYS[2]).expect("trends");
    assert!(column(&trends, "previous_snapshot_date").iter().all(|value| value == "-"));
}

#[test]
fn days_go_on_as_before_from_a_day_that_was_dropped_and_is_facts_only() {
    let scene = Scene::new("");
    let of_type = "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"";
    for (day, filter) in DAYS.iter().zip(["", of_type, "", ""]) {
        assert_eq!(night(&scene, filter, day).code, Some(0));
    }
    let trends = scene.read(&scene.lake(), Table::ComplianceTrends, "org", DAYS[2]).expect("trends");
    assert!(column(&trends, "previous_snapshot_date").iter().all(|value| value == "-"), "it begins anew");
    // A month of its own for what is dropped, since months must be over.
    let age = chrono::Utc::now().date_naive() - DAYS[2].parse::<chrono::NaiveDate>().expect("a day");
    let maintain =
        format!("[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]\nsnapshot_days = {}", age.num_days());
    let pipeline = scene.org_pipeline("lake", "", &maintain).display().to_string();
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("dropped pack_compliance of 2 days, 2026-02-24 to 2026-02-25"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
    let again = run(scene.command(&["trends", &pipeline]));
    assert_eq!(again.stdout, "org: 2 of 2 days were as their snapshots say, 2026-02-26 to 2026-02-27\n");
}

#[test]
fn a_day_whose_ledger_is_gone_is_taken_for_one_of_the_filters_before_it_and_that_is_said() {
    let scene = Scene::new("");
    for day in &DAYS[..2] {
        assert_eq!(night(&scene, "", day).code, Some(0));
    }
    let path = scene.path("lake/runs").join(format!("snapshot_date={}/aggregator=org/data.parquet", DAYS[1]));
    let whole = std::fs::read(&path).expect("read");
    // Nor is there a document of what it said.
    for folder in ["ledger", "runs"] {
        std::fs::remove_dir_all(scene.path("lake/_compline").join(folder)).expect("removed");
    }
    for content in [None, Some(&whole[..whole.len() - 3])] {
        match content {
            None => std::fs::remove_file(&path).expect("removed"),
            Some(content) => std::fs::write(&path, content).expect("cut"),
        }
        let of_region = "[[aggregator.filter]]\naws_region = \"eu-west-1\"";
        let ended = night(&scene, of_region, DAYS[2]);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stdout.contains("the ledger of 2026-02-25, in runs, is damaged or gone"), "{ended:?}");
        assert!(scene.rows(Table::PackChanges, "org", DAYS[2]).is_empty(), "nothing is told as removed");
        let trends = scene.read(&scene.lake(), Table::ComplianceTrends, "org", DAYS[2]).expect("trends");
        assert!(column(&trends, "population_since").iter().all(|value| value == DAYS[2]));
    }
    std::fs::write(&path, whole).expect("restored");
    is_sound(&scene, &scene.org_pipeline("lake", "", "").display().to_string(), &[]);
}

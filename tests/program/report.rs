//! `compline report` and `[report]`: what a lake says to people.

use crate::support::{Ended, Scene, run};
use std::fs;
use std::path::{Path, PathBuf};

fn figures(scene: &Scene, pipeline: &str, more: &[&str]) -> serde_json::Value {
    let ended = run(scene.command(&[&["report", pipeline, "--format", "json"], more].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// A lake that has these days of March 2026.
fn lake(days: &[u32], settings: &str) -> (Scene, PathBuf) {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "");
    let text = fs::read_to_string(&pipeline).expect("read");
    fs::write(&pipeline, format!("{text}\n{settings}\n")).expect("written");
    days.iter().for_each(|day| drop(scene.night(&pipeline, &format!("2026-03-{day:02}"))));
    (scene, pipeline)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn gaps_are_gaps_and_an_older_snapshot_is_said_to_be_so() {
    let (scene, pipeline) = lake(&[1, 2, 4], "");
    let pipeline = shown(&pipeline);
    let found = figures(&scene, &pipeline, &["--date", "2026-03-06", "--days", "30"]);
    let org = &found["aggregators"][0];
    assert_eq!((&org["snapshot_date"], &org["days_old"]), (&"2026-03-04".into(), &2.into()));
    assert_eq!(org["gaps"], serde_json::json!(["2026-03-03", "2026-03-05"]));
    let history = org["total"]["history"].as_array().expect("a history");
    let dates: Vec<&str> = history.iter().filter_map(|point| point["date"].as_str()).collect();
    assert_eq!(dates, ["2026-03-01", "2026-03-02", "2026-03-04"]);
    // Of an earlier day nothing later is told.
    let found = figures(&scene, &pipeline, &["--date", "2026-03-01"]);
    let org = &found["aggregators"][0];
    assert_eq!((&org["snapshot_date"], &org["total"]["previous_snapshot_date"]), (&"2026-03-01".into(), &().into()));
}

#[test]
fn an_empty_lake_has_a_report_that_says_so() {
    let (scene, pipeline) = lake(&[], "");
    let pipeline = shown(&pipeline);
    let found = figures(&scene, &pipeline, &[]);
    assert!(found["aggregators"][0]["snapshot_date"].is_null(), "{found}");
    let ended = run(scene.command(&["report", &pipeline, "-o", "empty.html"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(fs::read_to_string(scene.path("empty.html")).expect("read").contains("No snapshot"));
}

#[test]
fn a_damaged_file_costs_its_own_part_of_the_report_and_is_named() {
    let (scene, pipeline) = lake(&[1, 2, 3], "");
    let pipeline = shown(&pipeline);
    let file = |table: &str, day: u32| {
        scene.path(&format!("lake/{table}/snapshot_date=2026-03-{day:02}/aggregator=org/data.parquet"))
    };
    fs::write(file("compliance_trends", 2), b"PAR1 is not all").expect("written");
    fs::write(file("pack_status", 3), b"").expect("written");
    let found = figures(&scene, &pipeline, &["--date", "2026-03-03"]);
    let org = &found["aggregators"][0];
    assert_eq!(org["unread"].as_array().map(Vec::len), Some(2), "{org}");
    assert_eq!(org["total"]["history"].as_array().map(Vec::len), Some(2));
    assert!(org["heat_map"].is_null() && org["total"]["packs"].as_i64() > Some(0), "{org}");
}

#[test]
fn each_run_leaves_the_report_of_its_day_and_the_latest_is_of_the_last_day() {
    let (scene, pipeline) = lake(&[1, 2], "[report]\ndays = 30\n");
    let read = |name: &str| fs::read_to_string(scene.path(&format!("lake/reports/{name}.html"))).expect("a report");
    assert!(read("2026-03-01").contains("2026-03-01") && !read("2026-03-01").contains("2026-03-02"));
    assert!(read("latest").contains("2026-03-02"));
    // A run of an earlier day changes what the later one is compared with, and the latest stays that of the last.
    scene.night(&pipeline, "2026-03-01");
    assert!(read("latest").contains("2026-03-02"));
    let ended = run(scene.command(&["verify", &shown(&pipeline)]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains("reports/"), "{ended:?}");
}

#[test]
fn a_report_that_cannot_be_written_costs_no_day() {
    let (scene, pipeline) = lake(&[1], "[report]\naccount_names = \"none.csv\"\n");
    fs::remove_dir_all(scene.path("lake/reports")).expect("removed");
    fs::write(scene.path("lake/reports"), b"in the way").expect("written");
    let Ended { code, stderr, .. } = run(scene.command(&["run", &shown(&pipeline), "--date", "2026-03-02"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("no report") && stderr.contains("none.csv"), "{stderr}");
    assert!(scene.path("lake/pack_compliance/snapshot_date=2026-03-02").is_dir());
}

#[test]
fn accounts_have_the_names_of_a_file_and_a_hostile_one_is_never_markup() {
    let (scene, pipeline) = lake(&[1], "");
    let pipeline = shown(&pipeline);
    let args = ["--date", "2026-03-01"];
    let account = figures(&scene, &pipeline, &args)["aggregators"][0]["accounts"][0]["value"].clone();
    let account = account.as_str().expect("an account");
    let names = format!("Account ID,Name\n{},<img src=x onerror=alert(1)>\n", account.trim_start_matches('0'));
    fs::write(scene.path("names.csv"), names).expect("written");
    let more = ["report", &pipeline, "--date", "2026-03-01", "--account-names", "names.csv", "-o", "-"];
    let html = run(scene.command(&more));
    assert_eq!(html.code, Some(0), "{html:?}");
    assert!(html.stdout.contains("&lt;img src=x") && !html.stdout.contains("<img"), "{html:?}");
    for (format, text) in
        [("csv", "\"<img src=x onerror=alert(1)>\""), ("markdown", "&lt;img src=x onerror=alert\\(1\\)&gt;")]
    {
        let ended = run(scene.command(&[&more[..6], &["--format", format]].concat()));
        assert!(ended.stdout.contains(text.trim_matches('"')), "{format}: {ended:?}");
    }
    let ended = run(scene.command(&["report", &pipeline, "--account-names", "absent.csv"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("cannot read the names of accounts from absent.csv"), "{ended:?}");
}

#[test]
fn changes_that_are_not_there_are_not_called_none() {
    let (scene, path) = lake(&[1, 2, 3], "");
    let pipeline = shown(&path);
    let before = figures(&scene, &pipeline, &["--date", "2026-03-03"]);
    let regressed = before["aggregators"][0]["regressed"]["count"].as_u64().expect("a count");
    assert_eq!(before["aggregators"][0]["total"]["regressed"].as_u64(), Some(regressed));
    fs::remove_file(scene.path("lake/pack_changes/snapshot_date=2026-03-03/aggregator=org/data.parquet"))
        .expect("removed");
    let found = figures(&scene, &pipeline, &["--date", "2026-03-03"]);
    let org = &found["aggregators"][0];
    assert!(org["regressed"].is_null() && org["total"]["regressed"].as_u64() == Some(regressed), "{org}");
    assert!(org["unread"].to_string().contains("pack_changes of 2026-03-03 is not in the lake"), "{org}");
    let html = run(scene.command(&["report", &pipeline, "--date", "2026-03-03", "-o", "-"])).stdout;
    assert!(html.contains("<b>No changes</b> of") && !html.contains("No pack regressed"), "{html}");
    // What there is of a day is shown though its trends are gone, and what they would tell is not called none.
    let gone = |table: &str, day: u32| {
        let path = format!("lake/{table}/snapshot_date=2026-03-{day:02}/aggregator=org/data.parquet");
        fs::remove_file(scene.path(&path)).expect("removed");
    };
    let status = || run(scene.command(&["status", &pipeline, "--json", "--max-age", "9000d"]));
    assert_eq!(status().code, Some(0));
    scene.night(&path, "2026-03-04");
    let before = figures(&scene, &pipeline, &["--date", "2026-03-04"])["aggregators"][0]["regressed"].clone();
    gone("compliance_trends", 4);
    let org = &figures(&scene, &pipeline, &["--date", "2026-03-04"])["aggregators"][0];
    assert!(org["total"].is_null() && org["remediated"].is_null(), "{org}");
    // Whether there is a snapshot to compare with is not known either.
    let expected = if before["count"] == 0 { serde_json::Value::Null } else { before };
    assert_eq!(org["regressed"], expected, "{org}");
    assert!(org["unread"].to_string().contains("compliance_trends of 2026-03-04 is not in the lake"), "{org}");
    let html = run(scene.command(&["report", &pipeline, "--date", "2026-03-04", "-o", "-"])).stdout;
    for shown in ["Open regressions</h3>", "Regressed since the previous snapshot</h3>", "Not known: the trends of"] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    let ended = status();
    assert!(ended.code == Some(1) && ended.stdout.contains("compliance_trends of 2026-03-04 is not in"), "{ended:?}");
    assert_eq!(run(scene.command(&["verify", &pipeline, "--repair"])).code, Some(0));
    assert_eq!(status().code, Some(0));
    // A day without trends is no gap.
    fs::remove_file(scene.path("lake/compliance_trends/snapshot_date=2026-03-02/aggregator=org/data.parquet"))
        .expect("removed");
    let org = &figures(&scene, &pipeline, &["--date", "2026-03-03"])["aggregators"][0];
    assert_eq!((&org["gaps"], &org["without_trends"]), (&serde_json::json!([]), &serde_json::json!(["2026-03-02"])));
    gone("pack_compliance", 1);
    gone("pack_compliance", 3);
    let org = &figures(&scene, &pipeline, &["--date", "2026-03-04"])["aggregators"][0];
    assert!(org["unread"].to_string().contains("the snapshot of 2026-03-03 is committed and is not in"), "{org}");
}

#[test]
fn the_latest_report_is_of_a_held_day_too_and_a_held_day_is_told_however_old_it_is() {
    let (scene, pipeline) = lake(&[3], "[report]\ndays = 2\n");
    let small = Scene::of_accounts(3);
    let path = small.org_pipeline("lake", "", "[report]\ndays = 2");
    let lakes = [&small, &scene].map(|scene| format!("{:?}", scene.path("lake").display().to_string()));
    fs::write(&path, fs::read_to_string(&path).expect("read").replace(&lakes[0], &lakes[1])).expect("written");
    let held = run(small.command(&["run", &shown(&path), "--date", "2026-03-05"]));
    assert_eq!(held.code, Some(4), "{held:?}");
    let latest = || fs::read_to_string(scene.path("lake/reports/latest.html")).expect("a report");
    assert!(latest().contains("compliance on 2026-03-05 –") && latest().contains("1 day held"));
    // A day that is filled in is not the last.
    scene.night(&pipeline, "2026-03-01");
    assert!(latest().contains("compliance on 2026-03-05 –") && latest().contains("1 day held"));
    let org = &figures(&scene, &shown(&pipeline), &["--date", "2026-03-20"])["aggregators"][0];
    assert_eq!(org["held"], serde_json::json!(["2026-03-05"]));
}

#[test]
fn an_aggregator_without_figures_has_a_row_in_the_table_for_spreadsheets() {
    let (scene, pipeline) = lake(&[], "");
    let ended = run(scene.command(&["report", &shown(&pipeline), "--format", "csv"]));
    assert!(ended.stdout.lines().nth(1).is_some_and(|row| row.starts_with("org,,aggregator,org,,,")), "{ended:?}");
}

#[test]
fn a_changed_filter_starts_the_line_anew_and_what_was_remediated_before_is_not_of_it() {
    let (scene, path) = lake(&[1, 2, 3, 4], "");
    let pipeline = shown(&path);
    let of = |date: &str| figures(&scene, &pipeline, &["--date", date])["aggregators"][0].clone();
    assert!(of("2026-03-04")["remediated"]["count"].as_u64() > Some(0), "nothing was remediated");
    let region = of("2026-03-04")["regions"][0]["value"].as_str().expect("a region").to_owned();
    scene.org_pipeline("lake", &format!("[[aggregator.filter]]\naws_region = {region:?}"), "");
    scene.night(&path, "2026-03-05");
    let org = of("2026-03-05");
    assert_eq!((&org["population_since"], &org["remediated_from"]), (&"2026-03-05".into(), &"2026-03-05".into()));
    assert_eq!((&org["remediated"]["count"], org["regions"].as_array().map(Vec::len)), (&0.into(), Some(1)), "{org}");
    let history = org["total"]["history"].as_array().expect("a history");
    let changed: Vec<_> = history.iter().map(|point| point["filters_changed_on"].as_str()).collect();
    assert_eq!(changed, [None, None, None, None, Some("2026-03-05")]);
    let html = run(scene.command(&["report", &pipeline, "--date", "2026-03-05", "-o", "-"])).stdout;
    assert!(html.contains("The filters changed on") && html.contains("so the lines start anew"), "{html}");
}

#[test]
fn names_of_which_none_is_of_an_account_are_warned_of() {
    let (scene, path) = lake(&[1], "");
    fs::write(scene.path("names.csv"), "Account ID,Name\n1,nobody\n").expect("written");
    let ended = run(scene.command(&["report", &shown(&path), "--account-names", "names.csv", "-o", "-"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("none of the 1 names is of an account that has packs"), "{ended:?}");
    assert!(ended.stdout.contains("Accounts without names"), "{ended:?}");
}

#[test]
fn what_was_remediated_on_days_whose_changes_are_gone_is_not_called_none() {
    let (scene, path) = lake(&[1, 2, 3], "");
    let pipeline = shown(&path);
    let html = || run(scene.command(&["report", &pipeline, "--date", "2026-03-03", "-o", "-"])).stdout;
    assert!(!html().contains("are not there"));
    for day in 2..=3 {
        fs::remove_file(
            scene.path(&format!("lake/pack_changes/snapshot_date=2026-03-0{day}/aggregator=org/data.parquet")),
        )
        .expect("removed");
    }
    let org = figures(&scene, &pipeline, &["--date", "2026-03-03"])["aggregators"][0].clone();
    assert_eq!(org["remediated_not_seen"], serde_json::json!(["2026-03-02", "2026-03-03"]));
    let html = html();
    assert!(
        !html.contains("No pack was remediated") && html.contains("are not there, and no pack was remediated"),
        "{html}"
    );
}

#[test]
fn the_headline_of_many_aggregators_calls_nothing_none_that_is_not_known() {
    let (scene, path) = lake(&[1, 2, 3], "");
    let text = fs::read_to_string(&path).expect("read");
    let more = |id: &str| format!("[[aggregator]]\nid = \"{id}\"\nname = \"{id}\"\nregion = \"eu-west-1\"\n");
    let text = text.replace("[fetch]", &format!("{}{}{}[fetch]", more("a"), more("b"), more("c")));
    fs::write(&path, text).expect("written");
    let html = |date: &str| run(scene.command(&["report", &shown(&path), "--date", date, "-o", "-"])).stdout;
    assert!(html("2026-03-01").contains("what regressed is not known"), "of a first snapshot");
    let found = html("2026-03-03");
    assert!(found.contains("at least") && found.contains("3 aggregators of 4 have no previous snapshot"), "{found}");
}

//! Good nights: again, out of order, with gaps, and what is said of them.

use crate::support::reading::{files, of_trends};
use crate::support::{Scene, run};
use compline_model::Table;

#[test]
fn b60_a_second_run_of_a_day_leaves_the_same_files_with_the_same_content_but_for_the_run() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("");
    for day in ["2026-02-27", "2026-02-28", "2026-03-01"] {
        scene.night(&pipeline, day);
    }
    let rows = |table| scene.rows(table, "org", "2026-02-28");
    let before = (rows(Table::PackCompliance), rows(Table::SourceStatus));
    let all = files(&scene.path("lake"));
    scene.night(&pipeline, "2026-02-28");
    let again = files(&scene.path("lake"));
    // Each run has a document of its own, and one of each of its rows; beside those nothing is left of it.
    let is_document = |name: &str| {
        let folders = ["_compline/runs/snapshot_date=", "_compline/ledger/snapshot_date="];
        folders.iter().any(|folder| name.starts_with(folder)) && name.ends_with(".json")
    };
    let (documents, others): (Vec<&str>, Vec<&str>) =
        again.keys().map(String::as_str).partition(|name| is_document(name));
    assert_eq!(all.keys().map(String::as_str).filter(|name| !is_document(name)).collect::<Vec<_>>(), others);
    assert!(others.iter().all(|name| !name.starts_with("_compline/")), "{others:?}");
    assert_eq!(documents.len(), 4 + 4 * 2);
    assert_eq!(of_trends(all), of_trends(again));
    assert_eq!((rows(Table::PackCompliance), rows(Table::SourceStatus)), before);
    assert_eq!(rows(Table::Runs).len(), 2, "the ledger has both runs");
}

#[test]
fn days_kept_in_any_order_give_the_trends_of_days_kept_in_order() {
    let days = ["2026-02-20", "2026-02-23", "2026-02-24", "2026-03-01"];
    let (ordered, shuffled) = (Scene::new(""), Scene::new(""));
    let pipeline = ordered.pipeline("");
    days.iter().for_each(|day| drop(ordered.night(&pipeline, day)));
    let pipeline = shuffled.pipeline("");
    [3, 1, 0, 2].into_iter().for_each(|day| drop(shuffled.night(&pipeline, days[day])));
    let trends = of_trends(files(&ordered.path("lake")));
    assert_eq!(trends.len(), 4 * 2 * 3);
    let other = of_trends(files(&shuffled.path("lake")));
    let differ: Vec<&String> = trends.keys().filter(|name| trends.get(*name) != other.get(*name)).collect();
    assert!(differ.is_empty(), "{differ:?}");
}

#[test]
fn b07_overlapping_filters_keep_each_pack_once_and_count_what_came_twice() {
    let scene = Scene::new("");
    scene.night(&scene.pipeline(""), "2026-03-01");
    let everything = scene.rows(Table::PackCompliance, "security", "2026-03-01");
    // Neither filter asks for all that the other does.
    let account = everything[0].split('|').next().expect("an account").to_owned();
    let of_account = format!("{account}|");
    let wanted = |row: &&String| row.contains("|us-east-1|") || row.starts_with(&of_account);
    let both = |row: &&String| row.contains("|us-east-1|") && row.starts_with(&of_account);
    let filters =
        format!("[[aggregator.filter]]\naws_region = \"us-east-1\"\n[[aggregator.filter]]\naccount_id = {account:?}\n");
    let path = scene.pipeline("");
    let text = std::fs::read_to_string(&path).expect("read").replace("[fetch]", &format!("{filters}[fetch]"));
    std::fs::write(&path, text).expect("written");
    let summary = scene.night(&path, "2026-03-01").stdout;
    let expected: Vec<String> = everything.iter().filter(wanted).cloned().collect();
    assert_eq!(scene.rows(Table::PackCompliance, "security", "2026-03-01"), expected);
    let twice = everything.iter().filter(both).count();
    assert!(twice > 0 && summary.contains(&format!("security: {twice} duplicate rows dropped")), "{summary}");
}

#[test]
fn trend_files_that_are_lost_are_made_again_by_the_next_night() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("");
    for day in ["2026-02-26", "2026-02-27", "2026-02-28"] {
        scene.night(&pipeline, day);
    }
    let before = of_trends(files(&scene.path("lake")));
    for lost in [
        "pack_status/snapshot_date=2026-02-28",
        "pack_status/snapshot_date=2026-02-27",
        "compliance_trends/snapshot_date=2026-02-26",
    ] {
        std::fs::remove_dir_all(scene.path("lake").join(lost)).expect("removed");
    }
    scene.night(&pipeline, "2026-03-01");
    let after = of_trends(files(&scene.path("lake")));
    assert!(before.iter().all(|(name, file)| after.get(name) == Some(file)));
}

#[test]
fn the_plan_of_the_shipped_pipelines_is_the_golden_one() {
    let scene = Scene::new("");
    for name in ["demo", "nightly"] {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/{name}/pipeline.toml").replace("{name}", name);
        let ended = run(scene.command(&["plan", &file, "--date", "2026-03-01"]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        golden(&format!("plan_{name}"), &ended.stdout);
    }
}

#[test]
fn the_sql_for_athena_that_is_shipped_is_what_is_printed_for_the_shipped_pipeline() {
    let scene = Scene::new("");
    let nightly = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/nightly");
    let shipped = |name: &str| std::fs::read_to_string(format!("{nightly}/athena/{name}.sql")).expect("read");
    let printed = run(scene.command(&["athena", "--offline", &format!("{nightly}/pipeline.toml")]));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.stdout, format!("{}\n{}", shipped("tables"), shipped("views")));

    let other =
        run(scene.command(&["athena", "--offline", &format!("{nightly}/pipeline.toml"), "--database", "audit"]));
    assert!(other.stdout.contains("VIEW audit.coverage") && !other.stdout.contains(" compline."), "{other:?}");
    for (arguments, words) in
        [(["--database", "a b"], "allowed is a lower-case letter"), (["--lake", "folder"], "Athena reads S3 alone")]
    {
        let file = format!("{nightly}/pipeline.toml");
        let ended = run(scene.command(&[&["athena", &file], &arguments[..]].concat()));
        assert!(ended.code == Some(2) && ended.stderr.contains(words), "{ended:?}");
    }
}

#[test]
fn the_meaning_of_every_table_is_the_golden_one() {
    golden("schema", &run(Scene::new("").command(&["schema"])).stdout);
    let ended = run(Scene::new("").command(&["schema", "none"]));
    assert!(ended.code == Some(2) && ended.stderr.contains("there are pack_compliance, source_status"), "{ended:?}");
}

#[test]
fn b61_the_day_is_that_of_utc_wherever_the_machine_is() {
    let scene = Scene::new("");
    let pipeline = scene.knows_only_now(scene.pipeline(""));
    // At any moment one of these is at another day than UTC.
    for zone in ["Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati", "Etc/GMT+12", "<X>12", "<X>-14"] {
        let today = || chrono::Utc::now().date_naive().to_string();
        let before = today();
        let mut command = scene.command_with_keys(&["run", &pipeline, "--json"]);
        command.env("TZ", zone);
        let ended = run(command);
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let day = report["snapshot_date"].as_str().expect("a date");
        assert!(day == before || day == today(), "{zone}: {day}");
        assert!(!scene.rows(Table::PackCompliance, "org", day).is_empty());
    }
}

#[test]
fn the_help_of_every_command_is_the_golden_one() {
    let scene = Scene::new("");
    for command in [
        "athena",
        "catalog",
        "check",
        "completions",
        "demo",
        "history",
        "import",
        "init",
        "maintain",
        "man",
        "plan",
        "report",
        "run",
        "schema",
        "simulate",
        "status",
        "trends",
        "verify",
    ] {
        golden(&format!("help_{command}"), &run(scene.command(&[command, "--help"])).stdout);
    }
}

#[test]
fn the_outcome_as_json_has_a_report_per_aggregator_on_stdout_alone() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-03-01", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let rows = scene.rows(Table::PackCompliance, "org", "2026-03-01").len();
    assert_eq!(report["aggregators"][0]["rows"], rows);
    assert_eq!(report["aggregators"][1]["outcome"], "succeeded");
    assert!(ended.stderr.contains("committed"), "plain lines of progress are on stderr: {ended:?}");
}

#[test]
fn the_demo_writes_no_made_up_day_among_real_ones() {
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", "", "");
    scene.night(&pipeline, "2026-02-28");
    let before = files(&scene.path("lake"));
    let ended = run(scene.command(&["demo", "--lake", "lake", "--days", "3", "--accounts", "5"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("has 2026-02-28 of org, which no demo wrote"), "{ended:?}");
    assert_eq!(files(&scene.path("lake")), before);
    // Over its own days it may go as often as one likes.
    for _ in 0..2 {
        let ended = run(scene.command(&["demo", "--lake", "demo", "--days", "2", "--accounts", "5"]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn the_demo_ends_with_the_trend_who_regressed_and_a_query() {
    let scene = Scene::new("");
    let ended = run(scene.command(&["demo", "--days", "9", "--accounts", "40"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for words in
        ["9 days of a made-up organization", "the lake is in lake", "org\n", "security\n", "who regressed", "ask next"]
    {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert_eq!(ended.stdout.matches(" packs  compliant").count(), 2);
}

/// Compares with a file in `tests/golden`. `INSTA_UPDATE=always cargo test --test program golden` writes them anew.
pub(crate) fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn f14_no_semicolon_of_the_sql_is_in_a_comment_or_a_text_and_each_statement_can_be_had_in_a_file() {
    let scene = Scene::new("");
    let pipeline = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/nightly/pipeline.toml");
    let printed = run(scene.command(&["athena", "--offline", pipeline]));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let code = |part: &str| part.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
    let parts: Vec<&str> = printed.stdout.split(';').map(str::trim).filter(|part| !part.is_empty()).collect();
    assert!(parts.len() >= 16, "{}", parts.len());
    for part in &parts {
        let code = code(part);
        assert!(code.trim().starts_with("CREATE ") || code.trim().starts_with("MSCK "), "{part}");
        assert!(code.matches('\'').count() % 2 == code.matches("\\'").count() % 2, "a text that is cut: {part}");
    }
    let ended = run(scene.command(&["athena", "--offline", pipeline, "--output-dir", "sql"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let names: Vec<String> = files(&scene.path("sql")).into_keys().collect();
    assert_eq!(names.len(), parts.len(), "{names:?}");
    assert_eq!(ended.stdout.lines().count(), names.len());
    for name in ["01_compline.sql", "_pack_compliance.sql", "_coverage.sql"] {
        assert!(names.iter().any(|own| own.ends_with(name)), "{name}: {names:?}");
    }
}

//! Days from files.

use crate::support::reading::files;
use crate::support::{Ended, Scene, run};
use compline_model::Table;
use std::path::PathBuf;

const DAYS: [&str; 3] = ["2026-02-27", "2026-02-28", "2026-03-01"];
const RAW: &str = "page_size = 10\n[archive]\nraw = true";

/// The archive of a day.
fn archive(scene: &Scene, lake: &str, day: &str) -> PathBuf {
    let folder = format!("_compline/raw/snapshot_date={day}/aggregator=org/");
    let names: Vec<String> = files(&scene.path(lake)).into_keys().filter(|name| name.starts_with(&folder)).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    scene.path(lake).join(&names[0])
}

fn import(scene: &Scene, pipeline: &str, day: &str, files: &[&str]) -> Ended {
    run(scene.command(&[&["import", pipeline, "--aggregator", "org", "--date", day], files].concat()))
}

/// The files of a lake's tables, but for the ledger.
fn tables(scene: &Scene, lake: &str) -> Vec<(String, Vec<u8>)> {
    let table = |name: &String| !name.starts_with("_compline/") && !name.starts_with("runs/");
    files(&scene.path(lake)).into_iter().filter(|(name, _)| table(name)).collect()
}

#[test]
fn an_archive_gives_back_the_identical_tables_and_trends_in_whatever_order_days_are_imported() {
    let scene = Scene::new("lost_token_every = 40\nempty_page_every = 9\nlatency_millis = 1");
    let pipeline = scene.org_pipeline("lake", "", RAW);
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    let other = scene.org_pipeline("other", "", "").display().to_string();
    for day in [DAYS[2], DAYS[0], DAYS[1]] {
        let file = archive(&scene, "lake", day).display().to_string();
        let ended = import(&scene, &other, day, &[&file]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!(tables(&scene, "lake"), tables(&scene, "other"));
    let ledger = scene.read(&scene.lake_at("other"), Table::Runs, "org", DAYS[0]).expect("a ledger");
    assert!(crate::support::reading::texts(&ledger)[0].contains("|succeeded|-|import|"));
}

#[test]
fn an_archive_that_is_not_whole_or_of_another_day_is_refused_and_nothing_is_written() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "fan_out = \"region\"", RAW);
    scene.night(&pipeline, DAYS[0]);
    let file = archive(&scene, "lake", DAYS[0]);
    let whole = std::fs::read(&file).expect("read");
    let lines = String::from_utf8(zstd::decode_all(&whole[..]).expect("zstd")).expect("UTF-8");
    let other = scene.org_pipeline("other", "", "").display().to_string();
    let without = |keep: &dyn Fn(&str) -> bool| lines.lines().filter(|line| keep(line)).collect::<Vec<_>>().join("\n");
    for (content, words) in [
        (whole[..whole.len() - 9].to_vec(), "cut short or damaged"),
        (without(&|line| !line.contains("\"shard\":4,")).into_bytes(), "of 4 shards, shard 4 is not there"),
        (without(&|line| !line.contains("\"shard\":2,\"page\":2,")).into_bytes(), "it does not follow the page before"),
        (
            without(&|line| !line.contains("\"shard\":3,") || line.contains("NextToken")).into_bytes(),
            "of shard 3 names a next one",
        ),
        (lines.replace("\"version\":1", "\"version\":2").into_bytes(), "of a newer compline"),
        (
            lines.replace("\"aggregator\":\"org\"", "\"aggregator\":\"security\"").into_bytes(),
            "the archive is of security on 2026-02-27",
        ),
    ] {
        let path = scene.path("part");
        std::fs::write(&path, content).expect("written");
        let ended = import(&scene, &other, DAYS[0], &[&path.display().to_string()]);
        assert_eq!(ended.code, Some(1), "{words}: {ended:?}");
        assert!(ended.stdout.contains(words), "{words}: {ended:?}");
        assert!(tables(&scene, "other").is_empty(), "{words}");
    }
    let ended = import(&scene, &other, DAYS[1], &[&file.display().to_string()]);
    assert!(ended.stdout.contains("the archive is of org on 2026-02-27, and --aggregator and --date say"), "{ended:?}");
    let both = file.display().to_string();
    let ended = import(&scene, &other, DAYS[0], &[&both, &both]);
    assert!(ended.stdout.contains("an archive is a whole day: give it alone"), "{ended:?}");
}

#[test]
fn files_without_a_time_give_rows_without_one_and_a_day_that_is_kept_is_not_replaced_by_mistake() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    let item = |name: &str| {
        format!(
            r#"{{"ConformancePackName":"{name}","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{{"ComplianceType":"COMPLIANT"}}}}"#
        )
    };
    let page = |name: &str| format!(r#"{{"AggregateComplianceByConformancePacks":[{}]}}"#, item(name));
    for (name, content) in [("a.json", page("a")), ("b.json", page("b")), ("bad.json", page("b") + &page("c")[..60])] {
        std::fs::write(scene.path(name), content).expect("written");
    }
    let rows = || scene.rows(Table::PackCompliance, "org", DAYS[0]);
    let bad = import(&scene, &pipeline, DAYS[0], &["bad.json"]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stdout.contains("cannot read bad.json, document 2 (line 1)"), "{bad:?}");
    assert!(tables(&scene, "lake").is_empty());

    assert_eq!(import(&scene, &pipeline, DAYS[0], &["a.json"]).code, Some(0));
    let batch = scene.read(&scene.lake(), Table::PackCompliance, "org", DAYS[0]).expect("rows");
    assert_eq!((batch["collected_at"].null_count(), batch["source_status"].null_count()), (1, 1));
    let again = import(&scene, &pipeline, DAYS[0], &["b.json"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stdout.contains("it is left as it was; --replace replaces it"), "{again:?}");
    assert!(rows()[0].contains("|a|"));
    let replaced = import(&scene, &pipeline, DAYS[0], &["b.json", "--replace"]);
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert!(rows()[0].contains("|b|"));
    assert_eq!(import(&scene, &pipeline, "2999-01-01", &["a.json"]).code, Some(2));
    assert_eq!(import(&scene, &pipeline, DAYS[1], &["nowhere.json"]).code, Some(1));
}

/// A pack of one account, as AWS Config gives it.
fn pack(name: &str, compliance_type: &str) -> String {
    format!(
        r#"{{"ConformancePackName":"{name}","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{{"ComplianceType":"{compliance_type}"}}}}"#
    )
}

#[test]
fn b22_a_type_that_is_not_known_is_kept_as_it_came_and_the_run_is_good() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    let types = ["NOT_APPLICABLE", "", "compliant", "SOMETHING_NEW"];
    let items: Vec<String> = types.iter().map(|text| pack(&format!("pack-{text}"), text)).collect();
    std::fs::write(scene.path("odd.jsonl"), items.join("\n")).expect("written");
    let ended = import(&scene, &pipeline, DAYS[0], &["odd.jsonl"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("4 inconsistent rows"), "{ended:?}");
    let rows = scene.read(&scene.lake(), Table::PackCompliance, "org", DAYS[0]).expect("rows");
    let mut kept: Vec<String> = crate::support::reading::column(&rows, "compliance_type");
    kept.sort_unstable();
    assert_eq!(kept, ["", "NOT_APPLICABLE", "SOMETHING_NEW", "compliant"]);
    let trends = scene.read(&scene.lake(), Table::ComplianceTrends, "org", DAYS[0]).expect("rows");
    assert!(crate::support::reading::column(&trends, "packs_unknown").contains(&"4".to_owned()));
}

#[test]
fn b07_aggregators_that_disagree_of_an_account_are_kept_apart() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    for (aggregator, compliance_type) in [("org", "COMPLIANT"), ("security", "NON_COMPLIANT")] {
        std::fs::write(scene.path("one.json"), pack("a", compliance_type)).expect("written");
        let import = ["import", &pipeline, "--aggregator", aggregator, "--date", DAYS[0], "one.json"];
        let ended = run(scene.command(&import));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    for (aggregator, compliance_type) in [("org", "|COMPLIANT|"), ("security", "|NON_COMPLIANT|")] {
        let rows = scene.rows(Table::PackCompliance, aggregator, DAYS[0]);
        assert!(rows.len() == 1 && rows[0].contains(compliance_type), "{rows:?}");
    }
}

#[test]
fn an_import_can_come_from_stdin_and_is_held_when_it_lost_much() {
    let scene = Scene::new("");
    let night = scene.org_pipeline("lake", "", RAW);
    scene.night(&night, DAYS[0]);
    let (pipeline, path) = (night.display().to_string(), scene.path("one.json"));
    std::fs::write(&path, r#"{"ConformancePackName":"a","AccountId":"000000000001","AwsRegion":"eu-west-1"}"#)
        .expect("written");
    let mut command = std::process::Command::new("sh");
    let import = format!(
        "exec {} import {pipeline} --aggregator org --date {} - < {}",
        env!("CARGO_BIN_EXE_compline"),
        DAYS[1],
        path.display()
    );
    command.args(["-c", &import]).current_dir(scene.folder.path());
    let ended = run(command);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains("HELD"), "{ended:?}");
    let accepted = run(scene.command(&["run", &pipeline, "--date", DAYS[1], "--accept"]));
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    assert_eq!(scene.rows(Table::PackCompliance, "org", DAYS[1]).len(), 1);
}

#[test]
fn an_import_has_the_rows_that_the_files_filters_ask_for_as_a_run_has_and_counts_the_others() {
    let scene = Scene::new("");
    let filters = "[[aggregator.filter]]\naws_region = \"eu-west-1\"\n[[aggregator.filter]]\n\
                   compliance_type = \"NON_COMPLIANT\"\naws_region = \"us-east-1\"";
    scene.night(&scene.org_pipeline("all", "", RAW), DAYS[0]);
    scene.night(&scene.org_pipeline("asked", filters, ""), DAYS[0]);
    let rows = |lake: &str| {
        let rows = scene.read(&scene.lake_at(lake), Table::PackCompliance, "org", DAYS[0]).expect("rows");
        let [accounts, regions, names, types] =
            ["account_id", "aws_region", "conformance_pack_name", "compliance_type"]
                .map(|name| crate::support::reading::column(&rows, name));
        accounts.into_iter().zip(regions).zip(names.into_iter().zip(types)).collect::<Vec<_>>()
    };
    let (all, asked) = (rows("all"), rows("asked"));
    assert!(!asked.is_empty() && asked.len() < all.len());

    let pipeline = scene.org_pipeline("imported", filters, "").display().to_string();
    let file = archive(&scene, "all", DAYS[0]).display().to_string();
    let ended = import(&scene, &pipeline, DAYS[0], &[&file, "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(rows("imported"), asked);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["aggregators"][0]["left_out"].as_u64(), Some((all.len() - asked.len()) as u64));
}

#[test]
fn f04_a_file_that_names_a_next_page_is_refused_unless_the_files_are_said_to_be_pages_of_one_list() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    let page = |name: &str, token: &str| {
        format!(r#"{{"AggregateComplianceByConformancePacks":[{}]{token}}}"#, pack(name, "COMPLIANT"))
    };
    std::fs::write(scene.path("eu.json"), page("a", r#","NextToken":"more""#)).expect("written");
    std::fs::write(scene.path("us.json"), page("b", "")).expect("written");
    for files in [["eu.json", "us.json"], ["us.json", "eu.json"]] {
        let ended = import(&scene, &pipeline, DAYS[0], &files);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains("cannot read eu.json, NextToken: its last page names a next one"), "{ended:?}");
        assert!(tables(&scene, "lake").is_empty());
    }
    let ended = import(&scene, &pipeline, DAYS[0], &["--pages", "eu.json", "us.json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(scene.rows(Table::PackCompliance, "org", DAYS[0]).len(), 2);
    let twice = import(&scene, &pipeline, DAYS[1], &["--pages", "us.json", "us.json"]);
    assert!(twice.code == Some(1) && twice.stdout.contains("these are several lists"), "{twice:?}");
}

//! What is asked for, and what of the answers is wanted.

use crate::support::{Scene, run};
use compline_model::Table;
use compline_simulator::OrganizationSpec;
use std::collections::BTreeSet;

const DAY: &str = "2026-03-01";

fn shards(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("shard ")?.split_once(": "))
        .map(|(_, shown)| shown)
        .collect()
}

#[test]
fn discover_shows_the_shards_that_a_run_reads_by_region_or_by_account_as_it_is_read_sooner() {
    for (spec, split, first, count) in [
        (OrganizationSpec { accounts: 60, ..OrganizationSpec::default() }, "region", "aws_region=", 4),
        (
            OrganizationSpec { accounts: 60, regions: 1, packs: 50, ..OrganizationSpec::default() },
            "account",
            "account_id=",
            48,
        ),
        (
            OrganizationSpec { accounts: 3, regions: 2, packs: 5, ..OrganizationSpec::default() },
            "none",
            "everything",
            1,
        ),
    ] {
        let scene = Scene::of(spec, "");
        let pipeline = scene.org_pipeline("lake", "", "page_size = 50").display().to_string();
        let plan = run(scene.command(&["plan", &pipeline, "--date", DAY, "--discover"]));
        assert_eq!(plan.code, Some(0), "{plan:?}");
        assert!(plan.stdout.contains(&format!("split by {split}\n")), "{plan:?}");
        let shown: BTreeSet<&str> = shards(&plan.stdout).into_iter().collect();
        assert_eq!(shown.len(), count, "{plan:?}");
        assert!(shown.iter().all(|shard| shard.starts_with(first)), "{plan:?}");
        let report = run(scene.command(&["run", &pipeline, "--date", DAY, "--json"]));
        let report: serde_json::Value = serde_json::from_str(&report.stdout).expect("JSON");
        assert_eq!(report["aggregators"][0]["shards"].as_u64(), Some(count as u64));
        assert_eq!(report["aggregators"][0]["unreconciled"]["count"].as_u64(), Some(0), "{report}");
    }
}

#[test]
fn discover_that_cannot_ask_an_aggregator_says_so_and_shows_the_others() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    let text = std::fs::read_to_string(&pipeline).expect("read").replace("security-aggregator", "gone-aggregator");
    std::fs::write(&pipeline, text).expect("written");
    let plan = run(scene.command(&["plan", &pipeline, "--date", DAY, "--discover"]));
    assert_eq!(plan.code, Some(1), "{plan:?}");
    assert!(plan.stdout.contains("aws_region=eu-west-1") && plan.stdout.contains("cannot be asked: "), "{plan:?}");
    assert!(plan.stdout.contains("is it in us-east-1? aggregators exist in one region"), "{plan:?}");
}

#[test]
fn every_split_reads_the_same_rows() {
    let scene = Scene::new("");
    let rows: Vec<Vec<String>> = ["auto", "none", "region", "account"]
        .iter()
        .map(|fan_out| {
            let pipeline = scene.org_pipeline(fan_out, &format!("fan_out = \"{fan_out}\""), "");
            scene.night(&pipeline, DAY);
            let batch = scene.read(&scene.lake_at(fan_out), Table::PackCompliance, "org", DAY);
            crate::support::reading::texts(&batch.expect("rows"))
        })
        .collect();
    assert!(rows[0].len() > 300);
    assert!(rows.iter().all(|others| *others == rows[0]));
}

#[test]
fn rows_that_the_file_does_not_want_are_left_out_and_counted() {
    let scene = Scene::new("");
    scene.night(&scene.org_pipeline("all", "", ""), DAY);
    let all = crate::support::reading::texts(
        &scene.read(&scene.lake_at("all"), Table::PackCompliance, "org", DAY).expect("rows"),
    );
    let choice = "[aggregator.include]\npack_group = [\"cis-*\", \"web-baseline1\"]\naws_region = \"eu-*\"\n\
                  [aggregator.exclude]\naccount_id = \"000000*\"";
    let ended = scene.night(&scene.org_pipeline("some", choice, ""), DAY);
    let some = crate::support::reading::texts(
        &scene.read(&scene.lake_at("some"), Table::PackCompliance, "org", DAY).expect("rows"),
    );
    let expected: Vec<&String> = all
        .iter()
        .filter(|row| {
            let fields: Vec<&str> = row.split('|').collect();
            !fields[0].starts_with("000000")
                && fields[1].starts_with("eu-")
                && (fields[3].starts_with("cis-") || fields[3] == "web-baseline1")
        })
        .collect();
    assert!(!expected.is_empty() && expected.len() < all.len() / 2);
    assert_eq!(some.iter().collect::<Vec<_>>(), expected);
    let left_out = all.len() - some.len();
    assert!(
        ended.stdout.contains(&format!("org: {left_out} rows are left out, as the pipeline file says")),
        "{ended:?}"
    );
}

/// A pipeline file whose AWS Config is a server that answers to order.
fn answered_by(scene: &Scene, pipeline: std::path::PathBuf, url: &str) -> String {
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let endpoint = format!("endpoint_url = \"{url}/{{date}}\"");
    let lines = text.lines().map(|line| if line.starts_with("endpoint_url") { &endpoint } else { line });
    let text = lines.collect::<Vec<_>>().join("\n");
    let path = scene.path("answered.toml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn f10_a_region_that_cannot_be_asked_for_by_its_name_is_an_error_or_read_without_a_split_by_region() {
    let pack = serde_json::json!({"ConformancePackName": "a", "AccountId": "000000000001", "AwsRegion": "mars",
        "Compliance": {"ComplianceType": "COMPLIANT"}});
    let (url, asked) = crate::support::answers::serve(move |_, request| {
        let source = |region: &str| {
            serde_json::json!({"SourceId": "000000000001", "SourceType": "ACCOUNT", "AwsRegion": region,
                "LastUpdateStatus": "SUCCEEDED"})
        };
        let body = if request.contains("SourcesStatus") {
            serde_json::json!({"AggregatedSourceStatusList": [source("eu-west-1"), source("mars")]})
        } else if request.contains("ComplianceSummary") {
            serde_json::json!({"AggregateConformancePackComplianceSummaries": []})
        } else if request.contains("DescribeConfigurationAggregators") {
            serde_json::json!({"ConfigurationAggregators": []})
        } else {
            serde_json::json!({"AggregateComplianceByConformancePacks": [pack]})
        };
        ("200 OK", "application/x-amz-json-1.1", body.to_string())
    });
    let scene = Scene::new("");
    let by = |fan_out: &str| {
        let pipeline = scene.org_pipeline("lake", &format!("fan_out = \"{fan_out}\""), "[check]\nreconcile = \"off\"");
        run(scene.command(&["run", &answered_by(&scene, pipeline, &url), "--date", DAY]))
    };
    let refused = by("region");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stdout.contains("names mars, which is not the name of an AWS region"), "{refused:?}");
    for fan_out in ["auto", "none", "account"] {
        asked.lock().expect("no panic").clear();
        assert_eq!(by(fan_out).code, Some(0), "{fan_out}");
        let rows = scene.rows(Table::PackCompliance, "org", DAY);
        assert!(rows.len() == 1 && rows[0].contains("|mars|"), "{fan_out}: {rows:?}");
        let requests = asked.lock().expect("no panic").join("\n");
        assert!(!requests.contains("\"AwsRegion\":"), "{fan_out}: no shard of a region: {requests}");
    }
}

#[test]
fn the_count_is_asked_for_beside_the_shards_and_not_after_them() {
    let scene = Scene::of_accounts(12);
    scene.night(&scene.org_pipeline("lake", "fan_out = \"region\"", "page_size = 5"), DAY);
    let requests = scene.requests();
    let count = requests.iter().filter(|request| request.contains("\"GroupByKey\":\"ACCOUNT_ID\"")).count();
    assert!(count > 1, "it has pages: {requests:?}");
    assert!(requests.last().is_some_and(|request| !request.contains("GroupByKey")), "{requests:?}");
}

#[test]
fn f11_a_source_without_a_status_ends_the_run_and_names_the_field() {
    let (url, _) = crate::support::answers::serve(|_, _| {
        let source = serde_json::json!({"SourceId": "000000000001", "SourceType": "ACCOUNT", "AwsRegion": "eu-west-1"});
        // The shard is read at the same time, and has nothing to fail of.
        let body =
            serde_json::json!({"AggregatedSourceStatusList": [source], "AggregateComplianceByConformancePacks": []});
        ("200 OK", "application/x-amz-json-1.1", body.to_string())
    });
    let scene = Scene::new("");
    let pipeline = answered_by(&scene, scene.org_pipeline("lake", "fan_out = \"none\"", ""), &url);
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("AggregatedSourceStatusList[0].LastUpdateStatus cannot be read"), "{ended:?}");
    assert!(scene.read(&scene.lake(), Table::SourceStatus, "org", DAY).is_none());
}

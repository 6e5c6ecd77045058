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
    let rows: Vec<Vec<String>> = ["auto", "none", "region", "account", "compliance_type"]
        .iter()
        .map(|fan_out| {
            let pipeline = scene.org_pipeline(fan_out, &format!("fan_out = \"{fan_out}\""), "");
            scene.night(&pipeline, DAY);
            let batch = scene.read(&scene.lake_at(fan_out), Table::PackCompliance, "org", DAY);
            crate::reading::texts(&batch.expect("rows"))
        })
        .collect();
    assert!(rows[0].len() > 300);
    assert!(rows.iter().all(|others| *others == rows[0]));
}

#[test]
fn rows_that_the_file_does_not_want_are_left_out_and_counted() {
    let scene = Scene::new("");
    scene.night(&scene.org_pipeline("all", "", ""), DAY);
    let all =
        crate::reading::texts(&scene.read(&scene.lake_at("all"), Table::PackCompliance, "org", DAY).expect("rows"));
    let choice = "[aggregator.include]\npack_group = [\"cis-*\", \"web-baseline1\"]\naws_region = \"eu-*\"\n\
                  [aggregator.exclude]\naccount_id = \"000000*\"";
    let ended = scene.night(&scene.org_pipeline("some", choice, ""), DAY);
    let some =
        crate::reading::texts(&scene.read(&scene.lake_at("some"), Table::PackCompliance, "org", DAY).expect("rows"));
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

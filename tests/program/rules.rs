//! Compliance by rule, the second dataset of an aggregator: against what packs, other commands and faults do to it.

use crate::support::reading::{column, file, files, of_trends, texts};
use crate::support::{Ended, Scene, run};
use crate::verify::{is_sound, verify};
use arrow::array::RecordBatch;
use compline_model::{Dataset, Table};
use std::collections::{BTreeMap, BTreeSet};

const DAYS: [&str; 3] = ["2026-02-27", "2026-02-28", "2026-03-01"];
const RULES: &str = "datasets = [\"packs\", \"rules\"]";

/// A lake with three days of both datasets.
fn three_days(rest: &str) -> (Scene, String) {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", RULES, rest);
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    (scene, pipeline.display().to_string())
}

/// The files of the tables of a dataset, but for the ledger.
fn tables(scene: &Scene, lake: &str, dataset: &Dataset) -> BTreeMap<String, Vec<u8>> {
    let is_of = |name: &String| dataset.tables().iter().any(|table| name.starts_with(&format!("{}/", table.name())));
    files(&scene.path(lake)).into_iter().filter(|(name, _)| is_of(name)).collect()
}

/// A column of the ledger of a day, by dataset, in order of its rows.
fn ledger(scene: &Scene, lake: &str, day: &str, name: &str) -> Vec<(String, String)> {
    let rows = scene.read(&scene.lake_at(lake), Table::Runs, "org", day).expect("a ledger");
    column(&rows, "dataset").into_iter().zip(column(&rows, name)).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

fn compline(scene: &Scene, arguments: &[&str]) -> Ended {
    run(scene.command(arguments))
}

/// Imports a day of one rule.
fn import_one(scene: &Scene, pipeline: &str, day: &str, more: &[&str]) -> Ended {
    let one = r#"{"ConfigRuleName":"ssh","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{"ComplianceType":"COMPLIANT"}}"#;
    std::fs::write(scene.path("one.json"), one).expect("written");
    let of = ["import", pipeline, "--aggregator", "org", "--date", day, "one.json", "--dataset", "rules"];
    compline(scene, &[&of, more].concat())
}

#[test]
fn a_night_of_both_datasets_commits_a_day_of_each_and_asks_for_the_sources_once() {
    let (scene, pipeline) = three_days("");
    for table in Dataset::RULES.tables() {
        assert!(scene.read(&scene.lake(), table, "org", DAYS[2]).is_some(), "{}", table.name());
    }
    assert_eq!(ledger(&scene, "lake", DAYS[2], "outcome"), pairs(&[("packs", "succeeded"), ("rules", "succeeded")]));
    assert_eq!(ledger(&scene, "lake", DAYS[2], "commit_number"), pairs(&[("packs", "1"), ("rules", "1")]));
    // A rule's rows of a pack are those that the pack's counts say: compliant and noncompliant ones.
    let facts = scene.read(&scene.lake(), Table::RuleCompliance, "org", DAYS[2]).expect("rows");
    let packs = scene.read(&scene.lake(), Table::PackCompliance, "org", DAYS[2]).expect("rows");
    let sum =
        |name: &str| column(&packs, name).iter().map(|count| count.parse::<usize>().expect("a count")).sum::<usize>();
    let of_packs = column(&facts, "conformance_pack_id").into_iter().filter(|id| id != "-").count();
    assert_eq!(of_packs, sum("compliant_rule_count") + sum("non_compliant_rule_count"));
    assert!(
        column(&facts, "source_status").iter().all(|status| status != "-"),
        "rules have the status of their source"
    );
    let said = is_sound(&scene, &pipeline, &[]);
    assert!(said.contains("org: 3 days") && said.contains("org (rules): 3 days"), "{said}");
    let ended = compline(&scene, &["trends", &pipeline]);
    assert!(ended.stdout.contains("org (rules): 3 of 3 days were as their snapshots say"), "{ended:?}");
    let ended = compline(&scene, &["run", &pipeline, "--date", DAYS[2], "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let (packs, rules) = (&report["aggregators"][0], &report["aggregators"][1]);
    assert_eq!((&packs["dataset"], &rules["dataset"]), (&"packs".into(), &"rules".into()));
    assert_eq!(ledger(&scene, "lake", DAYS[2], "outcome").len(), 4, "a run again is a row again of each");
    let count = |name: &str| rules[name].as_u64().expect("a count");
    assert_eq!(count("calls"), count("pages"), "nothing of what the packs were planned by is asked for again: {rules}");
}

/// What a report says that it cannot tell of `org`.
fn unread(scene: &Scene, pipeline: &str, day: &str) -> Vec<String> {
    let ended = compline(scene, &["report", pipeline, "--date", day, "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let unread = report["aggregators"][0]["unread"].as_array().expect("a list");
    unread.iter().map(|one| one.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_report_says_why_it_has_no_rules_and_what_to_do() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", RULES, "");
    DAYS[..2].iter().for_each(|day| drop(scene.night(&pipeline, day)));
    let in_the_way = scene.path("lake").join(format!("rule_compliance/snapshot_date={}", DAYS[2]));
    std::fs::write(&in_the_way, b"").expect("a file");
    let pipeline = pipeline.display().to_string();
    assert_eq!(compline(&scene, &["run", &pipeline, "--date", DAYS[2]]).code, Some(3));
    std::fs::remove_file(&in_the_way).expect("removed");
    assert!(unread(&scene, &pipeline, DAYS[2])[0].starts_with("a run was stopped while it changed the rules of"));
    assert!(unread(&scene, &pipeline, DAYS[1]).is_empty());
    std::fs::remove_file(file(&scene, Table::RuleTrends, DAYS[1])).expect("removed");
    let gone = format!(
        "of rules, rule_trends of {} is not in the lake: `compline verify FILE --repair` recomputes it",
        DAYS[1]
    );
    assert_eq!(unread(&scene, &pipeline, DAYS[1]), [gone]);
    std::fs::remove_file(file(&scene, Table::RuleCompliance, DAYS[1])).expect("removed");
    let gone = format!("of rules, the snapshot of {} is committed and is not in the lake: restore", DAYS[1]);
    assert!(unread(&scene, &pipeline, DAYS[1])[0].starts_with(&gone), "{:?}", unread(&scene, &pipeline, DAYS[1]));
}

#[test]
fn a_failure_of_rules_costs_no_day_of_packs_and_the_next_night_goes_on() {
    let denied = "denied_operation = \"DescribeAggregateComplianceByConfigRules\"";
    let bad = Scene::of(
        compline_simulator::OrganizationSpec { accounts: 12, ..compline_simulator::OrganizationSpec::default() },
        denied,
    );
    let pipeline = bad.org_pipeline("lake", RULES, "").display().to_string();
    let ended = compline(&bad, &["run", &pipeline, "--date", DAYS[0]]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(bad.fired("denied_operation") > 0);
    assert!(ended.stdout.contains("config:DescribeAggregateComplianceByConfigRules"), "{ended:?}");
    assert_eq!(ledger(&bad, "lake", DAYS[0], "outcome"), pairs(&[("packs", "succeeded"), ("rules", "failed")]));
    is_sound(&bad, &pipeline, &[]);
    let why = format!("no rules of {} are committed: `compline history FILE` says why", DAYS[0]);
    assert_eq!(unread(&bad, &pipeline, DAYS[0]), [why]);
    let alone = Scene::of_accounts(12);
    let of_packs = alone.org_pipeline("lake", "", "");
    alone.night(&of_packs, DAYS[0]);
    let same = |scene: &Scene| of_trends(tables(scene, "lake", &Dataset::PACKS));
    assert_eq!(same(&bad), same(&alone));
    assert!(unread(&alone, &of_packs.display().to_string(), DAYS[0]).is_empty(), "none were to come");
    // The right is given, and the next nights have both.
    let good = Scene::of_accounts(12);
    good.put_lake("lake", &files(&bad.path("lake")));
    let pipeline = good.org_pipeline("lake", RULES, "");
    good.night(&pipeline, DAYS[1]);
    good.night(&pipeline, DAYS[2]);
    let changes = good.read(&good.lake(), Table::RuleTrends, "org", DAYS[1]).expect("rows");
    assert!(column(&changes, "previous_snapshot_date").iter().all(|date| date == "-"), "the first day of rules");
    is_sound(&good, &pipeline.display().to_string(), &[]);
}

#[test]
fn what_a_stopped_run_left_of_rules_is_completed_by_a_night_of_packs_alone() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", RULES, "");
    scene.night(&pipeline, DAYS[0]);
    // The folder of the day cannot be made, so that the commit ends after it was noted.
    let in_the_way = scene.path("lake").join("rule_compliance").join(format!("snapshot_date={}", DAYS[1]));
    std::fs::write(&in_the_way, b"").expect("a file");
    let ended = compline(&scene, &["run", &pipeline.display().to_string(), "--date", DAYS[1]]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let journal = scene.path("lake").join("_compline/journal/dataset=rules");
    assert!(!files(&journal).is_empty(), "the commit is noted: {ended:?}");
    std::fs::remove_file(&in_the_way).expect("removed");
    let of_packs = scene.org_pipeline("lake", "", "").display().to_string();
    let status = compline(&scene, &["status", &of_packs, "--max-age", "10000d"]);
    assert!(status.stdout.contains("rules"), "{status:?}");
    compline(&scene, &["run", &of_packs, "--date", DAYS[2]]);
    assert!(file(&scene, Table::RuleCompliance, DAYS[1]).is_file(), "completed");
    compline(&scene, &["trends", &of_packs]);
    assert!(files(&journal).is_empty(), "and nothing is left");
    is_sound(&scene, &of_packs, &[]);
    let status = compline(&scene, &["status", &of_packs, "--max-age", "10000d"]);
    assert!(!status.stdout.contains("rules"), "{status:?}");
}

#[test]
fn an_earlier_snapshot_in_the_place_of_the_last_one_is_not_taken_for_a_commit_of_either_dataset() {
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", RULES, "");
    scene.night(&pipeline, DAYS[0]);
    let facts = [Table::PackCompliance, Table::RuleCompliance].map(|table| file(&scene, table, DAYS[0]));
    let first = facts.clone().map(|file| std::fs::read(file).expect("a snapshot"));
    scene.night(&pipeline, DAYS[0]);
    for (file, bytes) in facts.iter().zip(first) {
        assert_ne!(std::fs::read(file).expect("a snapshot"), bytes, "another run is in it");
        std::fs::write(file, bytes).expect("put back");
    }
    let before = ledger(&scene, "lake", DAYS[0], "run_id");
    for folder in ["_compline/journal", "_compline/journal/dataset=rules"] {
        let folder = scene.path("lake").join(folder).join("aggregator=org");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("01990000-0000-7000-8000-000000000000.json"), b"")
            .expect("an entry that is damaged");
    }
    let pipeline = pipeline.display().to_string();
    let ended = compline(&scene, &["trends", &pipeline]);
    assert!(ended.stderr.contains("the snapshot is not the one that the ledger says"), "{ended:?}");
    assert_eq!(ledger(&scene, "lake", DAYS[0], "run_id"), before);
    let said = compline(&scene, &["verify", &pipeline]);
    let told = said.stdout.matches("not the one that the ledger says").count();
    assert!(said.code == Some(1) && told == 2, "one of each dataset: {said:?}");
}

#[test]
fn a_ledger_that_is_gone_and_a_held_file_that_is_damaged_are_told_of_rules_alone() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", RULES, "");
    scene.night(&pipeline, DAYS[0]);
    let pipeline = pipeline.display().to_string();
    assert_eq!(import_one(&scene, &pipeline, DAYS[1], &["--accept"]).code, Some(0));
    is_sound(&scene, &pipeline, &[]);
    let ledger_file = file(&scene, Table::Runs, DAYS[1]);
    let saved = std::fs::read(&ledger_file).expect("a ledger");
    std::fs::remove_file(&ledger_file).expect("removed");
    let is_told = |how: &str| {
        let said = compline(&scene, &["verify", &pipeline]);
        let gone = format!("runs of {} is not there", DAYS[1]);
        assert!(said.code == Some(1) && said.stdout.contains(&gone), "{how}: {said:?}");
    };
    is_told("with the documents of its runs");
    let (notes, set_aside) = (scene.path("lake").join("_compline/ledger/dataset=rules"), scene.path("notes"));
    std::fs::rename(&notes, &set_aside).expect("moved");
    is_told("without them");
    std::fs::rename(&set_aside, &notes).expect("moved");
    std::fs::write(&ledger_file, saved).expect("put back");
    is_sound(&scene, &pipeline, &[]);
    // A file of rules that no row of the ledger has set aside, beside rows of packs.
    let alone = scene.org_pipeline("lake", "", "");
    scene.night(&alone, DAYS[2]);
    let held = format!("_compline/held/rule_compliance/snapshot_date={}/aggregator=org/data.parquet", DAYS[2]);
    let held = scene.path("lake").join(held);
    std::fs::create_dir_all(held.parent().expect("a folder")).expect("made");
    std::fs::write(&held, b"no file of ours").expect("written");
    let said = compline(&scene, &["verify", &pipeline]);
    assert!(said.code == Some(1) && said.stdout.contains("held"), "{said:?}");
}

#[test]
fn no_rule_is_asked_for_before_the_packs_of_every_aggregator_are_read() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.pipeline_with_rules("page_size = 2\nmax_in_flight = 1");
    scene.night(&pipeline, DAYS[0]);
    // Pages of rules are ten times as large.
    let asked = scene.requests();
    let is_of_rules = |body: &&String| body.contains("\"Limit\":20");
    let is_of_packs = |body: &&String| body.contains("\"Limit\":2,") || body.contains("\"Limit\":2}");
    let first = asked.iter().position(|body| is_of_rules(&body)).expect("rules are asked for");
    let of_packs = asked.iter().enumerate().filter(|(_, body)| is_of_packs(body));
    let others: Vec<usize> =
        of_packs.filter(|(_, body)| body.contains("security-aggregator")).map(|(at, _)| at).collect();
    assert!(others.len() > 3 && others.iter().all(|at| *at < first), "{first}: {others:?}");
}

#[test]
fn rules_that_are_collected_no_more_stay_and_packs_go_on() {
    let (scene, _) = three_days("");
    let before = tables(&scene, "lake", &Dataset::RULES);
    let pipeline = scene.org_pipeline("lake", "", "");
    scene.night(&pipeline, "2026-03-02");
    let pipeline = pipeline.display().to_string();
    assert_eq!(tables(&scene, "lake", &Dataset::RULES), before);
    let said = is_sound(&scene, &pipeline, &[]);
    assert!(said.contains("org (rules): 3 days"), "{said}");
    // Collected again, after a gap.
    let pipeline = scene.org_pipeline("lake", RULES, "");
    scene.night(&pipeline, "2026-03-03");
    let trends = scene.read(&scene.lake(), Table::RuleTrends, "org", "2026-03-03").expect("rows");
    assert!(column(&trends, "previous_snapshot_date").iter().all(|date| date == DAYS[2]));
    is_sound(&scene, &pipeline.display().to_string(), &[]);
}

#[test]
fn an_archive_of_rules_gives_back_the_identical_tables_and_is_not_taken_for_packs() {
    let scene = Scene::of(
        compline_simulator::OrganizationSpec { accounts: 12, ..compline_simulator::OrganizationSpec::default() },
        "lost_token_every = 40\nempty_page_every = 9",
    );
    let pipeline = scene.org_pipeline("lake", RULES, "page_size = 10\n[archive]\nraw = true");
    DAYS.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    let other = scene.org_pipeline("other", RULES, "").display().to_string();
    let archive = |dataset: &str, day: &str| {
        let of_dataset = if dataset == "rules" { "dataset=rules/" } else { "" };
        let folder = format!("_compline/raw/{of_dataset}snapshot_date={day}/aggregator=org/");
        let name = files(&scene.path("lake")).into_keys().find(|name| name.starts_with(&folder)).expect("an archive");
        scene.path("lake").join(name).display().to_string()
    };
    let import = |archive: &str, day: &str, dataset: &str| {
        compline(&scene, &["import", &other, "--aggregator", "org", "--date", day, archive, "--dataset", dataset])
    };
    for day in [DAYS[2], DAYS[0], DAYS[1]] {
        for (dataset, wrong) in [("rules", "packs"), ("packs", "rules")] {
            let ended = import(&archive(dataset, day), day, wrong);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stdout.contains(&format!("give --dataset {dataset}")), "{ended:?}");
        }
        for dataset in ["rules", "packs"] {
            let ended = import(&archive(dataset, day), day, dataset);
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    }
    for dataset in Dataset::ALL {
        assert_eq!(tables(&scene, "lake", dataset), tables(&scene, "other", dataset), "{}", dataset.name);
    }
    is_sound(&scene, &other, &[]);
}

#[test]
fn pages_of_the_aws_cli_are_a_day_of_rules() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", RULES, "").display().to_string();
    let item = |name: &str, compliance: &str| {
        format!(
            r#"{{"ConfigRuleName":{name:?},"Compliance":{compliance},"AccountId":"000000000001","AwsRegion":"eu-west-1"}}"#
        )
    };
    let page = format!(
        r#"{{"AggregateComplianceByConfigRules":[{},{}]}}"#,
        item(
            "ssh-conformance-pack-ab12cd34e",
            r#"{"ComplianceType":"NON_COMPLIANT","ComplianceContributorCount":{"CappedCount":100,"CapExceeded":true}}"#
        ),
        item("ssh", r#"{"ComplianceType":"COMPLIANT"}"#)
    );
    std::fs::write(scene.path("page.json"), page).expect("written");
    let import = ["import", &pipeline, "--aggregator", "org", "--date", DAYS[0], "page.json"];
    let ended = compline(&scene, &import);
    assert!(ended.code == Some(1) && ended.stdout.contains("give --dataset rules"), "{ended:?}");
    let ended = compline(&scene, &[&import[..], &["--dataset", "rules"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rows = scene.rows(Table::RuleCompliance, "org", DAYS[0]);
    assert_eq!(
        rows,
        [
            "000000000001|eu-west-1|ssh|ssh|-|COMPLIANT|-|-|-|-",
            "000000000001|eu-west-1|ssh-conformance-pack-ab12cd34e|ssh|ab12cd34e|NON_COMPLIANT|100|true|-|-",
        ]
    );
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn rules_that_lost_much_are_held_by_themselves_and_accepted_or_rejected() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", RULES, "");
    scene.night(&pipeline, DAYS[0]);
    let pipeline = pipeline.display().to_string();
    let hold = |day: &str| {
        let ended = import_one(&scene, &pipeline, day, &[]);
        assert_eq!(ended.code, Some(4), "{ended:?}");
    };
    hold(DAYS[1]);
    let said = is_sound(&scene, &pipeline, &[]);
    assert!(said.contains(&format!("held: {}, until it is accepted", DAYS[1])), "{said}");
    let status = compline(&scene, &["status", &pipeline, "--max-age", "1000000d"]);
    assert!(status.code == Some(1) && status.stdout.contains("org (rules): HELD"), "{status:?}");
    let ended = compline(&scene, &["run", &pipeline, "--date", DAYS[1], "--reject"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!file(&scene, Table::RuleCompliance, DAYS[1]).exists());
    is_sound(&scene, &pipeline, &[]);
    hold(DAYS[2]);
    let ended = compline(&scene, &["run", &pipeline, "--date", DAYS[2], "--accept"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ledger(&scene, "lake", DAYS[2], "outcome"), pairs(&[("rules", "held"), ("rules", "succeeded")]));
    is_sound(&scene, &pipeline, &[]);
    let status = compline(&scene, &["status", &pipeline, "--max-age", "1000000d"]);
    assert_eq!(status.code, Some(0), "{status:?}");
}

#[test]
fn what_is_held_of_both_is_decided_of_each_and_one_is_collected_alone() {
    let (scene, small) = (Scene::of_accounts(12), Scene::of_accounts(4));
    let pipeline = scene.org_pipeline("lake", RULES, "");
    scene.night(&pipeline, DAYS[0]);
    let pipeline = pipeline.display().to_string();
    let other = small.org_pipeline("lake", RULES, "");
    let [own, shared] = [&small, &scene].map(|scene| format!("{:?}", scene.path("lake").display().to_string()));
    std::fs::write(&other, std::fs::read_to_string(&other).expect("read").replace(&own, &shared)).expect("written");
    let ended = compline(&small, &["run", &other.display().to_string(), "--date", DAYS[1]]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains(&format!("--date {} --dataset rules --accept", DAYS[1])), "{ended:?}");
    let held = || files(&scene.path("lake")).into_keys().filter(|name| name.starts_with("_compline/held")).count();
    assert_eq!(held(), 3);
    for decided in ["--accept", "--reject"] {
        let ended = compline(&scene, &["run", &pipeline, "--date", DAYS[1], decided]);
        assert_eq!((ended.code, held()), (Some(1), 3), "{ended:?}");
        assert!(ended.stderr.contains("give --dataset packs or --dataset rules"), "{ended:?}");
    }
    let decide = |dataset: &str, decided: &str| {
        let ended = compline(&scene, &["run", &pipeline, "--date", DAYS[1], "--dataset", dataset, decided]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    decide("rules", "--reject");
    assert_eq!(held(), 2);
    decide("packs", "--accept");
    assert_eq!(held(), 0);
    is_sound(&scene, &pipeline, &[]);
    let ended = compline(&scene, &["run", &pipeline, "--date", DAYS[1], "--dataset", "rules"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let outcomes = ledger(&scene, "lake", DAYS[1], "outcome");
    let of =
        |dataset: &str| outcomes.iter().filter(|row| row.0 == dataset).map(|row| row.1.as_str()).collect::<Vec<_>>();
    assert_eq!((of("packs"), of("rules")), (vec!["held", "succeeded"], vec!["held", "rejected", "succeeded"]));
    is_sound(&scene, &pipeline, &[]);
    let alone = scene.org_pipeline("alone", "", "").display().to_string();
    let ended = compline(&scene, &["run", &alone, "--date", DAYS[1], "--dataset", "rules"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("no aggregator of the file collects rules"), "{ended:?}");
}

#[test]
fn each_table_of_rules_that_is_cut_or_gone_is_told_and_what_is_computed_is_repaired() {
    let (scene, pipeline) = three_days("");
    let before = files(&scene.path("lake"));
    for table in Dataset::RULES.tables().into_iter().chain([Table::Runs]) {
        for cut in [true, false] {
            let path = file(&scene, table, DAYS[1]);
            let whole = std::fs::read(&path).expect("read");
            match cut {
                true => std::fs::write(&path, &whole[..whole.len() / 2]).expect("written"),
                false => std::fs::remove_file(&path).expect("removed"),
            }
            let ended = verify(&scene, &pipeline, &[]);
            assert_eq!(ended.code, Some(1), "{} {cut}: {ended:?}", table.name());
            let told = ended.stdout.matches(&format!("{}/snapshot_date={}", table.name(), DAYS[1])).count();
            let gone = ended.stdout.matches(&format!("{} of {} is not there", table.name(), DAYS[1])).count();
            assert!(told + gone >= 1, "{} {cut}: {ended:?}", table.name());
            let ended = verify(&scene, &pipeline, &["--repair"]);
            if table == Table::RuleCompliance {
                assert_eq!(ended.code, Some(1), "{ended:?}");
                std::fs::write(&path, &whole).expect("restored");
                is_sound(&scene, &pipeline, &["--repair"]);
            } else {
                assert_eq!(ended.code, Some(0), "{} {cut}: {ended:?}", table.name());
                assert_eq!(scene.rows(table, "org", DAYS[1]), texts_in(&scene, &before, table, DAYS[1]));
            }
        }
    }
    for dataset in Dataset::ALL {
        for table in dataset.tables() {
            assert_eq!(
                scene.rows(table, "org", DAYS[2]),
                texts_in(&scene, &before, table, DAYS[2]),
                "{}",
                table.name()
            );
        }
    }
}

/// The rows of files that were there before, as text.
fn texts_in(scene: &Scene, before: &BTreeMap<String, Vec<u8>>, table: Table, day: &str) -> Vec<String> {
    scene.put_lake("before", before);
    texts(&scene.read(&scene.lake_at("before"), table, "org", day).expect("rows"))
}

#[test]
fn months_of_rules_are_compacted_and_their_days_dropped_beside_those_of_packs() {
    let all = Table::ALL.map(|table| format!("{:?}", table.name())).join(", ");
    let (scene, pipeline) = three_days(&format!("[maintain]\ncompact = [{all}]\nsnapshot_days = 1"));
    let before = files(&scene.path("lake"));
    let ended = compline(&scene, &["maintain", &pipeline, "--apply"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for facts in ["pack_compliance", "rule_compliance"] {
        let name = if facts == "rule_compliance" { "org (rules)" } else { "org" };
        let said = format!("{name}: dropped {facts} of 2 days, {} to {}", DAYS[0], DAYS[1]);
        assert!(ended.stdout.contains(&said), "{ended:?}");
    }
    let said = is_sound(&scene, &pipeline, &[]);
    assert_eq!(said.matches("dropped, in its month's file: 2 days").count(), 2, "{said}");
    let ended = compline(&scene, &["maintain", &pipeline]);
    assert_eq!(ended.stdout, "nothing to do\n", "{ended:?}");
    // Of the next night, and of one that runs again, nothing is another than without.
    let other = Scene::of_accounts(12);
    other.put_lake("lake", &before);
    for (scene, rest) in [(&scene, "[maintain]\nsnapshot_days = 1"), (&other, "")] {
        let pipeline = scene.org_pipeline("lake", RULES, rest);
        scene.night(&pipeline, "2026-03-02");
        scene.night(&pipeline, DAYS[2]);
    }
    let days = ["2026-03-02", DAYS[2]];
    for table in Dataset::RULES.derived() {
        days.iter().for_each(|day| {
            assert_eq!(scene.rows(table, "org", day), other.rows(table, "org", day), "{}", table.name())
        });
    }
}

#[test]
fn a_filter_by_type_makes_rules_facts_only_and_packs_are_what_they_were() {
    let scene = Scene::of_accounts(12);
    let filter =
        format!("{RULES}\n[[aggregator.filter]]\nrule_compliance_type = \"NON_COMPLIANT\"\naws_region = \"eu-west-1\"");
    let pipeline = scene.org_pipeline("lake", &filter, "");
    scene.night(&pipeline, DAYS[0]);
    assert!(unread(&scene, &pipeline.display().to_string(), DAYS[0]).is_empty(), "facts only has none");
    assert_eq!(
        ledger(&scene, "lake", DAYS[0], "population"),
        pairs(&[("packs", "aws_region=eu-west-1"), ("rules", "aws_region=eu-west-1 compliance_type=NON_COMPLIANT")])
    );
    assert_eq!(ledger(&scene, "lake", DAYS[0], "facts_only"), pairs(&[("packs", "false"), ("rules", "true")]));
    let rows = scene.read(&scene.lake(), Table::RuleCompliance, "org", DAYS[0]).expect("rows");
    assert!(column(&rows, "compliance_type").iter().all(|kind| kind == "NON_COMPLIANT"));
    assert!(!file(&scene, Table::RuleTrends, DAYS[0]).exists());
    is_sound(&scene, &pipeline.display().to_string(), &[]);
    // By name, and with patterns.
    let filter = format!(
        "{RULES}\n[aggregator.include]\nrule_group = [\"restricted-*\", \"OrgConfigRule-*\"]\n[aggregator.exclude]\npack_group = \"cis*\""
    );
    let pipeline = scene.org_pipeline("other", &filter, "");
    scene.night(&pipeline, DAYS[0]);
    let rows = scene.read(&scene.lake_at("other"), Table::RuleCompliance, "org", DAYS[0]).expect("rows");
    let groups: std::collections::BTreeSet<String> = column(&rows, "rule_group").into_iter().collect();
    assert!(
        !groups.is_empty()
            && groups.iter().all(|group| group.starts_with("restricted-") || group.starts_with("OrgConfigRule-")),
        "{groups:?}"
    );
    assert_eq!(
        ledger(&scene, "other", DAYS[0], "population"),
        pairs(&[("packs", "exclude pack_group=cis*"), ("rules", "include rule_group=OrgConfigRule-*,restricted-*")])
    );
}

#[test]
fn datasets_of_the_pipeline_file_are_packs_or_both() {
    let scene = Scene::new("");
    for (written, allowed) in [
        ("[\"rules\"]", false),
        ("\"packs\"", true),
        ("[\"rules\", \"packs\"]", true),
        ("[\"pack\"]", false),
        ("[]", false),
    ] {
        let pipeline = scene.org_pipeline("lake", &format!("datasets = {written}"), "").display().to_string();
        let ended = compline(&scene, &["plan", &pipeline]);
        assert_eq!(ended.code, Some(if allowed { 0 } else { 2 }), "{written}: {ended:?}");
        assert!(allowed || ended.stderr.contains("datasets = "), "{ended:?}");
    }
}

/// Columns of the rows of an account and region.
fn of_place<const N: usize>(rows: &RecordBatch, place: [&str; 2], names: [&str; N]) -> Vec<[String; N]> {
    let [accounts, regions] = ["account_id", "aws_region"].map(|name| column(rows, name));
    let columns = names.map(|name| column(rows, name));
    let is_there = |row: &usize| accounts[*row] == place[0] && regions[*row] == place[1];
    (0..rows.num_rows()).filter(is_there).map(|row| columns.each_ref().map(|column| column[row].clone())).collect()
}

#[test]
fn packs_that_regressed_have_the_rules_that_say_why_in_the_summary() {
    let scene = Scene::of_accounts(60);
    let pipeline = scene.org_pipeline("lake", RULES, "");
    let (mut told, mut regressed) = (0, 0);
    for day in DAYS {
        let ended = run(scene.command(&["run", &pipeline.display().to_string(), "--date", day, "--json"]));
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let rules = &report["aggregators"][1];
        let Some(found) = rules["regressed"].as_object() else { continue };
        regressed += found["packs"].as_u64().expect("a count");
        for pack in found["worst"].as_array().expect("a list") {
            let Some(groups) = pack["rule_groups"].as_array() else { continue };
            told += 1;
            let place = [&pack["account_id"], &pack["aws_region"]].map(|value| value.as_str().expect("a text"));
            let said: BTreeSet<&str> = groups.iter().map(|group| group.as_str().expect("a text")).collect();
            // The rules of one id of the place have the counts of the pack, and of them these turned on the day.
            let own = pack["conformance_pack_name"].as_str().expect("a text");
            let packs = scene.read(&scene.lake(), Table::PackCompliance, "org", day).expect("rows");
            let names = ["compliant_rule_count", "non_compliant_rule_count", "conformance_pack_name"];
            let counts = of_place(&packs, place, names).into_iter().find(|[.., name]| name == own).expect("a pack");
            let facts = scene.read(&scene.lake(), Table::RuleCompliance, "org", day).expect("rows");
            let changes = scene.read(&scene.lake(), Table::RuleChanges, "org", day).expect("rows");
            let facts = of_place(&facts, place, ["config_rule_name", "conformance_pack_id", "compliance_type"]);
            let changes = of_place(&changes, place, ["config_rule_name", "rule_group", "to_type"]);
            let ids: BTreeSet<&str> = facts.iter().map(|[_, id, _]| id.as_str()).filter(|id| *id != "-").collect();
            let is_it = |id: &&str| {
                let count = |kind: &str| facts.iter().filter(|[_, of, is]| of == id && is == kind).count().to_string();
                let turned = changes.iter().filter(|[name, _, to]| name.ends_with(id) && to == "NON_COMPLIANT");
                let turned: BTreeSet<&str> = turned.map(|[_, group, _]| group.as_str()).collect();
                [count("COMPLIANT"), count("NON_COMPLIANT")] == counts[..2] && turned == said
            };
            assert_eq!(ids.into_iter().filter(is_it).count(), 1, "{pack}");
        }
    }
    assert!(regressed > 0 && told * 2 > regressed, "{told} of {regressed} are told");
}

#[test]
fn a_report_says_which_rules_fail_most_and_which_made_packs_regress_as_the_run_did() {
    let scene = Scene::of_accounts(60);
    let pipeline = scene.org_pipeline("lake", RULES, "").display().to_string();
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&compline(&scene, arguments).stdout).expect("JSON")
    };
    json(&["run", &pipeline, "--date", DAYS[1], "--json"]);
    let of_run = json(&["run", &pipeline, "--date", DAYS[2], "--json"]);
    let report = json(&["report", &pipeline, "--date", DAYS[2], "--format", "json"]);
    let (run, report) = (&of_run["aggregators"][1]["regressed"], &report["aggregators"][0]);
    let by_pack = |list: &serde_json::Value| -> BTreeMap<String, serde_json::Value> {
        let key = |pack: &serde_json::Value| {
            format!("{} {} {}", pack["account_id"], pack["aws_region"], pack["conformance_pack_name"])
        };
        list.as_array().expect("a list").iter().map(|pack| (key(pack), pack["rule_groups"].clone())).collect()
    };
    assert!(run["packs"].as_u64().is_some_and(|packs| packs > 0), "{run}");
    assert_eq!(by_pack(&run["worst"]), by_pack(&report["regressed"]["first"]));
    let groups = report["rules"]["groups"]["first"].as_array().expect("a list");
    let failing: Vec<i64> = groups.iter().map(|group| group["non_compliant"].as_i64().expect("a count")).collect();
    assert!(failing[0] > 0 && failing.is_sorted_by(|one, next| one >= next), "{failing:?}");
    for format in ["html", "markdown"] {
        let file = scene.path(format).display().to_string();
        let ended = compline(&scene, &["report", &pipeline, "--date", DAYS[2], "--format", format, "--output", &file]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = std::fs::read_to_string(&file).expect("a report");
        assert!(text.contains("Rules that fail most"), "{format}");
    }
    // A spreadsheet has each group, its numbers in the columns of rules.
    let ended = compline(&scene, &["report", &pipeline, "--date", DAYS[2], "--format", "csv", "--output", "-"]);
    let table: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split(',').collect()).collect();
    let at = |name: &str| table[0].iter().position(|column| *column == name).expect("a column");
    let rows: Vec<_> = table.iter().filter(|row| row[at("dimension")] == "rule_group").collect();
    assert_eq!(rows.len(), groups.len());
    for (row, group) in rows.iter().zip(groups) {
        assert_eq!(group["rule_group"].as_str(), Some(row[at("dimension_value")]));
        for (column, name) in [("total", "rules"), ("compliant", "compliant"), ("non_compliant", "non_compliant")] {
            assert_eq!(row[at(&format!("rules_{column}"))], group[name].to_string(), "{row:?}");
        }
        let rate: Option<f64> = row[at("rule_compliance_rate")].parse().ok();
        // The last digit of a number in JSON is the reader's.
        let is_same = rate.zip(group["rule_rate"].as_f64()).is_none_or(|(one, other)| (one - other).abs() < 1e-12);
        assert!(is_same && rate.is_some() == group["rule_rate"].is_f64(), "{row:?} {group}");
        assert_eq!(row[at("packs_total")], "", "{row:?}");
    }
    // Without rules a report says nothing of them.
    let alone = scene.org_pipeline("alone", "", "").display().to_string();
    json(&["run", &alone, "--date", DAYS[2], "--json"]);
    let ended = compline(&scene, &["report", &alone, "--date", DAYS[2], "--format", "markdown"]);
    assert!(ended.code == Some(0) && !ended.stdout.contains("ules that"), "{ended:?}");
}

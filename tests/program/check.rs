//! `compline check`: what is wrong is found before the first night.

use crate::support::answers::serve;
use crate::support::reading::files;
use crate::support::{Scene, run};
use std::process::Command;

#[test]
fn a_set_up_that_works_is_all_ticks_and_leaves_nothing_behind() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    let ended = run(scene.command(&["check", &pipeline]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ticks: Vec<&str> = ended.stdout.lines().filter_map(|line| line.strip_prefix("✓ ")).collect();
    assert_eq!(ticks.len(), 16, "{ended:?}");
    assert!(ticks.iter().any(|line| line.starts_with("security: GetAggregateConformancePackComplianceSummary")));
    assert!(files(&scene.path("lake")).is_empty());
}

#[test]
fn a_limit_that_lets_few_calls_through_is_no_cross() {
    let scene = Scene::new("throttle_per_second = 3\nthrottle_burst = 1");
    let pipeline = scene.pipeline("").display().to_string();
    let ended = run(scene.command(&["check", &pipeline]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_call_that_fails_is_tried_twice_so_that_an_outage_is_told_in_seconds() {
    let fails = Scene::new("error_every = 1");
    let pipeline = fails.pipeline("").display().to_string();
    let ended = run(fails.command(&["check", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lists = ended.stdout.lines().filter(|line| line.starts_with("✗ ")).count();
    assert_eq!((lists, fails.fired("error_every")), (8, 16), "{ended:?}");
    // And one that fails once is no cross. Of one aggregator calls come one after another, and no two of them fail that do.
    let recovers = Scene::new("error_every = 3");
    let pipeline = recovers.org_pipeline("lake", "", "").display().to_string();
    let ended = run(recovers.command(&["check", &pipeline]));
    assert!(recovers.fired("error_every") > 0, "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn every_cross_says_what_to_do_and_the_rest_is_tried_all_the_same() {
    let scene = Scene::new("");
    let path = scene.pipeline("");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, text.replace("name = \"org-aggregator\"", "name = \"gone\"")).expect("written");
    std::fs::write(scene.path("file"), "").expect("written");
    let ended = run(scene.command(&["check", &path.display().to_string(), "--lake", "file"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let crosses = ended.stdout.lines().filter(|line| line.starts_with("✗ ")).count();
    assert_eq!(crosses, 5, "{ended:?}");
    assert!(ended.stdout.contains("is the aggregator's name right, and is it in eu-west-1?"), "{ended:?}");
    assert!(ended.stdout.contains("set lake.url or --lake to a folder"), "{ended:?}");
    assert_eq!(ended.stdout.lines().filter(|line| line.starts_with("✓ security: ")).count(), 4, "{ended:?}");
}

#[test]
fn files_that_a_run_reads_and_writes_beside_the_lake_are_tried_too() {
    let scene = Scene::of_accounts(12);
    let names = "account_id,name\n000000000001,one\n";
    std::fs::write(scene.path("names.csv"), names).expect("written");
    std::fs::write(scene.path("no-names.csv"), "a,b\n").expect("written");
    let check = |folder: &str, names: &str| {
        let more = format!("[metrics]\ntextfile = \"{folder}/c.prom\"\n[report]\naccount_names = \"{names}\"");
        run(scene.command(&["check", &scene.org_pipeline("lake", "", &more).display().to_string()]))
    };
    let folder = scene.folder.path().display().to_string();
    let ended = check(&folder, "names.csv");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("✓ metrics: textfile") && ended.stdout.contains("  1 account\n"), "{ended:?}");
    assert!(!scene.path("c.prom").exists());
    let ended = check(&format!("{folder}/gone"), "no-names.csv");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let crosses = ["✗ metrics: textfile", "; make its folder", "✗ report: account_names", "no columns for id and name"];
    assert!(crosses.iter().all(|cross| ended.stdout.contains(cross)), "{ended:?}");
}

#[test]
fn without_credentials_it_says_how_to_sign_in() {
    let scene = Scene::new("");
    let pipeline = scene.knows_only_now(scene.org_pipeline("lake", "", ""));
    let ended = run(scene.command(&["check", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout.matches("✗ ").count(), 1, "it is said once: {ended:?}");
    assert!(
        ended.stdout.contains("✗ org: caller identity") && ended.stdout.contains("sign in, or set AWS_PROFILE"),
        "{ended:?}"
    );
}

#[test]
fn f08_a_clock_that_is_off_is_a_cross_though_the_sdk_corrects_itself() {
    for (offset, said) in [(26 * 3600, "behind"), (-1200, "ahead"), (0, "")] {
        let scene = Scene::new(&format!("clock_offset_secs = {offset}"));
        let pipeline = scene.knows_only_now(scene.org_pipeline("lake", "", ""));
        let ended = run(as_account_1(&scene, &["check", &pipeline]));
        if offset == 0 {
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert!(ended.stdout.contains("✓ org: clock"), "{ended:?}");
            continue;
        }
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let cross = ended.stdout.split_once("✗ org: clock\n").map(|(_, rest)| rest).unwrap_or_default();
        assert!(cross.contains(&format!(" {said} of AWS Config's; set the clock (NTP)")), "{ended:?}");
    }
}

const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::000000000001:role/x</Arn>\
                        </GetCallerIdentityResult></GetCallerIdentityResponse>";
const UNKNOWN_KEY: &str = "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>The security token included in the \
                           request is invalid.</Message></Error></ErrorResponse>";

/// A command whose caller identity is of the account 000000000001.
fn as_account_1(scene: &Scene, arguments: &[&str]) -> Command {
    let (sts, _) = serve(move |_, _| ("200 OK", "text/xml", IDENTITY.to_owned()));
    let mut command = scene.command_with_keys(arguments);
    command.env("AWS_ENDPOINT_URL_STS", sts);
    command
}

/// A pipeline that names no endpoint of AWS Config, as one for AWS does not, and a simulator where the environment says.
fn at_aws(scene: &Scene) -> (String, Command) {
    let pipeline = scene.knows_only_now(scene.org_pipeline("lake", "", ""));
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let (with, without): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("endpoint_url"));
    std::fs::write(&pipeline, without.join("\n")).expect("written");
    let mut command = as_account_1(scene, &["run", &pipeline, "--json"]);
    let url = with[0].split('"').nth(1).expect("a URL");
    command.env("AWS_ENDPOINT_URL_CONFIG_SERVICE", url);
    (pipeline, command)
}

#[test]
fn w6_the_ledger_says_as_whom_aws_config_was_asked() {
    let scene = Scene::of_accounts(4);
    let (pipeline, command) = at_aws(&scene);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["aggregators"][0]["caller"], "arn:aws:iam::000000000001:role/x");
    let ended = run(scene.command(&["history", &pipeline, "--json"]));
    assert!(ended.stdout.contains(r#""caller":"arn:aws:iam::000000000001:role/x""#), "{ended:?}");
}

#[test]
fn w6_a_night_whose_caller_sts_does_not_say_is_committed_and_says_so() {
    let scene = Scene::of_accounts(4);
    let (_, mut command) = at_aws(&scene);
    let (sts, _) = serve(move |_, _| {
        (
            "403 Forbidden",
            "text/xml",
            "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>".to_owned(),
        )
    });
    command.env("AWS_ENDPOINT_URL_STS", sts);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["aggregators"][0]["caller"], serde_json::Value::Null);
    assert!(
        ended.stderr.contains("the caller identity is not known") && ended.stderr.contains("AccessDenied"),
        "{ended:?}"
    );
}

#[test]
fn f17_a_region_that_is_off_for_the_account_is_told_apart_from_a_key_that_nobody_knows() {
    for (is_known, hint) in [(true, "switch it on"), (false, "are they of this AWS partition")] {
        let scene = Scene::of_accounts(4);
        let (pipeline, mut command) = at_aws(&scene);
        let (sts, asked) = serve(move |_, request| {
            let answer = match is_known && !request.contains("/eu-west-1/sts/") {
                true => ("200 OK", IDENTITY),
                false => ("403 Forbidden", UNKNOWN_KEY),
            };
            (answer.0, "text/xml", answer.1.to_owned())
        });
        let mut check = scene.command_with_keys(&["check", &pipeline]);
        for command in [&mut command, &mut check] {
            command.env("AWS_ENDPOINT_URL_STS", &sts);
        }
        let ended = run(command);
        assert_eq!(ended.code, Some(if is_known { 1 } else { 0 }), "{is_known}: {ended:?}");
        assert!((ended.stdout.clone() + &ended.stderr).contains(hint), "{is_known}: {ended:?}");
        assert!(asked.lock().expect("no panic").iter().any(|request| request.contains("/us-east-1/sts/")));
        let checked = run(check);
        assert!(checked.stdout.contains("✗ org: caller identity") && checked.stdout.contains(hint), "{checked:?}");
    }
}

#[test]
fn w6_a_caller_of_another_account_than_is_expected_asks_for_nothing() {
    for (expected, code) in [("000000000001", 0), ("000000000002", 1)] {
        let scene = Scene::of_accounts(4);
        let lines = format!("expected_account = \"{expected}\"");
        let pipeline = scene.knows_only_now(scene.org_pipeline("lake", &lines, ""));
        let checked = run(as_account_1(&scene, &["check", &pipeline]));
        assert_eq!(checked.code, Some(code), "{checked:?}");
        let asked = scene.requests().len();
        let ended = run(as_account_1(&scene, &["run", &pipeline, "--json"]));
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let aggregator = &report["aggregators"][0];
        if code == 0 {
            assert_eq!(aggregator["caller"], "arn:aws:iam::000000000001:role/x");
            continue;
        }
        assert!(checked.stdout.contains("✗ org: expected_account"), "{checked:?}");
        let said = aggregator["error"].as_str().expect("an error");
        assert!(said.contains("the caller identity is arn:aws:iam::000000000001:role/x"), "{said}");
        assert_eq!(scene.requests().len(), asked, "AWS Config is asked for nothing");
    }
}

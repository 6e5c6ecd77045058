//! Nights on which AWS Config, or the way to it, does not do what it should.

use crate::support::answers::{Answer, serve};
use crate::support::reading::column;
use crate::support::{Scene, pack_tables, run};
use compline_model::Table;

const DAY: &str = "2026-03-01";
const FACT: Table = Table::PackCompliance;

/// A run against a source with faults.
struct Bad {
    scene: Scene,
    summary: String,
}

impl Bad {
    /// The sum of a column of the ledger.
    fn counted(&self, column: &str) -> u64 {
        let of = |aggregator| {
            let ledger = self.scene.read(&self.scene.lake(), Table::Runs, aggregator, DAY).expect("a ledger");
            column_of(&ledger, column)
        };
        of("org") + of("security")
    }
}

fn column_of(ledger: &arrow::array::RecordBatch, column: &str) -> u64 {
    crate::support::reading::column(ledger, column).iter().map(|value| value.parse::<u64>().expect("a number")).sum()
}

/// Every fault must have fired, or the test that has it shows nothing.
fn assert_fired(scene: &Scene, faults: &str) {
    for fault in faults.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name) {
        let is_counted = !["throttle_burst", "latency_millis"].contains(&fault);
        assert!(!is_counted || scene.fired(fault) > 0, "{fault} never fired");
    }
}

/// A run that must end with the same rows as one without faults.
fn same_rows(faults: &str) -> Bad {
    let (good, bad) = (Scene::new(""), Scene::new(faults));
    good.night(&good.pipeline("page_size = 10"), DAY);
    let ended = bad.night(&bad.pipeline("page_size = 10"), DAY);
    for aggregator in ["org", "security"] {
        let rows = good.rows(FACT, aggregator, DAY);
        assert!(rows.len() > 300, "{}", rows.len());
        assert_eq!(bad.rows(FACT, aggregator, DAY), rows);
    }
    assert_fired(&bad, faults);
    Bad { scene: bad, summary: ended.stdout }
}

/// A night that must fail for every aggregator and publish nothing; gives what it said.
fn fails(faults: &str, fetch: &str) -> String {
    let scene = Scene::new(faults);
    let pipeline = scene.pipeline(&format!("page_size = 10\n{fetch}")).display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for table in pack_tables().into_iter().filter(|table| *table != Table::Runs) {
        assert!(!scene.path("lake").join(table.name()).exists(), "{} is there", table.name());
    }
    let ledger = scene.rows(Table::Runs, "org", DAY);
    assert!(ledger.len() == 1 && ledger[0].contains("|failed|"), "{ledger:?}");
    assert_fired(&scene, faults);
    ended.stdout
}

#[test]
fn b01_empty_pages_with_a_token_lose_no_row_and_are_counted() {
    let summary = same_rows("empty_page_every = 3").summary;
    assert!(summary.contains(" empty page"), "{summary}");
}

#[test]
fn b04_a_token_that_is_refused_once_is_tried_again_and_nothing_begins_anew() {
    let summary = same_rows("expired_token_every = 20").summary;
    assert!(!summary.contains(" restarted"), "{summary}");
}

#[test]
fn b04_a_token_lost_half_way_begins_the_shard_again_and_loses_and_doubles_no_row() {
    let summary = same_rows("lost_token_every = 45").summary;
    assert!(summary.contains(" restarted"), "{summary}");
    assert!(!summary.contains("duplicate rows"), "what was read before the restart is dropped: {summary}");
}

#[test]
fn b08_throttles_are_waited_out() {
    // Eight calls begin at once, so that a burst of three is exceeded on any machine.
    let bad = same_rows("throttle_per_second = 40\nthrottle_burst = 3");
    let throttles = bad.scene.fired("throttle_per_second");
    assert_eq!(bad.counted("throttles"), throttles, "each is in the ledger");
    assert_eq!(bad.counted("retries"), throttles, "each is tried again");
}

#[test]
fn b08_throttles_without_end_fail_the_day_and_publish_nothing() {
    let started = std::time::Instant::now();
    let said = fails("throttle_every = 1", "operation_timeout_secs = 5");
    assert!(said.contains("ThrottlingException") && said.contains("request id"), "{said}");
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn one_shard_that_fails_ends_the_others_of_its_aggregator_at_once() {
    let scene = Scene::new("malformed_every = 12\nlatency_millis = 50");
    let pipeline = scene.org_pipeline("lake", "fan_out = \"account\"", "page_size = 10\nmax_in_flight = 4");
    let ended = run(scene.command(&["run", &pipeline.display().to_string(), "--date", DAY]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("Sign in"), "{ended:?}");
    let asked = scene.requests().len();
    assert!((12..16).contains(&asked), "{asked} requests, and a day that is whole takes more than 100");
}

#[test]
fn f10_what_aws_config_counts_and_no_source_names_has_its_shard() {
    for fan_out in ["account", "region", "auto"] {
        let (good, bad) = (Scene::new(""), Scene::new("sources_named = 1"));
        let key = format!("fan_out = \"{fan_out}\"");
        let fetch = "page_size = 10";
        good.night(&good.org_pipeline("lake", "fan_out = \"none\"", fetch), DAY);
        let ended = bad.night(&bad.org_pipeline("lake", &key, fetch), DAY);
        let keys = |scene: &Scene| {
            let rows = scene.read(&scene.lake(), FACT, "org", DAY).expect("a snapshot");
            ["account_id", "aws_region", "conformance_pack_name"].map(|name| column(&rows, name))
        };
        assert_eq!(keys(&bad), keys(&good), "{fan_out}");
        assert_fired(&bad, "sources_named = 1");
        assert!(ended.stderr.contains("AWS Config counts packs in "), "{ended:?}");
    }
}

#[test]
fn server_errors_and_cut_connections_are_tried_again() {
    let bad = same_rows("error_every = 9\ncut_every = 11\nlatency_millis = 2");
    let failed = bad.scene.fired("error_every") + bad.scene.fired("cut_every");
    assert_eq!((bad.counted("retries"), bad.counted("throttles")), (failed, 0));
}

#[test]
fn an_error_code_in_the_header_is_understood_as_well() {
    let bad = same_rows("error_code_in_header_only = true\nlost_token_every = 30\nthrottle_every = 9");
    assert_eq!(bad.counted("throttles"), bad.scene.fired("throttle_every"), "each is known for one");
    // Of each operation a token is lost, and only its list of packs is a shard's.
    let restarts = bad.counted("shard_restarts");
    assert!(
        (1..=bad.scene.fired("lost_token_every")).contains(&restarts),
        "and so is each token that is refused: {restarts}"
    );
}

#[test]
fn b02_a_repeated_token_is_an_error_and_nothing_is_published() {
    let said = fails("repeated_token_every = 3", "");
    assert!(said.contains("AWS Config gave the same page token twice"), "{said}");
}

#[test]
fn b04_a_token_that_is_always_refused_ends_the_day() {
    let said = fails("expired_token_every = 1", "");
    assert!(said.contains("InvalidNextTokenException") || said.contains("refused its own page token twice"), "{said}");
}

#[test]
fn b06_b18_a_sign_in_page_instead_of_json_is_an_error_that_names_the_page_and_cuts_the_body() {
    let said = fails("malformed_every = 12", "");
    assert!(said.contains("Sign in") && said.contains("page "), "{said}");
}

/// A night against a server that answers every call alike; gives what it said, on whichever stream.
fn told(answer: impl Fn(usize, &str) -> Answer + Send + 'static) -> String {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "fan_out = \"none\"", "max_attempts = 1\noperation_timeout_secs = 5");
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let lines = text.lines().filter(|line| !line.starts_with("endpoint_url"));
    let text = lines.collect::<Vec<_>>().join("\n") + &format!("\nendpoint_url = {:?}\n", serve(answer).0);
    std::fs::write(&pipeline, text).expect("written");
    let mut command = scene.command_with_keys(&["run", &pipeline.display().to_string()]);
    command.env("RUST_LOG", "debug");
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for secret in ["very-secret-key", "Signature=", "AWS4-HMAC"] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret}: {ended:?}");
    }
    ended.stdout
}

#[test]
fn b18_a_refusal_is_told_with_everything_that_is_needed_to_act_on_it_and_no_more() {
    for (code, advice) in [
        ("AccessDeniedException", "allow config:DescribeConfigurationAggregatorSourcesStatus to this identity"),
        ("NoSuchConfigurationAggregatorException", "is it in eu-west-1?"),
        ("InvalidSignatureException", "is this machine's clock right?"),
        ("RequestExpired", "is this machine's clock right?"),
        ("UnrecognizedClientException", "are they of this AWS partition"),
        ("ThrottlingException", "others use this account's limit too"),
        ("SomethingNewException", "SomethingNewException"),
    ] {
        let said = told(move |_, request| {
            if !request.contains("SourcesStatus") {
                let body = serde_json::json!({"AggregateComplianceByConformancePacks": []}).to_string();
                return ("200 OK", "application/x-amz-json-1.1", body);
            }
            let body = serde_json::json!({"__type": code, "message": "because ".repeat(500)}).to_string();
            ("400 Bad Request", "application/x-amz-json-1.1", body)
        });
        let at = "DescribeConfigurationAggregatorSourcesStatus of aggregator org (org-aggregator in eu-west-1), page 1";
        for words in [advice, code, at, "because because", "(request id request-"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(said.len() < 1_500, "{said}");
    }
}

#[test]
fn b18_b23_one_wrong_value_among_a_thousand_is_named_and_the_rest_is_not_shown() {
    let said = told(|_, request| {
        let pack = |row: usize| {
            let total = if row == 500 { serde_json::json!("3") } else { serde_json::json!(3) };
            serde_json::json!({"ConformancePackName": format!("pack-{row}"), "AccountId": "000000000001",
                "AwsRegion": "eu-west-1", "Compliance": {"ComplianceType": "COMPLIANT", "TotalRuleCount": total}})
        };
        let body = if request.contains("SourcesStatus") {
            serde_json::json!({"AggregatedSourceStatusList": []})
        } else {
            serde_json::json!({"AggregateComplianceByConformancePacks": (0..1_000).map(pack).collect::<Vec<_>>()})
        };
        ("200 OK", "application/x-amz-json-1.1", body.to_string())
    });
    for words in
        ["shard 1 (everything), page 1", "AggregateComplianceByConformancePacks[500].Compliance.TotalRuleCount"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.len() < 1_500, "{said}");
}

#[test]
fn b09_a_server_that_says_nothing_more_ends_within_the_time_outs() {
    let started = std::time::Instant::now();
    let said = fails("stall_every = 1", "attempt_timeout_secs = 1\nmax_attempts = 2");
    assert!(said.contains("fetch.attempt_timeout_secs"), "{said}");
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn b06_a_day_that_lost_much_is_held_until_it_is_accepted_and_then_committed_as_it_was() {
    let (large, small) = (Scene::new(""), Scene::of_accounts(30));
    large.night(&large.pipeline(""), "2026-02-28");
    let lake = format!("url = {:?}", large.path("lake").display().to_string());
    let pipeline = small.write_pipeline(&lake, "").display().to_string();
    let night = ["run", &pipeline, "--date", DAY, "--only", "org"];
    let ended = run(small.command(&night));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(
        ended.stdout.contains("HELD") && ended.stdout.contains("--only org --date 2026-03-01 --accept"),
        "{ended:?}"
    );
    assert!(large.read(&large.lake(), FACT, "org", DAY).is_none(), "it is not committed");
    assert!(large.rows(Table::Runs, "org", DAY)[0].contains("|held|"));

    // Nothing is asked of AWS Config for a day that is held: here nobody answers any more.
    let text = std::fs::read_to_string(&pipeline).expect("read").replace("http://127.0.0.1:", "http://127.0.0.1:1/");
    std::fs::write(&pipeline, text).expect("written");
    let ended = run(small.command(&[&night[..], &["--accept"]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let alone = Scene::of_accounts(30);
    alone.night(&alone.pipeline(""), DAY);
    assert_eq!(large.rows(FACT, "org", DAY), alone.rows(FACT, "org", DAY));
    let removed = large.rows(Table::PackChanges, "org", DAY).iter().filter(|row| row.contains("|removed|")).count();
    assert!(removed > 100, "{removed}");
    let left = crate::support::reading::files(&large.path("lake"));
    assert!(left.keys().all(|name| !name.starts_with("_compline/held")), "{:?}", left.keys());
}

#[test]
fn a_day_that_is_not_held_cannot_be_accepted_later() {
    let scene = Scene::new("");
    let pipeline = scene.knows_only_now(scene.pipeline(""));
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY, "--accept"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("nothing is held of 2026-03-01; "), "{ended:?}");
    assert!(!scene.path("lake/runs").exists(), "it is no run of that day");
}

#[test]
fn b09_a_run_that_is_not_done_by_its_deadline_ends_then() {
    let started = std::time::Instant::now();
    let said = fails("latency_millis = 400", "run_deadline_secs = 2");
    assert!(
        said.contains(
            "reading was not done 2 s after the run began; the next run of the day resumes from the checkpoints"
        ),
        "{said}"
    );
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn b27_a_day_that_is_not_as_aws_config_counts_it_is_told_or_fails() {
    let off = "[check]\nreconcile_tolerance_percent = 0";
    for (faults, check, code, words) in [
        ("", off, 0, ""),
        ("summary_off_by = 1", off, 0, "org: 48 accounts are not as AWS Config itself counts them"),
        ("summary_off_by = 1", "[check]\nreconcile = \"fail\"\nreconcile_tolerance_percent = 100", 0, ""),
        ("summary_off_by = 1", "[check]\nreconcile = \"fail\"", 1, "48 accounts are not as AWS Config counts them"),
        ("summary_off_by = 1", "[check]\nreconcile = \"off\"", 0, ""),
    ] {
        let scene = Scene::new(faults);
        let pipeline = scene.pipeline(check).display().to_string();
        let ended = run(scene.command(&["run", &pipeline, "--date", DAY, "--only", "org"]));
        assert_eq!(ended.code, Some(code), "{faults} {check} {ended:?}");
        assert_eq!(ended.stdout.contains("accounts are not as"), !words.is_empty(), "{faults} {check} {ended:?}");
        assert!(ended.stdout.contains(words), "{ended:?}");
        // The count is asked for to find the shards as well, whatever is made of it.
        assert_eq!(scene.fired("summary_off_by") > 0, !faults.is_empty(), "{faults} {check}");
    }
}

#[test]
fn b27_sources_that_are_behind_are_told_and_in_the_lake() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY, "--only", "org", "--json"]));
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let rows = scene.rows(Table::SourceStatus, "org", DAY);
    let told = scene.night(&scene.pipeline(""), DAY).stdout;
    for status in ["SUCCEEDED", "OUTDATED", "FAILED"] {
        let count = rows.iter().filter(|row| row.contains(&format!("|{status}|"))).count() as u64;
        assert_eq!(report["aggregators"][0]["sources"][status].as_u64().unwrap_or_default(), count, "{report}");
        assert!(count == 0 || status == "SUCCEEDED" || told.contains(&format!("{count} {status}")), "{told}");
    }
    assert!(told.contains(&format!(" of {}, see source_status", rows.len())), "{told}");
}

#[test]
fn b66_one_aggregator_that_fails_leaves_the_other_and_is_exit_3_with_a_line_of_its_own() {
    let scene = Scene::new("");
    let path = scene.pipeline("");
    scene.night(&path, "2026-02-28");
    let text = std::fs::read_to_string(&path).expect("read").replace("security-aggregator", "gone-aggregator");
    std::fs::write(&path, text).expect("written");
    let ended = run(scene.command(&["run", &path.display().to_string(), "--date", DAY]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("FAILED") && ended.stdout.contains("gone-aggregator in us-east-1"), "{ended:?}");
    assert!(!scene.rows(FACT, "org", DAY).is_empty());
    assert!(scene.read(&scene.lake(), FACT, "security", DAY).is_none());
    assert!(!scene.rows(FACT, "security", "2026-02-28").is_empty(), "the day before is as it was");
    assert!(scene.rows(Table::Runs, "org", DAY)[0].contains("|succeeded|"));
    assert!(scene.rows(Table::Runs, "security", DAY)[0].contains("NoSuchConfigurationAggregatorException"));
}

//! The log for machines, and what no log has.

use crate::support::{Scene, run};
use serde_json::Value;

/// The lines of a log, each a JSON object with what every line has.
fn lines(log: &str) -> Vec<Value> {
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
    }
    lines
}

fn with_message<'a>(lines: &'a [Value], start: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"].as_str().is_some_and(|message| message.starts_with(start))).collect()
}

#[test]
fn the_log_for_machines_says_of_each_event_its_run_aggregator_and_shard_and_ends_with_the_outcome() {
    let scene = Scene::new("lost_token_every = 25\nthrottle_every = 9\n");
    let pipeline = scene.pipeline("page_size = 20").display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-03-01", "--log", "json"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = lines(&ended.stderr);
    let last = lines.last().expect("a line");
    assert_eq!((&last["message"], &last["exit_code"]), (&"outcome".into(), &0.into()));
    let (run_id, aggregators) = (&last["outcome"]["run_id"], &last["outcome"]["aggregators"]);
    assert!(aggregators[0]["throttles"].as_u64() > Some(0), "{aggregators}");
    assert!(aggregators[0]["shard_restarts"].as_u64() > Some(0), "{aggregators}");

    let restarted = with_message(&lines, "shard restarted");
    assert!(!restarted.is_empty(), "{}", ended.stderr);
    for line in restarted {
        assert_eq!((&line["run_id"], line["shard"].is_u64()), (run_id, true), "{line}");
        assert!(["org", "security"].contains(&line["aggregator"].as_str().expect("an aggregator")), "{line}");
    }
    assert!(!with_message(&lines, "AWS Config throttles calls").is_empty(), "{}", ended.stderr);
    assert_eq!(with_message(&lines, "committed").len(), 2, "{}", ended.stderr);
}

#[test]
fn what_ends_a_command_is_a_line_of_the_log_for_machines_too() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    for (arguments, code) in [
        (vec!["run", "nothing.toml"], 2),
        (vec!["run", &pipeline, "--unknown"], 2),
        (vec!["run", &pipeline, "--date", "2026-03-01", "--reject"], 1),
    ] {
        let mut command = scene.command(&arguments);
        command.env("COMPLINE_LOG_FORMAT", "json");
        let ended = run(command);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let lines = lines(&ended.stderr);
        let last = lines.last().expect("a line");
        assert_eq!((&last["level"], &last["exit_code"]), (&"ERROR".into(), &code.into()), "{last}");
    }
    let mut command = scene.command(&["status", &pipeline]);
    command.env("COMPLINE_LOG_FORMAT", "xml");
    let ended = run(command);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("allowed is text or json"), "{ended:?}");
}

#[test]
fn no_log_has_a_key_or_a_token_however_much_it_says() {
    for format in ["text", "json"] {
        let scene = Scene::new("");
        let pipeline = scene.knows_only_now(scene.pipeline(""));
        let mut command = scene.command_with_keys(&["run", &pipeline, "--log", format]);
        command.env("AWS_SESSION_TOKEN", "very-secret-token").env("RUST_LOG", "trace");
        let ended = run(command);
        // Its answers are of another day than today.
        assert!(ended.stderr.contains("DescribeConfigurationAggregatorSourcesStatus"), "{ended:?}");
        for secret in ["very-secret-key", "very-secret-token", "Signature="] {
            let line = ended.stderr.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in the log");
        }
    }
}

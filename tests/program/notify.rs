//! Telling others what became of a day: once, whatever the receiver does, and without showing where they are.

use crate::support::reading::{column, files};
use crate::support::receiver::{Answer, Receiver};
use crate::support::{Ended, Scene, finish, run, signal, start, wait_until};
use crate::verify::is_sound;
use compline_model::Table;
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAYS: [&str; 3] = ["2026-02-27", "2026-02-28", "2026-03-01"];

/// What only the receiver may see.
const SECRET: &str = "T0SECRET/B1SECRET";

const OK: Answer = Answer::Status(200, "", "ok");

/// A scene whose first day is committed, and a receiver.
struct Told {
    scene: Scene,
    receiver: Receiver,
    url: String,
}

impl Told {
    fn by(answer: Answer) -> Self {
        let told = Self::without_a_day(answer);
        told.ends(0, &told.pipeline(""), DAYS[0], &[]);
        told
    }

    fn without_a_day(answer: Answer) -> Self {
        let receiver = Receiver::new(answer);
        let url = format!("http://127.0.0.1:{}/{SECRET}?sig=Z2SECRET", receiver.port);
        Self { scene: Scene::of_accounts(40), receiver, url }
    }

    /// A pipeline with more lines in `[notify]`.
    fn pipeline(&self, lines: &str) -> PathBuf {
        let notify = format!("[notify]\nwebhook_url_env = \"WEBHOOK\"\ntimeout_secs = 5\n{lines}");
        self.scene.org_pipeline("lake", "", &notify)
    }

    fn command(&self, pipeline: &Path, day: &str, arguments: &[&str]) -> Command {
        let pipeline = pipeline.display().to_string();
        let mut command = self.scene.command(&[&["run", &pipeline, "--date", day], arguments].concat());
        command.env("WEBHOOK", &self.url);
        command
    }

    /// A run that ends with this exit code, and shows no secret, nor leaves one in the lake.
    #[track_caller]
    fn ends(&self, code: i32, pipeline: &Path, day: &str, arguments: &[&str]) -> Ended {
        let mut command = self.command(pipeline, day, arguments);
        command.env("RUST_LOG", "trace");
        let ended = run(command);
        assert_eq!(ended.code, Some(code), "{}\n{}", ended.stdout, ended.stderr);
        for part in SECRET.split('/').chain(["Z2SECRET"]) {
            assert!(!ended.stdout.contains(part) && !ended.stderr.contains(part), "{}", ended.stdout);
            let has_it = |content: &Vec<u8>| content.windows(part.len()).any(|bytes| bytes == part.as_bytes());
            let with_it = files(&self.scene.path("lake")).into_iter().find(|(_, content)| has_it(content));
            assert!(with_it.is_none(), "{with_it:?}");
        }
        ended
    }

    /// The error of the last row of a day's ledger.
    fn ledger(&self, day: &str) -> String {
        let ledger = self.scene.read(&self.scene.lake(), Table::Runs, "org", day).expect("a ledger");
        column(&ledger, "error").pop().expect("a row")
    }

    fn marks(&self) -> Vec<String> {
        files(&self.scene.path("lake/_compline")).into_keys().filter(|name| name.starts_with("notified/")).collect()
    }

    /// The names of the packs of a day that changed in a way.
    fn changed(&self, day: &str, change: &str) -> Vec<String> {
        let rows = self.scene.read(&self.scene.lake(), Table::PackChanges, "org", day).expect("changes");
        let parts = ["change", "account_id", "aws_region", "conformance_pack_name"].map(|name| column(&rows, name));
        let of = (0..rows.num_rows()).filter(|row| parts[0][*row] == change);
        of.map(|row| format!("{} {} {}", parts[1][row], parts[2][row], parts[3][row])).collect()
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[test]
fn what_regressed_and_was_remediated_is_told_once_a_day_and_no_news_never() {
    let told = Told::by(OK);
    // Of a first day there is nothing that it could have changed from.
    assert!(told.receiver.bodies().is_empty() && told.marks().is_empty());
    for day in &DAYS[1..] {
        told.ends(0, &told.pipeline(""), day, &[]);
    }
    let bodies = told.receiver.bodies();
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    for (body, day) in bodies.iter().zip(&DAYS[1..]) {
        assert_eq!(text(body, "detail_type"), "Compline Day Changed");
        assert_eq!(
            (text(body, "kind"), text(body, "snapshot_date"), text(body, "aggregator")),
            ("changes", *day, "org")
        );
        for change in ["regressed", "remediated"] {
            let changed = told.changed(day, change);
            assert_eq!(body[change]["count"], changed.len(), "{body}");
            let named = body[change]["first"].as_array().expect("a list").iter();
            let named: Vec<String> = named
                .map(|pack| {
                    ["account_id", "aws_region", "conformance_pack_name"].map(|name| text(pack, name)).join(" ")
                })
                .collect();
            assert_eq!(named, changed[..changed.len().min(20)]);
        }
    }
    assert!(bodies.iter().any(|body| body["regressed"]["count"] != 0), "{bodies:?}");
    // Run again, also by another pipeline of the same aggregator and with another format.
    told.ends(0, &told.pipeline(""), DAYS[2], &["--fresh"]);
    let other = told.pipeline("webhook_format = \"slack\"");
    std::fs::rename(&other, told.scene.path("other.toml")).expect("renamed");
    told.ends(0, &told.scene.path("other.toml"), DAYS[2], &["--only", "org"]);
    assert_eq!(told.receiver.bodies().len(), 2);
    assert_eq!(told.marks().len(), 2, "{:?}", told.marks());
    is_sound(&told.scene, &told.pipeline("").display().to_string(), &[]);
}

#[test]
fn two_aggregators_are_told_of_each_and_a_shard_of_its_own() {
    let told = Told::without_a_day(OK);
    let path = told.scene.pipeline("");
    let with = std::fs::read_to_string(&path).expect("read") + "\n[notify]\nwebhook_url_env = \"WEBHOOK\"\n";
    std::fs::write(&path, with).expect("written");
    for day in &DAYS[..2] {
        for shard in ["0/2", "1/2"] {
            told.ends(0, &path, day, &["--shard", shard]);
        }
    }
    let mut told_of: Vec<String> =
        told.receiver.bodies().iter().map(|body| text(body, "aggregator").to_owned()).collect();
    told_of.sort_unstable();
    assert_eq!(told_of, ["org", "security"]);
}

#[test]
fn each_format_is_posted_as_json_to_the_path_and_query_of_the_url() {
    for format in ["json", "slack", "mattermost", "teams"] {
        let told = Told::by(OK);
        told.ends(0, &told.pipeline(&format!("webhook_format = \"{format}\"")), DAYS[1], &[]);
        let posted = told.receiver.posted();
        assert_eq!(posted.len(), 1, "{format}: {posted:?}");
        let head = &posted[0].head;
        assert!(head.starts_with(&format!("POST /{SECRET}?sig=Z2SECRET HTTP/1.1\r\n")), "{head}");
        assert!(head.to_lowercase().contains("content-type: application/json\r\n"), "{head}");
        let body = &posted[0].body;
        let said = match format {
            "teams" => body["attachments"][0]["content"]["body"][0]["inlines"][0]["text"].as_str(),
            _ => body["text"].as_str(),
        };
        // Markdown has its hyphens escaped.
        let said = said.unwrap_or_default().replace('\\', "");
        assert!(said.starts_with("Compline: org 2026-02-28: "), "{format}: {said}");
    }
}

#[test]
fn a_receiver_that_fails_costs_its_time_out_is_in_the_ledger_and_changes_nothing_else() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let closed = free.expect("a port").port();
    let location = "location: http://127.0.0.1:1/T0SECRET\r\n";
    for (answer, url, why) in [
        (Answer::Status(500, "", "trouble"), None, "HTTP 500: the answer starts: trouble"),
        (
            Answer::Status(404, "", "no T0SECRET here"),
            None,
            "HTTP 404: the answer repeats the URL; is the URL the whole",
        ),
        (Answer::Status(302, location, ""), None, "HTTP 302, a redirect, which is not followed"),
        (Answer::Nothing, None, "did not answer within 5 s"),
        (OK, Some(format!("http://127.0.0.1:{closed}/{SECRET}")), "nothing listens there"),
        (OK, Some("https".to_owned()), "is not reached: "),
    ] {
        let mut told = Told::by(answer);
        match url.as_deref() {
            // TLS, to a server that knows none.
            Some("https") => told.url = told.url.replace("http:", "https:"),
            Some(url) => told.url = url.to_owned(),
            None => {}
        }
        let host = told.url.split("/T0").next().expect("a host").to_owned();
        let begun = Instant::now();
        let ended = told.ends(0, &told.pipeline(""), DAYS[1], &["--json"]);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let aggregator = &report["aggregators"][0];
        let said = aggregator["not_notified"][0].as_str().unwrap_or_default();
        let start = format!("not notified: changes: the webhook at {host}: ");
        assert!(said.starts_with(&start) && said.contains(why), "{said}");
        assert_eq!(
            (&aggregator["outcome"], aggregator["undone"].as_array().map(Vec::len)),
            (&"succeeded".into(), Some(0))
        );
        assert_eq!(told.ledger(DAYS[1]), said);
        // It was tried, and is not tried again.
        let before = told.receiver.bodies().len();
        let again = told.ends(0, &told.pipeline(""), DAYS[1], &[]);
        assert!(!again.stdout.contains("not notified"), "{again:?}");
        assert_eq!(told.receiver.bodies().len(), before);
    }
}

#[test]
fn a_day_that_is_held_accepted_failed_or_not_all_done_is_told_as_that_and_a_rejected_one_is_not() {
    let told = Told::by(OK);
    let pipeline = told.pipeline("");
    let kinds = || told.receiver.bodies().iter().map(|body| text(body, "kind").to_owned()).collect::<Vec<_>>();
    // Another organization on the same lake, of a tenth of the accounts.
    let small = Scene::of_accounts(4);
    let path = small.org_pipeline("lake", "", "[notify]\nwebhook_url_env = \"WEBHOOK\"");
    let own = format!("{:?}", small.path("lake").display().to_string());
    let shared = format!("{:?}", told.scene.path("lake").display().to_string());
    std::fs::write(&path, std::fs::read_to_string(&path).expect("read").replace(&own, &shared)).expect("written");
    told.ends(4, &path, DAYS[1], &[]);
    told.ends(4, &path, DAYS[1], &[]);
    assert_eq!(kinds(), ["held"]);
    let held = told.receiver.bodies().remove(0);
    assert_eq!(text(&held, "detail_type"), "Compline Day Held");
    let reason = text(&held, "reason");
    assert!(
        reason.contains("against 2026-02-27 it lost") && reason.contains("--accept") && reason.contains("--reject"),
        "{reason}"
    );
    told.ends(0, &path, DAYS[1], &["--reject"]);
    assert_eq!(kinds(), ["held"]);
    told.ends(4, &path, DAYS[1], &[]);
    told.ends(0, &path, DAYS[1], &["--accept"]);
    assert_eq!(kinds()[1..], if told.changed(DAYS[1], "regressed").is_empty() { vec![] } else { vec!["changes"] });

    let before = kinds().len();
    let in_the_way = told.scene.path("lake/pack_changes").join(format!("snapshot_date={}", DAYS[2]));
    std::fs::write(&in_the_way, "").expect("written");
    told.ends(3, &pipeline, DAYS[2], &[]);
    std::fs::remove_file(&in_the_way).expect("removed");
    let bodies = told.receiver.bodies();
    assert_eq!(kinds()[before..], ["undone"]);
    let undone = bodies.last().expect("a body");
    assert_eq!(text(undone, "detail_type"), "Compline Day Undone");
    assert!(text(undone, "reason").contains("the trends from 2026-03-01 on wait"), "{undone}");
}

#[test]
fn a_day_that_failed_is_told_with_its_error() {
    let told = Told::by(OK);
    let gone = told.pipeline("");
    let text_of = std::fs::read_to_string(&gone).expect("read");
    std::fs::write(&gone, text_of.replace("org-aggregator", "no-such-aggregator")).expect("written");
    told.ends(1, &gone, DAYS[1], &[]);
    let why = told.ledger(DAYS[1]);
    told.ends(1, &gone, DAYS[1], &[]);
    let bodies = told.receiver.bodies();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!((text(&bodies[0], "kind"), text(&bodies[0], "detail_type")), ("failed", "Compline Day Failed"));
    assert!(why.contains("NoSuchConfigurationAggregatorException") && text(&bodies[0], "reason") == why, "{bodies:?}");
    // That it is well by now is news of another kind.
    told.ends(0, &told.pipeline(""), DAYS[1], &[]);
    assert_eq!(text(&told.receiver.bodies()[1], "kind"), "changes");
}

#[test]
fn only_the_kinds_that_are_asked_for_are_told_and_no_other_is_marked() {
    let told = Told::by(OK);
    told.ends(0, &told.pipeline("kinds = [\"held\", \"failed\"]"), DAYS[1], &[]);
    assert!(told.receiver.bodies().is_empty() && told.marks().is_empty());
}

#[test]
fn a_run_that_is_killed_at_any_moment_tells_nobody_twice() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").subsec_nanos();
    eprintln!("seed {seed}");
    let told = Told::by(OK);
    let pipeline = told.pipeline("");
    let begun = Instant::now();
    told.ends(0, &pipeline, DAYS[0], &[]);
    let night = begun.elapsed();
    let mut moment = u64::from(seed);
    // Around the end of a run, which is when it is told.
    for _ in 0..12 {
        let child = start(told.command(&pipeline, DAYS[1], &[]));
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(night.mul_f64(0.5 + (moment >> 33) as f64 / f64::from(1_u32 << 31)));
        signal(child.id(), "-9");
        finish(child);
    }
    told.ends(0, &pipeline, DAYS[1], &[]);
    let count = told.receiver.bodies().len();
    assert!(count <= 1, "told {count} times");
    is_sound(&told.scene, &pipeline.display().to_string(), &[]);
}

#[test]
fn a_run_that_is_killed_between_the_mark_and_the_receiver_tells_nobody_twice() {
    for _ in 0..4 {
        let told = Told::by(OK);
        let pipeline = told.pipeline("");
        let child = start(told.command(&pipeline, DAYS[1], &[]));
        wait_until("the mark is put", || !told.marks().is_empty());
        signal(child.id(), "-9");
        finish(child);
        told.ends(0, &pipeline, DAYS[1], &[]);
        assert!(told.receiver.posted().len() <= 1, "{:?}", told.receiver.posted());
    }
}

#[test]
fn a_run_that_is_killed_while_the_receiver_is_asked_tells_nobody_twice() {
    let told = Told::by(Answer::Nothing);
    let pipeline = told.pipeline("");
    let slow = std::fs::read_to_string(&pipeline).expect("read").replace("timeout_secs = 5", "timeout_secs = 60");
    std::fs::write(&pipeline, slow).expect("written");
    let child = start(told.command(&pipeline, DAYS[1], &[]));
    wait_until("it is told", || !told.receiver.posted().is_empty());
    assert_eq!(told.marks().len(), 1, "the mark is there before anybody is told");
    signal(child.id(), "-9");
    finish(child);
    let ended = told.ends(0, &pipeline, DAYS[1], &[]);
    assert!(ended.stderr.contains("told before"), "{ended:?}");
    assert_eq!(told.receiver.posted().len(), 1);
    is_sound(&told.scene, &pipeline.display().to_string(), &[]);
}

#[test]
fn marks_go_with_the_documents_of_runs() {
    let told = Told::by(OK);
    told.ends(0, &told.pipeline(""), DAYS[1], &[]);
    assert_eq!(told.marks().len(), 1);
    let maintain = |days: u32| {
        let pipeline = told.pipeline(&format!("[maintain]\nruns_days = {days}")).display().to_string();
        let ended = run(told.scene.command(&["maintain", &pipeline, "--apply"]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    maintain(36_000);
    assert_eq!(told.marks().len(), 1);
    maintain(1);
    assert!(told.marks().is_empty(), "{:?}", told.marks());
    is_sound(&told.scene, &told.pipeline("").display().to_string(), &[]);
}

#[test]
fn a_url_that_is_not_there_costs_no_day_and_is_recorded_and_check_says_so() {
    let told = Told::without_a_day(OK);
    let scene = &told.scene;
    std::fs::write(scene.path("empty"), " \n").expect("written");
    std::fs::write(scene.path("wrong"), format!("ftp://example.com/{SECRET}\n")).expect("written");
    std::fs::write(scene.path("user"), format!("https://me:B1SECRET@example.com/{SECRET}\n")).expect("written");
    std::fs::write(scene.path("right"), format!("\n  {} \n", told.url)).expect("written");
    for (line, why) in [
        ("webhook_url_env = \"NOT_SET\"", "the environment variable NOT_SET, which is not set"),
        ("webhook_url_file = \"missing\"", "missing, which cannot be read"),
        ("webhook_url_file = \".\"", "it is no plain file"),
        ("webhook_url_file = \"empty\"", "which is empty"),
        ("webhook_url_file = \"wrong\"", "no URL that starts with https:// or http://"),
        ("webhook_url_file = \"user\"", "a user name or a password"),
    ] {
        let pipeline = scene.org_pipeline("lake", "", &format!("[notify]\n{line}"));
        for day in &DAYS[..2] {
            let ended = told.ends(0, &pipeline, day, &[]);
            assert!(ended.stderr.contains("nobody will be notified") && ended.stderr.contains(why), "{ended:?}");
        }
        let recorded = told.ledger(DAYS[1]);
        assert!(recorded.starts_with("not notified: changes: ") && recorded.contains(why), "{recorded}");
        assert!(told.marks().is_empty(), "the next run of the day may know whom to ask");
        let ended = run(scene.command(&["check", &pipeline.display().to_string()]));
        assert!(ended.stdout.contains("✗ notify: configured") && ended.stdout.contains(why), "{ended:?}");
        std::fs::remove_dir_all(scene.path("lake")).expect("removed");
    }
    let pipeline = scene.org_pipeline("lake", "", "[notify]\nwebhook_url_file = \"right\"");
    let ended = run(scene.command(&["check", &pipeline.display().to_string()]));
    let host = format!("the webhook at http://127.0.0.1:{}; nothing was sent", told.receiver.port);
    assert!(ended.stdout.contains(&host) && !ended.stdout.contains("SECRET"), "{ended:?}");
    for day in &DAYS[..2] {
        told.ends(0, &pipeline, day, &[]);
    }
    assert_eq!(told.receiver.bodies().len(), 1);
    // What is not told does not need it.
    let pipeline = scene.org_pipeline("lake", "", "[notify]\nwebhook_url_env = \"NOT_SET\"").display().to_string();
    for command in ["verify", "maintain", "history"] {
        let ended = run(scene.command(&[command, &pipeline]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn a_url_in_the_pipeline_file_is_refused_wherever_it_is_and_not_shown() {
    let told = Told::without_a_day(OK);
    for (lines, why) in [
        (format!("webhook_url = \"https://x.com/{SECRET}\""), "use webhook_url_env"),
        (format!("webhookurl = \"https://x.com/{SECRET}\""), "unknown field"),
        (format!("webhook_url_env = \"https://x.com/{SECRET}\""), "allowed is the name of an environment variable"),
        (format!("webhook_url_file = \"https://x.com/{SECRET}\""), "allowed is the path of a file"),
        (format!("webhook_url_env = [\"https://x.com/{SECRET}\"]"), "allowed is text in quotes"),
        (format!("webhook_url_env = \"https://x.com/{SECRET}"), "p"),
        (format!("sns_topic_arn = \"https://x.com/{SECRET}\""), "a topic's ARN"),
        (format!("[notify.webhook]\nurl = \"https://x.com/{SECRET}\""), "unknown field"),
        ("webhook_url_env = \"A\"\nwebhook_url_file = \"b\"".to_owned(), "leave one of them out"),
        (
            "webhook_format = \"slack\"\nsns_topic_arn = \"arn:aws:sns:eu-west-1:111122223333:x\"".to_owned(),
            "is for a webhook",
        ),
        ("timeout_secs = 10".to_owned(), "names nobody"),
        ("webhook_url_env = \"A\"\ntimeout_secs = 61".to_owned(), "allowed is 1 to 60"),
        ("webhook_url_env = \"A\"\nkinds = [\"news\"]".to_owned(), "allowed is changes, held, failed, undone"),
        ("event_bus_arn = \"arn:aws:events:eu-west-1:111122223333:rule/x\"".to_owned(), "an event bus's ARN"),
    ] {
        let pipeline = told.scene.org_pipeline("lake", "", &format!("[notify]\n{lines}"));
        let ended = told.ends(2, &pipeline, DAYS[0], &[]);
        assert!(ended.stderr.contains(why), "{lines}: {ended:?}");
        assert!(!ended.stderr.contains("x.com"), "{lines}: {ended:?}");
    }
}

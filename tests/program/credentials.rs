//! The way to AWS: credentials, roles, proxies, endpoints.

use crate::support::answers::{Answer, serve};
use crate::support::reading::texts;
use crate::support::{Scene, run};
use compline_aws::{Environment, Identity};
use compline_fetcher::{AggregatorAddress, Connector, FetchOptions};
use compline_model::{RunId, Table};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A proxy that notes what it is asked for and refuses it.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                let mut line = String::new();
                if BufReader::new(&socket).read_line(&mut line).is_ok() {
                    noted.lock().expect("no panic").push(line.trim().to_owned());
                }
                let _ = socket.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> String {
        self.asked.lock().expect("no panic").join("\n")
    }
}

/// A pipeline for AWS itself.
fn aws_pipeline(scene: &Scene, lake: &str, region: &str, role: &str) -> String {
    let text = format!(
        "version = 1\n[lake]\n{lake}\n[[aggregator]]\nid = \"org\"\nname = \"a\"\nregion = \"{region}\"\n{role}\n\
         [fetch]\nmax_attempts = 1\noperation_timeout_secs = 20\n"
    );
    let path = scene.path("aws.toml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn b10_credentials_that_end_during_a_night_are_asked_for_again() {
    let scene = Scene::new("key_ends_after = 12");
    // Keys without an end that is known before, as a session that is revoked has.
    let helper = scene.path("helper");
    // A line for each time: of two at once neither reads what the other has half written.
    let script = "#!/bin/sh\necho x >> count\nn=$(wc -l < count)\n\
                  echo \"{\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"KEY$n\\\", \\\"SecretAccessKey\\\": \\\"s\\\"}\"\n";
    std::fs::write(&helper, script).expect("written");
    // By its shell: a file that was just written cannot be started while another test forks.
    std::fs::write(scene.path("config"), format!("[default]\ncredential_process = sh {}\n", helper.display()))
        .expect("written");
    let pipeline = scene.org_pipeline("lake", "fan_out = \"region\"", "page_size = 10");
    let mut command = scene.command(&["run", &scene.knows_only_now(pipeline), "--json"]);
    command.env("AWS_CONFIG_FILE", scene.path("config")).env("PATH", std::env::var("PATH").expect("a path"));
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let asked = std::fs::read_to_string(scene.path("count")).expect("read").lines().count();
    assert!(asked > 5, "{asked}");

    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let day = report["snapshot_date"].as_str().expect("a date");
    let plain = Scene::new("");
    plain.night(&plain.org_pipeline("lake", "", ""), "2026-03-01");
    let rows = texts(&scene.read(&scene.lake(), Table::PackCompliance, "org", day).expect("rows"));
    assert_eq!(rows, plain.rows(Table::PackCompliance, "org", "2026-03-01"));
}

#[test]
fn credentials_that_do_not_come_are_told_as_that_and_a_profile_by_what_is_wrong_with_it() {
    let looped = "[profile p]\nsso_session = x\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = p\n";
    let slow = "[profile p]\ncredential_process = sleep 20\n";
    for (config, why) in [
        (slow, "no credentials came: "),
        (slow, "does what the profile gets its credentials from"),
        (looped, "sso-session named `x` (referenced by profile `p`) was not found"),
    ] {
        let scene = Scene::of_accounts(4);
        std::fs::write(scene.path("config"), config).expect("written");
        let lines = "attempt_timeout_secs = 2\noperation_timeout_secs = 5\nmax_attempts = 2";
        let pipeline = scene.org_pipeline("lake", "", lines);
        let mut command = scene.command(&["run", &scene.knows_only_now(pipeline)]);
        command.env("AWS_CONFIG_FILE", scene.path("config")).env("AWS_PROFILE", "p");
        command.env("PATH", std::env::var("PATH").expect("a path"));
        let ended = run(command);
        assert!(ended.code == Some(1) && ended.stdout.contains(why), "{why}: {ended:?}");
        assert!(!ended.stdout.contains("already taken") && scene.requests().is_empty(), "{ended:?}");
    }
}

#[test]
fn b10_credentials_that_have_ended_for_good_are_an_error_that_says_so() {
    let scene = Scene::new("key_ends_after = 3");
    let pipeline = scene.org_pipeline("lake", "fan_out = \"region\"", "page_size = 10").display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-03-01"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("ExpiredTokenException") && ended.stdout.contains("sign in again"), "{ended:?}");
}

#[test]
fn b14_b16_every_call_goes_through_the_proxy_to_its_own_aws_partition_and_no_secret_is_told() {
    let scene = Scene::new("");
    let proxy = Proxy::start();
    let role = |partition: &str| format!("role_arn = \"arn:{partition}:iam::012345678910:role/x\"");
    let folder = format!("url = {:?}", scene.path("lake").display().to_string());
    let bucket = |region: &str| format!("url = \"s3://a-bucket/x\"\nregion = \"{region}\"");
    // STS is asked who asks, and so first, in the same AWS partition.
    for (lake, region, role, host) in [
        (folder.clone(), "cn-north-1", String::new(), "config.cn-north-1.amazonaws.com.cn:443"),
        (folder.clone(), "cn-north-1", role("aws-cn"), "sts.cn-north-1.amazonaws.com.cn:443"),
        (folder.clone(), "us-gov-west-1", role("aws-us-gov"), "sts.us-gov-west-1.amazonaws.com:443"),
        (folder.clone(), "us-gov-west-1", String::new(), "config.us-gov-west-1.amazonaws.com:443"),
        (bucket("cn-north-1"), "cn-north-1", String::new(), "a-bucket.s3.cn-north-1.amazonaws.com.cn:443"),
    ] {
        for variable in ["HTTPS_PROXY", "https_proxy"] {
            let pipeline = aws_pipeline(&scene, &lake, region, &role);
            let mut command = scene.command_with_keys(&["run", &pipeline]);
            command.env(variable, format!("http://someone:proxy-secret@{}", proxy.address)).env("RUST_LOG", "debug");
            command.env("NO_PROXY", "169.254.169.254,.internal");
            let ended = run(command);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            let asked = std::mem::take(&mut *proxy.asked.lock().expect("no panic"));
            let (_, suffix) = host.split_once(&format!("{region}.")).expect("a host of the region");
            let of_partition = |line: &String| line.contains(&format!("{region}.{suffix}"));
            assert!(asked.iter().any(|line| line.contains(host)) && asked.iter().all(of_partition), "{host} {asked:?}");
            let told = ended.stdout + &ended.stderr;
            for secret in ["proxy-secret", "very-secret-key"] {
                assert!(!told.contains(secret), "{secret}: {told}");
            }
        }
    }
}

#[test]
fn b16_hosts_that_are_not_for_the_proxy_are_asked_directly() {
    let scene = Scene::new("");
    let proxy = Proxy::start();
    let pipeline = scene.knows_only_now(scene.org_pipeline("lake", "", "max_attempts = 1"));
    let night = |no_proxy: &str| {
        let mut command = scene.command_with_keys(&["run", &pipeline]);
        command.env("HTTP_PROXY", format!("http://{}", proxy.address)).env("NO_PROXY", no_proxy);
        run(command)
    };
    assert_eq!(night("169.254.169.254").code, Some(1));
    assert!(proxy.asked().contains("POST http://127.0.0.1:"), "{}", proxy.asked());
    let before = proxy.asked();
    assert_eq!(night("127.0.0.1,.internal").code, Some(0));
    assert_eq!(proxy.asked(), before);
}

#[test]
fn f12_the_simulator_is_asked_directly_whatever_proxies_the_environment_names() {
    let scene = Scene::new("");
    let proxy = Proxy::start();
    let pipeline = scene.org_pipeline("lake", "", "max_attempts = 1").display().to_string();
    let mut command = scene.command(&["run", &pipeline, "--date", "2026-03-01"]);
    command.env("HTTP_PROXY", format!("http://{}", proxy.address)).env("HTTPS_PROXY", "http://127.0.0.1:9");
    assert_eq!(run(command).code, Some(0));
    assert!(proxy.asked().is_empty(), "{}", proxy.asked());
}

/// Credentials that seem to have ended a day before they are given, by a clock that is 26 hours fast.
fn ended_already(number: usize, _: &str) -> Answer {
    let end = (chrono::Utc::now() - chrono::TimeDelta::hours(25)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>{end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    ("200 OK", "text/xml", body)
}

fn denied(_: usize, _: &str) -> Answer {
    let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                <Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>";
    ("403 Forbidden", "text/xml", body.to_owned())
}

#[test]
fn a_role_that_cannot_be_had_is_told_with_what_to_do() {
    let scene = Scene::new("");
    let role = "role_arn = \"arn:aws:iam::012345678910:role/x\"";
    let pipeline = scene.knows_only_now(scene.org_pipeline("lake", role, "max_attempts = 1"));
    let refusing = serve(denied).0;
    for (url, words) in [
        (refusing.as_str(), "may this identity assume the role (sts:AssumeRole)"),
        ("http://127.0.0.1:1", "credentials are fetched over the network"),
    ] {
        for command in ["check", "run"] {
            let mut command = scene.command_with_keys(&[command, &pipeline]);
            command.env("AWS_ENDPOINT_URL_STS", url);
            let ended = run(command);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stdout.contains(words), "{words}: {ended:?}");
        }
    }
}

#[test]
fn f08_a_role_is_assumed_as_the_file_says_and_once_by_a_clock_that_is_a_day_fast() {
    let scene = Scene::new("");
    let (url, asked) = serve(ended_already);
    let role = "role_arn = \"arn:aws-us-gov:iam::012345678910:role/x\"\nexternal_id = \"agreed\"\n\
                role_session_name = \"nightly@audit\"\nrole_duration_secs = 900\nfan_out = \"none\"";
    let pipeline = scene.knows_only_now(scene.org_pipeline("lake", role, "page_size = 15"));
    let mut command = scene.command_with_keys(&["run", &pipeline]);
    command.env("AWS_ENDPOINT_URL_STS", url);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let asked = asked.lock().expect("no panic");
    // Who that is then is asked with the same credentials.
    let (asked, others): (Vec<_>, Vec<_>) = asked.iter().partition(|request| request.contains("Action=AssumeRole&"));
    assert_eq!(asked.len(), 1, "once for all pages: {asked:?}");
    assert!(others.len() == 1 && others[0].contains("Action=GetCallerIdentity"), "{others:?}");
    for said in [
        "RoleArn=arn%3Aaws-us-gov%3Aiam%3A%3A012345678910%3Arole%2Fx",
        "RoleSessionName=nightly%40audit",
        "DurationSeconds=900",
        "ExternalId=agreed",
    ] {
        assert!(asked.iter().all(|request| request.contains(said)), "{said}");
    }
}

#[test]
fn f08_how_far_the_clock_is_off_is_known_from_the_first_answer_though_the_sdk_corrects_itself() {
    for offset in [0, -26 * 3600, 1200] {
        let scene = Scene::new(&format!("clock_offset_secs = {offset}"));
        let text = std::fs::read_to_string(scene.pipeline("")).expect("read");
        let url = text.lines().find_map(|line| line.strip_prefix("endpoint_url = \"")).expect("an endpoint");
        let options = FetchOptions {
            page_size: None,
            max_attempts: 1,
            operation_timeout: Duration::from_secs(20),
            attempt_timeout: Duration::from_secs(20),
            max_requests_per_second: None,
            runs_at_once: 1,
            endpoint_url: url.split_once("/{date}").map(|(url, _)| url.to_owned()),
        };
        let address = AggregatorAddress {
            id: "org".parse().expect("an id"),
            name: "org-aggregator".parse().expect("a name"),
            region: "eu-west-1".parse().expect("a region"),
            role: None,
        };
        let found = scene.runtime.block_on(async {
            let client = Connector::new(Environment::load(Identity::Simulated).await.expect("an environment"), options)
                .connect(address)
                .await;
            assert_eq!(client.clock_offset(), None, "nobody has been asked yet");
            client.pack_counts(RunId::new(chrono::Utc::now())).await.expect("an answer");
            client.clock_offset().expect("an offset").num_seconds()
        });
        assert!((found - offset).abs() <= 5, "{offset}: {found}");
    }
}

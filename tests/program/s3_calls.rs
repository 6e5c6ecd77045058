//! Each call of a run to S3, failing once in each way that S3, or what is between, is known to fail; and a bucket where nothing can
//! be removed.

use crate::support::reading::{column, files, texts};
use crate::support::{Ended, Scene, finish, pack_tables, run, signal, start, wait_until};
use compline_model::Table;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use proptest::strategy::{Just, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use s3s::Body;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DAYS: [&str; 2] = ["2026-02-28", "2026-03-01"];

/// How many of all cases are tried unless `COMPLINE_FAULT_CASES` says it.
const CASES: usize = 8;

/// Which of them, unless `COMPLINE_FAULT_SEED` says it: always the same, so that a change is tried on cases that held before it.
const SEED: u64 = 1;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered with this status and code, and not done.
    Answered(u16, &'static str),
    /// Its connection is closed before it is done.
    Closed,
    /// It is done, and its connection closed.
    AnswerLost,
    /// It is not done, and answered by a 200 that says nothing.
    Empty,
    /// It is done, and answered by a 200 that says nothing.
    DoneAndEmpty,
    /// It is done, and half of the answer's body comes.
    Cut,
}

const FAULTS: [Fault; 13] = [
    Fault::Answered(500, "InternalError"),
    Fault::Answered(502, ""),
    Fault::Answered(503, "SlowDown"),
    Fault::Answered(504, ""),
    Fault::Answered(429, "TooManyRequests"),
    Fault::Answered(400, "RequestTimeout"),
    Fault::Answered(409, "OperationAborted"),
    Fault::Answered(403, "AccessDenied"),
    Fault::Closed,
    Fault::AnswerLost,
    Fault::Empty,
    Fault::DoneAndEmpty,
    Fault::Cut,
];

/// What becomes of an answer's text.
pub(crate) type Change = fn(&str) -> String;

/// What the server did.
#[derive(Default)]
pub(crate) struct Calls {
    /// The call that fails, from 0.
    pub(crate) armed: Option<(usize, Fault)>,
    /// Whether a policy denies deletes.
    pub(crate) denies_deletes: bool,
    /// Whether the ledger cannot be put.
    pub(crate) denies_ledger: bool,
    /// A put whose path has this is never answered, and if the second is set no call from then on.
    pub(crate) hangs: Option<(&'static str, bool)>,
    pub(crate) has_hung: AtomicBool,
    /// What becomes of lists.
    pub(crate) lists: Option<Change>,
    pub(crate) denied: AtomicUsize,
    pub(crate) seen: AtomicUsize,
    /// Each request: its method, its path and what it asks.
    pub(crate) requests: Mutex<Vec<String>>,
    pub(crate) fired: Mutex<Option<String>>,
    /// The server behind is atomic only for one request at a time.
    pub(crate) one_at_a_time: tokio::sync::Mutex<()>,
}

impl Calls {
    async fn answer(&self, service: s3s::service::S3Service, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        self.requests.lock().expect("no panic").push(format!("{} {}", request.method(), request.uri()));
        let fault = self.armed.and_then(|(armed, fault)| (armed == number).then_some(fault));
        if fault.is_some() {
            *self.fired.lock().expect("no panic") = Some(format!("{} {}", request.method(), request.uri()));
        }
        let said = |status: u16, body: String| {
            Ok(Response::builder().status(status).body(Body::from(body)).expect("an answer"))
        };
        if let Some((path, for_good)) = self.hangs {
            let is_it = request.method() == Method::PUT && request.uri().path().contains(path);
            if is_it || (for_good && self.has_hung.load(Ordering::Relaxed)) {
                self.has_hung.store(true, Ordering::Relaxed);
                return std::future::pending().await;
            }
        }
        let is_head = request.method() == Method::HEAD;
        let is_list = request.uri().query().is_some_and(|query| query.contains("list-type=2"));
        if self.denies_deletes && request.method() == Method::DELETE && !request.uri().path().contains("/lease/") {
            self.denied.fetch_add(1, Ordering::Relaxed);
            return said(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>".to_owned());
        }
        if self.denies_ledger && request.method() == Method::PUT && request.uri().path().contains("/lake/runs/") {
            self.denied.fetch_add(1, Ordering::Relaxed);
            return said(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>".to_owned());
        }
        if self.denies_deletes && request.uri().query().is_some_and(|query| query.contains("delete")) {
            self.denied.fetch_add(1, Ordering::Relaxed);
            return said(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>".to_owned());
        }
        match fault {
            // Only of a body that was sent it can be said that it did not come.
            Some(Fault::Answered(400, _)) if request.method() != Method::PUT => return said(500, String::new()),
            Some(Fault::Closed) => return Err(io::Error::other("the test closes the connection")),
            Some(Fault::Answered(status, code)) if is_head || code.is_empty() => return said(status, String::new()),
            Some(Fault::Answered(status, code)) => {
                return said(status, format!("<Error><Code>{code}</Code><Message>once</Message></Error>"));
            }
            Some(Fault::Empty) => return said(200, String::new()),
            _ => {}
        }
        let _alone = self.one_at_a_time.lock().await;
        let answer =
            service.call(request.map(Body::from)).await.map_err(|error| io::Error::other(format!("{error:?}")))?;
        match fault {
            Some(Fault::AnswerLost) => Err(io::Error::other("the test closes the connection")),
            None if is_list && self.lists.is_some() => {
                let whole = answer.into_body().collect().await;
                let whole = whole.map_err(|error| io::Error::other(format!("{error:?}")))?.to_bytes();
                let change = self.lists.expect("what becomes of them");
                self.denied.fetch_add(1, Ordering::Relaxed);
                said(200, change(&String::from_utf8_lossy(&whole)))
            }
            Some(Fault::DoneAndEmpty) => said(200, String::new()),
            Some(Fault::Cut) => {
                let (parts, body) = answer.into_parts();
                let whole = body.collect().await.map_err(|error| io::Error::other(format!("{error:?}")))?.to_bytes();
                let mut half =
                    Response::builder().status(parts.status).body(Body::from(whole.slice(..whole.len() / 2)));
                half.as_mut().expect("an answer").headers_mut().extend(parts.headers);
                Ok(half.expect("an answer"))
            }
            _ => Ok(answer),
        }
    }
}

/// Serves a folder as S3 with a call that fails.
pub(crate) async fn serve(folder: &Path, calls: Calls) -> (String, Arc<Calls>) {
    let mut service = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).expect("a file system"));
    service.set_auth(s3s::auth::SimpleAuth::from_single("test", "test"));
    let service = service.build();
    let calls = Arc::new(calls);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let of_server = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (service, calls) = (service.clone(), Arc::clone(&of_server));
            let answer = service_fn(move |request| {
                let (service, calls) = (service.clone(), Arc::clone(&calls));
                async move { calls.answer(service, request).await }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
        }
    });
    (url, calls)
}

/// A scene with a lake on S3 that has the first day.
struct Night {
    scene: Scene,
    before: BTreeMap<String, Vec<u8>>,
}

impl Night {
    fn new() -> Self {
        let scene = Scene::of_accounts(4);
        std::fs::create_dir_all(scene.path("base/bucket")).expect("a bucket");
        let (url, _) = scene.runtime.block_on(serve(&scene.path("base"), Calls::default()));
        let night = Self { before: BTreeMap::new(), scene };
        let ended = night.compline("base", &url, &["run"], DAYS[0]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        Self { before: files(&night.scene.path("base")), ..night }
    }

    /// Writes a pipeline file of a server's lake.
    fn pipeline(&self, name: &str, url: &str) -> String {
        let pipeline = self.scene.org_pipeline(name, "", "");
        let text = std::fs::read_to_string(&pipeline).expect("read");
        let folder = format!("url = {:?}", self.scene.path(name).display().to_string());
        let lake =
            format!("url = \"s3://bucket/lake\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\npath_style = true");
        std::fs::write(&pipeline, text.replace(&folder, &lake)).expect("written");
        pipeline.display().to_string()
    }

    /// A command on a server's lake.
    fn compline(&self, name: &str, url: &str, command: &[&str], day: &str) -> Ended {
        let pipeline = self.pipeline(name, url);
        let date = ["--date", day];
        let date = if command[0] == "run" { &date[..] } else { &[] };
        let mut command = self.scene.command(&[command, &[&pipeline], date].concat());
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        run(command)
    }

    /// The rows of every table of the second day.
    fn rows(&self, name: &str) -> BTreeMap<&'static str, Vec<String>> {
        let lake = self.scene.lake_at(&format!("{name}/bucket/lake"));
        let tables = pack_tables().into_iter().filter(|table| *table != Table::Runs);
        tables
            .map(|table| {
                (
                    table.name(),
                    self.scene.read(&lake, table, "org", DAYS[1]).map(|rows| texts(&rows)).unwrap_or_default(),
                )
            })
            .collect()
    }

    /// The second day with a call that fails; gives how many there were, the one that failed, and how the run ended.
    fn second(&self, name: &str, armed: Option<(usize, Fault)>) -> (usize, Option<String>, Ended) {
        self.scene.put_lake(name, &self.before);
        let calls = Calls { armed, ..Calls::default() };
        let (url, calls) = self.scene.runtime.block_on(serve(&self.scene.path(name), calls));
        let ended = self.compline(name, &url, &["run"], DAYS[1]);
        let fired = calls.fired.lock().expect("no panic").clone();
        (calls.seen.load(Ordering::Relaxed), fired, ended)
    }
}

/// The cases in an order that the seed says.
fn shuffled(cases: Vec<(usize, Fault)>, seed: u64) -> Vec<(usize, Fault)> {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed.to_le_bytes(); 4].concat());
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    Just(cases).prop_shuffle().new_tree(&mut runner).expect("an order").current()
}

#[test]
fn each_call_to_s3_that_fails_once_in_each_way_costs_no_day_and_the_lake_is_right_in_the_end() {
    let night = Night::new();
    let (calls, _, ended) = night.second("clean", None);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = night.rows("clean");
    let mut cases: Vec<(usize, Fault)> =
        (0..calls).flat_map(|call| FAULTS.into_iter().map(move |fault| (call, fault))).collect();
    let given = std::env::var("COMPLINE_FAULT_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seed = given.unwrap_or(SEED);
    let wanted = std::env::var("COMPLINE_FAULT_CASES").ok().map(|cases| cases.parse().expect("a number"));
    cases = shuffled(cases, seed);
    cases.truncate(wanted.unwrap_or(CASES));
    let mut wrong = Vec::new();
    for (number, (call, fault)) in cases.into_iter().enumerate() {
        let name = format!("case-{number}");
        let (_, fired, ended) = night.second(&name, Some((call, fault)));
        let mut told = vec![format!("call {call} {fired:?} {fault:?}: exit {:?}", ended.code)];
        if fired.is_none() {
            told.push("the fault did not fire".to_owned());
        }
        // What passes is asked for again; a right that is missing once costs a run.
        if ended.code != Some(0) && fault != Fault::Answered(403, "AccessDenied") {
            told.push(format!("{ended:?}"));
        }
        let (url, _) = night.scene.runtime.block_on(serve(&night.scene.path(&name), Calls::default()));
        if ended.code != Some(0) {
            let again = night.compline(&name, &url, &["run"], DAYS[1]);
            if again.code != Some(0) {
                told.push(format!("and again {again:?}"));
            }
        }
        let verified = night.compline(&name, &url, &["verify"], DAYS[1]);
        if verified.code != Some(0) {
            told.push(format!("{verified:?}"));
        }
        if night.rows(&name) != expected {
            told.push("other rows than a night without a fault has".to_owned());
        }
        if told.len() > 1 {
            wrong.push(told.join("\n  "));
        }
        std::fs::remove_dir_all(night.scene.path(&name)).expect("removed");
    }
    assert!(wrong.is_empty(), "COMPLINE_FAULT_SEED={seed}: {} of {calls} calls\n{}", wrong.len(), wrong.join("\n"));
}

/// A text without an element, wherever it is.
fn without(text: &str, element: &str) -> String {
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    let mut parts = text.split(&start);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(&end).map_or(part, |(_, rest)| rest))
}

#[test]
fn a_list_that_does_not_say_all_that_one_says_is_an_error_and_never_a_lake_with_fewer_days() {
    let night = Night::new();
    night.scene.put_lake("lake", &night.before);
    let changes: [(Change, &str); 6] = [
        (
            |_| "<?xml version=\"1.0\"?><ListBucketResult></ListBucketResult>".to_owned(),
            "does not say whether it goes on",
        ),
        (|list| without(list, "Key"), "has no key"),
        (|list| without(list, "Size"), "has no size"),
        (|list| without(list, "Contents"), "not as many objects as it says"),
        (|list| without(list, "IsTruncated"), "does not say whether it goes on"),
        (
            |_| "<html><p>sign in</p></html>".to_owned(),
            "the answer starts: <html><p>sign in</p></html>; this is not S3's own",
        ),
    ];
    for (change, said) in changes {
        let calls = Calls { lists: Some(change), ..Calls::default() };
        let (url, calls) = night.scene.runtime.block_on(serve(&night.scene.path("lake"), calls));
        let ended = night.compline("lake", &url, &["run"], DAYS[1]);
        assert_eq!(ended.code, Some(1), "{said}: {ended:?}");
        assert!(ended.stderr.contains(said) || ended.stdout.contains(said), "{said}: {ended:?}");
        assert!(calls.denied.load(Ordering::Relaxed) > 0, "{said}: a list was changed");
        assert!(night.rows("lake").values().all(Vec::is_empty), "{said}: nothing was committed");
    }
    let (url, _) = night.scene.runtime.block_on(serve(&night.scene.path("lake"), Calls::default()));
    assert_eq!(night.compline("lake", &url, &["run"], DAYS[1]).code, Some(0));
    assert_eq!(night.compline("lake", &url, &["verify"], DAYS[1]).code, Some(0));
}

#[test]
fn w5_what_is_not_an_answer_of_s3_is_told_as_it_is() {
    let scene = Scene::of_accounts(4);
    for (status, body, said, hint) in [
        (
            "403 Forbidden",
            "blocked by firewall",
            "HTTP 403: the answer starts: blocked by firewall",
            "not S3's own answer",
        ),
        ("502 Bad Gateway", "<html>Bad</html>", "HTTP 502: the answer starts: <html>Bad</html>", "not S3's own answer"),
        (
            "301 Moved\r\nlocation: https://x.example",
            "",
            "HTTP 301 to https://x.example: the answer is empty",
            "set lake.region",
        ),
    ] {
        let (url, _) = crate::support::answers::serve(move |_, _| (status, "text/plain", body.to_owned()));
        let lake = format!(
            "url = \"s3://bucket/lake\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\npath_style = true\nmax_attempts = 1"
        );
        let pipeline = scene.write_pipeline(&lake, "").display().to_string();
        let ended = run(scene.command_with_keys(&["run", &pipeline]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(said) && ended.stderr.contains(hint), "{said}: {ended:?}");
    }
}

#[test]
fn a_glue_that_answers_nothing_is_not_taken_for_one_that_has_nothing() {
    let scene = Scene::of_accounts(4);
    for body in ["", "{}", "[]"] {
        let (url, asked) =
            crate::support::answers::serve(move |_, _| ("200 OK", "application/x-amz-json-1.1", body.to_owned()));
        std::fs::create_dir_all(scene.path("glue/bucket")).expect("a bucket");
        let (s3, _) = scene.runtime.block_on(serve(&scene.path("glue"), Calls::default()));
        let lake =
            format!("url = \"s3://bucket/lake\"\nregion = \"us-east-1\"\nendpoint_url = \"{s3}\"\npath_style = true");
        let catalog = format!("[catalog]\ndatabase = \"d\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\n");
        let path = scene.write_pipeline(&lake, "");
        let text = std::fs::read_to_string(&path).expect("read");
        std::fs::write(&path, text + &catalog).expect("written");
        let mut command = scene.command(&["catalog", &path.display().to_string()]);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        let ended = run(command);
        assert_eq!(ended.code, Some(1), "{body:?}: {ended:?}");
        assert!(ended.stderr.contains("this is not Glue's own answer"), "{body:?}: {ended:?}");
        let asked = asked.lock().expect("no panic");
        assert!(asked.iter().any(|request| request.contains("GetDatabase")), "{body:?}: {asked:?}");
        assert!(!asked.iter().any(|request| request.contains("CreateTable")), "{body:?}: nothing is made: {asked:?}");
    }
}

#[test]
fn w7_a_bucket_in_which_deletes_are_denied_gets_the_same_days_and_they_are_sound() {
    let night = Night::new();
    let (_, _, ended) = night.second("clean", None);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    night.scene.put_lake("denied", &night.before);
    let calls = Calls { denies_deletes: true, ..Calls::default() };
    let (url, calls) = night.scene.runtime.block_on(serve(&night.scene.path("denied"), calls));
    // The same day twice, so that what could not be removed is in the way of the second.
    for _ in 0..2 {
        let ended = night.compline("denied", &url, &["run"], DAYS[1]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let verified = night.compline("denied", &url, &["verify"], DAYS[1]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        assert!(!verified.stdout.contains("orphaned"), "{verified:?}");
    }
    assert!(calls.denied.load(Ordering::Relaxed) > 5);
    assert_eq!(night.rows("denied"), night.rows("clean"));
    // A drop that cannot be made stops no run, and is not said to be made.
    let path = night.scene.path("denied.toml");
    let text = std::fs::read_to_string(&path).expect("read");
    let drops =
        "[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]\nsnapshot_days = 5\npack_status_days = 5\n";
    std::fs::write(&path, format!("{text}{drops}")).expect("written");
    let with_keys = |arguments: &[&str]| {
        let mut command = night.scene.command(arguments);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        run(command)
    };
    let ended = with_keys(&["maintain", "denied.toml", "--apply"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("nothing is dropped: cannot remove"), "{ended:?}");
    let check = with_keys(&["check", "denied.toml"]).stdout;
    assert!(check.contains("delete: denied, so that own objects are emptied and `maintain` drops nothing"), "{check}");
    let ended = with_keys(&["run", "denied.toml", "--date", "2026-03-02"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The month of the new day is made again, and nothing else is to be told.
    assert_eq!(with_keys(&["maintain", "denied.toml", "--apply"]).code, Some(3));
    let verified = with_keys(&["verify", "denied.toml"]);
    assert!(verified.stdout.contains("OK: no problems found"), "{verified:?}");
}

#[test]
fn f08_an_import_of_a_day_that_has_not_begun_by_the_clock_of_s3_is_refused_and_a_day_ahead_is_told() {
    // Without it there is no wrong clock.
    if Command::new("faketime").arg("--version").output().is_err() {
        eprintln!("no faketime, so nothing is tried");
        return;
    }
    let night = Night::new();
    night.scene.put_lake("ahead", &night.before);
    let (url, _) = night.scene.runtime.block_on(serve(&night.scene.path("ahead"), Calls::default()));
    night.pipeline("ahead", &url);
    let one = r#"{"ConformancePackName":"one","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{"ComplianceType":"COMPLIANT"}}"#;
    std::fs::write(night.scene.path("one.json"), one).expect("written");
    let by_clock = |clock: &str, arguments: &[&str]| {
        let ours = night.scene.command(&[]);
        let mut command = Command::new("faketime");
        command
            .args(["-f", clock])
            .arg(ours.get_program())
            .args(arguments)
            .current_dir(night.scene.folder.path())
            .env_clear();
        command.env("HOME", night.scene.folder.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        run(command)
    };
    let tomorrow = chrono::Utc::now().date_naive() + chrono::TimeDelta::days(2);
    let import = |date: chrono::NaiveDate| {
        let date = date.to_string();
        by_clock("+50h", &["import", "ahead.toml", "--aggregator", "org", "--date", &date, "one.json", "--accept"])
    };
    let ended = import(tomorrow);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("so nothing can be of") && ended.stderr.contains("ahead of S3's"), "{ended:?}");
    // Days of the past have begun, whatever this clock says.
    let ended = import("2026-03-01".parse().expect("a date"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // A day that such a clock committed: by that of S3 it has not begun.
    let verified = night.compline("ahead", &url, &["verify"], DAYS[1]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let from = night.scene.path("ahead/bucket/lake");
    for (name, body) in files(&from).into_iter().filter(|(name, _)| name.contains("2026-03-01")) {
        let moved = from.join(name.replace("2026-03-01", &tomorrow.to_string()));
        std::fs::create_dir_all(moved.parent().expect("a folder")).expect("made");
        std::fs::write(moved, body).expect("written");
    }
    let verified = night.compline("ahead", &url, &["verify"], DAYS[1]);
    assert!(verified.stdout.contains(&format!("{tomorrow} has not begun yet (UTC)")), "{verified:?}");
}

#[test]
fn a_run_that_was_stopped_between_the_document_of_its_row_and_its_ledger_is_in_the_ledger_after_the_next() {
    let night = Night::new();
    night.scene.put_lake("stopped", &night.before);
    let folder = night.scene.path("stopped");
    let (url, calls) = night.scene.runtime.block_on(serve(&folder, Calls { denies_ledger: true, ..Calls::default() }));
    let ended = night.compline("stopped", &url, &["run"], DAYS[1]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(calls.denied.load(Ordering::Relaxed) > 0);
    let documents = files(&folder.join("bucket/lake/_compline/ledger"));
    assert!(documents.keys().any(|name| name.contains(DAYS[1])), "the fault came after the document");
    // Nobody runs that day again.
    let (url, _) = night.scene.runtime.block_on(serve(&folder, Calls::default()));
    let ended = night.compline("stopped", &url, &["run"], "2026-03-02");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lake = night.scene.lake_at("stopped/bucket/lake");
    let ledger = night.scene.read(&lake, Table::Runs, "org", DAYS[1]).expect("a ledger");
    assert_eq!(column(&ledger, "outcome"), ["succeeded"]);
    assert_eq!(column(&ledger, "commit_number"), ["1"]);
    let verified = night.compline("stopped", &url, &["verify"], DAYS[1]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn status_asks_no_more_of_s3_however_long_the_history_is() {
    let night = Night::new();
    let today = chrono::Utc::now().date_naive();
    let day = |ago: u64| today.checked_sub_days(chrono::Days::new(ago)).expect("a day").to_string();
    std::fs::create_dir_all(night.scene.path("young/bucket")).expect("a bucket");
    let (url, _) = night.scene.runtime.block_on(serve(&night.scene.path("young"), Calls::default()));
    for ago in [35, 1, 0] {
        assert_eq!(night.compline("young", &url, &["run"], &day(ago)).code, Some(0));
    }
    let young = files(&night.scene.path("young"));
    // Earlier days, which are not read and so may be copies.
    let mut old = young.clone();
    for ago in 36..400 {
        for (name, content) in young.iter().filter(|(name, _)| name.contains(&format!("={}/", day(35)))) {
            old.insert(name.replace(&day(35), &day(ago)), content.clone());
        }
    }
    let calls = |name: &str, objects| {
        night.scene.put_lake(name, objects);
        let (url, calls) = night.scene.runtime.block_on(serve(&night.scene.path(name), Calls::default()));
        let ended = night.compline(name, &url, &["status"], &day(0));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        calls.seen.load(Ordering::Relaxed)
    };
    let (few, many) = (calls("few", &young), calls("many", &old));
    assert!(old.len() > young.len() + 1000 && few == many && few < 20, "{few} {many}");
}

/// Where a run is stopped that waits for S3: the put that hangs, whether everything does from then on, the outcome that it says, and how
/// it says it.
const STOPS: [(&str, bool, &str, &str); 6] = [
    ("/lake/_compline/lease/", true, "", ""),
    ("/lake/_compline/journal/", false, "failed", "stopped by SIGTERM while the lake was changed"),
    ("/lake/pack_compliance/", false, "failed", "stopped by SIGTERM while the lake was changed"),
    ("/lake/compliance_trends/", false, "succeeded", "stopped by SIGTERM before everything was done"),
    ("/lake/compliance_trends/", true, "succeeded", "stopped by SIGTERM before everything was done"),
    ("/lake/runs/", true, "succeeded", "stopped by SIGTERM before everything was done"),
];

#[test]
fn a_run_that_is_stopped_while_s3_does_not_answer_says_what_it_committed_and_the_next_one_completes_it() {
    let night = Night::new();
    let (_, _, ended) = night.second("clean", None);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (number, (path, for_good, outcome, why)) in STOPS.into_iter().enumerate() {
        let name = format!("stop-{number}");
        night.scene.put_lake(&name, &night.before);
        let calls = Calls { hangs: Some((path, for_good)), ..Calls::default() };
        let (url, calls) = night.scene.runtime.block_on(serve(&night.scene.path(&name), calls));
        let pipeline = night.pipeline(&name, &url);
        let metrics = night.scene.path(&format!("{name}.prom"));
        let text = std::fs::read_to_string(&pipeline).expect("read");
        std::fs::write(&pipeline, format!("{text}\n[metrics]\ntextfile = {:?}\n", metrics.display().to_string()))
            .expect("written");
        let mut command = night.scene.command(&["run", &pipeline, "--date", DAYS[1], "--json", "--log", "json"]);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        let child = start(command);
        wait_until("S3 does not answer", || calls.has_hung.load(Ordering::Relaxed));
        let asked = Instant::now();
        signal(child.id(), "-TERM");
        let ended = finish(child);
        let took = asked.elapsed();
        assert_eq!(ended.code, Some(143), "{path}: {ended:?}");
        // A lease that S3 takes no more holds it up, and what Kubernetes gives is 30 s.
        assert!(took < Duration::from_secs(if for_good { 20 } else { 8 }), "{path}: {took:?}");
        let said: serde_json::Value = serde_json::from_str(&ended.stdout).expect("a document");
        assert_eq!(said["stopped_by"], "SIGTERM", "{path}: {said}");
        let told = ended.stderr.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let outcomes: Vec<_> = told.filter(|line| line["message"] == "outcome").collect();
        assert_eq!((outcomes.len(), &outcomes[0]["outcome"]), (1, &said), "{path}");
        let aggregators = said["aggregators"].as_array().expect("aggregators");
        if outcome.is_empty() {
            assert!(aggregators.is_empty(), "{path}: {said}");
        } else {
            assert_eq!((aggregators.len(), &aggregators[0]["outcome"]), (1, &outcome.into()), "{path}: {said}");
            assert!(aggregators[0]["error"].as_str().is_some_and(|error| error.contains(why)), "{path}: {said}");
            assert_eq!(aggregators[0]["is_recorded"], false, "{path}: {said}");
        }
        if !outcome.is_empty() && !for_good {
            let success = if outcome == "failed" { "0.0" } else { "1.0" };
            let text = std::fs::read_to_string(&metrics).expect("metrics");
            let line = text.lines().find(|line| line.starts_with("compline_last_run_success{")).expect("a sample");
            assert!(line.ends_with(success), "{path}: {line}");
        }
        // A lease that could not be released ends by itself; here its object is removed in place of the wait.
        let lease = night.scene.path(&format!("{name}/bucket/lake/_compline/lease"));
        let _ = std::fs::remove_dir_all(lease);
        let (url, _) = night.scene.runtime.block_on(serve(&night.scene.path(&name), Calls::default()));
        let again = night.compline(&name, &url, &["run"], DAYS[1]);
        assert_eq!(again.code, Some(0), "{path}: {again:?}");
        let verified = night.compline(&name, &url, &["verify"], DAYS[1]);
        assert_eq!(verified.code, Some(0), "{path}: {verified:?}");
        assert_eq!(night.rows(&name), night.rows("clean"), "{path}");
    }
}

#[test]
fn another_signal_ends_a_run_that_waits_for_s3_at_once() {
    let night = Night::new();
    night.scene.put_lake("lake", &night.before);
    let calls = Calls { hangs: Some(("/lake/compliance_trends/", true)), ..Calls::default() };
    let (url, calls) = night.scene.runtime.block_on(serve(&night.scene.path("lake"), calls));
    let pipeline = night.pipeline("lake", &url);
    let mut command = night.scene.command(&["run", &pipeline, "--date", DAYS[1], "--json"]);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let child = start(command);
    wait_until("S3 does not answer", || calls.has_hung.load(Ordering::Relaxed));
    signal(child.id(), "-INT");
    std::thread::sleep(Duration::from_millis(1500));
    let asked = Instant::now();
    signal(child.id(), "-INT");
    let ended = finish(child);
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(asked.elapsed() < Duration::from_millis(4500), "{:?}", asked.elapsed());
    assert!(ended.stdout.contains("\"stopped_by\": \"SIGINT\""), "{ended:?}");
}

#[test]
fn a_signal_ends_a_command_that_only_asks() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("");
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let (start_of, _) = text.split_once("[fetch]").expect("a fetch");
    let path = pipeline.display().to_string();
    for arguments in [vec!["check", &path], vec!["plan", &path, "--discover"]] {
        // Each its own, which has no connection of the one before left.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        std::fs::write(&pipeline, format!("{start_of}[fetch]\nendpoint_url = {url:?}\n")).expect("written");
        let child = start(scene.command_with_keys(&arguments));
        let asking = silent.accept().expect("it asks");
        let asked = Instant::now();
        signal(child.id(), "-TERM");
        let ended = finish(child);
        drop(asking);
        assert_eq!(ended.code, Some(143), "{arguments:?}: {ended:?}");
        assert!(asked.elapsed() < Duration::from_secs(3), "{arguments:?}");
    }
}

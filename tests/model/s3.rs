//! A folder served as S3, in which one call can be refused, lose its answer, or be the last thing that a command does.

use crate::step::Broken;
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::service::S3Service;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// All servers of a test run.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// How many commands had a call that was to break, and how many a call that did.
static ARMED: AtomicU64 = AtomicU64::new(0);
static BROKEN: AtomicU64 = AtomicU64::new(0);

/// Makes sure that calls broke that were to: a good share, since some commands make fewer calls than the number of theirs.
pub(crate) fn assert_broken() {
    let (armed, broken) = (ARMED.load(Ordering::Relaxed), BROKEN.load(Ordering::Relaxed));
    eprintln!("{broken} of {armed} calls to S3 that were to break did");
    assert!(armed < 8 || broken * 4 > armed, "{broken} of {armed}");
}

/// A running server; it stops when it is dropped.
pub(crate) struct S3 {
    url: String,
    calls: Arc<Calls>,
    accepting: JoinHandle<()>,
}

/// The puts and deletes of a command, and what becomes of one of them.
#[derive(Default)]
struct Calls {
    state: Mutex<State>,
    bucket: PathBuf,
    /// The server behind is atomic only for one request at a time.
    one_at_a_time: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    armed: Option<(u8, Broken)>,
    /// The process that is killed.
    process: Option<u32>,
    count: u8,
    /// The call that is refused, so that its retries are too.
    refused: Option<(Method, String)>,
    fired: bool,
    usage: Usage,
}

/// What a command took until its last call to S3, which is when it lets go of its leases.
#[derive(Debug, Default, Clone)]
pub(crate) struct Usage {
    /// Calls to S3 but for those that renew leases, by method and folder.
    pub(crate) calls: BTreeMap<String, u32>,
    /// The most memory that it had at once, in KiB; 0 where there is no `/proc`.
    pub(crate) peak_kib: u64,
    /// The most files and sockets that it had open at once.
    pub(crate) open_files: usize,
}

impl S3 {
    /// Serves a folder with a bucket named `bucket`.
    pub(crate) fn serve(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("bucket")).expect("a bucket");
        let files = s3s_fs::FileSystem::new(folder).expect("a file system");
        let mut service = s3s::service::S3ServiceBuilder::new(files);
        service.set_auth(s3s::auth::SimpleAuth::from_single("test", "test"));
        let service = service.build();
        let calls = Arc::new(Calls { bucket: folder.join("bucket"), ..Calls::default() });
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let accepting = RUNTIME.spawn(accept(listener, service, Arc::clone(&calls)));
        Self { url, calls, accepting }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Breaks a call of the command that is started next.
    pub(crate) fn arm(&self, number: u8, broken: Broken) {
        *self.calls.state() = State { armed: Some((number, broken)), ..State::default() };
    }

    /// Says which process that command is.
    pub(crate) fn aim(&self, process: u32) {
        self.calls.state().process = Some(process);
    }

    /// Lets every call through again; says whether one was broken, and what the command took.
    pub(crate) fn disarm(&self) -> (bool, Usage) {
        let state = std::mem::take(&mut *self.calls.state());
        if state.fired || state.armed.is_some() {
            BROKEN.fetch_add(u64::from(state.fired), Ordering::Relaxed);
            ARMED.fetch_add(1, Ordering::Relaxed);
        }
        (state.fired, state.usage)
    }
}

impl Usage {
    fn count(&mut self, request: &Request<Incoming>, process: Option<u32>) {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let what = if query.contains("list-type=2") { "LIST" } else { request.method().as_str() };
        let below = path.trim_start_matches("/bucket").trim_start_matches("/lake").trim_start_matches('/');
        let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=lake%2F")).unwrap_or(below);
        let folders = prefix.replace("%2F", "/").replace("%3D", "=");
        let name: Vec<&str> = folders.split('/').take_while(|part| !part.contains('=')).take(2).collect();
        // How often a lease is renewed is a matter of time.
        if !folders.contains("_compline/lease") {
            *self.calls.entry(format!("{what} {}", name.join("/"))).or_default() += 1;
        }
        let Some(process) = process else { return };
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        self.peak_kib = self.peak_kib.max(peak.unwrap_or_default());
        let open = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        self.open_files = self.open_files.max(open);
    }

    /// All calls.
    pub(crate) fn total(&self) -> u32 {
        self.calls.values().sum()
    }
}

/// What ListObjectsV2 says without a delimiter. The server behind walks the whole bucket for it, which is hours in a lake of a year.
fn list(bucket: &Path, query: &str) -> String {
    let value = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let text = |name: &str| value(name).unwrap_or_default().replace("%2F", "/").replace("%3D", "=");
    let (prefix, after) = (text("prefix"), text("continuation-token").max(text("start-after")));
    assert!(value("delimiter").is_none() && !prefix.contains('%') && !after.contains('%'), "not known here: {query}");
    let (folder, _) = prefix.rsplit_once('/').unwrap_or_default();
    let inside =
        crate::lake::files(&bucket.join(folder)).into_iter().map(|(name, path)| (format!("{folder}/{name}"), path));
    let name = |name: String| name.trim_start_matches('/').to_owned();
    let found = inside.map(|(key, path)| (name(key), path)).filter(|(key, _)| key.starts_with(&prefix) && *key > after);
    let max: usize = value("max-keys").and_then(|text| text.parse().ok()).unwrap_or(1000);
    let (mut contents, mut last, mut is_truncated) = (String::new(), None, false);
    for (count, (key, path)) in found.enumerate() {
        is_truncated = count == max;
        if is_truncated {
            break;
        }
        let Ok(about) = std::fs::metadata(path) else { continue };
        let modified: DateTime<Utc> = about.modified().expect("a time").into();
        let modified = modified.to_rfc3339_opts(SecondsFormat::Millis, true);
        let _ = write!(
            contents,
            "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><Size>{}</Size></Contents>",
            about.len()
        );
        last = Some(key);
    }
    let next = last.filter(|_| is_truncated);
    let next = next.map(|key| format!("<NextContinuationToken>{key}</NextContinuationToken>")).unwrap_or_default();
    format!("<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>{next}{contents}</ListBucketResult>")
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, service: S3Service, calls: Arc<Calls>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (service, calls) = (service.clone(), Arc::clone(&calls));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, calls) = (service.clone(), Arc::clone(&calls));
            async move { calls.answer(service, request).await }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
    }
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of a call, if it is to be broken.
    fn fate(&self, method: &Method, path: &str) -> Option<Broken> {
        let mut state = self.state();
        if state.refused.as_ref().is_some_and(|(of, at)| of == method && at == path) {
            return Some(Broken::Refused);
        }
        // Leases are renewed whenever it is time: they would make the count of calls another each time.
        let is_change = [Method::PUT, Method::DELETE, Method::POST].contains(method) && !path.contains("/lease/");
        let (number, broken) = state.armed?;
        if !is_change {
            return None;
        }
        state.count += 1;
        if state.count != number {
            return None;
        }
        (state.armed, state.fired) = (None, true);
        if broken == Broken::Refused {
            state.refused = Some((method.clone(), path.to_owned()));
        }
        Some(broken)
    }

    fn kill(&self) {
        if let Some(process) = self.state().process {
            let _ = Command::new("kill").args(["-9", &process.to_string()]).status();
        }
    }

    async fn answer(&self, service: S3Service, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let lost = || io::Error::other("the test breaks the connection");
        let process = self.state().process;
        self.state().usage.count(&request, process);
        let fate = self.fate(request.method(), request.uri().path());
        let _alone = self.one_at_a_time.lock().await;
        match fate {
            Some(Broken::Refused) => {
                let answer = Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Body::empty());
                return Ok(answer.expect("an answer"));
            }
            Some(Broken::KilledBefore) => {
                self.kill();
                return Err(lost());
            }
            _ => {}
        }
        if let Some(query) = request.uri().query().filter(|query| query.contains("list-type=2") && fate.is_none()) {
            return Ok(Response::new(Body::from(list(&self.bucket, query))));
        }
        let answer = service.call(request.map(Body::from)).await;
        match fate {
            Some(Broken::AnswerLost) => Err(lost()),
            Some(Broken::KilledAfter) => {
                self.kill();
                Err(lost())
            }
            _ => answer.map_err(|error| io::Error::other(format!("{error:?}"))),
        }
    }
}

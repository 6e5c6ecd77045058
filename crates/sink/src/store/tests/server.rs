//! An S3 server over a folder, whose HTTP side does what real ones do now and then.

use super::super::s3::{S3, S3Location};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider};
use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::sync::Semaphore;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What becomes of a request that a fault meets.
#[derive(Clone)]
pub(super) enum Act {
    /// It is done and answered.
    Pass,
    /// It gets this answer and is not done: status, headers, body.
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// It is never answered.
    Stall,
    /// It is done, and the answer is a 500.
    DoneButLost,
    /// It is not done, and the connection is closed before its body has come.
    HangUp,
    /// It is done once this many are let go, and the gate tells when one is waiting: as if its sender were frozen meanwhile.
    Hold(Arc<Gate>),
    /// It is done, and answered with this date.
    Dated(String),
    /// It is done, and the body of the answer breaks off half way.
    CutBody,
    /// It is done, and the body of the answer stops half way without an end.
    StallBody,
}

/// Where requests wait.
pub(super) struct Gate {
    waiting: Semaphore,
    open: Semaphore,
}

impl Gate {
    pub(super) fn closed() -> Arc<Self> {
        Arc::new(Self { waiting: Semaphore::new(0), open: Semaphore::new(0) })
    }

    /// Until a request waits.
    pub(super) async fn reached(&self) {
        self.waiting.acquire().await.expect("open").forget();
    }

    /// Lets a request go on.
    pub(super) fn let_one_go(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.waiting.add_permits(1);
        self.open.acquire().await.expect("open").forget();
    }
}

/// Requests that something happens to: the first so many whose method, path and query hold the text.
pub(super) struct Fault {
    pub(super) of: &'static str,
    pub(super) times: usize,
    pub(super) act: Act,
}

/// A request as it came.
pub(super) struct Seen {
    /// Method, path and query.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    /// Whether something was to happen to it.
    met: bool,
}

pub(super) struct Server {
    pub(super) folder: TempDir,
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

pub(super) fn always(of: &'static str, act: Act) -> Fault {
    Fault { of, times: usize::MAX, act }
}

pub(super) fn first(times: usize, of: &'static str, act: Act) -> Fault {
    Fault { of, times, act }
}

pub(super) fn pass(times: usize, of: &'static str) -> Fault {
    Fault { of, times, act: Act::Pass }
}

/// An error as S3 says it.
pub(super) fn error(status: u16, code: &'static str) -> Act {
    let body = match code {
        "" => "",
        "AuthorizationHeaderMalformed" => {
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message><Region>eu-west-1</Region></Error>"
        }
        "ConditionalRequestConflict" => {
            "<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>"
        }
        "PreconditionFailed" => "<Error><Code>PreconditionFailed</Code><Message>it does not hold</Message></Error>",
        "InternalError" => "<Error><Code>InternalError</Code><Message>again</Message></Error>",
        "NotImplemented" => "<Error><Code>NotImplemented</Code><Message>a header</Message></Error>",
        "BadDigest" => "<Error><Code>BadDigest</Code><Message>again</Message></Error>",
        "IncompleteBody" => "<Error><Code>IncompleteBody</Code><Message>again</Message></Error>",
        "SlowDown" => "<Error><Code>SlowDown</Code><Message>slower</Message></Error>",
        other => panic!("{other}"),
    };
    Act::Answer(status, vec![("content-type", "application/xml")], body)
}

impl Server {
    pub(super) async fn start(faults: Vec<Fault>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("bucket")).expect("a bucket");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a file system");
        let mut service = s3s::service::S3ServiceBuilder::new(files);
        service.set_auth(s3s::auth::SimpleAuth::from_single("test", "test"));
        let service = service.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (faults, seen) = (Arc::new(Mutex::new(faults)), Arc::new(Mutex::new(Vec::new())));
        let all_seen = Arc::clone(&seen);
        // s3s-fs looks whether a condition holds and puts the object in two steps: here nothing comes between them.
        let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, faults, seen) = (service.clone(), Arc::clone(&faults), Arc::clone(&all_seen));
                let one_at_a_time = Arc::clone(&one_at_a_time);
                let answer = service_fn(move |request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    let act = next(&faults, &line, request.headers());
                    seen.lock().expect("a lock").push(Seen {
                        line,
                        headers: request.headers().clone(),
                        met: act.is_some(),
                    });
                    let (service, one_at_a_time) = (service.clone(), Arc::clone(&one_at_a_time));
                    async move {
                        match act {
                            Some(Act::Stall) => std::future::pending().await,
                            Some(Act::HangUp) => Err(io::Error::other("hung up")),
                            Some(Act::Answer(status, headers, body)) => Ok(made(status, headers, body)),
                            act => {
                                if let Some(Act::Hold(gate)) = &act {
                                    gate.pass().await;
                                }
                                // s3s-fs writes an object and its checksum in two steps: a client that goes away between them
                                // must not leave half of it.
                                let whole = tokio::spawn(async move {
                                    let _turn = one_at_a_time.lock().await;
                                    let call = service.call(request.map(s3s::Body::from)).await;
                                    done(act, call.map_err(io::Error::other)?).await
                                });
                                whole.await.map_err(io::Error::other)?
                            }
                        }
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
            }
        });
        Self { folder, url, seen }
    }

    /// Where its objects are.
    pub(super) fn location(&self) -> S3Location {
        S3Location { endpoint_url: Some(self.url.clone()), ..location() }
    }

    pub(super) fn store(&self) -> S3 {
        store(&self.location())
    }

    /// Requests so far whose method, path and query hold the text.
    pub(super) fn count(&self, of: &str) -> usize {
        self.seen.lock().expect("a lock").iter().filter(|seen| seen.line.contains(of)).count()
    }

    /// How many requests something was to happen to.
    pub(super) fn met(&self) -> usize {
        self.seen.lock().expect("a lock").iter().filter(|seen| seen.met).count()
    }

    /// Headers of the requests so far, in order.
    pub(super) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().expect("a lock"))
    }

    /// Files below the server's folder, without what it keeps beside its objects.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else if entry.path().extension().is_none_or(|kind| kind != "json") {
                    files.push(entry.path());
                }
            }
        }
        files
    }
}

/// A place on a server of a test; tries are few, so that what never works is soon over.
pub(super) fn location() -> S3Location {
    S3Location {
        region: Some("us-east-1".to_owned()),
        path_style: true,
        max_attempts: 3,
        ..S3Location::new("bucket", "audit/compline")
    }
}

pub(super) fn store(location: &S3Location) -> S3 {
    let key = Credentials::new("test", "test", None, None, "test");
    let shared = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(key))
        .region(Region::from_static("us-east-1"))
        .build();
    S3::new(&shared, location)
}

/// What is to happen to a request, by texts that its line and headers must have.
fn next(faults: &Mutex<Vec<Fault>>, line: &str, headers: &HeaderMap) -> Option<Act> {
    let mut faults = faults.lock().expect("a lock");
    let has = |text: &str| match text.strip_prefix("header:") {
        Some(name) => headers.keys().any(|header| header.as_str().starts_with(name)),
        None => line.contains(text),
    };
    let meets = |fault: &Fault| fault.of.split(' ').all(has);
    let fault = faults.iter_mut().find(|fault| fault.times > 0 && meets(fault))?;
    fault.times -= 1;
    Some(fault.act.clone())
}

fn made(status: u16, headers: Vec<(&'static str, &'static str)>, body: &'static str) -> Response<Body> {
    let answer = headers
        .into_iter()
        .fold(Response::builder().status(status), |answer, (name, value)| answer.header(name, value));
    answer.body(whole(Bytes::from_static(body.as_bytes()))).expect("an answer")
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// The answer to a request that was done.
async fn done(act: Option<Act>, answer: Response<s3s::Body>) -> io::Result<Response<Body>> {
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let half = Frame::data(body.slice(..body.len() / 2));
    let body = match act {
        None | Some(Act::Pass | Act::Hold(_)) => whole(body),
        Some(Act::Dated(date)) => {
            parts.headers.insert("date", date.parse().map_err(io::Error::other)?);
            whole(body)
        }
        Some(Act::DoneButLost) => return Ok(made(500, Vec::new(), "")),
        Some(act) => {
            parts.headers.insert("content-length", body.len().into());
            match act {
                Act::CutBody => {
                    let cut = Err(io::Error::other("cut"));
                    StreamBody::new(stream::iter([Ok(half), cut])).boxed_unsync()
                }
                _ => {
                    let never = stream::pending();
                    StreamBody::new(futures::StreamExt::chain(stream::iter([Ok(half)]), never)).boxed_unsync()
                }
            }
        }
    };
    Ok(Response::from_parts(parts, body))
}

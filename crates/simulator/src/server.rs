//! The HTTP side.

use crate::body::Answer;
use crate::days::Days;
use crate::faults::{Fate, FaultState};
use crate::operation::{self, Context};
use crate::request::{self, ApiError, Fields};
use crate::{Faults, Organization};
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use compline_model::SnapshotDate;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, DATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// No request of AWS Config is near this size.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// How many requests are retained.
const MAX_REQUESTS: usize = 10_000;

/// A running simulator; it stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    organization: Organization,
    date: SnapshotDate,
    days: Days,
    faults: FaultState,
    requests: AtomicU64,
    last: Mutex<VecDeque<String>>,
}

impl Simulator {
    /// Starts on a port of the loopback interface, 0 for a free one. `date` is what `/` answers as of.
    ///
    /// # Errors
    /// The port is taken, or may not be opened.
    pub async fn start(
        port: u16,
        organization: Organization,
        date: SnapshotDate,
        faults: Faults,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let faults = FaultState::new(faults);
        let (days, requests, last) = (Days::default(), AtomicU64::new(0), Mutex::default());
        let shared = Arc::new(Shared { organization, date, days, faults, requests, last });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Its address, such as `http://127.0.0.1:4566`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bodies of the last requests, at most 10,000, the oldest first.
    pub fn last_requests(&self) -> Vec<String> {
        self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Simulator {
    /// How often each fault has fired so far, by its name; one that never has is not there.
    pub fn faults_fired(&self) -> BTreeMap<&'static str, u64> {
        self.shared.faults.fired()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    // Small answers must not wait for the client's acknowledgement of the last one.
                    let _ = socket.set_nodelay(true);
                    connections.spawn(serve(socket, Arc::clone(&shared)));
                }
                // Such as too many open files: give the connections there are the time to end.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(socket: tokio::net::TcpStream, shared: Arc<Shared>) {
    let answer = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    if let Err(error) =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), answer).await
    {
        tracing::debug!(%error, "connection ended");
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Answer> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let fate = self.faults.call();
        if self.faults.faults.latency_millis > 0 {
            tokio::time::sleep(Duration::from_millis(self.faults.faults.latency_millis)).await;
        }
        let answered = match fate {
            Fate::Throttled => Err(ApiError::new("ThrottlingException", "Rate exceeded")),
            Fate::Failed => {
                Err(ApiError { code: "InternalFailure", status: 500, message: "internal failure".to_owned() })
            }
            _ => Arc::clone(&self).operate(request).await,
        };
        self.response(number, fate, answered)
    }

    async fn operate(self: Arc<Self>, request: Request<Incoming>) -> Result<Bytes, ApiError> {
        let (head, body) = request.into_parts();
        let too_large = |_| ApiError::new("SerializationException", "the request cannot be read");
        let body = Limited::new(body, MAX_REQUEST_BYTES).collect().await.map_err(too_large)?.to_bytes();
        self.retain(&body);
        // A first page can mean to make a million rows: that must not hold up the other connections.
        let work = tokio::task::spawn_blocking(move || {
            let (key, region) = request::signed_for(&head.headers)?;
            if self.faults.key_has_ended(key) {
                return Err(ApiError::new(
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                ));
            }
            let context = Context {
                organization: &self.organization,
                days: &self.days,
                faults: &self.faults,
                date: self.date_of(head.uri.path())?,
                region,
            };
            let answer = operation::answer(&context, request::operation(&head.headers)?, &Fields::parse(&body)?)?;
            Ok(Bytes::from(answer.to_string()))
        });
        let failed = |_| ApiError { code: "InternalFailure", status: 500, message: "internal failure".to_owned() };
        work.await.map_err(failed)?
    }

    fn retain(&self, body: &Bytes) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == MAX_REQUESTS {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(body).into_owned());
    }

    fn date_of(&self, path: &str) -> Result<SnapshotDate, ApiError> {
        match path.trim_matches('/') {
            "" => Ok(self.date),
            date => date.parse().map_err(|_| ApiError::validation("the path is neither / nor /YYYY-MM-DD")),
        }
    }

    fn response(&self, number: u64, fate: Fate, answered: Result<Bytes, ApiError>) -> Response<Answer> {
        let faults = &self.faults.faults;
        let in_header = faults.error_code_in_header_only;
        let mut builder = Response::builder()
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amzn-requestid", format!("00000000-0000-4000-8000-{number:012x}"));
        if let Some(date) = date(faults.clock_offset_secs) {
            self.faults.note("clock_offset_secs");
            builder = builder.header(DATE, date);
        }
        let body = match answered {
            Ok(body) => body,
            Err(error) => {
                if in_header {
                    self.faults.note("error_code_in_header_only");
                }
                builder = builder.header("x-amzn-errortype", error.code).status(error.status);
                Bytes::from(error.body(in_header).to_string())
            }
        };
        let body = match fate {
            Fate::Stalled => Answer::stalled(body),
            Fate::Cut => Answer::cut(body),
            Fate::Malformed => Answer::whole(Bytes::from_static(b"<html><body>Sign in</body></html>")),
            _ => Answer::whole(body),
        };
        builder.body(body).unwrap_or_else(|_| Response::new(Answer::whole(Bytes::new())))
    }
}

/// The `Date` of an answer by a clock that is off; nothing for a right one, whose date the server adds by itself.
fn date(clock_offset_secs: i64) -> Option<String> {
    let offset = TimeDelta::try_seconds(clock_offset_secs).filter(|offset| !offset.is_zero())?;
    let now = Utc::now().checked_add_signed(offset)?;
    Some(now.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

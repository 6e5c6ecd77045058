//! Roles that are assumed, on machines whose clocks are wrong.

use super::example;
use crate::{AggregatorClient, Connector, FetchOptions, Probe, Role};
use aws_sdk_config::config::Credentials;
use aws_smithy_async::time::TimeSource;
use chrono::{DateTime, SecondsFormat, Utc};
use compline_aws::Environment;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);

/// This machine's clock, which a test moves.
#[derive(Debug, Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Relaxed);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Relaxed))
    }
}

/// An STS and an AWS Config whose clock is right. Gives its address, and how often a role was assumed.
fn serve(expiry: impl Fn() -> SystemTime + Send + 'static) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let assumed: Arc<AtomicU64> = Arc::default();
    let counted = Arc::clone(&assumed);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let Ok(request) = request(&socket) else { continue };
            let body = if request.contains("Action=AssumeRole") {
                credentials(counted.fetch_add(1, Relaxed), expiry())
            } else {
                r#"{"ConfigurationAggregators":[]}"#.to_owned()
            };
            let length = body.len();
            let _ = write!(&socket, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    (url, assumed)
}

pub(super) fn request(socket: &TcpStream) -> std::io::Result<String> {
    let mut reader = BufReader::new(socket);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn credentials(number: u64, expiry: SystemTime) -> String {
    let expiry = DateTime::<Utc>::from(expiry).to_rfc3339_opts(SecondsFormat::Secs, true);
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>{expiry}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

/// A client that assumes a role for an hour, on a machine with this clock.
async fn client(url: &str, clock: &Clock) -> AggregatorClient {
    let shared = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .time_source(clock.clone())
        .region(aws_config::Region::from_static("eu-west-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(url)
        .load()
        .await;
    let options = FetchOptions { endpoint_url: Some(url.to_owned()), ..example::options() };
    let role = Role {
        arn: "arn:aws:iam::012345678910:role/x".to_owned(),
        external_id: None,
        session_name: "compline".to_owned(),
        duration: HOUR,
    };
    Connector::new(Environment::of(shared), options).connect(example::address(Some(role))).await
}

/// How often a role is assumed for 4 calls at each of some times, by a clock that is this much ahead of the right one.
async fn assumed(ahead: Duration, behind: Duration, times: &[Duration]) -> Vec<u64> {
    let clock = Clock(Arc::new(AtomicU64::new(1_772_323_200)));
    let right = clock.clone();
    let (url, assumed) = serve(move || right.now() - ahead + behind + HOUR);
    let client = client(&url, &clock).await;
    let (mut counts, mut at) = (Vec::new(), Duration::ZERO);
    for time in times {
        clock.forward(*time - at);
        at = *time;
        for _ in 0..4 {
            client.try_page(Probe::Aggregator).await.expect("an answer");
        }
        counts.push(assumed.load(Relaxed));
    }
    counts
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn b10_a_role_is_assumed_again_only_shortly_before_its_credentials_end() {
    let counts =
        assumed(Duration::ZERO, Duration::ZERO, &[Duration::ZERO, 50 * MINUTE, 60 * MINUTE, 110 * MINUTE]).await;
    assert_eq!(counts, [1, 1, 2, 2]);
}

#[tokio::test]
async fn f08_a_clock_that_is_fast_does_not_assume_the_role_for_every_call() {
    for ahead in [26 * HOUR, HOUR, HOUR - Duration::from_secs(5)] {
        let counts = assumed(ahead, Duration::ZERO, &[Duration::ZERO, 10 * MINUTE, 15 * MINUTE]).await;
        assert_eq!(counts, [1, 1, 2], "{ahead:?}");
    }
}

#[tokio::test]
async fn f08_a_clock_that_is_slow_does_not_use_credentials_beyond_their_end() {
    let counts = assumed(Duration::ZERO, 26 * HOUR, &[Duration::ZERO, 50 * MINUTE, 60 * MINUTE]).await;
    assert_eq!(counts, [1, 1, 2]);
}

//! Calls that are throttled, and when they are sent again.

use super::roles::request;
use crate::{AggregatorAddress, Connector, FetchOptions, Probe};
use compline_aws::{Environment, Identity};
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// How often the call is throttled. The SDK's own waits would be of a random part of 1, 2, 4 ... seconds, about 8 in all.
const THROTTLES: usize = 4;

#[tokio::test]
async fn a_call_that_is_throttled_is_sent_again_in_its_turn_and_not_after_a_wait_that_knows_nothing_of_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for (number, socket) in listener.incoming().flatten().enumerate() {
            if request(&socket).is_err() {
                continue;
            }
            let (status, body) = match number {
                0..THROTTLES => ("400 Bad Request", r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#),
                _ => ("200 OK", r#"{"ConfigurationAggregators":[]}"#),
            };
            let length = body.len();
            let _ = write!(&socket, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    let options = FetchOptions {
        page_size: None,
        max_attempts: 10,
        operation_timeout: Duration::from_secs(120),
        attempt_timeout: Duration::from_secs(20),
        max_requests_per_second: None,
        endpoint_url: Some(url),
    };
    let address = AggregatorAddress {
        id: "org".parse().expect("an id"),
        name: "aggregator".parse().expect("a name"),
        region: "eu-west-1".parse().expect("a region"),
        role: None,
    };
    let environment = Environment::load(Identity::Simulated).await.expect("an environment");
    let client = Connector::new(environment, options).connect(address).await;
    let asked = Instant::now();
    client.try_page(Probe::Aggregator).await.expect("an answer");
    assert_eq!(client.counts().throttles, THROTTLES as u64);
    // Its turns are an eighth of a second apart at first.
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

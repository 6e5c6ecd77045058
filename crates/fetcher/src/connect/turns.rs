//! Calls that are throttled, when they are sent again, and how often.

use super::example;
use super::roles::request;
use crate::{CallCounts, FetchError, FetchOptions, Probe};
use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const THROTTLED: (&str, &str) = ("400 Bad Request", r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
const SLOW: (&str, &str) = ("429 Too Many Requests", "<html>slow down</html>");
const OF_S3: (&str, &str) = ("503 Slow Down", r#"{"__type":"SlowDown","message":"Please reduce your request rate."}"#);
const FAILED: (&str, &str) = ("500 Internal Server Error", "{}");
const ANSWERED: (&str, &str) = ("200 OK", r#"{"ConfigurationAggregators":[]}"#);

/// A server that gives these answers, and then the last of them for ever; its URL, and when it gave each.
fn server(answers: Vec<(&'static str, &'static str)>) -> (String, Receiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (gave, given) = channel();
    std::thread::spawn(move || {
        let mut number = 0;
        for socket in listener.incoming().flatten() {
            if request(&socket).is_err() {
                continue;
            }
            let (status, body) = answers[number.min(answers.len() - 1)];
            number += 1;
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nx-amzn-requestid: id-{number}\r\ncontent-length: {length}");
            let _ = write!(&socket, "{head}\r\nconnection: close\r\n\r\n{body}");
            let _ = gave.send(Instant::now());
        }
    });
    (url, given)
}

/// Makes one call to such a server.
async fn call(
    answers: Vec<(&'static str, &'static str)>,
    max_attempts: u32,
    operation_timeout: Duration,
) -> (Result<(), FetchError>, CallCounts, Vec<Instant>) {
    let (url, given) = server(answers);
    let (result, counts) = ask(url, max_attempts, operation_timeout).await;
    (result, counts, given.try_iter().collect())
}

/// Makes one call.
async fn ask(url: String, max_attempts: u32, operation_timeout: Duration) -> (Result<(), FetchError>, CallCounts) {
    let endpoint_url = Some(url);
    let client =
        example::client(FetchOptions { max_attempts, operation_timeout, endpoint_url, ..example::options() }).await;
    let result = client.try_page(Probe::Aggregator).await.map(drop);
    (result, client.counts())
}

const LONG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_call_that_is_throttled_is_sent_again_in_its_turn_and_not_after_a_wait_that_knows_nothing_of_the_others() {
    let asked = Instant::now();
    // The SDK's own waits would be of a random part of 1, 2, 4 ... seconds, about 8 in all.
    let (result, counts, _) = call([vec![THROTTLED; 4], vec![ANSWERED]].concat(), 10, LONG).await;
    result.expect("an answer");
    assert_eq!(counts.throttles, 4);
    // Its turns are an eighth of a second apart at first.
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_throttle_uses_up_no_attempt_of_a_call_and_a_failure_does() {
    let (result, counts, _) = call([vec![THROTTLED; 5], vec![ANSWERED]].concat(), 1, LONG).await;
    result.expect("an answer");
    assert_eq!((counts.calls, counts.throttles), (6, 5));
    let (result, counts, _) = call(vec![SLOW, OF_S3, SLOW, ANSWERED], 1, LONG).await;
    result.expect("an answer");
    assert_eq!((counts.calls, counts.throttles), (4, 3));
    let one_failure = vec![THROTTLED, FAILED, THROTTLED, THROTTLED, ANSWERED];
    call(one_failure, 2, LONG).await.0.expect("an answer");
    let (result, counts, _) = call(vec![THROTTLED, FAILED, THROTTLED, FAILED, ANSWERED], 2, LONG).await;
    let said = result.expect_err("two failures").to_string();
    assert!(said.contains("500"), "{said}");
    assert_eq!((counts.calls, counts.throttles), (4, 2));
}

#[tokio::test]
async fn the_wait_after_a_failure_grows_with_the_failures_and_not_with_the_throttles_before_it() {
    let (result, _, given) = call([vec![THROTTLED; 6], vec![FAILED, ANSWERED]].concat(), 2, LONG).await;
    result.expect("an answer");
    // A second at most after a first failure; after the seventh it would be 64.
    let waited = given[7] - given[6];
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test]
async fn throttles_without_end_fail_a_call_once_its_time_is_over_and_are_told_with_how_many_they_were() {
    let (result, counts, _) = call(vec![THROTTLED], 1, Duration::from_secs(2)).await;
    let said = result.expect_err("it is never let through").to_string();
    let times = counts.throttles;
    assert!(times > 3, "{times}");
    for part in ["ThrottlingException", "a run waits for fetch.operation_timeout_secs"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains(&format!("; throttled {times} times, at last with HTTP 400: ")), "{said}");
    assert!(said.contains(&format!("(request id id-{times})")), "{said}");
}

#[tokio::test]
async fn a_call_whose_time_ends_after_failures_is_told_with_the_last_of_them_and_no_hint_about_throttles() {
    let ending = Duration::from_secs(4);
    let said = call(vec![THROTTLED, FAILED], 100, ending).await.0.expect_err("no answer").to_string();
    assert!(said.contains("operation timeout") && said.contains("; the last failure before: HTTP 500; "), "{said}");
    assert!(said.contains("throttled once, at last") && !said.contains("others use"), "{said}");
    assert!(!said.contains("; ;"), "{said}");
    let said = call(vec![FAILED, THROTTLED], 100, ending).await.0.expect_err("no answer").to_string();
    assert!(said.contains("others use") && !said.contains("HTTP 500"), "{said}");
    let said = ask("http://127.0.0.1:1".to_owned(), 100, ending).await.0.expect_err("nobody listens").to_string();
    assert!(said.contains("Connection refused") && said.contains("nothing listens there"), "{said}");
}

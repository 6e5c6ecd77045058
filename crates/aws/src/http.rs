//! A plain HTTP client for servers that are not of AWS: one POST, without a retry, within a time-out.

use crate::environment::connector;
use crate::{EnvironmentError, connection_hint, limit_hint, start_of};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use compline_model::causes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// How much of the body of an answer is read, in bytes: what it says is at its start.
const MAX_READ: usize = 4096;

/// The shortest part of a path or query that is looked for in what a server answers, in characters: shorter ones are words of
/// any sentence, and no secret.
const MIN_SECRET: usize = 5;

/// The longest part of lower-case letters alone that is a word, in characters: tokens are longer, or have digits.
const MAX_WORD: usize = 12;

/// An `https` or `http` URL whose path and query may be a secret: it is shown as scheme and host alone.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

/// Why a text is no URL to send to. It does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It cannot be parsed, or is of another scheme.
    #[error("it is no URL that starts with https:// or http://")]
    NotHttp,
    /// It has a user name or a password, which would be sent to nobody.
    #[error("it has a user name or a password before the host, which would not be sent; leave them out")]
    UserInfo,
}

impl HttpUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is none, of another scheme, or with user info.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        // The parser would leave out white space within.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let url = Url::parse(text).ok().filter(|url| is_plain && matches!(url.scheme(), "http" | "https"));
        let mut url = url.filter(Url::has_host).ok_or(InvalidUrl::NotHttp)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::UserInfo);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// Whether a text has a part of the path or the query in it, as a server that repeats what it was asked would.
    fn is_shown_by(&self, text: &str) -> bool {
        repeats(text, &format!("{}?{}", self.0.path(), self.0.query().unwrap_or_default()))
    }
}

/// Headers that have no secret in them.
const USUAL_HEADERS: &[&str] = &["content-type", "content-encoding", "content-length", "user-agent", "accept"];

/// Whether a text has a part of another in it that may be a secret.
fn repeats(text: &str, own: &str) -> bool {
    let parts = own.split(|letter: char| !letter.is_ascii_alphanumeric());
    parts.filter(|part| is_secret(part)).any(|part| text.contains(part))
}

/// Whether a part of a path or query may be a secret, and is not a word of any sentence or path, such as `services`.
fn is_secret(part: &str) -> bool {
    let is_word = part.len() <= MAX_WORD && part.bytes().all(|byte| byte.is_ascii_lowercase());
    part.len() >= MIN_SECRET && !is_word
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a server answered, whatever its status.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// How the body starts, in words, without what would show the URL's path or query.
    pub start: String,
}

impl HttpAnswer {
    /// Whether the status is of 200 to 299. A redirect is none: it is not followed.
    pub fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

impl fmt::Display for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redirect = if matches!(self.status, 300..=399) { ", a redirect, which is not followed" } else { "" };
        write!(f, "HTTP {}{redirect}: {}", self.status, self.start)
    }
}

/// Why there is no answer. The URL is shown as scheme and host alone.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HttpError(String);

/// Asks servers by the environment's proxy (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`) and trusts the authorities that AWS is
/// trusted by. Cheap to clone; the clones share their connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    connector: Arc<Connector>,
}

impl HttpClient {
    /// Reads the variables and the certificate authorities. Makes no call.
    ///
    /// # Errors
    /// Profile files or certificates that cannot be read.
    pub async fn load() -> Result<Self, EnvironmentError> {
        Ok(Self { connector: Arc::new(connector().await?) })
    }

    /// Posts a body once. The time-out is for all of it: to connect, to send, and to read the answer.
    ///
    /// # Errors
    /// There is no answer: the server is not reached, not trusted, or too slow.
    pub async fn post(
        &self,
        url: &HttpUrl,
        headers: &[(&str, &str)],
        body: impl Into<Bytes> + Send,
        timeout: Duration,
    ) -> Result<HttpAnswer, HttpError> {
        let until = Instant::now() + timeout;
        let request = request(url, headers, body.into())?;
        let Ok(answer) = timeout_at(until, self.connector.call(request)).await else {
            return Err(HttpError(format!("{url} did not answer within {} s", timeout.as_secs_f64())));
        };
        let answer = answer.map_err(|error| {
            let reason = causes(&error);
            let hint = connection_hint(&reason).or_else(|| limit_hint(&reason)).map(|hint| format!("; {hint}"));
            // No error of the connector is known to show the URL.
            let reason = if url.is_shown_by(&reason) { "the request failed".to_owned() } else { reason };
            HttpError(format!("{url} is not reached: {reason}{}", hint.unwrap_or_default()))
        })?;
        let status = answer.status().as_u16();
        let start = start(answer.into_body(), until).await;
        let text = String::from_utf8_lossy(&start);
        // Of headers the caller's own are secrets, such as a key for a collector.
        let is_usual = |name: &str| USUAL_HEADERS.iter().any(|usual| name.eq_ignore_ascii_case(usual));
        let shows_header = headers.iter().any(|(name, value)| !is_usual(name) && repeats(&text, value));
        let start = if url.is_shown_by(&text) {
            "the answer repeats the URL".to_owned()
        } else if shows_header {
            "the answer repeats a header".to_owned()
        } else {
            start_of(Some(&start))
        };
        Ok(HttpAnswer { status, start })
    }
}

fn request(url: &HttpUrl, headers: &[(&str, &str)], body: Bytes) -> Result<HttpRequest, HttpError> {
    let mut request = HttpRequest::new(SdkBody::from(body));
    let set = request.set_method("POST").is_ok() && request.set_uri(url.0.as_str()).is_ok();
    if !set {
        return Err(HttpError(format!("the URL of {url} is one that cannot be asked for")));
    }
    for (name, value) in headers {
        // The value may be a secret too.
        let added = request.headers_mut().try_insert((*name).to_owned(), (*value).to_owned());
        added.map_err(|_| HttpError(format!("the header {name:?} for {url} has a character that none can carry")))?;
    }
    Ok(request)
}

/// How a body starts, as far as it comes in time: the status says what became of the request.
async fn start(body: SdkBody, until: Instant) -> Vec<u8> {
    let mut body = ByteStream::new(body);
    let mut start = Vec::new();
    while start.len() < MAX_READ {
        match timeout_at(until, body.next()).await {
            Ok(Some(Ok(chunk))) => start.extend_from_slice(&chunk),
            _ => break,
        }
    }
    start.truncate(MAX_READ);
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// A server of one connection that answers with these bytes, then holds it until the client is gone; gives what it was asked.
    fn server(answer: &'static str) -> (HttpUrl, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("an address");
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut asked = Vec::new();
            let mut buffer = [0; 1024];
            while !asked.ends_with(b"the body") {
                let read = stream.read(&mut buffer).expect("a request");
                asked.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).expect("an answer");
            drop(tell.send(String::from_utf8_lossy(&asked).into_owned()));
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
        (HttpUrl::parse(&format!("http://{at}/hook/T0SECRET?sig=Zsecret#part")).expect("a URL"), told)
    }

    async fn post(url: &HttpUrl, timeout: Duration) -> Result<HttpAnswer, HttpError> {
        let client = HttpClient { connector: Arc::new(crate::trust::connector(None).expect("a connector")) };
        client.post(url, &[("content-type", "text/plain")], "the body", timeout).await
    }

    #[tokio::test]
    async fn a_body_is_posted_with_its_headers_to_path_and_query_and_the_answer_is_its_status_and_start() {
        let (url, told) = server("HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\n\r\nok\n\n");
        let answer = post(&url, TIMEOUT).await.expect("an answer");
        assert!(answer.is_success());
        assert_eq!(answer.to_string(), "HTTP 202: the answer starts: ok");
        let asked = told.recv().expect("the request").to_lowercase();
        assert!(asked.starts_with("post /hook/t0secret?sig=zsecret http/1.1\r\n"), "{asked}");
        assert!(asked.contains("content-type: text/plain\r\n") && asked.contains("content-length: 8\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_redirect_is_no_success_and_is_not_followed_nor_shown() {
        let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n";
        let (url, _) = server(answer);
        let answer = post(&url, TIMEOUT).await.expect("an answer");
        assert!(!answer.is_success());
        assert_eq!(answer.to_string(), "HTTP 302, a redirect, which is not followed: the answer is empty");
    }

    #[tokio::test]
    async fn an_answer_that_repeats_the_url_is_not_shown() {
        let (url, _) = server("HTTP/1.1 404 Not Found\r\ncontent-length: 19\r\n\r\nno token T0SECRET !");
        let answer = post(&url, TIMEOUT).await.expect("an answer");
        assert_eq!(answer.to_string(), "HTTP 404: the answer repeats the URL");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_costs_the_time_out_and_one_that_stalls_in_its_body_loses_no_status() {
        let (url, _) = server("");
        let begun = Instant::now();
        let error = post(&url, Duration::from_millis(300)).await.expect_err("no answer");
        assert!(begun.elapsed() < TIMEOUT / 2, "{:?}", begun.elapsed());
        assert_eq!(error.to_string(), format!("{url} did not answer within 0.3 s"));
        let (url, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        let answer = post(&url, Duration::from_secs(1)).await.expect("an answer");
        assert_eq!(answer.to_string(), "HTTP 200: the answer starts: half");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_by_scheme_and_host_alone() {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let url = HttpUrl::parse(&format!("http://127.0.0.1:{port}/T0SECRET")).expect("a URL");
        let error = post(&url, TIMEOUT).await.expect_err("no server").to_string();
        assert!(error.starts_with(&format!("http://127.0.0.1:{port} is not reached: ")), "{error}");
        assert!(error.contains("nothing listens there") && !error.contains("T0SECRET"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_repeats_a_key_of_a_header_is_not_shown() {
        let repeated = "HTTP/1.1 401 no\r\ncontent-length: 41\r\n\r\nauthorization: Bearer OTELSECRET; text ok";
        let (url, _) = server(repeated);
        let client = HttpClient { connector: Arc::new(crate::trust::connector(None).expect("a connector")) };
        let headers = [("authorization", "Bearer OTELSECRET"), ("content-type", "application/json")];
        let answer = client.post(&url, &headers, "the body", TIMEOUT).await.expect("an answer");
        assert_eq!(answer.to_string(), "HTTP 401: the answer repeats a header");
        let (url, _) = server("HTTP/1.1 400 no\r\ncontent-length: 23\r\n\r\nsend application/json .");
        let answer = client.post(&url, &headers, "the body", TIMEOUT).await.expect("an answer");
        assert_eq!(answer.to_string(), "HTTP 400: the answer starts: send application/json .");
    }

    #[test]
    fn a_url_is_http_without_user_info_and_is_shown_as_scheme_and_host() {
        for (text, error) in [
            ("", InvalidUrl::NotHttp),
            ("hooks.example.com/x", InvalidUrl::NotHttp),
            ("ftp://example.com/x", InvalidUrl::NotHttp),
            ("https://", InvalidUrl::NotHttp),
            ("https://example.com/a\nb", InvalidUrl::NotHttp),
            ("https://user:pass@example.com/", InvalidUrl::UserInfo),
            ("https://user@example.com/", InvalidUrl::UserInfo),
        ] {
            assert_eq!(HttpUrl::parse(text), Err(error), "{text}");
        }
        let url = HttpUrl::parse("https://hooks.example.com:8443/services/T000/B000?code=abc").expect("a URL");
        assert_eq!(format!("{url} {url:?}"), "https://hooks.example.com:8443 https://hooks.example.com:8443");
    }
}

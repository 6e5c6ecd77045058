//! moto_server: AWS's services from a process that nobody here wrote. `./tests/run` installs it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// S3 decides of two conditional puts at once which one was first; moto takes both now and then unless it has one request at a
/// time.
const ONE_AT_A_TIME: &str = r#"
import sys, threading, moto.server as server
turn, serve = threading.Lock(), server.run_simple
def one_at_a_time(host, port, app, **rest):
    def answer(environ, start_response):
        with turn:
            return [b"".join(app(environ, start_response))]
    serve(host, port, answer, **rest)
server.run_simple = one_at_a_time
server.main(sys.argv[1:])
"#;

/// A server of its own, gone with this value.
pub(crate) struct Moto {
    process: Child,
    port: u16,
}

impl Moto {
    /// Starts one that has a bucket named `bucket`.
    pub(crate) fn start() -> Self {
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.venv/bin/python");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let process = Command::new(python)
            .args(["-c", ONE_AT_A_TIME, "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server, which ./tests/run installs");
        let moto = Self { process, port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "moto_server did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto.request("PUT", "/bucket");
        moto
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A request with a signature that is none, which moto does not mind; gives the body of the answer.
    pub(crate) fn request(&self, method: &str, path: &str) -> Vec<u8> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let signed =
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let headers = format!("Host: 127.0.0.1\r\nContent-Length: 0\r\nAuthorization: {signed}\r\nConnection: close");
        socket.write_all(format!("{method} {path} HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes()).expect("sent");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        answer.split_off(end + 4)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

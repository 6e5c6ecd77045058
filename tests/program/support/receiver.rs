//! A server that takes what it is posted, or does not.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// A status, with this header and body.
    Status(u16, &'static str, &'static str),
    /// Nothing, for as long as the other side waits.
    Nothing,
}

/// A request that was posted.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A server on loopback, over real HTTP.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    pub(crate) fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let all = Arc::clone(&posted);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || drop(take(stream.expect("a connection"), answer, &all)));
            }
        });
        Self { port, posted }
    }

    /// What was posted until now.
    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("no panic").clone()
    }

    /// The bodies of what was posted until now.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.posted().into_iter().map(|posted| posted.body).collect()
    }
}

/// Takes the requests of a connection.
fn take(mut stream: TcpStream, answer: Answer, all: &Mutex<Vec<Posted>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        reader.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        all.lock().expect("no panic").push(Posted { head, body });
        match answer {
            Answer::Status(status, header, body) => {
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} Any\r\n{header}content-length: {length}\r\n\r\n{body}")?;
            }
            Answer::Nothing => {}
        }
    }
}

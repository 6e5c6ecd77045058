//! A server whose answers are made to order.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The status, the content type and the body of an answer to a request, and to which request it is, from 1.
pub(crate) type Answer = (&'static str, &'static str, String);

/// Answers every request; gives the address, and the requests so far.
pub(crate) fn serve(answer: impl Fn(usize, &str) -> Answer + Send + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let Ok(request) = request(&socket) else { continue };
            let number = {
                let mut noted = noted.lock().expect("no panic");
                noted.push(request.clone());
                noted.len()
            };
            let (status, content_type, body) = answer(number, &request);
            let _ = write!(
                socket,
                "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nx-amzn-requestid: request-{number}\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (address, asked)
}

/// A request as text, headers and body.
fn request(socket: &TcpStream) -> std::io::Result<String> {
    let mut reader = BufReader::new(socket);
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        text.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(text + &String::from_utf8_lossy(&body))
}

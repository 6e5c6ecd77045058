//! What an answer says that is not the service's own error.

/// How much of a body is said, in characters: what a proxy's page begins with tells whose it is.
const MAX_SHOWN: usize = 200;

/// The status of an answer without an error that the service explains, where it points to, and how its body starts: a proxy, a
/// firewall or a login page answered in its place, or the service was in trouble.
pub fn unexplained(status: u16, location: Option<&str>, body: Option<&[u8]>) -> String {
    let to = location.map_or_else(String::new, |location| format!(" to {}", printable(location)));
    format!("HTTP {status}{to}: {}", start_of(body))
}

/// How a body starts, in words.
pub fn start_of(body: Option<&[u8]>) -> String {
    match body {
        Some([]) => "the answer is empty".to_owned(),
        // It was streamed.
        None => "the answer says nothing".to_owned(),
        Some(body) => {
            let start = String::from_utf8_lossy(&body[..body.len().min(4 * MAX_SHOWN)]);
            format!("the answer starts: {}", printable(&start))
        }
    }
}

/// The text of an unexpected answer, on one line.
fn printable(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(MAX_SHOWN).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w5_an_answer_that_the_service_did_not_write_is_told_with_its_status_and_its_start() {
        let page = "<html>\n<title>Blocked</title>\u{1b}[31m".repeat(100);
        let said = unexplained(403, None, Some(page.as_bytes()));
        assert!(said.starts_with("HTTP 403: the answer starts: <html> <title>Blocked</title>"), "{said}");
        assert!(said.chars().count() < 260 && !said.contains(char::is_control), "{said}");
        assert_eq!(unexplained(301, Some("https://x"), Some(b"")), "HTTP 301 to https://x: the answer is empty");
        assert!(unexplained(200, None, Some(b"\xff\xfe")).starts_with("HTTP 200: the answer starts: "));
        assert_eq!(unexplained(502, None, None), "HTTP 502: the answer says nothing");
    }
}

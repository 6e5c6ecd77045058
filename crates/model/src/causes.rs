use std::error::Error;

/// An error and its causes in one line, each once, cut to 400 characters: what the `Display` of an SDK's errors leaves out.
pub fn causes(error: &dyn Error) -> String {
    let mut parts: Vec<String> = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        source = inner.source();
    }
    parts.join(": ").chars().take(400).collect()
}

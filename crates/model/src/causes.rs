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
    parts.join(": ").split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot\n  sign in")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn an_error_is_one_line_with_each_cause_once_and_is_cut() {
        let error = Outer("x".parse::<i32>().expect_err("no number"));
        assert_eq!(causes(&error), "cannot sign in: invalid digit found in string");
        let long = std::io::Error::other("word ".repeat(1_000));
        assert_eq!(causes(&long).len(), 400);
    }
}

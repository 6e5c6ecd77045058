//! What is wrong with a pipeline file, and where.

use std::fmt;
use std::ops::Range;

/// A pipeline file and its text.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

/// A value that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    place: String,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl std::error::Error for Problem {}

impl Source<'_> {
    /// A problem at a place in the text.
    pub(super) fn problem(&self, span: Option<Range<usize>>, what: impl fmt::Display) -> Problem {
        let line = span.map(|span| self.text.get(..span.start).unwrap_or(self.text).matches('\n').count() + 1);
        let place = line.map_or_else(|| self.file.to_owned(), |line| format!("{}, line {line}", self.file));
        Problem { place, what: what.to_string() }
    }

    /// A problem with the value of a key.
    pub(super) fn value(&self, span: Range<usize>, key: &str, value: impl fmt::Display, allowed: &str) -> Problem {
        let value: String = value.to_string().chars().take(100).collect();
        self.problem(Some(span), format!("{key} = {value}: allowed is {allowed}"))
    }

    /// The line that a place is in, cut short: it has the key and value that a parser's message lacks.
    pub(super) fn line_at(&self, span: &Range<usize>) -> String {
        let start = self.text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default().trim().chars().take(100).collect()
    }
}

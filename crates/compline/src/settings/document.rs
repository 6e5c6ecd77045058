//! The text of a pipeline file, parsed, and what is wrong with it at which place.

use crate::output::harmless;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Deserializer};

/// How much of a line or a value a message shows, in characters.
const MAX_SHOWN: usize = 100;

/// How much of what the parser says a message has, in characters: the names of all keys of the longest table.
const MAX_SAID: usize = 500;

/// The longest line that is shown whole, in bytes.
const MAX_LINE: usize = 200;

/// A key and its value.
type Entry<'t, 'a> = (&'t Spanned<DeString<'a>>, &'t Spanned<DeValue<'a>>);

/// A parsed pipeline file.
#[derive(Debug)]
pub(super) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

/// What is wrong with a pipeline file or an argument, and where: one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    place: String,
    what: String,
    at: Option<Excerpt>,
}

/// A line of a file, and the part of it that is meant.
#[derive(Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    /// From 1.
    number: usize,
    /// In bytes of the line.
    part: Range<usize>,
}

impl Excerpt {
    /// The same up to the part that is meant.
    fn without_value(mut self) -> Self {
        if self.line.len() > self.part.end {
            self.line.truncate(self.part.end);
            self.line.push_str(" ...");
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", harmless(&self.place), without_secrets(&self.what))
    }
}

impl std::error::Error for Problem {}

/// Words that a line has where something in it may be a secret, whatever it was meant to be.
const SECRETS: &[&str] = &["webhook", "notify", "secret", "password", "passwd", "token", "access_key", "credential"];

/// A text without what whoever reads a log need not know, word by word.
fn without_secrets(text: &str) -> String {
    text.split_inclusive(is_end_of_word).map(masked).collect()
}

fn is_end_of_word(letter: char) -> bool {
    letter.is_whitespace() || "\"'`".contains(letter)
}

/// A value without what is before an `@` in it, which would be a user name and a password, and, unless it is an address on S3 or of a
/// folder, without what comes after a host, since that is what the secret of a webhook is: also where a scheme lacks a slash or is missing.
fn masked(value: &str) -> String {
    // JSON's way to write a slash.
    let value = value.replace("\\/", "/");
    let begin = value.find(":/").map(|colon| colon + 1).or_else(|| value.find("//")).unwrap_or_default();
    let slashes = value[begin..].len() - value[begin..].trim_start_matches('/').len();
    let (scheme, rest) = value.split_at(begin + if begin > 0 || slashes > 1 { slashes } else { 0 });
    let is_url = !scheme.is_empty();
    // The name of a role may have an @ in it.
    let user = rest.rfind('@').filter(|at| is_url || (rest[..*at].contains(':') && !rest.contains("arn:aws")));
    let (user, rest) = user.map_or(("", rest), |at| ("***", &rest[at..]));
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let is_host = is_url || rest[..host].trim_start_matches(is_end_of_word).trim_start_matches('.').contains('.');
    let is_lake = scheme.contains("s3") || scheme.ends_with("file:///");
    let has_path = !rest[host..].trim_end_matches(is_end_of_word).trim_start_matches('/').is_empty();
    if is_host && !is_lake && has_path {
        let end = rest.chars().next_back().filter(|last| is_end_of_word(*last)).map(String::from).unwrap_or_default();
        return [scheme, user, &rest[..=host], "***", &end].concat();
    }
    [scheme, user, rest].concat()
}

/// Whether a line may have a secret in it, so that it is not shown.
fn may_have_secret(line: &str) -> bool {
    let lower = line.to_lowercase();
    SECRETS.iter().any(|word| lower.contains(word)) || without_secrets(line) != line
}

impl Problem {
    /// A problem with an argument of the command line.
    pub(super) fn of_argument(argument: &str, what: &str) -> Self {
        Self { place: argument.to_owned(), what: printable(&without_secrets(what), MAX_SAID), at: None }
    }

    /// The same as compilers say it, with the line and a caret, if it is of a place that can be shown.
    pub(crate) fn shown(&self) -> Option<String> {
        let Excerpt { line, number, part } = self.at.as_ref()?;
        let caret = AnnotationKind::Primary.span(part.clone());
        let source = Snippet::source(line.as_str()).line_start(*number).annotation(caret);
        Some(Renderer::styled().render(&[Level::ERROR.primary_title(self.to_string()).element(source)]))
    }
}

impl<'a> Document<'a> {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// The text is not TOML.
    pub(super) fn parse(file: &'a str, text: &'a str) -> Result<Self, Problem> {
        let empty = Spanned::new(0..0, DeTable::new());
        let unread = Document { file, text, root: empty };
        let root = DeTable::parse(text).map_err(|error| unread.problem_of(&error))?;
        Ok(Document { root, ..unread })
    }

    /// Reads the whole document into a type.
    ///
    /// # Errors
    /// A value that the type does not allow.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(Deserializer::from(self.root.clone())).map_err(|error| self.problem_of(&error))
    }

    /// A value at the top of the document.
    pub(super) fn get(&self, key: &str) -> Option<&Spanned<DeValue<'a>>> {
        self.root.get_ref().get(key)
    }

    /// The keys of a table at the top of the document with their places, in the order of the file.
    pub(super) fn keys_of(&self, table: &str) -> Vec<(&str, Range<usize>)> {
        let Some(DeValue::Table(table)) = self.get(table).map(Spanned::get_ref) else { return Vec::new() };
        let mut keys: Vec<_> = table.keys().map(|key| (key.get_ref().as_ref(), key.span())).collect();
        keys.sort_unstable_by_key(|(_, span)| span.start);
        keys
    }

    /// A place, as `file, line N`.
    pub(super) fn place(&self, at: usize) -> String {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}, line {line}", self.file)
    }

    /// A problem with the whole file.
    pub(super) fn problem(&self, what: impl fmt::Display) -> Problem {
        Problem { place: self.file.to_owned(), what: what.to_string(), at: None }
    }

    /// A problem at a place, for a rule that more than one value is part of.
    pub(super) fn problem_at(&self, span: &Range<usize>, what: impl fmt::Display) -> Problem {
        Problem { place: self.place(span.start), what: what.to_string(), at: self.excerpt(span) }
    }

    /// The line of a place, unless it may have a secret in it or cannot be shown as it is.
    fn excerpt(&self, span: &Range<usize>) -> Option<Excerpt> {
        let before = self.text.get(..span.start)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(start..)?.lines().next().unwrap_or_default();
        // The end of a line is no part of it.
        let first = (span.start - start).min(line.len());
        let part = first..span.end.saturating_sub(start).clamp(first, line.len());
        // What a comment says is not what is wrong.
        let end = line.get(part.end..)?.find('#').map_or(line.len(), |comment| part.end + comment);
        let line = line[..end].trim_end();
        // Of a text that is no TOML nobody knows what is a value, so its line is shown only where it could be no address.
        let is_known = !self.root.get_ref().is_empty() || !line.contains(['/', '@', ':', '%', '\\']);
        let is_whole = is_known && !self.is_of_notify(span.start) && !may_have_secret(line);
        let is_shown = line.len() <= MAX_LINE && !line.chars().any(|letter| letter.is_control() && letter != '\t');
        (is_whole && is_shown && part.end <= line.len()).then(|| Excerpt {
            line: line.to_owned(),
            number: before.matches('\n').count() + 1,
            part,
        })
    }

    /// Whether a place is in the table with URLs that are secrets, also where the text is no TOML.
    fn is_of_notify(&self, at: usize) -> bool {
        let before = self.text.get(..at).unwrap_or_default();
        let header = before.lines().rev().find(|line| line.trim_start().starts_with('['));
        header.is_some_and(|header| header.to_lowercase().contains("notify"))
            || self
                .get("notify")
                .is_some_and(|value| value.span().contains(&at) || entry_within(value.get_ref(), at).is_some())
    }

    /// A value that is not allowed, named with its key.
    pub(super) fn not_allowed(&self, span: &Range<usize>, allowed: &str) -> Problem {
        self.problem_at(span, format!("{}: allowed is {allowed}", self.shown(span)))
    }

    /// What the parser says, with the key and the value that its message lacks.
    pub(super) fn problem_of(&self, error: &toml::de::Error) -> Problem {
        let what = printable(&without_secrets(&what_is_wrong(error.message())), MAX_SAID);
        match error.span() {
            // A key that is missing from the top of the file is missing from no line in particular.
            Some(span) if span != self.root.span() || span.start != 0 => {
                // The value of a key that nobody knows may be anything.
                let key = self.text.get(span.clone()).filter(|_| error.message().starts_with("unknown field"));
                let shown = key.map_or_else(|| self.shown(&span), |key| printable(key, MAX_SHOWN));
                let at =
                    self.excerpt(&span).map(|excerpt| if key.is_some() { excerpt.without_value() } else { excerpt });
                let what = if shown.is_empty() { what } else { format!("{shown}: {what}") };
                Problem { at, ..self.problem_at(&span, what) }
            }
            _ => self.problem(what),
        }
    }

    /// What is written at a place: `key = value`, or the beginning of the line if that is not an entry of a table. Where the value may be
    /// a secret, whatever was written there by mistake, it is the key alone.
    fn shown(&self, span: &Range<usize>) -> String {
        let Some((key, value)) = entry_at(self.root.get_ref(), span.start) else {
            return self.start_of_line(span.start);
        };
        let value_span = value.span();
        let is_within = value_span.contains(&span.start) && value_span != *span;
        let text = self.text.get(if is_within { span.clone() } else { value_span }).unwrap_or_default();
        // That of a table with a header is the header, which has the key in it.
        if value.span().start < key.span().end {
            return self.start_of_line(span.start);
        }
        let key = key.get_ref();
        let is_secret = self.is_of_notify(span.start) || SECRETS.iter().any(|word| key.to_lowercase().contains(word));
        // Before it is cut, since what tells a password from a host is behind it.
        let text = masked(&first_line(text));
        printable(&if is_secret { key.to_string() } else { format!("{key} = {text}") }, MAX_SHOWN)
    }

    /// The header or the key that a line begins with, as far as it is one.
    fn start_of_line(&self, at: usize) -> String {
        let start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let line = self.text.get(start..).unwrap_or_default().lines().next().unwrap_or_default().trim();
        let (name, is_name) = match line.split_once('=') {
            _ if line.starts_with('[') => (line.split('#').next().unwrap_or_default().trim_end(), true),
            Some((key, _)) => (key.trim_end(), true),
            None => ("", false),
        };
        let is_of_name = |letter: char| letter.is_alphanumeric() || "[]_-. \"'".contains(letter);
        if is_name && name.chars().all(is_of_name) { printable(name, MAX_SHOWN) } else { String::new() }
    }
}

/// The innermost entry of a table whose key or value a place is in.
fn entry_at<'t, 'a>(table: &'t DeTable<'a>, at: usize) -> Option<Entry<'t, 'a>> {
    table.iter().find_map(|(key, value)| {
        let is_here = key.span().contains(&at) || value.span().contains(&at);
        entry_within(value.get_ref(), at).or_else(|| is_here.then_some((key, value)))
    })
}

fn entry_within<'t, 'a>(value: &'t DeValue<'a>, at: usize) -> Option<Entry<'t, 'a>> {
    match value {
        DeValue::Table(table) => entry_at(table, at),
        DeValue::Array(array) => array.iter().find_map(|value| entry_within(value.get_ref(), at)),
        _ => None,
    }
}

/// A parser's message in our words. The value is shown as it is written, so what it was is not said twice.
fn what_is_wrong(message: &str) -> String {
    let is_of_value = ["invalid type: ", "invalid value: "].iter().any(|start| message.starts_with(start));
    match message.rsplit_once(", expected ") {
        Some((_, "a boolean")) if is_of_value => "allowed is true or false".to_owned(),
        Some((_, "a string")) if is_of_value => "allowed is text in quotes".to_owned(),
        Some((_, "a map")) if is_of_value => "allowed is a table".to_owned(),
        Some((_, "a sequence")) if is_of_value => "allowed are tables in two brackets each, [[...]]".to_owned(),
        Some((_, allowed)) if is_of_value => format!("allowed is {allowed}"),
        _ => message.to_owned(),
    }
}

fn first_line(text: &str) -> String {
    match text.split_once('\n') {
        Some((line, _)) => format!("{} ...", line.trim_end()),
        None => text.to_owned(),
    }
}

/// A text on one line, cut short, without what a terminal would obey.
fn printable(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for c in text.trim().chars().take(max) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            '\n' => shown.push(' '),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

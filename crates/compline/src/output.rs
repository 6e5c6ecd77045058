//! What commands say on stdout, in one look: documents that were asked for as they are, results for people in colours where a
//! terminal shows them, and nothing for people who want nothing.

use crate::failure::{Ending, Failure};
use crate::log;
use anstyle::{AnsiColor, Style};
use anyhow::Context;
use compline_report::is_unseen;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Good news, by a word or a mark.
const GOOD: &[&str] = &["OK", "committed", "succeeded", "✓"];

/// What waits for a person.
const WAITING: &[&str] = &["HELD", "TOO OLD", "problem", "problems", "out of date", "stale sources"];

/// What went wrong.
const BAD: &[&str] = &["FAILED", "✗"];

static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// The results that nobody wanted to see.
static UNSAID: Mutex<String> = Mutex::new(String::new());

/// From now on nothing is said but errors, the result of a command that ends with another code than 0, and what is asked for by its form:
/// JSON, SQL, a report.
pub(crate) fn be_quiet() {
    IS_QUIET.store(true, Relaxed);
}

/// Whether nothing is said but errors.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Relaxed)
}

/// Writes a document to stdout. That its reader has gone away, as `head` does, is no failure of ours.
pub(crate) fn document(text: &str) -> Result<(), Failure> {
    written(&mut std::io::stdout().lock(), text)
}

/// Writes a result for people to stdout.
pub(crate) fn result(text: &str) -> Result<(), Failure> {
    if is_quiet() {
        UNSAID.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        return Ok(());
    }
    // It takes the colours out where none are wanted: NO_COLOR, CLICOLOR_FORCE, TERM, a file.
    written(&mut anstream::stdout().lock(), &painted(&harmless(text)))
}

/// Says on stderr why the exit code is what it is, where the result has not been said: a day that is held, or a problem that was found, is
/// none of the log's errors.
pub(crate) fn say_unsaid(ending: Ending) {
    let unsaid = std::mem::take(&mut *UNSAID.lock().unwrap_or_else(PoisonError::into_inner));
    if ending == Ending::Done || unsaid.is_empty() || log::has_outcome() {
        return;
    }
    if log::is_json() {
        return log::warned(unsaid.trim_end());
    }
    // Where stderr is closed there is nobody to tell.
    let _ = anstream::stderr().lock().write_all(painted(&harmless(&unsaid)).as_bytes());
}

/// The same without what a terminal would obey, which names of files, of accounts and arguments may have in them: characters of control
/// and of direction are written as escapes.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let is_obeyed = |letter: char| is_unseen(letter) && !matches!(letter, '\n' | '\t');
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_obeyed(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown.into()
}

/// Writes what a command found out, which has changed nothing: as JSON if that is asked for, or for people.
pub(crate) fn show(json: bool, value: &impl Serialize, words: impl FnOnce() -> String) -> Result<(), Failure> {
    if json { document(&json_text(value)?) } else { result(&words()) }
}

/// Writes what a command has done, and logs it in one line for machines. Where it cannot be written, it is done all the same.
pub(crate) fn done(
    (command, ending): (&str, Ending),
    json: bool,
    value: &impl Serialize,
    words: impl FnOnce() -> String,
) {
    log::outcome(command, ending, value);
    warn_of(show(json, value, words));
}

/// Writes what was done as a document. Where that cannot be, it is done all the same.
pub(crate) fn done_document(text: &str) {
    warn_of(document(text));
}

/// Writes what was done in words. Where that cannot be, it is done all the same.
pub(crate) fn done_result(text: &str) {
    warn_of(result(text));
}

fn warn_of(written: Result<(), Failure>) {
    if let Err(failure) = written {
        log::warned(&format!("the command is done, but what it did is not printed: {failure}"));
    }
}

fn json_text(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).context("cannot write the result as JSON").map_err(Failure::Run)?;
    Ok(text + "\n")
}

fn written(stdout: &mut impl Write, text: &str) -> Result<(), Failure> {
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::run(anyhow::Error::new(error).context("cannot write to stdout")))
        }
        _ => Ok(()),
    }
}

/// The text with its words of state in colour. Here and nowhere else, so that each command says the same in the same colour.
fn painted(text: &str) -> String {
    let styles = [(GOOD, AnsiColor::Green), (WAITING, AnsiColor::Yellow), (BAD, AnsiColor::Red)];
    let mut painted = String::with_capacity(text.len());
    let mut rest = text;
    // What comes before `rest`.
    let mut last = None;
    while let Some(letter) = rest.chars().next() {
        let found = styles.iter().find_map(|(words, color)| {
            let word = words.iter().find(|word| is_word_at(rest, last, word))?;
            Some((*word, Style::new().bold().fg_color(Some((*color).into()))))
        });
        match found {
            Some((word, style)) => {
                painted.push_str(&format!("{style}{word}{style:#}"));
                last = word.chars().last();
                rest = &rest[word.len()..];
            }
            None => {
                painted.push(letter);
                last = Some(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    painted
}

/// Whether a text begins with a word that is not part of a longer one.
fn is_word_at(text: &str, before: Option<char>, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || "_-/.".contains(letter);
    let ends = |rest: &str| rest.chars().next().is_none_or(|letter| !is_part(letter));
    !before.is_some_and(is_part) && text.strip_prefix(word).is_some_and(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_as_an_escape_and_all_else_as_it_is() {
        assert_eq!(harmless("a\tb\n日本 é ✓"), "a\tb\n日本 é ✓");
        assert_eq!(harmless("\u{1b}[31m\r\u{7}\u{9b}\u{202e}x"), "\\u{1b}[31m\\u{d}\\u{7}\\u{9b}\\u{202e}x");
    }

    #[test]
    fn words_of_state_are_coloured_and_the_same_letters_in_a_name_are_not() {
        let plain = "org-FAILED  HELD  s3://b/OK/x FAILED, ✓ committed\n";
        let painted = painted(plain);
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
        assert_eq!(painted.matches("\u{1b}[1m").count(), 4, "{painted:?}");
        assert!(
            painted.starts_with("org-FAILED  \u{1b}[1m\u{1b}[33mHELD\u{1b}[0m  s3://b/OK/x \u{1b}[1m\u{1b}[31mFAILED")
        );
    }
}

//! Where the reading of a paged list stands. The SDK's own paginator is not used: it ends quietly when a token repeats.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How often a list is restarted after its token was refused: a list of 200 pages, each of whose tokens is lost once in 200
/// times, is then read whole in all but one of ten thousand runs.
pub(crate) const MAX_RESTARTS: u32 = 20;

/// The place in one paged list.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    /// The token of the page to ask for; nothing for the first.
    pub(crate) token: Option<String>,
    /// The number of the page to ask for, from 0.
    pub(crate) page: u32,
    /// How often the list was restarted.
    pub(crate) restarts: u32,
    /// Whether the last page has been read.
    pub(crate) finished: bool,
    /// Whether the page was asked for twice with a token that was refused the first time.
    asked_again: bool,
    /// Hashes of every token followed: 8 bytes a page, where tokens can be kilobytes.
    followed: HashSet<u64>,
}

/// The API gave a token that was followed before: going on would lose rows or never end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RepeatedToken;

/// The token was refused once too often.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedTooOften;

/// What to do about a token that was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Ask for the same page once more: a token that is taken then was good.
    AskAgain,
    /// Read from the first page: what was read so far may not fit what comes.
    Restart,
}

impl Paging {
    /// Goes on to the page that this answer's token names. An absent, null or empty token is the end; a blank is a token.
    pub(crate) fn answered(&mut self, next_token: Option<String>) -> Result<(), RepeatedToken> {
        self.page += 1;
        self.asked_again = false;
        self.token = next_token.filter(|token| !token.is_empty());
        let Some(token) = &self.token else {
            self.finished = true;
            return Ok(());
        };
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        if self.followed.insert(hasher.finish()) { Ok(()) } else { Err(RepeatedToken) }
    }

    /// The token was refused.
    pub(crate) fn refused(&mut self) -> Result<Refused, RefusedTooOften> {
        if !self.asked_again {
            self.asked_again = true;
            return Ok(Refused::AskAgain);
        }
        if self.restarts == MAX_RESTARTS {
            return Err(RefusedTooOften);
        }
        *self = Self { restarts: self.restarts + 1, ..Self::default() };
        Ok(Refused::Restart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(token: &str) -> Option<String> {
        Some(token.to_owned())
    }

    #[test]
    fn b01_only_an_absent_or_empty_token_is_the_end() {
        for (token, finished) in [(None, true), (text(""), true), (text(" "), false), (text("A"), false)] {
            let mut paging = Paging::default();
            assert_eq!(paging.answered(token.clone()), Ok(()));
            assert_eq!(paging.finished, finished, "{token:?}");
        }
    }

    #[test]
    fn b02_a_repeated_token_and_a_longer_cycle_are_errors() {
        let mut paging = Paging::default();
        for token in ["A", "B", "C"] {
            assert_eq!(paging.answered(text(token)), Ok(()));
        }
        assert_eq!(paging.answered(text("A")), Err(RepeatedToken));
    }

    #[test]
    fn b04_a_refused_token_is_asked_with_once_more_then_starts_again_twenty_times_and_then_gives_up() {
        let mut paging = Paging::default();
        for restart in 1..=MAX_RESTARTS {
            assert_eq!(paging.answered(text("A")), Ok(()));
            assert_eq!(paging.refused(), Ok(Refused::AskAgain));
            assert_eq!((paging.page, paging.token.as_deref()), (1, Some("A")));
            assert_eq!(paging.refused(), Ok(Refused::Restart));
            assert_eq!((paging.page, paging.restarts, paging.token.as_deref()), (0, restart, None));
        }
        assert_eq!(paging.answered(text("A")), Ok(()));
        assert_eq!(paging.refused(), Ok(Refused::AskAgain));
        assert_eq!(paging.refused(), Err(RefusedTooOften));
    }

    #[test]
    fn b04_a_token_that_is_taken_the_second_time_goes_on_where_it_was() {
        let mut paging = Paging::default();
        for (page, token) in [(1, "A"), (2, "B"), (3, "C")] {
            assert_eq!(paging.answered(text(token)), Ok(()));
            assert_eq!(paging.refused(), Ok(Refused::AskAgain));
            assert_eq!((paging.page, paging.restarts, paging.token.as_deref()), (page, 0, Some(token)));
        }
    }
}

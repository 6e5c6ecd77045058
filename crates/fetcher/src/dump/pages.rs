//! Whether the pages of files are whole lists.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What files are that are read together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FilesAre {
    /// Each is whole by itself: such as one for each account or region.
    #[default]
    Whole,
    /// All of them together are the pages of one list, in any order.
    PagesOfOneList,
}

/// The pages of a file, in order: a hash of the token of each, 8 bytes where tokens can be kilobytes. Nothing for a last page.
#[derive(Debug, Default)]
pub(super) struct Pages(Vec<Option<u64>>);

impl Pages {
    /// Adds a page with its `NextToken`. An absent or empty token is that of a last page.
    pub(super) fn push(&mut self, token: Option<String>) {
        self.0.push(token.filter(|token| !token.is_empty()).map(|token| {
            let mut hasher = DefaultHasher::new();
            token.hash(&mut hasher);
            hasher.finish()
        }));
    }

    /// Why they are not whole by themselves, if they are not.
    pub(super) fn lack(&self) -> Option<&'static str> {
        let last_pages = self.0.iter().filter(|token| token.is_none()).count();
        match self.0.last() {
            Some(Some(_)) => Some(
                "its last page names a next one, so rows would be missing: list everything, without --max-items and \
                 --no-paginate, or give all files of one list with --pages",
            ),
            // One of the lists could be cut, and another taken for its end.
            Some(None) if last_pages > 1 && last_pages < self.0.len() => {
                Some("it has several lists, and some of them have more than one page: give each list a file of its own")
            }
            _ => None,
        }
    }
}

/// The pages of one list in several files.
#[derive(Debug, Default)]
pub(super) struct OneList {
    /// The file of the last page.
    end: Option<String>,
    /// The file of each page that names a next one.
    tokens: HashMap<u64, String>,
    last_file: Option<String>,
}

impl OneList {
    /// Adds the pages of a file.
    ///
    /// # Errors
    /// Why they cannot be of the same list as those before.
    pub(super) fn add(&mut self, file: &str, pages: &Pages) -> Result<(), String> {
        self.last_file = Some(file.to_owned());
        for token in &pages.0 {
            let before = match token {
                Some(token) => self.tokens.insert(*token, file.to_owned()).map(|before| {
                    format!("it names the same next page as {before} does: the same page is there twice, and another may be missing")
                }),
                None => self.end.replace(file.to_owned()).map(|before| {
                    format!("it is a last page, and so is {before}: these are several lists; import whole lists without --pages")
                }),
            };
            before.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// The last file, if the last page of the list was in none.
    pub(super) fn without_end(&self) -> Option<&str> {
        if self.end.is_some() { None } else { self.last_file.as_deref() }
    }
}

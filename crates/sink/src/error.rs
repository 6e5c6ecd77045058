//! What went wrong with the lake.

use std::fmt;

/// What an error says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkErrorKind {
    /// It may work later.
    Transient,
    /// It will not work until something is changed.
    Permanent,
    /// A file is not whole, or not what it must be: it will not be until it is restored.
    Damaged,
    /// A file is sound and another's, whose place it is not in: it may be the only one that has its rows.
    Misplaced,
}

/// A step on the lake that failed: what was being done, to what, why, and what to do about it.
#[derive(Debug)]
pub struct SinkError {
    /// Whether to try again later.
    pub kind: SinkErrorKind,
    doing: String,
    reason: String,
    hint: Option<String>,
}

impl SinkError {
    pub(crate) fn new(kind: SinkErrorKind, doing: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { kind, doing: doing.into(), reason: reason.to_string(), hint: None }
    }

    pub(crate) fn permanent(doing: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::new(SinkErrorKind::Permanent, doing, reason)
    }

    pub(crate) fn damaged(doing: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::new(SinkErrorKind::Damaged, doing, plain(&reason.to_string()))
    }

    /// What was being done, to what, and why it failed, without what to do about it.
    pub fn what(&self) -> String {
        format!("cannot {}: {}", self.doing, self.reason)
    }

    /// Whether a file is not whole, or not what it must be.
    pub fn is_damage(&self) -> bool {
        matches!(self.kind, SinkErrorKind::Damaged | SinkErrorKind::Misplaced)
    }

    /// A file of a version of the tables that this program does not know.
    pub(crate) fn of_newer(key: &str, version: u32) -> Self {
        let known = compline_model::SCHEMA_VERSION;
        let reason =
            format!("a newer compline wrote it: its tables are of version {version}, and this one knows {known}");
        let hint = "use that newer version";
        Self::permanent(format!("read {key}"), reason).hint(Some(hint.to_owned()))
    }

    /// The same with another hint of what to do about it, or with none.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same with something that is known beside it.
    #[must_use]
    pub(crate) fn and_known(mut self, fact: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| fact.to_owned(), |hint| format!("{hint} ({fact})")));
        self
    }
}

/// What a library says of a file, without the names of its errors in front.
pub(crate) fn plain(mut reason: &str) -> &str {
    const NAMES: [&str; 5] =
        ["External: ", "Arrow: ", "Parquet error: ", "Parquet argument error: ", "External error: "];
    while let Some(rest) = NAMES.iter().find_map(|name| reason.strip_prefix(name)) {
        reason = rest;
    }
    reason
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.reason)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for SinkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_library_says_of_a_file_is_said_without_the_names_of_its_errors() {
        let reason = "External: Parquet argument error: External: Destination buffer is too small";
        let error = SinkError::damaged("read x", reason);
        assert_eq!(error.to_string(), "cannot read x: Destination buffer is too small");
    }
}

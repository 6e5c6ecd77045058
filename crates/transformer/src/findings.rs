//! What the checks found: counts, and the first few by name.

/// How many findings of a kind are named; the rest is counted.
const NAMED: usize = 20;

/// Findings of one kind: how many, and the first of them in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// All of them.
    pub count: u64,
    /// The first 20.
    pub first: Vec<String>,
}

impl Named {
    pub(crate) fn add(&mut self, words: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(words());
        }
    }
}

/// What the checks of one aggregator's day found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Rows dropped because an equal one was there.
    pub duplicates: u64,
    /// Rows dropped because a later answer for the same pack differs.
    pub conflicts: Named,
    /// Rows that contradict themselves and are kept as AWS Config said them.
    pub warnings: Named,
}

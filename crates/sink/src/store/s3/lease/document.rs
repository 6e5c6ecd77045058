//! What a lease's object says.

use crate::SinkError;
use crate::store::Holder;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::RunId;
use serde::{Deserialize, Serialize};

/// A lease's object. It says who holds it and when it was last renewed by counting, so that no two versions are alike; no time
/// in it means anything to another machine. One that an older compline wrote has more fields, and lacks those with a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(flatten)]
    pub(super) holder: Holder,
    /// Of this acquisition alone: a run that acquires a lease twice has two.
    #[serde(default)]
    acquisition: String,
    /// How often it was renewed.
    #[serde(default)]
    renewals: u64,
    /// Whether it is a tombstone, and anybody may acquire it.
    #[serde(default)]
    pub(super) released: bool,
}

impl Document {
    pub(super) fn new(holder: &Holder) -> Self {
        let acquisition = RunId::new(Utc::now()).to_string();
        Self { holder: holder.clone(), acquisition, renewals: 0, released: false }
    }

    /// Any object is a lease: one that is damaged, empty or of somebody else is taken over like that of a killed run.
    pub(super) fn read(body: &[u8], modified: DateTime<Utc>) -> Self {
        let unknown =
            || Self { holder: Holder::unknown(modified), acquisition: String::new(), renewals: 0, released: false };
        serde_json::from_slice(body).unwrap_or_else(|_| unknown())
    }

    pub(super) fn to_json(&self) -> Result<Bytes, SinkError> {
        serde_json::to_vec_pretty(self).map(Bytes::from).map_err(|error| SinkError::permanent("write a lease", error))
    }

    /// The document that renews this one, or releases it.
    pub(super) fn next(&self, released: bool) -> Self {
        Self { renewals: self.renewals.saturating_add(1), released, ..self.clone() }
    }

    /// Whether this is of the same acquisition, however often renewed.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.acquisition == other.acquisition && !self.acquisition.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::{edited, edits_of_json, ends};
    use proptest::prelude::*;

    const PIECES: &[&str] = &["é", "\u{1b}[31m"];

    proptest! {
        #[test]
        fn fuzz_any_object_is_a_lease_that_can_be_shown_renewed_and_read_again(edits in edits_of_json(PIECES)) {
            let holder = Holder::here("01900000-0000-7000-8000-000000000000", "run", DateTime::UNIX_EPOCH);
            let own = Document::new(&holder);
            let body = edited(&own.to_json().expect("JSON"), &edits);
            let read = ends(|| Document::read(&body, DateTime::UNIX_EPOCH))?;
            prop_assert!(!read.holder.to_string().contains(char::is_control), "{:?}", read.holder);
            for released in [true, false] {
                let next = read.next(released);
                prop_assert_eq!(next.released, released);
                prop_assert_eq!(Document::read(&next.to_json().expect("JSON"), DateTime::UNIX_EPOCH), next);
            }
            prop_assert!(!Document::read(b"", DateTime::UNIX_EPOCH).is_of(&read), "nobody's lease is nobody's own");
        }
    }
}

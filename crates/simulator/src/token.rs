//! Page tokens: opaque, good for one query on one day, and refused when they were not made here.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What a token belongs to, as one number.
pub(crate) fn fingerprint(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The token of the page that starts at an offset. `round` tells tokens for the same offset apart, as after an empty page.
pub(crate) fn make(fingerprint: u64, offset: usize, round: u64) -> String {
    let seal = fingerprint_of(fingerprint, offset, round);
    format!("{seal:016x}{:016x}{:016x}", offset as u64 ^ seal.rotate_left(17), round ^ seal.rotate_left(41))
}

/// The offset and round of a token, if it belongs to the fingerprint.
pub(crate) fn open(fingerprint: u64, token: &str) -> Option<(usize, u64)> {
    if token.len() != 48 || !token.is_ascii() {
        return None;
    }
    let part = |index: usize| u64::from_str_radix(&token[index * 16..][..16], 16).ok();
    let (seal, offset, round) = (part(0)?, part(1)?, part(2)?);
    let (offset, round) = (usize::try_from(offset ^ seal.rotate_left(17)).ok()?, round ^ seal.rotate_left(41));
    (fingerprint_of(fingerprint, offset, round) == seal).then_some((offset, round))
}

fn fingerprint_of(fingerprint: u64, offset: usize, round: u64) -> u64 {
    self::fingerprint(&(fingerprint, offset, round))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_for_its_own_query_only_and_rubbish_never_does() {
        let token = make(7, 300, 2);
        assert_eq!(open(7, &token), Some((300, 2)));
        assert_eq!(open(8, &token), None);
        for bad in ["", " ", "A", &token[1..], &token.replace(|c: char| c.is_ascii_digit(), "z"), &"é".repeat(24)] {
            assert_eq!(open(7, bad), None, "{bad:?}");
        }
    }
}

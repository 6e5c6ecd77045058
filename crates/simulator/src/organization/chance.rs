//! Pseudo-random numbers that depend on their parts alone.

/// A number that is always the same for the same parts (the mixing steps of SplitMix64, which are the same on every machine).
pub(super) fn chance(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |number, part| with_part(number, *part))
}

/// [`chance`] of one more part than `number` was made of.
pub(super) fn with_part(number: u64, part: u64) -> u64 {
    let mut mixed = number ^ part.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// So many of `[a-z0-9]`.
pub(super) fn letters<const COUNT: usize>(parts: &[u64]) -> [char; COUNT] {
    let mut number = chance(parts);
    std::array::from_fn(|_| {
        let letter = char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[(number % 36) as usize]);
        number /= 36;
        letter
    })
}

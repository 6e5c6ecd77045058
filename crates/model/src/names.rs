//! Names that AWS or the operator gives, each checked once.

use compact_str::CompactString;
use std::fmt;
use std::str::FromStr;

/// A text that is not a valid name: what it was meant to be, what it was, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {what}: allowed is {allowed}")]
pub struct InvalidName {
    /// What the text was meant to be, with its article.
    pub what: &'static str,
    /// The text, cut to 80 characters.
    pub value: String,
    /// What is allowed, in words.
    pub allowed: &'static str,
}

/// Defines a validated text type: its doc, what to call it in an error, what is allowed in words, and the check.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(CompactString);

        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    return Ok(Self(text.into()));
                }
                Err(InvalidName { what: $what, value: text.chars().take(80).collect(), allowed: $allowed })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// An AWS account: 12 digits, leading zeros included. Always text, never a number.
    AccountId, "an account id", "12 digits, in quotes so that leading zeros stay",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

name! {
    /// An AWS region such as `eu-west-1`, `us-gov-west-1` or `cn-north-1`. Only its form is checked: new regions appear.
    Region, "an AWS region", "a name such as eu-west-1", region_form
}

name! {
    /// A conformance pack's full name: 1 to 256 of `[a-zA-Z][-a-zA-Z0-9]*` (the Config service model).
    PackName, "a conformance pack name", "a letter, then letters, digits and '-', at most 256",
    |text| {
        matches!(text.len(), 1..=256)
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }
}

name! {
    /// A Config rule's full name: 1 to 128 characters, not blank alone (the Config service model: `.*\S.*`).
    ConfigRuleName, "a Config rule name", "1 to 128 characters in one line, not spaces alone",
    |text| {
        let ends_line = |letter: char| matches!(letter, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        matches!(text.chars().count(), 1..=128) && !text.trim().is_empty() && !text.contains(ends_line)
    }
}

name! {
    /// The partition value of an aggregator, given in the pipeline file: `[a-z0-9][a-z0-9_-]*`, at most 64, so that
    /// it needs no escaping in a path, a key or a query.
    AggregatorId, "an aggregator id", "a-z, 0-9, '_' and '-', starting with a letter or digit, at most 64",
    |text| {
        matches!(text.len(), 1..=64)
            && !text.starts_with(['_', '-'])
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    }
}

name! {
    /// The name of a configuration aggregator in AWS: 1 to 256 of `[\w\-]` (the Config service model).
    AggregatorName, "an aggregator name", "letters, digits, '_' and '-', at most 256",
    |text| {
        matches!(text.len(), 1..=256)
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }
}

/// Two to four letters, one or more words, a number: `eu-west-1`, `us-gov-east-1`, `ap-southeast-12`.
fn region_form(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    text.len() <= 64
        && words.len() >= 2
        && matches!(words[0].len(), 2..=4)
        && words.iter().all(word)
        && matches!(number.len(), 1..=2)
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b19_an_account_id_keeps_its_leading_zeros_and_is_never_a_number() {
        for good in ["000000000001", "012345678910"] {
            assert_eq!(good.parse::<AccountId>().map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for bad in ["1", "12345678910", "0123456789101", "01234567891a", " 12345678910", "١٢٣٤٥٦٧٨٩٠١٢", ""]
        {
            assert!(bad.parse::<AccountId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_region_has_the_form_of_a_region_in_every_aws_partition() {
        for good in ["eu-west-1", "us-gov-west-1", "cn-north-1", "ap-southeast-12", "us-iso-east-1", "mx-central-1"] {
            assert!(good.parse::<Region>().is_ok(), "{good:?}");
        }
        for bad in ["", "eu-west", "EU-WEST-1", "eu_west_1", "eu-west-1 ", "eu-west-1a", "-west-1", "eu--1", "eu-1"] {
            assert!(bad.parse::<Region>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn b28_an_aggregator_id_is_safe_in_a_path_a_key_and_a_query() {
        for good in ["org", "org-1", "0_a"] {
            assert!(good.parse::<AggregatorId>().is_ok(), "{good:?}");
        }
        for bad in
            ["a/b", "a=b", "50%41", "100%", " a", "é😀", "cafe\u{301}", "..", "a:b", "x+y", "", "-a", "_a", "Org"]
        {
            assert!(bad.parse::<AggregatorId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_shows_the_value_cut_short_and_what_is_allowed() {
        let error = "x".repeat(5_000).parse::<AccountId>().expect_err("too long");
        assert_eq!(error.value.len(), 80);
        assert!(error.to_string().contains("12 digits"));
    }
}

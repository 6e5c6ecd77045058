//! Dealing the aggregators of a pipeline to several runs at once, which share nothing but the lake.

use compline_model::AggregatorId;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Which of several runs this is: `INDEX/COUNT`, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deal {
    index: u32,
    count: u32,
}

/// More runs at once than anybody has aggregators.
const MAX_COUNT: u32 = 1000;

impl Deal {
    /// How many runs there are.
    pub(crate) fn count(self) -> u32 {
        self.count
    }

    /// Whether an aggregator falls to this run: a matter of its id and of how many runs there are alone, so that each falls to
    /// one, whichever other aggregators the file has.
    pub(crate) fn has(self, id: &AggregatorId) -> bool {
        let hash = Sha256::digest(id.as_str());
        let number = hash.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        number % u64::from(self.count) == u64::from(self.index)
    }
}

impl fmt::Display for Deal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Deal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count && count <= MAX_COUNT => Ok(Self { index, count }),
            _ => Err(format!(
                "allowed is INDEX/COUNT with INDEX from 0 to COUNT - 1 and COUNT up to {MAX_COUNT}, as in 0/4"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deal(text: &str) -> Deal {
        text.parse().expect("a deal")
    }

    proptest! {
        #[test]
        fn each_aggregator_falls_to_one_of_the_runs(id in "[a-z][a-z0-9-]{0,20}", count in 1_u32..=MAX_COUNT) {
            let id: AggregatorId = id.parse().expect("an id");
            let of = (0..count).filter(|index| deal(&format!("{index}/{count}")).has(&id)).count();
            prop_assert_eq!(of, 1);
        }
    }

    #[test]
    fn which_run_an_aggregator_falls_to_stays_the_same_in_every_version() {
        let of = |id: &str| (0..4).find(|index| deal(&format!("{index}/4")).has(&id.parse().expect("an id")));
        assert_eq!(["org", "security", "gov", "emea"].map(of), [Some(1), Some(3), Some(2), Some(3)]);
    }

    #[test]
    fn what_is_no_deal_is_refused_with_what_one_is() {
        for wrong in ["", "1", "4/4", "0/0", "-1/4", "1/1001", "a/b", "0/4/2", " 0/4"] {
            let error = wrong.parse::<Deal>().expect_err("an error");
            assert!(error.contains("as in 0/4"), "{wrong}");
        }
        assert_eq!(deal("3/4").to_string(), "3/4");
    }
}

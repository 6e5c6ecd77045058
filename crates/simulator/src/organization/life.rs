//! The life of one pack in one account and region, day by day.

use super::chance::{chance, with_part};

/// What a pack is on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackState {
    pub(crate) kind: Kind,
    pub(crate) compliant: u16,
    pub(crate) non_compliant: u16,
    pub(crate) total: u16,
    /// Which re-creation of the pack this is: each gives an organization pack's name another ending.
    pub(crate) recreation: u32,
}

/// A compliance type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Compliant,
    NonCompliant,
    InsufficientData,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Compliant, Self::NonCompliant, Self::InsufficientData];
}

/// Which pack, where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) seed: u64,
    pub(super) account: u64,
    pub(super) region: u64,
    pub(super) pack: u64,
}

/// How many rules a pack has, wherever it is deployed.
pub(super) fn rules_in_pack(seed: u64, pack: u64) -> u16 {
    4 + (chance(&[seed, 13, pack]) % 37) as u16
}

impl Life {
    /// A number of this pack in its account and region, for a purpose and a round.
    pub(super) fn number(self, purpose: u64, round: u64) -> u64 {
        chance(&[self.seed, purpose, self.account, self.region, self.pack, round])
    }

    /// The round of a cycle that a day is in, and the day of that round. Each pack begins its rounds on other days.
    fn round(self, purpose: u64, cycle: u64, day: u64) -> (u64, u64) {
        let shifted = day + self.number(purpose, 0) % cycle;
        (shifted / cycle, shifted % cycle)
    }

    /// The state on a day, counted from 1970; nothing while the pack is not deployed.
    pub(super) fn on(self, day: u64) -> Option<PackState> {
        let (round, day_of_round) = self.removal_round(day);
        if self.removals()(round) && day_of_round < 3 + self.number(12, round) % 20 {
            return None;
        }
        let kind = self.kind(day);
        let total = rules_in_pack(self.seed, self.pack);
        let (compliant, non_compliant) = self.counts(kind, total, day);
        // One in fifty is re-created every 70 days.
        let (round, _) = self.round(14, 70, day);
        let recreation = if self.number(15, 0).is_multiple_of(50) { round as u32 } else { 0 };
        Some(PackState { kind, compliant, non_compliant, total, recreation })
    }

    /// The last round, up to that of a day, in which the pack was removed.
    pub(super) fn last_removal(self, day: u64) -> Option<u64> {
        let is_removed = self.removals();
        (0..=self.removal_round(day).0).rev().find(|round| is_removed(*round))
    }

    /// The round of 60 days that a day is in, and the day of that round; a pack is removed once in a round at most.
    fn removal_round(self, day: u64) -> (u64, u64) {
        self.round(10, 60, day)
    }

    /// Whether the pack is removed in a round, as in three of a hundred: it is missing on the round's first days, and then comes back.
    fn removals(self) -> impl Fn(u64) -> bool {
        let number = chance(&[self.seed, 11, self.account, self.region, self.pack]);
        move |round| with_part(number, round) % 100 < 3
    }

    pub(super) fn kind(self, day: u64) -> Kind {
        let (round, day_of_round) = self.round(20, 40, day);
        // Eight in a hundred rounds have some days on which the pack was not evaluated.
        if self.number(21, round) % 100 < 8 && day_of_round < 2 + self.number(22, round) % 5 {
            return Kind::InsufficientData;
        }
        // Some packs are never fixed; the share differs by pack, so that some packs look worse than others.
        let hard = 4 + chance(&[self.seed, 23, self.pack]) % 10;
        let open = self.number(24, 0) % 100 < hard || self.regressed(day) || self.in_incident(day);
        if open { Kind::NonCompliant } else { Kind::Compliant }
    }

    /// One pack in three regresses in a round of 40 to 70 days, and is fixed after 1 to 25.
    fn regressed(self, day: u64) -> bool {
        let cycle = 40 + self.number(30, 0) % 31;
        let (round, day_of_round) = self.round(31, cycle, day);
        self.number(32, round).is_multiple_of(3) && day_of_round < 1 + self.number(33, round) % 25
    }

    /// Every 21 days something goes wrong for one pack in one region in many accounts at once, and is fixed within days.
    fn in_incident(self, day: u64) -> bool {
        let (round, day_of_round) = (day / 21, day % 21);
        let hit = |purpose: u64, of: u64, mine: u64| chance(&[self.seed, purpose, round]) % of == mine % of;
        let starts = chance(&[self.seed, 40, round]) % 10;
        let here = hit(41, 4, self.region) && hit(42, 5, self.pack) && self.number(43, round).is_multiple_of(4);
        here && day_of_round >= starts && day_of_round < starts + 3 + self.number(44, round) % 6
    }

    fn counts(self, kind: Kind, total: u16, day: u64) -> (u16, u16) {
        let unknown = (self.number(50, day / 30) % 3) as u16;
        match kind {
            Kind::InsufficientData => (0, 0),
            Kind::Compliant => (total - unknown, 0),
            Kind::NonCompliant => {
                let failing = 1 + (self.number(51, day / 9) % u64::from(total - unknown)) as u16 / 3;
                (total - unknown - failing, failing)
            }
        }
    }
}

//! What happens on a night, drawn from a number.

use crate::facts::{Packs, packs};
use crate::step::{Broken, Fault, File};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// How many packs an aggregator has: always about as many, so that nights are of one size.
const PACKS: u8 = 24;

/// How often each kind of night comes among so many, in an order that is drawn.
const DECK: [(Kind, usize); 8] = [
    (Kind::Quiet, 13),
    (Kind::Broken, 1),
    (Kind::LeftBroken, 1),
    (Kind::SourceBroken, 1),
    (Kind::Missed, 1),
    (Kind::Gap, 1),
    (Kind::Again, 1),
    (Kind::Lost, 1),
];

/// The run of a pipeline file on a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Night {
    pub(super) file: File,
    pub(super) date: NaiveDate,
    pub(super) kind: Kind,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Quiet,
    /// A call to S3 fails or the run is killed at it, and it is run again.
    Broken,
    /// The same, and nobody runs it again.
    LeftBroken,
    /// AWS Config answers with errors, and it is run again.
    SourceBroken,
    /// Nobody runs it.
    Missed,
    /// Nobody runs it, and it is imported some nights later.
    Gap,
    /// It is run twice, and the second time AWS Config says something else.
    Again,
    /// Much is gone, so that it is held.
    Lost,
}

impl Kind {
    /// Every kind.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        DECK.into_iter().map(|(kind, _)| kind)
    }
}

/// Numbers from a seed (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number from 0 and below another.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// The first and the last nights are quiet: one is held against the golden lake, and after the other nothing is put off.
    pub(super) fn kind(&mut self, deck: &mut Vec<Kind>, number: u32, nights: u32) -> Kind {
        if number < 2 || number + 5 > nights {
            return Kind::Quiet;
        }
        if deck.is_empty() {
            deck.extend(DECK.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count)));
        }
        deck.swap_remove(self.below(deck.len() as u64) as usize)
    }

    pub(super) fn fault(&mut self, kind: Kind) -> Fault {
        if kind == Kind::SourceBroken {
            return Fault::Source;
        }
        let broken = [Broken::Refused, Broken::AnswerLost, Broken::KilledBefore, Broken::KilledAfter];
        let broken = broken[self.below(4) as usize];
        Fault::Call(self.below(30) as u8 + 1, broken)
    }
}

/// The packs of an aggregator as they are now.
#[derive(Debug, Clone)]
pub(super) struct Organization(BTreeMap<u8, u8>);

impl Default for Organization {
    fn default() -> Self {
        Self((0..PACKS).map(|pack| (pack, pack % 3)).collect())
    }
}

impl Organization {
    /// A day goes by: some packs change, and now and then one goes or comes.
    pub(super) fn live(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            let (pack, kind) = (random.below(PACKS.into()) as u8, random.below(4) as u8);
            self.0.entry(pack).and_modify(|now| *now = kind);
        }
        let pack = random.below(PACKS.into()) as u8;
        match random.below(10) {
            0 if self.0.len() + 2 > usize::from(PACKS) => drop(self.0.remove(&pack)),
            0..5 => drop(self.0.entry(pack).or_insert(0)),
            _ => {}
        }
    }

    /// Loses a third of its packs.
    pub(super) fn lose(&mut self) {
        let mut number = 0;
        self.0.retain(|_, _| {
            number += 1;
            number % 3 != 0
        });
    }

    pub(super) fn packs(&self) -> Packs {
        packs(&self.0.iter().map(|(pack, kind)| (*pack, *kind)).collect::<Vec<_>>())
    }
}

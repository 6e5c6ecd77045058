//! A year of nights of a small organization in made-up time: everything that happens in the years around a bad night, on one lake.
//!
//! It begins as the golden lake of the first version of the tables, and goes on from there by two pipeline files. Nights fail on both
//! sides, are killed, run again, missed, filled in, held, accepted and rejected; each month is compacted, and what is old is dropped. Each
//! night is held against the model, and at the end everything: a reader's view, `verify`, the recompute, and what a night costs. With
//! `COMPLINE_SOAK_LAKE` the lake is left in that folder, for `tests/readers/test_soak.py`.
//!
//! ```sh
//! cargo test --workspace --test model a_lake_of_many                              # 30 nights
//! COMPLINE_SOAK_NIGHTS=365 cargo test --workspace --test model a_lake_of_many -- --nocapture
//! COMPLINE_SOAK_SEED=17 cargo test ...                                            # other nights
//! COMPLINE_SOAK_OLDER=/path/of/an/older/compline cargo test ...                   # which has the first quarter, before an upgrade
//! ```

mod cost;
mod golden;
mod night;

use crate::dataset::Dataset;
use crate::lake::{Seen, files};
use crate::operate::commit::{self, Outcome};
use crate::step::{Compact, Fault, File, Place, Who};
use crate::watch::{Excuse, observe, wrongs};
use crate::world::{Ended, World, binary};
use chrono::{Datelike, Days, NaiveDate};
use cost::Costs;
use night::{Kind, Night, Organization, Random};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many nights there are unless `COMPLINE_SOAK_NIGHTS` says so.
const NIGHTS: u32 = 30;

/// A pack that is gone is forgotten after 400 days, which the model does not know.
const MAX_NIGHTS: u32 = 390;

/// Which nights there are unless `COMPLINE_SOAK_SEED` says so.
const SEED: u64 = 1;

/// The program that works until the upgrade, if there is to be one: `COMPLINE_SOAK_OLDER`.
const OLDER: &str = "COMPLINE_SOAK_OLDER";

/// The second pipeline file runs each so many nights.
const SECOND_EVERY: u32 = 3;

/// How much longer a command may take for each night.
const NIGHT_BOUND: Duration = Duration::from_secs(2);

/// How many nights later a gap is filled, and a day that is held is decided on.
const LATER: u64 = 3;

#[test]
fn a_lake_of_many_nights_is_what_its_model_says_and_a_night_costs_what_it_did() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let nights = number("COMPLINE_SOAK_NIGHTS").map_or(NIGHTS, |nights| u32::try_from(nights).unwrap_or(u32::MAX));
    let seed = number("COMPLINE_SOAK_SEED").unwrap_or(SEED);
    assert!((30..=MAX_NIGHTS).contains(&nights), "COMPLINE_SOAK_NIGHTS is 30 to {MAX_NIGHTS}");
    eprintln!("COMPLINE_SOAK_SEED={seed} COMPLINE_SOAK_NIGHTS={nights}");
    let started = Instant::now();
    let mut soak = Soak::begin(nights, seed);
    let passed = soak.nights().and_then(|()| soak.end());
    if let Some(folder) = std::env::var_os("COMPLINE_SOAK_LAKE") {
        soak.leave(Path::new(&folder));
    }
    let world = &soak.world;
    if let Err(error) = passed {
        let short = |line: &str| line.chars().take(600).collect::<String>();
        let mut last: Vec<String> = world.log.lines().rev().take(40).map(short).collect();
        last.reverse();
        panic!(
            "COMPLINE_SOAK_SEED={seed} COMPLINE_SOAK_NIGHTS={nights}: {error}\nwhat was done last:\n{}",
            last.join("\n")
        );
    }
    eprintln!("{nights} nights in {:.0?}: {:?}\n{}", started.elapsed(), soak.done, soak.costs);
}

/// A lake on its way through the nights.
struct Soak {
    world: World,
    seen: Seen,
    random: Random,
    deck: Vec<Kind>,
    organizations: BTreeMap<&'static str, Organization>,
    nights: u32,
    first: NaiveDate,
    /// What was put off, by the day on which it is done.
    later: BTreeMap<NaiveDate, Vec<Night>>,
    costs: Costs,
    /// How many nights there were of each kind.
    done: BTreeMap<Kind, u32>,
}

/// A date as text, for as long as the test runs.
fn text(date: NaiveDate) -> &'static str {
    date.to_string().leak()
}

impl Soak {
    fn begin(nights: u32, seed: u64) -> Self {
        let mut world = World::new(Place::S3, Dataset::Packs, None);
        // The last night is the last day of the golden lakes, which is long over by any clock.
        let last = golden::put(&mut world, nights);
        world.settings.compact = Compact::Snapshots;
        // A dev build verifies some two days a second.
        world.bound += NIGHT_BOUND * nights;
        if let Some(older) = std::env::var_os(OLDER) {
            world.program = older.into();
        }
        let organization = |id| (id, Organization::default());
        let seen = world.see();
        Self {
            seen,
            world,
            random: Random(seed),
            deck: Vec::new(),
            organizations: ["org", "two", "gov"].map(organization).into(),
            nights,
            first: last + Days::new(1),
            later: BTreeMap::new(),
            costs: Costs::default(),
            done: BTreeMap::new(),
        }
    }

    fn nights(&mut self) -> Result<(), String> {
        for number in 0..self.nights {
            if number == self.upgrade() {
                self.world.program = binary();
            }
            let date = self.first + Days::new(number.into());
            for night in self.later.remove(&date).unwrap_or_default() {
                self.late(&night)?;
            }
            let files = [File::First, File::Second];
            for file in files.into_iter().filter(|file| *file == File::First || number.is_multiple_of(SECOND_EVERY)) {
                let night = Night { file, date, kind: self.random.kind(&mut self.deck, number, self.nights) };
                self.night(night, number).map_err(|error| format!("{night:?}: {error}"))?;
            }
            if date.day() == 2 {
                self.keep_house(date)?;
            }
        }
        Ok(())
    }

    /// The first night of the newer program, where there is an older one: after the quarter whose costs are held against none.
    fn upgrade(&self) -> u32 {
        self.nights / 4
    }

    /// What happens of a night to one of the pipeline files.
    fn night(&mut self, night: Night, number: u32) -> Result<(), String> {
        *self.done.entry(night.kind).or_default() += 1;
        for id in self.world.ids(night.file) {
            let organization = self.organizations.get_mut(id).expect("one of three");
            organization.live(&mut self.random);
        }
        match night.kind {
            Kind::Quiet => {
                let ended = self.succeeds(night)?;
                if number >= self.upgrade() {
                    self.costs.add(number, night.file, ended.usage);
                }
                return Ok(());
            }
            Kind::Missed => return Ok(()),
            Kind::Gap => self.put_off(night),
            Kind::Broken | Kind::SourceBroken => {
                let fault = self.random.fault(night.kind);
                self.run(night, fault)?;
                self.watch()?;
                // Whatever became of it, the night is run again until it is there.
                self.succeeds(night)?;
            }
            Kind::LeftBroken => {
                let fault = self.random.fault(Kind::Broken);
                self.run(night, fault)?;
            }
            Kind::Again => {
                self.succeeds(night)?;
                self.watch()?;
                for id in self.world.ids(night.file) {
                    self.organizations.get_mut(id).expect("one of three").live(&mut self.random);
                }
                self.succeeds(night)?;
            }
            Kind::Lost => self.lost(night)?,
        }
        self.watch()
    }

    /// A night on which much is gone: its day is held, and then accepted or rejected, at once or some nights later.
    fn lost(&mut self, night: Night) -> Result<(), String> {
        let whole = self.organizations.clone();
        let ids = self.world.ids(night.file);
        ids.iter().for_each(|id| self.organizations.get_mut(id).expect("one of three").lose());
        let (_, outcomes) = self.run(night, Fault::Nothing)?;
        self.organizations = whole;
        if !outcomes.iter().all(|outcome| *outcome == Outcome::Held) {
            return Err(format!("a day that lost a third is not held: {outcomes:?}"));
        }
        self.watch()?;
        match self.random.below(3) {
            0 => self.accept(night),
            1 => {
                self.put_off(night);
                Ok(())
            }
            _ => {
                let who = if night.file == File::First { vec![Who::Org, Who::Two] } else { vec![Who::Gov] };
                for who in who {
                    crate::operate::others::reject(&mut self.world, who, text(night.date), Fault::Nothing)?;
                }
                self.succeeds(night).map(drop)
            }
        }
    }

    fn put_off(&mut self, night: Night) {
        let due = night.date + Days::new(self.random.below(LATER) + 1);
        self.later.entry(due).or_default().push(night);
    }

    /// What was put off: a gap is filled from files, and what is held is accepted.
    fn late(&mut self, night: &Night) -> Result<(), String> {
        if night.kind == Kind::Lost {
            self.accept(*night)?;
            return self.watch();
        }
        let who = if night.file == File::First { [Who::Org, Who::Two].to_vec() } else { [Who::Gov].to_vec() };
        for who in who {
            let packs = self.organizations[who.id()].packs();
            let date = text(night.date);
            commit::import(&mut self.world, &self.seen, who, date, &packs, (false, true), Fault::Nothing)?;
        }
        self.watch()
    }

    fn accept(&mut self, night: Night) -> Result<(), String> {
        let packs = crate::facts::packs(&[]);
        let flags = (true, false);
        commit::run(&mut self.world, &self.seen, night.file, text(night.date), [&packs; 2], flags, Fault::Nothing)?;
        Ok(())
    }

    fn run(&mut self, night: Night, fault: Fault) -> Result<(Ended, Vec<Outcome>), String> {
        let packs: Vec<_> = self.world.ids(night.file).iter().map(|id| self.organizations[id].packs()).collect();
        let (first, second) = (&packs[0], packs.last().expect("one or two"));
        let date = text(night.date);
        let after = commit::run(&mut self.world, &self.seen, night.file, date, [first, second], (false, false), fault)?;
        Ok((after.ended, after.outcomes))
    }

    /// Runs a night without a fault. The first after the golden lake is held, as is one after a loss that was accepted.
    fn succeeds(&mut self, night: Night) -> Result<Ended, String> {
        let (ended, outcomes) = self.run(night, Fault::Nothing)?;
        match ended.code {
            Some(0) => {}
            Some(4) if outcomes.contains(&Outcome::Held) => self.accept(night)?,
            code => return Err(format!("a night without a fault ended with {code:?}: {}", ended.said())),
        }
        Ok(ended)
    }

    /// Holds what a reader sees against the model.
    fn watch(&mut self) -> Result<(), String> {
        self.seen = self.world.see();
        observe(&mut self.world, &self.seen, &[]);
        self.is_right(|excuse| excuse == Excuse::None)
    }

    fn is_right(&mut self, is_wrong: impl Fn(Excuse) -> bool) -> Result<(), String> {
        // No night touches a day beside those that are dropped, so what trends must say is always known.
        self.world.model.untold.clear();
        match wrongs(&self.world, &self.seen).into_iter().find(|wrong| is_wrong(wrong.excuse)) {
            Some(wrong) => Err(wrong.what),
            None => Ok(()),
        }
    }

    /// Once a month: months are compacted and what is old is dropped, also if that is broken off at first. Then the lake is sound.
    fn keep_house(&mut self, date: NaiveDate) -> Result<(), String> {
        let before = |parts: u32| Some(text(date - Days::new((self.nights / parts).into())));
        let settings = &mut self.world.settings;
        (settings.snapshots_before, settings.statuses_before, settings.pages_before) =
            (before(2), before(4), before(3));
        for file in [File::First, File::Second] {
            for fault in [self.random.fault(Kind::Broken), Fault::Nothing] {
                let after = crate::operate::others::maintain(&mut self.world, file, fault)?;
                self.seen = self.world.see();
                observe(&mut self.world, &self.seen, &after.may_drop);
                if fault == Fault::Nothing && after.ended.code != Some(0) {
                    return Err(format!(
                        "`maintain --apply` ended with {:?}: {}",
                        after.ended.code,
                        after.ended.said()
                    ));
                }
            }
        }
        self.verify()
    }

    /// `verify` finds no problem, and neither does a reader.
    fn verify(&mut self) -> Result<(), String> {
        let pipeline = self.world.pipeline(File::First);
        let ended = self.world.compline(&["verify", &pipeline], Fault::Nothing)?;
        if ended.code != Some(0) {
            return Err(format!("`verify` ended with {:?}: {}{}", ended.code, ended.stdout, ended.stderr));
        }
        self.world.model.pending.clear();
        self.seen = self.world.see();
        observe(&mut self.world, &self.seen, &[]);
        self.is_right(|excuse| excuse != Excuse::Allowed)
    }

    /// Everything that must hold of the lake in the end.
    fn end(&mut self) -> Result<(), String> {
        let last = self.first + Days::new(u64::from(self.nights) - 1);
        self.keep_house(last)?;
        for file in [File::First, File::Second] {
            let pipeline = self.world.pipeline(file);
            let ended = self.world.compline(&["trends", &pipeline], Fault::Nothing)?;
            let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.contains(" days were as ")).collect();
            let is_as = |line: &&&str| line.split_whitespace().nth(1) == line.split_whitespace().nth(3);
            let ids = self.world.ids(file);
            if ended.code != Some(0) || lines.len() != ids.len() || lines.iter().filter(is_as).count() != ids.len() {
                return Err(format!("the recompute differs: {:?} {}", ended.code, ended.said()));
            }
        }
        self.happened()?;
        self.costs.hold(self.nights)
    }

    /// The nights were not all quiet, and what is old was dropped.
    fn happened(&self) -> Result<(), String> {
        let missing: Vec<Kind> = Kind::all().filter(|kind| !self.done.contains_key(kind)).collect();
        if !missing.is_empty() {
            return Err(format!("no night was {missing:?}: another COMPLINE_SOAK_SEED has them, or more nights"));
        }
        let ids = ["org", "two", "gov"];
        let undropped: Vec<&str> = ids.into_iter().filter(|id| !self.world.model.has_dropped(id)).collect();
        if undropped.is_empty() { Ok(()) } else { Err(format!("no snapshot was dropped of {undropped:?}")) }
    }

    /// Leaves the lake in a folder, without what the S3 server has beside its objects.
    fn leave(&self, folder: &Path) {
        let _ = std::fs::remove_dir_all(folder);
        for (name, path) in files(&self.world.lake()) {
            if !name.split('/').any(|part| part.starts_with('.')) {
                let to = folder.join(name);
                std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
                std::fs::copy(path, to).expect("copied");
            }
        }
    }
}

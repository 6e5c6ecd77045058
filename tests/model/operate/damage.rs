//! Files that the test cuts, empties, overwrites or takes away.

use super::NOT_DERIVED;
use crate::lake::{FACTS, RUNS, Seen};
use crate::step::{Harm, Start, Who};
use crate::world::World;
use std::path::Path;

/// What is done, where it can be told afterwards: a ledger of the first version of the tables has no hashes, so that another
/// day's file may pass for the right one.
pub(super) fn told(how: Harm, start: Start) -> Harm {
    if how == Harm::AnotherDays && start == Start::Golden(1) { Harm::Garbage } else { how }
}

/// Damages a file of one of the days that are there.
pub(super) fn day(world: &mut World, (who, nth): (Who, u8), table: u8, how: Harm) {
    let parts = world.dataset.parts();
    let table = parts[usize::from(table) % parts.len()];
    let dates: Vec<String> = world.model.dates(who.id()).into_iter().collect();
    let Some(date) = dates.get(usize::from(nth) % dates.len().max(1)).map(String::as_str) else { return };
    let key = (who.id().to_owned(), date.to_owned());
    if world.model.facts(&key).is_none() || world.model.pending.contains(who.id()) {
        return;
    }
    // A ledger of another day is known by its hashes, and a day without a pack has the same as another such day.
    let how = if how == Harm::AnotherDays && table == RUNS { Harm::Garbage } else { how };
    let name = world.dataset.table(table).expect("a table");
    let path = |date: &str| format!("{name}/snapshot_date={date}/aggregator={}/data.parquet", who.id());
    let lake = world.lake();
    let other = dates.iter().find(|other| *other != date).map(|other| lake.join(path(other)));
    if !harm(&lake.join(path(date)), other.as_deref(), how) {
        return;
    }
    let left = world.see().day(table, &key).map(|content| content.sha256.clone());
    if table == RUNS
        && let Some(day) = world.model.days.get_mut(&key)
    {
        day.is_counted = false;
    }
    if NOT_DERIVED.contains(&table) {
        // Whether a later commit of the day can count its lines is not for the model to say.
        world.model.days.entry(key.clone()).and_modify(|day| day.is_counted = false);
    }
    world.model.damaged.insert((table, key), left);
}

/// Damages one of the files of months that are there.
pub(super) fn month(world: &mut World, seen: &Seen, nth: u8, how: Harm) {
    let all: Vec<_> =
        seen.months.iter().flat_map(|(table, months)| months.keys().map(move |key| (*table, key))).collect();
    if all.is_empty() {
        return;
    }
    let (table, (id, month)) = all[usize::from(nth) % all.len()];
    let key = (id.clone(), month.clone());
    let name = world.dataset.table(table).expect("a table");
    let path = world.lake().join(format!("{name}_monthly/snapshot_month={month}/aggregator={id}/data.parquet"));
    if !harm(&path, None, how) {
        return;
    }
    let left = world.see();
    let left = left.months.get(table).and_then(|months| months.get(&key)).map(|content| content.sha256.clone());
    if table == FACTS {
        // It was the only copy of these days: the test lost them, and not the program.
        let of_month = world.model.dropped.iter_mut().filter(|((of, date), _)| *of == key.0 && date.starts_with(month));
        of_month.for_each(|(_, dropped)| dropped.is_in_month = false);
    }
    world.model.damaged_months.insert((table, key), left);
}

/// Damages a file; says whether it is another now.
fn harm(path: &Path, other: Option<&Path>, how: Harm) -> bool {
    let Ok(before) = std::fs::read(path) else { return false };
    let after = match how {
        Harm::Cut => before[..before.len().saturating_sub(3)].to_vec(),
        Harm::Emptied => Vec::new(),
        Harm::Garbage => b"this is not a table\n".repeat(20),
        Harm::AnotherDays => match other.map(std::fs::read) {
            Some(Ok(other)) => other,
            _ => return false,
        },
        Harm::Deleted => {
            std::fs::remove_file(path).expect("removed");
            return true;
        }
    };
    std::fs::write(path, &after).expect("written");
    after != before
}

//! Clean lakes: the same days, imported once and in order. Whatever was done to a lake, its trend tables are those.

use crate::dataset::Dataset;
use crate::facts::{Facts, answer};
use crate::lake::{DERIVED, Key, Row, STATUS, Seen};
use crate::step::{Fault, File, Place};
use crate::world::World;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The rows of trend tables, by table and date.
type Tables = BTreeMap<(&'static str, String), Vec<Row>>;

/// An aggregator's days in order.
type History = Vec<(String, Facts)>;

/// Trend tables by the history that they are of.
type Made = HashMap<(Dataset, History), Arc<Tables>>;

/// The clean lakes that were made, since sequences begin alike and shrink.
static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);

/// Holds the trend tables of an aggregator against those of a clean lake.
pub(crate) fn compare(world: &World, seen: &Seen, id: &str) -> Result<(), String> {
    let mut history = History::new();
    for date in world.model.dates(id) {
        let key: Key = (id.to_owned(), date.clone());
        let Some(facts) = world.model.facts(&key) else { return Ok(()) };
        history.push((date, facts.clone()));
    }
    let clean = clean(world.dataset, &history)?;
    for table in DERIVED {
        for (date, _) in &history {
            let is = seen.day(table, &(id.to_owned(), date.clone())).and_then(|content| content.rows.as_ref().ok());
            if is.is_none() && table == STATUS && world.settings.statuses_before.is_some() {
                continue;
            }
            let is: Vec<Row> = is.map(|rows| rows.iter().map(|row| of_any(row, id)).collect()).unwrap_or_default();
            let must = clean.get(&(table, date.clone())).cloned().unwrap_or_default();
            if is != must {
                return Err(format!("{table} of {id} on {date} is {is:?}, and that of a clean lake is {must:?}"));
            }
        }
    }
    Ok(())
}

/// The trend tables of a clean lake with these days.
fn clean(dataset: Dataset, history: &History) -> Result<Arc<Tables>, String> {
    let made = || MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (dataset, history.clone());
    if let Some(tables) = made().get(&key) {
        return Ok(Arc::clone(tables));
    }
    let mut world = World::new(Place::Folder, dataset, None);
    let pipeline = world.pipeline(File::First);
    for (date, facts) in history {
        std::fs::write(world.folder.path().join("day.json"), answer(dataset, facts).to_string()).expect("written");
        let import = ["import", &pipeline, "--aggregator", "org", "--date", date, "--accept", "day.json"];
        let import = [&import[..], dataset.option()].concat();
        let ended = world.compline(&import, Fault::Nothing)?;
        if ended.code != Some(0) {
            return Err(format!("a clean lake does not take {date}: {ended:?}"));
        }
    }
    let mut tables = Tables::new();
    for (table, days) in world.see().days {
        for ((_, date), content) in days {
            let rows = content.rows.map_err(|error| format!("{table} of a clean lake on {date}: {error}"))?;
            tables.insert((table, date), rows.iter().map(|row| of_any(row, "org")).collect());
        }
    }
    let tables = Arc::new(tables);
    made().insert(key, Arc::clone(&tables));
    Ok(tables)
}

/// A row without the name of its aggregator, and without columns that a file of an older version lacks.
fn of_any(row: &Row, id: &str) -> Row {
    let is_of_all = row.get("dimension").is_some_and(|dimension| dimension == "aggregator");
    let value = |name: &str, value: &String| match name {
        "dimension_value" if is_of_all && value == id => "the aggregator".to_owned(),
        _ => value.clone(),
    };
    // Files of older versions lack this column, which is a date and so not a null of a file of today either.
    let is_later = |name: &str| name == "population_since";
    row.iter()
        .filter(|(name, value)| *value != "-" && !is_later(name))
        .map(|(name, text)| (name.clone(), value(name, text)))
        .collect()
}

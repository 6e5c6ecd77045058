//! The commands that work on days that are there.

use super::{After, Catalogued, filter_of, is_fault, made_good};
use crate::facts::{Packs, answer};
use crate::step::{Fault, File, Place, Who};
use crate::world::{World, finish};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How long a command that is started has for its first call.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// Holds a command that brings nothing to a lake that is not there: it says so, and makes none. Nothing where there is a lake.
fn without_a_lake(world: &mut World, arguments: &[&str]) -> Option<Result<After, String>> {
    let is_passing = |name: &String| ["_compline/lease/", "_compline/tmp/"].iter().any(|own| name.starts_with(own));
    if crate::lake::files(&world.lake()).keys().any(|name| !is_passing(name)) {
        return None;
    }
    let (is_folder, was_there) = (world.place == Place::Folder, world.lake().exists());
    let why = if is_folder && !was_there { "there is no folder" } else { "there is nothing of Compline in" };
    let held = world.compline(arguments, Fault::Nothing).and_then(|ended| {
        match ended.code == Some(1) && ended.stderr.contains(why) && world.lake().exists() == was_there {
            true => Ok(After::default()),
            false => Err(format!(
                "{arguments:?} without a lake ended with {:?}: {}{}",
                ended.code, ended.stdout, ended.stderr
            )),
        }
    });
    Some(held)
}

pub(super) fn trends(world: &mut World, file: File, fault: Fault) -> Result<After, String> {
    let (pipeline, ids) = (world.pipeline(file), world.ids(file));
    if let Some(held) = without_a_lake(world, &["trends", &pipeline]) {
        return held;
    }
    let ended = world.compline(&["trends", &pipeline], fault)?;
    let is_hindered = ids.iter().any(|id| is_hindered(world, id));
    match ended.code {
        Some(0) => made_good(world, ids),
        _ if ended.broke => world.model.pending.extend(ids.into_iter().map(str::to_owned)),
        Some(1 | 3) if is_hindered => {}
        code => return Err(format!("`trends` ended with {code:?}: {}{}", ended.stdout, ended.stderr)),
    }
    Ok(After { is_verified: is_fault(fault), ..After::default() })
}

pub(super) fn repair(world: &mut World, file: File, fault: Fault) -> Result<After, String> {
    let pipeline = world.pipeline(file);
    let all: Vec<String> = world.model.ids().into_iter().collect();
    if let Some(held) = without_a_lake(world, &["verify", &pipeline, "--repair"]) {
        return held;
    }
    let ended = world.compline(&["verify", &pipeline, "--repair"], fault)?;
    match ended.code {
        Some(0) => made_good(world, all.iter().map(String::as_str)),
        _ if ended.broke => world.model.pending.extend(all),
        // What is still wrong then is held against what `verify` says.
        Some(1)
            if is_fault(fault)
                || all.iter().any(|id| is_hindered(world, id))
                || ended.stdout.contains("there is no snapshot of any aggregator") => {}
        code => return Err(format!("`verify --repair` ended with {code:?}: {}{}", ended.stdout, ended.stderr)),
    }
    Ok(After { is_verified: true, ..After::default() })
}

pub(crate) fn maintain(world: &mut World, file: File, fault: Fault) -> Result<After, String> {
    let pipeline = world.pipeline(file);
    if let Some(held) = without_a_lake(world, &["maintain", &pipeline, "--apply"]) {
        return held;
    }
    let ids = world.ids(file);
    let is_hindered = ids.iter().any(|id| is_hindered(world, id));
    let model = &world.model;
    let is_pending = ids.iter().any(|id| model.pending.contains(*id) || model.pending_beside.contains(*id));
    let ended = world.compline(&["maintain", &pipeline, "--apply"], fault)?;
    let mut after = After { may_drop: ids.clone(), is_verified: true, ..After::default() };
    match ended.code {
        Some(0) if !is_hindered && !is_pending => {
            after.catalogued = Catalogued::All;
            after.compacted = Some((ids, ended.stdout.clone()));
        }
        Some(0) => {}
        _ if ended.broke => world.model.pending.extend(ids.into_iter().map(str::to_owned)),
        Some(1 | 3) if is_hindered || is_pending => {}
        code => return Err(format!("`maintain --apply` ended with {code:?}: {}{}", ended.stdout, ended.stderr)),
    }
    after.ended = ended;
    Ok(after)
}

pub(crate) fn reject(world: &mut World, who: Who, date: &str, fault: Fault) -> Result<After, String> {
    let (id, pipeline, key) = (who.id(), world.pipeline(who.file()), (who.id().to_owned(), date.to_owned()));
    if !world.ids(who.file()).contains(&id) {
        return Ok(After::default());
    }
    let is_held = world.model.held.get(&key).map(|held| !held.is_uncertain);
    // Nothing is asked of AWS Config.
    let fault = if fault == Fault::Source { Fault::Nothing } else { fault };
    let ended = world.compline(&["run", &pipeline, "--only", id, "--date", date, "--reject"], fault)?;
    if ended.broke {
        if let Some(held) = world.model.held.get_mut(&key) {
            held.is_uncertain = true;
        }
        world.model.pending.insert(key.0);
        return Ok(After { is_verified: true, ..After::default() });
    }
    match (ended.code, is_held) {
        (Some(0), Some(_)) | (Some(1), None | Some(false)) => drop(world.model.held.remove(&key)),
        // The day's ledger may be damaged, or the clock wrong.
        (Some(1..=3), _) if world.model.is_damaged(id) || matches!(fault, Fault::Clock(_)) => {}
        (code, _) => return Err(format!("`run --reject` ended with {code:?}: {}{}", ended.stdout, ended.stderr)),
    }
    Ok(After { is_verified: is_fault(fault), ..After::default() })
}

pub(super) fn catalog(world: &mut World, file: File) -> Result<After, String> {
    if world.glue.is_none() {
        return Ok(After::default());
    }
    let pipeline = world.pipeline(file);
    let ended = world.compline(&["catalog", &pipeline], Fault::Nothing)?;
    match ended.code {
        Some(0) => Ok(After { catalogued: Catalogued::All, ..After::default() }),
        code => Err(format!("`catalog` ended with {code:?}: {}{}", ended.stdout, ended.stderr)),
    }
}

/// Whether a command has a reason to fail for an aggregator: a file of its is damaged, or its trends go on from what is
/// dropped.
fn is_hindered(world: &World, id: &str) -> bool {
    let model = &world.model;
    model.is_damaged(id) || model.has_dropped(id) || model.damaged_months.keys().any(|(_, key)| key.0 == id)
}

/// A run stalls, two imports of the same day wait for it, and each commits when it is its turn.
pub(super) fn two_waiters(world: &mut World, date: &str, first: &Packs, second: &Packs) -> Result<After, String> {
    let key = ("gov".to_owned(), date.to_owned());
    if world.model.is_damaged("gov")
        || world.model.has_dropped("gov")
        || world.s3.is_some()
        || world.model.held.contains_key(&key)
    {
        return Ok(After::default());
    }
    let pipeline = world.pipeline(File::Second);
    let dataset = world.dataset;
    world.aws.say("gov", date, first.facts(dataset));
    let calls = world.aws.calls();
    world.aws.stall(true);
    let run = ["run", &pipeline, "--date", date, "--fresh", "--json"];
    let mut children = vec![world.start(&run, Fault::Nothing)];
    let started = Instant::now();
    while world.aws.calls() == calls && started.elapsed() < BEGINS_WITHIN {
        std::thread::sleep(Duration::from_millis(5));
    }
    for (name, packs) in [("first.json", first), ("second.json", second)] {
        std::fs::write(world.folder.path().join(name), answer(dataset, &packs.facts(dataset)).to_string())
            .expect("written");
        let import = [
            "import",
            &pipeline,
            "--aggregator",
            "gov",
            "--date",
            date,
            "--replace",
            "--accept",
            "--wait",
            "60s",
            name,
        ];
        children.push(world.start(&[&import[..], dataset.option()].concat(), Fault::Nothing));
        std::thread::sleep(Duration::from_millis(120));
    }
    world.aws.stall(false);
    for child in children {
        let ended = finish(child, world.bound);
        let _ = writeln!(world.log, "  one of three: {:?} {}", ended.code, ended.said());
        // What the run holds, since it lost much, is overtaken by the imports.
        if !matches!(ended.code, Some(0 | 4)) {
            return Err(format!(
                "of a run and two imports that wait one ended with {:?}: {}",
                ended.code, ended.stderr
            ));
        }
        let filter = filter_of(world, "gov");
        world.model.commit(&key, vec![first.facts(dataset), second.facts(dataset)], filter);
    }
    world.model.checkpoints.retain(|(id, _), _| id != "gov");
    made_good(world, ["gov"]);
    // Files of the first two were there and nobody saw them.
    if let Some(day) = world.model.days.get_mut(&key) {
        day.is_counted = false;
    }
    Ok(After { is_verified: true, catalogued: Catalogued::Of(vec!["gov".to_owned()]), ..After::default() })
}

//! Days whose own files are damaged or gone, restored from their months.

use crate::maintain::{DAYS, age_of, import_one, kept, maintain, month_file, tables};
use crate::support::reading::{column, file};
use crate::support::{Ended, Scene, run};
use crate::verify::is_sound;
use compline_model::Table;
use std::path::Path;

const COMPACT: &str = "compact = [\"pack_compliance\", \"source_status\"]";

/// A lake whose months have the facts and the sources of their days.
fn compacted() -> (Scene, String) {
    let (scene, pipeline) = kept(COMPACT);
    maintain(&scene, &pipeline, &["--apply"]);
    (scene, pipeline)
}

fn restore(scene: &Scene, pipeline: &str, day: &str) -> Ended {
    run(scene.command(&["import", pipeline, "--aggregator", "org", "--date", day, "--from-month"]))
}

/// Cuts the end off a file.
fn cut(path: &Path) {
    let whole = std::fs::read(path).expect("read");
    std::fs::write(path, &whole[..whole.len() - 20]).expect("cut");
}

#[test]
fn a_day_whose_own_files_are_damaged_or_gone_is_restored_from_its_month_as_it_was_committed() {
    let (scene, pipeline) = compacted();
    let before = tables(&scene);
    let wrong = |table: Table, is_gone: bool| {
        let path = file(&scene, table, DAYS[4]);
        if is_gone { std::fs::remove_file(path).expect("removed") } else { cut(&path) }
    };
    for (of_facts, of_sources) in
        [(Some(false), None), (Some(true), None), (None, Some(true)), (Some(true), Some(false))]
    {
        of_facts.into_iter().for_each(|is_gone| wrong(Table::PackCompliance, is_gone));
        of_sources.into_iter().for_each(|is_gone| wrong(Table::SourceStatus, is_gone));
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(of_facts != Some(false) || ended.stdout.contains("--from-month"), "{ended:?}");
        let ended = restore(&scene, &pipeline, DAYS[4]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let ledger = |(name, _): &(String, Vec<u8>)| !name.starts_with("runs/");
        let rest = |all: &std::collections::BTreeMap<String, Vec<u8>>| {
            all.clone().into_iter().filter(ledger).collect::<Vec<_>>()
        };
        // Not a byte is another, and so neither its month nor what was computed from it.
        assert!(rest(&tables(&scene)) == rest(&before), "{of_facts:?} {of_sources:?}");
        is_sound(&scene, &pipeline, &[]);
    }
    let runs = scene.read(&scene.lake(), Table::Runs, "org", DAYS[4]).expect("a ledger");
    assert_eq!(column(&runs, "command"), ["run", "import", "import", "import", "import"]);
    // The next night goes on from it.
    scene.night(Path::new(&pipeline), "2026-04-02");
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_day_is_not_restored_as_another_than_the_ledger_says_was_committed_last() {
    let (scene, pipeline) = compacted();
    let refused = |day: &str, why: &str| {
        let data = |scene: &Scene| {
            let all = tables(scene).into_iter();
            all.filter(|(name, _)| !name.starts_with("runs/")).collect::<Vec<_>>()
        };
        let before = data(&scene);
        let ended = restore(&scene, &pipeline, day);
        assert!(ended.code == Some(1) && ended.stdout.contains(why), "{day} {why}: {ended:?}");
        assert!(data(&scene) == before, "{day} {why}");
    };
    refused(DAYS[1], "are those that the ledger says were committed, so that there is nothing to restore");
    refused("2026-01-03", "the ledger has no run that committed 2026-01-03");
    // Committed again since its month was made; and a ledger that lacks it, as an earlier version of the object.
    let ledger = file(&scene, Table::Runs, DAYS[1]);
    let earlier = std::fs::read(&ledger).expect("read");
    scene.night(Path::new(&pipeline), DAYS[1]);
    let now = std::fs::read(&ledger).expect("read");
    std::fs::write(&ledger, earlier).expect("written");
    refused(DAYS[1], "is not what the documents of its runs say");
    std::fs::write(&ledger, now).expect("restored");
    cut(&file(&scene, Table::PackCompliance, DAYS[1]));
    let lacks = "is damaged, or does not have";
    refused(DAYS[1], lacks);
    // A month that is damaged, and one that is gone.
    cut(&file(&scene, Table::PackCompliance, DAYS[4]));
    let month = month_file(&scene, "pack_compliance", "2026-02");
    let whole = std::fs::read(&month).expect("read");
    cut(&month);
    refused(DAYS[4], lacks);
    // A bit of its rows that flipped.
    let mut flipped = whole.clone();
    flipped[200] ^= 1;
    std::fs::write(&month, flipped).expect("written");
    refused(DAYS[4], lacks);
    std::fs::remove_file(&month).expect("removed");
    refused(DAYS[4], lacks);
    std::fs::write(&month, whole).expect("restored");
    assert_eq!(restore(&scene, &pipeline, DAYS[4]).code, Some(0));
    // An import of files is no way around it.
    let ended = import_one(&scene, &pipeline, DAYS[1], &["--from-month"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("cannot be used with"), "{ended:?}");
    // Of a day that was dropped, its month is all that there is to be.
    let (scene, pipeline) = kept(&format!("{COMPACT}\nsnapshot_days = {}", age_of(DAYS[5])));
    maintain(&scene, &pipeline, &["--apply"]);
    let ended = restore(&scene, &pipeline, DAYS[1]);
    assert!(ended.code == Some(1) && ended.stdout.contains("was dropped, as maintain.snapshot_days says"), "{ended:?}");
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_day_that_is_restored_has_the_filters_it_was_collected_with_and_is_not_held() {
    let (scene, pipeline) = compacted();
    // Since then another population is asked for, and it is strict about what is lost.
    let more = format!("[maintain]\n{COMPACT}\n[check]\nmax_loss_percent = 0");
    let include = "[aggregator.include]\naws_region = \"eu-west-1\"";
    assert_eq!(import_one(&scene, &pipeline, "2026-01-06", &["--accept"]).code, Some(0));
    assert_eq!(import_one(&scene, &pipeline, "2026-01-06", &["--accept", "--replace"]).code, Some(0));
    maintain(&scene, &pipeline, &["--apply"]);
    let before = tables(&scene);
    let other = scene.org_pipeline("lake", include, &more).display().to_string();
    cut(&file(&scene, Table::PackCompliance, "2026-01-06"));
    let ended = restore(&scene, &other, "2026-01-06");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let trends = |all: &std::collections::BTreeMap<String, Vec<u8>>| {
        all.clone().into_iter().filter(|(name, _)| !name.starts_with("runs/")).collect::<Vec<_>>()
    };
    assert!(trends(&tables(&scene)) == trends(&before));
    is_sound(&scene, &other, &[]);
}

#[test]
fn rules_are_restored_by_themselves_and_without_their_sources_where_no_file_has_them() {
    let scene = Scene::of_accounts(6);
    let pipeline = scene.pipeline_with_rules("");
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let compact = "[maintain]\ncompact = [\"rule_compliance\", \"pack_compliance\"]\n";
    std::fs::write(&pipeline, format!("{text}\n{compact}")).expect("written");
    for day in ["2026-01-02", "2026-02-01"] {
        scene.night(&pipeline, day);
    }
    let pipeline = pipeline.display().to_string();
    maintain(&scene, &pipeline, &["--apply"]);
    let facts = file(&scene, Table::RuleCompliance, "2026-01-02");
    let whole = std::fs::read(&facts).expect("read");
    cut(&facts);
    let arguments = ["import", &pipeline, "--aggregator", "org", "--date", "2026-01-02", "--from-month"];
    let ended = run(scene.command(&arguments));
    assert!(
        ended.code == Some(1) && ended.stdout.contains("there is nothing to restore"),
        "packs are sound: {ended:?}"
    );
    let ended = run(scene.command(&[&arguments[..], &["--dataset", "rules"]].concat()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(std::fs::read(&facts).expect("read"), whole);
    is_sound(&scene, &pipeline, &[]);
    // No month has the sources of packs.
    let sources = file(&scene, Table::SourceStatus, "2026-01-02");
    cut(&sources);
    let damaged = std::fs::read(&sources).expect("read");
    for _ in 0..2 {
        let ended = run(scene.command(&arguments));
        assert!(
            ended.code == Some(1) && ended.stdout.contains("restore source_status of 2026-01-02 itself"),
            "{ended:?}"
        );
        assert!(std::fs::read(&sources).expect("read") == damaged, "it is the only copy");
        cut(&file(&scene, Table::PackCompliance, "2026-01-02"));
    }
    std::fs::remove_file(&sources).expect("removed");
    let ended = run(scene.command(&arguments));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("the day is restored without"), "{ended:?}");
    assert_eq!(scene.rows(Table::SourceStatus, "org", "2026-01-02").len(), 0);
    assert!(!scene.rows(Table::PackCompliance, "org", "2026-01-02").is_empty());
    is_sound(&scene, &pipeline, &[]);
}

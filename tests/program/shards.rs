//! `run --shard`: the aggregators of a file dealt to several runs at once.

use crate::support::reading::{files, texts};
use crate::support::{Scene, finish, pack_tables, run, start};
use crate::verify::is_sound;
use compline_model::Table;
use std::collections::BTreeMap;
use std::path::PathBuf;

const IDS: [&str; 7] = ["org", "security", "gov", "emea", "apac", "sandbox", "x"];
const DAY: &str = "2026-02-24";

/// A pipeline over as many aggregators, on a lake of this name.
fn pipeline(scene: &Scene, lake: &str) -> PathBuf {
    let path = scene.org_pipeline(lake, "", "");
    let text = std::fs::read_to_string(&path).expect("read");
    let (start, rest) = text.split_once("[[aggregator]]").expect("an aggregator");
    let (one, rest) = rest.split_once("[fetch]").expect("more");
    let all: String =
        IDS.iter().map(|id| format!("[[aggregator]]{}", one.replace("\"org\"", &format!("{id:?}")))).collect();
    std::fs::write(&path, format!("{start}{all}[fetch]{rest}")).expect("written");
    path
}

/// The rows of every table but the ledger, by their partition.
fn rows(scene: &Scene, lake: &str) -> BTreeMap<String, Vec<String>> {
    let opened = scene.lake_at(lake);
    let mut rows = BTreeMap::new();
    for table in pack_tables().into_iter().filter(|table| *table != Table::Runs) {
        for id in IDS {
            // Who read the rows, and when, is another each time.
            let read = scene.read(&opened, table, id, DAY).expect("a partition");
            let keep: Vec<usize> = read
                .schema()
                .fields()
                .iter()
                .enumerate()
                .filter(|(_, field)| !["run_id", "collected_at"].contains(&field.name().as_str()))
                .map(|(at, _)| at)
                .collect();
            rows.insert(format!("{} {id}", table.name()), texts(&read.project(&keep).expect("columns")));
        }
    }
    rows
}

#[test]
fn as_many_runs_at_once_as_one_likes_leave_the_rows_of_one() {
    let scene = Scene::of_accounts(4);
    let mut expected = None;
    for count in 1..=7 {
        let lake = format!("lake-{count}");
        let file = pipeline(&scene, &lake).display().to_string();
        let runs: Vec<_> = (0..count)
            .map(|index| {
                start(scene.command(&["run", &file, "--date", DAY, "--shard", &format!("{index}/{count}"), "--json"]))
            })
            .collect();
        let mut done: Vec<String> = Vec::new();
        for ended in runs.into_iter().map(finish) {
            assert_eq!(ended.code, Some(0), "{count}: {ended:?}");
            let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
            let own = report["aggregators"].as_array().expect("a list");
            done.extend(own.iter().map(|one| one["aggregator"].as_str().expect("an id").to_owned()));
        }
        done.sort_unstable();
        let mut all = IDS.to_vec();
        all.sort_unstable();
        assert_eq!(done, all, "{count}: each once");
        is_sound(&scene, &file, &[]);
        let rows = rows(&scene, &lake);
        assert_eq!(expected.get_or_insert_with(|| rows.clone()), &rows, "{count}");
    }
}

#[test]
fn runs_at_once_that_write_one_report_leave_one_of_every_aggregator() {
    let scene = Scene::of_accounts(4);
    let path = pipeline(&scene, "lake");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, format!("{text}\n[report]\ndays = 30\n")).expect("written");
    let file = path.display().to_string();
    for day in [DAY, "2026-02-25"] {
        let shards = ["0/3", "1/3", "2/3"];
        let runs = shards.map(|shard| start(scene.command(&["run", &file, "--date", day, "--shard", shard])));
        for ended in runs.map(finish) {
            assert!(ended.code == Some(0) && !ended.stderr.contains("no report"), "{ended:?}");
        }
        let read =
            |name: &str| std::fs::read_to_string(scene.path(&format!("lake/reports/{name}.html"))).expect("a report");
        assert_eq!(read("latest"), read(day));
        // Whichever was the last has what the others committed.
        let without = read(day).matches("No snapshot").count();
        assert_eq!(without, 0, "{day}");
        for id in IDS {
            assert!(read(day).contains(&format!(">{id}<")), "{day}: {id}");
        }
    }
}

#[test]
fn a_run_to_which_nothing_falls_does_nothing_and_ends_well() {
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY, "--shard", "0/4"]));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "no aggregator of the file falls to run 0/4: nothing to do\n")
    );
    assert!(files(&scene.path("lake")).is_empty());
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY, "--shard", "1/4"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = run(scene.command(&["run", &pipeline, "--shard", "4/4"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("as in 0/4"), "{ended:?}");
}

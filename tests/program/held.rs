//! Days that are held: what is held is what one run collected, and a person accepts or rejects that and nothing else.

use crate::support::reading::{column, files};
use crate::support::{Ended, Scene, run};
use crate::verify::is_sound;
use compline_model::Table;
use std::path::{Path, PathBuf};

const DAYS: [&str; 3] = ["2026-02-24", "2026-02-25", "2026-02-26"];

/// A lake with a day of an organization, and a smaller organization whose days on the same lake are held.
struct Held {
    scene: Scene,
    pipeline: String,
    small: Scene,
}

impl Held {
    fn new() -> Self {
        let scene = Scene::of_accounts(12);
        let pipeline = scene.org_pipeline("lake", "", "");
        scene.night(&pipeline, DAYS[0]);
        Self { pipeline: pipeline.display().to_string(), scene, small: Scene::of_accounts(4) }
    }

    /// A run of the second day of the small organization, with these lines in `[[aggregator]]`.
    fn small(&self, lines: &str, arguments: &[&str]) -> Ended {
        self.small_on(DAYS[1], lines, arguments)
    }

    fn small_on(&self, day: &str, lines: &str, arguments: &[&str]) -> Ended {
        let path = self.small.org_pipeline("lake", lines, "");
        let own = format!("{:?}", self.small.path("lake").display().to_string());
        let shared = format!("{:?}", self.scene.path("lake").display().to_string());
        std::fs::write(&path, std::fs::read_to_string(&path).expect("read").replace(&own, &shared)).expect("written");
        run(self.small.command(&[&["run", &path.display().to_string(), "--date", day], arguments].concat()))
    }

    fn file(&self, table: Table) -> PathBuf {
        let day = format!("{}/snapshot_date={}/aggregator=org/data.parquet", table.name(), DAYS[1]);
        self.scene.path("lake/_compline/held").join(day)
    }

    /// A column of the ledger of the second day, in order of its runs.
    fn ledger(&self, name: &str) -> Vec<String> {
        column(&self.scene.read(&self.scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger"), name)
    }

    fn night(&self, day: &str) -> Ended {
        run(self.scene.command(&["run", &self.pipeline, "--date", day]))
    }

    fn is_held(&self) -> bool {
        files(&self.scene.path("lake")).keys().any(|name| name.starts_with("_compline/held"))
    }
}

#[test]
fn what_is_held_of_an_aggregator_that_the_file_no_longer_has_is_named() {
    let held = Held::new();
    assert_eq!(held.small("", &[]).code, Some(4));
    let text = std::fs::read_to_string(&held.pipeline).expect("read");
    std::fs::write(&held.pipeline, text.replace("\"org\"", "\"other\"")).expect("written");
    for decision in ["--accept", "--reject"] {
        let ended = run(held.scene.command(&["run", &held.pipeline, "--date", DAYS[1], decision]));
        assert!(ended.code == Some(1) && ended.stderr.contains("something is of org"), "{ended:?}");
    }
}

#[test]
fn a_day_whose_held_files_are_gone_is_held_all_the_same() {
    for folder in ["_compline/held/pack_compliance", "_compline/held/source_status", "_compline/held"] {
        let held = Held::new();
        assert_eq!(held.small("", &[]).code, Some(4));
        std::fs::remove_dir_all(held.scene.path("lake").join(folder)).expect("removed");
        let ended = run(held.scene.command(&["status", &held.pipeline, "--json", "--max-age", "100000d"]));
        assert_eq!(ended.code, Some(1), "{folder}: {ended:?}");
        let status: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(status[0]["held"], serde_json::json!([DAYS[1]]), "{folder}");
        assert_eq!(status[0]["snapshot_date"], DAYS[0], "{folder}");
    }
}

#[test]
fn a_day_that_is_accepted_is_what_the_ledger_says_was_held_with_the_filters_of_then() {
    let held = Held::new();
    let ended = held.small("", &[]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    is_sound(&held.scene, &held.pipeline, &[]);
    let history = run(held.scene.command(&["history", &held.pipeline])).stdout;
    assert!(history.contains("--accept"), "{history}");
    // Accepted with a file that says otherwise by now.
    let ended = held.small("exclude = { account_id = [\"000000000001\"] }", &["--accept"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(held.ledger("outcome"), ["held", "succeeded"]);
    assert_eq!(held.ledger("commit_number"), ["1", "2"]);
    for name in ["population", "snapshot_sha256", "source_status_sha256", "rows"] {
        let told = held.ledger(name);
        assert!(told[0] == told[1] && !told[0].is_empty(), "{name}: {told:?}");
    }
    assert!(!held.is_held());
    is_sound(&held.scene, &held.pipeline, &[]);
    let history = run(held.scene.command(&["history", &held.pipeline])).stdout;
    assert!(history.contains("was held; a later run decided that") && !history.contains("--accept"), "{history}");
    // Once more: nothing is collected in its place, whatever there is now.
    let committed = held.scene.rows(Table::PackCompliance, "org", DAYS[1]);
    let again = held.small("", &["--accept"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("nothing is held of 2026-02-25"), "{again:?}");
    assert_eq!(held.scene.rows(Table::PackCompliance, "org", DAYS[1]), committed);
    assert_eq!(held.ledger("outcome").len(), 2);
}

#[test]
fn a_loss_shows_against_a_day_of_long_ago_where_those_since_cannot_be_read() {
    let held = Held::new();
    let day = "2026-08-01";
    assert_eq!(held.night(day).code, Some(0));
    let facts = held.scene.path(&format!("lake/pack_compliance/snapshot_date={day}/aggregator=org/data.parquet"));
    std::fs::write(&facts, b"PAR1").expect("damaged");
    // More than 180 days after the first day, and fewer after the second one.
    let ended = held.small_on("2026-11-20", "", &[]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains(&format!("held, not committed: against {} it lost", DAYS[0])), "{ended:?}");
}

#[test]
fn only_the_aggregators_of_which_something_is_held_are_touched() {
    let held = Held::new();
    let both = held.scene.pipeline("").display().to_string();
    for day in DAYS {
        assert_eq!(run(held.scene.command(&["run", &both, "--only", "security", "--date", day])).code, Some(0));
    }
    assert_eq!(held.small("", &[]).code, Some(4));
    let before = held.scene.rows(Table::Runs, "security", DAYS[1]);
    let ended = run(held.scene.command(&["run", &both, "--date", DAYS[1], "--accept"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(held.scene.rows(Table::Runs, "security", DAYS[1]), before);
    assert_eq!(held.ledger("outcome"), ["held", "succeeded"]);
}

#[test]
fn a_held_day_both_files_of_which_are_gone_is_told_and_snapshots_before_one_are_not_dropped() {
    let held = Held::new();
    assert_eq!(held.small("", &[]).code, Some(4));
    assert_eq!(held.night(DAYS[2]).code, Some(0));
    let maintain = "[maintain]\ncompact = [\"pack_compliance\", \"source_status\"]\nsnapshot_days = 1";
    let pipeline = held.scene.org_pipeline("lake", "", maintain).display().to_string();
    assert_eq!(held.night("2026-02-27").code, Some(0));
    let ended = run(held.scene.command(&["maintain", &pipeline, "--apply"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("snapshots from 2026-02-26 on are retained: 2026-02-25 is held"), "{ended:?}");
    std::fs::remove_dir_all(held.scene.path("lake/_compline/held")).expect("removed");
    let ended = run(held.scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("what is held of 2026-02-25 cannot be accepted: its files are gone"), "{ended:?}");
    assert_eq!(held.small("", &["--accept"]).code, Some(1));
    assert_eq!(held.small("", &["--reject"]).code, Some(0));
    is_sound(&held.scene, &pipeline, &[]);
}

#[test]
fn facts_and_sources_that_are_held_are_of_one_run_wherever_a_run_that_holds_them_was_stopped() {
    for table in [Table::SourceStatus, Table::PackCompliance, Table::Runs] {
        let held = Held::new();
        assert_eq!(held.small("", &[]).code, Some(4));
        // The second run that holds the day cannot write one of the files.
        let path = if table == Table::Runs {
            held.scene.path("lake/runs").join(format!("snapshot_date={}", DAYS[1]))
        } else {
            held.file(table).parent().and_then(Path::parent).expect("a folder").to_owned()
        };
        let aside = held.scene.path("aside");
        std::fs::rename(&path, &aside).expect("moved");
        std::fs::write(&path, "").expect("written");
        let ended = held.small("", &["--json"]);
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let told = report["aggregators"][0]["error"].as_str().expect("an error");
        assert!(told.contains("the next session on this lake"), "{} {ended:?}", table.name());
        std::fs::remove_file(&path).expect("removed");
        std::fs::rename(&aside, &path).expect("moved back");

        // The next day's session completes what is held, as the run that it was, and says so.
        let ended = held.night(DAYS[2]);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stdout.contains("which was stopped, is held, not committed: "), "{ended:?}");
        is_sound(&held.scene, &held.pipeline, &[]);
        assert_eq!(held.ledger("outcome"), ["held", "held"], "{}", table.name());
        let ended = held.small("", &["--accept"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for table in [Table::PackCompliance, Table::SourceStatus] {
            let rows = held.scene.read(&held.scene.lake(), table, "org", DAYS[1]).expect("rows");
            assert!(column(&rows, "run_id").iter().all(|id| Some(id.as_str()) == report["run_id"].as_str()));
        }
        is_sound(&held.scene, &held.pipeline, &[]);
    }
}

#[test]
fn what_is_held_is_not_accepted_where_it_is_damaged_or_another_file_or_the_day_was_committed_since() {
    let held = Held::new();
    assert_eq!(held.small("", &[]).code, Some(4));
    let whole = files(&held.scene.path("lake"));
    let refused = |why: &str| {
        let verified = run(held.scene.command(&["verify", &held.pipeline]));
        assert_eq!(verified.code, Some(1), "{why}: {verified:?}");
        assert!(verified.stdout.contains(" --reject` removes it"), "{why}: {verified:?}");
        let ended = held.small("", &["--accept"]);
        assert_eq!(ended.code, Some(1), "{why}: {ended:?}");
        assert!(ended.stdout.contains("what is held of 2026-02-25 is not committed"), "{why}: {ended:?}");
        assert!(ended.stdout.contains(why), "{why}: {ended:?}");
    };
    for table in [Table::PackCompliance, Table::SourceStatus] {
        let of_first = format!("{}/snapshot_date={}/aggregator=org/data.parquet", table.name(), DAYS[0]);
        std::fs::write(held.file(table), b"x").expect("written");
        refused("cannot read _compline/held/");
        std::fs::write(held.file(table), &whole[&of_first]).expect("written");
        refused("it is of snapshot_date=2026-02-24");
        std::fs::remove_file(held.file(table)).expect("removed");
        refused("one of its two files is gone");
        held.scene.put_lake("lake", &whole);
    }
    // A sound file of the same day, of a run that held it before.
    assert_eq!(held.small("", &[]).code, Some(4));
    std::fs::write(held.file(Table::SourceStatus), {
        let key = format!("_compline/held/source_status/snapshot_date={}/aggregator=org/data.parquet", DAYS[1]);
        &whole[&key]
    })
    .expect("written");
    refused("it is not what run ");

    // The day is committed, and what was held is there all the same.
    assert_eq!(held.night(DAYS[1]).code, Some(0));
    assert!(!held.is_held());
    let committed = held.scene.rows(Table::PackCompliance, "org", DAYS[1]);
    let of_held = whole.into_iter().filter(|(name, _)| name.starts_with("_compline/held"));
    held.scene.put_lake("lake", &of_held.collect());
    refused("the ledger has no run that held it, or one that committed or rejected it since");
    assert_eq!(held.scene.rows(Table::PackCompliance, "org", DAYS[1]), committed);
    assert_eq!(held.small("", &["--reject"]).code, Some(0));
    is_sound(&held.scene, &held.pipeline, &[]);
}

#[test]
fn a_day_that_is_rejected_is_removed_and_the_ledger_says_so() {
    let held = Held::new();
    assert_eq!(held.small("", &[]).code, Some(4));
    let before = files(&held.scene.path("lake"));
    let ended = held.small("", &["--reject"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("rejected"), "{ended:?}");
    assert!(!held.is_held());
    assert_eq!(
        (held.ledger("outcome"), held.ledger("commit_number")),
        (vec!["held".to_owned(), "rejected".to_owned()], vec!["1".to_owned(), "2".to_owned()])
    );
    is_sound(&held.scene, &held.pipeline, &[]);
    let after = files(&held.scene.path("lake"));
    let of_tables = |name: &&String| !name.starts_with("_compline") && !name.starts_with("runs/");
    assert!(before.keys().filter(of_tables).eq(after.keys().filter(of_tables)));
    // There is nothing to say a second time, and nothing that the ledger gets a row of.
    let again = held.small("", &["--reject"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("nothing is held of 2026-02-25"), "{again:?}");
    assert_eq!(held.ledger("outcome").len(), 2);
    assert_eq!(held.small("", &["--reject", "--accept"]).code, Some(2));
    // The day can still be collected.
    assert_eq!(held.night(DAYS[1]).code, Some(0));
    is_sound(&held.scene, &held.pipeline, &[]);
}

#[test]
fn a_commit_that_a_stopped_run_intended_is_completed_though_the_day_was_held_since() {
    let held = Held::new();
    // The run that was to commit the day cannot write its facts.
    let path = held.scene.path("lake/pack_compliance").join(format!("snapshot_date={}", DAYS[1]));
    std::fs::write(&path, "").expect("written");
    let ended = run(held.scene.command(&["run", &held.pipeline, "--date", DAYS[1], "--json"]));
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    // While it is still so, another run holds the day, which does not end the commit.
    let ended = held.small("", &[]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(held.night(DAYS[2]).code, Some(0));
    let facts = held.scene.read(&held.scene.lake(), Table::PackCompliance, "org", DAYS[1]).expect("facts");
    assert!(column(&facts, "run_id").iter().all(|id| Some(id.as_str()) == report["run_id"].as_str()));
    is_sound(&held.scene, &held.pipeline, &[]);
    assert!(held.is_held(), "what was held after it is still there to be accepted");
    assert_eq!(held.small("", &["--accept"]).code, Some(0));
    is_sound(&held.scene, &held.pipeline, &[]);
}

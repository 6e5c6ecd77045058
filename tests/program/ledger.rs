//! A ledger that is damaged: what waits for it, and what it is made again from.

use crate::damage::{DAYS, night, three_days};
use crate::support::reading::{column, file, files};
use crate::support::{Scene, pack_tables, run};
use crate::verify::{is_sound, noted_problems};
use arrow::array::{AsArray, Int64Array, RecordBatch, StringViewArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use compline_model::{SCHEMA_VERSION, Table};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A column of the ledger of the second day.
fn ledger(scene: &Scene, name: &str) -> Vec<String> {
    column(&scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger"), name)
}

/// The folder of the documents of the rows of that ledger.
fn documents(scene: &Scene) -> PathBuf {
    scene.path("lake/_compline/ledger").join(format!("snapshot_date={}/aggregator=org", DAYS[1]))
}

fn damage(scene: &Scene) {
    std::fs::write(file(scene, Table::Runs, DAYS[1]), b"PAR1 no more").expect("written");
}

#[test]
fn a_ledger_that_is_damaged_is_made_again_from_the_documents_of_its_runs() {
    let (scene, pipeline) = three_days();
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(0));
    let told = || scene.rows(Table::Runs, "org", DAYS[1]);
    let before = told();
    damage(&scene);
    let ended = run(scene.command(&["verify", &pipeline]));
    assert!(ended.stdout.contains("`compline verify FILE --repair` makes it again from _compline/runs"), "{ended:?}");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(told(), before);
    let aside = files(&scene.path("lake/_compline/damaged"));
    assert_eq!(aside.into_values().collect::<Vec<_>>(), [b"PAR1 no more"], "the damaged file is set aside");
}

#[test]
fn a_ledger_that_is_damaged_gets_its_row_once_it_is_restored() {
    let (scene, pipeline) = three_days();
    let path = file(&scene, Table::Runs, DAYS[2]);
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, b"x").expect("written");
    let ended = night(&scene, &pipeline, DAYS[2]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("the run is not in the ledger yet"), "{ended:?}");
    assert_eq!(std::fs::read(&path).expect("read"), b"x", "the only copy is left where it is");
    // Another day is not the worse for it, and says what waits.
    let ended = night(&scene, &pipeline, DAYS[3]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("a stopped run could not be completed yet"), "{ended:?}");
    // So no next run completes it while the ledger is as it is: that is told, and counted.
    let ended = run(scene.command(&["verify", &pipeline]));
    assert!(ended.code == Some(1) && ended.stdout.contains("cannot read runs/snapshot_date=2026-02-26"), "{ended:?}");
    assert!(noted_problems(&scene, &pipeline) > 0);
    std::fs::write(&path, whole).expect("restored");
    assert_eq!(night(&scene, &pipeline, DAYS[4]).code, Some(0));
    assert_eq!(scene.rows(Table::Runs, "org", DAYS[2]).len(), 2);
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_ledger_made_again_has_the_runs_that_were_made_while_it_was_damaged_or_were_completed_later() {
    let (scene, pipeline) = three_days();
    damage(&scene);
    // Its row waits in the journal.
    let ended = night(&scene, &pipeline, DAYS[1]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(ledger(&scene, "outcome"), ["succeeded", "succeeded"]);
    assert_eq!(ledger(&scene, "commit_number"), ["1", "2"]);

    // A run whose facts could not be put is completed by the next session, and is in no report as that.
    let facts = file(&scene, Table::PackCompliance, DAYS[1]);
    let aside = scene.path("aside");
    std::fs::rename(facts.parent().expect("a folder"), &aside).expect("moved");
    std::fs::write(facts.parent().expect("a folder"), "").expect("written");
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(1));
    std::fs::remove_file(facts.parent().expect("a folder")).expect("removed");
    std::fs::rename(&aside, facts.parent().expect("a folder")).expect("moved back");
    assert_eq!(night(&scene, &pipeline, DAYS[3]).code, Some(0));
    is_sound(&scene, &pipeline, &[]);
    let before = scene.rows(Table::Runs, "org", DAYS[1]);
    assert_eq!(before.len(), 3);
    damage(&scene);
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before);

    // The same on a lake of a version that wrote no rows down: the file that is there names its run.
    std::fs::remove_dir_all(scene.path("lake/_compline/ledger")).expect("removed");
    damage(&scene);
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(ledger(&scene, "outcome"), ["succeeded"; 3]);
}

#[test]
fn the_ledgers_of_all_days_are_made_again_from_the_reports_of_runs_as_that_of_one_is() {
    let (scene, pipeline) = three_days();
    std::fs::remove_dir_all(scene.path("lake/runs")).expect("removed");
    std::fs::remove_dir_all(scene.path("lake/_compline/ledger")).expect("removed");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(ledger(&scene, "outcome"), ["succeeded"]);
}

#[test]
fn a_ledger_of_a_newer_version_is_not_made_again() {
    let (scene, pipeline) = three_days();
    let path = file(&scene, Table::Runs, DAYS[1]);
    let mut newer = std::fs::read(&path).expect("read");
    let name = b"compline.schema_version";
    let at = newer.windows(name.len()).position(|bytes| bytes == name).expect("its key") + name.len();
    let digit = at + newer[at..].iter().position(u8::is_ascii_digit).expect("its value");
    newer[digit] = b'9';
    std::fs::write(&path, &newer).expect("written");
    let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("a newer compline wrote it"), "{ended:?}");
    assert_eq!(std::fs::read(&path).expect("read"), newer);
}

/// A lake whose days but the last are in their months alone.
fn dropped() -> (Scene, String) {
    let (scene, _) = three_days();
    let drops = "[maintain]\nsnapshot_days = 5\ncompact = [\"pack_compliance\", \"source_status\"]";
    let pipeline = scene.org_pipeline("lake", "", drops).display().to_string();
    scene.night(Path::new(&pipeline), "2026-03-01");
    let ended = run(scene.command(&["maintain", &pipeline, "--apply"]));
    assert!(ended.stdout.contains("dropped pack_compliance of 3 days"), "{ended:?}");
    (scene, pipeline)
}

/// An import of the second day that has one pack.
fn import(scene: &Scene, pipeline: &str) -> crate::support::Ended {
    let one = r#"{"ConformancePackName":"one","AccountId":"000000000001","AwsRegion":"eu-west-1","Compliance":{"ComplianceType":"COMPLIANT"}}"#;
    std::fs::write(scene.path("one.json"), one).expect("written");
    run(scene.command(&["import", pipeline, "--aggregator", "org", "--date", DAYS[1], "one.json", "--accept"]))
}

#[test]
fn a_ledger_made_again_knows_that_its_day_was_dropped_and_nothing_takes_the_place_of_what_its_month_has() {
    let (scene, pipeline) = dropped();
    let month: PathBuf = scene.path("lake/pack_compliance_monthly/snapshot_month=2026-02/aggregator=org/data.parquet");
    let rows = std::fs::read(&month).expect("read");
    assert_eq!(ledger(&scene, "outcome"), ["succeeded", "dropped"]);
    damage(&scene);
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(ledger(&scene, "outcome"), ["succeeded", "dropped"]);
    assert_eq!(import(&scene, &pipeline).code, Some(1));

    // On a lake of a version that wrote no rows down nothing says that it was dropped: the ledger stays as it is.
    std::fs::remove_dir_all(scene.path("lake/_compline/ledger")).expect("removed");
    damage(&scene);
    let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("the ledger is not made again"), "{ended:?}");
    assert_eq!(std::fs::read(file(&scene, Table::Runs, DAYS[1])).expect("read"), b"PAR1 no more");
    // Nor does anybody who makes a ledger of the run alone, by hand, open the day for another snapshot.
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[1])).expect("removed");
    let ended = import(&scene, &pipeline);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(std::fs::read(&month).expect("read"), rows);
    assert!(files(&scene.path("lake/pack_compliance")).keys().all(|name| !name.contains(DAYS[1])));
}

#[test]
fn a_ledger_that_is_gone_is_told_and_made_again_and_no_run_begins_another() {
    let (scene, pipeline) = three_days();
    let path = file(&scene, Table::Runs, DAYS[1]);
    let before = scene.rows(Table::Runs, "org", DAYS[1]);
    std::fs::remove_file(&path).expect("removed");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("runs of 2026-02-25 is not there, and the documents of its runs are"), "{ended:?}");
    assert!(ended.stdout.contains("1 problem found"), "{ended:?}");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before);
    // Also where a run comes first, and on a lake of a version that wrote no rows down.
    for older in [false, true] {
        std::fs::remove_file(&path).expect("removed");
        if older {
            std::fs::remove_dir_all(scene.path("lake/_compline/ledger")).expect("removed");
        }
        let rows = ledger_after(&scene, &pipeline);
        // A report says when its whole run ended, and not one aggregator's part of it.
        let told = |rows: &[String]| -> Vec<String> {
            let without_end = |row: &String| {
                let mut fields: Vec<&str> = row.split('|').collect();
                fields.remove(1);
                fields.join("|")
            };
            rows[..before.len()].iter().map(without_end).collect()
        };
        assert_eq!(told(&rows), told(&before));
        is_sound(&scene, &pipeline, &[]);
    }
    assert_eq!(ledger(&scene, "commit_number"), ["1", "2", "3"]);
}

/// The rows of the second day's ledger after it was run once more.
fn ledger_after(scene: &Scene, pipeline: &str) -> Vec<String> {
    assert_eq!(night(scene, pipeline, DAYS[1]).code, Some(0));
    scene.rows(Table::Runs, "org", DAYS[1])
}

#[test]
fn a_day_all_of_whose_objects_are_gone_is_told_by_the_documents_of_its_runs() {
    for older in [false, true] {
        let (scene, pipeline) = three_days();
        for table in pack_tables() {
            std::fs::remove_file(file(&scene, table, DAYS[2])).expect("removed");
        }
        if older {
            std::fs::remove_dir_all(scene.path("lake/_compline/ledger")).expect("removed");
        }
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains("runs of 2026-02-26 is not there"), "{ended:?}");
        let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
        assert_eq!(ended.code, Some(1), "it cannot be made up: {ended:?}");
        assert!(ended.stdout.contains("2026-02-26 is not there"), "{ended:?}");
    }
}

#[test]
fn a_dropped_day_whose_ledger_is_gone_is_told() {
    let (scene, pipeline) = dropped();
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[1])).expect("removed");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("runs of 2026-02-25 is not there"), "{ended:?}");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(ledger(&scene, "outcome"), ["succeeded", "dropped"]);
}

#[test]
fn a_document_of_another_day_or_of_nobody_is_no_row() {
    let (scene, pipeline) = three_days();
    let folder = |day: &str| scene.path("lake/_compline/ledger").join(format!("snapshot_date={day}/aggregator=org"));
    let before = scene.rows(Table::Runs, "org", DAYS[1]);
    for entry in std::fs::read_dir(folder(DAYS[0])).expect("documents").flatten() {
        std::fs::copy(entry.path(), folder(DAYS[1]).join(entry.file_name())).expect("copied");
    }
    std::fs::write(folder(DAYS[1]).join("zz.json"), r#"{"run_id":"zz","outcome":"succeeded","commit_number":99}"#)
        .expect("written");
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[1])).expect("removed");
    let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
    assert!(
        ended.stderr.contains("a document of the ledger's rows, below _compline/ledger, cannot be read"),
        "{ended:?}"
    );
    assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before);
}

#[test]
fn rows_whose_documents_were_removed_or_never_were_are_written_down_with_the_next_row() {
    let (scene, pipeline) = three_days();
    for folder in ["ledger", "runs"] {
        std::fs::remove_dir_all(scene.path("lake/_compline").join(folder)).expect("removed");
    }
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(0));
    let before = scene.rows(Table::Runs, "org", DAYS[1]);
    assert_eq!(before.len(), 2);
    damage(&scene);
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before);
}

/// Writes the ledger of the second day as another program does that keeps what the file says of itself, but for the checksum.
fn write_anew(scene: &Scene, rows: &RecordBatch) {
    let mut bytes = Vec::new();
    let said = |name: &str, value: String| KeyValue::new(format!("compline.{name}"), value);
    let said = vec![said("table", "runs".to_owned()), said("schema_version", SCHEMA_VERSION.to_string())];
    let properties = WriterProperties::builder().set_key_value_metadata(Some(said)).build();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).expect("a writer");
    writer.write(rows).expect("written");
    writer.close().expect("closed");
    std::fs::write(file(scene, Table::Runs, DAYS[1]), bytes).expect("written");
}

#[test]
fn a_ledger_that_another_program_wrote_is_told_and_made_again_from_its_documents_and_the_snapshot_is_not_blamed() {
    let (scene, pipeline) = three_days();
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(0));
    let told = || scene.rows(Table::Runs, "org", DAYS[1]);
    let before = told();
    let of_day = |day| scene.read(&scene.lake(), Table::Runs, "org", day).expect("a ledger");
    let rows = of_day(DAYS[1]);
    // The hash of a snapshot that never was, in the row of the last commit.
    let mut columns = rows.columns().to_vec();
    let at = rows.schema().index_of("snapshot_sha256").expect("a column");
    columns[at] = Arc::new(StringViewArray::from(vec!["0".repeat(64); rows.num_rows()]));
    let changed = RecordBatch::try_new(rows.schema(), columns).expect("rows");
    for (what, wrong) in [
        ("changed", changed),
        ("emptied", rows.slice(0, 0)),
        ("its last row", rows.slice(1, 1)),
        ("another day's", of_day(DAYS[0])),
    ] {
        write_anew(&scene, &wrong);
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        let problems: Vec<&str> = ended.stdout.lines().filter(|line| line.contains(DAYS[1])).collect();
        assert!(problems.iter().all(|line| line.contains(&format!("runs of {} ", DAYS[1]))), "{what}: {ended:?}");
        assert!(ended.stdout.contains("`compline verify FILE --repair` makes it again from the documents"), "{what}");
        is_sound(&scene, &pipeline, &["--repair"]);
        assert_eq!(told(), before, "{what}");
    }
    // As it was written, it says what became of the day, and an earlier version of it does not.
    let path = file(&scene, Table::Runs, DAYS[1]);
    let earlier = std::fs::read(&path).expect("read");
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(0));
    let before = told();
    std::fs::write(&path, earlier).expect("written");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert!(ended.stdout.contains("an earlier version of the object was restored"), "{ended:?}");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(told(), before);
}

#[test]
fn a_document_that_says_another_row_than_a_ledger_that_is_as_it_was_written_is_written_again() {
    let (scene, pipeline) = three_days();
    let folder = documents(&scene);
    let before = (scene.rows(Table::Runs, "org", DAYS[1]), files(&folder));
    let (name, document) = before.1.first_key_value().expect("a document");
    let document = String::from_utf8(document.clone()).expect("text");
    let other = document.replace("\"snapshot_sha256\": \"", "\"snapshot_sha256\": \"0");
    assert_ne!(other, document);
    std::fs::write(folder.join(name), other).expect("written");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("writes it again from the ledger"), "{ended:?}");
    is_sound(&scene, &pipeline, &["--repair"]);
    assert!((scene.rows(Table::Runs, "org", DAYS[1]), files(&folder)) == before, "they are as they were");
}

/// Leaves rows of a ledger out, and writes it as another program does.
fn without_dataset(scene: &Scene, dataset: &str) {
    let rows = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
    let datasets = rows["dataset"].as_string_view();
    let kept: Vec<u32> = (0..).zip(datasets).filter(|(_, own)| *own != Some(dataset)).map(|(row, _)| row).collect();
    write_anew(scene, &take_record_batch(&rows, &UInt32Array::from(kept)).expect("rows"));
}

#[test]
fn a_ledger_that_lacks_the_rows_of_one_dataset_or_of_both_is_made_again() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", r#"datasets = ["packs", "rules"]"#, "").display().to_string();
    for day in &DAYS[..3] {
        assert_eq!(night(&scene, &pipeline, day).code, Some(0));
    }
    let before = scene.rows(Table::Runs, "org", DAYS[1]);
    assert_eq!(before.len(), 2);
    for lacks in [&["rules"][..], &["packs"], &["packs", "rules"]] {
        lacks.iter().for_each(|dataset| without_dataset(&scene, dataset));
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{lacks:?}: {ended:?}");
        let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
        assert_eq!(ended.code, Some(0), "{lacks:?}: {ended:?}");
        assert!(!ended.stderr.contains("is not made again"), "{lacks:?}: {ended:?}");
        assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before, "{lacks:?}");
    }
}

/// Changes the document of the one run of the second day.
fn change_document(scene: &Scene) {
    let folder = documents(scene);
    let (name, document) = files(&folder).pop_first().expect("a document");
    let document = String::from_utf8(document).expect("text");
    std::fs::write(folder.join(name), document.replace("\"snapshot_sha256\": \"", "\"snapshot_sha256\": \"0"))
        .expect("written");
}

#[test]
fn a_document_that_is_damaged_beside_a_ledger_of_an_older_version_is_written_again_and_the_ledger_is_not() {
    for has_reports in [true, false] {
        let (scene, pipeline) = three_days();
        let before = scene.rows(Table::Runs, "org", DAYS[1]);
        // Files of older versions have no checksum.
        write_anew(&scene, &scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger"));
        let written = std::fs::read(file(&scene, Table::Runs, DAYS[1])).expect("read");
        if !has_reports {
            std::fs::remove_dir_all(scene.path("lake/_compline/runs")).expect("removed");
        }
        change_document(&scene);
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let problems: Vec<&str> = ended.stdout.lines().filter(|line| line.contains(DAYS[1])).collect();
        assert!(problems.len() == 1 && problems[0].contains("writes it again from the ledger"), "{ended:?}");
        is_sound(&scene, &pipeline, &["--repair"]);
        assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before);
        assert!(std::fs::read(file(&scene, Table::Runs, DAYS[1])).expect("read") == written, "the file is as it was");
    }
}

#[test]
fn what_nothing_says_of_a_ledger_without_a_checksum_is_told_and_left_as_it_is() {
    let (scene, pipeline) = three_days();
    write_anew(&scene, &scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger"));
    std::fs::remove_dir_all(scene.path("lake/_compline/runs")).expect("removed");
    let folder = documents(&scene);
    let (name, document) = files(&folder).pop_first().expect("a document");
    let document = String::from_utf8(document).expect("text");
    std::fs::write(folder.join(name), document.replace("\"calls\": ", "\"calls\": 1")).expect("written");
    let before = (files(&folder), std::fs::read(file(&scene, Table::Runs, DAYS[1])).expect("read"));
    for options in [&["verify", &*pipeline][..], &["verify", &pipeline, "--repair"]] {
        let ended = run(scene.command(options));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains("nothing says which of them is right"), "{ended:?}");
    }
    assert!(
        (files(&folder), std::fs::read(file(&scene, Table::Runs, DAYS[1])).expect("read")) == before,
        "it was changed"
    );
}

#[test]
fn a_run_that_another_program_added_to_a_ledger_is_told_and_does_not_make_the_snapshot_look_wrong() {
    for removed in [None, Some("runs")] {
        let (scene, pipeline) = three_days();
        let before = scene.rows(Table::Runs, "org", DAYS[1]);
        let of_day = |day| scene.read(&scene.lake(), Table::Runs, "org", day).expect("a ledger");
        let rows = of_day(DAYS[1]);
        // One that committed later than any other.
        let other = of_day(DAYS[2]);
        let at = other.schema().index_of("commit_number").expect("a column");
        let mut columns = other.columns().to_vec();
        columns[at] = Arc::new(Int64Array::from(vec![99]));
        let other = RecordBatch::try_new(other.schema(), columns).expect("rows");
        write_anew(&scene, &concat_batches(&rows.schema(), [&rows, &other]).expect("rows"));
        removed.inspect(|folder| std::fs::remove_dir_all(scene.path("lake/_compline").join(folder)).expect("removed"));
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let problems: Vec<&str> = ended.stdout.lines().filter(|line| line.contains(DAYS[1])).collect();
        assert!(problems.len() == 1 && problems[0].contains("of which nothing else tells"), "{ended:?}");
        is_sound(&scene, &pipeline, &["--repair"]);
        assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before);
    }
}

#[test]
fn a_night_does_not_make_what_another_program_wrote_into_a_ledger_its_own() {
    let (scene, pipeline) = three_days();
    let before = scene.rows(Table::Runs, "org", DAYS[1]);
    let rows = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
    write_anew(&scene, &rows.slice(0, 0));
    let after = ledger_after(&scene, &pipeline);
    assert_eq!((after.len(), &after[..1]), (2, &before[..]));
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_ledger_whose_rows_are_doubled_or_out_of_order_is_told_with_what_to_do_and_made_again() {
    let (scene, pipeline) = three_days();
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(0));
    let before = scene.rows(Table::Runs, "org", DAYS[1]);
    let rows = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
    let order = |order: Vec<u32>| take_record_batch(&rows, &UInt32Array::from(order)).expect("rows");
    for wrong in [order(vec![0, 1, 0, 1]), order(vec![0, 0, 1]), order(vec![1, 0])] {
        write_anew(&scene, &wrong);
        let ended = run(scene.command(&["verify", &pipeline]));
        assert!(ended.code == Some(1) && ended.stdout.contains("`compline verify FILE --repair`"), "{ended:?}");
        is_sound(&scene, &pipeline, &["--repair"]);
        assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before);
    }
}

#[test]
fn a_commit_that_neither_the_ledger_nor_a_document_of_it_tells_of_is_taken_from_the_report_of_its_run() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", r#"datasets = ["packs", "rules"]"#, "").display().to_string();
    for day in &DAYS[..2] {
        assert_eq!(night(&scene, &pipeline, day).code, Some(0));
    }
    let outcomes = || {
        let rows = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
        ["outcome", "dataset", "snapshot_sha256"].map(|name| column(&rows, name))
    };
    let before = outcomes();
    let of_packs = scene.path("lake/_compline/ledger").join(format!("snapshot_date={}", DAYS[1]));
    for keep in ["rules", "none"] {
        without_dataset(&scene, "packs");
        if keep == "none" {
            without_dataset(&scene, "rules");
        }
        std::fs::remove_dir_all(&of_packs).expect("documents of packs");
        let ended = run(scene.command(&["verify", &pipeline]));
        assert_eq!(ended.code, Some(1), "{keep}: {ended:?}");
        assert!(!ended.stdout.contains("has no run that committed"), "{keep}: {ended:?}");
        is_sound(&scene, &pipeline, &["--repair"]);
        assert_eq!(outcomes(), before, "{keep}");
    }
}

#[test]
fn a_document_that_denies_the_snapshot_that_is_there_is_not_what_a_ledger_is_made_again_from() {
    let (scene, pipeline) = three_days();
    let before = ledger(&scene, "outcome");
    let folder = documents(&scene);
    let (name, document) = files(&folder).pop_first().expect("a document");
    let document = String::from_utf8(document).expect("text");
    let other = document.replace("\"succeeded\"", "\"rejected\"");
    assert_ne!(other, document);
    std::fs::write(folder.join(name), other).expect("written");
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[1])).expect("removed");
    let _ = run(scene.command(&["verify", &pipeline, "--repair"]));
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!(ledger(&scene, "outcome"), before);
}

#[test]
fn a_ledger_that_is_damaged_and_a_document_of_it_too_are_made_again_at_once() {
    let (scene, pipeline) = three_days();
    let before = (ledger(&scene, "outcome"), ledger(&scene, "snapshot_sha256"));
    let folder = documents(&scene);
    let (name, _) = files(&folder).pop_first().expect("a document");
    std::fs::write(folder.join(name), "{").expect("written");
    damage(&scene);
    is_sound(&scene, &pipeline, &["--repair"]);
    assert_eq!((ledger(&scene, "outcome"), ledger(&scene, "snapshot_sha256")), before);
}

#[test]
fn a_dropped_day_whose_ledger_and_the_document_of_whose_drop_are_gone_is_not_made_one_that_is_lost() {
    let (scene, pipeline) = dropped();
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[1])).expect("removed");
    let folder = documents(&scene);
    let of_drop =
        files(&folder).into_iter().find(|(_, document)| String::from_utf8_lossy(document).contains("\"dropped\""));
    std::fs::remove_file(folder.join(of_drop.expect("a document").0)).expect("removed");
    let ended = run(scene.command(&["verify", &pipeline, "--repair"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("runs of 2026-02-25 is not there"), "{ended:?}");
    assert!(!ended.stdout.contains("pack_compliance of 2026-02-25 is not there"), "{ended:?}");
}

#[test]
fn a_dropped_day_whose_ledger_is_gone_is_told_where_old_documents_were_removed() {
    let (scene, pipeline) = dropped();
    for folder in ["ledger", "runs"] {
        std::fs::remove_dir_all(scene.path("lake/_compline").join(folder)).expect("removed");
    }
    is_sound(&scene, &pipeline, &[]);
    std::fs::remove_file(file(&scene, Table::Runs, DAYS[1])).expect("removed");
    let ended = run(scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("runs of 2026-02-25, which pack_compliance_monthly/"), "{ended:?}");
    // So is one that has nothing of the day any more.
    write_anew(&scene, &scene.read(&scene.lake(), Table::Runs, "org", DAYS[0]).expect("a ledger").slice(0, 0));
    let ended = run(scene.command(&["verify", &pipeline]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("has no run that committed it"), "{ended:?}");
}

#[test]
fn a_document_of_a_commit_of_which_nothing_else_tells_does_not_get_into_a_sound_ledger() {
    let (scene, pipeline) = three_days();
    let folder = documents(&scene);
    let before = (scene.rows(Table::Runs, "org", DAYS[1]), files(&folder));
    let (name, document) = before.1.first_key_value().expect("a document");
    let mut other: serde_json::Value = serde_json::from_slice(document).expect("JSON");
    let run_id = "01900000-0000-7000-8000-000000000001";
    other["run_id"] = run_id.into();
    other["commit_number"] = 9.into();
    other["snapshot_sha256"] = "0".repeat(64).into();
    let forged = folder.join(name).with_file_name(format!("{run_id}.json"));
    std::fs::write(&forged, other.to_string()).expect("written");
    for options in [&["verify", &*pipeline][..], &["verify", &pipeline, "--repair"]] {
        let ended = run(scene.command(options));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let problems: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("problem: ")).collect();
        assert!(problems.len() == 1 && problems[0].contains("move it away"), "{ended:?}");
        assert_eq!(scene.rows(Table::Runs, "org", DAYS[1]), before.0);
    }
    std::fs::remove_file(forged).expect("moved");
    is_sound(&scene, &pipeline, &[]);
}

#[test]
fn a_row_without_a_document_that_the_report_of_its_run_contradicts_is_told_and_left_as_it_is() {
    let (scene, pipeline) = three_days();
    let rows = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
    assert_eq!(night(&scene, &pipeline, DAYS[1]).code, Some(0));
    let both = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
    let at = both.schema().index_of("calls").expect("a column");
    let mut columns = both.columns().to_vec();
    columns[at] = Arc::new(Int64Array::from(vec![999; both.num_rows()]));
    let changed = RecordBatch::try_new(both.schema(), columns).expect("rows");
    write_anew(&scene, &concat_batches(&rows.schema(), [&both.slice(0, 1), &changed.slice(1, 1)]).expect("rows"));
    let run_id = &column(&both, "run_id")[1];
    let folder = documents(&scene);
    std::fs::remove_file(folder.join(format!("{run_id}.json"))).expect("removed");
    for options in [&["verify", &*pipeline][..], &["verify", &pipeline, "--repair"]] {
        let ended = run(scene.command(options));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains("is right about that run"), "{ended:?}");
        assert_eq!(ledger(&scene, "calls")[1], "999");
    }
}

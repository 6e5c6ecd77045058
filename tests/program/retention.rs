//! How long Compline retains what it has for itself.

use crate::support::reading::{column, files};
use crate::support::{Scene, run};
use crate::verify::is_sound;
use compline_model::Table;
use std::process::Command;

const DAYS: [&str; 2] = ["2026-02-24", "2026-02-25"];

#[test]
fn f18_old_pages_documents_and_held_days_go_when_the_settings_say_so_and_what_is_young_stays() {
    let scene = Scene::of_accounts(12);
    let archived = scene.org_pipeline("lake", "", "[archive]\nraw = true");
    scene.night(&archived, DAYS[0]);
    // A day that lost much is held.
    let small = Scene::of_accounts(4);
    let path = small.org_pipeline("lake", "", "[archive]\nraw = true");
    let own = format!("{:?}", small.path("lake").display().to_string());
    let shared = format!("{:?}", scene.path("lake").display().to_string());
    std::fs::write(&path, std::fs::read_to_string(&path).expect("read").replace(&own, &shared)).expect("written");
    let ended = run(small.command(&["run", &path.display().to_string(), "--date", DAYS[1]]));
    assert_eq!(ended.code, Some(4), "{ended:?}");

    let names = || files(&scene.path("lake/_compline")).into_keys().collect::<Vec<_>>();
    let below = |folder: &str| names().iter().filter(|name| name.starts_with(folder)).count();
    assert_eq!((below("raw/"), below("runs/"), below("ledger/"), below("held/")), (2, 2, 2, 2));
    let lines = |days: u32| format!("[maintain]\nraw_days = {days}\nruns_days = {days}\nheld_days = {days}");
    let maintain = |days: u32, arguments: &[&str]| {
        let pipeline = scene.org_pipeline("lake", "", &lines(days)).display().to_string();
        let ended = run(scene.command(&[&["maintain", &pipeline], arguments].concat()));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let before = names();
    assert_eq!(maintain(36_000, &["--apply"]), "nothing to do\n");
    // Of a day whose ledger is gone the documents are the only copy.
    let ledger = scene.path("lake/runs").join(format!("snapshot_date={}/aggregator=org/data.parquet", DAYS[0]));
    let whole = std::fs::read(&ledger).expect("read");
    std::fs::remove_file(&ledger).expect("removed");
    assert!(!maintain(5, &[]).contains("documents of runs"));
    std::fs::write(&ledger, whole).expect("restored");
    let said = maintain(5, &[]);
    assert!(said.contains("org: would remove archived pages of 2 days, 2026-02-24 to 2026-02-25"), "{said}");
    // What is held only lately stays, however old its day is, and so do its documents.
    assert!(
        said.contains("org: would remove documents of runs of 1 day, 2026-02-24") && !said.contains("reject"),
        "{said}"
    );
    assert_eq!(names(), before);
    maintain(5, &["--apply"]);
    assert_eq!((below("raw/"), below("runs/"), below("ledger/"), below("held/")), (0, 1, 1, 2));
    is_sound(&scene, &scene.org_pipeline("lake", "", "").display().to_string(), &[]);

    // Some weeks later.
    if Command::new("faketime").arg("--version").output().is_err() {
        eprintln!("no faketime, so no later day is tried");
        return;
    }
    let later = || {
        let pipeline = scene.org_pipeline("lake", "", &lines(5)).display().to_string();
        let ours = scene.command(&[]);
        let mut command = Command::new("faketime");
        command.args(["-f", "+40d"]).arg(ours.get_program()).args(["maintain", &pipeline, "--apply"]);
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let said = later();
    assert!(said.contains("org: rejected what is held of 2026-02-25"), "{said}");
    assert_eq!(below("held/"), 0);
    later();
    assert_eq!((below("runs/"), below("ledger/")), (0, 0));
    assert_eq!(later(), "nothing to do\n");
    let ledger = scene.read(&scene.lake(), Table::Runs, "org", DAYS[1]).expect("a ledger");
    assert_eq!(column(&ledger, "outcome"), ["held", "rejected"]);
    assert!(column(&ledger, "error")[1].contains("it was held for longer than maintain.held_days says"));
    is_sound(&scene, &scene.org_pipeline("lake", "", "").display().to_string(), &[]);
}

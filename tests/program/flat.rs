//! What a night costs does not grow with the history: the calls to S3 after ten days and after a year.

use crate::s3_calls::{Calls, serve};
use crate::support::reading::files;
use crate::support::{Ended, Scene, pack_tables, run};
use compline_model::{Dataset, SnapshotDate, Table};
use compline_sink::Partition;
use std::collections::BTreeMap;
use std::path::Path;

/// Days that a night may read: more than the longest window has.
const READ_DAYS: u32 = 100;

/// Days of the long history unless `COMPLINE_FLAT_DAYS` says so: more than a year, and many times what a list of a night has of its table.
const DAYS: u32 = 370;

const TODAY: &str = "2026-03-01";
const TOMORROW: &str = "2026-03-02";

fn day(ago: u32) -> SnapshotDate {
    TODAY.parse::<SnapshotDate>().expect("a date").minus_days(ago)
}

/// The lists of the server behind say nothing of entity tags, which S3's do.
fn with_entity_tags(list: &str) -> String {
    let mut parts = list.split("<Contents>");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let of = |element: &str| {
            let (_, rest) = part.split_once(&format!("<{element}>"))?;
            rest.split_once(&format!("</{element}>")).map(|(value, _)| value)
        };
        let tag = format!("{}-{}", of("LastModified").unwrap_or_default(), of("Size").unwrap_or_default());
        format!("{text}<Contents><ETag>&quot;{tag}&quot;</ETag>{part}")
    })
}

/// A scene with lakes of some days.
struct Lakes {
    scene: Scene,
}

impl Lakes {
    /// Makes a lake of as many days: the first and the last are those of runs, and the others have the rows of the first.
    fn of_days(&self, name: &str, days: u32) {
        std::fs::create_dir_all(self.scene.path(&format!("{name}/bucket"))).expect("a bucket");
        let folder = format!("{name}/bucket/lake");
        let pipeline = self.scene.org_pipeline(&folder, "", "");
        for ago in [days, 1] {
            self.scene.night(&pipeline, &day(ago).to_string());
        }
        let lake = self.scene.lake_at(&folder);
        for table in pack_tables() {
            let rows = self.scene.read(&lake, table, "org", &day(days).to_string()).expect("a partition");
            for ago in 2..days {
                let partition = Partition { table, date: day(ago), aggregator: "org".parse().expect("an id") };
                let file = self.scene.runtime.block_on(lake.encode(&partition, rows.clone())).expect("a file");
                write(&self.scene.path(&folder).join(partition.key()), &file);
            }
        }
    }

    /// Adds earlier days: copies, since nothing reads them.
    fn make_long(&self, name: &str) {
        let folder = self.scene.path(&format!("{name}/bucket/lake"));
        let first = format!("snapshot_date={}/", day(READ_DAYS));
        let of_first: BTreeMap<String, Vec<u8>> =
            files(&folder).into_iter().filter(|(key, _)| key.contains(&first)).collect();
        assert!(of_first.len() >= pack_tables().len(), "{:?}", of_first.keys());
        let wanted = std::env::var("COMPLINE_FLAT_DAYS").ok().map(|days| days.parse().expect("a number"));
        let days = wanted.unwrap_or(DAYS);
        assert!(days > READ_DAYS, "COMPLINE_FLAT_DAYS is more than {READ_DAYS}");
        for ago in READ_DAYS + 1..days {
            for (key, content) in &of_first {
                write(&folder.join(key.replace(&first, &format!("snapshot_date={}/", day(ago)))), content);
            }
        }
    }

    /// What a command asks of S3; the command must succeed.
    fn requests(&self, name: &str, command: &[&str]) -> Vec<String> {
        let calls = Calls { lists: Some(with_entity_tags), ..Calls::default() };
        let (url, calls) = self.scene.runtime.block_on(serve(&self.scene.path(name), calls));
        let ended = self.compline(name, &url, command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        calls.requests.lock().expect("no panic").clone()
    }

    /// The same by kind.
    fn calls(&self, name: &str, command: &[&str]) -> (usize, BTreeMap<String, usize>) {
        let requests = self.requests(name, command);
        let mut kinds = BTreeMap::new();
        for request in &requests {
            let is_of_table =
                Table::ALL.iter().any(|table| request.ends_with(&format!("prefix=lake%2F{}%2F", table.name())));
            assert!(!is_of_table, "a list of a whole table: {request}");
            *kinds.entry(kind(request)).or_default() += 1;
        }
        (requests.len(), kinds)
    }

    fn compline(&self, name: &str, url: &str, command: &[&str]) -> Ended {
        let pipeline = self.scene.org_pipeline(name, "", "");
        let text = std::fs::read_to_string(&pipeline).expect("read");
        let folder = format!("url = {:?}", self.scene.path(name).display().to_string());
        let lake =
            format!("url = \"s3://bucket/lake\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\npath_style = true");
        std::fs::write(&pipeline, text.replace(&folder, &lake)).expect("written");
        let (name, rest) = command.split_first().expect("a command");
        let mut command = self.scene.command(&[&[*name, &pipeline.display().to_string()], rest].concat());
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        run(command)
    }
}

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, content).expect("written");
}

/// A request without what makes it one of a day.
fn kind(request: &str) -> String {
    let (method, uri) = request.split_once(' ').unwrap_or_default();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    if query.contains("list-type=2") {
        let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or_default();
        return format!("LIST {}", prefix.replace("%2F", "/").split("snapshot_date").next().unwrap_or_default());
    }
    let table = path.trim_start_matches("/bucket/lake/").split("/snapshot_date").next().unwrap_or_default();
    format!("{method} {table}")
}

#[test]
fn a_night_asks_no_more_of_s3_after_a_year_than_after_ten_days() {
    let lakes = Lakes { scene: Scene::of_accounts(4) };
    lakes.of_days("young", 10);
    lakes.of_days("old", READ_DAYS);
    lakes.make_long("old");
    let night = |name: &str| {
        // The first one after the lake was made finds no recent days together.
        lakes.calls(name, &["run", "--date", TODAY]);
        lakes.calls(name, &["run", "--date", TOMORROW])
    };
    let ((few, of_young), (many, of_old)) = (night("young"), night("old"));
    assert!(many as f64 <= few as f64 * 1.2, "{few}: {of_young:#?}\n{many}: {of_old:#?}");
}

#[test]
fn verify_reads_each_trend_table_of_a_day_once() {
    let lakes = Lakes { scene: Scene::of_accounts(4) };
    std::fs::create_dir_all(lakes.scene.path("few/bucket")).expect("a bucket");
    let pipeline = lakes.scene.org_pipeline("few/bucket/lake", "", "");
    let days = [2, 1, 0].map(|ago| day(ago).to_string());
    days.iter().for_each(|day| drop(lakes.scene.night(&pipeline, day)));
    let requests = lakes.requests("few", &["verify"]);
    for table in Dataset::PACKS.derived() {
        for day in &days {
            let path = format!("/{}/snapshot_date%3D{day}/", table.name());
            let reads = requests.iter().filter(|request| request.starts_with("GET ") && request.contains(&path));
            assert_eq!(reads.count(), 1, "{path}: {requests:#?}");
        }
    }
}

#[test]
fn trends_of_days_that_are_facts_only_fetch_no_snapshot_of_them_but_the_first() {
    let lakes = Lakes { scene: Scene::of_accounts(4) };
    std::fs::create_dir_all(lakes.scene.path("few/bucket")).expect("a bucket");
    let filter = "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"";
    let pipeline = lakes.scene.org_pipeline("few/bucket/lake", filter, "");
    (0..5).rev().for_each(|ago| drop(lakes.scene.night(&pipeline, &day(ago).to_string())));
    let requests = lakes.requests("few", &["trends"]);
    let is_ledger = |request: &&String| request.starts_with("GET ") && request.contains("/runs/");
    assert!(requests.iter().filter(is_ledger).count() >= 5, "{requests:#?}");
    let is_snapshot = |request: &&String| request.starts_with("GET ") && request.contains("/pack_compliance/");
    // Before the first day is told of nothing says what it is.
    assert!(requests.iter().filter(is_snapshot).count() <= 1, "{requests:#?}");
}

//! Nights that were stopped, gone on with.

use crate::support::reading::{files, texts};
use crate::support::{Scene, finish, has_ended, rounds, run, start, wait_until};
use compline_model::Table;
use compline_simulator::OrganizationSpec;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

const DAY: &str = "2026-03-01";
const FACT: Table = Table::PackCompliance;
const SMALL_PAGES: &str = "page_size = 3";

/// Some four fifths of the accounts have a shard, of 20 packs each.
fn scene(accounts: u32, faults: &str) -> Scene {
    Scene::of(OrganizationSpec { accounts, ..OrganizationSpec::default() }, faults)
}

/// The names of the shards that a lake has whole, from 1.
fn shards_done(lake: &Path) -> BTreeSet<usize> {
    let number = |name: &String| {
        let (_, name) = name.rsplit_once("/shard-")?;
        name.split_once('-')?.0.parse().ok()
    };
    if lake.exists() { files(lake).keys().filter_map(number).collect() } else { BTreeSet::new() }
}

/// The account that a request for packs asks for.
fn account_of(request: &str) -> Option<String> {
    let request: serde_json::Value = serde_json::from_str(request).expect("JSON");
    request["Filters"]["AccountId"].as_str().map(str::to_owned)
}

#[test]
fn b64_a_night_killed_at_any_moment_is_gone_on_with_to_the_same_rows_and_asks_for_no_finished_shard_again() {
    killed_at_any_moment("latency_millis = 3", rounds(10));
}

/// Nothing but its sources says what to split by: they are read first, and each shard is one that they alone name.
#[test]
fn a_night_that_is_planned_by_its_sources_and_killed_at_any_moment_is_gone_on_with_as_well() {
    killed_at_any_moment(
        "latency_millis = 3\ndenied_operation = \"GetAggregateConformancePackComplianceSummary\"",
        rounds(6),
    );
}

/// Half of the accounts are in no count: their shards come behind the others.
#[test]
fn a_night_with_shards_of_what_the_sources_alone_name_and_killed_at_any_moment_is_gone_on_with_as_well() {
    let scene = killed_at_any_moment("latency_millis = 3\nsummary_groups = 30", rounds(6));
    assert!(scene.fired("summary_groups") > 0);
}

fn killed_at_any_moment(faults: &str, rounds: u32) -> Scene {
    // More than 400 pages of 3.
    let scene = scene(76, faults);
    let whole = scene.org_pipeline("whole", "fan_out = \"account\"", SMALL_PAGES);
    scene.night(&whole, DAY);
    let rows = texts(&scene.read(&scene.lake_at("whole"), FACT, "org", DAY).expect("rows"));
    let requests = scene.requests();
    let planned = run(scene.command(&["plan", &whole.display().to_string(), "--date", DAY, "--discover", "--json"]));
    let planned: serde_json::Value = serde_json::from_str(&planned.stdout).expect("JSON");
    let shards = planned["aggregators"][0]["reading"]["shards"].as_array().expect("shards");
    let account = |shard: &serde_json::Value| Some(shard.as_str()?.strip_prefix("account_id=")?.to_owned());
    let accounts: Vec<String> = shards.iter().map(|shard| account(shard).expect("an account")).collect();
    let asked: BTreeSet<String> = requests.iter().filter_map(|request| account_of(request)).collect();
    assert_eq!(accounts.iter().cloned().collect::<BTreeSet<_>>(), asked);
    let pages = requests.iter().filter(|request| account_of(request).is_some()).count();
    assert!(pages >= 400, "{pages}");
    let night = requests.len();

    let (mut resumed, mut part_way) = (0, 0);
    for round in 0..rounds {
        let lake = format!("lake{round}");
        let pipeline = scene.org_pipeline(&lake, "fan_out = \"account\"", SMALL_PAGES).display().to_string();
        let command = || scene.command(&["run", &pipeline, "--date", DAY, "--json"]);
        let so_far = scene.requests().len();
        let mut child = start(command());
        // Moments all over the night, no two rounds the same: steps of the golden ratio. By requests, since a machine that has
        // more to do meanwhile, or less, takes another time for them.
        let moment = so_far + ((f64::from(round) * 0.618_034).fract() * night as f64) as usize;
        wait_until("a request, or the end", || scene.requests().len() >= moment || has_ended(child.id()));
        let killed = child.kill().is_ok() && finish(child).code != Some(0);
        let done = shards_done(&scene.path(&lake));
        let before = scene.requests().len();
        let ended = run(command());
        assert_eq!(ended.code, Some(0), "round {round}: {ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let report = &report["aggregators"][0];
        assert_eq!(texts(&scene.read(&scene.lake_at(&lake), FACT, "org", DAY).expect("rows")), rows, "round {round}");
        let left = files(&scene.path(&lake));
        assert!(left.keys().all(|name| !name.starts_with("_compline/checkpoints")), "round {round}: {:?}", left.keys());
        if killed && report["shards_resumed"].as_u64() > Some(0) {
            resumed += 1;
            part_way += u32::from(done.len() < accounts.len());
            assert_eq!(report["shards_resumed"].as_u64(), Some(done.len() as u64), "round {round}");
            let requests = scene.requests();
            let again: BTreeSet<String> =
                requests[before.min(requests.len())..].iter().filter_map(|r| account_of(r)).collect();
            for shard in &done {
                assert!(!again.contains(&accounts[shard - 1]), "round {round}: shard {shard} is asked for again");
            }
        }
        std::fs::remove_dir_all(scene.path(&lake)).expect("removed");
    }
    assert!(
        resumed >= rounds / 2 && part_way >= rounds / 2,
        "too few rounds were killed while reading: {resumed}, {part_way}"
    );
    scene
}

#[test]
fn without_a_sound_plan_shards_of_a_stopped_run_are_gone_on_with_all_the_same() {
    let whole = Scene::of(OrganizationSpec { accounts: 76, ..OrganizationSpec::default() }, "");
    whole.night(&whole.org_pipeline("lake", "fan_out = \"account\"", SMALL_PAGES), DAY);
    let rows = texts(&whole.read(&whole.lake_at("lake"), FACT, "org", DAY).expect("rows"));
    for is_gone in [false, true] {
        // Half of the accounts are in no count.
        let scene = scene(76, "error_every = 400\nsummary_groups = 30");
        let fetch = "page_size = 3\nmax_attempts = 1\ncheckpoint_max_age_secs = 600";
        let pipeline = scene.org_pipeline("lake", "fan_out = \"account\"", fetch).display().to_string();
        let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let lake = scene.path("lake");
        let is_plan = |name: &String| name.ends_with("/plan.jsonl.zst") || name.ends_with("/sources.jsonl.zst");
        let plans: Vec<_> = files(&lake).into_keys().filter(is_plan).collect();
        assert!(!plans.is_empty() && !shards_done(&lake).is_empty(), "{plans:?}");
        for plan in plans {
            let mut flipped = std::fs::read(lake.join(&plan)).expect("read");
            let middle = flipped.len() / 2;
            flipped[middle] ^= 2;
            match is_gone {
                true => std::fs::remove_file(lake.join(&plan)).expect("removed"),
                false => std::fs::write(lake.join(&plan), flipped).expect("written"),
            }
        }
        let ended = run(scene.command(&["run", &pipeline, "--date", DAY, "--json"]));
        assert_eq!(ended.stderr.contains("a checkpoint is damaged: asking AWS Config again"), !is_gone, "{ended:?}");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let found = texts(&scene.read(&scene.lake_at("lake"), FACT, "org", DAY).expect("rows"));
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert!(report["aggregators"][0]["shards_resumed"].as_u64() > Some(0), "{report}");
        assert_eq!(found, rows);
    }
}

#[test]
fn checkpoints_of_another_plan_another_day_or_too_old_are_not_gone_on_with() {
    let scene = scene(30, "latency_millis = 60");
    let stopped = |pipeline: &str| {
        let child = start(scene.command(&["run", pipeline, "--date", DAY]));
        wait_until("some shards are whole", || shards_done(&scene.path("lake")).len() >= 3);
        crate::support::signal(child.id(), "-KILL");
        assert_eq!(finish(child).code, None);
    };
    let resumed = |arguments: &[&str]| {
        let ended = run(scene.command(arguments));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout.contains("shards resumed from checkpoints")
    };
    let plain = scene.org_pipeline("lake", "fan_out = \"account\"", SMALL_PAGES).display().to_string();
    for (lines, rest, arguments, goes_on) in [
        ("fan_out = \"account\"", SMALL_PAGES, vec!["--date", DAY], true),
        ("fan_out = \"account\"", "page_size = 100", vec!["--date", DAY], true),
        ("fan_out = \"region\"", SMALL_PAGES, vec!["--date", DAY], false),
        ("fan_out = \"account\"", SMALL_PAGES, vec!["--date", "2026-03-02"], false),
        ("fan_out = \"account\"", SMALL_PAGES, vec!["--date", DAY, "--fresh"], false),
        ("fan_out = \"account\"", "page_size = 3\ncheckpoint_max_age_secs = 0", vec!["--date", DAY], false),
    ] {
        let _ = std::fs::remove_dir_all(scene.path("lake"));
        scene.org_pipeline("lake", "fan_out = \"account\"", SMALL_PAGES);
        stopped(&plain);
        let pipeline = scene.org_pipeline("lake", lines, rest).display().to_string();
        assert_eq!(resumed(&[&["run", &pipeline], &arguments[..]].concat()), goes_on, "{lines} {rest} {arguments:?}");
        let left = files(&scene.path("lake"));
        assert!(left.keys().all(|name| !name.starts_with("_compline/checkpoints")), "{:?}", left.keys());
    }
}

#[test]
fn b64_a_signal_leaves_the_finished_shards_for_the_next_run() {
    for name in ["-TERM", "-INT"] {
        let scene = scene(30, "latency_millis = 60");
        let pipeline = scene.org_pipeline("lake", "fan_out = \"account\"", SMALL_PAGES).display().to_string();
        let child = start(scene.command(&["run", &pipeline, "--date", DAY]));
        wait_until("some shards are whole", || shards_done(&scene.path("lake")).len() >= 3);
        let asked = Instant::now();
        crate::support::signal(child.id(), name);
        finish(child);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        let done = shards_done(&scene.path("lake")).len();
        let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
        assert!(ended.stdout.contains(&format!("org: {done} of ")), "{ended:?}");
    }
}

#[test]
fn a_night_that_fails_keeps_its_finished_shards_and_the_next_one_asks_only_for_the_rest() {
    let scene = scene(76, "error_every = 400");
    let fetch = "page_size = 3\nmax_attempts = 1\ncheckpoint_max_age_secs = 600";
    let pipeline = scene.org_pipeline("lake", "fan_out = \"account\"", fetch).display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!shards_done(&scene.path("lake")).is_empty());
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("shards resumed from checkpoints"), "{ended:?}");
}

#[test]
fn a_run_that_is_stopped_says_what_it_committed_and_leaves_the_metrics_of_that() {
    for (name, code, signal) in [("-TERM", 143, "SIGTERM"), ("-INT", 130, "SIGINT")] {
        let scene = scene(76, "latency_millis = 100");
        let security = "fan_out = \"account\"\n\
                        [[aggregator]]\nid = \"security\"\nname = \"security-aggregator\"\nregion = \"us-east-1\"\nfan_out = \"none\"";
        let metrics = scene.path("metrics.prom");
        let fetch = format!("max_in_flight = 2\n[metrics]\ntextfile = {:?}", metrics.display().to_string());
        let pipeline = scene.org_pipeline("lake", security, &fetch).display().to_string();
        let child = start(scene.command(&["run", &pipeline, "--date", DAY, "--log", "json", "--json"]));
        let ledger = scene.path(&format!("lake/runs/snapshot_date={DAY}/aggregator=security/data.parquet"));
        let entries = scene.path("lake/_compline/journal/aggregator=security");
        let has_entry = || entries.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        wait_until("one of them is done", || {
            ledger.exists() && !has_entry() && !shards_done(&scene.path("lake")).is_empty()
        });
        let asked = Instant::now();
        crate::support::signal(child.id(), name);
        let ended = finish(child);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());

        let last: serde_json::Value = serde_json::from_str(ended.stderr.lines().last().expect("a line")).expect("JSON");
        assert_eq!((&last["message"], &last["exit_code"]), (&"outcome".into(), &code.into()), "{last}");
        let said: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        for outcome in [&last["outcome"], &said] {
            assert_eq!(outcome["stopped_by"], signal, "{outcome}");
            let of = |id: &str| {
                let all = outcome["aggregators"].as_array().expect("aggregators");
                all.iter().find(|one| one["aggregator"] == id).expect("it is there").clone()
            };
            assert_eq!((&of("security")["outcome"], &of("security")["error"]), (&"succeeded".into(), &().into()));
            let org = of("org");
            assert_eq!((&org["outcome"], &org["is_recorded"]), (&"failed".into(), &false.into()), "{org}");
            assert_eq!(
                org["error"],
                format!(
                    "stopped by {signal}; the day is as it was, and the next run of it resumes from the checkpoints"
                )
            );
            assert!(org["calls"].as_u64() > Some(1), "{org}");
        }
        let metric = |aggregator: &str| {
            let text = std::fs::read_to_string(&metrics).expect("metrics");
            let of = format!("aggregator=\"{aggregator}\"");
            let line = text.lines().find(|line| line.starts_with("compline_last_run_success{") && line.contains(&of));
            line.expect("a sample").rsplit(' ').next().expect("a value").to_owned()
        };
        assert_eq!((metric("security"), metric("org")), ("1.0".to_owned(), "0.0".to_owned()));
        assert!(!scene.path(&format!("lake/runs/snapshot_date={DAY}/aggregator=org")).exists());

        let again = run(scene.command(&["run", &pipeline, "--date", DAY]));
        assert_eq!(again.code, Some(0), "{again:?}");
        assert!(again.stdout.contains("shards resumed from checkpoints"), "{again:?}");
        assert_eq!((metric("security"), metric("org")), ("1.0".to_owned(), "1.0".to_owned()));
    }
}

#[test]
fn a_checkpoint_with_a_bit_that_flipped_or_in_the_place_of_another_is_read_again() {
    let scene = scene(76, "error_every = 400");
    let fetch = "page_size = 3\nmax_attempts = 1\ncheckpoint_max_age_secs = 600";
    let undisturbed = Scene::of(OrganizationSpec { accounts: 76, ..OrganizationSpec::default() }, "");
    undisturbed.night(&undisturbed.org_pipeline("lake", "fan_out = \"account\"", SMALL_PAGES), DAY);
    let rows = texts(&undisturbed.read(&undisturbed.lake_at("lake"), FACT, "org", DAY).expect("rows"));

    let pipeline = scene.org_pipeline("lake", "fan_out = \"account\"", fetch).display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lake = scene.path("lake");
    let done: Vec<_> = files(&lake).into_keys().filter(|name| name.contains("/shard-")).collect();
    assert!(done.len() > 3, "{done:?}");
    // A bit within what is compressed, and one shard's lines in place of another's.
    let mut flipped = std::fs::read(lake.join(&done[0])).expect("read");
    let middle = flipped.len() / 2;
    flipped[middle] ^= 2;
    std::fs::write(lake.join(&done[0]), flipped).expect("written");
    std::fs::copy(lake.join(&done[2]), lake.join(&done[1])).expect("copied");
    let ended = run(scene.command(&["run", &pipeline, "--date", DAY]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(&format!("org: {} of ", done.len() - 2)), "{ended:?}");
    assert_eq!(ended.stderr.matches("a checkpoint is damaged: reading its shard again").count(), 2, "{ended:?}");
    let found = texts(&scene.read(&scene.lake_at("lake"), FACT, "org", DAY).expect("rows"));
    assert_eq!(found, rows);
}

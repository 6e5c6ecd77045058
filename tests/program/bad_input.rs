//! Bad input: a clear error of one to three lines, or one above the line that it is about, the right exit code, no panic.

use crate::support::{Ended, Scene, run, start};
use std::io::Read;

fn clear(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert!((1..=4).contains(&errors.len()), "{} lines: {ended:?}", errors.len());
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {ended:?}");
    }
    for never in ["panicked", "backtrace", "RUST_BACKTRACE"] {
        assert!(!ended.stderr.contains(never), "{ended:?}");
    }
}

#[test]
fn a_missing_or_broken_pipeline_is_exit_2_and_names_the_file() {
    let scene = Scene::new("");
    clear(&run(scene.command(&["run", "none.toml"])), 2, &["cannot read the pipeline file none.toml", "No such file"]);
    clear(&run(scene.command(&["plan", "."])), 2, &["cannot read the pipeline file ."]);
    std::fs::write(scene.path("broken.toml"), "version = 1\n[lake\n").expect("written");
    clear(&run(scene.command(&["run", "broken.toml"])), 2, &["broken.toml, line 2: [lake: "]);
    std::fs::write(scene.path("binary.toml"), [0xff, 0xfe, 0]).expect("written");
    clear(&run(scene.command(&["run", "binary.toml"])), 2, &["binary.toml", "UTF-8"]);
    // As deep as the parser allows, which needs more stack than a main thread has.
    let dotted = vec!["a"; 79].join(".");
    let deepest = (0..79).fold("1".to_owned(), |inner, _| format!("{{ {dotted} = {inner} }}"));
    std::fs::write(scene.path("deep.toml"), format!("version = 1\n[{dotted}]\n{dotted} = {deepest}\n"))
        .expect("written");
    clear(&run(scene.command(&["plan", "deep.toml"])), 2, &["deep.toml, line 2: a: ", "unknown field `a`"]);
}

#[test]
fn a_lake_that_is_not_there_is_not_made_by_what_has_nothing_to_put_there() {
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    for arguments in [&["trends"] as &[&str], &["maintain"], &["maintain", "--apply"], &["verify", "--repair"]] {
        let ended = run(scene.command(&[arguments, &[&pipeline, "--lake", "typo"]].concat()));
        clear(&ended, 1, &["there is no folder typo: is the lake's address right, and is it mounted?"]);
        assert!(!scene.path("typo").exists(), "{arguments:?}");
    }
    // As where nothing is mounted.
    std::fs::create_dir(scene.path("empty")).expect("made");
    for arguments in [&["trends"] as &[&str], &["maintain", "--apply"], &["verify", "--repair"]] {
        let ended = run(scene.command(&[arguments, &[&pipeline, "--lake", "empty"]].concat()));
        clear(&ended, 1, &["there is nothing of Compline in empty: is the lake's address right, and is it mounted?"]);
        assert_eq!(std::fs::read_dir(scene.path("empty")).expect("listed").count(), 0, "{arguments:?}");
    }
}

#[test]
fn an_answer_without_a_row_is_warned_of_by_each_run() {
    let scene = Scene::of_accounts(4);
    let filter = "[[aggregator.filter]]\nconformance_pack_name = [\"misspelt\"]";
    let pipeline = scene.org_pipeline("lake", filter, "").display().to_string();
    for date in ["2026-03-01", "2026-03-02"] {
        let ended = run(scene.command(&["run", &pipeline, "--date", date]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let warned = "the answer has no row: are the aggregator's filter, include and exclude right";
        assert_eq!(ended.stderr.matches(warned).count(), 1, "{ended:?}");
    }
}

#[test]
fn what_is_allowed_in_a_pipeline_and_hardly_meant_is_logged_by_a_run() {
    let scene = Scene::new("");
    let pipeline = scene.org_pipeline("lake", "fan_out = \"compliance_type\"", "").display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-03-01"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("fan_out = \"compliance_type\" is read as \"auto\": "), "{ended:?}");
}

#[test]
fn wrong_arguments_are_exit_2_and_say_what_is_allowed() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    for (arguments, words) in [
        (vec!["run", &pipeline, "--date", "2026-02-30"], "\"2026-02-30\" is not a date: allowed is YYYY-MM-DD"),
        (vec!["run", &pipeline, "--only", "none"], "the pipeline has no such aggregator; it has org, security"),
        (
            vec!["run", &pipeline, "--lake", "ftp://x"],
            "--lake: \"ftp://x\": allowed is s3://bucket/prefix, or a folder",
        ),
        (vec!["simulate", "--fault", "none=1"], "unknown field `none`, expected one of `throttle_per_second`"),
    ] {
        let ended = run(scene.command(&arguments));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(words) && !ended.stderr.contains("panicked"), "{ended:?}");
    }
}

#[test]
fn b63_another_date_than_today_is_refused_where_only_now_is_known() {
    let scene = Scene::new("");
    let pipeline = scene.knows_only_now(scene.pipeline(""));
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-01-01"]));
    clear(&ended, 2, &["--date 2026-01-01: AWS Config only knows how things are now"]);
    assert!(!scene.path("lake").exists(), "nothing is made for a run that is refused");
}

#[test]
fn no_credentials_are_a_failed_run_that_says_how_to_sign_in() {
    let scene = Scene::new("");
    let pipeline = scene.knows_only_now(scene.pipeline(""));
    let ended = run(scene.command(&["run", &pipeline, "--only", "org"]));
    clear(&ended, 1, &["sign in, or set AWS_PROFILE"]);
}

#[test]
fn a_lake_that_cannot_be_written_is_found_out_before_anything_is_asked() {
    let scene = Scene::new("");
    std::fs::write(scene.path("file"), "").expect("written");
    let pipeline = scene.pipeline("").display().to_string();
    let ended = run(scene.command(&["run", &pipeline, "--date", "2026-03-01", "--lake", "file/lake"]));
    clear(&ended, 1, &["cannot open the lake folder", "a file is in the way; set lake.url or --lake"]);
}

#[test]
fn b27_an_unknown_aggregator_names_the_region_asked() {
    let scene = Scene::new("");
    let path = scene.pipeline("");
    let text = std::fs::read_to_string(&path).expect("read").replace("eu-west-1", "eu-west-2");
    std::fs::write(&path, text).expect("written");
    let ended = run(scene.command(&["run", &path.display().to_string(), "--date", "2026-03-01", "--only", "org"]));
    clear(&ended, 1, &["NoSuchConfigurationAggregatorException", "is it in eu-west-2?", "request id"]);
}

#[test]
fn b15_an_s3_server_at_the_config_endpoint_is_told_as_such() {
    let scene = Scene::new("");
    let url = scene.runtime.block_on(crate::s3::serve(scene.path("bucket-root")));
    let pipeline = scene.knows_only_now(scene.pipeline(""));
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let text: String =
        text.lines().filter(|line| !line.starts_with("endpoint_url")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&pipeline, text).expect("written");
    let mut command = scene.command(&["run", &pipeline, "--only", "org"]);
    command.env("AWS_ENDPOINT_URL", url).env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    clear(&run(command), 1, &["AWS_ENDPOINT_URL moves every service"]);
}

#[test]
fn b66_a_closed_stdout_is_no_panic_and_the_day_is_kept() {
    let scene = Scene::new("");
    let pipeline = scene.pipeline("").display().to_string();
    for arguments in [vec!["plan", &pipeline], vec!["run", &pipeline, "--date", "2026-03-01"], vec!["--help"]] {
        let mut child = start(scene.command(&arguments));
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().expect("stderr").read_to_string(&mut stderr).expect("read");
        let status = child.wait().expect("ended");
        assert!(
            !stderr.contains("panicked") && status.code().is_some_and(|code| code <= 1),
            "{arguments:?} {status} {stderr}"
        );
    }
    assert!(!scene.rows(compline_model::Table::PackCompliance, "org", "2026-03-01").is_empty());
}

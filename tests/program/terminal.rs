//! What a person sees: widths, colours, quiet, errors with a caret, completions, manual pages, the first pipeline file.

use crate::support::answers::serve;
use crate::support::reading::file;
use crate::support::{Ended, Scene, run};
use compline_model::Table;
use std::process::Command;

/// A simulator and a pipeline whose aggregator has the longest id there can be.
fn with_a_long_id() -> (Scene, String) {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.org_pipeline("lake", "", "");
    let text = std::fs::read_to_string(&pipeline).expect("read");
    let long = "an-organization-with-a-name-that-is-as-long-as-an-id-may-ever-be";
    assert_eq!(long.len(), 64);
    std::fs::write(&pipeline, text.replace("id = \"org\"", &format!("id = \"{long}\""))).expect("written");
    (scene, pipeline.display().to_string())
}

#[test]
fn tables_fit_into_80_columns_whatever_an_aggregator_is_called() {
    let (scene, pipeline) = with_a_long_id();
    let tables: [&[&str]; 3] =
        [&["run", &pipeline, "--date", "2026-03-01"], &["history", &pipeline], &["status", &pipeline]];
    for arguments in tables {
        let ended = run(scene.command(arguments));
        let lines = ended.stdout.lines().skip_while(|line| !line.contains("aggregator ")).take(2).collect::<Vec<_>>();
        assert_eq!(lines.len(), 2, "a table has a header and rows: {ended:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(ended.stdout.lines().all(|line| line.trim_end() == line), "{ended:?}");
    }
    let ended = run(scene.command(&["demo", "--days", "2", "--accounts", "5", "--lake", "made-up"]));
    let is_table = |line: &&str| line.starts_with("day ") || line.starts_with("20");
    let table: Vec<&str> = ended.stdout.lines().filter(is_table).collect();
    assert_eq!(table.len(), 6, "{ended:?}");
    assert!(table.iter().all(|line| line.chars().count() <= 80), "{table:#?}");
}

#[test]
fn colours_are_for_terminals_and_for_who_forces_them_and_never_for_who_wants_none() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.pipeline("").display().to_string();
    let is_coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = scene.command(arguments);
        command.envs(variables.iter().copied());
        let Ended { stdout, stderr, .. } = run(command);
        (stdout.contains('\u{1b}'), stderr.contains('\u{1b}'))
    };
    let check: &[&str] = &["check", &pipeline];
    assert_eq!(is_coloured(check, &[]), (false, false));
    assert_eq!(is_coloured(check, &[("CLICOLOR_FORCE", "1")]), (true, false));
    assert_eq!(is_coloured(check, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), (false, false));
    assert_eq!(is_coloured(&["check", "gone.toml"], &[("CLICOLOR_FORCE", "1")]), (false, true));
    let night: &[&str] = &["run", &pipeline, "--date", "2026-03-01"];
    assert_eq!(is_coloured(night, &[("CLICOLOR_FORCE", "1")]), (true, true));
    // What a program reads has none, whoever forces what.
    let json: &[&str] = &["status", &pipeline, "--json"];
    assert_eq!(is_coloured(json, &[("CLICOLOR_FORCE", "1")]), (false, false));
    let log: &[&str] = &["run", &pipeline, "--date", "2026-03-01", "--log", "json", "--json"];
    assert_eq!(is_coloured(log, &[("CLICOLOR_FORCE", "1")]), (false, false));
}

#[test]
fn a_terminal_shows_colours_and_how_far_a_run_is() {
    let scene = Scene::new("latency_millis = 100");
    let pipeline = scene.pipeline("max_in_flight = 1").display().to_string();
    let line = format!("{} run {pipeline} --date 2026-03-01", env!("CARGO_BIN_EXE_compline"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(scene.folder.path());
    command.env_clear().env("HOME", scene.folder.path()).env("TERM", "xterm-256color").env("PATH", "/usr/bin:/bin");
    command.env("COLUMNS", "200").env("AWS_EC2_METADATA_DISABLED", "true");
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for seen in ["shards, ", " left", " rows, ", " pages, ", " calls/s, 0 throttled", "\u{1b}[32mcommitted"] {
        assert!(ended.stdout.contains(seen), "{seen}: {}", ended.stdout);
    }
}

#[test]
fn quiet_says_nothing_but_errors_and_what_has_a_form_of_its_own() {
    let scene = Scene::of_accounts(12);
    let pipeline = scene.pipeline("").display().to_string();
    for arguments in [
        &["-q", "check", &pipeline] as &[&str],
        &["run", &pipeline, "--date", "2026-03-01", "--quiet"],
        &["-q", "history", &pipeline],
        &["-q", "verify", &pipeline],
        &["-q", "trends", &pipeline],
        &["-q", "maintain", &pipeline],
        &["-q", "plan", &pipeline],
        &["-q", "report", &pipeline],
    ] {
        let ended = run(scene.command(arguments));
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.code), ("", "", Some(0)), "{arguments:?}");
    }
    assert!(scene.path("report.html").exists());
    // Where the exit code is another than 0, stderr has what nobody wanted to see otherwise.
    let ended = run(scene.command(&["-q", "status", &pipeline]));
    assert_eq!((ended.stdout.as_str(), ended.code), ("", Some(1)));
    assert!(ended.stderr.contains("TOO OLD"), "{ended:?}");
    let ended = run(scene.command(&["-q", "--log", "json", "status", &pipeline]));
    let line: serde_json::Value = serde_json::from_str(&ended.stderr).expect("one line of JSON");
    assert!(line["message"].as_str().is_some_and(|message| message.contains("TOO OLD")), "{ended:?}");
    let facts = file(&scene, Table::PackCompliance, "2026-03-01");
    let whole = std::fs::read(&facts).expect("read");
    std::fs::write(&facts, b"damaged").expect("written");
    let ended = run(scene.command(&["-q", "verify", &pipeline]));
    assert!(ended.code == Some(1) && ended.stdout.is_empty() && ended.stderr.contains("problem: "), "{ended:?}");
    std::fs::write(&facts, whole).expect("restored");
    let ended = run(scene.command(&["-q", "status", &pipeline, "--json"]));
    assert_eq!(ended.stderr, "", "it is said already");
    assert!(serde_json::from_str::<serde_json::Value>(&ended.stdout).is_ok(), "{ended:?}");
    let ended = run(scene.command(&["-q", "report", &pipeline, "--format", "csv"]));
    assert!(ended.stdout.starts_with("aggregator,"), "{ended:?}");
    let ended = run(scene.command(&["-q", "run", &pipeline, "--date", "2026-99-01"]));
    assert!(ended.code == Some(2) && ended.stderr.contains("2026-99-01"), "{ended:?}");
    let ended = run(scene.command(&["-q", "run", "gone.toml"]));
    assert!(ended.code == Some(2) && ended.stderr.starts_with("error: cannot read the pipeline file"), "{ended:?}");
}

#[test]
fn a_wrong_line_of_the_pipeline_file_is_shown_over_a_caret_unless_it_may_have_a_secret() {
    let scene = Scene::of_accounts(12);
    let with = |more: &str| {
        let pipeline = scene.org_pipeline("lake", "", more).display().to_string();
        let text = std::fs::read_to_string(&pipeline).expect("read");
        let line = text.lines().position(|line| more.lines().last() == Some(line)).expect("the line") + 1;
        let ended = run(scene.command(&["check", &pipeline]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        (ended.stderr, line)
    };
    let (said, line) = with("page_size = 1000");
    let first = said.lines().next().expect("a line");
    assert!(first.ends_with(&format!("lake.toml, line {line}: page_size = 1000: allowed is 0 to 100")), "{said}");
    let gutter = " ".repeat(line.to_string().len());
    let shown = [format!("{gutter} |"), format!("{line} | page_size = 1000"), format!("{gutter} |             ^^^^")];
    assert_eq!(said.lines().skip(1).collect::<Vec<_>>(), shown, "{said}");
    // A tab, wide letters, a line that is too long, and one with what a terminal would obey.
    assert!(with("\tpage_size\t= 1000").0.contains("^^^^"));
    assert!(with("page_size = \"日本\"").0.contains("^^^^^^"));
    assert_eq!(with(&format!("page_size = \"{}\"", "x".repeat(300))).0.lines().count(), 1);
    assert!(!with("page_size = \"\u{1b}[31m\"").0.contains('\u{1b}'));
    // The value of a key that is unknown, and a comment, may be anything.
    assert_eq!(with("pages = \"hunter2\" # hunter3").0.lines().nth(2), Some(format!("{line} | pages ...").as_str()));
    assert_eq!(
        with("page_size = 1000 # hunter2").0.lines().nth(2),
        Some(format!("{line} | page_size = 1000").as_str())
    );
    for secret in [
        "[notify]\nwebhook_url = \"https://hooks.example.com/SECRET\"",
        "[notify]\nSECRET = 3",
        "[report]\nurl = \"https://me:SECRET@example.com/ x\"",
        "[report]\nurl = \"me:SECRET@example.com\"",
        "endpoint_url = \"me:SECRET@example.com\"",
        "endpoint_url = \"http:/me:SECRET@example.com\"",
        "endpoint_url = \"http://me:SEC/SECRET@example.com\"",
        "endpoint_url = [\"https://hooks.example.com/services/SECRET\"]",
        "endpoint_url = \"https://hooks.example.com/services/SECRET",
        "hook = \"https://hooks.example.com/services/SECRET\"",
        "aws_secret_access_key = \"SECRET",
        "page_size = 1000 # https://hooks.example.com/services/SECRET",
        &format!("endpoint_url = \"https://me:{0}SECRET{0}@example.com\"", "x".repeat(60)),
        "endpoint_url = \"hooks.example.com/services/SECRET\"",
        "endpoint_url = \"https:/hooks.example.com/SECRET\"",
        "endpoint_url = \"//example.com/SECRET\"",
        "endpoint_url = \"https:\\/\\/hooks.example.com\\/services\\/SECRET\"",
        "endpoint_url = \"https://example.com/a,SECRET x\"",
        "endpoint_url = \"https://me:pa(SECRET@example.com\"",
        "[notify]\nurl_env = hooks.example.com/services/SECRET",
        "[notify]\nx = \"\"\"\nhooks.example.com/SECRET",
        "x = hooks.example.com/services/SECRET",
        "x = \"\"\"\nSECRET/SECRET",
    ] {
        let said = with(secret).0;
        // Nothing of its line is shown, unless it ends before the secret: at a comment, or at the end of an open text.
        let is_cut = secret.contains('#') || secret.contains("\"\"\"");
        assert!(is_cut || said.lines().count() == 1, "{said}");
        assert!(!said.contains("hooks.example.com") || !secret.contains("[notify]"), "{said}");
        assert!(
            !said.replace("nown field `SECRET`", "").replace("SECRET: unk", "").contains("SECRET"),
            "{secret}: {said}"
        );
    }
    let ended = run(scene.command(&[
        "status",
        &scene.org_pipeline("lake", "", "").display().to_string(),
        "--lake",
        "s3:/me:SECRET@bucket",
    ]));
    assert!(!ended.stderr.contains("SECRET"), "{ended:?}");
}

#[test]
fn completions_are_scripts_that_shells_take_and_each_command_has_a_manual_page() {
    let scene = Scene::of_accounts(12);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(scene.command(&["completions", shell]));
        assert!(ended.code == Some(0) && ended.stdout.contains("max-age"), "{shell}: {ended:?}");
        let script = scene.path("completions");
        std::fs::write(&script, &ended.stdout).expect("written");
        // Shells that are not there cannot be asked; bash is.
        if let Ok(output) = Command::new(shell).arg("-n").arg(&script).output() {
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
    let ended = run(scene.command(&["man", "--output-dir", "pages"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let help = run(scene.command(&["--help"])).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let page = std::fs::read_to_string(scene.path(&format!("pages/compline-{name}.1"))).expect(name);
        assert!(page.starts_with(".ie") && page.contains(".SH SYNOPSIS") && page.contains("\\-\\-quiet"), "{page}");
    }
    assert!(run(scene.command(&["man"])).stdout.contains(".TH compline 1"));
    std::fs::write(scene.path("file"), "").expect("written");
    let ended = run(scene.command(&["man", "--output-dir", "file"]));
    assert!(ended.code == Some(1) && ended.stderr.starts_with("error: cannot write the pages to file"), "{ended:?}");
}

/// `init` where AWS Config is a simulator.
fn init(scene: &Scene, arguments: &[&str]) -> Ended {
    let pipeline = scene.knows_only_now(scene.org_pipeline("elsewhere", "", ""));
    let text = std::fs::read_to_string(pipeline).expect("read");
    let url = text.lines().find_map(|line| line.strip_prefix("endpoint_url = ")).expect("the URL").trim_matches('"');
    let mut command = scene.command_with_keys(&[&["init"], arguments].concat());
    command.env("AWS_ENDPOINT_URL_CONFIG_SERVICE", url);
    run(command)
}

#[test]
fn init_writes_a_pipeline_file_with_each_aggregator_of_the_regions_and_check_takes_it() {
    let scene = Scene::of_accounts(12);
    let ended = init(&scene, &["--region", "us-east-1", "--region", "eu-west-1", "--lake", "my lake"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains(
            "org-aggregator: org-aggregator in eu-west-1, gathers from the whole organization in all regions"
        ) && ended.stdout.contains("compline check pipeline.toml"),
        "{ended:?}"
    );
    let text = std::fs::read_to_string(scene.path("pipeline.toml")).expect("written");
    assert_eq!(text.matches("\n[[aggregator]]\n").count(), 2, "{text}");
    assert!(text.contains("url = \"my lake\"") && text.contains("region = \"us-east-1\""), "{text}");
    let ended = run(scene.command(&["plan", "pipeline.toml"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");

    // What a person has changed since is not overwritten.
    std::fs::write(scene.path("pipeline.toml"), "mine").expect("written");
    let ended = init(&scene, &["--region", "eu-west-1"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("pipeline.toml is there already"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(scene.path("pipeline.toml")).expect("read"), "mine");
    let ended = init(&scene, &["-", "--region", "eu-west-1"]);
    assert!(ended.code == Some(0) && ended.stdout.contains("[[aggregator]]"), "{ended:?}");
    let ended = init(&scene, &["json.toml", "--region", "eu-west-1", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(said["aggregators"][0]["aggregator"], "org-aggregator");
}

#[test]
fn init_says_what_to_do_where_there_is_nothing_to_write() {
    let scene = Scene::of_accounts(12);
    let ended = init(&scene, &["--region", "eu-north-1"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("AWS Config has no aggregator in eu-north-1"), "{ended:?}");
    let ended = init(&scene, &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("no region: give --region"), "{ended:?}");
    let ended = init(&scene, &["--region", "eu-west-1", "--lake", "s3://"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("--lake"), "{ended:?}");
    let ended = run(scene.command(&["init", "--region", "eu-west-1"]));
    assert!(ended.code == Some(1) && ended.stderr.contains("sign in, or set AWS_PROFILE"), "{ended:?}");
    let refused = "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}";
    let (url, _) = serve(move |_, _| ("400 Bad Request", "application/x-amz-json-1.1", refused.to_owned()));
    let mut command = scene.command_with_keys(&["init", "--region", "eu-west-1"]);
    command.env("AWS_ENDPOINT_URL_CONFIG_SERVICE", url);
    let ended = run(command);
    assert!(ended.code == Some(1) && ended.stderr.contains("config:DescribeConfigurationAggregators"), "{ended:?}");
    assert!(!scene.path("pipeline.toml").exists());
}

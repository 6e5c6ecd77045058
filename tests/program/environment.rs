//! Environments as they are met: variables that an SDK panics at, disks that are full, files that are not there.

use crate::support::{Ended, Scene, finish, run, start};
use std::fs::File;
use std::process::{Command, Stdio};

const DAY: &str = "2026-03-01";

/// A run of a day of the simulator with these variables: it needs nothing of AWS's environment.
fn simulated(variables: &[(&str, &str)]) -> Ended {
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    let mut command = scene.command(&["run", &pipeline, "--date", DAY]);
    command.envs(variables.iter().copied());
    run(command)
}

/// A run that would ask AWS, where nothing listens, with these variables.
fn asking(variables: &[(&str, &str)]) -> Ended {
    let scene = Scene::of_accounts(4);
    let path = scene.org_pipeline("lake", "", "max_attempts = 1");
    let text = std::fs::read_to_string(&path).expect("read");
    let endpoint = text.lines().find(|line| line.starts_with("endpoint_url")).expect("an endpoint").to_owned();
    std::fs::write(&path, text.replace(&endpoint, "endpoint_url = \"http://127.0.0.1:9\"")).expect("written");
    let mut command = scene.command_with_keys(&["run", &path.display().to_string()]);
    command.envs(variables.iter().copied());
    let ended = run(command);
    assert!(!scene.path("lake/pack_compliance").exists());
    ended
}

#[test]
fn w2_variables_that_the_settings_make_moot_are_ignored_and_none_panics() {
    for variable in [
        ("AWS_RETRY_MODE", "legacy"),
        ("AWS_MAX_ATTEMPTS", ""),
        ("AWS_MAX_ATTEMPTS", "0"),
        ("AWS_MAX_ATTEMPTS", "abc"),
        ("AWS_DEFAULTS_MODE", "x"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "x"),
        ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "x"),
        ("AWS_ENDPOINT_URL", "::"),
        ("HTTPS_PROXY", "::"),
        ("HTTP_PROXY", "http://%"),
        ("RUST_LOG", "="),
        // F12: the endpoint of the file wins for its service.
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
    ] {
        let ended = asking(&[variable]);
        assert_eq!(ended.code, Some(1), "{variable:?}: {ended:?}");
        assert!(ended.stdout.contains("Connection refused"), "{variable:?}: {ended:?}");
        assert!(ended.stdout.contains("nothing listens there"), "{variable:?}: {ended:?}");
        let ended = simulated(&[variable]);
        assert_eq!(ended.code, Some(0), "{variable:?}: {ended:?}");
    }
    // What is asked without TLS needs no authorities.
    let ended = simulated(&[("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/nonexistent")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn w2_w6_f16_what_would_fail_every_call_is_one_line_that_names_it_and_wrong_usage() {
    for (variables, said) in [
        (vec![("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE\n")], "AWS_ACCESS_KEY_ID has '\\n' in it"),
        (vec![("AWS_SESSION_TOKEN", "a token")], "AWS_SESSION_TOKEN has ' ' in it"),
        (vec![("AWS_PROFILE", "nobody")], "AWS_PROFILE is \"nobody\", and neither "),
        (
            vec![("AWS_ROLE_ARN", "arn:aws:iam::000000000001:role/x"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/gone")],
            "AWS_WEB_IDENTITY_TOKEN_FILE is \"/gone\", and it cannot be read: No such file",
        ),
        (
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", "/dev/null")],
            "AWS_WEB_IDENTITY_TOKEN_FILE is \"/dev/null\", and it is empty",
        ),
        (vec![("AWS_CA_BUNDLE", "/gone.pem")], "AWS_CA_BUNDLE is \"/gone.pem\", which is no file of PEM certificates"),
        (vec![("AWS_CA_BUNDLE", "/dev/null")], "it has no certificate"),
        (vec![("AWS_EXECUTION_ENV", "a\nb")], "AWS_EXECUTION_ENV has '\\n' in it"),
    ] {
        let ended = asking(&variables);
        assert_eq!(ended.code, Some(2), "{said}: {ended:?}");
        let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(said), "{said}: {ended:?}");
        assert!(!ended.stderr.contains("AKIA") && !ended.stderr.contains("a token"), "no key is shown: {ended:?}");
        // What is not asked of AWS does not mind, but for what every request would have in a header.
        let expected = if said.starts_with("AWS_EXECUTION_ENV") { 2 } else { 0 };
        assert_eq!(simulated(&variables).code, Some(expected), "{said}");
    }
}

#[test]
fn w1_a_log_or_a_summary_that_cannot_be_written_fails_no_run() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("a full disk"));
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    let ended = |stdout: Stdio, stderr: Stdio, day: &str| {
        let mut command = scene.command(&["run", &pipeline, "--date", day]);
        command.env("RUST_LOG", "debug");
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).status().expect("it ran").code()
    };
    assert_eq!(ended(Stdio::null(), full(), "2026-03-01"), Some(0));
    assert_eq!(ended(full(), Stdio::null(), "2026-03-02"), Some(0), "everything is committed");
    // A reader of the log that ends.
    let mut head = Command::new("true").stdin(Stdio::piped()).spawn().expect("a reader");
    let pipe = head.stdin.take().expect("a pipe");
    head.wait().expect("its end");
    assert_eq!(ended(Stdio::null(), Stdio::from(pipe), "2026-03-03"), Some(0));
    crate::verify::is_sound(&scene, &pipeline, &[]);
    // What is asked for alone is not written: that is a failure.
    let schema = scene.command(&["schema"]).stdout(full()).stderr(Stdio::null()).status().expect("it ran");
    assert_eq!(schema.code(), Some(1));
}

#[test]
fn w2_few_descriptors_or_threads_end_in_one_line_and_leave_no_lease() {
    for limit in ["ulimit -n 10", "ulimit -n 14", "ulimit -u 1"] {
        let scene = Scene::of_accounts(4);
        let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
        let program = scene.command(&[]).get_program().to_string_lossy().into_owned();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limit} 2>/dev/null; exec {program} run {pipeline} --date {DAY}")]).env_clear();
        command.env("HOME", scene.path("")).env("AWS_EC2_METADATA_DISABLED", "true").current_dir(scene.path(""));
        let ended = finish(start(command));
        assert!(matches!(ended.code, Some(0 | 1 | 3)), "{limit}: {ended:?}");
        assert!(!ended.stderr.contains("thread '") && !ended.stderr.contains("RUST_BACKTRACE"), "{limit}: {ended:?}");
        let again = run(scene.command(&["run", &pipeline, "--date", DAY]));
        assert_eq!(again.code, Some(0), "{limit}: {again:?}");
    }
}

#[test]
fn w2_limits_in_which_no_run_can_be_done_are_told_before_anything_is_done() {
    for (limit, said) in [("ulimit -n 40", "ulimit -n"), ("ulimit -n 16", "ulimit -n")] {
        let scene = Scene::of_accounts(4);
        let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
        let program = scene.command(&[]).get_program().to_string_lossy().into_owned();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limit}; exec {program} run {pipeline} --date {DAY}")]);
        let ended = finish(start(command));
        assert_eq!(ended.code, Some(1), "{limit}: {ended:?}");
        assert!(ended.stderr.contains(said) && ended.stderr.contains("a run takes"), "{limit}: {ended:?}");
        assert!(!scene.path("lake").exists(), "{limit}");
    }
    for threads in ["0", "abc", "100000"] {
        let ended = simulated(&[("POLARS_MAX_THREADS", threads)]);
        assert_eq!(ended.code, Some(2), "{threads}: {ended:?}");
        assert!(ended.stderr.contains("error: POLARS_MAX_THREADS is "), "{threads}: {ended:?}");
    }
}

#[test]
fn what_is_no_plain_file_is_told_and_nothing_waits_for_its_end() {
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    assert_eq!(run(scene.command(&["run", &pipeline, "--date", DAY])).code, Some(0));
    for (table, make) in [("pack_compliance", "mkfifo"), ("runs", "ln -s /dev/zero"), ("pack_status", "mkdir")] {
        let path = scene.path("lake").join(format!("{table}/snapshot_date={DAY}/aggregator=org/data.parquet"));
        let whole = std::fs::read(&path).expect("read");
        std::fs::remove_file(&path).expect("removed");
        let made = Command::new("sh").args(["-c", &format!("{make} {}", path.display())]).status().expect("it ran");
        assert!(made.success(), "{make}");
        for arguments in [&["verify", &pipeline][..], &["verify", &pipeline, "--repair"], &["history", &pipeline]] {
            let ended = run(scene.command(arguments));
            let is_told = ended.stdout.contains("no plain file") || ended.stderr.contains("no plain file");
            let is_missing = ended.stdout.contains(&format!("{table} of {DAY} is not there"));
            assert!(is_told || is_missing || arguments[0] == "history", "{make} {arguments:?}: {ended:?}");
        }
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
        std::fs::write(&path, whole).expect("restored");
    }
    assert_eq!(run(scene.command(&["verify", &pipeline, "--repair"])).code, Some(0));
}

#[test]
fn w9_f15_what_other_tools_leave_in_a_lake_is_named_and_is_not_wrong_and_links_do_not_go_round() {
    let scene = Scene::of_accounts(4);
    let pipeline = scene.org_pipeline("lake", "", "").display().to_string();
    assert_eq!(run(scene.command(&["run", &pipeline, "--date", DAY])).code, Some(0));
    let day = scene.path("lake/pack_compliance").join(format!("snapshot_date={DAY}/aggregator=org"));
    for name in ["_SUCCESS", ".data.parquet.crc", ".DS_Store", "snapshot_$folder$"] {
        std::fs::write(day.join(name), "").expect("written");
    }
    std::os::unix::fs::symlink(scene.path("lake"), scene.path("lake/again")).expect("a link");
    std::os::unix::fs::symlink(scene.path("lake/pack_compliance"), scene.path("lake/pack_status/round"))
        .expect("a link");
    let odd: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(b"odd\xff".to_vec());
    std::fs::write(scene.path("lake").join(odd), "").expect("written");
    let said = run(scene.command(&["verify", &pipeline])).stdout;
    for name in ["_SUCCESS", ".data.parquet.crc", ".DS_Store", "snapshot_$folder$", "again", "pack_status/round", "odd"]
    {
        assert_eq!(said.lines().filter(|line| line.contains(name)).count(), 1, "{name}: {said}");
    }
    assert!(said.contains("1 problem found"), "a link to a table in a table is read by others: {said}");
    assert_eq!(run(scene.command(&["run", &pipeline, "--date", "2026-03-02"])).code, Some(0));
}

#[test]
fn f19_attempts_that_fail_are_told_of_aws_config_and_of_s3() {
    let scene = Scene::of_accounts(4);
    let path = scene.org_pipeline("lake", "", "max_attempts = 2");
    let text = std::fs::read_to_string(&path).expect("read");
    let endpoint = text.lines().find(|line| line.starts_with("endpoint_url")).expect("an endpoint").to_owned();
    let url = text.lines().find(|line| line.starts_with("url")).expect("a lake").to_owned();
    let nowhere = "endpoint_url = \"http://127.0.0.1:9\"";
    let lake = format!("url = \"s3://bucket\"\nregion = \"us-east-1\"\nmax_attempts = 2\n{nowhere}");
    for (file, service) in [(text.replace(&endpoint, nowhere), "AWS Config"), (text.replace(&url, &lake), "S3")] {
        std::fs::write(&path, file).expect("written");
        let ended = run(scene.command_with_keys(&["run", &path.display().to_string()]));
        assert_eq!(ended.code, Some(1), "{service}: {ended:?}");
        let told = format!("{service} is not reached; it may be tried again");
        assert_eq!(ended.stderr.matches(&told).count(), 1, "{service}: {ended:?}");
    }
}

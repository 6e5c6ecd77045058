//! `compline --version`, and the build script that knows what it says.

#[path = "../../crates/compline/build.rs"]
#[expect(dead_code, clippy::print_stdout, reason = "what only a build calls")]
mod build;

use crate::support::run;
use chrono::{DateTime, NaiveDate, Utc};
use std::path::Path;
use std::process::Command;

#[test]
fn the_version_names_commit_and_day_of_the_build() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compline"));
    command.arg("--version");
    let ended = run(command);
    let build = ended.stdout.strip_prefix(concat!("compline ", env!("CARGO_PKG_VERSION"), " (")).expect("the version");
    let (commit, day) = build.strip_suffix(")\n").expect("the end").split_once(' ').expect("two words");
    let hash = commit.strip_suffix("-dirty").unwrap_or(commit);
    // Whoever builds without a repository may say another word.
    assert!(!hash.is_empty() && hash.len() <= 64, "{ended:?}");
    let day: NaiveDate = day.parse().expect("a day");
    assert!(day <= Utc::now().date_naive(), "{ended:?}");
}

#[test]
fn the_day_of_a_build_is_the_calendar_s() {
    for day in 0..80_000 {
        let (first, last) = (day * 86_400, day * 86_400 + 86_399);
        let moment = DateTime::from_timestamp(first, 0).expect("a moment");
        for seconds in [first, last] {
            assert_eq!(build::date(Some(seconds.to_string()), None), Ok(moment.date_naive().to_string()));
        }
    }
}

#[test]
fn a_reproducible_build_takes_its_day_from_source_date_epoch_and_wrong_ones_are_told() {
    let date = |epoch: &str, given: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        build::date(some(epoch), some(given))
    };
    assert_eq!(date("0", "2026-11-27").as_deref(), Ok("1970-01-01"));
    assert_eq!(date("", "2026-11-27").as_deref(), Ok("2026-11-27"));
    let now = date("", "").expect("today");
    assert!(
        [Utc::now(), Utc::now() - chrono::Duration::minutes(5)].iter().any(|one| one.date_naive().to_string() == now)
    );
    for (epoch, given, variable) in
        [("x", "", "SOURCE_DATE_EPOCH"), ("-1", "", "SOURCE_DATE_EPOCH"), ("", "27.11.2026", "COMPLINE_DATE")]
    {
        let error = date(epoch, given).expect_err("an error");
        assert!(error.starts_with(variable) && error.ends_with("set or unset it"), "{error}");
    }
}

#[test]
fn the_commit_is_that_of_the_sources_and_dirty_where_they_are_not_as_it_has_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let commit = || build::commit(None, folder.path()).expect("a commit");
    for path in ["crates/a", "docs"] {
        std::fs::create_dir_all(folder.path().join(path)).expect("made");
    }
    write(folder.path(), "crates/a/lib.rs", "one");
    write(folder.path(), "docs/a.md", "one");
    assert_eq!(commit(), "unknown", "an archive of the sources has no repository");
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "one"]);
    let clean = commit();
    assert!(clean.len() == 12 && git(folder.path(), &["rev-parse", "HEAD"]).starts_with(&clean), "{clean}");
    write(folder.path(), "docs/a.md", "two");
    assert_eq!(commit(), clean, "no program is made of it");
    write(folder.path(), "crates/a/lib.rs", "two");
    assert_eq!(commit(), format!("{clean}-dirty"));
    write(folder.path(), "crates/a/lib.rs", "one");
    assert_eq!(commit(), clean);
    write(folder.path(), "crates/a/new.rs", "one");
    assert_eq!(commit(), format!("{clean}-dirty"), "a file that nobody added is compiled too");
    // Unpacked in a folder of somebody else's repository.
    std::fs::create_dir_all(folder.path().join("unpacked/crates")).expect("made");
    assert_eq!(build::commit(None, &folder.path().join("unpacked")).as_deref(), Ok("unknown"));
}

#[test]
fn a_commit_that_is_given_wins_and_cannot_be_anything() {
    let given = |text: &str| build::commit(Some(text.to_owned()), Path::new("."));
    assert_eq!(given("0123456789abcdef0123456789abcdef01234567").as_deref(), Ok("0123456789ab"));
    assert_eq!(given("v0.1.0-rc.1").as_deref(), Ok("v0.1.0-rc.1"));
    for wrong in ["a b", "a\ncargo::rustc-env=B=C", "\u{e4}", &"a".repeat(65)] {
        let error = given(wrong).expect_err("an error");
        assert!(error.starts_with("COMPLINE_COMMIT is "), "{error}");
    }
}

#[test]
fn a_build_looks_again_once_head_or_the_sources_have_changed_and_at_nothing_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "Cargo.lock", "");
    let decides = || {
        let paths = build::decides(folder.path());
        assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
        paths
    };
    assert_eq!(decides(), [folder.path().join("Cargo.lock")]);
    git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "one"]);
    let paths = decides();
    for name in [".git/HEAD", ".git/logs/HEAD", ".git/refs/heads/main"] {
        assert!(paths.contains(&folder.path().join(name)), "{paths:?}");
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("written");
}

/// What git prints in a folder, with nothing of the tester's settings.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]);
    command.arg("-C").arg(folder).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().expect("git");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

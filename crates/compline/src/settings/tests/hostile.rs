//! Texts and files that nobody means well with: each is an error of one line, none a panic, none a wait without end.

use super::*;
use crate::mutate::{edited, edits, ends};
use proptest::prelude::*;
use std::fmt::Write;

/// One line, that names the file and has nothing that a terminal would obey.
fn one_line(text: &str) -> String {
    let found = error(text);
    assert!(found.starts_with("p.toml") && !found.contains(char::is_control) && found.len() < 2_000, "{found:?}");
    found
}

#[test]
fn numbers_out_of_every_range_are_refused_with_the_range() {
    for number in ["nan", "-nan", "inf", "-inf", "1e999", "-1", "1_001", "99999999999999999999999999999999999999999999"]
    {
        for (key, allowed) in [("max_requests_per_second", "0.1 to 1000"), ("page_size", "0 to 100")] {
            let found = one_line(&with("region", &format!("[fetch]\n{key} = {number}")));
            let is_overflow = found.contains("number overflowed");
            assert!(found.contains(&format!("p.toml, line 10: {key} = {number}: ")), "{found}");
            assert!(is_overflow || found.contains(&format!("allowed is {allowed}")), "{found}");
        }
        let found = one_line(&with("region", &format!("[check]\nmax_loss_percent = {number}")));
        assert!(found.contains("overflowed") || found.contains("allowed is 0 to 100"), "{found}");
    }
    let found = one_line(&with("region", "[fetch]\npage_size = 5.0"));
    assert!(found.ends_with("page_size = 5.0: allowed is 0 to 100, without a decimal point"), "{found}");
    let percent =
        Settings::parse("p.toml", &with("region", "[check]\nmax_loss_percent = 0.5"), None).expect("settings");
    assert!((percent.max_loss - 0.005).abs() < 1e-12);
}

#[test]
fn every_text_that_is_empty_or_of_another_type_is_refused_with_its_key() {
    let keys = [
        ("url", "compression"),
        ("url", "region"),
        ("url", "endpoint_url"),
        ("url", "encryption"),
        ("url", "kms_key_id"),
        ("url", "acl"),
        ("url", "expected_bucket_owner"),
        ("url", "storage_class"),
        ("url", "checksums"),
        ("name", "fan_out"),
        ("name", "role_arn"),
        ("name", "external_id"),
        ("name", "role_session_name"),
        ("region", "[check]\nreconcile"),
        ("region", "[catalog]\ndatabase"),
        ("region", "[catalog]\ndatabase = \"a\"\nfirst_day"),
        ("region", "[catalog]\ndatabase = \"a\"\npartitions"),
        ("region", "[maintain]\ncompact"),
        ("region", "[[aggregator.filter]]\nconformance_pack_name"),
        ("region", "[aggregator.include]\npack_group"),
    ];
    for (after, key) in keys {
        let name = key.rsplit('\n').next().unwrap_or(key);
        for value in
            ["\"\"", "\"\\u0000\"", "\"\\u001b[31m\"", "5", "nan", "true", "2026-01-01", "{}", "{ a = 1 }", "[[]]"]
        {
            let text = with(after, &format!("{key} = {value}"));
            assert!(Settings::parse("p.toml", &text, None).is_err(), "{key} = {value} is taken");
            let found = one_line(&text);
            assert!(
                found.contains(&format!(": {name} = ")) && found.contains(": allowed is "),
                "{key} {value}: {found}"
            );
        }
    }
    for (key, line) in
        [("id", "id = \"org\""), ("name", "name = \"org-aggregator\""), ("url", "url = \"s3://bucket/prefix\"")]
    {
        let found = one_line(&GOOD.replace(line, &format!("{key} = \"\"")));
        assert!(found.contains(&format!(": {key} = \"\": allowed is ")), "{found}");
    }
}

#[test]
fn a_list_names_the_line_and_the_text_of_the_value_that_is_wrong() {
    let found = one_line(&with("region", "[[aggregator.filter]]\naccount_id = [\n  \"000000000001\",\n  \"2\",\n]"));
    assert_eq!(
        found,
        "p.toml, line 12: account_id = \"2\": allowed is 12 digits, in quotes so that leading zeros stay"
    );
}

#[test]
fn a_table_is_only_taken_where_one_belongs() {
    for (text, words) in [
        (with("region", "fetch = [100]"), "unknown field `fetch`"),
        (GOOD.replace("[lake]\nurl = ", "lake = "), "line 3: lake = \"s3://bucket/prefix\": allowed is a table"),
        (GOOD.replace("[lake]", "[[lake]]"), "line 3: [[lake]]: allowed is a table"),
        (GOOD.replace("version = 1", "version = 1\nfetch = [100, 8]"), "line 3: fetch = [100, 8]: allowed is a table"),
        (
            GOOD.replace("[[aggregator]]", "[aggregator]"),
            "line 5: [aggregator]: allowed are tables in two brackets each",
        ),
        (
            with("region", "[aggregator.filter]\naccount_id = \"000000000001\""),
            "line 9: [aggregator.filter]: allowed are tables in",
        ),
        (with("region", "filter = [[\"000000000001\"]]"), "filter = [\"000000000001\"]: allowed is a table"),
        (with("url", "[lake.url]\nx = 1"), "duplicate key"),
        (with("url", "url.x = 1"), "p.toml, line 5: url.x: "),
        (with("url", "url = \"other\""), "p.toml, line 5: url: duplicate key"),
        (with("region", "[lake]\nregion = \"eu-west-1\""), "p.toml, line 9: [lake]: duplicate key"),
        (GOOD.replace("name = \"org-aggregator\"\n", ""), "p.toml, line 5: [[aggregator]]: missing field `name`"),
        (GOOD.replace("\n[lake]\nurl = \"s3://bucket/prefix\"", ""), "p.toml: missing field `lake`"),
        (GOOD.replace("version = 1", "version = \"1\""), "line 2: version = \"1\": allowed is 1; a newer"),
        (GOOD.replace("version = 1", "version = 2\n[new]\nx = 1"), "line 2: version = 2: allowed is 1; a newer"),
    ] {
        let found = one_line(&text);
        assert!(found.contains(words), "{text}\n{found}\n{words}");
    }
}

#[test]
fn line_ends_and_a_mark_at_the_start_change_nothing() {
    for text in [GOOD.replace('\n', "\r\n"), format!("\u{feff}{GOOD}"), format!("\u{feff}{}", GOOD.trim())] {
        let settings = Settings::parse("p.toml", &text, None).expect("settings");
        assert_eq!(lake_name(&settings.lake), "s3://bucket/prefix");
        let found = one_line(&text.replace("eu-west-1", "Ireland"));
        assert!(found.ends_with("region = \"Ireland\": allowed is a name such as eu-west-1"), "{found}");
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_and_does_not_overflow_the_stack() {
    let dotted = vec!["a"; 79].join(".");
    let deepest = (0..79).fold("1".to_owned(), |inner, _| format!("{{ {dotted} = {inner} }}"));
    for text in [
        format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x = {}", "{ a = ".repeat(100_000)),
        format!("{}.a = 1", vec!["a"; 100_000].join(".")),
        format!("[{}]\n", vec!["a"; 100_000].join(".")),
        format!("[{dotted}]\n{dotted} = {deepest}\n"),
        format!("version = 1\nlake = {deepest}\n"),
        format!("version = 1\n[[aggregator]]\nid = {deepest}\n"),
    ] {
        one_line(&text);
    }
}

#[test]
fn f25_a_prefix_that_athena_or_hive_would_read_as_something_else_is_refused() {
    for c in
        ["$", "${x}", "{", "}", "*", "?", "[", "]", "#", "%", "%41", "'", "\\\"", "`", "\\\\", "\\n", "\\t", "\\u0085"]
    {
        for place in [format!("a{c}b/c"), format!("a/{c}"), c.to_owned()] {
            let found = one_line(&GOOD.replace("bucket/prefix", &format!("bucket/{place}")));
            assert!(found.contains("line 4: url = \"s3://") && found.contains("the prefix without $ {"), "{found}");
        }
    }
    let text = Settings::parse("p.toml", GOOD, Some("s3://bucket/${x}")).expect_err("refused").to_string();
    assert!(text.starts_with("--lake: \"s3://bucket/${x}\": allowed is s3://bucket/prefix, or a folder; "), "{text}");
    for url in ["s3:/bucket/x", "S3://bucket/x", "s3:bucket", "s3a://bucket", "file:/x", "https:x"] {
        let found = one_line(&GOOD.replace("s3://bucket/prefix", url));
        assert!(found.contains("allowed is s3://bucket/prefix, or a folder; "), "{found}");
    }
    for prefix in ["a b", "env=prod", "é", "a.b", "a/b/", ""] {
        let text = GOOD.replace("bucket/prefix", &format!("bucket/{prefix}"));
        assert!(Settings::parse("p.toml", &text, None).is_ok(), "{prefix:?} was a prefix before, and is harmless");
    }
    for bucket in ["..a", "-ab", "ab", "a_b", "Abc", "ab.", "a:b", ""] {
        one_line(&GOOD.replace("bucket/prefix", bucket));
    }
}

#[test]
fn a_path_that_is_no_plain_file_of_text_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let read = |file: &Path| format!("{:#}", Settings::read(file, None).expect_err("an error"));
    std::fs::write(path("latin"), b"version = 1 # \xe9").expect("written");
    File::create(path("large")).and_then(|file| file.set_len(100_000_000)).expect("written");
    assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().is_ok_and(|status| status.success()));
    for (file, words) in [
        (path("none"), "No such file"),
        (folder.path().to_owned(), "it is a folder"),
        (path("pipe"), "it is no plain file but a pipe"),
        ("/dev/zero".into(), "it is no plain file but a pipe or a device"),
        (path("latin"), "it is not UTF-8 at byte 14; save it as UTF-8"),
        (path("large"), "it has more than 1048576 bytes"),
    ] {
        let found = read(&file);
        assert!(found.starts_with("cannot read the pipeline file ") && found.contains(words), "{found}");
    }
    std::fs::write(path("good"), GOOD).expect("written");
    #[cfg(unix)]
    std::os::unix::fs::symlink(path("good"), path("link")).expect("linked");
    assert!(Settings::read(&path("link"), None).is_ok(), "what a ConfigMap mounts is a link");
}

/// Pieces of files, to put together what a person or a broken template might.
const PIECES: &[&str] = &[
    "version",
    "lake",
    "url",
    "aggregator",
    "filter",
    "fetch",
    "catalog",
    "maintain",
    "first_day",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "\r",
    "\"",
    "'''",
    "\"\"\"",
    "\\",
    "#",
    "1",
    "-1",
    "1e400",
    "nan",
    "0x",
    "2026-01-01",
    "true",
    "\"s3://a\"",
    "\"\\u0000\"",
    "\u{feff}",
    "\u{202e}",
    "\u{0}",
    "é",
    "$__serde_spanned_private_start",
    " ",
];

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = Settings::parse("p.toml", &text, None);
        let _ = Settings::parse("p.toml", &with("region", &text), None);
    }

    #[test]
    fn no_edit_of_a_good_file_makes_it_panic_and_each_error_is_one_line(
        edits in prop::collection::vec((0_usize..GOOD.len(), 0_usize..6, prop::sample::select(PIECES)), 1..8),
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, removed, piece) in edits {
            let start = at.min(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problem) = Settings::parse("p.toml", &text, None) {
            let problem = problem.to_string();
            prop_assert!(problem.starts_with("p.toml") && !problem.contains(char::is_control), "{problem:?}");
        }
    }

    #[test]
    fn fuzz_no_damage_to_the_shipped_file_makes_reading_it_panic_or_never_end(edits in edits(PIECES)) {
        let shipped = include_bytes!("../../../../../pipelines/nightly/pipeline.toml");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), shipped).expect("written");
        prop_assert!(Settings::read(file.path(), None).is_ok());
        std::fs::write(file.path(), edited(shipped, &edits)).expect("written");
        if let Err(problem) = ends(|| Settings::read(file.path(), None))? {
            let problem = format!("{problem:#}");
            prop_assert!(problem.len() < 4_000 && !problem.contains(char::is_control), "{problem:?}");
        }
    }

    #[test]
    fn a_file_written_from_checked_values_reads_back_as_them(
        id in "[a-z0-9][a-z0-9_-]{0,20}",
        prefix in "[a-z0-9._ =-]{0,20}[a-z0-9]",
        accounts in prop::collection::vec("[0-9]{12}", 1..4),
        (page, in_flight, attempts, role_secs) in (0_u32..=100, 1_usize..=256, 1_u32..=100, 900_u64..=43_200),
        (rate, loss) in (0.1_f64..=1000.0, 0_u32..=100),
        kind in prop::sample::select(vec!["zstd", "snappy", "gzip", "none"]),
        days in 1_u32..=36_500,
    ) {
        let mut text = format!("version = 1\n[lake]\nurl = \"s3://bucket/x{prefix}\"\ncompression = '{kind}'\n");
        let _ = write!(
            text,
            "[[aggregator]]\nid = '{id}'\nname = \"A_{id}\"\nregion = 'eu-west-1'\nrole_arn = \
             \"arn:aws:iam::{account}:role/x\"\nrole_duration_secs = {role_secs}\n[[aggregator.filter]]\naccount_id = \
             {accounts:?}\n[fetch]\npage_size = {page}\nmax_in_flight = {in_flight}\nmax_attempts = {attempts}\n\
             max_requests_per_second = {rate:?}\n[check]\nmax_loss_percent = {loss}\n[maintain]\npack_status_days = {days}\n",
            account = accounts[0],
        );
        let settings = Settings::parse("p.toml", &text, None).map_err(|error| TestCaseError::fail(format!("{error}")))?;
        prop_assert_eq!(lake_name(&settings.lake), format!("s3://bucket/x{prefix}"));
        prop_assert_eq!(format!("{:?}", settings.compression).to_lowercase(), kind);
        let one = &settings.aggregators[0];
        prop_assert_eq!(one.address.id.as_str(), id.as_str());
        prop_assert_eq!(one.address.role.as_ref().map(|role| role.duration.as_secs()), Some(role_secs));
        let read: Vec<String> = one.of(&Dataset::PACKS).filters[0].account_id.iter().map(ToString::to_string).collect();
        prop_assert_eq!(&read, &accounts);
        prop_assert_eq!(settings.fetch.page_size.unwrap_or_default(), i32::try_from(page).unwrap_or(-1));
        prop_assert_eq!((settings.max_in_flight, settings.fetch.max_attempts), (in_flight, attempts));
        prop_assert_eq!(settings.fetch.max_requests_per_second, Some(rate));
        prop_assert!((settings.max_loss - f64::from(loss) / 100.0).abs() < 1e-12);
        prop_assert_eq!(settings.keep.pack_status_days, Some(days));
    }
}

#[test]
fn a_file_with_the_ends_of_lines_of_windows_is_read_and_a_mistake_in_it_shown() {
    let windows = GOOD.replace('\n', "\r\n");
    Settings::parse("p.toml", &windows, None).expect("settings");
    for line in ["url = \"/tmp/x", "url =", "[lake", "x = 'y", "x = \"\"\"y", "=", "\"", "x = {", "x = [1,"] {
        one_line(&format!("version = 1\r\n{line}\r\n"));
        one_line(&format!("{windows}{line}\r\n[x]\r\n"));
    }
}

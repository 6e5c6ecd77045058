use super::*;

mod hostile;

const GOOD: &str = r#"
version = 1
[lake]
url = "s3://bucket/prefix"
[[aggregator]]
id = "org"
name = "org-aggregator"
region = "eu-west-1"
"#;

fn error(text: &str) -> String {
    Settings::parse("p.toml", text, None).map(|settings| format!("{settings:?}")).expect_err("an error").to_string()
}

/// `GOOD` with one line after the line that starts with `after`.
fn with(after: &str, line: &str) -> String {
    let at = GOOD.find(after).expect("the line");
    let end = at + GOOD[at..].find('\n').expect("its end");
    format!("{}\n{line}{}", &GOOD[..end], &GOOD[end..])
}

#[test]
fn the_shortest_pipeline_has_sound_defaults() {
    let settings = Settings::parse("p.toml", GOOD, None).expect("settings");
    assert_eq!(lake_name(&settings.lake), "s3://bucket/prefix");
    assert_eq!((settings.fetch.page_size, settings.fetch.max_attempts, settings.max_in_flight), (Some(100), 10, 8));
    assert_eq!(settings.aggregators[0].fan_out, FanOut::Auto);
    assert_eq!(settings.fetch.max_requests_per_second, None);
    assert_eq!((settings.checkpoint_age.as_secs(), settings.archive_raw), (12 * 3600, false));
    assert!(!settings.answers_any_date());
}

#[test]
fn a_wrong_value_is_named_with_file_line_key_value_and_what_is_allowed() {
    for (after, line, message) in [
        (
            "name",
            "fan_out = \"regions\"",
            "p.toml, line 8: fan_out = \"regions\": allowed is auto, none, region, account",
        ),
        (
            "region",
            "[fetch]\nmax_requests_per_second = 0",
            "max_requests_per_second = 0: allowed is 0.1 to 1000; leave",
        ),
        ("region", "[fetch]\nmax_requests_per_second = \"5\"", "max_requests_per_second = \"5\": allowed is 0.1 to"),
        ("region", "[fetch]\ncheckpoint_max_age_secs = -1", "checkpoint_max_age_secs = -1: allowed is 0 to 86400"),
        ("name", "role_duration_secs = 900", "p.toml, line 8: role_duration_secs is for a role: set role_arn too"),
        (
            "name",
            "role_arn = \"arn:aws-cn:iam::111111111111:role/x\"\nrole_duration_secs = 60",
            "role_duration_secs = 60: allowed is 900 to 43200",
        ),
        (
            "name",
            "role_arn = \"arn:aws-cn:iam::111111111111:role/x\"\nrole_session_name = \"a b\"",
            "role_session_name = \"a b\": allowed is 2 to 64 letters, digits and _=,.@-",
        ),
        ("region", "[aggregator.include]\npack_group = [\"a[\"]", "pack_group = \"a[\": allowed is a pattern: *"),
        ("region", "[aggregator.exclude]\naccount_id = 1", "account_id = 1: allowed is text in quotes"),
        ("region", "[aggregator.exclude]\npack = \"x\"", "unknown field `pack`, expected one of"),
        (
            "url",
            "compression = \"lz4\"",
            "p.toml, line 5: compression = \"lz4\": allowed is zstd, snappy, gzip, none: what Athena reads",
        ),
        (
            "url",
            "compresion = \"zstd\"",
            "p.toml, line 5: compresion: unknown field `compresion`, expected one of `url`, ",
        ),
        ("url", "path_style = 1", "p.toml, line 5: path_style = 1: allowed is true or false"),
        ("region", "[metrics]\ntextfile = \"/tmp/metrics\"", "allowed is the path of a file that ends with .prom"),
        ("region", "[metrics]\nemf_namespace = \"AWS/Config\"", "none of AWS's own, which begin with AWS/"),
        ("region", "[fetch]\npage_size = 101", "p.toml, line 10: page_size = 101: allowed is 0 to 100"),
        ("region", "[fetch]\npage_size = -1", "p.toml, line 10: page_size = -1: allowed is 0 to 100"),
        (
            "region",
            "[fetch]\nendpoint_url = \"localhost\"",
            "endpoint_url = \"localhost\": allowed is a URL that starts with https:// or http://",
        ),
        (
            "region",
            "[[aggregator.filter]]\naccount_id = 111111111111",
            "p.toml, line 10: account_id = 111111111111: allowed is text in quotes",
        ),
        (
            "region",
            "[[aggregator.filter]]\naccount_id = [\"1\"]",
            "p.toml, line 10: account_id = \"1\": allowed is 12 digits",
        ),
        (
            "region",
            "[[aggregator.filter]]\naws_region = []",
            "p.toml, line 10: aws_region = []: allowed is a value or a list",
        ),
        (
            "region",
            "[[aggregator.filter]]\ncompliance_type = \"compliant\"",
            "compliance_type = \"compliant\": allowed is COMPLIANT, ",
        ),
        ("region", "external_id = \"xy\"", "p.toml, line 9: external_id is for a role: set role_arn too"),
        ("region", "role_arn = \"arn:aws:iam::1:role/x\"", "allowed is a role's ARN"),
        (
            "region",
            "[[aggregator]]\nid = \"org\"\nname = \"b\"\nregion = \"eu-west-1\"",
            "p.toml, line 10: id = \"org\": allowed is an id that no other",
        ),
    ] {
        let found = error(&with(after, line));
        assert!(found.contains(message), "{line}:\n{found}\n{message}");
    }
}

#[test]
fn how_a_lake_on_s3_is_stored_has_named_limits_and_is_for_s3_alone() {
    let lines = "encryption = \"aws:kms\"\nkms_key_id = \"alias/x\"\nbucket_key = true\nacl = \"bucket-owner-full-control\"\n\
                 expected_bucket_owner = \"012345678901\"\nstorage_class = \"STANDARD_IA\"\ntags = { team = \"audit\" }\n\
                 checksums = \"when_required\"\nattempt_timeout_secs = 10\nmax_attempts = 3";
    let settings = Settings::parse("p.toml", &with("url", lines), None).expect("settings");
    let LakeLocation::S3(s3) = &settings.lake else { panic!("{:?}", settings.lake) };
    let kms = compline_sink::Encryption::SseKms { key_id: Some("alias/x".to_owned()), bucket_key: Some(true) };
    assert_eq!((s3.encryption.as_ref(), s3.checksums_when_required, s3.max_attempts), (Some(&kms), true, 3));
    assert_eq!((s3.attempt_timeout.as_secs(), s3.tags["team"].as_str()), (10, "audit"));
    for (line, message) in [
        ("encryption = \"aws\"", "encryption = \"aws\": allowed is AES256, aws:kms"),
        ("encryption = \"AES256\"\nkms_key_id = \"x\"", "line 6: kms_key_id is for encryption = \"aws:kms\""),
        ("bucket_key = true", "line 5: bucket_key is for encryption = \"aws:kms\""),
        (
            "acl = \"public-read\"",
            "acl = \"public-read\": allowed is private, bucket-owner-read, bucket-owner-full-control",
        ),
        ("expected_bucket_owner = \"1\"", "expected_bucket_owner = \"1\": allowed is 12 digits"),
        ("storage_class = \"GLACIER\"", "storage_class = \"GLACIER\": allowed is STANDARD, STANDARD_IA, ONEZONE_IA, "),
        ("tags = { \"aws:x\" = \"y\" }", "allowed is at most 10 tags"),
        ("tags = { x = \"a&b\" }", "allowed is at most 10 tags"),
        ("checksums = \"never\"", "checksums = \"never\": allowed is when_supported, when_required"),
        ("attempt_timeout_secs = 0", "attempt_timeout_secs = 0: allowed is 1 to 3600"),
        ("max_attempts = 0", "max_attempts = 0: allowed is 1 to 100"),
    ] {
        let found = error(&with("url", line));
        assert!(found.contains(message), "{line}:\n{found}\n{message}");
    }
    let folder = with("url", "tags = { team = \"audit\" }\nacl = \"private\"").replace("s3://bucket/prefix", "lake");
    assert_eq!(error(&folder), "p.toml, line 5: tags is for a lake on s3://");
    assert!(Settings::parse("p.toml", &folder, Some("elsewhere")).is_ok(), "they wait for the next run without --lake");
}

#[test]
fn a_catalog_and_what_is_retained_have_sound_defaults_and_named_limits() {
    let settings = Settings::parse("p.toml", GOOD, None).expect("settings");
    assert!(settings.catalog.is_none() && settings.keep.compact.is_empty());
    let today = "2026-03-01".parse().expect("a date");
    assert_eq!(
        (settings.keep.statuses_from(&Dataset::PACKS, today), settings.keep.snapshots_from(today)),
        (None, None)
    );

    let lines = "[catalog]\ndatabase = \"audit\"\n[maintain]\npack_status_days = 2\ncompact = [\"runs\", \"runs\"]";
    let text = with("region", lines);
    let settings = Settings::parse("p.toml", &text, None).expect("settings");
    let catalog = settings.catalog.expect("a catalog");
    assert_eq!(catalog.location.database, "audit");
    let Partitioning::Projected { first_day, aggregators } = &catalog.partitioning else { panic!("{catalog:?}") };
    assert_eq!((*first_day, aggregators.len()), (None, 1));
    assert_eq!(
        settings.keep.statuses_from(&Dataset::PACKS, today).map(|date| date.to_string()).as_deref(),
        Some("2026-02-27")
    );
    assert_eq!(settings.keep.compact.into_iter().collect::<Vec<_>>(), [Table::Runs]);
    for (partitions, first_day) in [("projection", true), ("both", true), ("registered", false)] {
        let day = if first_day { "\nfirst_day = \"2025-12-31\"" } else { "" };
        let lines = format!("[catalog]\ndatabase = \"audit\"\npartitions = \"{partitions}\"{day}");
        let catalog = Settings::parse("p.toml", &with("region", &lines), None).expect("settings").catalog;
        assert_eq!(format!("{catalog:?}").contains("2025-12-31"), first_day, "{catalog:?}");
    }
    let elsewhere = Settings::parse("p.toml", &text, Some("s3://other")).expect("settings");
    assert!(elsewhere.catalog.is_none(), "a run on another lake must not move the tables there");

    for (lines, message) in [
        ("[catalog]\ndatabase = \"Audit\"", "line 10: database = \"Audit\": allowed is a lower-case letter"),
        (
            "[catalog]\ndatabase = \"a\"\npartitions = \"none\"",
            "partitions = \"none\": allowed is projection, registered, both",
        ),
        ("[catalog]\ndatabase = \"a\"\nfirst_day = \"2020-1-1\"", "first_day = \"2020-1-1\": allowed is YYYY-MM-DD"),
        (
            "[catalog]\ndatabase = \"a\"\npartitions = \"registered\"\nfirst_day = \"2020-01-01\"",
            "line 12: first_day is for partitions = \"projection\" or \"both\"",
        ),
        ("[catalog]\ntable = \"a\"", "unknown field `table`"),
        ("[maintain]\npack_status_days = 0", "pack_status_days = 0: allowed is 1 to 36500"),
        ("[maintain]\nsnapshot_days = -1", "snapshot_days = -1: allowed is 1 to 36500"),
        (
            "[maintain]\ncompact = [\"packs\"]",
            "compact = \"packs\": allowed is tables: pack_compliance, source_status, ",
        ),
    ] {
        let found = error(&with("region", lines));
        assert!(found.contains(message), "{lines}:\n{found}\n{message}");
    }
    let folder = text.replace("s3://bucket/prefix", "lake");
    assert!(error(&folder).contains("a [catalog] is for a lake on s3://: Athena reads nothing else"));
}

#[test]
fn what_is_checked_has_sound_defaults_and_named_limits() {
    let settings = Settings::parse("p.toml", GOOD, None).expect("settings");
    assert_eq!((settings.max_loss, settings.reconcile, settings.reconcile_tolerance), (0.2, Reconcile::Warn, 0.01));
    for (line, message) in [
        ("reconcile = \"maybe\"", "p.toml, line 10: reconcile = \"maybe\": allowed is off, warn, fail"),
        ("max_loss_percent = 101", "p.toml, line 10: max_loss_percent = 101: allowed is 0 to 100"),
    ] {
        assert_eq!(error(&with("region", &format!("[check]\n{line}"))), message);
    }
}

#[test]
fn a_file_that_is_no_pipeline_is_told_apart() {
    for (text, message) in [
        ("", "missing field `version`"),
        ("version = 2\n[lake]\nurl = \"lake\"", "p.toml, line 1: version = 2: allowed is 1"),
        ("version = 1\n[lake]\nurl = \"lake\"", "there is no [[aggregator]]"),
        ("version = = 1", "p.toml, line 1: version: extra `=`"),
        (
            &GOOD.replace("eu-west-1", "Ireland"),
            "p.toml, line 8: region = \"Ireland\": allowed is a name such as eu-west-1",
        ),
        (&GOOD.replace("\"org\"", "\"..\""), "p.toml, line 6: id = \"..\": allowed is a-z"),
        (
            &GOOD.replace("s3://bucket/prefix", "gs://bucket"),
            "url = \"gs://bucket\": allowed is s3://bucket/prefix, or a folder",
        ),
        (
            &GOOD.replace("s3://bucket/prefix", "file:///var/lib/lake"),
            "url = \"file:///var/lib/lake\": allowed is s3://bucket/prefix, or a folder",
        ),
        (&GOOD.replace("s3://bucket/prefix", "s3://bucket/../x"), "url = \"s3://bucket/../x\": allowed is"),
    ] {
        let found = error(text);
        assert!(
            found.starts_with("p.toml") && found.contains(message) && !found.contains('\n'),
            "{text}:\n{found}\n{message}"
        );
    }
}

#[test]
fn a_fan_out_by_compliance_type_is_read_as_auto_and_warned_of() {
    let settings = Settings::parse("p.toml", &with("name", "fan_out = \"compliance_type\""), None).expect("settings");
    assert_eq!(settings.aggregators[0].fan_out, FanOut::Auto);
    assert_eq!(settings.warnings.len(), 1);
    assert!(settings.warnings[0].starts_with("p.toml, line 8: fan_out = \"compliance_type\" is read as \"auto\": "));
    for (fan_out, expected) in [("none", FanOut::None), ("region", FanOut::Region), ("account", FanOut::Account)] {
        let text = with("name", &format!("fan_out = \"{fan_out}\""));
        let settings = Settings::parse("p.toml", &text, None).expect("settings");
        assert_eq!((settings.aggregators[0].fan_out, settings.warnings.len()), (expected, 0));
    }
}

#[test]
fn snapshots_that_are_dropped_before_trends_are_done_with_them_are_warned_of() {
    let warnings = |days: u32| {
        let text = with("region", &format!("[maintain]\nsnapshot_days = {days}"));
        Settings::parse("p.toml", &text, None).expect("settings").warnings
    };
    assert!(warnings(180).is_empty() && warnings(3650).is_empty());
    assert!(warnings(179)[0].starts_with("p.toml, line 10: snapshot_days = 179 is less than the 180 days that trends"));
}

#[test]
fn a_role_is_of_a_form_that_sts_takes() {
    let role = "role_arn = \"arn:aws:iam::111111111111:role/x\"";
    let given = format!("{role}\nexternal_id = \"Org-1:/=\"\nrole_session_name = \"a@b\"\nrole_duration_secs = 900");
    let settings = Settings::parse("p.toml", &with("region", &given), None).expect("settings");
    let role_of = |settings: Settings| settings.aggregators[0].address.role.clone().expect("a role");
    let found = role_of(settings);
    assert_eq!((found.external_id.as_deref(), found.session_name.as_str()), (Some("Org-1:/="), "a@b"));
    assert_eq!(found.duration.as_secs(), 900);
    let found = role_of(Settings::parse("p.toml", &with("region", role), None).expect("settings"));
    assert_eq!((found.session_name.as_str(), found.duration.as_secs(), found.external_id), ("compline", 3600, None));
    for key in ["external_id = \"xy\"", "role_session_name = \"xy\"", "role_duration_secs = 900"] {
        let name = key.split(' ').next().unwrap_or_default();
        assert_eq!(error(&with("region", key)), format!("p.toml, line 9: {name} is for a role: set role_arn too"));
    }
    assert!(error(&with("region", &format!("{role}\nexternal_id = \"a b\""))).contains("allowed is 2 to 1224 letters"));
}

#[test]
fn b05_page_size_0_leaves_the_limit_to_the_api() {
    let settings = Settings::parse("p.toml", &with("region", "[fetch]\npage_size = 0"), None).expect("settings");
    assert_eq!(settings.fetch.page_size, None);
}

#[test]
fn b14_a_role_may_be_of_any_aws_partition() {
    for partition in ["aws", "aws-cn", "aws-us-gov"] {
        let line = format!("role_arn = \"arn:{partition}:iam::012345678910:role/path/reader\"");
        assert!(Settings::parse("p.toml", &with("region", &line), None).is_ok(), "{partition}");
    }
}

#[test]
fn a_run_of_several_knows_how_many_ask_at_the_same_time() {
    let mut settings = Settings::parse("p.toml", &with("region", ""), None).expect("settings");
    let date = "2026-01-02".parse().expect("a date");
    assert_eq!(settings.fetch_options(date).runs_at_once, 1);
    settings.keep_dealt("1/4".parse().expect("a deal"));
    assert_eq!(settings.fetch_options(date).runs_at_once, 4);
}

#[test]
fn b63_only_a_source_that_answers_for_any_date_gets_the_date_and_no_real_key() {
    let line = "[fetch]\nendpoint_url = \"http://127.0.0.1:4599/{date}\"";
    let settings = Settings::parse("p.toml", &with("region", line), None).expect("settings");
    let options = settings.fetch_options("2026-01-02".parse().expect("a date"));
    assert_eq!(options.endpoint_url.as_deref(), Some("http://127.0.0.1:4599/2026-01-02"));
    assert_eq!(settings.identity(), Identity::Simulated);
}

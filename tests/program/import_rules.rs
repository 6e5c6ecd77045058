//! Who may import whom: `model` <- `aws`, `pace` <- `fetcher`, `transformer`, `sink`, `notifier`, `report`, `simulator`, `telemetry` <- `compline`, and
//! each SDK in one place.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// The direct dependencies of each crate of the workspace, those of its tests left out.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path", manifest])
        .output()
        .expect("cargo metadata");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        all.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().expect("packages").iter().map(|package| (name(package), of(package))).collect()
}

#[test]
fn the_crates_in_the_middle_know_the_model_and_never_each_other() {
    let dependencies = dependencies();
    assert_eq!(dependencies.len(), 11);
    for (name, imports) in &dependencies {
        let ours: Vec<&str> = imports.iter().map(String::as_str).filter(|name| name.starts_with("compline")).collect();
        match name.as_str() {
            "compline" => assert_eq!(ours.len(), 9, "{ours:?}"),
            "compline-model" | "compline-pace" => assert!(ours.is_empty(), "{ours:?}"),
            "compline-fetcher" => assert_eq!(ours, ["compline-aws", "compline-model", "compline-pace"]),
            // They ask AWS, from the same environment.
            "compline-notifier" | "compline-sink" => assert_eq!(ours, ["compline-aws", "compline-model"], "{name}"),
            // It knows numbers with names, and nothing of packs.
            "compline-telemetry" => assert_eq!(ours, ["compline-aws"], "{name}"),
            _ => assert_eq!(ours, ["compline-model"], "{name}"),
        }
    }
}

#[test]
fn each_library_that_shapes_a_stage_is_in_that_stage_alone() {
    let dependencies = dependencies();
    for (library, home) in [
        ("aws-sdk-config", "compline-fetcher"),
        ("aws-sdk-sts", "compline-fetcher"),
        ("polars", "compline-transformer"),
        ("polars-arrow", "compline-transformer"),
        ("parquet", "compline-sink"),
        ("aws-sdk-s3", "compline-sink"),
        ("opentelemetry-otlp", "compline-telemetry"),
        ("prometheus-client", "compline-telemetry"),
        ("minijinja", "compline-report"),
        ("aws-sdk-sns", "compline-notifier"),
        ("aws-sdk-eventbridge", "compline-notifier"),
        ("aws-smithy-http-client", "compline-aws"),
        ("hyper", "compline-simulator"),
        ("clap", "compline"),
        ("anyhow", "compline"),
    ] {
        let users: Vec<&String> = dependencies
            .iter()
            .filter(|(_, imports)| imports.iter().any(|name| name == library))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(users, [home], "{library}");
    }
}

#[test]
fn the_model_has_no_io_no_async_and_no_sdk() {
    let model = &dependencies()["compline-model"];
    assert!(
        model
            .iter()
            .all(|name| ["arrow", "chrono", "compact_str", "serde", "thiserror", "uuid"].contains(&name.as_str())),
        "{model:?}"
    );
}

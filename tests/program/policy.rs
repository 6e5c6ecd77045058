//! The IAM policy that is shipped: what the code can call, what the settings shipped beside it ask for, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The calls of the SDKs that the code makes, and the right that each takes.
const RIGHTS: [(&str, Option<&str>); 31] = [
    (
        "describe_aggregate_compliance_by_conformance_packs",
        Some("config:DescribeAggregateComplianceByConformancePacks"),
    ),
    // Of an aggregator with `datasets = ["packs", "rules"]`.
    ("describe_aggregate_compliance_by_config_rules", Some("config:DescribeAggregateComplianceByConfigRules")),
    ("describe_configuration_aggregators", Some("config:DescribeConfigurationAggregators")),
    ("describe_configuration_aggregator_sources_status", Some("config:DescribeConfigurationAggregatorSourcesStatus")),
    ("get_aggregate_conformance_pack_compliance_summary", Some("config:GetAggregateConformancePackComplianceSummary")),
    // Anybody may ask who they are.
    ("get_caller_identity", None),
    ("get_object", Some("s3:GetObject")),
    ("head_object", Some("s3:GetObject")),
    ("put_object", Some("s3:PutObject")),
    ("create_multipart_upload", Some("s3:PutObject")),
    ("upload_part", Some("s3:PutObject")),
    ("complete_multipart_upload", Some("s3:PutObject")),
    ("abort_multipart_upload", Some("s3:AbortMultipartUpload")),
    ("delete_object", Some("s3:DeleteObject")),
    ("delete_objects", Some("s3:DeleteObject")),
    ("list_objects_v2", Some("s3:ListBucket")),
    ("list_multipart_uploads", Some("s3:ListBucketMultipartUploads")),
    ("get_database", Some("glue:GetDatabase")),
    ("create_database", Some("glue:CreateDatabase")),
    ("get_table", Some("glue:GetTable")),
    ("create_table", Some("glue:CreateTable")),
    ("update_table", Some("glue:UpdateTable")),
    ("get_partitions", Some("glue:GetPartitions")),
    ("batch_get_partition", Some("glue:BatchGetPartition")),
    ("batch_create_partition", Some("glue:BatchCreatePartition")),
    ("batch_update_partition", Some("glue:BatchUpdatePartition")),
    ("batch_delete_partition", Some("glue:BatchDeletePartition")),
    // Optional: `account_names = "organizations"` of `[report]`.
    ("list_accounts", Some("organizations:ListAccounts")),
    ("publish", Some("sns:Publish")),
    ("put_events", Some("events:PutEvents")),
    // Through the SDK's own provider, with `role_arn`.
    ("AssumeRoleProvider::builder", Some("sts:AssumeRole")),
];

/// What `kms_key_id` takes, in objects that are put and read.
const OF_THE_KEY: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];

/// The code of the crates that ask AWS, without blanks and tests.
fn code() -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("tests") {
                collect(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("readable"));
            }
        }
    }
    let mut text = String::new();
    for name in ["aws", "fetcher", "notifier", "sink"] {
        collect(&PathBuf::from(ROOT).join("crates").join(name).join("src"), &mut text);
    }
    text.retain(|letter| !letter.is_whitespace());
    text
}

fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(format!("{ROOT}/pipelines/nightly/iam-policy.json")).expect("a policy");
    let policy: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut actions = BTreeSet::new();
    for statement in policy["Statement"].as_array().expect("statements") {
        assert_eq!(statement["Effect"], "Allow");
        match &statement["Action"] {
            serde_json::Value::String(action) => drop(actions.insert(action.clone())),
            list => actions.extend(
                list.as_array().expect("a list").iter().map(|action| action.as_str().expect("a text").to_owned()),
            ),
        }
    }
    actions
}

#[test]
fn f20_the_shipped_policy_has_each_right_that_the_code_takes_and_no_other() {
    let code = code();
    let known = |name: &str| RIGHTS.iter().any(|(call, _)| *call == name);
    // A call that somebody adds is in the list, or this fails.
    let of_clients = code.split("client.").skip(1).filter_map(|rest| rest.split_once("()")).map(|(name, _)| name);
    let calls: BTreeSet<&str> = of_clients
        .filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || "_2".contains(letter)))
        .collect();
    for name in calls.iter().filter(|name| !["clone", "config", "id", "counts", "clock_offset"].contains(name)) {
        let is_ours = code.contains(&format!("fn{name}("));
        assert!(known(name) || is_ours, "{name} is no call whose right is known");
    }
    for (call, _) in RIGHTS {
        let is_made = code.contains(&format!(".{call}()")) || code.contains(&format!("{call}("));
        assert!(is_made, "{call} is not made");
    }
    let mut needed: BTreeSet<String> = RIGHTS.iter().filter_map(|(_, right)| *right).map(str::to_owned).collect();
    needed.extend(OF_THE_KEY.map(str::to_owned));
    assert_eq!(allowed(), needed);
}

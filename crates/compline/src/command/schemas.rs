//! The schemas of what `--json` prints, as they are published in `docs/json`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use std::path::PathBuf;

/// Set to write them.
const UPDATE: &str = "INSTA_UPDATE";

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn schema_of<T: JsonSchema>(command: &str) -> (String, String) {
    let mut schema = generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), format!("compline {command}").into());
    let name = command.split(' ').next().unwrap_or_default().to_owned();
    (name, serde_json::to_string_pretty(&schema).expect("JSON") + "\n")
}

#[test]
fn what_json_looks_like_is_as_it_is_published() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/json");
    let schemas = [
        schema_of::<super::catalog::CatalogChanges>("catalog --json"),
        schema_of::<crate::checks::Checked>("check --json"),
        schema_of::<super::demo::Demo>("demo --json"),
        schema_of::<crate::past::Run>("history --json"),
        schema_of::<super::init::Written>("init --json"),
        schema_of::<super::maintain::Maintenance>("maintain --json"),
        schema_of::<crate::plan::Plan>("plan --json"),
        schema_of::<compline_report::Figures>("report --format json"),
        schema_of::<crate::nightly::Report>("run --json"),
        schema_of::<super::schema::Tables>("schema --json"),
        schema_of::<Vec<crate::status::Status>>("status --json"),
        schema_of::<super::trends::Recomputed>("trends --json"),
        schema_of::<super::verify::Verification>("verify --json"),
    ];
    let mut differ = Vec::new();
    for (name, schema) in schemas {
        let path = folder.join(format!("{name}.schema.json"));
        if std::env::var(UPDATE).is_ok_and(|update| update == "always") {
            std::fs::create_dir_all(&folder).expect("the folder");
            std::fs::write(&path, &schema).expect("written");
        }
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&schema) {
            differ.push(name);
        }
    }
    assert!(differ.is_empty(), "docs/json is not as the program prints: {differ:?}; {UPDATE}=always writes it");
}

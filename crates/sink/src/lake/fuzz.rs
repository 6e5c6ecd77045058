//! Documents that are damaged: one that cannot be read says nothing, and is in nobody's way.

use super::{Collection, Lake};
use crate::mutate::{edited, edits_of_json, ends};
use bytes::Bytes;
use compline_model::{AggregatorId, Table};
use proptest::prelude::*;

const PIECES: &[&str] = &["9999-12-31", "0000-00-00", "é"];

proptest! {
    #[test]
    fn fuzz_no_document_of_the_lakes_own_makes_reading_it_fail(edits in edits_of_json(PIECES)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let read = async {
            let folder = tempfile::tempdir().expect("a folder");
            let lake = Lake::in_folder(folder.path()).await;
            let id: AggregatorId = "org".parse().expect("an id");
            let date = "2026-01-02".parse().expect("a date");
            let collection = Collection {
                aggregator: id.clone(),
                date,
                run_id: "01900000-0000-7000-8000-000000000000".parse().expect("a run id"),
                started_at: 0,
                plan: "a plan".to_owned(),
            };
            lake.begin_collection(&collection).await.expect("written");
            lake.note_retained_from(&id, Table::PackStatus, date).await.expect("written");
            let marker = "_compline/redo/aggregator=org.json";
            lake.store.put(marker, Bytes::from_static(b"{\"from\":\"2026-01-02\"}")).await.expect("written");
            assert_eq!(lake.collection(&id).await.expect("read").as_ref(), Some(&collection));
            let objects = lake.store.list("_compline").await.expect("listed");
            assert_eq!(objects.len(), 3, "{objects:?}");
            for object in objects {
                let whole = lake.store.get(&object.key).await.expect("read").expect("there");
                lake.store.put(&object.key, Bytes::from(edited(&whole, &edits))).await.expect("damaged");
            }
            assert!(lake.collection(&id).await.is_ok() && lake.old_marker(&id).await.is_ok());
            lake.note_retained_from(&id, Table::PackStatus, "2026-01-03".parse().expect("a date")).await.expect("written");
            assert!(lake.retained_from(&id, Table::PackStatus).await.expect("read").is_some());
        };
        ends(|| runtime.block_on(read))?;
    }
}

//! Days in any order, replaced, and of other filters, against days that came once and in order.

use super::{Computed, Computing, Shared, recompute};
use crate::history::{History, Span};
use crate::ledger::Outcome;
use crate::nightly::{RunRequest, Source, nightly};
use crate::population::Told;
use crate::progress::Progress;
use crate::session::{Access, Ended, Opening, Session, open_lake, session};
use crate::settings::Settings;
use arrow::array::RecordBatch;
use chrono::Utc;
use compline_fetcher::FilesAre;
use compline_model::{AggregatorId, Dataset, RowSource};
use compline_sink::{Lake, Partition, TableFile};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A snapshot of a day of January: packs, each with a type or none, and whether another filter was set.
type Snapshot = (u32, BTreeMap<u8, Option<u8>>, Filter);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    None,
    /// Another population.
    Excluding,
    /// A population that depends on the answer.
    ByType,
}

fn snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
    let day = prop_oneof![1_u32..6, 6_u32..32];
    let packs = prop::collection::btree_map(0_u8..5, prop::option::of(0_u8..4), 0..5);
    let filter = prop_oneof![6 => Just(Filter::None), 1 => Just(Filter::Excluding), 1 => Just(Filter::ByType)];
    prop::collection::vec((day, packs, filter), 2..8)
}

fn settings(lake: &Path, filter: Filter) -> Settings {
    let lines = match filter {
        Filter::None => "",
        Filter::Excluding => "[aggregator.exclude]\nconformance_pack_name = \"nothing-*\"\n",
        Filter::ByType => "[[aggregator.filter]]\ncompliance_type = \"NON_COMPLIANT\"\n",
    };
    let text = format!(
        "version = 1\n[lake]\nurl = {:?}\n[[aggregator]]\nid = \"org\"\nname = \"a\"\nregion = \"eu-west-1\"\n{lines}",
        lake.display().to_string()
    );
    Settings::parse("pipeline.toml", &text, None).expect("settings")
}

fn page(packs: &BTreeMap<u8, Option<u8>>) -> String {
    let types = ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA", "NEW"];
    let item = |(name, kind): (&u8, &Option<u8>)| {
        let compliance = kind.map(|kind| serde_json::json!({"ComplianceType": types[usize::from(kind)]}));
        serde_json::json!({"ConformancePackName": format!("pack-{name}"), "AccountId": "000000000001",
            "AwsRegion": "eu-west-1", "Compliance": compliance})
    };
    let items: Vec<_> = packs.iter().map(item).collect();
    serde_json::json!({"AggregateComplianceByConformancePacks": items}).to_string()
}

/// Does work in a session on a lake.
async fn within<T>(settings: &Settings, work: impl AsyncFnOnce(&Session<'_>) -> anyhow::Result<T>) -> T {
    let access = Access::Write { wait: Duration::ZERO };
    let progress = Progress::hidden();
    let opening = Opening {
        settings,
        command: "import",
        access,
        clock: Utc::now,
        progress,
        when_stopped: "",
        ends_itself: false,
        expects_lake: false,
    };
    match session(opening, work).await.expect("a session") {
        Ended::Done(done) => done,
        Ended::Stopped(..) => panic!("nobody stops it"),
    }
}

/// Imports the days in the order in which they are given.
async fn lake_of(folder: &Path, days: impl IntoIterator<Item = &Snapshot>) -> Lake {
    let file = folder.join("page.json");
    for (day, packs, filter) in days {
        let settings = settings(&folder.join("lake"), *filter);
        std::fs::write(&file, page(packs)).expect("written");
        let request = RunRequest {
            date: format!("2026-01-{day:02}").parse().expect("a date"),
            dataset: None,
            source: Source::Files { files: vec![file.clone()], files_are: FilesAre::Whole, replace: true },
            accept: true,
            ignore_checkpoints: false,
            notifying: None,
        };
        let report = within(&settings, async |session| nightly(session, &request).await).await;
        assert_eq!(report.aggregators[0].outcome, Outcome::Succeeded, "{report:?}");
        assert!(report.aggregators[0].undone.is_empty(), "{report:?}");
    }
    open_lake(&settings(&folder.join("lake"), Filter::None)).await.expect("a lake")
}

/// Imports days of January, each of so many packs that are compliant, into the lake in a folder.
pub(crate) async fn imported(folder: &Path, days: &[(u32, u8)]) -> Lake {
    let snapshot = |(day, packs): &(u32, u8)| (*day, (0..*packs).map(|pack| (pack, Some(0))).collect(), Filter::None);
    let days: Vec<Snapshot> = days.iter().map(snapshot).collect();
    lake_of(folder, &days).await
}

#[tokio::test]
async fn a_day_that_is_replaced_after_its_ledger_was_read_is_computed_from_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let id: AggregatorId = "org".parse().expect("an id");
    let lake = imported(folder.path(), &[(1, 3), (2, 3), (3, 3)]).await;
    let history = History::read(&lake, None, &[&id]).await.expect("listed");
    let mut told = BTreeMap::new();
    for date in history.days(&id, Span::default()) {
        told.insert(date, Told::of_day(&lake, &id, date).await.expect("read").expect("told"));
    }
    imported(folder.path(), &[(2, 4)]).await;
    let looked: Arc<Mutex<Vec<_>>> = Arc::default();
    let noted = Arc::clone(&looked);
    let look = move |date, file: TableFile| -> Box<dyn RowSource> {
        noted.lock().expect("no panic").push((date, file.row_count()));
        Box::new(file)
    };
    let shared = Shared { told, look: Arc::new(look) };
    let computing = Computing {
        lake: &lake,
        history: &history,
        id: &id,
        span: Span::default(),
        state_of: None,
        shared: Some(&shared),
        on_day: &|_| {},
    };
    let mut computed = Computed::default();
    computing.compute(None, None, &mut computed).await.expect("computed");
    assert_eq!((computed.days.len(), computed.differed), (3, Vec::new()));
    let rows: Vec<usize> = looked.lock().expect("no panic").iter().map(|(_, rows)| *rows).collect();
    assert_eq!(rows, [3, 4, 3]);
}

/// Every trend table of a lake, by its partition.
async fn tables_of(lake: &Lake, id: &AggregatorId) -> BTreeMap<String, RecordBatch> {
    let mut tables = BTreeMap::new();
    for table in Dataset::PACKS.derived() {
        for date in lake.partitions(table).await.expect("listed").remove(id).unwrap_or_default() {
            let partition = Partition { table, date, aggregator: id.clone() };
            let rows = lake.read(&partition, None).await.expect("read").expect("there");
            tables.insert(partition.key(), rows);
        }
    }
    tables
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn days_that_come_in_any_order_and_are_replaced_give_the_tables_of_days_that_came_once_and_in_order(
        history in snapshots()
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let id: AggregatorId = "org".parse().expect("an id");
        let last: BTreeMap<u32, &Snapshot> = history.iter().map(|snapshot| (snapshot.0, snapshot)).collect();
        let with_trends = last.values().filter(|snapshot| snapshot.2 != Filter::ByType).count();
        runtime.block_on(async {
            let lake = lake_of(one.path(), &history).await;
            let in_order = lake_of(other.path(), last.into_values()).await;
            let tables = tables_of(&lake, &id).await;
            prop_assert_eq!(&tables, &tables_of(&in_order, &id).await);
            prop_assert_eq!(tables.len(), with_trends * 3);
            let settings = settings(&one.path().join("lake"), Filter::None);
            let again = within(&settings, async |session| recompute(session, &Dataset::PACKS, &id, Span::default(), &|_| {}).await).await;
            prop_assert_eq!((again.differed.len(), again.days.len()), (0, with_trends));
            Ok(())
        })?;
    }
}

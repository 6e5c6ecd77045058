//! The parts of a night that are ours to make fast: flatten and check, trends. `cargo bench` runs it as a release build.

use arrow::compute::concat_batches;
use chrono::DateTime;
use compline_model::{Answers, Compliance, Dataset, PackAnswer, Page, RunId, SnapshotDate};
use compline_transformer::{CheckedSnapshot, Flattener, RowFilter, SourceIndex, State, TrendDay, advance, check};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

const ACCOUNTS: u32 = 1_000;
const REGIONS: [&str; 20] = [
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "eu-south-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "sa-east-1",
    "me-south-1",
    "af-south-1",
    "eu-central-1",
];
const PACKS: [&str; 5] = ["cis-level1", "nist-800-53", "pci-dss", "encryption", "web-baseline1"];

/// Pages of 100 packs; one in `moved` is not what it was.
fn pages(moved: u32) -> Vec<Page> {
    let collected_at = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    let mut packs = Vec::new();
    for account in 0..ACCOUNTS {
        for (region, pack) in REGIONS.iter().flat_map(|region| PACKS.iter().map(move |pack| (region, pack))) {
            let number = packs.len() as u32;
            let bad = (number.is_multiple_of(6)) != (moved > 0 && number.is_multiple_of(moved));
            packs.push(PackAnswer {
                account_id: format!("{account:012}").parse().expect("an account"),
                aws_region: (*region).into(),
                conformance_pack_name: format!("OrgConformsPack-{pack}-{account:08}").into(),
                compliance: Some(Compliance {
                    compliance_type: Some(if bad { "NON_COMPLIANT" } else { "COMPLIANT" }.into()),
                    compliant_rule_count: Some(20),
                    non_compliant_rule_count: Some(i32::from(bad)),
                    total_rule_count: Some(20 + i32::from(bad)),
                }),
            });
        }
    }
    packs
        .chunks(100)
        .map(|packs| Page {
            collected_at: Some(collected_at),
            run_id: RunId::new(collected_at),
            answers: Answers::Packs(packs.to_vec()),
        })
        .collect()
}

fn flattened(pages: &[Page]) -> CheckedSnapshot {
    let mut rows = Flattener::new(&Dataset::PACKS, RowFilter::default()).shard();
    pages.iter().for_each(|page| rows.push(page));
    check(&Dataset::PACKS, vec![rows], SourceIndex::default())
}

fn one_night(criterion: &mut Criterion) {
    let (today, tomorrow) = (pages(0), pages(50));
    let rows = u64::from(ACCOUNTS) * 100;
    let mut group = criterion.benchmark_group("one night of 100,000 packs");
    group.sample_size(10).throughput(Throughput::Elements(rows));
    group.bench_function("flatten and check", |bench| bench.iter(|| flattened(black_box(&today))));

    let aggregator = "org".parse().expect("an id");
    let date: SnapshotDate = "2026-01-02".parse().expect("a date");
    let day = |date| TrendDay { date, population_since: date };
    let computed = |date, previous, snapshot: CheckedSnapshot| {
        let mut status = Vec::new();
        let mut take = |rows| {
            status.push(rows);
            Ok(())
        };
        let snapshot = Box::new(snapshot);
        advance(&Dataset::PACKS, &aggregator, day(date), previous, snapshot, &[], &mut take).expect("trends");
        concat_batches(&Dataset::PACKS.status.schema(), &status).expect("rows")
    };
    let status = Arc::new(computed(date.minus_days(1), None, flattened(&today)));
    let state = State { date: date.minus_days(1), status };
    let snapshot = flattened(&tomorrow);
    group.bench_function("trends", |bench| {
        bench.iter(|| computed(date, Some(state.clone()), black_box(snapshot.clone())))
    });
    group.finish();
}

criterion_group!(benches, one_night);
criterion_main!(benches);

//! How close to AWS Config's limit a night is read, over HTTP: the time it takes against pages / rate, and the calls
//! throttled. `cargo bench --bench pace` takes some minutes, since a limit of 2 a second is 2 a second.

#![expect(clippy::print_stdout, reason = "what it measured is told there")]

use compline_aws::{Environment, Identity};
use compline_fetcher::FanOut;
use compline_fetcher::{AggregatorAddress, Connector, FetchOptions, Shard, ShardReader, ShardStep, plan_shards};
use compline_model::{Dataset, RunId, SnapshotDate};
use compline_simulator::{Faults, Organization, OrganizationSpec, Simulator};
use futures::future::{join_all, try_join_all};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A limit, and what it is for the n-th call that is let through.
struct Limit {
    name: &'static str,
    faults: &'static str,
    per_second: fn(u64) -> f64,
}

const LIMITS: [Limit; 5] = [
    Limit {
        name: "10 a second, 10 at once",
        faults: "throttle_per_second = 10\nthrottle_burst = 10",
        per_second: |_| 10.0,
    },
    Limit {
        name: "10 a second, 1 at once",
        faults: "throttle_per_second = 10\nthrottle_burst = 1",
        per_second: |_| 10.0,
    },
    Limit { name: "4 a second, 1 at once", faults: "throttle_per_second = 4\nthrottle_burst = 1", per_second: |_| 4.0 },
    Limit {
        name: "2 a second, 10 at once",
        faults: "throttle_per_second = 2\nthrottle_burst = 10",
        per_second: |_| 2.0,
    },
    Limit {
        name: "10 a second, halved after 200 calls",
        faults: "throttle_per_second = 10\nthrottle_burst = 10\nthrottle_halves_after = 200",
        per_second: |call| if call < 200 { 10.0 } else { 5.0 },
    },
];

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fine = runtime.block_on(join_all(LIMITS.iter().map(measure)));
    assert!(fine.into_iter().all(|fine| fine), "slower than 1.15 of pages / rate, or 12 % of the calls throttled");
}

/// Reads every page against a limit, and says what it took.
async fn measure(limit: &Limit) -> bool {
    let organization = Organization::new(OrganizationSpec { accounts: 110, ..OrganizationSpec::default() });
    let faults = Faults::parse(&format!("{}\nlatency_millis = 50", limit.faults)).expect("faults");
    let date: SnapshotDate = "2026-03-01".parse().expect("a date");
    let simulator = Simulator::start(0, organization, date, faults).await.expect("a simulator");
    let options = FetchOptions {
        page_size: Some(4),
        max_attempts: 10,
        operation_timeout: Duration::from_secs(300),
        attempt_timeout: Duration::from_secs(60),
        max_requests_per_second: None,
        runs_at_once: 1,
        endpoint_url: Some(simulator.url()),
    };
    let address = AggregatorAddress {
        id: "org".parse().expect("an id"),
        name: "org-aggregator".parse().expect("a name"),
        region: "eu-west-1".parse().expect("a region"),
        role: None,
    };
    let client = Connector::new(Environment::load(Identity::Simulated).await.expect("an environment"), options)
        .connect(address)
        .await;
    let regions: BTreeSet<_> = ["eu-west-1", "us-east-1", "eu-central-1", "ap-southeast-2"]
        .iter()
        .map(|name| name.parse().expect("a region"))
        .collect();
    let started = Instant::now();
    let shards = plan_shards(&Dataset::PACKS, &[], FanOut::Region, &regions, &BTreeSet::new());
    let tallies = try_join_all(shards.into_iter().map(|shard| read(shard, &client))).await.expect("every page");
    let seconds = started.elapsed().as_secs_f64();

    let (pages, rows) = tallies.iter().fold((0, 0), |sum, tally| (sum.0 + tally.0, sum.1 + tally.1));
    assert!(pages >= 400, "too few pages to tell: {pages}");
    let must: f64 = (0..pages).map(|call| 1.0 / (limit.per_second)(call)).sum();
    let counts = client.counts();
    let (ratio, throttled) = (seconds / must, counts.throttles as f64 / counts.calls as f64);
    println!(
        "{:36} {rows} rows, {pages} pages in {seconds:.1} s: {ratio:.3} of pages / rate; {} of {} calls throttled ({:.1} %)",
        limit.name,
        counts.throttles,
        counts.calls,
        throttled * 100.0
    );
    ratio <= 1.15 && throttled < 0.12
}

/// The pages and rows of a shard.
async fn read(
    shard: Shard,
    client: &compline_fetcher::AggregatorClient,
) -> Result<(u64, usize), compline_fetcher::FetchError> {
    let mut reader = ShardReader::new(client.clone(), &Dataset::PACKS, shard, RunId::new(chrono::DateTime::UNIX_EPOCH));
    let mut rows = 0;
    while let Some(step) = reader.next().await? {
        if let ShardStep::Page(page) = step {
            rows += page.answers.len();
        }
    }
    Ok((reader.tally().pages, rows))
}

//! One holder at a time: a lock file in a folder, an object on S3.

use super::*;

const KEY: &str = "_compline/lease/aggregator=org.json";

fn holder(run_id: &str) -> Holder {
    Holder::here(run_id, "run", Utc::now())
}

async fn taken(store: &dyn Store, run_id: &str) -> Lease {
    match store.lease(KEY, &holder(run_id)).await.expect("an answer") {
        LeaseOutcome::Taken(lease) => lease,
        LeaseOutcome::HeldBy(other) => panic!("{other} has it"),
    }
}

async fn held_by(store: &dyn Store) -> Holder {
    match store.lease(KEY, &holder("another")).await.expect("an answer") {
        LeaseOutcome::Taken(_) => panic!("it was held"),
        LeaseOutcome::HeldBy(other) => other,
    }
}

/// What every store's leases promise. `other` is the same store as another process has it.
async fn leases_conform(store: &dyn Store, other: &dyn Store) {
    let lease = taken(store, "first").await;
    let seen = held_by(other).await;
    assert_eq!((seen.run_id.as_str(), seen.process), ("first", std::process::id()));
    assert!((Utc::now() - seen.since).num_seconds() < 60 && !seen.host.is_empty(), "{seen:?}");
    // Another aggregator's is another.
    let elsewhere = store.lease("_compline/lease/aggregator=b.json", &holder("x")).await.expect("an answer");
    assert!(matches!(elsewhere, LeaseOutcome::Taken(_)));
    drop(elsewhere);
    lease.release().await.expect("released");
    let lease = taken(other, "second").await;
    assert_eq!(held_by(store).await.run_id, "second");
    drop(lease);
    store.settle().await;
    other.settle().await;
    taken(store, "third").await.release().await.expect("released");
    assert_eq!(store.list("_compline/lease").await.expect("listed"), [], "nothing is left");
}

/// Many at the same moment, many times: one has it.
async fn one_of_many_has_it(stores: &[Arc<dyn Store>], rounds: usize) {
    for round in 0..rounds {
        let asked = stores.iter().enumerate().map(|(number, store)| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.lease(KEY, &holder(&number.to_string())).await.expect("an answer") })
        });
        let outcomes = futures::future::join_all(asked).await;
        let (mut leases, mut seen) = (Vec::new(), Vec::new());
        for (number, outcome) in outcomes.into_iter().enumerate() {
            match outcome.expect("done") {
                LeaseOutcome::Taken(lease) => leases.push((number, lease)),
                LeaseOutcome::HeldBy(holder) => seen.push(holder.run_id),
            }
        }
        assert_eq!(leases.len(), 1, "round {round}");
        let (number, lease) = leases.remove(0);
        assert!(seen.iter().all(|holder| *holder == number.to_string()), "round {round}: {number}, {seen:?}");
        lease.release().await.expect("released");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folders_lease_has_one_holder_also_of_many_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Folder::open(folder.path()).expect("a store");
    leases_conform(&open(), &open()).await;
    let stores: Vec<Arc<dyn Store>> = (0..8).map(|_| Arc::new(open()) as Arc<dyn Store>).collect();
    one_of_many_has_it(&stores, 100).await;
}

#[tokio::test]
async fn a_lock_file_that_its_holder_left_behind_is_taken_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    std::fs::create_dir_all(folder.path().join("_compline/lease")).expect("a folder");
    let left = serde_json::to_vec(&holder("killed")).expect("JSON");
    std::fs::write(folder.path().join(KEY), left).expect("written");
    taken(&store, "next").await.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_is_atomic_so_that_a_race_on_it_says_something() {
    let moto = Moto::start();
    let stores: Vec<Arc<S3>> = (0..8).map(|_| Arc::new(on(&moto))).collect();
    for round in 0..50 {
        let key = format!("race/{round}");
        let puts = stores.iter().enumerate().map(|(number, store)| {
            let (store, key) = (Arc::clone(store), key.clone());
            tokio::spawn(async move { store.put_new(&key, Bytes::from(number.to_string())).await.expect("an answer") })
        });
        let won = futures::future::join_all(puts).await.into_iter().filter(|won| *won.as_ref().expect("done")).count();
        assert_eq!(won, 1, "round {round}");
    }
}

fn on(moto: &Moto) -> S3 {
    store(&S3Location { endpoint_url: Some(moto.url()), ..location() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_on_s3_has_one_holder_also_of_many_at_once() {
    let moto = Moto::start();
    leases_conform(&on(&moto), &on(&moto)).await;
    let stores: Vec<Arc<dyn Store>> = (0..8).map(|_| Arc::new(on(&moto)) as Arc<dyn Store>).collect();
    one_of_many_has_it(&stores, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_on_s3_is_renewed_while_its_holder_lives_and_taken_over_when_it_does_not() {
    let server = Server::start(Vec::new()).await;
    let short = || server.store().with_leases_for(Duration::from_secs(2));
    let (one, other) = (short(), short());
    let mut lease = taken(&one, "alive").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(held_by(&other).await.run_id, "alive", "it was renewed beyond its time");
    // Its process is killed: nothing is renewed any more, and nothing is released.
    lease.0.die();
    let killed = Instant::now();
    while let LeaseOutcome::HeldBy(holder) = other.lease(KEY, &self::holder("next")).await.expect("an answer") {
        assert_eq!(holder.run_id, "alive");
        assert!(killed.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(killed.elapsed() > Duration::from_secs(1), "not before its time: {:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_another_has_taken_or_that_cannot_be_renewed_is_lost_and_said_to_be() {
    let server = Server::start(Vec::new()).await;
    let store = server.store().with_leases_for(Duration::from_secs(1));
    let lease = taken(&store, "first").await;
    store.put(KEY, Bytes::from_static(b"another's")).await.expect("put");
    let told = tokio::time::timeout(Duration::from_secs(10), lease.lost()).await.expect("soon").to_string();
    assert!(told.contains("cannot keep the lease s3://bucket/") && told.contains("another run has taken it"), "{told}");
    lease.release().await.expect("nothing to do");
    assert_eq!(store.get(KEY).await.expect("get"), Some(Bytes::from_static(b"another's")), "it is not removed");

    let server = Server::start(vec![server::pass(1, "PUT"), always("PUT", Act::Stall)]).await;
    let store = server.store().with_leases_for(Duration::from_secs(1));
    let lease = taken(&store, "first").await;
    let told = tokio::time::timeout(Duration::from_secs(10), lease.lost()).await.expect("soon").to_string();
    assert!(told.contains("could not be renewed"), "{told}");
}

#[tokio::test]
async fn a_lease_that_is_not_one_is_told_and_not_taken() {
    let server = Server::start(Vec::new()).await;
    let store = server.store();
    store.put(KEY, Bytes::from_static(b"not a lease")).await.expect("put");
    let told = store.lease(KEY, &holder("x")).await.expect_err("an error").to_string();
    assert!(told.contains(KEY) && told.contains("if no compline is at work on this lake, remove it"), "{told}");
}

//! What a holder may still change that was frozen and whose lease another has taken over: nothing.

use super::leases::{ACQUIRING, holder, on, taken};
use super::*;
use server::{Fault, Gate, pass};

const DAY: &str = "pack_compliance/day";

/// The store as the holder of a lease has it.
async fn fenced(store: S3, run_id: &str) -> (Fenced, Arc<Lease>) {
    let lease = Arc::new(taken(&store, run_id).await);
    (Fenced::new(Arc::new(store), Arc::clone(&lease)), lease)
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_store_keeps_what_every_store_promises() {
    let moto = Moto::start();
    for part_bytes in [S3Location::PART_BYTES, PART] {
        let place = S3Location { part_bytes, endpoint_url: Some(moto.url()), ..location() };
        let (store, lease) = fenced(store(&place), "first").await;
        conforms_beside_a_lease(&store).await;
        lease.release().await.expect("released");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    let lease = Arc::new(taken(&store, "first").await);
    conforms_beside_a_lease(&Fenced::new(Arc::new(store), lease)).await;
}

/// What every store promises, but for what it has beside it.
async fn conforms_beside_a_lease(store: &Fenced) {
    conditions_hold(store).await;
    store.put("a/b", text("one")).await.expect("put");
    store.put("a/b", text("two")).await.expect("a put replaces");
    store.confirm("a/b", &text("two")).await.expect("as it was put");
    store.put("a/large", large()).await.expect("put");
    store.put("a/large", large()).await.expect("a put replaces");
    store.confirm("a/large", &large()).await.expect("as it was put");
    assert!(!store.put_new("a/b", text("three")).await.expect("an answer"));
    let keys: Vec<String> = (0..20).map(|number| format!("a/{number}")).collect();
    for key in &keys {
        store.put(key, text("x")).await.expect("put");
    }
    store.delete(&keys).await.expect("removed");
    store.delete(&["a/b", "a/none", "a/large"].map(str::to_owned)).await.expect("removed");
    store.delete(&[]).await.expect("nothing to do");
    assert_eq!(store.list("a/").await.expect("listed"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_holder_that_was_taken_over_changes_nothing() {
    let moto = Moto::start();
    let short = || on(&moto).with_leases_for(Duration::from_secs(3));
    let (frozen, lease) = fenced(short(), "frozen").await;
    frozen.put(DAY, text("first")).await.expect("put");
    lease.die();
    let store = short();
    let until = Instant::now() + Duration::from_secs(20);
    let next = loop {
        match store.lease(leases::KEY, &holder("next")).await.expect("an answer") {
            LeaseOutcome::Taken(lease) => break lease,
            LeaseOutcome::HeldBy(_) => assert!(Instant::now() < until),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let told = frozen.put(DAY, text("frozen")).await.expect_err("refused").to_string();
    assert!(told.contains("cannot renew the lease s3://bucket/"), "{told}");
    frozen.put_new("other", text("frozen")).await.expect_err("refused");
    frozen.delete(&[DAY.to_owned()]).await.expect_err("refused");
    assert_eq!(store.get(DAY).await.expect("get"), Some(text("first")));
    assert_eq!(store.get("other").await.expect("get"), None);
    next.confirm().await.expect("it is held");
}

/// A put or delete that is on its way while the lease is taken over and another commits.
async fn frozen_on_its_way(of: &'static str, part_bytes: usize, replaces: bool) {
    let gate = Gate::closed();
    let passed = if replaces && of.starts_with("PUT") { 1 } else { 0 };
    let faults = vec![pass(passed, of), Fault { of, times: 1, act: Act::Hold(Arc::clone(&gate)) }];
    let server = Server::start(faults).await;
    let place = S3Location { part_bytes, ..server.location() };
    // The long time of the lease is that of one who does not know that it was frozen.
    let (frozen, lease) = fenced(store(&place), "frozen").await;
    let other = store(&S3Location { part_bytes: usize::MAX, ..place });
    if replaces {
        frozen.put(DAY, text("before")).await.expect("put");
    }
    let held = tokio::spawn(async move { frozen.put(DAY, large()).await });
    gate.reached().await;
    // Its lease was confirmed; now another has it, and commits.
    let document = Bytes::from(serde_json::to_vec(&holder("next")).expect("JSON"));
    other.put(leases::KEY, document).await.expect("taken over");
    other.put(DAY, text("next")).await.expect("put");
    gate.let_one_go();
    let told = held.await.expect("done").expect_err("refused").to_string();
    assert!(told.contains("another run has replaced it at this moment"), "{of}, {replaces}: {told}");
    assert_eq!(other.get(DAY).await.expect("get"), Some(text("next")), "{of}, {replaces}");
    drop(lease);
    other.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_put_that_was_frozen_after_its_confirmation_replaces_nothing_that_another_committed() {
    for replaces in [false, true] {
        frozen_on_its_way("PUT /bucket/audit/compline/pack_compliance/day", usize::MAX, replaces).await;
        frozen_on_its_way("POST uploadId=", PART, replaces).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_fenced_put_whose_answer_was_lost_is_done() {
    for (of, part_bytes) in [("pack_compliance PUT", LARGE), ("POST uploadId=", PART)] {
        let server = Server::start(vec![first(2, of, Act::DoneButLost)]).await;
        let (store, lease) = fenced(store(&S3Location { part_bytes, ..server.location() }), "first").await;
        store.put(DAY, large()).await.expect("put");
        assert_eq!(store.get(DAY).await.expect("get"), Some(large()), "{of}");
        lease.release().await.expect("released");
    }
}

#[tokio::test]
async fn f07_a_holder_that_slept_and_that_nobody_took_over_goes_on() {
    // This runtime has one thread, so that nothing of it goes on while that sleeps, as if the process were frozen.
    let server = Server::start(Vec::new()).await;
    let store = server.store().with_leases_for(Duration::from_millis(1500));
    let lease = Arc::new(taken(&store, "frozen").await);
    std::thread::sleep(Duration::from_secs(3));
    let fenced = Fenced::new(Arc::new(store), Arc::clone(&lease));
    fenced.put(DAY, text("x")).await.expect("put");
    assert!(server.count("PUT") >= ACQUIRING + 2, "the lease was renewed before");
    lease.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_confirmation_makes_no_version_of_a_lease_that_was_just_renewed() {
    let server = Server::start(Vec::new()).await;
    let (store, lease) = fenced(server.store(), "first").await;
    for number in 0..20 {
        store.put(&format!("a/{number}"), text("x")).await.expect("put");
    }
    assert_eq!(server.count("PUT /bucket/audit/compline/_compline/lease"), ACQUIRING);
    lease.release().await.expect("released");
}

#[cfg(unix)]
#[tokio::test]
async fn f07_a_folder_whose_lock_file_was_removed_is_not_written_by_its_holder() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    let lease = Arc::new(taken(&store, "first").await);
    let fenced = Fenced::new(Arc::new(store.clone()), lease);
    fenced.put(DAY, text("one")).await.expect("put");
    std::fs::remove_file(folder.path().join(leases::KEY)).expect("removed");
    let told = fenced.put(DAY, text("two")).await.expect_err("refused").to_string();
    assert!(told.contains("its lock file was removed"), "{told}");
    assert_eq!(store.get(DAY).await.expect("get"), Some(text("one")));
}

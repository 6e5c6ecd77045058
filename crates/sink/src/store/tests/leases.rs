//! One holder at a time: a lock file in a folder, an object on S3.

use super::*;
use server::pass;

pub(super) const KEY: &str = "_compline/lease/aggregator=org.json";

/// Puts of an acquisition: one that acquires, and two that find out whether conditions are checked.
pub(super) const ACQUIRING: usize = 3;

pub(super) fn holder(run_id: &str) -> Holder {
    Holder::here(run_id, "run", Utc::now())
}

pub(super) async fn taken(store: &dyn Store, run_id: &str) -> Lease {
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

/// Asks once in a while, as `--wait` does, until it is acquired; gives how long that took.
async fn waited_for(store: &dyn Store, run_id: &str) -> (Lease, Duration) {
    let began = Instant::now();
    loop {
        match store.lease(KEY, &holder(run_id)).await.expect("an answer") {
            LeaseOutcome::Taken(lease) => return (lease, began.elapsed()),
            LeaseOutcome::HeldBy(_) => assert!(began.elapsed() < Duration::from_secs(30), "it is held for ever"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn seems_held_by(store: &dyn Store) -> Option<String> {
    store.lease_holder(KEY).await.expect("an answer").map(|holder| holder.run_id)
}

/// What every store's leases promise. `other` is the same store as another process has it.
async fn leases_conform(store: &dyn Store, other: &dyn Store) {
    assert_eq!(seems_held_by(other).await, None);
    let lease = taken(store, "first").await;
    let seen = held_by(other).await;
    assert_eq!((seen.run_id.as_str(), seen.process), ("first", std::process::id()));
    assert!((Utc::now() - seen.since).num_seconds() < 60 && !seen.host.is_empty(), "{seen:?}");
    assert_eq!(seems_held_by(other).await.as_deref(), Some("first"));
    assert_eq!(seems_held_by(store).await.as_deref(), Some("first"), "also to itself");
    lease.confirm().await.expect("it is held");
    // Another aggregator's is another.
    let elsewhere = store.lease("_compline/lease/aggregator=b.json", &holder("x")).await.expect("an answer");
    assert!(matches!(elsewhere, LeaseOutcome::Taken(_)));
    drop(elsewhere);
    lease.release().await.expect("released");
    lease.release().await.expect("a second time does nothing");
    lease.confirm().await.expect_err("it is not held any more");
    assert_eq!(seems_held_by(other).await, None);
    let lease = taken(other, "second").await;
    assert_eq!(held_by(store).await.run_id, "second");
    drop(lease);
    store.settle().await;
    other.settle().await;
    taken(store, "third").await.release().await.expect("released");
    assert_eq!(seems_held_by(other).await, None);
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
    assert_eq!(open().list("_compline/lease").await.expect("listed"), [], "no lock file is left");
    let stores: Vec<Arc<dyn Store>> = (0..8).map(|_| Arc::new(open()) as Arc<dyn Store>).collect();
    one_of_many_has_it(&stores, 100).await;
}

#[tokio::test]
async fn a_lock_file_that_its_holder_left_behind_is_nobodys_and_taken_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    std::fs::create_dir_all(folder.path().join("_compline/lease")).expect("a folder");
    let left = serde_json::to_vec(&holder("killed")).expect("JSON");
    std::fs::write(folder.path().join(KEY), left).expect("written");
    assert_eq!(seems_held_by(&store).await, None);
    taken(&store, "next").await.release().await.expect("released");
}

#[tokio::test]
async fn a_lock_file_that_says_nothing_is_told_as_somebodys_while_it_is_locked() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    std::fs::create_dir_all(folder.path().join("_compline/lease")).expect("a folder");
    let file = std::fs::File::create(folder.path().join(KEY)).expect("a file");
    file.lock().expect("locked");
    assert!(held_by(&store).await.to_string().contains("somebody unknown"));
    drop(file);
    taken(&store, "next").await.release().await.expect("released");
}

#[cfg(unix)]
#[tokio::test]
async fn f07_a_folders_lease_whose_lock_file_was_removed_is_not_confirmed_and_leaves_the_next_ones_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    let first = taken(&store, "first").await;
    std::fs::remove_file(folder.path().join(KEY)).expect("removed");
    let second = taken(&store, "second").await;
    let told = first.confirm().await.expect_err("it is lost").to_string();
    assert!(told.contains("cannot confirm the lease") && told.contains("its lock file was removed"), "{told}");
    first.release().await.expect("nothing to do");
    second.confirm().await.expect("it is held");
    assert_eq!(held_by(&store).await.run_id, "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_atomic_so_that_a_race_on_it_says_something() {
    let server = Server::start(Vec::new()).await;
    let stores: Vec<Arc<S3>> = (0..8).map(|_| Arc::new(server.store())).collect();
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

pub(super) fn on(moto: &Moto) -> S3 {
    store(&S3Location { endpoint_url: Some(moto.url()), ..location() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_on_s3_has_one_holder_also_of_many_at_once() {
    let moto = Moto::start();
    leases_conform(&on(&moto), &on(&moto)).await;
    let server = Server::start(Vec::new()).await;
    leases_conform(&server.store(), &server.store()).await;
    let stores: Vec<Arc<dyn Store>> = (0..8).map(|_| Arc::new(server.store()) as Arc<dyn Store>).collect();
    one_of_many_has_it(&stores, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_on_s3_is_renewed_while_its_holder_lives_and_taken_over_when_it_does_not() {
    let server = Server::start(Vec::new()).await;
    let short = || server.store().with_leases_for(Duration::from_secs(3));
    let (one, other) = (short(), short());
    let lease = taken(&one, "alive").await;
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        assert_eq!(held_by(&other).await.run_id, "alive", "it was renewed beyond its time");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // Its process is killed: nothing is renewed any more, and nothing is released.
    lease.die();
    let (next, took) = waited_for(&other, "next").await;
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(12), "{took:?}");
    next.confirm().await.expect("it is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_lease_that_another_has_taken_over_is_lost_and_its_release_leaves_the_others_alone() {
    let server = Server::start(Vec::new()).await;
    let store = server.store().with_leases_for(Duration::from_secs(3));
    let lease = taken(&store, "first").await;
    let others = Bytes::from(serde_json::to_vec(&holder("second")).expect("JSON"));
    store.put(KEY, others.clone()).await.expect("put");
    let told = lease.confirm().await.expect_err("it is lost").to_string();
    assert!(told.contains("cannot renew the lease s3://bucket/audit/compline/_compline/lease/"), "{told}");
    assert!(
        told.contains("another run has taken it over: `compline run` on ") && told.contains("run second"),
        "{told}"
    );
    let lost = tokio::time::timeout(Duration::from_secs(10), lease.lost()).await.expect("soon").to_string();
    assert!(lost.contains("another run has taken it over"), "{lost}");
    lease.release().await.expect("nothing to do");
    assert_eq!(store.get(KEY).await.expect("get"), Some(others.clone()), "it is not removed");

    // The same before the loss is noticed: by a release, and by a drop.
    for is_dropped in [false, true] {
        store.delete(&[KEY.to_owned()]).await.expect("removed");
        let lease = taken(&store, "first").await;
        store.put(KEY, others.clone()).await.expect("put");
        if is_dropped {
            drop(lease)
        } else {
            lease.release().await.expect("nothing to do")
        }
        store.settle().await;
        assert_eq!(store.get(KEY).await.expect("get"), Some(others.clone()), "dropped: {is_dropped}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_lease_whose_store_does_not_answer_is_lost_and_said_to_be_and_one_that_stalls_once_is_not() {
    let server = Server::start(vec![pass(ACQUIRING, "PUT"), always("PUT", Act::Stall)]).await;
    let store = server.store().with_leases_for(Duration::from_secs(2));
    let lease = taken(&store, "first").await;
    let told = tokio::time::timeout(Duration::from_secs(15), lease.lost()).await.expect("soon").to_string();
    assert!(told.contains("could not be renewed in time"), "{told}");

    // With the patience that a large put needs, one stalled call would outlast the lease.
    let server = Server::start(vec![pass(ACQUIRING, "PUT"), first(1, "PUT", Act::Stall)]).await;
    let patient = S3Location { attempt_timeout: Duration::from_secs(90), ..server.location() };
    let store = super::store(&patient).with_leases_for(Duration::from_secs(4));
    let lease = taken(&store, "first").await;
    tokio::select! {
        error = lease.lost() => panic!("{error}"),
        () = tokio::time::sleep(Duration::from_secs(8)) => {}
    }
    lease.confirm().await.expect("it is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_renewal_that_landed_and_whose_answer_was_lost_is_known_by_what_is_there() {
    // The renewal lands at its first attempt, and none of its answers arrives: the next one meets it.
    let server = Server::start(vec![pass(ACQUIRING, "PUT"), first(3, "PUT", Act::DoneButLost)]).await;
    let store = server.store().with_leases_for(Duration::from_secs(6));
    let lease = taken(&store, "first").await;
    tokio::select! {
        error = lease.lost() => panic!("{error}"),
        () = tokio::time::sleep(Duration::from_secs(9)) => {}
    }
    assert!(server.count("PUT") > ACQUIRING + 3, "it was renewed after that");
    lease.confirm().await.expect("it is held");
    lease.release().await.expect("released");
    assert_eq!(seems_held_by(&store).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_release_whose_answer_was_lost_is_done() {
    // Each attempt of a call, and then the next call meets it.
    let server = Server::start(vec![pass(ACQUIRING, "PUT"), first(3, "PUT", Act::DoneButLost)]).await;
    let store = server.store();
    taken(&store, "first").await.release().await.expect("released");
    assert_eq!(server.count("PUT"), ACQUIRING + 4);
    taken(&store, "second").await.release().await.expect("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_store_that_ignores_a_condition_or_does_not_know_it_has_no_leases_and_check_says_so() {
    for (header, of) in [("if-none-match", "header:if-none-match"), ("if-match", "header:if-match")] {
        // As a store answers that does not look at the condition.
        let stored = Act::Answer(200, vec![("etag", "\"1\"")], "");
        let server = Server::start(vec![always(of, stored)]).await;
        let told = server.store().lease(KEY, &holder("x")).await.expect_err("refused").to_string();
        assert!(told.starts_with("cannot acquire the lease s3://bucket/"), "{told}");
        assert!(told.to_lowercase().contains(&format!("this store ignores {header}, ")), "{told}");
        let tried = crate::Lake::on(Arc::new(server.store())).probe(&holder("x")).await;
        let errors: Vec<String> =
            tried.iter().filter_map(|(_, tried)| tried.as_ref().err()).map(ToString::to_string).collect();
        assert_eq!(errors.len(), 1, "{tried:?}");
        assert!(errors[0].to_lowercase().contains(&format!("this store ignores {header}, ")), "{errors:?}");

        // One that refuses whatever has a condition refuses the one that does not hold as well, which proves nothing.
        let server = Server::start(vec![always(of, error(500, "InternalError"))]).await;
        let tried = crate::Lake::on(Arc::new(server.store())).probe(&holder("x")).await;
        let is_it = |step: &str| step.to_lowercase() == format!("conditional put: {header}");
        assert!(tried.iter().any(|(step, tried)| is_it(step) && tried.is_err()), "{tried:?}");

        let server = Server::start(vec![always(of, error(501, "NotImplemented"))]).await;
        let told = server.store().lease(KEY, &holder("x")).await.expect_err("refused").to_string();
        assert!(told.contains("needs conditional puts (If-None-Match and If-Match)"), "{told}");
        let tried = crate::Lake::on(Arc::new(server.store())).probe(&holder("x")).await;
        assert_eq!(tried.iter().filter(|(_, tried)| tried.is_err()).count(), 1, "{tried:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_store_that_answers_no_conditional_put_has_no_leases_and_check_says_so_and_leaves_none() {
    for act in [Act::DoneButLost, Act::HangUp, error(503, "SlowDown")] {
        let server = Server::start(vec![always("header:if-none-match", act)]).await;
        let store = server.store();
        let tried = crate::Lake::on(Arc::new(store.clone())).probe(&holder("x")).await;
        let told = tried.iter().find_map(|(_, tried)| tried.as_ref().err()).expect("an error").to_string();
        assert!(!told.contains("refuses") && !told.contains("another run"), "{told}");
        store.lease(KEY, &holder("x")).await.expect_err("whether conditions are checked cannot be proved");
        assert_eq!(seems_held_by(&store).await, None, "nobody else is told of a run that failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_lease_that_is_there_although_no_answer_said_so_is_held() {
    let server = Server::start(vec![first(3, "PUT", Act::DoneButLost)]).await;
    let store = server.store();
    let lease = taken(&store, "first").await;
    assert_eq!(seems_held_by(&store).await.as_deref(), Some("first"));
    lease.confirm().await.expect("it is held");
    lease.release().await.expect("released");
    assert_eq!(seems_held_by(&store).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_condition_that_is_refused_with_nothing_in_its_way_is_told_as_the_stores_fault_and_not_as_another_run() {
    let server = Server::start(vec![always("header:if-none-match", error(412, "PreconditionFailed"))]).await;
    let store = server.store();
    let put = store.put_new("a", Bytes::from_static(b"x")).await.expect_err("refused").to_string();
    let lease = store.lease(KEY, &holder("x")).await.expect_err("refused").to_string();
    let tried = crate::Lake::on(Arc::new(store.clone())).probe(&holder("x")).await;
    let check = tried.iter().find_map(|(_, tried)| tried.as_ref().err()).expect("an error").to_string();
    assert!(check.contains("(a put without If-None-Match has just worked)"), "{check}");
    for told in [put, lease, check] {
        assert!(told.contains("this store refuses If-None-Match though there is no such object"), "{told}");
        assert!(told.contains("use a store that has them, or a folder"), "{told}");
    }

    let server = Server::start(vec![always("header:if-match", error(412, "PreconditionFailed"))]).await;
    let store = server.store();
    store.put("a", Bytes::from_static(b"x")).await.expect("put");
    let seen = Condition::since(store.version("a").await.expect("an answer"));
    let told = store.put_if("a", Bytes::from_static(b"y"), seen).await.expect_err("refused").to_string();
    assert!(told.contains("this store refuses If-Match though the object has the very entity tag"), "{told}");
    let told = taken(&store, "first").await.release().await.expect_err("refused").to_string();
    assert!(told.contains("this store refuses If-Match"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_check_tells_what_a_store_does_with_conditional_deletes() {
    let step = async |store: S3| {
        let tried = crate::Lake::on(Arc::new(store)).probe(&holder("x")).await;
        assert!(tried.iter().all(|(_, tried)| tried.is_ok()), "{tried:?}");
        tried.into_iter().map(|(step, _)| step).find(|step| step.starts_with("conditional delete")).expect("a step")
    };
    let moto = Moto::start();
    assert_eq!(step(on(&moto)).await, "conditional delete: If-Match");
    // s3s-fs ignores the condition, and others do not know it: both remove anything.
    let ignored = "conditional delete: not known here, and not needed";
    assert_eq!(step(Server::start(Vec::new()).await.store()).await, ignored);
    let server = Server::start(vec![always("header:if-match DELETE", error(501, "NotImplemented"))]).await;
    assert_eq!(step(server.store()).await, ignored);
    assert_eq!(server.met(), 1, "a fault that does not come proves nothing");
}

/// What an older compline wrote, whose clock is off by so many minutes.
fn old_document(run_id: &str, minutes_off: i64) -> Bytes {
    let mut document = serde_json::to_value(holder(run_id)).expect("JSON");
    let expires = Utc::now() + TimeDelta::minutes(minutes_off) + TimeDelta::seconds(60);
    document["expires_at"] = serde_json::to_value(expires).expect("JSON");
    Bytes::from(document.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_a_lease_is_taken_over_by_its_version_alone_whatever_it_says_and_however_damaged() {
    for body in [
        old_document("fast", 20),
        old_document("slow", -20),
        old_document("a year ahead", 525_600),
        Bytes::new(),
        Bytes::from_static(b"not a lease"),
        Bytes::from_static(b"{\"run_id\": 7}"),
        Bytes::from_static(b"\xff\xfe[null]"),
    ] {
        let server = Server::start(Vec::new()).await;
        let store = server.store().with_leases_for(Duration::from_secs(2));
        store.put(KEY, body.clone()).await.expect("put");
        let asked = Instant::now();
        held_by(&store).await;
        assert!(asked.elapsed() < Duration::from_secs(1), "it is young: that is known at once");
        let (lease, took) = waited_for(&store, "next").await;
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(8), "{took:?} of {body:?}");
        lease.release().await.expect("released");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_a_lease_that_is_renewed_is_held_whatever_the_clocks_say() {
    let server = Server::start(Vec::new()).await;
    let store = server.store().with_leases_for(Duration::from_secs(2));
    let renewer = server.store();
    let renewing = tokio::spawn(async move {
        for minutes in 0.. {
            // Of a clock that jumps about, and always in the past.
            renewer.put(KEY, old_document("alive", -20 - minutes % 7)).await.expect("put");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let until = Instant::now() + Duration::from_secs(6);
    tokio::time::sleep(Duration::from_millis(300)).await;
    while Instant::now() < until {
        assert_eq!(held_by(&store).await.run_id, "alive");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    renewing.abort();
}

/// Makes the lease's object old by the server's clock.
fn age(server: &Server, by: Duration) {
    let path = server.folder.path().join("bucket/audit/compline").join(KEY);
    let file = std::fs::File::options().write(true).open(path).expect("a file");
    file.set_modified(std::time::SystemTime::now() - by).expect("aged");
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_an_old_lease_is_watched_within_one_call_and_taken_over_unless_it_is_renewed() {
    let server = Server::start(Vec::new()).await;
    let store = server.store().with_leases_for(Duration::from_secs(3));
    store.put(KEY, old_document("killed", 20)).await.expect("put");
    age(&server, Duration::from_secs(3600));
    assert_eq!(seems_held_by(&store).await, None, "nobody renews it");
    let asked = Instant::now();
    let lease = taken(&store, "next").await;
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(6), "{took:?}");
    drop(lease);
    store.settle().await;

    store.put(KEY, old_document("slow", 0)).await.expect("put");
    age(&server, Duration::from_secs(3600));
    let renewer = server.store();
    let renewing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        renewer.put(KEY, old_document("slow", 1)).await.expect("put");
    });
    assert_eq!(held_by(&store).await.run_id, "slow", "it was renewed while it was watched");
    renewing.await.expect("renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_the_leases_that_one_killed_run_left_are_watched_together_and_taken_over_in_the_time_of_one() {
    let server = Server::start(Vec::new()).await;
    let store = server.store().with_leases_for(Duration::from_secs(4));
    let keys: Vec<String> = (0..4).map(|number| format!("_compline/lease/aggregator={number}.json")).collect();
    for key in &keys {
        store.put(key, old_document("killed", 0)).await.expect("put");
    }
    let began = Instant::now();
    let mut taken = Vec::new();
    for key in &keys {
        taken.push(loop {
            match store.lease(key, &holder("next")).await.expect("an answer") {
                LeaseOutcome::Taken(lease) => break lease,
                LeaseOutcome::HeldBy(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        });
    }
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_the_clock_of_the_store_is_known_from_every_answer_also_of_an_error() {
    let moto = Moto::start();
    let store = on(&moto);
    assert_eq!(store.clock_offset(), None, "nothing has answered");
    store.get("none").await.expect("an answer");
    let offset = store.clock_offset().expect("a date");
    assert!(offset.num_seconds().abs() < 5, "{offset}");

    for hours in [26, -26] {
        let date = (Utc::now() + TimeDelta::hours(hours)).to_rfc2822();
        let server = Server::start(vec![always("", Act::Dated(date))]).await;
        let store = server.store();
        assert_eq!(store.version("none").await.expect("an answer"), None);
        let offset = store.clock_offset().expect("a date");
        assert!((offset - TimeDelta::hours(hours)).num_seconds().abs() < 60, "{offset}");
    }
    let server = Server::start(vec![always("", Act::Dated("yesterday".to_owned()))]).await;
    let store = server.store();
    store.get("none").await.expect("an answer");
    assert_eq!(store.clock_offset(), None);
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    store.get("none").await.expect("an answer");
    assert_eq!(store.clock_offset(), None);
}

//! What both stores promise, tried on a folder and on S3 servers that are not ours, over TCP.

mod deletes;
mod fencing;
mod leases;
#[path = "../../../../tests/program/support/moto.rs"]
mod moto;
mod server;

use super::folder::Folder;
use super::s3::S3;
use super::*;
use moto::Moto;
use server::{Act, Server, always, error, first, location, pass, store};
use std::time::{Duration, Instant};

const LARGE: usize = 11 * 1024 * 1024;

/// Three parts of what is large.
const PART: usize = 5 * 1024 * 1024;

fn large() -> Bytes {
    Bytes::from((0..LARGE).map(|at| (at / 1000) as u8).collect::<Vec<_>>())
}

/// What every store promises.
async fn conforms(store: &dyn Store) {
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    let key = |text: &str| text.to_owned();
    let keys = async |prefix: &str| -> Vec<String> {
        store.list(prefix).await.expect("list").into_iter().map(|object| object.key).collect()
    };
    assert_eq!(store.get("a/b").await.expect("get"), None);
    assert_eq!(store.get_range("a/b", 0..1).await.expect("get"), None);
    assert!(keys("a/").await.is_empty());
    store.delete(&[key("a/b")]).await.expect("that there is nothing to remove is no error");
    store.delete(&[]).await.expect("nothing to do");

    store.put("a/b", text("one")).await.expect("put");
    store.put("a/b", text("second")).await.expect("a put replaces");
    store.confirm("a/b", &text("second")).await.expect("as it was put");
    for other in ["secunD", "longer than it", ""] {
        let error = store.confirm("a/b", &Bytes::from(other)).await.expect_err("other bytes").to_string();
        assert!(error.contains("cannot confirm") && error.contains("a/b"), "{error}");
    }
    store.confirm("a/none", &text("x")).await.expect_err("nothing is there");
    assert_eq!(store.get("a/b").await.expect("get"), Some(text("second")));
    for (range, bytes) in [(0..3, "sec"), (3..6, "ond"), (4..100, "nd"), (6..9, ""), (90..91, ""), (2..2, "")] {
        assert_eq!(store.get_range("a/b", range.clone()).await.expect("get"), Some(text(bytes)), "{range:?}");
    }

    assert!(store.put_new("a/new", text("mine")).await.expect("put"));
    assert!(store.put_new("a/new", text("mine")).await.expect("put"), "it is there as it was to be");
    assert!(!store.put_new("a/new", text("other")).await.expect("put"), "another one is there");
    assert_eq!(store.get("a/new").await.expect("get"), Some(text("mine")));
    store.delete(&[key("a/new")]).await.expect("delete");
    conditions_hold(store).await;

    for key in ["a/x=1/y=2/data.parquet", "a/x=1/y=1/data.parquet", "ab/c"] {
        store.put(key, text("x")).await.expect("put");
    }
    let below = ["a/b", "a/x=1/y=1/data.parquet", "a/x=1/y=2/data.parquet"];
    assert_eq!(keys("a/").await, below, "sorted, and only what is below");
    assert_eq!(keys("a/x=1/y=1").await, ["a/x=1/y=1/data.parquet"]);
    let listed = store.list("a/b").await.expect("list").remove(0);
    assert_eq!(listed.bytes, 6);
    assert!((Utc::now() - listed.modified).num_seconds().abs() < 60, "{listed:?}");

    store.delete(&below.map(key)).await.expect("delete");
    assert_eq!(keys("").await, ["ab/c"]);
    store.delete(&[key("ab/c"), key("ab/none")]).await.expect("delete");

    store.put("large", large()).await.expect("put");
    store.confirm("large", &large()).await.expect("as it was put");
    assert_eq!(store.get("large").await.expect("get"), Some(large()));
    let across = 5 * 1024 * 1024 - 2..5 * 1024 * 1024 + 2;
    let expected = large().slice(across.start..across.end);
    assert_eq!(store.get_range("large", across.start as u64..across.end as u64).await.expect("get"), Some(expected));
    let mut other = large().to_vec();
    other[LARGE - 1] ^= 1;
    store.confirm("large", &Bytes::from(other)).await.expect_err("one bit is another");
    store.delete(&[key("large")]).await.expect("delete");
    assert!(store.unfinished().await.is_ok_and(|left| left.is_empty()), "nothing is left behind");
}

/// What every store promises of conditional puts, and of conditional deletes where their condition holds.
async fn conditions_hold(store: &dyn Store) {
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    assert_eq!(store.version("c").await.expect("looked at"), None);
    assert!(!store.put_if("c", text("x"), Condition::Unchanged(Version::of_no_object())).await.expect("an answer"));
    assert_eq!(store.get("c").await.expect("get"), None, "there was none to be unchanged");
    assert!(store.put_if("c", text("one"), Condition::since(None)).await.expect("put"));
    let one = store.version("c").await.expect("looked at").expect("there");
    assert_eq!(
        store.version("c").await.expect("looked at").as_ref(),
        Some(&one),
        "it is the same as long as nothing is put"
    );
    assert!(store.put_if("c", text("two"), Condition::Unchanged(one.clone())).await.expect("put"));
    assert_ne!(store.version("c").await.expect("looked at").as_ref(), Some(&one));
    assert!(!store.put_if("c", text("three"), Condition::Unchanged(one.clone())).await.expect("an answer"));
    assert!(!store.put_if("c", text("three"), Condition::New).await.expect("an answer"));
    assert_eq!(store.get("c").await.expect("get"), Some(text("two")));
    assert!(
        store.put_if("c", text("two"), Condition::Unchanged(one)).await.expect("put"),
        "it is there as it was to be"
    );
    let two = store.version("c").await.expect("looked at").expect("there");
    assert!(store.delete_if("c", &two).await.expect("removed"));
    assert!(store.delete_if("c", &two).await.expect("that it is gone is no error"));
    assert_eq!(store.version("c").await.expect("looked at"), None);
}

/// More keys than a page of a list, or a request that removes, may have.
async fn conforms_with_many_keys(store: &dyn Store) {
    let keys: Vec<String> = (0..1_234).map(|number| format!("many/{number:04}")).collect();
    futures::future::join_all(keys.chunks(100).map(async |keys| {
        for key in keys {
            store.put(key, Bytes::from_static(b"x")).await.expect("put");
        }
    }))
    .await;
    let listed: Vec<String> = store.list("many/").await.expect("list").into_iter().map(|object| object.key).collect();
    assert_eq!(listed, keys);
    store.delete(&keys).await.expect("removed");
    assert_eq!(store.list("many/").await.expect("list"), []);
}

#[tokio::test]
async fn a_folder_keeps_what_every_store_promises_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(&folder.path().join("new/lake")).expect("a store");
    conforms(&store).await;
    conforms_with_many_keys(&store).await;
    let left = std::fs::read_dir(folder.path().join("new/lake/_compline/tmp")).expect("a folder").count();
    assert_eq!(left, 0, "temporary files are gone");

    // What each run has of its own leaves no folders, however many runs there are.
    let key = "_compline/journal/aggregator=org/1/commit/runs/data.parquet";
    let other = "_compline/journal/aggregator=org/1/entry.json";
    for key in [key, other] {
        store.put(key, Bytes::from_static(b"x")).await.expect("put");
    }
    store.delete(&[key.to_owned()]).await.expect("removed");
    let left = |below: &str| std::fs::read_dir(folder.path().join("new/lake").join(below)).expect("a folder").count();
    assert_eq!(left("_compline/journal/aggregator=org/1"), 1);
    store.delete(&[other.to_owned()]).await.expect("removed");
    assert_eq!(left("_compline/journal/aggregator=org"), 0);
}

#[tokio::test]
async fn to_look_at_a_folder_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("mistyped");
    let store = Folder::open(&root).expect("a store");
    assert_eq!(store.list("").await.expect("listed"), []);
    assert_eq!(store.get("a/b").await.expect("read"), None);
    assert_eq!(store.unfinished().await.expect("listed"), []);
    assert_eq!(store.lease_holder("_compline/lease/aggregator=org.json").await.expect("looked"), None);
    store.delete(&["a/b".to_owned()]).await.expect("nothing to remove");
    assert!(!root.exists());
}

#[tokio::test]
async fn s3_in_process_keeps_what_every_store_promises_with_one_put_and_in_parts() {
    for part_bytes in [S3Location::PART_BYTES, PART] {
        let server = Server::start(vec![always("GET ?uploads", Act::Answer(200, Vec::new(), NO_UPLOADS))]).await;
        let store = store(&S3Location { part_bytes, ..server.location() });
        conforms(&store).await;
        conforms_with_many_keys(&store).await;
        assert!(
            server.files().iter().all(|file| !file.display().to_string().contains("upload")),
            "{:?}",
            server.files()
        );
    }
}

/// What s3s-fs does not know how to say.
const NO_UPLOADS: &str = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";

#[tokio::test]
async fn s3_of_moto_keeps_what_every_store_promises_with_one_put_and_in_parts() {
    let moto = Moto::start();
    for part_bytes in [S3Location::PART_BYTES, PART] {
        let place = S3Location { part_bytes, endpoint_url: Some(moto.url()), ..location() };
        conforms(&store(&place)).await;
        conforms(&store(&S3Location { checksums_when_required: true, ..place.clone() })).await;
        conforms_with_many_keys(&store(&S3Location { prefix: String::new(), ..place })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b60_a_reader_of_a_file_that_is_being_replaced_sees_the_old_one_or_the_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Folder::open(folder.path()).expect("a store"));
    let body = |round: u8| Bytes::from(vec![round; 4 * 1024 * 1024]);
    store.put("a/b", body(0)).await.expect("put");
    let writer = Arc::clone(&store);
    let writing = tokio::spawn(async move {
        for round in 1..40 {
            writer.put("a/b", body(round)).await.expect("put");
        }
    });
    while !writing.is_finished() {
        let seen = store.get("a/b").await.expect("get").expect("never gone");
        assert!(seen.len() == 4 * 1024 * 1024 && seen.iter().all(|byte| *byte == seen[0]), "{} bytes", seen.len());
    }
    writing.await.expect("written");
}

#[tokio::test]
async fn a_temporary_file_is_left_behind_once_nobody_writes_it_any_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(folder.path()).expect("a store");
    assert_eq!(store.unfinished().await.expect("listed"), [], "nothing was written yet");
    let path = folder.path().join("_compline/tmp/put-abc");
    std::fs::create_dir_all(folder.path().join("_compline/tmp")).expect("made");
    let file = std::fs::File::create(&path).expect("a file");
    file.lock().expect("locked");
    assert_eq!(store.unfinished().await.expect("listed"), [], "somebody writes it");
    drop(file);
    let left = store.unfinished().await.expect("listed");
    assert_eq!(left[0].name, "_compline/tmp/put-abc");
    store.discard(&left[0]).await.expect("removed");
    assert!(!path.exists());
}

#[tokio::test]
async fn b52_a_server_that_does_not_know_the_new_checksums_is_told_of_and_served_without_them() {
    let server = Server::start(vec![
        always("header:x-amz-checksum-", error(501, "NotImplemented")),
        always("header:x-amz-sdk-checksum", error(501, "NotImplemented")),
    ])
    .await;
    let refused = server.store().put("a", Bytes::from_static(b"x")).await.expect_err("an error").to_string();
    assert!(
        refused.contains("NotImplemented") && refused.contains("set lake.checksums = \"when_required\""),
        "{refused}"
    );
    let place = S3Location { checksums_when_required: true, part_bytes: PART, ..server.location() };
    let store = store(&place);
    for body in [Bytes::from_static(b"x"), large()] {
        store.put("a", body.clone()).await.expect("put");
        store.confirm("a", &body).await.expect("byte for byte");
        assert_eq!(store.get("a").await.expect("get"), Some(body));
    }
}

#[tokio::test]
async fn b53_a_conditional_put_whose_answer_was_lost_is_known_by_what_is_there() {
    let server = Server::start(vec![first(1, "PUT", Act::DoneButLost)]).await;
    let store = server.store();
    assert!(store.put_new("a", Bytes::from_static(b"mine")).await.expect("put"), "500, then 412, and it is ours");
    assert_eq!(server.count("PUT"), 2);
    assert!(!store.put_new("a", Bytes::from_static(b"another")).await.expect("put"), "a true 412");
    assert_eq!(store.get("a").await.expect("get"), Some(Bytes::from_static(b"mine")));

    let server = Server::start(vec![first(1, "PUT", error(409, "ConditionalRequestConflict"))]).await;
    assert!(server.store().put_new("a", Bytes::from_static(b"x")).await.expect("put"), "409, then 200");
    assert_eq!(server.count("PUT"), 2);

    let server = Server::start(vec![always("PUT", error(409, "ConditionalRequestConflict"))]).await;
    let told = server.store().put_new("a", Bytes::from_static(b"x")).await.expect_err("an error");
    assert!(told.kind == crate::SinkErrorKind::Transient && told.to_string().contains("run again"), "{told}");
}

#[tokio::test]
async fn a_put_that_landed_and_whose_answer_was_lost_is_done_with_one_put_and_in_parts() {
    for (of, part_bytes) in [("PUT", LARGE), ("partNumber=2", PART), ("POST uploadId=", PART)] {
        let server = Server::start(vec![first(1, of, Act::DoneButLost)]).await;
        let store = store(&S3Location { part_bytes, ..server.location() });
        store.put("a", large()).await.expect("put");
        store.settle().await;
        assert_eq!(store.get("a").await.expect("get"), Some(large()), "{of}");
        assert_eq!((server.files().len(), server.count("DELETE")), (1, 0), "{of}: {:?}", server.files());
    }
}

#[tokio::test]
async fn b54_slow_down_is_waited_out_and_ends_where_the_settings_say() {
    let server = Server::start(vec![first(5, "PUT", error(503, "SlowDown"))]).await;
    let patient = store(&S3Location { max_attempts: 6, ..server.location() });
    patient.put("a", Bytes::from_static(b"x")).await.expect("put");
    assert_eq!(server.count("PUT"), 6);

    let server = Server::start(vec![always("PUT", error(503, "SlowDown"))]).await;
    let told = server.store().put("a", Bytes::from_static(b"x")).await.expect_err("an error").to_string();
    assert!(told.contains("SlowDown: slower") && told.contains("lake.max_attempts"), "{told}");
    assert_eq!((server.count("PUT"), server.files().len()), (3, 0));
}

#[tokio::test]
async fn b54_an_error_inside_a_200_is_an_error_and_tried_again() {
    for (times, lands) in [(1, true), (usize::MAX, false)] {
        let server = Server::start(vec![first(times, "POST uploadId=", error(200, "InternalError"))]).await;
        let store = store(&S3Location { part_bytes: PART, ..server.location() });
        let put = store.put("a", large()).await;
        store.settle().await;
        assert_eq!(put.is_ok(), lands, "{put:?}");
        assert_eq!(server.files().len(), usize::from(lands), "no parts are left: {:?}", server.files());
        assert!(put.map_or_else(|error| error.to_string().contains("InternalError"), |()| true));
    }
}

#[tokio::test]
async fn w3_an_answer_that_says_nothing_or_that_passes_is_asked_for_again() {
    let silent = || Act::Answer(200, Vec::new(), "");
    for (of, part_bytes, act) in [
        ("PUT", LARGE, silent()),
        ("PUT", LARGE, error(429, "SlowDown")),
        ("PUT", LARGE, error(400, "BadDigest")),
        ("PUT", LARGE, error(400, "IncompleteBody")),
        ("partNumber=2", PART, silent()),
        ("partNumber=2", PART, error(400, "BadDigest")),
        ("POST uploadId=", PART, silent()),
        ("POST uploadId=", PART, error(429, "SlowDown")),
    ] {
        let server = Server::start(vec![first(1, of, act)]).await;
        let store = store(&S3Location { part_bytes, ..server.location() });
        store.put("a", large()).await.expect("put");
        store.settle().await;
        assert_eq!(store.get("a").await.expect("get"), Some(large()), "{of}");
        assert_eq!((server.files().len(), server.count("DELETE")), (1, 0), "{of}: {:?}", server.files());
    }
}

#[tokio::test]
async fn w3_an_upload_that_is_complete_although_no_answer_says_so_is_found_there() {
    let server = Server::start(vec![
        first(1, "POST uploadId=", Act::DoneButLost),
        always("POST uploadId=", Act::Answer(200, Vec::new(), "")),
    ])
    .await;
    let store = store(&S3Location { part_bytes: PART, ..server.location() });
    store.put("a", large()).await.expect("put");
    store.settle().await;
    assert_eq!(store.get("a").await.expect("get"), Some(large()));
}

#[tokio::test]
async fn w3_a_put_whose_answers_were_lost_is_known_by_what_is_there() {
    let another = || Bytes::from_static(b"another's");
    for act in [Act::HangUp, error(500, "InternalError")] {
        let server = Server::start(vec![pass(2, "PUT"), always("PUT", act)]).await;
        let store = store(&S3Location { max_attempts: 1, ..server.location() });
        assert!(store.put_new("a", another()).await.expect("put"));
        let seen = store.version("a").await.expect("an answer").expect("it is there");
        // Where deletes are denied an own object is emptied instead, and put again in place of that.
        let emptied = "_compline/emptied";
        assert!(store.put_new(emptied, Bytes::new()).await.expect("put"));
        assert_eq!(store.get(emptied).await.expect("get"), None);
        let empty = store.version(emptied).await.expect("an answer").expect("it is there");
        let gone = Version("gone".to_owned());
        for (key, body, condition, is_there) in [
            ("a", large(), Condition::New, Some(false)),
            ("a", large(), Condition::Unchanged(gone.clone()), Some(false)),
            ("b", large(), Condition::Unchanged(gone), Some(false)),
            ("a", another(), Condition::New, Some(true)),
            ("a", large(), Condition::Unchanged(seen), None),
            ("a", large(), Condition::None, None),
            ("b", large(), Condition::New, None),
            (emptied, large(), Condition::Unchanged(empty), None),
        ] {
            let before = server.count("PUT");
            let put = store.put_if(key, body, condition.clone()).await;
            assert_eq!(server.count("PUT"), before + 1, "it met the fault");
            match is_there {
                Some(is_there) => assert_eq!(put.expect("what is there tells it"), is_there, "{condition:?}"),
                None => assert!(put.expect_err("an error").to_string().contains("cannot write s3://bucket/audit/")),
            }
        }
        assert_eq!(store.get("a").await.expect("get"), Some(another()));
    }
}

#[tokio::test]
async fn b54_a_success_without_an_entity_tag_is_none() {
    for (of, part_bytes) in [("PUT", LARGE), ("partNumber=2", PART), ("POST uploadId=", PART)] {
        let server = Server::start(vec![always(of, Act::Answer(200, Vec::new(), ""))]).await;
        let store = store(&S3Location { part_bytes, ..server.location() });
        let told = store.put("a", large()).await.expect_err("an error").to_string();
        store.settle().await;
        assert!(told.contains("/a: ") && (told.contains("ETag") || told.contains("HTTP 200")), "{of}: {told}");
        assert!(server.files().is_empty(), "{of}: {:?}", server.files());
    }
}

#[tokio::test]
async fn b55_a_bucket_elsewhere_is_told_with_its_region() {
    let header = vec![("x-amz-bucket-region", "eu-west-1")];
    let moved = "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>";
    for act in [
        Act::Answer(301, header.clone(), ""),
        Act::Answer(301, header, moved),
        error(400, "AuthorizationHeaderMalformed"),
    ] {
        let server = Server::start(vec![always("", act)]).await;
        let store = server.store();
        for told in [
            store.get("a").await.expect_err("an error"),
            store.list("").await.expect_err("an error"),
            store.put("a", Bytes::from_static(b"x")).await.expect_err("an error"),
        ] {
            assert!(told.to_string().contains("the bucket is in \"eu-west-1\": set lake.region"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_told_with_what_to_allow() {
    let server = Server::start(vec![always("audit", error(403, ""))]).await;
    let told = server.store().get("a").await.expect_err("an error").to_string();
    assert!(told.starts_with("cannot read s3://bucket/audit/compline/a: HTTP 403"), "{told}");
    assert!(told.contains("allow s3:GetObject"), "{told}");
}

#[tokio::test]
async fn b58_an_upload_that_fails_is_aborted_wherever_it_fails_and_leaves_nothing() {
    for (fault, status) in
        [("partNumber=1&", 500), ("partNumber=2", 500), ("partNumber=2", 403), ("POST uploadId=", 500)]
    {
        let server = Server::start(vec![always(fault, error(status, ""))]).await;
        let store = store(&S3Location { part_bytes: PART, ..server.location() });
        let told = store.put("large", large()).await.expect_err("an error").to_string();
        assert!(told.contains("s3://bucket/audit/compline/large: HTTP"), "{told}");
        store.settle().await;
        assert_eq!(server.count("DELETE"), 1, "{fault}");
        assert!(server.files().is_empty(), "{fault}: {:?}", server.files());
    }
    // That the abort fails as well changes nothing of what is told.
    let server = Server::start(vec![always("partNumber=2", error(403, "")), always("DELETE", error(500, ""))]).await;
    let store = store(&S3Location { part_bytes: PART, ..server.location() });
    let told = store.put("large", large()).await.expect_err("an error").to_string();
    store.settle().await;
    assert!(told.contains("HTTP 403") && server.count("DELETE") == 3, "{told}");
}

#[tokio::test]
async fn b58_an_upload_whose_process_ended_between_its_parts_is_found_and_removed() {
    let moto = Moto::start();
    let place = S3Location { part_bytes: PART, endpoint_url: Some(moto.url()), ..location() };
    let left = store(&place);
    left.begin_and_forget("pack_compliance/x").await;
    // To moto every upload began in 2010.
    let found = left.unfinished().await.expect("listed");
    assert_eq!(found.iter().map(|upload| upload.name.as_str()).collect::<Vec<_>>(), ["pack_compliance/x"]);
    left.discard(&found[0]).await.expect("removed");
    left.discard(&found[0]).await.expect("that it is gone is no error");
    assert_eq!(left.unfinished().await.expect("listed"), []);

    let going_on = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>audit/compline/a</Key>\
                    <UploadId>1</UploadId><Initiated>2999-01-01T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>";
    let server = Server::start(vec![always("GET ?uploads", Act::Answer(200, Vec::new(), going_on))]).await;
    assert_eq!(server.store().unfinished().await.expect("listed"), [], "it may still be going on");
}

#[tokio::test]
async fn b64_an_upload_whose_run_is_stopped_is_aborted() {
    let server = Server::start(vec![always("partNumber=2", Act::Stall)]).await;
    let store = store(&S3Location { part_bytes: PART, ..server.location() });
    let until_stalled = async {
        while server.count("partNumber=2") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        put = store.put("large", large()) => panic!("not stalled: {put:?}"),
        () = until_stalled => {}
    }
    store.settle().await;
    assert!(server.files().is_empty(), "{:?}", server.files());
}

#[tokio::test]
async fn b09_a_server_that_says_nothing_is_given_up_in_time_and_the_setting_is_named() {
    let server = Server::start(vec![always("", Act::Stall)]).await;
    let hasty = S3Location { attempt_timeout: Duration::from_millis(300), max_attempts: 2, ..server.location() };
    let (store, started) = (store(&hasty), Instant::now());
    for told in [
        store.get("a").await.expect_err("an error"),
        store.put("a", Bytes::from_static(b"x")).await.expect_err("an error"),
        store.list("").await.expect_err("an error"),
        store.delete(&["a".to_owned()]).await.expect_err("an error"),
    ] {
        assert!(told.to_string().contains("lake.attempt_timeout_secs"), "{told}");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stops_is_read_again_and_never_taken_for_the_whole() {
    for act in [Act::CutBody, Act::StallBody] {
        let server = Server::start(vec![first(1, "GET", act)]).await;
        let store = server.store();
        store.put("a", large()).await.expect("put");
        assert_eq!(store.get("a").await.expect("get"), Some(large()));
    }
    let server = Server::start(vec![always("GET", Act::CutBody)]).await;
    server.store().put("a", large()).await.expect("put");
    let told = server.store().get("a").await.expect_err("an error").to_string();
    assert!(told.starts_with("cannot read s3://bucket/audit/compline/a: "), "{told}");
}

#[tokio::test]
async fn a_list_that_is_cut_and_does_not_say_how_to_go_on_is_an_error() {
    let cut = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
    let server = Server::start(vec![always("list-type=2", Act::Answer(200, Vec::new(), cut))]).await;
    let told = server.store().list("").await.expect_err("an error").to_string();
    assert!(told.contains("the list is cut"), "{told}");
}

#[tokio::test]
async fn w4_a_list_that_gives_the_same_token_again_is_an_error_and_one_with_a_token_goes_on() {
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>1</NextContinuationToken>\
                </ListBucketResult>";
    let server = Server::start(vec![always("list-type=2", Act::Answer(200, Vec::new(), page))]).await;
    let told = server.store().list("").await.expect_err("an error").to_string();
    assert!(told.contains("cannot list s3://bucket/") && told.contains("the same continuation token again"), "{told}");
    assert_eq!(server.count("list-type=2"), 2);

    let uploads = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>\
                   </ListMultipartUploadsResult>";
    let server = Server::start(vec![always("GET ?uploads", Act::Answer(200, Vec::new(), uploads))]).await;
    let told = server.store().unfinished().await.expect_err("an error").to_string();
    assert!(told.contains("the same continuation token again"), "{told}");

    let silent = "<ListBucketResult><NextContinuationToken>1</NextContinuationToken></ListBucketResult>";
    let last = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>audit/compline/a</Key><Size>1</Size>\
                </Contents></ListBucketResult>";
    let server = Server::start(vec![
        first(1, "list-type=2", Act::Answer(200, Vec::new(), silent)),
        always("list-type=2", Act::Answer(200, Vec::new(), last)),
    ])
    .await;
    assert_eq!(server.store().list("").await.expect("listed").len(), 1, "a page with a token is not the last one");
}

#[tokio::test]
async fn what_is_said_of_each_key_that_stays_is_not_lost() {
    let denied = "<DeleteResult><Error><Key>audit/compline/b</Key><Code>AccessDenied</Code><Message>no</Message></Error>\
                  <Error><Key>audit/compline/c</Key><Code>NoSuchKey</Code></Error></DeleteResult>";
    let server = Server::start(vec![always("POST delete", Act::Answer(200, Vec::new(), denied))]).await;
    let keys = ["a", "b", "c"].map(str::to_owned);
    let told = server.store().delete(&keys).await.expect_err("an error").to_string();
    assert!(
        told.starts_with("cannot remove s3://bucket/audit/compline/b: 1 of 3 objects stay: AccessDenied: no"),
        "{told}"
    );
    assert!(told.contains("allow s3:DeleteObject"), "{told}");

    let passing = "<DeleteResult><Error><Key>audit/compline/b</Key><Code>InternalError</Code></Error></DeleteResult>";
    let server = Server::start(vec![first(1, "POST delete", Act::Answer(200, Vec::new(), passing))]).await;
    server.store().put("b", Bytes::from_static(b"x")).await.expect("put");
    server.store().delete(&keys).await.expect("removed at the second try");
    assert!(server.files().is_empty() && server.count("POST") == 2);
}

#[tokio::test]
async fn every_setting_of_how_objects_are_kept_is_in_every_request_that_makes_one() {
    // s3s-fs knows no storage classes, so these are answered without it.
    let begun = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
    let completed = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>";
    let server = Server::start(vec![
        always("POST uploads", Act::Answer(200, Vec::new(), begun)),
        always("POST uploadId=", Act::Answer(200, Vec::new(), completed)),
        always(
            "",
            Act::Answer(200, vec![("etag", "x"), ("content-type", "application/xml")], "<DeleteResult></DeleteResult>"),
        ),
    ])
    .await;
    let kms = Encryption::SseKms { key_id: Some("alias/audit".to_owned()), bucket_key: Some(true) };
    let place = S3Location {
        part_bytes: PART,
        encryption: Some(kms),
        acl: Some("bucket-owner-full-control".to_owned()),
        expected_bucket_owner: Some("012345678901".to_owned()),
        storage_class: Some("STANDARD_IA".to_owned()),
        tags: [("team", "gov & audit"), ("cost-centre", "7")].map(|(key, value)| (key.into(), value.into())).into(),
        ..server.location()
    };
    let store = store(&place);
    store.put("pack_status/small", Bytes::from_static(b"x")).await.expect("put");
    store.put("pack_status/large", large()).await.expect("put");
    store.put("_compline/note", Bytes::from_static(b"x")).await.expect("put");
    let seen = server.take_seen();
    let header =
        |seen: &server::Seen, name: &str| seen.headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    let making: Vec<_> = seen.iter().filter(|seen| !seen.line.contains("uploadId=")).collect();
    assert_eq!(making.len(), 3);
    for request in making {
        let lasting = !request.line.contains("_compline");
        for (name, value, of_all) in [
            ("x-amz-server-side-encryption", "aws:kms", true),
            ("x-amz-server-side-encryption-aws-kms-key-id", "alias/audit", true),
            ("x-amz-server-side-encryption-bucket-key-enabled", "true", true),
            ("x-amz-acl", "bucket-owner-full-control", true),
            ("x-amz-storage-class", "STANDARD_IA", false),
            ("x-amz-tagging", "cost-centre=7&team=gov%20%26%20audit", false),
        ] {
            let expected = (of_all || lasting).then(|| value.to_owned());
            assert_eq!(header(request, name), expected, "{name} of {}", request.line);
        }
    }
    store.get("pack_status/small").await.expect("get");
    store.confirm("pack_status/small", &Bytes::from_static(b"x")).await.expect_err("it is not");
    let _ = store.list("").await;
    let _ = store.delete(&["pack_status/small".to_owned()]).await;
    let owners = seen
        .iter()
        .chain(&server.take_seen())
        .map(|seen| header(seen, "x-amz-expected-bucket-owner"))
        .collect::<Vec<_>>();
    assert!(owners.len() > 8 && owners.iter().all(|owner| owner.as_deref() == Some("012345678901")), "{owners:?}");
}

#[tokio::test]
async fn a_bucket_with_a_dot_is_named_in_the_path_without_being_told() {
    let server = Server::start(Vec::new()).await;
    std::fs::create_dir(server.folder.path().join("a.dotted.bucket")).expect("a bucket");
    let place = S3Location { bucket: "a.dotted.bucket".to_owned(), path_style: false, ..server.location() };
    store(&place).put("a", Bytes::from_static(b"x")).await.expect("put");
    assert_eq!(server.count("PUT /a.dotted.bucket/audit/compline/a"), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_that_says_what_to_set() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = Folder::open(&file.path().join("lake")).expect_err("an error").to_string();
    assert!(error.contains("a file is in the way; set lake.url or --lake"), "{error}");
}

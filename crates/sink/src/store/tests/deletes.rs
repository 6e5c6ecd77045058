//! Removing where S3 does not remove.

use super::super::OWN;
use super::*;

const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

fn xml(status: u16, body: &'static str) -> Act {
    Act::Answer(status, vec![("content-type", "application/xml")], body)
}

#[tokio::test]
async fn f15_a_store_that_knows_no_removal_of_many_removes_one_by_one() {
    for status in [405, 501] {
        let server = Server::start(vec![always("POST /bucket/?delete", xml(status, ""))]).await;
        let store = server.store();
        let keys = ["a/one", "a/two"].map(str::to_owned);
        for key in &keys {
            store.put(key, Bytes::from_static(b"x")).await.expect("put");
        }
        store.delete(&keys).await.expect("removed");
        assert_eq!(store.list("").await.expect("listed").len(), 0);
        assert!(server.count("POST /bucket/?delete") > 0, "it was tried");
        assert_eq!(server.count("DELETE /bucket/"), 2);
    }
}

#[tokio::test]
async fn w7_where_deletes_are_denied_an_own_object_is_emptied_and_counts_as_gone_and_one_of_a_table_is_an_error() {
    let many = "<DeleteResult><Error><Key>audit/compline/_compline/a</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
    let server =
        Server::start(vec![always("DELETE", xml(403, DENIED)), always("POST /bucket/?delete", xml(200, many))]).await;
    let store = server.store();
    let key = format!("{OWN}a");
    let put = async || store.put(&key, Bytes::from_static(b"x")).await.expect("put");
    let gone = async || {
        assert_eq!(store.get(&key).await.expect("an answer"), None);
        assert_eq!(store.get_range(&key, 0..1).await.expect("an answer"), None);
        assert!(store.list(OWN).await.expect("listed").is_empty());
    };
    put().await;
    store.delete(std::slice::from_ref(&key)).await.expect("emptied");
    gone().await;
    put().await;
    let version = store.version(&key).await.expect("looked at").expect("there");
    assert!(store.delete_if(&key, &version).await.expect("emptied"));
    gone().await;
    // It can be there again, also with a condition.
    let version = store.version(&key).await.expect("looked at");
    assert!(store.put_if(&key, Bytes::from_static(b"y"), Condition::since(version)).await.expect("put"));
    assert_eq!(store.get(&key).await.expect("read").as_deref(), Some(&b"y"[..]));

    store.put("table/a", Bytes::from_static(b"x")).await.expect("put");
    let version = store.version("table/a").await.expect("looked at").expect("there");
    let error = store.delete_if("table/a", &version).await.expect_err("denied").to_string();
    assert!(error.contains("AccessDenied") && error.contains("s3:DeleteObject"), "{error}");
    assert_eq!(store.get("table/a").await.expect("read").as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn a_list_that_breaks_off_is_asked_for_again_and_never_taken_for_a_shorter_one() {
    let cut = "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>audit/compline/a</Key></Contents><Cont";
    let server =
        Server::start(vec![first(2, "list-type=2", xml(200, cut)), first(1, "list-type=2", xml(200, ""))]).await;
    let store = server.store();
    store.put("a", Bytes::from_static(b"x")).await.expect("put");
    store.put("b", Bytes::from_static(b"x")).await.expect("put");
    assert_eq!(store.list("").await.expect("listed").len(), 2);
    assert_eq!(server.count("list-type=2"), 4);
    let server = Server::start(vec![always("list-type=2", xml(200, cut))]).await;
    let error = server.store().list("").await.expect_err("no list").to_string();
    assert!(error.contains("breaks off each time"), "{error}");
}

#[tokio::test]
async fn w3_a_put_that_did_not_arrive_is_put_again_and_not_left_for_readers() {
    // Answered as if it were stored, and it is not.
    let lost = || Act::Answer(200, vec![("etag", "\"d41d8cd98f00b204e9800998ecf8427e\"")], "");
    let server = Server::start(vec![first(2, "PUT", lost())]).await;
    let lake = crate::Lake::on(std::sync::Arc::new(server.store()));
    let (id, run) = ("org".parse().expect("an id"), "01900000-0000-7000-8000-000000000001".parse().expect("an id"));
    let entry = Bytes::from_static(b"{}");
    lake.put_journal(&id, run, entry.clone()).await.expect("written");
    assert_eq!(lake.journal(&id).await.expect("read")[0].copy, Some(entry));
    // The entry and its copy, and the two that were lost.
    assert_eq!(server.count("PUT"), 4);
    let server = Server::start(vec![always("PUT", lost())]).await;
    let lake = crate::Lake::on(std::sync::Arc::new(server.store()));
    let error = lake.put_journal(&id, run, Bytes::from_static(b"{}")).await.expect_err("never there").to_string();
    assert!(error.contains("it is not there"), "{error}");
}

#[tokio::test]
async fn an_answer_that_there_is_no_such_object_and_that_breaks_off_is_asked_for_again() {
    let server = Server::start(vec![first(2, "GET", xml(404, "<Error><Code>NoSuch"))]).await;
    assert_eq!(server.store().get("none").await.expect("an answer"), None);
    assert_eq!(server.count("GET"), 3);
}

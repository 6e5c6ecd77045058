//! What both stores promise, tried on a folder and on an S3 server that is not ours, over TCP.

use super::folder::Folder;
use super::s3::S3;
use super::*;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider};
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// What the server does with a request whose path and query hold the text.
#[derive(Clone, Copy)]
enum Fault {
    None,
    /// It answers 403.
    Refuse(&'static str),
    /// It never answers.
    Stall(&'static str),
}

impl Fault {
    fn meets(self, uri: &hyper::Uri) -> bool {
        match self {
            Self::None => false,
            Self::Refuse(text) | Self::Stall(text) => uri.to_string().contains(text),
        }
    }
}

/// An S3 server over a folder, with a fault whose requests are counted.
struct Server {
    folder: TempDir,
    url: String,
    faults: Arc<AtomicUsize>,
}

impl Server {
    async fn start(fault: Fault) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("bucket")).expect("a bucket");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a file system");
        let mut service = s3s::service::S3ServiceBuilder::new(files);
        service.set_auth(s3s::auth::SimpleAuth::from_single("test", "test"));
        let service = service.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let faults = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&faults);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, count) = (service.clone(), Arc::clone(&count));
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let met = fault.meets(request.uri());
                    count.fetch_add(usize::from(met), Ordering::SeqCst);
                    let service = service.clone();
                    async move {
                        match fault {
                            Fault::Refuse(_) if met => {
                                Ok(Response::builder().status(403).body(s3s::Body::empty()).expect("an answer"))
                            }
                            Fault::Stall(_) if met => std::future::pending().await,
                            _ => service.call(request.map(s3s::Body::from)).await,
                        }
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
            }
        });
        Self { folder, url, faults }
    }

    fn store(&self, part_bytes: usize) -> S3 {
        let location = S3Location {
            bucket: "bucket".to_owned(),
            prefix: "audit/compline".to_owned(),
            region: Some("us-east-1".to_owned()),
            endpoint_url: Some(self.url.clone()),
            path_style: true,
            kms_key_id: None,
            part_bytes,
        };
        let key = Credentials::new("test", "test", None, None, "test");
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(key))
            .region(Region::from_static("us-east-1"))
            .build();
        S3::new(&shared, &location)
    }

    /// Files below the server's folder.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path())
                } else {
                    files.push(entry.path().display().to_string())
                }
            }
        }
        files
    }
}

/// What every store promises.
async fn conforms(store: &dyn Store) {
    assert_eq!(store.get("a/b").await.expect("get"), None);
    assert_eq!(store.list("a/").await.expect("list"), Vec::<String>::new());
    store.delete("a/b").await.expect("that there is nothing to remove is no error");

    store.put("a/b", Bytes::from_static(b"one")).await.expect("put");
    store.put("a/b", Bytes::from_static(b"second")).await.expect("a put replaces");
    assert_eq!(store.get("a/b").await.expect("get"), Some(Bytes::from_static(b"second")));

    for key in ["a/x=1/y=2/data.parquet", "a/x=1/y=1/data.parquet", "ab/c"] {
        store.put(key, Bytes::from_static(b"x")).await.expect("put");
    }
    let below = ["a/b", "a/x=1/y=1/data.parquet", "a/x=1/y=2/data.parquet"];
    assert_eq!(store.list("a/").await.expect("list"), below, "sorted, and only what is below");
    assert_eq!(store.list("a/x=1/y=1").await.expect("list"), ["a/x=1/y=1/data.parquet"]);

    store.delete("a/b").await.expect("delete");
    assert_eq!(store.get("a/b").await.expect("get"), None);

    let large = Bytes::from(vec![7; 11 * 1024 * 1024]);
    store.put("large", large.clone()).await.expect("put");
    assert_eq!(store.get("large").await.expect("get"), Some(large));
}

#[tokio::test]
async fn a_folder_keeps_what_every_store_promises_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Folder::open(&folder.path().join("new/lake")).expect("a store");
    conforms(&store).await;
    let left = std::fs::read_dir(folder.path().join("new/lake/_compline/tmp")).expect("a folder").count();
    assert_eq!(left, 0, "temporary files are gone");
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
async fn s3_keeps_what_every_store_promises_with_one_put_and_in_parts() {
    let server = Server::start(Fault::None).await;
    conforms(&server.store(S3Location::PART_BYTES)).await;
    let server = Server::start(Fault::None).await;
    conforms(&server.store(5 * 1024 * 1024)).await;
    assert!(server.files().iter().all(|file| !file.contains("upload")), "{:?}", server.files());
}

#[tokio::test]
async fn more_than_a_thousand_keys_are_listed_over_pages() {
    let server = Server::start(Fault::None).await;
    let store = server.store(S3Location::PART_BYTES);
    let folder = server.folder.path().join("bucket/audit/compline/many");
    std::fs::create_dir_all(&folder).expect("a folder");
    for number in 0..1_234 {
        std::fs::write(folder.join(format!("{number:04}")), b"x").expect("a file");
    }
    let keys = store.list("many/").await.expect("list");
    assert_eq!((keys.len(), keys[0].as_str(), keys[1_233].as_str()), (1_234, "many/0000", "many/1233"));
}

#[tokio::test]
async fn b58_an_upload_that_fails_half_way_is_aborted_and_leaves_neither_parts_nor_an_object() {
    let server = Server::start(Fault::Refuse("partNumber=2")).await;
    let store = server.store(5 * 1024 * 1024);
    let error = store.put("large", Bytes::from(vec![7; 11 * 1024 * 1024])).await.expect_err("an error").to_string();
    assert!(error.starts_with("cannot write s3://bucket/audit/compline/large: "), "{error}");
    store.settle().await;
    assert!(server.faults.load(Ordering::SeqCst) > 0);
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn b64_an_upload_whose_run_is_stopped_is_aborted() {
    let server = Server::start(Fault::Stall("partNumber=2")).await;
    let store = server.store(5 * 1024 * 1024);
    let until_stalled = async {
        while server.faults.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        put = store.put("large", Bytes::from(vec![7; 11 * 1024 * 1024])) => panic!("not stalled: {put:?}"),
        () = until_stalled => {}
    }
    store.settle().await;
    assert_eq!(server.files(), Vec::<String>::new());
}

#[tokio::test]
async fn b55_a_store_that_refuses_is_told_with_what_to_allow() {
    let server = Server::start(Fault::Refuse("audit")).await;
    let error = server.store(S3Location::PART_BYTES).get("a").await.expect_err("an error").to_string();
    assert!(error.starts_with("cannot read s3://bucket/audit/compline/a: HTTP 403"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_that_says_what_to_set() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = Folder::open(&file.path().join("lake")).expect_err("an error").to_string();
    assert!(error.contains("a file is in the way; set lake.url or --lake"), "{error}");
}

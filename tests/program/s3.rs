//! The same nights on an S3 server that is not ours.

use crate::support::reading::{files, of_trends};
use crate::support::{Scene, run};
use compline_model::Table;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};

/// Serves a folder as S3 with a bucket named `bucket`; gives its address.
pub(crate) async fn serve(folder: PathBuf) -> String {
    std::fs::create_dir_all(folder.join("bucket")).expect("a bucket");
    let mut service = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(&folder).expect("a file system"));
    service.set_auth(s3s::auth::SimpleAuth::from_single("test", "test"));
    let service = service.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let service = service.clone();
                async move { service.call(request.map(s3s::Body::from)).await }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
        }
    });
    url
}

fn on_s3(scene: &Scene, pipeline: &Path, day: &str) -> crate::support::Ended {
    let mut command = scene.command(&["run", &pipeline.display().to_string(), "--date", day]);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    run(command)
}

#[test]
fn the_same_nights_on_s3_have_the_same_data_byte_for_byte() {
    let scene = Scene::new("");
    let url = scene.runtime.block_on(serve(scene.path("root")));
    let days = ["2026-02-27", "2026-02-28", "2026-03-01"];
    let pipeline = scene.pipeline("");
    days.iter().for_each(|day| drop(scene.night(&pipeline, day)));
    let lake = format!(
        "url = \"s3://bucket/audit/compline\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\npath_style = true"
    );
    let pipeline = scene.write_pipeline(&lake, "");
    for day in days {
        let ended = on_s3(&scene, &pipeline, day);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let below = scene.path("root/bucket/audit/compline");
    let (folder, bucket) = (files(&scene.path("lake")), files(&below));
    let parquet = |files: &std::collections::BTreeMap<String, Vec<u8>>| -> Vec<String> {
        files.keys().filter(|name| name.ends_with(".parquet")).cloned().collect()
    };
    assert_eq!(parquet(&folder), parquet(&bucket));
    assert_eq!(of_trends(folder), of_trends(bucket));

    // The fact has the time of its own run in it, so it is compared by its rows.
    let rows = scene.rows(Table::PackCompliance, "org", days[1]);
    std::fs::remove_dir_all(scene.path("lake")).expect("removed");
    std::fs::rename(below, scene.path("lake")).expect("moved");
    assert_eq!(scene.rows(Table::PackCompliance, "org", days[1]), rows);
}

#[test]
fn a_bucket_that_cannot_be_reached_is_found_out_before_anything_is_asked() {
    let scene = Scene::new("");
    let url = scene.runtime.block_on(serve(scene.path("root")));
    let lake = format!("url = \"s3://bucket\"\nregion = \"us-east-1\"\nendpoint_url = \"{url}\"\npath_style = true");
    let pipeline = scene.write_pipeline(&lake, "");
    let mut command = scene.command(&["run", &pipeline.display().to_string(), "--date", "2026-03-01"]);
    command.env("AWS_ACCESS_KEY_ID", "wrong").env("AWS_SECRET_ACCESS_KEY", "never-in-a-log");
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cannot write s3://bucket/_compline/lease/aggregator=org.json"), "{ended:?}");
    assert!(!ended.stderr.contains("never-in-a-log"), "{ended:?}");
}

//! The floor under the comparison: the same pages read over HTTP and thrown away, and the same rows, which are in memory already,
//! written as one Parquet file. Nothing that reads an aggregator and leaves a file can take less.
//!
//! `floor --url URL --aggregator NAME --regions A,B,C --rows FILE --out FILE` prints one line of JSON. `--rows` is a file of
//! pack_compliance whose rows are written again; `--at-once` and `--zstd-level` are 8 and 1 unless given.

#![expect(clippy::print_stdout, reason = "what it measured is told there")]

use bytes::Bytes;
use compline_model::Table;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::rc::Rc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

type Failure = Box<dyn std::error::Error>;

const PACKS: &str = "DescribeAggregateComplianceByConformancePacks";
const SOURCES: &str = "DescribeConfigurationAggregatorSourcesStatus";

/// A list to read to its end: the operation, and its request without a token.
type List = (&'static str, Value);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<&str, &str> =
        arguments.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let named = |name: &str| given.get(name).copied().ok_or(format!("{name} is missing"));

    let aggregator = named("--aggregator")?;
    let sources = (SOURCES, json!({ "ConfigurationAggregatorName": aggregator }));
    let packs = named("--regions")?.split(',').map(|region| {
        (PACKS, json!({ "ConfigurationAggregatorName": aggregator, "Filters": { "AwsRegion": region } }))
    });
    let lists = [sources].into_iter().chain(packs).collect();
    let at_once = given.get("--at-once").map_or(Ok(8), |text| text.parse())?;
    let mut said = measured("read", || read(named("--url")?, lists, at_once))?;

    // Not a part of the floor: the rows are in memory already.
    let options = ArrowReaderOptions::new().with_schema(Table::PackCompliance.schema());
    let file = Bytes::from(fs::read(named("--rows")?)?);
    let rows: Vec<_> = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?
        .with_batch_size(32 * 1024)
        .build()?
        .collect::<Result<_, _>>()?;

    let level = given.get("--zstd-level").map_or(Ok(1), |text| text.parse())?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?)).build();
    let wrote = measured("write", || {
        let out = File::create(named("--out")?)?;
        let mut writer = ArrowWriter::try_new(out, Table::PackCompliance.schema(), Some(properties))?;
        rows.iter().try_for_each(|batch| writer.write(batch))?;
        let rows = writer.close()?.file_metadata().num_rows();
        Ok(json!({ "rows": rows }))
    })?;
    said.extend(wrote);
    println!("{}", Value::from(said));
    Ok(())
}

/// What a step says of itself, and its wall and CPU time, each under the name of the step.
fn measured(
    step: &str,
    work: impl FnOnce() -> Result<Value, Failure>,
) -> Result<serde_json::Map<String, Value>, Failure> {
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let mut said = work()?;
    said["wall"] = started.elapsed().as_secs_f64().into();
    said["cpu"] = (cpu_seconds()? - cpu).into();
    Ok([(step.to_owned(), said)].into_iter().collect())
}

/// User and system time of the one thread that there is.
fn cpu_seconds() -> Result<f64, Failure> {
    let said = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = said.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

/// Reads the lists, so many at once, each over a connection that stays open. On one thread: that takes the least CPU, and the
/// server is slower anyway.
fn read(url: &str, lists: VecDeque<List>, at_once: usize) -> Result<Value, Failure> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url, ""));
    let (host, path): (Rc<str>, Rc<str>) = (host.into(), format!("/{path}").into());
    let waiting = Rc::new(RefCell::new(lists));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (pages, bytes) = LocalSet::new().block_on(&runtime, async {
        let readers: Vec<_> = (0..at_once)
            .map(|_| {
                let (host, path, waiting) = (Rc::clone(&host), Rc::clone(&path), Rc::clone(&waiting));
                spawn_local(async move {
                    let (sender, connection) =
                        http1::handshake(TokioIo::new(TcpStream::connect(&*host).await?)).await?;
                    spawn_local(connection);
                    let mut reader = Reader { sender, host, path, pages: 0, bytes: 0 };
                    loop {
                        let next = waiting.borrow_mut().pop_front();
                        let Some(list) = next else { break };
                        reader.read(list).await?;
                    }
                    Ok::<_, Failure>((reader.pages, reader.bytes))
                })
            })
            .collect();
        let mut sum = (0_u64, 0_usize);
        for reader in readers {
            let (pages, bytes) = reader.await??;
            sum = (sum.0 + pages, sum.1 + bytes);
        }
        Ok::<_, Failure>(sum)
    })?;
    Ok(json!({ "pages": pages, "bytes": bytes }))
}

/// A connection, and what came over it.
struct Reader {
    sender: SendRequest<Full<Bytes>>,
    host: Rc<str>,
    path: Rc<str>,
    pages: u64,
    bytes: usize,
}

impl Reader {
    /// Reads a list to its end.
    async fn read(&mut self, (operation, mut body): List) -> Result<(), Failure> {
        loop {
            let request = Request::post(&*self.path)
                .header("host", &*self.host)
                .header("content-type", "application/x-amz-json-1.1")
                .header("x-amz-target", format!("StarlingDoveService.{operation}"))
                // The simulator takes the region from it, and does not check the signature.
                .header("authorization", "AWS4-HMAC-SHA256 Credential=simulated/20260101/eu-west-1/config/aws4_request")
                .body(Full::new(Bytes::from(body.to_string())))?;
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            let page = answer.into_body().collect().await?.to_bytes();
            if !status.is_success() {
                return Err(format!("{operation}: {status}: {}", String::from_utf8_lossy(&page)).into());
            }
            self.pages += 1;
            self.bytes += page.len();
            match next_token(&page) {
                Some(token) => body["NextToken"] = token.into(),
                None => return Ok(()),
            }
        }
    }
}

/// The token of the next page, which the simulator puts last; looked for from the end, and nothing else is parsed.
fn next_token(page: &[u8]) -> Option<String> {
    const BEFORE: &[u8] = b"\"NextToken\":\"";
    let start = page.windows(BEFORE.len()).rposition(|bytes| bytes == BEFORE)? + BEFORE.len();
    let token = page[start..].split(|byte| *byte == b'"').next()?;
    Some(String::from_utf8_lossy(token).into_owned())
}

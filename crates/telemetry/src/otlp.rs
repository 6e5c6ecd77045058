//! Samples and spans by OTLP over HTTP, where the environment has a receiver (`OTEL_EXPORTER_OTLP_ENDPOINT`).

use crate::{Sample, Unit};
use async_trait::async_trait;
use bytes::Bytes;
use compline_aws::{HttpClient, HttpUrl};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use std::env;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// The longest that a receiver is waited for, per request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many spans wait to be sent at most, and how many are sent at once: some thousand shards end within seconds.
const MAX_SPANS: usize = 8192;
const MAX_BATCH: usize = 512;

/// What the receiver knows the program as, unless the environment says it.
const SERVICE: &str = "compline";

/// A receiver of OTLP, as the environment has it by the variables of OpenTelemetry. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Otlp {
    metrics: Option<Posting>,
    spans: Option<(SdkTracerProvider, Posting)>,
}

impl Otlp {
    /// The receiver of the environment, if there is one for metrics or spans. Within a runtime; makes no call yet.
    ///
    /// # Errors
    /// Variables that name no endpoint.
    pub fn of_environment() -> Result<Option<Self>, ExporterBuildError> {
        let metrics = is_wanted("METRICS").then(Posting::new);
        let spans = is_wanted("TRACES").then(|| {
            let posting = Posting::new();
            let exporter = SpanExporter::builder().with_http().with_http_client(posting.clone()).build()?;
            // The environment's own sizes are not taken: the queue is allocated at once.
            let sizes =
                BatchConfigBuilder::default().with_max_queue_size(MAX_SPANS).with_max_export_batch_size(MAX_BATCH);
            let processor = BatchSpanProcessor::builder(exporter).with_batch_config(sizes.build()).build();
            let provider =
                SdkTracerProvider::builder().with_resource(resource()).with_span_processor(processor).build();
            Ok((provider, posting))
        });
        let otlp = Self { metrics, spans: spans.transpose()? };
        Ok((otlp.metrics.is_some() || otlp.spans.is_some()).then_some(otlp))
    }

    /// The layer that takes the spans, if the receiver is to have them.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer = self.spans.as_ref()?.0.tracer(SERVICE);
        // Where in the code a span is, and by which thread, says nothing to those who read it.
        Some(tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false))
    }

    /// Sends samples.
    ///
    /// # Errors
    /// The receiver does not take them, in words.
    pub async fn send(&self, samples: Vec<Sample>) -> Result<(), String> {
        let Some(posting) = self.metrics.clone() else { return Ok(()) };
        let own = posting.clone();
        let sent = tokio::task::spawn_blocking(move || send(&own, &samples).map_err(|error| error.to_string()));
        posting.reason(sent.await.map_err(|error| error.to_string()).flatten())
    }

    /// Sends the spans that there still are.
    ///
    /// # Errors
    /// The receiver does not take them, in words.
    pub async fn finish(self) -> Result<(), String> {
        let Some((provider, posting)) = self.spans else { return Ok(()) };
        let shutdown = move || provider.shutdown_with_timeout(TIMEOUT).map_err(|error| error.to_string());
        let sent = tokio::task::spawn_blocking(shutdown).await;
        // A batch that was lost in between is lost all the same.
        posting.reason(sent.map_err(|error| error.to_string()).flatten())
    }
}

/// Whether the environment has a receiver for a signal, and wants it.
fn is_wanted(signal: &str) -> bool {
    let value = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let is = |name: &str, what: &str| value(name).is_some_and(|value| value.eq_ignore_ascii_case(what));
    let has_endpoint = ["OTEL_EXPORTER_OTLP_ENDPOINT", &format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")]
        .iter()
        .any(|name| value(name).is_some());
    has_endpoint && !is("OTEL_SDK_DISABLED", "true") && !is(&format!("OTEL_{signal}_EXPORTER"), "none")
}

/// Who sends: what the environment says, and else this program.
fn resource() -> Resource {
    let named = env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|attributes| attributes.contains("service.name="));
    let builder = Resource::builder();
    if named { builder.build() } else { builder.with_service_name(SERVICE).build() }
}

fn send(posting: &Posting, samples: &[Sample]) -> Result<(), Box<dyn std::error::Error>> {
    let exporter = MetricExporter::builder().with_http().with_http_client(posting.clone()).build()?;
    // Sent once, at the end: a run is over before any interval.
    let provider = SdkMeterProvider::builder().with_resource(resource()).with_periodic_exporter(exporter).build();
    let meter = provider.meter(SERVICE);
    for Sample { metric, labels, value } in samples {
        let gauge = meter.f64_gauge(metric.name).with_description(metric.help).with_unit(unit(metric.unit)).build();
        let attributes: Vec<KeyValue> =
            labels.iter().map(|(name, value)| KeyValue::new(*name, value.clone())).collect();
        gauge.record(*value, &attributes);
    }
    // It waits for the receiver as long as a request may take; the shutdown that follows waits five seconds, and sends it again.
    let sent = provider.force_flush();
    posting.is_done.store(true, Relaxed);
    Ok(sent?)
}

/// As UCUM has units.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count | Unit::Ratio => "1",
        Unit::Seconds => "s",
        Unit::Bytes => "By",
        Unit::Days => "d",
    }
}

/// Posts by the program's own HTTP client: one way to proxies and certificate authorities. The SDK asks from threads of its own, so
/// the work is the runtime's.
#[derive(Debug, Clone)]
struct Posting {
    handle: Handle,
    client: Arc<OnceCell<HttpClient>>,
    /// The first failure: the SDK's own message does not say it.
    failure: Arc<Mutex<Option<String>>>,
    /// Whether there is nothing more to be sent.
    is_done: Arc<AtomicBool>,
}

impl Posting {
    /// Within a runtime.
    fn new() -> Self {
        Self { handle: Handle::current(), client: Arc::default(), failure: Arc::default(), is_done: Arc::default() }
    }

    /// What was sent, with the reason of whoever was asked where there is one.
    fn reason(&self, sent: Result<(), String>) -> Result<(), String> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(sent, Err)
    }

    async fn post(&self, request: Request<Bytes>) -> Result<u16, String> {
        let (parts, body) = request.into_parts();
        let url = HttpUrl::parse(&parts.uri.to_string()).map_err(|error| error.to_string())?;
        let client = self.client.get_or_try_init(HttpClient::load).await.map_err(|error| error.to_string())?;
        let headers: Vec<(&str, &str)> =
            parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let answer = client.post(&url, &headers, body, TIMEOUT).await.map_err(|error| error.to_string())?;
        match answer.is_success() {
            true => Ok(answer.status),
            false => Err(format!("{url} answers {answer}")),
        }
    }
}

#[async_trait]
impl opentelemetry_http::HttpClient for Posting {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if self.is_done.load(Relaxed) {
            return Ok(Response::new(Bytes::new()));
        }
        let posting = self.clone();
        let status = self.handle.spawn(async move { posting.post(request).await }).await?;
        let status = status.inspect_err(|failure| {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| failure.clone());
        })?;
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}

//! The log on stderr: lines for people, or a JSON object a line for machines.

use crate::failure::{Ending, Failure};
use crate::output::{harmless, is_quiet};
use crate::progress::Progress;
use anstyle::{AnsiColor, Style};
use anyhow::anyhow;
use clap::ValueEnum;
use compline_telemetry::Otlp;
use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The target of spans that say where an event belongs (run, shard, commit): a line of JSON has their ids, and a line for people
/// would be too long with them.
pub(crate) const SPANS: &str = "span";

/// How the first word of an error looks.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How the first word of a warning looks.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The variable that says the format where no argument does.
const FORMAT_VARIABLE: &str = "COMPLINE_LOG_FORMAT";

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line: timestamp, level, message, and as far as there are any run, aggregator, shard and further fields.
    Json,
}

/// The longest that the end of a program waits for the receiver of its spans.
const FINISH: Duration = Duration::from_secs(10);
const FINISH_STOPPED: Duration = Duration::from_secs(2);

/// A layer that filters, over the registry.
type LinesLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What the layer of OTLP stands on.
type Logged = Layered<LinesLayer, Registry>;

static RECEIVER: OnceLock<Otlp> = OnceLock::new();

static IS_JSON: AtomicBool = AtomicBool::new(false);

static HAS_OUTCOME: AtomicBool = AtomicBool::new(false);

/// The format that the variable asks for, if it is set.
///
/// # Errors
/// It is no format.
pub(crate) fn format_of_environment() -> Result<Option<LogFormat>, Failure> {
    let Some(value) = std::env::var_os(FORMAT_VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
    let format = value.to_str().and_then(|text| LogFormat::from_str(text, true).ok());
    let unknown = || anyhow!("{FORMAT_VARIABLE} = {value:?}: unknown value; allowed is text or json");
    format.map(Some).ok_or_else(|| Failure::Usage(unknown()))
}

/// Sets the format of all that is logged from now on.
pub(crate) fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Relaxed);
}

/// Whether the log is for machines.
pub(crate) fn is_json() -> bool {
    IS_JSON.load(Relaxed)
}

/// Logs what a command does that changes a lake or proves it, also by OTLP where the environment has a receiver. What the SDK warns of
/// is in the error when it matters, and its dumps are not for an operator.
pub(crate) fn log_work() -> Progress {
    let otlp = Otlp::of_environment();
    let progress = log("error,compline=info", otlp.as_ref().ok().and_then(Option::as_ref));
    match otlp {
        Ok(Some(otlp)) => drop(RECEIVER.set(otlp)),
        Ok(None) => {}
        // The reason would show the URL, which may have a key in it.
        Err(_) => tracing::warn!(
            "nothing is sent by OTLP: an OTEL_EXPORTER_OTLP_ variable has an endpoint that is no URL, or headers that are none"
        ),
    }
    progress
}

/// Logs on stderr alone, for commands that answer at once.
pub(crate) fn log_to_stderr(usual: &str) -> Progress {
    log(usual, None)
}

/// Logs on stderr, above the bars of the progress that it gives. `RUST_LOG` chooses what; `usual` is what it is otherwise.
fn log(usual: &str, otlp: Option<&Otlp>) -> Progress {
    let progress = match (is_quiet(), is_json()) {
        (true, _) => Progress::hidden(),
        (_, true) => Progress::in_lines(),
        _ => Progress::on_stderr(),
    };
    let usual = if is_quiet() { "error" } else { usual };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let writer = AboveBars(progress.bars());
    let lines: LinesLayer = if is_json() {
        let lines = tracing_subscriber::fmt::layer().fmt_fields(JsonFields).event_format(JsonLines);
        let filter = match format!("{SPANS}=info").parse() {
            Ok(spans) => filter.add_directive(spans),
            Err(_) => filter,
        };
        lines.log_internal_errors(false).with_writer(writer).with_filter(filter).boxed()
    } else {
        let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(has_colors());
        // It says on stderr that stderr cannot be written to, and panics at that.
        lines.log_internal_errors(false).with_writer(writer).with_filter(filter).boxed()
    };
    let receiver = otlp.and_then(|otlp| otlp.layer::<Logged>());
    let spans = Targets::new().with_target(SPANS, Level::INFO).with_target("compline", Level::INFO);
    let _ = tracing_subscriber::registry().with(lines).with(receiver.map(|layer| layer.with_filter(spans))).try_init();
    progress
}

/// The receiver of OTLP, if the environment has one.
pub(crate) fn receiver() -> Option<Otlp> {
    RECEIVER.get().cloned()
}

/// Sends what there still is to be sent: the end of a program. One that is stopped does not wait long for it.
pub(crate) async fn finish(is_stopped: bool) {
    let Some(otlp) = receiver() else { return };
    let limit = if is_stopped { FINISH_STOPPED } else { FINISH };
    let sent = tokio::time::timeout(limit, otlp.finish()).await;
    if let Err(error) = sent.unwrap_or_else(|_| Err(format!("it took more than {} s", limit.as_secs()))) {
        tracing::warn!(error, "not every span was sent by OTLP");
    }
}

/// Whether stderr shows colours: NO_COLOR, CLICOLOR_FORCE, TERM, a file.
fn has_colors() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Says on stderr why a command failed: its last line, and for people below it what it points at.
pub(crate) fn failed(message: &str, shown: Option<String>, exit_code: u8) {
    // Where stderr is closed there is nobody to tell.
    let _ = if is_json() {
        let more = Map::from_iter([("exit_code".to_owned(), exit_code.into())]);
        writeln!(io::stderr(), "{}", json_line(Level::ERROR, message, more))
    } else {
        match shown {
            Some(shown) => writeln!(anstream::stderr(), "{shown}"),
            None => writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {}", harmless(message)),
        }
    };
}

/// Warns on stderr of what the exit code does not tell, whatever is logged.
pub(crate) fn warned(message: &str) {
    let _ = if is_json() {
        writeln!(io::stderr(), "{}", json_line(Level::WARN, message, Map::new()))
    } else {
        writeln!(anstream::stderr(), "{WARNING}warning:{WARNING:#} {}", harmless(message))
    };
}

/// Logs what came of a command in one line, for machines; people have it on stdout.
pub(crate) fn outcome(command: &str, ending: Ending, outcome: &impl Serialize) {
    if !is_json() {
        return;
    }
    let (level, exit_code) = (if ending == Ending::Done { Level::INFO } else { Level::WARN }, ending.exit_code());
    let more = [
        ("command", command.into()),
        ("exit_code", exit_code.into()),
        ("outcome", serde_json::to_value(outcome).unwrap_or_default()),
    ];
    let more = more.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    HAS_OUTCOME.store(true, Relaxed);
    let _ = writeln!(io::stderr(), "{}", json_line(level, "outcome", more));
}

/// Whether a line for machines has said what came of the command.
pub(crate) fn has_outcome() -> bool {
    HAS_OUTCOME.load(Relaxed)
}

/// A line of the log in JSON, its usual fields first.
fn json_line(level: Level, message: &str, more: Map<String, Value>) -> String {
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let mut line = Line { timestamp, level: level.as_str(), message: message.to_owned(), more };
    // A field of such a name would be there twice.
    ["timestamp", "level", "message"].iter().for_each(|name| drop(line.more.remove(*name)));
    serde_json::to_string(&line).unwrap_or_default()
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'a str,
    message: String,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// Events as JSON: the fields of the spans that they are in and their own, side by side. The `id` of a span has the span's name.
struct JsonLines;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for JsonLines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut fields = Fields(Map::new());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let written = extensions.get::<FormattedFields<JsonFields>>().map_or("", |fields| fields.as_str());
            let of_span: Map<String, Value> = serde_json::from_str(written).unwrap_or_default();
            let named = |key: String| if key == "id" { span.name().to_owned() } else { key };
            // Names for OTLP alone have a dot.
            let own = of_span.into_iter().filter(|(key, _)| !key.contains('.'));
            fields.0.extend(own.map(|(key, value)| (named(key), value)));
        }
        event.record(&mut fields);
        let message = fields.0.remove("message");
        let message = message.as_ref().and_then(Value::as_str).unwrap_or_default();
        writeln!(writer, "{}", json_line(*event.metadata().level(), message, fields.0))
    }
}

/// The fields of a span as a JSON object, until an event is written that is in it.
struct JsonFields;

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> std::fmt::Result {
        let mut object = Fields(Map::new());
        fields.record(&mut object);
        write!(writer, "{}", Value::Object(object.0))
    }
}

/// Fields as JSON.
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}

/// Stderr, above the bars.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    /// A log that cannot be written, since its disk is full or its reader has gone, is no reason to end a run.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _ = self.0.suspend(|| io::stderr().write_all(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

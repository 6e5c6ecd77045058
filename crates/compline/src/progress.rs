//! How far a run is: a bar per aggregator on a terminal, plain lines otherwise.

use compline_model::AggregatorId;
use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Where progress is shown.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bars: MultiProgress,
    plain: bool,
}

/// The progress of one aggregator.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    plain: bool,
    rows: AtomicU64,
    pages: AtomicU64,
}

/// How many pages are read between two plain lines: some minutes of a slow night.
const PAGES_PER_LINE: u64 = 500;

impl Progress {
    /// Progress on stderr.
    fn on_stderr() -> Self {
        let plain = !io::stderr().is_terminal();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self { bars: MultiProgress::with_draw_target(target), plain }
    }

    /// Progress that is not shown.
    pub(crate) fn hidden() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), plain: false }
    }

    /// A bar over steps of one kind, shown on a terminal only.
    pub(crate) fn steps(&self, count: u64, what: &'static str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(count));
        bar.set_style(style("{prefix} {wide_bar} {pos}/{len} {msg}"));
        bar.set_prefix(what);
        bar
    }

    /// The progress of an aggregator.
    pub(crate) fn aggregator(&self, id: &AggregatorId) -> Bar {
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style("{prefix:12} {bar:20} {pos}/{len} shards  {msg}"));
        bar.set_prefix(id.to_string());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar { bar, plain: self.plain, rows: AtomicU64::new(0), pages: AtomicU64::new(0) }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants, each seen to work.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Bar {
    /// What is being done now.
    pub(crate) fn stage(&self, what: &'static str) {
        self.bar.set_message(what);
        tracing::debug!(stage = what);
    }

    /// How many shards there are.
    pub(crate) fn shards(&self, count: usize) {
        self.bar.set_length(count as u64);
        if self.plain {
            tracing::info!(shards = count, "planned");
        }
    }

    /// A page has come.
    pub(crate) fn page(&self, rows: usize) {
        let rows = self.rows.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        let pages = self.pages.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.set_message(format!("{} rows on {} pages", HumanCount(rows), HumanCount(pages)));
        if self.plain && pages.is_multiple_of(PAGES_PER_LINE) {
            tracing::info!(pages, rows, "reading");
        }
    }

    /// A shard is read whole.
    pub(crate) fn shard_done(&self) {
        self.bar.inc(1);
    }

    /// The aggregator is done.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Logs on stderr, above the bars of the progress that it gives. `RUST_LOG` chooses what; `usual` is what it is otherwise.
pub(crate) fn log_to_stderr(usual: &str) -> Progress {
    let progress = Progress::on_stderr();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        // It says on stderr that stderr cannot be written to, and panics at that.
        .log_internal_errors(false)
        .with_writer(AboveBars(progress.bars.clone()))
        .try_init();
    progress
}

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

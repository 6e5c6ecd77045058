//! How far a run is: a bar per aggregator on a terminal, plain lines otherwise.

use compline_fetcher::CallCounts;
use compline_model::{AggregatorId, Dataset};
use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    began: Instant,
}

/// How many pages are read between two plain lines: some minutes of a slow night.
const PAGES_PER_LINE: u64 = 500;

impl Progress {
    /// Progress on stderr.
    pub(crate) fn on_stderr() -> Self {
        if !io::stderr().is_terminal() {
            return Self::in_lines();
        }
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), plain: false }
    }

    /// Progress in lines of the log.
    pub(crate) fn in_lines() -> Self {
        Self { plain: true, ..Self::hidden() }
    }

    /// The bars, for what is written above them.
    pub(crate) fn bars(&self) -> MultiProgress {
        self.bars.clone()
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

    /// What is waited for, which its message names, shown on a terminal only.
    pub(crate) fn waiting(&self, prefix: impl Into<Cow<'static, str>>) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        // Cut where a terminal ends.
        bar.set_style(style("{prefix} {wide_msg}"));
        bar.set_prefix(prefix);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// The progress of an aggregator's dataset.
    pub(crate) fn aggregator(&self, id: &AggregatorId, dataset: &Dataset) -> Bar {
        let bar = self.waiting(named(id, dataset.name));
        Bar { bar, plain: self.plain, rows: AtomicU64::new(0), pages: AtomicU64::new(0), began: Instant::now() }
    }
}

/// An aggregator's dataset by its name, as people call it: packs were the first, and go without saying.
pub(crate) fn named(id: &impl Display, dataset: &str) -> String {
    if dataset == Dataset::PACKS.name { id.to_string() } else { format!("{id} ({dataset})") }
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
        self.bar.set_style(style("{prefix} {bar:10} {pos}/{len} shards, {eta} left  {wide_msg}"));
        if self.plain {
            tracing::info!(shards = count, "planned");
        }
    }

    /// A page has come, after so many calls.
    pub(crate) fn page(&self, rows: usize, counts: CallCounts) {
        let rows = self.rows.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        let pages = self.pages.fetch_add(1, Ordering::Relaxed) + 1;
        let CallCounts { calls, throttles, .. } = counts;
        let calls_per_second = calls as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!(
            "{} rows, {} pages, {calls_per_second:.1} calls/s, {} throttled",
            HumanCount(rows),
            HumanCount(pages),
            HumanCount(throttles)
        ));
        if self.plain && pages.is_multiple_of(PAGES_PER_LINE) {
            // By the shards that are read: of how many pages a shard has, nobody knows.
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let seconds_left = (done > 0).then(|| self.began.elapsed().as_secs() * all.saturating_sub(done) / done);
            let calls_per_second = format!("{calls_per_second:.1}");
            tracing::info!(pages, rows, calls_per_second, throttles, shards = done, of = all, seconds_left, "reading");
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

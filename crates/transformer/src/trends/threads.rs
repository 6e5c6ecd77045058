//! Which threads Polars computes on.

use polars_async::executor::ALLOW_RAYON_THREADS;

/// For as long as it lives, what this thread asks of Polars is computed on it, and not on the threads that Polars has.
pub(super) struct OnThisThread {
    before: bool,
}

impl OnThisThread {
    pub(super) fn begin() -> Self {
        Self { before: ALLOW_RAYON_THREADS.replace(false) }
    }
}

impl Drop for OnThisThread {
    fn drop(&mut self) {
        ALLOW_RAYON_THREADS.set(self.before);
    }
}

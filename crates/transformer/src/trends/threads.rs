//! Which threads Polars computes on.

use polars_async::executor::ALLOW_RAYON_THREADS;

/// For as long as it lives, what this thread asks of Polars is computed on it, and not on the threads that Polars has: on a pool of one that
/// Polars makes of the thread the first time, and that stays, so that it must not be a thread of another pool of Rayon's.
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

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::*;
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex};
    use std::thread::{self, ThreadId};

    /// The threads that Polars computes a few columns on.
    fn threads() -> HashSet<ThreadId> {
        let threads: Arc<Mutex<HashSet<ThreadId>>> = Arc::default();
        let column = |number: usize| {
            let noted = Arc::clone(&threads);
            let note = move |column: Column| {
                noted.lock().expect("no panic").insert(thread::current().id());
                Ok(column)
            };
            col("a").map(note, |_, field| Ok(field.clone())).alias(format!("{number}"))
        };
        let columns: Vec<Expr> = (0..8).map(column).collect();
        let frame = df!("a" => [1, 2, 3]).expect("a frame").lazy().select(columns).collect().expect("computed");
        assert_eq!(frame.width(), 8);
        let threads = threads.lock().expect("no panic");
        threads.clone()
    }

    #[test]
    fn polars_computes_on_this_thread_for_as_long_as_it_is_told_and_on_its_own_afterwards() {
        let this = HashSet::from([thread::current().id()]);
        assert!(threads().is_disjoint(&this));
        let guard = OnThisThread::begin();
        assert_eq!(threads(), this);
        drop(guard);
        assert!(threads().is_disjoint(&this));
        let panicked = std::panic::catch_unwind(|| {
            let _guard = OnThisThread::begin();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        assert!(threads().is_disjoint(&this));
    }
}

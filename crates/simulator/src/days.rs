//! The days that were asked for last, and what queries of each have found.

use crate::organization::Organization;
use crate::rows::{Day, Query};
use crate::rule_rows::RuleRows;
use compline_model::SnapshotDate;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many days are retained: the readers of one run ask for one day, and the demo goes on to the next.
const MAX_DAYS: usize = 2;

/// How many queries of a day are retained, so that not even a query for each account of a large organization fills the memory.
const MAX_QUERIES: usize = 100_000;

/// The days retained, the last one made first.
#[derive(Debug, Default)]
pub(crate) struct Days(Mutex<VecDeque<Arc<CachedDay>>>);

/// A day, and what queries of it have found.
#[derive(Debug)]
pub(crate) struct CachedDay {
    pub(crate) day: Day,
    packs: Queries<Vec<u32>>,
    rules: Queries<RuleRows>,
}

/// What queries have found: each is run once, whoever asks meanwhile.
#[derive(Debug)]
struct Queries<T>(Mutex<HashMap<Query, Arc<OnceLock<Arc<T>>>>>);

impl Days {
    /// A day, made now if it is not retained.
    pub(crate) fn get(&self, organization: &Organization, date: SnapshotDate) -> Arc<CachedDay> {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = days.iter().find(|cached| cached.day.date == date) {
            return Arc::clone(cached);
        }
        days.truncate(MAX_DAYS - 1);
        let day = Day::new(organization, date);
        let cached = Arc::new(CachedDay { day, packs: Queries::default(), rules: Queries::default() });
        days.push_front(Arc::clone(&cached));
        cached
    }

    /// Whether no day was made yet.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().expect("the days").is_empty()
    }
}

impl CachedDay {
    /// The positions of a query's packs among the day's rows.
    pub(crate) fn packs(&self, organization: &Organization, query: &Query, covered: Range<u32>) -> Arc<Vec<u32>> {
        self.packs.get(query, || self.day.scan(organization, query, covered))
    }

    /// Where the rules of a query are.
    pub(crate) fn rules(&self, organization: &Organization, query: &Query, covered: Range<u32>) -> Arc<RuleRows> {
        self.rules.get(query, || RuleRows::new(organization, &self.day, query, covered))
    }
}

impl<T> Queries<T> {
    /// What was found for a query, found now if it is not retained. Other queries need not wait for that.
    fn get(&self, query: &Query, find: impl FnOnce() -> T) -> Arc<T> {
        let found = self.entry(query);
        Arc::clone(found.get_or_init(|| Arc::new(find())))
    }

    fn entry(&self, query: &Query) -> Arc<OnceLock<Arc<T>>> {
        let mut queries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = queries.get(query) {
            return Arc::clone(found);
        }
        if queries.len() >= MAX_QUERIES {
            queries.clear();
        }
        Arc::clone(queries.entry(query.clone()).or_default())
    }
}

impl<T> Default for Queries<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    fn query(name: &str) -> Query {
        let name = Some(name.to_owned());
        Query { aggregator: "org-aggregator", account_id: None, region: None, name, kind: None, without_results: true }
    }

    #[test]
    fn a_query_does_not_wait_for_another() {
        let queries = Arc::new(Queries::default());
        let (begun, has_begun) = mpsc::channel();
        let (other_found, other) = mpsc::channel();
        let slow = std::thread::spawn({
            let queries = Arc::clone(&queries);
            move || {
                queries.get(&query("slow"), || {
                    begun.send(()).expect("the test");
                    other.recv_timeout(Duration::from_secs(10)).expect("the other query, while this one is run")
                })
            }
        });
        has_begun.recv().expect("the slow query");
        assert_eq!(*queries.get(&query("other"), || 1), 1);
        other_found.send(2).expect("the slow query");
        assert_eq!(*slow.join().expect("the slow query"), 2);
    }

    #[test]
    fn a_query_that_many_ask_at_once_is_run_once() {
        let (queries, runs) = (Queries::default(), AtomicUsize::new(0));
        let find = || {
            std::thread::sleep(Duration::from_millis(20));
            runs.fetch_add(1, Ordering::Relaxed)
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(*queries.get(&query("the same"), find), 0));
            }
        });
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }
}

//! What is counted. Workers count on their own; `/metrics` adds up.

use crate::{flags::Flags, pool::PoolGauges};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Counters that outlive tables.
#[derive(Debug)]
pub(crate) struct Metrics {
    workers: Vec<Mutex<Counts>>,
    rules: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    pub(crate) pool: Arc<PoolGauges>,
    pub(crate) reloads: AtomicU64,
    pub(crate) reload_failures: AtomicU64,
    pub(crate) refused_connections: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) copies: AtomicU64,
    pub(crate) copies_left_out: AtomicU64,
    pub(crate) panics: AtomicU64,
}

/// What one worker counted, or the sum over all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: BTreeMap<RequestKey, u64>,
    /// By listener.
    pub(crate) durations: BTreeMap<u32, Histogram>,
}

/// Requests alike for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestKey {
    /// The listener's id.
    pub(crate) listener: u32,
    pub(crate) code: u16,
    pub(crate) flags: Flags,
}

/// Upper bounds of the buckets, in milliseconds.
pub(crate) const BUCKETS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// Durations, in buckets that do not include each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    pub(crate) buckets: [u64; BUCKETS.len()],
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let bucket = BUCKETS.iter().position(|&bound| duration <= Duration::from_millis(bound));
        if let Some(count) = bucket.and_then(|bucket| self.buckets.get_mut(bucket)) {
            *count += 1;
        }
        self.count += 1;
        self.sum += duration;
    }

    fn merge(&mut self, other: &Histogram) {
        for (sum, count) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += count;
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

impl Metrics {
    pub(crate) fn new(workers: usize) -> Self {
        Metrics {
            workers: (0..workers).map(|_| Mutex::default()).collect(),
            rules: Mutex::default(),
            pool: Arc::default(),
            reloads: AtomicU64::new(0),
            reload_failures: AtomicU64::new(0),
            refused_connections: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            copies_left_out: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// One request has ended.
    pub(crate) fn count(&self, worker: usize, key: RequestKey, duration: Duration) {
        let Some(counts) = self.workers.get(worker) else { return };
        let mut counts = lock(counts);
        *counts.requests.entry(key).or_default() += 1;
        counts.durations.entry(key.listener).or_default().add(duration);
    }

    /// The sum over all workers.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for counts in &self.workers {
            let counts = lock(counts);
            for (&key, count) in &counts.requests {
                *sum.requests.entry(key).or_default() += count;
            }
            for (&listener, durations) in &counts.durations {
                sum.durations.entry(listener).or_default().merge(durations);
            }
        }
        sum
    }

    /// The counters of these rules, by their keys: the same from one table to the next. Counters of rules that are gone
    /// are forgotten.
    pub(crate) fn rule_counters(&self, keys: impl Iterator<Item = String>) -> HashMap<String, Arc<AtomicU64>> {
        let mut rules = lock(&self.rules);
        let counters: HashMap<String, Arc<AtomicU64>> = keys
            .map(|key| {
                let counter = rules.get(&key).cloned().unwrap_or_default();
                (key, counter)
            })
            .collect();
        *rules = counters.iter().map(|(key, counter)| (key.clone(), Arc::clone(counter))).collect();
        counters
    }

    /// Requests taken by each rule of the running table, in order of their keys.
    pub(crate) fn rule_hits(&self) -> Vec<(String, u64)> {
        lock(&self.rules).iter().map(|(key, hits)| (key.clone(), hits.load(Ordering::Relaxed))).collect()
    }
}

/// Counters and documents stay usable when a thread that held them panicked: each change is whole in itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let metrics = Metrics::new(2);
        let key = RequestKey { listener: 1, code: 200, flags: Flags::default() };
        metrics.count(0, key, Duration::from_micros(700));
        metrics.count(1, key, Duration::from_millis(30));
        metrics.count(1, key, Duration::from_mins(1));
        let counts = metrics.counts();
        assert_eq!(counts.requests[&key], 3);
        assert_eq!(counts.durations[&1].buckets[..6], [1, 0, 0, 0, 0, 1]);
        assert_eq!(counts.durations[&1].count, 3);
    }

    #[test]
    fn a_rule_that_stays_keeps_its_counter() {
        let metrics = Metrics::new(1);
        let first = metrics.rule_counters(["a", "b"].map(String::from).into_iter());
        first["a"].fetch_add(2, Ordering::Relaxed);
        let second = metrics.rule_counters(["a", "c"].map(String::from).into_iter());
        second["a"].fetch_add(1, Ordering::Relaxed);
        assert_eq!(metrics.rule_hits(), [("a".to_owned(), 3), ("c".to_owned(), 0)]);
    }
}

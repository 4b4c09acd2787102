//! What is counted. Workers count on their own; `/metrics` adds up.

use crate::{flags::Flags, histogram::Histogram, parties::Parties, pool::PoolGauges};
use foldhash::HashMap;
use std::{
    collections::BTreeMap,
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
    pub(crate) parties: Parties,
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
    pub(crate) requests: HashMap<RequestKey, Tally>,
    /// By listener, in seconds.
    pub(crate) durations: BTreeMap<u32, Histogram<{ SECONDS.len() }>>,
    /// Connections of plain bytes.
    pub(crate) tcp: HashMap<TcpKey, TcpTally>,
}

/// Connections of plain bytes that are alike for counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TcpKey {
    /// The number of the proxy that executes; see [`Parties`].
    pub(crate) source: u32,
    /// The number of where it went.
    pub(crate) destination: u32,
    pub(crate) flags: Flags,
}

/// Connections of one key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TcpTally {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    /// Bytes from clients.
    pub(crate) received: u64,
    /// Bytes to clients.
    pub(crate) sent: u64,
}

impl TcpTally {
    /// More bytes have passed.
    pub(crate) fn add(&mut self, received: u64, sent: u64) {
        self.received += received;
        self.sent += sent;
    }
}

/// Requests alike for counting. All of it is of few values: nothing that a client writes makes a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestKey {
    /// The listener's id.
    pub(crate) listener: u32,
    /// The number of the proxy that executes; see [`Parties`].
    pub(crate) source: u32,
    /// The number of where it went.
    pub(crate) destination: u32,
    /// The number of its cluster.
    pub(crate) cluster: u32,
    /// 0 where no answer was sent.
    pub(crate) code: u16,
    pub(crate) flags: Flags,
    pub(crate) protocol: Protocol,
}

/// What a request speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Protocol {
    #[default]
    Http,
    /// With the status that answered it, where one of gRPC's did.
    Grpc(Option<u8>),
}

/// Requests of one key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    /// In milliseconds.
    pub(crate) duration: Histogram<{ ISTIO.len() }>,
    /// Bytes of bodies.
    pub(crate) received: Histogram<{ ISTIO.len() }>,
    /// Bytes of bodies.
    pub(crate) sent: Histogram<{ ISTIO.len() }>,
}

/// Upper bounds of the buckets of `malha_request_duration_seconds`.
pub(crate) const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds of the buckets of Istio's histograms, of milliseconds and of bytes alike.
pub(crate) const ISTIO: [f64; 19] =
    [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6];

/// How long and how large a request was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measures {
    pub(crate) duration: Duration,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Tally {
    fn add(&mut self, measures: Measures) {
        #[allow(clippy::cast_precision_loss, reason = "a sum of bytes beyond 2^53 may be off by one")]
        let bytes = |count: u64| count as f64;
        self.count += 1;
        self.duration.add(&ISTIO, measures.duration.as_secs_f64() * 1e3);
        self.received.add(&ISTIO, bytes(measures.received));
        self.sent.add(&ISTIO, bytes(measures.sent));
    }

    /// Adds what another has counted.
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.count += other.count;
        self.duration.merge(&other.duration);
        self.received.merge(&other.received);
        self.sent.merge(&other.sent);
    }
}

impl Metrics {
    pub(crate) fn new(workers: usize) -> Self {
        Metrics {
            workers: (0..workers).map(|_| Mutex::default()).collect(),
            rules: Mutex::default(),
            parties: Parties::default(),
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
    pub(crate) fn count(&self, worker: usize, key: RequestKey, measures: Measures) {
        let Some(counts) = self.workers.get(worker) else { return };
        let mut counts = lock(counts);
        counts.requests.entry(key).or_default().add(measures);
        counts.durations.entry(key.listener).or_default().add(&SECONDS, measures.duration.as_secs_f64());
    }

    /// Something has happened to a connection of plain bytes.
    pub(crate) fn count_tcp(&self, worker: usize, key: TcpKey, change: impl FnOnce(&mut TcpTally)) {
        let Some(counts) = self.workers.get(worker) else { return };
        change(lock(counts).tcp.entry(key).or_default());
    }

    /// The sum over all workers.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for counts in &self.workers {
            let counts = lock(counts);
            for (&key, tally) in &counts.requests {
                sum.requests.entry(key).or_default().merge(tally);
            }
            for (&listener, durations) in &counts.durations {
                sum.durations.entry(listener).or_default().merge(durations);
            }
            for (&key, tally) in &counts.tcp {
                let sum = sum.tcp.entry(key).or_default();
                sum.opened += tally.opened;
                sum.closed += tally.closed;
                sum.received += tally.received;
                sum.sent += tally.sent;
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
        let (flags, protocol) = (Flags::default(), Protocol::default());
        let key = RequestKey { listener: 1, source: 0, destination: 0, cluster: 0, code: 200, flags, protocol };
        let of = |duration| Measures { duration, received: 0, sent: 12 };
        metrics.count(0, key, of(Duration::from_micros(700)));
        metrics.count(1, key, of(Duration::from_millis(30)));
        metrics.count(1, key, of(Duration::from_mins(1)));
        let counts = metrics.counts();
        let tally = &counts.requests[&key];
        assert_eq!(tally.count, 3);
        assert_eq!(tally.duration.buckets[..6], [0, 1, 0, 0, 0, 1]);
        assert_eq!(tally.duration.buckets[14], 1);
        assert_eq!((tally.received.buckets[0], tally.sent.buckets[4]), (3, 3));
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

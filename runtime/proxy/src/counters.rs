//! What is counted of a cluster over all workers, beside what its requests' tallies say.

use crate::{pool::NoConnection, retry::Failure};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// By the names that Envoy has for them. They are kept from one table to the next.
#[derive(Debug, Default)]
pub(crate) struct ClusterCounters {
    /// Tries that were begun.
    pub(crate) tries: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) retry_limits: AtomicU64,
    pub(crate) retry_overflows: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) try_timeouts: AtomicU64,
    pub(crate) overflows: AtomicU64,
    /// Tries that found no connection since none could be opened.
    pub(crate) unconnected: AtomicU64,
    pub(crate) remote_resets: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connect_failures: AtomicU64,
    pub(crate) connect_timeouts: AtomicU64,
    /// Times that no endpoint could be chosen.
    pub(crate) none_healthy: AtomicU64,
    pub(crate) updates: Updates,
}

/// Those of the clusters that no table has, by Istio's names; they live as long as the process.
#[derive(Debug, Default)]
pub(crate) struct OutsideCounters {
    /// Of what is let go to hosts that the mesh does not know.
    pub(crate) passthrough: Arc<ClusterCounters>,
    /// Of what is let go there by its Host alone.
    pub(crate) by_host: Arc<ClusterCounters>,
    /// Of connections that are refused since the mesh does not know where they were meant to go.
    pub(crate) black_hole: ClusterCounters,
}

/// Look-ups of the names that its endpoints are found by.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    pub(crate) attempts: AtomicU64,
    pub(crate) successes: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Successes that changed nothing.
    pub(crate) unchanged: AtomicU64,
}

impl Updates {
    /// Everything, by Envoy's names.
    pub(crate) fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("update_attempt", &self.attempts),
            ("update_failure", &self.failures),
            ("update_no_rebuild", &self.unchanged),
            ("update_success", &self.successes),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl ClusterCounters {
    /// A try came to nothing.
    pub(crate) fn failed(&self, failure: Failure) {
        match failure {
            Failure::Overflow => count(&self.overflows),
            Failure::Connect | Failure::ConnectTimeout => count(&self.unconnected),
            Failure::RemoteReset | Failure::Refused => count(&self.remote_resets),
            Failure::PerTryTimeout => count(&self.try_timeouts),
            Failure::ResetBeforeRequest
            | Failure::Reset
            | Failure::Protocol
            | Failure::Unspeakable
            | Failure::OwnAddress => {}
        }
    }

    /// A connection could not be opened.
    pub(crate) fn not_connected(&self, reason: &NoConnection) {
        count(&self.connect_failures);
        if *reason == NoConnection::TimedOut {
            count(&self.connect_timeouts);
        }
    }

    /// Everything, by Envoy's names.
    pub(crate) fn named(&self) -> [(&'static str, u64); 13] {
        [
            ("upstream_cx_connect_fail", &self.connect_failures),
            ("upstream_cx_connect_timeout", &self.connect_timeouts),
            ("upstream_cx_none_healthy", &self.none_healthy),
            ("upstream_cx_total", &self.connects),
            ("upstream_rq_pending_failure_eject", &self.unconnected),
            ("upstream_rq_pending_overflow", &self.overflows),
            ("upstream_rq_per_try_timeout", &self.try_timeouts),
            ("upstream_rq_retry", &self.retries),
            ("upstream_rq_retry_limit_exceeded", &self.retry_limits),
            ("upstream_rq_retry_overflow", &self.retry_overflows),
            ("upstream_rq_rx_reset", &self.remote_resets),
            ("upstream_rq_timeout", &self.timeouts),
            ("upstream_rq_total", &self.tries),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

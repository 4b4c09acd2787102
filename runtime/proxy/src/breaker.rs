//! Circuit breakers: how much a cluster may use at once, over all workers (semantics D.6).

use malha_table::view::Cluster;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Connections, those that are being opened included.
    Connections,
    /// Requests that wait for a connection.
    Pending,
    /// Requests that have one.
    Requests,
    /// Requests that are being tried again.
    Retries,
}

impl Resource {
    const ALL: [Resource; 4] = [Resource::Connections, Resource::Pending, Resource::Requests, Resource::Retries];

    /// For counters.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Resource::Connections => "connections",
            Resource::Pending => "pending",
            Resource::Requests => "requests",
            Resource::Retries => "retries",
        }
    }

    /// In Envoy's statistics: what is in use, and whether the limit is reached.
    pub(crate) fn envoy_names(self) -> (Option<&'static str>, &'static str) {
        match self {
            Resource::Connections => (Some("upstream_cx_active"), "cx_open"),
            Resource::Pending => (Some("upstream_rq_pending_active"), "rq_pending_open"),
            Resource::Requests => (Some("upstream_rq_active"), "rq_open"),
            Resource::Retries => (None, "rq_retry_open"),
        }
    }

    /// The limit's name in a table.
    fn limit(self) -> &'static str {
        match self {
            Resource::Connections => "maxConnections",
            Resource::Pending => "http1MaxPendingRequests",
            Resource::Requests => "http2MaxRequests",
            Resource::Retries => "maxRetries",
        }
    }
}

/// The limits of one cluster, and what of them is used. The use is kept from one table to the next.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    limits: [u32; 4],
    used: Arc<[AtomicU32; 4]>,
}

/// Something that is used until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    used: Arc<[AtomicU32; 4]>,
    resource: Resource,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.used[self.resource as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Breaker {
    /// Use is counted without a limit, too: there may be one later, and what is in use then counts.
    pub(crate) fn of(cluster: &Cluster<'_>, before: Option<&Breaker>) -> Breaker {
        Breaker {
            limits: Resource::ALL.map(|resource| cluster.limit(resource.limit()).unwrap_or(u32::MAX)),
            used: before.map_or_else(Arc::default, |before| Arc::clone(&before.used)),
        }
    }

    /// Without limits.
    pub(crate) fn unlimited() -> Breaker {
        Breaker { limits: [u32::MAX; 4], used: Arc::default() }
    }

    /// With a limit for connections alone.
    #[cfg(test)]
    pub(crate) fn of_connections(most: u32) -> Breaker {
        Breaker { limits: [most, u32::MAX, u32::MAX, u32::MAX], used: Arc::default() }
    }

    /// How much of a resource is used.
    #[cfg(test)]
    pub(crate) fn used(&self, resource: Resource) -> u32 {
        self.used[resource as usize].load(Ordering::Relaxed)
    }

    /// Uses one more, if the limit allows it.
    pub(crate) fn hold(&self, resource: Resource) -> Option<Held> {
        let most = self.limits[resource as usize];
        let one_more = |used: u32| (used < most).then_some(used + 1);
        let used = &self.used[resource as usize];
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Held { used: Arc::clone(&self.used), resource })
    }

    /// What of each resource that has a limit is used, and the limit.
    pub(crate) fn usage(&self) -> impl Iterator<Item = (Resource, u32, u32)> {
        self.all().filter(|(_, _, limit)| *limit != u32::MAX)
    }

    /// The same of all resources; those without a limit have the largest.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Resource, u32, u32)> {
        let used = |resource| self.used[resource as usize].load(Ordering::Relaxed);
        Resource::ALL.into_iter().zip(self.limits).map(move |(resource, limit)| (resource, used(resource), limit))
    }

    /// Uses one more, whatever the limit says.
    pub(crate) fn hold_anyway(&self, resource: Resource) -> Held {
        self.used[resource as usize].fetch_add(1, Ordering::Relaxed);
        Held { used: Arc::clone(&self.used), resource }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_free_again() {
        let breaker = Breaker { limits: [1, 2, u32::MAX, 0], used: Arc::default() };
        let first = breaker.hold(Resource::Connections);
        assert!(first.is_some() && breaker.hold(Resource::Connections).is_none());
        let anyway = breaker.hold_anyway(Resource::Connections);
        drop(first);
        assert!(breaker.hold(Resource::Connections).is_none(), "one is still held");
        drop(anyway);
        assert!(breaker.hold(Resource::Connections).is_some());
        assert!(breaker.hold(Resource::Requests).is_some() && breaker.hold(Resource::Retries).is_none());
    }
}

//! Circuit breakers: how much a cluster may use at once, over all workers (semantics D.6).

use malha_table::view::Cluster;
use serde_json::Value;
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

/// How many retries there may be at once beside the requests there are: `retryBudget` (semantics D.6).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Budget {
    /// Of the requests that are under way or wait.
    percent: f64,
    /// So many in any case.
    least: u32,
}

impl Budget {
    fn of(policy: &Value) -> Option<Self> {
        let written = policy.get("retryBudget")?;
        let percent = written.get("percent").and_then(Value::as_f64).filter(|percent| *percent >= 0.0);
        let least = written.get("minRetryConcurrency").and_then(Value::as_u64);
        Some(Budget {
            percent: percent.unwrap_or(20.0),
            least: least.map_or(3, |least| u32::try_from(least).unwrap_or(u32::MAX)),
        })
    }

    #[expect(clippy::cast_sign_loss, reason = "no share is below nothing")]
    fn most(self, requests: u32) -> u32 {
        ((f64::from(requests) * self.percent / 100.0) as u32).max(self.least)
    }
}

/// The limits of one cluster, and what of them is used. The use is kept from one table to the next.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    limits: [u32; 4],
    /// Instead of the limit of retries.
    budget: Option<Budget>,
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
    pub(crate) fn of(cluster: &Cluster<'_>, policy: &Value, before: Option<&Breaker>) -> Breaker {
        Breaker {
            limits: Resource::ALL.map(|resource| cluster.limit(resource.limit()).unwrap_or(u32::MAX)),
            budget: Budget::of(policy),
            used: before.map_or_else(Arc::default, |before| Arc::clone(&before.used)),
        }
    }

    /// Without limits.
    pub(crate) fn unlimited() -> Breaker {
        Breaker { limits: [u32::MAX; 4], budget: None, used: Arc::default() }
    }

    /// With a limit for connections alone.
    #[cfg(test)]
    pub(crate) fn of_connections(most: u32) -> Breaker {
        Breaker { limits: [most, u32::MAX, u32::MAX, u32::MAX], ..Breaker::unlimited() }
    }

    /// How much of a resource is used.
    #[cfg(test)]
    pub(crate) fn used(&self, resource: Resource) -> u32 {
        self.used[resource as usize].load(Ordering::Relaxed)
    }

    /// Uses one more, if the limit allows it.
    pub(crate) fn hold(&self, resource: Resource) -> Option<Held> {
        let most = self.limit(resource);
        let one_more = |used: u32| (used < most).then_some(used + 1);
        let used = &self.used[resource as usize];
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Held { used: Arc::clone(&self.used), resource })
    }

    fn limit(&self, resource: Resource) -> u32 {
        match self.budget {
            Some(budget) if resource == Resource::Retries => {
                let [requests, waiting] = [Resource::Requests, Resource::Pending]
                    .map(|resource| self.used[resource as usize].load(Ordering::Relaxed));
                budget.most(requests.saturating_add(waiting))
            }
            _ => self.limits[resource as usize],
        }
    }

    /// What of each resource that has a limit is used, and the limit.
    pub(crate) fn usage(&self) -> impl Iterator<Item = (Resource, u32, u32)> {
        self.all().filter(|(_, _, limit)| *limit != u32::MAX)
    }

    /// The same of all resources; those without a limit have the largest.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Resource, u32, u32)> {
        let used = |resource| self.used[resource as usize].load(Ordering::Relaxed);
        Resource::ALL.into_iter().map(move |resource| (resource, used(resource), self.limit(resource)))
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
    use serde_json::json;

    #[test]
    fn what_is_dropped_is_free_again() {
        let breaker = Breaker { limits: [1, 2, u32::MAX, 0], ..Breaker::unlimited() };
        let first = breaker.hold(Resource::Connections);
        assert!(first.is_some() && breaker.hold(Resource::Connections).is_none());
        let anyway = breaker.hold_anyway(Resource::Connections);
        drop(first);
        assert!(breaker.hold(Resource::Connections).is_none(), "one is still held");
        drop(anyway);
        assert!(breaker.hold(Resource::Connections).is_some());
        assert!(breaker.hold(Resource::Requests).is_some() && breaker.hold(Resource::Retries).is_none());
    }

    #[test]
    fn a_budget_is_a_share_of_the_requests_there_are() {
        let of = |budget: Value| Budget::of(&json!({"retryBudget": budget}));
        assert_eq!(of(json!({})), Some(Budget { percent: 20.0, least: 3 }));
        assert_eq!(Budget::of(&Value::Null), None);
        let budget = of(json!({"percent": 50.0, "minRetryConcurrency": 1}));
        let breaker = Breaker { limits: [u32::MAX, u32::MAX, u32::MAX, 0], budget, used: Arc::default() };
        let first = breaker.hold(Resource::Retries);
        assert!(first.is_some() && breaker.hold(Resource::Retries).is_none(), "the least, whatever the limit says");
        let _requests: Vec<_> = (0..3).map(|_| breaker.hold(Resource::Requests)).collect();
        assert!(breaker.hold(Resource::Retries).is_none(), "half of three is one");
        let _waiting = breaker.hold(Resource::Pending);
        assert!(breaker.hold(Resource::Retries).is_some(), "half of four is two");
    }
}

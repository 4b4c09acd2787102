//! A cluster at run time: its settings as a table gives them, and what is known of its endpoints.

use crate::{
    balance::{Algorithm, Candidate},
    breaker::Breaker,
    counters::ClusterCounters,
    hashing::Places,
    outlier::{self, Detection, Health, Outcome},
    parties::{self, Parties},
    pool::EndpointAddress,
    time::written_duration,
    tls::{Credentials, UpstreamTls},
};
use malha_table::view::{Cluster, Discovery, LoadBalancer};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use xxhash_rust::xxh64::xxh64;

/// What a proxy knows of a cluster at run time.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) name: Arc<str>,
    /// Its number as a destination, for counting.
    pub(crate) destination: u32,
    /// Its number as a cluster, for counting.
    pub(crate) number: u32,
    pub(crate) counters: Arc<ClusterCounters>,
    pub(crate) discovery: Discovery,
    pub(crate) algorithm: Algorithm,
    load_balancer: LoadBalancer,
    pub(crate) connect_timeout: Duration,
    pub(crate) terms: ConnectionTerms,
    /// None: its endpoints are spoken to without TLS.
    pub(crate) tls: Option<Result<UpstreamTls, String>>,
    pub(crate) breaker: Breaker,
    /// None: endpoints are used whatever they answer.
    pub(crate) detection: Option<Detection>,
    /// From when the times of its endpoints' ejections count.
    epoch: Instant,
    pub(crate) endpoints: Vec<Arc<EndpointState>>,
    /// Where hashes lead; none: endpoints are chosen otherwise.
    pub(crate) places: Option<Arc<Places>>,
    /// Round robin's place.
    turn: Arc<AtomicU64>,
}

/// What of its surroundings a cluster's state is made from.
pub(crate) struct Around<'a> {
    pub(crate) parties: &'a Parties,
    pub(crate) credentials: &'a Credentials,
    /// That of the proxy whose cluster it is, or of the first of several.
    pub(crate) namespace: &'a str,
}

/// What a cluster says of its connections, as far as one that is open must agree with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionTerms {
    /// None: the proxy's own limit.
    pub(crate) idle_timeout: Option<Duration>,
    /// Requests that one connection takes; none: any number.
    pub(crate) requests: Option<u32>,
    /// Whether HTTP/2 is spoken (semantics D37).
    pub(crate) is_http2: bool,
    /// A hash of the settings as they are written; 0 for none.
    written: u64,
}

impl ConnectionTerms {
    fn of(cluster: &Cluster<'_>, policy: &Value) -> Self {
        let written: Vec<&Value> = ["connectionPool", "tls"].iter().filter_map(|block| policy.get(block)).collect();
        ConnectionTerms {
            idle_timeout: idle_timeout(policy),
            requests: cluster.limit("maxRequestsPerConnection"),
            is_http2: cluster.is_http2(),
            written: if written.is_empty() { 0 } else { xxh64(format!("{written:?}").as_bytes(), 0) },
        }
    }
}

/// What a proxy knows of an endpoint at run time.
#[derive(Debug)]
pub(crate) struct EndpointState {
    pub(crate) address: EndpointAddress,
    weight: u32,
    /// Requests in flight.
    pub(crate) active: AtomicU32,
    /// Its number as a destination, for counting.
    pub(crate) destination: AtomicU32,
    pub(crate) health: Health,
}

impl EndpointState {
    fn new(address: EndpointAddress, weight: u32) -> Self {
        EndpointState {
            address,
            weight,
            active: AtomicU32::new(0),
            destination: AtomicU32::new(0),
            health: Health::default(),
        }
    }
}

impl Candidate for Arc<EndpointState> {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }
}

impl ClusterState {
    /// As a table says; what is known of it from the table before goes on.
    pub(crate) fn new(cluster: &Cluster<'_>, before: Option<&Arc<ClusterState>>, around: &Around<'_>) -> Self {
        let endpoints = cluster.endpoints().filter_map(|endpoint| {
            let address = EndpointAddress {
                host: endpoint.address()?.into(),
                port: u16::try_from(endpoint.port()).ok().filter(|&port| port != 0)?,
            };
            let weight = endpoint.weight();
            let same = |known: &&Arc<EndpointState>| known.address == address && known.weight == weight;
            let known = before.and_then(|before| before.endpoints.iter().find(same));
            let state = known.cloned().unwrap_or_else(|| Arc::new(EndpointState::new(address, weight)));
            state.destination.store(around.parties.endpoint(cluster, &endpoint), Ordering::Relaxed);
            Some(state)
        });
        let endpoints: Vec<Arc<EndpointState>> = endpoints.collect();
        let policy = cluster.policy_json().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        ClusterState {
            name: cluster.name().into(),
            destination: around.parties.cluster(cluster),
            number: around.parties.cluster_name(cluster.name()),
            counters: before.map_or_else(Arc::default, |before| Arc::clone(&before.counters)),
            discovery: cluster.discovery(),
            algorithm: match cluster.load_balancer() {
                LoadBalancer::RoundRobin => Algorithm::RoundRobin,
                LoadBalancer::Random => Algorithm::Random,
                _ => Algorithm::LeastRequest,
            },
            load_balancer: cluster.load_balancer(),
            connect_timeout: cluster.connect_timeout().unwrap_or(Duration::from_secs(10)),
            tls: UpstreamTls::of(&policy, around.namespace, cluster.is_http2(), around.credentials),
            terms: ConnectionTerms::of(cluster, &policy),
            breaker: Breaker::of(cluster, before.map(|before| &before.breaker)),
            detection: Detection::of(&policy),
            epoch: before.map_or_else(Instant::now, |before| before.epoch),
            places: places(cluster, &endpoints, before),
            endpoints,
            turn: before.map_or_else(Arc::default, |before| Arc::clone(&before.turn)),
        }
    }

    /// A cluster of one endpoint that no table has.
    pub(crate) fn of_one(
        name: &str,
        address: EndpointAddress,
        algorithm: Algorithm,
        connect_timeout: Duration,
    ) -> Self {
        ClusterState {
            name: name.into(),
            destination: parties::PASSTHROUGH,
            number: parties::PASSTHROUGH_CLUSTER,
            counters: Arc::default(),
            discovery: Discovery::Eds,
            algorithm,
            load_balancer: LoadBalancer::default(),
            connect_timeout,
            tls: None,
            terms: ConnectionTerms::default(),
            breaker: Breaker::unlimited(),
            detection: None,
            places: None,
            epoch: Instant::now(),
            endpoints: vec![Arc::new(EndpointState::new(address, 1))],
            turn: Arc::default(),
        }
    }

    /// This cluster, with the one endpoint that a client chose. Its limits are those of all such requests together; nothing
    /// is ejected, since there is no other to take instead.
    pub(crate) fn at(&self, address: EndpointAddress) -> Self {
        ClusterState {
            name: Arc::clone(&self.name),
            destination: self.destination,
            number: self.number,
            counters: Arc::clone(&self.counters),
            discovery: self.discovery,
            algorithm: self.algorithm,
            load_balancer: self.load_balancer,
            connect_timeout: self.connect_timeout,
            tls: self.tls.clone(),
            terms: self.terms,
            breaker: self.breaker.clone(),
            detection: None,
            epoch: self.epoch,
            endpoints: vec![Arc::new(EndpointState::new(address, 1))],
            places: None,
            turn: Arc::clone(&self.turn),
        }
    }

    /// Which endpoints are left out now, by index; none: all are used.
    pub(crate) fn left_out(&self) -> Option<Vec<bool>> {
        let detection = self.detection.as_ref()?;
        let now = outlier::since(self.epoch);
        let ejected = || self.endpoints.iter().map(|endpoint| endpoint.health.is_ejected(now));
        let healthy = ejected().filter(|is_ejected| !is_ejected).count();
        let some_are_out = healthy < self.endpoints.len() && detection.is_in_force(healthy, self.endpoints.len());
        some_are_out.then(|| ejected().collect())
    }

    /// The endpoints to choose from, where some are left out; none: all of them.
    pub(crate) fn healthy(&self) -> Option<Vec<Arc<EndpointState>>> {
        let left_out = self.left_out()?;
        let healthy = self.endpoints.iter().zip(left_out).filter(|(_, is_out)| !is_out);
        Some(healthy.map(|(endpoint, _)| Arc::clone(endpoint)).collect())
    }

    /// Whether an endpoint is ejected now.
    pub(crate) fn is_ejected(&self, endpoint: &EndpointState) -> bool {
        self.detection.is_some() && endpoint.health.is_ejected(outlier::since(self.epoch))
    }

    /// Counts what a try at an endpoint came to, and ejects it if that is too much.
    pub(crate) fn observe(&self, endpoint: &EndpointState, outcome: Outcome) {
        let Some(detection) = &self.detection else { return };
        let now = outlier::since(self.epoch);
        if endpoint.health.count(detection, now, outcome) {
            let ejected = self.endpoints.iter().filter(|other| other.health.is_ejected(now)).count();
            endpoint.health.eject(detection, now, ejected, self.endpoints.len());
        }
    }

    /// Round robin's next turn.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// Where the hashes of a cluster lead; as before, where nothing of it changed.
fn places(
    cluster: &Cluster<'_>,
    endpoints: &[Arc<EndpointState>],
    before: Option<&Arc<ClusterState>>,
) -> Option<Arc<Places>> {
    let load_balancer = cluster.load_balancer();
    if !matches!(load_balancer, LoadBalancer::RingHash { .. } | LoadBalancer::Maglev { .. }) {
        return None;
    }
    let same = |before: &&Arc<ClusterState>| {
        before.load_balancer == load_balancer
            && before.endpoints.len() == endpoints.len()
            && before.endpoints.iter().zip(endpoints).all(|(one, other)| Arc::ptr_eq(one, other))
    };
    if let Some(before) = before.filter(same) {
        return before.places.clone();
    }
    let named: Vec<(String, u32)> = endpoints
        .iter()
        .map(|endpoint| (format!("{}:{}", endpoint.address.host, endpoint.address.port), endpoint.weight))
        .collect();
    Places::of(load_balancer, &named).map(Arc::new)
}

/// `connectionPool.http.idleTimeout`, else `connectionPool.tcp.idleTimeout` (semantics D.6).
fn idle_timeout(policy: &Value) -> Option<Duration> {
    let of = |kind: &str| written_duration(policy.get("connectionPool")?.get(kind)?.get("idleTimeout")?.as_str()?);
    of("http").or_else(|| of("tcp")).filter(|timeout| !timeout.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn idle_timeouts_as_files_write_them() {
        let policy = json!({"connectionPool": {"tcp": {"idleTimeout": "5s"}, "http": {"idleTimeout": "200ms"}}});
        assert_eq!(idle_timeout(&policy), Some(Duration::from_millis(200)));
        let policy = json!({"connectionPool": {"tcp": {"idleTimeout": "5s"}, "http": {}}});
        assert_eq!(idle_timeout(&policy), Some(Duration::from_secs(5)));
        assert_eq!(idle_timeout(&Value::Null), None);
    }
}

//! The table in force, with what hangs on it: counters, clusters' states, where each listener is in it.

use crate::{
    balance::{Algorithm, Candidate},
    breaker::Breaker,
    hashing::Places,
    listener::{ListenerAddress, ListenerKey, OpenListener, is_reached_at},
    metrics::Metrics,
    options::Options,
    outlier::{self, Detection, Health, Outcome},
    parties::{self, Parties},
    plan::{Place, Plan, rule_place},
    pool::EndpointAddress,
    random,
    time::written_duration,
};
use arc_swap::ArcSwap;
use malha_table::{
    Role, Table,
    view::{Cluster, Discovery, LoadBalancer},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// What all threads of a proxy share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) seed: u64,
    pub(crate) current: Arc<ArcSwap<Running>>,
    pub(crate) metrics: Metrics,
    /// What the owner published, by name.
    pub(crate) documents: Mutex<BTreeMap<String, serde_json::Value>>,
    pub(crate) draining: AtomicBool,
    /// The admin server's address, once it listens.
    pub(crate) admin: OnceLock<SocketAddr>,
    /// Open client connections, over all listeners and workers.
    pub(crate) connections: AtomicUsize,
    pub(crate) started: SystemTime,
}

impl Shared {
    /// With a table that nothing listens for yet.
    pub(crate) fn new(table: &Arc<Table>, options: Options) -> Self {
        Shared {
            seed: options.seed.unwrap_or_else(random::system_seed),
            current: Arc::new(ArcSwap::from_pointee(Running::empty(Arc::clone(table)))),
            metrics: Metrics::new(options.cores.max(1)),
            documents: Mutex::default(),
            draining: AtomicBool::new(false),
            admin: OnceLock::new(),
            connections: AtomicUsize::new(0),
            started: SystemTime::now(),
            options,
        }
    }

    pub(crate) fn running(&self) -> Arc<Running> {
        self.current.load_full()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Puts a table in force. States of clusters, endpoints and rules that were in the one before are kept.
    pub(crate) fn install(
        &self,
        table: Arc<Table>,
        plan: &Plan,
        open: &BTreeMap<ListenerKey, Arc<OpenListener>>,
    ) -> Arc<Running> {
        let before = self.running();
        let rules = self.metrics.rule_counters(table.rules().map(|rule| rule_key(&rule)));
        let rule_hits = table.rules().filter_map(|rule| rules.get(&rule_key(&rule)).cloned()).collect();
        let mut running = Running { rule_hits, unsupported: plan.unsupported.clone(), ..Running::empty(table) };
        for wanted in &plan.listeners {
            if let Some(listener) = open.get(&wanted.key) {
                let proxy = running.table.proxies().get(wanted.place.proxy);
                let source = proxy.map_or(parties::UNKNOWN, |proxy| self.metrics.parties.source(&proxy));
                listener.source.store(source, Ordering::Relaxed);
                running.listeners.insert(listener.id, (Arc::clone(listener), wanted.place.clone()));
            }
        }
        running.known_names.clone_from(&before.known_names);
        for (id, (_, place)) in &running.listeners {
            running.known_names.insert(*id, format!("{} {}", place.proxy_name, place.name));
        }
        let table = Arc::clone(&running.table);
        for cluster in table.clusters() {
            let state =
                Arc::new(ClusterState::new(&cluster, before.by_name.get(cluster.name()), &self.metrics.parties));
            running.endpoints.extend(state.endpoints.iter().map(|endpoint| endpoint.address.clone()));
            running.by_name.insert(cluster.name().to_owned(), Arc::clone(&state));
            running.clusters.push(state);
        }
        let running = Arc::new(running);
        self.current.store(Arc::clone(&running));
        running
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shared")
    }
}

/// A table in force.
pub(crate) struct Running {
    pub(crate) table: Arc<Table>,
    pub(crate) loaded: SystemTime,
    since: Instant,
    pub(crate) unsupported: Vec<String>,
    /// By listener id.
    listeners: HashMap<u32, (Arc<OpenListener>, Place)>,
    /// By listener id, those of tables before included: counters outlive listeners.
    known_names: HashMap<u32, String>,
    /// By rule index.
    rule_hits: Vec<Arc<AtomicU64>>,
    /// By cluster index.
    clusters: Vec<Arc<ClusterState>>,
    by_name: HashMap<String, Arc<ClusterState>>,
    endpoints: HashSet<EndpointAddress>,
}

impl Running {
    fn empty(table: Arc<Table>) -> Self {
        Running {
            table,
            loaded: SystemTime::now(),
            since: Instant::now(),
            unsupported: Vec::new(),
            listeners: HashMap::new(),
            known_names: HashMap::new(),
            rule_hits: Vec::new(),
            clusters: Vec::new(),
            by_name: HashMap::new(),
            endpoints: HashSet::new(),
        }
    }

    /// How long it has been in force.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Where in the table a listener is; none if the table does not have it (any more).
    pub(crate) fn place(&self, listener: u32) -> Option<&Place> {
        self.listeners.get(&listener).map(|(_, place)| place)
    }

    /// All open listeners of one proxy.
    pub(crate) fn listeners_of(&self, proxy: usize) -> impl Iterator<Item = (&OpenListener, &Place)> {
        let of_proxy = move |(_, place): &&(Arc<OpenListener>, Place)| place.proxy == proxy;
        self.listeners.values().filter(of_proxy).map(|(listener, place)| (&**listener, place))
    }

    /// Whether a connection to `address` would come back to one of the sidecars.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        let is_sidecar = |place: &Place| place.role == Role::Sidecar;
        self.listeners.values().any(|(listener, place)| is_sidecar(place) && is_reached_at(listener.address, address))
    }

    pub(crate) fn describe(&self, listener: &OpenListener) -> Option<ListenerAddress> {
        let place = self.place(listener.id)?;
        Some(ListenerAddress {
            name: place.name.clone(),
            role: match place.role {
                Role::Gateway => "gateway",
                Role::Sidecar => "mesh",
            },
            proxy: place.proxy_name.clone(),
            port: place.port,
            protocol: place.protocol.clone(),
            tls: false,
            address: listener.address,
            unsupported: place.unsupported.clone(),
        })
    }

    /// A listener's name in counters.
    pub(crate) fn listener_name(&self, id: u32) -> String {
        self.known_names.get(&id).cloned().unwrap_or_default()
    }

    /// One more request for a rule, by its index.
    pub(crate) fn hit(&self, rule: u32) {
        if let Some(hits) = self.rule_hits.get(rule as usize) {
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A cluster's state, by its index.
    pub(crate) fn cluster(&self, index: u32) -> Option<&Arc<ClusterState>> {
        self.clusters.get(index as usize)
    }

    /// All clusters, by index.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &ClusterState> {
        self.clusters.iter().map(Arc::as_ref)
    }

    /// Whether some cluster has the endpoint.
    pub(crate) fn has_endpoint(&self, address: &EndpointAddress) -> bool {
        self.endpoints.contains(address)
    }
}

/// A rule's key in counters: for people and the same from one table to the next.
fn rule_key(rule: &malha_table::view::Rule<'_>) -> String {
    match rule.source() {
        Some(source) => match source.delegate() {
            Some(delegate) => format!("{} -> {}", rule_place(source), rule_place(delegate)),
            None => rule_place(source),
        },
        None => format!("{:016x}", rule.id()),
    }
}

/// What a proxy knows of a cluster at run time.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(crate) name: Arc<str>,
    /// Its number as a destination, for counting.
    pub(crate) destination: u32,
    pub(crate) discovery: Discovery,
    pub(crate) algorithm: Algorithm,
    load_balancer: LoadBalancer,
    pub(crate) connect_timeout: Duration,
    /// None: the proxy's own limit.
    pub(crate) idle_timeout: Option<Duration>,
    /// Requests that one connection takes; none: any number.
    pub(crate) requests_per_connection: Option<u32>,
    /// None: nothing is limited.
    pub(crate) breaker: Option<Breaker>,
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
    fn new(cluster: &Cluster<'_>, before: Option<&Arc<ClusterState>>, parties: &Parties) -> Self {
        let endpoints = cluster.endpoints().filter_map(|endpoint| {
            let address = EndpointAddress {
                host: endpoint.address()?.into(),
                port: u16::try_from(endpoint.port()).ok().filter(|&port| port != 0)?,
            };
            let weight = endpoint.weight();
            let same = |known: &&Arc<EndpointState>| known.address == address && known.weight == weight;
            let known = before.and_then(|before| before.endpoints.iter().find(same));
            let state = known.cloned().unwrap_or_else(|| Arc::new(EndpointState::new(address, weight)));
            state.destination.store(parties.endpoint(cluster, &endpoint), Ordering::Relaxed);
            Some(state)
        });
        let endpoints: Vec<Arc<EndpointState>> = endpoints.collect();
        let policy = cluster.policy_json().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        ClusterState {
            name: cluster.name().into(),
            destination: parties.cluster(cluster),
            discovery: cluster.discovery(),
            algorithm: match cluster.load_balancer() {
                LoadBalancer::RoundRobin => Algorithm::RoundRobin,
                LoadBalancer::Random => Algorithm::Random,
                _ => Algorithm::LeastRequest,
            },
            load_balancer: cluster.load_balancer(),
            connect_timeout: cluster.connect_timeout().unwrap_or(Duration::from_secs(10)),
            idle_timeout: idle_timeout(&policy),
            requests_per_connection: cluster.limit("maxRequestsPerConnection"),
            breaker: Breaker::of(cluster, before.and_then(|before| before.breaker.as_ref())),
            detection: Detection::of(&policy),
            epoch: before.map_or_else(Instant::now, |before| before.epoch),
            places: places(cluster, &endpoints, before),
            endpoints,
            turn: before.map_or_else(Arc::default, |before| Arc::clone(&before.turn)),
        }
    }

    /// A cluster of one endpoint that no table has: that of a host outside the mesh.
    pub(crate) fn of_one(
        name: &str,
        address: EndpointAddress,
        algorithm: Algorithm,
        connect_timeout: Duration,
    ) -> Self {
        ClusterState {
            name: name.into(),
            destination: parties::PASSTHROUGH,
            discovery: Discovery::Eds,
            algorithm,
            load_balancer: LoadBalancer::default(),
            connect_timeout,
            idle_timeout: None,
            requests_per_connection: None,
            breaker: None,
            detection: None,
            places: None,
            epoch: Instant::now(),
            endpoints: vec![Arc::new(EndpointState::new(address, 1))],
            turn: Arc::default(),
        }
    }

    /// The endpoints to choose from, where some are ejected; none: all of them.
    pub(crate) fn healthy(&self) -> Option<Vec<Arc<EndpointState>>> {
        let detection = self.detection.as_ref()?;
        let now = outlier::since(self.epoch);
        let is_healthy = |endpoint: &&Arc<EndpointState>| !endpoint.health.is_ejected(now);
        let count = self.endpoints.iter().filter(is_healthy).count();
        let some_are_out = count < self.endpoints.len() && detection.is_in_force(count, self.endpoints.len());
        some_are_out.then(|| self.endpoints.iter().filter(is_healthy).cloned().collect())
    }

    /// Whether an endpoint is ejected now.
    pub(crate) fn is_ejected(&self, endpoint: &EndpointState) -> bool {
        self.detection.is_some() && endpoint.health.is_ejected(outlier::since(self.epoch))
    }

    /// Counts what a try at an endpoint came to, and ejects it if that is too much.
    pub(crate) fn observe(&self, endpoint: &EndpointState, outcome: Outcome) {
        let Some(detection) = &self.detection else { return };
        if endpoint.health.count(detection, outcome) {
            let now = outlier::since(self.epoch);
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
fn idle_timeout(policy: &serde_json::Value) -> Option<Duration> {
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
        assert_eq!(idle_timeout(&serde_json::Value::Null), None);
    }
}

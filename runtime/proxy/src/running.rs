//! The table in force, with what hangs on it: counters, clusters' states, where each listener is in it.

use crate::{
    cluster::{Around, ClusterState, ConnectionTerms},
    hops::Hops,
    listener::{EgressAddress, ListenerAddress, ListenerKey, OpenListener, is_reached_at},
    metrics::{Metrics, lock},
    names::{Family, Names},
    options::Options,
    own::OwnListeners,
    parties,
    plan::{Place, Plan, rule_name, rule_place},
    pool::EndpointAddress,
    proxy::Revision,
    random,
    retry::Policy,
    tls::{self, Terminations},
};
use arc_swap::ArcSwap;
use malha_table::{
    Role, Table,
    view::{Forward, Proxy, Route},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// What all threads of a proxy share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) seed: u64,
    pub(crate) hops: Hops,
    pub(crate) current: Arc<ArcSwap<Running>>,
    pub(crate) metrics: Metrics,
    pub(crate) names: Arc<Names>,
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
            hops: Hops::new(),
            current: Arc::new(ArcSwap::from_pointee(Running::empty(Arc::clone(table)))),
            metrics: Metrics::new(options.cores.max(1)),
            names: Arc::new(Names::new(&options.dns, Family::of(options.host))),
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

    /// Puts a table in force, once its clusters' names have been looked up. States of clusters, endpoints and rules that
    /// were in the one before are kept.
    pub(crate) fn install(
        &self,
        revision: Revision,
        plan: &Plan,
        open: &BTreeMap<ListenerKey, Arc<OpenListener>>,
    ) -> Arc<Running> {
        let before = self.running();
        let Revision { table, credentials } = revision;
        let terminations = Terminations::new(&table, &credentials, &before.terminations);
        let rules = self.metrics.rule_counters(table.rules().map(|rule| rule_key(&rule)));
        let rule_hits = table.rules().filter_map(|rule| rules.get(&rule_key(&rule)).cloned()).collect();
        let unsupported = plan.unsupported.clone();
        let rule_names = table.rules().map(|_| OnceLock::new()).collect();
        let retries = table.retries().map(|retries| Policy::of(&retries)).collect();
        let mut running =
            Running { unsupported, terminations, rule_hits, rule_names, retries, ..Running::empty(table) };
        for wanted in &plan.listeners {
            if let Some(listener) = open.get(&wanted.key) {
                let proxy = running.table.proxies().get(wanted.place.proxy);
                let source = proxy.map_or(parties::UNKNOWN, |proxy| self.metrics.parties.source(&proxy));
                listener.source.store(source, Ordering::Relaxed);
                if let Some(proxy) = proxy {
                    *lock(&listener.service) = parties::service_name(&proxy);
                }
                running.listeners.insert(listener.id, (Arc::clone(listener), wanted.place.clone()));
            }
        }
        running.known_names.clone_from(&before.known_names);
        for (id, (_, place)) in &running.listeners {
            running.known_names.insert(*id, format!("{} {}", place.proxy_name, place.name));
        }
        let own = OwnListeners::of(&running);
        let table = Arc::clone(&running.table);
        let owners = tls::owners(&table);
        self.names.refresh_every(table.dns_refresh());
        for cluster in table.clusters() {
            let proxy = owners.get(&cluster.index());
            // Proxies that are not alike have clusters of one name: each goes on from its own.
            let owner = proxy.map(owner_name).unwrap_or_default();
            let same = before.by_name.get(cluster.name()).map(Vec::as_slice).unwrap_or_default();
            let of_owner = same.iter().find(|known| known.owner == owner);
            let before = of_owner.or(same.first().filter(|_| same.len() == 1)).map(|known| &known.state);
            let family = Family::of(self.options.host);
            let (parties, credentials, names, own) = (&self.metrics.parties, &credentials, &*self.names, &own);
            let around = Around { parties, credentials, own, owner: proxy, family, names };
            let state = Arc::new(ClusterState::new(&cluster, before, &around));
            self.names.watch(&state);
            let one = Owned { owner, state: Arc::clone(&state) };
            running.by_name.entry(cluster.name().to_owned()).or_default().push(one);
            running.clusters.push(state);
        }
        running.own = own;
        self.names.wait_for(&running.clusters, LONGEST_WARMING);
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

/// How long a table may wait for the first answers to the names of its clusters. Envoy waits as long as its resolver does;
/// here whoever starts a proxy or saves a file waits, too.
const LONGEST_WARMING: Duration = Duration::from_secs(5);

/// A cluster, and the first proxy that has it.
struct Owned {
    owner: String,
    state: Arc<ClusterState>,
}

/// A proxy's name in all tables.
fn owner_name(proxy: &Proxy<'_>) -> String {
    format!("{:?} {}/{}", proxy.role(), proxy.namespace(), proxy.name())
}

/// A table in force.
pub(crate) struct Running {
    pub(crate) table: Arc<Table>,
    pub(crate) loaded: SystemTime,
    since: Instant,
    pub(crate) unsupported: Vec<String>,
    /// How TLS ends at its filter chains.
    pub(crate) terminations: Terminations,
    /// By listener id, which no client chooses.
    listeners: foldhash::HashMap<u32, (Arc<OpenListener>, Place)>,
    /// Where they are open.
    pub(crate) own: OwnListeners,
    /// By listener id, those of tables before included: counters outlive listeners.
    known_names: HashMap<u32, String>,
    /// By rule index.
    rule_hits: Vec<Arc<AtomicU64>>,
    /// By rule index, each made when it is asked for first.
    rule_names: Vec<OnceLock<Arc<str>>>,
    /// By the index of retries.
    retries: Vec<Policy>,
    /// By cluster index.
    clusters: Vec<Arc<ClusterState>>,
    /// In order of their indexes.
    by_name: HashMap<String, Vec<Owned>>,
}

impl Running {
    fn empty(table: Arc<Table>) -> Self {
        Running {
            table,
            loaded: SystemTime::now(),
            since: Instant::now(),
            unsupported: Vec::new(),
            terminations: Terminations::default(),
            listeners: foldhash::HashMap::default(),
            own: OwnListeners::default(),
            known_names: HashMap::new(),
            rule_hits: Vec::new(),
            rule_names: Vec::new(),
            retries: Vec::new(),
            clusters: Vec::new(),
            by_name: HashMap::new(),
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

    /// Whether connections to a listener begin with a header of the PROXY protocol (semantics A71).
    pub(crate) fn requires_proxy_protocol(&self, listener: u32) -> bool {
        self.place(listener).is_some_and(|place| place.role == Role::Gateway)
            && self.table.gateway_topology().proxy_protocol
    }

    /// All open listeners of one proxy.
    pub(crate) fn listeners_of(&self, proxy: usize) -> impl Iterator<Item = (&OpenListener, &Place)> {
        let of_proxy = move |(_, place): &&(Arc<OpenListener>, Place)| place.proxy == proxy;
        self.listeners.values().filter(of_proxy).map(|(listener, place)| (&**listener, place))
    }

    /// All open listeners.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = (&OpenListener, &Place)> {
        self.listeners.values().map(|(listener, place)| (&**listener, place))
    }

    /// Whether a connection to `address` would come back to one of the sidecars.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        let is_sidecar = |place: &Place| place.role == Role::Sidecar;
        let is_there = |listener: &OpenListener| listener.at.address().is_some_and(|own| is_reached_at(own, address));
        self.listeners.values().any(|(listener, place)| is_sidecar(place) && is_there(listener))
    }

    pub(crate) fn describe(&self, listener: &OpenListener) -> Option<ListenerAddress> {
        let place = self.place(listener.id).filter(|place| !place.is_egress())?;
        Some(ListenerAddress {
            name: place.name.clone(),
            role: match place.role {
                Role::Gateway => "gateway",
                Role::Sidecar => "mesh",
            },
            proxy: place.proxy_name.clone(),
            port: place.port,
            protocol: place.protocol.clone(),
            tls: place.speaks_tls,
            is_forward: place.forward.is_some(),
            address: listener.at.address()?,
        })
    }

    pub(crate) fn describe_egress(&self, listener: &OpenListener) -> Option<EgressAddress> {
        let place = self.place(listener.id).filter(|place| place.is_egress())?;
        Some(EgressAddress {
            name: place.name.clone(),
            proxy: place.proxy_name.clone(),
            port: place.port,
            protocol: place.protocol.clone(),
            address: listener.at.to_string(),
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

    /// A rule's name for people, as [`plan::rule_name`](crate::plan::rule_name).
    pub(crate) fn rule_name(&self, route: &Route<'_>) -> Arc<str> {
        let make = || Arc::from(rule_name(route));
        let known = route.rule().and_then(|rule| self.rule_names.get(rule.index() as usize));
        known.map_or_else(make, |name| Arc::clone(name.get_or_init(make)))
    }

    /// How a route's requests are tried again.
    pub(crate) fn retries(&self, forward: &Forward<'_>) -> &Policy {
        let written = forward.retries().and_then(|retries| self.retries.get(retries.index() as usize));
        written.unwrap_or(Policy::NONE)
    }

    /// A cluster's state, by its index.
    pub(crate) fn cluster(&self, index: u32) -> Option<&Arc<ClusterState>> {
        self.clusters.get(index as usize)
    }

    /// All clusters, by index.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &ClusterState> {
        self.clusters.iter().map(Arc::as_ref)
    }

    /// Whether a cluster of this name has connections on these terms to this endpoint.
    pub(crate) fn wants_connection(&self, cluster: &str, address: &EndpointAddress, terms: ConnectionTerms) -> bool {
        let has = |cluster: &Owned| {
            cluster.state.terms == terms && (cluster.state.named.is_some() || cluster.state.members().has(address))
        };
        self.by_name.get(cluster).is_some_and(|same| same.iter().any(has))
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

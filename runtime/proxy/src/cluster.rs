//! A cluster at run time: its settings as a table gives them, and what is known of its endpoints.

use crate::{
    balance::{Algorithm, Candidate},
    breaker::Breaker,
    connection::Client,
    counters::ClusterCounters,
    dial::Keepalive,
    members::{Members, Recipe, Written},
    names::{Addresses, Family, Names},
    outlier::{self, Detection, Health, Outcome},
    outside::Named,
    own::OwnListeners,
    parties::{self, Parties},
    pool::EndpointAddress,
    proxy_protocol,
    time::written_duration,
    tls::{Credentials, UpstreamTls},
    tunnel::Tunnel,
    warmup::WarmUp,
};
use arc_swap::{ArcSwap, Guard};
use http::Version;
use malha_table::view::{Cluster, Discovery, LoadBalancer, Proxy, UpstreamProtocol};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
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
    /// How clients name its endpoint; none: it has endpoints of its own.
    pub(crate) named: Option<Named>,
    pub(crate) algorithm: Algorithm,
    pub(crate) connect_timeout: Duration,
    pub(crate) terms: ConnectionTerms,
    /// What its endpoints are asked for, where they pass bytes on to others.
    pub(crate) tunnel: Option<Tunnel>,
    /// How long connections of plain bytes may be silent (semantics D.6); none: for ever.
    pub(crate) tcp_idle_limit: Option<Duration>,
    /// Whether connections of plain bytes are balanced by their clients' addresses (semantics D24).
    pub(crate) hashes_source: bool,
    /// None: its endpoints are spoken to without TLS.
    pub(crate) tls: Option<Result<UpstreamTls, String>>,
    pub(crate) breaker: Breaker,
    /// None: endpoints are used whatever they answer.
    pub(crate) detection: Option<Detection>,
    /// From when the times of its endpoints' ejections count.
    epoch: Instant,
    /// Its endpoints now.
    members: ArcSwap<Members>,
    /// What its members are made of again when names lead elsewhere; none: all are addresses.
    recipe: Option<Recipe>,
    /// None: new endpoints get their full share at once.
    pub(crate) warm_up: Option<WarmUp>,
}

/// What of its surroundings a cluster's state is made from.
pub(crate) struct Around<'a> {
    pub(crate) parties: &'a Parties,
    pub(crate) credentials: &'a Credentials,
    /// Where the gateways of this process listen.
    pub(crate) own: &'a OwnListeners,
    /// The proxy whose cluster it is, or the first of several.
    pub(crate) owner: Option<&'a Proxy<'a>>,
    /// Of the addresses that names stand for.
    pub(crate) family: Family,
    /// What of names is known from the table before.
    pub(crate) names: &'a Names,
}

/// What a cluster says of its connections, as far as one that is open must agree with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionTerms {
    /// None: the proxy's own limit; zero: never.
    idle_timeout: Option<Duration>,
    /// Requests that one connection takes; none: any number.
    pub(crate) requests: Option<u32>,
    /// Which HTTP is spoken.
    protocol: UpstreamProtocol,
    /// Requests that one connection of HTTP/2 has at once; none: as many as its upstream allows.
    pub(crate) streams: Option<u32>,
    /// How old a connection gets; none: any age.
    pub(crate) longest: Option<Duration>,
    pub(crate) keepalive: Option<Keepalive>,
    /// How an endpoint is told of the client (semantics D61).
    proxy_protocol: Option<proxy_protocol::Version>,
    /// A hash of the settings as they are written; 0 for none.
    written: u64,
    /// A hash of the certificates and authorities that TLS is spoken with; 0 for none.
    trust: u64,
}

impl ConnectionTerms {
    fn of(cluster: &Cluster<'_>, policy: &Value, tls: Option<&UpstreamTls>) -> Self {
        let written: Vec<&Value> =
            ["connectionPool", "tls", "proxyProtocol"].iter().filter_map(|block| policy.get(block)).collect();
        ConnectionTerms {
            idle_timeout: idle_timeout(policy),
            requests: cluster.limit("maxRequestsPerConnection"),
            protocol: cluster.protocol(),
            streams: cluster.limit("maxConcurrentStreams"),
            longest: longest(policy),
            keepalive: Keepalive::of(policy),
            proxy_protocol: proxy_protocol::Version::of(policy),
            written: if written.is_empty() { 0 } else { xxh64(format!("{written:?}").as_bytes(), 0) },
            trust: tls.map_or(0, |tls| tls.fingerprint),
        }
    }
}

impl ConnectionTerms {
    /// How long a connection is kept that nobody uses, where the proxy's own limit is `usual`; none: for ever.
    pub(crate) fn idle_limit(self, usual: Duration) -> Option<Duration> {
        Some(self.idle_timeout.unwrap_or(usual)).filter(|limit| !limit.is_zero())
    }

    /// What an endpoint is told of a client ahead of its bytes, if anything.
    pub(crate) fn told(self, client: &Client) -> Option<proxy_protocol::Header> {
        let version = self.proxy_protocol?;
        Some(proxy_protocol::Header { version, source: client.peer, destination: client.destination() })
    }

    /// Of connections for clients that speak either HTTP, to whoever they name.
    fn of_clients() -> Self {
        ConnectionTerms { protocol: UpstreamProtocol::Clients, ..ConnectionTerms::default() }
    }

    /// Waits until a connection that is opened now is as old as it gets.
    pub(crate) async fn age(self) {
        match self.longest {
            Some(longest) => tokio::time::sleep(longest).await,
            None => std::future::pending().await,
        }
    }
}

/// What a proxy knows of an endpoint at run time.
#[derive(Debug)]
pub(crate) struct EndpointState {
    pub(crate) address: EndpointAddress,
    /// Whether it was found by a name: what that leads to is not for the table to say.
    pub(crate) is_named: bool,
    pub(crate) weight: u32,
    /// When it came to the cluster, in milliseconds since its epoch.
    pub(crate) joined: u64,
    /// Requests in flight.
    pub(crate) active: Arc<AtomicU32>,
    /// Its number as a destination, for counting.
    pub(crate) destination: AtomicU32,
    pub(crate) health: Arc<Health>,
}

impl EndpointState {
    pub(crate) fn new(address: EndpointAddress, is_named: bool, weight: u32, joined: u64) -> Self {
        EndpointState {
            is_named,
            address,
            weight,
            joined,
            active: Arc::default(),
            destination: AtomicU32::new(0),
            health: Arc::default(),
        }
    }

    /// Where a client says.
    pub(crate) fn chosen(address: EndpointAddress) -> Self {
        let is_named = !address.is_fixed();
        EndpointState::new(address, is_named, 1, 0)
    }

    /// The same endpoint, told otherwise: what is known of it goes on.
    pub(crate) fn weighing(&self, is_named: bool, weight: u32) -> Self {
        EndpointState {
            active: Arc::clone(&self.active),
            health: Arc::clone(&self.health),
            ..EndpointState::new(self.address.clone(), is_named, weight, self.joined)
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

impl Candidate for &Arc<EndpointState> {
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
        let epoch = before.map_or_else(Instant::now, |before| before.epoch);
        let written = cluster.endpoints().filter_map(|endpoint| {
            Some(Written {
                address: around.own.resolve(endpoint.address()?, endpoint.port())?,
                weight: endpoint.weight(),
                destination: around.parties.endpoint(cluster, &endpoint),
                priority: endpoint.priority(),
                locality: endpoint.locality().unwrap_or_default().into(),
                locality_weight: endpoint.locality_weight(),
            })
        });
        let recipe = Recipe {
            written: written.collect(),
            load_balancer: cluster.load_balancer(),
            is_logical: cluster.discovery() == Discovery::LogicalDns,
            family: around.family,
        };
        let members_before = before.map(|before| before.members.load_full()).unwrap_or_default();
        let known = |name: &str| around.names.known(name, recipe.is_logical);
        let members = recipe.members(&members_before, outlier::since(epoch), known);
        let policy: Value = cluster.policy_json().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let tls = UpstreamTls::of(&policy, cluster, around.owner, around.credentials);
        ClusterState {
            name: cluster.name().into(),
            destination: around.parties.cluster(cluster),
            number: around.parties.cluster_name(cluster.name()),
            counters: before.map_or_else(Arc::default, |before| Arc::clone(&before.counters)),
            named: Named::of(cluster, tls.is_some()),
            algorithm: match cluster.load_balancer() {
                LoadBalancer::RoundRobin => Algorithm::RoundRobin,
                LoadBalancer::Random => Algorithm::Random,
                _ => Algorithm::LeastRequest,
            },
            connect_timeout: cluster.connect_timeout().unwrap_or(Duration::from_secs(10)),
            tunnel: Tunnel::of(&policy, cluster.protocol()),
            tcp_idle_limit: tcp_idle_limit(&policy),
            hashes_source: policy.pointer("/loadBalancer/consistentHash/useSourceIp") == Some(&Value::Bool(true)),
            terms: ConnectionTerms::of(cluster, &policy, tls.as_ref().and_then(|tls| tls.as_ref().ok())),
            tls,
            breaker: Breaker::of(cluster, &policy, before.map(|before| &before.breaker)),
            detection: Detection::of(&policy),
            epoch,
            recipe: (!recipe.names().is_empty()).then_some(recipe),
            members: ArcSwap::from_pointee(members),
            // Others do not go by weights that change (semantics D26).
            warm_up: matches!(cluster.load_balancer(), LoadBalancer::RoundRobin | LoadBalancer::LeastRequest)
                .then(|| WarmUp::of(&policy))
                .flatten(),
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
            named: None,
            algorithm,
            connect_timeout,
            tunnel: None,
            tcp_idle_limit: tcp_idle_limit(&Value::Null),
            hashes_source: false,
            tls: None,
            terms: ConnectionTerms::of_clients(),
            breaker: Breaker::unlimited(),
            detection: None,
            epoch: Instant::now(),
            members: ArcSwap::from_pointee(Members::only(EndpointState::chosen(address))),
            recipe: None,
            warm_up: None,
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
            named: self.named,
            algorithm: self.algorithm,
            connect_timeout: self.connect_timeout,
            tunnel: self.tunnel.clone(),
            tcp_idle_limit: self.tcp_idle_limit,
            hashes_source: self.hashes_source,
            tls: self.tls.clone(),
            terms: self.terms,
            breaker: self.breaker.clone(),
            detection: None,
            epoch: self.epoch,
            members: ArcSwap::from_pointee(Members::only(EndpointState::chosen(address))),
            recipe: None,
            warm_up: None,
        }
    }

    /// Whether its endpoints are spoken to in HTTP/2, for a client that speaks `version` (semantics D37).
    pub(crate) fn is_http2(&self, version: Version) -> bool {
        match self.terms.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Clients => version == Version::HTTP_2,
        }
    }

    /// Lets it be older than it is.
    #[cfg(test)]
    pub(crate) fn set_epoch(&mut self, epoch: Instant) {
        self.epoch = epoch;
    }

    /// Milliseconds since its epoch.
    pub(crate) fn now(&self) -> u64 {
        outlier::since(self.epoch)
    }

    /// Its endpoints now. Whoever looks twice may find others.
    pub(crate) fn members(&self) -> Guard<Arc<Members>> {
        self.members.load()
    }

    /// Gives it other endpoints than a table does.
    #[cfg(test)]
    pub(crate) fn set_members(&mut self, members: Members) {
        self.members = ArcSwap::from_pointee(members);
    }

    /// Whether some of its endpoints are found by name.
    pub(crate) fn has_names(&self) -> bool {
        self.recipe.is_some()
    }

    /// The names that its endpoints are found by.
    pub(crate) fn names(&self) -> BTreeSet<Arc<str>> {
        self.recipe.as_ref().map(Recipe::names).unwrap_or_default()
    }

    /// Whether it is one host, wherever its name leads to (semantics E6).
    pub(crate) fn is_logical(&self) -> bool {
        self.recipe.as_ref().is_some_and(|recipe| recipe.is_logical)
    }

    /// Takes up where its names lead to now.
    pub(crate) fn resolve(&self, answer: impl Fn(&str) -> Option<Addresses>) {
        if let Some(recipe) = &self.recipe {
            let members = recipe.members(&self.members.load(), self.now(), answer);
            self.members.store(Arc::new(members));
        }
    }

    /// Which of its endpoints are ejected, by index; empty: none is.
    pub(crate) fn ejected(&self, members: &Members, now: u64) -> Vec<bool> {
        let is_ejected = |endpoint: &Arc<EndpointState>| endpoint.health.is_ejected(now);
        if self.detection.is_none() || !members.endpoints.iter().any(is_ejected) {
            return Vec::new();
        }
        members.endpoints.iter().map(is_ejected).collect()
    }

    /// Below so many percent of healthy endpoints a level of priority uses all (semantics D45).
    pub(crate) fn panic_threshold(&self) -> u64 {
        self.detection.as_ref().map_or(0, Detection::least_healthy_percent)
    }

    /// Whether endpoints are chosen by a hash of the request.
    pub(crate) fn is_hashed(&self) -> bool {
        self.members.load().levels.iter().any(|level| level.places().is_some())
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
            let members = self.members.load();
            let ejected = members.endpoints.iter().filter(|other| other.health.is_ejected(now)).count();
            endpoint.health.eject(detection, now, ejected, members.endpoints.len());
        }
    }
}

/// `connectionPool.http.idleTimeout`, else `connectionPool.tcp.idleTimeout` (semantics D.6).
fn idle_timeout(policy: &Value) -> Option<Duration> {
    let of = |kind: &str| written_duration(policy.get("connectionPool")?.get(kind)?.get("idleTimeout")?.as_str()?);
    of("http").or_else(|| of("tcp"))
}

/// `connectionPool.tcp.idleTimeout`: an hour where none is given, and 0s for none (semantics D.6).
fn tcp_idle_limit(policy: &Value) -> Option<Duration> {
    let written = policy.pointer("/connectionPool/tcp/idleTimeout").and_then(Value::as_str);
    let limit = written.and_then(written_duration).unwrap_or(Duration::from_hours(1));
    (!limit.is_zero()).then_some(limit)
}

/// `connectionPool.tcp.maxConnectionDuration`.
fn longest(policy: &Value) -> Option<Duration> {
    let written = policy.pointer("/connectionPool/tcp/maxConnectionDuration")?.as_str()?;
    written_duration(written).filter(|longest| !longest.is_zero())
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
        let terms = |idle_timeout| ConnectionTerms { idle_timeout, ..ConnectionTerms::default() };
        let hour = Duration::from_hours(1);
        assert_eq!(terms(None).idle_limit(hour), Some(hour), "D.6");
        assert_eq!(terms(Some(Duration::ZERO)).idle_limit(hour), None, "D.6: 0s disables it");
    }
}

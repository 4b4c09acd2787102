//! What a mesh is lowered to, per proxy: listeners, filter chains, route tables, virtual hosts, routes, clusters.
//!
//! This is the one input of the interpreter and of every back end.

use malha_algebra::{Predicate, re2::Pattern};
use malha_syntax::Location;
use smol_str::SmolStr;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

pub use malha_table::{
    Bind, Role,
    http::{GatewayTopology, HttpSettings, PathNormalization},
};

/// Everything that a mesh says, lowered.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// In order of role, namespace, name.
    pub proxies: Vec<Proxy>,
    /// What the mesh configuration decides for all proxies.
    pub settings: Settings,
}

/// Settings of the mesh that a runtime needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How paths are normalised (semantics A66).
    pub path_normalization: PathNormalization,
    /// How long until a name is looked up again whose answer does not say how long it holds; none: a minute (semantics
    /// E5).
    pub dns_refresh: Option<Duration>,
    /// What gateways take from whoever stands in front of them (semantics A63, A64, A71).
    pub gateway_topology: GatewayTopology,
}

impl Settings {
    /// How a proxy of that role takes HTTP.
    pub fn http(&self, role: Role) -> HttpSettings {
        HttpSettings::of(role, self.path_normalization, self.gateway_topology)
    }
}

/// One proxy. Proxies alike in all that lowering reads share one program.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Gateway or sidecar.
    pub role: Role,
    /// A name for people: of the workload, the Gateway, or of `[[run.sidecars]]`.
    pub name: SmolStr,
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its labels.
    pub labels: BTreeMap<SmolStr, SmolStr>,
    /// The Gateways that select it, as (namespace, name).
    pub gateways: Vec<(SmolStr, SmolStr)>,
    /// What it executes.
    pub program: Arc<ProxyProgram>,
}

/// What one proxy (or several alike) executes.
#[derive(Clone, Debug, Default)]
pub struct ProxyProgram {
    /// By port, then bind.
    pub listeners: Vec<Listener>,
    /// Filter chains refer to these by index.
    pub route_tables: Vec<RouteTable>,
    /// Every cluster that a route refers to, by name.
    pub clusters: Vec<Arc<Cluster>>,
    /// What becomes of a connection to a port that no listener has: gateways refuse it (`Close`), sidecars do with it
    /// as the outbound traffic policy says (semantics E21).
    pub fallback: Fallback,
    /// Where [`Fallback::EgressProxy`] leads.
    pub egress_proxy: Option<EgressProxy>,
    /// What lowering left out or decided between, for lints to tell.
    pub notes: Vec<Note>,
}

/// A listening address.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// Where it takes connections.
    pub bind: Bind<SmolStr>,
    /// The port it listens on: for gateways the targetPort (semantics A2).
    pub port: u32,
    /// The numbers by which Gateway servers know it (for `malha route URL`).
    pub server_ports: Vec<u32>,
    /// Protocol of its first server or service port, as `HTTP`.
    pub protocol: SmolStr,
    /// Name for people and metrics.
    pub name: SmolStr,
    /// For sidecar listeners with a bind address or a name in its place: the names that lead there, lower case. A
    /// connection whose address is not said is for the listener that it names; a request that only its Host is known of,
    /// for the listener with an address that this names; else both are for the one without a bind address.
    pub names: Vec<SmolStr>,
    /// Chosen by destination, then server name (semantics A52).
    pub filter_chains: Vec<FilterChain>,
    /// Why Envoy would refuse it, if it would; then the chains are not executed.
    pub rejected: Option<String>,
    /// For sidecars: bytes that no chain takes are for this cluster kind (semantics E21).
    pub fallback: Fallback,
}

impl Listener {
    /// Whether it is a sidecar's that names lead to: that of a service without an address, or of all other names.
    pub fn goes_by_name(&self) -> bool {
        self.bind.goes_by_name()
    }

    /// Whether it is one of a sidecar that clients connect to by themselves: an HTTP proxy, or a socket (semantics E39).
    pub fn is_of_its_own(&self) -> bool {
        matches!(self.bind, Bind::Socket(_)) || self.protocol == "HTTP_PROXY"
    }

    /// The address that it is bound to, if it is bound to one.
    pub fn address(&self) -> Option<IpAddr> {
        self.bind.address()
    }
}

/// What becomes of a connection that no filter chain takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// It is closed (gateways).
    #[default]
    Close,
    /// It goes where the client meant it to (`ALLOW_ANY`).
    Passthrough,
    /// It ends in the `BlackHoleCluster` (`REGISTRY_ONLY`).
    Blackhole,
    /// It goes to the `egressProxy` of the Sidecar (semantics E37).
    EgressProxy,
}

/// The `egressProxy` of a Sidecar (semantics E37).
#[derive(Clone, Debug)]
pub struct EgressProxy {
    /// What is done with requests.
    pub action: Arc<Action>,
    /// Where the bytes of other connections go.
    pub bytes: TcpRoute,
}

impl EgressProxy {
    /// The route of requests: it takes all.
    pub fn route(&self) -> Route {
        Route { predicate: Predicate::any(), action: Arc::clone(&self.action), origin: None }
    }
}

/// One way to treat a connection.
#[derive(Clone, Debug)]
pub struct FilterChain {
    /// Server names, exact or `*.suffix`, lower case; empty: any or none.
    pub server_names: Vec<SmolStr>,
    /// Destination ranges, as CIDR; empty: any.
    pub destinations: Vec<SmolStr>,
    /// Whether the client speaks TLS; none: either.
    pub tls: Option<bool>,
    /// Only connections that are seen to carry plain HTTP/1 or HTTP/2 come here (sidecars look before they choose);
    /// others go to a chain without this, or to the listener's fallback.
    pub inspected: bool,
    /// How TLS is ended here, if it is.
    pub termination: Option<Termination>,
    /// What happens to the bytes.
    pub filter: Filter,
    /// Where the file says so, if it does.
    pub location: Option<Location>,
}

/// TLS ended at a filter chain, as the server's `tls` block says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Termination {
    /// `SIMPLE`, `MUTUAL`, ...
    pub mode: SmolStr,
    /// Names of the credentials.
    pub credentials: Vec<SmolStr>,
    /// Files of certificates, each with that of its key.
    pub certificates: Vec<(SmolStr, SmolStr)>,
    /// File of those who sign clients' certificates.
    pub ca_certificates: Option<SmolStr>,
    /// Name of the credential with those who sign clients' certificates, where it is one of its own.
    pub ca_credential: Option<SmolStr>,
    /// File of the certificates that were withdrawn.
    pub ca_crl: Option<SmolStr>,
    /// As `TLSV1_2`.
    pub min_version: Option<SmolStr>,
    /// As `TLSV1_3`.
    pub max_version: Option<SmolStr>,
    /// Names of cipher suites.
    pub cipher_suites: Vec<SmolStr>,
    /// Subject names that clients may have.
    pub subject_alt_names: Vec<SmolStr>,
    /// Hashes of keys (SPKI, base64) that clients may have.
    pub key_hashes: Vec<SmolStr>,
    /// Hashes of certificates (hexadecimal) that clients may have.
    pub certificate_hashes: Vec<SmolStr>,
    /// Clients' certificates are taken whoever signed them.
    pub insecure_skip_verify: bool,
}

/// What happens to the bytes of a filter chain.
#[derive(Clone, Debug)]
pub enum Filter {
    /// HTTP, routed by the route table of this index.
    Http(usize),
    /// Bytes, by weight (semantics A61).
    Tcp(TcpRoute),
}

/// Where the bytes of a connection go.
#[derive(Clone, Debug)]
pub struct TcpRoute {
    /// The rule; none for a service's own chain.
    pub origin: Option<Arc<Origin>>,
    /// One or several.
    pub destinations: Vec<Destination>,
}

/// Virtual hosts of one listener or server.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// Istio's name for it (semantics A4), as `http.8080`.
    pub name: SmolStr,
    /// Whether the port of a Host counts, so that domains have one (semantics E39).
    pub counts_ports: bool,
    /// In no order that matters: the most specific domain wins (semantics A35).
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
}

/// One virtual host.
#[derive(Clone, Debug, Default)]
pub struct VirtualHost {
    /// Exact, `*.suffix` or `*`; lower case. A domain is in one virtual host of a table only.
    pub domains: Vec<SmolStr>,
    /// Plain requests are redirected to https (semantics A38).
    pub require_tls: bool,
    /// In order; the first that matches takes the request. Virtual hosts of one VirtualService share them.
    pub routes: Arc<[Route]>,
    /// Whether this is the mesh's own catch-all (semantics B39), which reports no host.
    pub catch_all: Option<Fallback>,
    /// Which routes no request comes to, once somebody has asked ([`crate::analysis::unreached`]).
    pub unreached: crate::analysis::Known,
}

/// One route: a match item of a rule, lowered.
#[derive(Clone, Debug)]
pub struct Route {
    /// What it takes; `fixed` is empty.
    pub predicate: Predicate,
    /// What it does. Shared by all matches of a rule, and by rules that do the same.
    pub action: Arc<Action>,
    /// Where it comes from; none for a route that no VirtualService made.
    pub origin: Option<Arc<Origin>>,
}

/// The place in the files that a route comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Namespace of the VirtualService.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// `http`, `tls` or `tcp`.
    pub section: &'static str,
    /// Index of the rule in the section.
    pub index: u32,
    /// Index of the item in `match`, if there is a match.
    pub match_index: Option<u32>,
    /// Envoy's route name (semantics B8).
    pub route_name: Option<SmolStr>,
    /// The match item, or the rule.
    pub location: Location,
    /// The delegate's rule.
    pub delegate: Option<Box<Origin>>,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// The end of it.
    pub kind: ActionKind,
    /// Operations of the route level.
    pub request_headers: HeaderOps,
    /// Operations of the route level.
    pub response_headers: HeaderOps,
}

/// The end that a route gives to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionKind {
    /// To an upstream. Boxed: it is by far the largest.
    Forward(Box<Forward>),
    /// A redirect (semantics C.3).
    Redirect(Box<Redirect>),
    /// An answer of the proxy's own (semantics C.4).
    Respond(Respond),
    /// To where the client meant it to go (semantics B39).
    Passthrough,
    /// To its Host, by DNS, under `ALLOW_ANY_DYNAMIC_DNS` (semantics B39).
    ByHost,
    /// 502 of `REGISTRY_ONLY` (semantics B39).
    Blackhole,
}

/// Everything about sending a request upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forward {
    /// One, or several with weights over 0 (semantics C6, C7).
    pub destinations: Vec<Destination>,
    /// What happens to the path.
    pub path_rewrite: Option<PathRewrite>,
    /// The Host that the upstream sees, of the route level.
    pub authority: Option<SmolStr>,
    /// None: no limit.
    pub timeout: Option<Duration>,
    /// Effective, defaults included; none: no retries. Shared by all rules that say nothing of them.
    pub retries: Option<Arc<Retries>>,
    /// Copies.
    pub mirrors: Vec<Mirror>,
    /// Injected delay.
    pub delay: Option<Delay>,
    /// Injected answer.
    pub abort: Option<Abort>,
    /// CORS policy.
    pub cors: Option<Box<Cors>>,
    /// How the route's hash is computed, of all its destinations (semantics D23).
    pub hash: Vec<HashKey>,
}

/// One place a request or connection may go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Destination {
    /// Fully qualified.
    pub host: SmolStr,
    /// Service port.
    pub port: u32,
    /// Subset.
    pub subset: Option<SmolStr>,
    /// Share of the draws; 1 where there is only one.
    pub weight: u32,
    /// Name of its cluster in [`ProxyProgram::clusters`]; none: there is no such cluster (503 NC).
    pub cluster: Option<SmolStr>,
    /// The Host that the upstream sees, of the destination level; loses to the route's (semantics C16).
    pub authority: Option<SmolStr>,
    /// Operations of the destination level.
    pub request_headers: HeaderOps,
    /// Operations of the destination level.
    pub response_headers: HeaderOps,
}

/// Header operations of one level; authority is not among them (semantics C16).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOps {
    /// Replaced or created, by name.
    pub set: BTreeMap<SmolStr, SmolStr>,
    /// Appended, by name.
    pub add: BTreeMap<SmolStr, SmolStr>,
    /// Removed, sorted.
    pub remove: Vec<SmolStr>,
}

/// What happens to the path (semantics C.2). The query is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum PathRewrite {
    /// Replaces what the predicate's path test matched: the prefix (`Any`: the leading `/`), else the whole path.
    Matched(SmolStr),
    /// Replaces every match of the pattern (semantics C14).
    Regex {
        /// Searched for, unanchored.
        pattern: Pattern,
        /// With `\0` to `\9`.
        substitution: SmolStr,
    },
}

/// A redirect (semantics C.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Scheme; none: the request's.
    pub scheme: Option<SmolStr>,
    /// Host, perhaps with a port; none: the request's, with its port.
    pub authority: Option<SmolStr>,
    /// Port to write, after C25's omission of default ports.
    pub port: Option<u32>,
    /// Whole path.
    pub path: Option<SmolStr>,
    /// Replaces the matched prefix.
    pub prefix: Option<SmolStr>,
}

/// An answer of the proxy's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Respond {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Retry policy, in force (semantics C.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// Tries after the first.
    pub attempts: u32,
    /// Limit of each try.
    pub per_try_timeout: Option<Duration>,
    /// Condition names, without status codes.
    pub conditions: Vec<SmolStr>,
    /// Status codes of `retriable-status-codes`.
    pub status_codes: Vec<u16>,
    /// Base of the back-off; 25 ms where none is given.
    pub backoff: Option<Duration>,
    /// Hosts already tried are avoided (semantics C57).
    pub avoid_previous_hosts: bool,
    /// Moves to other priorities (semantics C58).
    pub remote_localities: bool,
}

/// A copy of the request (semantics C.9).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mirror {
    /// Where to; its weight means nothing.
    pub destination: Destination,
    /// In parts per million.
    pub per_million: u32,
}

/// Injected delay (semantics C.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// How long.
    pub duration: Duration,
    /// In parts per million.
    pub per_million: u32,
}

/// Injected answer (semantics C.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abort {
    /// HTTP status.
    pub status: Option<u16>,
    /// Name of the gRPC status.
    pub grpc_status: Option<SmolStr>,
    /// In parts per million.
    pub per_million: u32,
}

/// CORS policy (semantics C.10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Any of these.
    pub allow_origins: Vec<malha_algebra::ValueTest>,
    /// Methods.
    pub allow_methods: Vec<SmolStr>,
    /// Headers.
    pub allow_headers: Vec<SmolStr>,
    /// Headers.
    pub expose_headers: Vec<SmolStr>,
    /// In whole seconds.
    pub max_age: Option<Duration>,
    /// Where said.
    pub allow_credentials: Option<bool>,
    /// IGNORE instead of FORWARD (semantics C80).
    pub ignore_unmatched_preflights: bool,
}

/// What a consistent hash reads (semantics D21).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// The lines of a header.
    Header(SmolStr),
    /// A cookie; with a ttl it is set where absent (semantics D22).
    Cookie {
        /// Name.
        name: SmolStr,
        /// Path.
        path: Option<SmolStr>,
        /// Zero: a session cookie.
        ttl: Option<Duration>,
    },
    /// The client's address.
    SourceIp,
    /// A query parameter.
    QueryParameter(SmolStr),
}

/// A group of endpoints with one policy (semantics 0.11).
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// `outbound|port|subset|host`.
    pub name: SmolStr,
    /// Fully qualified host of the service.
    pub host: SmolStr,
    /// Service port.
    pub port: u32,
    /// Subset.
    pub subset: Option<SmolStr>,
    /// How endpoints are found.
    pub discovery: Discovery,
    /// The port that takes the place of the one which the client meant, where that is how an endpoint is found (semantics
    /// E10).
    pub original_port: Option<u32>,
    /// Known ones; unhealthy ones are not listed.
    pub endpoints: Vec<Endpoint>,
    /// Which HTTP the upstream is spoken to in.
    pub protocol: UpstreamProtocol,
    /// The traffic policy in force, after D10 to D14.
    pub policy: Policy,
    /// The DestinationRule it comes from, as (namespace, name).
    pub destination_rule: Option<(SmolStr, SmolStr)>,
}

/// Which HTTP an upstream is spoken to in (semantics D37).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge or agreed on in TLS.
    Http2,
    /// What the client of each request speaks.
    Clients,
}

/// How endpoints are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Discovery {
    /// Told by the control plane: Kubernetes services, STATIC entries.
    #[default]
    Eds,
    /// Every address of every name.
    StrictDns,
    /// The first address of one name.
    LogicalDns,
    /// Where the client meant to go.
    OriginalDestination,
    /// The request's own host.
    DynamicDns,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// IP, DNS name or `unix://` path; none: the input does not say (a workload template).
    pub address: Option<SmolStr>,
    /// Port; 0 for unix sockets.
    pub port: u32,
    /// Share; 1 where none is given.
    pub weight: u32,
    /// `region/zone/subzone`.
    pub locality: Option<SmolStr>,
    /// How near it is to the proxy: endpoints of a higher number get requests as those of lower ones fail (semantics D29,
    /// D34).
    pub priority: u32,
    /// The share of its locality among those of its priority; none: localities do not count within a priority.
    pub locality_weight: Option<u32>,
    /// The workload behind it, as (namespace, name), where the input says.
    pub workload: Option<(SmolStr, SmolStr)>,
    /// Its labels.
    pub labels: BTreeMap<SmolStr, SmolStr>,
}

/// A traffic policy in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Load balancing.
    pub load_balancer: LoadBalancer,
    /// 10 s where none is given.
    pub connect_timeout: Option<Duration>,
    /// Limits by name, as `maxConnections`, `http1MaxPendingRequests`, `http2MaxRequests`, `maxRetries`,
    /// `maxRequestsPerConnection`: those that are set.
    pub limits: BTreeMap<SmolStr, u32>,
    /// The whole `trafficPolicy` in force, as the file writes it (JSON), for what is executed later.
    pub source: Option<Arc<serde_json::Value>>,
}

/// Load balancing (semantics D.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancer {
    /// Power of two choices.
    #[default]
    LeastRequest,
    /// In turn.
    RoundRobin,
    /// Any.
    Random,
    /// None: original destination.
    Passthrough,
    /// Ring hash.
    RingHash {
        /// 1024 where none is given.
        minimum_size: u64,
    },
    /// Maglev.
    Maglev {
        /// 65537 where none is given.
        table_size: u64,
    },
}

/// Something that lowering left out or decided between; lints tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What.
    pub kind: NoteKind,
    /// Where the loser is.
    pub location: Location,
    /// Where the winner is, if there is one.
    pub other: Option<Location>,
    /// Details for the message, as a sentence without a subject.
    pub detail: String,
}

/// What a [`Note`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// A Gateway server that takes no part (semantics A10, A13).
    ServerSkipped,
    /// A plaintext server that fits beside TLS servers of another Gateway only because it comes after them
    /// (semantics A13, A17).
    ServerOrderMatters,
    /// A plaintext server whose requests are redirected to HTTPS because another server asks for that (semantics A40).
    RedirectImposed,
    /// A match of a passthrough rule whose server name an earlier one has (semantics A19).
    SniTaken,
    /// A listener that Envoy would refuse to load.
    ListenerRejected,
    /// Input on which istiod itself fails (semantics A20).
    ControlPlanePanics,
    /// A delegate that is not merged (semantics B14 to B21).
    DelegateDropped,
}

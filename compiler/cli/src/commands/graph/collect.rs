//! What is to be drawn of a mesh: what its gateways and its clients execute by rules of VirtualServices, and what
//! DestinationRules and ServiceEntries say besides.

use super::topology::{Edge, EdgeKind, Node, NodeKind, State, Topology};
use crate::{report, words};
use malha_mesh::{
    Mesh, ObjectName,
    analysis::unreached,
    names::fully_qualified,
    program::{
        ActionKind, Cluster, Destination, Filter, Listener, Origin, Program, Proxy, Role, Route, TcpRoute, VirtualHost,
    },
    registry::ServiceOrigin,
};
use malha_model::Spec;
use petgraph::graph::DiGraph;
use smol_str::SmolStr;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// So many matches of a rule are told; others are counted.
const MOST_MATCHES: usize = 3;

/// What there is to draw.
pub(super) struct Collected {
    pub(super) topology: Topology,
    /// How many rules nobody executes that is drawn.
    pub(super) not_drawn: usize,
}

/// What makes a node this one and no other; their order is that of the picture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// The gateway proxy (none: the clients), port, bind address.
    Entry(Option<ObjectName>, u32, Option<SmolStr>),
    /// The entry, and the first name.
    Host(Box<Key>, SmolStr),
    /// VirtualService, section, index.
    Rule(ObjectName, &'static str, u32),
    /// The same of a delegate.
    Delegate(ObjectName, &'static str, u32),
    Policy(ObjectName),
    /// Host and subset.
    Service(SmolStr, Option<SmolStr>),
    Workload(String),
}

/// A node as far as it is known.
struct Draft {
    kind: NodeKind,
    lines: Vec<String>,
    /// What a rule takes, in order.
    matches: Vec<String>,
    names: BTreeSet<String>,
    is_live: bool,
    /// Whether destinations that lead here have a cluster; none: no destination does.
    is_there: Option<bool>,
}

/// An edge as far as it is known.
#[derive(Default)]
struct Line {
    labels: BTreeSet<String>,
    is_live: bool,
    is_missing: bool,
}

type Clusters<'p> = HashMap<&'p str, &'p Cluster>;

struct Collector<'a> {
    mesh: &'a Mesh,
    nodes: BTreeMap<Key, Draft>,
    edges: BTreeMap<(Key, Key, EdgeKind), Line>,
}

/// Collects what there is to draw of a mesh and its program.
pub(super) fn collect(mesh: &Mesh, program: &Program) -> Collected {
    let mut collector = Collector { mesh, nodes: BTreeMap::new(), edges: BTreeMap::new() };
    // Proxies alike share what is drawn of them.
    let mut drawn: Vec<&Proxy> = Vec::new();
    for proxy in &program.proxies {
        let alike = drawn.iter().find(|known| {
            known.role == proxy.role && known.gateways == proxy.gateways && Arc::ptr_eq(&known.program, &proxy.program)
        });
        if let Some(known) = alike {
            collector.also(known, proxy);
        } else {
            drawn.push(proxy);
            collector.proxy(proxy);
        }
    }
    collector.policies();
    let not_drawn = collector.left_over();
    Collected { topology: collector.topology(), not_drawn }
}

impl Collector<'_> {
    fn proxy(&mut self, proxy: &Proxy) {
        let program = &proxy.program;
        let clusters: Clusters<'_> = program.clusters.iter().map(|it| (it.name.as_str(), it.as_ref())).collect();
        // What Envoy refuses takes no requests.
        for listener in program.listeners.iter().filter(|listener| listener.rejected.is_none()) {
            for chain in &listener.filter_chains {
                match &chain.filter {
                    Filter::Http(index) => {
                        let table = program.route_tables.get(*index);
                        for host in table.map(|table| table.virtual_hosts.as_slice()).unwrap_or_default() {
                            self.virtual_host(proxy, listener, host, &clusters);
                        }
                    }
                    Filter::Tcp(tcp) => {
                        let names =
                            if chain.server_names.is_empty() { &chain.destinations } else { &chain.server_names };
                        self.connections(proxy, listener, names, tcp, &clusters);
                    }
                }
            }
        }
        for cluster in &program.clusters {
            let service = self.mesh.registry().services_of_host(&cluster.host).next();
            let is_external = service.is_some_and(|service| service.origin == ServiceOrigin::ServiceEntry);
            if is_external || cluster.destination_rule.is_some() {
                let key = self.service(&cluster.host, cluster.subset.as_ref());
                self.cluster(&key, cluster);
            }
        }
    }

    /// Another proxy that executes what one that is drawn does.
    fn also(&mut self, known: &Proxy, other: &Proxy) {
        if known.role != Role::Gateway {
            return;
        }
        for listener in &known.program.listeners {
            if let Some(entry) = self.nodes.get_mut(&entry(known, listener)) {
                let name = format!("gateway {}/{}", other.namespace, other.name);
                if !entry.lines.contains(&name) {
                    entry.lines.push(name);
                }
                entry.names.extend(object_names(&other.namespace, &other.name));
            }
        }
    }

    fn virtual_host(&mut self, proxy: &Proxy, listener: &Listener, host: &VirtualHost, clusters: &Clusters<'_>) {
        if host.routes.iter().all(|route| route.origin.is_none()) {
            return;
        }
        let key = self.host(proxy, listener, &host.domains, "no name");
        let mut dead = unreached(host).iter().map(|one| one.route).peekable();
        for (number, route) in host.routes.iter().enumerate() {
            let is_live = dead.next_if_eq(&number).is_none();
            if let Some(origin) = route.origin.as_deref() {
                let rule = self.rule(&key, origin, is_live);
                self.route(&rule, route, is_live, clusters);
            }
        }
    }

    fn connections(
        &mut self,
        proxy: &Proxy,
        listener: &Listener,
        names: &[SmolStr],
        tcp: &TcpRoute,
        clusters: &Clusters<'_>,
    ) {
        let Some(origin) = tcp.origin.as_deref() else { return };
        let host = self.host(proxy, listener, names, "any connection");
        let rule = self.rule(&host, origin, true);
        self.destinations(&rule, &tcp.destinations, true, clusters);
    }

    fn host(&mut self, proxy: &Proxy, listener: &Listener, names: &[SmolStr], nameless: &str) -> Key {
        let (mesh, entry) = (self.mesh, entry(proxy, listener));
        let known = self.node(&entry, NodeKind::Entry);
        if known.lines.is_empty() {
            (known.lines, known.names) = entrance(mesh, proxy, listener);
        }
        let first = names.first().map_or(nameless, SmolStr::as_str);
        let key = Key::Host(Box::new(entry.clone()), first.into());
        let host = self.node(&key, NodeKind::Host);
        if host.lines.is_empty() {
            host.lines.push(first.to_owned());
            if names.len() > 1 {
                host.lines.push(format!("and {}", report::count(names.len() - 1, "other name")));
            }
        }
        host.names.extend(names.iter().map(SmolStr::to_string));
        self.edge(&entry, &key, EdgeKind::Request, "", true);
        key
    }

    /// The rule, or the delegate's that stands for it.
    fn rule(&mut self, host: &Key, origin: &Origin, is_live: bool) -> Key {
        let key =
            Key::Rule(ObjectName::new(origin.namespace.clone(), origin.name.clone()), origin.section, origin.index);
        self.rule_node(&key, NodeKind::Rule, is_live);
        self.edge(host, &key, EdgeKind::Request, "", is_live);
        let Some(delegate) = origin.delegate.as_deref() else { return key };
        let name = ObjectName::new(delegate.namespace.clone(), delegate.name.clone());
        let merged = Key::Delegate(name, delegate.section, delegate.index);
        self.rule_node(&merged, NodeKind::Delegate, is_live);
        self.edge(&key, &merged, EdgeKind::Request, "", is_live);
        merged
    }

    fn rule_node(&mut self, key: &Key, kind: NodeKind, is_live: bool) -> &mut Draft {
        let node = self.node(key, kind);
        node.is_live |= is_live;
        if let (Key::Rule(name, section, index) | Key::Delegate(name, section, index), true) =
            (key, node.lines.is_empty())
        {
            let title = format!("{name} {section}[{index}]");
            node.names.extend(object_names(&name.namespace, &name.name));
            node.names.insert(title.clone());
            node.lines.push(title);
        }
        node
    }

    fn route(&mut self, rule: &Key, route: &Route, is_live: bool, clusters: &Clusters<'_>) {
        let forward = match &route.action.kind {
            ActionKind::Forward(forward) => Some(forward),
            _ => None,
        };
        if let Some(node) = self.nodes.get_mut(rule) {
            let taken = words::predicate(&route.predicate);
            if !node.matches.contains(&taken) {
                node.matches.push(taken);
            }
            // A request that is answered here leads to nothing that could say so.
            if forward.is_none() && node.lines.len() == 1 {
                node.lines.push(words::action(&route.action));
            }
        }
        let Some(forward) = forward else { return };
        self.destinations(rule, &forward.destinations, is_live, clusters);
        for mirror in &forward.mirrors {
            let label = match mirror.per_million {
                1_000_000 => "mirror".to_owned(),
                share => format!("mirror {}%", f64::from(share) / 10_000.0),
            };
            self.destination(rule, &mirror.destination, (EdgeKind::Mirror, label), is_live, clusters);
        }
    }

    fn destinations(&mut self, rule: &Key, destinations: &[Destination], is_live: bool, clusters: &Clusters<'_>) {
        for destination in destinations {
            let share = if destinations.len() > 1 { format!("{}%", destination.weight) } else { String::new() };
            self.destination(rule, destination, (EdgeKind::Request, share), is_live, clusters);
        }
    }

    fn destination(
        &mut self,
        rule: &Key,
        destination: &Destination,
        (kind, mut label): (EdgeKind, String),
        is_live: bool,
        clusters: &Clusters<'_>,
    ) {
        let key = self.service(&destination.host, destination.subset.as_ref());
        let cluster = destination.cluster.as_deref().and_then(|name| clusters.get(name));
        let is_missing = destination.cluster.is_none();
        let ports = self.mesh.registry().services_of_host(&destination.host).next().map_or(0, |it| it.ports.len());
        let port = if ports == 1 && !is_missing { String::new() } else { format!(":{}", destination.port) };
        for part in [port.as_str(), if is_missing { "missing" } else { "" }].into_iter().filter(|part| !part.is_empty())
        {
            if !label.is_empty() {
                label.push(' ');
            }
            label.push_str(part);
        }
        let there = &mut self.node(&key, NodeKind::Service).is_there;
        *there = Some(there.unwrap_or_default() || !is_missing);
        self.edge(rule, &key, kind, &label, is_live).is_missing |= is_missing;
        if let Some(cluster) = cluster {
            self.cluster(&key, cluster);
        }
    }

    /// The node of a service, or of a subset.
    fn service(&mut self, host: &SmolStr, subset: Option<&SmolStr>) -> Key {
        let key = Key::Service(host.clone(), subset.cloned());
        let service = self.mesh.registry().services_of_host(host).next();
        let is_external = service.is_some_and(|service| service.origin == ServiceOrigin::ServiceEntry);
        let node = self.node(&key, if is_external { NodeKind::ServiceEntry } else { NodeKind::Service });
        if node.lines.is_empty() {
            match service {
                Some(service) if !is_external => node.lines.push(format!("{}/{}", service.namespace, service.name)),
                _ => node.lines.push(host.to_string()),
            }
            if let Some(service) = service {
                node.names.extend(object_names(&service.namespace, &service.resource.name));
            }
            node.names.insert(host.to_string());
            node.lines.extend(subset.map(|subset| format!("subset {subset}")));
        }
        key
    }

    /// Where a cluster leads, and what says how.
    fn cluster(&mut self, service: &Key, cluster: &Cluster) {
        if let Some((namespace, name)) = &cluster.destination_rule {
            let policy = self.policy(&ObjectName::new(namespace.clone(), name.clone()));
            self.edge(&policy, service, EdgeKind::Policy, "", true);
        }
        for endpoint in &cluster.endpoints {
            let (title, names) = match (&endpoint.workload, &endpoint.address) {
                (Some((namespace, name)), _) => (format!("{namespace}/{name}"), object_names(namespace, name).to_vec()),
                (None, Some(address)) if endpoint.port == 0 => (address.to_string(), vec![address.to_string()]),
                (None, Some(address)) => (format!("{address}:{}", endpoint.port), vec![address.to_string()]),
                (None, None) => continue,
            };
            let key = Key::Workload(title.clone());
            let node = self.node(&key, NodeKind::Workload);
            if node.lines.is_empty() {
                node.names = names.into_iter().chain([title.clone()]).collect();
                node.lines.push(title);
            }
            self.edge(service, &key, EdgeKind::Request, "", true);
        }
    }

    fn policy(&mut self, name: &ObjectName) -> Key {
        let key = Key::Policy(name.clone());
        let node = self.node(&key, NodeKind::Policy);
        if node.lines.is_empty() {
            node.lines = vec!["DestinationRule".to_owned(), name.to_string()];
            node.names.extend(object_names(&name.namespace, &name.name));
        }
        key
    }

    /// The DestinationRules, with the subsets that no rule sends to.
    fn policies(&mut self) {
        let mesh = self.mesh;
        for resource in mesh.resources() {
            let Spec::DestinationRule(spec) = &resource.spec else { continue };
            let policy = self.policy(&ObjectName::new(resource.namespace.clone(), resource.name.clone()));
            let Some(host) = &spec.host else { continue };
            let host = fully_qualified(host, &resource.namespace, &mesh.config().cluster_domain);
            // A wildcard is for many hosts: those that somebody sends to are drawn.
            if mesh.registry().services_of_host(&host).next().is_none() {
                continue;
            }
            for subset in spec.subsets.iter().filter_map(|subset| subset.name.as_ref()) {
                let service = self.service(&host, Some(&subset.value));
                self.edge(&policy, &service, EdgeKind::Policy, "", true);
            }
        }
    }

    /// Draws rules that no table holds because one without `match` stands before them (semantics A27); counts those that
    /// are in no table for other reasons.
    fn left_over(&mut self) -> usize {
        let mesh = self.mesh;
        let mut not_drawn = 0;
        for service in mesh.virtual_services().iter().filter(|service| !service.hosts.is_empty()) {
            let mut takes_all: Option<Key> = None;
            let mut counted = BTreeSet::new();
            for rule in service.http_rules() {
                let key = Key::Rule(service.name.clone(), "http", rule.index);
                if self.nodes.contains_key(&key) {
                    if rule.route.matches.is_empty() {
                        takes_all.get_or_insert(key);
                    }
                } else if let Some(before) = &takes_all {
                    let to_before = self.edges.keys().filter(|(_, to, _)| to == before);
                    let hosts: Vec<Key> = to_before.map(|(from, ..)| from.clone()).collect();
                    let node = self.rule_node(&key, NodeKind::Rule, false);
                    if node.lines.len() == 1 {
                        node.lines.push("after a rule that takes everything".to_owned());
                    }
                    for host in hosts {
                        self.edge(&host, &key, EdgeKind::Request, "", false);
                    }
                } else {
                    counted.insert(("http", rule.index));
                }
            }
            let sections = [("tls", service.tls_rules().len()), ("tcp", service.tcp_rules().len())];
            for (section, count) in sections {
                let absent = |index: &u32| !self.nodes.contains_key(&Key::Rule(service.name.clone(), section, *index));
                counted.extend((0..count as u32).filter(absent).map(|index| (section, index)));
            }
            not_drawn += counted.len();
        }
        not_drawn
    }

    fn node(&mut self, key: &Key, kind: NodeKind) -> &mut Draft {
        let is_rule = matches!(kind, NodeKind::Rule | NodeKind::Delegate);
        self.nodes.entry(key.clone()).or_insert_with(|| Draft {
            kind,
            lines: Vec::new(),
            matches: Vec::new(),
            names: BTreeSet::new(),
            is_live: !is_rule,
            is_there: None,
        })
    }

    fn edge(&mut self, from: &Key, to: &Key, kind: EdgeKind, label: &str, is_live: bool) -> &mut Line {
        let line = self.edges.entry((from.clone(), to.clone(), kind)).or_default();
        if !label.is_empty() {
            line.labels.insert(label.to_owned());
        }
        line.is_live |= is_live;
        line
    }

    fn topology(self) -> Topology {
        let mut graph = DiGraph::with_capacity(self.nodes.len(), self.edges.len());
        let mut indices = BTreeMap::new();
        for (key, draft) in self.nodes {
            indices.insert(key, graph.add_node(draft.node()));
        }
        for ((from, to, kind), line) in self.edges {
            let (Some(from), Some(to)) = (indices.get(&from), indices.get(&to)) else { continue };
            let label = line.labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let state = match (line.is_live, line.is_missing) {
                (false, _) => State::Dead,
                (true, true) => State::Missing,
                (true, false) => State::Live,
            };
            graph.add_edge(*from, *to, Edge { kind, label, state });
        }
        Topology(graph)
    }
}

impl Draft {
    fn node(self) -> Node {
        let Draft { kind, mut lines, matches, names, is_live, is_there } = self;
        let more = matches.len().saturating_sub(MOST_MATCHES);
        lines.splice(1..1, matches.into_iter().take(MOST_MATCHES));
        if more > 0 {
            let noun = if more == 1 { "match" } else { "matches" };
            lines.insert(1 + MOST_MATCHES, format!("and {more} more {noun}"));
        }
        let state = match (is_live, is_there) {
            (false, _) => State::Dead,
            (true, Some(false)) => State::Missing,
            (true, _) => State::Live,
        };
        match state {
            State::Live => {}
            State::Dead => lines.push("never reached".to_owned()),
            State::Missing => lines.push("missing".to_owned()),
        }
        Node { kind, lines, names, state }
    }
}

fn entry(proxy: &Proxy, listener: &Listener) -> Key {
    let gateway = (proxy.role == Role::Gateway).then(|| ObjectName::new(proxy.namespace.clone(), proxy.name.clone()));
    Key::Entry(gateway, listener.port, bind(listener))
}

/// Where it listens, if not at any address. Connections by name come in where those by any address do.
fn bind(listener: &Listener) -> Option<SmolStr> {
    if listener.goes_by_name() { None } else { listener.bind.text().map(SmolStr::from) }
}

/// The lines and the names of an entry.
fn entrance(mesh: &Mesh, proxy: &Proxy, listener: &Listener) -> (Vec<String>, BTreeSet<String>) {
    let address = bind(listener).map(|bind| format!(" of {bind}")).unwrap_or_default();
    let port = format!("port {}{address}", listener.port);
    if proxy.role == Role::Sidecar {
        return (vec!["clients in the mesh".to_owned(), port], BTreeSet::from(["mesh".to_owned()]));
    }
    let mut lines = vec![format!("gateway {}/{}", proxy.namespace, proxy.name), port];
    let mut names: BTreeSet<String> = object_names(&proxy.namespace, &proxy.name).into();
    for (namespace, name) in &proxy.gateways {
        let Some(gateway) = mesh.gateway(&ObjectName::new(namespace.clone(), name.clone())) else { continue };
        let numbers = gateway.servers().iter().filter_map(|server| server.port.as_ref()?.number.as_ref());
        if numbers.map(|number| number.value).any(|number| listener.server_ports.contains(&number)) {
            lines.push(format!("Gateway {namespace}/{name}"));
            names.extend(object_names(namespace, name));
        }
    }
    (lines, names)
}

/// The ways to name an object.
fn object_names(namespace: &str, name: &str) -> [String; 2] {
    [format!("{namespace}/{name}"), name.to_owned()]
}

//! Which servers of which Gateways share a listener, a filter chain or a route table (semantics A.2).

use crate::Gateway;
use crate::program::{Note, NoteKind};
use crate::registry::Protocol;
use hashbrown::{HashMap, HashSet};
use malha_model::istio::gateway::{Server, ServerTlsMode};
use malha_syntax::Location;
use smol_str::{SmolStr, ToSmolStr, format_smolstr};
use std::collections::BTreeMap;

/// One server of a Gateway that takes part.
#[derive(Clone, Debug)]
pub(super) struct ServerRef<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) server: &'a Server,
    /// Its own number, before any translation.
    pub(super) number: u32,
    pub(super) protocol: Protocol,
    pub(super) bind: SmolStr,
    /// Hosts as merging compares them: `ns/host`, or `host` for any namespace (semantics A20).
    pub(super) hosts: Vec<SmolStr>,
    pub(super) location: Location,
    /// Name of the route table, where it has one (semantics A4).
    pub(super) route_name: Option<SmolStr>,
}

impl ServerRef<'_> {
    /// Whether it has a `tls` block, if only to redirect (semantics A44).
    pub(super) fn has_tls_block(&self) -> bool {
        self.server.tls.is_some()
    }

    /// Whether it speaks TLS: an HTTP server with a `tls` block only redirects.
    pub(super) fn is_tls(&self) -> bool {
        self.has_tls_block() && !self.protocol.is_http()
    }

    /// Whether plain requests are redirected (semantics A38).
    pub(super) fn redirects_to_https(&self) -> bool {
        let redirect = self.server.tls.as_ref().and_then(|tls| tls.https_redirect.as_ref());
        redirect.is_some_and(|redirect| redirect.value)
    }

    pub(super) fn mode(&self) -> ServerTlsMode {
        let mode = self.server.tls.as_ref().and_then(|tls| tls.mode.as_ref());
        mode.map_or(ServerTlsMode::Passthrough, |mode| mode.value)
    }

    /// Whether TLS is not ended here (semantics A.6).
    pub(super) fn passes_tls_through(&self) -> bool {
        matches!(self.mode(), ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough)
    }

    /// Whether requests are routed: HTTP, or HTTPS that ends here.
    pub(super) fn is_http(&self) -> bool {
        self.protocol.is_http()
            || (self.protocol == Protocol::Https && self.has_tls_block() && !self.passes_tls_through())
    }

    /// Server names that its TLS is for; empty: any or none (semantics A21, A52).
    pub(super) fn sni_hosts(&self) -> Vec<SmolStr> {
        let mut names: Vec<SmolStr> = Vec::with_capacity(self.hosts.len());
        for host in &self.hosts {
            let name = host.split_once('/').map_or(host.as_str(), |(_, name)| name);
            if !names.iter().any(|other| other == name) {
                names.push(name.into());
            }
        }
        if names.iter().any(|name| name == "*") { Vec::new() } else { names }
    }
}

/// What makes servers share filter chains: target port, protocol as written, bind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    port: u32,
    protocol: SmolStr,
    bind: SmolStr,
}

/// Servers that share one plaintext chain, or the TLS servers of one protocol.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    pub(super) port: u32,
    pub(super) bind: SmolStr,
    pub(super) protocol: Protocol,
    pub(super) servers: Vec<ServerRef<'a>>,
}

/// The servers of all Gateways of a proxy, merged.
#[derive(Debug, Default)]
pub(super) struct Merged<'a> {
    pub(super) groups: Vec<Group<'a>>,
    /// The servers of each route table, in order.
    pub(super) tables: BTreeMap<SmolStr, Vec<ServerRef<'a>>>,
    pub(super) notes: Vec<Note>,
}

/// Merges the servers of `gateways`, which are in the order of semantics 0.1; `resolve` translates a server's number
/// (semantics A2).
pub(super) fn merge<'a>(gateways: &[&'a Gateway], resolve: impl Fn(u32) -> u32) -> Merged<'a> {
    let mut merger = Merger::default();
    for gateway in gateways {
        for server in gateway.servers() {
            let location = gateway.resource.location(server.span);
            let (Some(number), Some(protocol)) = (
                server.port.as_ref().and_then(|port| port.number.as_ref()),
                server.port.as_ref().and_then(|port| port.protocol.as_ref()),
            ) else {
                continue;
            };
            let Some(hosts) = sanitized_hosts(&server.value, &gateway.name.namespace) else {
                merger.note(
                    NoteKind::ControlPlanePanics,
                    location,
                    None,
                    "istiod writes past the end of the list of hosts, since `*/*` is followed by another host of this \
                     form"
                        .to_owned(),
                );
                continue;
            };
            let mut server = ServerRef {
                gateway,
                server: &server.value,
                number: number.value,
                protocol: Protocol::parse(protocol),
                bind: server.bind.as_ref().map(|bind| bind.value.clone()).unwrap_or_default(),
                hosts,
                location,
                route_name: None,
            };
            let port = resolve(server.number);
            server.route_name = route_name(&server, port);
            let key = Key { port, protocol: protocol.value.clone(), bind: server.bind.clone() };
            merger.add(key, server);
        }
    }
    merger.merged
}

#[derive(Default)]
struct Merger<'a> {
    merged: Merged<'a>,
    index: HashMap<Key, usize>,
    ports: HashSet<u32>,
    /// The plaintext group that the next server on the port is held against: the first, or the last that had another
    /// bind than the one before it.
    plaintext: HashMap<u32, Key>,
    /// Binds of a port on which TLS came first, of the second server on.
    later_binds: HashMap<u32, HashSet<SmolStr>>,
    /// Hosts of servers with a `tls` block, by port: bind and place of the last to claim it.
    tls_hosts: HashMap<(u32, SmolStr), (SmolStr, Location)>,
}

impl<'a> Merger<'a> {
    fn add(&mut self, key: Key, server: ServerRef<'a>) {
        if server.has_tls_block() && self.is_duplicate(&key, &server) {
            return;
        }
        if self.ports.insert(key.port) {
            self.first_on_port(key, server);
        } else if let Some(current) = self.plaintext.get(&key.port).cloned() {
            self.beside_plaintext(&current, key, server);
        } else {
            self.beside_tls(key, server);
        }
    }

    /// A server with a `tls` block is skipped whole when one of its hosts is taken (semantics A10).
    fn is_duplicate(&mut self, key: &Key, server: &ServerRef<'a>) -> bool {
        let claim = |host: &SmolStr| (key.port, host.clone());
        let taken = server.hosts.iter().find_map(|host| {
            let (bind, place) = self.tls_hosts.get(&claim(host))?;
            (*bind == key.bind).then_some((host, *place))
        });
        if let Some((host, place)) = taken {
            let detail = format!("host `{host}` on port {} is taken by an earlier server with a `tls` block", key.port);
            self.note(NoteKind::ServerSkipped, server.location, Some(place), detail);
            return true;
        }
        for host in &server.hosts {
            self.tls_hosts.insert(claim(host), (key.bind.clone(), server.location));
        }
        false
    }

    /// Semantics A11.
    fn first_on_port(&mut self, key: Key, server: ServerRef<'a>) {
        if !server.is_tls() {
            self.plaintext.insert(key.port, key.clone());
        }
        self.add_to_table(&server);
        self.add_to_group(key, server);
    }

    /// Semantics A12 to A14. Going back to an earlier bind with another protocol name makes a second group of that bind,
    /// and so two equal filter chains.
    fn beside_plaintext(&mut self, current: &Key, key: Key, server: ServerRef<'a>) {
        if current.bind != key.bind {
            self.plaintext.insert(key.port, key.clone());
            self.add_to_table(&server);
            self.add_to_group(key, server);
            return;
        }
        let first = Protocol::parse(&current.protocol);
        if first.is_http() && server.protocol.is_http() {
            self.add_to_table(&server);
            self.add_to_group(current.clone(), server);
            return;
        }
        let place = self.place(current);
        let detail = format!(
            "port {} is taken by an earlier {} server, beside which no {} server fits",
            key.port, current.protocol, key.protocol
        );
        self.note(NoteKind::ServerSkipped, server.location, place, detail);
    }

    /// Semantics A15 to A17. A plaintext server fits beside one TLS server, not beside several.
    fn beside_tls(&mut self, key: Key, server: ServerRef<'a>) {
        if let Some(name) = server.route_name.clone().filter(|_| server.is_http()) {
            if let Some(other) = self.merged.tables.get(&name).and_then(|servers| servers.first()) {
                let place = other.location;
                let detail = format!("an earlier server on port {} has its port name", key.port);
                self.note(NoteKind::ServerSkipped, server.location, Some(place), detail);
                return;
            }
            self.merged.tables.insert(name, vec![server.clone()]);
        }
        let is_new_bind = self.later_binds.entry(key.port).or_default().insert(key.bind.clone());
        if !server.has_tls_block() && !is_new_bind {
            let detail = format!("port {} is taken by TLS servers, beside which no plaintext server fits", key.port);
            self.note(NoteKind::ServerSkipped, server.location, self.tls_beside(&key, None), detail);
            return;
        }
        if !server.is_tls()
            && let Some(other) = self.tls_beside(&key, Some(server.gateway))
        {
            let detail = format!("port {} belongs to TLS servers of another Gateway", key.port);
            self.note(NoteKind::ServerOrderMatters, server.location, Some(other), detail);
        }
        self.add_to_group(key, server);
    }

    /// A TLS server with the port and bind of `key`, of another Gateway than `not_of`.
    fn tls_beside(&self, key: &Key, not_of: Option<&Gateway>) -> Option<Location> {
        let groups = self.merged.groups.iter().filter(|group| group.port == key.port && group.bind == key.bind);
        let mut servers = groups.flat_map(|group| &group.servers).filter(|server| server.is_tls());
        servers
            .find(|server| not_of.is_none_or(|gateway| gateway.name != server.gateway.name))
            .map(|server| server.location)
    }

    fn add_to_table(&mut self, server: &ServerRef<'a>) {
        if let Some(name) = server.route_name.clone() {
            self.merged.tables.entry(name).or_default().push(server.clone());
        }
    }

    fn add_to_group(&mut self, key: Key, server: ServerRef<'a>) {
        let groups = &mut self.merged.groups;
        let index = *self.index.entry(key.clone()).or_insert_with(|| {
            groups.push(Group {
                port: key.port,
                bind: key.bind,
                protocol: Protocol::parse(&key.protocol),
                servers: Vec::new(),
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            group.servers.push(server);
        }
    }

    fn place(&self, key: &Key) -> Option<Location> {
        let group = self.merged.groups.get(*self.index.get(key)?)?;
        group.servers.first().map(|server| server.location)
    }

    fn note(&mut self, kind: NoteKind, location: Location, other: Option<Location>, detail: String) {
        self.merged.notes.push(Note { kind, location, other, detail });
    }
}

/// Hosts as merging compares them (semantics A20); none if istiod panics on them.
fn sanitized_hosts(server: &Server, namespace: &str) -> Option<Vec<SmolStr>> {
    let written: Vec<&SmolStr> = server.hosts.iter().map(|host| &host.value).collect();
    let everything = written.iter().position(|host| host.as_str() == "*/*");
    if let Some(first) = everything {
        let later = written.get(first + 1..).unwrap_or_default();
        let rewritten = |host: &&&SmolStr| host.as_str() != "*/*" && (host.starts_with("*/") || host.starts_with("./"));
        if later.iter().any(|host| rewritten(&host)) {
            return None;
        }
        return Some(vec![SmolStr::new_static("*")]);
    }
    let hosts = written.into_iter().map(|host| match host.split_once('/') {
        Some((".", name)) => format_smolstr!("{namespace}/{name}"),
        Some(("*", name)) => name.to_smolstr(),
        _ => host.clone(),
    });
    Some(hosts.collect())
}

/// Istio's name for the route table of a server, if it routes requests (semantics A4).
fn route_name(server: &ServerRef<'_>, port: u32) -> Option<SmolStr> {
    let bind = if server.bind.is_empty() { String::new() } else { format!(".{}", server.bind) };
    if server.protocol.is_http() {
        return Some(format_smolstr!("http.{port}{bind}"));
    }
    let name = server.server.port.as_ref().and_then(|port| port.name.as_ref()).map_or("", |name| name.as_str());
    server.is_http().then(|| {
        let gateway = &server.gateway.name;
        format_smolstr!("https.{}.{name}.{}.{}{bind}", server.number, gateway.name, gateway.namespace)
    })
}

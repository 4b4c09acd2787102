//! ServiceEntries that say the same host, or that take connections to the same addresses (semantics E14, E17).

use super::{Proof, claim::observed, replay::Replay};
use malha_mesh::program::Program;
use malha_mesh::registry::{ServiceOrigin, TargetPort};
use malha_mesh::{Mesh, Protocol, ProxySpec, Resolution, Service, ServicePort, Visibility};
use malha_model::{Resource, Spec, istio::ServiceEntry};
use malha_syntax::Location;
use malha_table::{Address, ProxyIdentity, Request};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Something of a ServiceEntry that another keeps from being used.
#[derive(Clone, Debug)]
pub(crate) struct EntryLoss {
    pub(crate) host: SmolStr,
    /// The entry that loses.
    pub(crate) loser: Arc<Resource>,
    /// The object that clients have instead.
    pub(crate) winner: Arc<Resource>,
    /// A namespace whose clients have it so.
    pub(crate) seen_from: SmolStr,
    /// Where the loss is written, and its path.
    pub(crate) location: Location,
    pub(crate) field: String,
    pub(crate) what: Loss,
}

/// What is not used.
#[derive(Clone, Debug)]
pub(crate) enum Loss {
    /// A port that the winner also says, and otherwise: what this one says of it, what the winner does, and where.
    Port { number: u32, own: String, used: String, place: Location },
    /// A port that clients do not have at all.
    Missing { number: u32 },
    /// Connections to an address and port go to another host.
    Address { address: SmolStr, number: u32, taken_by: SmolStr, place: Location, proof: Box<Proof> },
}

/// What is lost among the ServiceEntries of a mesh.
pub(super) fn prove(mesh: &Mesh, program: &Program) -> Vec<EntryLoss> {
    let mut by_host: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
    for resource in mesh.resources() {
        let Spec::ServiceEntry(spec) = &resource.spec else { continue };
        let names = spec.export_to.iter().map(|name| name.value.as_str());
        let visibility = Visibility::new(names, &resource.namespace, &mesh.config().default_service_export_to);
        let hosts: BTreeSet<&str> = spec.hosts.iter().map(|host| host.value.as_str()).collect();
        for host in hosts {
            by_host.entry(host).or_default().push(Entry { resource, spec, visibility: visibility.clone() });
        }
    }
    let mut losses = Vec::new();
    for (host, entries) in by_host.iter().filter(|(_, entries)| entries.len() > 1) {
        for entry in entries {
            of_entry(mesh, host, entry, entries, &mut losses);
        }
    }
    addresses(mesh, program, &mut losses);
    losses
}

/// A ServiceEntry as one of several for a host.
struct Entry<'a> {
    resource: &'a Arc<Resource>,
    spec: &'a ServiceEntry,
    visibility: Visibility,
}

/// The namespaces that tell how clients see entries: their own, those that they are exported to, and one of the others.
fn viewers(mesh: &Mesh, entries: &[Entry<'_>]) -> BTreeSet<SmolStr> {
    let mut names: BTreeSet<SmolStr> = entries.iter().map(|entry| entry.resource.namespace.clone()).collect();
    for entry in entries {
        if let Visibility::Namespaces(exported) = &entry.visibility {
            names.extend(exported.iter().cloned());
        }
    }
    // There is always one: the gateways of a mesh, say, live apart from its applications.
    let other =
        [mesh.config().root_namespace.clone(), SmolStr::new_static("default"), SmolStr::new_static("elsewhere")];
    let other = other.into_iter().find(|name| !names.contains(name));
    names.extend(other);
    names
}

/// What of an entry some clients that see it do not have.
fn of_entry(mesh: &Mesh, host: &str, entry: &Entry<'_>, all: &[Entry<'_>], losses: &mut Vec<EntryLoss>) {
    let namespace = &entry.resource.namespace;
    let Some(own) = mesh.registry().service_in(host, namespace) else { return };
    let mut told: BTreeSet<u32> = BTreeSet::new();
    for viewer in viewers(mesh, all) {
        if !entry.visibility.includes(&viewer) {
            continue;
        }
        let Some(seen) = mesh.service(&client_of(&viewer), host) else { continue };
        // A Kubernetes Service is not to be extended, and what a namespace says for itself is meant to hide others'.
        let is_override = seen.namespace != *namespace && seen.namespace == viewer;
        let is_own = Arc::ptr_eq(&seen.resource, entry.resource);
        if seen.origin == ServiceOrigin::Kubernetes || is_override || is_own {
            continue;
        }
        for (index, port) in entry.spec.ports.iter().enumerate() {
            let Some(number) = port.number.as_ref().map(|number| number.value) else { continue };
            let Some(what) = lost(mesh, own, seen, entry, index, number) else { continue };
            if told.insert(number) {
                losses.push(EntryLoss {
                    host: host.into(),
                    loser: Arc::clone(entry.resource),
                    winner: Arc::clone(&seen.resource),
                    seen_from: viewer.clone(),
                    location: entry.resource.location(port.span),
                    field: format!("spec.ports[{index}]"),
                    what,
                });
            }
        }
    }
}

/// What becomes of a port of an entry where clients see `seen`; none: they have it as it is.
fn lost(mesh: &Mesh, own: &Service, seen: &Service, entry: &Entry<'_>, index: usize, number: u32) -> Option<Loss> {
    let Some(used) = seen.port(number) else { return Some(Loss::Missing { number }) };
    let port = entry.spec.ports.get(index)?;
    if used.location == entry.resource.location(port.span) {
        return None;
    }
    let protocol = port.protocol.as_ref().map_or(Protocol::Auto, |protocol| Protocol::parse(protocol));
    let resolution = resolution(entry.spec);
    let mut said: Vec<[String; 2]> = Vec::new();
    if !are_alike(protocol, used.protocol) {
        said.push([protocol_name(protocol), protocol_name(used.protocol)]);
    }
    if resolution != seen.resolution {
        said.push([resolution_name(&resolution), resolution_name(&seen.resolution)]);
    }
    let name = port.name.as_ref().map_or("", |name| name.value.as_str());
    let has_endpoints = !entry.spec.endpoints.is_empty() || entry.spec.workload_selector.is_some();
    if said.is_empty() {
        if own.namespace == seen.namespace {
            // Endpoints of one namespace add up, found by the name of the port.
            if has_endpoints && name != used.name {
                said.push([format!("port name `{name}`"), format!("`{}`, by which endpoints are found", used.name)]);
            }
        } else if let Some(port) = own.port(number).filter(|port| !leads_alike(mesh, own, port, seen, used)) {
            said.push([endpoints(mesh, own, port), endpoints(mesh, seen, used)]);
        }
    }
    if said.is_empty() {
        return None;
    }
    let side = |at: usize| said.iter().map(|pair| pair[at].clone()).collect::<Vec<_>>().join(" and ");
    Some(Loss::Port { number, own: side(0), used: side(1), place: used.location })
}

/// Whether connections and requests are treated alike by two protocols, whatever they are called (semantics A62, D37,
/// E20).
fn are_alike(one: Protocol, other: Protocol) -> bool {
    one == other
        || (one.is_http() && other.is_http() && one.is_http2() == other.is_http2())
        || (one.is_tls() && other.is_tls())
        || (names_no_host(one) && names_no_host(other))
}

/// Whether the ports of two services, alike in protocol and resolution, lead to the same endpoints.
fn leads_alike(mesh: &Mesh, one: &Service, port: &ServicePort, other: &Service, used: &ServicePort) -> bool {
    let (left, right) = (mesh.registry().endpoints(one, port), mesh.registry().endpoints(other, used));
    left == right && (port.target == used.target || one.resolution != Resolution::Passthrough)
}

fn endpoints(mesh: &Mesh, service: &Service, port: &ServicePort) -> String {
    let found = mesh.registry().endpoints(service, port);
    let first = found.iter().find_map(|endpoint| Some((endpoint.address.as_ref()?, endpoint.port)));
    match (first, &port.target) {
        (Some((address, number)), _) if found.len() > 1 => {
            format!("endpoint {address}:{number} and {} more", found.len() - 1)
        }
        (Some((address, number)), _) => format!("endpoint {address}:{number}"),
        (None, TargetPort::Number(number)) if service.resolution == Resolution::Passthrough => {
            format!("target port {number}")
        }
        (None, _) => "no endpoint".to_owned(),
    }
}

fn resolution(entry: &ServiceEntry) -> Resolution {
    use malha_model::istio::service_entry::Resolution as Written;
    match entry.resolution.as_ref().map(|resolution| resolution.value) {
        None | Some(Written::None) => Resolution::Passthrough,
        Some(Written::Static) => Resolution::Static,
        Some(Written::Dns) => Resolution::Dns,
        Some(Written::DnsRoundRobin) => Resolution::DnsRoundRobin,
        Some(Written::DynamicDns) => Resolution::DynamicDns,
    }
}

fn resolution_name(resolution: &Resolution) -> String {
    let name = match resolution {
        Resolution::Static => "STATIC",
        Resolution::Dns => "DNS",
        Resolution::DnsRoundRobin => "DNS_ROUND_ROBIN",
        Resolution::DynamicDns => "DYNAMIC_DNS",
        Resolution::Passthrough | Resolution::Alias(_) => "NONE",
    };
    format!("resolution {name}")
}

fn protocol_name(protocol: Protocol) -> String {
    if protocol == Protocol::Auto { "no protocol".to_owned() } else { format!("protocol {}", protocol.as_str()) }
}

/// A service that takes connections to an address by nothing else than address and port.
#[derive(Clone, Copy)]
struct Taker<'a> {
    service: &'a Arc<Service>,
    port: &'a ServicePort,
}

/// Services of different hosts that take connections to the same addresses: the first has them all. Of ranges that
/// overlap the narrower one has its part, so only equal ones are looked at.
fn addresses(mesh: &Mesh, program: &Program, losses: &mut Vec<EntryLoss>) {
    let mut by_address: BTreeMap<(&str, u32), Vec<Taker<'_>>> = BTreeMap::new();
    for service in mesh.registry().services().iter().filter(|it| it.origin == ServiceOrigin::ServiceEntry) {
        for port in service.ports.iter().filter(|port| names_no_host(port.protocol)) {
            for address in service.addresses.iter().collect::<BTreeSet<_>>() {
                by_address.entry((address, port.number)).or_default().push(Taker { service, port });
            }
        }
    }
    let replay = Replay::new(mesh, program);
    let mut told: BTreeSet<(&str, &str, u32)> = BTreeSet::new();
    for ((address, number), takers) in by_address.iter().filter(|(_, takers)| takers.len() > 1) {
        for loser in takers {
            let others = takers.iter().filter(|other| other.service.hostname != loser.service.hostname);
            // Where both lead to the same place nothing is lost.
            let others = others.filter(|other| {
                let is_same_way = other.service.resolution == loser.service.resolution;
                !(is_same_way && leads_alike(mesh, loser.service, loser.port, other.service, other.port))
            });
            let found = others.into_iter().find_map(|winner| {
                let seen_from = shared_viewer(mesh, winner.service, loser.service)?;
                let proof = goes_to(&replay, &seen_from, address, *number, &winner.service.hostname)?;
                Some((winner, seen_from, proof))
            });
            let Some((winner, seen_from, proof)) = found else { continue };
            // Of the addresses of an entry one is enough.
            if !told.insert((&loser.service.hostname, &loser.service.namespace, *number)) {
                continue;
            }
            let Some((location, field)) = place_of(&loser.service.resource, address) else { continue };
            let place = place_of(&winner.service.resource, address).map_or(winner.port.location, |(place, _)| place);
            losses.push(EntryLoss {
                host: loser.service.hostname.clone(),
                loser: Arc::clone(&loser.service.resource),
                winner: Arc::clone(&winner.service.resource),
                seen_from,
                location,
                field,
                what: Loss::Address {
                    address: (*address).into(),
                    number: *number,
                    taken_by: winner.service.hostname.clone(),
                    place,
                    proof: Box::new(proof),
                },
            });
        }
    }
}

/// Whether connections say neither a host nor a server name.
pub(super) fn names_no_host(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Mongo | Protocol::Redis | Protocol::Mysql)
}

/// A client of `namespace` without labels.
fn client_of(namespace: &SmolStr) -> ProxySpec {
    ProxySpec { namespace: namespace.clone(), ..ProxySpec::default_sidecar() }
}

/// A namespace whose clients see both services.
fn shared_viewer(mesh: &Mesh, one: &Service, other: &Service) -> Option<SmolStr> {
    let exported_to = |service: &Service| match &service.visibility {
        Visibility::Namespaces(names) => names.clone(),
        _ => Vec::new(),
    };
    let mut names = vec![SmolStr::new_static("default"), one.namespace.clone(), other.namespace.clone()];
    names.extend(exported_to(one));
    names.extend(exported_to(other));
    let sees = |name: &SmolStr, service: &Service| {
        let seen = mesh.service(&client_of(name), &service.hostname);
        seen.is_some_and(|seen| seen.namespace == service.namespace)
    };
    names.into_iter().find(|name| sees(name, one) && sees(name, other))
}

/// The proof that a connection to the address goes to `host`.
fn goes_to(replay: &Replay<'_>, namespace: &str, address: &str, number: u32, host: &str) -> Option<Proof> {
    let ip = address.split_once('/').map_or(address, |(ip, _)| ip);
    ip.parse::<IpAddr>().ok()?;
    let proxy =
        (namespace != "default").then(|| ProxyIdentity { namespace: namespace.to_owned(), labels: BTreeMap::new() });
    let request = Request {
        via: Some("mesh".to_owned()),
        proxy,
        port: Some(number),
        destination: Some(Address { ip: ip.to_owned() }),
        protocol: Some(malha_table::Protocol::Tcp),
        ..Request::default()
    };
    let decision = replay.decide(&request)?;
    // With rules of a VirtualService in between, it is these that say where connections go.
    let goes = decision.rule.is_none() && decision.destinations.iter().any(|destination| destination.host == host);
    goes.then(|| Proof { claim: observed(&decision), request })
}

/// Where an entry writes an address.
fn place_of(resource: &Resource, address: &str) -> Option<(Location, String)> {
    let Spec::ServiceEntry(entry) = &resource.spec else { return None };
    let index = entry.addresses.iter().position(|own| own.value == address)?;
    Some((resource.location(entry.addresses.get(index)?.span), format!("spec.addresses[{index}]")))
}

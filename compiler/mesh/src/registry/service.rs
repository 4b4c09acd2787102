//! A service: a name with ports, and how its endpoints are found.

use super::Protocol;
use crate::{labels::Labels, program::Endpoint, visibility::Visibility};
use hashbrown::{HashMap, hash_map::Entry};
use malha_model::{Resource, Spec, istio::service_entry};
use malha_syntax::{Location, Span};
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// A service of the registry.
#[derive(Clone, Debug)]
pub struct Service {
    /// Fully qualified; may be a wildcard (semantics E1, E2).
    pub hostname: SmolStr,
    /// Its namespace.
    pub namespace: SmolStr,
    /// The name it is ordered by: of the Kubernetes Service, or the host of the ServiceEntry.
    pub name: SmolStr,
    /// Which kind of object says it.
    pub origin: ServiceOrigin,
    /// Its ports, no number twice.
    pub ports: Vec<ServicePort>,
    /// Its virtual addresses: IPs or ranges; none: any address (semantics E14).
    pub addresses: Vec<SmolStr>,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// Names that stand for it: of ExternalName Services that lead here, perhaps by way of others (semantics E28).
    pub aliases: Vec<SmolStr>,
    /// Labels of its workloads; none: it selects none.
    pub selector: Option<Labels>,
    /// Who sees it, by namespace (semantics 0.7).
    pub visibility: Visibility,
    /// The object.
    pub resource: Arc<Resource>,
    /// Objects of the same host and namespace, this one's first: their endpoints add up (semantics E17).
    pub(crate) siblings: Vec<Arc<Resource>>,
}

/// Which kind of object says a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceOrigin {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    ServiceEntry,
}

/// How the endpoints of a service are found (semantics E3 to E7, E28).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The registry lists them.
    Static,
    /// Every address of every name.
    Dns,
    /// The first address of one name.
    DnsRoundRobin,
    /// The request's own host.
    DynamicDns,
    /// Where the client meant to go: ServiceEntries with NONE, headless Services.
    Passthrough,
    /// None of its own: it stands for another name (ExternalName).
    Alias(SmolStr),
}

/// A port of a service.
#[derive(Clone, Debug)]
pub struct ServicePort {
    /// Its number.
    pub number: u32,
    /// Its name; empty where it has none.
    pub name: SmolStr,
    /// What is spoken.
    pub protocol: Protocol,
    /// The port of the endpoints.
    pub target: TargetPort,
    /// Where the port is.
    pub location: Location,
    pub(crate) endpoints: OnceLock<Vec<Endpoint>>,
}

/// The port of a service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TargetPort {
    /// A number.
    Number(u32),
    /// The name of a container's port.
    Name(SmolStr),
}

impl ServicePort {
    pub(crate) fn new(
        number: u32,
        name: SmolStr,
        protocol: Protocol,
        target: TargetPort,
        resource: &Resource,
        span: Span,
    ) -> Self {
        let location = resource.location(span);
        ServicePort { number, name, protocol, target, location, endpoints: OnceLock::new() }
    }
}

impl Service {
    /// The port of this number.
    pub fn port(&self, number: u32) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// The objects that say it, the one that counts first: their endpoints add up (semantics E17).
    pub fn objects(&self) -> &[Arc<Resource>] {
        &self.siblings
    }

    /// The names that its ServiceEntry says certificates of its endpoints hold (semantics E19).
    pub fn subject_alt_names(&self) -> Vec<&str> {
        match &self.resource.spec {
            Spec::ServiceEntry(entry) => entry.subject_alt_names.iter().map(|name| name.value.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it lies outside of the mesh (semantics E9).
    pub fn is_external(&self) -> bool {
        match &self.resource.spec {
            Spec::ServiceEntry(entry) => {
                entry.location.as_ref().is_none_or(|location| location.value == service_entry::Location::MeshExternal)
            }
            _ => matches!(self.resolution, Resolution::Alias(_)),
        }
    }

    /// Whether it is a Kubernetes Service without an address of its own (semantics E28).
    pub fn is_headless(&self) -> bool {
        self.origin == ServiceOrigin::Kubernetes && self.resolution == Resolution::Passthrough
    }
}

/// Tells services of the names that stand for them.
pub(super) fn resolve_aliases(services: &mut [Service]) {
    let target = |service: &Service| match &service.resolution {
        Resolution::Alias(target) => Some((service.hostname.clone(), target.clone())),
        _ => None,
    };
    let targets: HashMap<SmolStr, SmolStr> = services.iter().filter_map(target).collect();
    if targets.is_empty() {
        return;
    }
    let mut aliases: HashMap<SmolStr, Vec<SmolStr>> = HashMap::new();
    for alias in targets.keys() {
        // A way longer than there are aliases goes in circles.
        let hops = std::iter::successors(targets.get(alias), |name| targets.get(*name));
        if let Some(end) = hops.take(targets.len() + 1).find(|name| !targets.contains_key(*name)) {
            aliases.entry(end.clone()).or_default().push(alias.clone());
        }
    }
    for service in services {
        service.aliases = aliases.get(&service.hostname).cloned().unwrap_or_default();
        service.aliases.sort();
    }
}

/// One service for each host and namespace: the Kubernetes Service if there is one, else the oldest, with the ports that
/// younger ones of its kind and resolution add (semantics E17, E18).
pub(super) fn merge_same_host(services: impl Iterator<Item = Service>) -> Vec<Service> {
    let mut merged: Vec<Service> = Vec::new();
    let mut index: HashMap<(SmolStr, SmolStr), usize> = HashMap::new();
    for service in services {
        match index.entry((service.hostname.clone(), service.namespace.clone())) {
            Entry::Vacant(vacant) => {
                vacant.insert(merged.len());
                merged.push(service);
            }
            Entry::Occupied(at) => {
                if let Some(first) = merged.get_mut(*at.get()) {
                    join(first, service);
                }
            }
        }
    }
    merged
}

fn join(first: &mut Service, mut other: Service) {
    if other.origin < first.origin {
        std::mem::swap(first, &mut other);
    }
    first.siblings.append(&mut other.siblings);
    if first.origin != other.origin || first.resolution != other.resolution {
        return;
    }
    for port in other.ports {
        if first.port(port.number).is_none() {
            first.ports.push(port);
        }
    }
    for address in other.addresses {
        if !first.addresses.contains(&address) {
            first.addresses.push(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        registry::{Protocol, Resolution},
        testing::{mesh, object},
    };

    #[test]
    fn entries_of_one_host_and_namespace_are_one_service() {
        let entry = |name: &str, ports: &str, resolution: &str| {
            object(name, &format!("spec: {{hosts: [x.org], ports: [{ports}], resolution: {resolution}}}"))
        };
        let found = mesh(&[
            entry("ServiceEntry prod/a", "{number: 80, name: p, protocol: HTTP}", "STATIC"),
            entry(
                "ServiceEntry prod/b",
                "{number: 80, name: z, protocol: TCP}, {number: 81, name: q, protocol: HTTP}",
                "STATIC",
            ),
            entry("ServiceEntry prod/c", "{number: 82, name: r, protocol: HTTP}", "DNS"),
        ]);
        let [service] = found.registry().services() else { panic!("one service") };
        let ports: Vec<_> = service.ports.iter().map(|port| (port.number, port.name.as_str(), port.protocol)).collect();
        assert_eq!(ports, [(80, "p", Protocol::Http), (81, "q", Protocol::Http)], "E17: the first of a number wins");
        assert_eq!(service.resolution, Resolution::Static);
    }

    #[test]
    fn each_host_of_an_entry_is_a_service() {
        let ports = "ports: [{number: 443, name: p}]";
        let hosts =
            format!("spec: {{hosts: [a.org, '*.b.org', short], {ports}, addresses: [192.0.2.1, 192.0.2.0/24]}}");
        let found = mesh(&[object("ServiceEntry prod/s", &hosts)]);
        let names: Vec<&str> = found.registry().services().iter().map(|service| service.hostname.as_str()).collect();
        assert_eq!(names, ["*.b.org", "a.org", "short"], "E1: as written, in order of name");
        let service = found.registry().service_in("a.org", "prod").expect("it is there");
        assert_eq!(service.addresses, ["192.0.2.1", "192.0.2.0/24"], "E14");
        assert_eq!(service.resolution, Resolution::Passthrough, "E3: NONE is the default");
        assert_eq!(service.port(443).map(|port| port.protocol), Some(Protocol::Auto), "E11");
    }

    #[test]
    fn an_alias_is_told_to_what_it_stands_for() {
        let alias = |name: &str, target: &str| {
            let spec =
                format!("spec: {{type: ExternalName, externalName: {target}, ports: [{{name: http, port: 80}}]}}");
            object(&format!("Service prod/{name}"), &spec)
        };
        let entry = "spec: {hosts: [x.org], ports: [{number: 80, name: p}], resolution: DNS}";
        let found = mesh(&[
            alias("one", "x.org"),
            alias("two", "one.prod.svc.cluster.local"),
            alias("left", "right.prod.svc.cluster.local"),
            alias("right", "left.prod.svc.cluster.local"),
            alias("gone", "nosuch.org"),
            object("ServiceEntry prod/s", entry),
        ]);
        let service = found.registry().service_in("x.org", "prod").expect("it is there");
        assert_eq!(service.aliases, ["one.prod.svc.cluster.local", "two.prod.svc.cluster.local"], "E28");
        assert!(found.registry().services().iter().all(|other| other.hostname == "x.org" || other.aliases.is_empty()));
    }
}

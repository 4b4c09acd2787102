//! Which services and rules the listeners of a Sidecar have (semantics E31 to E36).

use super::{EgressListener, EgressPort, hosts, hosts::Hosts};
use crate::{
    config::IstioVersion,
    mesh::Mesh,
    names::{GatewayRef, fully_qualified},
    registry::{OLDEST_FIRST, Protocol, Service, ServiceOrigin, ServiceView, is_preferred},
    virtual_service::VirtualService,
};
use hashbrown::{HashMap, HashSet, hash_map::Entry};
use malha_model::istio::{
    Sidecar,
    sidecar::{CaptureMode, IstioEgressListener, SidecarPort},
};
use smol_str::SmolStr;
use std::{collections::BTreeMap, sync::Arc};

/// The listeners of `sidecar` for proxies of `namespace`.
pub(super) fn listeners(mesh: &Mesh, sidecar: &Sidecar, namespace: &str) -> Vec<EgressListener> {
    let visible = mesh.registry().visible(namespace);
    let rules = mesh.virtual_services_for(&GatewayRef::Mesh, namespace);
    let make = |hosts: &Hosts<'_>, port: Option<EgressPort>, bind: Option<SmolStr>| EgressListener {
        port,
        bind,
        services: services(&visible, hosts, port, namespace, mesh.config().istio),
        virtual_services: rules
            .iter()
            .filter(|rules| hosts.let_through(rules))
            .map(|rules| Arc::clone(rules))
            .collect(),
    };
    if sidecar.egress.is_empty() {
        return vec![make(&Hosts::all(), None, None)];
    }
    let listeners = sidecar.egress.iter();
    let listeners = listeners.map(|listener| {
        let hosts = Hosts::new(&listener.hosts, namespace);
        make(&hosts, listener.port.as_ref().map(|port| egress_port(port)), bind(listener))
    });
    listeners.collect()
}

fn egress_port(port: &SidecarPort) -> EgressPort {
    EgressPort {
        number: port.number.as_ref().map_or(0, |number| number.value),
        protocol: port.protocol.as_ref().map_or(Protocol::Auto, |protocol| Protocol::parse(protocol)),
    }
}

/// Where the listener listens. What nothing is captured for must be spoken to, and is so on loopback (semantics E35).
fn bind(listener: &IstioEgressListener) -> Option<SmolStr> {
    let written = listener.bind.as_ref().map(|bind| bind.value.clone()).filter(|bind| !bind.is_empty());
    let is_spoken_to = listener.capture_mode.as_ref().is_some_and(|mode| mode.value == CaptureMode::None);
    written.or_else(|| is_spoken_to.then(|| SmolStr::new_static("127.0.0.1")))
}

/// Of the services that the namespace sees those that `hosts` let through, one for each name.
fn services(
    visible: &[&Arc<Service>],
    hosts: &Hosts<'_>,
    port: Option<EgressPort>,
    namespace: &str,
    istio: IstioVersion,
) -> Vec<Arc<Service>> {
    let mut chosen: Vec<(&Arc<Service>, &[&str])> = Vec::new();
    let mut by_host: HashMap<&str, usize> = HashMap::new();
    for service in visible.iter().copied() {
        let Some(patterns) = hosts.of_service(service) else { continue };
        if port.is_some_and(|port| port.is_of_services() && service.port(port.number).is_none()) {
            continue;
        }
        match by_host.entry(&service.hostname) {
            Entry::Vacant(vacant) => {
                vacant.insert(chosen.len());
                chosen.push((service, patterns));
            }
            Entry::Occupied(at) => {
                if let Some(known) = chosen.get_mut(*at.get())
                    && is_preferred(service, known.0, namespace, istio)
                {
                    *known = (service, patterns);
                }
            }
        }
    }
    let cut = |(service, patterns): (&Arc<Service>, &[&str])| on_port(&with_aliases(service, patterns), port);
    chosen.into_iter().filter_map(cut).collect()
}

/// The service with those names that stand for it and that are let through with it (semantics E31).
fn with_aliases(service: &Arc<Service>, patterns: &[&str]) -> Arc<Service> {
    let mut service = Arc::clone(service);
    if service.aliases.iter().any(|alias| !hosts::covers(patterns, alias)) {
        Arc::make_mut(&mut service).aliases.retain(|alias| hosts::covers(patterns, alias));
    }
    service
}

/// The service as a listener has it: with its own port alone, where it names one.
fn on_port(service: &Arc<Service>, port: Option<EgressPort>) -> Option<Arc<Service>> {
    match port.filter(|port| port.is_of_services()) {
        None => Some(Arc::clone(service)),
        Some(port) => with_ports(service, |number| number == port.number),
    }
}

/// The service with those of its ports that `wanted` takes; none if that leaves none.
fn with_ports(service: &Arc<Service>, wanted: impl Fn(u32) -> bool) -> Option<Arc<Service>> {
    let left = service.ports.iter().filter(|port| wanted(port.number)).count();
    if left == service.ports.len() {
        return Some(Arc::clone(service));
    }
    (left > 0).then(|| {
        let mut service = Service::clone(service);
        service.ports.retain(|port| wanted(port.number));
        Arc::new(service)
    })
}

/// All that is reached through `listeners`: their services, and those that their rules lead to, let through or not
/// (semantics E33).
pub(super) fn view(mesh: &Mesh, listeners: &[EgressListener], namespace: &str) -> ServiceView {
    let mut reached = Reached::default();
    let mut listed: HashSet<SmolStr> = HashSet::new();
    for listener in listeners {
        for service in &listener.services {
            listed.insert(service.hostname.clone());
            reached.add(service);
        }
        for rules in &listener.virtual_services {
            for (host, ports) in destinations(rules, namespace, &mesh.config().cluster_domain) {
                let Some(service) = meant(mesh, &host, namespace) else { continue };
                let cut = match listener.port.filter(|port| port.is_of_services()) {
                    Some(_) => on_port(service, listener.port),
                    // A destination without a port may lead to any.
                    None => with_ports(service, |number| ports.contains(&0) || ports.contains(&number)),
                };
                if let Some(service) = cut {
                    reached.add(&service);
                }
            }
        }
    }
    let (mut services, rest): (Vec<_>, Vec<_>) =
        reached.services.into_iter().partition(|service| listed.contains(&service.hostname));
    let visible = services.len();
    services.extend(rest);
    ServiceView::of(services, visible)
}

/// The hosts that rules send to, each with the ports that they name, 0 for none.
///
/// HTTP rules that are for other namespaces alone do not count (semantics E33).
fn destinations(rules: &VirtualService, namespace: &str, cluster_domain: &str) -> BTreeMap<SmolStr, Vec<u32>> {
    let mut found: BTreeMap<SmolStr, Vec<u32>> = BTreeMap::new();
    for destination in rules.destinations_for(namespace) {
        let Some(host) = &destination.host else { continue };
        let host = fully_qualified(host, &rules.name.namespace, cluster_domain);
        let number = destination.port.as_ref().and_then(|port| port.number.as_ref());
        found.entry(host).or_default().push(number.map_or(0, |number| number.value));
    }
    found
}

/// The service that a rule leads to by this name: that of the proxy's own namespace, exported or not; else, of those
/// that are exported to it, a Kubernetes Service or the oldest, before 1.30 that of the first namespace (semantics E33).
fn meant<'m>(mesh: &'m Mesh, hostname: &str, namespace: &str) -> Option<&'m Arc<Service>> {
    let registry = mesh.registry();
    registry.service_in(hostname, namespace).or_else(|| {
        let seen = registry.services_of_host(hostname).filter(|service| service.visibility.includes(namespace));
        if mesh.config().istio < OLDEST_FIRST {
            seen.min_by(|one, other| one.namespace.cmp(&other.namespace))
        } else {
            seen.min_by_key(|service| service.origin)
        }
    })
}

/// Services by name: the first of a name has it, but for a Kubernetes Service, which displaces others; ports of one
/// service that several listeners have a part of come together (semantics E34).
#[derive(Default)]
struct Reached {
    services: Vec<Arc<Service>>,
    by_host: HashMap<SmolStr, usize>,
}

impl Reached {
    fn add(&mut self, service: &Arc<Service>) {
        let at = match self.by_host.entry(service.hostname.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(self.services.len());
                self.services.push(Arc::clone(service));
                return;
            }
            Entry::Occupied(at) => *at.get(),
        };
        let Some(known) = self.services.get_mut(at) else { return };
        if known.namespace != service.namespace {
            if service.origin == ServiceOrigin::Kubernetes && known.origin != ServiceOrigin::Kubernetes {
                *known = Arc::clone(service);
            }
            return;
        }
        if service.ports.iter().any(|port| known.port(port.number).is_none()) {
            let known = Arc::make_mut(known);
            let more: Vec<_> = service.ports.iter().filter(|port| known.port(port.number).is_none()).cloned().collect();
            known.ports.extend(more);
        }
    }
}

//! Every destination that a `VirtualService` sends to, with the proxies that would send.

use malha_mesh::{GatewayRef, Mesh, ProxySpec, VirtualService, names::fully_qualified, program::Role};
use malha_model::{
    Resource, Spec,
    istio::{
        Destination,
        virtual_service::{HttpRoute, RouteDestination},
    },
};
use smol_str::SmolStr;

/// One destination of a rule.
pub(crate) struct Use<'a> {
    /// The `VirtualService` that is bound; with a delegate, the root.
    pub(crate) service: &'a VirtualService,
    /// The object that the destination is written in.
    pub(crate) resource: &'a Resource,
    /// What is written.
    pub(crate) destination: &'a Destination,
    /// Its host, fully qualified.
    pub(crate) host: SmolStr,
    /// Whether it gets copies only.
    pub(crate) mirror: bool,
    /// Ports that the rule's matches ask for; none: any.
    pub(crate) ports: Option<Vec<u32>>,
    /// Proxies that execute the rule: the gateways it is bound to, and for the mesh a client of its own namespace.
    pub(crate) proxies: &'a [ProxySpec],
    path: Path,
}

/// Where in the object the destination is.
struct Path {
    section: &'static str,
    rule: u32,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Route(usize),
    Mirror,
    Mirrors(usize),
}

impl Use<'_> {
    /// The path of a field below the destination; `below` begins with a dot, or is empty for the destination itself.
    pub(crate) fn field(&self, below: &str) -> String {
        let Path { section, rule, place } = &self.path;
        match place {
            Place::Route(index) => format!("spec.{section}[{rule}].route[{index}].destination{below}"),
            Place::Mirror => format!("spec.{section}[{rule}].mirror{below}"),
            Place::Mirrors(index) => format!("spec.{section}[{rule}].mirrors[{index}].destination{below}"),
        }
    }
}

/// Calls `visit` for every destination of every `VirtualService` that is bound to something.
pub(crate) fn uses<'a>(mesh: &'a Mesh, mut visit: impl FnMut(&Use<'_>)) {
    for service in mesh.virtual_services() {
        let proxies = proxies(mesh, service);
        if proxies.is_empty() {
            continue;
        }
        let mut tell = |resource: &'a Resource, destination: &'a Destination, mirror, ports: Option<Vec<u32>>, path| {
            let Some(host) = &destination.host else { return };
            let host = fully_qualified(host, &resource.namespace, &mesh.config().cluster_domain);
            visit(&Use { service, resource, destination, host, mirror, ports, proxies: &proxies, path });
        };
        for rule in service.http_rules() {
            let ports: Option<Vec<u32>> =
                rule.route.matches.iter().map(|item| item.port.as_ref().map(|port| port.value)).collect();
            let ports = ports.filter(|ports| !ports.is_empty());
            let (own, index) = match rule.delegate {
                Some(delegate) => (&*delegate.resource, delegate.index),
                None => (&*service.resource, rule.index),
            };
            let path = |place, rule| Path { section: "http", rule, place };
            for (at, route) in rule.route.route.iter().enumerate() {
                if let Some(destination) = &route.destination {
                    tell(own, destination, false, ports.clone(), path(Place::Route(at), index));
                }
            }
            // A mirror that the delegate does not have is the root's (semantics B22).
            let written = http_rule(own, index);
            let (holder, at) = if written.is_some_and(|written| written.mirror.is_some()) {
                (own, index)
            } else {
                (&*service.resource, rule.index)
            };
            if let Some(mirror) = &rule.route.mirror {
                tell(holder, mirror, true, ports.clone(), path(Place::Mirror, at));
            }
            let (holder, at) = if written.is_some_and(|written| !written.mirrors.is_empty()) {
                (own, index)
            } else {
                (&*service.resource, rule.index)
            };
            for (place, mirror) in rule.route.mirrors.iter().enumerate() {
                if let Some(destination) = &mirror.destination {
                    tell(holder, destination, true, ports.clone(), path(Place::Mirrors(place), at));
                }
            }
        }
        let mut connections = |section, rule: usize, route: &'a [malha_model::Spanned<RouteDestination>]| {
            for (at, route) in route.iter().enumerate() {
                if let Some(destination) = &route.destination {
                    let path = Path { section, rule: rule as u32, place: Place::Route(at) };
                    tell(&service.resource, destination, false, None, path);
                }
            }
        };
        for (index, rule) in service.tls_rules().iter().enumerate() {
            connections("tls", index, &rule.route);
        }
        for (index, rule) in service.tcp_rules().iter().enumerate() {
            connections("tcp", index, &rule.route);
        }
    }
}

fn http_rule(resource: &Resource, index: u32) -> Option<&HttpRoute> {
    match &resource.spec {
        Spec::VirtualService(spec) => spec.http.get(index as usize).map(|rule| &rule.value),
        _ => None,
    }
}

fn proxies(mesh: &Mesh, service: &VirtualService) -> Vec<ProxySpec> {
    let mut proxies: Vec<ProxySpec> = Vec::new();
    for gateway in &service.gateways {
        match gateway {
            GatewayRef::Mesh => proxies.push(ProxySpec {
                role: Role::Sidecar,
                namespace: service.name.namespace.clone(),
                ..ProxySpec::default_sidecar()
            }),
            GatewayRef::Named(name) => {
                let Some(gateway) = mesh.gateway(name) else { continue };
                let selected = mesh
                    .proxies()
                    .iter()
                    .filter(|proxy| gateway.selects(&proxy.labels) && service.visibility.includes(&proxy.namespace));
                for proxy in selected {
                    if !proxies.contains(proxy) {
                        proxies.push(proxy.clone());
                    }
                }
            }
        }
    }
    proxies
}

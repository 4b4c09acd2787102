//! Destinations of lowered routes that lead to no cluster, traced back to the file.

use malha_mesh::{
    Mesh, ObjectName, ProxySpec, Resolution, Service,
    program::{ActionKind, Destination, Filter, Origin, Program, ProxyProgram, Role},
};
use malha_model::{Resource, Spec, istio};
use malha_syntax::{Location, Span};
use smol_str::SmolStr;
use std::{collections::BTreeSet, sync::Arc};

/// A destination without a cluster, whose service the executing proxy knows.
pub(crate) struct Dangling<'a> {
    /// A proxy that executes the route; there may be others.
    pub(crate) proxy: &'a ProxySpec,
    /// As lowered.
    pub(crate) destination: &'a Destination,
    /// Its service.
    pub(crate) service: &'a Service,
    /// Whether it gets copies only.
    pub(crate) mirror: bool,
    /// What is written, where it could be found.
    pub(crate) written: Written<'a>,
}

/// A destination as a file has it.
pub(crate) struct Written<'a> {
    /// The VirtualService, or the delegate.
    pub(crate) resource: &'a Resource,
    /// The destination.
    pub(crate) destination: &'a istio::Destination,
    /// Its path, as `spec.http[0].route[1].destination`.
    pub(crate) field: String,
}

impl Written<'_> {
    /// A place in the file.
    pub(crate) fn location(&self, span: Span) -> Location {
        self.resource.location(span)
    }
}

/// Calls `visit` for every dangling destination, each place once.
pub(crate) fn dangling(mesh: &Mesh, program: &Program, mut visit: impl FnMut(&Dangling<'_>)) {
    let mut seen: BTreeSet<(Location, String)> = BTreeSet::new();
    for proxy in &program.proxies {
        let executing = ProxySpec {
            role: proxy.role,
            namespace: proxy.namespace.clone(),
            name: proxy.name.clone(),
            labels: proxy.labels.clone(),
        };
        without_cluster(&proxy.program, &mut |domains, origin, destination, mirror| {
            let Some(service) = mesh.service(&executing, &destination.host) else { return };
            let Some(written) = written(mesh, &executing, origin, destination, mirror) else { return };
            if written.destination.port.is_none() && is_called_by_nobody(mesh, &executing, domains, destination.port) {
                return;
            }
            let host = written.destination.host.as_ref().map(|host| host.span).unwrap_or_default();
            if seen.insert((written.location(host), written.field.clone())) {
                visit(&Dangling { proxy: &executing, destination, service, mirror, written });
            }
        });
    }
}

/// Whether these are the domains of a service that does not have the listener's port: sidecars have a virtual host for
/// it on port 80 all the same (semantics B37), where there is no service to call. The names that stand for it (semantics
/// E28) are Services too, mostly without any port, and are not asked.
fn is_called_by_nobody(mesh: &Mesh, proxy: &ProxySpec, domains: &[SmolStr], port: u32) -> bool {
    let is_itself = |service: &Service, domain: &str| {
        service.hostname == domain && !matches!(service.resolution, Resolution::Alias(_))
    };
    let service = |domain: &SmolStr| mesh.service(proxy, domain).filter(|service| is_itself(service, domain));
    proxy.role == Role::Sidecar && domains.iter().filter_map(service).any(|service| service.port(port).is_none())
}

fn without_cluster(program: &ProxyProgram, visit: &mut impl FnMut(&[SmolStr], &Origin, &Destination, bool)) {
    let mut missing = |domains: &[SmolStr], origin: &Option<Arc<Origin>>, destinations: &[Destination], mirror| {
        let Some(origin) = origin else { return };
        for destination in destinations.iter().filter(|destination| destination.cluster.is_none()) {
            visit(domains, origin, destination, mirror);
        }
    };
    for host in program.route_tables.iter().flat_map(|table| &table.virtual_hosts) {
        for route in host.routes.iter() {
            let ActionKind::Forward(forward) = &route.action.kind else { continue };
            missing(&host.domains, &route.origin, &forward.destinations, false);
            for mirror in &forward.mirrors {
                missing(&host.domains, &route.origin, std::slice::from_ref(&mirror.destination), true);
            }
        }
    }
    for chain in program.listeners.iter().flat_map(|listener| &listener.filter_chains) {
        if let Filter::Tcp(route) = &chain.filter {
            missing(&[], &route.origin, &route.destinations, false);
        }
    }
}

/// Where `origin` writes `destination`. A mirror that a delegate does not have is the root's (semantics B22).
fn written<'a>(
    mesh: &'a Mesh,
    proxy: &ProxySpec,
    origin: &Origin,
    destination: &Destination,
    mirror: bool,
) -> Option<Written<'a>> {
    let delegate = origin.delegate.as_deref().and_then(|delegate| find(mesh, proxy, delegate, destination, mirror));
    delegate.or_else(|| find(mesh, proxy, origin, destination, mirror))
}

fn find<'a>(
    mesh: &'a Mesh,
    proxy: &ProxySpec,
    origin: &Origin,
    wanted: &Destination,
    mirror: bool,
) -> Option<Written<'a>> {
    let name = ObjectName::new(origin.namespace.clone(), origin.name.clone());
    let resource = &*mesh.virtual_service(&name)?.resource;
    let Spec::VirtualService(spec) = &resource.spec else { return None };
    let (section, index) = (origin.section, origin.index as usize);
    let mut places: Vec<(String, &istio::Destination)> = Vec::new();
    match section {
        "http" if mirror => {
            let rule = spec.http.get(index)?;
            let one = rule.mirror.iter().map(|mirror| ("mirror".to_owned(), &mirror.value));
            let several = rule.mirrors.iter().enumerate().filter_map(|(at, mirror)| {
                Some((format!("mirrors[{at}].destination"), &mirror.destination.as_ref()?.value))
            });
            places.extend(one.chain(several));
        }
        "http" => {
            places.extend(spec.http.get(index)?.route.iter().enumerate().filter_map(|(at, route)| {
                Some((format!("route[{at}].destination"), &route.destination.as_ref()?.value))
            }));
        }
        _ => {
            let route = if section == "tls" { &spec.tls.get(index)?.route } else { &spec.tcp.get(index)?.route };
            places.extend(route.iter().enumerate().filter_map(|(at, route)| {
                Some((format!("route[{at}].destination"), &route.destination.as_ref()?.value))
            }));
        }
    }
    let (below, destination) = places.into_iter().find(|(_, written)| {
        // As it was lowered: an ExternalName Service stands for another host (semantics E28).
        let host = mesh.destination(proxy, &resource.namespace, written, wanted.port).host;
        let subset = written.subset.as_ref().map(|subset| subset.value.clone()).filter(|subset| !subset.is_empty());
        let port = written.port.as_ref().and_then(|port| port.number.as_ref()).map(|number| number.value);
        host == wanted.host && subset == wanted.subset && port.is_none_or(|port| port == wanted.port)
    })?;
    Some(Written { resource, destination, field: format!("spec.{section}[{index}].{below}") })
}

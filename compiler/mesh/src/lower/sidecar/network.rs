//! Filter chains of sidecars for bytes: `tls` and `tcp` rules, and the service's own chain (semantics B.6).

use super::domains;
use crate::lower::context::Context;
use crate::lower::destinations::Target;
use crate::lower::http_match::has_labels;
use crate::lower::layer4::{self, Rule};
use crate::names::gateway_ref;
use crate::program::{Destination, Filter, FilterChain, TcpRoute};
use crate::registry::{Service, ServicePort};
use crate::{GatewayRef, VirtualService, host};
use hashbrown::HashSet;
use malha_model::{Entries, Spanned};
use malha_syntax::Location;
use smol_str::SmolStr;
use std::sync::Arc;

/// The chains of one port of a service.
///
/// `ranges` are the service's address ranges; `is_wildcard` says whether the listener takes any address, so that TLS
/// of this service is known by its server name alone.
pub(super) fn chains(
    context: &Context<'_>,
    virtual_services: &[&Arc<VirtualService>],
    service: &Service,
    port: &ServicePort,
    ranges: &[SmolStr],
    is_wildcard: bool,
) -> Vec<FilterChain> {
    let applies = |candidate: &&&Arc<VirtualService>| {
        (!candidate.tls_rules().is_empty() || !candidate.tcp_rules().is_empty())
            && candidate.hosts.iter().any(|wanted| host::matches(wanted, &service.hostname))
    };
    let own: Vec<&Arc<VirtualService>> = virtual_services.iter().filter(applies).copied().collect();
    if port.protocol.is_tls() {
        tls(context, &own, service, port, ranges, is_wildcard)
    } else {
        tcp(context, &own, service, port, ranges)
    }
}

/// A chain for each match of a `tls` rule; the service's own if there is none (semantics B29 to B32).
fn tls(
    context: &Context<'_>,
    virtual_services: &[&Arc<VirtualService>],
    service: &Service,
    port: &ServicePort,
    ranges: &[SmolStr],
    is_wildcard: bool,
) -> Vec<FilterChain> {
    let mut chains: Vec<FilterChain> = Vec::new();
    let mut seen: HashSet<(Vec<SmolStr>, Vec<SmolStr>)> = HashSet::new();
    // A match without subnets inherits those of the match before it (semantics B31).
    let mut destinations = ranges.to_vec();
    for owner in virtual_services {
        for (index, rule) in owner.tls_rules().iter().enumerate() {
            for (at, item) in rule.matches.iter().enumerate() {
                let known = Known {
                    gateways: &item.gateways,
                    labels: &item.source_labels,
                    port: item.port.as_ref(),
                    namespace: item.source_namespace.as_ref(),
                };
                if !known.holds(context, owner, port.number) {
                    continue;
                }
                let subnets = texts(&item.destination_subnets);
                if !subnets.is_empty() {
                    destinations.clone_from(&subnets);
                }
                let names = texts(&item.sni_hosts);
                if !seen.insert((names.clone(), subnets)) {
                    continue;
                }
                let origin = Rule { service: owner, section: "tls", index, item: Some(at), place: item.span };
                let scope = context.scope(&GatewayRef::Mesh, &owner.name.namespace, port.number, false);
                let place = owner.resource.location(item.span);
                let route = layer4::route(&rule.route, origin, &scope);
                chains.push(chain(sni(&names), destinations.clone(), route, Some(place)));
            }
        }
    }
    if chains.is_empty() {
        let names =
            if is_wildcard || !ranges.is_empty() { sni(&domains::server_names(service, context)) } else { Vec::new() };
        chains.push(chain(names, ranges.to_vec(), own_route(context, service, port), None));
    }
    chains
}

/// The `tcp` rules up to the first that takes every address; the service's own chain after them if there is none
/// (semantics B33).
fn tcp(
    context: &Context<'_>,
    virtual_services: &[&Arc<VirtualService>],
    service: &Service,
    port: &ServicePort,
    ranges: &[SmolStr],
) -> Vec<FilterChain> {
    let mut chains = Vec::new();
    for owner in virtual_services {
        for (index, rule) in owner.tcp_rules().iter().enumerate() {
            let route = |item: Option<usize>| {
                let place = item.and_then(|at| rule.matches.get(at)).map_or(rule.span, |item| item.span);
                let origin = Rule { service: owner, section: "tcp", index, item, place };
                let scope = context.scope(&GatewayRef::Mesh, &owner.name.namespace, port.number, false);
                (layer4::route(&rule.route, origin, &scope), Some(owner.resource.location(place)))
            };
            if rule.matches.is_empty() {
                let (route, place) = route(None);
                chains.push(chain(Vec::new(), ranges.to_vec(), route, place));
                return chains;
            }
            let mut subnets = Vec::new();
            for (at, item) in rule.matches.iter().enumerate() {
                let known = Known {
                    gateways: &item.gateways,
                    labels: &item.source_labels,
                    port: item.port.as_ref(),
                    namespace: item.source_namespace.as_ref(),
                };
                if !known.holds(context, owner, port.number) {
                    continue;
                }
                if item.destination_subnets.is_empty() {
                    let (route, place) = route(Some(at));
                    chains.push(chain(Vec::new(), ranges.to_vec(), route, place));
                    return chains;
                }
                subnets.extend(texts(&item.destination_subnets));
            }
            if !subnets.is_empty() {
                let first = rule.matches.iter().position(|item| !item.destination_subnets.is_empty());
                let (route, place) = route(first);
                let is_own = subnets == ranges;
                chains.push(chain(Vec::new(), subnets, route, place));
                if is_own {
                    return chains;
                }
            }
        }
    }
    chains.push(chain(Vec::new(), ranges.to_vec(), own_route(context, service, port), None));
    chains
}

/// What is known of a match before any connection: all of it must hold, other than in HTTP matches (semantics B29).
struct Known<'a> {
    gateways: &'a [Spanned<SmolStr>],
    labels: &'a Entries<SmolStr>,
    port: Option<&'a Spanned<u32>>,
    namespace: Option<&'a Spanned<SmolStr>>,
}

impl Known<'_> {
    fn holds(&self, context: &Context<'_>, owner: &VirtualService, port: u32) -> bool {
        let is_mesh = |name: &Spanned<SmolStr>| gateway_ref(name, &owner.name.namespace) == GatewayRef::Mesh;
        (self.gateways.is_empty() || self.gateways.iter().any(is_mesh))
            && has_labels(context.proxy, self.labels)
            && self.port.is_none_or(|wanted| wanted.value == 0 || wanted.value == port)
            && self.namespace.is_none_or(|wanted| wanted.is_empty() || wanted.value == context.proxy.namespace)
    }
}

fn own_route(context: &Context<'_>, service: &Service, port: &ServicePort) -> TcpRoute {
    // Of a listener for all ports it is the only one of the service (semantics E39).
    let number = match service.ports.as_slice() {
        [only] if port.number == 0 => only.number,
        _ => port.number,
    };
    let Target { destination, .. } = (&context.resolver.service(service, number)).into();
    TcpRoute { origin: None, destinations: vec![Destination { weight: 1, ..destination }] }
}

fn chain(
    server_names: Vec<SmolStr>,
    destinations: Vec<SmolStr>,
    route: TcpRoute,
    location: Option<Location>,
) -> FilterChain {
    FilterChain {
        server_names,
        destinations,
        tls: None,
        inspected: false,
        termination: None,
        filter: Filter::Tcp(route),
        location,
    }
}

/// Server names as Envoy takes them: with `*` among them, any or none (semantics A52).
fn sni(names: &[SmolStr]) -> Vec<SmolStr> {
    if names.iter().any(|name| name == "*") {
        return Vec::new();
    }
    names.iter().map(|name| SmolStr::from(name.to_ascii_lowercase())).collect()
}

fn texts(list: &[Spanned<SmolStr>]) -> Vec<SmolStr> {
    list.iter().map(|text| text.value.clone()).collect()
}

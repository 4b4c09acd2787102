//! Filter chains of gateways that forward bytes: TCP, TLS that ends here, TLS that passes through (semantics A.8).

use super::servers::ServerRef;
use super::{lower_case, tables, termination};
use crate::destination_rule::DestinationRule;
use crate::lower::context::Context;
use crate::lower::destinations::Target;
use crate::lower::layer4::{self, Rule};
use crate::names::{cluster_server_name, gateway_ref};
use crate::program::{Destination, Filter, FilterChain, Note, NoteKind, ProxyProgram, TcpRoute};
use crate::registry::{Protocol, Service};
use crate::{GatewayRef, VirtualService, host};
use hashbrown::HashMap;
use malha_model::Spanned;
use malha_model::istio::gateway::ServerTlsMode;
use malha_syntax::Location;
use smol_str::SmolStr;

/// Server names that passthrough rules took, by port: bind and place of the first (semantics A19).
#[derive(Default)]
pub(super) struct SniTaken(HashMap<(u32, SmolStr), (SmolStr, Location)>);

/// The chains of one server that does not route requests.
pub(super) fn chains(
    context: &Context<'_>,
    server: &ServerRef<'_>,
    port: u32,
    taken: &mut SniTaken,
    program: &mut ProxyProgram,
) -> Vec<FilterChain> {
    if server.has_tls_block() && server.mode() == ServerTlsMode::AutoPassthrough {
        return auto_passthrough(context, server);
    }
    if server.has_tls_block() && server.passes_tls_through() {
        return passthrough(context, server, port, taken, program);
    }
    tcp(context, server).into_iter().collect()
}

/// The first `tcp` rule that fits has the whole server (semantics A57, A58).
fn tcp(context: &Context<'_>, server: &ServerRef<'_>) -> Option<FilterChain> {
    let gateway = GatewayRef::Named(server.gateway.name.clone());
    for service in context.mesh.virtual_services_for(&gateway, &context.proxy.namespace) {
        if !shares_host(server, service) {
            continue;
        }
        let namespace = &service.name.namespace;
        for (index, rule) in service.tcp_rules().iter().enumerate() {
            let fits = |port: Option<&Spanned<u32>>, gateways: &[Spanned<SmolStr>]| {
                fits(server, &gateway, namespace, port, gateways)
            };
            let item = rule.matches.iter().position(|item| fits(item.port.as_ref(), &item.gateways));
            if item.is_none() && !rule.matches.is_empty() {
                continue;
            }
            let place = item.and_then(|at| rule.matches.get(at)).map_or(rule.span, |item| item.span);
            let rule_origin = Rule { service, section: "tcp", index, item, place };
            let scope = context.scope(&gateway, namespace, server.number, false);
            let is_tls = server.is_tls();
            return Some(FilterChain {
                server_names: if is_tls { lower_case(server.sni_hosts()) } else { Vec::new() },
                destinations: Vec::new(),
                tls: None,
                inspected: false,
                termination: is_tls.then(|| termination(server, &context.mesh.config().tls_defaults)),
                filter: Filter::Tcp(layer4::route(&rule.route, rule_origin, &scope)),
                location: Some(server.location),
            });
        }
    }
    None
}

/// A chain for each match of a `tls` rule that fits (semantics A59).
fn passthrough(
    context: &Context<'_>,
    server: &ServerRef<'_>,
    port: u32,
    taken: &mut SniTaken,
    program: &mut ProxyProgram,
) -> Vec<FilterChain> {
    let gateway = GatewayRef::Named(server.gateway.name.clone());
    let mut chains = Vec::new();
    for service in context.mesh.virtual_services_for(&gateway, &context.proxy.namespace) {
        if !shares_host(server, service) {
            continue;
        }
        let namespace = &service.name.namespace;
        for (index, rule) in service.tls_rules().iter().enumerate() {
            for (at, item) in rule.matches.iter().enumerate() {
                if !fits(server, &gateway, namespace, item.port.as_ref(), &item.gateways) {
                    continue;
                }
                let place = service.resource.location(item.span);
                let names: Vec<SmolStr> = item.sni_hosts.iter().map(|name| name.value.clone()).collect();
                if let Some((name, other)) = taken.claim(port, &server.bind, &names, place) {
                    // Another server of the Gateway that sees the same match loses nothing by it.
                    if other != place {
                        let detail = format!("server name `{name}` on port {port} is taken by an earlier rule");
                        let note = Note { kind: NoteKind::SniTaken, location: place, other: Some(other), detail };
                        program.notes.push(note);
                    }
                    continue;
                }
                let rule_origin = Rule { service, section: "tls", index, item: Some(at), place: item.span };
                let scope = context.scope(&gateway, namespace, server.number, false);
                chains.push(FilterChain {
                    server_names: if names.iter().any(|name| name == "*") { Vec::new() } else { lower_case(names) },
                    destinations: Vec::new(),
                    tls: None,
                    inspected: false,
                    termination: None,
                    filter: Filter::Tcp(layer4::route(&rule.route, rule_origin, &scope)),
                    location: Some(place),
                });
            }
        }
    }
    chains
}

/// A chain for each port of each service that the mesh has inside, and for each subset of it, by the name that sidecars
/// of other networks make of it; VirtualServices have no part in it (semantics A.6).
fn auto_passthrough(context: &Context<'_>, server: &ServerRef<'_>) -> Vec<FilterChain> {
    let hosts = server.sni_hosts();
    let is_served = |service: &Service| {
        !service.is_external()
            && (hosts.is_empty() || hosts.iter().any(|host| host::is_subset(&service.hostname, host)))
    };
    let mut chains = Vec::new();
    for service in context.mesh.services(context.proxy).iter().filter(|service| is_served(service)) {
        let rule = context.mesh.destination_rule(context.proxy, service);
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            let subsets = rule.into_iter().flat_map(DestinationRule::subset_names).map(Some);
            for subset in std::iter::once(None).chain(subsets) {
                let name = cluster_server_name(port.number, subset.map(SmolStr::as_str), &service.hostname);
                let leads = context.resolver.by_server_name(service, port.number, subset);
                let Target { destination, .. } = (&leads).into();
                let destinations = vec![Destination { weight: 1, ..destination }];
                chains.push(FilterChain {
                    server_names: lower_case(vec![name]),
                    destinations: Vec::new(),
                    tls: None,
                    inspected: false,
                    termination: None,
                    filter: Filter::Tcp(TcpRoute { origin: None, destinations }),
                    location: Some(server.location),
                });
            }
        }
    }
    chains
}

impl SniTaken {
    /// Takes all of `names`, or tells which is taken already, and where.
    fn claim(&mut self, port: u32, bind: &str, names: &[SmolStr], place: Location) -> Option<(SmolStr, Location)> {
        for name in names {
            if let Some((other_bind, other)) = self.0.get(&(port, name.clone()))
                && other_bind == bind
            {
                return Some((name.clone(), *other));
            }
        }
        for name in names {
            self.0.insert((port, name.clone()), (bind.into(), place));
        }
        None
    }
}

/// Whether a match is for this server: only port and gateways are asked (semantics A58).
fn fits(
    server: &ServerRef<'_>,
    gateway: &GatewayRef,
    namespace: &str,
    port: Option<&Spanned<u32>>,
    gateways: &[Spanned<SmolStr>],
) -> bool {
    port.is_none_or(|port| port.value == 0 || port.value == server.number)
        && (gateways.is_empty() || gateways.iter().any(|name| gateway_ref(name, namespace) == *gateway))
}

/// Whether a host of the VirtualService overlaps one of the server (semantics A58).
fn shares_host(server: &ServerRef<'_>, service: &VirtualService) -> bool {
    let own = server.hosts.iter().filter_map(|host| tables::host_for(host, &service.name.namespace));
    own.into_iter().any(|own| service.hosts.iter().any(|other| host::matches(own, other)))
}

#[cfg(test)]
mod tests {
    use crate::{
        Cache,
        lower::lower,
        program::{Filter, FilterChain},
        testing::{gateway, mesh, object},
    };

    fn shown(chain: &FilterChain) -> String {
        let Filter::Tcp(route) = &chain.filter else { panic!("bytes are passed on") };
        let [destination] = &*route.destinations else { panic!("to one destination") };
        assert_eq!(
            destination.cluster.as_ref(),
            chain.server_names.first(),
            "its cluster has the name that is asked for"
        );
        format!("{} {}:{}", chain.server_names[0], destination.host, destination.port)
    }

    #[test]
    fn services_of_the_mesh_are_reached_by_the_names_of_their_clusters() {
        let entry = |name: &str, more: &str| {
            let ports = "ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC";
            object(&format!("ServiceEntry default/{name}"), &format!("spec: {{hosts: [{name}.ext], {ports}{more}}}"))
        };
        let objects = [
            object(
                "Gateway default/gw",
                "spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 15443, protocol: TLS, name: tls}
    hosts: ['*.cluster.local', 'in.ext', 'out.ext']
    tls: {mode: AUTO_PASSTHROUGH}",
            ),
            object(
                "Service default/a",
                "spec: {ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}",
            ),
            object(
                "DestinationRule default/a",
                "spec:
  host: a
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, connectionPool: {tcp: {maxConnections: 7}}}
  subsets: [{name: v1, labels: {version: v1}}]",
            ),
            entry("in", ", location: MESH_INTERNAL"),
            entry("out", ""),
            entry("other", ", location: MESH_INTERNAL"),
        ];
        let wanted = [gateway("istio-system", ("istio", "ingress"))];
        let program = lower(&mesh(&objects), &wanted, &mut Cache::default());
        let program = &program.proxies[0].program;
        let [listener] = &*program.listeners else { panic!("one listener") };
        let chains: Vec<String> = listener.filter_chains.iter().map(shown).collect();
        assert_eq!(
            chains,
            [
                "outbound_.80_._.a.default.svc.cluster.local a.default.svc.cluster.local:80",
                "outbound_.80_.v1_.a.default.svc.cluster.local a.default.svc.cluster.local:80",
                "outbound_.80_._.in.ext in.ext:80",
            ],
            "A.6"
        );
        assert_eq!(program.clusters.len(), 3);
        for cluster in program.clusters.iter().filter(|cluster| cluster.host.starts_with("a.")) {
            let policy = cluster.policy.source.as_ref().expect("a policy");
            assert_eq!(
                (policy.get("tls"), cluster.policy.limits["maxConnections"]),
                (None, 7),
                "A.6: TLS is passed on"
            );
        }
    }
}

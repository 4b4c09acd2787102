//! What is missing, in the order in which Istio looks for it: the host, the port, the subset, the endpoints.

use super::{Part, Places, Reason, Told, endpoints, named, ports, rules};
use crate::words::some;
use malha_mesh::{
    Mesh, ProxySpec, Service,
    registry::{Protocol, Resolution},
};
use malha_model::Resource;
use malha_syntax::nearest;
use malha_table::Destination;

/// Why a proxy has no cluster, or no endpoint, for a destination; none if it has.
pub(super) fn why(mesh: &Mesh, proxy: &ProxySpec, destination: &Destination, places: Places<'_>) -> Option<Told> {
    let host = destination.host.as_str();
    let Some(service) = mesh.view(proxy).get_reachable(host) else {
        return Some(not_seen(mesh, proxy, destination, places));
    };
    if let Resolution::Alias(name) = &service.resolution {
        let message =
            format!("{} only stands for `{name}`, which leads to no service", named(&service.resource, places));
        let help = Some(format!("send to `{name}`, and say with a ServiceEntry what it is"));
        return Some(Told { reason: Reason::HostIsAlias, part: Part::Host, message, help });
    }
    let Some(port) = service.port(destination.port).filter(|port| port.protocol != Protocol::Udp) else {
        let whole = mesh.service(proxy, host).unwrap_or(service);
        return Some(match mesh.sidecar(proxy).filter(|_| whole.port(destination.port).is_some()) {
            Some(sidecar) => not_let_through(sidecar, whole, destination.port, places),
            None => no_port(whole, destination.port, places),
        });
    };
    let rule = mesh.destination_rule(proxy, service);
    let Some(name) = &destination.subset else {
        return endpoints::none_at_all(mesh, proxy, service, port, places);
    };
    let Some(subset) = rule.and_then(|rule| rule.subset(name)) else {
        return Some(rules::no_subset(mesh, proxy, service, rule, name, places));
    };
    endpoints::none_at_all(mesh, proxy, service, port, places)
        .or_else(|| endpoints::none_of_subset(mesh, service, port, rule?, subset, places))
}

/// No service that the proxy sees has the host.
fn not_seen(mesh: &Mesh, proxy: &ProxySpec, destination: &Destination, places: Places<'_>) -> Told {
    let host = destination.host.as_str();
    let exported = mesh.registry().view(&proxy.namespace).get_reachable(host);
    if let (Some(sidecar), Some(service)) = (mesh.sidecar(proxy), exported) {
        return match service.port(destination.port) {
            Some(_) => not_let_through(sidecar, service, destination.port, places),
            None => no_port(service, destination.port, places),
        };
    }
    let hidden: Vec<String> =
        mesh.registry().services_of_host(host).map(|service| named(&service.resource, places)).collect();
    if !hidden.is_empty() {
        let message = format!(
            "`{host}` is not exported to namespace `{}`, where the proxy is: {}",
            proxy.namespace,
            some(&hidden)
        );
        let help = Some(format!("add `{}` or `*` to its `exportTo`", proxy.namespace));
        return Told { reason: Reason::HostNotExported, part: Part::Host, message, help };
    }
    let message = format!("no Service or ServiceEntry in these files has the host `{host}`");
    let meant = meant(mesh, proxy, host).map(|meant| format!("did you mean `{meant}`?"));
    let help = meant.or_else(|| Some("add what it is to the files, or name another host".to_owned()));
    Told { reason: Reason::HostUnknown, part: Part::Host, message, help }
}

/// The service has the port, and the Sidecar lets neither it nor rules to it through (semantics E33, E35).
fn not_let_through(sidecar: &Resource, service: &Service, port: u32, places: Places<'_>) -> Told {
    let Service { hostname, namespace, .. } = service;
    let message = format!("{} does not let `{hostname}` through on port {port}", named(sidecar, places));
    let help = Some(format!("add `{namespace}/{hostname}` to the `egress[].hosts` of a listener that has the port"));
    Told { reason: Reason::HostNotLetThrough, part: Part::Host, message, help }
}

/// The host that is likely meant: the whole of a name that was cut short, a slip, or the same name in another namespace.
fn meant<'m>(mesh: &'m Mesh, proxy: &ProxySpec, host: &str) -> Option<&'m str> {
    let seen = mesh.services(proxy);
    let whole = format!("{host}.svc.{}", mesh.config().cluster_domain);
    let hosts = || seen.iter().map(|service| service.hostname.as_str());
    let first = |host: &str| host.split('.').next().unwrap_or_default().to_owned();
    hosts()
        .find(|known| *known == whole)
        .or_else(|| nearest(host, hosts()))
        .or_else(|| hosts().find(|known| known.contains('.') && first(known) == first(host)))
}

fn no_port(service: &Service, number: u32, places: Places<'_>) -> Told {
    let message = format!("{} has no TCP port {number}; it has {}", named(&service.resource, places), ports(service));
    let help = match service.ports.as_slice() {
        [] => None,
        [only] => Some(format!("write `port: {{number: {}}}`", only.number)),
        _ => Some("name one of them under `port.number`; without it the port of the listener is taken".to_owned()),
    };
    Told { reason: Reason::PortUndefined, part: Part::Port, message, help }
}

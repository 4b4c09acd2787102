//! Connections that reach a filter chain.

use malha_mesh::program::{Bind, FilterChain, Listener, Proxy, Role};
use malha_table::{Protocol, ProxyIdentity, Request, Tls};
use std::collections::BTreeMap;

/// A connection for a rule of `tls` or `tcp`: what the filter chain asks for.
pub(super) fn connection(proxy: &Proxy, listener: &Listener, chain: &FilterChain) -> Request {
    let destination = match chain.destinations.first() {
        Some(range) => range.split('/').next().map(|ip| malha_table::Address { ip: ip.to_owned() }),
        None => listener.address().map(|ip| malha_table::Address { ip: ip.to_string() }),
    };
    // Where services are told apart by their names.
    let named = match &listener.bind {
        Bind::Service(name) => Some(name),
        Bind::Any | Bind::Address(_) | Bind::OtherNames | Bind::Socket(_) => None,
    };
    let name = chain.server_names.first().map(|name| below(name));
    let tls = chain.tls.unwrap_or(name.is_some());
    let via = match (proxy.role, proxy.gateways.first()) {
        (Role::Gateway, Some((namespace, name))) => format!("gateway/{namespace}/{name}"),
        (Role::Gateway, None) => "gateway".to_owned(),
        (Role::Sidecar, _) => "mesh".to_owned(),
    };
    Request {
        proxy: identity(proxy).filter(|_| !via.starts_with("gateway/")),
        via: Some(via),
        port: Some(listener.port),
        protocol: Some(if tls { Protocol::Tls } else { Protocol::Tcp }),
        tls: tls.then(|| Tls { sni: name, alpn: Vec::new() }),
        authority: named.filter(|_| destination.is_none()).map(ToString::to_string),
        destination,
        ..Request::default()
    }
}

/// Who a proxy is; none for the client that nobody need name.
pub(super) fn identity(proxy: &Proxy) -> Option<ProxyIdentity> {
    let labels: BTreeMap<String, String> =
        proxy.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let is_default = proxy.role == Role::Sidecar && proxy.namespace == "default" && labels.is_empty();
    (!is_default).then(|| ProxyIdentity { namespace: proxy.namespace.to_string(), labels })
}

/// A name that a pattern of server names holds.
fn below(pattern: &str) -> String {
    pattern.strip_prefix('*').map_or_else(|| pattern.to_owned(), |suffix| format!("any{suffix}"))
}

//! Redirects on a machine where ports are mapped: a Location that names a listener of the same gateway names the port
//! that it has here.

use crate::exchange::Exchange;
use malha_table::{
    http::{host_key, port_start},
    view::{Filter, Listener},
};

/// `location`, with the port of a mapped listener in place of the original one.
pub(crate) fn on_this_machine(exchange: &Exchange<'_>, location: String) -> String {
    let Some((scheme, rest)) = location.split_once("://") else { return location };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let default = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match port_start(authority) {
        Some(colon) => (&authority[..colon], authority[colon + 1..].parse().unwrap_or(default)),
        None => (authority, default),
    };
    match mapped_port(exchange, host, port) {
        Some(mapped) if mapped == default => format!("{scheme}://{host}{path}"),
        Some(mapped) => format!("{scheme}://{host}:{mapped}{path}"),
        None => location,
    }
}

/// The port on this machine of the same gateway's listener that a client of the cluster would reach by `port`; none if
/// it is the same, or if the host is another's.
fn mapped_port(exchange: &Exchange<'_>, host: &str, port: u16) -> Option<u16> {
    let proxy = exchange.running.table.proxies().get(exchange.place.proxy)?;
    let mut of_gateway = exchange.running.listeners_of(exchange.place.proxy).filter(|(_, place)| !place.is_egress());
    let (open, listener) = of_gateway.find_map(|(open, place)| {
        let listener = proxy.listeners().get(place.listener?)?;
        (place.known_port == port).then_some((open, listener))
    })?;
    let mapped = open.at.address()?.port();
    let is_ours = host_key(&exchange.head.authority) == host.to_ascii_lowercase() || serves(&listener, host);
    (mapped != port && is_ours).then_some(mapped)
}

/// Whether a listener has a virtual host that names the host; `*` names none.
fn serves(listener: &Listener<'_>, host: &str) -> bool {
    listener.chains().any(|chain| match chain.filter() {
        Some(Filter::Http(routes)) => routes.find_host(host).is_some_and(|found| found.domain() != "*"),
        _ => false,
    })
}

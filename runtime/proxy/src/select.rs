//! Which rule of the running table takes a request (semantics F, steps 5 and 6).

use crate::{exchange::Exchange, local_reply::LocalReply, plan::Place};
use http::StatusCode;
use malha_table::{
    Meant,
    http::port_start,
    view::{Connection, Fallback, Filter, Listener, Proxy, Route, RouteTable},
};

/// What is to be done with a request.
pub(crate) enum Selected<'t> {
    /// This route says.
    Route(Route<'t>),
    /// 404.
    NotFound,
    /// 301 to https (semantics A38).
    HttpsRedirect,
    /// The mesh knows nothing of the host, and lets it go (semantics E21).
    Outside,
    /// The mesh knows nothing of the host, and does not (semantics E21).
    Blackhole,
    /// What would take it is not executed.
    Refused(LocalReply),
}

/// Looks a request up.
pub(crate) fn select<'r>(exchange: &Exchange<'r>) -> Selected<'r> {
    let Some(proxy) = exchange.running.table.proxies().get(exchange.place.proxy) else { return Selected::NotFound };
    let Some(listener) = listener(exchange, &proxy) else {
        return match proxy.fallback() {
            Fallback::EgressProxy => to_egress_proxy(&proxy),
            Fallback::Close | Fallback::Passthrough => Selected::Outside,
            Fallback::Blackhole => Selected::Blackhole,
        };
    };
    if let Some(reason) = listener.rejected() {
        return refuse(format!("this listener is left out, since Envoy would refuse it: {reason}\n"));
    }
    let tls = exchange.arrival.client.tls.as_ref();
    let original = exchange.arrival.client.original.as_ref();
    let connection = Connection {
        destination: original.and_then(|original| original.address(&listener)),
        is_tls: tls.is_some(),
        server_name: tls.and_then(|tls| tls.server_name.as_deref()),
        is_plain_http: tls.is_none(),
    };
    let Some(chain) = listener.select_chain(&connection) else {
        return match (exchange.place, listener.fallback()) {
            // The chain went with its table; the connection is of the one before.
            (Place { listener: Some(_), .. }, _) => Selected::NotFound,
            (_, Fallback::Blackhole) => Selected::Blackhole,
            (_, Fallback::EgressProxy) => to_egress_proxy(&proxy),
            _ => Selected::Outside,
        };
    };
    match chain.filter() {
        Some(Filter::Http(routes)) if chain.termination().is_some() == tls.is_some() => routed(exchange, &routes),
        _ if exchange.place.listener.is_some() => Selected::NotFound,
        _ => refuse(
            "this port is for TCP or TLS: what is sent there goes through CONNECT, or through a forward of its own\n"
                .to_owned(),
        ),
    }
}

/// By the route of the proxy that the Sidecar names for it (semantics E37).
fn to_egress_proxy<'t>(proxy: &Proxy<'t>) -> Selected<'t> {
    proxy.egress_proxy().map_or(Selected::NotFound, |named| Selected::Route(named.route))
}

/// A gateway's connection is on its listener. A sidecar's is on that of its original destination; where that is not known,
/// requests name theirs by their Host's port.
fn listener<'t>(exchange: &Exchange<'_>, proxy: &Proxy<'t>) -> Option<Listener<'t>> {
    if let Some(index) = exchange.place.listener {
        return proxy.listeners().get(index);
    }
    if let Some(original) = &exchange.arrival.client.original {
        return original.listener(proxy);
    }
    let authority = &exchange.head.authority;
    proxy.find_listener(u32::from(port_of(authority)), Meant::Host(authority))
}

/// The port that an authority names; 80 if it names none.
pub(crate) fn port_of(authority: &str) -> u16 {
    port_start(authority).and_then(|colon| authority[colon + 1..].parse().ok()).unwrap_or(80)
}

fn routed<'t>(exchange: &Exchange<'_>, routes: &RouteTable<'t>) -> Selected<'t> {
    let head = &exchange.head;
    let Some(found) = routes.find_host(&head.authority) else { return Selected::NotFound };
    if !head.is_routable() {
        return Selected::NotFound;
    }
    if found.host.requires_tls() && head.told.forwarded_proto != "https" {
        return Selected::HttpsRedirect;
    }
    found.host.route(head).map_or(Selected::NotFound, Selected::Route)
}

fn refuse<'t>(body: String) -> Selected<'t> {
    Selected::Refused(LocalReply::new(StatusCode::NOT_IMPLEMENTED, body, crate::flags::Flags::default(), "unsupported"))
}

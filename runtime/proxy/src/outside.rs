//! Requests to hosts that the mesh does not know (semantics B39, E21).

use crate::{
    balance::Algorithm,
    cluster::ClusterState,
    connection::Client,
    exchange::Exchange,
    flags::Flags,
    listener::is_reached_at,
    local_reply::LocalReply,
    names::{self, NoAddress},
    options::Passthrough,
    outgoing::Outgoing,
    pool::EndpointAddress,
    select::port_of,
    worker::Local,
};
use http::{HeaderMap, StatusCode};
use malha_table::{http::host_key, view::Discovery};
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Whether a cluster's endpoint is whatever the client named: on this machine there is no original destination but the
/// Host.
pub(crate) fn is_clients_choice(discovery: Discovery) -> bool {
    matches!(discovery, Discovery::OriginalDestination | Discovery::DynamicDns)
}

/// The 502 of `REGISTRY_ONLY`.
pub(crate) fn blackhole() -> LocalReply {
    LocalReply::new(StatusCode::BAD_GATEWAY, "", Flags::default(), "direct_response")
}

/// The request as it goes to a host outside the mesh: as it came.
pub(crate) fn as_it_came<'e>(exchange: &'e Exchange<'_>, headers: HeaderMap) -> Outgoing<'e> {
    let head = &exchange.head;
    Outgoing::new(Cow::Borrowed(&head.sent_authority), Cow::Borrowed(&head.path_and_query), headers, head.host.as_ref())
}

/// Where the client meant a request to go as an endpoint, if it may go there: what it connected to, where that is known,
/// else the host that it named.
pub(crate) fn endpoint(exchange: &Exchange<'_>, discovery: Discovery) -> Result<EndpointAddress, LocalReply> {
    let original = exchange.arrival.client.original.as_ref();
    if let Some(original) = original.filter(|_| discovery != Discovery::DynamicDns) {
        return allowed(exchange.local, original.endpoint(), &original.to_string());
    }
    let authority = &exchange.head.sent_authority;
    let host = host_key(authority);
    allowed(exchange.local, EndpointAddress { host: bare(&host).into(), port: port_of(authority) }, authority)
}

/// The same of a connection; a cluster that looks names up goes by the server name.
pub(crate) fn endpoint_of_connection(local: &Local, client: &Client, discovery: Discovery) -> Option<EndpointAddress> {
    let original = client.original.as_ref()?;
    let address = match client.tls.as_ref().and_then(|tls| tls.server_name.as_deref()) {
        Some(name) if discovery == Discovery::DynamicDns => {
            EndpointAddress { host: name.to_ascii_lowercase().into(), port: original.port() }
        }
        _ => original.endpoint(),
    };
    allowed(local, address, &original.to_string()).ok()
}

/// An address that a client named, if it may be connected to; `authority` is what people call it.
pub(crate) fn allowed(local: &Local, address: EndpointAddress, authority: &str) -> Result<EndpointAddress, LocalReply> {
    // Sockets of the file system are for tables to name (semantics E4).
    if address.port == 0 || address.host.contains(['/', '@']) {
        return Err(refuse("no_address", format!("{authority} names no host and port to connect to\n")));
    }
    if let Some(known) = local.shared.options.neighbours.find(&address.host, address.port) {
        return Ok(EndpointAddress { host: known.ip().to_string().into(), port: known.port() });
    }
    let loopback = loopback(&address);
    if loopback.is_none() && local.shared.options.passthrough == Passthrough::Loopback {
        return Err(refuse(
            "outside_loopback",
            format!(
                "no service or rule of the mesh takes {authority}, and requests to other hosts do not leave this machine\n"
            ),
        ));
    }
    if ip_address(&address).is_some_and(|address| is_own(local, address)) {
        return Err(own_address(authority));
    }
    // A name below `localhost` is loopback, whether or not the system's resolver knows it.
    Ok(match loopback {
        Some(loopback) => EndpointAddress { host: loopback.ip().to_string().into(), port: address.port },
        None => address,
    })
}

/// Waits until the host that a client named has an address, if it is a name; else the answer to the request (semantics
/// E7).
pub(crate) async fn found(exchange: &Exchange<'_>, address: &EndpointAddress) -> Result<(), LocalReply> {
    if address.is_fixed() {
        return Ok(());
    }
    let unavailable = |body: &'static str, flags, details| {
        Err(LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, body, flags, details))
    };
    match exchange.local.shared.names.addresses(&address.host).await {
        Ok(_) => Ok(()),
        Err(NoAddress::Failed(_)) => unavailable("DNS resolution failure", Flags::DNS_FAILED, "dns_resolution_failure"),
        Err(NoAddress::Overflow) => unavailable("DNS cache overflow", Flags::default(), "dns_cache_overflow"),
    }
}

/// The cluster of hosts that the mesh does not know, with one of them. All are counted together.
pub(crate) fn passthrough(local: &Local, address: EndpointAddress) -> ClusterState {
    let mut cluster =
        ClusterState::of_one("PassthroughCluster", address, Algorithm::LeastRequest, Duration::from_secs(10));
    cluster.counters = Arc::clone(&local.metrics().outside.passthrough);
    cluster
}

/// The answer to a request that would come back to this proxy.
pub(crate) fn own_address(authority: &str) -> LocalReply {
    refuse("own_address", format!("{authority} is this proxy's own address: name the service to call in Host\n"))
}

fn refuse(details: &'static str, body: String) -> LocalReply {
    LocalReply::new(StatusCode::BAD_GATEWAY, body, Flags::default(), details)
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether a request to there would come back to a sidecar, for ever, or tell the admin server what to do.
pub(crate) fn is_own(local: &Local, address: SocketAddr) -> bool {
    let admin = local.shared.admin.get();
    local.running().is_own(address) || admin.is_some_and(|&admin| is_reached_at(admin, address))
}

/// The address that a host stands for without being looked up.
pub(crate) fn ip_address(address: &EndpointAddress) -> Option<SocketAddr> {
    let ip = if names::is_loopback(&address.host) {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        address.host.parse::<IpAddr>().ok()?.to_canonical()
    };
    Some(SocketAddr::new(ip, address.port))
}

fn loopback(address: &EndpointAddress) -> Option<SocketAddr> {
    ip_address(address).filter(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loopback() {
        let at = |host: &str| loopback(&EndpointAddress { host: bare(host).into(), port: 80 }).is_some();
        assert!(at("localhost") && at("web.localhost") && at("127.0.0.9") && at("[::1]") && at("[::ffff:127.0.0.1]"));
        assert!(!at("example.org") && !at("10.0.0.1") && !at("0.0.0.0") && !at("localhost.evil.org"));
    }
}

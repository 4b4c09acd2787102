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
    parties,
    pool::EndpointAddress,
    select::port_of,
    worker::Local,
};
use http::{HeaderMap, StatusCode};
use malha_table::{
    http::{host_key, port_start},
    view::{Cluster, Discovery},
};
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// How a client names the endpoint of a cluster that has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// By what it meant to connect to; where that is not known, by its Host.
    Original {
        /// The port in place of the one that it meant (semantics E10).
        port: Option<u16>,
    },
    /// By its Host, or by the server name of its TLS (semantics E7).
    ByName {
        /// The port of a Host that says none.
        usual_port: u16,
    },
}

impl Named {
    /// That of a cluster; `speaks_tls` to its endpoint.
    pub(crate) fn of(cluster: &Cluster<'_>, speaks_tls: bool) -> Option<Named> {
        match cluster.discovery() {
            Discovery::OriginalDestination => {
                let port = cluster.original_port().and_then(|port| u16::try_from(port).ok());
                Some(Named::Original { port })
            }
            Discovery::DynamicDns => Some(Named::ByName { usual_port: if speaks_tls { 443 } else { 80 } }),
            Discovery::Eds | Discovery::StrictDns | Discovery::LogicalDns => None,
        }
    }
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

/// Where the client meant a request to go as an endpoint, if it may go there: what it connected to, where that is known
/// and counts, else the host that it named.
pub(crate) fn endpoint(exchange: &Exchange<'_>, named: Named) -> Result<EndpointAddress, LocalReply> {
    let authority = &exchange.head.sent_authority;
    let host = host_key(authority);
    let by_host = |usual: u16| EndpointAddress {
        host: bare(&host).into(),
        port: port_start(authority).map_or(usual, |_| port_of(authority)),
    };
    match (named, exchange.arrival.client.original.as_ref()) {
        (Named::ByName { usual_port }, _) => allowed(exchange.local, by_host(usual_port), authority),
        (Named::Original { port }, None) => allowed(exchange.local, at_port(by_host(80), port), authority),
        (Named::Original { port }, Some(original)) => {
            allowed(exchange.local, at_port(original.endpoint(), port), &original.to_string())
        }
    }
}

/// The same of a connection.
pub(crate) fn endpoint_of_connection(local: &Local, client: &Client, named: Named) -> Option<EndpointAddress> {
    // A gateway knows no destination; nor does Istio let it go by the server name, unless istiod is told to (semantics E7).
    let original = client.original.as_ref()?;
    let address = match (named, client.tls.as_ref().and_then(|tls| tls.server_name.as_deref())) {
        (Named::ByName { .. }, Some(name)) => {
            EndpointAddress { host: name.to_ascii_lowercase().into(), port: original.port() }
        }
        (Named::ByName { .. }, None) => return None,
        (Named::Original { port }, _) => at_port(original.endpoint(), port),
    };
    allowed(local, address, &original.to_string()).ok()
}

fn at_port(address: EndpointAddress, port: Option<u16>) -> EndpointAddress {
    EndpointAddress { port: port.unwrap_or(address.port), ..address }
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

/// How requests leave for hosts that the mesh does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// To where the client meant them to go (`ALLOW_ANY`, semantics E21).
    Passthrough,
    /// To their Host, whatever the client connected to (`ALLOW_ANY_DYNAMIC_DNS`, semantics B39).
    ByHost,
}

impl Outside {
    /// How the client names where that is.
    pub(crate) fn named(self) -> Named {
        match self {
            Outside::Passthrough => Named::Original { port: None },
            Outside::ByHost => Named::ByName { usual_port: 80 },
        }
    }

    /// The cluster of such hosts, with one of them.
    pub(crate) fn cluster(self, local: &Local, address: EndpointAddress) -> ClusterState {
        let counters = &local.metrics().outside;
        let (name, destination, number, counters) = match self {
            Outside::Passthrough => (
                parties::PASSTHROUGH_CLUSTER_NAME,
                parties::PASSTHROUGH,
                parties::PASSTHROUGH_CLUSTER,
                &counters.passthrough,
            ),
            Outside::ByHost => {
                (parties::BY_HOST_CLUSTER_NAME, parties::BY_HOST, parties::BY_HOST_CLUSTER, &counters.by_host)
            }
        };
        let mut state = ClusterState::of_one(name, address, Algorithm::LeastRequest, Duration::from_secs(10));
        (state.destination, state.number) = (destination, number);
        state.counters = Arc::clone(counters);
        state
    }
}

/// The answer to a request that would come back to this proxy.
pub(crate) fn own_address(authority: &str) -> LocalReply {
    refuse("own_address", format!("{authority} is this proxy's own address: name the service to call in Host\n"))
}

/// The answer to a request whose routes have led it through so many proxies of this process.
pub(crate) fn circle(hops: u16) -> LocalReply {
    refuse(
        "circle",
        format!("this request has come through {hops} proxies of this process: its routes lead in a circle\n"),
    )
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

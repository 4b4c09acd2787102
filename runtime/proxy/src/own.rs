//! Endpoints that are gateways of this very process: how a table names them, and where they listen now.

use crate::{
    listener::{OpenAt, is_reached_at},
    pool::EndpointAddress,
    running::Running,
};
use malha_table::Role;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// What the address of such an endpoint begins with; namespace and name of the gateway proxy follow. Its port is the one
/// that the table gives the listener, wherever that is on this machine.
const SCHEME: &str = "listener://";

/// Where listeners are open.
#[derive(Debug, Default)]
pub(crate) struct OwnListeners {
    /// Those of gateways, by proxy (`namespace/name`) and the table's port.
    gateways: BTreeMap<(String, u32), SocketAddr>,
    /// All that have addresses, by port.
    all: BTreeSet<(u16, IpAddr)>,
    /// The others: paths of sockets, and names after `@`.
    sockets: BTreeSet<String>,
}

/// Whether an address as a table writes it is that of such an endpoint.
pub(crate) fn is_own(written: &str) -> bool {
    written.starts_with(SCHEME)
}

impl OwnListeners {
    /// Of several on one port the first has it.
    pub(crate) fn of(running: &Running) -> Self {
        let gateways = running.listeners().filter(|(_, place)| place.role == Role::Gateway);
        let mut open: Vec<_> = gateways.collect();
        open.sort_by_key(|(_, place)| place.listener);
        let all = running.listeners().filter_map(|(listener, _)| listener.at.address().map(by_port)).collect();
        let sockets = running.listeners().filter_map(|(listener, _)| match &listener.at {
            OpenAt::Address(_) => None,
            OpenAt::Socket(name) => Some(name.as_str().to_owned()),
        });
        let mut own = OwnListeners { all, sockets: sockets.collect(), ..OwnListeners::default() };
        for (listener, place) in open {
            let Some(address) = listener.at.address() else { continue };
            own.gateways.entry((place.proxy_name.clone(), place.port.into())).or_insert(address);
        }
        own
    }

    /// An endpoint's address as a table writes it, as one to connect to.
    pub(crate) fn resolve(&self, written: &str, port: u32) -> Option<EndpointAddress> {
        let Some(proxy) = written.strip_prefix(SCHEME) else { return EndpointAddress::of(written, port) };
        let address = self.gateways.get(&(proxy.to_owned(), port)).copied().map(reached_at);
        // A gateway that does not listen on a port refuses connections to it, as port 0 does.
        let address = address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        Some(EndpointAddress { host: address.ip().to_string().into(), port: address.port() })
    }

    /// Whether an endpoint is a socket at which this process listens.
    pub(crate) fn has_socket(&self, endpoint: &EndpointAddress) -> bool {
        endpoint.socket().is_some_and(|socket| self.sockets.contains(socket))
    }

    /// Whether a connection to there comes back to this process.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        // Those of one port are few, and most connections are to none of them.
        let port = address.port();
        let mut of_port = self.all.range((port, UNSPECIFIED)..).take_while(|(own, _)| *own == port);
        of_port.any(|(port, ip)| is_reached_at(SocketAddr::new(*ip, *port), address))
    }
}

/// The first of all addresses.
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn by_port(address: SocketAddr) -> (u16, IpAddr) {
    (address.port(), address.ip())
}

/// An address that leads to a socket which listens on all of the machine's.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_reached_where_it_listens() {
        let at = |address: &str| address.parse::<SocketAddr>().expect("an address");
        let gateways = BTreeMap::from([
            (("infra/egress".to_owned(), 80), at("127.0.0.1:41080")),
            (("infra/egress".to_owned(), 443), at("0.0.0.0:8443")),
            (("infra/other".to_owned(), 80), at("[::]:8081")),
        ]);
        let all = gateways.values().copied().map(by_port).collect();
        let own = OwnListeners { gateways, all, ..OwnListeners::default() };
        for (written, port, expected) in [
            ("listener://infra/egress", 80, "127.0.0.1:41080"),
            ("listener://infra/egress", 443, "127.0.0.1:8443"),
            ("listener://infra/other", 80, "::1:8081"),
            ("listener://infra/egress", 81, "127.0.0.1:0"),
            ("listener://infra/none", 80, "127.0.0.1:0"),
            ("10.0.0.1", 80, "10.0.0.1:80"),
        ] {
            let resolved = own.resolve(written, port).expect("it is an address");
            assert_eq!(resolved.to_string(), expected, "{written}:{port}");
        }
        assert_eq!(own.resolve("", 80), None);
        for address in ["127.0.0.1:41080", "127.0.0.1:8443", "192.0.2.1:8443", "[::1]:8081"] {
            assert!(own.has(at(address)), "{address}");
        }
        for address in ["192.0.2.1:41080", "127.0.0.1:80", "127.0.0.1:8442"] {
            assert!(!own.has(at(address)), "{address}");
        }
    }
}

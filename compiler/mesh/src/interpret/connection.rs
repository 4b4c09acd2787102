//! Which listener takes a connection, and which of its filter chains (semantics A.7).

use crate::program::{Bind, FilterChain, Listener, Proxy, Role};
use malha_table::http::{BadRequest, host_key};
use malha_table::{Meant, Protocol, Request, RouteError};
use std::net::IpAddr;

/// What choosing a filter chain reads of a connection.
pub(crate) struct Connection {
    /// Where the client meant to connect to, if that is known.
    pub(super) destination: Option<IpAddr>,
    /// Server name of the client's hello, lower case.
    pub(super) sni: Option<String>,
    /// Whether the client speaks TLS.
    pub(super) tls: bool,
    /// What it speaks, inside of TLS if there is any.
    pub(super) protocol: Protocol,
    /// Whether a look at the first bytes shows plain HTTP.
    is_plain_http: bool,
}

impl Connection {
    /// One that was not made by a request.
    pub(crate) fn sample(
        destination: Option<IpAddr>,
        sni: Option<String>,
        tls: bool,
        is_plain_http: bool,
    ) -> Connection {
        let protocol = if is_plain_http { Protocol::Http } else { Protocol::Tcp };
        Connection { destination, sni, tls, protocol, is_plain_http }
    }

    /// The connection of a request; `refused` is what an HTTP codec has against it.
    pub(super) fn of(request: &Request, refused: Option<&BadRequest>) -> Result<Self, RouteError> {
        let protocol = request.protocol.unwrap_or_default();
        let tls = request.tls.is_some() || protocol == Protocol::Tls;
        let destination = match &request.destination {
            None => None,
            Some(address) => Some(address.ip.parse().map_err(|_| RouteError::Address(address.ip.clone()))?),
        };
        Ok(Connection {
            destination,
            sni: request.tls.as_ref().and_then(|tls| tls.sni.as_ref()).map(|sni| sni.to_ascii_lowercase()),
            tls,
            protocol,
            is_plain_http: !tls && protocol == Protocol::Http && refused.is_none_or(|refused| !refused.is_foreign),
        })
    }
}

/// The listener for a connection to `port`.
///
/// One that is bound to the address that is meant, else the one that is bound to none. In a sidecar a name stands for an
/// address, or, where the files know none, for the listener of this name.
pub(crate) fn listener<'a>(proxy: &'a Proxy, meant: Meant<'_>, port: u32) -> Option<&'a Listener> {
    let on_port = || proxy.program.listeners.iter().filter(|listener| listener.port == port);
    let any = || on_port().find(|listener| listener.bind == Bind::Any);
    let named = |listener: &Listener, authority: &str| {
        let name = host_key(authority);
        listener.names.iter().any(|other| *other == *name)
    };
    let found = match meant {
        Meant::Address(address) => on_port().find(|listener| listener.address() == Some(address)),
        // Without a word of the address, a gateway's request is for the first listener on the port.
        _ if proxy.role == Role::Gateway => return any().or_else(|| on_port().next()),
        // The recorded way of a Host that has no address: to the listener of any.
        Meant::Host(host) => on_port().find(|listener| listener.address().is_some() && named(listener, host)),
        Meant::Name(name) => {
            let of_any_name = || on_port().find(|listener| listener.bind == Bind::OtherNames);
            match on_port().find(|listener| named(listener, name)).or_else(of_any_name) {
                Some(listener) if keeps_names_apart(listener) => return None,
                found => found,
            }
        }
        Meant::Unsaid => None,
    };
    found.or_else(any)
}

/// Whether it is there only to keep other names from the listener of any address.
fn keeps_names_apart(listener: &Listener) -> bool {
    listener.bind == Bind::OtherNames && listener.filter_chains.is_empty() && listener.rejected.is_none()
}

/// The filter chain for a connection: by destination range, then server name, then transport, then first bytes. Of each
/// the most specific that there is; a later miss does not lead back to a less specific one (semantics A52 to A55).
pub(crate) fn filter_chain<'a>(listener: &'a Listener, connection: &Connection) -> Option<&'a FilterChain> {
    let mut chains: Vec<&FilterChain> = listener.filter_chains.iter().collect();

    let width = |chain: &FilterChain| {
        let ranges = chain.destinations.iter().filter_map(|range| prefix_length(range, connection.destination?));
        ranges.max()
    };
    match chains.iter().filter_map(|chain| width(chain)).max() {
        Some(longest) => chains.retain(|chain| width(chain) == Some(longest)),
        None => chains.retain(|chain| chain.destinations.is_empty()),
    }

    let rank = |chain: &FilterChain| {
        let names = chain.server_names.iter().filter_map(|name| name_rank(name, connection.sni.as_deref()?));
        names.max()
    };
    match chains.iter().filter_map(|chain| rank(chain)).max() {
        Some(best) => chains.retain(|chain| rank(chain) == Some(best)),
        None => chains.retain(|chain| chain.server_names.is_empty()),
    }

    keep_best(&mut chains, |chain| chain.tls.map(|tls| tls == connection.tls));
    keep_best(&mut chains, |chain| chain.inspected.then_some(connection.is_plain_http));
    chains.first().copied()
}

/// Keeps those that ask for what is so, or else those that ask for nothing.
fn keep_best(chains: &mut Vec<&FilterChain>, asks: impl Fn(&FilterChain) -> Option<bool>) {
    let wanted = chains.iter().any(|chain| asks(chain) == Some(true)).then_some(true);
    chains.retain(|chain| asks(chain) == wanted);
}

/// How specific a server name is that takes `sni`: exact before wildcard, then longer before shorter.
fn name_rank(name: &str, sni: &str) -> Option<(bool, usize)> {
    let takes = match name.strip_prefix('*') {
        Some(suffix) => sni.len() > suffix.len() && sni.ends_with(suffix),
        None => name == sni,
    };
    takes.then_some((!name.starts_with('*'), name.len()))
}

/// The prefix length of a CIDR range that holds `address`; a bare address is a range of one.
pub(crate) fn prefix_length(range: &str, address: IpAddr) -> Option<u32> {
    let (network, length) = range.split_once('/').unwrap_or((range, ""));
    let bits = |address| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((network, width), (address, other_width)) = (bits(network.parse().ok()?), bits(address));
    let length = if length.is_empty() { width } else { length.parse().ok().filter(|length| *length <= width)? };
    let differs = network ^ address;
    (width == other_width && differs.checked_shr(128 - length).unwrap_or(0) == 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_addresses() {
        let cases = [
            ("10.0.0.0/8", "10.1.2.3", Some(8)),
            ("10.0.0.0/8", "11.1.2.3", None),
            ("10.1.2.3", "10.1.2.3", Some(32)),
            ("0.0.0.0/0", "9.9.9.9", Some(0)),
            ("::/0", "9.9.9.9", None),
            ("fd00::/8", "fd12::1", Some(8)),
            ("10.0.0.0/33", "10.0.0.0", None),
        ];
        for (range, address, expected) in cases {
            let address = address.parse().expect("an address");
            assert_eq!(prefix_length(range, address), expected, "{range} {address}");
        }
    }
}

//! Where a mesh client meant to connect to. In a cluster a sidecar reads it off the connection that it has intercepted;
//! here the client says it, by CONNECT or by the forward that it has come to.

use crate::{outside::ip_address, pool::EndpointAddress};
use malha_table::{
    Meant,
    http::port_start,
    view::{Listener, Proxy},
};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

/// An address of the mesh: a name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginalDestination {
    /// In lower case, without brackets.
    host: Arc<str>,
    port: u16,
}

impl OriginalDestination {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The IP address that it names by itself.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip_address(&self.endpoint()).map(|address| address.ip())
    }

    /// The listener for such a connection; none: no service has such a port.
    pub(crate) fn listener<'t>(&self, proxy: &Proxy<'t>) -> Option<Listener<'t>> {
        proxy.find_listener(u32::from(self.port), self.ip().map_or(Meant::Name(&self.host), Meant::Address))
    }

    /// The IP address that a client in a cluster would have connected to: that of the listener which the name leads to,
    /// where the name is no address. None: the files do not know it.
    pub(crate) fn address(&self, listener: &Listener<'_>) -> Option<IpAddr> {
        self.ip().or_else(|| listener.bind().address())
    }

    pub(crate) fn endpoint(&self) -> EndpointAddress {
        EndpointAddress { host: Arc::clone(&self.host), port: self.port }
    }
}

impl FromStr for OriginalDestination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` names no address of the mesh: write it as postgres.db:5432, a host and a port");
        let colon = port_start(text).ok_or_else(wrong)?;
        let (host, port) = (&text[..colon], &text[colon + 1..]);
        // A sign is no part of a port, whatever a number may have.
        let digits = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = digits.and_then(|digits| digits.parse().ok()).filter(|&port| port > 0).ok_or_else(wrong)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
        let is_name = !host.is_empty() && host.bytes().all(is_part);
        let is_host = bracketed.map_or(is_name, |bracketed| bracketed.parse::<Ipv6Addr>().is_ok());
        if !is_host {
            return Err(wrong());
        }
        Ok(OriginalDestination { host: bracketed.unwrap_or(host).to_ascii_lowercase().into(), port })
    }
}

impl fmt::Display for OriginalDestination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_clients_write_them() {
        for (text, shown, ip) in [
            ("Postgres.db:5432", "postgres.db:5432", None),
            ("10.0.0.1:80", "10.0.0.1:80", Some("10.0.0.1")),
            ("[FD00::1]:80", "[fd00::1]:80", Some("fd00::1")),
            ("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]:80", Some("10.0.0.1")),
            ("x.localhost:1", "x.localhost:1", Some("127.0.0.1")),
        ] {
            let read: OriginalDestination = text.parse().unwrap();
            assert_eq!((&*read.to_string(), read.ip()), (shown, ip.map(|ip| ip.parse().unwrap())), "{text}");
        }
        for text in ["a", "a:", "a:0", "a:65536", "a:+80", ":80", "[a]:80", "a b:80", "u@a:80", "::1:80", "a:80/x", ""]
        {
            assert!(text.parse::<OriginalDestination>().is_err(), "{text}");
        }
    }
}

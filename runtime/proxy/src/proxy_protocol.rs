//! The PROXY protocol: who a client is, told ahead of its bytes (semantics D61).

use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// What a header is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}

impl Version {
    /// As a policy says; V1 where it names none.
    pub(crate) fn of(policy: &Value) -> Option<Self> {
        let written = policy.get("proxyProtocol")?;
        Some(if written.get("version").is_some_and(|version| version == "V2") { Version::V2 } else { Version::V1 })
    }
}

/// What is told of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// What every header of version 2 begins with.
pub(crate) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, and that addresses follow.
pub(crate) const PROXIED: u8 = 0x21;

/// TCP over IPv4, and over IPv6.
pub(crate) const TCP4: u8 = 0x11;
pub(crate) const TCP6: u8 = 0x21;

impl Header {
    /// Its bytes. Addresses of two families are told as those of IPv6.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (source, destination) = (self.source.ip().to_canonical(), self.destination.ip().to_canonical());
        let ports = (self.source.port(), self.destination.port());
        match self.version {
            Version::V1 => line(source, destination, ports).into_bytes(),
            Version::V2 => binary(source, destination, ports),
        }
    }
}

fn line(source: IpAddr, destination: IpAddr, (from, to): (u16, u16)) -> String {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            format!("PROXY TCP4 {source} {destination} {from} {to}\r\n")
        }
        _ => format!("PROXY TCP6 {} {} {from} {to}\r\n", wide(source), wide(destination)),
    }
}

fn binary(source: IpAddr, destination: IpAddr, (from, to): (u16, u16)) -> Vec<u8> {
    let (family, addresses) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => (TCP4, [source.octets(), destination.octets()].concat()),
        _ => (TCP6, [wide(source).octets(), wide(destination).octets()].concat()),
    };
    // Two addresses of 16 bytes and two ports at most.
    let length = u16::try_from(addresses.len() + 4).unwrap_or_default();
    let mut bytes = [SIGNATURE, &[PROXIED, family], &length.to_be_bytes(), &addresses].concat();
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes
}

fn wide(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: Version, source: &str, destination: &str) -> Vec<u8> {
        let [source, destination] = [source, destination].map(|address| address.parse().unwrap());
        Header { version, source, destination }.bytes()
    }

    #[test]
    fn lines() {
        let line = |source, destination| String::from_utf8(header(Version::V1, source, destination)).unwrap();
        assert_eq!(line("10.1.2.3:4000", "127.0.0.1:80"), "PROXY TCP4 10.1.2.3 127.0.0.1 4000 80\r\n");
        assert_eq!(line("[2001:db8::1]:5", "[::1]:443"), "PROXY TCP6 2001:db8::1 ::1 5 443\r\n");
        assert_eq!(line("[::ffff:10.1.2.3]:5", "10.0.0.1:6"), "PROXY TCP4 10.1.2.3 10.0.0.1 5 6\r\n");
        assert_eq!(line("[2001:db8::1]:5", "10.0.0.1:6"), "PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 5 6\r\n");
    }

    #[test]
    fn bytes() {
        let narrow = header(Version::V2, "10.1.2.3:258", "127.0.0.1:80");
        assert_eq!(narrow, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x7f\0\0\x01\x01\x02\0\x50");
        let wide = header(Version::V2, "[2001:db8::1]:258", "[::1]:80");
        assert_eq!((wide.len(), &wide[12..16]), (52, &[0x21, 0x21, 0, 36][..]));
    }
}

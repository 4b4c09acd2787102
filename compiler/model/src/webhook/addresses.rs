//! Addresses: IPs, ranges of them, and sockets in the file system.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What a Unix address begins with.
pub(super) const UNIX: &str = "unix://";

/// Whether `text` is an IP address as Go's `netip` reads it. One of version 6 may name a zone, as `fe80::1%eth0`
/// (rule C7).
pub(super) fn is_ip(text: &str) -> bool {
    match text.split_once('%') {
        Some((address, zone)) => !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok(),
        None => text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok(),
    }
}

/// Why `text` is neither an IP address nor a range of them, as `10.0.0.0/8`; `None` if it is one (rule C7).
pub(super) fn subnet_problem(text: &str) -> Option<&'static str> {
    const NOT_ADDRESS: &str = "is no IP address";
    // Two slashes make no range, and no address either.
    let Some((address, bits)) = text.split_once('/').filter(|(_, bits)| !bits.contains('/')) else {
        return (!is_ip(text)).then_some(NOT_ADDRESS);
    };
    let most = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(_), _) => 32,
        (_, Ok(_)) => 128,
        _ => return Some("is no range of IP addresses: what stands before the slash is no address"),
    };
    let plain = bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    match bits.parse::<u8>() {
        Ok(bits) if plain && bits <= most => None,
        _ if most == 32 => Some("is no range of IP addresses: after the slash goes a number from 0 to 32"),
        _ => Some("is no range of IP addresses: after the slash goes a number from 0 to 128"),
    }
}

/// Whether `path`, which followed [`UNIX`], names a socket: absolute and no directory, or abstract as `@name` (rule
/// C14).
pub(super) fn is_socket(path: &str) -> bool {
    path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{is_ip, is_socket, subnet_problem};

    #[test]
    fn addresses_are_those_of_go() {
        for text in ["1.2.3.4", "::1", "::", "fe80::1%eth0", "::ffff:1.2.3.4", "1:2:3:4:5:6:7::"] {
            assert!(is_ip(text), "{text}");
        }
        for text in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "256.1.1.1",
            "1.2.3.4%eth0",
            "fe80::1%",
            "[::1]",
            "::1::",
            "::1%",
            "1.2.3.4/8",
            "a",
        ] {
            assert!(!is_ip(text), "{text}");
        }
    }

    #[test]
    fn ranges_are_those_of_go() {
        for text in [
            "10.0.0.0/8",
            "10.1.2.3/8",
            "0.0.0.0/0",
            "1.2.3.4/32",
            "::/0",
            "fd00::/128",
            "fe80::/128",
            "1.2.3.4",
            "::1",
        ] {
            assert_eq!(subnet_problem(text), None, "{text}");
        }
        for text in [
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "fe80::1%e/64",
            "a/8",
            "10.0.0.0/8/8",
            "//",
            "/",
            "a",
        ] {
            assert!(subnet_problem(text).is_some(), "{text}");
        }
    }

    #[test]
    fn sockets_are_absolute_or_abstract() {
        assert!(is_socket("/a/b") && is_socket("@a") && is_socket("@"));
        assert!(!is_socket("") && !is_socket("a") && !is_socket("/a/") && !is_socket("/"));
    }
}

//! What a gateway takes from whoever stands in front of it (semantics A63, A64, A71).

use std::net::IpAddr;

/// `gatewayTopology` of the MeshConfig.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayTopology {
    /// So many proxies in front of a gateway are trusted, and with them what they say of their clients.
    pub trusted_proxies: u32,
    /// What becomes of `x-forwarded-client-cert`.
    pub client_cert: ForwardClientCert,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// `forwardClientCertDetails`: what becomes of `x-forwarded-client-cert` (semantics A64).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardClientCert {
    /// The client's is removed.
    Sanitize,
    /// The client's is removed; its own certificate is told of.
    #[default]
    SanitizeSet,
    /// That of a client that shows a certificate stays.
    ForwardOnly,
    /// That of a client that shows a certificate stays, and its own is told of behind it.
    AppendForward,
    /// The client's stays, whoever it is.
    AlwaysForwardOnly,
}

impl ForwardClientCert {
    /// All of them, in the order of the MeshConfig, by which a table numbers them, with their names there.
    pub const ALL: [(ForwardClientCert, &'static str); 5] = [
        (ForwardClientCert::Sanitize, "SANITIZE"),
        (ForwardClientCert::ForwardOnly, "FORWARD_ONLY"),
        (ForwardClientCert::AppendForward, "APPEND_FORWARD"),
        (ForwardClientCert::SanitizeSet, "SANITIZE_SET"),
        (ForwardClientCert::AlwaysForwardOnly, "ALWAYS_FORWARD_ONLY"),
    ];

    /// As the MeshConfig writes it; none for `UNDEFINED` and what it does not know.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
    }

    /// Its name in the MeshConfig.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(value, _)| *value == self).map_or("", |(_, name)| name)
    }

    /// Its number in a table.
    pub fn number(self) -> u32 {
        let place = Self::ALL.iter().position(|(value, _)| *value == self).unwrap_or_default();
        u32::try_from(place).unwrap_or_default()
    }

    /// That of a number; the default for one that there is none of.
    pub(crate) fn numbered(number: u32) -> Self {
        usize::try_from(number)
            .ok()
            .and_then(|number| Self::ALL.get(number))
            .map_or(Self::default(), |(value, _)| *value)
    }

    /// Whether what a client says stays, where it shows a certificate of its own or does not.
    pub fn keeps(self, shows_certificate: bool) -> bool {
        match self {
            ForwardClientCert::AlwaysForwardOnly => true,
            ForwardClientCert::ForwardOnly | ForwardClientCert::AppendForward => shows_certificate,
            ForwardClientCert::Sanitize | ForwardClientCert::SanitizeSet => false,
        }
    }

    /// Whether a certificate that a client shows is told of.
    pub fn tells(self) -> bool {
        matches!(self, ForwardClientCert::SanitizeSet | ForwardClientCert::AppendForward)
    }
}

/// The client that so many trusted proxies tell of by an `x-forwarded-for`, all lines of it joined: the address that the
/// first of them has added. None where there are none, or too few addresses, or no address there: then the client is who
/// opened the connection (semantics A63).
pub fn trusted_client(forwarded_for: &[u8], trusted_proxies: u32) -> Option<IpAddr> {
    let skipped = usize::try_from(trusted_proxies.checked_sub(1)?).ok()?;
    let address = forwarded_for.rsplit(|byte| *byte == b',').nth(skipped)?;
    std::str::from_utf8(address.trim_ascii()).ok()?.parse().ok()
}

/// What a trusted `x-forwarded-proto`, all lines of it joined, says of the scheme; none where it is none (semantics A42).
pub fn forwarded_scheme(forwarded_proto: &[u8]) -> Option<&'static str> {
    match forwarded_proto {
        b"http" => Some("http"),
        b"https" => Some("https"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_those_who_are_trusted_has_seen_the_client() {
        let client = |forwarded: &str, trusted| trusted_client(forwarded.as_bytes(), trusted).map(|ip| ip.to_string());
        let chain = "1.1.1.1, 2.2.2.2,::1";
        assert_eq!(client(chain, 0), None);
        assert_eq!(client(chain, 1).as_deref(), Some("::1"));
        assert_eq!(client(chain, 2).as_deref(), Some("2.2.2.2"));
        assert_eq!(client(chain, 3).as_deref(), Some("1.1.1.1"));
        assert_eq!(client(chain, 4), None, "more are trusted than have said anything");
        assert_eq!(client(chain, u32::MAX), None);
        for none in ["", ",", "1.1.1.1,", "unknown", "1.1.1.1:80", "[::1]", "1.1.1"] {
            assert_eq!(client(none, 1), None, "{none}");
        }
    }

    #[test]
    fn names_and_numbers_are_those_of_the_mesh_config() {
        for (value, name) in ForwardClientCert::ALL {
            assert_eq!(ForwardClientCert::named(name), Some(value));
            assert_eq!((value.name(), ForwardClientCert::numbered(value.number())), (name, value));
        }
        assert_eq!(ForwardClientCert::named("UNDEFINED"), None);
        assert_eq!(ForwardClientCert::numbered(9), ForwardClientCert::SanitizeSet);
    }
}

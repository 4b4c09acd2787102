//! The Host header: what it may hold, and how a virtual host is looked up by it.

use std::borrow::Cow;

/// Where the port begins, its colon included (semantics A36): the last colon, if it is not inside brackets. Whether
/// digits follow does not matter.
pub fn port_start(authority: &str) -> Option<usize> {
    let bytes = authority.as_bytes();
    // Few are so long that a search by words would find it sooner.
    let colon = bytes.iter().rposition(|byte| *byte == b':')?;
    let is_of_an_address = bytes.get(colon..)?.contains(&b']');
    (!is_of_an_address).then_some(colon)
}

/// The key by which virtual hosts are looked up: lower case, without port (semantics A34).
pub fn host_key(authority: &str) -> Cow<'_, str> {
    let host = port_start(authority).map_or(authority, |colon| &authority[..colon]);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Whether Envoy takes this for a Host at all; an empty one is taken, and finds no virtual host but `*`.
pub fn authority_is_valid(authority: &str) -> bool {
    authority.bytes().all(|byte| VALID[usize::from(byte)])
}

static VALID: [bool; 256] = {
    let mut valid = [false; 256];
    let others = b"!$%&'()*+,-.:;=@[]_~";
    let mut byte = 0;
    while byte < 256 {
        valid[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        valid[others[other] as usize] = true;
        other += 1;
    }
    valid
};

/// The proper suffixes of a host that a wildcard domain may name, longest first: `b.c` and `.b.c`-like tails at every
/// position after the first byte (semantics A35; a wildcard needs at least one byte before its suffix).
pub fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    (1..host.len()).filter_map(|start| host.get(start..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_what_stands_before_the_last_colon() {
        for (authority, key) in [
            ("foo.com", "foo.com"),
            ("FOO.com:9999", "foo.com"),
            ("foo.com:", "foo.com"),
            ("foo.com:abc", "foo.com"),
            ("a:b:c", "a:b"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(host_key(authority), key, "{authority}");
        }
    }

    #[test]
    fn odd_hosts() {
        assert!(authority_is_valid("user@foo.com"));
        assert!(authority_is_valid(""));
        for bad in ["default/b.bar.org", "a b", "a#b", "a?b", "é.com", "a\"b", "{a}"] {
            assert!(!authority_is_valid(bad), "{bad}");
        }
    }
}

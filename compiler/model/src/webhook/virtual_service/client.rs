//! Conditions on who asks, and where: the client's labels, the gateways, the port and the addresses of the listener.

use super::{Judge, Place};
use crate::{
    Entries, Spanned,
    read::shorten,
    rules::{INVALID_NAME, INVALID_TEXT, OUT_OF_RANGE},
    webhook::hosts::{is_address, is_label},
};
use smol_str::SmolStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the conditions of all three kinds of rules can ask of a client and a listener.
pub(super) struct Client<'s> {
    pub(super) labels: &'s Entries<SmolStr>,
    pub(super) gateways: &'s [Spanned<SmolStr>],
    pub(super) port: Option<&'s Spanned<u32>>,
    pub(super) subnets: &'s [Spanned<SmolStr>],
}

impl Client<'_> {
    /// Judges the conditions of the match at `place`.
    pub(super) fn judge(&self, place: &Place<'_>, judge: &mut Judge<'_, '_>) {
        judge_labels(&place.key("sourceLabels"), self.labels, judge);
        judge.gateways(&place.key("gateways"), self.gateways);
        // A port of zero is none.
        if let Some(port) = self.port.filter(|port| port.value != 0) {
            judge_port(&place.key("port"), port, judge);
        }
        for (index, subnet) in self.subnets.iter().enumerate().filter(|(_, subnet)| !is_subnet(subnet)) {
            let message = format!("\"{}\" is neither an IP address nor a range of them", shorten(subnet));
            let help = "write an address, or a range as `10.0.0.0/8`";
            judge.refuse(&INVALID_TEXT, &place.key("destinationSubnets").item(index), subnet.span, message, help);
        }
    }
}

/// Judges the number of a port.
pub(super) fn judge_port(place: &Place<'_>, port: &Spanned<u32>, judge: &mut Judge<'_, '_>) {
    if !(1..=65535).contains(&port.value) {
        let message = format!("{} is no port: ports lie between 1 and 65535", port.value);
        judge.refuse(&OUT_OF_RANGE, place, port.span, message, "use a port between 1 and 65535");
    }
}

fn judge_labels(place: &Place<'_>, labels: &Entries<SmolStr>, judge: &mut Judge<'_, '_>) {
    let help = "use letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; \
        a key may have a DNS name and `/` before that";
    for (key, value) in labels {
        if !is_label_key(key) {
            let message = format!("\"{}\" cannot be the key of a label, so no workload has it", shorten(key));
            judge.refuse(&INVALID_NAME, &place.key(key), key.span, message, help);
        } else if !value.is_empty() && !is_label_word(value) {
            let message = format!("\"{}\" cannot be the value of a label, so no workload has it", shorten(value));
            judge.refuse(&INVALID_NAME, &place.key(key), value.span, message, help);
        }
    }
}

fn is_label_word(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().all(inner) && edge(text.as_bytes().first()) && edge(text.as_bytes().last())
}

fn is_label_key(text: &str) -> bool {
    let is_name = |name: &str| name.len() <= 63 && is_label_word(name);
    match text.split_once('/') {
        Some((prefix, name)) => prefix.len() <= 253 && prefix.split('.').all(is_label) && is_name(name),
        None => is_name(text),
    }
}

/// Whether `text` is an IP address, or a range of them as Go reads it (`10.0.0.0/8`).
fn is_subnet(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return is_address(text) };
    let digits = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => Ipv4Addr::BITS,
        Ok(IpAddr::V6(_)) => Ipv6Addr::BITS,
        Err(_) => return false,
    };
    digits && length.parse::<u32>().is_ok_and(|length| length <= most)
}

#[cfg(test)]
mod tests {
    use super::{is_label_key, is_subnet};

    #[test]
    fn knows_keys_of_labels() {
        for good in ["app", "a.b/c_d", "A/B", "version.x"] {
            assert!(is_label_key(good), "{good}");
        }
        for bad in ["", "a b", "a/b/c", "/a", "a/", "*", "-a", &"x".repeat(64)] {
            assert!(!is_label_key(bad), "{bad}");
        }
    }

    #[test]
    fn knows_subnets() {
        for good in ["10.0.0.0/8", "10.1.2.3", "::/0", "fe80::/128", "::1"] {
            assert!(is_subnet(good), "{good}");
        }
        for bad in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/8/8", "/", "a", "10.0.0.0/+8"] {
            assert!(!is_subnet(bad), "{bad}");
        }
    }
}

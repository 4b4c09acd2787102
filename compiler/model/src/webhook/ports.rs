//! Ports of services and listeners: names, numbers, protocols.

use super::{Judge, hosts};
use crate::{
    Spanned,
    read::{list, shorten},
    rules::{INVALID_NAME, OUT_OF_RANGE, UNKNOWN_ENUM_VALUE},
};
use malha_syntax::nearest;
use smol_str::SmolStr;
use std::fmt;

/// What tells the hosts of a port apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// The `Host` header: HTTP of any version.
    Http,
    /// The server name: TLS.
    Tls,
    /// Nothing.
    Other,
}

/// The protocols that Istio knows (rule C13). Capitals do not matter.
const PROTOCOLS: [(&str, Family); 12] = [
    ("HTTP", Family::Http),
    ("HTTP2", Family::Http),
    ("HTTP_PROXY", Family::Http),
    ("GRPC", Family::Http),
    ("GRPC-WEB", Family::Http),
    ("HTTPS", Family::Tls),
    ("TLS", Family::Tls),
    ("TCP", Family::Other),
    ("UDP", Family::Other),
    ("MONGO", Family::Other),
    ("REDIS", Family::Other),
    ("MYSQL", Family::Other),
];

/// What the protocol `name` tells hosts apart by; `None` if there is no such protocol.
pub(super) fn family(name: &str) -> Option<Family> {
    PROTOCOLS.iter().find(|(protocol, _)| protocol.eq_ignore_ascii_case(name)).map(|(_, family)| *family)
}

/// Refuses a protocol that Istio does not know. None at all is fine: then the bytes tell.
pub(super) fn check_protocol(
    protocol: Option<&Spanned<SmolStr>>,
    field: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    if let Some(protocol) = protocol.filter(|name| !name.is_empty() && family(name).is_none()) {
        refuse_protocol(protocol, field, judge);
    }
}

/// Refuses a protocol, which is none of Istio's.
pub(super) fn refuse_protocol(protocol: &Spanned<SmolStr>, field: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let names = PROTOCOLS.map(|(name, _)| name);
    let help = match nearest(&protocol.to_ascii_uppercase(), names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("its values are {}", list(&names, "and")),
    };
    let message = format!("\"{}\" is no protocol that Istio knows", shorten(protocol));
    judge.refuse(&UNKNOWN_ENUM_VALUE, field.to_string(), protocol.span, message, help);
}

/// Refuses a name that is no part of a DNS name (rule C1).
pub(super) fn check_port_name(name: Option<&Spanned<SmolStr>>, field: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let Some(name) = name.filter(|name| !hosts::is_label(name)) else { return };
    let message = if name.is_empty() {
        "the name of a port is empty, and everything that points at ports needs one".to_owned()
    } else {
        format!("`{}` cannot be the name of a port", shorten(name))
    };
    let help = "use at most 63 letters, digits and inner hyphens, as `http-web`";
    judge.refuse(&INVALID_NAME, field.to_string(), name.span, message, help);
}

/// Refuses a number that no port has (rule C5).
pub(super) fn check_port_number(number: Option<&Spanned<u32>>, field: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let Some(number) = number.filter(|number| !(1..=65535).contains(&number.value)) else { return };
    let message = format!("{} is no port: their numbers go from 1 to 65535", number.value);
    judge.refuse(&OUT_OF_RANGE, field.to_string(), number.span, message, "write the number of the port");
}

//! What the webhook refuses of a WorkloadEntry, alone or as an endpoint of a ServiceEntry.

use super::{Judge, addresses, hosts, labels};
use crate::{
    istio::WorkloadEntry,
    read::shorten,
    rules::{INVALID_TEXT, MISSING_FIELD},
};
use std::fmt;

/// What an address may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    /// An IP, a socket or a name.
    Any,
    /// An IP or a socket: nobody resolves names.
    Static,
    /// An IP or a name, as they are resolved.
    Resolved,
}

pub(super) fn judge(entry: &WorkloadEntry, judge: &mut Judge<'_, '_>) {
    check_address(entry, Addresses::Any, format_args!("spec"), judge);
    labels::check_labels(&entry.labels, format_args!("spec.labels"), judge);
}

/// Judges the address of the entry at `path`.
pub(super) fn check_address(
    entry: &WorkloadEntry,
    allowed: Addresses,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let Some(address) = &entry.address else { return };
    let field = format_args!("{path}.address");
    if address.is_empty() {
        let elsewhere = entry.network.as_ref().is_some_and(|network| !network.is_empty());
        if !elsewhere || allowed == Addresses::Resolved {
            judge.refuse(
                &MISSING_FIELD,
                field.to_string(),
                address.span,
                "the address is empty, so nothing can be sent there",
                "write an address; without one, `network` must say by which gateway the workload is reached",
            );
        }
        return;
    }
    let socket = address.starts_with(addresses::UNIX);
    // The form of a socket's path the schema judges.
    if addresses::is_ip(address) || (socket && allowed != Addresses::Resolved) {
        return;
    }
    let text = shorten(address);
    let (message, help) = match allowed {
        Addresses::Static if hosts::domain_fault(address).is_none() => (
            format!("`{text}` is a name, and with resolution `STATIC` nobody resolves it"),
            "write an IP address or `unix://` and a path, or use resolution `DNS`",
        ),
        Addresses::Static => {
            (format!("`{text}` is no IP address"), "write an IP address, as `10.1.2.3`, or `unix://` and a path")
        }
        Addresses::Resolved if socket => (
            format!("`{text}` is a socket, which cannot be resolved"),
            "write an IP address or a name, or use resolution `STATIC`",
        ),
        Addresses::Any | Addresses::Resolved => match hosts::domain_fault(address) {
            None => return,
            Some(problem) => (format!("`{text}` is neither an IP address nor a DNS name: {problem}"), hosts::NAME_HELP),
        },
    };
    judge.refuse(&INVALID_TEXT, field.to_string(), address.span, message, help);
}

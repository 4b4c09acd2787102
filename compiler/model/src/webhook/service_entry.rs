//! What the webhook refuses of a ServiceEntry.

use super::{
    Judge, addresses, hosts, labels,
    ports::{self, Family},
    workload_entry::{self, Addresses},
};
use crate::{
    Metadata, Spanned,
    istio::{
        ServiceEntry,
        service_entry::{Location, Resolution},
    },
    read::{push_key, shorten},
    rules::{EXCLUSIVE_FIELDS, INVALID_TEXT, UNKNOWN_ENUM_VALUE},
};
use malha_syntax::{Finding, Span, nearest};
use smol_str::SmolStr;
use std::fmt;

/// The label that sends a service's traffic through a waypoint.
const USE_WAYPOINT: &str = "istio.io/use-waypoint";

pub(super) fn judge(metadata: &Metadata, entry: &ServiceEntry, judge: &mut Judge<'_, '_>) {
    for (index, host) in entry.hosts.iter().enumerate() {
        if let Some(problem) = hosts::wildcard_fault(host) {
            let message = format!("`{}` is no DNS name: {problem}", shorten(host));
            judge.refuse(&INVALID_TEXT, format!("spec.hosts[{index}]"), host.span, message, hosts::NAME_HELP);
        }
    }
    for (index, address) in entry.addresses.iter().enumerate() {
        if let Some(problem) = addresses::subnet_problem(address) {
            judge.refuse(
                &INVALID_TEXT,
                format!("spec.addresses[{index}]"),
                address.span,
                format!("`{}` {problem}", shorten(address)),
                "write an IP address, as `10.1.2.3`, or a range, as `10.1.0.0/16`; names go into `hosts`",
            );
        }
    }
    for (index, port) in entry.ports.iter().enumerate() {
        ports::check_port_name(port.name.as_ref(), format_args!("spec.ports[{index}].name"), judge);
        ports::check_protocol(port.protocol.as_ref(), format_args!("spec.ports[{index}].protocol"), judge);
    }
    if let Some(selector) = &entry.workload_selector {
        labels::check_selector_keys(&selector.labels, format_args!("spec.workloadSelector.labels"), judge);
    }
    if let Some(resolution) = &entry.resolution {
        match resolution.value {
            Resolution::None => {}
            Resolution::Static => check_endpoints(entry, Addresses::Static, judge),
            Resolution::Dns | Resolution::DnsRoundRobin => {
                check_resolvable(entry, resolution, judge);
                check_endpoints(entry, Addresses::Resolved, judge);
            }
            Resolution::DynamicDns => check_dynamic(metadata, entry, resolution, judge),
        }
        if resolution.value != Resolution::None {
            check_told_apart(entry, judge);
        }
    }
    judge.export_to(&entry.export_to, Judge::namespace(metadata), true);
}

fn check_endpoints(entry: &ServiceEntry, allowed: Addresses, judge: &mut Judge<'_, '_>) {
    for (index, endpoint) in entry.endpoints.iter().enumerate() {
        let path = format_args!("spec.endpoints[{index}]");
        workload_entry::check_address(endpoint, allowed, path, judge);
        labels::check_labels(&endpoint.labels, format_args!("{path}.labels"), judge);
        for name in endpoint.ports.keys() {
            check_endpoint_port(entry, name, path, judge);
        }
        let socket = endpoint.address.as_ref().filter(|address| address.starts_with(addresses::UNIX));
        if let Some(socket) = socket.filter(|_| allowed == Addresses::Static && entry.ports.len() != 1) {
            let message = format!(
                "a socket has no ports, so it can be the endpoint of a service with one port alone, and there are {}",
                entry.ports.len()
            );
            let help = "give each port a ServiceEntry of its own";
            judge.refuse(&EXCLUSIVE_FIELDS, format!("{path}.address"), socket.span, message, help);
        }
    }
}

/// The ports of endpoints are named after those of the service.
fn check_endpoint_port(
    entry: &ServiceEntry,
    name: &Spanned<SmolStr>,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let names = || entry.ports.iter().filter_map(|port| port.name.as_deref().map(SmolStr::as_str));
    if names().any(|known| known == name.as_str()) {
        return;
    }
    let mut field = format!("{path}.ports");
    push_key(&mut field, name);
    let message = format!("this ServiceEntry has no port `{}`, so the endpoint's port belongs to none", shorten(name));
    let help = match nearest(name, names()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "name it as one of `spec.ports`, or add that port there".to_owned(),
    };
    let mut finding = Finding::new(&INVALID_TEXT, judge.reader.location(name.span), message).field(field).help(help);
    if let Some((key, _)) = judge.spec.entry_of("ports") {
        finding = finding.related(judge.reader.location(key.span()), "the ports are here");
    }
    judge.report(finding);
}

/// Where no endpoint says what to resolve, the hosts are resolved.
fn check_resolvable(entry: &ServiceEntry, resolution: &Spanned<Resolution>, judge: &mut Judge<'_, '_>) {
    if judge.spec.get("endpoints").is_some_and(|endpoints| endpoints.items().next().is_some()) {
        return;
    }
    // That a wildcard cannot be resolved has been said.
    for (index, host) in entry.hosts.iter().enumerate().filter(|(_, host)| !host.starts_with('*')) {
        let Some(problem) = hosts::domain_fault(host) else { continue };
        let message = format!("`{}` cannot be resolved, as it is no DNS name: {problem}", shorten(host));
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(host.span), message)
            .field(format!("spec.hosts[{index}]"))
            .related(judge.reader.location(resolution.span), "the resolution is here")
            .help("write the whole name, add `endpoints`, or use resolution `NONE` or `DYNAMIC_DNS`");
        judge.report(finding);
    }
}

/// With resolution `DYNAMIC_DNS` the name that the client asked for is resolved, so there is nothing else to send to.
fn check_dynamic(
    metadata: &Metadata,
    entry: &ServiceEntry,
    resolution: &Spanned<Resolution>,
    judge: &mut Judge<'_, '_>,
) {
    for (index, host) in entry.hosts.iter().enumerate().filter(|(_, host)| !host.starts_with('*')) {
        refuse_dynamic(
            format!("spec.hosts[{index}]"),
            host.span,
            format!("`{}` is no wildcard, and resolution `DYNAMIC_DNS` is for wildcards alone", shorten(host)),
            "use resolution `DNS` for whole names",
            resolution,
            judge,
        );
    }
    for list in ["addresses", "endpoints"] {
        let Some((key, items)) = judge.spec.entry_of(list) else { continue };
        if items.items().next().is_some() {
            refuse_dynamic(
                format!("spec.{list}"),
                key.span(),
                format!("`{list}` are given, but with resolution `DYNAMIC_DNS` the name in each request decides"),
                &format!("remove `{list}`, or use another resolution"),
                resolution,
                judge,
            );
        }
    }
    for (index, port) in entry.ports.iter().enumerate() {
        let protocol = port.protocol.as_ref().filter(|protocol| !protocol.is_empty());
        if protocol.is_some_and(|name| ["HTTP", "HTTP2", "GRPC", "TLS"].iter().any(|it| it.eq_ignore_ascii_case(name)))
        {
            continue;
        }
        let message = match protocol {
            Some(protocol) => format!("`{}` cannot be resolved by request", shorten(protocol)),
            None => "a port without a protocol cannot be resolved by request".to_owned(),
        };
        let span = protocol.map_or(port.span, |protocol| protocol.span);
        let help = "resolution `DYNAMIC_DNS` takes the protocols `HTTP`, `HTTP2`, `GRPC` and `TLS`";
        let finding = Finding::new(&UNKNOWN_ENUM_VALUE, judge.reader.location(span), message)
            .field(format!("spec.ports[{index}].protocol"))
            .related(judge.reader.location(resolution.span), "the resolution is here")
            .help(help);
        judge.report(finding);
    }
    let waypoint = metadata.labels.iter().find(|(key, _)| key.value == USE_WAYPOINT);
    let inside = entry.location.as_ref().filter(|location| location.value == Location::MeshInternal);
    if let (Some((label, _)), Some(location)) = (waypoint, inside) {
        let message = "location `MESH_INTERNAL` cannot stand together with resolution `DYNAMIC_DNS` behind a waypoint";
        let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(location.span), message)
            .field("spec.location")
            .related(judge.reader.location(label.span), "the label that asks for a waypoint is here")
            .help("use location `MESH_EXTERNAL`, or remove the label");
        judge.report(finding);
    }
}

fn refuse_dynamic(
    field: String,
    span: Span,
    message: String,
    help: &str,
    resolution: &Spanned<Resolution>,
    judge: &mut Judge<'_, '_>,
) {
    let finding = Finding::new(&EXCLUSIVE_FIELDS, judge.reader.location(span), message)
        .field(field)
        .related(judge.reader.location(resolution.span), "the resolution is here")
        .help(help);
    judge.report(finding);
}

/// Several hosts can share a port only if its traffic says which one is meant.
fn check_told_apart(entry: &ServiceEntry, judge: &mut Judge<'_, '_>) {
    if entry.hosts.len() < 2 {
        return;
    }
    let tells_nothing = |protocol: &str| !matches!(ports::family(protocol), Some(Family::Http | Family::Tls));
    for (index, port) in entry.ports.iter().enumerate() {
        let protocol = port.protocol.as_ref();
        if !tells_nothing(protocol.map_or("", |name| name.as_str())) {
            continue;
        }
        let named = protocol.filter(|name| !name.is_empty());
        let what =
            named.map_or("a port without a protocol".to_owned(), |name| format!("a port for `{}`", shorten(name)));
        judge.refuse(
            &EXCLUSIVE_FIELDS,
            format!("spec.ports[{index}].protocol"),
            protocol.map_or(port.span, |name| name.span),
            format!("{what} cannot tell the {} hosts of this ServiceEntry apart", entry.hosts.len()),
            "set a protocol of HTTP or TLS, or give each host a ServiceEntry of its own",
        );
    }
}

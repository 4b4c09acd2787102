//! What the webhook refuses of a Gateway.

mod tls;

use super::{
    Judge,
    addresses::{UNIX, is_ip, is_socket},
    hosts::{is_label, wildcard_fault},
    place::Place,
    ports::{self, Family},
};
use crate::{
    Metadata, Spanned,
    istio::{
        Gateway,
        gateway::{Port, Server},
    },
    read::shorten,
    rules::{EXCLUSIVE_FIELDS, INVALID_NAME, INVALID_TEXT, MISSING_FIELD, OUT_OF_RANGE},
};
use smol_str::SmolStr;

pub(super) fn judge(metadata: &Metadata, gateway: &Gateway, judge: &mut Judge<'_, '_>) {
    judge_name(metadata, judge);
    let servers = Place::SPEC.key("servers");
    if gateway.servers.is_empty() {
        let message = "this Gateway has no servers, and so nothing to listen for";
        judge.refuse_at(&MISSING_FIELD, &servers, message, "add a server to `servers`");
    }
    for (index, server) in gateway.servers.iter().enumerate() {
        judge_server(&servers.item(index), server, judge);
    }
}

/// What refers to Gateways has a DNS label for their name, so that one with dots could not be referred to.
fn judge_name(metadata: &Metadata, judge: &mut Judge<'_, '_>) {
    let Some(name) = metadata.name.as_ref().filter(|name| !is_label(name)) else { return };
    let known = judge.reader.findings.iter().any(|finding| finding.field.as_deref() == Some("metadata.name"));
    if !known {
        let message = format!("`{}` is not a name for a Gateway: a DNS label is demanded", shorten(name));
        let help = "use at most 63 lower case letters, digits and inner hyphens, and no dots";
        judge.refuse(&INVALID_NAME, "metadata.name", name.span, message, help);
    }
}

fn judge_server(place: &Place<'_>, server: &Server, judge: &mut Judge<'_, '_>) {
    let hosts = place.key("hosts");
    if server.hosts.is_empty() {
        let message = "this server has no hosts, and so serves none";
        judge.refuse_at(&MISSING_FIELD, &hosts, message, "name the hosts, or write `*` for all");
    }
    for (index, host) in server.hosts.iter().enumerate() {
        if let Some(fault) = host_fault(host) {
            let message = format!("\"{}\" is no host of a server: {fault}", shorten(host));
            let help = "write `shop.example.com`, `*.example.com` or `*`, with `namespace/` before it where only that \
                namespace may serve it";
            judge.refuse(&INVALID_TEXT, &hosts.item(index), host.span, message, help);
        }
    }
    let bind = server.bind.as_ref().filter(|bind| !bind.is_empty());
    let port = server.port.as_ref().and_then(|port| judge_port(&place.key("port"), port, bind, judge));
    if let Some(bind) = bind {
        judge_bind(&place.key("bind"), bind, judge);
    }
    if let Some(settings) = &server.tls {
        tls::judge_settings(&place.key("tls"), settings, judge);
    }
    if let Some((family, protocol)) = port {
        tls::judge_fit(&place.key("tls"), family, protocol, server.tls.as_ref().map(|tls| &tls.value), judge);
    }
}

/// What keeps `text` from being a host of a server, perhaps with a namespace before it, as the end of a message.
fn host_fault(text: &str) -> Option<String> {
    let Some((namespace, host)) = text.split_once('/') else { return name_fault(text) };
    if namespace.is_empty() {
        return Some("its namespace is empty".to_owned());
    }
    if host.is_empty() {
        return Some("nothing follows its namespace".to_owned());
    }
    if !matches!(namespace, "*" | ".") && !is_label(namespace) {
        return Some(format!("its namespace `{}` is no DNS label, nor `*` or `.`", shorten(namespace)));
    }
    name_fault(host)
}

fn name_fault(host: &str) -> Option<String> {
    if let Some(fault) = wildcard_fault(host).filter(|_| !is_ip(host)) {
        return Some(fault);
    }
    if host == "*" {
        return None;
    }
    if !host.contains('.') {
        return Some("it has no dot, and nobody outside knows short names".to_owned());
    }
    let in_part = host.starts_with('*') && !host.starts_with("*.");
    in_part.then(|| "`*` must stand for whole parts of the name here".to_owned())
}

/// Judges a port; what its protocol lets the server say, if the port is good.
fn judge_port<'s>(
    place: &Place<'_>,
    port: &'s Port,
    bind: Option<&Spanned<SmolStr>>,
    judge: &mut Judge<'_, '_>,
) -> Option<(Family, &'s Spanned<SmolStr>)> {
    let protocol = port.protocol.as_ref()?;
    let known = ports::family(protocol);
    if known.is_none() {
        ports::refuse_protocol(protocol, format_args!("{}", place.key("protocol")), judge);
    }
    let mut good = known.is_some();
    if let Some(number) = &port.number {
        let socket = bind.is_some_and(|bind| bind.starts_with(UNIX));
        let in_range = (1..=65535).contains(&number.value) || (socket && number.value == 0);
        if !in_range {
            good = false;
            let message = format!("{} is no port: ports lie between 1 and 65535", number.value);
            judge.refuse(&OUT_OF_RANGE, &place.key("number"), number.span, message, "use a port between 1 and 65535");
        } else if socket && number.value != 0 {
            let message = format!("a socket has no port, and `bind` asks for one: {} cannot be", number.value);
            let help = "use the port 0, or an IP address in `bind`";
            judge.refuse(&EXCLUSIVE_FIELDS, &place.key("number"), number.span, message, help);
        }
    }
    if let Some(target) = port.target_port.as_ref().filter(|target| target.value != 0) {
        good = false;
        let message = "`targetPort` is for services: a Gateway listens on `number`, and Istio refuses another";
        judge.refuse(&EXCLUSIVE_FIELDS, &place.key("targetPort"), target.key, message, "remove it");
    }
    if let Some(name) = port.name.as_ref().filter(|name| name.is_empty()) {
        good = false;
        let message = "the name of this port is empty, and servers are told apart by it";
        judge.refuse(&INVALID_NAME, &place.key("name"), name.span, message, "give it a name, as `https`");
    }
    known.filter(|_| good).map(|family| (family, protocol))
}

fn judge_bind(place: &Place<'_>, bind: &Spanned<SmolStr>, judge: &mut Judge<'_, '_>) {
    let good = match bind.strip_prefix(UNIX) {
        Some(path) => is_socket(path),
        None => is_ip(bind),
    };
    if !good {
        let message = format!("\"{}\" is nothing to listen on: neither an IP address nor a socket", shorten(bind));
        let help = "write an IP address, `unix:///path/to/socket` or `unix://@name`";
        judge.refuse(&INVALID_TEXT, place, bind.span, message, help);
    }
}

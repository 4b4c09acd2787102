//! What the webhook refuses of a Sidecar.

use super::{Judge, addresses, connection_pool, hosts, labels, ports, sidecar_tls};
use crate::{
    Spanned,
    istio::{
        Sidecar,
        sidecar::{
            CaptureMode, IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, OutboundTrafficPolicyMode,
            SidecarPort,
        },
    },
    read::shorten,
    rules::{DUPLICATE_ITEM, EXCLUSIVE_FIELDS, INVALID_NAME, INVALID_TEXT, MISSING_FIELD, OUT_OF_RANGE, UNKNOWN_FIELD},
};
use malha_syntax::{Finding, Span};
use smol_str::SmolStr;
use std::{collections::HashMap, fmt};

const HOST_HELP: &str =
    "write the namespace, `/` and the whole name, as `shop/api.example.com`, `./*` or `*/*.example.com`";

pub(super) fn judge(sidecar: &Sidecar, judge: &mut Judge<'_, '_>) {
    if let Some(selector) = &sidecar.workload_selector {
        labels::check_selector_keys(&selector.labels, format_args!("spec.workloadSelector.labels"), judge);
    }
    let says_nothing = sidecar.ingress.is_empty()
        && sidecar.egress.is_empty()
        && sidecar.outbound_traffic_policy.is_none()
        && sidecar.inbound_connection_pool.is_none();
    if says_nothing {
        let key = judge.object.entry_of("spec").map(|(key, _)| key.span());
        let span = key.unwrap_or_else(|| Judge::place_of(judge.object));
        let message = "this Sidecar says nothing: it has neither listeners nor policies";
        judge.refuse(&MISSING_FIELD, "spec", span, message, "add `egress`, `ingress` or `outboundTrafficPolicy`");
    }
    check_ingress(&sidecar.ingress, judge);
    if let Some(pool) = &sidecar.inbound_connection_pool {
        connection_pool::check(pool, format_args!("spec.inboundConnectionPool"), judge);
    }
    check_egress(&sidecar.egress, judge);
    if let Some(policy) = &sidecar.outbound_traffic_policy {
        check_outbound(policy, judge);
    }
}

fn check_ingress(listeners: &[Spanned<IstioIngressListener>], judge: &mut Judge<'_, '_>) {
    let mut known = HashMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        let path = format_args!("spec.ingress[{index}]");
        if let Some(port) = &listener.port {
            check_port(port, format_args!("{path}.port"), judge);
            let field = format_args!("{path}.port.number");
            if let Some(number) = &port.number {
                ports::check_port_number(Some(number), field, judge);
                check_taken(number.value, number.span, field, "the port", &mut known, judge);
            } else {
                let message = "the number of the port is missing, so there is nothing to listen on";
                judge.refuse(&MISSING_FIELD, field.to_string(), Judge::head(port), message, "add `number`");
            }
            sidecar_tls::check(listener, port, path, judge);
        }
        check_bind(listener.bind.as_ref(), path, judge);
        if let Some(endpoint) = listener.default_endpoint.as_ref().filter(|endpoint| !endpoint.is_empty()) {
            check_default_endpoint(endpoint, format_args!("{path}.defaultEndpoint"), judge);
        }
        if let Some(pool) = &listener.connection_pool {
            connection_pool::check(pool, format_args!("{path}.connectionPool"), judge);
        }
    }
}

/// What ports of both directions have in common: their name is optional.
fn check_port(port: &SidecarPort, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let name = port.name.as_ref().filter(|name| !name.is_empty());
    ports::check_port_name(name, format_args!("{path}.name"), judge);
    ports::check_protocol(port.protocol.as_ref(), format_args!("{path}.protocol"), judge);
    if let Some(target) = port.target_port.as_ref().filter(|target| target.value > 0) {
        judge.refuse(
            &UNKNOWN_FIELD,
            format!("{path}.targetPort"),
            target.key,
            "`targetPort` means nothing in a Sidecar",
            "remove it; where the workload listens is said by `defaultEndpoint`",
        );
    }
}

/// Refuses what two listeners have that only one can have.
fn check_taken<T: Eq + std::hash::Hash + fmt::Display>(
    value: T,
    span: Span,
    field: fmt::Arguments<'_>,
    what: &str,
    known: &mut HashMap<T, Span>,
    judge: &mut Judge<'_, '_>,
) {
    let Some(first) = known.get(&value).copied() else {
        known.insert(value, span);
        return;
    };
    let message = format!("{what} `{value}` is that of an earlier listener of this list");
    let finding = Finding::new(&DUPLICATE_ITEM, judge.reader.location(span), message)
        .field(field.to_string())
        .related(judge.reader.location(first), "the first one is here")
        .help("put both into one listener, or give each its own");
    judge.report(finding);
}

fn check_bind(bind: Option<&Spanned<SmolStr>>, path: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let Some(bind) = bind.filter(|bind| !bind.is_empty() && !addresses::is_ip(bind)) else { return };
    let message = format!("`{}` is no IP address to listen on", shorten(bind));
    let help = "write an IP address, as `127.0.0.1`, or leave `bind` out";
    judge.refuse(&INVALID_TEXT, format!("{path}.bind"), bind.span, message, help);
}

/// A workload is reached over loopback, at all addresses, or by a socket.
fn check_default_endpoint(endpoint: &Spanned<SmolStr>, field: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    let text = || shorten(endpoint);
    let message = if let Some(path) = endpoint.strip_prefix(addresses::UNIX) {
        if addresses::is_socket(path) {
            return;
        }
        format!("`{}` names no socket: its path must be absolute and not end in `/`", text())
    } else {
        match split_port(endpoint) {
            None => format!("`{}` is no address with a port", text()),
            Some((host, _)) if !["", "127.0.0.1", "0.0.0.0", "::1", "::"].contains(&host) => {
                format!("`{}` is not the workload itself: traffic cannot be sent on to another machine", shorten(host))
            }
            Some((_, port)) if port.parse().is_ok_and(|port: i64| (1..=65535).contains(&port)) => return,
            Some((_, port)) => format!("`{}` is no port: their numbers go from 1 to 65535", shorten(port)),
        }
    };
    let help = "write `127.0.0.1:PORT`, `0.0.0.0:PORT`, `[::1]:PORT`, `[::]:PORT` or `unix://` and a path";
    judge.refuse(&INVALID_TEXT, field.to_string(), endpoint.span, message, help);
}

/// Host and port of `host:port` or `[host]:port`, as Go's `net.SplitHostPort` takes them apart.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

fn check_egress(listeners: &[Spanned<IstioEgressListener>], judge: &mut Judge<'_, '_>) {
    let mut numbers = HashMap::new();
    let mut sockets = HashMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        let path = format_args!("spec.egress[{index}]");
        if let Some(port) = &listener.port {
            check_port(port, format_args!("{path}.port"), judge);
            if let Some(number) = port.number.as_ref().filter(|number| number.value != 0) {
                let field = format_args!("{path}.port.number");
                ports::check_port_number(Some(number), field, judge);
                check_taken(number.value, number.span, field, "the port", &mut numbers, judge);
                check_bind(listener.bind.as_ref(), path, judge);
            } else {
                check_socket(listener, port, path, judge);
                if let Some(bind) = &listener.bind {
                    check_taken(
                        bind.as_str(),
                        bind.span,
                        format_args!("{path}.bind"),
                        "the socket",
                        &mut sockets,
                        judge,
                    );
                }
            }
        } else if index + 1 < listeners.len() {
            judge.refuse(
                &MISSING_FIELD,
                format!("{path}.port"),
                Judge::head(listener),
                "a listener without a port takes what the others leave, so it must be the last, and there can be but one",
                "add `port`, or move the listener to the end",
            );
        }
        if listener.hosts.is_empty() {
            let message = "this listener has no hosts, so nothing can be reached by it";
            judge.refuse(&MISSING_FIELD, format!("{path}.hosts"), Judge::head(listener), message, HOST_HELP);
        }
        for (number, host) in listener.hosts.iter().enumerate() {
            if let Some(problem) = host_problem(host) {
                let message = format!("`{}` names no hosts: {problem}", shorten(host));
                judge.refuse(&INVALID_TEXT, format!("{path}.hosts[{number}]"), host.span, message, HOST_HELP);
            }
        }
    }
}

/// A listener whose port has no number listens on a socket.
fn check_socket(
    listener: &IstioEgressListener,
    port: &Spanned<SidecarPort>,
    path: fmt::Arguments<'_>,
    judge: &mut Judge<'_, '_>,
) {
    let socket = listener.bind.as_ref().and_then(|bind| bind.strip_prefix(addresses::UNIX).map(|path| (bind, path)));
    if let Some((bind, socket)) = socket {
        if !addresses::is_socket(socket) {
            let message = format!("`{}` names no socket: its path must be absolute and not end in `/`", shorten(bind));
            let help = "write `unix:///path/to/socket` or `unix://@name`";
            judge.refuse(&INVALID_TEXT, format!("{path}.bind"), bind.span, message, help);
        }
    } else {
        let (rule, span) = match &port.number {
            Some(number) => (&OUT_OF_RANGE, number.span),
            None => (&MISSING_FIELD, Judge::head(port)),
        };
        let message = "a port without a number stands for a socket, and `bind` names none";
        let help = "write the number of the port, or `bind: unix:///path/to/socket`";
        judge.refuse(rule, format!("{path}.port.number"), span, message, help);
    }
    if let Some(mode) = listener.capture_mode.as_ref().filter(|mode| mode.value == CaptureMode::Iptables) {
        let message = "connections to a socket cannot be captured by iptables";
        let help = "remove `captureMode`, or write the number of a port";
        judge.refuse(&EXCLUSIVE_FIELDS, format!("{path}.captureMode"), mode.span, message, help);
    }
}

/// Why `text` is not `namespace/host` as egress listeners have it; `None` if it is.
fn host_problem(text: &str) -> Option<String> {
    let Some((namespace, host)) = text.split_once('/') else {
        return Some("the namespace and `/` are missing before the name".to_owned());
    };
    if !["*", ".", "~"].contains(&namespace) && !hosts::is_label(namespace) {
        return Some(format!("`{}` is no namespace", shorten(namespace)));
    }
    if let Some(problem) = hosts::wildcard_fault(host) {
        return Some(format!("what stands after `/` is no DNS name: {problem}"));
    }
    if host == "*" {
        return None;
    }
    if !host.contains('.') {
        return Some(format!("`{}` is a short name, and only whole names are looked up", shorten(host)));
    }
    (host.starts_with('*') && !host.starts_with("*."))
        .then(|| "`*` stands for whole parts of a name only, as `*.example.com`".to_owned())
}

fn check_outbound(policy: &OutboundTrafficPolicy, judge: &mut Judge<'_, '_>) {
    let Some(proxy) = &policy.egress_proxy else { return };
    let path = "spec.outboundTrafficPolicy.egressProxy";
    if policy.mode.as_ref().is_none_or(|mode| mode.value != OutboundTrafficPolicyMode::AllowAny) {
        let message = "`egressProxy` is for unknown destinations, which only mode `ALLOW_ANY` lets through";
        judge.refuse(&EXCLUSIVE_FIELDS, path, proxy.key, message, "set `mode: ALLOW_ANY`, or remove `egressProxy`");
        return;
    }
    if let Some(host) = &proxy.host
        && let Some(problem) = hosts::domain_fault(host)
    {
        let message = format!("`{}` is no DNS name: {problem}", shorten(host));
        judge.refuse(&INVALID_TEXT, format!("{path}.host"), host.span, message, hosts::NAME_HELP);
    }
    if let Some(subset) = proxy.subset.as_ref().filter(|name| !name.is_empty() && !hosts::is_label(name)) {
        let message = format!("`{}` cannot be the name of a subset", shorten(subset));
        let help = "use at most 63 letters, digits and inner hyphens, as `v1-2`";
        judge.refuse(&INVALID_NAME, format!("{path}.subset"), subset.span, message, help);
    }
    let Some(port) = &proxy.port else {
        let message = "the port of the egress proxy is missing";
        judge.refuse(&MISSING_FIELD, format!("{path}.port"), proxy.key, message, "add `port: {number: ...}`");
        return;
    };
    if port.number.is_none() {
        let message = "the number of the egress proxy's port is missing";
        judge.refuse(&MISSING_FIELD, format!("{path}.port.number"), port.key, message, "add `number`");
    }
    ports::check_port_number(port.number.as_ref(), format_args!("{path}.port.number"), judge);
}

#[cfg(test)]
mod tests {
    use super::{host_problem, split_port};

    #[test]
    fn addresses_are_taken_apart_as_go_does() {
        for (text, parts) in [("a:1", ("a", "1")), (":1", ("", "1")), ("[::1]:80", ("::1", "80")), ("a:", ("a", ""))] {
            assert_eq!(split_port(text), Some(parts), "{text}");
        }
        for text in ["", "a", "::1", "[::1]", "[::1]80:1", "[::1", "a]:1", "a:1]", "[a[:1"] {
            assert_eq!(split_port(text), None, "{text}");
        }
    }

    #[test]
    fn hosts_have_a_namespace_and_a_whole_name() {
        for text in ["*/*", "./*", "~/*", "shop/a.b", "shop/*.a.b", "Shop/a.b."] {
            assert_eq!(host_problem(text), None, "{text}");
        }
        for text in
            ["", "*", "a.b", "/", "//", "shop/a", "shop/*a.b", "shop/", "/a.b", "a_b/a.b", "a/b/c.d", "10.0/3.3"]
        {
            assert!(host_problem(text).is_some(), "{text}");
        }
    }
}

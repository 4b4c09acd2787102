//! What to listen on for a table, and what of it this release does not execute.

use crate::{
    Credentials, certificate_problems, listener::ListenerKey, options::Options, original::OriginalDestination,
    proxy::Revision, socket_name::SocketName, tls, upstream_needs,
};
use malha_table::{
    Bind, Role, Table,
    view::{Proxy, Route, Source},
};
use serde_json::Value;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Listeners to open, in the order in which they choose their addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) listeners: Vec<Wanted>,
    /// Sentences for people.
    pub(crate) unsupported: Vec<String>,
}

/// One listener to open.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) key: ListenerKey,
    pub(crate) place: Place,
}

/// Where in its table a listener is, and how it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Index in [`Table::proxies`].
    pub(crate) proxy: usize,
    /// Index in its listeners; none for a sidecar, whose outbound listener stands for all of them.
    pub(crate) listener: Option<usize>,
    pub(crate) role: Role,
    pub(crate) name: String,
    /// As `namespace/name`.
    pub(crate) proxy_name: String,
    pub(crate) protocol: String,
    /// The one that the table says; for a sidecar the outbound port.
    pub(crate) port: u16,
    /// The number by which clients in a cluster know it, where that is not the port it listens on.
    pub(crate) known_port: u16,
    /// Whether clients may speak TLS.
    pub(crate) speaks_tls: bool,
    /// Where all its clients mean to connect to.
    pub(crate) forward: Option<OriginalDestination>,
}

impl Place {
    /// Whether clients of a sidecar connect to it by themselves (semantics E39).
    pub(crate) fn is_egress(&self) -> bool {
        self.role == Role::Sidecar && self.listener.is_some()
    }
}

/// Looks a table through.
pub(crate) fn plan(revision: &Revision, options: &Options) -> Plan {
    let table = &revision.table;
    let mut plan = Plan::default();
    for (index, proxy) in table.proxies().enumerate() {
        match proxy.role() {
            Role::Gateway => plan_gateway(index, &proxy, &mut plan),
            Role::Sidecar => {
                plan.listeners.push(outbound(index, &proxy, options));
                plan_egress(index, &proxy, &mut plan);
                plan_forwards(index, &proxy, options, &mut plan);
            }
        }
    }
    let problems = certificate_problems(table, &revision.credentials);
    plan.unsupported.extend(problems.iter().map(ToString::to_string));
    for need in upstream_needs(table, &revision.credentials) {
        if let Some(problem) = need.problem {
            plan.unsupported
                .push(format!("cluster {} is not reached, since TLS cannot be spoken: {problem}", need.cluster));
        }
    }
    plan.unsupported.extend(unsupported_clusters(table, &revision.credentials));
    plan
}

fn plan_gateway(index: usize, proxy: &Proxy<'_>, plan: &mut Plan) {
    for (place, listener) in proxy.listeners().enumerate() {
        let what = format!("listener {} of gateway {}/{}", listener.port(), proxy.namespace(), proxy.name());
        let Ok(port) = u16::try_from(listener.port()) else {
            plan.unsupported.push(format!("{what} is not opened: there is no such port"));
            continue;
        };
        if let Some(reason) = listener.rejected() {
            plan.unsupported.push(format!("{what} is not opened: Envoy would refuse it, since {reason}"));
            continue;
        }
        // Without a filter chain Envoy has no such listener (semantics A9).
        if listener.chains().is_empty() {
            plan.unsupported.push(format!("{what} is not opened: nothing is served on it"));
            continue;
        }
        let known_port = listener.server_ports().next().and_then(|port| u16::try_from(port).ok());
        let place = Place {
            proxy: index,
            listener: Some(place),
            role: Role::Gateway,
            name: listener.name().to_owned(),
            proxy_name: format!("{}/{}", proxy.namespace(), proxy.name()),
            protocol: listener.protocol().to_owned(),
            port,
            known_port: known_port.unwrap_or(port),
            speaks_tls: listener.speaks_tls(),
            forward: None,
        };
        let key = ListenerKey { bind: listener.bind().text().map(Cow::into_owned), ..key(proxy, port) };
        plan.listeners.push(Wanted { key, place });
    }
}

/// The listeners that clients of a sidecar connect to by themselves (semantics E39).
fn plan_egress(index: usize, proxy: &Proxy<'_>, plan: &mut Plan) {
    for (place, listener) in proxy.listeners().enumerate() {
        let socket = match listener.bind() {
            Bind::Socket(written) => {
                let Some(socket) = SocketName::of(written) else {
                    plan.unsupported.push(format!("a listener at {written} is not opened: that is no socket"));
                    continue;
                };
                Some(socket)
            }
            _ if listener.protocol() == HTTP_PROXY => None,
            _ => continue,
        };
        let key = ListenerKey {
            bind: Some(listener.name().to_owned()),
            is_egress: true,
            socket,
            ..key(proxy, u16::try_from(listener.port()).unwrap_or_default())
        };
        if let Some(reason) = listener.rejected() {
            plan.unsupported.push(format!("{key} is not opened: Envoy would refuse it, since {reason}"));
            continue;
        }
        if cfg!(not(unix)) && key.socket.is_some() {
            plan.unsupported.push(format!("{key} is not opened: this system has no such sockets"));
            continue;
        }
        let place = Place {
            proxy: index,
            listener: Some(place),
            role: Role::Sidecar,
            name: listener.name().to_owned(),
            proxy_name: format!("{}/{}", proxy.namespace(), proxy.name()),
            protocol: listener.protocol().to_owned(),
            port: key.port,
            known_port: key.port,
            speaks_tls: listener.speaks_tls(),
            forward: None,
        };
        plan.listeners.push(Wanted { key, place });
    }
}

/// The protocol of listeners that are HTTP proxies.
const HTTP_PROXY: &str = "HTTP_PROXY";

fn outbound(index: usize, proxy: &Proxy<'_>, options: &Options) -> Wanted {
    let port = options.sidecars.get(proxy.name()).unwrap_or(&options.outbound).port();
    let place = Place {
        proxy: index,
        listener: None,
        role: Role::Sidecar,
        name: proxy.name().to_owned(),
        proxy_name: format!("{}/{}", proxy.namespace(), proxy.name()),
        protocol: "HTTP".to_owned(),
        port,
        known_port: port,
        speaks_tls: false,
        forward: None,
    };
    Wanted { key: key(proxy, port), place }
}

fn plan_forwards(index: usize, proxy: &Proxy<'_>, options: &Options, plan: &mut Plan) {
    let is_default = proxy.namespace() == "default" && proxy.labels().len() == 0;
    let mut seen = BTreeSet::new();
    for forward in options.forwards.iter().filter(|forward| forward.is_of(proxy.name(), is_default)) {
        let (to, port) = (&forward.to, forward.to.port());
        // Of several the first is it.
        if !seen.insert(to) {
            continue;
        }
        let known = to.listener(proxy);
        if known.is_none() && to.ip().is_none() {
            plan.unsupported.push(format!(
                "the forward to {to} of sidecar {}/{} leads nowhere: no service that it sees has port {port}",
                proxy.namespace(),
                proxy.name()
            ));
        }
        let mut wanted = outbound(index, proxy, options);
        wanted.key.forward = Some(to.clone());
        wanted.key.port = port;
        wanted.place = Place {
            name: to.to_string(),
            protocol: known.map_or("TCP", |listener| listener.protocol()).to_owned(),
            port,
            known_port: port,
            speaks_tls: known.is_some_and(|listener| listener.speaks_tls()),
            forward: Some(to.clone()),
            ..wanted.place
        };
        plan.listeners.push(wanted);
    }
}

fn key(proxy: &Proxy<'_>, port: u16) -> ListenerKey {
    ListenerKey {
        role: proxy.role(),
        namespace: proxy.namespace().to_owned(),
        name: proxy.name().to_owned(),
        labels: proxy.labels().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        forward: None,
        bind: None,
        is_egress: false,
        socket: None,
        port,
    }
}

/// Settings of a cluster's policy, by their place in it, and what is done without them.
const NOT_EXECUTED: &[(&[&str], &str)] = &[
    (&["tls"], "asks for the mesh's own TLS and there is no `--mesh-certs`: its endpoints are spoken to without"),
    (&["tunnel"], "asks for a tunnel by POST, which is not made"),
    (&["loadBalancer", "zoneAwareLbSetting"], "prefers the own zone by its load: endpoints of one region are one pool"),
];

/// What clusters ask for that requests go without, with how many ask and which is the first.
fn unsupported_clusters(table: &Table, credentials: &Credentials) -> Vec<String> {
    let owners = tls::owners(table);
    let mut found: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for cluster in table.clusters() {
        let policy =
            cluster.policy_json().and_then(|json| serde_json::from_str::<Value>(json).ok()).unwrap_or_default();
        for (path, what) in NOT_EXECUTED {
            let asked = path.iter().try_fold(&policy, |block, key| block.get(key));
            let has_identity = || tls::mesh_identity(&cluster, owners.get(&cluster.index()), credentials).is_some();
            let is_executed = |mode: &Value| mode != "ISTIO_MUTUAL" || has_identity();
            let is_off = |asked: &Value| {
                let says_off = asked.get("enabled").is_some_and(|enabled| *enabled == false);
                // Of tunnels only those by POST are not made.
                let is_made = asked.get("targetHost").is_some() && asked.get("protocol").is_none_or(|by| by != "POST");
                *asked == false || says_off || is_made || asked.get("mode").is_some_and(is_executed)
            };
            if asked.is_some_and(|asked| !is_off(asked)) {
                found.entry(what).or_insert_with(|| (0, cluster.name().to_owned())).0 += 1;
            }
        }
    }
    let sentence = |(what, (count, first)): (&str, (usize, String))| match count {
        1 => format!("cluster {first} {what} in this release"),
        _ => format!("cluster {first}, and {} more: {what} in this release", count - 1),
    };
    found.into_iter().map(sentence).collect()
}

/// A route's rule for people, as `default/shop http[1].match[0] path/file.yaml:12`.
pub(crate) fn rule_name(route: &Route<'_>) -> String {
    let Some(source) = route.rule().and_then(|rule| rule.source()) else {
        return "a route without a rule".to_owned();
    };
    source_name(source)
}

/// The same, of where the rule is written.
pub(crate) fn source_name(source: Source<'_>) -> String {
    let with_file = |source: Source<'_>| format!("{} {}:{}", rule_place(source), source.file(), source.line());
    match source.delegate() {
        Some(delegate) => format!("{} -> {}", with_file(source), with_file(delegate)),
        None => with_file(source),
    }
}

/// Without the file: the same as long as the rule stays where it is in its object.
pub(crate) fn rule_place(source: Source<'_>) -> String {
    let place = format!("{}/{} {}[{}]", source.namespace(), source.name(), source.section(), source.rule_index());
    match source.match_index() {
        Some(index) => format!("{place}.match[{index}]"),
        None => place,
    }
}

//! `/stats`: what is counted, by the names that Envoy has for it. What is not counted is not there.

use super::{istio, prometheus::escape, route::decode};
use crate::{
    counters::{ClusterCounters, OutsideCounters},
    parties::{BY_HOST_CLUSTER_NAME, PASSTHROUGH_CLUSTER_NAME},
    proxy::Handle,
    running::Running,
};
use malha_table::Role;
use regex::Regex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write, sync::atomic::Ordering};

/// How statistics are asked for.
pub(super) struct Asked {
    format: Form,
    filter: Option<Regex>,
    /// Only what is not 0.
    used_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Prometheus,
}

/// Statistics in one of Envoy's forms.
pub(super) enum Stats {
    Text(String),
    Json(Value),
    /// In Prometheus' text format.
    Prometheus(String),
}

/// The largest program that a filter may become.
const FILTER_BYTES: usize = 1 << 20;

impl Asked {
    /// From the query, or why it cannot be read.
    pub(super) fn of(query: &str, is_prometheus: bool) -> Result<Asked, String> {
        let format = if is_prometheus { Form::Prometheus } else { Form::Text };
        let mut asked = Asked { format, filter: None, used_only: false };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).ok_or_else(|| format!("`{value}` is not percent-encoded UTF-8"))?;
            match (key, value.as_str()) {
                ("usedonly", _) => asked.used_only = true,
                ("filter", pattern) => {
                    let filter = regex::RegexBuilder::new(pattern).size_limit(FILTER_BYTES).build();
                    asked.filter = Some(filter.map_err(|error| format!("`{pattern}` is no filter: {error}"))?);
                }
                ("format", "text") => asked.format = Form::Text,
                ("format", "json") => asked.format = Form::Json,
                ("format", "prometheus") => asked.format = Form::Prometheus,
                ("format", _) => return Err(format!("`{value}` is not a format; text, json and prometheus are")),
                _ => return Err(format!("`{key}` is not a parameter; filter, usedonly and format are")),
            }
        }
        Ok(asked)
    }

    fn wants(&self, name: &str, value: u64) -> bool {
        (value > 0 || !self.used_only) && self.filter.as_ref().is_none_or(|filter| filter.is_match(name))
    }
}

/// Whose a statistic is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Cluster(String),
    ClusterManager,
    Http(String),
    Listener(String),
    ListenerManager,
    Server,
}

impl Owner {
    /// In Prometheus' words: what names begin with, and the label that tells one from the other.
    fn family(&self) -> (&'static str, Option<(&'static str, &str)>) {
        match self {
            Owner::Cluster(name) => ("envoy_cluster", Some(("cluster_name", name))),
            Owner::ClusterManager => ("envoy_cluster_manager", None),
            Owner::Http(prefix) => ("envoy_http", Some(("http_conn_manager_prefix", prefix))),
            Owner::Listener(address) => ("envoy_listener", Some(("listener_address", address))),
            Owner::ListenerManager => ("envoy_listener_manager", None),
            Owner::Server => ("envoy_server", None),
        }
    }

    fn full_name(&self, name: &str) -> String {
        match self {
            Owner::Cluster(owner) => format!("cluster.{owner}.{name}"),
            Owner::ClusterManager => format!("cluster_manager.{name}"),
            Owner::Http(owner) => format!("http.{owner}.{name}"),
            Owner::Listener(owner) => format!("listener.{owner}.{name}"),
            Owner::ListenerManager => format!("listener_manager.{name}"),
            Owner::Server => format!("server.{name}"),
        }
    }
}

/// What is known, by owner and name.
#[derive(Default)]
struct Known(BTreeMap<(Owner, String), (Kind, u64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

impl Known {
    fn add(&mut self, owner: &Owner, name: impl Into<String>, kind: Kind, value: u64) {
        self.0.entry((owner.clone(), name.into())).or_insert((kind, 0)).1 += value;
    }

    /// What proxies of this process that have a cluster of one name each have for themselves: the most of any.
    fn add_most(&mut self, owner: &Owner, name: impl Into<String>, value: u64) {
        let known = &mut self.0.entry((owner.clone(), name.into())).or_insert((Kind::Gauge, 0)).1;
        *known = value.max(*known);
    }

    /// Answers by status code, by class.
    fn add_answers(&mut self, owner: &Owner, prefix: &str, code: u16, count: u64) {
        self.add(owner, format!("{prefix}_completed"), Kind::Counter, count);
        self.add(owner, format!("{prefix}_{}xx", code / 100), Kind::Counter, count);
    }
}

/// What is known now.
pub(super) fn stats(handle: &Handle, asked: &Asked) -> Stats {
    let known = collect(handle);
    match asked.format {
        Form::Text => Stats::Text(text(&known, asked)),
        Form::Json => Stats::Json(document(&known, asked)),
        Form::Prometheus => {
            let mut out = exposition(&known, asked);
            // Where Istio's proxies tell them.
            if asked.filter.is_none() {
                let metrics = &handle.shared().metrics;
                istio::render(&mut out, &metrics.counts(), &metrics.parties);
            }
            Stats::Prometheus(out)
        }
    }
}

/// Sorted by full name, as Envoy does.
fn wanted<'k>(known: &'k Known, asked: &'k Asked) -> BTreeMap<String, u64> {
    let named = known.0.iter().map(|((owner, name), (_, value))| (owner.full_name(name), *value));
    named.filter(|(name, value)| asked.wants(name, *value)).collect()
}

fn text(known: &Known, asked: &Asked) -> String {
    let mut out = String::new();
    for (name, value) in wanted(known, asked) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}: {value}");
    }
    out
}

fn document(known: &Known, asked: &Asked) -> Value {
    let stats = wanted(known, asked).into_iter().map(|(name, value)| json!({ "name": name, "value": value }));
    json!({ "stats": stats.collect::<Vec<_>>() })
}

/// In Prometheus' text format, with the labels that Istio takes from Envoy's names.
fn exposition(known: &Known, asked: &Asked) -> String {
    let mut families: BTreeMap<String, (Kind, Vec<(String, u64)>)> = BTreeMap::new();
    for ((owner, name), (kind, value)) in &known.0 {
        if !asked.wants(&owner.full_name(name), *value) {
            continue;
        }
        let (prefix, label) = owner.family();
        let mut labels: Vec<String> = Vec::new();
        let mut name = name.as_str();
        if let Some((rest, class)) = name.rsplit_once('_')
            && rest.ends_with("_rq")
            && class.ends_with("xx")
        {
            labels.push(format!("response_code_class=\"{class}\""));
            name = rest;
        }
        labels.extend(label.map(|(label, value)| format!("{label}=\"{}\"", escape(value))));
        let family = format!("{prefix}_{}", name.replace(['.', '-'], "_"));
        families.entry(family).or_insert((*kind, Vec::new())).1.push((labels.join(","), *value));
    }
    let mut out = String::new();
    for (family, (kind, samples)) in families {
        let kind = if kind == Kind::Counter { "counter" } else { "gauge" };
        let _ = writeln!(out, "# TYPE {family} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(out, "{family}{{{labels}}} {value}");
        }
    }
    out
}

fn collect(handle: &Handle) -> Known {
    let shared = handle.shared();
    let running = shared.running();
    let mut known = Known::default();
    let seconds = shared.started.elapsed().unwrap_or_default().as_secs();
    for (name, value) in [
        ("live", u64::from(!shared.draining.load(Ordering::Relaxed))),
        ("uptime", seconds),
        ("concurrency", shared.options.cores.max(1) as u64),
        ("total_connections", shared.connections() as u64),
    ] {
        known.add(&Owner::Server, name, Kind::Gauge, value);
    }
    add_clusters(&mut known, &running);
    add_outside(&mut known, &running, &shared.metrics.outside);
    // Before the sum: what ends meanwhile must not look as if it had never begun.
    let listeners: Vec<ListenerFacts> = listeners(&running);
    let counts = shared.metrics.counts();
    let names = shared.metrics.parties.cluster_names();
    for (key, tally) in &counts.requests {
        if key.code == 0 {
            continue;
        }
        if let Some(name) = names.get(key.cluster as usize).filter(|name| !name.is_empty()) {
            known.add_answers(&Owner::Cluster(name.to_string()), "upstream_rq", key.code, tally.count);
        }
    }
    known.add(&Owner::ListenerManager, "total_listeners_active", Kind::Gauge, listeners.len() as u64);
    for listener in listeners {
        let owner = Owner::Listener(listener.address);
        known.add(&owner, "downstream_cx_active", Kind::Gauge, listener.connections);
        known.add(&owner, "downstream_cx_total", Kind::Counter, listener.accepted);
        known.add(&owner, "no_filter_chain_match", Kind::Counter, listener.unmatched);
        let Some(prefix) = listener.http else { continue };
        let owner = Owner::Http(prefix);
        let mut ended = 0;
        for (key, tally) in counts.requests.iter().filter(|(key, _)| key.listener == listener.id) {
            ended += tally.count;
            if key.code != 0 {
                known.add_answers(&owner, "downstream_rq", key.code, tally.count);
            }
        }
        known.add(&owner, "downstream_rq_total", Kind::Counter, listener.requests.max(ended));
        known.add(&owner, "downstream_rq_active", Kind::Gauge, listener.requests.saturating_sub(ended));
        known.add(&owner, "downstream_cx_active", Kind::Gauge, listener.connections);
        known.add(&owner, "downstream_cx_total", Kind::Counter, listener.accepted);
    }
    known
}

/// What is told of an open listener.
struct ListenerFacts {
    id: u32,
    /// As Envoy writes it in names.
    address: String,
    /// As Istio calls its HTTP connection manager; none where it passes bytes on.
    http: Option<String>,
    connections: u64,
    accepted: u64,
    unmatched: u64,
    requests: u64,
}

fn listeners(running: &Running) -> Vec<ListenerFacts> {
    let facts = running.listeners().map(|(listener, place)| {
        let bind = if place.role == Role::Sidecar { "127.0.0.1" } else { "0.0.0.0" };
        let passes_bytes = matches!(place.protocol.as_str(), "TCP" | "TLS" | "MONGO" | "MYSQL" | "REDIS");
        ListenerFacts {
            id: listener.id,
            address: listener.at.to_string().replace(':', "_"),
            http: (!passes_bytes).then(|| format!("outbound_{bind}_{}", place.port)),
            connections: listener.connections.load(Ordering::Relaxed) as u64,
            accepted: listener.accepted.load(Ordering::Relaxed),
            unmatched: listener.unmatched.load(Ordering::Relaxed),
            requests: listener.requests.load(Ordering::Relaxed),
        }
    });
    facts.collect()
}

/// The clusters that a proxy has beside those of its table: gateways, too, have one that refuses.
fn add_outside(known: &mut Known, running: &Running, outside: &OutsideCounters) {
    let has_sidecar = running.table.proxies().any(|proxy| proxy.role() == Role::Sidecar);
    // Few meshes let requests go by their Host alone.
    let goes_by_host = outside.by_host.named().iter().any(|(_, value)| *value > 0);
    let clusters = [
        has_sidecar.then_some((PASSTHROUGH_CLUSTER_NAME, &*outside.passthrough)),
        goes_by_host.then_some((BY_HOST_CLUSTER_NAME, &*outside.by_host)),
        Some(("BlackHoleCluster", &outside.black_hole)),
    ];
    for (name, counters) in clusters.into_iter().flatten() {
        add_counters(known, name, counters);
    }
}

/// What is counted of a cluster, whether a table has it or none.
fn add_counters(known: &mut Known, cluster: &str, counters: &ClusterCounters) {
    let owner = Owner::Cluster(cluster.to_owned());
    for (name, value) in counters.named() {
        known.add(&owner, name, Kind::Counter, value);
    }
}

fn add_clusters(known: &mut Known, running: &Running) {
    known.add(&Owner::ClusterManager, "active_clusters", Kind::Gauge, running.clusters().count() as u64);
    for cluster in running.clusters() {
        let owner = Owner::Cluster(cluster.name.to_string());
        add_counters(known, &cluster.name, &cluster.counters);
        if cluster.has_names() {
            for (name, value) in cluster.counters.updates.named() {
                known.add(&owner, name, Kind::Counter, value);
            }
        }
        for (resource, used, limit) in cluster.breaker.all() {
            let (active, open) = resource.envoy_names();
            if let Some(active) = active {
                known.add(&owner, active, Kind::Gauge, u64::from(used));
            }
            known.add_most(&owner, format!("circuit_breakers.default.{open}"), u64::from(used >= limit));
        }
        let members = cluster.members();
        let ejected = members.endpoints.iter().filter(|endpoint| cluster.is_ejected(endpoint)).count() as u64;
        let total = members.endpoints.len() as u64;
        known.add_most(&owner, "membership_total", total);
        known.add_most(&owner, "membership_healthy", total - ejected);
        if cluster.detection.is_some() {
            let all = members.endpoints.iter().map(|endpoint| endpoint.health.total.load(Ordering::Relaxed)).sum();
            known.add_most(&owner, "outlier_detection.ejections_active", ejected);
            known.add(&owner, "outlier_detection.ejections_enforced_total", Kind::Counter, all);
        }
    }
}

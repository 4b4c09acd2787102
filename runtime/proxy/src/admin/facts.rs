//! `/table` and `/status`: the running table and the proxy, as facts.

use crate::{metrics::lock, proxy::Handle, time};
use malha_table::{Role, Table, view::Filter};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// The running table: how large it is, what it listens on, and its rules with their hits.
pub(super) fn table(handle: &Handle) -> Value {
    let shared = handle.shared();
    let running = shared.running();
    let hits: Vec<Value> =
        shared.metrics.rule_hits().into_iter().map(|(rule, hits)| json!({ "rule": rule, "hits": hits })).collect();
    json!({
        "program": format!("{:016x}", running.table.program_hash()),
        "loaded": time::Iso(running.loaded).to_string(),
        "proxies": proxies(&running.table),
        "rules": hits,
        "unsupported": running.unsupported,
    })
}

fn proxies(table: &Table) -> Vec<Value> {
    let proxies = table.proxies();
    proxies
        .map(|proxy| {
            let listeners: Vec<Value> = proxy
                .listeners()
                .map(|listener| {
                    let route_tables: Vec<Value> = listener
                        .chains()
                        .filter_map(|chain| match chain.filter()? {
                            Filter::Http(routes) => Some(json!({
                                "name": routes.name(),
                                "virtualHosts": routes.virtual_hosts().count(),
                                "routes": routes.virtual_hosts().map(|host| host.routes().len()).sum::<usize>(),
                            })),
                            Filter::Tcp(_) => None,
                        })
                        .collect();
                    json!({
                        "port": listener.port(),
                        "bind": listener.bind().text(),
                        "name": listener.name(),
                        "protocol": listener.protocol(),
                        "rejected": listener.rejected(),
                        "chains": listener.chains().len(),
                        "routeTables": route_tables,
                    })
                })
                .collect();
            json!({
                "role": match proxy.role() { Role::Gateway => "gateway", Role::Sidecar => "sidecar" },
                "namespace": proxy.namespace(),
                "name": proxy.name(),
                "clusters": proxy.clusters().count(),
                "listeners": listeners,
            })
        })
        .collect()
}

/// What the proxy is doing, and what its owner says of the last compile.
pub(super) fn status(handle: &Handle) -> Value {
    let shared = handle.shared();
    let running = shared.running();
    let metrics = &shared.metrics;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": time::Iso(shared.started).to_string(),
        "draining": shared.draining.load(Ordering::Relaxed),
        "table": { "program": format!("{:016x}", running.table.program_hash()), "loaded": time::Iso(running.loaded).to_string() },
        "reloads": metrics.reloads.load(Ordering::Relaxed),
        "reloadFailures": metrics.reload_failures.load(Ordering::Relaxed),
        "connections": shared.connections(),
        "seed": shared.seed,
        "listeners": handle.listeners(),
        "egress": handle.egress(),
        "unsupported": running.unsupported,
        "compile": lock(&shared.documents).get("status"),
    })
}

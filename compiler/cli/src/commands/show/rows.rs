//! The lists that `malha show` prints.

use super::Row;
use crate::{
    report,
    words::{self, action, destination, predicate},
    workspace::Workspace,
};
use malha_mesh::analysis::unreached;
use malha_mesh::program::{Bind, Discovery, Filter, LoadBalancer, Origin, Proxy};
use malha_table::Role;
use serde_json::{Value, json};

/// The column that says why the decision table does without a route.
pub(super) const REMOVED: &str = "removed";

/// Every object of the mesh.
pub(super) fn resources(workspace: &Workspace) -> Vec<Row> {
    let sources = workspace.files().sources();
    let mut rows = Vec::new();
    for file in workspace.files().iter() {
        for resource in &file.resources {
            let location = resource.location(resource.span);
            rows.push(vec![
                ("kind", json!(resource.kind.name())),
                ("namespace", json!(resource.namespace)),
                ("name", json!(resource.name)),
                ("file", json!(report::file(sources, location))),
                ("line", json!(report::range(sources, location).start.line)),
                ("refused", json!(resource.refused)),
            ]);
        }
    }
    rows.sort_by_cached_key(|row| row.iter().take(3).map(|(_, value)| value.to_string()).collect::<Vec<_>>());
    rows
}

/// The listeners of each proxy.
pub(super) fn listeners(proxies: &[&Proxy]) -> Vec<Row> {
    let mut rows = Vec::new();
    for proxy in proxies {
        for listener in &proxy.program.listeners {
            let names: Vec<_> = listener.filter_chains.iter().flat_map(|chain| &chain.server_names).collect();
            rows.push(vec![
                ("proxy", json!(proxy_name(proxy))),
                ("bind", json!(listener.bind.text())),
                ("port", json!(listener.port)),
                ("protocol", json!(listener.protocol)),
                ("name", json!(listener.name)),
                ("chains", json!(listener.filter_chains.len())),
                ("sni", json!(names)),
                ("rejected", json!(listener.rejected)),
            ]);
        }
    }
    rows
}

/// The routes of each proxy, in the order in which they are tried.
pub(super) fn routes(proxies: &[&Proxy], workspace: &Workspace) -> Vec<Row> {
    let mut rows = Vec::new();
    for proxy in proxies {
        for listener in &proxy.program.listeners {
            let is_of_any_name = listener.bind == Bind::OtherNames;
            let service = match &listener.bind {
                Bind::Service(name) => Some(name),
                Bind::Any | Bind::Address(_) | Bind::OtherNames | Bind::Socket(_) => None,
            };
            for chain in &listener.filter_chains {
                let row =
                    |host, taken: String, done: String, origin: Option<&Origin>, removed: Option<String>| -> Row {
                        let (rule, place) = rule(origin, workspace);
                        vec![
                            ("proxy", json!(proxy_name(proxy))),
                            ("port", json!(listener.port)),
                            ("host", host),
                            ("match", json!(taken)),
                            ("to", json!(done)),
                            ("rule", rule),
                            ("at", place),
                            (REMOVED, json!(removed)),
                        ]
                    };
                match &chain.filter {
                    // The listener for any address has them, too.
                    Filter::Http(_) if is_of_any_name => {}
                    Filter::Http(index) => {
                        let hosts = proxy.program.route_tables.get(*index).map(|table| table.virtual_hosts.as_slice());
                        for host in hosts.unwrap_or_default() {
                            let mut unreached = unreached(host).iter().peekable();
                            rows.extend(host.routes.iter().enumerate().map(|(number, route)| {
                                let removed = unreached.next_if(|one| one.route == number);
                                row(
                                    json!(host.domains),
                                    predicate(&route.predicate),
                                    action(&route.action),
                                    route.origin.as_deref(),
                                    removed.map(|one| words::removed(&host.routes, one)),
                                )
                            }));
                        }
                    }
                    Filter::Tcp(tcp) => {
                        let weighted = tcp.destinations.len() > 1;
                        let to: Vec<_> = tcp.destinations.iter().map(|it| destination(it, weighted)).collect();
                        let of_service = service.filter(|_| chain.server_names.is_empty());
                        let names = of_service.map_or_else(|| json!(chain.server_names), |name| json!([name]));
                        let row = row(names, "bytes".to_owned(), to.join(", "), tcp.origin.as_deref(), None);
                        if !is_of_any_name || !rows.contains(&row) {
                            rows.push(row);
                        }
                    }
                }
            }
        }
    }
    rows.dedup();
    rows
}

/// The clusters that the routes of each proxy lead to.
pub(super) fn clusters(proxies: &[&Proxy]) -> Vec<Row> {
    let mut rows = Vec::new();
    for proxy in proxies {
        for cluster in &proxy.program.clusters {
            let rule = cluster.destination_rule.as_ref().map(|(namespace, name)| format!("{namespace}/{name}"));
            rows.push(vec![
                ("proxy", json!(proxy_name(proxy))),
                ("host", json!(cluster.host)),
                ("port", json!(cluster.port)),
                ("subset", json!(cluster.subset)),
                ("discovery", json!(discovery(cluster.discovery))),
                ("endpoints", json!(cluster.endpoints.len())),
                ("balancing", json!(balancing(&cluster.policy.load_balancer))),
                ("destinationRule", json!(rule)),
            ]);
        }
    }
    rows
}

/// The endpoints of each cluster.
pub(super) fn endpoints(proxies: &[&Proxy]) -> Vec<Row> {
    let mut rows = Vec::new();
    for proxy in proxies {
        for cluster in &proxy.program.clusters {
            for endpoint in &cluster.endpoints {
                let workload = endpoint.workload.as_ref().map(|(namespace, name)| format!("{namespace}/{name}"));
                rows.push(vec![
                    ("proxy", json!(proxy_name(proxy))),
                    ("host", json!(cluster.host)),
                    ("port", json!(cluster.port)),
                    ("subset", json!(cluster.subset)),
                    ("workload", json!(workload)),
                    ("address", json!(endpoint.address)),
                    ("targetPort", json!(endpoint.port)),
                    ("weight", json!(endpoint.weight)),
                    ("locality", json!(endpoint.locality)),
                    ("priority", json!(endpoint.priority)),
                    ("localityWeight", json!(endpoint.locality_weight)),
                    ("labels", json!(endpoint.labels)),
                ]);
            }
        }
    }
    rows
}

fn proxy_name(proxy: &Proxy) -> String {
    let role = match proxy.role {
        Role::Gateway => "gateway",
        Role::Sidecar => "sidecar",
    };
    format!("{role} {}/{}", proxy.namespace, proxy.name)
}

fn rule(origin: Option<&Origin>, workspace: &Workspace) -> (Value, Value) {
    let Some(origin) = origin else { return (Value::Null, Value::Null) };
    let (sources, location) = (workspace.files().sources(), origin.location);
    let place = format!("{}:{}", report::file(sources, location), report::range(sources, location).start.line);
    (json!(words::rule(origin)), json!(place))
}

fn discovery(discovery: Discovery) -> &'static str {
    match discovery {
        Discovery::Eds => "EDS",
        Discovery::StrictDns => "STRICT_DNS",
        Discovery::LogicalDns => "LOGICAL_DNS",
        Discovery::OriginalDestination => "ORIGINAL_DST",
        Discovery::DynamicDns => "DYNAMIC_DNS",
    }
}

fn balancing(balancer: &LoadBalancer) -> &'static str {
    match balancer {
        LoadBalancer::LeastRequest => "LEAST_REQUEST",
        LoadBalancer::RoundRobin => "ROUND_ROBIN",
        LoadBalancer::Random => "RANDOM",
        LoadBalancer::Passthrough => "PASSTHROUGH",
        LoadBalancer::RingHash { .. } => "RING_HASH",
        LoadBalancer::Maglev { .. } => "MAGLEV",
    }
}

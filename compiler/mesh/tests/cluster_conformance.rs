//! Clusters against those that Istio built for the recorded meshes.

#[allow(dead_code, reason = "the requests are asked elsewhere")]
mod recordings;

use malha_mesh::{
    Mesh, ProxySpec,
    program::{Cluster, Discovery, LoadBalancer, UpstreamProtocol},
};
use recordings::each_case;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What of our cluster a recording tells too.
fn facts(cluster: &Cluster) -> Value {
    let mut endpoints: Vec<Value> = cluster
        .endpoints
        .iter()
        .map(|endpoint| {
            // The recordings make addresses up for the Pods of workload templates.
            let host = endpoint.address.as_deref().unwrap_or("10.200");
            let address = format!("{host}:{}", endpoint.port);
            if endpoint.weight == 1 { json!(address) } else { json!({"address": address, "weight": endpoint.weight}) }
        })
        .collect();
    endpoints.sort_by_key(Value::to_string);
    let mut limits: BTreeMap<&str, u32> = BTreeMap::new();
    let names = [
        ("maxConnections", "max_connections"),
        ("http1MaxPendingRequests", "max_pending_requests"),
        ("http2MaxRequests", "max_requests"),
        ("maxRetries", "max_retries"),
    ];
    for (ours, theirs) in names {
        limits.extend(cluster.policy.limits.get(ours).map(|limit| (theirs, *limit)));
    }
    json!({
        "type": match cluster.discovery {
            Discovery::Eds => "EDS",
            Discovery::StrictDns => "STRICT_DNS",
            Discovery::LogicalDns => "LOGICAL_DNS",
            Discovery::OriginalDestination => "ORIGINAL_DST",
            Discovery::DynamicDns => "DYNAMIC_DNS",
        },
        "endpoints": endpoints,
        "lb": match cluster.policy.load_balancer {
            // ROUND_ROBIN is what Envoy writes by leaving it out.
            LoadBalancer::LeastRequest | LoadBalancer::RoundRobin => "",
            LoadBalancer::Random => "RANDOM",
            LoadBalancer::Passthrough => "CLUSTER_PROVIDED",
            LoadBalancer::RingHash { .. } => "RING_HASH",
            LoadBalancer::Maglev { .. } => "MAGLEV",
        },
        "rule": cluster.destination_rule.as_ref().map(|(namespace, name)| format!("{namespace}/{name}")),
        "limits": limits,
        "connectTimeout": cluster.policy.connect_timeout.map(|timeout| format!("{}s", timeout.as_secs_f64())),
        "http2": cluster.protocol == UpstreamProtocol::Http2,
    })
}

/// What a recording tells, in the form of [`facts`].
fn recorded(cluster: &Value) -> Value {
    let endpoints = cluster["endpoints"].as_array().cloned().unwrap_or_default();
    let plain = |address: &str| match address.strip_prefix("10.200.") {
        Some(rest) => format!("10.200:{}", rest.rsplit(':').next().unwrap_or_default()),
        None => address.to_owned(),
    };
    let mut endpoints: Vec<Value> = endpoints
        .iter()
        .map(|endpoint| match endpoint.as_str() {
            Some(address) => json!(plain(address)),
            None => json!({"address": plain(endpoint["address"].as_str().unwrap_or_default()), "weight": endpoint["weight"]}),
        })
        .collect();
    endpoints.sort_by_key(Value::to_string);
    let lb = cluster["lb"].as_str().unwrap_or_default();
    // Of an original destination Envoy is told twice that there is nothing to choose.
    let lb = if cluster["type"] == "ORIGINAL_DST" { "" } else { lb };
    json!({
        "type": cluster["type"],
        "endpoints": endpoints,
        "lb": lb,
        "rule": cluster["rule"],
        "limits": cluster["circuitBreakers"].as_object().cloned().unwrap_or_default(),
        "connectTimeout": cluster["connectTimeout"],
        "http2": cluster["protocol"] == "http2",
    })
}

fn clusters(mesh: &Mesh, proxy: &ProxySpec) -> BTreeMap<String, Value> {
    let keys = mesh.cluster_keys(proxy).into_iter();
    let clusters = keys.filter_map(|key| mesh.cluster(proxy, &key.host, key.port, key.subset.as_deref()));
    let clusters = clusters.map(|cluster| {
        let mut facts = facts(&cluster);
        if cluster.discovery == Discovery::OriginalDestination {
            facts["lb"] = json!("");
        }
        (cluster.name.to_string(), facts)
    });
    clusters.collect()
}

#[test]
fn clusters_are_those_that_istio_builds() {
    let mut compared = 0;
    let mut differences = Vec::new();
    each_case(|case| {
        let (mesh, _) = case.link();
        for proxy in case.wanted() {
            let Some(theirs) = case.clusters[proxy.name.as_str()].as_object() else { continue };
            let theirs = theirs.iter().filter(|(name, _)| name.starts_with("outbound|"));
            let theirs: BTreeMap<&str, Value> =
                theirs.map(|(name, cluster)| (name.as_str(), recorded(cluster))).collect();
            let ours = clusters(&mesh, &proxy);
            compared += theirs.len();
            for name in theirs.keys().copied().chain(ours.keys().map(String::as_str)).collect::<BTreeSet<_>>() {
                let (ours, theirs) = (ours.get(name), theirs.get(name));
                if ours != theirs {
                    let told = |facts: Option<&Value>| facts.map_or_else(|| "none".to_owned(), Value::to_string);
                    let (ours, theirs) = (told(ours), told(theirs));
                    differences.push(format!("{} {} {name}\n  ours   {ours}\n  theirs {theirs}", case.id, proxy.name));
                }
            }
        }
    });
    assert!(compared > 1000, "{compared} clusters compared");
    let shown: Vec<&str> = differences.iter().take(20).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} of {compared} clusters differ:\n{}", differences.len(), shown.join("\n"));
}

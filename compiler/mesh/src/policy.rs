//! The traffic policy in force for a port and subset of a service (semantics D.2).

use crate::{
    config::{MeshConfig, TlsDefaults},
    destination_rule::DestinationRule,
    program::{HashKey, LoadBalancer, Policy, Role, UpstreamProtocol},
    registry::{Protocol, Service},
};
use malha_model::{
    Duration, Spanned,
    istio::{
        PortSelector,
        destination_rule::{ConsistentHashLb, LoadBalancerSettings, PortTrafficPolicy, TrafficPolicy},
    },
};
use serde::Serialize;
use serde_json::{Map, Value};
use smol_str::SmolStr;
use std::{collections::BTreeMap, sync::Arc};

/// The policy that `rule` has for `port` and `subset`, as the blocks in force (semantics D10 to D14).
///
/// Blocks are replaced whole. They are JSON so that what a rule says and what the mesh configuration adds are read in
/// one way.
pub(crate) fn in_force(rule: Option<&DestinationRule>, port: u32, subset: Option<&str>, config: &MeshConfig) -> Value {
    let mut blocks = Map::new();
    if let Some(policy) = rule.and_then(DestinationRule::traffic_policy) {
        match port_level(policy, port) {
            Some(policy) => put_port_blocks(&mut blocks, policy),
            None => put_blocks(&mut blocks, policy),
        }
    }
    let subset = rule.zip(subset).and_then(|(rule, subset)| rule.subset(subset));
    if let Some(policy) = subset.and_then(|subset| subset.traffic_policy.as_ref()) {
        put_blocks(&mut blocks, policy);
        if let Some(policy) = port_level(policy, port) {
            for block in ["connectionPool", "loadBalancer", "outlierDetection", "tls"] {
                blocks.remove(block);
            }
            put_port_blocks(&mut blocks, policy);
        }
    }
    if let Some(default) = &config.default_traffic_policy {
        for block in ["connectionPool", "outlierDetection"] {
            if let (false, Some(value)) = (blocks.contains_key(block), default.get(block)) {
                blocks.insert(block.to_owned(), value.clone());
            }
        }
    }
    Value::Object(blocks)
}

/// Reads blocks in force.
pub(crate) fn policy(blocks: Value, config: &MeshConfig) -> Policy {
    let connect_timeout = blocks.pointer("/connectionPool/tcp/connectTimeout").and_then(Value::as_str);
    let connect_timeout = connect_timeout.and_then(Duration::parse).map(Duration::to_std);
    let is_empty = blocks.as_object().is_none_or(Map::is_empty);
    Policy {
        load_balancer: load_balancer(&blocks),
        connect_timeout: connect_timeout.or(config.connect_timeout),
        limits: limits(&blocks),
        source: (!is_empty).then(|| Arc::new(blocks)),
    }
}

/// What the consistent hash reads, if one is in force. The most specific level that has one wins (semantics D23).
pub(crate) fn hash_key(rule: &DestinationRule, port: Option<u32>, subset: Option<&str>) -> Option<HashKey> {
    let subset = subset.and_then(|subset| rule.subset(subset));
    let levels =
        [subset.and_then(|subset| subset.traffic_policy.as_deref()).map(|policy| &policy.value), rule.traffic_policy()];
    let hash = levels.into_iter().flatten().find_map(|policy| {
        let of_port = port.and_then(|port| port_level(policy, port));
        let of_port = of_port.and_then(|policy| consistent_hash(policy.load_balancer.as_deref()));
        of_port.or_else(|| consistent_hash(policy.load_balancer.as_deref()))
    })?;
    if let Some(header) = &hash.http_header_name {
        return Some(HashKey::Header(header.value.clone()));
    }
    if let Some(cookie) = &hash.http_cookie {
        return Some(HashKey::Cookie {
            name: cookie.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
            path: cookie.path.as_ref().map(|path| path.value.clone()).filter(|path| !path.is_empty()),
            ttl: cookie.ttl.as_ref().map(|ttl| ttl.value.to_std()),
        });
    }
    if let Some(parameter) = &hash.http_query_parameter_name {
        return Some(HashKey::QueryParameter(parameter.value.clone()));
    }
    hash.use_source_ip.as_ref().is_some_and(|used| used.value).then_some(HashKey::SourceIp)
}

fn consistent_hash(load_balancer: Option<&Spanned<LoadBalancerSettings>>) -> Option<&ConsistentHashLb> {
    load_balancer?.consistent_hash.as_ref().map(|hash| &hash.value)
}

/// The settings for the service port `port` (semantics D13).
fn port_level(policy: &TrafficPolicy, port: u32) -> Option<&PortTrafficPolicy> {
    let number = |selector: &PortSelector| selector.number.as_ref().map(|number| number.value);
    let of_port = |settings: &&Spanned<PortTrafficPolicy>| {
        settings.port.as_ref().and_then(|selector| number(selector)) == Some(port)
    };
    policy.port_level_settings.iter().find(of_port).map(|settings| &settings.value)
}

fn put_blocks(blocks: &mut Map<String, Value>, policy: &TrafficPolicy) {
    put(blocks, "loadBalancer", policy.load_balancer.as_ref());
    put(blocks, "connectionPool", policy.connection_pool.as_ref());
    put(blocks, "outlierDetection", policy.outlier_detection.as_ref());
    put(blocks, "tls", policy.tls.as_ref());
    put(blocks, "tunnel", policy.tunnel.as_ref());
    put(blocks, "proxyProtocol", policy.proxy_protocol.as_ref());
    put(blocks, "retryBudget", policy.retry_budget.as_ref());
}

fn put_port_blocks(blocks: &mut Map<String, Value>, policy: &PortTrafficPolicy) {
    put(blocks, "loadBalancer", policy.load_balancer.as_ref());
    put(blocks, "connectionPool", policy.connection_pool.as_ref());
    put(blocks, "outlierDetection", policy.outlier_detection.as_ref());
    put(blocks, "tls", policy.tls.as_ref());
}

fn put<T: Serialize>(blocks: &mut Map<String, Value>, name: &str, block: Option<&T>) {
    // Messages of the model are maps with text keys: there is nothing in them that JSON cannot say.
    if let Some(Ok(value)) = block.map(serde_json::to_value) {
        blocks.insert(name.to_owned(), value);
    }
}

fn load_balancer(blocks: &Value) -> LoadBalancer {
    let Some(settings) = blocks.get("loadBalancer") else { return LoadBalancer::default() };
    if let Some(hash) = settings.get("consistentHash") {
        if let Some(maglev) = hash.get("maglev") {
            return LoadBalancer::Maglev { table_size: positive(maglev.get("tableSize")).unwrap_or(65_537) };
        }
        let size = hash.pointer("/ringHash/minimumRingSize").or_else(|| hash.get("minimumRingSize"));
        return LoadBalancer::RingHash { minimum_size: positive(size).unwrap_or(1024) };
    }
    match settings.get("simple").and_then(Value::as_str) {
        Some("ROUND_ROBIN") => LoadBalancer::RoundRobin,
        Some("RANDOM") => LoadBalancer::Random,
        Some("PASSTHROUGH") => LoadBalancer::Passthrough,
        _ => LoadBalancer::LeastRequest,
    }
}

/// The limits that are set; zero and below mean none (semantics D35).
fn limits(blocks: &Value) -> BTreeMap<SmolStr, u32> {
    const LIMITS: [(&str, &str); 6] = [
        ("maxConnections", "/connectionPool/tcp/maxConnections"),
        ("http1MaxPendingRequests", "/connectionPool/http/http1MaxPendingRequests"),
        ("http2MaxRequests", "/connectionPool/http/http2MaxRequests"),
        ("maxRequestsPerConnection", "/connectionPool/http/maxRequestsPerConnection"),
        ("maxRetries", "/connectionPool/http/maxRetries"),
        ("maxConcurrentStreams", "/connectionPool/http/maxConcurrentStreams"),
    ];
    let set = LIMITS.iter().filter_map(|(name, path)| {
        let limit = u32::try_from(positive(blocks.pointer(path))?).ok()?;
        Some((SmolStr::new_static(name), limit))
    });
    set.collect()
}

fn positive(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_u64).filter(|value| *value > 0)
}

/// What `role` speaks to a port of `protocol` (semantics D37).
pub(crate) fn upstream_protocol(
    protocol: Protocol,
    role: Role,
    blocks: &Value,
    config: &MeshConfig,
) -> UpstreamProtocol {
    if blocks.pointer("/connectionPool/http/useClientProtocol") == Some(&Value::Bool(true)) {
        return UpstreamProtocol::Clients;
    }
    if protocol.is_http2() {
        return UpstreamProtocol::Http2;
    }
    // A sidecar speaks to a port of unknown protocol what its client speaks, whatever else the policy says.
    if protocol == Protocol::Auto && role == Role::Sidecar {
        return UpstreamProtocol::Clients;
    }
    let is_upgraded = match blocks.pointer("/connectionPool/http/h2UpgradePolicy").and_then(Value::as_str) {
        Some("UPGRADE") => true,
        Some("DO_NOT_UPGRADE") => false,
        _ => protocol.is_http() && config.h2_upgrade,
    };
    if is_upgraded { UpstreamProtocol::Http2 } else { UpstreamProtocol::Http1 }
}

/// What the surroundings make of TLS to a service's endpoints: the names of its ServiceEntry count where the rule gives
/// none (semantics D54), a sidecar passes over the block of a rule that names a Secret and selects no workloads (D56), and
/// the cipher suites are the mesh's (D55), since a rule names none.
pub(crate) fn settle_tls(
    blocks: &mut Value,
    service: &Service,
    role: Role,
    has_selector: bool,
    defaults: &TlsDefaults,
) {
    let Some(blocks) = blocks.as_object_mut() else { return };
    let Some(tls) = blocks.get_mut("tls").and_then(Value::as_object_mut) else { return };
    let is_given = |value: Option<&Value>| match value {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    };
    if role == Role::Sidecar && !has_selector && is_given(tls.get("credentialName")) {
        blocks.remove("tls");
        return;
    }
    let is_verified = tls.get("insecureSkipVerify") != Some(&Value::Bool(true));
    let is_own = matches!(tls.get("mode").and_then(Value::as_str), Some("SIMPLE" | "MUTUAL"));
    let names = service.subject_alt_names();
    if is_own && is_verified && !is_given(tls.get("subjectAltNames")) && !names.is_empty() {
        tls.insert("subjectAltNames".to_owned(), names.into_iter().map(Value::from).collect());
    }
    if is_own && !defaults.cipher_suites.is_empty() {
        let suites = defaults.cipher_suites.iter().map(|suite| Value::from(suite.as_str()));
        tls.insert("cipherSuites".to_owned(), suites.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{mesh, mesh_with, object, sidecar};
    use serde_json::json;

    const RULE: &str = "spec:
  host: a
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    connectionPool: {tcp: {maxConnections: 5, connectTimeout: 2s}, http: {http1MaxPendingRequests: 4}}
    outlierDetection: {consecutive5xxErrors: 3}
    tunnel: {targetHost: x.org, targetPort: 443}
    portLevelSettings:
    - {port: {number: 8080}, loadBalancer: {consistentHash: {useSourceIp: true}}}
  subsets:
  - {name: plain, labels: {v: x}}
  - name: lb
    labels: {v: x}
    trafficPolicy:
      loadBalancer: {consistentHash: {httpHeaderName: x-user}}
      connectionPool: {http: {http2MaxRequests: 9}}
  - name: port
    labels: {v: x}
    trafficPolicy:
      loadBalancer: {simple: ROUND_ROBIN}
      portLevelSettings:
      - {port: {number: 80}, outlierDetection: {}}";

    fn objects() -> [String; 2] {
        let ports = "spec: {ports: [{name: http, port: 80}, {name: http-b, port: 8080}]}";
        [object("Service prod/a", ports), object("DestinationRule prod/d", RULE)]
    }

    #[test]
    fn blocks_are_replaced_whole_level_by_level() {
        let mesh = mesh(&objects());
        let service = mesh.registry().service_in("a.prod.svc.cluster.local", "prod").expect("it is there");
        let rule = mesh.destination_rule(&sidecar("prod"), service);
        let keys = |port, subset: Option<&str>| {
            let blocks = in_force(rule, port, subset, mesh.config());
            let blocks = blocks.as_object().expect("blocks are a map");
            blocks.keys().map(|name| name[..2].to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(80, None), "lo co ou tu", "D10");
        assert_eq!(keys(8080, None), "lo", "D10: a port's entry replaces all");
        assert_eq!(keys(80, Some("plain")), "lo co ou tu", "D11");
        assert_eq!(keys(8080, Some("lb")), "lo co", "D11");
        assert_eq!(keys(80, Some("port")), "tu ou", "D11: the subset's port gives all four blocks");
        let pool = in_force(rule, 80, Some("lb"), mesh.config());
        assert_eq!(pool["connectionPool"], json!({"http": {"http2MaxRequests": 9}}), "D12");
    }

    #[test]
    fn a_policy_is_read_from_its_blocks() {
        let mesh = mesh(&objects());
        let cluster = |port, subset| {
            mesh.cluster(&sidecar("prod"), "a.prod.svc.cluster.local", port, subset).expect("there is such a cluster")
        };
        let policy = &cluster(80, None).policy;
        assert_eq!(policy.load_balancer, LoadBalancer::Random, "D.4");
        assert_eq!(policy.connect_timeout, Some(std::time::Duration::from_secs(2)), "D.6");
        let limits: Vec<_> = policy.limits.iter().map(|(name, limit)| (name.as_str(), *limit)).collect();
        assert_eq!(limits, [("http1MaxPendingRequests", 4), ("maxConnections", 5)], "D.6");
        assert_eq!(cluster(80, Some("lb")).policy.load_balancer, LoadBalancer::RingHash { minimum_size: 1024 }, "D.4");
        assert_eq!(cluster(80, Some("port")).policy.load_balancer, LoadBalancer::LeastRequest, "D11");
    }

    #[test]
    fn the_most_specific_hash_is_used() {
        let mesh = mesh(&objects());
        let hash = |port, subset| mesh.hash_key(&sidecar("prod"), "a.prod.svc.cluster.local", Some(port), subset);
        assert_eq!(hash(80, None), None, "D23");
        assert_eq!(hash(8080, None), Some(HashKey::SourceIp), "D21, D23");
        let unsaid = mesh.hash_key(&sidecar("prod"), "a.prod.svc.cluster.local", None, None);
        assert_eq!(unsaid, None, "D23: the settings of a port that the route does not name");
        assert_eq!(hash(8080, Some("lb")), Some(HashKey::Header("x-user".into())), "D21, D23");
        assert_eq!(hash(8080, Some("plain")), Some(HashKey::SourceIp), "D23");
    }

    #[test]
    fn load_balancers_and_limits_have_defaults() {
        let read = |blocks: &str| policy(serde_json::from_str(blocks).expect("JSON"), &MeshConfig::default());
        let cases = [
            ("{}", LoadBalancer::LeastRequest),
            (r#"{"loadBalancer":{"simple":"LEAST_CONN"}}"#, LoadBalancer::LeastRequest),
            (r#"{"loadBalancer":{"simple":"PASSTHROUGH"}}"#, LoadBalancer::Passthrough),
            (r#"{"loadBalancer":{"consistentHash":{"maglev":{}}}}"#, LoadBalancer::Maglev { table_size: 65_537 }),
            (
                r#"{"loadBalancer":{"consistentHash":{"minimumRingSize":8}}}"#,
                LoadBalancer::RingHash { minimum_size: 8 },
            ),
        ];
        for (blocks, expected) in cases {
            assert_eq!(read(blocks).load_balancer, expected, "D.4: {blocks}");
        }
        assert!(read(r#"{"connectionPool":{"tcp":{"maxConnections":0}}}"#).limits.is_empty(), "D35");
        assert!(read(r#"{"connectionPool":{"tcp":{"maxConnections":-1}}}"#).limits.is_empty(), "D35");
    }

    #[test]
    fn the_mesh_fills_what_no_rule_says() {
        let config = MeshConfig::from_json(&json!({
            "connectTimeout": "3s",
            "h2UpgradePolicy": "UPGRADE",
            "defaultTrafficPolicy": {"outlierDetection": {}, "connectionPool": {"tcp": {"maxConnections": 7}}},
        }));
        let mesh = mesh_with(&[object("Service prod/a", "spec: {ports: [{name: http, port: 80}]}")], config);
        let cluster = mesh.cluster(&sidecar("prod"), "a.prod.svc.cluster.local", 80, None).expect("it is there");
        assert_eq!(cluster.policy.limits.get("maxConnections"), Some(&7), "D14");
        assert_eq!(cluster.policy.connect_timeout, Some(std::time::Duration::from_secs(3)), "D.6");
        assert_eq!(cluster.protocol, UpstreamProtocol::Http2, "D.6: h2UpgradePolicy");
    }
}

//! Each subset is a cluster of its own, with limits and a health of its own (semantics D36, D50).

use crate::common::{
    Running,
    client::{Client, connect, get},
    echo::Echo,
    held::Gated,
    mesh, options,
    plain::upstream,
    start,
    tls::{Authority, Speaker},
    wait_for,
};
use malha_mesh::MeshConfig;
use malha_proxy::Options;
use std::{
    io::{Read, Write},
    net::SocketAddr,
};

/// Requests for `/v1` go to one subset of `a`, all others to the other; each has one endpoint.
fn subsets(policy: &str, v1: SocketAddr, v2: SocketAddr) -> Running {
    let rules = "  - match: [{uri: {prefix: /v1}}]
    route: [{destination: {host: a, subset: v1}}]
    retries: {attempts: 0}
  - route: [{destination: {host: a, subset: v2}}]
    retries: {attempts: 0}
";
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: default}}
spec:
  host: a
  trafficPolicy: {{{policy}}}
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
",
        mesh::gateway_text(rules)
    );
    let table = mesh::compile_with(&text, &[], MeshConfig::default(), |cluster| match cluster.subset.as_deref() {
        Some("v1") => Some(vec![v1]),
        Some("v2") => Some(vec![v2]),
        _ => Some(Vec::new()),
    });
    start(table, Options { cores: 1, ..options() })
}

#[test]
fn limits_of_one_are_not_those_of_another() {
    let (held, free) = (Gated::start(), Echo::start("v2"));
    let policy = "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}";
    let proxy = subsets(policy, held.echo.address, free.address);
    let address = proxy.gateway(80);
    let ask = || std::thread::spawn(move || Client::connect(address).get("x.com", "/v1", "").status);
    let first = ask();
    wait_for("the first is with its endpoint", || held.echo.seen().len() == 1);
    let second = ask();
    let pending = "malha_cluster_used{cluster=\"outbound|80|v1|a.default.svc.cluster.local\",resource=\"pending\"} 1";
    let admin = proxy.admin().expect("an admin server");
    wait_for("the second is in the queue", || get(admin, "localhost", "/metrics", "").text().contains(pending));
    assert_eq!(get(address, "x.com", "/v1", "").status, 503, "it is full");
    assert_eq!(get(address, "x.com", "/v2", "").status, 200, "D36");
    held.open();
    assert_eq!((first.join().unwrap(), second.join().unwrap()), (200, 200));
}

#[test]
fn an_endpoint_that_is_left_out_of_one_is_asked_in_another() {
    let endpoint = Echo::start_with("a", |request, _| {
        let is_v1 = request["path"].as_str().is_some_and(|path| path.starts_with("/v1"));
        is_v1.then(|| b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let policy = "outlierDetection: {consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100}";
    let proxy = subsets(policy, endpoint.address, endpoint.address);
    let address = proxy.gateway(80);
    assert_eq!(get(address, "x.com", "/v1", "").status, 500);
    let answer = get(address, "x.com", "/v1", "");
    assert_eq!((answer.status, answer.text().as_str()), (503, "no healthy upstream"), "it is left out");
    assert_eq!(get(address, "x.com", "/v2", "").status, 200, "D50");
}

#[test]
fn copies_and_bytes_go_to_the_endpoints_of_a_subset() {
    let (one, two) = (Echo::start("v1"), Echo::start("v2"));
    let bytes = upstream("v2 ");
    let more = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bytes, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bytes, namespace: default}
spec:
  hosts: ['*']
  gateways: [bytes]
  tcp:
  - route: [{destination: {host: a, port: {number: 5432}, subset: v2}}]
  tls:
  - match: [{sniHosts: ['*']}]
    route: [{destination: {host: a, port: {number: 5432}, subset: v2}}]
";
    let rules = "  - route: [{destination: {host: a, port: {number: 80}, subset: v1}}]
    mirrors: [{destination: {host: a, port: {number: 80}, subset: v2}}]
";
    let ports = "  - {name: http, port: 80}\n  - {name: tcp, port: 5432}\n";
    let text = mesh::gateway_text(rules).replace("  - {name: http, port: 80}\n", ports) + more;
    let table = mesh::compile_with(&text, &[], MeshConfig::default(), |cluster| {
        Some(match (cluster.subset.as_deref(), cluster.port) {
            (Some("v1"), _) => vec![one.address],
            (Some("v2"), 80) => vec![two.address],
            (Some("v2"), _) => vec![bytes],
            _ => Vec::new(),
        })
    });
    let proxy = start(table, options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").json()["name"], "v1");
    wait_for("the copy", || two.seen().len() == 1);
    assert_eq!(one.seen().len(), 1, "D20: the copy is the other subset's alone");
    let authority = Authority::new();
    for (port, first) in [(5432, b"x".to_vec()), (8443, Speaker::new(&authority).hello("whoever.example"))] {
        let mut stream = connect(proxy.gateway(port));
        stream.write_all(&first).unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).expect("D20: it is there");
        assert_eq!(&greeting, b"v2 ", "D20: {port}");
    }
}

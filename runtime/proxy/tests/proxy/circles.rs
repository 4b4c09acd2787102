//! Gateways whose routes lead back to themselves: requests and connections end.

use crate::common::{
    Running,
    client::{connect, get, has_ended},
    echo::Echo,
    lines::Lines,
    mesh, start,
};
use malha_mesh::{MeshConfig, program::Endpoint};
use malha_table::{Role, Table};
use std::{net::SocketAddr, sync::Arc};

/// A mesh whose service `a` is its own gateway, on this port, and whose service `b` is elsewhere.
fn table(text: &str, port: u32, b: SocketAddr) -> Arc<Table> {
    let compile = |gateway: &str| {
        mesh::compile_with(text, &[], MeshConfig::default(), |cluster| {
            if cluster.host.starts_with("b.") {
                return Some(vec![b]);
            }
            let address = Some(format!("listener://{gateway}").into());
            cluster.endpoints = vec![Endpoint { address, port, weight: 1, ..Endpoint::default() }];
            None
        })
    };
    let first = compile("none/none");
    let gateway = first.proxies().find(|proxy| proxy.role() == Role::Gateway).expect("a gateway");
    compile(&format!("{}/{}", gateway.namespace(), gateway.name()))
}

fn count(proxy: &Running, name: &str) -> usize {
    let stats = get(proxy.admin().expect("an admin server"), "localhost", "/stats", "").text();
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok();
    stats.lines().find_map(value).unwrap_or_else(|| panic!("no {name} in\n{stats}"))
}

#[test]
fn a_request_that_goes_round_ends_and_one_that_comes_through_does_not() {
    let echo = Echo::start("b");
    let rules = "  - match: [{uri: {prefix: /out}}]
    route: [{destination: {host: b}}]
  - match: [{uri: {prefix: /again}}]
    rewrite: {uri: /out}
    retries: {attempts: 0}
    route: [{destination: {host: a}}]
  - retries: {attempts: 9, retryOn: '5xx,envoy-ratelimited,retriable-status-codes,502'}
    route: [{destination: {host: a}}]
";
    let lines = Lines::default();
    let proxy = start(table(&mesh::gateway_text(rules), 80, echo.address), lines.options());
    let answer = get(proxy.gateway(80), "x.com", "/again", "X-Malha-Hops: 7\r\n");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = echo.seen()[0].to_string();
    assert!(seen.contains("x-forwarded-for") && !seen.contains("hops"), "upstreams hear nothing of it: {seen}");
    lines.wait(2);
    lines.clear();

    let answer = get(proxy.gateway(80), "x.com", "/", "");
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.text().contains("through 16 proxies of this process") && answer.text().contains("circle"));
    // The one that is refused and those that led to it: nobody has tried again.
    assert_eq!(lines.wait(17).len(), 17);
    assert_eq!(count(&proxy, "cluster.outbound|80||a.default.svc.cluster.local.upstream_rq_retry"), 0);
    assert_eq!(echo.seen().len(), 1);
}

#[test]
fn bytes_that_would_go_round_are_closed() {
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers: [{{port: {{number: 5432, name: tcp, protocol: TCP}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  tcp: [{{route: [{{destination: {{host: a}}}}]}}]
",
        mesh::SERVICES
    );
    let lines = Lines::default();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let proxy = start(table(&text, 5432, nobody), lines.options());
    let mut stream = connect(proxy.gateway(5432));
    assert!(has_ended(&mut stream));
    let line = lines.wait(1).remove(0);
    assert!(line.contains(" UF "), "{line}");
}

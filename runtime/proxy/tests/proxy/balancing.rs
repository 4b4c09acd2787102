//! Weights and load balancing (semantics C.1, D.4).

use crate::common::{client::Client, echo::Echo, mesh, options, start};
use malha_proxy::Options;
use std::{collections::BTreeMap, net::SocketAddr};

fn names(address: SocketAddr, requests: usize) -> Vec<String> {
    let mut client = Client::connect(address);
    let name = |_| client.get("x.com", "/", "").json()["name"].as_str().unwrap_or_default().to_owned();
    (0..requests).map(name).collect()
}

fn counts(names: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn weights_are_shares_and_a_seed_repeats_them() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let rules = "  - route:
    - destination: {host: a}
      weight: 90
    - destination: {host: b}
      weight: 10
";
    let table = mesh::gateway(rules, &[a.address], &[b.address]);
    let draw = |seed| {
        let proxy = start(table.clone(), Options { seed: Some(seed), ..options() });
        names(proxy.gateway(80), 1000)
    };
    let first = draw(7);
    assert_eq!(first, draw(7));
    assert_ne!(first, draw(8));
    let share = counts(&first)["b"];
    assert!((60..150).contains(&share), "{share} of 1000 instead of about 100");
}

#[test]
fn weights_need_not_come_to_a_hundred_and_without_one_nothing_is_drawn() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let rules = "  - route:
    - destination: {host: nowhere}
      weight: 0
    - destination: {host: a}
      weight: 3
    - destination: {host: nowhere}
    - destination: {host: b}
      weight: 1
";
    let table = mesh::gateway(rules, &[a.address], &[b.address]);
    let proxy = start(table, Options { seed: Some(7), ..options() });
    let names = names(proxy.gateway(80), 1000);
    let counts = counts(&names);
    assert_eq!(counts.len(), 2, "C7: {counts:?}");
    assert!((180..320).contains(&counts["b"]), "C7: a quarter of all: {counts:?}");
}

#[test]
fn round_robin_goes_in_turn() {
    let echoes = ["1", "2", "3"].map(Echo::start);
    let endpoints: Vec<SocketAddr> = echoes.iter().map(|echo| echo.address).collect();
    let rule = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
";
    let text = mesh::gateway_text("  - route:\n    - destination: {host: a}\n") + rule;
    let proxy = start(mesh::compile(&text, &endpoints, &[]), options());
    let names = names(proxy.gateway(80), 9);
    for turn in 0..9 {
        assert_eq!(names[turn], names[turn % 3], "{names:?}");
    }
    assert_eq!(counts(&names).len(), 3);
}

#[test]
fn one_request_per_connection_where_the_policy_says_so() {
    let echo = Echo::start("a");
    let rule = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}
";
    let text = mesh::gateway_text("  - route:\n    - destination: {host: a}\n") + rule;
    let proxy = start(mesh::compile(&text, &[echo.address], &[]), options());
    names(proxy.gateway(80), 4);
    assert_eq!(echo.connections(), 4);
}

#[test]
fn workers_share_a_port() {
    let echo = Echo::start("a");
    let table = mesh::gateway("  - route:\n    - destination: {host: a}\n", &[echo.address], &[]);
    let proxy = start(table, Options { cores: 4, ..options() });
    for _ in 0..40 {
        assert_eq!(names(proxy.gateway(80), 1), ["a"]);
    }
}

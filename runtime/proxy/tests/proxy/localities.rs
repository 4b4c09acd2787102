//! Load balancing by locality, and warm-up (semantics D.5, D26, C58).

use crate::common::{
    client::Client,
    echo::{Echo, dead},
    mesh, options, start,
};
use malha_mesh::{MeshConfig, ProxySpec, program::Role};
use malha_proxy::Options;
use malha_table::Table;
use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, sync::Arc};

const HERE: &str = "eu.eu-1.a";
const NEAR: &str = "eu/eu-1/a";
const FAR: &str = "us/us-1/a";

const DETECTING: &str = "outlierDetection: {consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100}";
const ROUTE: &str = "  - retries: {attempts: 0}\n    route:\n    - destination: {host: x.org}\n";

/// A gateway at `place` whose route leads to endpoints at these places; `policy` is a flow mapping's inside.
fn table(place: &str, route: &str, policy: &str, endpoints: &[(SocketAddr, &str)]) -> Arc<Table> {
    table_of(&[place], route, policy, endpoints)
}

/// The same with a gateway at each of these places, which is its name.
fn table_of(places: &[&str], route: &str, policy: &str, endpoints: &[(SocketAddr, &str)]) -> Arc<Table> {
    let mut text = mesh::gateway_text(route);
    text += "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: x, namespace: default}
spec:
  hosts: [x.org]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
";
    for (address, more) in endpoints {
        let (locality, more) = more.split_once(' ').unwrap_or((more, ""));
        let at = format!("address: {}, ports: {{http: {}}}", address.ip(), address.port());
        writeln!(text, "  - {{{at}, locality: {locality}{more}}}").expect("a string takes everything");
    }
    write!(
        text,
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: x, namespace: default}}
spec: {{host: x.org, trafficPolicy: {{{policy}}}}}
"
    )
    .expect("a string takes everything");
    let proxy = |place: &&str| {
        let labels = [("istio", "ingress"), ("istio-locality", *place)].into_iter();
        let labels = labels.filter(|(_, value)| !value.is_empty());
        ProxySpec {
            role: Role::Gateway,
            namespace: "default".into(),
            name: (*place).into(),
            labels: labels.map(|(name, value)| (name.into(), value.into())).collect(),
        }
    };
    let proxies: Vec<ProxySpec> = places.iter().map(proxy).collect();
    mesh::compile_with(&text, &proxies, MeshConfig::default(), |_| None)
}

fn begin(table: Arc<Table>) -> crate::common::Running {
    start(table, Options { cores: 1, ..options() })
}

/// How often each was asked; what is no 200 is counted by its status.
fn asked(proxy: &crate::common::Running, requests: usize, header: impl Fn(usize) -> String) -> BTreeMap<String, usize> {
    asked_at(proxy.gateway(80), requests, header)
}

fn asked_at(gateway: SocketAddr, requests: usize, header: impl Fn(usize) -> String) -> BTreeMap<String, usize> {
    let mut client = Client::connect(gateway);
    let mut counts = BTreeMap::new();
    for number in 0..requests {
        let answer = client.get("any.com", "/", &header(number));
        let name = match answer.status {
            200 => answer.json()["name"].as_str().unwrap_or_default().to_owned(),
            status => status.to_string(),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn plain(_: usize) -> String {
    String::new()
}

fn share(counts: &BTreeMap<String, usize>, name: &str) -> usize {
    counts.get(name).copied().unwrap_or_default()
}

/// An upstream that always fails.
fn bad() -> Echo {
    let answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    Echo::start_with("bad", |_, _| Some(answer.to_vec()))
}

#[test]
fn the_nearest_are_asked_until_they_fail() {
    let (near, far, bad) = (Echo::start("near"), Echo::start("far"), bad());
    let proxy = begin(table(HERE, ROUTE, DETECTING, &[(far.address, FAR), (near.address, NEAR)]));
    assert_eq!(asked(&proxy, 20, plain), [("near".to_owned(), 20)].into(), "D31");
    let proxy = begin(table(HERE, ROUTE, DETECTING, &[(far.address, FAR), (bad.address, NEAR)]));
    assert_eq!(asked(&proxy, 20, plain), [("500".to_owned(), 1), ("far".to_owned(), 19)].into(), "D29");
}

#[test]
fn a_region_is_put_before_others() {
    let (us, asia, bad) = (Echo::start("us"), Echo::start("asia"), bad());
    let endpoints = [(us.address, FAR), (asia.address, "asia/asia-1"), (bad.address, NEAR)];
    for (to, name) in [("asia", "asia"), ("us", "us")] {
        let failover = format!("loadBalancer: {{localityLbSetting: {{failover: [{{from: eu, to: {to}}}]}}}}");
        let proxy = begin(table(HERE, ROUTE, &format!("{failover}, {DETECTING}"), &endpoints));
        assert_eq!(asked(&proxy, 20, plain), [("500".to_owned(), 1), (name.to_owned(), 19)].into(), "D31: {to}");
    }
}

#[test]
fn each_proxy_has_its_own_nearest() {
    let (near, far, bad) = (Echo::start("near"), Echo::start("far"), bad());
    let endpoints = [(far.address, FAR), (near.address, NEAR), (bad.address, "asia/1")];
    let all = table_of(&[HERE, "us.us-1.a", "asia.1"], ROUTE, DETECTING, &endpoints);
    let proxy = begin(Arc::clone(&all));
    let at = |place: &str| {
        let listeners = proxy.listeners();
        let own = listeners.iter().find(|listener| listener.proxy == format!("default/{place}"));
        own.expect("it listens").address
    };
    let only = |name: &str| BTreeMap::from([(name.to_owned(), 10)]);
    assert_eq!(asked_at(at("asia.1"), 1, plain), [("500".to_owned(), 1)].into(), "it is left out from now on");
    for _ in 0..2 {
        assert_eq!(asked_at(at(HERE), 10, plain), only("near"), "D31");
        assert_eq!(asked_at(at("us.us-1.a"), 10, plain), only("far"), "D31");
        let counts = asked_at(at("asia.1"), 10, plain);
        assert_eq!(share(&counts, "near") + share(&counts, "far"), 10, "D29: {counts:?}");
        proxy.swap(Arc::clone(&all));
    }
}

#[test]
fn half_of_the_nearest_keep_seventy_percent() {
    let (near, far, bad) = (Echo::start("near"), Echo::start("far"), bad());
    let endpoints = [(far.address, FAR), (near.address, NEAR), (bad.address, NEAR)];
    let proxy = begin(table(HERE, ROUTE, DETECTING, &endpoints));
    asked(&proxy, 20, plain);
    assert_eq!(bad.seen().len(), 1, "it is ejected");
    let counts = asked(&proxy, 1000, plain);
    assert!((650..750).contains(&share(&counts, "near")), "D34: {counts:?}");
    assert_eq!(share(&counts, "near") + share(&counts, "far"), 1000, "{counts:?}");
}

#[test]
fn without_outlier_detection_or_a_place_all_are_one_pool() {
    let (near, far) = (Echo::start("near"), Echo::start("far"));
    let endpoints = [(far.address, FAR), (near.address, NEAR)];
    let turns = "loadBalancer: {simple: ROUND_ROBIN}";
    let both: BTreeMap<String, usize> = [("near".to_owned(), 10), ("far".to_owned(), 10)].into();
    assert_eq!(asked(&begin(table(HERE, ROUTE, turns, &endpoints)), 20, plain), both, "D29");
    let detecting = format!("{turns}, {DETECTING}");
    assert_eq!(asked(&begin(table("", ROUTE, &detecting, &endpoints)), 20, plain), both, "D33");
    let off = format!("loadBalancer: {{simple: ROUND_ROBIN, localityLbSetting: {{enabled: false}}}}, {DETECTING}");
    assert_eq!(asked(&begin(table(HERE, ROUTE, &off, &endpoints)), 20, plain), both, "D28");
}

#[test]
fn requests_are_distributed_by_weight() {
    let (near, far, other) = (Echo::start("near"), Echo::start("far"), Echo::start("other"));
    let endpoints = [(near.address, NEAR), (far.address, FAR), (other.address, "asia/1")];
    let policy = "loadBalancer: {localityLbSetting: {distribute: [{from: eu/*, to: {'eu/*': 80, us: 20}}]}}";
    let counts = asked(&begin(table(HERE, ROUTE, policy, &endpoints)), 200, plain);
    assert_eq!(counts, [("near".to_owned(), 160), ("far".to_owned(), 40)].into(), "D30");
    let hashing = "loadBalancer: {consistentHash: {httpHeaderName: x-user}, \
                   localityLbSetting: {distribute: [{from: eu/*, to: {'eu/*': 80, us: 20}}]}}";
    let proxy = begin(table(HERE, ROUTE, hashing, &endpoints));
    let counts = asked(&proxy, 400, |number| format!("x-user: {number}\r\n"));
    assert!((280..360).contains(&share(&counts, "near")) && share(&counts, "other") == 0, "D30: {counts:?}");
}

#[test]
fn a_locality_loses_weight_as_its_endpoints_fail() {
    let (near, far, bad) = (Echo::start("near"), Echo::start("far"), bad());
    let endpoints = [(near.address, NEAR), (bad.address, NEAR), (far.address, FAR)];
    let policy = format!(
        "loadBalancer: {{localityLbSetting: {{distribute: [{{from: eu, to: {{eu: 50, us: 50}}}}]}}}}, {DETECTING}"
    );
    let proxy = begin(table(HERE, ROUTE, &policy, &endpoints));
    asked(&proxy, 20, plain);
    assert_eq!(bad.seen().len(), 1, "it is ejected");
    // 70 % of 50 against 50.
    let counts = asked(&proxy, 1000, plain);
    assert!((405..419).contains(&share(&counts, "near")), "D30, D34: {counts:?}");
}

#[test]
fn labels_make_priorities() {
    let (same, other) = (Echo::start("same"), Echo::start("other"));
    let same_labels = format!("{FAR} , labels: {{istio: ingress}}");
    let endpoints = [(other.address, NEAR), (same.address, same_labels.as_str())];
    let policy = format!("loadBalancer: {{localityLbSetting: {{failoverPriority: [istio]}}}}, {DETECTING}");
    assert_eq!(
        asked(&begin(table(HERE, ROUTE, &policy, &endpoints)), 20, plain),
        [("same".to_owned(), 20)].into(),
        "D32"
    );
}

#[test]
fn hashes_stay_where_they_are_while_a_level_fails() {
    for load_balancer in ["ringHash: {}", "maglev: {tableSize: 65537}"] {
        let (near, far, bad) = (Echo::start("near"), Echo::start("far"), bad());
        let policy =
            format!("loadBalancer: {{consistentHash: {{httpHeaderName: x-user, {load_balancer}}}}}, {DETECTING}");
        let user = |number: usize| format!("x-user: {number}\r\n");
        let whole = begin(table(HERE, ROUTE, &policy, &[(far.address, FAR), (near.address, NEAR)]));
        assert_eq!(asked(&whole, 50, user), [("near".to_owned(), 50)].into());
        let endpoints = [(far.address, FAR), (near.address, NEAR), (bad.address, NEAR)];
        let proxy = begin(table(HERE, ROUTE, &policy, &endpoints));
        asked(&proxy, 50, user);
        assert_eq!(bad.seen().len(), 1, "it is ejected");
        let counts = asked(&proxy, 400, user);
        assert!((240..320).contains(&share(&counts, "near")), "D34: {counts:?}");
        let of_one = |number: usize| asked(&proxy, 3, move |_| user(number)).len();
        assert!((0..20).all(|number| of_one(number) == 1), "each user has one endpoint");
    }
}

#[test]
fn where_all_levels_panic_all_endpoints_are_asked() {
    let (near, far) = (bad(), bad());
    let guarded = "outlierDetection: {consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100, \
                   minHealthPercent: 50}";
    let proxy = begin(table(HERE, ROUTE, guarded, &[(far.address, FAR), (near.address, NEAR)]));
    assert_eq!(asked(&proxy, 40, plain), [("500".to_owned(), 40)].into(), "D45");
    assert!(near.seen().len() > 5 && far.seen().len() > 5, "D45: half of the requests each");
    let proxy = begin(table(HERE, ROUTE, DETECTING, &[(far.address, FAR), (near.address, NEAR)]));
    assert_eq!(asked(&proxy, 20, plain), [("500".to_owned(), 2), ("503".to_owned(), 18)].into(), "D45");
}

#[test]
fn retries_go_to_other_localities_where_they_may() {
    let far = Echo::start("far");
    let route = |may: bool| {
        format!(
            "  - retries: {{attempts: 3, retryOn: connect-failure, backoff: 1ms, retryRemoteLocalities: {may}}}\n    \
             route:\n    - destination: {{host: x.org}}\n"
        )
    };
    // Nothing is ejected so soon.
    let patient = "outlierDetection: {consecutive5xxErrors: 1000}";
    let endpoints = [(far.address, FAR), (dead(), NEAR)];
    let proxy = begin(table(HERE, &route(true), patient, &endpoints));
    let answer = Client::connect(proxy.gateway(80)).get("any.com", "/", "");
    let third = &answer.json()["headers"]["x-envoy-attempt-count"];
    assert_eq!((answer.status, third.as_str()), (200, Some("3")), "C58: after two tries");
    let proxy = begin(table(HERE, &route(false), patient, &endpoints));
    assert_eq!(Client::connect(proxy.gateway(80)).get("any.com", "/", "").status, 503, "C58");
}

#[test]
fn a_new_endpoint_is_warmed_up() {
    let (old, new) = (Echo::start("old"), Echo::start("new"));
    // The younger of two is nothing beside the older: the twentieth power of their ages counts.
    let warm_up = "warmup: {duration: 1h, minimumPercent: 0, aggression: 0.05}";
    for (simple, warms) in [("ROUND_ROBIN", true), ("LEAST_REQUEST", true), ("RANDOM", false)] {
        let policy = format!("loadBalancer: {{simple: {simple}, {warm_up}}}");
        let proxy = begin(table(HERE, ROUTE, &policy, &[(old.address, NEAR)]));
        asked(&proxy, 1000, plain);
        proxy.swap(table(HERE, ROUTE, &policy, &[(old.address, NEAR), (new.address, NEAR)]));
        let counts = asked(&proxy, 20, plain);
        assert_eq!(share(&counts, "new") < 4, warms, "D26: {simple}: {counts:?}");
        // Both begin together with the proxy: neither is new to the other.
        let proxy = begin(table(HERE, ROUTE, &policy, &[(old.address, NEAR), (new.address, NEAR)]));
        let counts = asked(&proxy, 20, plain);
        assert!(share(&counts, "new") >= 4, "D26: {simple}: {counts:?}");
    }
}

//! What a Sidecar says of its workload's way out: the proxy for what no service takes (semantics E37), and listeners that
//! clients connect to by themselves (semantics E39).

use crate::common::{
    Running,
    client::{Client, get, in_time, tunnel},
    echo::Echo,
    lines::Lines,
    mesh, options,
    plain::upstream,
    start, wait_for,
};
use malha_mesh::MeshConfig;
use malha_proxy::Options;
use malha_table::Table;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
    sync::Arc,
};

/// The services `a` and `b` behind a Sidecar that says this.
fn table(says: &str, more: &str, a: SocketAddr, b: SocketAddr) -> Arc<Table> {
    let sidecar = format!(
        "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: s, namespace: default}}
spec: {{{says}}}
"
    );
    mesh::sidecar(&(sidecar + more), MeshConfig::default(), &[a], &[b])
}

fn egress(proxy: &Running) -> SocketAddr {
    let listeners = proxy.egress();
    let [only] = listeners.as_slice() else { panic!("one egress listener: {listeners:?}") };
    only.address.parse().expect("an address")
}

const TO_B: &str = "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: b.default.svc.cluster.local, \
                    port: {number: NUMBER}}}";

#[test]
fn what_no_service_takes_goes_to_the_egress_proxy() {
    let (a, b, log) = (Echo::start("a"), Echo::start("b"), Lines::default());
    let proxy = start(table(&TO_B.replace("NUMBER", "80"), "", a.address, b.address), log.options());
    let outbound = proxy.outbound();
    // On a port that services have, and on one that none has.
    for host in ["unknown.example", "unknown.example:8123", "10.9.9.9:8123"] {
        let answer = get(outbound, host, "/x?y", "");
        assert_eq!((&answer.json()["name"], &answer.json()["authority"]), (&"b".into(), &host.into()), "{host}");
    }
    assert_eq!(get(outbound, "a", "/", "").json()["name"], "a", "services are themselves");
    let lines = log.wait(4);
    let cluster = "outbound|80||b.default.svc.cluster.local";
    assert!(lines.iter().take(3).all(|line| line.contains(cluster)), "{lines:?}");
    let admin = proxy.admin().expect("an admin server");
    let name = format!("envoy_cluster_upstream_rq_total{{cluster_name=\"{cluster}\"}}");
    let stats = get(admin, "localhost", "/stats/prometheus", "").text();
    assert!(stats.lines().any(|line| line.starts_with(&name) && line.ends_with(" 3")), "{stats}");
}

#[test]
fn connections_that_no_service_takes_go_to_the_egress_proxy() {
    let a = Echo::start("a");
    let log = Lines::default();
    let proxy = start(table(&TO_B.replace("NUMBER", "5432"), "", a.address, upstream("welcome ")), log.options());
    // An address that no listener has, a name that none has, and bytes on a port for HTTP.
    for to in ["10.9.9.9:9999", "unknown.example:9999", "10.9.9.9:80"] {
        let mut stream = tunnel(proxy.outbound(), to).expect("a tunnel");
        stream.write_all(b"bytes").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        in_time(stream.read_to_string(&mut text)).unwrap();
        assert_eq!(text, "welcome BYTES", "{to}");
    }
    let lines = log.wait(3);
    assert!(lines.iter().all(|line| line.contains("outbound|5432||b.default.svc.cluster.local")), "{lines:?}");
}

#[test]
fn the_egress_proxy_is_taken_as_it_is_written() {
    let (a, b, log) = (Echo::start("a"), Echo::start("b"), Lines::default());
    let rule = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b, namespace: default}
spec: {host: b, subsets: [{name: v1, labels: {app: b}}]}
";
    let subset = TO_B.replace("local, ", "local, subset: v1, ").replace("NUMBER", "80");
    let proxy = start(table(&subset, rule, a.address, b.address), log.options());
    assert_eq!(get(proxy.outbound(), "unknown.example", "/", "").json()["name"], "b");
    assert!(log.wait(1)[0].contains("outbound|80|v1|b.default.svc.cluster.local"), "{:?}", log.now());
    // What is not let through has no cluster; a short name is no service's.
    for says in [
        TO_B.replace("NUMBER", "80") + ", egress: [{hosts: ['./a.default.svc.cluster.local']}]",
        TO_B.replace("NUMBER", "80").replace("b.default.svc.cluster.local", "b"),
        TO_B.replace("NUMBER", "81"),
    ] {
        let log = Lines::default();
        let proxy = start(table(&says, "", a.address, b.address), log.options());
        let answer = get(proxy.outbound(), "unknown.example", "/", "");
        assert_eq!(answer.status, 503, "{says}");
        assert!(log.wait(1)[0].contains("NC"), "{says}: {:?}", log.now());
    }
}

#[test]
fn a_policy_without_allow_any_has_no_egress_proxy() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let says = TO_B.replace("NUMBER", "80").replace("mode: ALLOW_ANY, ", "");
    let proxy = start(table(&says, "", a.address, b.address), options());
    assert_eq!(get(proxy.outbound(), "unknown.example", "/", "").status, 502);
}

const PROXY: &str = "egress: [{port: {number: 3128, protocol: HTTP_PROXY, name: p}, bind: 127.0.0.1, \
                     hosts: ['./a.default.svc.cluster.local']}, {hosts: ['*/*']}]";

#[test]
fn an_http_proxy_leads_to_all_ports_of_its_services() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec:
  hosts: [a]
  http:
  - match: [{uri: {prefix: /b}}]
    route: [{destination: {host: a, port: {number: 80}}}]
    headers: {request: {set: {x-rule: b}}}
  - match: [{port: 7000}]
    route: [{destination: {host: b, port: {number: 80}}}]
  - route: [{destination: {host: a, port: {number: 7000}}}]
";
    for (more, ruled) in [("", false), (rule, true)] {
        let proxy = start(table(PROXY, more, a.address, b.address), options());
        let address = egress(&proxy);
        for authority in ["a", "a:80", "A.default.svc.cluster.local", "a:7000", "10.0.0.1:7000", "a.default:7000"] {
            let request = format!("GET http://{authority}/x HTTP/1.1\r\nHost: ignored\r\n\r\n");
            let answer = Client::connect(address).send(request);
            assert_eq!(answer.json()["name"], "a", "{authority}");
            assert_eq!(answer.json()["authority"], authority);
        }
        let answer = get(address, "a:7000", "/b", "");
        assert_eq!(answer.json()["headers"]["x-rule"].is_null(), !ruled, "{answer:?}");
        // What is not among its hosts it does not know, nor ports that no service has.
        for authority in ["b", "a:81", "a:5432"] {
            let answer = get(address, authority, "/", "");
            assert_eq!(answer.status, 502, "{authority}: {}", answer.text());
            assert!(answer.text().contains("do not leave this machine"), "{authority}: {}", answer.text());
        }
        assert_eq!(get(proxy.outbound(), "b", "/", "").json()["name"], "b");
    }
}

#[test]
fn an_http_proxy_makes_no_tunnels() {
    let a = Echo::start("a");
    let proxy = start(table(PROXY, "", a.address, a.address), options());
    let answer = tunnel(egress(&proxy), "a:7000").expect_err("no tunnel");
    assert_eq!(answer.status, 404);
}

#[test]
fn an_http_proxy_listens_where_it_is_told() {
    let a = Echo::start("a");
    let told = Options { ports: [(3128, 0)].into(), ephemeral: false, ..options() };
    let proxy = start(table(PROXY, "", a.address, a.address), told);
    assert_eq!(get(egress(&proxy), "a", "/", "").json()["name"], "a");
    let ready = proxy.ready();
    let listener = &ready["egress"][0];
    assert_eq!(
        (&listener["port"], &listener["protocol"], &listener["proxy"], &listener["name"]),
        (&3128.into(), &"HTTP_PROXY".into(), &"default/default".into(), &"127.0.0.1_3128".into()),
        "{ready}"
    );
    // It goes with its table, and comes with another.
    let address = egress(&proxy);
    proxy.swap(table("egress: [{hosts: ['*/*']}]", "", a.address, a.address));
    assert!(proxy.egress().is_empty() && proxy.ready().get("egress").is_none());
    wait_for("the listener to close", || std::net::TcpStream::connect(address).is_err());
    let report = proxy.swap(table(PROXY, "", a.address, a.address));
    assert_eq!(report.egress, proxy.egress());
    assert_eq!(get(egress(&proxy), "a", "/", "").json()["name"], "a");
}

#[test]
fn what_an_http_proxy_does_not_know_goes_to_the_egress_proxy() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let says = format!("{}, {PROXY}", TO_B.replace("NUMBER", "80"));
    let proxy = start(table(&says, "", a.address, b.address), options());
    assert_eq!(get(egress(&proxy), "unknown.example", "/", "").json()["name"], "b");
}

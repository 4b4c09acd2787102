//! Bytes that a sidecar passes on for clients of the mesh (semantics B.6): which destination, who speaks first, and how
//! connections end.

use crate::common::{
    Running,
    client::{Client, get, has_ended, in_time, tunnel},
    echo::{Echo, dead},
    lines::Lines,
    mesh, options,
    plain::{serving, upstream},
    start,
    tls::{Authority, Speaker},
    wait_for,
};
use malha_mesh::{MeshConfig, ProxySpec};
use malha_proxy::{LogFormat, Options};
use malha_table::Table;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

fn sidecar(more: &str, a: &[SocketAddr], b: &[SocketAddr]) -> Running {
    start(mesh::sidecar(more, MeshConfig::default(), a, b), options())
}

fn to(proxy: &Running, address: &str) -> TcpStream {
    tunnel(proxy.outbound(), address).expect("a tunnel")
}

/// What the server says before anything is said to it.
fn greeting(proxy: &Running, address: &str) -> String {
    let mut stream = to(proxy, address);
    let mut first = [0];
    let read = in_time(stream.read(&mut first)).unwrap_or(0);
    String::from_utf8_lossy(&first[..read]).into_owned()
}

#[test]
fn the_server_may_speak_first_and_each_side_ends_for_itself() {
    let proxy = sidecar("", &[upstream("welcome ")], &[]);
    for address in ["a:5432", "a.default.svc.cluster.local:5432", "10.0.0.1:5432"] {
        let mut stream = to(&proxy, address);
        let mut greeting = [0; 8];
        stream.read_exact(&mut greeting).expect("the server speaks first");
        assert_eq!(&greeting, b"welcome ");
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "HELLO", "half a connection is open yet: {address}");
    }
}

#[test]
fn each_connection_has_a_destination_of_its_own_by_weight() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec:
  hosts: [a]
  tcp:
  - route:
    - {destination: {host: a, port: {number: 5432}}, weight: 30}
    - {destination: {host: b, port: {number: 5432}}, weight: 70}
";
    let proxy = sidecar(rule, &[upstream("a")], &[upstream("b")]);
    let count = (0..100).filter(|_| greeting(&proxy, "a:5432") == "a").count();
    assert!((15..45).contains(&count), "A61: {count} of 100");
}

#[test]
fn the_narrowest_range_of_a_tcp_rule_takes_a_connection() {
    let more = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: default}
spec:
  hosts: [db.example]
  addresses: [10.7.0.0/16]
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: default}
spec:
  hosts: [db.example]
  tcp:
  - match: [{destinationSubnets: [10.7.0.0/17]}]
    route: [{destination: {host: a, port: {number: 5432}}}]
  - match: [{destinationSubnets: [10.7.1.0/24]}]
    route: [{destination: {host: b, port: {number: 5432}}}]
";
    let proxy = sidecar(more, &[upstream("a")], &[upstream("b")]);
    for (address, name) in [("10.7.0.1:9000", "a"), ("10.7.1.1:9000", "b"), ("[::ffff:10.7.1.2]:9000", "b")] {
        assert_eq!(greeting(&proxy, address), name, "B33: whatever the order: {address}");
    }
    assert_eq!(greeting(&proxy, "10.7.200.1:9000"), "", "its own chain leads out of this machine");
}

/// Services of TLS outside, at addresses of these ranges.
fn entry(name: &str, range: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: default}}
spec:
  hosts: [{name}.ext]
  addresses: [{range}]
  ports: [{{number: 443, name: tls, protocol: TLS}}]
  resolution: STATIC
  endpoints: [{{address: 192.0.2.7}}]
"
    )
}

/// The cluster to which a client goes that says a server name, and offers these protocols.
fn cluster(proxy: &Running, lines: &Lines, address: &str, name: &str, offers: &[&str]) -> String {
    lines.clear();
    let mut stream = to(proxy, address);
    let authority = Authority::new();
    stream.write_all(&Speaker { offers, ..Speaker::new(&authority) }.hello(name)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let line: serde_json::Value = serde_json::from_str(&lines.wait(1)[0]).expect("lines are JSON");
    line["upstream_cluster"].as_str().unwrap_or_default().to_owned()
}

fn logged(table: Arc<Table>, lines: &Lines) -> Running {
    start(table, Options { access_log: Some(lines.log().in_format(LogFormat::Json)), ..options() })
}

#[test]
fn a_range_that_was_chosen_is_not_left_for_a_server_name() {
    let (lines, entries) = (Lines::default(), [entry("wide", "10.7.0.0/16"), entry("narrow", "10.7.1.0/24")].concat());
    let proxy = logged(mesh::sidecar(&entries, MeshConfig::default(), &[], &[]), &lines);
    let cluster_of = |name: &str| format!("outbound|443||{name}.ext");
    for offers in [&[][..], &["h2", "http/1.1"], &["smtp"]] {
        let cluster = |address: &str, name: &str| cluster(&proxy, &lines, address, name, offers);
        assert_eq!(cluster("10.7.2.1:443", "wide.ext"), cluster_of("wide"), "A55: {offers:?}");
        assert_eq!(cluster("10.7.1.1:443", "narrow.ext"), cluster_of("narrow"), "A55: {offers:?}");
        // The wider range has the name, and is not gone back to.
        assert_eq!(cluster("10.7.1.1:443", "wide.ext"), "PassthroughCluster", "A55: {offers:?}");
        assert_eq!(cluster("10.7.2.1:443", "narrow.ext"), "PassthroughCluster", "A55: {offers:?}");
    }
}

#[test]
fn a_match_of_tls_holds_where_all_that_it_asks_for_does() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: default}
spec:
  hosts: [one.ext, two.ext]
  gateways: [mesh, other]
  tls:
  - match:
    - {sniHosts: [one.ext], sourceLabels: {app: web}, sourceNamespace: elsewhere}
    - {sniHosts: [one.ext], sourceLabels: {app: web, version: v2}}
    - {sniHosts: [one.ext], sourceLabels: {app: web}, gateways: [other]}
    - {sniHosts: [one.ext], sourceLabels: {app: web}, port: 444}
    - {sniHosts: [two.ext], sourceLabels: {app: web}, port: 443}
    route: [{destination: {host: b, port: {number: 7443}}}]
  - match:
    - {sniHosts: [one.ext], sourceLabels: {app: web}, sourceNamespace: default, gateways: [mesh], port: 443}
    - {sniHosts: [one.ext], destinationSubnets: [10.7.1.0/24]}
    route: [{destination: {host: a, port: {number: 7443}}}]
";
    let text = format!("{}{}", entry("one", "10.7.0.0/16"), rule);
    let proxies = [("web", "app"), ("web", "other")].map(|(value, label)| ProxySpec {
        labels: [(label.into(), value.into())].into(),
        ..ProxySpec::default_sidecar()
    });
    let lines = Lines::default();
    let more = [mesh::SERVICES.replace("{name: http, port: 80}", "{name: tls, port: 7443}"), text].concat();
    let (to_a, to_b) = ("outbound|7443||a.default.svc.cluster.local", "outbound|7443||b.default.svc.cluster.local");
    let asked = |at: usize, address: &str, name: &str| {
        let table = mesh::compile_with(&more, &proxies[at..=at], MeshConfig::default(), |_| None);
        cluster(&logged(table, &lines), &lines, address, name, &[])
    };
    assert_eq!(asked(0, "10.7.2.1:443", "one.ext"), to_a, "B29");
    assert_eq!(asked(0, "10.7.2.1:443", "two.ext"), to_b, "B29");
    // Of the client with another label only the match for a range is left.
    assert_eq!(asked(1, "10.7.1.1:443", "one.ext"), to_a, "B29");
    assert_eq!(asked(1, "10.7.2.1:443", "one.ext"), "PassthroughCluster", "B29");
    assert_eq!(asked(1, "10.7.2.1:443", "two.ext"), "PassthroughCluster", "B29");
}

#[test]
fn a_look_at_the_first_bytes_tells_http_from_others() {
    let http = Echo::start("http");
    let bytes = upstream("");
    // One endpoint of each kind: round robin would not tell them apart.
    let proxy = sidecar(&mesh::policy_of_a("loadBalancer: {simple: ROUND_ROBIN}"), &[http.address], &[bytes]);
    let mut client = Client::over(to(&proxy, "a:7000"));
    // Its line comes in two pieces.
    client.write(b"GE");
    assert_eq!(client.send("T /x HTTP/1.1\r\nHost: whoever\r\n\r\n").json()["path"], "/x", "E24");
    let mut stream = to(&proxy, "b:7000");
    stream.write_all(b"select 1;\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "SELECT 1;\n", "E24");
}

#[test]
fn who_waits_for_the_server_is_taken_for_no_http_once_detection_gives_up() {
    let table = mesh::sidecar("", MeshConfig::default(), &[upstream("welcome ")], &[]);
    let patience = Some(Duration::from_millis(50));
    let proxy = start(table, Options { protocol_detection_timeout: patience, ..options() });
    for half in [&b""[..], b"GET / HT"] {
        let mut stream = to(&proxy, "a:7000");
        stream.write_all(half).unwrap();
        let mut greeting = [0; 8];
        stream.read_exact(&mut greeting).expect("the server speaks first");
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        assert_eq!(text, half, "nothing is lost");
    }
}

/// An upstream that says whether a connection of its own has ended, and how.
fn watched(ends_itself: bool) -> (SocketAddr, Receiver<Instant>) {
    let (ended, ends) = channel();
    let address = serving(move |mut stream| {
        let _ = stream.write_all(b"w");
        if ends_itself {
            let _ = stream.read_exact(&mut [0]);
        } else {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        drop(stream);
        // Nobody may listen any more.
        let _ = ended.send(Instant::now());
    });
    (address, ends)
}

#[test]
fn when_either_side_closes_the_other_hears_of_it_within_a_second() {
    let (address, ends) = watched(false);
    let proxy = sidecar("", &[address], &[]);
    let mut stream = to(&proxy, "a:5432");
    stream.read_exact(&mut [0]).unwrap();
    let closed = Instant::now();
    drop(stream);
    let heard = ends.recv_timeout(Duration::from_secs(10)).expect("the upstream's side ends");
    assert!(heard.duration_since(closed) < Duration::from_secs(1));

    let (address, ends) = watched(true);
    let proxy = sidecar("", &[address], &[]);
    let mut stream = to(&proxy, "a:5432");
    stream.read_exact(&mut [0]).unwrap();
    stream.write_all(b"x").unwrap();
    let closed = ends.recv_timeout(Duration::from_secs(10)).expect("the upstream ends it");
    assert!(has_ended(&mut stream));
    assert!(closed.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_side_that_does_not_read_holds_the_other_back() {
    const WHOLE: usize = 64 << 20;
    let (open, gate) = channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let address = serving(move |mut stream| {
        if gate.lock().unwrap().recv().is_ok() {
            let mut piece = vec![0; 1 << 16];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                counted.fetch_add(length, Ordering::SeqCst);
            }
        }
    });
    let proxy = sidecar("", &[address], &[]);
    let mut stream = to(&proxy, "a:5432");
    stream.set_nonblocking(true).unwrap();
    let (piece, mut written, mut since) = (vec![7; 1 << 16], 0, Instant::now());
    while written < WHOLE && since.elapsed() < Duration::from_secs(1) {
        match stream.write(&piece) {
            Ok(length) => (written, since) = (written + length, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(written < WHOLE, "what nobody reads is not kept");
    open.send(()).unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.write_all(&piece).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    wait_for("all of it to come", || read.load(Ordering::SeqCst) == written + piece.len());
}

#[test]
fn a_silent_connection_is_closed_as_the_policy_says() {
    let policy = mesh::policy_of_a("connectionPool: {tcp: {idleTimeout: 200ms}}");
    let (address, ends) = watched(false);
    let proxy = sidecar(&policy, &[address], &[]);
    let mut text = Vec::new();
    let _ = to(&proxy, "a:5432").read_to_end(&mut text);
    assert_eq!(text, b"w", "D.6: it was closed though nobody else ended it");
    ends.recv_timeout(Duration::from_secs(10)).expect("the upstream's side ends");
}

#[test]
fn an_endpoint_that_cannot_be_connected_is_left_out() {
    let policy = mesh::policy_of_a(
        "loadBalancer: {simple: ROUND_ROBIN},
    outlierDetection: {consecutive5xxErrors: 2, baseEjectionTime: 60s, maxEjectionPercent: 50}",
    );
    let proxy = sidecar(&policy, &[dead(), upstream("a")], &[]);
    let failed = (0..40).filter(|_| greeting(&proxy, "a:5432").is_empty()).count();
    assert_eq!(failed, 2, "D49: two in a row, and no more");
    let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
    let ejected = |line: &&str| line.starts_with("malha_endpoint_ejected{") && line.ends_with(" 1");
    assert_eq!(metrics.lines().filter(ejected).count(), 1);
}

#[test]
fn a_connection_is_told_of_with_its_service_and_rule() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec:
  hosts: [a]
  tcp:
  - route: [{destination: {host: b, port: {number: 5432}}}]
";
    let lines = Lines::default();
    let proxy = start(mesh::sidecar(rule, MeshConfig::default(), &[], &[upstream("b")]), lines.options());
    assert_eq!(greeting(&proxy, "10.0.0.1:5432"), "b");
    let line = lines.wait(1).remove(0);
    assert!(line.contains("outbound|5432||b.default.svc.cluster.local"), "{line}");
    assert!(line.contains(" 10.0.0.1:5432 ") && line.contains("\"default/a tcp[0] mesh.yaml:"), "{line}");
    let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
    let is_counted = |line: &str| {
        line.starts_with("istio_tcp_connections_closed_total{")
            && line.contains("source_workload=\"default\"")
            && line.contains("destination_service_name=\"b\"")
            && line.ends_with("} 1")
    };
    assert!(metrics.lines().any(is_counted), "{metrics}");
}

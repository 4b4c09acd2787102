//! How connections to endpoints are opened and kept (semantics D.6, D61): the PROXY protocol, keepalive, age.

use crate::common::{
    client::{Client, get},
    echo::Echo,
    mesh, options, start, wait_for,
};
use malha_mesh::{MeshConfig, ProxySpec};
use malha_proxy::Options;
use malha_table::Table;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

const ROUTE: &str = "  - route: [{destination: {host: a}}]\n";

/// A gateway whose only cluster has this policy.
fn table(policy: &str, upstream: SocketAddr) -> Arc<Table> {
    mesh::compile(&(mesh::gateway_text(ROUTE) + &mesh::policy_of_a(policy)), &[upstream], &[])
}

fn one_worker() -> Options {
    Options { cores: 1, ..options() }
}

/// An upstream that keeps what comes ahead of the first request of each connection, up to `end`.
fn behind_proxy_protocol(end: fn(&mut BufReader<&TcpStream>) -> Vec<u8>) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let told: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let heads = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heads = Arc::clone(&heads);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                heads.lock().unwrap().push(end(&mut reader));
                let mut lines = reader.lines().map_while(Result::ok);
                // The last line of a head is empty, and none of these requests has a body.
                while lines.find(String::is_empty).is_some() {
                    let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            });
        }
    });
    (address, told)
}

#[test]
fn endpoints_are_told_of_each_client_ahead_of_its_requests() {
    let (upstream, told) = behind_proxy_protocol(|reader| {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).unwrap();
        line
    });
    // What is of no use to the next client gives way to it.
    let policy = "proxyProtocol: {version: V1}, connectionPool: {tcp: {maxConnections: 1}}";
    let proxy = start(table(policy, upstream), one_worker());
    let gateway = proxy.gateway(80);
    let stream = crate::common::client::connect(gateway);
    let from = stream.local_addr().unwrap();
    let mut client = Client::over(stream);
    assert_eq!(client.get("shop.com", "/", "").status, 200);
    assert_eq!(client.get("shop.com", "/", "").status, 200);
    let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), gateway.port()).into_bytes();
    assert_eq!(*told.lock().unwrap(), std::slice::from_ref(&line), "D61: once a connection");
    assert_eq!(get(gateway, "shop.com", "/", "").status, 200);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2, "what was told of one client is not true of another");
    assert_ne!(told[1], line);
}

#[test]
fn endpoints_are_told_in_bytes() {
    let (upstream, told) = behind_proxy_protocol(|reader| {
        let mut header = vec![0; 28];
        reader.read_exact(&mut header).unwrap();
        header
    });
    let proxy = start(table("proxyProtocol: {version: V2}", upstream), one_worker());
    let gateway = proxy.gateway(80);
    assert_eq!(get(gateway, "shop.com", "/", "").status, 200);
    let header = &told.lock().unwrap()[0];
    assert_eq!(header[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "D61");
    assert_eq!(header[26..], gateway.port().to_be_bytes());
}

#[test]
fn a_connection_that_is_as_old_as_it_gets_takes_no_more_requests() {
    let echo = Echo::start("a");
    let policy = "connectionPool: {tcp: {maxConnectionDuration: 200ms}}";
    let proxy = start(table(policy, echo.address), one_worker());
    let mut client = Client::connect(proxy.gateway(80));
    wait_for("another connection", || {
        assert_eq!(client.get("shop.com", "/", "").status, 200);
        echo.connections() == 2
    });
    assert!(echo.seen().len() > 2, "the first took several");
}

#[test]
fn no_more_requests_at_once_than_a_retry_budget_has() {
    let echo = Echo::start_with("a", |_, _| Some(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let budget = |budget: &str| {
        let rules = "  - route: [{destination: {host: a}}]\n    retries: {attempts: 1, retryOn: 5xx, backoff: 1ms}\n";
        let rule =
            mesh::policy_of_a(&format!("retryBudget: {{{budget}}}, connectionPool: {{http: {{maxRetries: 1}}}}"));
        mesh::compile(&(mesh::gateway_text(rules) + &rule), &[echo.address], &[])
    };
    let proxy = start(budget("percent: 0, minRetryConcurrency: 0"), one_worker());
    assert_eq!(get(proxy.gateway(80), "shop.com", "/", "").status, 503);
    assert_eq!(echo.seen().len(), 1, "D.6: the budget is none, whatever maxRetries says");
    proxy.swap(budget("percent: 0, minRetryConcurrency: 1"));
    assert_eq!(get(proxy.gateway(80), "shop.com", "/", "").status, 503);
    assert_eq!(echo.seen().len(), 3);
}

#[test]
fn each_proxy_keeps_connections_of_its_own_terms() {
    let echo = Echo::start("a");
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: one, namespace: one}}
spec: {{host: a.default.svc.cluster.local, exportTo: ['.'], trafficPolicy: {{connectionPool: {{http: {{idleTimeout: 50s}}}}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: two, namespace: two}}
spec: {{host: a.default.svc.cluster.local, exportTo: ['.'], trafficPolicy: {{connectionPool: {{http: {{idleTimeout: 60s}}}}}}}}
",
        mesh::SERVICES
    );
    let proxy_in = |namespace: &str| ProxySpec {
        namespace: namespace.into(),
        name: namespace.into(),
        ..ProxySpec::default_sidecar()
    };
    let proxies = [proxy_in("one"), proxy_in("two")];
    let table = mesh::compile_with(&text, &proxies, MeshConfig::default(), |_| Some(vec![echo.address]));
    let proxy = start(table, one_worker());
    let listeners: Vec<SocketAddr> =
        proxy.listeners().iter().filter(|listener| listener.role == "mesh").map(|listener| listener.address).collect();
    assert_eq!(listeners.len(), 2);
    for _ in 0..5 {
        for listener in &listeners {
            assert_eq!(get(*listener, "a.default.svc.cluster.local", "/", "").status, 200);
        }
    }
    assert_eq!(echo.connections(), 2);
    // Metrics tell of what they share a name with, once.
    let metrics = get(proxy.admin().unwrap(), "localhost", "/metrics", "").text();
    let series: Vec<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    let distinct: BTreeSet<&str> = series.iter().copied().collect();
    assert_eq!(series.len(), distinct.len(), "{metrics}");
}

/// The system's own list says which connections it probes: those have a timer of the kind 2, once all that was sent has
/// been acknowledged; others have none then.
#[cfg(target_os = "linux")]
#[test]
fn silent_connections_are_probed_where_the_policy_asks_for_it() {
    let wait_for_timer = |policy: &str, timer: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = listener.local_addr().unwrap();
        let proxy = start(table(policy, upstream), one_worker());
        let gateway = proxy.gateway(80);
        let asking = std::thread::spawn(move || get(gateway, "shop.com", "/", "").status);
        let (mut stream, from) = listener.accept().unwrap();
        let mut head = [0; 16];
        stream.read_exact(&mut head).unwrap();
        // Another connection may have the same port, to another end.
        let ends = [from, upstream].map(|end| format!("0100007F:{:04X}", end.port()));
        wait_for(&format!("timer {timer} with {policy}"), || {
            let list = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let is_ours = |line: &&str| line.split_whitespace().skip(1).take(2).eq(&ends);
            let line = list.lines().find(is_ours).expect("it is listed");
            line.split_whitespace().nth(5).unwrap().split(':').next() == Some(timer)
        });
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!(asking.join().unwrap(), 200);
    };
    wait_for_timer("connectionPool: {tcp: {maxConnections: 5}}", "00");
    wait_for_timer("connectionPool: {tcp: {tcpKeepalive: {probes: 3, time: 75s, interval: 10s}}}", "02");
}

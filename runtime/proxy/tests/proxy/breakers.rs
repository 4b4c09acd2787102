//! Limits on what a cluster may use at once (semantics D.6): what is too much is refused at once.

use crate::common::{
    client::{Answer, Client, get},
    echo::Echo,
    held::{Gated, Narrow},
    mesh, options, start, wait_for,
};
use malha_proxy::{AccessLog, Options};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";

fn limited(pool: &str) -> String {
    format!(
        "{}---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: default}}\nspec:\n  \
         host: a\n  trafficPolicy:\n    connectionPool: {pool}\n",
        mesh::gateway_text(ROUTE)
    )
}

fn one_worker() -> Options {
    Options { cores: 1, ..options() }
}

/// Waits until the cluster of `a` has so many requests in its queue.
fn wait_for_pending(proxy: &crate::common::Running, count: usize) {
    let cluster = "outbound|80||a.default.svc.cluster.local";
    wait_for_line(proxy, &format!("malha_cluster_used{{cluster=\"{cluster}\",resource=\"pending\"}} {count}"));
}

fn wait_for_line(proxy: &crate::common::Running, line: &str) {
    let admin = proxy.admin().expect("an admin server");
    wait_for(line, || get(admin, "localhost", "/metrics", "").text().lines().any(|found| found == line));
}

fn ask(address: SocketAddr) -> JoinHandle<Answer> {
    std::thread::spawn(move || Client::connect(address).get("x.com", "/", ""))
}

#[test]
fn beyond_the_queue_requests_are_refused_at_once() {
    let upstream = Gated::start();
    let flags: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = {
        let flags = Arc::clone(&flags);
        AccessLog::to_function(move |line| flags.lock().unwrap().push(line.to_owned()))
    };
    let table = mesh::compile(
        &limited("{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}"),
        &[upstream.echo.address],
        &[],
    );
    let proxy = start(table, Options { access_log: Some(log), ..one_worker() });
    let address = proxy.gateway(80);
    let first = ask(address);
    wait_for("the upstream has the first", || upstream.echo.seen().len() == 1);
    let second = ask(address);
    wait_for_pending(&proxy, 1);
    for _ in 0..3 {
        let answer = Client::connect(address).get("x.com", "/", "");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.text(), "upstream connect error or disconnect/reset before headers. reset reason: overflow");
        assert_eq!(answer.header("x-envoy-overloaded"), Some("true"));
    }
    upstream.open();
    assert_eq!((first.join().unwrap().status, second.join().unwrap().status), (200, 200));
    assert_eq!((upstream.echo.seen().len(), upstream.echo.connections()), (2, 1), "one connection took both");
    let lines = flags.lock().unwrap();
    let overflows = lines.iter().filter(|line| line.contains(" 503 UO ")).count();
    assert_eq!(overflows, 3, "{lines:?}");
}

#[test]
fn requests_are_limited_as_such() {
    let upstream = Gated::start();
    let table = mesh::compile(&limited("{http: {http2MaxRequests: 2}}"), &[upstream.echo.address], &[]);
    let proxy = start(table, one_worker());
    let address = proxy.gateway(80);
    let held: Vec<_> = (0..2).map(|_| ask(address)).collect();
    wait_for("the upstream has both", || upstream.echo.seen().len() == 2);
    let refused = Client::connect(address).get("x.com", "/", "");
    assert_eq!((refused.status, refused.header("x-envoy-overloaded")), (503, Some("true")));
    upstream.open();
    for answer in held {
        assert_eq!(answer.join().unwrap().status, 200);
    }
    assert_eq!(Client::connect(address).get("x.com", "/", "").status, 200, "what is done is no longer counted");
}

#[test]
fn a_retry_too_many_is_not_made() {
    let upstream = Gated::start();
    let rules = "  - match: [{uri: {prefix: /bad}}]
    retries: {attempts: 1, retryOn: 5xx}
    route:
    - destination: {host: b}
  - route:
    - destination: {host: a}
";
    // The first request's retry stays at work: `b` answers its second try only when it may.
    let gate = upstream.gate.clone();
    let failing = Echo::start_with("b", move |_, before| {
        if before == 1 {
            gate.pass();
        }
        Some(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nmine".to_vec())
    });
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: b, namespace: default}\n\
                spec:\n  host: b\n  trafficPolicy:\n    connectionPool: {http: {maxRetries: 1}}\n";
    let text = format!("{}{rule}", mesh::gateway_text(rules));
    let proxy = start(mesh::compile(&text, &[upstream.echo.address], &[failing.address]), one_worker());
    let address = proxy.gateway(80);
    let first = std::thread::spawn(move || Client::connect(address).get("x.com", "/bad", ""));
    wait_for("the retry is under way", || failing.seen().len() == 2);
    let second = Client::connect(address).get("x.com", "/bad", "");
    assert_eq!((second.status, second.text().as_str()), (503, "mine"), "the answer of its only try");
    assert_eq!(failing.seen().len(), 3);
    upstream.open();
    assert_eq!(first.join().unwrap().text(), "mine");
}

#[test]
fn a_client_that_leaves_the_queue_makes_room() {
    let upstream = Gated::start();
    let table = mesh::compile(
        &limited("{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}"),
        &[upstream.echo.address],
        &[],
    );
    let proxy = start(table, one_worker());
    let address = proxy.gateway(80);
    let first = ask(address);
    wait_for("the upstream has the first", || upstream.echo.seen().len() == 1);
    let mut leaving = Client::connect(address);
    leaving.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    wait_for_pending(&proxy, 1);
    drop(leaving);
    wait_for_pending(&proxy, 0);
    let next = ask(address);
    wait_for_pending(&proxy, 1);
    upstream.open();
    assert_eq!((first.join().unwrap().status, next.join().unwrap().status), (200, 200));
}

#[test]
fn a_connection_that_is_free_first_is_taken_while_another_is_being_opened() {
    let upstream = Narrow::start();
    let table = mesh::compile(&limited("{http: {http1MaxPendingRequests: 1}}"), &[upstream.address], &[]);
    let proxy = start(table, one_worker());
    let address = proxy.gateway(80);
    let first = ask(address);
    wait_for("the upstream has the first", || upstream.seen() == 1);
    let second = ask(address);
    wait_for_pending(&proxy, 1);
    assert_eq!(Client::connect(address).get("x.com", "/", "").status, 503, "the queue is full");
    upstream.answer();
    wait_for("the second on the first one's connection", || upstream.seen() == 2);
    upstream.answer();
    upstream.answer();
    assert_eq!((first.join().unwrap().status, second.join().unwrap().status), (200, 200));
    // The other is still being opened, and nobody waits for it.
    assert_eq!(Client::connect(address).get("x.com", "/", "").status, 200);
}

#[test]
fn what_waits_longest_is_served_first() {
    let upstream = Narrow::start();
    let table = mesh::compile(
        &limited("{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 9}}"),
        &[upstream.address],
        &[],
    );
    let proxy = start(table, one_worker());
    let address = proxy.gateway(80);
    let mut clients: Vec<Client> = (0..5)
        .map(|before| {
            let mut client = Client::connect(address);
            client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
            match before {
                0 => wait_for("the upstream has the first", || upstream.seen() == 1),
                _ => wait_for_pending(&proxy, before),
            }
            client
        })
        .collect();
    drop(clients.remove(2));
    wait_for_pending(&proxy, 3);
    for client in &mut clients {
        upstream.answer();
        assert_eq!(client.read().map(|answer| answer.status), Some(200));
    }
}

#[test]
fn a_limit_that_comes_with_a_table_counts_what_is_in_use() {
    let upstream = Gated::start();
    let table = |pool| mesh::compile(&limited(pool), &[upstream.echo.address], &[]);
    let (limited, unlimited) = (table("{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 9}}"), table("{}"));
    let proxy = start(Arc::clone(&limited), one_worker());
    proxy.swap(unlimited);
    let address = proxy.gateway(80);
    let first = ask(address);
    wait_for("the upstream has the first", || upstream.echo.seen().len() == 1);
    proxy.swap(limited);
    let second = ask(address);
    wait_for_pending(&proxy, 1);
    upstream.open();
    assert_eq!((first.join().unwrap().status, second.join().unwrap().status), (200, 200));
    assert_eq!(upstream.echo.connections(), 2, "one that was opened by other settings is not kept");
    wait_for_line(&proxy, "malha_upstream_connections_idle 1");
    proxy.swap(table("{tcp: {maxConnections: 2}}"));
    wait_for_line(&proxy, "malha_upstream_connections 0");
}

//! A new table in force: for new requests on open connections, without a failed one.

use crate::common::{
    client::{Client, get},
    echo::{Echo, dead},
    mesh, options, start, wait_for,
};
use malha_proxy::Options;
use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

fn to(host: &str) -> String {
    format!("  - route:\n    - destination: {{host: {host}}}\n")
}

fn gateway_on(port: u16, name: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - port: {{number: {port}, name: http-{name}, protocol: HTTP}}
    hosts: ['*']
"
    )
}

#[test]
fn an_open_connection_sees_the_new_table_at_once() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let other =
        |host| format!("  - match: [{{uri: {{prefix: /other}}}}]\n    route:\n    - destination: {{host: {host}}}\n");
    let table = |host| {
        let rules = other(if host == "a" { "b" } else { "a" }) + &to(host);
        mesh::gateway(&rules, &[a.address], &[b.address])
    };
    let proxy = start(table("a"), options());
    let address = proxy.gateway(80);
    let mut client = Client::connect(address);
    for (turn, host) in ["a", "b", "a", "b", "a"].into_iter().enumerate() {
        if turn > 0 {
            let report = proxy.swap(table(host));
            assert_eq!((report.kept, report.added.len(), report.removed.len()), (1, 0, 0));
        }
        assert_eq!(client.get("x.com", "/", "").json()["name"], host);
    }
    assert_eq!(proxy.gateway(80), address);
    assert_eq!(a.connections(), 1, "connections to endpoints that stay are kept");
}

#[test]
fn no_request_fails_while_tables_are_swapped() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let tables: Vec<_> = ["a", "b"].map(|host| mesh::gateway(&to(host), &[a.address], &[b.address])).into();
    let proxy = start(Arc::clone(&tables[0]), options());
    let address = proxy.gateway(80);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let mut served = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    if number % 2 == 1 {
                        client = Client::connect(address);
                    }
                    assert_eq!(client.get("x.com", "/", "").status, 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    for turn in 0..200 {
        let report = proxy.swap(Arc::clone(&tables[turn % 2]));
        assert!(report.failed.is_empty() && report.kept == 1, "{report:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    stop.store(true, Ordering::Relaxed);
    let served: u32 = clients.into_iter().map(|client| client.join().expect("no request failed")).sum();
    assert!(served > 200, "{served}");
}

#[test]
fn listeners_come_and_go_and_the_others_stay() {
    let echo = Echo::start("a");
    let base = mesh::gateway_text(&to("a"));
    let both = base.clone() + &gateway_on(81, "second");
    let proxy = start(mesh::compile(&base, &[echo.address], &[]), options());
    let first = proxy.gateway(80);
    let mut client = Client::connect(first);
    assert_eq!(client.get("x.com", "/", "").status, 200);

    let report = proxy.swap(mesh::compile(&both, &[echo.address], &[]));
    assert_eq!((report.kept, report.added.len(), report.removed.len()), (1, 1, 0), "{report:?}");
    let second = proxy.gateway(81);
    assert_eq!(report.added[0].address, second);
    assert_eq!(get(second, "x.com", "/", "").status, 404, "no VirtualService is bound there");
    let mut on_second = Client::connect(second);
    assert_eq!(on_second.get("x.com", "/", "").status, 404);

    let report = proxy.swap(mesh::compile(&base, &[echo.address], &[]));
    assert_eq!((report.kept, report.added.len(), report.removed.len()), (1, 0, 1), "{report:?}");
    assert!(on_second.is_closed(), "an idle connection of a listener that is gone ends");
    wait_for("the port to close", || TcpStream::connect(second).is_err());
    assert_eq!(client.get("x.com", "/", "").status, 200, "a connection of one that stays does not");
}

#[test]
fn a_listener_stays_when_its_gateway_is_labelled_anew() {
    let echo = Echo::start("a");
    let base = mesh::gateway_text(&to("a"));
    let labelled = base.replace("{istio: ingress}", "{app: edge}");
    let fixed = dead().port();
    for (what, options) in [
        ("a fixed port", Options { ports: [(80, fixed)].into(), ..options() }),
        ("any free port", options()),
        ("workers share it", Options { ports: [(80, fixed)].into(), cores: 2, ..options() }),
    ] {
        let proxy = start(mesh::compile(&base, &[echo.address], &[]), options);
        let address = proxy.gateway(80);
        let mut client = Client::connect(address);
        assert_eq!(client.get("x.com", "/", "").status, 200, "{what}");
        for text in [&labelled, &base] {
            let report = proxy.swap(mesh::compile(text, &[echo.address], &[]));
            assert!(report.failed.is_empty(), "{what}: {report:?}");
            assert_eq!((report.kept, report.added.len(), report.removed.len()), (1, 0, 0), "{what}: {report:?}");
            assert_eq!(proxy.gateway(80), address, "{what}");
            assert_eq!(client.get("x.com", "/", "").status, 200, "{what}: on the open connection");
            assert_eq!(get(address, "x.com", "/", "").status, 200, "{what}: on a new one");
        }
    }
}

#[test]
fn a_proxy_that_drains_opens_nothing() {
    let base = mesh::gateway_text(&to("a"));
    let both = base.clone() + &gateway_on(81, "second");
    let proxy = start(mesh::compile(&base, &[], &[]), options());
    proxy.drain();
    let report = proxy.swap(mesh::compile(&both, &[], &[]));
    assert_eq!((report.added.len(), report.failed.len()), (0, 1), "{report:?}");
    assert!(proxy.listeners().iter().all(|listener| listener.port != 81));
}

#[test]
fn a_deadline_beyond_all_times_is_none() {
    let proxy = start(mesh::gateway(&to("a"), &[], &[]), options());
    assert_eq!(proxy.shutdown(Duration::MAX).cut, 0);
}

#[test]
fn a_request_at_work_is_finished_by_the_table_that_it_began_with() {
    let echo = Echo::start("a");
    let base = mesh::gateway_text(&to("a"));
    let both = base.clone() + &gateway_on(81, "gw2");
    let bound = both.replace("gateways: [gw]", "gateways: [gw, gw2]");
    let proxy = start(mesh::compile(&bound, &[echo.address], &[]), options());
    let mut slow = Client::connect(proxy.gateway(81));
    slow.write(b"GET / HTTP/1.1\r\nHost: x.com\r\nx-echo-delay: 200\r\n\r\n");
    wait_for("the request to arrive", || !echo.seen().is_empty());
    proxy.swap(mesh::compile(&base, &[echo.address], &[]));
    let answer = slow.read().expect("the answer of the table before");
    assert_eq!(answer.status, 200);
    assert!(slow.is_closed());
}

#[test]
fn counters_of_rules_go_on() {
    let echo = Echo::start("a");
    let rules =
        |path: &str| format!("  - match: [{{uri: {{prefix: {path}}}}}]\n    route:\n    - destination: {{host: a}}\n");
    let proxy = start(mesh::gateway(&rules("/a"), &[echo.address], &[]), options());
    let hits = |proxy: &malha_proxy::Handle| {
        let table = get(proxy.admin().expect("an admin server"), "localhost", "/table", "").json();
        table["rules"].as_array().expect("rules")[0].clone()
    };
    get(proxy.gateway(80), "x.com", "/a", "");
    proxy.swap(mesh::gateway(&rules("/b"), &[echo.address], &[]));
    get(proxy.gateway(80), "x.com", "/b", "");
    let rule = hits(&proxy);
    assert_eq!((rule["rule"].as_str(), rule["hits"].as_u64()), (Some("default/shop http[0].match[0]"), Some(2)));
}

#[test]
fn a_proxy_that_ends_finishes_what_it_began() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(&to("a"), &[echo.address], &[]), options());
    let address = proxy.gateway(80);
    let mut idle = Client::connect(address);
    assert_eq!(idle.get("x.com", "/", "").status, 200);
    let mut slow = Client::connect(address);
    slow.write(b"GET /slow HTTP/1.1\r\nHost: x.com\r\nx-echo-delay: 200\r\n\r\n");
    wait_for("the request to arrive", || echo.seen().len() == 2);
    let begin = Instant::now();
    let report = proxy.shutdown(Duration::from_secs(10));
    assert_eq!(report.cut, 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "it does not wait longer than it must");
    assert_eq!(slow.read().expect("an answer").status, 200);
    assert!(idle.is_closed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_deadline_cuts_what_takes_longer() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(&to("a"), &[echo.address], &[]), options());
    let mut slow = Client::connect(proxy.gateway(80));
    slow.write(b"GET / HTTP/1.1\r\nHost: x.com\r\nx-echo-delay: 3000\r\n\r\n");
    wait_for("the request to arrive", || echo.seen().len() == 1);
    let begin = Instant::now();
    assert_eq!(proxy.shutdown(Duration::from_millis(100)).cut, 1);
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert!(slow.read().is_none());
}

//! Endpoints that fail are left out for a while (semantics D.7).

use crate::common::{
    client::{Client, get},
    echo::{Echo, dead},
    held::Gated,
    mesh, options, start, wait_for,
};
use malha_proxy::Options;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const ROUTE: &str = "  - retries: {attempts: 0}\n    route:\n    - destination: {host: a}\n";

fn detecting(detection: &str, endpoints: &[SocketAddr]) -> crate::common::Running {
    let rule = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: default}}\nspec:\n  \
         host: a\n  trafficPolicy:\n    loadBalancer: {{simple: ROUND_ROBIN}}\n    outlierDetection: {detection}\n"
    );
    let text = format!("{}{rule}", mesh::gateway_text(ROUTE));
    start(mesh::compile(&text, endpoints, &[]), Options { cores: 1, ..options() })
}

/// An upstream that answers 500 while it is bad.
fn failing(is_bad: &Arc<AtomicBool>) -> Echo {
    let is_bad = Arc::clone(is_bad);
    Echo::start_with("bad", move |_, _| {
        let bad = is_bad.load(Ordering::SeqCst);
        bad.then(|| b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec())
    })
}

/// How often an endpoint was left out.
fn ejections(proxy: &crate::common::Running, endpoint: SocketAddr) -> u64 {
    value(proxy, "malha_endpoint_ejections_total", endpoint).parse().unwrap_or_default()
}

fn gauge(proxy: &crate::common::Running, endpoint: SocketAddr) -> String {
    value(proxy, "malha_endpoint_ejected", endpoint)
}

fn value(proxy: &crate::common::Running, name: &str, endpoint: SocketAddr) -> String {
    let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
    let end = format!("endpoint=\"{endpoint}\"}} ");
    let mut lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.find_map(|line| line.split_once(&end)).map(|(_, value)| value.to_owned()).unwrap_or_default()
}

#[test]
fn an_endpoint_is_left_out_and_comes_back() {
    let is_bad = Arc::new(AtomicBool::new(true));
    let (bad, good) = (failing(&is_bad), Echo::start("good"));
    // Long enough that it does not come back amid the requests.
    let lasting = "{consecutive5xxErrors: 2, baseEjectionTime: 60s, maxEjectionPercent: 50}";
    let proxy = detecting(lasting, &[bad.address, good.address]);
    let mut client = Client::connect(proxy.gateway(80));
    let statuses: Vec<u16> = (0..20).map(|_| client.get("x.com", "/", "").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 2, "{statuses:?}");
    assert_eq!((bad.seen().len(), gauge(&proxy, bad.address).as_str()), (2, "1"));
    let short = "{consecutive5xxErrors: 2, interval: 10ms, baseEjectionTime: 10ms, maxEjectionPercent: 50}";
    let proxy = detecting(short, &[bad.address, good.address]);
    let mut client = Client::connect(proxy.gateway(80));
    wait_for("it is left out once", || {
        client.get("x.com", "/", "");
        ejections(&proxy, bad.address) > 0
    });
    is_bad.store(false, Ordering::SeqCst);
    wait_for("it is back", || gauge(&proxy, bad.address) == "0");
    let before = bad.seen().len();
    for _ in 0..10 {
        assert_eq!(client.get("x.com", "/", "").status, 200);
    }
    assert!(bad.seen().len() > before, "it is used again");
}

#[test]
fn where_all_are_left_out_nothing_is_healthy() {
    let detection = "{consecutive5xxErrors: 1, interval: 10s, baseEjectionTime: 60s, maxEjectionPercent: 100}";
    let proxy = detecting(detection, &[dead()]);
    let mut client = Client::connect(proxy.gateway(80));
    let first = client.get("x.com", "/", "");
    assert!(first.text().ends_with("remote connection failure"), "{first:?}");
    let second = client.get("x.com", "/", "");
    assert_eq!((second.status, second.text().as_str()), (503, "no healthy upstream"), "D45");
    // With a least share of healthy ones ejections do not count.
    let guarded = "{consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100, minHealthPercent: 10}";
    let proxy = detecting(guarded, &[dead()]);
    let mut client = Client::connect(proxy.gateway(80));
    for _ in 0..2 {
        assert!(client.get("x.com", "/", "").text().ends_with("remote connection failure"));
    }
}

#[test]
fn of_few_endpoints_the_usual_share_is_none() {
    let is_bad = Arc::new(AtomicBool::new(true));
    let (bad, good) = (failing(&is_bad), Echo::start("good"));
    let proxy = detecting("{consecutive5xxErrors: 1}", &[bad.address, good.address]);
    let mut client = Client::connect(proxy.gateway(80));
    let failed = (0..20).filter(|_| client.get("x.com", "/", "").status == 500).count();
    assert_eq!(failed, 10, "D44: 10 % of two is none");
}

const ONE_IS_ENOUGH: &str = "{consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100}";

#[test]
fn an_answer_that_breaks_off_counts_as_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        }
    });
    let proxy = detecting(ONE_IS_ENOUGH, &[address]);
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    assert!(client.read().is_none());
    wait_for("it is left out", || gauge(&proxy, address) == "1");
}

#[test]
fn a_grpc_answer_counts_by_its_status() {
    let echo = Echo::start("a");
    let proxy = detecting(ONE_IS_ENOUGH, &[echo.address]);
    let mut client = Client::connect(proxy.gateway(80));
    let grpc = "Content-Type: application/grpc\r\n";
    for (headers, wanted) in [
        ("x-echo-header: grpc-status=14\r\n".to_owned(), "0"),
        (format!("{grpc}x-echo-header: grpc-status=5\r\n"), "0"),
        (format!("{grpc}x-echo-header: grpc-status=14\r\n"), "1"),
    ] {
        assert_eq!(client.get("x.com", "/", &headers).status, 200);
        assert_eq!(gauge(&proxy, echo.address), wanted, "{headers}");
    }
}

#[test]
fn time_in_the_queue_is_not_the_endpoints() {
    let Gated { echo, gate } = Gated::start();
    let rule = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: default}}\nspec:\n  \
         host: a\n  trafficPolicy:\n    connectionPool: {{tcp: {{maxConnections: 1}}}}\n    \
         outlierDetection: {ONE_IS_ENOUGH}\n"
    );
    let rules = "  - match: [{uri: {prefix: /short}}]
    timeout: 50ms
    retries: {attempts: 0}
    route:
    - destination: {host: a}
  - route:
    - destination: {host: a}
";
    let text = format!("{}{rule}", mesh::gateway_text(rules));
    let proxy = start(mesh::compile(&text, &[echo.address], &[]), Options { cores: 1, ..options() });
    let address = proxy.gateway(80);
    let first = std::thread::spawn(move || get(address, "x.com", "/", ""));
    wait_for("the upstream has the first", || echo.seen().len() == 1);
    assert_eq!(get(address, "x.com", "/short", "").status, 504);
    assert_eq!(gauge(&proxy, echo.address), "0");
    gate.open();
    assert_eq!(first.join().unwrap().status, 200);
}

#[test]
fn codes_that_a_policy_lists_count_in_place_of_5xx() {
    let endpoint = Echo::start_with("a", |request, _| {
        let code = request["path"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        Some(format!("HTTP/1.1 {code} Status\r\nContent-Length: 0\r\n\r\n").into_bytes())
    });
    let detection = "{consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100, \
                     outlierDetectionHttpErrorCodes: [418]}";
    let proxy = detecting(detection, &[endpoint.address]);
    for (path, status) in [("/500", 500), ("/503", 503), ("/418", 418)] {
        assert_eq!(get(proxy.gateway(80), "x.com", path, "").status, status, "D47: it is not left out yet");
    }
    let answer = get(proxy.gateway(80), "x.com", "/200", "");
    assert_eq!((answer.status, answer.text().as_str()), (503, "no healthy upstream"), "D47");
}

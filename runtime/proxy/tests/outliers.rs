//! Endpoints that fail are left out for a while (semantics D.7).

mod common;

use common::{
    client::{Client, get},
    echo::{Echo, dead},
    mesh, options, start, wait_for,
};
use malha_proxy::Options;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const ROUTE: &str = "  - retries: {attempts: 0}\n    route:\n    - destination: {host: a}\n";

fn detecting(detection: &str, endpoints: &[SocketAddr]) -> common::Running {
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

fn gauge(proxy: &common::Running, endpoint: SocketAddr) -> String {
    let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
    let end = format!("endpoint=\"{endpoint}\"}} ");
    let mut lines = metrics.lines().filter(|line| line.starts_with("malha_endpoint_ejected{"));
    lines.find_map(|line| line.split_once(&end)).map(|(_, value)| value.to_owned()).unwrap_or_default()
}

#[test]
fn an_endpoint_is_left_out_and_comes_back() {
    let is_bad = Arc::new(AtomicBool::new(true));
    let (bad, good) = (failing(&is_bad), Echo::start("good"));
    let detection = "{consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 50}";
    let proxy = detecting(detection, &[bad.address, good.address]);
    let mut client = Client::connect(proxy.gateway(80));
    let statuses: Vec<u16> = (0..20).map(|_| client.get("x.com", "/", "").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 2, "{statuses:?}");
    assert_eq!((bad.seen().len(), gauge(&proxy, bad.address).as_str()), (2, "1"));
    is_bad.store(false, Ordering::SeqCst);
    wait_for("it is back", || gauge(&proxy, bad.address) == "0");
    for _ in 0..10 {
        assert_eq!(client.get("x.com", "/", "").status, 200);
    }
    assert!(bad.seen().len() > 2, "it is used again");
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

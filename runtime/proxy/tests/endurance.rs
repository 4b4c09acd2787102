//! Under load for as long as one likes: tables that come and go without a failed request, and memory that stays what it
//! was. `MALHA_RELOAD_SECONDS` and `MALHA_MEMORY_SECONDS` make them longer.

mod common;

use common::{
    client::{Client, get},
    faulty::{BODY, Faulty},
    lasting,
    load::Load,
    mesh, options, sample, start,
    tls::{Authority, Speaker},
    wait_for,
};
use malha_proxy::{Credential, Credentials, Options, Revision};
use malha_table::Role;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// From one table to the next.
const SWAP: Duration = Duration::from_millis(200);

/// A mesh on ports 80 and 443, with what changes from table to table.
fn revision(turn: usize, endpoints: &[SocketAddr], secrets: &[Credential]) -> Revision {
    let gateway = |name: &str, server: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  \
             selector: {{istio: ingress}}\n  servers:\n  - {server}\n    hosts: ['*']\n"
        )
    };
    let policy = |pool: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: default}}\nspec:\n  \
             host: a\n  trafficPolicy:\n    connectionPool: {pool}\n"
        )
    };
    let host = if turn.is_multiple_of(2) { "a" } else { "b" };
    let mut text = mesh::gateway_text(&format!("  - route:\n    - destination: {{host: {host}}}\n"));
    text += &gateway(
        "tls",
        "port: {number: 443, name: tls, protocol: HTTPS}\n    tls: {mode: SIMPLE, credentialName: own}",
    );
    if turn % 3 == 1 {
        text += &gateway("other", "port: {number: 81, name: other, protocol: HTTP}");
    }
    match turn % 5 {
        1 => text += &policy("{http: {maxRequestsPerConnection: 7}}"),
        2 => text += &policy("{http: {idleTimeout: 1s}, tcp: {maxConnections: 100}}"),
        3 => text += &policy("{http: {maxRequestsPerConnection: 1}}"),
        _ => {}
    }
    let text = text.replace("gateways: [gw]", "gateways: [gw, tls]");
    let count = 1 + turn % endpoints.len();
    let table = mesh::compile(&text, &endpoints[..count], &endpoints[endpoints.len() - count..]);
    let mut credentials = Credentials::default();
    let gateways = table.proxies().filter(|proxy| proxy.role() == Role::Gateway);
    for namespace in gateways.map(|proxy| proxy.namespace().to_owned()) {
        credentials.insert(&namespace, "own", secrets[turn % secrets.len()].clone());
    }
    Revision { table: Arc::clone(&table), credentials }
}

#[test]
fn no_request_fails_however_tables_change() {
    let authority = Arc::new(Authority::new());
    let secrets: Vec<Credential> = (0..2).map(|_| authority.issue(&["x.com"]).credential()).collect();
    let upstreams = [Faulty::start(), Faulty::start(), Faulty::start()];
    let endpoints = upstreams.each_ref().map(|upstream| upstream.address);
    // All that comes in turns has its turn with all else.
    let revisions: Vec<_> = (0..60).map(|turn| revision(turn, &endpoints, &secrets)).collect();
    let proxy = start(revisions[0].clone(), Options { cores: 2, ..options() });
    let (plain, secure) = (proxy.gateway(80), proxy.gateway(443));
    let load = Load::new(Some(BODY))
        .http1(4, move || Client::connect(plain))
        .http2(2, plain)
        .http1(2, move || Speaker::new(&authority).connect(secure, "x.com"));
    let (since, duration) = (Instant::now(), lasting("MALHA_RELOAD_SECONDS", 5));
    let mut swaps = 0;
    while since.elapsed() < duration {
        swaps += 1;
        let report = proxy.swap(revisions[swaps % revisions.len()].clone());
        assert!(report.failed.is_empty() && report.kept >= 2, "{report:?}");
        if swaps % 3 == 1 {
            assert_eq!(get(proxy.gateway(81), "x.com", "/", "").status, 404, "what is new accepts at once");
        }
        std::thread::sleep(SWAP);
    }
    let outcomes = load.stop();
    assert!(outcomes.keys().eq(["200"]), "{outcomes:?} in {swaps} swaps");
    let admin = proxy.admin().expect("an admin server");
    wait_for("clients to be gone", || sample(admin, "malha_connections") == 0);
    wait_for("connections to be idle", || {
        sample(admin, "malha_upstream_connections") == sample(admin, "malha_upstream_connections_idle")
    });
    println!("{swaps} swaps, {} requests", outcomes["200"]);
}

/// What it may grow by after it is warm, and by how much of what it then was. Pages that the allocator takes and leaves
/// are some hundreds of kilobytes. Half a million requests lie between the medians that are compared of five minutes: a
/// leak of five bytes for each of them is more than this.
#[cfg(target_os = "linux")]
const SLACK: f64 = 1.0;
#[cfg(target_os = "linux")]
const SHARE: f64 = 0.05;

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_what_it_was() {
    let upstream = Faulty::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mesh.table");
    let rules = "  - route:\n    - destination: {host: a}\n";
    std::fs::write(&path, mesh::gateway(rules, &[upstream.address], &[]).as_bytes()).unwrap();
    let process = common::process::Process::start(&path);
    let address = process.gateway();
    let resident = || {
        let told = std::fs::read_to_string(format!("/proc/{}/statm", process.child.id())).expect("it runs");
        let pages: f64 = told.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
        // Pages are of 4 KiB wherever this is run, or it is told too little by a constant factor.
        pages * 4.0 / 1024.0
    };
    let load = Load::new(Some(BODY)).http1(8, move || Client::connect(address)).http2(2, address);
    let part = lasting("MALHA_MEMORY_SECONDS", 6) / 3;
    let median = || {
        let since = Instant::now();
        let mut samples = Vec::new();
        while since.elapsed() < part {
            samples.push(resident());
            // Connections that come and go are part of it.
            assert_eq!(get(address, "x.com", "/", "").status, 200);
            std::thread::sleep(Duration::from_millis(20));
        }
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    let (first, warm, last) = (median(), median(), median());
    let outcomes = load.stop();
    assert!(outcomes.keys().eq(["200"]), "{outcomes:?}");
    println!("{} requests; medians of thirds: {first:.1}, {warm:.1}, {last:.1} MiB", outcomes["200"]);
    assert!(last <= warm * (1.0 + SHARE) + SLACK, "{first:.1}, then {warm:.1}, then {last:.1} MiB");
}

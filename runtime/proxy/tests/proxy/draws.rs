//! Where a request or a connection goes is drawn once (semantics C.3, C.7, D.5).

use crate::common::{
    client::{get, has_ended, tunnel},
    echo::Echo,
    lines::Lines,
    mesh, options,
    plain::upstream,
    start,
};
use malha_mesh::MeshConfig;
use std::{collections::BTreeSet, io::Read, net::Shutdown};

/// To `a` and `b` alike.
fn drawn(more: &str) -> String {
    format!(
        "  - route:\n    - {{destination: {{host: a}}, weight: 50}}\n    - {{destination: {{host: b}}, weight: 50}}\n{more}"
    )
}

#[test]
fn all_tries_of_a_request_go_to_the_destination_that_was_drawn() {
    let failing = Echo::start_with("a", |_, _| Some(b"HTTP/1.1 503 Status\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let sound = Echo::start("b");
    let rules = drawn("    retries: {attempts: 3, retryOn: 5xx, backoff: 1ms}\n");
    let proxy = start(mesh::gateway(&rules, &[failing.address], &[sound.address]), options());
    let statuses: Vec<u16> = (0..40).map(|_| get(proxy.gateway(80), "x.com", "/", "").status).collect();
    let failed = statuses.iter().filter(|status| **status == 503).count();
    assert!(0 < failed && failed < 40, "both are drawn: {statuses:?}");
    assert_eq!((failing.seen().len(), sound.seen().len()), (4 * failed, 40 - failed), "C9");
}

#[test]
fn a_missing_destination_that_was_drawn_is_the_end_of_it() {
    let (a, lines) = (Echo::start("a"), Lines::default());
    let rules = "  - route:
    - {destination: {host: a}, weight: 50}
    - {destination: {host: nowhere}, weight: 50}
    retries: {attempts: 3, retryOn: 5xx, backoff: 1ms}
";
    let proxy = start(mesh::gateway(rules, &[a.address], &[]), lines.options());
    let statuses: Vec<u16> = (0..40).map(|_| get(proxy.gateway(80), "x.com", "/", "").status).collect();
    let failed = statuses.iter().filter(|status| **status == 503).count();
    assert!(0 < failed && failed < 40, "both are drawn: {statuses:?}");
    assert_eq!(a.seen().len(), 40 - failed, "C10: none of those came to the other");
    let missing = lines.wait(40).iter().filter(|line| line.contains("\" 503 NC ")).count();
    assert_eq!(missing, failed, "C10");
}

#[test]
fn a_hash_chooses_an_endpoint_and_no_destination() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let policy = mesh::policy_of_a("loadBalancer: {consistentHash: {httpHeaderName: x-user}}");
    let text = mesh::gateway_text(&drawn("")) + &policy;
    let proxy = start(mesh::compile(&text, &[a.address], &[b.address]), options());
    for _ in 0..40 {
        assert_eq!(get(proxy.gateway(80), "x.com", "/", "X-User: me\r\n").status, 200);
    }
    assert!(!a.seen().is_empty() && !b.seen().is_empty(), "C11: one user's requests go to both");
}

#[test]
fn without_an_endpoint_nothing_is_tried_again() {
    let lines = Lines::default();
    let rules = "  - route: [{destination: {host: a}}]\n    retries: {attempts: 3, retryOn: 5xx, backoff: 1ms}\n";
    let proxy = start(mesh::gateway(rules, &[], &[]), lines.options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 503);
    let line = lines.wait(1).remove(0);
    assert!(line.contains("\" 503 UH "), "C63: {line}");
    let stats = get(proxy.admin().expect("an admin server"), "localhost", "/stats", "").text();
    let retries = "cluster.outbound|80||a.default.svc.cluster.local.upstream_rq_retry: 0";
    assert!(stats.lines().any(|line| line == retries), "C63: {stats}");
}

#[test]
fn connections_of_bytes_are_hashed_by_their_clients_address_alone() {
    let greetings = ["one\n", "two\n", "three\n"];
    let endpoints = greetings.map(upstream);
    let greeted = |hash: &str| -> BTreeSet<String> {
        let policy = mesh::policy_of_a(&format!("loadBalancer: {{consistentHash: {hash}}}"));
        let proxy = start(mesh::sidecar(&policy, MeshConfig::default(), &endpoints, &[]), options());
        let greeting = |_| {
            let mut stream = tunnel(proxy.outbound(), "a.default:5432").expect("a tunnel");
            let mut greeting = Vec::new();
            let mut byte = [0];
            while byte != *b"\n" {
                stream.read_exact(&mut byte).expect("the server speaks first");
                greeting.extend(byte);
            }
            stream.shutdown(Shutdown::Write).expect("it is open");
            assert!(has_ended(&mut stream));
            String::from_utf8(greeting).expect("text")
        };
        (0..20).map(greeting).collect()
    };
    assert_eq!(greeted("{useSourceIp: true}").len(), 1, "D24");
    assert!(greeted("{httpHeaderName: x-user}").len() > 1, "D24: bytes have no headers");
}

//! Copies of requests (semantics C.9): of the final request, with its body, and of no effect on the original.

use crate::common::{
    client::{Client, get},
    echo::{Echo, dead},
    mesh, options, start, wait_for,
};
use malha_proxy::{Limits, Options};

const RULES: &str = "  - match: [{uri: {prefix: /copied}}]
    rewrite: {uri: /seen, authority: final.example}
    headers: {request: {set: {x-set: '1'}}}
    mirrors: [{destination: {host: b}}]
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /half}}]
    mirror: {host: b}
    mirrorPercentage: {value: 50}
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /failing}}]
    retries: {attempts: 2, retryOn: 5xx}
    mirror: {host: b}
    route:
    - destination: {host: a}
";

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x.com\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_copy_is_of_the_final_request_and_whole() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let proxy = start(mesh::gateway(RULES, &[a.address], &[b.address]), options());
    let body = "0123456789abcdef".repeat(40_000);
    let mut client = Client::connect(proxy.gateway(80));
    assert_eq!(client.send(post("/copied/x", &body)).json()["name"], "a");
    // In pieces of no said length.
    let chunked =
        "POST /copied/x HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(client.send(chunked).status, 200);
    assert_eq!(client.get("x.com", "/copied/x", "").status, 200);
    wait_for("three copies", || b.seen().len() == 3);
    let sorted = |seen: Vec<serde_json::Value>| {
        let mut told: Vec<(String, String, String, String)> = seen
            .iter()
            .map(|request| {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                let headers = &request["headers"];
                (text(&request["body"]), text(&request["path"]), text(&request["authority"]), text(&headers["x-set"]))
            })
            .collect();
        told.sort();
        told
    };
    let copies = sorted(b.seen());
    assert_eq!(copies, sorted(a.seen()));
    assert_eq!(copies[0], (String::new(), "/seen/x".to_owned(), "final.example".to_owned(), "1".to_owned()));
}

#[test]
fn a_mirror_that_fails_or_never_answers_is_not_noticed() {
    let a = Echo::start("a");
    // It reads nothing: what is sent to it waits.
    let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for mirror in [dead(), frozen.local_addr().unwrap()] {
        let limits = Limits { replay_bytes: 64 * 1024, ..Limits::default() };
        let proxy = start(mesh::gateway(RULES, &[a.address], &[mirror]), Options { limits, ..options() });
        let body = "x".repeat(8 << 20);
        let mut client = Client::connect(proxy.gateway(80));
        for _ in 0..3 {
            let answer = client.send(post("/copied", &body));
            assert_eq!((answer.status, answer.json()["body"].as_str().map(str::len)), (200, Some(body.len())));
        }
    }
}

#[test]
fn a_share_of_requests_is_copied_and_no_retry_is() {
    let a = Echo::start_with("a", |request, _| {
        let fails = request["path"] == "/failing";
        fails.then(|| b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let b = Echo::start("b");
    let proxy = start(mesh::gateway(RULES, &[a.address], &[b.address]), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/failing", "").status, 503);
    assert_eq!(a.seen().len(), 3);
    wait_for("one copy", || b.seen().len() == 1);
    let mut client = Client::connect(proxy.gateway(80));
    for _ in 0..200 {
        assert_eq!(client.get("x.com", "/half", "").status, 200);
    }
    let admin = proxy.admin().expect("an admin server");
    let sent = || -> usize {
        let metrics = get(admin, "localhost", "/metrics", "").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("malha_mirrored_requests_total "));
        line.and_then(|count| count.parse().ok()).unwrap_or_default()
    };
    let copies = sent();
    assert!((60..140).contains(&(copies - 1)), "{copies}");
    wait_for("all copies", || b.seen().len() == copies);
}

#[test]
fn there_is_no_copy_of_what_has_no_endpoint_to_go_to() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let proxy = start(mesh::gateway(RULES, &[], &[b.address]), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/copied", "").status, 503);
    proxy.swap(mesh::gateway(RULES, &[a.address], &[b.address]));
    assert_eq!(get(proxy.gateway(80), "x.com", "/copied/later", "").status, 200);
    wait_for("a copy", || !b.seen().is_empty());
    assert_eq!(b.seen()[0]["path"], "/seen/later", "the first copy is of the second request");
}

#[test]
fn what_copies_come_to_counts_for_the_mirrors_endpoint() {
    let a = Echo::start("a");
    let b = Echo::start_with("b", |_, _| Some(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: b, namespace: default}\n\
                spec:\n  host: b\n  trafficPolicy:\n    \
                outlierDetection: {consecutive5xxErrors: 2, baseEjectionTime: 60s, maxEjectionPercent: 100}\n";
    let text = format!("{}{rule}", mesh::gateway_text(RULES));
    let proxy = start(mesh::compile(&text, &[a.address], &[b.address]), Options { cores: 1, ..options() });
    let admin = proxy.admin().expect("an admin server");
    let ejected = format!("endpoint=\"{}\"}} 1\n", b.address);
    let mut client = Client::connect(proxy.gateway(80));
    wait_for("it is left out", || {
        assert_eq!(client.get("x.com", "/copied", "").status, 200);
        let metrics = get(admin, "localhost", "/metrics", "").text();
        metrics.contains(&format!(
            "malha_endpoint_ejected{{cluster=\"outbound|80||b.default.svc.cluster.local\",{ejected}"
        ))
    });
    let seen = b.seen().len();
    assert_eq!(client.get("x.com", "/copied", "").status, 200);
    assert_eq!(b.seen().len(), seen, "it gets no more");
}

#[test]
fn the_time_of_a_copy_starts_when_its_body_is_complete() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let rules = "  - mirror: {host: b}\n    timeout: 100ms\n    route:\n    - destination: {host: a}\n";
    let proxy = start(mesh::gateway(rules, &[a.address], &[b.address]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 4\r\n\r\nab");
    std::thread::sleep(std::time::Duration::from_millis(250));
    assert_eq!(client.send("cd").status, 200);
    wait_for("the copy", || b.seen().len() == 1);
    assert_eq!(b.seen()[0]["body"], "abcd");
}

//! The admin server.

use crate::common::{
    client::{Client, get},
    echo::Echo,
    mesh, options, start,
};
use malha_proxy::{Options, Reload};
use serde_json::{Value, json};

const RULES: &str = "  - match: [{uri: {prefix: /shop}}]
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /mirrored}}]
    mirror: {host: b}
    route:
    - destination: {host: a}
";

fn post(address: std::net::SocketAddr, path: &str, body: &str) -> crate::common::client::Answer {
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    Client::connect(address).send(format!("{head}{body}"))
}

#[test]
fn health_metrics_and_facts() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(RULES, &[echo.address], &[]), options());
    let admin = proxy.admin().expect("an admin server");
    assert_eq!(get(proxy.gateway(80), "x.com", "/shop", "").status, 200);
    assert_eq!(get(proxy.gateway(80), "x.com", "/other", "").status, 404);

    assert_eq!(get(admin, "localhost", "/healthz", "").status, 200);
    assert_eq!(get(admin, "localhost", "/readyz", "").status, 200);
    let metrics = get(admin, "localhost", "/metrics", "").text();
    for line in [
        "code=\"200\",flags=\"-\"} 1",
        "code=\"404\",flags=\"NR\"} 1",
        "malha_rule_hits_total{rule=\"default/shop http[0].match[0]\"} 1",
        "malha_rule_hits_total{rule=\"default/shop http[1].match[0]\"} 0",
        "malha_upstream_connections 1",
        "malha_reloads_total 0",
        "malha_table_info{program=\"",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let table = get(admin, "localhost", "/table", "").json();
    assert_eq!(table["proxies"][0]["listeners"][0]["port"], 80);
    assert_eq!(table["unsupported"], json!([]));
    let status = get(admin, "localhost", "/status", "").json();
    assert_eq!(status["listeners"][0]["address"], json!(proxy.gateway(80).to_string()));
}

#[test]
fn a_route_is_explained() {
    let proxy = start(mesh::gateway(RULES, &[], &[]), options());
    let admin = proxy.admin().expect("an admin server");
    let asked = get(admin, "localhost", "/route?url=http://x.com/shop/1", "").json();
    assert_eq!((&asked["outcome"], &asked["rule"]["index"]), (&json!("no-endpoints"), &json!(0)));
    let asked = post(admin, "/route", r#"{"authority":"x.com","path":"/mirrored"}"#).json();
    assert_eq!(asked["rule"]["index"], 1);
    assert_eq!(asked["mirrors"][0]["host"], "b.default.svc.cluster.local");
    assert_eq!(post(admin, "/route", "{").status, 400);
    assert_eq!(post(admin, "/route", r#"{"via":"moon"}"#).status, 422);
    assert_eq!(get(admin, "localhost", "/route", "").status, 400);
}

#[test]
fn published_documents_and_reloads() {
    let reload = Reload::new(|| Err::<Value, _>("mesh.yaml:3: no".to_owned()));
    let proxy = start(mesh::gateway(RULES, &[], &[]), Options { on_reload: Some(reload), ..options() });
    let admin = proxy.admin().expect("an admin server");
    assert_eq!(get(admin, "localhost", "/findings", "").status, 404);
    proxy.publish("findings", json!({"findings": []}));
    proxy.publish("mock", json!({"default/a": 3}));
    assert_eq!(get(admin, "localhost", "/findings", "").json(), json!({"findings": []}));
    assert_eq!(get(admin, "localhost", "/mock", "").json()["default/a"], 3);
    let answer = post(admin, "/reload", "");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (422, Some("mesh.yaml:3: no")));
    assert_eq!(get(admin, "localhost", "/reload", "").status, 405);
    let plain = start(mesh::gateway(RULES, &[], &[]), options());
    assert_eq!(post(plain.admin().expect("an admin server"), "/reload", "").status, 501);
}

#[test]
fn draining_is_told_and_done() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(RULES, &[echo.address], &[]), options());
    let admin = proxy.admin().expect("an admin server");
    let mut client = Client::connect(proxy.gateway(80));
    assert_eq!(client.get("x.com", "/shop", "").status, 200);
    assert_eq!(post(admin, "/drain", "").status, 200);
    assert_eq!(get(admin, "localhost", "/readyz", "").status, 503);
    assert!(client.is_closed());
}

#[test]
fn a_page_of_another_site_can_neither_drain_nor_reload() {
    let proxy = start(mesh::gateway(RULES, &[], &[]), options());
    let admin = proxy.admin().expect("an admin server");
    let ask = |path: &str, header: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Length: 0\r\n\r\n");
        Client::connect(admin).send(head).status
    };
    for path in ["/drain", "/reload", "/route"] {
        for header in [
            "Origin: http://evil.example",
            "Origin: https://localhost.evil.example:443",
            "Origin: http://192.0.2.1",
            "Origin: null",
            "Sec-Fetch-Site: cross-site",
        ] {
            assert_eq!(ask(path, header), 403, "{path} {header}");
        }
    }
    assert_eq!(get(admin, "localhost", "/readyz", "").status, 200);
    assert_eq!(ask("/reload", "Origin: http://127.0.0.1:15000"), 501);
    assert_eq!(ask("/drain", "Origin: http://localhost:3000"), 200);
}

#[test]
fn a_name_of_the_web_is_not_answered() {
    let proxy = start(mesh::gateway(RULES, &[], &[]), options());
    let admin = proxy.admin().expect("an admin server");
    assert_eq!(get(admin, "evil.example", "/status", "").status, 403);
    assert_eq!(get(admin, "127.0.0.1:15000", "/healthz", "").status, 200);
}

//! `/stats`: counters by Envoy's names.

use crate::common::{
    Running,
    client::{Client, get},
    echo::{self, Echo},
    mesh, options, start, wait_for,
};
use malha_proxy::Options;
use serde_json::{Value, json};

const RULES: &str = "  - match: [{uri: {prefix: /a}}]
    retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /late}}]
    timeout: 50ms
    route:
    - destination: {host: a}
  - match: [{uri: {prefix: /b}}]
    retries: {attempts: 0}
    route:
    - destination: {host: b}
";

const A: &str = "cluster.outbound|80||a.default.svc.cluster.local";
const B: &str = "cluster.outbound|80||b.default.svc.cluster.local";

fn ask(proxy: &Running, path: &str) -> crate::common::client::Answer {
    get(proxy.admin().expect("an admin server"), "localhost", path, "")
}

/// The value of one statistic.
fn value(proxy: &Running, name: &str) -> Option<u64> {
    let stats = ask(proxy, "/stats").text();
    stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
}

#[test]
fn answers_tries_and_connections_are_counted_by_cluster() {
    let a = Echo::start("a");
    let proxy = start(mesh::gateway(RULES, &[a.address], &[echo::dead()]), Options { cores: 1, ..options() });
    let mut client = Client::connect(proxy.gateway(80));
    assert_eq!(client.get("x.com", "/a", "").status, 200);
    assert_eq!(client.get("x.com", "/a", "x-echo-status: 418\r\n").status, 418);
    assert_eq!(client.get("x.com", "/a", "x-echo-status: 503\r\n").status, 503);
    assert_eq!(client.get("x.com", "/late", "x-echo-delay: 400\r\n").status, 504);
    assert_eq!(client.get("x.com", "/b", "").status, 503);
    assert_eq!(client.get("x.com", "/other", "").status, 404);
    let prefix = "http.outbound_0.0.0.0_80";
    // A record ends when its answer has been taken over by the connection.
    wait_for("all six answers", || value(&proxy, &format!("{prefix}.downstream_rq_completed")) == Some(6));
    for (name, expected) in [
        (format!("{A}.upstream_rq_2xx"), 1),
        (format!("{A}.upstream_rq_4xx"), 1),
        (format!("{A}.upstream_rq_5xx"), 2),
        (format!("{A}.upstream_rq_completed"), 4),
        // Of them two are retries of the 503.
        (format!("{A}.upstream_rq_total"), 6),
        (format!("{A}.upstream_rq_retry"), 2),
        (format!("{A}.upstream_rq_retry_limit_exceeded"), 1),
        (format!("{A}.upstream_rq_timeout"), 1),
        (format!("{A}.upstream_rq_active"), 0),
        (format!("{A}.membership_total"), 1),
        (format!("{B}.upstream_rq_5xx"), 1),
        (format!("{B}.upstream_cx_connect_fail"), 1),
        (format!("{B}.upstream_rq_pending_failure_eject"), 1),
        (format!("{prefix}.downstream_rq_total"), 6),
        (format!("{prefix}.downstream_rq_active"), 0),
        (format!("{prefix}.downstream_rq_4xx"), 2),
        (format!("{prefix}.downstream_cx_active"), 1),
        (format!("listener.{}.downstream_cx_total", proxy.gateway(80).to_string().replace(':', "_")), 1),
        ("listener_manager.total_listeners_active".to_owned(), 1),
        ("server.live".to_owned(), 1),
    ] {
        assert_eq!(value(&proxy, &name), Some(expected), "{name} in\n{}", ask(&proxy, "/stats").text());
    }
    assert!(value(&proxy, "server.uptime").is_some());
    assert!(value(&proxy, &format!("{A}.outlier_detection.ejections_active")).is_none(), "nothing is detected");
}

#[test]
fn statistics_are_chosen_by_a_filter_and_by_use() {
    let a = Echo::start("a");
    let proxy = start(mesh::gateway(RULES, &[a.address], &[]), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
    wait_for("the answer", || value(&proxy, &format!("{A}.upstream_rq_2xx")).is_some());
    let all = ask(&proxy, "/stats").text();
    let mut names: Vec<&str> = all.lines().filter_map(|line| line.split(": ").next()).collect();
    assert!(names.is_sorted(), "{all}");
    names.dedup();
    assert_eq!(names.len(), all.lines().count(), "each once");
    let chosen = ask(&proxy, "/stats?filter=%5Ecluster%5C..*upstream_rq_(2xx%7Ctotal)%24&usedonly").text();
    assert_eq!(chosen, format!("{A}.upstream_rq_2xx: 1\n{A}.upstream_rq_total: 1\n"));
    let chosen = ask(&proxy, "/stats?format=json&usedonly&filter=rq_2xx").json();
    let http = "http.outbound_0.0.0.0_80.downstream_rq_2xx";
    assert_eq!(
        chosen,
        json!({"stats": [{"name": format!("{A}.upstream_rq_2xx"), "value": 1}, {"name": http, "value": 1}]})
    );
    for path in ["/stats?filter=(", "/stats?format=xml", "/stats?color=red", "/stats?filter=(a%7B1000%7D)%7B1000%7D"] {
        let answer = ask(&proxy, path);
        assert!(answer.status == 400 && answer.json()["error"] != Value::Null, "{path}");
    }
}

#[test]
fn prometheus_gets_istios_labels() {
    let a = Echo::start("a");
    let proxy = start(mesh::gateway(RULES, &[a.address], &[]), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
    wait_for("the answer", || value(&proxy, &format!("{A}.upstream_rq_2xx")).is_some());
    for path in ["/stats/prometheus", "/stats?format=prometheus"] {
        let answer = ask(&proxy, path);
        let text = answer.text();
        let cluster = "cluster_name=\"outbound|80||a.default.svc.cluster.local\"";
        for line in [
            "# TYPE envoy_cluster_upstream_rq_total counter\nenvoy_cluster_upstream_rq_total{".to_owned(),
            format!("\nenvoy_cluster_upstream_rq_total{{{cluster}}} 1\n"),
            format!("\nenvoy_cluster_upstream_rq{{response_code_class=\"2xx\",{cluster}}} 1\n"),
            "\nenvoy_http_downstream_rq_total{http_conn_manager_prefix=\"outbound_0.0.0.0_80\"} 1\n".to_owned(),
            "\nistio_requests_total{reporter=\"source\",".to_owned(),
            "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n".to_owned(),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(!ask(&proxy, "/stats/prometheus?filter=server").text().contains("istio_"));
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    }
}

#[test]
fn counters_of_a_cluster_outlive_its_table() {
    let a = Echo::start("a");
    let table = mesh::gateway(RULES, &[a.address], &[]);
    let proxy = start(std::sync::Arc::clone(&table), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
    proxy.swap(table);
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 200);
    wait_for("both answers", || value(&proxy, &format!("{A}.upstream_rq_completed")) == Some(2));
    assert_eq!(value(&proxy, &format!("{A}.upstream_rq_total")), Some(2));
}

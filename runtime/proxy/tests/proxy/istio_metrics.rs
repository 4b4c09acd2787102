//! Istio's standard metrics on `/metrics`.

use crate::common::{
    Running,
    client::{Client, get},
    echo::{self, Echo},
    mesh, options, start,
};
use malha_mesh::{MeshConfig, ProxySpec, config::OutboundMode};
use malha_table::Table;
use std::{net::SocketAddr, sync::Arc};

/// The mesh of [`mesh::gateway`], with a workload behind `a` that has a name and labels.
fn named_workload(rules: &str, version: &str, a: SocketAddr) -> Arc<Table> {
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: a-one, namespace: default}}
spec:
  address: {}
  ports: {{http: {}}}
  labels: {{app: a, version: {version}}}
",
        mesh::gateway_text(rules).replace("port: 80}", "port: 80, targetPort: http}"),
        a.ip(),
        a.port()
    );
    mesh::compile_with(&text, &[], MeshConfig::default(), |_| None)
}

const TO_A: &str = "  - route:\n    - destination: {host: a}\n";

fn metrics(proxy: &Running) -> String {
    get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text()
}

/// The value of the one sample of this name that has all these labels.
fn sample(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label));
    let found: Vec<&str> = metrics.lines().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?} in\n{metrics}");
    found[0].rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_request_is_counted_with_istios_labels() {
    let a = Echo::start("a");
    let proxy = start(named_workload(TO_A, "v1", a.address), options());
    let mut client = Client::connect(proxy.gateway(80));
    let answer =
        client.send("POST /x HTTP/1.1\r\nHost: x.com\r\nContent-Length: 30\r\n\r\n123456789012345678901234567890");
    assert_eq!(answer.status, 200);
    assert_eq!(client.get("x.com", "/", "x-echo-status: 418\r\n").status, 418);

    let metrics = metrics(&proxy);
    let name = "istio_requests_total";
    let line = metrics.lines().find(|line| line.starts_with(name) && line.contains("\"200\"")).expect("a sample");
    let gateway = proxy.listeners()[0].proxy.clone();
    let (namespace, workload) = gateway.split_once('/').unwrap();
    let expected = format!(
        "{name}{{reporter=\"source\",source_workload=\"{workload}\",source_canonical_service=\"{workload}\",\
         source_canonical_revision=\"latest\",source_workload_namespace=\"{namespace}\",source_principal=\"unknown\",\
         source_app=\"unknown\",source_version=\"unknown\",source_cluster=\"unknown\",destination_workload=\"a-one\",\
         destination_workload_namespace=\"default\",destination_principal=\"unknown\",destination_app=\"a\",\
         destination_version=\"v1\",destination_service=\"a.default.svc.cluster.local\",\
         destination_canonical_service=\"a\",destination_canonical_revision=\"v1\",destination_service_name=\"a\",\
         destination_service_namespace=\"default\",destination_cluster=\"unknown\",request_protocol=\"http\",\
         response_code=\"200\",grpc_response_status=\"\",response_flags=\"-\",connection_security_policy=\"unknown\"}} 1"
    );
    assert_eq!(line, expected);
    assert_eq!(sample(&metrics, name, &["\"418\""]).to_string(), "1");
    for (name, value) in [
        ("istio_request_bytes_sum", 30.0),
        ("istio_request_bytes_count", 1.0),
        ("istio_response_bytes_sum", f64::from(u32::try_from(answer.body.len()).unwrap())),
        ("istio_request_duration_milliseconds_count", 1.0),
    ] {
        assert!((sample(&metrics, name, &["\"200\""]) - value).abs() < 0.1, "{name}");
    }
    for (bound, below) in [("25", 0.0), ("50", 1.0), ("3600000", 1.0), ("+Inf", 1.0)] {
        let bound = format!("le=\"{bound}\"");
        assert!((sample(&metrics, "istio_request_bytes_bucket", &["\"200\"", &bound]) - below).abs() < 0.1, "{bound}");
    }
    assert_eq!(metrics.matches("istio_request_duration_milliseconds_bucket{").count(), 2 * 20);
}

#[test]
fn counters_outlive_tables_and_follow_labels() {
    let a = Echo::start("a");
    let proxy = start(named_workload(TO_A, "v1", a.address), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 200);
    proxy.swap(named_workload(TO_A, "v2", a.address));
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 200);
    proxy.swap(named_workload(TO_A, "v1", a.address));
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 200);
    let metrics = metrics(&proxy);
    let of = |version: &str| sample(&metrics, "istio_requests_total", &[&format!("destination_version=\"{version}\"")]);
    assert_eq!((of("v1").to_string(), of("v2").to_string()), ("2".to_owned(), "1".to_owned()));
}

#[test]
fn what_never_reached_a_workload_is_told_by_its_service_and_flags() {
    let proxy = start(
        mesh::gateway("  - match: [{uri: {prefix: /a}}]\n    route:\n    - destination: {host: a}\n", &[], &[]),
        options(),
    );
    assert_eq!(get(proxy.gateway(80), "x.com", "/a", "").status, 503);
    assert_eq!(get(proxy.gateway(80), "x.com", "/b", "").status, 404);
    let metrics = metrics(&proxy);
    let labels = ["destination_workload=\"unknown\"", "destination_service_name=\"a\"", "response_flags=\"UH\""];
    assert_eq!(sample(&metrics, "istio_requests_total", &labels).to_string(), "1");
    let labels = ["destination_service=\"unknown\"", "response_code=\"404\"", "response_flags=\"NR\""];
    assert_eq!(sample(&metrics, "istio_requests_total", &labels).to_string(), "1");
    let dead = start(named_workload(TO_A, "v1", echo::dead()), options());
    assert_eq!(get(dead.gateway(80), "x.com", "/", "").status, 503);
    let labels = ["destination_workload=\"a-one\"", "response_code=\"503\"", "UF"];
    assert_eq!(sample(&self::metrics(&dead), "istio_requests_total", &labels).to_string(), "1");
}

#[test]
fn grpc_is_told_with_its_status() {
    let a = Echo::start("a");
    let proxy = start(named_workload(TO_A, "v1", a.address), options());
    let ask = |status: &str| {
        let headers = format!("content-type: application/grpc\r\nx-echo-header: grpc-status={status}\r\n");
        assert_eq!(get(proxy.gateway(80), "x.com", "/", &headers).status, 200);
    };
    ask("5");
    // Upstreams are not trusted to make labels either.
    ask("77");
    ask("mine");
    let metrics = metrics(&proxy);
    let of = |status: &str| {
        sample(&metrics, "istio_requests_total", &["\"grpc\"", &format!("grpc_response_status=\"{status}\"")])
    };
    assert_eq!((of("5").to_string(), of("").to_string()), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn hosts_that_the_mesh_does_not_know_make_no_labels() {
    let outside = Echo::start("outside");
    let sidecar = |outbound| {
        let config = MeshConfig { outbound, ..MeshConfig::default() };
        let client = ProxySpec::default_sidecar();
        start(mesh::compile_with(mesh::SERVICES, &[client], config, |_| None), options())
    };
    let proxy = sidecar(OutboundMode::AllowAny);
    for host in ["one.localhost", "two.localhost"] {
        let host = format!("{host}:{}", outside.address.port());
        assert_eq!(get(proxy.outbound(), &host, "/", "").status, 200);
    }
    let labels = ["destination_service_name=\"PassthroughCluster\""];
    let metrics = metrics(&proxy);
    assert_eq!(sample(&metrics, "istio_requests_total", &labels).to_string(), "2");
    assert!(!metrics.contains("one.localhost"));
    let proxy = sidecar(OutboundMode::RegistryOnly);
    assert_eq!(get(proxy.outbound(), "one.localhost", "/", "").status, 502);
    let labels = ["destination_service_name=\"BlackHoleCluster\"", "response_code=\"502\""];
    assert_eq!(sample(&self::metrics(&proxy), "istio_requests_total", &labels).to_string(), "1");
}

//! What is told of connections of plain bytes: the access log, and Istio's metrics.

use crate::common::{
    Running,
    client::{connect, get, has_ended},
    echo,
    lines::Lines,
    mesh, start,
    tls::{Authority, Speaker},
};
use malha_mesh::MeshConfig;
use malha_table::Table;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    sync::Arc,
};

/// A server that greets, then waits for the end of what it is sent.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.write_all(b"welcome");
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

/// A gateway that passes the bytes of port 5432 on to `db`, of which one workload listens there; `policy` is of its
/// `DestinationRule`.
fn table(upstream: SocketAddr, policy: &str) -> Arc<Table> {
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - {{port: {{number: 5432, name: tcp, protocol: TCP}}, hosts: ['*']}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: db, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  tcp:
  - route: [{{destination: {{host: db, port: {{number: 5432}}}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: default}}
spec:
  selector: {{app: db}}
  ports:
  - {{name: tcp, port: 5432, targetPort: tcp}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: db, namespace: default}}
spec:
  host: db
  trafficPolicy: {policy}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: db-one, namespace: default}}
spec:
  address: {}
  ports: {{tcp: {}}}
  labels: {{app: db, version: v1}}
",
        upstream.ip(),
        upstream.port()
    );
    mesh::compile_with(&text, &[], MeshConfig::default(), |_| None)
}

fn metrics(proxy: &Running) -> String {
    get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text()
}

/// The value of the one sample of this name that has all these labels; none where there is none.
fn sample(metrics: &str, name: &str, labels: &[&str]) -> Option<String> {
    let is_it = |line: &&str| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label));
    let found: Vec<&str> = metrics.lines().filter(is_it).collect();
    assert!(found.len() < 2, "{name} {labels:?} in\n{metrics}");
    found.first().and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
}

const OPENED: &str = "istio_tcp_connections_opened_total";
const CLOSED: &str = "istio_tcp_connections_closed_total";

#[test]
fn a_connection_is_counted_while_it_is_open_and_logged_at_its_end() {
    let (upstream, lines) = (upstream(), Lines::default());
    let proxy = start(table(upstream, "{}"), lines.options());
    let mut stream = connect(proxy.gateway(5432));
    let client = stream.local_addr().unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
    let open = metrics(&proxy);
    assert_eq!(sample(&open, OPENED, &[]).as_deref(), Some("1"));
    assert_eq!(sample(&open, CLOSED, &["} 1"]), None, "it is open yet");
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let line = lines.wait(1).remove(0);
    assert!(line.contains("] \"- - -\" 0 - - - \"-\" 5 7 "), "{line}");
    let to = format!("\"{upstream}\" outbound|5432||db.default.svc.cluster.local 127.0.0.1:");
    let tail = format!(" {} {client} - - \"default/db tcp[0] mesh.yaml:16\"", proxy.gateway(5432));
    assert!(line.contains(&to) && line.ends_with(&tail), "{line}");

    let metrics = metrics(&proxy);
    let labels = [
        "reporter=\"source\"",
        "destination_workload=\"db-one\"",
        "destination_version=\"v1\"",
        "destination_service_name=\"db\"",
        "request_protocol=\"tcp\",response_flags=\"-\",connection_security_policy=\"unknown\"}",
    ];
    for (name, value) in
        [(OPENED, "1"), (CLOSED, "1"), ("istio_tcp_received_bytes_total", "5"), ("istio_tcp_sent_bytes_total", "7")]
    {
        assert_eq!(sample(&metrics, name, &labels).as_deref(), Some(value), "{name}");
    }
    assert!(!metrics.contains("istio_requests_total{"), "it was no request");
}

#[test]
fn what_no_filter_chain_takes_is_logged_and_counted_at_its_listener() {
    let text = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - {port: {number: 443, name: tls, protocol: TLS}, hosts: [one.com], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: default}
spec:
  hosts: [one.com]
  gateways: [gw]
  tls:
  - match: [{sniHosts: [one.com]}]
    route: [{destination: {host: one.com}}]
";
    let lines = Lines::default();
    let proxy = start(mesh::compile_with(text, &[], MeshConfig::default(), |_| None), lines.options());
    let gateway = proxy.gateway(443);
    let authority = Authority::new();
    let count = format!("listener.{}.no_filter_chain_match", gateway.to_string().replace(':', "_"));
    let stat = || get(proxy.admin().unwrap(), "localhost", "/stats?filter=no_filter_chain_match", "").text();
    assert_eq!(stat(), format!("{count}: 0\n"));
    let mut client = connect(gateway);
    let own = client.local_addr().unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(has_ended(&mut client), "A53");
    assert!(Speaker::new(&authority).shake(gateway, "two.com").is_err(), "A53");
    let logged = lines.wait(2);
    let rest = |line: &str| line.split_once("] ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    let told = "\"- - -\" 0 NR filter_chain_not_found - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" - -";
    assert_eq!(rest(&logged[0]), format!("{told} {gateway} {own} - - \"-\""), "A53");
    assert!(rest(&logged[1]).starts_with(told) && logged[1].ends_with(" two.com - \"-\""), "A53: {}", logged[1]);
    assert_eq!(stat(), format!("{count}: 2\n"));
    assert!(!metrics(&proxy).contains("istio_tcp_connections_opened_total{"), "they went nowhere");
}

#[test]
fn what_could_not_be_connected_is_told_by_its_flags() {
    let lines = Lines::default();
    let proxy = start(table(echo::dead(), "{}"), lines.options());
    let _ = connect(proxy.gateway(5432)).read_to_end(&mut Vec::new());
    let line = lines.wait(1).remove(0);
    let failed = "] \"- - -\" 0 URX,UF - - \"delayed connect error: Connection refused\" 0 0 ";
    assert!(line.contains(failed), "{line}");
    let metrics = metrics(&proxy);
    for name in [OPENED, CLOSED] {
        let labels = ["destination_workload=\"db-one\"", "response_flags=\"URX,UF\""];
        assert_eq!(sample(&metrics, name, &labels).as_deref(), Some("1"), "{name}");
    }
    let stats = get(proxy.admin().unwrap(), "localhost", "/stats?filter=db.*upstream_cx", "").text();
    let cluster = "cluster.outbound|5432||db.default.svc.cluster.local";
    assert!(stats.contains(&format!("{cluster}.upstream_cx_connect_fail: 1\n")), "{stats}");
}

#[test]
fn a_connection_past_the_limit_overflows() {
    let lines = Lines::default();
    let proxy = start(table(upstream(), "{connectionPool: {tcp: {maxConnections: 1}}}"), lines.options());
    let mut first = connect(proxy.gateway(5432));
    first.read_exact(&mut [0; 7]).unwrap();
    let _ = connect(proxy.gateway(5432)).read_to_end(&mut Vec::new());
    let line = lines.wait(1).remove(0);
    assert!(line.contains("] \"- - -\" 0 UO - "), "{line}");
    assert!(sample(&metrics(&proxy), CLOSED, &["response_flags=\"UO\"", "destination_service_name=\"db\""]).is_some());
    let stats = get(proxy.admin().unwrap(), "localhost", "/stats?usedonly&filter=cx_", "").text();
    let cluster = "cluster.outbound|5432||db.default.svc.cluster.local";
    for stat in ["upstream_cx_active: 1", "upstream_cx_total: 1", "circuit_breakers.default.cx_open: 1"] {
        assert!(stats.contains(&format!("{cluster}.{stat}\n")), "{stat} in {stats}");
    }
}

//! Clusters whose endpoint is whatever the client names: where it meant to connect to, its Host, or the server name of
//! its TLS (semantics B39, E7, E10).

use crate::common::{
    Running,
    client::{Client, get, has_ended, tunnel},
    echo::Echo,
    mesh,
    name_server::{self, NameServer},
    options,
    plain::upstream,
    start,
    tls::{Authority, Speaker},
    wait_for,
};
use malha_mesh::{MeshConfig, ProxySpec, config::OutboundMode};
use malha_proxy::{Credentials, Dns, Options, Passthrough, Revision};
use malha_table::Role;
use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
};

/// The text of a ServiceEntry of this host, with these other fields, in flow style.
fn entry(host: &str, fields: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: entry, namespace: default}}
spec: {{hosts: ['{host}'], {fields}}}
"
    )
}

/// The default sidecar of a mesh of these objects.
fn sidecar(text: &str, options: Options) -> Running {
    let proxies = [ProxySpec::default_sidecar()];
    start(mesh::compile_with(text, &proxies, MeshConfig::default(), |_| None), options)
}

/// Goes anywhere, and asks this server where that is.
fn anywhere(server: &NameServer) -> Options {
    let dns = Dns { servers: vec![server.address], ..Dns::default() };
    Options { passthrough: Passthrough::Anywhere, dns, ..options() }
}

#[test]
fn a_target_port_takes_the_place_of_the_clients_where_nothing_is_resolved() {
    let echo = Echo::start("echo");
    let ports = format!(
        "resolution: NONE, ports: [{{number: 81, name: http, protocol: HTTP, targetPort: {}}}, \
         {{number: 5432, name: tcp, protocol: TCP, targetPort: {}}}]",
        echo.address.port(),
        upstream("welcome ").port()
    );
    let proxy = sidecar(&entry("x.localhost", &ports), options());
    let answer = get(proxy.outbound(), "x.localhost:81", "/", "");
    assert_eq!(
        (&answer.json()["name"], &answer.json()["authority"]),
        (&"echo".into(), &"x.localhost:81".into()),
        "E10"
    );
    let stream = tunnel(proxy.outbound(), "x.localhost:81").expect("a tunnel");
    assert_eq!(Client::over(stream).get("x.localhost", "/", "").json()["name"], "echo", "E10: of a connection");
    let mut stream = tunnel(proxy.outbound(), "x.localhost:5432").expect("a tunnel");
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "welcome HELLO", "E10: of bytes");
}

#[test]
fn tls_goes_to_the_server_name_that_it_asks_for() {
    let authority = Authority::new();
    let echo = Echo::start("wild");
    let behind = ends_tls(&authority, "a.wild.ext", &echo);
    let port = behind.gateway(443).port();
    let server = NameServer::start();
    server.say("a.wild.ext", name_server::local(60, &[1]));
    let wild =
        entry("*.wild.ext", &format!("resolution: DYNAMIC_DNS, ports: [{{number: {port}, name: tls, protocol: TLS}}]"));
    let proxy = sidecar(&wild, anywhere(&server));
    // Whatever the client connects to, the server name decides.
    for to in ["a.wild.ext", "other.wild.ext"] {
        let stream = tunnel(proxy.outbound(), &format!("{to}:{port}")).expect("a tunnel");
        let stream = Speaker::new(&authority).shake_on(stream, "a.wild.ext").expect("E7: it ends where its name leads");
        assert_eq!(Client::over(stream).get("a.wild.ext", "/", "").json()["name"], "wild", "E7: {to}");
    }
    let stream = tunnel(proxy.outbound(), &format!("a.wild.ext:{port}")).expect("a tunnel");
    assert!(Speaker::new(&authority).shake_on(stream, "none.wild.ext").is_err(), "E7: nobody has that name");
    assert!(!server.names().contains(&"other.wild.ext".to_owned()), "nobody was asked for it");

    // A gateway closes it, as long as istiod is not told otherwise.
    let passing = format!(
        "{wild}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: egress}}
  servers: [{{port: {{number: 443, name: tls, protocol: TLS}}, hosts: ['*.wild.ext'], tls: {{mode: PASSTHROUGH}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: wild, namespace: default}}
spec:
  hosts: ['*.wild.ext']
  gateways: [gw]
  tls: [{{match: [{{sniHosts: ['*.wild.ext']}}], route: [{{destination: {{host: '*.wild.ext'}}}}]}}]
"
    );
    let proxy = start(mesh::compile_with(&passing, &[], MeshConfig::default(), |_| None), anywhere(&server));
    assert!(Speaker::new(&authority).shake(proxy.gateway(443), "a.wild.ext").is_err(), "E7");
}

/// A gateway that ends TLS for this name before an upstream.
fn ends_tls(authority: &Authority, name: &str, echo: &Echo) -> Running {
    let text = mesh::gateway_text("  - route: [{destination: {host: a}}]\n")
        .replace("number: 80, name: http, protocol: HTTP}", "number: 443, name: https, protocol: HTTPS}")
        .replace("    hosts: ['*']\n---", "    hosts: ['*']\n    tls: {mode: SIMPLE, credentialName: own}\n---");
    let table = mesh::compile(&text, &[echo.address], &[]);
    let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
    let mut credentials = Credentials::default();
    credentials.insert(&namespace, "own", authority.issue(&[name]).credential());
    start(Revision { table, credentials }, options())
}

#[test]
fn requests_to_unknown_hosts_go_by_their_host_where_the_mesh_says_so() {
    let (known, outside, elsewhere) = (Echo::start("known"), Echo::start("outside"), upstream("welcome "));
    let server = NameServer::start();
    server.say("outside.example", name_server::local(60, &[1]));
    let port = outside.address.port();
    let text =
        entry("known.example", &format!("resolution: DNS, ports: [{{number: {port}, name: http, protocol: HTTP}}]"));
    let config = MeshConfig { outbound: OutboundMode::AllowAnyDynamicDns, ..MeshConfig::default() };
    let proxies = [ProxySpec::default_sidecar()];
    let table = mesh::compile_with(&text, &proxies, config, |_| Some(vec![known.address]));
    let proxy = start(table, anywhere(&server));
    // The client means another address, on a port that the mesh knows.
    let stream = tunnel(proxy.outbound(), &format!("127.0.0.9:{port}")).expect("a tunnel");
    let answer = Client::over(stream).get(&format!("outside.example:{port}"), "/", "");
    assert_eq!(answer.json()["name"], "outside", "B39: {answer:?}");
    assert_eq!(server.asked("outside.example"), 1, "B39");
    // What is no HTTP goes where it was meant to.
    let mut stream = tunnel(proxy.outbound(), &elsewhere.to_string()).expect("a tunnel");
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "welcome ", "B39");
    assert!(has_ended(&mut stream));
    let is_counted = |name: &str, service: &str| {
        let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
        let wanted = format!("destination_service_name=\"{service}\"");
        metrics.lines().any(|line| line.starts_with(name) && line.contains(&wanted) && line.ends_with(" 1"))
    };
    wait_for("a request to be counted", || is_counted("istio_requests_total{", "AllowAnyDynamicDNSCluster"));
    wait_for("a connection", || is_counted("istio_tcp_connections_opened_total{", "PassthroughCluster"));
}

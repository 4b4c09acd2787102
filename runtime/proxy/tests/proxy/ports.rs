//! Ports on this machine: which address a listener takes, and that a mapped port is read and written as what it stands
//! for.

use crate::common::{
    client::{Client, get},
    echo::Echo,
    mesh::{self, SERVICES},
    options, start,
};
use malha_proxy::{Options, Proxy, StartError, Whose};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_redirect_to_a_mapped_listener_names_its_port_here() {
    let rules = "  - match: [{uri: {prefix: /own}}]
    redirect: {uri: /new}
  - match: [{uri: {prefix: /second}}]
    redirect: {port: 81}
  - match: [{uri: {prefix: /other}}]
    redirect: {authority: other.example, uri: /new}
  - match: [{uri: {prefix: /created}}]
    directResponse: {status: 201}
";
    let second = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: second, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 81, name: second, protocol: HTTP}
    hosts: ['*']
";
    let proxy = start(mesh::compile(&(mesh::gateway_text(rules) + second), &[], &[]), options());
    let (first, second) = (proxy.gateway(80).port(), proxy.gateway(81).port());
    let mut client = Client::connect(proxy.gateway(80));
    for (host, path, location) in [
        (format!("x.com:{first}"), "/own", format!("http://x.com:{first}/new")),
        ("x.com".to_owned(), "/own", format!("http://x.com:{first}/new")),
        ("x.com:9".to_owned(), "/own", "http://x.com:9/new".to_owned()),
        (format!("x.com:{first}"), "/second?q", format!("http://x.com:{second}/second?q")),
        ("x.com".to_owned(), "/other", "http://other.example/new".to_owned()),
        (format!("x.com:{first}"), "/created", format!("http://x.com:{first}/created")),
    ] {
        let answer = client.get(&host, path, "");
        assert_eq!(answer.header("location"), Some(location.as_str()), "{host}{path}");
    }
}

#[test]
fn a_mapped_port_is_matched_as_the_original_and_sent_on_as_written() {
    let echo = Echo::start("a");
    let rules = "  - match: [{authority: {exact: x.com}}]\n    route:\n    - destination: {host: a}\n";
    let proxy = start(mesh::gateway(rules, &[echo.address], &[]), options());
    let host = format!("x.com:{}", proxy.gateway(80).port());
    let answer = get(proxy.gateway(80), &host, "/", "");
    assert_eq!((answer.status, &answer.json()["authority"]), (200, &host.into()));
    assert_eq!(get(proxy.gateway(80), "x.com:81", "/", "").status, 404);
}

#[test]
fn two_gateways_that_want_one_address_both_get_one() {
    let port = free_port();
    let gateway = |name: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: default}}
spec:
  selector: {{istio: {name}}}
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ['*']
"
        )
    };
    let text = format!("{SERVICES}{}{}", gateway("alpha"), gateway("beta"));
    let mapped = Options { ports: BTreeMap::from([(80, port)]), ..options() };
    let proxy = start(mesh::compile(&text, &[], &[]), mapped);
    let listeners = proxy.listeners();
    let ports: Vec<u16> = listeners.iter().filter(|l| l.role == "gateway").map(|l| l.address.port()).collect();
    assert_eq!(ports.len(), 2, "{listeners:?}");
    assert_eq!(ports[0], port, "the first by name has it");
    assert_ne!(ports[1], port);
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mapped = Options { ports: BTreeMap::from([(80, port)]), ..options() };
    let error = Proxy::start(mesh::gateway(ROUTE, &[], &[]), mapped).expect_err("the port is in use");
    assert!(
        matches!(&error, StartError::Listen { address, whose: Some(Whose::Gateway(80)), .. } if address.port() == port)
    );
    let text = error.to_string();
    assert!(text.contains(&port.to_string()) && text.contains("on port 80"), "{text}");
}

#[test]
fn the_ready_file_is_whole() {
    let proxy = start(mesh::gateway(ROUTE, &[], &[]), options());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready.json");
    proxy.write_ready_file(&path).unwrap();
    let ready: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(ready["version"], 1);
    let listener = &ready["listeners"][0];
    assert_eq!(listener["address"], proxy.gateway(80).to_string());
    assert_eq!(
        (&listener["role"], &listener["port"], &listener["tls"]),
        (&"gateway".into(), &80.into(), &false.into())
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_gateway_listens_on_the_ports_of_its_servers_alone() {
    let echo = Echo::start("a");
    // Services have this port, too, and a proxy of the mesh would know it.
    let base = mesh::gateway_text(ROUTE)
        .replace("{name: http, port: 80}", "{name: http, port: 80}\n  - {name: web, port: 81}");
    let second = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: second, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 81, name: second, protocol: HTTP}
    hosts: ['*']
";
    let ports: BTreeMap<u16, u16> = [(80, free_port()), (81, free_port())].into();
    let known = SocketAddr::from(([127, 0, 0, 1], ports[&80]));
    let unknown = SocketAddr::from(([127, 0, 0, 1], ports[&81]));
    let proxy = start(mesh::compile(&base, &[echo.address], &[]), Options { ports, ..options() });
    assert_eq!(proxy.gateway(80), known);
    assert_eq!(get(known, "a", "/", "").status, 200);
    let refused = TcpStream::connect(unknown).expect_err("E22: no server has this port");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "E22");
    let roles: Vec<&str> = proxy.listeners().iter().map(|listener| listener.role).collect();
    assert_eq!(roles, ["gateway"], "E22: nor does it listen anywhere else for hosts that it does not know");
    proxy.swap(mesh::compile(&(base + second), &[echo.address], &[]));
    assert_eq!(get(unknown, "a", "/", "").status, 404, "one that has no routes is no unknown port");
}

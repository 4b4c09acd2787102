//! The mesh's own side: a client's requests through its sidecar (semantics B.7), and hosts that the mesh does not know.

use crate::common::{
    Running,
    client::{Client, get, tunnel},
    echo::Echo,
    held::Gated,
    mesh::{self, SERVICES},
    name_server::{self, NameServer},
    options, start, wait_for,
};
use malha_mesh::{MeshConfig, ProxySpec};
use malha_proxy::{Dns, Options, Passthrough};
use std::net::SocketAddr;

const RULE: &str = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec:
  hosts: [a]
  http:
  - match: [{uri: {prefix: /v2}}]
    route:
    - destination: {host: b}
  - route:
    - destination: {host: a}
";

fn sidecar(a: SocketAddr, b: SocketAddr, options: Options) -> Running {
    let text = format!("{SERVICES}{RULE}");
    let proxies = [ProxySpec::default_sidecar()];
    let table = mesh::compile_with(&text, &proxies, MeshConfig::default(), |cluster| {
        Some(vec![if cluster.host.starts_with("a.") { a } else { b }])
    });
    start(table, options)
}

#[test]
fn services_are_called_by_host_or_as_a_proxy() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let proxy = sidecar(a.address, b.address, options());
    let outbound = proxy.outbound();
    for host in ["a", "a.default", "a.default.svc.cluster.local", "a:80"] {
        let answer = get(outbound, host, "/", "");
        assert_eq!(answer.json()["name"], "a", "{host}");
        assert_eq!(answer.json()["authority"], host);
        assert_eq!(answer.header("server"), Some("envoy"));
    }
    assert_eq!(get(outbound, "a", "/v2/x", "").json()["name"], "b");
    let absolute = "GET http://a.default/v2?q HTTP/1.1\r\nHost: ignored.example\r\n\r\n";
    let answer = Client::connect(outbound).send(absolute);
    assert_eq!((&answer.json()["name"], &answer.json()["path"]), (&"b".into(), &"/v2?q".into()));
    assert_eq!(answer.json()["authority"], "a.default");
}

#[test]
fn an_unknown_host_does_not_leave_this_machine() {
    let (a, other) = (Echo::start("a"), Echo::start("other"));
    let proxy = sidecar(a.address, a.address, options());
    let outbound = proxy.outbound();
    for host in ["example.org", "a.other", "192.0.2.1:80"] {
        let answer = get(outbound, host, "/", "");
        assert_eq!(answer.status, 502, "{host}");
        assert!(answer.text().contains(host) && answer.text().contains("do not leave this machine"), "{answer:?}");
    }
    for host in [other.address.to_string(), format!("localhost:{}", other.address.port())] {
        let answer = get(outbound, &host, "/p", "");
        assert_eq!((&answer.json()["name"], &answer.json()["path"]), (&"other".into(), &"/p".into()));
    }
}

#[test]
fn its_own_address_is_no_destination() {
    let a = Echo::start("a");
    for passthrough in [Passthrough::Loopback, Passthrough::Anywhere] {
        let proxy = sidecar(a.address, a.address, Options { passthrough, ..options() });
        let outbound = proxy.outbound();
        let answer = get(outbound, &outbound.to_string(), "/", "");
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains("name the service"), "{answer:?}");
    }
}

#[test]
fn its_own_port_is_no_destination_at_any_address() {
    let a = Echo::start("a");
    let outbound = SocketAddr::from(([0, 0, 0, 0], 0));
    for passthrough in [Passthrough::Loopback, Passthrough::Anywhere] {
        let proxy = sidecar(a.address, a.address, Options { outbound, passthrough, ..options() });
        let port = proxy.outbound().port();
        let admin = proxy.admin().expect("an admin server");
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        for host in [
            at.to_string(),
            format!("localhost:{port}"),
            format!("127.0.0.2:{port}"),
            format!("[::ffff:127.0.0.1]:{port}"),
            admin.to_string(),
            format!("[::ffff:127.0.0.1]:{}", admin.port()),
        ] {
            let answer = get(at, &host, "/healthz", "");
            assert_eq!(answer.status, 502, "{host}");
            assert!(answer.text().contains("this proxy's own address"), "{host}: {answer:?}");
        }
    }
}

#[test]
fn a_name_that_leads_back_to_it_is_no_destination() {
    let a = Echo::start("a");
    let server = NameServer::start();
    server.say("back.example", name_server::local(60, &[1]));
    let dns = Dns { servers: vec![server.address], ..Dns::default() };
    let proxy = sidecar(a.address, a.address, Options { passthrough: Passthrough::Anywhere, dns, ..options() });
    let host = format!("back.example:{}", proxy.outbound().port());
    let answer = get(proxy.outbound(), &host, "/", "");
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.text().contains("this proxy's own address"), "{answer:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_names_no_socket_of_the_file_system() {
    use std::os::{linux::net::SocketAddrExt, unix::net};
    let a = Echo::start("a");
    let name = format!("malha-test-{}", std::process::id());
    let address = net::SocketAddr::from_abstract_name(&name).expect("a name");
    let listener = net::UnixListener::bind_addr(&address).expect("a socket of its own");
    listener.set_nonblocking(true).expect("it can be");
    let proxy = sidecar(a.address, a.address, Options { passthrough: Passthrough::Anywhere, ..options() });
    for host in [format!("@{name}:0"), "localhost:0".to_owned()] {
        let answer = get(proxy.outbound(), &host, "/", "");
        assert_eq!(answer.status, 502, "{host}: {answer:?}");
        assert!(answer.text().contains("names no host and port"), "{answer:?}");
    }
    assert_eq!(listener.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn matches_see_the_length_of_a_body_and_what_is_expected() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let rule =
        RULE.replace("uri: {prefix: /v2}", "headers: {content-length: {exact: '3'}, expect: {exact: 100-continue}}");
    let table = mesh::compile_with(
        &format!("{SERVICES}{rule}"),
        &[ProxySpec::default_sidecar()],
        MeshConfig::default(),
        |cluster| Some(vec![if cluster.host.starts_with("a.") { a.address } else { b.address }]),
    );
    let proxy = start(table, options());
    let asks = "Content-Length: 3\r\nExpect: 100-continue\r\n";
    for (headers, wanted) in [("Content-Length: 3\r\n", "a"), (asks, "b")] {
        let mut client = Client::connect(proxy.outbound());
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\nabc").as_bytes());
        if headers == asks {
            let interim = client.read_answer_to(true);
            assert_eq!(interim.map(|interim| interim.status), Some(100));
        }
        let answer = client.read().expect("an answer");
        assert_eq!(answer.json()["name"], wanted, "{answer:?}");
        assert_eq!(answer.json()["headers"].get("expect"), None, "{answer:?}");
    }
}

#[test]
fn what_is_no_path_is_404() {
    let a = Echo::start("a");
    let proxy = sidecar(a.address, a.address, options());
    let other = Echo::start("other");
    // A service, a host that only the catch-all takes, and one whose port has no listener.
    for host in ["a:80", "nobody.localhost:80", &other.address.to_string()] {
        let request = format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Client::connect(proxy.outbound()).send(&request).status, 404, "{request}");
        // In a tunnel CONNECT is no more than a request.
        let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut client = Client::over(tunnel(proxy.outbound(), "a:80").expect("a tunnel"));
        assert_eq!(client.send(&request).status, 404, "{request}");
    }
}

#[test]
fn a_service_without_endpoints_is_where_its_name_says() {
    let echo = Echo::start("external");
    let port = echo.address.port();
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: external, namespace: default}}
spec:
  hosts: [external.localhost]
  ports:
  - {{number: {port}, name: http, protocol: HTTP}}
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: external, namespace: default}}
spec:
  hosts: [external.localhost]
  http:
  - headers: {{request: {{set: {{x-mesh: went-through}}}}}}
    route:
    - destination: {{host: external.localhost}}
"
    );
    let table = mesh::compile_with(&text, &[ProxySpec::default_sidecar()], MeshConfig::default(), |_| None);
    let proxy = start(table, options());
    let answer = get(proxy.outbound(), &format!("external.localhost:{port}"), "/", "");
    assert_eq!((answer.status, &answer.json()["name"]), (200, &"external".into()), "{answer:?}");
    assert_eq!(answer.json()["headers"]["x-mesh"], "went-through");
}

#[test]
fn a_host_that_the_client_chooses_has_its_clusters_settings() {
    let Gated { echo, gate } = Gated::start();
    let port = echo.address.port();
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: external, namespace: default}}
spec:
  hosts: [external.localhost]
  ports:
  - {{number: {port}, name: http, protocol: HTTP}}
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: external, namespace: default}}
spec:
  host: external.localhost
  trafficPolicy:
    connectionPool: {{http: {{http2MaxRequests: 1}}}}
"
    );
    let table = mesh::compile_with(&text, &[ProxySpec::default_sidecar()], MeshConfig::default(), |_| None);
    let proxy = start(table, options());
    let outbound = proxy.outbound();
    let host = format!("external.localhost:{port}");
    let first = {
        let host = host.clone();
        std::thread::spawn(move || get(outbound, &host, "/", ""))
    };
    wait_for("it has the first", || echo.seen().len() == 1);
    assert_eq!(get(outbound, &host, "/", "").header("x-envoy-overloaded"), Some("true"));
    gate.open();
    assert_eq!(first.join().unwrap().status, 200);
    assert_eq!(get(outbound, &host, "/", "").status, 200);
    // One that nothing was sent on may be accepted late.
    wait_for("both connections", || echo.connections() >= 2);
    assert_eq!(echo.connections(), 2, "the connection is kept");
}

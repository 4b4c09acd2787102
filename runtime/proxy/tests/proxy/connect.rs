//! CONNECT to a sidecar: which tunnels there are, and HTTP and TLS in them.

use crate::common::{
    Running,
    client::{Client, connect, get, has_ended, tunnel},
    echo::Echo,
    lines::Lines,
    mesh,
    name_server::{self, NameServer},
    options,
    plain::{serving, upstream},
    start,
    tls::{Authority, Speaker},
    wait_for,
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use malha_mesh::{MeshConfig, ProxySpec, config::OutboundMode};
use malha_proxy::{Credentials, Dns, Limits, Options, Passthrough, Revision};
use malha_table::Role;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn sidecar(more: &str, a: SocketAddr, b: SocketAddr) -> Running {
    start(mesh::sidecar(more, MeshConfig::default(), &[a], &[b]), options())
}

#[test]
fn http_in_a_tunnel_is_routed_by_the_listener_and_host() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec:
  hosts: [a]
  http:
  - match: [{uri: {prefix: /v2}}]
    route: [{destination: {host: b}}]
  - route: [{destination: {host: a}}]
";
    let proxy = sidecar(rule, a.address, b.address);
    let mut client = Client::over(tunnel(proxy.outbound(), "a:80").expect("a tunnel"));
    // B36: the port in Host plays no part, and the listener of a port has the virtual hosts of all its services.
    for (host, path, name) in
        [("a", "/", "a"), ("A:9999", "/", "a"), ("a", "/v2", "b"), ("b.default:1", "/", "b"), ("10.0.0.1", "/v2", "b")]
    {
        assert_eq!(client.get(host, path, "").json()["name"], name, "{host} {path}");
    }
    let nested = client.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    assert_eq!(nested.status, 404, "B10: in a tunnel it is a request as others are");
}

#[test]
fn a_service_whose_protocol_is_detected_takes_any_host_at_its_address() {
    let (a, b) = (Echo::start("a"), Echo::start("b"));
    let proxy = sidecar("", a.address, b.address);
    for to in ["a:7000", "a.default:7000", "a.default.svc.cluster.local:7000", "10.0.0.1:7000"] {
        let mut client = Client::over(tunnel(proxy.outbound(), to).expect("a tunnel"));
        assert_eq!(client.get("whoever.example", "/", "").json()["name"], "a", "B36: {to}");
    }
}

#[test]
fn what_is_sent_before_the_answer_is_the_tunnels() {
    let a = Echo::start("a");
    let proxy = sidecar("", a.address, a.address);
    let mut stream = connect(proxy.outbound());
    stream.write_all(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nGET /early HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut client = Client::over(stream);
    assert!(client.line().is_some_and(|line| line.starts_with("HTTP/1.1 200")));
    while client.line().is_some_and(|line| !line.is_empty()) {}
    assert_eq!(client.read().expect("an answer").json()["path"], "/early");
}

#[test]
fn a_tunnel_is_no_request_and_what_it_carries_is() {
    let (a, lines) = (Echo::start("a"), Lines::default());
    let table = mesh::sidecar("", MeshConfig::default(), &[a.address], &[]);
    let proxy = start(table, lines.options());
    let mut client = Client::over(tunnel(proxy.outbound(), "a:80").expect("a tunnel"));
    assert_eq!(client.get("a", "/x", "").status, 200);
    let lines = lines.wait(1);
    assert!(lines.len() == 1 && lines[0].contains("\"GET /x HTTP/1.1\" 200"), "{lines:?}");
}

#[test]
fn tls_goes_through_to_where_its_server_name_leads() {
    let authority = Authority::new();
    let (one, two) = (behind(&authority, "one"), behind(&authority, "two"));
    let more = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: default}
spec:
  hosts: [one.ext, two.ext]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: one, namespace: default}
spec:
  hosts: [one.ext]
  tls:
  - match: [{sniHosts: [one.ext]}]
    route: [{destination: {host: a, port: {number: 7443}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: two, namespace: default}
spec:
  hosts: [two.ext]
  tls:
  - match: [{port: 443, sniHosts: [two.ext]}]
    route: [{destination: {host: b, port: {number: 7443}}}]
";
    let proxy = sidecar(more, one.gateway(443), two.gateway(443));
    for (to, name, greeting) in
        [("one.ext:443", "one.ext", "one"), ("one.ext:443", "TWO.ext", "two"), ("two.ext:443", "two.ext", "two")]
    {
        let stream = tunnel(proxy.outbound(), to).expect("a tunnel");
        let stream = Speaker::new(&authority).shake_on(stream, name).expect("B29: it ends behind the tunnel");
        let answer = Client::over(stream).get(name, "/", "");
        assert_eq!(answer.json()["name"], greeting, "B29: {to} {name}");
    }
    // E21: what no service is called goes to where the client meant to, and that is not on this machine.
    let stream = tunnel(proxy.outbound(), "one.ext:443").expect("a tunnel");
    assert!(Speaker::new(&authority).shake_on(stream, "three.ext").is_err(), "B32");
}

/// A gateway that ends TLS for the names below `ext`, before an upstream of this name.
fn behind(authority: &Authority, name: &str) -> Running {
    let echo = Echo::start(name);
    let text = mesh::gateway_text("  - route: [{destination: {host: a}}]\n")
        .replace("number: 80, name: http, protocol: HTTP}", "number: 443, name: https, protocol: HTTPS}")
        .replace("    hosts: ['*']\n---", "    hosts: ['*']\n    tls: {mode: SIMPLE, credentialName: own}\n---");
    let table = mesh::compile(&text, &[echo.address], &[]);
    let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
    let mut credentials = Credentials::default();
    credentials.insert(&namespace, "own", authority.issue(&["one.ext", "two.ext"]).credential());
    start(Revision { table, credentials }, options())
}

#[test]
fn what_cannot_be_meant_is_refused_in_words() {
    let a = Echo::start("a");
    let proxy = sidecar("", a.address, a.address);
    let outbound = proxy.outbound();
    let admin = proxy.admin().expect("an admin server");
    for (to, status, words) in [
        (outbound.to_string(), 502, "this proxy's own address"),
        (format!("localhost:{}", outbound.port()), 502, "this proxy's own address"),
        (admin.to_string(), 502, "this proxy's own address"),
        ("example.org:8443".to_owned(), 502, "do not leave this machine"),
        ("192.0.2.1:8443".to_owned(), 502, "do not leave this machine"),
        ("a:0".to_owned(), 400, "names no address of the mesh"),
    ] {
        let answer = tunnel(outbound, &to).expect_err("no tunnel");
        assert_eq!(answer.status, status, "{to}: {answer:?}");
        assert!(answer.text().contains(words), "{to}: {answer:?}");
    }
    for more in ["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"] {
        let asked = format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n{more}\r\n");
        let mut client = Client::connect(outbound);
        client.write(asked.as_bytes());
        assert_eq!(client.read().expect("an answer").status, 400, "{more}");
    }
}

#[test]
fn a_name_that_leads_back_is_found_out_by_its_address() {
    let a = Echo::start("a");
    let (server, lines) = (NameServer::start(), Lines::default());
    server.say("back.example", name_server::local(60, &[1]));
    let dns = Dns { servers: vec![server.address], ..Dns::default() };
    let table = mesh::sidecar("", MeshConfig::default(), &[a.address], &[]);
    let proxy = start(table, Options { passthrough: Passthrough::Anywhere, dns, ..lines.options() });
    let mut stream = tunnel(proxy.outbound(), &format!("back.example:{}", proxy.outbound().port())).expect("a tunnel");
    assert!(has_ended(&mut stream));
    assert_eq!(server.asked("back.example"), 1);
    let line = lines.wait(1).remove(0);
    assert!(line.contains(" UF ") && line.contains("PassthroughCluster"), "{line}");
}

#[test]
fn where_the_mesh_knows_nobody_bytes_go_on_or_end() {
    let outside = upstream("welcome ");
    let lines = Lines::default();
    for (mode, cluster, flags) in
        [(OutboundMode::AllowAny, "PassthroughCluster", "-"), (OutboundMode::RegistryOnly, "BlackHoleCluster", "UH")]
    {
        let config = MeshConfig { outbound: mode, ..MeshConfig::default() };
        let proxy = start(mesh::sidecar("", config, &[], &[]), lines.options());
        lines.clear();
        let mut stream = tunnel(proxy.outbound(), &outside.to_string()).expect("a sidecar accepts it first");
        let _ = stream.shutdown(Shutdown::Write);
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert_eq!(text, if mode == OutboundMode::AllowAny { "welcome " } else { "" }, "E21: {mode:?}");
        let line = lines.wait(1).remove(0);
        assert!(line.contains(&format!("\"- - -\" 0 {flags} ")) && line.contains(cluster), "{line}");
        let metrics = get(proxy.admin().expect("an admin server"), "localhost", "/metrics", "").text();
        let is_counted = |line: &str| {
            line.starts_with("istio_tcp_connections_closed_total{")
                && line.contains(&format!("destination_service_name=\"{cluster}\""))
                && line.contains(&format!("response_flags=\"{flags}\""))
                && line.ends_with("} 1")
        };
        assert!(metrics.lines().any(is_counted), "{mode:?}: {metrics}");
    }
}

#[test]
fn what_no_service_takes_of_a_known_port_is_let_go_or_answered() {
    let a = Echo::start("a");
    let other = Echo::start("other");
    let port = other.address.port();
    let entry = format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: entry, namespace: default}}
spec:
  hosts: [entry.example]
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
  resolution: DNS
"
    );
    for mode in [OutboundMode::AllowAny, OutboundMode::RegistryOnly] {
        let config = MeshConfig { outbound: mode, ..MeshConfig::default() };
        let proxy = start(mesh::sidecar(&entry, config, &[a.address], &[]), options());
        // The listener is that of the port; Host says nobody whom it knows, and the connection where to.
        let stream = tunnel(proxy.outbound(), &other.address.to_string()).expect("a tunnel");
        let answer = Client::over(stream).get("nobody.example", "/", "");
        if mode == OutboundMode::AllowAny {
            assert_eq!(answer.json()["name"], "other", "E23");
        } else {
            assert_eq!(answer.status, 502, "E21");
        }
        // What is no HTTP goes the same way without an answer.
        let mut stream = tunnel(proxy.outbound(), &other.address.to_string()).expect("a tunnel");
        stream.write_all(b"\0\n").unwrap();
        assert!(has_ended(&mut stream));
        assert_eq!(other.connections(), 2, "under ALLOW_ANY each came there");
    }
}

#[test]
fn http2_asks_for_tunnels_too() {
    let a = serving(|mut stream| {
        let mut bytes = [0; 5];
        let _ = stream.write_all(b"welcome ");
        if stream.read_exact(&mut bytes).is_ok() {
            let _ = stream.write_all(&bytes.to_ascii_uppercase());
        }
    });
    let table = mesh::sidecar("", MeshConfig::default(), &[a], &[]);
    let proxy = start(table, options());
    let outbound = proxy.outbound();
    runtime().block_on(async {
        let mut sender = http2(outbound).await;
        for _ in 0..2 {
            let answer = sender.send_request(asks("a:5432")).await.unwrap();
            assert_eq!(answer.status(), 200);
            let mut tunnel = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
            let mut text = [0; 8];
            tunnel.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"welcome ");
            tunnel.write_all(b"hello").await.unwrap();
            let mut text = Vec::new();
            tunnel.read_to_end(&mut text).await.unwrap();
            assert_eq!(text, b"HELLO");
        }
        let refused = sender.send_request(asks("192.0.2.1:8443")).await.unwrap();
        assert_eq!(refused.status(), 502);
    });
}

#[test]
fn each_tunnel_of_http2_counts_as_a_connection() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let table = mesh::sidecar("", MeshConfig::default(), &[upstream("welcome ")], &[]);
    let proxy = start(table, Options { limits, ..options() });
    runtime().block_on(async {
        let mut sender = http2(proxy.outbound()).await;
        let first = sender.send_request(asks("a:5432")).await.unwrap();
        assert_eq!(first.status(), 200);
        assert_eq!(sender.send_request(asks("a:5432")).await.unwrap().status(), 503);
        drop(hyper::upgrade::on(first).await.unwrap());
        while sender.send_request(asks("a:5432")).await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_listener_for_http_alone_takes_either_version() {
    let a = Echo::start("a");
    let sidecar = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  egress:
  - {port: {number: 80, name: http, protocol: HTTP}, bind: 10.9.9.9, hosts: ['*/*']}
  - {port: {number: 8080, name: grpc, protocol: GRPC}, bind: 10.9.9.9, hosts: ['*/*']}
";
    let services =
        mesh::SERVICES.replace("{name: http, port: 80}", "{name: http, port: 80}\n  - {name: grpc, port: 8080}");
    let table = mesh::compile_with(
        &format!("{services}{sidecar}"),
        &[ProxySpec::default_sidecar()],
        MeshConfig::default(),
        |cluster| (cluster.host.starts_with("a.") && cluster.port == 80).then(|| vec![a.address]),
    );
    let forwards = vec!["10.9.9.9:80".parse().expect("a forward")];
    let proxy = start(table, Options { forwards, ..options() });
    let listeners = proxy.listeners();
    let forward = listeners.iter().find(|listener| listener.name == "10.9.9.9:80").expect("a forward").address;
    let status = |stream: std::net::TcpStream, authority: &'static str| {
        stream.set_nonblocking(true).unwrap();
        runtime().block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream).unwrap();
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(async move {
                let _ = connection.await;
            });
            let uri = format!("http://{authority}/x");
            let request = Request::builder().uri(uri).header("content-type", "application/grpc");
            sender
                .send_request(request.body(Empty::<Bytes>::new()).unwrap())
                .await
                .map(|answer| answer.status().as_u16())
        })
    };
    let tunnel_to = |port: u16| tunnel(proxy.outbound(), &format!("10.9.9.9:{port}")).expect("a tunnel");
    assert_eq!(status(tunnel_to(80), "a").ok(), Some(200), "HTTP/2 in a tunnel");
    assert_eq!(Client::over(tunnel_to(80)).get("a", "/y", "").json()["path"], "/y", "HTTP/1.1 in a tunnel");
    assert_eq!(status(connect(forward), "a").ok(), Some(200), "HTTP/2 at a forward");
    assert_eq!(get(forward, "a", "/z", "").json()["path"], "/z", "HTTP/1.1 at a forward");
    assert!(status(tunnel_to(8080), "a:8080").is_ok(), "gRPC in a tunnel is answered");
    assert!(a.seen().iter().any(|seen| seen["path"] == "/x"));
}

#[test]
fn what_is_let_go_or_refused_is_counted_by_the_clusters_that_no_table_has() {
    let outside = upstream("welcome ");
    let http = Echo::start("outside");
    let stat = |proxy: &Running, name: &str| {
        let stats = get(proxy.admin().expect("an admin server"), "localhost", "/stats", "").text();
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(": ")?.parse::<u64>().ok();
        stats.lines().find_map(value)
    };
    let total = "cluster.PassthroughCluster.upstream_cx_total";
    let refused = "cluster.BlackHoleCluster.upstream_cx_none_healthy";
    let config = |outbound| MeshConfig { outbound, ..MeshConfig::default() };
    let open = start(mesh::sidecar("", config(OutboundMode::AllowAny), &[], &[]), options());
    assert_eq!(
        (stat(&open, total), stat(&open, refused)),
        (Some(0), Some(0)),
        "E21: they are there before they are used"
    );
    for _ in 0..2 {
        let mut stream = tunnel(open.outbound(), &outside.to_string()).expect("a tunnel");
        stream.read_exact(&mut [0; 8]).unwrap();
    }
    assert_eq!(stat(&open, total), Some(2), "E21");
    assert_eq!(get(open.outbound(), &http.address.to_string(), "/", "").status, 200);
    assert_eq!(stat(&open, total), Some(3), "B39");
    assert_eq!(stat(&open, "cluster.PassthroughCluster.upstream_rq_total"), Some(1), "B39");
    open.swap(mesh::sidecar("", config(OutboundMode::RegistryOnly), &[], &[]));
    let mut stream = tunnel(open.outbound(), &outside.to_string()).expect("a tunnel");
    assert!(has_ended(&mut stream));
    wait_for("it to be counted", || stat(&open, refused) == Some(1));
    assert_eq!(stat(&open, total), Some(3), "they outlive a table");
    let gateway = start(mesh::gateway("  - route: [{destination: {host: a}}]\n", &[], &[]), options());
    assert_eq!((stat(&gateway, total), stat(&gateway, refused)), (None, Some(0)), "a gateway lets nothing go");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn asks(to: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(Method::CONNECT).uri(to).body(Empty::new()).unwrap()
}

async fn http2(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

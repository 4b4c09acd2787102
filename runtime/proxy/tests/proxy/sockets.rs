//! Endpoints that are sockets of the file system (semantics E4).

use crate::common::{
    client::{Client, get},
    lines::Lines,
    mesh, options, start,
};
use malha_mesh::MeshConfig;
use malha_table::Table;
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A gateway that passes port 80 by request and port 90 by byte to the socket of this path.
fn table(path: &str) -> Arc<Table> {
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: s, namespace: default}}
spec:
  hosts: [s.example]
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  resolution: STATIC
  endpoints: [{{address: 'unix://{path}'}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: t, namespace: default}}
spec:
  hosts: [t.example]
  ports:
  - {{number: 90, name: tcp, protocol: TCP}}
  resolution: STATIC
  endpoints: [{{address: 'unix://{path}'}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - port: {{number: 80, name: http, protocol: HTTP}}
    hosts: ['*']
  - port: {{number: 90, name: tcp, protocol: TCP}}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  http:
  - route:
    - destination: {{host: s.example, port: {{number: 80}}}}
  tcp:
  - match: [{{port: 90}}]
    route:
    - destination: {{host: t.example, port: {{number: 90}}}}
"
    );
    mesh::compile_with(&text, &[], MeshConfig::default(), |_| None)
}

/// Answers each line that ends a head, and counts connections.
fn serve(listener: UnixListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.by_ref().any(|line| line.trim_end().is_empty()) {
                    if (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsocket").is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn listening(directory: &tempfile::TempDir) -> PathBuf {
    let path = directory.path().join("s");
    serve(UnixListener::bind(&path).expect("a short path"));
    path
}

fn told(path: &Path) -> &str {
    path.to_str().expect("its name is text")
}

#[test]
fn requests_go_to_a_socket() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = listening(&directory);
    let proxy = start(table(told(&path)), options());
    let mut client = Client::connect(proxy.gateway(80));
    for _ in 0..3 {
        let answer = client.get("x.com", "/", "");
        assert_eq!((answer.status, answer.text()), (200, "socket".to_owned()), "E4");
    }
    let stats = get(proxy.admin().unwrap(), "localhost", "/stats", "").text();
    assert!(stats.contains("cluster.outbound|80||s.example.upstream_cx_total: 1\n"), "one is kept: {stats}");
}

#[test]
fn bytes_go_to_a_socket() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).expect("a short path");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("its end");
        heard.reverse();
        stream.write_all(&heard).expect("it is read");
    });
    let proxy = start(table(told(&path)), options());
    let mut stream = crate::common::client::connect(proxy.gateway(90));
    stream.write_all(b"abc").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "cba", "E4");
}

#[test]
fn a_socket_that_is_not_there_is_not_reached() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("none");
    let lines = Lines::default();
    let proxy = start(table(told(&path)), lines.options());
    let answer = get(proxy.gateway(80), "x.com", "/", "");
    assert_eq!(answer.status, 503, "{answer:?}");
    let line = lines.wait(1).remove(0);
    assert!(line.contains(" 503 URX,UF ") && line.contains("delayed connect error: No such file"), "{line}");
}

/// Linux alone has names of sockets that are no files.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_may_be_no_file() {
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    let name = format!("malha-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    serve(UnixListener::bind_addr(&address).expect("it is free"));
    let proxy = start(table(&format!("@{name}")), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").text(), "socket");
}

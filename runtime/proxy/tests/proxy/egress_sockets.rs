//! Egress listeners of Sidecars that are sockets without an address on the network (semantics E39).

use crate::common::{
    Running,
    client::{Client, in_time},
    echo::Echo,
    lines::Lines,
    mesh, options,
    plain::upstream,
    start, wait_for,
};
use malha_mesh::MeshConfig;
use malha_proxy::{Options, Proxy, StartError};
use malha_table::Table;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The services `a` and `b`, of which `a` is reached by this socket, which speaks this.
fn table(socket: &str, protocol: &str, a: SocketAddr, b: SocketAddr) -> Arc<Table> {
    let sidecar = format!(
        "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: s, namespace: default}}
spec:
  egress:
  - {{port: {{number: 0, protocol: {protocol}, name: s}}, bind: 'unix://{socket}', hosts: [./a.default.svc.cluster.local]}}
  - {{hosts: ['*/*']}}
"
    );
    mesh::sidecar(&sidecar, MeshConfig::default(), &[a], &[b])
}

fn there() -> Options {
    Options { ephemeral: false, ..options() }
}

/// A directory and the path of a socket in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop.sock");
    (directory, path)
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn client(path: impl AsRef<Path>) -> Client {
    Client::over(UnixStream::connect(path).expect("somebody listens"))
}

fn address(proxy: &Running) -> String {
    let listeners = proxy.egress();
    let [only] = listeners.as_slice() else { panic!("one egress listener: {listeners:?}") };
    only.address.strip_prefix("unix://").expect("a socket").to_owned()
}

#[test]
fn requests_come_by_a_socket() {
    let (a, b, log) = (Echo::start("a"), Echo::start("b"), Lines::default());
    let (_directory, path) = place();
    let options = Options { ephemeral: false, cores: 2, ..log.options() };
    let proxy = start(table(shown(&path), "HTTP", a.address, b.address), options);
    assert_eq!(address(&proxy), shown(&path));
    for host in ["a", "a:80", "a:7000", "a.default.svc.cluster.local"] {
        let answer = client(&path).get(host, "/x", "");
        assert_eq!((&answer.json()["name"], &answer.json()["authority"]), (&"a".into(), &host.into()), "{host}");
    }
    let mut kept = client(&path);
    assert_eq!(kept.get("a", "/1", "").json()["path"], "/1");
    assert_eq!(kept.get("a", "/2", "").json()["path"], "/2", "a connection has several requests");
    assert_eq!(client(&path).get("b", "/", "").status, 502, "it is not among its hosts");
    assert_eq!(client(&path).send("GET / HTTP/1.1\r\n\r\n").status, 400);
    // Nobody has an address on the network.
    assert!(log.wait(1)[0].contains(" - - "), "{:?}", log.now());
    assert_eq!(proxy.ready()["egress"][0]["address"], format!("unix://{}", shown(&path)));
}

#[test]
fn bytes_come_by_a_socket() {
    let (_directory, path) = place();
    let b = Echo::start("b");
    // Of several ports none is meant.
    let proxy = start(table(shown(&path), "TCP", upstream("welcome "), b.address), there());
    let mut stream = UnixStream::connect(&path).expect("somebody listens");
    let mut text = String::new();
    in_time(stream.read_to_string(&mut text)).unwrap();
    assert_eq!(text, "", "a service with several ports has no cluster");
    drop(proxy);
    let text = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: default}
spec:
  hosts: [one.example]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: ADDRESS, ports: {tcp: PORT}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, namespace: default}
spec:
  egress:
  - {port: {number: 0, protocol: TCP, name: s}, bind: 'unix://SOCKET', hosts: [./one.example]}
";
    let server = upstream("welcome ");
    let text = text.replace("ADDRESS", &server.ip().to_string()).replace("PORT", &server.port().to_string());
    let text = text.replace("SOCKET", shown(&path));
    let log = Lines::default();
    let table = mesh::sidecar(&text, MeshConfig::default(), &[b.address], &[b.address]);
    let _proxy = start(table, Options { ephemeral: false, ..log.options() });
    let mut stream = UnixStream::connect(&path).expect("somebody listens");
    stream.write_all(b"bytes").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    in_time(stream.read_to_string(&mut text)).unwrap();
    assert_eq!(text, "welcome BYTES");
    assert!(log.wait(1)[0].contains("outbound|5432||one.example"), "{:?}", log.now());
}

#[test]
fn its_file_comes_and_goes_with_the_listener() {
    let a = Echo::start("a");
    let (_directory, path) = place();
    // Somebody has left it behind.
    drop(UnixListener::bind(&path).unwrap());
    let proxy = start(table(shown(&path), "HTTP", a.address, a.address), there());
    assert_eq!(client(&path).get("a", "/", "").json()["name"], "a");
    // The same again is the same listener.
    let mut kept = client(&path);
    kept.get("a", "/", "");
    proxy.swap(table(shown(&path), "HTTP", a.address, a.address));
    assert_eq!(kept.get("a", "/", "").json()["name"], "a");
    let moved = path.with_file_name("moved.sock");
    let report = proxy.swap(table(shown(&moved), "HTTP", a.address, a.address));
    assert_eq!(report.egress.len(), 1, "{report:?}");
    wait_for("the first to go", || !path.exists());
    assert_eq!(client(&moved).get("a", "/", "").json()["name"], "a");
    drop(proxy);
    assert!(!moved.exists());
}

#[test]
fn another_file_is_no_place_for_it_and_stays() {
    let a = Echo::start("a");
    let (_directory, path) = place();
    std::fs::write(&path, "a file").unwrap();
    let started = Proxy::start(table(shown(&path), "HTTP", a.address, a.address), there());
    match started {
        Err(StartError::Socket { socket, error, .. }) => {
            assert_eq!((&*socket, error.kind()), (&*format!("unix://{}", shown(&path)), ErrorKind::AddrInUse));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    // So is one on which somebody listens.
    let taken = path.with_file_name("taken.sock");
    let _other = UnixListener::bind(&taken).unwrap();
    let started = Proxy::start(table(shown(&taken), "HTTP", a.address, a.address), there());
    assert!(matches!(started, Err(StartError::Socket { .. })), "{started:?}");
    assert!(taken.exists());
}

#[test]
fn a_free_socket_is_told() {
    let a = Echo::start("a");
    let (_directory, path) = place();
    let proxy = start(table(shown(&path), "HTTP", a.address, a.address), options());
    let elsewhere = PathBuf::from(address(&proxy));
    assert!(elsewhere != path && !path.exists() && elsewhere.ends_with("shop.sock"), "{elsewhere:?}");
    assert_eq!(client(&elsewhere).get("a", "/", "").json()["name"], "a");
    assert_eq!(proxy.egress()[0].name, format!("unix://{}_0", shown(&path)));
    drop(proxy);
    assert!(!elsewhere.exists() && !elsewhere.parent().expect("a directory").exists());
    // Nor is there a place in a directory that is not there.
    let proxy = start(table("/no/such/directory/shop.sock", "HTTP", a.address, a.address), there());
    assert_eq!(client(address(&proxy)).get("a", "/", "").json()["name"], "a");
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_may_have_an_abstract_name() {
    use std::os::linux::net::SocketAddrExt;
    let a = Echo::start("a");
    let name = format!("malha-test-{}", std::process::id());
    let proxy = start(table(&format!("@{name}"), "HTTP", a.address, a.address), there());
    assert_eq!(address(&proxy), format!("@{name}"));
    let connect =
        || UnixStream::connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name"));
    let mut client = Client::over(connect().expect("somebody listens"));
    assert_eq!(client.get("a", "/", "").json()["name"], "a");
    drop((client, proxy));
    wait_for("it to close", || connect().is_err());
}

#[test]
fn what_leads_back_to_its_own_socket_ends() {
    for (protocol, number) in [("HTTP", 80), ("TCP", 5432)] {
        let (_directory, path) = place();
        let text = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: default}
spec:
  hosts: [one.example]
  ports: [{number: NUMBER, name: it, protocol: PROTOCOL}]
  resolution: STATIC
  endpoints: [{address: 'unix://SOCKET'}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, namespace: default}
spec:
  egress:
  - {port: {number: 0, protocol: PROTOCOL, name: s}, bind: 'unix://SOCKET', hosts: [./one.example]}
";
        let text = text.replace("SOCKET", shown(&path)).replace("PROTOCOL", protocol);
        let text = text.replace("NUMBER", &number.to_string());
        let table = mesh::sidecar(&text, MeshConfig::default(), &[], &[]);
        let _proxy = start(table, there());
        if protocol == "HTTP" {
            let answer = client(&path).get("one.example", "/", "");
            assert_eq!(answer.status, 502);
            assert!(answer.text().contains("circle"), "{}", answer.text());
        } else {
            let mut stream = UnixStream::connect(&path).expect("somebody listens");
            let mut text = String::new();
            in_time(stream.read_to_string(&mut text)).unwrap();
            assert_eq!(text, "");
        }
    }
}

//! Ports of this machine that stand for addresses of the mesh.

use crate::common::{
    Running,
    client::{connect, get, has_ended},
    echo::Echo,
    mesh, options,
    plain::upstream,
    sample, start, wait_for,
};
use malha_mesh::MeshConfig;
use malha_proxy::{Handle, ListenerAddress, Options, PortForward, Proxy, StartError};
use malha_table::Table;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    sync::Arc,
};

fn forward(text: &str) -> PortForward {
    text.parse().expect("a forward")
}

/// The listener of a forward.
fn listener(proxy: &Handle, name: &str) -> ListenerAddress {
    let listeners = proxy.listeners();
    let found = listeners.iter().find(|listener| listener.name == name);
    found.unwrap_or_else(|| panic!("no {name} among {listeners:?}")).clone()
}

#[test]
fn a_connection_to_a_forward_is_one_to_what_it_stands_for() {
    let echo = Echo::start("a");
    let forwards = vec![forward("a.default:5432"), forward("a:80"), forward("b:5432"), forward("a:80")];
    let table = mesh::sidecar("", MeshConfig::default(), &[echo.address], &[upstream("welcome ")]);
    let proxy = start(table, Options { forwards, ..options() });
    let http = listener(&proxy, "a:80");
    assert_eq!((http.role, http.port, &*http.protocol), ("mesh", 80, "HTTP"));
    assert_eq!(http.proxy, "default/default");
    assert_eq!(get(http.address, "a", "/x", "").json()["path"], "/x");
    let answer = get(http.address, "b:9", "/", "");
    assert!(answer.status >= 500, "B36: Host names the service, and b speaks no HTTP: {answer:?}");
    let bytes = listener(&proxy, "b:5432");
    assert_eq!((bytes.role, bytes.port, &*bytes.protocol), ("mesh", 5432, "TCP"));
    let mut stream = connect(bytes.address);
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "welcome HELLO");
    assert_eq!(proxy.listeners().len(), 4, "one for each address, and the outbound listener");
    assert!(proxy.unsupported().is_empty(), "{:?}", proxy.unsupported());
    let first = proxy.listeners().remove(0);
    assert_eq!((&*first.name, first.address), ("default", proxy.outbound()), "the outbound listener comes first");
}

#[test]
fn a_forward_to_nobody_is_named_and_closes() {
    let forwards = vec![forward("nobody.default:5432")];
    let proxy = start(mesh::sidecar("", MeshConfig::default(), &[], &[]), Options { forwards, ..options() });
    let [problem] = &*proxy.unsupported() else { panic!("{:?}", proxy.unsupported()) };
    assert!(problem.contains("nobody.default:5432") && problem.contains("leads nowhere"), "{problem}");
    let mut stream = connect(listener(&proxy, "nobody.default:5432").address);
    assert!(has_ended(&mut stream));
}

#[test]
fn forwards_stay_open_over_tables_and_follow_them() {
    let forwards = vec![forward("a:5432")];
    let table = |greeting| mesh::sidecar("", MeshConfig::default(), &[upstream(greeting)], &[]);
    let proxy = start(table("1"), Options { forwards, ..options() });
    let address = listener(&proxy, "a:5432").address;
    let mut open = connect(address);
    let mut first = [0];
    open.read_exact(&mut first).unwrap();
    let report = proxy.swap(table("2"));
    assert_eq!((report.kept, report.added.len(), report.failed.len()), (2, 0, 0), "{report:?}");
    let mut next = connect(address);
    next.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"2");
    open.write_all(b"x").unwrap();
    open.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    open.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "X", "an open connection goes on");
}

#[test]
fn bytes_go_by_the_table_that_is_in_force_when_they_have_been_looked_at() {
    let forwards = vec![forward("a:7000")];
    let table = |greeting| mesh::sidecar("", MeshConfig::default(), &[upstream(greeting)], &[]);
    let proxy = start(table("1"), Options { forwards, ..options() });
    let mut stream = connect(listener(&proxy, "a:7000").address);
    stream.write_all(b"GET").unwrap();
    let admin = proxy.admin().expect("an admin server");
    wait_for("the connection", || sample(admin, "malha_connections") == 1);
    proxy.swap(table("2"));
    stream.write_all(b"\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "2GET\n");
}

#[test]
fn open_connections_keep_no_table() {
    let outside = upstream("o");
    let forwards = vec![forward("a:5432"), forward("a:7000"), forward(&outside.to_string())];
    let table = || mesh::sidecar("", MeshConfig::default(), &[upstream("a")], &[]);
    let first = table();
    let weak = Arc::downgrade(&first);
    let proxy = start(first, Options { forwards, ..options() });
    let greeted = |name: &str| {
        let mut stream = connect(listener(&proxy, name).address);
        stream.write_all(b"x\n").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream
    };
    let names = ["a:5432", "a:7000", &outside.to_string()];
    let open = names.map(greeted);
    proxy.swap(table());
    wait_for("the table to go", || {
        // Workers know of another table when somebody comes.
        drop(greeted("a:5432"));
        weak.strong_count() == 0
    });
    for mut stream in open {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "X\n", "they go on");
    }
}

/// A proxy with a forward at an address that was free a moment ago: where another program has taken it since, another one
/// is tried.
fn start_at_free(table: &Arc<Table>, forward_at: impl Fn(SocketAddr) -> PortForward) -> (Running, SocketAddr) {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let forwards = vec![forward_at(free)];
        match Proxy::start(Arc::clone(table), Options { forwards, ephemeral: false, ..options() }) {
            Ok(proxy) => return (Running(proxy), free),
            Err(StartError::Listen { error, .. }) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_forward_is_where_it_is_told_to_be() {
    let table = mesh::sidecar("", MeshConfig::default(), &[upstream("a")], &[]);
    let (proxy, free) = start_at_free(&table, |free| forward(&format!("a:5432={free}")));
    assert_eq!(listener(&proxy, "a:5432").address, free);
    let mut first = [0];
    connect(free).read_exact(&mut first).unwrap();
    assert_eq!(&first, b"a");
}

#[test]
fn a_forward_does_not_lead_to_another() {
    let table = mesh::sidecar("", MeshConfig::default(), &[], &[]);
    let (proxy, own) = start_at_free(&table, |own| forward(&format!("{own}={own}")));
    let mut stream = connect(listener(&proxy, &own.to_string()).address);
    assert!(has_ended(&mut stream), "it would come back for ever");
}

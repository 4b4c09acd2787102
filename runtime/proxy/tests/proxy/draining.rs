//! Connections of plain bytes when a proxy ends, or a table has no listener for them any more.

#[cfg(unix)]
use crate::common::process::Process;
use crate::common::{
    client::{connect, has_ended, tunnel},
    mesh, options,
    plain::upstream,
    start, wait_for,
};
use malha_mesh::MeshConfig;
use malha_proxy::{Limits, Options};
use malha_table::Table;
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// A gateway that passes bytes on to `a` at these ports.
fn table(ports: &[u16], a: SocketAddr) -> Arc<Table> {
    let server = |port: &u16| format!("  - {{port: {{number: {port}, name: p{port}, protocol: TCP}}, hosts: ['*']}}\n");
    let servers: String = ports.iter().map(server).collect();
    let text = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
{servers}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: default}}
spec:
  hosts: ['*']
  gateways: [gw]
  tcp: [{{route: [{{destination: {{host: a, port: {{number: 80}}}}}}]}}]
",
        mesh::SERVICES
    );
    mesh::compile(&text, &[a], &[])
}

/// A connection in the midst of its bytes.
fn greeted(mut stream: TcpStream) -> TcpStream {
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).expect("the server speaks first");
    assert_eq!(&greeting, b"welcome ");
    stream
}

/// Sends what is left to say, and reads what that comes to.
fn finished(mut stream: TcpStream) -> String {
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn bytes_that_are_under_way_come_to_their_end_when_the_proxy_ends() {
    let gateway = || {
        let proxy = start(table(&[5432], upstream("welcome ")), options());
        let address = proxy.gateway(5432);
        (proxy, address, connect(address))
    };
    let sidecar = |to: &str| {
        let table = mesh::sidecar("", MeshConfig::default(), &[upstream("welcome ")], &[]);
        let proxy = start(table, options());
        let address = proxy.outbound();
        (proxy, address, tunnel(address, to).expect("a tunnel"))
    };
    for (proxy, address, stream) in [gateway(), sidecar("a:5432"), sidecar(&upstream("welcome ").to_string())] {
        let stream = greeted(stream);
        let handle = proxy.0.clone();
        let ending = std::thread::spawn(move || handle.shutdown(Duration::from_mins(1)));
        wait_for("the listener to close", || TcpStream::connect(address).is_err());
        assert_eq!(finished(stream), "HELLO");
        assert_eq!(ending.join().unwrap().cut, 0);
    }
}

#[test]
fn bytes_that_do_not_end_are_cut_at_the_deadline_and_counted() {
    let proxy = start(table(&[5432], upstream("welcome ")), options());
    let mut stream = greeted(connect(proxy.gateway(5432)));
    let begun = Instant::now();
    assert_eq!(proxy.shutdown(Duration::from_millis(300)).cut, 1);
    assert!(begun.elapsed() >= Duration::from_millis(300), "they have their time");
    assert!(has_ended(&mut stream));
}

#[test]
fn bytes_go_on_for_a_while_when_a_table_has_no_listener_for_them() {
    let upstream = upstream("welcome ");
    let drain_time = Duration::from_millis(1500);
    let limits = Limits { drain_time, ..Limits::default() };
    let proxy = start(table(&[5432, 5433], upstream), Options { limits, ..options() });
    let gateway = proxy.gateway(5433);
    let (ends, mut stays) = (greeted(connect(gateway)), greeted(connect(gateway)));
    let mut other = greeted(connect(proxy.gateway(5432)));
    let begun = Instant::now();
    assert_eq!(proxy.swap(table(&[5432], upstream)).removed.len(), 1);
    wait_for("the listener to close", || TcpStream::connect(gateway).is_err());
    assert_eq!(finished(ends), "HELLO");
    assert!(has_ended(&mut stays));
    assert!(begun.elapsed() >= drain_time, "it has its time: {:?}", begun.elapsed());
    other.write_all(b"x").expect("that of a listener that stays goes on");
    assert_eq!(finished(other), "XHELLO");
}

#[cfg(unix)]
#[test]
fn a_process_that_is_asked_to_end_waits_for_bytes_and_says_what_it_cut() {
    for (seconds, is_cut) in [("60", false), ("0", true)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mesh.table");
        std::fs::write(&path, table(&[5432], upstream("welcome ")).as_bytes()).unwrap();
        let mut process = Process::start_with(&path, &["--drain-seconds", seconds]);
        let gateway = process.gateway();
        let mut stream = greeted(connect(gateway));
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| process.terminate());
            if is_cut {
                assert!(has_ended(&mut stream));
            } else {
                wait_for("the listener to close", || TcpStream::connect(gateway).is_err());
                assert_eq!(finished(stream), "HELLO");
            }
            assert_eq!(ended.join().unwrap(), 0);
        });
        let words = "1 connections were cut";
        if is_cut {
            wait_for("its word", || process.said(words));
        }
        assert_eq!(process.said(words), is_cut);
    }
}

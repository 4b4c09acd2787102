//! What clients see when something fails (semantics C.12), and how much a client or an upstream can use.

mod common;

use common::{
    client::{Client, get},
    echo::{Echo, dead},
    mesh, options, start,
};
use malha_proxy::{Limits, Options};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";

#[test]
fn errors_have_envoys_status_and_body() {
    let rules = "  - match: [{uri: {prefix: /none}}]
    route:
    - destination: {host: b}
  - match: [{uri: {prefix: /missing}}]
    route:
    - destination: {host: nowhere}
  - match: [{uri: {prefix: /dead}}]
    retries: {attempts: 0}
    route:
    - destination: {host: a}
";
    let proxy = start(mesh::gateway(rules, &[dead()], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    for (path, status, body) in [
        ("/elsewhere", 404, ""),
        ("/none", 503, "no healthy upstream"),
        ("/missing", 503, ""),
        (
            "/dead",
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        ),
    ] {
        let answer = client.get("x.com", path, "");
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{path}");
        assert_eq!(answer.header("server"), Some("istio-envoy"), "{path}");
    }
}

#[test]
fn an_answer_that_is_no_http_is_502() {
    let echo = Echo::start_with("a", |_, _| Some(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()));
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let answer = get(proxy.gateway(80), "x.com", "/", "");
    assert_eq!(answer.status, 502);
    assert!(answer.text().ends_with("reset reason: protocol error"), "{answer:?}");
}

#[test]
fn an_upstream_that_sends_too_many_headers_is_502() {
    let head = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "x: y\r\n".repeat(200));
    let echo = Echo::start_with("a", move |_, _| Some(head.clone().into_bytes()));
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 502);
}

/// An upstream that answers the first request of each connection with these bytes, and goes.
fn answers_once(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let _ = (&stream).read(&mut buffer);
            let _ = (&stream).write_all(bytes);
        }
    });
    address
}

#[test]
fn an_upstream_that_breaks_off_amid_its_answer_cuts_the_clients_too() {
    let upstream = answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    let proxy = start(mesh::gateway(ROUTE, &[upstream], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    assert!(client.read().is_none(), "the answer is not whole");
    assert!(client.is_closed());
}

#[test]
fn a_kept_connection_that_the_upstream_closed_is_replaced_unseen() {
    let address = answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let rules = "  - retries: {attempts: 0}\n    route:\n    - destination: {host: a}\n";
    let proxy = start(mesh::gateway(rules, &[address], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    for _ in 0..30 {
        assert_eq!(client.get("x.com", "/", "").status, 200);
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn slow_headers_end_with_the_time_limit() {
    let limits = Limits { header_read_timeout: Duration::from_millis(100), ..Limits::default() };
    let proxy = start(mesh::gateway(ROUTE, &[], &[]), Options { limits, ..options() });
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\nX-Slow: ");
    assert!(client.read().is_none_or(|answer| answer.status == 408));
}

#[test]
fn large_and_many_headers_are_431() {
    let proxy = start(mesh::gateway(ROUTE, &[], &[]), options());
    let large = format!("x-large: {}\r\n", "x".repeat(61 * 1024));
    let many = "x: y\r\n".repeat(101);
    for headers in [large, many] {
        let mut client = Client::connect(proxy.gateway(80));
        client.try_write(format!("GET / HTTP/1.1\r\nHost: x.com\r\n{headers}\r\n").as_bytes());
        assert_eq!(client.read().map(|answer| answer.status), Some(431));
    }
}

#[test]
fn connections_over_the_limit_are_closed_at_once() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let proxy = start(mesh::gateway(ROUTE, &[], &[]), Options { limits, ..options() });
    let mut held: Vec<Client> = (0..2).map(|_| Client::connect(proxy.gateway(80))).collect();
    for client in &mut held {
        assert_eq!(client.get("x.com", "/", "").status, 503);
    }
    let mut third = Client::connect(proxy.gateway(80));
    third.try_write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    assert!(third.read().is_none());
    assert_eq!(held[0].get("x.com", "/", "").status, 503, "those before are served on");
}

#[test]
fn long_bodies_pass_both_ways_without_being_kept() {
    let length = 20 * 1024 * 1024;
    let echo = Echo::start_with("a", move |request, _| {
        let received = request["body"].as_str().unwrap_or_default().len();
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nX-Got: {received}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + length, b'y');
        Some(answer)
    });
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(format!("POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    for _ in 0..20 {
        client.write(&vec![b'x'; length / 20]);
    }
    let answer = client.read().expect("an answer");
    assert_eq!(answer.header("x-got"), Some(length.to_string().as_str()));
    assert_eq!(answer.body.len(), length);
}

//! What clients see when something fails (semantics C.12), and how much a client or an upstream can use.

use crate::common::{
    client::{Client, get},
    echo::{Echo, dead},
    mesh, options, start, wait_for,
};
use malha_proxy::{AccessLog, Limits, Options};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let (closing, told) = mpsc::channel::<()>();
    let (closed, is_closed) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if read_head(&mut stream) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
            let _ = told.recv();
            drop(stream);
            let _ = closed.send(());
        }
    });
    // The log holds the worker: what happens meanwhile it hears of at once.
    let (holding, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let log = AccessLog::to_function(move |line| {
        if line.contains("/hold") {
            let _ = holding.send(());
            let _ = released.lock().unwrap().recv();
        }
    });
    let rules = "  - match: [{uri: {prefix: /hold}}]
    directResponse: {status: 200}
  - retries: {attempts: 0}
    route:
    - destination: {host: a}
";
    // There is room for one request: the one that is sent anew is not in its own way.
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: default}\n\
                spec:\n  host: a\n  trafficPolicy:\n    connectionPool: {http: {http2MaxRequests: 1}}\n";
    let table = mesh::compile(&format!("{}{rule}", mesh::gateway_text(rules)), &[upstream], &[]);
    let proxy = start(table, Options { access_log: Some(log), cores: 1, ..options() });
    let mut client = Client::connect(proxy.gateway(80));
    let mut other = Client::connect(proxy.gateway(80));
    assert_eq!(client.get("x.com", "/", "").status, 200);
    for _ in 0..10 {
        other.write(b"GET /hold HTTP/1.1\r\nHost: x.com\r\n\r\n");
        is_held.recv().unwrap();
        // The worker finds the request first, and the end of the connection only when it has taken that.
        client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
        closing.send(()).unwrap();
        is_closed.recv().unwrap();
        release.send(()).unwrap();
        assert_eq!(other.read().map(|answer| answer.status), Some(200));
        assert_eq!(client.read().map(|answer| answer.status), Some(200));
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

/// Reads a head to its end; false where the other side is gone.
fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return false;
        }
        head.extend(byte);
    }
    true
}

#[test]
fn a_client_that_sends_no_body_keeps_nobody_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                while read_head(&mut stream) {
                    let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
                }
            });
        }
    });
    let proxy = start(mesh::gateway(ROUTE, &[upstream], &[]), options());
    let mut silent = Client::connect(proxy.gateway(80));
    let answer = silent.send("POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(answer.status, 401);
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 401, "while the first client is still there");
    drop(silent);
}

#[test]
fn a_client_that_leaves_before_its_answer_is_counted() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let admin = proxy.admin().expect("an admin server");
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"GET / HTTP/1.1\r\nHost: x.com\r\nx-echo-delay: 5000\r\n\r\n");
    wait_for("the request to arrive", || !echo.seen().is_empty());
    drop(client);
    let counted = "code=\"0\",flags=\"DC\"} 1";
    wait_for("its count", || get(admin, "localhost", "/metrics", "").text().contains(counted));
}

#[test]
fn a_try_that_is_given_up_leaves_its_connection_and_the_body() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let (accepted, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counter, flag) = (Arc::clone(&accepted), Arc::clone(&ended));
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        assert!(read_head(&mut first));
        first.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").unwrap();
        let (mut second, _) = listener.accept().unwrap();
        counter.store(2, Ordering::SeqCst);
        std::thread::spawn(move || {
            let mut rest = [0; 1024];
            while matches!(first.read(&mut rest), Ok(1..)) {}
            flag.store(true, Ordering::SeqCst);
        });
        assert!(read_head(&mut second));
        let mut body = Vec::new();
        let mut byte = [0];
        while !body.ends_with(b"0\r\n\r\n") && matches!(second.read(&mut byte), Ok(1)) {
            body.extend(byte);
        }
        second.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8(body).unwrap()
    });
    let rules = "  - retries: {attempts: 1, retryOn: 5xx}\n    route:\n    - destination: {host: a}\n";
    let proxy = start(mesh::gateway(rules, &[upstream], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    client.write(b"POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    wait_for("the second try", || accepted.load(Ordering::SeqCst) == 2);
    wait_for("the first try's connection to end", || ended.load(Ordering::SeqCst));
    client.write(b"3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(client.read().map(|answer| answer.status), Some(200));
    assert_eq!(server.join().unwrap(), "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
}

#[test]
fn a_length_beside_a_coding_does_not_cut_the_answer() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n";
    let proxy = start(mesh::gateway(ROUTE, &[answers_once(bytes)], &[]), options());
    let answer = get(proxy.gateway(80), "x.com", "/", "");
    assert_eq!((answer.text().as_str(), answer.header("content-length")), ("whole", None));
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

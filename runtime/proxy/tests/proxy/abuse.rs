//! Clients that mean harm, or are broken: each costs little, and nobody else notices.

use crate::common::{
    Running,
    client::{Client, connect, get},
    echo::Echo,
    mesh, options, sample, start,
    tls::{Authority, Speaker},
    wait_for,
};
use malha_proxy::{Credentials, Limits, Options, Revision};
use malha_table::Role;
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";

/// Clients that each send a byte now and then.
struct Trickle {
    stop: Arc<AtomicBool>,
    /// How many were closed.
    thread: JoinHandle<usize>,
}

impl Trickle {
    /// `begin` is sent at once; then `byte` again and again.
    fn start(clients: usize, address: SocketAddr, begin: &'static str, byte: u8) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&stop);
        let mut open: Vec<TcpStream> = (0..clients).map(|_| connect(address)).collect();
        for stream in &mut open {
            stream.write_all(begin.as_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
        }
        let thread = std::thread::spawn(move || {
            while !own.load(Ordering::Relaxed) && !open.is_empty() {
                open.retain_mut(|stream| {
                    let is_open = match stream.read(&mut [0; 4096]) {
                        // A part of an answer.
                        Ok(read) => read > 0,
                        Err(error) => error.kind() == ErrorKind::WouldBlock,
                    };
                    is_open && stream.write_all(&[byte]).is_ok()
                });
                std::thread::sleep(Duration::from_millis(20));
            }
            clients - open.len()
        });
        Trickle { stop, thread }
    }

    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Some requests go through, each of them soon.
fn serve(address: SocketAddr) {
    let mut client = Client::connect(address);
    for _ in 0..20 {
        let since = Instant::now();
        assert_eq!(client.get("x.com", "/", "").status, 200);
        assert_eq!(get(address, "x.com", "/", "").status, 200, "new connections, too");
        assert!(since.elapsed() < Duration::from_secs(5), "it is soon");
    }
}

/// Limits with so much time for heads and handshakes.
fn head_within(limit: Duration) -> Limits {
    Limits { header_read_timeout: limit, hello_timeout: limit, handshake_timeout: limit, ..Limits::default() }
}

/// Longer than any test lasts.
const LONG: Duration = Duration::from_hours(1);

#[test]
fn slow_heads_end_and_others_are_served_meanwhile() {
    const CLIENTS: usize = 200;
    let echo = Echo::start("a");
    let begin = |limit, begin, byte| {
        let limits = head_within(limit);
        let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), Options { limits, ..options() });
        let slow = Trickle::start(CLIENTS, proxy.gateway(80), begin, byte);
        (proxy, slow)
    };
    for head in ["GET / HTTP/1.1\r\nHost: x.com\r\nX-Slow: ", "", "GET / HTTP/1.1\r\nHost: x.com\r\n\r\nG"] {
        // The second never gets to a first line, and the third has had an answer.
        let byte = if head.is_empty() { b'\n' } else { b'a' };
        let (proxy, slow) = begin(LONG, head, byte);
        let admin = proxy.admin().expect("an admin server");
        wait_for("them to be there", || sample(admin, "malha_connections") >= CLIENTS as u64);
        serve(proxy.gateway(80));
        assert_eq!(slow.stop(), 0, "{head:?}: all were open meanwhile");
        let (_proxy, slow) = begin(Duration::from_millis(500), head, byte);
        wait_for("the end of each", || slow.thread.is_finished());
        assert_eq!(slow.stop(), CLIENTS, "{head:?}");
    }
}

#[test]
fn slow_bodies_hold_up_nobody_else() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let (address, admin) = (proxy.gateway(80), proxy.admin().expect("an admin server"));
    let slow = Trickle::start(100, address, "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 100000\r\n\r\n", b'x');
    wait_for("them to be at work", || sample(admin, "malha_upstream_connections") >= 100);
    serve(address);
    assert_eq!(slow.stop(), 0, "a body that goes on is waited for");
    wait_for("nothing to be left of them", || {
        sample(admin, "malha_upstream_connections") == sample(admin, "malha_upstream_connections_idle")
    });
}

/// A gateway that ends TLS on 443, and who it is.
fn secure(echo: &Echo, limits: Limits) -> (Running, Authority) {
    let text = mesh::gateway_text(ROUTE).replace(
        "port: {number: 80, name: http, protocol: HTTP}",
        "port: {number: 443, name: https, protocol: HTTPS}\n    tls: {mode: SIMPLE, credentialName: own}",
    );
    let table = mesh::compile(&text, &[echo.address], &[]);
    let authority = Authority::new();
    let mut credentials = Credentials::default();
    let namespace = table.proxies().find(|proxy| proxy.role() == Role::Gateway).unwrap().namespace().to_owned();
    credentials.insert(&namespace, "own", authority.issue(&["x.com"]).credential());
    (start(Revision { table, credentials }, Options { limits, ..options() }), authority)
}

/// A hello of TLS: its record's version, and the version that it is for.
fn hello(record: [u8; 2], version: [u8; 2]) -> Vec<u8> {
    let ciphers: &[u8] = &[0x00, 0x2f, 0x00, 0x35, 0xc0, 0x13, 0xc0, 0x14];
    let name = b"x.com";
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let entry = [&[0][..], &length(name.len()), name].concat();
    let list = [&length(entry.len())[..], &entry].concat();
    let extension = [&[0, 0][..], &length(list.len()), &list].concat();
    let body =
        [&version[..], &[7; 32], &[0], &length(ciphers.len()), ciphers, &[1, 0], &length(extension.len()), &extension]
            .concat();
    let handshake = [&[1, 0][..], &length(body.len()), &body].concat();
    [&[22][..], &record, &length(handshake.len()), &handshake].concat()
}

#[test]
fn what_is_no_tls_ends_and_others_shake_hands() {
    let echo = Echo::start("a");
    let limits = Limits { header_read_timeout: Duration::from_millis(300), ..Limits::default() };
    let (proxy, authority) = secure(&echo, limits);
    let address = proxy.gateway(443);
    let modern = hello([3, 1], [3, 3]);
    let half = &modern[..modern.len() / 2];
    let mut lying = modern.clone();
    // Its handshake says that it is of 16 MiB.
    lying[6..9].copy_from_slice(&[0xff, 0xff, 0xff]);
    let endless = [&[22, 3, 1, 0x40, 0][..], &[1, 0xff, 0xff, 0xff], &[0; 0x4000 - 4]].concat().repeat(64);
    for (what, bytes) in [
        ("garbage", b"\xff\xfe\xfd\xfc garbage".to_vec()),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n".to_vec()),
        ("half a hello", half.to_vec()),
        ("one byte of a hello", vec![22]),
        ("a hello that says it is longer", lying),
        ("a hello without end", endless),
        ("a record of the greatest length", [&[22, 3, 3, 0xff, 0xff][..], &[0; 1000]].concat()),
        ("empty records", [22, 3, 3, 0, 0].repeat(1000)),
        ("an alert first", vec![21, 3, 3, 0, 2, 2, 40]),
        ("a hello of SSL 2", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]),
        ("a hello of SSL 3", hello([3, 0], [3, 0])),
        ("a hello of TLS 1.0", hello([3, 1], [3, 1])),
        ("a hello of TLS 1.1", hello([3, 1], [3, 2])),
        ("two hellos", modern.repeat(2)),
    ] {
        let mut stream = connect(address);
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let is_late = ended.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!is_late, "{what}: the connection ends");
        assert!(answer.first().is_none_or(|kind| [21, 22].contains(kind)), "{what}: at most a word of TLS: {answer:?}");
        let mut client = Speaker::new(&authority).connect(address, "x.com");
        assert_eq!(client.get("x.com", "/", "").status, 200, "others are served after {what}");
    }
    assert_eq!(echo.seen().len(), 14, "nothing else went upstream");
    let admin = proxy.admin().expect("an admin server");
    wait_for("nothing to be left", || sample(admin, "malha_connections") == 0);
}

#[test]
fn slow_handshakes_end_and_others_shake_hands_meanwhile() {
    const CLIENTS: usize = 100;
    let echo = Echo::start("a");
    // A record of 16 KiB that comes byte by byte.
    let begin = |address| Trickle::start(CLIENTS, address, "\x16\x03\x01\x3f\x7f\x01\0\x3f\x7b\x03\x03", 7);
    let (proxy, authority) = secure(&echo, head_within(LONG));
    let (address, admin) = (proxy.gateway(443), proxy.admin().expect("an admin server"));
    let slow = begin(address);
    wait_for("them to be there", || sample(admin, "malha_connections") >= CLIENTS as u64);
    for _ in 0..10 {
        let mut client = Speaker::new(&authority).connect(address, "x.com");
        assert_eq!(client.get("x.com", "/", "").status, 200);
    }
    assert_eq!(slow.stop(), 0, "all were open meanwhile");
    let (proxy, _) = secure(&echo, head_within(Duration::from_millis(500)));
    let slow = begin(proxy.gateway(443));
    wait_for("the end of each", || slow.thread.is_finished());
    assert_eq!(slow.stop(), CLIENTS);
}

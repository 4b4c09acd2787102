//! Connections that change their protocol (semantics A65, C46).

use crate::common::{client::Client, echo::Echo, lines::Lines, mesh, options, start, wait_for};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// An upstream that agrees to every wish for another protocol, tells the head that asked, and then sends back each line
/// in capitals; `bye` ends it.
fn talker() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || talk(&stream, &seen));
        }
    });
    (address, heads)
}

fn talk(mut stream: &TcpStream, heads: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let agrees =
        head.iter().any(|line| line.eq_ignore_ascii_case("upgrade: websocket")) || head[0].contains("/uncalled");
    heads.lock().unwrap().push(head.join("\n"));
    let answer = if agrees {
        // What follows at once must not get lost.
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nhello\n"
    } else {
        "HTTP/1.1 200 OK\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok"
    };
    let _ = stream.write_all(answer.as_bytes());
    for line in lines.take_while(|line| agrees && line != "bye") {
        let _ = stream.write_all(format!("{}\n", line.to_uppercase()).as_bytes());
    }
    let _ = stream.shutdown(Shutdown::Both);
}

const ROUTE: &str = "  - route: [{destination: {host: a}}]\n    timeout: 200ms\n";

fn asking(protocol: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: shop.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: {protocol}\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A connection after its 101, and the head of that.
fn changed(address: SocketAddr, rest: &str) -> (BufReader<TcpStream>, Vec<String>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all((asking("websocket") + rest).as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let head = std::iter::from_fn(|| Some(line(&mut reader)).filter(|line| !line.is_empty())).collect();
    (reader, head)
}

fn line(reader: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    line.trim_end().to_ascii_lowercase()
}

#[test]
fn bytes_go_both_ways_after_the_answer_whatever_the_timeout_says() {
    let (upstream, heads) = talker();
    let lines = Lines::default();
    let proxy = start(mesh::gateway(ROUTE, &[upstream], &[]), lines.options());
    // The first line comes with the request, before the 101.
    let (mut reader, head) = changed(proxy.gateway(80), "early\n");
    assert_eq!(head[0], "http/1.1 101 switching protocols");
    for wanted in ["connection: upgrade", "upgrade: websocket", "sec-websocket-accept: x", "server: istio-envoy"] {
        assert!(head.iter().any(|line| line == wanted), "{wanted}: {head:?}");
    }
    assert!(!head.iter().any(|line| line.starts_with("transfer-encoding") || line.starts_with("content-length")));
    assert_eq!(line(&mut reader), "hello");
    assert_eq!(line(&mut reader), "early");
    std::thread::sleep(Duration::from_millis(300));
    reader.get_mut().write_all(b"late\n").unwrap();
    assert_eq!(line(&mut reader), "late", "C46: past the route's timeout");
    assert!(lines.now().is_empty(), "it is not over");
    reader.get_mut().write_all(b"bye\n").unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("an end");
    let entry = lines.wait(1).remove(0);
    assert!(entry.contains("\"GET /chat HTTP/1.1\" 101 - via_upstream - \"-\" 15 17 "), "{entry}");
    let head = heads.lock().unwrap()[0].clone().to_ascii_lowercase();
    for wanted in ["connection: keep-alive, upgrade", "upgrade: websocket", "sec-websocket-version: 13"] {
        assert!(head.lines().any(|line| line == wanted), "{wanted}: {head}");
    }
    assert!(!head.contains("transfer-encoding"), "{head}");
}

#[test]
fn a_client_that_leaves_ends_the_upstream_and_nothing_is_left() {
    let (upstream, _) = talker();
    let lines = Lines::default();
    let proxy = start(mesh::gateway(ROUTE, &[upstream], &[]), lines.options());
    let admin = proxy.admin().expect("an admin server");
    let gauges = || {
        let metrics = Client::connect(admin).get("localhost", "/metrics", "").text();
        let gauge = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        (gauge("malha_connections "), gauge("malha_upstream_connections "))
    };
    let (reader, _) = changed(proxy.gateway(80), "");
    assert_eq!(gauges(), (Some(1), Some(1)), "both sides count");
    drop(reader);
    let entry = lines.wait(1).remove(0);
    assert!(entry.contains("\" 101 DC downstream_remote_disconnect "), "{entry}");
    wait_for("both sides' ends", || gauges() == (Some(0), Some(0)));
}

#[test]
fn draining_waits_for_it_until_the_deadline() {
    let (upstream, _) = talker();
    let proxy = start(mesh::gateway(ROUTE, &[upstream], &[]), options());
    let (mut reader, _) = changed(proxy.gateway(80), "");
    assert_eq!(line(&mut reader), "hello");
    proxy.drain();
    reader.get_mut().write_all(b"more\n").unwrap();
    assert_eq!(line(&mut reader), "more");
    assert_eq!(proxy.shutdown(Duration::from_millis(50)).cut, 1);
}

#[test]
fn an_upstream_may_say_no_and_the_connection_goes_on() {
    let (upstream, _) = talker();
    let echo = Echo::start("b");
    let rules = format!("  - match: [{{uri: {{prefix: /b}}}}]\n    route: [{{destination: {{host: b}}}}]\n{ROUTE}");
    let proxy = start(mesh::gateway(&rules, &[upstream], &[echo.address]), options());
    let mut client = Client::connect(proxy.gateway(80));
    let answer = client.send(asking("websocket").replace("/chat", "/b"));
    assert_eq!((answer.status, answer.header("upgrade")), (200, None));
    assert_eq!(answer.json()["headers"]["upgrade"], "websocket");
    // Nobody asked: what an upstream advertises goes no further.
    let answer = client.get("shop.com", "/", "");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!((answer.header("upgrade"), answer.header("connection")), (None, None));
}

#[test]
fn other_protocols_are_refused_and_http2_is_passed_over() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let answer = Client::connect(proxy.gateway(80)).send(asking("irc"));
    assert_eq!((answer.status, answer.text().as_str()), (403, ""));
    assert!(echo.seen().is_empty());
    let answer = Client::connect(proxy.gateway(80)).send(asking("h2c"));
    assert_eq!((answer.status, answer.json()["headers"].get("upgrade")), (200, None));
    // Without the connection's word for it, the header is nobody's wish.
    let answer = Client::connect(proxy.gateway(80)).get("shop.com", "/", "Upgrade: websocket\r\n");
    assert_eq!((answer.status, answer.json()["headers"].get("upgrade")), (200, None));
}

#[test]
fn a_change_that_nobody_asked_for_is_an_error_of_the_upstream() {
    let (upstream, _) = talker();
    let proxy = start(mesh::gateway(ROUTE, &[upstream], &[]), options());
    let answer = Client::connect(proxy.gateway(80)).get("shop.com", "/uncalled", "");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("protocol error"), "{answer:?}");
}

#[test]
fn rules_see_the_wish() {
    let (upstream, _) = talker();
    let echo = Echo::start("b");
    let rules = "  - match: [{headers: {upgrade: {exact: websocket}}}]\n    route: [{destination: {host: a}}]
  - route: [{destination: {host: b}}]\n";
    let proxy = start(mesh::gateway(rules, &[upstream], &[echo.address]), options());
    let (_, head) = changed(proxy.gateway(80), "");
    assert_eq!(head[0], "http/1.1 101 switching protocols");
    assert_eq!(Client::connect(proxy.gateway(80)).get("shop.com", "/", "").status, 200);
    assert_eq!(echo.seen().len(), 1);
}

//! One message in is one message out, with one Host and one length, whatever the client writes.

mod common;

use common::{client::Client, echo::Echo, mesh, options, start};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";

/// Sends bytes on a connection of their own and gives the statuses of all answers.
fn statuses(address: std::net::SocketAddr, bytes: &str) -> Vec<u16> {
    let mut client = Client::connect(address);
    client.try_write(bytes.as_bytes());
    let mut statuses = Vec::new();
    while let Some(answer) = client.read() {
        statuses.push(answer.status);
        if answer.header("connection") == Some("close") || statuses.len() > 3 {
            break;
        }
    }
    statuses
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    for (what, message) in [
        ("two lengths", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 5, 6\r\n\r\nhello"),
        ("a signed length", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: +5\r\n\r\nhello"),
        (
            "an unknown coding",
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        ),
        ("a space before the colon", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length : 5\r\n\r\nhello"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: x.com\r\nX: a\r\n b\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: x.com\r\nHost: y.com\r\n\r\n"),
        ("the same host twice", "GET / HTTP/1.1\r\nHost: x.com\r\nHost: x.com\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("a host with a path", "GET / HTTP/1.1\r\nHost: x.com/y\r\n\r\n"),
        ("a byte of zero", "GET /\0 HTTP/1.1\r\nHost: x.com\r\n\r\n"),
        ("a lower-case method", "get / HTTP/1.1\r\nHost: x.com\r\n\r\n"),
        (
            "forwarding headers of the connection",
            "GET / HTTP/1.1\r\nHost: x.com\r\nConnection: x-forwarded-for\r\n\r\n",
        ),
    ] {
        assert_eq!(statuses(proxy.gateway(80), message), [400], "{what}");
    }
    assert_eq!(echo.seen().len(), 0, "nothing of it went upstream");
}

#[test]
fn length_and_coding_together_are_read_as_the_coding_and_sent_with_one() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    for order in ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        let message = format!(
            "POST / HTTP/1.1\r\nHost: x.com\r\n{order}\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: x.com\r\n\r\n"
        );
        let mut client = Client::connect(proxy.gateway(80));
        let answer = client.send(message);
        assert_eq!(answer.json()["body"], "hello");
        let lines = answer.json()["lines"].to_string().to_lowercase();
        assert!(!(lines.contains("content-length") && lines.contains("transfer-encoding")), "{lines}");
        // What follows is a request of its own, if the connection goes on at all.
        match client.read() {
            Some(next) => assert_eq!(next.json()["path"], "/next"),
            None => assert!(client.is_closed() && echo.seen().iter().all(|seen| seen["body"] == "hello")),
        }
    }
}

#[test]
fn one_host_and_one_length_go_upstream() {
    let echo = Echo::start("a");
    let rules = "  - headers:
      request:
        set: {content-length: '99', transfer-encoding: gzip, connection: keep-alive}
    rewrite: {authority: inner.com}
    route:
    - destination: {host: a}
";
    let proxy = start(mesh::gateway(rules, &[echo.address], &[]), options());
    let answer = Client::connect(proxy.gateway(80)).send(
        "POST http://outer.com/p HTTP/1.1\r\nHost: other.com\r\nConnection: close, x-drop\r\nX-Drop: 1\r\nTE: gzip\r\n\
         Keep-Alive: 5\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
    );
    let seen = answer.json();
    let names: Vec<String> = seen["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(seen["authority"], "inner.com");
    assert_eq!(seen["headers"]["x-envoy-original-host"], "outer.com");
    assert_eq!(seen["headers"]["content-length"], "2");
    assert_eq!(names.iter().filter(|name| *name == "host").count(), 1);
    for gone in ["transfer-encoding", "connection", "x-drop", "te", "keep-alive", "upgrade"] {
        assert!(!names.iter().any(|name| name == gone), "{gone}: {names:?}");
    }
}

#[test]
fn a_get_with_a_body_keeps_it() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let mut client = Client::connect(proxy.gateway(80));
    let chunked = "GET / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(client.send(chunked).json()["body"], "abc");
    let sized = "GET / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(client.send(sized).json()["body"], "abc");
}

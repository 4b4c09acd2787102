//! One message in is one message out, with one Host and one length, whatever the client writes.

use crate::common::{client::Client, echo::Echo, mesh, options, start};
use std::io::{Read as _, Write as _};

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
        ("a negative length", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: -5\r\n\r\nhello"),
        ("a length in hex", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 0x5\r\n\r\nhello"),
        ("a length with a space in it", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 1 5\r\n\r\nhello"),
        ("no length", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length:\r\n\r\nhello"),
        (
            "a length beyond all numbers",
            "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
        ),
        ("a coding alike", "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("no coding", "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
        ("a coding in quotes", "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
        (
            "a coding after a vertical tab",
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a coding on a line that is folded",
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a coding before a space and a colon",
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        ),
        ("a space before the first name", "GET / HTTP/1.1\r\n Host: x.com\r\n\r\n"),
        ("no name", "GET / HTTP/1.1\r\nHost: x.com\r\n: x\r\n\r\n"),
        ("no colon", "GET / HTTP/1.1\r\nHost: x.com\r\nwords\r\n\r\n"),
        ("a byte of zero in a value", "GET / HTTP/1.1\r\nHost: x.com\r\nX: a\0b\r\n\r\n"),
        ("a byte of zero in a name", "GET / HTTP/1.1\r\nHost: x.com\r\nX\0: a\r\n\r\n"),
        ("a lone carriage return", "GET / HTTP/1.1\r\nHost: x.com\r\nX: a\rY: b\r\n\r\n"),
        ("a space in the path", "GET /a b HTTP/1.1\r\nHost: x.com\r\n\r\n"),
        ("another scheme", "GET ftp://x.com/ HTTP/1.1\r\nHost: x.com\r\n\r\n"),
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
    // The greatest numbers stand for other things in the codec, which takes them for heads that are too large.
    let message = "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 18446744073709551615\r\n\r\nhello";
    assert_eq!(statuses(proxy.gateway(80), message), [431]);
    assert_eq!(echo.seen().len(), 0, "nothing of it went upstream");
}

#[test]
fn codings_that_are_not_understood_are_501() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    for coding in ["gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "identity,chunked"] {
        let message = format!("POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        assert_eq!(statuses(proxy.gateway(80), &message), [501], "{coding}");
    }
    assert_eq!(echo.seen().len(), 0, "nothing of it went upstream");
}

#[test]
fn what_is_written_oddly_is_sent_on_plainly() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    for (what, message, body) in [
        (
            "a coding after a tab",
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding:\tchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "hi",
        ),
        (
            "a coding in capitals",
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "hi",
        ),
        ("zeros before a length", "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 0002\r\n\r\nhi", "hi"),
        (
            "one length twice",
            "POST / HTTP/1.1\r\nHost: x.com\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
            "hi",
        ),
        ("bare line feeds", "POST / HTTP/1.1\nHost: x.com\nContent-Length: 2\n\nhi", "hi"),
        (
            "extensions of chunks, and trailers",
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b\";c\r\nhi\r\n0;d\r\n\
             X-Trailer: 1\r\nContent-Length: 9\r\n\r\n",
            "hi",
        ),
        (
            "an absolute target beside another host",
            "POST http://x.com/ HTTP/1.1\r\nHost: y.com\r\nContent-Length: 2\r\n\r\nhi",
            "hi",
        ),
        (
            "an upgrade to HTTP/2 without TLS",
            "GET / HTTP/1.1\r\nHost: x.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            "",
        ),
    ] {
        let mut client = Client::connect(proxy.gateway(80));
        let seen = client.send(message).json();
        assert_eq!((seen["body"].as_str(), seen["authority"].as_str()), (Some(body), Some("x.com")), "{what}");
        let lines = seen["lines"].to_string().to_lowercase();
        for gone in ["x-trailer", "upgrade", "http2-settings", "\\t"] {
            assert!(!lines.contains(gone), "{what}: {lines}");
        }
        let framing = lines.matches("content-length").count() + lines.matches("transfer-encoding").count();
        assert_eq!(framing, usize::from(!body.is_empty()), "{what}: {lines}");
        // What follows is a request of its own.
        if !client.try_write(b"GET /next HTTP/1.1\r\nHost: x.com\r\n\r\n") {
            continue;
        }
        if let Some(next) = client.read() {
            assert_eq!(next.json()["path"], "/next", "{what}");
        }
    }
}

#[test]
fn chunks_that_are_none_reach_nobody_whole() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    for chunks in [
        "-1\r\nhi\r\n0\r\n\r\n",
        "0x2\r\nhi\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF2\r\nhi\r\n0\r\n\r\n",
        "g\r\nhi\r\n0\r\n\r\n",
        "\r\nhi\r\n0\r\n\r\n",
        "2\r\nhi!0\r\n\r\n",
        "2\rXhi\r\n0\r\n\r\n",
    ] {
        let message = format!(
            "POST / HTTP/1.1\r\nHost: x.com\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}\
             GET /smuggled HTTP/1.1\r\nHost: x.com\r\n\r\n"
        );
        let statuses = statuses(proxy.gateway(80), &message);
        assert!(statuses.iter().all(|status| *status >= 400) && statuses.len() < 2, "{chunks:?}: {statuses:?}");
    }
    assert_eq!(echo.seen().len(), 0, "no request was whole, and none followed");
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = u32::from(kind < 4).to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// Header fields as they are, nothing indexed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("a short one")][..], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// Sends a request of HTTP/2 with a body, and gives what becomes of it: the type of the frame that ends or answers it,
/// and the first byte of its payload.
fn http2(address: std::net::SocketAddr, fields: &[(&str, &str)]) -> Option<(u8, u8)> {
    let mut stream = crate::common::client::connect(address);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let bytes = [&preface[..], &frame(4, 0, &[]), &frame(1, 4, &block(fields)), &frame(0, 1, b"hello")].concat();
    stream.write_all(&bytes).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).ok()?;
        if let 1 | 3 | 7 = head[3] {
            return Some((head[3], payload.first().copied().unwrap_or_default()));
        }
    }
}

#[test]
fn nothing_hides_in_a_request_of_http2() {
    /// The head of an answer whose status is 200.
    const SERVED: Option<(u8, u8)> = Some((1, 0x88));
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let address = proxy.gateway(80);
    let usual = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "x.com")];
    let with = |more: &[(&'static str, &'static str)]| [&usual, more].concat();
    let instead = |name: &str, value: &'static str| {
        usual.map(|(other, usual)| (other, if other == name { value } else { usual })).to_vec()
    };
    assert_eq!(http2(address, &with(&[("x-fine", "yes"), ("content-length", "5")])), SERVED);
    assert_eq!(echo.seen().len(), 1);
    for (what, fields) in [
        ("a coding", with(&[("transfer-encoding", "chunked")])),
        ("a connection header", with(&[("connection", "close")])),
        ("an upgrade", with(&[("upgrade", "websocket")])),
        ("another TE", with(&[("te", "gzip")])),
        ("a length that is too small", with(&[("content-length", "3")])),
        ("a length that is too great", with(&[("content-length", "9")])),
        ("a length that is none", with(&[("content-length", "+5")])),
        ("a line break in a value", with(&[("x", "a\r\nTransfer-Encoding: chunked")])),
        ("a line feed in a value", with(&[("x", "a\nb: c")])),
        ("a byte of zero in a value", with(&[("x", "a\0b")])),
        ("a line break in a name", with(&[("x: a\r\ny", "b")])),
        ("a colon in a name", with(&[("x:y", "b")])),
        ("a capital in a name", with(&[("X-Y", "b")])),
        ("no name", with(&[("", "b")])),
        ("an unknown pseudo-header", with(&[(":evil", "b")])),
        ("a pseudo-header after others", [&[("x", "y")][..], &usual].concat()),
        ("two paths", with(&[(":path", "/other")])),
        ("no path", usual.into_iter().filter(|(name, _)| *name != ":path").collect()),
        ("an empty path", instead(":path", "")),
        ("a line break in the path", instead(":path", "/ HTTP/1.1\r\nHost: y.com\r\n\r\nGET /")),
        ("a space in the path", instead(":path", "/ HTTP/1.1")),
        ("a line break in the method", instead(":method", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET")),
        ("a space in the method", instead(":method", "GET /other")),
        ("a line break in the authority", instead(":authority", "x.com\r\nX: y")),
        ("a path in the authority", instead(":authority", "x.com/y")),
        ("another scheme", instead(":scheme", "ftp")),
    ] {
        let became = http2(address, &fields);
        assert!(became != SERVED, "{what}: {became:?}");
    }
    assert_eq!(echo.seen().len(), 1, "nothing of it went upstream: {:?}", echo.seen());
    assert_eq!(http2(address, &usual), SERVED, "others are served on");
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

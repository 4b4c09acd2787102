//! HTTP/2 of clients (semantics A7, A51): agreed on in TLS, or by prior knowledge.

use crate::common::{client::get, echo::Echo, mesh, options, start};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use malha_proxy::{Limits, Options};
use std::{io::Write as _, net::SocketAddr};

const ROUTE: &str = "  - route: [{destination: {host: a}}]\n";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn connect(address: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

fn request(address: SocketAddr, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::builder().method("POST").uri(format!("http://{address}{path}")).version(Version::HTTP_2);
    request.header("host", "shop.com").body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

#[test]
fn requests_by_prior_knowledge_share_a_connection() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let address = proxy.gateway(80);
    runtime().block_on(async {
        let sender = connect(address).await;
        let answers = (0..20).map(|number| {
            let mut sender = sender.clone();
            async move {
                let response = sender.send_request(request(address, &format!("/{number}"), "hello")).await.unwrap();
                assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
                assert_eq!(response.headers()["server"], "istio-envoy");
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(seen["path"], format!("/{number}"), "{seen}");
                // The authority is the target's; Host beside it says nothing.
                assert_eq!(seen["authority"], address.to_string(), "{seen}");
            }
        });
        for answer in answers.map(tokio::spawn).collect::<Vec<_>>() {
            answer.await.unwrap();
        }
    });
    assert_eq!(get(address, "shop.com", "/", "").status, 200, "A7: HTTP/1.1 on the same port");
}

#[test]
fn draining_lets_the_request_at_hand_end() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let address = proxy.gateway(80);
    runtime().block_on(async {
        let mut sender = connect(address).await;
        let delayed = Request::builder().uri(format!("http://{address}/")).header("x-echo-delay", "300");
        let answer = tokio::spawn(sender.send_request(delayed.body(Full::default()).unwrap()));
        while echo.seen().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        proxy.drain();
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        // GOAWAY: nothing more is taken on this connection.
        assert!(sender.send_request(request(address, "/", "")).await.is_err());
    });
}

#[test]
fn too_many_headers_are_refused() {
    let echo = Echo::start("a");
    let limits = Limits { header_bytes: 8192, ..Limits::default() };
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), Options { limits, ..options() });
    let address = proxy.gateway(80);
    runtime().block_on(async {
        for (lines, length) in [(101, 1), (2, 8192)] {
            let mut sender = connect(address).await;
            let mut large = request(address, "/", "");
            for line in 0..lines {
                let name = http::HeaderName::try_from(format!("x-{line}")).unwrap();
                large.headers_mut().insert(name, "y".repeat(length).parse().unwrap());
            }
            let status = sender.send_request(large).await.map(|response| response.status().as_u16());
            assert!(matches!(status, Ok(431) | Err(_)), "{lines} lines of {length}: {status:?}");
        }
    });
    assert!(echo.seen().is_empty());
    assert_eq!(get(address, "shop.com", "/", "").status, 200, "others are served on");
}

/// A frame, by its type, flags, stream and payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sends frames until the proxy closes the connection; whether it does before all of them.
fn is_cut_off(address: SocketAddr, frames: impl Iterator<Item = Vec<u8>>) -> bool {
    let mut stream = crate::common::client::connect(address);
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    for frame in frames {
        if stream.write_all(&frame).is_err() || reading.is_finished() {
            return true;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    false
}

/// A request for `/` of `x`, by the static table alone.
const HEADERS: &[u8] = &[0x82, 0x86, 0x84, 0x01, 0x01, b'x'];

#[test]
fn abusive_frames_end_the_connection() {
    let echo = Echo::start("a");
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options());
    let address = proxy.gateway(80);
    let resets = (0..500_000u32).map(|number| {
        let stream = 2 * number + 1;
        [frame(1, 0b101, stream, HEADERS), frame(3, 0, stream, &8u32.to_be_bytes())].concat()
    });
    assert!(is_cut_off(address, resets), "rapid reset");
    let settings = (0..2_000_000).map(|_| frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]));
    let unread = is_cut_off_unread(address, settings);
    assert!(unread, "a flood of settings whose acknowledgements nobody reads");
    let endless = std::iter::once(frame(1, 0, 1, HEADERS))
        .chain((0..100_000).map(|_| frame(9, 0, 1, &[0x40, 1, b'a', 1, b'b'].repeat(200))));
    assert!(is_cut_off(address, endless), "headers without end");
    for garbage in [frame(0, 0, 0, b"data for nobody"), frame(1, 4, 2, HEADERS), vec![0xff; 100]] {
        assert!(is_cut_off(address, std::iter::repeat_n(garbage, 100_000)), "frames that may not be");
    }
    assert_eq!(get(address, "shop.com", "/", "").status, 200, "others are served on");
}

/// As [`is_cut_off`], by a client that never reads: whether its writes come to an end, since the proxy stops reading.
fn is_cut_off_unread(address: SocketAddr, frames: impl Iterator<Item = Vec<u8>>) -> bool {
    let mut stream = crate::common::client::connect(address);
    stream.set_write_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    stream.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).unwrap();
    for frame in frames {
        if stream.write_all(&frame).is_err() {
            return true;
        }
    }
    false
}

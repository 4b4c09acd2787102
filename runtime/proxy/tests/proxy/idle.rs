//! How long a client may hold a connection while it says nothing, sends too slowly, or does not read (semantics A69).

use crate::common::{
    Running,
    client::{Client, connect, get},
    echo::Echo,
    held::Gated,
    mesh, options, sample, start, wait_for,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use malha_proxy::{AccessLog, Limits, Options};
use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

const ROUTE: &str = "  - route:\n    - destination: {host: a}\n";
const SHORT: Duration = Duration::from_millis(100);

fn limited(upstream: SocketAddr, limits: Limits) -> Running {
    start(mesh::gateway(ROUTE, &[upstream], &[]), Options { limits, ..options() })
}

#[test]
fn a_silent_connection_is_closed_and_one_that_waits_for_its_answer_is_not() {
    let Gated { echo, gate } = Gated::start();
    let proxy = limited(echo.address, Limits { client_idle_timeout: SHORT, ..Limits::default() });
    let mut waits = Client::connect(proxy.gateway(80));
    waits.write(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n");
    wait_for("the request to arrive", || echo.seen().len() == 1);
    // Its time is over later than that of the one that waits would be.
    let mut idle = Client::connect(proxy.gateway(80));
    assert_eq!(idle.send("OPTIONS * HTTP/1.1\r\nHost: x.com\r\n\r\n").status, 404);
    assert!(idle.is_closed(), "without a word");
    gate.open();
    assert_eq!(waits.read().map(|answer| answer.status), Some(200));
    assert!(waits.is_closed(), "and then its own is over, too");
}

#[test]
fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let echo = Echo::start("a");
    let proxy = limited(echo.address, Limits { header_read_timeout: SHORT, ..Limits::default() });
    let mut idle = Client::connect(proxy.gateway(80));
    assert_eq!(idle.get("x.com", "/", "").status, 200);
    let mut slow = Client::connect(proxy.gateway(80));
    assert_eq!(slow.get("x.com", "/", "").status, 200);
    slow.write(b"G");
    assert!(slow.is_closed(), "a head that was begun");
    assert_eq!(idle.get("x.com", "/", "").status, 200);
}

#[test]
fn a_silent_connection_of_http2_is_told_to_go() {
    let echo = Echo::start("a");
    let proxy = limited(echo.address, Limits { client_idle_timeout: SHORT, ..Limits::default() });
    let address = proxy.gateway(80);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, driver) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(driver);
        let request = Request::get(format!("http://{address}/")).header("x-echo-delay", "300");
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "a stream under way is waited for");
        answer.into_body().collect().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), driver).await;
        ended.expect("the connection ends").unwrap().expect("in good order");
    });
}

#[test]
fn a_body_that_does_not_go_on_is_answered_with_408() {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let own = Arc::clone(&lines);
    let log = AccessLog::to_function(move |line| own.lock().unwrap().push(line.to_owned()));
    let echo = Echo::start("a");
    let limits = Limits { stream_idle_timeout: SHORT, ..Limits::default() };
    let options = Options { limits, access_log: Some(log), ..options() };
    let proxy = start(mesh::gateway(ROUTE, &[echo.address], &[]), options);
    for framing in ["Content-Length: 9\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n4\r\n"] {
        let mut client = Client::connect(proxy.gateway(80));
        let answer = client.send(format!("POST / HTTP/1.1\r\nHost: x.com\r\n{framing}half"));
        assert_eq!((answer.status, answer.text().as_str()), (408, "stream timeout"));
        assert!(client.is_closed());
    }
    wait_for("the log", || lines.lock().unwrap().len() >= 2);
    let told = lines.lock().unwrap().clone();
    assert!(told.iter().all(|line| line.contains(" 408 SI stream_idle_timeout ")), "{told:?}");
    // An upstream that takes its time is not the client's fault.
    let answer = get(proxy.gateway(80), "x.com", "/", "x-echo-delay: 300\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_its_upstream_freed() {
    let echo = Echo::start_with("a", |_, _| {
        let length = 32 * 1024 * 1024;
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + length, b'x');
        Some(answer)
    });
    let proxy = limited(echo.address, Limits { stream_idle_timeout: SHORT, ..Limits::default() });
    let admin = proxy.admin().expect("an admin server");
    let mut client = connect(proxy.gateway(80));
    client.write_all(b"GET / HTTP/1.1\r\nHost: x.com\r\n\r\n").unwrap();
    wait_for("the request to arrive", || !echo.seen().is_empty());
    wait_for("its connection to be closed", || sample(admin, "malha_connections") == 0);
    wait_for("the upstream's, too", || sample(admin, "malha_upstream_connections") == 0);
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert!(rest.len() < 32 * 1024 * 1024, "the answer was not whole");
}

#[test]
fn a_client_of_http2_may_open_a_connection_ahead_of_its_first_request() {
    let echo = Echo::start("a");
    let proxy = limited(echo.address, Limits { header_read_timeout: SHORT, ..Limits::default() });
    let address = proxy.gateway(80);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        // Longer than a head may take: its settings are none.
        tokio::time::sleep(SHORT * 4).await;
        let request = Request::get(format!("http://{address}/")).body(Empty::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    });
}

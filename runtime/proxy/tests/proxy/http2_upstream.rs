//! HTTP/2 to upstreams (semantics D37), and gRPC through the proxy: trailers, statuses, resets.

use crate::common::{client::get, lines::Lines, mesh, options, start, wait_for};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use malha_proxy::{LineFormat, Options};
use malha_table::Table;
use std::{
    convert::Infallible,
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

type Body = BoxBody<Bytes, Infallible>;

/// An upstream that speaks HTTP/2 alone, and how many connections it has had.
struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    fn start<F: Future<Output = Response<Body>> + Send + 'static>(
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = Upstream { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = Arc::clone(&upstream.connections);
        std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    let answer = answer.clone();
                    let service = service_fn(move |request| {
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    tokio::spawn(
                        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service),
                    );
                }
            });
        });
        upstream
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What it saw, as text; trailers included.
async fn told(request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let trailer = body.trailers().and_then(|trailers| trailers.get("x-checksum")).cloned();
    let text = format!(
        "{:?} {} host={:?} te={:?} body={:?} trailer={trailer:?}",
        parts.version,
        parts.uri,
        parts.headers.get("host"),
        parts.headers.get("te"),
        body.to_bytes()
    );
    Response::new(Full::from(text).boxed())
}

/// The answer of a gRPC server with a message and this status.
fn grpc(status: &'static str) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from_static(b"message"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(Frames(frames.into_iter().collect()));
    Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
}

/// Frames that are there already.
struct Frames(std::collections::VecDeque<Result<Frame<Bytes>, Infallible>>);

impl futures_core::Stream for Frames {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}

fn table(upstreams: &[SocketAddr], more: &str) -> Arc<Table> {
    let rules = "  - route: [{destination: {host: a}}]\n";
    let text = mesh::gateway_text(rules).replace("name: http, port: 80}", "name: grpc, port: 80}") + more;
    mesh::compile(&text, upstreams, &[])
}

async fn connect(address: SocketAddr) -> client::conn::http2::SendRequest<BoxBody<Bytes, Infallible>> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn call(address: SocketAddr) -> Request<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from_static(b"question"))), Ok(Frame::trailers(trailers))];
    let request = Request::post(format!("http://{address}/shop.Orders/Get")).version(Version::HTTP_2);
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    request.body(StreamBody::new(Frames(frames.into_iter().collect())).boxed()).unwrap()
}

#[test]
fn clients_of_both_protocols_share_a_connection_upstream() {
    let upstream = Upstream::start(told);
    let proxy = start(table(&[upstream.address], ""), options());
    let address = proxy.gateway(80);
    let answer = get(address, "shop.com", "/x?y", "");
    assert_eq!(answer.text(), "HTTP/2.0 http://shop.com/x?y host=None te=None body=b\"\" trailer=None", "D37");
    runtime().block_on(async {
        let sender = connect(address).await;
        let calls = (0..20).map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let response = sender.send_request(call(address)).await.unwrap();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let text = String::from_utf8_lossy(&body).into_owned();
                assert!(text.contains("te=Some(\"trailers\") body=b\"question\" trailer=Some(\"7\")"), "{text}");
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    });
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn an_endpoint_hears_what_its_client_speaks_where_the_policy_says_so() {
    let upstream = Upstream::start(told);
    let echo = crate::common::echo::Echo::start("a");
    let rule = &mesh::policy_of_a("connectionPool: {http: {useClientProtocol: true}}");
    let proxy = start(table(&[echo.address], rule), options());
    let address = proxy.gateway(80);
    assert_eq!(get(address, "shop.com", "/", "").json()["name"], "a", "D.6: HTTP/1.1 to HTTP/1.1");
    proxy.swap(table(&[upstream.address], rule));
    runtime().block_on(async {
        let response = connect(address).await.send_request(call(address)).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"HTTP/2.0 "), "D.6: HTTP/2 to HTTP/2: {body:?}");
    });
}

#[test]
fn a_connection_has_no_more_streams_at_once_than_the_policy_says() {
    let (open, opened) = tokio::sync::watch::channel(false);
    let upstream = Upstream::start(move |_| {
        let mut opened = opened.clone();
        async move {
            let _ = opened.wait_for(|&is_open| is_open).await;
            Response::new(Full::from("ok").boxed())
        }
    });
    let rule = &mesh::policy_of_a("connectionPool: {tcp: {maxConnections: 2}, http: {maxConcurrentStreams: 2}}");
    let proxy = start(table(&[upstream.address], rule), Options { cores: 1, ..options() });
    let (address, admin) = (proxy.gateway(80), proxy.admin().unwrap());
    let asking: Vec<_> = (0..5).map(|_| std::thread::spawn(move || get(address, "shop.com", "/", "").status)).collect();
    // Four on two connections; the fifth may open no third and waits for its turn.
    let cluster = "cluster=\"outbound|80||a.default.svc.cluster.local\"";
    let waits = format!("malha_cluster_used{{{cluster},resource=\"connections\"}} 2");
    wait_for("two connections", || get(admin, "localhost", "/metrics", "").text().contains(&waits));
    wait_for("both are there", || upstream.connections.load(Ordering::SeqCst) == 2);
    open.send(true).unwrap();
    for asking in asking {
        assert_eq!(asking.join().unwrap(), 200);
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn what_is_refused_for_its_number_leaves_the_connection_to_others() {
    let (open, opened) = tokio::sync::watch::channel(false);
    let slow = Upstream::start(move |_| {
        let mut opened = opened.clone();
        async move {
            let _ = opened.wait_for(|&is_open| is_open).await;
            Response::new(Full::from("slow").boxed())
        }
    });
    let fast = Upstream::start(|_| async { Response::new(Full::from("fast").boxed()) });
    let rule = &mesh::policy_of_a(
        "loadBalancer: {simple: ROUND_ROBIN}, connectionPool: {tcp: {maxConnections: 1}, http: {maxConcurrentStreams: 1, http2MaxRequests: 1}}",
    );
    let proxy = start(table(&[slow.address, fast.address], rule), Options { cores: 1, ..options() });
    let address = proxy.gateway(80);
    let held = std::thread::spawn(move || get(address, "shop.com", "/", "").text());
    wait_for("the slow one has it", || slow.connections.load(Ordering::SeqCst) == 1);
    // It has the only share of a new connection, and is one request too many.
    wait_for("a refusal", || get(address, "shop.com", "/", "").status == 503);
    open.send(true).unwrap();
    assert_eq!(held.join().unwrap(), "slow");
    for _ in 0..6 {
        assert_eq!(get(address, "shop.com", "/", "").status, 200);
    }
}

#[test]
fn what_http2_cannot_say_is_not_the_endpoints_fault() {
    let upstream = Upstream::start(told);
    let rule = &mesh::policy_of_a(
        "outlierDetection: {consecutive5xxErrors: 1, interval: 1h, baseEjectionTime: 1h, maxEjectionPercent: 100}",
    );
    let proxy = start(table(&[upstream.address], rule), options());
    let address = proxy.gateway(80);
    let answer = get(address, "shop.com", "/", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_eq!(answer.status, 502);
    assert_eq!(get(address, "a%b", "/", "").status, 502);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 0, "nothing was sent");
    assert_eq!(get(address, "shop.com", "/", "").status, 200);
}

#[test]
fn a_grpc_client_says_how_long_it_waits() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let said = request.headers().get("grpc-timeout").cloned();
        tokio::time::sleep(std::time::Duration::from_millis(if said.is_some() { 3000 } else { 0 })).await;
        grpc("0")
    });
    let proxy = start(table(&[upstream.address], ""), options());
    let address = proxy.gateway(80);
    runtime().block_on(async {
        let mut sender = connect(address).await;
        let mut request = call(address);
        request.headers_mut().insert("grpc-timeout", "150m".parse().unwrap());
        let started = std::time::Instant::now();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["grpc-status"]),
            (200, &"14".parse().unwrap()),
            "C44"
        );
        assert!(started.elapsed() < std::time::Duration::from_millis(2500));
        let response = sender.send_request(call(address)).await.unwrap();
        assert!(response.into_body().collect().await.unwrap().trailers().is_some(), "others wait");
    });
}

#[test]
fn trailers_of_answers_reach_clients_of_http2() {
    let upstream = Upstream::start(|_| async { grpc("5") });
    let proxy = start(table(&[upstream.address], ""), options());
    let address = proxy.gateway(80);
    runtime().block_on(async {
        let response = connect(address).await.send_request(call(address)).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "5");
        assert_eq!(body.to_bytes(), "message");
    });
    assert_eq!(get(address, "shop.com", "/", "").text(), "message", "of HTTP/1.1 they are dropped");
}

#[test]
fn trailers_are_logged() {
    let upstream = Upstream::start(|_| async { grpc("5") });
    let lines = Lines::default();
    let format = LineFormat::text("%TRAILER(grpc-status)% %TRAILER(x?GRPC-STATUS)% %TRAILER(x)%").expect("a format");
    let options = Options { access_log: Some(lines.log().in_lines(format)), ..options() };
    let proxy = start(table(&[upstream.address], ""), options);
    assert_eq!(get(proxy.gateway(80), "x.com", "/", "").status, 200);
    assert_eq!(lines.wait(1), ["5 5 -"], "C85");
}

#[test]
fn a_grpc_status_in_trailers_counts_for_outlier_detection() {
    let upstream = Upstream::start(|_| async { grpc("14") });
    let rule = &mesh::policy_of_a(
        "outlierDetection: {consecutive5xxErrors: 2, interval: 1h, baseEjectionTime: 1h, maxEjectionPercent: 100}",
    );
    let proxy = start(table(&[upstream.address], rule), options());
    let address = proxy.gateway(80);
    runtime().block_on(async {
        let mut sender = connect(address).await;
        for _ in 0..2 {
            let response = sender.send_request(call(address)).await.unwrap();
            assert!(response.into_body().collect().await.unwrap().trailers().is_some());
        }
    });
    let admin = proxy.admin().unwrap();
    wait_for("the ejection", || get(admin, "localhost", "/metrics", "").text().contains("malha_endpoint_ejected"));
    assert_eq!(get(address, "shop.com", "/", "").status, 503, "D40");
}

/// An upstream that answers each request's stream with `RST_STREAM` and this code; it counts them.
fn resetting(code: u32) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let resets: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&resets);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let resets = Arc::clone(&counted);
            std::thread::spawn(move || -> std::io::Result<()> {
                stream.read_exact(&mut [0; 24])?;
                stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])?;
                loop {
                    let mut head = [0; 9];
                    stream.read_exact(&mut head)?;
                    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                    stream.read_exact(&mut payload)?;
                    match head[3] {
                        1 => {
                            resets.fetch_add(1, Ordering::SeqCst);
                            let reset = [&[0, 0, 4, 3, 0], &head[5..9], &code.to_be_bytes()[..]].concat();
                            stream.write_all(&reset)?;
                        }
                        4 if head[4] == 0 => stream.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0])?,
                        _ => {}
                    }
                }
            });
        }
    });
    (address, resets)
}

#[test]
fn a_refused_stream_is_tried_again_and_another_reset_is_not() {
    for (code, tries, is_retried) in [(7, 3, true), (2, 1, false)] {
        let (upstream, resets) = resetting(code);
        let proxy = start(table(&[upstream], ""), options());
        let answer = get(proxy.gateway(80), "shop.com", "/", "");
        assert_eq!((answer.status, resets.load(Ordering::SeqCst)), (503, tries), "C47: code {code}");
        let again = if is_retried { "retried and the latest " } else { "" };
        let body =
            format!("upstream connect error or disconnect/reset before headers. {again}reset reason: remote reset");
        assert_eq!(answer.text(), body, "C.12");
    }
}

#[test]
fn one_connection_takes_as_many_requests_as_the_policy_says() {
    let upstream = Upstream::start(told);
    let rule = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 3}}}
";
    let proxy = start(table(&[upstream.address], rule), options());
    for _ in 0..9 {
        assert_eq!(get(proxy.gateway(80), "shop.com", "/", "").status, 200);
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 3, "D.6");
}

//! Bytes through proxies that are asked by CONNECT (semantics D60): in the protocol of their cluster, with TLS and without,
//! for clients of gateways and of the mesh.

use crate::common::{
    Running,
    client::{connect, has_ended, tunnel},
    lines::Lines,
    mesh, options,
    plain::serving,
    start,
    tls::{Authority, Certified},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use malha_mesh::{MeshConfig, ProxySpec};
use malha_proxy::{Credentials, Options, Revision};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc::channel},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// An endpoint of either version of HTTP. It tells what it was asked; in a tunnel it speaks first, and then sends back in
/// capitals what came, once that has ended.
#[derive(Clone)]
struct Endpoint {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    status: u16,
}

impl Endpoint {
    fn start(status: u16, own: Option<&Certified>) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = Endpoint { address: listener.local_addr().unwrap(), asked: Arc::default(), status };
        let (serving, tls) = (endpoint.clone(), own.map(|own| TlsAcceptor::from(Arc::new(server_config(own)))));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (endpoint, tls) = (serving.clone(), tls.clone());
                    tokio::spawn(async move {
                        match tls {
                            None => endpoint.serve(stream, "plain".to_owned()).await,
                            Some(tls) => {
                                let Ok(stream) = tls.accept(stream).await else { return };
                                let agreed = stream.get_ref().1.alpn_protocol().map(String::from_utf8_lossy);
                                let agreed = format!("TLS {}", agreed.unwrap_or_default());
                                endpoint.serve(stream, agreed).await;
                            }
                        }
                    });
                }
            });
        });
        endpoint
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, over: String) {
        let service = service_fn(move |request| {
            let answer = self.answer(request, &over);
            async move { Ok::<_, Infallible>(answer) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
    }

    fn answer(&self, request: Request<Incoming>, over: &str) -> Response<Empty<Bytes>> {
        let host = request.headers().get("host").map_or("none", |host| host.to_str().unwrap());
        let asked = format!("{over}, {:?} {} {}, Host: {host}", request.version(), request.method(), request.uri());
        self.asked.lock().unwrap().push(asked);
        if self.status == 200 {
            tokio::spawn(async move {
                let mut bytes = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                let mut text = Vec::new();
                bytes.write_all(b"welcome ").await.unwrap();
                bytes.read_to_end(&mut text).await.unwrap();
                bytes.write_all(&text.to_ascii_uppercase()).await.unwrap();
                bytes.shutdown().await.unwrap();
            });
        }
        Response::builder().status(self.status).body(Empty::new()).unwrap()
    }
}

fn server_config(own: &Certified) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(own.key_der()).unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![own.der().to_vec().into()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Who asks for tunnels.
#[derive(Clone, Copy, Debug)]
enum Side {
    Gateway,
    Mesh,
}

/// A proxy that passes bytes of port 5432 on to the port of this name of `b`, whose policy is a tunnel and this.
fn proxy(
    side: Side,
    port: &str,
    policy: &str,
    endpoint: SocketAddr,
    authority: &Authority,
    options: Options,
) -> Running {
    let services = mesh::SERVICES.replace(
        "  - {name: http, port: 80}\n",
        &format!("  - {{name: {port}, port: 80}}\n  - {{name: tcp, port: 5432}}\n"),
    );
    let text = format!(
        "{services}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gw, namespace: default}}
spec:
  selector: {{istio: ingress}}
  servers:
  - {{port: {{number: 5432, name: tcp, protocol: TCP}}, hosts: ['*']}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: a, namespace: default}}
spec:
  hosts: [a]
  gateways: [gw, mesh]
  tcp: [{{route: [{{destination: {{host: b, port: {{number: 80}}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: b, namespace: default}}
spec: {{host: b, trafficPolicy: {{tunnel: {{targetHost: db.example.com, targetPort: 5432}}{policy}}}}}
"
    );
    let proxies = match side {
        Side::Gateway => vec![],
        Side::Mesh => vec![ProxySpec::default_sidecar()],
    };
    let table = mesh::compile_with(&text, &proxies, MeshConfig::default(), |_| Some(vec![endpoint]));
    let mut credentials = Credentials::default();
    credentials.insert_file("/ca.pem", Arc::from(authority.pem().into_bytes()));
    start(Revision { table, credentials }, options)
}

fn open(side: Side, proxy: &Running) -> TcpStream {
    match side {
        Side::Gateway => connect(proxy.gateway(5432)),
        Side::Mesh => tunnel(proxy.outbound(), "a:5432").expect("a tunnel"),
    }
}

const TLS: &str = ", tls: {mode: SIMPLE, caCertificates: /ca.pem, sni: proxy.example.com}";

#[test]
fn endpoints_are_asked_in_the_protocol_of_their_cluster() {
    let authority = Authority::new();
    let own = authority.issue(&["proxy.example.com"]);
    for (port, policy, asked) in [
        ("http", "", "plain, HTTP/1.1 CONNECT db.example.com:5432, Host: db.example.com:5432"),
        ("tcp-db", TLS, "TLS , HTTP/1.1 CONNECT db.example.com:5432, Host: db.example.com:5432"),
        ("http2-web", "", "plain, HTTP/2.0 CONNECT db.example.com:5432, Host: none"),
        ("grpc", TLS, "TLS h2, HTTP/2.0 CONNECT db.example.com:5432, Host: none"),
    ] {
        for side in [Side::Gateway, Side::Mesh] {
            let endpoint = Endpoint::start(200, (policy == TLS).then_some(&own));
            let proxy = proxy(side, port, policy, endpoint.address, &authority, options());
            let mut stream = open(side, &proxy);
            let mut greeting = [0; 8];
            stream.read_exact(&mut greeting).expect("the destination speaks first");
            assert_eq!(&greeting, b"welcome ", "D60: {port}, {side:?}");
            // More than is under way at once.
            let sent = "hello".repeat(600_000);
            let mut writing = stream.try_clone().unwrap();
            let whole = sent.clone();
            let writer = std::thread::spawn(move || {
                writing.write_all(whole.as_bytes()).unwrap();
                writing.shutdown(Shutdown::Write).unwrap();
            });
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            writer.join().unwrap();
            assert!(text == sent.to_uppercase(), "D60: each side ends for itself: {port}, {side:?}, {}", text.len());
            assert_eq!(*endpoint.asked.lock().unwrap(), [asked], "D60, D37, D55: {port}, {side:?}");
        }
    }
}

#[test]
fn who_is_refused_a_tunnel_is_closed() {
    let authority = Authority::new();
    for port in ["http", "http2-web"] {
        let lines = Lines::default();
        let endpoint = Endpoint::start(403, None);
        let proxy = proxy(Side::Mesh, port, "", endpoint.address, &authority, lines.options());
        assert!(has_ended(&mut open(Side::Mesh, &proxy)), "D60: {port}");
        let line = lines.wait(1).remove(0);
        assert!(line.contains(" 0 URX,UF ") && line.contains("CONNECT with 403"), "{port}: {line}");
        assert_eq!(endpoint.asked.lock().unwrap().len(), 1, "{port}");
    }
}

#[test]
fn an_endpoint_that_never_answers_is_given_up_with_the_connect_timeout() {
    let authority = Authority::new();
    let policy = ", connectionPool: {tcp: {connectTimeout: 300ms}}";
    for (port, tls) in [("http", ""), ("http2-web", ""), ("http", TLS)] {
        // It takes the connection, and hears when it ends.
        let (told, hears) = channel();
        let silent = serving(move |mut stream| {
            let mut came = Vec::new();
            let _ = stream.read_to_end(&mut came);
            let _ = told.send(came.len());
        });
        let lines = Lines::default();
        let proxy = proxy(Side::Mesh, port, &format!("{policy}{tls}"), silent, &authority, lines.options());
        let mut stream = open(Side::Mesh, &proxy);
        // It may be in a hurry.
        let _ = stream.write_all(b"hello");
        assert!(has_ended(&mut stream), "D60: {port}");
        let line = lines.wait(1).remove(0);
        assert!(line.contains(" 0 URX,UF "), "{port}{tls}: {line}");
        let came = hears.recv_timeout(Duration::from_secs(10)).expect("its connection ends, too");
        assert!(came > 0, "{port}{tls}: it was asked for something");
    }
}

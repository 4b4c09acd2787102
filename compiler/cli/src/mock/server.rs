//! One stand-in: a server on loopback.

use super::{
    answer::{Answered, Identity, Task, body, task},
    call::call,
    counts::Counts,
};
use crate::locked::locked;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HOST, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use serde_json::json;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Where a line for each request goes.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// How long a client may take over its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// What the requests of one stand-in share.
pub(super) struct StandIn {
    identity: Identity,
    counts: Counts,
    /// Whom it calls on `/s`, and through which proxy. Both may change when the mesh does.
    calls: Mutex<Calls>,
    answered: Mutex<Answered>,
    log: Log,
}

#[derive(Clone, Default)]
struct Calls {
    urls: Vec<String>,
    proxy: Option<SocketAddr>,
}

impl StandIn {
    pub(super) fn new(identity: Identity, counts: Counts, log: Log) -> Self {
        StandIn { identity, counts, calls: Mutex::default(), answered: Mutex::default(), log }
    }

    pub(super) fn call_through(&self, urls: Vec<String>, proxy: Option<SocketAddr>) {
        *locked(&self.calls) = Calls { urls, proxy };
    }

    /// Serves connections until its task is dropped.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener, tls: Arc<OnceLock<TlsAcceptor>>) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, for a moment: others close.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let (stand_in, tls) = (Arc::clone(&self), Arc::clone(&tls));
            let service = service_fn(move |request| {
                let stand_in = Arc::clone(&stand_in);
                async move { Ok::<_, Infallible>(stand_in.answer(&request).await) }
            });
            // A connection that breaks off is the client's affair.
            tokio::spawn(async move {
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                builder.http2().timer(TokioTimer::new());
                let mut first = [0];
                let peeked = tokio::time::timeout(HEADER_TIMEOUT, stream.peek(&mut first));
                let Ok(peeked) = peeked.await else { return };
                let shakes_hands = tls.get().filter(|_| matches!(peeked, Ok(1)) && first == [HANDSHAKE]);
                match shakes_hands {
                    None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            drop(builder.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                }
            });
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.counts.add(&self.identity, 1);
        let (path, query) = (request.uri().path(), request.uri().query());
        let mut told = None;
        let status = match task(path, query) {
            Task::Answer(status) => status,
            Task::Wait { status, wait, times } => {
                tokio::time::sleep(wait).await;
                let lasts = times.is_none_or(|times| {
                    let mut answered = locked(&self.answered);
                    answered.is_among_first(query.unwrap_or_default(), times)
                });
                if lasts { status } else { 200 }
            }
            Task::Call => {
                told = Some(self.call_others().await);
                200
            }
        };
        let target = request.uri().path_and_query().map_or(path, |target| target.as_str());
        self.log(request.method().as_str(), target, status);
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        // HTTP/2 has it in its target.
        let authority = request.uri().authority().filter(|_| !request.headers().contains_key(HOST));
        let headers =
            authority.map(|authority| (HOST.as_str(), authority.as_str().as_bytes())).into_iter().chain(headers);
        let body = body(&self.identity, request.method().as_str(), target, headers, told);
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn call_others(&self) -> Vec<serde_json::Value> {
        let calls = locked(&self.calls).clone();
        let mut told = Vec::new();
        for url in &calls.urls {
            told.push(match calls.proxy {
                Some(proxy) => call(url, proxy).await,
                None => json!({ "url": url, "error": "this workload has no sidecar" }),
            });
        }
        told
    }

    fn log(&self, method: &str, target: &str, status: u16) {
        let Identity { app, version, namespace, workload } = &self.identity;
        let version = version.as_deref().unwrap_or("-");
        (self.log)(&format!("stand-in {namespace}/{workload} app={app} version={version} {method} {target} {status}"));
    }
}

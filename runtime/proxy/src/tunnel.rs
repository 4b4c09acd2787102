//! Bytes that go to their destination by way of a proxy, which is asked for it by CONNECT (semantics D60).

use crate::{dial::Stream, pool::NoConnection, worker::OnWorker};
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use malha_table::view::UpstreamProtocol;
use serde_json::Value;

/// So many bytes of a destination's are on their way or unread in a tunnel of HTTP/2.
const WINDOW: u32 = 1 << 20;
/// So long may the head of an answer be there.
const HEADER_LIST: u32 = 60 << 10;

/// What a cluster's endpoints are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tunnel {
    /// As `host:port`.
    target: Uri,
    /// Whether they are asked in HTTP/2, as their cluster speaks it (semantics D37).
    pub(crate) is_http2: bool,
}

impl Tunnel {
    /// As a policy says, in a cluster of this protocol; one by POST is not made.
    pub(crate) fn of(policy: &Value, protocol: UpstreamProtocol) -> Option<Self> {
        let written = policy.get("tunnel")?;
        if written.get("protocol").is_some_and(|protocol| protocol == "POST") {
            return None;
        }
        let (host, port) = (written.get("targetHost")?.as_str()?, written.get("targetPort")?.as_u64()?);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        // No client speaks HTTP here whom an endpoint could follow.
        let is_http2 = protocol == UpstreamProtocol::Http2;
        Some(Tunnel { target: format!("{host}:{port}").parse().ok()?, is_http2 })
    }

    /// Asks for it on a connection of its own. What comes back after the answer are the destination's bytes.
    pub(crate) async fn open(&self, stream: Stream) -> Result<TokioIo<Upgraded>, NoConnection> {
        let response = if self.is_http2 { self.ask_http2(stream).await } else { self.ask_http1(stream).await };
        let response = response.map_err(failed)?;
        if !response.status().is_success() {
            let refused = format!("tunnel: the endpoint answered CONNECT with {}", response.status());
            return Err(NoConnection::Failed(refused.into()));
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(failed)
    }

    async fn ask_http1(&self, stream: Stream) -> hyper::Result<Response<Incoming>> {
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer, and hands the connection over.
        tokio::task::spawn_local(async move {
            let _ = driver.with_upgrades().await;
        });
        let mut request = self.request();
        if let Ok(host) = self.target.to_string().try_into() {
            request.headers_mut().insert(http::header::HOST, host);
        }
        sender.send_request(request).await
    }

    async fn ask_http2(&self, stream: Stream) -> hyper::Result<Response<Incoming>> {
        let mut builder = http2::Builder::new(OnWorker);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(HEADER_LIST);
        let (mut sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        // It ends with the one stream.
        tokio::task::spawn_local(async move {
            let _ = driver.await;
        });
        sender.send_request(self.request()).await
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = self.target.clone();
        request
    }
}

#[allow(clippy::needless_pass_by_value, reason = "errors are mapped by value")]
fn failed(error: hyper::Error) -> NoConnection {
    NoConnection::Failed(format!("tunnel: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_as_files_write_them() {
        let of = |tunnel: Value| Tunnel::of(&json!({"tunnel": tunnel}), UpstreamProtocol::Http1);
        let target = |tunnel: Value| of(tunnel).map(|tunnel| tunnel.target.to_string());
        assert_eq!(target(json!({"targetHost": "x.org", "targetPort": 443})), Some("x.org:443".to_owned()));
        let wide = json!({"protocol": "CONNECT", "targetHost": "2001:db8::1", "targetPort": 443});
        assert_eq!(target(wide), Some("[2001:db8::1]:443".to_owned()));
        assert_eq!(target(json!({"protocol": "POST", "targetHost": "x.org", "targetPort": 443})), None);
        assert_eq!(target(json!({"targetHost": "x org", "targetPort": 443})), None);
    }
}

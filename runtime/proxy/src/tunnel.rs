//! Bytes that go to their destination by way of a proxy, which is asked for it by CONNECT (semantics D60).

use crate::{dial::Stream, pool::NoConnection};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Empty;
use hyper::{client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// What a cluster's endpoints are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tunnel {
    /// As `host:port`.
    target: Uri,
}

impl Tunnel {
    /// As a policy says; one by POST is not made.
    pub(crate) fn of(policy: &Value) -> Option<Self> {
        let written = policy.get("tunnel")?;
        if written.get("protocol").is_some_and(|protocol| protocol == "POST") {
            return None;
        }
        let (host, port) = (written.get("targetHost")?.as_str()?, written.get("targetPort")?.as_u64()?);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Some(Tunnel { target: format!("{host}:{port}").parse().ok()? })
    }

    /// Asks for it on a connection. What comes back after the answer are the destination's bytes.
    pub(crate) async fn open(&self, stream: Stream) -> Result<TokioIo<Upgraded>, NoConnection> {
        let failed = |error: hyper::Error| NoConnection::Failed(format!("tunnel: {error}").into());
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // It ends with the answer, and hands the connection over.
        tokio::task::spawn_local(async move {
            let _ = driver.with_upgrades().await;
        });
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = self.target.clone();
        if let Ok(host) = self.target.to_string().try_into() {
            request.headers_mut().insert(http::header::HOST, host);
        }
        let response = sender.send_request(request).await.map_err(failed)?;
        if !response.status().is_success() {
            let refused = format!("tunnel: the endpoint answered CONNECT with {}", response.status());
            return Err(NoConnection::Failed(refused.into()));
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_as_files_write_them() {
        let target = |tunnel: Value| Tunnel::of(&json!({"tunnel": tunnel})).map(|tunnel| tunnel.target.to_string());
        assert_eq!(target(json!({"targetHost": "x.org", "targetPort": 443})), Some("x.org:443".to_owned()));
        let wide = json!({"protocol": "CONNECT", "targetHost": "2001:db8::1", "targetPort": 443});
        assert_eq!(target(wide), Some("[2001:db8::1]:443".to_owned()));
        assert_eq!(target(json!({"protocol": "POST", "targetHost": "x.org", "targetPort": 443})), None);
        assert_eq!(target(json!({"targetHost": "x org", "targetPort": 443})), None);
    }
}

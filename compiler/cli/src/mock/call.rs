//! The calls that a stand-in makes, through the outbound proxy of its workload.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, Uri, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{error::Error, net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// A call that takes longer has failed; so a circle of calls ends.
const LONGEST_CALL: Duration = Duration::from_mins(1);

/// An answer that is longer has failed.
const LARGEST_ANSWER: usize = 1 << 20;

/// Calls `url` through the proxy at `proxy` and tells what came of it: `{"url","status","body"}` or `{"url","error"}`.
pub(super) async fn call(url: &str, proxy: SocketAddr) -> Value {
    match timeout(LONGEST_CALL, ask(url, proxy)).await {
        Ok(Ok((status, body))) => json!({ "url": url, "status": status, "body": body }),
        Ok(Err(error)) => json!({ "url": url, "error": error.to_string() }),
        Err(_) => json!({ "url": url, "error": format!("no answer within {} s", LONGEST_CALL.as_secs()) }),
    }
}

async fn ask(url: &str, proxy: SocketAddr) -> Result<(u16, Value), Box<dyn Error + Send + Sync>> {
    let uri: Uri = if url.contains("://") { url.parse()? } else { format!("http://{url}").parse()? };
    let authority = uri.authority().ok_or("the URL names no host")?.as_str().to_owned();
    let stream = TcpStream::connect(proxy).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    // The whole URL in the request line, as clients speak to an `http_proxy`.
    let request = Request::get(uri).header(HOST, authority).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await?.to_bytes();
    connection.abort();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    Ok((status, serde_json::from_slice(&body).unwrap_or_else(|_| text())))
}

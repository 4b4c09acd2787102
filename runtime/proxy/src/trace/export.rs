//! Sending spans to a collector, by OTLP over HTTP with JSON. Nobody waits for it but who ends the proxy.

use super::span::{Spans, export_request};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, timeout, timeout_at},
};

/// Requests whose spans wait; those of further ones are lost.
const WAITING: usize = 4096;

/// Spans that one message holds, but for those of its last request.
const BATCH: usize = 512;

/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// How long a collector may take for a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer of a collector that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// What the exporter is told.
pub(super) enum Message {
    Spans(Spans),
    /// Send what there is, and say so.
    Flush(SyncSender<()>),
}

/// Spans that went to the collector, and those that did not.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// A collector's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Collector {
    host: String,
    port: u16,
    path: String,
}

impl Collector {
    /// From a URL, as `http://localhost:4318`: OTLP's path is added, unless it is there.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{url}` is no collector's address, since {why}: http://localhost:4318 is one");
        let parsed: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        match parsed.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("spans are sent by plain HTTP only")),
            _ => return Err(wrong("it does not begin with http://")),
        }
        let authority = parsed.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user's name"));
        }
        let path = parsed.path().trim_end_matches('/');
        let path = if path.ends_with(PATH) { path.to_owned() } else { format!("{path}{PATH}") };
        Ok(Collector { host: authority.host().to_owned(), port: authority.port_u16().unwrap_or(80), path })
    }
}

/// Where collectors take traces.
const PATH: &str = "/v1/traces";

/// Starts a thread that sends what it is told, until nobody is left to tell it anything.
pub(super) fn start(collector: Collector, counts: Arc<Counts>) -> std::io::Result<Sender<Message>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, messages) = channel(WAITING);
    std::thread::Builder::new()
        .name("malha-traces".to_owned())
        .spawn(move || runtime.block_on(export(&collector, messages, &counts)))?;
    Ok(sender)
}

async fn export(collector: &Collector, mut messages: Receiver<Message>, counts: &Counts) {
    let mut flushed = None;
    loop {
        let mut batch = Vec::new();
        let mut size = 0;
        let mut until = None;
        // Until it is full, or its first span has waited long enough, or somebody asks for it.
        while size < BATCH && flushed.is_none() {
            let message = match until {
                None => messages.recv().await,
                Some(until) => match timeout_at(until, messages.recv()).await {
                    Ok(message) => message,
                    Err(_) => break,
                },
            };
            match message {
                Some(Message::Spans(spans)) => {
                    until.get_or_insert_with(|| Instant::now() + DELAY);
                    size += spans.spans.len();
                    batch.push(spans);
                }
                Some(Message::Flush(done)) => flushed = Some(done),
                None if batch.is_empty() => return,
                None => break,
            }
        }
        if !batch.is_empty() {
            let sent = matches!(timeout(PATIENCE, send(collector, &batch)).await, Ok(Ok(true)));
            let counter = if sent { &counts.sent } else { &counts.lost };
            counter.fetch_add(size as u64, Ordering::Relaxed);
        }
        if let Some(done) = flushed.take() {
            // Who asked may have lost patience.
            let _ = done.try_send(());
        }
    }
}

/// Sends a message on a connection of its own; tells whether it was taken.
async fn send(collector: &Collector, batch: &[Spans]) -> Result<bool, Box<dyn std::error::Error>> {
    let body = serde_json::to_vec(&export_request(batch))?;
    let bare = collector.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, collector.port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = collector.path.parse()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(format!("{}:{}", collector.host, collector.port))?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answered = async {
        let answer = sender.send_request(request).await?;
        let is_taken = answer.status().is_success();
        // Read to its end, so that the collector is not left writing.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        Ok::<bool, hyper::Error>(is_taken)
    };
    tokio::pin!(answered);
    tokio::select! {
        answered = &mut answered => Ok(answered?),
        // Whatever ends it, the answer says.
        _ = connection => Ok(answered.await?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_named_by_url() {
        let at = |url: &str| Collector::parse(url).map(|one| format!("{}:{}{}", one.host, one.port, one.path));
        assert_eq!(at("http://localhost:4318").as_deref(), Ok("localhost:4318/v1/traces"));
        assert_eq!(at("http://[::1]:4318/v1/traces/").as_deref(), Ok("[::1]:4318/v1/traces"));
        assert_eq!(at("http://jaeger/otlp").as_deref(), Ok("jaeger:80/otlp/v1/traces"));
        for (url, word) in
            [("https://x", "plain HTTP"), ("x:4318", "http://"), ("http://u@x", "user"), ("http:// x", "no URL")]
        {
            assert!(at(url).is_err_and(|error| error.contains(word)), "{url}");
        }
    }
}

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
    sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel},
    time::{Instant, sleep_until},
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

/// What tells the exporter.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) spans: Sender<Spans>,
    /// Beside the spans, since those may fill their queue.
    pub(super) flushes: UnboundedSender<Flush>,
}

/// Send what there is, and say so.
pub(super) struct Flush {
    /// What has not been sent by then is lost.
    pub(super) until: Instant,
    pub(super) done: SyncSender<()>,
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
pub(super) fn start(collector: Collector, counts: Arc<Counts>) -> std::io::Result<Told> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (spans, waiting) = channel(WAITING);
    let (sender, flushes) = unbounded_channel();
    let exporter = Exporter { collector, waiting, flushes, flush: None, counts };
    std::thread::Builder::new().name("malha-traces".to_owned()).spawn(move || runtime.block_on(exporter.export()))?;
    Ok(Told { spans, flushes: sender })
}

struct Exporter {
    collector: Collector,
    waiting: Receiver<Spans>,
    flushes: UnboundedReceiver<Flush>,
    /// The one at hand.
    flush: Option<Flush>,
    counts: Arc<Counts>,
}

impl Exporter {
    async fn export(mut self) {
        while let Some(batch) = self.gather().await {
            if !batch.is_empty() {
                let counts = Arc::clone(&self.counts);
                let counter = if self.send(&batch).await { &counts.sent } else { &counts.lost };
                counter.fetch_add(spans_of(&batch), Ordering::Relaxed);
            }
            self.end_flush();
        }
    }

    /// Spans until a message is full, or the first of them has waited long enough, or there are no more while somebody
    /// asks for them; none once nobody is left.
    async fn gather(&mut self) -> Option<Vec<Spans>> {
        let mut batch = Vec::new();
        let mut size = 0;
        let mut until = None;
        while size < BATCH {
            let spans = if self.flush.is_some() {
                self.waiting.try_recv().ok()
            } else {
                tokio::select! {
                    spans = self.waiting.recv() => spans,
                    Some(flush) = self.flushes.recv() => {
                        self.flush = Some(flush);
                        continue;
                    }
                    () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => break,
                }
            };
            match spans {
                Some(spans) => {
                    until.get_or_insert_with(|| Instant::now() + DELAY);
                    size += spans.spans.len();
                    batch.push(spans);
                }
                None if batch.is_empty() && self.flush.is_none() => return None,
                None => break,
            }
        }
        Some(batch)
    }

    /// Tells whether the collector took it in time.
    async fn send(&mut self, batch: &[Spans]) -> bool {
        let patience = Instant::now() + PATIENCE;
        let sending = send(&self.collector, batch);
        tokio::pin!(sending);
        loop {
            let until = self.flush.as_ref().map_or(patience, |flush| flush.until.min(patience));
            tokio::select! {
                sent = &mut sending => return matches!(sent, Ok(true)),
                () = sleep_until(until) => return false,
                Some(flush) = self.flushes.recv(), if self.flush.is_none() => self.flush = Some(flush),
            }
        }
    }

    /// Says so, once nothing waits; at its limit, what waits is given up.
    fn end_flush(&mut self) {
        let Some(flush) = self.flush.take_if(|flush| self.waiting.is_empty() || flush.until <= Instant::now()) else {
            return;
        };
        while let Ok(spans) = self.waiting.try_recv() {
            self.counts.lost.fetch_add(spans_of(&[spans]), Ordering::Relaxed);
        }
        // Who asked may have lost patience.
        let _ = flush.done.try_send(());
    }
}

fn spans_of(batch: &[Spans]) -> u64 {
    batch.iter().map(|spans| spans.spans.len() as u64).sum()
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
    use super::{
        super::{
            Tracing,
            span::{Attributes, Kind, Span},
        },
        *,
    };
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{TcpListener, TcpStream},
    };

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

    fn spans() -> Spans {
        let (start, name) = (std::time::SystemTime::now(), "egress".to_owned());
        let span = Span {
            trace: 1,
            id: 1,
            parent: None,
            name,
            kind: Kind::Server,
            start,
            end: start,
            attributes: Attributes::default(),
            is_error: false,
        };
        Spans { service: "a".into(), spans: vec![span] }
    }

    /// An exporter whose collector has its first message and has not answered it, with a full queue, and how many spans
    /// that are in all.
    fn full(listener: &TcpListener) -> (Tracing, TcpStream, u64) {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tracing = Tracing::to_collector(&url, 100.0).unwrap();
        tracing.told.spans.try_send(spans()).unwrap();
        let (first, _) = listener.accept().unwrap();
        let mut told = 1;
        while tracing.told.spans.try_send(spans()).is_ok() {
            told += 1;
        }
        assert!(told > WAITING as u64);
        (tracing, first, told)
    }

    fn answer(stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        (&*stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    }

    #[test]
    fn a_full_queue_is_sent_in_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (tracing, first, told) = full(&listener);
        std::thread::spawn(move || {
            answer(&first);
            listener.incoming().flatten().for_each(|stream| answer(&stream));
        });
        tracing.flush(Duration::from_mins(1));
        assert_eq!((tracing.sent(), tracing.lost()), (told, 0));
    }

    #[test]
    fn what_is_not_sent_by_the_end_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (tracing, _first, told) = full(&listener);
        tracing.flush(Duration::from_millis(50));
        assert_eq!((tracing.sent(), tracing.lost()), (0, told));
    }
}

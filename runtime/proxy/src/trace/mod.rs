//! Traces of requests for a collector of OpenTelemetry: a span for each request and for each of its tries. Off, nothing
//! of it is done, and headers of traces pass as they are.

mod context;
mod export;
mod request;
mod span;

pub(crate) use request::RequestTrace;

use crate::{access_log::Entry, connection::Client, random::Random};
use export::{Collector, Counts, Flush, Told};
use http::HeaderMap;
use span::Spans;
use std::{
    fmt,
    sync::{Arc, atomic::Ordering, mpsc::sync_channel},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Where spans go, and how many requests have them.
#[derive(Clone)]
pub struct Tracing {
    told: Told,
    counts: Arc<Counts>,
    /// Of requests whose callers leave it open.
    per_million: u32,
}

/// Where the environment names a collector.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// How late the exporter may say that it has given up.
const GRACE: Duration = Duration::from_secs(1);

impl Tracing {
    /// Spans are sent to a collector by OTLP over HTTP, as JSON, from a thread of their own. Of requests whose callers
    /// have not decided it, `percent` are traced.
    ///
    /// # Errors
    /// Says what is wrong with the URL or the percentage.
    pub fn to_collector(url: &str, percent: f64) -> Result<Self, String> {
        let per_million = per_million(percent)?;
        Tracing::start(Collector::parse(url)?, per_million)
    }

    /// The same, where a URL is given that is not empty, or, without one, where `OTEL_EXPORTER_OTLP_ENDPOINT` has one.
    /// The latter may be meant for other programs: if it cannot be used, `note` is told so, and nothing is traced.
    ///
    /// # Errors
    /// As [`Tracing::to_collector`], of the URL that is given.
    pub fn to_named_collector(
        url: Option<&str>,
        percent: f64,
        note: impl FnOnce(&str),
    ) -> Result<Option<Self>, String> {
        if let Some(url) = url {
            return (!url.is_empty()).then(|| Tracing::to_collector(url, percent)).transpose();
        }
        let Some(named) = std::env::var_os(VARIABLE).filter(|url| !url.is_empty()) else { return Ok(None) };
        let per_million = per_million(percent)?;
        match Collector::parse(&named.to_string_lossy()) {
            Ok(collector) => Tracing::start(collector, per_million).map(Some),
            Err(why) => {
                note(&format!("nothing is traced: {VARIABLE}: {why}"));
                Ok(None)
            }
        }
    }

    fn start(collector: Collector, per_million: u32) -> Result<Self, String> {
        let counts: Arc<Counts> = Arc::default();
        let told = export::start(collector, Arc::clone(&counts));
        let told = told.map_err(|error| format!("the thread that sends spans cannot be started: {error}"))?;
        Ok(Tracing { told, counts, per_million })
    }

    /// Spans that the collector took.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// Spans that it did not take, or that would have had to wait for it.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Waits until what has ended has been sent, but not longer than this; what has not been by then is lost.
    pub(crate) fn flush(&self, patience: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.told.flushes.send(Flush { until: Instant::now() + patience, done }).is_ok() {
            // The exporter keeps to the limit itself, and counts.
            let _ = is_done.recv_timeout(patience + GRACE);
        }
    }

    /// The trace of a request that begins; its identifiers are drawn.
    pub(crate) fn begin(&self, client: &Client, headers: &HeaderMap, random: &Random) -> RequestTrace {
        let scheme = if client.tls.is_some() { "https" } else { "http" };
        RequestTrace::new(headers, self.per_million, scheme, random)
    }

    /// A request has ended.
    pub(crate) fn end(&self, trace: &RequestTrace, entry: &Entry, service: Arc<str>) {
        if !trace.is_sampled {
            return;
        }
        let end = entry.start.checked_add(entry.duration).unwrap_or_else(SystemTime::now);
        let spans = Spans { service, spans: trace.spans(entry, end) };
        let count = spans.spans.len() as u64;
        if self.told.spans.try_send(spans).is_err() {
            self.counts.lost.fetch_add(count, Ordering::Relaxed);
        }
    }
}

fn per_million(percent: f64) -> Result<u32, String> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("{percent} is no percentage: 0 to 100 are"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1,000,000")]
    Ok((percent * 1e4).round() as u32)
}

impl fmt::Debug for Tracing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tracing")
    }
}

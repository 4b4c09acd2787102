//! What is kept of a connection of plain bytes until its end: for the access log and the counters.

use crate::{
    access_log::Entry,
    cluster::{ClusterState, EndpointState},
    connection::Client,
    ends::Ends,
    flags::Flags,
    listener::OpenListener,
    metrics::{Metrics, TcpKey, TcpTally},
    parties,
    plan::source_name,
    worker::Local,
};
use malha_table::view::{Source, TcpRoute};
use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One connection's record. It is closed when it is dropped.
pub(crate) struct TcpRecord {
    entry: Entry,
    clock: Instant,
    listener: Arc<OpenListener>,
    /// The number of where it went.
    destination: u32,
    local: Rc<Local>,
    traffic: Rc<Traffic>,
    is_opened: bool,
}

/// Bytes that have passed so far.
#[derive(Debug, Default)]
struct Traffic {
    /// From the client.
    received: Cell<u64>,
    /// To the client.
    sent: Cell<u64>,
    /// What of both has been counted.
    counted: Cell<(u64, u64)>,
    /// What it is counted as while it lasts.
    key: Cell<TcpKey>,
    is_uncounted: Cell<bool>,
}

impl Traffic {
    /// What has passed since the last time, which is counted from now on.
    fn take(&self) -> Option<(u64, u64)> {
        self.is_uncounted.set(false);
        let now = (self.received.get(), self.sent.get());
        let counted = self.counted.replace(now);
        let more = (now.0 - counted.0, now.1 - counted.1);
        (more != (0, 0)).then_some(more)
    }
}

/// A worker's connections on which bytes have passed that are not counted yet: so nobody looks at those on which nothing
/// passes.
#[derive(Debug, Default)]
pub(crate) struct Uncounted(RefCell<Vec<Rc<Traffic>>>);

impl Uncounted {
    /// Counts what has passed.
    pub(crate) fn count(&self, metrics: &Metrics, worker: usize) {
        for traffic in self.0.take() {
            if let Some((received, sent)) = traffic.take() {
                metrics.count_tcp(worker, traffic.key.get(), |tally| tally.add(received, sent));
            }
        }
    }
}

impl TcpRecord {
    pub(crate) fn new(local: &Rc<Local>, listener: &Arc<OpenListener>, client: &Rc<Client>) -> Self {
        TcpRecord {
            entry: Entry::new(Rc::clone(client)),
            clock: Instant::now(),
            listener: Arc::clone(listener),
            destination: parties::UNKNOWN,
            local: Rc::clone(local),
            traffic: Rc::default(),
            is_opened: false,
        }
    }

    /// The rule that took it.
    pub(crate) fn taken(&mut self, route: &TcpRoute<'_>) {
        if self.local.log.is_some() {
            let source: Option<Source<'_>> = route.rule().and_then(|rule| rule.source());
            self.entry.rule = source.map(|source| source_name(source).into());
            self.entry.route_name = source.and_then(|source| source.route_name()).map(str::to_owned);
        }
    }

    /// The cluster that was chosen.
    pub(crate) fn chosen(&mut self, cluster: &ClusterState) {
        self.entry.cluster = Some(Arc::clone(&cluster.name));
        self.destination = cluster.destination;
    }

    /// Let go to where the client meant to connect to, since the mesh does not know it.
    pub(crate) fn passed_outside(&mut self) {
        self.entry.cluster = Some("PassthroughCluster".into());
        self.destination = parties::PASSTHROUGH;
    }

    /// Refused, since the mesh does not know where it was meant to go.
    pub(crate) fn refused_outside(&mut self) {
        self.entry.cluster = Some("BlackHoleCluster".into());
        self.destination = parties::BLACK_HOLE;
    }

    /// The endpoint that was chosen.
    pub(crate) fn sent_to(&mut self, endpoint: &EndpointState) {
        let destination = endpoint.destination.load(Ordering::Relaxed);
        if destination != parties::UNKNOWN {
            self.destination = destination;
        }
    }

    /// Where it is connected to.
    pub(crate) fn connected(&mut self, upstream: Option<SocketAddr>, local: Option<SocketAddr>) {
        self.entry.upstream = Some(Ends::new(upstream, local));
        self.open();
    }

    /// Why there is no connection to the endpoint (semantics D57).
    pub(crate) fn has_transport_failure(&mut self, reason: Arc<str>) {
        self.entry.transport_failure = Some(reason);
    }

    /// Why it comes to nothing.
    pub(crate) fn fails(&mut self, flags: Flags) {
        self.entry.flags = self.entry.flags.with(flags);
    }

    /// The client's side, which counts what passes.
    pub(crate) fn counted<S>(&self, stream: S) -> Counted<S> {
        Counted { stream, traffic: Rc::clone(&self.traffic), local: Rc::clone(&self.local) }
    }

    fn open(&mut self) {
        self.is_opened = true;
        self.traffic.key.set(self.key());
        self.tally(|tally| tally.opened += 1);
    }

    /// Waits until nothing has passed for so long, or up to an eighth longer; none: for ever.
    pub(crate) fn quiet(&self, limit: Option<Duration>) -> impl Future<Output = ()> + use<> {
        let traffic = Rc::clone(&self.traffic);
        async move {
            let Some(limit) = limit else { return std::future::pending().await };
            let total = || traffic.received.get().saturating_add(traffic.sent.get());
            let (mut seen, mut since) = (total(), Instant::now());
            while since.elapsed() < limit {
                tokio::time::sleep((limit / 8).max(Duration::from_millis(1))).await;
                if total() != seen {
                    (seen, since) = (total(), Instant::now());
                }
            }
        }
    }

    fn key(&self) -> TcpKey {
        TcpKey {
            source: self.listener.source.load(Ordering::Relaxed),
            destination: self.destination,
            flags: self.entry.flags,
        }
    }

    fn tally(&self, change: impl FnOnce(&mut TcpTally)) {
        self.local.metrics().count_tcp(self.local.index, self.key(), change);
    }
}

impl Drop for TcpRecord {
    fn drop(&mut self) {
        if !self.is_opened {
            self.open();
        }
        let (received, sent) = self.traffic.take().unwrap_or_default();
        self.tally(|tally| {
            tally.add(received, sent);
            tally.closed += 1;
        });
        if let Some(log) = &self.local.log {
            (self.entry.received, self.entry.sent) = self.traffic.counted.get();
            self.entry.duration = self.clock.elapsed();
            log.write(&self.entry);
        }
    }
}

/// A stream whose bytes are counted: what is read of it has been received, what is written to it sent.
pub(crate) struct Counted<S> {
    stream: S,
    traffic: Rc<Traffic>,
    local: Rc<Local>,
}

impl<S> Counted<S> {
    /// More has passed one way, of which there is this count.
    fn more(&self, count: &Cell<u64>, bytes: usize) {
        if bytes == 0 {
            return;
        }
        count.set(count.get() + bytes as u64);
        if !self.traffic.is_uncounted.replace(true) {
            self.local.uncounted.0.borrow_mut().push(Rc::clone(&self.traffic));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let more = buffer.filled().len().saturating_sub(before);
        self.more(&self.traffic.received, more);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &written {
            self.more(&self.traffic.sent, *written);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

//! Upstream connections of one worker.

use crate::{body::Sent, options::Limits};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, task::AbortHandle, time::Instant};

/// Where an endpoint listens: an IP address or a name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EndpointAddress {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

/// A connection that is not idle.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Sent>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
    /// Whether an earlier request used it.
    pub(crate) reused: bool,
    requests: u32,
    _driver: Driver,
    _open: Open,
}

/// The task that reads and writes a connection. It ends with the connection, even amid a request's body: else it would
/// hold the socket and go on reading the body, which by then is another try's or nobody's.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Idle {
    connection: Connection,
    /// None: so late that there is no such time.
    until: Option<Instant>,
}

impl Idle {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Refused, unreachable, or the name has no address.
    Failed,
    /// Nobody answered in time.
    TimedOut,
}

/// Gauges over all workers.
#[derive(Debug, Default)]
pub(crate) struct PoolGauges {
    pub(crate) open: AtomicU64,
    pub(crate) idle: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connect_failures: AtomicU64,
}

/// Counts a connection for as long as it is held.
struct Open(Arc<PoolGauges>);

impl Open {
    fn new(gauges: &Arc<PoolGauges>) -> Self {
        gauges.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(gauges))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections of one worker, by endpoint.
pub(crate) struct Pool {
    idle: RefCell<HashMap<EndpointAddress, VecDeque<Idle>>>,
    limits: Rc<Limits>,
    gauges: Arc<PoolGauges>,
}

impl Pool {
    pub(crate) fn new(limits: Rc<Limits>, gauges: Arc<PoolGauges>) -> Self {
        Pool { idle: RefCell::default(), limits, gauges }
    }

    /// An idle connection, the most recently used first; none if a new one is needed. Nobody waits here: a connection
    /// that is still busy with its last request is given up.
    pub(crate) fn take(&self, address: &EndpointAddress) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().get_mut(address)?.pop_back()?;
            self.gauges.idle.fetch_sub(1, Ordering::Relaxed);
            if !idle.is_over(Instant::now()) && idle.connection.sender.is_ready() {
                return Some(Connection { reused: true, ..idle.connection });
            }
        }
    }

    /// Keeps a connection whose last request has been sent and whose response has been read to their ends, unless it has
    /// taken `most` requests.
    pub(crate) fn put(
        &self,
        address: &EndpointAddress,
        mut connection: Connection,
        idle_timeout: Option<Duration>,
        most: Option<u32>,
    ) {
        connection.requests = connection.requests.saturating_add(1);
        if connection.sender.is_closed() || most.is_some_and(|most| connection.requests >= most) {
            return;
        }
        let until = Instant::now().checked_add(idle_timeout.unwrap_or(self.limits.idle_timeout));
        let mut idle = self.idle.borrow_mut();
        let idle = match idle.get_mut(address) {
            Some(idle) => idle,
            None => idle.entry(address.clone()).or_default(),
        };
        if idle.len() < self.limits.idle_connections {
            idle.push_back(Idle { connection, until });
            self.gauges.idle.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Closes idle connections whose time is over, or whose endpoint `keep` does not know.
    pub(crate) fn sweep(&self, keep: impl Fn(&EndpointAddress) -> bool) {
        let now = Instant::now();
        let mut closed = 0;
        self.idle.borrow_mut().retain(|address, idle| {
            let before = idle.len();
            if keep(address) {
                idle.retain(|idle| !idle.is_over(now) && !idle.connection.sender.is_closed());
            } else {
                idle.clear();
            }
            closed += before - idle.len();
            !idle.is_empty()
        });
        self.gauges.idle.fetch_sub(closed as u64, Ordering::Relaxed);
    }

    /// A new connection.
    pub(crate) async fn connect(&self, address: &EndpointAddress, limit: Duration) -> Result<Connection, ConnectError> {
        self.gauges.connects.fetch_add(1, Ordering::Relaxed);
        let connected = match tokio::time::timeout(limit, dial(address)).await {
            Err(_) => Err(ConnectError::TimedOut),
            Ok(Err(_)) => Err(ConnectError::Failed),
            Ok(Ok(stream)) => self.handshake(stream).await,
        };
        if connected.is_err() {
            self.gauges.connect_failures.fetch_add(1, Ordering::Relaxed);
        }
        connected
    }

    async fn handshake(&self, stream: TcpStream) -> Result<Connection, ConnectError> {
        let peer = stream.peer_addr().map_err(|_| ConnectError::Failed)?;
        let local = stream.local_addr().ok();
        // Only a hint to the kernel: without it small requests wait.
        let _ = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder
            .max_headers(self.limits.response_headers)
            .max_header_size(self.limits.response_header_bytes)
            .max_buf_size(self.limits.response_header_bytes.max(MINIMUM_BUFFER));
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| ConnectError::Failed)?;
        // Its error reaches whoever waits for a response.
        let driver = tokio::task::spawn_local(async move {
            let _ = driver.await;
        });
        let (driver, open) = (Driver(driver.abort_handle()), Open::new(&self.gauges));
        Ok(Connection { sender, peer, local, reused: false, requests: 0, _driver: driver, _open: open })
    }
}

/// What hyper asks of a buffer at least.
pub(crate) const MINIMUM_BUFFER: usize = 8192;

async fn dial(address: &EndpointAddress) -> std::io::Result<TcpStream> {
    TcpStream::connect((&*address.host, address.port)).await
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Connection { peer, local, reused, requests, .. } = self;
        write!(formatter, "{local:?} -> {peer}, reused: {reused}, requests: {requests}")
    }
}

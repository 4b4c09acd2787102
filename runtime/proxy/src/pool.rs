//! Upstream connections of one worker.

use crate::{
    body::Sent,
    breaker::{Breaker, Held, Resource},
    cluster::ClusterState,
    options::Limits,
};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, sync::Notify, task::AbortHandle, time::Instant};

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
    open: Open,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// Too many requests wait for one.
    Overflow,
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

/// Counts a connection for as long as it is open.
struct Open {
    gauges: Arc<PoolGauges>,
    host: Weak<Host>,
    _held: Option<Held>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauges.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(host) = self.host.upgrade() {
            host.open.set(host.open.get().saturating_sub(1));
            host.freed.notify_one();
        }
    }
}

/// The connections of one cluster to one endpoint.
#[derive(Default)]
struct Host {
    idle: RefCell<VecDeque<Idle>>,
    /// All of them, those that are being opened included.
    open: Cell<usize>,
    /// Requests that wait for one.
    waiting: Cell<usize>,
    /// One is idle now, or may be opened.
    freed: Notify,
}

impl Host {
    /// An idle connection, the most recently used first. One that is still busy with its last request is given up.
    fn take(&self, gauges: &PoolGauges) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().pop_back()?;
            gauges.idle.fetch_sub(1, Ordering::Relaxed);
            if !idle.is_over(Instant::now()) && idle.connection.sender.is_ready() {
                return Some(Connection { reused: true, ..idle.connection });
            }
        }
    }
}

/// A request that waits for a connection.
struct Waiting<'h> {
    host: &'h Host,
    _held: Option<Held>,
}

impl<'h> Waiting<'h> {
    fn new(host: &'h Host, breaker: Option<&Breaker>) -> Result<Self, NoConnection> {
        let held = match breaker {
            Some(breaker) => Some(breaker.hold(Resource::Pending).ok_or(NoConnection::Overflow)?),
            None => None,
        };
        host.waiting.set(host.waiting.get() + 1);
        Ok(Waiting { host, _held: held })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.host.waiting.set(self.host.waiting.get().saturating_sub(1));
    }
}

/// Those of one endpoint, by cluster.
type Hosts = Vec<(Arc<str>, Rc<Host>)>;

/// The connections of one worker.
pub(crate) struct Pool {
    hosts: RefCell<HashMap<EndpointAddress, Hosts>>,
    limits: Rc<Limits>,
    gauges: Arc<PoolGauges>,
}

impl Pool {
    pub(crate) fn new(limits: Rc<Limits>, gauges: Arc<PoolGauges>) -> Self {
        Pool { hosts: RefCell::default(), limits, gauges }
    }

    fn host(&self, cluster: &Arc<str>, address: &EndpointAddress) -> Rc<Host> {
        let mut hosts = self.hosts.borrow_mut();
        let hosts = match hosts.get_mut(address) {
            Some(hosts) => hosts,
            None => hosts.entry(address.clone()).or_default(),
        };
        if let Some((_, host)) = hosts.iter().find(|(name, _)| name == cluster) {
            return Rc::clone(host);
        }
        let host = Rc::new(Host::default());
        hosts.push((Arc::clone(cluster), Rc::clone(&host)));
        host
    }

    /// A connection of the cluster to an endpoint: an idle one, else a new one, or the first that becomes free where the
    /// cluster may have no more (semantics D.6). Whoever waits longest has it.
    pub(crate) async fn acquire(
        &self,
        cluster: &ClusterState,
        address: &EndpointAddress,
    ) -> Result<Connection, NoConnection> {
        let host = self.host(&cluster.name, address);
        if host.waiting.get() == 0
            && let Some(connection) = host.take(&self.gauges)
        {
            return Ok(connection);
        }
        let breaker = cluster.breaker.as_ref();
        let _waiting = Waiting::new(&host, breaker)?;
        loop {
            // A worker that has none of its own opens one beyond the limit: else it would wait for those of others.
            let held = match breaker {
                None => Some(None),
                Some(breaker) if host.open.get() == 0 => Some(Some(breaker.hold_anyway(Resource::Connections))),
                Some(breaker) => breaker.hold(Resource::Connections).map(Some),
            };
            if let Some(held) = held {
                return self.connect(&host, held, address, cluster.connect_timeout).await;
            }
            host.freed.notified().await;
            if let Some(connection) = host.take(&self.gauges) {
                return Ok(connection);
            }
        }
    }

    /// Keeps a connection whose last request has been sent and whose response has been read to their ends, unless it has
    /// taken `most` requests.
    pub(crate) fn put(&self, mut connection: Connection, idle_timeout: Option<Duration>, most: Option<u32>) {
        connection.requests = connection.requests.saturating_add(1);
        if most.is_none_or(|most| connection.requests < most) {
            self.put_unused(connection, idle_timeout);
        }
    }

    /// Keeps a connection that was acquired for nothing.
    pub(crate) fn put_unused(&self, connection: Connection, idle_timeout: Option<Duration>) {
        let Some(host) = connection.open.host.upgrade().filter(|_| !connection.sender.is_closed()) else { return };
        let until = Instant::now().checked_add(idle_timeout.unwrap_or(self.limits.idle_timeout));
        let mut idle = host.idle.borrow_mut();
        if idle.len() < self.limits.idle_connections {
            idle.push_back(Idle { connection, until });
            self.gauges.idle.fetch_add(1, Ordering::Relaxed);
            host.freed.notify_one();
        }
    }

    /// Closes idle connections whose time is over, or whose endpoint `keep` does not know.
    pub(crate) fn sweep(&self, keep: impl Fn(&EndpointAddress) -> bool) {
        let now = Instant::now();
        let mut closed = 0;
        // They are dropped when nothing is borrowed any more: each tells its host.
        let mut gone: Vec<Idle> = Vec::new();
        self.hosts.borrow_mut().retain(|address, hosts| {
            let is_known = keep(address);
            hosts.retain(|(_, host)| {
                let mut idle = host.idle.borrow_mut();
                let (kept, over): (VecDeque<Idle>, VecDeque<Idle>) = std::mem::take(&mut *idle)
                    .into_iter()
                    .partition(|idle| is_known && !idle.is_over(now) && !idle.connection.sender.is_closed());
                *idle = kept;
                closed += over.len();
                gone.extend(over);
                !idle.is_empty() || host.waiting.get() > 0 || Rc::strong_count(host) > 1 || host.open.get() > 0
            });
            !hosts.is_empty()
        });
        drop(gone);
        self.gauges.idle.fetch_sub(closed as u64, Ordering::Relaxed);
    }

    /// A new connection.
    async fn connect(
        &self,
        host: &Rc<Host>,
        held: Option<Held>,
        address: &EndpointAddress,
        limit: Duration,
    ) -> Result<Connection, NoConnection> {
        self.gauges.connects.fetch_add(1, Ordering::Relaxed);
        self.gauges.open.fetch_add(1, Ordering::Relaxed);
        host.open.set(host.open.get() + 1);
        let open = Open { gauges: Arc::clone(&self.gauges), host: Rc::downgrade(host), _held: held };
        let connected = match tokio::time::timeout(limit, dial(address)).await {
            Err(_) => Err(NoConnection::TimedOut),
            Ok(Err(_)) => Err(NoConnection::Failed),
            Ok(Ok(stream)) => self.handshake(stream, open).await,
        };
        if connected.is_err() {
            self.gauges.connect_failures.fetch_add(1, Ordering::Relaxed);
        }
        connected
    }

    async fn handshake(&self, stream: TcpStream, open: Open) -> Result<Connection, NoConnection> {
        let peer = stream.peer_addr().map_err(|_| NoConnection::Failed)?;
        let local = stream.local_addr().ok();
        // Only a hint to the kernel: without it small requests wait.
        let _ = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder
            .max_headers(self.limits.response_headers)
            .max_header_size(self.limits.response_header_bytes)
            .max_buf_size(self.limits.response_header_bytes.max(MINIMUM_BUFFER));
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| NoConnection::Failed)?;
        // Its error reaches whoever waits for a response.
        let driver = tokio::task::spawn_local(async move {
            let _ = driver.await;
        });
        let driver = Driver(driver.abort_handle());
        Ok(Connection { sender, peer, local, reused: false, requests: 0, _driver: driver, open })
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

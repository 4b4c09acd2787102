//! Upstream connections of one worker.

use crate::{
    breaker::{Held, Resource},
    cluster::{ClusterState, ConnectionTerms},
    counters::count,
    options::Limits,
    sender::Sender,
    tls,
    worker::OnWorker,
};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
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
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    task::AbortHandle,
    time::Instant,
};
use tokio_rustls::{TlsConnector, rustls::ClientConfig};

/// Where an endpoint listens: an IP address or a name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EndpointAddress {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

/// A connection that is not idle, or a request's share of one that takes several at once.
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
    /// Whether it was idle before, or had an earlier request: the upstream may have closed it meanwhile.
    pub(crate) reused: bool,
    /// What it was opened by, and is kept by.
    terms: ConnectionTerms,
    lease: Rc<Lease>,
}

/// What all shares of a connection hold: the connection ends with the last of them.
struct Lease {
    requests: Cell<u32>,
    /// When the last request began or ended.
    used: Cell<Instant>,
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
    host: Weak<Host>,
    gauges: Arc<PoolGauges>,
    _held: Held,
}

impl Open {
    fn new(host: &Rc<Host>, held: Held) -> Self {
        host.gauges.open.fetch_add(1, Ordering::Relaxed);
        host.open.set(host.open.get() + 1);
        Open { host: Rc::downgrade(host), gauges: Arc::clone(&host.gauges), _held: held }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauges.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(host) = self.host.upgrade() {
            host.open.set(host.open.get().saturating_sub(1));
            host.wake_first();
        }
    }
}

/// Counts a connection while it is being opened.
struct Opening(Rc<Host>);

impl Opening {
    fn new(host: &Rc<Host>) -> Self {
        host.opening.set(host.opening.get() + 1);
        Opening(Rc::clone(host))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.set(self.0.opening.get().saturating_sub(1));
    }
}

/// The connections of one cluster to one endpoint.
///
/// One of HTTP/2 is shared by all requests. Of HTTP/1, requests that find none idle queue. A connection belongs to none of them: whichever is free first, a new one or one
/// that was busy, goes to the request that waits longest, and one that nobody waits for any more is kept.
struct Host {
    address: EndpointAddress,
    /// What its hellos say, where TLS is spoken.
    server_name: Option<Arc<str>>,
    idle: RefCell<VecDeque<Idle>>,
    /// Takes any number of requests at once.
    shared: RefCell<Option<Connection>>,
    /// All of them, those that are being opened included.
    open: Cell<usize>,
    opening: Cell<usize>,
    /// Who waits for one, the longest first. While somebody does, none is idle.
    queue: RefCell<VecDeque<Rc<Turn>>>,
    /// Those that were opened by others are not kept.
    terms: Cell<ConnectionTerms>,
    limits: Rc<Limits>,
    gauges: Arc<PoolGauges>,
}

/// A request's place in a queue.
struct Turn {
    /// What it waited for.
    outcome: Cell<Option<Result<Connection, NoConnection>>>,
    /// It has an outcome, or it is the first and may open a connection.
    told: Notify,
    /// Counts it among those that wait.
    held: Cell<Option<Held>>,
}

impl Turn {
    fn come(&self, outcome: Result<Connection, NoConnection>) {
        self.held.take();
        self.outcome.set(Some(outcome));
        self.told.notify_one();
    }
}

impl Host {
    /// An idle connection, the most recently used first. One that is still busy or of other terms is given up.
    fn take(&self, terms: ConnectionTerms) -> Option<Connection> {
        if terms.is_http2 {
            return self.share(terms);
        }
        loop {
            let idle = self.idle.borrow_mut().pop_back()?;
            self.gauges.idle.fetch_sub(1, Ordering::Relaxed);
            let connection = &idle.connection;
            if !idle.is_over(Instant::now()) && connection.can_take_a_request() && connection.terms == terms {
                return Some(Connection { reused: true, ..idle.connection });
            }
        }
    }

    /// A share of the connection that takes several requests; none where it is gone, or has taken its last.
    fn share(&self, terms: ConnectionTerms) -> Option<Connection> {
        let mut shared = self.shared.borrow_mut();
        let connection = shared.as_ref().filter(|one| !one.sender.is_closed() && one.terms == terms);
        let Some(share) = connection.and_then(Connection::share) else {
            // Its other shares go on.
            let gone = shared.take();
            drop(shared);
            drop(gone);
            return None;
        };
        if terms.requests.is_some_and(|most| share.lease.requests.get() >= most) {
            *shared = None;
        }
        Some(share)
    }

    /// A connection that can take a request: for whoever waits longest, else to keep.
    fn give(&self, connection: Connection) {
        if connection.sender.is_closed() || connection.reused && connection.terms != self.terms.get() {
            return;
        }
        if connection.sender.is_http2() {
            // A share that comes back is nothing new.
            if connection.reused {
                return;
            }
            let terms = connection.terms;
            *self.shared.borrow_mut() = Some(connection);
            while !self.queue.borrow().is_empty()
                && let Some(share) = self.share(terms)
            {
                let first = self.queue.borrow_mut().pop_front();
                if let Some(turn) = first {
                    turn.come(Ok(Connection { reused: false, ..share }));
                }
            }
            self.wake_first();
            return;
        }
        let first = self.queue.borrow_mut().pop_front();
        if let Some(turn) = first {
            turn.come(Ok(connection));
        } else if connection.terms == self.terms.get() {
            let idle_timeout = connection.terms.idle_timeout.unwrap_or(self.limits.idle_timeout);
            let until = Instant::now().checked_add(idle_timeout);
            let mut idle = self.idle.borrow_mut();
            if idle.len() < self.limits.idle_connections {
                idle.push_back(Idle { connection, until });
                self.gauges.idle.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whoever waits longest may see whether there is room for a connection now.
    fn wake_first(&self) {
        if let Some(first) = self.queue.borrow().front() {
            first.told.notify_one();
        }
    }

    /// A connection could not be opened: nobody in the queue waits for the next, which would fail as late.
    fn fail(&self, reason: NoConnection) {
        let queue = std::mem::take(&mut *self.queue.borrow_mut());
        for turn in queue {
            turn.come(Err(reason));
        }
    }

    /// Opens as many connections as requests wait, if the cluster may have so many.
    fn open_for_queue(self: &Rc<Self>, cluster: &ClusterState) {
        // One connection of HTTP/2 is for all that wait.
        let most = if cluster.terms.is_http2 { 1 } else { usize::MAX };
        while self.opening.get() < self.queue.borrow().len().min(most) {
            // A worker that has none of its own opens one beyond the limit: else it would wait for those of others.
            let held = if self.open.get() == 0 {
                cluster.breaker.hold_anyway(Resource::Connections)
            } else {
                let Some(held) = cluster.breaker.hold(Resource::Connections) else { return };
                held
            };
            let (open, opening) = (Open::new(self, held), Opening::new(self));
            let (host, terms, limit) = (Rc::clone(self), cluster.terms, cluster.connect_timeout);
            let counters = Arc::clone(&cluster.counters);
            count(&counters.connects);
            let config = cluster.tls.as_ref().and_then(|tls| Some(Arc::clone(&tls.as_ref().ok()?.config)));
            tokio::task::spawn_local(async move {
                let connected = host.connect(open, terms, config, limit).await;
                drop(opening);
                match connected {
                    Ok(connection) => host.give(connection),
                    Err(reason) => {
                        counters.not_connected(reason);
                        host.fail(reason);
                    }
                }
            });
        }
    }

    /// A new connection.
    async fn connect(
        &self,
        open: Open,
        terms: ConnectionTerms,
        config: Option<Arc<ClientConfig>>,
        limit: Duration,
    ) -> Result<Connection, NoConnection> {
        self.gauges.connects.fetch_add(1, Ordering::Relaxed);
        let connecting = async {
            let stream = dial(&self.address).await.map_err(|_| NoConnection::Failed)?;
            let ends = (stream.peer_addr().map_err(|_| NoConnection::Failed)?, stream.local_addr().ok());
            // Only a hint to the kernel: without it small requests wait.
            let _ = stream.set_nodelay(true);
            let Some(config) = config else { return self.handshake(stream, ends, open, terms).await };
            let name = tls::server_name(self.server_name.as_deref().unwrap_or_default());
            let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|_| NoConnection::Failed)?;
            self.handshake(stream, ends, open, terms).await
        };
        let connected = tokio::time::timeout(limit, connecting).await.unwrap_or(Err(NoConnection::TimedOut));
        if connected.is_err() {
            self.gauges.connect_failures.fetch_add(1, Ordering::Relaxed);
        }
        connected
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        ends: (SocketAddr, Option<SocketAddr>),
        open: Open,
        terms: ConnectionTerms,
    ) -> Result<Connection, NoConnection> {
        if terms.is_http2 {
            return self.handshake_http2(stream, ends, open, terms).await;
        }
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
        Ok(Connection::new(Sender::Http1(sender), ends, terms, Driver(driver.abort_handle()), open))
    }

    async fn handshake_http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        ends: (SocketAddr, Option<SocketAddr>),
        open: Open,
        terms: ConnectionTerms,
    ) -> Result<Connection, NoConnection> {
        let mut builder = http2::Builder::new(OnWorker);
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(self.limits.response_header_bytes).unwrap_or(u32::MAX));
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| NoConnection::Failed)?;
        let driver = tokio::task::spawn_local(async move {
            let _ = driver.await;
        });
        Ok(Connection::new(Sender::Http2(sender), ends, terms, Driver(driver.abort_handle()), open))
    }
}

/// What an upstream may send of one body before its client has read it.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same of all bodies of a connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

impl Connection {
    fn new(
        sender: Sender,
        (peer, local): (SocketAddr, Option<SocketAddr>),
        terms: ConnectionTerms,
        driver: Driver,
        open: Open,
    ) -> Self {
        let lease = Lease { requests: Cell::new(0), used: Cell::new(Instant::now()), _driver: driver, open };
        Connection { sender, peer, local, reused: false, terms, lease: Rc::new(lease) }
    }

    /// Another request's share of it.
    fn share(&self) -> Option<Connection> {
        let sender = self.sender.share()?;
        let lease = Rc::clone(&self.lease);
        lease.requests.set(lease.requests.get().saturating_add(1));
        lease.used.set(Instant::now());
        Some(Connection { sender, peer: self.peer, local: self.local, reused: true, terms: self.terms, lease })
    }

    /// A new one takes one request even before its driver ran.
    fn can_take_a_request(&self) -> bool {
        !self.sender.is_closed() && (self.lease.requests.get() == 0 || self.sender.is_ready())
    }

    /// Gives it back to its pool when its last request has been sent and its response has been read to their ends, unless
    /// it has taken all the requests that it may.
    pub(crate) fn put_back(mut self) {
        self.lease.used.set(Instant::now());
        if self.sender.is_http2() {
            return;
        }
        self.lease.requests.set(self.lease.requests.get().saturating_add(1));
        self.reused = true;
        let Some(host) = self.lease.open.host.upgrade() else { return };
        if self.terms.requests.is_some_and(|most| self.lease.requests.get() >= most) {
            return;
        }
        if self.sender.is_ready() {
            host.give(self);
        } else if !self.sender.is_closed() {
            // The end of the response can be read before the end of the request has left.
            tokio::task::spawn_local(async move {
                if let Ok(Ok(())) = tokio::time::timeout(LONGEST_REST, self.sender.ready()).await {
                    host.give(self);
                }
            });
        }
    }

    /// Gives it back to its pool when it was acquired for nothing.
    pub(crate) fn put_back_unused(self) {
        if let Some(host) = self.lease.open.host.upgrade() {
            host.give(self);
        }
    }
}

/// A request in a queue, until it has a connection or gives up.
struct Waiting {
    host: Rc<Host>,
    turn: Rc<Turn>,
}

impl Waiting {
    fn new(host: Rc<Host>, held: Held) -> Self {
        let turn = Rc::new(Turn { outcome: Cell::default(), told: Notify::new(), held: Cell::new(Some(held)) });
        host.queue.borrow_mut().push_back(Rc::clone(&turn));
        Waiting { host, turn }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.host.queue.borrow_mut().retain(|turn| !Rc::ptr_eq(turn, &self.turn));
        self.turn.held.take();
        // What came too late for it is the next one's, and so is the permission to open a connection.
        if let Some(Ok(connection)) = self.turn.outcome.take() {
            self.host.give(connection);
        }
        self.host.wake_first();
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

/// How long a connection may take to send the rest of a request that is answered already, before it is of use again.
const LONGEST_REST: Duration = Duration::from_secs(1);

impl Pool {
    pub(crate) fn new(limits: Rc<Limits>, gauges: Arc<PoolGauges>) -> Self {
        Pool { hosts: RefCell::default(), limits, gauges }
    }

    fn host(&self, cluster: &ClusterState, address: &EndpointAddress, server_name: Option<Arc<str>>) -> Rc<Host> {
        let mut hosts = self.hosts.borrow_mut();
        let hosts = match hosts.get_mut(address) {
            Some(hosts) => hosts,
            None => hosts.entry(address.clone()).or_default(),
        };
        if let Some((_, host)) =
            hosts.iter().find(|(name, host)| *name == cluster.name && host.server_name == server_name)
        {
            return Rc::clone(host);
        }
        let host = Rc::new(Host {
            address: address.clone(),
            server_name,
            idle: RefCell::default(),
            shared: RefCell::default(),
            open: Cell::default(),
            opening: Cell::default(),
            queue: RefCell::default(),
            terms: Cell::new(cluster.terms),
            limits: Rc::clone(&self.limits),
            gauges: Arc::clone(&self.gauges),
        });
        hosts.push((Arc::clone(&cluster.name), Rc::clone(&host)));
        host
    }

    /// A connection of the cluster to an endpoint: an idle one, else the first that becomes free or is opened (semantics
    /// D.6). Whoever waits longest has it. Dropped before it has one, it leaves nothing behind but a connection that is
    /// being opened.
    pub(crate) async fn acquire(
        &self,
        cluster: &ClusterState,
        address: &EndpointAddress,
        authority: &str,
    ) -> Result<Connection, NoConnection> {
        let server_name = match &cluster.tls {
            None => None,
            Some(Ok(tls)) => Some(tls.name(authority)),
            Some(Err(_)) => return Err(NoConnection::Failed),
        };
        let host = self.host(cluster, address, server_name);
        if host.queue.borrow().is_empty()
            && let Some(connection) = host.take(cluster.terms)
        {
            return Ok(connection);
        }
        let held = cluster.breaker.hold(Resource::Pending).ok_or(NoConnection::Overflow)?;
        let waiting = Waiting::new(host, held);
        loop {
            waiting.host.open_for_queue(cluster);
            waiting.turn.told.notified().await;
            if let Some(outcome) = waiting.turn.outcome.take() {
                return outcome;
            }
        }
    }

    /// Closes idle connections whose time is over, and those of other terms than a cluster has now: `terms` says which
    /// these are, and has none where it has no such endpoint any more.
    pub(crate) fn sweep(&self, terms: impl Fn(&str, &EndpointAddress) -> Option<ConnectionTerms>) {
        let now = Instant::now();
        let mut closed = 0;
        // They are dropped when nothing is borrowed any more: each tells its host.
        let mut gone: Vec<Idle> = Vec::new();
        let mut ended: Vec<Connection> = Vec::new();
        self.hosts.borrow_mut().retain(|address, hosts| {
            hosts.retain(|(cluster, host)| {
                let terms = terms(cluster, address);
                host.terms.set(terms.unwrap_or(host.terms.get()));
                let is_over = |shared: &Connection| {
                    let idle_timeout = shared.terms.idle_timeout.unwrap_or(self.limits.idle_timeout);
                    let is_unused = Rc::strong_count(&shared.lease) == 1;
                    let is_old =
                        is_unused && shared.lease.used.get().checked_add(idle_timeout).is_some_and(|at| at <= now);
                    Some(shared.terms) != terms || is_old || shared.sender.is_closed()
                };
                let mut shared = host.shared.borrow_mut();
                if shared.as_ref().is_some_and(is_over) {
                    ended.extend(shared.take());
                }
                drop(shared);
                let mut idle = host.idle.borrow_mut();
                let (kept, over): (VecDeque<Idle>, VecDeque<Idle>) =
                    std::mem::take(&mut *idle).into_iter().partition(|idle| {
                        let connection = &idle.connection;
                        Some(connection.terms) == terms && !idle.is_over(now) && !connection.sender.is_closed()
                    });
                *idle = kept;
                closed += over.len();
                gone.extend(over);
                !idle.is_empty() || Rc::strong_count(host) > 1 || host.open.get() > 0
            });
            !hosts.is_empty()
        });
        drop((gone, ended));
        self.gauges.idle.fetch_sub(closed as u64, Ordering::Relaxed);
    }
}

/// What hyper asks of a buffer at least.
pub(crate) const MINIMUM_BUFFER: usize = 8192;

async fn dial(address: &EndpointAddress) -> std::io::Result<TcpStream> {
    TcpStream::connect((&*address.host, address.port)).await
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Connection { peer, local, reused, lease, .. } = self;
        let requests = lease.requests.get();
        write!(formatter, "{local:?} -> {peer}, reused: {reused}, requests: {requests}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{balance::Algorithm, breaker::Breaker};
    use std::task::{Context, Poll, Waker};
    use tokio::{net::TcpListener, task::LocalSet};

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn what_a_request_leaves_is_the_next_ones_and_nothing_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let address = EndpointAddress { host: "127.0.0.1".into(), port };
        let mut cluster = ClusterState::of_one("c", address.clone(), Algorithm::LeastRequest, Duration::from_secs(10));
        cluster.breaker = Breaker::of_connections(1);
        let gauges: Arc<PoolGauges> = Arc::default();
        let pool = Pool::new(Rc::default(), Arc::clone(&gauges));
        let test = async {
            let connection = pool.acquire(&cluster, &address, "c").await.expect("a connection");
            let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(pool.acquire(&cluster, &address, "c"))).collect();
            assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
            assert_eq!(cluster.breaker.used(Resource::Pending), 3);
            // The first has it and does not know yet when it gives up; the second gives up in the queue.
            connection.put_back_unused();
            assert_eq!(cluster.breaker.used(Resource::Pending), 2);
            let mut third = waiting.pop().expect("three wait");
            drop(waiting);
            let Poll::Ready(Ok(connection)) = poll(third.as_mut()) else { panic!("it has the connection") };
            let mut last = Box::pin(pool.acquire(&cluster, &address, "c"));
            assert!(poll(last.as_mut()).is_pending());
            // Without a connection left the next one may open its own.
            drop(connection);
            let connection = last.await.expect("a connection");
            assert_eq!(gauges.connects.load(Ordering::Relaxed), 2);
            connection.put_back_unused();
            assert_eq!(cluster.breaker.used(Resource::Pending), 0);
            assert_eq!(cluster.breaker.used(Resource::Connections), 1);
            assert_eq!((gauges.open.load(Ordering::Relaxed), gauges.idle.load(Ordering::Relaxed)), (1, 1));
            pool.sweep(|_, _| None);
            assert_eq!(cluster.breaker.used(Resource::Connections), 0);
            assert_eq!((gauges.open.load(Ordering::Relaxed), gauges.idle.load(Ordering::Relaxed)), (0, 0));
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_request_that_gives_up_leaves_a_connection_that_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let address = EndpointAddress { host: "127.0.0.1".into(), port };
        let cluster = ClusterState::of_one("c", address.clone(), Algorithm::LeastRequest, Duration::from_secs(10));
        let gauges: Arc<PoolGauges> = Arc::default();
        let pool = Pool::new(Rc::default(), Arc::clone(&gauges));
        let test = async {
            let mut gone = Box::pin(pool.acquire(&cluster, &address, "c"));
            assert!(poll(gone.as_mut()).is_pending());
            drop(gone);
            while gauges.idle.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            assert!(pool.acquire(&cluster, &address, "c").await.expect("the same").reused);
            assert_eq!(gauges.connects.load(Ordering::Relaxed), 1);
        };
        LocalSet::new().run_until(test).await;
    }
}

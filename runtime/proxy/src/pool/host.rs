//! The connections of one cluster to one endpoint, and who waits for them.

use super::{EndpointAddress, MINIMUM_BUFFER, NoConnection, PoolGauges, USUAL_HEADERS, connection::Connection};
use crate::{
    breaker::{Held, Resource},
    cluster::{ClusterState, ConnectionTerms},
    counters::count,
    dial::{Dial, Dialled},
    names::Names,
    options::Limits,
    proxy_protocol::Header,
    sender::Sender,
    worker::{Attached, OnWorker},
};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Counts a connection for as long as it is open.
pub(super) struct Open {
    pub(super) host: Weak<Host>,
    gauges: Arc<PoolGauges>,
    _held: Held,
}

impl Open {
    fn new(host: &Rc<Host>, held: Held) -> Self {
        host.gauges.open.fetch_add(1, Ordering::Relaxed);
        host.open.set(host.open.get() + 1);
        host.group.open.set(host.group.open.get() + 1);
        Open { host: Rc::downgrade(host), gauges: Arc::clone(&host.gauges), _held: held }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauges.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(host) = self.host.upgrade() {
            host.open.set(host.open.get().saturating_sub(1));
            host.group.open.set(host.group.open.get().saturating_sub(1));
            host.group.wake();
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

/// In what connections to one endpoint differ, so that a request may not go on any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) is_http2: bool,
    pub(super) terms: ConnectionTerms,
    /// What their hellos say, where TLS is spoken.
    pub(super) server_name: Option<Arc<str>>,
    /// The one client that they are for, where they tell of it.
    pub(super) told: Option<Header>,
}

/// All connections of one cluster to one endpoint, of whatever kind: they share what the cluster may open.
#[derive(Default)]
pub(super) struct Group {
    /// Those that are being opened included.
    open: Cell<usize>,
    hosts: RefCell<Vec<Weak<Host>>>,
}

impl Group {
    fn hosts(&self) -> Vec<Rc<Host>> {
        let mut hosts = self.hosts.borrow_mut();
        hosts.retain(|host| host.strong_count() > 0);
        hosts.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whoever waits longest for each kind may see whether there is room for a connection now.
    fn wake(&self) {
        self.hosts().iter().for_each(|host| host.wake_first());
    }

    /// Whether requests wait for a connection of some kind that may not be opened.
    fn is_starved(&self) -> bool {
        let is_starved = |host: Rc<Host>| host.is_starved.get() && host.has_queue();
        self.hosts.borrow().iter().filter_map(Weak::upgrade).any(is_starved)
    }

    /// Closes one that nobody uses, since another kind is wanted. Whether there was one.
    fn give_way(&self) -> bool {
        self.hosts().iter().any(|host| host.close_an_idle_one())
    }
}

/// The connections of one cluster to one endpoint that are of one kind.
///
/// One of HTTP/2 is shared by all requests, or by as many as it may have. Of HTTP/1, requests that find none idle queue. A
/// connection belongs to none of them: whichever is free first, a new one or one that was busy, goes to the request that
/// waits longest, and one that nobody waits for any more is kept.
pub(super) struct Host {
    group: Rc<Group>,
    address: EndpointAddress,
    kind: Kind,
    idle: RefCell<VecDeque<Idle>>,
    /// Each takes several requests at once.
    shared: RefCell<Vec<Connection>>,
    /// All of them, those that are being opened included.
    open: Cell<usize>,
    opening: Cell<usize>,
    /// Whether the cluster may have no more than there are, when one was wanted last.
    is_starved: Cell<bool>,
    /// Who waits for one, the longest first. While somebody does, none is idle.
    queue: RefCell<VecDeque<Rc<Turn>>>,
    limits: Rc<Limits>,
    gauges: Arc<PoolGauges>,
    names: Arc<Names>,
}

struct Idle {
    connection: Connection,
    /// None: so late that there is no such time.
    until: Option<Instant>,
}

impl Idle {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now) || self.connection.is_spent(now)
    }
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
    /// One of a group, to which it is added.
    pub(super) fn new(
        group: Rc<Group>,
        address: EndpointAddress,
        kind: Kind,
        limits: Rc<Limits>,
        gauges: Arc<PoolGauges>,
        names: Arc<Names>,
    ) -> Rc<Self> {
        let host = Rc::new(Host {
            group,
            address,
            kind,
            idle: RefCell::default(),
            shared: RefCell::default(),
            open: Cell::default(),
            opening: Cell::default(),
            is_starved: Cell::default(),
            queue: RefCell::default(),
            limits,
            gauges,
            names,
        });
        host.group.hosts.borrow_mut().push(Rc::downgrade(&host));
        host
    }

    pub(super) fn group(&self) -> Rc<Group> {
        Rc::clone(&self.group)
    }

    pub(super) fn is_of(&self, kind: &Kind) -> bool {
        self.kind == *kind
    }

    pub(super) fn terms(&self) -> ConnectionTerms {
        self.kind.terms
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.queue.borrow().is_empty()
    }

    /// An idle connection, the most recently used first. One that is still busy is given up.
    pub(super) fn take(&self, now: Instant) -> Option<Connection> {
        if self.kind.is_http2 {
            return self.share();
        }
        loop {
            let idle = self.idle.borrow_mut().pop_back()?;
            self.gauges.idle.fetch_sub(1, Ordering::Relaxed);
            let connection = &idle.connection;
            if !idle.is_over(now) && connection.can_take_a_request() {
                return Some(idle.connection.taken(true));
            }
        }
    }

    /// A share of a connection that takes several requests. One that is gone or takes no more is given up; its other
    /// shares go on.
    fn share(&self) -> Option<Connection> {
        let now = Instant::now();
        let is_good = |one: &mut Connection| !one.sender.is_closed() && !one.is_spent(now);
        let mut shared = self.shared.borrow_mut();
        let given_up: Vec<Connection> = shared.extract_if(.., |one| !is_good(one)).collect();
        let share = shared.iter().find_map(Connection::share);
        let spent: Vec<Connection> = shared.extract_if(.., |one| one.is_spent(now)).collect();
        drop(shared);
        // Each tells this host of its end.
        drop((given_up, spent));
        share
    }

    /// A connection that can take a request: for whoever waits longest, else to keep.
    pub(super) fn give(&self, connection: Connection, now: Instant) {
        // A share that comes back is nothing new.
        if connection.sender.is_closed() || connection.is_share() {
            return;
        }
        if connection.sender.is_http2() {
            self.shared.borrow_mut().push(connection);
            self.give_shares();
            self.wake_first();
            return;
        }
        let first = self.queue.borrow_mut().pop_front();
        if let Some(turn) = first {
            turn.come(Ok(connection));
        } else if !self.group.is_starved() {
            // It would be in the way of others otherwise.
            let until = self.idle_limit().and_then(|limit| now.checked_add(limit));
            let mut idle = self.idle.borrow_mut();
            if idle.len() < self.limits.idle_connections {
                idle.push_back(Idle { connection, until });
                self.gauges.idle.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Closes a connection that nobody uses, if there is one.
    fn close_an_idle_one(&self) -> bool {
        let idle = self.idle.borrow_mut().pop_front();
        if let Some(idle) = idle {
            self.gauges.idle.fetch_sub(1, Ordering::Relaxed);
            drop(idle);
            return true;
        }
        let mut shared = self.shared.borrow_mut();
        let unused = shared.iter().position(|one| one.shares() == 0).map(|at| shared.swap_remove(at));
        drop(shared);
        unused.is_some()
    }

    /// Shares for those who wait, as far as there are any.
    fn give_shares(&self) {
        while self.has_queue()
            && let Some(share) = self.share()
        {
            let first = self.queue.borrow_mut().pop_front();
            if let Some(turn) = first {
                turn.come(Ok(share.taken(false)));
            }
        }
    }

    /// Whoever waits longest may see whether there is room for a connection now.
    pub(super) fn wake_first(&self) {
        if let Some(first) = self.queue.borrow().front() {
            first.told.notify_one();
        }
    }

    /// A connection could not be opened: nobody in the queue waits for the next, which would fail as late.
    fn fail(&self, reason: &NoConnection) {
        let queue = std::mem::take(&mut *self.queue.borrow_mut());
        for turn in queue {
            turn.come(Err(reason.clone()));
        }
    }

    /// Opens as many connections as requests wait, if the cluster may have so many.
    fn open_for_queue(self: &Rc<Self>, cluster: &ClusterState) {
        self.is_starved.set(false);
        let mut each = 1;
        if self.kind.is_http2 {
            self.give_shares();
            each = self.kind.terms.streams.map_or(usize::MAX, |streams| streams as usize);
        }
        while self.opening.get() < self.queue.borrow().len().div_ceil(each) {
            // A worker that has none of its own opens one beyond the limit: else it would wait for those of others.
            let held = loop {
                if self.group.open.get() == 0 {
                    break cluster.breaker.hold_anyway(Resource::Connections);
                }
                if let Some(held) = cluster.breaker.hold(Resource::Connections) {
                    break held;
                }
                if !self.group.give_way() {
                    return self.is_starved.set(true);
                }
            };
            let (open, opening) = (Open::new(self, held), Opening::new(self));
            let (host, limit) = (Rc::clone(self), cluster.connect_timeout);
            let config = cluster.tls.as_ref().and_then(|tls| Some(tls.as_ref().ok()?.config(self.kind.is_http2)));
            let dial = Dial {
                keepalive: self.kind.terms.keepalive,
                told: self.kind.told,
                tls: config.zip(self.kind.server_name.clone()),
            };
            let counters = Arc::clone(&cluster.counters);
            count(&counters.connects);
            tokio::task::spawn_local(async move {
                let connected = host.connect(open, dial, limit).await;
                drop(opening);
                match connected {
                    Ok(connection) => host.give(connection, Instant::now()),
                    Err(reason) => {
                        counters.not_connected(&reason);
                        host.fail(&reason);
                    }
                }
            });
        }
    }

    /// A new connection.
    async fn connect(&self, open: Open, dial: Dial, limit: Duration) -> Result<Connection, NoConnection> {
        self.gauges.connects.fetch_add(1, Ordering::Relaxed);
        let connecting = async { self.handshake(dial.connect(&self.address, &self.names).await?, open).await };
        let connected = tokio::time::timeout(limit, connecting).await.unwrap_or(Err(NoConnection::TimedOut));
        if connected.is_err() {
            self.gauges.connect_failures.fetch_add(1, Ordering::Relaxed);
        }
        connected
    }

    async fn handshake(&self, dialled: Dialled, open: Open) -> Result<Connection, NoConnection> {
        let Dialled { stream, peer, local } = dialled;
        let failed = |error: hyper::Error| NoConnection::Failed(error.to_string().into());
        let stream = TokioIo::new(stream);
        // A driver's error reaches whoever waits for a response.
        let (sender, driver) = if self.kind.is_http2 {
            let mut builder = http2::Builder::new(OnWorker);
            builder
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_header_list_size(u32::try_from(self.limits.response_header_bytes).unwrap_or(u32::MAX));
            let (sender, driver) = builder.handshake(stream).await.map_err(failed)?;
            let driver = tokio::task::spawn_local(async move {
                let _ = driver.await;
            });
            (Sender::Http2(sender), driver)
        } else {
            let mut builder = http1::Builder::new();
            builder
                .max_header_size(self.limits.response_header_bytes)
                .max_buf_size(self.limits.response_header_bytes.max(MINIMUM_BUFFER));
            if self.limits.response_headers != USUAL_HEADERS {
                builder.max_headers(self.limits.response_headers);
            }
            let (sender, driver) = builder.handshake(stream).await.map_err(failed)?;
            let driver = tokio::task::spawn_local(async move {
                let _ = driver.with_upgrades().await;
            });
            (Sender::Http1(sender), driver)
        };
        Ok(Connection::new(sender, (peer, local), self.kind.terms, Attached(driver.abort_handle()), open))
    }

    /// How long a connection is kept that nobody uses; none: for ever. One that tells of its client is of use to nobody
    /// else, and the client may be gone.
    fn idle_limit(&self) -> Option<Duration> {
        let limit = self.kind.terms.idle_limit(self.limits.idle_timeout);
        if self.kind.told.is_some() { limit.into_iter().chain([LONGEST_TOLD]).min() } else { limit }
    }

    /// Gives up what is idle for too long, too old or closed; all of it where nobody wants such connections any more.
    /// Whether anything is left. What is given up is for the caller to drop, when nothing is borrowed any more.
    pub(super) fn sweep(&self, is_wanted: bool, given_up: &mut Vec<Connection>) -> bool {
        let now = Instant::now();
        let limit = self.idle_limit();
        let is_over = |one: &mut Connection| {
            let is_unused = limit.is_some_and(|limit| one.is_unused_since(limit, now));
            !is_wanted || one.sender.is_closed() || one.is_spent(now) || is_unused
        };
        given_up.extend(self.shared.borrow_mut().extract_if(.., is_over));
        let mut idle = self.idle.borrow_mut();
        let (kept, over): (VecDeque<Idle>, VecDeque<Idle>) = std::mem::take(&mut *idle)
            .into_iter()
            .partition(|idle| is_wanted && !idle.is_over(now) && !idle.connection.sender.is_closed());
        *idle = kept;
        self.gauges.idle.fetch_sub(over.len() as u64, Ordering::Relaxed);
        given_up.extend(over.into_iter().map(|idle| idle.connection));
        !idle.is_empty() || self.open.get() > 0
    }
}

/// How long a connection that tells of its client waits for another request of that client.
const LONGEST_TOLD: Duration = Duration::from_secs(15);

/// What an upstream may send of one body before its client has read it.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same of all bodies of a connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// A request in a queue, until it has a connection or gives up.
pub(super) struct Waiting {
    host: Rc<Host>,
    turn: Rc<Turn>,
}

impl Waiting {
    pub(super) fn new(host: Rc<Host>, held: Held) -> Self {
        let turn = Rc::new(Turn { outcome: Cell::default(), told: Notify::new(), held: Cell::new(Some(held)) });
        host.queue.borrow_mut().push_back(Rc::clone(&turn));
        Waiting { host, turn }
    }

    /// Its connection, or why there is none.
    pub(super) async fn outcome(&self, cluster: &ClusterState) -> Result<Connection, NoConnection> {
        loop {
            self.host.open_for_queue(cluster);
            self.turn.told.notified().await;
            if let Some(outcome) = self.turn.outcome.take() {
                return outcome;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.host.queue.borrow_mut().retain(|turn| !Rc::ptr_eq(turn, &self.turn));
        self.turn.held.take();
        // What came too late for it is the next one's, and so is the permission to open a connection.
        if let Some(Ok(connection)) = self.turn.outcome.take() {
            self.host.give(connection, Instant::now());
        }
        self.host.wake_first();
    }
}

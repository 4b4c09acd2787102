//! Upstream connections of one worker.

mod connection;
mod host;

use crate::{
    breaker::Resource,
    cluster::{ClusterState, ConnectionTerms},
    connection::Client,
    names::Names,
    options::Limits,
};
pub(crate) use connection::Connection;
use foldhash::HashMap;
use host::{Host, Kind, Waiting};
use http::Version;
use std::{
    cell::RefCell,
    fmt,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::time::Instant;

/// Where an endpoint listens: an IP address or a name, and a port; or a socket of the file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EndpointAddress {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl EndpointAddress {
    /// As a table writes it: an address or a name and a port, or `unix://` and the path of a socket (semantics E4).
    pub(crate) fn of(written: &str, port: u32) -> Option<Self> {
        if let Some(path) = written.strip_prefix("unix://") {
            let is_path = path.len() > 1 && path.starts_with(['/', '@']);
            return is_path.then(|| EndpointAddress { host: path.into(), port: 0 });
        }
        let port = u16::try_from(port).ok().filter(|&port| port != 0)?;
        (!written.is_empty()).then(|| EndpointAddress { host: written.into(), port })
    }

    /// The path of a socket; one that begins with `@` is none of the file system's.
    pub(crate) fn socket(&self) -> Option<&str> {
        (self.port == 0 && self.host.starts_with(['/', '@'])).then_some(&self.host)
    }

    /// The IP address, where it is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether it leads to one place, whatever anybody says of names.
    pub(crate) fn is_fixed(&self) -> bool {
        self.socket().is_some() || self.ip().is_some()
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket() {
            Some(path) => formatter.write_str(path),
            None => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// Too many requests wait for one.
    Overflow,
    /// Refused, unreachable, the name has no address, or TLS came to nothing; why, in Envoy's form.
    Failed(Arc<str>),
    /// Nobody answered in time.
    TimedOut,
}

impl NoConnection {
    /// TLS cannot be spoken, whoever asks.
    pub(crate) fn no_tls(problem: &str) -> Self {
        NoConnection::Failed(format!("TLS_error: {problem}").into())
    }
}

/// Who asks for a connection: what of a request decides on which ones it may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) authority: &'a str,
    /// What the client speaks.
    pub(crate) version: Version,
    pub(crate) client: &'a Client,
    /// When it asks.
    pub(crate) now: Instant,
}

/// Gauges over all workers.
#[derive(Debug, Default)]
pub(crate) struct PoolGauges {
    pub(crate) open: AtomicU64,
    pub(crate) idle: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connect_failures: AtomicU64,
}

/// Those of one endpoint, by cluster.
type Hosts = Vec<(Arc<str>, Rc<Host>)>;

/// The connections of one worker.
pub(crate) struct Pool {
    /// Its hasher is seeded anew in each process; what clients could make collide are names of hosts that they ask to be
    /// let through to, which are few and swept.
    hosts: RefCell<HashMap<EndpointAddress, Hosts>>,
    limits: Rc<Limits>,
    gauges: Arc<PoolGauges>,
    names: Arc<Names>,
}

impl Pool {
    pub(crate) fn new(limits: Rc<Limits>, gauges: Arc<PoolGauges>, names: Arc<Names>) -> Self {
        Pool { hosts: RefCell::default(), limits, gauges, names }
    }

    fn host(&self, cluster: &ClusterState, address: &EndpointAddress, kind: Kind) -> Rc<Host> {
        let mut hosts = self.hosts.borrow_mut();
        let hosts = match hosts.get_mut(address) {
            Some(hosts) => hosts,
            None => hosts.entry(address.clone()).or_default(),
        };
        if let Some((_, host)) = hosts.iter().find(|(name, host)| *name == cluster.name && host.is_of(&kind)) {
            return Rc::clone(host);
        }
        if hosts.len() >= MOST_KINDS {
            // What clients choose, as a name in a hello, must not make them without end.
            let mut given_up = Vec::new();
            hosts.retain(|(_, host)| host.sweep(false, &mut given_up) || Rc::strong_count(host) > 1);
            drop(given_up);
        }
        let (limits, gauges, names) = (Rc::clone(&self.limits), Arc::clone(&self.gauges), Arc::clone(&self.names));
        let group = hosts.iter().find(|(name, _)| *name == cluster.name).map(|(_, host)| host.group());
        let host = Host::new(group.unwrap_or_default(), address.clone(), kind, limits, gauges, names);
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
        asker: Asker<'_>,
    ) -> Result<Connection, NoConnection> {
        let server_name = match &cluster.tls {
            None => None,
            Some(Ok(tls)) => Some(tls.name(asker.authority)),
            Some(Err(problem)) => return Err(NoConnection::no_tls(problem)),
        };
        let kind = Kind {
            is_http2: cluster.is_http2(asker.version),
            terms: cluster.terms,
            server_name,
            told: cluster.terms.told(asker.client),
        };
        let host = self.host(cluster, address, kind);
        if !host.has_queue()
            && let Some(connection) = host.take(asker.now)
        {
            return Ok(connection);
        }
        let held = cluster.breaker.hold(Resource::Pending).ok_or(NoConnection::Overflow)?;
        Waiting::new(host, held).outcome(cluster).await
    }

    /// Closes idle connections whose time is over, and those that no cluster of their name wants any more to have to their
    /// endpoint, on their terms.
    pub(crate) fn sweep(&self, is_wanted: impl Fn(&str, &EndpointAddress, ConnectionTerms) -> bool) {
        // They are dropped when nothing is borrowed any more: each tells its host.
        let mut given_up: Vec<Connection> = Vec::new();
        self.hosts.borrow_mut().retain(|address, hosts| {
            hosts.retain(|(cluster, host)| {
                let is_wanted = is_wanted(cluster, address, host.terms());
                host.sweep(is_wanted, &mut given_up) || Rc::strong_count(host) > 1
            });
            !hosts.is_empty()
        });
    }
}

/// Connections to one endpoint may differ in so many ways; past it, those that are idle are closed.
const MOST_KINDS: usize = 64;

/// So many lines hyper has room for on its stack: for any other number it asks for memory with each head.
pub(crate) const USUAL_HEADERS: usize = 100;

/// What hyper asks of a buffer at least.
pub(crate) const MINIMUM_BUFFER: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{balance::Algorithm, breaker::Breaker, names::Family, options::Dns};
    use std::{
        net::{Ipv4Addr, SocketAddr},
        sync::atomic::Ordering,
        task::{Context, Poll, Waker},
        time::Duration,
    };
    use tokio::{net::TcpListener, task::LocalSet};

    fn client() -> Client {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        Client::new(here, here, None)
    }

    fn asker(client: &Client) -> Asker<'_> {
        Asker { authority: "c", version: Version::HTTP_11, client, now: Instant::now() }
    }

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
        let client = client();
        let pool = Pool::new(Rc::default(), Arc::clone(&gauges), Arc::new(Names::new(&Dns::default(), Family::V4)));
        let test = async {
            let connection = pool.acquire(&cluster, &address, asker(&client)).await.expect("a connection");
            let mut waiting: Vec<_> =
                (0..3).map(|_| Box::pin(pool.acquire(&cluster, &address, asker(&client)))).collect();
            assert!(waiting.iter_mut().all(|one| poll(one.as_mut()).is_pending()));
            assert_eq!(cluster.breaker.used(Resource::Pending), 3);
            // The first has it and does not know yet when it gives up; the second gives up in the queue.
            connection.put_back_unused();
            assert_eq!(cluster.breaker.used(Resource::Pending), 2);
            let mut third = waiting.pop().expect("three wait");
            drop(waiting);
            let Poll::Ready(Ok(connection)) = poll(third.as_mut()) else { panic!("it has the connection") };
            let mut last = Box::pin(pool.acquire(&cluster, &address, asker(&client)));
            assert!(poll(last.as_mut()).is_pending());
            // Without a connection left the next one may open its own.
            drop(connection);
            let connection = last.await.expect("a connection");
            assert_eq!(gauges.connects.load(Ordering::Relaxed), 2);
            connection.put_back_unused();
            assert_eq!(cluster.breaker.used(Resource::Pending), 0);
            assert_eq!(cluster.breaker.used(Resource::Connections), 1);
            assert_eq!((gauges.open.load(Ordering::Relaxed), gauges.idle.load(Ordering::Relaxed)), (1, 1));
            pool.sweep(|_, _, _| false);
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
        let client = client();
        let pool = Pool::new(Rc::default(), Arc::clone(&gauges), Arc::new(Names::new(&Dns::default(), Family::V4)));
        let test = async {
            let mut gone = Box::pin(pool.acquire(&cluster, &address, asker(&client)));
            assert!(poll(gone.as_mut()).is_pending());
            drop(gone);
            while gauges.idle.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            assert!(pool.acquire(&cluster, &address, asker(&client)).await.expect("the same").reused);
            assert_eq!(gauges.connects.load(Ordering::Relaxed), 1);
        };
        LocalSet::new().run_until(test).await;
    }
}

//! Bytes that are passed on as they come (semantics A57 to A61).

use crate::{
    balance,
    breaker::Resource,
    cluster::{ClusterState, EndpointState},
    connection::Client,
    counters::count,
    flags::Flags,
    listener::OpenListener,
    outlier::Outcome,
    pool::NoConnection,
    running::Running,
    tcp_record::TcpRecord,
    tls,
    upstream::InFlight,
    worker::Local,
};
use malha_table::{http::pick, view::TcpRoute};
use std::{pin::pin, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// How often the bytes of an open connection are counted.
const COUNTING_INTERVAL: Duration = Duration::from_secs(5);

/// Connects a client to a destination drawn by weight, and passes bytes both ways until both sides have ended. A client
/// whose destination cannot be reached is closed.
pub(crate) async fn pass(
    local: &Rc<Local>,
    running: &Running,
    route: &TcpRoute<'_>,
    (listener, client): (&Arc<OpenListener>, &Client),
    stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut record = TcpRecord::new(local, listener, client);
    let destinations = route.destinations();
    let index = if destinations.len() == 1 {
        Some(0)
    } else {
        pick(route.destinations().map(|destination| destination.weight()), local.random.next())
    };
    let destination = index.and_then(|index| destinations.get(index));
    let Some(cluster) = destination.and_then(|to| to.cluster()).and_then(|to| running.cluster(to.index())) else {
        return record.fails(Flags::NO_CLUSTER);
    };
    record.chosen(cluster);
    if let Some(rule) = route.rule() {
        running.hit(rule.index());
        record.taken(route);
    }
    let Some(_held) = cluster.breaker.hold(Resource::Connections) else {
        return record.fails(Flags::UPSTREAM_OVERFLOW);
    };
    let Some(endpoint) = choose(local, cluster) else { return record.fails(Flags::NO_HEALTHY_UPSTREAM) };
    record.sent_to(&endpoint);
    let _in_flight = InFlight::new(&endpoint);
    // As Envoy, which tries once, and calls that the limit of its tries.
    let unreachable = Flags::UPSTREAM_CONNECTION_FAILURE.with(Flags::RETRY_LIMIT);
    count(&cluster.counters.connects);
    let Some(upstream) = connect(cluster, &endpoint).await else { return record.fails(unreachable) };
    let ends = (upstream.peer_addr().ok(), upstream.local_addr().ok());
    let mut upstream: Box<dyn Duplex> = match &cluster.tls {
        None => Box::new(upstream),
        Some(Err(_)) => return record.fails(unreachable),
        Some(Ok(tls)) => {
            // Nobody has named a host.
            let name = tls::server_name(&tls.name(""));
            let shaking = TlsConnector::from(Arc::clone(&tls.config)).connect(name, upstream);
            let Ok(Ok(stream)) = tokio::time::timeout(cluster.connect_timeout, shaking).await else {
                cluster.observe(&endpoint, Outcome::Failure);
                cluster.counters.not_connected(NoConnection::Failed);
                return record.fails(unreachable);
            };
            Box::new(stream)
        }
    };
    record.connected(ends.0, ends.1);
    let mut client = record.counted(stream);
    let mut passing = pin!(tokio::io::copy_bidirectional(&mut client, &mut upstream));
    let mut counting = tokio::time::interval(COUNTING_INTERVAL);
    loop {
        tokio::select! {
            // How it ends is the two sides' own matter; nobody is left to be told.
            _ = passing.as_mut() => return,
            _ = counting.tick() => record.count_bytes(),
        }
    }
}

/// Bytes both ways.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

fn choose(local: &Local, cluster: &ClusterState) -> Option<Arc<EndpointState>> {
    let healthy = cluster.healthy();
    let endpoints = healthy.as_deref().unwrap_or(&cluster.endpoints);
    let chosen = balance::pick(cluster.algorithm, endpoints, || cluster.next_turn(), &local.random)?;
    endpoints.get(chosen).cloned()
}

async fn connect(cluster: &ClusterState, endpoint: &Arc<EndpointState>) -> Option<TcpStream> {
    let address = &endpoint.address;
    let limit: Duration = cluster.connect_timeout;
    let connected = tokio::time::timeout(limit, TcpStream::connect((&*address.host, address.port))).await;
    let Ok(Ok(stream)) = connected else {
        cluster.observe(endpoint, Outcome::Failure);
        cluster.counters.not_connected(connected.map_or(NoConnection::TimedOut, |_| NoConnection::Failed));
        return None;
    };
    cluster.observe(endpoint, Outcome::Connected);
    // Only a hint to the kernel.
    let _ = stream.set_nodelay(true);
    Some(stream)
}

//! Bytes that are passed on as they come (semantics A57 to A61).

use crate::{
    breaker::Resource,
    choice::{self, Wanted},
    cluster::{ClusterState, EndpointState},
    connection::{Bytes, Client},
    counters::count,
    dial::Dial,
    flags::Flags,
    hashing,
    listener::OpenListener,
    outlier::Outcome,
    outside::{self, Outside},
    passing::pass,
    pool::NoConnection,
    running::Running,
    tcp_record::TcpRecord,
    upstream::InFlight,
    worker::Local,
};
use malha_table::{http::pick, view::TcpRoute};
use std::{net::SocketAddr, rc::Rc, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// A connection whose cluster is chosen. It holds no more of a table than that.
pub(crate) struct Taken {
    record: TcpRecord,
    cluster: Arc<ClusterState>,
    /// What is looked up for it, where the client chose a name.
    name: Option<Arc<str>>,
}

/// Chooses where the bytes of a client go, by weight; none: it is closed.
pub(crate) fn take(
    local: &Rc<Local>,
    running: &Running,
    route: &TcpRoute<'_>,
    (listener, client): (&Arc<OpenListener>, &Rc<Client>),
) -> Option<Taken> {
    let mut record = TcpRecord::new(local, listener, client);
    let destinations = route.destinations();
    let index = if destinations.len() == 1 {
        Some(0)
    } else {
        pick(route.destinations().map(|destination| destination.weight()), local.random.next())
    };
    let destination = index.and_then(|index| destinations.get(index));
    let Some(cluster) = destination.and_then(|to| to.cluster()).and_then(|to| running.cluster(to.index())) else {
        record.fails(Flags::NO_CLUSTER);
        return None;
    };
    record.chosen(cluster);
    if let Some(rule) = route.rule() {
        running.hit(rule.index());
        record.taken(route);
    }
    let Some(named) = cluster.named else {
        return Some(Taken { record, cluster: Arc::clone(cluster), name: None });
    };
    let Some(address) = outside::endpoint_of_connection(local, client, named) else {
        record.fails(Flags::NO_HEALTHY_UPSTREAM);
        return None;
    };
    let name = (!address.is_fixed()).then(|| Arc::clone(&address.host));
    Some(Taken { record, cluster: Arc::new(cluster.at(address)), name })
}

impl Taken {
    /// Connects the client, and passes bytes both ways until both sides have ended. A client whose destination cannot be
    /// reached is closed.
    pub(crate) async fn pass(
        mut self,
        local: &Rc<Local>,
        client: &Client,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        // Where it has no address there is no host, for bytes: what could not be looked up has no flag of its own here
        // (semantics E7).
        if let Some(name) = &self.name
            && local.shared.names.addresses(name).await.is_err()
        {
            return self.record.fails(Flags::NO_HEALTHY_UPSTREAM);
        }
        carry(local, &self.cluster, client, self.record, stream).await;
    }
}

/// Under `ALLOW_ANY`: passes the bytes of a client on to where it meant to connect to (semantics E21).
pub(crate) async fn pass_outside(
    local: &Rc<Local>,
    (listener, client): (&Arc<OpenListener>, &Rc<Client>),
    stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut record = TcpRecord::new(local, listener, client);
    record.passed_outside();
    if let Some(address) = outside::endpoint_of_connection(local, client, Outside::Passthrough.named()) {
        carry(local, &Outside::Passthrough.cluster(local, address), client, record, stream).await;
    } else {
        record.fails(Flags::NO_HEALTHY_UPSTREAM);
    }
}

/// Under `REGISTRY_ONLY`: the client is closed (semantics E21).
pub(crate) fn refuse_outside(local: &Rc<Local>, (listener, client): (&Arc<OpenListener>, &Rc<Client>)) {
    let mut record = TcpRecord::new(local, listener, client);
    record.refused_outside();
    count(&local.metrics().outside.black_hole.none_healthy);
    record.fails(Flags::NO_HEALTHY_UPSTREAM);
}

/// Connects a client to an endpoint of a cluster, and passes bytes both ways.
async fn carry(
    local: &Rc<Local>,
    cluster: &ClusterState,
    client: &Client,
    mut record: TcpRecord,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) {
    let Some(_held) = cluster.breaker.hold(Resource::Connections) else {
        return record.fails(Flags::UPSTREAM_OVERFLOW);
    };
    let wanted = Wanted { hash: cluster.hashes_source.then(|| hashing::of_address(client.peer)), ..Wanted::default() };
    let Some(endpoint) = choice::choose(cluster, &local.random, &wanted) else {
        return record.fails(Flags::NO_HEALTHY_UPSTREAM);
    };
    record.sent_to(&endpoint);
    // Bytes that go back to the gateway's listener which they have come to would come again, for ever.
    let come_to = SocketAddr::new(client.local.ip().to_canonical(), client.local.port());
    let comes_again = client.original.is_none() && outside::ip_address(&endpoint.address) == Some(come_to);
    if comes_again || local.running().own.has_socket(&endpoint.address) {
        return record.fails(Flags::UPSTREAM_CONNECTION_FAILURE);
    }
    let _in_flight = InFlight::new(&endpoint);
    // Its memory is large, and of no use afterwards.
    let upstream = match Box::pin(connect(local, cluster, &endpoint, client)).await {
        Ok(upstream) => upstream,
        // As Envoy, which tries once, and calls that the limit of its tries.
        Err(reason) => {
            if let NoConnection::Failed(reason) = reason {
                record.has_transport_failure(reason);
            }
            return record.fails(Flags::UPSTREAM_CONNECTION_FAILURE.with(Flags::RETRY_LIMIT));
        }
    };
    // A name that leads back here is known by its address alone.
    if endpoint.is_named && upstream.peer.is_some_and(|peer| outside::is_own(local, peer)) {
        return record.fails(Flags::UPSTREAM_CONNECTION_FAILURE);
    }
    record.connected(upstream.peer, upstream.local);
    let (mut client, mut upstream) = (record.counted(stream), upstream.bytes);
    tokio::select! {
        // How it ends is the two sides' own matter; nobody is left to be told.
        _ = pass(&local.pieces, &mut client, &mut upstream) => {}
        () = cluster.terms.age() => record.fails(Flags::DURATION_TIMEOUT),
        // As Envoy, which says nothing more of it.
        () = record.quiet(cluster.tcp_idle_limit) => {}
    }
}

/// An open connection to a destination.
struct Upstream {
    bytes: Box<dyn Bytes>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
}

async fn connect(
    local: &Local,
    cluster: &ClusterState,
    endpoint: &Arc<EndpointState>,
    client: &Client,
) -> Result<Upstream, NoConnection> {
    count(&cluster.counters.connects);
    let opening = timeout(cluster.connect_timeout, open(local, cluster, endpoint, client)).await;
    let opened = opening.unwrap_or(Err(NoConnection::TimedOut));
    cluster.observe(endpoint, if opened.is_ok() { Outcome::Connected } else { Outcome::Failure });
    if let Err(reason) = &opened {
        cluster.counters.not_connected(reason);
    }
    opened
}

async fn open(
    local: &Local,
    cluster: &ClusterState,
    endpoint: &EndpointState,
    client: &Client,
) -> Result<Upstream, NoConnection> {
    let tls = match &cluster.tls {
        None => None,
        // Nobody has named a host. HTTP/2 is agreed on where a tunnel speaks it.
        Some(Ok(tls)) => Some((tls.config(cluster.tunnel.as_ref().is_some_and(|it| it.is_http2)), tls.name(""))),
        Some(Err(problem)) => return Err(NoConnection::no_tls(problem)),
    };
    let dial = Dial { keepalive: cluster.terms.keepalive, told: cluster.terms.told(client), tls };
    let dialled = dial.connect(&endpoint.address, &local.shared.names).await?;
    let bytes: Box<dyn Bytes> = match &cluster.tunnel {
        None => Box::new(dialled.stream),
        Some(tunnel) => Box::new(tunnel.open(dialled.stream).await?),
    };
    Ok(Upstream { bytes, peer: dialled.peer, local: dialled.local })
}
